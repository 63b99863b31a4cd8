//! Rewrites DER that RFC 5280 allows but the DER library cannot read: object identifiers of any length and with arcs of
//! any size (X.690 §8.19; the library supports 3 to 39 octets, arcs of 32 bits and no `2.999`), and UniversalString.
//! Only the input of the decoder is rewritten; signatures and hashes are computed over the original octets.

use std::borrow::Cow;

use der::asn1::ObjectIdentifier;
use sha2::{Digest, Sha256};

use crate::sets::{Element, Header, element, header};

/// The deepest nesting that is examined.
const MAX_DEPTH: usize = 64;
/// The first octet of 2.39, the arc for stand-ins: the identifiers that replace those that the library cannot
/// represent. Nobody is registered there. If somebody were, the identifiers below it would get stand-ins, too.
const STAND_IN: u8 = 119;

const OID: u8 = 0x06;
/// The tag of registeredID in a GeneralName.
const REGISTERED_ID: u8 = 0x88;
const UNIVERSAL_STRING: u8 = 0x1c;
const UTF8_STRING: u8 = 0x0c;
const CONSTRUCTED: u8 = 0x20;

/// Rewrites DER so that the library can read it. What is not DER or not an object identifier is left unchanged, and the
/// library then reports it. Octet strings are not examined: the value of an extension is one, and is rewritten when it
/// is read.
pub fn legible(der: &[u8]) -> Cow<'_, [u8]> {
    if is_legible(der, MAX_DEPTH).unwrap_or(true) {
        return Cow::Borrowed(der);
    }
    rewritten(der, MAX_DEPTH).map_or(Cow::Borrowed(der), Cow::Owned)
}

/// Reads an object identifier in dotted form, and converts it as [`legible`] does. `None` if the text is not one, or a number in it has
/// more than 128 bits.
pub fn object_identifier(text: &str) -> Option<ObjectIdentifier> {
    let mut arcs = text.split('.').map(|arc| {
        let is_number =
            arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
        arc.parse::<u128>().ok().filter(|_| is_number)
    });
    let (root, second) = (arcs.next()??, arcs.next()??);
    if root > 2 || (root < 2 && second > 39) {
        return None;
    }
    let mut octets = base128(second.checked_add(40 * root)?);
    for arc in arcs {
        octets.extend(base128(arc?));
    }
    let held = stand_in(&octets).map_or_else(|| octets.clone(), |stand_in| stand_in.to_vec());
    ObjectIdentifier::from_bytes(&held).ok()
}

/// The elements of a SEQUENCE or another constructed element, each with its header; `None` if it is not DER.
pub fn elements(der: &[u8]) -> Option<Vec<&[u8]>> {
    let Header { content, length, .. } = header(der, 0)?;
    let end = content.checked_add(length).filter(|end| *end == der.len())?;
    let (mut at, mut found) = (content, Vec::new());
    while at < end {
        let Header { content, length, .. } = header(der, at)?;
        let after = content.checked_add(length)?;
        found.push(der.get(at..after)?);
        at = after;
    }
    Some(found)
}

/// Whether nothing needs to be rewritten; `None` if it is not DER.
fn is_legible(der: &[u8], depth: usize) -> Option<bool> {
    let mut at = 0;
    while at < der.len() {
        let Element { tag, content, after } = element(der, at)?;
        let is_legible = match tag {
            OID | REGISTERED_ID => stand_in(content).is_none(),
            UNIVERSAL_STRING => false,
            _ => tag & CONSTRUCTED == 0 || is_legible(content, depth.checked_sub(1)?)?,
        };
        if !is_legible {
            return Some(false);
        }
        at = after;
    }
    Some(true)
}

/// The rewritten octets; `None` if they are not DER.
fn rewritten(der: &[u8], depth: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(der.len());
    let mut at = 0;
    while at < der.len() {
        let Element { tag, content, after } = element(der, at)?;
        let (tag, content) = match tag {
            OID | REGISTERED_ID => match stand_in(content) {
                Some(stand_in) => (tag, Cow::Owned(stand_in.to_vec())),
                None => (tag, Cow::Borrowed(content)),
            },
            UNIVERSAL_STRING => (UTF8_STRING, Cow::Owned(utf8(content)?)),
            _ if tag & CONSTRUCTED != 0 => {
                (tag, Cow::Owned(rewritten(content, depth.checked_sub(1)?)?))
            }
            _ => (tag, Cow::Borrowed(content)),
        };
        out.push(tag);
        out.extend(length_octets(content.len()));
        out.extend_from_slice(&content);
        at = after;
    }
    Some(out)
}

