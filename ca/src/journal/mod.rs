//! The journal: every change of the authority's records, appended, checksummed and hashed into a Merkle tree.
//!
//! It is the truth; the index beside it can be thrown away (docs/adr/0001-journal.md). The file is `journal/journal`
//! in the data folder, the signed tree heads are `journal/heads`.

mod body;
mod damage;
mod entry;
mod export;
mod file;
mod head;
mod merkle;
mod proof;
mod verify;

pub use damage::{Damage, DamageKind};
pub use entry::{Entry, Envelope, MAX_RESERVED, Recorded};
pub use export::{export, json_of};
pub use file::{
    FILE_HEADER, JournalFile, JournalPaths, MAX_PAYLOAD, Scanner, Step, Tape, Writer, entry_at, payload_at,
};
pub use head::{Head, HeadSigner, HeadVerifier, head_message, read_heads};
pub use merkle::{
    Frontier, Hash, consistency_ranges, inclusion_ranges, leaf_hash, node_hash, verify_consistency,
    verify_inclusion,
};
pub use proof::{ConsistencyProof, InclusionProof, consistency_proof, inclusion_proof};
pub use verify::{Report, Verification, verify};

pub(crate) use body::{
    decode_account, decode_ca, decode_crl, decode_vendor, encode_account, encode_ca, encode_crl,
    encode_vendor, incarnation_of,
};
pub(crate) use entry::payload;
pub(crate) use file::{FRAME_HEADER, append, sync_folder_of};
pub(crate) use head::{HeadsFile, heads_to_octets, private_file, replace_file};
