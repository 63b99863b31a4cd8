//! `countersign serve`: wires the authority to HTTP, to the admin socket, and to the threads that sign CRLs and heads.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::{App, HttpResponse, web};
use countersign_ca::Authority;
use countersign_ca::authority::UNCONFIRMED_AT_ONCE;
use countersign_ca::journal::{HeadSigner, Verification, verify};
use countersign_ca::record::Label;
use countersign_enroll::cmp::CmpService;
use countersign_enroll::http::Endpoint;
use countersign_ike_plugin::gateway::{Feature, limits};
use countersign_ldap_bridge::ocsp::OcspService;
use countersign_ldap_bridge::places::Places;
use rcgen::SigningKey;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::socket;
use crate::authorizer::Running;
use crate::bridge::Bridge;
use crate::config::Config;
use crate::descriptors;
use crate::exit::Failure;
use crate::http::front;
use crate::http::health::{self, Findings, Threads};
use crate::instance::Instance;
use crate::logging::LogControl;
use crate::http::metrics::Metrics;
use crate::http::ocsp;
use crate::http::repository;
use crate::http::search;

/// After a change, further changes are waited for this long before a CRL is signed.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// How often OCSP answers that go stale are signed ahead, in tenths of a second.
const OCSP_REFRESH: u32 = 50;

/// How often connections are looked for whose client never finishes a request.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// What the handlers share.
pub struct Shared {
    /// The instance.
    pub instance: Arc<Instance>,
    /// Its authority.
    pub authority: Arc<Authority>,
    /// Directories.
    pub bridge: Arc<Bridge>,
    /// What answers IKE daemons.
    pub authorizer: Option<Arc<Running>>,
    /// What is counted.
    pub metrics: Metrics,
    /// Those that sign.
    pub threads: Threads,
    /// Who is connected by HTTP.
    pub places: Arc<Places>,
    /// What the verification of the journal found, once it is through.
    journal: Arc<OnceLock<Option<String>>>,
}

impl Shared {
    /// What is wrong with the journal, if that is known.
    pub fn journal_damage(&self) -> Option<String> {
        self.journal.get().cloned().flatten()
    }
}

/// What answers, each in its protocol.
struct Parts {
    threads: Threads,
    authority: Arc<Authority>,
    responder: Arc<OcspService>,
    bridge: Arc<Bridge>,
    authorizer: Option<Arc<Running>>,
}

/// Serves until SIGTERM or SIGINT.
pub fn run(
    mut instance: Instance,
    listen: Option<SocketAddr>,
    log: &LogControl,
    started: &dyn Fn(SocketAddr),
) -> Result<(), Failure> {
    descriptors::fit(&mut instance.config);
    let authority = Arc::clone(instance.authority()?);
    let instance = Arc::new(instance);
    if instance.config.file.http.public_url.is_none() {
        tracing::warn!(
            "http.public_url is not set: certificates carry no CRL, OCSP and CA locations"
        );
    }
    let partitions = instance.config.file.crl.partitions;
    if partitions > 0 {
        tracing::warn!("crl.partitions is {partitions}: {}", limits(Feature::Partition));
    }
    // Whoever finds the server listening finds its CRLs.
    let signing = signing_cas(&authority);
    for ca in &signing {
        sign_if_due(&authority, ca);
    }
    let responder =
        Arc::new(OcspService::new(Arc::clone(&authority), instance.config.ocsp.clone())?);
    responder.prepare();
    let bridge = Arc::new(Bridge::start(&authority, &instance.config.ldap)?);
    instance.set_bridge(&bridge);
    let authorizer = match instance.config.file.authorizer.serve {
        true => Some(Arc::new(Running::start(&instance.config.authorizer, Some(&authority))?)),
        false => None,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let watched = Threads::default();
    let threads = [
        crl_thread(&watched, Arc::clone(&authority))?,
        head_thread(&watched, Arc::clone(&instance), Arc::clone(&authority), Arc::clone(&stop))?,
        ocsp_thread(&watched, Arc::clone(&responder), Arc::clone(&stop))?,
    ];
    let parts = Parts {
        threads: watched,
        authority: Arc::clone(&authority),
        responder,
        bridge,
        authorizer,
    };
    let served =
        actix_web::rt::System::new().block_on(serve(&instance, &parts, listen, log, started));
    drop(parts);
    // What was acknowledged is durable already; the last head says so.
    stop.store(true, Ordering::Relaxed);
    authority.changes().close();
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread ended badly");
        }
    }
    let _ = std::fs::remove_file(instance.place.folder.socket());
    let _ = std::fs::remove_file(instance.place.folder.listen());
    let _ = std::fs::remove_file(instance.place.folder.ldap_listen());
    tracing::info!("stopped");
    served
}

