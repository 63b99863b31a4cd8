//! Who sends a message, and how the answer is protected: in kind (RFC 9483 §3.2).

use countersign_ca::authority::{Attempt, Candidate};
use countersign_ca::record::Label;
use countersign_ca::{
    Credential, Denial, Error, Network, Requester, SubjectPublicKey, certificate,
};
use der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;

use crate::cmp::wire::content::kind;
use crate::cmp::server::service::context::{Context, Kind};
use crate::cmp::wire::crmf::{AuthInfo, CertReqMsg, PkMacValue, ProofOfPossession};
use crate::cmp::server::exchange::{credential_of, named_secret};
use crate::cmp::server::sender::header::goes_on;
use crate::cmp::server::service::in_flight::{Thread, Working};
use crate::cmp::wire::mac::{MacKey, MacParameters};
use crate::cmp::wire::message::{Message, PkiHeader};
use crate::cmp::wire::names;
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::server::service::{CmpService, Route};

/// How an answer is protected.
pub enum Protector {
    /// With the key that the peer derived from its secret.
    Mac(Box<(MacKey, MacParameters)>),
    /// With the signature of a CA's own CMP signer.
    Signature,
}

impl Protector {
    /// As it is recorded with a transaction.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Mac(_) => Kind::Mac,
            Self::Signature => Kind::Signature,
        }
    }
}

/// A message whose sender proved who it is.
pub struct Authenticated {
    /// Who it is.
    pub requester: Requester,
    /// How the answer is protected.
    pub protector: Protector,
    /// The CA that the path names, or else the sender's own; `None` means the default.
    pub ca: Option<Label>,
    /// Counts as one that is worked on, if that was asked already.
    pub working: Option<Working>,
    /// A publicKeyMAC that was verified with the secret: its PKMACValue.
    pub public_key_mac: Option<PkMacValue>,
}

/// To whom an answer goes.
pub struct Reply {
    /// How it is protected.
    pub protector: Protector,
    /// Which CA answers; `None` means the default.
    pub ca: Option<Label>,
    /// Whether the sender is known, so that a refusal stands in the body of its kind.
    pub to_known_peer: bool,
    /// Counts as one that is worked on, until the answer is sent.
    pub working: Option<Working>,
}

impl Reply {
    /// To somebody who did not prove who it is.
    pub fn signed(route: &Route) -> Self {
        Self {
            protector: Protector::Signature,
            ca: route.ca.clone(),
            to_known_peer: false,
            working: None,
        }
    }
}

impl CmpService {
    /// Finds out who sends, by the shared secret or by the certificate that protects the message.
    pub(crate) fn authenticate(
        &self,
        route: &Route,
        message: &Message,
        thread: Thread,
    ) -> Result<Authenticated, Refusal> {
        let missing = || {
            Refusal::new(
                Failure::BadMessageCheck,
                "the message is not protected; use a secret or a certificate",
            )
        };
        let algorithm = message.header.protection_alg.as_ref().ok_or_else(missing)?;
        let protection = message.protection.as_ref().ok_or_else(missing)?;
        self.config().protections.check(algorithm.oid)?;
        let mut sender = match MacParameters::read(algorithm, self.config()) {
            Some(parameters) => {
                // Among those whom strangers send.
                thread.derives()?;
                self.authenticate_mac(route, message, parameters?, protection, thread)
            }
            None => self.authenticate_signature(message, algorithm, protection, thread),
        }?;
        if route.ca.is_some() {
            sender.ca.clone_from(&route.ca);
        }
        Ok(sender)
    }

