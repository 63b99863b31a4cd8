//! Computes the operations that give a directory the desired entries. It does no I/O.
//!
//! Only values of this program's own are changed: certificates and CRLs whose issuer is one of its CAs, certificates of its CAs, and
//! unreadable values in entries that only this program writes. Everything else is left unchanged. Entries are never deleted, because an
//! entry without certificates does no harm, and others may have added attributes to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use countersign_ca::path::crl::Crl;
use countersign_ca::sets;
use der::{Decode, Encode, Reader, SliceReader};
use x509_cert::Certificate;

use crate::dn::Dn;
use crate::entry::{
    AUTHORITY_REVOCATION_LIST, BINARY, CA_CERTIFICATE, CERTIFICATE_REVOCATION_LIST,
    CROSS_CERTIFICATE_PAIR, DELTA_REVOCATION_LIST, Entry, USER_CERTIFICATE, is_binary,
};

/// An entry as it was found in a directory, with its certificates and CRLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExistingEntry {
    /// The name of the entry in the directory's spelling.
    pub dn: String,
    /// The object classes of the entry.
    pub classes: Vec<String>,
    /// The values of the attributes of RFC 4523, by attribute type.
    pub values: BTreeMap<&'static str, Vec<Bytes>>,
}

/// The rules by which a plan is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether missing entries are created.
    pub create_missing: bool,
    /// Whether revoked and expired certificates of peers are removed.
    pub remove_certificates: bool,
    /// The subjects of this program's CAs, DER.
    pub owners: BTreeSet<Vec<u8>>,
}

/// An operation on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Creates an entry.
    Add {
        /// The name of the entry, by RFC 4514.
        dn: String,
        /// The attribute descriptions and values of the entry, `objectClass` first.
        attributes: Vec<(String, Vec<Bytes>)>,
    },
    /// Changes an entry.
    Modify {
        /// The name of the entry, in the directory's spelling.
        dn: String,
        /// The changes, which the directory makes atomically.
        changes: Vec<Change>,
    },
}

/// A change of one attribute: its attribute description, and values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds values.
    Add(String, Vec<Bytes>),
    /// Deletes these values, of those that the attribute has.
    Delete(String, Vec<Bytes>),
    /// Replaces all values by these.
    Replace(String, Vec<Bytes>),
}

/// The operations that are needed, in order, and the obstacles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The operations.
    pub operations: Vec<Operation>,
    /// Obstacles that an administrator must remove, as sentences.
    pub problems: Vec<String>,
}

impl Operation {
    /// The name of the entry that the operation creates or changes.
    pub fn dn(&self) -> &str {
        match self {
            Self::Add { dn, .. } | Self::Modify { dn, .. } => dn,
        }
    }

    /// The length of the largest value in the operation, in octets.
    pub fn largest(&self) -> usize {
        let values: Vec<&Vec<Bytes>> = match self {
            Self::Add { attributes, .. } => attributes.iter().map(|(_, values)| values).collect(),
            Self::Modify { changes, .. } => changes.iter().map(Change::values).collect(),
        };
        values.into_iter().flatten().map(Bytes::len).max().unwrap_or(0)
    }
}

impl Change {
    /// The values of the change.
    pub const fn values(&self) -> &Vec<Bytes> {
        match self {
            Self::Add(_, values) | Self::Delete(_, values) | Self::Replace(_, values) => values,
        }
    }
}

/// Compares the desired entries with those that were found, each under its [`Dn::key`]. An entry that was found and is not desired loses
/// this program's values.
pub fn plan(desired: &[Entry], found: &HashMap<String, ExistingEntry>, rules: &Rules) -> Plan {
    let mut plan = Plan::default();
    let mut wanted = BTreeSet::new();
    for entry in desired {
        let key = entry.dn.key();
        match found.get(&key) {
            Some(found) => plan.change(entry, found, rules),
            None if !is_sound(entry, &mut plan.problems) => {}
            None if rules.create_missing => plan.operations.push(add(entry)),
            None => plan.problems.push(format!(
                "`{}` does not exist; make it, or set create_missing = true",
                entry.dn
            )),
        }
        wanted.insert(key);
    }
    let mut stale: Vec<(&String, &ExistingEntry)> =
        found.iter().filter(|(key, _)| !wanted.contains(*key)).collect();
    stale.sort_unstable_by_key(|(key, _)| *key);
    for (_, found) in stale {
        plan.strip(found, rules);
    }
    plan
}

