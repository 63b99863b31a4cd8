//! The decision: path, status, identity, policy, in this order; each denies with its own reason.
//!
//! What costs much is found out once for a peer, and cached until a status, the policy or a certificate's validity changes. The policy
//! is asked each time: that takes microseconds, and its answer may depend on the time of day and on what is negotiated.
//!
//! A refusal is cached for a moment, and only a refusal: a peer that is refused may ask again at once, many times a second. The very same
//! question gets it again, unless a status or the policy has changed meanwhile, and the log counts it. This is done here and not in the
//! daemons, which do not learn of such changes. A refusal for want of time is not cached: the next daemon may wait longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::clock::Clock;
use data_encoding::HEXLOWER;
use jiff::tz::TimeZone;
use ring::rand::{SecureRandom, SystemRandom};

use super::answer::{Denial, Judged, LastStep, answer, repeated_id};
use super::counts::{Counts, Origin};
use super::keys::Keys;
use super::peer::{Asking, DENIAL, Discovery, Generation, Inquirer, Known, Lifetime};
use super::recent::{Key, Recent};
use crate::decision_log::{Decision, DecisionLog};
use crate::identity::{Mapping, PeerId};
use crate::path::ValidPath;
use crate::policy::attributes::attributes;
use crate::policy::moment::moment;
use crate::policy::proof::Proof;
use crate::policy::{RequestingPeer, LoadedPolicy, Policy};
use crate::trust::Trust;
use crate::wire::{Answer, Question, Secret, Step, VERSION, Verdict};

/// The most denials that are cached: peers that are refused must not displace those that are not.
const MAX_DENIED: usize = 1024;

/// What decides.
pub struct Authorizer {
    trust: Arc<dyn Trust>,
    policy: Policy,
    mapping: Mapping,
    address_ids: AddressIds,
    clock: Arc<dyn Clock>,
    log: DecisionLog,
    /// Peers about whom the policy can be asked.
    peers: Recent<Known>,
    /// Peers that are refused before the policy is asked.
    denied: Recent<Known>,
    /// Answers to whole questions.
    refusals: Recent<Refusal>,
    keys: Keys,
    zone: TimeZone,
    random: SystemRandom,
    counts: Counts,
}

/// From where a peer may send whose identity is an address, and is in its certificate (RFC 4945 §3.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressIds {
    /// From that address.
    #[default]
    Source,
    /// From anywhere.
    Any,
}

/// A refusal that may be given again.
struct Refusal {
    lifetime: Lifetime,
    answer: Answer,
}

/// What is known of a peer for a question.
struct Knowledge {
    known: Arc<Known>,
    origin: Origin,
    /// Whether it holds for a question with more time, too.
    is_thorough: bool,
    /// The path, if it was found out for this question.
    path: Option<Arc<ValidPath>>,
}

impl Authorizer {
    /// An authorizer that caches what it knows of at most `max_cached` peers.
    ///
    /// # Errors
    /// In words, why there is no randomness.
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

    /// Says from where peers may send whose identity is an address.
    #[must_use]
    pub fn with_address_ids(self, address_ids: AddressIds) -> Self {
        Self { address_ids, ..self }
    }

