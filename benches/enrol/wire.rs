//! The messages of a CMP client (RFC 9810, RFC 4211, RFC 2986). The encoder shares nothing with the server's, and the decoder checks every
//! answer.

use std::time::{SystemTime, UNIX_EPOCH};

use der::asn1::{AnyRef, GeneralizedTime};
use der::{Decode, Encode, Reader, SliceReader};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, EcdsaKeyPair,
    KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use sha2::Digest;

/// The kind of request; its value is the tag of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Ir = 0xa0,
    Cr = 0xa2,
    P10cr = 0xa4,
    Kur = 0xa7,
}

impl Ask {
    /// The tag of the body that grants it.
    const fn granted(self) -> u8 {
        match self {
            Self::Ir => 0xa1,
            Self::Cr | Self::P10cr => 0xa3,
            Self::Kur => 0xa8,
        }
    }

    /// The certReqId, DER. A p10cr has none; its answer has -1 (RFC 9483 §4.1.4).
    const fn id(self) -> &'static [u8] {
        match self {
            Self::P10cr => &[2, 1, 0xff],
            _ => &[2, 1, 0],
        }
    }
}

pub const CERT_CONF: u8 = 0xb8;
pub const PKI_CONF: u8 = 0xb3;

pub const ECDSA_SHA256: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const P256_KEY: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const PASSWORD_BASED_MAC: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf6, 0x7d, 0x07, 0x42, 0x0d];
const OWF_SHA256: &[u8] = &[0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const HMAC_SHA256: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
/// id-it-implicitConfirm with NULL.
const IMPLICIT_CONFIRM: &[u8] = &[0x30, 0x0c, 6, 8, 0x2b, 6, 1, 5, 5, 7, 4, 0x0d, 5, 0];
const COMMON_NAME: &[u8] = &[6, 3, 0x55, 4, 3];

/// One tag, length and value.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 5);
    out.push(tag);
    let length = content.len();
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        0x100..=0xffff => out.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => out.extend([0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// A SEQUENCE of parts.
pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn bits(octets: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], octets].concat())
}

fn integer(value: u32) -> Vec<u8> {
    value.to_der().unwrap()
}

/// A name with one common name, or the empty name.
pub fn name(common: Option<&str>) -> Vec<u8> {
    let attribute = |text: &str| tlv(0x31, &seq(&[COMMON_NAME, &tlv(0x0c, text.as_bytes())]));
    seq(&[&common.map(attribute).unwrap_or_default()])
}

pub fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).unwrap();
    octets
}

/// A key pair on P-256, and requests that prove its possession. They are made once, because they do not depend on a transaction.
pub struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    /// SubjectPublicKeyInfo, DER.
    pub public: Vec<u8>,
    /// The private key, PKCS #8.
    pub pkcs8: Vec<u8>,
}

impl Key {
    pub fn generate() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self::from_pkcs8(pkcs8.as_ref()).unwrap()
    }

    pub fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random)
            .map_err(|e| format!("expected a P-256 key as PKCS #8: {e}"))?;
        let public = [P256_KEY, pair.public_key().as_ref()].concat();
        Ok(Self { pair, random, public, pkcs8: der.to_vec() })
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&self.random, message).unwrap().as_ref().to_vec()
    }

    /// The content of the body for this key: CertReqMessages, or a PKCS #10 request.
    pub fn request(&self, ask: Ask, subject: Option<&str>) -> Vec<u8> {
        self.request_proven_by(ask, subject, self)
    }

    /// As an impostor makes it: with a proof of possession by another key.
    pub fn request_proven_by(&self, ask: Ask, subject: Option<&str>, by: &Self) -> Vec<u8> {
        if ask == Ask::P10cr {
            let info = seq(&[&[2, 1, 0], &name(subject), &self.public, &[0xa0, 0]]);
            return seq(&[&info, ECDSA_SHA256, &bits(&by.sign(&info))]);
        }
        let key = AnyRef::from_der(&self.public).unwrap();
        let subject = subject.map(|text| tlv(0xa5, &name(Some(text)))).unwrap_or_default();
        let template = seq(&[&subject, &tlv(0xa6, key.value())]);
        let request = seq(&[ask.id(), &template]);
        let proof = tlv(0xa1, &[ECDSA_SHA256, &bits(&by.sign(&request))].concat());
        seq(&[&seq(&[&request, &proof])])
    }
}

/// The protection of a client's messages.
pub enum Protector {
    /// PasswordBasedMac with SHA-256 and HMAC-SHA256. The salt stays the same, so that the key is derived once.
    Mac { reference: Vec<u8>, algorithm: Vec<u8>, key: hmac::Key },
    /// A signature by a key with its certificate.
    Signature { key: Key, certificate: Vec<u8>, sender: Vec<u8>, key_identifier: Vec<u8> },
}

