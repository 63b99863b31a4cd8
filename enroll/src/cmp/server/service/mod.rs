//! The CMP server: one message in, one message out. This file is the story; each step has a file of its own.

pub mod challenges;
pub mod context;
pub mod in_flight;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::record::Label;
use countersign_ca::{Authority, Error, Network, Recording};
use tracing::Span;
use tracing::field::display;

use crate::cmp::wire::algorithms::Protections;
use crate::cmp::server::reply::answer::{Answer, refused_answer};
use crate::cmp::server::sender::authenticate::{Authenticated, Reply, TOO_MANY};
use crate::cmp::wire::bounds::{self, Bounds};
use crate::cmp::wire::content::kind;
use crate::cmp::server::exchange::Exchange;
use crate::cmp::server::service::in_flight::{InFlight, Thread, Working};
use crate::cmp::wire::mac::is_mac;
use crate::cmp::wire::message::Message;
use crate::cmp::server::sender::nested::Wrapping;
use crate::cmp::server::exchange::poll::Polls;
use crate::cmp::server::exchange::possession::Challenges;
use crate::cmp::wire::refusal::{Failure, Instead, Refusal};
use crate::transport::share::{Order, Places, Sender};

/// How much of a transactionID reaches the log, in octets; none that is taken has more.
const LOGGED: usize = 64;

/// By whose rules a header is judged (ADR 19).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rules {
    /// Those of RFC 9810, by which nothing is lost that protects anybody.
    #[default]
    Rfc9810,
    /// Those of the lightweight profile, to the letter.
    Rfc9483,
}

/// What an operator decides about CMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmpConfig {
    /// By whose rules a header is judged.
    pub rules: Rules,
    /// Bounds on one message.
    pub bounds: Bounds,
    /// How many iterations a MAC may ask for, of all blocks of the key together.
    pub iterations: RangeInclusive<u32>,
    /// How many are done at most for a reference that there is not.
    pub decoy_iterations: u32,
    /// Whether a MAC may use SHA-1, as that of old clients does.
    pub sha1_macs: bool,
    /// The algorithms that may protect a message.
    pub protections: Protections,
    /// Whether a message for another authority is refused.
    pub check_recipient: bool,
    /// How far messageTime may be from now, either way.
    pub time_window: Duration,
    /// Whether messageTime must be there. Without it a message can be replayed once its transactionID is forgotten.
    pub require_message_time: bool,
    /// How long a certificate may await its confirmation.
    pub confirm_wait: Duration,
    /// How many keys are derived from secrets at once: the one thing here that costs much and that a stranger asks for.
    pub mac_workers: usize,
    /// How many keys are made for peers at once; who asks for one more is answered "busy".
    pub key_workers: usize,
    /// How many requests of one account are worked on at once; one more is answered "busy".
    pub max_per_account: usize,
    /// Whether implicit confirmation is granted to whoever asks for it.
    pub implicit_confirm: bool,
    /// Whether a shared secret revokes; without it an rr must be signed (RFC 9483 §4.2).
    pub mac_revocation: bool,
    /// Whether an unprotected genm is answered, for public data only: CA certificates, root updates and CRLs.
    pub unprotected_genm: bool,
    /// The most messages in a nested one.
    pub max_batch: usize,
    /// How long a request may wait for an administrator, and an approved one for its peer.
    pub approval_wait: Duration,
    /// After how long a peer is asked to poll again.
    pub poll_after: Duration,
    /// The largest content of a genp, in octets: a CRL beyond it is to be fetched from its distribution point.
    pub max_information: usize,
}

impl Default for CmpConfig {
    fn default() -> Self {
        Self {
            bounds: Bounds { bytes: 1 << 20, depth: 32, elements: 10_000 },
            rules: Rules::default(),
            iterations: 100..=2_000_000,
            decoy_iterations: 10_000,
            sha1_macs: true,
            protections: Protections::default(),
            check_recipient: true,
            time_window: Duration::from_secs(300),
            require_message_time: true,
            confirm_wait: Duration::from_secs(300),
            mac_workers: default_workers(),
            key_workers: default_workers(),
            max_per_account: 64,
            implicit_confirm: true,
            mac_revocation: false,
            unprotected_genm: false,
            max_batch: 32,
            approval_wait: Duration::from_secs(7 * 86_400),
            poll_after: Duration::from_secs(60),
            max_information: 1 << 20,
        }
    }
}

/// Half of the processors, so that the other half serves everybody else.
pub fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
}

