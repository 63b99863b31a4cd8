//! What the entries of requests that wait for an administrator demand, and what they change in the index.

use super::records::transaction_id;
use super::rules::{Rules, conflict};
use super::waiting::{
    self, PendingRow, count, counts_key, joined_key, with_moment, without_moment,
};
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::pending::{
    Decision, MAX_JOINED, MAX_PENDING, MAX_PENDING_OF_ACCOUNT, MAX_WORDS, PendingRequest,
    RequestId, Verdict,
};
use crate::record::{Label, Transaction};

/// The largest request that waits, in octets.
const MAX_REQUEST: usize = 64 << 10;

impl Rules<'_> {
    pub(super) fn check_requested(&self, at: Timestamp, pending: &PendingRequest) -> Result<()> {
        let PendingRequest { transaction, incarnation, request } = pending;
        self.check_transaction(at, Some(transaction))?;
        let account = &transaction.account;
        self.check_account(account, *incarnation)?;
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
                return Err(Error::denied(
                    Denial::TooMany,
                    format!(
                        "{most} requests of {whose} wait for an administrator already, and there can be no more: ask again \
                         with the key and the names of one of them, or have the administrator decide"
                    ),
                ));
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
        let row = self.lasting(at, request)?;
        let row = row.ok_or_else(|| conflict(format!("no request `{request}` waits")))?;
        match row.decided.filter(|_| decision.verdict != Verdict::Withdrawn) {
            Some((_, before)) => {
                Err(conflict(format!("the request `{request}` is {before} already")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn check_joined(
        &self,
        at: Timestamp,
        request: &RequestId,
        transaction: &Transaction,
    ) -> Result<()> {
        self.check_transaction(at, Some(transaction))?;
        let row = self.lasting(at, request)?.filter(PendingRow::counts);
        let row = row.filter(|row| row.account == transaction.account);
        let row = row.ok_or_else(|| conflict(format!("no request `{request}` waits")))?;
        if row.joined >= MAX_JOINED {
            return Err(Error::denied(
                Denial::TooMany,
                format!("the request `{request}` was asked for {MAX_JOINED} times; ask less often"),
            ));
        }
        match transaction.expires > row.expires {
            true => Err(Error::internal("a transaction would outlast the request that it joins")),
            false => Ok(()),
        }
    }

    /// Whether a certificate may be issued in this transaction because an administrator approved its request.
    pub(super) fn is_approved(&self, at: Timestamp, transaction: &Transaction) -> Result<bool> {
        let known = self.view.transaction(&transaction_id(&transaction.id));
        if !known.is_some_and(|known| known.is_pending && known.expires > at) {
            return Ok(false);
        }
        let request = self.request_in(&transaction.id)?;
        Ok(self.lasting(at, &request)?.is_some_and(|row| {
            row.account == transaction.account
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
        let row = PendingRow { offset, expires, decided: None, joined: 0, account };
        self.view.put(PendingRow::key(&RequestId::of(&transaction.id)), row.encode());
        Ok(())
    }

    pub(super) fn apply_joined(
        &mut self,
        request: &RequestId,
        transaction: &Transaction,
        offset: u64,
    ) -> Result<()> {
        self.open(Some(transaction), offset, true)?;
        let key = joined_key(&transaction_id(&transaction.id));
        self.view.put(key, request.octets().to_vec());
        let Some(row) = self.pending(request)? else { return Ok(()) };
        let row = PendingRow { joined: row.joined.saturating_add(1), ..row };
        self.view.put(PendingRow::key(request), row.encode());
        Ok(())
    }

    /// The requests of an account that is removed wait no more. Their rows stay until they expire, and are of no account: a later one
    /// of this name has nothing to do with them.
    pub(super) fn end_requests_of(&mut self, account: &Label) -> Result<()> {
        let own = counts_key(Some(account));
        let Some(moments) = self.view.value(&own)? else { return Ok(()) };
        self.view.remove(own);
        let all = counts_key(None);
        let mut left = self.view.value(&all)?.unwrap_or_default();
        for expires in waiting::moments(&moments) {
            left = without_moment(&left, expires);
        }
        match left.is_empty() {
            true => self.view.remove(all),
            false => self.view.put(all, left),
        }
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
        let request = self.request_in(transaction)?;
        self.view.remove(joined_key(&id));
        let Some(row) = self.pending(&request)? else { return Ok(()) };
        if row.counts() {
            self.uncount(&row.account, row.expires)?;
        }
        self.view.remove(PendingRow::key(&request));
        Ok(())
    }

    /// The request that waits in a transaction: its own, or the one that it joined.
    fn request_in(&self, transaction: &[u8]) -> Result<RequestId> {
        let joined = self.view.value(&joined_key(&transaction_id(transaction)))?;
        let joined = joined.and_then(|octets| octets.try_into().ok()).map(RequestId::new);
        Ok(joined.unwrap_or_else(|| RequestId::of(transaction)))
    }

    /// A request that has not expired, of an account that is still the one that made it.
    fn lasting(&self, at: Timestamp, request: &RequestId) -> Result<Option<PendingRow>> {
        let Some(row) = self.pending(request)?.filter(|row| row.expires > at) else {
            return Ok(None);
        };
        let incarnation = self.incarnation(&row.account)?;
        Ok(Some(row).filter(|row| incarnation.is_some_and(|own| own.precedes(row.offset))))
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
