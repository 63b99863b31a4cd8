//! The OCSP service: answers requests, from the cache or by signing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign_ca::authority::{CaInfo, CertificateStatus, Responder};
use countersign_ca::clock::BACKDATING;
use countersign_ca::record::{Label, Serial};
use countersign_ca::{Authority, Error, Timestamp};

use super::answer::{Answer, Freshness, Kind};
use super::cache::{Cache, CachedAnswer};
use super::issued::IssuedCertificates;
use super::issuers::Issuers;
use super::request::{CertId, Malformed, Request};
use super::response::{self, Content, Single};

/// The time that the clock may be behind the last journal entry when an answer is signed, because other threads record entries meanwhile.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// The settings of the OCSP service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspConfig {
    /// The time from the signature to nextUpdate. It is shorter if the responder's certificate expires before.
    pub validity: Duration,
    /// Whether serial numbers that were never issued are answered `revoked` and not `unknown` (RFC 6960 §2.2, §4.4.8).
    pub extended_revoked: bool,
    /// The time after a certificate's expiry for which its revocation is reported, if answers are to contain an archive cutoff (RFC 6960
    /// §4.4.4). In fact it is reported without end.
    pub archive_cutoff: Option<Duration>,
    /// The most answers in the cache. Each takes about a kilobyte, with RSA two or three.
    pub max_cached: usize,
}

/// Answers requests about the certificates of the instance's CAs.
pub struct OcspService {
    authority: Arc<Authority>,
    config: OcspConfig,
    issuers: Issuers,
    cache: Cache,
    issued: IssuedCertificates,
}

