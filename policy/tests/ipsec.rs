//! The typed questions give what isakmpd gives: the corpus holds its attribute sets, and OpenSSL writes the names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use countersign_policy::attributes::AttributeError;
use countersign_policy::ipsec::{
    self, AddressRange, Authentication, Compression, Encapsulation, Encryption, Exchange, Hash,
    Identity, Ipcomp, Moment, NameError, Phase1, Phase2, Question, Selector, Transform,
    distinguished_name,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    id: String,
    family: String,
    attributes: BTreeMap<String, String>,
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        family: String,
        attributes: Vec<(String, String)>,
    }
    let lines = include_str!("data/corpus.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Line>(line).unwrap());
    lines
        .map(|line| Case {
            id: line.id,
            family: line.family,
            attributes: line.attributes.into_iter().collect(),
        })
        .filter(|case| case.family == "ipsec")
        .collect()
}

impl Case {
    fn get(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap()
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).parse().ok()
    }

    fn transform(&self, protocol: &str) -> Transform {
        let name = |what: &str| format!("{protocol}_{what}");
        let optional = |what: &str| self.attributes.get(&name(what)).map_or("", String::as_str);
        Transform {
            authentication: Authentication::ALL
                .iter()
                .copied()
                .find(|known| known.name() == optional("auth_alg")),
            encapsulation: Encapsulation::ALL
                .iter()
                .copied()
                .find(|known| known.name() == optional("encapsulation")),
            life_seconds: self.number(&name("life_seconds")),
            life_kilobytes: self.number(&name("life_kbytes")),
            group: self.number(&name("group_desc")),
            key_length: optional("key_length").parse().ok(),
            key_rounds: optional("key_rounds").parse().ok(),
            ecn: optional("ecn") == "yes",
        }
    }

    fn selector(&self, name: &str) -> Selector<'_> {
        let address = |what: &str| -> IpAddr {
            let text = self.get(&format!("{name}_addr_{what}"));
            let octets: Vec<u8> = text.split('.').map(|octet| octet.parse().unwrap()).collect();
            IpAddr::from(<[u8; 4]>::try_from(octets).unwrap())
        };
        let subnet = || {
            let (IpAddr::V4(lower), IpAddr::V4(upper)) = (address("lower"), address("upper"))
            else {
                panic!("not IPv4")
            };
            let prefix = (lower.to_bits() ^ upper.to_bits()).leading_zeros();
            AddressRange::subnet(lower.into(), u8::try_from(prefix).unwrap()).unwrap()
        };
        let identity = match self.get(&format!("{name}_type")) {
            "IPv4 address" => Identity::Addresses(AddressRange::address(address("lower"))),
            "IPv4 range" => Identity::Addresses(
                AddressRange::range(address("lower"), address("upper")).unwrap(),
            ),
            "IPv4 subnet" => Identity::Addresses(subnet()),
            "FQDN" => Identity::Fqdn(self.get(name).as_bytes()),
            "User FQDN" => Identity::UserFqdn(self.get(name).as_bytes()),
            "ASN1 DN" => Identity::Asn1Dn(self.get(name)),
            other => panic!("{other}"),
        };
        let protocol = match self.get(&format!("{name}_proto")) {
            "tcp" => 6,
            "udp" => 17,
            number => number.parse().unwrap(),
        };
        Selector { identity, protocol, port: self.number(&format!("{name}_port")).unwrap() }
    }

    fn moment(&self, name: &str) -> Moment {
        let text = self.get(name);
        let part = |range: std::ops::Range<usize>| text.get(range).unwrap().parse::<u8>().unwrap();
        Moment {
            year: text.get(..4).unwrap().parse().unwrap(),
            month: part(4..6),
            day: part(6..8),
            hour: part(8..10),
            minute: part(10..12),
            second: part(12..14),
        }
    }

    fn address(&self, name: &str) -> IpAddr {
        let octets: Vec<u8> =
            self.get(name).split('.').map(|octet| octet.parse().unwrap()).collect();
        IpAddr::from(<[u8; 4]>::try_from(octets).unwrap())
    }

    fn question(&self) -> Question<'_> {
        let yes = |name: &str| self.get(name) == "yes";
        Question {
            phase1: Phase1 {
                exchange: if self.get("phase_1") == "main" {
                    Exchange::Main
                } else {
                    Exchange::Aggressive
                },
                initiator: yes("initiator"),
                group: self.number("phase1_group_desc"),
                remote_id: self.selector("remote_id"),
                remote_address: self.address("remote_ike_address"),
                local_address: self.address("local_ike_address"),
            },
            phase2: Some(Phase2 {
                pfs: yes("pfs"),
                ah: yes("ah_present").then(|| {
                    let hash = Hash::ALL
                        .iter()
                        .copied()
                        .find(|known| known.name() == self.get("ah_hash_alg"));
                    (hash.unwrap(), self.transform("ah"))
                }),
                esp: yes("esp_present").then(|| {
                    let known = Encryption::ALL
                        .iter()
                        .copied()
                        .find(|known| known.name() == self.get("esp_enc_alg"));
                    (known.unwrap(), self.transform("esp"))
                }),
                ipcomp: yes("comp_present").then(|| Ipcomp {
                    compression: Compression::Deflate,
                    dictionary: self.number("comp_dict_size"),
                    private: self.number("comp_private_alg"),
                    transform: self.transform("comp"),
                }),
                remote: self.selector("remote_filter"),
                local: self.selector("local_filter"),
            }),
            utc: self.moment("GMTTimeOfDay"),
            local: self.moment("LocalTimeOfDay"),
        }
    }
}

