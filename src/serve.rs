//! `countersign serve`: wires the authority to HTTP, LDAP, the authorizer, the admin socket and the threads that sign.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Request;
use actix_service::{IntoServiceFactory, apply_fn_factory};
use actix_web::App;
use actix_web::web::{self, Data};
use countersign_ca::Authority;
use countersign_ca::Store;
use countersign_ca::authority::TlsServer;
use countersign_ca::founding;
use countersign_ca::write_atomically;
use countersign_enroll::cmp::CmpService;
use countersign_enroll::cmp::Endpoint as CmpEndpoint;
use countersign_enroll::est::{Endpoint as EstEndpoint, EstService};
use countersign_enroll::scep::{Endpoint as ScepEndpoint, ScepService};
use countersign_ike_plugin::gateway::{Feature, limits};
use countersign_ldap_bridge::ocsp::OcspService;
use countersign_ldap_bridge::slots::ConnectionSlots;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::socket;
use crate::api::{self, Api};
use crate::authorizer::Running;
use crate::bridge::Bridge;
use crate::config::{Config, TlsListener};
use crate::descriptors;
use crate::exit::Failure;
use crate::http::front::{self, Front, Protocol};
use crate::http::metrics::Metrics;
use crate::http::state::ServerState;
use crate::http::tls::Tls;
use crate::http::{self, ocsp};
use crate::instance::Instance;
use crate::logging::LogControl;
use crate::notify::Notifier;
use crate::tasks::{JournalCheck, SigningThreads, sign_if_due, signing_cas};
use crate::threads::Threads;
use crate::watch::Watch;

/// The pause between two looks for connections whose client never finishes a request.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// The pause between two checks whether the certificates of TLS servers have to be renewed.
const TLS_LOOK: Duration = Duration::from_secs(60);

/// The parts of the server behind its HTTP front, and the panics of its threads.
struct Parts {
    authority: Arc<Authority>,
    responder: Arc<OcspService>,
    bridge: Arc<Bridge>,
    authorizer: Option<Arc<Running>>,
    est_tls: Option<Arc<Tls>>,
    admin_tls: Option<Arc<Tls>>,
    notifier: Arc<Notifier>,
    watch: Arc<Watch>,
    threads: Threads,
}

impl Parts {
    /// The certificates of the TLS servers.
    fn certificates(&self) -> impl Iterator<Item = Arc<Tls>> {
        self.est_tls.iter().chain(&self.admin_tls).cloned()
    }
}

