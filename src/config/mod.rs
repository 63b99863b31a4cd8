//! `countersign.toml`: loose at first, checked once, and never again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_ca::authority::{CrlSettings, LockSettings, Settings};
use countersign_ca::profile::{DefaultUrls, Profile, ProfileConfig, Profiles};
use countersign_ca::record::Label;
use countersign_enroll::cmp::{Bounds, CmpConfig, Protections, Rules, default_workers};
use countersign_ldap_bridge::directory::{DirectoryConfig, Limits, TlsFiles};
use countersign_ldap_bridge::ocsp::OcspConfig;
use countersign_ldap_bridge::publisher::{PublisherConfig, PublisherSettings};
use countersign_ldap_bridge::tree::{Layout, LayoutConfig};
use serde::{Deserialize, Serialize};

use crate::authorizer::{AuthorizerConfig, AuthorizerFile};
use crate::exit::Failure;
use crate::folder::DataFolder;
use crate::cli::gateway::{self, Gateways};

/// The largest configuration file, in bytes.
const MAX: u64 = 1 << 20;

/// The annotated default, as `init` writes it.
pub const TEMPLATE: &str = include_str!("../countersign.toml");

/// The file as an operator writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// HTTP.
    pub http: HttpFile,
    /// The authority.
    pub authority: AuthorityFile,
    /// CRLs.
    pub crl: CrlFile,
    /// OCSP.
    pub ocsp: OcspFile,
    /// Directories.
    pub ldap: LdapFile,
    /// CMP.
    pub cmp: CmpFile,
    /// The authorizer.
    pub authorizer: AuthorizerFile,
    /// Gateways by name.
    pub gateways: Gateways,
    /// Logs.
    pub log: LogFile,
    /// Profiles by name.
    pub profiles: BTreeMap<String, ProfileConfig>,
}

impl ConfigFile {
    /// The keys whose values differ from those of another file, such as `http.listen`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (mut these, mut those) = (BTreeMap::new(), BTreeMap::new());
        for (file, values) in [(self, &mut these), (other, &mut those)] {
            if let Ok(value) = toml::Value::try_from(file) {
                flatten(String::new(), value, values);
            }
        }
        let keys: BTreeSet<&String> = these.keys().chain(those.keys()).collect();
        keys.into_iter().filter(|key| these.get(*key) != those.get(*key)).cloned().collect()
    }
}

fn flatten(key: String, value: toml::Value, into: &mut BTreeMap<String, toml::Value>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(key, value, into);
            }
        }
        value => drop(into.insert(key, value)),
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpFile {
    /// The address and port.
    pub listen: SocketAddr,
    /// The URL under which peers reach this server; CDP and AIA URLs are built from it.
    pub public_url: Option<String>,
    /// The most connections at once.
    pub max_connections: usize,
    /// The most connections at once from one address, or one /64 of IPv6; 0 for no bound but the other.
    pub max_connections_per_address: usize,
    /// How long a client may take to send a request.
    pub request_timeout: String,
    /// How long a client may take nothing of an answer.
    pub write_timeout: String,
    /// How long a connection may stay idle.
    pub keep_alive: String,
    /// How long requests may take to finish when the server stops.
    pub shutdown_timeout: String,
}

impl Default for HttpFile {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8829)),
            public_url: None,
            max_connections: 1024,
            max_connections_per_address: 256,
            request_timeout: "10s".into(),
            write_timeout: "30s".into(),
            keep_alive: "30s".into(),
            shutdown_timeout: "10s".into(),
        }
    }
}

/// `[authority]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorityFile {
    /// The issuing CA of accounts that name none.
    pub default_ca: Option<Label>,
}

/// `[crl]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrlFile {
    /// How long an issuing CA's CRL is valid; it is signed anew after a quarter of that.
    pub validity: String,
    /// The same for a root's.
    pub root_validity: String,
    /// How often an issuing CA's CRL is signed anew, if not after a quarter of its validity; at most half of it.
    pub interval: Option<String>,
    /// Into how many partitions new certificates are divided; 0 for none.
    pub partitions: u16,
    /// Whether delta CRLs are signed.
    pub delta: bool,
}

