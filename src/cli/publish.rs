//! `countersign publish …`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use crate::admin::Request;
use crate::exit::Failure;
use crate::output::{self, Format};

/// `countersign publish …`
#[derive(Debug, Subcommand)]
pub enum Publish {
    /// Show the built-in directory, and whether each directory that is published to is in step
    Status,
    /// Compare the directories with what there shall be, and bring them in step now
    Run {
        #[command(flatten)]
        which: Which,
        /// Change nothing, and print the operations as LDIF
        #[arg(long)]
        dry_run: bool,
    },
    /// Compare the directories with what there shall be, and fail if they differ
    Verify(Which),
}

/// Which directory.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Only the directory of this name
    #[arg(long, value_name = "NAME")]
    directory: Option<String>,
}

impl Publish {
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Status => context.show(Request::PublishStatus),
            Self::Run { which, dry_run } => {
                let reports = context.ask(which.request(*dry_run))?;
                match (*dry_run, context.format) {
                    (true, Format::Text) => show_ldif(&reports),
                    _ => output::print(context.format, &reports),
                }
                problems(&reports)
            }
            Self::Verify(which) => {
                let reports = context.ask(which.request(true))?;
                problems(&reports)?;
                let behind: Vec<String> = each(&reports)
                    .filter(|report| count(report) > 0)
                    .map(|report| {
                        format!(
                            "`{}` lacks {} operations",
                            text(report, "directory"),
                            count(report)
                        )
                    })
                    .collect();
                match behind.is_empty() {
                    true => {
                        match context.format {
                            Format::Json => output::print(Format::Json, &json!({"in_step": true})),
                            Format::Text => output::line("every directory is in step"),
                        }
                        Ok(())
                    }
                    false => Err(Failure::found(format!(
                        "{}; `countersign publish run --dry-run` shows them",
                        behind.join("; ")
                    ))),
                }
            }
        }
    }
}

impl Which {
    fn request(&self, dry_run: bool) -> Request {
        Request::PublishRun { directory: self.directory.clone(), dry_run }
    }
}

fn show_ldif(reports: &Value) {
    for report in each(reports) {
        output::line(&format!(
            "# {}: {}\n{}",
            text(report, "directory"),
            text(report, "url"),
            text(report, "ldif")
        ));
    }
}

/// Fails when a directory could not be brought in step.
fn problems(reports: &Value) -> Result<(), Failure> {
    let all: Vec<String> = each(reports)
        .flat_map(|report| {
            let problems = report.get("problems").and_then(Value::as_array).into_iter().flatten();
            problems.map(|problem| {
                format!("`{}`: {}", text(report, "directory"), problem.as_str().unwrap_or_default())
            })
        })
        .collect();
    if all.is_empty() { Ok(()) } else { Err(Failure::found(all.join("\n"))) }
}

fn each(reports: &Value) -> impl Iterator<Item = &Value> {
    reports.as_array().into_iter().flatten()
}

fn text<'a>(report: &'a Value, key: &str) -> &'a str {
    report.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn count(report: &Value) -> u64 {
    report.get("operations").and_then(Value::as_u64).unwrap_or(0)
}
