//! Opens a message that holds other messages: a registration authority adds its protection to one, or sends several in a batch (RFC 9483
//! §5.2.2, RFC 9810 §5.1.3.5).
//!
//! By adding its protection to one message, the registration authority approves of it; the answer is that to the inner message. A batch
//! only transports messages: each one proves itself and is answered by itself, in the same order, inside a nested answer. A message of a
//! batch may itself be nested around one other, and nothing is nested deeper.

use std::collections::BTreeSet;

use countersign_ca::Registrar;
use der::Encode;
use der::asn1::OctetString;

use super::authenticate::public_key_mac;
use super::original::original;
use crate::cmp::server::reply::answer::Peer;
use crate::cmp::server::reply::protect::Reply;
use crate::cmp::server::service::CmpService;
use crate::cmp::server::service::route::{Route, Wrapping};
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::kind;
use crate::cmp::wire::mac::MacParameters;
use crate::cmp::wire::message::{Message, PkiHeader};
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed, malformed};
use crate::request::elements::elements;
use crate::transport::pool::Pool;

/// The most nested messages that one message may be inside: a batch, and a message that adds protection.
const MAX_DEPTH: u8 = 2;

/// The MACs of all messages in a batch together may ask for at most this many times the iterations that one message may ask for.
const BATCH_ITERATIONS: u64 = 4;

/// A nested message whose sender is known.
pub struct Opened {
    /// The registration authority that sent the nested message.
    pub registrar: Registrar,
    /// The messages in the nested message.
    pub inner: Inner,
}

/// The content of a nested message.
pub enum Inner {
    /// The nested message contains one message, to which the sender added protection.
    One(Box<Message>),
    /// Several messages; or one whose transactionID and senderNonce both differ from those of the nested message.
    Batch(Vec<Message>),
}

