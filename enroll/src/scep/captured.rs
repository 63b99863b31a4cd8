//! Tests against messages that real clients sent (`tests/captured-scep/README.md`).

use std::fs;
use std::path::{Path, PathBuf};

use countersign_ca::{FileKey, Proof, SystemEntropy};

use super::certificate::IssuerAndSerial;
use super::config::{Legacy, ScepConfig};
use super::envelope::Envelope;
use super::message::{MessageType, PkiMessage};
use super::refusal::{FailInfo, Refusal, Stop};
use crate::ber::{self, Elements, SEQUENCE};
use crate::request::extensions::AltNames;
use crate::request::pkcs10::{CertificationRequest, certification_request_in};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured-scep")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

/// The captured messages, by the names of their files.
fn all() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".p7"));
    names.sort();
    names
}

/// A message that was opened.
struct Opened {
    kind: MessageType,
    content: Vec<u8>,
}

/// Opens a message as the service does, with the key of its recipient.
fn open(octets: &[u8], legacy: Legacy) -> Result<Opened, Stop> {
    let bounds = ScepConfig::default().bounds;
    let message = PkiMessage::read(octets, bounds).expect("a pkiMessage");
    let kind = message.kind()?;
    message.verify(legacy)?;
    let envelope = Envelope::read(&message.content, bounds, legacy)?;
    for recipient in ["ra-rsa", "ra-enc-rsa", "caone"] {
        let name = IssuerAndSerial::of(&read(&format!("{recipient}.der")))?;
        let Some(found) = envelope.recipients.iter().find(|one| one.name == name) else { continue };
        let key = FileKey::from_pkcs8(&read(&format!("{recipient}.p8"))).unwrap();
        let key = countersign_ca::key::DecryptionKey::new(&key, &SystemEntropy::default()).unwrap();
        let length = envelope.cipher.key_length();
        let key = key.content_key(found.transport()?, &found.encrypted_key, length);
        let content = envelope.decrypt(&key).expect("the right key");
        return Ok(Opened { kind, content: content.to_vec() });
    }
    panic!("a message for none of the recipients");
}

fn request(content: &[u8]) -> CertificationRequest {
    let der = ber::definite(content, ScepConfig::default().bounds).unwrap();
    certification_request_in(&der, AltNames::Repaired).unwrap()
}

/// The refusal of a message that must be refused.
fn refused(name: &str, legacy: Legacy) -> Refusal {
    match open(&read(name), legacy) {
        Err(Stop::Refused(refusal)) => refusal,
        Err(other) => panic!("{name}: {other:?}"),
        Ok(_) => panic!("{name} was opened"),
    }
}

#[test]
fn each_message_is_opened_or_refused_with_what_its_client_must_change() {
    let names = all();
    assert_eq!(names.len(), 28);
    let (mut opened, mut with_password) = (0, 0);
    for name in &names {
        if name.starts_with("micromdm") {
            let refusal = refused(name, Legacy::Refused);
            assert_eq!(refusal.failure, FailInfo::BadAlg);
            assert!(refusal.text.contains("SHA-1") && refusal.text.contains("scepclient 2.1.0"));
            let refusal = refused(name, Legacy::Accepted);
            assert_eq!(refusal.failure, FailInfo::BadAlg);
            assert!(refusal.text.contains("single DES"), "{name}: {}", refusal.text);
            continue;
        }
        if name.contains("tripledes") {
            let refusal = refused(name, Legacy::Refused);
            assert_eq!(refusal.failure, FailInfo::BadAlg);
            assert!(refusal.text.contains("triple DES"), "{name}: {}", refusal.text);
            let Opened { content, .. } = open(&read(name), Legacy::Accepted).unwrap();
            assert_eq!(request(&content).template.key.proof(), Proof::Signature, "{name}");
            continue;
        }
        if read(name).len() == 1605 {
            let refusal = refused(name, Legacy::Refused);
            assert_eq!(refusal.failure, FailInfo::BadAlg);
            assert!(refusal.text.contains("P-256 key"), "{name}: {}", refusal.text);
            continue;
        }
        let Opened { kind, content } = open(&read(name), Legacy::Refused).unwrap();
        assert!(name.contains(match kind {
            MessageType::RenewalReq => "_17_",
            MessageType::PkcsReq => "_19_",
            MessageType::CertPoll => "_20_",
            MessageType::GetCert => "_21_",
            MessageType::GetCrl => "_22_",
        }));
        match kind {
            MessageType::RenewalReq | MessageType::PkcsReq => {
                let request = request(&content);
                assert_eq!(request.template.key.proof(), Proof::Signature);
                with_password += usize::from(request.challenge_password.is_some());
            }
            MessageType::CertPoll => {
                let mut names = Elements::of(&content).expect(SEQUENCE, "both").unwrap().elements();
                assert_eq!(names.by_ref().filter(|name| name.tag == SEQUENCE).count(), 2);
            }
            MessageType::GetCert | MessageType::GetCrl => {
                let parts = Elements::of(&content).expect(SEQUENCE, "both").unwrap();
                assert!(IssuerAndSerial::read(parts.elements()).is_ok());
            }
        }
        opened += 1;
    }
    assert_eq!((opened, with_password > 0), (24, true));
}

#[test]
fn an_octet_that_changed_is_noticed_and_harms_nothing() {
    for name in [
        "strongswan-5.9.8_19_self_sha256_aes128_cbc.p7",
        "jscep-2.5.7_19_self_sha256_aes128_cbc.p7",
    ] {
        let octets = read(name);
        assert!(open(&octets, Legacy::Refused).is_ok());
        // Each octet is changed once, over several steps: the signature covers all but its own certificates and headers.
        let mut refused = 0;
        for at in (0..octets.len()).step_by(7) {
            let mut changed = octets.clone();
            changed[at] ^= 0x10;
            let bounds = ScepConfig::default().bounds;
            let verified = PkiMessage::read(&changed, bounds)
                .is_ok_and(|message| message.verify(Legacy::Refused).is_ok());
            refused += usize::from(!verified);
        }
        assert!(refused > octets.len() / 7 / 2, "{name}: {refused}");
        for length in 0..octets.len() {
            assert!(PkiMessage::read(&octets[..length], ScepConfig::default().bounds).is_err());
        }
    }
}

#[test]
fn attributes_out_of_order_keep_their_signature() {
    let request = request(&read("strongswan-unsorted.csr.der"));
    assert!(request.challenge_password.is_some() || !request.template.alt_names.is_empty());
}
