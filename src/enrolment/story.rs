//! A first enrolment and a renewal, step by step.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use countersign_ca::x509::Facts;
use countersign_ca::{Clock, FileKey, Identity, SystemClock};
use countersign_enroll::client::{Anchors, ClientError, EnrolmentRequest, Issued, Refusal};
use countersign_enroll::scep::client::require_rsa;
use countersign_ike_plugin::gateway::Files;
use serde_json::{Value, json};

use super::folder::{Folder, Phase, daemon_links, failure_at, remove, write_over};
use super::generation::{Present, compose, name, renew_at};
use super::peer::{Peer, Trust, first_template};
use super::pending::{Begun, Pending, Purpose, State};
use super::settings::{Overrides, Protocol, Settings};
use crate::exit::Failure;

/// The file of the trust anchors, in `DIR/enrolment`.
pub const ANCHORS: &str = "anchors.pem";
/// The file of the server's certificate, or that of a registration authority, in `DIR/enrolment`, if the command line named one.
pub const SIGNER: &str = "signer.pem";
/// The file of the anchors for the server's TLS certificate, in `DIR/enrolment`, if the command line named some.
pub const TLS: &str = "tls.pem";
/// The file that exists, in `DIR/enrolment`, while the operator's command has still to be run for a new certificate.
const THEN: &str = "then";

/// How many times, at most, a run sends the certConf while the CA does not answer.
const CONFIRMATIONS: u32 = 3;

/// How far the certConf (RFC 9810 §5.3.18) for a certificate has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Confirming {
    /// No certConf was sent.
    NotSent,
    /// A certConf may have been sent, and was not answered.
    Unanswered,
    /// The CA acknowledged the certConf, with a pkiConf.
    Acknowledged,
}

/// The parameters of a first enrolment.
pub struct Start {
    /// The requested certificate, and the server.
    pub settings: Settings,
    /// Whom the gateway trusts.
    pub trust: Trust,
    /// A key that exists already; without it, one is made.
    pub key: Option<FileKey>,
    /// Whether a finished enrolment in the folder is replaced.
    pub replace: bool,
    /// Whether a pending request in the folder is given up.
    pub abandon: bool,
}

/// Enrols for the first time. If that fails for good, the files that it made are removed.
pub fn enrol(path: &Path, start: Start) -> Result<Value, Failure> {
    let folder = Folder::create(path)?;
    let enrolled = first(&folder, start);
    if enrolled.is_err() && folder.pending().is_ok_and(|pending| pending.is_none()) {
        folder.forget();
    }
    enrolled
}

fn first(folder: &Folder, start: Start) -> Result<Value, Failure> {
    let settings = start.settings;
    // 1. Refuse to overwrite a certificate or a file that may be in use.
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
    folder.check_links([paths.certificate.as_str(), paths.key.as_str()].into_iter())?;
    let Start { trust, key, .. } = start;
    let saved = (
        trust.anchors.known().to_vec(),
        trust.signer.iter().cloned().collect::<Vec<_>>(),
        trust.tls.clone(),
    );
    let peer = Peer::new(&settings, settings.first.credential()?, trust)?;
    // 2. Go on with a pending request, if it is for the same certificate.
    let pending = resumable(folder, &settings)?;
    // 3. Write the key, and everything that a renewal needs. Both must be durable before the request is sent.
    folder.prepare()?;
    let (anchors, signer, tls) = saved;
    folder.save_certificates(Phase::Pending, ANCHORS, &anchors)?;
    folder.save_certificates(Phase::Pending, SIGNER, &signer)?;
    folder.save_certificates(Phase::Pending, TLS, &tls)?;
    folder.save_settings(Phase::Pending, &settings)?;
    let pending = match pending {
        Some(pending) => pending,
        None => {
            let key = match key {
                Some(key) => key,
                None => FileKey::generate(settings.key_algorithm()?)?,
            };
            layout.check_key(key.public().kind()).map_err(|e| Failure::input(e.to_string()))?;
            if settings.protocol == Protocol::Scep {
                require_rsa(&key, "`--key` has")?;
            }
            folder.begin(Purpose::First, settings.protocol, key)?
        }
    };
    // 4. Get the certificate.
    finish(folder, &settings, &peer, pending, None)
}

/// The pending request of an earlier run, if it is for the same certificate.
fn resumable(folder: &Folder, settings: &Settings) -> Result<Option<Pending>, Failure> {
    let Some(pending) = folder.pending()? else { return Ok(None) };
    let same = |before: &Settings| {
        let asked = |of: &Settings| {
            (
                of.ids.clone(),
                of.subject.clone(),
                of.key_kind.clone(),
                of.profile.clone(),
                of.server.clone(),
                of.protocol,
            )
        };
        asked(before) == asked(settings)
    };
    let before = folder.settings(Phase::Pending)?;
    if pending.begun.purpose == Purpose::First && before.as_ref().is_some_and(same) {
        return Ok(Some(pending));
    }
    if pending.state == State::Sent {
        // The CA has not answered, and the operator wants another certificate now.
        folder.drop_pending()?;
        return Ok(None);
    }
    Err(Failure::missing(format!(
        "another request is on its way in `{}`; `--renew` goes on with it, `--abandon` gives it up",
        folder.path().display()
    )))
}

