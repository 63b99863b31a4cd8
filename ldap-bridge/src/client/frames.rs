//! Checks the messages of a directory (RFC 4511 §4.1.1) before the LDAP library parses them: their size, their structure, and whether they
//! answer an open request. A message that passes has exactly the structure of the expected answer, so that none is nested deeper or larger
//! than that.

use std::cell::Cell;
use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use crate::protocol::{Length, oid, tag};

/// The bounds of a directory's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The largest message, in octets.
    pub frame: usize,
    /// The most BER elements of a message.
    pub elements: usize,
    /// The most octets of all messages that answer one search.
    pub octets: usize,
    /// The most entries and references that answer one search. For a search of one entry it is [`REFERENCES`].
    pub entries: usize,
}

/// The most entries and references that may answer a search for one entry: the entry, and references that a server adds.
pub const REFERENCES: usize = 8;

/// The most open requests. This program never has so many: more are a fault of its own.
const MAX_OPEN: usize = 1024;

/// The scope of a search for one entry (RFC 4511 §4.5.1.2).
const BASE_OBJECT: u32 = 0;

/// A request that is not answered completely yet, and the rest of its bounds.
struct Asked {
    /// The tag of the response that ends the request.
    ends: u8,
    /// The octets of answers that may still arrive.
    octets: usize,
    /// The entries and references that may still arrive.
    entries: usize,
}

/// Checks the messages of a directory against the open requests.
pub struct Frames {
    bounds: Bounds,
    /// The open requests, by their messageID.
    asked: HashMap<u32, Asked>,
}

