//! Checks the names of peers that a policy author writes as licensees: whether they are spelled as IKE daemons spell requesters, and
//! if not, which spelling is correct.
//!
//! Names are compared octet by octet (RFC 2704 §5.2), so a licensee that is not spelled as by
//! [`distinguished_name`](super::distinguished_name) or [`passphrase`](super::passphrase) never equals a requester. Messages never contain
//! a pre-shared key or its hash.

use super::name::{MAX_TYPE, short_name, type_of};
use super::requesters::MAX_PASSPHRASE;

/// The prefix of X.500 names.
const DN: &str = "DN:";
/// The prefix of pre-shared keys.
const PASSPHRASE: &str = "passphrase:";
/// The prefixes of hashes of pre-shared keys, with the number of hexadecimal digits after each.
const HASHES: [(&str, usize); 2] = [("passphrase-md5-hex:", 32), ("passphrase-sha1-hex:", 40)];
/// The prefixes of the names of users that EAP and XAuth authenticate.
const USERS: [&str; 2] = ["EAP:", "XAUTH:"];

/// Attribute types as people and other programs write them, in any case, and OpenSSL's names of them.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("Email", "emailAddress"),
    ("E", "emailAddress"),
    ("S", "ST"),
    ("STREET", "street"),
    ("GIVENNAME", "GN"),
    ("SURNAME", "SN"),
    ("commonName", "CN"),
    ("userId", "UID"),
    ("domainComponent", "DC"),
];

/// Why a name never equals a requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableName {
    /// The fault of the name, in words.
    pub why: String,
    /// The correction, in words.
    pub hint: String,
}

impl UnusableName {
    fn new(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { why: why.into(), hint: hint.into() }
    }
}

/// Whether a label begins with a prefix of peers' names (`DN:`, `passphrase:` and so on), and so is not a label that the policy's author
/// invented.
pub fn is_peers(name: &[u8]) -> bool {
    let begins = |prefix: &str| name.starts_with(prefix.as_bytes());
    begins(DN)
        || begins(PASSPHRASE)
        || HASHES.iter().any(|(prefix, _)| begins(prefix))
        || USERS.iter().any(|prefix| begins(prefix))
}

/// Checks the spelling of a peer's name ([`is_peers`]).
///
/// # Errors
/// The name never equals a requester.
pub fn check(name: &[u8]) -> Result<(), UnusableName> {
    if let Some(line) = name.strip_prefix(DN.as_bytes()) {
        return one_line(line);
    }
    if let Some(secret) = name.strip_prefix(PASSPHRASE.as_bytes()) {
        return match secret.len() {
            0 => Err(UnusableName::new(
                "a pre-shared key is never empty",
                "write it behind the colon",
            )),
            1..=MAX_PASSPHRASE => Ok(()),
            length => Err(UnusableName::new(
                format!("a pre-shared key has at most {MAX_PASSPHRASE} octets, found {length}"),
                "give both sides a shorter one",
            )),
        };
    }
    let of_hash = HASHES.iter().find_map(|(prefix, digits)| {
        Some((name.strip_prefix(prefix.as_bytes())?, *digits, *prefix))
    });
    if let Some((hash, digits, prefix)) = of_hash {
        return hashed(hash, digits, prefix);
    }
    match USERS.iter().find_map(|prefix| name.strip_prefix(prefix.as_bytes())) {
        Some([]) => Err(UnusableName::new("a user has a name", "write it behind the colon")),
        _ => Ok(()),
    }
}

/// The correct spelling of a prefix of peers' names, if the name begins with that prefix in any case.
pub fn canonical_prefix(name: &[u8]) -> Option<&'static str> {
    let all = [DN, PASSPHRASE].into_iter().chain(HASHES.map(|(prefix, _)| prefix)).chain(USERS);
    let mut all = all.filter(|prefix| {
        name.get(..prefix.len()).is_some_and(|text| text.eq_ignore_ascii_case(prefix.as_bytes()))
    });
    all.next()
}

fn hashed(hash: &[u8], digits: usize, prefix: &str) -> Result<(), UnusableName> {
    if hash.len() != digits || !hash.iter().all(u8::is_ascii_hexdigit) {
        let why = format!(
            "expected {digits} hexadecimal digits behind `{prefix}`, found {}",
            if hash.len() == digits { "other characters".into() } else { hash.len().to_string() }
        );
        return Err(UnusableName::new(why, "hash the pre-shared key alone, without a newline"));
    }
    if hash.iter().any(u8::is_ascii_uppercase) {
        return Err(UnusableName::new(
            format!(
                "the digits behind `{prefix}` are in upper case, and a peer's are in lower case"
            ),
            "write them in lower case",
        ));
    }
    Ok(())
}

