//! The CMP server: one message in, one message out.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::authority::TransactionDraft;
use countersign_ca::record::{Label, Reason, Serial, Transaction};
use countersign_ca::{
    Authority, CertificateRequest, Credential, Denial, Error, Requester, Timestamp, certificate,
};
use der::asn1::{Any, GeneralizedTime, Int, Null, OctetString};
use der::{Decode, Encode, Enumerated};
use ring::digest;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::bounds::{self, Bounds};
use super::content::{
    ACCEPTED, Answer, CertRepMessage, CertResponse, CertStatus, CertifiedKeyPair,
    GRANTED_WITH_MODS, PkiStatusInfo, RevDetails, RevRepContent, kind,
};
use super::context::{Context, Kind};
use super::crmf::{CertId, CertReqMsg, PkMacValue, Wish, elements, malformed, pkcs10};
use super::mac::{MacKey, MacParameters};
use super::message::{InfoTypeAndValue, Message, PkiHeader, assemble, protected_part, tagged_body};
use super::oid;
use super::refusal::{Failure, Refusal};

/// The lengths of a transactionID that are taken. RFC 9810 §5.1.1 asks for 16 octets; some clients send fewer.
const TRANSACTION_ID: RangeInclusive<usize> = 8..=64;

/// The lengths of a nonce that are taken (RFC 9810 §5.1.1: 128 bits).
const NONCE: RangeInclusive<usize> = 16..=64;

/// What an operator decides about CMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmpConfig {
    /// Bounds on one message.
    pub bounds: Bounds,
    /// How many iterations a MAC may ask for.
    pub iterations: RangeInclusive<u32>,
    /// How far messageTime may be from now, either way.
    pub time_window: Duration,
    /// Whether messageTime must be there.
    pub require_message_time: bool,
    /// How long a certificate may await its confirmation.
    pub confirm_wait: Duration,
    /// Whether implicit confirmation is granted to whoever asks for it.
    pub implicit_confirm: bool,
}

impl Default for CmpConfig {
    fn default() -> Self {
        Self {
            bounds: Bounds { bytes: 1 << 20, depth: 32, elements: 10_000 },
            iterations: 100..=100_000,
            time_window: Duration::from_secs(300),
            require_message_time: true,
            confirm_wait: Duration::from_secs(300),
            implicit_confirm: true,
        }
    }
}

/// What the path of a request says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// The profile that it names.
    pub profile: Option<Label>,
    /// The CA that it names.
    pub ca: Option<Label>,
    /// The body that its operation label stands for.
    pub operation: Option<u8>,
}

/// What became of a message, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The name of its body.
    pub kind: &'static str,
    /// Whether it was granted.
    pub granted: bool,
}

/// The CMP server of one authority.
#[derive(Debug)]
pub struct CmpService {
    authority: Arc<Authority>,
    config: CmpConfig,
}

/// How the answer is protected, and for whom.
enum Protector {
    /// With the key that the peer derived from its secret.
    Mac(Box<(MacKey, MacParameters)>),
    /// With the signature of the CA's own CMP signer.
    Signature,
}

/// A message whose sender proved who it is.
struct Authenticated {
    requester: Requester,
    protector: Protector,
    /// A publicKeyMAC that was verified with the secret: its PKMACValue.
    public_key_mac: Option<PkMacValue>,
}

impl Protector {
    const fn kind(&self) -> Kind {
        match self {
            Self::Mac(_) => Kind::Mac,
            Self::Signature => Kind::Signature,
        }
    }
}

impl CmpService {
    /// A server over this authority.
    pub const fn new(authority: Arc<Authority>, config: CmpConfig) -> Self {
        Self { authority, config }
    }

    /// The authority.
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The bounds in force.
    pub const fn config(&self) -> &CmpConfig {
        &self.config
    }

