//! The template of a requested certificate, whether the request is CRMF or PKCS #10.

use countersign_ca::record::{Label, Serial};
use countersign_ca::{CertificateRequest, ProvenKey, Timestamp};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// The template of a requested certificate: the fields that the request asks for.
#[derive(Debug, Clone)]
pub struct RequestTemplate<K = ProvenKey> {
    /// The key, whose possession was proven; `()` if the key is still to be generated here.
    pub key: K,
    /// The issuer; `None` if the request names none.
    pub issuer: Option<Name>,
    /// The subject; `None` when absent or empty.
    pub subject: Option<Name>,
    /// The names in the subjectAltName; empty if the request has none.
    pub alt_names: Vec<GeneralName>,
    /// Every other extension.
    pub extensions: Vec<Extension>,
    /// The requested notBefore; `None` leaves it to the CA.
    pub not_before: Option<Timestamp>,
    /// The requested notAfter; `None` leaves it to the CA.
    pub not_after: Option<Timestamp>,
    /// Whether the certificate shall be published in directories; `None` if the request does not say.
    pub published: Option<bool>,
    /// Texts for the answer's statusString that say which parts of the request were left out or granted otherwise.
    pub notices: Vec<String>,
}

impl<K> RequestTemplate<K> {
    /// The request to the authority, under this profile and by this CA; `None` leaves either to the account. `updates` is the serial number
    /// of the certificate that the new one replaces. The issuer and the notices are not part of it.
    pub fn into_request(
        self,
        profile: Option<Label>,
        ca: Option<Label>,
        updates: Option<Serial>,
    ) -> CertificateRequest<K> {
        CertificateRequest {
            key: self.key,
            subject: self.subject,
            alt_names: self.alt_names,
            not_before: self.not_before,
            not_after: self.not_after,
            extensions: self.extensions,
            profile,
            ca,
            updates,
            published: self.published,
        }
    }
}

impl RequestTemplate<()> {
    /// The same request with the key that was generated for it.
    pub fn with_key(self, key: ProvenKey) -> RequestTemplate {
        RequestTemplate {
            key,
            issuer: self.issuer,
            subject: self.subject,
            alt_names: self.alt_names,
            extensions: self.extensions,
            not_before: self.not_before,
            not_after: self.not_after,
            published: self.published,
            notices: self.notices,
        }
    }
}
