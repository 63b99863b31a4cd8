//! The verbs of a store: the methods of [`Store`]. Each verb that records something is one atomic transaction together
//! with its journal entry. A `record_…` or `reserve_…` verb returns when the entry is durable, a `begin_…` verb at
//! once.
//!
//! `at` is the present moment by the caller's clock, read when the verb is called. Two moments are refused with
//! [`crate::Error::Unavailable`]: one more than two seconds before the last entry, as a clock that went backwards must
//! not sign; and one long after it ([`super::EmbeddedOptions::longest_silence`]), as entries of a clock that is years
//! ahead would stop all signing for years. A moment that is less than two seconds before the last entry is recorded as
//! that of the last entry.
//!
//! Every verb that records something also fails with [`crate::Error::Unavailable`] if the store is closed, too many
//! requests wait, or the disk fails. Every look-up fails with [`crate::Error::Internal`] if the index or the journal
//! fails.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::announced::Announced;
use super::answers::{AccountList, CertificateList, Enrolled, LastRestore, Page, RequestCounts};
use super::history::{History, Mark};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::name::Identity;
use crate::receipt::Receipt;
use crate::record::Vendor;
use crate::record::approval::{
    Decision, PartialApproval, PendingRequest, RequestId, WaitingRequest,
};
use crate::record::inventory::{AccountQuery, CertificateQuery, ListPlace};
use crate::record::revoked::RevokedSet;
use crate::record::search::SearchKey;
use crate::record::{
    Account, AdminAction, Administrator, AnchorShown, CaRecord, CertificateId, CertificateRecord,
    CrlRecord, CrlScope, Duty, Incarnation, Issued, KnownAnchor, Label, Retirement, Revocation,
    RevokedEntry, Serial, Transaction,
};

/// A store of the authority's records. Every verb is atomic and may be called from any thread.
pub trait Store: Send + Sync {
    /// Records a CA's certificate. It replaces an earlier record of the same name.
    fn record_ca(&self, at: Timestamp, ca: &CaRecord) -> Result<()>;

    /// Every CA, ordered by name.
    fn cas(&self) -> Result<Vec<CaRecord>>;

    /// The default CA, which issues for accounts that name none: the one that an administrator chose last, or else the
    /// first issuing CA; `None` if there is no issuing CA.
    fn default_ca(&self) -> Result<Option<Label>>;

    /// The CAs that were retired, and issue no more.
    fn retired_cas(&self) -> Result<BTreeSet<Label>>;

    /// Records the duty that a CA has from now on.
    ///
    /// # Errors
    /// `Conflict` if there is no such issuing CA; for [`Duty::Issue`] also if the CA does not wait to issue in place of
    /// its predecessor, for [`Duty::Default`] also if it does; for [`Duty::Retire`] also if it is the default CA or retired,
    /// and for every other duty but [`Duty::Return`] if it is retired.
    fn record_assigned(&self, at: Timestamp, ca: &Label, duty: Duty) -> Result<()>;

    /// Records that a peer has the certificate of a CA's next key, without waiting: the receipt resolves when the entry is durable or
    /// refused.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when too many requests wait. With the receipt: `Conflict` if the same evidence is on record, or there is
    /// no such CA with the next key of another one; `NotAuthorized` if the account was removed, or made anew.
    fn begin_anchor_shown(&self, at: Timestamp, shown: AnchorShown) -> Result<Receipt>;

    /// What shows that an account has the certificates of next keys of CAs, oldest first.
    fn anchors_shown(&self, account: &Label) -> Result<Vec<KnownAnchor>>;

    /// Reserves serials before a CA signs with them. A power cut between signature and record so leaves a trace of the
    /// certificate.
    ///
    /// # Errors
    /// [`crate::Denial::Conflict`] when one of the serials was reserved or issued before, [`crate::Error::Malformed`]
    /// unless there are 1 to [`crate::journal::MAX_RESERVED`] of them.
    fn reserve_serials(&self, at: Timestamp, ca: &Label, serials: &[Serial]) -> Result<()> {
        self.begin_reserve(at, ca, serials)?.wait()
    }

