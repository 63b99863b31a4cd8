//! Encodes end entity certificates (RFC 5280 §4) on `x509-cert`: rcgen's names cannot hold two attributes of one
//! type, and peers' subjects can.

use der::asn1::{GeneralizedTime, Ia5String, Null, OctetString, UtcTime};
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Any, Decode, Encode};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::{PolicyInformation, PolicyQualifierInfo};
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, CertificatePolicies,
    CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};
use x509_cert::{TbsCertificate, Version};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::oid;
use crate::profile::Policy;
use crate::key::public::SubjectPublicKey;
use crate::record::Serial;
use crate::sets;

/// Everything that an end entity certificate says.
#[derive(Debug, Clone)]
pub struct EndEntity<'a> {
    /// Its serial number.
    pub serial: Serial,
    /// The issuer's subject, as its own certificate encodes it.
    pub issuer: &'a Name,
    /// The issuer's subject key identifier.
    pub issuer_key_identifier: &'a [u8],
    /// The algorithm that the issuer signs with.
    pub signature: AlgorithmIdentifierOwned,
    /// notBefore, in whole seconds.
    pub not_before: Timestamp,
    /// notAfter, in whole seconds.
    pub not_after: Timestamp,
    /// The subject; may be empty if there are alternative names.
    pub subject: Name,
    /// The certified key.
    pub key: &'a SubjectPublicKey,
    /// The subjectAltName; empty for none.
    pub alt_names: Vec<GeneralName>,
    /// The key usage.
    pub key_usage: KeyUsage,
    /// The extended key usage; empty for none.
    pub extended_key_usage: &'a [ObjectIdentifier],
    /// Certificate policies; empty for none.
    pub policies: &'a [Policy],
    /// CRL distribution points; empty for none.
    pub crl_urls: Vec<String>,
    /// OCSP responders; empty for none.
    pub ocsp_urls: Vec<String>,
    /// caIssuers URLs; empty for none.
    pub ca_issuers_urls: Vec<String>,
    /// Whether id-pkix-ocsp-nocheck is there: an OCSP responder's certificate, whose own status nobody asks
    /// (RFC 6960 §4.2.2.2.1).
    pub ocsp_nocheck: bool,
}

impl EndEntity<'_> {
    /// The TBSCertificate, DER: what is linted and signed.
    ///
    /// # Errors
    /// [`Error::Internal`] when something does not encode.
    pub fn tbs(&self) -> Result<Vec<u8>> {
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(self.serial.octets()).map_err(Error::internal)?,
            signature: self.signature.clone(),
            issuer: self.issuer.clone(),
            validity: Validity {
                not_before: time(self.not_before)?,
                not_after: time(self.not_after)?,
            },
            subject: self.subject.clone(),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(self.key.der())
                .map_err(Error::internal)?,
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions()?),
        };
        tbs.to_der().map_err(Error::internal)
    }

    fn extensions(&self) -> Result<Vec<Extension>> {
        let mut extensions = vec![
            extension(false, &authority_key_identifier(self.issuer_key_identifier)?)?,
            extension(false, &SubjectKeyIdentifier(octets(&self.key.key_identifier())?))?,
            extension(true, &self.key_usage)?,
        ];
        if !self.policies.is_empty() {
            let policies =
                self.policies.iter().map(policy_information).collect::<Result<Vec<_>>>()?;
            extensions.push(extension(false, &CertificatePolicies(policies))?);
        }
        if !self.alt_names.is_empty() {
            // RFC 5280 §4.2.1.6: critical if and only if the subject is empty.
            extensions
                .push(extension(self.subject.is_empty(), &SubjectAltName(self.alt_names.clone()))?);
        }
        if !self.extended_key_usage.is_empty() {
            extensions.push(extension(false, &ExtendedKeyUsage(self.extended_key_usage.to_vec()))?);
        }
        if !self.crl_urls.is_empty() {
            extensions.push(extension(false, &distribution_points(&self.crl_urls)?)?);
        }
        if !self.ocsp_urls.is_empty() || !self.ca_issuers_urls.is_empty() {
            let access = authority_info_access(&self.ocsp_urls, &self.ca_issuers_urls)?;
            extensions.push(extension(false, &access)?);
        }
        if self.ocsp_nocheck {
            let null = Null.to_der().map_err(Error::internal)?;
            extensions.push(Extension {
                extn_id: oid::OCSP_NOCHECK,
                critical: false,
                extn_value: octets(&null)?,
            });
        }
        Ok(extensions)
    }
}

/// An X.509 time: UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5).
///
/// # Errors
/// [`Error::Internal`] for a moment before 1970 or after 9999.
pub fn time(at: Timestamp) -> Result<Time> {
    let seconds = u64::try_from(at.seconds()).map_err(|_| Error::internal("a date before 1970"))?;
    let since = std::time::Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(since) {
        Ok(utc) => Ok(Time::UtcTime(utc)),
        Err(_) => GeneralizedTime::from_unix_duration(since)
            .map(Time::GeneralTime)
            .map_err(Error::internal),
    }
}

