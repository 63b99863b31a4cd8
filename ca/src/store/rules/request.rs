//! The rules for requests that an administrator must decide.

use super::super::keys;
use super::super::values::approvers;
use super::super::values::request::{self, RequestRow, count, with_moment, without_moment};
use super::super::view::View;
use super::Rules;
use super::refusal::conflict;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::record::approval::{
    Decision, MAX_APPROVERS, MAX_COMMENT, MAX_JOINED, MAX_PENDING, MAX_PENDING_OF_ACCOUNT,
    PartialApproval, PendingRequest, RequestId, Verdict,
};
use crate::record::{Label, Transaction};

/// The most octets of a request's key, subject, alternative names and extensions together.
const MAX_REQUEST: usize = 64 << 10;

impl<V: View> Rules<'_, V> {
    pub(super) fn check_requested(&self, at: Timestamp, pending: &PendingRequest) -> Result<()> {
        let PendingRequest { transaction, incarnation, request } = pending;
        self.check_transaction(at, Some(transaction))?;
        let account = &transaction.account;
        self.check_account(account, *incarnation)?;
        self.check_enabled(account)?;
        let names = request.subject.iter().chain(&request.alt_names);
        let parts = names.chain(&request.extensions).map(Vec::len);
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
            let value = self.view.value(&keys::request_counts(of))?.unwrap_or_default();
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
        if decision.comment.as_ref().is_some_and(|comment| comment.chars().count() > MAX_COMMENT) {
            return Err(Error::malformed(format!(
                "expected at most {MAX_COMMENT} characters of words"
            )));
        }
        let row = self.unexpired_request(at, request)?;
        let row = row.ok_or_else(|| conflict(format!("no request `{request}` waits")))?;
        // A peer may withdraw a request that was decided.
        match row.decided.filter(|_| decision.verdict != Verdict::Withdrawn) {
            Some((_, before)) => {
                Err(conflict(format!("the request `{request}` is {before} already")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn check_partly_approved(
        &self,
        at: Timestamp,
        request: &RequestId,
        approval: &PartialApproval,
    ) -> Result<()> {
        let decision = Decision {
            verdict: Verdict::Approved,
            actor: approval.actor.clone(),
            comment: approval.comment.clone(),
        };
        self.check_decided(at, request, &decision)?;
        let known = self.view.value(&keys::approvers(request))?.unwrap_or_default();
        if approvers::names(&known).count() >= MAX_APPROVERS {
            return Err(conflict(format!("{MAX_APPROVERS} people approved `{request}` already")));
        }
        match approvers::names(&known).any(|name| name == approval.person.as_bytes()) {
            true => Err(conflict(format!(
                "`{}` approved the request `{request}` already; another person must, too",
                approval.person
            ))),
            false => Ok(()),
        }
    }

    pub(super) fn apply_partly_approved(
        &mut self,
        request: &RequestId,
        approval: &PartialApproval,
    ) -> Result<()> {
        let key = keys::approvers(request);
        let known = self.view.value(&key)?.unwrap_or_default();
        self.view.put(key, approvers::with(&known, &approval.person));
        Ok(())
    }

    pub(super) fn check_joined(
        &self,
        at: Timestamp,
        request: &RequestId,
        transaction: &Transaction,
    ) -> Result<()> {
        self.check_transaction(at, Some(transaction))?;
        let row = self.unexpired_request(at, request)?.filter(RequestRow::is_open);
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
        let known = self.view.transaction(&self.transaction_id(&transaction.id));
        if !known.is_some_and(|known| known.is_request && known.expires > at) {
            return Ok(false);
        }
        let request = self.request_in(&transaction.id)?;
        Ok(self.unexpired_request(at, &request)?.is_some_and(|row| {
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
        self.open_request(transaction, offset)?;
        let expires = transaction.expires;
        let account = transaction.account.clone();
        for of in [Some(&account), None] {
            let key = keys::request_counts(of);
            let value = self.view.value(&key)?.unwrap_or_default();
            self.view.put(key, with_moment(&value, expires, at));
        }
        let row = RequestRow { offset, expires, decided: None, joined: 0, account };
        self.view.put(keys::request(&RequestId::of(&transaction.id)), row.encode());
        Ok(())
    }

    pub(super) fn apply_joined(
        &mut self,
        request: &RequestId,
        transaction: &Transaction,
        offset: u64,
    ) -> Result<()> {
        self.open_request(transaction, offset)?;
        let key = keys::joined(&self.transaction_id(&transaction.id));
        self.view.put(key, request.octets().to_vec());
        let Some(row) = self.request(request)? else { return Ok(()) };
        let row = RequestRow { joined: row.joined.saturating_add(1), ..row };
        self.view.put(keys::request(request), row.encode());
        Ok(())
    }

    /// Closes the requests of an account that is removed: they do not count as open any more. Their rows stay until
    /// they expire, but are never found, as a later account of the same name has another incarnation.
    pub(super) fn close_requests_of(&mut self, account: &Label) -> Result<()> {
        let own = keys::request_counts(Some(account));
        let Some(moments) = self.view.value(&own)? else { return Ok(()) };
        self.view.remove(own);
        let all = keys::request_counts(None);
        let mut left = self.view.value(&all)?.unwrap_or_default();
        for expires in request::moments(&moments) {
            left = without_moment(&left, expires);
        }
        self.put_or_remove(all, left);
        Ok(())
    }

    pub(super) fn apply_decided(
        &mut self,
        request: &RequestId,
        verdict: Verdict,
        offset: u64,
    ) -> Result<()> {
        let Some(row) = self.request(request)? else { return Ok(()) };
        let was_open = row.is_open();
        let decided = RequestRow { decided: Some((offset, verdict)), ..row };
        if was_open && !decided.is_open() {
            self.count_closed(&decided)?;
        }
        match verdict {
            Verdict::Withdrawn => self.forget_request(request),
            _ => self.view.put(keys::request(request), decided.encode()),
        }
        Ok(())
    }

    /// Ends the request of a transaction in which a certificate is issued, if there is one. The identifier is free then
    /// for the transaction of the certificate.
    pub(super) fn end_request(&mut self, transaction: &[u8]) -> Result<()> {
        let id = self.transaction_id(transaction);
        let Some(state) = self.view.transaction(&id).filter(|state| state.is_request) else {
            return Ok(());
        };
        self.remove_transaction(&id, &state)?;
        let request = self.request_in(transaction)?;
        self.view.remove(keys::joined(&id));
        let Some(row) = self.request(&request)? else { return Ok(()) };
        if row.is_open() {
            self.count_closed(&row)?;
        }
        self.forget_request(&request);
        Ok(())
    }

    /// Forgets a request that has ended.
    pub(super) fn forget_request(&mut self, request: &RequestId) {
        self.view.remove(keys::request(request));
        self.view.remove(keys::approvers(request));
    }

    /// The request of a transaction: its own, or the one that it joined.
    fn request_in(&self, transaction: &[u8]) -> Result<RequestId> {
        let joined = self.view.value(&keys::joined(&self.transaction_id(transaction)))?;
        let joined = joined.and_then(|octets| octets.try_into().ok()).map(RequestId::new);
        Ok(joined.unwrap_or_else(|| RequestId::of(transaction)))
    }

    /// The request of this name if it has not expired at `at` and the account that made it still exists, by the account's present name.
    fn unexpired_request(&self, at: Timestamp, id: &RequestId) -> Result<Option<RequestRow>> {
        let Some(row) = self.request(id)?.filter(|row| row.expires > at) else {
            return Ok(None);
        };
        let owner = self.owner(&row.account, row.offset)?;
        let is_there = owner.incarnation.is_some();
        Ok(is_there.then_some(RequestRow { account: owner.name, ..row }))
    }

    fn request(&self, id: &RequestId) -> Result<Option<RequestRow>> {
        let value = self.view.value(&keys::request(id))?;
        value.map(|octets| RequestRow::decode(&octets)).transpose()
    }

    /// Counts one open request less, of its account and of all accounts.
    fn count_closed(&mut self, row: &RequestRow) -> Result<()> {
        let (account, expires) = (self.owner(&row.account, row.offset)?.name, row.expires);
        for of in [Some(&account), None] {
            let key = keys::request_counts(of);
            let value = self.view.value(&key)?.unwrap_or_default();
            self.put_or_remove(key, without_moment(&value, expires));
        }
        Ok(())
    }
}