    /// As [`Self::reserve_serials`], without waiting: the receipt resolves when the entry is durable or refused.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when too many requests wait. Other errors come with the receipt.
    fn begin_reserve(&self, at: Timestamp, ca: &Label, serials: &[Serial]) -> Result<Receipt>;

    /// Records a certificate before it leaves. Uses up one use of the account's secret or equipment if the record says
    /// so, and opens the certificate's transaction.
    ///
    /// # Errors
    /// `Conflict` if the serial was not reserved or was issued before; `NotAuthorized` if the account was removed, or
    /// made anew since the request was authorized, or its secret is used up or has expired, or the vendor's certificate
    /// of its equipment is used up; `AlreadyRevoked` or, on hold, `SignerNotTrusted` if the certificate to be replaced
    /// is revoked; `TransactionInUse` if the transaction's identifier was used before and that transaction has not
    /// expired.
    fn record_issued(&self, at: Timestamp, issued: &Issued) -> Result<()> {
        self.begin_issued(at, issued.clone())?.wait()
    }

    /// As [`Self::record_issued`], without waiting. The certificate may not leave before the receipt says that its
    /// entry is durable.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when too many requests wait. Other errors come with the receipt.
    fn begin_issued(&self, at: Timestamp, issued: Issued) -> Result<Receipt>;

    /// Announces that the caller will probably record something soon. The writer thread waits up to 2 ms for the
    /// records of all announced callers, so that one `fdatasync` serves them. A caller holds the announcement until it
    /// has recorded; one that is alone does not wait.
    fn announce(&self) -> Announced;

    /// Records that the holder confirmed the certificate of a transaction. The transaction's identifier cannot be used
    /// again before it expires.
    ///
    /// # Errors
    /// `AlreadyConfirmed` if the transaction does not await a confirmation, or not any more; `NoSuchCertificate` if the
    /// transaction is unknown or has expired.
    fn record_confirmed(&self, at: Timestamp, transaction: &[u8]) -> Result<()> {
        self.begin_confirmed(at, transaction)?.wait()
    }

    /// As [`Self::record_confirmed`], without waiting: the receipt resolves when the entry is durable or refused.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when too many requests wait. Other errors come with the receipt.
    fn begin_confirmed(&self, at: Timestamp, transaction: &[u8]) -> Result<Receipt>;

    /// Records a revocation or a hold, and the transaction in which a peer asked for it, if there is one. A confirmation of the
    /// certificate is no longer awaited.
    ///
    /// # Errors
    /// `NoSuchCertificate` if the CA issued no certificate with this serial; `AlreadyRevoked` if it is revoked or on
    /// hold, unless one on hold is now revoked for good; `TransactionInUse` as in [`Self::record_issued`].
    fn record_revoked(
        &self,
        at: Timestamp,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
        transaction: Option<&Transaction>,
    ) -> Result<()>;

    /// As [`Self::record_revoked`], for a certificate that its holder did not accept. If the certificate used the
    /// account's secret, the secret gets the use back, at most [`crate::record::MAX_GIVEN_BACK`] times. A use of the
    /// vendor's certificate does not come back: somebody who stole its key could otherwise enrol any number of times
    /// without a trace.
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

    /// Records that a certificate on hold is good again.
    ///
    /// # Errors
    /// `NoSuchCertificate` if the CA issued no certificate with this serial; `Conflict` if the certificate is not on
    /// hold.
    fn record_released(&self, at: Timestamp, ca: &Label, serial: &Serial) -> Result<()>;

    /// Records a CRL before it leaves.
    ///
    /// # Errors
    /// `Conflict` if the CRL's number is not larger than the last one of this CA and scope.
    fn record_crl(&self, at: Timestamp, crl: &CrlRecord) -> Result<()>;

    /// Creates accounts: all of them, or none.
    ///
    /// # Errors
    /// `Conflict` that names the first account, reference or equipment that exists already.
    fn record_accounts(&self, at: Timestamp, accounts: &[Account]) -> Result<()>;

    /// Replaces the account of the same name. Uses that were spent since the caller read the account stay spent, unless
    /// the change sets a new secret or allows new uses of the equipment.
    ///
    /// # Errors
    /// `Conflict` if there is no account of this name, or its new reference or equipment belongs to another one;
    /// `NotAuthorized` if it was removed and made anew since the caller read it.
    fn record_account_changed(&self, at: Timestamp, account: &Account) -> Result<()>;

