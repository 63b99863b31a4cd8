//! The IPsec vocabulary against independent sources: the lists of attributes of the shared cases, lines printed by OpenSSL, hashes
//! printed in isakmpd.policy(5).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use countersign_policy::AttributeSet;
use countersign_policy::attributes::AttributeError;
use countersign_policy::ipsec::address::Padded;
use countersign_policy::ipsec::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::IpAddr;

type Record = BTreeMap<String, String>;

#[test]
fn a_question_has_exactly_the_attributes_of_the_shared_cases() {
    let records = records();
    assert_eq!(records.len(), 5);
    for (id, record) in records {
        assert_eq!(listed(&question(&record).attributes().unwrap()), record, "{id}");
    }
}

#[test]
fn a_question_written_by_hand_is_case_gen_00340() {
    let ours = Phase2 {
        phase1: Phase1 {
            exchange: Exchange::Main,
            group: Some(14),
            initiator: false,
            identity: Selector {
                identity: Identity::Address(ip("192.168.2.9")),
                port: 500,
                protocol: 17,
            },
            remote_address: ip("192.168.2.9"),
            local_address: ip("203.0.113.172"),
            moment: moment(),
        },
        initiator: false,
        pfs: true,
        proposal: Proposal {
            esp: Some(Esp {
                algorithms: EspAlgorithms::Separate(Cipher::Blowfish, Some(Integrity::HmacSha)),
                key_length: None,
                key_rounds: None,
                terms: Terms {
                    life_seconds: Some(1200),
                    encapsulation: Some(Encapsulation::Tunnel),
                    group: Some(14),
                    ..Terms::default()
                },
            }),
            ah: Some(Ah {
                hash: Some(AhHash::Sha),
                integrity: Some(Integrity::HmacMd5),
                key_length: None,
                key_rounds: None,
                terms: Terms {
                    life_seconds: Some(1200),
                    encapsulation: Some(Encapsulation::Tunnel),
                    ..Terms::default()
                },
            }),
            ipcomp: None,
        },
        remote: Some(Selector {
            identity: Identity::Range(
                AddressRange::new(ip("10.2.41.0"), ip("10.2.41.255")).unwrap(),
            ),
            port: 0,
            protocol: 17,
        }),
        local: Some(Selector {
            identity: Identity::Subnet(Subnet::new(ip("172.16.9.9"), 16).unwrap()),
            port: 0,
            protocol: 0,
        }),
    };
    let (_, record) = records().into_iter().find(|(id, _)| id == "gen-00340").unwrap();
    assert_eq!(listed(&ours.attributes().unwrap()), record);
}

