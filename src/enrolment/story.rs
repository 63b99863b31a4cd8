//! A first enrolment and a renewal, step by step.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use countersign_ca::certificate::Facts;
use countersign_ca::{Clock, FileKey, Identity, SystemClock};
use countersign_enroll::cmp::client::{Anchors, ClientError, Issued, Refusal, Wish};
use countersign_ike_plugin::gateway::Files;
use serde_json::{Value, json};

use super::folder::{Folder, Phase, at, places, remove, write_over};
use super::generation::{Present, compose, name, renew_at};
use super::peer::{Peer, first_wish};
use super::pending::{Pending, Purpose, State};
use super::settings::{Overrides, Settings};
use crate::exit::Failure;

/// The file of the anchors among what is ours.
pub const ANCHORS: &str = "anchors.pem";
/// The file of the server's certificate, where one was named.
pub const SIGNER: &str = "signer.pem";
/// The file that says that the command is still to be run.
const THEN: &str = "then";

/// How often a confirmation is sent when there is no answer.
const CONFIRMATIONS: u32 = 3;

/// Whether the CA was told that its certificate is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    No,
    /// It was, or was about to be, and did not answer.
    Perhaps,
    Yes,
}

/// How a first enrolment begins.
pub struct Start {
    /// What is asked for, and how.
    pub settings: Settings,
    /// Whom the gateway trusts.
    pub anchors: Anchors,
    /// The server's certificate, DER, where one is named.
    pub signer: Option<Vec<u8>>,
    /// A key that was made elsewhere.
    pub key: Option<FileKey>,
    /// Whether an enrolment that is there is replaced.
    pub replace: bool,
    /// Whether what is on its way is given up.
    pub abandon: bool,
}

/// A first enrolment.
pub fn enrol(path: &Path, start: Start) -> Result<Value, Failure> {
    let folder = Folder::open(path, true)?;
    let enrolled = first(&folder, start);
    if enrolled.is_err() && folder.pending().is_ok_and(|pending| pending.is_none()) {
        folder.forget();
    }
    enrolled
}

fn first(folder: &Folder, start: Start) -> Result<Value, Failure> {
    let settings = start.settings;
    // 1. Nothing is overwritten that somebody may need.
    if start.abandon {
        folder.drop_pending()?;
    }
    if let (Some(present), false) = (folder.present()?, start.replace) {
        return Err(Failure::missing(format!(
            "`{}` has a certificate of `{}`, valid until {}; `--renew` renews it, `--replace` enrols anew",
            folder.path().display(),
            present.facts.subject,
            present.facts.not_after
        )));
    }
    let layout = settings.layout()?;
    let paths = layout.paths(&settings.name);
    folder.check_places([paths.certificate.as_str(), paths.key.as_str()].into_iter())?;
    let credential = settings.first.credential()?;
    // 2. What is on its way goes on, if it is the same that is asked for.
    let pending = going_on(folder, &settings)?;
    // 3. What a renewal must know, and the key: both before anything is sent.
    folder.prepare()?;
    let signer: Vec<Vec<u8>> = start.signer.iter().cloned().collect();
    folder.save_certificates(Phase::OnItsWay, ANCHORS, start.anchors.known())?;
    folder.save_certificates(Phase::OnItsWay, SIGNER, &signer)?;
    folder.save_settings(Phase::OnItsWay, &settings)?;
    let pending = match pending {
        Some(pending) => pending,
        None => {
            let key = match start.key {
                Some(key) => key,
                None => FileKey::generate(settings.key_algorithm()?)?,
            };
            layout.check_key(key.public().kind()).map_err(|e| Failure::input(e.to_string()))?;
            folder.begin(Purpose::First, key)?
        }
    };
    // 4. The certificate.
    let peer = Peer::new(&settings, credential, start.anchors, start.signer)?;
    finish(folder, &settings, &peer, pending, None)
}

/// What is on its way from an earlier run of the same enrolment.
fn going_on(folder: &Folder, settings: &Settings) -> Result<Option<Pending>, Failure> {
    let Some(pending) = folder.pending()? else { return Ok(None) };
    let same = |before: &Settings| {
        let asked = |of: &Settings| {
            (
                of.ids.clone(),
                of.subject.clone(),
                of.key_kind.clone(),
                of.profile.clone(),
                of.server.clone(),
            )
        };
        asked(before) == asked(settings)
    };
    let before = folder.settings(Phase::OnItsWay)?;
    if pending.purpose == Purpose::First && before.as_ref().is_some_and(same) {
        return Ok(Some(pending));
    }
    if pending.state == State::Sent {
        // Nobody has answered, and another certificate is wanted now.
        folder.drop_pending()?;
        return Ok(None);
    }
    Err(Failure::missing(format!(
        "another request is on its way in `{}`; `--renew` goes on with it, `--abandon` gives it up",
        folder.path().display()
    )))
}

