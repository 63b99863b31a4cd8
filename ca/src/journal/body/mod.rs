//! The bodies of entries as they lie on disk: CBOR arrays whose places are the fields' numbers.
//!
//! These structs change only by new fields at the end. The domain's records change as they need to; this file
//! stands between.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use der::{Decode as _, Encode as _};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use x509_cert::name::Name;

use super::entry::Entry;
use crate::clock::Timestamp;
use crate::equipment::{Equipment, Vendor};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::pending::{Decision, PendingRequest, RecordedRequest, RequestId, Verdict};
use crate::record::{
    Account, AccountSecret, CaRecord, CrlRecord, CrlScope, Deed, Duty, Incarnation, Issued, Label,
    Links, Permission, Reason, Restoration, Revocation, RevokedEntry, Serial, Succession,
    Transaction,
};

/// Writes the body of an entry.
pub(super) fn encode(entry: &Entry) -> Result<Vec<u8>> {
    match entry {
        Entry::Ca(ca) => to_vec(&CaBody::new(ca)),
        Entry::Reserved { ca, serials } => to_vec(&ReservedBody {
            ca: ca.as_str(),
            serials: Cow::Owned(serials.iter().flat_map(|s| *s.octets()).collect()),
        }),
        Entry::Issued(issued) => to_vec(&IssuedBody::new(issued)?),
        Entry::Confirmed { transaction } => to_vec(&ConfirmedBody { transaction }),
        Entry::Revoked { ca, serial, revocation, transaction, untaken } => to_vec(&RevokedBody {
            ca: ca.as_str(),
            serial: serial.octets(),
            at: revocation.at.millis(),
            reason: revocation.reason as u8,
            invalidity: revocation.invalidity.map(Timestamp::millis),
            transaction: transaction.as_ref().map(|t| TransactionBody::new(t, None)).transpose()?,
            untaken: untaken.then_some(true),
        }),
        Entry::Released { ca, serial } => {
            to_vec(&ReleasedBody { ca: ca.as_str(), serial: serial.octets() })
        }
        Entry::Crl(crl) => to_vec(&CrlBody::new(crl)),
        Entry::Accounts(accounts) => to_vec(&AccountsBody {
            accounts: accounts.iter().map(AccountBody::new).collect::<Result<_>>()?,
        }),
        Entry::AccountChanged(account) => to_vec(&AccountBody::new(account)?),
        Entry::AccountRemoved(name) => to_vec(&AccountRemovedBody { name: name.as_str() }),
        Entry::Locked { reference, until } => {
            to_vec(&LockedBody { reference, until: until.millis() })
        }
        Entry::Deed(deed) => {
            to_vec(&DeedBody { actor: &deed.actor, action: &deed.action, detail: &deed.detail })
        }
        Entry::Assigned { ca, duty } => {
            to_vec(&AssignedBody { ca: ca.as_str(), duty: *duty as u8 })
        }
        Entry::VendorTrusted(vendor) => encode_vendor(vendor),
        Entry::VendorRemoved(name) => to_vec(&VendorRemovedBody { name: name.as_str() }),
        Entry::Requested(pending) => to_vec(&RequestedBody::new(pending)?),
        Entry::Joined { request, transaction } => to_vec(&JoinedBody {
            request: request.octets(),
            transaction: TransactionBody::new(transaction, None)?,
        }),
        Entry::Decided { request, decision } => to_vec(&DecidedBody {
            request: request.octets(),
            verdict: decision.verdict as u8,
            actor: &decision.actor,
            words: decision.words.as_deref(),
        }),
        Entry::Restored(restoration) => to_vec(&RestoredBody {
            actor: &restoration.actor,
            backup: &restoration.backup,
            keeps_uses: restoration.keeps_uses,
        }),
        Entry::ClockAccepted { actor } => to_vec(&ClockAcceptedBody { actor }),
        Entry::Listed { ca, entry } => to_vec(&ListedBody {
            ca: ca.as_str(),
            serial: entry.serial.octets(),
            at: entry.revocation.at.millis(),
            reason: entry.revocation.reason as u8,
            invalidity: entry.revocation.invalidity.map(Timestamp::millis),
            not_after: entry.not_after.millis(),
            partition: entry.partition,
        }),
    }
}