    /// Answers a message. Every message gets an answer, be it an error.
    ///
    /// # Errors
    /// [`Error`] only when not even an error message can be made, because no CA can sign one.
    pub fn answer(&self, route: &Route, bytes: &[u8]) -> Result<(Vec<u8>, Outcome), Error> {
        let message =
            bounds::check(bytes, self.config.bounds).and_then(|()| Message::decode(bytes));
        let message = match message {
            Ok(message) => message,
            Err(refusal) => {
                tracing::info!(failure = ?refusal.failure, "unreadable: {}", refusal.text);
                let answer = Answer::error(&refusal).map_err(Error::internal)?;
                let bytes =
                    self.protect(route, None, &answer, &Protector::Signature, &self.nonce()?)?;
                return Ok((bytes, Outcome { kind: "unreadable", granted: false }));
            }
        };
        let transaction = data_encoding::HEXLOWER.encode(message.transaction_id());
        let span = tracing::info_span!("cmp", transaction, body = kind::name(message.kind));
        let _entered = span.enter();
        self.respond(route, &message)
    }

    /// The story of one message.
    fn respond(&self, route: &Route, message: &Message) -> Result<(Vec<u8>, Outcome), Error> {
        let nonce = self.nonce()?;
        let mut protector = Protector::Signature;
        let answer = self.decide(route, message, &nonce, &mut protector);
        let granted = answer.is_ok();
        let answer = answer.or_else(|refusal| {
            tracing::info!(failure = ?refusal.failure, "refused: {}", refusal.text);
            refused_answer(message, &refusal).map_err(Error::internal)
        })?;
        let bytes = self.protect(route, Some(&message.header), &answer, &protector, &nonce)?;
        Ok((bytes, Outcome { kind: kind::name(message.kind), granted }))
    }

    /// Decides what to answer; `protector` becomes that of the request once its sender is known.
    fn decide(
        &self,
        route: &Route,
        message: &Message,
        nonce: &[u8; 16],
        protector: &mut Protector,
    ) -> Result<Answer, Refusal> {
        // 1. The header is one that can be answered, and fits the path.
        self.check_header(message)?;
        check_route(route, message.kind)?;
        // 2. Who sends.
        let Authenticated { requester, protector: proven, public_key_mac } =
            self.authenticate(message)?;
        *protector = proven;
        tracing::debug!(account = %requester.account().name, "authenticated");
        // 3. What is asked for.
        let exchange = Exchange {
            service: self,
            route,
            message,
            requester: &requester,
            protection: protector.kind(),
            nonce,
            public_key_mac,
        };
        let answer = match message.kind {
            kind::IR => exchange.certificate_request(kind::IP),
            kind::CR => exchange.certificate_request(kind::CP),
            kind::KUR => exchange.certificate_request(kind::KUP),
            kind::P10CR => exchange.pkcs10_request(),
            kind::CERT_CONF => exchange.confirmation(),
            kind::RR => exchange.revocation(),
            kind::ERROR => exchange.client_error(),
            other => Err(Refusal::new(
                Failure::BadRequest,
                format!(
                    "expected ir, cr, p10cr, kur, certConf, rr or error, found {}",
                    kind::name(other)
                ),
            )),
        }?;
        tracing::info!(account = %requester.account().name, answer = kind::name(answer.kind), "answered");
        Ok(answer)
    }

    fn nonce(&self) -> Result<[u8; 16], Error> {
        let mut nonce = [0; 16];
        self.authority.random(&mut nonce)?;
        Ok(nonce)
    }

    /// RFC 9483 §3.1 and §3.5, as far as it needs no key.
    fn check_header(&self, message: &Message) -> Result<(), Refusal> {
        let header = &message.header;
        if !matches!(header.pvno.as_bytes(), [2 | 3]) {
            return Err(Refusal::new(Failure::UnsupportedVersion, "expected pvno 2 or 3"));
        }
        let id = message.transaction_id().len();
        if !TRANSACTION_ID.contains(&id) {
            return Err(Refusal::new(
                Failure::BadDataFormat,
                format!("expected a transactionID of 16 octets, found {id}"),
            ));
        }
        let nonce = header.sender_nonce.as_ref().map_or(0, |nonce| nonce.as_bytes().len());
        if !NONCE.contains(&nonce) {
            return Err(Refusal::new(
                Failure::BadSenderNonce,
                format!("expected a senderNonce of 16 octets, found {nonce}"),
            ));
        }
        self.check_time(header.message_time)
    }