    /// Removes an account. Its certificates stay as they are. Its requests are closed.
    ///
    /// # Errors
    /// `Conflict` if there is no account of this name.
    fn record_account_removed(&self, at: Timestamp, name: &Label) -> Result<()>;

    /// Gives an account another name. It stays the same account: everything that names it by the old name is its own, and
    /// the old name is free.
    ///
    /// # Errors
    /// `Conflict` if there is no account of the name `from`, or there is one of the name `to`, or the account was renamed too
    /// often.
    fn record_account_renamed(&self, at: Timestamp, from: &Label, to: &Label) -> Result<()>;

    /// Records a vendor whose certificates may sign first enrolments.
    ///
    /// # Errors
    /// `Conflict` if there is a vendor of this name.
    fn record_vendor(&self, at: Timestamp, vendor: &Vendor) -> Result<()>;

    /// Removes a vendor. Accounts keep their equipment of this vendor.
    ///
    /// # Errors
    /// `Conflict` if there is no vendor of this name.
    fn record_vendor_removed(&self, at: Timestamp, name: &Label) -> Result<()>;

    /// Records an administrator, in place of an earlier record of the same name.
    fn record_administrator(&self, at: Timestamp, administrator: &Administrator) -> Result<()>;

    /// Removes an administrator.
    ///
    /// # Errors
    /// `Conflict` if there is no administrator of this name.
    fn record_administrator_removed(&self, at: Timestamp, name: &Label) -> Result<()>;

    /// Records a request for a certificate that an administrator must decide, and opens its transaction.
    ///
    /// # Errors
    /// `NotAuthorized` if the account was removed, or made anew since the request was authorized; `TransactionInUse`;
    /// `TooMany` if too many requests are open, of the account or in all; [`crate::Error::Malformed`] if the request
    /// has more than 64 KiB.
    fn record_requested(&self, at: Timestamp, pending: &PendingRequest) -> Result<()>;

    /// Records that a transaction asks for the same as an open request, that is, one that is undecided or approved.
    /// From now on that request is found and ended by either transaction.
    ///
    /// # Errors
    /// `Conflict` if the account has no such open request; `TransactionInUse`; `TooMany` if too many transactions
    /// joined the request; [`crate::Error::Internal`] if the transaction would expire later than the request.
    fn record_joined(
        &self,
        at: Timestamp,
        request: &RequestId,
        transaction: &Transaction,
    ) -> Result<()>;

    /// Records a decision about a request. In the transaction of an approved request a certificate can be issued; a
    /// withdrawn request is removed.
    ///
    /// # Errors
    /// `Conflict` if there is no such request, or it was decided before and is not being withdrawn;
    /// [`crate::Error::Malformed`] if the comment is too long.
    fn record_decided(&self, at: Timestamp, request: &RequestId, decision: &Decision)
    -> Result<()>;

    /// Records an approval of a request that does not suffice alone.
    ///
    /// # Errors
    /// As [`Self::record_decided`]; `Conflict` if the same person approved the request before.
    fn record_partly_approved(
        &self,
        at: Timestamp,
        request: &RequestId,
        approval: &PartialApproval,
    ) -> Result<()>;

    /// The people who approved a request that more must approve, in their order.
    fn approvers(&self, request: &RequestId) -> Result<Vec<String>>;

    /// Records an administrator's action that changes no other record.
    fn record_admin_action(&self, at: Timestamp, done: &AdminAction) -> Result<()>;

    /// The certificate of this CA with this serial; `None` if there is none.
    fn certificate(&self, ca: &Label, serial: &Serial) -> Result<Option<CertificateRecord>>;

    /// A page of certificates in the order of issue: at most `limit`, from `cursor` on (0 for the first page), of one account if one is
    /// named. A page may have fewer certificates although more follow: [`Page::next`] tells.
    fn certificates(&self, account: Option<&Label>, cursor: u64, limit: usize) -> Result<Page>;

