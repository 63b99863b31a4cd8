//! Fetching over HTTP and from files.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use super::cache::Fetch;

/// The longest that a fetch may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Fetches `http:` URLs and reads paths of files. Redirections are not followed: they would lead past the allowed locations.
#[derive(Debug)]
pub struct Fetcher {
    agent: ureq::Agent,
    most: u64,
}

impl Fetcher {
    /// A fetcher of at most `most` octets.
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

impl Fetcher {
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        let mut octets = Vec::new();
        let file = File::open(path).map_err(|e| e.to_string())?;
        file.take(self.most + 1).read_to_end(&mut octets).map_err(|e| e.to_string())?;
        if octets.len() as u64 > self.most {
            return Err(format!("expected at most {} octets, found more", self.most));
        }
        Ok(octets)
    }
}
