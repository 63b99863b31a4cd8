//! Runs the functions that read a stranger's request on any octets: for the fuzzer, and for the test of the fuzzer's seed inputs. A panic
//! is a fault of this crate.

use super::server::config::EstConfig;
use super::server::refusal::Refusal;
use super::server::request;
use super::wire::{base64, basic};

/// Reads octets as the body of a request, as the value of an `Authorization`, and as a CertificationRequest. The results are dropped.
pub fn decode(octets: &[u8]) {
    let config = EstConfig::default();
    if let Ok(text) = std::str::from_utf8(octets) {
        let _ = basic::credentials(text);
    }
    let der = match base64::decode(octets) {
        Ok(der) => der,
        Err(error) => {
            let refusal = Refusal::from(error);
            assert!(!refusal.text.contains('\n'), "a log line is forged");
            octets.to_vec()
        }
    };
    let _ = request::read(&der, &config);
    let _ = request::read_for_key(&der, &config);
}
