//! How a new certificate is filed, so that it can be found: by the order of issue, its account, its search keys, the
//! end of its validity.

use super::super::keys;
use super::super::numbers::{SPAN, account_number};
use super::super::values::ended;
use super::super::values::filing::Row;
use super::super::view::View;
use super::{Rules, Subject};
use crate::error::Result;
use crate::record::Issued;

impl<V: View> Rules<'_, V> {
    /// Files a certificate and counts it. `number` is the number of its serial, `offset` the journal offset of its
    /// entry.
    pub(super) fn file_certificate(&mut self, issued: &Issued, number: u64, offset: u64) {
        let Issued { account, not_after, .. } = issued;
        let (account, search) = (account_number(account), self.prepared.search.clone());
        self.view.file(Row { number, offset, account, not_after: *not_after, search });
    }

    /// Marks a certificate that was revoked or replaced as one that needs no renewal.
    pub(super) fn end_certificate(&mut self, subject: &Subject) -> Result<()> {
        let Some(ordinal) = self.view.ordinal(subject.offset)? else { return Ok(()) };
        let which = ordinal % SPAN;
        self.view.edit(keys::ended(ordinal / SPAN), |bits| ended::set(bits, which))
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
