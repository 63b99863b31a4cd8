//! Searches for a path, from the peer's certificate upwards, issuer by issuer, within the bounds of `budget.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use x509_cert::ext::pkix::KeyUsages;

use super::budget::Budget;
use super::certificate::Certificate;
use super::check::{PathSettings, check_within};
use super::error::PathError;
use crate::clock::Timestamp;
use crate::name::same_name;

/// The trusted CAs. RFC 5280 §6.1.1 (d) uses only the name and key of an anchor. Here the validity, the name
/// constraints and the path length of its certificate count too, as in RFC 5937, because an operator who sets bounds
/// for a CA means them.
#[derive(Debug, Clone, Default)]
pub struct Anchors {
    all: Vec<Arc<Certificate>>,
}

impl Anchors {
    /// The anchors in these certificates, DER.
    ///
    /// # Errors
    /// [`PathError::Malformed`] if one cannot be read.
    pub fn new(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, PathError> {
        let read = |der| Certificate::from_der(der).map(Arc::new);
        Ok(Self { all: certificates.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// A set of anchors with this anchor alone.
    pub fn only(anchor: &Arc<Certificate>) -> Self {
        Self { all: vec![Arc::clone(anchor)] }
    }

    /// The number of anchors.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether no CA is trusted.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All anchors.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.all.iter()
    }
}

/// A valid path.
#[derive(Debug, Clone)]
pub struct ValidPath {
    /// The certificates of the path, from the peer's upwards, without the anchor.
    pub certificates: Vec<Arc<Certificate>>,
    /// The anchor.
    pub anchor: Arc<Certificate>,
}

impl ValidPath {
    /// Each certificate, paired with its issuer's.
    pub fn pairs(&self) -> impl Iterator<Item = (&Arc<Certificate>, &Arc<Certificate>)> {
        let issuers = self.certificates.iter().skip(1).chain(std::iter::once(&self.anchor));
        self.certificates.iter().zip(issuers)
    }
}

/// Searches for a valid path from the first certificate of `chain` to an anchor. The rest of `chain` and `store`, in
/// any order, may be on the path.
///
/// # Errors
/// The reason why there is none: that of the attempt that came closest to an anchor. [`PathError::Malformed`] if
/// `chain` is empty; [`PathError::TooMuch`] or [`PathError::TooLong`] if the search was ended by its bounds.
pub fn validate(
    anchors: &Anchors,
    settings: &PathSettings,
    chain: &[Arc<Certificate>],
    store: &[Arc<Certificate>],
    at: Timestamp,
) -> Result<ValidPath, PathError> {
    validate_within(anchors, settings, chain, store, at, &Budget::for_paths(1))
}

/// Like [`validate`], within the rest of a budget.
pub(super) fn validate_within(
    anchors: &Anchors,
    settings: &PathSettings,
    chain: &[Arc<Certificate>],
    store: &[Arc<Certificate>],
    at: Timestamp,
    budget: &Budget,
) -> Result<ValidPath, PathError> {
    let (leaf, others) =
        chain.split_first().ok_or_else(|| PathError::Malformed("there is none".into()))?;
    let mut search = Search {
        anchors,
        settings,
        at,
        others: others.iter().chain(store).collect(),
        budget,
        verified: HashMap::new(),
        furthest: None,
    };
    let mut path = vec![Arc::clone(leaf)];
    match search.extend(&mut path)? {
        Some(anchor) => Ok(ValidPath { certificates: path, anchor }),
        None => Err(search.furthest.map_or_else(|| no_issuer(leaf), |(_, error)| error)),
    }
}

struct Search<'a> {
    anchors: &'a Anchors,
    settings: &'a PathSettings,
    at: Timestamp,
    others: Vec<&'a Arc<Certificate>>,
    budget: &'a Budget,
    /// Whether the signature on a certificate verifies with the issuer's key, by the SHA-256 fingerprints of the
    /// certificate and of the issuer's.
    verified: HashMap<([u8; 32], [u8; 32]), bool>,
    /// The error of the attempt that came closest to an anchor, with the number of certificates in its path.
    furthest: Option<(usize, PathError)>,
}

impl Search<'_> {
    /// Extends the path until an anchor issued its last certificate and the whole path is valid.
    fn extend(
        &mut self,
        path: &mut Vec<Arc<Certificate>>,
    ) -> Result<Option<Arc<Certificate>>, PathError> {
        let Some(last) = path.last().cloned() else { return Ok(None) };
        let (anchors, others) = (self.anchors, self.others.clone());
        let mut issued = false;
        for anchor in self.ranked(&last, anchors.iter())? {
            self.budget.step()?;
            issued = true;
            match self.by_anchor(path, &last, anchor)? {
                Ok(()) => return Ok(Some(Arc::clone(anchor))),
                Err(error) => self.note(path.len() + 1, error),
            }
        }
        let most = self.settings.max_intermediates;
        let counted = path.iter().skip(1).filter(|of| !of.is_self_issued()).count();
        for issuer in self.ranked(&last, others.into_iter())? {
            self.budget.step()?;
            // RFC 5280 §6.1: a path has no certificate twice. A second certificate with the same name and key is
            // excluded, too, because the search would go round in a circle.
            if path.iter().any(|of| of.spki() == issuer.spki() && of.subject() == issuer.subject())
            {
                continue;
            }
            issued = true;
            if counted >= most && !issuer.is_self_issued() {
                let why =
                    format!("more than {most} certificates stand between the peer's and an anchor");
                self.note(path.len(), PathError::Refused { certificate: last.shown(), why });
                continue;
            }
            if !self.verifies(&last, issuer)? {
                let why = format!("the signature of `{}` over it is wrong", issuer.shown());
                self.note(path.len(), PathError::Refused { certificate: last.shown(), why });
                continue;
            }
            path.push(Arc::clone(issuer));
            if let Some(anchor) = self.extend(path)? {
                return Ok(Some(anchor));
            }
            path.pop();
        }
        if !issued {
            self.note(path.len(), no_issuer(&last));
        }
        Ok(None)
    }

    /// Validates the path below an anchor. The outer error ends the whole search because its bounds are reached; the
    /// inner one ends only this attempt.
    fn by_anchor(
        &mut self,
        path: &[Arc<Certificate>],
        last: &Arc<Certificate>,
        anchor: &Arc<Certificate>,
    ) -> Result<Result<(), PathError>, PathError> {
        if !self.verifies(last, anchor)? {
            let why = format!("the signature of the anchor `{}` over it is wrong", anchor.shown());
            return Ok(Err(PathError::Refused { certificate: last.shown(), why }));
        }
        let refused = |why: String| PathError::Refused { certificate: anchor.shown(), why };
        if let Some(defect) = anchor.defects.first() {
            return Ok(Err(refused(defect.clone())));
        }
        // A certificate of version 1 has no extensions that could say whether it is a CA's.
        let signs =
            anchor.key_usage.as_ref().is_none_or(|usage| usage.0.contains(KeyUsages::KeyCertSign));
        if anchor.version == 2 && !(anchor.is_ca() && signs) {
            return Ok(Err(refused(
                "the anchor's basicConstraints or keyUsage say that it is no CA (§4.2.1.9)".into(),
            )));
        }
        if !(anchor.not_before..=anchor.not_after).contains(&self.at.whole_seconds()) {
            let why =
                format!("the anchor is valid from {} to {}", anchor.not_before, anchor.not_after);
            return Ok(Err(refused(why)));
        }
        Ok(check_within(path, anchor, self.settings, self.at, self.budget))
    }

    /// Verifies the signature on a certificate. Each pair is verified once.
    fn verifies(
        &mut self,
        of: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
    ) -> Result<bool, PathError> {
        let key = (*of.fingerprint(), *issuer.fingerprint());
        if let Some(verified) = self.verified.get(&key) {
            return Ok(*verified);
        }
        self.budget.signature()?;
        let verified = of.is_signed_by(issuer);
        self.verified.insert(key, verified);
        Ok(verified)
    }

    /// The certificates with the issuer's name. Those with the right key identifier come first, those with another one
    /// last.
    fn ranked<'c>(
        &self,
        of: &Certificate,
        all: impl Iterator<Item = &'c Arc<Certificate>>,
    ) -> Result<Vec<&'c Arc<Certificate>>, PathError> {
        let mut found = Vec::new();
        for issuer in all {
            self.budget.compare(issuer.subject().len().saturating_add(of.issuer_octets))?;
            if same_name(&issuer.subject_name, &of.issuer_name) {
                found.push(issuer);
            }
        }
        found.sort_by_key(|issuer| match (&of.authority_key, &issuer.subject_key) {
            (Some(wanted), Some(key)) if wanted == key => 0,
            (Some(_), Some(_)) => 2,
            _ => 1,
        });
        Ok(found)
    }

    /// Remembers the error of the attempt that came closest to an anchor.
    fn note(&mut self, depth: usize, error: PathError) {
        if self.furthest.as_ref().is_none_or(|(furthest, _)| depth > *furthest) {
            self.furthest = Some((depth, error));
        }
    }
}

fn no_issuer(of: &Certificate) -> PathError {
    PathError::NoIssuer { certificate: of.shown(), issuer: of.issuer_name.to_string() }
}
