//! The URL of a SCEP server (RFC 8894 §4.1).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::client::ClientError;

/// The path that is used if the server's URL has none.
const DEFAULT_PATH: &str = "/scep";

/// The URL of a SCEP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScepUrl(String);

impl ScepUrl {
    /// The server at an `http:` or `https:` URL; if it has no path, at the path `/scep`.
    ///
    /// # Errors
    /// [`ClientError::Input`] if the text is not such a URL.
    pub fn new(server: &str) -> Result<Self, ClientError> {
        let wrong = || {
            ClientError::Input(format!(
                "expected the URL of a SCEP server, such as `http://pki.example.net:8829/scep`, found `{}`",
                server.escape_debug()
            ))
        };
        let (scheme, rest) = server.split_once("://").ok_or_else(wrong)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        if !matches!(scheme, "http" | "https")
            || authority.is_empty()
            || authority.contains('@')
            || rest.contains(['?', '#'])
            || !is_plain
        {
            return Err(wrong());
        }
        let path = if path.trim_matches('/').is_empty() { DEFAULT_PATH } else { path };
        Ok(Self(format!("{scheme}://{authority}{path}")))
    }

    /// Whether the server is reached by TLS.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The URL of an operation.
    pub(super) fn of(&self, operation: &str) -> String {
        format!("{}?operation={operation}", self.0)
    }

    /// The URL of a PKIOperation with its message, for servers that take no POST.
    pub(super) fn with_message(&self, message: &[u8]) -> String {
        const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
        let text = data_encoding::BASE64.encode(message);
        let text = utf8_percent_encode(&text, UNRESERVED);
        format!("{}&message={text}", self.of("PKIOperation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scep::query;

    #[test]
    fn a_server_needs_no_path_and_the_message_in_the_query_is_read_by_the_server() {
        for (server, url) in [
            ("http://h:8829", "http://h:8829/scep"),
            ("https://h/certsrv/mscep/mscep.dll", "https://h/certsrv/mscep/mscep.dll"),
            ("http://[2001:db8::1]:80/", "http://[2001:db8::1]:80/scep"),
        ] {
            assert_eq!(ScepUrl::new(server).unwrap().0, url);
        }
        for server in
            ["h:8829", "ftp://h/", "http://", "http://a@b/", "http://h/?x=y", "http://h h/"]
        {
            assert!(matches!(ScepUrl::new(server), Err(ClientError::Input(_))), "{server}");
        }
        let message: Vec<u8> = (0..=255).collect();
        let url = ScepUrl::new("http://h").unwrap().with_message(&message);
        let (_, asked) = url.split_once('?').unwrap();
        assert!(!url.contains(['+', ' ']), "{url}");
        let value = query::parameter(asked, "message").unwrap();
        assert_eq!(query::message(value).unwrap(), message);
    }
}
