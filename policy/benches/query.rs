//! The cost of a question and of loading: `cargo bench -p countersign-policy` (docs/PERFORMANCE.md).
//!
//! Questions have the 59 attributes of isakmpd, and are evaluated against conditions of five terms. The same run measures the same
//! decision written by hand in Rust over a hash map, and besides loading also mere signature verification on all cores.
//! `POLICY_BENCH_CREDENTIALS` (default 100,000) makes it smaller. Figures depend on the machine; only ratios are comparable.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that panics says so")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign_policy::ipsec::{
    Cipher, CivilTime, Encapsulation, Esp, EspAlgorithms, Exchange, Identity, Integrity, Moment,
    Phase1, Phase2, Proposal, Selector, Subnet, Terms,
};
use countersign_policy::signature::{Encoding, SigningKey};
use countersign_policy::{AttributeSet, ComplianceValues, PolicySet, Question, Requesters, Source};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};

const BATCHES: usize = 9;
const BATCH: Duration = Duration::from_millis(60);
const FOUR: &str = "app_domain == \"IPsec policy\" && esp_present == \"yes\" && esp_enc_alg == \"aes\" && \
                    @esp_key_length >= 128";
const LAST: &str = "remote_filter_type == \"IPv4 subnet\"";

fn main() {
    let most: usize = std::env::var("POLICY_BENCH_CREDENTIALS")
        .ok()
        .map_or(100_000, |text| text.parse().unwrap());
    let asked = question();
    let attributes = asked.attributes().unwrap();
    let values = ComplianceValues::boolean();
    println!(
        "policy: {} attributes, a condition of five terms, values false and true\n",
        attributes.len()
    );

    let hand = by_hand(&attributes);
    let build = median(|| drop(black_box(asked.attributes().unwrap())));
    println!("| | one question | ÷ by hand |\n|---|---|---|");
    row("the same decision by hand, over a HashMap", hand, hand);
    row("building the attribute set from a typed question", build, hand);
    let one = ask(&policy(&[("POLICY", "alice")]), "alice", &attributes, &values);
    row("one policy assertion", one, hand);
    let named = policy(&[("POLICY", KEY)]);
    let parse = median(|| drop(black_box(Requesters::new([KEY]).unwrap())));
    row("one policy assertion, an RSA key asks", ask(&named, KEY, &attributes, &values), hand);
    row("reading that key's spelling", parse, hand);

    println!(
        "\n| credentials loaded | fan-out, one asks | ÷ at 10 | chain of as many, conditions alike | each link its own | ns a link |"
    );
    println!("|---|---|---|---|---|---|");
    let (mut first, mut last, mut chain_1000) = (None, None, None);
    for count in [10, 100, 1_000, 10_000, 100_000].into_iter().filter(|count| *count <= most) {
        let fan = ask(&fan_out(count), &format!("user{}", count / 2), &attributes, &values);
        let base = *first.get_or_insert(fan);
        last = Some(fan);
        let end = format!("p{count}");
        let alike = ask(&chain(count, false), &end, &attributes, &values);
        let own = ask(&chain(count, true), &end, &attributes, &values);
        if count == 1_000 {
            chain_1000 = Some((alike, own));
        }
        let link = own.as_secs_f64() * 1e9 / count as f64;
        let ratio = fan.as_secs_f64() / base.as_secs_f64();
        println!(
            "| {count} | {} | {ratio:.2} | {} | {} | {link:.0} |",
            show(fan),
            show(alike),
            show(own)
        );
    }
    load(most.min(100_000));

    println!("\n| goal | | measured | target | |\n|---|---|---|---|---|");
    goal("14", "one policy assertion", one, Duration::from_micros(1));
    goal("14, stretch", "one policy assertion", one, Duration::from_nanos(500));
    goal("14", "fan-out, the most credentials", last.unwrap(), Duration::from_micros(5));
    goal("14, stretch", "fan-out, the most credentials", last.unwrap(), Duration::from_nanos(2500));
    if let Some((alike, own)) = chain_1000 {
        goal("issue", "chain of 1,000, conditions alike", alike, Duration::from_micros(100));
        goal("issue", "chain of 1,000, each link its own", own, Duration::from_micros(100));
    }
}

