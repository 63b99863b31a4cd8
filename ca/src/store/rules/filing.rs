//! How a new certificate is filed, so that it can be found: by the order of issue, its account, its search keys, the
//! end of its validity.

use super::super::keys;
use super::super::numbers::{
    ACCOUNT_SPAN, DayTime, EXPIRY_CHUNK, ORDER_CHUNK, SEARCH_SPAN, account_number, search_number,
};
use super::super::values::lists::{
    Ending, Member, Numbered, endings, push_ending, push_member, push_numbered,
};
use super::super::view::{KeyValue, View};
use super::{Rules, Subject};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::search::SearchKey;
use crate::record::{Issued, Label};

impl<V: View> Rules<V> {
    /// Files a certificate and counts it. `number` is the number of its serial, `offset` the journal offset of its
    /// entry.
    pub(super) fn file_certificate(
        &mut self,
        issued: &Issued,
        number: u64,
        offset: u64,
    ) -> Result<()> {
        let ordinal = self.view.certificates();
        self.add_to_order(ordinal, Numbered { number, offset })?;
        self.add_to_account(ordinal, &issued.account)?;
        self.add_to_search(ordinal, &issued.certificate);
        self.view.count_certificate();
        self.add_to_expiring(issued.not_after, offset)
    }

    fn add_to_order(&mut self, ordinal: u64, certificate: Numbered) -> Result<()> {
        let key = keys::order(ordinal / ORDER_CHUNK);
        self.view.edit(key, |value| push_numbered(value, certificate))
    }

    fn add_to_account(&mut self, ordinal: u64, account: &Label) -> Result<()> {
        let account = account_number(account);
        let member = Member { number: account.number, which: ordinal % ACCOUNT_SPAN };
        let key = keys::members(ordinal / ACCOUNT_SPAN, account.part);
        self.view.edit(key, |value| push_member(value, member))
    }

    fn add_to_search(&mut self, ordinal: u64, certificate: &[u8]) {
        let (span, which) = (ordinal / SEARCH_SPAN, ordinal % SEARCH_SPAN);
        for found in SearchKey::of(certificate) {
            let search = search_number(found.fingerprint());
            let member = Member { number: search.number, which };
            self.view.edit_search(span, search.part, |value| push_member(value, member));
        }
    }

    fn add_to_expiring(&mut self, not_after: Timestamp, offset: u64) -> Result<()> {
        let DayTime { day, millis } = not_after.into();
        let last = self.view.last_expiring(day).map(|first| keys::expiring(day, first));
        let value = last.as_ref().map_or(Ok(None), |key| self.view.value(key))?;
        let (key, mut value) = match (last, value) {
            (Some(key), Some(value)) if endings(&value).count() < EXPIRY_CHUNK => (key, value),
            _ => {
                self.view.set_last_expiring(day, offset);
                (keys::expiring(day, offset), Vec::new())
            }
        };
        push_ending(&mut value, Ending { offset, millis });
        self.view.put(key, value);
        Ok(())
    }

    /// Removes a certificate that was revoked or replaced from those that expire. The key stays even if its value is
    /// empty, as the place of the next certificate must not depend on removals ([`View::last`]).
    pub(super) fn remove_from_expiring(&mut self, subject: &Subject) -> Result<()> {
        let DayTime { day, .. } = subject.not_after.into();
        let first = keys::expiring(day, 0);
        let until = keys::expiring(day, subject.offset.saturating_add(1));
        let Some(KeyValue { key, value }) = self.view.last(&first, &until)? else { return Ok(()) };
        let mut left = Vec::new();
        for ending in endings(&value).filter(|ending| ending.offset != subject.offset) {
            push_ending(&mut left, ending);
        }
        if left.len() < value.len() {
            self.view.put(key, left);
        }
        Ok(())
    }

    /// Records the certificate's partition number if it is the largest of its CA so far.
    pub(super) fn note_partition(&mut self, issued: &Issued) -> Result<()> {
        let Some(number) = issued.partition else { return Ok(()) };
        let key = keys::last_partition(&issued.ca);
        let known = self.view.value(&key)?;
        let known = known.and_then(|octets| octets.first_chunk().copied());
        if known.is_none_or(|known| u16::from_be_bytes(known) < number) {
            self.view.put(key, number.to_be_bytes().to_vec());
        }
        Ok(())
    }
}
