//! The keys of the index. This is the only file that knows their letters.
//!
//! A key is the letter of its [`Space`] and what follows. Keys are ordered as octets, so that numbers have their most significant octet
//! first, and moments are [`ordered`]. Values grow at few places at a time, in the order of the journal: an embedded database that is
//! changed at a random place for each certificate takes ten times as long. The rows by which certificates are found go to spans in a file
//! of their own ([`super::values::span`]).

use ring::digest;

use super::numbers::{from_ordered, ordered};
use super::values::{TransactionBlock, TransactionId};
use crate::clock::Timestamp;
use crate::name::Identity;
use crate::record::approval::RequestId;
use crate::record::{AccountLabel, CertificateId, CrlScope, Label, Serial};

/// A whole key of the index.
pub type Key = Vec<u8>;

/// The spaces of keys, by their letters.
///
/// In keys, a name is followed by an octet 0 unless it ends the key, and numbers have 8 octets unless the table says
/// otherwise. Constants are those of [`super::numbers`]; values lie as the modules of [`super::values`] say, or as in
/// the body of an entry.
///
/// | space | key | value |
/// |---|---|---|
/// | `Account` | `A` name | the account: `account` |
/// | `Reference` | `R` reference | the name of the account whose secret has this reference |
/// | `Equipment` | `E` vendor value | the name of the account that is for this equipment |
/// | `Holders` | `i` hash (16) | the accounts that hold the identity with this hash: `holders` |
/// | `Labelled` | `L` key 0 value 0 account | nothing: the account has this label |
/// | `Renamed` | `N` name | the accounts that had this name and have another: `renamed` |
/// | `Former` | `o` name | the former names of the accounts that have or had this name, as in `holders` |
/// | `Vendor` | `V` name | the vendor, as in its entry |
/// | `Administrator` | `a` name | the administrator, as in the entry |
/// | `Shown` | `T` account | the next keys of CAs whose certificates the account has shown to have: `shown` |
/// | `Ca` | `C` name | the CA, as in its entry |
/// | `DefaultCa` | `D` | the name of the default CA |
/// | `Retired` | `h` CA | nothing: the CA issues no more |
/// | `LastCrl` | `l` CA scope | the last CRL of this scope, as in its entry; for the scopes see [`scope`] |
/// | `LastPartition` | `p` CA | the largest CRL partition that a certificate names (2) |
/// | `Reserved` | `b` offset | the serials that the entry there reserved, while one of them is unused: `lists` |
/// | `Filed` | `F` chunk | a chunk of `CHUNK` certificates in the order of issue that are in no span yet: `filing` |
/// | `Span` | `S` span | a span of `SPAN` certificates: `span`; in a file beside the database |
/// | `Ended` | `X` span | a bit for each certificate of the span that needs no renewal: revoked for good, or replaced |
/// | `Revoked` | `r` CA serial (16, or 20 of a longer one) | the revocation or hold: `revocation` |
/// | `Released` | `f` CA serial | the release from hold: `revocation` |
/// | `Change` | `c` CA offset | the serial whose revocation, hold or release the entry there recorded |
/// | `Unconfirmed` | `u` CA serial | the certificate is not confirmed: `confirmation` |
/// | `Awaited` | `w` until CA serial | nothing: the confirmation of the certificate is awaited until then |
/// | `Retires` | `s` due CA serial | nothing: the replaced certificate is to be revoked then |
/// | `Retiring` | `g` CA serial | what replaced the certificate that is to be revoked: `retiring` |
/// | `Replacement` | `x` CA serial | the certificate that this one replaces: `retiring` |
/// | `Request` | `q` request (16) | a request that an administrator must decide: `request` |
/// | `Joined` | `j` transaction (16) | the request (16) that the transaction joined |
/// | `Approvers` | `k` request (16) | the people who approved the request, if more must: `approvers` |
/// | `RequestCounts` | `n` account | when each open request of the account expires, or of all without one: `request` |
/// | `Transactions` | `t` bucket number (4) | transactions that expire in this bucket: `transaction` |
/// | `Deed` | `d` action | when administrators last did this: `ordered` (8) |
/// | `Restored` | `z` | the last restore from a backup: `restored` |
/// | `Position` | `m` | how far in the journal the index on disk is; this pair is not in the index's sum |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Space {
    Account = b'A',
    Reference = b'R',
    Equipment = b'E',
    Holders = b'i',
    Labelled = b'L',
    Renamed = b'N',
    Former = b'o',
    Vendor = b'V',
    Administrator = b'a',
    Shown = b'T',
    Ca = b'C',
    DefaultCa = b'D',
    Retired = b'h',
    LastCrl = b'l',
    LastPartition = b'p',
    Reserved = b'b',
    Filed = b'F',
    Span = b'S',
    Ended = b'X',
    Revoked = b'r',
    Released = b'f',
    Change = b'c',
    Unconfirmed = b'u',
    Awaited = b'w',
    Retires = b's',
    Retiring = b'g',
    Replacement = b'x',
    Request = b'q',
    Joined = b'j',
    Approvers = b'k',
    RequestCounts = b'n',
    Transactions = b't',
    Deed = b'd',
    Restored = b'z',
    Position = b'm',
}

