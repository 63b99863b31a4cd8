//! The embedded store: the journal and its index in one data folder, used by one process.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::commit::{Command, Committer, Counts, Request, Shared};
use super::history::{self, Change, Mark};
use super::index::{IndexSum, ORDER_CHUNK, Position, wait_until_released};
use super::open::{self, ProgressFn};
use super::packed;
use super::queue::{Queue, Refused};
use super::records::{self, transaction_id};
use super::rules::{
    ACCOUNT_SPAN, DEFAULT_CA, RESTORED, SEARCH_SPAN, account_key, account_number, search_number,
};
use super::serials::{Slot, serial_number};
use super::waiting::{PendingRow, holders, identity_key, joined_key};
use super::{Announced, Store};
use crate::clock::Timestamp;
use crate::equipment::Vendor;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::journal::{
    self, Entry, Head, HeadSigner, HeadsFile, JournalPaths, Recorded, Tape, Writer, decode_account,
    decode_ca, decode_crl, decode_vendor, incarnation_of,
};
use crate::pending::{Decision, PendingRequest, RequestId, WaitingRequest};
use crate::receipt::{Receipt, receipt};
use crate::record::{
    Account, CaRecord, CertificateRecord, CrlRecord, CrlScope, Deed, Duty, Incarnation, Issued,
    Label, Revocation, RevokedEntry, Serial, Transaction,
};
use crate::revoked::RevokedSet;
use crate::search::SearchKey;

/// The most certificates that one call returns.
const MAX_PAGE: usize = 10_000;
/// Certificates that a search looks at for each one that it may find.
const LOOKED_AT: usize = 32;

/// How an embedded store works.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedOptions {
    /// Whether records are made durable. Without it a power cut loses them: for measurements only.
    pub sync: bool,
    /// How many requests may wait; one more gets `Unavailable`.
    pub queue: usize,
    /// How much of the index sled keeps in memory, in octets as sled counts them; it takes several times as much.
    pub cache_bytes: u64,
    /// How long after the last entry one may be recorded; after more, the clock is thought to be wrong. `None` for any time.
    pub longest_silence: Option<Duration>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { sync: true, queue: 4096, cache_bytes: 1 << 20, longest_silence: None }
    }
}

/// A store in a folder of this machine.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    commands: Arc<Queue<Command>>,
    writer: Option<JoinHandle<()>>,
    heads: Mutex<HeadsFile>,
    instance: [u8; 16],
    data: PathBuf,
    options: EmbeddedOptions,
    /// Held as long as the store is open.
    _lock: File,
}

