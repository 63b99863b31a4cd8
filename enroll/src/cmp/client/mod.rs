//! The client: a peer that asks a CMP server of any make for certificates, for their revocation and for information (RFC 9483 §4). It is
//! synchronous; trust, time and randomness are handed in, and no file is written here.
//!
//! An answer is believed only if its protection proves that the CA sent it (`verify.rs`), and a certificate is accepted only if it is the
//! requested one (`crate::client`).

mod certificate;
mod credential;
mod exchange;
mod http;
mod information;
mod peer;
mod poll;
mod request;
mod response;
mod revocation;
mod template;
mod transaction;
mod verify;

pub(super) use response::exercise;

pub use credential::{Credential, MacKind, common_name};
pub use http::{Http, Transport};
pub use information::{Information, RootUpdate};
pub use peer::Client;
pub use poll::Waiting;
pub use x509_cert::ext::pkix::name::GeneralName;
pub use x509_cert::name::Name;
