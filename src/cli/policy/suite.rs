//! `policy test`: runs cases with expected answers, like a runner of unit tests.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign_policy::{AttributeSet, ComplianceValues, PolicySet, Question, Requesters, Source};
use serde::Deserialize;
use serde_json::{Value, json};

use super::shared::{legacy, load, never_asked, read, requesters};
use crate::cli::context::Context;
use crate::exit::Failure;
use crate::output::{self, Format};

/// `policy test`
#[derive(Debug, Args)]
pub struct Suite {
    /// Files of cases: TOML, or JSON lines if the name ends with `.jsonl` or the first byte is `{`; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Let signatures with MD5, SHA-1 and DSA count
    #[arg(long)]
    legacy_signatures: bool,
    /// Run only cases whose name contains this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Explain the answer of each case that fails
    #[arg(long)]
    explain: bool,
}

/// A TOML file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlFile {
    /// Policy files. A relative path begins at the folder of the file of cases. The same holds for paths in `credentials`.
    #[serde(default)]
    policy: Vec<PathBuf>,
    #[serde(default)]
    credentials: Vec<PathBuf>,
    #[serde(default = "boolean")]
    values: Vec<String>,
    /// Attributes of every case.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Requesters of every case that names none.
    #[serde(default)]
    requesters: Vec<String>,
    #[serde(default, rename = "case")]
    cases: Vec<TomlCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlCase {
    name: String,
    expect: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    requesters: Vec<String>,
}

/// A line of JSON: a case of the KeyNote corpus. Strings are bytes, written as Latin-1 code points.
#[derive(Debug, Deserialize)]
struct JsonCase {
    id: String,
    values: Vec<String>,
    attributes: Vec<(String, String)>,
    authorizers: Vec<String>,
    assertions: Vec<JsonAssertion>,
    recommended: Option<String>,
    rfc: Option<JsonOutcome>,
}

#[derive(Debug, Deserialize)]
struct JsonAssertion {
    text: String,
    local: bool,
}

#[derive(Debug, Deserialize)]
struct JsonOutcome {
    outcome: String,
    value: Option<String>,
}

/// The result of a case: the compliance value that was found, and the one that was expected.
struct Verdict {
    id: String,
    /// The compliance value, or why there is none.
    answer: Result<String, String>,
    /// The expected value, or `error`; `None` if the case expects nothing and always passes.
    expected: Option<String>,
    explanation: Option<String>,
}

impl Verdict {
    fn outcome(&self) -> &str {
        self.answer.as_ref().map_or("error", String::as_str)
    }

    fn passed(&self) -> bool {
        self.expected.as_ref().is_none_or(|expected| match &self.answer {
            Ok(value) => value == expected,
            Err(_) => expected == "error",
        })
    }

    fn json(&self) -> Value {
        match &self.answer {
            Ok(value) => json!({ "id": self.id, "outcome": "value", "value": value }),
            Err(reason) => {
                json!({ "id": self.id, "outcome": "error", "value": null, "reason": reason })
            }
        }
    }
}

fn boolean() -> Vec<String> {
    vec!["false".into(), "true".into()]
}