    fn check_time(&self, message_time: Option<GeneralizedTime>) -> Result<(), Refusal> {
        let Some(time) = message_time else {
            return match self.config.require_message_time {
                true => Err(Refusal::new(
                    Failure::MissingTimeStamp,
                    "messageTime is missing: a replay could not be told",
                )),
                false => Ok(()),
            };
        };
        let sent = Timestamp::from_seconds(
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX),
        );
        let now = self.authority.now();
        let window = self.config.time_window;
        if sent < now.minus(window) || sent > now.plus(window) {
            return Err(Refusal::new(
                Failure::BadTime,
                format!("messageTime is {sent} and it is {}; set the clock", now.whole_seconds()),
            ));
        }
        Ok(())
    }

    fn authenticate(&self, message: &Message) -> Result<Authenticated, Refusal> {
        let missing = || {
            Refusal::new(
                Failure::BadMessageCheck,
                "the message is not protected; use a secret or a certificate",
            )
        };
        let algorithm = message.header.protection_alg.as_ref().ok_or_else(missing)?;
        let protection = message.protection.as_ref().ok_or_else(missing)?;
        match MacParameters::read(algorithm, &self.config.iterations) {
            Some(parameters) => self.authenticate_mac(message, parameters?, protection),
            None => self.authenticate_signature(message, algorithm, protection),
        }
    }

    fn authenticate_mac(
        &self,
        message: &Message,
        parameters: MacParameters,
        protection: &[u8],
    ) -> Result<Authenticated, Refusal> {
        let reference = message.header.sender_kid.as_ref().ok_or_else(|| {
            Refusal::new(
                Failure::BadMessageCheck,
                "senderKID is missing: it names the reference of the secret",
            )
        })?;
        let pending = public_key_mac(message);
        let mut key = None;
        let mut public_key_mac = None;
        let requester =
            self.authority.authenticate_secret(reference.as_bytes(), &mut |secret| {
                let derived = parameters.derive(secret);
                let right = derived.verify(&message.protected_part, protection);
                if right {
                    public_key_mac = pending.clone().filter(|(value, spki)| {
                        let inner = MacParameters::read(&value.algorithm, &self.config.iterations)
                            .and_then(Result::ok);
                        let mac = value.value.as_bytes().unwrap_or_default();
                        inner.is_some_and(|inner| inner.derive(secret).verify(spki, mac))
                    });
                    key = Some(derived);
                }
                right
            })?;
        let key = key.ok_or_else(|| Refusal::new(Failure::SystemFailure, "the service failed"))?;
        Ok(Authenticated {
            requester,
            protector: Protector::Mac(Box::new((key, parameters))),
            public_key_mac: public_key_mac.map(|(value, _)| value),
        })
    }

    fn authenticate_signature(
        &self,
        message: &Message,
        algorithm: &spki::AlgorithmIdentifierOwned,
        protection: &[u8],
    ) -> Result<Authenticated, Refusal> {
        let signer = message.extra_certs.first().ok_or_else(|| {
            Refusal::new(
                Failure::SignerNotTrusted,
                "the signer's certificate is missing: put it first in extraCerts",
            )
        })?;
        let facts = certificate::Facts::of(signer)?;
        if let GeneralName::DirectoryName(sender) = &message.header.sender
            && !sender.is_empty()
            && *sender != facts.subject
        {
            return Err(Refusal::new(
                Failure::BadMessageCheck,
                format!(
                    "the sender `{sender}` is not the subject of the signer's certificate, `{}`",
                    facts.subject
                ),
            ));
        }
        if let Some(kid) = &message.header.sender_kid
            && kid.as_bytes() != facts.key_identifier
        {
            return Err(Refusal::new(
                Failure::BadMessageCheck,
                "senderKID is not the subject key identifier of the signer's certificate",
            ));
        }
        let requester = self.authority.authenticate_certificate(signer, &mut |key| {
            key.verify(algorithm, &message.protected_part, protection)
        })?;
        Ok(Authenticated { requester, protector: Protector::Signature, public_key_mac: None })
    }

    /// Makes a PKIMessage around an answer and protects it.
    fn protect(
        &self,
        route: &Route,
        request: Option<&PkiHeader>,
        answer: &Answer,
        protector: &Protector,
        nonce: &[u8; 16],
    ) -> Result<Vec<u8>, Error> {
        let signer = self.authority.protection(route.ca.as_ref())?;
        let octets = |bytes: &[u8]| OctetString::new(bytes).map_err(Error::internal);
        let (algorithm, sender_kid) = match protector {
            Protector::Mac(mac) => {
                (mac.1.algorithm().clone(), request.and_then(|header| header.sender_kid.clone()))
            }
            Protector::Signature => (signer.algorithm(), Some(octets(signer.key_identifier())?)),
        };
        let now = u64::try_from(self.authority.now().seconds()).map_err(Error::internal)?;
        let nobody = GeneralName::DirectoryName(Name::default());
        let header = PkiHeader {
            pvno: request.map_or_else(
                || Int::new(&[2]).map_err(Error::internal),
                |header| {
                    // RFC 9810 §7: an answer has the version of the request, as far as it is known here.
                    let version = if header.pvno.as_bytes() == [3] { [3] } else { [2] };
                    Int::new(&version).map_err(Error::internal)
                },
            )?,
            sender: GeneralName::DirectoryName(signer.subject().clone()),
            recipient: request.map_or(nobody, |header| header.sender.clone()),
            message_time: Some(
                GeneralizedTime::from_unix_duration(Duration::from_secs(now))
                    .map_err(Error::internal)?,
            ),
            protection_alg: Some(algorithm),
            sender_kid,
            recip_kid: None,
            transaction_id: request.and_then(|header| header.transaction_id.clone()),
            sender_nonce: Some(octets(nonce)?),
            recip_nonce: request.and_then(|header| header.sender_nonce.clone()),
            free_text: None,
            general_info: general_info(answer).map_err(Error::internal)?,
        };
        let header = header.to_der().map_err(Error::internal)?;
        let body = tagged_body(answer.kind, &answer.content).map_err(Error::internal)?;
        let protected = protected_part(&header, &body).map_err(Error::internal)?;
        let protection = match protector {
            Protector::Mac(mac) => mac.0.sign(&protected),
            Protector::Signature => signer.sign(&protected)?,
        };
        let mut extra: Vec<&[u8]> = Vec::new();
        if matches!(protector, Protector::Signature) {
            extra.push(signer.certificate());
            extra.extend(without_root(signer.chain()));
        }
        for certificate in without_root(&answer.extra_certs) {
            if !extra.contains(&certificate) {
                extra.push(certificate);
            }
        }
        assemble(&header, &body, &protection, &extra).map_err(Error::internal)
    }
}

