//! CRLs of other versions, with odd entries and odd extensions, of any size; and odd serial numbers.

use std::sync::Arc;

use countersign_ca::path::Certificate;
use countersign_ca::path::crl::{Crl, CrlStatus};
use x509_cert::ext::pkix::CrlReason;

use super::draft::{
    BEFORE, Ca, Draft, entry, extension, good, number, reason, revoked, seq, status, tlv, unknown,
};

/// A root, and a certificate of it with the serial number 7.
fn site() -> (Ca, Arc<Certificate>) {
    let root = Ca::root();
    let leaf = root.leaf(&[7]);
    (root, leaf)
}

fn of(root: &Ca, leaf: &Arc<Certificate>, draft: &Draft) -> CrlStatus {
    status(root, &[], leaf, root, &[draft.read(root)])
}

#[test]
fn version_1_is_read() {
    let (root, leaf) = site();
    let first =
        |entries: &[Vec<u8>]| Draft { version: None, extensions: Vec::new(), ..Draft::of(entries) };
    revoked(&of(&root, &leaf, &first(&[entry(&[8], &[]), entry(&[7], &[])])));
    good(&of(&root, &leaf, &first(&[entry(&[8], &[])])));
    good(&of(&root, &leaf, &first(&[])));
    // §5.1.2.1: extensions come with version 2 alone. Whom such a CRL lists is revoked all the same.
    let odd = |entries| Draft { version: None, ..Draft::of(entries) };
    unknown(&of(&root, &leaf, &odd(&[])), "not of version 2");
    revoked(&of(&root, &leaf, &odd(&[entry(&[7], &[])])));
    let third = |entries| Draft { version: Some(2), ..Draft::of(entries) };
    unknown(&of(&root, &leaf, &third(&[])), "its version is 2");
    revoked(&of(&root, &leaf, &third(&[entry(&[7], &[])])));
}

#[test]
fn an_odd_entry_hides_neither_itself_nor_the_others() {
    let (root, leaf) = site();
    let long = [1; 22];
    let no_date = |date: &[u8]| seq(&[&[2, 1, 7], date]);
    let odd = [
        ("a serial number of 22 octets", entry(&long, &[])),
        ("reason 7", entry(&[9], &[reason(7)])),
        ("a reason that is no number", entry(&[9], &[extension(21, false, b"\x0c\x01x")])),
        ("two reasons", entry(&[9], &[reason(1), reason(8)])),
        ("an invalidityDate that is none", entry(&[9], &[extension(24, false, &[5, 0])])),
        ("a negative serial number", entry(&[0x87], &[])),
        ("no serial number", seq(&[&[5, 0]])),
        ("no extension where some should be", seq(&[&[2, 1, 9], &tlv(0x17, BEFORE), &[5, 0]])),
    ];
    for (what, odd) in odd {
        revoked(&of(&root, &leaf, &Draft::of(&[odd.clone(), entry(&[7], &[])])));
        revoked(&of(&root, &leaf, &Draft::of(&[entry(&[7], &[]), odd.clone()])));
        let other = of(&root, &leaf, &Draft::of(&[odd]));
        match what {
            // It may be anybody's.
            "no serial number" => unknown(&other, "an entry has no serial number"),
            _ => assert!(matches!(other, CrlStatus::Good(_)), "{what}: {other:?}"),
        }
    }
    for listed in [
        entry(&[7], &[reason(7)]),
        entry(&[7], &[reason(1), reason(8)]),
        entry(&[7], &[extension(21, false, b"\x0c\x01x")]),
        entry(&[0, 7], &[]),
        no_date(&[]),
        no_date(b"\x17\x02no"),
        no_date(&[5, 0]),
        seq(&[&[2, 1, 7], &tlv(0x17, BEFORE), &[5, 0]]),
    ] {
        let found = of(&root, &leaf, &Draft::of(&[listed]));
        assert!(matches!(found, CrlStatus::Revoked { reason: CrlReason::Unspecified, .. }));
    }
    // Of two entries the gravest counts.
    for both in [[reason(6), reason(1)], [reason(1), reason(6)]] {
        let both = both.map(|reason| entry(&[7], &[reason]));
        let found = of(&root, &leaf, &Draft::of(&both));
        assert!(matches!(found, CrlStatus::Revoked { reason: CrlReason::KeyCompromise, .. }));
    }
    // The long one, too, is found.
    let root = Ca::root();
    let leaf = root.leaf(&long);
    revoked(&of(&root, &leaf, &Draft::of(&[entry(&long, &[reason(1)])])));
    good(&of(&root, &leaf, &Draft::of(&[entry(&[1; 21], &[]), entry(&[1; 23], &[])])));
}

#[test]
fn what_is_critical_and_unknown_is_not_used() {
    let (root, leaf) = site();
    for draft in [
        Draft::of(&[entry(&[7], &[])]).with(&[extension(99, true, &[5, 0])]),
        Draft::of(&[entry(&[7], &[]), entry(&[8], &[extension(99, true, &[5, 0])])]),
    ] {
        unknown(&of(&root, &leaf, &draft), "is unknown (§5.");
    }
    // Not critical, it says nothing.
    let ignored = extension(99, false, &[5, 0]);
    good(&of(
        &root,
        &leaf,
        &Draft::of(&[entry(&[8], std::slice::from_ref(&ignored))]).with(&[ignored]),
    ));
    // An identifier of more than 39 octets is one, too.
    let long = |critical: &[u8]| {
        let id = tlv(6, &[&[0x2a][..], &[0x81; 39], &[1]].concat());
        seq(&[&id, critical, &tlv(4, &[5, 0])])
    };
    good(&of(&root, &leaf, &Draft::default().with(&[long(&[])])));
    unknown(&of(&root, &leaf, &Draft::default().with(&[long(&[1, 1, 0xff])])), "`0x2a81");
}

