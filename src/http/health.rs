//! What is wrong, and what will be before long, as `/readyz`, metrics and the log tell it. Threads that panic go on, and it is told
//! which.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_ca::authority::CaInfo;
use countersign_ca::{Authority, Store, Timestamp};

use crate::serve::Shared;

/// How long it is told that a thread panicked: it may have been the last time.
const TOLD: Duration = Duration::from_secs(3600);

/// A thread that panicked goes on after this.
const AGAIN: Duration = Duration::from_secs(1);

/// With less room on the disk, in octets, nothing may be recorded before long: some tens of thousands of certificates.
const LITTLE_ROOM: u64 = 256 << 20;

/// With less, it is as good as full.
const NO_ROOM: u64 = 16 << 20;

/// The threads of a server.
#[derive(Clone, Default)]
pub struct Threads(Arc<Mutex<BTreeMap<&'static str, (u64, Instant)>>>);

impl Threads {
    /// Has a thread work until `work` returns. If it panics, that is noted, and it works on.
    pub fn start(
        &self,
        name: &'static str,
        mut work: impl FnMut() + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        let threads = self.clone();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
                tracing::error!("a fault of ours ended the thread `{name}`, which goes on");
                threads.note(name);
                std::thread::sleep(AGAIN);
            }
        })
    }

    fn note(&self, name: &'static str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, last) = state.entry(name).or_insert((0, Instant::now()));
        (*count, *last) = (count.saturating_add(1), Instant::now());
    }

    /// How often each thread panicked since the start.
    pub fn panics(&self) -> Vec<(&'static str, u64)> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.iter().map(|(name, (count, _))| (*name, *count)).collect()
    }

    fn unready(&self) -> Vec<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = state.iter().filter(|(_, (_, last))| last.elapsed() < TOLD);
        let told = |(name, (count, _)): (&&'static str, &(u64, Instant))| {
            format!(
                "a fault of ours ended the thread `{name}` {count} times, and it went on: keep the log"
            )
        };
        recent.map(told).collect()
    }
}

/// What is wrong, and what will be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Why the server is not ready.
    pub reasons: Vec<String>,
    /// What an administrator must see to before it hurts.
    pub warnings: Vec<String>,
}

/// Looks at everything.
pub fn look(shared: &Shared) -> Findings {
    let (authority, now) = (&shared.authority, shared.authority.now());
    let mut found = Findings::default();
    found.reasons.extend(shared.journal_damage());
    found.reasons.extend(shared.threads.unready());
    found.reasons.extend(shared.bridge.unready());
    match free(shared.instance.place.folder.path()) {
        Some(left) if left < NO_ROOM => found.reasons.push(room(left)),
        Some(left) if left < LITTLE_ROOM => found.warnings.push(room(left)),
        _ => {}
    }
    let last = shared.instance.store.last_entry();
    found.reasons.extend(shared.instance.wrong_clock());
    if now < last.minus(Duration::from_secs(2)) {
        found.reasons.push(format!(
            "the clock went backwards: it is {now}, and the last entry is of {last}"
        ));
    }
    for ca in authority.cas() {
        look_at_ca(authority, ca, now, &mut found);
    }
    if let Some(authorizer) = &shared.authorizer {
        found.warnings.extend(authorizer.warnings(now));
    }
    found
}

fn room(left: u64) -> String {
    format!("the disk of the data folder has {} MiB left: make space", left >> 20)
}

/// The room on a disk for whoever is not root, in octets.
pub fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn look_at_ca(authority: &Authority, ca: &CaInfo, now: Timestamp, found: &mut Findings) {
    if ca.not_after <= now {
        if !authority.is_succeeded(&ca.name) {
            found.reasons.push(format!("the CA `{}` ended on {}", ca.name, ca.not_after));
        }
        return;
    }
    if let Some(cut) = cuts(authority, ca, now) {
        found.warnings.push(format!(
            "the CA `{}` ends on {}, and certificates of the profile `{cut}` are cut to that: see to `countersign ca roll {}`",
            ca.name, ca.not_after, ca.name
        ));
    }
    if !ca.can_sign {
        return;
    }
    if let Err(e) = authority.responder(&ca.name) {
        found.reasons.push(format!("OCSP: {e}"));
    }
    match stale_crls(authority, ca, now) {
        Ok(stale) => found.reasons.extend(stale),
        Err(e) => found.reasons.push(format!("the store: {e}")),
    }
}

/// The first profile whose certificates would outlive their CA, if no other key of it issues already.
pub fn cuts(authority: &Authority, ca: &CaInfo, now: Timestamp) -> Option<String> {
    if ca.is_root || authority.is_succeeded(&ca.name) {
        return None;
    }
    let cut =
        |profile: &&countersign_ca::profile::Profile| now.plus(profile.validity()) > ca.not_after;
    authority.profiles().iter().find(cut).map(|profile| profile.name().to_string())
}

/// The CRLs of a CA that are missing, or older than half their validity.
fn stale_crls(
    authority: &Authority,
    ca: &CaInfo,
    now: Timestamp,
) -> countersign_ca::Result<Vec<String>> {
    let ca = &ca.name;
    let mut reasons = Vec::new();
    for scope in authority.crl_scopes(ca)? {
        match authority.crl(ca, scope)? {
            Some(crl) if crl.record.is_past_half(now) => reasons.push(format!(
                "the CRL of `{ca}` ({scope}) is older than half its validity: nextUpdate is {}",
                crl.record.next_update
            )),
            Some(_) => {}
            None => reasons.push(format!("the CA `{ca}` has no CRL yet ({scope})")),
        }
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_thread_that_panics_goes_on_and_is_told() {
        let (threads, rounds) = (Threads::default(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&rounds);
        let work = move || {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                panic!("on purpose");
            }
        };
        threads.start("crl", work).unwrap().join().unwrap();
        assert_eq!(rounds.load(Ordering::SeqCst), 2, "it went on after the panic");
        assert_eq!(threads.panics(), [("crl", 1)]);
        assert!(threads.unready()[0].contains("`crl` 1 times"));
    }
}
