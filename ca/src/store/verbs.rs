//! What the authority remembers, in domain verbs. Each verb that records something is one atomic transaction with
//! its journal entry, and returns when the entry is durable.
//!
//! `at` is the present moment as the caller's clock tells it, taken when the verb is called. A moment before the last entry's is
//! refused with [`crate::Error::Unavailable`], as a clock that went backwards stops signing; so is one long behind it, where
//! [`EmbeddedOptions::longest_silence`] says how long: a clock that is years ahead would stop signing for years.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::announced::Announced;
use super::history::{Change, Mark};
use crate::clock::Timestamp;
use crate::equipment::Vendor;
use crate::error::Result;
use crate::identity::Identity;
use crate::pending::{Decision, PendingRequest, RequestId, WaitingRequest};
use crate::receipt::Receipt;
use crate::record::{
    Account, CaRecord, CertificateRecord, CrlRecord, CrlScope, Deed, Duty, Incarnation, Issued,
    Label, Revocation, RevokedEntry, Serial, Transaction,
};
use crate::revoked::RevokedSet;
use crate::search::SearchKey;

/// A store of the authority's records. Every verb is atomic, durable when it returns, and safe from any thread.
pub trait Store: Send + Sync {
    /// Records a CA's certificate. A second record of the same name replaces the first.
    fn record_ca(&self, at: Timestamp, ca: &CaRecord) -> Result<()>;

    /// Every CA, in the order of their names.
    fn cas(&self) -> Result<Vec<CaRecord>>;

    /// The issuing CA of accounts that name none: the first one, or the one that was made so last.
    fn default_ca(&self) -> Result<Option<Label>>;

    /// Records what a CA does from now on.
    ///
    /// # Errors
    /// `Conflict` if there is no such issuing CA, or it does not wait to issue.
    fn record_assigned(&self, at: Timestamp, ca: &Label, duty: Duty) -> Result<()>;

    /// Records serials before anything is signed with them.
    ///
    /// # Errors
    /// [`crate::Denial::Conflict`] when one of them was reserved or issued before.
    fn reserve_serials(&self, at: Timestamp, ca: &Label, serials: &[Serial]) -> Result<()> {
        self.begin_reserve(at, ca, serials)?.wait()
    }

    /// As [`Self::reserve_serials`], without waiting: the receipt says when it is durable.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when too much waits; the others come with the receipt.
    fn begin_reserve(&self, at: Timestamp, ca: &Label, serials: &[Serial]) -> Result<Receipt>;

    /// Records a certificate, uses up the account's secret if it says so, and opens its transaction.
    ///
    /// # Errors
    /// `Conflict` if the serial was issued before, `NotAuthorized` if the account is gone or its secret has no use
    /// left or expired, `TransactionInUse` if the transaction's identifier is known.
    fn record_issued(&self, at: Timestamp, issued: &Issued) -> Result<()> {
        self.begin_issued(at, issued.clone())?.wait()
    }

    /// As [`Self::record_issued`], without waiting: nothing of it may leave before the receipt says that it is durable.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when too much waits; the others come with the receipt.
    fn begin_issued(&self, at: Timestamp, issued: Issued) -> Result<Receipt>;

    /// Says that something will probably be recorded soon. While several are at work, what is recorded waits for the others a
    /// moment (2 ms at most), so that one `fdatasync` serves them; who is alone waits for nobody. Held until it is recorded.
    fn announce(&self) -> Announced;

    /// Records that the holder took the certificate, and ends its transaction. The identifier stays known.
    ///
    /// # Errors
    /// `AlreadyConfirmed` if nothing is awaited, `NoSuchCertificate` if the transaction is unknown.
    fn record_confirmed(&self, at: Timestamp, transaction: &[u8]) -> Result<()>;

    /// Records a revocation or a hold, and the transaction that asked for it, if any. If the certificate was awaiting
    /// confirmation, it no longer is.
    ///
    /// # Errors
    /// `NoSuchCertificate`; `AlreadyRevoked` unless a held certificate is now revoked for good;
    /// `TransactionInUse`.
    fn record_revoked(
        &self,
        at: Timestamp,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
        transaction: Option<&Transaction>,
    ) -> Result<()>;

    /// As [`Self::record_revoked`], for a certificate that its holder did not take: the use of the secret comes back
    /// ([`crate::record::MAX_GIVEN_BACK`]). That of a vendor's certificate does not: whoever has its key must not enrol again unseen.
    ///
    /// # Errors
    /// As [`Self::record_revoked`].
    fn record_untaken(
        &self,
        at: Timestamp,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
    ) -> Result<()>;

