//! A real authority in a temporary folder, and a CMP client of the tests' own. The client writes DER by hand, so that the server does not
//! read its own encodings.

#[allow(dead_code, reason = "each test file uses a part of it")]
#[path = "../../../tests/common/der.rs"]
pub mod der;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ::der::Encode;
use countersign_ca::authority::accounts::{AccountDraft, SecretPolicy};
use countersign_ca::authority::{Authority, CrlSettings, LockSettings, Settings};
use countersign_ca::founding::CaOptions;
use countersign_ca::founding::Foundation;
use countersign_ca::profile::{DefaultUrls, Profiles};
use countersign_ca::record::{CertificateRecord, Label};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::x509::Facts;
use countersign_ca::{
    Clock, FileKey, KeyAlgorithm, KeyFolder, Passphrase, SubjectPublicKey, SystemEntropy, Timestamp,
};
use countersign_enroll::cmp::{CmpConfig, CmpService, Route};
use der::{Element, Message, elements, seq, tlv};
use rcgen::SigningKey;
use ring::{digest, hmac, pbkdf2};

/// 2027-01-15T08:00:00Z.
pub const START: i64 = 1_800_000_000;

/// Body kinds by their context tags.
pub const IR: u8 = 0xa0;
pub const CR: u8 = 0xa2;
pub const CP: u8 = 0xa3;
pub const P10CR: u8 = 0xa4;
pub const KUR: u8 = 0xa7;
pub const KUP: u8 = 0xa8;
pub const RR: u8 = 0xab;
pub const RP: u8 = 0xac;

/// A clock that moves only when a test moves it.
pub struct TestClock(AtomicI64);

impl TestClock {
    /// Moves the clock forward.
    pub fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// An authority with two issuing CAs, `first` (the default) and `second`, and a CMP server over it.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub clock: Arc<TestClock>,
    pub service: Arc<CmpService>,
    locks: LockSettings,
}

pub fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

fn ca(name: &str, path_length: Option<u8>) -> CaOptions {
    CaOptions {
        subject: countersign_ca::name::distinguished_name(name).expect("a name"),
        validity: Duration::from_secs(3650 * 86_400),
        path_length,
        permitted: Vec::new(),
        excluded: Vec::new(),
        policies: Vec::new(),
        crl_urls: match path_length {
            Some(_) => vec!["http://pki.example.net/crl/root.crl".into()],
            None => Vec::new(),
        },
        ocsp_urls: Vec::new(),
        ca_issuers_urls: Vec::new(),
    }
}

impl Place {
    pub fn new() -> Self {
        Self::with(CmpConfig::default())
    }

    pub fn with(config: CmpConfig) -> Self {
        Self::with_locks(config, LockSettings::default())
    }

    /// An authority with these settings for locks on references.
    pub fn with_locks(config: CmpConfig, locks: LockSettings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(TestClock(AtomicI64::new(START * 1000)));
        let ground = foundation(folder.path(), &clock);
        ground.create_own_keys().expect("keys");
        ground.create_root(&ca("CN=Root,O=Example", None), KeyAlgorithm::P256).expect("a root");
        for (name, algorithm) in [("first", KeyAlgorithm::P256), ("second", KeyAlgorithm::P384)] {
            let options = ca(&format!("CN={name},O=Example"), Some(0));
            ground.create_issuing(&label(name), &options, algorithm).expect("a CA");
        }
        let service = Arc::new(CmpService::new(open(ground, folder.path(), locks), config));
        Self { folder, clock, service, locks }
    }

    /// The same authority, opened again as after a restart.
    pub fn restarted(self) -> Self {
        let Self { folder, clock, service, locks } = self;
        let config = service.config().clone();
        drop(service);
        let authority = open(foundation(folder.path(), &clock), folder.path(), locks);
        Self { folder, clock, service: Arc::new(CmpService::new(authority, config)), locks }
    }

