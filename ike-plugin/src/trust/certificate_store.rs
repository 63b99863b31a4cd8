//! Looks certificates up by identity in a certificate store over HTTP (RFC 4387), for daemons that send the authorizer none.

use std::time::{Duration, Instant};

use countersign_ca::record::search::SearchKey;
use data_encoding::BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The largest answer of the store, in octets.
const MAX_ANSWER: u64 = 256 << 10;
/// The most certificates that are taken from an answer.
const MAX_PARTS: usize = 32;

/// A client of one certificate store.
#[derive(Debug)]
pub struct CertificateStore {
    agent: ureq::Agent,
    url: String,
}

impl CertificateStore {
    /// The store at a URL such as `http://pki.example.net/certificates/search.cgi`.
    pub fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent("countersign")
            .build();
        Self { agent: config.into(), url: url.to_owned() }
    }

    /// Finds the certificates for a search key, in DER; none if the store has none, or a query cannot express the key. They are neither
    /// read nor verified here. It gives up at `deadline`.
    ///
    /// # Errors
    /// The store does not answer in time, answers with another HTTP status than 200 or 404, or with too many octets.
    pub fn find(&self, key: &SearchKey, deadline: Instant) -> Result<Vec<Vec<u8>>, String> {
        let Some((attribute, value)) = query(key) else { return Ok(Vec::new()) };
        let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let asked = self.agent.get(format!("{}?{attribute}={value}", self.url));
        let failed = |e: ureq::Error| format!("`{}`: {e}", self.url);
        let mut answer =
            asked.config().timeout_global(Some(left)).build().call().map_err(failed)?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Ok(Vec::new()),
            other => {
                return Err(format!(
                    "`{}`: expected HTTP status 200 or 404, found {other}",
                    self.url
                ));
            }
        }
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let body =
            answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(failed)?;
        match boundary(&kind) {
            Some(boundary) => Ok(parts(&body, boundary)),
            None => Ok(vec![body]),
        }
    }
}

/// The query's attribute and value (RFC 4387 §2.2), binary values in Base64; `None` for a key that has no attribute there.
fn query(key: &SearchKey) -> Option<(&'static str, String)> {
    Some(match key {
        SearchKey::Uri(name) => ("uri", name.clone()),
        SearchKey::Subject(hash) => ("sHash", BASE64.encode(hash)),
        _ => return None,
    })
}

fn boundary(kind: &str) -> Option<&str> {
    let (kind, parameters) = kind.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let (_, boundary) = parameters.split_once("boundary=")?;
    boundary.trim().trim_matches('"').split(';').next()
}

/// The bodies of the parts of a multipart message (RFC 2046 §5.1).
fn parts(body: &[u8], boundary: &str) -> Vec<Vec<u8>> {
    let delimiter = format!("--{boundary}");
    let starts: Vec<usize> = body
        .windows(delimiter.len())
        .enumerate()
        .filter(|(_, window)| *window == delimiter.as_bytes())
        .map(|(at, _)| at)
        .take(MAX_PARTS.saturating_add(1))
        .collect();
    let between = starts.iter().zip(starts.iter().skip(1));
    let part = |(from, to): (&usize, &usize)| {
        let part = body.get(from.saturating_add(delimiter.len())..*to)?;
        let head = part.windows(4).position(|window| window == b"\r\n\r\n")?;
        let content = part.get(head.saturating_add(4)..)?;
        Some(content.strip_suffix(b"\r\n").unwrap_or(content).to_vec())
    };
    between.filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_whatever_is_in_them() {
        let body = b"--xx\r\nContent-Type: application/pkix-cert\r\n\r\none\r\n--x\r\n--xx\r\nA: b\r\n\r\n\x30\x00\r\n--xx--\r\n";
        assert_eq!(boundary("multipart/mixed; boundary=\"xx\""), Some("xx"));
        assert_eq!(parts(body, "xx"), [b"one\r\n--x".to_vec(), vec![0x30, 0]]);
        assert_eq!(boundary("application/pkix-cert"), None);
        assert!(parts(b"--xx", "xx").is_empty() && parts(b"", "xx").is_empty());
    }
}
