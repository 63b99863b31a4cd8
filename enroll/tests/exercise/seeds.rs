//! Messages for the fuzzer to begin with, of kinds that no captured client sends. They have no dates, protection and proofs of possession:
//! [`super::Place`] repairs them. The senderKID names the peer. Each seed has the kind of body with which it must be answered.

use super::wire::{self, Part, bits, parts, seq, tlv};
use super::{CCR, CERT_CONF, CR, IR, NESTED, POLL_REQ, POPDECR};

const IP: u8 = 0xa1;
const CP: u8 = 0xa3;
const POPDECC: u8 = 0xa5;
const CCP: u8 = 0xae;
const PKI_CONF: u8 = 0xb3;
const GENM: u8 = 0xb5;
const GENP: u8 = 0xb6;
const POLL_REP: u8 = 0xba;

/// Each seed, with its name and the tag of its answer's body.
pub fn all() -> Vec<(&'static str, Vec<u8>, u8)> {
    let first = |octet: u8| [octet; 16];
    let plain = || ir("", 2, None, None);
    let vouched = tlv(0x80, &[]);
    let by_ra = ir("ra", 2, Some(&wire::name(Some("gw4"))), Some(&vouched));
    let encrypted = tlv(0xa3, &[0x81, 1, 0]);
    let challenged = tlv(0xa3, &[0x81, 1, 1]);
    let poll = seq(&[&seq(&[&[2, 1, 0]])]);
    let confirmed = seq(&[&seq(&[&tlv(4, &[7; 32]), &[2, 1, 0]])]);
    let partner = wire::name(Some("Partner"));
    let algorithm = [0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
    let key_of_kind = tlv(0xa6, &[&algorithm[..], &[3, 1, 0]].concat());
    let nested = |messages: &[&[u8]], id: u8| {
        message("ra", 2, &first(id), &tlv(NESTED, &seq(&[&messages.concat()])))
    };
    let added = nested(&[&plain()], 1);
    let draft =
        |kid: &str, pvno, tag, content: &[u8]| message(kid, pvno, &first(1), &tlv(tag, content));
    vec![
        ("added_protection", added.clone(), IP),
        ("added_protection_of_ra", nested(&[&by_ra], 1), IP),
        ("batch", nested(&[&plain(), &draft("", 2, GENM, &seq(&[])), &plain()], 2), NESTED),
        ("batch_of_one", nested(&[&plain()], 2), NESTED),
        ("batch_of_nested", nested(&[&added, &plain()], 2), NESTED),
        ("vouched_by_ra", by_ra, IP),
        ("waits", ir("held", 2, None, None), IP),
        ("poll_waits", message("held", 2, &first(0), &tlv(POLL_REQ, &poll)), POLL_REP),
        ("poll_approved", message("held", 2, &first(1), &tlv(POLL_REQ, &poll)), IP),
        ("encrypted_certificate", ir("sealed", 3, None, Some(&encrypted)), IP),
        ("challenge", ir("sealed", 3, None, Some(&challenged)), POPDECC),
        ("challenge_answered", draft("sealed", 3, POPDECR, &seq(&[&[2, 1, 7]])), IP),
        ("confirmation", draft("", 2, CERT_CONF, &confirmed), PKI_CONF),
        ("key_made", draft("", 3, IR, &wish(&[], &[])), IP),
        ("key_of_kind_made", draft("", 3, CR, &wish(&key_of_kind, &[])), CP),
        ("cross_certification", draft("", 2, CCR, &cross(&partner)), CCP),
        ("by_vendors_certificate", ir("vendor", 2, None, None), IP),
        ("genm_empty", draft("", 2, GENM, &seq(&[])), GENP),
        ("genm_ca_certificates", draft("", 2, GENM, &seq(&[&info(17, &[])])), GENP),
        ("genm_root_update", draft("signer", 2, GENM, &seq(&[&info(20, &[])])), GENP),
        ("genm_template", draft("", 2, GENM, &seq(&[&info(19, &[])])), GENP),
        ("genm_crl", draft("", 2, GENM, &seq(&[&info(6, &[])])), GENP),
        ("genm_crls", draft("", 2, GENM, &seq(&[&info(22, &crl_status())])), GENP),
        ("genm_many", draft("ra", 3, GENM, &seq(&[&many()])), GENP),
    ]
}

/// An ir for a key, with a subject and a proof of possession, which is a signature by default.
pub fn ir(kid: &str, pvno: u8, subject: Option<&[u8]>, proof: Option<&[u8]>) -> Vec<u8> {
    message(kid, pvno, &[1; 16], &tlv(IR, &proven(subject, proof)))
}

/// CertReqMessages with a P-256 key, which will be repaired, and a proof of possession.
fn proven(subject: Option<&[u8]>, proof: Option<&[u8]>) -> Vec<u8> {
    with_key(&subject.map(|subject| tlv(0xa5, subject)).unwrap_or_default(), proof)
}

/// The fields that a ccr must have (RFC 9810 Appendix D.6): version, signingAlg, issuer, validity, subject and the key.
fn cross(subject: &[u8]) -> Vec<u8> {
    let time = |tag, text: &[u8]| tlv(tag, &tlv(0x18, text));
    let validity = [time(0xa0, b"20250101000000Z"), time(0xa1, b"20990101000000Z")].concat();
    let fields = [
        tlv(0x80, &[2]),
        tlv(0xa2, &wire::ECDSA_SHA256[2..]),
        tlv(0xa3, &wire::name(Some("CA"))),
        tlv(0xa4, &validity),
        tlv(0xa5, subject),
    ];
    with_key(&fields.concat(), None)
}

fn with_key(fields: &[u8], proof: Option<&[u8]>) -> Vec<u8> {
    let key = wire::Key::generate().public;
    let key = parts(&key).expect("DER").first().map_or(Vec::new(), |key| zeroed(key));
    let signature = tlv(0xa1, &[wire::ECDSA_SHA256, &bits(&[7; 70])].concat());
    wish(&[fields, &tlv(0xa6, &key)].concat(), proof.unwrap_or(&signature))
}

/// The content of a SubjectPublicKeyInfo with a dummy key, so that a seed never changes.
fn zeroed(key: &Part<'_>) -> Vec<u8> {
    let mut content = key.content.to_vec();
    let length = content.len();
    content[length - 64..].fill(7);
    content
}

fn wish(template: &[u8], proof: &[u8]) -> Vec<u8> {
    seq(&[&seq(&[&seq(&[&[2, 1, 0], &seq(&[template])]), proof])])
}

/// An InfoTypeAndValue of id-it.
fn info(number: u8, value: &[u8]) -> Vec<u8> {
    seq(&[&[6, 8, 0x2b, 6, 1, 5, 5, 7, 4, number], value])
}

fn many() -> Vec<u8> {
    let tags = seq(&[&tlv(0x0c, b"en")]);
    let all = [2, 3, 4, 1, 99].map(|number| info(number, &[])).concat();
    [all, info(16, &tags)].concat()
}

/// CRLStatusList with the issuer of the authority's own CRL.
fn crl_status() -> Vec<u8> {
    let issuer = tlv(0xa4, &wire::name(Some("CA")));
    seq(&[&seq(&[&tlv(0xa1, &seq(&[&issuer]))])])
}

fn message(kid: &str, pvno: u8, transaction: &[u8], body: &[u8]) -> Vec<u8> {
    let nobody = tlv(0xa4, &wire::name(None));
    let octets = |tag, octets: &[u8]| tlv(tag, &tlv(4, octets));
    let header = seq(&[
        &[2, 1, pvno],
        &nobody,
        &nobody,
        &octets(0xa2, kid.as_bytes()),
        &octets(0xa4, transaction),
        &octets(0xa5, &[5; 16]),
    ]);
    seq(&[&header, body])
}