/// Renews the certificate, if that is due. A pending request is finished in any case; `abandon` gives it up instead.
pub fn renew(path: &Path, overrides: &Overrides, abandon: bool) -> Result<Value, Failure> {
    let folder = Folder::open(path)?;
    if abandon {
        folder.drop_pending()?;
    }
    let pending = folder.pending()?;
    let phase = match &pending {
        Some(pending) if pending.begun.purpose == Purpose::First => Phase::Pending,
        _ => Phase::Finished,
    };
    let settings = folder.settings(phase)?.ok_or_else(|| {
        Failure::missing(format!(
            "`{}` has no certificate yet; enrol first: `countersign enroll --server URL …`",
            folder.path().display()
        ))
    })?;
    let settings = settings.with(overrides);
    if let Some(pending) = pending.as_ref().filter(|p| p.begun.protocol != settings.protocol) {
        return Err(Failure::missing(format!(
            "a request over {} is on its way in `{}`, and `enrolment.toml` says {}; `--abandon` gives the request up",
            pending.begun.protocol.name(),
            folder.path().display(),
            settings.protocol.name()
        )));
    }
    let trust = folder.trust(phase)?;
    if phase == Phase::Pending {
        let trust = Trust { fingerprint: settings.first.fingerprint()?, ..trust };
        let peer = Peer::new(&settings, settings.first.credential()?, trust)?;
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
        None => {
            let key = FileKey::generate(settings.key_algorithm()?)?;
            folder.begin(Purpose::Renewal, settings.protocol, key)?
        }
    };
    let peer = Peer::new(&settings, present.credential()?, trust)?;
    finish(&folder, &settings, &peer, pending, Some(&present))
}

impl Folder {
    /// Whom the gateway of this folder trusts.
    pub fn trust(&self, phase: Phase) -> Result<Trust, Failure> {
        let known = self.certificates(phase, ANCHORS)?;
        Ok(Trust {
            anchors: match phase == Phase::Pending && known.is_empty() {
                true => Anchors::FromAnswer,
                false => Anchors::Known(known),
            },
            signer: self.certificates(phase, SIGNER)?.into_iter().next(),
            tls: self.certificates(phase, TLS)?,
            fingerprint: None,
        })
    }
}

fn not_due(folder: &Folder, settings: &Settings, present: &Present) -> Result<Value, Failure> {
    // An earlier run may have put a certificate in force and not have run the command for it.
    run_then(folder, settings)?;
    describe("not due", folder, settings, &present.certificate)
}

/// Takes a pending request, in whatever state it is, to a certificate in force. `present` is the certificate that it renews.
pub fn finish(
    folder: &Folder,
    settings: &Settings,
    peer: &Peer,
    pending: Pending,
    present: Option<&Present>,
) -> Result<Value, Failure> {
    let Pending { mut begun, key, state } = pending;
    let purpose = begun.purpose;
    // 1. Get the certificate; the client checks it.
    let (issued, confirming) = match state {
        // The run that wrote this state may have sent the certConf, and ended before it wrote that down.
        State::Issued(issued) => (issued, Confirming::Unanswered),
        State::Confirmed(issued) => (issued, Confirming::Acknowledged),
        State::Sent | State::Waiting(_) | State::Undecided => {
            let template = match present {
                Some(present) => present.successor(settings, &key)?,
                None => first_template(settings, &key)?,
            };
            let issued = request(folder, peer, &mut begun, &template, state);
            (Box::new(issued.map_err(|e| drop_if_final(folder, e))?), Confirming::NotSent)
        }
    };
    // 2. Write the certificate and the daemon's files.
    // INVARIANT: both are durable before the CA is told that the gateway has them. After that, the CA does not answer with them again.
    folder.save_state(&begun, &State::Issued(issued.clone()))?;
    let generation = name(&issued)?;
    let files = compose(settings, &issued, &key)?;
    folder.add_generation(&generation, &files)?;
    // 3. Send the certConf. A run that crashed before step 3 was written down sends it again.
    if confirming != Confirming::Acknowledged {
        confirm(peer, &issued, &key, confirming).map_err(|e| {
            folder.remove_generation(&generation);
            drop_if_final(folder, e)
        })?;
        folder.save_state(&begun, &State::Confirmed(issued.clone()))?;
    }
    // 4. Put the certificate in force.
    if purpose == Purpose::First {
        folder.save_settings(Phase::Finished, settings)?;
        let signer = folder.certificates(Phase::Pending, SIGNER)?;
        folder.save_certificates(Phase::Finished, SIGNER, &signer)?;
        let tls = folder.certificates(Phase::Pending, TLS)?;
        folder.save_certificates(Phase::Finished, TLS, &tls)?;
    }
    install(folder, settings, &generation, &files, &issued)?;
    folder.drop_pending()?;
    folder.prune(settings.keep);
    // 5. Tell the daemon.
    run_then(folder, settings)?;
    let status = if purpose == Purpose::First { "enrolled" } else { "renewed" };
    let mut shown = describe(status, folder, settings, &issued.certificate)?;
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("files".into(), daemon_links(&files).into());
        shown.insert("changes".into(), issued.changes.clone().into());
    }
    Ok(shown)
}

