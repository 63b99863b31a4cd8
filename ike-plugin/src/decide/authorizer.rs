//! The decision: path, status, identity, policy, in this order; each denies with its own reason.
//!
//! What costs is found out once for a peer and kept until a status, the policy or a certificate's validity changes. The policy
//! is asked each time: that takes microseconds, and its answer may depend on the time of day and on what is negotiated.
//!
//! A refusal is kept for a moment, and only a refusal: whoever is refused may ask again at once, many times a second. It is given again to
//! the very same question, unless a status or the policy has changed meanwhile, and the log counts it. This is done here and not in the
//! daemons, which do not learn of such changes. Where the asker's time was up, nothing is kept: the next one may have more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::clock::Clock;
use data_encoding::HEXLOWER;
use jiff::tz::TimeZone;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

use crate::policy::attributes as asked;
use crate::decision_log::{Decision, DecisionLog, PeerCertificate};
use crate::identity::{Mapping, Names, PeerId};
use super::recent::Kept;
use crate::policy::moment::moment;
use crate::path::ValidPath;
use crate::policy::{Asker, LoadedPolicy, Policy};
use crate::policy::proof::Proof;
use crate::status::{Lack, Status};
use crate::trust::Trust;
use crate::wire::{Answer, IkeId, Question, Secret, Step, VERSION, Verdict};

/// A denial is kept this long: what was wrong may be mended any time, and a peer that is refused may come again at once.
const DENIAL: Duration = Duration::from_secs(2);
/// What was looked up is kept this long at most: another certificate may be there.
const LOOKED_UP: Duration = Duration::from_secs(60);
/// The most denials that are kept: whoever is refused must not displace those who are not.
const MAX_DENIED: usize = 1024;
/// The most certificates of an identity that are tried.
const MAX_FOUND: usize = 8;

/// What decides.
pub struct Authorizer {
    trust: Arc<dyn Trust>,
    policy: Policy,
    mapping: Mapping,
    address_ids: AddressIds,
    clock: Arc<dyn Clock>,
    log: DecisionLog,
    kept: Kept<Key, Known>,
    denied: Kept<Key, Known>,
    refusals: Kept<Key, Refusal>,
    zone: TimeZone,
    salt: [u8; 32],
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

type Key = [u8; 32];
type Denial = (Step, String);

/// What was found out about a peer. The path is not among it: certificates need more memory than all the rest.
struct Known {
    generation: (u64, u64),
    from: Timestamp,
    until: Timestamp,
    /// The decision that found it out.
    trace: String,
    policy: Arc<LoadedPolicy>,
    certificate: Option<Arc<PeerCertificate>>,
    /// Whom the policy is asked about, if a certificate says so as its certificate writes it.
    peer: PeerId,
    by_certificate: bool,
    /// What of the status is not known, and was let pass.
    lack: Option<Lack>,
    found: Result<Asker, Denial>,
}

/// What was refused, and how.
struct Refusal {
    generation: (u64, u64),
    from: Timestamp,
    until: Timestamp,
    answer: Answer,
}

/// What is asked, once it was read.
struct Asking<'q> {
    proof: Proof<'q>,
    peer: PeerId,
    policy: Arc<LoadedPolicy>,
    generation: (u64, u64),
    /// The peer: its identity and what it has proved.
    key: Key,
}

/// A peer's path, until when it is good, and what of its status is not known.
struct Trusted {
    path: ValidPath,
    until: Timestamp,
    lack: Option<Lack>,
}

/// What is known of a peer for a question.
struct Knowledge {
    known: Arc<Known>,
    was_kept: bool,
    /// Whether it holds for whoever has more time, too.
    is_thorough: bool,
    /// The path, if it was found out for this question.
    path: Option<Arc<ValidPath>>,
}

/// How many questions were answered.
#[derive(Debug, Default)]
pub struct Counts {
    /// Peers that were let in.
    pub allowed: AtomicU64,
    /// Peers that were refused, by step, in the order of [`Step`].
    pub denied: [AtomicU64; 6],
    /// Answers for which nothing had to be found out.
    pub kept: AtomicU64,
    /// Refusals that were given again, for which the policy was not asked either.
    pub again: AtomicU64,
    /// How often the policy was asked.
    pub asked: AtomicU64,
}

