//! Changes to a good path. Each class changes one thing, and RFC 5280 decides whether the path may still be accepted. A path that another
//! validator accepts against the RFC has no class here; docs/path-validation.md describes it.

use super::classes_crl::crls;
use super::classes_names::{constraints, names};
use super::der::{boolean, element, integer, oid, sequence};
use super::model::{
    AUTHORITY_KEY, BASIC_CONSTRAINTS, DAY, Draft, INHIBIT_ANY, KEY_PURPOSES, KEY_USAGE, NOW,
    POLICIES, POLICY_CONSTRAINTS, POLICY_MAPPINGS, Random, SUBJECT_KEY, extension,
};

type Change = Box<dyn Fn(&mut Random, &mut Draft)>;

/// A way to change a path.
pub struct Class {
    pub name: &'static str,
    /// The group. Two classes of one group would interfere with each other.
    pub group: Group,
    /// Whether a path with this change must be accepted.
    pub is_good: bool,
    pub change: Change,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Chain,
    Names,
    Constraints,
    Policies,
    Crls,
    /// Changes that interfere with many others.
    Alone,
}

impl Group {
    /// Whether classes of two groups can change one path. Classes of names and of CRLs cannot: if a certificate spells its issuer's name
    /// differently from the CRL, another validator may not find its entry.
    pub fn goes_with(self, other: Self) -> bool {
        let pair = [self, other];
        self != other
            && !pair.contains(&Self::Alone)
            && !(pair.contains(&Self::Names) && pair.contains(&Self::Crls))
    }
}

pub fn class(
    name: &'static str,
    group: Group,
    is_good: bool,
    change: impl Fn(&mut Random, &mut Draft) + 'static,
) -> Class {
    Class { name, group, is_good, change: Box::new(change) }
}

pub fn all() -> Vec<Class> {
    [chain(), names(), constraints(), policies(), crls()].into_iter().flatten().collect()
}

/// Dates, signatures, extensions.
fn chain() -> Vec<Class> {
    let class = |name, is_good, change: fn(&mut Random, &mut Draft)| {
        self::class(name, Group::Chain, is_good, change)
    };
    vec![
        class("control", true, |_, _| ()),
        class("signature-broken", false, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].is_broken = true;
        }),
        class("ended", false, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].not_after = NOW - 1 - random.below(90) as i64 * DAY;
        }),
        class("not-yet-valid", false, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].not_before = NOW + 1 + random.below(90) as i64 * DAY;
        }),
        class("first-second", true, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].not_before = NOW;
        }),
        class("last-second", true, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].not_after = NOW;
        }),
        class("no-end", true, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].not_after = 253_402_300_799;
        }),
        class("ca-without-basic-constraints", false, |random, draft| {
            let at = draft.some_ca(random);
            draft.certificates[at].remove(BASIC_CONSTRAINTS);
        }),
        class("ca-that-is-none", false, |random, draft| {
            let at = draft.some_ca(random);
            draft.certificates[at].set(extension(BASIC_CONSTRAINTS, true, sequence(&[])));
        }),
        class("ca-without-key-cert-sign", false, |random, draft| {
            let at = draft.some_ca(random);
            draft.certificates[at].set(extension(KEY_USAGE, true, vec![0x03, 2, 1, 0x02]));
        }),
        class("ca-of-version-1", false, |random, draft| {
            let at = draft.some_ca(random);
            draft.certificates[at].version = 0;
            draft.certificates[at].extensions.clear();
        }),
        class("path-length-0-and-a-ca-below", false, |_, draft| {
            let at = draft.last_ca() - 1;
            let basic = sequence(&[boolean(true), integer(0)]);
            draft.certificates[at].set(extension(BASIC_CONSTRAINTS, true, basic));
        }),
        class("path-length-that-is-enough", true, |random, draft| {
            let at = draft.some_ca(random);
            let below = draft.last_ca() - at;
            let basic = sequence(&[boolean(true), integer(below as u64)]);
            draft.certificates[at].set(extension(BASIC_CONSTRAINTS, true, basic));
        }),
        class("unknown-critical-extension", false, |random, draft| {
            let at = draft.some(random);
            let id = format!("1.3.6.1.4.1.99999.{}", random.below(1000));
            draft.certificates[at].set(extension(&id, true, vec![5, 0]));
        }),
        class("unknown-extension", true, |random, draft| {
            let at = draft.some(random);
            let id = format!("1.3.6.1.4.1.99999.{}", random.below(1000));
            draft.certificates[at].set(extension(&id, false, vec![5, 0]));
        }),
        class("unknown-extension-of-a-long-oid", true, |random, draft| {
            let at = draft.some(random);
            let id = format!("1.3.6.1.4.1.99999{}", ".4000000000".repeat(8));
            draft.certificates[at].set(extension(&id, false, vec![5, 0]));
        }),
        class("unknown-extension-of-an-oid-of-two-octets", true, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].set(extension("2.999", false, vec![5, 0]));
        }),
        class("another-key-identifier", true, |random, draft| {
            let at = draft.some(random);
            let other = sequence(&[element(0x80, &[7; 20])]);
            draft.certificates[at].set(extension(AUTHORITY_KEY, false, other));
        }),
        class("no-key-identifiers", true, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].remove(AUTHORITY_KEY);
            draft.certificates[at].remove(SUBJECT_KEY);
        }),
        class("serial-number-of-20-octets", true, |random, draft| {
            let at = draft.some(random);
            draft.certificates[at].serial = [&[0x7f][..], &[0xa5; 19]].concat();
        }),
        class("leaf-with-no-key-usage", true, |_, draft| draft.leaf().remove(KEY_USAGE)),
        class("key-purpose-of-a-long-oid", true, |_, draft| {
            let long = format!("1.3.6.1.4.1.99999{}", ".4000000000".repeat(8));
            let purposes = sequence(&[oid("1.3.6.1.5.5.7.3.2"), oid(&long)]);
            draft.leaf().set(extension(KEY_PURPOSES, false, purposes));
            draft.settings.push("purpose 1.3.6.1.5.5.7.3.2".into());
        }),
        // Bouncy Castle wants a CRL from before the certificate's end: not with `last-second`.
        class("crl-of-this-second", true, |random, draft| {
            let at = draft.some(random);
            draft.crl_about(at).0.this_update = NOW;
        }),
    ]
}