/// What an operator wants to know of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Entries in the journal.
    pub entries: u64,
    /// Octets of the journal.
    pub journal_bytes: u64,
    /// When the last entry was recorded, if there is one.
    pub last: Option<Timestamp>,
    /// Entries that the index on disk has; the rest is replayed on start.
    pub applied: u64,
    /// Octets of the index on disk.
    pub index_bytes: u64,
    /// Certificates issued.
    pub certificates: u64,
    /// The last signed tree head.
    pub head: Option<Head>,
    /// Groups that were made durable since the start, and the entries in them.
    pub counts: Counts,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, which must exist, or begins a new one in it. `progress` is called while the index
    /// is brought up to date.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another process has it open or the disk fails; [`Error::Internal`] that names the
    /// damage and its place when the journal is not whole.
    pub fn open(
        folder: &Path,
        options: EmbeddedOptions,
        progress: &mut ProgressFn<'_>,
    ) -> Result<Self> {
        Self::open_on(folder, options, progress, |file| Box::new(file))
    }

    /// Deletes the index, then opens the store, which rebuilds it from the journal.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn rebuild(
        folder: &Path,
        options: EmbeddedOptions,
        progress: &mut ProgressFn<'_>,
    ) -> Result<Self> {
        let lock = open::lock(folder)?;
        let index = open::index_folder(folder);
        wait_until_released(&index)?;
        if index.try_exists().unwrap_or(true) {
            fs::remove_dir_all(&index)
                .map_err(|e| Error::io(format!("`{}`", index.display()), &e))?;
        }
        drop(lock);
        Self::open(folder, options, progress)
    }

    /// As [`Self::open`], with the journal written through something else than the file.
    pub(crate) fn open_on(
        folder: &Path,
        options: EmbeddedOptions,
        progress: &mut ProgressFn<'_>,
        tape: impl FnOnce(File) -> Box<dyn Tape>,
    ) -> Result<Self> {
        let lock = open::lock(folder)?;
        let (shared, file) = open::open(folder, options.cache_bytes, progress)?;
        let paths = JournalPaths::new(folder);
        let instance = journal::JournalFile::open(&paths.journal, false)?.instance;
        let heads = HeadsFile::open(paths.heads)?;
        let (shared, length) = (Arc::new(shared), file.metadata());
        let length = length.map_err(|e| Error::io("the journal", &e))?.len();
        let writer = Writer::new(tape(file), length, options.sync);
        let commands = Arc::new(Queue::new(options.queue));
        let silence = options.longest_silence;
        let committer = Committer::new(Arc::clone(&shared), writer, Arc::clone(&commands), silence);
        let writer = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || committer.run())
            .map_err(|e| Error::io("the journal's thread cannot be started", &e))?;
        Ok(Self {
            shared,
            commands,
            writer: Some(writer),
            heads: Mutex::new(heads),
            instance,
            data: folder.to_owned(),
            options,
            _lock: lock,
        })
    }

    /// Signs the durable state of the journal, unless the last head says the same already. Cheap enough for every
    /// second.
    ///
    /// # Errors
    /// Those of the signer, and [`Error::Unavailable`] when the head cannot be recorded.
    pub fn sign_head(&self, at: Timestamp, signer: &dyn HeadSigner) -> Result<Head> {
        let mut heads = self.lock_heads();
        let Position { sequence: size, frontier, .. } = self.shared.position();
        if let Some(last) = heads.last().filter(|last| last.size == size) {
            return Ok(last.clone());
        }
        let head = Head::sign(&self.instance, size, frontier.root(), at, signer)?;
        heads.append(head.clone())?;
        Ok(head)
    }

    /// The instance's identifier, which every tree head names.
    pub const fn instance(&self) -> &[u8; 16] {
        &self.instance
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.data
    }

    /// What an operator wants to know.
    pub fn status(&self) -> Status {
        let position = self.shared.position();
        Status {
            entries: position.sequence,
            journal_bytes: position.offset,
            last: (position.sequence > 0).then_some(position.last),
            applied: self.shared.index.applied(),
            index_bytes: self.shared.index.size_on_disk(),
            certificates: position.certificates,
            head: self.lock_heads().last().cloned(),
            counts: *self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The sum over the index, and the sum over one that is built anew from the same entries in a folder beside it.
    /// They are equal, or the index is wrong.
    ///
    /// # Errors
    /// Those of a replay.
    pub fn compare_index(&self) -> Result<(IndexSum, IndexSum)> {
        let (reply, answer) = sync_channel(1);
        self.send(Command::Settle(reply))?;
        let position = answer.recv().map_err(|_| stopped())??;
        let (sum, applied) = self.shared.index.sum();
        if applied != position.sequence {
            return Err(Error::unavailable("the index moved on while it was compared: try again"));
        }
        let fresh = self.fresh_sum(position.offset)?;
        Ok((sum, fresh))
    }

    fn fresh_sum(&self, until: u64) -> Result<IndexSum> {
        let folder = self.data.join("index.check");
        let clear = || {
            wait_until_released(&folder)?;
            match fs::remove_dir_all(&folder) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io(format!("`{}`", folder.display()), &e))
                }
                _ => Ok(()),
            }
        };
        clear()?;
        let paths = JournalPaths::new(&self.data);
        let file = journal::JournalFile::open(&paths.journal, false)?;
        let built = open::build_index(&folder, &file, until, self.options.cache_bytes);
        let sum = built.map(|index| index.sum().0);
        clear()?;
        sum
    }

    pub(super) fn position(&self) -> Position {
        self.shared.position()
    }

    pub(super) fn lock_heads(&self) -> MutexGuard<'_, HeadsFile> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, at: Timestamp, entry: Entry) -> Result<()> {
        self.begin(at, entry)?.wait()
    }

    fn begin(&self, at: Timestamp, entry: Entry) -> Result<Receipt> {
        let asked = Instant::now();
        let body = entry.encode_body()?;
        let (receipt, reply) = receipt();
        self.send(Command::Record(Box::new(Request { at, asked, entry, body, reply })))?;
        Ok(receipt)
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands.push(command).map_err(|refused| match refused {
            Refused::Full => Error::unavailable(format!(
                "the store is busy, `{}` requests are waiting: try again later",
                self.options.queue
            )),
            Refused::Closed => stopped(),
        })
    }

    fn entry_at(&self, offset: u64) -> Result<Recorded> {
        journal::entry_at(&self.shared.journal, offset)
    }

    fn certificate_at(&self, offset: u64) -> Result<CertificateRecord> {
        let Recorded { at, entry: Entry::Issued(issued), .. } = self.entry_at(offset)? else {
            return Err(Error::internal(format!(
                "no certificate stands at offset `{offset}` of the journal: run `countersign store rebuild`"
            )));
        };
        let Issued {
            ca,
            serial,
            account,
            profile,
            not_after,
            certificate,
            transaction,
            withheld,
            unpublished,
            ..
        } = issued;
        let index = &self.shared.index;
        // Only a certificate that was to be confirmed can lack that.
        let awaits = transaction.as_ref().is_some_and(|transaction| transaction.awaits.is_some());
        let unconfirmed = match awaits {
            true => index.value(&packed::serial_key(b'u', &ca, &serial))?,
            false => None,
        };
        let confirmed = unconfirmed.is_none();
        let awaited = unconfirmed.as_deref().and_then(records::read_awaited);
        // After a restore nothing of before is awaited any more.
        let awaits_confirmation = match awaited {
            Some(of) => index.value(&packed::awaited_key(of.until, &ca, &serial))?.is_some(),
            None => false,
        };
        // What is revoked is known in memory. Last: that a certificate is awaited no more may come from its revocation.
        let revocation = match index.revocation(&ca, &serial) {
            Some(_) => index.value(&packed::serial_key(b'r', &ca, &serial))?,
            None => None,
        };
        Ok(CertificateRecord {
            ca,
            serial,
            account,
            offset,
            profile,
            issued: at,
            not_after,
            certificate,
            confirmed,
            awaits_confirmation,
            withheld: withheld && !confirmed,
            unpublished,
            client: transaction.as_ref().and_then(|transaction| transaction.client),
            registrar: transaction.and_then(|transaction| transaction.registrar),
            revocation: revocation
                .map(|octets| records::decode_revocation(serial, &octets))
                .transpose()?
                .map(|entry| entry.revocation),
        })
    }

    /// The n-th certificate in the order of issue.
    fn certificate_of(&self, ordinal: u64) -> Result<Option<CertificateRecord>> {
        let chunk = ordinal / ORDER_CHUNK;
        let value = self.shared.index.value(&packed::key(b's', &chunk.to_be_bytes()))?;
        let value = value.unwrap_or_default();
        let place = usize::try_from(ordinal % ORDER_CHUNK).map_err(Error::internal)?;
        let offset = packed::numbered_offsets(&value).nth(place).map(|(_, offset)| offset);
        offset.map(|offset| self.certificate_at(offset)).transpose()
    }

    /// Which certificates, from `cursor` on in the order of issue, to look at for a page of `limit` and the next
    /// one: all, or those that may be of an account. The second value is where to go on if these do not suffice.
    fn ordinals(
        &self,
        account: Option<&Label>,
        cursor: u64,
        limit: usize,
    ) -> Result<(Vec<u64>, Option<u64>)> {
        let end = self.shared.position().certificates;
        // Certificates of other accounts with the same number are rare, but must not end a page early.
        let enough = limit.saturating_mul(2).saturating_add(64);
        let Some(name) = account else {
            let until = end.min(cursor.saturating_add(enough as u64));
            return Ok(((cursor..until).collect(), (until < end).then_some(until)));
        };
        let (part, number) = account_number(name);
        let mut ordinals = Vec::new();
        for span in cursor / ACCOUNT_SPAN..end.div_ceil(ACCOUNT_SPAN) {
            let value = self.shared.index.value(&account_key(span, part))?.unwrap_or_default();
            let own = packed::members(&value).filter(|(account, _)| *account == number);
            ordinals.extend(
                own.map(|(_, which)| span * ACCOUNT_SPAN + which).filter(|which| *which >= cursor),
            );
            if ordinals.len() > enough {
                return Ok((ordinals, Some((span + 1) * ACCOUNT_SPAN)));
            }
        }
        Ok((ordinals, None))
    }
}

