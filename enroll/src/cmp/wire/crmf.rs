//! Requests for certificates in the Certificate Request Message Format, CRMF (RFC 4211).

use countersign_ca::{ProvenKey, SubjectPublicKey};
use der::asn1::{Any, AnyRef, BitString, Int};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Reader, Sequence, SliceReader, Tag, Tagged};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

use super::controls::Controls;
use super::oid;
use super::popo::{AuthInfo, PkMacValue, PopoPrivKey, ProofOfPossession};
use super::refusal::{Failure, Refusal, encoding_failed, malformed};
use super::time::timestamp;
use crate::request::elements::elements;
use crate::request::extensions::{SeparateExtensions, separate_alt_names, with_one_alt_name};
use crate::request::template::RequestTemplate;

/// The longest certReqId that is accepted, in octets.
pub const MAX_CERT_REQ_ID: usize = 16;

/// A request for one certificate (RFC 4211 §5).
///
/// ```text
/// CertRequest ::= SEQUENCE {
///     certReqId     INTEGER,
///     certTemplate  CertTemplate,
///     controls      Controls OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertRequest {
    /// A number that the response repeats.
    pub cert_req_id: Int,
    /// The fields that the certificate shall have.
    pub cert_template: CertTemplate,
    /// Attributes that affect the issuance (RFC 4211 §6).
    pub controls: Option<Vec<AttributeTypeAndValue>>,
}

/// The fields that a certificate shall have, or that identify an existing certificate (RFC 4211 §5).
///
/// ```text
/// CertTemplate ::= SEQUENCE {
///     version      [0] Version               OPTIONAL,
///     serialNumber [1] INTEGER               OPTIONAL,
///     signingAlg   [2] AlgorithmIdentifier   OPTIONAL,
///     issuer       [3] Name                  OPTIONAL,
///     validity     [4] OptionalValidity      OPTIONAL,
///     subject      [5] Name                  OPTIONAL,
///     publicKey    [6] SubjectPublicKeyInfo  OPTIONAL,
///     issuerUID    [7] UniqueIdentifier      OPTIONAL,
///     subjectUID   [8] UniqueIdentifier      OPTIONAL,
///     extensions   [9] Extensions            OPTIONAL }
/// ```
///
/// All tags are implicit, but a Name is a CHOICE and so its tag is explicit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Sequence)]
pub struct CertTemplate {
    /// The version of the certificate: 2, for v3, if it is present.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub version: Option<Int>,
    /// The serial number of an existing certificate, such as the one to revoke. Absent in a request for a new one.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub serial_number: Option<SerialNumber>,
    /// Absent except in a ccr, which names the algorithm that the CA shall sign with (RFC 9810 Appendix D.6).
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub signing_alg: Option<AlgorithmIdentifierOwned>,
    /// The CA that shall issue the certificate.
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub issuer: Option<Name>,
    /// The requested validity.
    #[asn1(context_specific = "4", tag_mode = "IMPLICIT", optional = "true")]
    pub validity: Option<OptionalValidity>,
    /// The requested subject.
    #[asn1(context_specific = "5", tag_mode = "EXPLICIT", optional = "true")]
    pub subject: Option<Name>,
    /// The key to certify.
    #[asn1(context_specific = "6", tag_mode = "IMPLICIT", optional = "true")]
    pub public_key: Option<SubjectPublicKeyInfoOwned>,
    /// issuerUniqueID, which no request may have (RFC 4211 §5).
    #[asn1(context_specific = "7", tag_mode = "IMPLICIT", optional = "true")]
    pub issuer_uid: Option<BitString>,
    /// subjectUniqueID, which no request may have (RFC 4211 §5).
    #[asn1(context_specific = "8", tag_mode = "IMPLICIT", optional = "true")]
    pub subject_uid: Option<BitString>,
    /// The requested extensions.
    #[asn1(context_specific = "9", tag_mode = "IMPLICIT", optional = "true")]
    pub extensions: Option<Vec<Extension>>,
}

/// The requested validity (RFC 4211 §5).
///
/// ```text
/// OptionalValidity ::= SEQUENCE {
///     notBefore  [0] Time OPTIONAL,
///     notAfter   [1] Time OPTIONAL } -- at least one MUST be present
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct OptionalValidity {
    /// The requested notBefore.
    #[asn1(context_specific = "0", optional = "true")]
    pub not_before: Option<Time>,
    /// The requested notAfter.
    #[asn1(context_specific = "1", optional = "true")]
    pub not_after: Option<Time>,
}

