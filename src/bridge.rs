//! Keeps LDAP directories in step with the authority. A thread, the feeder, reads the changes in the journal, and hands the entries to
//! the built-in directory and to the publishers. An enrolment never waits for any of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_ca::Authority;
use countersign_ldap_bridge::Entry;
use countersign_ldap_bridge::catalogue::Catalogue;
use countersign_ldap_bridge::directory::{Directory, DirectoryConfig, DirectoryHandle, Snapshot};
use countersign_ldap_bridge::layout::Layout;
use countersign_ldap_bridge::publisher::{
    self, Publisher, PublisherSettings, Report, Scope, Status,
};
use der::Encode;
use tokio::sync::oneshot;

use crate::config::LdapConfig;
use crate::exit::Failure;

/// After a change, the feeder waits this long for further changes.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// The pause between two looks for expired certificates.
const LOOK: Duration = Duration::from_millis(500);
/// The pause before the feeder reads the records again after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// The built-in LDAP directory and the publishers of a running server, with the thread that feeds them entries.
pub struct Bridge {
    directory: Option<Listening>,
    publishers: Vec<Arc<Publisher>>,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
    authority: Arc<Authority>,
}

/// The built-in directory, and the thread that serves it.
struct Listening {
    handle: DirectoryHandle,
    address: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The state that the feeder reports.
#[derive(Default)]
struct State {
    /// How many certificates of peers are not published, because of `ldap.max_peers`.
    left_out: usize,
    /// Why the feeder last failed to read the records; `None` if it did not.
    failure: Option<String>,
    /// Whether the directories have had all entries at least once.
    is_fed: bool,
}

impl Bridge {
    /// Starts the built-in directory, if one is configured, the publishers and the feeder. When this returns, the built-in directory has
    /// the entries of the CAs.
    pub fn start(authority: &Arc<Authority>, config: &LdapConfig) -> Result<Self, Failure> {
        let directory = config.directory.clone().map(listen).transpose()?;
        let scope = scope(authority, &config.layout)?;
        let publishers = config
            .publishers
            .iter()
            .map(|settings| Publisher::start(settings.clone(), scope.clone()).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failure)?;
        let mut bridge = Self {
            directory,
            publishers,
            state: Arc::default(),
            stop: Arc::default(),
            feeder: None,
            authority: Arc::clone(authority),
        };
        let outlets = bridge.outlets();
        if outlets.is_empty() {
            return Ok(bridge);
        }
        // The entries of the CAs are there at once; reading a million certificates takes a while.
        let layout = config.layout.clone();
        let first = Catalogue::open(Arc::clone(authority), layout.clone(), 0);
        let entries = first.and_then(|catalogue| catalogue.entries()).map_err(failure)?;
        // Publishers wait for all entries: an entry that is not read yet must not look like one that is gone.
        if let Some(directory) = bridge.directory() {
            directory.replace(Snapshot::new(&entries));
        }
        let feeder = Feeder {
            authority: Arc::clone(authority),
            outlets,
            state: Arc::clone(&bridge.state),
            stop: Arc::clone(&bridge.stop),
        };
        let limit = config.max_peers;
        bridge.feeder = Some(std::thread::spawn(move || feeder.run(layout, limit)));
        Ok(bridge)
    }

    /// The LDAP address and port of the built-in directory; `None` if there is none.
    pub fn address(&self) -> Option<SocketAddr> {
        self.directory.as_ref().and_then(|directory| directory.address)
    }

    /// The built-in directory; `None` if it is off.
    pub fn directory(&self) -> Option<&DirectoryHandle> {
        self.directory.as_ref().map(|directory| &directory.handle)
    }

    /// How many certificates of peers are not published, because of `ldap.max_peers`.
    pub fn left_out(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).left_out
    }

    /// The reasons why directories do not have the entries that they should have.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let ended =
            |thread: &Option<JoinHandle<()>>| thread.as_ref().is_some_and(JoinHandle::is_finished);
        if self.directory.as_ref().is_some_and(|directory| ended(&directory.thread)) {
            reasons.push("the LDAP directory ended; see the log".to_owned());
        }
        if ended(&self.feeder) {
            reasons.push("nothing feeds the directories any more; see the log".to_owned());
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        reasons
            .extend(state.failure.iter().map(|why| format!("the directories lag behind: {why}")));
        reasons.extend(self.publishers().into_iter().filter_map(|publisher| {
            let why = publisher.error?;
            Some(format!("the directory `{}` is not in step: {why}", publisher.name))
        }));
        if self.feeder.is_some() && !state.is_fed && state.failure.is_none() {
            reasons.push("the certificates for the directories are being read".to_owned());
        }
        reasons
    }

    /// The state of each LDAP server that is published to.
    pub fn publishers(&self) -> Vec<Status> {
        self.publishers.iter().map(|publisher| publisher.status()).collect()
    }

    /// Reads the TLS certificate of the built-in directory again.
    pub fn reload(&self) {
        if let Some(directory) = self.directory()
            && let Err(e) = directory.reload_tls()
        {
            tracing::error!("the LDAP directory keeps its TLS certificate: {e}");
        }
    }

    fn outlets(&self) -> Vec<Outlet> {
        let own = self.directory().cloned().map(Outlet::Directory);
        own.into_iter().chain(self.publishers.iter().cloned().map(Outlet::Publisher)).collect()
    }
}

/// Whether operations are carried out on directories, or directories are only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The operations are carried out.
    Apply,
    /// A dry run: nothing is changed.
    DryRun,
}

/// The comparison of one directory with the entries that it should have.
pub struct NamedReport {
    /// The name of the directory.
    pub directory: String,
    /// The report about the directory.
    pub report: Report,
}