/// One authenticated message and what is needed to act on it.
struct Exchange<'a> {
    service: &'a CmpService,
    route: &'a Route,
    message: &'a Message,
    requester: &'a Requester,
    protection: Kind,
    nonce: &'a [u8; 16],
    public_key_mac: Option<PkMacValue>,
}

impl Exchange<'_> {
    /// ir, cr and kur.
    fn certificate_request(self, answer: u8) -> Result<Answer, Refusal> {
        let request = CertReqMsg::only(&self.message.body)?;
        let id = request.request.cert_req_id.clone();
        if id.as_bytes() != [0] {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected certReqId 0 (RFC 9483 §4.1.1)",
            ));
        }
        let updates = if answer == kind::KUP { Some(self.updated(&request)?) } else { None };
        if let Some(issuer) = &request.request.cert_template.issuer {
            self.check_issuer(issuer)?;
        }
        let wish = request.proven(&self.message.header.sender, self.public_key_mac.as_ref())?;
        self.grant(answer, id, wish, updates)
    }

    fn pkcs10_request(self) -> Result<Answer, Refusal> {
        let wish = pkcs10(&self.message.body)?;
        self.grant(kind::CP, minus_one()?, wish, None)
    }

    /// The certificate that a kur replaces: the one that signs it, which oldCertID must name if it is there.
    fn updated(&self, request: &CertReqMsg) -> Result<Serial, Refusal> {
        let Credential::Certificate(signer) = self.requester.credential() else {
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
        if issuer.is_empty() || self.service.authority.ca_by_subject(issuer).is_some() {
            return Ok(());
        }
        Err(Refusal::new(
            Failure::WrongAuthority,
            format!("the issuer asked for, `{issuer}`, is not a CA of this instance"),
        ))
    }

    fn grant(
        self,
        kind: u8,
        id: Int,
        wish: Wish,
        updates: Option<Serial>,
    ) -> Result<Answer, Refusal> {
        let config = &self.service.config;
        let authority = &self.service.authority;
        let implicit = config.implicit_confirm && asks_for_implicit_confirm(self.message);
        // A transactionID is remembered until no replay of its messages could pass the check of messageTime.
        let now = authority.now();
        let confirm_until = now.plus(config.confirm_wait);
        let context = Context::new(id.clone(), self.nonce, self.protection)
            .and_then(|context| context.encode());
        let draft = TransactionDraft {
            id: self.message.transaction_id().to_vec(),
            expires: confirm_until.plus(config.time_window.saturating_mul(2)),
            context: context.map_err(failed)?,
            await_confirmation: !implicit,
        };
        if authority.transaction(&draft.id)?.is_some() {
            return Err(Refusal::new(
                Failure::TransactionIdInUse,
                "this transactionID was used before; begin a new transaction",
            ));
        }
        let request = CertificateRequest {
            key: wish.key,
            subject: wish.subject,
            alt_names: wish.alt_names,
            not_before: wish.not_before,
            not_after: wish.not_after,
            extensions: wish.extensions,
            profile: self.route.profile.clone(),
            ca: self.route.ca.clone(),
            updates,
        };
        let authorized = authority.authorize(self.requester, request)?;
        let issued = authority.issue(authorized, Some(draft))?;
        // A trust anchor goes only to a peer that shares a secret with us (RFC 9483 §4.1.1).
        let root = issued.chain.last().filter(|_| kind == kind::IP && self.protection == Kind::Mac);
        let any = |der: &Vec<u8>| Any::from_der(der).map_err(failed);
        let response = CertResponse {
            cert_req_id: id,
            status: PkiStatusInfo::granted(&issued.changes),
            certified_key_pair: Some(CertifiedKeyPair { certificate: any(&issued.certificate)? }),
        };
        let content = CertRepMessage {
            ca_pubs: root.map(|root| any(root).map(|root| vec![root])).transpose()?,
            response: vec![response],
        };
        let mut answer = Answer::plain(kind, &content).map_err(failed)?;
        answer.implicit_confirm = implicit;
        answer.confirm_until = (!implicit).then_some(confirm_until);
        answer.extra_certs = issued.chain;
        Ok(answer)
    }

    /// certConf: the holder takes the certificate, or does not.
    fn confirmation(self) -> Result<Answer, Refusal> {
        let authority = &self.service.authority;
        let (transaction, context) = self.continued()?;
        let Some((ca, serial)) = transaction.awaits else {
            return Err(Refusal::new(
                Failure::CertConfirmed,
                "the certificate of this transaction is confirmed already",
            ));
        };
        let statuses = elements(&self.message.body).map_err(malformed("CertConfirmContent"))?;
        let status = match statuses.as_slice() {
            // An empty certConf takes nothing (RFC 9810 §5.3.18).
            [] => None,
            [one] => {
                let der = one.to_der().map_err(malformed("a CertStatus"))?;
                Some(CertStatus::from_der(&der).map_err(malformed("a CertStatus"))?)
            }
            _ => {
                return Err(Refusal::new(
                    Failure::BadRequest,
                    "expected one CertStatus: one certificate was issued",
                ));
            }
        };
        let taken = |info: &Option<PkiStatusInfo>| {
            info.as_ref().is_none_or(|info| matches!(info.status, ACCEPTED | GRANTED_WITH_MODS))
        };
        let Some(status) = status.filter(|status| taken(&status.status_info)) else {
            tracing::info!("the peer does not take its certificate");
            authority.reject(&transaction.id)?;
            return confirmed();
        };
        let record = authority.store().certificate(&ca, &serial)?;
        let record = record.ok_or_else(|| {
            Refusal::from(Error::internal("a transaction without its certificate"))
        })?;
        let hash = hash_of(&record.certificate, &status)?;
        if hash != status.cert_hash.as_bytes() || status.cert_req_id != context.cert_req_id {
            // What the peer holds is not what was issued: it must not come into use (RFC 9483 §4.1.1).
            authority.reject(&transaction.id)?;
            return Err(Refusal::new(
                Failure::BadCertId,
                "certHash or certReqId is not that of the certificate in this transaction; the certificate is revoked",
            ));
        }
        authority.confirm(&transaction.id)?;
        confirmed()
    }

    /// error: the peer gives the transaction up.
    fn client_error(self) -> Result<Answer, Refusal> {
        let (transaction, _) = self.continued()?;
        if transaction.awaits.is_some() {
            tracing::info!("the peer reports an error, and its certificate is revoked");
            self.service.authority.reject(&transaction.id)?;
        }
        confirmed()
    }

    /// The transaction that this message goes on with.
    fn continued(&self) -> Result<(Transaction, Context), Refusal> {
        let unknown = || {
            Refusal::new(
                Failure::BadRequest,
                "no transaction of this transactionID awaits a message",
            )
        };
        let transaction = self
            .service
            .authority
            .transaction(self.message.transaction_id())?
            .ok_or_else(unknown)?;
        if transaction.account != self.requester.account().name {
            tracing::warn!(owner = %transaction.account, "a message for another account's transaction");
            return Err(unknown());
        }
        let context = Context::decode(&transaction.context)?;
        if context.protection != self.protection {
            return Err(Refusal::new(
                Failure::WrongIntegrity,
                "protect every message of a transaction in the same way",
            ));
        }
        if self.message.header.recip_nonce.as_ref() != Some(&context.nonce) {
            return Err(Refusal::new(
                Failure::BadRecipientNonce,
                "recipNonce is not the senderNonce of the answer before",
            ));
        }
        Ok((transaction, context))
    }

    /// rr: the holder revokes a certificate of its account.
    fn revocation(self) -> Result<Answer, Refusal> {
        let authority = &self.service.authority;
        let details = elements(&self.message.body).map_err(malformed("RevReqContent"))?;
        let [details] = details.as_slice() else {
            return Err(Refusal::new(
                Failure::BadRequest,
                "expected exactly one RevDetails (RFC 9483 §4.2)",
            ));
        };
        let der = details.to_der().map_err(malformed("RevDetails"))?;
        let details = RevDetails::from_der(&der).map_err(malformed("RevDetails"))?;
        let template = details.cert_details;
        let (Some(issuer), Some(serial_number)) = (template.issuer, template.serial_number) else {
            return Err(Refusal::new(
                Failure::BadCertTemplate,
                "certDetails need issuer and serialNumber (RFC 9483 §4.2)",
            ));
        };
        let issuer = GeneralName::DirectoryName(issuer);
        let (ca, serial) = self.own(&issuer, serial_number.as_bytes())?;
        let (reason, invalidity) = entry_details(details.crl_entry_details.unwrap_or_default())?;
        let config = &self.service.config;
        let id = self.message.transaction_id().to_vec();
        if authority.transaction(&id)?.is_some() {
            return Err(Refusal::new(
                Failure::TransactionIdInUse,
                "this transactionID was used before; begin a new transaction",
            ));
        }
        let context = Context::new(minus_one()?, self.nonce, self.protection)
            .and_then(|context| context.encode());
        let draft = TransactionDraft {
            id,
            expires: authority.now().plus(config.time_window.saturating_mul(2)),
            context: context.map_err(failed)?,
            await_confirmation: false,
        };
        authority.revoke_for(self.requester, &ca, &serial, reason, invalidity, Some(draft))?;
        let content = RevRepContent {
            status: vec![PkiStatusInfo::granted(&[])],
            rev_certs: Some(vec![CertId { issuer, serial_number }]),
        };
        Answer::plain(kind::RP, &content).map_err(failed)
    }

    /// A certificate of ours by its issuer's name and its serial number.
    fn own(&self, issuer: &GeneralName, serial: &[u8]) -> Result<(Label, Serial), Refusal> {
        let none = || {
            Refusal::from(Error::denied(
                Denial::NoSuchCertificate,
                "no certificate of this issuer and serial number was issued here",
            ))
        };
        let GeneralName::DirectoryName(name) = issuer else { return Err(none()) };
        let ca = self.service.authority.ca_by_subject(name).ok_or_else(none)?;
        Ok((ca, Serial::from_integer(serial).ok_or_else(none)?))
    }
}