/// Reads the body of an entry of this kind.
pub(super) fn decode(kind: u8, body: &[u8]) -> Result<Entry> {
    Ok(match kind {
        1 => Entry::Ca(from_slice::<CaBody<'_>>(body)?.record()?),
        2 => {
            let reserved: ReservedBody = from_slice(body)?;
            let (serials, rest) = reserved.serials.as_chunks::<16>();
            if !rest.is_empty() {
                return Err(Error::internal("its serials do not have 16 octets each"));
            }
            let serials = serials.iter().map(serial).collect::<Result<_>>()?;
            Entry::Reserved { ca: reserved.ca.parse()?, serials }
        }
        3 => Entry::Issued(from_slice::<IssuedBody>(body)?.record()?),
        4 => Entry::Confirmed {
            transaction: from_slice::<ConfirmedBody>(body)?.transaction.to_vec(),
        },
        5 => {
            let revoked: RevokedBody = from_slice(body)?;
            Entry::Revoked {
                ca: revoked.ca.parse()?,
                serial: serial(revoked.serial)?,
                revocation: Revocation {
                    at: Timestamp::from_millis(revoked.at),
                    reason: reason(revoked.reason)?,
                    invalidity: revoked.invalidity.map(Timestamp::from_millis),
                },
                transaction: revoked.transaction.map(|t| t.record(None)).transpose()?,
                untaken: revoked.untaken.unwrap_or(false),
            }
        }
        6 => {
            let released: ReleasedBody = from_slice(body)?;
            Entry::Released { ca: released.ca.parse()?, serial: serial(released.serial)? }
        }
        7 => Entry::Crl(from_slice::<CrlBody>(body)?.record()?),
        8 => Entry::Accounts(
            from_slice::<AccountsBody>(body)?
                .accounts
                .into_iter()
                .map(AccountBody::record)
                .collect::<Result<_>>()?,
        ),
        9 => Entry::AccountChanged(from_slice::<AccountBody>(body)?.record()?),
        10 => Entry::AccountRemoved(from_slice::<AccountRemovedBody>(body)?.name.parse()?),
        11 => {
            let locked: LockedBody = from_slice(body)?;
            Entry::Locked {
                reference: locked.reference.to_owned(),
                until: Timestamp::from_millis(locked.until),
            }
        }
        12 => {
            let deed: DeedBody = from_slice(body)?;
            Entry::Deed(Deed {
                actor: deed.actor.to_owned(),
                action: deed.action.to_owned(),
                detail: deed.detail.to_owned(),
            })
        }
        30 => Entry::VendorTrusted(decode_vendor(body)?),
        31 => Entry::VendorRemoved(from_slice::<VendorRemovedBody>(body)?.name.parse()?),
        20 => Entry::Requested(Box::new(from_slice::<RequestedBody>(body)?.record()?)),
        21 => from_slice::<DecidedBody>(body)?.entry()?,
        22 => from_slice::<JoinedBody>(body)?.entry()?,
        40 => {
            let restored: RestoredBody = from_slice(body)?;
            Entry::Restored(Restoration {
                actor: restored.actor.to_owned(),
                backup: restored.backup.try_into().map_err(Error::internal)?,
                keeps_uses: restored.keeps_uses,
            })
        }
        41 => {
            Entry::ClockAccepted { actor: from_slice::<ClockAcceptedBody>(body)?.actor.to_owned() }
        }
        42 => {
            let listed: ListedBody = from_slice(body)?;
            let revocation = Revocation {
                at: Timestamp::from_millis(listed.at),
                reason: reason(listed.reason)?,
                invalidity: listed.invalidity.map(Timestamp::from_millis),
            };
            Entry::Listed {
                ca: listed.ca.parse()?,
                entry: RevokedEntry {
                    serial: serial(listed.serial)?,
                    not_after: Timestamp::from_millis(listed.not_after),
                    partition: listed.partition,
                    revocation,
                },
            }
        }
        50 => from_slice::<AssignedBody<'_>>(body)?.entry()?,
        other => {
            return Err(Error::internal(format!(
                "its kind `{other}` is unknown: use the newer program that wrote it"
            )));
        }
    })
}

/// Writes an account as the index keeps it: its incarnation, and its body.
pub(crate) fn encode_account(account: &Account) -> Result<Vec<u8>> {
    let body = to_vec(&AccountBody::new(account)?)?;
    Ok([&account.incarnation.offset().to_be_bytes()[..], &body].concat())
}

/// Reads an account as the index keeps it.
pub(crate) fn decode_account(octets: &[u8]) -> Result<Account> {
    let (offset, body) = account_parts(octets)?;
    let account = from_slice::<AccountBody>(body)?.record()?;
    Ok(Account { incarnation: Incarnation::new(offset), ..account })
}

/// Which account of its name it is.
pub(crate) fn incarnation_of(octets: &[u8]) -> Result<Incarnation> {
    account_parts(octets).map(|(offset, _)| Incarnation::new(offset))
}

fn account_parts(octets: &[u8]) -> Result<(u64, &[u8])> {
    let parts = octets.split_first_chunk();
    let (offset, body) = parts.ok_or_else(|| Error::internal("an account is cut short"))?;
    Ok((u64::from_be_bytes(*offset), body))
}

/// Writes a CRL's record as the index keeps it.
pub(crate) fn encode_crl(crl: &CrlRecord) -> Result<Vec<u8>> {
    to_vec(&CrlBody::new(crl))
}

/// A CA's record as the index keeps it.
pub(crate) fn encode_ca(ca: &CaRecord) -> Result<Vec<u8>> {
    to_vec(&CaBody::new(ca))
}

/// Reads a CA's record as the index keeps it.
pub(crate) fn decode_ca(octets: &[u8]) -> Result<CaRecord> {
    from_slice::<CaBody<'_>>(octets)?.record()
}

/// A vendor as the index keeps it.
pub(crate) fn encode_vendor(vendor: &Vendor) -> Result<Vec<u8>> {
    to_vec(&VendorBody::new(vendor))
}

/// Reads a vendor as the index keeps it.
pub(crate) fn decode_vendor(octets: &[u8]) -> Result<Vendor> {
    from_slice::<VendorBody<'_>>(octets)?.record()
}

/// Reads a CRL's record as the index keeps it.
pub(crate) fn decode_crl(octets: &[u8]) -> Result<CrlRecord> {
    from_slice::<CrlBody>(octets)?.record()
}

#[derive(Encode, Decode)]
struct CaBody<'a> {
    #[b(0)]
    name: &'a str,
    #[n(1)]
    is_root: bool,
    #[cbor(b(2), with = "minicbor::bytes")]
    certificate: &'a [u8],
    /// The certificates above it, root last.
    #[n(3)]
    chain: Vec<ByteVec>,
    #[b(4)]
    succeeds: Option<SuccessionBody<'a>>,
}

