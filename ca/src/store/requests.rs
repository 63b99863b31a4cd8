//! What the entries of requests that wait for an administrator demand, and what they change in the index.

use super::records::transaction_id;
use super::rules::{Rules, conflict, not_authorized};
use super::waiting::{PendingRow, count, counts_key, with_moment, without_moment};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::pending::{
    Decision, MAX_PENDING, MAX_PENDING_OF_ACCOUNT, MAX_WORDS, PendingRequest, RequestId, Verdict,
};
use crate::record::{Label, Transaction};

/// The largest request that waits, in octets.
const MAX_REQUEST: usize = 64 << 10;

impl Rules<'_> {
    pub(super) fn check_requested(&self, at: Timestamp, pending: &PendingRequest) -> Result<()> {
        let PendingRequest { transaction, request } = pending;
        self.check_transaction(at, Some(transaction))?;
        let account = &transaction.account;
        if self.account(account)?.is_none() {
            return Err(not_authorized(format!("account `{account}` does not exist any more")));
        }
        let parts = request.alt_names.iter().chain(&request.extensions).map(Vec::len);
        let octets = parts.sum::<usize>().saturating_add(request.key.len());
        if octets > MAX_REQUEST {
            return Err(Error::malformed(format!(
                "expected a request of at most {MAX_REQUEST} octets, found {octets}"
            )));
        }
        for (of, most, whose) in [
            (Some(account), MAX_PENDING_OF_ACCOUNT, format!("the account `{account}`")),
            (None, MAX_PENDING, "all accounts".to_owned()),
        ] {
            let value = self.view.value(&counts_key(of))?.unwrap_or_default();
            if count(&value, at) >= most {
                return Err(Error::unavailable(format!(
                    "{most} requests of {whose} wait for an administrator already, and there can be no more"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn check_decided(
        &self,
        at: Timestamp,
        request: &RequestId,
        decision: &Decision,
    ) -> Result<()> {
        if decision.words.as_ref().is_some_and(|words| words.chars().count() > MAX_WORDS) {
            return Err(Error::malformed(format!(
                "expected at most {MAX_WORDS} characters of words"
            )));
        }
        let row = self.pending(request)?.filter(|row| row.expires > at);
        let row = row.ok_or_else(|| conflict(format!("no request `{request}` waits")))?;
        match row.decided.filter(|_| decision.verdict != Verdict::Withdrawn) {
            Some((_, before)) => {
                Err(conflict(format!("the request `{request}` is {before} already")))
            }
            None => Ok(()),
        }
    }

    /// Whether a certificate may be issued in this transaction because an administrator approved its request.
    pub(super) fn is_approved(&self, at: Timestamp, transaction: &Transaction) -> Result<bool> {
        let known = self.view.transaction(&transaction_id(&transaction.id));
        if !known.is_some_and(|known| known.is_pending && known.expires > at) {
            return Ok(false);
        }
        Ok(self.pending(&RequestId::of(&transaction.id))?.is_some_and(|row| {
            row.account == transaction.account
                && row.expires > at
                && matches!(row.decided, Some((_, Verdict::Approved)))
        }))
    }

    pub(super) fn apply_requested(
        &mut self,
        at: Timestamp,
        pending: &PendingRequest,
        offset: u64,
    ) -> Result<()> {
        let transaction = &pending.transaction;
        self.open(Some(transaction), offset, true)?;
        let expires = transaction.expires;
        let account = transaction.account.clone();
        for of in [Some(&account), None] {
            let key = counts_key(of);
            let value = self.view.value(&key)?.unwrap_or_default();
            self.view.put(key, with_moment(&value, expires, at));
        }
        let row = PendingRow { offset, expires, decided: None, account };
        self.view.put(PendingRow::key(&RequestId::of(&transaction.id)), row.encode());
        Ok(())
    }

    pub(super) fn apply_decided(
        &mut self,
        request: &RequestId,
        verdict: Verdict,
        offset: u64,
    ) -> Result<()> {
        let Some(row) = self.pending(request)? else { return Ok(()) };
        let counted = row.counts();
        let decided = PendingRow { decided: Some((offset, verdict)), ..row };
        if counted && !decided.counts() {
            self.uncount(&decided.account, decided.expires)?;
        }
        match verdict {
            Verdict::Withdrawn => self.view.remove(PendingRow::key(request)),
            _ => self.view.put(PendingRow::key(request), decided.encode()),
        }
        Ok(())
    }

    /// A request whose certificate is issued waits no more. Its identifier now stands for the certificate's transaction.
    pub(super) fn end_request(&mut self, transaction: &[u8]) -> Result<()> {
        let id = transaction_id(transaction);
        let Some(state) = self.view.transaction(&id).filter(|state| state.is_pending) else {
            return Ok(());
        };
        self.drop_transaction(&id, &state)?;
        let request = RequestId::of(transaction);
        let Some(row) = self.pending(&request)? else { return Ok(()) };
        if row.counts() {
            self.uncount(&row.account, row.expires)?;
        }
        self.view.remove(PendingRow::key(&request));
        Ok(())
    }

    fn pending(&self, request: &RequestId) -> Result<Option<PendingRow>> {
        let value = self.view.value(&PendingRow::key(request))?;
        value.map(|octets| PendingRow::decode(&octets)).transpose()
    }

    fn uncount(&mut self, account: &Label, expires: Timestamp) -> Result<()> {
        for of in [Some(account), None] {
            let key = counts_key(of);
            let value = self.view.value(&key)?.unwrap_or_default();
            let left = without_moment(&value, expires);
            match left.is_empty() {
                true => self.view.remove(key),
                false => self.view.put(key, left),
            }
        }
        Ok(())
    }
}
