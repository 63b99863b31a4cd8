//! Tests against messages that other programs made: `openssl cmp` and Python (`tests/data/README.md`).

use der::asn1::{BitString, Int};
use der::{Decode, Encode, Sequence};
use x509_cert::ext::pkix::name::GeneralName;

use super::bounds;
use super::content::RevDetails;
use super::crmf::CertReqMsg;
use super::kind;
use super::mac::{MacLimits, MacParameters};
use super::message::{Message, PkiHeader, assemble, tagged_body};
use super::oid;
use super::popo::ProofOfPossession;
use super::refusal::{Failure, Refusal};
use crate::ber::Bounds;
use crate::request::elements::elements;
use crate::request::extensions::AltNames;
use crate::request::pkcs10::certification_request;

const SECRET: &[u8] = b"correct-horse";
const LIMITS: MacLimits = MacLimits { iterations: 100..=2_000_000, sha1: true };
const BOUNDS: Bounds = Bounds { bytes: 1 << 20, depth: 32, elements: 10_000 };

macro_rules! captured {
    ($($name:ident = $file:literal;)*) => {
        $(const $name: &[u8] = include_bytes!(concat!("../../../tests/data/", $file));)*
        const ALL: &[(&str, &[u8])] = &[$(($file, $name)),*];
    };
}

captured! {
    IR = "ir_pbm_p256.der";
    IR_NO_SUBJECT = "ir_pbm_no_subject.der";
    IR_SHA512 = "ir_pbm_sha512.der";
    P10CR = "p10cr_pbm_ed25519.der";
    CR = "cr_signed_rsa.der";
    KUR = "kur_signed_p384.der";
    RR = "rr_signed_p256.der";
    GENM = "genm_pbm.der";
    PBMAC1_SHA1 = "ir_pbmac1_sha1.der";
    PBMAC1_SHA256 = "ir_pbmac1_sha256.der";
    PBMAC1_SHA512 = "ir_pbmac1_sha512.der";
}

fn read(bytes: &[u8]) -> Result<Message, Refusal> {
    bounds::check(bytes, BOUNDS)?;
    Message::decode(bytes)
}

fn mac(message: &Message) -> Result<MacParameters, Refusal> {
    let algorithm = message.header.protection_alg.as_ref().unwrap();
    MacParameters::read(algorithm, &LIMITS).expect("a MAC")
}

fn directory(name: &GeneralName) -> String {
    let GeneralName::DirectoryName(name) = name else { panic!("a directoryName") };
    name.to_string()
}

#[test]
fn an_ir_is_read_field_by_field() {
    let message = read(IR).unwrap();
    let header = &message.header;
    assert_eq!(header.pvno, Int::new(&[2]).unwrap());
    assert_eq!(directory(&header.sender), "CN=gw1.example.net,O=Example");
    assert_eq!(directory(&header.recipient), "");
    let time = header.message_time.unwrap().to_date_time();
    assert_eq!(time.to_string(), "2026-11-23T14:10:05Z");
    assert_eq!(header.protection_alg.as_ref().unwrap().oid, oid::PASSWORD_BASED_MAC);
    assert_eq!(header.sender_kid.as_ref().unwrap().as_bytes(), b"gateway-1");
    assert_eq!(
        data_encoding::HEXUPPER.encode(message.transaction_id()),
        "B2F8154FF88283EAF4784D353E68327C"
    );
    assert_eq!(header.sender_nonce.as_ref().unwrap().as_bytes().len(), 16);
    assert!(header.recip_kid.is_none() && header.recip_nonce.is_none());
    assert!(header.free_text.is_none() && header.general_info.is_none());
    assert_eq!(message.kind, kind::IR);
    assert_eq!(message.protection.as_ref().unwrap().len(), 20);
    assert!(message.extra_certs.is_empty());

    let request = CertReqMsg::only(&message.body).unwrap();
    let template = &request.request.cert_template;
    assert_eq!(request.request.cert_req_id.as_bytes(), [0]);
    assert_eq!(template.subject.as_ref().unwrap().to_string(), "CN=gw1.example.net,O=Example");
    let validity = template.validity.as_ref().unwrap();
    let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
    let lasts = seconds(validity.not_after.as_ref().unwrap())
        - seconds(validity.not_before.as_ref().unwrap());
    assert_eq!(lasts, 30 * 86_400);
    assert!(template.version.is_none() && template.serial_number.is_none());
    assert!(template.issuer.is_none() && template.signing_alg.is_none());
    assert!(matches!(&request.proof, Some(ProofOfPossession::Signature(p)) if p.input.is_none()));

    let template = request.proven(&header.sender, None).unwrap();
    assert_eq!(template.key.key().kind().to_string(), "P-256");
    let names = format!("{:?}", template.alt_names);
    assert!(
        matches!(
            template.alt_names.as_slice(),
            [GeneralName::DnsName(_), GeneralName::IpAddress(_)]
        ),
        "{names}"
    );
    assert!(template.extensions.is_empty());
    assert_eq!(template.not_after.unwrap().since(template.not_before.unwrap()).as_secs(), lasts);
}

