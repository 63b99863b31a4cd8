//! Central key generation (RFC 9483 §4.1.6): a peer that has no source of good keys has its key made here. The private key is
//! signed by the key generation authority, encrypted for whoever protected the request, and forgotten.

mod signed;

use countersign_ca::record::Serial;
use countersign_ca::{Credential, KeyForm, KeyKind, Recording, WantedKey, certificate, oid as ca};
use der::Decode;
use der::asn1::{Int, Uint};
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier};
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use crate::cmp::server::reply::answer::{Answer, failed};
use crate::cmp::wire::crmf::{CertReqMsg, ProofOfPossession, malformed};
use crate::cmp::server::exchange::delivery::Delivery;
use crate::cmp::wire::enveloped::{Envelope, ID_SIGNED_DATA, KeyWrapping, Recipient};
use crate::cmp::server::exchange::{Exchange, Grant};
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::{Failure, Refusal};

/// The controls that are heeded where a key is made: in a first request, and in a key update.
const KEY_WANTED: &[ObjectIdentifier] = &[oid::ALG_ID, oid::RSA_KEY_LEN];
const NEXT_KEY_WANTED: &[ObjectIdentifier] = &[oid::ALG_ID, oid::RSA_KEY_LEN, oid::OLD_CERT_ID];

impl CertReqMsg {
    /// The key to make, if the request brings none (RFC 9483 §4.1.6): publicKey is absent, or an algorithm without a key.
    ///
    /// # Errors
    /// `badAlg` for an algorithm of which no keys are made here; `badCertTemplate` when there is a proof of possession of
    /// a key that is not there. raVerified is none: clients say it that always send a popo, and there is nothing to prove.
    pub(crate) fn wanted_key(&self) -> Result<Option<WantedKey>, Refusal> {
        let key = self.request.cert_template.public_key.as_ref();
        if key.is_some_and(|key| key.subject_public_key.bit_len() > 0) {
            return Ok(None);
        }
        if !matches!(self.proof, None | Some(ProofOfPossession::RaVerified)) {
            return Err(Refusal::new(
                Failure::BadCertTemplate,
                "the template has no publicKey: put the key there, or leave popo out to have a key made (RFC 9483 §4.1.6)",
            ));
        }
        let controls = || self.request.controls.iter().flatten();
        let control = |id| controls().find(|control| control.oid == id).map(|c| &c.value);
        let length = control(oid::RSA_KEY_LEN)
            .map(|value| value.decode_as::<Uint>().map_err(malformed("an rsaKeyLen")))
            .transpose()?;
        let algorithm = match (key, control(oid::ALG_ID)) {
            (Some(key), _) => Some(key.algorithm.clone()),
            (None, Some(value)) => Some(
                value
                    .decode_as::<AlgorithmIdentifierOwned>()
                    .map_err(malformed("an AlgorithmIdentifier in algId"))?,
            ),
            (None, None) => None,
        };
        wanted(algorithm.as_ref(), length.map(|length| bits(&length))).map(Some)
    }
}

impl Exchange<'_> {
    /// Makes a key, and has its certificate and the key itself returned.
    pub(crate) fn key_generation(
        self,
        answer: u8,
        id: Int,
        mut request: CertReqMsg,
        updates: Option<Serial>,
        wanted: WantedKey,
    ) -> Result<Recording<Answer>, Refusal> {
        let authority = self.service.authority();
        // 1. Everything that forbids it, before there is a key.
        self.check_new_transaction()?;
        let profile = self.profile()?;
        request.heeded = if updates.is_some() { NEXT_KEY_WANTED } else { KEY_WANTED };
        let wish = request.wish(())?;
        let asked = wish.clone().request(profile.clone(), self.route.ca.clone(), updates);
        let order = authority.key_to_generate(self.requester, wanted, &asked)?;
        // 2. Who signs and who may read it. To make a signer waits for the disk, and the key takes long.
        self.thread.waits()?;
        let signer = authority.key_generation_signer(self.requester, self.route.ca.as_ref())?;
        let envelope = self.for_requester(order.form)?;
        // 3. The key. To find primes costs as much as many a MAC, so that it has places of its own: strangers cannot fill them.
        let key = {
            let place = self.service.generations().try_take();
            let _place = place.ok_or_else(|| Refusal::busy("too many keys are made at once"))?;
            authority.generate_key(order.kind)?
        };
        // 4. The key generation authority signs it, and only the requester can read it.
        let signed = signed::key_package(&key, order.form, &signer)?;
        let sealed = envelope.seal(ID_SIGNED_DATA, &signed)?;
        let wish = wish.with_key(key.proven());
        drop((signed, key));
        let delivery = Delivery::WithKey(Box::new(sealed));
        let implicit = self.asks_for_implicit_confirm();
        let on_behalf = None;
        self.grant(Grant { answer, id, wish, updates, on_behalf, delivery, implicit, profile })
    }

    /// An envelope for whoever protected the request: by its shared secret, or by the key of its certificate.
    fn for_requester(&self, form: KeyForm) -> Result<Envelope, Refusal> {
        let authority = self.service.authority();
        let signer = match self.requester.credential() {
            Credential::Secret => {
                let order = self.service.derivations().order(self.route.sender(), 1);
                let _place = self.service.derivations().take(order);
                let wrapping = match form {
                    KeyForm::Rfc5958 => KeyWrapping::AesWrap,
                    KeyForm::Openssl => KeyWrapping::PwriKek,
                };
                let sealed = authority.with_secret(self.requester, |secret| {
                    Envelope::for_secret(secret, wrapping, authority.entropy())
                });
                return Ok(sealed??);
            }
            Credential::Certificate(signer) => signer,
            Credential::Vendor(_) | Credential::Registrar(_) => {
                return Err(Refusal::new(
                    Failure::NotAuthorized,
                    "a key is made only for who protects the request with its own secret, or with a certificate that was issued \
                     here; make the key yourself",
                ));
            }
        };
        let facts = certificate::Facts::of(&signer.certificate)?;
        let needed = match facts.key.kind() {
            KeyKind::Rsa(_) => (KeyUsages::KeyEncipherment, "keyEncipherment"),
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
                (KeyUsages::KeyAgreement, "keyAgreement")
            }
            KeyKind::Ed25519 => {
                return Err(Refusal::new(
                    Failure::NotAuthorized,
                    "nothing can be encrypted for the Ed25519 key of the signer's certificate; protect the request with a \
                     secret, or with a certificate for an RSA or EC key",
                ));
            }
        };
        // RFC 9483 §4.1.6.1 and §4.1.6.2.
        if usage_of(&signer.certificate)?.is_some_and(|usage| !usage.0.contains(needed.0)) {
            return Err(Refusal::new(
                Failure::NotAuthorized,
                format!(
                    "the key usage of the signer's certificate lacks {}, so that no key can be sent to it; protect the \
                     request with a secret, or with a certificate that has it",
                    needed.1
                ),
            ));
        }
        let recipient = Recipient::Key(&facts.key_identifier);
        Ok(Envelope::for_key(&facts.key, recipient, authority.entropy())?)
    }
}