/// A request for one certificate, with its proof of possession (RFC 4211 §3).
///
/// ```text
/// CertReqMsg ::= SEQUENCE {
///     certReq   CertRequest,
///     popo      ProofOfPossession  OPTIONAL,
///     regInfo   SEQUENCE SIZE(1..MAX) OF AttributeTypeAndValue OPTIONAL }
/// ```
///
/// The content of regInfo is ignored.
#[derive(Debug, Clone)]
pub struct CertReqMsg {
    /// The request.
    pub request: CertRequest,
    /// The octets of the request as they were sent: a proof of possession is computed over them.
    pub request_bytes: Vec<u8>,
    /// The proof of possession; `None` if the request has none.
    pub proof: Option<ProofOfPossession>,
    /// Whether the message has regInfo.
    pub has_reg_info: bool,
    /// The controls that are acted on in this kind of request, beside pkiPublicationInfo. [`Self::controls`] reports every other one.
    pub supported: &'static [ObjectIdentifier],
}

/// The issuer and serial number of a certificate (RFC 4211 §6.5).
///
/// ```text
/// CertId ::= SEQUENCE { issuer GeneralName, serialNumber INTEGER }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertId {
    /// The issuer's name.
    pub issuer: GeneralName,
    /// The serial number.
    pub serial_number: SerialNumber,
}

impl CertTemplate {
    /// The template with its subjectAltName repaired by [`with_one_alt_name`].
    #[must_use]
    pub fn with_one_alt_name(mut self) -> Self {
        self.extensions = self.extensions.map(with_one_alt_name);
        self
    }
}

impl CertReqMsg {
    /// Reads the one CertReqMsg in CertReqMessages (RFC 9483 §4.1 wants exactly one).
    ///
    /// # Errors
    /// `badRequest` for another number of them, `badDataFormat` for one that cannot be decoded.
    pub fn only(body: &Any) -> Result<Self, Refusal> {
        let mut all = elements(body).map_err(malformed("CertReqMessages"))?.into_iter();
        match (all.next(), all.next()) {
            (Some(one), None) => Self::decode(one).map_err(malformed("a CertReqMsg")),
            _ => Err(Refusal::new(
                Failure::BadRequest,
                "expected exactly one CertReqMsg (RFC 9483 §4.1.1)",
            )),
        }
    }

    fn decode(message: AnyRef<'_>) -> der::Result<Self> {
        let mut reader = SliceReader::new(message.value())?;
        let request_bytes = reader.tlv_bytes()?.to_vec();
        let request = CertRequest::from_der(&request_bytes)?;
        let mut proof = None;
        let mut has_reg_info = false;
        while !reader.is_finished() {
            let element = AnyRef::decode(&mut reader)?;
            match element.tag() {
                Tag::ContextSpecific { number, .. } if proof.is_none() => {
                    proof = Some(ProofOfPossession::decode(number, element)?);
                }
                // regInfo is the last element.
                Tag::Sequence if reader.is_finished() => has_reg_info = true,
                other => return Err(other.unexpected_error(None)),
            }
        }
        Ok(Self { request, request_bytes, proof, has_reg_info, supported: &[] })
    }

    /// Verifies the proof of possession by signature. `sender` is the sender in the header of the message. `public_key_mac` is the
    /// publicKeyMAC over the key in poposkInput, if it was verified with the shared secret.
    ///
    /// # Errors
    /// `badPOP` without a valid signature by the key in the template, and what [`Self::into_template`] refuses.
    pub fn proven(
        self,
        sender: &GeneralName,
        public_key_mac: Option<&PkMacValue>,
    ) -> Result<RequestTemplate, Refusal> {
        let template = &self.request.cert_template;
        let bad = |why: &str| Refusal::new(Failure::BadPop, why.to_owned());
        let key = self.key()?;
        let spki = key.der();
        let proof = match &self.proof {
            Some(ProofOfPossession::Signature(proof)) => proof,
            None => {
                return Err(bad(
                    "the proof of possession is missing; sign the request with the new key",
                ));
            }
            Some(ProofOfPossession::RaVerified) => {
                return Err(Refusal::new(
                    Failure::NotAuthorized,
                    "raVerified is said by registration authorities alone, in messages of their own (RFC 9810 §5.2.8.4); sign the \
                     request with the new key",
                ));
            }
            Some(ProofOfPossession::KeyEncipherment(_) | ProofOfPossession::KeyAgreement(_)) => {
                return Err(bad(
                    "expected a proof of possession by signature, found one by encryption or key agreement",
                ));
            }
        };
        let signature =
            proof.signature.as_bytes().ok_or_else(|| bad("the signature has unused bits"))?;
        // RFC 4211 §4.1: poposkInput is absent if and only if the template has subject and publicKey.
        let signed = match &proof.input {
            // Without a subject, poposkInput should be present, but the clients of OpenSSL and mbed TLS sign the CertRequest all the
            // same. That proves as much: the key is in the CertRequest, and the message itself is authenticated.
            None => self.request_bytes.clone(),
            Some(_) if template.subject.is_some() => {
                return Err(bad(
                    "poposkInput must be absent where the template has subject and publicKey (RFC 4211 §4.1)",
                ));
            }
            Some(input) => {
                if encoded(&input.public_key)? != spki {
                    return Err(bad("the publicKey in poposkInput is not the one in the template"));
                }
                let authentic = match &input.auth_info {
                    AuthInfo::Sender(name) => name == sender,
                    AuthInfo::PublicKeyMac(value) => public_key_mac == Some(value),
                };
                if !authentic {
                    return Err(bad(
                        "authInfo in poposkInput is neither the sender nor a MAC with the shared secret",
                    ));
                }
                encoded(input)?
            }
        };
        let key = ProvenKey::verify(key, &proof.algorithm, &signed, signature)?;
        self.into_template(key)
    }

