//! CMP messages by the tests' own encoder and decoder (RFC 9810 §5, RFC 4211). It uses `der` and `x509-cert`, and none of the server's
//! code. A field can have any value, so that tests can send messages that no client sends.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use der::asn1::{
    Any, BitString, ContextSpecific, GeneralizedTime, Int, Null, ObjectIdentifier, OctetString,
};
use der::{Decode, Encode, Sequence, TagMode, TagNumber};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use ring::{digest, hmac, pbkdf2};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::{Instance, Peer};

/// The tags of PKIBody (RFC 9810 §5.1.2).
pub const IR: u8 = 0;
pub const IP: u8 = 1;
pub const CR: u8 = 2;
pub const CP: u8 = 3;
pub const P10CR: u8 = 4;
pub const POPDECC: u8 = 5;
pub const POPDECR: u8 = 6;
pub const KUR: u8 = 7;
pub const KUP: u8 = 8;
pub const RR: u8 = 11;
pub const RP: u8 = 12;
pub const CCR: u8 = 13;
pub const CCP: u8 = 14;
pub const PKICONF: u8 = 19;
pub const GENM: u8 = 21;
pub const ERROR: u8 = 23;
pub const CERT_CONF: u8 = 24;

/// PKIFailureInfo: the numbers of the bits, from the ASN.1 module of RFC 9810 (§5.2.3, Appendix F).
pub const FAIL_INFO: [(&str, usize); 27] = [
    ("badAlg", 0),
    ("badMessageCheck", 1),
    ("badRequest", 2),
    ("badTime", 3),
    ("badCertId", 4),
    ("badDataFormat", 5),
    ("wrongAuthority", 6),
    ("incorrectData", 7),
    ("missingTimeStamp", 8),
    ("badPOP", 9),
    ("certRevoked", 10),
    ("certConfirmed", 11),
    ("wrongIntegrity", 12),
    ("badRecipientNonce", 13),
    ("timeNotAvailable", 14),
    ("unacceptedPolicy", 15),
    ("unacceptedExtension", 16),
    ("addInfoNotAvailable", 17),
    ("badSenderNonce", 18),
    ("badCertTemplate", 19),
    ("signerNotTrusted", 20),
    ("transactionIdInUse", 21),
    ("unsupportedVersion", 22),
    ("notAuthorized", 23),
    ("systemUnavail", 24),
    ("systemFailure", 25),
    ("duplicateCertReq", 26),
];

/// PasswordBasedMac, PBMAC1, PBKDF2, HMAC and signatures.
pub const PASSWORD_BASED_MAC: &str = "1.2.840.113533.7.66.13";
pub const PBMAC1: &str = "1.2.840.113549.1.5.14";
pub const PBKDF2: &str = "1.2.840.113549.1.5.12";
pub const HMAC_SHA1: &str = "1.2.840.113549.2.7";
/// The same in the form of CMP, as OpenSSL 3.0 sends it.
pub const HMAC_SHA1_CMP: &str = "1.3.6.1.5.5.8.1.2";
pub const HMAC_SHA256: &str = "1.2.840.113549.2.9";
pub const SHA1: &str = "1.3.14.3.2.26";
pub const SHA256: &str = "2.16.840.1.101.3.4.2.1";
pub const SHA512: &str = "2.16.840.1.101.3.4.2.3";
pub const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
pub const ECDSA_SHA384: &str = "1.2.840.10045.4.3.3";
pub const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
/// generalInfo.
pub const IMPLICIT_CONFIRM: &str = "1.3.6.1.5.5.7.4.13";
pub const CONFIRM_WAIT_TIME: &str = "1.3.6.1.5.5.7.4.14";
/// Controls and extensions.
pub const REG_CTRL: &str = "1.3.6.1.5.5.7.5.1";
pub const OLD_CERT_ID: &str = "1.3.6.1.5.5.7.5.1.5";
pub const KEY_USAGE: &str = "2.5.29.15";
pub const CRL_REASON: &str = "2.5.29.21";
pub const INVALIDITY_DATE: &str = "2.5.29.24";

