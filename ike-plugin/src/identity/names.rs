//! The names of a certificate, and whether one of them is the peer's identity (RFC 4945 §3.1 and §5.1).
//!
//! A common name never counts as a DNS name, and wildcards in certificates do not match: RFC 4945 §3.1.2 requires exact names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use countersign_ca::Identity;
use countersign_ca::x509::Facts;
use countersign_policy::ipsec::DistinguishedName;
use der::Encode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::peer_id::PeerId;
use countersign_ca::name::{general_name, same_name};

/// The most subject alternative names of a certificate that the reason of a denial lists.
const MAX_NAMES: usize = 16;

/// The operator's map from identities that no certificate can contain to identities that one can: a key ID, a subnet or a range, as [`PeerId`]
/// displays it, and the name that the certificate of such a peer must contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping(pub BTreeMap<String, Identity>);

/// The names of a certificate: its subject and its subject alternative names.
#[derive(Debug, Clone)]
pub struct Names {
    subject: Name,
    alternatives: Vec<GeneralName>,
}

impl Names {
    /// Reads the names of a certificate in DER.
    ///
    /// # Errors
    /// It is not a certificate.
    pub fn of(certificate: &[u8]) -> Result<Self, countersign_ca::Error> {
        let facts = Facts::of(certificate)?;
        Ok(Self { subject: facts.subject, alternatives: facts.alt_names })
    }

    /// Checks that the certificate contains the identity that the peer claims. For a key ID, a subnet or a range, it must contain the
    /// identity that `mapping` assigns to it.
    ///
    /// # Errors
    /// The certificate does not contain it, or `mapping` lacks it. The text says which names the certificate contains, or what to map.
    pub fn check(&self, id: &PeerId, mapping: &Mapping) -> Result<(), String> {
        let identity = match id {
            PeerId::KeyId(_) | PeerId::Subnet(_) | PeerId::Range(_) => {
                mapping.0.get(&id.to_string()).cloned().ok_or_else(|| {
                    format!(
                        "the peer says it is `{id}`, and no certificate holds a {}; map it to a name with \
                         `[authorizer.identities]`",
                        id.kind()
                    )
                })?
            }
            _ => match id.identity() {
                Some(identity) => identity,
                None => return Err(self.mismatch(id)),
            },
        };
        if self.hold(&identity) { Ok(()) } else { Err(self.mismatch(id)) }
    }

    /// The peer's identity in the spelling of its certificate. Two distinguished names that are equal by RFC 5280 §7.1 may differ in case,
    /// white space and encoding, and the policy compares octets. Any other identity, and one that the certificate does not contain, is
    /// returned unchanged.
    pub fn as_held(&self, id: PeerId) -> PeerId {
        let Some(Identity::Dn(said)) = id.identity() else { return id };
        let among = self.alternatives.iter().filter_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name),
            _ => None,
        });
        let held = std::iter::once(&self.subject).chain(among).find(|name| same_name(&said, name));
        let read = |held: &Name| {
            let der = held.to_der().ok()?;
            let line = DistinguishedName::from_der(&der).ok()?;
            Some(PeerId::DistinguishedName(der, line))
        };
        match (&id, held.and_then(read)) {
            (PeerId::DistinguishedName(..), Some(held)) => held,
            _ => id,
        }
    }

    /// Whether the certificate contains this identity: a distinguished name as its subject or a subject alternative name, any other
    /// identity as a subject alternative name.
    pub fn hold(&self, identity: &Identity) -> bool {
        match identity {
            Identity::Dn(name) => {
                let is = |other: &Name| same_name(name, other);
                let among = self.alternatives.iter().any(|alternative| {
                    matches!(alternative, GeneralName::DirectoryName(other) if is(other))
                });
                !name.0.is_empty() && (is(&self.subject) || among)
            }
            _ => self.alternatives.iter().any(|name| holds(name, identity)),
        }
    }

    fn mismatch(&self, id: &PeerId) -> String {
        format!(
            "expected a certificate with the {} `{}`, found {}",
            id.kind(),
            id.to_string().escape_debug(),
            self.shown()
        )
    }

    /// The names in words, for messages: at most 16 subject alternative names, and the subject if it is not empty.
    pub fn shown(&self) -> String {
        let mut held: Vec<String> = self
            .alternatives
            .iter()
            .take(MAX_NAMES)
            .map(|name| format!("`{}`", general_name(name)))
            .collect();
        if self.alternatives.len() > MAX_NAMES {
            held.push(format!("{} more", self.alternatives.len() - MAX_NAMES));
        }
        let held = if held.is_empty() { "none".to_owned() } else { held.join(", ") };
        let subject = if self.subject.0.is_empty() {
            String::new()
        } else {
            format!("; its subject is `{}`", self.subject)
        };
        format!("subject alternative names: {held}{subject}")
    }
}

fn holds(name: &GeneralName, identity: &Identity) -> bool {
    match (name, identity) {
        (GeneralName::DnsName(held), Identity::Fqdn(said)) => {
            !held.as_str().contains('*') && held.as_str().eq_ignore_ascii_case(said)
        }
        (GeneralName::Rfc822Name(held), Identity::Email(said)) => same_mailbox(held.as_str(), said),
        (GeneralName::IpAddress(held), Identity::Ip(IpAddr::V4(said))) => {
            held.as_bytes() == said.octets()
        }
        (GeneralName::IpAddress(held), Identity::Ip(IpAddr::V6(said))) => {
            held.as_bytes() == said.octets()
        }
        _ => false,
    }
}