/// What the path of a request says, and where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// The profile that it names.
    pub profile: Option<Label>,
    /// The CA that it names.
    pub ca: Option<Label>,
    /// The body that its operation label stands for.
    pub operation: Option<u8>,
    /// The client's address, for the log, and for its shares of places and turns.
    pub client: Option<IpAddr>,
}

impl Route {
    /// Whose shares of places and turns it takes.
    pub fn sender(&self) -> Sender {
        self.client.map(Network::from)
    }
}

/// What became of a message, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The name of its body.
    pub kind: &'static str,
    /// Whether it was granted.
    pub granted: bool,
    /// Whether too many of its account were worked on: there is no answer then, and it may come again.
    pub busy: bool,
}

/// An answer, or one that waits for the disk.
pub enum Begun {
    /// The answer, and what became of the message.
    Answered(Vec<u8>, Outcome),
    /// It is there when the record is durable.
    Recording(Box<Unsent>),
}

/// An answer that is made, and may not leave before its record is durable.
pub struct Unsent {
    recording: Recording<Vec<u8>>,
    unsettled: Box<Unsettled>,
}

/// What it takes to refuse a message after all.
struct Unsettled {
    message: Message,
    reply: Reply,
    nonce: [u8; 16],
    span: Span,
}

impl Begun {
    fn answered((bytes, outcome): (Vec<u8>, Outcome)) -> Self {
        Self::Answered(bytes, outcome)
    }

    /// The answer, for who may wait for the disk.
    fn wait(self, service: &CmpService) -> Result<(Vec<u8>, Outcome), Error> {
        match self {
            Self::Answered(bytes, outcome) => Ok((bytes, outcome)),
            Self::Recording(unsent) => {
                let Unsent { recording, unsettled } = *unsent;
                service.settle(recording.wait(), *unsettled)
            }
        }
    }

    /// The answer, as soon as it may leave.
    ///
    /// # Errors
    /// As [`CmpService::answer`].
    pub async fn settled(self, service: &CmpService) -> Result<(Vec<u8>, Outcome), Error> {
        match self {
            Self::Answered(bytes, outcome) => Ok((bytes, outcome)),
            Self::Recording(unsent) => {
                let Unsent { recording, unsettled } = *unsent;
                let recorded = recording.settled().await;
                service.settle(recorded, *unsettled)
            }
        }
    }
}

/// The CMP server of one authority.
#[derive(Debug)]
pub struct CmpService {
    authority: Arc<Authority>,
    config: CmpConfig,
    derivations: Places,
    generations: Places,
    in_flight: InFlight,
    polls: Polls,
    challenges: Challenges,
}

impl CmpService {
    /// A server over this authority.
    pub fn new(authority: Arc<Authority>, config: CmpConfig) -> Self {
        let derivations = Places::new(config.mac_workers);
        let generations = Places::new(config.key_workers);
        let in_flight = InFlight::new(config.max_per_account);
        let (polls, challenges) = (Polls::default(), Challenges::default());
        Self { authority, config, derivations, generations, in_flight, polls, challenges }
    }

    /// The authority.
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Where keys are derived from secrets.
    pub(crate) const fn derivations(&self) -> &Places {
        &self.derivations
    }

    /// Where keys are made for peers.
    pub(crate) const fn generations(&self) -> &Places {
        &self.generations
    }

    /// How many requests of each account are worked on.
    pub(crate) const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// The nonces of polls.
    pub(crate) const fn polls(&self) -> &Polls {
        &self.polls
    }

    /// The challenges that await an answer.
    pub(crate) const fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// The bounds in force.
    pub const fn config(&self) -> &CmpConfig {
        &self.config
    }

    /// Answers a message. Every message gets an answer, be it an error, unless the outcome is "busy". This waits for the
    /// disk.
    ///
    /// # Errors
    /// [`Error`] only when not even an error message can be made, because no CA can sign one.
    pub fn answer(&self, route: &Route, bytes: &[u8]) -> Result<(Vec<u8>, Outcome), Error> {
        self.begin(route, bytes)?.wait(self)
    }

    /// As [`Self::answer`], but does not wait for the disk: an answer that depends on a record is had from
    /// [`Begun::settled`].
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn begin(&self, route: &Route, bytes: &[u8]) -> Result<Begun, Error> {
        let begun = self.begin_on(Thread::MayWait, route, bytes)?;
        begun.ok_or_else(|| Error::internal("a thread that may wait did not"))
    }

