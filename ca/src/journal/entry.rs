//! What one entry of the journal says, and its payload: version, sequence number, time, kind and body in CBOR.
//!
//! An entry is one verb of [`crate::Store`]. Its sequence number is its place in the journal, from 0, and the
//! number of its leaf in the Merkle tree. How the bodies lie on disk stands in `body.rs`.

use minicbor::{Decoder, Encoder};

use super::body;
use crate::clock::Timestamp;
use crate::equipment::Vendor;
use crate::error::{Error, Result};
use crate::pending::{Decision, PendingRequest, RequestId};
use crate::record::{
    Account, CaRecord, CrlRecord, Deed, Duty, Issued, Label, Restoration, Revocation, RevokedEntry,
    Serial, Transaction,
};

/// The version of payloads that this program writes. It reads this one and every one before.
pub const PAYLOAD_VERSION: u8 = 1;

/// The most serials that one entry reserves.
pub const MAX_RESERVED: usize = 1024;

/// What one entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A CA's certificate was recorded.
    Ca(CaRecord),
    /// Serials are about to be signed with.
    Reserved {
        /// The CA that will use them.
        ca: Label,
        /// The serials, at most [`MAX_RESERVED`].
        serials: Vec<Serial>,
    },
    /// A certificate was issued.
    Issued(Issued),
    /// The holder of a transaction's certificate took it.
    Confirmed {
        /// The transaction's identifier.
        transaction: Vec<u8>,
    },
    /// A certificate was revoked or put on hold.
    Revoked {
        /// Its CA.
        ca: Label,
        /// Its serial.
        serial: Serial,
        /// When and why.
        revocation: Revocation,
        /// The transaction that asked for it.
        transaction: Option<Transaction>,
        /// Whether its holder did not take it, so that the use of the secret comes back.
        untaken: bool,
    },
    /// A held certificate is good again.
    Released {
        /// Its CA.
        ca: Label,
        /// Its serial.
        serial: Serial,
    },
    /// A CRL was signed.
    Crl(CrlRecord),
    /// Accounts were created.
    Accounts(Vec<Account>),
    /// An account was replaced by this one of the same name.
    AccountChanged(Account),
    /// An account was removed.
    AccountRemoved(Label),
    /// Wrong secrets locked a reference.
    Locked {
        /// The reference.
        reference: String,
        /// Until when.
        until: Timestamp,
    },
    /// An administrator did something.
    Deed(Deed),
    /// An administrator has a CA do this.
    Assigned {
        /// The CA.
        ca: Label,
        /// What it does from now on.
        duty: Duty,
    },
    /// A vendor's certificates may sign first enrolments.
    VendorTrusted(Vendor),
    /// A vendor is no longer trusted.
    VendorRemoved(Label),
    /// A request for a certificate waits for an administrator.
    Requested(Box<PendingRequest>),
    /// Another transaction asks for what a request that waits, or was approved, asks for, and goes on with it.
    Joined {
        /// The request.
        request: RequestId,
        /// The transaction.
        transaction: Transaction,
    },
    /// A request that waits was decided, or was given up.
    Decided {
        /// The request.
        request: RequestId,
        /// What was decided, by whom and why.
        decision: Decision,
    },
    /// The journal was restored from a backup, which ends before this entry.
    Restored(Restoration),
    /// An administrator says that the clock is right, whatever the entry before says. Only this entry may be earlier than the one
    /// before it.
    ClockAccepted {
        /// Who.
        actor: String,
    },
    /// A CRL of this CA that a restored instance signed before it was lost lists this serial, of which nothing else is known.
    Listed {
        /// Its CA.
        ca: Label,
        /// What the CRL says of it.
        entry: RevokedEntry,
    },
}