impl Protector {
    pub fn mac(reference: &str, secret: &[u8], iterations: u32) -> Self {
        let salt: [u8; 16] = random();
        Self::with_key(reference, &salt, iterations, &derive(secret, &salt, iterations))
    }

    /// Announces this many iterations, without computing them.
    pub fn announcing(reference: &str, iterations: u32) -> Self {
        Self::with_key(reference, &random::<16>(), iterations, &random::<32>())
    }

    fn with_key(reference: &str, salt: &[u8], iterations: u32, key: &[u8]) -> Self {
        let parameters = seq(&[&tlv(4, salt), OWF_SHA256, &integer(iterations), HMAC_SHA256]);
        Self::Mac {
            reference: reference.as_bytes().to_vec(),
            algorithm: seq(&[PASSWORD_BASED_MAC, &parameters]),
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }

    pub fn signature(key: Key, certificate: Vec<u8>) -> Result<Self, String> {
        let read = x509_cert::Certificate::from_der(&certificate)
            .map_err(|e| format!("the signer's certificate cannot be read: {e}"))?;
        let sender = read.tbs_certificate.subject.to_der().unwrap();
        let identifier = read
            .tbs_certificate
            .get::<x509_cert::ext::pkix::SubjectKeyIdentifier>()
            .ok()
            .flatten()
            .map(|(_, identifier)| identifier.0.as_bytes().to_vec());
        Ok(Self::Signature {
            key,
            certificate,
            sender: tlv(0xa4, &sender),
            key_identifier: identifier.unwrap_or_default(),
        })
    }

    pub fn algorithm(&self) -> &[u8] {
        match self {
            Self::Mac { algorithm, .. } => algorithm,
            Self::Signature { .. } => ECDSA_SHA256,
        }
    }

    pub fn protect(&self, part: &[u8]) -> Vec<u8> {
        match self {
            Self::Mac { key, .. } => hmac::sign(key, part).as_ref().to_vec(),
            Self::Signature { key, .. } => key.sign(part),
        }
    }
}

/// The key of a PasswordBasedMac (RFC 9810 §5.1.3.1) with SHA-256.
pub fn derive(secret: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut state = sha2::Sha256::new().chain_update(secret).chain_update(salt).finalize();
    for _ in 1..iterations {
        state = sha2::Sha256::digest(state);
    }
    state.to_vec()
}

/// A request, and the values that its answer must repeat.
#[derive(Clone)]
pub struct Request {
    pub ask: Ask,
    pub message: Vec<u8>,
    pub transaction: [u8; 16],
    nonce: [u8; 16],
}

/// Makes a message in a new transaction, dated now.
pub fn request(ask: Ask, content: &[u8], by: &Protector, implicit: bool) -> Request {
    let (transaction, nonce) = (random(), random());
    let body = tlv(ask as u8, content);
    let message = message(by, &transaction, &nonce, None, implicit, &body);
    Request { ask, message, transaction, nonce }
}

fn message(
    by: &Protector,
    transaction: &[u8; 16],
    nonce: &[u8; 16],
    answered: Option<&[u8]>,
    implicit: bool,
    body: &[u8],
) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = std::time::Duration::from_secs(now.as_secs());
    let time = GeneralizedTime::from_unix_duration(now).unwrap().to_der().unwrap();
    let nobody = tlv(0xa4, &name(None));
    let (sender, kid, extra) = match by {
        Protector::Mac { reference, .. } => (&nobody, reference, Vec::new()),
        Protector::Signature { certificate, sender, key_identifier, .. } => {
            (sender, key_identifier, tlv(0xa1, &seq(&[certificate])))
        }
    };
    let octets = |tag, octets: &[u8]| tlv(tag, &tlv(4, octets));
    let header = seq(&[
        &[2, 1, 2],
        sender,
        &nobody,
        &tlv(0xa0, &time),
        &tlv(0xa1, by.algorithm()),
        &octets(0xa2, kid),
        &octets(0xa4, transaction),
        &octets(0xa5, nonce),
        &answered.map(|nonce| octets(0xa6, nonce)).unwrap_or_default(),
        &if implicit { tlv(0xa8, &seq(&[IMPLICIT_CONFIRM])) } else { Vec::new() },
    ]);
    let protection = by.protect(&seq(&[&header, body]));
    seq(&[&header, body, &tlv(0xa0, &bits(&protection)), &extra])
}

impl Request {
    /// The certConf that accepts the certificate of this answer.
    pub fn confirmation(&self, granted: &Granted<'_>, by: &Protector) -> Self {
        let hash = digest(&SHA256, granted.certificate);
        let status = seq(&[&tlv(4, hash.as_ref()), self.ask.id()]);
        let body = tlv(CERT_CONF, &seq(&[&status]));
        let nonce = random();
        let message =
            message(by, &self.transaction, &nonce, Some(granted.answer.nonce), false, &body);
        Self { message, nonce, ..self.clone() }
    }

