//! What the authority remembers: the records that a [`crate::Store`] keeps, as the domain sees them.
//!
//! How they lie on disk is the business of `journal/entry.rs` and differs on purpose.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::equipment::Equipment;
use crate::error::{Error, Result};
use crate::identity::Identity;

/// The name of an issuing CA, an account or a profile: 1 to 64 of `a-z A-Z 0-9 . _ -`, not starting with a dot or hyphen.
///
/// Such a name is safe in a path, a URL, a log line and a DN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with(['.', '-'])
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::malformed(format!(
                "expected a name of 1 to 64 letters, digits, `.`, `_` or `-`, found `{}`",
                text.escape_debug()
            )))
        }
    }
}

impl TryFrom<String> for Label {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A certificate serial number: 128 random bits, never zero (RFC 5280 §4.1.2.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; 16]);

impl Serial {
    /// From 16 octets, most significant first; `None` for zero.
    pub fn new(octets: [u8; 16]) -> Option<Self> {
        (octets != [0; 16]).then_some(Self(octets))
    }

    /// The 16 octets, most significant first.
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// From the content octets of a DER INTEGER, with or without a leading zero; `None` if no serial of ours looks so.
    pub fn from_integer(content: &[u8]) -> Option<Self> {
        let magnitude = content.strip_prefix(&[0]).unwrap_or(content);
        let mut octets = [0; 16];
        let start = octets.len().checked_sub(magnitude.len())?;
        octets.get_mut(start..)?.copy_from_slice(magnitude);
        Self::new(octets)
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// Hexadecimal, upper or lower case, with or without colons and leading zeros.
impl FromStr for Serial {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::malformed(format!(
                "expected a serial number of up to 32 hexadecimal digits, found `{}`",
                text.escape_debug()
            ))
        };
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let value = u128::from_str_radix(&digits, 16).map_err(|_| wrong())?;
        Self::new(value.to_be_bytes()).ok_or_else(wrong)
    }
}

/// A certification authority of this instance, as recorded when it was made or brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaRecord {
    /// Its name in commands, URLs and the configuration.
    pub name: Label,
    /// Whether it signs only other CAs.
    pub is_root: bool,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// The certificates above it, DER, root last; empty for a root.
    pub chain: Vec<Vec<u8>>,
    /// The CA whose key this one's follows.
    pub succeeds: Option<Succession>,
}

/// That a CA was given its next key, which is a record of its own: certificates and CRLs of both are told apart by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The CA with the key before.
    pub predecessor: Label,
    /// Between two keys of a root; those of issuing CAs are connected by their root.
    pub links: Option<Links>,
    /// Whether the CA before goes on issuing, until an administrator has this one issue in its place.
    pub waits: bool,
}

/// What an administrator has an issuing CA do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// It issues for accounts that name no CA.
    Default = 1,
    /// It issues in place of the CA that it succeeds.
    Issue = 2,
}

impl Duty {
    /// Its name for a reader.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Issue => "issue",
        }
    }
}

/// The certificates that lead from one key of a root to the other, both ways (RFC 9810 §4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The new key, signed by the old one, DER.
    pub new_with_old: Vec<u8>,
    /// The old key, signed by the new one, DER.
    pub old_with_new: Vec<u8>,
}

/// One life of an account, from its creation to its removal: the place in the journal of the entry that created it. An account that
/// is made later under the same name is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(u64);

impl Incarnation {
    /// What stands before every entry: that of an account which is not recorded yet.
    pub const NONE: Self = Self(0);

    /// By the offset of the entry in the journal.
    pub const fn new(offset: u64) -> Self {
        Self(offset)
    }

    /// The offset of the entry in the journal.
    pub const fn offset(self) -> u64 {
        self.0
    }

    /// Whether what stands at this offset of the journal, and names the account, is of this life or a later one.
    pub const fn precedes(self, offset: u64) -> bool {
        self.0 < offset
    }
}

/// Who may get which identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account's name.
    pub name: Label,
    /// The identities that its certificates may carry; at least one.
    pub identities: Vec<Identity>,
    /// The profile that shapes its certificates.
    pub profile: Label,
    /// The issuing CA; `None` means the instance's default.
    pub ca: Option<Label>,
    /// The shared secret for a first enrolment, while there is one.
    pub secret: Option<AccountSecret>,
    /// The equipment that may enrol for it by its vendor's certificate, if there is such.
    pub equipment: Option<Equipment>,
    /// When it was created.
    pub created: Timestamp,
    /// What it may do beyond asking for certificates for keys of its own.
    pub permissions: BTreeSet<Permission>,
    /// Which account of this name it is. The store sets it when the account is recorded.
    pub incarnation: Incarnation,
}

impl Account {
    /// The identity of the account that is this one, as the account has it.
    pub fn held(&self, identity: &Identity) -> Option<&Identity> {
        self.identities.iter().find(|own| own.is_same(identity))
    }
}

/// What an account may do only if an administrator said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// It may have its keys made by the authority (RFC 9483 §4.1.6).
    KeyGeneration,
    /// It may ask for a cross certificate (RFC 9810 §5.3.11).
    CrossCertification,
}