#[test]
fn every_question_writes_the_whole_vocabulary() {
    let vocabulary: Vec<_> = {
        let mut names: Vec<_> = names().map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    for set in [phase1().attributes().unwrap(), phase2().attributes().unwrap()] {
        assert_eq!(listed(&set).into_keys().collect::<Vec<_>>(), vocabulary);
    }
    let (_, record) = records().swap_remove(0);
    assert_eq!(record.into_keys().collect::<Vec<_>>(), vocabulary);
}

#[test]
fn a_question_of_phase_1_proposes_nothing() {
    let mut phase1 = phase1();
    (phase1.exchange, phase1.group, phase1.initiator) = (Exchange::Ikev2, None, true);
    let set = phase1.attributes().unwrap();
    for (name, value) in [
        ("phase_1", "ikev2"),
        ("phase1_group_desc", ""),
        ("initiator", "yes"),
        ("pfs", "no"),
        ("esp_present", "no"),
        ("ah_present", "no"),
        ("comp_present", "no"),
        ("esp_ecn", "no"),
        ("ah_ecn", "no"),
        ("comp_ecn", "no"),
        ("esp_enc_alg", ""),
        ("esp_auth_alg", ""),
        ("ah_hash_alg", ""),
        ("comp_alg", ""),
        ("esp_life_seconds", ""),
        ("esp_encapsulation", ""),
        ("remote_filter", ""),
        ("remote_filter_type", ""),
        ("remote_filter_addr_lower", ""),
        ("local_filter_proto", ""),
        ("local_filter_port", ""),
        ("remote_id", "gw7.example.org"),
        ("remote_id_type", "FQDN"),
        ("remote_id_addr_upper", ""),
    ] {
        assert_eq!(text(&set, name), value, "{name}");
    }
}

#[test]
fn a_missing_selector_is_the_ike_address_without_port_and_protocol() {
    let mut phase2 = phase2();
    (phase2.remote, phase2.local) = (None, None);
    phase2.phase1.remote_address = ip("2001:DB8::1");
    let set = phase2.attributes().unwrap();
    for (name, value) in [
        ("remote_filter_type", "IPv6 address"),
        ("remote_filter", "2001:0db8:0000:0000:0000:0000:0000:0001"),
        ("remote_filter_addr_lower", "2001:0db8:0000:0000:0000:0000:0000:0001"),
        ("remote_filter_addr_upper", "2001:0db8:0000:0000:0000:0000:0000:0001"),
        ("remote_filter_port", ""),
        ("remote_filter_proto", ""),
        ("local_filter_type", "IPv4 address"),
        ("local_filter", "203.000.113.007"),
        ("remote_negotiation_address", "2001:0db8:0000:0000:0000:0000:0000:0001"),
        ("local_negotiation_address", "203.000.113.007"),
    ] {
        assert_eq!(text(&set, name), value, "{name}");
    }
}

#[test]
fn identities_have_their_values_and_types() {
    let name = DistinguishedName::from_der(&hex(PLAIN)).unwrap();
    let range = AddressRange::new(ip("fe80::1"), ip("fe80::ff")).unwrap();
    let cases = [
        (Identity::UserFqdn(b"joe@example.org".into()), "User FQDN", "joe@example.org", ""),
        (Identity::DistinguishedName(name), "ASN1 DN", "/C=SE/O=Example/CN=gw7", ""),
        (Identity::GeneralName, "ASN1 GN", "", ""),
        (Identity::KeyId(b"key 7~".into()), "Key ID", "key 7~", ""),
        (Identity::KeyId(b"\x00\xab\xcd7\x7f".into()), "Key ID", "00abcd377f", ""),
        (
            Identity::Range(range),
            "IPv6 range",
            "fe80:0000:0000:0000:0000:0000:0000:0001-fe80:0000:0000:0000:0000:0000:0000:00ff",
            "fe80:0000:0000:0000:0000:0000:0000:0001",
        ),
        (
            Identity::Subnet(Subnet::new(ip("2001:db8:1:2::9"), 63).unwrap()),
            "IPv6 subnet",
            "2001:0db8:0001:0002:0000:0000:0000:0000-2001:0db8:0001:0003:ffff:ffff:ffff:ffff",
            "2001:0db8:0001:0002:0000:0000:0000:0000",
        ),
    ];
    for (identity, kind, value, lower) in cases {
        let mut phase1 = phase1();
        phase1.identity = Selector { identity, port: 0, protocol: 97 };
        let set = phase1.attributes().unwrap();
        assert_eq!(text(&set, "remote_id_type"), kind);
        assert_eq!(text(&set, "remote_id"), value, "{kind}");
        assert_eq!(text(&set, "remote_id_addr_lower"), lower, "{kind}");
        assert_eq!(text(&set, "remote_id_proto"), "etherip");
    }
}

#[test]
fn what_a_stranger_sends_that_cannot_be_carried_is_an_error_that_names_the_attribute() {
    for (name, error) in [
        (b"gw\0.example".to_vec(), AttributeError::Nul("remote_id".into())),
        (
            vec![b'a'; 65537],
            AttributeError::TooLong { name: "remote_id".into(), length: 65537, limit: 65536 },
        ),
    ] {
        let mut phase1 = phase1();
        phase1.identity.identity = Identity::Fqdn(name.clone());
        assert_eq!(phase1.attributes().unwrap_err(), error);
        let mut phase2 = phase2();
        phase2.remote = Some(Selector { identity: Identity::UserFqdn(name), port: 0, protocol: 0 });
        assert!(phase2.attributes().unwrap_err().to_string().contains("remote_filter"));
    }
}

#[test]
fn algorithms_fail_closed_where_isakmpd_does_not() {
    let names = |aead| {
        let algorithms = EspAlgorithms::Combined(aead);
        (algorithms.cipher_name(), algorithms.integrity_name())
    };
    assert_eq!(names(Aead::AesGcm16), ("aes", "aes-gcm-16"));
    assert_eq!(names(Aead::AesGmac), ("null", "aes-gmac"));
    assert_eq!(names(Aead::ChaCha20Poly1305), ("chacha20-poly1305", "chacha20-poly1305"));
    assert_eq!(EspAlgorithms::Separate(Cipher::AesCtr, None).cipher_name(), "aes");
    assert_eq!(Integrity::HmacSha384.ah_hash().map(AhHash::name), Some("sha2-384"));
    let mut phase2 = phase2();
    let endless =
        Terms { life_seconds: Some(u32::MAX), life_kbytes: Some(2147483646), ..Terms::default() };
    phase2.proposal.esp.as_mut().unwrap().terms = endless;
    let set = phase2.attributes().unwrap();
    assert_eq!(text(&set, "esp_life_seconds"), "2147483647");
    assert_eq!(text(&set, "esp_life_kbytes"), "2147483646");
}

#[test]
fn ranges_subnets_and_times_are_checked() {
    let subnet =
        |address, length| Subnet::new(ip(address), length).map(|subnet| subnet.range().to_string());
    let all = "000.000.000.000-255.255.255.255";
    assert_eq!(subnet("10.1.2.3", 0).unwrap(), all);
    assert_eq!(subnet("10.1.2.3", 32).unwrap(), "010.001.002.003-010.001.002.003");
    assert_eq!(
        subnet("10.1.2.3", 33),
        Err(AddressError::Prefix { address: ip("10.1.2.3"), length: 33, bits: 32 })
    );
    assert!(subnet("::", 0).unwrap().ends_with("-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
    assert!(subnet("::", 128).is_ok() && subnet("::", 129).is_err());
    let masked = |mask| {
        Subnet::with_mask(ip("192.168.2.77"), ip(mask)).map(|subnet| subnet.range().to_string())
    };
    assert_eq!(masked("255.255.255.192").unwrap(), "192.168.002.064-192.168.002.127");
    assert_eq!(masked("0.0.0.0").unwrap(), all);
    for mask in ["255.0.255.0", "0.0.0.255", "128.0.0.1"] {
        assert_eq!(masked(mask), Err(AddressError::Mask(ip(mask))));
    }
    assert!(matches!(masked("ffff::"), Err(AddressError::Families(..))));
    let range = |lower, upper| AddressRange::new(ip(lower), ip(upper));
    assert!(matches!(range("10.0.0.2", "10.0.0.1"), Err(AddressError::Reversed(..))));
    assert!(matches!(range("10.0.0.2", "::1"), Err(AddressError::Families(..))));

    assert_eq!(CivilTime::new((2024, 2, 29), (23, 59, 60)).unwrap().to_string(), "20240229235960");
    assert_eq!(CivilTime::new((33, 1, 2), (3, 4, 5)).unwrap().to_string(), "00330102030405");
    for (date, time) in [
        ((2026, 2, 29), (0, 0, 0)),
        ((1900, 2, 29), (0, 0, 0)),
        ((2026, 4, 31), (0, 0, 0)),
        ((2026, 13, 1), (0, 0, 0)),
        ((2026, 0, 1), (0, 0, 0)),
        ((2026, 1, 0), (0, 0, 0)),
        ((10000, 1, 1), (0, 0, 0)),
        ((2026, 1, 1), (24, 0, 0)),
        ((2026, 1, 1), (0, 60, 0)),
        ((2026, 1, 1), (0, 0, 61)),
    ] {
        assert!(CivilTime::new(date, time).is_err(), "{date:?} {time:?}");
    }
}

#[test]
fn a_literal_that_no_value_equals_is_told_with_the_right_one() {
    for (name, literal, hint) in [
        ("remote_ike_address", "192.168.2.1", "`192.168.002.001`"),
        ("remote_filter_addr_lower", "2001:DB8::1", "`2001:0db8:0000:0000:0000:0000:0000:0001`"),
        ("remote_ike_address", "192.168.002.256", "expected an address"),
        ("remote_ike_address", "192.168.002", "expected an address"),
        ("remote_ike_address", "gw7.example.org", "expected an address"),
        ("remote_id", "192.168.2.1", "`192.168.002.001`"),
        ("local_filter", "10.0.0.0-10.0.0.255", "`010.000.000.000-010.000.000.255`"),
        ("local_filter", "010.000.000.009-010.000.000.001", "after its end"),
        ("local_filter", "10.1.2.0/24", "`010.001.002.000-010.001.002.255`"),
        ("local_filter", "10.1.2.0/255.255.255.0", "`010.001.002.000-010.001.002.255`"),
        ("esp_enc_alg", "3DES", "did you mean `3des`?"),
        ("esp_enc_alg", "bloefish", "did you mean `blowfish`?"),
        ("ah_auth_alg", "md5", "did you mean `hmac-md5`?"),
        ("ah_auth_alg", "hmac-sha2-385", "did you mean `hmac-sha2-384`?"),
        ("phase_1", "ikev3", "did you mean `ikev2`?"),
        ("remote_id_type", "IPv4 Address", "did you mean `IPv4 address`?"),
        ("app_domain", "ipsec policy", "did you mean `IPsec policy`?"),
        ("esp_present", "", "never empty"),
        ("esp_present", "true", "expected one of `yes`, `no`"),
        ("esp_life_seconds", "03600", "`3600`"),
        ("esp_life_seconds", "1h", "decimal number"),
        ("esp_life_seconds", "2147483648", "at most `2147483647`"),
        ("esp_life_seconds", "99999999999999999999", "at most"),
        ("remote_filter_port", "65536", "at most `65535`"),
        ("remote_filter_proto", "17", "`udp`"),
        ("remote_filter_proto", "TCP", "`tcp`"),
        ("remote_filter_proto", "icmp", "the number of another protocol"),
        ("remote_filter_proto", "256", "at most `255`"),
        ("GMTTimeOfDay", "20260101", "only serve `<` and `>`"),
        ("LocalTimeOfDay", "20260230000000", "`YYYYMMDDHHMMSS`"),
        ("remote_id", "a\0b", "NUL"),
    ] {
        let message = attribute(name).unwrap().check(literal).unwrap_err();
        assert!(message.contains(hint), "{name} == {literal:?}: {message}");
    }
    for (name, literal) in [
        ("remote_ike_address", "192.168.002.001"),
        ("remote_filter", "010.000.000.000-010.000.000.255"),
        ("remote_id", "gw-7.example.org"),
        ("remote_id", "/C=SE/O=Example/CN=gw7"),
        ("remote_id", "joe@example.org"),
        ("esp_enc_alg", ""),
        ("esp_enc_alg", "aes"),
        ("esp_life_seconds", "0"),
        ("remote_filter_proto", "1"),
        ("remote_filter_proto", "tcp"),
        ("GMTTimeOfDay", "20260115093000"),
        ("esp_auth_alg", "aes-gcm-16"),
        ("phase_1", "ikev2"),
    ] {
        assert_eq!(attribute(name).unwrap().check(literal), Ok(()), "{name} == {literal:?}");
    }
    assert_eq!(attribute("remote_id").unwrap().check(b"\xff\xfe"), Ok(()));
    assert!(attribute("esp_enc_alg").unwrap().check(b"\xff\xfe").is_err());
    assert!(attribute("esp_enc_algo").is_none() && attribute("ESP_ENC_ALG").is_none());
}

#[test]
fn requesters_of_a_passphrase_are_those_of_the_manual() {
    let texts = passphrase(b"foobar").unwrap();
    let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_slice()).collect();
    assert_eq!(
        texts,
        [
            b"passphrase:foobar".as_slice(),
            b"passphrase-md5-hex:3858f62230ac3c915f300c664312c63f",
            b"passphrase-sha1-hex:8843d7f92416211de9ebb963ff4ce28125932878",
        ]
    );
    let goat = passphrase(b"mekmitasisgoat").unwrap();
    assert_eq!(goat[1].as_slice(), b"passphrase-md5-hex:10838982612aff543e2e62a67c786550");
    assert_eq!(passphrase(b"\xff\0\n").unwrap()[0].as_slice(), b"passphrase:\xff\0\n");
    assert_eq!(passphrase(b""), Err(PassphraseError::Empty));
    assert!(passphrase(&[7; 4096]).is_ok());
    assert_eq!(passphrase(&[7; 4097]), Err(PassphraseError::TooLong(4097)));
}

const PLAIN: &str = "302d310b30090603550406130253453110300e060355040a0c074578616d706c65310c300a06035504030c03677737";

/// Names in DER, and what `openssl x509 -subject -nameopt compat` of OpenSSL 3.0.19 prints for a certificate of each.
const LINES: &[(&str, &str)] = &[
    (PLAIN, "/C=SE/O=Example/CN=gw7"),
    (
        "3036310b300906035504061302534531193017060355040a0c1052c3a46b736dc3b67267c3a573204142310c300a06035504030c03e997a8",
        r#"/C=SE/O=R\xC3\xA4ksm\xC3\xB6rg\xC3\xA5s AB/CN=\xE9\x97\xA8"#,
    ),
    (
        "3020311e301c06035504030c15677722207c7c2022444e3a2f434e3d726f6f745c78",
        r#"/CN=gw" || "DN:\/CN=root\x"#,
    ),
    (
        "302b31173015060355040a0c0e4578616d706c652f434e3d6777373110300e06035504030c07612b623d632c64",
        r#"/O=Example\/CN=gw7/CN=a\+b=c,d"#,
    ),
    ("30143112301006035504030c096100620a097f1b7e20", r#"/CN=a\x00b\x0A\x09\x7F\x1B~ "#),
    (
        "3032310b30090603550406130253453117300a06035504030c036777373009060355040513023432310a3008060355040b0c0178",
        r#"/C=SE/CN=gw7+serialNumber=42/OU=x"#,
    ),
    (
        "302c311e300806035504030c0161300806035504030c01623008060355040a0c0163310a300806035504030c0164",
        r#"/CN=a+CN=b+O=c/CN=d"#,
    ),
    (
        "30383117301506035504030c0e4341204365727469666963617465311d301b06092a864886f70d010901160e636140666f6f2e6261722e636f6d",
        r#"/CN=CA Certificate/emailAddress=ca@foo.bar.com"#,
    ),
    (
        "302a310d300b06035504031e04006700e5310a3008060355040b1401e5310d300b0603550414120434362038",
        r#"/CN=\x00g\x00\xE5/OU=\xE5/telephoneNumber=46 8"#,
    ),
    (
        "302c3111300f060a2b06010401868d1f07080c0176310a300806038837010c0177310b30090604550403090c017a",
        r#"/1.3.6.1.4.1.99999.7.8=v/2.999.1=w/2.5.4.3.9=z"#,
    ),
    ("30173109300706035504030c00310a3008060355040a0c0178", r#"/CN=/O=x"#),
    (
        "303431203011060355040a0c0a434f52505c616c696365300b060355040b0c04615c2f623110300e06035504030c075c78435c786333",
        r#"/O=CORP\alice+OU=a\\/b/CN=\xC\xc3"#,
    ),
    (
        "308201303111300f060a0992268993f22c6401190c01763111300f060a0992268993f22c6401010c0176310a300806035504040c0176310a3008060355042a0c0176310a3008060355040c0c0176310a300806035504290c0176310a3008060355042e0c0176310a300806035504610c0176310a300806035504410c017631123010060b2b0601040182373c0201030c017631123010060b2b0601040182373c0201020c017631123010060b2b0601040182373c0201010c0176310a3008060355040f0c0176310a300806035504090c0176310a300806035504110c01763110300e06092a864886f70d0109020c01763110300e06092a864886f70d0109080c0176310a3008060355042d0c01763111300f060a0992268993f22c64012c0c01763111300f060a0992268993f22c6401030c0176",
        r#"/DC=v/UID=v/SN=v/GN=v/title=v/name=v/dnQualifier=v/organizationIdentifier=v/pseudonym=v/jurisdictionC=v/jurisdictionST=v/jurisdictionL=v/businessCategory=v/street=v/postalCode=v/unstructuredName=v/unstructuredAddress=v/x500UniqueIdentifier=v/uid=v/mail=v"#,
    ),
    (
        "301d311b301906146983ffffffffffffffffffffffffffffffffff7f0c0176",
        "/2.25.340282366920938463463374607431768211455=v",
    ),
];

#[test]
fn names_print_as_openssl_prints_them() {
    for (der, line) in LINES {
        let name = distinguished_name(&hex(der)).unwrap();
        assert_eq!(String::from_utf8(name).unwrap(), format!("DN:{line}"));
    }
}

#[test]
fn a_name_that_is_none_or_another_ones_is_an_error() {
    let error = |der: &str| DistinguishedName::from_der(&hex(der)).unwrap_err();
    assert_eq!(error("3000"), NameError::Empty);
    assert_eq!(
        distinguished_name(&[]).map_err(|error| error.to_string().contains("not a DER")),
        Err(true)
    );
    let malformed = [
        ("an empty relative name", "300e3100310a300806035504030c0178"),
        ("a bit string", "300f310d300b0603550403030400616263"),
        ("a sequence as value", "300e310c300a060355040330030c0178"),
        ("a constructed string", "300e310c300a06035504032c030c0178"),
        ("a context tag", "300c310a30080603550403800178"),
        ("not UTF-8", "300d310b300906035504030c02fffe"),
        ("three fields", "300f310d300b06035504030c01780c0178"),
        ("junk after the name", "300c310a300806035504030c017800"),
        ("junk after the first part", "300e310a300806035504030c01780500"),
        ("an overlong length", "30810c310a300806035504030c0178"),
        ("an indefinite length", "3080310a300806035504030c01780000"),
        ("a length past the end", "300d310a300806035504030c0178"),
        ("an empty type", "300b3109300706000c03616263"),
        ("a type that stops within an arc", "300c310a300806035504830c0178"),
        ("a type with a padded arc", "300d310b30090604550480030c0178"),
    ];
    for (what, der) in malformed {
        assert!(matches!(error(der), NameError::Malformed(_)), "{what}");
    }
    // `O=Example\, CN=gw7` has the line of `O=Example/CN=gw7`, and the text `\xC3` that of the byte.
    for der in [
        "30213111300f060355040a0c084578616d706c655c310c300a06035504030c03677737",
        "300f310d300b06035504030c045c784333",
    ] {
        assert!(matches!(error(der), NameError::Ambiguous(_)), "{der}");
    }
    assert!(matches!(error(LONG_OID), NameError::TooLong { limit: 79, .. }));
    let long = name_of(&[(0x0c, vec![b'a'; 8200])]);
    assert!(matches!(
        DistinguishedName::from_der(&long),
        Err(NameError::TooLong { limit: 8192, .. })
    ));
    let wide = name_of(&[(0x14, vec![0xff; 8000])]);
    assert!(matches!(
        DistinguishedName::from_der(&wide),
        Err(NameError::TooLong { limit: 16384, .. })
    ));
}

const LONG_OID: &str = "303831363034062f88378fffffff7f8fffffff7f8fffffff7f8fffffff7f8fffffff7f8fffffff7f8fffffff7f8fffffff7f8fffffff7f0c0176";

proptest! {
    #[test]
    fn every_value_that_is_produced_passes_the_check_of_its_attribute(question in any_question()) {
        for set in [question.attributes().unwrap(), question.phase1.attributes().unwrap()] {
            prop_assert_eq!(set.len(), names().len());
            for (name, value) in set.iter() {
                let known = attribute(std::str::from_utf8(name).unwrap()).unwrap();
                prop_assert_eq!(known.check(value), Ok(()), "{} == {:?}", known.name, value);
            }
        }
    }

    #[test]
    fn no_literal_makes_a_check_panic(literal in prop::collection::vec(any::<u8>(), 0..80), text in ".{0,40}") {
        for name in names() {
            let known = attribute(name).unwrap();
            for literal in [literal.as_slice(), text.as_bytes()] {
                if let Err(message) = known.check(literal) {
                    prop_assert!(!message.is_empty() && message.len() < 1000);
                }
            }
        }
    }

    #[test]
    fn literals_in_the_shape_of_values_are_judged_without_panic(literal in "[0-9a-f.:/x-]{0,44}") {
        for name in names() {
            let _ = attribute(name).unwrap().check(&literal);
        }
    }

    #[test]
    fn no_bytes_make_a_name_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..47_usize, to: u8) {
        let _ = DistinguishedName::from_der(&bytes);
        let mut name = hex(PLAIN);
        name[at] = to;
        let _ = DistinguishedName::from_der(&name);
    }

    /// So no two names have the same line, and no value can give a peer the principal of another.
    #[test]
    fn a_line_reads_back_as_the_one_name_it_came_from(values in values()) {
        let tagged: Vec<_> = values.iter().map(|value| (0x14, value.clone())).collect();
        if let Ok(name) = DistinguishedName::from_der(&name_of(&tagged)) {
            prop_assert!(name.one_line().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(read_back(name.one_line()), values, "{}", name);
        }
    }

    #[test]
    fn an_address_is_of_one_width_and_orders_as_its_text(one: [u8; 4], other: [u8; 4], six: [u16; 8]) {
        let (left, right) = (IpAddr::from(one), IpAddr::from(other));
        prop_assert_eq!(left.cmp(&right), Padded(left).to_string().cmp(&Padded(right).to_string()));
        prop_assert_eq!(Padded(left).to_string().len(), 15);
        prop_assert_eq!(Padded(six.into()).to_string().parse::<IpAddr>().unwrap(), IpAddr::from(six));
        prop_assert_eq!(Padded(six.into()).to_string().len(), 39);
    }

    #[test]
    fn a_requester_of_a_passphrase_begins_with_its_kind(secret in prop::collection::vec(any::<u8>(), 1..100)) {
        let texts = passphrase(&secret).unwrap();
        prop_assert_eq!(texts[0].strip_prefix(b"passphrase:".as_slice()), Some(secret.as_slice()));
        prop_assert_eq!((texts.len(), texts[1].len(), texts[2].len()), (3, 19 + 32, 20 + 40));
    }
}

/// Values that collide when they are escaped carelessly.
fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let pieces: Vec<&[u8]> =
        vec![b"\\", b"/", b"+", b"x", b"C3", b"\\xC3", b"\xc3", b"/CN=", b"=", b"a", b"\0"];
    let value = prop::collection::vec(prop::sample::select(pieces), 0..6)
        .prop_map(|pieces| pieces.concat());
    prop::collection::vec(value, 1..4)
}

/// The values of the common names of which a line consists.
fn read_back(line: &str) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'/', ..] => {
                values.push(Vec::new());
                rest = rest.strip_prefix(b"/CN=").unwrap();
                continue;
            }
            [b'\\', sign @ (b'/' | b'+'), after @ ..] => (*sign, after),
            [b'\\', b'x', high, low, after @ ..]
                if [high, low].iter().all(|hex| b"0123456789ABCDEF".contains(hex)) =>
            {
                (hex(std::str::from_utf8(&[*high, *low]).unwrap())[0], after)
            }
            _ => (*first, after),
        };
        values.last_mut().unwrap().push(byte);
        rest = after;
    }
    values
}