    fn authenticate_mac(
        &self,
        route: &Route,
        message: &Message,
        parameters: MacParameters,
        protection: &[u8],
        thread: Thread,
    ) -> Result<Authenticated, Refusal> {
        // RFC 9483 §3.1. Which name it is does not count: the reference names the secret.
        if !matches!(message.header.sender, GeneralName::DirectoryName(_)) && !self.is_tolerant() {
            return Err(Refusal::new(
                Failure::BadMessageCheck,
                "with a secret, the sender is a directoryName",
            ));
        }
        let reference = self.reference(&message.header).ok_or_else(|| {
            Refusal::new(
                Failure::BadMessageCheck,
                "senderKID is missing: it names the reference of the secret",
            )
        })?;
        let attempt = Attempt {
            reference: &reference,
            from: route.sender().map(Network::address),
            continues: self.is_begun_by(&reference, message),
        };
        let order = match thread {
            Thread::Derives(order) => order,
            _ => self.derivations().order(route.sender(), parameters.iterations()),
        };
        let pending = public_key_mac(message);
        let mut key = None;
        let mut public_key_mac = None;
        let requester = self.authority().authenticate_secret(attempt, &mut |candidate| {
            let _place = self.derivations().take(order);
            let secret = match candidate {
                Candidate::Secret(secret) => secret,
                // As much as an honest client asks for, and no more: there is nothing to be found out.
                Candidate::Decoy(decoy) => {
                    parameters.pretend(decoy, self.config().decoy_iterations);
                    return false;
                }
            };
            let derived = parameters.matching(secret, &message.protected_part, protection);
            let right = derived.is_some();
            if right {
                public_key_mac = pending.clone().filter(|(value, spki)| {
                    let inner =
                        MacParameters::read(&value.algorithm, self.config()).and_then(Result::ok);
                    let mac = value.value.as_bytes().unwrap_or_default();
                    inner.is_some_and(|inner| inner.derive(secret).verify(spki, mac))
                });
                key = derived;
            }
            right
        })?;
        let key = key.ok_or_else(|| Refusal::new(Failure::SystemFailure, "the service failed"))?;
        Ok(Authenticated {
            ca: requester.account().ca.clone(),
            requester,
            protector: Protector::Mac(Box::new((key, parameters))),
            working: None,
            public_key_mac: public_key_mac.map(|(value, _)| value),
        })
    }

    fn authenticate_signature(
        &self,
        message: &Message,
        algorithm: &spki::AlgorithmIdentifierOwned,
        protection: &[u8],
        thread: Thread,
    ) -> Result<Authenticated, Refusal> {
        let unsent = match message.extra_certs.is_empty() && self.is_tolerant() {
            true => {
                // For the index, all of which is looked through.
                thread.waits()?;
                self.unsent_signer(message)
            }
            false => None,
        };
        let signer = message.extra_certs.first().or(unsent.as_ref()).ok_or_else(|| {
            Refusal::new(
                Failure::BadMessageCheck,
                "the signer's certificate is missing: put it first in extraCerts",
            )
        })?;
        let facts = certificate::Facts::of(signer).map_err(|error| match error {
            // Of a size that is never certified here: a stranger's.
            Error::Denied { kind: Denial::KeySize, why } => {
                Refusal::new(Failure::SignerNotTrusted, format!("the signer's certificate: {why}"))
            }
            other => other.into(),
        })?;
        check_sender(&message.header, &facts, signer, self.is_tolerant())?;
        let authority = self.authority();
        let mut verify =
            |key: &SubjectPublicKey| key.verify(algorithm, &message.protected_part, protection);
        let (requester, working) =
            if is_for_equipment(message.kind) && authority.is_foreign(&facts.issuer) {
                // For files.
                thread.waits()?;
                let (requester, working) = self.authenticate_equipment(message, &mut verify)?;
                (requester, Some(working))
            } else {
                (authority.authenticate_facts(signer, &facts, &mut verify)?, None)
            };
        let ca = match requester.credential() {
            // RFC 9810 §5.3.18: not in use yet. What goes on with a transaction is told so by its own check.
            Credential::Certificate(record)
                if record.awaits_confirmation && !goes_on(message.kind) =>
            {
                return Err(Refusal::new(
                    Failure::SignerNotTrusted,
                    format!(
                        "the signer's certificate {} awaits its confirmation; send its certConf first",
                        record.serial
                    ),
                ));
            }
            Credential::Certificate(record) | Credential::Registrar(record) => {
                Some(record.ca.clone())
            }
            Credential::Secret => None,
            Credential::Vendor(_) => requester.account().ca.clone(),
        };
        let protector = Protector::Signature;
        Ok(Authenticated { requester, protector, ca, working, public_key_mac: None })
    }
}

