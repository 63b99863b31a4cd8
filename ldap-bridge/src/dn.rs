//! Distinguished names as text (RFC 4514): parsed, compared, built and written. Values are inserted as values and never as text, so that no
//! value can change the structure of a DN.

use std::fmt;
use std::str::FromStr;

use der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use der::{AnyRef, Decode, Tag, Tagged};

use crate::error::{Error, Result};

/// The longest DN that is parsed, in bytes.
const MAX_BYTES: usize = 8192;
/// The most RDNs of a DN that is parsed, and the most attributes of each RDN.
const MAX_PARTS: usize = 64;

/// Attribute types in DNs: short name, other name, object identifier (RFC 4519, RFC 4524, RFC 2985). Names are in lower case.
const TYPES: [(&str, &str, &str); 17] = [
    ("cn", "commonname", "2.5.4.3"),
    ("sn", "surname", "2.5.4.4"),
    ("serialnumber", "serialnumber", "2.5.4.5"),
    ("c", "countryname", "2.5.4.6"),
    ("l", "localityname", "2.5.4.7"),
    ("st", "stateorprovincename", "2.5.4.8"),
    ("street", "streetaddress", "2.5.4.9"),
    ("o", "organizationname", "2.5.4.10"),
    ("ou", "organizationalunitname", "2.5.4.11"),
    ("title", "title", "2.5.4.12"),
    ("name", "name", "2.5.4.41"),
    ("givenname", "gn", "2.5.4.42"),
    ("dnqualifier", "dnqualifier", "2.5.4.46"),
    ("uid", "userid", "0.9.2342.19200300.100.1.1"),
    ("mail", "rfc822mailbox", "0.9.2342.19200300.100.1.3"),
    ("dc", "domaincomponent", "0.9.2342.19200300.100.1.25"),
    ("emailaddress", "e", "1.2.840.113549.1.9.1"),
];

/// A distinguished name. The most specific RDN comes first, as in the text form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dn(Vec<Rdn>);

/// A relative distinguished name: at least one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rdn(Vec<Ava>);

/// An attribute of an RDN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ava {
    /// The type: its short name in lower case, if it is known here; otherwise the name or the dotted object identifier as written, in lower
    /// case.
    pub kind: String,
    /// The value, without escapes.
    pub value: String,
}

impl Dn {
    /// The RDNs of the DN, most specific first.
    pub fn rdns(&self) -> &[Rdn] {
        &self.0
    }

    /// Whether the DN is empty. The empty DN names the root of the directory.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The DN of the entry above; `None` for the empty DN.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_first().map(|(_, above)| Self(above.to_vec()))
    }

    /// This DN with `kind=value` added below it.
    pub fn child(&self, kind: &str, value: &str) -> Self {
        let own = Rdn(vec![Ava { kind: canonical_type(kind), value: value.to_owned() }]);
        Self(std::iter::once(own).chain(self.0.iter().cloned()).collect())
    }

    /// The full DN of an entry below `base`: the RDNs of this DN, then those of `base`.
    pub fn below(&self, base: &Self) -> Self {
        Self(self.0.iter().chain(&base.0).cloned().collect())
    }

    /// This DN with each `{name}` in its values replaced by the result of `value_of`. If the result is `None`, the `{name}` stays.
    pub fn filled(&self, value_of: &dyn Fn(&str) -> Option<String>) -> Self {
        let ava = |ava: &Ava| Ava { kind: ava.kind.clone(), value: fill(&ava.value, value_of) };
        Self(self.0.iter().map(|rdn| Rdn(rdn.0.iter().map(ava).collect())).collect())
    }

    /// A text that is the same for all DNs that a directory treats as equal. Case, outer spaces and repeated spaces make no difference
    /// (caseIgnoreMatch, RFC 4517 §4.2.11), nor does the order within an RDN.
    pub fn key(&self) -> String {
        let keys: Vec<String> = self.0.iter().map(Rdn::key).collect();
        keys.join(",")
    }

    /// Whether this DN is `base` or below it.
    pub fn is_within(&self, base: &Self) -> bool {
        let Some(more) = self.0.len().checked_sub(base.0.len()) else { return false };
        let own = self.0.get(more..).unwrap_or_default();
        own.iter().zip(&base.0).all(|(own, base)| own.key() == base.key())
    }
}

impl Rdn {
    /// The attributes of the RDN, in the order in which they are written.
    pub fn attributes(&self) -> &[Ava] {
        &self.0
    }

    /// A text that is the same for all RDNs that a directory treats as equal, as in [`Dn::key`].
    pub fn key(&self) -> String {
        let mut keys: Vec<String> = self
            .0
            .iter()
            .map(|ava| format!("{}={}", ava.kind, escaped(&prepared(&ava.value))))
            .collect();
        keys.sort_unstable();
        keys.join("+")
    }
}