fn any_question() -> impl Strategy<Value = Phase2> {
    let terms = (
        any::<Option<u32>>(),
        any::<Option<u32>>(),
        option(Encapsulation::ALL),
        any::<bool>(),
        any::<Option<u16>>(),
    )
        .prop_map(|(life_seconds, life_kbytes, encapsulation, ecn, group)| Terms {
            life_seconds,
            life_kbytes,
            encapsulation,
            ecn,
            group,
        })
        .boxed();
    let algorithms = prop_oneof![
        (prop::sample::select(Cipher::ALL), option(Integrity::ALL))
            .prop_map(|(c, i)| EspAlgorithms::Separate(c, i)),
        prop::sample::select(Aead::ALL).prop_map(EspAlgorithms::Combined),
    ];
    let numbers = any::<(Option<u16>, Option<u16>)>();
    let esp = (algorithms, numbers, terms.clone()).prop_map(
        |(algorithms, (key_length, key_rounds), terms)| Esp {
            algorithms,
            key_length,
            key_rounds,
            terms,
        },
    );
    let ah = (
        option(AhHash::ALL),
        option(Integrity::ALL),
        any::<(Option<u16>, Option<u16>)>(),
        terms.clone(),
    )
        .prop_map(|(hash, integrity, (key_length, key_rounds), terms)| Ah {
            hash,
            integrity,
            key_length,
            key_rounds,
            terms,
        });
    let comp = (option(Compression::ALL), any::<(Option<u16>, Option<u32>)>(), terms).prop_map(
        |(algorithm, (dictionary, private_algorithm), terms)| Comp {
            algorithm,
            dictionary,
            private_algorithm,
            terms,
        },
    );
    let proposal = (prop::option::of(esp), prop::option::of(ah), prop::option::of(comp))
        .prop_map(|(esp, ah, ipcomp)| Proposal { esp, ah, ipcomp });
    let selector = (any_identity(), any::<u16>(), any::<u8>())
        .prop_map(|(identity, port, protocol)| Selector { identity, port, protocol })
        .boxed();
    let facts = (
        prop::sample::select(Exchange::ALL),
        any::<Option<u16>>(),
        any::<[bool; 3]>(),
        any::<[IpAddr; 2]>(),
    );
    (
        facts,
        proposal,
        selector.clone(),
        prop::option::of(selector.clone()),
        prop::option::of(selector),
    )
        .prop_map(
            |(
                (exchange, group, [first, second, pfs], [remote, local]),
                proposal,
                identity,
                far,
                near,
            )| Phase2 {
                phase1: Phase1 {
                    exchange,
                    group,
                    initiator: first,
                    identity,
                    remote_address: remote,
                    local_address: local,
                    moment: moment(),
                },
                initiator: second,
                pfs,
                proposal,
                remote: far,
                local: near,
            },
        )
}

