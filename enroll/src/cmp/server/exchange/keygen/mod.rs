//! Central key generation (RFC 9483 §4.1.6), for a peer without a good source of randomness. The private key is signed by the key
//! generation authority, encrypted for the sender of the request, and kept nowhere.

mod signed;

use countersign_ca::x509::Facts;
use countersign_ca::{Credential, KeyForm, KeyKind, Recording, WantedKey, oid as ca};
use der::Decode;
use der::asn1::Uint;
use der::oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use super::delivery::Delivery;
use super::grant::Grant;
use super::{CrmfRequest, Exchange};
use crate::cmp::server::reply::answer::Answer;
use crate::cmp::server::service::stop::Stop;
use crate::cmp::wire::crmf::CertReqMsg;
use crate::cmp::wire::enveloped::{Envelope, ID_SIGNED_DATA, KeyWrapping, Recipient};
use crate::cmp::wire::oid;
use crate::cmp::wire::popo::ProofOfPossession;
use crate::cmp::wire::refusal::{Failure, Refusal, encoding_failed, malformed};

/// The controls that are acted on where a key is generated: in a first request, and in a key update.
const FIRST_KEY_CONTROLS: &[ObjectIdentifier] = &[oid::ALG_ID, oid::RSA_KEY_LEN];
const NEXT_KEY_CONTROLS: &[ObjectIdentifier] = &[oid::ALG_ID, oid::RSA_KEY_LEN, oid::OLD_CERT_ID];

impl CertReqMsg {
    /// The key to generate, if the request brings none: publicKey is absent, or is an algorithm without a key (RFC 9483 §4.1.6).
    ///
    /// # Errors
    /// `badAlg` for an algorithm for which no keys are generated here; `badCertTemplate` for a proof of possession without a key;
    /// `badDataFormat` for a control that cannot be read. raVerified is accepted: there is nothing to prove, and some clients always send a
    /// popo.
    pub fn wanted_key(&self) -> Result<Option<WantedKey>, Refusal> {
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
    /// Generates a key, and returns it with its certificate.
    ///
    /// # Errors
    /// Refusals by the authority; [`Stop::Busy`] when too many keys are generated at once; [`Stop::NeedsBlockingThread`].
    pub fn key_generation(
        self,
        request: CrmfRequest,
        wanted: WantedKey,
    ) -> Result<Recording<Answer>, Stop> {
        let CrmfRequest { answer, id, mut message, updates } = request;
        let authority = self.service.authority();
        // 1. Whatever forbids the certificate is found before a key is generated.
        self.check_new_transaction()?;
        let profile = self.profile()?;
        message.supported = match updates {
            Some(_) => NEXT_KEY_CONTROLS,
            None => FIRST_KEY_CONTROLS,
        };
        let template = message.into_template(())?;
        let asked = template.clone().into_request(profile.clone(), self.route.ca.clone(), updates);
        let order = authority.key_to_generate(self.requester, wanted, &asked)?;
        // 2. The key generation authority that signs the key, and the recipient for whom it is encrypted. The authority's own key and
        //    certificate may have to be made first, which waits for the disk; and generating the key takes long.
        // INVARIANT: nothing was recorded yet.
        self.pool.require_blocking()?;
        let signer = authority.key_generation_signer(self.requester, self.route.ca.as_ref())?;
        let envelope = self.envelope_for_sender(order.form)?;
        // 3. The key. Generating an RSA key is expensive, so it has its own permits, which only authenticated peers can take.
        let key = {
            let permit = self.service.key_permits().try_acquire();
            // INVARIANT: nothing was recorded for this request. A signer that step 2 recorded serves later requests as well.
            let _permit = permit.ok_or(Stop::Busy("too many keys are made at once; try again"))?;
            authority.generate_key(order.kind)?
        };
        // 4. The key generation authority signs the key, and it is encrypted for the sender.
        let signed = signed::key_package(&key, order.form, &signer)?;
        let sealed = envelope.seal(ID_SIGNED_DATA, &signed)?;
        let template = template.with_key(key.proven());
        drop((signed, key));
        let delivery = Delivery::WithKey(Box::new(sealed));
        let implicit = self.asks_for_implicit_confirm();
        let on_behalf = None;
        self.grant(Grant { answer, id, template, updates, on_behalf, delivery, implicit, profile })
    }

    /// An envelope that only the sender of the request can open: with its shared secret, or with the key of its certificate.
    ///
    /// # Errors
    /// `notAuthorized` if nothing can be encrypted for the sender.
    fn envelope_for_sender(&self, form: KeyForm) -> Result<Envelope, Refusal> {
        let authority = self.service.authority();
        let signer = match self.requester.credential() {
            Credential::Secret => {
                let permits = self.service.mac_permits();
                let _permit = permits.acquire(permits.rank(self.route.sender(), 1));
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
        let facts = Facts::of(&signer.certificate)?;
        let (needed, name) = match facts.key.kind() {
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
        if usage_of(&signer.certificate)?.is_some_and(|usage| !usage.0.contains(needed)) {
            return Err(Refusal::new(
                Failure::NotAuthorized,
                format!(
                    "the key usage of the signer's certificate lacks {name}, so that no key can be sent to it; protect the \
                     request with a secret, or with a certificate that has it"
                ),
            ));
        }
        let recipient = Recipient::Key(&facts.key_identifier);
        Ok(Envelope::for_key(&facts.key, recipient, authority.entropy())?)
    }
}

/// The key usage of a certificate, if it has one.
fn usage_of(certificate: &[u8]) -> Result<Option<KeyUsage>, Refusal> {
    let certificate = x509_cert::Certificate::from_der(certificate).map_err(encoding_failed)?;
    let usage = certificate.tbs_certificate.get::<KeyUsage>().map_err(encoding_failed)?;
    Ok(usage.map(|(_, usage)| usage))
}

/// The key that an algorithm and a length in bits ask for. The length is used only for RSA. Without an algorithm it asks for RSA; without
/// both, any key will do.
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

/// A length in bits. A length beyond 32 bits becomes the largest one, which no profile allows.
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