#[derive(Encode, Decode)]
struct SuccessionBody<'a> {
    #[b(0)]
    predecessor: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    new_with_old: Option<&'a [u8]>,
    #[cbor(b(2), with = "minicbor::bytes")]
    old_with_new: Option<&'a [u8]>,
    /// Present and true where the CA before goes on issuing.
    #[n(3)]
    waits: Option<bool>,
}

impl<'a> SuccessionBody<'a> {
    fn new(succession: &'a Succession) -> Self {
        let links = succession.links.as_ref();
        Self {
            predecessor: succession.predecessor.as_str(),
            new_with_old: links.map(|links| links.new_with_old.as_slice()),
            old_with_new: links.map(|links| links.old_with_new.as_slice()),
            waits: succession.waits.then_some(true),
        }
    }

    fn record(self) -> Result<Succession> {
        let links = match (self.new_with_old, self.old_with_new) {
            (Some(new_with_old), Some(old_with_new)) => Some(Links {
                new_with_old: new_with_old.to_vec(),
                old_with_new: old_with_new.to_vec(),
            }),
            (None, None) => None,
            _ => return Err(Error::internal("one of its two links between roots is missing")),
        };
        let waits = self.waits.unwrap_or_default();
        Ok(Succession { predecessor: self.predecessor.parse()?, links, waits })
    }
}

impl<'a> CaBody<'a> {
    fn new(ca: &'a CaRecord) -> Self {
        Self {
            name: ca.name.as_str(),
            is_root: ca.is_root,
            certificate: &ca.certificate,
            chain: ca.chain.iter().cloned().map(ByteVec::from).collect(),
            succeeds: ca.succeeds.as_ref().map(SuccessionBody::new),
        }
    }

    fn record(self) -> Result<CaRecord> {
        Ok(CaRecord {
            name: self.name.parse()?,
            is_root: self.is_root,
            certificate: self.certificate.to_vec(),
            chain: self.chain.into_iter().map(Vec::from).collect(),
            succeeds: self.succeeds.map(SuccessionBody::record).transpose()?,
        })
    }
}

#[derive(Encode, Decode)]
struct AssignedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[n(1)]
    duty: u8,
}

