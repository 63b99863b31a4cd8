//! Whether a certificate is revoked: by CRLs and OCSP, which are asked ahead of their end and kept.

use std::sync::Arc;
use std::time::Instant;

use countersign_ca::Timestamp;

use super::crl_cache::{CrlCache, Found};
use super::location::Locations;
use super::ocsp_cache::OcspCache;
use super::verdict::{Lack, Status};
use crate::path::crl::{Crl, CrlStatus, status_by_crls};
use crate::path::{Anchors, Certificate, ValidPath};

/// How long an OCSP answer counts before it is looked at again.
const RECHECK: std::time::Duration = std::time::Duration::from_secs(600);

/// What must be known of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// That it is good.
    Strict,
    /// Nothing; but one that is known to be revoked is refused, and one of which more CRLs would tell than are looked at.
    IfPresent,
    /// Nothing, and nothing is asked.
    Off,
}

/// What is asked first; the other one is asked if it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefer {
    /// CRLs.
    #[default]
    Crl,
    /// OCSP.
    Ocsp,
}

/// Nothing is known by CRLs, or by OCSP.
struct Silence {
    /// In words why; empty if nothing was asked.
    why: String,
    /// Whether [`Mode::IfPresent`] is content with that: not where what is at hand may say "revoked", and is too much to be looked at.
    passes: bool,
}

/// Asks CRLs and OCSP responders about each certificate of a path.
pub struct CrlChecker {
    /// What must be known.
    pub mode: Mode,
    /// What may be fetched of what certificates name.
    pub locations: Locations,
    /// Locations and files besides.
    pub configured: Vec<String>,
    /// What was fetched.
    pub cache: CrlCache,
    /// What is asked first.
    pub prefer: Prefer,
    /// OCSP responders besides those that certificates name.
    pub responders: Vec<String>,
    /// What responders said.
    pub ocsp: OcspCache,
    /// Certificates of which one may sign a CRL.
    pub others: Vec<Arc<Certificate>>,
    /// Who is trusted.
    pub anchors: Anchors,
}

impl CrlChecker {
    /// Whether this certificate of a path is revoked. It answers before `deadline`.
    pub fn check(
        &self,
        path: &ValidPath,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        at: Timestamp,
        deadline: Instant,
    ) -> Status {
        if self.mode == Mode::Off {
            return Status::Passed(Timestamp::from_millis(i64::MAX), Lack::NotAsked);
        }
        let (urls, refused) = self.responders_of(certificate);
        let by_crl = |deadline| self.by_crl(path, certificate, issuer, at, deadline);
        let by_ocsp = |deadline| self.by_ocsp(certificate, issuer, &urls, &refused, at, deadline);
        // Where both may know, the first must leave time for the second.
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        let has_both = !urls.is_empty() && self.has_crls(certificate);
        let first_by = if has_both { half } else { deadline };
        let first = match self.prefer {
            Prefer::Crl => by_crl(first_by),
            Prefer::Ocsp => by_ocsp(first_by),
        };
        let first = match first {
            Ok(status) => return status,
            Err(silence) => silence,
        };
        let second = match self.prefer {
            Prefer::Crl => by_ocsp(deadline),
            Prefer::Ocsp => by_crl(deadline),
        };
        let second = match second {
            Ok(status) => return status,
            Err(silence) => silence,
        };
        if self.mode == Mode::IfPresent && first.passes && second.passes {
            // Not for long: a CRL may come.
            return Status::Passed(at.plus(std::time::Duration::from_secs(60)), Lack::NotKnown);
        }
        let why: Vec<String> =
            [first.why, second.why].into_iter().filter(|why| !why.is_empty()).collect();
        Status::Unknown(format!(
            "whether the certificate `{}` is revoked is not known: {}",
            certificate.shown(),
            why.join("; ")
        ))
    }

    /// The responders that may be asked, and what to say of the others.
    fn responders_of(&self, certificate: &Certificate) -> (Vec<String>, Vec<String>) {
        let named = certificate.ocsp_urls().iter().cloned();
        let (mut allowed, other): (Vec<String>, Vec<String>) =
            named.partition(|url| self.locations.allow(url));
        allowed.extend(self.responders.iter().cloned());
        (allowed, other.iter().map(|url| not_allowed(url)).collect())
    }

    fn has_crls(&self, certificate: &Certificate) -> bool {
        !self.configured.is_empty()
            || certificate.crl_urls().iter().any(|url| self.locations.allow(url))
    }

    /// What CRLs say.
    fn by_crl(
        &self,
        path: &ValidPath,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        at: Timestamp,
        deadline: Instant,
    ) -> Result<Status, Silence> {
        let named = certificate.crl_urls();
        let (allowed, other): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|url| self.locations.allow(url));
        let signers: Vec<_> = std::iter::once(issuer).chain(self.others(path)).cloned().collect();
        let Found { mut crls, mut errors } = self.cache.at(&allowed, &signers, deadline);
        let configured = self.cache.at(&self.configured, &signers, deadline);
        crls.extend(configured.crls);
        errors.extend(configured.errors);
        errors.extend(other.iter().map(|url| not_allowed(url)));
        let (why, passes) = match self.status(path, certificate, issuer, &crls, at) {
            CrlStatus::Good(until) => return Ok(Status::Good(until)),
            CrlStatus::Revoked { reason, at } => {
                return Ok(Status::Revoked(format!(
                    "the certificate `{}` was revoked at {at}: {reason:?}",
                    certificate.shown()
                )));
            }
            CrlStatus::Unknown(why) => (why, true),
            CrlStatus::Unsettled(why) => (why, false),
        };
        errors.insert(0, why);
        Err(Silence { why: errors.join("; "), passes })
    }

    /// What responders say.
    fn by_ocsp(
        &self,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        urls: &[String],
        refused: &[String],
        at: Timestamp,
        deadline: Instant,
    ) -> Result<Status, Silence> {
        if urls.is_empty() {
            return Err(Silence { why: refused.join("; "), passes: true });
        }
        let answer = self.ocsp.status(certificate, issuer, urls, deadline);
        let answer = answer.map_err(|why| {
            let all = std::iter::once(format!("OCSP: {why}")).chain(refused.iter().cloned());
            Silence { why: all.collect::<Vec<_>>().join("; "), passes: true }
        })?;
        Ok(match &answer.revoked {
            // Asked again before long: only so does the cache know that the answer is still wanted.
            None => Status::Good(answer.until.min(at.plus(RECHECK))),
            Some((at, reason)) => Status::Revoked(format!(
                "the certificate `{}` was revoked at {at}: {reason:?} (OCSP)",
                certificate.shown()
            )),
        })
    }

    fn status(
        &self,
        path: &ValidPath,
        certificate: &Certificate,
        issuer: &Arc<Certificate>,
        crls: &[Arc<Crl>],
        at: Timestamp,
    ) -> CrlStatus {
        let others: Vec<_> = self.others(path).cloned().collect();
        // RFC 5280 §6.3.3 (f): who signs a CRL leads to the same anchor.
        let anchor = Anchors::only(&path.anchor);
        status_by_crls(&anchor, &others, certificate, issuer, crls, at)
    }

    /// The CAs that are known beside a certificate.
    fn others<'a>(&'a self, path: &'a ValidPath) -> impl Iterator<Item = &'a Arc<Certificate>> {
        path.certificates.iter().skip(1).chain([&path.anchor]).chain(&self.others)
    }
}

fn not_allowed(url: &str) -> String {
    format!("`{}` is not asked, for authorizer.locations does not allow it", url.escape_debug())
}
