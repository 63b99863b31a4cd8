//! The names of entries, and the LDAP URLs of entries that certificates contain.

use std::collections::BTreeMap;

use countersign_ca::record::Label;

use crate::dn::Dn;
use crate::entry::{CA_CERTIFICATE, CERTIFICATE_REVOCATION_LIST, DELTA_REVOCATION_LIST};
use crate::error::{Error, Result};
use crate::views::PeerView;

/// The templates for the names of entries, relative to `base`. `{…}` in a value is a variable, which an entry's own value replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    base: Dn,
    ca: Dn,
    partition: Dn,
    peer: Dn,
    /// Templates for the peers of single profiles; `None` publishes no entries for the profile.
    peers: BTreeMap<Label, Option<Dn>>,
}

/// The templates as an operator writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutConfig {
    /// The DN below which all entries are; empty for the root of the directory.
    pub base: String,
    /// The name of a CA's entry below `base`, with the variable `{ca}`.
    pub ca: String,
    /// The name of the entry of a partition of a CRL, with `{ca}` and `{partition}`.
    pub partition: String,
    /// The name of a peer's entry, with `{account}`, `{id}` (its first identity) and `{profile}`.
    pub peer: String,
    /// Templates for the peers of single profiles. An empty one publishes no entries for the profile.
    pub peers: BTreeMap<Label, String>,
}

impl Layout {
    /// Parses the base DN and the templates of the entries' names, and checks them.
    ///
    /// # Errors
    /// [`Error::Malformed`] if one is invalid. The text names the setting and the fault.
    pub fn new(config: &LayoutConfig) -> Result<Self> {
        let base: Dn = read("base", &config.base)?;
        let layout = Self {
            ca: template("ca_dn", &config.ca, &["ca"])?,
            partition: template("partition_dn", &config.partition, &["ca", "partition"])?,
            peer: template("peer_dn", &config.peer, &PEER_VARIABLES)?,
            peers: config
                .peers
                .iter()
                .map(|(profile, text)| {
                    let key = format!("peer_dns.{profile}");
                    let named = (!text.is_empty()).then(|| template(&key, text, &PEER_VARIABLES));
                    Ok((profile.clone(), named.transpose()?))
                })
                .collect::<Result<_>>()?,
            base,
        };
        for (key, dn, kinds) in [
            ("ca_dn", Some(&layout.ca), &["cn"][..]),
            ("partition_dn", Some(&layout.partition), &["cn"]),
            ("peer_dn", Some(&layout.peer), &["cn", "uid"]),
        ]
        .into_iter()
        .chain(layout.peers.values().map(|dn| ("peer_dns", dn.as_ref(), &["cn", "uid"][..])))
        {
            check_kind(key, dn, kinds)?;
        }
        Ok(layout)
    }

    /// The DN below which all entries are.
    pub const fn base(&self) -> &Dn {
        &self.base
    }

    /// The name of a CA's entry.
    pub fn ca(&self, ca: &Label) -> Dn {
        self.placed(&self.ca, &[("ca", ca.as_str())])
    }

    /// The name of the entry of a CRL's partition.
    pub fn partition(&self, ca: &Label, number: &str) -> Dn {
        self.placed(&self.partition, &[("ca", ca.as_str()), ("partition", number)])
    }

    /// The name of a peer's entry; `None` when its profile has none.
    pub fn peer(&self, peer: &PeerView) -> Option<Dn> {
        let template = match self.peers.get(&peer.profile) {
            Some(own) => own.as_ref()?,
            None => &self.peer,
        };
        let values = [
            ("account", peer.account.as_str()),
            ("id", peer.id.as_str()),
            ("profile", peer.profile.as_str()),
        ];
        Some(self.placed(template, &values))
    }

    /// The URL of a CA's CRL for its certificates (RFC 4516), in which the variable `{ca}` is left. `server` is the beginning, such as
    /// `ldap://host`. The URL names the attribute: IKE daemons fetch nothing otherwise.
    pub fn crl_url(&self, server: &str) -> String {
        url(server, &self.ca.below(&self.base), CERTIFICATE_REVOCATION_LIST)
    }

    /// The URL of a partition's CRL, in which the variables `{ca}` and `{partition}` are left.
    pub fn partition_url(&self, server: &str) -> String {
        url(server, &self.partition.below(&self.base), CERTIFICATE_REVOCATION_LIST)
    }

    /// The URL of a CA's delta CRL, in which the variable `{ca}` is left.
    pub fn delta_url(&self, server: &str) -> String {
        url(server, &self.ca.below(&self.base), DELTA_REVOCATION_LIST)
    }

    /// The URL of a CA's certificate, in which the variable `{ca}` is left.
    pub fn ca_url(&self, server: &str) -> String {
        url(server, &self.ca.below(&self.base), CA_CERTIFICATE)
    }

    fn placed(&self, template: &Dn, values: &[(&str, &str)]) -> Dn {
        let value_of = |name: &str| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        template.filled(&value_of).below(&self.base)
    }
}

const PEER_VARIABLES: [&str; 3] = ["account", "id", "profile"];

/// The URL of a base search for one attribute (RFC 4516 §2). Variables are left in it.
fn url(server: &str, dn: &Dn, attribute: &str) -> String {
    let mut url = format!("{}/", server.trim_end_matches('/'));
    for octet in dn.to_string().bytes() {
        let is_plain = octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@{}".contains(&octet);
        if is_plain { url.push(char::from(octet)) } else { url.push_str(&format!("%{octet:02X}")) }
    }
    format!("{url}?{attribute};binary?base")
}

fn read(key: &str, text: &str) -> Result<Dn> {
    text.parse().map_err(|e| Error::Malformed(format!("{key}: {e}")))
}

/// Reads a template. A variable that is not among `variables` is an error, and so is a template without any.
fn template(key: &str, text: &str, variables: &[&str]) -> Result<Dn> {
    let dn = read(key, text)?;
    let values = dn.rdns().iter().flat_map(|rdn| rdn.attributes());
    for value in values.map(|ava| ava.value.as_str()) {
        let mut rest = value;
        while let Some((_, behind)) = rest.split_once('{') {
            let (variable, after) = behind.split_once('}').unwrap_or((behind, ""));
            if !variables.contains(&variable) {
                return Err(Error::Malformed(format!(
                    "{key}: expected the places {{{}}}, found `{{{}}}`",
                    variables.join("}, {"),
                    variable.escape_debug()
                )));
            }
            rest = after;
        }
    }
    match variables.first() {
        Some(_) if !variables.iter().any(|variable| text.contains(&format!("{{{variable}}}"))) => {
            Err(Error::Malformed(format!(
                "{key}: expected a place, one of {{{}}}, or all entries would have one name; found `{}`",
                variables.join("}, {"),
                text.escape_debug()
            )))
        }
        _ => Ok(dn),
    }
}

fn check_kind(key: &str, dn: Option<&Dn>, kinds: &[&str]) -> Result<()> {
    let Some(first) = dn.and_then(|dn| dn.rdns().first()) else { return Ok(()) };
    if first.attributes().iter().any(|ava| kinds.contains(&ava.kind.as_str())) {
        Ok(())
    } else {
        Err(Error::Malformed(format!(
            "{key}: expected a name by {}, found `{first}`",
            kinds.join(" or ")
        )))
    }
}