/// The letters for the scopes of CRLs, in keys of [`Space::LastCrl`].
mod scope {
    /// The full CRL.
    pub const FULL: u8 = b'f';
    /// The delta CRL.
    pub const DELTA: u8 = b'd';
    /// The number of the partition follows, 2 octets.
    pub const PARTITION: u8 = b'p';
    /// The full CRL to which delta CRLs refer.
    pub const BASE: u8 = b'b';
}

impl Space {
    /// The beginning of every key in the space, and of no other key.
    pub const fn prefix(self) -> [u8; 1] {
        [self as u8]
    }

    /// The part of a key after the letter; `None` if the key is in another space.
    fn rest(self, key: &[u8]) -> Option<&[u8]> {
        key.strip_prefix(&self.prefix())
    }

    /// A key of this space.
    fn key(self, rest: &[u8]) -> Key {
        [&self.prefix(), rest].concat()
    }

    /// A key of this space that begins with a name.
    fn named(self, name: &Label, rest: &[u8]) -> Key {
        [&self.prefix(), name.as_str().as_bytes(), &[0], rest].concat()
    }
}

/// The key of an account.
pub fn account(name: &Label) -> Key {
    Space::Account.key(name.as_str().as_bytes())
}

/// The key of the account whose secret has this reference.
pub fn reference(reference: &str) -> Key {
    Space::Reference.key(reference.as_bytes())
}

/// The key of the account for the equipment that its vendor names by this value.
pub fn equipment(vendor: &Label, value: &str) -> Key {
    Space::Equipment.named(vendor, value.as_bytes())
}

/// The key of the accounts that hold an identity. Two identities may have the same key, though hardly ever do.
pub fn holders(identity: &Identity) -> Key {
    let hash = digest::digest(&digest::SHA256, identity.normal().as_bytes());
    Space::Holders.key(hash.as_ref().get(..16).unwrap_or_default())
}

/// The beginning of the keys of [`labelled`] of a label.
pub fn labels(label: &AccountLabel) -> Key {
    let AccountLabel { key, value } = label;
    [&Space::Labelled.prefix()[..], key.as_bytes(), &[0], value.as_bytes(), &[0]].concat()
}

/// The key that says that an account has a label. Neither part of a label contains an octet 0.
pub fn labelled(label: &AccountLabel, account: &Label) -> Key {
    [&labels(label), account.as_str().as_bytes()].concat()
}

/// The key of the accounts that had a name and have another one now.
pub fn renamed(name: &Label) -> Key {
    Space::Renamed.key(name.as_str().as_bytes())
}

/// The key of the former names of the accounts that have or had a name.
pub fn former(name: &Label) -> Key {
    Space::Former.key(name.as_str().as_bytes())
}

/// The key of a vendor.
pub fn vendor(name: &Label) -> Key {
    Space::Vendor.key(name.as_str().as_bytes())
}

/// The key of an administrator.
pub fn administrator(name: &Label) -> Key {
    Space::Administrator.key(name.as_str().as_bytes())
}

/// The key of the next keys of CAs whose certificates an account has shown to have.
pub fn shown(account: &Label) -> Key {
    Space::Shown.key(account.as_str().as_bytes())
}

/// The key of a CA.
pub fn ca(name: &Label) -> Key {
    Space::Ca.key(name.as_str().as_bytes())
}

/// The key of the default CA's name.
pub fn default_ca() -> Key {
    Space::DefaultCa.key(&[])
}

/// The key that says that a CA issues no more.
pub fn retired(ca: &Label) -> Key {
    Space::Retired.key(ca.as_str().as_bytes())
}

