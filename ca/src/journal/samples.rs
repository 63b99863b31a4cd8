//! Entries for tests: at least one of each kind, and the records in them.

use super::entry::Entry;
use crate::clock::Timestamp;
use crate::name::Identity;
use crate::record::approval::{
    Decision, PartialApproval, PendingRequest, RecordedRequest, RequestId, Verdict,
};
use crate::record::{
    Account, AccountSecret, AdminAction, Administrator, AnchorEvidence, AnchorShown, CaRecord,
    CrlRecord, CrlScope, Duty, Incarnation, Issued, Label, Links, Permission, Reason, Remarks,
    Restoration, Revocation, RevokedEntry, Serial, Succession, Transaction,
};
use crate::record::{CertificateId, Device, Grant, Mapping, OidcUser, ProvenBy, Token, Vendor};

/// A label of this text, which must be a valid one.
pub fn label(text: &str) -> Label {
    text.parse().unwrap()
}

/// A serial with this value.
pub fn serial(number: u128) -> Serial {
    Serial::new(number.to_be_bytes()).unwrap()
}

/// An account with an identity of each kind.
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
        equipment: Some(Device {
            vendor: label("maker"),
            value: format!("SN-{name}"),
            uses_left: 2,
            allowed: Timestamp::from_millis(4),
        }),
        created: Timestamp::from_millis(-7),
        permissions: [Permission::CrossCertification].into(),
        remarks: Remarks {
            labels: [("site".to_owned(), "berlin".to_owned())].into(),
            owner: Some("net team".into()),
            note: Some("rack 4".into()),
        },
        is_disabled: true,
        incarnation: Incarnation::NONE,
    }
}

/// At least one entry of each kind.
pub fn samples() -> Vec<Entry> {
    let transaction = |awaits| Transaction {
        id: vec![9; 16],
        account: label("gw1"),
        awaits,
        confirm_until: Some(Timestamp::from_millis(98)),
        expires: Timestamp::from_millis(99),
        context: vec![4; 40],
        registrar: None,
        proof: Some(ProvenBy::Vendor),
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
            succeeds: Some(Succession { predecessor: label("issuing"), links: None, waits: true }),
        }),
        Entry::Reserved { ca: label("issuing"), serials: vec![serial(1), serial(u128::MAX)] },
        Entry::Reserved {
            ca: label("before"),
            serials: vec![serial(1), Serial::from_octets(&[1; 20]).unwrap()],
        },
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
            transaction: Some(transaction(Some(CertificateId::new(label("issuing"), serial(1))))),
            replaces: Some(serial(3)),
            partition: Some(5),
            withheld: true,
            unpublished: true,
            retires: Some(std::time::Duration::from_secs(60)),
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
            retires: None,
        }),
        Entry::Confirmed { transaction: vec![9; 16] },
        Entry::Revoked {
            ca: label("issuing"),
            serial: serial(1),
            revocation: revocation.clone(),
            transaction: Some(Transaction { registrar: Some(label("ra1")), ..transaction(None) }),
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
            brought: None,
        }),
        Entry::Crl(CrlRecord {
            ca: label("root"),
            number: 4,
            this_update: Timestamp::from_millis(1),
            signed: Timestamp::from_millis(1),
            next_update: Timestamp::from_millis(2),
            entries: 1,
            tbs_sha256: [7; 32],
            scope: CrlScope::Full,
            is_base: false,
            reached: None,
            brought: Some(vec![48, 3]),
        }),
        Entry::Accounts(vec![account("gw1"), account("gw2")]),
        Entry::AccountChanged(Account {
            ca: None,
            secret: None,
            equipment: None,
            ..account("gw1")
        }),
        Entry::AccountRemoved(label("gw1")),
        Entry::AccountRenamed { from: label("gw1"), to: label("gw2") },
        Entry::Locked { reference: "ref-gw1".into(), until: Timestamp::from_millis(1) },
        Entry::AdminAction(AdminAction {
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
        Entry::AnchorShown(AnchorShown {
            account: label("gw1"),
            incarnation: None,
            ca: label("issuing.2"),
            evidence: AnchorEvidence::Marked,
            actor: Some("uid 0".into()),
        }),
        Entry::AdministratorChanged(Administrator {
            name: label("alice"),
            grants: vec![
                Grant::of_everything(label("approver")),
                Grant {
                    role: label("operator"),
                    cas: [label("issuing")].into(),
                    accounts: ["gw-*".to_owned()].into(),
                },
            ],
            tokens: vec![Token {
                name: label("monitor"),
                hash: [7; 32],
                roles: [label("viewer")].into(),
                created: Timestamp::from_millis(4),
                expires: Timestamp::from_millis(5),
            }],
            created: Timestamp::from_millis(3),
            oidc: Some(OidcUser {
                issuer: "https://id.example.net".to_owned(),
                subject: "248289761001".to_owned(),
            }),
        }),
        Entry::AdministratorRemoved(label("alice")),
        Entry::Assigned { ca: label("issuing.2"), duty: Duty::Issue },
        Entry::Assigned { ca: label("issuing"), duty: Duty::Default },
        Entry::Assigned { ca: label("before"), duty: Duty::Retire },
        Entry::Assigned { ca: label("before"), duty: Duty::Return },
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
        Entry::PartlyApproved {
            request: RequestId::of(&[9; 16]),
            approval: PartialApproval {
                person: "alice".into(),
                actor: "alice (token ci, from 192.0.2.1)".into(),
                comment: Some("known by voice".into()),
            },
        },
        Entry::Decided {
            request: RequestId::of(&[9; 16]),
            decision: Decision {
                verdict: Verdict::Rejected,
                actor: "uid 0".into(),
                comment: Some("ask again".into()),
            },
        },
        Entry::Restored(Restoration { actor: "uid 0".into(), backup: [7; 32], keeps_uses: true }),
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
