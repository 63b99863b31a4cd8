//! The table of docs/path-validation.md: which validator refuses what RFC 5280 accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// For each class the validators that refuse it.
pub struct Table(BTreeMap<String, BTreeSet<String>>);

impl Table {
    /// Reads the rows that begin with the name of a class, in the order class, validators, reason.
    pub fn read(classes: &BTreeSet<&str>, validators: &[&str]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/path-validation.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [named, who, reason] = cells[..] else { panic!("expected three cells: {line}") };
            assert!(reason.contains('§'), "expected the section that decides: {line}");
            let who: BTreeSet<String> = who.split(", ").map(str::to_owned).collect();
            for other in &who {
                assert!(validators.contains(&other.as_str()), "no validator `{other}`: {line}");
            }
            for class in named.split(", ").map(|name| name.trim_matches('`')) {
                assert!(classes.contains(class), "no class `{class}`: {line}");
                assert!(
                    rows.entry(class.to_owned()).or_default().is_disjoint(&who),
                    "`{class}` is decided twice: {line}"
                );
                rows.entry(class.to_owned()).or_default().extend(who.clone());
            }
        }
        Self(rows)
    }

    /// Whether the table lists this validator for this class.
    pub fn decides(&self, class: &str, validator: &str) -> bool {
        self.0.get(class).is_some_and(|who| who.contains(validator))
    }

    /// All pairs of class and validator.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(class, who)| who.iter().map(move |other| (class.as_str(), other.as_str())))
    }
}
