//! A CA that has to decide is asked again (RFC 9810 §5.3.22, RFC 9483 §4.4).

use std::time::{Duration, Instant};

use der::asn1::Int;
use der::{Encode, Sequence};

use super::ClientError;
use super::response;
use super::transaction::{Outgoing, Transaction};
use crate::cmp::wire::message::Message;
use crate::cmp::wire::refusal::legible;

/// The context tags of pollReq and pollRep in PKIBody (RFC 9810 §5.1.2).
const POLL_REQ: u8 = 25;
const POLL_REP: u8 = 26;

/// The shortest pause between two questions.
const SHORTEST: Duration = Duration::from_secs(1);

/// The pause when the CA names none.
const UNNAMED: Duration = Duration::from_secs(10);

/// ```text
/// PollReqContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER }
/// ```
/// RFC 9810 §5.3.22: one element.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct PollReq {
    cert_req_id: Int,
}

/// ```text
/// PollRepContent ::= SEQUENCE OF SEQUENCE {
///     certReqId    INTEGER,
///     checkAfter   INTEGER,  -- time in seconds
///     reason       PKIFreeText OPTIONAL }
/// ```
/// RFC 9810 §5.3.22: one element.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct PollRep {
    cert_req_id: Int,
    check_after: u32,
    reason: Option<Vec<String>>,
}

/// A transaction whose CA has not decided: with it, another run of the client goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// transactionID
    pub transaction: Vec<u8>,
    /// The senderNonce of the last answer.
    pub nonce: Vec<u8>,
}

/// Told of each state in which a transaction can be left and gone on with.
pub type Checkpoint<'p> = &'p mut dyn FnMut(&Waiting) -> Result<(), ClientError>;

impl Transaction<'_> {
    /// Asks until there is another answer than a pollRep. The pauses are those that the CA wants, within the patience.
    ///
    /// Some servers answer a pollReq with "waiting" once more, in a response or an error. Whoever then polls again has
    /// waited first, so that the patience is the bound of that, too.
    ///
    /// # Errors
    /// [`ClientError::Waiting`] when the patience is at its end.
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
        let question = Outgoing { kind: POLL_REQ, content, ..Outgoing::default() };
        let mut pause = self.has_polled.then(|| (UNNAMED, reason.unwrap_or_default().to_owned()));
        self.has_polled = true;
        loop {
            checkpoint(&self.waiting())?;
            if let Some((wait, text)) = pause {
                self.pause(wait, &text)?;
            }
            let answer = self.exchange(&question)?;
            if answer.kind != POLL_REP {
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

    fn waiting(&self) -> Waiting {
        Waiting { transaction: self.id.clone(), nonce: self.peer_nonce.clone().unwrap_or_default() }
    }

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
