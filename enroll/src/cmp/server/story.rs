//! How the server handles one message, from the octets of the message to those of its answer. Each step has a file of its own.

use countersign_ca::record::Label;
use countersign_ca::{Error, Recording};
use der::Tag;
use der::asn1::AnyRef;
use tracing::Span;
use tracing::field::display;

use super::exchange::Exchange;
use super::reply::answer::{Answer, Peer, refused_answer};
use super::reply::protect::Reply;
use super::sender::authenticate::Authenticated;
use super::sender::device::TOO_MANY;
use super::sender::nested::{Inner, Opened};
use super::service::CmpService;
use super::service::route::{Answered, Outcome, Route, Wrapping};
use super::service::stop::Stop;
use crate::cmp::wire::mac::is_mac;
use crate::cmp::wire::message::{Message, PkiHeader};
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::wire::{bounds, kind};
use crate::transport::account_slots::AccountSlot;
use crate::transport::pool::{Attempt, NeedsBlockingThread, Pool};

/// How many octets of a transactionID are logged; no accepted transactionID has more.
const LOGGED: usize = 64;

/// The answer to a CMP message: ready to send, or held back until its record in the journal is durable.
pub enum Begun {
    /// The answer may be sent.
    Answered(Answered),
    /// The answer may be sent when its record is durable.
    Recording(Box<Unrecorded>),
}

/// An answer that must not be sent before its record is durable. If the record fails, the message is refused instead.
pub struct Unrecorded {
    recording: Recording<Answered>,
    refusable: Refusable,
    span: Span,
}

/// A message, with everything that is needed to refuse it: how the answer is protected, and the senderNonce of the answer.
struct Refusable {
    message: Message,
    reply: Reply,
    nonce: [u8; 16],
}

impl Begun {
    /// Blocks this thread until the answer may be sent.
    fn wait(self, service: &CmpService) -> Result<Answered, Error> {
        match self {
            Self::Answered(answered) => Ok(answered),
            Self::Recording(unrecorded) => {
                let Unrecorded { recording, refusable, span } = *unrecorded;
                service.settle(recording.wait(), &refusable, &span)
            }
        }
    }

    /// Waits, without blocking the thread, until the answer may be sent.
    ///
    /// # Errors
    /// As [`CmpService::answer`].
    pub async fn settled(self, service: &CmpService) -> Result<Answered, Error> {
        match self {
            Self::Answered(answered) => Ok(answered),
            Self::Recording(unrecorded) => {
                let Unrecorded { recording, refusable, span } = *unrecorded;
                let recorded = recording.settled().await;
                service.settle(recorded, &refusable, &span)
            }
        }
    }
}

impl CmpService {
    /// Answers a message, and waits for the disk. Every message gets an answer, be it an error message, unless the outcome is "busy".
    ///
    /// # Errors
    /// [`Error`] only if not even an error message can be made: no CA has a CMP signer, signing or encoding fails, or there is no
    /// randomness.
    pub fn answer(&self, route: &Route, octets: &[u8]) -> Result<Answered, Error> {
        on_blocking_thread(self.begin(Pool::Blocking, route, octets)?)?.wait(self)
    }