impl Permission {
    /// Each permission with its name.
    pub const ALL: [(Self, &'static str); 2] = [
        (Self::KeyGeneration, "key-generation"),
        (Self::CrossCertification, "cross-certification"),
    ];

    /// Its name.
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

/// A shared secret, sealed. The reference is public; the secret itself can be opened by the running service only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSecret {
    /// What the peer sends as senderKID. Unique in the instance.
    pub reference: String,
    /// The secret, sealed to the instance's sealing key.
    pub sealed: Vec<u8>,
    /// After this it is no longer taken.
    pub expires: Timestamp,
    /// How many certificates it may still be used for.
    pub uses_left: u32,
    /// How many uses came back, because the certificate was not taken; at most [`MAX_GIVEN_BACK`].
    pub given_back: u32,
}

/// How many uses of one secret come back because the certificate was not taken: enough for a
/// gateway that is set up wrongly, and no way to have any number of certificates made and revoked.
pub const MAX_GIVEN_BACK: u32 = 16;

/// A certificate whose account's name begins with this is the instance's own, such as the signer of CMP answers: no
/// account has such a name, and the store asks for none.
pub const OWN_ACCOUNT_PREFIX: char = '_';

/// Names one certificate of this instance. A serial number is unique only for its CA (RFC 5280 §4.1.2.2), so neither half names a
/// certificate alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId {
    /// The CA that issued the certificate.
    pub ca: Label,
    /// The certificate's serial number.
    pub serial: Serial,
}

/// A certificate as it is recorded when it is issued, before it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The issuing CA.
    pub ca: Label,
    /// Its serial number, reserved before.
    pub serial: Serial,
    /// The account it was issued to.
    pub account: Label,
    /// Which account of that name was authorized: it must be the present one when this is recorded. `None` asks for none.
    pub incarnation: Option<Incarnation>,
    /// The profile it was issued under.
    pub profile: Label,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Whether it uses up one use of the account's secret.
    pub consumes_secret: bool,
    /// Whether it uses up one use of the vendor's certificate of the account's equipment.
    pub consumes_equipment: bool,
    /// The transaction it opens or belongs to.
    pub transaction: Option<Transaction>,
    /// The certificate that it replaces, after a key update.
    pub replaces: Option<Serial>,
    /// The partition of the CRLs that its distribution point names, if it names one.
    pub partition: Option<u16>,
    /// Whether nobody may see it before it is confirmed: who confirms it proves to have decrypted it.
    pub withheld: bool,
    /// Whether its holder wants it in no directory (dontPublish, RFC 4211 §6.3).
    pub unpublished: bool,
}

/// What the store knows of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// The issuing CA.
    pub ca: Label,
    /// Its serial number.
    pub serial: Serial,
    /// The name of the account it was issued to. That account may be gone, and another one of this name be there:
    /// [`crate::Store::holder`] tells them apart.
    pub account: Label,
    /// The offset of its entry in the journal.
    pub offset: u64,
    /// The profile it was issued under.
    pub profile: Label,
    /// When it was recorded.
    pub issued: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Whether its holder confirmed it. Implicit confirmation counts from the start.
    pub confirmed: bool,
    /// Whether its holder has still to confirm it. Neither counts of one that was to be confirmed when a backup was made that the
    /// instance was restored from: the confirmation may have come since.
    pub awaits_confirmation: bool,
    /// Whether it is not to be seen: its holder has still to prove, by the confirmation, that it decrypted it.
    pub withheld: bool,
    /// Whether its holder wants it in no directory (dontPublish, RFC 4211 §6.3).
    pub unpublished: bool,
    /// The account of the registration authority that asked for it, or passed the request on; `None` when nobody did.
    pub registrar: Option<Label>,
    /// The address that it was asked for from, if it is known.
    pub client: Option<IpAddr>,
    /// Its revocation or hold, if any.
    pub revocation: Option<Revocation>,
}

impl CertificateRecord {
    /// Whether strangers may find it, in whatever directory.
    pub const fn is_public(&self) -> bool {
        !self.withheld && !self.unpublished
    }
}

/// ```text
/// CRLReason ::= ENUMERATED { unspecified (0), keyCompromise (1), cACompromise (2), affiliationChanged (3),
///     superseded (4), cessationOfOperation (5), certificateHold (6), removeFromCRL (8), privilegeWithdrawn (9),
///     aACompromise (10) }
/// ```
/// RFC 5280 §5.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, der::Enumerated)]
#[repr(u8)]
pub enum Reason {
    /// No reason is given; the CRL entry carries no reasonCode.
    Unspecified = 0,
    /// The peer's private key is compromised.
    KeyCompromise = 1,
    /// The CA's private key is compromised.
    CaCompromise = 2,
    /// The subject's name or other data changed.
    AffiliationChanged = 3,
    /// Another certificate replaces it.
    Superseded = 4,
    /// It is no longer needed.
    CessationOfOperation = 5,
    /// Suspended; it can be released or revoked for good.
    CertificateHold = 6,
    /// Only in delta CRLs: leaves the CRL again.
    RemoveFromCrl = 8,
    /// A privilege in it was withdrawn.
    PrivilegeWithdrawn = 9,
    /// An attribute authority is compromised.
    AaCompromise = 10,
}