    /// Checks that an answer belongs to this transaction, and is no error.
    fn answered<'a>(&self, octets: &'a [u8]) -> Result<Answer<'a>, String> {
        let answer = Answer::read(octets)?;
        if let Some(why) = answer.rejection() {
            return Err(why);
        }
        if answer.transaction != self.transaction {
            return Err("the transactionID of the answer is another".into());
        }
        if answer.recipient_nonce != self.nonce {
            return Err("the recipNonce of the answer is not our senderNonce".into());
        }
        Ok(answer)
    }

    /// The certificate in an answer. If `public` is given, the certificate must be for that key.
    pub fn granted<'a>(
        &self,
        octets: &'a [u8],
        public: Option<&[u8]>,
    ) -> Result<Granted<'a>, String> {
        let answer = self.answered(octets)?;
        if answer.kind != self.ask.granted() {
            return Err(format!("expected a body [{}]", self.ask.granted() & 0x1f));
        }
        // CertRepMessage ::= SEQUENCE { caPubs [1] OPTIONAL, response SEQUENCE OF CertResponse }
        let message = only(answer.body)?;
        let parts = parts(message.content)?;
        let responses = parts.iter().find(|part| part.tag == 0x30).ok_or("no response")?;
        let response = only(responses.content)?;
        let fields = self::parts(response.content)?;
        let [id, status, pair, ..] = fields.as_slice() else {
            return Err("expected a certificate in the response".into());
        };
        if id.whole != self.ask.id() || !matches!(first(status.content)?.content, [0 | 1]) {
            return Err("expected our certReqId, and the status accepted or grantedWithMods".into());
        }
        // CertifiedKeyPair ::= SEQUENCE { certificate [0] CMPCertificate, … }
        let choice = first(pair.content)?;
        let certificate = first(choice.content)?.whole;
        if let Some(public) = public
            && field_of_tbs(certificate, 5)?.whole != public
        {
            return Err("the certificate is for another key".into());
        }
        Ok(Granted { answer, certificate })
    }

    /// Whether the answer to a certConf is a pkiConf.
    pub fn confirmed(&self, octets: &[u8]) -> Result<(), String> {
        match self.answered(octets)?.kind {
            PKI_CONF => Ok(()),
            other => Err(format!("expected a pkiConf, found a body [{}]", other & 0x1f)),
        }
    }
}

/// A certificate, and the answer around it.
pub struct Granted<'a> {
    pub answer: Answer<'a>,
    /// DER.
    pub certificate: &'a [u8],
}

impl Granted<'_> {
    /// Verifies the protection of the answer, and the signature of the certificate by a CA in extraCerts or in `known`.
    pub fn verify(&self, by: &Protector, known: &[Vec<u8>]) -> Result<(), String> {
        self.answer.verify(by)?;
        let issuer = field_of_tbs(self.certificate, 2)?.whole;
        let mut cas = self.answer.extra.iter().copied().chain(known.iter().map(Vec::as_slice));
        let ca = cas.find(|ca| field_of_tbs(ca, 4).is_ok_and(|subject| subject.whole == issuer));
        let ca = ca.ok_or("the answer does not hold the issuer's certificate")?;
        verify_certificate(self.certificate, ca)
    }
}

/// The number of a field of a TBSCertificate without its version: 2 is the issuer, 4 the subject, 5 the key.
pub fn field_of_tbs(certificate: &[u8], number: usize) -> Result<Part<'_>, String> {
    let tbs = first(only(certificate)?.content)?;
    let mut fields = parts(tbs.content)?;
    fields.retain(|field| field.tag != 0xa0);
    fields.get(number).copied().ok_or_else(|| "a certificate cannot be read".into())
}

/// Verifies the signature of a certificate with the key of a CA.
pub fn verify_certificate(certificate: &[u8], ca: &[u8]) -> Result<(), String> {
    let fields = parts(only(certificate)?.content)?;
    let [tbs, _, signature] = fields.as_slice() else {
        return Err("a certificate has three parts".into());
    };
    verify(field_of_tbs(ca, 5)?.whole, tbs.whole, &signature.content[1..])
        .map_err(|()| "the signature of the certificate is wrong".into())
}

/// ECDSA with SHA-256 on P-256 or SHA-384 on P-384, and RSA-3072 with SHA-256: the algorithms of our CAs and the mock servers.
fn verify(spki: &[u8], message: &[u8], signature: &[u8]) -> Result<(), ()> {
    let (algorithm, key): (&dyn VerificationAlgorithm, _) = match spki.len() {
        91 => (&ECDSA_P256_SHA256_ASN1, &spki[26..]),
        120 => (&ECDSA_P384_SHA384_ASN1, &spki[23..]),
        422 => (&RSA_PKCS1_2048_8192_SHA256, &spki[24..]),
        _ => return Err(()),
    };
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).map_err(drop)
}