/// Stops the writer when everything that waits is recorded.
impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.commands.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the journal's thread ended badly");
        }
    }
}

impl Store for EmbeddedStore {
    fn record_ca(&self, at: Timestamp, ca: &CaRecord) -> Result<()> {
        self.record(at, Entry::Ca(ca.clone()))
    }

    fn cas(&self) -> Result<Vec<CaRecord>> {
        let mut cas = Vec::new();
        self.shared.index.scan(b"C", b"C", |_, value| {
            cas.push(decode_ca(value)?);
            Ok(true)
        })?;
        Ok(cas)
    }

    fn default_ca(&self) -> Result<Option<Label>> {
        let name = self.shared.index.value(DEFAULT_CA)?;
        let text = name.map(String::from_utf8).transpose().map_err(Error::internal)?;
        text.map(|text| text.parse()).transpose()
    }

    fn record_assigned(&self, at: Timestamp, ca: &Label, duty: Duty) -> Result<()> {
        self.record(at, Entry::Assigned { ca: ca.clone(), duty })
    }

    fn begin_reserve(&self, at: Timestamp, ca: &Label, serials: &[Serial]) -> Result<Receipt> {
        self.begin(at, Entry::Reserved { ca: ca.clone(), serials: serials.to_vec() })
    }

    fn announce(&self) -> Announced {
        Announced(self.commands.announce())
    }