impl Default for CrlFile {
    fn default() -> Self {
        Self {
            validity: "7d".into(),
            root_validity: "180d".into(),
            interval: None,
            partitions: 0,
            delta: false,
        }
    }
}

/// `[ocsp]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OcspFile {
    /// From thisUpdate to nextUpdate.
    pub validity: String,
    /// How long the certificate that signs answers is valid; it is renewed at half its life.
    pub responder_validity: String,
    /// Whether serial numbers that were never issued are answered `revoked`.
    pub extended_revoked: bool,
    /// The retention that answers tell as archive cut-off, or `off`.
    pub archive_cutoff: String,
    /// The most answers that are kept.
    pub max_cached: usize,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
}

impl Default for OcspFile {
    fn default() -> Self {
        Self {
            validity: "1h".into(),
            responder_validity: "30d".into(),
            extended_revoked: false,
            archive_cutoff: "off".into(),
            max_cached: 10_000,
            max_concurrent: 256,
        }
    }
}

/// `[ldap]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LdapFile {
    /// Where the built-in directory listens, or `off`.
    pub listen: String,
    /// Where it listens for LDAPS.
    pub tls_listen: Option<SocketAddr>,
    /// The certificate for LDAPS and StartTLS, and those above it, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The URL under which peers reach a directory with these entries; CDP and AIA URLs are built from it.
    pub public_url: Option<String>,
    /// The DN above all entries.
    pub base: String,
    /// The entry of a CA, with `{ca}`.
    pub ca_dn: String,
    /// The entry of a CRL's partition, with `{ca}` and `{partition}`.
    pub partition_dn: String,
    /// The entry of a peer, with `{account}`, `{id}` and `{profile}`.
    pub peer_dn: String,
    /// The same for single profiles; empty for none.
    pub peer_dns: BTreeMap<Label, String>,
    /// The most certificates of peers that are published; 0 for none.
    pub max_peers: usize,
    /// The most connections at once.
    pub max_connections: usize,
    /// The most connections at once from one address.
    pub max_connections_per_address: usize,
    /// The most entries of one answer or one page.
    pub max_entries: usize,
    /// How long a client may be silent.
    pub idle_timeout: String,
    /// Directories of others that are kept in step.
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
            idle_timeout: "2m".into(),
            directories: Vec::new(),
        }
    }
}

/// `[cmp]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CmpFile {
    /// By whose rules a header is judged: `rfc9810`, or `rfc9483` to the letter.
    pub profile: CmpRules,
    /// The largest message, in octets.
    pub max_bytes: usize,
    /// The deepest nesting of a message.
    pub max_depth: usize,
    /// The most elements of a message.
    pub max_elements: usize,
    /// The fewest MAC iterations.
    pub min_iterations: u32,
    /// The most MAC iterations, of all blocks of a key together.
    pub max_iterations: u32,
    /// The most iterations that are done for a reference that there is not.
    pub max_unknown_iterations: u32,
    /// Whether a MAC may use SHA-1.
    pub sha1_macs: bool,
    /// The algorithms that may protect a message; all that are known without it.
    pub protection_algorithms: Option<Vec<String>>,
    /// Whether a message for another authority is refused.
    pub check_recipient: bool,
    /// How many wrong secrets in a row from one address lock a reference for that address; 0 for none.
    pub lock_after: u32,
    /// How long the first lock lasts.
    pub lock_time: String,
    /// How far messageTime may be from now.
    pub time_window: String,
    /// Whether messageTime must be there.
    pub require_message_time: bool,
    /// How long a certificate may await its confirmation.
    pub confirm_wait: String,
    /// Whether implicit confirmation is granted.
    pub implicit_confirm: bool,
    /// Whether a shared secret revokes, too.
    pub mac_revocation: bool,
    /// Whether an unprotected genm is answered, for public data only.
    pub unprotected_genm: bool,
    /// The most messages in a nested one.
    pub max_batch: usize,
    /// How long a request may wait, from its arrival until it is approved and its peer has the certificate.
    pub approval_wait: String,
    /// After how long a peer is asked to poll again.
    pub poll_after: String,
    /// The largest content of a genp, in octets.
    pub max_information: usize,
    /// The most messages that are worked on at once, without those that a MAC protects.
    pub max_concurrent: usize,
    /// The most messages that a MAC protects and that are worked on or wait at once.
    pub max_concurrent_macs: usize,
    /// How many keys are derived from secrets at once; 0 for half as many as there are processors.
    pub mac_workers: usize,
    /// How many keys are made for peers at once; 0 for half as many as there are processors.
    pub key_workers: usize,
    /// The most messages of one account that are worked on at once.
    pub max_per_account: usize,
    /// The most octets of all messages that arrive or are worked on, beyond the first 16 KiB of each.
    pub max_large_bodies: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: String,
}