impl Plan {
    fn change(&mut self, entry: &Entry, found: &ExistingEntry, rules: &Rules) {
        if !is_sound(entry, &mut self.problems) {
            return;
        }
        let has = |class: &str| found.classes.iter().any(|own| own.eq_ignore_ascii_case(class));
        let is_distribution_point = entry.classes.contains(&"cRLDistributionPoint");
        if is_distribution_point && !has("cRLDistributionPoint") {
            self.problems.push(format!(
                "`{}` is no cRLDistributionPoint, and its class cannot be changed; remove it, or name partitions differently",
                entry.dn
            ));
            return;
        }
        let missing: Vec<Bytes> = AUXILIARY
            .iter()
            .filter(|class| entry.classes.contains(*class) && !has(class))
            .map(|class| Bytes::from_static(class.as_bytes()))
            .collect();
        let mut changes = Vec::new();
        if !missing.is_empty() {
            changes.push(Change::Add("objectClass".into(), missing));
        }
        let is_ours_alone = is_distribution_point || entry.classes.contains(&"pkiCA");
        for name in BINARY {
            let wanted = entry.values(name);
            let existing = found.values.get(name).map_or(&[][..], Vec::as_slice);
            // RFC 4523 §5.7: an entry of this class must have all three attributes.
            let needed = has("certificationAuthority")
                && [CA_CERTIFICATE, CERTIFICATE_REVOCATION_LIST, AUTHORITY_REVOCATION_LIST]
                    .contains(&name);
            let may_remove = !needed || !wanted.is_empty();
            let removable = |value: &Bytes| {
                may_remove
                    && (name != USER_CERTIFICATE || rules.remove_certificates)
                    && is_ours(name, value, rules, is_ours_alone)
            };
            changes.extend(attribute_change(name, wanted, existing, &removable));
        }
        if !changes.is_empty() {
            self.operations.push(Operation::Modify { dn: found.dn.clone(), changes });
        }
    }

    /// Removes this program's values from an entry that is not desired.
    fn strip(&mut self, found: &ExistingEntry, rules: &Rules) {
        let mut changes = Vec::new();
        let needed =
            found.classes.iter().any(|class| class.eq_ignore_ascii_case("certificationAuthority"));
        for (name, existing) in &found.values {
            if needed || (*name == USER_CERTIFICATE && !rules.remove_certificates) {
                continue;
            }
            changes.extend(attribute_change(name, &[], existing, &|value| {
                is_ours(name, value, rules, false)
            }));
        }
        if !changes.is_empty() {
            self.operations.push(Operation::Modify { dn: found.dn.clone(), changes });
        }
    }
}

/// The auxiliary classes of published entries, which can be added to any entry.
const AUXILIARY: [&str; 3] = ["pkiCA", "pkiUser", "deltaCRL"];

fn add(entry: &Entry) -> Operation {
    let classes = entry.classes.iter().map(|class| Bytes::from_static(class.as_bytes())).collect();
    let mut attributes = vec![("objectClass".to_owned(), classes)];
    attributes.extend(entry.attributes.iter().map(|a| (a.description(), a.values.clone())));
    Operation::Add { dn: entry.dn.to_string(), attributes }
}

/// The changes of one attribute. Values are deleted and added in one operation, so that a reader finds the old ones or the new ones.
fn attribute_change(
    name: &str,
    wanted: &[Bytes],
    existing: &[Bytes],
    removable: &dyn Fn(&Bytes) -> bool,
) -> Vec<Change> {
    let description = if is_binary(name) { format!("{name};binary") } else { name.to_owned() };
    let surplus: Vec<Bytes> = existing
        .iter()
        .filter(|value| !wanted.contains(value) && removable(value))
        .cloned()
        .collect();
    let lacking: Vec<Bytes> =
        wanted.iter().filter(|value| !existing.contains(value)).cloned().collect();
    if !surplus.is_empty() && surplus.len() == existing.len() {
        // If no value stays, Replace spares sending the old values, which may be large CRLs.
        return vec![Change::Replace(description, lacking)];
    }
    let mut changes = Vec::new();
    if !surplus.is_empty() {
        changes.push(Change::Delete(description.clone(), surplus));
    }
    if !lacking.is_empty() {
        changes.push(Change::Add(description, lacking));
    }
    changes
}