/// Sends the request, or goes on with one that the CA has not decided.
fn request(
    folder: &Folder,
    peer: &Peer,
    begun: &mut Begun,
    template: &EnrolmentRequest<'_>,
    state: State,
) -> Result<Issued, ClientError> {
    let failed = |e: Failure| ClientError::Internal(e.message);
    if begun.fixed.is_empty() {
        begun.fixed = peer.prepare(template)?;
        if !begun.fixed.is_empty() {
            // INVARIANT: it is durable before it is sent. A server knows by it that a request came before.
            folder.save_state(begun, &state).map_err(failed)?;
        }
    }
    let mut checkpoint = |state: State| folder.save_state(begun, &state).map_err(failed);
    peer.request(template, begun, &state, &mut checkpoint)
}

/// Drops the pending request if the error is final: the CA refused, and proved that it is the CA; or the certificate is not what was
/// requested. After any other error, a fault of the CA included, the same command goes on with the request.
fn drop_if_final(folder: &Folder, error: ClientError) -> Failure {
    let is_final = match &error {
        ClientError::Refused(refusal) => refusal.unproven.is_none() && !is_fault(refusal),
        ClientError::BadCertificate(_) => true,
        _ => false,
    };
    if is_final && let Err(e) = folder.drop_pending() {
        return e;
    }
    Failure::from(error)
}

/// Whether the CA is at fault and cannot answer now, instead of refusing the request.
fn is_fault(refusal: &Refusal) -> bool {
    refusal.failures.iter().any(|name| matches!(*name, "systemUnavail" | "systemFailure"))
}

/// Sends the certConf until the CA answers. It is repeated at once, because the CA revokes a certificate that is not confirmed in time.
fn confirm(
    peer: &Peer,
    issued: &Issued,
    key: &FileKey,
    mut confirming: Confirming,
) -> Result<(), ClientError> {
    let Some(open) = &issued.confirmation else { return Ok(()) };
    let client = peer.cmp()?;
    let mut tries = 1;
    loop {
        match client.confirm(&issued.certificate, open) {
            Err(ClientError::Unavailable(_)) if tries < CONFIRMATIONS => {
                std::thread::sleep(Duration::from_secs(tries.into()));
                confirming = Confirming::Unanswered;
                tries += 1;
            }
            Err(ClientError::Refused(refusal))
                if confirming == Confirming::Unanswered && !is_fault(&refusal) =>
            {
                return look_up(peer, issued, key, refusal);
            }
            other => return other,
        }
    }
}

/// Finds out whether the CA has accepted that the gateway has the certificate, after it refused a repeated certConf.
///
/// The CA may have received the first certConf all the same, and have forgotten the transaction since, or take no further message from
/// this sender. A query signed with the new certificate shows whether the CA accepts it. Only a refusal that the CA authenticated
/// ends the enrolment.
fn look_up(
    peer: &Peer,
    issued: &Issued,
    key: &FileKey,
    refusal: Refusal,
) -> Result<(), ClientError> {
    // Under a signature, `certRevoked` may be about the certificate that signs the message.
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

/// Writes the new trust anchors and the mark for the operator's command, and then puts the generation in force.
fn install(
    folder: &Folder,
    settings: &Settings,
    generation: &str,
    files: &Files,
    issued: &Issued,
) -> Result<(), Failure> {
    folder.save_certificates(Phase::Finished, ANCHORS, &issued.anchors)?;
    if settings.then.is_some() {
        let path = folder.own(THEN);
        write_over(&path, b"").map_err(failure_at(&path))?;
    }
    folder.switch(generation, &daemon_links(files))
}

/// Runs the operator's command, if a certificate was put in force since the command last succeeded.
fn run_then(folder: &Folder, settings: &Settings) -> Result<(), Failure> {
    let mark = folder.own(THEN);
    let Some(command) = settings.then.as_ref().filter(|_| mark.exists()) else { return Ok(()) };
    let run = Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(folder.path())
        // Standard output has the result of this program, which other programs read.
        .stdout(std::io::stderr())
        .status();
    match run {
        Ok(status) if status.success() => remove(&mark).map_err(failure_at(&mark)),
        Ok(status) => Err(Failure::found(format!(
            "the certificate is in its place, but `{}` failed ({status}); the next run tries it again",
            command.escape_debug()
        ))),
        Err(e) => Err(Failure::unavailable(format!("`/bin/sh`: {e}"))),
    }
}

/// A certificate as the command prints it, with `status`, such as `renewed`.
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
        "serial": facts.serial_text(),
        "not_after": facts.not_after.to_string(),
        "renew_at": renew_at(&facts, settings.renew_before()?).to_string(),
        "out": folder.path().display().to_string(),
    }))
}
