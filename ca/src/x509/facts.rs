//! The fields of a certificate that the authority uses, and the check of a certificate's signature.

use der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName, SubjectKeyIdentifier};
use x509_cert::name::Name;
use x509_cert::time::Time;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::SubjectPublicKey;
use crate::sets;

/// The fields of a certificate that the authority uses.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The subject.
    pub subject: Name,
    /// notBefore.
    pub not_before: Timestamp,
    /// notAfter: the last second of the validity.
    pub not_after: Timestamp,
    /// The certified public key.
    pub key: SubjectPublicKey,
    /// The subject key identifier; without that extension, the identifier of the key by method (1) of RFC 5280
    /// §4.2.1.2.
    pub key_identifier: Vec<u8>,
    /// The subjectAltName; empty if there is none.
    pub alt_names: Vec<GeneralName>,
    /// The issuer.
    pub issuer: Name,
    /// The content octets of the serial number, an INTEGER.
    pub serial: Vec<u8>,
    /// Whether basicConstraints say that the certificate is a CA's.
    pub is_ca: bool,
}

impl Facts {
    /// The serial number in hexadecimal, as this CA and others write it: without the octet that only says that the INTEGER is positive.
    pub fn serial_text(&self) -> String {
        let number = match self.serial.as_slice() {
            [0, rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        data_encoding::HEXLOWER.encode(number)
    }

    /// Reads a certificate, DER. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it cannot be read; `Denied` as [`SubjectPublicKey::from_der`] says for its public key.
    pub fn of(certificate: &[u8]) -> Result<Self> {
        let wrong = |e: der::Error| Error::malformed(format!("expected a certificate: {e}"));
        if !sets::are_small(certificate) {
            return Err(Error::malformed(
                "expected a certificate, found one with a set of too many elements",
            ));
        }
        let certificate = x509_cert::Certificate::from_der(certificate).map_err(wrong)?;
        let tbs = certificate.tbs_certificate;
        let key =
            SubjectPublicKey::from_der(&tbs.subject_public_key_info.to_der().map_err(wrong)?)?;
        let alt_names =
            tbs.get::<SubjectAltName>().map_err(wrong)?.map_or_else(Vec::new, |(_, san)| san.0);
        let key_identifier = tbs
            .get::<SubjectKeyIdentifier>()
            .map_err(wrong)?
            .map_or_else(|| key.key_identifier().to_vec(), |(_, ski)| ski.0.as_bytes().to_vec());
        let is_ca = tbs
            .get::<BasicConstraints>()
            .map_err(wrong)?
            .is_some_and(|(_, constraints)| constraints.ca);
        let moment = |time: Time| {
            Timestamp::from_seconds(
                i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX),
            )
        };
        Ok(Self {
            subject: tbs.subject,
            not_before: moment(tbs.validity.not_before),
            not_after: moment(tbs.validity.not_after),
            key,
            key_identifier,
            alt_names,
            issuer: tbs.issuer,
            serial: tbs.serial_number.as_bytes().to_vec(),
            is_ca,
        })
    }
}

/// Verifies the signature on a certificate, DER, with the issuer's key.
///
/// # Errors
/// [`Error::Unauthenticated`] if the signature is wrong; [`Error::Malformed`] if the certificate cannot be read;
/// `Denied` if the algorithm is not supported or does not fit the key.
pub fn verify_signature(certificate: &[u8], issuer: &SubjectPublicKey) -> Result<()> {
    let wrong = |e: der::Error| Error::malformed(format!("expected a certificate: {e}"));
    let parsed = x509_cert::Certificate::from_der(certificate).map_err(wrong)?;
    let tbs = parsed.tbs_certificate.to_der().map_err(wrong)?;
    let signature = parsed
        .signature
        .as_bytes()
        .ok_or_else(|| Error::malformed("a signature has no unused bits"))?;
    issuer.verify(&parsed.signature_algorithm, &tbs, signature)
}