/// An object identifier.
pub fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// A value as `ANY`.
pub fn any(value: &impl Encode) -> Any {
    Any::from_der(&value.to_der().expect("DER")).expect("DER")
}

/// An OCTET STRING as `ANY`.
pub fn octets(bytes: &[u8]) -> Any {
    any(&OctetString::new(bytes).expect("octets"))
}

/// An algorithm with parameters or none.
pub fn algorithm(id: &str, parameters: Option<Any>) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: oid(id), parameters }
}

/// A name such as `CN=gw1`; empty for the NULL-DN.
pub fn name(text: &str) -> GeneralName {
    GeneralName::DirectoryName(match text {
        "" => Name::default(),
        text => Name::from_str(text).expect("a name"),
    })
}

/// Random octets.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("random octets");
    bytes
}

/// A moment this many seconds from now.
pub fn from_now(seconds: i64) -> GeneralizedTime {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let moment = i64::try_from(now.as_secs()).expect("a time") + seconds;
    GeneralizedTime::from_unix_duration(Duration::from_secs(moment.unsigned_abs())).expect("a time")
}

/// PKIHeader (RFC 9810 §5.1.1). Each optional field takes any value.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Header {
    pub pvno: u8,
    pub sender: GeneralName,
    pub recipient: GeneralName,
    #[asn1(context_specific = "0", optional = "true")]
    pub message_time: Option<Any>,
    #[asn1(context_specific = "1", optional = "true")]
    pub protection_alg: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "2", optional = "true")]
    pub sender_kid: Option<OctetString>,
    #[asn1(context_specific = "3", optional = "true")]
    pub recip_kid: Option<OctetString>,
    #[asn1(context_specific = "4", optional = "true")]
    pub transaction_id: Option<OctetString>,
    #[asn1(context_specific = "5", optional = "true")]
    pub sender_nonce: Option<OctetString>,
    #[asn1(context_specific = "6", optional = "true")]
    pub recip_nonce: Option<OctetString>,
    #[asn1(context_specific = "7", optional = "true")]
    pub free_text: Option<Any>,
    #[asn1(context_specific = "8", optional = "true")]
    pub general_info: Option<Vec<Info>>,
}

/// InfoTypeAndValue (RFC 9810 §5.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Info {
    pub kind: ObjectIdentifier,
    pub value: Option<Any>,
}

/// PKIStatusInfo (RFC 9810 §5.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Status {
    pub status: u8,
    pub text: Option<Vec<String>>,
    pub fail_info: Option<BitString>,
}

impl Status {
    /// The names of the failInfo bits that are set.
    pub fn failures(&self) -> Vec<&'static str> {
        let bits: Vec<bool> = self.fail_info.iter().flat_map(BitString::bits).collect();
        let set = FAIL_INFO.iter().filter(|(_, bit)| bits.get(*bit) == Some(&true));
        set.map(|(name, _)| *name).collect()
    }

    /// The statusString.
    pub fn words(&self) -> String {
        self.text.clone().unwrap_or_default().join("; ")
    }
}

#[derive(Sequence)]
struct CertRepMessage {
    #[asn1(context_specific = "1", optional = "true")]
    ca_pubs: Option<Vec<Any>>,
    response: Vec<CertResponse>,
}

#[derive(Sequence)]
struct CertResponse {
    cert_req_id: Int,
    status: Status,
    key_pair: Option<Vec<Any>>,
}

#[derive(Sequence)]
struct RevRepContent {
    status: Vec<Status>,
    #[asn1(context_specific = "0", optional = "true")]
    rev_certs: Option<Vec<Any>>,
}

#[derive(Sequence)]
struct ErrorMsgContent {
    status: Status,
    code: Option<Int>,
    details: Option<Vec<String>>,
}

