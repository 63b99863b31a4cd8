//! The CMP server: one message in, one message out. This file is the story; each step has a file of its own.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::record::Label;
use countersign_ca::{Authority, Error};

use super::algorithms::Protections;
use super::answer::{Answer, refused_answer};
use super::authenticate::{Authenticated, Reply};
use super::bounds::{self, Bounds};
use super::content::kind;
use super::exchange::Exchange;
use super::limits::{InFlight, Places};
use super::message::Message;
use super::possession::Challenges;
use super::refusal::{Failure, Refusal};

/// How much of a transactionID reaches the log, in octets; none that is taken has more.
const LOGGED: usize = 64;

/// What an operator decides about CMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmpConfig {
    /// Bounds on one message.
    pub bounds: Bounds,
    /// How many iterations a MAC may ask for.
    pub iterations: RangeInclusive<u32>,
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
    /// How many requests of one account are worked on at once; one more is answered "busy".
    pub max_per_account: usize,
    /// Whether implicit confirmation is granted to whoever asks for it.
    pub implicit_confirm: bool,
    /// Whether an unprotected genm is answered, for public data only: CA certificates, root updates and CRLs.
    pub unprotected_genm: bool,
    /// The largest content of a genp, in octets: a CRL beyond it is to be fetched from its distribution point.
    pub max_information: usize,
}

impl Default for CmpConfig {
    fn default() -> Self {
        Self {
            bounds: Bounds { bytes: 1 << 20, depth: 32, elements: 10_000 },
            iterations: 100..=100_000,
            sha1_macs: true,
            protections: Protections::default(),
            check_recipient: true,
            time_window: Duration::from_secs(300),
            require_message_time: true,
            confirm_wait: Duration::from_secs(300),
            mac_workers: default_mac_workers(),
            max_per_account: 64,
            implicit_confirm: true,
            unprotected_genm: false,
            max_information: 1 << 20,
        }
    }
}

/// Half of the processors, so that the other half serves everybody else.
pub fn default_mac_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
}

/// What the path of a request says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// The profile that it names.
    pub profile: Option<Label>,
    /// The CA that it names.
    pub ca: Option<Label>,
    /// The body that its operation label stands for.
    pub operation: Option<u8>,
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

/// The CMP server of one authority.
#[derive(Debug)]
pub struct CmpService {
    authority: Arc<Authority>,
    config: CmpConfig,
    derivations: Places,
    in_flight: InFlight,
    challenges: Challenges,
}

impl CmpService {
    /// A server over this authority.
    pub fn new(authority: Arc<Authority>, config: CmpConfig) -> Self {
        let derivations = Places::new(config.mac_workers);
        let in_flight = InFlight::new(config.max_per_account);
        Self { authority, config, derivations, in_flight, challenges: Challenges::default() }
    }

    /// The authority.
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Where keys are derived from secrets.
    pub(super) const fn derivations(&self) -> &Places {
        &self.derivations
    }

    /// The challenges that await an answer.
    pub(super) const fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// The bounds in force.
    pub const fn config(&self) -> &CmpConfig {
        &self.config
    }

    /// Answers a message. Every message gets an answer, be it an error, unless the outcome is "busy".
    ///
    /// # Errors
    /// [`Error`] only when not even an error message can be made, because no CA can sign one.
    pub fn answer(&self, route: &Route, bytes: &[u8]) -> Result<(Vec<u8>, Outcome), Error> {
        let message =
            bounds::check(bytes, self.config.bounds).and_then(|()| Message::decode(bytes));
        let message = match message {
            Ok(message) => message,
            Err(refusal) => {
                tracing::info!(failure = ?refusal.failure, "unreadable: {}", refusal.text);
                let answer = Answer::error(&refusal).map_err(Error::internal)?;
                let bytes = self.protect(None, &answer, &Reply::signed(route), &self.nonce()?)?;
                return Ok((bytes, Outcome { kind: "unreadable", granted: false, busy: false }));
            }
        };
        let id = message.transaction_id();
        let transaction = data_encoding::HEXLOWER.encode(id.get(..LOGGED).unwrap_or(id));
        let span = tracing::info_span!("cmp", transaction, body = kind::name(message.kind));
        let _entered = span.enter();
        self.respond(route, &message)
    }