/// Where a refusal stands: in the response's own body once the sender is known, in an error message before (RFC 9483
/// §3.6.4 leaves it to the server for the latter).
fn refused_answer(message: &Message, refusal: &Refusal) -> der::Result<Answer> {
    let before = matches!(
        refusal.failure,
        Failure::BadMessageCheck
            | Failure::BadTime
            | Failure::MissingTimeStamp
            | Failure::BadSenderNonce
            | Failure::UnsupportedVersion
            | Failure::BadDataFormat
            | Failure::SignerNotTrusted
            | Failure::SystemUnavail
            | Failure::SystemFailure
            | Failure::TransactionIdInUse
            | Failure::BadRequest
    );
    let response = |kind: u8, id: Int| {
        let status = PkiStatusInfo::refused(refusal)?;
        let response = CertResponse { cert_req_id: id, status, certified_key_pair: None };
        Answer::plain(kind, &CertRepMessage { ca_pubs: None, response: vec![response] })
    };
    match message.kind {
        _ if before => Answer::error(refusal),
        kind::IR => response(kind::IP, Int::new(&[0])?),
        kind::CR => response(kind::CP, Int::new(&[0])?),
        kind::KUR => response(kind::KUP, Int::new(&[0])?),
        kind::P10CR => response(kind::CP, Int::new(&[0xff])?),
        kind::RR => {
            let status = vec![PkiStatusInfo::refused(refusal)?];
            Answer::plain(kind::RP, &RevRepContent { status, rev_certs: None })
        }
        _ => Answer::error(refusal),
    }
}