async fn serve(
    instance: &Arc<Instance>,
    parts: &Parts,
    listen: Option<SocketAddr>,
    log: &LogControl,
    started: &dyn Fn(SocketAddr),
) -> Result<(), Failure> {
    let config = &instance.config;
    let Parts { threads, authority, responder, bridge, authorizer } = parts;
    let places = Places::new(
        config.file.http.max_connections,
        at_most(config.file.http.max_connections_per_address),
    );
    let shared = web::Data::new(Shared {
        instance: Arc::clone(instance),
        authority: Arc::clone(authority),
        bridge: Arc::clone(bridge),
        authorizer: authorizer.clone(),
        metrics: Metrics::new(),
        threads: threads.clone(),
        places: Arc::clone(&places),
        journal: verify_journal(instance),
    });
    let service = Arc::new(CmpService::new(Arc::clone(authority), config.cmp.clone()));
    let counted = shared.clone();
    let endpoint = Endpoint::new(
        service,
        config.file.cmp.max_concurrent,
        Arc::new(move |outcome| counted.metrics.count(outcome)),
    )
    .with_mac_slots(config.file.cmp.max_concurrent_macs)
    .with_large_bodies(config.file.cmp.max_large_bodies)
    .with_body_timeout(config.cmp_body_timeout);
    let counted = shared.clone();
    let responder = ocsp::Endpoint::new(
        Arc::clone(responder),
        config.file.ocsp.max_concurrent,
        Arc::new(move |answer| counted.metrics.count_ocsp(answer)),
    );
    let listen = listen.unwrap_or(config.file.http.listen);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let limits = front::Limits {
        workers,
        // Nobody waits for a thread because others wait for the disk or for a key: there are as many as there are places.
        blocking_threads: blocking_threads(config),
        max_connections: config.file.http.max_connections,
        request_timeout: config.request_timeout,
        write_timeout: config.write_timeout,
        keep_alive: config.keep_alive,
        shutdown_timeout: config.shutdown_timeout,
    };
    let failed = |e: std::io::Error| Failure::unavailable(format!("`{listen}`: {e}"));
    let listener = front::listen(listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let server = front::server(listener, &limits, &places, move || {
        App::new()
            .app_data(shared.clone())
            .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
            .wrap(from_fn(front::in_turn))
            .configure(|routes| endpoint.configure(routes))
            .configure(|routes| responder.configure(routes))
            .route("/", web::get().to(index))
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
            .configure(repository::configure)
            .configure(search::configure)
    })
    .map_err(failed)?;
    let handle = server.handle();
    let admin =
        actix_web::rt::spawn(socket::serve(socket::listen(instance)?, Arc::clone(instance)));
    let listen_file = instance.place.folder.listen();
    if let Some(ldap) = bridge.address() {
        let file = instance.place.folder.ldap_listen();
        countersign_ca::foundation::write_atomically(&file, format!("ldap://{ldap}\n").as_bytes())?;
    }
    countersign_ca::foundation::write_atomically(
        &listen_file,
        format!("http://{address}\n").as_bytes(),
    )?;
    tracing::info!(%address, "listening");
    started(address);
    let serving = actix_web::rt::spawn(server);
    let patience = limits.keep_alive.max(limits.request_timeout).saturating_add(IDLE_LOOK);
    let tidying = actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(IDLE_LOOK).await;
            places.end_idle(patience);
        }
    });
    until_stopped(instance, parts, log).await?;
    tracing::info!("stopping");
    admin.abort();
    tidying.abort();
    handle.stop(true).await;
    serving.await.map_err(|e| Failure::unavailable(e.to_string()))??;
    Ok(())
}

/// A bound of which 0 means that there is none.
const fn at_most(bound: usize) -> usize {
    if bound == 0 { usize::MAX } else { bound }
}

/// As many threads as may be busy at once, and some for searches and checks.
const fn blocking_threads(config: &Config) -> usize {
    let (cmp, ocsp) = (&config.file.cmp, &config.file.ocsp);
    cmp.max_concurrent
        .saturating_add(cmp.max_concurrent_macs)
        .saturating_add(ocsp.max_concurrent)
        .saturating_add(32)
}

/// Waits for SIGTERM or SIGINT; SIGHUP reads the configuration again.
async fn until_stopped(
    instance: &Arc<Instance>,
    parts: &Parts,
    log: &LogControl,
) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                reload(instance, &parts.authority, log);
                parts.bridge.reload();
                if let Some(authorizer) = &parts.authorizer {
                    authorizer.reload();
                }
            }
        }
    }
}

