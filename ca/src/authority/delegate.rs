//! Delegates of a CA: signers with keys and certificates of their own, so that the CA's key signs only certificates and
//! CRLs. There is one for CMP responses and one for generated keys (RFC 9810 §4.5), one for OCSP responses (RFC 6960
//! §4.2.2.2), two for SCEP (RFC 8894 §2.1.2), and one for the TLS of the EST server (RFC 7030 §3.3.1).

use std::sync::Arc;

use der::oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::ext::pkix::name::GeneralName;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::{DecryptionKey, FileKey, KeyAlgorithm, KeyKind};
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

    /// The signature algorithm of the delegate's key.
    pub fn algorithm(&self) -> AlgorithmIdentifierOwned {
        self.key.signature_algorithm()
    }

    /// Whether a signature takes some microseconds, and not milliseconds, so that an event loop may make it.
    pub fn signs_fast(&self) -> bool {
        matches!(self.key.public().kind(), KeyKind::P256 | KeyKind::Ed25519)
    }

    /// Signs a message with the delegate's key, and returns the signature's octets.
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

    /// The notAfter of the delegate's certificate.
    pub const fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Whether the delegate's certificate is valid at the time `at`. At its notAfter it no longer counts as valid.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        self.facts.not_before <= at && at < self.facts.not_after
    }

    /// The serial number of the delegate's certificate: the content octets of the INTEGER.
    pub(super) fn serial(&self) -> &[u8] {
        &self.facts.serial
    }

    /// The delegate's private key.
    pub(super) fn key(&self) -> Arc<FileKey> {
        Arc::clone(&self.key)
    }

    /// Whether the delegate's certificate should be renewed: half of its life has passed, and it ends before the CA (`ca`) does.
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
pub(super) struct Role<'a> {
    /// The part of the delegate's file names that follows the CA's name and a dot.
    pub(super) suffix: &'static str,
    /// The account under which the delegate's certificates are recorded.
    pub(super) account: &'static str,
    /// The last part of the subject's common name, after the name of the CA.
    pub(super) title: &'static str,
    /// The extended key usage of the delegate's certificates.
    pub(super) usage: &'static [ObjectIdentifier],
    /// Whether the delegate's certificates have id-pkix-ocsp-nocheck.
    pub(super) nocheck: bool,
    /// Whether the delegate's certificates have basicConstraints without cA. PyScep finds no other certificates.
    pub(super) says_no_ca: bool,
    /// The key usage of the delegate's certificates.
    pub(super) key_usage: KeyUsages,
    /// The kind of a new key; `None` for the family of the CA's key.
    pub(super) algorithm: Option<KeyAlgorithm>,
    /// The subjectAltName of the delegate's certificates. A TLS server has one; its key is then of a kind that signs in TLS 1.3.
    pub(super) names: &'a [GeneralName],
}

impl Role<'static> {
    /// The delegate that signs CMP responses. Its extended key usage is id-kp-cmcCA (RFC 6402 §2.10).
    pub const CMP: Self = Self {
        suffix: "cmp",
        account: "_cmp",
        title: "CMP",
        usage: &[oid::CMC_CA],
        nocheck: false,
        says_no_ca: false,
        key_usage: KeyUsages::DigitalSignature,
        algorithm: None,
        names: &[],
    };

    /// The delegate that signs the private keys that the CA generates for peers. Its extended key usage is id-kp-cmKGA (RFC 9480 §2.2).
    pub const KGA: Self = Self {
        suffix: "kga",
        account: "_kga",
        title: "KGA",
        usage: &[oid::CM_KGA],
        nocheck: false,
        says_no_ca: false,
        key_usage: KeyUsages::DigitalSignature,
        algorithm: None,
        names: &[],
    };

    /// The TLS certificate of the EST server, still without the server's names. Its extended key usage is id-kp-serverAuth (RFC 7030 §3.3.1).
    pub const EST: Self = Self {
        suffix: "est",
        account: "_est",
        title: "EST",
        usage: &[oid::SERVER_AUTH],
        nocheck: false,
        key_usage: KeyUsages::DigitalSignature,
        algorithm: None,
        says_no_ca: false,
        names: &[],
    };

    /// The TLS certificate of the administration API, still without the server's names.
    pub const ADMINISTRATION: Self =
        Self { suffix: "admin", account: "_admin", title: "administration", ..Self::EST };

    /// The delegate that signs OCSP responses. Its extended key usage is id-kp-OCSPSigning. Its certificate tells clients not to ask for
    /// the certificate's own status (RFC 6960 §4.2.2.2.1).
    pub const OCSP: Self = Self {
        suffix: "ocsp",
        account: "_ocsp",
        title: "OCSP",
        usage: &[oid::OCSP_SIGNING],
        nocheck: true,
        says_no_ca: false,
        key_usage: KeyUsages::DigitalSignature,
        algorithm: None,
        names: &[],
    };

    /// The delegate for which clients of SCEP encrypt. Its key is RSA below every CA, because the clients know no other key transport.
    pub const SCEP_ENCRYPTION: Self = Self {
        suffix: "scep-enc",
        account: "_scep",
        title: "SCEP encryption",
        usage: &[],
        nocheck: false,
        says_no_ca: true,
        key_usage: KeyUsages::KeyEncipherment,
        algorithm: Some(KeyAlgorithm::Rsa3072),
        names: &[],
    };

    /// The delegate that signs SCEP's answers. Its key is RSA below every CA, because most clients verify no other signatures.
    pub const SCEP_SIGNATURE: Self = Self {
        suffix: "scep-sig",
        account: "_scep",
        title: "SCEP signature",
        usage: &[],
        nocheck: false,
        says_no_ca: true,
        key_usage: KeyUsages::DigitalSignature,
        algorithm: Some(KeyAlgorithm::Rsa3072),
        names: &[],
    };
}

/// A delegate that is appointed when it is first needed (`current`), and the time and error of the last attempt, if it failed (`failed`).
#[derive(Default)]
pub(super) struct Appointment {
    pub(super) current: Option<Arc<Delegate>>,
    pub(super) failed: Option<(Timestamp, Error)>,
}

/// The two delegates for SCEP.
#[derive(Default)]
pub(super) struct ScepAppointments {
    pub(super) encryption: Appointment,
    pub(super) signature: Appointment,
    /// The key of the delegate for encryption, opened for decryption.
    pub(super) decryption: Option<Arc<DecryptionKey>>,
}

impl Appointment {
    /// The delegate, if its certificate is valid at `now`. Otherwise the error of the last attempt to appoint it, or
    /// [`Error::Unavailable`] if that did not fail. `ca` is named in the message.
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

/// Whether a delegate's certificate should be renewed at `now`: half of its life has passed, and a new one would live longer, because the
/// certificate does not end together with the CA (`ca`).
pub(super) fn is_due(facts: &Facts, ca: &Facts, now: Timestamp) -> bool {
    let half = facts.not_before.plus(facts.not_after.since(facts.not_before) / 2);
    now >= half && facts.not_after != ca.not_after
}