    /// Decides, and records the decision. It denies after `deadline`.
    pub fn decide(&self, mut question: Question, deadline: Instant) -> Answer {
        let (started, at) = (Instant::now(), self.clock.now());
        // 1. What is asked. The secret leaves the question, so that no log can have it.
        let secret = question.psk.take();
        let asking = self.asking(&question, secret.as_ref());
        let whole = asking.as_ref().ok().map(|asking| Whole {
            key: self.keys.of_question(&question, &asking.key),
            generation: asking.generation,
        });
        // 2. The same was refused a moment ago.
        if let Some(refusal) = whole.as_ref().and_then(|whole| self.refusal(whole, at)) {
            return self.refuse_again(&refusal, &question, at);
        }
        // 3. Path, status and identity, cached or found out. What is waited for must leave time to decide.
        let trace = self.trace();
        let patience = deadline.saturating_duration_since(started);
        let wait = deadline.checked_sub(patience / 5).unwrap_or(deadline);
        let knowledge = asking.map(|asking| self.knowledge(asking, &trace, at, wait));
        // 4. The policy.
        let judged = knowledge.as_ref().map_err(Denial::clone).and_then(|of| {
            let requesting = of.known.found.as_ref().map_err(Denial::clone)?;
            self.judge(&question, &of.known, requesting, at)
        });
        let judged = judged.and_then(|last| in_time(deadline).map(|()| last));
        // 5. The answer, which is cached if it is a refusal, counted and recorded.
        let knowledge = knowledge.ok();
        let known = knowledge.as_ref().map(|of| &*of.known);
        let by = match known {
            Some(known) if known.by_certificate => Judged::Certificate(known.lack),
            _ => Judged::Nothing,
        };
        let answer = answer(&question, judged, by, trace);
        let origin = knowledge.as_ref().map_or(Origin::Verified, |of| of.origin);
        self.counts.count(&answer, origin);
        if let (Some(whole), Some(of)) = (whole, &knowledge)
            && of.is_thorough
        {
            self.remember_refusal(&answer, whole, &of.known, at);
        }
        let requesting = known.and_then(|known| known.found.as_ref().ok());
        self.log.record(Decision {
            at,
            micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            answer: answer.clone(),
            question,
            same_as: known
                .filter(|_| origin == Origin::Cached)
                .map(|known| known.trace.clone()),
            certificate: known.and_then(|known| known.certificate.clone()),
            requesters: requesting.map(|peer| Arc::clone(&peer.shown)),
            policy: known.map(|known| Arc::clone(&known.policy)),
            lack: known.and_then(|known| known.lack),
            path: knowledge.as_ref().and_then(|of| of.path.clone()),
        });
        answer
    }

    /// Denies what was no question, and records it.
    pub fn refuse(&self, step: Step, reason: String) -> Answer {
        let trace = self.trace();
        let answer =
            Answer { v: VERSION, id: String::new(), decision: Verdict::Deny, step, reason, trace };
        self.counts.count(&answer, Origin::Verified);
        self.log.record_refusal(self.clock.now(), answer.clone());
        answer
    }

