//! The policy in force, and the form in which a peer asks it.
//!
//! The policy is asked as in isakmpd. The requesters of a peer with a certificate are its key and its name. Each certificate of the
//! peer's path becomes an assertion by which the issuer trusts the subject. Credentials that the operator keeps for the peer's identity
//! take part if their signatures are valid.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use countersign_policy::ipsec::{self, Delegation, Party};
use countersign_policy::key::PublicKey;
use countersign_policy::lint::errors;
use countersign_policy::set::MAX_CREDENTIAL;
use countersign_policy::syntax::parse_file;
use countersign_policy::{
    AttributeSet, ComplianceValues, Finding, LegacySignatures, PolicySet, Principal, Question,
    Requesters, Source,
};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::issuers::{IssuerTable, Issuers, delegation};
use super::proof::Proof;
use countersign_ca::path::ValidPath;

/// The largest policy file, in octets.
const MAX_POLICY: u64 = 256 << 20;
/// The most credentials of a peer for which the log says why they were dropped.
const MAX_SAID: usize = 16;
/// The octets that follow each file in the text of a policy.
const BEHIND: &[u8] = b"\n\n";
/// The name of the file with a peer's credentials, as in isakmpd.
const CREDENTIALS: &str = "credentials";

/// The operator's settings of the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyFiles {
    /// The files of trusted assertions.
    pub policies: Vec<PathBuf>,
    /// A folder with a folder for each identity, named as [`PeerId`](crate::identity::PeerId) displays it. Its file `credentials` takes
    /// part when a peer of that identity asks. `None` if the operator keeps no credentials.
    pub credentials: Option<PathBuf>,
    /// Whether credentials may be signed with SHA-1, MD5 or DSA.
    pub legacy_signatures: bool,
    /// Whether the policy is asked in phase 2 only, as isakmpd does.
    pub phase_2_only: bool,
}

/// The policy in force. [`Policy::reload`] replaces it atomically: a question that has begun continues with the old one.
pub struct Policy {
    files: PolicyFiles,
    current: RwLock<Arc<LoadedPolicy>>,
}

/// A policy as it was loaded.
pub struct LoadedPolicy {
    set: PolicySet,
    values: ComplianceValues,
    files: PolicyFiles,
    /// The files. The set refers to the same texts.
    sources: Vec<Source>,
    digest: Arc<str>,
    number: u64,
    issuers: IssuerTable,
}

impl Policy {
    /// Loads the files.
    ///
    /// # Errors
    /// A file cannot be read, is too large, or has errors of syntax or lint. The text has every error of the first such file, with its
    /// line.
    pub fn load(files: PolicyFiles) -> Result<Self, String> {
        let loaded = LoadedPolicy::load(&files, 1)?;
        Ok(Self { files, current: RwLock::new(Arc::new(loaded)) })
    }

    /// Loads the files again. Credentials need no reload: they are read whenever a peer is judged that is not cached.
    ///
    /// # Errors
    /// Those of [`Self::load`]; the old policy stays in force.
    pub fn reload(&self) -> Result<Arc<LoadedPolicy>, String> {
        let loaded =
            Arc::new(LoadedPolicy::load(&self.files, self.current().number.wrapping_add(1))?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&loaded);
        Ok(loaded)
    }

    /// The policy in force.
    pub fn current(&self) -> Arc<LoadedPolicy> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A peer as it asks the policy: the principals in whose name it asks, and the assertions that come with it. It is cached for each peer, so that
/// it has facts and no parsed certificates, and shares what peers have in common.
pub struct RequestingPeer {
    requesters: Requesters,
    /// The delegation that the peer's own certificate expresses.
    own: Option<Delegation>,
    /// The delegations that the certificates above it express.
    issuers: Option<Arc<Issuers>>,
    /// The operator's credentials for the peer, if there are any whose signatures are valid.
    credentials: Option<Box<PolicySet>>,
    /// The requesters as logs may show them: never a pre-shared key. Each decision shows them, so that they are kept as text.
    pub shown: Arc<[String]>,
}

impl RequestingPeer {
    /// The name of the issuer of the peer's certificate; `None` if the peer has no certificate. Peers whose paths have the same CA
    /// certificates share one copy of the name.
    pub fn issuer(&self) -> Option<&Arc<str>> {
        self.issuers.as_ref().map(|of| &of.name)
    }
}

impl LoadedPolicy {
    fn load(files: &PolicyFiles, number: u64) -> Result<Self, String> {
        let mut builder = PolicySet::builder();
        builder.extensible();
        let (mut digest, values) = (Sha256::new(), ComplianceValues::boolean());
        let mut sources = Vec::new();
        for path in &files.policies {
            let source = Source::new(path.display().to_string(), read(path, MAX_POLICY)?);
            let refused = |findings: Vec<Finding>| {
                findings.iter().map(|finding| source.render(finding)).collect::<Vec<_>>().join("\n")
            };
            // Lint errors, such as an invalid regular expression, make an assertion allow less than its author meant. A policy with one is
            // not used.
            let assertions = parse_file(&source).map_err(refused)?;
            let wrong = errors(&assertions, &values);
            if !wrong.is_empty() {
                return Err(refused(wrong));
            }
            builder.parsed_policy(assertions).map_err(refused)?;
            digest.update(source.text());
            digest.update(BEHIND);
            sources.push(source);
        }
        let digest = HEXLOWER.encode(&digest.finalize()).into();
        Ok(Self {
            set: builder.build(),
            values,
            files: files.clone(),
            sources,
            digest,
            number,
            issuers: IssuerTable::default(),
        })
    }

