//! A small DER writer and reader of the tests' own. The server's decoder is tested with data that its own encoder did not make.

use ring::{digest, hmac};

/// One tag, length and value.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.iter().copied().skip_while(|octet| *octet == 0).collect();
    let mut out = vec![tag];
    match content.len() {
        0 => out.push(0),
        1..=127 => out.extend(significant),
        _ => {
            out.push(0x80 | u8::try_from(significant.len()).expect("a short length"));
            out.extend(significant);
        }
    }
    out.extend(content);
    out
}

/// A SEQUENCE of parts.
pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// An element: its tag, its content, and all its octets.
#[derive(Clone, Debug)]
pub struct Element {
    pub tag: u8,
    pub content: Vec<u8>,
    pub whole: Vec<u8>,
}

impl Element {
    /// Its parts, if it is constructed.
    pub fn parts(&self) -> Vec<Element> {
        elements(&self.content)
    }

    /// The part with this tag.
    pub fn part(&self, tag: u8) -> Option<Element> {
        self.parts().into_iter().find(|part| part.tag == tag)
    }
}

/// The elements that follow each other in `bytes`.
pub fn elements(mut bytes: &[u8]) -> Vec<Element> {
    let mut found = Vec::new();
    while bytes.len() >= 2 {
        let (header, length) = match bytes[1] {
            short @ 0..=127 => (2, usize::from(short)),
            long => {
                let octets = usize::from(long & 0x7f);
                (
                    2 + octets,
                    bytes[2..2 + octets]
                        .iter()
                        .fold(0, |sum, octet| sum << 8 | usize::from(*octet)),
                )
            }
        };
        let end = header + length;
        found.push(Element {
            tag: bytes[0],
            content: bytes[header..end].to_vec(),
            whole: bytes[..end].to_vec(),
        });
        bytes = &bytes[end..];
    }
    found
}

/// A PKIMessage in its parts (RFC 9810 §5.1).
#[derive(Clone, Debug)]
pub struct Message {
    pub header: Element,
    pub body: Element,
    pub rest: Vec<Element>,
}

/// Header fields by their context tags.
pub const MESSAGE_TIME: u8 = 0xa0;
pub const PROTECTION_ALG: u8 = 0xa1;
pub const SENDER_KID: u8 = 0xa2;
pub const TRANSACTION_ID: u8 = 0xa4;
pub const SENDER_NONCE: u8 = 0xa5;
pub const RECIP_NONCE: u8 = 0xa6;

/// Body kinds by their context tags.
pub const IP: u8 = 0xa1;
pub const ERROR: u8 = 0xb7;
pub const CERT_CONF: u8 = 0xb8;
pub const PKI_CONF: u8 = 0xb3;

impl Message {
    pub fn read(bytes: &[u8]) -> Self {
        let all = elements(bytes);
        assert_eq!(all.len(), 1, "one message and nothing behind it");
        let mut parts = all[0].parts();
        let rest = parts.split_off(2);
        let body = parts.pop().expect("a body");
        Self { header: parts.pop().expect("a header"), body, rest }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let rest: Vec<u8> = self.rest.iter().flat_map(|part| part.whole.clone()).collect();
        seq(&[&self.header.whole, &self.body.whole, &rest])
    }

    /// A header field's content, unwrapped from its context tag.
    pub fn field(&self, tag: u8) -> Option<Element> {
        // The first three parts are pvno, sender and recipient, and a sender's tag may look like a field's.
        self.header
            .parts()
            .into_iter()
            .skip(3)
            .find(|part| part.tag == tag)
            .and_then(|part| part.parts().into_iter().next())
    }

