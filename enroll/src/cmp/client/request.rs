//! ir, cr and kur: a request for a certificate, from the wish to the certificate that was checked (RFC 9483 §4.1).

use countersign_ca::certificate::{Facts, extension, time};
use countersign_ca::{FileKey, Timestamp};
use der::asn1::{Any, AnyRef, BitString, Int, Null};
use der::{Decode, Encode, Tag, TagNumber};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use super::certificate::Issued;
use super::credential::sign;
use super::poll::{Checkpoint, Waiting};
use super::response::{self, Decision};
use super::transaction::{Outgoing, Transaction};
use super::{Client, ClientError};
use crate::cmp::wire::content::kind;
use crate::cmp::wire::crmf::{CertId, CertRequest, CertTemplate, OptionalValidity, PopoSigningKey};
use crate::cmp::wire::message::{InfoTypeAndValue, Message};
use crate::cmp::wire::oid;

/// How a certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// ir: a first certificate.
    Initialization,
    /// cr: a further one.
    Certification,
    /// kur: one in place of the one that signs the request.
    KeyUpdate,
}

impl Body {
    /// The context tags of request and response.
    const fn kinds(self) -> (u8, u8) {
        match self {
            Self::Initialization => (kind::IR, kind::IP),
            Self::Certification => (kind::CR, kind::CP),
            Self::KeyUpdate => (kind::KUR, kind::KUP),
        }
    }
}

/// The certificate that a peer wants.
#[derive(Debug)]
pub struct Wish<'w> {
    /// How it is asked for.
    pub body: Body,
    /// The key to certify, which proves itself.
    pub key: &'w FileKey,
    /// The subject; empty to leave it to the CA.
    pub subject: Name,
    /// Whether the certificate is no good under another subject.
    pub needs_subject: bool,
    /// The subjectAltName; empty to leave it to the CA. Each of these must stand in the certificate.
    pub alt_names: Vec<GeneralName>,
    /// The certificate that it replaces, DER, for a kur.
    pub replaces: Option<&'w [u8]>,
    /// The name of the profile at the CA.
    pub profile: Option<&'w str>,
    /// Until when it shall be valid, if not as the CA wants.
    pub not_after: Option<Timestamp>,
    /// Whether the server may do without a confirmation.
    pub implicit_confirm: bool,
}

impl Client<'_> {
    /// Asks for a certificate, and checks the one that comes. A bad one is refused towards the CA, too.
    ///
    /// `checkpoint` is told of each state in which the CA has not decided.
    ///
    /// # Errors
    /// [`ClientError`]; with [`ClientError::Waiting`], [`Self::resume`] can go on.
    pub fn request(
        &self,
        wish: &Wish<'_>,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Issued, ClientError> {
        let mut transaction = Transaction::begin(self)?;
        let (request, _) = wish.body.kinds();
        let outgoing = Outgoing {
            kind: request,
            content: wish.encode()?,
            infos: wish.infos()?,
            is_cmp2021: false,
        };
        let answer = transaction.exchange(&outgoing)?;
        transaction.conclude(wish, answer, checkpoint)
    }

    /// Goes on with a request whose CA had to decide.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn resume(
        &self,
        wish: &Wish<'_>,
        waiting: &Waiting,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Issued, ClientError> {
        let (id, nonce) = (waiting.transaction.clone(), Some(waiting.nonce.clone()));
        let mut transaction = Transaction::go_on(self, id, nonce)?;
        let answer = transaction.poll(&request_id()?, None, checkpoint)?;
        transaction.conclude(wish, answer, checkpoint)
    }
}

impl Transaction<'_> {
    /// From the first answer to the certificate.
    fn conclude(
        mut self,
        wish: &Wish<'_>,
        mut answer: Message,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Issued, ClientError> {
        let (request, expected) = wish.body.kinds();
        let id = request_id()?;
        let granted = loop {
            // An error with the status "waiting": the response itself comes later (RFC 9483 §4.4).
            if answer.kind == kind::ERROR {
                let minus_one = Int::new(&[0xff]).map_err(ClientError::encoding)?;
                answer = self.poll(&minus_one, None, &mut *checkpoint)?;
                continue;
            }
            match response::decision(&answer, expected, kind::name(request), &id)? {
                Decision::Waiting(reason) => {
                    answer = self.poll(&id, Some(&reason), &mut *checkpoint)?;
                }
                Decision::Granted(granted) => break *granted,
            }
        };
        let is_implicit = wish.implicit_confirm
            && answer
                .header
                .general_info
                .iter()
                .flatten()
                .any(|info| info.info_type == oid::IMPLICIT_CONFIRM);
        let by_secret = answer
            .header
            .protection_alg
            .as_ref()
            .is_some_and(|alg| matches!(alg.oid, oid::PASSWORD_BASED_MAC | oid::PBMAC1));
        match self.examine(wish, &granted, by_secret) {
            Ok(taken) => Ok(self.take(taken, granted, is_implicit)),
            Err(why) => {
                if !is_implicit {
                    // Whether the CA hears it changes nothing: what is never confirmed, it revokes.
                    let _ = self.reject(&granted.certificate, &why.to_string());
                }
                Err(match why {
                    ClientError::Untrusted(why) => ClientError::BadCertificate(why),
                    other => other,
                })
            }
        }
    }
}

