//! Builds the entries to be published: for CAs, for partitions of their CRLs, for peers, and for the containers above them. It does no I/O.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use der::{Encode, Header, Length, Tag, TagNumber};

use crate::dn::{Dn, Rdn};
use crate::entry::{
    AUTHORITY_REVOCATION_LIST, Attribute, CA_CERTIFICATE, CERTIFICATE_REVOCATION_LIST,
    CROSS_CERTIFICATE_PAIR, DELTA_REVOCATION_LIST, Entry, USER_CERTIFICATE,
};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::views::{CaView, PeerView};

/// All entries to be published. Each comes after the entry above it.
///
/// # Errors
/// [`Error::Malformed`] if an entry cannot have its name, or one above it, in this schema; [`Error::Internal`] if a certificate cannot be
/// encoded.
pub fn entries<'a>(
    layout: &Layout,
    cas: &[CaView],
    peers: impl Iterator<Item = &'a PeerView>,
) -> Result<Vec<Entry>> {
    let mut named: BTreeMap<String, Entry> = BTreeMap::new();
    for ca in cas {
        let entry = ca_entry(layout, ca)?;
        named.insert(entry.dn.key(), entry);
        for (number, crl) in &ca.partitions {
            let entry = partition_entry(layout, ca, *number, crl)?;
            named.insert(entry.dn.key(), entry);
        }
    }
    for peer in peers {
        let Some(dn) = layout.peer(peer) else { continue };
        // A template may give two accounts the same name. The entry then has the certificates of both.
        match named.get_mut(&dn.key()) {
            Some(known) => add_certificates(known, &peer.certificates),
            None => {
                let entry = peer_entry(dn, &peer.certificates)?;
                named.insert(entry.dn.key(), entry);
            }
        }
    }
    let mut above = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for entry in named.values() {
        let mut next = entry.dn.parent();
        // Entries above the base belong to the directory's administrator.
        while let Some(dn) = next.filter(|dn| !dn.is_empty() && dn.is_within(layout.base())) {
            let key = dn.key();
            if !seen.insert(key.clone()) {
                break;
            }
            next = dn.parent();
            if !named.contains_key(&key) {
                above.insert(key, container(&dn)?);
            }
        }
    }
    let mut all: Vec<Entry> = above.into_values().chain(named.into_values()).collect();
    all.sort_by_key(|entry| entry.dn.rdns().len());
    Ok(all)
}

/// The entry of a CA: `pkiCA` and `deltaCRL` (RFC 4523 §5.2, §5.4), with a structural class that demands no attribute but the name.
fn ca_entry(layout: &Layout, ca: &CaView) -> Result<Entry> {
    let dn = layout.ca(&ca.name);
    let mut classes = vec!["applicationProcess", "pkiCA"];
    let mut attributes = naming(&dn)?;
    attributes.push(Attribute::new(CA_CERTIFICATE, [ca.certificate.clone()]));
    if let Some(crl) = &ca.crl {
        attributes.push(Attribute::new(CERTIFICATE_REVOCATION_LIST, [crl.clone()]));
        // The CRL of a root lists certificates of CAs, and is therefore also an authority revocation list.
        if ca.is_root {
            attributes.push(Attribute::new(AUTHORITY_REVOCATION_LIST, [crl.clone()]));
        }
    }
    if let Some(delta) = &ca.delta {
        classes.push("deltaCRL");
        attributes.push(Attribute::new(DELTA_REVOCATION_LIST, [delta.clone()]));
    }
    if !ca.is_root {
        let pair = Bytes::from(issued_to_this_ca(&ca.certificate)?);
        attributes.push(Attribute::new(CROSS_CERTIFICATE_PAIR, [pair]));
    }
    Ok(Entry { dn, classes, attributes })
}

/// The entry of a partition of a CRL: a `cRLDistributionPoint` (RFC 4523 §5.3).
fn partition_entry(layout: &Layout, ca: &CaView, number: u16, crl: &Bytes) -> Result<Entry> {
    let dn = layout.partition(&ca.name, &number.to_string());
    let mut attributes = naming(&dn)?;
    attributes.push(Attribute::new(CERTIFICATE_REVOCATION_LIST, [crl.clone()]));
    Ok(Entry { dn, classes: vec!["cRLDistributionPoint"], attributes })
}

/// The entry of a peer: `pkiUser` (RFC 4523 §5.1), with a structural class that fits the type of the name.
fn peer_entry(dn: Dn, certificates: &[Bytes]) -> Result<Entry> {
    let named_by = |kind| {
        let first = dn.rdns().first().map_or(&[][..], Rdn::attributes);
        first.iter().any(|ava| ava.kind == kind)
    };
    let structural = if named_by("cn") { "device" } else { "account" };
    let attributes = naming(&dn)?;
    let mut entry = Entry { dn, classes: vec![structural, "pkiUser"], attributes };
    add_certificates(&mut entry, certificates);
    Ok(entry)
}

