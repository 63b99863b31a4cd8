//! Authenticates the sender of a message by the secret or the certificate that protects it, and decides how the answer is protected: in
//! the same way (RFC 9483 §3.2).

use countersign_ca::authority::{Attempt, Candidate};
use countersign_ca::record::Label;
use countersign_ca::x509::Facts;
use countersign_ca::{Credential, Denial, Error, Network, Requester, SubjectPublicKey};
use der::{Decode, Encode};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;

use super::device;
use crate::cmp::server::reply::protect::{MacProtection, Protector};
use crate::cmp::server::service::CmpService;
use crate::cmp::server::service::config::Rules;
use crate::cmp::server::service::context::{Context, credential_hash, secret_name};
use crate::cmp::server::service::route::Route;
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::crmf::CertReqMsg;
use crate::cmp::wire::mac::{FEW_ITERATIONS, MacParameters};
use crate::cmp::wire::message::{Message, PkiHeader};
use crate::cmp::wire::popo::{AuthInfo, PkMacValue, ProofOfPossession};
use crate::cmp::wire::refusal::{Failure, Refusal};
use crate::cmp::wire::{kind, names};
use crate::transport::account_slots::AccountSlot;
use crate::transport::pool::Pool;
use crate::transport::share::Rank;

/// A message whose sender is authenticated.
pub struct Authenticated {
    /// The sender.
    pub requester: Requester,
    /// The protection of the answer.
    pub protector: Protector,
    /// The CA that the path names, or else the one that issued the sender's certificate or that the sender's account names; `None` means
    /// the default CA.
    pub ca: Option<Label>,
    /// For a device, the slot of its account, which was taken before the vendor's CRLs were read. `None` for any other sender.
    pub account_slot: Option<AccountSlot>,
    /// The PKMACValue of a publicKeyMAC in the request, if it was verified with the secret.
    pub public_key_mac: Option<PkMacValue>,
}

/// A publicKeyMAC in the proof of possession of a request (RFC 4211 §4.1).
#[derive(Clone)]
pub struct PublicKeyMac {
    /// The MAC and its algorithm.
    pub value: PkMacValue,
    /// The key's SubjectPublicKeyInfo, DER, over which the MAC is computed.
    pub public_key: Vec<u8>,
}

impl CmpService {
    /// Authenticates the sender of a message.
    ///
    /// # Errors
    /// [`Stop::Refused`]; [`Stop::Busy`] if all slots of a device's account are taken; [`Stop::NeedsBlockingThread`] before anything that
    /// `pool` must not do.
    pub(crate) fn authenticate(
        &self,
        route: &Route,
        message: &Message,
        pool: Pool,
    ) -> Result<Authenticated, Stop> {
        let missing = || {
            Refusal::new(
                Failure::BadMessageCheck,
                "the message is not protected; use a secret or a certificate",
            )
        };
        let algorithm = message.header.protection_alg.as_ref().ok_or_else(missing)?;
        let protection = message.protection.as_ref().ok_or_else(missing)?;
        self.config().protections.check(algorithm.oid)?;
        let mut sender = match MacParameters::read(algorithm, &self.config().mac_limits()) {
            Some(parameters) => {
                self.authenticate_mac(route, message, parameters?, protection, pool)?
            }
            None => self.authenticate_signature(message, algorithm, protection, pool)?,
        };
        if route.ca.is_some() {
            sender.ca.clone_from(&route.ca);
        }
        Ok(sender)
    }