/// Writes the DN by RFC 4514 §2.
impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rdn) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{rdn}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, ava) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("+")?;
            }
            write!(f, "{}={}", ava.kind, escaped(&ava.value))?;
        }
        Ok(())
    }
}

/// Parses a DN by RFC 4514 §3: attribute types as names or object identifiers, values with `\` escapes or as `#` and a string's BER in
/// hexadecimal. Spaces around `,`, `+` and `=` are accepted, because people write them; RFC 4514 §2.4 leaves that open.
impl FromStr for Dn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::Malformed(format!(
                "expected a DN of at most {MAX_BYTES} bytes, found {}",
                text.len()
            )));
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let wrong =
            |why: &str| Error::Malformed(format!("`{}` is no DN: {why}", text.escape_debug()));
        let mut reader = Reader { rest: text };
        let mut rdns = Vec::new();
        loop {
            let mut avas = Vec::new();
            let end = loop {
                avas.push(reader.ava().map_err(|why| wrong(&why))?);
                match reader.next() {
                    Some('+') if avas.len() < MAX_PARTS => {}
                    Some('+') => return Err(wrong("an RDN has too many attributes")),
                    end => break end,
                }
            };
            rdns.push(Rdn(avas));
            match end {
                None => return Ok(Self(rdns)),
                Some(',') if rdns.len() < MAX_PARTS => {}
                Some(_) => return Err(wrong(&format!("it has more than {MAX_PARTS} RDNs"))),
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Reads one `type=value`, up to the separator that follows.
    fn ava(&mut self) -> std::result::Result<Ava, String> {
        let (kind, value) =
            self.rest.split_once('=').ok_or("expected `type=value`, found no `=`")?;
        let kind = kind.trim();
        let is_name = kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        if kind.is_empty() || !is_name {
            return Err(format!("expected an attribute type, found `{}`", kind.escape_debug()));
        }
        let kind = canonical_type(kind);
        self.rest = value.trim_start_matches(' ');
        let value = if self.rest.starts_with('#') { self.hex_value()? } else { self.value()? };
        if value.is_empty() {
            return Err(format!("the value of `{kind}` is empty"));
        }
        Ok(Ava { kind, value })
    }

    fn value(&mut self) -> std::result::Result<String, String> {
        let (mut octets, mut kept) = (Vec::new(), 0);
        let mut buffer = [0; 4];
        loop {
            let before = self.rest;
            match self.next() {
                None => break,
                Some(',' | '+') => {
                    self.rest = before;
                    break;
                }
                Some('\\') => {
                    self.escape(&mut octets)?;
                    kept = octets.len();
                }
                Some(c @ ('"' | ';' | '<' | '>' | '\0')) => {
                    return Err(format!("`{}` must be escaped with a backslash", c.escape_debug()));
                }
                Some(c) => {
                    octets.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                    if c != ' ' {
                        kept = octets.len();
                    }
                }
            }
        }
        octets.truncate(kept);
        String::from_utf8(octets).map_err(|_| "a value is not UTF-8".to_owned())
    }

    fn escape(&mut self, octets: &mut Vec<u8>) -> std::result::Result<(), String> {
        let hex = self
            .rest
            .as_bytes()
            .first_chunk::<2>()
            .filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        match (hex, self.rest.chars().next()) {
            (Some(pair), _) => {
                octets.extend(
                    data_encoding::HEXLOWER_PERMISSIVE.decode(pair).map_err(|e| e.to_string())?,
                );
                self.rest = self.rest.get(2..).unwrap_or_default();
                Ok(())
            }
            (None, Some(c)) if " \"#+,;<=>\\".contains(c) => {
                octets.extend_from_slice(c.to_string().as_bytes());
                self.next();
                Ok(())
            }
            _ => Err("a backslash escapes nothing".to_owned()),
        }
    }

    fn hex_value(&mut self) -> std::result::Result<String, String> {
        let end = self.rest.find([',', '+']).unwrap_or(self.rest.len());
        let (hex, rest) = self.rest.split_at(end);
        self.rest = rest;
        let der = data_encoding::HEXLOWER_PERMISSIVE
            .decode(hex.trim_start_matches('#').trim_end().as_bytes())
            .map_err(|_| "expected hexadecimal digits behind `#`")?;
        let any = AnyRef::from_der(&der).map_err(|_| "the octets behind `#` are no BER")?;
        let text = match any.tag() {
            Tag::Utf8String => Utf8StringRef::try_from(any).map(|s| s.as_str().to_owned()),
            Tag::PrintableString => {
                PrintableStringRef::try_from(any).map(|s| s.as_str().to_owned())
            }
            Tag::Ia5String => Ia5StringRef::try_from(any).map(|s| s.as_str().to_owned()),
            other => return Err(format!("a value behind `#` is a string, found {other}")),
        };
        text.map_err(|e| e.to_string())
    }
}

fn canonical_type(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    let known =
        TYPES.iter().find(|(short, long, oid)| [*short, *long, *oid].contains(&lower.as_str()));
    known.map_or(lower, |(short, _, _)| (*short).to_owned())
}

/// Escapes a value by RFC 4514 §2.4. Control characters are escaped, too.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            c if c.is_control() => {
                let mut buffer = [0; 4];
                for octet in c.encode_utf8(&mut buffer).bytes() {
                    text.push_str(&format!("\\{octet:02x}"));
                }
            }
            c => text.push(c),
        }
    }
    text
}

