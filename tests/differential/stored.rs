//! Stored paths, in `data/`: `root`, the CAs below it from `ca0` on, `leaf`, and the CRLs from `crl0` on.

use std::path::Path;

use super::model::Case;

/// 2026-11-30 06:00:00 UTC, when all of them are valid.
const MOMENT: &str = "moment 1796018400";

/// The stored paths, each with the verdict of the RFC and its validation settings.
const ALL: &[(&str, bool, &[&str])] = &[
    ("control-policy-OID-1-2-3-4", true, &["explicit-policy", "policy 1.2.3.4"]),
    ("policy-OID-of-2-octets-1-2-3", true, &["explicit-policy", "policy 1.2.3"]),
    (
        "policy-OID-of-40-octets",
        true,
        &[
            "explicit-policy",
            "policy 1.3.6.1.4.1.99999.99999.99999.99999.99999.99999.99999.99999.99999.99999.99999.99999",
        ],
    ),
    ("EKU-clientAuth-OID-of-40-octets", true, &["purpose 1.3.6.1.5.5.7.3.2"]),
    ("permitted-email-leaf-a-example-com", false, &[]),
    ("permitted-URI-leaf-http-example-com", false, &[]),
];

/// A stored path, and whether it must be accepted.
pub struct Stored {
    pub name: &'static str,
    pub is_good: bool,
    pub case: Case,
}

pub fn all() -> Vec<Stored> {
    let read = |(name, is_good, settings): &(&'static str, bool, &[&str])| {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/data").join(name);
        let numbered = |of: &str| -> Vec<Vec<u8>> {
            let files = (0..).map(|number| folder.join(format!("{of}{number}.der")));
            files.map_while(|file| std::fs::read(file).ok()).collect()
        };
        let one = |of: &str| std::fs::read(folder.join(of)).unwrap();
        let certificates = [vec![one("root.der")], numbered("ca"), vec![one("leaf.der")]].concat();
        let settings = [MOMENT].iter().chain(*settings).map(|line| (*line).to_owned());
        let case = Case { certificates, crls: numbered("crl"), settings: settings.collect() };
        Stored { name, is_good: *is_good, case }
    };
    ALL.iter().map(read).collect()
}