/// Checks OpenSSL's one-line form of a distinguished name, as [`super::DistinguishedName`] writes it.
fn one_line(line: &[u8]) -> Result<(), UnusableName> {
    let Some(text) = std::str::from_utf8(line).ok().filter(|text| text.bytes().all(is_plain))
    else {
        return Err(UnusableName::new(
            "a name holds printable ASCII only",
            format!("write `{DN}{}`", escaped(line)),
        ));
    };
    let Some(rest) = text.strip_prefix('/') else {
        return Err(not_in_one_line(text));
    };
    let wrong = parts(rest).into_iter().find_map(|part| wrong_with(part).err());
    wrong.map_or(Ok(()), Err)
}

/// The error for a name that does not begin with `/`, which is mostly in the form of RFC 4514.
fn not_in_one_line(text: &str) -> UnusableName {
    let why = "a distinguished name is written in OpenSSL's one-line form, which begins with `/`";
    if text.trim_start().starts_with('/') {
        return UnusableName::new(why, format!("write `{DN}{}`", text.trim_start()));
    }
    let hint = turned(text).map_or_else(
        || {
            "write `DN:/C=SE/O=Example/CN=gw7`; `policy principal --certificate FILE` prints that of a certificate"
                .into()
        },
        |line| format!("write `{DN}{line}`: the order is that of the certificate, the most general part first"),
    );
    UnusableName::new(why, hint)
}

/// Converts a name in the form of RFC 4514 to the one-line form; `None` if the result would be uncertain.
fn turned(text: &str) -> Option<String> {
    if text.contains(['\\', '+', '"', '/']) {
        return None;
    }
    let parts: Option<Vec<String>> = text
        .split(',')
        .map(|part| {
            let (kind, value) = part.split_once('=')?;
            let kind = right_type(kind.trim()).ok()?;
            Some(format!("/{kind}={}", value.trim()))
        })
        .collect();
    // Names that are separated by `, ` are written in either order: the most general part is a country, an organization or a domain.
    let mut parts = parts?;
    let is_general =
        |part: &String| ["/C=", "/O=", "/DC="].iter().any(|kind| part.starts_with(kind));
    if !parts.first().is_some_and(is_general) {
        parts.reverse();
    }
    Some(parts.concat())
}

/// Checks one `TYPE=value` of a name.
fn wrong_with(part: &str) -> Result<(), UnusableName> {
    let Some((kind, value)) = part.split_once('=') else {
        return Err(UnusableName::new(
            format!("expected `TYPE=value` between the `/` of a name, found `{part}`"),
            "a `/` or `+` in a value is written `\\/` or `\\+`",
        ));
    };
    let right = right_type(kind.trim());
    if kind != kind.trim() || value != value.trim() {
        let kind = right.unwrap_or_else(|_| kind.trim().to_owned());
        return Err(UnusableName::new(
            format!("the blanks at the ends of `{part}` count, and no certificate's name has them"),
            format!("write `{kind}={}`", value.trim()),
        ));
    }
    match right {
        Ok(right) if right == kind => {}
        Ok(right) => {
            return Err(UnusableName::new(
                format!("the attribute type `{kind}` is never written so"),
                format!("write `{right}={value}`"),
            ));
        }
        Err(hint) => {
            return Err(UnusableName::new(format!("there is no attribute type `{kind}`"), hint));
        }
    }
    if has_lower_case_escape(value) {
        return Err(UnusableName::new(
            format!(
                "the hexadecimal digits of `\\x` in `{part}` are in lower case, and those of a peer are in upper case"
            ),
            "write them in upper case",
        ));
    }
    Ok(())
}

/// Finds OpenSSL's spelling of an attribute type.
///
/// # Errors
/// There is no attribute type of this name; the text says what to write.
fn right_type(kind: &str) -> Result<String, String> {
    if kind.starts_with(|c: char| c.is_ascii_digit()) {
        let dotted = kind.len() <= MAX_TYPE
            && kind.split('.').all(|arc| {
                let plain = !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
                plain && (arc == "0" || !arc.starts_with('0'))
            });
        if !dotted || !kind.contains('.') {
            return Err("an object identifier is written as numbers with points between".into());
        }
        return Ok(short_name(kind).unwrap_or(kind).to_owned());
    }
    if let Some(known) = type_of(kind) {
        return Ok(known.to_owned());
    }
    let other = OTHER_NAMES.iter().find(|(other, _)| other.eq_ignore_ascii_case(kind));
    other.map(|(_, right)| (*right).to_owned()).ok_or_else(|| {
        "the types are OpenSSL's short names, such as `CN`, `O`, `OU`, `C`, `emailAddress`, or object identifiers; `policy principal \
         --certificate FILE` prints the name of a certificate"
            .into()
    })
}