    pub fn authority(&self) -> &Authority {
        self.service.authority()
    }

    /// An account for `<name>.example.net` and 192.0.2.1, with its secret.
    pub fn account(&self, name: &str, uses: u32, ca: Option<&str>) -> Secret {
        let draft = AccountDraft {
            remarks: Default::default(),
            line: None,
            name: label(name),
            identities: vec![
                format!("fqdn:{name}.example.net").parse().expect("an identity"),
                "ip:192.0.2.1".parse().expect("an identity"),
            ],
            profile: label("gateway"),
            ca: ca.map(label),
            equipment: None,
            secret: Some(SecretPolicy { lifetime: Duration::from_secs(86_400), uses }),
            permissions: Default::default(),
        };
        let new = self.authority().add_accounts(&[draft]).expect("an account").remove(0);
        let reference = new.account.secret.expect("a secret").reference;
        let secret = new.secret.expect("a secret").to_string();
        Secret { reference, secret, form: Form::Pbm }
    }

    /// The certificates of an account, oldest first.
    pub fn certificates(&self, account: &str) -> Vec<CertificateRecord> {
        let found = self.authority().store().certificates(Some(&label(account)), 0, 1000);
        found.expect("the store").records
    }

    /// The statuses of an account's certificates: `unconfirmed`, `valid` or `revoked`.
    pub fn statuses(&self, account: &str) -> Vec<&'static str> {
        let status = |record: &CertificateRecord| match (&record.revocation, record.confirmed) {
            (Some(_), _) => "revoked",
            (None, true) => "valid",
            (None, false) => "unconfirmed",
        };
        self.certificates(account).iter().map(status).collect()
    }

    /// Sends octets and returns the answer.
    pub fn send(&self, message: &[u8]) -> Message {
        self.send_to(&Route::default(), message)
    }

    /// As [`Self::send`], to a path.
    pub fn send_to(&self, route: &Route, message: &[u8]) -> Message {
        let answer = self.service.answer(route, message).expect("an answer").octets;
        Message::read(&answer)
    }

    /// Enrols `name` with its secret, implicitly confirmed, and returns its key and certificate.
    pub fn enrolled(&self, name: &str, algorithm: KeyAlgorithm) -> Signer {
        let secret = self.account(name, 3, None);
        let key = FileKey::generate(algorithm).expect("a key");
        let mut draft = self.draft(IR, &cert_request(&template(&key, None), &key, &[]));
        draft.info = vec![implicit_confirm()];
        let ip = self.send(&draft.protected(&secret));
        assert_eq!(ip.body.tag, der::IP, "{:?}", ip.refusal());
        let certificate = issued(&ip);
        assert_eq!(self.statuses(name).last(), Some(&"valid"));
        Signer { key, certificates: vec![certificate] }
    }

    /// A request in a new transaction, dated now.
    pub fn draft(&self, tag: u8, content: &[u8]) -> Draft {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let count = COUNT.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        Draft {
            pvno: 2,
            sender: tlv(0xa4, &seq(&[])),
            time: Some(self.authority().now().seconds()),
            kid: None,
            transaction: Some([count, count].concat()),
            nonce: Some([count, [0x5a; 8]].concat()),
            recip_nonce: None,
            info: Vec::new(),
            body: tlv(tag, content),
        }
    }
}

/// The instances of a test program have one passphrase, so that scrypt derives one key for all of them.
static PASSPHRASE: LazyLock<Passphrase> =
    LazyLock::new(|| Passphrase::new("secret").expect("a passphrase"));

fn foundation(folder: &Path, clock: &Arc<TestClock>) -> Foundation {
    let store = EmbeddedStore::open(folder, EmbeddedOptions::default(), &mut |_| {});
    let clock: Arc<TestClock> = Arc::clone(clock);
    Foundation {
        store: Arc::new(store.expect("a store")),
        keys: KeyFolder::new(folder.join("keys")),
        passphrase: PASSPHRASE.clone(),
        clock,
        entropy: Arc::new(SystemEntropy::default()),
    }
}

