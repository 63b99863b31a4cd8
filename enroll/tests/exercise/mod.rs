//! The whole server over an authority in a temporary folder, for the fuzzer and the test of its seeds. It handles a message as it is, and
//! once more with the parts repaired that a fuzzer cannot guess, so that the code behind the protection and the proof of possession is
//! reached, too. It panics only on a fault of the server.

#[allow(dead_code, reason = "shared with a bench, which uses more of it")]
#[path = "../../../benches/enrol/wire.rs"]
pub mod wire;

pub mod seeds;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_ca::authority::vendors::{self, VendorDraft};
use countersign_ca::authority::{Authority, CrlSettings, LockSettings, Settings};
use countersign_ca::founding::CaOptions;
use countersign_ca::founding::Foundation;
use countersign_ca::key::Sealer;
use countersign_ca::profile::{DefaultUrls, ProfileConfig, Profiles};
use countersign_ca::record::approval::{Decision, Verdict};
use countersign_ca::record::{Account, AccountSecret, Permission};
use countersign_ca::record::{Device, Mapping};
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{
    Clock, Entropy, KeyAlgorithm, KeyFolder, Passphrase, SystemEntropy, Timestamp,
};
use countersign_enroll::cmp::{CmpConfig, CmpService, Route};
use ring::digest::{SHA256, digest};
use wire::{Answer, Ask, Key, Part, Protector, bits, parts, random, request, seq, tlv};

/// 2026-11-23T14:10:20Z, when the seeds were captured.
const NOW: i64 = 1_795_443_020;
/// After this many messages a new authority is founded, because the store of the old one grows.
const ENOUGH: u32 = 20_000;
const SECRET: &[u8] = b"correct-horse";
const TIME: &[u8] = b"20261123141020Z";

/// The tags of bodies.
const IR: u8 = 0xa0;
const CR: u8 = 0xa2;
const POPDECR: u8 = 0xa6;
const KUR: u8 = 0xa7;
const RR: u8 = 0xab;
const CCR: u8 = 0xad;
const NESTED: u8 = 0xb4;
const ERROR: u8 = 0xb7;
const CERT_CONF: u8 = 0xb8;
const POLL_REQ: u8 = 0xb9;

/// The tags of header fields: senderKID, transactionID, senderNonce and recipNonce.
const KID: u8 = 0xa2;
const TRANSACTION: u8 = 0xa4;
const NONCE: u8 = 0xa5;
const ANSWERED: u8 = 0xa6;

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(NOW)
    }
}

/// An authority and its peers. A message names its peer in its senderKID.
pub struct Place {
    service: CmpService,
    peers: BTreeMap<&'static str, Protector>,
    heard: Arc<Heard>,
    key: Key,
    messages: u32,
    granted: u32,
    _folder: tempfile::TempDir,
}

/// The fields that put a repaired message into a transaction.
struct Within {
    transaction: Vec<u8>,
    /// The senderNonce, if it is not that of the message.
    nonce: Option<Vec<u8>>,
    /// The recipNonce.
    answered: Option<Vec<u8>>,
    /// The content of the body, if it is not that of the message.
    content: Option<Vec<u8>>,
}

impl Within {
    /// A new transaction.
    fn new() -> Self {
        Self { transaction: random::<16>().to_vec(), nonce: None, answered: None, content: None }
    }
}

