//! CRLs of which every part can be odd, written octet by octet, and a CA that signs them.

use std::sync::Arc;

use countersign_ca::Timestamp;
use countersign_ca::path::crl::{Crl, CrlStatus, status_by_crls};
use countersign_ca::path::{Anchors, Certificate};
use der::Encode;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SerialNumber, SigningKey,
};

/// 2026-07-25 17:20:00.
pub const NOW: Timestamp = Timestamp::from_seconds(1_785_000_000);
pub const BEFORE: &[u8] = b"260701000000Z";
pub const LATER: &[u8] = b"260901000000Z";
pub const ENDED: &[u8] = b"260720000000Z";

/// ecdsa-with-SHA256.
const ALGORITHM: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        0x100..0x1_0000 => vec![tag, 0x82, (length >> 8) as u8, length as u8],
        _ => vec![tag, 0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8],
    };
    [head.as_slice(), content].concat()
}

pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// An extension below id-ce.
pub fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    seq(&[&[6, 3, 0x55, 0x1d, id], critical, &tlv(4, value)])
}

pub fn number(number: u8) -> Vec<u8> {
    extension(20, false, &[2, 1, number])
}

pub fn reason(code: u8) -> Vec<u8> {
    extension(21, false, &[0x0a, 1, code])
}

/// An entry with this serial number's content octets.
pub fn entry(serial: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let rest = if extensions.is_empty() { Vec::new() } else { tlv(0x30, &extensions.concat()) };
    seq(&[&tlv(2, serial), &tlv(0x17, BEFORE), &rest])
}

/// A CRL before it is signed.
#[derive(Clone)]
pub struct Draft {
    pub version: Option<u8>,
    pub this_update: &'static [u8],
    pub next_update: Option<&'static [u8]>,
    pub entries: Vec<Vec<u8>>,
    pub extensions: Vec<Vec<u8>>,
}

impl Default for Draft {
    /// A complete CRL of version 2, number 5, that lists nobody.
    fn default() -> Self {
        Self {
            version: Some(1),
            this_update: BEFORE,
            next_update: Some(LATER),
            entries: Vec::new(),
            extensions: vec![number(5)],
        }
    }
}

impl Draft {
    pub fn of(entries: &[Vec<u8>]) -> Self {
        Self { entries: entries.to_vec(), ..Self::default() }
    }

    pub fn numbered(self, of: u8) -> Self {
        Self { extensions: vec![number(of)], ..self }
    }

    /// The delta with this number and base.
    pub fn delta(self, of: u8, base: u8) -> Self {
        Self { extensions: vec![number(of), extension(27, true, &[2, 1, base])], ..self }
    }

    pub fn with(mut self, extensions: &[Vec<u8>]) -> Self {
        self.extensions.extend_from_slice(extensions);
        self
    }

    pub fn from(self, this_update: &'static [u8]) -> Self {
        Self { this_update, ..self }
    }

    pub fn ended(self) -> Self {
        Self { next_update: Some(ENDED), ..self }
    }

    pub fn sign(&self, by: &Ca) -> Vec<u8> {
        self.sign_as(by, &by.certificate.subject_name.to_der().unwrap())
    }

    pub fn sign_as(&self, by: &Ca, issuer: &[u8]) -> Vec<u8> {
        let optional = |tag, parts: &[Vec<u8>]| match parts {
            [] => Vec::new(),
            parts => tlv(tag, &parts.concat()),
        };
        let extensions = optional(0x30, &self.extensions);
        let extensions = if extensions.is_empty() { extensions } else { tlv(0xa0, &extensions) };
        let tbs = seq(&[
            &self.version.map(|version| vec![2, 1, version]).unwrap_or_default(),
            ALGORITHM,
            issuer,
            &tlv(0x17, self.this_update),
            &self.next_update.map(|at| tlv(0x17, at)).unwrap_or_default(),
            &optional(0x30, &self.entries),
            &extensions,
        ]);
        let signature = by.key.sign(&tbs).unwrap();
        seq(&[&tbs, ALGORITHM, &tlv(3, &[&[0], signature.as_slice()].concat())])
    }

    pub fn read(&self, by: &Ca) -> Arc<Crl> {
        Arc::new(Crl::from_der(&self.sign(by)).unwrap())
    }
}

pub struct Ca {
    pub params: CertificateParams,
    pub key: KeyPair,
    pub certificate: Arc<Certificate>,
}

pub fn params(name: &str, serial: &[u8]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params
}

