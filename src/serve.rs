//! `countersign serve`: wires the authority to HTTP, to the admin socket, and to the threads that sign CRLs and heads.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::middleware::DefaultHeaders;
use actix_web::{App, HttpResponse, HttpServer, web};
use countersign_ca::authority::UNCONFIRMED_AT_ONCE;
use countersign_ca::journal::{HeadSigner, Verification, verify};
use countersign_ca::record::Label;
use countersign_ca::{Authority, Store, Timestamp};
use countersign_enroll::cmp::CmpService;
use countersign_enroll::http::Endpoint;
use countersign_ike_plugin::gateway::{Feature, limits};
use countersign_ldap_bridge::ocsp::OcspService;
use rcgen::SigningKey;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::socket;
use crate::authorizer::Running;
use crate::bridge::Bridge;
use crate::config::Config;
use crate::exit::Failure;
use crate::instance::Instance;
use crate::logging::LogControl;
use crate::metrics::Metrics;
use crate::ocsp;
use crate::repository;
use crate::search;

/// After a change, further changes are waited for this long before a CRL is signed.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// How often OCSP answers that go stale are signed ahead, in tenths of a second.
const OCSP_REFRESH: u32 = 50;

/// What the handlers share.
pub struct Shared {
    /// The instance.
    pub instance: Arc<Instance>,
    /// Its authority.
    pub authority: Arc<Authority>,
    /// Directories.
    pub bridge: Arc<Bridge>,
    /// What answers IKE daemons.
    authorizer: Option<Arc<Running>>,
    /// What is counted.
    pub metrics: Metrics,
    /// What the verification of the journal found, once it is through.
    journal: Arc<OnceLock<Option<String>>>,
}

/// What answers, each in its protocol.
struct Parts {
    authority: Arc<Authority>,
    responder: Arc<OcspService>,
    bridge: Arc<Bridge>,
    authorizer: Option<Arc<Running>>,
}

/// Serves until SIGTERM or SIGINT.
pub fn run(
    instance: Instance,
    listen: Option<SocketAddr>,
    log: &LogControl,
    started: &dyn Fn(SocketAddr),
) -> Result<(), Failure> {
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
    let threads = [
        crl_thread(Arc::clone(&authority)),
        head_thread(Arc::clone(&instance), Arc::clone(&authority), Arc::clone(&stop)),
        ocsp_thread(Arc::clone(&responder), Arc::clone(&stop)),
    ];
    let parts = Parts { authority: Arc::clone(&authority), responder, bridge, authorizer };
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
    let Parts { authority, responder, bridge, authorizer } = parts;
    let shared = web::Data::new(Shared {
        instance: Arc::clone(instance),
        authority: Arc::clone(authority),
        bridge: Arc::clone(bridge),
        authorizer: authorizer.clone(),
        metrics: Metrics::new(),
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
    let write_timeout = u32::try_from(config.write_timeout.as_millis()).unwrap_or(u32::MAX);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
            .configure(|routes| endpoint.configure(routes))
            .configure(|routes| responder.configure(routes))
            .route("/", web::get().to(index))
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
            .configure(repository::configure)
            .configure(search::configure)
    })
    .workers(workers)
    // Both are counted in each worker. Nobody waits for a thread because others wait for the disk or for a key: there
    // are as many as there are places.
    .max_connections(config.file.http.max_connections.div_ceil(workers))
    .worker_max_blocking_threads(blocking_threads(config))
    .client_request_timeout(config.request_timeout)
    .on_connect(move |connection, _| end_when_unread(connection, write_timeout))
    .keep_alive(config.keep_alive)
    .shutdown_timeout(config.shutdown_timeout.as_secs())
    .disable_signals()
    .bind(listen)
    .map_err(|e| Failure::unavailable(format!("`{listen}`: {e}")))?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    let server = server.run();
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
    until_stopped(instance, parts, log).await?;
    tracing::info!("stopping");
    admin.abort();
    handle.stop(true).await;
    serving.await.map_err(|e| Failure::unavailable(e.to_string()))??;
    Ok(())
}

/// Has the kernel end a connection whose client takes nothing of an answer for so many milliseconds (TCP_USER_TIMEOUT): the server
/// itself has no time-out for writing.
fn end_when_unread(connection: &dyn Any, timeout: u32) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>()
        && let Err(e) = set_tcp_user_timeout(stream, timeout)
    {
        tracing::warn!("a connection without a time-out for writing: {e}");
    }
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

/// Profiles and the log's filter change at once; the rest of the file counts at the next start.
fn reload(instance: &Instance, authority: &Authority, log: &LogControl) {
    match instance.place.config() {
        Ok(Config { profiles, file, .. }) => {
            authority.reload_profiles(profiles);
            log.set_filter(&file.log.filter);
            tracing::info!(
                "the configuration was read again: profiles and log filter are in force"
            );
        }
        Err(failure) => {
            tracing::error!("the configuration is not taken, and the old one stays: {failure}")
        }
    }
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
fn crl_thread(authority: Arc<Authority>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let cas = signing_cas(&authority);
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
    instance: Arc<Instance>,
    authority: Arc<Authority>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
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
fn ocsp_thread(responder: Arc<OcspService>, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
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

/// Ready when the clock, the CAs and the CRLs are good; the reasons otherwise.
async fn readyz(shared: web::Data<Shared>) -> HttpResponse {
    let checked = web::block(move || unready(&shared)).await;
    match checked {
        Ok(reasons) if reasons.is_empty() => plain(200, "ready\n"),
        Ok(reasons) => plain(503, &reasons.join("\n")),
        Err(_) => plain(503, "busy\n"),
    }
}

fn unready(shared: &Shared) -> Vec<String> {
    let now = shared.authority.now();
    let mut reasons: Vec<String> = shared.journal.get().cloned().flatten().into_iter().collect();
    reasons.extend(shared.bridge.unready());
    let last = shared.instance.store.last_entry();
    reasons.extend(shared.instance.wrong_clock());
    if now < last.minus(Duration::from_secs(2)) {
        reasons.push(format!(
            "the clock went backwards: it is {now}, and the last entry is of {last}"
        ));
    }
    for ca in shared.authority.cas() {
        if ca.not_after <= now && shared.authority.is_succeeded(&ca.name) {
            continue;
        }
        if ca.not_after <= now {
            reasons.push(format!("the CA `{}` ended on {}", ca.name, ca.not_after));
            continue;
        }
        if !ca.can_sign {
            continue;
        }
        if let Err(e) = shared.authority.responder(&ca.name) {
            reasons.push(format!("OCSP: {e}"));
        }
        match stale_crls(&shared.authority, &ca.name, now) {
            Ok(stale) => reasons.extend(stale),
            Err(e) => reasons.push(format!("the store: {e}")),
        }
    }
    reasons
}

/// The CRLs of a CA that are missing, or older than half their validity.
fn stale_crls(
    authority: &Authority,
    ca: &Label,
    now: Timestamp,
) -> countersign_ca::Result<Vec<String>> {
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

async fn metrics(shared: web::Data<Shared>) -> HttpResponse {
    match web::block(move || {
        let authorizer = shared.authorizer.as_ref().map(|running| running.authorizer().as_ref());
        shared.metrics.text(&shared.instance, &shared.authority, &shared.bridge, authorizer)
    })
    .await
    {
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