/// Refuses the folder of a root that is kept apart from the network: there is nothing to serve, and a server would open it to strangers.
fn refuse_root_only(instance: &Instance) -> Result<(), Failure> {
    let cas = instance.store.cas()?;
    match !cas.is_empty() && cas.iter().all(|ca| ca.is_root) {
        false => Ok(()),
        true => Err(Failure::missing(
            "this instance has a root and no issuing CA, and no server runs on it. `countersign ca sign` and `countersign crl sign` need none; \
             `countersign init --root-csr FILE`, in another folder, founds the instance of the server; `countersign ca add NAME` adds an \
             issuing CA here",
        )),
    }
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
    refuse_root_only(&instance)?;
    descriptors::fit(&mut instance.config);
    let authority = Arc::clone(instance.authority()?);
    let instance = Arc::new(instance);
    warn_of_settings(&instance.config);
    // A restored instance has the CRLs that were brought to it in its journal only.
    founding::restore_files(instance.store.as_ref(), &instance.location.folder.crls())?;
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
    let open = |server, listener: &Option<TlsListener>| match listener {
        Some(listener) => Ok(Some(Arc::new(Tls::open(&authority, server, &listener.certificate)?))),
        None => Ok::<_, Failure>(None),
    };
    let est_tls = open(TlsServer::Est, &instance.config.est.listener)?;
    let admin_tls = open(TlsServer::Administration, &instance.config.admin.listener)?;
    let threads = Threads::default();
    let signing = SigningThreads::start(&threads, &instance, &authority, &responder)?;
    let notify = &instance.config.notify;
    let notifier =
        Arc::new(Notifier::start(&threads, instance.location.folder.notified(), notify)?);
    instance.set_notifier(&notifier);
    let watch = Watch::new(notify.interval);
    watch.start(&threads, &instance, &notifier)?;
    let parts = Parts {
        authority,
        responder,
        bridge,
        authorizer,
        est_tls,
        admin_tls,
        notifier: Arc::clone(&notifier),
        watch: Arc::clone(&watch),
        threads,
    };
    let served =
        actix_web::rt::System::new().block_on(serve(&instance, &parts, listen, log, started));
    watch.stop();
    notifier.stop();
    drop(parts);
    // Every acknowledged entry is durable already; the last signed tree head covers them all.
    signing.stop();
    let folder = &instance.location.folder;
    let addresses =
        [folder.listen(), folder.ldap_listen(), folder.est_listen(), folder.admin_listen()];
    for file in addresses.into_iter().chain([folder.socket()]) {
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
        watch: Arc::clone(&parts.watch),
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
    let est = match (&config.est.listener, &parts.est_tls) {
        (Some(listener), Some(tls)) => {
            Some(EstServer::listen(config, parts, &metrics, listener, tls)?)
        }
        _ => None,
    };
    let has_est = est.is_some();
    let api = match (&config.admin.listener, &parts.admin_tls) {
        (Some(listener), Some(tls)) => Some(ApiServer::listen(instance, parts, listener, tls)?),
        _ => None,
    };
    let front = Front::new(&limits, &connections);
    let front = front.serve("http", listener, Protocol::Plain(ocsp.direct()), move || {
        let application = App::new()
            .app_data(state.clone())
            .app_data(metrics.clone())
            .configure(|routes| cmp.configure(routes))
            .configure(|routes| scep.iter().for_each(|scep| scep.configure(routes)))
            .configure(|routes| {
                if has_est {
                    http::refuse_plain_est(routes)
                }
            })
            .configure(http::configure);
        let application = IntoServiceFactory::<_, Request>::into_factory(application);
        let ocsp = Rc::new(ocsp.clone());
        apply_fn_factory(application, move |request: Request, application: &_| {
            ocsp.answer_or(request, application)
        })
    });
    let mut front = front.map_err(failed)?;
    let est_address = est.as_ref().map(|est| est.address);
    if let Some(est) = est {
        front = est.serve(front)?;
    }
    let api_address = api.as_ref().map(|api| api.address);
    let tidied = api.as_ref().map(|api| (api.api.clone(), Arc::clone(&api.connections)));
    if let Some(api) = api {
        front = api.serve(front)?;
    }
    let server = front.run();
    let handle = server.handle();
    let admin =
        actix_web::rt::spawn(socket::serve(socket::listen(instance)?, Arc::clone(instance)));
    let folder = &instance.location.folder;
    write_address(folder.est_listen(), "https", est_address)?;
    write_address(folder.admin_listen(), "https", api_address)?;
    write_address(folder.ldap_listen(), "ldap", parts.bridge.address())?;
    write_address(folder.listen(), "http", Some(address))?;
    let shown = |address: Option<SocketAddr>| address.map(tracing::field::display);
    tracing::info!(%address, est = shown(est_address), admin = shown(api_address), "listening");
    started(address);
    let serving = actix_web::rt::spawn(server);
    let renewing: Vec<_> =
        parts.certificates().map(|tls| actix_web::rt::spawn(renew(tls))).collect();
    let patience = limits.keep_alive.max(limits.request_timeout).saturating_add(IDLE_LOOK);
    let tidying = actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(IDLE_LOOK).await;
            connections.end_idle(patience);
            if let Some((api, connections)) = &tidied {
                api.forget_old();
                connections.end_idle(patience);
            }
        }
    });
    until_stopped(instance, parts, log).await?;
    tracing::info!("stopping");
    admin.abort();
    tidying.abort();
    renewing.iter().for_each(|task| task.abort());
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

/// The EST server before it runs: its socket, its certificate and its endpoint.
struct EstServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: Arc<Tls>,
    endpoint: EstEndpoint,
}

impl EstServer {
    /// Listens on the address of the configuration.
    fn listen(
        config: &Config,
        parts: &Parts,
        metrics: &Data<Metrics>,
        listener: &TlsListener,
        tls: &Arc<Tls>,
    ) -> Result<Self, Failure> {
        let failed =
            |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", listener.address));
        let service = EstService::new(Arc::clone(&parts.authority), config.est.service.clone());
        let metrics = metrics.clone();
        let observer = Arc::new(move |outcome| metrics.count_est(outcome));
        let endpoint = EstEndpoint::new(Arc::new(service), config.est.max_concurrent, observer)
            .with_body_timeout(config.cmp.body_timeout);
        let listener = front::listen(listener.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, tls: Arc::clone(tls), endpoint })
    }

    /// Adds the server to the front.
    fn serve(self, front: Front) -> Result<Front, Failure> {
        let Self { listener, address, tls, endpoint } = self;
        let served = front.serve("est", listener, Protocol::Tls(tls), move || {
            App::new()
                .configure(|routes| endpoint.configure(routes))
                .default_service(web::to(http::no_such_est_path))
        });
        served.map_err(|e| Failure::unavailable(format!("`{address}`: {e}")))
    }
}

