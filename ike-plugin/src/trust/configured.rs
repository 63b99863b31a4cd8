//! Trust as the operator configured it: by anchors, CRLs and OCSP, and by the records of our own authority.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_ca::Identity;
use countersign_ca::authority::CertificateStatus;
use countersign_ca::record::search::{SearchKey, sha1};
use countersign_ca::record::{CrlScope, Label, Serial};
use countersign_ca::store::{Change, History, Mark};
use countersign_ca::x509::Facts;
use countersign_ca::{Authority, Timestamp};
use der::Encode;

use super::certificate_store::CertificateStore;
use super::known_cas::KnownCas;
use crate::identity::PeerId;
use crate::status::{Lack, Mode, Status, StatusChecker};
use countersign_ca::path::crl::Crl;
use countersign_ca::path::{Certificate, PathSettings, ValidPath, validate};

/// Validates certification paths and finds the status of their certificates.
pub trait Trust: Send + Sync {
    /// Validates the path from a peer's certificate to an anchor, at the time `at`. `chain` has the certificates that the peer sent, in
    /// DER, its own first.
    ///
    /// # Errors
    /// There is no valid path; the text gives the reason.
    fn path(&self, chain: &[Vec<u8>], at: Timestamp) -> Result<ValidPath, String>;

    /// Finds out whether a certificate of the path is revoked. It waits for the network until `deadline` at most.
    fn status(&self, path: &ValidPath, at: Timestamp, deadline: Instant) -> Status;

    /// Looks up the certificates that a peer of this identity may have, for daemons that send none. Each comes as a chain in DER, its own
    /// certificate first. It waits for the network until `deadline` at most.
    ///
    /// # Errors
    /// There is nowhere to look, or the look-up fails; the text gives the reason.
    fn look_up(&self, id: &PeerId, deadline: Instant) -> Result<Vec<Vec<Vec<u8>>>, String>;

    /// A number that changes whenever the result of [`Trust::path`] or [`Trust::status`] may change: by a new CRL, a revocation, other anchors.
    fn generation(&self) -> u64;

    /// Problems that the operator should solve before peers are refused because of them, as sentences.
    fn troubles(&self, _at: Timestamp) -> Vec<String> {
        Vec::new()
    }
}

/// The most certificates of one identity that are taken from the authority's records.
const MAX_FOUND: usize = 16;

/// Trust by anchors, CRLs and OCSP. If the authorizer runs within the server, the authority's records give the status of the certificates
/// that its own CAs issued.
pub struct ConfiguredTrust {
    settings: PathSettings,
    checker: StatusChecker,
    authority: Option<Arc<Authority>>,
    /// The public keys (SubjectPublicKeyInfo in DER) and names of the CAs whose private keys the authority holds. Everything that these
    /// issued and revoked is on record. A root whose key is kept elsewhere may have revoked certificates that the authority does not know
    /// of.
    own: Vec<(Vec<u8>, Label)>,
    /// The public keys and names of the authority's CAs whose private keys are elsewhere. An administrator may bring their CRLs.
    elsewhere: Vec<(Vec<u8>, Label)>,
    /// The CRLs of these CAs that were parsed last.
    parsed: Mutex<BTreeMap<Label, ParsedCrl>>,
    /// How far the authority's history was read.
    recorded: Mutex<Recorded>,
    /// The store in which certificates are looked up if there is no authority.
    certificates: Option<CertificateStore>,
    cas: KnownCas,
}

/// A CRL, and the SHA-256 over its TBSCertList.
struct ParsedCrl {
    tbs_sha256: [u8; 32],
    crl: Arc<Crl>,
}

/// The position up to which the history of the authority's store was read (`None` without an authority), and how many statuses changed up
/// to there since the start.
struct Recorded {
    mark: Option<Mark>,
    changes: u64,
}

impl ConfiguredTrust {
    /// Trust by these settings. With an authority, the status of certificates that its own CAs issued comes from its records.
    ///
    /// # Errors
    /// A certificate of the authority cannot be read.
    pub fn new(
        settings: PathSettings,
        checker: StatusChecker,
        authority: Option<Arc<Authority>>,
    ) -> Result<Self, countersign_ca::Error> {
        let (mut own, mut elsewhere) = (Vec::new(), Vec::new());
        for ca in authority.iter().flat_map(|of| of.cas()) {
            let list = if ca.can_sign { &mut own } else { &mut elsewhere };
            list.push((Facts::of(&ca.certificate)?.key.der().to_vec(), ca.name.clone()));
        }
        let mark = authority.as_ref().map(|authority| authority.store().mark());
        let recorded = Mutex::new(Recorded { mark, changes: 0 });
        let cas = KnownCas::default();
        let (parsed, certificates) = (Mutex::default(), None);
        Ok(Self {
            settings,
            checker,
            authority,
            own,
            elsewhere,
            parsed,
            recorded,
            certificates,
            cas,
        })
    }