/// Names begin with a letter that no address has, because in the vocabulary a name in the form of an address counts as one.
fn any_identity() -> impl Strategy<Value = Identity> {
    prop_oneof![
        any::<IpAddr>().prop_map(Identity::Address),
        any::<(IpAddr, u8)>().prop_filter_map("a longer prefix", |(address, length)| {
            Subnet::new(address, length).ok().map(Identity::Subnet)
        }),
        any::<([u8; 4], [u8; 4])>().prop_filter_map("reversed", |(lower, upper)| {
            AddressRange::new(lower.into(), upper.into()).ok().map(Identity::Range)
        }),
        "g[^\0]{0,30}".prop_map(|name| Identity::Fqdn(name.into())),
        "g[^\0]{0,30}@x".prop_map(|name| Identity::UserFqdn(name.into())),
        Just(Identity::GeneralName),
        Just(Identity::DistinguishedName(DistinguishedName::from_der(&hex(PLAIN)).unwrap())),
        prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|id| Identity::KeyId([b"g", id.as_slice()].concat())),
    ]
}

fn option<T: Clone + std::fmt::Debug + 'static>(
    all: &'static [T],
) -> impl Strategy<Value = Option<T>> {
    prop::option::of(prop::sample::select(all))
}

fn records() -> Vec<(String, Record)> {
    #[derive(serde::Deserialize)]
    struct Line {
        id: String,
        attributes: Vec<(String, String)>,
    }
    let lines = include_str!("ipsec/questions.jsonl").lines();
    lines
        .map(|line| serde_json::from_str::<Line>(line).unwrap())
        .map(|line| (line.id, line.attributes.into_iter().collect()))
        .collect()
}

