//! The entries of the directory at one moment. They are sorted so that a subtree is a range, and encoded once, so that a large CRL is sent
//! to many clients without being copied.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::ber::{header_length, put_header};
use super::schema::{self, AttributeType, attribute_type};
use crate::dn::Dn;
use crate::entry::{Attribute, Entry};
use crate::protocol::tag;

/// Values of fewer octets are copied into one chunk with what precedes them.
const LARGE: usize = 512;

/// The entries of the directory at one moment. A snapshot is never changed, but replaced as a whole.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The entries, ordered by their path.
    nodes: Vec<Node>,
    /// The position of each entry in `nodes`, by its path.
    places: HashMap<String, usize>,
}

/// An entry, encoded.
#[derive(Debug)]
pub struct Node {
    /// The keys of the entry's RDNs from the root down. In this order, the subtree of an entry follows it.
    path: String,
    depth: usize,
    dn: String,
    attributes: Vec<Encoded>,
}

/// An attribute, encoded as a PartialAttribute (RFC 4511 §4.1.7), once with its values, in chunks, and once without.
#[derive(Debug)]
pub struct Encoded {
    /// The type of the attribute.
    pub kind: &'static AttributeType,
    /// The values of the attribute, for filters.
    pub values: Vec<Bytes>,
    chunks: Vec<Bytes>,
    without_values: Bytes,
}

impl Snapshot {
    /// Encodes entries. Attributes that the schema does not have are left out, with a warning; of entries with the same name only one
    /// stays.
    pub fn new(entries: &[Entry]) -> Self {
        let mut nodes: Vec<Node> = entries.iter().map(Node::new).collect();
        nodes.sort_by(|a, b| a.path.cmp(&b.path));
        nodes.dedup_by(|a, b| a.path == b.path);
        let places = nodes.iter().enumerate().map(|(at, node)| (node.path.clone(), at)).collect();
        Self { nodes, places }
    }

    /// The number of entries.
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The position of the entry with this name; `None` if there is none.
    pub fn place(&self, dn: &Dn) -> Option<usize> {
        self.places.get(&path_of(dn)).copied()
    }

    /// The entry at a position; `None` after the last one.
    pub fn node(&self, place: usize) -> Option<&Node> {
        self.nodes.get(place)
    }

    /// The position after an entry's subtree.
    pub fn end_of(&self, place: usize) -> usize {
        let Some(node) = self.nodes.get(place) else { return place };
        let below = |other: &Node| other.path.starts_with(&node.path);
        place.saturating_add(self.nodes.get(place..).unwrap_or_default().partition_point(below))
    }

    /// The position of the first entry whose path sorts after `path`.
    pub fn behind(&self, path: &str) -> usize {
        self.nodes.partition_point(|node| node.path.as_str() <= path)
    }

    /// The nearest entry above a name; `None` if there is none.
    pub fn matched(&self, dn: &Dn) -> Option<&Node> {
        std::iter::successors(dn.parent(), Dn::parent)
            .find_map(|above| self.place(&above))
            .and_then(|place| self.nodes.get(place))
    }
}

impl Node {
    /// Encodes an entry that belongs to no snapshot, such as the root DSE.
    pub fn apart(dn: &str, attributes: &[Attribute]) -> Self {
        let encoded = attributes.iter().filter_map(Encoded::new).collect();
        Self { path: String::new(), depth: 0, dn: dn.to_owned(), attributes: encoded }
    }

    fn new(entry: &Entry) -> Self {
        let classes = std::iter::once("top").chain(entry.classes.iter().copied());
        let mut attributes = vec![
            Attribute::new("objectClass", classes.map(Bytes::from)),
            Attribute::new("subschemaSubentry", [Bytes::from(schema::SUBSCHEMA)]),
        ];
        attributes.extend(entry.attributes.iter().cloned());
        Self {
            path: path_of(&entry.dn),
            depth: entry.dn.rdns().len(),
            ..Self::apart(&entry.dn.to_string(), &attributes)
        }
    }

    /// The DN of the entry, as text.
    pub fn dn(&self) -> &str {
        &self.dn
    }

    /// The path by which entries are ordered: the keys of its RDNs from the root down.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The number of RDNs of the entry's name.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// The attribute of this type; `None` if the entry does not have it.
    pub fn attribute(&self, kind: &AttributeType) -> Option<&Encoded> {
        self.attributes.iter().find(|attribute| attribute.kind == kind)
    }