    /// Looks certificates up in this store if there is no authority.
    #[must_use]
    pub fn with_certificates(self, certificates: Option<CertificateStore>) -> Self {
        Self { certificates, ..self }
    }

    /// Two lists of certificates in DER: the roots above an authority's CAs, without repetitions, and the CAs below these roots.
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

    /// How many statuses have changed since the start. Other entries, such as new certificates, do not change the status of a known one.
    fn status_changes(&self, authority: &Authority) -> u64 {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let end = authority.store().mark();
        while let Some(mark) = recorded.mark.filter(|mark| *mark < end) {
            match authority.store().changes_since(mark) {
                Ok(History { changes, next }) => {
                    let counts = |of: &&Change| match of {
                        Change::Status { .. } | Change::Ca(_) => true,
                        Change::Crl { ca, .. } => self.elsewhere.iter().any(|(_, name)| name == ca),
                        _ => false,
                    };
                    let count = changes.iter().filter(counts).count() as u64;
                    recorded.changes = recorded.changes.wrapping_add(count);
                    recorded.mark = Some(next);
                    if next <= mark {
                        break;
                    }
                }
                Err(error) => {
                    // Any status may have changed, so that everything cached must be looked at again.
                    tracing::error!(%error, "the store's history cannot be read");
                    recorded.changes = recorded.changes.wrapping_add(1);
                    break;
                }
            }
        }
        recorded.changes
    }

    /// The authority, and the name of the CA that issued a certificate, if the authority has the private key of `issuer`.
    fn own_ca(&self, issuer: &Certificate) -> Option<(&Arc<Authority>, &Label)> {
        let (_, ca) = self.own.iter().find(|(key, _)| key == issuer.spki())?;
        Some((self.authority.as_ref()?, ca))
    }

    /// The CRL that an administrator brought of the CA with this certificate, if its private key is elsewhere.
    fn brought(&self, issuer: &Certificate) -> Vec<Arc<Crl>> {
        let of = self.elsewhere.iter().find(|(key, _)| key == issuer.spki());
        let (Some((_, ca)), Some(authority)) = (of, &self.authority) else { return Vec::new() };
        let current = match authority.crl(ca, CrlScope::Full) {
            Ok(Some(current)) => current,
            Ok(None) => return Vec::new(),
            Err(error) => {
                tracing::error!(%ca, %error, "the CRL cannot be read");
                return Vec::new();
            }
        };
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = current.record.tbs_sha256;
        if let Some(known) = parsed.get(ca).filter(|known| known.tbs_sha256 == hash) {
            return vec![Arc::clone(&known.crl)];
        }
        match Crl::from_der(&current.der) {
            Ok(crl) => {
                let crl = Arc::new(crl);
                let kept = ParsedCrl { tbs_sha256: hash, crl: Arc::clone(&crl) };
                parsed.insert(ca.clone(), kept);
                vec![crl]
            }
            Err(error) => {
                tracing::error!(%ca, %error, "the CRL cannot be parsed");
                Vec::new()
            }
        }
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
            // The certificate of a CA is not among the issued ones. It can be revoked all the same.
            Ok(CertificateStatus::Good) => authority.certificate_status(ca, &serial),
            other => other,
        };
        match status {
            // A later revocation changes the generation, so that a long time is safe.
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

impl Trust for ConfiguredTrust {
    fn path(&self, chain: &[Vec<u8>], at: Timestamp) -> Result<ValidPath, String> {
        let chain: Vec<_> = chain
            .iter()
            .map(|der| self.cas.read(der))
            .collect::<Result<_, _>>()
            .map_err(|e| e.to_string())?;
        let checker = &self.checker;
        let path = validate(&checker.anchors, &self.settings, &chain, &checker.others, at)
            .map_err(|e| e.to_string())?;
        self.cas.remember(&path);
        Ok(path)
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
                None => {
                    let given = self.brought(issuer);
                    let pair = (certificate, issuer);
                    self.checker.check_with(&given, path, pair, at, deadline)
                }
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
