//! Requests of a registration authority for other accounts. It replaces the end entity's protection with its own, and leaves the proof of
//! possession as it is or puts raVerified in its place (RFC 9483 §5.2.3); or it makes the request itself (§5.3).

use countersign_ca::record::Label;
use countersign_ca::{Credential, ProvenKey, Registrar, Requester, SubjectPublicKey};
use der::Encode;

use super::Exchange;
use crate::cmp::wire::crmf::CertReqMsg;
use crate::cmp::wire::kind;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed};
use crate::request::template::RequestTemplate;

/// The account for which a sender acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActsFor {
    /// The sender's own account.
    OwnAccount,
    /// Another account, for which the sender may act as a registration authority.
    AnotherAccount,
}

impl Exchange<'_> {
    /// The end entity whose key update a registration authority changed, and sent along in origPKIMessage. That original is protected by
    /// the certificate to be updated. `None` if the sender is no registration authority, or there is no original.
    ///
    /// # Errors
    /// `badRequest` by the rules of RFC 9483, whose §5.2.3 forbids changing a key update; `wrongIntegrity` or `badPOP` for an original that
    /// is no such key update or has another key; `notAuthorized` if the registration authority may not act for the account.
    pub fn updates_for(&self, request: &CertReqMsg) -> Result<Option<Requester>, Refusal> {
        let (Some(registrar), Some(original)) = (self.registrar, &self.original) else {
            return Ok(None);
        };
        let bad = |failure, why: &str| Err(Refusal::new(failure, why.to_owned()));
        if !self.service.is_tolerant() {
            return bad(
                Failure::BadRequest,
                "a key update keeps its protection (RFC 9483 §5.2.3); add yours by a nested message",
            );
        }
        let is_signed = matches!(original.sender.credential(), Credential::Certificate(_));
        if original.message.kind != kind::KUR || !is_signed {
            return bad(
                Failure::WrongIntegrity,
                "the message in origPKIMessage is no key update that is signed with the certificate that it replaces",
            );
        }
        if request.proof_by_decryption().is_some() {
            return bad(
                Failure::BadPop,
                "the key of a changed key update is proven by its signature, or by your word (raVerified)",
            );
        }
        if request.key()? != CertReqMsg::only(&original.message.body)?.key()? {
            return bad(Failure::BadPop, "the key is not that of the message in origPKIMessage");
        }
        // The registration authority may ask for a key update for an account if it may ask for anything else for it.
        self.service.authority().on_behalf_of(registrar, original.account())?;
        Ok(Some(original.sender.clone()))
    }

    /// The peer for whose account a registration authority asks. `None` if the request is for its own account, or the sender is no
    /// registration authority.
    ///
    /// # Errors
    /// `notAuthorized` if it may not act for that account, or the names in the request are not those of the original's sender.
    pub fn on_behalf(&self, template: &RequestTemplate) -> Result<Option<Requester>, Refusal> {
        let Some(registrar) = self.registrar else { return Ok(None) };
        let authority = self.service.authority();
        let is_nameless = template.subject.is_none() && template.alt_names.is_empty();
        let asked = match (&self.original, is_nameless) {
            (Some(original), true) => Some(authority.on_behalf_of(registrar, original.account())?),
            _ => authority.asked_for(registrar, template.subject.as_ref(), &template.alt_names)?,
        };
        let name = asked.as_ref().map_or(registrar.account(), |asked| &asked.account().name);
        match &self.original {
            Some(original) if original.account() != name => Err(Refusal::new(
                Failure::NotAuthorized,
                format!(
                    "the names asked for are those of `{name}`, and the message in origPKIMessage is that of `{}`",
                    original.account()
                ),
            )),
            _ => Ok(asked),
        }
    }

    /// The registration authority that is recorded with an act: the one that added its protection to the message, or else the sender, if
    /// it acts for another account.
    pub fn recorded_registrar(&self, acts_for: ActsFor) -> Option<Label> {
        let own = self.registrar.filter(|_| acts_for == ActsFor::AnotherAccount);
        self.forwarder.or(own).map(|registrar| registrar.account().clone())
    }
}

impl CertReqMsg {
    /// The template of a request that says raVerified: the registration authority that sent the message vouches for the key. In a message
    /// that an end entity sent, with or without added protection, raVerified is worth nothing (RFC 9810 §5.2.8.4).
    ///
    /// # Errors
    /// `badCertTemplate` without a key, and as [`Self::into_template`].
    pub fn vouched(self, registrar: &Registrar) -> Result<RequestTemplate, Refusal> {
        let spki = self.request.cert_template.public_key.as_ref().ok_or_else(|| {
            Refusal::new(Failure::BadCertTemplate, "the template has no publicKey")
        })?;
        let key = SubjectPublicKey::from_der(&spki.to_der().map_err(encoding_failed)?)?;
        self.into_template(ProvenKey::vouched(key, registrar))
    }
}
