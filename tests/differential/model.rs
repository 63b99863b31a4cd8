//! Drafts of certificates and CRLs, and their DER. Keys and signatures are Ed25519, which depend on the seed alone.

use ring::signature::{Ed25519KeyPair, KeyPair};

use super::der::{boolean, element, integer, oid, sequence, time};

/// The time of validation: 2026-03-01 12:00:00 UTC.
pub const NOW: i64 = 1_772_366_400;
pub const DAY: i64 = 86_400;

pub const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub const KEY_USAGE: &str = "2.5.29.15";
pub const SUBJECT_KEY: &str = "2.5.29.14";
pub const AUTHORITY_KEY: &str = "2.5.29.35";
pub const SUBJECT_ALT_NAME: &str = "2.5.29.17";
pub const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub const POLICIES: &str = "2.5.29.32";
pub const POLICY_MAPPINGS: &str = "2.5.29.33";
pub const POLICY_CONSTRAINTS: &str = "2.5.29.36";
pub const INHIBIT_ANY: &str = "2.5.29.54";
pub const KEY_PURPOSES: &str = "2.5.29.37";
pub const CRL_NUMBER: &str = "2.5.29.20";
pub const DELTA: &str = "2.5.29.27";
pub const SCOPE: &str = "2.5.29.28";
pub const REASON: &str = "2.5.29.21";

const ED25519: &str = "1.3.101.112";

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    pub fn word(&mut self) -> String {
        let length = 3 + self.below(6);
        (0..length).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap())).collect()
    }
}

#[derive(Clone)]
pub struct Extension {
    pub id: String,
    pub critical: bool,
    pub value: Vec<u8>,
}

pub fn extension(id: &str, critical: bool, value: Vec<u8>) -> Extension {
    Extension { id: id.to_owned(), critical, value }
}

fn extensions(all: &[Extension]) -> Vec<u8> {
    let one = |of: &Extension| {
        let critical = if of.critical { boolean(true) } else { Vec::new() };
        sequence(&[oid(&of.id), critical, element(0x04, &of.value)])
    };
    sequence(&all.iter().map(one).collect::<Vec<_>>())
}

fn replace(all: &mut Vec<Extension>, extension: Extension) {
    all.retain(|of| of.id != extension.id);
    all.push(extension);
}

fn pair(key: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[key; 32]).unwrap()
}

fn key_identifier(key: u8) -> Vec<u8> {
    pair(key).public_key().as_ref()[..20].to_vec()
}

fn signed(content: Vec<u8>, key: u8, is_broken: bool) -> Vec<u8> {
    let mut signature = pair(key).sign(&content).as_ref().to_vec();
    if is_broken {
        signature[5] ^= 1;
    }
    let bits = [&[0][..], &signature].concat();
    sequence(&[content, sequence(&[oid(ED25519)]), element(0x03, &bits)])
}

/// A name of attributes: type, tag of the string, its octets.
pub fn name(attributes: &[(&str, u8, Vec<u8>)]) -> Vec<u8> {
    let part = |(id, tag, octets): &(&str, u8, Vec<u8>)| {
        element(0x31, &sequence(&[oid(id), element(*tag, octets)]))
    };
    sequence(&attributes.iter().map(part).collect::<Vec<_>>())
}

#[derive(Clone)]
pub struct Certificate {
    pub version: u8,
    pub serial: Vec<u8>,
    pub subject: Vec<u8>,
    /// The issuer's name, if it is spelt differently from the subject of the certificate above.
    pub issuer: Option<Vec<u8>>,
    pub not_before: i64,
    pub not_after: i64,
    pub key: u8,
    pub extensions: Vec<Extension>,
    pub is_broken: bool,
}

impl Certificate {
    pub fn set(&mut self, extension: Extension) {
        replace(&mut self.extensions, extension);
    }

    pub fn remove(&mut self, id: &str) {
        self.extensions.retain(|of| of.id != id);
    }

    fn encode(&self, above: &Self) -> Vec<u8> {
        let version = match self.version {
            0 => Vec::new(),
            version => element(0xa0, &element(0x02, &[version])),
        };
        let public = [&[0][..], pair(self.key).public_key().as_ref()].concat();
        let content = sequence(&[
            version,
            element(0x02, &self.serial),
            sequence(&[oid(ED25519)]),
            self.issuer.clone().unwrap_or_else(|| above.subject.clone()),
            sequence(&[time(self.not_before), time(self.not_after)]),
            self.subject.clone(),
            sequence(&[sequence(&[oid(ED25519)]), element(0x03, &public)]),
            if self.extensions.is_empty() {
                Vec::new()
            } else {
                element(0xa3, &extensions(&self.extensions))
            },
        ]);
        signed(content, above.key, self.is_broken)
    }
}

#[derive(Clone)]
pub struct Entry {
    /// Of the revoked certificate.
    pub serial: Vec<u8>,
    pub extensions: Vec<Extension>,
}

#[derive(Clone)]
pub struct Crl {
    /// The certificate with whose name and key it is signed.
    pub of: usize,
    pub issuer: Option<Vec<u8>>,
    pub this_update: i64,
    pub next_update: i64,
    pub entries: Vec<Entry>,
    pub extensions: Vec<Extension>,
    pub is_broken: bool,
}

impl Crl {
    pub fn set(&mut self, extension: Extension) {
        replace(&mut self.extensions, extension);
    }