impl CmpService {
    /// Whether a message goes on with a transaction that the secret of this reference began.
    fn is_begun_by(&self, reference: &[u8], message: &Message) -> bool {
        let begun = || {
            let begun = self.authority().transaction(message.transaction_id()).ok()??;
            Context::decode(&begun.context).ok()?.credential
        };
        let Some(begun) = Some(()).filter(|()| goes_on(message.kind)).and_then(|()| begun()) else {
            return false;
        };
        let reference = String::from_utf8_lossy(reference);
        let algorithm = message.header.protection_alg.as_ref().map(|algorithm| algorithm.oid);
        let bare = reference.strip_prefix("CN=").unwrap_or(&reference);
        [&*reference, bare].into_iter().any(|reference| {
            credential_of(&named_secret(algorithm, reference)).is_ok_and(|named| named == begun)
        })
    }

    /// Equipment by its vendor's certificate. It counts as worked on, and a certificate that is used up is refused, before the
    /// vendor's CRLs are read.
    fn authenticate_equipment(
        &self,
        message: &Message,
        verify: &mut dyn FnMut(&SubjectPublicKey) -> Result<(), Error>,
    ) -> Result<(Requester, Working), Refusal> {
        let authority = self.authority();
        let mut working = None;
        let mut busy = false;
        let mut admit = |requester: &Requester| {
            if matches!(message.kind, kind::IR | kind::P10CR) {
                authority.check_vendors_uses(requester)?;
            }
            working = self.in_flight().begin(&requester.account().name);
            busy = working.is_none();
            match busy {
                true => Err(Error::denied(Denial::Conflict, TOO_MANY)),
                false => Ok(()),
            }
        };
        let admitted = authority.authenticate_equipment(&message.extra_certs, verify, &mut admit);
        match (admitted, working) {
            _ if busy => Err(Refusal::busy(TOO_MANY)),
            (Ok(requester), Some(working)) => Ok((requester, working)),
            (Ok(_), None) => Err(Error::internal("nobody was admitted").into()),
            (Err(error), _) => Err(error.into()),
        }
    }
}

/// Why a message is not worked on now.
pub const TOO_MANY: &str = "too many requests of the account are worked on";

/// What a vendor's certificate may sign: a first enrolment (RFC 9483 §4.1.1 and §4.1.4), and what goes on with it.
pub const fn is_for_equipment(kind: u8) -> bool {
    matches!(kind, kind::IR | kind::P10CR | kind::CERT_CONF | kind::ERROR | kind::POLL_REQ)
}

/// Sender and senderKID are those of the certificate that signs (RFC 9483 §3.1); RFC 9810 §5.1.1 wants no senderKID where the sender
/// names one key.
fn check_sender(
    header: &PkiHeader,
    signer: &certificate::Facts,
    certificate: &[u8],
    is_tolerant: bool,
) -> Result<(), Refusal> {
    let bad = |why: String| Err(Refusal::new(Failure::BadMessageCheck, why));
    let GeneralName::DirectoryName(sender) = &header.sender else {
        return bad("with a signature, the sender is a directoryName".into());
    };
    if !names::same(sender, &signer.subject) {
        return bad(format!(
            "the sender `{sender}` is not the subject of the signer's certificate, `{}`, which stands first in extraCerts",
            signer.subject
        ));
    }
    match &header.sender_kid {
        Some(kid) if kid.as_bytes() == signer.key_identifier => Ok(()),
        Some(_) => {
            bad("senderKID is not the subject key identifier of the signer's certificate".into())
        }
        None if !is_tolerant && has_key_identifier(certificate) => bad(
            "senderKID is missing: it is the subject key identifier of the signer's certificate"
                .into(),
        ),
        None => Ok(()),
    }
}

/// Whether a certificate carries a subject key identifier; only then a senderKID must name it.
fn has_key_identifier(certificate: &[u8]) -> bool {
    let read = x509_cert::Certificate::from_der(certificate).ok();
    read.is_some_and(|read| {
        read.tbs_certificate.get::<SubjectKeyIdentifier>().is_ok_and(|found| found.is_some())
    })
}

/// A publicKeyMAC in the request's proof of possession, with the key it is computed over.
pub fn public_key_mac(message: &Message) -> Option<(PkMacValue, Vec<u8>)> {
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
