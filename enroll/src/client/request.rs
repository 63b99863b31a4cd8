//! The certificate that a peer asks for, in the same terms for all protocols.

use countersign_ca::{FileKey, Timestamp};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// The kind of request for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A first certificate: CMP's ir, EST's simpleenroll, SCEP's PKCSReq.
    Initialization,
    /// A further certificate: CMP's cr. EST and SCEP do not distinguish it from a first one.
    Certification,
    /// A certificate in place of the one that signs the request: CMP's kur, EST's simplereenroll, SCEP's RenewalReq.
    KeyUpdate,
}

/// The certificate that a peer asks for.
#[derive(Debug)]
pub struct EnrolmentRequest<'r> {
    /// The kind of request.
    pub body: Body,
    /// The key to certify, which signs the proof of possession.
    pub key: &'r FileKey,
    /// The subject; empty to leave the choice to the CA.
    pub subject: Name,
    /// Whether a certificate with another subject is rejected. Has no effect if `subject` is empty.
    pub needs_subject: bool,
    /// The subjectAltName; empty to leave the choice to the CA. A certificate that lacks one of these names is rejected.
    pub alt_names: Vec<GeneralName>,
    /// For a kur: the certificate to be replaced, DER. `None` for any other request.
    pub replaces: Option<&'r [u8]>,
    /// The name of the profile at the CA: certProfile in CMP (RFC 9810 §5.1.1.4), the label in EST (RFC 7030 §3.2.2), Microsoft's name of
    /// a template in SCEP. `None` to leave the choice to the CA.
    pub profile: Option<&'r str>,
    /// The notAfter to ask for; `None` to leave the choice to the CA. Only CMP can ask for it.
    pub not_after: Option<Timestamp>,
    /// Whether to ask for implicit confirmation (RFC 9810 §5.1.1.1). Only CMP has this.
    pub implicit_confirm: bool,
}