/// The CA in a key of [`retired`].
pub fn read_retired(key: &[u8]) -> Option<Label> {
    std::str::from_utf8(Space::Retired.rest(key)?).ok()?.parse().ok()
}

/// The key of the last CRL of a CA and a scope.
pub fn last_crl(ca: &Label, of: CrlScope) -> Key {
    match of {
        CrlScope::Full => Space::LastCrl.named(ca, &[scope::FULL]),
        CrlScope::Delta => Space::LastCrl.named(ca, &[scope::DELTA]),
        CrlScope::Partition(number) => {
            let [high, low] = number.to_be_bytes();
            Space::LastCrl.named(ca, &[scope::PARTITION, high, low])
        }
    }
}

/// The key of the full CRL to which a CA's delta CRLs refer.
pub fn base_crl(ca: &Label) -> Key {
    Space::LastCrl.named(ca, &[scope::BASE])
}

/// The beginning of the keys of [`last_crl`] and [`base_crl`] of a CA.
pub fn crls(ca: &Label) -> Key {
    Space::LastCrl.named(ca, &[])
}

/// The key of the largest partition number that a certificate of a CA names.
pub fn last_partition(ca: &Label) -> Key {
    Space::LastPartition.named(ca, &[])
}

/// The key of the unused serials that the entry at an offset reserved.
pub fn reserved(offset: u64) -> Key {
    Space::Reserved.key(&offset.to_be_bytes())
}

/// The offset in a key of [`reserved`].
pub fn read_reserved(key: &[u8]) -> Option<u64> {
    Space::Reserved.rest(key)?.try_into().ok().map(u64::from_be_bytes)
}

/// The key of a chunk of certificates in the order of issue.
pub fn filed(chunk: u64) -> Key {
    Space::Filed.key(&chunk.to_be_bytes())
}

/// The chunk in a key of [`filed`].
pub fn read_filed(key: &[u8]) -> Option<u64> {
    Space::Filed.rest(key)?.try_into().ok().map(u64::from_be_bytes)
}

/// The key of a span of certificates in the order of issue.
pub fn span(span: u64) -> Key {
    Space::Span.key(&span.to_be_bytes())
}

/// The key of the certificates in a span that need no renewal.
pub fn ended(span: u64) -> Key {
    Space::Ended.key(&span.to_be_bytes())
}

/// The key of the revocation or hold of a certificate.
pub fn revoked(ca: &Label, serial: &Serial) -> Key {
    Space::Revoked.named(ca, serial.octets())
}

/// The certificate in a key of [`revoked`].
pub fn read_revoked(key: &[u8]) -> Option<CertificateId> {
    certificate_id(Space::Revoked.rest(key)?)
}

/// The key of the release of a certificate from hold.
pub fn released(ca: &Label, serial: &Serial) -> Key {
    Space::Released.named(ca, serial.octets())
}

/// The key of the serial whose revocation, hold or release the entry at an offset recorded.
pub fn change(ca: &Label, offset: u64) -> Key {
    Space::Change.named(ca, &offset.to_be_bytes())
}

/// The beginning of the keys of [`change`] of a CA.
pub fn changes(ca: &Label) -> Key {
    Space::Change.named(ca, &[])
}

/// The key of the awaited confirmation of a certificate.
pub fn unconfirmed(ca: &Label, serial: &Serial) -> Key {
    Space::Unconfirmed.named(ca, serial.octets())
}

/// The certificate in a key of [`unconfirmed`].
pub fn read_unconfirmed(key: &[u8]) -> Option<CertificateId> {
    certificate_id(Space::Unconfirmed.rest(key)?)
}

/// The key of a certificate whose confirmation is awaited until a moment. A later moment has a larger key.
pub fn awaited(until: Timestamp, ca: &Label, serial: &Serial) -> Key {
    let parts: [&[u8]; 5] =
        [&Space::Awaited.prefix(), &ordered(until), ca.as_str().as_bytes(), &[0], serial.octets()];
    parts.concat()
}

/// The moment and the certificate in a key of [`awaited`].
pub fn read_awaited(key: &[u8]) -> Option<(Timestamp, CertificateId)> {
    let (until, rest) = Space::Awaited.rest(key)?.split_first_chunk()?;
    Some((from_ordered(*until), certificate_id(rest)?))
}

/// The key of a certificate that is to be revoked at a moment, as it was replaced. A later moment has a larger key.
pub fn retires(due: Timestamp, ca: &Label, serial: &Serial) -> Key {
    let parts: [&[u8]; 5] =
        [&Space::Retires.prefix(), &ordered(due), ca.as_str().as_bytes(), &[0], serial.octets()];
    parts.concat()
}

