//! Which keys and algorithms are taken: signKeyPairTypes, encKeyPairTypes, preferredSymmAlg (RFC 9810 §5.3.19.2 to
//! §5.3.19.4).

use std::sync::Arc;

use countersign_ca::profile::Profile;
use countersign_ca::{Error, KeyKind, oid as ca};
use der::asn1::{Any, Null};
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier};
use x509_cert::ext::pkix::KeyUsages;

use super::{Question, with_value, without_value};
use crate::cmp::server::reply::answer::failed;
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::Refusal;

impl Question<'_> {
    /// The kinds of key that the profile takes and lets sign; no value where there are none.
    pub(crate) fn signing_keys(&self) -> Result<InfoTypeAndValue, Refusal> {
        let profile = self.profile()?;
        let signing = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
        let kinds =
            algorithms(&profile, |kind| !profile.key_usage_of(kind).0.is_disjoint(signing))?;
        listed(oid::SIGN_KEY_PAIR_TYPES, &kinds)
    }

    /// Those that the profile lets encrypt or agree on keys; no value where there are none.
    pub(crate) fn encryption_keys(&self) -> Result<InfoTypeAndValue, Refusal> {
        let profile = self.profile()?;
        let encrypting = KeyUsages::KeyEncipherment | KeyUsages::KeyAgreement;
        let kinds =
            algorithms(&profile, |kind| !profile.key_usage_of(kind).0.is_disjoint(encrypting))?;
        listed(oid::ENC_KEY_PAIR_TYPES, &kinds)
    }

    /// The profile that a request of this peer would fall under.
    pub(crate) fn profile(&self) -> Result<Arc<Profile>, Refusal> {
        let (requester, wanted) =
            self.peer.as_ref().ok_or_else(|| Error::internal("a stranger has no profile"))?;
        Ok(self.service.authority().profile_for(requester.account(), wanted.as_ref())?)
    }
}

/// What content is encrypted with where something has to be: AES-256 in CBC mode (RFC 9481 §4.3).
pub fn preferred_cipher() -> Result<InfoTypeAndValue, Refusal> {
    let cipher = AlgorithmIdentifierOwned { oid: oid::AES_256_CBC, parameters: None };
    with_value(oid::PREFERRED_SYMM_ALG, &cipher)
}

/// The algorithm in a SubjectPublicKeyInfo with a key of this kind (RFC 5480 §2.1.1, RFC 8410 §3, RFC 3279 §2.3.1).
pub fn algorithm(kind: KeyKind) -> Result<AlgorithmIdentifierOwned, Refusal> {
    let (oid, parameters) = match kind {
        KeyKind::P256 => (ca::EC_PUBLIC_KEY, Some(Any::encode_from(&ca::P256).map_err(failed)?)),
        KeyKind::P384 => (ca::EC_PUBLIC_KEY, Some(Any::encode_from(&ca::P384).map_err(failed)?)),
        KeyKind::P521 => (ca::EC_PUBLIC_KEY, Some(Any::encode_from(&ca::P521).map_err(failed)?)),
        KeyKind::Ed25519 => (ca::ED25519, None),
        KeyKind::Rsa(_) => (ca::RSA_ENCRYPTION, Some(Any::encode_from(&Null).map_err(failed)?)),
    };
    Ok(AlgorithmIdentifierOwned { oid, parameters })
}

fn listed(
    question: ObjectIdentifier,
    kinds: &[AlgorithmIdentifierOwned],
) -> Result<InfoTypeAndValue, Refusal> {
    match kinds {
        [] => Ok(without_value(question)),
        _ => with_value(question, &kinds.to_vec()),
    }
}

fn algorithms(
    profile: &Profile,
    is_meant: impl Fn(KeyKind) -> bool,
) -> Result<Vec<AlgorithmIdentifierOwned>, Refusal> {
    profile.keys().into_iter().filter(|kind| is_meant(*kind)).map(algorithm).collect()
}
