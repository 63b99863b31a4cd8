//! A read-only LDAPv3 directory of our own (RFC 4511), so that a small site needs no other: anonymous, bounded, and prompt. An
//! IKE daemon may wait whole for a directory that falls silent, so whoever cannot be served is told so at once.

mod ber;
mod connection;
mod filter;
mod schema;
mod search;
mod snapshot;
mod tls;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_ca::REFUSED;
use ldap3_proto::proto::LdapResultCode as Code;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::dn::Dn;
use crate::error::{Error, Result};
use crate::places::{Place, Places};
use connection::{Connection, Ending};
use search::Apart;
use snapshot::Node;
use tls::Tls;

pub use snapshot::Snapshot;
pub use tls::TlsFiles;

/// How long it may take to tell a client that others need its place.
const FAREWELL: Duration = Duration::from_millis(200);

/// What a client may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once.
    pub max_connections: usize,
    /// The most connections at once from one address, or one /64 of IPv6.
    pub max_connections_per_address: usize,
    /// The largest request, in octets.
    pub max_request: usize,
    /// The deepest filter.
    pub max_filter_depth: usize,
    /// The most parts of a filter.
    pub max_filter_nodes: usize,
    /// The most attributes that a search names.
    pub max_attributes: usize,
    /// The most entries of one answer or one page.
    pub max_entries: usize,
    /// The most entries that one search looks at.
    pub max_looked_at: usize,
    /// How long one search may look.
    pub search_time: Duration,
    /// How long a client may be silent.
    pub idle: Duration,
    /// How long a client may take for one request, and for a TLS handshake.
    pub request_time: Duration,
    /// How long a client may take to read a part of an answer.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_connections_per_address: 256,
            max_request: 32 << 10,
            max_filter_depth: 16,
            max_filter_nodes: 128,
            max_attributes: 64,
            max_entries: 1000,
            max_looked_at: 1_000_000,
            search_time: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            request_time: Duration::from_secs(10),
            write: Duration::from_secs(20),
        }
    }
}

/// Where and how the directory serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// Where it listens for LDAP.
    pub listen: Option<SocketAddr>,
    /// Where it listens for LDAPS; needs `tls`.
    pub tls_listen: Option<SocketAddr>,
    /// The certificate for LDAPS and StartTLS.
    pub tls: Option<TlsFiles>,
    /// The DNs above all entries.
    pub naming_contexts: Vec<Dn>,
    /// What a client may cost.
    pub limits: Limits,
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub struct Counts {
    connections: AtomicU64,
    searches: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    /// Connections that were taken.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Searches.
    pub fn searches(&self) -> u64 {
        self.searches.load(Ordering::Relaxed)
    }

    /// Clients that were turned away: too many, or what they sent could not be read.
    pub fn turned_away(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn searched(&self) {
        self.searches.fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// What all connections share.
struct Shared {
    limits: Limits,
    apart: Apart,
    tls: Option<Tls>,
    snapshot: RwLock<Arc<Snapshot>>,
    counts: Counts,
    places: Arc<Places>,
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A directory that listens.
pub struct Directory {
    shared: Arc<Shared>,
    listener: Option<TcpListener>,
    tls_listener: Option<TcpListener>,
}

/// Changes the entries of a directory while it serves.
#[derive(Clone)]
pub struct DirectoryHandle(Arc<Shared>);

impl DirectoryHandle {
    /// Replaces every entry at once. Searches under way go on with those before.
    pub fn replace(&self, snapshot: Snapshot) {
        *self.0.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.0.snapshot().len()
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Reads the TLS certificate again.
    ///
    /// # Errors
    /// [`Error::Malformed`]; the former certificate stays in use.
    pub fn reload_tls(&self) -> Result<()> {
        self.0.tls.as_ref().map_or(Ok(()), Tls::reload)
    }
}

impl Directory {
    /// Listens, with no entries yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when an address is taken, [`Error::Malformed`] when the certificate cannot be used.
    pub async fn bind(config: DirectoryConfig) -> Result<Self> {
        let tls = config.tls.map(Tls::open).transpose()?;
        if config.tls_listen.is_some() && tls.is_none() {
            return Err(Error::Malformed(
                "LDAPS needs a certificate and a key: set ldap.certificate and ldap.key".into(),
            ));
        }
        let contexts: Vec<String> = config
            .naming_contexts
            .iter()
            .filter(|dn| !dn.is_empty())
            .map(ToString::to_string)
            .collect();
        let apart = Apart {
            root: Node::apart("", &schema::root_dse(&contexts, tls.is_some())),
            subschema: Node::apart(schema::SUBSCHEMA, &schema::subschema()),
        };
        let limits = &config.limits;
        let places = Places::new(limits.max_connections, limits.max_connections_per_address);
        let shared = Shared {
            places,
            limits: config.limits,
            apart,
            tls,
            snapshot: RwLock::default(),
            counts: Counts::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            listener: listen(config.listen).await?,
            tls_listener: listen(config.tls_listen).await?,
        })
    }

    /// Where it listens for LDAP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where it listens for LDAPS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// What changes its entries.
    pub fn handle(&self) -> DirectoryHandle {
        DirectoryHandle(Arc::clone(&self.shared))
    }

    /// Serves until `stop` is ready; then closes every connection.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let (stream, peer, is_tls) = tokio::select! {
                () = &mut stop => break,
                // Tasks that ended are forgotten.
                Some(_) = clients.join_next() => continue,
                accepted = accept(self.listener.as_ref()) => match accepted {
                    Some((stream, peer)) => (stream, peer, false),
                    None => continue,
                },
                accepted = accept(self.tls_listener.as_ref()) => match accepted {
                    Some((stream, peer)) => (stream, peer, true),
                    None => continue,
                },
            };
            clients.spawn(client(
                Arc::clone(&self.shared),
                stream,
                peer.ip(),
                is_tls,
                stopped.clone(),
            ));
        }
        let _ = stopping.send(true);
        let _ =
            timeout(Duration::from_secs(1), async { while clients.join_next().await.is_some() {} })
                .await;
    }
}

async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).map_err(|e| {
        Error::Unavailable(format!("the LDAP directory cannot listen on `{address}`: {e}"))
    })
}