impl Place {
    /// Founds an authority with an account for each role. `gateway-1` has the secret of the captures, and `gateway-2` that of the repaired
    /// messages, because wrong secrets lock the first.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = EmbeddedOptions { sync: false, ..EmbeddedOptions::default() };
        let store = EmbeddedStore::open(folder.path(), options, &mut |_| {}).expect("a store");
        let heard = Arc::new(Heard::default());
        let ground = Foundation {
            store: Arc::new(store),
            keys: KeyFolder::new(folder.path().join("keys")),
            passphrase: Passphrase::new("secret").expect("a passphrase"),
            clock: Arc::new(Standing),
            entropy: Arc::<Heard>::clone(&heard),
        };
        ground.create_own_keys().expect("keys");
        ground.create_root(&ca("CN=Root", None), KeyAlgorithm::P256).expect("a root");
        let issuing = "issuing".parse().expect("a label");
        // This CA may have CAs below it and issues cross certificates: opening the root's key for them would take long.
        ground.create_issuing(&issuing, &ca("CN=CA", Some(1)), KeyAlgorithm::P256).expect("a CA");
        let device = vendor(&ground);
        record_accounts(&ground);
        let settings = Settings {
            default_ca: Some(issuing),
            crl: CrlSettings {
                full_urls: Vec::new(),
                validity: Duration::from_secs(7 * 86_400),
                root_validity: Duration::from_secs(180 * 86_400),
                interval: None,
                partitions: 0,
                partition_urls: Vec::new(),
                delta: false,
                delta_urls: Vec::new(),
                folder: folder.path().join("crl"),
            },
            locks: LockSettings::default(),
            responder_validity: Duration::from_secs(30 * 86_400),
        };
        let authority = Authority::open(ground, profiles(), settings).expect("an authority");
        // Many iterations of a MAC cost time, and find no faults.
        let config = CmpConfig { iterations: 100..=2_000, ..CmpConfig::default() };
        let service = CmpService::new(Arc::new(authority), config);
        let mut peers = BTreeMap::from([("vendor", device)]);
        for (name, reference) in
            [("gateway", "gateway-2"), ("held", "held-1"), ("sealed", "sealed-1")]
        {
            peers.insert(name, Protector::mac(reference, SECRET, 100));
        }
        let key = Key::generate();
        let mut place =
            Self { service, peers, heard, key, messages: 0, granted: 0, _folder: folder };
        for (name, reference) in [("signer", "gateway-2"), ("partner", "partner-1"), ("ra", "ra-1")]
        {
            place.enrol(name, reference);
        }
        place
    }

    /// How many repaired messages were granted.
    pub fn granted(&self) -> u32 {
        self.granted
    }

    /// Puts a message through the handler, as it is and repaired.
    pub fn exercise(&mut self, octets: &[u8]) {
        self.messages += 1;
        if self.messages > ENOUGH {
            *self = Self::new();
        }
        self.send(octets);
        if let Some(answer) = self.answered(octets) {
            let answer = Answer::read(&answer).expect("an answer that can be read");
            self.granted += u32::from(answer.kind != ERROR && answer.rejection().is_none());
        }
    }

    /// The answer to the repaired message; `None` if it cannot be repaired.
    pub fn answered(&self, octets: &[u8]) -> Option<Vec<u8>> {
        self.repaired(octets, 0).map(|repaired| self.send(&repaired))
    }

    /// Sends octets, and asserts that the answer can be read.
    fn send(&self, octets: &[u8]) -> Vec<u8> {
        let answer = self.service.answer(&Route::default(), octets).expect("an answer").octets;
        Answer::read(&answer).expect("an answer that can be read");
        answer
    }

    /// Enrols a peer for a certificate.
    fn enrol(&mut self, name: &'static str, reference: &str) {
        let by = Protector::mac(reference, SECRET, 100);
        let request = request(Ask::Ir, &self.key.request(Ask::Ir, None), &by, true);
        let within = Within { transaction: request.transaction.to_vec(), ..Within::new() };
        let message = self.rebuilt(&request.message, &by, &within).expect("our own message");
        let answer = self.send(&message);
        let granted = request.granted(&answer, Some(&self.key.public)).expect("a certificate");
        granted.verify(&by, &[]).expect("a verifiable answer");
        let certificate = granted.certificate.to_vec();
        let key = std::mem::replace(&mut self.key, Key::generate());
        self.peers.insert(name, Protector::signature(key, certificate).expect("a certificate"));
    }

    /// The message in a transaction to which it can belong, dated now, with a right proof of possession and a right protection.
    fn repaired(&self, octets: &[u8], depth: u8) -> Option<Vec<u8>> {
        let message = Read::of(octets)?;
        let (name, mut within) = match message.body.tag {
            CERT_CONF => ("gateway", self.to_confirm(&message)?),
            ERROR => ("gateway", self.to_confirm(&message)?.with(None)),
            POLL_REQ => ("held", self.to_poll(&message)?),
            POPDECR => ("sealed", self.to_answer(&message)?),
            NESTED => ("ra", self.around(&message, depth)?),
            KUR | RR => ("signer", Within::new()),
            CCR => ("partner", Within::new()),
            _ => ("gateway", Within::new()),
        };
        if depth > 0 {
            // The messages of a batch have nonces of their own.
            within.nonce.get_or_insert_with(|| random::<16>().to_vec());
        }
        let named = message.field(KID).and_then(|kid| std::str::from_utf8(kid).ok());
        let by = named.and_then(|kid| self.peers.get(kid)).or_else(|| self.peers.get(name))?;
        self.rebuilt(octets, by, &within)
    }

    /// The answer to a request of the fuzzer's own, by a peer.
    fn begun(&self, name: &str, request: &[u8]) -> Option<(Vec<u8>, Within)> {
        let within = Within::new();
        let message = self.rebuilt(request, self.peers.get(name)?, &within)?;
        let answer = self.send(&message);
        let nonce = Answer::read(&answer).ok()?.nonce.to_vec();
        let within = Within { answered: Some(nonce), ..within };
        Some((answer, Within { nonce: Some(random::<16>().to_vec()), ..within }))
    }

    /// The transaction of a certificate that awaits its confirmation, with the right certHash, unless the message has an empty one.
    fn to_confirm(&self, message: &Read<'_>) -> Option<Within> {
        let (answer, within) = self.begun("gateway", &seeds::ir("", 2, None, None))?;
        let certificate = certificate_in(&answer)?;
        let hash = tlv(4, digest(&SHA256, &certificate).as_ref());
        Some(within.with(replaced(message.body.content, &[0x30, 0x30, 4], &hash)))
    }

    /// The transaction of a request that awaits approval, decided by the first octet of the message's transactionID.
    fn to_poll(&self, message: &Read<'_>) -> Option<Within> {
        let (_, within) = self.begun("held", &seeds::ir("held", 2, None, None))?;
        let verdict = match message.field(TRANSACTION)?.first()? % 4 {
            1 => Verdict::Approved,
            2 => Verdict::Rejected,
            3 => Verdict::Withdrawn,
            _ => return Some(within),
        };
        let decision = Decision { verdict, actor: "administrator".into(), comment: None };
        // A request that waits already is joined, whichever transaction it came with.
        let waiting = self.service.authority().waiting(&within.transaction).ok()??;
        if waiting.decision.is_none() {
            let store = self.service.authority().store();
            store.record_decided(Standing.now(), &waiting.id, &decision).ok()?;
        }
        Some(within)
    }

    /// The transaction of a challenge, with its right number, unless the message has 0.
    fn to_answer(&self, message: &Read<'_>) -> Option<Within> {
        let proof = tlv(0xa3, &[0x81, 1, 1]);
        let (answer, within) = self.begun("sealed", &seeds::ir("sealed", 3, None, Some(&proof)))?;
        // POPODecKeyChallContent: the witness is the hash of the number.
        let challenge = deep(Read::of(&answer)?.body.content, &[0x30, 0x30])?;
        let parts = parts(challenge).ok()?;
        let witness = parts.iter().find(|part| part.tag == 4)?;
        let number = self.heard.number(witness.content)?;
        let is_zero = deep(message.body.content, &[0x30, 2]) == Some(&[0]);
        let number = Some(tlv(2, &number)).filter(|_| !is_zero);
        let right = number.and_then(|number| replaced(message.body.content, &[0x30, 2], &number));
        Some(within.with(right))
    }

    /// The messages in a nested one, each repaired. If the only one has the transaction of the message around it, it keeps it.
    fn around(&self, message: &Read<'_>, depth: u8) -> Option<Within> {
        if depth > 2 {
            return None;
        }
        let list = deep(message.body.content, &[0x30])?;
        let inner: Vec<Vec<u8>> = parts(list)
            .ok()?
            .iter()
            .take(8)
            .map(|part| self.repaired(part.whole, depth + 1).unwrap_or(part.whole.to_vec()))
            .collect();
        let own = message.field(TRANSACTION)?;
        let within = match (parts(list).ok()?.as_slice(), inner.as_slice()) {
            ([before], [after]) if Read::of(before.whole)?.field(TRANSACTION) == Some(own) => {
                let after = Read::of(after)?;
                Within {
                    transaction: after.field(TRANSACTION)?.to_vec(),
                    nonce: Some(after.field(NONCE)?.to_vec()),
                    answered: after.field(ANSWERED).map(<[u8]>::to_vec),
                    content: None,
                }
            }
            _ => Within { nonce: Some(random::<16>().to_vec()), ..Within::new() },
        };
        Some(within.with(Some(seq(&[&inner.concat()]))))
    }

    fn rebuilt(&self, octets: &[u8], by: &Protector, within: &Within) -> Option<Vec<u8>> {
        let message = Read::of(octets)?;
        let body = message.body;
        let (kid, sender, own) = match by {
            Protector::Mac { reference, .. } => (reference, None, Vec::new()),
            Protector::Signature { key_identifier, sender, certificate, .. } => {
                (key_identifier, Some(sender), certificate.clone())
            }
        };
        let (fixed, tagged) = message.header.split_at_checked(3)?;
        let mut fields: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for field in tagged {
            fields.insert(field.tag, field.whole.to_vec());
        }
        let octet_string = |tag, octets: &[u8]| tlv(tag, &tlv(4, octets));
        fields.insert(0xa0, tlv(0xa0, &tlv(0x18, TIME)));
        fields.insert(0xa1, tlv(0xa1, by.algorithm()));
        fields.insert(KID, octet_string(KID, kid));
        fields.insert(TRANSACTION, octet_string(TRANSACTION, &within.transaction));
        for (tag, nonce) in [(NONCE, &within.nonce), (ANSWERED, &within.answered)] {
            if let Some(nonce) = nonce {
                fields.insert(tag, octet_string(tag, nonce));
            }
        }
        let sender = sender.map_or(fixed[1].whole, Vec::as_slice);
        let fields: Vec<u8> = fields.into_values().flatten().collect();
        let header = seq(&[fixed[0].whole, sender, fixed[2].whole, &fields]);
        let content = match (&within.content, body.tag) {
            (Some(content), _) => Some(content.clone()),
            (None, IR | CR | KUR | CCR) => self.proven(body.content),
            _ => None,
        };
        let body = tlv(body.tag, content.as_deref().unwrap_or(body.content));
        let protection = by.protect(&seq(&[&header, &body]));
        let extra = [&own, message.extra.unwrap_or_default()].concat();
        let extra = if extra.is_empty() { Vec::new() } else { tlv(0xa1, &seq(&[&extra])) };
        Some(seq(&[&header, &body, &tlv(0xa0, &bits(&protection)), &extra]))
    }

    /// CertReqMessages with the fuzzer's key in the template, and a proof of possession by that key.
    fn proven(&self, content: &[u8]) -> Option<Vec<u8>> {
        let messages = parts(content).ok()?;
        let message = parts(messages.first()?.content).ok()?;
        let message = parts(message.first()?.content).ok()?;
        let (request, behind) = message.split_first()?;
        let fields = parts(request.content).ok()?;
        let [id, template, controls @ ..] = fields.as_slice() else { return None };
        let key = parts(&self.key.public).ok()?.first()?.content.to_vec();
        let template: Vec<u8> = parts(template.content)
            .ok()?
            .iter()
            .flat_map(|field| match field.tag {
                // Without a proof of possession, the message asks for a key of the kind in its template.
                0xa6 if !behind.is_empty() => tlv(0xa6, &key),
                _ => field.whole.to_vec(),
            })
            .collect();
        let controls: Vec<u8> = controls.iter().flat_map(|part| part.whole.to_vec()).collect();
        let request = seq(&[id.whole, &seq(&[&template]), &controls]);
        let behind: Vec<u8> = behind
            .iter()
            .flat_map(|part| match (part.tag, parts(part.content)) {
                // POPOSigningKey without an input.
                (0xa1, Ok(proof)) if proof.len() == 2 => {
                    let signature = bits(&self.key.sign(&request));
                    tlv(0xa1, &[wire::ECDSA_SHA256, &signature].concat())
                }
                _ => part.whole.to_vec(),
            })
            .collect();
        Some(seq(&[&seq(&[&request, &behind])]))
    }
}

