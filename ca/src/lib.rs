//! The authority: what is issued, revoked and recorded. It alone holds the signing keys.
//!
//! A request reaches it decoded and authenticated, becomes [`Authorized`](authority::Authorized), is signed and
//! recorded, and only then leaves. Nothing here knows a wire protocol, and nothing here is asynchronous.

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
pub mod entropy;
mod error;
pub mod founding;
mod name;
pub mod journal;
pub mod key;
pub mod lint;
mod network;
pub mod oid;
pub mod path;
pub mod profile;
mod receipt;
pub mod record;
pub mod sets;
pub mod signed;
pub mod store;

/// The log's target of what somebody can cause who proved nothing: such lines are limited by address, and fail2ban reads them.
pub const REFUSED: &str = "countersign::refused";

pub use authority::Authority;
pub use authority::{accounts, changes, request};
pub use clock::{Clock, SystemClock, Timestamp};
pub use entropy::{Entropy, SystemEntropy};
pub use error::{Denial, Error, Result};
pub use key::generated::{GeneratedKey, KeyForm, KeyOrder, WantedKey};
pub use name::{Identity, identity};
pub use key::{generated as generated_key, possession, public as public_key, seal};
pub use key::{FileKey, KeyAlgorithm, KeyFolder, Passphrase};
pub use network::Network;
pub use key::possession::Challenge;
pub use key::public::{KeyKind, Proof, ProvenKey, SubjectPublicKey};
pub use receipt::{Receipt, Recording};
pub use record::{equipment, line, pending, revoked, search};
pub use authority::request::{CertificateRequest, Credential, Registrar, Requester};
pub use founding::{foundation, recovery};
pub use founding::rollover::RollOptions;
pub use signed::{certificate, crl, handed_out};
pub use store::Store;
pub use profile::subject::Names;
