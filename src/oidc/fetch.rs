//! HTTP to the issuer: bounded in time and octets, without redirections and proxies.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::Certificate;
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::https;
use crate::wiped::Wiped;

/// How long an answer of the issuer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer of the issuer, in octets.
const MAX_ANSWER: u64 = 256 << 10;

/// The largest file of roots, in octets.
const MAX_FILE: u64 = 1 << 20;

/// Asks the issuer.
pub struct Fetcher(Agent);

/// The answer to a form.
pub struct Answer {
    /// Whether the status is 200.
    pub is_ok: bool,
    /// The JSON of the body.
    pub body: Wiped,
}

impl Fetcher {
    /// A fetcher that trusts the roots in a file, or those of the operating system.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(roots: Option<&Path>) -> Result<Self, Failure> {
        let roots = match roots {
            Some(file) => in_file(file)?,
            None => https::system_roots(),
        };
        let agent = https::guarded(roots, None, PATIENCE).user_agent("countersign").build();
        Ok(Self(agent.into()))
    }

    /// The JSON at a URL.
    ///
    /// # Errors
    /// A message for the log.
    pub fn get(&self, url: &str) -> Result<Value, String> {
        let failed = |e: &dyn Display| format!("`{url}`: {e}");
        let response =
            self.0.get(url).header("Accept", "application/json").call().map_err(|e| failed(&e))?;
        if response.status() != 200 {
            return Err(failed(&format!("expected HTTP status 200, found {}", response.status())));
        }
        let octets = read(response).map_err(|e| failed(&e))?;
        serde_json::from_slice(&octets).map_err(|e| failed(&e))
    }

    /// Posts a form, perhaps with HTTP Basic credentials, and reads the JSON of the answer.
    ///
    /// # Errors
    /// A message for the log.
    pub fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<Answer, String> {
        let failed = |e: &dyn Display| format!("`{url}`: {e}");
        let mut request = self.0.post(url).header("Accept", "application/json");
        if let Some(value) = authorization {
            request = request.header("Authorization", value);
        }
        let response = request.send_form(form.iter().copied()).map_err(|e| failed(&e))?;
        let status = response.status();
        let octets = read(response).map_err(|e| failed(&e))?;
        let body = serde_json::from_slice::<Value>(&octets)
            .map_err(|e| failed(&format!("HTTP status {status}, and no JSON: {e}")))?;
        Ok(Answer { is_ok: status == 200, body: Wiped::from(body) })
    }
}

fn read(mut response: Response<ureq::Body>) -> Result<Zeroizing<Vec<u8>>, ureq::Error> {
    let octets = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    octets.map(Zeroizing::new)
}

/// The certificates in a PEM file.
fn in_file(file: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let wrong =
        |e: &dyn Display| Failure::input(format!("admin.oidc.ca_file `{}`: {e}", file.display()));
    let length = std::fs::metadata(file).map_err(|e| wrong(&e))?.len();
    if length > MAX_FILE {
        return Err(wrong(&format!("larger than {MAX_FILE} octets")));
    }
    let text = std::fs::read(file).map_err(|e| wrong(&e))?;
    let ders = countersign_ca::x509::read_all(&text).map_err(|e| wrong(&e))?;
    Ok(ders.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}
