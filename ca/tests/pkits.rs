//! Paths and CRLs against NIST's Public Key Interoperability Test Suite: every row must come out as NIST has it, but for those named.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::path::Path;
use std::sync::Arc;

use countersign_ca::Timestamp;
use countersign_ca::path::crl::{Crl, CrlStatus, status_by_crls};
use countersign_ca::path::{Anchors, Certificate, Initial, PathSettings, validate};
use serde::Deserialize;

/// Rows that come out otherwise, and why.
const EXCEPTIONS: [(&str, &str); 2] = [
    ("40104", "DSA: no supported IKE daemon takes it"),
    ("40105", "DSA, with parameters inherited from the CA"),
];

/// All certificates of the suite are valid on this day, but for those that shall not be.
const TODAY: Timestamp = Timestamp::from_seconds(1_785_000_000);

#[derive(Deserialize)]
struct Row {
    id: String,
    name: String,
    cert: String,
    #[serde(default)]
    other_certs: Vec<String>,
    #[serde(default)]
    crls: Vec<String>,
    revocation: Option<bool>,
    error: Option<serde_json::Value>,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    user_initial_policy_set: Vec<String>,
    initial_explicit_policy: bool,
    initial_policy_mapping_inhibit: bool,
    initial_any_policy_inhibit: bool,
}

fn read(folder: &str, name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pkits");
    std::fs::read(data.join(folder).join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn certificate(name: &str) -> Result<Arc<Certificate>, String> {
    Certificate::from_der(read("certs", name)).map(Arc::new).map_err(|e| format!("{name}: {e}"))
}

fn run(row: &Row) -> Result<(), String> {
    let anchors = Anchors::new([read("certs", "TrustAnchorRootCertificate.crt")]).unwrap();
    let leaf = certificate(&row.cert)?;
    let others: Vec<_> =
        row.other_certs.iter().map(|name| certificate(name)).collect::<Result<_, _>>()?;
    let settings = PathSettings {
        initial: Initial {
            policies: row
                .params
                .user_initial_policy_set
                .iter()
                .map(|of| of.parse().unwrap())
                .collect(),
            explicit_policy: row.params.initial_explicit_policy,
            inhibit_mapping: row.params.initial_policy_mapping_inhibit,
            inhibit_any: row.params.initial_any_policy_inhibit,
        },
        ..PathSettings::default()
    };
    let path = validate(&anchors, &settings, &[leaf], &others, TODAY).map_err(|e| e.to_string())?;
    if row.revocation == Some(false) {
        return Ok(());
    }
    let names = row.crls.iter().map(String::as_str).chain(["TrustAnchorRootCRL.crl"]);
    let crls: Vec<Arc<Crl>> = names
        .map(|name| {
            Crl::from_der(&read("crls", name)).map(Arc::new).map_err(|e| format!("{name}: {e}"))
        })
        .collect::<Result<_, _>>()?;
    for (certificate, issuer) in path.pairs() {
        match status_by_crls(&anchors, &others, certificate, issuer, &crls, TODAY) {
            CrlStatus::Good(_) => {}
            CrlStatus::Revoked { reason, .. } => {
                return Err(format!("`{}` is revoked: {reason:?}", certificate.shown()));
            }
            CrlStatus::Unknown(why) | CrlStatus::Unsettled(why) => {
                return Err(format!("`{}`: {why}", certificate.shown()));
            }
        }
    }
    Ok(())
}

#[test]
fn every_row_comes_out_as_nist_has_it() {
    let rows: Vec<Row> = serde_json::from_slice(&read("", "pkits.json")).unwrap();
    assert_eq!(rows.len(), 247);
    let mut wrong = Vec::new();
    let mut different = Vec::new();
    for row in &rows {
        let result = run(row);
        if result.is_ok() == row.error.is_some() {
            different.push(row.id.as_str());
            wrong.push(format!("{} {}: {result:?}, expected {:?}", row.id, row.name, row.error));
        }
    }
    let exceptions: Vec<&str> = EXCEPTIONS.iter().map(|(id, _)| *id).collect();
    assert_eq!(different, exceptions, "{}", wrong.join("\n"));
}