/// A CertTemplate (RFC 4211 §5). A field that is not requested is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Sequence)]
pub struct Template {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub version: Option<Int>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub serial: Option<Int>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub signing_alg: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "3", optional = "true")]
    pub issuer: Option<Name>,
    #[asn1(context_specific = "4", tag_mode = "IMPLICIT", optional = "true")]
    pub validity: Option<Validity>,
    #[asn1(context_specific = "5", optional = "true")]
    pub subject: Option<Name>,
    #[asn1(context_specific = "6", tag_mode = "IMPLICIT", optional = "true")]
    pub public_key: Option<SubjectPublicKeyInfoOwned>,
    #[asn1(context_specific = "9", tag_mode = "IMPLICIT", optional = "true")]
    pub extensions: Option<Vec<Extension>>,
}

/// OptionalValidity (RFC 4211 §5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Sequence)]
pub struct Validity {
    #[asn1(context_specific = "0", optional = "true")]
    pub not_before: Option<GeneralizedTime>,
    #[asn1(context_specific = "1", optional = "true")]
    pub not_after: Option<GeneralizedTime>,
}

/// A CertRequest (RFC 4211 §5).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertRequest {
    pub id: i8,
    pub template: Template,
    pub controls: Option<Vec<AttributeTypeAndValue>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct PopoSigningKey {
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// A CertReqMsg (RFC 4211 §3).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertReqMsg {
    pub request: CertRequest,
    pub proof: Option<Any>,
}

/// A CertId (RFC 4211 §6.5).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertId {
    pub issuer: GeneralName,
    pub serial: Int,
}

/// A CertStatus (RFC 9810 §5.3.18).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct CertStatus {
    pub hash: OctetString,
    pub id: i8,
    pub status: Option<Status>,
    #[asn1(context_specific = "0", optional = "true")]
    pub hash_alg: Option<AlgorithmIdentifierOwned>,
}

#[derive(Sequence)]
struct RevDetails {
    template: Template,
    extensions: Option<Vec<Extension>>,
}

/// PBMParameter (RFC 9810 §5.1.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Pbm {
    pub salt: OctetString,
    pub owf: AlgorithmIdentifierOwned,
    pub iterations: u32,
    pub mac: AlgorithmIdentifierOwned,
}

/// PBMAC1-params (RFC 8018 §A.5).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Pbmac1 {
    pub derivation: AlgorithmIdentifierOwned,
    pub mac: AlgorithmIdentifierOwned,
}

/// PBKDF2-params (RFC 8018 §A.2).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Pbkdf2 {
    pub salt: OctetString,
    pub iterations: u32,
    pub key_length: Option<u16>,
    pub prf: Option<AlgorithmIdentifierOwned>,
}

/// A P-256 key.
pub struct Key {
    pair: EcdsaKeyPair,
    pub spki: SubjectPublicKeyInfoOwned,
}

impl Key {
    /// A new key.
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self::of(pkcs8.as_ref())
    }

    /// A key that `openssl genpkey` made, PEM.
    pub fn read(pem: &str) -> Self {
        let (_, pkcs8) = der::pem::decode_vec(pem.as_bytes()).expect("PEM");
        Self::of(&pkcs8)
    }

    fn of(pkcs8: &[u8]) -> Self {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &SystemRandom::new())
                .expect("a P-256 key");
        let curve = oid("1.2.840.10045.3.1.7");
        let spki = SubjectPublicKeyInfoOwned {
            algorithm: algorithm("1.2.840.10045.2.1", Some(any(&curve))),
            subject_public_key: BitString::from_bytes(pair.public_key().as_ref()).unwrap(),
        };
        Self { pair, spki }
    }

    /// A signature by ECDSA with SHA-256.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }
}

/// A certificate with its key.
pub struct Holder {
    pub key: Key,
    pub certificate: Vec<u8>,
}

impl Holder {
    /// The certificate, decoded.
    pub fn read(&self) -> Certificate {
        Certificate::from_der(&self.certificate).expect("a certificate")
    }

    /// The subject key identifier.
    pub fn key_identifier(&self) -> OctetString {
        key_identifier(&self.read())
    }

    /// Its issuer and serial number.
    pub fn id(&self) -> (Name, Int) {
        let tbs = self.read().tbs_certificate;
        (tbs.issuer, Int::from_der(&tbs.serial_number.to_der().unwrap()).unwrap())
    }
}