    /// Makes the answer to a message on a thread of this kind. The caller waits for the disk, by [`Begun::settled`].
    ///
    /// If the message needs a blocking thread and `pool` is another, the result is [`NeedsBlockingThread`]. Nothing was recorded then, and
    /// the caller calls this once more on a blocking thread.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub(crate) fn begin(
        &self,
        pool: Pool,
        route: &Route,
        octets: &[u8],
    ) -> Result<Attempt<Begun>, Error> {
        let message = bounds::check(octets, self.config().bounds)
            .and_then(|()| Message::decode(octets))
            .map(|message| self.tolerated(message));
        let message = match message {
            Ok(message) => message,
            Err(refusal) => return self.unreadable(route, &refusal).map(Begun::Answered).map(Ok),
        };
        let span = tracing::info_span!(
            "cmp",
            client = route.client.map(display),
            transaction = %Hex(message.transaction_id()),
            body = kind::name(message.kind)
        );
        let entered = span.clone().entered();
        let begun = self.respond(route, message, span, Wrapping { pool, ..Wrapping::default() });
        drop(entered);
        begun
    }

    /// The error message that answers octets which are not a PKIMessage.
    fn unreadable(&self, route: &Route, refusal: &Refusal) -> Result<Answered, Error> {
        let client = route.client.map(display);
        tracing::info!(target: countersign_ca::REFUSED, client, failure = ?refusal.failure, "unreadable: {}", refusal.text);
        let octets = self.error_message(route, None, refusal)?;
        let outcome = Outcome { kind: "unreadable", granted: false, busy: false };
        Ok(Answered { octets, outcome })
    }

    /// Makes the answer to a message that was read.
    fn respond(
        &self,
        route: &Route,
        message: Message,
        span: Span,
        wrapping: Wrapping<'_>,
    ) -> Result<Attempt<Begun>, Error> {
        let nonce = self.nonce()?;
        let mut refusable = Refusable { message, reply: Reply::to_stranger(route), nonce };
        if refusable.message.kind == kind::NESTED {
            let answered = self.respond_nested(route, refusable, wrapping)?;
            return Ok(answered.map(Begun::Answered));
        }
        let decided = self.decide(route, wrapping, &mut refusable);
        let recording = match decided {
            Ok(recording) => recording,
            Err(stop) => return Ok(self.stopped(stop, &refusable)?.map(Begun::Answered)),
        };
        let recording = recording.try_map(|answer| {
            let Refusable { message, reply, nonce } = &refusable;
            let octets = self.protect(Some(&message.header), &answer, reply, nonce)?;
            Ok::<_, Error>(match answer.is_rejection {
                true => Answered::refused(message.kind, octets),
                false => Answered::granted(message.kind, octets),
            })
        })?;
        match recording.is_ready() {
            true => self.settle(recording.wait(), &refusable, &span).map(Begun::Answered),
            false => Ok(Begun::Recording(Box::new(Unrecorded { recording, refusable, span }))),
        }
        .map(Ok)
    }

    /// Ends the work on an answer whose record was waited for: the answer may be sent, or the message is refused because the record failed.
    fn settle(
        &self,
        recorded: Result<Answered, Error>,
        refusable: &Refusable,
        span: &Span,
    ) -> Result<Answered, Error> {
        let _entered = span.enter();
        match recorded {
            Ok(answered) => {
                let account = refusable.reply.account_slot.as_ref().map(AccountSlot::account);
                tracing::info!(account = account.map(Label::as_str), "answered");
                Ok(answered)
            }
            Err(error) => self.refuse(&Refusal::from(error), refusable),
        }
    }

    /// Ends the work on a message that is not granted.
    fn stopped(&self, stop: Stop, refusable: &Refusable) -> Result<Attempt<Answered>, Error> {
        match stop {
            Stop::NeedsBlockingThread => Ok(Err(NeedsBlockingThread)),
            Stop::Busy(why) => {
                tracing::warn!(target: countersign_ca::REFUSED, "{why}");
                Ok(Ok(Answered::busy(refusable.message.kind)))
            }
            Stop::Refused(refusal) => self.refuse(&refusal, refusable).map(Ok),
        }
    }

    /// Answers a message with a refusal.
    fn refuse(&self, refusal: &Refusal, refusable: &Refusable) -> Result<Answered, Error> {
        let Refusable { message, reply, nonce } = refusable;
        tracing::info!(target: countersign_ca::REFUSED, failure = ?refusal.failure, "refused: {}", refusal.text);
        let answer = refused_answer(message, reply.peer, refusal).map_err(Error::internal)?;
        let octets = self.protect(Some(&message.header), &answer, reply, nonce)?;
        Ok(Answered::refused(message.kind, octets))
    }

    /// A signed error message to a sender that proved nothing; `request` is the header of its message, if that could be read.
    fn error_message(
        &self,
        route: &Route,
        request: Option<&PkiHeader>,
        refusal: &Refusal,
    ) -> Result<Vec<u8>, Error> {
        let answer = Answer::error(refusal).map_err(Error::internal)?;
        self.protect(request, &answer, &Reply::to_stranger(route), &self.nonce()?)
    }

    /// Decides on the answer. As soon as the sender is authenticated, the reply in `refusable` is addressed to the sender.
    fn decide(
        &self,
        route: &Route,
        wrapping: Wrapping<'_>,
        refusable: &mut Refusable,
    ) -> Result<Recording<Answer>, Stop> {
        let Refusable { message, reply, nonce } = refusable;
        let (message, nonce) = (&*message, &*nonce);
        // Every other body waits for the disk, or may take long.
        if !kind::mostly_computes(message.kind) {
            // INVARIANT: nothing was recorded yet.
            wrapping.pool.require_blocking()?;
        }
        // 1. The header is accepted, and the body fits the path. Under a MAC, both are checked only after the sender is authenticated, so
        //    that a refusal is protected by the secret, too: a peer without a trust anchor believes no other refusal, and would not learn,
        //    for example, that its clock is wrong.
        let by_mac = is_mac(message);
        let judge = || self.check_header(message).and_then(|()| check_route(route, message.kind));
        if !by_mac {
            judge()?;
        }
        // 2. The sender is authenticated, except that of an unprotected genm for public information, where the operator allows that.
        if let Some(answer) = self.public_information(route, message)? {
            return Ok(Recording::ready(answer));
        }
        let Authenticated { requester, protector, ca, account_slot, public_key_mac } =
            self.authenticate(route, message, wrapping.pool)?;
        let protection = protector.protection();
        let slots = self.account_slots();
        let account_slot = account_slot.or_else(|| slots.try_acquire(&requester.account().name));
        // INVARIANT: nothing was recorded yet.
        let account_slot = Some(account_slot.ok_or(Stop::Busy(TOO_MANY))?);
        *reply = Reply { protector, ca: ca.clone(), peer: Peer::Stranger, account_slot };
        tracing::debug!(account = %requester.account().name, "authenticated");
        if by_mac {
            judge()?;
        }
        reply.peer = Peer::Known;
        // 3. A registration authority may have changed an end entity's message, which is authenticated as well.
        let registrar = self.authority().registrar(&requester);
        let original = match &registrar {
            Some(_) => self.original(route, message, wrapping.pool)?,
            None => None,
        };
        // 4. The body is acted on.
        let exchange = Exchange {
            service: self,
            route,
            message,
            requester: &requester,
            protection,
            nonce,
            public_key_mac,
            registrar: registrar.as_ref(),
            forwarder: wrapping.forwarder,
            original,
            ca,
            pool: wrapping.pool,
        };
        let answer = match message.kind {
            kind::IR => return exchange.certificate_request(kind::IP),
            kind::CR => return exchange.certificate_request(kind::CP),
            kind::KUR => return exchange.certificate_request(kind::KUP),
            kind::P10CR => return exchange.pkcs10_request(),
            kind::POPDECR => return exchange.challenge_response(),
            kind::CERT_CONF => return exchange.confirmation(),
            kind::CCR => exchange.cross_certification(),
            kind::RR => exchange.revocation(),
            kind::POLL_REQ => exchange.poll(),
            kind::ERROR => exchange.client_error(),
            kind::GENM => exchange.general_message(),
            other => Err(Refusal::new(
                Failure::BadRequest,
                format!(
                    "expected ir, cr, p10cr, popdecr, kur, ccr, certConf, pollReq, rr, genm, error or nested, found {}",
                    kind::name(other)
                ),
            )),
        };
        Ok(Recording::ready(answer?))
    }
}