/// Whether each binary value of an entry is exactly one DER element; if not, the problem is added. This is checked here because slapd
/// accepts a CRL with trailing octets.
fn is_sound(entry: &Entry, problems: &mut Vec<String>) -> bool {
    for attribute in entry.attributes.iter().filter(|attribute| attribute.is_binary()) {
        if !attribute.values.iter().all(|value| der::asn1::AnyRef::from_der(value).is_ok()) {
            problems
                .push(format!("`{}` of `{}` is not DER; it is not sent", attribute.name, entry.dn));
            return false;
        }
    }
    true
}

/// Whether a value belongs to this program. An unreadable value does, if only this program writes the entry.
fn is_ours(name: &str, value: &[u8], rules: &Rules, is_ours_alone: bool) -> bool {
    match owner(name, value) {
        Some(owner) => rules.owners.contains(&owner),
        None => is_ours_alone,
    }
}

/// The name in DER by which the owner of a value is known: its issuer, or for the certificate of a CA its subject. `None` if the value
/// cannot be read.
fn owner(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    // Anybody may have written the value, and the DER library sorts a SET in quadratic time.
    if !sets::are_small(value) {
        return None;
    }
    let certificate = |der: &[u8]| Certificate::from_der(der).ok().map(|c| c.tbs_certificate);
    let name = match name {
        USER_CERTIFICATE => certificate(value)?.issuer,
        CA_CERTIFICATE => certificate(value)?.subject,
        CROSS_CERTIFICATE_PAIR => {
            let pair = der::asn1::AnyRef::from_der(value).ok()?;
            let first = SliceReader::new(pair.value()).ok()?.tlv_bytes().ok()?;
            certificate(der::asn1::AnyRef::from_der(first).ok()?.value())?.subject
        }
        CERTIFICATE_REVOCATION_LIST | AUTHORITY_REVOCATION_LIST | DELTA_REVOCATION_LIST => {
            Crl::from_der(value).ok()?.issuer().clone()
        }
        _ => return None,
    };
    name.to_der().ok()
}