    fn begin_issued(&self, at: Timestamp, issued: Issued) -> Result<Receipt> {
        self.begin(at, Entry::Issued(issued))
    }

    fn record_confirmed(&self, at: Timestamp, transaction: &[u8]) -> Result<()> {
        self.record(at, Entry::Confirmed { transaction: transaction.to_vec() })
    }

    fn record_revoked(
        &self,
        at: Timestamp,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
        transaction: Option<&Transaction>,
    ) -> Result<()> {
        let entry = Entry::Revoked {
            ca: ca.clone(),
            serial: *serial,
            revocation: revocation.clone(),
            transaction: transaction.cloned(),
            untaken: false,
        };
        self.record(at, entry)
    }

    fn record_untaken(
        &self,
        at: Timestamp,
        ca: &Label,
        serial: &Serial,
        revocation: &Revocation,
    ) -> Result<()> {
        let entry = Entry::Revoked {
            ca: ca.clone(),
            serial: *serial,
            revocation: revocation.clone(),
            transaction: None,
            untaken: true,
        };
        self.record(at, entry)
    }

    fn record_released(&self, at: Timestamp, ca: &Label, serial: &Serial) -> Result<()> {
        self.record(at, Entry::Released { ca: ca.clone(), serial: *serial })
    }

    fn record_crl(&self, at: Timestamp, crl: &CrlRecord) -> Result<()> {
        self.record(at, Entry::Crl(crl.clone()))
    }

    fn record_accounts(&self, at: Timestamp, accounts: &[Account]) -> Result<()> {
        self.record(at, Entry::Accounts(accounts.to_vec()))
    }

    fn record_account_changed(&self, at: Timestamp, account: &Account) -> Result<()> {
        self.record(at, Entry::AccountChanged(account.clone()))
    }

    fn record_account_removed(&self, at: Timestamp, name: &Label) -> Result<()> {
        self.record(at, Entry::AccountRemoved(name.clone()))
    }

    fn record_vendor(&self, at: Timestamp, vendor: &Vendor) -> Result<()> {
        self.record(at, Entry::VendorTrusted(vendor.clone()))
    }

    fn record_vendor_removed(&self, at: Timestamp, name: &Label) -> Result<()> {
        self.record(at, Entry::VendorRemoved(name.clone()))
    }

