//! The kinds of key and the cipher that are accepted: signKeyPairTypes, encKeyPairTypes and preferredSymmAlg (RFC 9810 §5.3.19.2 to
//! §5.3.19.4).

use std::sync::Arc;

use countersign_ca::key::algorithm_identifier;
use countersign_ca::profile::Profile;
use countersign_ca::{Error, KeyKind};
use der::oid::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::pkix::KeyUsages;

use super::question::{Question, with_value, without_value};
use crate::cmp::wire::message::InfoTypeAndValue;
use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::Refusal;

impl Question<'_> {
    /// The kinds of key that the profile certifies for signatures; without a value if there are none.
    pub(super) fn signing_keys(&self) -> Result<InfoTypeAndValue, Refusal> {
        let profile = self.profile()?;
        let signing = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
        let kinds = algorithms(&profile, |kind| !profile.key_usage_of(kind).0.is_disjoint(signing));
        listed(oid::SIGN_KEY_PAIR_TYPES, &kinds)
    }

    /// The element of the answer with the kinds of key that the profile certifies for encryption or key agreement. If there are none,
    /// the element has no value.
    pub(super) fn encryption_keys(&self) -> Result<InfoTypeAndValue, Refusal> {
        let profile = self.profile()?;
        let encrypting = KeyUsages::KeyEncipherment | KeyUsages::KeyAgreement;
        let kinds =
            algorithms(&profile, |kind| !profile.key_usage_of(kind).0.is_disjoint(encrypting));
        listed(oid::ENC_KEY_PAIR_TYPES, &kinds)
    }

    /// The profile that would be applied to a request of this peer.
    pub(super) fn profile(&self) -> Result<Arc<Profile>, Refusal> {
        let peer =
            self.peer.as_ref().ok_or_else(|| Error::internal("a stranger has no profile"))?;
        let account = peer.requester.account();
        Ok(self.service.authority().profile_for(account, peer.profile.as_ref())?)
    }
}

/// The cipher for encrypted content: AES-256 in CBC mode (RFC 9481 §5.1).
pub fn preferred_cipher() -> Result<InfoTypeAndValue, Refusal> {
    let cipher = AlgorithmIdentifierOwned { oid: oid::AES_256_CBC, parameters: None };
    with_value(oid::PREFERRED_SYMM_ALG, &cipher)
}

/// An element with a list of algorithms; without a value if the list is empty.
fn listed(
    question: ObjectIdentifier,
    kinds: &[AlgorithmIdentifierOwned],
) -> Result<InfoTypeAndValue, Refusal> {
    match kinds {
        [] => Ok(without_value(question)),
        _ => with_value(question, &kinds.to_vec()),
    }
}

/// The algorithms of the profile's kinds of key that `is_meant` selects.
fn algorithms(
    profile: &Profile,
    is_meant: impl Fn(KeyKind) -> bool,
) -> Vec<AlgorithmIdentifierOwned> {
    let kinds = profile.keys().into_iter().filter(|kind| is_meant(*kind));
    kinds.map(algorithm_identifier).collect()
}
