//! LDAP messages in BER (RFC 4511 §4.1.1, §5.1): requests are taken out of the stream within bounds, and answers are written without
//! copying large values.
//!
//! The library `ldap3_proto` decodes the operation of a request. Controls are read here, because the library loses their criticality.

use bytes::{BufMut, Bytes, BytesMut};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{LdapMsg, LdapOp};
use tokio_util::codec::Decoder;

use crate::protocol::{Length, tag};

/// The deepest nesting of BER elements in a request, apart from its filter.
const ENVELOPE_DEPTH: usize = 8;

/// The reason why the rest of a stream of requests cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The next octets are not an LDAP message.
    Malformed,
    /// The message has more octets than [`FrameBounds::octets`].
    TooLarge,
    /// The message is nested too deeply.
    TooDeep,
}

impl Broken {
    /// The diagnosticMessage for the client.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Malformed => "expected an LDAP message",
            Self::TooLarge => "the message is larger than this directory takes",
            Self::TooDeep => "the message is nested deeper than this directory takes",
        }
    }
}

/// The bounds of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameBounds {
    /// The largest message, in octets.
    pub octets: usize,
    /// The deepest nesting of a filter.
    pub filter_depth: usize,
}

/// A control of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The type of the control, a dotted object identifier.
    pub oid: String,
    /// Whether the operation must fail if the control is unknown.
    pub is_critical: bool,
    /// The value of the control; `None` without one.
    pub value: Option<Bytes>,
}

/// A request, taken out of the stream: its operation is not decoded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The messageID.
    pub id: i32,
    /// The tag of the operation.
    pub tag: u8,
    /// The controls.
    pub controls: Vec<Control>,
    /// The encoded operation, with its tag.
    operation: Bytes,
}

impl Frame {
    /// Takes the next message out of `buffer`. `None` if the message is not complete yet.
    ///
    /// # Errors
    /// [`Broken`]: the connection must end.
    pub fn take(buffer: &mut BytesMut, bounds: FrameBounds) -> Result<Option<Self>, Broken> {
        let Some(length) = frame_length(buffer, bounds.octets)? else { return Ok(None) };
        if buffer.len() < length {
            return Ok(None);
        }
        let message = buffer.split_to(length).freeze();
        let content = Element::read(&message).ok_or(Broken::Malformed)?;
        let deepest = bounds.filter_depth.saturating_add(ENVELOPE_DEPTH);
        if nesting(&content.value, deepest) > deepest {
            return Err(Broken::TooDeep);
        }
        Self::parse(&content.value).map(Some).ok_or(Broken::Malformed)
    }

    fn parse(content: &Bytes) -> Option<Self> {
        let id = Element::read(content)?;
        let operation = Element::read(&id.rest)?;
        let number = id.value.iter().try_fold(0i64, |number, octet| {
            number.checked_mul(256)?.checked_add(i64::from(*octet))
        })?;
        let whole = id.rest.len().checked_sub(operation.rest.len())?;
        let controls = match Element::read(&operation.rest) {
            Some(list) if list.tag == tag::CONTROLS && list.rest.is_empty() => {
                controls(&list.value)?
            }
            None if operation.rest.is_empty() => Vec::new(),
            _ => return None,
        };
        // RFC 4511 §4.1.1.1: from 0 to 2147483647.
        (id.tag == tag::INTEGER && id.value.first()? & 0x80 == 0).then_some(Self {
            id: i32::try_from(number).ok()?,
            tag: operation.tag,
            controls,
            operation: id.rest.slice(..whole),
        })
    }

    /// Decodes the operation; `None` if it is malformed.
    pub fn operation(&self) -> Option<LdapOp> {
        let read = self.decoded(&self.operation);
        // The library accepts only UTF-8 in filters. A value in another form is replaced, and the operation decoded again.
        read.or_else(|| self.decoded(&legible_search(&self.operation)?))
    }

    fn decoded(&self, operation: &[u8]) -> Option<LdapOp> {
        let mut message = BytesMut::new();
        let body = [&unsigned(tag::INTEGER, self.id.unsigned_abs())[..], operation].concat();
        put_header(&mut message, tag::SEQUENCE, body.len());
        message.extend_from_slice(&body);
        let (bytes, depth) =
            (message.len(), nesting(&message, usize::MAX).saturating_add(ENVELOPE_DEPTH));
        let mut codec = LdapCodec::new(Some(bytes), Some(depth));
        let LdapMsg { op, .. } = codec.decode(&mut message).ok()??;
        Some(op)
    }

