//! Requests for certificates: ir, cr, kur and p10cr become a [`countersign_ca::CertificateRequest`], and its certificate an answer
//! (RFC 9483 §4.1).

mod confirm;
mod cross;
mod delivery;
mod general;
mod keygen;
mod poll;
mod possession;
mod registration;
mod revoke;

use countersign_ca::authority::{IssuedCertificate, TransactionDraft};
use countersign_ca::record::{Label, Serial};
use countersign_ca::{Credential, Denial, Error, Recording, Registrar, Requester, Timestamp};
use der::Decode;
use der::asn1::{Any, Int, OctetString};
use der::oid::ObjectIdentifier;
use ring::digest;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::cmp::server::reply::answer::{Answer, failed, minus_one};
use crate::cmp::wire::content::{CertRepMessage, CertResponse, PkiStatusInfo, kind};
use crate::cmp::server::service::context::{Context, Kind};
use crate::cmp::wire::crmf::{CertReqMsg, PkMacValue, Wish, pkcs10};
use crate::cmp::server::exchange::delivery::Delivery;
use crate::cmp::server::service::in_flight::Thread;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::names;
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::server::exchange::registration::Original;
use crate::cmp::server::service::{CmpService, Route};

/// One authenticated message and what is needed to act on it.
pub struct Exchange<'a> {
    pub(crate) service: &'a CmpService,
    pub(crate) route: &'a Route,
    pub(crate) message: &'a Message,
    pub(crate) requester: &'a Requester,
    pub(crate) protection: Kind,
    pub(crate) nonce: &'a [u8; 16],
    pub(crate) public_key_mac: Option<PkMacValue>,
    /// The requester, if it is a registration authority.
    pub(crate) registrar: Option<&'a Registrar>,
    /// The registration authority that added its protection to the message.
    pub(crate) forwarder: Option<&'a Registrar>,
    /// The message that a registration authority changed into this one, if it came with it.
    pub(crate) original: Option<Original>,
    /// The CA that answers; `None` means the default.
    pub(crate) ca: Option<Label>,
    /// What the thread may do that works on it.
    pub(crate) thread: Thread,
}

/// A certificate that is asked for, its key proven, and how it is answered.
pub struct Grant {
    /// The body of the answer.
    pub(crate) answer: u8,
    /// certReqId.
    pub(crate) id: Int,
    /// What is asked for.
    pub(crate) wish: Wish,
    /// The certificate that it replaces.
    pub(crate) updates: Option<Serial>,
    /// Whom a registration authority asks for.
    pub(crate) on_behalf: Option<Requester>,
    /// How the certificate reaches its holder.
    pub(crate) delivery: Delivery,
    /// Whether implicit confirmation is asked for.
    pub(crate) implicit: bool,
    /// The profile that is asked for.
    pub(crate) profile: Option<Label>,
}