impl Authorizer {
    /// An authorizer that keeps what it knows of at most `max_kept` peers.
    ///
    /// # Errors
    /// In words, why there is no randomness.
    pub fn new(
        trust: Arc<dyn Trust>,
        policy: Policy,
        mapping: Mapping,
        clock: Arc<dyn Clock>,
        log: DecisionLog,
        max_kept: usize,
    ) -> Result<Self, String> {
        let (random, mut salt) = (SystemRandom::new(), [0; 32]);
        random.fill(&mut salt).map_err(|_| "the system gives no random numbers")?;
        log.keep_policy(&policy.current());
        Ok(Self {
            trust,
            policy,
            mapping,
            address_ids: AddressIds::default(),
            clock,
            log,
            kept: Kept::new(max_kept),
            denied: Kept::new(max_kept.min(MAX_DENIED)),
            refusals: Kept::new(max_kept.min(MAX_DENIED)),
            zone: TimeZone::system(),
            salt,
            random,
            counts: Counts::default(),
        })
    }

    /// Says from where peers may send whose identity is an address.
    #[must_use]
    pub fn with_address_ids(self, address_ids: AddressIds) -> Self {
        Self { address_ids, ..self }
    }

    /// Decides, and records the decision. It says no after `deadline`.
    pub fn decide(&self, mut question: Question, deadline: Instant) -> Answer {
        let (started, at) = (Instant::now(), self.clock.now());
        let secret = question.psk.take();
        let asking = self.asking(&question, secret.as_ref());
        let whole =
            asking.as_ref().map(|asking| (self.whole(&question, asking), asking.generation));
        if let Ok((whole, generation)) = &whole
            && let Some(refusal) = self.refusals.value(whole)
            && refusal.is_live(*generation, at)
        {
            return self.refuse_again(&refusal, &question, at);
        }
        let whole = whole.ok();
        let trace = self.trace();
        // What is waited for must leave time to decide.
        let patience = deadline.saturating_duration_since(started);
        let wait = deadline.checked_sub(patience / 5).unwrap_or(deadline);
        let known = asking.map(|asking| self.known(asking, &trace, at, wait));
        let allowed = match &known {
            Err(denial) => Err(denial.clone()),
            Ok(of) => match &of.known.found {
                Err(denial) => Err(denial.clone()),
                Ok(asker) => self.judge(&question, &of.known, asker, at),
            },
        };
        let allowed = allowed.and_then(|last| in_time(deadline).map(|()| last));
        let (known, was_kept, is_thorough, path) = match known {
            Ok(Knowledge { known, was_kept, is_thorough, path }) => {
                (Some(known), was_kept, is_thorough, path)
            }
            Err(_) => (None, false, false, None),
        };
        let judged = match known.as_deref() {
            Some(known) if known.by_certificate => Judged::Certificate(known.lack),
            _ => Judged::Nothing,
        };
        let answer = answer(&question, allowed, judged, trace);
        self.count(&answer, was_kept);
        // Another asker may have more time.
        if answer.decision == Verdict::Deny
            && answer.step != Step::Authorizer
            && is_thorough
            && let Some((whole, generation)) = whole
        {
            // Not for longer than what it rests on. A policy may ask for the time, which it sees in whole seconds.
            let most = match answer.step {
                Step::Policy => at.whole_seconds().plus(Duration::from_secs(1)),
                _ => at.plus(DENIAL),
            };
            let until = known.as_ref().map_or(at, |known| known.until.min(most));
            let refusal = Refusal { generation, from: at, until, answer: answer.clone() };
            self.refusals.insert(whole, Arc::new(refusal), |of| of.is_live(generation, at));
        }
        let known = known.as_deref();
        let asker = known.and_then(|known| known.found.as_ref().ok());
        self.log.record(Decision {
            at,
            micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            answer: answer.clone(),
            question,
            same_as: known.filter(|_| was_kept).map(|known| known.trace.clone()),
            certificate: known.and_then(|known| known.certificate.clone()),
            requesters: asker.map(|asker| Arc::clone(&asker.shown)),
            policy: known.map(|known| Arc::clone(&known.policy)),
            lack: known.and_then(|known| known.lack),
            path,
        });
        answer
    }

