//! A bound on the size of the sets in DER from unauthenticated clients. The DER library sorts a SET by insertion, in quadratic
//! time: an RDN of a few thousand attributes would keep it busy for seconds.

/// The most elements of a SET. No legitimate RDN or attribute has as many.
const MAX_SET: usize = 16;
/// The most elements of a constructed element with a context-specific tag. It may be a SET with an implicit tag, such
/// as the attributes of a PKCS #10 request.
const MAX_IMPLICIT: usize = 64;
/// The deepest nesting that is examined. No type that contains sets is nested as deeply.
const MAX_DEPTH: usize = 64;

const SET: u8 = 0x31;
const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// A constructed element whose content is being walked over.
struct Open {
    /// The offset of the first octet after the element's content.
    end: usize,
    /// The most children that may count.
    most: usize,
    /// The number of children so far that count.
    elements: usize,
    counted: Counted,
    /// Whether the element is inside the value of an extension.
    in_octets: bool,
}

/// Which children of an element count towards its limit.
#[derive(PartialEq)]
enum Counted {
    All,
    /// Only those children count that are a SEQUENCE which begins with an OBJECT IDENTIFIER, as each attribute of a name does.
    Attributes,
    None,
}

/// Whether every SET in `der` has at most 16 elements, and every constructed element with a context-specific tag at
/// most 64.
///
/// Both limits also hold inside the values of extensions. There the second limit counts only elements that look like
/// attributes of a name, because a distribution point has an RDN with a context-specific tag, while name constraints
/// legitimately have long lists.
///
/// If the input stops being valid DER, only the part before that point is checked; the decoder fails there anyway.
pub fn are_small(der: &[u8]) -> bool {
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while at < der.len() {
        while open.last().is_some_and(|open| open.end <= at) {
            open.pop();
        }
        let Some(Header { tag, content, length }) = header(der, at) else { return true };
        if let Some(open) = open.last_mut() {
            let is_attribute = || tag == SEQUENCE && der.get(content) == Some(&OBJECT_IDENTIFIER);
            if open.counted == Counted::All || open.counted == Counted::Attributes && is_attribute()
            {
                open.elements = open.elements.saturating_add(1);
            }
            if open.elements > open.most {
                return false;
            }
        }
        let after = content.saturating_add(length).min(der.len());
        let is_value = tag == OCTET_STRING && der.get(content) == Some(&SEQUENCE);
        if (tag & 0x20 != 0 || is_value) && open.len() < MAX_DEPTH {
            let in_octets = is_value || open.last().is_some_and(|open| open.in_octets);
            let (most, counted) = match tag {
                SET => (MAX_SET, Counted::All),
                // Context-specific and constructed.
                0xa0..=0xbf if in_octets => (MAX_IMPLICIT, Counted::Attributes),
                0xa0..=0xbf => (MAX_IMPLICIT, Counted::All),
                _ => (usize::MAX, Counted::None),
            };
            open.push(Open { end: after, most, elements: 0, counted, in_octets });
            at = content;
        } else {
            at = after;
        }
    }
    true
}

/// The header of a DER element.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// The identifier octet.
    pub tag: u8,
    /// The offset of the content in the whole input.
    pub content: usize,
    /// The length of the content in octets, as the header claims it.
    pub length: usize,
}

/// Reads the header of the element at offset `at`: its tag, the offset of its content, and the length that it claims.
/// The content may be shorter than the claimed length. `None` if there is no header in definite form with at most 4 octets of length.
pub fn header(der: &[u8], at: usize) -> Option<Header> {
    let (tag, rest) = der.get(at..)?.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (octets, length) = match usize::from(*first) {
        short @ 0..=0x7f => (0, short),
        long @ 0x81..=0x84 => {
            let octets = long & 0x7f;
            (
                octets,
                rest.get(..octets)?.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)),
            )
        }
        _ => return None,
    };
    Some(Header { tag: *tag, content: at.checked_add(2)?.checked_add(octets)?, length })
}

/// An element of DER.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The content octets.
    pub content: &'a [u8],
    /// The offset of the next element.
    pub after: usize,
}

/// Reads the whole element at `at`; `None` if there is none. Tags of several octets, and lengths that are not the shortest, are not accepted.
pub fn element(der: &[u8], at: usize) -> Option<Element<'_>> {
    let Header { tag, content: start, length } = header(der, at)?;
    let after = start.checked_add(length)?;
    let is_der = tag & 0x1f != 0x1f && start - at == 1 + length_of_length(length);
    Some(Element { tag, content: der.get(start..after).filter(|_| is_der)?, after })
}

/// How many octets the shortest encoding of a length has.
pub const fn length_of_length(length: usize) -> usize {
    match length {
        0..=0x7f => 1,
        _ => 1 + (usize::BITS - length.leading_zeros()).div_ceil(8) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    }

    fn nulls(count: usize) -> Vec<u8> {
        [5, 0].repeat(count)
    }

    #[test]
    fn sets_are_small_also_in_the_values_of_extensions() {
        let in_set = |count| element(0x30, &element(0x31, &nulls(count)));
        let in_value = |count| element(0x30, &element(0x04, &in_set(count)));
        let implicit = |count| element(0x30, &element(0xa0, &nulls(count)));
        for good in [in_set(16), in_value(16), implicit(64), element(0x30, &nulls(500))] {
            assert!(are_small(&good));
        }
        // Name constraints have a list with such a tag, a distribution point an RDN.
        assert!(are_small(&element(0x30, &element(0x04, &implicit(500)))));
        let relative = |count| {
            let attributes = [0x30, 4, 6, 2, 0x55, 4].repeat(count);
            let point = element(0x30, &element(0xa0, &element(0xa1, &attributes)));
            element(0x30, &element(0x04, &element(0x30, &point)))
        };
        assert!(are_small(&relative(64)) && !are_small(&relative(65)));
        // Octets that are not DER do not hide a large set before them.
        let cut = element(0x30, &element(0x04, &[in_set(17), vec![0x30, 0x7f]].concat()));
        for bad in [in_set(17), in_value(17), implicit(65), cut] {
            assert!(!are_small(&bad));
        }
    }

    #[test]
    fn garbage_is_not_for_it_to_judge() {
        for garbage in
            [&b""[..], &[0x30], &[0x30, 0x80, 1], &[0x31, 0x84, 0xff, 0xff, 0xff, 0xff, 5, 0]]
        {
            assert!(are_small(garbage));
        }
    }
}
