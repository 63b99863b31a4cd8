//! The policy in force, and in whose name a peer asks it.
//!
//! As in isakmpd: the requesters are the peer's key and its name; the certificates of its path become assertions by which each
//! issuer trusts whom it certified; credentials that bear the peer's identity take part if their signatures are right.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use countersign_policy::ipsec::{self, delegations};
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
use zeroize::Zeroizing;

use crate::path::ValidPath;
use super::proof::Proof;

/// The largest policy file, in octets.
const MAX_POLICY: u64 = 256 << 20;
/// The most credentials of a peer of which the log says why they do not count.
const MAX_SAID: usize = 16;
/// The name of a peer's credentials in its folder, as in isakmpd.
const CREDENTIALS: &str = "credentials";

/// Where the policy is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyFiles {
    /// Files of assertions that are trusted.
    pub policies: Vec<PathBuf>,
    /// A folder with a folder for each identity, whose `credentials` takes part when that identity asks.
    pub credentials: Option<PathBuf>,
    /// Whether SHA-1, MD5 and DSA signatures of credentials count.
    pub legacy_signatures: bool,
    /// Whether the policy is asked in phase 2 only, as isakmpd does.
    pub phase_2_only: bool,
}

/// The policy in force; another one takes its place at once, for all who ask later.
pub struct Policy {
    files: PolicyFiles,
    current: RwLock<Arc<LoadedPolicy>>,
}

/// A policy as it was loaded.
pub struct LoadedPolicy {
    set: PolicySet,
    values: ComplianceValues,
    files: PolicyFiles,
    text: Arc<[u8]>,
    digest: Arc<str>,
    number: u64,
}

impl Policy {
    /// Loads the files.
    ///
    /// # Errors
    /// In words, every finding with its file and line.
    pub fn load(files: PolicyFiles) -> Result<Self, String> {
        let loaded = LoadedPolicy::load(&files, 1)?;
        Ok(Self { files, current: RwLock::new(Arc::new(loaded)) })
    }

    /// Loads the files again, and credentials anew.
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

/// A peer as it asks the policy: in whose name, and with what it brought.
pub struct RequestingPeer {
    extension: PolicySet,
    requesters: Requesters,
    /// The requesters as they may be shown: never a pre-shared key.
    pub shown: Arc<[String]>,
}

impl LoadedPolicy {
    fn load(files: &PolicyFiles, number: u64) -> Result<Self, String> {
        let mut builder = PolicySet::builder();
        builder.extensible();
        let (mut text, values) = (Vec::new(), ComplianceValues::boolean());
        for path in &files.policies {
            let octets = read(path, MAX_POLICY)?;
            let source = Source::new(path.display().to_string(), octets.as_slice());
            let refused = |findings: Vec<Finding>| {
                findings.iter().map(|finding| source.render(finding)).collect::<Vec<_>>().join("\n")
            };
            // What `policy check` refuses is not what its author meant, and counts for less than it seems to.
            let wrong = parse_file(&source).map(|assertions| errors(&assertions, &values));
            match wrong {
                Ok(findings) if findings.is_empty() => {}
                Ok(findings) | Err(findings) => return Err(refused(findings)),
            }
            builder.policy(&source).map_err(refused)?;
            text.extend_from_slice(&octets);
            text.extend_from_slice(b"\n\n");
        }
        let digest = HEXLOWER.encode(&Sha256::digest(&text)).into();
        Ok(Self {
            set: builder.build(),
            values,
            files: files.clone(),
            text: text.into(),
            digest,
            number,
        })
    }

    /// The SHA-256 over its files, in hex.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Its files, one after the other.
    pub fn text(&self) -> &Arc<[u8]> {
        &self.text
    }

    /// Whether it decides about traffic only, and not about phase 1.
    pub fn is_for_phase_2_only(&self) -> bool {
        self.files.phase_2_only
    }

    /// Whether SHA-1, MD5 and DSA signatures of credentials count.
    pub fn takes_legacy_signatures(&self) -> bool {
        self.files.legacy_signatures
    }

    /// How many were loaded, with this one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many assertions it has.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether it has no assertion, and allows nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Makes a peer ready to ask. `id` is its identity as text.
    ///
    /// # Errors
    /// In words, why nobody can ask in its name.
    pub fn requesting_peer(
        &self,
        path: Option<&ValidPath>,
        proof: &Proof<'_>,
        id: &str,
    ) -> Result<RequestingPeer, String> {
        let mut builder = PolicySet::builder();
        builder.extensible();
        if self.files.legacy_signatures {
            builder.legacy_signatures(LegacySignatures::Accepted);
        }
        if let Some(source) = self.files.credentials.as_deref().and_then(|at| credentials(at, id)) {
            builder.credentials(&source?);
        }
        let mut requesters: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        let mut shown = Vec::new();
        if let Some(path) = path {
            for (certificate, issuer) in path.pairs() {
                match delegations(certificate.der(), issuer.spki()) {
                    Ok(assertions) => assertions.into_iter().for_each(|assertion| {
                        builder.trusted(assertion);
                    }),
                    Err(e) => tracing::debug!("a certificate gives no assertion: {e}"),
                }
            }
            for text in names(path) {
                shown.push(String::from_utf8_lossy(&text).into_owned());
                requesters.push(Zeroizing::new(text));
            }
        }
        if let Some(requester) = proof.requester(id)? {
            requesters.extend(requester.spellings);
            shown.push(requester.shown);
        }
        let requesters = Requesters::new(&requesters)
            .map_err(|e| format!("the policy cannot be asked in the name of this peer: {e}"))?;
        let extension = builder.build();
        for dropped in extension.dropped().iter().take(MAX_SAID) {
            let line = dropped.source.position(dropped.span.start()).line;
            let name = dropped.source.name();
            tracing::warn!(
                "`{name}`, line {line}: a credential does not count: {}",
                dropped.reason
            );
        }
        Ok(RequestingPeer { extension, requesters, shown: shown.into() })
    }

    /// Whether the policy allows all of it.
    pub fn allows(&self, requesting: &RequestingPeer, questions: &[AttributeSet]) -> bool {
        !questions.is_empty()
            && questions.iter().all(|attributes| {
                let question =
                    Question { attributes, requesters: &requesting.requesters, values: &self.values };
                self.set.ask_with(&requesting.extension, question).position == self.values.max()
            })
    }
}

/// The peer's key, if KeyNote knows its kind, and its name, if it has one.
fn names(path: &ValidPath) -> Vec<Vec<u8>> {
    let Some(leaf) = path.certificates.first() else { return Vec::new() };
    let key = PublicKey::from_spki(leaf.spki()).ok();
    let key = key.map(|key| Principal::of_key(key).text().into_owned());
    key.into_iter().chain(ipsec::distinguished_name(leaf.subject()).ok()).collect()
}

/// The credentials of an identity; `None` if there are none.
pub(crate) fn credentials(folder: &Path, id: &str) -> Option<Result<Source, String>> {
    // An identity is what the peer says: it names one folder, and none elsewhere.
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
