//! The section `[authorizer]`: the authorizer's socket, policy, trust anchors and sources of certificate status.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use countersign_ca::Identity;
use countersign_ca::path::object_identifier;
use countersign_ike_plugin::decide::AddressIds;
use countersign_ike_plugin::explain::Explainer;
use countersign_ike_plugin::identity::Mapping;
use countersign_ike_plugin::policy::PolicyFiles;
use countersign_ike_plugin::server::SocketSettings;
use countersign_ike_plugin::status::crl_cache::CacheSettings;
use countersign_ike_plugin::status::location::Locations;
use countersign_ike_plugin::status::{Mode, Prefer};
use der::asn1::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use super::values::{DurationText, within};
use crate::exit::Failure;
use crate::folder::DataFolder;

/// The socket on which daemons ask, unless the configuration names another.
pub const SOCKET: &str = "/run/countersign/authorizer.sock";

/// Extended key usages by name (RFC 5280 §4.2.1.12, RFC 4945 §5.1.3.12).
const PURPOSES: [(&str, &str); 5] = [
    ("ipsecIKE", "1.3.6.1.5.5.7.3.17"),
    ("iKEIntermediate", "1.3.6.1.5.5.8.2.2"),
    ("serverAuth", "1.3.6.1.5.5.7.3.1"),
    ("clientAuth", "1.3.6.1.5.5.7.3.2"),
    ("any", "2.5.29.37.0"),
];

/// The section `[authorizer]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizerFile {
    /// Whether `serve` runs an authorizer, too.
    pub serve: bool,
    /// The Unix socket on which daemons ask.
    pub socket: PathBuf,
    /// The permissions of the socket, octal, such as `0660`.
    pub socket_mode: String,
    /// The most connections of daemons at once.
    pub max_connections: usize,
    /// Files of KeyNote policy.
    pub policy: Vec<PathBuf>,
    /// The folder with a folder of credentials for each identity.
    pub credentials: Option<PathBuf>,
    /// Whether SHA-1, MD5 and DSA signatures of credentials count.
    pub legacy_signatures: bool,
    /// Whether the policy is asked only about traffic (IKEv1 phase 2, Child SAs of IKEv2) and not about the peer, as isakmpd does.
    pub policy_in_phase_2_only: bool,
    /// Files of CA certificates that are trust anchors, PEM or DER.
    pub anchors: Vec<PathBuf>,
    /// Files of CA certificates that complete a path and are not trust anchors.
    pub intermediates: Vec<PathBuf>,
    /// Extended key usages, dotted or by name. A certificate that names any must have one of these.
    pub key_purposes: Vec<String>,
    /// The most peers whose checked path, status and identity the authorizer caches.
    pub max_kept: usize,
    /// The folder of the decision log; `decisions` in the data folder if `None`.
    pub decisions: Option<PathBuf>,
    /// Identities that the policy sees in place of key IDs, subnets and ranges.
    pub identities: BTreeMap<String, String>,
    /// Where a peer may send from if its identity is an IP address: only from that address (`source`), or from anywhere (`any`).
    pub address_ids: String,
    /// How strictly the status of certificates is checked: `strict`, `if-present` or `off`.
    pub status: String,
    /// Prefixes of URLs in certificates that the authorizer may fetch.
    pub locations: Vec<String>,
    /// CRLs besides those that certificates name: URLs and files.
    pub crls: Vec<String>,
    /// The `http:` URL of the certificate store (RFC 4387) with the certificates that a daemon does not hand over; `None` for no such
    /// store.
    pub certificates: Option<String>,
    /// `http:` URLs of OCSP responders besides those that certificates name.
    pub ocsp: Vec<String>,
    /// The source that is asked first: `crl` or `ocsp`.
    pub prefer: String,
    /// The folder in which CRLs outlast a restart; `status` in the data folder if `None`.
    pub crl_cache: Option<PathBuf>,
    /// The longest time until a CRL is fetched again, and until a responder is asked again about a certificate.
    pub crl_refresh: DurationText,
}

