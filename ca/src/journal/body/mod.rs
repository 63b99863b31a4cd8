//! The bodies of entries as they lie on disk: CBOR arrays in which a field's number is its index.
//!
//! The structs in this folder change only by new optional fields at the end, so that every journal stays readable. The
//! domain's records change as they need to: a struct's `new` copies a record into a body, and its `record` or `entry`
//! makes the record or the entry again.

mod account;
mod admin;
mod administrator;
mod anchor;
mod ca;
mod cbor;
mod certificate;
mod crl;
mod request;
mod revocation;
mod transaction;
mod vendor;

pub use account::{decode_account, encode_account};
pub use administrator::{decode_administrator, encode_administrator};
pub use ca::{decode_ca, encode_ca};
pub use crl::{decode_crl, encode_crl};
pub use vendor::{decode_vendor, encode_vendor};

use account::{AccountBody, AccountRemovedBody, AccountRenamedBody, AccountsBody, LockedBody};
use admin::{AdminActionBody, ClockAcceptedBody, RestoredBody};
use administrator::{AdministratorBody, AdministratorRemovedBody};
use anchor::AnchorShownBody;
use ca::{AssignedBody, CaBody};
use cbor::{from_slice, to_vec};
use certificate::{ConfirmedBody, IssuedBody, ReservedBody};
use crl::CrlBody;
use request::{DecidedBody, JoinedBody, PartlyApprovedBody, RequestedBody};
use revocation::{ListedBody, ReleasedBody, RevokedBody};
use vendor::{VendorBody, VendorRemovedBody};

use super::entry::Entry;
use super::kind::Kind;
use crate::error::{Error, Result};

impl Entry {
    /// The entry's body in CBOR.
    ///
    /// # Errors
    /// [`Error::Internal`] when the entry contradicts itself or CBOR cannot be written.
    pub fn encode_body(&self) -> Result<Vec<u8>> {
        match self {
            Self::Ca(ca) => to_vec(&CaBody::new(ca)),
            Self::Reserved { ca, serials } => to_vec(&ReservedBody::new(ca, serials)),
            Self::Issued(issued) => to_vec(&IssuedBody::new(issued)?),
            Self::Confirmed { transaction } => to_vec(&ConfirmedBody { transaction }),
            Self::Revoked { ca, serial, revocation, transaction, untaken } => {
                let transaction = transaction.as_ref();
                to_vec(&RevokedBody::new(ca, serial, revocation, transaction)?.untaken(*untaken))
            }
            Self::Released { ca, serial } => to_vec(&ReleasedBody::new(ca, serial)),
            Self::Crl(crl) => to_vec(&CrlBody::new(crl)),
            Self::Accounts(accounts) => to_vec(&AccountsBody::new(accounts)?),
            Self::AccountChanged(account) => to_vec(&AccountBody::new(account)?),
            Self::AccountRemoved(name) => to_vec(&AccountRemovedBody { name: name.as_str() }),
            Self::AccountRenamed { from, to } => {
                to_vec(&AccountRenamedBody { from: from.as_str(), to: to.as_str() })
            }
            Self::Locked { reference, until } => to_vec(&LockedBody::new(reference, *until)),
            Self::AdminAction(done) => to_vec(&AdminActionBody::new(done)),
            Self::Assigned { ca, duty } => to_vec(&AssignedBody::new(ca, *duty)),
            Self::AnchorShown(shown) => to_vec(&AnchorShownBody::new(shown)),
            Self::AdministratorChanged(administrator) => {
                to_vec(&AdministratorBody::new(administrator))
            }
            Self::AdministratorRemoved(name) => {
                to_vec(&AdministratorRemovedBody { name: name.as_str() })
            }
            Self::VendorTrusted(vendor) => to_vec(&VendorBody::new(vendor)),
            Self::VendorRemoved(name) => to_vec(&VendorRemovedBody { name: name.as_str() }),
            Self::Requested(pending) => to_vec(&RequestedBody::new(pending)?),
            Self::Joined { request, transaction } => {
                to_vec(&JoinedBody::new(request, transaction)?)
            }
            Self::PartlyApproved { request, approval } => {
                to_vec(&PartlyApprovedBody::new(request, approval))
            }
            Self::Decided { request, decision } => to_vec(&DecidedBody::new(request, decision)),
            Self::Restored(restoration) => to_vec(&RestoredBody::new(restoration)),
            Self::ClockAccepted { actor } => to_vec(&ClockAcceptedBody { actor }),
            Self::Listed { ca, entry } => to_vec(&ListedBody::new(ca, entry)),
        }
    }
}