pub fn ca_params(name: &str, serial: &[u8]) -> CertificateParams {
    let mut params = params(name, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// cRLDistributionPoints with one point that names the issuer of an indirect CRL alone.
pub fn indirect(issuer: &Ca) -> CustomExtension {
    let name = issuer.certificate.subject_name.to_der().unwrap();
    let point = seq(&[&tlv(0xa2, &tlv(0xa4, &name))]);
    CustomExtension::from_oid_content(&[2, 5, 29, 31], seq(&[&point]))
}

fn read(certificate: &rcgen::Certificate) -> Arc<Certificate> {
    Arc::new(Certificate::from_der(certificate.der().to_vec()).unwrap())
}

impl Ca {
    pub fn root() -> Self {
        let (params, key) = (ca_params("root", &[1]), KeyPair::generate().unwrap());
        let certificate = read(&params.self_signed(&key).unwrap());
        Self { params, key, certificate }
    }

    pub fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = self.certify(&params, &key);
        Self { params, key, certificate }
    }

    pub fn certify(&self, params: &CertificateParams, key: &KeyPair) -> Arc<Certificate> {
        read(&params.signed_by(key, &Issuer::from_params(&self.params, &self.key)).unwrap())
    }

    pub fn leaf(&self, serial: &[u8]) -> Arc<Certificate> {
        self.certify(&params("gw", serial), &KeyPair::generate().unwrap())
    }
}

/// What CRLs say of a certificate below this root.
pub fn status(
    root: &Ca,
    others: &[&Ca],
    certificate: &Arc<Certificate>,
    issuer: &Ca,
    crls: &[Arc<Crl>],
) -> CrlStatus {
    let anchors = Anchors::only(&root.certificate);
    let others: Vec<_> =
        others.iter().chain([&root]).map(|ca| Arc::clone(&ca.certificate)).collect();
    status_by_crls(&anchors, &others, certificate, &issuer.certificate, crls, NOW)
}

#[track_caller]
pub fn good(status: &CrlStatus) {
    assert!(matches!(status, CrlStatus::Good(_)), "{status:?}");
}

#[track_caller]
pub fn revoked(status: &CrlStatus) {
    assert!(matches!(status, CrlStatus::Revoked { .. }), "{status:?}");
}

#[track_caller]
pub fn unknown(status: &CrlStatus, words: &str) {
    match status {
        CrlStatus::Unknown(why) => assert!(why.contains(words), "expected `{words}`: {why}"),
        other => panic!("expected `{words}`: {other:?}"),
    }
}

/// The points 1 and 2 times the generator of P-256, of the private keys 1 and 2: known to everybody, and the same in each run.
const POINTS: [&str; 2] = [
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    "047cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc4766997807775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1",
];

/// The key pair of the private key 1 or 2 (RFC 5915, RFC 5958), for what a fuzzer does: its seeds stay what they are.
pub fn fixed_key(number: u8) -> KeyPair {
    let point = POINTS[usize::from(number) - 1].as_bytes();
    let point = data_encoding::HEXLOWER.decode(point).unwrap();
    let private = tlv(4, &[&[0; 31][..], &[number]].concat());
    let public = tlv(0xa1, &tlv(3, &[&[0], point.as_slice()].concat()));
    let key = seq(&[&[2, 1, 1], &private, &public]);
    let curve: &[u8] = &[
        0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3,
        1, 7,
    ];
    KeyPair::try_from(seq(&[&[2, 1, 0], curve, &tlv(4, &key)]).as_slice()).unwrap()
}

impl Ca {
    /// A root with a fixed key.
    pub fn fixed() -> Self {
        let (params, key) = (ca_params("root", &[1]), fixed_key(1));
        let certificate = read(&params.self_signed(&key).unwrap());
        Self { params, key, certificate }
    }

    /// `SEQUENCE { signed, algorithm, signature, … }`.
    pub fn sign(&self, signed: &[u8], rest: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(signed).unwrap();
        seq(&[signed, ALGORITHM, &tlv(3, &[&[0], signature.as_slice()].concat()), rest])
    }
}

/// As many changed forms of some octets as wanted, the same in each run: an octet or a few are others, gone, or there again.
pub fn changed(octets: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ octets.len() as u64;
    let mut below = move |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % end.max(1)
    };
    let mut all = Vec::new();
    for _ in 0..count {
        let mut octets = octets.to_vec();
        for _ in 0..=below(3) {
            let (at, length) = (below(octets.len()), below(6));
            let end = (at + length).min(octets.len());
            match below(4) {
                0 => drop(octets.drain(at..end)),
                1 => {
                    let again = octets[at..end].to_vec();
                    octets.splice(at..at, again);
                }
                2 if at < octets.len() => octets[at] = [0, 1, 0x30, 0x7f, 0x80, 0xff][below(6)],
                _ if at < octets.len() => octets[at] ^= 1 << below(8),
                _ => octets.push(0),
            }
        }
        all.push(octets);
    }
    all
}