impl Within {
    fn with(self, content: Option<Vec<u8>>) -> Self {
        Self { content, ..self }
    }
}

/// The parts of a message that a repair needs.
struct Read<'a> {
    header: Vec<Part<'a>>,
    body: Part<'a>,
    /// The further certificates in extraCerts.
    extra: Option<&'a [u8]>,
}

impl<'a> Read<'a> {
    fn of(octets: &'a [u8]) -> Option<Self> {
        let message = parts(parts(octets).ok()?.first()?.content).ok()?;
        let [header, body, rest @ ..] = message.as_slice() else { return None };
        let extra = rest.iter().find(|part| part.tag == 0xa1);
        let extra = extra.and_then(|part| Some(parts(part.content).ok()?.first()?.content));
        Some(Self { header: parts(header.content).ok()?, body: *body, extra })
    }

    /// The octets in a field of the header.
    fn field(&self, tag: u8) -> Option<&'a [u8]> {
        let field = self.header.iter().skip(3).find(|field| field.tag == tag)?;
        Some(parts(field.content).ok()?.first()?.content)
    }
}

/// The content at a path of tags: of the first element with each tag inside the one before.
fn deep<'a>(content: &'a [u8], tags: &[u8]) -> Option<&'a [u8]> {
    tags.iter().try_fold(content, |content, tag| {
        Some(parts(content).ok()?.iter().find(|part| part.tag == *tag)?.content)
    })
}

