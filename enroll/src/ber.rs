//! BER (X.690 §8) from strangers, within bounds: indefinite lengths become definite, and constructed strings primitive. CMS may be encoded
//! so (RFC 5652 §3), and some clients of SCEP and EST do it. Everything else stays as it was sent, because signatures were made over it.
//!
//! This is for CMS. CMP demands DER, and checks it in `cmp/wire/bounds.rs`.

use std::borrow::Cow;

use countersign_ca::{Error, sets};
use zeroize::Zeroizing;

/// Bounds on one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The largest message, in octets.
    pub bytes: usize,
    /// The most constructed elements that may be nested in each other.
    pub depth: usize,
    /// The most elements in all, primitive and constructed.
    pub elements: usize,
}

/// SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// SET.
pub const SET: u8 = 0x31;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// The constructed context-specific tag \[0\].
pub const CONTEXT_0: u8 = 0xa0;
/// The constructed context-specific tag \[1\].
pub const CONTEXT_1: u8 = 0xa1;
/// The primitive context-specific tag \[0\].
pub const PRIMITIVE_0: u8 = 0x80;

const CONSTRUCTED: u8 = 0x20;
/// The tags of the string types that BER may cut into segments (X.690 §8.6, §8.7 and §8.23), as primitive ones.
const STRINGS: [u8; 13] =
    [BIT_STRING, OCTET_STRING, 0x0c, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1a, 0x1b, 0x1c, 0x1e];

/// The message with definite lengths and primitive strings. It is borrowed if it was so already. Nothing of the message stays in memory but
/// in what is returned: the message may be the decrypted content of another, and have a secret in it.
///
/// An element in which nothing has to change keeps its octets, also where they are not DER: the order of a SET, and lengths of more octets
/// than necessary. The message must be one element, and nothing may follow it. The size of sets is bounded by [`sets::are_small`].
///
/// # Errors
/// [`Error::Malformed`], with the reason and where it was found.
pub fn definite(message: &[u8], bounds: Bounds) -> Result<Cow<'_, [u8]>, Error> {
    if message.len() > bounds.bytes {
        return Err(Error::malformed(format!(
            "expected at most {} octets, found {}",
            bounds.bytes,
            message.len()
        )));
    }
    let mut walk = Walk { message, bounds, elements: 0 };
    let Walked { after, changed } = walk.element(0, message.len(), 0)?;
    if after != message.len() {
        return Err(Error::malformed(format!(
            "{} octets stand behind the message",
            message.len().saturating_sub(after)
        )));
    }
    if !sets::are_small(changed.as_ref().map_or(message, |changed| changed)) {
        return Err(Error::malformed("a set has more elements than any name or attribute"));
    }
    // The octets are not copied, and their caller wipes them if they are secret.
    Ok(changed
        .map_or(Cow::Borrowed(message), |mut octets| Cow::Owned(std::mem::take(&mut *octets))))
}

/// A walk over the elements of a message.
struct Walk<'a> {
    message: &'a [u8],
    bounds: Bounds,
    /// The number of elements so far.
    elements: usize,
}

/// An element that was walked over.
struct Walked {
    /// The position after the element.
    after: usize,
    /// The new octets of the element; `None` if it stays as it was sent.
    changed: Option<Zeroizing<Vec<u8>>>,
}

/// The tag and length of an element.
struct Head {
    tag: u8,
    /// The position of the content.
    content: usize,
    /// The length of the content; `None` if it is indefinite.
    length: Option<usize>,
}