    fn record_requested(&self, at: Timestamp, pending: &PendingRequest) -> Result<()> {
        self.record(at, Entry::Requested(Box::new(pending.clone())))
    }

    fn record_joined(
        &self,
        at: Timestamp,
        request: &RequestId,
        transaction: &Transaction,
    ) -> Result<()> {
        self.record(at, Entry::Joined { request: *request, transaction: transaction.clone() })
    }

    fn record_decided(
        &self,
        at: Timestamp,
        request: &RequestId,
        decision: &Decision,
    ) -> Result<()> {
        self.record(at, Entry::Decided { request: *request, decision: decision.clone() })
    }

    fn record_deed(&self, at: Timestamp, deed: &Deed) -> Result<()> {
        self.record(at, Entry::Deed(deed.clone()))
    }

    fn certificate(&self, ca: &Label, serial: &Serial) -> Result<Option<CertificateRecord>> {
        match self.shared.index.slot(serial_number(ca, serial)) {
            Some(Slot::Issued(offset)) => {
                let record = self.certificate_at(offset)?;
                Ok((record.ca == *ca && record.serial == *serial).then_some(record))
            }
            _ => Ok(None),
        }
    }

    fn certificates(
        &self,
        account: Option<&Label>,
        cursor: u64,
        limit: usize,
    ) -> Result<(Vec<CertificateRecord>, Option<u64>)> {
        let limit = limit.clamp(1, MAX_PAGE);
        let (ordinals, rest) = self.ordinals(account, cursor, limit)?;
        let (mut page, mut chunk) = (Vec::new(), (u64::MAX, Vec::new()));
        for ordinal in ordinals {
            let number = ordinal / ORDER_CHUNK;
            if chunk.0 != number {
                let value = self.shared.index.value(&packed::key(b's', &number.to_be_bytes()))?;
                let value = value.unwrap_or_default();
                let offsets = packed::numbered_offsets(&value);
                chunk = (number, offsets.map(|(_, offset)| offset).collect());
            }
            let place = usize::try_from(ordinal % ORDER_CHUNK).map_err(Error::internal)?;
            let Some(offset) = chunk.1.get(place) else { break };
            if page.len() == limit {
                return Ok((page, Some(ordinal)));
            }
            let record = self.certificate_at(*offset)?;
            if account.is_none_or(|name| record.account == *name) {
                page.push(record);
            }
        }
        Ok((page, rest))
    }

    fn find(
        &self,
        key: &SearchKey,
        limit: usize,
        wanted: &dyn Fn(&CertificateRecord) -> bool,
    ) -> Result<Vec<CertificateRecord>> {
        let (part, number) = search_number(key.fingerprint());
        let spans = self.shared.position().certificates.div_ceil(SEARCH_SPAN);
        let (mut found, mut left) = (Vec::new(), limit.saturating_mul(LOOKED_AT));
        for span in (0..spans).rev() {
            let value =
                self.shared.index.value(&packed::search_key(span, part))?.unwrap_or_default();
            let mut members: Vec<u64> = packed::members(&value)
                .filter(|(other, _)| *other == number)
                .map(|(_, which)| span * SEARCH_SPAN + which)
                .collect();
            members.sort_unstable_by(|a, b| b.cmp(a));
            for ordinal in members {
                if found.len() >= limit || left == 0 {
                    return Ok(found);
                }
                left = left.saturating_sub(1);
                let record = self.certificate_of(ordinal)?;
                let has_key = |of: &CertificateRecord| SearchKey::of(&of.certificate).contains(key);
                found.extend(record.filter(|record| has_key(record) && wanted(record)));
            }
        }
        Ok(found)
    }

    fn mark(&self) -> Mark {
        let Position { sequence, offset, .. } = self.shared.position();
        Mark { sequence, offset }
    }

    fn changes_since(&self, mark: Mark) -> Result<(Vec<Change>, Mark)> {
        history::changes(&self.shared.journal, mark, self.mark())
    }

    fn wait_beyond(&self, mark: Mark, patience: Duration, stop: &AtomicBool) -> bool {
        let (recorded, signal) = &self.shared.recorded;
        let recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let (recorded, _) = signal
            .wait_timeout_while(recorded, patience, |recorded| {
                *recorded <= mark.sequence && !stop.load(Ordering::Relaxed)
            })
            .unwrap_or_else(PoisonError::into_inner);
        *recorded > mark.sequence
    }

