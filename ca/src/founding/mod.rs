//! Founding: makes the keys and CAs of an instance, gives a CA its next key, takes over CAs of other programs, and
//! recovers what a restored instance lost.

mod brought_crl;
mod ca_certificate;
mod ca_subject;
mod former;
mod foundation;
mod recovery;
mod rollover;
mod subordinate;
mod takeover;

pub use brought_crl::{restore_files, signer_of, take_crl};
pub use ca_certificate::{CaOptions, Constraint, check_chain, issuing, request, root};
pub use former::{
    Former, FormerAccount, FormerCa, FormerCertificate, FormerCrl, FormerRecords, NO_ACCOUNT,
    Revoked,
};
pub use foundation::{AUDIT_KEY, Foundation, SEAL_KEY, root_label};
pub use recovery::{ImportedCertificate, ImportedCrl, Recovery};
pub use rollover::RollOptions;
pub use subordinate::{Subordinate, SubordinateOptions};
pub use takeover::Examined;
