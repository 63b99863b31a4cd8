//! Look-ups of certificates in the embedded store: by place, in pages, by search key, by the end of their validity.

use super::EmbeddedStore;
use super::index::Scan;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{Entry, Recorded};
use crate::record::search::SearchKey;
use crate::record::{CertificateRecord, Issued, Label, Revocation, Serial, Transaction};
use crate::store::answers::Page;
use crate::store::keys::{self, Space};
use crate::store::numbers::{
    ACCOUNT_SPAN, Day, DayTime, ORDER_CHUNK, SEARCH_SPAN, account_number, search_number,
};
use crate::store::values::lists::{endings, members, numbered};
use crate::store::values::{confirmation, revocation};

/// The most certificates that one call returns.
const MAX_PAGE: usize = 10_000;
/// The certificates that a search looks at for each one that it may return. This bounds the work for a peer that
/// searches for many hidden certificates.
const LOOKED_AT: usize = 32;

/// Some certificates to look at, by their places in the order of issue.
struct Candidates {
    ordinals: Vec<u64>,
    /// The place in the order of issue to go on from if these do not fill the page; `None` if there are no more.
    rest: Option<u64>,
}

impl EmbeddedStore {
    /// The certificate in the entry at `offset`, with its revocation and its confirmation since.
    pub(super) fn certificate_at(&self, offset: u64) -> Result<CertificateRecord> {
        let Recorded { at, entry: Entry::Issued(issued), .. } = self.entry_at(offset)? else {
            return Err(Error::internal(format!(
                "no certificate stands at offset `{offset}` of the journal: run `countersign store rebuild`"
            )));
        };
        let confirmation = self.confirmation(&issued)?;
        // The revocation is read last. Readers and the writer do not exclude each other: a certificate that is revoked
        // between the two look-ups is awaited no more because of that revocation, which must then be in the record,
        // too.
        let revocation = self.recorded_revocation(&issued.ca, &issued.serial)?;
        let Issued { ca, serial, account, profile, not_after, certificate, .. } = issued;
        Ok(CertificateRecord {
            ca,
            serial,
            account,
            offset,
            profile,
            issued: at,
            not_after,
            certificate,
            confirmed: confirmation.is_confirmed,
            awaits_confirmation: confirmation.is_awaited,
            withheld: issued.withheld && !confirmation.is_confirmed,
            unpublished: issued.unpublished,
            client: issued.transaction.as_ref().and_then(|transaction| transaction.client),
            registrar: issued.transaction.and_then(|transaction| transaction.registrar),
            revocation,
        })
    }

    fn confirmation(&self, issued: &Issued) -> Result<Confirmation> {
        let Some(Transaction { awaits: Some(_), .. }) = &issued.transaction else {
            return Ok(Confirmation { is_confirmed: true, is_awaited: false });
        };
        let index = &self.shared.index;
        let (ca, serial) = (&issued.ca, &issued.serial);
        let value = index.value(&keys::unconfirmed(ca, serial))?;
        let awaited = value.as_deref().and_then(confirmation::decode);
        // After a restore, no confirmation of an older certificate is awaited, though none was recorded.
        let is_awaited = match awaited {
            Some(awaited) => index.value(&keys::awaited(awaited.until, ca, serial))?.is_some(),
            None => false,
        };
        Ok(Confirmation { is_confirmed: value.is_none(), is_awaited })
    }

    /// The revocation of a certificate as it was recorded, with milliseconds. Most certificates are not revoked, which
    /// the table in memory says without a look-up in the database.
    fn recorded_revocation(&self, ca: &Label, serial: &Serial) -> Result<Option<Revocation>> {
        let index = &self.shared.index;
        if index.revocation(ca, serial).is_none() {
            return Ok(None);
        }
        let octets = index.value(&keys::revoked(ca, serial))?;
        let entry = octets.map(|octets| revocation::decode(*serial, &octets)).transpose()?;
        Ok(entry.map(|entry| entry.revocation))
    }

    /// A page of certificates in the order of issue: see [`crate::Store::certificates`].
    pub(super) fn page(&self, account: Option<&Label>, cursor: u64, limit: usize) -> Result<Page> {
        let limit = limit.clamp(1, MAX_PAGE);
        let Candidates { ordinals, rest } = self.candidates(account, cursor, limit)?;
        let mut records = Vec::new();
        // The chunk of the order that was read last. The next certificate is mostly in the same one.
        let (mut chunk, mut offsets) = (u64::MAX, Vec::new());
        for ordinal in ordinals {
            if chunk != ordinal / ORDER_CHUNK {
                chunk = ordinal / ORDER_CHUNK;
                let value = self.shared.index.value(&keys::order(chunk))?.unwrap_or_default();
                offsets = numbered(&value).map(|certificate| certificate.offset).collect();
            }
            let place = usize::try_from(ordinal % ORDER_CHUNK).map_err(Error::internal)?;
            let Some(offset) = offsets.get(place) else { break };
            if records.len() == limit {
                return Ok(Page { records, next: Some(ordinal) });
            }
            let record = self.certificate_at(*offset)?;
            if account.is_none_or(|name| record.account == *name) {
                records.push(record);
            }
        }
        Ok(Page { records, next: rest })
    }