impl Reason {
    /// Each reason with its name in RFC 5280.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Unspecified, "unspecified"),
        (Self::KeyCompromise, "keyCompromise"),
        (Self::CaCompromise, "cACompromise"),
        (Self::AffiliationChanged, "affiliationChanged"),
        (Self::Superseded, "superseded"),
        (Self::CessationOfOperation, "cessationOfOperation"),
        (Self::CertificateHold, "certificateHold"),
        (Self::RemoveFromCrl, "removeFromCRL"),
        (Self::PrivilegeWithdrawn, "privilegeWithdrawn"),
        (Self::AaCompromise, "aACompromise"),
    ];

    /// The reason with this CRLReason number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().map(|(reason, _)| reason).find(|reason| *reason as u8 == number)
    }

    /// Its name in RFC 5280.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(reason, _)| *reason == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name of RFC 5280, in any case.
impl FromStr for Reason {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(reason, _)| reason)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
                Error::malformed(format!(
                    "expected one of {}, found `{}`",
                    names.join(", "),
                    text.escape_debug()
                ))
            })
    }
}

/// That, when and why a certificate is revoked or held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// When the authority recorded it.
    pub at: Timestamp,
    /// Why. `CertificateHold` can be released.
    pub reason: Reason,
    /// When the key is thought to have been compromised, if earlier.
    pub invalidity: Option<Timestamp>,
}

/// A certificate that belongs on a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedEntry {
    /// Its serial number.
    pub serial: Serial,
    /// The end of its validity, after which it may leave the CRL.
    pub not_after: Timestamp,
    /// The partition of the CRLs that its certificate names, if it names one.
    pub partition: Option<u16>,
    /// The revocation.
    pub revocation: Revocation,
}

/// What a CRL covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrlScope {
    /// Every certificate of the CA.
    Full,
    /// What changed since a full CRL, its base (RFC 5280 §5.2.4).
    Delta,
    /// The certificates whose distribution point names this partition (RFC 5280 §5.2.5).
    Partition(u16),
}

/// `full`, `delta` or the partition's number.
impl fmt::Display for CrlScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Delta => f.write_str("delta"),
            Self::Partition(number) => write!(f, "{number}"),
        }
    }
}

/// A CRL that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlRecord {
    /// The issuing CA.
    pub ca: Label,
    /// What it covers.
    pub scope: CrlScope,
    /// The cRLNumber; larger than every one before of this CA and scope.
    pub number: u64,
    /// thisUpdate: later, by whole seconds, than that of every CRL before of this CA.
    pub this_update: Timestamp,
    /// When it was signed: thisUpdate is before that, as notBefore is.
    pub signed: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// How many entries it has.
    pub entries: u64,
    /// SHA-256 over its TBSCertList: what was signed.
    pub tbs_sha256: [u8; 32],
    /// Of a full CRL, whether delta CRLs refer to it from now on.
    pub is_base: bool,
    /// How far in the journal the revocations reach that are on it, as an offset: what is recorded from there on may be missing. `None`
    /// for one of which nobody knows, as of an instance that was lost.
    pub reached: Option<u64>,
}

impl CrlRecord {
    /// Whether more than half of its validity is over.
    pub fn is_past_half(&self, now: Timestamp) -> bool {
        self.signed.plus(self.next_update.since(self.signed) / 2) < now
    }
}

/// A protocol's transaction that must outlive a restart: an answered request, and what is still expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The transactionID, 1 to 64 octets.
    pub id: Vec<u8>,
    /// The account that runs it.
    pub account: Label,
    /// The certificate that is to be confirmed; `None` when the transaction is over.
    pub awaits: Option<(Label, Serial)>,
    /// Until when it may be confirmed; without it, until the transaction is forgotten.
    pub confirm_until: Option<Timestamp>,
    /// When it is forgotten. Until then its identifier cannot be used again.
    pub expires: Timestamp,
    /// What the protocol needs to go on, in its own encoding.
    pub context: Vec<u8>,
    /// The account of the registration authority that vouches for the request, if one does.
    pub registrar: Option<Label>,
    /// The address that the message came from which caused the entry, if it is known.
    pub client: Option<IpAddr>,
}

/// That a journal goes on from a backup: what was recorded behind it before is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// Who restored it: a user name or number of the operating system.
    pub actor: String,
    /// SHA-256 over the backup.
    pub backup: [u8; 32],
    /// Whether secrets and vendors' certificates keep the uses that they had when the backup was made. They may have been used up
    /// since, so that without this they have none left.
    pub keeps_uses: bool,
}

/// Something an administrator did that is worth remembering and changes no other record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who: a user name or number of the operating system.
    pub actor: String,
    /// What, as a noun and a verb, such as `store restore`.
    pub action: String,
    /// Details for a reader.
    pub detail: String,
}
