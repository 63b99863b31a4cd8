//! The decision: path, status, identity and policy, in this order. Each step can deny, with its own reason.
//!
//! Path, status and identity are expensive. Their result is cached for a peer, at most until a status or the policy changes, or a
//! certificate or its status expires. The policy is asked each time, because that takes microseconds, and its answer may depend on the time
//! of day and on the negotiation.
//!
//! A whole answer is cached only if it denies, and for two seconds at most, because a denied peer may retry many times a second. The same
//! question then gets the same answer, unless a status or the policy has changed, and the log only counts it. Daemons could not cache it,
//! because they do not learn of such changes. A denial for want of time is not cached, because the next question may come with more time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::clock::Clock;
use jiff::tz::TimeZone;
use ring::rand::SystemRandom;

use super::answer::{Denial, Judged, LastStep, answer, repeated_id};
use super::counts::{Counts, Origin};
use super::keys::Keys;
use super::peer::{Asking, DENIAL, Discovery, Generation, Inquirer, Lifetime, PeerFacts};
use super::recent::{Key, Recent};
use super::trace::Trace;
use crate::decision_log::{Decision, DecisionLog};
use crate::identity::{Mapping, PeerId};
use crate::policy::attributes::attributes;
use crate::policy::moment::moment;
use crate::policy::proof::Proof;
use crate::policy::{LoadedPolicy, Policy, RequestingPeer};
use crate::trust::Trust;
use crate::wire::{Answer, Question, Secret, Step, VERSION, Verdict};
use countersign_ca::path::ValidPath;

/// The most entries in each of the two caches of denials. They are apart from the cache of accepted peers, so that refused peers cannot
/// displace accepted ones.
const MAX_DENIED: usize = 1024;

/// Decides whether peers may connect.
pub struct Authorizer {
    trust: Arc<dyn Trust>,
    policy: Policy,
    mapping: Mapping,
    address_ids: AddressIds,
    clock: Arc<dyn Clock>,
    log: DecisionLog,
    /// Peers whose path, status and identity were accepted, so that the policy can be asked about them.
    peers: Recent<PeerFacts>,
    /// Peers that are refused before the policy is asked.
    denied: Recent<PeerFacts>,
    /// Denials by the whole question, whichever step denied.
    refusals: Recent<Refusal>,
    keys: Keys,
    zone: TimeZone,
    random: SystemRandom,
    counts: Counts,
}

/// The addresses from which a peer may send if its identity is an IP address that is in its certificate (RFC 4945 §3.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressIds {
    /// The peer may send only from the address that is its identity.
    #[default]
    Source,
    /// The peer may send from any address.
    Any,
}

/// A denial that the same question gets again.
struct Refusal {
    lifetime: Lifetime,
    answer: Answer,
}

/// The facts about the peer of a question.
struct Knowledge {
    known: Arc<PeerFacts>,
    /// The identity used in the policy query. If a certificate contains it, the certificate's spelling is used.
    peer: PeerId,
    /// The policy in force. The generation of the facts contains its number, so the facts were judged by this policy.
    policy: Arc<LoadedPolicy>,
    origin: Origin,
    /// Whether a question with more time would have the same result.
    is_thorough: bool,
    /// The path, if it was validated for this question.
    path: Option<Arc<ValidPath>>,
}