#[test]
fn an_extension_stands_once() {
    let (root, leaf) = site();
    // onlyContainsAttributeCerts, and a CRL of everything.
    let (attributes, all) =
        (extension(28, true, &[0x30, 3, 0x85, 1, 0xff]), extension(28, true, &[0x30, 0]));
    for twice in [[attributes.clone(), all.clone()], [all.clone(), attributes], [all.clone(), all]]
    {
        unknown(&of(&root, &leaf, &Draft::default().with(&twice)), "");
    }
    let one = extension(28, true, &[0x30, 0]);
    good(&of(&root, &leaf, &Draft::default().with(std::slice::from_ref(&one))));
    for twice in [number(6), extension(99, false, &[5, 0])] {
        let draft = Draft::default().with(&[twice.clone(), twice]);
        unknown(&of(&root, &leaf, &draft), "twice (§4.2)");
    }
}

#[test]
fn a_serial_number_is_a_minimal_integer() {
    let root = Ca::root();
    for serial in [&[7][..], &[0x80], &[0, 0x80], &[0xff, 0x7f], &[0], &[0x80; 40]] {
        let der = with_serial(&root, serial);
        assert_eq!(Certificate::from_der(der).unwrap().serial, serial);
    }
    for serial in [&[0, 7][..], &[0, 0, 0x80], &[0xff, 0x80], &[]] {
        assert!(Certificate::from_der(with_serial(&root, serial)).is_err(), "{serial:?}");
    }
    // Of another type.
    let octets = with_serial(&root, &[7]);
    let at = octets.windows(3).position(|of| of == [2, 1, 7]).unwrap();
    let mut other = octets;
    other[at] = 4;
    assert!(Certificate::from_der(other).is_err());
    // 0x80 is -128, and 0x00 0x80 is 128.
    let negative = Arc::new(Certificate::from_der(with_serial(&root, &[0x80])).unwrap());
    revoked(&of(&root, &negative, &Draft::of(&[entry(&[0x80], &[])])));
    revoked(&of(&root, &negative, &Draft::of(&[entry(&[0xff, 0x80], &[])])));
    good(&of(&root, &negative, &Draft::of(&[entry(&[0, 0x80], &[])])));
}

/// A certificate of this root with these content octets as serial number. Its signature is wrong.
fn with_serial(root: &Ca, serial: &[u8]) -> Vec<u8> {
    let der = root.leaf(&[7]).der().to_vec();
    let at = der.windows(3).position(|of| of == [2, 1, 7]).unwrap();
    // SEQUENCE { SEQUENCE { [0] version, serialNumber: the two heads have four or three octets each.
    let outer = if der[1] == 0x82 { 4 } else { 3 };
    let (head, length) = match der[outer + 1] {
        0x82 => (4, usize::from(der[outer + 2]) << 8 | usize::from(der[outer + 3])),
        _ => (3, usize::from(der[outer + 2])),
    };
    let (start, end) = (outer + head, outer + head + length);
    let tbs = [&der[start..at], &tlv(2, serial), &der[at + 3..end]].concat();
    seq(&[&tlv(0x30, &tbs), &der[end..]])
}

#[test]
fn no_list_takes_longer_than_it_is_long() {
    let (root, leaf) = site();
    let name = |count: usize| {
        let attribute = |number: usize| {
            let text = format!("{number:08}");
            seq(&[&[6, 3, 0x55, 4, 3], &tlv(0x0c, text.as_bytes())])
        };
        let all: Vec<u8> = (0..count).flat_map(attribute).collect();
        seq(&[&tlv(0x31, &all)])
    };
    // Sets that would be put in order one by one.
    let draft = Draft::default();
    assert!(Crl::from_der(&draft.sign_as(&root, &name(16))).is_ok());
    let error = Crl::from_der(&draft.sign_as(&root, &name(17))).unwrap_err();
    assert!(error.to_string().contains("a set in it has too many elements"), "{error}");
    let relative = |count| {
        let rdn = tlv(0xa1, &name(count)[4 + 4..]);
        extension(28, true, &seq(&[&tlv(0xa0, &rdn)]))
    };
    let scoped = |count| Crl::from_der(&draft.clone().with(&[relative(count)]).sign(&root));
    assert!(scoped(20).is_ok());
    assert!(scoped(65).unwrap_err().to_string().contains("too many elements"));
    let indirect = |names: &[u8]| extension(29, true, names);
    let of_large = entry(&[9], &[indirect(&seq(&[&tlv(0xa4, &name(17))]))]);
    unknown(&of(&root, &leaf, &Draft::of(&[of_large])), "certificateIssuer cannot be read");
    // 50,000 issuers, each compared with all before it, would take an hour.
    let issuer = |number: usize| {
        let text = format!("ca {number}");
        let attribute = seq(&[&[6, 3, 0x55, 4, 3], &tlv(0x0c, text.as_bytes())]);
        let name = tlv(0xa4, &seq(&[&tlv(0x31, &attribute)]));
        entry(&[7], &[indirect(&seq(&[&name]))])
    };
    let mut entries: Vec<Vec<u8>> = (0..50_000).map(issuer).collect();
    let scope = extension(28, true, &[0x30, 3, 0x84, 1, 0xff]);
    let many = Draft::of(&entries).with(std::slice::from_ref(&scope));
    assert_eq!(many.read(&root).len(), 50_000);
    good(&of(&root, &leaf, &many));
    let own = tlv(0xa4, &der::Encode::to_der(&root.certificate.subject_name).unwrap());
    entries.push(entry(&[7], &[indirect(&seq(&[&own]))]));
    revoked(&of(&root, &leaf, &Draft::of(&entries).with(&[scope])));
}