impl Default for CmpFile {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 20,
            max_depth: 32,
            max_elements: 10_000,
            profile: CmpRules::default(),
            min_iterations: 100,
            max_iterations: 2_000_000,
            max_unknown_iterations: 10_000,
            sha1_macs: true,
            protection_algorithms: None,
            check_recipient: true,
            lock_after: 0,
            lock_time: "1m".into(),
            time_window: "5m".into(),
            require_message_time: true,
            confirm_wait: "5m".into(),
            implicit_confirm: true,
            mac_revocation: false,
            unprotected_genm: false,
            max_batch: 32,
            approval_wait: "7d".into(),
            poll_after: "1m".into(),
            max_information: 1 << 20,
            max_concurrent: 256,
            max_concurrent_macs: 256,
            mac_workers: 0,
            key_workers: 0,
            max_per_account: 64,
            max_large_bodies: 32 << 20,
            body_timeout: "10s".into(),
        }
    }
}

/// By whose rules a CMP header is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CmpRules {
    /// RFC 9810.
    #[default]
    Rfc9810,
    /// The lightweight profile, RFC 9483.
    Rfc9483,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogFile {
    /// What is logged, as `tracing` filters: `info`, `warn,countersign_enroll=debug`.
    pub filter: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl Default for LogFile {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Directories, checked.
#[derive(Debug, Clone)]
pub struct LdapConfig {
    /// The built-in directory, unless it is off.
    pub directory: Option<DirectoryConfig>,
    /// How entries are named.
    pub layout: Layout,
    /// The most certificates of peers that are published.
    pub max_peers: usize,
    /// Directories of others.
    pub publishers: Vec<PublisherSettings>,
}

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file's values, as they are in force.
    pub file: ConfigFile,
    /// The profiles.
    pub profiles: Profiles,
    /// The authority's settings.
    pub settings: Settings,
    /// OCSP.
    pub ocsp: OcspConfig,
    /// Directories.
    pub ldap: LdapConfig,
    /// CMP.
    pub cmp: CmpConfig,
    /// The authorizer.
    pub authorizer: AuthorizerConfig,
    /// The locations of a CA's CRL, of OCSP and of a CA, with `{ca}`: what the certificates of CAs name.
    pub ca_urls: DefaultUrls,
    /// How long a client may take.
    pub request_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long a connection may stay idle.
    pub keep_alive: Duration,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
    /// How long the body of a CMP request may take to arrive.
    pub cmp_body_timeout: Duration,
}

impl Config {
    /// Reads and checks the file of a data folder, or another; without a file, the defaults.
    pub fn load(folder: &DataFolder, path: Option<&Path>) -> Result<Self, Failure> {
        let own = folder.config();
        let path = path.unwrap_or(&own);
        let text = match fs::metadata(path) {
            Ok(metadata) if metadata.len() > MAX => {
                return Err(Failure::input(format!(
                    "`{}` is larger than {MAX} bytes",
                    path.display()
                )));
            }
            Ok(_) => fs::read_to_string(path)
                .map_err(|e| Failure::unavailable(format!("`{}`: {e}", path.display())))?,
            Err(_) if path == own => String::new(),
            Err(e) => return Err(Failure::unavailable(format!("`{}`: {e}", path.display()))),
        };
        let file =
            parse(&text).map_err(|why| Failure::input(format!("`{}`: {why}", path.display())))?;
        Self::check(file, folder)
            .map_err(|why| Failure::input(format!("`{}`: {}", path.display(), why.message)))
    }

    /// Has the built-in directory listen elsewhere, or not at all.
    pub fn set_ldap_listen(&mut self, listen: &str) -> Result<(), Failure> {
        self.file.ldap.listen = listen.to_owned();
        self.ldap = ldap(&self.file.ldap, self.ldap.layout.clone())?;
        Ok(())
    }

    /// Checks every value, once.
    pub fn check(file: ConfigFile, folder: &DataFolder) -> Result<Self, Failure> {
        let layout = layout(&file.ldap)?;
        let places = Places::new(&file, &layout)?;
        let profiles =
            Profiles::new(&file.profiles, &places.default_urls(file.crl.partitions > 0))?;
        let settings = Settings {
            default_ca: file.authority.default_ca.clone(),
            crl: crl(&file.crl, &places, &profiles, folder)?,
            locks: LockSettings {
                after: file.cmp.lock_after,
                first: duration("cmp.lock_time", &file.cmp.lock_time, 1, 86_400)?,
            },
            responder_validity: duration(
                "ocsp.responder_validity",
                &file.ocsp.responder_validity,
                3600,
                366 * 86_400,
            )?,
        };
        let ocsp = ocsp(&file.ocsp, settings.responder_validity)?;
        let ldap = ldap(&file.ldap, layout)?;
        let cmp = cmp(&file.cmp)?;
        gateway::check(&file.gateways)?;
        within("http.max_connections", file.http.max_connections, 1, 100_000)?;
        let of_one = file.http.max_connections_per_address;
        within("http.max_connections_per_address", of_one, 0, 100_000)?;
        within("ocsp.max_concurrent", file.ocsp.max_concurrent, 1, 10_000)?;
        within("cmp.max_concurrent", file.cmp.max_concurrent, 1, 10_000)?;
        Ok(Self {
            profiles,
            settings,
            ocsp,
            ldap,
            cmp,
            authorizer: AuthorizerConfig::check(&file.authorizer, folder)?,
            // Only peers' certificates are divided.
            ca_urls: places.default_urls(false),
            request_timeout: duration("http.request_timeout", &file.http.request_timeout, 1, 600)?,
            write_timeout: duration("http.write_timeout", &file.http.write_timeout, 1, 600)?,
            keep_alive: duration("http.keep_alive", &file.http.keep_alive, 1, 3600)?,
            cmp_body_timeout: duration("cmp.body_timeout", &file.cmp.body_timeout, 1, 600)?,
            shutdown_timeout: duration(
                "http.shutdown_timeout",
                &file.http.shutdown_timeout,
                1,
                600,
            )?,
            file,
        })
    }
}

/// Reads the text; an unknown key is named with its line and the key that may be meant.
pub fn parse(text: &str) -> Result<ConfigFile, String> {
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let message = e.message();
        let line = e.span().map_or(0, |span| {
            text.get(..span.start).unwrap_or("").matches('\n').count().saturating_add(1)
        });
        format!("line {line}: {message}{}", did_you_mean(message))
    })
}

