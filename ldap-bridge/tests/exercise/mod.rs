//! The functions of the fuzzer, for octets as a directory's answers: every frame that our reader accepts must be parsed by the LDAP
//! library as a whole and without an error.

use bytes::BytesMut;
use countersign_ldap_bridge::client::{Bounds, Frames};
use ldap3::asn1::{StructureTag, Tag, parse_tag};
use ldap3::controls::{ControlParser, PagedResults};
use ldap3::result::LdapResult;
use ldap3::{ResultEntry, SearchEntry};

const BOUNDS: Bounds = Bounds { frame: 32 << 10, elements: 500, octets: 64 << 10, entries: 50 };

/// The requests that were sent: a bind as message 1, a search below an entry as 2, one for an entry as 3, a modify as 4, an extended operation as 5.
const ASKED: [&[u8]; 5] = [
    b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00",
    b"\x30\x28\x02\x01\x02\x63\x23\x04\x03o=x\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass\x30\x00",
    b"\x30\x28\x02\x01\x03\x63\x23\x04\x03o=x\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass\x30\x00",
    b"\x30\x0c\x02\x01\x04\x66\x07\x04\x03o=x\x30\x00",
    b"\x30\x1d\x02\x01\x05\x77\x18\x80\x161.3.6.1.4.1.1466.20037",
];

/// How many frames passed.
pub fn exercise(octets: &[u8]) -> usize {
    let mut frames = Frames::new(BOUNDS);
    for asked in ASKED {
        let taken = frames.ask(&mut BytesMut::from(asked)).expect("a request");
        assert_eq!(taken.as_deref(), Some(asked));
    }
    let (mut buffer, mut passed) = (BytesMut::from(octets), 0);
    while let Ok(Some(frame)) = frames.answer(&mut buffer) {
        passed += 1;
        parsed(&frame);
    }
    passed
}

/// Parses a frame with the library.
fn parsed(frame: &[u8]) {
    let (rest, message) = parse_tag(frame).expect("an element");
    assert!(rest.is_empty());
    let mut parts = message.expect_constructed().expect("a sequence").into_iter();
    parts.next().expect("a messageID");
    let operation = parts.next().expect("an operation");
    for control in parts.flat_map(|list| list.expect_constructed().expect("controls")) {
        read(control);
    }
    match operation.id {
        4 => drop(SearchEntry::construct(ResultEntry::new(operation))),
        19 => drop(operation.expect_constructed().expect("references")),
        _ => drop(LdapResult::from(Tag::StructureTag(operation))),
    }
}

fn read(control: StructureTag) {
    let parts = control.expect_constructed().expect("a control");
    let mut parts = parts.into_iter().map(|part| part.expect_primitive().expect("octets"));
    let kind = parts.next().expect("a type");
    if kind == b"1.2.840.113556.1.4.319" {
        drop(PagedResults::parse(&parts.next_back().expect("a value")));
    }
}
