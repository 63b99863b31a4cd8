//! The section `[scep]`: the SCEP service.

use countersign_enroll::scep::{Answer, Legacy, ScepConfig as ServiceConfig};
use serde::{Deserialize, Serialize};

use super::cmp::CmpConfig;
use super::values::within;
use crate::exit::Failure;

/// The section `[scep]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScepFile {
    /// Whether SCEP is served.
    pub enabled: bool,
    /// Whether SHA-1 and triple DES are accepted, which RFC 8894 still permits.
    pub legacy_algorithms: bool,
    /// Whether answers have the certificates of the CA and above it, too.
    pub send_chain: bool,
    /// The largest message, in octets.
    pub max_bytes: usize,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
    /// How many threads verify and decrypt messages; 0 for half as many as there are processors, rounded up.
    pub rsa_workers: usize,
}

impl Default for ScepFile {
    fn default() -> Self {
        let service = ServiceConfig::default();
        Self {
            enabled: false,
            legacy_algorithms: service.legacy == Legacy::Accepted,
            send_chain: service.answer == Answer::Chain,
            max_bytes: service.bounds.bytes,
            max_concurrent: 64,
            rsa_workers: 0,
        }
    }
}

/// The section `[scep]`, checked.
#[derive(Debug, Clone)]
pub struct ScepConfig {
    /// The settings of the service; `None` if SCEP is not served.
    pub service: Option<ServiceConfig>,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
}

/// Checks every value. `[cmp]` says how long a request may wait for an administrator, and how many messages of one account are worked on
/// at once.
///
/// # Errors
/// A value is out of bounds.
pub fn check(file: &ScepFile, cmp: &CmpConfig) -> Result<ScepConfig, Failure> {
    within("scep.max_bytes", file.max_bytes, 8192, 1 << 20)?;
    within("scep.max_concurrent", file.max_concurrent, 1, 10_000)?;
    within("scep.rsa_workers", file.rsa_workers, 0, 1024)?;
    let defaults = ServiceConfig::default();
    let mut bounds = defaults.bounds;
    bounds.bytes = file.max_bytes;
    let service = ServiceConfig {
        bounds,
        legacy: if file.legacy_algorithms { Legacy::Accepted } else { Legacy::Refused },
        answer: if file.send_chain { Answer::Chain } else { Answer::Leaf },
        approval_wait: cmp.service.approval_wait,
        max_per_account: cmp.service.max_per_account,
        rsa_workers: match file.rsa_workers {
            0 => defaults.rsa_workers,
            workers => workers,
        },
        ..defaults
    };
    Ok(ScepConfig { service: file.enabled.then_some(service), max_concurrent: file.max_concurrent })
}