/// anyPolicy
const ANY: &str = "2.5.29.32.0";

fn with_policies(draft: &mut Draft, at: usize, policies: &[&str]) {
    let all: Vec<_> = policies.iter().map(|policy| sequence(&[oid(policy)])).collect();
    draft.certificates[at].set(extension(POLICIES, false, sequence(&all)));
}

/// These policies in all certificates below the root.
fn everywhere(draft: &mut Draft, policies: &[&str]) {
    for at in 1..draft.certificates.len() {
        with_policies(draft, at, policies);
    }
}

fn wanted(draft: &mut Draft, policies: &[&str]) {
    draft.settings.push("explicit-policy".into());
    draft.settings.extend(policies.iter().map(|policy| format!("policy {policy}")));
}

fn map(draft: &mut Draft, at: usize, from: &str, to: &str) {
    let mapping = sequence(&[sequence(&[oid(from), oid(to)])]);
    draft.certificates[at].set(extension(POLICY_MAPPINGS, true, mapping));
}

/// Constraints on policies: explicit [0], mapping [1].
fn constrain(draft: &mut Draft, at: usize, tag: u8, skip: u8) {
    let constraints = sequence(&[element(tag, &[skip])]);
    draft.certificates[at].set(extension(POLICY_CONSTRAINTS, true, constraints));
}

const GOLD: &str = "1.3.6.1.4.1.99999.1.1";
const SILVER: &str = "1.3.6.1.4.1.99999.1.2";