impl Walk<'_> {
    /// Walks over the element at `at`, which must end by `limit`, inside `depth` constructed elements.
    fn element(&mut self, at: usize, limit: usize, depth: usize) -> Result<Walked, Error> {
        self.elements = self.elements.saturating_add(1);
        if self.elements > self.bounds.elements {
            return Err(Error::malformed(format!(
                "expected at most {} elements",
                self.bounds.elements
            )));
        }
        let Head { tag, content, length } = self.head(at)?;
        let end = match length {
            Some(length) => content.checked_add(length).filter(|end| *end <= limit),
            None => Some(limit),
        };
        let end = end.ok_or_else(|| cut_off(at))?;
        if tag & CONSTRUCTED == 0 {
            return Ok(Walked { after: end, changed: None });
        }
        if depth >= self.bounds.depth {
            return Err(Error::malformed(format!(
                "expected at most {} levels of nesting",
                self.bounds.depth
            )));
        }
        let primitive = tag & !CONSTRUCTED;
        let mut children = Children {
            string: STRINGS.contains(&primitive).then_some(primitive),
            changed: (length.is_none() || STRINGS.contains(&primitive)).then(Zeroizing::default),
            unused: 0,
        };
        let mut next = content;
        let after = loop {
            match length {
                Some(_) if next == end => break end,
                None if self.message.get(next..end).is_some_and(|r| r.starts_with(&[0, 0])) => {
                    break next.saturating_add(2);
                }
                _ => {}
            }
            let child = self.element(next, end, depth.saturating_add(1))?;
            let kept = self.message.get(next..child.after).unwrap_or_default();
            let before = self.message.get(content..next).unwrap_or_default();
            children.append(before, kept, child.changed).ok_or_else(|| {
                Error::malformed(format!("the string at octet {at} has a segment of another kind"))
            })?;
            next = child.after;
        };
        Ok(Walked { after, changed: children.encoded(tag) })
    }

    /// Reads the tag and length at `at`.
    fn head(&self, at: usize) -> Result<Head, Error> {
        let octet = |offset: usize| {
            let octet = at.checked_add(offset).and_then(|at| self.message.get(at));
            octet.copied().ok_or_else(|| cut_off(at))
        };
        let tag = octet(0)?;
        if tag & 0x1f == 0x1f || tag == 0 {
            return Err(Error::malformed(format!("the tag at octet {at} is of no element of CMS")));
        }
        let (header, length) = match octet(1)? {
            short @ 0..=0x7f => (2, Some(usize::from(short))),
            0x80 if tag & CONSTRUCTED != 0 => (2, None),
            long @ 0x81..=0x84 => {
                let count = usize::from(long & 0x7f);
                let mut length = 0_usize;
                for offset in 0..count {
                    length = length << 8 | usize::from(octet(offset.saturating_add(2))?);
                }
                (count.saturating_add(2), Some(length))
            }
            _ => {
                return Err(Error::malformed(format!(
                    "the length at octet {at} is of no element of a message"
                )));
            }
        };
        Ok(Head { tag, content: at.saturating_add(header), length })
    }
}

/// The children of a constructed element. They are put together anew as soon as one of them has to change.
struct Children {
    /// The primitive tag if the element is a constructed string: its segments are joined.
    string: Option<u8>,
    /// The new content; `None` as long as it is the content of the message.
    changed: Option<Zeroizing<Vec<u8>>>,
    /// The unused bits of the last segment of a BIT STRING.
    unused: u8,
}

impl Children {
    /// Appends a child. `before` is the content before it as it was sent, `kept` the child as it was sent. `None` if the child is not a
    /// segment of this string.
    fn append(
        &mut self,
        before: &[u8],
        kept: &[u8],
        changed: Option<Zeroizing<Vec<u8>>>,
    ) -> Option<()> {
        let child = changed.as_ref().map_or(kept, |changed| changed);
        let Some(string) = self.string else {
            if changed.is_some() && self.changed.is_none() {
                self.changed = Some(Zeroizing::new(before.to_vec()));
            }
            if let Some(content) = &mut self.changed {
                extend(content, child);
            }
            return Some(());
        };
        let segment = Elements::of(child).next()?;
        let is_segment = segment.tag == string || segment.tag == OCTET_STRING;
        let mut octets = Some(segment.content).filter(|_| is_segment)?;
        if string == BIT_STRING {
            // Only the last segment may have unused bits (X.690 §8.6.4.1).
            let (unused, rest) = octets.split_first()?;
            if self.unused != 0 || segment.tag != string || *unused > 7 {
                return None;
            }
            (self.unused, octets) = (*unused, rest);
        }
        extend(self.changed.as_mut()?, octets);
        Some(())
    }