/// The server of the administration API before it runs.
struct ApiServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: Arc<Tls>,
    api: Api,
    /// Connection slots of the API's own, so that peers which take all other slots keep no administrator out.
    connections: Arc<ConnectionSlots>,
}

impl ApiServer {
    /// Listens on the address of the configuration.
    fn listen(
        instance: &Arc<Instance>,
        parts: &Parts,
        listener: &TlsListener,
        tls: &Arc<Tls>,
    ) -> Result<Self, Failure> {
        let failed =
            |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", listener.address));
        let most = instance.config.admin.max_connections;
        let connections = ConnectionSlots::new(most, most.div_ceil(2));
        let listener = front::listen(listener.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let api = Api::new(&parts.authority, instance, address.port())?;
        Ok(Self { listener, address, tls: Arc::clone(tls), api, connections })
    }

    /// Adds the server to the front.
    fn serve(self, front: Front) -> Result<Front, Failure> {
        let Self { listener, address, tls, api, connections } = self;
        let front = front.with_slots(&connections);
        let served = front.serve("admin", listener, Protocol::Tls(tls), move || {
            App::new().configure(|routes| api.configure(routes))
        });
        served.map_err(|e| Failure::unavailable(format!("`{address}`: {e}")))
    }
}

/// Renews the certificate of a TLS server whenever that is due.
async fn renew(tls: Arc<Tls>) {
    loop {
        tokio::time::sleep(TLS_LOOK).await;
        let tls = Arc::clone(&tls);
        // A panic is reported by the process's hook, and the next look comes.
        let _ = web::block(move || tls.renew()).await;
    }
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
    // The library counts the connections of all listeners together. Those of one listener must not use up what another one needs.
    let of_api = match config.admin.listener {
        Some(_) => config.admin.max_connections.saturating_add(front::REFUSED_AT_ONCE),
        None => 0,
    };
    front::Limits {
        workers: std::thread::available_parallelism().map_or(2, usize::from),
        blocking_threads: blocking_threads(config),
        max_connections: config.http.max_connections.saturating_add(of_api),
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
        .saturating_add(config.est.max_concurrent)
        .saturating_add(cmp.max_concurrent_macs)
        .saturating_add(ocsp.max_concurrent)
        .saturating_add(config.admin.max_concurrent)
        .saturating_add(api::MAX_AT_GATE)
        .saturating_add(api::MAX_LOGINS)
        .saturating_add(32)
}

/// Writes a file by which scripts find an address of the server, such as `listen` in the data folder.
fn write_address(file: PathBuf, scheme: &str, address: Option<SocketAddr>) -> Result<(), Failure> {
    match address {
        Some(address) => Ok(write_atomically(&file, format!("{scheme}://{address}\n").as_bytes())?),
        None => Ok(()),
    }
}

/// Waits for SIGTERM or SIGINT. At each SIGHUP it reads these again: the configuration (see [`reload`] for the settings that take effect
/// at once), the TLS certificates of the built-in LDAP directory, the EST server and the administration API, and the authorizer's policy.
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
                reload(instance, parts, log);
                parts.bridge.reload();
                for tls in parts.certificates() {
                    let _ = web::block(move || tls.reload()).await;
                }
                if let Some(authorizer) = &parts.authorizer {
                    authorizer.reload();
                }
            }
        }
    }
}

/// Reads the configuration again. Profiles, the receivers of notifications and the log filter change at once; the log names the other settings that differ, which
/// count only at the next start.
fn reload(instance: &Instance, parts: &Parts, log: &LogControl) {
    match instance.location.config() {
        Ok(Config { profiles, file, notify, .. }) => {
            parts.authority.reload_profiles(profiles);
            parts.watch.set_interval(notify.interval);
            if let Err(failure) = parts.notifier.reload(&notify) {
                tracing::error!("not every receiver of notifications was started: {failure}");
            }
            log.set_filter(&file.log.filter);
            tracing::info!(
                "the configuration was read again: profiles, notifications and log filter are in force"
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

/// Whether a change of this key of the configuration takes effect without a restart. Commands read the sections of gateways themselves,
/// each time.
fn is_live(key: &str) -> bool {
    key == "log.filter"
        || ["profiles.", "gateways.", "notify."].iter().any(|section| key.starts_with(section))
}
