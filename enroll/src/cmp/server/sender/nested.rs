//! Messages inside a message: a registration authority adds its protection to one, or sends several in a batch
//! (RFC 9483 §5.2.2, RFC 9810 §5.1.3.4).
//!
//! Around one message it approves of it, and the answer is that to the inner message. Around several it only carries
//! them: each proves itself and is answered by itself, in the same order, inside a nested answer. A message of a batch may
//! itself be nested around one other, and nothing goes deeper.

use std::collections::BTreeSet;

use countersign_ca::{Error, Registrar};
use der::asn1::AnyRef;
use der::{Encode, Tag};

use crate::cmp::server::reply::answer::{Answer, failed, refused_answer};
use crate::cmp::server::sender::authenticate::{Reply, public_key_mac};
use crate::cmp::wire::bounds::Bounds;
use crate::cmp::wire::content::kind;
use crate::cmp::wire::crmf::{elements, malformed};
use crate::cmp::server::service::in_flight::Thread;
use crate::cmp::wire::mac::MacParameters;
use crate::cmp::wire::message::{Message, PkiHeader};
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::server::exchange::registration::original;
use crate::cmp::server::service::{CmpService, Outcome, Route};

/// How deep messages stand in messages: a batch, one that has protection added, and the peer's own.
const MAX_DEPTH: u8 = 2;

/// All the MACs of a batch may ask for so many times the iterations that one message may.
const WORK: u64 = 4;

/// In what a message came, and on which thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wrapping<'a> {
    /// How many messages are around it.
    pub depth: u8,
    /// The registration authority that added its protection to this very message.
    pub forwarder: Option<&'a Registrar>,
    /// What the thread may do that works on it.
    pub thread: Thread,
}

/// What was in a nested message.
enum Inner {
    /// One message, to which protection was added.
    One(Box<Message>),
    /// Several, or one in a transaction of the batch's own.
    Batch(Vec<Message>),
}

impl CmpService {
    /// The story of a nested message.
    pub(crate) fn nested(
        &self,
        route: &Route,
        message: Message,
        outer: Wrapping<'_>,
    ) -> Result<(Vec<u8>, Outcome), Error> {
        let nonce = self.nonce()?;
        let mut reply = Reply::signed(route);
        let outcome = |granted, busy| Outcome { kind: kind::name(kind::NESTED), granted, busy };
        let opened = self.opened(route, &message, outer, &mut reply);
        let (registrar, inner) = match opened {
            Ok(opened) => opened,
            Err(refusal) => {
                tracing::info!(target: countersign_ca::REFUSED, failure = ?refusal.failure, "refused: {}", refusal.text);
                let answer = refused_answer(&message, reply.to_known_peer, &refusal);
                let answer = answer.map_err(Error::internal)?;
                let bytes = self.protect(Some(&message.header), &answer, &reply, &nonce)?;
                return Ok((bytes, outcome(false, false)));
            }
        };
        let Some(_working) = self.in_flight().begin(registrar.account()) else {
            tracing::warn!(target: countersign_ca::REFUSED, "too many requests of the registration authority are worked on");
            return Ok((Vec::new(), outcome(false, true)));
        };
        let operation = route.operation.filter(|operation| *operation != kind::NESTED);
        let route = Route { operation, ..route.clone() };
        let depth = outer.depth.saturating_add(1);
        match inner {
            Inner::One(inner) => {
                tracing::info!(registrar = %registrar.account(), "protection was added");
                self.respond_within(
                    &route,
                    *inner,
                    Wrapping { depth, forwarder: Some(&registrar), thread: Thread::MayWait },
                )
            }
            Inner::Batch(messages) => {
                tracing::info!(registrar = %registrar.account(), messages = messages.len(), "a batch");
                let wrapping = Wrapping { depth, forwarder: None, thread: Thread::MayWait };
                let answers = self.each(&route, messages, wrapping)?.concat();
                let answer = AnyRef::new(Tag::Sequence, &answers);
                let answer = answer.and_then(|content| Answer::plain(kind::NESTED, &content));
                let answer = answer.map_err(Error::internal)?;
                let bytes = self.protect(Some(&message.header), &answer, &reply, &nonce)?;
                Ok((bytes, outcome(true, false)))
            }
        }
    }

    /// Answers each message of a batch by itself.
    fn each(
        &self,
        route: &Route,
        messages: Vec<Message>,
        wrapping: Wrapping<'_>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut answers: Vec<Vec<u8>> = Vec::with_capacity(messages.len());
        let mut length = 0_usize;
        for message in messages {
            let header = message.header.clone();
            let answer = match length < self.config().bounds.bytes {
                true => self.respond_within(route, message, wrapping)?,
                false => (Vec::new(), Outcome { kind: "", granted: false, busy: true }),
            };
            let bytes = match answer {
                (_, Outcome { busy: true, .. }) => self.not_now(route, &header)?,
                (bytes, _) => bytes,
            };
            length = length.saturating_add(bytes.len());
            answers.push(bytes);
        }
        Ok(answers)
    }

    /// The answer to a message of a batch that is not worked on: nothing was done, and it may come again.
    fn not_now(&self, route: &Route, header: &PkiHeader) -> Result<Vec<u8>, Error> {
        let refusal = Refusal::new(
            Failure::SystemUnavail,
            "too much is asked for at once; send this message again",
        );
        let answer = Answer::error(&refusal).map_err(Error::internal)?;
        self.protect(Some(header), &answer, &Reply::signed(route), &self.nonce()?)
    }