impl Frames {
    /// A checker without open requests.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, asked: HashMap::new() }
    }

    /// Takes the next message to the directory out of `buffer`, and records it as an open request if it has an answer. `None` if the
    /// message is not complete yet.
    ///
    /// # Errors
    /// The message is malformed, or too many requests are open.
    pub fn ask(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, String> {
        let Some(length) = whole(buffer, usize::MAX)? else { return Ok(None) };
        let frame = buffer.split_to(length).freeze();
        let left = Cell::new(usize::MAX);
        let mut message = Reader::of(&frame, &left)?;
        let id = message.number(tag::INTEGER)?;
        let (request, mut content) = message.any()?;
        // The answer to an operation that is not known here is assumed to have the next tag, as LDAP numbers its operations.
        let ends = tag::response_to(request).unwrap_or(request.wrapping_add(1));
        let single = Asked { ends, octets: self.bounds.frame, entries: 0 };
        let asked = match request {
            tag::UNBIND_REQUEST | tag::ABANDON_REQUEST => return Ok(Some(frame)),
            tag::SEARCH_REQUEST => {
                content.octets(tag::OCTET_STRING)?;
                let of_one = content.number(tag::ENUMERATED)? == BASE_OBJECT;
                let entries = if of_one { REFERENCES } else { self.bounds.entries };
                Asked { ends, octets: self.bounds.octets, entries }
            }
            _ => single,
        };
        if self.asked.len() >= MAX_OPEN {
            return Err(format!("more than {MAX_OPEN} requests are not answered"));
        }
        self.asked.insert(id, asked);
        Ok(Some(frame))
    }

    /// Takes the next message of the directory out of `buffer`, and checks it. `None` if the message is not complete yet.
    ///
    /// # Errors
    /// The message must not reach the library; the text gives the reason. The connection must end.
    pub fn answer(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, String> {
        let Some(length) = whole(buffer, self.bounds.frame)? else { return Ok(None) };
        let frame = buffer.split_to(length).freeze();
        self.check(&frame)?;
        Ok(Some(frame))
    }

    /// Checks the structure of a whole message, and whether it answers an open request. The last answer to a request closes it.
    ///
    /// ```text
    /// LDAPMessage ::= SEQUENCE {
    ///      messageID       MessageID,
    ///      protocolOp      CHOICE { … },
    ///      controls       [0] Controls OPTIONAL }
    /// ```
    fn check(&mut self, frame: &[u8]) -> Result<(), String> {
        let left = Cell::new(self.bounds.elements);
        let mut message = Reader::of(frame, &left)?;
        let id = message.number(tag::INTEGER)?;
        let (found, mut content) = message.any()?;
        if id == 0 {
            // RFC 4511 §4.4.1: a notice of disconnection, the only message without a request.
            return Err("the directory ends the connection".into());
        }
        let asked = self.asked.get_mut(&id).ok_or_else(|| {
            format!("expected an answer to what was asked, found one to message {id}")
        })?;
        asked.octets =
            asked.octets.checked_sub(frame.len()).ok_or("the answer is larger than is taken")?;
        let is_search = asked.ends == tag::SEARCH_RESULT_DONE;
        match found {
            tag::SEARCH_RESULT_ENTRY | tag::SEARCH_RESULT_REFERENCE if is_search => {
                asked.entries = asked
                    .entries
                    .checked_sub(1)
                    .ok_or("the answer has more entries than are taken")?;
                match found {
                    tag::SEARCH_RESULT_ENTRY => entry(&mut content)?,
                    _ => texts(&mut content)?,
                }
            }
            found if found == asked.ends => {
                result(&mut content)?;
                self.asked.remove(&id);
            }
            other => return Err(format!("expected an answer of another kind than {other:#04x}")),
        }
        if !message.is_at_end() {
            let mut list = message.constructed(tag::CONTROLS)?;
            while !list.is_at_end() {
                control(&mut list)?;
            }
        }
        message.end()
    }
}

/// The result code of a response that [`Frames::answer`] has accepted; `None` if it cannot be read.
pub fn result_code(frame: &[u8]) -> Option<u32> {
    let left = Cell::new(8);
    let mut message = Reader::of(frame, &left).ok()?;
    message.number(tag::INTEGER).ok()?;
    message.any().ok()?.1.number(tag::ENUMERATED).ok()
}

/// Checks the content of a SearchResultEntry.
///
/// ```text
/// SearchResultEntry ::= [APPLICATION 4] SEQUENCE {
///      objectName      LDAPDN,
///      attributes      PartialAttributeList }
/// PartialAttributeList ::= SEQUENCE OF partialAttribute PartialAttribute
/// PartialAttribute ::= SEQUENCE {
///      type       AttributeDescription,
///      vals       SET OF value AttributeValue }
/// ```
/// RFC 4511 §4.5.2, §4.1.7.
fn entry(content: &mut Reader<'_>) -> Result<(), String> {
    content.text(tag::OCTET_STRING)?;
    let mut attributes = content.constructed(tag::SEQUENCE)?;
    while !attributes.is_at_end() {
        let mut attribute = attributes.constructed(tag::SEQUENCE)?;
        attribute.text(tag::OCTET_STRING)?;
        let mut values = attribute.constructed(tag::SET)?;
        while !values.is_at_end() {
            values.octets(tag::OCTET_STRING)?;
        }
        attribute.end()?;
    }
    content.end()
}

/// Checks a list of URIs: the content of a SearchResultReference (RFC 4511 §4.5.3) or of a referral.
fn texts(content: &mut Reader<'_>) -> Result<(), String> {
    while !content.is_at_end() {
        content.text(tag::OCTET_STRING)?;
    }
    Ok(())
}

/// Checks that the content of a response is a well-formed LDAPResult (RFC 4511 §4.1.9). Every result code is accepted.
///
/// ```text
/// LDAPResult ::= SEQUENCE {
///      resultCode         ENUMERATED { … },
///      matchedDN          LDAPDN,
///      diagnosticMessage  LDAPString,
///      referral           [3] Referral OPTIONAL }
/// ```
/// After these fields may come serverSaslCreds (§4.2.2), or responseName and responseValue (§4.12).
fn result(content: &mut Reader<'_>) -> Result<(), String> {
    content.number(tag::ENUMERATED)?;
    content.text(tag::OCTET_STRING)?;
    content.text(tag::OCTET_STRING)?;
    while !content.is_at_end() {
        match content.next_tag() {
            Some(tag::REFERRAL) => texts(&mut content.constructed(tag::REFERRAL)?)?,
            Some(value @ (tag::SERVER_SASL_CREDS | tag::RESPONSE_VALUE)) => {
                content.octets(value)?;
            }
            _ => content.text(tag::RESPONSE_NAME)?,
        }
    }
    Ok(())
}

/// Checks the next control of a list.
///
/// ```text
/// Control ::= SEQUENCE {
///      controlType             LDAPOID,
///      criticality             BOOLEAN DEFAULT FALSE,
///      controlValue            OCTET STRING OPTIONAL }
/// ```
/// RFC 4511 §4.1.11. That of paged results is looked into (RFC 2696 §2), as the library reads it.
fn control(list: &mut Reader<'_>) -> Result<(), String> {
    let mut control = list.constructed(tag::SEQUENCE)?;
    let kind = control.octets(tag::OCTET_STRING)?;
    std::str::from_utf8(kind).map_err(|_| "expected a control's type as text")?;
    if control.next_tag() == Some(tag::BOOLEAN) && control.octets(tag::BOOLEAN)?.len() != 1 {
        return Err("expected a BOOLEAN of one octet".into());
    }
    let value = if control.is_at_end() { None } else { Some(control.octets(tag::OCTET_STRING)?) };
    control.end()?;
    if kind == oid::PAGED_RESULTS.as_bytes() {
        let value = value.ok_or("expected a value of the paged results control")?;
        let mut parts = Reader::of(value, control.left)?;
        parts.number(tag::INTEGER)?;
        parts.octets(tag::OCTET_STRING)?;
        parts.end()?;
    }
    Ok(())
}

/// The length in octets, with the header, of the message at the beginning of `buffer`; `None` if the message is not complete yet.
fn whole(buffer: &[u8], most: usize) -> Result<Option<usize>, String> {
    let [found, rest @ ..] = buffer else { return Ok(None) };
    if *found != tag::SEQUENCE {
        return Err(format!("expected an LDAP message, found the tag {found:#04x}"));
    }
    let Some(Length { octets, content }) = length(rest)? else { return Ok(None) };
    let length = octets.saturating_add(content).saturating_add(1);
    if length > most {
        return Err(format!("expected frames of at most {most} octets, found one of {length}"));
    }
    Ok((buffer.len() >= length).then_some(length))
}

fn length(behind_tag: &[u8]) -> Result<Option<Length>, String> {
    Length::read(behind_tag)
        .map_err(|_| "expected a definite length of at most four octets".to_owned())
}

/// A reader of BER elements one after the other, which counts them against a bound.
struct Reader<'a> {
    rest: &'a [u8],
    /// The elements of the message that may still be read, shared with the readers of other parts of it.
    left: &'a Cell<usize>,
}