impl std::fmt::Debug for OcspService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OcspService").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The reason why a request gets an unsigned error.
#[derive(Debug)]
enum Refusal {
    /// The request is malformed.
    Malformed(String),
    /// The request names a CA whose private key this instance does not have, or several CAs.
    Unauthorized(String),
    /// The authority failed.
    Failed(Error),
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.to_string())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl OcspService {
    /// A service for every CA whose private key this instance has.
    ///
    /// # Errors
    /// [`Error::Internal`] if the certificate of a CA cannot be read.
    pub fn new(authority: Arc<Authority>, config: OcspConfig) -> Result<Self, Error> {
        let issuers = Issuers::of(authority.cas())?;
        let (cache, issued) =
            (Cache::new(config.max_cached), IssuedCertificates::new(config.max_cached));
        Ok(Self { authority, config, issuers, cache, issued })
    }

    /// Answers an OCSPRequest in DER. Every request gets an answer; errors are answers without a signature.
    pub fn answer(&self, request: &[u8]) -> Answer {
        self.try_answer(request).unwrap_or_else(|refusal| refused(&refusal))
    }

    /// The answer to a request if it can be given without waiting for anything, so that an event loop may ask for it: a cached answer whose
    /// status is still the present one, or an answer about one certificate that is known to be issued, signed by a fast key. For every other
    /// request, the caller must use [`Self::answer`] on a thread that may block.
    pub fn ready(&self, request: &[u8]) -> Option<Answer> {
        let request = Request::decode(request).ok()?;
        if let Some(answer) = self.find(&request).ok()? {
            return Some(answer);
        }
        let [cert_id] = request.certificates.as_slice() else { return None };
        let issued = self.issued.find(cert_id.der)?;
        let responder = self.authority.ready_responder(&issued.ca)?;
        if !responder.signs_fast() {
            return None;
        }
        let is = self.authority.issued_status(&issued.ca, &issued.serial).ok()?;
        let status = Status { serial: Some(issued.serial), is };
        // A failure is met again by `answer`, which logs it.
        self.signed(&issued.ca, &responder, &[(cert_id.der, status)], request.nonce).ok()
    }

    /// The present time, by the authority's clock.
    pub fn now(&self) -> Timestamp {
        self.authority.now()
    }

    /// Renews cached answers that are in use when a quarter of their validity is over, and replaces responders' certificates that will
    /// expire or are revoked. The caller calls it every few seconds.
    pub fn refresh(&self) {
        self.open_responders(|_| true);
        for (cert_id, kept) in self.cache.due(self.authority.now()) {
            let renewed = self.status(&kept.ca, &kept.serial).and_then(|status| {
                let responder = self.authority.responder(&kept.ca)?;
                self.signed(&kept.ca, &responder, &[(&cert_id, status)], None).map(|_| ())
            });
            match renewed {
                Ok(()) => {}
                // The cause, such as a wrong clock, affects all answers. The next call tries again.
                Err(Error::Unavailable(why)) => {
                    return tracing::warn!("OCSP answers are not signed ahead now: {why}");
                }
                Err(e) => {
                    tracing::error!(ca = %kept.ca, serial = %kept.serial, "an OCSP answer was not signed ahead: {e}");
                }
            }
        }
    }

    /// Makes an OCSP responder (a key and its certificate) for every CA that has none yet. The caller calls it before the first request, so
    /// that no request waits for it.
    pub fn prepare(&self) {
        self.open_responders(|ca| !self.authority.has_responder(&ca.name));
    }

    fn open_responders(&self, which: impl Fn(&CaInfo) -> bool) {
        let now = self.authority.now();
        let signing = |ca: &&CaInfo| ca.can_sign && ca.not_after > now;
        for ca in self.authority.cas().filter(signing).filter(|ca| which(ca)) {
            match self.authority.replace_revoked_responder(&ca.name) {
                Ok(true) => self.cache.forget(&ca.name),
                Ok(false) => {}
                Err(e) => tracing::error!(ca = %ca.name, "no OCSP answers: {e}"),
            }
        }
    }

    fn try_answer(&self, request: &[u8]) -> Result<Answer, Refusal> {
        // 1. Decode the request, and look for a cached answer.
        let request = Request::decode(request)?;
        if let Some(answer) = self.find(&request)? {
            return Ok(answer);
        }
        // 2. Find the one CA that all certificates belong to.
        let ca = self.issuer(&request.certificates)?;
        // 3. Look the present status of each certificate up.
        let mut statuses = Vec::with_capacity(request.certificates.len());
        for cert_id in &request.certificates {
            let status = match Serial::from_integer(cert_id.serial) {
                Some(serial) => self.status(ca, &serial)?,
                None => Status { serial: None, is: CertificateStatus::NeverIssued },
            };
            // Only `Good` proves that the certificate was issued: after a restore, a number may be revoked whose certificate was lost.
            if let Status { serial: Some(serial), is: CertificateStatus::Good } = status {
                self.issued.remember(cert_id.der, ca, serial);
            }
            statuses.push((cert_id.der, status));
        }
        // 4. Sign an answer.
        let responder = self.authority.responder(ca)?;
        Ok(self.signed(ca, &responder, &statuses, request.nonce)?)
    }

    fn find(&self, request: &Request<'_>) -> Result<Option<Answer>, Error> {
        let ([cert_id], None) = (request.certificates.as_slice(), request.nonce) else {
            return Ok(None);
        };
        let Some(kept) = self.cache.find(cert_id.der, self.authority.now()) else {
            return Ok(None);
        };
        // Only answers about issued certificates are cached.
        let status = self.authority.issued_status(&kept.ca, &kept.serial)?;
        Ok((status == kept.status).then(|| Answer {
            der: kept.der.clone(),
            cacheable: Some(kept.freshness),
            kind: kind(&status),
            cached: true,
        }))
    }

    /// The CA that all these CertIDs name.
    fn issuer(&self, certificates: &[CertId<'_>]) -> Result<&Label, Refusal> {
        let mut found: Option<&Label> = None;
        for cert_id in certificates {
            let issuer = self.issuers.find(cert_id)?.ok_or_else(|| {
                Refusal::Unauthorized("the issuer is no CA whose key is here".into())
            })?;
            if found.is_some_and(|found| found != issuer) {
                return Err(Refusal::Unauthorized(
                    "certificates of several CAs are in one request; one answer has one signer: ask about each CA's \
                     certificates alone"
                        .into(),
                ));
            }
            found = Some(issuer);
        }
        found.ok_or_else(|| Refusal::Malformed("no certificate is asked about".into()))
    }

    /// The status of a serial number of this CA, also of one that was never issued.
    fn status(&self, ca: &Label, serial: &Serial) -> Result<Status, Error> {
        let is = self.authority.certificate_status(ca, serial)?;
        Ok(Status { serial: Some(*serial), is })
    }

    /// Signs an answer. Caches it if it can answer other requests, too: if it is about one issued certificate and has no nonce.
    fn signed(
        &self,
        ca: &Label,
        responder: &Responder,
        statuses: &[(&[u8], Status)],
        nonce: Option<&[u8]>,
    ) -> Result<Answer, Error> {
        // The time is taken after the status was looked up, so that producedAt is never before a revocation in the answer.
        let now = self.authority.now();
        let last_entry = self.authority.store().last_entry();
        if now.plus(CLOCK_TOLERANCE) < last_entry {
            return Err(Error::unavailable(format!(
                "the clock went backwards: it is {now}, and the last entry is of {last_entry}"
            )));
        }
        let signed = now.whole_seconds();
        let this_update = signed.minus(BACKDATING);
        let next_update = now.plus(self.config.validity).min(responder.not_after()).whole_seconds();
        let content = Content {
            produced_at: signed,
            this_update,
            next_update,
            archive_cutoff: self.config.archive_cutoff.map(|kept| signed.minus(kept)),
            extended_revoked: self.config.extended_revoked,
            nonce,
            singles: statuses
                .iter()
                .map(|(cert_id, status)| Single { cert_id, status: &status.is })
                .collect(),
        };
        let der = Bytes::from(content.signed(responder)?);
        let kind = match statuses {
            [(_, status)] => kind(&status.is),
            _ => Kind::Several,
        };
        let mut cacheable = None;
        // Only answers about issued certificates are cached, because clients could fill the cache with invented serial numbers.
        if let ([(cert_id, Status { serial: Some(serial), is })], None) = (statuses, nonce)
            && *is != CertificateStatus::NeverIssued
        {
            let freshness = Freshness { this_update, signed, next_update, sha256: sha256(&der) };
            cacheable = Some(freshness);
            let kept = CachedAnswer::new(ca.clone(), *serial, is.clone(), der.clone(), freshness);
            self.cache.keep(cert_id, kept);
        }
        Ok(Answer { der, cacheable, kind, cached: false })
    }
}

/// A serial number, and its status.
struct Status {
    /// `None` for an integer that our CAs never use as a serial number.
    serial: Option<Serial>,
    is: CertificateStatus,
}

const fn kind(status: &CertificateStatus) -> Kind {
    match status {
        CertificateStatus::Good => Kind::Good,
        CertificateStatus::Revoked(_) => Kind::Revoked,
        CertificateStatus::NeverIssued => Kind::Unknown,
    }
}

/// Maps a refusal to OCSPResponseStatus. The reason goes only to the log.
fn refused(refusal: &Refusal) -> Answer {
    let kind = match refusal {
        Refusal::Malformed(why) => {
            tracing::debug!("malformed OCSP request: {why}");
            Kind::Malformed
        }
        Refusal::Unauthorized(why) => {
            tracing::info!(target: countersign_ca::REFUSED, "an OCSP request is not answered: {why}");
            Kind::Unauthorized
        }
        Refusal::Failed(Error::Unavailable(why)) => {
            tracing::warn!(target: countersign_ca::REFUSED, "an OCSP request is not answered now: {why}");
            Kind::TryLater
        }
        Refusal::Failed(why) => {
            tracing::error!("an OCSP request is not answered: {why}");
            Kind::Internal
        }
    };
    Answer { der: response::error(kind), cacheable: None, kind, cached: false }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    hash
}
