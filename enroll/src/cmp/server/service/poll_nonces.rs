//! The nonces of polls, which are kept in memory only: after a restart, the next poll is accepted with any recipNonce.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use countersign_ca::Timestamp;
use countersign_ca::record::approval::{MAX_PENDING, RequestId};

use crate::transport::lock::locked;

/// How many of the server's last senderNonces a poll may repeat as its recipNonce: the last one, or an earlier one if an answer was lost.
const OURS: usize = 8;

/// How many of the peer's last senderNonces are remembered. A replay of an older poll is refused because its recipNonce is none of the
/// server's last ones.
const THEIRS: usize = 64;

/// The nonces of the last polls and of their answers, by transaction.
#[derive(Debug, Default)]
pub struct PollNonces(Mutex<HashMap<RequestId, Nonces>>);

/// The nonces of one transaction.
#[derive(Debug)]
struct Nonces {
    /// The senderNonces of the server's answers, the latest last.
    ours: VecDeque<[u8; 16]>,
    /// The senderNonces of the peer's polls, the latest last.
    theirs: VecDeque<Vec<u8>>,
    /// When the transaction ends, and its nonces may be forgotten.
    expires: Timestamp,
}

impl PollNonces {
    /// Remembers the senderNonce of a message and that of the server's answer. The transaction now ends at `expires`.
    pub fn remember(&self, id: RequestId, theirs: &[u8], ours: [u8; 16], expires: Timestamp) {
        let mut all = locked(&self.0);
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

    /// Forgets expired transactions if more are remembered than requests may await approval at once ([`MAX_PENDING`]).
    pub fn tidy(&self, now: Timestamp) {
        let mut all = locked(&self.0);
        if all.len() > MAX_PENDING {
            all.retain(|_, nonces| nonces.expires > now);
        }
    }

    /// Whether a nonce is one of the server's last 8 in this transaction; `None` if no nonce of the transaction is remembered, such as
    /// after a restart.
    pub fn is_ours(&self, id: &RequestId, nonce: &[u8]) -> Option<bool> {
        let all = locked(&self.0);
        all.get(id).map(|nonces| nonces.ours.iter().any(|ours| ours == nonce))
    }

    /// Whether a nonce is one of the peer's last 64 in this transaction.
    pub fn is_used(&self, id: &RequestId, nonce: &[u8]) -> bool {
        let all = locked(&self.0);
        all.get(id).is_some_and(|nonces| nonces.theirs.iter().any(|theirs| theirs == nonce))
    }

    /// Forgets the nonces of a transaction.
    pub fn forget(&self, id: &RequestId) {
        locked(&self.0).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_answers_one_of_our_last_nonces_with_a_new_one() {
        let (polls, id, at) = (PollNonces::default(), RequestId::of(b"x"), Timestamp::from_seconds);
        assert_eq!(polls.is_ours(&id, &[0; 16]), None);
        for n in 0..100_u8 {
            assert!(!polls.is_used(&id, &[n; 16]));
            polls.remember(id, &[n; 16], [n; 16], at(10));
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
        let polls = PollNonces::default();
        for n in 0..=MAX_PENDING {
            let expires = Timestamp::from_seconds(if n % 2 == 0 { 5 } else { 15 });
            polls.remember(RequestId::of(&n.to_be_bytes()), &[1; 16], [2; 16], expires);
        }
        polls.tidy(Timestamp::from_seconds(10));
        assert_eq!(locked(&polls.0).len(), MAX_PENDING / 2);
    }
}