    /// Authenticates the sender by a shared secret.
    fn authenticate_mac(
        &self,
        route: &Route,
        message: &Message,
        parameters: MacParameters,
        protection: &[u8],
        pool: Pool,
    ) -> Result<Authenticated, Stop> {
        let pending = public_key_mac(message);
        let pending_work = pending.as_ref().map_or(0, |mac| self.work(mac));
        let work = parameters.iterations().saturating_add(pending_work);
        let is_little = work <= FEW_ITERATIONS;
        if !is_little {
            // Strangers can have keys derived, too, so that this may have to wait for their derivations.
            // INVARIANT: nothing was recorded yet.
            pool.require_mac_worker()?;
        }
        // RFC 9483 §3.1 has a directoryName. Which one it is does not matter: the reference names the secret.
        if !matches!(message.header.sender, GeneralName::DirectoryName(_)) && !self.is_tolerant() {
            return Err(Refusal::new(
                Failure::BadMessageCheck,
                "with a secret, the sender is a directoryName",
            )
            .into());
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
        let rank = match pool {
            Pool::MacWorker(rank) => rank,
            _ if is_little => Rank::default(),
            _ => self.mac_permits().rank(route.sender(), parameters.iterations()),
        };
        let mut key = None;
        let mut public_key_mac = None;
        let requester = self.authority().authenticate_secret(attempt, &mut |candidate| {
            let _permit = (!is_little).then(|| self.mac_permits().acquire(rank));
            let secret = match candidate {
                Candidate::Secret(secret) => secret,
                // The work for an unknown or locked reference is bounded by `decoy_iterations`, so that a stranger cannot have more done.
                // With a higher count, such a message is refused sooner than one with a wrong MAC.
                Candidate::Decoy(decoy) => {
                    parameters.pretend(decoy, self.config().decoy_iterations);
                    return false;
                }
            };
            let derived = parameters.matching(secret, &message.protected_part, protection);
            let is_right = derived.is_some();
            if is_right {
                public_key_mac = pending.clone().filter(|mac| self.is_valid(mac, secret));
                key = derived;
            }
            is_right
        })?;
        let key = key.ok_or_else(|| Refusal::new(Failure::SystemFailure, "the service failed"))?;
        Ok(Authenticated {
            ca: requester.account().ca.clone(),
            requester,
            protector: Protector::Mac(Box::new(MacProtection { key, parameters })),
            account_slot: None,
            public_key_mac: public_key_mac.map(|mac| mac.value),
        })
    }

    /// Whether a publicKeyMAC is right under a secret, and within the bounds on MACs.
    fn is_valid(&self, mac: &PublicKeyMac, secret: &[u8]) -> bool {
        let octets = mac.value.value.as_bytes().unwrap_or_default();
        self.parameters(mac)
            .is_some_and(|parameters| parameters.derive(secret).verify(&mac.public_key, octets))
    }

    /// How many iterations a publicKeyMAC costs; 0 if it is not within the bounds on MACs, and so is not computed.
    fn work(&self, mac: &PublicKeyMac) -> u64 {
        self.parameters(mac).map_or(0, |parameters| parameters.iterations())
    }

    /// The parameters of a publicKeyMAC, if they are within the bounds on MACs.
    fn parameters(&self, mac: &PublicKeyMac) -> Option<MacParameters> {
        MacParameters::read(&mac.value.algorithm, &self.config().mac_limits())?.ok()
    }

    /// Authenticates the sender by a certificate: one that this authority issued, or a vendor's.
    fn authenticate_signature(
        &self,
        message: &Message,
        algorithm: &AlgorithmIdentifierOwned,
        protection: &[u8],
        pool: Pool,
    ) -> Result<Authenticated, Stop> {
        let unsent = match message.extra_certs.is_empty() && self.is_tolerant() {
            true => {
                // The search reads the index on disk.
                // INVARIANT: nothing was recorded yet.
                pool.require_blocking()?;
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
        let authority = self.authority();
        let facts = authority.facts_of_signer(signer).map_err(|error| match error {
            // No certificate of such a key size is issued here, so the signer is a stranger.
            Error::Denied { kind: Denial::KeySize, why } => {
                Refusal::new(Failure::SignerNotTrusted, format!("the signer's certificate: {why}"))
            }
            other => other.into(),
        })?;
        check_sender(&message.header, &facts, signer, self.config().rules)?;
        let mut verify =
            |key: &SubjectPublicKey| key.verify(algorithm, &message.protected_part, protection);
        let (requester, account_slot) =
            if device::may_sign(message.kind) && authority.is_foreign(&facts.issuer) {
                // The vendor's CRLs are read from files.
                // INVARIANT: nothing was recorded yet.
                pool.require_blocking()?;
                let device = self.authenticate_device(message, &mut verify)?;
                (device.requester, Some(device.account_slot))
            } else {
                (authority.authenticate_facts(signer, &facts, &mut verify)?, None)
            };
        let ca = match requester.credential() {
            // RFC 9810 §5.3.18: a certificate is not in use before it is confirmed. A message that continues a transaction passes here;
            // the check of that transaction refuses it, with a better reason.
            Credential::Certificate(record)
                if record.awaits_confirmation && !kind::continues_transaction(message.kind) =>
            {
                return Err(Refusal::new(
                    Failure::SignerNotTrusted,
                    format!(
                        "the signer's certificate {} awaits its confirmation; send its certConf first",
                        record.serial
                    ),
                )
                .into());
            }
            Credential::Certificate(record) | Credential::Registrar(record) => {
                Some(record.ca.clone())
            }
            Credential::Secret => None,
            Credential::Vendor(_) => requester.account().ca.clone(),
        };
        let protector = Protector::Signature;
        Ok(Authenticated { requester, protector, ca, account_slot, public_key_mac: None })
    }

    /// Whether a message continues a transaction whose request the secret of this reference protected.
    fn is_begun_by(&self, reference: &[u8], message: &Message) -> bool {
        if !kind::continues_transaction(message.kind) {
            return false;
        }
        let begun = || {
            let begun = self.authority().transaction(message.transaction_id()).ok()??;
            Context::decode(&begun.context).ok()?.credential
        };
        let Some(begun) = begun() else { return false };
        let reference = String::from_utf8_lossy(reference);
        let algorithm = message.header.protection_alg.as_ref().map(|algorithm| algorithm.oid);
        let bare = reference.strip_prefix("CN=").unwrap_or(&reference);
        [&*reference, bare].into_iter().any(|reference| {
            credential_hash(&secret_name(algorithm, reference)).is_ok_and(|named| named == begun)
        })
    }
}

/// Checks that sender and senderKID are those of the certificate that signs (RFC 9483 §3.1). senderKID may be absent by the rules of RFC
/// 9810 §5.1.1, and otherwise only if the certificate has no subject key identifier.
fn check_sender(
    header: &PkiHeader,
    signer: &Facts,
    certificate: &[u8],
    rules: Rules,
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
        None if !rules.are_tolerant() && has_key_identifier(certificate) => bad(
            "senderKID is missing: it is the subject key identifier of the signer's certificate"
                .into(),
        ),
        None => Ok(()),
    }
}

/// Whether a certificate has a subject key identifier. Only then must a senderKID repeat it.
fn has_key_identifier(certificate: &[u8]) -> bool {
    let read = x509_cert::Certificate::from_der(certificate).ok();
    read.is_some_and(|read| {
        read.tbs_certificate.get::<SubjectKeyIdentifier>().is_ok_and(|found| found.is_some())
    })
}

/// The publicKeyMAC in the proof of possession of an ir, cr or kur, if there is one.
pub fn public_key_mac(message: &Message) -> Option<PublicKeyMac> {
    if !matches!(message.kind, kind::IR | kind::CR | kind::KUR) {
        return None;
    }
    let request = CertReqMsg::only(&message.body).ok()?;
    let ProofOfPossession::Signature(proof) = request.proof? else { return None };
    let input = proof.input?;
    match input.auth_info {
        AuthInfo::PublicKeyMac(value) => {
            Some(PublicKeyMac { value, public_key: input.public_key.to_der().ok()? })
        }
        AuthInfo::Sender(_) => None,
    }
}
