//! Whom to trust: the certification path of a peer, and the status of each certificate on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_ca::authority::CertificateStatus;
use countersign_ca::certificate::Facts;
use countersign_ca::identity::Identity;
use countersign_ca::record::{Label, Serial};
use countersign_ca::search::{SearchKey, sha1};
use countersign_ca::store::{Change, History, Mark};
use countersign_ca::{Authority, Timestamp};
use der::Encode;
use serde::{Deserialize, Serialize};

use crate::identity::PeerId;
use crate::lookup::CertificateStore;
use crate::path::{Certificate, PathSettings, ValidPath, validate};
use crate::status::{CrlChecker, Mode};

/// Whether the certificates of a path are revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// None is; true until then.
    Good(Timestamp),
    /// Not all of it is known, and the settings let that pass, until then.
    Passed(Timestamp, Lack),
    /// One is; in words which, why and since when.
    Revoked(String),
    /// It is not known, and must be; in words why.
    Unknown(String),
}

/// What is not known of a status that is let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    /// No CRL and no responder says it of every certificate, and `if-present` is content with that.
    NotKnown,
    /// It is not asked: `off`.
    NotAsked,
}

/// Decides whom to trust.
pub trait Trust: Send + Sync {
    /// The path from a peer's certificate to an anchor.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    fn path(&self, chain: &[Vec<u8>], at: Timestamp) -> Result<ValidPath, String>;

    /// Whether a certificate of the path is revoked. It answers before `deadline`.
    fn status(&self, path: &ValidPath, at: Timestamp, deadline: Instant) -> Status;

    /// The certificates that a peer of this identity may have, each with those above it as far as known; for daemons that tell
    /// no certificate. It answers before `deadline`.
    ///
    /// # Errors
    /// In words, why nothing can be looked up.
    fn look_up(&self, id: &PeerId, deadline: Instant) -> Result<Vec<Vec<Vec<u8>>>, String>;

    /// A number that changes whenever another answer may be due: a new CRL, a revocation, other anchors.
    fn generation(&self) -> u64;

    /// In words, what an operator must see to before peers are refused for it.
    fn troubles(&self, _at: Timestamp) -> Vec<String> {
        Vec::new()
    }
}

/// The most certificates of an identity that are looked up.
const MAX_FOUND: usize = 16;

/// Trust by anchors and CRLs, and by the store of an authority where that is at hand.
pub struct Standing {
    settings: PathSettings,
    checker: CrlChecker,
    authority: Option<Arc<Authority>>,
    /// The CAs whose keys it has: what they issued and revoked is all on record. A root that is kept elsewhere revokes elsewhere.
    own: Vec<(Vec<u8>, Label)>,
    /// What its store recorded so far.
    recorded: Mutex<Recorded>,
    /// Where certificates are looked up without an authority.
    certificates: Option<CertificateStore>,
}

/// Up to where the history of a store was read, and how many statuses changed since it was first looked at.
struct Recorded {
    mark: Option<Mark>,
    changes: u64,
}

impl Standing {
    /// Trust as these say. With an authority, what its own CAs issued is looked up in its store.
    ///
    /// # Errors
    /// A certificate of the authority cannot be read.
    pub fn new(
        settings: PathSettings,
        checker: CrlChecker,
        authority: Option<Arc<Authority>>,
    ) -> Result<Self, countersign_ca::Error> {
        let mut own = Vec::new();
        for ca in authority.iter().flat_map(|of| of.cas()).filter(|ca| ca.can_sign) {
            own.push((Facts::of(&ca.certificate)?.key.der().to_vec(), ca.name.clone()));
        }
        let mark = authority.as_ref().map(|authority| authority.store().mark());
        let recorded = Mutex::new(Recorded { mark, changes: 0 });
        Ok(Self { settings, checker, authority, own, recorded, certificates: None })
    }

    /// Has certificates looked up there, where no authority is at hand.
    #[must_use]
    pub fn with_certificates(self, certificates: Option<CertificateStore>) -> Self {
        Self { certificates, ..self }
    }

    /// The certificates of an authority's roots, and those of the CAs below them.
    ///
    /// # Errors
    /// A certificate cannot be read.
    pub fn of_authority(authority: &Authority) -> Result<[Vec<Vec<u8>>; 2], countersign_ca::Error> {
        let (mut roots, mut below) = (Vec::new(), Vec::new());
        for ca in authority.cas().filter(|ca| !ca.is_root) {
            if let Some((root, others)) = authority.chain(Some(&ca.name))?.split_last() {
                roots.push(root.clone());
                below.extend(others.iter().cloned());
            }
        }
        roots.sort();
        roots.dedup();
        Ok([roots, below])
    }