/// The key of a name by which entries are compared: [`Dn::key`], or the name in lower case if it cannot be parsed.
pub fn key_of(dn: &str) -> String {
    dn.parse::<Dn>().map_or_else(|_| dn.to_lowercase(), |dn| dn.key())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::Attribute;

    /// A directory that does what it is told.
    fn apply(found: &mut HashMap<String, ExistingEntry>, operation: &Operation) {
        match operation {
            Operation::Add { dn, attributes } => {
                let mut entry = ExistingEntry { dn: dn.clone(), ..ExistingEntry::default() };
                for (name, values) in attributes {
                    put(&mut entry, name, values);
                }
                assert!(found.insert(key_of(dn), entry).is_none(), "{dn} exists");
            }
            Operation::Modify { dn, changes } => {
                let entry = found.get_mut(&key_of(dn)).expect("it exists");
                for change in changes {
                    match change {
                        Change::Add(name, values) => put(entry, name, values),
                        Change::Delete(name, values) => {
                            let name = BINARY.into_iter().find(|n| name.starts_with(n)).unwrap();
                            let existing = entry.values.get_mut(name).unwrap();
                            for value in values {
                                let at =
                                    existing.iter().position(|v| v == value).expect("it is there");
                                existing.remove(at);
                            }
                        }
                        Change::Replace(name, values) => {
                            let name = BINARY.into_iter().find(|n| name.starts_with(n)).unwrap();
                            entry.values.insert(name, values.clone());
                        }
                    }
                }
            }
        }
    }

    fn put(entry: &mut ExistingEntry, name: &str, values: &[Bytes]) {
        if name == "objectClass" {
            entry.classes.extend(values.iter().map(|v| String::from_utf8(v.to_vec()).unwrap()));
        } else if let Some(name) = BINARY.into_iter().find(|known| name.starts_with(known)) {
            let existing = entry.values.entry(name).or_default();
            for value in values {
                assert!(!existing.contains(value), "a value twice");
                existing.push(value.clone());
            }
        }
    }

    /// Certificates of two CAs, `ours` and `theirs`.
    fn certificates() -> [Vec<Bytes>; 2] {
        ["ours", "theirs"].map(|name| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let issuer = rcgen::Issuer::from_params(&params, &key);
            (0..6)
                .map(|_| {
                    let leaf = rcgen::CertificateParams::default();
                    Bytes::from(leaf.signed_by(&key, &issuer).unwrap().der().to_vec())
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_plan_reaches_what_is_wanted_and_leaves_the_rest(
            wanted in proptest::collection::vec(proptest::collection::vec(0usize..6, 0..4), 4),
            there in proptest::collection::vec(
                proptest::option::of(proptest::collection::vec((0usize..2, 0usize..6), 0..5)), 6),
        ) {
            thread_local!(static MADE: [Vec<Bytes>; 2] = certificates());
            MADE.with(|made| {
                let owners = made[0][..1].iter().map(|der| {
                    Certificate::from_der(der).unwrap().tbs_certificate.issuer.to_der().unwrap()
                });
                let rules = Rules { create_missing: true, remove_certificates: true, owners: owners.collect() };
                let unique = |list: Vec<Bytes>| {
                    let mut seen = Vec::new();
                    for value in list {
                        if !seen.contains(&value) { seen.push(value); }
                    }
                    seen
                };
                let desired: Vec<Entry> = wanted.iter().enumerate().map(|(n, list)| Entry {
                    dn: format!("cn=gw{n},o=x").parse().unwrap(),
                    classes: vec!["device", "pkiUser"],
                    attributes: vec![Attribute::new(
                        USER_CERTIFICATE,
                        unique(list.iter().map(|at| made[0][*at].clone()).collect()),
                    )],
                }).collect();
                let mut found: HashMap<String, ExistingEntry> = there.iter().enumerate().filter_map(|(n, list)| {
                    let dn = format!("CN=GW{n}, O=X");
                    let values = unique(list.as_ref()?.iter().map(|(ca, at)| made[*ca][*at].clone()).collect());
                    let classes = vec!["device".into()];
                    Some((key_of(&dn), ExistingEntry { dn, classes, values: BTreeMap::from([(USER_CERTIFICATE, values)]) }))
                }).collect();
                let before = found.clone();
                let first = plan(&desired, &found, &rules);
                first.operations.iter().for_each(|operation| apply(&mut found, operation));
                assert_eq!(plan(&desired, &found, &rules), Plan::default());
                for n in 0..6 {
                    let key = key_of(&format!("cn=gw{n},o=x"));
                    let has = |found: &HashMap<String, ExistingEntry>, ca: usize| -> BTreeSet<Bytes> {
                        let entry = found.get(&key).and_then(|e| e.values.get(USER_CERTIFICATE));
                        entry.into_iter().flatten().filter(|v| made[ca].contains(v)).cloned().collect()
                    };
                    assert_eq!(has(&found, 1), has(&before, 1), "another CA's values");
                    let wanted: BTreeSet<Bytes> = desired.get(n)
                        .map(|e| e.values(USER_CERTIFICATE).iter().cloned().collect())
                        .unwrap_or_default();
                    assert_eq!(has(&found, 0), wanted);
                }
                let kept = plan(&desired, &before, &Rules { create_missing: false, remove_certificates: false, ..rules });
                let deletes = kept.operations.iter().any(|operation| match operation {
                    Operation::Add { .. } => true,
                    Operation::Modify { changes, .. } =>
                        changes.iter().any(|change| !matches!(change, Change::Add(..))),
                });
                assert!(!deletes, "{kept:?}");
            });
        }
    }

    #[test]
    fn what_is_not_der_is_not_sent() {
        let entry = Entry {
            dn: "cn=ca,o=x".parse().unwrap(),
            classes: vec!["applicationProcess", "pkiCA"],
            attributes: vec![Attribute::new(
                CERTIFICATE_REVOCATION_LIST,
                [Bytes::from_static(b"\x30\x00\x00")],
            )],
        };
        let rules =
            Rules { create_missing: true, remove_certificates: true, owners: BTreeSet::new() };
        let plan = plan(&[entry], &HashMap::new(), &rules);
        assert_eq!(plan.operations, []);
        assert!(plan.problems[0].contains("not DER"), "{plan:?}");
    }
}
