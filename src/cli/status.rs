//! `countersign status`: the state of an instance on one screen.

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::remote::Server;
use crate::admin::Request;
use crate::exit::Failure;
use crate::output::{self, Format, safe};

/// `countersign status`
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 1 says that a finding is an error, or with --strict that there is any finding.\n\n\
A monitor runs:  countersign status --format json")]
pub struct Status {
    /// Fail on warnings, too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    server: Server,
}

impl Status {
    /// Carries out the command.
    pub fn run(&self, context: Context) -> Result<(), Failure> {
        let context = context.at(&self.server)?;
        let answer = context.ask(Request::Status)?;
        match context.format {
            Format::Json => output::print(context.format, &answer),
            Format::Text | Format::Csv => output::line(&screen(&answer)),
        }
        let findings = answer.get("findings").and_then(Value::as_array);
        // A notice says that somebody waits; nothing is wrong.
        let is_fault = |finding: &&Value| finding.get("severity") != Some(&Value::from("notice"));
        let findings = findings.map_or(0, |findings| findings.iter().filter(is_fault).count());
        let is_ok = answer.get("ok").and_then(Value::as_bool).unwrap_or(false);
        match is_ok && (!self.strict || findings == 0) {
            true => Ok(()),
            false => Err(Failure::found(format!("{findings} findings"))),
        }
    }
}

/// The state for people.
fn screen(answer: &Value) -> String {
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => safe(text),
        Some(other) => other.to_string(),
    };
    let at = |path: &str| text(answer.pointer(path));
    let rows = |path: &str| answer.pointer(path).and_then(Value::as_array).cloned();
    let rows = |path: &str| rows(path).unwrap_or_default();
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut line = |head: &str, text: String| lines.push((head.to_owned(), text));
    let is_running = answer.get("running").and_then(Value::as_bool) == Some(true);
    line("server", if is_running { "runs" } else { "does not run" }.into());
    for ca in rows("/cas") {
        let of = |key: &str| text(ca.get(key));
        let key =
            if ca.get("key_here") == Some(&Value::Bool(true)) { "" } else { ", key elsewhere" };
        let is = |key: &str| ca.get(key) == Some(&Value::Bool(true));
        let next = if is("succeeded") { ", succeeded" } else { "" };
        let retired = if is("retired") { ", retired" } else { "" };
        line(
            &format!("CA {}", of("name")),
            format!("{}, ends {}{key}{next}{retired}", of("kind"), of("not_after")),
        );
    }
    for crl in rows("/crls") {
        let of = |key: &str| text(crl.get(key));
        line(
            &format!("CRL {} {}", of("ca"), of("scope")),
            format!("{} entries, next update {}", of("entries"), of("next_update")),
        );
    }
    line(
        "certificates",
        format!(
            "{} issued; {} end within 14 days, {} within 30 days; {} renewals overdue",
            at("/certificates/issued"),
            at("/certificates/expiring_14_days"),
            at("/certificates/expiring_30_days"),
            at("/certificates/overdue")
        ),
    );
    line(
        "accounts",
        format!(
            "{}; {} never enrolled, {} disabled",
            at("/accounts/all"),
            at("/accounts/never_enrolled"),
            at("/accounts/disabled")
        ),
    );
    line(
        "requests",
        format!("{} wait, {} approved", at("/requests/waiting"), at("/requests/approved")),
    );
    let free = answer.get("disk_free_bytes").and_then(Value::as_u64);
    line("disk", free.map_or_else(|| "-".into(), |free| format!("{} MiB free", free >> 20)));
    line("backup", at("/last_backup"));
    for directory in rows("/directories") {
        let of = |key: &str| text(directory.get(key));
        line(&format!("directory {}", of("directory")), of("state"));
    }
    line("clock", at("/clock"));
    for finding in rows("/findings") {
        line(&text(finding.get("severity")).to_uppercase(), text(finding.get("message")));
    }
    let width = lines.iter().map(|(head, _)| head.chars().count()).max().unwrap_or(0);
    lines.iter().map(|(head, text)| format!("{head:width$}  {text}\n")).collect()
}