/// Prepares a value for caseIgnoreMatch: lower case, no outer spaces, and single inner spaces.
pub(crate) fn prepared(value: &str) -> String {
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

fn fill(value: &str, value_of: &dyn Fn(&str) -> Option<String>) -> String {
    let (mut text, mut rest) = (String::new(), value);
    while let Some((before, behind)) = rest.split_once('{') {
        text.push_str(before);
        match behind.split_once('}').and_then(|(name, after)| Some((value_of(name)?, after))) {
            Some((found, after)) => {
                text.push_str(&found);
                rest = after;
            }
            None => {
                text.push('{');
                rest = behind;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dn(text: &str) -> Dn {
        text.parse().unwrap()
    }

    #[test]
    fn the_examples_of_rfc_4514_are_read() {
        // §4
        for (text, values) in [
            ("UID=jsmith,DC=example,DC=net", vec!["jsmith", "example", "net"]),
            (
                r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#,
                vec!["James \"Jim\" Smith, III", "example", "net"],
            ),
            ("CN=Before\\0dAfter,DC=example,DC=net", vec!["Before\rAfter", "example", "net"]),
            ("CN=Lu\\C4\\8Di\\C4\\87", vec!["Lučić"]),
        ] {
            let read: Vec<String> =
                dn(text).rdns().iter().map(|rdn| rdn.attributes()[0].value.clone()).collect();
            assert_eq!(read, values, "{text}");
        }
        let multi = dn("OU=Sales+CN=J.  Smith,DC=example,DC=net");
        assert_eq!(multi.rdns()[0].attributes().len(), 2);
        assert_eq!(multi.key(), dn("cn=j. smith + ou=SALES, dc=EXAMPLE , dc=net").key());
        assert_eq!(dn("2.5.4.3=#0c026869"), dn("CommonName=hi"));
    }

    #[test]
    fn what_is_no_dn_is_refused_by_name() {
        for (text, word) in [
            ("cn", "no `=`"),
            ("=x", "attribute type"),
            ("cn=", "empty"),
            ("cn=a,", "no `=`"),
            ("cn=a\\", "backslash"),
            ("cn=a\\q", "backslash"),
            ("cn=\"a\"", "escaped"),
            ("cn=#zz", "hexadecimal"),
            ("cn=#0203", "no BER"),
            ("cn=#020103", "is a string"),
            ("cn=\\ff", "UTF-8"),
            (&"cn=a,".repeat(65), "RDNs"),
            (&format!("cn={}", "a".repeat(9000)), "at most"),
        ] {
            let Err(Error::Malformed(why)) = text.parse::<Dn>() else {
                panic!("`{text}` was taken")
            };
            assert!(why.contains(word), "{text}: {why}");
        }
    }

    #[test]
    fn a_hostile_name_stays_one_value() {
        let template = dn("cn={account},ou=peers,o=Example");
        let hostile = "x,ou=admins+cn=root\0\\ {account} #";
        let filled = template.filled(&|name| (name == "account").then(|| hostile.to_owned()));
        assert_eq!(filled.rdns().len(), 3);
        assert_eq!(dn(&filled.to_string()), filled);
        assert!(
            filled.is_within(&dn("OU=Peers,O=example"))
                && !filled.is_within(&dn("ou=admins,o=Example"))
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(values in proptest::collection::vec("\\PC{1,12}|[ #,+=\\\\<>;\"\0\n]{1,6}", 1..5)) {
            let mut name = Dn::default();
            for value in &values {
                name = name.child("cn", value);
            }
            prop_assert_eq!(&dn(&name.to_string()), &name);
            prop_assert_eq!(dn(&name.to_string()).key(), name.key());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|[a-c=,+#\\\\ 0-9]{0,40}") {
            drop(text.parse::<Dn>());
        }
    }
}