    /// The element with this tag and the new content; `None` if it stays as it was sent.
    fn encoded(self, tag: u8) -> Option<Zeroizing<Vec<u8>>> {
        let content = self.changed?;
        Some(Zeroizing::new(match self.string {
            Some(BIT_STRING) => encode(BIT_STRING, &[&[self.unused], &content]),
            Some(string) => encode(string, &[&content]),
            None => encode(tag, &[&content]),
        }))
    }
}

/// Appends octets. If there is no room, the old buffer is wiped, which a growing `Vec` does not do.
fn extend(buffer: &mut Zeroizing<Vec<u8>>, octets: &[u8]) {
    let needed = buffer.len().saturating_add(octets.len());
    if needed > buffer.capacity() {
        let room = needed.max(buffer.capacity().saturating_mul(2));
        let mut larger = Zeroizing::new(Vec::with_capacity(room));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(octets);
}

fn cut_off(at: usize) -> Error {
    Error::malformed(format!("the element at octet {at} is cut off"))
}

/// One element with a definite length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The content.
    pub content: &'a [u8],
    /// The element, with its tag and length.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The elements in the content.
    pub const fn elements(self) -> Elements<'a> {
        Elements::of(self.content)
    }

    /// The octets of an OCTET STRING with an implicit context-specific tag, be it primitive or constructed: [`definite`] cannot tell such
    /// a string from other constructed elements.
    pub fn implicit_octets(self) -> Option<Cow<'a, [u8]>> {
        if self.tag & CONSTRUCTED == 0 {
            return Some(Cow::Borrowed(self.content));
        }
        let mut joined = Vec::with_capacity(self.content.len());
        let mut segments = self.elements();
        for segment in segments.by_ref() {
            joined.extend_from_slice(Some(segment).filter(|s| s.tag == OCTET_STRING)?.content);
        }
        segments.is_finished().then_some(Cow::Owned(joined))
    }
}

/// Consecutive elements with definite lengths.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The elements in these octets.
    pub const fn of(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Whether no octets are left. After `next` returned `None`, it is false if the rest is not an element.
    pub const fn is_finished(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, if it has this tag. `what` names it in the error.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the next element has another tag, or there is none.
    pub fn expect(&mut self, tag: u8, what: &str) -> Result<Element<'a>, Error> {
        let found = self.optional(tag);
        found.ok_or_else(|| match self.0.first() {
            Some(found) => Error::malformed(format!(
                "expected {what}, found an element with the tag {found:#04x}"
            )),
            None => Error::malformed(format!("{what} is missing")),
        })
    }

    /// The next element, if it has this tag; otherwise it is left to be read.
    pub fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        self.0.first().filter(|found| **found == tag)?;
        self.next()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let header = sets::header(self.0, 0)?;
        let after = header.content.checked_add(header.length)?;
        let (whole, rest) = self.0.split_at_checked(after)?;
        self.0 = rest;
        Some(Element { tag: header.tag, content: whole.get(header.content..)?, whole })
    }
}

