//! The directory's listeners, and the tasks that serve its clients.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_ca::REFUSED;
use ldap3_proto::proto::LdapResultCode as Code;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{Connection, Ending, Transport};
use super::limits::Limits;
use super::schema;
use super::search::Apart;
use super::shared::{Counts, Shared};
use super::snapshot::{Node, Snapshot};
use super::tls::{Tls, TlsFiles};
use crate::dn::Dn;
use crate::error::{Error, Result};
use crate::slots::{ConnectionSlot, ConnectionSlots};

/// How long the server tries to tell a client that its connection ends to make room for others.
const FAREWELL: Duration = Duration::from_millis(200);

/// The settings of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// The address on which the directory listens for LDAP; `None` if it does not.
    pub listen: Option<SocketAddr>,
    /// The address on which the directory listens for LDAPS, which needs `tls`; `None` if it does not.
    pub tls_listen: Option<SocketAddr>,
    /// The certificate for LDAPS and StartTLS; `None` for no TLS.
    pub tls: Option<TlsFiles>,
    /// The DNs above all entries, which the root DSE lists; empty ones are left out.
    pub naming_contexts: Vec<Dn>,
    /// The limits for all clients and for each.
    pub limits: Limits,
}

/// A directory that is listening.
pub struct Directory {
    shared: Arc<Shared>,
    listener: Option<TcpListener>,
    tls_listener: Option<TcpListener>,
}

/// A handle to change the entries of a directory while it serves clients.
#[derive(Clone)]
pub struct DirectoryHandle(Arc<Shared>);

impl DirectoryHandle {
    /// Replaces all entries atomically. Searches that have begun continue with the old entries.
    pub fn replace(&self, snapshot: Snapshot) {
        *self.0.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// The number of entries at present, without the root DSE and the subschema.
    pub fn entries(&self) -> usize {
        self.0.snapshot().len()
    }

    /// The counters of connections and searches.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Reads the TLS certificate and its key again; without TLS it does nothing.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Unavailable`] if the files cannot be used. The old certificate stays in use.
    pub fn reload_tls(&self) -> Result<()> {
        self.0.tls.as_ref().map_or(Ok(()), Tls::reload)
    }
}

impl Directory {
    /// Opens the listeners. The directory has no entries yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if an address cannot be used or the key file cannot be read, [`Error::Malformed`] if the certificate or the
    /// key cannot be used.
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
        let slots =
            ConnectionSlots::new(limits.max_connections, limits.max_connections_per_address);
        let shared = Shared {
            slots,
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

    /// The address on which the directory listens for LDAP; `None` if it does not.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The address on which the directory listens for LDAPS; `None` if it does not.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// A handle to change the directory's entries.
    pub fn handle(&self) -> DirectoryHandle {
        DirectoryHandle(Arc::clone(&self.shared))
    }

    /// Serves clients until `stop` completes. Then it closes all connections.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let (stream, peer, transport) = tokio::select! {
                () = &mut stop => break,
                // Tasks that have ended are removed from the set.
                Some(_) = clients.join_next() => continue,
                accepted = accept(self.listener.as_ref()) => match accepted {
                    Some((stream, peer)) => (stream, peer, Transport::Plain),
                    None => continue,
                },
                accepted = accept(self.tls_listener.as_ref()) => match accepted {
                    Some((stream, peer)) => (stream, peer, Transport::Tls),
                    None => continue,
                },
            };
            clients.spawn(client(
                Arc::clone(&self.shared),
                stream,
                peer.ip(),
                transport,
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

/// The next connection of a listener; `None` after an error, which is logged. Without a listener, it never completes.
async fn accept(listener: Option<&TcpListener>) -> Option<(TcpStream, SocketAddr)> {
    let Some(listener) = listener else { return std::future::pending().await };
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(e) => {
            // For instance, no file descriptor may be left, which passes.
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
    transport: Transport,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let address = address.to_canonical();
    let Ok(slot) = shared.slots.take(address) else {
        shared.counts.refused();
        tracing::warn!(target: REFUSED, client = %address, "too many LDAP connections");
        if transport == Transport::Plain {
            let mut connection = Connection::new(stream, shared, None, transport);
            let _ = connection.notice(Code::Busy, "too many connections").await;
        }
        return;
    };
    shared.counts.connected();
    let slot = Arc::new(slot);
    let mut serving = pin!(converse(Arc::clone(&shared), stream, Arc::clone(&slot), transport));
    let served = tokio::select! {
        served = &mut serving => served,
        // The connection sends a notice of disconnection if it is idle. A client that does not read gets none.
        () = slot.ended() => timeout(FAREWELL, serving).await.unwrap_or(Ok(())),
        _ = stopped.changed() => return,
    };
    if let Err(e) = served {
        tracing::debug!(%address, "an LDAP connection: {e}");
    }
}

async fn converse(
    shared: Arc<Shared>,
    stream: TcpStream,
    slot: Arc<ConnectionSlot>,
    transport: Transport,
) -> io::Result<()> {
    let stream = match transport {
        Transport::Tls => stream,
        Transport::Plain => {
            let slot = Some(Arc::clone(&slot));
            let plain = Connection::new(stream, Arc::clone(&shared), slot, Transport::Plain);
            match plain.serve().await? {
                Ending::Closed => return Ok(()),
                Ending::StartTls(stream) => stream,
            }
        }
    };
    let Some(tls) = &shared.tls else { return Ok(()) };
    let handshake = tls.acceptor().accept(stream);
    let stream =
        timeout(shared.limits.request_time, handshake).await.map_err(io::Error::from)??;
    Connection::new(stream, Arc::clone(&shared), Some(slot), Transport::Tls).serve().await?;
    Ok(())
}
