//! HTTP for the clients of EST and SCEP: one request, one answer, both within bounds. Redirects are not followed, because the operator names
//! the server.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_ca::Clock;
use rustls::AlertDescription as Alert;
use ureq::config::Config;
use ureq::http::HeaderMap;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};

use super::error::{ClientError, Refusal};
use super::tls::{Gate, Held, Securing, Taking, TlsTrust};
use super::wait::{Pauses, retry_after};
use crate::legible::legible;

/// The largest answer that is accepted, in octets.
pub const MAX_ANSWER: u64 = 1 << 20;

/// The longest answer outside the protocol that an error shows, in octets. Of a longer answer, the error shows nothing.
const MAX_TEXT: usize = 4096;

/// Why a refusal over plain HTTP proves nothing.
const PLAIN: &str = "it came over plain HTTP, and nothing signs it";

/// An HTTP client, with or without TLS.
pub struct Web {
    agent: ureq::Agent,
    /// The TLS connections; `None` for plain HTTP.
    gate: Option<Arc<Gate>>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.gate.is_some() { "Web(TLS)" } else { "Web(plain)" })
    }
}

/// A request.
#[derive(Default)]
pub struct Question<'a> {
    /// The URL of the request.
    pub url: &'a str,
    /// The value of the header Accept.
    pub accept: &'a str,
    /// The value of Authorization, which may contain a secret.
    pub authorization: Option<&'a str>,
    /// The media type and the octets to POST; `None` for a GET.
    pub body: Option<(&'a str, &'a [u8])>,
    /// Content-Transfer-Encoding, which RFC 7030 demanded and RFC 8951 ignores.
    pub transfer_encoding: Option<&'a str>,
}

/// An answer.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The time after which the server asks the client to come again, if it names one.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
    /// The value of WWW-Authenticate in a 401; empty without one.
    challenge: String,
    /// Whether the answer came over TLS.
    is_proven: bool,
}

impl Web {
    /// A client without TLS. One exchange takes at most `timeout`.
    pub fn plain(timeout: Duration) -> Self {
        Self { agent: config(timeout).into(), gate: None }
    }

    /// A client with TLS. One exchange takes at most `timeout`.
    ///
    /// # Errors
    /// [`ClientError::Input`] if an anchor, the certificate or the key cannot be used.
    pub fn secure(timeout: Duration, trust: &TlsTrust<'_>) -> Result<Self, ClientError> {
        let gate = Arc::new(Gate::new(trust.config()?));
        let connector =
            ().chain(Taking(Arc::clone(&gate)))
                .chain(TcpConnector::default())
                .chain(Securing(Arc::clone(&gate)));
        let agent = ureq::Agent::with_parts(config(timeout), connector, DefaultResolver::default());
        Ok(Self { agent, gate: Some(gate) })
    }

    /// Opens the connection over which the next request goes, and returns its channel binding `tls-exporter` (RFC 9266).
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn bind(&self, url: &str) -> Result<[u8; 32], ClientError> {
        let no_binding = || ClientError::Internal("there is no TLS connection to bind to".into());
        let gate = self.gate.as_ref().ok_or_else(no_binding)?;
        gate.hold();
        match self.agent.get(url).call() {
            Err(ureq::Error::Other(e)) if e.is::<Held>() => gate.binding().ok_or_else(no_binding),
            Err(e) => Err(failed(url, &e)),
            Ok(_) => Err(no_binding()),
        }
    }

    /// Sends a request, once.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] without an answer; [`ClientError::Untrusted`] if the server's TLS certificate is not good;
    /// [`ClientError::Refused`] if the server ends the connection because of the client's certificate.
    pub fn ask(&self, question: &Question<'_>, clock: &dyn Clock) -> Result<Answer, ClientError> {
        let Question { url, accept, authorization, body, transfer_encoding } = question;
        let failed = |e: ureq::Error| failed(url, &e);
        // A connection is for one request: some servers forget to close a kept one, and the channel binding is that of one connection.
        let sent = match body {
            Some((kind, octets)) => {
                let request = self.agent.post(*url).header("accept", *accept).content_type(*kind);
                let mut request = request.header("connection", "close");
                if let Some(value) = transfer_encoding {
                    request = request.header("content-transfer-encoding", *value);
                }
                if let Some(value) = authorization {
                    request = request.header("authorization", *value);
                }
                request.send(*octets)
            }
            None => {
                let request = self.agent.get(*url).header("accept", *accept);
                let mut request = request.header("connection", "close");
                if let Some(value) = authorization {
                    request = request.header("authorization", *value);
                }
                request.call()
            }
        };
        let mut answer = sent.map_err(failed)?;
        let status = answer.status().as_u16();
        let retry_after = retry_after(field(answer.headers(), "retry-after"), clock.now());
        let challenge = field(answer.headers(), "www-authenticate").to_owned();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let is_proven = self.gate.is_some() && url.starts_with("https:");
        Ok(Answer { status, retry_after, body: body.map_err(failed)?, challenge, is_proven })
    }

