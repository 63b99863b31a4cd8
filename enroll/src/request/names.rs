//! Compares names (RFC 5280 §7.1).

use der::asn1::Any;
use der::{Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

/// Whether two names are the same. Letter case, the kinds of string, white space at the ends, and the amount of white space elsewhere do
/// not count: a client may encode a name anew in its own way.
pub fn same(a: &Name, b: &Name) -> bool {
    a == b
        || a.0.len() == b.0.len()
            && a.0.iter().zip(&b.0).all(|(a, b)| {
                let (a, b) = (&a.0, &b.0);
                a.len() == b.len() && a.iter().all(|one| b.iter().any(|other| alike(one, other)))
            })
}

/// Whether two attributes are the same, apart from the differences that [`same`] ignores.
fn alike(a: &AttributeTypeAndValue, b: &AttributeTypeAndValue) -> bool {
    a.oid == b.oid
        && (a.value == b.value
            || matches!((folded(&a.value), folded(&b.value)), (Some(a), Some(b)) if a == b))
}

/// The text of a string in the form in which it is compared; `None` for anything else.
fn folded(value: &Any) -> Option<String> {
    let is_text = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    let text = std::str::from_utf8(value.value()).ok().filter(|_| is_text)?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use der::asn1::PrintableString;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    #[test]
    fn case_spaces_and_kinds_of_string_do_not_count_and_the_rest_does() {
        let ours = name("CN=Issuing CA,O=Example");
        assert!(same(&ours, &name("CN=issuing  ca,O=EXAMPLE")));
        for other in ["CN=Issuing CB,O=Example", "O=Example,CN=Issuing CA", "CN=Issuing CA"] {
            assert!(!same(&ours, &name(other)), "{other}");
        }
        let mut printable = name("CN=Issuing CA");
        let value = Any::encode_from(&PrintableString::new("Issuing CA").unwrap()).unwrap();
        let oid = printable.0[0].0.get(0).unwrap().oid;
        printable.0[0] = vec![AttributeTypeAndValue { oid, value }].try_into().unwrap();
        assert!(same(&printable, &name("CN=issuing ca")));
        assert!(same(&Name::default(), &Name::default()));
        assert!(!same(&Name::default(), &ours));
    }
}