impl Entry {
    /// The kind's number in a payload. Numbers are never used again for something else.
    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::Ca(_) => 1,
            Self::Reserved { .. } => 2,
            Self::Issued(_) => 3,
            Self::Confirmed { .. } => 4,
            Self::Revoked { .. } => 5,
            Self::Released { .. } => 6,
            Self::Crl(_) => 7,
            Self::Accounts(_) => 8,
            Self::AccountChanged(_) => 9,
            Self::AccountRemoved(_) => 10,
            Self::Locked { .. } => 11,
            Self::Deed(_) => 12,
            Self::VendorTrusted(_) => 30,
            Self::VendorRemoved(_) => 31,
            Self::Requested(_) => 20,
            Self::Decided { .. } => 21,
            Self::Joined { .. } => 22,
            Self::Restored(_) => 40,
            Self::ClockAccepted { .. } => 41,
            Self::Listed { .. } => 42,
            Self::Assigned { .. } => 50,
        }
    }

    /// The kind's name for a reader.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ca(_) => "ca",
            Self::Reserved { .. } => "reserved",
            Self::Issued(_) => "issued",
            Self::Confirmed { .. } => "confirmed",
            Self::Revoked { .. } => "revoked",
            Self::Released { .. } => "released",
            Self::Crl(_) => "crl",
            Self::Accounts(_) => "accounts-created",
            Self::AccountChanged(_) => "account-changed",
            Self::AccountRemoved(_) => "account-removed",
            Self::Locked { .. } => "locked",
            Self::Deed(_) => "deed",
            Self::VendorTrusted(_) => "vendor-trusted",
            Self::VendorRemoved(_) => "vendor-removed",
            Self::Requested(_) => "requested",
            Self::Decided { .. } => "request-decided",
            Self::Joined { .. } => "request-joined",
            Self::Assigned { .. } => "ca-assigned",
            Self::Restored(_) => "restored",
            Self::ClockAccepted { .. } => "clock-accepted",
            Self::Listed { .. } => "listed",
        }
    }

    /// The body in CBOR.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be written.
    pub fn encode_body(&self) -> Result<Vec<u8>> {
        body::encode(self)
    }
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its sequence number, from 0.
    pub sequence: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What it says.
    pub entry: Entry,
}

/// The envelope of a payload: everything but the body's content.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The payload's version.
    pub version: u8,
    /// The sequence number.
    pub sequence: u64,
    /// When it was recorded.
    pub at: Timestamp,
    kind: u8,
    body: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a payload; `None` when it is no payload at all.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut decoder = Decoder::new(payload);
        if decoder.array().ok()? != Some(5) {
            return None;
        }
        let version = decoder.u8().ok()?;
        let sequence = decoder.u64().ok()?;
        let at = Timestamp::from_millis(decoder.i64().ok()?);
        let kind = decoder.u8().ok()?;
        let body = payload.get(decoder.position()..)?;
        Some(Self { version, sequence, at, kind, body })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`Error::Internal`] that says what is unknown or wrong.
    pub fn open(&self) -> Result<Recorded> {
        if self.version > PAYLOAD_VERSION {
            return Err(Error::internal(format!(
                "entry `{}` of the journal has version `{}`, and this program reads up to `{PAYLOAD_VERSION}`: \
                 use the newer program that wrote it",
                self.sequence, self.version
            )));
        }
        let entry = body::decode(self.kind, self.body).map_err(|why| {
            Error::internal(format!(
                "entry `{}` of the journal cannot be read: {why}",
                self.sequence
            ))
        })?;
        Ok(Recorded { sequence: self.sequence, at: self.at, entry })
    }
}

