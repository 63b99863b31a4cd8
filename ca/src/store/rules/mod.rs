//! What each entry demands of the records before it, and what it changes in the index.
//!
//! [`Rules::find`] looks up what an entry is about, [`Rules::check`] refuses, [`Rules::apply`] changes. A replay calls
//! the same without `check`. All three depend on nothing but the index and the journal, so that a rebuild ends with
//! the same index.
//!
//! | key | value |
//! |---|---|
//! | `A` account | the account |
//! | `R` reference | the account's name |
//! | `E` vendor 0 value | the name of the account that is for this equipment |
//! | `V` vendor | the vendor |
//! | `C` CA | whether it is a root, and its certificate |
//! | `l` CA 0 scope | the last CRL's record; `f` full, `d` delta, `p` number a partition, `b` the base of deltas |
//! | `p` CA 0 | the largest number of a partition that a certificate names |
//! | `b` offset | numbers of the serials that the entry there reserved and that are not used yet |
//! | `s` n | numbers and offsets of the n-th 64 certificates |
//! | `a` n part | of the n-th 4096 certificates, whose they are; the accounts' numbers divide them into 64 parts |
//! | `h` n part | of the n-th 4096 certificates, those that have a search key; the keys' numbers divide them into 256 parts |
//! | `e` day offset | offsets, from that one on, of certificates that end on that day and are neither revoked nor replaced |
//! | `r` CA 0 serial | the revocation or hold |
//! | `f` CA 0 serial | when it was released from hold |
//! | `c` CA 0 offset | the serial whose revocation, hold or release the entry there recorded |
//! | `u` CA 0 serial | not confirmed; the entry and the transaction that awaits it, if any, and until when |
//! | `w` until CA 0 serial | awaits its confirmation until then |
//! | `q` request | a request that waits for an administrator: its entry, until when, what was decided, the account |
//! | `j` transaction | the request that it joined |
//! | `n` account | when the requests expire that wait, of the account, or without one of all |
//! | `i` identity | the accounts that hold it |
//! | `t` span n | the n-th 32 transactions that end in a span of 65 seconds |
//! | `z` | when the journal was last restored from a backup, and the offset of that entry |
//!
//! Values grow at few places at a time, in the order of the journal: a random place for each certificate costs sled
//! ten times as much.

use std::collections::HashSet;
use std::fs::File;

use super::index::{Layered, ORDER_CHUNK};
use super::packed;
use super::records::{self, Awaited, Mark, TransactionId, TransactionState, transaction_id};
use super::serials::{Slot, label_number, serial_number};
use super::waiting::{PendingRow, identity_key, joined_key, with_holder};
use crate::clock::Timestamp;
use crate::equipment::{Equipment, Vendor, no_vendor};
use crate::error::{Denial, Error, Result};
use crate::journal::{
    self, Entry, MAX_RESERVED, decode_account, decode_ca, decode_crl, encode_account, encode_ca,
    encode_crl, encode_vendor, incarnation_of,
};
use crate::pending::RequestId;
use crate::record::{
    Account, AccountSecret, CaRecord, CrlRecord, Duty, Incarnation, Issued, Label, MAX_GIVEN_BACK,
    OWN_ACCOUNT_PREFIX, Reason, Restoration, Revocation, RevokedEntry, Serial, Transaction,
};
use crate::search::SearchKey;

/// The key of the name of the default CA.
pub const DEFAULT_CA: &[u8] = b"D";
/// Certificates over which the accounts' are looked up together.
pub const ACCOUNT_SPAN: u64 = 4096;
/// Certificates over which search keys are looked up together.
pub const SEARCH_SPAN: u64 = 4096;
/// Certificates in one value of those that end on a day.
const EXPIRY_CHUNK: usize = 64;
/// Keys that a CA had one after the other, over which a replaced certificate is looked for.
const MAX_KEYS: usize = 64;
/// Transactions in one value.
const TRANSACTION_CHUNK: usize = 32;
/// The longest transaction identifier, in octets.
const MAX_TRANSACTION_ID: usize = 64;
/// The key of the last restore.
pub const RESTORED: &[u8] = b"z";
/// The longest context of a transaction, in octets.
const MAX_CONTEXT: usize = 64 << 10;

/// Why an entry is not taken.
#[derive(Debug)]
pub enum Stop {
    /// It is refused.
    Refused(Error),
    /// It is about a certificate that is recorded in the same group: commit the group first.
    Pending,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// The certificate that an entry is about: the one it confirms, revokes, releases or replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    offset: u64,
    ca: Label,
    serial: Serial,
    not_after: Timestamp,
    partition: Option<u16>,
    account: Label,
}

/// The rules at work on one group of entries.
pub struct Rules<'a> {
    /// The index with the group's changes.
    pub view: Layered<'a>,
    /// The journal.
    pub journal: &'a File,
    /// Up to where the journal can be read.
    pub durable: u64,
    /// How many certificates were issued.
    pub certificates: &'a mut u64,
}