    /// Records that a held certificate is good again.
    ///
    /// # Errors
    /// `NoSuchCertificate`; `Conflict` if it is not on hold.
    fn record_released(&self, at: Timestamp, ca: &Label, serial: &Serial) -> Result<()>;

    /// Records a CRL before it leaves.
    ///
    /// # Errors
    /// `Conflict` if its number is not larger than the last one of this CA and scope.
    fn record_crl(&self, at: Timestamp, crl: &CrlRecord) -> Result<()>;

    /// Creates accounts, all or none.
    ///
    /// # Errors
    /// `Conflict` that names the first account or reference that exists already.
    fn record_accounts(&self, at: Timestamp, accounts: &[Account]) -> Result<()>;

    /// Replaces an account.
    ///
    /// # Errors
    /// `Conflict` if there is none of this name, or its new reference belongs to another.
    fn record_account_changed(&self, at: Timestamp, account: &Account) -> Result<()>;

    /// Removes an account. Its certificates stay as they are; its requests wait no more.
    ///
    /// # Errors
    /// `Conflict` if there is none of this name.
    fn record_account_removed(&self, at: Timestamp, name: &Label) -> Result<()>;

    /// Records a vendor whose certificates first enrolments may be signed with.
    ///
    /// # Errors
    /// `Conflict` if there is one of this name.
    fn record_vendor(&self, at: Timestamp, vendor: &Vendor) -> Result<()>;

    /// Removes a vendor. Accounts keep what they say of its equipment.
    ///
    /// # Errors
    /// `Conflict` if there is none of this name.
    fn record_vendor_removed(&self, at: Timestamp, name: &Label) -> Result<()>;

    /// Records a request for a certificate that waits for an administrator, and opens its transaction.
    ///
    /// # Errors
    /// `NotAuthorized` if the account is gone; `TransactionInUse`; [`crate::Error::Unavailable`] when too many wait, of
    /// the account or in all.
    fn record_requested(&self, at: Timestamp, pending: &PendingRequest) -> Result<()>;

    /// Records that a transaction asks for what a request asks for that waits or was approved. From now on that request is found,
    /// decided and ended in either transaction.
    ///
    /// # Errors
    /// `Conflict` if no such request of the account waits; `TransactionInUse`; `TooMany`.
    fn record_joined(
        &self,
        at: Timestamp,
        request: &RequestId,
        transaction: &Transaction,
    ) -> Result<()>;

    /// Records what was decided about a request that waits. Once it is approved, a certificate can be issued in its
    /// transaction; withdrawn, it is gone.
    ///
    /// # Errors
    /// `Conflict` if no such request waits, or it was decided before and is not being withdrawn.
    fn record_decided(&self, at: Timestamp, request: &RequestId, decision: &Decision)
    -> Result<()>;

    /// Records what an administrator did.
    fn record_deed(&self, at: Timestamp, deed: &Deed) -> Result<()>;

    /// One certificate.
    fn certificate(&self, ca: &Label, serial: &Serial) -> Result<Option<CertificateRecord>>;

    /// Certificates in the order they were issued: at most `limit`, from position `cursor` (0 at first), of one
    /// account if one is named. The second value is the cursor for the next page, `None` at the end.
    fn certificates(
        &self,
        account: Option<&Label>,
        cursor: u64,
        limit: usize,
    ) -> Result<(Vec<CertificateRecord>, Option<u64>)>;

    /// The certificates that have this key and are `wanted`, newest first, at most `limit`. For each of so many, 32 are looked at.
    fn find(
        &self,
        key: &SearchKey,
        limit: usize,
        wanted: &dyn Fn(&CertificateRecord) -> bool,
    ) -> Result<Vec<CertificateRecord>>;

    /// The present end of the history.
    fn mark(&self) -> Mark;

    /// What changed behind `mark`, in order, and where to go on. It may be a part: go on until the mark does not move.
    fn changes_since(&self, mark: Mark) -> Result<(Vec<Change>, Mark)>;

    /// Waits at most `patience` for something to be recorded behind `mark`; whether something is. It ends when `stop` is
    /// true and [`Self::wake`] is called.
    fn wait_beyond(&self, mark: Mark, patience: Duration, stop: &AtomicBool) -> bool;

    /// Has everybody who waits look at their `stop`.
    fn wake(&self);

