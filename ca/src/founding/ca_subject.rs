//! The subjects of CAs. Each key of a CA has a subject of its own.
//!
//! NSS and GnuTLS keep one CRL for each issuer *name*. If two keys shared a name, they would lose the revocations of
//! one (docs/adr/0015-a-subject-for-each-key.md). The subject of a CA's next key is therefore the previous one with a
//! number after the common name: `Example CA`, `Example CA G2`, `Example CA G3`.

use der::{Any, Tag, Tagged};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};

use crate::error::{Denial, Error, Result};
use crate::name::{Name, same_name};
use crate::oid;
use crate::record::CaRecord;
use crate::x509::Facts;

/// The longest common name, in characters (ub-common-name, RFC 5280 §A.1).
const MAX_COMMON_NAME: usize = 64;

/// The subject for the key that follows the key with the subject `old`. It has the first higher number with which no certificate of
/// `cas`, and none above them, has this subject.
///
/// # Errors
/// `Denied` with [`Denial::Template`] if `old` has no common name to which a number can be added within 64 characters.
pub fn next_subject(old: &Name, cas: &[CaRecord]) -> Result<Name> {
    let unnumbered = || {
        Error::denied(
            Denial::Template,
            format!(
                "the subject `{old}` has no common name to which a number can be added within {MAX_COMMON_NAME} characters; name the \
                 next one with `--subject`"
            ),
        )
    };
    let Numbered { place, stem, number } = numbered(old).ok_or_else(unnumbered)?;
    // Each CA can occupy at most one number, so one more number than there are CAs is enough.
    for further in 1..=cas.len().saturating_add(1) {
        let number =
            u64::try_from(further).map_or(number, |further| number.saturating_add(further));
        let text = format!("{stem} G{number}");
        if text.chars().count() > MAX_COMMON_NAME {
            break;
        }
        let next = renamed(old, place, &text)?;
        if holder(&next, cas)?.is_none() {
            return Ok(next);
        }
    }
    Err(unnumbered())
}

/// Refuses a subject that a CA of the instance, or a CA above one, already has.
///
/// # Errors
/// `Denied` with [`Denial::Conflict`] that names the CA.
pub fn refuse_taken(subject: &Name, cas: &[CaRecord]) -> Result<()> {
    match holder(subject, cas)? {
        None => Ok(()),
        Some(ca) => Err(Error::denied(
            Denial::Conflict,
            format!(
                "the subject `{subject}` is that of the CA `{}` already; NSS and GnuTLS keep one CRL for each name, so name another \
                 with `--subject`",
                ca.name
            ),
        )),
    }
}

/// The CA that has this subject, or has a certificate with it in its chain.
pub fn holder<'a>(subject: &Name, cas: &'a [CaRecord]) -> Result<Option<&'a CaRecord>> {
    for ca in cas {
        for certificate in std::iter::once(&ca.certificate).chain(&ca.chain) {
            if same_name(&Facts::of(certificate)?.subject, subject) {
                return Ok(Some(ca));
            }
        }
    }
    Ok(None)
}

/// The last common name of a subject, split at the number at its end.
struct Numbered {
    /// The index of the common name's RDN.
    place: usize,
    /// The common name without its number (without ` G2`).
    stem: String,
    /// The number; 1 if the common name has none.
    number: u64,
}

/// Splits the last common name of a subject at its number; `None` if the subject has no common name in an RDN of its own, or it is
/// neither a UTF8String nor a PrintableString.
fn numbered(subject: &Name) -> Option<Numbered> {
    let is_named = |rdn: &RelativeDistinguishedName| matches!(rdn.0.as_slice(), [one] if one.oid == oid::COMMON_NAME);
    let place = subject.0.iter().rposition(is_named)?;
    let attribute = subject.0.get(place)?.0.as_slice().first()?;
    if !matches!(attribute.value.tag(), Tag::Utf8String | Tag::PrintableString) {
        return None;
    }
    let text = std::str::from_utf8(attribute.value.value()).ok()?;
    let number = |digits: &str| digits.parse::<u64>().ok().filter(|number| *number > 0);
    let split = text.rsplit_once(" G").and_then(|(stem, digits)| Some((stem, number(digits)?)));
    let (stem, number) = split.unwrap_or((text, 1));
    Some(Numbered { place, stem: stem.to_owned(), number })
}

/// The subject with another common name at this position, in the same string type.
fn renamed(subject: &Name, place: usize, text: &str) -> Result<Name> {
    let mut rdns = subject.0.clone();
    if let Some(rdn) = rdns.get_mut(place) {
        let mut attributes = rdn.0.clone().into_vec();
        for attribute in &mut attributes {
            attribute.value =
                Any::new(attribute.value.tag(), text.as_bytes()).map_err(Error::internal)?;
        }
        rdn.0 = attributes.try_into().map_err(Error::internal)?;
    }
    Ok(RdnSequence(rdns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::distinguished_name;

    fn after(text: &str) -> Result<String> {
        next_subject(&distinguished_name(text).unwrap(), &[]).map(|name| name.to_string())
    }

    #[test]
    fn the_next_key_has_the_next_number_in_its_common_name() {
        for (old, next) in [
            ("CN=Example CA", "CN=Example CA G2"),
            ("CN=Example CA G2", "CN=Example CA G3"),
            ("CN=Example CA G09", "CN=Example CA G10"),
            ("CN=Example CA G0", "CN=Example CA G0 G2"),
            ("CN=Big G", "CN=Big G G2"),
            ("CN=Issuing,O=Example,C=DE", "CN=Issuing G2,O=Example,C=DE"),
        ] {
            assert_eq!(after(old).unwrap(), next, "{old}");
        }
        let long = format!("CN={}", "x".repeat(62));
        for old in ["O=Example", long.as_str()] {
            assert!(after(old).unwrap_err().to_string().contains("--subject"), "{old}");
        }
    }
}