    /// How many statuses changed. What else is recorded, such as new certificates, leaves those alone that are known.
    fn status_changes(&self, authority: &Authority) -> u64 {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let end = authority.store().mark();
        while let Some(mark) = recorded.mark.filter(|mark| *mark < end) {
            match authority.store().changes_since(mark) {
                Ok(History { changes, next }) => {
                    let counts = |of: &&Change| matches!(of, Change::Status { .. } | Change::Ca(_));
                    let count = changes.iter().filter(counts).count() as u64;
                    recorded.changes = recorded.changes.wrapping_add(count);
                    recorded.mark = Some(next);
                    if next <= mark {
                        break;
                    }
                }
                Err(error) => {
                    // Who knows what changed: everything may have.
                    tracing::error!(%error, "the store's history cannot be read");
                    recorded.changes = recorded.changes.wrapping_add(1);
                    break;
                }
            }
        }
        recorded.changes
    }

    /// The authority and its CA, if the issuer is one of its own.
    fn own_ca(&self, issuer: &Certificate) -> Option<(&Arc<Authority>, &Label)> {
        let (_, ca) = self.own.iter().find(|(key, _)| key == issuer.spki())?;
        Some((self.authority.as_ref()?, ca))
    }

    fn recorded(
        &self,
        authority: &Authority,
        ca: &Label,
        certificate: &Certificate,
        at: Timestamp,
    ) -> Status {
        let Some(serial) = Serial::from_integer(&certificate.serial) else {
            return Status::Unknown(format!("the CA `{ca}` issues no such serial numbers"));
        };
        let status = match authority.issued_status(ca, &serial) {
            // Certificates of CAs are revoked like others, and recorded elsewhere.
            Ok(CertificateStatus::Good) => authority.certificate_status(ca, &serial),
            other => other,
        };
        match status {
            // The store's generation says when this is no longer so.
            Ok(CertificateStatus::Good) => Status::Good(at.plus(Duration::from_secs(86_400))),
            Ok(CertificateStatus::Revoked(revocation)) => Status::Revoked(format!(
                "the certificate `{}` was revoked at {}: {}",
                certificate.shown(),
                revocation.at,
                revocation.reason.name()
            )),
            Ok(CertificateStatus::NeverIssued) => Status::Unknown(format!(
                "the CA `{ca}` has no record of the serial number `{serial}` of `{}`",
                certificate.shown()
            )),
            Err(e) => Status::Unknown(format!("the store failed: {e}")),
        }
    }
}

impl Trust for Standing {
    fn path(&self, chain: &[Vec<u8>], at: Timestamp) -> Result<ValidPath, String> {
        let read = |der: &Vec<u8>| Certificate::from_der(der.clone()).map(Arc::new);
        let chain: Vec<_> =
            chain.iter().map(read).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let checker = &self.checker;
        validate(&checker.anchors, &self.settings, &chain, &checker.others, at)
            .map_err(|e| e.to_string())
    }

    fn status(&self, path: &ValidPath, at: Timestamp, deadline: Instant) -> Status {
        let mut until = Timestamp::from_millis(i64::MAX);
        if self.checker.mode == Mode::Off {
            return Status::Passed(until, Lack::NotAsked);
        }
        let mut lack = None;
        for (certificate, issuer) in path.pairs() {
            let status = match self.own_ca(issuer) {
                Some((authority, ca)) => self.recorded(authority, ca, certificate, at),
                None => self.checker.check(path, certificate, issuer, at, deadline),
            };
            match status {
                Status::Good(good_until) => until = until.min(good_until),
                Status::Passed(good_until, what) => {
                    until = until.min(good_until);
                    lack = lack.max(Some(what));
                }
                other => return other,
            }
        }
        lack.map_or(Status::Good(until), |lack| Status::Passed(until, lack))
    }

    fn look_up(&self, id: &PeerId, deadline: Instant) -> Result<Vec<Vec<Vec<u8>>>, String> {
        let key = match id.identity() {
            Some(Identity::Fqdn(name)) => SearchKey::Uri(name),
            Some(Identity::Email(mailbox)) => SearchKey::Uri(mailbox),
            Some(Identity::Ip(address)) => SearchKey::Uri(address.to_string()),
            Some(Identity::Dn(name)) => {
                SearchKey::Subject(sha1(&name.to_der().map_err(|e| e.to_string())?))
            }
            None => return Ok(Vec::new()),
        };
        let found = match (&self.authority, &self.certificates) {
            (Some(authority), _) => {
                let found = authority
                    .store()
                    .find(&key, MAX_FOUND, &|_| true)
                    .map_err(|e| e.to_string())?;
                found.into_iter().map(|record| record.certificate).collect()
            }
            (None, Some(store)) => store.find(&key, deadline)?,
            (None, None) => {
                return Err("expected a certificate from the daemon, found none; an authorizer within `countersign serve` looks them up, and \
                            another one does if `authorizer.certificates` names a certificate store"
                    .into());
            }
        };
        Ok(found.into_iter().map(|certificate| vec![certificate]).collect())
    }

    /// All of them only rise.
    fn troubles(&self, at: Timestamp) -> Vec<String> {
        self.checker.cache.troubles(at)
    }

    fn generation(&self) -> u64 {
        let recorded =
            self.authority.as_ref().map_or(0, |authority| self.status_changes(authority));
        let fetched = self.checker.cache.generation().wrapping_add(self.checker.ocsp.generation());
        fetched.wrapping_add(recorded)
    }
}
