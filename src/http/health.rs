//! The state of the server, for operators: `/healthz`, `/readyz`, and the findings that metrics count, too.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use countersign_ca::authority::CaInfo;
use countersign_ca::record::{CrlRecord, CrlScope};
use countersign_ca::{Authority, Store, Timestamp};

use super::response::plain;
use super::state::ServerState;
use crate::finding::before_the_end;
use crate::folder::{LITTLE_ROOM, NO_ROOM};

/// The CRL of a CA whose key is elsewhere is warned of when it ends within this time, as `countersign status` does.
const CRL_ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);

/// `/healthz`: always 200, which says that the process answers.
pub async fn healthz() -> HttpResponse {
    plain(StatusCode::OK, "ok\n")
}

/// `/readyz`: 200 when the journal, the threads, the directories, the disk, the clock, the CAs, the OCSP responders and the CRLs are good,
/// else 503 and the reasons. Warnings are listed either way.
pub async fn readyz(state: web::Data<ServerState>) -> HttpResponse {
    let Ok(Findings { reasons, warnings }) = web::block(move || look(&state)).await else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "busy\n");
    };
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let ready = reasons.is_empty().then(|| "ready".to_owned());
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
    let lines: Vec<String> = ready.into_iter().chain(reasons).chain(warnings).collect();
    plain(status, format!("{}\n", lines.join("\n")))
}

/// The faults of a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Present faults: why the server is not ready.
    pub reasons: Vec<String>,
    /// Future faults, which an administrator can still prevent.
    pub warnings: Vec<String>,
}

/// Looks at every part of the server, and returns the faults. It may wait for the disk.
pub fn look(state: &ServerState) -> Findings {
    let (authority, now) = (&state.authority, state.authority.now());
    let mut found = Findings::default();
    found.reasons.extend(state.journal.damage());
    found.reasons.extend(state.threads.unready());
    found.reasons.extend(state.bridge.unready());
    match state.instance.location.folder.free_space() {
        Some(left) if left < NO_ROOM => found.reasons.push(little_space(left)),
        Some(left) if left < LITTLE_ROOM => found.warnings.push(little_space(left)),
        _ => {}
    }
    let last = state.instance.store.last_entry();
    found.reasons.extend(state.instance.wrong_clock());
    if now < last.minus(Duration::from_secs(2)) {
        found.reasons.push(format!(
            "the clock went backwards: it is {now}, and the last entry is of {last}"
        ));
    }
    for ca in authority.cas() {
        look_at_ca(authority, ca, now, &mut found);
    }
    if let Some(authorizer) = &state.authorizer {
        found.warnings.extend(authorizer.warnings(now));
    }
    found
}

fn little_space(left: u64) -> String {
    format!("the disk of the data folder has {} MiB left: make space", left >> 20)
}

fn look_at_ca(authority: &Authority, ca: &CaInfo, now: Timestamp, found: &mut Findings) {
    if ca.not_after <= now {
        if !authority.is_succeeded(&ca.name) && !authority.is_retired(&ca.name) {
            found.reasons.push(format!("the CA `{}` ended on {}", ca.name, ca.not_after));
        }
        return;
    }
    if let Some(cut) = cut_profile(authority, ca, now) {
        found.warnings.push(format!(
            "the CA `{}` ends on {}, and certificates of the profile `{cut}` are cut to that: {}",
            ca.name,
            ca.not_after,
            before_the_end(&ca.name, &ca.certificate)
        ));
    }
    if !ca.can_sign {
        if let Ok(Some(crl)) = authority.crl(&ca.name, CrlScope::Full) {
            found.warnings.extend(ending_crl(ca, &crl.record, now));
        }
        return;
    }
    if let Err(e) = authority.responder(&ca.name) {
        found.reasons.push(format!("OCSP: {e}"));
    }
    match stale_crls(authority, ca, now) {
        Ok(stale) => found.reasons.extend(stale),
        Err(e) => found.reasons.push(format!("the store: {e}")),
    }
}

/// The first profile whose certificates would outlive their CA, and are therefore cut to its end. `None` if there is none, for a root, for
/// a CA that was retired, or if the CA's next key issues already.
pub fn cut_profile(authority: &Authority, ca: &CaInfo, now: Timestamp) -> Option<String> {
    if ca.is_root || authority.is_succeeded(&ca.name) || authority.is_retired(&ca.name) {
        return None;
    }
    let cut =
        |profile: &&countersign_ca::profile::Profile| now.plus(profile.validity()) > ca.not_after;
    authority.profiles().iter().find(cut).map(|profile| profile.name().to_string())
}

/// A warning of the CRL of a CA whose key is elsewhere, if it has ended or ends soon.
fn ending_crl(ca: &CaInfo, crl: &CrlRecord, now: Timestamp) -> Option<String> {
    let (name, until) = (&ca.name, crl.next_update);
    let how = match until {
        _ if until <= now => "ended",
        _ if until < now.plus(CRL_ENDS_SOON) => "ends",
        _ => return None,
    };
    Some(format!(
        "the CRL of `{name}` {how} on {until}: bring the next one with `countersign crl import`"
    ))
}

/// A reason for each CRL of a CA that is missing, or older than half its validity.
fn stale_crls(
    authority: &Authority,
    ca: &CaInfo,
    now: Timestamp,
) -> countersign_ca::Result<Vec<String>> {
    let ca = &ca.name;
    let mut reasons = Vec::new();
    for scope in authority.crl_scopes(ca)? {
        match authority.crl(ca, scope)? {
            Some(crl) if crl.record.is_past_half(now) => reasons.push(format!(
                "the CRL of `{ca}` ({scope}) is older than half its validity: nextUpdate is {}",
                crl.record.next_update
            )),
            Some(_) => {}
            None => reasons.push(format!("the CA `{ca}` has no CRL yet ({scope})")),
        }
    }
    Ok(reasons)
}