    fn wake(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let _recorded = self.shared.recorded.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.recorded.1.notify_all();
    }

    fn expiring(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<CertificateRecord>> {
        let limit = limit.min(MAX_PAGE);
        let (last_day, _) = packed::day_of(until);
        let (mut records, mut day) = (Vec::new(), packed::day_of(from).0);
        while day <= last_day && records.len() < limit {
            let Some(found) = self.first_day(day)?.filter(|found| *found <= last_day) else {
                break;
            };
            for offset in self.ending_on(found, from, until)? {
                if records.len() == limit {
                    break;
                }
                let record = self.certificate_at(offset)?;
                if record.revocation.is_none() {
                    records.push(record);
                }
            }
            let Some(next) = found.checked_add(1) else { break };
            day = next;
        }
        Ok(records)
    }

    fn revoked(&self, ca: &Label) -> Result<RevokedSet> {
        Ok(self.shared.index.revoked(ca))
    }

    fn revocation(&self, ca: &Label, serial: &Serial) -> Result<Option<Revocation>> {
        Ok(self.shared.index.revocation(ca, serial))
    }

    fn changed(&self, ca: &Label, since: u64) -> Result<Vec<RevokedEntry>> {
        let index = &self.shared.index;
        let mut serials = BTreeSet::new();
        let prefix = packed::named_key(b'c', ca, &[]);
        index.scan(&prefix, &packed::change_key(ca, since), |_, serial| {
            let serial = serial.try_into().ok().and_then(Serial::new);
            serials.insert(serial.ok_or_else(records::damaged)?);
            Ok(true)
        })?;
        let revoked = index.revoked(ca);
        let mut changed = Vec::with_capacity(serials.len());
        for serial in serials {
            if let Some(entry) = revoked.entry(&serial) {
                changed.push(entry);
            } else if let Some(value) = index.value(&packed::serial_key(b'f', ca, &serial))? {
                changed.push(records::decode_revocation(serial, &value)?);
            }
        }
        Ok(changed)
    }

    fn last_partition(&self, ca: &Label) -> Result<Option<u16>> {
        let value = self.shared.index.value(&packed::named_key(b'p', ca, &[]))?;
        Ok(value.and_then(|octets| octets.first_chunk().copied()).map(u16::from_be_bytes))
    }

    fn last_crl(&self, ca: &Label, scope: CrlScope) -> Result<Option<CrlRecord>> {
        let value = self.shared.index.value(&packed::crl_key(ca, Some(scope)))?;
        value.map(|octets| decode_crl(&octets)).transpose()
    }

    fn base_crl(&self, ca: &Label) -> Result<Option<CrlRecord>> {
        let value = self.shared.index.value(&packed::crl_key(ca, None))?;
        value.map(|octets| decode_crl(&octets)).transpose()
    }

    fn crls(&self, ca: &Label) -> Result<Vec<CrlRecord>> {
        let (prefix, base) = (packed::named_key(b'l', ca, &[]), packed::crl_key(ca, None));
        let mut crls = Vec::new();
        self.shared.index.scan(&prefix, &prefix, |key, value| {
            if key != base {
                crls.push(decode_crl(value)?);
            }
            Ok(true)
        })?;
        crls.sort_by_key(|crl| crl.scope);
        Ok(crls)
    }

    fn account(&self, name: &Label) -> Result<Option<Account>> {
        let value = self.shared.index.value(&packed::key(b'A', name.as_str().as_bytes()))?;
        value.map(|octets| decode_account(&octets)).transpose()
    }

    fn incarnation(&self, name: &Label) -> Result<Option<Incarnation>> {
        let value = self.shared.index.value(&packed::key(b'A', name.as_str().as_bytes()))?;
        value.map(|octets| incarnation_of(&octets)).transpose()
    }

    fn account_by_reference(&self, reference: &str) -> Result<Option<Account>> {
        match self.shared.index.value(&packed::key(b'R', reference.as_bytes()))? {
            Some(name) => self.account(&records::label(&name)?),
            None => Ok(None),
        }
    }

    fn account_by_equipment(&self, vendor: &Label, value: &str) -> Result<Option<Account>> {
        let key = packed::named_key(b'E', vendor, value.as_bytes());
        match self.shared.index.value(&key)? {
            Some(name) => self.account(&records::label(&name)?),
            None => Ok(None),
        }
    }

    fn vendors(&self) -> Result<Vec<Vendor>> {
        let mut vendors = Vec::new();
        self.shared.index.scan(b"V", b"V", |_, value| {
            vendors.push(decode_vendor(value)?);
            Ok(true)
        })?;
        Ok(vendors)
    }

    fn accounts(&self) -> Result<Vec<Account>> {
        let mut accounts = Vec::new();
        self.shared.index.scan(b"A", b"A", |_, value| {
            accounts.push(decode_account(value)?);
            Ok(true)
        })?;
        Ok(accounts)
    }

    fn holders(&self, identity: &Identity) -> Result<Vec<Account>> {
        let value = self.shared.index.value(&identity_key(identity))?.unwrap_or_default();
        let mut accounts = Vec::new();
        for name in holders(&value) {
            let account = self.account(&records::label(name)?)?;
            accounts.extend(account.filter(|account| account.held(identity).is_some()));
        }
        Ok(accounts)
    }

    fn waiting(&self, at: Timestamp, transaction: &[u8]) -> Result<Option<WaitingRequest>> {
        let joined = self.shared.index.value(&joined_key(&transaction_id(transaction)))?;
        let joined = joined.and_then(|octets| octets.try_into().ok()).map(RequestId::new);
        let id = joined.unwrap_or_else(|| RequestId::of(transaction));
        let row = self.shared.index.value(&PendingRow::key(&id))?;
        let row = row.map(|value| PendingRow::decode(&value)).transpose()?;
        match row.filter(|row| row.expires > at) {
            Some(row) if self.is_accounts(&row)? => self.waiting_at(id, &row).map(Some),
            _ => Ok(None),
        }
    }

    fn waiting_of(&self, at: Timestamp, account: &Label) -> Result<Vec<WaitingRequest>> {
        let mut all = Vec::new();
        for (id, row) in self.pending_rows(at)? {
            if row.account == *account {
                all.push(self.waiting_at(id, &row)?);
            }
        }
        all.sort_by_key(|waiting| (waiting.received, waiting.id));
        Ok(all)
    }

    fn all_waiting(&self, at: Timestamp) -> Result<Vec<WaitingRequest>> {
        let mut all = Vec::new();
        for (id, row) in self.pending_rows(at)? {
            all.push(self.waiting_at(id, &row)?);
        }
        all.sort_by_key(|waiting| (waiting.received, waiting.id));
        Ok(all)
    }

    fn count_waiting(&self, at: Timestamp) -> Result<(usize, usize)> {
        let rows = self.pending_rows(at)?;
        let undecided = rows.iter().filter(|(_, row)| row.decided.is_none()).count();
        let counting = rows.iter().filter(|(_, row)| row.counts()).count();
        Ok((undecided, counting.saturating_sub(undecided)))
    }

    fn transaction(&self, at: Timestamp, id: &[u8]) -> Result<Option<Transaction>> {
        let state = self.shared.index.transaction(&transaction_id(id));
        let Some(state) = state.filter(|state| state.expires > at) else { return Ok(None) };
        let transaction = match self.entry_at(state.offset)?.entry {
            Entry::Issued(Issued { transaction, .. }) | Entry::Revoked { transaction, .. } => {
                transaction
            }
            Entry::Requested(pending) => Some(pending.transaction),
            Entry::Joined { transaction, .. } => Some(transaction),
            _ => None,
        };
        Ok(transaction.map(|transaction| {
            let awaits = transaction.awaits.filter(|_| state.is_awaiting);
            Transaction { awaits, ..transaction }
        }))
    }

    fn issued_in(&self, at: Timestamp, id: &[u8]) -> Result<Option<(Label, Serial)>> {
        let state = self.shared.index.transaction(&transaction_id(id));
        let Some(state) = state.filter(|state| state.expires > at) else { return Ok(None) };
        Ok(match self.entry_at(state.offset)?.entry {
            Entry::Issued(issued) => Some((issued.ca, issued.serial)),
            _ => None,
        })
    }

    fn unconfirmed(&self, at: Timestamp, limit: usize) -> Result<Vec<(Label, Serial)>> {
        let mut found = Vec::new();
        self.shared.index.scan(b"w", b"w", |key, _| {
            let due = packed::from_awaited_key(key).filter(|(until, _, _)| *until <= at);
            let is_due = due.is_some() && found.len() < limit;
            found.extend(due.filter(|_| is_due).map(|(_, ca, serial)| (ca, serial)));
            Ok(is_due)
        })?;
        Ok(found)
    }

    fn record_clock_accepted(&self, at: Timestamp, actor: &str) -> Result<()> {
        self.record(at, Entry::ClockAccepted { actor: actor.to_owned() })
    }

    fn record_listed(&self, at: Timestamp, ca: &Label, entry: &RevokedEntry) -> Result<()> {
        self.record(at, Entry::Listed { ca: ca.clone(), entry: entry.clone() })
    }

    fn restored(&self) -> Result<Option<(Timestamp, u64)>> {
        Ok(self.shared.index.value(RESTORED)?.as_deref().and_then(records::read_restored))
    }

    fn last_entry(&self) -> Timestamp {
        let position = self.shared.position();
        if position.sequence == 0 { Timestamp::default() } else { position.last }
    }
}

impl EmbeddedStore {
    /// The rows of requests that wait.
    fn pending_rows(&self, at: Timestamp) -> Result<Vec<(RequestId, PendingRow)>> {
        let mut rows = Vec::new();
        self.shared.index.scan(b"q", b"q", |key, value| {
            let row = PendingRow::decode(value)?;
            rows.extend(PendingRow::id_of(key).filter(|_| row.expires > at).map(|id| (id, row)));
            Ok(true)
        })?;
        let mut lasting = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            if self.is_accounts(&row)? {
                lasting.push((id, row));
            }
        }
        Ok(lasting)
    }