/// The subject key identifier in a certificate.
pub fn key_identifier(certificate: &Certificate) -> OctetString {
    let found = certificate.tbs_certificate.get::<SubjectKeyIdentifier>().expect("an extension");
    found.expect("a subject key identifier").1.0
}

/// A message before it is protected.
#[derive(Clone)]
pub struct Draft {
    pub header: Header,
    pub kind: u8,
    pub body: Vec<u8>,
    pub extra_certs: Vec<Vec<u8>>,
}

impl Draft {
    /// The first message of a new transaction. Its header has every field that RFC 9483 §3.1 requires.
    pub fn new(kind: u8, body: Vec<u8>) -> Self {
        let header = Header {
            pvno: 2,
            sender: name(""),
            recipient: name(""),
            message_time: Some(any(&from_now(0))),
            protection_alg: None,
            sender_kid: None,
            recip_kid: None,
            transaction_id: Some(OctetString::new(random::<16>()).unwrap()),
            sender_nonce: Some(OctetString::new(random::<16>()).unwrap()),
            recip_nonce: None,
            free_text: None,
            general_info: None,
        };
        Self { header, kind, body, extra_certs: Vec::new() }
    }

    /// The next message of a transaction, after this answer.
    pub fn after(answer: &Answer, kind: u8, body: Vec<u8>) -> Self {
        let mut draft = Self::new(kind, body);
        draft.header.transaction_id.clone_from(&answer.header.transaction_id);
        draft.header.recip_nonce.clone_from(&answer.header.sender_nonce);
        draft
    }

    /// The same message with a changed header.
    pub fn with(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.header);
        self
    }

    /// The same message with a request for implicit confirmation.
    pub fn implicit(self) -> Self {
        self.with(|header| {
            header.general_info =
                Some(vec![Info { kind: oid(IMPLICIT_CONFIRM), value: Some(any(&Null)) }]);
        })
    }

    /// The same message with the header fields of a signed one: sender, senderKID, extraCerts.
    pub fn from(mut self, holder: &Holder) -> Self {
        self.header.sender = GeneralName::DirectoryName(holder.read().tbs_certificate.subject);
        self.header.sender_kid = Some(holder.key_identifier());
        self.header.protection_alg = Some(algorithm(ECDSA_SHA256, None));
        self.extra_certs = vec![holder.certificate.clone()];
        self
    }

    /// The same message with the header fields of one under a secret: senderKID, and PasswordBasedMac with 500 iterations.
    pub fn of(mut self, peer: &Peer) -> Self {
        self.header.sender_kid = Some(OctetString::new(peer.reference.as_bytes()).unwrap());
        self.header.protection_alg = Some(pbm(&random::<16>(), 500, SHA256, HMAC_SHA256));
        self
    }

    /// The message signed with a key. Its header need not fit.
    pub fn signed(&self, key: &Key) -> Vec<u8> {
        self.protected_by(|part| key.sign(part))
    }

    /// The message with the MAC of its protectionAlg, under this secret.
    pub fn maced(&self, secret: &str) -> Vec<u8> {
        let algorithm = self.header.protection_alg.clone().expect("a protectionAlg");
        self.protected_by(|part| mac(&algorithm, secret, part))
    }

    /// The message as a peer with a secret sends it.
    pub fn by_secret(&self, peer: &Peer) -> Vec<u8> {
        self.clone().of(peer).maced(&peer.secret)
    }

    /// The message as the holder of a certificate sends it.
    pub fn by(&self, holder: &Holder) -> Vec<u8> {
        self.clone().from(holder).signed(&holder.key)
    }

    /// The message with a protection that is computed from its ProtectedPart.
    pub fn protected_by(&self, protect: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let protection = protect(&sequence(&[self.header.to_der().unwrap(), self.tagged()]));
        self.bytes(Some(&protection))
    }

    /// The message with this protection, or none.
    pub fn bytes(&self, protection: Option<&[u8]>) -> Vec<u8> {
        let mut parts = vec![self.header.to_der().unwrap(), self.tagged()];
        if let Some(protection) = protection {
            parts.push(explicit(0, any(&BitString::from_bytes(protection).unwrap())));
        }
        if !self.extra_certs.is_empty() {
            parts.push(explicit(1, Any::from_der(&sequence(&self.extra_certs)).unwrap()));
        }
        sequence(&parts)
    }

    fn tagged(&self) -> Vec<u8> {
        explicit(self.kind, Any::from_der(&self.body).unwrap())
    }
}

