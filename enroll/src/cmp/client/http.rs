//! Messages over HTTP (RFC 9811 §3). Plain HTTP is enough: each message is protected by itself, and its content is public. Redirects are
//! not followed, and answers are bounded.

use std::time::{Duration, Instant};

use crate::client::ClientError;
use crate::client::http::config;
use crate::client::wait::Pauses;
use crate::cmp::wire::refusal::legible;

/// The media type of requests and answers (RFC 9811 §3.2).
const CMP: &str = "application/pkixcmp";

/// The largest answer that is accepted, in octets. A certificate has about a kilobyte; a CRL has more.
pub const MAX_ANSWER: u64 = 8 << 20;

/// The longest answer that is not CMP and that an error shows, in octets. Of a longer answer, the error shows nothing.
const MAX_TEXT: u64 = 4096;

/// Carries a message to the server and its answer back.
pub trait Transport {
    /// Sends a message and returns the answer. A busy server is asked again, until `until`.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when the server cannot be reached, is busy beyond `until`, or does not answer with a CMP message.
    fn exchange(&self, message: &[u8], until: Instant) -> Result<Vec<u8>, ClientError>;
}

/// A CMP server at an `http:` URL.
#[derive(Debug)]
pub struct Http {
    agent: ureq::Agent,
    url: String,
}

/// The answer of a server.
enum Reply {
    /// A CMP message.
    Message(Vec<u8>),
    /// Status 503, with the seconds in its Retry-After, if there is one.
    Busy(Option<u64>),
}

impl Http {
    /// The server at this URL; if it has no path, at the path `/.well-known/cmp` (RFC 9811 §3.4). One HTTP exchange takes at most
    /// `timeout`.
    ///
    /// # Errors
    /// [`ClientError::Input`] if it is not an `http:` URL.
    pub fn new(server: &str, timeout: Duration) -> Result<Self, ClientError> {
        Ok(Self { agent: config(timeout).into(), url: url(server)? })
    }

    /// The URL in use.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a message once.
    fn post(&self, message: &[u8]) -> Result<Reply, ClientError> {
        let failed = |e: ureq::Error| ClientError::Unavailable(format!("`{}`: {e}", self.url));
        // Each message has a connection of its own: some servers abort a transaction when a keep-alive connection closes.
        let request =
            self.agent.post(&self.url).header("accept", CMP).header("connection", "close");
        let sent = request.content_type(CMP).send(message);
        let mut answer = sent.map_err(failed)?;
        let header = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let essence = header("content-type").split(';').next().unwrap_or_default().trim();
        let is_cmp = essence.eq_ignore_ascii_case(CMP);
        let retry_after = header("retry-after").trim().parse().ok();
        let status = answer.status().as_u16();
        // RFC 9811 §3.1: a server may send an error message with a status other than 200.
        if is_cmp && (status == 200 || status >= 400) {
            let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
            return Ok(Reply::Message(body.map_err(failed)?));
        }
        if status == 503 {
            return Ok(Reply::Busy(retry_after));
        }
        let body = answer.body_mut().with_config().limit(MAX_TEXT).read_to_vec();
        let text = String::from_utf8_lossy(&body.unwrap_or_default()).trim().to_owned();
        Err(ClientError::Unavailable(legible(&format!(
            "`{}`: expected HTTP status 200 with `{CMP}`, found {status}{}{}",
            self.url,
            if (300..400).contains(&status) { "; redirections are not followed" } else { "" },
            if text.is_empty() { String::new() } else { format!(": {text}") },
        ))))
    }
}

impl Transport for Http {
    fn exchange(&self, message: &[u8], until: Instant) -> Result<Vec<u8>, ClientError> {
        let mut pauses = Pauses::until(until);
        loop {
            let after = match self.post(message)? {
                Reply::Message(answer) => return Ok(answer),
                Reply::Busy(after) => after,
            };
            pauses.pause(after.map(Duration::from_secs)).map_err(|wait| {
                ClientError::Unavailable(format!(
                    "`{}`: the server is busy, and asks to come again in {} s; try again later",
                    self.url,
                    wait.as_secs()
                ))
            })?;
        }
    }
}

/// The URL of a server, with a path.
fn url(server: &str) -> Result<String, ClientError> {
    let wrong = |why: &str| {
        ClientError::Input(format!(
            "expected the server's URL, such as `http://pki.example.net:8829/.well-known/cmp`, found `{}`{why}",
            server.escape_debug()
        ))
    };
    let Some(rest) = server.strip_prefix("http://") else {
        let why = match server.starts_with("https://") {
            true => {
                ": there is no TLS here, and CMP needs none, as every message is protected by itself; use `http://`"
            }
            false => "",
        };
        return Err(wrong(why));
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if authority.is_empty() || authority.contains(['@', '?', '#']) || !plain(rest) {
        return Err(wrong(""));
    }
    let path = if path.trim_matches('/').is_empty() { "/.well-known/cmp" } else { path };
    Ok(format!("http://{authority}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_needs_no_path_and_no_tls() {
        for (given, used) in [
            ("http://pki.example.net:8829", "http://pki.example.net:8829/.well-known/cmp"),
            ("http://[2001:db8::1]:80/", "http://[2001:db8::1]:80/.well-known/cmp"),
            ("http://192.0.2.1/ejbca/publicweb/cmp/x", "http://192.0.2.1/ejbca/publicweb/cmp/x"),
        ] {
            assert_eq!(url(given).unwrap(), used);
        }
        for given in
            ["pki.example.net", "ftp://x/", "http://", "http:///cmp", "http://a@b/", "http://a b/"]
        {
            assert!(matches!(url(given), Err(ClientError::Input(_))), "{given}");
        }
        assert!(url("https://x/").unwrap_err().to_string().contains("no TLS"));
    }
}
