//! Fetches CRLs over HTTP, by LDAP and from files, and sends OCSP requests over HTTP.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use super::crl_cache::Fetch;
use super::ldap;
use super::ocsp_cache::Ask;

/// The longest time that a fetch or an OCSP request over the network may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest response of an OCSP responder, in octets.
const MAX_RESPONSE: u64 = 64 << 10;

/// Fetches `http:`, `ldap:` and `ldaps:` URLs and reads files by their paths. It does not follow redirections, because these would lead past the
/// allowed locations.
#[derive(Debug)]
pub struct Fetcher {
    agent: ureq::Agent,
    most: u64,
}

impl Fetcher {
    /// A fetcher that accepts CRLs of at most `most` octets, and OCSP responses of at most `most` octets or 64 KiB, whichever is less.
    pub fn new(most: u64) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .http_status_as_error(true)
            .user_agent("countersign")
            .build();
        Self { agent: config.into(), most }
    }
}

impl Fetch for Fetcher {
    fn fetch(&self, location: &str) -> Result<Vec<u8>, String> {
        if location.starts_with("ldap://") || location.starts_with("ldaps://") {
            return ldap::fetch(location, PATIENCE, self.most);
        }
        if !location.starts_with("http://") {
            return self.file(location);
        }
        let mut response = self.agent.get(location).call().map_err(|e| e.to_string())?;
        if response.status() != 200 {
            return Err(format!("expected HTTP status 200, found {}", response.status()));
        }
        let body = response.body_mut().with_config().limit(self.most);
        body.read_to_vec().map_err(|e| e.to_string())
    }
}

impl Ask for Fetcher {
    fn ask(&self, url: &str, request: &[u8]) -> Result<Vec<u8>, String> {
        let asked = self.agent.post(url).content_type("application/ocsp-request").send(request);
        let mut response = asked.map_err(|e| e.to_string())?;
        if response.status() != 200 {
            return Err(format!("expected HTTP status 200, found {}", response.status()));
        }
        let body = response.body_mut().with_config().limit(MAX_RESPONSE.min(self.most));
        body.read_to_vec().map_err(|e| e.to_string())
    }
}

impl Fetcher {
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        // Opening a pipe would block until another process writes to it.
        if !std::fs::metadata(path).map_err(|e| e.to_string())?.is_file() {
            return Err("expected a file, found something else".into());
        }
        let mut octets = Vec::new();
        let file = File::open(path).map_err(|e| e.to_string())?;
        file.take(self.most + 1).read_to_end(&mut octets).map_err(|e| e.to_string())?;
        if octets.len() as u64 > self.most {
            return Err(format!("expected at most {} octets, found more", self.most));
        }
        Ok(octets)
    }
}
