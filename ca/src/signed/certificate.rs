//! Encodes end entity certificates (RFC 5280 §4) with `x509-cert`. rcgen is not used here, because its names cannot
//! contain two attributes of one type, and subjects of peers can.

use der::asn1::{AnyRef, Null};
use der::oid::ObjectIdentifier;
use der::{Encode, Tag, TagNumber};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Version;
use x509_cert::certificate::Rfc5280;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, CertificatePolicies, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::key::SubjectPublicKey;
use crate::oid;
use crate::record::Serial;
use crate::x509::Criticality::{Critical, NonCritical};
use crate::x509::{
    Policy, authority_info_access, authority_key_identifier, distribution_points, extension,
    octets, policy_information, subject_alt_name, time,
};

/// The room for the encoded extensions of most certificates, and for all fields, in octets.
const EXTENSIONS: usize = 512;
const FIELDS: usize = 1024;

/// The content of an end entity certificate.
#[derive(Debug, Clone)]
pub struct EndEntity<'a> {
    /// The certificate's serial number.
    pub serial: Serial,
    /// The issuer's subject, encoded as in the issuer's own certificate.
    pub issuer: &'a Name,
    /// The issuer's subject key identifier.
    pub issuer_key_identifier: &'a [u8],
    /// The algorithm with which the issuer signs.
    pub signature: AlgorithmIdentifierOwned,
    /// notBefore, in whole seconds.
    pub not_before: Timestamp,
    /// notAfter, in whole seconds.
    pub not_after: Timestamp,
    /// The subject. It may be empty if there are alternative names.
    pub subject: Name,
    /// The certified key.
    pub key: &'a SubjectPublicKey,
    /// The subjectAltName; no extension if empty.
    pub alt_names: Vec<GeneralName>,
    /// The key usage.
    pub key_usage: KeyUsage,
    /// The extended key usage; no extension if empty.
    pub extended_key_usage: &'a [ObjectIdentifier],
    /// The certificate policies; no extension if empty.
    pub policies: &'a [Policy],
    /// The CRL distribution points; no extension if empty.
    pub crl_urls: Vec<String>,
    /// The URLs of OCSP responders.
    pub ocsp_urls: Vec<String>,
    /// The URLs of the issuer's certificate (caIssuers).
    pub ca_issuers_urls: Vec<String>,
    /// Whether the certificate has id-pkix-ocsp-nocheck. It tells clients not to ask for the status of an OCSP
    /// responder's own certificate (RFC 6960 §4.2.2.2.1).
    pub ocsp_nocheck: bool,
    /// Whether the certificate says that it is not a CA's: basicConstraints with cA FALSE. Without the extension it says the same (RFC 5280
    /// §4.2.1.9), and IKE peers need none (RFC 4945 §5.1.3.9).
    pub says_no_ca: bool,
}

impl EndEntity<'_> {
    /// The TBSCertificate, DER, which is then linted and signed.
    ///
    /// # Errors
    /// [`Error::Internal`] if a part cannot be encoded.
    pub fn tbs(&self) -> Result<Vec<u8>> {
        // Each field is encoded by itself and appended: the DER library would count each octet anew for every element around it.
        let validity =
            Validity { not_before: time(self.not_before)?, not_after: time(self.not_after)? };
        let serial = SerialNumber::<Rfc5280>::new(self.serial.octets()).map_err(Error::internal)?;
        let mut extensions = Vec::with_capacity(EXTENSIONS);
        for extension in self.extensions()? {
            append(&mut extensions, &extension)?;
        }
        let mut fields = Vec::with_capacity(FIELDS);
        fields.extend(element(
            context(TagNumber::N0),
            &Version::V3.to_der().map_err(Error::internal)?,
        )?);
        append(&mut fields, &serial)?;
        append(&mut fields, &self.signature)?;
        append(&mut fields, self.issuer)?;
        append(&mut fields, &validity)?;
        append(&mut fields, &self.subject)?;
        fields.extend_from_slice(self.key.der());
        let extensions = element(Tag::Sequence, &extensions)?;
        fields.extend(element(context(TagNumber::N3), &extensions)?);
        element(Tag::Sequence, &fields)
    }

    /// The extensions of the certificate, in a fixed order. Empty ones are left out.
    fn extensions(&self) -> Result<Vec<Extension>> {
        let mut extensions = vec![
            extension(NonCritical, &authority_key_identifier(self.issuer_key_identifier)?)?,
            extension(NonCritical, &SubjectKeyIdentifier(octets(&self.key.key_identifier())?))?,
            extension(Critical, &self.key_usage)?,
        ];
        if self.says_no_ca {
            let constraints = BasicConstraints { ca: false, path_len_constraint: None };
            extensions.push(extension(NonCritical, &constraints)?);
        }
        if !self.policies.is_empty() {
            let policies =
                self.policies.iter().map(policy_information).collect::<Result<Vec<_>>>()?;
            extensions.push(extension(NonCritical, &CertificatePolicies(policies))?);
        }
        if !self.alt_names.is_empty() {
            extensions.push(subject_alt_name(&self.subject, &self.alt_names)?);
        }
        if !self.extended_key_usage.is_empty() {
            extensions
                .push(extension(NonCritical, &ExtendedKeyUsage(self.extended_key_usage.to_vec()))?);
        }
        if !self.crl_urls.is_empty() {
            extensions.push(extension(NonCritical, &distribution_points(&self.crl_urls)?)?);
        }
        if !self.ocsp_urls.is_empty() || !self.ca_issuers_urls.is_empty() {
            let access = authority_info_access(&self.ocsp_urls, &self.ca_issuers_urls)?;
            extensions.push(extension(NonCritical, &access)?);
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
/// Appends a value, DER.
fn append(to: &mut Vec<u8>, value: &impl Encode) -> Result<()> {
    to.extend(value.to_der().map_err(Error::internal)?);
    Ok(())
}

/// The element, DER, with this tag and content.
fn element(tag: Tag, content: &[u8]) -> Result<Vec<u8>> {
    AnyRef::new(tag, content).and_then(|element| element.to_der()).map_err(Error::internal)
}

/// The tag of an explicitly tagged field.
const fn context(number: TagNumber) -> Tag {
    Tag::ContextSpecific { constructed: true, number }
}