/// serde names the unknown key and the known ones in backticks, the unknown one first.
fn did_you_mean(message: &str) -> String {
    if !message.contains("unknown field") && !message.contains("unknown variant") {
        return String::new();
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next() else { return String::new() };
    let close = quoted.max_by(|a, b| {
        strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown))
    });
    close
        .filter(|known| strsim::jaro_winkler(known, unknown) > 0.8)
        .map(|known| format!("; did you mean `{known}`?"))
        .unwrap_or_default()
}

/// A URL that may hold a password, which no message shows.
fn shown(url: &str) -> String {
    let hidden = url.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (_, host) = authority.rsplit_once('@')?;
        Some(format!("{scheme}://…@{host}{path}"))
    });
    hidden.unwrap_or_else(|| url.escape_debug().to_string())
}

/// Where peers find this server: the beginnings of the URLs in certificates.
struct Places {
    http: Option<String>,
    ldap: Option<(String, Layout)>,
}

impl Places {
    fn new(file: &ConfigFile, layout: &Layout) -> Result<Self, Failure> {
        let ldap = file.ldap.public_url.as_deref().map(|url| url.trim_end_matches('/'));
        if let Some(url) = ldap.filter(|url| {
            !url.starts_with("ldap://")
                || !url.bytes().all(|b| b.is_ascii_graphic())
                || url.contains(['?', '@', '#'])
                || url.matches('/').count() > 2
        }) {
            return Err(Failure::input(format!(
                "expected ldap.public_url to be an `ldap:` URL without a DN such as `ldap://ldap.example.net`, found `{}`; IKE \
                 daemons fetch CRLs without TLS, and take `ldaps:` for `ldap:`",
                shown(url)
            )));
        }
        let http = file.http.public_url.as_deref().map(|url| url.trim_end_matches('/'));
        match http {
            Some(url)
                if !url.starts_with("http://") || !url.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                Err(Failure::input(format!(
                    "expected http.public_url to be an `http:` URL such as `http://pki.example.net`, found `{}`; CRLs are \
                     signed, and daemons fetch them without TLS",
                    shown(url)
                )))
            }
            // It stands in every certificate, for anybody to read, and paths are put behind it.
            Some(url) if url.contains(['@', '?', '#']) => Err(Failure::input(format!(
                "expected http.public_url without user, password, query and fragment, such as `http://pki.example.net`, found `{}`; every \
                 certificate shows it, and `/crl/…` follows it",
                shown(url)
            ))),
            _ => Ok(Self {
                http: http.map(str::to_owned),
                ldap: ldap.map(|url| (url.to_owned(), layout.clone())),
            }),
        }
    }

    fn default_urls(&self, partitions: bool) -> DefaultUrls {
        DefaultUrls {
            crl: match partitions {
                true => self.partition_urls(),
                false => self.both("crl/{ca}.crl", Layout::crl_url),
            },
            ocsp: self.http("ocsp"),
            ca_issuers: self.both("ca/{ca}.cer", Layout::ca_url),
        }
    }

    fn partition_urls(&self) -> Vec<String> {
        self.both("crl/{ca}/{partition}.crl", Layout::partition_url)
    }

    fn delta_urls(&self) -> Vec<String> {
        self.both("crl/{ca}/delta.crl", Layout::delta_url)
    }

    /// HTTP first: more daemons read it.
    fn both(&self, path: &str, entry: fn(&Layout, &str) -> String) -> Vec<String> {
        let ldap = self.ldap.iter().map(|(server, layout)| entry(layout, server));
        self.http(path).into_iter().chain(ldap).collect()
    }

    fn http(&self, path: &str) -> Vec<String> {
        self.http.iter().map(|url| format!("{url}/{path}")).collect()
    }
}

