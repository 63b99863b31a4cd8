//! A cache of CRLs by location. Worker threads fetch them again before they expire, so that a decision does not wait for the network.
//!
//! Only a CRL that a known CA has signed and that is not older replaces a verified CRL. Until it comes the verified one stays, so that an
//! attacker on the network cannot hide a revocation.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::Timestamp;
use countersign_ca::clock::Clock;
use data_encoding::{BASE64, HEXLOWER};
use der::{Reader, SliceReader};
use sha2::{Digest, Sha256};

use super::refreshed::{Change, MIN_REFRESH, Refreshed, Slot, Slots, Source};
use countersign_ca::name::same_name;
use countersign_ca::path::Certificate;
use countersign_ca::path::crl::Crl;

/// The most locations that are cached.
const MAX_LOCATIONS: usize = 256;
/// The most signers that are known for one location.
const MAX_SIGNERS: usize = 8;
/// The most verified CRLs that are cached of one location.
const MAX_CRLS: usize = 3;
/// If the cache is full, a location that was not asked for during this time makes room for another one.
const IDLE: Duration = Duration::from_secs(60);

/// Fetches from a location, within bounds of size and time.
pub trait Fetch: Send + Sync {
    /// Returns the octets at a location: an http:, ldap: or ldaps: URL, or the path of a file.
    ///
    /// # Errors
    /// The octets cannot be fetched or read; the text gives the reason.
    fn fetch(&self, location: &str) -> Result<Vec<u8>, String>;
}

/// The settings of the cache of CRLs.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// The folder where verified CRLs are kept for a restart; `None` if they are not kept.
    pub folder: Option<PathBuf>,
    /// The longest time between two successful fetches from a location.
    pub refresh: Duration,
}

/// The cache of CRLs by location: a URL or the path of a file.
pub struct CrlCache {
    locations: Refreshed<CrlSource>,
}

/// Fetches CRLs, and keeps verified ones on the disk.
struct CrlSource {
    fetch: Box<dyn Fetch>,
    clock: Arc<dyn Clock>,
    settings: CacheSettings,
}

/// The cached CRLs of a location.
#[derive(Default)]
struct CachedCrls {
    /// CRLs that a known signer has signed, the newest first. A certificate that an expired CRL lists stays revoked until the same key has signed
    /// another CRL. CRLs from the folder count as verified, because only verified ones are written there.
    verified: Vec<Arc<Crl>>,
    /// The CRL that was fetched last, if no known signer has signed it.
    other: Option<Arc<Crl>>,
    /// The CAs that may sign CRLs of this location, as far as they are known.
    signers: Vec<Arc<Certificate>>,
}

/// The cached CRLs of some locations.
#[derive(Debug, Clone)]
pub struct FoundCrls {
    /// The CRLs, verified or not: the reader must verify the signatures.
    pub crls: Vec<Arc<Crl>>,
    /// For each location whose last fetch failed, that did not answer in time, or for which there is no room, the reason as text. There may
    /// be older CRLs of it.
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
        Ok(Self { locations: Refreshed::start(CrlSource { fetch, clock, settings })? })
    }

    /// The CRLs at these locations. If nothing was fetched from a location yet and none of its CRLs is cached, the call waits for the
    /// first fetch, until `deadline` at most. `signers` are the certificates of CAs that may have signed them; the first is the issuer of
    /// the certificate in question, if there is one.
    pub fn at(
        &self,
        locations: &[String],
        signers: &[Arc<Certificate>],
        deadline: Instant,
    ) -> FoundCrls {
        let source = self.locations.source();
        let mut slots = self.locations.lock();
        for location in locations {
            source.want(&mut slots, location, signers);
        }
        self.locations.notify();
        loop {
            let untried = |location: &String| {
                slots
                    .by_key
                    .get(location)
                    .is_some_and(|slot| !slot.is_tried() && slot.value.crls().next().is_none())
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !locations.iter().any(untried) || slots.is_stopping() {
                break;
            }
            slots = self.locations.wait(slots, left);
        }
        // A CRL that arrived during the wait has not been compared with the signers yet.
        for location in locations {
            source.verify(&mut slots, location, signers);
        }
        found(&slots, locations)
    }

    /// A number that rises whenever a CRL is fetched that was not there before.
    pub fn generation(&self) -> u64 {
        self.locations.generation()
    }

    /// The locations whose last fetch failed, and the CRLs that have expired or are in the last eighth of their validity, as sentences for
    /// the operator. `at` is the present time.
    pub fn troubles(&self, at: Timestamp) -> Vec<String> {
        let slots = self.locations.lock();
        let each = slots.by_key.iter();
        let mut troubles: Vec<String> =
            each.filter_map(|(location, slot)| trouble(location, slot, at)).collect();
        troubles.sort();
        troubles
    }

    /// Makes the worker threads fetch from all locations at once. It does not wait for them.
    pub fn fetch_now(&self) {
        self.locations.refresh_now();
    }
}