/// The typed question for a list of attributes.
fn question(record: &Record) -> Phase2 {
    let value = |name: &str| record[name].as_str();
    let yes = |name: &str| value(name) == "yes";
    Phase2 {
        phase1: Phase1 {
            exchange: named(Exchange::ALL, Exchange::name, value("phase_1")).unwrap(),
            group: value("phase1_group_desc").parse().ok(),
            initiator: false,
            identity: selector(record, "remote_id"),
            remote_address: unpadded(value("remote_ike_address")),
            local_address: unpadded(value("local_ike_address")),
            moment: Moment {
                utc: time(value("GMTTimeOfDay")),
                local: time(value("LocalTimeOfDay")),
            },
        },
        initiator: yes("initiator"),
        pfs: yes("pfs"),
        proposal: Proposal {
            esp: yes("esp_present").then(|| Esp {
                algorithms: EspAlgorithms::Separate(
                    named(Cipher::ALL, Cipher::name, value("esp_enc_alg")).unwrap(),
                    named(Integrity::ALL, Integrity::name, value("esp_auth_alg")),
                ),
                key_length: value("esp_key_length").parse().ok(),
                key_rounds: value("esp_key_rounds").parse().ok(),
                terms: terms(record, "esp"),
            }),
            ah: yes("ah_present").then(|| Ah {
                hash: named(AhHash::ALL, AhHash::name, value("ah_hash_alg")),
                integrity: named(Integrity::ALL, Integrity::name, value("ah_auth_alg")),
                key_length: value("ah_key_length").parse().ok(),
                key_rounds: value("ah_key_rounds").parse().ok(),
                terms: terms(record, "ah"),
            }),
            ipcomp: yes("comp_present").then(|| Comp {
                algorithm: named(Compression::ALL, Compression::name, value("comp_alg")),
                dictionary: value("comp_dict_size").parse().ok(),
                private_algorithm: value("comp_private_alg").parse().ok(),
                terms: terms(record, "comp"),
            }),
        },
        remote: Some(selector(record, "remote_filter")),
        local: Some(selector(record, "local_filter")),
    }
}