/// The same octets with another element at that path; `None` if there is none, or it is empty.
fn replaced(content: &[u8], tags: &[u8], by: &[u8]) -> Option<Vec<u8>> {
    let (tag, rest) = tags.split_first()?;
    let all = parts(content).ok()?;
    let at = all.iter().position(|part| part.tag == *tag)?;
    let new = match rest {
        [] if all[at].content.is_empty() => return None,
        [] => by.to_vec(),
        _ => tlv(*tag, &replaced(all[at].content, rest, by)?),
    };
    let whole = |part: &Part<'_>| part.whole.to_vec();
    let (before, after) = (all[..at].iter().flat_map(whole), all[at + 1..].iter().flat_map(whole));
    Some(before.chain(new).chain(after).collect())
}

/// The certificate in an ip.
fn certificate_in(answer: &[u8]) -> Option<Vec<u8>> {
    let content = deep(Read::of(answer)?.body.content, &[0x30])?;
    let parts = parts(content).ok()?;
    // CertifiedKeyPair is the second SEQUENCE in the response, behind the status.
    let response = wire::parts(deep(parts.last()?.whole, &[0x30, 0x30])?).ok()?;
    let pair = response.iter().filter(|part| part.tag == 0x30).nth(1)?;
    Some(wire::parts(deep(pair.content, &[0xa0])?).ok()?.first()?.whole.to_vec())
}

