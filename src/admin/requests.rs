//! Requests that need an approval, as administrators see and decide them. A decision is recorded with the administrator who made it.

use std::collections::BTreeSet;

use countersign_ca::authority::checked_comment;
use countersign_ca::record::approval::{
    Decision, PartialApproval, RequestPrefix, Verdict, WaitingRequest,
};
use countersign_ca::record::{Administrator, OidcUser};
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
    let approved_by = approved_by.iter().map(|recorded| shown(recorded).to_owned()).collect();
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
    if waiting.verdict().is_some() || wanted <= 1 {
        return Ok(true);
    }
    let administrators = instance.store.administrators()?;
    let (person, own) = person_of(&administrators, &actor::person(actor));
    let mut before = Vec::new();
    for recorded in instance.store.approvers(&waiting.id)? {
        before.push(names_of(&administrators, &recorded));
    }
    if before.iter().any(|names| !names.is_disjoint(&own)) {
        return Err(Failure::missing(format!(
            "`{person}` approved the request `{}` already; another person must, too",
            waiting.id
        )));
    }
    before.push(own);
    if people(before) >= wanted {
        return Ok(true);
    }
    let approval = PartialApproval {
        person: recorded_as(&administrators, &person),
        actor: actor.to_owned(),
        comment: comment.map(str::to_owned),
    };
    instance.store.record_partly_approved(instance.now(), &waiting.id, &approval)?;
    tracing::info!(actor, request = %waiting.id, wanted, "approved; more people must");
    let approvers = instance.store.approvers(&waiting.id)?;
    Ok(people(approvers.iter().map(|recorded| names_of(&administrators, recorded))) >= wanted)
}

/// What a user of the OpenID provider is called, and what stands between an administrator's name and the user who the administrator was.
const USER: &str = "oidc:";
const WHO_WAS: &str = " oidc:";

/// An approver as the journal names one: an administrator with the user who the administrator is at that moment, such as
/// `alice oidc:7@https://id.example.net`. The user is the same person when the administrator is no more, or is another user.
fn recorded_as(administrators: &[Administrator], person: &str) -> String {
    let administrator = administrators.iter().find(|known| known.name.as_str() == person);
    match administrator.and_then(|known| known.oidc.as_ref()) {
        Some(user) => format!("{person}{WHO_WAS}{user}"),
        None => person.to_owned(),
    }
}

/// The name of a recorded approver, without the user.
fn shown(recorded: &str) -> &str {
    recorded.split_once(WHO_WAS).map_or(recorded, |(name, _)| name)
}

/// The name of a person, which is an administrator's for a user who is one by now, and all names of that person.
fn person_of(administrators: &[Administrator], person: &str) -> (String, BTreeSet<String>) {
    let is_user = |oidc: &OidcUser| person.strip_prefix(USER) == Some(oidc.to_string().as_str());
    let known = administrators.iter().find(|known| known.oidc.as_ref().is_some_and(is_user));
    let name = known.map_or_else(|| person.to_owned(), |known| known.name.to_string());
    let mut names = names_of(administrators, &recorded_as(administrators, &name));
    names.insert(person.to_owned());
    (name, names)
}

/// All names of a recorded approver: the one that was recorded, the user who that was, and the administrator who that user is by now.
fn names_of(administrators: &[Administrator], recorded: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::from([shown(recorded).to_owned()]);
    names.extend(recorded.split_once(WHO_WAS).map(|(_, user)| format!("{USER}{user}")));
    let is_named = |user: &OidcUser| names.contains(&format!("{USER}{user}"));
    let known = administrators.iter().filter(|known| known.oidc.as_ref().is_some_and(is_named));
    let known: Vec<String> = known.map(|known| known.name.to_string()).collect();
    names.extend(known);
    names
}

/// How many people have these names. Who share a name are one person.
fn people(all: impl IntoIterator<Item = BTreeSet<String>>) -> usize {
    let mut people: Vec<BTreeSet<String>> = Vec::new();
    for mut names in all {
        people.retain(|other| {
            let is_another = other.is_disjoint(&names);
            if !is_another {
                names.extend(other.iter().cloned());
            }
            is_another
        });
        people.push(names);
    }
    people.len()
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

#[cfg(test)]
mod tests {
    use countersign_ca::Timestamp;

    use super::*;

    fn administrator(name: &str, subject: Option<&str>) -> Administrator {
        Administrator {
            name: name.parse().unwrap(),
            grants: Vec::new(),
            tokens: Vec::new(),
            created: Timestamp::from_seconds(1_800_000_000),
            oidc: subject.map(|one| OidcUser::new("https://id.example.net", one).unwrap()),
        }
    }

    fn user(subject: &str) -> String {
        format!("oidc:{}", OidcUser::new("https://id.example.net", subject).unwrap())
    }

    #[test]
    fn one_person_by_several_names_is_counted_once() {
        let count = |known: &[Administrator], recorded: &[&str]| {
            people(recorded.iter().map(|one| names_of(known, one)))
        };
        let (none, bound) = ([], [administrator("alice", Some("1")), administrator("bob", None)]);
        // Two names, of which it is said later that they are one person's.
        let both = ["alice", &user("1")];
        assert_eq!((count(&none, &both), count(&bound, &both)), (2, 1));
        assert_eq!(count(&bound, &["alice", &user("1"), "bob"]), 2);
        // The administrator is removed, or is another user, after the approval.
        let recorded = recorded_as(&bound, "alice");
        assert_eq!(recorded, format!("alice {}", user("1")));
        assert_eq!(shown(&recorded), "alice");
        let other = [administrator("alice", Some("2"))];
        for known in [&none[..], &other] {
            assert_eq!(count(known, &[&recorded, &user("1")]), 1);
            let (_, names) = person_of(known, &user("1"));
            assert!(!names.is_disjoint(&names_of(known, &recorded)));
        }
        assert_eq!(person_of(&bound, &user("1")).0, "alice");
        // A third name joins two that were apart.
        assert_eq!(count(&none, &["alice", &user("1"), &recorded]), 1);
        assert_eq!(count(&none, &["uid 0", "uid 1000"]), 2);
        assert_eq!(shown("uid 1000"), "uid 1000");
    }
}
