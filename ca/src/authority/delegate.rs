//! Delegates of a CA: signers with keys and certificates of their own, so that the CA's key signs only certificates and
//! CRLs. There is one for protocol answers (RFC 9483 §1.5), one for OCSP answers (RFC 6960 §4.2.2.2) and one for
//! generated keys (RFC 9480 §2.2).

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

/// A signer that a CA certified for one role.
pub struct Delegate {
    pub(super) key: Arc<FileKey>,
    pub(super) facts: Facts,
    pub(super) certificate: Vec<u8>,
    pub(super) chain: Vec<Vec<u8>>,
}

impl Delegate {
    /// The delegate's certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificates above the delegate's, DER, root last.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The algorithm with which the delegate signs.
    pub fn algorithm(&self) -> AlgorithmIdentifierOwned {
        self.key.signature_algorithm()
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`Error::Internal`] if the key fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        rcgen::SigningKey::sign(self.key.as_ref(), message)
            .map_err(|e| Error::internal(format!("signing failed: {e}")))
    }

    /// The subject of the delegate's certificate.
    pub const fn subject(&self) -> &Name {
        &self.facts.subject
    }

    /// The subject key identifier of the delegate's certificate: SHA-1 over the public key (RFC 5280 §4.2.1.2, method
    /// (1)). It is also the KeyHash of RFC 6960 §4.2.1.
    pub fn key_identifier(&self) -> &[u8] {
        &self.facts.key_identifier
    }

    /// The end of the certificate's validity.
    pub const fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Whether the certificate is valid at this moment.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        self.facts.not_before <= at && at < self.facts.not_after
    }

    /// The content octets of the certificate's serial number.
    pub(super) fn serial(&self) -> &[u8] {
        &self.facts.serial
    }

    /// The private key.
    pub(super) fn key(&self) -> Arc<FileKey> {
        Arc::clone(&self.key)
    }

    /// Whether the certificate should be renewed: half of its life has passed, and a new one would live longer.
    pub(super) fn is_due(&self, ca: &Facts, now: Timestamp) -> bool {
        is_due(&self.facts, ca, now)
    }
}

impl std::fmt::Debug for Delegate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delegate({})", self.facts.subject)
    }
}

/// A role for which a CA certifies a delegate.
pub(super) struct Role {
    /// The suffix of the delegate's file names.
    pub(super) suffix: &'static str,
    /// The account under which the delegate's certificates are recorded.
    pub(super) account: &'static str,
    /// The last part of the subject's common name, after the name of the CA.
    pub(super) title: &'static str,
    pub(super) usage: &'static [ObjectIdentifier],
    /// Whether the certificate has id-pkix-ocsp-nocheck.
    pub(super) nocheck: bool,
}

impl Role {
    /// Signs protocol answers. The extended key usage is cmcCA (RFC 6402 §2.10).
    pub const CMP: Self = Self {
        suffix: "cmp",
        account: "_cmp",
        title: "CMP",
        usage: &[oid::CMC_CA],
        nocheck: false,
    };

    /// Signs generated keys. The extended key usage is cmKGA (RFC 9480 §2.2).
    pub const KGA: Self = Self {
        suffix: "kga",
        account: "_kga",
        title: "KGA",
        usage: &[oid::CM_KGA],
        nocheck: false,
    };

    /// Signs OCSP answers. The extended key usage is OCSPSigning, and clients do not ask for the certificate's own
    /// status (RFC 6960 §4.2.2.2.1).
    pub const OCSP: Self = Self {
        suffix: "ocsp",
        account: "_ocsp",
        title: "OCSP",
        usage: &[oid::OCSP_SIGNING],
        nocheck: true,
    };
}

/// A delegate that is appointed when it is first needed, and the last failure to appoint it.
#[derive(Default)]
pub(super) struct Appointment {
    pub(super) current: Option<Arc<Delegate>>,
    pub(super) failed: Option<(Timestamp, Error)>,
}

impl Appointment {
    /// The delegate, if its certificate is valid at this moment.
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

/// Whether a delegate's certificate should be renewed: half of its life has passed, and a new one would live longer,
/// because the CA does.
pub(super) fn is_due(facts: &Facts, ca: &Facts, now: Timestamp) -> bool {
    let half = facts.not_before.plus(facts.not_after.since(facts.not_before) / 2);
    now >= half && facts.not_after != ca.not_after
}