impl CmpService {
    /// Authenticates the sender of a nested message and reads its content. `reply` becomes a reply to the sender as soon as the sender is
    /// authenticated.
    ///
    /// # Errors
    /// A refusal of the nested message as a whole; [`Stop::NeedsBlockingThread`] on any but a blocking thread.
    pub(crate) fn open_nested(
        &self,
        route: &Route,
        message: &Message,
        outer: Wrapping<'_>,
        reply: &mut Reply,
    ) -> Result<Opened, Stop> {
        // Each message inside may wait for the disk.
        // INVARIANT: nothing was recorded yet.
        outer.pool.require_blocking()?;
        // 1. The header is accepted, and messages are not nested too deep.
        self.check_header(message)?;
        if outer.depth >= MAX_DEPTH {
            return Err(Refusal::new(
                Failure::BadRequest,
                "a nested message in a nested message may hold no further one",
            )
            .into());
        }
        // 2. A registration authority signed it.
        let algorithm = message.header.protection_alg.as_ref();
        if algorithm.is_some_and(|algorithm| {
            MacParameters::read(algorithm, &self.config().mac_limits()).is_some()
        }) {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "a nested message is protected by a signature (RFC 9483 §5.2.2)",
            )
            .into());
        }
        let sender = self.authenticate(route, message, outer.pool)?;
        let registrar = self.authority().registrar(&sender.requester);
        *reply = Reply {
            protector: sender.protector,
            ca: sender.ca,
            peer: Peer::Known,
            account_slot: None,
        };
        let registrar = registrar.ok_or_else(|| {
            Refusal::new(
                Failure::NotAuthorized,
                format!(
                    "the account `{}` is not that of a registration authority, and sends no nested messages",
                    sender.requester.account().name
                ),
            )
        })?;
        // 3. Its content.
        let inner = self.inner(message)?;
        if outer.depth > 0 && matches!(inner, Inner::Batch(_)) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "a nested message inside another holds one message; take its messages into the batch",
            )
            .into());
        }
        if let Inner::Batch(messages) = &inner {
            self.check_batch(route, &message.header, messages)?;
        }
        Ok(Opened { registrar, inner })
    }

    /// Reads the content of a nested message. One message in it, with the transactionID and senderNonce of the nested one, is a message to
    /// which protection was added; with only one of the two, it is refused. Anything else is a batch.
    fn inner(&self, message: &Message) -> Result<Inner, Refusal> {
        let parts = elements(&message.body).map_err(malformed("PKIMessages"))?;
        let most = self.config().max_batch;
        if parts.is_empty() || parts.len() > most {
            return Err(Refusal::new(
                Failure::BadRequest,
                format!("expected 1 to {most} messages in a nested one, found {}", parts.len()),
            ));
        }
        let mut messages = Vec::with_capacity(parts.len());
        for part in parts {
            messages.push(Message::decode(&part.to_der().map_err(encoding_failed)?)?);
        }
        let (header, only) = (&message.header, messages.len() == 1);
        let Some(inner) = messages.pop_if(|_| only) else {
            // A batch opens a transaction of its own, and so answers nothing.
            return match header.recip_nonce {
                Some(_) => Err(wrong_recipient_nonce()),
                None => Ok(Inner::Batch(messages)),
            };
        };
        let answered = message.header.recip_nonce.as_ref();
        if answered.is_some() && answered != inner.header.recip_nonce.as_ref() {
            return Err(wrong_recipient_nonce());
        }
        let same_transaction = inner.header.transaction_id == header.transaction_id;
        let same_nonce = inner.header.sender_nonce == header.sender_nonce;
        match (same_transaction, same_nonce) {
            (true, true) => Ok(Inner::One(Box::new(inner))),
            (false, false) => Ok(Inner::Batch(vec![inner])),
            (false, true) => Err(Refusal::new(
                Failure::BadRequest,
                "transactionID must be copied from the message to which protection is added (RFC 9483 §5.2.2.1)",
            )),
            (true, false) => Err(Refusal::new(
                Failure::BadSenderNonce,
                "senderNonce must be copied from the message to which protection is added (RFC 9483 §5.2.2.1)",
            )),
        }
    }

    /// Checks a batch for faults that the registration authority could have found itself. Such a fault has the whole batch refused, and no
    /// message of it is worked on. A fault that only this server can find, such as a wrong MAC, has only that one message refused.
    fn check_batch(
        &self,
        route: &Route,
        header: &PkiHeader,
        messages: &[Message],
    ) -> Result<(), Refusal> {
        let (mut transactions, mut nonces) = (BTreeSet::new(), BTreeSet::new());
        let inner = messages.iter().map(|message| &message.header);
        for header in std::iter::once(header).chain(inner) {
            let octets = |field: &Option<OctetString>| {
                field.as_ref().map(|octets| octets.as_bytes().to_vec())
            };
            if octets(&header.transaction_id).is_some_and(|id| !transactions.insert(id)) {
                return Err(Refusal::new(
                    Failure::TransactionIdInUse,
                    "each message of a batch, and the batch, has a transactionID of its own (RFC 9483 §5.2.2.2)",
                ));
            }
            if octets(&header.sender_nonce).is_some_and(|nonce| !nonces.insert(nonce)) {
                return Err(Refusal::new(
                    Failure::BadSenderNonce,
                    "each message of a batch, and the batch, has a senderNonce of its own (RFC 9483 §5.2.2.2)",
                ));
            }
        }
        let work = messages.iter().map(|message| self.all_mac_iterations(message));
        let work = work.fold(0, u64::saturating_add);
        let most = u64::from(*self.config().iterations.end()).saturating_mul(BATCH_ITERATIONS);
        if work > most {
            return Err(Refusal::new(
                Failure::BadRequest,
                format!("expected at most {most} iterations of MACs in a batch, found {work}"),
            ));
        }
        let is_signed = |message: &&Message| {
            let algorithm = message.header.protection_alg.as_ref();
            algorithm.is_some_and(|algorithm| {
                MacParameters::read(algorithm, &self.config().mac_limits()).is_none()
            })
        };
        for message in messages.iter().filter(is_signed) {
            let message = self.tolerated(message.clone());
            match self.authenticate(route, &message, Pool::Blocking) {
                Err(Stop::Refused(refusal)) if refusal.failure == Failure::BadMessageCheck => {
                    return Err(refusal);
                }
                // Any other result is found again when the message itself is worked on, and concerns that message only.
                _ => {}
            }
        }
        Ok(())
    }

    /// How many iterations the MACs in a message ask for: its own and those of a message to which it adds protection.
    fn all_mac_iterations(&self, message: &Message) -> u64 {
        let inner = match message.kind {
            kind::NESTED => match self.inner(message) {
                Ok(Inner::One(inner)) if inner.kind != kind::NESTED => {
                    self.mac_iterations_with_original(&inner)
                }
                _ => 0,
            },
            _ => 0,
        };
        inner.saturating_add(self.mac_iterations_with_original(message))
    }

    /// The iterations of a message's own MACs, and of those of the message in its origPKIMessage.
    fn mac_iterations_with_original(&self, message: &Message) -> u64 {
        let original = original(message).ok().flatten();
        let originals = original.iter().map(|original| self.mac_iterations(original));
        originals.fold(self.mac_iterations(message), u64::saturating_add)
    }

    /// The iterations of the MAC that protects a message, and of the publicKeyMAC in its request.
    fn mac_iterations(&self, message: &Message) -> u64 {
        let limits = self.config().mac_limits();
        let over_key = public_key_mac(message).map(|mac| mac.value.algorithm);
        let macs = message.header.protection_alg.iter().chain(&over_key);
        let read = macs.filter_map(|mac| MacParameters::read(mac, &limits)?.ok());
        read.map(|parameters| parameters.iterations()).fold(0, u64::saturating_add)
    }
}

/// The refusal of a wrong recipNonce.
fn wrong_recipient_nonce() -> Refusal {
    Refusal::new(
        Failure::BadRecipientNonce,
        "recipNonce of a nested message is that of the one message in it, or absent",
    )
}
