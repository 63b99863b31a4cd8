//! Which URLs may be fetched from. A URL in a certificate is chosen by its issuer, and must not make the authorizer send requests to any host
//! of that issuer's choice.

/// The beginnings of URLs that may be fetched from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locations(Vec<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    scheme: &'static str,
    authority: String,
    path: String,
}

impl Locations {
    /// Reads beginnings of `http:`, `ldap:` and `ldaps:` URLs such as `http://pki.example.net/crl/`.
    ///
    /// # Errors
    /// One is not such a beginning; the text says which one.
    pub fn new(beginnings: &[String]) -> Result<Self, String> {
        let read = |text: &String| {
            place(text).ok_or_else(|| {
                format!(
                    "expected the beginning of an `http:`, `ldap:` or `ldaps:` URL such as `http://pki.example.net/`, found `{}`",
                    text.escape_debug()
                )
            })
        };
        beginnings.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a URL may be fetched from: its scheme, host and port are those of an allowed beginning, its path begins as there, and it has
    /// no user name and no `..` in its path.
    pub fn allow(&self, url: &str) -> bool {
        place(url).is_some_and(|url| {
            self.0.iter().any(|of| {
                (of.scheme, &of.authority) == (url.scheme, &url.authority)
                    && url.path.starts_with(&of.path)
            })
        })
    }
}

/// The schemes: name, beginning of a URL, and default port.
const SCHEMES: [(&str, &str, &str); 3] =
    [("http", "http://", ":80"), ("ldap", "ldap://", ":389"), ("ldaps", "ldaps://", ":636")];

fn place(url: &str) -> Option<Place> {
    let (scheme, rest, port) = SCHEMES
        .into_iter()
        .find_map(|(scheme, prefix, port)| Some((scheme, url.strip_prefix(prefix)?, port)))?;
    if url.len() > 2048
        || !url.bytes().all(|byte| byte.is_ascii_graphic())
        || url.contains(['\\', '#'])
    {
        return None;
    }
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at)?;
    let steps_up =
        |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if authority.is_empty() || authority.contains('@') || path.split(['/', '?']).any(steps_up) {
        return None;
    }
    let authority = authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    Some(Place { scheme, authority, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_allowed_is_fetched() {
        let allowed = ["http://good.example/crl/", "http://192.0.2.1:8080", "ldap://dir.example/"];
        let allowed = allowed.map(str::to_owned);
        let locations = Locations::new(&allowed).unwrap();
        for url in [
            "http://good.example/crl/a.crl",
            "http://GOOD.example:80/crl/a",
            "http://192.0.2.1:8080/x?y",
            "ldap://dir.example:389/o=x?certificateRevocationList",
        ] {
            assert!(locations.allow(url), "{url}");
        }
        for url in [
            "https://good.example/crl/a",
            "http://good.example/other/a",
            "http://good.example/crl/../other/a",
            "http://good.example/crl/%2e%2E/other/a",
            "http://good.example@evil.example/crl/a",
            "http://good.example.evil.example/crl/a",
            "http://good.example:8080/crl/a",
            "http://evil.example/http://good.example/crl/",
            "http://good.example\\@evil.example/crl/",
            "http://192.0.2.1/x",
            "http://good.example/crl/\r\nHost: evil",
            "ldap://good.example/crl/",
            "http://dir.example/o=x",
            "ldaps://dir.example/o=x",
            "ldap://dir.example:80/o=x",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!locations.allow(url), "{url}");
        }
        assert!(
            Locations::new(&["https://good.example/".to_owned()]).unwrap_err().contains("https://")
        );
        assert!(!Locations::default().allow("http://good.example/"));
    }
}
