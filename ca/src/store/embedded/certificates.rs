//! Look-ups of certificates in the embedded store: by place, in pages, by search key, by the end of their validity.

use super::EmbeddedStore;
use super::index::Ending;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{Entry, Recorded};
use crate::record::search::SearchKey;
use crate::record::{CertificateRecord, Issued, Label, Revocation, Serial, Transaction};
use crate::store::answers::Page;
use crate::store::keys;
use crate::store::numbers::{CHUNK, SPAN, account_number, search_number};
use crate::store::owner::{Owner, owner};
use crate::store::values::{confirmation, holders, label, revocation};

/// The most certificates that one call returns.
const MAX_PAGE: usize = 10_000;
/// The certificates that a search looks at for each one that it may return. This bounds the work for a peer that
/// searches for many hidden certificates.
const LOOKED_AT: usize = 32;

/// Some certificates to look at, by their places in the order of issue.
struct Candidates {
    ordinals: Vec<u64>,
    /// The place in the order of issue from which to continue if these do not fill the page; `None` if there are no more.
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
        let Owner { name: account, incarnation } = self.owner(&account, offset)?;
        let transaction = issued.transaction;
        let transaction = transaction.map(|of| self.with_present_names(of, offset)).transpose()?;
        Ok(CertificateRecord {
            ca,
            serial,
            account,
            incarnation,
            offset,
            profile,
            issued: at,
            not_after,
            certificate,
            confirmed: confirmation.is_confirmed,
            awaits_confirmation: confirmation.is_awaited,
            withheld: issued.withheld && !confirmation.is_confirmed,
            unpublished: issued.unpublished,
            client: transaction.as_ref().and_then(|transaction| transaction.client),
            registrar: transaction.and_then(|transaction| transaction.registrar),
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

    /// The account that the entry at `offset` names, as it is now.
    pub(super) fn owner(&self, name: &Label, offset: u64) -> Result<Owner> {
        owner(name, offset, |key| self.shared.index.value(key))
    }

    /// The transaction in the entry at `offset`, with the present names of its accounts.
    pub(super) fn with_present_names(
        &self,
        mut transaction: Transaction,
        offset: u64,
    ) -> Result<Transaction> {
        transaction.account = self.owner(&transaction.account, offset)?.name;
        if let Some(registrar) = &mut transaction.registrar {
            *registrar = self.owner(registrar, offset)?.name;
        }
        Ok(transaction)
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
            if chunk != ordinal / CHUNK {
                chunk = ordinal / CHUNK;
                offsets = self.shared.index.offsets(chunk)?;
            }
            let place = usize::try_from(ordinal % CHUNK).map_err(Error::internal)?;
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
        let numbers = self.numbers_of(name)?;
        let mut ordinals = Vec::new();
        for span in cursor / SPAN..end.div_ceil(SPAN) {
            let own = self.shared.index.of_accounts(span, &|number| numbers.contains(&number))?;
            ordinals.extend(own.into_iter().filter(|ordinal| *ordinal >= cursor));
            if ordinals.len() > enough {
                return Ok(Candidates { ordinals, rest: Some((span + 1) * SPAN) });
            }
        }
        Ok(Candidates { ordinals, rest: None })
    }

    /// The numbers of the names that an account has and had, or that of the name if no account has it.
    pub(super) fn numbers_of(&self, account: &Label) -> Result<Vec<u32>> {
        let former = self.names_before(account)?;
        Ok(former.iter().chain([account]).map(account_number).collect())
    }

    /// The former names of every account that has or had this name.
    pub(super) fn names_before(&self, account: &Label) -> Result<Vec<Label>> {
        let value = self.shared.index.value(&keys::former(account))?.unwrap_or_default();
        holders::names(&value).map(label).collect()
    }

    /// The certificates with a search key that are `wanted`, newest first: see [`crate::Store::find`].
    pub(super) fn found(
        &self,
        key: &SearchKey,
        limit: usize,
        wanted: &dyn Fn(&CertificateRecord) -> bool,
    ) -> Result<Vec<CertificateRecord>> {
        let search = search_number(key.fingerprint());
        let spans = self.shared.position().certificates.div_ceil(SPAN);
        let (mut found, mut left) = (Vec::new(), limit.saturating_mul(LOOKED_AT));
        for span in (0..spans).rev() {
            for ordinal in self.shared.index.with_search(span, search)?.into_iter().rev() {
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
        let offsets = self.shared.index.offsets(ordinal / CHUNK)?;
        let place = usize::try_from(ordinal % CHUNK).map_err(Error::internal)?;
        offsets.get(place).map(|offset| self.certificate_at(*offset)).transpose()
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
        let (mut records, mut after) = (Vec::new(), None);
        while records.len() < limit {
            // Some are on hold: they are among those that end, as they may be released.
            let most = (limit - records.len()).saturating_mul(2).saturating_add(64);
            let endings = self.shared.index.ending(after, from, until, most)?;
            for Ending { offset, .. } in &endings {
                let record = self.certificate_at(*offset)?;
                records.extend(Some(record).filter(|record| record.revocation.is_none()));
                if records.len() == limit {
                    break;
                }
            }
            after = endings.last().copied();
            if endings.len() < most {
                break;
            }
        }
        Ok(records)
    }
}

/// The state of a certificate's confirmation in the index.
struct Confirmation {
    /// Whether the certificate was confirmed, or needed no confirmation.
    is_confirmed: bool,
    /// Whether the confirmation is still awaited.
    is_awaited: bool,
}
