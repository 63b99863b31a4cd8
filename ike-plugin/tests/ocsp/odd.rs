//! Responses that OpenSSL's responder does not make: unusual ones, hostile ones, and the fuzzer's seeds.

use std::fs;
use std::path::Path;

use countersign_ca::path::Certificate;
use countersign_ike_plugin::status::ocsp::{read, request};
use der::Encode;
use x509_cert::ext::pkix::CrlReason;

use super::draft::{Ca, NOW, changed, fixed_key, seq, tlv};
use super::exercise::{ENDED, GOOD, LATER, Place, UNKNOWN, data, revoked, single};

impl Place {
    /// The status of the certificate by a response of the root with these answers.
    fn said(&self, singles: &[(&[u8], &str, &[u8])]) -> Result<Option<CrlReason>, String> {
        let id = self.cert_id(&[7]);
        let all: Vec<Vec<u8>> =
            singles.iter().map(|(status, next, rest)| single(&id, status, next, rest)).collect();
        self.told(&data(&self.root, &all, &[]))
    }

    fn told(&self, data: &[u8]) -> Result<Option<CrlReason>, String> {
        let answer = self.read(&self.respond(&self.root, data, &[]))?;
        Ok(answer.revoked.map(|(_, reason)| reason))
    }
}

/// An unknown extension.
fn extension(tag: u8, critical: bool, times: usize) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    let one = seq(&[&[6, 3, 0x2a, 3, 4], critical, &[4, 2, 5, 0]]);
    tlv(tag, &tlv(0x30, &one.repeat(times)))
}

#[test]
fn of_two_answers_about_one_certificate_the_worst_counts() {
    let place = Place::new();
    let (good, gone) = (GOOD, revoked(1));
    assert_eq!(place.said(&[(good, LATER, &[])]), Ok(None));
    for both in [[good, &gone], [&gone, good]] {
        let both = both.map(|status| (status, LATER, &[][..]));
        assert_eq!(place.said(&both), Ok(Some(CrlReason::KeyCompromise)));
    }
    for both in [[good, UNKNOWN], [UNKNOWN, good]] {
        let why = place.said(&both.map(|status| (status, LATER, &[][..]))).unwrap_err();
        assert!(why.contains("does not know the certificate"), "{why}");
    }
    // The answer comes behind many answers about other certificates.
    let other = single(&place.cert_id(&[8]), GOOD, LATER, &[]);
    let own = |status| single(&place.cert_id(&[7]), status, LATER, &[]);
    let mut all = vec![other; 200];
    all.insert(0, own(good));
    all.push(own(&gone));
    assert!(place.told(&data(&place.root, &all, &[])).unwrap().is_some());
    // The answer that expires first.
    let sooner = place.cert_id(&[7]);
    let two = [single(&sooner, good, LATER, &[]), single(&sooner, good, "20260727000000Z", &[])];
    let response = place.respond(&place.root, &data(&place.root, &two, &[]), &[]);
    assert_eq!(place.read(&response).unwrap().until.seconds(), 1_785_110_400 + 300);
}

#[test]
fn who_is_revoked_for_good_stays_so() {
    let place = Place::new();
    let said = |status: &[u8]| place.said(&[(status, ENDED, &[])]);
    assert_eq!(said(&revoked(1)), Ok(Some(CrlReason::KeyCompromise)));
    for lapses in [GOOD, &revoked(6)] {
        assert!(said(lapses).unwrap_err().contains("the response ended at"));
    }
    assert_eq!(place.said(&[(&revoked(6), LATER, &[])]), Ok(Some(CrlReason::CertificateHold)));
    // An unusual response does not make the certificate good.
    for odd in [&b"\xa1\x00"[..], b"\xa1\x02\x05\x00", &revoked(7), &revoked(99)] {
        assert_eq!(place.said(&[(odd, LATER, &[])]), Ok(Some(CrlReason::Unspecified)));
    }
    assert!(place.said(&[(b"\x80\x01\x00", LATER, &[])]).is_err());
    assert!(place.said(&[(b"\x83\x00", LATER, &[])]).is_err());
}