fn trouble(location: &str, slot: &Slot<CachedCrls>, at: Timestamp) -> Option<String> {
    let location = location.escape_debug();
    if let Some(error) = slot.error() {
        return Some(format!("the CRL at `{location}` was not fetched: {error}"));
    }
    let crl = slot.value.verified.first().or(slot.value.other.as_ref())?;
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

fn found(slots: &Slots<CrlSource>, locations: &[String]) -> FoundCrls {
    let mut found = FoundCrls { crls: Vec::new(), errors: Vec::new() };
    for location in locations {
        match slots.by_key.get(location) {
            None => found.errors.push(format!(
                "`{location}`: {MAX_LOCATIONS} locations are known; no more are taken"
            )),
            Some(slot) => {
                found.crls.extend(slot.value.crls().cloned());
                match slot.error() {
                    Some(error) => found.errors.push(format!("`{location}`: {error}")),
                    None if !slot.is_tried() => {
                        found.errors.push(format!("`{location}` did not answer in time"));
                    }
                    None => {}
                }
            }
        }
    }
    found
}

impl Source for CrlSource {
    type Key = String;
    type Value = CachedCrls;
    type Job = Vec<Arc<Certificate>>;
    type Fetched = Crl;

    const THREAD: &'static str = "crl";

    /// The signers whose signatures are to be verified in the background.
    fn job(&self, known: &CachedCrls) -> Vec<Arc<Certificate>> {
        known.signers.clone()
    }

    fn fetch(&self, location: &String, signers: &Vec<Arc<Certificate>>) -> Result<Crl, String> {
        let crl = self.fetch.fetch(location).and_then(|octets| read(&octets))?;
        // The signatures over megabytes are verified here, without the lock; the CRL remembers the results.
        for signer in signers {
            crl.is_signed_by(signer);
        }
        Ok(crl)
    }

    fn take(
        &self,
        location: &String,
        slot: &mut Slot<CachedCrls>,
        fetched: Result<Crl, String>,
    ) -> Change {
        let known = &slot.value;
        let taken = fetched.and_then(|crl| {
            let verified = known.signers.iter().any(|signer| crl.is_signed_by(signer));
            let Some(newest) = known.verified.first() else { return Ok((crl, verified)) };
            if crl.is_same(newest) {
                return Ok((crl, true));
            }
            // A CRL by an unknown signer, such as a new key of the CA, is accepted only when the verified one has expired.
            if !verified && newest.next_update.is_some_and(|next| self.clock.now() <= next) {
                return Err("what came is signed by nobody known; the CRL of before stays".into());
            }
            let is_older = |old: &Arc<Crl>| {
                crl.is_older_than(old) && (Arc::ptr_eq(old, newest) || known.one_signed(&crl, old))
            };
            if known.verified.iter().any(is_older) {
                return Err(format!(
                    "what came is older ({}) than the CRL of before, which stays",
                    crl.this_update
                ));
            }
            Ok((crl, verified))
        });
        match taken {
            Ok((crl, verified)) => {
                let is_new = !slot.value.crls().any(|old| old.is_same(&crl));
                match self.pause(&crl, location) {
                    None if !is_new => slot.unrenewed(self.settings.refresh),
                    pause => slot.succeeded(pause.unwrap_or(MIN_REFRESH)),
                }
                if !is_new {
                    return Change::Same;
                }
                let crl = Arc::new(crl);
                if verified {
                    slot.value.take_verified(crl);
                    self.keep(location, &slot.value);
                } else {
                    slot.value.other = Some(crl);
                }
                Change::New
            }
            Err(why) => {
                tracing::warn!(location, "no CRL was fetched: {why}");
                slot.failed(|wait| {
                    let wait = humantime::format_duration(wait);
                    format!("{why}; it is tried again after {wait}")
                });
                Change::Same
            }
        }
    }
}

impl CrlSource {
    fn want(&self, slots: &mut Slots<Self>, location: &str, signers: &[Arc<Certificate>]) {
        if !slots.by_key.contains_key(location) {
            if slots.by_key.len() >= MAX_LOCATIONS && !forget(slots) {
                return;
            }
            slots.by_key.insert(location.to_owned(), Slot::new(self.known(location)));
        }
        if let Some(slot) = slots.by_key.get_mut(location) {
            slot.asked = Instant::now();
        }
        self.verify(slots, location, signers);
    }

    /// Notes which of the signers may sign the CRLs of a location. Before there is a CRL, that is the first signer; afterwards, all that
    /// have the name of the CRL's issuer. The signer of an indirect CRL is among these.
    fn verify(&self, slots: &mut Slots<Self>, location: &str, signers: &[Arc<Certificate>]) {
        let Some(slot) = slots.by_key.get_mut(location) else { return };
        let known = &mut slot.value;
        let there: Vec<Arc<Crl>> = known.crls().cloned().collect();
        let may_sign = |signer: &Certificate| {
            there.iter().any(|crl| same_name(crl.issuer(), &signer.subject_name))
        };
        for (number, signer) in signers.iter().enumerate() {
            let fits = if there.is_empty() { number == 0 } else { may_sign(signer) };
            if !fits
                || known.signers.len() >= MAX_SIGNERS
                || known.signers.iter().any(|other| other.fingerprint() == signer.fingerprint())
            {
                continue;
            }
            known.signers.push(Arc::clone(signer));
            if let Some(crl) = known.other.take_if(|crl| crl.is_signed_by(signer)) {
                known.take_verified(crl);
                self.keep(location, known);
            }
        }
    }

    /// What is known of a new location: the CRLs that were written before a restart. They were verified then, so that an older CRL cannot replace
    /// them, even before their signer is known again.
    fn known(&self, location: &str) -> CachedCrls {
        let saved = self.settings.folder.as_ref().and_then(|folder| {
            std::fs::read(saved_file(folder, location)).ok().map(|octets| read_saved(&octets))
        });
        CachedCrls { verified: saved.unwrap_or_default(), ..CachedCrls::default() }
    }

    /// The pause until the next fetch: half of the time until nextUpdate or the operator's limit, whichever is shorter, but at least
    /// `MIN_REFRESH`. Up to a tenth is taken off, depending on the location, so that not all locations are fetched from at once. `None` for a CRL
    /// that has expired or has no nextUpdate: its successor is awaited.
    fn pause(&self, crl: &Crl, location: &str) -> Option<Duration> {
        let left = crl.next_update?.since(self.clock.now());
        if left.is_zero() {
            return None;
        }
        let spread = Sha256::digest(location).first().copied().unwrap_or_default();
        let wait = (left / 2).min(self.settings.refresh).max(MIN_REFRESH);
        Some(wait - wait.mul_f64(f64::from(spread) / 2560.0))
    }

    /// Writes the verified CRLs to the folder, one after the other in one file.
    fn keep(&self, location: &str, known: &CachedCrls) {
        let Some(folder) = &self.settings.folder else { return };
        let path = saved_file(folder, location);
        let all: der::Result<Vec<Vec<u8>>> =
            known.verified.iter().map(|crl| crl.to_der()).collect();
        let written = all
            .map_err(countersign_ca::Error::internal)
            .and_then(|all| countersign_ca::write_atomically(&path, &all.concat()));
        if let Err(error) = written {
            tracing::warn!(location, "the CRL is not kept for a restart: {error}");
        }
    }
}

impl CachedCrls {
    /// All CRLs, verified or not.
    fn crls(&self) -> impl Iterator<Item = &Arc<Crl>> {
        self.verified.iter().chain(&self.other)
    }

    /// Whether a known signer has signed both CRLs.
    fn one_signed(&self, crl: &Crl, other: &Crl) -> bool {
        self.signers.iter().any(|signer| crl.is_signed_by(signer) && other.is_signed_by(signer))
    }

    /// Adds a verified CRL, and drops those that it replaces.
    fn take_verified(&mut self, crl: Arc<Crl>) {
        let mut old = std::mem::take(&mut self.verified);
        old.retain(|old| !(crl.replaces(old) && self.one_signed(&crl, old)));
        old.insert(0, crl);
        old.truncate(MAX_CRLS);
        self.verified = old;
        self.other = None;
    }
}

/// Drops the location that was asked for least recently, if that was longer than `IDLE` ago. False if there is no such location.
fn forget(slots: &mut Slots<CrlSource>) -> bool {
    let is_idle = |slot: &Slot<CachedCrls>| !slot.is_busy() && slot.asked.elapsed() > IDLE;
    let idle = slots.by_key.iter().filter(|(_, slot)| is_idle(slot));
    let oldest = idle.min_by_key(|(_, slot)| slot.asked);
    let Some(location) = oldest.map(|(location, _)| location.clone()) else { return false };
    slots.by_key.remove(&location).is_some()
}

fn saved_file(folder: &Path, location: &str) -> PathBuf {
    folder.join(format!("{}.crl", HEXLOWER.encode(&Sha256::digest(location))))
}

/// Reads CRLs in DER, one after the other, up to the first that cannot be read.
fn read_saved(octets: &[u8]) -> Vec<Arc<Crl>> {
    let mut crls = Vec::new();
    let Ok(mut reader) = SliceReader::new(octets) else { return crls };
    while crls.len() < MAX_CRLS && !reader.is_finished() {
        let Some(crl) = reader.tlv_bytes().ok().and_then(|der| Crl::from_der(der).ok()) else {
            break;
        };
        crls.push(Arc::new(crl));
    }
    crls
}

/// Reads a CRL in DER or PEM.
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

#[cfg(test)]
mod tests {
    use countersign_ca::SystemClock;
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
        KeyIdMethod, KeyPair, SerialNumber,
    };

    use super::*;

    struct Nowhere;

    impl Fetch for Nowhere {
        fn fetch(&self, _: &str) -> Result<Vec<u8>, String> {
            Err("nothing is here".into())
        }
    }

    fn crl(number: u64, hours: i64) -> Crl {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let now = time::OffsetDateTime::now_utc();
        let params = CertificateRevocationListParams {
            this_update: now - time::Duration::hours(2),
            next_update: now + time::Duration::hours(hours),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let key = KeyPair::generate().unwrap();
        read(params.signed_by(&Issuer::from_params(&ca, &key)).unwrap().der()).unwrap()
    }

    /// The successor of an expired CRL may come at any time. A server that is late with it must not be asked every two seconds for hours.
    #[test]
    fn an_expired_crl_is_fetched_again_ever_later_but_within_a_minute() {
        let settings = CacheSettings { folder: None, refresh: Duration::from_secs(3600) };
        let source = CrlSource { fetch: Box::new(Nowhere), clock: Arc::new(SystemClock), settings };
        let mut slot = Slot::new(CachedCrls::default());
        let mut pause_after = |crl: &Crl| {
            let crl = read(&crl.to_der().unwrap());
            source.take(&"x".to_owned(), &mut slot, crl);
            slot.pause().as_secs_f64().ceil() as u64
        };
        let expired = crl(1, -1);
        let pauses: Vec<u64> = (0..9).map(|_| pause_after(&expired)).collect();
        assert_eq!(pauses, [2, 2, 4, 8, 16, 32, 60, 60, 60]);
        // Its successor has expired, too. The next one may be near.
        assert_eq!(pause_after(&crl(2, -1)), 2);
        // One that counts ends that.
        let pause = pause_after(&crl(3, 1));
        assert!((1600..=1800).contains(&pause), "{pause}");
    }
}