    /// Loads the policy again; what was cached is found out anew.
    ///
    /// # Errors
    /// In words, what is wrong with the new one; the old one stays in force.
    pub fn reload(&self) -> Result<Arc<LoadedPolicy>, String> {
        let loaded = self.policy.reload()?;
        self.log.keep_policy(&loaded);
        Ok(loaded)
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<LoadedPolicy> {
        self.policy.current()
    }

    /// How many refusals are cached.
    pub fn refusals(&self) -> usize {
        self.refusals.len()
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// In words, what an operator must see to before peers are refused for it.
    pub fn troubles(&self, at: Timestamp) -> Vec<String> {
        let mut troubles = self.trust.troubles(at);
        if self.lost() > 0 {
            troubles.push(format!("{} decisions could not be recorded; see the log", self.lost()));
        }
        troubles
    }

    /// How many decisions could not be recorded.
    pub fn lost(&self) -> u64 {
        self.log.lost()
    }

    /// A refusal of the very same question that still counts.
    fn refusal(&self, whole: &Whole, at: Timestamp) -> Option<Arc<Refusal>> {
        let refusal = self.refusals.value(&whole.key)?;
        refusal.lifetime.is_live(whole.generation, at).then_some(refusal)
    }

    /// Gives the same answer again. The log only counts it.
    fn refuse_again(&self, refusal: &Refusal, question: &Question, at: Timestamp) -> Answer {
        let answer = Answer { id: repeated_id(question), ..refusal.answer.clone() };
        self.counts.count(&answer, Origin::Cached);
        self.counts.count_again();
        self.log.record_again(at, &answer);
        answer
    }

    /// Caches an answer if it is a refusal that the same question would get again.
    fn remember_refusal(&self, answer: &Answer, whole: Whole, known: &Known, at: Timestamp) {
        if answer.decision != Verdict::Deny || answer.step == Step::Authorizer {
            return;
        }
        // Not for longer than what it rests on. A policy may ask for the time, which it sees in whole seconds.
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

    /// Reads the question. It costs next to nothing.
    fn asking<'q>(
        &self,
        question: &'q Question,
        secret: Option<&'q Secret>,
    ) -> Result<Asking<'q>, Denial> {
        let by_question = || Denial::by(Step::Question);
        check_version(question).map_err(by_question())?;
        let proof = Proof::of(question, secret).map_err(by_question())?;
        let peer =
            PeerId::read(&question.remote.id).map_err(|e| by_question()(e.to_string()))?;
        // INVARIANT: the generation is read before anything is looked at, so that a change meanwhile makes what is found out old at once.
        let policy = self.policy.current();
        let generation =
            Generation { trust: self.trust.generation(), policy: policy.number() };
        let key = self.keys.of_peer(&proof, &question.remote.id);
        Ok(Asking { proof, peer, policy, generation, key })
    }

    /// What is cached of the peer, or else what is found out now.
    fn knowledge(
        &self,
        asking: Asking<'_>,
        trace: &str,
        at: Timestamp,
        deadline: Instant,
    ) -> Knowledge {
        let (key, generation) = (asking.key, asking.generation);
        let is_live = |known: &Known| known.lifetime.is_live(generation, at);
        let cached = [&self.peers, &self.denied].into_iter();
        let cached = cached.filter_map(|cache| cache.value(&key)).find(|known| is_live(known));
        if let Some(known) = cached {
            return Knowledge { known, origin: Origin::Cached, is_thorough: true, path: None };
        }
        let inquirer = Inquirer { trust: &*self.trust, mapping: &self.mapping, at, deadline };
        let Discovery { known, path } = inquirer.find_out(asking, trace);
        let known = Arc::new(known);
        // A peer that is refused when the time is up might not be with more of it, whatever the step says.
        let is_thorough = known.found.is_ok() || Instant::now() < deadline;
        if is_thorough {
            let cache = if known.found.is_ok() { &self.peers } else { &self.denied };
            cache.insert(key, Arc::clone(&known), is_live);
        }
        Knowledge { known, origin: Origin::Verified, is_thorough, path }
    }

    /// What depends on this question, and is not cached: where the peer sends from, and the policy.
    fn judge(
        &self,
        question: &Question,
        known: &Known,
        requesting: &RequestingPeer,
        at: Timestamp,
    ) -> Result<LastStep, Denial> {
        if known.by_certificate && self.address_ids == AddressIds::Source {
            let source = question.remote.address;
            known.peer.comes_from(source).map_err(Denial::by(Step::Identity))?;
        }
        if question.child.is_none() && known.policy.is_for_phase_2_only() {
            return Ok(LastStep::Identity);
        }
        self.ask_policy(question, known, requesting, at).map(|()| LastStep::Policy)
    }

    fn ask_policy(
        &self,
        question: &Question,
        known: &Known,
        requesting: &RequestingPeer,
        at: Timestamp,
    ) -> Result<(), Denial> {
        let moment = moment(at, &self.zone).ok_or_else(|| Denial {
            step: Step::Authorizer,
            reason: format!("the clock is wrong: it says {at}"),
        })?;
        let questions =
            attributes(question, &known.peer, moment).map_err(Denial::by(Step::Question))?;
        let policy = &known.policy;
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

    /// The name of a decision: 64 random bits, in hex.
    fn trace(&self) -> String {
        let mut octets = [0; 8];
        // Two decisions of one name are a nuisance, not a danger.
        let _ = self.random.fill(&mut octets);
        HEXLOWER.encode(&octets)
    }
}

/// A whole question, as refusals are cached by.
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