#[test]
fn headers_and_messages_are_encoded_to_the_octets_they_came_from() {
    for (file, bytes) in ALL {
        let message = read(bytes).unwrap();
        let header = message.header.to_der().unwrap();
        let parts = elements(&der::asn1::Any::from_der(bytes).unwrap())
            .unwrap()
            .iter()
            .map(|part| part.to_der().unwrap())
            .collect::<Vec<_>>();
        assert_eq!(header, parts[0], "{file}");
        let body = tagged_body(message.kind, &message.body.to_der().unwrap()).unwrap();
        assert_eq!(body, parts[1], "{file}");
        let extra: Vec<&[u8]> = message.extra_certs.iter().map(Vec::as_slice).collect();
        let again = assemble(&header, &body, message.protection.as_ref().unwrap(), &extra);
        assert_eq!(again.unwrap(), *bytes, "{file}");
        assert_eq!(message.protected_part, {
            #[derive(Sequence)]
            struct ProtectedPart {
                header: PkiHeader,
                body: der::asn1::Any,
            }
            let body = der::asn1::Any::from_der(&body).unwrap();
            ProtectedPart { header: message.header.clone(), body }.to_der().unwrap()
        });
    }
}

#[test]
fn macs_of_strangers_verify_with_the_secret_and_with_no_other() {
    for (file, bytes) in ALL.iter().filter(|(file, _)| file.contains("_pbm")) {
        let message = read(bytes).unwrap();
        let parameters = mac(&message).unwrap();
        let protection = message.protection.as_ref().unwrap();
        let key = parameters.derive(SECRET);
        assert!(key.verify(&message.protected_part, protection), "{file}");
        // Our ProtectedPart is the one that the other program protected.
        assert_eq!(key.sign(&message.protected_part), *protection, "{file}");
        assert_eq!(Some(parameters.algorithm()), message.header.protection_alg.as_ref(), "{file}");
        for wrong in [&b""[..], b"correct-hors", b"correct-horsf", b"Correct-horse"] {
            assert!(
                !parameters.derive(wrong).verify(&message.protected_part, protection),
                "{file}"
            );
        }
        let mut other = message.protected_part.clone();
        other[40] ^= 1;
        assert!(!key.verify(&other, protection), "{file}");
        assert!(!key.verify(&message.protected_part, &protection[..8]), "{file}: cut short");
        assert!(!key.verify(&message.protected_part, b""), "{file}: empty");
    }
}

#[test]
fn mac_parameters_out_of_bounds_are_refused_before_any_work() {
    let bounds = |low: u32, high: u32| {
        let message = read(PBMAC1_SHA512).unwrap();
        let algorithm = message.header.protection_alg.unwrap();
        MacParameters::read(&algorithm, &MacLimits { iterations: low..=high, sha1: true })
            .expect("a MAC")
    };
    assert!(bounds(100, 100_000).is_ok());
    assert_eq!(bounds(100, 99_999).unwrap_err().failure, Failure::BadRequest);
    assert_eq!(bounds(100_001, 200_000).unwrap_err().failure, Failure::BadRequest);

    // The octets of a count in a captured message, replaced: 500 is 02 02 01 f4 and 2048 is 02 02 08 00.
    let replaced = |bytes: &[u8], from: [u8; 4], to: [u8; 4]| {
        let at = bytes.windows(4).position(|window| window == from).unwrap();
        let mut bytes = bytes.to_vec();
        bytes[at..at + 4].copy_from_slice(&to);
        mac(&read(&bytes).unwrap()).unwrap_err()
    };
    for (bytes, from) in [(IR, [2, 2, 1, 0xf4]), (PBMAC1_SHA256, [2, 2, 8, 0])] {
        // Negative counts first, and then elements that are not INTEGERs.
        for to in [[2, 2, 0x80, 0], [2, 2, 0xff, 0x7f]] {
            assert_eq!(replaced(bytes, from, to).failure, Failure::BadRequest, "{to:02x?}");
        }
        for to in [[4, 2, 1, 0xf4], [5, 0, 5, 0]] {
            assert_eq!(replaced(bytes, from, to).failure, Failure::BadAlg, "{to:02x?}");
        }
    }
    // HMAC-SHA1's own identifier is 1.3.6.1.5.5.8.1.2; .1.1 is HMAC-MD5.
    let md5 = replaced(IR, [8, 1, 2, 0xa2], [8, 1, 1, 0xa2]);
    assert!(md5.text.contains("1.3.6.1.5.5.8.1.1"), "{}", md5.text);
}

