//! Requests that need an administrator's approval (docs/adr/0008-approval.md). Such a request is recorded, and issued
//! once it is approved.
//!
//! Nothing is signed at the approval. The certificate is issued when the peer polls for it, and the request is
//! authorized again then: meanwhile the account may be removed, its secret used up, or its profile changed.

use super::authorize::Authorized;
use super::issue::{IssuedCertificate, TransactionDraft};
use super::request::{CertificateRequest, Requester};
use super::state::Authority;
use crate::error::{Denial, Error, Result};
use crate::key::{GeneratedKey, Proof};
use crate::name::refuse_misleading;
use crate::profile::KeyOrder;
use crate::record::approval::{
    Decision, MAX_COMMENT, PendingRequest, RecordedRequest, RequestId, Verdict, WaitingRequest,
};
use crate::record::{Account, Label};

impl Authority {
    /// Records a request that an administrator must approve, and returns its identifier. The entry is durable when this returns.
    ///
    /// # Errors
    /// As [`crate::Store::record_requested`]; `Denied` with [`Denial::NotAuthorized`] if possession of the key was proven neither by a
    /// signature nor by a registration authority; [`Error::Internal`] if the request needs no approval.
    pub fn submit(&self, authorized: Authorized, draft: TransactionDraft) -> Result<RequestId> {
        let request = authorized.to_approve.as_deref().ok_or_else(|| {
            Error::internal("a request that nobody has to approve was to wait for approval")
        })?;
        // INVARIANT: possession of a recorded request's key was proven. A proof by confirming the certificate is still
        // outstanding, and the private half of a generated key is not stored, so neither can wait.
        if !matches!(request.key.proof(), Proof::Signature | Proof::Vouched) {
            return Err(Error::denied(
                Denial::NotAuthorized,
                format!(
                    "requests for the profile `{}` wait for an administrator, which only those can whose key has signed them",
                    authorized.profile.name()
                ),
            ));
        }
        let recorded = request.recorded(authorized.profile.name(), &authorized.ca)?;
        self.record_waiting(&authorized.account, recorded, draft)
    }

    /// Like [`Self::submit`], for a request whose key is generated once it is approved ([`Self::issue_with_key`]): nothing secret waits.
    ///
    /// # Errors
    /// As [`Self::key_order`] and [`crate::Store::record_requested`].
    pub fn submit_for_key(
        &self,
        requester: &Requester,
        order: KeyOrder,
        request: &CertificateRequest<()>,
        draft: TransactionDraft,
    ) -> Result<RequestId> {
        let recorded = self.recorded_for_key(requester, order, request)?;
        self.record_waiting(requester.account(), recorded, draft)
    }

    fn recorded_for_key(
        &self,
        requester: &Requester,
        order: KeyOrder,
        request: &CertificateRequest<()>,
    ) -> Result<RecordedRequest> {
        let account = requester.account();
        let profile = self.profile_for(account, request.profile.as_ref())?;
        let ca = self.ca_for(account, request.ca.as_ref())?;
        request.recorded_for_key(order.kind, profile.name(), &ca.info().name)
    }

    /// Records a request that waits. The entry is durable when this returns.
    fn record_waiting(
        &self,
        account: &Account,
        request: RecordedRequest,
        draft: TransactionDraft,
    ) -> Result<RequestId> {
        let transaction = draft.opened(account.name.clone(), None);
        let id = RequestId::of(&transaction.id);
        let pending =
            PendingRequest { transaction, incarnation: Some(account.incarnation), request };
        self.store().record_requested(self.now(), &pending)?;
        tracing::info!(request = %id, account = %pending.transaction.account, profile = %pending.request.profile, "waits for approval");
        Ok(id)
    }

    /// Finds an undecided or approved request, not expired, that asks for the same as `authorized`: a client that gave up polling, or was
    /// restarted, asks again in another transaction. An approved request is preferred.
    ///
    /// Both must be of the same account and registration authority (`registrar`; `None` for none), and alike by
    /// [`RecordedRequest::is_alike`](crate::record::approval::RecordedRequest::is_alike). Another key of the same CA
    /// may have been activated in between (`ca activate`); the request is still the same.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store fails.
    pub fn waiting_alike(
        &self,
        authorized: &Authorized,
        registrar: Option<&Label>,
    ) -> Result<Option<WaitingRequest>> {
        let Some(request) = authorized.to_approve.as_deref() else { return Ok(None) };
        let asked = request.recorded(authorized.profile.name(), &authorized.ca)?;
        self.alike(&authorized.account.name, &asked, registrar)
    }

    /// Like [`Self::waiting_alike`], for a request whose key is generated once it is approved.
    ///
    /// # Errors
    /// As [`Self::key_order`]; [`Error::Internal`] if the store fails.
    pub fn waiting_for_key(
        &self,
        requester: &Requester,
        order: KeyOrder,
        request: &CertificateRequest<()>,
    ) -> Result<Option<WaitingRequest>> {
        let asked = self.recorded_for_key(requester, order, request)?;
        self.alike(&requester.account().name, &asked, None)
    }