/// A SEQUENCE of elements.
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<Any> = parts.iter().map(|part| Any::from_der(part).expect("DER")).collect();
    parts.to_der().expect("DER")
}

/// An element in an explicit context tag.
pub fn explicit(number: u8, value: Any) -> Vec<u8> {
    let tag_number = TagNumber::new(number);
    ContextSpecific { tag_number, tag_mode: TagMode::Explicit, value }.to_der().expect("DER")
}

/// An element in an implicit context tag.
pub fn implicit(number: u8, value: Any) -> Any {
    let tag_number = TagNumber::new(number);
    any(&ContextSpecific { tag_number, tag_mode: TagMode::Implicit, value })
}

/// PasswordBasedMac (RFC 9810 §5.1.3.1).
pub fn pbm(salt: &[u8], iterations: u32, owf: &str, mac: &str) -> AlgorithmIdentifierOwned {
    let (owf, mac) = (algorithm(owf, Some(any(&Null))), algorithm(mac, Some(any(&Null))));
    let parameters = Pbm { salt: OctetString::new(salt).unwrap(), owf, iterations, mac };
    algorithm(PASSWORD_BASED_MAC, Some(any(&parameters)))
}

/// PBMAC1 (RFC 8018 §7) with PBKDF2 by HMAC-SHA-256 and HMAC-SHA-256.
pub fn pbmac1(salt: &[u8], iterations: u32) -> AlgorithmIdentifierOwned {
    let hmac = algorithm(HMAC_SHA256, Some(any(&Null)));
    let salt = OctetString::new(salt).unwrap();
    let inner = Pbkdf2 { salt, iterations, key_length: Some(32), prf: Some(hmac.clone()) };
    let parameters = Pbmac1 { derivation: algorithm(PBKDF2, Some(any(&inner))), mac: hmac };
    algorithm(PBMAC1, Some(any(&parameters)))
}

/// The MAC over `message` that `algorithm` describes.
pub fn mac(algorithm: &AlgorithmIdentifierOwned, secret: &str, message: &[u8]) -> Vec<u8> {
    let parameters = algorithm.parameters.as_ref().expect("parameters").to_der().unwrap();
    if algorithm.oid == oid(PBMAC1) {
        let outer = Pbmac1::from_der(&parameters).expect("PBMAC1-params");
        let inner = outer.derivation.parameters.expect("parameters").to_der().unwrap();
        let inner = Pbkdf2::from_der(&inner).expect("PBKDF2-params");
        let mut key = vec![0; usize::from(inner.key_length.expect("a length"))];
        let iterations = NonZeroU32::new(inner.iterations).expect("iterations");
        let salt = inner.salt.as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, secret.as_bytes(), &mut key);
        return hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), message).as_ref().to_vec();
    }
    let Ok(pbm) = Pbm::from_der(&parameters) else { return vec![0; 32] };
    // More would only keep the test busy: the server refuses such a count before it looks at the MAC.
    if pbm.iterations > 1_000_000 {
        return vec![0; 32];
    }
    let owf =
        if pbm.owf.oid == oid(SHA1) { &digest::SHA1_FOR_LEGACY_USE_ONLY } else { &digest::SHA256 };
    let mut key = [secret.as_bytes(), pbm.salt.as_bytes()].concat();
    for _ in 0..pbm.iterations {
        key = digest::digest(owf, &key).as_ref().to_vec();
    }
    let hash = match [HMAC_SHA1, HMAC_SHA1_CMP].map(oid).contains(&pbm.mac.oid) {
        true => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        false => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(hash, &key), message).as_ref().to_vec()
}

