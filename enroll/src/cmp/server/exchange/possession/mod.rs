//! Proof of possession of a key that cannot sign (RFC 4211 §4.2 and §4.3, RFC 9810 §5.2.8.3). Either the certificate is
//! returned encrypted, and who confirms it has decrypted it; or a number is, and who answers with it has.

mod challenge;

use countersign_ca::record::Serial;
use countersign_ca::{ProvenKey, Recording, SubjectPublicKey};
use der::asn1::{AnyRef, Int};
use der::{Decode, Encode, Tag, TagNumber, Tagged};

use crate::cmp::server::reply::answer::{Answer, failed};
use crate::cmp::wire::crmf::{CertReqMsg, ProofOfPossession};
use crate::cmp::server::exchange::delivery::Delivery;
use crate::cmp::server::exchange::{Exchange, Grant};
use crate::cmp::wire::refusal::{Failure, Refusal};

pub use pending::Challenges;

/// ```text
/// POPOPrivKey ::= CHOICE {
///     thisMessage       [0] BIT STRING,         -- deprecated
///     subsequentMessage [1] SubsequentMessage,
///     dhMAC             [2] BIT STRING,         -- deprecated
///     agreeMAC          [3] PKMACValue,
///     encryptedKey      [4] EnvelopedData }
///
/// SubsequentMessage ::= INTEGER { encrCert (0), challengeResp (1) }
/// ```
/// RFC 4211 §4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PopoPrivKey {
    /// The private key itself.
    ThisMessage,
    /// The certificate is to be returned encrypted.
    EncrCert,
    /// A challenge is to be sent.
    ChallengeResp,
    /// A MAC with a key that was agreed on, in its old form.
    DhMac,
    /// A MAC with a key that was agreed on.
    AgreeMac,
    /// The private key itself, encrypted.
    EncryptedKey,
}

impl PopoPrivKey {
    /// Reads it inside its explicit tag.
    pub fn decode(content: &[u8]) -> der::Result<Self> {
        let element = AnyRef::from_der(content)?;
        let Tag::ContextSpecific { number, .. } = element.tag() else {
            return Err(element.tag().unexpected_error(None));
        };
        match (number, element.value()) {
            (TagNumber::N0, _) => Ok(Self::ThisMessage),
            (TagNumber::N1, [0]) => Ok(Self::EncrCert),
            (TagNumber::N1, [1]) => Ok(Self::ChallengeResp),
            (TagNumber::N2, _) => Ok(Self::DhMac),
            (TagNumber::N3, _) => Ok(Self::AgreeMac),
            (TagNumber::N4, _) => Ok(Self::EncryptedKey),
            _ => Err(element.tag().value_error()),
        }
    }
}

impl CertReqMsg {
    /// The way to prove possession without a signature, if the request chose one.
    pub(crate) fn without_signature(&self) -> Option<PopoPrivKey> {
        match &self.proof {
            Some(
                ProofOfPossession::KeyEncipherment(proof) | ProofOfPossession::KeyAgreement(proof),
            ) => Some(*proof),
            _ => None,
        }
    }

    /// The key in the template.
    pub(crate) fn key(&self) -> Result<SubjectPublicKey, Refusal> {
        let key = self.request.cert_template.public_key.as_ref().ok_or_else(|| {
            Refusal::new(
                Failure::BadCertTemplate,
                "the template has no publicKey; make a key and put its public half there",
            )
        })?;
        Ok(SubjectPublicKey::from_der(&key.to_der().map_err(failed)?)?)
    }
}

impl Exchange<'_> {
    /// A request whose key is to be proven by decryption.
    pub(crate) fn proof_by_decryption(
        self,
        answer: u8,
        id: Int,
        request: CertReqMsg,
        updates: Option<Serial>,
        proof: PopoPrivKey,
    ) -> Result<Recording<Answer>, Refusal> {
        match proof {
            PopoPrivKey::EncrCert => self.encrypted_certificate(answer, id, request, updates),
            PopoPrivKey::ChallengeResp => {
                self.challenge(answer, id, request, updates).map(Recording::ready)
            }
            PopoPrivKey::ThisMessage | PopoPrivKey::EncryptedKey => Err(Refusal::new(
                Failure::BadPop,
                "private keys are not taken here, be they encrypted; use subsequentMessage with encrCert or challengeResp",
            )),
            PopoPrivKey::DhMac | PopoPrivKey::AgreeMac => Err(Refusal::new(
                Failure::BadPop,
                "there is no key of this CA to agree on a MAC with; use subsequentMessage with encrCert or challengeResp",
            )),
        }
    }

    /// encrCert: only who has the private key learns which certificate it is, and can confirm it. Implicit confirmation
    /// would prove nothing, and is not granted.
    fn encrypted_certificate(
        self,
        answer: u8,
        id: Int,
        request: CertReqMsg,
        updates: Option<Serial>,
    ) -> Result<Recording<Answer>, Refusal> {
        let key = request.key()?;
        let proven = ProvenKey::to_be_confirmed(key.clone())?;
        let entropy = self.service.authority().entropy();
        let delivery = Delivery::encrypted(&key, self.version(), entropy)?;
        let profile = self.profile()?;
        let wish = request.wish(proven)?;
        let (on_behalf, implicit) = (None, false);
        self.grant(Grant { answer, id, wish, updates, on_behalf, delivery, implicit, profile })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_told_from_the_others() {
        let cases = [
            (&[0x81, 1, 0][..], PopoPrivKey::EncrCert),
            (&[0x81, 1, 1], PopoPrivKey::ChallengeResp),
            (&[0x80, 2, 0, 7], PopoPrivKey::ThisMessage),
            (&[0x82, 2, 0, 7], PopoPrivKey::DhMac),
            (&[0xa3, 0], PopoPrivKey::AgreeMac),
            (&[0xa4, 0], PopoPrivKey::EncryptedKey),
        ];
        for (der, way) in cases {
            assert_eq!(PopoPrivKey::decode(der), Ok(way));
        }
        for der in [&[0x81, 1, 2][..], &[0x81, 2, 0, 0], &[0x85, 0], &[0x30, 0], &[]] {
            assert!(PopoPrivKey::decode(der).is_err(), "{der:?}");
        }
    }
}
