//! The last step before a signature: the lint examines exactly the octets that are signed.
//!
//! Every certificate is signed through a [`Gate`], whichever library encoded it. `crl.rs` lints the CRLs that it writes
//! by itself, in the same way.

use std::sync::{Mutex, PoisonError};

use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};

use super::handed_out::HandedOut;
use super::object::signed_object;
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::key::FileKey;
use crate::lint::{self, Finding, Purpose, Severity};

/// A signing key that signs only objects that pass the lint and, after [`Self::below`], that verifiers accept below the CA's path.
pub struct Gate<'a> {
    key: &'a FileKey,
    object: Object,
    path: Option<(&'a HandedOut, Timestamp)>,
    refusal: Mutex<Option<Error>>,
}

/// The kind of object that is about to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A TBSCertificate for this purpose.
    Certificate(Purpose),
}

impl<'a> Gate<'a> {
    /// A gate in front of `key`, for one kind of object.
    pub const fn new(key: &'a FileKey, object: Object) -> Self {
        Self { key, object, path: None, refusal: Mutex::new(None) }
    }

    /// A gate that also refuses a certificate that no verifier would accept below this path at the time `now`.
    #[must_use]
    pub fn below(self, path: &'a HandedOut, now: Timestamp) -> Self {
        Self { path: Some((path, now)), ..self }
    }

    /// Checks `tbs`, signs it, and returns the whole object, DER.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Template`] that names the rule which `tbs` breaks; [`Error::Internal`] if the key fails.
    pub fn sign_object(&self, tbs: &[u8]) -> Result<Vec<u8>> {
        let signature = self.sign(tbs).map_err(|e| self.explain(&e))?;
        signed_object(tbs, self.key.signature_algorithm(), &signature)
    }

    /// The reason why signing failed: the refusal of this gate, or else an [`Error::Internal`] with the error of the key.
    pub fn explain(&self, error: &rcgen::Error) -> Error {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        refusal.unwrap_or_else(|| Error::internal(format!("signing failed: {error}")))
    }

    /// Lints the octets, and checks them against the path. Warnings are logged and do not stop the signature.
    fn check(&self, tbs: &[u8]) -> Result<()> {
        let Object::Certificate(purpose) = self.object;
        let (findings, decoded) = lint::decoded_tbs_certificate(tbs, Some(purpose));
        for finding in &findings {
            match finding.severity {
                Severity::Error => return Err(refuse(finding)),
                Severity::Warning => {
                    tracing::warn!(code = finding.code, "about to sign: {}", finding.message);
                }
                Severity::Notice => {}
            }
        }
        let Some((path, now)) = self.path else { return Ok(()) };
        // INVARIANT: what the lint could not decode was refused above.
        let decoded =
            decoded.ok_or_else(|| Error::internal("a TBSCertificate passed undecoded"))?;
        path.check(tbs, decoded, &self.key.signature_algorithm(), now)
    }
}

/// The error for an object that breaks a rule of the lint: `Denied` with [`Denial::Template`].
pub fn refuse(finding: &Finding) -> Error {
    Error::denied(
        Denial::Template,
        format!("lint `{}` ({}): {}", finding.code, finding.section, finding.message),
    )
}

impl PublicKeyData for Gate<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(self.key)
    }
}

impl SigningKey for Gate<'_> {
    fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        if let Err(refusal) = self.check(tbs) {
            // rcgen passes on only an error of its own, so the reason waits here for `explain`.
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
            return Err(rcgen::Error::RemoteKeyError);
        }
        self.key.sign(tbs)
    }
}