/// The next client of a listener; never, without one.
async fn accept(listener: Option<&TcpListener>) -> Option<(TcpStream, SocketAddr)> {
    let Some(listener) = listener else { return std::future::pending().await };
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(e) => {
            // Such as no file descriptor left: it passes.
            tracing::error!("the LDAP directory: {e}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn client(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: IpAddr,
    is_tls: bool,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let address = address.to_canonical();
    let Ok(place) = shared.places.take(address) else {
        shared.counts.refused();
        tracing::warn!(target: REFUSED, client = %address, "too many LDAP connections");
        if !is_tls {
            let mut connection = Connection::new(stream, shared, None, false);
            let _ = connection.notice(Code::Busy, "too many connections").await;
        }
        return;
    };
    shared.counts.connections.fetch_add(1, Ordering::Relaxed);
    let place = Arc::new(place);
    let mut serving = pin!(converse(Arc::clone(&shared), stream, Arc::clone(&place), is_tls));
    let served = tokio::select! {
        served = &mut serving => served,
        // An idle client is told so, one that takes nothing is not.
        () = place.ended() => timeout(FAREWELL, serving).await.unwrap_or(Ok(())),
        _ = stopped.changed() => return,
    };
    if let Err(e) = served {
        tracing::debug!(%address, "an LDAP connection: {e}");
    }
}

async fn converse(
    shared: Arc<Shared>,
    stream: TcpStream,
    place: Arc<Place>,
    is_tls: bool,
) -> io::Result<()> {
    let stream = if is_tls {
        stream
    } else {
        let plain = Connection::new(stream, Arc::clone(&shared), Some(Arc::clone(&place)), false);
        match plain.serve().await? {
            Ending::Closed => return Ok(()),
            Ending::StartTls(stream) => stream,
        }
    };
    let Some(tls) = &shared.tls else { return Ok(()) };
    let handshake = tls.acceptor().accept(stream);
    let stream =
        timeout(shared.limits.request_time, handshake).await.map_err(io::Error::from)??;
    Connection::new(stream, Arc::clone(&shared), Some(place), true).serve().await?;
    Ok(())
}
