//! `policy query`: evaluates one question, from flags or a JSON file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use countersign_policy::{AttributeSet, ComplianceValues, Question};
use serde::Deserialize;
use serde_json::json;

use super::shared::{Loaded, Order, never_asked, read, requesters, show};
use crate::cli::context::Context;
use crate::exit::Failure;
use crate::output;

/// `policy query`
#[derive(Debug, Args)]
pub struct Query {
    #[command(flatten)]
    loaded: Loaded,
    /// A requester: a key, `DN:…`, `passphrase:…` (its hashes are requesters, too) or any name; may be given several times.
    /// Secrets belong into --input, because other users can see command lines
    #[arg(long, short, value_name = "PRINCIPAL")]
    requester: Vec<String>,
    /// An action attribute, as NAME=VALUE; may be given several times
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    attribute: Vec<(String, String)>,
    /// A JSON file with `requesters`, `attributes` and `values`; flags add requesters and attributes, and its `values` replace --values
    #[arg(long, short, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    order: Order,
    /// Explain the answer
    #[arg(long)]
    explain: bool,
}

/// A question as a JSON file. If it has no `values`, those of the command line count.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(default)]
    requesters: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    values: Option<Vec<String>>,
}

impl Query {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let input = self.input()?;
        let values = match &input.values {
            Some(values) => {
                ComplianceValues::new(values).map_err(|e| Failure::input(e.to_string()))?
            }
            None => self.order.values()?,
        };
        let mut attributes = AttributeSet::new();
        let flags = self.attribute.iter().map(|(name, value)| (name, value));
        let facts: Vec<_> = input.attributes.iter().chain(flags).collect();
        for (name, value) in &facts {
            attributes.set(name, value).map_err(|e| Failure::input(e.to_string()))?;
        }
        let named: Vec<&String> = input.requesters.iter().chain(&self.requester).collect();
        let requesters = requesters(named.iter().copied())
            .map_err(|e| Failure::input(format!("{e}; name one with --requester")))?;
        for why in never_asked(named, &facts) {
            output::warning(&why);
        }
        let set = self.loaded.set()?;
        let question =
            Question { attributes: &attributes, requesters: &requesters, values: &values };
        if self.explain {
            let trace = set.explain(question);
            show(
                context,
                || trace.to_string(),
                || serde_json::to_value(&trace).unwrap_or_default(),
            );
            return Ok(());
        }
        let answer = set.ask(question);
        let value = String::from_utf8_lossy(answer.value).into_owned();
        let dropped = set.dropped().len();
        show(
            context,
            || value.clone(),
            || json!({ "value": value, "position": answer.position, "dropped": dropped }),
        );
        Ok(())
    }

    fn input(&self) -> Result<Input, Failure> {
        let Some(path) = &self.input else { return Ok(Input::default()) };
        let source = read(path)?;
        serde_json::from_slice(source.text()).map_err(|e| {
            Failure::input(format!(
                "`{}`: {e}; expected `{{\"requesters\": […], \"attributes\": {{…}}, \"values\": […]}}`",
                source.name()
            ))
        })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("expected NAME=VALUE, found `{text}`"))
}
