//! Polls a CA that has to decide (RFC 9810 §5.3.22, RFC 9483 §4.4).

use std::time::{Duration, Instant};

use der::Encode;
use der::asn1::Int;

use super::response;
use super::transaction::{Outgoing, Transaction};
use crate::client::ClientError;
use crate::cmp::wire::content::{NO_REQUEST_ID, PollRep, PollReq, cert_req_id};
use crate::cmp::wire::kind;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::refusal::legible;

/// The shortest pause between two polls.
const SHORTEST: Duration = Duration::from_secs(1);

/// The pause before a poll if no pollRep has named one. The first poll of a transaction has no pause.
const UNNAMED: Duration = Duration::from_secs(10);

/// A transaction in which the CA has not decided. With it, the client can continue later, also after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// transactionID.
    pub transaction: Vec<u8>,
    /// The senderNonce of the last answer.
    pub nonce: Vec<u8>,
}

/// Called with each state in which a transaction can be left and continued later. An error ends the polling.
pub type Checkpoint<'p> = &'p mut dyn FnMut(&Waiting) -> Result<(), ClientError>;

impl Transaction<'_> {
    /// Sends a message and returns its answer. A CA that has not decided answers with an error message that says "waiting", and is polled
    /// (RFC 9483 §4.4). A response for a certificate says "waiting" itself, and is returned.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for an error message that refuses; [`ClientError::Untrusted`] for an answer that is not believed; and as
    /// [`Self::poll`].
    pub fn ask(&mut self, outgoing: &Outgoing) -> Result<Message, ClientError> {
        let mut answer = self.exchange(outgoing)?;
        while answer.kind == kind::ERROR {
            let no_id = cert_req_id(NO_REQUEST_ID).map_err(ClientError::encoding)?;
            answer = self.poll(&no_id, None, &mut |_| Ok(()))?;
        }
        Ok(answer)
    }

    /// Polls until the answer is not a pollRep. Between two polls it waits as long as the CA asks, but not beyond [`super::Client::until`].
    /// `id` is the certReqId to poll for; `reason` is why the CA waits, for the log.
    ///
    /// Some servers answer a pollReq with "waiting" in a response or an error message, and not with a pollRep. The caller then calls this
    /// again, and only the first poll of a transaction is sent without a pause: so [`super::Client::until`] bounds such a loop, too.
    ///
    /// # Errors
    /// [`ClientError::Waiting`] when the next poll would be too late; an error of `checkpoint`; and as the exchange of one message.
    pub(super) fn poll(
        &mut self,
        id: &Int,
        reason: Option<&str>,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Message, ClientError> {
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            tracing::info!("the CA has to decide: {reason}");
        }
        let content = vec![PollReq { cert_req_id: id.clone() }];
        let content = content.to_der().map_err(ClientError::encoding)?;
        let question = Outgoing { kind: kind::POLL_REQ, content, ..Outgoing::default() };
        let mut pause = self.has_polled.then(|| (UNNAMED, reason.unwrap_or_default().to_owned()));
        self.has_polled = true;
        loop {
            checkpoint(&self.waiting())?;
            if let Some((wait, text)) = pause {
                self.pause(wait, &text)?;
            }
            let answer = self.exchange(&question)?;
            if answer.kind != kind::POLL_REP {
                return Ok(answer);
            }
            let parts: Vec<PollRep> =
                answer.body.decode_as().map_err(ClientError::unreadable("a PollRepContent"))?;
            let [answer] = parts.as_slice() else {
                return Err(ClientError::untrusted("expected one element in the pollRep"));
            };
            if answer.cert_req_id != *id {
                return Err(ClientError::untrusted("the pollRep is for another certReqId"));
            }
            let text = legible(&response::text(answer.reason.as_deref()));
            pause = Some((Duration::from_secs(answer.check_after.into()), text));
        }
    }

    /// The state in which the transaction can be left.
    fn waiting(&self) -> Waiting {
        Waiting { transaction: self.id.clone(), nonce: self.peer_nonce.clone().unwrap_or_default() }
    }

    /// Waits for this time, but at least for 1 second. `text` is the CA's reason, for the log.
    ///
    /// # Errors
    /// [`ClientError::Waiting`], without waiting, if that would end after [`super::Client::until`].
    fn pause(&self, wait: Duration, text: &str) -> Result<(), ClientError> {
        let wait = wait.max(SHORTEST);
        if Instant::now().checked_add(wait).is_none_or(|then| then > self.client.until) {
            return Err(ClientError::Waiting {
                after: wait.as_secs(),
                reason: if text.is_empty() { String::new() } else { format!(" ({text})") },
            });
        }
        tracing::info!(seconds = wait.as_secs(), "the CA has not decided: {text}");
        std::thread::sleep(wait);
        Ok(())
    }
}
