//! The values of general messages (RFC 9810 §5.3.19). The module of CMP has explicit tags (RFC 9810 §F).

use der::asn1::Any;
use der::{Choice, Sequence};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::time::Time;

use crate::cmp::wire::crmf::CertTemplate;

/// ```text
/// CRLStatus ::= SEQUENCE {
///     source       CRLSource,
///     thisUpdate   Time OPTIONAL }
/// ```
/// RFC 9810 §5.3.19.17.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CrlStatus {
    /// Which CRL.
    pub source: CrlSource,
    /// thisUpdate of the CRL that the peer has.
    pub this_update: Option<Time>,
}

/// ```text
/// CRLSource ::= CHOICE {
///     dpn          [0] DistributionPointName,
///     issuer       [1] GeneralNames }
/// ```
/// RFC 9810 §5.3.19.17.
#[derive(Debug, Clone, PartialEq, Eq, Choice)]
pub enum CrlSource {
    /// As a certificate's distribution point names it.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Point(DistributionPointName),
    /// By its issuer.
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    Issuer(Vec<GeneralName>),
}

/// ```text
/// RootCaKeyUpdateContent ::= SEQUENCE {
///     newWithNew       CMPCertificate,
///     newWithOld   [0] CMPCertificate OPTIONAL,
///     oldWithNew   [1] CMPCertificate OPTIONAL }
/// ```
/// RFC 9810 §5.3.19.15.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct RootCaKeyUpdate {
    /// The new root.
    pub new_with_new: Any,
    /// The new key, signed by the old one.
    #[asn1(context_specific = "0", optional = "true")]
    pub new_with_old: Option<Any>,
    /// The old key, signed by the new one.
    #[asn1(context_specific = "1", optional = "true")]
    pub old_with_new: Option<Any>,
}

/// ```text
/// CertReqTemplateContent ::= SEQUENCE {
///     certTemplate     CertTemplate,
///     keySpec          Controls OPTIONAL }
/// ```
/// RFC 9810 §5.3.19.16.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertReqTemplate {
    /// What a request shall say.
    pub cert_template: CertTemplate,
    /// The keys that are taken, one control for each kind.
    pub key_spec: Option<Vec<AttributeTypeAndValue>>,
}