fn check_route(route: &Route, kind: u8) -> Result<(), Refusal> {
    let continues = matches!(kind, kind::CERT_CONF | kind::ERROR);
    match route.operation.filter(|operation| *operation != kind && !continues) {
        Some(operation) => Err(Refusal::new(
            Failure::BadRequest,
            format!("the path is for {}, found {}", kind::name(operation), kind::name(kind)),
        )),
        None => Ok(()),
    }
}

fn general_info(answer: &Answer) -> der::Result<Option<Vec<InfoTypeAndValue>>> {
    if answer.implicit_confirm {
        let info_value = Some(Any::encode_from(&Null)?);
        return Ok(Some(vec![InfoTypeAndValue { info_type: oid::IMPLICIT_CONFIRM, info_value }]));
    }
    let Some(until) = answer.confirm_until else { return Ok(None) };
    let seconds = u64::try_from(until.seconds()).unwrap_or_default();
    let time = GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?;
    let info_value = Some(Any::encode_from(&time)?);
    Ok(Some(vec![InfoTypeAndValue { info_type: oid::CONFIRM_WAIT_TIME, info_value }]))
}

fn asks_for_implicit_confirm(message: &Message) -> bool {
    message.header.general_info.iter().flatten().any(|info| info.info_type == oid::IMPLICIT_CONFIRM)
}

