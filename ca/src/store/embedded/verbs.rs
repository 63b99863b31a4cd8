//! The verbs of the embedded store. Each recording verb hands one entry to the writer thread.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::index::Scan;
use super::{EmbeddedStore, history};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{Entry, decode_administrator, decode_ca, decode_crl, decode_vendor};
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
use crate::store::announced::Announced;
use crate::store::answers::{
    AccountList, CertificateList, Enrolled, LastRestore, Page, RequestCounts,
};
use crate::store::history::{History, Mark};
use crate::store::keys::{self, Space};
use crate::store::numbers::{from_ordered, serial_number};
use crate::store::values::{self, transaction_id};
use crate::store::verbs::Store;
use crate::store::view::SerialState;

impl Store for EmbeddedStore {
    fn record_ca(&self, at: Timestamp, ca: &CaRecord) -> Result<()> {
        self.record(at, Entry::Ca(ca.clone()))
    }

    fn cas(&self) -> Result<Vec<CaRecord>> {
        let mut cas = Vec::new();
        self.visit(Space::Ca, |value| {
            cas.push(decode_ca(value)?);
            Ok(())
        })?;
        Ok(cas)
    }

    fn default_ca(&self) -> Result<Option<Label>> {
        let name = self.shared.index.value(&keys::default_ca())?;
        let text = name.map(String::from_utf8).transpose().map_err(Error::internal)?;
        text.map(|text| text.parse()).transpose()
    }

    fn retired_cas(&self) -> Result<BTreeSet<Label>> {
        let (prefix, mut names) = (Space::Retired.prefix(), BTreeSet::new());
        self.shared.index.scan(&prefix, &prefix, |key, _| {
            names.insert(keys::read_retired(key).ok_or_else(values::damaged)?);
            Ok(Scan::Continue)
        })?;
        Ok(names)
    }

    fn record_assigned(&self, at: Timestamp, ca: &Label, duty: Duty) -> Result<()> {
        self.record(at, Entry::Assigned { ca: ca.clone(), duty })
    }

    fn begin_anchor_shown(&self, at: Timestamp, shown: AnchorShown) -> Result<Receipt> {
        self.begin(at, Entry::AnchorShown(shown))
    }

    fn anchors_shown(&self, account: &Label) -> Result<Vec<KnownAnchor>> {
        let value = self.shared.index.value(&keys::shown(account))?;
        values::shown::read(&value.unwrap_or_default())
    }

    fn begin_reserve(&self, at: Timestamp, ca: &Label, serials: &[Serial]) -> Result<Receipt> {
        self.begin(at, Entry::Reserved { ca: ca.clone(), serials: serials.to_vec() })
    }

    fn announce(&self) -> Announced {
        self.commands.announce()
    }

    fn begin_issued(&self, at: Timestamp, issued: Issued) -> Result<Receipt> {
        self.begin(at, Entry::Issued(issued))
    }