    /// The messageID that an abandon request names; `None` for any other request.
    pub fn abandons(&self) -> Option<i32> {
        match (self.tag, self.operation()) {
            (tag::ABANDON_REQUEST, Some(LdapOp::AbandonRequest(id))) => Some(id),
            _ => None,
        }
    }
}

/// Encodes a search again, with the parts of its filter replaced whose values are not UTF-8. `None` for another operation, and for a
/// malformed search. Such a part is Undefined here (RFC 4511 §4.5.1.7): the attribute either has no matching rule in this directory, such
/// as `userCertificate`, or its values are text, and this is not. It is replaced by another part that is Undefined: the presence of an
/// unknown attribute.
fn legible_search(operation: &Bytes) -> Option<Vec<u8>> {
    let search = Element::read(operation).filter(|search| search.tag == tag::SEARCH_REQUEST)?;
    let (mut content, mut rest) = (Vec::new(), search.value);
    // baseObject, scope, derefAliases, sizeLimit, timeLimit, typesOnly; filter; attributes.
    for place in 0..8 {
        let part = Element::read(&rest)?;
        match place {
            6 => content.extend(legible(part.tag, &part.value)?),
            _ => content.extend(element(part.tag, &part.value)),
        }
        rest = part.rest;
    }
    rest.is_empty().then(|| element(tag::SEARCH_REQUEST, &content))
}

/// Encodes a part of a filter (tag and content) again, with the parts replaced whose values are not UTF-8. It recurses; the depth of the
/// request was bounded before.
fn legible(kind: u8, content: &Bytes) -> Option<Vec<u8>> {
    match kind {
        // and, or, not
        tag::FILTER_AND..=tag::FILTER_NOT => {
            let (mut parts, mut rest) = (Vec::new(), content.clone());
            while !rest.is_empty() {
                let part = Element::read(&rest)?;
                parts.extend(legible(part.tag, &part.value)?);
                rest = part.rest;
            }
            Some(element(kind, &parts))
        }
        _ if is_legible(kind, content)? => Some(element(kind, content)),
        _ => Some(element(tag::FILTER_PRESENT, b"1.1")),
    }
}

/// Whether all values in a part of a filter (tag and content) are UTF-8; `None` if it is malformed.
fn is_legible(kind: u8, content: &Bytes) -> Option<bool> {
    if kind & tag::CONSTRUCTED == 0 {
        return Some(std::str::from_utf8(content).is_ok());
    }
    let mut rest = content.clone();
    while !rest.is_empty() {
        let part = Element::read(&rest)?;
        if !is_legible(part.tag, &part.value)? {
            return Some(false);
        }
        rest = part.rest;
    }
    Some(true)
}

/// The length in octets, with the header, of the message at the beginning of `buffer`; `None` if its header is not complete yet.
fn frame_length(buffer: &[u8], most: usize) -> Result<Option<usize>, Broken> {
    let [first, rest @ ..] = buffer else { return Ok(None) };
    if *first != tag::SEQUENCE {
        return Err(Broken::Malformed);
    }
    let length = Length::read(rest).map_err(|_| Broken::Malformed)?;
    let Some(Length { octets, content }) = length else { return Ok(None) };
    let whole = octets.saturating_add(content).saturating_add(1);
    if whole > most { Err(Broken::TooLarge) } else { Ok(Some(whole)) }
}

/// The depth to which constructed elements are nested, counted up to one more than `enough`. It does not recurse, because an attacker
/// chooses the depth.
fn nesting(content: &[u8], enough: usize) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    let (mut at, mut deepest) = (0usize, 0);
    while let Some(Header { kind, octets, content: length }) = header_at(content, at) {
        while ends.last().is_some_and(|end| at >= *end) {
            ends.pop();
        }
        let start = at.saturating_add(octets);
        if kind & tag::CONSTRUCTED == 0 {
            at = start.saturating_add(length);
            continue;
        }
        ends.push(start.saturating_add(length));
        deepest = deepest.max(ends.len());
        if deepest > enough {
            break;
        }
        at = start;
    }
    deepest
}

