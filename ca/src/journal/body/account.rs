//! Bodies about accounts: their identities, secrets, equipment and permissions.

use std::borrow::Cow;
use std::collections::BTreeSet;

use der::{Decode as _, Encode as _};
use minicbor::{Decode, Encode};
use x509_cert::name::Name;

use super::super::entry::Entry;
use super::cbor::{address, address_octets, from_slice, to_vec};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::name::Identity;
use crate::record::Device;
use crate::record::{Account, AccountSecret, Incarnation, Label, Permission, Remarks};

/// Encodes an account as the body of [`Entry::AccountChanged`]. The incarnation is not in it.
pub fn encode_account(account: &Account) -> Result<Vec<u8>> {
    to_vec(&AccountBody::new(account)?)
}

/// Decodes what [`encode_account`] wrote. The incarnation is [`Incarnation::NONE`].
pub fn decode_account(octets: &[u8]) -> Result<Account> {
    from_slice::<AccountBody<'_>>(octets)?.record()
}

/// Accounts that were created together.
#[derive(Encode, Decode)]
pub struct AccountsBody<'a> {
    #[b(0)]
    accounts: Vec<AccountBody<'a>>,
}

impl<'a> AccountsBody<'a> {
    /// The body for these new accounts.
    pub fn new(accounts: &'a [Account]) -> Result<Self> {
        Ok(Self { accounts: accounts.iter().map(AccountBody::new).collect::<Result<_>>()? })
    }

    /// The accounts in the body.
    pub fn records(self) -> Result<Vec<Account>> {
        self.accounts.into_iter().map(AccountBody::record).collect()
    }
}

/// An account.
#[derive(Encode, Decode)]
pub struct AccountBody<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    identities: Vec<IdentityBody<'a>>,
    #[b(2)]
    profile: &'a str,
    #[b(3)]
    ca: Option<&'a str>,
    #[b(4)]
    secret: Option<SecretBody<'a>>,
    /// Milliseconds since 1970.
    #[n(5)]
    created: i64,
    /// The sum of [`permission_bit`]s; absent for none.
    #[n(6)]
    permissions: Option<u32>,
    #[b(7)]
    equipment: Option<DeviceBody<'a>>,
    /// Keys and values of labels in turn; absent for none.
    #[b(8)]
    labels: Option<Vec<&'a str>>,
    #[b(9)]
    owner: Option<&'a str>,
    #[b(10)]
    note: Option<&'a str>,
    /// Present, and true, if the account is disabled.
    #[n(11)]
    disabled: Option<bool>,
}

impl<'a> AccountBody<'a> {
    /// The body for an account; the incarnation is left out.
    pub fn new(account: &'a Account) -> Result<Self> {
        Ok(Self {
            name: account.name.as_str(),
            identities: account.identities.iter().map(IdentityBody::new).collect::<Result<_>>()?,
            profile: account.profile.as_str(),
            ca: account.ca.as_ref().map(Label::as_str),
            secret: account.secret.as_ref().map(SecretBody::new),
            created: account.created.millis(),
            permissions: permission_bits(&account.permissions),
            equipment: account.equipment.as_ref().map(DeviceBody::new),
            labels: Some(&account.remarks.labels)
                .filter(|labels| !labels.is_empty())
                .map(|labels| labels.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]).collect()),
            owner: account.remarks.owner.as_deref(),
            note: account.remarks.note.as_deref(),
            disabled: account.is_disabled.then_some(true),
        })
    }

    /// The account in the body.
    pub fn record(self) -> Result<Account> {
        let identities = self.identities.into_iter().map(IdentityBody::record);
        Ok(Account {
            name: self.name.parse()?,
            identities: identities.collect::<Result<_>>()?,
            profile: self.profile.parse()?,
            ca: self.ca.map(str::parse).transpose()?,
            secret: self.secret.map(SecretBody::record),
            equipment: self.equipment.map(DeviceBody::record).transpose()?,
            created: Timestamp::from_millis(self.created),
            permissions: permissions(self.permissions.unwrap_or(0))?,
            remarks: Remarks {
                labels: self
                    .labels
                    .unwrap_or_default()
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|[key, value]| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                owner: self.owner.map(str::to_owned),
                note: self.note.map(str::to_owned),
            },
            is_disabled: self.disabled.unwrap_or(false),
            incarnation: Incarnation::NONE,
        })
    }
}

/// An identity. Its kinds have the numbers of [`id_type`].
#[derive(Encode, Decode)]
struct IdentityBody<'a> {
    #[n(0)]
    kind: u8,
    /// ASCII, 4 or 16 octets of an address, or a DER Name.
    #[cbor(b(1), with = "minicbor::bytes")]
    value: Cow<'a, [u8]>,
}

/// The identification types of RFC 7296 §3.5 that an account can hold.
mod id_type {
    /// An IP address of either version; the length of the value tells the versions apart.
    pub const IP: u8 = 1;
    /// A host name.
    pub const FQDN: u8 = 2;
    /// A mail address.
    pub const RFC822_ADDR: u8 = 3;
    /// A distinguished name.
    pub const DER_ASN1_DN: u8 = 9;
}

impl<'a> IdentityBody<'a> {
    fn new(identity: &'a Identity) -> Result<Self> {
        let (kind, value) = match identity {
            Identity::Ip(address) => (id_type::IP, Cow::Owned(address_octets(*address))),
            Identity::Fqdn(name) => (id_type::FQDN, Cow::Borrowed(name.as_bytes())),
            Identity::Email(mailbox) => (id_type::RFC822_ADDR, Cow::Borrowed(mailbox.as_bytes())),
            Identity::Dn(name) => {
                (id_type::DER_ASN1_DN, Cow::Owned(name.to_der().map_err(Error::internal)?))
            }
        };
        Ok(Self { kind, value })
    }

