//! `countersign ca plan`: the rollover planner.

use clap::Args;
use countersign_ca::record::Label;
use serde_json::{Value, json};

use super::context::Context;
use crate::admin::answer::{self, CaLine};
use crate::admin::{Request, ShownBy};
use crate::exit::Failure;
use crate::output::{self, Format};

/// The most accounts that are listed without `--page`.
const ALL: usize = 1_000_000;

/// `countersign ca plan`
#[derive(Debug, Args)]
#[command(after_help = "\
Evidence that a peer has the certificate: cmp-genm (it fetched rootCaKeyUpdate or caCerts, protected), est-cacerts (it fetched /cacerts with \
its client certificate), export (`countersign export` wrote its files), issued (its certificate is below the next key), marked (by --mark).\n\n\
Example, in a script:\n  \
countersign ca plan issuing && countersign ca activate issuing.2")]
pub struct Plan {
    /// A CA that has a next key; without it, every CA that has one
    name: Option<Label>,
    /// Record that this account has the certificate, by your own word (repeatable)
    #[arg(long, value_name = "ACCOUNT", requires = "name")]
    mark: Vec<Label>,
    /// List at most so many accounts
    #[arg(long, value_name = "N", requires = "name")]
    page: Option<usize>,
    /// List the accounts behind this one
    #[arg(long, value_name = "ACCOUNT", requires = "name")]
    after: Option<Label>,
}

impl Plan {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => newest(context.ask_for(Request::CaShow)?),
        };
        for (name, account) in
            names.iter().flat_map(|name| self.mark.iter().map(move |m| (name, m)))
        {
            let (name, account) = (name.clone(), account.clone());
            context.ask(Request::CaMark { name, account, by: ShownBy::Marked })?;
        }
        let limit = self.page.unwrap_or(ALL);
        let plans = names.into_iter().map(|name| {
            context.ask_for(Request::CaPlan { name, after: self.after.clone(), limit })
        });
        let plans = plans.collect::<Result<Vec<answer::Plan>, _>>()?;
        match (context.format, &self.name, plans.as_slice()) {
            (Format::Json, Some(_), [plan]) => output::print(context.format, &json!(plan)),
            (Format::Json, _, plans) => output::print(context.format, &json!(plans)),
            (_, _, []) => output::line("no CA has a next key"),
            (_, _, plans) => plans.iter().for_each(show),
        }
        let not_safe: Vec<String> = plans
            .iter()
            .filter(|plan| !plan.safe)
            .map(|plan| match plan.waits {
                true => format!("`{}` cannot be activated safely yet", plan.ca),
                false => format!("`{}` is still needed", plan.succeeds),
            })
            .collect();
        match not_safe.is_empty() {
            true => Ok(()),
            false => Err(Failure::found(not_safe.join("; "))),
        }
    }
}

/// The newest key of each CA that has more than one.
fn newest(cas: Vec<CaLine>) -> Vec<Label> {
    let followed: Vec<Label> = cas.iter().filter_map(|ca| ca.succeeds.clone()).collect();
    let is_newest = |ca: &CaLine| ca.succeeds.is_some() && !followed.contains(&ca.name);
    cas.into_iter().filter(is_newest).map(|ca| ca.name).collect()
}

/// A plan for people.
fn show(plan: &answer::Plan) {
    let verdict = |verdict: &answer::PlanVerdict| {
        let until = verdict.from.as_ref().map(|at| format!("; by itself from {at} on"));
        let safe = if verdict.safe { "safe" } else { "not yet" };
        format!("{safe}: {}{}", verdict.why, until.unwrap_or_default())
    };
    let no_peers = match plan.no_peers {
        0 => String::new(),
        some => format!("; {some} are no IKE peers"),
    };
    let head = json!({
        "ca": format!("{} ({}, after {}{})", plan.ca, plan.kind, plan.succeeds, if plan.waits { ", waits" } else { "" }),
        "activate": verdict(&plan.activate),
        "retire": verdict(&plan.retire),
        "accounts": format!("{} have it, {} have not shown it; {} have no valid certificate{no_peers}", plan.shown, plan.missing, plan.not_enrolled),
    });
    output::print(Format::Text, &head);
    let rows: Vec<Value> = plan
        .accounts
        .iter()
        .map(|row| {
            let evidence = row.evidence.iter().map(|shown| match &shown.by {
                Some(by) => format!("{} {} by {by}", shown.kind, shown.at),
                None => format!("{} {}", shown.kind, shown.at),
            });
            json!({
                "account": row.account,
                "shown": row.shown,
                "evidence": evidence.collect::<Vec<_>>().join(", "),
                "ca": row.ca,
                "not_after": row.not_after,
            })
        })
        .collect();
    if !rows.is_empty() {
        output::print(Format::Text, &Value::Array(rows));
    }
    if let Some(next) = &plan.next {
        eprintln!("more follow: --after {next}");
    }
}