    /// The certificate that a key update names in its oldCertID control, if it has one.
    ///
    /// # Errors
    /// `badDataFormat` for a control that cannot be decoded.
    pub fn old_cert_id(&self) -> Result<Option<CertId>, Refusal> {
        let control =
            self.request.controls.iter().flatten().find(|control| control.oid == oid::OLD_CERT_ID);
        control
            .map(|control| control.value.decode_as::<CertId>().map_err(malformed("an oldCertID")))
            .transpose()
    }

    /// Reads the controls, which say more than the template. The notices also name a regInfo, because its content is ignored.
    ///
    /// # Errors
    /// As [`Controls::read`].
    pub fn controls(&self) -> Result<Controls, Refusal> {
        let controls = self.request.controls.as_deref().unwrap_or_default();
        let mut found = Controls::read(controls, self.supported)?;
        if self.has_reg_info {
            found.notices.push("the registration information (regInfo) was left out".into());
        }
        Ok(found)
    }

    /// The template of the requested certificate. `key` is the key whose possession was proven, or `()` if the key is still to be
    /// generated.
    ///
    /// # Errors
    /// `badCertTemplate` for a template with fields that only the CA fills in, with another version than v3, or with one extension twice;
    /// `badDataFormat` for extensions that cannot be decoded, and what [`Self::controls`] refuses.
    pub fn into_template<K>(self, key: K) -> Result<RequestTemplate<K>, Refusal> {
        let Controls { published, notices } = self.controls()?;
        let template = self.request.cert_template;
        let refused = |why: &str| Err(Refusal::new(Failure::BadCertTemplate, why.to_owned()));
        if template.serial_number.is_some() {
            return refused(
                "a template for a new certificate has no serialNumber: the CA chooses it",
            );
        }
        if template.signing_alg.is_some()
            || template.issuer_uid.is_some()
            || template.subject_uid.is_some()
        {
            return refused("signingAlg, issuerUID and subjectUID must be absent (RFC 4211 §5)");
        }
        if template.version.is_some_and(|version| version.as_bytes() != [2]) {
            return refused("expected version 2 (v3) or none");
        }
        let issuer = template.issuer.filter(|issuer| !issuer.is_empty());
        let SeparateExtensions { alt_names, others } =
            separate_alt_names(template.extensions.unwrap_or_default())?;
        let moment = |time: Time| timestamp(time.to_unix_duration());
        let (not_before, not_after) = match template.validity {
            Some(validity) => (validity.not_before.map(moment), validity.not_after.map(moment)),
            None => (None, None),
        };
        Ok(RequestTemplate {
            key,
            issuer,
            subject: template.subject.filter(|subject| !subject.is_empty()),
            alt_names,
            extensions: others,
            not_before,
            not_after,
            published,
            notices,
        })
    }

    /// The way in which the request proves possession of a key by decryption or key agreement; `None` if it has a proof of another kind or
    /// none.
    pub const fn proof_by_decryption(&self) -> Option<PopoPrivKey> {
        match &self.proof {
            Some(
                ProofOfPossession::KeyEncipherment(proof) | ProofOfPossession::KeyAgreement(proof),
            ) => Some(*proof),
            _ => None,
        }
    }

    /// The key in the template.
    ///
    /// # Errors
    /// `badCertTemplate` without one, and what [`SubjectPublicKey::from_der`] refuses.
    pub fn key(&self) -> Result<SubjectPublicKey, Refusal> {
        let key = self.request.cert_template.public_key.as_ref().ok_or_else(|| {
            Refusal::new(
                Failure::BadCertTemplate,
                "the template has no publicKey; make a key and put its public half there",
            )
        })?;
        Ok(SubjectPublicKey::from_der(&key.to_der().map_err(encoding_failed)?)?)
    }
}

fn encoded(value: &impl Encode) -> Result<Vec<u8>, Refusal> {
    value.to_der().map_err(|e| {
        Refusal::new(Failure::BadDataFormat, format!("it cannot be encoded again: {e}"))
    })
}