/// The stand-in for an object identifier that the library cannot represent: an arc made of its hash. Two stand-ins are
/// equal only if the identifiers are. `None` if the library can represent it, or the octets are not an object identifier.
fn stand_in(octets: &[u8]) -> Option<[u8; 37]> {
    if is_plain(octets) {
        return None;
    }
    let is_held = octets.first() != Some(&STAND_IN) && ObjectIdentifier::from_bytes(octets).is_ok();
    if is_held || !is_object_identifier(octets) {
        return None;
    }
    let mut stand_in = [0; 37];
    let hash = Sha256::digest(octets);
    let (first, arcs) = stand_in.split_first_mut()?;
    *first = STAND_IN;
    // Nine arcs of four octets. The first digit of each is not zero, as X.690 §8.19.2 demands.
    for (number, (octet, hashed)) in arcs.iter_mut().zip(hash.iter().cycle()).enumerate() {
        *octet = match number % 4 {
            0 => 0xc0 | hashed,
            3 => hashed & 0x7f,
            _ => 0x80 | hashed,
        };
    }
    Some(stand_in)
}

/// Whether the octets encode an object identifier that the library can certainly represent, as it can nearly all: 3 to 39 octets, and arcs
/// of at most 28 bits. The library takes much longer to say so.
fn is_plain(octets: &[u8]) -> bool {
    let Some((first, arcs)) = octets.split_first() else { return false };
    // The number of octets of an arc so far, without its last one.
    let mut length = 0;
    let are_short = arcs.iter().all(|octet| {
        length = if octet & 0x80 == 0 { 0 } else { length + 1 };
        length < 4
    });
    (3..=39).contains(&octets.len()) && *first < STAND_IN && are_short && length == 0
}

/// Whether the octets encode an object identifier (X.690 §8.19): digits of base 128, of which only the last one of an
/// arc lacks the highest bit, and none is a leading zero.
fn is_object_identifier(octets: &[u8]) -> bool {
    let starts = std::iter::once(&0).chain(octets);
    octets.last().is_some_and(|last| last & 0x80 == 0)
        && starts.zip(octets).all(|(before, octet)| before & 0x80 != 0 || *octet != 0x80)
}

/// One arc of an object identifier, encoded as octets with seven bits each (X.690 §8.19.2).
fn base128(mut arc: u128) -> Vec<u8> {
    let mut octets = Vec::new();
    loop {
        let more = if octets.is_empty() { 0 } else { 0x80 };
        octets.push(more | (arc & 0x7f).to_le_bytes()[0]);
        arc >>= 7;
        if arc == 0 {
            break;
        }
    }
    octets.reverse();
    octets
}

/// The shortest encoding of a length.
fn length_octets(length: usize) -> Vec<u8> {
    let octets: Vec<u8> =
        length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    match (length, u8::try_from(octets.len())) {
        (0, _) => vec![0],
        (1..=0x7f, _) | (_, Err(_)) => octets,
        (_, Ok(count)) => [&[0x80 | count], octets.as_slice()].concat(),
    }
}

/// The text of a UniversalString (UCS-4) in UTF-8.
fn utf8(octets: &[u8]) -> Option<Vec<u8>> {
    let (characters, rest) = octets.as_chunks::<4>();
    let text = characters.iter().map(|of| char::from_u32(u32::from_be_bytes(*of)));
    let text: String = text.collect::<Option<_>>()?;
    rest.is_empty().then(|| text.into_bytes())
}

#[cfg(test)]
mod tests {
    use der::{Any, Decode, Encode};