fn crl(
    file: &CrlFile,
    places: &Places,
    profiles: &Profiles,
    folder: &DataFolder,
) -> Result<CrlSettings, Failure> {
    let validity = duration("crl.validity", &file.validity, 600, 366 * 86_400)?;
    let interval = file.interval.as_ref();
    let interval = interval
        .map(|text| duration("crl.interval", text, 60, validity.as_secs() / 2))
        .transpose()?;
    within("crl.partitions", file.partitions.into(), 0, 4096)?;
    let mut partition_urls = places.partition_urls();
    for url in profiles.iter().flat_map(Profile::partition_urls) {
        if !partition_urls.contains(url) {
            partition_urls.push(url.clone());
        }
    }
    let delta_urls = places.delta_urls();
    if (file.partitions > 0 && partition_urls.is_empty()) || (file.delta && delta_urls.is_empty()) {
        return Err(Failure::input(
            "crl.partitions and crl.delta need http.public_url: certificates and CRLs name where these CRLs are",
        ));
    }
    if file.partitions == 0 && profiles.iter().any(Profile::names_partition) {
        return Err(Failure::input(
            "a profile's crl_urls name a `{partition}`, and crl.partitions is 0; set it to the number of partitions",
        ));
    }
    Ok(CrlSettings {
        validity,
        root_validity: duration("crl.root_validity", &file.root_validity, 3600, 3660 * 86_400)?,
        interval,
        partitions: file.partitions,
        partition_urls,
        delta: file.delta,
        delta_urls,
        full_urls: places.default_urls(false).crl,
        folder: folder.crls(),
    })
}