impl CmpService {
    /// Makes the answer to a nested message: that to the one message in it, or a nested answer with those to the messages of a batch.
    fn respond_nested(
        &self,
        route: &Route,
        mut nested: Refusable,
        outer: Wrapping<'_>,
    ) -> Result<Attempt<Answered>, Error> {
        let opened = self.open_nested(route, &nested.message, outer, &mut nested.reply);
        let Opened { registrar, inner } = match opened {
            Ok(opened) => opened,
            Err(stop) => return self.stopped(stop, &nested),
        };
        let Some(_slot) = self.account_slots().try_acquire(registrar.account()) else {
            let why = "too many requests of the registration authority are worked on";
            return self.stopped(Stop::Busy(why), &nested);
        };
        let operation = route.operation.filter(|operation| *operation != kind::NESTED);
        let route = Route { operation, ..route.clone() };
        let wrapping = Wrapping {
            depth: outer.depth.saturating_add(1),
            forwarder: None,
            pool: Pool::Blocking,
        };
        match inner {
            Inner::One(inner) => {
                tracing::info!(registrar = %registrar.account(), "protection was added");
                let wrapping = Wrapping { forwarder: Some(&registrar), ..wrapping };
                self.respond_within(&route, *inner, wrapping)
            }
            Inner::Batch(messages) => {
                tracing::info!(registrar = %registrar.account(), messages = messages.len(), "a batch");
                let answers = self.respond_to_each(&route, messages, wrapping)?.concat();
                let answer = AnyRef::new(Tag::Sequence, &answers);
                let answer = answer.and_then(|content| Answer::plain(kind::NESTED, &content));
                let answer = answer.map_err(Error::internal)?;
                let header = Some(&nested.message.header);
                let octets = self.protect(header, &answer, &nested.reply, &nested.nonce)?;
                Ok(Answered::granted(kind::NESTED, octets))
            }
        }
        .map(Ok)
    }

