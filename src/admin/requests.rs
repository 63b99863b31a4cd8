//! Requests that wait for an administrator: list, show, approve, reject. What is decided is recorded with who decided it.

use countersign_ca::authority::checked_words;
use countersign_ca::pending::{Decision, RequestPrefix, Verdict, WaitingRequest};
use countersign_ca::{Identity, Store, SubjectPublicKey};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::instance::Instance;

/// Every request that waits, one line each.
pub fn list(instance: &Instance) -> Result<Value, Failure> {
    Ok(instance.store.all_waiting(instance.now())?.iter().map(line).collect())
}

/// One request with everything that is known of it.
pub fn show(instance: &Instance, id: &str) -> Result<Value, Failure> {
    Ok(in_full(&find(instance, id)?))
}

/// Approves or rejects a request.
pub fn decide(
    instance: &Instance,
    actor: &str,
    id: &str,
    approve: bool,
    words: Option<&str>,
) -> Result<Value, Failure> {
    let verdict = if approve { Verdict::Approved } else { Verdict::Rejected };
    let words = words.map(checked_words).transpose()?;
    let request = find(instance, id)?.id;
    let decision = Decision { verdict, actor: actor.to_owned(), words };
    instance.store.record_decided(instance.now(), &request, &decision)?;
    tracing::info!(actor, %request, %verdict, "administrator");
    show(instance, &request.to_string())
}

/// The one request whose name begins so.
fn find(instance: &Instance, id: &str) -> Result<WaitingRequest, Failure> {
    let prefix: RequestPrefix = id.parse()?;
    let mut found = instance.store.all_waiting(instance.now())?;
    found.retain(|waiting| prefix.matches(&waiting.id));
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Failure::missing(format!(
            "more than one request begins with `{prefix}`; give more of its digits"
        ))),
        (None, _) => Err(Failure::missing(format!(
            "no request that waits begins with `{prefix}`; `countersign request list` shows them"
        ))),
    }
}

fn line(waiting: &WaitingRequest) -> Value {
    let (transaction, request) = (&waiting.pending.transaction, &waiting.pending.request);
    json!({
        "id": waiting.id.to_string(),
        "status": waiting.verdict().map_or("waiting", Verdict::name),
        "account": transaction.account,
        "profile": request.profile,
        "ca": request.ca,
        "subject": request.subject().map(|subject| subject.to_string()),
        "received": waiting.received.whole_seconds().to_string(),
        "expires": transaction.expires.whole_seconds().to_string(),
    })
}

fn in_full(waiting: &WaitingRequest) -> Value {
    let (transaction, request) = (&waiting.pending.transaction, &waiting.pending.request);
    let names: Vec<String> = request
        .alt_names()
        .iter()
        .map(|name| {
            Identity::from_general_name(name).map_or_else(|_| "?".into(), |id| id.to_string())
        })
        .collect();
    let key = SubjectPublicKey::from_der(&request.key).ok();
    let decision = waiting.decision.as_ref();
    let mut value = line(waiting);
    if let Some(fields) = value.as_object_mut() {
        let mut add = |name: &str, value: Value| drop(fields.insert(name.into(), value));
        add("alt_names", json!(names));
        add("key", json!(key.as_ref().map(|key| key.kind().to_string())));
        let identifier = key.map(|key| data_encoding::HEXLOWER.encode(&key.key_identifier()));
        add("key_identifier", json!(identifier));
        add("extensions", json!(request.extensions.len()));
        add("not_before", json!(request.not_before.map(|at| at.to_string())));
        add("not_after", json!(request.not_after.map(|at| at.to_string())));
        add("replaces", json!(request.updates.map(|serial| serial.to_string())));
        add("published", json!(request.published));
        add("transaction", json!(data_encoding::HEXLOWER.encode(&transaction.id)));
        add("registrar", json!(transaction.registrar));
        add("client", json!(transaction.client));
        add("decided", json!(decision.map(|(at, _)| at.whole_seconds().to_string())));
        add("decided_by", json!(decision.map(|(_, decision)| &decision.actor)));
        add("words", json!(decision.and_then(|(_, decision)| decision.words.as_ref())));
    }
    value
}
