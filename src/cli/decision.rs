//! `countersign decision …`: the questions of daemons, the authorizer's answers, and the reasons.

use clap::{Args, Subcommand};
use countersign_ike_plugin::decision_log::decisions;
use countersign_ike_plugin::status::Lack;
use serde_json::{Value, json};

use super::context::Context;
use crate::exit::Failure;
use crate::output::{self, Format};

/// `countersign decision …`
#[derive(Debug, Subcommand)]
pub enum Decision {
    /// List the latest decisions, newest first
    List(List),
    /// Show one decision
    Show(Show),
}

/// `decision list`
#[derive(Debug, Args)]
pub struct List {
    /// List at most this many, from 1 to 100000
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    limit: usize,
    /// Only decisions that deny
    #[arg(long)]
    denied: bool,
    /// Only decisions about this peer: a part of its identity, or its whole address
    #[arg(long, value_name = "TEXT")]
    peer: Option<String>,
}

/// `decision show`
#[derive(Debug, Args)]
pub struct Show {
    /// The trace identifier of the decision, as the daemon's log and `decision list` show it
    trace: String,
    /// Explain the decision step by step; the policy that was in force is evaluated again
    #[arg(long)]
    explain: bool,
}

impl Decision {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Show(show) => show.run(context),
        }
    }
}

impl List {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let config = context.location.config()?.authorizer;
        let wanted = |line: &Value| {
            (!self.denied || text_at(line, "/decision") == "deny")
                && self.peer.as_deref().is_none_or(|peer| {
                    text_at(line, "/remote/id").contains(peer)
                        || text_at(line, "/remote/address") == peer
                })
        };
        let found = decisions(&config.decisions, self.limit.clamp(1, 100_000), wanted)
            .map_err(|e| Failure::unavailable(format!("`{}`: {e}", config.decisions.display())))?;
        if context.format == Format::Json {
            output::print(Format::Json, &Value::Array(found));
            return Ok(());
        }
        let rows: Vec<Value> = found
            .iter()
            .map(|line| {
                json!({
                    "time": text_at(line, "/time"),
                    "trace": text_at(line, "/trace"),
                    "decision": text_at(line, "/decision"),
                    "step": text_at(line, "/step"),
                    "phase": line.get("phase"),
                    "peer": text_at(line, "/remote/id"),
                    "address": text_at(line, "/remote/address"),
                    "repeated": line.get("repeated"),
                    "reason": text_at(line, "/reason"),
                })
            })
            .collect();
        output::print(Format::Text, &Value::Array(rows));
        Ok(())
    }
}

impl Show {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let explainer = context.location.config()?.authorizer.explainer();
        let mut decision = explainer.decision(&self.trace).map_err(Failure::missing)?;
        // The log has the steps of a decision, also when its policy cannot be evaluated again.
        let (traces, unknown) = match self.explain.then(|| explainer.explain(&decision)) {
            None => (Vec::new(), None),
            Some(Ok(traces)) => (traces, None),
            Some(Err(why)) => (Vec::new(), Some(why)),
        };
        if context.format == Format::Json {
            if self.explain
                && let Some(fields) = decision.as_object_mut()
            {
                fields.insert("explanation".into(), json!(traces));
                if let Some(why) = unknown {
                    fields.insert("unexplained".into(), why.into());
                }
            }
            output::print(Format::Json, &decision);
            return Ok(());
        }
        let steps = steps(&decision);
        if let Some(fields) = decision.as_object_mut() {
            for bulky in ["question", "path", "anchor_key"] {
                fields.remove(bulky);
            }
        }
        output::print(Format::Text, &decision);
        if self.explain {
            output::line(&format!("\n{steps}"));
        }
        traces.iter().for_each(|trace| output::line(&format!("\nthe policy's answer: {trace}")));
        if let Some(why) = unknown {
            output::line(&format!(
                "\nhow the policy came to its answer is not known any more: {why}"
            ));
        }
        Ok(())
    }
}

/// The steps of a decision, one line each, up to the step that denied it.
fn steps(decision: &Value) -> String {
    const STEPS: [(&str, &str); 5] = [
        ("question", "the question could be read"),
        ("path", "the certification path is valid up to an anchor"),
        ("status", "no certificate on the path is revoked"),
        ("identity", "the certificate holds the identity that the peer says it has"),
        ("policy", "the policy allows it"),
    ];
    let (decided, allowed) =
        (text_at(decision, "/step"), text_at(decision, "/decision") == "allow");
    let proof = proof(decision);
    let mut text = String::new();
    for (step, meaning) in STEPS {
        let of_certificates = matches!(step, "path" | "status" | "identity");
        if let Some(proof) = proof.filter(|_| of_certificates) {
            text.push_str(&format!("{step}: not asked, for the peer proved {proof}\n"));
        } else if step == "policy" && allowed && decided != "policy" {
            text.push_str("policy: not asked about phase 1 (`policy_in_phase_2_only`)\n");
        } else if step == decided && !allowed {
            text.push_str(&format!("{step}: NO. {}\n", text_at(decision, "/reason")));
            return text;
        } else if let Some(lack) = lack(decision).filter(|_| step == "status") {
            text.push_str(&format!("status: {lack}\n"));
        } else {
            text.push_str(&format!("{step}: yes, {meaning}\n"));
        }
    }
    if !allowed {
        text.push_str(&format!("authorizer: NO. {}\n", text_at(decision, "/reason")));
    }
    text
}

/// How a peer without a certificate proved its identity. `None` if the decision has a certificate, or has no requesters: then the policy
/// was never asked.
fn proof(decision: &Value) -> Option<&'static str> {
    let has_certificate = decision.pointer("/certificate").is_some_and(|of| !of.is_null());
    if has_certificate || decision.pointer("/requesters").is_none_or(Value::is_null) {
        return None;
    }
    Some(match text_at(decision, "/question/auth") {
        "raw" => "a raw public key",
        "eap" => "to be a user, by EAP",
        "xauth" => "to be a user, by XAuth",
        _ => "a pre-shared key",
    })
}

/// The reason why the revocation status of the certificates was not known, if the peer passed that step nevertheless. `None` if the
/// status was known. Decisions of earlier versions do not record it.
fn lack(decision: &Value) -> Option<&'static str> {
    match decision.get("status").cloned().and_then(|of| serde_json::from_value(of).ok())? {
        Lack::NotKnown => Some("not known, which `status = \"if-present\"` lets pass"),
        Lack::NotAsked => Some("not asked (`status = \"off\"`)"),
    }
}

/// The text at a JSON pointer (RFC 6901); empty if there is none.
fn text_at<'v>(line: &'v Value, pointer: &str) -> &'v str {
    line.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
