//! Encodes the parts that certificates and CRLs share (RFC 5280 §4.2).

use der::asn1::{GeneralizedTime, Ia5String, OctetString, UtcTime};
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Any, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::{PolicyInformation, PolicyQualifierInfo};
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, CrlDistributionPoints,
    SubjectAltName,
};
use x509_cert::name::Name;
use x509_cert::time::Time;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::oid;

/// A certificate policy of a profile, whose identifier and URL were checked when the profile was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The policy's object identifier.
    pub oid: ObjectIdentifier,
    /// The `http:` or `https:` URL of the Certification Practice Statement, in printable ASCII; `None` if there is
    /// none.
    pub cps: Option<String>,
}

/// An X.509 time: UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5).
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

/// Whether a verifier that does not know an extension must refuse the certificate or CRL (RFC 5280 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criticality {
    /// A verifier that does not know the extension must refuse the certificate or CRL.
    Critical,
    /// The verifier may ignore the extension.
    NonCritical,
}

/// An extension that contains `value` in DER.
///
/// # Errors
/// [`Error::Internal`] if the value cannot be encoded.
pub fn extension<T: AssociatedOid + Encode>(
    criticality: Criticality,
    value: &T,
) -> Result<Extension> {
    let extn_value = octets(&value.to_der().map_err(Error::internal)?)?;
    Ok(Extension { extn_id: T::OID, critical: criticality == Criticality::Critical, extn_value })
}

/// A subjectAltName extension with these names. It is critical if and only if the subject is empty (RFC 5280 §4.2.1.6).
///
/// # Errors
/// [`Error::Internal`] if a name cannot be encoded.
pub fn subject_alt_name(subject: &Name, names: &[GeneralName]) -> Result<Extension> {
    let criticality = match subject.is_empty() {
        true => Criticality::Critical,
        false => Criticality::NonCritical,
    };
    extension(criticality, &SubjectAltName(names.to_vec()))
}

/// An authorityKeyIdentifier with only the keyIdentifier (RFC 5280 §4.2.1.1).
///
/// # Errors
/// [`Error::Internal`] if it cannot be encoded.
pub fn authority_key_identifier(identifier: &[u8]) -> Result<AuthorityKeyIdentifier> {
    Ok(AuthorityKeyIdentifier {
        key_identifier: Some(octets(identifier)?),
        ..AuthorityKeyIdentifier::default()
    })
}

/// The content of an authorityInfoAccess extension with the URLs of OCSP responders and of the issuer's certificate.
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

/// A PolicyInformation (RFC 5280 §4.2.1.4) with the CPS pointer as its qualifier, if the policy has one.
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

/// The content of a cRLDistributionPoints extension with one distribution point. All URLs lead to the same CRL (RFC
/// 5280 §4.2.1.13).
///
/// # Errors
/// [`Error::Malformed`] for a URL that is not ASCII.
pub fn distribution_points(urls: &[String]) -> Result<CrlDistributionPoints> {
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

/// An OCTET STRING.
///
/// # Errors
/// [`Error::Internal`] if there are too many octets.
pub fn octets(bytes: &[u8]) -> Result<OctetString> {
    OctetString::new(bytes).map_err(Error::internal)
}
