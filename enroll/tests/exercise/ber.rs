//! What must hold of a message that `ber::definite` was given, for the fuzzer and the test of its seeds. The reader here shares nothing with
//! the one that it examines; whether a length is DER's is what the `der` crate says.

use std::borrow::Cow;

use countersign_enroll::ber::{self, Bounds};
use der::{Decode, Length, Reader, SliceReader};

/// Narrow enough for the fuzzer to reach each of them.
const BOUNDS: Bounds = Bounds { bytes: 6000, depth: 16, elements: 400 };

/// An element of a message as BER means it, however it was encoded.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// A constructed element begins.
    Begin(u8),
    /// It ends.
    End,
    /// A primitive element, or a string that was cut into segments.
    Value(u8, Vec<u8>),
}

/// Reads one message, and asserts.
pub fn exercise(message: &[u8]) {
    let mut meant = Reading::default();
    let is_one = meant.element(message, BOUNDS.depth) == Some(message.len());
    let out = match ber::definite(message, BOUNDS) {
        Ok(out) => out,
        Err(why) => {
            let why = why.to_string();
            assert!(!why.contains('\n') && why.len() < 200, "{why}");
            let may_be_refused = !is_one
                || message.len() > BOUNDS.bytes
                || meant.elements > BOUNDS.elements
                || why.contains("a set has more");
            assert!(may_be_refused, "a good message is refused: {why}");
            return;
        }
    };
    assert!(is_one, "what is no message was read");
    // A BIT STRING of no segments, of two octets, has three as a primitive one. Everything else becomes shorter below 64 KiB.
    assert!(out.len() * 2 <= message.len() * 3, "{} octets of {}", out.len(), message.len());
    let mut read = Reading::default();
    assert_eq!(read.element(&out, BOUNDS.depth), Some(out.len()), "the result is no element");
    assert_eq!(read.events, meant.events, "the result means something else");
    assert!(!read.is_ber, "an indefinite length or a constructed string is left");
    assert_eq!(
        meant.is_ber,
        matches!(out, Cow::Owned(_)),
        "what needs no change stays where it is"
    );
    if !meant.is_ber {
        assert!(*out == *message, "what needs no change was changed");
    }
    assert_lengths(&out, message);
    let again = ber::definite(&out, BOUNDS).expect("it can be read again");
    assert!(matches!(&again, Cow::Borrowed(again) if **again == *out), "it changes again");
}

/// A length is DER's, or its element stands in the message as it is.
fn assert_lengths(octets: &[u8], message: &[u8]) {
    let mut rest = octets;
    while let Some((&tag, behind)) = rest.split_first() {
        let Some((header, length)) = definite_length(behind) else {
            panic!("an element is cut off")
        };
        let (whole, after) = rest.split_at(1 + header + length);
        let mut reader = SliceReader::new(behind).expect("a short input");
        let strict = Length::decode(&mut reader).is_ok_and(|strict| {
            usize::try_from(strict) == Ok(length)
                && usize::try_from(reader.position()) == Ok(header)
        });
        assert!(
            strict || message.windows(whole.len()).any(|part| part == whole),
            "a length is not DER's, and the element is not as it was sent"
        );
        if tag & 0x20 != 0 {
            assert_lengths(&whole[1 + header..], message);
        }
        rest = after;
    }
}

/// A definite length of at most four octets: the number of its octets, and its value.
fn definite_length(octets: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*octets.first()?);
    if first < 0x80 {
        return Some((1, first));
    }
    let count = first - 0x80;
    let value = octets.get(1..=count).filter(|_| (1..=4).contains(&count))?;
    Some((1 + count, value.iter().fold(0, |sum, octet| sum * 256 + usize::from(*octet))))
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    events: Vec<Event>,
    elements: usize,
    /// Whether something is not encoded as DER has it: a length is indefinite, or a string constructed.
    is_ber: bool,
}

impl Reading {
    /// Reads one element with at most `depth` constructed ones in each other, and gives the number of its octets; `None` if it is none that a
    /// message has.
    fn element(&mut self, octets: &[u8], depth: usize) -> Option<usize> {
        self.elements += 1;
        let (&tag, behind) = octets.split_first()?;
        if tag == 0 || tag & 0x1f == 0x1f {
            return None;
        }
        if tag & 0x20 == 0 {
            let (header, length) = definite_length(behind)?;
            let content = behind.get(header..header.checked_add(length)?)?;
            self.events.push(Event::Value(tag, content.to_vec()));
            return Some(1 + header + length);
        }
        let depth = depth.checked_sub(1)?;
        let indefinite = behind.first() == Some(&0x80);
        let (start, end) = match indefinite {
            true => (2, None),
            false => {
                let (header, length) = definite_length(behind)?;
                (1 + header, Some((1 + header).checked_add(length)?))
            }
        };
        let inside = octets.get(..end.unwrap_or(octets.len()))?;
        let string = is_string(tag & !0x20);
        self.is_ber |= indefinite || string;
        let outer = std::mem::take(&mut self.events);
        let mut at = start;
        let end = loop {
            match end {
                Some(end) if at == end => break end,
                None if inside.get(at..at + 2) == Some(&[0, 0]) => break at + 2,
                _ => at += self.element(&inside[at..], depth)?,
            }
        };
        let inner = std::mem::replace(&mut self.events, outer);
        match string {
            true => self.events.push(Event::Value(tag & !0x20, joined(tag & !0x20, inner)?)),
            false => {
                self.events.push(Event::Begin(tag));
                self.events.extend(inner);
                self.events.push(Event::End);
            }
        }
        Some(end)
    }
}

/// The types of X.680 that are strings of octets, bits or characters.
fn is_string(tag: u8) -> bool {
    matches!(tag, 3 | 4 | 12 | 18..=22 | 25..=28 | 30)
}

/// The content of a string whose segments these are (X.690 §8.6, §8.7, §8.23); `None` if they are none.
fn joined(tag: u8, segments: Vec<Event>) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    let mut unused = 0;
    for segment in segments {
        let Event::Value(kind, content) = segment else { return None };
        match (tag, kind) {
            (3, 3) if unused == 0 => {
                let (first, bits) = content.split_first()?;
                unused = Some(*first).filter(|unused| *unused < 8)?;
                whole.extend_from_slice(bits);
            }
            (3, _) => return None,
            _ if kind == tag || kind == 4 => whole.extend(content),
            _ => return None,
        }
    }
    if tag == 3 {
        whole.insert(0, unused);
    }
    Some(whole)
}