fn ocsp(file: &OcspFile, responder_validity: Duration) -> Result<OcspConfig, Failure> {
    within("ocsp.max_cached", file.max_cached, 0, 10_000_000)?;
    let validity = duration("ocsp.validity", &file.validity, 10, 31 * 86_400)?;
    // The responder is renewed at half its life, and no answer outlives it.
    if validity > responder_validity / 2 {
        return Err(Failure::input(format!(
            "expected ocsp.validity to be at most half of ocsp.responder_validity, found `{}` and `{}`",
            file.validity, file.responder_validity
        )));
    }
    let archive_cutoff = match file.archive_cutoff.as_str() {
        "off" => None,
        text => Some(duration("ocsp.archive_cutoff", text, 86_400, 50 * 366 * 86_400)?),
    };
    Ok(OcspConfig {
        validity,
        extended_revoked: file.extended_revoked,
        archive_cutoff,
        max_cached: file.max_cached,
    })
}

fn layout(file: &LdapFile) -> Result<Layout, Failure> {
    let config = LayoutConfig {
        base: file.base.clone(),
        ca: file.ca_dn.clone(),
        partition: file.partition_dn.clone(),
        peer: file.peer_dn.clone(),
        peers: file.peer_dns.clone(),
    };
    Layout::new(&config).map_err(|e| Failure::input(format!("ldap.{e}")))
}