/// A renewal, if it is due. What is on its way is finished first, due or not.
pub fn renew(path: &Path, overrides: &Overrides, abandon: bool) -> Result<Value, Failure> {
    let folder = Folder::open(path, false)?;
    if abandon {
        folder.drop_pending()?;
    }
    let pending = folder.pending()?;
    let phase = match &pending {
        Some(Pending { purpose: Purpose::First, .. }) => Phase::OnItsWay,
        _ => Phase::InPlace,
    };
    let settings = folder.settings(phase)?.ok_or_else(|| {
        Failure::missing(format!(
            "`{}` has no certificate yet; enrol first: `countersign enroll --server URL …`",
            folder.path().display()
        ))
    })?;
    let settings = settings.with(overrides);
    let signer = folder.certificates(phase, SIGNER)?.into_iter().next();
    let known = folder.certificates(phase, ANCHORS)?;
    if phase == Phase::OnItsWay {
        let anchors = match known.is_empty() {
            true => Anchors::FromAnswer,
            false => Anchors::Known(known),
        };
        let peer = Peer::new(&settings, settings.first.credential()?, anchors, signer)?;
        let pending = pending.ok_or_else(|| Failure::found("nothing is on its way"))?;
        let done = finish(&folder, &settings, &peer, pending, None);
        if done.is_err() && folder.pending().is_ok_and(|pending| pending.is_none()) {
            folder.forget();
        }
        return done;
    }
    let present = folder.present()?.ok_or_else(|| {
        Failure::missing(format!(
            "`{}` has no certificate yet; enrol first: `countersign enroll --server URL …`",
            folder.path().display()
        ))
    })?;
    let now = SystemClock.now();
    let pending = match pending {
        Some(pending) => pending,
        None if now < present.renew_at(settings.renew_before()?) && !overrides.now => {
            return not_due(&folder, &settings, &present);
        }
        None if now > present.facts.not_after => {
            return Err(Failure {
                code: 4,
                message: format!(
                    "the certificate of `{}` ended at {}, and cannot renew itself any more; enrol anew with `--replace`",
                    present.facts.subject, present.facts.not_after
                ),
            });
        }
        None => folder.begin(Purpose::Renewal, FileKey::generate(settings.key_algorithm()?)?)?,
    };
    let peer = Peer::new(&settings, present.credential()?, Anchors::Known(known), signer)?;
    finish(&folder, &settings, &peer, pending, Some(&present))
}

fn not_due(folder: &Folder, settings: &Settings, present: &Present) -> Result<Value, Failure> {
    // What a power cut or a failing command left to do.
    run_then(folder, settings)?;
    describe("not due", folder, settings, &present.certificate)
}

/// From wherever a transaction stands to its certificate in place. `present` is the one that it follows.
pub fn finish(
    folder: &Folder,
    settings: &Settings,
    peer: &Peer,
    pending: Pending,
    present: Option<&Present>,
) -> Result<Value, Failure> {
    let Pending { purpose, key, state } = pending;
    // 1. The certificate, found good.
    let (issued, told) = match state {
        State::Issued(issued) => (issued, Told::Perhaps),
        State::Confirmed(issued) => (issued, Told::Yes),
        State::Sent | State::Waiting(_) => {
            let wish = match present {
                Some(present) => present.successor(settings, &key)?,
                None => first_wish(settings, &key)?,
            };
            let asked = ask(folder, peer, purpose, &wish, state);
            (Box::new(asked.map_err(|e| ended(folder, e))?), Told::No)
        }
    };
    // 2. It is kept, and its files are written, before anybody hears that it is taken.
    folder.save_state(purpose, &State::Issued(issued.clone()))?;
    let generation = name(&issued)?;
    let files = compose(settings, &issued, &key)?;
    folder.add_generation(&generation, &files)?;
    // 3. The CA hears it. Whoever crashed before it was written down says it again.
    if told != Told::Yes {
        confirm(peer, &issued, &key, told).map_err(|e| {
            folder.remove_generation(&generation);
            ended(folder, e)
        })?;
        folder.save_state(purpose, &State::Confirmed(issued.clone()))?;
    }
    // 4. It counts from here on.
    if purpose == Purpose::First {
        folder.save_settings(Phase::InPlace, settings)?;
        let signer = folder.certificates(Phase::OnItsWay, SIGNER)?;
        folder.save_certificates(Phase::InPlace, SIGNER, &signer)?;
    }
    install(folder, settings, &generation, &files, &issued)?;
    folder.drop_pending()?;
    folder.prune(settings.keep);
    // 5. The daemon hears of it.
    run_then(folder, settings)?;
    let status = if purpose == Purpose::First { "enrolled" } else { "renewed" };
    let mut shown = describe(status, folder, settings, &issued.certificate)?;
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("files".into(), places(&files).into());
        shown.insert("changes".into(), issued.changes.clone().into());
    }
    Ok(shown)
}

/// Sends the request, or goes on with one.
fn ask(
    folder: &Folder,
    peer: &Peer,
    purpose: Purpose,
    wish: &Wish<'_>,
    state: State,
) -> Result<Issued, ClientError> {
    let client = peer.client();
    let mut checkpoint = |waiting: &_| {
        let state = State::Waiting(Clone::clone(waiting));
        folder.save_state(purpose, &state).map_err(|e| ClientError::Internal(e.message))
    };
    match state {
        State::Waiting(waiting) => client.resume(wish, &waiting, &mut checkpoint),
        _ => client.request(wish, &mut checkpoint),
    }
}

