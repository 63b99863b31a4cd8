//! The certificate of a message's signer. Clients sign with certificates that they made themselves: of X.509 version 1, valid for a hundred
//! years, or with serial numbers of more than 20 octets. So only the parts that SCEP needs are read, and nothing else is checked.

use countersign_ca::{Error, SubjectPublicKey};

use crate::ber::{CONTEXT_0, Element, Elements, INTEGER, SEQUENCE};

/// The certificate with which a message is signed, and for which its answer is encrypted.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The issuer and serial number of the certificate.
    pub name: IssuerAndSerial,
    /// The certified key.
    pub key: SubjectPublicKey,
}

/// An IssuerAndSerialNumber (RFC 5652 §10.2.4), both parts as whole DER elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerAndSerial {
    /// The Name of the issuer.
    pub issuer: Vec<u8>,
    /// The serial number of the certificate, as an INTEGER.
    pub serial: Vec<u8>,
}

impl IssuerAndSerial {
    /// Reads the content of an IssuerAndSerialNumber.
    ///
    /// ```text
    /// IssuerAndSerialNumber ::= SEQUENCE {
    ///     issuer Name,
    ///     serialNumber CertificateSerialNumber }
    /// ```
    ///
    /// # Errors
    /// [`Error::Malformed`] if the content is not one.
    pub fn read(mut parts: Elements<'_>) -> Result<Self, Error> {
        let issuer = parts.expect(SEQUENCE, "an issuer")?;
        let serial = parts.expect(INTEGER, "a serial number")?;
        if !parts.is_finished() {
            return Err(Error::malformed("elements stand behind an issuer and a serial number"));
        }
        Ok(Self { issuer: issuer.whole.to_vec(), serial: serial.whole.to_vec() })
    }

    /// The issuer and serial number in a certificate.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not a certificate.
    pub fn of(certificate: &[u8]) -> Result<Self, Error> {
        Ok(Parts::of(certificate)?.name())
    }

    /// The content octets of the serial number.
    pub fn serial_content(&self) -> &[u8] {
        Elements::of(&self.serial).next().map_or(&[], |serial| serial.content)
    }
}

impl Signer {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not a certificate; the errors of [`SubjectPublicKey::from_der`].
    pub fn of(certificate: &[u8]) -> Result<Self, Error> {
        let parts = Parts::of(certificate)?;
        let key = SubjectPublicKey::from_der(parts.key.whole)?;
        Ok(Self { certificate: certificate.to_vec(), name: parts.name(), key })
    }
}

/// The parts of a certificate.
///
/// ```text
/// Certificate ::= SEQUENCE { tbsCertificate TBSCertificate, … }
///
/// TBSCertificate ::= SEQUENCE {
///     version [0] EXPLICIT Version DEFAULT v1,
///     serialNumber CertificateSerialNumber,
///     signature AlgorithmIdentifier,
///     issuer Name,
///     validity Validity,
///     subject Name,
///     subjectPublicKeyInfo SubjectPublicKeyInfo, … }
/// ```
struct Parts<'a> {
    serial: Element<'a>,
    issuer: Element<'a>,
    key: Element<'a>,
}

impl<'a> Parts<'a> {
    fn of(certificate: &'a [u8]) -> Result<Self, Error> {
        let mut whole = Elements::of(certificate);
        let mut certificate = whole.expect(SEQUENCE, "a certificate")?.elements();
        let mut tbs = certificate.expect(SEQUENCE, "a TBSCertificate")?.elements();
        tbs.optional(CONTEXT_0);
        let serial = tbs.expect(INTEGER, "a serial number")?;
        tbs.expect(SEQUENCE, "a signature algorithm")?;
        let issuer = tbs.expect(SEQUENCE, "an issuer")?;
        tbs.expect(SEQUENCE, "a validity")?;
        tbs.expect(SEQUENCE, "a subject")?;
        let key = tbs.expect(SEQUENCE, "a public key")?;
        Ok(Self { serial, issuer, key })
    }

    fn name(&self) -> IssuerAndSerial {
        IssuerAndSerial { issuer: self.issuer.whole.to_vec(), serial: self.serial.whole.to_vec() }
    }
}
