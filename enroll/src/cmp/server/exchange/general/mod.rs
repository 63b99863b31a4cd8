//! General messages: a peer asks for information (RFC 9810 §5.3.19, RFC 9483 §4.3). Nothing is issued or changed, so that a
//! replay only gets the same answer again. Only that a peer was given the certificate of a CA's next key is recorded, once, by a message that
//! is younger than the certificate.
//!
//! If the operator allows it, public information such as CA certificates and CRLs is given to an unprotected question, too; the answer is
//! then signed. What depends on an account is given to no unprotected question.

mod crls;
mod keys;
mod question;
mod roots;
mod template;

use std::cell::RefCell;

use countersign_ca::Credential;
use countersign_ca::record::AnchorEvidence;
use der::Encode;
use der::asn1::Any;
use der::oid::ObjectIdentifier;

use self::question::{Peer, Question, with_value, without_value};
use super::Exchange;
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::CmpService;
use crate::cmp::server::service::route::Route;
use crate::cmp::wire::message::{InfoTypeAndValue, Message};
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed, malformed};
use crate::cmp::wire::time::timestamp;
use crate::cmp::wire::{kind, oid};

/// The most elements that are accepted in one general message. By RFC 9483 §4.3 it has one.
const MAX_INFOS: usize = 16;

/// The longest language tag that an answer repeats, in octets: the length that RFC 5646 §4.4.1 has implementations support.
const MAX_TAG: usize = 35;

/// The elements of the answer to a general message that asks for nothing: RFC 9810 §5.3.19 leaves them to the CA.
const UNASKED: [ObjectIdentifier; 4] =
    [oid::CA_CERTS, oid::SIGN_KEY_PAIR_TYPES, oid::PREFERRED_SYMM_ALG, oid::CERT_REQ_TEMPLATE];

/// The types of question that are answered without protection, too, if the operator allows that.
const PUBLIC: [ObjectIdentifier; 4] =
    [oid::CA_CERTS, oid::ROOT_CA_CERT, oid::CURRENT_CRL, oid::CRL_STATUS_LIST];

impl Exchange<'_> {
    /// genm from an authenticated peer.
    ///
    /// # Errors
    /// `addInfoNotAvailable` for an answer that would be too large; refusals of a question that cannot be read.
    pub fn general_message(self) -> Result<Answer, Refusal> {
        let profile = self.profile()?;
        let own = match self.requester.credential() {
            Credential::Certificate(signer) | Credential::Registrar(signer) => signer.ca.clone(),
            Credential::Secret | Credential::Vendor(_) => {
                self.service.authority().issuer_for(self.requester.account())?
            }
        };
        let question = Question {
            service: self.service,
            ca: self.route.ca.clone().or(Some(own)),
            peer: Some(Peer { requester: self.requester, profile }),
            given: RefCell::default(),
        };
        let answer = question.answer(&self.message.body)?;
        let given = question.given.into_inner();
        // A message without a time may be older than the CA's next key.
        if let Some(made) = self.message.header.message_time {
            let made = timestamp(made.to_unix_duration());
            let (authority, account) = (self.service.authority(), self.requester.account());
            authority.note_shown(account, &given, AnchorEvidence::General, Some(made));
        }
        Ok(answer)
    }
}

impl CmpService {
    /// Answers an unprotected genm for public information, where the operator allows it; `None` for any other message, whose sender has to
    /// be authenticated.
    ///
    /// # Errors
    /// As [`Exchange::general_message`].
    pub(crate) fn public_information(
        &self,
        route: &Route,
        message: &Message,
    ) -> Result<Option<Answer>, Refusal> {
        let is_unprotected =
            message.protection.is_none() && message.header.protection_alg.is_none();
        if message.kind != kind::GENM || !is_unprotected || !self.config().unprotected_genm {
            return Ok(None);
        }
        let question =
            Question { service: self, ca: route.ca.clone(), peer: None, given: RefCell::default() };
        question.answer(&message.body).map(Some)
    }
}

