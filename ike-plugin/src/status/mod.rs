//! Whether a certificate is revoked: by CRLs, which are fetched ahead of their end and kept.

pub mod cache;
pub mod crl;
pub mod fetch;
pub mod location;

use std::sync::Arc;
use std::time::Instant;

use countersign_ca::Timestamp;

use crate::path::{Anchors, Certificate, PathSettings, ValidPath, validate};
use crate::trust::Status;
use cache::{CrlCache, Found};
use crl::{Crl, CrlStatus, crl_status};
use location::Locations;

/// What must be known of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// That it is good.
    Strict,
    /// Nothing; but one that is known to be revoked is refused.
    IfPresent,
    /// Nothing, and nothing is asked.
    Off,
}

/// Asks CRLs about each certificate of a path.
pub struct CrlChecker {
    /// What must be known.
    pub mode: Mode,
    /// What may be fetched of what certificates name.
    pub locations: Locations,
    /// Locations and files besides.
    pub configured: Vec<String>,
    /// What was fetched.
    pub cache: CrlCache,
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
            return Status::Good(Timestamp::from_millis(i64::MAX));
        }
        let named = certificate.crl_urls();
        let (allowed, other): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|url| self.locations.allow(url));
        let Found { mut crls, mut errors } = self.cache.at(&allowed, Some(issuer), deadline);
        let configured = self.cache.at(&self.configured, Some(issuer), deadline);
        crls.extend(configured.crls);
        errors.extend(configured.errors);
        errors.extend(other.iter().map(|url| {
            format!(
                "`{}` is not fetched, for authorizer.locations does not allow it",
                url.escape_debug()
            )
        }));
        match self.status(path, certificate, issuer, &crls, at) {
            CrlStatus::Good(until) => Status::Good(until),
            CrlStatus::Revoked { reason, at } => Status::Revoked(format!(
                "the certificate `{}` was revoked at {at}: {reason:?}",
                certificate.shown()
            )),
            CrlStatus::Unknown(_) if self.mode == Mode::IfPresent => {
                // Not for long: a CRL may come.
                Status::Good(at.plus(std::time::Duration::from_secs(60)))
            }
            CrlStatus::Unknown(why) => Status::Unknown(format!(
                "whether the certificate `{}` is revoked is not known: {why}{}{}",
                certificate.shown(),
                if errors.is_empty() { "" } else { "; " },
                errors.join("; ")
            )),
        }
    }

    fn status(
        &self,
        path: &ValidPath,
        certificate: &Certificate,
        issuer: &Arc<Certificate>,
        crls: &[Arc<Crl>],
        at: Timestamp,
    ) -> CrlStatus {
        let others: Vec<Arc<Certificate>> = path
            .certificates
            .iter()
            .skip(1)
            .chain([&path.anchor])
            .chain(&self.others)
            .cloned()
            .collect();
        let settings = PathSettings::default();
        let leads = |signer: &Arc<Certificate>| {
            validate(&self.anchors, &settings, &[Arc::clone(signer)], &others, at)
        };
        // Two keys of a CA may sign CRLs for each other: whoever signed a CRL must not be revoked, by what is signed by a valid key.
        let is_trusted = |signer: &Arc<Certificate>| {
            leads(signer).is_ok_and(|path| {
                path.pairs().all(|(of, issuer)| {
                    let status = crl_status(of, issuer, &others, &|of| leads(of).is_ok(), crls, at);
                    matches!(status, CrlStatus::Good(_))
                })
            })
        };
        crl_status(certificate, issuer, &others, &is_trusted, crls, at)
    }
}
