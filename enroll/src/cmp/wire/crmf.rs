//! Requests for certificates: CRMF (RFC 4211) and PKCS #10 (RFC 2986).

use countersign_ca::record::{Label, Serial};
use countersign_ca::{CertificateRequest, ProvenKey, SubjectPublicKey, Timestamp};
use der::asn1::{Any, AnyRef, BitString, Int, Null};
use der::oid::ObjectIdentifier;
use der::{Choice, Decode, Encode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Time;

use super::controls::Controls;
use super::oid;
use crate::cmp::server::exchange::possession::PopoPrivKey;
use super::refusal::{Failure, Refusal};
use crate::cmp::server::sender::tolerance::one_alt_name;

/// ```text
/// CertRequest ::= SEQUENCE {
///     certReqId     INTEGER,
///     certTemplate  CertTemplate,
///     controls      Controls OPTIONAL }
/// ```
/// RFC 4211 §5.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertRequest {
    /// Matches the request to its answer.
    pub cert_req_id: Int,
    /// What is asked for.
    pub cert_template: CertTemplate,
    /// Attributes affecting issuance.
    pub controls: Option<Vec<AttributeTypeAndValue>>,
}

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
/// RFC 4211 §5. All tags are implicit, but a Name is a CHOICE and so its tag is explicit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Sequence)]
pub struct CertTemplate {
    /// Must be 2 (v3) if present.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub version: Option<Int>,
    /// Only to name a certificate that exists.
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub serial_number: Option<SerialNumber>,
    /// Must be absent.
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub signing_alg: Option<AlgorithmIdentifierOwned>,
    /// The CA.
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub issuer: Option<Name>,
    /// The validity asked for.
    #[asn1(context_specific = "4", tag_mode = "IMPLICIT", optional = "true")]
    pub validity: Option<OptionalValidity>,
    /// The subject asked for.
    #[asn1(context_specific = "5", tag_mode = "EXPLICIT", optional = "true")]
    pub subject: Option<Name>,
    /// The key to certify.
    #[asn1(context_specific = "6", tag_mode = "IMPLICIT", optional = "true")]
    pub public_key: Option<SubjectPublicKeyInfoOwned>,
    /// Must be absent.
    #[asn1(context_specific = "7", tag_mode = "IMPLICIT", optional = "true")]
    pub issuer_uid: Option<BitString>,
    /// Must be absent.
    #[asn1(context_specific = "8", tag_mode = "IMPLICIT", optional = "true")]
    pub subject_uid: Option<BitString>,
    /// The extensions asked for.
    #[asn1(context_specific = "9", tag_mode = "IMPLICIT", optional = "true")]
    pub extensions: Option<Vec<Extension>>,
}

/// ```text
/// OptionalValidity ::= SEQUENCE {
///     notBefore  [0] Time OPTIONAL,
///     notAfter   [1] Time OPTIONAL } -- at least one MUST be present
/// ```
/// RFC 4211 §5.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct OptionalValidity {
    /// The earliest.
    #[asn1(context_specific = "0", optional = "true")]
    pub not_before: Option<Time>,
    /// The latest.
    #[asn1(context_specific = "1", optional = "true")]
    pub not_after: Option<Time>,
}

/// ```text
/// CertReqMsg ::= SEQUENCE {
///     certReq   CertRequest,
///     popo      ProofOfPossession  OPTIONAL,
///     regInfo   SEQUENCE SIZE(1..MAX) OF AttributeTypeAndValue OPTIONAL }
/// ```
/// RFC 4211 §3. regInfo is not heeded.
#[derive(Debug, Clone)]
pub struct CertReqMsg {
    /// The request.
    pub request: CertRequest,
    /// The request as it came: what a proof of possession is computed over.
    pub request_bytes: Vec<u8>,
    /// The proof of possession.
    pub proof: Option<ProofOfPossession>,
    /// Whether it has regInfo.
    pub has_reg_info: bool,
    /// The controls that its kind of request heeds, beside pkiPublicationInfo.
    pub heeded: &'static [ObjectIdentifier],
}

