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
mod durable_file;
pub mod entropy;
mod error;
pub mod founding;
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

/// The log target of events that an unauthenticated peer can cause. Such lines are limited per network, and fail2ban
/// reads them.
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

// The paths by which this workspace named these items before they moved into rooms.
pub use authority::accounts;
#[doc(hidden)]
pub mod certificate {
    pub use crate::x509::{Facts, extension, read_all, time, to_pem};
}
pub use record::approval as pending;
#[doc(hidden)]
pub mod equipment {
    pub use crate::authority::vendors::*;
    pub use crate::record::equipment::*;
}
#[doc(hidden)]
pub mod foundation {
    pub use crate::durable_file::write_atomically;
    pub use crate::founding::{AUDIT_KEY, Foundation, SEAL_KEY};
}
#[doc(hidden)]
pub mod handed_out {
    pub use crate::authority::accounts::refuse_outside;
}
#[doc(hidden)]
pub mod identity {
    pub use crate::name::{Identity, Name, distinguished_name, refuse_misleading};
}
#[doc(hidden)]
pub mod public_key {
    pub use crate::key::{KeyKind, Proof, ProvenKey, SubjectPublicKey};
}
#[doc(hidden)]
pub mod recovery {
    pub use crate::founding::{ImportedCertificate, ImportedCrl, Recovery};
}
#[doc(hidden)]
pub mod seal {
    pub use crate::key::{Opener, Sealer};
}
pub use record::{line, revoked, search};
pub use signed::crl;
