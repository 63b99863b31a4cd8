//! Look-ups in the embedded store of requests that an administrator must decide.

use super::EmbeddedStore;
use super::index::Scan;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::journal::{Entry, Recorded};
use crate::record::approval::{RequestId, WaitingRequest};
use crate::store::keys::{self, Space};
use crate::store::values::{RequestRow, damaged, transaction_id};

impl EmbeddedStore {
    /// The request of a transaction, its own or the one that it joined, if it has not expired at `at` and its account
    /// still exists.
    pub(super) fn request_of(
        &self,
        at: Timestamp,
        transaction: &[u8],
    ) -> Result<Option<WaitingRequest>> {
        let joined = self.shared.index.value(&keys::joined(&transaction_id(transaction)))?;
        let joined = joined.and_then(|octets| octets.try_into().ok()).map(RequestId::new);
        let id = joined.unwrap_or_else(|| RequestId::of(transaction));
        let row = self.shared.index.value(&keys::request(&id))?;
        let row = row.map(|value| RequestRow::decode(&value)).transpose()?;
        let row = match row.filter(|row| row.expires > at) {
            Some(row) => self.of_its_account(row)?,
            None => None,
        };
        row.map(|row| self.waiting_request(id, &row)).transpose()
    }

    /// The requests that have not expired at `at`, whose account still exists and that are `wanted`, oldest first.
    pub(super) fn requests(
        &self,
        at: Timestamp,
        wanted: impl Fn(&RequestRow) -> bool,
    ) -> Result<Vec<WaitingRequest>> {
        let mut all = Vec::new();
        for (id, row) in self.request_rows(at)? {
            if wanted(&row) {
                all.push(self.waiting_request(id, &row)?);
            }
        }
        all.sort_by_key(|waiting| (waiting.received, waiting.id));
        Ok(all)
    }

    /// The rows of the requests that have not expired at `at` and whose account still exists, by its present name.
    pub(super) fn request_rows(&self, at: Timestamp) -> Result<Vec<(RequestId, RequestRow)>> {
        let mut rows = Vec::new();
        let prefix = Space::Request.prefix();
        self.shared.index.scan(&prefix, &prefix, |key, value| {
            let row = RequestRow::decode(value)?;
            rows.extend(keys::read_request(key).filter(|_| row.expires > at).map(|id| (id, row)));
            Ok(Scan::Continue)
        })?;
        let mut lasting = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            lasting.extend(self.of_its_account(row)?.map(|row| (id, row)));
        }
        Ok(lasting)
    }

    /// The row with the present name of the account that asked; `None` if the account was removed. A later account of the
    /// same name is another one.
    fn of_its_account(&self, row: RequestRow) -> Result<Option<RequestRow>> {
        let owner = self.owner(&row.account, row.offset)?;
        let is_there = owner.incarnation.is_some();
        Ok(is_there.then_some(RequestRow { account: owner.name, ..row }))
    }

    fn waiting_request(&self, id: RequestId, row: &RequestRow) -> Result<WaitingRequest> {
        let Recorded { at: received, entry, .. } = self.entry_at(row.offset)?;
        let Entry::Requested(mut pending) = entry else { return Err(damaged()) };
        pending.transaction = self.with_present_names(pending.transaction, row.offset)?;
        let decision = match row.decided {
            None => None,
            Some((offset, _)) => match self.entry_at(offset)? {
                Recorded { at, entry: Entry::Decided { decision, .. }, .. } => Some((at, decision)),
                _ => return Err(damaged()),
            },
        };
        Ok(WaitingRequest { id, received, pending: *pending, decision })
    }
}