/// Writes a payload around a body.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written.
pub fn payload(sequence: u64, at: Timestamp, kind: u8, body: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new(Vec::with_capacity(body.len().saturating_add(24)));
    encoder
        .array(5)
        .and_then(|e| e.u8(PAYLOAD_VERSION))
        .and_then(|e| e.u64(sequence))
        .and_then(|e| e.i64(at.millis()))
        .and_then(|e| e.u8(kind))
        .map_err(Error::internal)?;
    let mut payload = encoder.into_writer();
    payload.extend_from_slice(body);
    Ok(payload)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::equipment::{Equipment, Mapping};
    use crate::identity::Identity;
    use crate::pending::{RecordedRequest, Verdict};
    use crate::record::{
        AccountSecret, CrlScope, Incarnation, Links, Permission, Reason, Succession,
    };

    pub fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    pub fn serial(number: u128) -> Serial {
        Serial::new(number.to_be_bytes()).unwrap()
    }

    pub fn account(name: &str) -> Account {
        Account {
            name: label(name),
            identities: [
                "fqdn:gw1.example.net",
                "ip:192.0.2.1",
                "ip:2001:db8::1",
                "email:a@example.net",
                "dn:CN=gw1,O=Example,C=DE",
            ]
            .map(|text| text.parse::<Identity>().unwrap())
            .to_vec(),
            profile: label("gateway"),
            ca: Some(label("issuing")),
            secret: Some(AccountSecret {
                reference: format!("ref-{name}"),
                sealed: vec![1, 2, 3],
                expires: Timestamp::from_seconds(2_000_000_000),
                uses_left: 3,
                given_back: 1,
            }),
            equipment: Some(Equipment {
                vendor: label("maker"),
                value: format!("SN-{name}"),
                uses_left: 2,
                allowed: Timestamp::from_millis(4),
            }),
            created: Timestamp::from_millis(-7),
            permissions: [Permission::CrossCertification].into(),
            incarnation: Incarnation::NONE,
        }
    }

    /// One entry of each kind.
    pub fn samples() -> Vec<Entry> {
        let transaction = |awaits| Transaction {
            id: vec![9; 16],
            account: label("gw1"),
            awaits,
            confirm_until: Some(Timestamp::from_millis(98)),
            expires: Timestamp::from_millis(99),
            context: vec![4; 40],
            registrar: None,
            client: Some([192, 0, 2, 1].into()),
        };
        let revocation = Revocation {
            at: Timestamp::from_millis(77),
            reason: Reason::KeyCompromise,
            invalidity: Some(Timestamp::from_millis(66)),
        };
        vec![
            Entry::Ca(CaRecord {
                name: label("root"),
                is_root: true,
                certificate: vec![48, 0],
                chain: vec![vec![48, 1]],
                succeeds: None,
            }),
            Entry::Ca(CaRecord {
                name: label("root.2"),
                is_root: true,
                certificate: vec![48, 2],
                chain: Vec::new(),
                succeeds: Some(Succession {
                    predecessor: label("root"),
                    links: Some(Links { new_with_old: vec![48, 3], old_with_new: vec![48, 4] }),
                    waits: false,
                }),
            }),
            Entry::Ca(CaRecord {
                name: label("issuing.2"),
                is_root: false,
                certificate: vec![48, 5],
                chain: vec![vec![48, 2]],
                succeeds: Some(Succession {
                    predecessor: label("issuing"),
                    links: None,
                    waits: true,
                }),
            }),
            Entry::Reserved { ca: label("issuing"), serials: vec![serial(1), serial(u128::MAX)] },
            Entry::Issued(Issued {
                ca: label("issuing"),
                serial: serial(1),
                account: label("gw1"),
                incarnation: None,
                profile: label("gateway"),
                not_after: Timestamp::from_seconds(1_900_000_000),
                certificate: vec![48, 1, 2],
                consumes_secret: true,
                consumes_equipment: true,
                transaction: Some(transaction(Some((label("issuing"), serial(1))))),
                replaces: Some(serial(3)),
                partition: Some(5),
                withheld: true,
                unpublished: true,
            }),
            Entry::Issued(Issued {
                ca: label("issuing"),
                serial: serial(2),
                account: label("gw1"),
                incarnation: None,
                profile: label("host"),
                not_after: Timestamp::from_seconds(1_900_000_000),
                certificate: vec![],
                consumes_secret: false,
                consumes_equipment: false,
                transaction: None,
                replaces: None,
                partition: None,
                withheld: false,
                unpublished: false,
            }),
            Entry::Confirmed { transaction: vec![9; 16] },
            Entry::Revoked {
                ca: label("issuing"),
                serial: serial(1),
                revocation: revocation.clone(),
                transaction: Some(Transaction {
                    registrar: Some(label("ra1")),
                    ..transaction(None)
                }),
                untaken: false,
            },
            Entry::Revoked {
                ca: label("issuing"),
                serial: serial(1),
                revocation: Revocation { invalidity: None, ..revocation },
                transaction: None,
                untaken: true,
            },
            Entry::Released { ca: label("issuing"), serial: serial(1) },
            Entry::Crl(CrlRecord {
                ca: label("issuing"),
                number: 12,
                this_update: Timestamp::from_millis(1),
                signed: Timestamp::from_millis(61),
                next_update: Timestamp::from_millis(2),
                entries: 3,
                tbs_sha256: [8; 32],
                scope: CrlScope::Partition(7),
                is_base: true,
                reached: Some(4096),
            }),
            Entry::Accounts(vec![account("gw1"), account("gw2")]),
            Entry::AccountChanged(Account {
                ca: None,
                secret: None,
                equipment: None,
                ..account("gw1")
            }),
            Entry::AccountRemoved(label("gw1")),
            Entry::Locked { reference: "ref-gw1".into(), until: Timestamp::from_millis(1) },
            Entry::Deed(Deed {
                actor: "root".into(),
                action: "store restore".into(),
                detail: "x".into(),
            }),
            Entry::VendorTrusted(Vendor {
                name: label("maker"),
                mapping: Mapping::Fqdn,
                roots: vec![vec![48, 7], vec![48, 8]],
                intermediates: vec![vec![48, 9]],
                profile: Some(label("gateway")),
                crls: vec!["/srv/maker.crl".into()],
                created: Timestamp::from_millis(3),
            }),
            Entry::VendorRemoved(label("maker")),
            Entry::Assigned { ca: label("issuing.2"), duty: Duty::Issue },
            Entry::Assigned { ca: label("issuing"), duty: Duty::Default },
            Entry::Requested(Box::new(PendingRequest {
                transaction: transaction(None),
                incarnation: None,
                request: RecordedRequest {
                    key: vec![48, 6],
                    subject: Some(vec![48, 7]),
                    alt_names: vec![vec![130, 1, 97], vec![]],
                    extensions: vec![vec![48, 8]],
                    not_before: None,
                    not_after: Some(Timestamp::from_millis(5)),
                    profile: label("gateway"),
                    ca: label("issuing"),
                    updates: Some(serial(7)),
                    published: Some(false),
                },
            })),
            Entry::Joined {
                request: RequestId::of(&[9; 16]),
                transaction: Transaction {
                    id: vec![8; 16],
                    client: Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
                    ..transaction(None)
                },
            },
            Entry::Decided {
                request: RequestId::of(&[9; 16]),
                decision: Decision {
                    verdict: Verdict::Rejected,
                    actor: "uid 0".into(),
                    words: Some("ask again".into()),
                },
            },
            Entry::Restored(Restoration {
                actor: "uid 0".into(),
                backup: [7; 32],
                keeps_uses: true,
            }),
            Entry::ClockAccepted { actor: "uid 0".into() },
            Entry::Listed {
                ca: label("issuing"),
                entry: RevokedEntry {
                    serial: serial(9),
                    not_after: Timestamp::from_seconds(1_900_000_000),
                    partition: Some(3),
                    revocation: Revocation {
                        at: Timestamp::from_millis(77),
                        reason: Reason::KeyCompromise,
                        invalidity: None,
                    },
                },
            },
        ]
    }

    #[test]
    fn every_kind_comes_back_as_it_was() {
        for (sequence, entry) in (7..).zip(samples()) {
            let at = Timestamp::from_millis(1_700_000_000_123);
            let bytes = payload(sequence, at, entry.kind(), &entry.encode_body().unwrap()).unwrap();
            let envelope = Envelope::parse(&bytes).unwrap();
            assert_eq!(envelope.open().unwrap(), Recorded { sequence, at, entry });
            for cut in 0..bytes.len() {
                let opened = Envelope::parse(&bytes[..cut]).map(|e| e.open());
                assert!(!matches!(opened, Some(Ok(_))), "cut at {cut}");
            }
        }
    }

    #[test]
    fn the_layout_on_disk_stays_what_it_is() {
        let entry = Entry::Released { ca: label("a"), serial: serial(1) };
        let bytes =
            payload(5, Timestamp::from_millis(256), entry.kind(), &entry.encode_body().unwrap())
                .unwrap();
        let expected =
            [vec![0x85, 1, 5, 0x19, 1, 0, 6, 0x82, 0x61, b'a', 0x50], vec![0; 15], vec![1]]
                .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_account_without_permissions_and_equipment_is_what_it_was_before_there_were_any() {
        let all = account("gw1");
        let permitted = Account { equipment: None, ..all.clone() };
        let neither = Account { permissions: Default::default(), ..permitted.clone() };
        let body = |account: Account| Entry::AccountChanged(account).encode_body().unwrap();
        // CBOR arrays of six, seven and eight.
        let mut unknown = body(permitted);
        assert_eq!([body(neither)[0], unknown[0], body(all)[0]], [0x86, 0x87, 0x88]);
        *unknown.last_mut().unwrap() = 8;
        let payload = payload(0, Timestamp::default(), 9, &unknown).unwrap();
        let error = Envelope::parse(&payload).unwrap().open().unwrap_err().to_string();
        assert!(error.contains("newer program"), "{error}");
    }

    #[test]
    fn a_transaction_of_before_addresses_were_recorded_is_what_it_was() {
        let before = || -> std::result::Result<Vec<u8>, minicbor::encode::Error<_>> {
            let mut body = Encoder::new(Vec::new());
            body.array(2)?.bytes(RequestId::of(&[9; 16]).octets())?;
            body.array(6)?.bytes(&[8; 16])?.i64(99)?.bytes(&[4; 40])?.bool(false)?.str("gw1")?;
            Ok(body.i64(98)?.writer().clone())
        };
        let before = before().unwrap();
        let payload = payload(0, Timestamp::default(), 22, &before).unwrap();
        let entry = Envelope::parse(&payload).unwrap().open().unwrap().entry;
        let Entry::Joined { transaction, .. } = &entry else { panic!("{entry:?}") };
        assert_eq!((transaction.client, &transaction.registrar), (None, &None));
        assert_eq!(entry.encode_body().unwrap(), before);
    }

    #[test]
    fn a_crl_of_which_nobody_knows_how_far_it_reaches_is_what_it_was_before_that_was_recorded() {
        let of = |reached| {
            let crl = samples().into_iter().find_map(|entry| match entry {
                Entry::Crl(crl) => Some(CrlRecord { reached, ..crl }),
                _ => None,
            });
            Entry::Crl(crl.unwrap())
        };
        let (without, with) = (of(None).encode_body().unwrap(), of(Some(7)).encode_body().unwrap());
        // CBOR arrays of nine and of ten.
        assert_eq!([without[0], with[0]], [0x89, 0x8a]);
        let payload = payload(0, Timestamp::default(), of(None).kind(), &without).unwrap();
        assert_eq!(Envelope::parse(&payload).unwrap().open().unwrap().entry, of(None));
    }

    #[test]
    fn a_newer_version_and_an_unknown_kind_are_named() {
        let newer = [0x85, 2, 0, 0, 1, 0x80];
        let error = Envelope::parse(&newer).unwrap().open().unwrap_err().to_string();
        assert!(error.contains("version `2`"), "{error}");
        let unknown = [0x85, 1, 0, 0, 0x18, 99, 0x80];
        let error = Envelope::parse(&unknown).unwrap().open().unwrap_err().to_string();
        assert!(error.contains("kind `99`"), "{error}");
    }
}
