//! The authority: it issues, revokes and records certificates, and it alone holds the signing keys.
//!
//! A protocol decodes and authenticates a request and passes it in. The request becomes [`Authorized`](authority::Authorized), is
//! signed and recorded, and leaves only then. This crate knows no wire protocol, and nothing in it is asynchronous.
//!
//! Its modules are rooms, and each room names only those above it in this list:
//!
//! | room | contents |
//! |---|---|
//! | `error`, [`clock`], [`oid`], [`sets`], `network`, [`entropy`], `durable_file`, `receipt` | the ground: errors, time, randomness, bounds, files, and values that wait for the disk |
//! | [`name`] | distinguished names, how they compare, and the identities of IKE peers |
//! | [`key`] | public keys and proof of possession; private keys in files, and generated for peers |
//! | [`x509`] | the fields of certificates, and encoders for their parts |
//! | [`path`] | certification path validation (RFC 5280 §6), usable by itself |
//! | [`lint`] | rules on octets before they are signed |
//! | [`record`] | the records, as values |
//! | [`profile`] | what certificates of each kind contain |
//! | [`signed`] | certificates and CRLs: encoded, linted, signed |
//! | [`journal`], [`store`] | the journal of all entries, and the store that keeps and indexes it |
//! | [`founding`] | the keys and CAs of an instance, rollover, recovery |
//! | [`authority`] | authenticate, authorize, issue, revoke, publish; accounts and their requests |

#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that panics is a test that fails"
    )
)]

pub mod authority;
pub mod clock;
mod durable_file;
pub mod entropy;
mod error;
pub mod founding;
pub mod hash;
pub mod journal;
pub mod key;
pub mod lint;
pub mod name;
mod network;
pub mod oid;
pub mod path;
pub mod profile;
mod receipt;
pub mod record;
pub mod sets;
pub mod signed;
pub mod store;
pub mod x509;

/// The target (of the crate `tracing`) of log events that an unauthenticated peer can cause. The number of such lines is limited for each
/// client's [`Network`], and fail2ban reads them.
pub const REFUSED: &str = "countersign::refused";

pub use authority::{Authority, CertificateRequest, Credential, Registrar, Requester};
pub use clock::{Clock, SystemClock, Timestamp};
pub use durable_file::write_atomically;
pub use entropy::{Entropy, SystemEntropy};
pub use error::{Denial, Error, Result};
pub use founding::RollOptions;
pub use key::{
    Challenge, FileKey, GeneratedKey, KeyAlgorithm, KeyFolder, KeyForm, KeyKind, Passphrase, Proof,
    ProvenKey, SubjectPublicKey,
};
pub use name::Identity;
pub use network::Network;
pub use profile::{KeyOrder, Names, WantedKey};
pub use receipt::{Receipt, Recording};
pub use store::Store;
