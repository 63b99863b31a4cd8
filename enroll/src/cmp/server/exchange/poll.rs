//! Requests that wait, and peers that ask how far they are (RFC 9810 §5.3.22, RFC 9483 §4.4).
//!
//! What waits is in the journal. What is kept here, in memory, are the nonces of the polls: a restart forgets them, and
//! the next poll is then taken with any recipNonce. A poll that comes again after the certificate was issued gets the same
//! certificate again, so that neither a lost answer nor a replay costs the peer anything.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_ca::authority::{Authorized, IssuedCertificate, TransactionDraft};
use countersign_ca::pending::{MAX_PENDING, RequestId, Verdict, WaitingRequest};
use countersign_ca::record::{Label, Reason, Transaction};
use countersign_ca::{Error, Requester, Timestamp};
use der::Sequence;
use der::asn1::{Int, OctetString};

use crate::cmp::server::reply::answer::{Answer, failed};
use crate::cmp::wire::content::{CertRepMessage, CertResponse, PkiStatusInfo, kind};
use crate::cmp::server::service::context::Context;
use crate::cmp::wire::crmf::malformed;
use crate::cmp::server::exchange::delivery::Delivery;
use crate::cmp::server::exchange::Exchange;
use crate::cmp::wire::refusal::{Failure, Refusal};

/// How many of our nonces a poll may answer: the last one, or one before if the answer was lost.
const OURS: usize = 8;

/// How many of the peer's nonces are remembered. A poll before those answers none of ours any more.
const THEIRS: usize = 64;

/// ```text
/// PollReqContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER }
/// ```
/// RFC 9810 §5.3.22.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PollReq {
    /// That of the request that waits.
    pub cert_req_id: Int,
}

/// ```text
/// PollRepContent ::= SEQUENCE OF SEQUENCE {
///     certReqId    INTEGER,
///     checkAfter   INTEGER,  -- time in seconds
///     reason       PKIFreeText OPTIONAL }
/// ```
/// RFC 9810 §5.3.22.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PollRep {
    /// That of the request that waits.
    pub cert_req_id: Int,
    /// In how many seconds to ask again.
    pub check_after: u64,
    /// Why it waits.
    pub reason: Option<Vec<String>>,
}

/// The nonces of polls, by request.
#[derive(Debug, Default)]
pub struct Polls(Mutex<HashMap<RequestId, Nonces>>);

/// The nonces of one transaction.
#[derive(Debug)]
struct Nonces {
    ours: VecDeque<[u8; 16]>,
    theirs: VecDeque<Vec<u8>>,
    /// When they are forgotten.
    expires: Timestamp,
}

impl Polls {
    /// Takes note of a message and of the nonce that answers it.
    fn answered(&self, id: RequestId, theirs: &[u8], ours: [u8; 16], expires: Timestamp) {
        let mut all = self.locked();
        let nonces = all.entry(id).or_insert_with(|| Nonces {
            ours: VecDeque::new(),
            theirs: VecDeque::new(),
            expires,
        });
        nonces.expires = expires;
        nonces.ours.push_back(ours);
        nonces.theirs.push_back(theirs.to_vec());
        if nonces.ours.len() > OURS {
            nonces.ours.pop_front();
        }
        if nonces.theirs.len() > THEIRS {
            nonces.theirs.pop_front();
        }
    }

    /// Forgets what has expired, when there is more than can wait.
    fn tidy(&self, now: Timestamp) {
        let mut all = self.locked();
        if all.len() > MAX_PENDING {
            all.retain(|_, nonces| nonces.expires > now);
        }
    }

    /// Whether a nonce is one of ours in this transaction; `None` if nothing is known of it.
    pub fn is_ours(&self, id: &RequestId, nonce: &[u8]) -> Option<bool> {
        let all = self.locked();
        all.get(id).map(|nonces| nonces.ours.iter().any(|ours| ours == nonce))
    }

    /// Whether the peer used a nonce before.
    fn is_used(&self, id: &RequestId, nonce: &[u8]) -> bool {
        let all = self.locked();
        all.get(id).is_some_and(|nonces| nonces.theirs.iter().any(|theirs| theirs == nonce))
    }