    /// A message with a SearchResultEntry in chunks; `id` is the encoded messageID. Large values are chunks of their own, which are shared
    /// and not copied.
    ///
    /// ```text
    /// SearchResultEntry ::= [APPLICATION 4] SEQUENCE {
    ///      objectName      LDAPDN,
    ///      attributes      PartialAttributeList }
    /// ```
    /// RFC 4511 §4.5.2.
    pub fn result(
        &self,
        id: &[u8],
        types_only: bool,
        is_wanted: &dyn Fn(&AttributeType) -> bool,
    ) -> Vec<Bytes> {
        let wanted: Vec<&Encoded> =
            self.attributes.iter().filter(|attribute| is_wanted(attribute.kind)).collect();
        let chunks: Vec<&[Bytes]> = wanted
            .iter()
            .map(|attribute| match types_only {
                true => std::slice::from_ref(&attribute.without_values),
                false => attribute.chunks.as_slice(),
            })
            .collect();
        let list: usize = chunks.iter().flat_map(|chunks| chunks.iter()).map(Bytes::len).sum();
        let name = header_length(self.dn.len()).saturating_add(self.dn.len());
        let inside = name.saturating_add(header_length(list)).saturating_add(list);
        let whole = id.len().saturating_add(header_length(inside)).saturating_add(inside);
        let mut head = BytesMut::new();
        put_header(&mut head, tag::SEQUENCE, whole);
        head.extend_from_slice(id);
        put_header(&mut head, tag::SEARCH_RESULT_ENTRY, inside);
        put_header(&mut head, tag::OCTET_STRING, self.dn.len());
        head.extend_from_slice(self.dn.as_bytes());
        put_header(&mut head, tag::SEQUENCE, list);
        std::iter::once(head.freeze())
            .chain(chunks.into_iter().flat_map(|chunks| chunks.iter().cloned()))
            .collect()
    }
}

impl Encoded {
    fn new(attribute: &Attribute) -> Option<Self> {
        let Some(kind) = attribute_type(attribute.name) else {
            tracing::warn!(
                attribute = attribute.name,
                "the directory does not know this attribute"
            );
            return None;
        };
        let description = attribute.description();
        let sizes = attribute.values.iter().map(|v| header_length(v.len()).saturating_add(v.len()));
        let set: usize = sizes.sum();
        let frame = |set: usize| {
            let name = header_length(description.len()).saturating_add(description.len());
            let inside = name.saturating_add(header_length(set)).saturating_add(set);
            let mut head = BytesMut::new();
            put_header(&mut head, tag::SEQUENCE, inside);
            put_header(&mut head, tag::OCTET_STRING, description.len());
            head.extend_from_slice(description.as_bytes());
            put_header(&mut head, tag::SET, set);
            head
        };
        let (mut chunks, mut small) = (Vec::new(), frame(set));
        for value in &attribute.values {
            put_header(&mut small, tag::OCTET_STRING, value.len());
            if value.len() < LARGE {
                small.extend_from_slice(value);
            } else {
                chunks.push(small.split().freeze());
                chunks.push(value.clone());
            }
        }
        if !small.is_empty() {
            chunks.push(small.freeze());
        }
        let without_values = frame(0).freeze();
        Some(Self { kind, values: attribute.values.clone(), chunks, without_values })
    }
}

/// The keys of the RDNs from the root down, each followed by the octet 1. No key contains this octet, because control characters are
/// escaped in it.
fn path_of(dn: &Dn) -> String {
    dn.rdns().iter().rev().fold(String::new(), |path, rdn| path + &rdn.key() + "\u{1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(dn: &str, attributes: Vec<Attribute>) -> Entry {
        Entry { dn: dn.parse().unwrap(), classes: vec!["device"], attributes }
    }

    #[test]
    fn a_subtree_is_a_range() {
        let names =
            ["o=x", "cn=b,o=x", "cn=a,cn=b,o=x", "cn=b c,o=x", "cn=bb,o=x", "o=xy", "cn=a,o=xy"];
        let all: Vec<Entry> = names.iter().map(|dn| entry(dn, vec![])).collect();
        let snapshot = Snapshot::new(&all);
        assert_eq!(snapshot.len(), 7);
        for (name, count) in [("O=X", 5), ("cn=B,o=x", 2), ("cn=b c,o=x", 1), ("o=xy", 2)] {
            let base: Dn = name.parse().unwrap();
            let place = snapshot.place(&base).unwrap();
            let range = place..snapshot.end_of(place);
            let below = range.clone().filter(|at| {
                let dn: Dn = snapshot.node(*at).unwrap().dn().parse().unwrap();
                dn.is_within(&base)
            });
            assert_eq!((range.len(), below.count()), (count, count), "{name}");
        }
        let missing: Dn = "cn=z,cn=y,cn=b,o=x".parse().unwrap();
        assert_eq!(snapshot.matched(&missing).unwrap().dn(), "cn=b,o=x");
        assert!(snapshot.matched(&"o=z".parse().unwrap()).is_none());
    }

    #[test]
    fn a_large_value_is_shared_with_every_answer() {
        let crl = Bytes::from(vec![0x30; 1 << 20]);
        let attributes = vec![
            Attribute::new("cn", [Bytes::from("x")]),
            Attribute::new("certificateRevocationList", [crl.clone()]),
        ];
        let snapshot = Snapshot::new(&[entry("cn=x", attributes)]);
        let node = snapshot.node(0).unwrap();
        for _ in 0..3 {
            let chunks = node.result(&[2, 1, 7], false, &|_| true);
            assert!(chunks.iter().any(|chunk| chunk.as_ptr() == crl.as_ptr()));
            let small: usize =
                chunks.iter().filter(|c| c.as_ptr() != crl.as_ptr()).map(Bytes::len).sum();
            assert!(small < 300, "{small}");
        }
        let names = node.result(&[2, 1, 7], true, &|kind| kind.name == "certificateRevocationList");
        let text = String::from_utf8_lossy(&names.concat()).into_owned();
        assert!(text.contains("certificateRevocationList;binary") && text.len() < 100, "{text:?}");
    }
}