/// An element with this tag, whose content is these parts, in DER's form of the length.
pub fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let octets = length.to_be_bytes();
    let significant = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
    let significant = octets.get(significant..).unwrap_or_default();
    let mut element = Vec::with_capacity(length.saturating_add(10));
    element.push(tag);
    match (length, u8::try_from(significant.len())) {
        (0..=0x7f, _) => element.push(significant.first().copied().unwrap_or(0)),
        (_, count) => {
            element.push(0x80 | count.unwrap_or(8));
            element.extend_from_slice(significant);
        }
    }
    parts.iter().for_each(|part| element.extend_from_slice(part));
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1000, depth: 4, elements: 12 };

    #[test]
    fn definite_elements_stay_as_they_were_sent() {
        for message in [
            &[0x30, 0x00][..],
            &[0x30, 0x81, 0x02, 0x05, 0x00],
            &[0x31, 0x06, 0x02, 0x01, 0x05, 0x02, 0x01, 0x01],
            &[0x04, 0x81, 0x01, 0xff],
        ] {
            assert!(matches!(definite(message, BOUNDS), Ok(Cow::Borrowed(m)) if m == message));
        }
    }

    #[test]
    fn indefinite_lengths_and_segments_become_der_and_their_neighbours_stay() {
        for (ber, der) in [
            (&[0x30, 0x80, 0, 0][..], &[0x30, 0][..]),
            (&[0x30, 0x80, 0x30, 0x80, 5, 0, 0, 0, 0, 0], &[0x30, 4, 0x30, 2, 5, 0]),
            // The second length is not minimal, and was perhaps signed so.
            (
                &[0x30, 0x80, 0x30, 0x81, 0, 0x24, 0x80, 4, 1, 7, 4, 2, 8, 9, 0, 0, 0, 0],
                &[0x30, 8, 0x30, 0x81, 0, 4, 3, 7, 8, 9],
            ),
            (&[0x24, 7, 0x24, 3, 4, 1, 1, 4, 0], &[4, 1, 1]),
            (&[0x23, 7, 3, 2, 0, 0xff, 3, 1, 0], &[3, 2, 0, 0xff]),
            (&[0x23, 8, 3, 2, 0, 0xff, 3, 2, 4, 0xf0], &[3, 3, 4, 0xff, 0xf0]),
            (&[0x33, 6, 4, 1, b'a', 0x13, 1, b'b'], &[0x13, 2, b'a', b'b']),
            (&[0xa0, 0x80, 4, 1, 7, 0, 0], &[0xa0, 3, 4, 1, 7]),
        ] {
            assert_eq!(definite(ber, BOUNDS).unwrap(), der, "{ber:02x?}");
        }
    }

    #[test]
    fn everything_else_is_named() {
        let deep = [0x30, 0x80].repeat(5);
        let set = [&[0x31, 0x22][..], &[5, 0].repeat(17)].concat();
        let many = [&[0x30, 0x20][..], &[5, 0].repeat(16)].concat();
        for (message, why) in [
            (&b""[..], "cut off"),
            (&[0x30, 0x80], "cut off"),
            (&[0x30, 0x80, 0], "tag"),
            (&[0x30, 0x80, 5, 0], "cut off"),
            (&[0x30, 0x03, 0x02, 0x02, 0], "cut off"),
            (&[0x30, 0x02, 0, 0], "tag"),
            (&[0x04, 0x80, 0, 0], "length"),
            (&[0x30, 0x85, 1, 1, 1, 1, 1], "length"),
            (&[0x30, 0x00, 0x00], "behind"),
            (&[0x3f, 0x81, 0x00], "tag"),
            (&[0x24, 3, 2, 1, 1], "segment"),
            (&[0x23, 8, 3, 2, 4, 0xf0, 3, 2, 0, 0xff], "segment"),
            (&[0x23, 2, 3, 0], "segment"),
            (&deep, "nesting"),
            (&many, "elements"),
            (&[0x30; 1001], "1000 octets"),
        ] {
            let Err(Error::Malformed(text)) = definite(message, BOUNDS) else {
                panic!("read {message:02x?}")
            };
            assert!(text.contains(why), "{message:02x?}: {text}");
        }
        let many = Bounds { elements: 20, ..BOUNDS };
        assert!(definite(&set, many).unwrap_err().to_string().contains("a set has more"));
    }

    #[test]
    fn lengths_are_encoded_as_der_does() {
        assert_eq!(encode(4, &[]), [4, 0]);
        assert_eq!(encode(4, &[&[1], &[2]]), [4, 2, 1, 2]);
        assert_eq!(encode(4, &[&[0; 0x80]])[..3], [4, 0x81, 0x80]);
        assert_eq!(encode(4, &[&[0; 0x1234]])[..4], [4, 0x82, 0x12, 0x34]);
    }

    #[test]
    fn a_string_with_an_implicit_tag_may_be_in_segments() {
        let read = |octets: &[u8]| {
            Elements::of(octets).next().unwrap().implicit_octets().map(Cow::into_owned)
        };
        assert_eq!(read(&[0x80, 2, 1, 2]), Some(vec![1, 2]));
        assert_eq!(read(&[0xa0, 6, 4, 1, 1, 4, 1, 2]), Some(vec![1, 2]));
        assert_eq!(read(&[0xa0, 3, 2, 1, 1]), None);
        assert_eq!(read(&[0xa0, 2, 4, 1]), None);
    }
}