    /// Answers a message within another, and waits for the disk.
    fn respond_within(
        &self,
        route: &Route,
        message: Message,
        wrapping: Wrapping<'_>,
    ) -> Result<Answered, Error> {
        let message = self.tolerated(message);
        let attempt = self.respond(route, message, Span::current(), wrapping)?;
        on_blocking_thread(attempt)?.wait(self)
    }

    /// Answers each message of a batch by itself, in their order. Once the answers together have as many octets as one message may have,
    /// each further message is answered with `systemUnavail`; so is a message for which the server is busy.
    fn respond_to_each(
        &self,
        route: &Route,
        messages: Vec<Message>,
        wrapping: Wrapping<'_>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut answers: Vec<Vec<u8>> = Vec::with_capacity(messages.len());
        let mut length = 0_usize;
        for message in messages {
            let header = message.header.clone();
            let answered = match length < self.config().bounds.bytes {
                true => Some(self.respond_within(route, message, wrapping)?),
                false => None,
            };
            let octets = match answered.filter(|answered| !answered.outcome.busy) {
                Some(answered) => answered.octets,
                // Nothing was recorded for the message, so that it may be sent again.
                None => {
                    let refusal = Refusal::new(
                        Failure::SystemUnavail,
                        "too much is asked for at once; send this message again",
                    );
                    self.error_message(route, Some(&header), &refusal)?
                }
            };
            length = length.saturating_add(octets.len());
            answers.push(octets);
        }
        Ok(answers)
    }
}

/// The answer that a blocking thread began.
///
/// # Errors
/// [`Error::Internal`] if it asks for a blocking thread.
fn on_blocking_thread(attempt: Attempt<Begun>) -> Result<Begun, Error> {
    // INVARIANT: a blocking thread never asks for another one (`Pool::require_blocking`).
    attempt.map_err(|NeedsBlockingThread| Error::internal("a thread that may wait did not"))
}

/// Refuses (`badRequest`) a body that is not of the kind that the path's operation label allows, unless it continues a transaction (error,
/// certConf, pollReq, popdecr).
fn check_route(route: &Route, kind: u8) -> Result<(), Refusal> {
    let continues = kind::continues_transaction(kind) || kind == kind::POPDECR;
    match route.operation.filter(|operation| *operation != kind && !continues) {
        Some(operation) => Err(Refusal::new(
            Failure::BadRequest,
            format!("the path is for {}, found {}", kind::name(operation), kind::name(kind)),
        )),
        None => Ok(()),
    }
}

/// A transactionID in a log line, which is encoded only if the line is written.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let logged = self.0.get(..LOGGED).unwrap_or(self.0);
        write!(f, "{}", data_encoding::HEXLOWER.encode_display(logged))
    }
}
