//! Certificates that a CA issues to the instance itself, so that its own key signs certificates and CRLs alone: one for
//! protocol answers (RFC 9483 §1.5), one for OCSP answers (RFC 6960 §4.2.2.2), one for keys that are made here (RFC 9480 §2.2).

use std::sync::Arc;

use der::oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::FileKey;
use crate::name::Name;
use crate::oid;
use crate::record::Label;
use crate::x509::Facts;

/// Signs for one CA what is neither a certificate nor a CRL, with a key and a certificate of its own.
pub struct Delegate {
    pub(super) key: Arc<FileKey>,
    pub(super) facts: Facts,
    pub(super) certificate: Vec<u8>,
    pub(super) chain: Vec<Vec<u8>>,
}

impl Delegate {
    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificates above it, DER, root last.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> AlgorithmIdentifierOwned {
        self.key.signature_algorithm()
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`Error::Internal`] when the key fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        rcgen::SigningKey::sign(self.key.as_ref(), message)
            .map_err(|e| Error::internal(format!("signing failed: {e}")))
    }

    /// Its subject.
    pub const fn subject(&self) -> &Name {
        &self.facts.subject
    }

    /// Its subject key identifier: SHA-1 over its public key (RFC 5280 §4.2.1.2, method (1)), which is also the KeyHash
    /// of RFC 6960 §4.2.1.
    pub fn key_identifier(&self) -> &[u8] {
        &self.facts.key_identifier
    }

    /// The end of its validity.
    pub const fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Whether it is valid at this moment.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        self.facts.not_before <= at && at < self.facts.not_after
    }

    pub(super) fn serial(&self) -> &[u8] {
        &self.facts.serial
    }

    pub(super) fn key(&self) -> Arc<FileKey> {
        Arc::clone(&self.key)
    }

    /// Whether half its life is over and a new one would live longer.
    pub(super) fn is_due(&self, ca: &Facts, now: Timestamp) -> bool {
        is_due(&self.facts, ca, now)
    }
}

impl std::fmt::Debug for Delegate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delegate({})", self.facts.subject)
    }
}

/// What a delegate is for.
pub(super) struct Role {
    /// The ending of its file names.
    pub(super) suffix: &'static str,
    /// The account that its certificates are recorded for.
    pub(super) account: &'static str,
    /// What its subject says behind the name of the CA.
    pub(super) title: &'static str,
    pub(super) usage: &'static [ObjectIdentifier],
    /// Whether it carries id-pkix-ocsp-nocheck.
    pub(super) nocheck: bool,
}

impl Role {
    /// Signs protocol answers: extended key usage cmcCA (RFC 6402 §2.10).
    pub const CMP: Self = Self {
        suffix: "cmp",
        account: "_cmp",
        title: "CMP",
        usage: &[oid::CMC_CA],
        nocheck: false,
    };

    /// Signs keys that were made for peers: extended key usage cmKGA (RFC 9480 §2.2).
    pub const KGA: Self = Self {
        suffix: "kga",
        account: "_kga",
        title: "KGA",
        usage: &[oid::CM_KGA],
        nocheck: false,
    };

    /// Signs OCSP answers: extended key usage OCSPSigning, never asked about itself (RFC 6960 §4.2.2.2.1).
    pub const OCSP: Self = Self {
        suffix: "ocsp",
        account: "_ocsp",
        title: "OCSP",
        usage: &[oid::OCSP_SIGNING],
        nocheck: true,
    };
}

/// The responder of a CA or another delegate that is made when it is needed, and when it could not be had.
#[derive(Default)]
pub(super) struct Responding {
    pub(super) current: Option<Arc<Delegate>>,
    pub(super) failed: Option<(Timestamp, Error)>,
}

impl Responding {
    /// The delegate, if it is valid at this moment.
    pub(super) fn at(&self, now: Timestamp, ca: &Label) -> Result<Arc<Delegate>> {
        match (&self.current, &self.failed) {
            (Some(current), _) if current.is_valid(now) => Ok(Arc::clone(current)),
            (_, Some((_, why))) => Err(why.clone()),
            (current, None) => Err(Error::unavailable(format!(
                "the delegate of `{}` is not valid now: {current:?}",
                ca
            ))),
        }
    }
}

pub(super) fn is_due(facts: &Facts, ca: &Facts, now: Timestamp) -> bool {
    let half = facts.not_before.plus(facts.not_after.since(facts.not_before) / 2);
    now >= half && facts.not_after != ca.not_after
}
