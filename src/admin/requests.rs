//! Requests that need an approval, as administrators see and decide them. A decision is recorded with the administrator who made it.

use countersign_ca::authority::checked_comment;
use countersign_ca::record::approval::{Decision, RequestPrefix, Verdict, WaitingRequest};
use countersign_ca::{Identity, Store, SubjectPublicKey};
use data_encoding::HEXLOWER;

use super::answer::{RequestInFull, RequestLine};
use crate::exit::Failure;
use crate::instance::Instance;

/// Every request that needs an approval and has not expired, decided or not, oldest first.
pub fn list(instance: &Instance) -> Result<Vec<RequestLine>, Failure> {
    Ok(instance.store.all_waiting(instance.now())?.iter().map(line).collect())
}

/// One request, with everything that is recorded of it.
pub fn show(instance: &Instance, id: &str) -> Result<RequestInFull, Failure> {
    Ok(in_full(&find(instance, id)?))
}

/// Approves or rejects a request. `reason` is a note on an approval, or the reason of a rejection, which the peer is given.
pub fn decide(
    instance: &Instance,
    actor: &str,
    id: &str,
    verdict: Verdict,
    reason: Option<&str>,
) -> Result<RequestInFull, Failure> {
    let reason = reason.map(checked_comment).transpose()?;
    let request = find(instance, id)?.id;
    let decision = Decision { verdict, actor: actor.to_owned(), comment: reason };
    instance.store.record_decided(instance.now(), &request, &decision)?;
    tracing::info!(actor, %request, %verdict, "administrator");
    show(instance, &request.to_string())
}

/// The request whose identifier begins with these digits. It must be the only one.
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

fn line(waiting: &WaitingRequest) -> RequestLine {
    let (transaction, request) = (&waiting.pending.transaction, &waiting.pending.request);
    RequestLine {
        id: waiting.id.to_string(),
        status: waiting.verdict().map_or("waiting", Verdict::name),
        account: transaction.account.clone(),
        profile: request.profile.clone(),
        ca: request.ca.clone(),
        subject: request.subject().map(|subject| subject.to_string()),
        received: waiting.received.whole_seconds().to_string(),
        expires: transaction.expires.whole_seconds().to_string(),
    }
}

fn in_full(waiting: &WaitingRequest) -> RequestInFull {
    let (transaction, request) = (&waiting.pending.transaction, &waiting.pending.request);
    let alt_names = request.alt_names();
    let alt_names = alt_names.iter().map(|name| {
        Identity::from_general_name(name).map_or_else(|_| "?".into(), |id| id.to_string())
    });
    let key = SubjectPublicKey::from_der(&request.key).ok();
    let decision = waiting.decision.as_ref();
    RequestInFull {
        line: line(waiting),
        alt_names: alt_names.collect(),
        key: match request.awaits_key() {
            true => Some("generated here once it is approved".to_owned()),
            false => key.as_ref().map(|key| key.kind().to_string()),
        },
        key_identifier: key.map(|key| HEXLOWER.encode(&key.key_identifier())),
        extensions: request.extensions.len(),
        not_before: request.not_before.map(|at| at.to_string()),
        not_after: request.not_after.map(|at| at.to_string()),
        replaces: request.updates.map(|serial| serial.to_string()),
        published: request.published,
        transaction: HEXLOWER.encode(&transaction.id),
        registrar: transaction.registrar.clone(),
        client: transaction.client,
        decided: decision.map(|(at, _)| at.whole_seconds().to_string()),
        decided_by: decision.map(|(_, decision)| decision.actor.clone()),
        reason: decision.and_then(|(_, decision)| decision.comment.clone()),
    }
}