/// ```text
/// ProofOfPossession ::= CHOICE {
///     raVerified      [0] NULL,
///     signature       [1] POPOSigningKey,
///     keyEncipherment [2] POPOPrivKey,
///     keyAgreement    [3] POPOPrivKey }
/// ```
/// RFC 4211 §4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofOfPossession {
    /// A registration authority checked it.
    RaVerified,
    /// A signature by the key.
    Signature(Box<PopoSigningKey>),
    /// By decryption, with a key for key encipherment.
    KeyEncipherment(PopoPrivKey),
    /// By decryption, with a key for key agreement.
    KeyAgreement(PopoPrivKey),
}

/// ```text
/// POPOSigningKey ::= SEQUENCE {
///     poposkInput         [0] POPOSigningKeyInput OPTIONAL,
///     algorithmIdentifier     AlgorithmIdentifier,
///     signature               BIT STRING }
/// ```
/// RFC 4211 §4.1.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PopoSigningKey {
    /// What is signed where the template lacks the subject or the key.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub input: Option<PopoSigningKeyInput>,
    /// The signature's algorithm.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The signature.
    pub signature: BitString,
}

/// ```text
/// POPOSigningKeyInput ::= SEQUENCE {
///     authInfo            CHOICE {
///         sender              [0] GeneralName,
///         publicKeyMAC        PKMACValue },
///     publicKey           SubjectPublicKeyInfo }
/// ```
/// RFC 4211 §4.1.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PopoSigningKeyInput {
    /// Who has the key.
    pub auth_info: AuthInfo,
    /// The key; the same as in the template.
    pub public_key: SubjectPublicKeyInfoOwned,
}

/// The CHOICE in [`PopoSigningKeyInput`].
#[derive(Debug, Clone, PartialEq, Eq, Choice)]
pub enum AuthInfo {
    /// A name that was authenticated otherwise.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Sender(GeneralName),
    /// A MAC over the public key with the shared secret.
    PublicKeyMac(PkMacValue),
}

/// ```text
/// PKMACValue ::= SEQUENCE { algId AlgorithmIdentifier, value BIT STRING }
/// ```
/// RFC 4211 §4.1.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PkMacValue {
    /// PasswordBasedMac.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The MAC.
    pub value: BitString,
}

/// ```text
/// CertId ::= SEQUENCE { issuer GeneralName, serialNumber INTEGER }
/// ```
/// RFC 4211 §6.5.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertId {
    /// The issuer's name.
    pub issuer: GeneralName,
    /// The serial number.
    pub serial_number: SerialNumber,
}

/// What a request asks for, whatever form it came in.
#[derive(Debug, Clone)]
pub struct Wish<K = ProvenKey> {
    /// The key, whose possession was proven; none (`()`) if it has still to be made.
    pub key: K,
    /// The issuer, if one is named.
    pub issuer: Option<Name>,
    /// The subject; `None` when absent or empty.
    pub subject: Option<Name>,
    /// The subjectAltName.
    pub alt_names: Vec<GeneralName>,
    /// Every other extension.
    pub extensions: Vec<Extension>,
    /// notBefore.
    pub not_before: Option<Timestamp>,
    /// notAfter.
    pub not_after: Option<Timestamp>,
    /// Whether it is to be found in directories, if that is said.
    pub published: Option<bool>,
    /// What the answer tells beyond that, in words.
    pub told: Vec<String>,
}

