//! `countersign serve`: wires the authority to HTTP, LDAP, the authorizer, the admin socket and the threads that sign.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::App;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::Data;
use countersign_ca::Authority;
use countersign_ca::write_atomically;
use countersign_enroll::cmp::CmpService;
use countersign_enroll::cmp::Endpoint as CmpEndpoint;
use countersign_enroll::scep::{Endpoint as ScepEndpoint, ScepService};
use countersign_ike_plugin::gateway::{Feature, limits};
use countersign_ldap_bridge::ocsp::OcspService;
use countersign_ldap_bridge::slots::ConnectionSlots;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::socket;
use crate::authorizer::Running;
use crate::bridge::Bridge;
use crate::config::Config;
use crate::descriptors;
use crate::exit::Failure;
use crate::http::metrics::Metrics;
use crate::http::state::ServerState;
use crate::http::{self, front, ocsp};
use crate::instance::Instance;
use crate::logging::LogControl;
use crate::tasks::{JournalCheck, SigningThreads, sign_if_due, signing_cas};
use crate::threads::Threads;

/// The pause between two looks for connections whose client never finishes a request.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// The parts of the server behind its HTTP front, and the panics of its threads.
struct Parts {
    authority: Arc<Authority>,
    responder: Arc<OcspService>,
    bridge: Arc<Bridge>,
    authorizer: Option<Arc<Running>>,
    threads: Threads,
}

/// Serves until SIGTERM or SIGINT. `listen` replaces the configuration's address and port; `started` is called with the address in use once
/// the server accepts connections.
///
/// # Errors
/// The server cannot start, or a part of it fails while it stops.
pub fn run(
    mut instance: Instance,
    listen: Option<SocketAddr>,
    log: &LogControl,
    started: &dyn Fn(SocketAddr),
) -> Result<(), Failure> {
    descriptors::fit(&mut instance.config);
    let authority = Arc::clone(instance.authority()?);
    let instance = Arc::new(instance);
    warn_of_settings(&instance.config);
    // Before the server listens: a peer that reaches it finds its CRLs.
    for ca in &signing_cas(&authority) {
        sign_if_due(&authority, ca);
    }
    let responder =
        Arc::new(OcspService::new(Arc::clone(&authority), instance.config.ocsp.responder.clone())?);
    responder.prepare();
    let bridge = Arc::new(Bridge::start(&authority, &instance.config.ldap)?);
    instance.set_bridge(&bridge);
    let authorizer = match instance.config.file.authorizer.serve {
        true => Some(Arc::new(Running::start(&instance.config.authorizer, Some(&authority))?)),
        false => None,
    };
    let threads = Threads::default();
    let signing = SigningThreads::start(&threads, &instance, &authority, &responder)?;
    let parts = Parts { authority, responder, bridge, authorizer, threads };
    let served =
        actix_web::rt::System::new().block_on(serve(&instance, &parts, listen, log, started));
    drop(parts);
    // Every acknowledged entry is durable already; the last signed tree head covers them all.
    signing.stop();
    let folder = &instance.location.folder;
    for file in [folder.socket(), folder.listen(), folder.ldap_listen()] {
        let _ = std::fs::remove_file(file);
    }
    tracing::info!("stopped");
    served
}

fn warn_of_settings(config: &Config) {
    if config.file.http.public_url.is_none() {
        tracing::warn!(
            "http.public_url is not set: certificates carry no CRL, OCSP and CA locations"
        );
    }
    let partitions = config.file.crl.partitions;
    if partitions > 0 {
        tracing::warn!("crl.partitions is {partitions}: {}", limits(Feature::Partition));
    }
}

