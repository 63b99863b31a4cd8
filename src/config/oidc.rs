//! The section `[admin.oidc]`: logging in to the administration API by an OpenID provider.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use countersign_ca::record::{Grant, Label, OidcUser, is_account_pattern};
use serde::{Deserialize, Serialize};

use super::tls::{ServerCertificate, TlsListener};
use super::values::DurationText;
use crate::exit::Failure;
use crate::roles::Roles;

/// The most groups that have grants, and the most grants of one group.
const MAX_GROUPS: usize = 1000;
const MAX_GRANTS: usize = 32;

/// The section `[admin.oidc]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcFile {
    /// The issuer, an `https:` URL as it says it of itself.
    pub issuer: String,
    /// The identifier of this client at the issuer.
    pub client_id: String,
    /// A file with the client's secret; without it, this is a public client.
    pub client_secret_file: Option<PathBuf>,
    /// The origin by which browsers reach this server, if it is not the first of `admin.names` with the port of `admin.listen`.
    pub redirect: Option<String>,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// The claim of the ID token with the groups of the user.
    pub groups_claim: String,
    /// A file with the roots that may certify the issuer's TLS server, PEM, in place of those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// After how long without a request a session ends.
    pub session_idle: DurationText,
    /// How long a session lasts at most.
    pub session_lifetime: DurationText,
    /// The grants of the members of each group.
    pub grants: BTreeMap<String, Vec<GrantFile>>,
}

/// A grant of a group's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantFile {
    /// The role.
    pub role: Label,
    /// The issuing CAs for which it is good; none for all.
    #[serde(default)]
    pub cas: BTreeSet<Label>,
    /// Patterns of accounts' names for which it is good; none for all.
    #[serde(default)]
    pub accounts: BTreeSet<String>,
}

impl Default for OidcFile {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: None,
            redirect: None,
            scopes: vec!["openid".to_owned()],
            groups_claim: "groups".to_owned(),
            ca_file: None,
            session_idle: Duration::from_secs(15 * 60).into(),
            session_lifetime: Duration::from_secs(8 * 3600).into(),
            grants: BTreeMap::new(),
        }
    }
}

/// The section `[admin.oidc]`, checked.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// The issuer.
    pub issuer: String,
    /// The identifier of this client at the issuer.
    pub client_id: String,
    /// The file with the client's secret; `None` for a public client.
    pub client_secret_file: Option<PathBuf>,
    /// The scopes, separated by blanks.
    pub scope: String,
    /// The claim with the groups.
    pub groups_claim: String,
    /// The roots of the issuer's TLS server, if not those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// After how long without a request a session ends.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_lifetime: Duration,
    /// The grants of each group.
    pub grants: BTreeMap<String, Vec<Grant>>,
    origin: Origin,
}

/// Where browsers reach this server.
#[derive(Debug, Clone)]
enum Origin {
    /// Here.
    Explicit(String),
    /// At this host, on the port of the listener.
    Host(String),
}

impl OidcConfig {
    /// The origin by which browsers reach this server, which listens on this port.
    pub fn origin(&self, port: u16) -> String {
        match &self.origin {
            Origin::Explicit(origin) => origin.clone(),
            Origin::Host(host) if port == 443 => format!("https://{host}"),
            Origin::Host(host) => format!("https://{host}:{port}"),
        }
    }
}

/// Checks every value. `listener` is that of the administration API, and `names` is `admin.names`.
///
/// # Errors
/// A value is missing or out of bounds, or a role does not exist.
pub fn check(
    file: &OidcFile,
    listener: Option<&TlsListener>,
    names: &[String],
    roles: &Roles,
) -> Result<OidcConfig, Failure> {
    let issuer = &file.issuer;
    if !is_secure(issuer) || issuer.len() > OidcUser::MAX || issuer.contains(['?', '#', '@']) {
        return Err(Failure::input(format!(
            "expected admin.oidc.issuer to be the issuer's `https:` URL, such as `https://id.example.net`, found `{}`",
            issuer.escape_debug()
        )));
    }
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_word(&file.client_id) {
        return Err(Failure::input(
            "expected admin.oidc.client_id, the identifier that the issuer knows this server by",
        ));
    }
    if !file.scopes.iter().all(|scope| is_word(scope))
        || !file.scopes.iter().any(|scope| scope == "openid")
    {
        return Err(Failure::input(
            "expected admin.oidc.scopes to be words, and `openid` to be one of them",
        ));
    }
    Ok(OidcConfig {
        issuer: issuer.clone(),
        client_id: file.client_id.clone(),
        client_secret_file: file.client_secret_file.clone(),
        scope: file.scopes.join(" "),
        groups_claim: file.groups_claim.clone(),
        ca_file: file.ca_file.clone(),
        session_idle: file.session_idle.within("admin.oidc.session_idle", 1, 86_400)?,
        session_lifetime: file.session_lifetime.within("admin.oidc.session_lifetime", 1, 86_400)?,
        grants: grants(&file.grants, roles)?,
        origin: origin(file.redirect.as_deref(), listener, names)?,
    })
}