/// Tag and length of an element.
struct Header {
    kind: u8,
    /// The number of octets of tag and length.
    octets: usize,
    /// The number of octets of the content.
    content: usize,
}

fn header_at(content: &[u8], at: usize) -> Option<Header> {
    let (kind, rest) = content.get(at..)?.split_first()?;
    let length = Length::read(rest).ok()??;
    let octets = length.octets.saturating_add(1);
    Some(Header { kind: *kind, octets, content: length.content })
}

/// An element, and the octets after it.
struct Element {
    tag: u8,
    value: Bytes,
    rest: Bytes,
}

impl Element {
    fn read(octets: &Bytes) -> Option<Self> {
        let Header { kind, octets: header, content } = header_at(octets, 0)?;
        let end = header.checked_add(content).filter(|end| *end <= octets.len())?;
        Some(Self { tag: kind, value: octets.slice(header..end), rest: octets.slice(end..) })
    }
}

/// Reads the controls of a request, the content of its `[0]` element. `None` if they are malformed.
///
/// ```text
/// Control ::= SEQUENCE {
///      controlType             LDAPOID,
///      criticality             BOOLEAN DEFAULT FALSE,
///      controlValue            OCTET STRING OPTIONAL }
/// ```
/// RFC 4511 §4.1.11.
fn controls(list: &Bytes) -> Option<Vec<Control>> {
    let (mut controls, mut rest) = (Vec::new(), list.clone());
    while !rest.is_empty() {
        let control = Element::read(&rest)?;
        let oid = Element::read(&control.value).filter(|oid| oid.tag == tag::OCTET_STRING)?;
        let mut found = Control {
            oid: String::from_utf8(oid.value.to_vec()).ok()?,
            is_critical: false,
            value: None,
        };
        let mut parts = oid.rest;
        while !parts.is_empty() {
            let part = Element::read(&parts)?;
            match part.tag {
                tag::BOOLEAN => found.is_critical = part.value.iter().any(|octet| *octet != 0),
                tag::OCTET_STRING => found.value = Some(part.value),
                _ => return None,
            }
            parts = part.rest;
        }
        controls.push(found);
        rest = control.rest;
    }
    Some(controls)
}

/// The size and the cookie in the value of a paged results control (RFC 2696 §2); `None` if it is malformed.
pub fn paged_value(value: &Bytes) -> Option<(i64, Bytes)> {
    let sequence = Element::read(value).filter(|sequence| sequence.tag == tag::SEQUENCE)?;
    let size = Element::read(&sequence.value).filter(|size| size.tag == tag::INTEGER)?;
    let cookie = Element::read(&size.rest).filter(|cookie| cookie.tag == tag::OCTET_STRING)?;
    let octets = <[u8; 8]>::try_from(
        [vec![0; 8usize.checked_sub(size.value.len())?], size.value.to_vec()].concat(),
    );
    Some((i64::from_be_bytes(octets.ok()?), cookie.value))
}

/// Writes tag and length of an element to the end of `out`.
pub fn put_header(out: &mut BytesMut, tag: u8, length: usize) {
    out.put_u8(tag);
    let octets = (length as u64).to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let significant = octets.get(zeros..).unwrap_or_default();
    match significant {
        [] => out.put_u8(0),
        [short @ 0..0x80] => out.put_u8(*short),
        long => {
            out.put_u8(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
}

/// The number of octets of tag and length for a content of this length.
pub const fn header_length(length: usize) -> usize {
    if length < 0x80 {
        2
    } else {
        2 + (usize::BITS as usize - length.leading_zeros() as usize).div_ceil(8)
    }
}

/// Encodes an element.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::with_capacity(content.len().saturating_add(6));
    put_header(&mut out, tag, content.len());
    out.extend_from_slice(content);
    out.to_vec()
}

/// Encodes an INTEGER or ENUMERATED that is not negative.
pub fn unsigned(tag: u8, value: u32) -> Vec<u8> {
    let octets = [&[0], &value.to_be_bytes()[..]].concat();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let is_negative = octets.get(zeros).is_none_or(|first| *first >= 0x80);
    element(tag, octets.get(zeros.saturating_sub(usize::from(is_negative))..).unwrap_or_default())
}