impl Wish<'_> {
    /// ```text
    /// CertReqMessages ::= SEQUENCE SIZE (1..MAX) OF CertReqMsg
    /// CertReqMsg ::= SEQUENCE { certReq CertRequest, popo ProofOfPossession OPTIONAL, … }
    /// ```
    /// RFC 4211 §3: one, with a signature by the key that is to be certified.
    fn encode(&self) -> Result<Vec<u8>, ClientError> {
        let failed = ClientError::encoding;
        let request = CertRequest {
            cert_req_id: request_id()?,
            cert_template: self.template()?,
            controls: self.old_certificate()?.map(|control| vec![control]),
        };
        let request = request.to_der().map_err(failed)?;
        let signature = sign(self.key, &request)?;
        let proof = PopoSigningKey {
            input: None,
            algorithm: self.key.signature_algorithm(),
            signature: BitString::from_bytes(&signature).map_err(failed)?,
        };
        let message = [request, implicit(1, &proof.to_der().map_err(failed)?)?].concat();
        let message = sequence(&message)?;
        sequence(&message)
    }

    fn template(&self) -> Result<CertTemplate, ClientError> {
        let key = SubjectPublicKeyInfoOwned::from_der(self.key.public().der());
        let mut extensions = Vec::new();
        if !self.alt_names.is_empty() {
            // RFC 5280 §4.2.1.6: critical where it is the only name.
            let alone = self.subject.is_empty();
            extensions.push(extension(alone, &SubjectAltName(self.alt_names.clone()))?);
        }
        let validity = match self.not_after {
            Some(until) => {
                Some(OptionalValidity { not_before: None, not_after: Some(time(until)?) })
            }
            None => None,
        };
        Ok(CertTemplate {
            // RFC 9483 §4.1.1 wants it there, empty if need be; and RFC 4211 §4.1 then wants no poposkInput.
            subject: Some(self.subject.clone()),
            public_key: Some(key.map_err(ClientError::encoding)?),
            extensions: Some(extensions).filter(|list| !list.is_empty()),
            validity,
            ..CertTemplate::default()
        })
    }

    /// The control oldCertID (RFC 4211 §6.5, RFC 9483 §4.1.3).
    fn old_certificate(&self) -> Result<Option<AttributeTypeAndValue>, ClientError> {
        let Some(old) = self.replaces else { return Ok(None) };
        let facts = Facts::of(old)?;
        let id = CertId {
            issuer: GeneralName::DirectoryName(facts.issuer),
            serial_number: SerialNumber::new(&facts.serial).map_err(ClientError::encoding)?,
        };
        let value = Any::encode_from(&id).map_err(ClientError::encoding)?;
        Ok(Some(AttributeTypeAndValue { oid: oid::OLD_CERT_ID, value }))
    }

    fn infos(&self) -> Result<Vec<InfoTypeAndValue>, ClientError> {
        let mut infos = Vec::new();
        if self.implicit_confirm {
            let null = Any::encode_from(&Null).map_err(ClientError::encoding)?;
            infos.push(InfoTypeAndValue {
                info_type: oid::IMPLICIT_CONFIRM,
                info_value: Some(null),
            });
        }
        if let Some(profile) = self.profile {
            let names = Any::encode_from(&vec![profile.to_owned()]);
            let value = names.map_err(ClientError::encoding)?;
            infos.push(InfoTypeAndValue { info_type: oid::CERT_PROFILE, info_value: Some(value) });
        }
        Ok(infos)
    }
}

/// certReqId 0 (RFC 9483 §4.1.1).
pub fn request_id() -> Result<Int, ClientError> {
    Int::new(&[0]).map_err(ClientError::encoding)
}

/// A SEQUENCE of what is encoded already.
pub fn sequence(content: &[u8]) -> Result<Vec<u8>, ClientError> {
    AnyRef::new(Tag::Sequence, content).and_then(|any| any.to_der()).map_err(ClientError::encoding)
}

/// The same element under a context tag.
fn implicit(number: u8, element: &[u8]) -> Result<Vec<u8>, ClientError> {
    let retagged = || {
        let tag = Tag::ContextSpecific { constructed: true, number: TagNumber::try_from(number)? };
        AnyRef::new(tag, AnyRef::from_der(element)?.value())?.to_der()
    };
    retagged().map_err(ClientError::encoding)
}
