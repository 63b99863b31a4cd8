//! One decision as it is logged, and its JSON object.

use std::fmt::Display;
use std::sync::Arc;

use countersign_ca::Timestamp;
use countersign_ca::x509::Facts;
use data_encoding::HEXLOWER;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::identity::PeerId;
use crate::policy::LoadedPolicy;
use crate::status::Lack;
use crate::wire::{Answer, End, Octets, Question, Verdict};
use countersign_ca::name::general_name;
use countersign_ca::path::ValidPath;

/// A decision, as it is recorded.
pub struct Decision {
    /// The time of the decision.
    pub at: Timestamp,
    /// How long the decision took, in microseconds.
    pub micros: u64,
    /// The answer.
    pub answer: Answer,
    /// The question, without a pre-shared key.
    pub question: Question,
    /// The trace of the earlier decision for which path, status and identity were judged, if they were cached.
    pub same_as: Option<String>,
    /// The peer's certificate; `None` if there is none, or it cannot be read.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// The principals in whose name the policy was to be asked; `None` if the peer was denied before they were known.
    pub requesters: Option<Arc<[String]>>,
    /// The policy in force; `None` if the question could not be read.
    pub policy: Option<Arc<LoadedPolicy>>,
    /// Why the status was not known, if it was not and the settings accept that.
    pub lack: Option<Lack>,
    /// The path, if it was validated for this decision.
    pub path: Option<Arc<ValidPath>>,
}

/// A description of a peer's certificate for people. It is cached for each peer, so that it has octets where people see
/// hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerCertificate {
    /// The subject (RFC 4514).
    subject: Box<str>,
    /// The subject alternative names, each with its kind, such as `dns:gw1.example.net`.
    names: Box<[Box<str>]>,
    /// The issuer (RFC 4514).
    #[serde(serialize_with = "displayed")]
    issuer: Arc<str>,
    /// The serial number, in hexadecimal.
    #[serde(serialize_with = "hexadecimal")]
    serial: Box<[u8]>,
    /// The end of the certificate's validity (RFC 3339).
    not_after: Box<str>,
    /// SHA-256 over the certificate, in hexadecimal.
    #[serde(serialize_with = "hexadecimal")]
    sha256: [u8; 32],
}

impl PeerCertificate {
    /// The description of a certificate in DER; `None` if it cannot be read.
    pub fn of(der: &[u8]) -> Option<Self> {
        let facts = Facts::of(der).ok()?;
        Some(Self {
            subject: facts.subject.to_string().into(),
            names: facts.alt_names.iter().map(|name| general_name(name).into()).collect(),
            issuer: facts.issuer.to_string().into(),
            serial: facts.serial.into(),
            not_after: facts.not_after.to_string().into(),
            sha256: Sha256::digest(der).into(),
        })
    }

    /// Puts `issuer` in the place of the issuer's name if they are equal, so that the certificates of one CA share one copy of it.
    pub fn share_issuer(&mut self, issuer: &Arc<str>) {
        if self.issuer == *issuer {
            self.issuer = Arc::clone(issuer);
        }
    }
}

fn hexadecimal<S: Serializer>(octets: impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&HEXLOWER.encode(octets.as_ref()))
}

fn displayed<T: Display, S: Serializer>(of: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(of)
}

/// The JSON object of a decision. docs/authorizer.md describes its members.
pub(super) fn decision_json(decision: Decision) -> Value {
    let Decision { at, micros, answer, mut question, same_as, certificate, .. } = decision;
    let end = |end: &End| {
        let id = PeerId::read(&end.id);
        json!({
            "address": end.address,
            "port": end.port,
            "id": id.as_ref().map_or_else(ToString::to_string, ToString::to_string),
            "id_type": id.as_ref().map_or("unreadable", |id| id.kind()),
        })
    };
    let mut value = json!({
        "time": at.to_string(),
        "trace": answer.trace,
        "decision": answer.decision,
        "step": answer.step,
        "reason": answer.reason,
        "phase": if question.child.is_some() { 2 } else { 1 },
        "daemon": question.daemon,
        "connection": question.connection,
        "ike": question.ike,
        "mode": question.mode,
        "role": question.role,
        "local": end(&question.local),
        "remote": end(&question.remote),
        "proposal": question.proposal.text,
        "certificate": certificate.as_deref(),
        "requesters": decision.requesters.as_deref(),
        "policy": decision.policy.as_deref().map(|policy| policy.digest().as_ref()),
        "same_as": same_as,
        "micros": micros,
    });
    if let Some(fields) = value.as_object_mut() {
        if let Some(path) = decision.path.filter(|_| same_as.is_none()) {
            let octets = |of: &[u8]| json!(Octets(of.to_vec()));
            let certificates = path.certificates.iter().map(|of| octets(of.der()));
            fields.insert("path".into(), certificates.collect());
            fields.insert("anchor_key".into(), octets(path.anchor.spki()));
            question.chain.clear();
        }
        if same_as.is_some() {
            question.chain.clear();
        }
        if let Some(lack) = decision.lack {
            fields.insert("status".into(), json!(lack));
        }
        if decision.policy.is_some_and(|policy| policy.takes_legacy_signatures()) {
            fields.insert("legacy_signatures".into(), json!(true));
        }
        fields.insert("question".into(), json!(question));
    }
    value
}

/// The JSON object for the denial of something that is not a question.
pub(super) fn refusal_json(at: Timestamp, answer: &Answer) -> Value {
    json!({
        "time": at.to_string(),
        "trace": answer.trace,
        "decision": Verdict::Deny,
        "step": answer.step,
        "reason": answer.reason,
    })
}
