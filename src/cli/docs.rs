//! `countersign docs …`: documents that are drawn from the configuration in force and the records.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use crate::admin::Request;
use crate::admin::answer::CpsAnswer;
use crate::exit::Failure;
use crate::output::{self, Format};

/// `countersign docs …`
#[derive(Debug, Subcommand)]
pub enum Docs {
    /// Write a certification practice statement by RFC 3647, in Markdown: what the instance does, and marks where the operator writes the rest
    #[command(after_help = "\
Example:
  countersign docs cps --out cps.md
  grep -n '\\[\\[operator:' cps.md       what is left to write")]
    Cps {
        /// The file, which must not exist; without it, standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

impl Docs {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let Self::Cps { out } = self;
        let answer: CpsAnswer = context.ask_for(Request::DocsCps)?;
        match (out, context.format) {
            (Some(file), format) => {
                let wrong = |e: std::io::Error| match e.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        Failure::missing(format!("`{}` is there already", file.display()))
                    }
                    _ => Failure::unavailable(format!("`{}`: {e}", file.display())),
                };
                let mut new = std::fs::File::create_new(file).map_err(wrong)?;
                std::io::Write::write_all(&mut new, answer.markdown.as_bytes()).map_err(wrong)?;
                let written = file.display().to_string();
                let lines = json!({"written": written, "sections": answer.sections, "left_to_write": answer.left});
                output::print(format, &lines);
            }
            (None, Format::Json) => output::print(Format::Json, &json!(answer)),
            (None, _) => output::line(answer.markdown.trim_end()),
        }
        Ok(())
    }
}