/// The system's random number generator, which remembers its last numbers: the fuzzer answers a challenge without decrypting it.
#[derive(Default)]
struct Heard {
    system: SystemEntropy,
    last: Mutex<VecDeque<Vec<u8>>>,
}

impl Entropy for Heard {
    fn fill(&self, buffer: &mut [u8]) -> countersign_ca::Result<()> {
        self.system.fill(buffer)?;
        let mut last = self.last.lock().expect("no panic");
        last.push_back(buffer.to_vec());
        if last.len() > 32 {
            last.pop_front();
        }
        Ok(())
    }
}

impl Heard {
    /// The number of a challenge, by its hash.
    fn number(&self, witness: &[u8]) -> Option<Vec<u8>> {
        let last = self.last.lock().expect("no panic");
        let numbers = last.iter().filter(|octets| octets.len() == 16).map(|octets| {
            let mut number = octets.clone();
            number[0] = number[0] & 0x3f | 0x40;
            number
        });
        numbers.into_iter().find(|number| digest(&SHA256, number).as_ref() == witness)
    }
}

/// A profile that needs approval, and one whose keys do not sign. RSA is left out, because generating an RSA key takes seconds.
fn profiles() -> Profiles {
    let strings = |list: &[&str]| Some(list.iter().map(|one| (*one).to_owned()).collect());
    let keys = strings(&["p256", "p384", "ed25519"]);
    let gateway = ProfileConfig { keys: keys.clone(), ..ProfileConfig::default() };
    let held = ProfileConfig { keys, approval: Some(true), ..ProfileConfig::default() };
    let sealed = ProfileConfig {
        keys: strings(&["p256", "p384"]),
        ike: Some("none".into()),
        key_usage: strings(&["keyAgreement"]),
        extended_key_usage: None,
        ..ProfileConfig::default()
    };
    let all = [("gateway", gateway), ("held", held), ("sealed", sealed)];
    let all = all.into_iter().map(|(name, config)| (name.to_owned(), config)).collect();
    let urls = DefaultUrls { crl: Vec::new(), ocsp: Vec::new(), ca_issuers: Vec::new() };
    Profiles::new(&all, &urls).expect("profiles")
}