/// The corpus is generated, and some of its sets are of no exchange that can be: a group without a protocol, an address that is a
/// name. What a typed question cannot say is not compared.
fn cannot_be(case: &Case) -> Vec<&'static str> {
    let mut names = Vec::new();
    if case.get("esp_present") == "no" {
        names.push("esp_group_desc");
    }
    let range = case.get("remote_filter_addr_lower").to_owned()
        + "-"
        + case.get("remote_filter_addr_upper");
    if case.get("remote_filter_type").starts_with("IPv4") && case.get("remote_filter") != range {
        names.push("remote_filter");
    }
    let one = case.get("remote_filter_type") == "IPv4 address";
    if one && case.get("remote_filter_addr_lower") != case.get("remote_filter_addr_upper") {
        names.extend(["remote_filter", "remote_filter_addr_upper"]);
    }
    let id_is_address = case.get("remote_id_type") == "IPv4 address";
    if id_is_address && case.get("remote_id") != case.get("remote_id_addr_lower") {
        names.push("remote_id");
    }
    if !id_is_address {
        names.extend(["remote_id_addr_lower", "remote_id_addr_upper"]);
    }
    names
}

#[test]
fn typed_questions_give_the_attribute_sets_of_the_corpus() {
    let (mut compared, mut differing) = (0, Vec::new());
    for case in cases() {
        let set = case.question().attributes().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let found: BTreeMap<String, String> =
            set.iter().map(|(name, value)| (text(name), text(value))).collect();
        let skipped = cannot_be(&case);
        for (name, wanted) in
            case.attributes.iter().filter(|(name, _)| !skipped.contains(&name.as_str()))
        {
            compared += 1;
            let value = found.get(name);
            if value != Some(wanted) {
                differing.push(format!("{} {name}: wanted {wanted:?}, found {value:?}", case.id));
            }
        }
        assert_eq!(found.len(), case.attributes.len());
    }
    assert!(compared >= 141 * 55, "{compared} values");
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Printed by `openssl req -x509 -newkey ed25519 -nodes -utf8 -multivalue-rdn -subj …` and
/// `openssl x509 -noout -subject -nameopt compat`; the DER is the subject of that certificate.
#[test]
fn names_are_written_as_openssl_writes_them() {
    for (der, line) in
        include_str!("data/names.txt").lines().map(|line| line.split_once(' ').unwrap())
    {
        let der: Vec<u8> = (0..der.len() / 2)
            .map(|n| u8::from_str_radix(der.get(2 * n..2 * n + 2).unwrap(), 16).unwrap())
            .collect();
        assert_eq!(distinguished_name(&der), Ok(format!("DN:{line}")));
        assert_eq!(
            distinguished_name(der.get(..der.len() - 1).unwrap()),
            Err(NameError::Malformed)
        );
    }
    assert_eq!(distinguished_name(&[0x30, 0]), Err(NameError::Empty));
    assert_eq!(distinguished_name(&[0x30, 0, 0]), Err(NameError::Malformed));
    assert_eq!(distinguished_name(&vec![0x30; 5000]), Err(NameError::TooLong));
}

fn phase1(identity: Identity<'_>) -> Question<'_> {
    let moment = Moment { year: 2026, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
    Question {
        phase1: Phase1 {
            exchange: Exchange::Ikev2,
            initiator: false,
            group: None,
            remote_id: Selector { identity, protocol: 0, port: 0 },
            remote_address: "2001:db8::1".parse().unwrap(),
            local_address: "192.0.2.1".parse().unwrap(),
        },
        phase2: None,
        utc: moment,
        local: moment,
    }
}

#[test]
fn what_a_peer_sends_and_no_attribute_can_carry_is_an_error() {
    assert!(
        matches!(phase1(Identity::Fqdn(b"gw\0.example")).attributes(), Err(AttributeError::Nul(name)) if name == "remote_id")
    );
    let long = vec![b'x'; 70_000];
    assert!(matches!(
        phase1(Identity::Fqdn(&long)).attributes(),
        Err(AttributeError::TooLong { .. })
    ));
    let set = phase1(Identity::KeyId(b"\x00\xff")).attributes().unwrap();
    assert_eq!(set.value("remote_id"), Some(b"00ff".as_slice()));
    assert_eq!(
        set.value("remote_ike_address"),
        Some(b"2001:0db8:0000:0000:0000:0000:0000:0001".as_slice())
    );
}

proptest! {
    #[test]
    fn every_name_is_in_the_vocabulary_and_every_value_of_its_format(
        id in proptest::collection::vec(1_u8.., 0..40),
        address in any::<[u8; 16]>(),
        prefix in 0_u8..=128,
        kind in 0..4,
    ) {
        let subnet = AddressRange::subnet(IpAddr::from(address), prefix).unwrap();
        let identity = match kind {
            0 => Identity::Fqdn(&id),
            1 => Identity::KeyId(&id),
            2 => Identity::Asn1Gn(&id),
            _ => Identity::Addresses(subnet),
        };
        let set = phase1(identity).attributes().unwrap();
        prop_assert_eq!(set.len(), ipsec::names().count());
        for (name, value) in set.iter() {
            let attribute = ipsec::attribute(&String::from_utf8_lossy(name)).unwrap();
            if name != b"remote_id" || kind == 3 {
                let value = String::from_utf8_lossy(value);
                prop_assert_eq!(attribute.format.check(&value), Ok(()), "{} {}", attribute.name, value);
            }
        }
    }

    #[test]
    fn no_name_does_harm(der in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = distinguished_name(&der);
    }
}