    /// A page of the certificates that a query asks for, in its order: at most `limit`, after the place `after`, or from the beginning
    /// for `None`. A page may have fewer certificates although more follow: [`CertificateList::next`] tells. Its cost does not grow with
    /// the number of certificates.
    fn list(
        &self,
        query: &CertificateQuery,
        after: Option<ListPlace>,
        limit: usize,
    ) -> Result<CertificateList>;

    /// The certificates that have this search key and are `wanted`, newest first, at most `limit`. At most 32 times
    /// `limit` certificates are looked at.
    fn find(
        &self,
        key: &SearchKey,
        limit: usize,
        wanted: &dyn Fn(&CertificateRecord) -> bool,
    ) -> Result<Vec<CertificateRecord>>;

    /// The mark after the last durable entry.
    fn mark(&self) -> Mark;

    /// The changes after `mark`, in order, and the mark from which to continue. One call may return only a part of the changes: the
    /// caller continues until the mark does not move.
    fn changes_since(&self, mark: Mark) -> Result<History>;

    /// Waits at most `patience` for an entry after `mark`, and returns whether there is one. The wait also ends when `stop` is true and
    /// [`Self::wake`] is called.
    fn wait_beyond(&self, mark: Mark, patience: Duration, stop: &AtomicBool) -> bool;

    /// Wakes every caller of [`Self::wait_beyond`], to look at its `stop`.
    fn wake(&self);