impl Default for AuthorizerFile {
    fn default() -> Self {
        Self {
            serve: false,
            socket: SOCKET.into(),
            socket_mode: "0600".into(),
            max_connections: 256,
            policy: Vec::new(),
            credentials: None,
            legacy_signatures: false,
            policy_in_phase_2_only: false,
            anchors: Vec::new(),
            intermediates: Vec::new(),
            key_purposes: PURPOSES.map(|(name, _)| name.to_owned()).into(),
            max_kept: 100_000,
            decisions: None,
            identities: BTreeMap::new(),
            address_ids: "source".into(),
            status: "strict".into(),
            locations: Vec::new(),
            crls: Vec::new(),
            certificates: None,
            ocsp: Vec::new(),
            prefer: "crl".into(),
            crl_cache: None,
            crl_refresh: Duration::from_secs(300).into(),
        }
    }
}

/// The section `[authorizer]`, checked.
#[derive(Debug, Clone)]
pub struct AuthorizerConfig {
    /// The socket on which daemons ask.
    pub socket: SocketSettings,
    /// The files of the policy.
    pub files: PolicyFiles,
    /// Identities that the policy sees in place of the key IDs, subnets and ranges that peers send.
    pub mapping: Mapping,
    /// Where a peer may send from if its identity is an IP address.
    pub address_ids: AddressIds,
    /// The most peers whose checked path, status and identity the authorizer caches.
    pub max_kept: usize,
    /// The folder of the decision log.
    pub decisions: PathBuf,
    /// The trust anchors and the sources of status.
    pub trust: TrustSettings,
}

/// The part of `[authorizer]` that says which certificates are trusted, checked.
#[derive(Debug, Clone)]
pub struct TrustSettings {
    /// Files of CA certificates that are trust anchors, PEM or DER.
    pub anchors: Vec<PathBuf>,
    /// Files of CA certificates that complete a path and are not trust anchors.
    pub intermediates: Vec<PathBuf>,
    /// Extended key usages. A certificate that names any must have one of these.
    pub key_purposes: Vec<ObjectIdentifier>,
    /// How strictly the status of certificates is checked.
    pub mode: Mode,
    /// The URLs in certificates that the authorizer may fetch.
    pub locations: Locations,
    /// CRLs besides those that certificates name: URLs and files.
    pub crls: Vec<String>,
    /// The URL of the certificate store (RFC 4387) with the certificates that a daemon does not hand over.
    pub certificates: Option<String>,
    /// The source of a certificate's status that is asked first.
    pub prefer: Prefer,
    /// `http:` URLs of OCSP responders besides those that certificates name.
    pub responders: Vec<String>,
    /// The folder of cached CRLs, and the longest time until they are fetched again.
    pub cache: CacheSettings,
}

impl AuthorizerConfig {
    /// An explainer of the decisions in the log of this configuration.
    pub fn explainer(&self) -> Explainer {
        Explainer { log: self.decisions.clone(), credentials: self.files.credentials.clone() }
    }
}

/// Checks every value. The decision log and the cached CRLs are in the data folder unless the operator names other folders.
///
/// # Errors
/// A value is out of bounds, is not one of the words that the setting knows, or cannot be read as a mode, URL, identity or object
/// identifier.
pub fn check(file: &AuthorizerFile, folder: &DataFolder) -> Result<AuthorizerConfig, Failure> {
    let digits = file.socket_mode.strip_prefix("0o").unwrap_or(&file.socket_mode);
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| mode & !0o666 == 0);
    let mode = mode.ok_or_else(|| {
        Failure::input(format!(
            "expected authorizer.socket_mode to be octal such as `0600` or `0660`, found `{}`",
            file.socket_mode.escape_debug()
        ))
    })?;
    within("authorizer.max_connections", file.max_connections, 1, 10_000)?;
    within("authorizer.max_kept", file.max_kept, 1, 10_000_000)?;
    Ok(AuthorizerConfig {
        socket: SocketSettings {
            path: file.socket.clone(),
            mode,
            max_connections: file.max_connections,
        },
        files: PolicyFiles {
            policies: file.policy.clone(),
            credentials: file.credentials.clone(),
            legacy_signatures: file.legacy_signatures,
            phase_2_only: file.policy_in_phase_2_only,
        },
        mapping: mapping(&file.identities)?,
        address_ids: address_ids(&file.address_ids)?,
        max_kept: file.max_kept,
        decisions: file.decisions.clone().unwrap_or_else(|| folder.path().join("decisions")),
        trust: trust(file, folder)?,
    })
}