fn open(ground: Foundation, folder: &Path, locks: LockSettings) -> Arc<Authority> {
    let settings = Settings {
        default_ca: Some(label("first")),
        crl: CrlSettings {
            validity: Duration::from_secs(7 * 86_400),
            root_validity: Duration::from_secs(180 * 86_400),
            interval: None,
            partitions: 0,
            partition_urls: Vec::new(),
            delta: false,
            delta_urls: Vec::new(),
            full_urls: Vec::new(),
            folder: folder.join("crl"),
        },
        locks,
        responder_validity: Duration::from_secs(30 * 86_400),
    };
    let urls = DefaultUrls {
        crl: vec!["http://pki.example.net/crl/{ca}.crl".into()],
        ocsp: vec!["http://pki.example.net/ocsp".into()],
        ca_issuers: vec!["http://pki.example.net/ca/{ca}.cer".into()],
    };
    let profiles = Profiles::new(&BTreeMap::new(), &urls).expect("profiles");
    Arc::new(Authority::open(ground, profiles, settings).expect("an authority"))
}

/// The kind of MAC.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// PasswordBasedMac with SHA-256 and HMAC-SHA256, 100 iterations.
    Pbm,
    /// PBMAC1 with PBKDF2-HMAC-SHA512 and HMAC-SHA256, 100 iterations.
    Pbmac1,
}

/// A reference and its secret.
#[derive(Clone, Debug)]
pub struct Secret {
    pub reference: String,
    pub secret: String,
    pub form: Form,
}

/// A key and its certificate.
pub struct Signer {
    pub key: FileKey,
    pub certificates: Vec<Vec<u8>>,
}

/// A protection of messages.
pub trait Protector {
    /// The protectionAlg, DER.
    fn algorithm(&self) -> Vec<u8>;
    /// The senderKID.
    fn kid(&self) -> Vec<u8>;
    /// The sender, if the protector names it.
    fn sender(&self) -> Option<Vec<u8>> {
        None
    }
    /// The protection over these octets.
    fn protect(&self, part: &[u8]) -> Vec<u8>;
    /// extraCerts.
    fn certificates(&self) -> &[Vec<u8>] {
        &[]
    }
}

fn oid(hex: &str) -> Vec<u8> {
    tlv(6, &data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal"))
}

const SALT: &[u8] = b"sixteen octets!!";
const HMAC_SHA256: &str = "2a864886f70d0209";
const HMAC_SHA512: &str = "2a864886f70d020b";
const SHA256: &str = "608648016503040201";

impl Secret {
    /// The same secret with another kind of MAC.
    pub fn by(&self, form: Form) -> Self {
        Self { form, ..self.clone() }
    }

    /// The MAC over `part`.
    pub fn mac(&self, part: &[u8]) -> Vec<u8> {
        let key = match self.form {
            Form::Pbm => (0..100).fold([self.secret.as_bytes(), SALT].concat(), |state, _| {
                digest::digest(&digest::SHA256, &state).as_ref().to_vec()
            }),
            Form::Pbmac1 => {
                let mut key = vec![0; 32];
                let count = 100.try_into().expect("not zero");
                let secret = self.secret.as_bytes();
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, count, SALT, secret, &mut key);
                key
            }
        };
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part).as_ref().to_vec()
    }

    /// Whether an answer is protected in the same way: with the same parameters, the same reference, and the right MAC.
    pub fn protects(&self, answer: &Message) -> bool {
        answer.field(der::PROTECTION_ALG).is_some_and(|field| field.whole == self.algorithm())
            && answer.field(der::SENDER_KID).is_some_and(|kid| kid.content == self.kid())
            && protection(answer) == self.mac(&part(answer))
    }
}