/// The parts that are separated by `/` or `+`, except where these are escaped by a backslash.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if matches!(c, '/' | '+') && !escaped {
            parts.push(text.get(start..at).unwrap_or_default());
            start = at + 1;
        }
        escaped = c == '\\';
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn has_lower_case_escape(value: &str) -> bool {
    value.as_bytes().windows(4).any(|four| {
        matches!(four, [b'\\', b'x', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
            && (high.is_ascii_lowercase() || low.is_ascii_lowercase()))
    })
}

fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// The text, with `\xHH` for each octet that is not printable ASCII.
fn escaped(line: &[u8]) -> String {
    line.iter()
        .map(|byte| match byte {
            byte if is_plain(*byte) => char::from(*byte).to_string(),
            byte => format!("\\x{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipsec::passphrase;

    #[test]
    fn what_peers_ask_as_is_right() {
        for secret in ["x", "tulips in april", "\u{fc}"] {
            for spelling in passphrase(secret.as_bytes()).unwrap() {
                assert!(is_peers(&spelling));
                assert_eq!(check(&spelling), Ok(()));
            }
        }
        for right in [
            "DN:/C=SE/O=Example/CN=gw7",
            "DN:/C=SE/O=Example, Inc./CN=gw 7/emailAddress=ca@example.net",
            "DN:/O=a\\/b\\+c/CN=x+UID=7",
            "DN:/O=\\xC3\\xBC/1.3.6.1.4.1.99999.7=x",
            "DN:/CN=",
            "EAP:alice",
            "XAUTH:alice",
        ] {
            assert!(is_peers(right.as_bytes()), "{right}");
            assert_eq!(check(right.as_bytes()), Ok(()), "{right}");
        }
    }

    #[test]
    fn what_nobody_asks_as_is_told_with_the_right_spelling() {
        for (wrong, hint) in [
            ("DN:/C=SE/CN=CA/Email=ca@example.net", "write `emailAddress=ca@example.net`"),
            ("DN:/C=SE/CN=CA/E=ca@example.net", "write `emailAddress=ca@example.net`"),
            ("DN:CN=Example CA, O=Example, C=SE", "write `DN:/C=SE/O=Example/CN=Example CA`"),
            ("DN:CN=CA,O=Example,C=SE", "write `DN:/C=SE/O=Example/CN=CA`"),
            ("DN:C=SE, O=Example, CN=CA", "write `DN:/C=SE/O=Example/CN=CA`"),
            ("DN: /C=SE/CN=CA", "write `DN:/C=SE/CN=CA`"),
            ("DN:/C=SE /CN=CA", "write `C=SE`"),
            ("DN:/C=SE/CN= CA", "write `CN=CA`"),
            ("DN:/C = SE/CN=CA", "write `C=SE`"),
            ("DN:/C=SE/cn=CA", "write `CN=CA`"),
            ("DN:/c=SE/CN=CA", "write `C=SE`"),
            ("DN:/S=Example/CN=CA", "write `ST=Example`"),
            ("DN:/2.5.4.3=CA", "write `CN=CA`"),
            ("DN:/1..3=CA", "numbers with points"),
            ("DN:/XY=CA", "OpenSSL's short names"),
            ("DN:/CN=a/b", "is written `\\/`"),
            ("DN:/O=\\xc3\\xbc", "in upper case"),
            ("DN:/O=\u{fc}", "write `DN:/O=\\xC3\\xBC`"),
            ("DN:", "policy principal"),
            ("DN:CN=a\\,b,O=x", "policy principal"),
            ("passphrase:", "behind the colon"),
            ("passphrase-sha1-hex:5BFE35a831c99305a5da250c295cf9c452f835a6", "in lower case"),
            ("passphrase-md5-hex:5bfe35a831c99305a5da250c295cf9c452f835a6", "without a newline"),
            ("passphrase-md5-hex:zz", "without a newline"),
            ("EAP:", "behind the colon"),
        ] {
            assert!(is_peers(wrong.as_bytes()), "{wrong}");
            let nobody = check(wrong.as_bytes()).expect_err(wrong);
            assert!(nobody.hint.contains(hint), "{wrong}: {nobody:?}");
            assert!(!format!("{nobody:?}").contains("99305a5d"), "{wrong}: a hash is shown");
        }
    }

    #[test]
    fn another_case_of_the_beginning_is_found() {
        assert_eq!(canonical_prefix(b"dn:/CN=x"), Some("DN:"));
        assert_eq!(canonical_prefix(b"Passphrase-SHA1-hex:00"), Some("passphrase-sha1-hex:"));
        assert_eq!(canonical_prefix(b"eap:x"), Some("EAP:"));
        assert_eq!(canonical_prefix(b"alice"), None);
        assert!(!is_peers(b"dn:/CN=x") && !is_peers(b"binary-hex:00"));
    }
}