/// A CertReqMsg for a key, with its proof of possession.
pub fn proven(key: &Key, request: CertRequest) -> CertReqMsg {
    let signature = BitString::from_bytes(&key.sign(&request.to_der().unwrap())).unwrap();
    let proof = PopoSigningKey { algorithm: algorithm(ECDSA_SHA256, None), signature };
    CertReqMsg { request, proof: Some(implicit(1, any(&proof))) }
}

/// A request for a certificate on a key, without any other field.
pub fn plain_request(key: &Key) -> CertRequest {
    let template = Template {
        subject: Some(Name::default()),
        public_key: Some(key.spki.clone()),
        ..Template::default()
    };
    CertRequest { id: 0, template, controls: None }
}

/// CertReqMessages with one request for a certificate on a key.
pub fn request(key: &Key) -> Vec<u8> {
    vec![proven(key, plain_request(key))].to_der().unwrap()
}

/// CertReqMessages with one request for a certificate on a key, whose template is changed before.
pub fn request_with(key: &Key, change: impl FnOnce(&mut Template)) -> Vec<u8> {
    let mut request = plain_request(key);
    change(&mut request.template);
    vec![proven(key, request)].to_der().unwrap()
}

/// A request, as RFC 9810 Appendix D.6 profiles it, that this CA certify another CA's key.
pub fn cross_template(instance: &Instance, ca: &str, key: &Key, subject: &str) -> Template {
    let file = instance.data().join(format!("keys/{ca}.crt"));
    let issuer = std::fs::read_to_string(file).expect("a CA's certificate");
    let (_, issuer) = der::pem::decode_vec(issuer.as_bytes()).expect("PEM");
    Template {
        version: Some(Int::new(&[2]).unwrap()),
        signing_alg: Some(algorithm(ECDSA_SHA256, None)),
        issuer: Some(
            Certificate::from_der(&issuer).expect("a certificate").tbs_certificate.subject,
        ),
        validity: Some(Validity {
            not_before: Some(from_now(0)),
            not_after: Some(from_now(20 * 86_400)),
        }),
        subject: Some(Name::from_str(subject).expect("a name")),
        public_key: Some(key.spki.clone()),
        ..Template::default()
    }
}

/// RevReqContent for a certificate by issuer and serial number.
pub fn revocation(template: Template, extensions: Vec<Extension>) -> Vec<u8> {
    let extensions = Some(extensions).filter(|extensions| !extensions.is_empty());
    vec![RevDetails { template, extensions }].to_der().unwrap()
}

/// A template that names a certificate.
pub fn named(holder: &Holder) -> Template {
    let (issuer, serial) = holder.id();
    Template { issuer: Some(issuer), serial: Some(serial), ..Template::default() }
}

/// A CertConfirmContent that accepts a certificate.
pub fn confirmation(certificate: &[u8]) -> Vec<u8> {
    let hash = digest::digest(&digest::SHA256, certificate);
    vec![CertStatus {
        hash: OctetString::new(hash.as_ref()).unwrap(),
        id: 0,
        status: None,
        hash_alg: None,
    }]
    .to_der()
    .unwrap()
}

/// An answer, decoded.
pub struct Answer {
    pub header: Header,
    pub kind: u8,
    pub body: Any,
    pub protection: Vec<u8>,
    pub extra_certs: Vec<Vec<u8>>,
    protected: Vec<u8>,
}

/// Asserts that a request was refused with this failInfo alone, and that the statusString contains this word.
#[track_caller]
pub fn refused(answer: &Answer, failure: &str, word: &str) {
    let status = answer.status().expect("a status");
    assert_eq!(status.failures(), [failure], "{}", status.words());
    assert!(status.words().contains(word), "expected `{word}` in: {}", status.words());
}