    /// The same message with one header field replaced, or left out.
    pub fn with_field(&self, tag: u8, content: Option<&[u8]>) -> Self {
        let mut parts: Vec<(u8, Vec<u8>)> = Vec::new();
        let (fixed, fields) = {
            let mut all = self.header.parts();
            let fields = all.split_off(3);
            (all, fields)
        };
        parts.extend(
            fields.into_iter().filter(|part| part.tag != tag).map(|part| (part.tag, part.whole)),
        );
        parts.extend(content.map(|content| (tag, tlv(tag, content))));
        parts.sort_by_key(|(tag, _)| *tag);
        let fixed: Vec<u8> = fixed.into_iter().flat_map(|part| part.whole).collect();
        let fields: Vec<u8> = parts.into_iter().flat_map(|(_, whole)| whole).collect();
        Self { header: elements(&seq(&[&fixed, &fields])).remove(0), ..self.clone() }
    }

    /// The same message with another body.
    pub fn with_body(&self, body: &[u8]) -> Self {
        Self { body: elements(body).remove(0), ..self.clone() }
    }

    /// The same message, protected anew by PasswordBasedMac (RFC 9810 §5.1.3.1) under the parameters in its header:
    /// SHA-256 as one-way function, and HMAC-SHA1, which is what `openssl cmp` 3.0 chooses, or HMAC-SHA-256.
    pub fn protected(&self, secret: &str) -> Self {
        let bits = tlv(0x03, &[&[0], self.mac(secret).as_slice()].concat());
        let mut rest = vec![elements(&tlv(0xa0, &bits)).remove(0)];
        rest.extend(self.rest.iter().filter(|part| part.tag != 0xa0).cloned());
        Self { rest, ..self.clone() }
    }

    /// Whether the message's PasswordBasedMac verifies under this secret.
    pub fn is_protected_by(&self, secret: &str) -> bool {
        let bits = self
            .rest
            .iter()
            .find(|part| part.tag == 0xa0)
            .and_then(|part| part.parts().into_iter().next());
        bits.is_some_and(|bits| bits.content[1..] == self.mac(secret))
    }

    fn mac(&self, secret: &str) -> Vec<u8> {
        let algorithm = self.field(PROTECTION_ALG).expect("a protectionAlg");
        let parameters = algorithm.parts()[1].parts();
        let iterations =
            parameters[2].content.iter().fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet));
        let mut key = [secret.as_bytes(), &parameters[0].content].concat();
        for _ in 0..iterations {
            key = digest::digest(&digest::SHA256, &key).as_ref().to_vec();
        }
        // hmacWithSHA256, 1.2.840.113549.2.9.
        let sha256 = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
        let hash = match parameters[3].parts()[0].content == sha256 {
            true => hmac::HMAC_SHA256,
            false => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        };
        let key = hmac::Key::new(hash, &key);
        hmac::sign(&key, &seq(&[&self.header.whole, &self.body.whole])).as_ref().to_vec()
    }

    /// The failInfo bits by name and the status text of a rejection, wherever the body holds it.
    pub fn refusal(&self) -> Option<(Vec<&'static str>, String)> {
        find_rejection(&self.body)
    }
}

/// The bits of PKIFailureInfo (RFC 9810 §5.2.3).
const FAILURES: [&str; 27] = [
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
];

fn find_rejection(element: &Element) -> Option<(Vec<&'static str>, String)> {
    if element.tag & 0x20 == 0 {
        return None;
    }
    let parts = element.parts();
    // PKIStatusInfo ::= SEQUENCE { status INTEGER, statusString SEQUENCE OF UTF8String, failInfo BIT STRING }
    if let [status, text, bits] = parts.as_slice()
        && (status.tag, text.tag, bits.tag) == (0x02, 0x30, 0x03)
        && status.content == [2]
    {
        let text: Vec<String> = text
            .parts()
            .iter()
            .map(|part| String::from_utf8_lossy(&part.content).into_owned())
            .collect();
        let octets = &bits.content[1..];
        let set =
            |bit: usize| octets.get(bit / 8).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0);
        let names = FAILURES
            .iter()
            .enumerate()
            .filter(|(bit, _)| set(*bit))
            .map(|(_, name)| *name)
            .collect();
        return Some((names, text.join(" ")));
    }
    parts.iter().find_map(find_rejection)
}