    /// Whether the account that made a request is still there; a later one of its name is another one.
    fn is_accounts(&self, row: &PendingRow) -> Result<bool> {
        Ok(self.incarnation(&row.account)?.is_some_and(|own| own.precedes(row.offset)))
    }

    fn waiting_at(&self, id: RequestId, row: &PendingRow) -> Result<WaitingRequest> {
        let Recorded { at: received, entry, .. } = self.entry_at(row.offset)?;
        let Entry::Requested(pending) = entry else { return Err(records::damaged()) };
        let decision = match row.decided {
            None => None,
            Some((offset, _)) => match self.entry_at(offset)? {
                Recorded { at, entry: Entry::Decided { decision, .. }, .. } => Some((at, decision)),
                _ => return Err(records::damaged()),
            },
        };
        Ok(WaitingRequest { id, received, pending: *pending, decision })
    }

    /// The first day from `day` on, on which something ends.
    fn first_day(&self, day: u32) -> Result<Option<u32>> {
        let mut found = None;
        self.shared.index.scan(b"e", &packed::key(b'e', &day.to_be_bytes()), |key, _| {
            let day = key.get(1..5).and_then(|day| day.try_into().ok());
            found = day.map(u32::from_be_bytes);
            Ok(false)
        })?;
        Ok(found)
    }

    /// The offsets of the certificates that end on a day and in `from..until`, soonest first.
    fn ending_on(&self, day: u32, from: Timestamp, until: Timestamp) -> Result<Vec<u64>> {
        let prefix = packed::key(b'e', &day.to_be_bytes());
        let mut ending = Vec::new();
        self.shared.index.scan(&prefix, &prefix, |_, value| {
            for (offset, millis) in packed::timed_offsets(value) {
                let at = packed::from_day(day, millis);
                if (from..until).contains(&at) {
                    ending.push((at, offset));
                }
            }
            Ok(true)
        })?;
        ending.sort_unstable();
        Ok(ending.into_iter().map(|(_, offset)| offset).collect())
    }
}

fn stopped() -> Error {
    Error::unavailable("the store is closed")
}