impl Suite {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut counts = Counts::default();
        for path in &self.files {
            let source = read(path)?;
            let lines = path.extension().is_some_and(|extension| extension == "jsonl")
                || source.text().trim_ascii_start().starts_with(b"{");
            let mut each = |verdict: Verdict| counts.add(context.format, &verdict);
            if lines {
                self.json_lines(&source, &mut each)?
            } else {
                self.toml(path, &source, &mut each)?
            }
        }
        if context.format == Format::Text {
            output::line(&counts.summary());
        }
        match (counts.passed + counts.failed, counts.failed) {
            (0, _) => Err(Failure::input("no case was run")),
            (_, 0) => Ok(()),
            (all, failed) => Err(Failure::found(format!("{failed} of {all} cases failed"))),
        }
    }

    fn wanted(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }

    fn toml(
        &self,
        path: &Path,
        source: &Source,
        each: &mut dyn FnMut(Verdict),
    ) -> Result<(), Failure> {
        let unreadable =
            |e: &dyn std::fmt::Display| Failure::input(format!("`{}`: {e}", source.name()));
        let text = std::str::from_utf8(source.text()).map_err(|e| unreadable(&e))?;
        let file: TomlFile = toml::from_str(text).map_err(|e| unreadable(&e))?;
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let beside =
            |paths: &[PathBuf]| paths.iter().map(|path| folder.join(path)).collect::<Vec<_>>();
        let set = load(
            &beside(&file.policy),
            &beside(&file.credentials),
            legacy(self.legacy_signatures),
        )?;
        let values = ComplianceValues::new(&file.values).map_err(|e| unreadable(&e))?;
        for case in file.cases.iter().filter(|case| self.wanted(&case.name)) {
            if values.position(case.expect.as_bytes()).is_none() {
                return Err(unreadable(&format!(
                    "case `{}` expects `{}`, which is no value",
                    case.name, case.expect
                )));
            }
            let mut attributes = AttributeSet::new();
            let facts: Vec<_> = file.attributes.iter().chain(&case.attributes).collect();
            for (name, value) in &facts {
                attributes
                    .set(name, value)
                    .map_err(|e| unreadable(&format!("case `{}`: {e}", case.name)))?;
            }
            let named =
                if case.requesters.is_empty() { &file.requesters } else { &case.requesters };
            let requesters =
                requesters(named).map_err(|e| unreadable(&format!("case `{}`: {e}", case.name)))?;
            for why in never_asked(named, &facts) {
                output::warning(&format!("case `{}`: {why}", case.name));
            }
            let question =
                Question { attributes: &attributes, requesters: &requesters, values: &values };
            each(self.verdict(&case.name, Some(case.expect.clone()), &set, question));
        }
        Ok(())
    }

    fn json_lines(&self, source: &Source, each: &mut dyn FnMut(Verdict)) -> Result<(), Failure> {
        let lines = source.text().split(|byte| *byte == b'\n').enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            let unreadable = |e: &dyn std::fmt::Display| {
                Failure::input(format!("`{}` line {}: {e}", source.name(), number + 1))
            };
            let case: JsonCase = serde_json::from_slice(line).map_err(|e| unreadable(&e))?;
            if self.wanted(&case.id) {
                each(self.json_case(&case).map_err(|e| unreadable(&e))?);
            }
        }
        Ok(())
    }

    fn json_case(&self, case: &JsonCase) -> Result<Verdict, String> {
        let mut builder = PolicySet::builder();
        builder.legacy_signatures(legacy(self.legacy_signatures));
        for (position, assertion) in case.assertions.iter().enumerate() {
            let source =
                Source::new(format!("{} assertion {position}", case.id), latin1(&assertion.text)?);
            if assertion.local {
                builder.assertion(&source)
            } else {
                builder.credential(&source)
            };
        }
        let set = builder.build();
        let mut attributes = AttributeSet::new();
        for (name, value) in &case.attributes {
            // A name that no caller can set stays unset. A case of the corpus may test that.
            let _ = attributes.set(latin1(name)?, latin1(value)?);
        }
        let values: Vec<Vec<u8>> =
            case.values.iter().map(|value| latin1(value)).collect::<Result<_, _>>()?;
        let values = ComplianceValues::new(values).map_err(|e| e.to_string())?;
        let expected = case.recommended.clone().or_else(|| {
            let rfc = case.rfc.as_ref()?;
            Some(rfc.value.clone().unwrap_or_else(|| rfc.outcome.clone()))
        });
        let requesters: Vec<Vec<u8>> =
            case.authorizers.iter().map(|text| latin1(text)).collect::<Result<_, _>>()?;
        Ok(match Requesters::new(requesters) {
            Ok(requesters) => {
                let question =
                    Question { attributes: &attributes, requesters: &requesters, values: &values };
                self.verdict(&case.id, expected, &set, question)
            }
            Err(error) => Verdict {
                id: case.id.clone(),
                answer: Err(error.to_string()),
                expected,
                explanation: None,
            },
        })
    }

    fn verdict(
        &self,
        id: &str,
        expected: Option<String>,
        set: &PolicySet,
        question: Question<'_>,
    ) -> Verdict {
        let answer: String = set.ask(question).value.iter().map(|byte| char::from(*byte)).collect();
        let mut verdict =
            Verdict { id: id.into(), answer: Ok(answer), expected, explanation: None };
        if self.explain && !verdict.passed() {
            verdict.explanation = Some(set.explain(question).to_string());
        }
        verdict
    }
}

/// The bytes of Latin-1 code points.
fn latin1(text: &str) -> Result<Vec<u8>, String> {
    text.chars()
        .map(|c| {
            u8::try_from(u32::from(c))
                .map_err(|_| format!("expected a byte as a Latin-1 code point, found `{c}`"))
        })
        .collect()
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
}

impl Counts {
    fn add(&mut self, format: Format, verdict: &Verdict) {
        let passed = verdict.passed();
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
        match (format, passed) {
            (Format::Json, _) => output::line(&verdict.json().to_string()),
            (Format::Text | Format::Csv, true) => {}
            (Format::Text | Format::Csv, false) => output::line(&failure(verdict)),
        }
    }

    fn summary(&self) -> String {
        let text = format!("{} passed, {} failed", self.passed, self.failed);
        paint(if self.failed == 0 { "32" } else { "31" }, &text)
    }
}

fn failure(verdict: &Verdict) -> String {
    let head = format!(
        "{} {}: expected `{}`, found `{}`",
        paint("31", "failed"),
        output::safe(&verdict.id),
        output::safe(verdict.expected.as_deref().unwrap_or_default()),
        output::safe(verdict.outcome())
    );
    let reason = verdict.answer.as_ref().err().into_iter().chain(&verdict.explanation);
    reason.fold(head, |text, more| format!("{text}\n{}", more.trim_end()))
}

fn paint(colour: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\u{1b}[{colour}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}