fn add_certificates(entry: &mut Entry, certificates: &[Bytes]) {
    if certificates.is_empty() {
        return;
    }
    match entry.attributes.iter_mut().find(|attribute| attribute.name == USER_CERTIFICATE) {
        Some(known) => known.values.extend(certificates.iter().cloned()),
        None => {
            entry.attributes.push(Attribute::new(USER_CERTIFICATE, certificates.iter().cloned()));
        }
    }
}

/// A container: an entry that exists only because others are below it.
fn container(dn: &Dn) -> Result<Entry> {
    let kind = dn.rdns().first().and_then(|rdn| rdn.attributes().first());
    let classes = match kind.map(|ava| ava.kind.as_str()) {
        Some("o") => vec!["organization"],
        Some("ou") => vec!["organizationalUnit"],
        Some("dc") => vec!["organization", "dcObject"],
        Some("c") => vec!["country"],
        Some("l" | "st") => vec!["locality"],
        Some("cn") => vec!["applicationProcess"],
        _ => {
            return Err(Error::Malformed(format!(
                "no entry can be made for `{dn}`: expected it to be named by o, ou, dc, c, l, st or cn"
            )));
        }
    };
    let mut attributes = naming(dn)?;
    // A dcObject needs a structural class beside it, and an organization needs `o`.
    if classes.contains(&"dcObject") && !attributes.iter().any(|a| a.name == "o") {
        let values = attributes.first().map(|own| own.values.clone()).unwrap_or_default();
        attributes.push(Attribute::new("o", values));
    }
    Ok(Entry { dn: dn.clone(), classes, attributes })
}

/// The attributes that the RDN of an entry contains, which the entry must have.
fn naming(dn: &Dn) -> Result<Vec<Attribute>> {
    let first = dn.rdns().first().map_or(&[][..], Rdn::attributes);
    first
        .iter()
        .map(|ava| {
            let name = NAMES.iter().find(|name| name.eq_ignore_ascii_case(&ava.kind));
            let name = name.ok_or_else(|| {
                Error::Malformed(format!(
                    "expected `{dn}` to be named by one of {}, found `{}`",
                    NAMES.join(", "),
                    ava.kind
                ))
            })?;
            Ok(Attribute::new(name, [Bytes::from(ava.value.clone())]))
        })
        .collect()
}

/// The attribute types that may name an entry, in the spelling of the schema.
const NAMES: [&str; 9] = ["cn", "o", "ou", "dc", "c", "l", "st", "uid", "serialNumber"];

