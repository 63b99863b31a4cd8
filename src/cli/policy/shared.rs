//! The parts that several `policy` commands share: options, files, and the form of findings.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign_policy::values::ValuesError;
use countersign_policy::{
    ComplianceValues, Dropped, Finding, LegacySignatures, PolicySet, Requesters, Source, ipsec,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::context::Context;
use crate::exit::Failure;
use crate::output::{self, Format};

/// The largest policy file, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// The policy and credentials to evaluate.
#[derive(Debug, Args)]
pub struct Loaded {
    /// A policy file, trusted as it is; `-` is standard input
    #[arg(long, short, required = true, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// A file of signed credentials; credentials with a wrong signature are left out
    #[arg(long, short, value_name = "FILE")]
    credentials: Vec<PathBuf>,
    /// Let signatures with MD5, SHA-1 and DSA count
    #[arg(long)]
    legacy_signatures: bool,
}

impl Loaded {
    /// Loads the policy set of the files.
    pub fn set(&self) -> Result<PolicySet, Failure> {
        load(&self.policy, &self.credentials, legacy(self.legacy_signatures))
    }
}

/// Whether signatures with MD5, SHA-1 and DSA are accepted, from the command line's switch.
pub const fn legacy(accepted: bool) -> LegacySignatures {
    if accepted { LegacySignatures::Accepted } else { LegacySignatures::Refused }
}

/// Loads a policy set. A policy file with a mistake is refused; a credential that does not verify is left out.
pub fn load(
    policy: &[PathBuf],
    credentials: &[PathBuf],
    legacy: LegacySignatures,
) -> Result<PolicySet, Failure> {
    let mut builder = PolicySet::builder();
    builder.legacy_signatures(legacy);
    for path in policy {
        let source = read(path)?;
        builder.policy(&source).map_err(|findings| refused(&source, &findings))?;
    }
    for path in credentials {
        builder.credentials(&read(path)?);
    }
    Ok(builder.build())
}

/// The compliance values, lowest first.
#[derive(Debug, Args)]
pub struct Order {
    /// The compliance values, lowest first
    #[arg(long, value_name = "VALUES", value_delimiter = ',', default_value = "false,true")]
    values: Vec<String>,
}

impl Order {
    /// The compliance values, checked.
    pub fn values(&self) -> Result<ComplianceValues, Failure> {
        ComplianceValues::new(&self.values)
            .map_err(|error: ValuesError| Failure::input(format!("--values: {error}")))
    }
}

/// The requesters of a question, as the authorizer makes them. For `passphrase:…`, a pre-shared key, the hashes of the key are
/// requesters, too.
pub fn requesters<'n>(named: impl IntoIterator<Item = &'n String>) -> Result<Requesters, String> {
    let mut spellings: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    for name in named {
        match name.strip_prefix("passphrase:") {
            Some(secret) => {
                spellings.extend(ipsec::passphrase(secret.as_bytes()).map_err(|e| e.to_string())?)
            }
            None => spellings.push(Zeroizing::new(name.clone().into_bytes())),
        }
    }
    Requesters::new(&spellings).map_err(|e| e.to_string())
}

/// Warnings about requesters and attributes that the authorizer never uses in a question about IPsec. No warnings if `app_domain` is not
/// `IPsec policy`.
pub fn never_asked<'n>(
    named: impl IntoIterator<Item = &'n String>,
    attributes: &[(&String, &String)],
) -> Vec<String> {
    let is_ipsec = |(name, value): &(&String, &String)| {
        name.as_str() == "app_domain" && value.as_str() == "IPsec policy"
    };
    if !attributes.iter().any(is_ipsec) {
        return Vec::new();
    }
    let names = named.into_iter().filter(|name| ipsec::peer_name::is_peers(name.as_bytes()));
    let unusable = names.filter_map(|name| {
        let kind = name.split_inclusive(':').next().unwrap_or_default();
        let shown = if kind == "DN:" { name.as_str() } else { kind };
        let problem = ipsec::peer_name::check(name.as_bytes()).err()?;
        Some(format!("nobody can ask as `{shown}`: {}; {}", problem.why, problem.hint))
    });
    let attributes = attributes.iter().filter_map(|(name, value)| match ipsec::attribute(name) {
        None => Some(format!("the authorizer never sets the attribute `{name}`")),
        Some(attribute) => {
            let why = attribute.check(value).err()?;
            Some(format!("the authorizer never sets `{name}` to `{value}`: {why}"))
        }
    });
    unusable.chain(attributes).collect()
}

/// Reads a file, or standard input for `-`, of at most [`MAX_FILE`] bytes.
pub fn read(path: &Path) -> Result<Source, Failure> {
    let (name, text) = if path == Path::new("-") {
        ("standard input".to_owned(), read_limited(std::io::stdin().lock()))
    } else {
        let file = std::fs::File::open(path)
            .map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))?;
        (path.display().to_string(), read_limited(file))
    };
    match text {
        Ok(text) if text.len() as u64 <= MAX_FILE => Ok(Source::new(name, text)),
        Ok(_) => Err(Failure::input(format!("`{name}` has more than {MAX_FILE} bytes"))),
        Err(e) => Err(Failure::input(format!("`{name}`: {e}"))),
    }
}

fn read_limited(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MAX_FILE + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// The refusal of a policy file, with all its findings.
pub fn refused(source: &Source, findings: &[Finding]) -> Failure {
    let shown: String = findings.iter().map(|finding| source.render(finding)).collect();
    Failure::input(format!("`{}` is no policy, and nothing of it is used\n{shown}", source.name()))
}

/// A finding about a policy file, as JSON.
pub fn finding_json(source: &Source, finding: &Finding) -> Value {
    let position = source.position(finding.span.start());
    json!({
        "file": source.name(),
        "line": position.line,
        "column": position.column,
        "severity": finding.severity.name(),
        "code": finding.code,
        "message": finding.message,
        "hint": finding.hint,
    })
}

/// A credential that was left out, as JSON.
pub fn dropped_json(dropped: &Dropped) -> Value {
    let line = dropped.source.position(dropped.span.start()).line;
    json!({ "file": dropped.source.name(), "line": line, "valid": false, "reason": dropped.reason.to_string() })
}

/// Prints text for people or JSON for programs.
pub fn show(context: &Context, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
    match context.format {
        Format::Text | Format::Csv => output::line(&text()),
        Format::Json => output::print(Format::Json, &json()),
    }
}

/// A count with its noun: `1 file`, `2 files`.
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
