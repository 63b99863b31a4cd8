//! Each kind of recipient, decrypted by OpenSSL.

use std::fs;
use std::path::Path;
use std::process::Command;

use cms::content_info::ContentInfo;
use countersign_ca::SystemEntropy;
use der::asn1::{BitString, OctetString};

use super::content::AES_WRAP;
use super::*;

const CONTENT: &[u8] = b"forty-nine octets, which are no multiple of 16...";

fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let mut command = Command::new("openssl");
    let output = command.current_dir(folder).args(arguments.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
    output.stdout
}

/// A key made by OpenSSL, as its public half.
fn key(folder: &Path, kind: &str) -> SubjectPublicKey {
    openssl(folder, &format!("genpkey {kind} -out key.pem"));
    SubjectPublicKey::from_der(&openssl(folder, "pkey -in key.pem -pubout -outform DER")).unwrap()
}

fn content_info(enveloped: &EnvelopedData) -> Vec<u8> {
    let content = Any::encode_from(enveloped).unwrap();
    let id = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.3");
    ContentInfo { content_type: id, content }.to_der().unwrap()
}

#[test]
fn openssl_decrypts_what_is_for_a_key() {
    for (kind, version) in [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "ktri"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "kari"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-384", "kari"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-521", "kari"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let key = key(folder, kind);
        let envelope = Envelope::for_key(
            &key,
            Recipient::Key(&key.key_identifier()),
            &SystemEntropy::default(),
        )
        .unwrap();
        let enveloped = envelope.seal(ID_DATA, CONTENT).unwrap();
        assert_eq!(enveloped.version, CmsVersion::V2);
        fs::write(folder.join("cms.der"), content_info(&enveloped)).unwrap();
        let shown = openssl(folder, "cms -cmsout -print -inform DER -in cms.der");
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(shown.contains(version) && shown.contains("aes-256-cbc"), "{shown}");
        let clear = openssl(folder, "cms -decrypt -binary -inform DER -in cms.der -inkey key.pem");
        assert_eq!(clear, CONTENT, "{kind}");
        // The same content, encrypted again, gives other octets.
        let again = Envelope::for_key(
            &key,
            Recipient::Key(&key.key_identifier()),
            &SystemEntropy::default(),
        )
        .unwrap();
        assert_ne!(again.seal(ID_DATA, CONTENT).unwrap(), enveloped);
    }
}

fn of_secret(wrapping: KeyWrapping) -> Envelope {
    Envelope::for_secret(b"a secret", wrapping, &SystemEntropy::default()).unwrap()
}

#[test]
fn openssl_decrypts_what_is_for_a_secret_by_the_key_wrap_of_rfc_3211() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Twenty times, because the padding and the content key are random.
    for _ in 0..20 {
        let enveloped = of_secret(KeyWrapping::PwriKek).seal(ID_DATA, CONTENT).unwrap();
        fs::write(folder.join("cms.der"), content_info(&enveloped)).unwrap();
        let decrypt = "cms -decrypt -binary -inform DER -in cms.der -pwri_password";
        let mut arguments: Vec<&str> = decrypt.split(' ').collect();
        arguments.push("a secret");
        let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, CONTENT);
    }
}