/// An extension with its DER.
///
/// # Errors
/// [`Error::Internal`] when it does not encode.
pub fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension> {
    let extn_value = octets(&value.to_der().map_err(Error::internal)?)?;
    Ok(Extension { extn_id: T::OID, critical, extn_value })
}

/// The authorityKeyIdentifier with the keyIdentifier alone (RFC 5280 §4.2.1.1).
///
/// # Errors
/// [`Error::Internal`] when it does not encode.
pub fn authority_key_identifier(identifier: &[u8]) -> Result<AuthorityKeyIdentifier> {
    Ok(AuthorityKeyIdentifier {
        key_identifier: Some(octets(identifier)?),
        ..AuthorityKeyIdentifier::default()
    })
}

/// The content of an authorityInfoAccess extension that names OCSP responders and where the issuer's certificate is.
///
/// # Errors
/// [`Error::Malformed`] for a URL that is not ASCII.
pub fn authority_info_access(
    ocsp: &[String],
    ca_issuers: &[String],
) -> Result<AuthorityInfoAccessSyntax> {
    let ocsp = ocsp.iter().map(|url| (oid::OCSP, url));
    let ca_issuers = ca_issuers.iter().map(|url| (oid::CA_ISSUERS, url));
    let descriptions = ocsp.chain(ca_issuers).map(|(access_method, url)| {
        Ok(AccessDescription { access_method, access_location: uri(url)? })
    });
    Ok(AuthorityInfoAccessSyntax(descriptions.collect::<Result<_>>()?))
}

/// One policy, with its CPS pointer as qualifier (RFC 5280 §4.2.1.4).
///
/// # Errors
/// [`Error::Malformed`] for a URL that is not ASCII.
pub fn policy_information(policy: &Policy) -> Result<PolicyInformation> {
    let qualifier = |cps: &String| -> Result<PolicyQualifierInfo> {
        let uri = Ia5String::new(cps)
            .map_err(|_| Error::malformed(format!("the CPS URI `{cps}` is not ASCII")))?;
        Ok(PolicyQualifierInfo {
            policy_qualifier_id: oid::CPS,
            qualifier: Some(Any::encode_from(&uri).map_err(Error::internal)?),
        })
    };
    Ok(PolicyInformation {
        policy_identifier: policy.oid,
        policy_qualifiers: policy.cps.as_ref().map(qualifier).transpose()?.map(|q| vec![q]),
    })
}

/// The subject of a certificate, its subject key identifier and its alternative names.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The subject.
    pub subject: Name,
    /// notBefore.
    pub not_before: Timestamp,
    /// notAfter.
    pub not_after: Timestamp,
    /// The SubjectPublicKeyInfo.
    pub key: SubjectPublicKey,
    /// The subject key identifier, or the one that the key has by method (1).
    pub key_identifier: Vec<u8>,
    /// The subjectAltName; empty without one.
    pub alt_names: Vec<GeneralName>,
    /// The issuer.
    pub issuer: Name,
    /// The serial number's content octets.
    pub serial: Vec<u8>,
    /// Whether basicConstraints says that it is a CA.
    pub is_ca: bool,
}

impl Facts {
    /// Reads a certificate, DER.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is none.
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
            .get::<x509_cert::ext::pkix::BasicConstraints>()
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

/// Reads one or more PEM certificates, or one in DER.
///
/// # Errors
/// [`Error::Malformed`] when there is none.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let none = || Error::malformed("expected a certificate in PEM or DER");
    if bytes.first() == Some(&0x30) {
        Facts::of(bytes)?;
        return Ok(vec![bytes.to_vec()]);
    }
    let chain = x509_cert::Certificate::load_pem_chain(bytes).map_err(|_| none())?;
    if chain.is_empty() {
        return Err(none());
    }
    chain.iter().map(|certificate| certificate.to_der().map_err(Error::internal)).collect()
}

/// A certificate in PEM.
///
/// # Errors
/// [`Error::Internal`] if it cannot be encoded.
pub fn to_pem(label: &'static str, der: &[u8]) -> Result<String> {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).map_err(Error::internal)
}

pub(crate) fn distribution_points(urls: &[String]) -> Result<CrlDistributionPoints> {
    // One distribution point with several names: the same CRL in several places (RFC 5280 §4.2.1.13).
    let names = urls.iter().map(|url| uri(url)).collect::<Result<Vec<_>>>()?;
    Ok(CrlDistributionPoints(vec![DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(names)),
        reasons: None,
        crl_issuer: None,
    }]))
}

fn uri(url: &str) -> Result<GeneralName> {
    Ia5String::new(url)
        .map(GeneralName::UniformResourceIdentifier)
        .map_err(|_| Error::malformed(format!("the URL `{url}` is not ASCII")))
}

pub(crate) fn octets(bytes: &[u8]) -> Result<OctetString> {
    OctetString::new(bytes).map_err(Error::internal)
}
