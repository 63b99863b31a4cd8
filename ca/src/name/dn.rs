//! Distinguished names as people write them: the string form of RFC 4514, with the leniency that RFC 2253 §4 allows
//! (blanks around separators, quoted values). Each value gets the string type that RFC 5280 §A.1 prescribes for its
//! attribute.

use std::iter::Peekable;
use std::str::Chars;

use der::asn1::{Any, Ia5StringRef, ObjectIdentifier, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::oid::db::DB;
use der::{Decode, Tag};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use super::misleading::refuse_misleading;
use crate::error::{Error, Result};
use crate::oid;

/// Short names of attribute types that the registry lacks.
const SHORT_NAMES: [(&str, ObjectIdentifier); 3] =
    [("E", oid::EMAIL_ADDRESS), ("emailAddress", oid::EMAIL_ADDRESS), ("S", oid::STATE)];

/// Parses a distinguished name, most specific part first.
///
/// # Errors
/// [`Error::Malformed`] that says which part cannot be read, and why; also for characters that mislead a reader.
pub fn distinguished_name(text: &str) -> Result<Name> {
    refuse_misleading(text)?;
    if text.trim().is_empty() {
        return Err(Error::malformed("expected a distinguished name, found an empty one"));
    }
    let mut reader = Reader { chars: text.chars().peekable() };
    let mut parts = Vec::new();
    loop {
        let (part, is_last) = reader
            .part()
            .map_err(|why| Error::malformed(format!("{why}, in the name `{text}`; {EXPECTED}")))?;
        parts.push(part);
        if is_last {
            parts.reverse();
            return Ok(RdnSequence(parts));
        }
    }
}

/// The name of a CA with another common name: every RDN with a common name is left out, and `common_name`, in the
/// string form of RFC 4514, becomes the most specific RDN. A constraint on directory names that permits the CA's name
/// and has no common name permits this name, too.
///
/// # Errors
/// [`Error::Malformed`] if `common_name` cannot be read.
pub fn sibling(ca: &Name, common_name: &str) -> Result<Name> {
    let is_other = |rdn: &&RelativeDistinguishedName| {
        rdn.0.iter().all(|attribute| attribute.oid != oid::COMMON_NAME)
    };
    let mut rdns: Vec<_> = ca.0.iter().filter(is_other).cloned().collect();
    rdns.extend(distinguished_name(&format!("CN={common_name}"))?.0);
    Ok(RdnSequence(rdns))
}

/// The attribute type with this short name, in upper or lower case, or this dotted object identifier.
///
/// # Errors
/// [`Error::Malformed`] if the short name is not known and is not an object identifier.
pub fn attribute_type(name: &str) -> Result<ObjectIdentifier> {
    let short = SHORT_NAMES.iter().find(|(short, _)| short.eq_ignore_ascii_case(name));
    if let Some(kind) = short.map(|(_, kind)| *kind).or_else(|| DB.by_name(name).copied()) {
        return Ok(kind);
    }
    let digits = name.strip_prefix("OID.").or_else(|| name.strip_prefix("oid.")).unwrap_or(name);
    ObjectIdentifier::new(digits).map_err(|_| {
        Error::malformed(format!(
            "`{}` is no attribute type that is known, such as `CN`, `O`, `OU`, `C` or an object identifier",
            name.escape_debug()
        ))
    })
}

/// The hint at the end of the error message for a part that cannot be read.
const EXPECTED: &str = "expected a distinguished name such as `CN=gw1,O=Example,C=DE` (RFC 4514)";

/// The separator that ended a value, or the end of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// A `+`: another attribute of the same RDN follows.
    Plus,
    /// A `,` or `;`: another RDN follows.
    Comma,
    /// The end of the text.
    Text,
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    /// Reads one RDN. The flag says whether it is the last.
    fn part(&mut self) -> Result<(RelativeDistinguishedName, bool)> {
        let mut attributes = Vec::new();
        loop {
            let kind = self.kind()?;
            let (value, end) = self.value(&kind.1)?;
            let value = match value {
                Value::Text(text) => encode(kind.0, &kind.1, &text)?,
                Value::Der(der) => Any::from_der(&der).map_err(|e| {
                    Error::malformed(format!("the value of `{}` is no DER: {e}", kind.1))
                })?,
            };
            attributes.push(AttributeTypeAndValue { oid: kind.0, value });
            if end != End::Plus {
                let set = SetOfVec::try_from(attributes).map_err(Error::internal)?;
                return Ok((RelativeDistinguishedName(set), end == End::Text));
            }
        }
    }

    /// Reads an attribute type and the `=` after it. Returns the type and its spelling in the text.
    fn kind(&mut self) -> Result<(ObjectIdentifier, String)> {
        let mut name = String::new();
        loop {
            match self.chars.next() {
                Some('=') => break,
                Some(c) if !matches!(c, ',' | ';' | '+' | '\\' | '"') => name.push(c),
                _ => {
                    return Err(Error::malformed(format!(
                        "`{}` has no `=`: a comma that belongs to a value is written `\\,`",
                        name.trim().escape_debug()
                    )));
                }
            }
        }
        let name = name.trim().to_owned();
        Ok((attribute_type(&name)?, name))
    }
}