    fn begin_confirmed(&self, at: Timestamp, transaction: &[u8]) -> Result<Receipt> {
        self.begin(at, Entry::Confirmed { transaction: transaction.to_vec() })
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

    fn record_account_renamed(&self, at: Timestamp, from: &Label, to: &Label) -> Result<()> {
        self.record(at, Entry::AccountRenamed { from: from.clone(), to: to.clone() })
    }

    fn record_vendor(&self, at: Timestamp, vendor: &Vendor) -> Result<()> {
        self.record(at, Entry::VendorTrusted(vendor.clone()))
    }

    fn record_vendor_removed(&self, at: Timestamp, name: &Label) -> Result<()> {
        self.record(at, Entry::VendorRemoved(name.clone()))
    }

    fn record_partly_approved(
        &self,
        at: Timestamp,
        request: &RequestId,
        approval: &PartialApproval,
    ) -> Result<()> {
        self.record(at, Entry::PartlyApproved { request: *request, approval: approval.clone() })
    }

    fn approvers(&self, request: &RequestId) -> Result<Vec<String>> {
        let value = self.shared.index.value(&keys::approvers(request))?.unwrap_or_default();
        let names = values::approvers::names(&value).map(|name| name.to_vec());
        names.map(|name| String::from_utf8(name).map_err(Error::internal)).collect()
    }

    fn record_administrator(&self, at: Timestamp, administrator: &Administrator) -> Result<()> {
        self.record(at, Entry::AdministratorChanged(administrator.clone()))
    }

    fn record_administrator_removed(&self, at: Timestamp, name: &Label) -> Result<()> {
        self.record(at, Entry::AdministratorRemoved(name.clone()))
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

    fn record_admin_action(&self, at: Timestamp, done: &AdminAction) -> Result<()> {
        self.record(at, Entry::AdminAction(done.clone()))
    }

    fn certificate(&self, ca: &Label, serial: &Serial) -> Result<Option<CertificateRecord>> {
        match self.shared.index.serial(serial_number(ca, serial)) {
            Some(SerialState::Issued(offset)) => {
                let record = self.certificate_at(offset)?;
                Ok((record.ca == *ca && record.serial == *serial).then_some(record))
            }
            _ => Ok(None),
        }
    }

    fn certificates(&self, account: Option<&Label>, cursor: u64, limit: usize) -> Result<Page> {
        self.page(account, cursor, limit)
    }

    fn list(
        &self,
        query: &CertificateQuery,
        after: Option<ListPlace>,
        limit: usize,
    ) -> Result<CertificateList> {
        self.listed(query, after, limit)
    }

    fn find(
        &self,
        key: &SearchKey,
        limit: usize,
        wanted: &dyn Fn(&CertificateRecord) -> bool,
    ) -> Result<Vec<CertificateRecord>> {
        self.found(key, limit, wanted)
    }

    fn mark(&self) -> Mark {
        self.shared.position().mark()
    }

    fn changes_since(&self, mark: Mark) -> Result<History> {
        history::changes(&self.shared.journal, mark, self.mark())
    }

    fn wait_beyond(&self, mark: Mark, patience: Duration, stop: &AtomicBool) -> bool {
        self.shared.wait_beyond(mark.sequence(), patience, stop)
    }

    fn wake(&self) {
        self.shared.wake();
    }

    fn expiring(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<CertificateRecord>> {
        self.ending(from, until, limit)
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
        index.scan(&keys::changes(ca), &keys::change(ca, since), |_, serial| {
            serials.insert(Serial::from_octets(serial).ok_or_else(values::damaged)?);
            Ok(Scan::Continue)
        })?;
        let revoked = index.revoked(ca);
        let mut changed = Vec::with_capacity(serials.len());
        for serial in serials {
            if let Some(entry) = revoked.entry(&serial) {
                changed.push(entry);
            } else if let Some(value) = index.value(&keys::released(ca, &serial))? {
                changed.push(values::revocation::decode(serial, &value)?);
            }
        }
        Ok(changed)
    }

    fn last_partition(&self, ca: &Label) -> Result<Option<u16>> {
        let value = self.shared.index.value(&keys::last_partition(ca))?;
        Ok(value.and_then(|octets| octets.first_chunk().copied()).map(u16::from_be_bytes))
    }

    fn last_crl(&self, ca: &Label, scope: CrlScope) -> Result<Option<CrlRecord>> {
        let value = self.shared.index.value(&keys::last_crl(ca, scope))?;
        value.map(|octets| decode_crl(&octets)).transpose()
    }

    fn base_crl(&self, ca: &Label) -> Result<Option<CrlRecord>> {
        let value = self.shared.index.value(&keys::base_crl(ca))?;
        value.map(|octets| decode_crl(&octets)).transpose()
    }

    fn crls(&self, ca: &Label) -> Result<Vec<CrlRecord>> {
        let (prefix, base) = (keys::crls(ca), keys::base_crl(ca));
        let mut crls = Vec::new();
        self.shared.index.scan(&prefix, &prefix, |key, value| {
            if key != base {
                crls.push(decode_crl(value)?);
            }
            Ok(Scan::Continue)
        })?;
        crls.sort_by_key(|crl| crl.scope);
        Ok(crls)
    }

    fn account(&self, name: &Label) -> Result<Option<Account>> {
        let value = self.shared.index.value(&keys::account(name))?;
        value.map(|octets| values::account::decode(&octets)).transpose()
    }

    fn incarnation(&self, name: &Label) -> Result<Option<Incarnation>> {
        let value = self.shared.index.value(&keys::account(name))?;
        value.map(|octets| values::account::incarnation(&octets)).transpose()
    }

    fn former_names(&self, account: &Label) -> Result<Vec<Label>> {
        let mut names = Vec::new();
        for name in self.names_before(account)? {
            let value = self.shared.index.value(&keys::renamed(&name))?.unwrap_or_default();
            let all = values::renamed::decode(&value)?;
            if all.iter().any(|one| one.name == *account && !one.is_removed) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn account_by_reference(&self, reference: &str) -> Result<Option<Account>> {
        self.account_named_in(&keys::reference(reference))
    }

    fn account_by_equipment(&self, vendor: &Label, value: &str) -> Result<Option<Account>> {
        self.account_named_in(&keys::equipment(vendor, value))
    }

    fn vendors(&self) -> Result<Vec<Vendor>> {
        let mut vendors = Vec::new();
        self.visit(Space::Vendor, |value| {
            vendors.push(decode_vendor(value)?);
            Ok(())
        })?;
        Ok(vendors)
    }

    fn administrators(&self) -> Result<Vec<Administrator>> {
        let mut administrators = Vec::new();
        self.visit(Space::Administrator, |value| {
            administrators.push(decode_administrator(value)?);
            Ok(())
        })?;
        Ok(administrators)
    }

    fn administrator(&self, name: &Label) -> Result<Option<Administrator>> {
        let value = self.shared.index.value(&keys::administrator(name))?;
        value.map(|octets| decode_administrator(&octets)).transpose()
    }

    fn accounts(&self) -> Result<Vec<Account>> {
        let mut accounts = Vec::new();
        self.visit(Space::Account, |value| {
            accounts.push(values::account::decode(value)?);
            Ok(())
        })?;
        Ok(accounts)
    }

    fn list_accounts(
        &self,
        query: &AccountQuery,
        after: Option<&Label>,
        limit: usize,
    ) -> Result<AccountList> {
        self.accounts_listed(query, after, limit)
    }

    fn enrolled(&self, accounts: &[Account], now: Timestamp) -> Result<Vec<Enrolled>> {
        self.newest_of(accounts, now)
    }

    fn holders(&self, identity: &Identity) -> Result<Vec<Account>> {
        let value = self.shared.index.value(&keys::holders(identity))?.unwrap_or_default();
        let mut accounts = Vec::new();
        for name in values::holders::names(&value) {
            let account = self.account(&values::label(name)?)?;
            // Another identity may have the same key.
            accounts.extend(account.filter(|account| account.held(identity).is_some()));
        }
        Ok(accounts)
    }

    fn waiting(&self, at: Timestamp, transaction: &[u8]) -> Result<Option<WaitingRequest>> {
        self.request_of(at, transaction)
    }

    fn waiting_of(&self, at: Timestamp, account: &Label) -> Result<Vec<WaitingRequest>> {
        self.requests(at, |row| row.account == *account)
    }

    fn all_waiting(&self, at: Timestamp) -> Result<Vec<WaitingRequest>> {
        self.requests(at, |_| true)
    }

    fn count_waiting(&self, at: Timestamp) -> Result<RequestCounts> {
        let rows = self.request_rows(at)?;
        let undecided = rows.iter().filter(|(_, row)| row.decided.is_none()).count();
        let open = rows.iter().filter(|(_, row)| row.is_open()).count();
        Ok(RequestCounts { undecided, approved: open.saturating_sub(undecided) })
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
        let transaction =
            transaction.map(|of| self.with_present_names(of, state.offset)).transpose()?;
        Ok(transaction.map(|transaction| {
            let awaits = transaction.awaits.filter(|_| state.is_awaiting);
            Transaction { awaits, ..transaction }
        }))
    }

    fn issued_in(&self, at: Timestamp, id: &[u8]) -> Result<Option<CertificateId>> {
        let state = self.shared.index.transaction(&transaction_id(id));
        let Some(state) = state.filter(|state| state.expires > at) else { return Ok(None) };
        Ok(match self.entry_at(state.offset)?.entry {
            Entry::Issued(Issued { ca, serial, .. }) => Some(CertificateId { ca, serial }),
            _ => None,
        })
    }

    fn unconfirmed(&self, at: Timestamp, limit: usize) -> Result<Vec<CertificateId>> {
        let mut found = Vec::new();
        let prefix = Space::Awaited.prefix();
        self.shared.index.scan(&prefix, &prefix, |key, _| {
            let due = keys::read_awaited(key).filter(|(until, _)| *until <= at);
            let Some((_, id)) = due.filter(|_| found.len() < limit) else { return Ok(Scan::Stop) };
            found.push(id);
            Ok(Scan::Continue)
        })?;
        Ok(found)
    }

    fn retiring(
        &self,
        at: Timestamp,
        after: Option<&Retirement>,
        limit: usize,
    ) -> Result<Vec<Retirement>> {
        let mut due = Vec::new();
        let prefix = Space::Retires.prefix();
        let after =
            after.map(|it| keys::retires(it.due, &it.certificate.ca, &it.certificate.serial));
        let from = after.as_deref().unwrap_or(&prefix);
        self.shared.index.scan(&prefix, from, |key, _| {
            if after.as_deref() == Some(key) {
                return Ok(Scan::Continue);
            }
            let found = keys::read_retires(key).filter(|(moment, _)| *moment <= at);
            let Some((_, id)) = found.filter(|_| due.len() < limit) else { return Ok(Scan::Stop) };
            due.push(id);
            Ok(Scan::Continue)
        })?;
        let found = due.iter().map(|id| self.retirement(&id.ca, &id.serial));
        Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn retirement(&self, ca: &Label, serial: &Serial) -> Result<Option<Retirement>> {
        let value = self.shared.index.value(&keys::retiring(ca, serial))?.unwrap_or_default();
        let all = values::retiring::decode(&value)?;
        let due = all.iter().filter_map(|one| one.due).min();
        Ok(due.map(|due| Retirement {
            certificate: CertificateId::new(ca.clone(), *serial),
            due,
            replaced_by: all.into_iter().filter_map(|one| Some((one.id, one.due?))).collect(),
        }))
    }

    fn record_clock_accepted(&self, at: Timestamp, actor: &str) -> Result<()> {
        self.record(at, Entry::ClockAccepted { actor: actor.to_owned() })
    }

    fn record_listed(&self, at: Timestamp, ca: &Label, entry: &RevokedEntry) -> Result<()> {
        self.record(at, Entry::Listed { ca: ca.clone(), entry: entry.clone() })
    }

    fn restored(&self) -> Result<Option<LastRestore>> {
        let value = self.shared.index.value(&keys::restored())?;
        Ok(value.as_deref().and_then(values::restored::decode))
    }

    fn last_done(&self, action: &str) -> Result<Option<Timestamp>> {
        let value = self.shared.index.value(&keys::deed(action))?;
        Ok(value.and_then(|octets| octets.first_chunk().copied()).map(from_ordered))
    }

    fn last_entry(&self) -> Timestamp {
        self.shared.position().last_entry().unwrap_or_default()
    }
}

impl EmbeddedStore {
    /// Calls `visit` with every value of a space, in the order of the keys.
    fn visit(&self, space: Space, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let prefix = space.prefix();
        self.shared.index.scan(&prefix, &prefix, |_, value| visit(value).map(|()| Scan::Continue))
    }

    /// The account whose name is the value of a key.
    fn account_named_in(&self, key: &[u8]) -> Result<Option<Account>> {
        match self.shared.index.value(key)? {
            Some(name) => self.account(&values::label(&name)?),
            None => Ok(None),
        }
    }
}