impl Exchange<'_> {
    /// ir, cr and kur.
    pub(crate) fn certificate_request(self, answer: u8) -> Result<Recording<Answer>, Refusal> {
        let mut request = CertReqMsg::only(&self.message.body)?;
        let id = request.request.cert_req_id.clone();
        if !self.service.is_request_id(&id) {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected certReqId 0 (RFC 9483 §4.1.1)",
            ));
        }
        if self.service.is_tolerant() {
            // The proof of possession covers the request as it came.
            request.request.cert_template = request.request.cert_template.tolerated();
        }
        let is_update = answer == kind::KUP;
        if is_update {
            request.heeded = &[oid::OLD_CERT_ID];
        }
        let holder = if is_update { self.updates_for(&request)? } else { None };
        let voucher = self.voucher(&request, is_update && holder.is_none())?;
        let updated = || self.updated(&request, holder.as_ref().unwrap_or(self.requester));
        let updates = is_update.then(updated).transpose()?;
        if let Some(issuer) = &request.request.cert_template.issuer {
            self.check_issuer(issuer)?;
        }
        if let Some(wanted) = request.wanted_key()? {
            return self.key_generation(answer, id, request, updates, wanted);
        }
        if let Some(proof) = request.without_signature() {
            return self.proof_by_decryption(answer, id, request, updates, proof);
        }
        let sender = &self.message.header.sender;
        let wish = match voucher {
            Some(registrar) => request.vouched(registrar)?,
            None => request.proven(sender, self.public_key_mac.as_ref())?,
        };
        let on_behalf = if is_update { holder } else { self.on_behalf(&wish)? };
        if voucher.is_some() && on_behalf.is_none() {
            return Err(Refusal::new(
                Failure::BadPop,
                "raVerified is for the keys of others; sign the request for your own certificate with the new key",
            ));
        }
        self.grant_plainly(answer, id, wish, updates, on_behalf)
    }

    /// p10cr: a PKCS #10 request, whose signature is the proof of possession.
    pub(crate) fn pkcs10_request(self) -> Result<Recording<Answer>, Refusal> {
        let wish = pkcs10(&self.message.body, self.service.is_tolerant())?;
        let on_behalf = self.on_behalf(&wish)?;
        self.grant_plainly(kind::CP, minus_one()?, wish, None, on_behalf)
    }

    /// The certificate that a kur replaces: the one that signs it, which oldCertID must name if it is there.
    fn updated(&self, request: &CertReqMsg, holder: &Requester) -> Result<Serial, Refusal> {
        let Credential::Certificate(signer) = holder.credential() else {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "a kur is signed with the certificate that it replaces; with a secret, send an ir",
            ));
        };
        let Some(old) = request.old_cert_id()? else { return Ok(signer.serial) };
        let (ca, serial) = self.own(&old.issuer, old.serial_number.as_bytes())?;
        if (&ca, &serial) != (&signer.ca, &signer.serial) {
            return Err(Refusal::new(
                Failure::BadCertId,
                format!(
                    "oldCertID names {serial} of `{ca}`, and the message is signed with {} of `{}`",
                    signer.serial, signer.ca
                ),
            ));
        }
        Ok(serial)
    }

    fn check_issuer(&self, issuer: &Name) -> Result<(), Refusal> {
        if issuer.is_empty() || self.service.authority().ca_by_subject(issuer).is_some() {
            return Ok(());
        }
        // A client that is told no issuer, as OpenSSL's, repeats that of the vendor's certificate.
        if let Credential::Vendor(vendor) = self.requester.credential()
            && names::same(issuer, &vendor.issuer)
        {
            return Ok(());
        }
        Err(Refusal::new(
            Failure::WrongAuthority,
            format!("the issuer asked for, `{issuer}`, is not a CA of this instance"),
        ))
    }

    /// What the peer is told when the CA that issues is not the one that it named: after an account moved to another CA, its gateway
    /// still names the old one, and is not to be left without a certificate.
    fn another_issuer(&self, asked: Option<&Name>, ca: &Label) -> Option<String> {
        let authority = self.service.authority();
        let asked = asked.filter(|asked| authority.ca_by_subject(asked).is_some())?;
        let own = authority.cas().find(|own| own.name == *ca)?;
        let why =
            || format!("the issuer is `{}`, the account's CA, and not `{asked}`", own.subject);
        (!names::same(asked, &own.subject)).then(why)
    }

    fn grant_plainly(
        self,
        answer: u8,
        id: Int,
        wish: Wish,
        updates: Option<Serial>,
        on_behalf: Option<Requester>,
    ) -> Result<Recording<Answer>, Refusal> {
        let (implicit, profile) = (self.asks_for_implicit_confirm(), self.profile()?);
        let delivery = Delivery::Plain;
        self.grant(Grant { answer, id, wish, updates, on_behalf, delivery, implicit, profile })
    }

    /// Has the certificate issued, and answers with it.
    pub(crate) fn grant(self, grant: Grant) -> Result<Recording<Answer>, Refusal> {
        let Grant { answer: kind, id, wish, updates, on_behalf, delivery, implicit, profile } =
            grant;
        let config = self.service.config();
        let authority = self.service.authority();
        let implicit = config.implicit_confirm && implicit && !delivery.proves_possession();
        let confirm_until = authority.now().plus(config.confirm_wait);
        let mut draft = self.draft(&id, confirm_until, !implicit)?;
        draft.registrar = self.recorded_registrar(on_behalf.is_some());
        let (issuer, mut told) = (wish.issuer.clone(), wish.told.clone());
        let request = wish.request(profile, self.route.ca.clone(), updates);
        let requester = on_behalf.as_ref().unwrap_or(self.requester);
        let mut authorized = authority.authorize(requester, request)?;
        told.extend(self.another_issuer(issuer.as_ref(), authorized.ca()));
        if authorized.needs_approval() {
            if updates.is_some() && on_behalf.is_some() {
                return Err(Refusal::new(
                    Failure::NotAuthorized,
                    "a key update that waits for an administrator is asked for by the peer itself; pass its own message on, in a \
                     nested one",
                ));
            }
            // For the disk.
            self.thread.waits()?;
            let answer = self.hold(kind, &id, authorized, implicit, draft.registrar, told)?;
            return Ok(Recording::ready(answer));
        }
        if !authority.take_serial(&mut authorized)? {
            // For the disk.
            self.thread.waits()?;
        }
        // The answer is made while the record is written, and leaves when that is durable.
        authority.begin_issue(authorized, Some(draft))?.try_map(|mut issued| {
            issued.changes.extend(told);
            self.issued_answer(kind, id, issued, delivery, implicit, confirm_until)
        })
    }

    /// The answer with a certificate.
    pub(crate) fn issued_answer(
        &self,
        kind: u8,
        id: Int,
        issued: IssuedCertificate,
        delivery: Delivery,
        implicit: bool,
        confirm_until: Timestamp,
    ) -> Result<Answer, Refusal> {
        // A trust anchor in caPubs is trusted at once, which only a shared secret warrants (RFC 9810 §5.3.2). Equipment takes the
        // operator's root from extraCerts, if it has none yet (3GPP TS 33.310 §9.5.4).
        let by_vendor = matches!(self.requester.credential(), Credential::Vendor(_));
        let root = issued.chain.last().filter(|_| kind == kind::IP && self.protection == Kind::Mac);
        let any = |der: &Vec<u8>| Any::from_der(der).map_err(failed);
        let pvno = delivery.pvno();
        let response = CertResponse {
            cert_req_id: id,
            status: PkiStatusInfo::granted(&issued.changes),
            certified_key_pair: Some(delivery.pack(&issued.certificate)?),
        };
        let content = CertRepMessage {
            ca_pubs: root.map(|root| any(root).map(|root| vec![root])).transpose()?,
            response: vec![response],
        };
        let mut answer = Answer::plain(kind, &content).map_err(failed)?;
        answer.pvno = pvno;
        answer.implicit_confirm = implicit;
        answer.confirm_until = (!implicit).then_some(confirm_until);
        answer.root = issued.chain.last().filter(|_| by_vendor).cloned();
        answer.extra_certs = issued.chain;
        Ok(answer)
    }

    /// The profile that the path or the header names (id-it-certProfile, RFC 9483 §3.1).
    pub(crate) fn profile(&self) -> Result<Option<Label>, Refusal> {
        let bad = |why: String| Refusal::new(Failure::BadRequest, why);
        let infos = self.message.header.general_info.iter().flatten();
        let Some(info) = infos.into_iter().find(|info| info.info_type == oid::CERT_PROFILE) else {
            return Ok(self.route.profile.clone());
        };
        let names =
            info.info_value.as_ref().and_then(|value| value.decode_as::<Vec<String>>().ok());
        let [name] = names.as_deref().unwrap_or_default() else {
            return Err(bad(
                "expected one profile in certProfile: one certificate is asked for".into()
            ));
        };
        let label: Label = name.parse()?;
        match &self.route.profile {
            Some(path) if *path != label => {
                Err(bad(format!("the path names the profile `{path}`, and certProfile `{label}`")))
            }
            _ if self.service.authority().is_profile(&label) => Ok(Some(label)),
            _ => Err(bad(format!("there is no profile `{label}`"))),
        }
    }

    /// Opens a transaction, whose identifier must be new. It is remembered until no replay of its messages could pass
    /// the check of messageTime: a message may be dated up to one window ahead, and is taken for one window more.
    pub(crate) fn draft(
        &self,
        id: &Int,
        until: Timestamp,
        await_confirmation: bool,
    ) -> Result<TransactionDraft, Refusal> {
        self.check_new_transaction()?;
        Ok(TransactionDraft {
            id: self.message.transaction_id().to_vec(),
            expires: until.plus(self.service.config().time_window.saturating_mul(2)),
            context: self.context(id)?.encode().map_err(failed)?,
            confirm_until: await_confirmation.then_some(until),
            registrar: None,
            client: self.route.client,
        })
    }

    /// The transactionID is new: no message used it before.
    pub(crate) fn check_new_transaction(&self) -> Result<(), Refusal> {
        let (authority, id) = (self.service.authority(), self.message.transaction_id());
        let challenged = self.service.challenges().contains(id, authority.now());
        match challenged || authority.transaction(id)?.is_some() {
            true => Err(Refusal::new(
                Failure::TransactionIdInUse,
                "this transactionID was used before; begin a new transaction",
            )),
            false => Ok(()),
        }
    }

    /// The pvno of the message: 2 or 3, which its header was checked for.
    pub(crate) fn version(&self) -> u8 {
        self.message.header.pvno.as_bytes().last().copied().unwrap_or_default()
    }

    /// Whether the message asks for implicit confirmation (RFC 9810 §5.1.1.1).
    pub(crate) fn asks_for_implicit_confirm(&self) -> bool {
        let infos = self.message.header.general_info.iter().flatten();
        infos.into_iter().any(|info| info.info_type == oid::IMPLICIT_CONFIRM)
    }

    /// What the next message of the transaction is checked against.
    pub(crate) fn context(&self, id: &Int) -> Result<Context, Refusal> {
        let peer_nonce = self.message.header.sender_nonce.clone();
        let credential = self.credential().map_err(failed)?;
        let context = Context::new(id.clone(), self.nonce, self.protection).map_err(failed)?;
        Ok(context.bound(peer_nonce, credential))
    }

    /// Names what proved the peer: the certificate, or the secret and the kind of MAC. Half a SHA-256 over it.
    pub(crate) fn credential(&self) -> der::Result<OctetString> {
        let named = match self.requester.credential() {
            Credential::Certificate(record) | Credential::Registrar(record) => {
                format!("{}/{}", record.ca, record.serial)
            }
            Credential::Vendor(signed) => {
                format!("{}:{}", signed.vendor, data_encoding::HEXLOWER.encode(&signed.certificate))
            }
            Credential::Secret => {
                let algorithm = self.message.header.protection_alg.as_ref();
                let secret = self.requester.account().secret.as_ref();
                named_secret(
                    algorithm.map(|algorithm| algorithm.oid),
                    secret.map(|secret| secret.reference.as_str()).unwrap_or_default(),
                )
            }
        };
        credential_of(&named)
    }

    /// A certificate of ours by its issuer's name and its serial number.
    pub(crate) fn own(
        &self,
        issuer: &GeneralName,
        serial: &[u8],
    ) -> Result<(Label, Serial), Refusal> {
        let none = || {
            Refusal::from(Error::denied(
                Denial::NoSuchCertificate,
                "no certificate of this issuer and serial number was issued here",
            ))
        };
        let GeneralName::DirectoryName(name) = issuer else { return Err(none()) };
        let serial = Serial::from_integer(serial).ok_or_else(none)?;
        let ca = self.service.authority().ca_of(name, &serial)?.ok_or_else(none)?;
        Ok((ca, serial))
    }
}

/// Names a secret that is used with this kind of MAC.
pub fn named_secret(algorithm: Option<ObjectIdentifier>, reference: &str) -> String {
    format!("{}/{reference}", algorithm.map(|algorithm| algorithm.to_string()).unwrap_or_default())
}

/// What is recorded of a credential: half a SHA-256 over its name.
pub fn credential_of(named: &str) -> der::Result<OctetString> {
    let hash = digest::digest(&digest::SHA256, named.as_bytes());
    OctetString::new(hash.as_ref().get(..16).unwrap_or_default())
}
