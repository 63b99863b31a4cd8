//! Proof of possession of the key in a CRMF request (RFC 4211 §4, RFC 9810 §5.2.8).

use der::asn1::{AnyRef, BitString, Null};
use der::{Choice, Decode, Encode, Sequence, Tag, TagNumber, Tagged};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::ext::pkix::name::GeneralName;

/// The proof that the sender has the private key that belongs to the key in its request (RFC 4211 §4).
///
/// ```text
/// ProofOfPossession ::= CHOICE {
///     raVerified      [0] NULL,
///     signature       [1] POPOSigningKey,
///     keyEncipherment [2] POPOPrivKey,
///     keyAgreement    [3] POPOPrivKey }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofOfPossession {
    /// The proof was verified by a registration authority, which says so.
    RaVerified,
    /// A signature by the private key.
    Signature(Box<PopoSigningKey>),
    /// The sender decrypts a challenge: for a key that is used for key encipherment.
    KeyEncipherment(PopoPrivKey),
    /// The sender decrypts a challenge: for a key that is used for key agreement.
    KeyAgreement(PopoPrivKey),
}

/// A proof of possession by signature (RFC 4211 §4.1).
///
/// ```text
/// POPOSigningKey ::= SEQUENCE {
///     poposkInput         [0] POPOSigningKeyInput OPTIONAL,
///     algorithmIdentifier     AlgorithmIdentifier,
///     signature               BIT STRING }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PopoSigningKey {
    /// The content that is signed if the template lacks the subject or the key. If it is absent, the CertRequest is signed.
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub input: Option<PopoSigningKeyInput>,
    /// The algorithm of the signature.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The signature.
    pub signature: BitString,
}

/// The signed content of a proof of possession, where that is not the CertRequest (RFC 4211 §4.1).
///
/// ```text
/// POPOSigningKeyInput ::= SEQUENCE {
///     authInfo            CHOICE {
///         sender              [0] GeneralName,
///         publicKeyMAC        PKMACValue },
///     publicKey           SubjectPublicKeyInfo }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PopoSigningKeyInput {
    /// Names the holder of the key, or proves that it has the shared secret.
    pub auth_info: AuthInfo,
    /// The key; it must be the one in the template.
    pub public_key: SubjectPublicKeyInfoOwned,
}

/// The authInfo of a [`PopoSigningKeyInput`].
#[derive(Debug, Clone, PartialEq, Eq, Choice)]
pub enum AuthInfo {
    /// The sender, which was authenticated in another way.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Sender(GeneralName),
    /// A MAC over the public key with the shared secret.
    PublicKeyMac(PkMacValue),
}

/// A MAC over a public key (RFC 4211 §4.1).
///
/// ```text
/// PKMACValue ::= SEQUENCE { algId AlgorithmIdentifier, value BIT STRING }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct PkMacValue {
    /// The algorithm of the MAC with its parameters, such as PasswordBasedMac.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The MAC.
    pub value: BitString,
}

/// The way in which possession of a key is proven that does not sign (RFC 4211 §4.2).
///
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
///
/// Only the choice is kept: no way with content is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PopoPrivKey {
    /// The private key itself, in the request.
    ThisMessage,
    /// subsequentMessage, encrCert: the CA shall return the certificate encrypted.
    EncrCert,
    /// subsequentMessage, challengeResp: the CA shall send a challenge.
    ChallengeResp,
    /// A MAC under a key from a Diffie-Hellman agreement, in its deprecated form.
    DhMac,
    /// A MAC under a key from a key agreement.
    AgreeMac,
    /// The private key itself, encrypted, in the request.
    EncryptedKey,
}

impl PopoPrivKey {
    /// Reads the element inside the explicit tag of keyEncipherment or keyAgreement.
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

impl ProofOfPossession {
    /// Reads the alternative in an element with this tag number.
    pub(super) fn decode(number: TagNumber, element: AnyRef<'_>) -> der::Result<Self> {
        match number.value() {
            0 => {
                Null::try_from(AnyRef::new(Tag::Null, element.value())?)?;
                Ok(Self::RaVerified)
            }
            1 => {
                let sequence = AnyRef::new(Tag::Sequence, element.value())?.to_der()?;
                Ok(Self::Signature(Box::new(PopoSigningKey::from_der(&sequence)?)))
            }
            2 => Ok(Self::KeyEncipherment(PopoPrivKey::decode(element.value())?)),
            3 => Ok(Self::KeyAgreement(PopoPrivKey::decode(element.value())?)),
            _ => Err(element.tag().unexpected_error(None)),
        }
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