impl Protector for Secret {
    fn algorithm(&self) -> Vec<u8> {
        let hmac = seq(&[&oid(HMAC_SHA256)]);
        match self.form {
            Form::Pbm => seq(&[
                &oid("2a864886f67d07420d"),
                &seq(&[&tlv(4, SALT), &seq(&[&oid(SHA256)]), &tlv(2, &[100]), &hmac]),
            ]),
            Form::Pbmac1 => {
                let prf = seq(&[&oid(HMAC_SHA512), &[5, 0]]);
                let kdf = seq(&[&tlv(4, SALT), &tlv(2, &[100]), &tlv(2, &[32]), &prf]);
                let kdf = seq(&[&oid("2a864886f70d01050c"), &kdf]);
                seq(&[&oid("2a864886f70d01050e"), &seq(&[&kdf, &hmac])])
            }
        }
    }

    fn kid(&self) -> Vec<u8> {
        self.reference.clone().into_bytes()
    }

    fn protect(&self, part: &[u8]) -> Vec<u8> {
        self.mac(part)
    }
}

impl Protector for Signer {
    fn algorithm(&self) -> Vec<u8> {
        self.key.signature_algorithm().to_der().expect("DER")
    }

    fn kid(&self) -> Vec<u8> {
        self.key.public().key_identifier().to_vec()
    }

    fn sender(&self) -> Option<Vec<u8>> {
        let facts = Facts::of(self.certificates.first()?).expect("a certificate");
        Some(tlv(0xa4, &facts.subject.to_der().expect("DER")))
    }

    fn protect(&self, part: &[u8]) -> Vec<u8> {
        self.key.sign(part).expect("a signature")
    }

    fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }
}

/// A message before it is protected.
#[derive(Clone)]
pub struct Draft {
    pub pvno: u8,
    pub sender: Vec<u8>,
    pub time: Option<i64>,
    /// Another senderKID than the protector's; empty for none.
    pub kid: Option<Vec<u8>>,
    pub transaction: Option<Vec<u8>>,
    pub nonce: Option<Vec<u8>>,
    pub recip_nonce: Option<Vec<u8>>,
    /// InfoTypeAndValue elements, DER.
    pub info: Vec<Vec<u8>>,
    pub body: Vec<u8>,
}

impl Draft {
    fn header(&self, algorithm: Option<&[u8]>, kid: &[u8], sender: Option<Vec<u8>>) -> Vec<u8> {
        let nobody = tlv(0xa4, &seq(&[]));
        let sender = sender.filter(|_| self.sender == nobody).unwrap_or(self.sender.clone());
        let octets = |tag, octets: &Option<Vec<u8>>| {
            octets.as_ref().map_or_else(Vec::new, |octets| tlv(tag, &tlv(4, octets)))
        };
        let kid = Some(self.kid.clone().unwrap_or_else(|| kid.to_vec()));
        let info: Vec<u8> = self.info.concat();
        seq(&[
            &tlv(2, &[self.pvno]),
            &sender,
            &tlv(0xa4, &seq(&[])),
            &self.time.map_or_else(Vec::new, |time| tlv(0xa0, &tlv(0x18, utc(time).as_bytes()))),
            &algorithm.map_or_else(Vec::new, |algorithm| tlv(0xa1, algorithm)),
            &octets(0xa2, &kid.filter(|kid| !kid.is_empty())),
            &octets(0xa4, &self.transaction),
            &octets(0xa5, &self.nonce),
            &octets(0xa6, &self.recip_nonce),
            &if info.is_empty() { Vec::new() } else { tlv(0xa8, &seq(&[&info])) },
        ])
    }