#[test]
fn a_template_without_subject_is_signed_over_the_request() {
    let message = read(IR_NO_SUBJECT).unwrap();
    let infos = message.header.general_info.as_ref().unwrap();
    assert_eq!(infos[0].info_type, oid::IMPLICIT_CONFIRM);
    let template = CertReqMsg::only(&message.body).unwrap().proven(&message.header.sender, None);
    let template = template.unwrap();
    assert!(
        template.subject.is_none() && template.alt_names.is_empty() && template.not_after.is_none()
    );
}

#[test]
fn requests_of_every_kind_prove_their_keys() {
    for (bytes, expected, number) in
        [(IR_SHA512, "RSA-2048", kind::IR), (CR, "P-384", kind::CR), (KUR, "P-256", kind::KUR)]
    {
        let message = read(bytes).unwrap();
        assert_eq!(message.kind, number);
        let request = CertReqMsg::only(&message.body).unwrap();
        let template = request.proven(&message.header.sender, None).unwrap();
        assert_eq!(template.key.key().kind().to_string(), expected);
    }
    let message = read(P10CR).unwrap();
    assert_eq!(message.kind, kind::P10CR);
    let template = certification_request(&message.body, AltNames::Repaired).unwrap().template;
    assert_eq!(template.key.key().kind().to_string(), "Ed25519");
    assert_eq!(template.subject.unwrap().to_string(), "CN=gw1.example.net");
    assert!(
        matches!(template.alt_names.as_slice(), [GeneralName::DnsName(name)] if name.as_str() == "gw1.example.net")
    );
}

#[test]
fn signatures_of_openssl_verify_with_the_certificate_in_extra_certs() {
    for (file, bytes) in ALL.iter().filter(|(file, _)| file.contains("signed")) {
        let message = read(bytes).unwrap();
        let facts = countersign_ca::x509::Facts::of(&message.extra_certs[0]).unwrap();
        let algorithm = message.header.protection_alg.as_ref().unwrap();
        let signature = message.protection.as_ref().unwrap();
        facts.key.verify(algorithm, &message.protected_part, signature).unwrap();
        assert_eq!(message.header.sender, GeneralName::DirectoryName(facts.subject), "{file}");
        assert_eq!(message.header.sender_kid.as_ref().unwrap().as_bytes(), facts.key_identifier);
        assert!(facts.key.verify(algorithm, &message.protected_part[1..], signature).is_err());
    }
}

#[test]
fn a_key_update_and_a_revocation_name_their_certificate() {
    let message = read(KUR).unwrap();
    let old = CertReqMsg::only(&message.body).unwrap().old_cert_id().unwrap().unwrap();
    let signer = countersign_ca::x509::Facts::of(&message.extra_certs[0]).unwrap();
    assert_eq!(directory(&old.issuer), signer.issuer.to_string());
    assert_eq!(old.serial_number.as_bytes(), signer.serial);
    assert!(CertReqMsg::only(&read(CR).unwrap().body).unwrap().old_cert_id().unwrap().is_none());

    let message = read(RR).unwrap();
    assert_eq!(message.kind, kind::RR);
    let details = elements(&message.body).unwrap()[0].to_der().unwrap();
    let details = RevDetails::from_der(&details).unwrap();
    let signer = countersign_ca::x509::Facts::of(&message.extra_certs[0]).unwrap();
    assert_eq!(details.cert_details.issuer, Some(signer.issuer));
    assert_eq!(details.cert_details.serial_number.unwrap().as_bytes(), signer.serial);
    let entry = &details.crl_entry_details.unwrap()[0];
    assert_eq!(entry.extn_id, countersign_ca::oid::CRL_REASON);
    assert_eq!(entry.extn_value.as_bytes(), [0x0a, 1, 4], "superseded");
}

