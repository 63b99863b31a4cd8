//! Requests that await an administrator's approval, and the polls of their peers (RFC 9810 §5.3.22, RFC 9483 §4.4).
//!
//! The requests are in the journal; only the nonces of the polls are in memory. A poll that is sent again after the certificate was issued
//! gets the same certificate again, so that neither a lost answer nor a replay harms the peer.

use countersign_ca::authority::{Authorized, IssuedCertificate, TransactionDraft};
use countersign_ca::record::approval::{RequestId, Verdict, WaitingRequest};
use countersign_ca::record::{Label, Reason, Transaction};
use countersign_ca::{Error, Requester, Timestamp};
use der::asn1::{Int, OctetString};

use super::Exchange;
use super::delivery::Delivery;
use super::transaction::OpenTransaction;
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::context::{Confirmation, Context};
use crate::cmp::wire::content::{CertRepMessage, CertResponse, PollRep, PollReq};
use crate::cmp::wire::kind;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed, malformed};
use crate::cmp::wire::status::PkiStatusInfo;

/// A request that needs approval, and how it will be answered.
pub struct Held {
    /// The kind of body that answers.
    pub answer: u8,
    /// The certReqId of the request.
    pub id: Int,
    /// How the certificate will be confirmed.
    pub confirmation: Confirmation,
    /// The registration authority that asks for another account, or that added its protection to the request; `None` if there is none.
    pub registrar: Option<Label>,
    /// Texts for the answer about parts of the request that were left out or changed.
    pub notices: Vec<String>,
}