impl<'a> Reader<'a> {
    /// A reader of the content of a SEQUENCE, which must be all of these octets.
    fn of(octets: &'a [u8], left: &'a Cell<usize>) -> Result<Self, String> {
        let mut whole = Self { rest: octets, left };
        let content = whole.constructed(tag::SEQUENCE)?;
        whole.end()?;
        Ok(content)
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn end(&self) -> Result<(), String> {
        match self.rest.first() {
            None => Ok(()),
            Some(tag) => Err(format!("expected nothing more, found the tag {tag:#04x}")),
        }
    }

    fn next_tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads the next element: its tag, and a reader of its content.
    fn any(&mut self) -> Result<(u8, Self), String> {
        let left =
            self.left.get().checked_sub(1).ok_or("a frame has more elements than are taken")?;
        self.left.set(left);
        let cut = || "expected another element, found the end".to_owned();
        let (tag, rest) = self.rest.split_first().ok_or_else(cut)?;
        let Length { octets, content } = length(rest)?.ok_or_else(cut)?;
        let end = octets.saturating_add(content);
        let content = rest.get(octets..end).ok_or_else(cut)?;
        self.rest = rest.get(end..).unwrap_or_default();
        Ok((*tag, Self { rest: content, left: self.left }))
    }

    fn constructed(&mut self, tag: u8) -> Result<Self, String> {
        match self.any()? {
            (found, content) if found == tag => Ok(content),
            (found, _) => Err(format!("expected the tag {tag:#04x}, found {found:#04x}")),
        }
    }

    fn octets(&mut self, tag: u8) -> Result<&'a [u8], String> {
        Ok(self.constructed(tag)?.rest)
    }