/// The part of [`run`] on the event loops.
async fn serve(
    instance: &Arc<Instance>,
    parts: &Parts,
    listen: Option<SocketAddr>,
    log: &LogControl,
    started: &dyn Fn(SocketAddr),
) -> Result<(), Failure> {
    let config = &instance.config;
    let connections =
        ConnectionSlots::new(config.http.max_connections, config.http.max_connections_per_address);
    let state = Data::new(ServerState {
        instance: Arc::clone(instance),
        authority: Arc::clone(&parts.authority),
        bridge: Arc::clone(&parts.bridge),
        authorizer: parts.authorizer.clone(),
        threads: parts.threads.clone(),
        connections: Arc::clone(&connections),
        journal: JournalCheck::start(instance),
    });
    let metrics = Data::new(Metrics::new());
    let cmp = cmp_endpoint(config, parts, &metrics);
    let ocsp = ocsp_endpoint(config, parts, &metrics);
    let scep = scep_endpoint(config, parts, &metrics);
    let listen = listen.unwrap_or(config.http.listen);
    let limits = front_limits(config);
    let failed = |e: std::io::Error| Failure::unavailable(format!("`{listen}`: {e}"));
    let listener = front::listen(listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let server = front::server(listener, &limits, &connections, move || {
        App::new()
            .app_data(state.clone())
            .app_data(metrics.clone())
            .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
            .wrap(from_fn(front::in_turn))
            .configure(|routes| cmp.configure(routes))
            .configure(|routes| ocsp.configure(routes))
            .configure(|routes| scep.iter().for_each(|scep| scep.configure(routes)))
            .configure(http::configure)
    })
    .map_err(failed)?;
    let handle = server.handle();
    let admin =
        actix_web::rt::spawn(socket::serve(socket::listen(instance)?, Arc::clone(instance)));
    write_addresses(instance, address, parts.bridge.address())?;
    tracing::info!(%address, "listening");
    started(address);
    let serving = actix_web::rt::spawn(server);
    let patience = limits.keep_alive.max(limits.request_timeout).saturating_add(IDLE_LOOK);
    let tidying = actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(IDLE_LOOK).await;
            connections.end_idle(patience);
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

fn cmp_endpoint(config: &Config, parts: &Parts, metrics: &Data<Metrics>) -> CmpEndpoint {
    let service = CmpService::new(Arc::clone(&parts.authority), config.cmp.service.clone());
    let metrics = metrics.clone();
    CmpEndpoint::new(
        Arc::new(service),
        config.cmp.max_concurrent,
        Arc::new(move |outcome| metrics.count_cmp(outcome)),
    )
    .with_mac_slots(config.cmp.max_concurrent_macs)
    .with_large_bodies(config.cmp.max_large_bodies)
    .with_body_timeout(config.cmp.body_timeout)
}

fn ocsp_endpoint(config: &Config, parts: &Parts, metrics: &Data<Metrics>) -> ocsp::Endpoint {
    let metrics = metrics.clone();
    ocsp::Endpoint::new(
        Arc::clone(&parts.responder),
        config.ocsp.max_concurrent,
        Arc::new(move |answer| metrics.count_ocsp(answer)),
    )
}

/// The endpoint of SCEP, if SCEP is served. Its delegates are made now, if there can be any: an RSA key takes a second to generate.
fn scep_endpoint(config: &Config, parts: &Parts, metrics: &Data<Metrics>) -> Option<ScepEndpoint> {
    let service = config.scep.service.clone()?;
    if let Err(why) = parts.authority.scep_delegates(None) {
        tracing::warn!("SCEP has no certificates yet: {why}");
    }
    let service = ScepService::new(Arc::clone(&parts.authority), service);
    let metrics = metrics.clone();
    Some(ScepEndpoint::new(
        Arc::new(service),
        config.scep.max_concurrent,
        Arc::new(move |outcome| metrics.count_scep(outcome)),
    ))
}

fn front_limits(config: &Config) -> front::Limits {
    front::Limits {
        workers: std::thread::available_parallelism().map_or(2, usize::from),
        blocking_threads: blocking_threads(config),
        max_connections: config.http.max_connections,
        request_timeout: config.http.request_timeout,
        write_timeout: config.http.write_timeout,
        keep_alive: config.http.keep_alive,
        shutdown_timeout: config.http.shutdown_timeout,
    }
}

/// One blocking thread for each request that may be worked on at once, so that no request waits for a thread while others wait for the
/// disk or for a key; and some for searches and checks.
const fn blocking_threads(config: &Config) -> usize {
    let (cmp, ocsp) = (&config.cmp, &config.ocsp);
    let scep = if config.scep.service.is_some() { config.scep.max_concurrent } else { 0 };
    cmp.max_concurrent
        .saturating_add(scep)
        .saturating_add(cmp.max_concurrent_macs)
        .saturating_add(ocsp.max_concurrent)
        .saturating_add(32)
}

/// Writes the files by which scripts find the server's addresses: `listen` and `listen.ldap` in the data folder.
fn write_addresses(
    instance: &Instance,
    http: SocketAddr,
    ldap: Option<SocketAddr>,
) -> Result<(), Failure> {
    let folder = &instance.location.folder;
    if let Some(ldap) = ldap {
        write_atomically(&folder.ldap_listen(), format!("ldap://{ldap}\n").as_bytes())?;
    }
    Ok(write_atomically(&folder.listen(), format!("http://{http}\n").as_bytes())?)
}

/// Waits for SIGTERM or SIGINT. At each SIGHUP it reads again the configuration ([`reload`] has what takes effect at once), the LDAP
/// directory's TLS certificate, and the authorizer's policy.
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

/// Reads the configuration again. Profiles and the log filter change at once; the log names the other settings that differ, which
/// count only at the next start.
fn reload(instance: &Instance, authority: &Authority, log: &LogControl) {
    match instance.location.config() {
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

/// Whether a change of this key of the configuration is in force without a new start. Commands read the sections of gateways themselves,
/// each time.
fn is_live(key: &str) -> bool {
    key == "log.filter" || key.starts_with("profiles.") || key.starts_with("gateways.")
}