/// An answer, decoded.
pub struct Answer<'a> {
    /// The tag of its body.
    pub kind: u8,
    body: &'a [u8],
    pub nonce: &'a [u8],
    transaction: &'a [u8],
    recipient_nonce: &'a [u8],
    algorithm: &'a [u8],
    protection: &'a [u8],
    extra: Vec<&'a [u8]>,
    header: &'a [u8],
    whole_body: &'a [u8],
}

impl<'a> Answer<'a> {
    pub fn read(octets: &'a [u8]) -> Result<Self, String> {
        let all = parts(only(octets)?.content)?;
        let [header, body, rest @ ..] = all.as_slice() else {
            return Err("expected a PKIMessage of header and body".into());
        };
        let fields = parts(header.content)?;
        let field = |tag: u8| {
            let found = fields.iter().skip(3).find(|field| field.tag == tag);
            found.map_or(Ok(&[][..]), |field| first(field.content).map(|inner| inner.content))
        };
        let algorithm = fields.iter().skip(3).find(|field| field.tag == 0xa1);
        let inside = |tag: u8| rest.iter().find(|part| part.tag == tag).map(|part| part.content);
        let protection = match inside(0xa0) {
            Some(content) => first(content)?.content.get(1..).unwrap_or_default(),
            None => &[],
        };
        let extra = match inside(0xa1) {
            Some(content) => {
                parts(first(content)?.content)?.iter().map(|cert| cert.whole).collect()
            }
            None => Vec::new(),
        };
        Ok(Self {
            kind: body.tag,
            body: body.content,
            nonce: field(0xa5)?,
            transaction: field(0xa4)?,
            recipient_nonce: field(0xa6)?,
            algorithm: algorithm.map_or(&[], |field| field.content),
            protection,
            extra,
            header: header.whole,
            whole_body: body.whole,
        })
    }

    /// Verifies the protection, which must be of the request's kind.
    pub fn verify(&self, by: &Protector) -> Result<(), String> {
        let part = seq(&[self.header, self.whole_body]);
        match by {
            Protector::Mac { algorithm, key, .. } => {
                if self.algorithm != algorithm {
                    return Err("the answer is protected with other parameters than ours".into());
                }
                hmac::verify(key, &part, self.protection)
                    .map_err(|_| "the MAC of the answer is wrong".into())
            }
            Protector::Signature { .. } => {
                let signer = self.extra.first().ok_or("the answer has no signer's certificate")?;
                verify(field_of_tbs(signer, 5)?.whole, &part, self.protection)
                    .map_err(|()| "the signature of the answer is wrong".into())
            }
        }
    }

    /// The text of a rejection, wherever the body holds it.
    pub fn rejection(&self) -> Option<String> {
        rejection(self.body, 0)
    }
}

fn rejection(content: &[u8], depth: u8) -> Option<String> {
    let parts = parts(content).ok().filter(|_| depth < 8)?;
    // PKIStatusInfo ::= SEQUENCE { status INTEGER, statusString SEQUENCE OF UTF8String, failInfo BIT STRING }
    if let [status, text, ..] = parts.as_slice()
        && (status.tag, status.content, text.tag) == (2, &[2], 0x30)
    {
        let lines = self::parts(text.content).unwrap_or_default();
        let lines: Vec<_> =
            lines.iter().map(|line| String::from_utf8_lossy(line.content).into_owned()).collect();
        return Some(format!("rejected: {}", lines.join(" ").escape_debug()));
    }
    let constructed = parts.iter().filter(|part| part.tag & 0x20 != 0);
    constructed.into_iter().find_map(|part| rejection(part.content, depth + 1))
}

/// An element: its tag, its content, and all its octets.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
}

/// The elements that follow each other.
pub fn parts(content: &[u8]) -> Result<Vec<Part<'_>>, String> {
    let malformed = |e: der::Error| format!("an answer is no DER: {e}");
    let mut reader = SliceReader::new(content).map_err(malformed)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        let whole = reader.tlv_bytes().map_err(malformed)?;
        let content = AnyRef::from_der(whole).map_err(malformed)?.value();
        found.push(Part { tag: whole[0], content, whole });
    }
    Ok(found)
}

fn first(content: &[u8]) -> Result<Part<'_>, String> {
    parts(content)?.first().copied().ok_or_else(|| "an element of the answer is empty".into())
}

fn only(content: &[u8]) -> Result<Part<'_>, String> {
    match parts(content)?.as_slice() {
        [one] => Ok(*one),
        more => Err(format!("expected one element, found {}", more.len())),
    }
}
