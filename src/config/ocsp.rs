//! The section `[ocsp]`: the OCSP responder.

use std::time::Duration;

use countersign_ldap_bridge::ocsp::OcspConfig as ResponderConfig;
use serde::{Deserialize, Serialize};

use super::values::{DurationText, duration, within};
use crate::exit::Failure;

/// The section `[ocsp]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OcspFile {
    /// The time from thisUpdate to nextUpdate of an answer.
    pub validity: DurationText,
    /// How long the responder's certificate is valid. The server renews it at half its life.
    pub responder_validity: DurationText,
    /// Whether serial numbers that were never issued are answered `revoked`.
    pub extended_revoked: bool,
    /// How long after a certificate's end answers still report its revocation (archive cut-off, RFC 6960 §4.4.4), such as `7y`; or `off`.
    pub archive_cutoff: String,
    /// The most signed answers that the responder caches; 0 for none.
    pub max_cached: usize,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
}

impl Default for OcspFile {
    fn default() -> Self {
        Self {
            validity: Duration::from_secs(3600).into(),
            responder_validity: Duration::from_secs(30 * 86_400).into(),
            extended_revoked: false,
            archive_cutoff: "off".into(),
            max_cached: 10_000,
            max_concurrent: 256,
        }
    }
}

/// The section `[ocsp]`, checked.
#[derive(Debug, Clone)]
pub struct OcspConfig {
    /// The content of answers, and the size of their cache.
    pub responder: ResponderConfig,
    /// How long the responder's certificate is valid.
    pub responder_validity: Duration,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
}

/// Checks every value.
///
/// # Errors
/// A value is out of bounds or not a duration, or `validity` is more than half of `responder_validity`.
pub fn check(file: &OcspFile) -> Result<OcspConfig, Failure> {
    let responder_validity =
        file.responder_validity.within("ocsp.responder_validity", 3600, 366 * 86_400)?;
    within("ocsp.max_cached", file.max_cached, 0, 10_000_000)?;
    within("ocsp.max_concurrent", file.max_concurrent, 1, 10_000)?;
    let validity = file.validity.within("ocsp.validity", 10, 31 * 86_400)?;
    // The server renews the responder's certificate at half its life, and no answer outlives that certificate.
    if validity > responder_validity / 2 {
        return Err(Failure::input(format!(
            "expected ocsp.validity to be at most half of ocsp.responder_validity, found `{}` and `{}`",
            file.validity, file.responder_validity
        )));
    }
    let archive_cutoff = match file.archive_cutoff.as_str() {
        "off" => None,
        text => Some(duration("ocsp.archive_cutoff", text, 86_400, 50 * 366 * 86_400)?),
    };
    let responder = ResponderConfig {
        validity,
        extended_revoked: file.extended_revoked,
        archive_cutoff,
        max_cached: file.max_cached,
    };
    Ok(OcspConfig { responder, responder_validity, max_concurrent: file.max_concurrent })
}