    /// The open request of an account and registration authority that asks for the same as `asked`.
    fn alike(
        &self,
        account: &Label,
        asked: &RecordedRequest,
        registrar: Option<&Label>,
    ) -> Result<Option<WaitingRequest>> {
        let issues_for =
            |ca: &Label| self.cas.get(ca).is_some_and(|ca| self.latest(ca).info().name == asked.ca);
        let mut waiting = self.store().waiting_of(self.now(), account)?;
        waiting.retain(|waiting| {
            matches!(waiting.verdict(), None | Some(Verdict::Approved))
                && waiting.pending.transaction.registrar.as_ref() == registrar
                && waiting.pending.request.is_alike(asked)
                && issues_for(&waiting.pending.request.ca)
        });
        // An approved request comes first, because its certificate can be issued at once.
        waiting.sort_by_key(|waiting| waiting.verdict().is_none());
        Ok(waiting.into_iter().next())
    }

    /// Joins a new transaction to a request that awaits a decision or was approved, so that the peer can poll for it in either
    /// transaction. The entry is durable when this returns.
    ///
    /// # Errors
    /// As [`crate::Store::record_joined`].
    pub fn join(&self, waiting: &WaitingRequest, draft: TransactionDraft) -> Result<()> {
        let account = waiting.pending.transaction.account.clone();
        let transaction = draft.opened(account, None);
        self.store().record_joined(self.now(), &waiting.id, &transaction)?;
        tracing::info!(request = %waiting.id, account = %transaction.account, "is asked for again");
        Ok(())
    }

    /// The request that was recorded or joined in this transaction, with the decision about it if there is one. `None` if there is no
    /// such request, or it has expired.
    ///
    /// # Errors
    /// [`Error::Internal`] if the store fails.
    pub fn waiting(&self, transaction: &[u8]) -> Result<Option<WaitingRequest>> {
        self.store().waiting(self.now(), transaction)
    }

    /// Issues the certificate of an approved request to the account that made it.
    ///
    /// # Errors
    /// As [`Self::authorize`] and [`Self::issue`]; `Denied` with [`Denial::NotAuthorized`] if the request was not approved, is another
    /// account's, or is not the one of the transaction `draft`.
    pub fn issue_approved(
        &self,
        requester: &Requester,
        waiting: &WaitingRequest,
        draft: TransactionDraft,
    ) -> Result<IssuedCertificate> {
        let request = CertificateRequest::from_recorded(&waiting.pending.request)?;
        self.issue_waiting(requester, waiting, request, draft)
    }

    /// Like [`Self::issue_approved`], for a request whose key was generated now.
    ///
    /// # Errors
    /// As [`Self::issue_approved`]; `Denied` with [`Denial::NotAuthorized`] if the request has a key of its own.
    pub fn issue_with_key(
        &self,
        requester: &Requester,
        waiting: &WaitingRequest,
        key: &GeneratedKey,
        draft: TransactionDraft,
    ) -> Result<IssuedCertificate> {
        let recorded = &waiting.pending.request;
        if !recorded.awaits_key() {
            return Err(Error::not_authorized("the approved request has a key of its own"));
        }
        let request = CertificateRequest::from_recorded_with(recorded, key.proven())?;
        self.issue_waiting(requester, waiting, request, draft)
    }

    fn issue_waiting(
        &self,
        requester: &Requester,
        waiting: &WaitingRequest,
        request: CertificateRequest,
        draft: TransactionDraft,
    ) -> Result<IssuedCertificate> {
        let account = &requester.account().name;
        let found = self.waiting(&draft.id)?.is_some_and(|found| found.id == waiting.id);
        let is_its = *account == waiting.pending.transaction.account && found;
        if waiting.verdict() != Some(Verdict::Approved) || !is_its {
            return Err(Error::denied(Denial::NotAuthorized, "the request is not approved"));
        }
        let mut authorized = self.authorize(requester, request)?;
        authorized.to_approve = None;
        tracing::info!(request = %waiting.id, %account, "comes for what was approved");
        self.issue(authorized, Some(draft))
    }

    /// Records that the peer withdrew this request.
    ///
    /// # Errors
    /// As [`crate::Store::record_decided`].
    pub fn withdraw(&self, waiting: &WaitingRequest) -> Result<()> {
        let decision = Decision {
            verdict: Verdict::Withdrawn,
            actor: format!("account {}", waiting.pending.transaction.account),
            comment: None,
        };
        self.store().record_decided(self.now(), &waiting.id, &decision)?;
        tracing::info!(request = %waiting.id, "given up by its peer");
        Ok(())
    }
}

/// Checks an administrator's comment on a decision, which the peer will read.
///
/// # Errors
/// [`Error::Malformed`] if it is empty or longer than [`MAX_COMMENT`] characters, or has characters that mislead a reader.
pub fn checked_comment(comment: &str) -> Result<String> {
    refuse_misleading(comment)?;
    match comment.chars().count() {
        1..=MAX_COMMENT => Ok(comment.to_owned()),
        found => Err(Error::malformed(format!(
            "expected words of 1 to {MAX_COMMENT} characters, found {found}"
        ))),
    }
}
