//! Who asks, as isakmpd names peers: three spellings of a pre-shared key, `DN:` and the one-line name of a certificate's
//! subject.

use md5::Md5;
use sha1::{Digest as _, Sha1};
use x509_parser::prelude::{FromDer, X509Name};
use zeroize::Zeroizing;

/// The longest name, in bytes.
const MAX_NAME: usize = 4096;

/// Why a name is no requester.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is not DER, or not a Name.
    #[error("expected a Name (RFC 5280 section 4.1.2.4) in DER, found something else")]
    Malformed,
    /// The empty name is everybody's.
    #[error("expected a name with at least one attribute, found an empty one")]
    Empty,
    /// It is too long.
    #[error("expected a name of at most {MAX_NAME} bytes, found more")]
    TooLong,
}

/// A peer that knows a pre-shared key asks as all three: policies may name any of them. The texts hold the secret, or what
/// it can be guessed from; they are wiped when dropped.
pub fn pre_shared_key(secret: &[u8]) -> [Zeroizing<Vec<u8>>; 3] {
    let text = |prefix: &str, rest: &[u8]| Zeroizing::new([prefix.as_bytes(), rest].concat());
    let hex = |digest: &[u8]| Zeroizing::new(data_encoding::HEXLOWER.encode(digest).into_bytes());
    [
        text("passphrase:", secret),
        text("passphrase-md5-hex:", &hex(&Md5::digest(secret))),
        text("passphrase-sha1-hex:", &hex(&Sha1::digest(secret))),
    ]
}

/// `DN:` and a name from a certificate, as OpenSSL writes it on one line: `DN:/C=SE/O=Example/CN=gw7`.
///
/// As OpenSSL 3 does, `/` and `+` in a value are written behind a backslash, so that no value passes for two, and bytes outside
/// printable ASCII as `\xHH`.
///
/// # Errors
/// It is no name, an empty one, or too long.
pub fn distinguished_name(der: &[u8]) -> Result<String, NameError> {
    if der.len() > MAX_NAME {
        return Err(NameError::TooLong);
    }
    let (rest, name) = X509Name::from_der(der).map_err(|_| NameError::Malformed)?;
    if !rest.is_empty() {
        return Err(NameError::Malformed);
    }
    let mut line = String::new();
    for relative in name.iter() {
        for (position, attribute) in relative.iter().enumerate() {
            line.push(if position == 0 { '/' } else { '+' });
            let kind = attribute.attr_type().to_id_string();
            line.push_str(
                SHORT_NAMES.iter().find(|(oid, _)| *oid == kind).map_or(&kind, |(_, name)| *name),
            );
            line.push('=');
            push_value(&mut line, attribute.attr_value().data);
        }
    }
    match line.len() {
        0 => Err(NameError::Empty),
        length if length > MAX_NAME => Err(NameError::TooLong),
        _ => Ok(format!("DN:{line}")),
    }
}

fn push_value(line: &mut String, value: &[u8]) {
    for byte in value {
        match byte {
            b'/' | b'+' => line.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => line.push(char::from(*byte)),
            other => line.push_str(&format!("\\x{other:02X}")),
        }
    }
}

/// OpenSSL's short names of attributes in names; others are written as object identifiers.
const SHORT_NAMES: [(&str, &str); 26] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.16", "postalAddress"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pre_shared_key_asks_under_three_names() {
        // isakmpd.policy(5) gives the hashes of `foobar`.
        let [plain, md5, sha1] = pre_shared_key(b"foobar");
        assert_eq!(plain.as_slice(), b"passphrase:foobar");
        assert_eq!(md5.as_slice(), b"passphrase-md5-hex:3858f62230ac3c915f300c664312c63f");
        assert_eq!(
            sha1.as_slice(),
            b"passphrase-sha1-hex:8843d7f92416211de9ebb963ff4ce28125932878"
        );
    }
}
