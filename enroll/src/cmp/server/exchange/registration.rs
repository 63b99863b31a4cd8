//! What a registration authority asks for in the name of others: it replaces their protection by its own, with their proof
//! of possession left as it is or with raVerified in its place (RFC 9483 §5.2.3), or acts by itself (§5.3).

use countersign_ca::record::Label;
use countersign_ca::{Credential, ProvenKey, Registrar, Requester, SubjectPublicKey};
use der::Encode;
use x509_cert::ext::pkix::name::GeneralName;

use crate::cmp::server::reply::answer::failed;
use crate::cmp::wire::content::kind;
use crate::cmp::wire::crmf::{CertReqMsg, ProofOfPossession, Wish, elements, malformed};
use crate::cmp::server::exchange::Exchange;
use crate::cmp::server::service::in_flight::Thread;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::server::service::{CmpService, Route};
use crate::cmp::wire::{names, oid};

/// The message that a registration authority changed, as the end entity sent it.
pub struct Original {
    message: Message,
    sender: Requester,
}

impl Original {
    fn account(&self) -> &Label {
        &self.sender.account().name
    }
}

impl CmpService {
    /// The message that a registration authority changed, which may come with it (id-it-origPKIMessage, RFC 9810 §5.1.1.3). It must
    /// prove itself as if it had come alone, and be as fresh: what an authority kept of a peer is worth nothing later. It is for us or for
    /// that authority.
    pub(crate) fn original(
        &self,
        route: &Route,
        message: &Message,
        thread: Thread,
    ) -> Result<Option<Original>, Refusal> {
        let bad = |why: &str| Err(Refusal::new(Failure::BadRequest, why.to_owned()));
        let Some(original) = original(message)? else { return Ok(None) };
        if original.kind == kind::NESTED {
            return bad("the original message is that of an end entity, and not nested");
        }
        if original.header.transaction_id != message.header.transaction_id {
            return bad("the message in origPKIMessage is of another transaction");
        }
        let of_original = |why: Refusal| {
            Refusal::new(why.failure, format!("the message in origPKIMessage: {}", why.text))
        };
        self.check_time(original.header.message_time).map_err(of_original)?;
        if !is_for_the_sender(&original, message) {
            self.check_recipient(&original).map_err(of_original)?;
        }
        let sender = self.authenticate(route, &original, thread)?.requester;
        Ok(Some(Original { message: original, sender }))
    }
}

/// Whether a peer sent its message to the registration authority that now sends another one.
fn is_for_the_sender(original: &Message, message: &Message) -> bool {
    match (&original.header.recipient, &message.header.sender) {
        (GeneralName::DirectoryName(recipient), GeneralName::DirectoryName(sender)) => {
            names::same(recipient, sender)
        }
        _ => false,
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
    /// Who vouches for the key of a request that says raVerified: the registration authority that sends it. In a message that an end
    /// entity sent, be protection added to it or not, it is the end entity's word, which counts nothing (RFC 9810 §5.2.8.4).
    ///
    /// # Errors
    /// `badPOP` for a key update of the registration authority's own.
    pub(crate) fn voucher(
        &self,
        request: &CertReqMsg,
        updates_own: bool,
    ) -> Result<Option<&Registrar>, Refusal> {
        if request.proof != Some(ProofOfPossession::RaVerified) {
            return Ok(None);
        }
        match self.registrar {
            Some(_) if updates_own => Err(Refusal::new(
                Failure::BadPop,
                "a key update keeps the protection by the certificate that it replaces: add yours by a nested message, or send the \
                 peer's message in origPKIMessage",
            )),
            registrar => Ok(registrar),
        }
    }

    /// The end entity whose key update a registration authority changed, and sends with the original: there stands the protection by
    /// the certificate that is replaced. `None` if this is the sender's own.
    ///
    /// RFC 9483 §5.2.3 has no key update changed, so that its rules refuse this one.
    pub(crate) fn updates_for(&self, request: &CertReqMsg) -> Result<Option<Requester>, Refusal> {
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
        if request.without_signature().is_some() {
            return bad(
                Failure::BadPop,
                "the key of a changed key update is proven by its signature, or by your word (raVerified)",
            );
        }
        if request.key()? != CertReqMsg::only(&original.message.body)?.key()? {
            return bad(Failure::BadPop, "the key is not that of the message in origPKIMessage");
        }
        // For whom else it may ask, it may ask this.
        self.service.authority().on_behalf_of(registrar, original.account())?;
        Ok(Some(original.sender.clone()))
    }

    /// Whom a registration authority asks for; `None` when the request is its own, or the sender is none.
    pub(crate) fn on_behalf(&self, wish: &Wish) -> Result<Option<Requester>, Refusal> {
        let Some(registrar) = self.registrar else { return Ok(None) };
        let authority = self.service.authority();
        let names_nobody = wish.subject.is_none() && wish.alt_names.is_empty();
        let asked = match (&self.original, names_nobody) {
            (Some(original), true) => Some(authority.on_behalf_of(registrar, original.account())?),
            _ => authority.asked_for(registrar, wish.subject.as_ref(), &wish.alt_names)?,
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

    /// The registration authority that is recorded with what is done.
    pub(crate) fn recorded_registrar(&self, acts_for_another: bool) -> Option<Label> {
        let own = self.registrar.filter(|_| acts_for_another);
        self.forwarder.or(own).map(|registrar| registrar.account().clone())
    }
}

impl CertReqMsg {
    /// The wish, whose proof of possession a registration authority verified.
    pub(crate) fn vouched(self, registrar: &Registrar) -> Result<Wish, Refusal> {
        let spki = self.request.cert_template.public_key.as_ref().ok_or_else(|| {
            Refusal::new(Failure::BadCertTemplate, "the template has no publicKey")
        })?;
        let key = SubjectPublicKey::from_der(&spki.to_der().map_err(failed)?)?;
        self.wish(ProvenKey::vouched(key, registrar))
    }
}
