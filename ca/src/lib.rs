//! The authority: what is issued, revoked and recorded. It alone holds the signing keys.
//!
//! A request reaches it decoded and authenticated, becomes [`Authorized`](authority::Authorized), is signed and
//! recorded, and only then leaves. Nothing here knows a wire protocol, and nothing here is asynchronous.

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

pub mod accounts;
pub mod authority;
pub mod certificate;
pub mod changes;
pub mod clock;
pub mod crl;
mod dn;
pub mod entropy;
pub mod equipment;
mod error;
pub mod foundation;
pub mod founding;
mod gate;
pub mod generated_key;
mod generation;
pub mod handed_out;
pub mod identity;
pub mod journal;
pub mod key;
pub mod line;
pub mod lint;
mod message_signer;
mod network;
pub mod oid;
pub mod path;
pub mod pending;
pub mod possession;
pub mod profile;
pub mod public_key;
mod receipt;
pub mod record;
pub mod recovery;
pub mod request;
pub mod revoked;
mod rollover;
pub mod seal;
pub mod search;
pub mod sets;
pub mod store;
mod subject;

/// The log's target of what somebody can cause who proved nothing: such lines are limited by address, and fail2ban reads them.
pub const REFUSED: &str = "countersign::refused";

pub use authority::Authority;
pub use clock::{Clock, SystemClock, Timestamp};
pub use entropy::{Entropy, SystemEntropy};
pub use error::{Denial, Error, Result};
pub use generated_key::{GeneratedKey, KeyForm, KeyOrder, WantedKey};
pub use identity::Identity;
pub use key::{FileKey, KeyAlgorithm, KeyFolder, Passphrase};
pub use network::Network;
pub use possession::Challenge;
pub use public_key::{KeyKind, Proof, ProvenKey, SubjectPublicKey};
pub use receipt::{Receipt, Recording};
pub use request::{CertificateRequest, Credential, Registrar, Requester};
pub use rollover::RollOptions;
pub use store::Store;
pub use subject::Names;
