//! CMS by OpenSSL: the tests open the server's encrypted and signed data with none of the server's code.

use std::fs;
use std::path::PathBuf;

use der::asn1::{Any, OctetString};
use der::{Decode, Encode, Tag};

use super::cmp::{Pbkdf2, any, explicit, oid, sequence};
use super::{Instance, tool_ok};

const ENVELOPED_DATA: &str = "1.2.840.113549.1.7.3";
const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";

/// Runs `openssl` with these arguments, in the instance's folder.
#[track_caller]
pub fn openssl(instance: &Instance, arguments: &str) -> String {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    tool_ok("openssl", "openssl", &arguments, &instance.file("."))
}

fn content_info(kind: &str, content: &[u8]) -> Vec<u8> {
    let content = Any::from_der(content).expect("DER");
    sequence(&[oid(kind).to_der().unwrap(), explicit(0, content)])
}

/// The EnvelopedData in an EncryptedKey (RFC 4211 §2.1.9).
#[track_caller]
pub fn enveloped(encrypted_key: &Any) -> Any {
    assert_eq!(encrypted_key.to_der().unwrap()[0], 0xa0, "EnvelopedData in its implicit tag");
    Any::new(Tag::Sequence, encrypted_key.value()).unwrap()
}

/// Decrypts EnvelopedData with a private key in a file beside the instance.
#[track_caller]
pub fn decrypted(instance: &Instance, enveloped: &Any, key: &str) -> Vec<u8> {
    let cms = content_info(ENVELOPED_DATA, &enveloped.to_der().unwrap());
    fs::write(instance.file("enveloped.der"), cms).unwrap();
    openssl(
        instance,
        &format!("cms -decrypt -binary -inform DER -in enveloped.der -inkey {key} -out clear.der"),
    );
    fs::read(instance.file("clear.der")).unwrap()
}

/// Decrypts EnvelopedData with a secret. `openssl cms` knows the key wrap of RFC 3211, but not that of RFC 9481, so that each step
/// is a command of its own.
#[track_caller]
pub fn decrypted_by_secret(instance: &Instance, enveloped: &Any, secret: &str) -> Vec<u8> {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let parts: Vec<Any> = enveloped.decode_as().unwrap();
    assert_eq!(parts[0], any(&3_u8), "version 3 with a password");
    // RecipientInfos ::= SET { [3] PasswordRecipientInfo }
    let recipient = Any::from_der(parts[1].value()).unwrap();
    assert_eq!(recipient.to_der().unwrap()[0], 0xa3);
    let recipient: Vec<Any> =
        Any::new(Tag::Sequence, recipient.value()).unwrap().decode_as().unwrap();
    assert_eq!(recipient[0], any(&0_u8));
    let derivation: Vec<Any> =
        Any::new(Tag::Sequence, recipient[1].value()).unwrap().decode_as().unwrap();
    let pbkdf2: Pbkdf2 = derivation[1].decode_as().unwrap();
    openssl(
        instance,
        &format!(
            "kdf -binary -keylen 32 -kdfopt digest:SHA256 -kdfopt hexpass:{} -kdfopt hexsalt:{} -kdfopt iter:{} -out kek PBKDF2",
            hex(secret.as_bytes()),
            hex(pbkdf2.salt.as_bytes()),
            pbkdf2.iterations
        ),
    );
    let wrapped: OctetString = recipient[3].decode_as().unwrap();
    fs::write(instance.file("wrapped"), wrapped.as_bytes()).unwrap();
    let read = |name: &str| fs::read(instance.file(name)).unwrap();
    let (kek, iv) = (hex(&read("kek")), "a6".repeat(8));
    openssl(instance, &format!("enc -d -id-aes256-wrap -K {kek} -iv {iv} -in wrapped -out cek"));
    let content: Vec<Any> = parts[2].decode_as().unwrap();
    let cipher: Vec<Any> = content[1].decode_as().unwrap();
    let iv: OctetString = cipher[1].decode_as().unwrap();
    fs::write(instance.file("content"), content[2].value()).unwrap();
    let (key, iv) = (hex(&read("cek")), hex(iv.as_bytes()));
    openssl(instance, &format!("enc -d -aes-256-cbc -K {key} -iv {iv} -in content -out clear.der"));
    read("clear.der")
}

/// Verifies SignedData, whose certificates lead to the instance's root, and gives the signed content.
#[track_caller]
pub fn verified(instance: &Instance, signed: &[u8]) -> Vec<u8> {
    fs::write(instance.file("signed.der"), content_info(SIGNED_DATA, signed)).unwrap();
    let root = instance.root();
    openssl(
        instance,
        &format!(
            "cms -verify -binary -inform DER -in signed.der -CAfile {} -purpose any -signer signer.crt -out content.der",
            root.to_str().unwrap()
        ),
    );
    fs::read(instance.file("content.der")).unwrap()
}

/// Signs with a private key in a file, with this hash.
pub fn signature(instance: &Instance, key: &str, hash: &str, message: &[u8]) -> Vec<u8> {
    fs::write(instance.file("message"), message).unwrap();
    openssl(instance, &format!("dgst -{hash} -sign {key} -out signature message"));
    fs::read(instance.file("signature")).unwrap()
}

/// The only private key of an AsymmetricKeyPackage, as a PEM file for OpenSSL, and its public key. OpenSSL 3.0 reads only version 1, so
/// that the public key is cut off in the file.
#[track_caller]
pub fn private_key(instance: &Instance, package: &[u8], name: &str) -> (PathBuf, Vec<u8>) {
    let keys = Vec::<Any>::from_der(package).expect("an AsymmetricKeyPackage");
    assert_eq!(keys.len(), 1);
    let parts: Vec<Any> = keys[0].decode_as().expect("a OneAsymmetricKey");
    // Version 2 is 1, and no attributes stand before the public key.
    assert_eq!((&parts[0], parts.len()), (&any(&1_u8), 4));
    let public = parts[3].to_der().unwrap();
    assert_eq!(public[0], 0x81, "publicKey [1]");
    let first =
        [any(&0_u8).to_der().unwrap(), parts[1].to_der().unwrap(), parts[2].to_der().unwrap()];
    fs::write(instance.file("key.der"), sequence(&first)).unwrap();
    openssl(instance, &format!("pkey -inform DER -in key.der -out {name}"));
    (instance.file(name), parts[3].value()[1..].to_vec())
}