/// The moment and the certificate in a key of [`retires`].
pub fn read_retires(key: &[u8]) -> Option<(Timestamp, CertificateId)> {
    let (due, rest) = Space::Retires.rest(key)?.split_first_chunk()?;
    Some((from_ordered(*due), certificate_id(rest)?))
}

/// The key of what replaced a certificate that is to be revoked.
pub fn retiring(ca: &Label, serial: &Serial) -> Key {
    Space::Retiring.named(ca, serial.octets())
}

/// The key of the certificate that this one replaces.
pub fn replacement(ca: &Label, serial: &Serial) -> Key {
    Space::Replacement.named(ca, serial.octets())
}

/// The key of a request that an administrator must decide.
pub fn request(id: &RequestId) -> Key {
    Space::Request.key(id.octets())
}

/// The request in a key of [`request`].
pub fn read_request(key: &[u8]) -> Option<RequestId> {
    Space::Request.rest(key)?.try_into().ok().map(RequestId::new)
}

/// The key of the people who approved a request.
pub fn approvers(id: &RequestId) -> Key {
    Space::Approvers.key(id.octets())
}

/// The key of the request that a transaction joined.
pub fn joined(transaction: &TransactionId) -> Key {
    Space::Joined.key(transaction)
}

/// The key of the times at which the open requests of an account expire, or those of all accounts for `None`.
pub fn request_counts(account: Option<&Label>) -> Key {
    Space::RequestCounts.key(account.map_or(&[][..], |name| name.as_str().as_bytes()))
}

/// The key of a block of transactions.
pub fn transactions(block: TransactionBlock) -> Key {
    let TransactionBlock { bucket, number } = block;
    [&Space::Transactions.prefix()[..], &bucket.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// The block in a key of [`transactions`].
pub fn read_transactions(key: &[u8]) -> Option<TransactionBlock> {
    let (bucket, number) = Space::Transactions.rest(key)?.split_first_chunk()?;
    let (bucket, number) = (u64::from_be_bytes(*bucket), number.try_into().ok()?);
    Some(TransactionBlock { bucket, number: u32::from_be_bytes(number) })
}

/// The key of the moment at which administrators last did something, such as `backup`.
pub fn deed(action: &str) -> Key {
    Space::Deed.key(action.as_bytes())
}

/// The key of the last restore from a backup.
pub fn restored() -> Key {
    Space::Restored.key(&[])
}

/// The key of the position in the journal that the index on disk has reached.
pub fn position() -> Key {
    Space::Position.key(&[])
}

/// A name, an octet 0 and a serial.
fn certificate_id(octets: &[u8]) -> Option<CertificateId> {
    // No name has an octet 0.
    let end = octets.iter().position(|octet| *octet == 0)?;
    let name = std::str::from_utf8(octets.get(..end)?).ok()?;
    let serial = octets.get(end.saturating_add(1)..)?;
    Some(CertificateId { ca: name.parse().ok()?, serial: Serial::from_octets(serial)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_was_made_of() {
        let (ca, serial): (Label, _) = ("a".parse().unwrap(), Serial::new([7; 16]).unwrap());
        let id = CertificateId { ca: ca.clone(), serial };
        let block = TransactionBlock { bucket: 3, number: 9 };
        let until = Timestamp::from_millis(-4);
        assert_eq!(read_filed(&filed(513)), Some(513));
        assert_eq!(read_transactions(&transactions(block)), Some(block));
        assert_eq!(read_reserved(&reserved(513)), Some(513));
        assert_eq!(read_revoked(&revoked(&ca, &serial)), Some(id.clone()));
        let long = CertificateId { serial: Serial::from_octets(&[1; 20]).unwrap(), ..id.clone() };
        assert_eq!(read_revoked(&revoked(&ca, &long.serial)), Some(long));
        assert_eq!(read_awaited(&awaited(until, &ca, &serial)), Some((until, id)));
        let due = Timestamp::from_millis(8);
        let id = CertificateId { ca: ca.clone(), serial };
        assert_eq!(read_retires(&retires(due, &ca, &serial)), Some((due, id)));
        let request_id = RequestId::of(b"x");
        assert_eq!(read_request(&request(&request_id)), Some(request_id));
        assert_eq!(read_revoked(&released(&ca, &serial)), None, "it is of another space");
    }
}