/// A publicKeyMAC in the request's proof of possession, with the key it is computed over.
fn public_key_mac(message: &Message) -> Option<(PkMacValue, Vec<u8>)> {
    use super::crmf::{AuthInfo, ProofOfPossession};
    if !matches!(message.kind, kind::IR | kind::CR | kind::KUR) {
        return None;
    }
    let request = CertReqMsg::only(&message.body).ok()?;
    let ProofOfPossession::Signature(proof) = request.proof? else { return None };
    let input = proof.input?;
    match input.auth_info {
        AuthInfo::PublicKeyMac(value) => Some((value, input.public_key.to_der().ok()?)),
        AuthInfo::Sender(_) => None,
    }
}

/// The hash that a certConf must carry: by hashAlg if it is there, else by the hash of the certificate's signature.
fn hash_of(certificate: &[u8], status: &CertStatus) -> Result<Vec<u8>, Refusal> {
    use countersign_ca::oid as ca;
    let algorithm = match &status.hash_alg {
        Some(algorithm) => algorithm.oid,
        None => {
            x509_cert::Certificate::from_der(certificate).map_err(failed)?.signature_algorithm.oid
        }
    };
    let hash = match algorithm {
        ca::SHA256 | ca::ECDSA_SHA256 | ca::RSA_SHA256 => &digest::SHA256,
        ca::SHA384 | ca::ECDSA_SHA384 | ca::RSA_SHA384 => &digest::SHA384,
        // RFC 9481 §3.3: Ed25519 goes with SHA-512.
        ca::SHA512 | ca::ED25519 | ca::RSA_SHA512 => &digest::SHA512,
        other => {
            return Err(Refusal::new(
                Failure::BadAlg,
                format!("hashAlg `{other}` is not supported; use SHA-256"),
            ));
        }
    };
    Ok(digest::digest(hash, certificate).as_ref().to_vec())
}