    /// The message, DER.
    pub fn protected(&self, by: &dyn Protector) -> Vec<u8> {
        let header = self.header(Some(&by.algorithm()), &by.kid(), by.sender());
        let protection = by.protect(&seq(&[&header, &self.body]));
        let bits = tlv(0xa0, &tlv(3, &[&[0], protection.as_slice()].concat()));
        let extra = match by.certificates() {
            [] => Vec::new(),
            certificates => tlv(0xa1, &seq(&[&certificates.concat()])),
        };
        seq(&[&header, &self.body, &bits, &extra])
    }

    /// The message without protection.
    pub fn bare(&self) -> Vec<u8> {
        seq(&[&self.header(None, &[], None), &self.body])
    }

    /// The next message of the transaction that `answer` belongs to.
    pub fn next(&self, answer: &Message, tag: u8, content: &[u8]) -> Self {
        let nonce = answer.field(der::SENDER_NONCE).expect("a senderNonce").content;
        let mut fresh = self.nonce.clone();
        if let Some(first) = fresh.iter_mut().flatten().next() {
            *first ^= 0x80;
        }
        Self { nonce: fresh, recip_nonce: Some(nonce), body: tlv(tag, content), ..self.clone() }
    }
}

/// A GeneralizedTime.
pub fn utc(seconds: i64) -> String {
    let text = Timestamp::from_seconds(seconds).to_string();
    text.chars().filter(|c| !matches!(c, '-' | ':' | 'T')).collect()
}

/// An InfoTypeAndValue by the hexadecimal octets of its identifier.
pub fn info(identifier: &str, value: &[u8]) -> Vec<u8> {
    seq(&[&oid(identifier), value])
}

/// id-it-implicitConfirm.
pub fn implicit_confirm() -> Vec<u8> {
    info("2b0601050507040d", &[5, 0])
}

/// A Name with one commonName.
pub fn common_name(name: &str) -> Vec<u8> {
    let attribute = seq(&[&oid("550403"), &tlv(0x0c, name.as_bytes())]);
    seq(&[&tlv(0x31, &attribute)])
}

/// The fields of a CertTemplate for a key, by their context tags. A test may change them.
pub fn template(key: &FileKey, subject: Option<&str>) -> BTreeMap<u8, Vec<u8>> {
    let mut fields = BTreeMap::new();
    if let Some(subject) = subject {
        fields.insert(0xa5, common_name(subject));
    }
    fields.insert(0xa6, elements(key.public().der()).remove(0).content);
    fields
}

/// A subjectAltName extension with DNS names.
pub fn dns_names(names: &[&str]) -> Vec<u8> {
    let names: Vec<u8> = names.iter().flat_map(|name| tlv(0x82, name.as_bytes())).collect();
    seq(&[&oid("551d11"), &tlv(4, &seq(&[&names]))])
}

/// A CertRequest, DER.
pub fn request(fields: &BTreeMap<u8, Vec<u8>>, controls: &[u8]) -> Vec<u8> {
    let template: Vec<u8> = fields.iter().flat_map(|(tag, content)| tlv(*tag, content)).collect();
    let controls = if controls.is_empty() { Vec::new() } else { seq(&[controls]) };
    seq(&[&tlv(2, &[0]), &seq(&[&template]), &controls])
}

/// POPOSigningKey in its tag: an input, if any, and a signature by `key` over `signed`.
pub fn proof(key: &FileKey, input: &[u8], signed: &[u8]) -> Vec<u8> {
    let signature = key.sign(signed).expect("a signature");
    let bits = tlv(3, &[&[0], signature.as_slice()].concat());
    let algorithm = key.signature_algorithm().to_der().expect("DER");
    tlv(0xa1, &[input, &algorithm, &bits].concat())
}

/// CertReqMessages with one request, and a proof of possession by `key` over the CertRequest.
pub fn cert_request(fields: &BTreeMap<u8, Vec<u8>>, key: &FileKey, controls: &[u8]) -> Vec<u8> {
    let request = request(fields, controls);
    let proof = proof(key, &[], &request);
    seq(&[&seq(&[&request, &proof])])
}

