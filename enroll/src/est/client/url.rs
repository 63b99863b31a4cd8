//! The URLs of an EST server (RFC 7030 §3.2.2).

use crate::client::ClientError;
use crate::est::wire::operation::Operation;

/// The path under which RFC 7030 puts every operation.
const WELL_KNOWN: &str = "/.well-known/est";

/// The URL under which an EST server has its operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstUrl(String);

impl EstUrl {
    /// The server at an `https:` URL. Without a path in the URL, the path is `/.well-known/est`, followed by the label. A URL with a path
    /// may name a label itself.
    ///
    /// # Errors
    /// [`ClientError::Input`] if the text is not such a URL, or if both name a label.
    pub fn new(server: &str, label: Option<&str>) -> Result<Self, ClientError> {
        let wrong = |why: &str| {
            ClientError::Input(format!(
                "expected the URL of an EST server, such as `https://pki.example.net:8443`, found `{}`{why}",
                server.escape_debug()
            ))
        };
        let Some(rest) = server.strip_prefix("https://") else {
            let why = match server.starts_with("http://") {
                true => ": EST needs TLS; use `https://`",
                false => "",
            };
            return Err(wrong(why));
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        if authority.is_empty() || authority.contains(['@', '?', '#']) || !is_plain {
            return Err(wrong(""));
        }
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { WELL_KNOWN } else { path };
        let Some(label) = label else { return Ok(Self(format!("https://{authority}{path}"))) };
        let is_segment = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if !label.chars().all(is_segment) || label.starts_with('.') {
            return Err(ClientError::Input(format!(
                "expected a profile of letters, digits and `-._~`, because EST has it in the path, found `{}`",
                label.escape_debug()
            )));
        }
        match path.ends_with(WELL_KNOWN) {
            true => Ok(Self(format!("https://{authority}{path}/{label}"))),
            false => Err(wrong(": it names a label, and so does `--profile`; leave one out")),
        }
    }

    /// The URL of an operation.
    pub(super) fn of(&self, operation: Operation) -> String {
        format!("{}/{}", self.0, operation.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_last_segment_before_the_operation() {
        for (server, label, url) in [
            ("https://h:8443", None, "https://h:8443/.well-known/est/cacerts"),
            ("https://h:8443/", Some("gw"), "https://h:8443/.well-known/est/gw/cacerts"),
            (
                "https://[2001:db8::1]/.well-known/est/gw/",
                None,
                "https://[2001:db8::1]/.well-known/est/gw/cacerts",
            ),
            ("https://h/gw/.well-known/est", None, "https://h/gw/.well-known/est/cacerts"),
        ] {
            assert_eq!(EstUrl::new(server, label).unwrap().of(Operation::CaCerts), url);
        }
        for (server, label, word) in [
            ("http://h", None, "needs TLS"),
            ("h:8443", None, "https://"),
            ("https://", None, "https://"),
            ("https://a@b/", None, "https://"),
            ("https://h/.well-known/est/x", Some("gw"), "leave one out"),
            ("https://h", Some("a/b"), "letters"),
            ("https://h", Some(".."), "letters"),
        ] {
            let why = EstUrl::new(server, label).unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
    }
}
