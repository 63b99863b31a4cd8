//! Explains a recorded decision: asks the policy that was in force at that time once more, with the facts from the decision log.

use std::path::{Path, PathBuf};

use countersign_ca::Timestamp;
use countersign_policy::ipsec::{self, delegations};
use countersign_policy::key::PublicKey;
use countersign_policy::{
    ComplianceValues, LegacySignatures, PolicySet, PolicySetBuilder, Principal, Question,
    Requesters, Source, Trace,
};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::decision_log::{decisions, recorded_policy};
use crate::identity::{Names, PeerId};
use crate::policy::attributes::attributes;
use crate::policy::credentials;
use crate::policy::moment::moment;
use crate::policy::proof::Proof;
use crate::wire;

/// Explains the decisions of one decision log.
#[derive(Debug, Clone)]
pub struct Explainer {
    /// The folder of the decision log.
    pub log: PathBuf,
    /// The operator's folder of KeyNote credentials; `None` if there is none. The log does not contain credentials. So the present ones
    /// are used.
    pub credentials: Option<PathBuf>,
}

/// The inputs of a policy query besides the action attributes, as far as they are on record.
struct Evidence {
    set: PolicySet,
    requesters: Requesters,
    /// The peer, with its identity spelled as in its certificate.
    peer: PeerId,
}

impl Explainer {
    /// Finds the decision with this trace, and gives its JSON object from the log.
    ///
    /// # Errors
    /// The log cannot be read, or has no such decision.
    pub fn decision(&self, trace: &str) -> Result<Value, String> {
        let found = decisions(&self.log, 1, |line| {
            line.get("trace").and_then(Value::as_str) == Some(trace)
        });
        let found = found.map_err(|e| format!("`{}`: {e}", self.log.display()))?;
        found.into_iter().next().ok_or_else(|| format!("no decision `{trace}` is on record"))
    }

    /// Explains the policy's answer: gives a [`Trace`] of the evaluation for each action attribute set that the policy was asked about.
    /// There are none if another step than the policy decided.
    ///
    /// # Errors
    /// A record that is needed no longer exists or cannot be read, the credentials cannot be read, or the peer proved a pre-shared key,
    /// which is not on record. The text says which.
    pub fn explain(&self, decision: &Value) -> Result<Vec<Trace>, String> {
        let text = |name: &str| decision.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("step") != "policy" {
            return Ok(Vec::new());
        }
        let question: wire::Question = member(decision, "question")?;
        let peer = PeerId::read(&question.remote.id).map_err(|e| e.to_string())?;
        let at = text("time").parse::<jiff::Timestamp>().map_err(|e| e.to_string())?;
        let moment = moment(Timestamp::from_seconds(at.as_second()), &TimeZone::system())
            .ok_or("the time of the decision cannot be read")?;
        let facts = match text("same_as") {
            "" => decision.clone(),
            earlier => self.decision(earlier).map_err(|_| {
                format!("the peer's certificates stand in the decision `{earlier}`, which is not on record any more")
            })?,
        };
        let policy = recorded_policy(&self.log, text("policy"))
            .map_err(|e| format!("the policy {} is not kept any more: {e}", text("policy")))?;
        let mut builder = PolicySet::builder();
        builder
            .policy(&Source::new("policy", policy))
            .map_err(|_| "the kept policy is damaged".to_owned())?;
        if decision.get("legacy_signatures").is_some_and(|of| *of == true) {
            builder.legacy_signatures(LegacySignatures::Accepted);
        }
        let Evidence { set, requesters, peer } = if facts.get("path").is_none() {
            without_certificate(builder, &question, peer)?
        } else {
            self.with_certificate(builder, &facts, peer)?
        };
        let values = ComplianceValues::boolean();
        let all = attributes(&question, &peer, moment)?;
        Ok(all
            .iter()
            .map(|attributes| {
                set.explain(Question { attributes, requesters: &requesters, values: &values })
            })
            .collect())
    }

    /// The evidence about a peer with a certificate. Its path is on record: each certificate gives the assertions by which its issuer
    /// trusts its subject, and the peer's own certificate gives the requesters.
    fn with_certificate(
        &self,
        mut builder: PolicySetBuilder,
        facts: &Value,
        peer: PeerId,
    ) -> Result<Evidence, String> {
        let path: Vec<wire::Octets> = member(facts, "path")?;
        let anchor: wire::Octets = member(facts, "anchor_key")?;
        let names = path.first().and_then(|leaf| Names::of(&leaf.0).ok());
        let peer = names.map_or(peer.clone(), |names| names.as_held(peer));
        let folder = self.credentials.as_deref();
        if let Some(source) = folder.and_then(|at: &Path| credentials(at, &peer.to_string())) {
            builder.credentials(&source?);
        }
        let mut requesters = Vec::new();
        let keys: Vec<Vec<u8>> = path.iter().filter_map(|of| spki(&of.0)).collect();
        let issuers = keys.iter().skip(1).chain(std::iter::once(&anchor.0));
        for (certificate, issuer) in path.iter().zip(issuers) {
            for assertion in delegations(&certificate.0, issuer).into_iter().flatten() {
                builder.trusted(assertion);
            }
        }
        if let (Some(leaf), Some(key)) = (path.first(), keys.first()) {
            let key = PublicKey::from_spki(key).ok();
            requesters.extend(key.map(|key| Principal::of_key(key).text().into_owned()));
            requesters
                .extend(subject(&leaf.0).and_then(|der| ipsec::distinguished_name(&der).ok()));
        }
        let requesters = Requesters::new(&requesters).map_err(|e| e.to_string())?;
        Ok(Evidence { set: builder.build(), requesters, peer })
    }
}

/// The evidence about a peer without a certificate. The recorded question has its raw key or its user name, but never its pre-shared key.
fn without_certificate(
    builder: PolicySetBuilder,
    question: &wire::Question,
    peer: PeerId,
) -> Result<Evidence, String> {
    let proof = Proof::of(question, None).ok();
    let requester = proof.map(|proof| proof.requester(&peer.to_string())).transpose()?.flatten();
    let requester = requester.ok_or(
        "the peer proved a pre-shared key, which is not on record; ask again with `countersign policy query`",
    )?;
    let requesters = Requesters::new(&requester.spellings).map_err(|e| e.to_string())?;
    Ok(Evidence { set: builder.build(), requesters, peer })
}

fn member<T: serde::de::DeserializeOwned>(of: &Value, name: &str) -> Result<T, String> {
    let value = of.get(name).cloned().ok_or_else(|| format!("the record has no `{name}`"))?;
    serde_json::from_value(value).map_err(|e| format!("`{name}` of the record cannot be read: {e}"))
}

fn spki(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(countersign_ca::x509::Facts::of(certificate).ok()?.key.der().to_vec())
}

fn subject(certificate: &[u8]) -> Option<Vec<u8>> {
    use der::Encode;
    countersign_ca::x509::Facts::of(certificate).ok()?.subject.to_der().ok()
}
