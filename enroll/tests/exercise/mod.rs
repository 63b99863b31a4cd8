//! The whole handler over an authority in a temporary folder, for the fuzzer and the test of its seeds: a message as it
//! came, and the same with what a stranger cannot make put right, so that what lies behind the protection and the proof
//! of possession is reached too. It panics only on a fault of the server.

#[allow(dead_code, reason = "shared with a bench, which uses more of it")]
#[path = "../../../benches/enrol/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::authority::{Authority, CrlSettings, LockSettings, Settings};
use countersign_ca::foundation::Foundation;
use countersign_ca::founding::CaOptions;
use countersign_ca::profile::{DefaultUrls, Profiles};
use countersign_ca::record::{Account, AccountSecret};
use countersign_ca::seal::Sealer;
use countersign_ca::store::{EmbeddedOptions, EmbeddedStore};
use countersign_ca::{Clock, KeyAlgorithm, KeyFolder, Passphrase, SystemEntropy, Timestamp};
use countersign_enroll::cmp::{CmpConfig, CmpService, Route};
use wire::{Answer, Ask, Key, Protector, Request, bits, parts, random, request, seq, tlv};

/// 2026-11-23T14:10:20Z, when the seeds were captured.
const NOW: i64 = 1_795_443_020;
/// After so many messages a new authority is founded: the old one's store grows.
const ENOUGH: u32 = 20_000;
const SECRET: &[u8] = b"correct-horse";
const TIME: &[u8] = b"20261123141020Z";

const KUR: u8 = 0xa7;
const RR: u8 = 0xab;
const ERROR: u8 = 0xb7;
const CERT_CONF: u8 = 0xb8;

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(NOW)
    }
}

/// An authority, and a peer that it knows.
pub struct Place {
    service: CmpService,
    by_secret: Protector,
    by_signature: Option<Protector>,
    key: Key,
    /// An ir of ours, and the answer that awaits its confirmation.
    open: Option<([u8; 16], Vec<u8>)>,
    messages: u32,
    granted: u32,
    _folder: tempfile::TempDir,
}