impl AssignedBody<'_> {
    fn entry(self) -> Result<Entry> {
        let duty = match self.duty {
            1 => Duty::Default,
            2 => Duty::Issue,
            other => {
                return Err(Error::internal(format!(
                    "its duty `{other}` is unknown: use the newer program that wrote it"
                )));
            }
        };
        Ok(Entry::Assigned { ca: self.ca.parse()?, duty })
    }
}

#[derive(Encode, Decode)]
struct ReservedBody<'a> {
    #[b(0)]
    ca: &'a str,
    /// 16 octets each, one after the other.
    #[cbor(b(1), with = "minicbor::bytes")]
    serials: Cow<'a, [u8]>,
}

#[derive(Encode, Decode)]
struct IssuedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    serial: &'a [u8],
    #[b(2)]
    account: &'a str,
    #[b(3)]
    profile: &'a str,
    /// Milliseconds since 1970.
    #[n(4)]
    not_after: i64,
    #[cbor(b(5), with = "minicbor::bytes")]
    certificate: &'a [u8],
    #[n(6)]
    consumes_secret: bool,
    #[b(7)]
    transaction: Option<TransactionBody<'a>>,
    #[cbor(b(8), with = "minicbor::bytes")]
    replaces: Option<&'a [u8]>,
    #[n(9)]
    partition: Option<u16>,
    /// Absent for no.
    #[n(11)]
    consumes_equipment: Option<bool>,
    /// Present and true where the certificate is not shown before it is confirmed.
    #[n(10)]
    withheld: Option<bool>,
    /// Present and true where no directory is to show the certificate.
    #[n(12)]
    unpublished: Option<bool>,
}

#[derive(Encode, Decode)]
struct TransactionBody<'a> {
    #[cbor(b(0), with = "minicbor::bytes")]
    id: &'a [u8],
    #[n(1)]
    expires: i64,
    #[cbor(b(2), with = "minicbor::bytes")]
    context: &'a [u8],
    /// Whether it awaits the confirmation of the certificate in this very entry.
    #[n(3)]
    awaits: bool,
    /// The account, where it is not the entry's.
    #[b(4)]
    account: Option<&'a str>,
    #[n(5)]
    confirm_until: Option<i64>,
    /// The account of the registration authority that vouches for it.
    #[b(6)]
    registrar: Option<&'a str>,
    /// The address that the message came from, 4 or 16 octets; absent in all entries before addresses were recorded.
    #[n(7)]
    client: Option<ByteVec>,
}

#[derive(Encode, Decode)]
struct ConfirmedBody<'a> {
    #[cbor(b(0), with = "minicbor::bytes")]
    transaction: &'a [u8],
}

#[derive(Encode, Decode)]
struct RevokedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    serial: &'a [u8],
    #[n(2)]
    at: i64,
    /// The CRLReason of RFC 5280 §5.3.1.
    #[n(3)]
    reason: u8,
    #[n(4)]
    invalidity: Option<i64>,
    #[b(5)]
    transaction: Option<TransactionBody<'a>>,
    /// Present and true where the holder did not take the certificate.
    #[n(6)]
    untaken: Option<bool>,
}

#[derive(Encode, Decode)]
struct ReleasedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    serial: &'a [u8],
}

#[derive(Encode, Decode)]
struct CrlBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[n(1)]
    number: u64,
    #[n(2)]
    this_update: i64,
    #[n(3)]
    next_update: i64,
    #[n(4)]
    entries: u64,
    /// SHA-256 over the TBSCertList; in entries without the next field, over the whole CRL.
    #[cbor(b(5), with = "minicbor::bytes")]
    sha256: &'a [u8],
    /// 0 full, 1 delta, 2 and more: a partition's number and 2.
    #[n(6)]
    scope: Option<u32>,
    #[n(7)]
    is_base: Option<bool>,
    /// Absent where it is thisUpdate, as in all entries before thisUpdate was backdated.
    #[n(8)]
    signed: Option<i64>,
    /// Absent in entries before revocations were ordered by the journal, and where it is not known.
    #[n(9)]
    reached: Option<u64>,
}

#[derive(Encode, Decode)]
struct RestoredBody<'a> {
    #[b(0)]
    actor: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    backup: &'a [u8],
    #[n(2)]
    keeps_uses: bool,
}

#[derive(Encode, Decode)]
struct ClockAcceptedBody<'a> {
    #[b(0)]
    actor: &'a str,
}

#[derive(Encode, Decode)]
struct ListedBody<'a> {
    #[b(0)]
    ca: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    serial: &'a [u8],
    #[n(2)]
    at: i64,
    #[n(3)]
    reason: u8,
    #[n(4)]
    invalidity: Option<i64>,
    #[n(5)]
    not_after: i64,
    #[n(6)]
    partition: Option<u16>,
}

