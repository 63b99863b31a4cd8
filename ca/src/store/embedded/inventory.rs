//! Lists of certificates by several conditions, page by page: see [`crate::Store::list`].
//!
//! The index narrows the search without reading an entry. Then the entries of the remaining certificates decide; a page reads a bounded
//! number of them.

use std::collections::HashMap;

use super::EmbeddedStore;
use super::index::{AccountNumbers, OrderKey, Scan, Sieve, order_key, place_of_key};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::inventory::{AccountQuery, CertificateQuery, CertificateStatus, ListPlace};
use crate::record::{Account, CertificateRecord, Label, Reason};
use crate::store::answers::{AccountList, CertificateList, Enrolled};
use crate::store::keys::{self, Space};
use crate::store::numbers::{CHUNK, SPAN, account_number, search_number, serial_number};
use crate::store::values;
use crate::store::verbs::Store;
use crate::store::view::SerialState;

/// The most certificates of one page.
const MAX_PAGE: usize = 1000;
/// The certificates of an account among which a valid one is looked for, newest first.
const MOST_OF_ACCOUNT: usize = 16;
/// The most accounts with one label for which certificates are looked up account by account.
const MOST_NAMED: usize = 4096;
/// For each certificate that a page may have, the number of certificates that it may look at; and the number that it may look at in
/// addition.
const LOOKED_AT: (usize, usize) = (4, 512);