    /// The certificates that are neither revoked, held nor replaced and whose validity ends in `from..until`, soonest
    /// first, at most `limit`.
    fn expiring(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<CertificateRecord>>;

    /// A snapshot of the revoked and held certificates of a CA.
    fn revoked(&self, ca: &Label) -> Result<RevokedSet>;

    /// The revocation or hold of a certificate, with times in whole seconds; `None` also when there is no such
    /// certificate. This is cheaper than [`Self::certificate`].
    fn revocation(&self, ca: &Label, serial: &Serial) -> Result<Option<Revocation>>;

    /// The certificates of a CA whose status an entry at the offset `since` of the journal or after it changed, ordered by serial, as
    /// they are now. A certificate that is good again has the reason `RemoveFromCrl` and the moment of the release. The date of a
    /// revocation does not matter: one that was brought back after a restore has an old date.
    fn changed(&self, ca: &Label, since: u64) -> Result<Vec<RevokedEntry>>;

    /// The largest CRL partition that a certificate of this CA names, if one names any.
    fn last_partition(&self, ca: &Label) -> Result<Option<u16>>;

    /// The last CRL of a CA in a scope; `None` if there is none.
    fn last_crl(&self, ca: &Label, scope: CrlScope) -> Result<Option<CrlRecord>>;

    /// The full CRL to which the delta CRLs of a CA refer; `None` if there is none.
    fn base_crl(&self, ca: &Label) -> Result<Option<CrlRecord>>;

    /// The last CRL of a CA in each scope: the full one, the delta CRL, then the partitions by number.
    fn crls(&self, ca: &Label) -> Result<Vec<CrlRecord>>;

    /// The account of this name; `None` if there is none.
    fn account(&self, name: &Label) -> Result<Option<Account>>;

    /// The incarnation of the account of this name; `None` if there is none. This is cheaper than [`Self::account`].
    fn incarnation(&self, name: &Label) -> Result<Option<Incarnation>>;

    /// The account whose secret has this reference; `None` if there is none.
    fn account_by_reference(&self, reference: &str) -> Result<Option<Account>>;

    /// The account for the equipment that this vendor names by `value`; `None` if there is none.
    fn account_by_equipment(&self, vendor: &Label, value: &str) -> Result<Option<Account>>;

    /// Every vendor, ordered by name.
    fn vendors(&self) -> Result<Vec<Vendor>>;

    /// Every administrator, ordered by name.
    fn administrators(&self) -> Result<Vec<Administrator>>;

    /// The administrator of this name; `None` if there is none.
    fn administrator(&self, name: &Label) -> Result<Option<Administrator>>;

    /// The accounts that hold an identity, compared as [`Identity::is_same`] does.
    fn holders(&self, identity: &Identity) -> Result<Vec<Account>>;

    /// The account that a certificate was issued to; `None` when it was removed. A later account of the same name is
    /// another one, and is not returned.
    fn holder(&self, record: &CertificateRecord) -> Result<Option<Account>> {
        let account = self.account(&record.account)?;
        Ok(account.filter(|account| Some(account.incarnation) == record.incarnation))
    }

    /// The former names of an account.
    fn former_names(&self, account: &Label) -> Result<Vec<Label>>;

    /// The request of a transaction, its own or the one that it joined, if it has not expired at `at`: approved,
    /// rejected or undecided.
    fn waiting(&self, at: Timestamp, transaction: &[u8]) -> Result<Option<WaitingRequest>>;

    /// The requests of an account that have not expired at `at`: approved, rejected or undecided, oldest first.
    fn waiting_of(&self, at: Timestamp, account: &Label) -> Result<Vec<WaitingRequest>>;

    /// Every request that has not expired at `at`, oldest first.
    fn all_waiting(&self, at: Timestamp) -> Result<Vec<WaitingRequest>>;

    /// The number of requests that have not expired at `at`: those that are undecided, and those that are approved.
    fn count_waiting(&self, at: Timestamp) -> Result<RequestCounts>;

    /// Every account, ordered by name.
    fn accounts(&self) -> Result<Vec<Account>>;

    /// A page of the accounts that a query asks for, ordered by name: at most `limit`, after the name `after`, or from the beginning for
    /// `None`. A page may have fewer accounts although more follow: [`AccountList::next`] tells.
    fn list_accounts(
        &self,
        query: &AccountQuery,
        after: Option<&Label>,
        limit: usize,
    ) -> Result<AccountList>;

    /// The newest certificates of each of these accounts, in their order. Certificates of earlier accounts with the same names are not
    /// among them.
    fn enrolled(&self, accounts: &[Account], now: Timestamp) -> Result<Vec<Enrolled>>;

    /// The transaction with this identifier, if it has not expired at `at`. Its [`Transaction::awaits`] is `None` if no
    /// confirmation is awaited, or not any more.
    fn transaction(&self, at: Timestamp, id: &[u8]) -> Result<Option<Transaction>>;

    /// The certificate that was issued in a transaction, if one was and the transaction has not expired at `at`.
    fn issued_in(&self, at: Timestamp, transaction: &[u8]) -> Result<Option<CertificateId>>;

    /// The certificates that were to be confirmed by `at` and are neither confirmed nor revoked, longest overdue first,
    /// at most `limit`.
    fn unconfirmed(&self, at: Timestamp, limit: usize) -> Result<Vec<CertificateId>>;

    /// The certificates that a renewal replaced and that are to be revoked by `at`, longest due first, at most `limit`, behind
    /// the one `after`, or from the first for `None`.
    fn retiring(
        &self,
        at: Timestamp,
        after: Option<&Retirement>,
        limit: usize,
    ) -> Result<Vec<Retirement>>;

    /// When a certificate that a renewal replaced is to be revoked; `None` if it is not to be.
    fn retirement(&self, ca: &Label, serial: &Serial) -> Result<Option<Retirement>>;

    /// Records that an administrator says that the clock is right. `at` may be before the last entry, or long after it:
    /// it is not refused.
    fn record_clock_accepted(&self, at: Timestamp, actor: &str) -> Result<()>;

    /// Records that a CRL that was signed before a restore lists a serial number for which the journal has no
    /// certificate. The serial stays on the CRLs until the entry's `not_after` at least.
    ///
    /// # Errors
    /// `Conflict` if the certificate is known, `AlreadyRevoked` if the serial is listed already.
    fn record_listed(&self, at: Timestamp, ca: &Label, entry: &RevokedEntry) -> Result<()>;

    /// When the journal was last restored from a backup, and the offset of the entry that says so; `None` if it never
    /// was.
    fn restored(&self) -> Result<Option<LastRestore>>;

    /// When administrators last did something, by the name of the action, such as `backup`; `None` if they never did.
    fn last_done(&self, action: &str) -> Result<Option<Timestamp>>;

    /// When the last entry was recorded; 1970-01-01 if there is none. Nothing may be signed before that moment.
    fn last_entry(&self) -> Timestamp;
}