    /// The certificates, from `cursor` on in the order of issue, to look at for a page of `limit` and the beginning of
    /// the next one: all, or those that may be of an account.
    fn candidates(&self, account: Option<&Label>, cursor: u64, limit: usize) -> Result<Candidates> {
        let end = self.shared.position().certificates;
        // Certificates of other accounts with the same number are rare, but must not end a page early.
        let enough = limit.saturating_mul(2).saturating_add(64);
        let Some(name) = account else {
            let until = end.min(cursor.saturating_add(enough as u64));
            let rest = (until < end).then_some(until);
            return Ok(Candidates { ordinals: (cursor..until).collect(), rest });
        };
        let account = account_number(name);
        let mut ordinals = Vec::new();
        for span in cursor / ACCOUNT_SPAN..end.div_ceil(ACCOUNT_SPAN) {
            let value = self.shared.index.value(&keys::members(span, account.part))?;
            let value = value.unwrap_or_default();
            let own = members(&value).filter(|member| member.number == account.number);
            let own = own.map(|member| span * ACCOUNT_SPAN + member.which);
            ordinals.extend(own.filter(|ordinal| *ordinal >= cursor));
            if ordinals.len() > enough {
                return Ok(Candidates { ordinals, rest: Some((span + 1) * ACCOUNT_SPAN) });
            }
        }
        Ok(Candidates { ordinals, rest: None })
    }

    /// The certificates with a search key that are `wanted`, newest first: see [`crate::Store::find`].
    pub(super) fn found(
        &self,
        key: &SearchKey,
        limit: usize,
        wanted: &dyn Fn(&CertificateRecord) -> bool,
    ) -> Result<Vec<CertificateRecord>> {
        let search = search_number(key.fingerprint());
        let spans = self.shared.position().certificates.div_ceil(SEARCH_SPAN);
        let (mut found, mut left) = (Vec::new(), limit.saturating_mul(LOOKED_AT));
        for span in (0..spans).rev() {
            let value = self.shared.index.value(&keys::search(span, search.part))?;
            let value = value.unwrap_or_default();
            let mut ordinals: Vec<u64> = members(&value)
                .filter(|member| member.number == search.number)
                .map(|member| span * SEARCH_SPAN + member.which)
                .collect();
            ordinals.sort_unstable_by(|a, b| b.cmp(a));
            for ordinal in ordinals {
                if found.len() >= limit || left == 0 {
                    return Ok(found);
                }
                left = left.saturating_sub(1);
                let record = self.certificate_by_ordinal(ordinal)?;
                // Others may share the number.
                let has_key = |of: &CertificateRecord| SearchKey::of(&of.certificate).contains(key);
                found.extend(record.filter(|record| has_key(record) && wanted(record)));
            }
        }
        Ok(found)
    }

    /// The certificate at a place in the order of issue, from 0; `None` if there is none.
    fn certificate_by_ordinal(&self, ordinal: u64) -> Result<Option<CertificateRecord>> {
        let value = self.shared.index.value(&keys::order(ordinal / ORDER_CHUNK))?;
        let value = value.unwrap_or_default();
        let place = usize::try_from(ordinal % ORDER_CHUNK).map_err(Error::internal)?;
        let certificate = numbered(&value).nth(place);
        certificate.map(|certificate| self.certificate_at(certificate.offset)).transpose()
    }

    /// The certificates that are neither revoked, held nor replaced and end in `from..until`, soonest first, at most
    /// `limit`.
    pub(super) fn ending(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<CertificateRecord>> {
        let limit = limit.min(MAX_PAGE);
        let last_day = DayTime::from(until).day;
        let (mut records, mut day) = (Vec::new(), DayTime::from(from).day);
        while day <= last_day && records.len() < limit {
            let Some(found) = self.first_day(day)?.filter(|found| *found <= last_day) else {
                break;
            };
            for offset in self.ending_on(found, from, until)? {
                if records.len() == limit {
                    break;
                }
                let record = self.certificate_at(offset)?;
                // One that is on hold is in the index, as it may be released.
                if record.revocation.is_none() {
                    records.push(record);
                }
            }
            let Some(next) = found.checked_add(1) else { break };
            day = next;
        }
        Ok(records)
    }

    /// The first day, from `day` on, on which certificates end; `None` if there is none.
    fn first_day(&self, day: Day) -> Result<Option<Day>> {
        let mut found = None;
        let prefix = Space::Expiring.prefix();
        self.shared.index.scan(&prefix, &keys::expiring_on(day), |key, _| {
            found = keys::read_expiring(key).map(|(day, _)| day);
            Ok(Scan::Stop)
        })?;
        Ok(found)
    }

    /// The offsets of the certificates that end on a day and in `from..until`, soonest first.
    fn ending_on(&self, day: Day, from: Timestamp, until: Timestamp) -> Result<Vec<u64>> {
        let prefix = keys::expiring_on(day);
        let mut found = Vec::new();
        self.shared.index.scan(&prefix, &prefix, |_, value| {
            for ending in endings(value) {
                let at = DayTime { day, millis: ending.millis }.moment();
                if (from..until).contains(&at) {
                    found.push((at, ending.offset));
                }
            }
            Ok(Scan::Continue)
        })?;
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, offset)| offset).collect())
    }
}

/// The state of a certificate's confirmation in the index.
struct Confirmation {
    /// Whether the certificate was confirmed, or needed no confirmation.
    is_confirmed: bool,
    /// Whether the confirmation is still awaited.
    is_awaited: bool,
}
