//! The values of general messages (RFC 9810 §5.3.19). Their tags are explicit, as in all of the ASN.1 module of CMP (RFC 9810 Appendix F).

use der::asn1::Any;
use der::{Choice, Sequence};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::time::Time;

use super::crmf::CertTemplate;

/// One CRL that the peer asks for, with the age of the one that it has (RFC 9810 §5.3.19.17).
///
/// ```text
/// CRLStatus ::= SEQUENCE {
///     source       CRLSource,
///     thisUpdate   Time OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CrlStatus {
    /// The name of the CRL.
    pub source: CrlSource,
    /// thisUpdate of the CRL that the peer has; `None` if it has none.
    pub this_update: Option<Time>,
}

/// The name of a CRL (RFC 9810 §5.3.19.17).
///
/// ```text
/// CRLSource ::= CHOICE {
///     dpn          [0] DistributionPointName,
///     issuer       [1] GeneralNames }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Choice)]
pub enum CrlSource {
    /// A distribution point, as a certificate names it.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Point(DistributionPointName),
    /// The name of the CRL's issuer.
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    Issuer(Vec<GeneralName>),
}

/// The answer to rootCaCert: the certificate of a root's next key, and the link certificates between both keys (RFC 9810 §5.3.19.15).
///
/// ```text
/// RootCaKeyUpdateContent ::= SEQUENCE {
///     newWithNew       CMPCertificate,
///     newWithOld   [0] CMPCertificate OPTIONAL,
///     oldWithNew   [1] CMPCertificate OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct RootCaKeyUpdate {
    /// The new root certificate.
    pub new_with_new: Any,
    /// The certificate of the new key that the old key signed.
    #[asn1(context_specific = "0", optional = "true")]
    pub new_with_old: Option<Any>,
    /// The certificate of the old key that the new key signed.
    #[asn1(context_specific = "1", optional = "true")]
    pub old_with_new: Option<Any>,
}

/// The answer to certReqTemplate: the fields and the kinds of key for a request (RFC 9810 §5.3.19.16).
///
/// ```text
/// CertReqTemplateContent ::= SEQUENCE {
///     certTemplate     CertTemplate,
///     keySpec          Controls OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertReqTemplate {
    /// The fields that a request shall have.
    pub cert_template: CertTemplate,
    /// The accepted kinds of key, one control for each.
    pub key_spec: Option<Vec<AttributeTypeAndValue>>,
}