/// Profiles and the log's filter change at once, for every verb; what else is different counts at the next start, and is named.
fn reload(instance: &Instance, authority: &Authority, log: &LogControl) {
    match instance.place.config() {
        Ok(Config { profiles, file, .. }) => {
            authority.reload_profiles(profiles);
            log.set_filter(&file.log.filter);
            tracing::info!(
                "the configuration was read again: profiles and log filter are in force"
            );
            let later: Vec<String> =
                instance.read.differences(&file).into_iter().filter(|key| !is_live(key)).collect();
            if !later.is_empty() {
                tracing::warn!("what counts only at the next start: `{}`", later.join("`, `"));
            }
        }
        Err(failure) => {
            tracing::error!("the configuration is not taken, and the old one stays: {failure}")
        }
    }
}

/// Whether a change of this key is in force already: commands read the gateways themselves.
fn is_live(key: &str) -> bool {
    key == "log.filter" || key.starts_with("profiles.") || key.starts_with("gateways.")
}

/// Reads the whole journal through once, beside the service: a start reads only what the index has not, and old damage
/// must not stay hidden until somebody asks.
fn verify_journal(instance: &Instance) -> Arc<OnceLock<Option<String>>> {
    let found = Arc::new(OnceLock::new());
    let (result, folder) = (Arc::clone(&found), instance.place.folder.clone());
    std::thread::spawn(move || {
        let verified = crate::cli::audit_verifier(&folder.keys()).and_then(|verifier| {
            let how =
                Verification { verifier: Some(verifier.as_ref()), known_head: None, is_live: true };
            Ok(verify(folder.path(), how, &mut |_, _| {})?)
        });
        let damage = match verified {
            Ok(report) => {
                report.findings.first().map(|damage| format!("the journal is damaged: {damage}"))
            }
            Err(failure) => Some(format!("the journal cannot be verified: {failure}")),
        };
        match &damage {
            Some(damage) => tracing::error!("{damage}; run `countersign audit verify`"),
            None => tracing::debug!("the journal is whole"),
        }
        let _ = result.set(damage);
    });
    found
}

fn signing_cas(authority: &Authority) -> Vec<Label> {
    authority.cas().filter(|info| info.can_sign).map(|info| info.name.clone()).collect()
}

fn sign_if_due(authority: &Authority, ca: &Label) {
    let due = authority.crl_due(ca).is_ok_and(|due| due.is_some_and(|due| due <= authority.now()));
    // A command may have revoked while no key was at hand.
    let due = due || authority.crl_lacks_changes(ca).unwrap_or(true);
    if due && let Err(e) = authority.publish_crl(ca) {
        tracing::error!(%ca, "the CRL was not signed: {e}");
    }
}

/// Revokes what was never confirmed. That is a change, after which a CRL is signed.
fn revoke_unconfirmed(authority: &Authority) {
    while authority
        .revoke_unconfirmed()
        .inspect_err(|e| tracing::error!("unconfirmed certificates were not revoked: {e}"))
        .is_ok_and(|count| count == UNCONFIRMED_AT_ONCE)
    {}
}

/// Signs CRLs: at the start if due, on schedule, and after each change. Before each look at the schedule, certificates
/// whose confirmation is overdue are revoked; after a restart as well.
fn crl_thread(threads: &Threads, authority: Arc<Authority>) -> std::io::Result<JoinHandle<()>> {
    threads.start("crl", move || {
        let cas = signing_cas(&authority);
        // After a fault, too: what had been noted until then is on no CRL yet.
        cas.iter().for_each(|ca| sign_if_due(&authority, ca));
        let mut patience = Duration::ZERO;
        loop {
            let Some(mut changed) = authority.changes().wait(patience) else { return };
            revoke_unconfirmed(&authority);
            if !changed.is_empty() {
                std::thread::sleep(DEBOUNCE);
                match authority.changes().wait(Duration::ZERO) {
                    Some(more) => changed.extend(more),
                    None => return,
                }
            }
            // A second between looks at the schedule; a failed CRL is tried again after ten.
            patience = Duration::from_secs(1);
            for ca in &cas {
                let due = authority
                    .crl_due(ca)
                    .is_ok_and(|due| due.is_some_and(|due| due <= authority.now()));
                if (due || changed.contains(ca))
                    && let Err(e) = authority.publish_crl(ca)
                {
                    tracing::error!(%ca, "the CRL was not signed: {e}");
                    authority.changes().note(ca);
                    std::thread::sleep(DEBOUNCE);
                    patience = Duration::from_secs(10);
                }
            }
        }
    })
}

struct AuditSigner<'a>(&'a Authority);

impl HeadSigner for AuditSigner<'_> {
    fn sign(&self, message: &[u8]) -> countersign_ca::Result<Vec<u8>> {
        self.0.audit_key().sign(message).map_err(|e| countersign_ca::Error::internal(e.to_string()))
    }
}