const KEY: &str = "rsa-hex:30818902818100d46a6eb3556bf218773116f9fb597ea5b98a92e7024f264cdfbc9a74378a196858459cf196bcf3626ecee0fb\
a8920b3f74da3531c39149b08d11a9d97a0054f6a05ddf1c87af0242acf27351cd9ba47e31f0af4e022a462c4b5c7b854d874b7e0b9ceb503847916f7e698f\
b174421ac0ce9c149e2dba6c366e426fee1e7826190203010001";

fn question() -> Phase2 {
    let subnet = |text: &str| {
        let subnet = Subnet::new(text.parse().unwrap(), 24).unwrap();
        Some(Selector { identity: Identity::Subnet(subnet), protocol: 0, port: 0 })
    };
    let now = CivilTime::new((2026, 11, 23), (10, 30, 0)).unwrap();
    let terms = Terms {
        life_seconds: Some(3600),
        encapsulation: Some(Encapsulation::Tunnel),
        group: Some(19),
        ..Terms::default()
    };
    Phase2 {
        phase1: Phase1 {
            exchange: Exchange::Ikev2,
            initiator: false,
            group: Some(19),
            identity: Selector {
                identity: Identity::Fqdn(b"gw7.example.org".to_vec()),
                protocol: 17,
                port: 500,
            },
            remote_address: "198.51.100.7".parse().unwrap(),
            local_address: "203.0.113.1".parse().unwrap(),
            moment: Moment { utc: now, local: now },
        },
        initiator: false,
        pfs: true,
        proposal: Proposal {
            esp: Some(Esp {
                algorithms: EspAlgorithms::Separate(Cipher::Aes, Some(Integrity::HmacSha256)),
                key_length: Some(256),
                key_rounds: None,
                terms,
            }),
            ..Proposal::default()
        },
        remote: subnet("10.3.51.0"),
        local: subnet("172.16.0.0"),
    }
}

/// The five terms as a programmer would write them.
fn by_hand(attributes: &AttributeSet) -> Duration {
    let map: HashMap<String, String> = attributes
        .iter()
        .map(|(name, value)| {
            (
                String::from_utf8_lossy(name).into_owned(),
                String::from_utf8_lossy(value).into_owned(),
            )
        })
        .collect();
    let get = |name: &str| map.get(name).map_or("", String::as_str);
    median(|| {
        let allowed = get("app_domain") == "IPsec policy"
            && get("esp_present") == "yes"
            && get("esp_enc_alg") == "aes"
            && get("esp_key_length").parse::<i32>().unwrap_or(0) >= 128
            && get("remote_filter_type") == "IPv4 subnet";
        assert!(black_box(allowed));
    })
}

fn policy(delegations: &[(&str, &str)]) -> PolicySet {
    let mut builder = PolicySet::builder();
    for (authorizer, licensee) in delegations {
        builder.assertion(&assertion(authorizer, licensee));
    }
    builder.build()
}

fn assertion(authorizer: &str, licensee: &str) -> Source {
    let text = format!(
        "Authorizer: \"{authorizer}\"\nLicensees: \"{licensee}\"\nConditions: {FOUR} && {LAST};\n"
    );
    Source::new("bench", text.into_bytes())
}

fn fan_out(count: usize) -> PolicySet {
    let mut builder = PolicySet::builder();
    builder.assertion(&assertion("POLICY", "authority"));
    for user in 0..count {
        builder.assertion(&assertion("authority", &format!("user{user}")));
    }
    builder.build()
}

/// A chain of delegations. With `own`, no two links have the same conditions.
fn chain(count: usize, own: bool) -> PolicySet {
    let mut builder = PolicySet::builder();
    builder.assertion(&assertion("POLICY", "p1"));
    for link in 1..count {
        let last = if own { format!("remote_id != \"no{link}\"") } else { LAST.to_owned() };
        let text = format!(
            "Authorizer: \"p{link}\"\nLicensees: \"p{}\"\nConditions: {FOUR} && {last};\n",
            link + 1
        );
        builder.assertion(&Source::new("bench", text.into_bytes()));
    }
    builder.build()
}