#[derive(Encode, Decode)]
struct AccountsBody<'a> {
    #[b(0)]
    accounts: Vec<AccountBody<'a>>,
}

#[derive(Encode, Decode)]
struct AccountBody<'a> {
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
    #[b(7)]
    equipment: Option<EquipmentBody<'a>>,
    #[n(5)]
    created: i64,
    /// The sum of 1 for key generation and 2 for cross-certification; absent for none.
    #[n(6)]
    permissions: Option<u32>,
}

#[derive(Encode, Decode)]
struct IdentityBody<'a> {
    /// The identification type of RFC 7296 §3.5: 2 FQDN, 3 RFC 822 address, 9 DN; 1 for both IP versions.
    #[n(0)]
    kind: u8,
    /// ASCII, 4 or 16 octets, or a DER Name.
    #[cbor(b(1), with = "minicbor::bytes")]
    value: Cow<'a, [u8]>,
}

#[derive(Encode, Decode)]
struct SecretBody<'a> {
    #[b(0)]
    reference: &'a str,
    #[cbor(b(1), with = "minicbor::bytes")]
    sealed: &'a [u8],
    #[n(2)]
    expires: i64,
    #[n(3)]
    uses_left: u32,
    /// Until when it was locked, and how often it had been, in entries before locks were kept in memory. Nobody asks for either.
    #[n(4)]
    locked_until: Option<i64>,
    #[n(5)]
    locks: u32,
    /// Absent for none.
    #[n(6)]
    given_back: Option<u32>,
}

#[derive(Encode, Decode)]
struct EquipmentBody<'a> {
    #[b(0)]
    vendor: &'a str,
    #[b(1)]
    value: &'a str,
    #[n(2)]
    uses_left: u32,
    #[n(3)]
    allowed: i64,
}

#[derive(Encode, Decode)]
struct VendorBody<'a> {
    #[b(0)]
    name: &'a str,
    /// The mapping's name.
    #[b(1)]
    mapping: &'a str,
    #[n(2)]
    roots: Vec<ByteVec>,
    #[n(3)]
    intermediates: Vec<ByteVec>,
    #[b(4)]
    profile: Option<&'a str>,
    #[b(5)]
    crls: Vec<&'a str>,
    #[n(6)]
    created: i64,
}

#[derive(Encode, Decode)]
struct VendorRemovedBody<'a> {
    #[b(0)]
    name: &'a str,
}

#[derive(Encode, Decode)]
struct AccountRemovedBody<'a> {
    #[b(0)]
    name: &'a str,
}

#[derive(Encode, Decode)]
struct LockedBody<'a> {
    #[b(0)]
    reference: &'a str,
    #[n(1)]
    until: i64,
}

#[derive(Encode, Decode)]
struct DeedBody<'a> {
    #[b(0)]
    actor: &'a str,
    #[b(1)]
    action: &'a str,
    #[b(2)]
    detail: &'a str,
}

#[derive(Encode, Decode)]
struct RequestedBody<'a> {
    #[b(0)]
    transaction: TransactionBody<'a>,
    #[cbor(b(1), with = "minicbor::bytes")]
    key: &'a [u8],
    #[cbor(b(2), with = "minicbor::bytes")]
    subject: Option<&'a [u8]>,
    #[n(3)]
    alt_names: Vec<ByteVec>,
    #[n(4)]
    extensions: Vec<ByteVec>,
    #[n(5)]
    not_before: Option<i64>,
    #[n(6)]
    not_after: Option<i64>,
    #[b(7)]
    profile: &'a str,
    #[b(8)]
    ca: &'a str,
    #[cbor(b(9), with = "minicbor::bytes")]
    updates: Option<&'a [u8]>,
    /// Whether directories are to show the certificate; absent where nothing is said.
    #[n(10)]
    published: Option<bool>,
}

#[derive(Encode, Decode)]
struct JoinedBody<'a> {
    /// Half of SHA-256 over the identifier of the transaction in which the request came.
    #[cbor(b(0), with = "minicbor::bytes")]
    request: &'a [u8],
    #[b(1)]
    transaction: TransactionBody<'a>,
}

#[derive(Encode, Decode)]
struct DecidedBody<'a> {
    /// Half of SHA-256 over the transaction's identifier.
    #[cbor(b(0), with = "minicbor::bytes")]
    request: &'a [u8],
    /// 1 approved, 2 rejected, 3 withdrawn.
    #[n(1)]
    verdict: u8,
    #[b(2)]
    actor: &'a str,
    #[b(3)]
    words: Option<&'a str>,
}