    /// The SHA-256 over [`Self::text`], in hexadecimal.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The text of the policy's files, one after the other, each followed by two line feeds.
    pub fn text(&self) -> Vec<u8> {
        self.sources.iter().flat_map(|source| [source.text(), BEHIND]).collect::<Vec<_>>().concat()
    }

    /// Whether the policy is asked about traffic (phase 2) only, and not about phase 1.
    pub fn is_for_phase_2_only(&self) -> bool {
        self.files.phase_2_only
    }

    /// Whether credentials may be signed with SHA-1, MD5 or DSA.
    pub fn takes_legacy_signatures(&self) -> bool {
        self.files.legacy_signatures
    }

    /// How many times a policy was loaded successfully since the start, this time included.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number of the policy's assertions.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether the policy has no assertion. It then allows nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Prepares a peer to ask the policy. `path` is its valid path if a certificate authenticated it, `id` its identity as
    /// [`PeerId`](crate::identity::PeerId) displays it.
    ///
    /// # Errors
    /// The credentials cannot be read, or the peer has no principal that could be its requester.
    pub fn requesting_peer(
        &self,
        path: Option<&ValidPath>,
        proof: &Proof<'_>,
        id: &str,
    ) -> Result<RequestingPeer, String> {
        let source = self.files.credentials.as_deref().and_then(|at| credentials(at, id));
        let credentials = source.transpose()?.and_then(|source| self.verified(&source));
        let refused = |e| format!("the policy cannot be asked in the name of this peer: {e}");
        if let Some(requester) = proof.requester(id)? {
            let requesters = Requesters::new(&requester.spellings).map_err(refused)?;
            let shown = [requester.shown].into();
            return Ok(RequestingPeer { requesters, own: None, issuers: None, credentials, shown });
        }
        let leaf = path.and_then(|path| path.pairs().next());
        let mut own = leaf.and_then(|(leaf, issuer)| delegation(leaf.der(), issuer.spki()));
        let issuers = path.map(|path| self.issuers.of(path, own.as_ref()));
        if let (Some(own), Some(Issuers { issuer: Some(issuer), .. })) =
            (&mut own, issuers.as_deref())
        {
            own.share_issuer(issuer);
        }
        let principals = principals(path, own.as_ref());
        let shown = principals.iter().map(|of| String::from_utf8_lossy(&of.text()).into_owned());
        let shown = shown.collect();
        let requesters = Requesters::of(principals).map_err(refused)?;
        Ok(RequestingPeer { requesters, own, issuers, credentials, shown })
    }

    /// The credentials with valid signatures, as a set; `None` if there are none. The log names the others.
    fn verified(&self, source: &Source) -> Option<Box<PolicySet>> {
        let mut builder = PolicySet::builder();
        builder.extensible().credentials(source);
        if self.files.legacy_signatures {
            builder.legacy_signatures(LegacySignatures::Accepted);
        }
        let set = builder.build();
        for dropped in set.dropped().iter().take(MAX_SAID) {
            let line = dropped.source.position(dropped.span.start()).line;
            let name = dropped.source.name();
            tracing::warn!(
                "`{name}`, line {line}: a credential does not count: {}",
                dropped.reason
            );
        }
        (!set.is_empty()).then(|| Box::new(set))
    }

    /// Whether the policy allows each of these attribute sets. It is false if there are none.
    pub fn allows(&self, requesting: &RequestingPeer, questions: &[AttributeSet]) -> bool {
        !questions.is_empty()
            && questions.iter().all(|attributes| {
                let question = Question {
                    attributes,
                    requesters: &requesting.requesters,
                    values: &self.values,
                };
                let above = requesting.issuers.iter().flat_map(|of| &of.delegations);
                let answer = self.set.ask_with_delegations(
                    requesting.credentials.as_deref(),
                    above.chain(&requesting.own),
                    question,
                );
                answer.position == self.values.max()
            })
    }
}

/// The principals of a certified peer: its key, if KeyNote has a name for its kind, and its distinguished name, if it has one.
fn principals(path: Option<&ValidPath>, own: Option<&Delegation>) -> Vec<Principal> {
    if let Some(own) = own {
        let Party { key, name } = own.subject();
        return vec![key.clone(), name.clone()];
    }
    let Some(leaf) = path.and_then(|path| path.certificates.first()) else { return Vec::new() };
    let key = PublicKey::from_spki(leaf.spki()).ok().map(Principal::of_key);
    let name = ipsec::distinguished_name(leaf.subject()).ok();
    key.into_iter().chain(name.map(|name| Principal::opaque(&name))).collect()
}

/// Reads the credentials that the operator keeps for an identity; `None` if there are none, or the identity cannot be the name of a folder.
pub(crate) fn credentials(folder: &Path, id: &str) -> Option<Result<Source, String>> {
    // The peer chooses its identity, so the identity must not reach another folder than its own.
    if id.is_empty() || id.starts_with('.') || id.contains(['/', '\0']) {
        return None;
    }
    let path = folder.join(id).join(CREDENTIALS);
    if !path.is_file() {
        return None;
    }
    let octets = read(&path, MAX_CREDENTIAL as u64);
    Some(octets.map(|octets| Source::new(path.display().to_string(), octets.as_slice())))
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let failed = |e: std::io::Error| format!("`{}`: {e}", path.display());
    let mut octets = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(most + 1).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() as u64 > most {
        return Err(format!("`{}` has more than {most} octets", path.display()));
    }
    Ok(octets)
}