#[test]
fn openssl_decrypts_what_is_for_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let envelope = of_secret(KeyWrapping::AesWrap);
    let enveloped = envelope.seal(ID_DATA, CONTENT).unwrap();
    // RFC 5652 §6.1 and §6.2.4.
    assert_eq!(enveloped.version, CmsVersion::V3);
    let recipient = enveloped.recipient_infos.get(0).unwrap();
    assert_eq!(recipient.to_der().unwrap()[0], 0xa3, "a PasswordRecipientInfo");
    let recipient = Any::new(Tag::Sequence, recipient.value()).unwrap();
    let recipient: cms::enveloped_data::PasswordRecipientInfo = recipient.decode_as().unwrap();
    assert_eq!(recipient.version, CmsVersion::V0);
    assert_eq!(recipient.key_enc_alg, AES_WRAP);
    // OpenSSL's `cms` knows only the key wrap of RFC 3211, so that each step is undone by a command of its own.
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let derivation = recipient.key_derivation_alg.as_ref().unwrap();
    let parameters = derivation.parameters.as_ref().unwrap();
    let parameters: crate::cmp::wire::pbkdf2::Pbkdf2Parameters = parameters.decode_as().unwrap();
    assert_eq!((parameters.key_length, parameters.salt.as_bytes().len()), (Some(32), 16));
    let kek = openssl(
        folder,
        &format!(
            "kdf -binary -keylen 32 -kdfopt digest:SHA256 -kdfopt hexpass:{} -kdfopt hexsalt:{} -kdfopt iter:{} PBKDF2",
            hex(b"a secret"),
            hex(parameters.salt.as_bytes()),
            parameters.iteration_count.0
        ),
    );
    fs::write(folder.join("wrapped"), recipient.enc_key.as_bytes()).unwrap();
    let iv = "a6".repeat(8);
    let key =
        openssl(folder, &format!("enc -d -id-aes256-wrap -K {} -iv {iv} -in wrapped", hex(&kek)));
    let content = &enveloped.encrypted_content_info;
    let iv: OctetString = content.content_enc_alg.parameters.as_ref().unwrap().decode_as().unwrap();
    fs::write(folder.join("content"), content.encrypted_content.as_ref().unwrap().as_bytes())
        .unwrap();
    let clear = openssl(
        folder,
        &format!("enc -d -aes-256-cbc -K {} -iv {} -in content", hex(&key), hex(iv.as_bytes())),
    );
    assert_eq!(clear, CONTENT);
}

#[test]
fn openssl_decrypts_an_encrypted_value() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rsa = key(folder, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    let envelope = LegacyEnvelope::for_key(&rsa, &SystemEntropy::default()).unwrap();
    let value = envelope.seal(CONTENT).unwrap();
    let read = EncryptedValue::from_der(&value.to_der().unwrap()).unwrap();
    assert_eq!(read, value);
    let bits = |bits: &BitString| bits.as_bytes().unwrap().to_vec();
    fs::write(folder.join("wrapped"), bits(value.enc_symm_key.as_ref().unwrap())).unwrap();
    fs::write(folder.join("content"), bits(&value.enc_value)).unwrap();
    let key = openssl(folder, "pkeyutl -decrypt -inkey key.pem -in wrapped");
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let iv: OctetString = value.symm_alg.unwrap().parameters.unwrap().decode_as().unwrap();
    let clear = openssl(
        folder,
        &format!("enc -d -aes-256-cbc -K {} -iv {} -in content", hex(&key), hex(iv.as_bytes())),
    );
    assert_eq!(clear, CONTENT);
}

#[test]
fn keys_for_which_nothing_can_be_encrypted_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ed25519 = key(folder.path(), "-algorithm ED25519");
    let entropy = SystemEntropy::default();
    let refused = Envelope::for_key(&ed25519, Recipient::Key(&[1; 20]), &entropy).unwrap_err();
    assert!(matches!(&refused, Error::Malformed(why) if why.contains("Ed25519")), "{refused}");
    let p256 = key(folder.path(), "-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let refused = LegacyEnvelope::for_key(&p256, &entropy).err().unwrap();
    assert!(refused.to_string().contains("pvno 3"), "{refused}");
    // A point that is not on its curve: the last octet of y is another.
    let p384 = key(folder.path(), "-algorithm EC -pkeyopt ec_paramgen_curve:P-384");
    let mut der = p384.der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let off = SubjectPublicKey::from_der(&der).unwrap();
    let refused = Envelope::for_key(&off, Recipient::Key(&[1; 20]), &entropy).unwrap_err();
    assert!(matches!(&refused, Error::Malformed(why) if why.contains("P-384")), "{refused}");
}