/// Compares two mail addresses by RFC 5280 §7.5: the local part exactly, the host without regard to case.
fn same_mailbox(left: &str, right: &str) -> bool {
    match (left.rsplit_once('@'), right.rsplit_once('@')) {
        (Some((a, host_a)), Some((b, host_b))) => a == b && host_a.eq_ignore_ascii_case(host_b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use der::Encode;

    use super::*;
    use crate::identity::peer_id::IdError;
    use crate::wire::{IkeId, Octets};

    fn id(kind: u8, data: &[u8]) -> Result<PeerId, IdError> {
        PeerId::read(&IkeId { kind, data: Octets(data.to_vec()) })
    }

    fn names(subject: &str, names: &[rcgen::SanType]) -> Names {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, subject);
        params.subject_alt_names = names.to_vec();
        let key = rcgen::KeyPair::generate().unwrap();
        Names::of(params.self_signed(&key).unwrap().der()).unwrap()
    }

    fn some() -> Names {
        let dns = |name: &str| rcgen::SanType::DnsName(name.try_into().unwrap());
        names(
            "cn.example",
            &[
                dns("gw1.example"),
                dns("*.wild.example"),
                rcgen::SanType::Rfc822Name("Op@example.net".try_into().unwrap()),
                rcgen::SanType::IpAddress("192.0.2.1".parse().unwrap()),
                rcgen::SanType::IpAddress("2001:db8::1".parse().unwrap()),
            ],
        )
    }

    fn ok(kind: u8, data: &[u8]) -> bool {
        some().check(&id(kind, data).unwrap(), &Mapping::default()).is_ok()
    }

    #[test]
    fn each_kind_matches_its_own_kind_of_name() {
        assert!(ok(2, b"gw1.example") && ok(2, b"GW1.Example"));
        assert!(ok(3, b"Op@Example.NET") && !ok(3, b"op@example.net"));
        assert!(ok(1, &[192, 0, 2, 1]) && !ok(1, &[192, 0, 2, 2]));
        let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert!(ok(5, &address.octets()));
        for (kind, data) in [
            (2, &b"cn.example"[..]),
            (2, b"gw1.example."),
            (2, b"a.wild.example"),
            (2, b"*.wild.example"),
            (2, b"192.0.2.1"),
            (2, b"Op@example.net"),
            (3, b"gw1.example"),
            (11, b"gw1.example"),
        ] {
            assert!(!ok(kind, data), "{kind} {data:?}");
        }
    }

    #[test]
    fn names_are_compared_as_x500_has_it() {
        let der = |text: &str| text.parse::<Name>().unwrap().to_der().unwrap();
        let some = some();
        let check = |text: &str| some.check(&id(9, &der(text)).unwrap(), &Mapping::default());
        check("CN=cn.example").unwrap();
        check("CN=CN.Example").unwrap();
        let why = check("CN=other").unwrap_err();
        assert!(
            why.contains("`/CN=other`") && why.contains("its subject is `CN=cn.example`"),
            "{why}"
        );
    }

    #[test]
    fn a_peer_cannot_choose_how_the_policy_reads_its_name() {
        use countersign_policy::ipsec::Identity as Asked;
        let asked = |kind, data: &[u8]| id(kind, data).unwrap().for_policy();
        assert_eq!(asked(2, b"GW1.Example"), Asked::Fqdn(b"gw1.example".to_vec()));
        assert_eq!(asked(3, b"Op@Example.NET"), Asked::UserFqdn(b"Op@example.net".to_vec()));
        let der = |text: &str| text.parse::<Name>().unwrap().to_der().unwrap();
        let said = id(9, &der("CN=CN.EXAMPLE")).unwrap();
        some().check(&said, &Mapping::default()).unwrap();
        assert_eq!(some().as_held(said).to_string(), "/CN=cn.example");
        let other = id(9, &der("CN=Other")).unwrap();
        assert_eq!(some().as_held(other.clone()), other);
    }

    #[test]
    fn a_mismatch_says_what_the_certificate_holds() {
        let why = some().check(&id(2, b"gw2.example").unwrap(), &Mapping::default()).unwrap_err();
        for part in [
            "`gw2.example`",
            "dns:gw1.example",
            "email:Op@example.net",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        let none = names("gw2.example", &[]);
        let why = none.check(&id(2, b"gw2.example").unwrap(), &Mapping::default()).unwrap_err();
        assert!(why.contains("names: none"), "{why}");
    }

    #[test]
    fn key_ids_and_networks_count_only_where_they_are_mapped() {
        let mapping = Mapping(
            [
                ("key-id:branch-7".to_owned(), "fqdn:gw1.example".parse().unwrap()),
                ("key-id:0x0001ff".to_owned(), "ip:192.0.2.1".parse().unwrap()),
                ("10.1.0.0/16".to_owned(), "fqdn:gw1.example".parse().unwrap()),
                ("10.0.0.1-10.0.0.9".to_owned(), "fqdn:gw2.example".parse().unwrap()),
            ]
            .into(),
        );
        let check = |kind, data: &[u8]| some().check(&id(kind, data).unwrap(), &mapping);
        check(11, b"branch-7").unwrap();
        check(11, &[0, 1, 255]).unwrap();
        check(4, &[10, 1, 0, 0, 255, 255, 0, 0]).unwrap();
        assert!(check(11, b"branch-8").unwrap_err().contains("map it"));
        assert!(check(4, &[10, 2, 0, 0, 255, 255, 0, 0]).unwrap_err().contains("`10.2.0.0/16`"));
        assert!(
            check(7, &[10, 0, 0, 1, 10, 0, 0, 9]).unwrap_err().contains("expected a certificate")
        );
    }
}
