//! Fetches CRLs by LDAP. The URL names the entry and the attribute (RFC 4516, RFC 4523), as in CRL distribution points.

use std::time::Duration;

use countersign_ldap_bridge::client::{self, Bounds, Connection, Security};
use ldap3::{Scope, SearchEntry};
use url::Url;

/// The attributes that contain CRLs, in lower case and without `;binary`.
const ATTRIBUTES: [&str; 3] =
    ["certificaterevocationlist", "authorityrevocationlist", "deltarevocationlist"];

/// The octets that an answer may have beyond the value, for names and for additions of the server.
const BESIDE: usize = 64 << 10;

/// The most elements of an LDAP message, and the most entries of an answer. Both are generous, because one value is asked for.
const MAX_ELEMENTS: usize = 1000;
const MAX_ENTRIES: usize = 16;

/// The parts of an LDAP URL (RFC 4516). The server is `ldap://` or `ldaps://` with host and port.
#[derive(Debug, PartialEq)]
struct Asked {
    server: String,
    dn: String,
    attribute: String,
    scope: Scope,
    filter: String,
}

/// Reads the one value that a URL names, as an anonymous client that does not bind. It gives up after `patience`. `most` is the largest
/// value, in octets.
///
/// # Errors
/// The URL is malformed or names no CRL, the server does not answer, there is not exactly one value, or it is larger than `most` octets.
pub fn fetch(url: &str, patience: Duration, most: u64) -> Result<Vec<u8>, String> {
    let asked = asked(url)?;
    // A runtime for each fetch: fetches are rare, and dropping the runtime ends all that the fetch began.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    let found =
        runtime.block_on(async { tokio::time::timeout(patience, search(&asked, most)).await });
    let values = found
        .map_err(|_| format!("no answer within {}", humantime::format_duration(patience)))??;
    let mut values = values.into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value.len() as u64 <= most => Ok(value),
        (Some(value), None) => {
            Err(format!("expected at most {most} octets, found {}", value.len()))
        }
        (None, _) => Err(format!("the entry has no `{}`", asked.attribute)),
        (Some(_), Some(_)) => {
            Err(format!("expected one value of `{}`, found several", asked.attribute))
        }
    }
}

async fn search(asked: &Asked, most: u64) -> Result<Vec<Vec<u8>>, String> {
    let (host, port, is_tls) = client::address(&asked.server)
        .ok_or_else(|| format!("`{}` is no server", asked.server.escape_debug()))?;
    let security = match is_tls {
        true => Security::Tls(client::platform_tls().map_err(|e| e.to_string())?),
        false => Security::None,
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(BESIDE);
    let bounds = Bounds { frame: most, elements: MAX_ELEMENTS, octets: most, entries: MAX_ENTRIES };
    let connection = Connection::open(host, port, &security, bounds).await;
    let mut connection = connection.map_err(|e| e.to_string())?;
    let attributes = vec![asked.attribute.as_str()];
    let ldap = &mut connection.ldap;
    let found = ldap.search(&asked.dn, asked.scope, &asked.filter, attributes).await;
    let found = found.and_then(ldap3::SearchResult::success);
    let (entries, _) = found.map_err(|e| connection.reason(e))?;
    let _ = connection.ldap.unbind().await;
    Ok(entries.into_iter().map(SearchEntry::construct).flat_map(values).collect())
}

/// The values of an entry. The library returns a value that happens to be UTF-8 as text.
fn values(entry: SearchEntry) -> Vec<Vec<u8>> {
    let text = entry.attrs.into_values().flatten().map(String::into_bytes);
    entry.bin_attrs.into_values().flatten().chain(text).collect()
}

/// Reads `ldap://host/dn?attribute?scope?filter`.
fn asked(text: &str) -> Result<Asked, String> {
    let wrong =
        |why: &str| format!("expected `ldap://host/dn?certificateRevocationList;binary`, {why}");
    let url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
    let host = url.host_str().ok_or_else(|| wrong("found no host"))?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let decoded = |part: &str| {
        percent_encoding::percent_decode_str(part)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| wrong("found octets that are no UTF-8"))
    };
    let dn = decoded(url.path().strip_prefix('/').unwrap_or_default())?;
    let mut parts = url.query().unwrap_or_default().splitn(4, '?');
    let attribute = decoded(parts.next().unwrap_or_default())?;
    let name = attribute.split(';').next().unwrap_or_default().to_ascii_lowercase();
    if !ATTRIBUTES.contains(&name.as_str()) {
        return Err(wrong(&format!("found the attribute `{}`", attribute.escape_debug())));
    }
    // The words of a grammar in ABNF are independent of case (RFC 5234 §2.3).
    let scope = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "base" => Scope::Base,
        "one" => Scope::OneLevel,
        "sub" => Scope::Subtree,
        other => return Err(wrong(&format!("found the scope `{}`", other.escape_debug()))),
    };
    let filter = decoded(parts.next().unwrap_or_default())?;
    let filter = if filter.is_empty() { "(objectClass=*)".to_owned() } else { filter };
    Ok(Asked { server: format!("{}://{host}{port}", url.scheme()), dn, attribute, scope, filter })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_what_is_asked() {
        let base = asked(
            "ldap://dir.example:8389/cn=issuing,o=Some%20CA?certificateRevocationList;binary",
        )
        .unwrap();
        assert_eq!(
            base,
            Asked {
                server: "ldap://dir.example:8389".into(),
                dn: "cn=issuing,o=Some CA".into(),
                attribute: "certificateRevocationList;binary".into(),
                scope: Scope::Base,
                filter: "(objectClass=*)".into(),
            }
        );
        let sub = asked("ldaps://[2001:db8::1]/o=x?deltaRevocationList?SUB?(cn=issuing)").unwrap();
        assert_eq!(
            (&*sub.server, sub.scope, &*sub.filter),
            ("ldaps://[2001:db8::1]", Scope::Subtree, "(cn=issuing)")
        );
        for text in [
            "ldap:///cn=x?certificateRevocationList",
            "ldap://dir.example/cn=x",
            "ldap://dir.example/cn=x?userPassword",
            "ldap://dir.example/cn=x?certificateRevocationList?all",
            "ldap://dir.example/%ff?certificateRevocationList",
            "nonsense",
        ] {
            assert!(asked(text).unwrap_err().contains("expected"), "{text}");
        }
    }
}
