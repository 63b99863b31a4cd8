//! The fuzzer's seeds, through the fuzzer's own function. `WRITE_SEEDS=1` writes those that are made here.

use std::fs;
use std::path::Path;

use countersign_ca::path::crl::CrlStatus;

use super::draft::{Ca, Draft, changed, entry, extension, number, reason, seq, tlv};
use super::exercise::Place;

/// The TBSCertList of a draft.
fn tbs(draft: &Draft) -> Vec<u8> {
    let crl = draft.sign(&Ca::fixed());
    let outer: der::asn1::AnyRef<'_> = der::Decode::from_der(&crl).unwrap();
    let mut reader = der::SliceReader::new(outer.value()).unwrap();
    der::Reader::tlv_bytes(&mut reader).unwrap().to_vec()
}

/// By name, and whether the certificate with the serial number 7 is revoked or good; of others nothing is known.
fn made() -> Vec<(&'static str, Vec<u8>, Option<bool>)> {
    let first = Draft { version: None, extensions: Vec::new(), ..Draft::of(&[entry(&[7], &[])]) };
    let root = Ca::fixed();
    let own = tlv(0xa4, &der::Encode::to_der(&root.certificate.subject_name).unwrap());
    let indirect = [
        entry(&[9], &[extension(29, true, &seq(&[&own])), reason(6)]),
        entry(&[7], &[extension(24, false, b"\x18\x0f20260701000000Z"), reason(1)]),
    ];
    let uri = tlv(0x86, b"http://crl.example/1.crl");
    let partition = seq(&[&tlv(0xa0, &tlv(0xa0, &uri)), &[0x83, 2, 6, 0x40]]);
    vec![
        ("version-1", tbs(&first), Some(true)),
        ("empty", tbs(&Draft::default()), Some(false)),
        ("listed", tbs(&Draft::of(&[entry(&[8], &[]), entry(&[7], &[reason(1)])])), Some(true)),
        ("odd", tbs(&Draft::of(&[entry(&[1; 22], &[]), entry(&[7], &[reason(7)])])), Some(true)),
        ("negative", tbs(&Draft::of(&[entry(&[0x80], &[])])), Some(false)),
        ("held-and-ended", tbs(&Draft::of(&[entry(&[7], &[reason(6)])]).ended()), None),
        ("ended", tbs(&Draft::of(&[entry(&[7], &[])]).ended()), Some(true)),
        ("delta", tbs(&Draft::of(&[entry(&[7], &[reason(8)])]).delta(6, 5)), None),
        (
            "indirect",
            tbs(&Draft::of(&indirect).with(&[extension(28, true, &[0x30, 3, 0x84, 1, 0xff])])),
            Some(true),
        ),
        ("partition", tbs(&Draft::default().with(&[extension(28, true, &partition)])), None),
        ("twice", tbs(&Draft::default().with(&[number(6)])), None),
        ("critical", tbs(&Draft::default().with(&[extension(99, true, &[5, 0])])), None),
        ("whole", Draft::of(&[entry(&[7], &[])]).sign(&root), None),
    ]
}

#[test]
fn each_seed_comes_to_what_it_is_for_and_none_finds_a_fault() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/crl");
    let place = Place::new();
    for (name, octets, revoked) in made() {
        let file = corpus.join(name);
        if std::env::var_os("WRITE_SEEDS").is_some() {
            fs::write(&file, &octets).unwrap();
        }
        // The signature of a whole one is another each time.
        assert!(name == "whole" || fs::read(&file).unwrap() == octets, "{name} is another");
        let found = match place.exercise(&octets).first() {
            Some(CrlStatus::Good(_)) => Some(false),
            Some(CrlStatus::Revoked { .. }) => Some(true),
            _ => None,
        };
        assert_eq!(found, revoked, "{name}");
    }
    let files = fs::read_dir(&corpus).unwrap().map(|file| file.unwrap().path());
    let count = files.inspect(|file| _ = place.exercise(&fs::read(file).unwrap())).count();
    assert!(count >= 13, "{count} seeds");
    // Some steps of what the fuzzer does.
    for (_, octets, _) in made() {
        changed(&octets, 300).iter().for_each(|octets| _ = place.exercise(octets));
    }
}