impl<'a> IssuedBody<'a> {
    fn new(issued: &'a Issued) -> Result<Self> {
        Ok(Self {
            ca: issued.ca.as_str(),
            serial: issued.serial.octets(),
            account: issued.account.as_str(),
            profile: issued.profile.as_str(),
            not_after: issued.not_after.millis(),
            certificate: &issued.certificate,
            consumes_secret: issued.consumes_secret,
            transaction: issued
                .transaction
                .as_ref()
                .map(|t| TransactionBody::new(t, Some(issued)))
                .transpose()?,
            replaces: issued.replaces.as_ref().map(|s| s.octets().as_slice()),
            partition: issued.partition,
            consumes_equipment: issued.consumes_equipment.then_some(true),
            withheld: issued.withheld.then_some(true),
            unpublished: issued.unpublished.then_some(true),
        })
    }

    fn record(self) -> Result<Issued> {
        let mut issued = Issued {
            ca: self.ca.parse()?,
            serial: serial(self.serial)?,
            account: self.account.parse()?,
            incarnation: None,
            profile: self.profile.parse()?,
            not_after: Timestamp::from_millis(self.not_after),
            certificate: self.certificate.to_vec(),
            consumes_secret: self.consumes_secret,
            consumes_equipment: self.consumes_equipment.unwrap_or(false),
            transaction: None,
            replaces: self.replaces.map(serial).transpose()?,
            partition: self.partition,
            withheld: self.withheld.unwrap_or(false),
            unpublished: self.unpublished.unwrap_or(false),
        };
        issued.transaction = self.transaction.map(|t| t.record(Some(&issued))).transpose()?;
        Ok(issued)
    }
}

impl<'a> TransactionBody<'a> {
    /// `issued` is the certificate in the same entry, the only one that the transaction may await.
    fn new(transaction: &'a Transaction, issued: Option<&Issued>) -> Result<Self> {
        let own = issued.map(|i| (&i.ca, &i.serial));
        let awaited = transaction.awaits.as_ref().map(|(ca, serial)| (ca, serial));
        if awaited.is_some() && awaited != own {
            return Err(Error::internal(
                "a transaction can await only the confirmation of the certificate that it issues",
            ));
        }
        let is_same = issued.is_some_and(|i| i.account == transaction.account);
        Ok(Self {
            id: &transaction.id,
            expires: transaction.expires.millis(),
            context: &transaction.context,
            awaits: awaited.is_some(),
            account: (!is_same).then(|| transaction.account.as_str()),
            confirm_until: transaction.confirm_until.map(Timestamp::millis),
            registrar: transaction.registrar.as_ref().map(Label::as_str),
            client: transaction.client.map(|address| address_octets(address).into()),
        })
    }

    fn record(self, issued: Option<&Issued>) -> Result<Transaction> {
        let account = match (self.account, issued) {
            (Some(name), _) => name.parse()?,
            (None, Some(issued)) => issued.account.clone(),
            (None, None) => return Err(Error::internal("its transaction names no account")),
        };
        Ok(Transaction {
            id: self.id.to_vec(),
            account,
            awaits: issued.filter(|_| self.awaits).map(|i| (i.ca.clone(), i.serial)),
            confirm_until: self.confirm_until.map(Timestamp::from_millis),
            expires: Timestamp::from_millis(self.expires),
            context: self.context.to_vec(),
            registrar: self.registrar.map(str::parse).transpose()?,
            client: self.client.map(|octets| address(&octets)).transpose()?,
        })
    }
}

impl<'a> RequestedBody<'a> {
    fn new(pending: &'a PendingRequest) -> Result<Self> {
        let request = &pending.request;
        let octets = |values: &[Vec<u8>]| values.iter().cloned().map(ByteVec::from).collect();
        Ok(Self {
            transaction: TransactionBody::new(&pending.transaction, None)?,
            key: &request.key,
            subject: request.subject.as_deref(),
            alt_names: octets(&request.alt_names),
            extensions: octets(&request.extensions),
            not_before: request.not_before.map(Timestamp::millis),
            not_after: request.not_after.map(Timestamp::millis),
            profile: request.profile.as_str(),
            ca: request.ca.as_str(),
            updates: request.updates.as_ref().map(|serial| serial.octets().as_slice()),
            published: request.published,
        })
    }

