//! The rules: the conditions under which an entry may be recorded after those before it, and the changes that it makes
//! in the index.
//!
//! The writer calls [`Rules::find`], which looks up what an entry is about, [`Rules::check`], which refuses the entry
//! or not, and [`Rules::apply`], which changes the index. A replay of the journal calls the same without `check`.
//!
//! INVARIANT: all three depend on nothing but the index, the journal, the entry and the time that is recorded with it:
//! neither on a clock nor on chance. So a rebuild ends with the same index, octet by octet.

mod account;
mod administrator;
mod anchor;
mod ca;
mod certificate;
mod crl;
mod filing;
mod prepared;
mod refusal;
mod renaming;
mod request;
mod restored;
mod retiring;
mod revocation;
mod transaction;
mod vendor;

use super::keys;
use super::numbers::{ordered, serial_number};
use super::values::{self, TransactionId};
use super::view::{SerialState, View};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::Entry;
use crate::record::{Issued, Label, Reason, Serial};

pub use prepared::Prepared;

use refusal::conflict;

/// The most keys of one CA, going back from the key that signs the new certificate, among which a replaced certificate
/// is looked for.
const MAX_KEYS: usize = 64;

/// Why an entry is not recorded.
#[derive(Debug)]
pub enum Stop {
    /// The entry is refused.
    Refused(Error),
    /// The entry is about a certificate that is recorded in the same group, and so cannot be read from the journal yet.
    /// The writer commits the group first, and tries again.
    NotDurable,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// The certificate that an entry confirms, revokes, releases or replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    offset: u64,
    ca: Label,
    serial: Serial,
    not_after: Timestamp,
    partition: Option<u16>,
    account: Label,
}

/// The rules at work on one view of the index and one entry.
pub struct Rules<'a, V> {
    /// The index with the changes of the group.
    pub view: V,
    /// The values that were computed from the entry beforehand.
    pub prepared: &'a Prepared,
}