impl Exchange<'_> {
    /// Records a request that needs approval, and answers with ip, cp or kup and the status "waiting".
    ///
    /// A client that gave up polling, or was started anew, asks again in another transaction. Such a transaction joins the waiting
    /// request. If that request was approved meanwhile, its certificate is issued at once.
    ///
    /// # Errors
    /// Refusals by the authority.
    pub fn hold(&self, authorized: Authorized, held: Held) -> Result<Answer, Refusal> {
        let (authority, config) = (self.service.authority(), self.service.config());
        let now = authority.now();
        let expires = now.plus(config.approval_wait);
        let context = self.context(&held.id)?.awaiting_approval(held.answer, held.confirmation);
        let mut draft = self.draft(&held.id, now)?;
        draft.context = context.encode().map_err(encoding_failed)?;
        draft.expires = expires;
        draft.registrar = held.registrar;
        self.service.poll_nonces().tidy(now);
        let mut text = match authority.waiting_alike(&authorized, draft.registrar.as_ref())? {
            Some(waiting) => {
                draft.expires = waiting.pending.transaction.expires;
                let transaction = draft.clone();
                authority.join(&waiting, draft)?;
                if waiting.verdict() == Some(Verdict::Approved) {
                    return self.fetch_joined(&transaction, &waiting, held.notices);
                }
                self.remember_nonces(RequestId::of(&transaction.id), transaction.expires);
                format!(
                    "waits for the approval of an administrator, as before, as request {}",
                    waiting.id
                )
            }
            None => {
                let request = authority.submit(authorized, draft)?;
                self.remember_nonces(request, expires);
                format!("waits for the approval of an administrator, as request {request}")
            }
        };
        for notice in held.notices {
            text = format!("{text}; {notice}");
        }
        let response = CertResponse {
            cert_req_id: held.id,
            status: PkiStatusInfo::waiting(text),
            certified_key_pair: None,
        };
        let content = CertRepMessage { ca_pubs: None, response: vec![response] };
        Answer::plain(held.answer, &content).map_err(encoding_failed)
    }

    /// pollReq: the peer asks whether the request of its transaction was decided.
    ///
    /// # Errors
    /// A refusal of the poll itself. That the request was rejected is an answer.
    pub fn poll(self) -> Result<Answer, Refusal> {
        let authority = self.service.authority();
        // 1. It is the peer's own transaction, and a request in it awaits or awaited approval.
        let OpenTransaction { transaction, context } = self.own_transaction()?;
        let nothing = || {
            Refusal::new(
                Failure::BadRequest,
                "nothing waits in the transaction of this transactionID; if its request was asked for again, it goes on in the \
                 later transaction",
            )
        };
        let answer = context.answer.ok_or_else(nothing)?;
        let waiting = authority.waiting(&transaction.id)?;
        // 2. The poll is for the one request in it, and is not a replay.
        let polls: Vec<PollReq> =
            self.message.body.decode_as().map_err(malformed("a PollReqContent"))?;
        if !matches!(polls.as_slice(), [poll] if poll.cert_req_id == context.cert_req_id) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected one certReqId in pollReq, that of the answer which says `waiting`",
            ));
        }
        self.check_poll_nonces(&transaction, &context)?;
        self.remember_nonces(RequestId::of(&transaction.id), transaction.expires);
        // 3. The decision.
        let Some(waiting) = waiting else {
            return self.issued_before(answer, &transaction, &context, &nothing);
        };
        match &waiting.decision {
            None => {
                let after = self.service.config().poll_after.as_secs();
                let reply = PollRep {
                    cert_req_id: context.cert_req_id,
                    check_after: u32::try_from(after).unwrap_or(u32::MAX),
                    reason: Some(vec!["waits for the approval of an administrator".into()]),
                };
                Answer::plain(kind::POLL_REP, &vec![reply]).map_err(encoding_failed)
            }
            Some((_, decision)) if decision.verdict == Verdict::Approved => {
                // The first answer, which said "waiting", had the notices about the request.
                let issued = self.fetch(&transaction, &context, &waiting, Vec::new());
                issued.or_else(|refusal| rejection(answer, &context, &refusal))
            }
            Some((_, decision)) => {
                let reason = decision.comment.as_deref().unwrap_or("no reason is given");
                let why = format!("an administrator rejected the request: {reason}");
                rejection(answer, &context, &Refusal::new(Failure::NotAuthorized, why))
            }
        }
    }

    /// Withdraws the request that waits in a transaction, if there is one, because its peer gave up the transaction.
    ///
    /// # Errors
    /// Refusals by the authority.
    pub fn withdraw(&self, transaction: &Transaction) -> Result<(), Refusal> {
        let authority = self.service.authority();
        if let Some(waiting) = authority.waiting(&transaction.id)? {
            authority.withdraw(&waiting)?;
            self.service.poll_nonces().forget(&RequestId::of(&transaction.id));
        }
        Ok(())
    }

    /// Issues an approved certificate at once, to a transaction that joined its request.
    fn fetch_joined(
        &self,
        draft: &TransactionDraft,
        waiting: &WaitingRequest,
        notices: Vec<String>,
    ) -> Result<Answer, Refusal> {
        let recorded = self.service.authority().transaction(&draft.id)?;
        let transaction = recorded.ok_or_else(|| {
            Refusal::from(Error::internal("a transaction that was recorded is not there"))
        })?;
        let context = Context::decode(&transaction.context)?;
        self.fetch(&transaction, &context, waiting, notices)
    }

    /// Issues an approved certificate. The transaction is recorded anew under the same transactionID, in place of that of the request. The
    /// answer lists the authority's changes and `notices`.
    fn fetch(
        &self,
        transaction: &Transaction,
        context: &Context,
        waiting: &WaitingRequest,
        notices: Vec<String>,
    ) -> Result<Answer, Refusal> {
        let (authority, config) = (self.service.authority(), self.service.config());
        let answer = context.answer.unwrap_or(kind::IP);
        let on_behalf = self.holder(&transaction.account)?;
        let requester = on_behalf.as_ref().unwrap_or(self.requester);
        let confirm_until = authority.now().plus(config.confirm_wait);
        let confirmation = context.confirmation(confirm_until);
        let next = self.context(&context.cert_req_id)?.awaiting_approval(answer, confirmation);
        let draft = TransactionDraft {
            id: transaction.id.clone(),
            expires: confirm_until.plus(config.time_window.saturating_mul(2)),
            context: next.encode().map_err(encoding_failed)?,
            confirm_until: confirmation.until(),
            registrar: transaction.registrar.clone(),
            client: self.route.client,
            proof: Some(requester.credential().proof()),
        };
        let mut issued = authority.issue_approved(requester, waiting, draft)?;
        issued.changes.extend(notices);
        let (id, delivery) = (context.cert_req_id.clone(), Delivery::Plain);
        self.issued_answer(answer, id, issued, delivery, confirmation)
    }

    /// Answers once more with the certificate that was issued in a transaction. `nothing` makes the refusal if none was issued.
    fn issued_before(
        &self,
        answer: u8,
        transaction: &Transaction,
        context: &Context,
        nothing: &dyn Fn() -> Refusal,
    ) -> Result<Answer, Refusal> {
        let authority = self.service.authority();
        let record = authority.issued_in(&transaction.id)?.ok_or_else(nothing)?;
        let for_good = |reason: Reason| reason != Reason::CertificateHold;
        if let Some(revocation) = record.revocation.filter(|found| for_good(found.reason)) {
            return Err(Refusal::new(
                Failure::CertRevoked,
                format!("the certificate was revoked on {} ({})", revocation.at, revocation.reason),
            ));
        }
        let until = transaction.confirm_until.unwrap_or_else(|| authority.now());
        let confirmation = context.confirmation(until);
        if confirmation != Confirmation::Implicit && transaction.awaits.is_none() {
            return Err(Refusal::new(
                Failure::CertConfirmed,
                "the certificate of this transaction is confirmed already",
            ));
        }
        let issued = IssuedCertificate {
            chain: authority.chain(Some(&record.ca))?.to_vec(),
            ca: record.ca,
            serial: record.serial,
            certificate: record.certificate,
            changes: Vec::new(),
        };
        let (id, delivery) = (context.cert_req_id.clone(), Delivery::Plain);
        self.issued_answer(answer, id, issued, delivery, confirmation)
    }

    /// The peer for whose account the sender, a registration authority, acts; `None` if it is its own account. `account` is the account of
    /// the transaction.
    fn holder(&self, account: &Label) -> Result<Option<Requester>, Refusal> {
        match self.registrar.filter(|registrar| registrar.account() != account) {
            Some(registrar) => Ok(Some(self.service.authority().on_behalf_of(registrar, account)?)),
            None => Ok(None),
        }
    }

    /// Checks that a poll has a new senderNonce, and repeats the senderNonce of one of the server's last 8 answers.
    fn check_poll_nonces(
        &self,
        transaction: &Transaction,
        context: &Context,
    ) -> Result<(), Refusal> {
        let id = RequestId::of(&transaction.id);
        let header = &self.message.header;
        let (theirs, ours) = (octets(&header.sender_nonce), octets(&header.recip_nonce));
        let nonces = self.service.poll_nonces();
        if nonces.is_used(&id, theirs)
            || header.sender_nonce == context.peer_nonce
            || theirs == context.nonce.as_bytes()
        {
            return Err(Refusal::new(
                Failure::BadSenderNonce,
                "this senderNonce was used before in the transaction; each message has a new one",
            ));
        }
        let is_answer = match nonces.is_ours(&id, ours) {
            Some(is_ours) => is_ours,
            // After a restart the server does not know the nonces of its answers, and any recipNonce is accepted.
            None => !ours.is_empty(),
        };
        match is_answer {
            true => Ok(()),
            false => Err(Refusal::new(
                Failure::BadRecipientNonce,
                "recipNonce is not the senderNonce of the answer before",
            )),
        }
    }

    /// Remembers the nonces of this message and of its answer.
    fn remember_nonces(&self, id: RequestId, expires: Timestamp) {
        let theirs = octets(&self.message.header.sender_nonce);
        self.service.poll_nonces().remember(id, theirs, *self.nonce, expires);
    }
}

/// ip, cp or kup that rejects the request. A fault of this server is not a rejection, and stays a refusal of the poll: the peer may poll
/// again.
fn rejection(answer: u8, context: &Context, refusal: &Refusal) -> Result<Answer, Refusal> {
    if matches!(refusal.failure, Failure::SystemFailure | Failure::SystemUnavail) {
        return Err(refusal.clone());
    }
    tracing::info!(target: countersign_ca::REFUSED, failure = ?refusal.failure, "refused after a wait: {}", refusal.text);
    let response = CertResponse {
        cert_req_id: context.cert_req_id.clone(),
        status: PkiStatusInfo::refused(refusal).map_err(encoding_failed)?,
        certified_key_pair: None,
    };
    let content = CertRepMessage { ca_pubs: None, response: vec![response] };
    let answer = Answer::plain(answer, &content).map_err(encoding_failed)?;
    Ok(Answer { is_rejection: true, ..answer })
}

/// The octets of a nonce; none if it is absent.
fn octets(nonce: &Option<OctetString>) -> &[u8] {
    nonce.as_ref().map_or(&[], OctetString::as_bytes)
}