/// What came to its end is not on its way any more: the CA said no and proved that it was the CA, or we did. After anything
/// else, a fault of the CA's included, the same command goes on.
fn ended(folder: &Folder, error: ClientError) -> Failure {
    let is_over = match &error {
        ClientError::Refused(refusal) => refusal.unproven.is_none() && !is_fault(refusal),
        ClientError::BadCertificate(_) => true,
        _ => false,
    };
    if is_over && let Err(e) = folder.drop_pending() {
        return e;
    }
    Failure::from(error)
}

/// Whether the CA cannot answer, instead of saying no.
fn is_fault(refusal: &Refusal) -> bool {
    refusal.failures.iter().any(|name| matches!(*name, "systemUnavail" | "systemFailure"))
}

/// Nobody knows whether a confirmation arrived that was not answered, and the CA does not wait for long.
fn confirm(peer: &Peer, issued: &Issued, key: &FileKey, mut told: Told) -> Result<(), ClientError> {
    let Some(open) = &issued.confirmation else { return Ok(()) };
    let client = peer.client();
    let mut tries = 1;
    loop {
        match client.confirm(&issued.certificate, open) {
            Err(ClientError::Unavailable(_)) if tries < CONFIRMATIONS => {
                std::thread::sleep(Duration::from_secs(tries.into()));
                told = Told::Perhaps;
                tries += 1;
            }
            Err(ClientError::Refused(refusal)) if told == Told::Perhaps && !is_fault(&refusal) => {
                return look_up(peer, issued, key, refusal);
            }
            other => return other,
        }
    }
}

/// A confirmation was said again, and is refused. The first one may have been heard all the same, by a CA that has
/// forgotten the transaction since, or takes no message any more from who sent it: the certificate itself asks. Only a
/// proven no ends it.
fn look_up(
    peer: &Peer,
    issued: &Issued,
    key: &FileKey,
    refusal: Refusal,
) -> Result<(), ClientError> {
    // With a signature, "revoked" may be meant of the certificate that signs.
    let is_no = |name: &&str| match *name {
        "badCertId" => true,
        "certRevoked" => peer.is_by_secret(),
        _ => false,
    };
    if refusal.unproven.is_none() && refusal.failures.iter().any(is_no) {
        return Err(ClientError::Refused(refusal));
    }
    match peer.prove_in_use(issued, key) {
        Ok(()) => {
            tracing::info!("the CA knows already that the certificate is taken: {refusal}");
            Ok(())
        }
        Err(ClientError::Refused(no)) if no.is_of_signer() => Err(ClientError::Refused(no)),
        Err(e) => Err(ClientError::Unavailable(format!(
            "{refusal}; whether the CA knows already that the certificate is taken cannot be found out ({e}); it is kept \
             with its key, and the next run tries again; `--abandon` gives both up"
        ))),
    }
}

/// Whom we trust from now on, that the command is to be run, and then the exchange.
fn install(
    folder: &Folder,
    settings: &Settings,
    generation: &str,
    files: &Files,
    issued: &Issued,
) -> Result<(), Failure> {
    folder.save_certificates(Phase::InPlace, ANCHORS, &issued.anchors)?;
    if settings.then.is_some() {
        let path = folder.own(THEN);
        write_over(&path, b"").map_err(at(&path))?;
    }
    folder.switch(generation, &places(files))
}

/// Runs the operator's command, if a new certificate came since it last succeeded.
fn run_then(folder: &Folder, settings: &Settings) -> Result<(), Failure> {
    let mark = folder.own(THEN);
    let Some(command) = settings.then.as_ref().filter(|_| mark.exists()) else { return Ok(()) };
    let run = Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(folder.path())
        // Results are on standard output, and programs read them.
        .stdout(std::io::stderr())
        .status();
    match run {
        Ok(status) if status.success() => remove(&mark).map_err(at(&mark)),
        Ok(status) => Err(Failure::found(format!(
            "the certificate is in its place, but `{}` failed ({status}); the next run tries it again",
            command.escape_debug()
        ))),
        Err(e) => Err(Failure::unavailable(format!("`/bin/sh`: {e}"))),
    }
}

/// A certificate for people and programs.
fn describe(
    status: &str,
    folder: &Folder,
    settings: &Settings,
    certificate: &[u8],
) -> Result<Value, Failure> {
    let facts = Facts::of(certificate)?;
    let names = facts.alt_names.iter().filter_map(|name| Identity::from_general_name(name).ok());
    Ok(json!({
        "status": status,
        "subject": facts.subject.to_string(),
        "names": names.map(|id| id.to_string()).collect::<Vec<_>>(),
        "issuer": facts.issuer.to_string(),
        "serial": data_encoding::HEXLOWER.encode(&facts.serial),
        "not_after": facts.not_after.to_string(),
        "renew_at": renew_at(&facts, settings.renew_before()?).to_string(),
        "out": folder.path().display().to_string(),
    }))
}
