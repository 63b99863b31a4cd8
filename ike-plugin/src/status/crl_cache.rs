//! CRLs by location, fetched ahead of their end, so that a decision does not wait for the network.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::clock::Clock;
use data_encoding::{BASE64, HEXLOWER};
use der::{Reader, SliceReader};
use sha2::{Digest, Sha256};

use super::checker::{BROKEN, unbroken};
use crate::path::crl::Crl;
use crate::path::{Certificate, same_name};

/// The most locations that are kept.
const MAX_LOCATIONS: usize = 256;
/// The most issuers that are known for one location.
const MAX_SIGNERS: usize = 8;
/// Locations that are fetched at once: a silent server holds up one of them.
const WORKERS: usize = 4;
/// A location that failed is tried again after this, then after twice as long, and so on.
const RETRY: Duration = Duration::from_secs(10);
/// The longest time between two attempts at a location that fails.
const MAX_RETRY: Duration = Duration::from_secs(600);
/// The most verified CRLs that are kept of one location.
const MAX_KEPT: usize = 3;
/// The shortest time between two fetches of a location that is good.
const MIN_REFRESH: Duration = Duration::from_secs(2);

/// Gets what is at a location, within bounds of size and time.
pub trait Fetch: Send + Sync {
    /// The octets at a location.
    ///
    /// # Errors
    /// In words, why there are none.
    fn fetch(&self, location: &str) -> Result<Vec<u8>, String>;
}

/// How CRLs are kept.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// The folder in which they outlast a restart.
    pub folder: Option<PathBuf>,
    /// The longest time between two fetches.
    pub refresh: Duration,
}

/// CRLs by location.
pub struct CrlCache {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    generation: AtomicU64,
    fetch: Box<dyn Fetch>,
    clock: Arc<dyn Clock>,
    settings: CacheSettings,
}

#[derive(Default)]
struct State {
    slots: HashMap<String, Slot>,
    stop: bool,
}

/// What is known of a location.
struct Slot {
    /// CRLs that somebody known signed, the newest first: what one of them lists is revoked also when it has ended, until its key signs
    /// another one. What is in the folder was verified before.
    verified: Vec<Arc<Crl>>,
    /// What came last, if nobody known signed it.
    other: Option<Arc<Crl>>,
    signers: Vec<Arc<Certificate>>,
    error: Option<String>,
    failures: u32,
    due: Instant,
    tried: bool,
    busy: bool,
    asked: Instant,
}

/// What a location holds.
#[derive(Debug, Clone)]
pub struct Found {
    /// The CRLs.
    pub crls: Vec<Arc<Crl>>,
    /// In words, what was wrong with the other locations.
    pub errors: Vec<String>,
}

