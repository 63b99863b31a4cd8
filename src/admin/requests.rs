//! Requests that need an approval, as administrators see and decide them. A decision is recorded with the administrator who made it.

use countersign_ca::authority::checked_comment;
use countersign_ca::record::OidcUser;
use countersign_ca::record::approval::{
    Decision, PartialApproval, RequestPrefix, Verdict, WaitingRequest,
};
use countersign_ca::{Identity, Store, SubjectPublicKey};
use data_encoding::HEXLOWER;

use super::actor;
use super::answer::{RequestInFull, RequestLine};
use crate::exit::Failure;
use crate::instance::Instance;

/// Every request that needs an approval and has not expired, decided or not, oldest first.
pub fn list(instance: &Instance) -> Result<Vec<RequestLine>, Failure> {
    Ok(instance.store.all_waiting(instance.now())?.iter().map(line).collect())
}

/// Shows one request, with everything that is recorded of it.
pub fn show(instance: &Instance, id: &str) -> Result<RequestInFull, Failure> {
    let waiting = find(instance, id)?;
    let approved_by = instance.store.approvers(&waiting.id)?;
    Ok(in_full(&waiting, approvals(instance, &waiting), approved_by))
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
    let waiting = find(instance, id)?;
    let request = waiting.id;
    if verdict == Verdict::Approved && !suffices(instance, actor, &waiting, reason.as_deref())? {
        return show(instance, &request.to_string());
    }
    let decision = Decision { verdict, actor: actor.to_owned(), comment: reason };
    instance.store.record_decided(instance.now(), &request, &decision)?;
    tracing::info!(actor, %request, %verdict, "administrator");
    show(instance, &request.to_string())
}

/// Whether the approval of `actor` is the last one that the profile wants. If more people must approve the request, this approval is
/// recorded, and the answer is whether it was the last one after all: another may have come at the same time.
fn suffices(
    instance: &Instance,
    actor: &str,
    waiting: &WaitingRequest,
    comment: Option<&str>,
) -> Result<bool, Failure> {
    let wanted = approvals(instance, waiting);
    let person = known_as(instance, actor::person(actor))?;
    let before = instance.store.approvers(&waiting.id)?;
    if waiting.verdict().is_some() || wanted <= 1 {
        return Ok(true);
    }
    // Somebody may have approved it as a user of the OpenID provider, and have become an administrator since.
    let names = before.iter().cloned().map(|name| known_as(instance, name));
    let names = names.collect::<Result<Vec<String>, Failure>>()?;
    if names.contains(&person) && !before.contains(&person) {
        return Err(Failure::missing(format!(
            "`{person}` approved the request `{}` already; another person must, too",
            waiting.id
        )));
    }
    let approval = PartialApproval {
        person: person.clone(),
        actor: actor.to_owned(),
        comment: comment.map(str::to_owned),
    };
    let is_last = before.len().saturating_add(1) >= wanted;
    if is_last && !before.contains(&person) {
        return Ok(true);
    }
    // A person who approved it before is refused here.
    instance.store.record_partly_approved(instance.now(), &waiting.id, &approval)?;
    tracing::info!(actor, request = %waiting.id, wanted, "approved; more people must");
    Ok(instance.store.approvers(&waiting.id)?.len() >= wanted)
}

/// The administrator's name, of a user of the OpenID provider who is one by now.
fn known_as(instance: &Instance, person: String) -> Result<String, Failure> {
    let Some(user) = person.strip_prefix("oidc:") else { return Ok(person) };
    let known = instance.store.administrators()?;
    let is_same = |oidc: &OidcUser| oidc.to_string() == user;
    let known = known.iter().find(|known| known.oidc.as_ref().is_some_and(is_same));
    Ok(known.map_or(person, |known| known.name.to_string()))
}

/// How many people must approve a request. A profile that is gone wants one.
fn approvals(instance: &Instance, waiting: &WaitingRequest) -> usize {
    let profiles = instance.profiles();
    let profile = profiles.named(&waiting.pending.request.profile);
    profile.map_or(1, |profile| usize::from(profile.approvals()))
}

/// The request whose identifier begins with these digits. There must be exactly one such request.
pub(super) fn find(instance: &Instance, id: &str) -> Result<WaitingRequest, Failure> {
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

fn in_full(waiting: &WaitingRequest, approvals: usize, approved_by: Vec<String>) -> RequestInFull {
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
        approvals,
        approved_by,
        decided: decision.map(|(at, _)| at.whole_seconds().to_string()),
        decided_by: decision.map(|(_, decision)| decision.actor.clone()),
        reason: decision.and_then(|(_, decision)| decision.comment.clone()),
    }
}