fn policies() -> Vec<Class> {
    let class = |name, is_good, change: fn(&mut Random, &mut Draft)| {
        self::class(name, Group::Policies, is_good, change)
    };
    vec![
        class("policy-everywhere", true, |_, draft| {
            everywhere(draft, &[GOLD]);
            wanted(draft, &[GOLD]);
        }),
        class("policy-of-an-oid-of-two-octets", true, |_, draft| {
            everywhere(draft, &["1.2.3"]);
            wanted(draft, &["1.2.3"]);
        }),
        class("policy-of-an-oid-in-arc-2-999", true, |_, draft| {
            everywhere(draft, &["2.999.1"]);
            wanted(draft, &["2.999.1"]);
        }),
        class("policy-of-a-long-oid", true, |_, draft| {
            let long = format!("1.3.6.1.4.1.99999{}", ".4000000000".repeat(8));
            everywhere(draft, &[&long]);
            wanted(draft, &[&long]);
        }),
        class("another-long-policy", false, |_, draft| {
            let arcs = ".4000000000".repeat(7);
            everywhere(draft, &[&format!("1.3.6.1.4.1.99999{arcs}.4000000000")]);
            wanted(draft, &[&format!("1.3.6.1.4.1.99999{arcs}.4000000001")]);
        }),
        class("policy-of-a-uuid", true, |_, draft| {
            everywhere(draft, &["2.25.329800735698586629295641978511506172918"]);
            wanted(draft, &["2.25.329800735698586629295641978511506172918"]);
        }),
        class("another-policy", false, |_, draft| {
            everywhere(draft, &[SILVER]);
            wanted(draft, &[GOLD]);
        }),
        class("policy-missing-once", false, |random, draft| {
            everywhere(draft, &[GOLD]);
            let at = draft.some(random);
            draft.certificates[at].remove(POLICIES);
            wanted(draft, &[]);
        }),
        class("policy-missing-and-nobody-asks", true, |random, draft| {
            everywhere(draft, &[GOLD]);
            let at = draft.some(random);
            draft.certificates[at].remove(POLICIES);
        }),
        class("any-policy-in-the-cas", true, |_, draft| {
            everywhere(draft, &[ANY]);
            let leaf = draft.certificates.len() - 1;
            with_policies(draft, leaf, &[GOLD]);
            wanted(draft, &[GOLD]);
        }),
        class("any-policy-in-one-ca", true, |_, draft| {
            everywhere(draft, &[GOLD, SILVER]);
            with_policies(draft, 1, &[ANY]);
            wanted(draft, &[]);
        }),
        class("any-policy-inhibited-by-a-ca", false, |_, draft| {
            everywhere(draft, &[GOLD]);
            draft.certificates[1].set(extension(INHIBIT_ANY, true, integer(0)));
            with_policies(draft, 2, &[ANY]);
            wanted(draft, &[GOLD]);
        }),
        class("any-policy-inhibited-later", true, |_, draft| {
            everywhere(draft, &[GOLD]);
            draft.certificates[1].set(extension(INHIBIT_ANY, true, integer(1)));
            with_policies(draft, 2, &[ANY]);
            wanted(draft, &[GOLD]);
        }),
        class("any-policy-inhibited-at-first", false, |random, draft| {
            everywhere(draft, &[GOLD]);
            let at = draft.some(random);
            with_policies(draft, at, &[ANY]);
            draft.settings.push("inhibit-any".into());
            wanted(draft, &[GOLD]);
        }),
        class("policy-required-by-a-ca", false, |_, draft| {
            everywhere(draft, &[GOLD]);
            draft.leaf().remove(POLICIES);
            constrain(draft, 1, 0x80, 0);
        }),
        class("policy-required-by-a-ca-and-there", true, |_, draft| {
            everywhere(draft, &[GOLD]);
            constrain(draft, 1, 0x80, 0);
        }),
        class("policy-required-behind-the-leaf", true, |_, draft| {
            constrain(draft, 1, 0x80, 9);
        }),
        class("policy-mapped", true, |_, draft| {
            let at = draft.last_ca();
            everywhere(draft, &[GOLD]);
            map(draft, at, GOLD, SILVER);
            let leaf = draft.certificates.len() - 1;
            with_policies(draft, leaf, &[SILVER]);
            wanted(draft, &[GOLD]);
        }),
        class("policy-mapped-away", false, |_, draft| {
            let at = draft.last_ca();
            everywhere(draft, &[GOLD]);
            map(draft, at, GOLD, SILVER);
            wanted(draft, &[GOLD]);
        }),
        class("policy-mapping-inhibited", false, |_, draft| {
            let at = draft.last_ca();
            everywhere(draft, &[GOLD]);
            map(draft, at, GOLD, SILVER);
            let leaf = draft.certificates.len() - 1;
            with_policies(draft, leaf, &[SILVER]);
            draft.settings.push("inhibit-mapping".into());
            wanted(draft, &[GOLD]);
        }),
        class("policy-mapping-inhibited-by-a-ca", false, |_, draft| {
            let at = draft.last_ca();
            everywhere(draft, &[GOLD]);
            constrain(draft, at - 1, 0x81, 0);
            map(draft, at, GOLD, SILVER);
            let leaf = draft.certificates.len() - 1;
            with_policies(draft, leaf, &[SILVER]);
            wanted(draft, &[GOLD]);
        }),
        class("any-policy-mapped", false, |_, draft| {
            let at = draft.last_ca();
            everywhere(draft, &[GOLD]);
            map(draft, at, ANY, SILVER);
        }),
    ]
}