    /// Sends a request. If the server is busy (429 or 503), the request is sent again, until `until`.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Unavailable`] if the server is busy for longer.
    pub fn ask_patiently(
        &self,
        question: &Question<'_>,
        clock: &dyn Clock,
        until: Instant,
    ) -> Result<Answer, ClientError> {
        let mut pauses = Pauses::until(until);
        loop {
            let answer = self.ask(question, clock)?;
            if !answer.is_busy() {
                return Ok(answer);
            }
            pauses.pause(answer.retry_after).map_err(|wait| busy(question.url, &answer, wait))?;
        }
    }
}

impl Answer {
    /// Whether the server is busy.
    pub const fn is_busy(&self) -> bool {
        matches!(self.status, 429 | 503)
    }

    /// The error for an answer that is not of the protocol. `asked` is the name of the request, and `url` where it went.
    ///
    /// Statuses that say that the server does not want this request refuse it. All others, such as 404 and 500, may be a fault of the
    /// server or of a proxy before it, and the same request may succeed later.
    pub fn unexpected(&self, asked: &'static str, url: &str) -> ClientError {
        let text = self.text();
        let name = match self.status {
            400 => "400 Bad Request",
            401 => "401 Unauthorized",
            403 => "403 Forbidden",
            409 => "409 Conflict",
            413 => "413 Content Too Large",
            415 => "415 Unsupported Media Type",
            422 => "422 Unprocessable Content",
            status => {
                let redirected = match status {
                    300..400 => "; redirections are not followed",
                    404 => "; is the path of the URL right?",
                    _ => "",
                };
                return ClientError::Unavailable(legible(&format!(
                    "`{url}`: HTTP status {status}{redirected}{}",
                    if text.is_empty() { String::new() } else { format!(": {text}") }
                )));
            }
        };
        let text = match (self.status, text.is_empty()) {
            (401, true) => format!(
                "reference and secret, or the certificate, are missing or not accepted{}",
                match self.challenge.as_str() {
                    "" => String::new(),
                    challenge => format!("; it asks for `{challenge}`"),
                }
            ),
            _ => text,
        };
        ClientError::Refused(Refusal {
            asked,
            failures: vec![name],
            text: legible(&text),
            unproven: (!self.is_proven).then(|| PLAIN.to_owned()),
        })
    }

    /// The words of the server.
    pub fn text(&self) -> String {
        match self.body.len() <= MAX_TEXT {
            true => String::from_utf8_lossy(&self.body).trim().to_owned(),
            false => String::new(),
        }
    }
}

/// The error for a server that is busy for too long.
pub fn busy(url: &str, answer: &Answer, wait: Duration) -> ClientError {
    let text = answer.text();
    ClientError::Unavailable(legible(&format!(
        "`{url}`: the server is busy, and asks to come again in {} s; try again later{}",
        wait.as_secs(),
        if text.is_empty() { String::new() } else { format!(": {text}") }
    )))
}

/// The settings of an agent: one HTTP exchange takes at most `timeout`, and no redirection is followed.
pub fn config(timeout: Duration) -> Config {
    ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .proxy(None)
        .user_agent("countersign")
        .build()
}

/// The text of a header field; empty without one.
fn field<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The error for a request without an answer.
fn failed(url: &str, error: &ureq::Error) -> ClientError {
    let tls = match error {
        ureq::Error::Io(e) => e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => ClientError::untrusted(format!(
            "`{url}`: the server's TLS certificate is not good: {why}; `--tls-trust` names its root"
        )),
        Some(rustls::Error::AlertReceived(
            alert @ (Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied),
        )) => ClientError::Refused(Refusal {
            asked: "TLS connection",
            failures: Vec::new(),
            text: format!("its alert is {alert:?}, which is about this gateway's certificate"),
            unproven: Some("an alert may be of anybody on the way".into()),
        }),
        _ => ClientError::Unavailable(legible(&format!("`{url}`: {error}"))),
    }
}