    /// The story of one message.
    fn respond(&self, route: &Route, message: &Message) -> Result<(Vec<u8>, Outcome), Error> {
        let nonce = self.nonce()?;
        let mut reply = Reply::signed(route);
        let answer = self.decide(route, message, &nonce, &mut reply);
        let (granted, kind) = (answer.is_ok(), kind::name(message.kind));
        if reply.busy {
            tracing::warn!("too many requests of the account are worked on");
            return Ok((Vec::new(), Outcome { kind, granted, busy: true }));
        }
        let answer = answer.or_else(|refusal| {
            tracing::info!(failure = ?refusal.failure, "refused: {}", refusal.text);
            refused_answer(message.kind, reply.to_known_peer, &refusal).map_err(Error::internal)
        })?;
        let bytes = self.protect(Some(&message.header), &answer, &reply, &nonce)?;
        Ok((bytes, Outcome { kind, granted, busy: false }))
    }

    /// Decides what to answer; `reply` becomes that of the request once its sender is known.
    fn decide(
        &self,
        route: &Route,
        message: &Message,
        nonce: &[u8; 16],
        reply: &mut Reply,
    ) -> Result<Answer, Refusal> {
        // 1. The header is one that can be answered, and fits the path. This stands before the secret is tried: a right
        //    secret forgets the wrong ones before it, and an old message, replayed, must not do that.
        self.check_header(message)?;
        check_route(route, message.kind)?;
        // 2. Who sends. What is public needs nobody to be known, where the operator allows it.
        if let Some(answer) = self.public_information(route, message)? {
            return Ok(answer);
        }
        let Authenticated { requester, protector, ca, public_key_mac } =
            self.authenticate(route, message)?;
        let protection = protector.kind();
        *reply = Reply { protector, ca: ca.clone(), to_known_peer: true, busy: false };
        let Some(_working) = self.in_flight.begin(&requester.account().name) else {
            reply.busy = true;
            return Err(Refusal::new(Failure::SystemUnavail, "busy; try again"));
        };
        tracing::debug!(account = %requester.account().name, "authenticated");
        // 3. What is asked for.
        let exchange = Exchange {
            service: self,
            route,
            message,
            requester: &requester,
            protection,
            nonce,
            public_key_mac,
            ca,
        };
        let answer = match message.kind {
            kind::IR => exchange.certificate_request(kind::IP),
            kind::CR => exchange.certificate_request(kind::CP),
            kind::KUR => exchange.certificate_request(kind::KUP),
            kind::P10CR => exchange.pkcs10_request(),
            kind::POPDECR => exchange.challenge_response(),
            kind::CERT_CONF => exchange.confirmation(),
            kind::RR => exchange.revocation(),
            kind::ERROR => exchange.client_error(),
            kind::GENM => exchange.general_message(),
            other => Err(Refusal::new(
                Failure::BadRequest,
                format!(
                    "expected ir, cr, p10cr, popdecr, kur, certConf, rr, genm or error, found {}",
                    kind::name(other)
                ),
            )),
        }?;
        tracing::info!(account = %requester.account().name, answer = kind::name(answer.kind), "answered");
        Ok(answer)
    }

    fn nonce(&self) -> Result<[u8; 16], Error> {
        let mut nonce = [0; 16];
        self.authority.random(&mut nonce)?;
        Ok(nonce)
    }
}

fn check_route(route: &Route, kind: u8) -> Result<(), Refusal> {
    let continues = matches!(kind, kind::CERT_CONF | kind::ERROR | kind::POPDECR);
    match route.operation.filter(|operation| *operation != kind && !continues) {
        Some(operation) => Err(Refusal::new(
            Failure::BadRequest,
            format!("the path is for {}, found {}", kind::name(operation), kind::name(kind)),
        )),
        None => Ok(()),
    }
}