impl<K> Wish<K> {
    /// As the authority is asked.
    pub(crate) fn request(
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

impl Wish<()> {
    /// With the key that was made.
    pub(crate) fn with_key(self, key: ProvenKey) -> Wish {
        let Self { key: (), issuer, subject, alt_names, extensions, not_before, not_after, .. } =
            self;
        let Self { published, told, .. } = self;
        Wish { key, issuer, subject, alt_names, extensions, not_before, not_after, published, told }
    }
}

impl CertReqMsg {
    /// The one CertReqMsg of CertReqMessages (RFC 9483 §4.1: exactly one).
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
                // regInfo stands last.
                Tag::Sequence if reader.is_finished() => has_reg_info = true,
                other => return Err(other.unexpected_error(None)),
            }
        }
        Ok(Self { request, request_bytes, proof, has_reg_info, heeded: &[] })
    }

    /// Verifies the proof of possession and gives the wish. `sender` is the authenticated name, and `public_key_mac` the
    /// publicKeyMAC that was verified with the shared secret, over the key in poposkInput.
    pub fn proven(
        self,
        sender: &GeneralName,
        public_key_mac: Option<&PkMacValue>,
    ) -> Result<Wish, Refusal> {
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
        // RFC 4211 §4.1: the input is absent if and only if the template has subject and publicKey.
        let signed = match &proof.input {
            // Without a subject the input should be there, but OpenSSL's and mbed TLS's clients sign the CertRequest
            // all the same. That proves as much: the key stands in it, and the message itself is authenticated.
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
        self.wish(key)
    }

    /// The certificate that a key update names in its oldCertID control.
    pub fn old_cert_id(&self) -> Result<Option<CertId>, Refusal> {
        let control =
            self.request.controls.iter().flatten().find(|control| control.oid == oid::OLD_CERT_ID);
        control
            .map(|control| control.value.decode_as::<CertId>().map_err(malformed("an oldCertID")))
            .transpose()
    }

    /// What is said beyond the template.
    ///
    /// # Errors
    /// As [`Controls::read`].
    pub(crate) fn controls(&self) -> Result<Controls, Refusal> {
        let controls = self.request.controls.as_deref().unwrap_or_default();
        let mut found = Controls::read(controls, self.heeded)?;
        if self.has_reg_info {
            found.told.push("the registration information (regInfo) was left out".into());
        }
        Ok(found)
    }

    /// What is asked for, with a key whose possession is proven, or without one.
    pub(crate) fn wish<K>(self, key: K) -> Result<Wish<K>, Refusal> {
        let Controls { published, told } = self.controls()?;
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
        let (alt_names, extensions) = split(template.extensions.unwrap_or_default())?;
        let (not_before, not_after) = match template.validity {
            Some(validity) => (validity.not_before.map(moment), validity.not_after.map(moment)),
            None => (None, None),
        };
        let subject = template.subject.filter(|subject| !subject.is_empty());
        Ok(Wish {
            key,
            issuer,
            subject,
            alt_names,
            extensions,
            not_before,
            not_after,
            published,
            told,
        })
    }
}

impl ProofOfPossession {
    fn decode(number: TagNumber, element: AnyRef<'_>) -> der::Result<Self> {
        match number.value() {
            0 => {
                Null::try_from(AnyRef::new(Tag::Null, element.value())?)?;
                Ok(Self::RaVerified)
            }
            1 => {
                let sequence = AnyRef::new(Tag::Sequence, element.value())?.to_der()?;
                Ok(Self::Signature(Box::new(PopoSigningKey::from_der(&sequence)?)))
            }
            2 => Ok(Self::KeyEncipherment(PopoPrivKey::decode(element.value())?)),
            3 => Ok(Self::KeyAgreement(PopoPrivKey::decode(element.value())?)),
            _ => Err(element.tag().unexpected_error(None)),
        }
    }
}