impl Authorizer {
    /// An authorizer that caches the facts about `max_cached` accepted peers, and as many denials, but no more than 1024 of these in each
    /// of its two caches.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(
        trust: Arc<dyn Trust>,
        policy: Policy,
        mapping: Mapping,
        clock: Arc<dyn Clock>,
        log: DecisionLog,
        max_cached: usize,
    ) -> Result<Self, String> {
        let random = SystemRandom::new();
        let keys = Keys::new(&random)?;
        log.keep_policy(&policy.current());
        Ok(Self {
            trust,
            policy,
            mapping,
            address_ids: AddressIds::default(),
            clock,
            log,
            peers: Recent::new(max_cached),
            denied: Recent::new(max_cached.min(MAX_DENIED)),
            refusals: Recent::new(max_cached.min(MAX_DENIED)),
            keys,
            zone: TimeZone::system(),
            random,
            counts: Counts::default(),
        })
    }

    /// Sets from which addresses peers may send whose identity is an IP address.
    #[must_use]
    pub fn with_address_ids(self, address_ids: AddressIds) -> Self {
        Self { address_ids, ..self }
    }

    /// Answers a question, and records the decision in the log. If the decision is not made by `deadline`, it is a denial.
    pub fn decide(&self, mut question: Question, deadline: Instant) -> Answer {
        let (started, at) = (Instant::now(), self.clock.now());
        // 1. Read the question. The secret is taken out, so that it cannot get into the log.
        let secret = question.psk.take();
        let asking = self.asking(&question, secret.as_ref());
        let whole = asking.as_ref().ok().map(|asking| Whole {
            key: self.keys.of_question(&question, &asking.key),
            generation: asking.generation,
        });
        // 2. If the same question was denied a moment ago, deny it again.
        if let Some(refusal) = whole.as_ref().and_then(|whole| self.refusal(whole, at)) {
            return self.refuse_again(&refusal, &question, at);
        }
        // 3. Judge path, status and identity, unless they are cached. A fifth of the time is left for the policy.
        let trace = Trace::draw(&self.random);
        let patience = deadline.saturating_duration_since(started);
        let wait = deadline.checked_sub(patience / 5).unwrap_or(deadline);
        let knowledge = asking.map(|asking| self.knowledge(asking, trace, at, wait));
        // 4. Ask the policy.
        let judged = knowledge.as_ref().map_err(Denial::clone).and_then(|of| {
            let requesting = of.known.found.as_ref().map_err(Denial::clone)?;
            self.judge(&question, of, requesting, at)
        });
        let judged = judged.and_then(|last| in_time(deadline).map(|()| last));
        // 5. Answer. A denial is cached; every answer is counted and recorded.
        let knowledge = knowledge.ok();
        let known = knowledge.as_ref().map(|of| &*of.known);
        let by = match known {
            Some(known) if known.by_certificate => Judged::Certificate(known.lack),
            _ => Judged::Nothing,
        };
        let answer = answer(&question, judged, by, trace.to_string());
        let origin = knowledge.as_ref().map_or(Origin::Verified, |of| of.origin);
        self.counts.count(&answer, origin);
        if let (Some(whole), Some(of)) = (whole, &knowledge)
            && of.is_thorough
        {
            self.remember_refusal(&answer, whole, &of.known, at);
        }
        let same_as =
            known.filter(|_| origin == Origin::Cached).map(|known| known.trace.to_string());
        let requesting = known.and_then(|known| known.found.as_ref().ok());
        self.log.record(Decision {
            at,
            micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            answer: answer.clone(),
            question,
            same_as,
            certificate: known.and_then(|known| known.certificate.clone()),
            requesters: requesting.map(|peer| Arc::clone(&peer.shown)),
            policy: knowledge.as_ref().map(|of| Arc::clone(&of.policy)),
            lack: known.and_then(|known| known.lack),
            path: knowledge.as_ref().and_then(|of| of.path.clone()),
        });
        answer
    }

    /// Denies something that is not a question, such as a malformed line or one connection too many, and records that. The answer's `id` is
    /// empty.
    pub fn refuse(&self, step: Step, reason: String) -> Answer {
        let trace = Trace::draw(&self.random).to_string();
        let answer =
            Answer { v: VERSION, id: String::new(), decision: Verdict::Deny, step, reason, trace };
        self.counts.count(&answer, Origin::Verified);
        self.log.record_refusal(self.clock.now(), answer.clone());
        answer
    }

    /// Loads the policy again. Nothing that was cached under the old one is used any more.
    ///
    /// # Errors
    /// The new policy cannot be used; the text gives the reason. The old one stays in force.
    pub fn reload(&self) -> Result<Arc<LoadedPolicy>, String> {
        let loaded = self.policy.reload()?;
        self.log.keep_policy(&loaded);
        Ok(loaded)
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<LoadedPolicy> {
        self.policy.current()
    }

    /// How many denials of whole questions are cached, expired ones included.
    pub fn refusals(&self) -> usize {
        self.refusals.len()
    }

    /// The counters since the start.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Problems that the operator should solve before peers are denied because of them, as sentences.
    pub fn troubles(&self, at: Timestamp) -> Vec<String> {
        let mut troubles = self.trust.troubles(at);
        if self.lost() > 0 {
            troubles.push(format!("{} decisions could not be recorded; see the log", self.lost()));
        }
        troubles
    }

    /// How many lines of the decision log could not be recorded since the start: decisions, and counts of repeated denials.
    pub fn lost(&self) -> u64 {
        self.log.lost()
    }

    /// The cached denial of the same question; `None` if there is none, or it does not count any more.
    fn refusal(&self, whole: &Whole, at: Timestamp) -> Option<Arc<Refusal>> {
        let refusal = self.refusals.value(&whole.key)?;
        refusal.lifetime.is_live(whole.generation, at).then_some(refusal)
    }

    /// Repeats a denial. The log only counts it.
    fn refuse_again(&self, refusal: &Refusal, question: &Question, at: Timestamp) -> Answer {
        let answer = Answer { id: repeated_id(question), ..refusal.answer.clone() };
        self.counts.count(&answer, Origin::Cached);
        self.counts.count_again();
        self.log.record_again(at, &answer);
        answer
    }

    /// Caches an answer if it is a denial that the same question would get again.
    fn remember_refusal(&self, answer: &Answer, whole: Whole, known: &PeerFacts, at: Timestamp) {
        if answer.decision != Verdict::Deny || answer.step == Step::Authorizer {
            return;
        }
        // Not for longer than the facts behind it count. A policy may depend on the time, which it sees in whole seconds.
        let most = match answer.step {
            Step::Policy => at.whole_seconds().plus(Duration::from_secs(1)),
            _ => at.plus(DENIAL),
        };
        let Whole { key, generation } = whole;
        let lifetime = Lifetime { generation, from: at, until: known.lifetime.until.min(most) };
        let refusal = Refusal { lifetime, answer: answer.clone() };
        let is_live = |of: &Refusal| of.lifetime.is_live(generation, at);
        self.refusals.insert(key, Arc::new(refusal), is_live);
    }

    /// Reads the question. It is cheap, and comes before the caches, because it computes their keys.
    fn asking<'q>(
        &self,
        question: &'q Question,
        secret: Option<&'q Secret>,
    ) -> Result<Asking<'q>, Denial> {
        let by_question = || Denial::by(Step::Question);
        check_version(question).map_err(by_question())?;
        let proof = Proof::of(question, secret).map_err(by_question())?;
        let peer = PeerId::read(&question.remote.id).map_err(|e| by_question()(e.to_string()))?;
        // INVARIANT: the generation is read before anything is judged. If a status or the policy changes meanwhile, the result belongs to an old
        // generation and is not used again.
        let policy = self.policy.current();
        let generation = Generation { trust: self.trust.generation(), policy: policy.number() };
        let key = self.keys.of_peer(&proof, &question.remote.id);
        Ok(Asking { proof, peer, policy, generation, key })
    }

    /// The facts about the peer, from the cache if it has them; otherwise they are judged now.
    fn knowledge(
        &self,
        asking: Asking<'_>,
        trace: Trace,
        at: Timestamp,
        deadline: Instant,
    ) -> Knowledge {
        let (key, generation) = (asking.key, asking.generation);
        let is_live = |known: &PeerFacts| known.lifetime.is_live(generation, at);
        let cached = [&self.peers, &self.denied].into_iter();
        let cached = cached.filter_map(|cache| cache.value(&key)).find(|known| is_live(known));
        let (known, origin, is_thorough, path) = match cached {
            Some(known) => (known, Origin::Cached, true, None),
            None => {
                let inquirer =
                    Inquirer { trust: &*self.trust, mapping: &self.mapping, at, deadline };
                let Discovery { known, path } = inquirer.find_out(&asking, trace);
                // A peer that was denied when the time was up might be allowed with more time, whichever step denied it.
                let is_thorough = known.found.is_ok() || Instant::now() < deadline;
                let known = Arc::new(known);
                if is_thorough {
                    let cache = if known.found.is_ok() { &self.peers } else { &self.denied };
                    cache.insert(key, Arc::clone(&known), is_live);
                }
                (known, Origin::Verified, is_thorough, path)
            }
        };
        let peer = known.spelled.as_deref().cloned().unwrap_or(asking.peer);
        Knowledge { known, peer, policy: asking.policy, origin, is_thorough, path }
    }

    /// Judges the parts of a question that are not cached: the address that the peer sends from, and the policy.
    fn judge(
        &self,
        question: &Question,
        of: &Knowledge,
        requesting: &RequestingPeer,
        at: Timestamp,
    ) -> Result<LastStep, Denial> {
        if of.known.by_certificate && self.address_ids == AddressIds::Source {
            let source = question.remote.address;
            of.peer.comes_from(source).map_err(Denial::by(Step::Identity))?;
        }
        if question.child.is_none() && of.policy.is_for_phase_2_only() {
            return Ok(LastStep::Identity);
        }
        self.ask_policy(question, of, requesting, at).map(|()| LastStep::Policy)
    }

    fn ask_policy(
        &self,
        question: &Question,
        of: &Knowledge,
        requesting: &RequestingPeer,
        at: Timestamp,
    ) -> Result<(), Denial> {
        let moment = moment(at, &self.zone).ok_or_else(|| Denial {
            step: Step::Authorizer,
            reason: format!("the clock is wrong: it says {at}"),
        })?;
        let questions =
            attributes(question, &of.peer, moment).map_err(Denial::by(Step::Question))?;
        let policy = &of.policy;
        self.counts.count_asked();
        if policy.allows(requesting, &questions) {
            return Ok(());
        }
        let phase = if question.child.is_some() { "this traffic" } else { "phase 1" };
        let digest = policy.digest().get(..12).unwrap_or_default();
        let reason = format!(
            "the policy {digest} does not allow {phase} in the name of {}",
            requesting.shown.join(" or ")
        );
        Err(Denial { step: Step::Policy, reason })
    }
}

/// The key of a whole question, by which denials are cached, and the generation in which it was asked.
struct Whole {
    key: Key,
    generation: Generation,
}

fn check_version(question: &Question) -> Result<(), String> {
    if question.v != VERSION {
        return Err(format!("expected version `v` {VERSION}, found {}", question.v));
    }
    Ok(())
}

fn in_time(deadline: Instant) -> Result<(), Denial> {
    if Instant::now() <= deadline {
        return Ok(());
    }
    let reason = "no decision within the time that the daemon waits".to_owned();
    Err(Denial { step: Step::Authorizer, reason })
}
