//! General messages: a peer asks what it should know, and is told (RFC 9810 §5.3.19, RFC 9483 §4.3). Nothing is issued,
//! recorded or changed here, so that a replay gains nothing but the same answer.
//!
//! What is public, such as CA certificates and CRLs, may also be asked for without protection, if the operator allows it;
//! what depends on an account never is. The answer is signed either way.

mod crls;
mod keys;
mod roots;
mod template;

use countersign_ca::record::Label;
use countersign_ca::{Credential, Requester};
use der::asn1::Any;
use der::oid::ObjectIdentifier;
use der::{Encode, EncodeValue, Tag, Tagged};

use crate::cmp::server::reply::answer::{Answer, failed};
use crate::cmp::wire::content::kind;
use crate::cmp::wire::crmf::malformed;
use crate::cmp::server::exchange::Exchange;
use crate::cmp::wire::message::{InfoTypeAndValue, Message};
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::server::service::{CmpService, Route};

/// The most that one message asks for. RFC 9483 §4.3 asks for one thing at a time.
const MAX_INFOS: usize = 16;

/// The longest language tag that an answer repeats, in octets: that of RFC 5646 §4.4.1.
const MAX_TAG: usize = 35;

/// What a general message without any content is answered with (RFC 9810 §5.3.19: whatever the CA wishes to tell).
const OF_OWN_ACCORD: [ObjectIdentifier; 4] =
    [oid::CA_CERTS, oid::SIGN_KEY_PAIR_TYPES, oid::PREFERRED_SYMM_ALG, oid::CERT_REQ_TEMPLATE];

/// What a stranger may know too.
const PUBLIC: [ObjectIdentifier; 4] =
    [oid::CA_CERTS, oid::ROOT_CA_CERT, oid::CURRENT_CRL, oid::CRL_STATUS_LIST];

/// A general message that is to be answered.
struct Question<'a> {
    service: &'a CmpService,
    /// The CA that it is about: the path's, that of the certificate which signs, or the one that issues to the
    /// account; `None` means the default.
    ca: Option<Label>,
    /// Who asks, with the profile that the path or the header names; `None` for a stranger.
    peer: Option<(&'a Requester, Option<Label>)>,
}

impl Exchange<'_> {
    /// genm from a known peer.
    pub(crate) fn general_message(self) -> Result<Answer, Refusal> {
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
            peer: Some((self.requester, profile)),
        };
        question.answer(&self.message.body)
    }
}

impl CmpService {
    /// Answers an unprotected genm for public data, where the operator allows it; `None` for anything else, which has to
    /// prove who sends it.
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
        let question = Question { service: self, ca: route.ca.clone(), peer: None };
        question.answer(&message.body).map(Some)
    }
}

impl Question<'_> {
    fn answer(&self, body: &Any) -> Result<Answer, Refusal> {
        let mut asked: Vec<InfoTypeAndValue> =
            body.decode_as().map_err(malformed("a GenMsgContent"))?;
        check(&asked)?;
        if asked.is_empty() && self.peer.is_some() {
            asked = OF_OWN_ACCORD.map(without_value).to_vec();
        }
        let mut answer: Vec<InfoTypeAndValue> = Vec::with_capacity(asked.len());
        let mut unsupported = Vec::new();
        let mut left = self.service.config().max_information;
        for info in &asked {
            match self.info(info, left)? {
                Some(info) => {
                    let length = info.encoded_len().map_err(failed)?;
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
        Answer::plain(kind::GENP, &answer).map_err(failed)
    }

    /// The answer to one element, of at most `left` octets; `None` when its type is not known here.
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
            // No key of a CA decrypts: those sign certificates and CRLs, and nothing else.
            oid::CA_PROT_ENC_CERT => without_value(oid::CA_PROT_ENC_CERT),
            _ => return Ok(None),
        };
        Ok(Some(info))
    }

    fn too_large(&self) -> Refusal {
        Refusal::new(
            Failure::AddInfoNotAvailable,
            format!(
                "the answer would have more than {} octets; ask for less at once, and fetch CRLs from their \
                 distribution points",
                self.service.config().max_information
            ),
        )
    }
}

/// What a request gives no value for (RFC 9810 §5.3.19.1 to §5.3.19.16).
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

fn check(asked: &[InfoTypeAndValue]) -> Result<(), Refusal> {
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

/// ```text
/// SuppLangTagsValue ::= SEQUENCE OF UTF8String
/// ```
/// RFC 9810 §5.3.19.13: the peer lists what it reads, and is told the one that is taken.
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

fn without_value(info_type: ObjectIdentifier) -> InfoTypeAndValue {
    InfoTypeAndValue { info_type, info_value: None }
}

fn with_value(
    info_type: ObjectIdentifier,
    value: &(impl EncodeValue + Tagged),
) -> Result<InfoTypeAndValue, Refusal> {
    let info_value = Some(Any::encode_from(value).map_err(failed)?);
    Ok(InfoTypeAndValue { info_type, info_value })
}

/// With a SEQUENCE of what is encoded already; without a value if there is none.
fn with_sequence(
    info_type: ObjectIdentifier,
    parts: &[&[u8]],
) -> Result<InfoTypeAndValue, Refusal> {
    if parts.is_empty() {
        return Ok(without_value(info_type));
    }
    let info_value = Some(Any::new(Tag::Sequence, parts.concat()).map_err(failed)?);
    Ok(InfoTypeAndValue { info_type, info_value })
}
