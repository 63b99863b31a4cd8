//! The functions of the fuzzers of the OCSP client and of ID payloads, which the tests of their seeds use too.

use std::sync::Arc;

use countersign_ca::path::Certificate;
use countersign_ike_plugin::identity::{Mapping, Names, PeerId};
use countersign_ike_plugin::status::ocsp::{OcspAnswer, read, request};
use countersign_ike_plugin::wire::{IkeId, Octets};
use der::{Decode, Encode};
use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, SanType};
use x509_ocsp::{CertStatus, OcspRequest, ResponseData};

use super::draft::{Ca, NOW, fixed_key, params, seq, tlv};

/// id-pkix-ocsp-nocheck.
const NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];

/// A root with a fixed key, its responder, and a certificate with the serial number 7.
pub struct Place {
    pub root: Ca,
    pub responder: Ca,
    pub leaf: Arc<Certificate>,
    names: Names,
}

impl Place {
    pub fn new() -> Self {
        let root = Ca::fixed();
        let mut as_responder = params("responder", &[2]);
        as_responder.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        as_responder.custom_extensions =
            vec![CustomExtension::from_oid_content(NO_CHECK, vec![5, 0])];
        let key = fixed_key(2);
        let certificate = root.certify(&as_responder, &key);
        let responder = Ca { params: as_responder, key, certificate };
        let leaf = root.leaf(&[7]);
        let mut named = params("gw", &[8]);
        named.subject_alt_names = vec![
            SanType::DnsName("gw1.example".try_into().unwrap()),
            SanType::Rfc822Name("op@example.net".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ];
        let named = root.certify(&named, &fixed_key(2));
        let names = Names::of(named.der()).unwrap();
        Self { root, responder, leaf, names }
    }

    /// The CertID that the client asks about a certificate with this serial number.
    pub fn cert_id(&self, serial: &[u8]) -> Vec<u8> {
        let own = request(&self.leaf, &self.root.certificate).unwrap();
        let own = OcspRequest::from_der(&own).unwrap().tbs_request.request_list;
        let own = own[0].req_cert.to_der().unwrap();
        // The head has two octets, the serial number three at the end.
        seq(&[&own[2..own.len() - 3], &tlv(2, serial)])
    }

    /// A basic response whole: its ResponseData signed by this one, with these certificates.
    pub fn respond(&self, by: &Ca, data: &[u8], certificates: &[&Certificate]) -> Vec<u8> {
        let all: Vec<u8> = certificates.iter().flat_map(|of| of.der().to_vec()).collect();
        let certificates = if all.is_empty() { Vec::new() } else { tlv(0xa0, &tlv(0x30, &all)) };
        let basic: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 48, 1, 1];
        let bytes = seq(&[basic, &tlv(4, &by.sign(data, &certificates))]);
        seq(&[&[0x0a, 1, 0], &tlv(0xa0, &bytes)])
    }

    pub fn read(&self, response: &[u8]) -> Result<OcspAnswer, String> {
        read(response, &self.leaf, &self.root.certificate, NOW)
    }

    /// A response of any octets as it is; then a ResponseData of any octets, signed by the root and by its responder.
    pub fn ocsp(&self, octets: &[u8]) -> Option<OcspAnswer> {
        // A fuzzer cannot make valid signatures, so it is signed here.
        assert!(self.read(octets).is_err(), "somebody else's signature was taken");
        let by_root = self.respond(&self.root, octets, &[]);
        let by_responder = self.respond(&self.responder, octets, &[&self.responder.certificate]);
        let answers = [self.read(&by_root), self.read(&by_responder)];
        for answer in answers.iter().flatten() {
            assert!(NOW <= answer.until || answer.is_for_good(), "it counts after its end");
            assert!(answer.revoked.is_some() || !self.is_revoked(octets), "x509-ocsp differs");
        }
        answers.into_iter().find_map(Result::ok)
    }

    /// Whether x509-ocsp's reader, which shares none of our code, finds that the certificate is revoked.
    fn is_revoked(&self, data: &[u8]) -> bool {
        if !countersign_ca::sets::are_small(data) {
            return false;
        }
        let Ok(data) = ResponseData::from_der(data) else { return false };
        let asked = self.cert_id(&self.leaf.serial);
        data.responses.iter().any(|single| {
            matches!(single.cert_status, CertStatus::Revoked(_))
                && single.cert_id.to_der().is_ok_and(|id| id == asked)
        })
    }

    /// An ID payload: its type, then its data. Returns whether it is valid, and whether the certificate contains it.
    pub fn id(&self, octets: &[u8]) -> Option<bool> {
        let (kind, data) = octets.split_first()?;
        let payload = IkeId { kind: *kind, data: Octets(data.to_vec()) };
        let id = PeerId::read(&payload).ok()?;
        assert_eq!(PeerId::read(&payload).ok().as_ref(), Some(&id));
        let shown = id.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        let _ = (id.kind(), id.is_host(), id.for_policy(), id.comes_from(NOWHERE));
        let is_held = self.names.check(&id, &Mapping::default()).is_ok();
        let held = self.names.as_held(id.clone());
        assert_eq!(self.names.as_held(held.clone()), held, "{shown}");
        if is_held {
            assert!(may_be_held(*kind, data), "{kind} {data:?} is held");
        } else if !matches!(kind, 9 | 10) {
            assert!(!may_be_held(*kind, data), "{kind} {data:?} is not held");
        }
        Some(is_held)
    }
}

const NOWHERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// Whether the certificate contains it: a second, minimal implementation, which checks only the necessary parts of names in DER.
fn may_be_held(kind: u8, data: &[u8]) -> bool {
    let lower = data.to_ascii_lowercase();
    match kind {
        1 => data == [192, 0, 2, 1],
        5 => data == "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets(),
        2 => lower == b"gw1.example",
        3 => lower == b"op@example.net" && data.starts_with(b"op@"),
        9 => lower.windows(2).any(|of| of == b"gw") || lower.contains(&0),
        10 => matches!(data.first(), Some(0x81 | 0x82 | 0x87 | 0xa4)),
        _ => false,
    }
}

/// A time at which these objects are valid, as GeneralizedTime.
pub fn time(text: &str) -> Vec<u8> {
    tlv(0x18, text.as_bytes())
}

/// A SingleResponse: its status, and the parts behind nextUpdate.
pub fn single(id: &[u8], status: &[u8], next: &str, rest: &[u8]) -> Vec<u8> {
    seq(&[id, status, &time("20260701000000Z"), &tlv(0xa0, &time(next)), rest])
}

/// A ResponseData in the name of this one.
pub fn data(by: &Ca, singles: &[Vec<u8>], extensions: &[u8]) -> Vec<u8> {
    let name = by.certificate.subject_name.to_der().unwrap();
    let produced = time("20260701000000Z");
    seq(&[&tlv(0xa1, &name), &produced, &tlv(0x30, &singles.concat()), extensions])
}

/// Good, revoked since July for this reason, unknown.
pub const GOOD: &[u8] = &[0x80, 0];
pub const UNKNOWN: &[u8] = &[0x82, 0];
pub fn revoked(reason: u8) -> Vec<u8> {
    tlv(0xa1, &[time("20260701000000Z"), tlv(0xa0, &[0x0a, 1, reason])].concat())
}

/// The nextUpdate of an answer that has not expired, and of one that has.
pub const LATER: &str = "20260901000000Z";
pub const ENDED: &str = "20260720000000Z";