    fn text(&mut self, tag: u8) -> Result<(), String> {
        let octets = self.octets(tag)?;
        std::str::from_utf8(octets).map(drop).map_err(|_| "expected text in UTF-8".into())
    }

    /// Reads a number of at most four octets that is not negative.
    fn number(&mut self, tag: u8) -> Result<u32, String> {
        match self.octets(tag)? {
            [first, ..] if *first >= 0x80 => Err("expected a number that is not negative".into()),
            octets @ ([_] | [_, _] | [_, _, _] | [_, _, _, _]) => {
                Ok(octets.iter().fold(0, |number, octet| (number << 8) | u32::from(*octet)))
            }
            other => Err(format!("expected a number of 1 to 4 octets, found {}", other.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { frame: 4096, elements: 64, octets: 8192, entries: 20 };

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut out = vec![tag];
        match length {
            ..0x80 => out.push(length as u8),
            _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        out.extend(content);
        out
    }

    fn message(id: u8, operation: &[u8]) -> Vec<u8> {
        element(0x30, &[&[0x02, 0x01, id][..], operation].concat())
    }

    /// A search with this scope, a bind and a modify, with the fields that the tests need.
    fn search(id: u8, scope: u8) -> Vec<u8> {
        message(id, &element(0x63, &[&element(0x04, b"o=x")[..], &[0x0a, 0x01, scope]].concat()))
    }

    fn entry_of(values: &[&[u8]]) -> Vec<u8> {
        let values: Vec<u8> = values.iter().flat_map(|value| element(0x04, value)).collect();
        let attribute = element(0x30, &[element(0x04, b"cn"), element(0x31, &values)].concat());
        element(0x64, &[element(0x04, b"cn=x"), element(0x30, &attribute)].concat())
    }

    fn result_of(tag: u8, more: &[u8]) -> Vec<u8> {
        element(tag, &[&[0x0a, 1, 0, 0x04, 0, 0x04, 0][..], more].concat())
    }

    fn asked(questions: &[Vec<u8>]) -> Frames {
        let mut frames = Frames::new(BOUNDS);
        for question in questions {
            let mut buffer = BytesMut::from(&question[..]);
            assert_eq!(frames.ask(&mut buffer).unwrap().unwrap(), question);
        }
        frames
    }

    fn answered(frames: &mut Frames, octets: &[u8]) -> Result<Option<Bytes>, String> {
        frames.answer(&mut BytesMut::from(octets))
    }

    #[track_caller]
    fn refused(frames: &mut Frames, octets: &[u8], word: &str) {
        let why = answered(frames, octets).unwrap_err();
        assert!(why.contains(word), "{why}");
    }

    #[test]
    fn what_was_asked_is_answered() {
        let mut frames = asked(&[search(2, 2), message(3, &element(0x66, b""))]);
        let paged = element(
            0x30,
            &[
                element(0x04, oid::PAGED_RESULTS.as_bytes()),
                element(0x04, b"\x30\x05\x02\x01\x00\x04\x00"),
            ]
            .concat(),
        );
        for good in [
            message(2, &entry_of(&[b"a", b"\xff"])),
            message(2, &element(0x73, &element(0x04, b"ldap://x/"))),
            message(
                2,
                &[
                    result_of(0x65, &element(0xa3, &element(0x04, b"ldap://x/"))),
                    element(0xa0, &paged),
                ]
                .concat(),
            ),
            message(3, &result_of(0x67, b"")),
        ] {
            let mut split = BytesMut::from(&good[..good.len() - 1]);
            assert_eq!(frames.answer(&mut split).unwrap(), None, "not all of it is here");
            assert_eq!(answered(&mut frames, &good).unwrap().unwrap(), good);
        }
        // Both are answered.
        refused(&mut frames, &message(2, &entry_of(&[])), "found one to message 2");
        refused(&mut frames, &message(3, &result_of(0x67, b"")), "found one to message 3");
    }

    #[test]
    fn what_is_larger_than_the_bounds_is_not_taken() {
        let mut frames = asked(&[search(1, 2)]);
        refused(&mut frames, &message(1, &entry_of(&[&[0; 4090]])), "at most 4096 octets");
        // The length alone says it.
        refused(&mut frames, &[0x30, 0x82, 0x10, 0x00], "at most 4096 octets");
        refused(&mut frames, &message(1, &entry_of(&[&b""[..]; 60])), "more elements");
        for _ in 0..2 {
            answered(&mut frames, &message(1, &entry_of(&[&[0; 3900]]))).unwrap();
        }
        refused(&mut frames, &message(1, &entry_of(&[&[0; 3900]])), "larger than is taken");
        let mut frames = asked(&[search(1, 2), search(2, 0)]);
        for (id, most) in [(1, BOUNDS.entries), (2, REFERENCES)] {
            for _ in 0..most {
                answered(&mut frames, &message(id, &entry_of(&[b"a"]))).unwrap();
            }
            refused(&mut frames, &message(id, &entry_of(&[b"a"])), "more entries");
        }
    }

    #[test]
    fn what_has_another_shape_is_not_taken() {
        let done = |more: &[u8]| [&result_of(0x65, b"")[..], more].concat();
        let control = |content: &[u8]| done(&element(0xa0, &element(0x30, content)));
        let attribute = |parts: &[u8]| {
            element(0x64, &[element(0x04, b"cn=x"), element(0x30, &element(0x30, parts))].concat())
        };
        let cn = element(0x04, b"cn");
        let of = |parts: &[&[u8]]| attribute(&[&[&cn[..]], parts].concat().concat());
        for (operation, word) in [
            (of(&[&element(0x30, &element(0x04, b"v"))]), "expected the tag 0x31"),
            (of(&[&element(0x31, &element(0x0c, b"v"))]), "expected the tag 0x04"),
            (of(&[&element(0x31, &[0x04, 0x80])]), "definite length"),
            (of(&[&element(0x31, b""), &[0x05, 0x00]]), "expected nothing more"),
            (element(0x65, &[0x0a, 0, 0x04, 0, 0x04, 0]), "1 to 4 octets"),
            (result_of(0x65, &[0x30, 0x00]), "expected the tag 0x8a"),
            (control(&[&element(0x04, b"1.2")[..], &[0x01, 2, 0, 0]].concat()), "one octet"),
            (control(&[&element(0x04, b"1.2")[..], &[0x04, 0, 0x05, 0]].concat()), "nothing more"),
            (done(&[0x8a, 0x00]), "expected the tag 0xa0"),
        ] {
            refused(&mut asked(&[search(1, 2)]), &message(1, &operation), word);
        }
        let mut frames = asked(&[message(1, &element(0x66, b""))]);
        refused(&mut frames, &message(1, &result_of(0x69, b"")), "another kind");
        refused(&mut frames, &message(0xff, &done(b"")), "not negative");
        refused(&mut frames, &message(0, &result_of(0x78, b"")), "ends the connection");
        refused(&mut frames, b"\x31\x00", "expected an LDAP message");
        refused(&mut frames, b"\x30\x80", "definite length");
    }
}