    /// Says no to what was no question, and records it.
    pub fn refuse(&self, step: Step, reason: String) -> Answer {
        let trace = self.trace();
        let answer =
            Answer { v: VERSION, id: String::new(), decision: Verdict::Deny, step, reason, trace };
        self.count(&answer, false);
        self.log.record_refusal(self.clock.now(), answer.clone());
        answer
    }

    /// Loads the policy again; what was kept is found out anew.
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

    /// How many refusals are kept.
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

    /// Decisions that could not be recorded.
    pub fn lost(&self) -> u64 {
        self.log.lost()
    }

    /// The same answer, which is told by how often it was given.
    fn refuse_again(&self, refusal: &Refusal, question: &Question, at: Timestamp) -> Answer {
        let answer = Answer { id: repeated(question), ..refusal.answer.clone() };
        self.count(&answer, true);
        self.counts.again.fetch_add(1, Ordering::Relaxed);
        self.log.record_again(at, &answer);
        answer
    }

    /// What is asked. It costs next to nothing.
    fn asking<'q>(
        &self,
        question: &'q Question,
        secret: Option<&'q Secret>,
    ) -> Result<Asking<'q>, Denial> {
        let proof = check(question).and_then(|()| Proof::of(question, secret));
        let proof = proof.map_err(|why| (Step::Question, why))?;
        let peer =
            PeerId::read(&question.remote.id).map_err(|e| (Step::Question, e.to_string()))?;
        // Before anything is looked at: a change meanwhile makes what is found out old at once.
        let policy = self.policy.current();
        let generation = (self.trust.generation(), policy.number());
        let key = self.key(&proof, &question.remote.id);
        Ok(Asking { proof, peer, policy, generation, key })
    }

    fn known(
        &self,
        asking: Asking<'_>,
        trace: &str,
        at: Timestamp,
        deadline: Instant,
    ) -> Knowledge {
        let Asking { proof, peer, policy, generation, key } = asking;
        let live = |known: &Known| {
            known.generation == generation && (known.from..known.until).contains(&at)
        };
        let kept = [&self.kept, &self.denied].into_iter();
        let kept = kept.filter_map(|kept| kept.value(&key)).find(|known| live(known));
        if let Some(known) = kept {
            return Knowledge { known, was_kept: true, is_thorough: true, path: None };
        }
        let (known, path) = self.find_out(&proof, peer, policy, at, deadline);
        let known = Arc::new(Known { generation, trace: trace.to_owned(), ..known });
        // What is refused when the time is up might not be with more of it, whatever the step says.
        let is_thorough = known.found.is_ok() || Instant::now() < deadline;
        if is_thorough {
            let kept = if known.found.is_ok() { &self.kept } else { &self.denied };
            kept.insert(key, Arc::clone(&known), live);
        }
        Knowledge { known, was_kept: false, is_thorough, path }
    }

    fn find_out(
        &self,
        proof: &Proof<'_>,
        mut peer: PeerId,
        policy: Arc<LoadedPolicy>,
        at: Timestamp,
        deadline: Instant,
    ) -> (Known, Option<Arc<ValidPath>>) {
        let mut certificate = None;
        let mut until = Timestamp::from_millis(i64::MAX);
        let path = match proof {
            Proof::Chain(chain) => {
                let chain: Vec<Vec<u8>> = chain.iter().map(|of| of.0.clone()).collect();
                self.trusted(&chain, &peer, at, deadline, &mut certificate).map(Some)
            }
            Proof::UntoldCertificate => {
                until = at.plus(LOOKED_UP);
                self.looked_up(&peer, at, deadline, &mut certificate).map(Some)
            }
            // The daemon knows whose secret or key it is; the policy names it.
            Proof::Secret(_) | Proof::Key(_) | Proof::User(_) => Ok(None),
        };
        let (mut trusted, mut lack) = (None, None);
        let found = path.and_then(|path| {
            if let Some(Trusted { path, until: good_until, lack: missing }) = path {
                until = until.min(good_until);
                lack = missing;
                if let Some(names) =
                    path.certificates.first().and_then(|of| Names::of(of.der()).ok())
                {
                    peer = names.as_held(peer.clone());
                }
                trusted = Some(Arc::new(path));
            }
            let id = peer.to_string();
            policy.asker(trusted.as_deref(), proof, &id).map_err(|why| (Step::Policy, why))
        });
        if found.is_err() {
            until = at.plus(DENIAL);
        }
        let known = Known {
            generation: (0, 0),
            from: at,
            until,
            trace: String::new(),
            policy,
            certificate: certificate.map(Arc::new),
            peer,
            by_certificate: trusted.is_some(),
            lack,
            found,
        };
        (known, trusted)
    }

    /// Path, status, identity.
    fn trusted(
        &self,
        chain: &[Vec<u8>],
        peer: &PeerId,
        at: Timestamp,
        deadline: Instant,
        certificate: &mut Option<PeerCertificate>,
    ) -> Result<Trusted, Denial> {
        *certificate = chain.first().and_then(|leaf| PeerCertificate::of(leaf));
        let path = self.trust.path(chain, at).map_err(|why| (Step::Path, why))?;
        let (good_until, lack) = match self.trust.status(&path, at, deadline) {
            Status::Good(until) => (until, None),
            Status::Passed(until, lack) => (until, Some(lack)),
            Status::Revoked(why) | Status::Unknown(why) => return Err((Step::Status, why)),
        };
        let leaf = path.certificates.first().map(|leaf| leaf.der()).unwrap_or_default();
        let names = Names::of(leaf).map_err(|e| (Step::Identity, e.to_string()))?;
        names.check(peer, &self.mapping).map_err(|why| (Step::Identity, why))?;
        let until = path
            .pairs()
            .fold(good_until, |until, (of, issuer)| until.min(of.not_after).min(issuer.not_after));
        Ok(Trusted { path, until, lack })
    }

    /// Of the certificates that the peer may have, the first that is good.
    fn looked_up(
        &self,
        peer: &PeerId,
        at: Timestamp,
        deadline: Instant,
        certificate: &mut Option<PeerCertificate>,
    ) -> Result<Trusted, Denial> {
        let found = self.trust.look_up(peer, deadline).map_err(|why| (Step::Question, why))?;
        let mut first = None;
        for chain in found.into_iter().take(MAX_FOUND) {
            match self.trusted(&chain, peer, at, deadline, certificate) {
                Ok(path) => return Ok(path),
                Err(denial) => first = first.or(Some(denial)),
            }
        }
        Err(first.unwrap_or_else(|| {
            let why = format!(
                "expected a certificate of the {} `{}`, found none: the daemon told none, and none is on record",
                peer.kind(),
                peer.to_string().escape_debug()
            );
            (Step::Question, why)
        }))
    }

    /// What depends on this question, and is not kept; the last step that was taken.
    fn judge(
        &self,
        question: &Question,
        known: &Known,
        asker: &Asker,
        at: Timestamp,
    ) -> Result<Step, Denial> {
        if known.by_certificate && self.address_ids == AddressIds::Source {
            let source = question.remote.address;
            known.peer.comes_from(source).map_err(|why| (Step::Identity, why))?;
        }
        if question.child.is_none() && known.policy.is_for_phase_2_only() {
            return Ok(Step::Identity);
        }
        self.ask(question, known, asker, at).map(|()| Step::Policy)
    }

    fn ask(
        &self,
        question: &Question,
        known: &Known,
        asker: &Asker,
        at: Timestamp,
    ) -> Result<(), Denial> {
        let moment = moment(at, &self.zone)
            .ok_or_else(|| (Step::Authorizer, format!("the clock is wrong: it says {at}")))?;
        let questions = asked::attributes(question, &known.peer, moment)
            .map_err(|why| (Step::Question, why))?;
        let policy = &known.policy;
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        if policy.allows(asker, &questions) {
            return Ok(());
        }
        let phase = if question.child.is_some() { "this traffic" } else { "phase 1" };
        let digest = policy.digest().get(..12).unwrap_or_default();
        Err((
            Step::Policy,
            format!(
                "the policy {digest} does not allow {phase} in the name of {}",
                asker.shown.join(" or ")
            ),
        ))
    }

    fn key(&self, proof: &Proof<'_>, id: &IkeId) -> Key {
        let mut digest = Sha256::new();
        digest.update(self.salt);
        let mut part = |octets: &[u8]| {
            digest.update((octets.len() as u64).to_le_bytes());
            digest.update(octets);
        };
        part(&[id.kind]);
        part(&id.data.0);
        proof.parts().for_each(part);
        digest.finalize().into()
    }

    /// Everything in a question that an answer may depend on.
    fn whole(&self, question: &Question, asking: &Asking<'_>) -> Key {
        let Question { ike, mode, role, local, remote, proposal, child, .. } = question;
        let of = (ike, mode, role, local.address, remote.address, proposal.group, child);
        let mut digest = Sha256::new();
        digest.update(self.salt);
        digest.update(asking.key);
        digest.update(serde_json::to_vec(&of).unwrap_or_default());
        digest.finalize().into()
    }

    /// 64 random bits, in hex.
    fn trace(&self) -> String {
        let mut octets = [0; 8];
        // Two decisions of one name are a nuisance, not a danger.
        let _ = self.random.fill(&mut octets);
        HEXLOWER.encode(&octets)
    }

    fn count(&self, answer: &Answer, was_kept: bool) {
        if was_kept {
            self.counts.kept.fetch_add(1, Ordering::Relaxed);
        }
        match answer.decision {
            Verdict::Allow => {
                self.counts.allowed.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Deny => {
                if let Some(count) = self.counts.denied.get(answer.step as usize) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Refusal {
    fn is_live(&self, generation: (u64, u64), at: Timestamp) -> bool {
        self.generation == generation && (self.from..self.until).contains(&at)
    }
}

/// What of a question its answer repeats.
fn repeated(question: &Question) -> String {
    question.id.chars().take(64).collect()
}

fn check(question: &Question) -> Result<(), String> {
    if question.v != VERSION {
        return Err(format!("expected version `v` {VERSION}, found {}", question.v));
    }
    Ok(())
}

fn in_time(deadline: Instant) -> Result<(), Denial> {
    if Instant::now() <= deadline {
        return Ok(());
    }
    Err((Step::Authorizer, "no decision within the time that the daemon waits".into()))
}

/// What there was to judge of a peer before the policy was asked.
#[derive(Clone, Copy)]
enum Judged {
    /// Its certificate, of whose status this is not known.
    Certificate(Option<Lack>),
    /// No certificate.
    Nothing,
}

/// Which steps agreed about a certificate, in words.
fn agreement(lack: Option<Lack>, with_policy: bool) -> String {
    let steps = match (lack, with_policy) {
        (None, true) => "path, status, identity and policy agree",
        (None, false) => "path, status and identity agree",
        (Some(_), true) => "path, identity and policy agree",
        (Some(_), false) => "path and identity agree",
    };
    let status = match lack {
        None => "",
        Some(Lack::NotKnown) => "; the status is not known, which `if-present` lets pass",
        Some(Lack::NotAsked) => "; the status is not asked (`status = \"off\"`)",
    };
    format!("{steps}{status}")
}

/// With the last step that was taken, if all agreed.
fn answer(
    question: &Question,
    result: Result<Step, Denial>,
    judged: Judged,
    trace: String,
) -> Answer {
    const LATER: &str = "the policy is asked in phase 2 only";
    const NOTHING: &str = "there is no certificate to judge";
    let (decision, step, reason) = match (result, judged) {
        (Err((step, reason)), _) => (Verdict::Deny, step, reason),
        (Ok(step @ Step::Policy), Judged::Nothing) => {
            (Verdict::Allow, step, format!("the policy agrees; {NOTHING}"))
        }
        (Ok(step), Judged::Nothing) => (Verdict::Allow, step, format!("{NOTHING}; {LATER}")),
        (Ok(step @ Step::Policy), Judged::Certificate(lack)) => {
            (Verdict::Allow, step, agreement(lack, true))
        }
        (Ok(step), Judged::Certificate(lack)) => {
            (Verdict::Allow, step, format!("{}; {LATER}", agreement(lack, false)))
        }
    };
    Answer { v: VERSION, id: repeated(question), decision, step, reason, trace }
}