    use super::*;
    use crate::sets::length_of_length;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag], length_octets(content.len()).as_slice(), content].concat()
    }

    fn read(octets: &[u8]) -> der::Result<ObjectIdentifier> {
        let der = tlv(OID, octets);
        ObjectIdentifier::from_der(&legible(&der))
    }

    #[test]
    fn every_object_identifier_is_read_and_is_its_own() {
        let all = [
            "1.2",
            "0.0",
            "2.5",
            "1.2.3",
            "2.999",
            "2.999.1",
            "2.40",
            "2.47.1",
            "2.39",
            "2.39.1",
            "1.3.6.1.4.1.4294967296.1",
            "2.25.329800735698586629295641978511506172918",
            "1.3.6.1.4.1.99.4000000000.4000000000.4000000000.4000000000.4000000000.4000000000.4000000000",
            "1.3.6.1.4.1.99.4000000000.4000000000.4000000000.4000000000.4000000000.4000000000.4000000001",
        ];
        let named: Vec<ObjectIdentifier> =
            all.iter().map(|text| object_identifier(text).expect(text)).collect();
        let different: std::collections::BTreeSet<_> = named.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(read(&[0x2a]).unwrap(), named[0]);
        assert_eq!(read(&[0x2a, 3]).unwrap(), named[3]);
        assert_eq!(read(&[0x88, 0x37]).unwrap(), named[4]);
        assert_eq!(read(&[0x88, 0x37, 1]).unwrap(), named[5]);
        // What the library supports stays unchanged, except below the arc of stand-ins.
        assert_eq!(
            object_identifier("1.3.6.1.5.5.7.3.17").unwrap().to_string(),
            "1.3.6.1.5.5.7.3.17"
        );
        let stand_in = named[4].as_bytes().to_vec();
        assert!(matches!(legible(&tlv(OID, &[0x55, 4, 3])), Cow::Borrowed(_)));
        assert_ne!(read(&stand_in).unwrap(), named[4]);
        assert!(read(&[0x2a].repeat(300)).is_ok());
    }

    #[test]
    fn what_is_no_object_identifier_is_none() {
        for octets in [&[][..], &[0x80], &[0x2a, 0x80], &[0x80, 1], &[0x2a, 0x83]] {
            assert!(read(octets).is_err(), "{octets:?}");
        }
        for text in
            ["", "1", "1.", "3.1", "1.40", "0.40.1", "1.2.x", "1.02", "1.-2", "1.2.+3", " 1.2"]
        {
            assert_eq!(object_identifier(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_plain_is_what_the_library_can_represent() {
        let octets = [0, 1, 0x2a, 0x76, STAND_IN, 0x78, 0x7f, 0x80, 0x81, 0xff];
        let mut plain = 0;
        for number in 0..100_000_usize {
            let digits = (0..5).map(|place| octets[number / 10_usize.pow(place) % 10]);
            let all: Vec<u8> = digits.collect();
            for of in [&all[..], &all[..3], &all[..2]] {
                if is_plain(of) {
                    plain += 1;
                    assert!(ObjectIdentifier::from_bytes(of).is_ok(), "{of:?}");
                }
            }
        }
        assert!(plain > 10_000);
        assert!(is_plain(&[0x2a, 0xff, 0xff, 0xff, 0x7f]));
        assert!(!is_plain(&[0x2a, 0xff, 0xff, 0xff, 0xff, 0x7f]), "it has 35 bits");
        for (length, is) in [(39, true), (40, false)] {
            assert_eq!(is_plain(&[0x2a].repeat(length)), is);
        }
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, usize::MAX] {
            assert_eq!(length_of_length(length), length_octets(length).len());
        }
    }

    #[test]
    fn a_universal_string_is_read_at_any_depth_and_lengths_follow() {
        let text: Vec<u8> = "Bad é".chars().flat_map(|of| u32::from(of).to_be_bytes()).collect();
        let string = tlv(UNIVERSAL_STRING, &text);
        let long = tlv(0x30, &[tlv(0x31, &string), tlv(0x04, &[7; 120])].concat());
        let legible = legible(&long);
        let inner = tlv(0x31, &tlv(UTF8_STRING, "Bad é".as_bytes()));
        assert_eq!(*legible, tlv(0x30, &[inner, tlv(0x04, &[7; 120])].concat()));
        Any::from_der(&legible).unwrap().to_der().unwrap();
    }

    #[test]
    fn what_is_no_der_is_left_as_it_is() {
        let odd_oid = tlv(OID, &[0x2a]);
        let long_length = [&[0x30, 0x81, 3][..], &odd_oid].concat();
        let deep = (0..200).fold(odd_oid.clone(), |inner, _| tlv(0x30, &inner));
        let half = tlv(0x30, &[odd_oid, tlv(UNIVERSAL_STRING, &[0, 0, 0])].concat());
        for der in [long_length, deep, half, vec![0x30, 0x80, 0, 0], vec![0x1f], vec![0x06, 9, 1]] {
            assert!(matches!(legible(&der), Cow::Borrowed(_)), "{der:?}");
        }
    }

    #[test]
    fn elements_are_those_of_the_outermost() {
        let all = [tlv(2, &[1]), tlv(0x30, &tlv(2, &[2]))];
        let sequence = tlv(0x30, &all.concat());
        assert_eq!(elements(&sequence).unwrap(), all);
        assert_eq!(elements(&[sequence, vec![5]].concat()), None);
        assert_eq!(elements(&[0x30, 3, 2, 2, 1]), None);
    }
}
