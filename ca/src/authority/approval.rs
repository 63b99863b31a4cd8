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
use crate::key::Proof;
use crate::name::refuse_misleading;
use crate::record::Label;
use crate::record::approval::{
    Decision, MAX_COMMENT, PendingRequest, RequestId, Verdict, WaitingRequest,
};

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
        let request = request.recorded(authorized.profile.name(), &authorized.ca)?;
        let transaction = draft.opened(authorized.account.name, None);
        let id = RequestId::of(&transaction.id);
        let incarnation = Some(authorized.account.incarnation);
        let pending = PendingRequest { transaction, incarnation, request };
        self.store().record_requested(self.now(), &pending)?;
        tracing::info!(request = %id, account = %pending.transaction.account, profile = %pending.request.profile, "waits for approval");
        Ok(id)
    }

    /// Finds an undecided or approved request, not expired, that asks for the same as `authorized`: a client that gave up polling, or
    /// was restarted, asks again in another transaction. An approved one is preferred.
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
        let issues_for = |ca: &Label| {
            self.cas.get(ca).is_some_and(|ca| self.latest(ca).info().name == authorized.ca)
        };
        let mut waiting = self.store().waiting_of(self.now(), &authorized.account.name)?;
        waiting.retain(|waiting| {
            matches!(waiting.verdict(), None | Some(Verdict::Approved))
                && waiting.pending.transaction.registrar.as_ref() == registrar
                && waiting.pending.request.is_alike(&asked)
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
        let pending = &waiting.pending;
        let found = self.waiting(&draft.id)?.is_some_and(|found| found.id == waiting.id);
        let is_its = requester.account().name == pending.transaction.account && found;
        if waiting.verdict() != Some(Verdict::Approved) || !is_its {
            return Err(Error::denied(Denial::NotAuthorized, "the request is not approved"));
        }
        let mut authorized =
            self.authorize(requester, CertificateRequest::from_recorded(&pending.request)?)?;
        authorized.to_approve = None;
        tracing::info!(request = %waiting.id, account = %requester.account().name, "comes for what was approved");
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