/// The ProtectedPart of a message.
pub fn part(message: &Message) -> Vec<u8> {
    seq(&[&message.header.whole, &message.body.whole])
}

/// The protection of a message.
pub fn protection(message: &Message) -> Vec<u8> {
    let tagged = message.rest.iter().find(|part| part.tag == 0xa0).expect("a protection");
    tagged.parts().remove(0).content.split_off(1)
}

/// extraCerts of a message.
pub fn extra_certs(message: &Message) -> Vec<Vec<u8>> {
    let tagged = message.rest.iter().find(|part| part.tag == 0xa1);
    let certificates = tagged.map_or_else(Vec::new, |tagged| tagged.parts().remove(0).parts());
    certificates.into_iter().map(|certificate| certificate.whole).collect()
}

/// Asserts that an answer is signed by the CMP signer of this CA, and has its chain. Returns the facts of the signer's certificate.
#[track_caller]
pub fn signed_by(place: &Place, answer: &Message, ca: &str) -> Facts {
    let certificates = extra_certs(answer);
    let signer = Facts::of(&certificates[0]).expect("a certificate");
    let ca = place.authority().chain(Some(&label(ca))).expect("a chain")[0].clone();
    assert_eq!(signer.issuer, Facts::of(&ca).expect("a certificate").subject);
    assert!(certificates.contains(&ca), "the signer's chain stands behind it");
    let algorithm = answer.field(der::PROTECTION_ALG).expect("a protectionAlg").whole;
    let algorithm = ::der::Decode::from_der(&algorithm).expect("an AlgorithmIdentifier");
    signer.key.verify(&algorithm, &part(answer), &protection(answer)).expect("a right signature");
    let kid = answer.field(der::SENDER_KID).expect("a senderKID").content;
    assert_eq!(kid, signer.key_identifier, "senderKID is the signer's");
    let sender = answer.header.parts()[1].parts().remove(0).whole;
    assert_eq!(sender, signer.subject.to_der().expect("DER"), "sender is the signer");
    signer
}

/// The content of the first CertResponse, in its parts: certReqId, status, certifiedKeyPair.
pub fn response(answer: &Message) -> Vec<Element> {
    let content = answer.body.parts().remove(0).parts();
    let responses = content.iter().find(|part| part.tag == 0x30).expect("responses").parts();
    assert_eq!(responses.len(), 1);
    responses[0].parts()
}

/// The certificate in an ip, cp or kup.
pub fn issued(answer: &Message) -> Vec<u8> {
    let pair = response(answer).remove(2);
    pair.parts().remove(0).parts().remove(0).whole
}

/// The status texts of a response that was granted.
pub fn granted_text(answer: &Message) -> String {
    let status = response(answer).remove(1).parts();
    let texts = status.get(1).map(Element::parts).unwrap_or_default();
    let texts: Vec<_> =
        texts.iter().map(|text| String::from_utf8_lossy(&text.content).into_owned()).collect();
    texts.join("; ")
}

/// CertConfirmContent with one CertStatus: the SHA-256 of a certificate, and further elements.
pub fn confirmation(certificate: &[u8], more: &[u8]) -> Vec<u8> {
    let hash = digest::digest(&digest::SHA256, certificate);
    seq(&[&seq(&[&tlv(4, hash.as_ref()), &tlv(2, &[0]), more])])
}

/// The public key of a certificate.
pub fn public_key(certificate: &[u8]) -> SubjectPublicKey {
    Facts::of(certificate).expect("a certificate").key
}

/// Asserts a refusal with this failInfo bit, and returns its text.
#[track_caller]
pub fn refused(answer: &Message, body: u8, bit: &str) -> String {
    let (failures, text) = answer.refusal().unwrap_or_else(|| panic!("granted: {answer:02x?}"));
    assert_eq!(failures, [bit], "{text}");
    assert_eq!(answer.body.tag, body, "{text}");
    text
}