impl Answer {
    /// Reads a PKIMessage (RFC 9810 §5.1).
    pub fn read(bytes: &[u8]) -> Self {
        let parts = Vec::<Any>::from_der(bytes).expect("a SEQUENCE");
        let whole: Vec<Vec<u8>> = parts.iter().map(|part| part.to_der().unwrap()).collect();
        let inner = |index: usize| Any::from_der(parts[index].value()).expect("a tagged element");
        let number = |index: usize| whole[index][0] & 0x1f;
        let mut answer = Self {
            header: Header::from_der(&whole[0]).expect("a PKIHeader"),
            kind: number(1),
            body: inner(1),
            protection: Vec::new(),
            extra_certs: Vec::new(),
            protected: sequence(&whole[..2]),
        };
        for index in 2..parts.len() {
            match number(index) {
                0 => {
                    let bits: BitString = inner(index).decode_as().expect("a BIT STRING");
                    answer.protection = bits.raw_bytes().to_vec();
                }
                1 => {
                    let certificates: Vec<Any> = inner(index).decode_as().expect("certificates");
                    answer.extra_certs =
                        certificates.iter().map(|one| one.to_der().unwrap()).collect();
                }
                other => panic!("an unknown part [{other}] of a PKIMessage"),
            }
        }
        answer
    }

    /// The PKIStatusInfo about the request, if the answer has one.
    pub fn status(&self) -> Option<Status> {
        match self.kind {
            IP | CP | KUP | CCP => Some(self.responses().remove(0).status),
            RP => Some(self.body.decode_as::<RevRepContent>().expect("rp").status.remove(0)),
            ERROR => Some(self.body.decode_as::<ErrorMsgContent>().expect("error").status),
            _ => None,
        }
    }

    /// The certificate in it.
    #[track_caller]
    pub fn certificate(&self) -> Vec<u8> {
        assert!(
            matches!(self.kind, IP | CP | KUP | CCP),
            "no certificate but {:?}",
            self.status().map(|status| (status.failures(), status.words()))
        );
        let response = self.responses().remove(0);
        let refused = format!("{:?} {}", response.status.failures(), response.status.words());
        let first = response.key_pair.expect(&refused).remove(0);
        assert_eq!(first.to_der().unwrap()[0], 0xa0, "a certificate that is not encrypted");
        first.value().to_vec()
    }

    /// The EncryptedKey that replaces the certificate.
    #[track_caller]
    pub fn encrypted_certificate(&self) -> Any {
        let status = self.status().map(|status| (status.failures(), status.words()));
        assert!(matches!(self.kind, IP | CP | KUP), "no certificate but {status:?}");
        let pair = self.responses().remove(0).key_pair;
        let pair = pair.unwrap_or_else(|| panic!("no certificate but {status:?}"));
        assert_eq!((pair.len(), pair[0].to_der().unwrap()[0]), (1, 0xa1), "an encrypted one");
        Any::from_der(pair[0].value()).expect("an EncryptedKey")
    }

    /// The EncryptedKey that follows the certificate: the private key.
    pub fn private_key(&self) -> Option<Any> {
        let pair = self.responses().remove(0).key_pair.expect("a certificate");
        let key = pair.get(1)?;
        assert_eq!(key.to_der().unwrap()[0], 0xa0, "a private key");
        Some(Any::from_der(key.value()).expect("an EncryptedKey"))
    }

    /// The value of an infoType in generalInfo.
    pub fn info(&self, kind: &str) -> Option<Any> {
        let infos = self.header.general_info.iter().flatten();
        infos.filter(|info| info.kind == oid(kind)).find_map(|info| info.value.clone())
    }

    /// Whether its MAC is right under this secret.
    pub fn is_protected_by(&self, secret: &str) -> bool {
        let algorithm = self.header.protection_alg.as_ref().expect("a protectionAlg");
        mac(algorithm, secret, &self.protected) == self.protection
    }

    fn responses(&self) -> Vec<CertResponse> {
        self.body.decode_as::<CertRepMessage>().expect("a CertRepMessage").response
    }
}

/// Sends a message and reads the answer.
#[track_caller]
pub fn exchange(instance: &Instance, message: &[u8]) -> Answer {
    Answer::read(&instance.cmp(message))
}

/// Enrols a new key with the peer's secret.
#[track_caller]
pub fn enrolled(instance: &Instance, peer: &Peer) -> Holder {
    let key = Key::new();
    let draft = Draft::new(IR, request(&key)).implicit();
    let certificate = exchange(instance, &draft.by_secret(peer)).certificate();
    Holder { key, certificate }
}
