//! The authorizer as a process has it: its configuration, and what it is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use countersign_ca::certificate::read_all;
use countersign_ca::identity::Identity;
use countersign_ca::{Authority, SystemClock, Timestamp};
use countersign_ike_plugin::authorizer::{AddressIds, Authorizer};
use countersign_ike_plugin::decision::DecisionLog;
use countersign_ike_plugin::explain::Explainer;
use countersign_ike_plugin::identity::Mapping;
use countersign_ike_plugin::policy::{Policy, PolicyFiles};
use countersign_ike_plugin::server::{AuthorizerServer, SocketSettings};
use serde::{Deserialize, Serialize};

use crate::config::within;
use crate::exit::Failure;
use crate::folder::DataFolder;
use super::trust;

/// Where daemons ask.
pub const SOCKET: &str = "/run/countersign/authorizer.sock";

/// `[authorizer]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizerFile {
    /// Whether `serve` runs an authorizer, too.
    pub serve: bool,
    /// The Unix socket on which daemons ask.
    pub socket: PathBuf,
    /// The mode of the socket, octal.
    pub socket_mode: String,
    /// The most connections at once.
    pub max_connections: usize,
    /// Files of KeyNote policy.
    pub policy: Vec<PathBuf>,
    /// The folder of credentials by identity.
    pub credentials: Option<PathBuf>,
    /// Whether SHA-1, MD5 and DSA signatures of credentials count.
    pub legacy_signatures: bool,
    /// Whether the policy is asked in phase 2 only, as isakmpd does.
    pub policy_in_phase_2_only: bool,
    /// Files of CA certificates that are trusted, PEM or DER.
    pub anchors: Vec<PathBuf>,
    /// Files of CA certificates that are not trusted of themselves.
    pub intermediates: Vec<PathBuf>,
    /// Extended key usages of which a certificate must have one, if it names any: dotted or by name.
    pub key_purposes: Vec<String>,
    /// How many peers are known at once.
    pub max_kept: usize,
    /// The folder of the decision log.
    pub decisions: Option<PathBuf>,
    /// Names that stand for key IDs, subnets and ranges.
    pub identities: BTreeMap<String, String>,
    /// From where a peer may send whose identity is an address: `source` or `any`.
    pub address_ids: String,
    /// What must be known of a certificate: `strict`, `if-present` or `off`.
    pub status: String,
    /// Beginnings of URLs in certificates that may be fetched.
    pub locations: Vec<String>,
    /// CRLs besides those that certificates name: URLs and files.
    pub crls: Vec<String>,
    /// The certificate store (RFC 4387) in which certificates are looked up that a daemon does not tell.
    pub certificates: Option<String>,
    /// OCSP responders besides those that certificates name.
    pub ocsp: Vec<String>,
    /// What is asked first: `crl` or `ocsp`.
    pub prefer: String,
    /// The folder in which CRLs outlast a restart.
    pub crl_cache: Option<PathBuf>,
    /// After which time a CRL is fetched again at the latest.
    pub crl_refresh: String,
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
            key_purposes: ["ipsecIKE", "iKEIntermediate", "serverAuth", "clientAuth", "any"]
                .map(str::to_owned)
                .into(),
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
            crl_refresh: "5m".into(),
        }
    }
}

/// `[authorizer]`, checked.
#[derive(Debug, Clone)]
pub struct AuthorizerConfig {
    /// The socket.
    pub socket: SocketSettings,
    /// The policy.
    pub files: PolicyFiles,
    /// Names that stand for other identities.
    pub mapping: Mapping,
    /// From where a peer may send whose identity is an address.
    pub address_ids: AddressIds,
    /// How many peers are known at once.
    pub max_kept: usize,
    /// The folder of the decision log.
    pub decisions: PathBuf,
    /// Path and status.
    pub trust: trust::TrustSettings,
}

impl AuthorizerConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// A value is not what it must be.
    pub fn check(file: &AuthorizerFile, folder: &DataFolder) -> Result<Self, Failure> {
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
        Ok(Self {
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
            trust: trust::TrustSettings::check(file, folder)?,
        })
    }

    /// What explains decisions of this log.
    pub fn explainer(&self) -> Explainer {
        Explainer { log: self.decisions.clone(), credentials: self.files.credentials.clone() }
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

fn mapping(of: &BTreeMap<String, String>) -> Result<Mapping, Failure> {
    let each = of.iter().map(|(said, name)| {
        let identity: Identity = name
            .parse()
            .map_err(|e| Failure::input(format!("authorizer.identities `{said}`: {e}")))?;
        Ok((said.clone(), identity))
    });
    each.collect::<Result<_, Failure>>().map(Mapping)
}

/// An authorizer that serves its socket until it is dropped.
pub struct Running {
    authorizer: Arc<Authorizer>,
    _server: AuthorizerServer,
}

impl Running {
    /// Starts; with an authority, its store says what is revoked, and its roots are trusted.
    ///
    /// # Errors
    /// Policy, anchors or socket are not usable.
    pub fn start(
        config: &AuthorizerConfig,
        authority: Option<&Arc<Authority>>,
    ) -> Result<Self, Failure> {
        if config.files.policies.is_empty() {
            return Err(Failure::input(
                "expected authorizer.policy to name a file of KeyNote policy, found none: without one nobody is let in; \
                 docs/authorizer.md shows one",
            ));
        }
        let trust = trust::start(&config.trust, authority)?;
        let policy = Policy::load(config.files.clone()).map_err(Failure::input)?;
        let log = DecisionLog::open(&config.decisions)
            .map_err(|e| Failure::unavailable(format!("`{}`: {e}", config.decisions.display())))?;
        let authorizer = Authorizer::new(
            trust,
            policy,
            config.mapping.clone(),
            Arc::new(SystemClock),
            log,
            config.max_kept,
        );
        let authorizer = authorizer.map_err(Failure::unavailable)?;
        let authorizer = Arc::new(authorizer.with_address_ids(config.address_ids));
        let path = config.socket.path.display();
        let server = AuthorizerServer::start(Arc::clone(&authorizer), &config.socket)
            .map_err(|e| Failure::unavailable(format!("`{path}`: {e}")))?;
        tracing::info!(socket = %path, policy = %authorizer.policy().digest(), "daemons may ask");
        Ok(Self { authorizer, _server: server })
    }

    /// Loads the policy again; a broken one is refused.
    pub fn reload(&self) {
        match self.authorizer.reload() {
            Ok(policy) => {
                tracing::info!(policy = %policy.digest(), assertions = policy.len(), "the policy was loaded again");
            }
            Err(why) => tracing::error!("the policy is not taken, and the old one stays: {why}"),
        }
    }

    /// In words, what an operator must see to before peers are refused for it.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let told = |why: String| format!("the authorizer: {why}");
        self.authorizer.troubles(now).into_iter().map(told).collect()
    }

    /// What decides.
    pub fn authorizer(&self) -> &Arc<Authorizer> {
        &self.authorizer
    }
}

/// The certificates of files, PEM or DER.
///
/// # Errors
/// A file holds none.
pub fn certificates(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut all = Vec::new();
    for path in files {
        let octets = std::fs::read(path)
            .map_err(|e| Failure::unavailable(format!("`{}`: {e}", path.display())))?;
        let read =
            read_all(&octets).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))?;
        all.extend(read);
    }
    Ok(all)
}
