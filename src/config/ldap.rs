//! The section `[ldap]`: the built-in directory, the names of entries, and other LDAP servers that are published to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_ca::record::Label;
use countersign_ldap_bridge::directory::{DirectoryConfig, Limits, TlsFiles};
use countersign_ldap_bridge::layout::{Layout, LayoutConfig};
use countersign_ldap_bridge::publisher::{PublisherConfig, PublisherSettings};
use serde::{Deserialize, Serialize};

use super::values::{DurationText, within};
use crate::exit::Failure;

/// The section `[ldap]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LdapFile {
    /// The address and port of the built-in directory, or `off`.
    pub listen: String,
    /// The address and port of the built-in directory for LDAPS. `None` for no LDAPS.
    pub tls_listen: Option<SocketAddr>,
    /// The certificate for LDAPS and StartTLS, followed by the CA certificates above it, PEM.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate for LDAPS and StartTLS, PEM.
    pub key: Option<PathBuf>,
    /// The URL under which peers reach a directory with these entries. LDAP locations in certificates begin with it.
    pub public_url: Option<String>,
    /// The DN that is above all entries.
    pub base: String,
    /// The DN of a CA's entry below `base`, with `{ca}` for the CA's name.
    pub ca_dn: String,
    /// The DN of the entry of a CRL's partition below `base`, with `{ca}` and `{partition}`.
    pub partition_dn: String,
    /// The DN of a peer's entry below `base`, with `{account}`, `{id}` and `{profile}`.
    pub peer_dn: String,
    /// The DNs of the entries of peers, for profiles that differ from `peer_dn`. An empty text means that the profile's peers are not
    /// published.
    pub peer_dns: BTreeMap<Label, String>,
    /// The most certificates of peers that are published; 0 for none.
    pub max_peers: usize,
    /// The most connections to the built-in directory at once.
    pub max_connections: usize,
    /// The most connections at once from one IPv4 address or one /64 of IPv6.
    pub max_connections_per_address: usize,
    /// The most entries of one answer or one page.
    pub max_entries: usize,
    /// How long a connection may be idle.
    pub idle_timeout: DurationText,
    /// Other LDAP servers that the publisher keeps in step.
    pub directories: Vec<PublisherConfig>,
}

impl Default for LdapFile {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            listen: "127.0.0.1:8389".into(),
            tls_listen: None,
            certificate: None,
            key: None,
            public_url: None,
            base: "o=Countersign".into(),
            ca_dn: "cn={ca}".into(),
            partition_dn: "cn={partition},cn={ca}".into(),
            peer_dn: "cn={account},ou=peers".into(),
            peer_dns: BTreeMap::new(),
            max_peers: 100_000,
            max_connections: limits.max_connections,
            max_connections_per_address: limits.max_connections_per_address,
            max_entries: limits.max_entries,
            idle_timeout: limits.idle.into(),
            directories: Vec::new(),
        }
    }
}

/// The section `[ldap]`, checked.
#[derive(Debug, Clone)]
pub struct LdapConfig {
    /// The built-in directory, unless it is off.
    pub directory: Option<DirectoryConfig>,
    /// The DNs of entries, as templates.
    pub layout: Layout,
    /// The most certificates of peers that are published.
    pub max_peers: usize,
    /// Other LDAP servers that the publisher keeps in step.
    pub publishers: Vec<PublisherSettings>,
}

/// Checks the templates of the entries' DNs.
///
/// # Errors
/// A name is not a DN, or lacks a placeholder that tells its entries apart.
pub fn layout(file: &LdapFile) -> Result<Layout, Failure> {
    let config = LayoutConfig {
        base: file.base.clone(),
        ca: file.ca_dn.clone(),
        partition: file.partition_dn.clone(),
        peer: file.peer_dn.clone(),
        peers: file.peer_dns.clone(),
    };
    Layout::new(&config).map_err(|e| Failure::input(format!("ldap.{e}")))
}

/// Checks every other value. The public URL is checked by [`super::urls::PublicUrls`].
///
/// # Errors
/// A value is out of bounds, `listen` cannot be read, one of `certificate` and `key` is missing, a directory's settings are wrong, or two
/// directories have one name.
pub fn check(file: &LdapFile, layout: Layout) -> Result<LdapConfig, Failure> {
    within("ldap.max_connections", file.max_connections, 1, 100_000)?;
    within("ldap.max_connections_per_address", file.max_connections_per_address, 1, 100_000)?;
    within("ldap.max_entries", file.max_entries, 1, 100_000)?;
    within("ldap.max_peers", file.max_peers, 0, 10_000_000)?;
    let tls = match (&file.certificate, &file.key) {
        (Some(certificate), Some(key)) => {
            Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })
        }
        (None, None) => None,
        _ => {
            return Err(Failure::input("ldap.certificate and ldap.key belong together; set both"));
        }
    };
    let limits = Limits {
        max_connections: file.max_connections,
        max_connections_per_address: file.max_connections_per_address,
        max_entries: file.max_entries,
        idle: file.idle_timeout.within("ldap.idle_timeout", 1, 86_400)?,
        ..Limits::default()
    };
    let directory = listen_address(&file.listen)?.map(|listen| DirectoryConfig {
        listen: Some(listen),
        tls_listen: file.tls_listen,
        tls,
        naming_contexts: vec![layout.base().clone()],
        limits,
    });
    let mut publishers: Vec<PublisherSettings> = Vec::new();
    for config in &file.directories {
        let settings = PublisherSettings::new(config)
            .map_err(|e| Failure::input(format!("ldap.directories: {e}")))?;
        if publishers.iter().any(|other| other.name == settings.name) {
            return Err(Failure::input(format!(
                "ldap.directories: two have the name `{}`; give each its own",
                settings.name
            )));
        }
        publishers.push(settings);
    }
    Ok(LdapConfig { directory, layout, max_peers: file.max_peers, publishers })
}

/// The address of the built-in directory; `None` for `off`.
fn listen_address(text: &str) -> Result<Option<SocketAddr>, Failure> {
    match text {
        "off" => Ok(None),
        address => address.parse().map(Some).map_err(|_| {
            Failure::input(format!(
                "expected ldap.listen to be an address and port such as `127.0.0.1:8389`, or `off`, found `{}`",
                address.escape_debug()
            ))
        }),
    }
}