fn trust(file: &AuthorizerFile, folder: &DataFolder) -> Result<TrustSettings, Failure> {
    let mode = status_mode(&file.status)?;
    let prefer = prefer(&file.prefer)?;
    let named = file.ocsp.iter().map(|url| ("ocsp", url));
    let named = named.chain(file.certificates.iter().map(|url| ("certificates", url)));
    if let Some((key, other)) = named.into_iter().find(|(_, url)| !url.starts_with("http://")) {
        return Err(Failure::input(format!(
            "expected authorizer.{key} to have `http:` URLs, found `{}`",
            other.escape_debug()
        )));
    }
    let key_purposes = file.key_purposes.iter().map(|text| key_purpose(text));
    Ok(TrustSettings {
        anchors: file.anchors.clone(),
        intermediates: file.intermediates.clone(),
        key_purposes: key_purposes.collect::<Result<_, _>>()?,
        mode,
        locations: Locations::new(&file.locations)
            .map_err(|why| Failure::input(format!("authorizer.locations: {why}")))?,
        crls: file.crls.clone(),
        certificates: file.certificates.clone(),
        prefer,
        responders: file.ocsp.clone(),
        cache: CacheSettings {
            folder: Some(file.crl_cache.clone().unwrap_or_else(|| folder.path().join("status"))),
            refresh: file.crl_refresh.within("authorizer.crl_refresh", 2, 7 * 86_400)?,
        },
    })
}

fn status_mode(text: &str) -> Result<Mode, Failure> {
    match text {
        "strict" => Ok(Mode::Strict),
        "if-present" => Ok(Mode::IfPresent),
        "off" => Ok(Mode::Off),
        other => Err(Failure::input(format!(
            "expected authorizer.status to be `strict`, `if-present` or `off`, found `{}`",
            other.escape_debug()
        ))),
    }
}

fn prefer(text: &str) -> Result<Prefer, Failure> {
    match text {
        "crl" => Ok(Prefer::Crl),
        "ocsp" => Ok(Prefer::Ocsp),
        other => Err(Failure::input(format!(
            "expected authorizer.prefer to be `crl` or `ocsp`, found `{}`",
            other.escape_debug()
        ))),
    }
}

fn address_ids(text: &str) -> Result<AddressIds, Failure> {
    match text {
        "source" => Ok(AddressIds::Source),
        "any" => Ok(AddressIds::Any),
        other => Err(Failure::input(format!(
            "expected authorizer.address_ids to be `source` or `any`, found `{}`",
            other.escape_debug()
        ))),
    }
}

/// Reads `identities`. A key (a key ID, subnet or range) stays text, in the form in which the peer sends it; a value must be an identity.
fn mapping(written: &BTreeMap<String, String>) -> Result<Mapping, Failure> {
    let each = written.iter().map(|(sent, name)| {
        let identity: Identity = name
            .parse()
            .map_err(|e| Failure::input(format!("authorizer.identities `{sent}`: {e}")))?;
        Ok((sent.clone(), identity))
    });
    each.collect::<Result<_, Failure>>().map(Mapping)
}

fn key_purpose(text: &str) -> Result<ObjectIdentifier, Failure> {
    let known = PURPOSES.iter().find(|(name, _)| *name == text).map_or(text, |(_, oid)| *oid);
    object_identifier(known).ok_or_else(|| {
        Failure::input(format!(
            "expected authorizer.key_purposes to have object identifiers such as `1.3.6.1.5.5.7.3.17` or names such as `ipsecIKE`, \
             found `{}`",
            text.escape_debug()
        ))
    })
}
