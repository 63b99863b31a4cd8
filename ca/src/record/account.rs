//! Accounts: the identities that a peer may have certified, and how the peer proves itself for its first certificate.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::equipment::Device;
use super::label::Label;
use super::remarks::{AccountLabel, Remarks};
use crate::clock::Timestamp;
use crate::error::{Denial, Error, Result};
use crate::name::{Identity, Name};

/// One of the accounts that had the same name in succession, from its creation to its removal. It is identified by the
/// journal offset, in octets, of the entry that created the account; and, while it has a name, by that of the entry that
/// gave it this name. A later account with the same name is another incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation {
    created: u64,
    named: u64,
}

impl Incarnation {
    /// The incarnation of an account that is not recorded yet. It precedes every entry.
    pub const NONE: Self = Self::new(0);

    /// The incarnation that was created by the entry at this journal offset.
    pub const fn new(offset: u64) -> Self {
        Self { created: offset, named: offset }
    }

    /// The same incarnation, which got its present name by the entry at this journal offset.
    pub const fn named_at(self, offset: u64) -> Self {
        Self { named: offset, ..self }
    }

    /// The journal offset of the entry that created the account.
    pub const fn offset(self) -> u64 {
        self.created
    }

    /// The journal offset of the entry that gave the account its present name: that of the creation, or of a rename.
    pub const fn named(self) -> u64 {
        self.named
    }

    /// Whether the entry at this offset was written after the account got its present name. An entry that has this name
    /// and precedes it belongs to an earlier account of that name.
    pub const fn precedes(self, offset: u64) -> bool {
        self.named < offset
    }
}

/// An account: the identities that one peer may have certified, and how it may ask for certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account's name.
    pub name: Label,
    /// The identities that the account's certificates may contain. There is at least one.
    pub identities: Vec<Identity>,
    /// The profile of the account's certificates.
    pub profile: Label,
    /// The issuing CA; `None` means the default CA of the instance.
    pub ca: Option<Label>,
    /// The shared secret for the first enrolment; `None` if the account has none.
    pub secret: Option<AccountSecret>,
    /// The device that may enrol for the account with its vendor's certificate; `None` if the account is for no device.
    pub equipment: Option<Device>,
    /// When the account was created.
    pub created: Timestamp,
    /// The rights of the account besides asking for certificates for its own keys.
    pub permissions: BTreeSet<Permission>,
    /// What administrators note about the account.
    pub remarks: Remarks,
    /// Whether the account may do nothing: its secret, its equipment and its certificates authenticate no request. IKE
    /// peers, which know no accounts, still accept its certificates.
    pub is_disabled: bool,
    /// The incarnation, which tells the account from others that had its name. The store sets it when it records the
    /// account; until then it is [`Incarnation::NONE`].
    pub incarnation: Incarnation,
}

#[cfg(test)]
impl Account {
    /// The account `gw1` with these identities and the profile `gateway`, without a secret, for tests.
    pub(crate) fn with_identities(ids: &[&str]) -> Self {
        Self {
            name: "gw1".parse().unwrap(),
            identities: ids.iter().map(|id| id.parse().unwrap()).collect(),
            profile: "gateway".parse().unwrap(),
            ca: None,
            secret: None,
            equipment: None,
            created: Timestamp::default(),
            permissions: BTreeSet::default(),
            remarks: Remarks::default(),
            is_disabled: false,
            incarnation: Incarnation::default(),
        }
    }
}

impl Account {
    /// The account's identity that equals `identity`, in the spelling of the account; `None` if it has none.
    pub fn held(&self, identity: &Identity) -> Option<&Identity> {
        self.identities.iter().find(|own| own.is_same(identity))
    }

    /// The DN identities of the account.
    pub fn distinguished_names(&self) -> impl Iterator<Item = &Name> {
        self.identities.iter().filter_map(|identity| match identity {
            Identity::Dn(name) => Some(name),
            _ => None,
        })
    }
}

impl Account {
    /// Whether the account has this label.
    pub fn has_label(&self, label: &AccountLabel) -> bool {
        self.remarks.labels.get(&label.key).is_some_and(|value| *value == label.value)
    }

    /// Refuses an account that is disabled.
    ///
    /// # Errors
    /// `Denied` with [`Denial::NotAuthorized`].
    pub fn require_enabled(&self) -> Result<()> {
        match self.is_disabled {
            false => Ok(()),
            true => Err(Error::not_authorized(format!(
                "the account `{}` is disabled; an administrator can enable it",
                self.name
            ))),
        }
    }
}

/// A permission that only an administrator gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// The account may have key pairs generated by the authority (RFC 9483 §4.1.6).
    KeyGeneration,
    /// The account may ask for cross certificates (RFC 9810 §5.3.11).
    CrossCertification,
}

impl Permission {
    /// Every permission, with its name in commands and records.
    pub const ALL: [(Self, &'static str); 2] = [
        (Self::KeyGeneration, "key-generation"),
        (Self::CrossCertification, "cross-certification"),
    ];

    /// The permission's name in commands and records.
    pub fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(permission, _)| *permission == self)
            .map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, name)| *name == text)
            .map(|(permission, _)| permission)
            .ok_or_else(|| {
                let names = Self::ALL.map(|(_, name)| format!("`{name}`"));
                Error::malformed(format!(
                    "expected a permission, one of {}, found `{}`",
                    names.join(", "),
                    text.escape_debug()
                ))
            })
    }
}

/// A sealed shared secret with its public reference. Only the running service can open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSecret {
    /// The reference that the peer sends as senderKID. It is unique in the instance.
    pub reference: String,
    /// The secret, sealed with the instance's sealing key.
    pub sealed: Vec<u8>,
    /// The moment from which on the secret is refused.
    pub expires: Timestamp,
    /// The number of certificates that the secret may still be used for.
    pub uses_left: u32,
    /// The number of uses that were returned because the peer did not accept the certificate; at most
    /// [`MAX_GIVEN_BACK`].
    pub given_back: u32,
}

/// The number of uses of one secret that can be returned because the peer did not accept the certificate. It suffices
/// for a gateway that is set up wrongly, and keeps a peer from having certificates issued and revoked without end.
pub const MAX_GIVEN_BACK: u32 = 16;

/// The first character of the account names that belong to the instance itself, such as the signer of CMP answers. No
/// account of a peer has such a name. When a certificate for such a name is recorded, the store does not demand that an
/// account of that name exists.
pub const OWN_ACCOUNT_PREFIX: char = '_';

/// The error that no account has this name.
pub fn no_account(name: &Label) -> Error {
    Error::denied(
        Denial::Conflict,
        format!("there is no account `{name}`; `countersign peer list` shows them"),
    )
}