/// Trusts a vendor, and returns the key and certificate of one of its devices.
fn vendor(ground: &Foundation) -> Protector {
    let (root_key, key) = (Key::generate(), Key::generate());
    let named = |id: u8, text: &str| {
        let kind = [6, 3, 0x55, 4, id];
        seq(&[&tlv(0x31, &seq(&[&kind, &tlv(0x13, text.as_bytes())]))])
    };
    let (maker, serial) = (named(3, "Maker"), named(5, "SN7"));
    let extension =
        |id: u8, value: &[u8]| seq(&[&[6, 3, 0x55, 0x1d, id, 1, 1, 0xff], &tlv(4, value)]);
    let validity = seq(&[&tlv(0x17, b"260101000000Z"), &tlv(0x17, b"460101000000Z")]);
    let certificate = |serial: u8, subject: &[u8], key: &Key, extensions: &[&[u8]]| {
        let extensions = tlv(0xa3, &seq(&[&extensions.concat()]));
        let version = [0xa0, 3, 2, 1, 2, 2, 1, serial];
        let algorithm = wire::ECDSA_SHA256;
        let tbs = seq(&[&version, algorithm, &maker, &validity, subject, &key.public, &extensions]);
        seq(&[&tbs, algorithm, &bits(&root_key.sign(&tbs))])
    };
    let is_ca = [extension(0x13, &[0x30, 3, 1, 1, 0xff]), extension(0x0f, &[3, 2, 1, 6])].concat();
    let identifier = seq(&[&[6, 3, 0x55, 0x1d, 0x0e], &tlv(4, &tlv(4, &[7; 20]))]);
    let signs = [extension(0x0f, &[3, 2, 7, 0x80]), identifier].concat();
    let draft = VendorDraft {
        name: "maker".parse().expect("a name"),
        mapping: Mapping::SerialNumber,
        certificates: vec![certificate(1, &maker, &root_key, &[&is_ca])],
        profile: None,
        crls: Vec::new(),
    };
    vendors::trust(ground.store.as_ref(), ground.clock.now(), draft).expect("a vendor");
    let device = certificate(2, &serial, &key, &[&signs]);
    Protector::signature(key, device).expect("a certificate")
}

