//! What a registration authority asks for in the name of others: it replaces their protection by its own, with their proof
//! of possession left as it is or with raVerified in its place (RFC 9483 §5.2.3), or acts by itself (§5.3).

use countersign_ca::record::Label;
use countersign_ca::{ProvenKey, Registrar, Requester, SubjectPublicKey};
use der::Encode;

use super::answer::failed;
use super::content::kind;
use super::crmf::{CertReqMsg, ProofOfPossession, Wish, elements, malformed};
use super::exchange::Exchange;
use super::limits::Thread;
use super::message::Message;
use super::oid;
use super::refusal::{Failure, Refusal};
use super::service::{CmpService, Route};

impl CmpService {
    /// The account of the message that a registration authority changed, which may come with it (id-it-origPKIMessage,
    /// RFC 9810 §5.1.1.3). It must prove itself as if it had come alone.
    pub(super) fn original_sender(
        &self,
        route: &Route,
        message: &Message,
        thread: Thread,
    ) -> Result<Option<Label>, Refusal> {
        let bad = |why: &str| Err(Refusal::new(Failure::BadRequest, why.to_owned()));
        let Some(original) = original(message)? else { return Ok(None) };
        if original.kind == kind::NESTED {
            return bad("the original message is that of an end entity, and not nested");
        }
        if original.header.transaction_id != message.header.transaction_id {
            return bad("the message in origPKIMessage is of another transaction");
        }
        let sender = self.authenticate(route, &original, thread)?;
        Ok(Some(sender.requester.account().name.clone()))
    }
}

/// The message in origPKIMessage, if there is one.
pub fn original(message: &Message) -> Result<Option<Message>, Refusal> {
    let bad = |why: &str| Err(Refusal::new(Failure::BadRequest, why.to_owned()));
    let infos = message.header.general_info.iter().flatten();
    let mut infos = infos.filter(|info| info.info_type == oid::ORIG_PKI_MESSAGE);
    let Some(info) = infos.next() else { return Ok(None) };
    if infos.next().is_some() {
        return bad("origPKIMessage stands twice in generalInfo");
    }
    let Some(value) = &info.info_value else {
        return bad("the value of origPKIMessage is the original message, in a SEQUENCE");
    };
    let originals = elements(value).map_err(malformed("PKIMessages in origPKIMessage"))?;
    let [original] = originals.as_slice() else {
        return bad("expected one message in origPKIMessage");
    };
    Message::decode(&original.to_der().map_err(failed)?).map(Some)
}

impl Exchange<'_> {
    /// Who vouches for the key of a request that says raVerified: the registration authority that added its protection
    /// to this message, or the one that sends it; a key update keeps the protection by the certificate that it replaces,
    /// so that only the first can vouch for its key.
    pub(super) fn voucher(
        &self,
        request: &CertReqMsg,
        answer: u8,
    ) -> Result<Option<&Registrar>, Refusal> {
        if request.proof != Some(ProofOfPossession::RaVerified) {
            return Ok(None);
        }
        match (self.registrar, self.forwarder) {
            (Some(_), _) if answer == kind::KUP => Err(Refusal::new(
                Failure::BadPop,
                "a key update keeps the protection by the certificate that it replaces; add yours by a nested message",
            )),
            (Some(registrar), _) => Ok(Some(registrar)),
            (None, Some(forwarder)) => {
                // It vouches for none but those for whom it may ask.
                let account = &self.requester.account().name;
                self.service.authority().on_behalf_of(forwarder, account)?;
                Ok(Some(forwarder))
            }
            (None, None) => Ok(None),
        }
    }

    /// Whom a registration authority asks for; `None` when the request is its own, or the sender is none.
    pub(super) fn on_behalf(&self, wish: &Wish) -> Result<Option<Requester>, Refusal> {
        let Some(registrar) = self.registrar else { return Ok(None) };
        let authority = self.service.authority();
        let names_nobody = wish.subject.is_none() && wish.alt_names.is_empty();
        let asked = match (&self.original, names_nobody) {
            (Some(original), true) => Some(authority.on_behalf_of(registrar, original)?),
            _ => authority.asked_for(registrar, wish.subject.as_ref(), &wish.alt_names)?,
        };
        let name = asked.as_ref().map_or(registrar.account(), |asked| &asked.account().name);
        match &self.original {
            Some(original) if original != name => Err(Refusal::new(
                Failure::NotAuthorized,
                format!(
                    "the names asked for are those of `{name}`, and the message in origPKIMessage is that of `{original}`"
                ),
            )),
            _ => Ok(asked),
        }
    }

    /// The registration authority that is recorded with what is done.
    pub(super) fn recorded_registrar(&self, acts_for_another: bool) -> Option<Label> {
        let own = self.registrar.filter(|_| acts_for_another);
        self.forwarder.or(own).map(|registrar| registrar.account().clone())
    }
}

impl CertReqMsg {
    /// The wish, whose proof of possession a registration authority verified.
    pub(super) fn vouched(self, registrar: &Registrar) -> Result<Wish, Refusal> {
        let spki = self.request.cert_template.public_key.as_ref().ok_or_else(|| {
            Refusal::new(Failure::BadCertTemplate, "the template has no publicKey")
        })?;
        let key = SubjectPublicKey::from_der(&spki.to_der().map_err(failed)?)?;
        self.wish(ProvenKey::vouched(key, registrar))
    }
}
