//! The authority: it authenticates, authorizes, issues, revokes and publishes.
//!
//! A certificate is made in this order: [`Requester`] (authenticate) → [`Authorized`] (authorize) →
//! [`IssuedCertificate`] (issue: take a serial number that is already recorded, lint, sign, record). A later step accepts only the
//! value that the step before made. No certificate and no CRL leaves before its journal entry is durable.

pub mod accounts;
pub mod administrators;
mod anchors;
mod appointments;
mod approval;
mod attended;
mod authenticate;
mod authorize;
mod changes;
mod confirmations;
mod cross;
mod delegate;
mod duty;
mod equipment;
mod failures;
mod information;
mod issue;
mod issuer;
mod key_generation;
mod open;
mod opened;
mod publish;
mod registrar;
mod registration;
mod request;
mod responder;
mod retire;
mod revoke;
mod scep;
mod settings;
mod signers;
mod state;
mod succession;
mod tls_server;
mod vendor_crls;
pub mod vendors;

pub use approval::checked_comment;
pub use authenticate::{Attempt, Candidate};
pub use authorize::Authorized;
pub use changes::Changes;
pub use cross::CrossAuthorized;
pub use delegate::Delegate;
pub use duty::refuse_overruled;
pub use issue::{IssuedCertificate, TransactionDraft, UNCONFIRMED_AT_ONCE};
pub use issuer::{CaInfo, CurrentCrl};
pub use registrar::Registrar;
pub use request::{CertificateRequest, Credential, Requester, VendorSigned};
pub use responder::{CertificateStatus, Responder};
pub use retire::{SUPERSEDED_AT_ONCE, Superseded};
pub use scep::ScepDelegates;
pub use settings::{CrlSettings, LockSettings, Settings};
pub use state::Authority;
pub use succession::RootUpdate;
pub use tls_server::TlsServer;
pub use vendor_crls::read_crl_file;