impl<V: View> Rules<'_, V> {
    /// Looks up the certificate that an entry is about; `None` if it is about none, or about one that does not exist.
    ///
    /// # Errors
    /// [`Stop::NotDurable`] when the certificate is in the same group; [`Stop::Refused`] with [`Error::Internal`] when
    /// the index or the journal fails.
    pub fn find(&self, entry: &Entry) -> Result<Option<Subject>, Stop> {
        match entry {
            Entry::Issued(Issued { ca, replaces: Some(serial), .. }) => {
                self.find_replaced(ca, serial)
            }
            Entry::Revoked { ca, serial, .. } | Entry::Released { ca, serial } => {
                self.find_issued(ca, serial)
            }
            Entry::Confirmed { transaction } => {
                match self.view.transaction(&self.transaction_id(transaction)) {
                    Some(state) => self.certificate(state.offset),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Refuses the entry if it may not be recorded at `at`. `subject` is the certificate that [`Self::find`] found for it.
    ///
    /// # Errors
    /// Those of the [`crate::Store`] method that records such an entry; `Conflict` for an entry that no method records.
    pub fn check(&self, at: Timestamp, entry: &Entry, subject: Option<&Subject>) -> Result<()> {
        match entry {
            Entry::Reserved { ca, serials } => self.check_reserved(ca, serials),
            Entry::Issued(issued) => self.check_issued(at, issued, subject),
            Entry::Confirmed { transaction } => self.check_confirmed(at, transaction),
            Entry::Revoked { ca, serial, revocation, transaction, .. } => {
                self.check_revoked(ca, serial, revocation, subject)?;
                self.check_transaction(at, transaction.as_ref())
            }
            Entry::Released { ca, serial } => self.check_released(ca, serial, subject),
            Entry::Crl(crl) => self.check_crl(crl),
            Entry::Accounts(accounts) => self.check_accounts(accounts),
            Entry::AccountChanged(account) => self.check_account_changed(account),
            Entry::AccountRemoved(name) => self.known_account(name).map(|_| ()),
            Entry::AccountRenamed { from, to } => self.check_renamed(from, to),
            Entry::AdministratorRemoved(name) => self.check_administrator_removed(name),
            Entry::VendorTrusted(vendor) => self.check_vendor(vendor),
            Entry::VendorRemoved(name) => self.check_vendor_removed(name),
            Entry::Requested(pending) => self.check_requested(at, pending),
            Entry::Joined { request, transaction } => self.check_joined(at, request, transaction),
            Entry::PartlyApproved { request, approval } => {
                self.check_partly_approved(at, request, approval)
            }
            Entry::Decided { request, decision } => self.check_decided(at, request, decision),
            Entry::Assigned { ca, duty } => self.check_assigned(ca, *duty),
            Entry::AnchorShown(anchor) => self.check_anchor_shown(anchor),
            Entry::Listed { ca, entry } => self.check_listed(ca, &entry.serial),
            Entry::Restored(_) => Err(conflict("a restore writes its entry itself".into())),
            Entry::Locked { .. } => {
                Err(conflict("locks are kept in memory, and recorded in old journals only".into()))
            }
            Entry::Ca(_)
            | Entry::AdminAction(_)
            | Entry::AdministratorChanged(_)
            | Entry::ClockAccepted { .. } => Ok(()),
        }
    }

    /// Changes the index as the entry demands, which is recorded at the time `at` and the journal offset `offset`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn apply(
        &mut self,
        at: Timestamp,
        entry: &Entry,
        subject: Option<&Subject>,
        offset: u64,
    ) -> Result<()> {
        match entry {
            Entry::Ca(ca) => self.apply_ca(ca)?,
            Entry::Assigned { ca, duty } => self.apply_assigned(ca, *duty)?,
            Entry::Reserved { ca, serials } => self.apply_reserved(ca, serials, offset),
            Entry::Issued(issued) => self.apply_issued(at, issued, subject, offset)?,
            Entry::Confirmed { transaction } => self.apply_confirmed(at, transaction, subject)?,
            Entry::Revoked { ca, serial, revocation, transaction, untaken } => {
                let awaited = self.apply_revoked(ca, serial, revocation, subject)?;
                if let (true, Some(subject), Some(awaited)) = (*untaken, subject, awaited) {
                    self.give_back(&subject.account, awaited.spent)?;
                }
                if revocation.reason != Reason::CertificateHold {
                    self.end_retirements(ca, serial, revocation.reason)?;
                }
                self.note_change(ca, serial, offset);
                self.open_transaction(transaction.as_ref(), offset)?;
            }
            Entry::Released { ca, serial } => {
                self.apply_released(at, ca, serial, subject);
                self.note_change(ca, serial, offset);
            }
            Entry::Crl(crl) => self.apply_crl(crl)?,
            Entry::Accounts(accounts) => self.apply_accounts(accounts, offset)?,
            Entry::AccountChanged(account) => self.apply_account_changed(account)?,
            Entry::AccountRemoved(name) => {
                self.unfile_account(name)?;
                self.end_former_names(name)?;
                self.view.remove(keys::shown(name));
                self.close_requests_of(name)?;
            }
            Entry::AccountRenamed { from, to } => self.apply_renamed(from, to, offset)?,
            Entry::AnchorShown(anchor) => self.apply_anchor_shown(at, anchor)?,
            Entry::AdministratorChanged(administrator) => {
                self.apply_administrator(administrator)?
            }
            Entry::AdministratorRemoved(name) => self.apply_administrator_removed(name),
            Entry::VendorTrusted(vendor) => self.apply_vendor(vendor)?,
            Entry::VendorRemoved(name) => self.apply_vendor_removed(name),
            Entry::Requested(pending) => self.apply_requested(at, pending, offset)?,
            Entry::Joined { request, transaction } => {
                self.apply_joined(request, transaction, offset)?;
            }
            Entry::PartlyApproved { request, approval } => {
                self.apply_partly_approved(request, approval)?;
            }
            Entry::Decided { request, decision } => {
                self.apply_decided(request, decision.verdict, offset)?;
            }
            Entry::Listed { ca, entry } => {
                self.view.set_revocation(ca, &entry.serial, Some(entry.clone()));
                self.note_change(ca, &entry.serial, offset);
            }
            Entry::Restored(restoration) => self.apply_restored(at, restoration, offset)?,
            Entry::AdminAction(done) => {
                self.view.put(keys::deed(&done.action), ordered(at).to_vec());
            }
            // A lock in an old journal is long over: locks are kept in memory now.
            Entry::Locked { .. } | Entry::ClockAccepted { .. } => {}
        }
        self.forget_block(at)
    }

    /// The name of the entry's own transaction in the index.
    fn transaction_id(&self, id: &[u8]) -> TransactionId {
        self.prepared.transaction.unwrap_or_else(|| values::transaction_id(id))
    }

    fn find_issued(&self, ca: &Label, serial: &Serial) -> Result<Option<Subject>, Stop> {
        let Some(SerialState::Issued(offset)) = self.view.serial(serial_number(ca, serial)) else {
            return Ok(None);
        };
        let found = self.certificate(offset)?;
        Ok(found.filter(|found| found.ca == *ca && found.serial == *serial))
    }

    /// The certificate with this serial that a new certificate of this CA replaces; `None` if there is none. The CA may
    /// have signed it with an earlier key, and so as a predecessor. The authority names no certificate of another CA, whose serial number
    /// could be that of another certificate here; earlier journals may.
    fn find_replaced(&self, ca: &Label, serial: &Serial) -> Result<Option<Subject>, Stop> {
        let mut ca = ca.clone();
        for _ in 0..MAX_KEYS {
            if let Some(found) = self.find_issued(&ca, serial)? {
                return Ok(Some(found));
            }
            match self.ca(&ca)?.and_then(|ca| ca.succeeds) {
                Some(succession) => ca = succession.predecessor,
                None => break,
            }
        }
        Ok(None)
    }

    /// The certificate in the entry at `offset`; `None` if the entry has none.
    fn certificate(&self, offset: u64) -> Result<Option<Subject>, Stop> {
        Ok(match self.view.entry(offset)?.ok_or(Stop::NotDurable)? {
            Entry::Issued(Issued { ca, serial, not_after, partition, account, .. }) => {
                let account = self.owner(&account, offset)?.name;
                Some(Subject { offset, ca, serial, not_after, partition, account })
            }
            _ => None,
        })
    }
}