    /// Who sends a nested message, and what is in it; `reply` becomes that of the sender.
    fn opened(
        &self,
        route: &Route,
        message: &Message,
        outer: Wrapping<'_>,
        reply: &mut Reply,
    ) -> Result<(Registrar, Inner), Refusal> {
        // 1. The header is one that can be answered, and messages are not nested without end.
        self.check_header(message)?;
        if outer.depth >= MAX_DEPTH {
            return Err(Refusal::new(
                Failure::BadRequest,
                "a nested message in a nested message may hold no further one",
            ));
        }
        // 2. A registration authority signs it.
        let algorithm = message.header.protection_alg.as_ref();
        if algorithm
            .is_some_and(|algorithm| MacParameters::read(algorithm, self.config()).is_some())
        {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "a nested message is protected by a signature (RFC 9483 §5.2.2)",
            ));
        }
        let sender = self.authenticate(route, message, Thread::MayWait)?;
        let registrar = self.authority().registrar(&sender.requester);
        *reply = Reply {
            protector: sender.protector,
            ca: sender.ca,
            to_known_peer: true,
            working: None,
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
        // 3. What is in it.
        let inner = self.inner(message)?;
        if outer.depth > 0 && matches!(inner, Inner::Batch(_)) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "a nested message inside another holds one message; take its messages into the batch",
            ));
        }
        if let Inner::Batch(messages) = &inner {
            self.check_batch(route, &message.header, messages)?;
        }
        Ok((registrar, inner))
    }

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
            messages.push(Message::decode(&part.to_der().map_err(failed)?)?);
        }
        let (header, only) = (&message.header, messages.len() == 1);
        let Some(inner) = messages.pop_if(|_| only) else {
            // A batch begins a transaction of its own.
            return match header.recip_nonce {
                Some(_) => Err(recipient_nonce()),
                None => Ok(Inner::Batch(messages)),
            };
        };
        let answered = message.header.recip_nonce.as_ref();
        if answered.is_some() && answered != inner.header.recip_nonce.as_ref() {
            return Err(recipient_nonce());
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

    /// What a registration authority can see itself before it sends a batch; whoever gets this wrong has the whole batch
    /// refused, and nothing of it is done. What only this server can tell, such as a wrong MAC, is each message's own.
    fn check_batch(
        &self,
        route: &Route,
        header: &PkiHeader,
        messages: &[Message],
    ) -> Result<(), Refusal> {
        let (mut transactions, mut nonces) = (BTreeSet::new(), BTreeSet::new());
        let inner = messages.iter().map(|message| &message.header);
        for header in std::iter::once(header).chain(inner) {
            let of = |octets: &Option<der::asn1::OctetString>| {
                octets.as_ref().map(|octets| octets.as_bytes().to_vec())
            };
            if of(&header.transaction_id).is_some_and(|id| !transactions.insert(id)) {
                return Err(Refusal::new(
                    Failure::TransactionIdInUse,
                    "each message of a batch, and the batch, has a transactionID of its own (RFC 9483 §5.2.2.2)",
                ));
            }
            if of(&header.sender_nonce).is_some_and(|nonce| !nonces.insert(nonce)) {
                return Err(Refusal::new(
                    Failure::BadSenderNonce,
                    "each message of a batch, and the batch, has a senderNonce of its own (RFC 9483 §5.2.2.2)",
                ));
            }
        }
        let work = messages.iter().map(|message| self.iterations(message));
        let work = work.fold(0, u64::saturating_add);
        let most = u64::from(*self.config().iterations.end()).saturating_mul(WORK);
        if work > most {
            return Err(Refusal::new(
                Failure::BadRequest,
                format!("expected at most {most} iterations of MACs in a batch, found {work}"),
            ));
        }
        let is_signed = |message: &&Message| {
            let algorithm = message.header.protection_alg.as_ref();
            algorithm
                .is_some_and(|algorithm| MacParameters::read(algorithm, self.config()).is_none())
        };
        for message in messages.iter().filter(is_signed) {
            let message = self.tolerated(message.clone());
            match self.authenticate(route, &message, Thread::MayWait) {
                Err(refusal) if refusal.failure == Failure::BadMessageCheck => return Err(refusal),
                _ => {}
            }
        }
        Ok(())
    }

    /// How many iterations the MACs in a message ask for: its own, that over a key in it, and those of the message nested in it
    /// and of the original that stands in its header.
    fn iterations(&self, message: &Message) -> u64 {
        let inner = match message.kind {
            kind::NESTED => match self.inner(message) {
                Ok(Inner::One(inner)) if inner.kind != kind::NESTED => self.in_one(&inner),
                _ => 0,
            },
            _ => 0,
        };
        inner.saturating_add(self.in_one(message))
    }

    fn in_one(&self, message: &Message) -> u64 {
        let original = original(message).ok().flatten();
        let originals = original.iter().map(|original| self.of_macs(original));
        originals.fold(self.of_macs(message), u64::saturating_add)
    }

    fn of_macs(&self, message: &Message) -> u64 {
        let over_key = public_key_mac(message).map(|(value, _)| value.algorithm);
        let macs = message.header.protection_alg.iter().chain(&over_key);
        let read = macs.filter_map(|mac| MacParameters::read(mac, self.config())?.ok());
        read.map(|parameters| parameters.iterations()).fold(0, u64::saturating_add)
    }
}

fn recipient_nonce() -> Refusal {
    Refusal::new(
        Failure::BadRecipientNonce,
        "recipNonce of a nested message is that of the one message in it, or absent",
    )
}

/// Reads the messages in a nested one, for the fuzzer.
pub fn read(message: &Message, bounds: Bounds) {
    for part in elements(&message.body).unwrap_or_default().into_iter().take(bounds.elements) {
        if let Ok(der) = part.to_der() {
            let _ = Message::decode(&der);
        }
    }
}