impl Rules<'_> {
    /// Looks up the certificate that an entry is about, if it is about one that exists.
    ///
    /// # Errors
    /// [`Stop::Pending`] when it is in the same group.
    pub fn find(&self, entry: &Entry) -> Result<Option<Found>, Stop> {
        match entry {
            Entry::Issued(Issued { ca, replaces: Some(serial), .. }) => {
                self.find_replaced(ca, serial)
            }
            Entry::Revoked { ca, serial, .. } | Entry::Released { ca, serial } => {
                self.find_issued(ca, serial)
            }
            Entry::Confirmed { transaction } => {
                match self.view.transaction(&transaction_id(transaction)) {
                    Some(state) => self.certificate(state.offset),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn find_issued(&self, ca: &Label, serial: &Serial) -> Result<Option<Found>, Stop> {
        let Some(Slot::Issued(offset)) = self.view.slot(serial_number(ca, serial)) else {
            return Ok(None);
        };
        let found = self.certificate(offset)?;
        Ok(found.filter(|found| found.ca == *ca && found.serial == *serial))
    }

    /// What a certificate of this CA replaces may have been signed with a key that the CA had before.
    fn find_replaced(&self, ca: &Label, serial: &Serial) -> Result<Option<Found>, Stop> {
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

    /// Whether the entry may be recorded at `at`.
    ///
    /// # Errors
    /// The errors that [`crate::Store`] documents for the entry's verb.
    pub fn check(&self, at: Timestamp, entry: &Entry, found: Option<&Found>) -> Result<()> {
        match entry {
            Entry::Reserved { ca, serials } => self.check_reserved(ca, serials),
            Entry::Issued(issued) => self.check_issued(at, issued, found),
            Entry::Confirmed { transaction } => self.check_confirmed(at, transaction),
            Entry::Revoked { ca, serial, revocation, transaction, .. } => {
                self.check_revoked(ca, serial, revocation, found)?;
                self.check_transaction(at, transaction.as_ref())
            }
            Entry::Released { ca, serial } => match (found, self.revocation(ca, serial)?) {
                (None, _) => Err(no_certificate(ca, serial)),
                (_, Some(Revocation { reason: Reason::CertificateHold, .. })) => Ok(()),
                _ => Err(conflict(format!("certificate `{serial}` of `{ca}` is not on hold"))),
            },
            Entry::Crl(crl) => self.check_crl(crl),
            Entry::Accounts(accounts) => self.check_accounts(accounts),
            Entry::AccountChanged(account) => {
                self.known_account(&account.name)?;
                let asked = Some(account.incarnation).filter(|own| *own != Incarnation::NONE);
                self.check_account(&account.name, asked)?;
                self.check_equipment(account)?;
                self.check_reference(account, Some(&account.name))
            }
            Entry::AccountRemoved(name) => self.known_account(name).map(|_| ()),
            Entry::VendorTrusted(vendor) => self.check_vendor(vendor),
            Entry::VendorRemoved(name) => match self.view.value(&vendor_key(name))? {
                Some(_) => Ok(()),
                None => Err(no_vendor(name)),
            },
            Entry::Requested(pending) => self.check_requested(at, pending),
            Entry::Joined { request, transaction } => self.check_joined(at, request, transaction),
            Entry::Decided { request, decision } => self.check_decided(at, request, decision),
            Entry::Assigned { ca, duty } => self.check_assigned(ca, *duty),
            Entry::Listed { ca, entry } => self.check_listed(ca, &entry.serial),
            Entry::Restored(_) => Err(conflict("a restore writes its entry itself".into())),
            Entry::Locked { .. } => {
                Err(conflict("locks are kept in memory, and recorded in old journals only".into()))
            }
            Entry::Ca(_) | Entry::Deed(_) | Entry::ClockAccepted { .. } => Ok(()),
        }
    }

    /// Changes the index as the entry at `offset` demands.
    ///
    /// # Errors
    /// [`Error::Internal`] when the index fails.
    pub fn apply(
        &mut self,
        at: Timestamp,
        entry: &Entry,
        found: Option<&Found>,
        offset: u64,
    ) -> Result<()> {
        match entry {
            Entry::Ca(ca) => self.apply_ca(ca)?,
            Entry::Assigned { ca, duty } => self.apply_assigned(ca, *duty)?,
            Entry::Reserved { ca, serials } => self.apply_reserved(ca, serials, offset),
            Entry::Issued(issued) => self.apply_issued(issued, found, offset)?,
            Entry::Confirmed { transaction } => {
                self.close(&transaction_id(transaction), None)?;
                if let Some(found) = found {
                    let key = packed::serial_key(b'u', &found.ca, &found.serial);
                    let awaited = self.view.value(&key)?;
                    if let Some(awaited) = awaited.as_deref().and_then(records::read_awaited) {
                        let until = awaited.until;
                        self.view.remove(packed::awaited_key(until, &found.ca, &found.serial));
                    }
                    self.view.remove(key);
                }
            }
            Entry::Revoked { ca, serial, revocation, transaction, untaken } => {
                self.apply_revoked(ca, serial, revocation, found, *untaken)?;
                self.note_change(ca, serial, offset);
                self.open(transaction.as_ref(), offset, false)?;
            }
            Entry::Released { ca, serial } => {
                self.apply_released(at, ca, serial, found);
                self.note_change(ca, serial, offset);
            }
            Entry::Crl(crl) => {
                let record = encode_crl(crl)?;
                if crl.is_base {
                    self.view.put(packed::crl_key(&crl.ca, None), record.clone());
                }
                self.view.put(packed::crl_key(&crl.ca, Some(crl.scope)), record);
            }
            Entry::Accounts(accounts) => {
                for account in accounts {
                    let incarnation = Incarnation::new(offset);
                    self.put_account(&Account { incarnation, ..account.clone() })?;
                    self.put_identities(account, true)?;
                }
            }
            Entry::AccountChanged(account) => {
                let before = self.account(&account.name)?;
                self.remove_account(&account.name)?;
                let account = with_uses_of(account, before);
                self.put_account(&account)?;
                self.put_identities(&account, true)?;
            }
            Entry::AccountRemoved(name) => {
                self.remove_account(name)?;
                self.end_requests_of(name)?;
            }
            Entry::VendorTrusted(vendor) => {
                self.view.put(vendor_key(&vendor.name), encode_vendor(vendor)?);
            }
            Entry::VendorRemoved(name) => self.view.remove(vendor_key(name)),
            Entry::Requested(pending) => self.apply_requested(at, pending, offset)?,
            Entry::Joined { request, transaction } => {
                self.apply_joined(request, transaction, offset)?;
            }
            Entry::Decided { request, decision } => {
                self.apply_decided(request, decision.verdict, offset)?;
            }
            Entry::Listed { ca, entry } => {
                self.view.set_revoked(ca, &entry.serial, Some(entry.clone()));
                self.note_change(ca, &entry.serial, offset);
            }
            Entry::Restored(restoration) => self.apply_restored(at, restoration, offset)?,
            // Of old journals: the lock it tells of is over, as locks are kept in memory now.
            Entry::Locked { .. } | Entry::Deed(_) | Entry::ClockAccepted { .. } => {}
        }
        self.forget(at)
    }

    fn ca(&self, name: &Label) -> Result<Option<CaRecord>> {
        let record = self.view.value(&packed::key(b'C', name.as_str().as_bytes()))?;
        record.map(|octets| decode_ca(&octets)).transpose()
    }

    fn check_assigned(&self, name: &Label, duty: Duty) -> Result<()> {
        let ca = self.ca(name)?.filter(|ca| !ca.is_root).ok_or_else(|| {
            conflict(format!("there is no issuing CA `{name}`; `countersign ca show` lists them"))
        })?;
        let waits = ca.succeeds.is_some_and(|succession| succession.waits);
        match duty {
            Duty::Issue if !waits => {
                Err(conflict(format!("the CA `{name}` does not wait to issue in place of another")))
            }
            Duty::Default if waits => Err(conflict(format!(
                "the CA `{name}` waits to issue in place of another: `countersign ca activate {name}` first"
            ))),
            _ => Ok(()),
        }
    }

    /// The first issuing CA is the default until another is made so.
    fn apply_ca(&mut self, ca: &CaRecord) -> Result<()> {
        self.view.put(packed::key(b'C', ca.name.as_str().as_bytes()), encode_ca(ca)?);
        if !ca.is_root && self.view.value(DEFAULT_CA)?.is_none() {
            self.view.put(DEFAULT_CA.to_vec(), ca.name.as_str().as_bytes().to_vec());
        }
        Ok(())
    }

    fn apply_assigned(&mut self, name: &Label, duty: Duty) -> Result<()> {
        match (duty, self.ca(name)?) {
            (Duty::Default, _) => {
                self.view.put(DEFAULT_CA.to_vec(), name.as_str().as_bytes().to_vec());
            }
            (Duty::Issue, Some(mut ca)) => {
                if let Some(succession) = &mut ca.succeeds {
                    succession.waits = false;
                }
                self.apply_ca(&ca)?;
            }
            (Duty::Issue, None) => {}
        }
        Ok(())
    }

    /// Only what is not known otherwise: a certificate that is known is revoked.
    fn check_listed(&self, ca: &Label, serial: &Serial) -> Result<()> {
        if let Some(Slot::Issued(_)) = self.view.slot(serial_number(ca, serial)) {
            return Err(conflict(format!("certificate `{serial}` of `{ca}` is known: revoke it")));
        }
        match self.revocation(ca, serial)? {
            Some(before) => Err(Error::denied(
                Denial::AlreadyRevoked,
                format!("`{serial}` of `{ca}` is listed as revoked at {} already", before.at),
            )),
            None => Ok(()),
        }
    }

    /// What was counted since the backup is lost: secrets and vendors' certificates have no uses left, unless an administrator said
    /// that they have. A certificate may have been confirmed since, so that none is revoked for want of its confirmation.
    ///
    /// INVARIANT: this entry is alone in its group, so that the index has everything.
    fn apply_restored(
        &mut self,
        at: Timestamp,
        restoration: &Restoration,
        offset: u64,
    ) -> Result<()> {
        self.view.put(RESTORED.to_vec(), records::encode_restored(at, offset));
        let mut awaited = Vec::new();
        self.view.index.scan(b"w", b"w", |key, _| {
            awaited.push(key.to_vec());
            Ok(true)
        })?;
        for key in awaited {
            self.view.remove(key);
        }
        if restoration.keeps_uses {
            return Ok(());
        }
        let mut accounts = Vec::new();
        self.view.index.scan(b"A", b"A", |_, value| {
            let account = decode_account(value)?;
            accounts.extend(Some(account).filter(has_uses));
            Ok(true)
        })?;
        for mut account in accounts {
            if let Some(secret) = &mut account.secret {
                secret.uses_left = 0;
                // Nor do any come back, of certificates that the lost instance may have seen confirmed.
                secret.given_back = MAX_GIVEN_BACK;
            }
            if let Some(equipment) = &mut account.equipment {
                equipment.uses_left = 0;
            }
            self.put_account(&account)?;
        }
        Ok(())
    }

    fn check_reserved(&self, ca: &Label, serials: &[Serial]) -> Result<()> {
        if serials.is_empty() || serials.len() > MAX_RESERVED {
            return Err(Error::malformed(format!(
                "expected 1 to {MAX_RESERVED} serials to reserve, found {}",
                serials.len()
            )));
        }
        let mut seen = HashSet::with_capacity(serials.len());
        for serial in serials {
            let number = serial_number(ca, serial);
            if self.view.slot(number).is_some() || !seen.insert(number) {
                return Err(conflict(format!("serial `{serial}` of `{ca}` was reserved before")));
            }
        }
        Ok(())
    }

    fn check_issued(&self, at: Timestamp, issued: &Issued, found: Option<&Found>) -> Result<()> {
        let Issued { ca, serial, .. } = issued;
        match self.view.slot(serial_number(ca, serial)) {
            Some(Slot::Reserved(_)) => {}
            Some(Slot::Issued(_)) => {
                return Err(conflict(format!("serial `{serial}` of `{ca}` was issued before")));
            }
            None => {
                return Err(conflict(format!(
                    "serial `{serial}` of `{ca}` was not reserved: reserve it before signing"
                )));
            }
        }
        let own = issued.account.as_str().starts_with(OWN_ACCOUNT_PREFIX);
        if !own {
            self.check_account(&issued.account, issued.incarnation)?;
        }
        let account = self.account_octets(&issued.account)?;
        if let Some(octets) = account.filter(|_| issued.consumes_secret) {
            let account = decode_account(&octets)?;
            let name = &account.name;
            let secret = account
                .secret
                .ok_or_else(|| not_authorized(format!("account `{name}` has no secret")))?;
            if secret.uses_left == 0 {
                return Err(not_authorized(format!(
                    "the secret of account `{name}` is used up: reset it"
                )));
            }
            if secret.expires <= at {
                return Err(not_authorized(format!(
                    "the secret of account `{name}` expired at {}: reset it",
                    secret.expires
                )));
            }
        }
        self.check_uses_of_equipment(issued)?;
        if let Some(replaced) = found {
            self.check_replaced(replaced)?;
        }
        match &issued.transaction {
            Some(transaction) if self.is_approved(at, transaction)? => Ok(()),
            transaction => self.check_transaction(at, transaction.as_ref()),
        }
    }

    /// The account is there, and is the one that was authorized, not a later one of its name.
    pub(super) fn check_account(&self, name: &Label, asked: Option<Incarnation>) -> Result<()> {
        match (self.incarnation(name)?, asked) {
            (None, _) => Err(not_authorized(format!("account `{name}` does not exist any more"))),
            (Some(own), Some(asked)) if own != asked => Err(not_authorized(format!(
                "account `{name}` was removed, and another one of this name was added meanwhile"
            ))),
            _ => Ok(()),
        }
    }

    /// Which account has this name now.
    pub(super) fn incarnation(&self, name: &Label) -> Result<Option<Incarnation>> {
        self.account_octets(name)?.map(|octets| incarnation_of(&octets)).transpose()
    }

    /// Who signed a key update was looked at when the message came. The certificate may have been revoked since.
    fn check_replaced(&self, replaced: &Found) -> Result<()> {
        let Found { ca, serial, .. } = replaced;
        match self.revocation(ca, serial)? {
            None => Ok(()),
            Some(Revocation { at, reason, .. }) => Err(Error::denied(
                match reason {
                    Reason::CertificateHold => Denial::SignerNotTrusted,
                    _ => Denial::AlreadyRevoked,
                },
                format!(
                    "certificate `{serial}` of `{ca}`, which is to be replaced, was revoked at {at} ({reason})"
                ),
            )),
        }
    }

    pub(super) fn check_transaction(
        &self,
        at: Timestamp,
        transaction: Option<&Transaction>,
    ) -> Result<()> {
        let Some(transaction) = transaction else { return Ok(()) };
        let (id, context) = (transaction.id.len(), transaction.context.len());
        if !(1..=MAX_TRANSACTION_ID).contains(&id) || context > MAX_CONTEXT {
            return Err(Error::malformed(format!(
                "expected a transaction identifier of 1 to {MAX_TRANSACTION_ID} octets and a context of at most \
                 {MAX_CONTEXT}, found {id} and {context}"
            )));
        }
        match self.view.transaction(&transaction_id(&transaction.id)) {
            Some(known) if known.expires > at => Err(Error::denied(
                Denial::TransactionInUse,
                "the transaction identifier was used before: choose a new one",
            )),
            _ => Ok(()),
        }
    }

    fn check_confirmed(&self, at: Timestamp, id: &[u8]) -> Result<()> {
        let known = self.view.transaction(&transaction_id(id));
        match known.filter(|known| known.expires > at) {
            None => Err(Error::denied(
                Denial::NoSuchCertificate,
                "no transaction of this identifier is known, or it has expired",
            )),
            Some(TransactionState { is_awaiting: false, .. }) => Err(Error::denied(
                Denial::AlreadyConfirmed,
                "the transaction awaits no confirmation any more",
            )),
            Some(_) => Ok(()),
        }
    }

    fn check_revoked(
        &self,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
        found: Option<&Found>,
    ) -> Result<()> {
        if found.is_none() {
            return Err(no_certificate(ca, serial));
        }
        match self.revocation(ca, serial)? {
            Some(before)
                if before.reason != Reason::CertificateHold
                    || revocation.reason == Reason::CertificateHold =>
            {
                Err(Error::denied(
                    Denial::AlreadyRevoked,
                    format!(
                        "certificate `{serial}` of `{ca}` was revoked at {} ({})",
                        before.at, before.reason
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    fn check_crl(&self, crl: &CrlRecord) -> Result<()> {
        let last = self.view.value(&packed::crl_key(&crl.ca, Some(crl.scope)))?;
        match last.map(|octets| decode_crl(&octets)).transpose()? {
            Some(last) if last.number >= crl.number => Err(conflict(format!(
                "expected a CRL number above `{}`, the last one of `{}` ({}), found `{}`",
                last.number, crl.ca, crl.scope, crl.number
            ))),
            _ => Ok(()),
        }
    }

    fn check_accounts(&self, accounts: &[Account]) -> Result<()> {
        let (mut names, mut references) = (HashSet::new(), HashSet::new());
        let mut equipment = HashSet::new();
        for account in accounts {
            if let Some(of) = &account.equipment
                && !equipment.insert((&of.vendor, &of.value))
            {
                return Err(conflict(format!("`{of}` is the equipment of another account, too")));
            }
            self.check_equipment(account)?;
            let name = &account.name;
            if !names.insert(name) || self.account(name)?.is_some() {
                return Err(conflict(format!("account `{name}` exists already")));
            }
            if let Some(secret) = &account.secret
                && !references.insert(&secret.reference)
            {
                return Err(reference_taken(&secret.reference));
            }
            self.check_reference(account, None)?;
        }
        Ok(())
    }

    fn check_reference(&self, account: &Account, owner: Option<&Label>) -> Result<()> {
        let Some(secret) = &account.secret else { return Ok(()) };
        match self.account_of(&secret.reference)? {
            Some(other) if Some(&other.name) != owner => Err(reference_taken(&secret.reference)),
            _ => Ok(()),
        }
    }

    /// Equipment is for one account.
    fn check_equipment(&self, account: &Account) -> Result<()> {
        let Some(equipment) = &account.equipment else { return Ok(()) };
        let name = self.view.value(&equipment_key(equipment))?;
        match name.map(|name| records::label(&name)).transpose()? {
            Some(other) if other != account.name => {
                Err(conflict(format!("`{equipment}` is the equipment of the account `{other}`")))
            }
            _ => Ok(()),
        }
    }

    fn check_uses_of_equipment(&self, issued: &Issued) -> Result<()> {
        if !issued.consumes_equipment {
            return Ok(());
        }
        let equipment = self.account(&issued.account)?.and_then(|account| account.equipment);
        match equipment.filter(|equipment| equipment.uses_left > 0) {
            Some(_) => Ok(()),
            None => Err(not_authorized(format!(
                "the vendor's certificate for the account `{}` is used up",
                issued.account
            ))),
        }
    }

    fn check_vendor(&self, vendor: &Vendor) -> Result<()> {
        match self.view.value(&vendor_key(&vendor.name))? {
            None => Ok(()),
            Some(_) => Err(conflict(format!("the vendor `{}` is trusted already", vendor.name))),
        }
    }

    fn known_account(&self, name: &Label) -> Result<Account> {
        self.account(name)?.ok_or_else(|| conflict(format!("there is no account `{name}`")))
    }

    fn apply_reserved(&mut self, ca: &Label, serials: &[Serial], offset: u64) {
        let mut block = Vec::with_capacity(serials.len().saturating_mul(8));
        for serial in serials {
            let number = serial_number(ca, serial);
            block.extend_from_slice(&number.to_be_bytes());
            self.view.set_slot(number, Slot::Reserved(offset));
        }
        self.view.put(packed::key(b'b', &offset.to_be_bytes()), block);
    }

    fn apply_issued(&mut self, issued: &Issued, found: Option<&Found>, offset: u64) -> Result<()> {
        let number = serial_number(&issued.ca, &issued.serial);
        if let Some(Slot::Reserved(block)) = self.view.slot(number) {
            self.use_reserved(block, number)?;
        }
        self.view.set_slot(number, Slot::Issued(offset));
        self.add_to_order(number, offset)?;
        self.add_to_account(&issued.account)?;
        self.add_to_search(&issued.certificate);
        *self.certificates += 1;
        self.add_to_expiring(issued.not_after, offset)?;
        self.note_partition(issued)?;
        if issued.consumes_secret
            && let Some(mut account) = self.account(&issued.account)?
        {
            if let Some(secret) = &mut account.secret {
                secret.uses_left = secret.uses_left.saturating_sub(1);
            }
            self.put_account(&account)?;
        }
        if issued.consumes_equipment
            && let Some(mut account) = self.account(&issued.account)?
        {
            if let Some(equipment) = &mut account.equipment {
                equipment.uses_left = equipment.uses_left.saturating_sub(1);
            }
            self.put_account(&account)?;
        }
        if let Some(replaced) = found {
            self.remove_from_expiring(replaced)?;
        }
        if let Some(transaction) = &issued.transaction {
            self.end_request(&transaction.id)?;
        }
        if let Some(Transaction { id, awaits: Some(_), confirm_until, expires, .. }) =
            &issued.transaction
        {
            let until = confirm_until.unwrap_or(*expires);
            let spent = self.spent_by(issued)?;
            let awaited = Awaited { offset, id: transaction_id(id), until, spent };
            let (ca, serial) = (&issued.ca, &issued.serial);
            self.view.put(packed::serial_key(b'u', ca, serial), records::encode_awaited(&awaited));
            self.view.put(packed::awaited_key(until, ca, serial), Vec::new());
        }
        self.open(issued.transaction.as_ref(), offset, false)
    }

    fn apply_revoked(
        &mut self,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
        found: Option<&Found>,
        untaken: bool,
    ) -> Result<()> {
        let entry = RevokedEntry {
            serial: *serial,
            not_after: found.map_or(Timestamp::default(), |found| found.not_after),
            partition: found.and_then(|found| found.partition),
            revocation: revocation.clone(),
        };
        self.view.set_revoked(ca, serial, Some(entry));
        self.view.remove(packed::serial_key(b'f', ca, serial));
        if revocation.reason != Reason::CertificateHold
            && let Some(found) = found
        {
            self.remove_from_expiring(found)?;
        }
        let unconfirmed = packed::serial_key(b'u', ca, serial);
        if let Some(value) = self.view.value(&unconfirmed)? {
            self.view.put(unconfirmed, Vec::new());
            if let Some(awaited) = records::read_awaited(&value) {
                self.view.remove(packed::awaited_key(awaited.until, ca, serial));
                if let (true, Some(found), Some(spent)) = (untaken, found, &awaited.spent) {
                    self.give_back(&found.account, spent)?;
                }
                self.close(&awaited.id, Some(awaited.offset))?;
            }
        }
        Ok(())
    }

    /// The secret that a certificate used.
    fn spent_by(&self, issued: &Issued) -> Result<Option<Mark>> {
        if !issued.consumes_secret {
            return Ok(None);
        }
        let secret = self.account(&issued.account)?.and_then(|account| account.secret);
        Ok(secret.as_ref().map(AccountSecret::mark))
    }

    /// One use comes back, if it is one of the secret that the account still has.
    fn give_back(&mut self, name: &Label, spent: &Mark) -> Result<()> {
        let Some(mut account) = self.account(name)? else { return Ok(()) };
        let secret = account.secret.as_mut().filter(|secret| secret.mark() == *spent);
        if let Some(secret) = secret.filter(|secret| secret.given_back < MAX_GIVEN_BACK) {
            secret.given_back = secret.given_back.saturating_add(1);
            secret.uses_left = secret.uses_left.saturating_add(1);
            self.put_account(&account)?;
        }
        Ok(())
    }

    fn apply_released(
        &mut self,
        at: Timestamp,
        ca: &Label,
        serial: &Serial,
        found: Option<&Found>,
    ) {
        let entry = RevokedEntry {
            serial: *serial,
            not_after: found.map_or(Timestamp::default(), |found| found.not_after),
            partition: found.and_then(|found| found.partition),
            revocation: Revocation { at, reason: Reason::RemoveFromCrl, invalidity: None },
        };
        self.view.set_revoked(ca, serial, None);
        self.view.put(packed::serial_key(b'f', ca, serial), records::encode_revocation(&entry));
    }

    /// What a CRL lacks goes by the place in the journal: a revocation's own date may be older than the CRL.
    fn note_change(&mut self, ca: &Label, serial: &Serial, offset: u64) {
        self.view.put(packed::change_key(ca, offset), serial.octets().to_vec());
    }

    fn note_partition(&mut self, issued: &Issued) -> Result<()> {
        let Some(number) = issued.partition else { return Ok(()) };
        let key = packed::named_key(b'p', &issued.ca, &[]);
        let known = self.view.value(&key)?;
        let known = known.and_then(|octets| octets.first_chunk().copied());
        if known.is_none_or(|known| u16::from_be_bytes(known) < number) {
            self.view.put(key, number.to_be_bytes().to_vec());
        }
        Ok(())
    }

    fn use_reserved(&mut self, block: u64, number: u64) -> Result<()> {
        let key = packed::key(b'b', &block.to_be_bytes());
        let is_used_up = self.view.edit(key.clone(), |value| {
            packed::remove_number(value, number);
            value.is_empty()
        })?;
        if is_used_up {
            self.view.remove(key);
        }
        Ok(())
    }

    fn add_to_order(&mut self, number: u64, offset: u64) -> Result<()> {
        let chunk = *self.certificates / ORDER_CHUNK;
        let key = packed::key(b's', &chunk.to_be_bytes());
        self.view.edit(key, |value| packed::push_numbered(value, number, offset))
    }

    fn add_to_account(&mut self, account: &Label) -> Result<()> {
        let (part, number) = account_number(account);
        let key = account_key(*self.certificates / ACCOUNT_SPAN, part);
        let which = *self.certificates % ACCOUNT_SPAN;
        self.view.edit(key, |value| packed::push_member(value, number, which))
    }

    fn add_to_search(&mut self, certificate: &[u8]) {
        let (span, which) = (*self.certificates / SEARCH_SPAN, *self.certificates % SEARCH_SPAN);
        for found in SearchKey::of(certificate) {
            let (part, number) = search_number(found.fingerprint());
            self.view.edit_search(span, part, |value| packed::push_member(value, number, which));
        }
    }

    fn add_to_expiring(&mut self, not_after: Timestamp, offset: u64) -> Result<()> {
        let (day, millis) = packed::day_of(not_after);
        let last = self.view.day(day).map(|first| packed::expiring_key(day, first));
        let value = last.as_ref().map_or(Ok(None), |key| self.view.value(key))?;
        let (key, mut value) = match (last, value) {
            (Some(key), Some(value)) if packed::timed_offsets(&value).count() < EXPIRY_CHUNK => {
                (key, value)
            }
            _ => {
                self.view.set_day(day, offset);
                (packed::expiring_key(day, offset), Vec::new())
            }
        };
        packed::push_timed(&mut value, offset, millis);
        self.view.put(key, value);
        Ok(())
    }

    /// The value stays, if empty: where the next one goes must not depend on what was removed.
    fn remove_from_expiring(&mut self, found: &Found) -> Result<()> {
        let (day, _) = packed::day_of(found.not_after);
        let (first, until) = (
            packed::expiring_key(day, 0),
            packed::expiring_key(day, found.offset.saturating_add(1)),
        );
        let Some((key, value)) = self.view.last(&first, &until)? else { return Ok(()) };
        let mut left = Vec::new();
        for (offset, millis) in packed::timed_offsets(&value) {
            if offset != found.offset {
                packed::push_timed(&mut left, offset, millis);
            }
        }
        if left.len() < value.len() {
            self.view.put(key, left);
        }
        Ok(())
    }

    /// Opens a transaction that the entry at `offset` holds.
    pub(super) fn open(
        &mut self,
        transaction: Option<&Transaction>,
        offset: u64,
        is_pending: bool,
    ) -> Result<()> {
        let Some(transaction) = transaction else { return Ok(()) };
        let id = transaction_id(&transaction.id);
        let bucket = packed::bucket_of(transaction.expires);
        let mut number = self.view.bucket(bucket).saturating_sub(1);
        let mut key = packed::transactions_key(bucket, number);
        if records::count_transactions(self.view.length(&key)?) >= TRANSACTION_CHUNK {
            number = number.saturating_add(1);
            key = packed::transactions_key(bucket, number);
        }
        let state = TransactionState {
            offset,
            expires: transaction.expires,
            is_awaiting: transaction.awaits.is_some(),
            is_pending,
            place: (bucket, number),
        };
        self.view.edit(key, |value| records::push_transaction(value, &id, &state))?;
        self.view.set_bucket(bucket, number.saturating_add(1));
        self.view.set_transaction(id, Some(state));
        Ok(())
    }

    /// Ends a transaction; if an offset is given, only the one that stands there: its identifier may have been
    /// forgotten and used again.
    fn close(&mut self, id: &TransactionId, offset: Option<u64>) -> Result<()> {
        let Some(state) = self.view.transaction(id) else { return Ok(()) };
        if !state.is_awaiting || offset.is_some_and(|offset| offset != state.offset) {
            return Ok(());
        }
        let state = TransactionState { is_awaiting: false, ..state };
        let key = packed::transactions_key(state.place.0, state.place.1);
        let value = self.view.value(&key)?.unwrap_or_default();
        let mut changed = Vec::with_capacity(value.len());
        for (other, known) in records::read_transactions(&value, state.place) {
            let is_this = other == *id && known.offset == state.offset;
            records::push_transaction(&mut changed, &other, if is_this { &state } else { &known });
        }
        self.view.put(key, changed);
        self.view.set_transaction(*id, Some(state));
        Ok(())
    }

    /// Takes a transaction out of its value, because its identifier begins another one.
    pub(super) fn drop_transaction(
        &mut self,
        id: &TransactionId,
        state: &TransactionState,
    ) -> Result<()> {
        let key = packed::transactions_key(state.place.0, state.place.1);
        let value = self.view.value(&key)?.unwrap_or_default();
        let mut left = Vec::with_capacity(value.len());
        for (other, known) in records::read_transactions(&value, state.place) {
            if other != *id || known.offset != state.offset {
                records::push_transaction(&mut left, &other, &known);
            }
        }
        // An empty value stays: values of a span are counted.
        self.view.put(key, left);
        self.view.set_transaction(*id, None);
        Ok(())
    }

    /// Forgets one value of transactions that have ended, so that a single entry never has much to do.
    fn forget(&mut self, at: Timestamp) -> Result<()> {
        let now = packed::bucket_of(at);
        let Some(bucket) = self.view.first_bucket().filter(|bucket| *bucket < now) else {
            return Ok(());
        };
        let number = self.view.bucket(bucket).saturating_sub(1);
        let key = packed::transactions_key(bucket, number);
        let value = self.view.value(&key)?.unwrap_or_default();
        for (id, state) in records::read_transactions(&value, (bucket, number)) {
            if self.view.transaction(&id).is_some_and(|known| known.offset == state.offset) {
                self.view.set_transaction(id, None);
                if state.is_pending {
                    self.view.remove(PendingRow::key(&RequestId::new(id)));
                    self.view.remove(joined_key(&id));
                }
            }
        }
        self.view.remove(key);
        self.view.set_bucket(bucket, number);
        Ok(())
    }

    fn put_account(&mut self, account: &Account) -> Result<()> {
        let name = account.name.as_str().as_bytes();
        if let Some(secret) = &account.secret {
            self.view.put(packed::key(b'R', secret.reference.as_bytes()), name.to_vec());
        }
        if let Some(equipment) = &account.equipment {
            self.view.put(equipment_key(equipment), name.to_vec());
        }
        self.view.put(packed::key(b'A', name), encode_account(account)?);
        Ok(())
    }

    fn remove_account(&mut self, name: &Label) -> Result<()> {
        if let Some(account) = self.account(name)? {
            if let Some(secret) = &account.secret {
                self.view.remove(packed::key(b'R', secret.reference.as_bytes()));
            }
            self.put_identities(&account, false)?;
        }
        if let Some(Account { equipment: Some(equipment), .. }) = self.account(name)? {
            self.view.remove(equipment_key(&equipment));
        }
        self.view.remove(packed::key(b'A', name.as_str().as_bytes()));
        Ok(())
    }

    /// Adds the account to those that hold its identities, or takes it away from them.
    fn put_identities(&mut self, account: &Account, are_held: bool) -> Result<()> {
        for identity in &account.identities {
            let key = identity_key(identity);
            let value = self.view.value(&key)?.unwrap_or_default();
            let value = with_holder(&value, &account.name, are_held);
            match value.is_empty() {
                true => self.view.remove(key),
                false => self.view.put(key, value),
            }
        }
        Ok(())
    }

    pub(super) fn account(&self, name: &Label) -> Result<Option<Account>> {
        self.account_octets(name)?.map(|octets| decode_account(&octets)).transpose()
    }

    fn account_octets(&self, name: &Label) -> Result<Option<Vec<u8>>> {
        self.view.value(&packed::key(b'A', name.as_str().as_bytes()))
    }

    fn account_of(&self, reference: &str) -> Result<Option<Account>> {
        let name = self.view.value(&packed::key(b'R', reference.as_bytes()))?;
        name.map_or(Ok(None), |name| self.account(&records::label(&name)?))
    }

    fn revocation(&self, ca: &Label, serial: &Serial) -> Result<Option<Revocation>> {
        let octets = self.view.value(&packed::serial_key(b'r', ca, serial))?;
        octets
            .map(|octets| Ok(records::decode_revocation(*serial, &octets)?.revocation))
            .transpose()
    }

    /// The certificate in the entry at `offset`.
    fn certificate(&self, offset: u64) -> Result<Option<Found>, Stop> {
        if offset >= self.durable {
            return Err(Stop::Pending);
        }
        Ok(match journal::entry_at(self.journal, offset)?.entry {
            Entry::Issued(Issued { ca, serial, not_after, partition, account, .. }) => {
                Some(Found { offset, ca, serial, not_after, partition, account })
            }
            _ => None,
        })
    }
}

/// Whether its secret or its vendor's certificate is still good for something.
fn has_uses(account: &Account) -> bool {
    let may_have =
        |secret: &AccountSecret| secret.uses_left > 0 || secret.given_back < MAX_GIVEN_BACK;
    account.secret.as_ref().is_some_and(may_have)
        || account.equipment.as_ref().is_some_and(|equipment| equipment.uses_left > 0)
}

/// The key of equipment.
fn equipment_key(equipment: &Equipment) -> Vec<u8> {
    packed::named_key(b'E', &equipment.vendor, equipment.value.as_bytes())
}

/// The key of a vendor.
fn vendor_key(name: &Label) -> Vec<u8> {
    packed::key(b'V', name.as_str().as_bytes())
}

/// Which of the 64 parts an account is in, and its number there. Two accounts may share both.
pub fn account_number(account: &Label) -> (u8, u32) {
    let number = label_number(account);
    ((number >> 58) as u8, number as u32)
}

/// The key of some accounts' certificates among the n-th [`ACCOUNT_SPAN`].
pub fn account_key(span: u64, part: u8) -> Vec<u8> {
    [&b"a"[..], &span.to_be_bytes(), &[part]].concat()
}

/// Which of the 256 parts a search key is in, and its number there.
pub const fn search_number(fingerprint: u64) -> (u8, u32) {
    ((fingerprint >> 56) as u8, fingerprint as u32)
}

/// The account with what its secret and its equipment went through since the change was thought out: uses do not come
/// back.
fn with_uses_of(account: &Account, before: Option<Account>) -> Account {
    let mut account = account.clone();
    let Some(before) = before else { return account };
    account.incarnation = before.incarnation;
    if let (Some(equipment), Some(before)) = (&mut account.equipment, before.equipment)
        && (&equipment.vendor, &equipment.value, equipment.allowed)
            == (&before.vendor, &before.value, before.allowed)
    {
        equipment.uses_left = equipment.uses_left.min(before.uses_left);
    }
    if let (Some(secret), Some(before)) = (&mut account.secret, before.secret)
        && secret.reference == before.reference
    {
        secret.uses_left = secret.uses_left.min(before.uses_left);
        secret.given_back = secret.given_back.max(before.given_back);
    }
    account
}

pub(super) fn conflict(why: String) -> Error {
    Error::denied(Denial::Conflict, why)
}

pub(super) fn not_authorized(why: String) -> Error {
    Error::denied(Denial::NotAuthorized, why)
}

fn no_certificate(ca: &Label, serial: &Serial) -> Error {
    Error::denied(
        Denial::NoSuchCertificate,
        format!("`{ca}` has issued no certificate with the serial `{serial}`"),
    )
}

fn reference_taken(reference: &str) -> Error {
    conflict(format!("the reference `{}` belongs to another account", reference.escape_debug()))
}

/// Octets of the frame of a payload.
pub const fn frame_length(payload: &[u8]) -> u64 {
    (crate::journal::FRAME_HEADER + payload.len()) as u64
}