/// Where browsers reach this server.
fn origin(
    redirect: Option<&str>,
    listener: Option<&TlsListener>,
    names: &[String],
) -> Result<Origin, Failure> {
    if let Some(redirect) = redirect {
        let origin = redirect.strip_suffix('/').unwrap_or(redirect);
        let host = origin.strip_prefix("https://").unwrap_or_default();
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        return match !host.is_empty() && host.bytes().all(is_host) {
            true => Ok(Origin::Explicit(origin.to_owned())),
            false => Err(Failure::input(format!(
                "expected admin.oidc.redirect to be an `https:` URL without a path, such as `https://pki.example.net:8843`, found `{}`",
                redirect.escape_debug()
            ))),
        };
    }
    let Some(listener) = listener else {
        return Err(Failure::input("[admin.oidc] needs admin.listen, on which it is served"));
    };
    let named = names.first().cloned();
    let named = named.or_else(|| match &listener.certificate {
        ServerCertificate::Issued(names) => names.first().map(|name| {
            let name = name.to_string();
            name.split_once(':').map_or(name.clone(), |(_, bare)| bare.to_owned())
        }),
        ServerCertificate::Files { .. } => None,
    });
    match named {
        Some(host) if host.contains(':') => Ok(Origin::Host(format!("[{host}]"))),
        Some(host) => Ok(Origin::Host(host)),
        None => Err(Failure::input(
            "expected admin.oidc.redirect, by which browsers reach this server, such as `https://pki.example.net:8843`: admin.names does not name it",
        )),
    }
}

/// The grants of each group, if their roles exist.
fn grants(
    file: &BTreeMap<String, Vec<GrantFile>>,
    roles: &Roles,
) -> Result<BTreeMap<String, Vec<Grant>>, Failure> {
    if file.len() > MAX_GROUPS {
        return Err(Failure::input(format!(
            "expected at most {MAX_GROUPS} groups in admin.oidc.grants, found {}",
            file.len()
        )));
    }
    let mut checked = BTreeMap::new();
    for (group, grants) in file {
        let wrong = |why: String| {
            Failure::input(format!("admin.oidc.grants.{}: {why}", group.escape_debug()))
        };
        if grants.is_empty() || grants.len() > MAX_GRANTS {
            return Err(wrong(format!(
                "expected 1 to {MAX_GRANTS} grants, found {}",
                grants.len()
            )));
        }
        let mut of_group = Vec::with_capacity(grants.len());
        for GrantFile { role, cas, accounts } in grants {
            roles.require(role).map_err(|why| wrong(why.message))?;
            if let Some(found) = accounts.iter().find(|text| !is_account_pattern(text)) {
                return Err(wrong(format!(
                    "expected the name of an account in which `*` stands for any text, such as `gw-*`, found `{}`",
                    found.escape_debug()
                )));
            }
            let (role, cas, accounts) = (role.clone(), cas.clone(), accounts.clone());
            of_group.push(Grant { role, cas, accounts });
        }
        checked.insert(group.clone(), of_group);
    }
    Ok(checked)
}

/// Whether a URL is one to which secrets may be sent: `https:`, or `http:` to this machine alone.
pub fn is_secure(url: &str) -> bool {
    if !url.bytes().all(|b| b.is_ascii_graphic() && !b"\"'()<>\\^`{|}".contains(&b)) {
        return false;
    }
    let authority = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    if let Some(rest) = url.strip_prefix("https://") {
        return !authority(rest).is_empty() && !authority(rest).contains('@');
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = authority(rest);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority.as_str(), "80"),
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_goes_over_tls_or_stays_on_this_machine() {
        for (url, expected) in [
            ("https://id.example.net", true),
            ("https://id.example.net:8443/realms/a", true),
            ("http://localhost:8080", true),
            ("http://127.0.0.1/x", true),
            ("http://[::1]:80", true),
            ("http://id.example.net", false),
            ("http://localhost@id.example.net", false),
            ("http://localhost.example.net", false),
            ("http://127.0.0.1:80@id.example.net/", false),
            ("https://user@id.example.net", false),
            ("https://", false),
            ("https://id.example.net/a b", false),
            ("file:///etc", false),
        ] {
            assert_eq!(is_secure(url), expected, "{url}");
        }
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let roles = Roles::new(&BTreeMap::new()).unwrap();
        let good = OidcFile {
            issuer: "https://id.example.net".into(),
            client_id: "countersign".into(),
            redirect: Some("https://pki.example.net:8843/".into()),
            ..OidcFile::default()
        };
        let checked = check(&good, None, &[], &roles).unwrap();
        assert_eq!(checked.origin(1), "https://pki.example.net:8843");
        let group = |grant: GrantFile| [("ops".to_owned(), vec![grant])].into();
        let grant = |role: &str, account: &str| GrantFile {
            role: role.parse().unwrap(),
            cas: BTreeSet::new(),
            accounts: [account.to_owned()].into(),
        };
        for (file, word) in [
            (OidcFile { issuer: "http://id.example.net".into(), ..good.clone() }, "issuer"),
            (OidcFile { client_id: String::new(), ..good.clone() }, "client_id"),
            (OidcFile { scopes: vec!["email".into()], ..good.clone() }, "openid"),
            (OidcFile { redirect: Some("https://x/y".into()), ..good.clone() }, "redirect"),
            (OidcFile { redirect: None, ..good.clone() }, "admin.listen"),
            (OidcFile { grants: group(grant("king", "*")), ..good.clone() }, "no role `king`"),
            (OidcFile { grants: group(grant("viewer", "a b")), ..good.clone() }, "found `a b`"),
            (OidcFile { grants: [("ops".into(), vec![])].into(), ..good.clone() }, "grants.ops"),
        ] {
            let why = check(&file, None, &[], &roles).unwrap_err().message;
            assert!(why.contains(word), "{word}: {why}");
        }
    }
}
