//! The records that a [`crate::Store`] keeps for the authority, as domain values. No code here uses the store.
//!
//! Their form on disk is defined in `journal/body/`, separately on purpose: a change here must not change the journal.

mod account;
mod administration;
mod administrator;
mod anchor;
pub mod approval;
mod ca;
mod certificate;
mod certificate_id;
mod crl;
pub mod equipment;
pub mod inventory;
mod label;
pub mod line;
mod remarks;
mod revocation;
pub mod revoked;
pub mod search;
mod serial;
mod transaction;

pub use account::{
    Account, AccountSecret, Incarnation, MAX_GIVEN_BACK, OWN_ACCOUNT_PREFIX, Permission, no_account,
};
pub use administration::{AdminAction, Restoration};
pub use administrator::{
    ADMINISTRATOR_PROFILE, Administrator, Grant, OidcUser, Token, is_account_pattern,
    is_administrators_profile, no_administrator,
};
pub use anchor::{AnchorEvidence, AnchorShown, KnownAnchor};
pub use ca::{CaRecord, Duty, Links, Succession};
pub use certificate::{CertificateRecord, Issued, Retirement};
pub use certificate_id::CertificateId;
pub use crl::{CrlRecord, CrlScope, MAX_BROUGHT_CRL};
pub use equipment::{Device, DeviceDraft, Mapping, Vendor, no_vendor};
pub use label::Label;
pub use remarks::{AccountLabel, Remarks};
pub use revocation::{Reason, Revocation, RevokedEntry};
pub use serial::Serial;
pub use transaction::{ProvenBy, Transaction};
