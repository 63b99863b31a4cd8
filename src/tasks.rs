//! The work of a server beside its requests: CRLs, signed tree heads, OCSP responses signed ahead, and one verification of the journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use countersign_ca::authority::{Superseded, UNCONFIRMED_AT_ONCE};
use countersign_ca::journal::{HeadSigner, Verification, verify};
use countersign_ca::record::Label;
use countersign_ca::{Authority, Timestamp};
use countersign_ldap_bridge::ocsp::OcspService;
use rcgen::SigningKey;

use crate::instance::{Instance, audit_verifier};
use crate::threads::Threads;

/// After a change, the CRL thread waits this long for further changes before it signs a CRL.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// The pause between two looks at the schedule of CRLs.
const CRL_LOOK: Duration = Duration::from_secs(1);

/// The pause between two looks for replaced certificates that are to be revoked.
const SUPERSEDED_LOOK: Duration = Duration::from_secs(10);

/// The pause before the CRL thread tries again to sign a CRL that could not be signed.
const CRL_RETRY: Duration = Duration::from_secs(10);

/// The pause between two signed tree heads.
const HEAD_PAUSE: Duration = Duration::from_secs(1);

/// The pause between two looks for OCSP responses that are about to go stale.
const OCSP_PAUSE: Duration = Duration::from_secs(5);

/// The longest time until a thread that pauses sees that the server stops.
const STOP_LOOK: Duration = Duration::from_millis(100);

/// The threads that sign CRLs, tree heads and OCSP responses, from [`Self::start`] to [`Self::stop`].
pub struct SigningThreads {
    authority: Arc<Authority>,
    stop: Arc<AtomicBool>,
    handles: [JoinHandle<()>; 3],
}

impl SigningThreads {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        threads: &Threads,
        instance: &Arc<Instance>,
        authority: &Arc<Authority>,
        responder: &Arc<OcspService>,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let handles = [
            crl_thread(threads, Arc::clone(authority))?,
            head_thread(threads, Arc::clone(instance), Arc::clone(authority), Arc::clone(&stop))?,
            ocsp_thread(threads, Arc::clone(responder), Arc::clone(&stop))?,
        ];
        Ok(Self { authority: Arc::clone(authority), stop, handles })
    }

    /// Stops the threads and waits for their end. The head thread signs a last tree head, which covers every entry that this server
    /// recorded before.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.authority.changes().close();
        for handle in self.handles {
            if handle.join().is_err() {
                tracing::error!("a thread ended badly");
            }
        }
    }
}

/// Sleeps for `time`, or until the server stops.
fn pause(time: Duration, stop: &AtomicBool) {
    let mut left = time;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        let step = left.min(STOP_LOOK);
        std::thread::sleep(step);
        left = left.saturating_sub(step);
    }
}

/// The CAs whose private keys this process has open, so that it signs for them.
pub fn signing_cas(authority: &Authority) -> Vec<Label> {
    authority.cas().filter(|info| info.can_sign).map(|info| info.name.clone()).collect()
}

/// Signs a CA's CRL if it is due, or if it lacks a revocation. A failure is logged.
pub fn sign_if_due(authority: &Authority, ca: &Label) {
    // A command without the passphrase may have revoked while no server ran: the CRL then lacks that revocation.
    let due = is_due(authority, ca) || authority.crl_lacks_changes(ca).unwrap_or(true);
    if due && let Err(e) = authority.publish_crl(ca) {
        tracing::error!(%ca, "the CRL was not signed: {e}");
    }
}

fn is_due(authority: &Authority, ca: &Label) -> bool {
    authority.crl_due(ca).is_ok_and(|due| due.is_some_and(|due| due <= authority.now()))
}

/// Revokes the certificates whose confirmation is overdue, in batches. Each revocation is a change, after which a CRL is signed.
fn revoke_unconfirmed(authority: &Authority) {
    while authority
        .revoke_unconfirmed()
        .inspect_err(|e| tracing::error!("unconfirmed certificates were not revoked: {e}"))
        .is_ok_and(|count| count == UNCONFIRMED_AT_ONCE)
    {}
}

/// Revokes the certificates that a renewal replaced long enough ago, in batches.
fn revoke_superseded(authority: &Authority) {
    let mut after = None;
    loop {
        match authority.revoke_superseded(after.as_ref()) {
            Ok(Superseded { next: Some(next), .. }) => after = Some(next),
            Ok(Superseded { next: None, .. }) => return,
            Err(e) => return tracing::error!("replaced certificates were not revoked: {e}"),
        }
    }
}