fn ask(
    set: &PolicySet,
    requester: &str,
    attributes: &AttributeSet,
    values: &ComplianceValues,
) -> Duration {
    let requesters = Requesters::new([requester]).unwrap();
    let question = Question { attributes, requesters: &requesters, values };
    assert_eq!(set.ask(question).value, b"true");
    median(|| {
        black_box(set.ask(black_box(question)));
    })
}

/// The median over batches of the time of one run.
fn median(mut run: impl FnMut()) -> Duration {
    let started = Instant::now();
    let mut runs = 0_u32;
    while started.elapsed() < BATCH {
        run();
        runs += 1;
    }
    let mut times: Vec<Duration> = (0..BATCHES)
        .map(|_| {
            let started = Instant::now();
            (0..runs).for_each(|_| run());
            started.elapsed() / runs
        })
        .collect();
    times.sort_unstable();
    times.get(BATCHES / 2).copied().unwrap()
}

/// Loading signed credentials, compared with only verifying as many signatures on all cores.
fn load(count: usize) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let key = SigningKey::from_pkcs8(pkcs8.as_ref(), &random).unwrap();
    let authority = key.principal();
    let mut texts = String::new();
    for user in 0..count {
        let body = format!(
            "Authorizer: \"{authority}\"\nLicensees: \"user{user}\"\nConditions: {FOUR} && {LAST};\n"
        );
        let signature = key.sign(body.as_bytes(), Encoding::Base64, &random).unwrap();
        texts.push_str(&format!("{body}Signature: \"{signature}\"\n\n"));
    }
    let source = Source::new("credentials", texts.into_bytes());
    let policy = assertion("POLICY", &authority.to_string());
    let mut ratios = Vec::new();
    let (mut bare_time, mut load_time) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let bare = bare_verification(count, pkcs8.as_ref(), &random);
        let started = Instant::now();
        let mut builder = PolicySet::builder();
        builder.assertion(&policy).credentials(&source);
        let set = builder.build();
        let loaded = started.elapsed();
        assert_eq!((set.len(), set.dropped().len()), (count + 1, 0));
        ratios.push(loaded.as_secs_f64() / bare.as_secs_f64());
        (bare_time, load_time) = (bare_time.min(bare), load_time.min(loaded));
    }
    ratios.sort_by(f64::total_cmp);
    println!("\n| loading {count} credentials signed with P-256 | | ÷ bare |\n|---|---|---|");
    println!("| verifying as many signatures on all cores, nothing else | {bare_time:.2?} | 1 |");
    println!(
        "| loading: parse, verify, connect | {load_time:.2?} | {:.2} |",
        ratios.get(1).unwrap()
    );
}

fn bare_verification(count: usize, pkcs8: &[u8], random: &SystemRandom) -> Duration {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, random).unwrap();
    let message = vec![b'x'; 500];
    let signature = pair.sign(random, &message).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref().to_vec());
    let done = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while done.fetch_add(1, Ordering::Relaxed) < count {
                    key.verify(&message, signature.as_ref()).unwrap();
                }
            });
        }
    });
    started.elapsed()
}

fn show(time: Duration) -> String {
    let ns = time.as_secs_f64() * 1e9;
    if ns < 10_000.0 { format!("{ns:.0} ns") } else { format!("{:.1} µs", ns / 1e3) }
}

fn row(what: &str, time: Duration, base: Duration) {
    println!("| {what} | {} | {:.1} |", show(time), time.as_secs_f64() / base.as_secs_f64());
}

fn goal(number: &str, what: &str, measured: Duration, target: Duration) {
    let verdict = if measured <= target { "met" } else { "missed" };
    println!("| {number} | {what} | {} | ≤ {} | {verdict} |", show(measured), show(target));
}