    /// Certificates that are neither revoked nor replaced and whose validity ends in `from..until`, at most `limit`, soonest first.
    fn expiring(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<CertificateRecord>>;

    /// The revoked and held certificates of a CA as they are now.
    fn revoked(&self, ca: &Label) -> Result<RevokedSet>;

    /// The revocation or hold of one certificate, in whole seconds; `None` also when there is no such certificate. Cheaper
    /// than [`Self::certificate`].
    fn revocation(&self, ca: &Label, serial: &Serial) -> Result<Option<Revocation>>;

    /// The certificates of a CA of which a revocation, a hold or a release was recorded at the offset `since` of the journal or behind
    /// it, by serial, as they are now: whatever date a revocation has, which may be an old one that was brought back. Entries of those
    /// that are good now have the reason `RemoveFromCrl` and the moment of the release.
    fn changed(&self, ca: &Label, since: u64) -> Result<Vec<RevokedEntry>>;

    /// The largest number of a partition that a certificate of this CA names, if one does.
    fn last_partition(&self, ca: &Label) -> Result<Option<u16>>;

    /// The last CRL of a CA and a scope.
    fn last_crl(&self, ca: &Label, scope: CrlScope) -> Result<Option<CrlRecord>>;

    /// The full CRL to which delta CRLs refer.
    fn base_crl(&self, ca: &Label) -> Result<Option<CrlRecord>>;

    /// The last CRL of each scope of a CA: the full one, the delta, the partitions by number.
    fn crls(&self, ca: &Label) -> Result<Vec<CrlRecord>>;

    /// One account by name.
    fn account(&self, name: &Label) -> Result<Option<Account>>;

    /// Which account has this name; cheaper than [`Self::account`].
    fn incarnation(&self, name: &Label) -> Result<Option<Incarnation>>;

    /// One account by the reference of its secret.
    fn account_by_reference(&self, reference: &str) -> Result<Option<Account>>;

    /// One account by the equipment that it is for.
    fn account_by_equipment(&self, vendor: &Label, value: &str) -> Result<Option<Account>>;

    /// Every vendor, in the order of their names.
    fn vendors(&self) -> Result<Vec<Vendor>>;

    /// The accounts that hold an identity.
    fn holders(&self, identity: &Identity) -> Result<Vec<Account>>;

    /// The account that a certificate was issued to; `None` when it is gone. One that was made later under its name is another one,
    /// and has nothing to do with the certificate.
    fn holder(&self, record: &CertificateRecord) -> Result<Option<Account>> {
        let account = self.account(&record.account)?;
        Ok(account.filter(|account| account.incarnation.precedes(record.offset)))
    }

    /// The request that waits in a transaction at `at`, or that it joined: approved, rejected or undecided.
    fn waiting(&self, at: Timestamp, transaction: &[u8]) -> Result<Option<WaitingRequest>>;

    /// The requests of one account that wait at `at`: approved, rejected or undecided, oldest first.
    fn waiting_of(&self, at: Timestamp, account: &Label) -> Result<Vec<WaitingRequest>>;

    /// Every request that waits at `at`, oldest first.
    fn all_waiting(&self, at: Timestamp) -> Result<Vec<WaitingRequest>>;

    /// How many requests wait at `at`, undecided and approved.
    fn count_waiting(&self, at: Timestamp) -> Result<(usize, usize)>;

    /// Every account, in the order of their names.
    fn accounts(&self) -> Result<Vec<Account>>;

    /// A transaction that is not forgotten at `at`.
    fn transaction(&self, at: Timestamp, id: &[u8]) -> Result<Option<Transaction>>;

    /// The certificate that a transaction issued, if it did and is not forgotten at `at`.
    fn issued_in(&self, at: Timestamp, transaction: &[u8]) -> Result<Option<(Label, Serial)>>;

    /// Certificates that were to be confirmed by `at`, neither confirmed nor revoked, longest overdue first, at most
    /// `limit`.
    fn unconfirmed(&self, at: Timestamp, limit: usize) -> Result<Vec<(Label, Serial)>>;

    /// Records that an administrator says that the clock is right: `at` may be before the last entry, and long behind it.
    fn record_clock_accepted(&self, at: Timestamp, actor: &str) -> Result<()>;

    /// Records what a CRL that was signed before a restore says of a serial of which nothing is known. It stays on the CRLs until
    /// the entry's `not_after` at least.
    ///
    /// # Errors
    /// `Conflict` if the certificate is known, `AlreadyRevoked` if it is listed already.
    fn record_listed(&self, at: Timestamp, ca: &Label, entry: &RevokedEntry) -> Result<()>;

    /// When the journal was last restored from a backup, if it was, and at which offset that stands in it.
    fn restored(&self) -> Result<Option<(Timestamp, u64)>>;

    /// The moment of the last entry; nothing may be signed before it.
    fn last_entry(&self) -> Timestamp;
}