impl Place {
    /// Founds an authority with two accounts: `gateway-1`, whose secret the seeds have, and one whose secret the repaired
    /// messages have, since wrong ones lock the first.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = EmbeddedOptions { sync: false, ..EmbeddedOptions::default() };
        let store = EmbeddedStore::open(folder.path(), options, &mut |_| {}).expect("a store");
        let ground = Foundation {
            store: Arc::new(store),
            keys: KeyFolder::new(folder.path().join("keys")),
            passphrase: Passphrase::new("secret").expect("a passphrase"),
            clock: Arc::new(Standing),
            entropy: Arc::new(SystemEntropy::default()),
        };
        ground.create_own_keys().expect("keys");
        ground.create_root(&ca("CN=Root", None), KeyAlgorithm::P256).expect("a root");
        let issuing = "issuing".parse().expect("a label");
        ground.create_issuing(&issuing, &ca("CN=CA", Some(0)), KeyAlgorithm::P256).expect("a CA");
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
        let urls = DefaultUrls { crl: Vec::new(), ocsp: Vec::new(), ca_issuers: Vec::new() };
        let profiles = Profiles::new(&BTreeMap::new(), &urls).expect("profiles");
        let authority = Authority::open(ground, profiles, settings).expect("an authority");
        // A stranger's count of iterations is work, and not what is looked for.
        let config = CmpConfig { iterations: 100..=2_000, ..CmpConfig::default() };
        let service = CmpService::new(Arc::new(authority), config);
        let by_secret = Protector::mac("gateway-2", SECRET, 100);
        let mut place = Self {
            service,
            by_secret,
            by_signature: None,
            key: Key::generate(),
            open: None,
            messages: 0,
            granted: 0,
            _folder: folder,
        };
        place.enrol();
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
        if let Some(repaired) = self.repaired(octets) {
            let answer = self.send(&repaired);
            let answer = Answer::read(&answer).expect("an answer that can be read");
            self.granted += u32::from(answer.kind != ERROR && answer.rejection().is_none());
        }
    }

    /// Whatever comes, something that can be read and is protected goes back.
    fn send(&self, octets: &[u8]) -> Vec<u8> {
        let (answer, _) = self.service.answer(&Route::default(), octets).expect("an answer");
        Answer::read(&answer).expect("an answer that can be read");
        answer
    }

    /// Gets a certificate that signs for the peer.
    fn enrol(&mut self) {
        let (request, answer) = self.ask(true);
        let granted = request.granted(&answer, Some(&self.key.public)).expect("a certificate");
        granted.verify(&self.by_secret, &[]).expect("a verifiable answer");
        let certificate = granted.certificate.to_vec();
        let key = std::mem::replace(&mut self.key, Key::generate());
        self.by_signature = Some(Protector::signature(key, certificate).expect("a certificate"));
    }

    fn ask(&self, implicit: bool) -> (Request, Vec<u8>) {
        let content = self.key.request(Ask::Ir, None);
        let request = request(Ask::Ir, &content, &self.by_secret, implicit);
        let message = self.rebuilt(&request.message, &request.transaction, None);
        let answer = self.send(&message.expect("our own message"));
        (request, answer)
    }

    /// The transaction that a certConf or an error goes on with, and the nonce that it repeats.
    fn opened(&mut self) -> ([u8; 16], Vec<u8>) {
        self.open.take().unwrap_or_else(|| {
            let (request, answer) = self.ask(false);
            let granted = request.granted(&answer, None).expect("a certificate");
            (request.transaction, granted.answer.nonce.to_vec())
        })
    }

    /// The message with a transaction of its own, dated now, with a right proof of possession and a right protection.
    fn repaired(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        let whole = parts(octets).ok()?;
        let message = parts(whole.first()?.content).ok()?;
        match message.get(1)?.tag {
            CERT_CONF | ERROR => {
                let (transaction, nonce) = self.opened();
                self.rebuilt(octets, &transaction, Some(&nonce))
            }
            _ => self.rebuilt(octets, &random::<16>(), None),
        }
    }

    fn rebuilt(&self, octets: &[u8], transaction: &[u8], nonce: Option<&[u8]>) -> Option<Vec<u8>> {
        let whole = parts(octets).ok()?;
        let message = parts(whole.first()?.content).ok()?;
        let [header, body, rest @ ..] = message.as_slice() else { return None };
        let by = match body.tag {
            KUR | RR => self.by_signature.as_ref()?,
            _ => &self.by_secret,
        };
        let (kid, sender, own) = match by {
            Protector::Mac { reference, .. } => (reference, None, Vec::new()),
            Protector::Signature { key_identifier, sender, certificate, .. } => {
                (key_identifier, Some(sender), certificate.clone())
            }
        };
        let mut fields: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        let all = parts(header.content).ok()?;
        let (fixed, tagged) = all.split_at_checked(3)?;
        for field in tagged {
            fields.insert(field.tag, field.whole.to_vec());
        }
        let octet_string = |tag, octets: &[u8]| tlv(tag, &tlv(4, octets));
        fields.insert(0xa0, tlv(0xa0, &tlv(0x18, TIME)));
        fields.insert(0xa1, tlv(0xa1, by.algorithm()));
        fields.insert(0xa2, octet_string(0xa2, kid));
        fields.insert(0xa4, octet_string(0xa4, transaction));
        if let Some(nonce) = nonce {
            fields.insert(0xa6, octet_string(0xa6, nonce));
        }
        let sender = sender.map_or(fixed[1].whole, Vec::as_slice);
        let fields: Vec<u8> = fields.into_values().flatten().collect();
        let header = seq(&[fixed[0].whole, sender, fixed[2].whole, &fields]);
        let body = match body.tag {
            0xa0 | 0xa2 | KUR => self.proven(body.content).map(|content| tlv(body.tag, &content)),
            _ => None,
        }
        .unwrap_or_else(|| body.whole.to_vec());
        let protection = by.protect(&seq(&[&header, &body]));
        let others = rest.iter().find(|part| part.tag == 0xa1);
        let others = others.and_then(|part| Some(parts(part.content).ok()?.first()?.content));
        let extra = [&own, others.unwrap_or_default()].concat();
        let extra = if extra.is_empty() { Vec::new() } else { tlv(0xa1, &seq(&[&extra])) };
        Some(seq(&[&header, &body, &tlv(0xa0, &bits(&protection)), &extra]))
    }

    /// CertReqMessages with our key in the template, and a proof of possession by it.
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
                0xa6 => tlv(0xa6, &key),
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

/// Wrong secrets lock a reference, and here no time passes: the fuzzer's own has an account of its own.
fn record_accounts(ground: &Foundation) {
    let pem = std::fs::read(ground.keys.file("_seal.pub")).expect("the sealing key");
    let (_, spki) = ::der::pem::decode_vec(&pem).expect("PEM");
    let sealer = Sealer::from_der(&spki).expect("a sealing key");
    let account = |number: u8| {
        let reference = format!("gateway-{number}");
        let sealed = sealer.seal(SECRET, reference.as_bytes(), ground.entropy.as_ref());
        Account {
            name: format!("gw{number}").parse().expect("a name"),
            identities: ["fqdn:gw1.example.net", "ip:192.0.2.1", "dn:CN=gw1.example.net,O=Example"]
                .iter()
                .map(|identity| identity.parse().expect("an identity"))
                .collect(),
            profile: "gateway".parse().expect("a profile"),
            ca: None,
            secret: Some(AccountSecret {
                reference,
                sealed: sealed.expect("a sealed secret"),
                expires: Timestamp::from_seconds(NOW + 86_400),
                uses_left: u32::MAX,
                locked_until: None,
                locks: 0,
            }),
            equipment: None,
            created: Timestamp::from_seconds(NOW),
            permissions: Default::default(),
        }
    };
    let now = ground.clock.now();
    ground.store.record_accounts(now, &[account(1), account(2)]).expect("accounts");
}

fn ca(subject: &str, path_length: Option<u8>) -> CaOptions {
    CaOptions {
        subject: countersign_ca::identity::distinguished_name(subject).expect("a name"),
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