impl Question<'_> {
    /// Answers each element of a GenMsgContent in its order; those of unknown types by one unsupportedOIDs.
    fn answer(&self, body: &Any) -> Result<Answer, Refusal> {
        let mut asked: Vec<InfoTypeAndValue> =
            body.decode_as().map_err(malformed("a GenMsgContent"))?;
        check_elements(&asked)?;
        if asked.is_empty() && self.peer.is_some() {
            asked = UNASKED.map(without_value).to_vec();
        }
        let mut answer: Vec<InfoTypeAndValue> = Vec::with_capacity(asked.len());
        let mut unsupported = Vec::new();
        let mut left = self.service.config().max_information;
        for info in &asked {
            match self.info(info, left)? {
                Some(info) => {
                    let length = info.encoded_len().map_err(encoding_failed)?;
                    left = usize::try_from(length)
                        .ok()
                        .and_then(|length| left.checked_sub(length))
                        .ok_or_else(|| self.too_large())?;
                    answer.push(info);
                }
                None => unsupported.push(info.info_type),
            }
        }
        if !unsupported.is_empty() {
            answer.push(with_value(oid::UNSUPPORTED_OIDS, &unsupported)?);
        }
        Answer::plain(kind::GENP, &answer).map_err(encoding_failed)
    }

    /// The answer to one element; `None` if its type is unknown. `left` is the number of octets that the genp may still have. Only CRLs are
    /// measured against it here; the caller measures every element.
    fn info(
        &self,
        asked: &InfoTypeAndValue,
        left: usize,
    ) -> Result<Option<InfoTypeAndValue>, Refusal> {
        if self.peer.is_none() && !PUBLIC.contains(&asked.info_type) {
            return Err(Refusal::new(
                Failure::BadMessageCheck,
                format!("`{}` is told to known peers only; protect the message", asked.info_type),
            ));
        }
        let value = asked.info_value.as_ref();
        let info = match asked.info_type {
            oid::CRL_STATUS_LIST => self.newer_crls(value, left)?,
            oid::ROOT_CA_CERT => self.root_update(value)?,
            oid::SUPP_LANG_TAGS => language(value)?,
            _ if value.is_some() && is_without_value(asked.info_type) => {
                return Err(Refusal::new(
                    Failure::BadRequest,
                    format!("expected no infoValue with `{}`", asked.info_type),
                ));
            }
            oid::CA_CERTS => self.ca_certificates()?,
            oid::CURRENT_CRL => self.current_crl(left)?,
            oid::SIGN_KEY_PAIR_TYPES => self.signing_keys()?,
            oid::ENC_KEY_PAIR_TYPES => self.encryption_keys()?,
            oid::PREFERRED_SYMM_ALG => keys::preferred_cipher()?,
            oid::CERT_REQ_TEMPLATE => self.template()?,
            // There is no key to encrypt for a CA with: its keys sign certificates and CRLs, and nothing else.
            oid::CA_PROT_ENC_CERT => without_value(oid::CA_PROT_ENC_CERT),
            _ => return Ok(None),
        };
        Ok(Some(info))
    }
}

/// Whether an element of this type has no value in a question (RFC 9810 §5.3.19.1 to §5.3.19.16).
fn is_without_value(kind: ObjectIdentifier) -> bool {
    [
        oid::CA_CERTS,
        oid::CURRENT_CRL,
        oid::SIGN_KEY_PAIR_TYPES,
        oid::ENC_KEY_PAIR_TYPES,
        oid::PREFERRED_SYMM_ALG,
        oid::CERT_REQ_TEMPLATE,
        oid::CA_PROT_ENC_CERT,
    ]
    .contains(&kind)
}

/// Checks that there are not too many elements, and not two of the same type.
fn check_elements(asked: &[InfoTypeAndValue]) -> Result<(), Refusal> {
    let bad = |why: String| Err(Refusal::new(Failure::BadRequest, why));
    if asked.len() > MAX_INFOS {
        return bad(format!("expected at most {MAX_INFOS} elements, found {}", asked.len()));
    }
    for (at, info) in asked.iter().enumerate() {
        if asked.iter().take(at).any(|before| before.info_type == info.info_type) {
            return bad(format!("`{}` is asked for twice", info.info_type));
        }
    }
    Ok(())
}

/// The answer to suppLangTags: the peer lists the languages that it reads, and the answer has the one that is used (RFC 9810 §5.3.19.13).
///
/// ```text
/// SuppLangTagsValue ::= SEQUENCE OF UTF8String
/// ```
///
/// Texts are in English only.
fn language(asked: Option<&Any>) -> Result<InfoTypeAndValue, Refusal> {
    let missing = || Refusal::new(Failure::BadRequest, "expected language tags in suppLangTags");
    let tags: Vec<String> =
        asked.ok_or_else(missing)?.decode_as().map_err(malformed("language tags"))?;
    let is_english = |tag: &String| {
        tag.len() <= MAX_TAG
            && tag.split('-').next().is_some_and(|language| language.eq_ignore_ascii_case("en"))
    };
    let Some(tag) = tags.into_iter().find(is_english) else {
        return Err(Refusal::new(Failure::BadRequest, "texts are in `en`, and no other language"));
    };
    with_value(oid::SUPP_LANG_TAGS, &vec![tag])
}