/// ```text
/// CRLReason ::= ENUMERATED { … }
/// ```
/// RFC 5280 §5.3.1, read as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumerated)]
#[repr(u8)]
enum ReasonNumber {
    Unspecified = 0,
    KeyCompromise = 1,
    CaCompromise = 2,
    AffiliationChanged = 3,
    Superseded = 4,
    CessationOfOperation = 5,
    CertificateHold = 6,
    RemoveFromCrl = 8,
    PrivilegeWithdrawn = 9,
    AaCompromise = 10,
}

fn entry_details(
    extensions: Vec<x509_cert::ext::Extension>,
) -> Result<(Reason, Option<Timestamp>), Refusal> {
    let mut reason = Reason::Unspecified;
    let mut invalidity = None;
    for extension in extensions {
        let content = extension.extn_value.as_bytes();
        match extension.extn_id {
            countersign_ca::oid::CRL_REASON => {
                let number = ReasonNumber::from_der(content).map_err(malformed("a CRLReason"))?;
                reason = Reason::from_number(number as u8).unwrap_or(Reason::Unspecified);
            }
            countersign_ca::oid::INVALIDITY_DATE => {
                let date =
                    GeneralizedTime::from_der(content).map_err(malformed("an invalidityDate"))?;
                let seconds = i64::try_from(date.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
                invalidity = Some(Timestamp::from_seconds(seconds));
            }
            other if extension.critical => {
                return Err(Refusal::new(
                    Failure::UnacceptedExtension,
                    format!("the critical CRL entry extension `{other}` is not known here"),
                ));
            }
            _ => {}
        }
    }
    Ok((reason, invalidity))
}

fn without_root(chain: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    // extraCerts leave the self-signed one out (RFC 9483 §3.3).
    let keep = chain.len().saturating_sub(1);
    chain.iter().take(keep).map(Vec::as_slice)
}

fn confirmed() -> Result<Answer, Refusal> {
    Answer::plain(kind::PKICONF, &Null).map_err(failed)
}

/// certReqId −1, which stands for the one request of a p10cr.
fn minus_one() -> Result<Int, Refusal> {
    Int::new(&[0xff]).map_err(failed)
}

fn failed(error: der::Error) -> Refusal {
    Refusal::from(Error::internal(format!("an answer cannot be encoded: {error}")))
}