/// Signs CRLs: at the start if due, on schedule, and after each change. Before each look at the schedule, certificates
/// whose confirmation is overdue are revoked, also those from before a restart, and those that a renewal replaced long enough ago; and
/// opened secrets are wiped.
fn crl_thread(threads: &Threads, authority: Arc<Authority>) -> std::io::Result<JoinHandle<()>> {
    threads.start("crl", move || {
        let cas = signing_cas(&authority);
        // After a panic, too: the changes that had been taken from the queue are on no CRL yet.
        cas.iter().for_each(|ca| sign_if_due(&authority, ca));
        let (mut wait, mut looked) = (Duration::ZERO, None);
        loop {
            let Some(mut changed) = authority.changes().wait(wait) else { return };
            authority.forget_opened_secrets();
            revoke_unconfirmed(&authority);
            let now = authority.now();
            if looked.is_none_or(|at: Timestamp| now < at || at.plus(SUPERSEDED_LOOK) <= now) {
                revoke_superseded(&authority);
                looked = Some(now);
            }
            if !changed.is_empty() {
                std::thread::sleep(DEBOUNCE);
                match authority.changes().wait(Duration::ZERO) {
                    Some(more) => changed.extend(more),
                    None => return,
                }
            }
            wait = CRL_LOOK;
            for ca in &cas {
                if (is_due(&authority, ca) || changed.contains(ca))
                    && let Err(e) = authority.publish_crl(ca)
                {
                    tracing::error!(%ca, "the CRL was not signed: {e}");
                    authority.changes().note(ca);
                    std::thread::sleep(DEBOUNCE);
                    wait = CRL_RETRY;
                }
            }
        }
    })
}

/// The signer of tree heads, by the audit key.
struct AuditSigner<'a>(&'a Authority);

impl HeadSigner for AuditSigner<'_> {
    fn sign(&self, message: &[u8]) -> countersign_ca::Result<Vec<u8>> {
        self.0.audit_key().sign(message).map_err(|e| countersign_ca::Error::internal(e.to_string()))
    }
}

/// Signs the journal's head every second while the journal grows, and once more when the server stops.
fn head_thread(
    threads: &Threads,
    instance: Arc<Instance>,
    authority: Arc<Authority>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    threads.start("head", move || {
        loop {
            // Read before the head is signed, so that the last round's head covers everything that was recorded before the stop.
            let is_last = stop.load(Ordering::Relaxed);
            if let Err(e) = instance.store.sign_head(authority.now(), &AuditSigner(&authority)) {
                tracing::error!("the journal's head was not signed: {e}");
            }
            if is_last {
                return;
            }
            pause(HEAD_PAUSE, &stop);
        }
    })
}

/// Opens the OCSP responders, signs responses ahead, and renews the responders' certificates. A request that comes sooner waits for
/// its responder.
fn ocsp_thread(
    threads: &Threads,
    responder: Arc<OcspService>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    threads.start("ocsp", move || {
        loop {
            responder.refresh();
            pause(OCSP_PAUSE, &stop);
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    })
}

/// The result of the one verification of the whole journal that runs beside the service. Clones share it.
///
/// A start reads only the entries that the index lacks, so that older damage would stay hidden until `audit verify` is run.
#[derive(Clone, Default)]
pub struct JournalCheck(Arc<OnceLock<Option<String>>>);

impl JournalCheck {
    /// Begins the verification on a thread of its own.
    pub fn start(instance: &Instance) -> Self {
        let check = Self::default();
        let (result, folder) = (check.clone(), instance.location.folder.clone());
        std::thread::spawn(move || {
            let verified = audit_verifier(&folder.keys()).and_then(|verifier| {
                let how = Verification {
                    verifier: Some(verifier.as_ref()),
                    known_head: None,
                    is_live: true,
                };
                Ok(verify(folder.path(), how, &mut |_, _| {})?)
            });
            let damage = match verified {
                Ok(report) => report
                    .findings
                    .first()
                    .map(|damage| format!("the journal is damaged: {damage}")),
                Err(failure) => Some(format!("the journal cannot be verified: {failure}")),
            };
            match &damage {
                Some(damage) => tracing::error!("{damage}; run `countersign audit verify`"),
                None => tracing::debug!("the journal is whole"),
            }
            let _ = result.0.set(damage);
        });
        check
    }

    /// The first damage that was found, or why the journal cannot be verified. `None` if it is whole, and while the verification runs.
    pub fn damage(&self) -> Option<String> {
        self.0.get().cloned().flatten()
    }
}