#[test]
fn odd_answers_about_others_are_passed_over() {
    let place = Place::new();
    let own = single(&place.cert_id(&[7]), GOOD, LATER, &[]);
    let odd = [
        single(&place.cert_id(&[1; 22]), GOOD, LATER, &[]),
        single(&place.cert_id(&[8]), &revoked(7), LATER, &[]),
        single(&place.cert_id(&[8]), &[5, 0], LATER, &[]),
        seq(&[&[5, 0]]),
    ];
    for odd in odd {
        for both in [[own.clone(), odd.clone()], [odd, own.clone()]] {
            assert_eq!(place.told(&data(&place.root, &both, &[])), Ok(None));
        }
    }
    let cut = seq(&[&place.cert_id(&[7]), GOOD]);
    let why = place.told(&data(&place.root, &[own, cut], &[])).unwrap_err();
    assert!(why.contains("cannot be read"), "{why}");
}

#[test]
fn no_critical_extension_is_passed_over() {
    let place = Place::new();
    let whole = |extensions: &[u8]| {
        let own = single(&place.cert_id(&[7]), GOOD, LATER, &[]);
        place.told(&data(&place.root, &[own], extensions))
    };
    assert_eq!(whole(&extension(0xa1, false, 1)), Ok(None));
    assert_eq!(place.said(&[(GOOD, LATER, &extension(0xa1, false, 1))]), Ok(None));
    for (critical, times, words) in [(true, 1, "is unknown (RFC 6960 §4.4)"), (false, 2, "twice")]
    {
        let extension = extension(0xa1, critical, times);
        for why in [whole(&extension), place.said(&[(GOOD, LATER, &extension)])] {
            let why = why.unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}

#[test]
fn serial_numbers_of_all_kinds_are_asked_about() {
    let place = Place::new();
    let root = &place.root;
    for serial in [&[7][..], &[0, 0x80], &[0x7f; 21], &[1; 40]] {
        let leaf = root.leaf(serial);
        assert_eq!(leaf.serial, serial);
        let asked = request(&leaf, &root.certificate).unwrap();
        assert!(asked.ends_with(&tlv(2, serial)), "{serial:?}");
        let own = single(&place.cert_id(serial), GOOD, LATER, &[]);
        let response = place.respond(root, &data(root, &[own], &[]), &[]);
        assert!(read(&response, &leaf, &root.certificate, NOW).is_ok(), "{serial:?}");
        assert!(place.read(&response).is_ok() == (serial == [7]));
    }
}

#[test]
fn who_answers_is_read_before_what() {
    let place = Place::new();
    // A response of a stranger with invalid content is refused because of its signature.
    let stranger = Ca::root();
    let nonsense = data(&place.root, &[vec![5, 0], vec![0xff; 3]], &[]);
    let why = place.read(&place.respond(&stranger, &nonsense, &[])).unwrap_err();
    assert!(why.contains("signature of the response is wrong"), "{why}");
    // A set with many members, which would be slow to sort one by one.
    let attribute = |number: u8| seq(&[&[6, 3, 0x55, 4, 3], &tlv(0x0c, &[b'a' + number])]);
    let set: Vec<u8> = (0..17).flat_map(attribute).collect();
    let named = tlv(0xa1, &seq(&[&tlv(0x31, &set)]));
    let produced = super::exercise::time("20260701000000Z");
    let odd = seq(&[&named, &produced, &[0x30, 0]]);
    let why = place.read(&place.respond(&stranger, &odd, &[])).unwrap_err();
    assert!(why.contains("too many elements"), "{why}");
}

#[test]
fn a_responder_may_bear_the_name_of_the_ca() {
    let place = Place::new();
    let mut own_name = place.responder.params.clone();
    own_name.distinguished_name = place.root.params.distinguished_name.clone();
    let key = fixed_key(2);
    let certificate = place.root.certify(&own_name, &key);
    let responder = Ca { params: own_name, key, certificate };
    let own = single(&place.cert_id(&[7]), GOOD, LATER, &[]);
    let data = data(&responder, &[own], &[]);
    let with =
        |certificates: &[&Certificate]| place.read(&place.respond(&responder, &data, certificates));
    assert!(with(&[&responder.certificate]).is_ok());
    assert!(with(&[&place.root.certificate, &responder.certificate]).is_ok());
    for without in [&[][..], &[&*place.root.certificate]] {
        let why = with(without).unwrap_err();
        assert!(why.contains("signature of the response is wrong"), "{why}");
    }
}

/// For each name: the ResponseData, and whether it says that the certificate is revoked.
fn responses(place: &Place) -> Vec<(&'static str, Vec<u8>, Option<bool>)> {
    let id = place.cert_id(&[7]);
    let of = |by: &Ca, singles: &[Vec<u8>]| data(by, singles, &[]);
    let own = |status: &[u8], next| single(&id, status, next, &[]);
    let good = own(GOOD, LATER);
    let gone = own(&revoked(1), LATER);
    vec![
        ("good", of(&place.root, std::slice::from_ref(&good)), Some(false)),
        ("delegated", of(&place.responder, std::slice::from_ref(&good)), Some(false)),
        ("revoked", of(&place.root, std::slice::from_ref(&gone)), Some(true)),
        ("both", of(&place.responder, &[good.clone(), gone]), Some(true)),
        ("hold-that-ended", of(&place.root, &[own(&revoked(6), ENDED)]), None),
        ("ended", of(&place.root, &[own(&revoked(4), ENDED)]), Some(true)),
        ("unknown", of(&place.root, &[own(UNKNOWN, LATER)]), None),
        ("extended", data(&place.root, &[good], &extension(0xa1, false, 1)), Some(false)),
        ("critical", data(&place.root, &[own(GOOD, LATER)], &extension(0xa1, true, 1)), None),
    ]
}

fn ids() -> Vec<(&'static str, Vec<u8>, Option<bool>)> {
    let name = |text: &str| text.parse::<x509_cert::name::Name>().unwrap().to_der().unwrap();
    let of = |kind: u8, data: &[u8]| [&[kind], data].concat();
    let v6 = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    vec![
        ("ipv4", of(1, &[192, 0, 2, 1]), Some(true)),
        ("ipv6", of(5, &v6), Some(true)),
        ("fqdn", of(2, b"GW1.example"), Some(true)),
        ("mail", of(3, b"op@Example.net"), Some(true)),
        ("other-mail", of(3, b"Op@example.net"), Some(false)),
        ("subnet", of(4, &[192, 0, 2, 0, 255, 255, 255, 0]), Some(false)),
        ("range", of(7, &[192, 0, 2, 1, 192, 0, 2, 9]), Some(false)),
        ("dn", of(9, &name("CN=GW")), Some(true)),
        ("other-dn", of(9, &name("CN=gw,O=Example+OU=x")), Some(false)),
        ("general-dn", of(10, &tlv(0xa4, &name("CN=gw"))), Some(true)),
        ("general-fqdn", of(10, &tlv(0x82, b"gw1.example")), Some(true)),
        ("general-address", of(10, &tlv(0x87, &[192, 0, 2, 1])), Some(true)),
        ("general-other", of(10, b"\xa0\x09\x06\x03\x2a\x03\x04\xa0\x02\x05\x00"), Some(false)),
        ("key-id", of(11, b"branch-7"), Some(false)),
        ("none", of(1, b"x"), None),
    ]
}

/// `WRITE_SEEDS=1` writes the seeds that are made here.
#[test]
fn each_seed_comes_to_what_it_is_for_and_none_finds_a_fault() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let place = Place::new();
    let ocsp = |octets: &[u8]| place.ocsp(octets).map(|answer| answer.revoked.is_some());
    let id = |octets: &[u8]| place.id(octets);
    type Exercise<'a> = &'a dyn Fn(&[u8]) -> Option<bool>;
    let targets: [(&str, Vec<_>, Exercise<'_>); 2] =
        [("ocsp_client", responses(&place), &ocsp), ("ike_id", ids(), &id)];
    for (target, made, exercise) in targets {
        let folder = corpus.join(target);
        let least = made.len();
        for (name, octets, expected) in made {
            let file = folder.join(name);
            if std::env::var_os("WRITE_SEEDS").is_some() {
                fs::write(&file, &octets).unwrap();
            }
            assert!(fs::read(&file).unwrap() == octets, "{target}/{name} is another");
            assert_eq!(exercise(&octets), expected, "{target}/{name}");
            // Some mutations, like those of the fuzzer.
            changed(&octets, 300).iter().for_each(|octets| _ = exercise(octets));
        }
        let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let count = files.inspect(|file| _ = exercise(&fs::read(file).unwrap())).count();
        assert!(count >= least, "{count} seeds of {target}");
    }
}