    /// As [`Self::begin`], for a thread that only computes and for which others wait. `None` if the message takes long, or
    /// needs something that is waited for: nothing was done then, and it is for [`Self::begin`].
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn begin_computing(&self, route: &Route, bytes: &[u8]) -> Result<Option<Begun>, Error> {
        self.begin_on(Thread::Computes, route, bytes)
    }

    /// As [`Self::begin_computing`], for one of the threads that derive keys from secrets, in this order. What is for [`Self::begin`]
    /// has its key derived once more there.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub(crate) fn begin_deriving(
        &self,
        order: Order,
        route: &Route,
        bytes: &[u8],
    ) -> Result<Option<Begun>, Error> {
        self.begin_on(Thread::Derives(order), route, bytes)
    }

    fn begin_on(
        &self,
        thread: Thread,
        route: &Route,
        bytes: &[u8],
    ) -> Result<Option<Begun>, Error> {
        let message = bounds::check(bytes, self.config.bounds)
            .and_then(|()| Message::decode(bytes))
            .map(|message| self.tolerated(message));
        let message = match message {
            Ok(message) => message,
            Err(refusal) => {
                let client = route.client.map(display);
                tracing::info!(target: countersign_ca::REFUSED, client, failure = ?refusal.failure, "unreadable: {}", refusal.text);
                let answer = Answer::error(&refusal).map_err(Error::internal)?;
                let bytes = self.protect(None, &answer, &Reply::signed(route), &self.nonce()?)?;
                let outcome = Outcome { kind: "unreadable", granted: false, busy: false };
                return Ok(Some(Begun::Answered(bytes, outcome)));
            }
        };
        let span = tracing::info_span!(
            "cmp",
            client = route.client.map(display),
            transaction = %Hex(message.transaction_id()),
            body = kind::name(message.kind)
        );
        let entered = span.clone().entered();
        let begun = self.respond(route, message, span, Wrapping { thread, ..Wrapping::default() });
        drop(entered);
        begun
    }

    /// As [`Self::respond`], for a message within another, which waits for the disk.
    pub(crate) fn respond_within(
        &self,
        route: &Route,
        message: Message,
        wrapping: Wrapping<'_>,
    ) -> Result<(Vec<u8>, Outcome), Error> {
        let message = self.tolerated(message);
        let begun = self.respond(route, message, Span::current(), wrapping)?;
        begun.ok_or_else(|| Error::internal("a message within another waits"))?.wait(self)
    }

    /// The story of one message; `None` if it must be begun anew by a thread that may wait.
    fn respond(
        &self,
        route: &Route,
        message: Message,
        span: Span,
        wrapping: Wrapping<'_>,
    ) -> Result<Option<Begun>, Error> {
        if message.kind == kind::NESTED {
            return match wrapping.thread {
                Thread::Computes | Thread::Derives(_) => Ok(None),
                Thread::MayWait => {
                    self.nested(route, message, wrapping).map(Begun::answered).map(Some)
                }
            };
        }
        let nonce = self.nonce()?;
        let mut reply = Reply::signed(route);
        let recording = match self.decide(route, &message, wrapping, &nonce, &mut reply) {
            Ok(recording) => recording,
            Err(Refusal { instead: Some(Instead::Elsewhere), .. }) => return Ok(None),
            Err(Refusal { instead: Some(Instead::Busy), text, .. }) => {
                tracing::warn!(target: countersign_ca::REFUSED, "{text}");
                let kind = kind::name(message.kind);
                let outcome = Outcome { kind, granted: false, busy: true };
                return Ok(Some(Begun::Answered(Vec::new(), outcome)));
            }
            Err(refusal) => {
                let unsettled = Unsettled { message, reply, nonce, span };
                return self.refuse(&refusal, &unsettled).map(Begun::answered).map(Some);
            }
        };
        let recording = recording
            .try_map(|answer| self.protect(Some(&message.header), &answer, &reply, &nonce))?;
        let unsettled = Unsettled { message, reply, nonce, span };
        match recording.is_ready() {
            true => self.settle(recording.wait(), unsettled).map(Begun::answered),
            false => {
                let unsettled = Box::new(unsettled);
                Ok(Begun::Recording(Box::new(Unsent { recording, unsettled })))
            }
        }
        .map(Some)
    }

    /// The answer that was made is sent when its record is durable; a refusal, when the record was refused.
    fn settle(
        &self,
        recorded: Result<Vec<u8>, Error>,
        unsettled: Unsettled,
    ) -> Result<(Vec<u8>, Outcome), Error> {
        let _entered = unsettled.span.enter();
        match recorded {
            Ok(bytes) => {
                let kind = kind::name(unsettled.message.kind);
                let account = unsettled.reply.working.as_ref().map(Working::account);
                tracing::info!(account = account.map(Label::as_str), "answered");
                Ok((bytes, Outcome { kind, granted: true, busy: false }))
            }
            Err(error) => self.refuse(&Refusal::from(error), &unsettled),
        }
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        unsettled: &Unsettled,
    ) -> Result<(Vec<u8>, Outcome), Error> {
        let Unsettled { message, reply, nonce, .. } = unsettled;
        tracing::info!(target: countersign_ca::REFUSED, failure = ?refusal.failure, "refused: {}", refusal.text);
        let answer = refused_answer(message, reply.to_known_peer, refusal);
        let answer = answer.map_err(Error::internal)?;
        let bytes = self.protect(Some(&message.header), &answer, reply, nonce)?;
        Ok((bytes, Outcome { kind: kind::name(message.kind), granted: false, busy: false }))
    }

    /// Decides what to answer; `reply` becomes that of the request once its sender is known.
    fn decide(
        &self,
        route: &Route,
        message: &Message,
        wrapping: Wrapping<'_>,
        nonce: &[u8; 16],
        reply: &mut Reply,
    ) -> Result<Recording<Answer>, Refusal> {
        // Everything else waits for the disk, or may take long.
        if !matches!(message.kind, kind::IR | kind::CR | kind::KUR | kind::P10CR) {
            wrapping.thread.waits()?;
        }
        // 1. The header is one that can be answered, and fits the path. Under a MAC this is judged when the peer is known: whoever has
        //    nothing but a secret reads no other refusal than one that the secret protects, such as that its clock is wrong.
        let by_mac = is_mac(message);
        let judge = || self.check_header(message).and_then(|()| check_route(route, message.kind));
        if !by_mac {
            judge()?;
        }
        // 2. Who sends. What is public needs nobody to be known, where the operator allows it.
        if let Some(answer) = self.public_information(route, message)? {
            return Ok(Recording::ready(answer));
        }
        let Authenticated { requester, protector, ca, working, public_key_mac } =
            self.authenticate(route, message, wrapping.thread)?;
        let protection = protector.kind();
        let working = working.or_else(|| self.in_flight.begin(&requester.account().name));
        let working = Some(working.ok_or_else(|| Refusal::busy(TOO_MANY))?);
        *reply = Reply { protector, ca: ca.clone(), to_known_peer: false, working };
        tracing::debug!(account = %requester.account().name, "authenticated");
        if by_mac {
            judge()?;
        }
        reply.to_known_peer = true;
        // 3. Whether it is a registration authority, and whose message it passes on.
        let registrar = self.authority.registrar(&requester);
        let original = match &registrar {
            Some(_) => self.original(route, message, wrapping.thread)?,
            None => None,
        };
        // 4. What is asked for.
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
            thread: wrapping.thread,
        };
        let answer = match message.kind {
            kind::IR => return exchange.certificate_request(kind::IP),
            kind::CR => return exchange.certificate_request(kind::CP),
            kind::KUR => return exchange.certificate_request(kind::KUP),
            kind::P10CR => return exchange.pkcs10_request(),
            kind::POPDECR => return exchange.challenge_response(),
            kind::CCR => exchange.cross_certification(),
            kind::CERT_CONF => exchange.confirmation(),
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
        answer.map(Recording::ready)
    }

    pub(crate) fn nonce(&self) -> Result<[u8; 16], Error> {
        let mut nonce = [0; 16];
        self.authority.random(&mut nonce)?;
        Ok(nonce)
    }
}

fn check_route(route: &Route, kind: u8) -> Result<(), Refusal> {
    let continues = matches!(kind, kind::CERT_CONF | kind::ERROR | kind::POLL_REQ | kind::POPDECR);
    match route.operation.filter(|operation| *operation != kind && !continues) {
        Some(operation) => Err(Refusal::new(
            Failure::BadRequest,
            format!("the path is for {}, found {}", kind::name(operation), kind::name(kind)),
        )),
        None => Ok(()),
    }
}

/// A transactionID in the log, written only when somebody reads it.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let logged = self.0.get(..LOGGED).unwrap_or(self.0);
        write!(f, "{}", data_encoding::HEXLOWER.encode_display(logged))
    }
}
