//! The journal: every change of the authority's records, appended, checksummed and hashed into a Merkle tree.
//!
//! If the journal and the index beside it differ, the journal counts; the index can be deleted
//! (docs/adr/0001-journal.md). From the lowest layer up: [`Kind`] and [`Entry`] say what an entry is, `body/` and
//! `payload.rs` how it is encoded, `merkle.rs` and `head.rs` how it is proven, `file/` how it lies in `journal/journal`
//! of the data folder, with the signed tree heads in `journal/heads`. On top, `verify.rs`, `proof.rs` and `export.rs`
//! read a whole journal; `catalogue.rs` is for who begins in the middle.

mod body;
mod catalogue;
mod damage;
mod entry;
mod export;
mod file;
mod head;
mod kind;
mod merkle;
mod payload;
mod proof;
#[cfg(test)]
mod samples;
mod verify;

pub use catalogue::{Catalogue, Rename, work_of};
pub use damage::{Damage, DamageKind};
pub use entry::{Entry, MAX_RESERVED, Recorded};
pub use export::{export, json_of, read};
pub use file::{
    FILE_HEADER, HeadsRead, JournalFile, JournalPaths, MAX_PAYLOAD, Scanner, Step, Tape, Writer,
    entry_at, payload_at, read_heads,
};
pub use head::{Head, HeadSigner, HeadVerifier, head_message};
pub use kind::Kind;
pub use merkle::{
    Frontier, Hash, consistency_ranges, inclusion_ranges, leaf_hash, node_hash, verify_consistency,
    verify_inclusion,
};
pub use payload::Envelope;
pub use proof::{ConsistencyProof, InclusionProof, consistency_proof, inclusion_proof};
pub use verify::{Report, Verification, verify};

pub(crate) use body::{
    decode_account, decode_administrator, decode_ca, decode_crl, decode_vendor, encode_account,
    encode_administrator, encode_ca, encode_crl, encode_vendor,
};
pub(crate) use file::{
    Cutter, Durability, HeadsFile, Piece, ROOM, append, frame_length, heads_to_octets,
    private_file, sync_folder_of,
};
pub(crate) use payload::payload;