/// A value as it is written in the text.
enum Value {
    Text(String),
    /// `#`, and DER in hexadecimal digits.
    Der(Vec<u8>),
}

impl Reader<'_> {
    fn value(&mut self, name: &str) -> Result<(Value, End)> {
        self.skip_blanks();
        match self.chars.peek() {
            Some('#') => {
                self.chars.next();
                let (digits, end) = self.plain(name)?;
                let der = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
                let der = der.map_err(|_| {
                    Error::malformed(format!(
                        "the value of `{name}` is no pairs of hexadecimal digits behind `#`"
                    ))
                })?;
                Ok((Value::Der(der), end))
            }
            Some('"') => {
                self.chars.next();
                let text = self.quoted(name)?;
                self.skip_blanks();
                let end = self.end().ok_or_else(|| {
                    Error::malformed(format!("something follows the closing `\"` of `{name}`"))
                })?;
                Ok((Value::Text(text), end))
            }
            _ => self.plain(name).map(|(text, end)| (Value::Text(text), end)),
        }
    }

    /// Reads an unquoted value up to the next separator. Trailing blanks do not belong to it, unless they are escaped.
    fn plain(&mut self, name: &str) -> Result<(String, End)> {
        let (mut octets, mut kept) = (Vec::new(), 0);
        let end = loop {
            if let Some(end) = self.end() {
                break end;
            }
            match self.chars.next() {
                Some('\\') => {
                    self.escaped(name, &mut octets)?;
                    kept = octets.len();
                }
                Some(c) => {
                    octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    if c != ' ' {
                        kept = octets.len();
                    }
                }
                None => break End::Text,
            }
        };
        octets.truncate(kept);
        Ok((text_of(name, octets)?, end))
    }

    fn quoted(&mut self, name: &str) -> Result<String> {
        let mut octets = Vec::new();
        loop {
            match self.chars.next() {
                Some('"') => return text_of(name, octets),
                Some('\\') => self.escaped(name, &mut octets)?,
                Some(c) => octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                None => {
                    return Err(Error::malformed(format!(
                        "the value of `{name}` has no closing `\"`"
                    )));
                }
            }
        }
    }

    /// Reads what follows a backslash: a character that stands for itself, or one octet in two hexadecimal digits.
    fn escaped(&mut self, name: &str, octets: &mut Vec<u8>) -> Result<()> {
        let next = self.chars.next();
        let high = next.and_then(|c| c.to_digit(16));
        match next {
            Some(c @ (' ' | '"' | '#' | '=' | '\\' | '+' | ',' | ';' | '<' | '>')) => {
                octets.push(c as u8)
            }
            _ => {
                let low = self.chars.next().and_then(|c| c.to_digit(16));
                let octet =
                    high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                octets.push(octet.ok_or_else(|| {
                    Error::malformed(format!(
                        "a backslash in the value of `{name}` escapes nothing; a backslash itself is written `\\\\`"
                    ))
                })?);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Option<End> {
        let end = match self.chars.peek() {
            Some('+') => End::Plus,
            Some(',' | ';') => End::Comma,
            None => End::Text,
            Some(_) => return None,
        };
        self.chars.next();
        Some(end)
    }

    fn skip_blanks(&mut self) {
        while self.chars.next_if_eq(&' ').is_some() {}
    }
}

/// The text of a value whose escapes are resolved. An escape may spell a misleading character, so the check is repeated
/// here.
fn text_of(name: &str, octets: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(octets)
        .map_err(|_| Error::malformed(format!("the value of `{name}` is not UTF-8")))?;
    refuse_misleading(&text)?;
    match text.is_empty() {
        true => Err(Error::malformed(format!("the value of `{name}` is empty"))),
        false => Ok(text),
    }
}

/// Encodes the value of an attribute in the string type of RFC 5280 §A.1.
fn encode(kind: ObjectIdentifier, name: &str, text: &str) -> Result<Any> {
    let wrong = |what: &str| {
        Error::malformed(format!("expected {what} as `{name}`, found `{}`", text.escape_debug()))
    };
    let (tag, octets) = match kind {
        oid::COUNTRY if !(text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic())) => {
            return Err(wrong("the two letters of a country, such as `DE`"));
        }
        oid::COUNTRY | oid::SERIAL_NUMBER | oid::DN_QUALIFIER => {
            let text = PrintableStringRef::new(text)
                .map_err(|_| wrong("letters, digits, blanks and ' ( ) + , - . / : = ?"))?;
            (Tag::PrintableString, text.as_bytes())
        }
        oid::EMAIL_ADDRESS | oid::DOMAIN_COMPONENT => {
            (Tag::Ia5String, Ia5StringRef::new(text).map_err(|_| wrong("ASCII"))?.as_bytes())
        }
        _ => (Tag::Utf8String, Utf8StringRef::new(text).map_err(|_| wrong("UTF-8"))?.as_bytes()),
    };
    Any::new(tag, octets).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use der::Tagged;

    use super::*;

    fn values(text: &str) -> Vec<(String, String, Tag)> {
        let name = distinguished_name(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let all = name.0.iter().rev().flat_map(|part| part.0.iter());
        all.map(|one| {
            let value = String::from_utf8(one.value.value().to_vec()).unwrap();
            (one.oid.to_string(), value, one.value.tag())
        })
        .collect()
    }

    #[test]
    fn blanks_belong_to_a_value_only_where_they_are_meant() {
        let texts = |text: &str| -> Vec<String> {
            values(text).into_iter().map(|(_, value, _)| value).collect()
        };
        for (text, expected) in [
            ("CN=gw7,O=Example\\, Inc.,C=US", &["gw7", "Example, Inc.", "US"][..]),
            ("CN = gw7 , O = Example ; C=US ", &["gw7", "Example", "US"]),
            ("CN=gw7\\ ,O=\\ Example", &["gw7 ", " Example"]),
            ("CN=\"gw7, \" ,O=\"A \\\"B\\\" + C\"", &["gw7, ", "A \"B\" + C"]),
            ("CN=a\\+b\\=c\\\\d\\#\\3b,O=x  y", &["a+b=c\\d#;", "x  y"]),
            ("CN=M\\c3\\bcller,O=M\u{fc}ller", &["M\u{fc}ller", "M\u{fc}ller"]),
            ("CN=a=b", &["a=b"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
        let name = distinguished_name("CN=gw7+OU=Lab,O=Example").unwrap();
        assert_eq!((name.0.len(), name.0[1].0.len()), (2, 2));
    }

    #[test]
    fn each_attribute_has_its_own_kind_of_string() {
        let text = "emailAddress=ops@example.net,E=a@example.net,CN=gw7,dnQualifier=x1,serialNumber=9,DC=example,C=us,2.5.4.11=Lab";
        let found: Vec<(String, Tag)> =
            values(text).into_iter().map(|(kind, _, tag)| (kind, tag)).collect();
        let mail = "1.2.840.113549.1.9.1";
        for (found, (kind, tag)) in found.iter().zip([
            (mail, Tag::Ia5String),
            (mail, Tag::Ia5String),
            ("2.5.4.3", Tag::Utf8String),
            ("2.5.4.46", Tag::PrintableString),
            ("2.5.4.5", Tag::PrintableString),
            ("0.9.2342.19200300.100.1.25", Tag::Ia5String),
            ("2.5.4.6", Tag::PrintableString),
            ("2.5.4.11", Tag::Utf8String),
        ]) {
            assert_eq!(found, &(kind.to_owned(), tag));
        }
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for text in [
            "CN=gw7,O=Example\\, Inc.,C=US",
            "CN=a\\+b\\\\c,O=\\#1\\ ",
            "E=ops@example.net,CN=gw7",
            "CN=gw7,OU=\u{5de5}\u{5834},O=M\u{fc}ller",
            "1.2.3.4=#0c0161,CN=x",
            "UID=a,DC=example,DC=net",
        ] {
            let name = distinguished_name(text).unwrap();
            assert_eq!(distinguished_name(&name.to_string()).unwrap(), name, "{text}: {name}");
        }
    }

    #[test]
    fn what_is_no_name_is_told_with_the_place() {
        for (text, expected) in [
            ("", "empty"),
            ("   ", "empty"),
            ("gw7", "no `=`"),
            ("CN=gw7,O=Example, Inc.", "`Inc.` has no `=`"),
            ("CN=gw7,", "no `=`"),
            ("CN=", "`CN` is empty"),
            ("CN= ,O=x", "`CN` is empty"),
            ("CN=a\\", "backslash"),
            ("CN=a\\9", "backslash"),
            ("CN=\"a", "closing"),
            ("CN=\"a\"b", "follows"),
            ("CN=#0c", "DER"),
            ("CN=#xy", "hexadecimal"),
            ("color=red", "`color` is no attribute type"),
            ("CN=gw7,C=Germany", "two letters"),
            ("CN=gw7,C=4D", "two letters"),
            ("serialNumber=a_b", "as `serialNumber`"),
            ("emailAddress=\u{fc}@example.net", "ASCII"),
            ("CN=a\\00b", "U+0000"),
            ("CN=a\\e2\\80\\aeb", "U+202E"),
            ("CN=a\\ffb", "UTF-8"),
        ] {
            let error = distinguished_name(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