fn usage_of(certificate: &[u8]) -> Result<Option<KeyUsage>, Refusal> {
    let certificate = x509_cert::Certificate::from_der(certificate).map_err(failed)?;
    let usage = certificate.tbs_certificate.get::<KeyUsage>().map_err(failed)?;
    Ok(usage.map(|(_, usage)| usage))
}

/// Which key an algorithm and a length ask for.
fn wanted(
    algorithm: Option<&AlgorithmIdentifierOwned>,
    length: Option<u32>,
) -> Result<WantedKey, Refusal> {
    let refused = |what: String| {
        Err(Refusal::new(
            Failure::BadAlg,
            format!("keys of P-256, P-384, P-521, Ed25519 and RSA are made here, found {what}"),
        ))
    };
    let Some(algorithm) = algorithm else {
        return Ok(length.map_or(WantedKey::Any, |bits| WantedKey::Kind(KeyKind::Rsa(bits))));
    };
    let parameters = algorithm.parameters.as_ref();
    match algorithm.oid {
        ca::RSA_ENCRYPTION => {
            Ok(length.map_or(WantedKey::Rsa, |bits| WantedKey::Kind(KeyKind::Rsa(bits))))
        }
        ca::ED25519 => Ok(WantedKey::Kind(KeyKind::Ed25519)),
        ca::EC_PUBLIC_KEY => {
            match parameters.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok()) {
                Some(ca::P256) => Ok(WantedKey::Kind(KeyKind::P256)),
                Some(ca::P384) => Ok(WantedKey::Kind(KeyKind::P384)),
                Some(ca::P521) => Ok(WantedKey::Kind(KeyKind::P521)),
                Some(other) => refused(format!("the curve `{other}`")),
                None => refused("an EC key without a named curve".into()),
            }
        }
        other => refused(format!("the algorithm `{other}`")),
    }
}

/// A length in bits; one that no key has is as large as can be.
fn bits(length: &Uint) -> u32 {
    let octets = length.as_bytes();
    match octets.len() {
        0..=4 => octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet)),
        _ => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use countersign_ca::key::algorithm_identifier;

    use super::*;

    #[test]
    fn the_template_says_which_key() {
        let of = |kind| wanted(Some(&algorithm_identifier(kind)), None).unwrap();
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
            assert_eq!(of(kind), WantedKey::Kind(kind));
        }
        assert_eq!(of(KeyKind::Rsa(0)), WantedKey::Rsa);
        let rsa = algorithm_identifier(KeyKind::Rsa(0));
        let long = WantedKey::Kind(KeyKind::Rsa(16_384));
        assert_eq!(wanted(Some(&rsa), Some(16_384)), Ok(long));
        assert_eq!(wanted(None, Some(16_384)), Ok(long));
        assert_eq!(wanted(None, None), Ok(WantedKey::Any));
        let foreign = AlgorithmIdentifierOwned { oid: oid::PBKDF2, parameters: None };
        assert_eq!(wanted(Some(&foreign), None).unwrap_err().failure, Failure::BadAlg);
        let huge = Uint::new(&[1, 0, 0, 0, 0]).unwrap();
        assert_eq!((bits(&huge), bits(&Uint::new(&[8, 0]).unwrap())), (u32::MAX, 2048));
    }
}