/// Compares the directory of this name, or all for `None`, with the entries that they should have. With [`Effect::Apply`], the operations
/// that are missing are carried out.
pub fn reconcile(
    authority: &Arc<Authority>,
    config: &LdapConfig,
    name: Option<&str>,
    effect: Effect,
) -> Result<Vec<NamedReport>, Failure> {
    let chosen: Vec<&PublisherSettings> = config
        .publishers
        .iter()
        .filter(|settings| name.is_none_or(|name| settings.name == name))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::missing(match name {
            Some(name) => format!("no directory `{name}` is configured; see [[ldap.directories]]"),
            None => "no directory is configured; see [[ldap.directories]]".to_owned(),
        }));
    }
    let catalogue = Catalogue::open(Arc::clone(authority), config.layout.clone(), config.max_peers);
    let entries = catalogue.and_then(|catalogue| catalogue.entries()).map_err(failure)?;
    let scope = scope(authority, &config.layout)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dry_run = effect == Effect::DryRun;
    chosen
        .into_iter()
        .map(|settings| {
            let done = runtime.block_on(publisher::reconcile(settings, &scope, &entries, dry_run));
            let report = done.map_err(|e| {
                let Failure { code, message } = failure(e);
                Failure { code, message: format!("`{}`: {message}", settings.name) }
            })?;
            Ok(NamedReport { directory: settings.name.clone(), report })
        })
        .collect()
}

fn scope(authority: &Authority, layout: &Layout) -> Result<Scope, Failure> {
    let owners = authority.cas().map(|ca| ca.subject.to_der());
    let owners = owners.collect::<Result<_, _>>().map_err(countersign_ca::Error::internal)?;
    Ok(Scope { base: layout.base().clone(), owners })
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.authority.store().wake();
        let directory = self.directory.as_mut();
        let threads = [
            self.feeder.take(),
            directory.and_then(|directory| {
                drop(directory.stop.take());
                directory.thread.take()
            }),
        ];
        for thread in threads.into_iter().flatten() {
            if thread.join().is_err() {
                tracing::error!("a thread of the LDAP bridge ended badly");
            }
        }
    }
}

/// A directory that the feeder hands entries to.
enum Outlet {
    Directory(DirectoryHandle),
    Publisher(Arc<Publisher>),
}

impl Outlet {
    fn receive(&self, entries: &Arc<Vec<Entry>>) {
        match self {
            Self::Directory(directory) => directory.replace(Snapshot::new(entries)),
            Self::Publisher(publisher) => publisher.publish(Arc::clone(entries)),
        }
    }
}

/// The thread that reads changes and hands entries on.
struct Feeder {
    authority: Arc<Authority>,
    outlets: Vec<Outlet>,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl Feeder {
    fn run(self, layout: Layout, limit: usize) {
        while !self.stopped() {
            let opened = Catalogue::open(Arc::clone(&self.authority), layout.clone(), limit);
            match opened.and_then(|catalogue| self.feed(catalogue)) {
                Ok(()) => return,
                Err(e) => {
                    tracing::error!("the directories are not fed: {e}");
                    self.note(|state| state.failure = Some(e.to_string()));
                    self.pause(RETRY);
                }
            }
        }
    }

    /// Hands entries on whenever they change, until the server stops.
    fn feed(&self, mut catalogue: Catalogue) -> countersign_ldap_bridge::Result<()> {
        let mut changed = true;
        loop {
            changed |= catalogue.update()?;
            let (_, left_out) = catalogue.counts();
            self.note(|state| state.left_out = left_out);
            if changed {
                let began = Instant::now();
                let entries = Arc::new(catalogue.entries()?);
                self.outlets.iter().for_each(|outlet| outlet.receive(&entries));
                self.note(|state| *state = State { left_out, failure: None, is_fed: true });
                changed = false;
                // The pause is 49 times the work, so that the feeder takes a fiftieth of a core, however many certificates there are and
                // however often they change. It is at most ten seconds, so that no entry is later than that.
                self.pause(began.elapsed().saturating_mul(49).min(Duration::from_secs(10)));
            }
            if self.stopped() {
                return Ok(());
            }
            if self.authority.store().wait_beyond(catalogue.mark(), LOOK, &self.stop) {
                self.pause(DEBOUNCE);
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps for `time`, or until the server stops.
    fn pause(&self, time: Duration) {
        let until = Instant::now().checked_add(time).unwrap_or_else(Instant::now);
        while !self.stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// Starts the directory on a thread of its own, so that no other work delays it.
fn listen(config: DirectoryConfig) -> Result<Listening, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let directory = runtime.block_on(Directory::bind(config)).map_err(|e| match failure(e) {
        Failure { code: 5, message } => Failure::unavailable(format!(
            "{message}; `--ldap-listen ADDR:PORT` names another address, `--ldap-listen off` goes without"
        )),
        other => other,
    })?;
    let (handle, address) = (directory.handle(), directory.address());
    for address in [address, directory.tls_address()].into_iter().flatten() {
        tracing::info!(%address, "the LDAP directory listens");
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("ldap".into()).spawn(move || {
        // The directory stops when the sender is dropped.
        runtime.block_on(directory.serve(async { drop(stopped.await) }));
    })?;
    Ok(Listening { handle, address, stop: Some(stop), thread: Some(thread) })
}

fn failure(error: countersign_ldap_bridge::Error) -> Failure {
    use countersign_ldap_bridge::Error;
    match error {
        Error::Malformed(why) => Failure::input(why),
        Error::Denied(why) => Failure { code: 4, message: why },
        Error::Unavailable(why) => Failure::unavailable(why),
        Error::Internal(why) => Failure { code: 1, message: why },
    }
}