    fn forget(&self, id: &RequestId) {
        self.locked().remove(id);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<RequestId, Nonces>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange<'_> {
    /// Has a request wait for an administrator, and says so: ip, cp or kup with the status `waiting`.
    pub(crate) fn hold(
        &self,
        answer: u8,
        id: &Int,
        authorized: Authorized,
        implicit: bool,
        registrar: Option<Label>,
        told: Vec<String>,
    ) -> Result<Answer, Refusal> {
        let (authority, config) = (self.service.authority(), self.service.config());
        let now = authority.now();
        let expires = now.plus(config.approval_wait);
        let context = self.context(id)?.held(answer, implicit);
        let mut draft = self.draft(id, now, false)?;
        draft.context = context.encode().map_err(failed)?;
        draft.expires = expires;
        draft.registrar = registrar;
        self.service.polls().tidy(now);
        // A client that waited no longer, or was started anew, asks again: there is one request, whichever transaction it is in.
        let mut text = match authority.waiting_alike(&authorized, draft.registrar.as_ref())? {
            Some(waiting) => {
                draft.expires = waiting.pending.transaction.expires;
                let transaction = draft.clone();
                authority.join(&waiting, draft)?;
                if waiting.verdict() == Some(Verdict::Approved) {
                    return self.fetch_joined(&transaction, &waiting, told);
                }
                self.note(RequestId::of(&transaction.id), transaction.expires);
                format!(
                    "waits for the approval of an administrator, as before, as request {}",
                    waiting.id
                )
            }
            None => {
                let request = authority.submit(authorized, draft)?;
                self.note(request, expires);
                format!("waits for the approval of an administrator, as request {request}")
            }
        };
        for told in told {
            text = format!("{text}; {told}");
        }
        let response = CertResponse {
            cert_req_id: id.clone(),
            status: PkiStatusInfo::waiting(text),
            certified_key_pair: None,
        };
        let content = CertRepMessage { ca_pubs: None, response: vec![response] };
        Answer::plain(answer, &content).map_err(failed)
    }

    /// pollReq: how far the request of this transaction is.
    pub(crate) fn poll(self) -> Result<Answer, Refusal> {
        let authority = self.service.authority();
        // 1. A transaction of the peer in which something waits, or waited.
        let (transaction, context) = self.owned()?;
        let nothing = || {
            Refusal::new(
                Failure::BadRequest,
                "nothing waits in the transaction of this transactionID; if its request was asked for again, it goes on in the \
                 later transaction",
            )
        };
        let answer = context.answer.ok_or_else(nothing)?;
        let waiting = authority.waiting(&transaction.id)?;
        // 2. The poll is for the one request in it, and no earlier one that comes again.
        let polls: Vec<PollReq> =
            self.message.body.decode_as().map_err(malformed("a PollReqContent"))?;
        if !matches!(polls.as_slice(), [poll] if poll.cert_req_id == context.cert_req_id) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected one certReqId in pollReq, that of the answer which says `waiting`",
            ));
        }
        self.check_poll(&transaction, &context)?;
        self.note(RequestId::of(&transaction.id), transaction.expires);
        // 3. What became of it.
        let Some(waiting) = waiting else {
            return self.again(answer, &transaction, &context, &nothing);
        };
        match &waiting.decision {
            None => {
                let reply = PollRep {
                    cert_req_id: context.cert_req_id,
                    check_after: self.service.config().poll_after.as_secs(),
                    reason: Some(vec!["waits for the approval of an administrator".into()]),
                };
                Answer::plain(kind::POLL_REP, &vec![reply]).map_err(failed)
            }
            Some((_, decision)) if decision.verdict == Verdict::Approved => {
                // What of the request was left out, the answer said that had it wait.
                let issued = self.fetch(&transaction, &context, &waiting, Vec::new());
                issued.or_else(|refusal| rejection(answer, &context, &refusal))
            }
            Some((_, decision)) => {
                let words = decision.words.as_deref().unwrap_or("no reason is given");
                let why = format!("an administrator rejected the request: {words}");
                rejection(answer, &context, &Refusal::new(Failure::NotAuthorized, why))
            }
        }
    }

    /// The peer gives up what waits, if something does; whether it did.
    pub(crate) fn give_up(&self, transaction: &Transaction) -> Result<bool, Refusal> {
        let authority = self.service.authority();
        let Some(waiting) = authority.waiting(&transaction.id)? else { return Ok(false) };
        authority.withdraw(&waiting)?;
        self.service.polls().forget(&RequestId::of(&transaction.id));
        Ok(true)
    }

    /// Issues at once what was approved, to a transaction that joined it.
    fn fetch_joined(
        &self,
        draft: &TransactionDraft,
        waiting: &WaitingRequest,
        told: Vec<String>,
    ) -> Result<Answer, Refusal> {
        let recorded = self.service.authority().transaction(&draft.id)?;
        let transaction = recorded.ok_or_else(|| {
            Refusal::from(Error::internal("a transaction that was recorded is not there"))
        })?;
        let context = Context::decode(&transaction.context)?;
        self.fetch(&transaction, &context, waiting, told)
    }

    /// Issues what was approved. The certificate's transaction takes the place of the request's. `told` is what the peer is told beside
    /// what the certificate's terms say.
    fn fetch(
        &self,
        transaction: &Transaction,
        context: &Context,
        waiting: &WaitingRequest,
        told: Vec<String>,
    ) -> Result<Answer, Refusal> {
        let (authority, config) = (self.service.authority(), self.service.config());
        let answer = context.answer.unwrap_or(kind::IP);
        let on_behalf = self.acting_for(&transaction.account)?;
        let requester = on_behalf.as_ref().unwrap_or(self.requester);
        let implicit = context.implicit.unwrap_or(false);
        let confirm_until = authority.now().plus(config.confirm_wait);
        let next = self.context(&context.cert_req_id)?.held(answer, implicit);
        let draft = TransactionDraft {
            id: transaction.id.clone(),
            expires: confirm_until.plus(config.time_window.saturating_mul(2)),
            context: next.encode().map_err(failed)?,
            confirm_until: (!implicit).then_some(confirm_until),
            registrar: transaction.registrar.clone(),
            client: self.route.client,
        };
        let mut issued = authority.issue_approved(requester, waiting, draft)?;
        issued.changes.extend(told);
        let (id, delivery) = (context.cert_req_id.clone(), Delivery::Plain);
        self.issued_answer(answer, id, issued, delivery, implicit, confirm_until)
    }

    /// The certificate of a transaction once more.
    fn again(
        &self,
        answer: u8,
        transaction: &Transaction,
        context: &Context,
        nothing: &dyn Fn() -> Refusal,
    ) -> Result<Answer, Refusal> {
        let authority = self.service.authority();
        let record = authority.issued_in(&transaction.id)?.ok_or_else(nothing)?;
        if let Some(revocation) =
            record.revocation.filter(|held| held.reason != Reason::CertificateHold)
        {
            return Err(Refusal::new(
                Failure::CertRevoked,
                format!("the certificate was revoked on {} ({})", revocation.at, revocation.reason),
            ));
        }
        let implicit = context.implicit.unwrap_or(false);
        if !implicit && transaction.awaits.is_none() {
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
        let until = transaction.confirm_until.unwrap_or_else(|| authority.now());
        let (id, delivery) = (context.cert_req_id.clone(), Delivery::Plain);
        self.issued_answer(answer, id, issued, delivery, implicit, until)
    }

    /// Whom the sender acts for, if the transaction is not its own.
    fn acting_for(&self, account: &Label) -> Result<Option<Requester>, Refusal> {
        match self.registrar.filter(|registrar| registrar.account() != account) {
            Some(registrar) => Ok(Some(self.service.authority().on_behalf_of(registrar, account)?)),
            None => Ok(None),
        }
    }

    fn check_poll(&self, transaction: &Transaction, context: &Context) -> Result<(), Refusal> {
        let id = RequestId::of(&transaction.id);
        let header = &self.message.header;
        let (theirs, ours) = (octets(&header.sender_nonce), octets(&header.recip_nonce));
        let polls = self.service.polls();
        if polls.is_used(&id, theirs)
            || header.sender_nonce == context.peer_nonce
            || theirs == context.nonce.as_bytes()
        {
            return Err(Refusal::new(
                Failure::BadSenderNonce,
                "this senderNonce was used before in the transaction; each message has a new one",
            ));
        }
        let is_answer = match polls.is_ours(&id, ours) {
            Some(is_ours) => is_ours,
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

    /// Takes note of this message's nonce and of its answer's.
    fn note(&self, id: RequestId, expires: Timestamp) {
        let theirs = octets(&self.message.header.sender_nonce);
        self.service.polls().answered(id, theirs, *self.nonce, expires);
    }
}

/// ip, cp or kup that refuses; what is our own fault stays an error.
fn rejection(answer: u8, context: &Context, refusal: &Refusal) -> Result<Answer, Refusal> {
    if matches!(refusal.failure, Failure::SystemFailure | Failure::SystemUnavail) {
        return Err(refusal.clone());
    }
    tracing::info!(target: countersign_ca::REFUSED, failure = ?refusal.failure, "refused after a wait: {}", refusal.text);
    let response = CertResponse {
        cert_req_id: context.cert_req_id.clone(),
        status: PkiStatusInfo::refused(refusal).map_err(failed)?,
        certified_key_pair: None,
    };
    let content = CertRepMessage { ca_pubs: None, response: vec![response] };
    Answer::plain(answer, &content).map_err(failed)
}

fn octets(nonce: &Option<OctetString>) -> &[u8] {
    nonce.as_ref().map_or(&[], OctetString::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_answers_one_of_our_last_nonces_with_a_new_one() {
        let (polls, id, at) = (Polls::default(), RequestId::of(b"x"), Timestamp::from_seconds);
        assert_eq!(polls.is_ours(&id, &[0; 16]), None);
        for n in 0..100_u8 {
            assert!(!polls.is_used(&id, &[n; 16]));
            polls.answered(id, &[n; 16], [n; 16], at(10));
        }
        assert_eq!(polls.is_ours(&id, &[99; 16]), Some(true));
        assert_eq!(polls.is_ours(&id, &[92; 16]), Some(true));
        assert_eq!(polls.is_ours(&id, &[91; 16]), Some(false));
        assert!(polls.is_used(&id, &[99; 16]) && polls.is_used(&id, &[36; 16]));
        polls.forget(&id);
        assert_eq!(polls.is_ours(&id, &[99; 16]), None);
    }

    #[test]
    fn what_has_expired_makes_room() {
        let polls = Polls::default();
        for n in 0..=MAX_PENDING {
            let expires = Timestamp::from_seconds(if n % 2 == 0 { 5 } else { 15 });
            polls.answered(RequestId::of(&n.to_be_bytes()), &[1; 16], [2; 16], expires);
        }
        polls.tidy(Timestamp::from_seconds(10));
        assert_eq!(polls.locked().len(), MAX_PENDING / 2);
    }
}
