//! The algorithms that the operator lets protect a message (RFC 9483 §3.2, RFC 9481 §3 and §6).

use countersign_ca::oid as ca;
use der::oid::ObjectIdentifier;

use crate::cmp::wire::oid;
use crate::cmp::wire::refusal::{Failure, Refusal};

/// Every algorithm that can protect a message, by its name in the configuration.
const PROTECTION: [(&str, ObjectIdentifier); 10] = [
    ("PasswordBasedMac", oid::PASSWORD_BASED_MAC),
    ("PBMAC1", oid::PBMAC1),
    ("ecdsa-with-SHA256", ca::ECDSA_SHA256),
    ("ecdsa-with-SHA384", ca::ECDSA_SHA384),
    ("ecdsa-with-SHA512", ca::ECDSA_SHA512),
    ("sha256WithRSAEncryption", ca::RSA_SHA256),
    ("sha384WithRSAEncryption", ca::RSA_SHA384),
    ("sha512WithRSAEncryption", ca::RSA_SHA512),
    ("RSASSA-PSS", ca::RSA_PSS),
    ("Ed25519", ca::ED25519),
];

/// The algorithms that may protect a message, of those that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protections(Vec<ObjectIdentifier>);

impl Default for Protections {
    /// All known algorithms.
    fn default() -> Self {
        Self(PROTECTION.iter().map(|(_, id)| *id).collect())
    }
}

impl Protections {
    /// The names of all known algorithms.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PROTECTION.iter().map(|(name, _)| *name)
    }

    /// The algorithms of these names, in any letter case.
    ///
    /// # Errors
    /// A text for people if a name is unknown, or if no name is given.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let known = || Self::names().collect::<Vec<_>>().join(", ");
        let find = |name: &str| {
            let found = PROTECTION.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, id)| *id).ok_or_else(|| {
                format!("expected some of {}, found `{}`", known(), name.escape_debug())
            })
        };
        let allowed = names.into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
        match allowed.is_empty() {
            true => Err(format!("expected some of {}, found none", known())),
            false => Ok(Self(allowed)),
        }
    }

    /// Refuses (`badAlg`) an algorithm that may not protect a message.
    pub(crate) fn check(&self, algorithm: ObjectIdentifier) -> Result<(), Refusal> {
        if self.0.contains(&algorithm) {
            return Ok(());
        }
        let name = |id: &ObjectIdentifier| PROTECTION.iter().find(|(_, known)| known == id);
        let allowed: Vec<&str> = self.0.iter().filter_map(name).map(|(name, _)| *name).collect();
        Err(Refusal::new(
            Failure::BadAlg,
            format!(
                "a message is not protected by `{algorithm}` here; use one of {}",
                allowed.join(", ")
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_refused_when_unknown() {
        let macs = Protections::of(["pbmac1", "PASSWORDBASEDMAC"]).unwrap();
        assert_eq!(macs.check(oid::PBMAC1), Ok(()));
        let refusal = macs.check(ca::ED25519).unwrap_err();
        assert_eq!(refusal.failure, Failure::BadAlg);
        assert!(refusal.text.contains("PBMAC1, PasswordBasedMac"), "{}", refusal.text);
        assert!(Protections::of(["hmac"]).unwrap_err().contains("`hmac`"));
        assert!(Protections::of([]).unwrap_err().contains("none"));
        assert_eq!(Protections::of(Protections::names()).unwrap(), Protections::default());
    }
}