fn ldap(file: &LdapFile, layout: Layout) -> Result<LdapConfig, Failure> {
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
        idle: duration("ldap.idle_timeout", &file.idle_timeout, 1, 86_400)?,
        ..Limits::default()
    };
    let directory = ldap_listen(&file.listen)?.map(|listen| DirectoryConfig {
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

/// Where the built-in directory listens; `None` for `off`.
pub fn ldap_listen(text: &str) -> Result<Option<SocketAddr>, Failure> {
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

fn cmp(file: &CmpFile) -> Result<CmpConfig, Failure> {
    within("cmp.max_bytes", file.max_bytes, 4096, 64 << 20)?;
    // One message of the largest size fits in at least.
    within("cmp.max_large_bodies", file.max_large_bodies, file.max_bytes, 4 << 30)?;
    within("cmp.max_depth", file.max_depth, 16, 64)?;
    within("cmp.max_elements", file.max_elements, 100, 1_000_000)?;
    within("cmp.max_information", file.max_information, 4096, 64 << 20)?;
    within("cmp.max_batch", file.max_batch, 1, 256)?;
    within("cmp.max_concurrent_macs", file.max_concurrent_macs, 1, 10_000)?;
    within("cmp.mac_workers", file.mac_workers, 0, 1024)?;
    within("cmp.key_workers", file.key_workers, 0, 1024)?;
    within("cmp.max_per_account", file.max_per_account, 1, 10_000)?;
    if !(1..=10_000_000).contains(&file.max_unknown_iterations) {
        return Err(Failure::input(format!(
            "expected 1 ≤ cmp.max_unknown_iterations ≤ 10000000, found {}",
            file.max_unknown_iterations
        )));
    }
    if !(1..=file.max_iterations).contains(&file.min_iterations) || file.max_iterations > 10_000_000
    {
        return Err(Failure::input(format!(
            "expected 1 ≤ cmp.min_iterations ≤ cmp.max_iterations ≤ 10000000, found {} and {}",
            file.min_iterations, file.max_iterations
        )));
    }
    Ok(CmpConfig {
        rules: match file.profile {
            CmpRules::Rfc9810 => Rules::Rfc9810,
            CmpRules::Rfc9483 => Rules::Rfc9483,
        },
        bounds: Bounds {
            bytes: file.max_bytes,
            depth: file.max_depth,
            elements: file.max_elements,
        },
        iterations: file.min_iterations..=file.max_iterations,
        decoy_iterations: file.max_unknown_iterations.min(file.max_iterations),
        sha1_macs: file.sha1_macs,
        protections: match &file.protection_algorithms {
            Some(names) => Protections::of(names.iter().map(String::as_str))
                .map_err(|e| Failure::input(format!("cmp.protection_algorithms: {e}")))?,
            None => Protections::default(),
        },
        check_recipient: file.check_recipient,
        time_window: duration("cmp.time_window", &file.time_window, 10, 86_400)?,
        require_message_time: file.require_message_time,
        confirm_wait: duration("cmp.confirm_wait", &file.confirm_wait, 10, 7 * 86_400)?,
        implicit_confirm: file.implicit_confirm,
        mac_revocation: file.mac_revocation,
        unprotected_genm: file.unprotected_genm,
        max_batch: file.max_batch,
        approval_wait: duration("cmp.approval_wait", &file.approval_wait, 60, 90 * 86_400)?,
        poll_after: duration("cmp.poll_after", &file.poll_after, 1, 86_400)?,
        max_information: file.max_information,
        mac_workers: match file.mac_workers {
            0 => default_workers(),
            count => count,
        },
        key_workers: match file.key_workers {
            0 => default_workers(),
            count => count,
        },
        max_per_account: file.max_per_account,
    })
}

/// Refuses a number out of bounds.
pub fn within(key: &str, value: usize, least: usize, most: usize) -> Result<(), Failure> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => {
            Err(Failure::input(format!("expected {key} from {least} to {most}, found {value}")))
        }
    }
}

/// Reads a duration such as `7d`, within bounds in seconds.
pub fn duration(key: &str, text: &str, least: u64, most: u64) -> Result<Duration, Failure> {
    let expected = |why: String| {
        Failure::input(format!(
            "expected {key} from {} to {}, found `{}`{why}",
            humantime::format_duration(Duration::from_secs(least)),
            humantime::format_duration(Duration::from_secs(most)),
            text.escape_debug()
        ))
    };
    let parsed = humantime::parse_duration(text).map_err(|e| expected(format!(": {e}")))?;
    match (least..=most).contains(&parsed.as_secs()) {
        true => Ok(parsed),
        false => Err(expected(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotated_default_says_what_is_in_force() {
        assert_eq!(parse(TEMPLATE).unwrap(), ConfigFile::default());
        // Every key stands in it, most of them as comments: uncommented, they are the defaults still.
        let uncommented: String = TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("#= ").unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let shown = parse(&uncommented).unwrap();
        assert_eq!(
            ConfigFile { profiles: BTreeMap::new(), ..shown.clone() },
            ConfigFile::default()
        );
        assert_eq!(
            shown.profiles.get("gateway"),
            countersign_ca::profile::built_in("gateway").as_ref()
        );
        let values = toml::Value::try_from(ConfigFile::default()).unwrap();
        for (section, keys) in values.as_table().unwrap() {
            for key in keys.as_table().into_iter().flatten().map(|(key, _)| key) {
                assert!(
                    TEMPLATE.contains(&format!("{key} = ")),
                    "{section}.{key} is not in the annotated default"
                );
            }
        }
    }

    #[test]
    fn what_differs_between_two_files_is_named() {
        let before =
            parse("[http]\nkeep_alive = \"10s\"\n[profiles.a]\nvalidity = \"1d\"").unwrap();
        let after = parse(
            "[log]\nfilter = \"debug\"\n[profiles.b]\n[ldap]\npeer_dns = { a = \"cn={id}\" }",
        )
        .unwrap();
        assert_eq!(before.differences(&before), [""; 0]);
        let keys = before.differences(&after);
        for key in ["http.keep_alive", "log.filter", "ldap.peer_dns.a", "profiles.a.validity"] {
            assert!(keys.iter().any(|found| found == key), "{key}: {keys:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_was_meant() {
        let why =
            parse("[http]\nlisten = \"127.0.0.1:1\"\npublik_url = \"http://x\"\n").unwrap_err();
        assert!(why.contains("line 3") && why.contains("did you mean `public_url`?"), "{why}");
        let why = parse("[profiles.gateway]\nvalidty = \"1d\"\n").unwrap_err();
        assert!(why.contains("did you mean `validity`?"), "{why}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        let folder = DataFolder::new(Path::new("x"));
        for (text, word) in [
            ("[crl]\nvalidity = \"1s\"", "crl.validity"),
            ("[crl]\ninterval = \"4d\"", "crl.interval"),
            ("[crl]\npartitions = 8", "http.public_url"),
            ("[crl]\ndelta = true", "http.public_url"),
            ("[profiles.gateway]\ncrl_urls = [\"http://x/{partition}\"]", "crl.partitions"),
            ("[ocsp]\nvalidity = \"1s\"", "ocsp.validity"),
            ("[ocsp]\nvalidity = \"16d\"", "half of ocsp.responder_validity"),
            ("[ocsp]\narchive_cutoff = \"never\"", "ocsp.archive_cutoff"),
            ("[profiles.gateway]\nocsp_urls = [\"ldap://x/?a\"]", "http:"),
            ("[ldap]\nlisten = \"nowhere\"", "ldap.listen"),
            ("[ldap]\npublic_url = \"ldaps://x\"", "ldap.public_url"),
            ("[ldap]\npublic_url = \"ldap://x/o=y\"", "ldap.public_url"),
            ("[ldap]\nca_dn = \"cn=x\"", "ldap.ca_dn"),
            ("[ldap]\nkey = \"x\"", "ldap.certificate"),
            ("[ldap]\npeer_dns = { user = \"mail={id}\" }", "peer_dns"),
            ("[[ldap.directories]]\nname = \"a\"\nurls = []", "urls"),
            ("[cmp]\nmin_iterations = 0", "cmp.min_iterations"),
            ("[cmp]\nmax_depth = 1000", "cmp.max_depth"),
            ("[cmp]\nmax_concurrent_macs = 0", "cmp.max_concurrent_macs"),
            ("[cmp]\nkey_workers = 1025", "cmp.key_workers"),
            ("[cmp]\nmax_bytes = 65536\nmax_large_bodies = 65535", "cmp.max_large_bodies"),
            ("[cmp]\nmax_per_account = 0", "cmp.max_per_account"),
            ("[cmp]\nbody_timeout = \"0s\"", "cmp.body_timeout"),
            ("[cmp]\nmax_batch = 0", "cmp.max_batch"),
            ("[cmp]\npoll_after = \"0s\"", "cmp.poll_after"),
            ("[cmp]\napproval_wait = \"1s\"", "cmp.approval_wait"),
            ("[http]\nmax_connections = 0", "http.max_connections"),
            ("[cmp]\nprotection_algorithms = [\"hmac\"]", "cmp.protection_algorithms"),
            ("[http]\npublic_url = \"https://x\"", "http.public_url"),
            ("[http]\npublic_url = \"http://u:hidden@x\"", "http://…@x"),
            ("[http]\npublic_url = \"http://x/?a=b\"", "query"),
            ("[http]\npublic_url = \"http://x/#f\"", "fragment"),
            ("[ldap]\npublic_url = \"ldap://u:hidden@x\"", "ldap://…@x"),
            ("[profiles.gateway]\nkeys = []", "profile `gateway`"),
        ] {
            let failure = Config::check(parse(text).unwrap(), &folder).unwrap_err();
            assert!(
                failure.code == 2 && failure.message.contains(word),
                "{text}: {}",
                failure.message
            );
        }
    }
}