#[test]
fn one_request_is_taken_and_no_more() {
    let message = read(IR).unwrap();
    let one = message.body.value();
    for times in [0, 2, 3] {
        let body = der::asn1::Any::new(der::Tag::Sequence, one.repeat(times)).unwrap();
        assert_eq!(CertReqMsg::only(&body).unwrap_err().failure, Failure::BadRequest, "{times}");
    }
    assert_eq!(kind::name(read(GENM).unwrap().kind), "genm");
}

/// Runs everything that reads a stranger's octets without a key.
fn read_all(bytes: &[u8]) {
    let Ok(message) = read(bytes) else { return };
    let _ = message.header.protection_alg.as_ref().and_then(|a| MacParameters::read(a, &LIMITS));
    let _ = message.extra_certs.first().map(|c| countersign_ca::x509::Facts::of(c));
    let _ = certification_request(&message.body, AltNames::Repaired);
    if let Ok(request) = CertReqMsg::only(&message.body) {
        let _ = request.old_cert_id();
        let _ = request.proven(&message.header.sender, None);
    }
    for part in elements(&message.body).unwrap_or_default() {
        let _ = part.to_der().map(|der| RevDetails::from_der(&der).map(drop));
    }
}

#[test]
fn no_truncation_is_a_message() {
    for (file, bytes) in ALL {
        for length in 0..bytes.len() {
            let refusal = read(&bytes[..length]).unwrap_err();
            assert_eq!(refusal.failure, Failure::BadDataFormat, "{file} cut to {length}");
        }
        let longer = [bytes, &[0][..]].concat();
        assert!(read(&longer).unwrap_err().text.contains("behind"), "{file}");
    }
}

#[test]
fn no_flipped_bit_panics_and_each_breaks_the_protection() {
    for (file, bytes) in [("ir", IR), ("p10cr", P10CR), ("kur", KUR), ("rr", RR)] {
        let genuine = read(bytes).unwrap();
        let end = bytes.len() - genuine.extra_certs.iter().map(Vec::len).sum::<usize>();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                read_all(&flipped);
                // Whatever still reads as a message has other octets under the protection, or another protection.
                if let Ok(message) = read(&flipped)
                    && at < end
                {
                    let same = message.protected_part == genuine.protected_part
                        && message.protection == genuine.protection
                        && message.extra_certs == genuine.extra_certs;
                    assert!(!same, "{file}: bit {bit} of octet {at}");
                }
            }
        }
    }
}

#[test]
fn protections_with_unused_bits_and_second_protections_are_refused() {
    let message = read(IR).unwrap();
    let parts = elements(&der::asn1::Any::from_der(IR).unwrap())
        .unwrap()
        .iter()
        .map(|part| part.to_der().unwrap())
        .collect::<Vec<_>>();
    let sequence = |parts: &[&[u8]]| {
        der::asn1::Any::new(der::Tag::Sequence, parts.concat()).unwrap().to_der().unwrap()
    };
    let protection = message.protection.unwrap();
    let unused =
        BitString::new(1, protection[..19].iter().copied().chain([0xf0]).collect::<Vec<_>>());
    let unused = tagged_body(0, &unused.unwrap().to_der().unwrap()).unwrap();
    for wrong in [
        sequence(&[&parts[0], &parts[1], &unused]),
        sequence(&[&parts[0], &parts[1], &parts[2], &parts[2]]),
        sequence(&[&parts[0], &parts[1], &tagged_body(2, &[5, 0]).unwrap()]),
        sequence(&[&parts[1], &parts[0], &parts[2]]),
        sequence(&[&parts[0]]),
        sequence(&[]),
    ] {
        assert_eq!(read(&wrong).unwrap_err().failure, Failure::BadDataFormat);
    }
    // extraCerts has at most 16 elements, and comes behind the protection.
    let certificates = |count: usize| {
        let one = sequence(&[]);
        tagged_body(1, &sequence(&vec![one.as_slice(); count])).unwrap()
    };
    assert!(read(&sequence(&[&parts[0], &parts[1], &parts[2], &certificates(16)])).is_ok());
    assert!(read(&sequence(&[&parts[0], &parts[1], &parts[2], &certificates(17)])).is_err());
    assert!(read(&sequence(&[&parts[0], &parts[1], &certificates(1), &parts[2]])).is_err());
}