/// ```text
/// CertificationRequest ::= SEQUENCE {
///     certificationRequestInfo SEQUENCE {
///         version INTEGER, subject Name, subjectPKInfo SubjectPublicKeyInfo, attributes [0] Attributes },
///     signatureAlgorithm AlgorithmIdentifier,
///     signature BIT STRING }
/// ```
/// RFC 2986 §4. The signature is the proof of possession.
pub fn pkcs10(body: &Any, is_tolerant: bool) -> Result<Wish, Refusal> {
    let read = malformed("a CertificationRequest");
    let parts = elements(body).map_err(&read)?;
    let [info, algorithm, signature] = parts.as_slice() else {
        return Err(Refusal::new(
            Failure::BadDataFormat,
            "expected a CertificationRequest of three parts",
        ));
    };
    let info_bytes = info.to_der().map_err(&read)?;
    let info_any = Any::from_der(&info_bytes).map_err(&read)?;
    let info_parts = elements(&info_any).map_err(&read)?;
    let [version, subject, spki, attributes @ ..] = info_parts.as_slice() else {
        return Err(Refusal::new(
            Failure::BadDataFormat,
            "the CertificationRequest lacks version, subject or key",
        ));
    };
    if version.decode_as::<u8>().ok() != Some(0) {
        return Err(Refusal::new(
            Failure::BadCertTemplate,
            "expected a CertificationRequest of version 0 (v1)",
        ));
    }
    if attributes.len() > 1 {
        return Err(Refusal::new(
            Failure::BadDataFormat,
            "expected a CertificationRequest with one set of attributes",
        ));
    }
    let subject: Name = subject.decode_as().map_err(&read)?;
    let key = SubjectPublicKey::from_der(&spki.to_der().map_err(&read)?)?;
    let algorithm: AlgorithmIdentifierOwned = algorithm.decode_as().map_err(&read)?;
    let signature: BitString = signature.decode_as().map_err(&read)?;
    let signature = signature
        .as_bytes()
        .ok_or_else(|| Refusal::new(Failure::BadPop, "the signature has unused bits"))?;
    let key = ProvenKey::verify(key, &algorithm, &info_bytes, signature)?;
    let requested = match attributes.first() {
        Some(attributes) => requested_extensions(*attributes).map_err(&read)?,
        None => Vec::new(),
    };
    let requested = if is_tolerant { one_alt_name(requested) } else { requested };
    let (alt_names, extensions) = split(requested)?;
    let subject = Some(subject).filter(|subject| !subject.is_empty());
    Ok(Wish {
        key,
        issuer: None,
        subject,
        alt_names,
        extensions,
        not_before: None,
        not_after: None,
        published: None,
        told: Vec::new(),
    })
}

fn requested_extensions(attributes: AnyRef<'_>) -> der::Result<Vec<Extension>> {
    let expected = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    attributes.tag().assert_eq(expected)?;
    let mut reader = SliceReader::new(attributes.value())?;
    while !reader.is_finished() {
        let attribute = x509_cert::attr::Attribute::decode(&mut reader)?;
        if attribute.oid == oid::EXTENSION_REQUEST {
            let value = attribute.values.get(0).ok_or_else(|| Tag::Set.value_error())?;
            return value.decode_as();
        }
    }
    Ok(Vec::new())
}

/// The elements inside a SEQUENCE.
pub fn elements(sequence: &Any) -> der::Result<Vec<AnyRef<'_>>> {
    if sequence.tag() != Tag::Sequence {
        return Err(sequence.tag().unexpected_error(Some(Tag::Sequence)));
    }
    let mut reader = SliceReader::new(sequence.value())?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader)?);
    }
    Ok(found)
}

/// A refusal for something that does not decode.
pub fn malformed(what: &str) -> impl Fn(der::Error) -> Refusal + '_ {
    move |e| Refusal::new(Failure::BadDataFormat, format!("expected {what}: {e}"))
}

/// Takes the subjectAltName out of the extensions. No extension may stand twice.
fn split(extensions: Vec<Extension>) -> Result<(Vec<GeneralName>, Vec<Extension>), Refusal> {
    let mut names = Vec::new();
    let mut others: Vec<Extension> = Vec::new();
    let mut seen = Vec::new();
    for extension in extensions {
        if seen.contains(&extension.extn_id) {
            return Err(Refusal::new(
                Failure::BadCertTemplate,
                format!("the extension `{}` stands twice; leave one out", extension.extn_id),
            ));
        }
        seen.push(extension.extn_id);
        if extension.extn_id == countersign_ca::oid::SUBJECT_ALT_NAME {
            let decoded = SubjectAltName::from_der(extension.extn_value.as_bytes());
            names = decoded.map_err(malformed("a subjectAltName"))?.0;
        } else {
            others.push(extension);
        }
    }
    Ok((names, others))
}

fn moment(time: Time) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

fn encoded(value: &impl Encode) -> Result<Vec<u8>, Refusal> {
    value.to_der().map_err(|e| {
        Refusal::new(Failure::BadDataFormat, format!("it cannot be encoded again: {e}"))
    })
}
