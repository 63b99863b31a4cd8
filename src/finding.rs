//! Findings: what an administrator should look at, as `countersign status` shows it, and as notifications and metrics report it.

use countersign_ca::record::Label;
use countersign_ca::x509::Facts;
use serde::{Deserialize, Serialize};

/// The codes of all findings. `docs/operation.md` explains them.
pub const CODES: &[&str] = &[
    "not-running",
    "unreadable",
    "ca-ended",
    "ca-cuts",
    "ca-ends",
    "ca-retired",
    "crl-none",
    "crl-over",
    "crl-stale",
    "crl-ends",
    "renewal-overdue",
    "renewal-missed",
    "never-enrolled",
    "request-new",
    "request-waits",
    "disk-full",
    "disk-little",
    "backup-none",
    "backup-old",
    "directory",
    "clock",
    "notify",
];

/// Something that an administrator should look at. Its code and its subject together identify it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A name for its kind, which does not change, such as `crl-stale`.
    pub code: String,
    /// The object that it is about, if it is about one: a CA, a CRL as `CA/SCOPE`, a directory, a receiver of notifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The finding, as a sentence.
    pub message: String,
    /// The objects, if it is about several: certificates, accounts, requests.
    #[serde(skip)]
    pub members: Vec<Member>,
}

/// One of the objects of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What tells it from all others, such as the serial number of a certificate.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// How bad a finding is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Somebody waits for an administrator; nothing is wrong.
    Notice,
    /// Something will not work soon, or is forgotten.
    Warning,
    /// Something does not work.
    Error,
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Self; 3] = [Self::Notice, Self::Warning, Self::Error];

    /// Its name in JSON, in settings and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    /// A finding about the instance as a whole.
    pub fn new(severity: Severity, code: &str, message: String) -> Self {
        Self { severity, code: code.into(), subject: None, message, members: Vec::new() }
    }

    /// Says which object the finding is about.
    pub fn about(&mut self, subject: impl ToString) -> &mut Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// Says which objects the finding is about.
    pub fn with_members(&mut self, members: Vec<Member>) -> &mut Self {
        self.members = members;
        self
    }
}

/// What an administrator does before an issuing CA ends. A self-signed one has nothing above it that would certify a next key.
pub fn before_the_end(name: &Label, certificate: &[u8]) -> String {
    match Facts::of(certificate) {
        Ok(facts) if facts.issuer == facts.subject => format!(
            "it is self-signed and gets no next key; give its accounts another CA with `countersign peer edit --ca`, and then \
             `countersign ca retire {name}`"
        ),
        _ => format!("see to `countersign ca roll {name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the documentation, and the places where findings are made, know the same codes.
    #[test]
    fn every_code_is_documented_and_no_other_is_used() {
        let documentation = include_str!("../docs/operation.md");
        let (_, section) = documentation.split_once("## What expires, what waits").unwrap();
        let section = section.split("\n### ").next().unwrap();
        let documented: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .flat_map(|line| line.split(" | ").next().unwrap_or_default().split('`'))
            .filter(|word| !word.is_empty() && *word != ", ")
            .collect();
        let status = include_str!("admin/status.rs");
        let pattern = ["found.error(", "found.warning(", "found.notice("];
        let used = pattern.iter().flat_map(|call| {
            status.split(call).skip(1).filter_map(|rest| {
                let text = rest.trim_start();
                text.strip_prefix('"').and_then(|text| text.split('"').next())
            })
        });
        let used: Vec<&str> = used.collect();
        assert!(used.len() > 15, "{used:?}");
        for code in &used {
            assert!(CODES.contains(code), "`{code}` is not in finding::CODES");
        }
        for code in CODES {
            assert!(documented.contains(code), "`{code}` is not in docs/operation.md");
        }
        for code in documented {
            assert!(CODES.contains(&code), "docs/operation.md has `{code}`, which there is not");
        }
    }
}