fn terms(record: &Record, protocol: &str) -> Terms {
    let value = |name: &str| record[&format!("{protocol}_{name}")].as_str();
    Terms {
        life_seconds: value("life_seconds").parse().ok(),
        life_kbytes: value("life_kbytes").parse().ok(),
        encapsulation: named(Encapsulation::ALL, Encapsulation::name, value("encapsulation")),
        ecn: value("ecn") == "yes",
        group: value("group_desc").parse().ok(),
    }
}

fn selector(record: &Record, prefix: &str) -> Selector {
    let value = |name: &str| record[&format!("{prefix}{name}")].as_str();
    let identity = match value("_type") {
        "IPv4 address" => Identity::Address(unpadded(value("_addr_lower"))),
        "IPv4 range" => Identity::Range(
            AddressRange::new(unpadded(value("_addr_lower")), unpadded(value("_addr_upper")))
                .unwrap(),
        ),
        "IPv4 subnet" => {
            let (lower, upper) = (bits(value("_addr_lower")), bits(value("_addr_upper")));
            let length = (lower ^ upper).leading_zeros();
            Identity::Subnet(Subnet::new(unpadded(value("_addr_lower")), length as u8).unwrap())
        }
        "FQDN" => Identity::Fqdn(value("").into()),
        "User FQDN" => Identity::UserFqdn(value("").into()),
        "ASN1 DN" => Identity::DistinguishedName(DistinguishedName::from_der(&hex(PLAIN)).unwrap()),
        other => panic!("{other}"),
    };
    let protocol = match value("_proto") {
        "tcp" => 6,
        "udp" => 17,
        number => number.parse().unwrap(),
    };
    Selector { identity, port: value("_port").parse().unwrap(), protocol }
}

fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, wanted: &str) -> Option<T> {
    all.iter().copied().find(|variant| name(*variant) == wanted)
}

fn unpadded(text: &str) -> IpAddr {
    let octets: Vec<u8> = text.split('.').map(|octet| octet.parse().unwrap()).collect();
    IpAddr::from(<[u8; 4]>::try_from(octets).unwrap())
}

fn bits(text: &str) -> u32 {
    match unpadded(text) {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(_) => panic!("{text}"),
    }
}

fn time(text: &str) -> CivilTime {
    let two = |at: usize| text[at..at + 2].parse().unwrap();
    CivilTime::new((text[..4].parse().unwrap(), two(4), two(6)), (two(8), two(10), two(12)))
        .unwrap()
}

fn moment() -> Moment {
    Moment { utc: time("20260115093000"), local: time("20260115103000") }
}

fn phase1() -> Phase1 {
    Phase1 {
        exchange: Exchange::Main,
        group: Some(14),
        initiator: false,
        identity: Selector {
            identity: Identity::Fqdn(b"gw7.example.org".into()),
            port: 500,
            protocol: 17,
        },
        remote_address: ip("198.51.100.7"),
        local_address: ip("203.0.113.7"),
        moment: moment(),
    }
}

fn phase2() -> Phase2 {
    let anyone = |identity| Some(Selector { identity, port: 0, protocol: 0 });
    let algorithms = EspAlgorithms::Separate(Cipher::Aes, Some(Integrity::HmacSha256));
    Phase2 {
        phase1: phase1(),
        initiator: true,
        pfs: true,
        proposal: Proposal {
            esp: Some(Esp {
                algorithms,
                key_length: Some(256),
                key_rounds: None,
                terms: Terms::default(),
            }),
            ..Proposal::default()
        },
        remote: anyone(Identity::Address(ip("10.0.0.1"))),
        local: anyone(Identity::Subnet(Subnet::new(ip("10.1.0.0"), 16).unwrap())),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn listed(set: &AttributeSet) -> Record {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    set.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn text<'a>(set: &'a AttributeSet, name: &str) -> &'a str {
    std::str::from_utf8(set.value(name).unwrap()).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// A name of common names with values of these tags.
fn name_of(values: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let tlv = |tag: u8, body: &[u8]| {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        let length = match length {
            [0, short @ 0..128] => vec![short],
            [0, long] => vec![0x81, long],
            long => [&[0x82], long.as_slice()].concat(),
        };
        [&[tag], length.as_slice(), body].concat()
    };
    let rdn = |(tag, value): &(u8, Vec<u8>)| {
        let fields = [[6, 3, 0x55, 4, 3].as_slice(), &tlv(*tag, value)].concat();
        tlv(0x31, &tlv(0x30, &fields))
    };
    tlv(0x30, &values.iter().map(rdn).collect::<Vec<_>>().concat())
}