/// Records the accounts. Wrong secrets lock a reference for good here, because no time passes; so repaired messages use a reference of
/// their own.
fn record_accounts(ground: &Foundation) {
    let pem = std::fs::read(ground.keys.file("_seal.pub")).expect("the sealing key");
    let (_, spki) = ::der::pem::decode_vec(&pem).expect("PEM");
    let sealer = Sealer::from_der(&spki).expect("a sealing key");
    let gateway = ["fqdn:gw1.example.net", "ip:192.0.2.1", "dn:CN=gw1.example.net,O=Example"];
    let account = |name: &str, profile: &str, reference: Option<&str>, identities: &[&str]| {
        let secret = reference.map(|reference| {
            let sealed = sealer.seal(SECRET, reference.as_bytes(), ground.entropy.as_ref());
            AccountSecret {
                reference: reference.into(),
                sealed: sealed.expect("a sealed secret"),
                expires: Timestamp::from_seconds(NOW + 86_400),
                uses_left: u32::MAX,
                given_back: 0,
            }
        });
        Account {
            name: name.parse().expect("a name"),
            identities: identities
                .iter()
                .map(|identity| identity.parse().expect("an identity"))
                .collect(),
            profile: profile.parse().expect("a profile"),
            ca: None,
            secret,
            equipment: None,
            created: Timestamp::from_seconds(NOW),
            permissions: Default::default(),
            remarks: Default::default(),
            is_disabled: false,
            incarnation: Default::default(),
        }
    };
    let mut accounts = [
        account("gw1", "gateway", Some("gateway-1"), &gateway),
        account("gw2", "gateway", Some("gateway-2"), &gateway),
        account("gw3", "gateway", None, &["fqdn:gw3.example.net"]),
        // The account for which the registration authority asks.
        account("gw4", "gateway", None, &["fqdn:gw4.example.net"]),
        account("held", "held", Some("held-1"), &["fqdn:held.example.net"]),
        account("sealed", "sealed", Some("sealed-1"), &["fqdn:sealed.example.net"]),
        account("ra1", "ra", Some("ra-1"), &["fqdn:ra1.example.net"]),
        account(
            "partner",
            "gateway",
            Some("partner-1"),
            &["fqdn:partner.example.net", "dn:CN=Partner"],
        ),
    ];
    for account in &mut accounts {
        match account.name.as_str() {
            "gw2" | "sealed" => account.permissions = [Permission::KeyGeneration].into(),
            "partner" => account.permissions = [Permission::CrossCertification].into(),
            "gw3" => {
                account.equipment = Some(Device {
                    vendor: "maker".parse().expect("a name"),
                    value: "SN7".into(),
                    uses_left: u32::MAX,
                    allowed: Timestamp::from_seconds(NOW),
                });
            }
            _ => {}
        }
    }
    ground.store.record_accounts(ground.clock.now(), &accounts).expect("accounts");
}

fn ca(subject: &str, path_length: Option<u8>) -> CaOptions {
    CaOptions {
        subject: countersign_ca::name::distinguished_name(subject).expect("a name"),
        validity: Duration::from_secs(3650 * 86_400),
        path_length,
        permitted: Vec::new(),
        excluded: Vec::new(),
        policies: Vec::new(),
        crl_urls: Vec::new(),
        ocsp_urls: Vec::new(),
        ca_issuers_urls: Vec::new(),
    }
}