/// Decodes the body of an entry whose kind has this number.
///
/// # Errors
/// [`Error::Internal`] when the kind is unknown, or the body is not one of this kind.
pub fn decode(kind: u8, body: &[u8]) -> Result<Entry> {
    let Some(known) = Kind::from_number(kind) else {
        return Err(Error::internal(format!(
            "its kind `{kind}` is unknown: use the newer program that wrote it"
        )));
    };
    match known {
        Kind::Ca => from_slice::<CaBody<'_>>(body)?.record().map(Entry::Ca),
        Kind::Reserved => from_slice::<ReservedBody<'_>>(body)?.entry(),
        Kind::Issued => from_slice::<IssuedBody<'_>>(body)?.record().map(Entry::Issued),
        Kind::Confirmed => from_slice::<ConfirmedBody<'_>>(body).map(ConfirmedBody::entry),
        Kind::Revoked => from_slice::<RevokedBody<'_>>(body)?.entry(),
        Kind::Released => from_slice::<ReleasedBody<'_>>(body)?.entry(),
        Kind::Crl => from_slice::<CrlBody<'_>>(body)?.record().map(Entry::Crl),
        Kind::Accounts => from_slice::<AccountsBody<'_>>(body)?.records().map(Entry::Accounts),
        Kind::AccountChanged => {
            from_slice::<AccountBody<'_>>(body)?.record().map(Entry::AccountChanged)
        }
        Kind::AccountRemoved => {
            let name = from_slice::<AccountRemovedBody<'_>>(body)?.name.parse()?;
            Ok(Entry::AccountRemoved(name))
        }
        Kind::AccountRenamed => from_slice::<AccountRenamedBody<'_>>(body)?.entry(),
        Kind::Locked => from_slice::<LockedBody<'_>>(body).map(LockedBody::entry),
        Kind::AdminAction => from_slice::<AdminActionBody<'_>>(body).map(AdminActionBody::entry),
        Kind::Requested => {
            let pending = from_slice::<RequestedBody<'_>>(body)?.record()?;
            Ok(Entry::Requested(Box::new(pending)))
        }
        Kind::PartlyApproved => from_slice::<PartlyApprovedBody<'_>>(body)?.entry(),
        Kind::Decided => from_slice::<DecidedBody<'_>>(body)?.entry(),
        Kind::Joined => from_slice::<JoinedBody<'_>>(body)?.entry(),
        Kind::VendorTrusted => {
            from_slice::<VendorBody<'_>>(body)?.record().map(Entry::VendorTrusted)
        }
        Kind::VendorRemoved => {
            Ok(Entry::VendorRemoved(from_slice::<VendorRemovedBody<'_>>(body)?.name.parse()?))
        }
        Kind::Restored => from_slice::<RestoredBody<'_>>(body)?.entry(),
        Kind::ClockAccepted => {
            from_slice::<ClockAcceptedBody<'_>>(body).map(ClockAcceptedBody::entry)
        }
        Kind::Listed => from_slice::<ListedBody<'_>>(body)?.entry(),
        Kind::Assigned => from_slice::<AssignedBody<'_>>(body)?.entry(),
        Kind::AnchorShown => from_slice::<AnchorShownBody<'_>>(body)?.entry(),
        Kind::AdministratorChanged => {
            from_slice::<AdministratorBody<'_>>(body)?.record().map(Entry::AdministratorChanged)
        }
        Kind::AdministratorRemoved => {
            let name = from_slice::<AdministratorRemovedBody<'_>>(body)?.name.parse()?;
            Ok(Entry::AdministratorRemoved(name))
        }
    }
}