    fn record(self) -> Result<Identity> {
        let text = || std::str::from_utf8(&self.value).map(str::to_owned).map_err(Error::internal);
        Ok(match self.kind {
            id_type::IP => Identity::Ip(address(&self.value)?),
            id_type::FQDN => Identity::Fqdn(text()?),
            id_type::RFC822_ADDR => Identity::Email(text()?),
            id_type::DER_ASN1_DN => {
                Identity::Dn(Name::from_der(&self.value).map_err(Error::internal)?)
            }
            kind => {
                return Err(Error::internal(format!("an identity of kind `{kind}` is unknown")));
            }
        })
    }
}

/// An account's sealed secret.
#[derive(Encode, Decode)]
struct SecretBody<'a> {
    #[b(0)]
    reference: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    sealed: &'a [u8],
    /// Milliseconds since 1970.
    #[n(2)]
    expires: i64,
    #[n(3)]
    uses_left: u32,
    /// When the lock of the reference ended, in entries that were written before locks were kept in memory. Not read
    /// any more.
    #[n(4)]
    locked_until: Option<i64>,
    /// How often the reference had been locked, in the same entries. Not read any more.
    #[n(5)]
    locks: u32,
    /// The number of uses of the secret that were returned because the peer did not accept the certificate; absent if 0.
    #[n(6)]
    given_back: Option<u32>,
}

impl<'a> SecretBody<'a> {
    fn new(secret: &'a AccountSecret) -> Self {
        Self {
            reference: &secret.reference,
            sealed: &secret.sealed,
            expires: secret.expires.millis(),
            uses_left: secret.uses_left,
            locked_until: None,
            locks: 0,
            given_back: (secret.given_back > 0).then_some(secret.given_back),
        }
    }

    fn record(self) -> AccountSecret {
        AccountSecret {
            reference: self.reference.to_owned(),
            sealed: self.sealed.to_vec(),
            expires: Timestamp::from_millis(self.expires),
            uses_left: self.uses_left,
            given_back: self.given_back.unwrap_or(0),
        }
    }
}

/// The equipment that may enrol for an account by its vendor's certificate.
#[derive(Encode, Decode)]
struct DeviceBody<'a> {
    #[b(0)]
    vendor: &'a str,
    #[b(1)]
    value: &'a str,
    #[n(2)]
    uses_left: u32,
    /// When an administrator last set the number of uses, in milliseconds since 1970.
    #[n(3)]
    allowed: i64,
}

impl<'a> DeviceBody<'a> {
    fn new(equipment: &'a Device) -> Self {
        Self {
            vendor: equipment.vendor.as_str(),
            value: &equipment.value,
            uses_left: equipment.uses_left,
            allowed: equipment.allowed.millis(),
        }
    }

    fn record(self) -> Result<Device> {
        Ok(Device {
            vendor: self.vendor.parse()?,
            value: self.value.to_owned(),
            uses_left: self.uses_left,
            allowed: Timestamp::from_millis(self.allowed),
        })
    }
}

/// The removal of an account.
#[derive(Encode, Decode)]
pub struct AccountRemovedBody<'a> {
    /// The name of the removed account.
    #[b(0)]
    pub name: &'a str,
}

/// Another name for an account.
#[derive(Encode, Decode)]
pub struct AccountRenamedBody<'a> {
    /// The name that it had.
    #[b(0)]
    pub from: &'a str,
    /// The name that it has from now on.
    #[b(1)]
    pub to: &'a str,
}

impl AccountRenamedBody<'_> {
    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        Ok(Entry::AccountRenamed { from: self.from.parse()?, to: self.to.parse()? })
    }
}

/// A locked reference, in old journals only.
#[derive(Encode, Decode)]
pub struct LockedBody<'a> {
    #[b(0)]
    reference: &'a str,
    /// Milliseconds since 1970.
    #[n(1)]
    until: i64,
}

impl<'a> LockedBody<'a> {
    /// The body for a reference that is locked until the time `until`.
    pub fn new(reference: &'a str, until: Timestamp) -> Self {
        Self { reference, until: until.millis() }
    }

    /// The entry in the body.
    pub fn entry(self) -> Entry {
        let until = Timestamp::from_millis(self.until);
        Entry::Locked { reference: self.reference.to_owned(), until }
    }
}

/// The bit of a permission in [`AccountBody`].
const fn permission_bit(permission: Permission) -> u32 {
    match permission {
        Permission::KeyGeneration => 1,
        Permission::CrossCertification => 2,
    }
}

/// The sum of the [`permission_bit`]s; `None` for no permission, so that the entry of such an account stays what it was
/// before there were permissions.
fn permission_bits(permissions: &BTreeSet<Permission>) -> Option<u32> {
    let bits = permissions.iter().fold(0, |bits, permission| bits | permission_bit(*permission));
    (bits != 0).then_some(bits)
}

fn permissions(bits: u32) -> Result<BTreeSet<Permission>> {
    let known: BTreeSet<Permission> = Permission::ALL
        .into_iter()
        .map(|(permission, _)| permission)
        .filter(|permission| bits & permission_bit(*permission) != 0)
        .collect();
    if permission_bits(&known).unwrap_or(0) == bits {
        Ok(known)
    } else {
        Err(Error::internal(format!(
            "its permissions `{bits}` are unknown: use the newer program that wrote them"
        )))
    }
}