    fn record(self) -> Result<PendingRequest> {
        let octets = |values: Vec<ByteVec>| values.into_iter().map(Vec::from).collect();
        Ok(PendingRequest {
            transaction: self.transaction.record(None)?,
            incarnation: None,
            request: RecordedRequest {
                key: self.key.to_vec(),
                subject: self.subject.map(<[u8]>::to_vec),
                alt_names: octets(self.alt_names),
                extensions: octets(self.extensions),
                not_before: self.not_before.map(Timestamp::from_millis),
                not_after: self.not_after.map(Timestamp::from_millis),
                profile: self.profile.parse()?,
                ca: self.ca.parse()?,
                updates: self.updates.map(serial).transpose()?,
                published: self.published,
            },
        })
    }
}

impl JoinedBody<'_> {
    fn entry(self) -> Result<Entry> {
        let request = <[u8; 16]>::try_from(self.request).map_err(Error::internal)?;
        let transaction = self.transaction.record(None)?;
        Ok(Entry::Joined { request: RequestId::new(request), transaction })
    }
}

impl DecidedBody<'_> {
    fn entry(self) -> Result<Entry> {
        let request = <[u8; 16]>::try_from(self.request).map_err(Error::internal)?;
        let verdict = Verdict::from_number(self.verdict)
            .ok_or_else(|| Error::internal(format!("the verdict `{}` is unknown", self.verdict)))?;
        Ok(Entry::Decided {
            request: RequestId::new(request),
            decision: Decision {
                verdict,
                actor: self.actor.to_owned(),
                words: self.words.map(str::to_owned),
            },
        })
    }
}

impl<'a> CrlBody<'a> {
    fn new(crl: &'a CrlRecord) -> Self {
        Self {
            ca: crl.ca.as_str(),
            number: crl.number,
            this_update: crl.this_update.millis(),
            next_update: crl.next_update.millis(),
            entries: crl.entries,
            sha256: &crl.tbs_sha256,
            scope: Some(match crl.scope {
                CrlScope::Full => 0,
                CrlScope::Delta => 1,
                CrlScope::Partition(number) => u32::from(number).saturating_add(2),
            }),
            is_base: Some(crl.is_base),
            signed: Some(crl.signed).filter(|at| *at != crl.this_update).map(Timestamp::millis),
            reached: crl.reached,
        }
    }

    fn record(self) -> Result<CrlRecord> {
        Ok(CrlRecord {
            ca: self.ca.parse()?,
            number: self.number,
            this_update: Timestamp::from_millis(self.this_update),
            signed: Timestamp::from_millis(self.signed.unwrap_or(self.this_update)),
            next_update: Timestamp::from_millis(self.next_update),
            entries: self.entries,
            tbs_sha256: self.sha256.try_into().map_err(Error::internal)?,
            scope: match self.scope {
                None | Some(0) => CrlScope::Full,
                Some(1) => CrlScope::Delta,
                Some(more) => CrlScope::Partition(
                    u16::try_from(more.saturating_sub(2)).map_err(Error::internal)?,
                ),
            },
            is_base: self.is_base.unwrap_or(false),
            reached: self.reached,
        })
    }
}

impl<'a> AccountBody<'a> {
    fn new(account: &'a Account) -> Result<Self> {
        Ok(Self {
            name: account.name.as_str(),
            identities: account.identities.iter().map(IdentityBody::new).collect::<Result<_>>()?,
            profile: account.profile.as_str(),
            ca: account.ca.as_ref().map(Label::as_str),
            secret: account.secret.as_ref().map(|secret| SecretBody {
                reference: &secret.reference,
                sealed: &secret.sealed,
                expires: secret.expires.millis(),
                uses_left: secret.uses_left,
                locked_until: None,
                locks: 0,
                given_back: (secret.given_back > 0).then_some(secret.given_back),
            }),
            equipment: account.equipment.as_ref().map(EquipmentBody::new),
            created: account.created.millis(),
            permissions: permission_bits(&account.permissions),
        })
    }

    fn record(self) -> Result<Account> {
        Ok(Account {
            name: self.name.parse()?,
            identities: self
                .identities
                .into_iter()
                .map(IdentityBody::record)
                .collect::<Result<_>>()?,
            profile: self.profile.parse()?,
            ca: self.ca.map(str::parse).transpose()?,
            secret: self.secret.map(|secret| AccountSecret {
                reference: secret.reference.to_owned(),
                sealed: secret.sealed.to_vec(),
                expires: Timestamp::from_millis(secret.expires),
                uses_left: secret.uses_left,
                given_back: secret.given_back.unwrap_or(0),
            }),
            equipment: self.equipment.map(EquipmentBody::record).transpose()?,
            created: Timestamp::from_millis(self.created),
            permissions: permissions(self.permissions.unwrap_or(0))?,
            incarnation: Incarnation::NONE,
        })
    }
}

