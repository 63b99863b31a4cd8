//! One message and its answer, which is verified before anything in it is used (RFC 9483 §3.5).

use super::http::MAX_ANSWER;
use super::response;
use super::transaction::{Outgoing, Transaction};
use crate::ber::Bounds;
use crate::client::{ClientError, Refusal};
use crate::cmp::wire::bounds;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::status::WAITING;
use crate::cmp::wire::{kind, refusal};

/// Bounds on one answer, checked before it is decoded. There may be many elements because a CRL may have many entries.
const BOUNDS: Bounds = Bounds { bytes: MAX_ANSWER as usize, depth: 32, elements: 1_000_000 };

impl Transaction<'_> {
    /// Sends one message and returns its answer. An error message is returned only if it is proven to be the CA's and its status is
    /// "waiting".
    ///
    /// # Errors
    /// [`ClientError::Refused`] for any other error message; [`ClientError::Untrusted`] for an answer that is not believed;
    /// [`ClientError::Unavailable`] without an answer.
    pub(super) fn exchange(&mut self, outgoing: &Outgoing) -> Result<Message, ClientError> {
        // 1. The message, with a fresh nonce.
        let mut nonce = vec![0; 16];
        self.client.entropy.fill(&mut nonce)?;
        let message = self.message(outgoing, &nonce)?;
        self.nonces.push(nonce.clone());
        // 2. It is sent, and answered.
        let answer = self.client.transport.exchange(&message, self.client.until)?;
        // 3. The answer is a message within bounds.
        let unreadable = |refusal: refusal::Refusal| {
            ClientError::untrusted(format!("the answer cannot be read: {}", refusal.text))
        };
        bounds::check(&answer, BOUNDS).map_err(unreadable)?;
        let answer = Message::decode(&answer).map_err(unreadable)?;
        // 4. It answers this message, and the CA sent it.
        let checked = self.verify(&answer, &nonce);
        if answer.kind == kind::ERROR {
            let unproven = checked.err().map(|e| e.to_string());
            let status = response::error_status(&answer)?;
            if unproven.is_some() || status.status != WAITING {
                return Err(ClientError::Refused(Refusal {
                    unproven,
                    ..response::refusal(kind::name(outgoing.kind), &status)
                }));
            }
        } else {
            checked?;
        }
        // 5. The next message repeats the nonce.
        self.peer_nonce =
            answer.header.sender_nonce.as_ref().map(|nonce| nonce.as_bytes().to_vec());
        self.nonces.extend(self.peer_nonce.clone());
        Ok(answer)
    }
}
