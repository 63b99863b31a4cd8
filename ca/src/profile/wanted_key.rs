//! Decides the kind of a key pair that is generated for a peer, and the form in which it is handed over.

use super::checked::Profile;
use crate::error::{Denial, Error, Result};
use crate::key::{KeyForm, KeyKind, RSA_SIZES};

/// The kind of key that a peer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedKey {
    /// Any kind. The first kind in the profile is generated.
    Any,
    /// RSA of any size: the smallest of 2048, 3072 and 4096 bits that the profile accepts is generated.
    Rsa,
    /// The peer asks for exactly this kind of key.
    Kind(KeyKind),
}

impl WantedKey {
    /// The kind of key to generate under this profile.
    ///
    /// # Errors
    /// `Denied` with [`Denial::Algorithm`] if the profile does not accept the kind; with [`Denial::KeySize`] if it does not accept
    /// the size, or keys of that size are not generated here.
    pub fn under(self, profile: &Profile) -> Result<KeyKind> {
        let kinds = profile.keys();
        let kind = match self {
            Self::Any => kinds.first().copied(),
            Self::Rsa => kinds.iter().copied().find(|kind| matches!(kind, KeyKind::Rsa(_))),
            Self::Kind(kind) => Some(kind),
        };
        let kind = match (self, kind) {
            (Self::Any | Self::Rsa, Some(KeyKind::Rsa(least))) => {
                let fitting = RSA_SIZES.iter().find(|(bits, _)| *bits >= least);
                KeyKind::Rsa(fitting.map_or(least, |(bits, _)| *bits))
            }
            (_, Some(kind)) => kind,
            (_, None) => KeyKind::Rsa(2048),
        };
        profile.check_key(kind)?;
        match kind {
            KeyKind::Rsa(bits) if !RSA_SIZES.iter().any(|(size, _)| *size == bits) => {
                Err(Error::denied(
                    Denial::KeySize,
                    format!("RSA keys of 2048, 3072 and 4096 bits are made here, found {bits}"),
                ))
            }
            kind => Ok(kind),
        }
    }
}

/// The decision about a key pair to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOrder {
    /// The kind of key.
    pub kind: KeyKind,
    /// The form in which the key is handed over, from the profile.
    pub form: KeyForm,
    /// Whether an administrator must approve the request before the key is generated.
    pub needs_approval: bool,
}

/// The forms in which generated private keys are handed over, by their names in a profile.
pub(super) const KEY_FORMS: [(&str, KeyForm); 2] =
    [("rfc5958", KeyForm::Rfc5958), ("openssl", KeyForm::Openssl)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::{DefaultUrls, ProfileConfig, Profiles};

    fn profile(keys: &[&str], min_rsa_bits: u32) -> Profile {
        let config = ProfileConfig {
            keys: Some(keys.iter().map(|key| (*key).to_owned()).collect()),
            min_rsa_bits: Some(min_rsa_bits),
            ..ProfileConfig::default()
        };
        let configs = BTreeMap::from([("own".to_owned(), config)]);
        let profiles = Profiles::new(&configs, &DefaultUrls::default()).unwrap();
        profiles.named(&"own".parse().unwrap()).unwrap().as_ref().clone()
    }

    #[test]
    fn the_profile_chooses_where_the_peer_does_not() {
        let both = profile(&["p384", "rsa"], 2500);
        assert_eq!(WantedKey::Any.under(&both), Ok(KeyKind::P384));
        assert_eq!(WantedKey::Rsa.under(&both), Ok(KeyKind::Rsa(3072)));
        let kind = |kind| WantedKey::Kind(kind).under(&both);
        assert_eq!(kind(KeyKind::Rsa(4096)), Ok(KeyKind::Rsa(4096)));
        for (refused, denial) in [
            (KeyKind::Rsa(2048), Denial::KeySize),
            (KeyKind::Rsa(16_384), Denial::KeySize),
            (KeyKind::Ed25519, Denial::Algorithm),
        ] {
            assert!(matches!(kind(refused), Err(Error::Denied { kind, .. }) if kind == denial));
        }
        let none = profile(&["p256"], 2048);
        assert!(WantedKey::Rsa.under(&none).unwrap_err().to_string().contains("p256"));
        assert!(WantedKey::Any.under(&profile(&["rsa"], 8192)).is_err());
    }
}