    pub fn revoke(&mut self, serial: &[u8], reason: Option<u8>) {
        let extensions = reason.map(|of| extension(REASON, false, element(0x0a, &[of])));
        self.entries
            .push(Entry { serial: serial.to_vec(), extensions: extensions.into_iter().collect() });
    }

    fn encode(&self, by: &Certificate) -> Vec<u8> {
        let entry = |of: &Entry| {
            let more =
                if of.extensions.is_empty() { Vec::new() } else { extensions(&of.extensions) };
            sequence(&[element(0x02, &of.serial), time(NOW - 20 * DAY), more])
        };
        let entries = sequence(&self.entries.iter().map(entry).collect::<Vec<_>>());
        let is_version_1 = self.extensions.is_empty();
        let content = sequence(&[
            if is_version_1 { Vec::new() } else { element(0x02, &[1]) },
            sequence(&[oid(ED25519)]),
            self.issuer.clone().unwrap_or_else(|| by.subject.clone()),
            time(self.this_update),
            time(self.next_update),
            if self.entries.is_empty() { Vec::new() } else { entries },
            if is_version_1 { Vec::new() } else { element(0xa0, &extensions(&self.extensions)) },
        ]);
        signed(content, by.key, self.is_broken)
    }
}

/// A root, CAs and an end entity, each signed by the one before, with the CRLs of all that sign.
pub struct Draft {
    pub certificates: Vec<Certificate>,
    pub crls: Vec<Crl>,
    pub settings: Vec<String>,
}

/// The parts of a case, DER.
pub struct Case {
    pub certificates: Vec<Vec<u8>>,
    pub crls: Vec<Vec<u8>>,
    pub settings: Vec<String>,
}

impl Draft {
    /// A path that every validator accepts.
    pub fn new(random: &mut Random) -> Self {
        let cas = 2 + random.below(2);
        let organization = random.word();
        let utf8 = |text: &str| text.as_bytes().to_vec();
        let certificate = |number: usize| {
            let (is_root, is_ca) = (number == 0, number <= cas);
            let key = u8::try_from(number + 1).unwrap();
            let above = if is_root { key } else { key - 1 };
            let common = if is_ca { format!("ca {number}") } else { "gw".to_owned() };
            let usage: &[u8] = if is_ca { &[0x03, 2, 1, 0x06] } else { &[0x03, 2, 7, 0x80] };
            let mut extensions = vec![
                extension(KEY_USAGE, true, usage.to_vec()),
                extension(SUBJECT_KEY, false, element(0x04, &key_identifier(key))),
                extension(AUTHORITY_KEY, false, sequence(&[element(0x80, &key_identifier(above))])),
            ];
            if is_ca {
                extensions.push(extension(BASIC_CONSTRAINTS, true, sequence(&[boolean(true)])));
            }
            Certificate {
                version: 2,
                serial: Vec::new(),
                subject: name(&[
                    ("2.5.4.6", 0x13, utf8("DE")),
                    ("2.5.4.10", 0x0c, utf8(&organization)),
                    ("2.5.4.3", 0x0c, utf8(&common)),
                ]),
                issuer: None,
                not_before: NOW - 100 * DAY,
                not_after: NOW + 100 * DAY,
                key,
                extensions,
                is_broken: false,
            }
        };
        let mut certificates: Vec<Certificate> = (0..cas + 2).map(certificate).collect();
        for certificate in &mut certificates {
            certificate.serial = [&[0x40][..], &random.next().to_be_bytes()].concat();
        }
        let host = format!("{}.example.com", random.word());
        let names = sequence(&[element(0x82, host.as_bytes())]);
        certificates[cas + 1].set(extension(SUBJECT_ALT_NAME, false, names));
        let crls = certificates[..=cas].iter().enumerate().map(|(of, issuer)| Crl {
            of,
            issuer: None,
            this_update: NOW - DAY,
            next_update: NOW + 7 * DAY,
            entries: Vec::new(),
            extensions: vec![
                extension(
                    AUTHORITY_KEY,
                    false,
                    sequence(&[element(0x80, &key_identifier(issuer.key))]),
                ),
                extension(CRL_NUMBER, false, integer(5)),
            ],
            is_broken: false,
        });
        Self { crls: crls.collect(), certificates, settings: vec![format!("moment {NOW}")] }
    }

    pub fn leaf(&mut self) -> &mut Certificate {
        self.certificates.last_mut().unwrap()
    }

    /// The index of the CA that signed the end entity.
    pub fn last_ca(&self) -> usize {
        self.certificates.len() - 2
    }

    /// The index of a CA below the root.
    pub fn some_ca(&self, random: &mut Random) -> usize {
        1 + random.below(self.last_ca())
    }

    /// The index of a certificate below the root.
    pub fn some(&self, random: &mut Random) -> usize {
        1 + random.below(self.certificates.len() - 1)
    }

    /// The CRL that covers a certificate, which the certificate above it signs, and the certificate's serial number.
    pub fn crl_about(&mut self, certificate: usize) -> (&mut Crl, Vec<u8>) {
        let serial = self.certificates[certificate].serial.clone();
        (&mut self.crls[certificate - 1], serial)
    }

    pub fn encode(&self) -> Case {
        let above = |number: usize| &self.certificates[number.saturating_sub(1)];
        let certificates = self.certificates.iter().enumerate();
        Case {
            certificates: certificates.map(|(number, of)| of.encode(above(number))).collect(),
            crls: self.crls.iter().map(|crl| crl.encode(&self.certificates[crl.of])).collect(),
            settings: self.settings.clone(),
        }
    }
}