/// Signs the journal's head every second while it grows, and at the end.
fn head_thread(
    threads: &Threads,
    instance: Arc<Instance>,
    authority: Arc<Authority>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    threads.start("head", move || {
        loop {
            let last = stop.load(Ordering::Relaxed);
            if let Err(e) = instance.store.sign_head(authority.now(), &AuditSigner(&authority)) {
                tracing::error!("the journal's head was not signed: {e}");
            }
            if last {
                return;
            }
            for _ in 0..10 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    })
}

/// Opens the signers of OCSP answers, signs ahead, and renews the signers. Who asks sooner waits for his signer.
fn ocsp_thread(
    threads: &Threads,
    responder: Arc<OcspService>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    threads.start("ocsp", move || {
        loop {
            responder.refresh();
            for _ in 0..OCSP_REFRESH {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    })
}

async fn index() -> HttpResponse {
    plain(
        200,
        "Countersign\n\n\
         POST /.well-known/cmp              CMP (RFC 9811), also /.well-known/cmp/p/<profile or CA> and /pkix/\n\
         GET  /crl/<ca>.crl                 certificate revocation lists\n\
         GET  /crl/<ca>/delta.crl           what changed since the last full one, if deltas are on\n\
         GET  /crl/<ca>/<n>.crl             its partitions, if CRLs are divided\n\
         GET  /ca/<ca>.cer                  certificates of the CAs\n\
         POST /ocsp, GET /ocsp/<base64>     status of certificates (RFC 6960)\n\
         GET  /certificates/search.cgi      certificates by hash, name or address (RFC 4387), also /crls/search.cgi\n\
         GET  /hash/<sha1>                  certificates by SHA-1, for IKEv2 hash and URL\n\
         GET  /healthz /readyz /metrics     for operators\n",
    )
}

async fn healthz() -> HttpResponse {
    plain(200, "ok\n")
}

/// Ready when the clock, the disk, the threads, the CAs and the CRLs are good; the reasons otherwise. What will hurt before long is
/// told either way.
async fn readyz(shared: web::Data<Shared>) -> HttpResponse {
    let Ok(Findings { reasons, warnings }) = web::block(move || health::look(&shared)).await else {
        return plain(503, "busy\n");
    };
    let status = if reasons.is_empty() { 200 } else { 503 };
    let ready = reasons.is_empty().then(|| "ready".to_owned());
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
    let lines: Vec<String> = ready.into_iter().chain(reasons).chain(warnings).collect();
    plain(status, &format!("{}\n", lines.join("\n")))
}

async fn metrics(shared: web::Data<Shared>) -> HttpResponse {
    match web::block(move || shared.metrics.text(&shared)).await {
        Ok(Ok(text)) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Ok(Err(e)) => {
            tracing::error!("metrics: {e}");
            plain(500, "the metrics cannot be read\n")
        }
        Err(_) => plain(503, "busy\n"),
    }
}

/// A short text.
pub fn plain(status: u16, text: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status)
        .unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(text.to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;
    use crate::cli::Context;
    use crate::cli::init::Init;

    /// What the handlers of a new instance share, nothing of which runs but what the test starts.
    fn shared(folder: &std::path::Path) -> web::Data<Shared> {
        let context = Context::of_folder(&folder.join("data"));
        Init::standard().unwrap().found(&context).unwrap();
        let mut instance = Instance::open(&context.place).unwrap();
        instance.config.ldap.directory = None;
        let authority = Arc::clone(instance.authority().unwrap());
        signing_cas(&authority).iter().for_each(|ca| sign_if_due(&authority, ca));
        let bridge = Arc::new(Bridge::start(&authority, &instance.config.ldap).unwrap());
        web::Data::new(Shared {
            instance: Arc::new(instance),
            authority,
            bridge,
            authorizer: None,
            metrics: Metrics::new(),
            threads: Threads::default(),
            places: Places::new(1, 1),
            journal: Arc::default(),
        })
    }

    #[actix_web::test]
    async fn a_thread_that_panicked_is_told_by_readiness_and_metrics() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path());
        let told = async || {
            let answer = readyz(shared.clone()).await;
            let status = answer.status().as_u16();
            let text = to_bytes(answer.into_body()).await.unwrap();
            (status, String::from_utf8(text.to_vec()).unwrap())
        };
        let counted = || shared.metrics.text(&shared).unwrap();
        assert_eq!(told().await, (200, "ready\n".to_owned()));
        assert!(counted().contains("countersign_unready_reasons 0\n"));
        let is_first = AtomicBool::new(true);
        let work = move || assert!(!is_first.swap(false, Ordering::SeqCst), "on purpose");
        shared.threads.start("crl", work).unwrap().join().unwrap();
        let (status, text) = told().await;
        assert!(status == 503 && text.contains("the thread `crl` 1 times"), "{text}");
        let counted = counted();
        for line in ["thread_panics{thread=\"crl\"} 1", "unready_reasons 1"] {
            assert!(counted.contains(&format!("countersign_{line}\n")), "{counted}");
        }
    }
}