impl CrlCache {
    /// A cache that fetches by `fetch`.
    ///
    /// # Errors
    /// Its folder or a thread cannot be made.
    pub fn start(
        settings: CacheSettings,
        fetch: Box<dyn Fetch>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        if let Some(folder) = &settings.folder {
            std::fs::create_dir_all(folder)?;
        }
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            fetch,
            clock,
            settings,
        });
        for _ in 0..WORKERS {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("crl".into())
                .spawn(move || while unbroken(|| shared.work()).is_none() {})?;
        }
        Ok(Self { shared })
    }

    /// The CRLs at these locations. It waits for a location of which nothing is known yet, until `deadline`. `signers` are those that may
    /// have signed them; the first issued the certificate in question, if one is.
    pub fn at(
        &self,
        locations: &[String],
        signers: &[Arc<Certificate>],
        deadline: Instant,
    ) -> Found {
        let mut state = self.shared.lock();
        for location in locations {
            self.shared.want(&mut state, location, signers);
        }
        self.shared.changed.notify_all();
        loop {
            let untried = |location: &String| {
                state
                    .slots
                    .get(location)
                    .is_some_and(|slot| !slot.tried && slot.crls().next().is_none())
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !locations.iter().any(untried) || state.stop {
                break;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        // Who signed what came only now is seen only now.
        for location in locations {
            self.shared.verify(&mut state, location, signers);
        }
        found(&state, locations)
    }

    /// A number that rises when a CRL came that was not there.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// The locations that could not be read, and CRLs that ended or are about to, as nobody renews them.
    pub fn troubles(&self, at: Timestamp) -> Vec<String> {
        let state = self.shared.lock();
        let mut troubles: Vec<String> =
            state.slots.iter().filter_map(|(location, slot)| trouble(location, slot, at)).collect();
        troubles.sort();
        troubles
    }

    /// Has all locations fetched anew.
    pub fn fetch_now(&self) {
        let now = Instant::now();
        self.shared.lock().slots.values_mut().for_each(|slot| slot.due = now);
        self.shared.changed.notify_all();
    }
}

impl Drop for CrlCache {
    /// Whoever waits for a silent server ends by itself, when the server's time is over.
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

fn trouble(location: &str, slot: &Slot, at: Timestamp) -> Option<String> {
    let location = location.escape_debug();
    if let Some(error) = &slot.error {
        return Some(format!("the CRL at `{location}` was not fetched: {error}"));
    }
    let crl = slot.verified.first().or(slot.other.as_ref())?;
    let end = crl.next_update?;
    let life = end.since(crl.this_update);
    match at {
        _ if end <= at => Some(format!("the CRL at `{location}` ended on {end}")),
        _ if end.since(at) < life / 8 => {
            Some(format!("the CRL at `{location}` ends on {end}, and there is no newer one"))
        }
        _ => None,
    }
}

fn found(state: &State, locations: &[String]) -> Found {
    let mut found = Found { crls: Vec::new(), errors: Vec::new() };
    for location in locations {
        match state.slots.get(location) {
            None => found.errors.push(format!(
                "`{location}`: {MAX_LOCATIONS} locations are known; no more are taken"
            )),
            Some(slot) => {
                found.crls.extend(slot.crls().cloned());
                match &slot.error {
                    Some(error) => found.errors.push(format!("`{location}`: {error}")),
                    None if !slot.tried => {
                        found.errors.push(format!("`{location}` did not answer in time"));
                    }
                    None => {}
                }
            }
        }
    }
    found
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn want(&self, state: &mut State, location: &str, signers: &[Arc<Certificate>]) {
        if !state.slots.contains_key(location) {
            if state.slots.len() >= MAX_LOCATIONS && !forget(state) {
                return;
            }
            state.slots.insert(location.to_owned(), self.slot(location));
        }
        if let Some(slot) = state.slots.get_mut(location) {
            slot.asked = Instant::now();
        }
        self.verify(state, location, signers);
    }

    /// Takes note of who may sign what is at a location: before a CRL is there the first of them, then all that have its issuer's name. The
    /// signer of an indirect CRL is among the latter.
    fn verify(&self, state: &mut State, location: &str, signers: &[Arc<Certificate>]) {
        let Some(slot) = state.slots.get_mut(location) else { return };
        let there: Vec<Arc<Crl>> = slot.crls().cloned().collect();
        let may_sign = |signer: &Certificate| {
            there.iter().any(|crl| same_name(crl.issuer(), &signer.subject_name))
        };
        for (number, signer) in signers.iter().enumerate() {
            let fits = if there.is_empty() { number == 0 } else { may_sign(signer) };
            if !fits
                || slot.signers.len() >= MAX_SIGNERS
                || slot.signers.iter().any(|known| known.fingerprint() == signer.fingerprint())
            {
                continue;
            }
            slot.signers.push(Arc::clone(signer));
            if let Some(crl) = slot.other.take_if(|crl| crl.is_signed_by(signer)) {
                slot.take_verified(crl);
                self.keep(location, slot);
            }
        }
    }

    /// With the CRL of before the restart.
    fn slot(&self, location: &str) -> Slot {
        let kept = self.settings.folder.as_ref().and_then(|folder| {
            std::fs::read(kept_file(folder, location)).ok().map(|octets| read_kept(&octets))
        });
        let now = Instant::now();
        Slot {
            // Only what was verified is kept: what is older must not take its place, even before its signer is known again.
            verified: kept.unwrap_or_default(),
            other: None,
            signers: Vec::new(),
            error: None,
            failures: 0,
            due: now,
            tried: false,
            busy: false,
            asked: now,
        }
    }

    fn work(&self) {
        let mut state = self.lock();
        while !state.stop {
            let now = Instant::now();
            let next = state
                .slots
                .iter_mut()
                .filter(|(_, slot)| !slot.busy)
                .min_by_key(|(_, slot)| slot.due);
            match next {
                Some((location, slot)) if slot.due <= now => {
                    slot.busy = true;
                    let (location, signers) = (location.clone(), slot.signers.clone());
                    drop(state);
                    let work = || {
                        let crl = self.fetch.fetch(&location).and_then(|octets| read(&octets))?;
                        // The signatures over megabytes are verified here, where nobody waits; what comes out is remembered.
                        for signer in &signers {
                            crl.is_signed_by(signer);
                        }
                        Ok(crl)
                    };
                    let fetched = unbroken(work).unwrap_or_else(|| Err(BROKEN.into()));
                    state = self.lock();
                    self.take(&mut state, &location, fetched);
                    self.changed.notify_all();
                }
                next => {
                    let wait = next.map_or(Duration::from_secs(3600), |(_, slot)| {
                        slot.due.saturating_duration_since(now)
                    });
                    state = self
                        .changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    fn take(&self, state: &mut State, location: &str, fetched: Result<Crl, String>) {
        let Some(slot) = state.slots.get_mut(location) else { return };
        slot.busy = false;
        slot.tried = true;
        let taken = fetched.and_then(|crl| {
            let verified = slot.signers.iter().any(|signer| crl.is_signed_by(signer));
            let Some(newest) = slot.verified.first() else { return Ok((crl, verified)) };
            if crl.is_same(newest) {
                return Ok((crl, true));
            }
            // Whoever takes the CA's place is known only when the old one has had its say.
            if !verified && newest.next_update.is_some_and(|next| self.clock.now() <= next) {
                return Err("what came is signed by nobody known; the CRL of before stays".into());
            }
            let is_older = |old: &Arc<Crl>| {
                crl.is_older_than(old) && (Arc::ptr_eq(old, newest) || slot.one_signed(&crl, old))
            };
            if slot.verified.iter().any(is_older) {
                return Err(format!(
                    "what came is older ({}) than the CRL of before, which stays",
                    crl.this_update
                ));
            }
            Ok((crl, verified))
        });
        match taken {
            Ok((crl, verified)) => {
                let is_new = !slot.crls().any(|old| old.is_same(&crl));
                slot.due = Instant::now() + self.refresh(&crl, location);
                (slot.error, slot.failures) = (None, 0);
                if is_new {
                    let crl = Arc::new(crl);
                    self.generation.fetch_add(1, Ordering::AcqRel);
                    if verified {
                        slot.take_verified(crl);
                        self.keep(location, slot);
                    } else {
                        slot.other = Some(crl);
                    }
                }
            }
            Err(why) => {
                let wait = RETRY.saturating_mul(1 << slot.failures.min(6)).min(MAX_RETRY);
                slot.failures = slot.failures.saturating_add(1);
                slot.due = Instant::now() + wait;
                tracing::warn!(location, "no CRL was fetched: {why}");
                slot.error = Some(format!(
                    "{why}; it is tried again after {}",
                    humantime::format_duration(wait)
                ));
            }
        }
    }

    /// Halfway to its end, or sooner; not all locations at one time.
    fn refresh(&self, crl: &Crl, location: &str) -> Duration {
        let now = self.clock.now();
        let left = crl.next_update.map_or(Duration::ZERO, |next| next.since(now)) / 2;
        let spread = Sha256::digest(location).first().copied().unwrap_or_default();
        let wait = left.min(self.settings.refresh).max(MIN_REFRESH);
        wait - wait.mul_f64(f64::from(spread) / 2560.0)
    }

    /// Writes what was verified, one CRL after the other.
    fn keep(&self, location: &str, slot: &Slot) {
        let Some(folder) = &self.settings.folder else { return };
        let path = kept_file(folder, location);
        let all: der::Result<Vec<Vec<u8>>> = slot.verified.iter().map(|crl| crl.to_der()).collect();
        let written = all
            .map_err(countersign_ca::Error::internal)
            .and_then(|all| countersign_ca::foundation::write_atomically(&path, &all.concat()));
        if let Err(error) = written {
            tracing::warn!(location, "the CRL is not kept for a restart: {error}");
        }
    }
}

impl Slot {
    /// What is known, verified or not.
    fn crls(&self) -> impl Iterator<Item = &Arc<Crl>> {
        self.verified.iter().chain(&self.other)
    }

    /// Whether one key signed both.
    fn one_signed(&self, crl: &Crl, other: &Crl) -> bool {
        self.signers.iter().any(|signer| crl.is_signed_by(signer) && other.is_signed_by(signer))
    }

    /// Takes a CRL, and forgets those that it takes the place of.
    fn take_verified(&mut self, crl: Arc<Crl>) {
        let mut old = std::mem::take(&mut self.verified);
        old.retain(|old| !(crl.replaces(old) && self.one_signed(&crl, old)));
        old.insert(0, crl);
        old.truncate(MAX_KEPT);
        self.verified = old;
        self.other = None;
    }
}

/// Forgets the location that nobody asked for the longest; whether there was one.
fn forget(state: &mut State) -> bool {
    let idle = |slot: &Slot| !slot.busy && slot.asked.elapsed() > Duration::from_secs(60);
    let oldest =
        state.slots.iter().filter(|(_, slot)| idle(slot)).min_by_key(|(_, slot)| slot.asked);
    let Some(location) = oldest.map(|(location, _)| location.clone()) else { return false };
    state.slots.remove(&location).is_some()
}

fn kept_file(folder: &Path, location: &str) -> PathBuf {
    folder.join(format!("{}.crl", HEXLOWER.encode(&Sha256::digest(location))))
}

/// CRLs in DER, one after the other; what cannot be read ends them.
fn read_kept(octets: &[u8]) -> Vec<Arc<Crl>> {
    let mut crls = Vec::new();
    let Ok(mut reader) = SliceReader::new(octets) else { return crls };
    while crls.len() < MAX_KEPT && !reader.is_finished() {
        let Some(crl) = reader.tlv_bytes().ok().and_then(|der| Crl::from_der(der).ok()) else {
            break;
        };
        crls.push(Arc::new(crl));
    }
    crls
}

/// A CRL in DER or PEM.
fn read(octets: &[u8]) -> Result<Crl, String> {
    let from_pem = std::str::from_utf8(octets).ok().and_then(pem);
    Crl::from_der(from_pem.as_deref().unwrap_or(octets)).map_err(|e| e.to_string())
}

fn pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN X509 CRL-----")?;
    let (body, _) = rest.split_once("-----END X509 CRL-----")?;
    let base64: String = body.split_whitespace().collect();
    BASE64.decode(base64.as_bytes()).ok()
}
