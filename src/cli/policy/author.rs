//! `policy check`, `lint`, `fmt` and `vocabulary`.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign_policy::lint::{Options, lint};
use countersign_policy::syntax::{Assertion, parse_file};
use countersign_policy::{Finding, Severity, Source, ipsec, layout};
use serde_json::{Value, json};

use super::shared::{Order, finding_json, plural, read, refused, show};
use crate::cli::context::Context;
use crate::exit::Failure;
use crate::output::{self, Format};

/// `policy check` and `policy lint`
#[derive(Debug, Args)]
pub struct Check {
    /// Policy files, which will be used together; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    order: Order,
    /// The action attributes that conditions may use
    #[arg(long, value_enum, default_value_t = Vocabulary::Ipsec)]
    vocabulary: Vocabulary,
    /// Fail for warnings too
    #[arg(long)]
    deny_warnings: bool,
}

/// The action attributes that conditions may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Vocabulary {
    /// The attributes of isakmpd.policy(5)
    Ipsec,
    /// Any attributes
    Any,
}

/// The findings that a command reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Errors only: `policy check`.
    Errors,
    /// Warnings, too: `policy lint`.
    Warnings,
}

/// The files that were checked, the assertions in them, and the findings.
struct Checked {
    sources: Vec<Source>,
    assertions: Vec<Assertion>,
    /// The findings, each with the position of its source in `sources`.
    findings: Vec<(usize, Finding)>,
}

impl Check {
    /// Carries out the command.
    pub fn run(&self, context: &Context, depth: Depth) -> Result<(), Failure> {
        let checked = self.check(depth)?;
        let errors = checked.count(Severity::Error);
        let warned = checked.count(Severity::Warning);
        let summary = format!(
            "{} in {}: {}, {}",
            plural(checked.assertions.len(), "assertion"),
            plural(checked.sources.len(), "file"),
            plural(errors, "error"),
            plural(warned, "warning")
        );
        let bad = errors > 0 || (self.deny_warnings && warned > 0);
        match context.format {
            Format::Json => output::print(Format::Json, &checked.json()),
            // The failure has the summary, which is printed once.
            Format::Text | Format::Csv if bad => output::line(&checked.text()),
            Format::Text | Format::Csv => output::line(&format!("{}{summary}", checked.text())),
        }
        if bad { Err(Failure::found(summary)) } else { Ok(()) }
    }

    fn check(&self, depth: Depth) -> Result<Checked, Failure> {
        let values = self.order.values()?;
        let mut checked =
            Checked { sources: Vec::new(), assertions: Vec::new(), findings: Vec::new() };
        let mut of = Vec::new();
        for path in &self.files {
            let source = read(path)?;
            let position = checked.sources.len();
            match parse_file(&source) {
                Ok(assertions) => {
                    of.extend(std::iter::repeat_n(position, assertions.len()));
                    checked.assertions.extend(assertions);
                }
                Err(findings) => {
                    checked
                        .findings
                        .extend(findings.into_iter().map(|finding| (position, finding)));
                }
            }
            checked.sources.push(source);
        }
        let options = Options { values: &values, ipsec: self.vocabulary == Vocabulary::Ipsec };
        let linted = lint(&checked.assertions, options).into_iter();
        checked.findings.extend(
            linted
                .filter(|(_, finding)| {
                    depth == Depth::Warnings || finding.severity == Severity::Error
                })
                .map(|(assertion, finding)| (of.get(assertion).copied().unwrap_or(0), finding)),
        );
        checked.findings.sort_by_key(|(source, finding)| (*source, finding.span));
        Ok(checked)
    }
}

impl Checked {
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|(_, finding)| finding.severity == severity).count()
    }

    fn each<'c, T>(
        &'c self,
        show: impl Fn(&Source, &Finding) -> T + 'c,
    ) -> impl Iterator<Item = T> + 'c {
        self.findings
            .iter()
            .filter_map(move |(source, finding)| Some(show(self.sources.get(*source)?, finding)))
    }

    fn text(&self) -> String {
        self.each(|source, finding| format!("{}\n", source.render(finding))).collect()
    }

    fn json(&self) -> Value {
        json!({
            "assertions": self.assertions.len(),
            "findings": self.each(finding_json).collect::<Vec<_>>(),
        })
    }
}

/// `policy fmt`
#[derive(Debug, Args)]
pub struct Fmt {
    /// Policy files, which are rewritten; `-` is standard input, written to standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing; fail if something would change
    #[arg(long)]
    check: bool,
}

impl Fmt {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut changed = Vec::new();
        for path in &self.files {
            let source = read(path)?;
            let formatted =
                layout::format(&source).map_err(|findings| refused(&source, &findings))?;
            let differs = formatted != source.text();
            if path == Path::new("-") && !self.check {
                show(
                    context,
                    || String::from_utf8_lossy(&formatted).into_owned(),
                    || json!({ "changed": differs, "text": String::from_utf8_lossy(&formatted) }),
                );
                continue;
            }
            if differs {
                if !self.check {
                    replace(path, &formatted)?;
                }
                changed.push(source.name().to_owned());
            }
        }
        if self.files.iter().any(|path| path != Path::new("-")) || self.check {
            show(context, || changed.join("\n"), || json!({ "changed": changed }));
        }
        if self.check && !changed.is_empty() {
            return Err(Failure::found(format!(
                "{} not in canonical layout",
                plural(changed.len(), "file")
            )));
        }
        Ok(())
    }
}

/// Replaces a file by a rename, so that no reader sees half of it.
fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let failed = |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", path.display()));
    let path = &path.canonicalize().map_err(failed)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let permissions = std::fs::metadata(path).map_err(failed)?.permissions();
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| {
            file.set_permissions(permissions)?;
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        failed(e)
    })
}

/// Carries out `policy vocabulary`: prints the action attributes of IPsec.
pub fn vocabulary(context: &Context) {
    let rows: Vec<Value> = ipsec::names()
        .filter_map(ipsec::attribute)
        .map(|attribute| json!({ "name": attribute.name, "meaning": attribute.meaning, "format": attribute.format.to_string() }))
        .collect();
    output::print(context.format, &Value::Array(rows));
}