/// Encodes the certificate of a CA as the issuedToThisCA of a CertificatePair, DER.
///
/// ```text
/// CertificatePair ::= SEQUENCE {
///     issuedToThisCA [0] Certificate OPTIONAL,
///     issuedByThisCA [1] Certificate OPTIONAL }
/// ```
/// X.509 §11.2.3, with explicit tags; RFC 4523 §2.3.
fn issued_to_this_ca(certificate: &[u8]) -> Result<Vec<u8>> {
    let wrap = |tag: Tag, content: &[u8]| -> der::Result<Vec<u8>> {
        let mut der = Header::new(tag, Length::try_from(content.len())?)?.to_der()?;
        der.extend_from_slice(content);
        Ok(der)
    };
    let tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    wrap(tag, certificate)
        .and_then(|forward| wrap(Tag::Sequence, &forward))
        .map_err(|e| Error::Internal(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::LayoutConfig;

    fn config() -> LayoutConfig {
        LayoutConfig {
            base: "o=Example\\, Inc.,c=DE".into(),
            ca: "cn={ca}".into(),
            partition: "cn={partition},cn={ca}".into(),
            peer: "cn={account},ou=peers".into(),
            peers: BTreeMap::from([
                ("user".parse().unwrap(), "uid={id},ou=people,ou=peers".into()),
                ("ra".parse().unwrap(), String::new()),
            ]),
        }
    }

    fn peer(account: &str, profile: &str, id: &str) -> PeerView {
        PeerView {
            account: account.parse().unwrap(),
            profile: profile.parse().unwrap(),
            id: id.into(),
            certificates: vec![Bytes::from(account.to_owned())],
        }
    }

    #[test]
    fn every_entry_stands_below_its_parent_and_has_what_its_classes_ask_for() {
        let ca = |name: &str, is_root| CaView {
            name: name.parse().unwrap(),
            is_root,
            certificate: Bytes::from_static(b"\x30\x00"),
            crl: Some(Bytes::from_static(b"crl")),
            delta: (!is_root).then(|| Bytes::from_static(b"delta")),
            partitions: if is_root { vec![] } else { vec![(7, Bytes::from_static(b"seven"))] },
        };
        let hostile = "a,cn=admin+o=x\0 ";
        let peers =
            [peer("gw1", "gateway", "x"), peer("u1", "user", hostile), peer("r", "ra", "x")];
        let layout = Layout::new(&config()).unwrap();
        let all =
            entries(&layout, &[ca("root", true), ca("issuing", false)], peers.iter()).unwrap();
        let names: Vec<String> = all.iter().map(|entry| entry.dn.to_string()).collect();
        let base = "o=Example\\, Inc.,c=DE";
        let expected = [
            base.to_owned(),
            format!("ou=peers,{base}"),
            format!("cn=issuing,{base}"),
            format!("cn=root,{base}"),
            format!("ou=people,ou=peers,{base}"),
            format!("cn=7,cn=issuing,{base}"),
            format!("cn=gw1,ou=peers,{base}"),
            format!("uid=a\\,cn\\=admin\\+o\\=x\\00\\ ,ou=people,ou=peers,{base}")
                .replace("\\=", "="),
        ];
        assert_eq!(names, expected);
        let find = |name: &str| all.iter().find(|entry| entry.dn.to_string() == name).unwrap();
        let issuing = find(&expected[2]);
        assert_eq!(issuing.classes, ["applicationProcess", "pkiCA", "deltaCRL"]);
        assert_eq!(issuing.values("certificaterevocationlist"), [Bytes::from_static(b"crl")]);
        assert_eq!(issuing.values(AUTHORITY_REVOCATION_LIST).len(), 0);
        assert_eq!(issuing.values(CROSS_CERTIFICATE_PAIR), [&b"\x30\x04\xa0\x02\x30\x00"[..]]);
        let root = find(&expected[3]);
        assert_eq!(root.values(AUTHORITY_REVOCATION_LIST), [Bytes::from_static(b"crl")]);
        assert_eq!(root.values(CROSS_CERTIFICATE_PAIR).len(), 0);
        assert_eq!(find(&expected[7]).values("uid"), [Bytes::from_static(hostile.as_bytes())]);
        assert_eq!(find(&expected[7]).classes, ["account", "pkiUser"]);
    }

    #[test]
    fn what_an_operator_mistypes_is_named() {
        type Change = fn(&mut LayoutConfig);
        let cases: [(Change, &str); 6] = [
            (|c| c.base = "Example".into(), "base"),
            (|c| c.ca = "cn={name}".into(), "ca_dn: expected the places {ca}"),
            (|c| c.ca = "cn=ca".into(), "one name"),
            (|c| c.ca = "ou={ca}".into(), "ca_dn: expected a name by cn"),
            (|c| c.peer = "mail={id}".into(), "peer_dn: expected a name by cn or uid"),
            (|c| c.peer = "cn={account".into(), "peer_dn"),
        ];
        for (change, word) in cases {
            let mut config = config();
            change(&mut config);
            let why = Layout::new(&config).unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
        let mut strange = config();
        strange.base = "title=x".into();
        let layout = Layout::new(&strange).unwrap();
        let why = entries(&layout, &[], [peer("a", "gateway", "x")].iter()).unwrap_err();
        assert!(why.to_string().contains("named by o, ou, dc"), "{why}");
    }

    #[test]
    fn a_url_names_one_entry_and_one_attribute() {
        let layout = Layout::new(&config()).unwrap();
        assert_eq!(
            layout.crl_url("ldap://ldap.example.net/"),
            "ldap://ldap.example.net/cn={ca},o=Example%5C,%20Inc.,c=DE?certificateRevocationList;binary?base"
        );
        assert!(layout.partition_url("ldap://h").contains("/cn={partition},cn={ca},o="));
        assert!(layout.ca_url("ldap://h").ends_with("?cACertificate;binary?base"));
        assert!(layout.delta_url("ldap://h").ends_with("?deltaRevocationList;binary?base"));
    }

    #[test]
    fn accounts_with_one_name_share_an_entry() {
        let mut config = config();
        config.peer = "cn={id}".into();
        let layout = Layout::new(&config).unwrap();
        let peers = [peer("a", "gateway", "same"), peer("b", "gateway", "SAME")];
        let all = entries(&layout, &[], peers.iter()).unwrap();
        assert_eq!(all.last().unwrap().values(USER_CERTIFICATE).len(), 2);
    }
}
