//! The file names by which OpenSSL finds CAs and CRLs in a folder: `<hash>.0` and `<hash>.r0`, where the hash is that of the CA's name.

use der::asn1::{Any, SetOfVec, Utf8StringRef};
use der::{Decode, Encode, Tag, Tagged};
use md5::Md5;
use sha1::{Digest, Sha1};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

use super::error::GatewayError;

/// The hash of OpenSSL 1.0 and later over a name in DER, as eight hexadecimal digits. It is the SHA-1 over a canonical form of the name, in
/// which case and repeated spaces make no difference.
///
/// # Errors
/// The name cannot be read.
pub fn subject_hash(name: &[u8]) -> Result<String, GatewayError> {
    canonical(name)
        .map(|canonical| hexadecimal(&Sha1::digest(canonical)))
        .map_err(|e| GatewayError::new(format!("the name of a CA cannot be read: {e}")))
}

/// The subject hash of OpenSSL before 1.0: the first four octets of the MD5 over the name (DER), read as a little-endian number, as eight
/// hexadecimal digits.
pub fn subject_hash_old(name: &[u8]) -> String {
    hexadecimal(&Md5::digest(name))
}

/// The first four octets as a little-endian number, in hexadecimal.
fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().take(4).rev().map(|octet| format!("{octet:02x}")).collect()
}

/// The canonical form: the encoded RDNs, without the SEQUENCE around them.
fn canonical(name: &[u8]) -> der::Result<Vec<u8>> {
    let mut encoded = Vec::new();
    for rdn in Name::from_der(name)?.0 {
        let mut parts = SetOfVec::new();
        for part in rdn.0.into_vec() {
            parts.insert(AttributeTypeAndValue {
                oid: part.oid,
                value: canonical_value(&part.value)?,
            })?;
        }
        encoded.extend(parts.to_der()?);
    }
    Ok(encoded)
}

fn canonical_value(value: &Any) -> der::Result<Any> {
    let octets = value.value();
    let text: String = match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString => {
            std::str::from_utf8(octets)?.to_owned()
        }
        Tag::TeletexString => octets.iter().copied().map(char::from).collect(),
        Tag::BmpString => {
            let units = octets
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0_u16, |unit, octet| unit << 8 | u16::from(*octet)));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => return Ok(value.clone()),
    };
    let words: Vec<&str> = text
        .split(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
        .filter(|w| !w.is_empty())
        .collect();
    Any::encode_from(&Utf8StringRef::new(&words.join(" ").to_ascii_lowercase())?)
}