impl<'a> EquipmentBody<'a> {
    fn new(equipment: &'a Equipment) -> Self {
        Self {
            vendor: equipment.vendor.as_str(),
            value: &equipment.value,
            uses_left: equipment.uses_left,
            allowed: equipment.allowed.millis(),
        }
    }

    fn record(self) -> Result<Equipment> {
        Ok(Equipment {
            vendor: self.vendor.parse()?,
            value: self.value.to_owned(),
            uses_left: self.uses_left,
            allowed: Timestamp::from_millis(self.allowed),
        })
    }
}

impl<'a> VendorBody<'a> {
    fn new(vendor: &'a Vendor) -> Self {
        let all = |list: &[Vec<u8>]| list.iter().cloned().map(ByteVec::from).collect();
        Self {
            name: vendor.name.as_str(),
            mapping: vendor.mapping.name(),
            roots: all(&vendor.roots),
            intermediates: all(&vendor.intermediates),
            profile: vendor.profile.as_ref().map(Label::as_str),
            crls: vendor.crls.iter().map(String::as_str).collect(),
            created: vendor.created.millis(),
        }
    }

    fn record(self) -> Result<Vendor> {
        let all = |list: Vec<ByteVec>| list.into_iter().map(Vec::from).collect();
        Ok(Vendor {
            name: self.name.parse()?,
            mapping: self.mapping.parse()?,
            roots: all(self.roots),
            intermediates: all(self.intermediates),
            profile: self.profile.map(str::parse).transpose()?,
            crls: self.crls.into_iter().map(str::to_owned).collect(),
            created: Timestamp::from_millis(self.created),
        })
    }
}

impl<'a> IdentityBody<'a> {
    fn new(identity: &'a Identity) -> Result<Self> {
        let (kind, value) = match identity {
            Identity::Ip(address) => (1, Cow::Owned(address_octets(*address))),
            Identity::Fqdn(name) => (2, Cow::Borrowed(name.as_bytes())),
            Identity::Email(mailbox) => (3, Cow::Borrowed(mailbox.as_bytes())),
            Identity::Dn(name) => (9, Cow::Owned(name.to_der().map_err(Error::internal)?)),
        };
        Ok(Self { kind, value })
    }

    fn record(self) -> Result<Identity> {
        let text = || std::str::from_utf8(&self.value).map(str::to_owned).map_err(Error::internal);
        Ok(match (self.kind, self.value.len()) {
            (1, _) => Identity::Ip(address(&self.value)?),
            (2, _) => Identity::Fqdn(text()?),
            (3, _) => Identity::Email(text()?),
            (9, _) => Identity::Dn(Name::from_der(&self.value).map_err(Error::internal)?),
            (kind, _) => {
                return Err(Error::internal(format!("an identity of kind `{kind}` is unknown")));
            }
        })
    }
}

fn address_octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn address(octets: &[u8]) -> Result<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
    address.map_err(|_| Error::internal("an IP address does not have 4 or 16 octets"))
}

fn serial(octets: impl AsRef<[u8]>) -> Result<Serial> {
    <[u8; 16]>::try_from(octets.as_ref())
        .ok()
        .and_then(Serial::new)
        .ok_or_else(|| Error::internal("a serial does not have 16 octets, or is zero"))
}

const fn permission_bit(permission: Permission) -> u32 {
    match permission {
        Permission::KeyGeneration => 1,
        Permission::CrossCertification => 2,
    }
}

/// `None` for none, so that the entry of an account without permissions is what it always was.
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

fn reason(number: u8) -> Result<Reason> {
    Reason::from_number(number)
        .ok_or_else(|| Error::internal(format!("the revocation reason `{number}` is unknown")))
}

fn to_vec<T: Encode<()>>(body: &T) -> Result<Vec<u8>> {
    minicbor::to_vec(body).map_err(Error::internal)
}

fn from_slice<'b, T: Decode<'b, ()>>(octets: &'b [u8]) -> Result<T> {
    let mut decoder = minicbor::Decoder::new(octets);
    let body = decoder.decode().map_err(Error::internal)?;
    if decoder.position() == octets.len() {
        Ok(body)
    } else {
        Err(Error::internal("something stands behind its end"))
    }
}