impl EmbeddedStore {
    /// A page of certificates: see [`crate::Store::list`].
    pub(super) fn listed(
        &self,
        query: &CertificateQuery,
        after: Option<ListPlace>,
        limit: usize,
    ) -> Result<CertificateList> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut left = limit * LOOKED_AT.0 + LOOKED_AT.1;
        let batch = limit * 2 + 64;
        let mut after = after.map(|place| order_key(query.order, place));
        let mut records = Vec::new();
        let named = self.named_by_status(query)?;
        let sieve = self.sieve(query)?;
        loop {
            let keys = match &named {
                Some(named) => {
                    let from = named.partition_point(|key| after.is_some_and(|it| *key <= it));
                    named.get(from..).unwrap_or_default().iter().copied().take(batch).collect()
                }
                None => self.shared.index.sifted(&sieve, query.order, after, batch)?,
            };
            for key in &keys {
                if records.len() == limit || left == 0 {
                    let next = after.map(|key| place_of_key(query.order, key));
                    return Ok(CertificateList { records, next });
                }
                left -= 1;
                after = Some(*key);
                let record = self.certificate_at(place_of_key(query.order, *key).offset)?;
                if query.includes(&record) && self.has_label(query, &record)? {
                    records.push(record);
                }
            }
            if keys.len() < batch {
                return Ok(CertificateList { records, next: None });
            }
        }
    }

    fn sieve(&self, query: &CertificateQuery) -> Result<Sieve> {
        let issued = query.issued.as_ref();
        let offset = |moment: Option<&Timestamp>, otherwise: u64| {
            moment.map_or(Ok(otherwise), |moment| self.first_issued(*moment))
        };
        Ok(Sieve {
            searches: query.fingerprints().into_iter().map(search_number).collect(),
            accounts: self.account_numbers(query)?,
            ends: query.ends(),
            offsets: offset(issued.map(|range| &range.start), 0)?
                ..offset(issued.map(|range| &range.end), u64::MAX)?,
            current: query.current,
        })
    }

    /// The numbers of the accounts whose certificates are asked for; `None` for all, or if these are too many to name.
    fn account_numbers(&self, query: &CertificateQuery) -> Result<Option<AccountNumbers>> {
        if let Some(name) = &query.account {
            return Ok(Some(self.numbers_of(name)?.into_iter().collect()));
        }
        let Some(label) = &query.label else { return Ok(None) };
        let (prefix, mut names) = (keys::labels(label), Vec::new());
        let mut found = 0_usize;
        self.shared.index.scan(&prefix, &prefix, |key, _| {
            found += 1;
            if found > MOST_NAMED {
                return Ok(Scan::Stop);
            }
            let name = key.strip_prefix(prefix.as_slice()).unwrap_or_default();
            names.push(values::label(name)?);
            Ok(Scan::Continue)
        })?;
        if found > MOST_NAMED {
            return Ok(None);
        }
        let numbers = names.iter().map(|name| self.numbers_of(name));
        let numbers: Vec<Vec<u32>> = numbers.collect::<Result<_>>()?;
        Ok(Some(numbers.into_iter().flatten().collect()))
    }

    /// Whether the certificate's account has the label that is asked for.
    fn has_label(&self, query: &CertificateQuery, record: &CertificateRecord) -> Result<bool> {
        let Some(label) = &query.label else { return Ok(true) };
        Ok(self.holder(record)?.is_some_and(|account| account.has_label(label)))
    }

    /// The offset of the first certificate that was recorded at `moment` or later; the largest number if there is none.
    /// Entries are in the order of time, unless an administrator accepted a clock that went back.
    fn first_issued(&self, moment: Timestamp) -> Result<u64> {
        let (mut least, mut most) = (0, self.shared.position().certificates);
        while least < most {
            let middle = least + (most - least) / 2;
            match self.offset_of(middle)? {
                Some(offset) if self.entry_at(offset)?.at < moment => least = middle + 1,
                _ => most = middle,
            }
        }
        Ok(self.offset_of(least)?.unwrap_or(u64::MAX))
    }

    fn offset_of(&self, ordinal: u64) -> Result<Option<u64>> {
        let offsets = self.shared.index.offsets(ordinal / CHUNK)?;
        Ok(usize::try_from(ordinal % CHUNK).ok().and_then(|place| offsets.get(place).copied()))
    }

    /// The keys of the certificates that have the wanted status, if the index lists them one by one; in order. `None` if it does not, or
    /// if other conditions leave fewer certificates.
    fn named_by_status(&self, query: &CertificateQuery) -> Result<Option<Vec<OrderKey>>> {
        let is_narrow = query.account.is_some() || query.key.is_some() || query.serial.is_some();
        if is_narrow || query.current {
            return Ok(None);
        }
        let mut keys = match query.status {
            Some(CertificateStatus::Revoked) => {
                self.revoked_keys(query, |reason| reason != Reason::CertificateHold)?
            }
            Some(CertificateStatus::Held) => {
                self.revoked_keys(query, |reason| reason == Reason::CertificateHold)?
            }
            Some(CertificateStatus::Unconfirmed) => self.unconfirmed_keys(query)?,
            Some(CertificateStatus::Valid | CertificateStatus::Expired) | None => return Ok(None),
        };
        keys.sort_unstable();
        Ok(Some(keys))
    }

    fn revoked_keys(
        &self,
        query: &CertificateQuery,
        wanted: impl Fn(Reason) -> bool,
    ) -> Result<Vec<OrderKey>> {
        let index = &self.shared.index;
        let mut keys = Vec::new();
        for ca in self.cas()?.into_iter().map(|ca| ca.name) {
            if query.ca.as_ref().is_some_and(|asked| *asked != ca) {
                continue;
            }
            for entry in index.revoked(&ca).iter().filter(|entry| wanted(entry.revocation.reason)) {
                // Of a serial that only a CRL lists there is no certificate.
                let state = index.serial(serial_number(&ca, &entry.serial));
                if let Some(SerialState::Issued(offset)) = state {
                    let place = ListPlace { not_after: entry.not_after, offset };
                    keys.push(order_key(query.order, place));
                }
            }
        }
        Ok(keys)
    }

    fn unconfirmed_keys(&self, query: &CertificateQuery) -> Result<Vec<OrderKey>> {
        let index = &self.shared.index;
        let mut offsets = Vec::new();
        let prefix = Space::Unconfirmed.prefix();
        index.scan(&prefix, &prefix, |key, _| {
            let id = keys::read_unconfirmed(key);
            let good = id.filter(|id| index.revocation(&id.ca, &id.serial).is_none());
            let state = good.and_then(|id| index.serial(serial_number(&id.ca, &id.serial)));
            if let Some(SerialState::Issued(offset)) = state {
                offsets.push(offset);
            }
            Ok(Scan::Continue)
        })?;
        let keys = offsets.into_iter().map(|offset| {
            let not_after = self.certificate_at(offset)?.not_after;
            Ok(order_key(query.order, ListPlace { not_after, offset }))
        });
        keys.collect()
    }

    /// A page of accounts: see [`crate::Store::list_accounts`].
    pub(super) fn accounts_listed(
        &self,
        query: &AccountQuery,
        after: Option<&Label>,
        limit: usize,
    ) -> Result<AccountList> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut page = AccountList { accounts: Vec::new(), next: None };
        if let Some(identity) = &query.identity {
            let mut holders = self.holders(identity)?;
            holders.sort_by(|a, b| a.name.cmp(&b.name));
            holders.retain(|one| query.includes(one) && after.is_none_or(|it| one.name > *it));
            page.next = holders.get(limit).and(holders.get(limit - 1)).map(|it| it.name.clone());
            holders.truncate(limit);
            page.accounts = holders;
            return Ok(page);
        }
        // The names, from the accounts' own keys or from those of a label.
        let prefix = match &query.label {
            Some(label) => keys::labels(label),
            None => Space::Account.prefix().to_vec(),
        };
        let begin = query.prefix.as_deref().unwrap_or_default();
        let first = after.map_or("", Label::as_str).max(begin);
        let mut left = limit * LOOKED_AT.0 + LOOKED_AT.1;
        let (mut names, mut last) = (Vec::new(), None);
        let from = [&prefix[..], first.as_bytes()].concat();
        self.shared.index.scan(&prefix, &from, |key, value| {
            let name = values::label(key.strip_prefix(prefix.as_slice()).unwrap_or_default())?;
            if after == Some(&name) {
                return Ok(Scan::Continue);
            }
            if !name.as_str().starts_with(begin) {
                return Ok(Scan::Stop);
            }
            if names.len() == limit || left == 0 {
                page.next = last.take();
                return Ok(Scan::Stop);
            }
            left -= 1;
            last = Some(name.clone());
            match query.label {
                Some(_) => names.push(name),
                None => {
                    let account = values::account::decode(value)?;
                    if query.includes(&account) {
                        page.accounts.push(account);
                        names.push(name);
                    }
                }
            }
            Ok(Scan::Continue)
        })?;
        if query.label.is_some() {
            for name in &names {
                let account = self.account(name)?;
                page.accounts.extend(account.filter(|account| query.includes(account)));
            }
        }
        Ok(page)
    }

    /// The newest certificates of accounts: see [`crate::Store::enrolled`].
    pub(super) fn newest_of(&self, accounts: &[Account], now: Timestamp) -> Result<Vec<Enrolled>> {
        struct Wanted<'a> {
            account: &'a Account,
            enrolled: Enrolled,
            left: usize,
        }
        let mut wanted: HashMap<u32, Vec<usize>> = HashMap::new();
        // The numbers of former names, with those of the present ones.
        let mut former_numbers: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut all: Vec<Wanted<'_>> = Vec::with_capacity(accounts.len());
        for account in accounts {
            let number = account_number(&account.name);
            wanted.entry(number).or_default().push(all.len());
            for former in self.names_before(&account.name)? {
                former_numbers.entry(account_number(&former)).or_default().push(number);
            }
            all.push(Wanted { account, enrolled: Enrolled::default(), left: MOST_OF_ACCOUNT });
        }
        let numbers: AccountNumbers = wanted.keys().chain(former_numbers.keys()).copied().collect();
        let spans = self.shared.position().certificates.div_ceil(SPAN);
        for span in (0..spans).rev() {
            if wanted.is_empty() {
                break;
            }
            let found = self.shared.index.of_accounts(span, &|number| {
                let of_former = || former_numbers.get(&number).into_iter().flatten();
                numbers.contains(number)
                    && (wanted.contains_key(&number)
                        || of_former().any(|present| wanted.contains_key(present)))
            })?;
            for ordinal in found.into_iter().rev() {
                let Some(offset) = self.offset_of(ordinal)? else { continue };
                let record = self.certificate_at(offset)?;
                let number = account_number(&record.account);
                let Some(places) = wanted.get_mut(&number) else { continue };
                places.retain(|place| {
                    let Some(Wanted { account, enrolled, left }) = all.get_mut(*place) else {
                        return false;
                    };
                    if record.account != account.name {
                        // Of another account with this number.
                        return true;
                    }
                    if record.incarnation != Some(account.incarnation) {
                        // Of an earlier account with this name. Older ones are the account's own only if it had another name.
                        return account.incarnation.named() != account.incarnation.offset();
                    }
                    *left = left.saturating_sub(1);
                    if enrolled.newest.is_none() {
                        enrolled.newest = Some(record.clone());
                    }
                    if record.status(now) == CertificateStatus::Valid {
                        enrolled.valid = Some(record.clone());
                    }
                    enrolled.valid.is_none() && *left > 0
                });
                if places.is_empty() {
                    wanted.remove(&number);
                }
            }
        }
        Ok(all.into_iter().map(|wanted| wanted.enrolled).collect())
    }
}
