//! The layer between a client's connection and the HTTP service (ADR 18). It bounds the connections, and has the requests of a connection
//! served one after the other. A client that sends and does not read, or sends no request, costs a small and bounded amount, and only
//! for a time.

mod answer;
mod direct;
mod framing;
mod stream;
mod turn;

use std::fmt::Debug;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, Request};
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response};
use countersign_ldap_bridge::slots::{ConnectionSlot, ConnectionSlots, Full};
use rustix::net::Shutdown;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use answer::in_turn;
use direct::DateField;
pub use direct::{Answer, Direct, Post};
use stream::{Stream, Transport};

use super::tls::{self, Tls};
use crate::logging::REFUSED;

/// How many connections over the bound may be accepted at once, only to be refused.
pub const REFUSED_AT_ONCE: usize = 64;

/// The backlog of the listening socket: how many connections the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// How long the shutdown of a connection may take.
const DISCONNECT: Duration = Duration::from_secs(1);

/// The pause between two attempts of a connection to get a slot, the permission to be one of the connections that are served.
const LOOK: Duration = Duration::from_millis(20);

/// How long a refused client may go on sending before the connection is closed.
const LINGER: Duration = Duration::from_millis(200);

/// How many times octets of a refused client are read, at most.
const READS: usize = 16;

/// The response to a client that gets no slot.
const NO_SLOT: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 2\r\nconnection: close\r\n\r\n";

/// The time-outs and bounds of the HTTP server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The number of event loops.
    pub workers: usize,
    /// The most blocking threads of each event loop.
    pub blocking_threads: usize,
    /// The most connections that are served at once.
    pub max_connections: usize,
    /// How long a client may take to send a request's head.
    pub request_timeout: Duration,
    /// How long a client may go without reading anything of an answer.
    pub write_timeout: Duration,
    /// How long a connection may stay idle between requests.
    pub keep_alive: Duration,
    /// How long requests may take to finish when the server stops.
    pub shutdown_timeout: Duration,
}

/// Listens on an address.
///
/// # Errors
/// The operating system refuses the address or the socket.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // The standard library listens with a backlog of 128. A second listen(2) enlarges it.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// What the clients of a listener speak.
#[derive(Clone)]
pub enum Protocol {
    /// HTTP alone. The function is asked first for an answer to POSTs of the simplest form.
    Plain(Direct),
    /// HTTP over TLS.
    Tls(Arc<Tls>),
}

/// The front of a server, to which each listener is added.
pub struct Front {
    builder: ServerBuilder,
    limits: Limits,
    connections: Arc<ConnectionSlots>,
}

impl Front {
    /// A front without a listener. `connections` has the slots of all its listeners; a client without a slot is refused by a 503.
    pub fn new(limits: &Limits, connections: &Arc<ConnectionSlots>) -> Self {
        // The library counts connections in each worker.
        let accepted =
            limits.max_connections.saturating_add(REFUSED_AT_ONCE).div_ceil(limits.workers);
        let builder = Server::build()
            .workers(limits.workers)
            .max_concurrent_connections(accepted)
            .worker_max_blocking_threads(limits.blocking_threads)
            .shutdown_timeout(limits.shutdown_timeout.as_secs())
            .disable_signals();
        Self { builder, limits: limits.clone(), connections: Arc::clone(connections) }
    }

    /// Makes the listeners that are added from now on use these slots.
    #[must_use]
    pub fn with_slots(self, connections: &Arc<ConnectionSlots>) -> Self {
        Self { connections: Arc::clone(connections), ..self }
    }

    /// Adds a listener for the application that `factory` makes for each event loop.
    ///
    /// # Errors
    /// The operating system refuses the address or the socket.
    pub fn serve<F, I, S, B>(
        self,
        name: &str,
        listener: TcpListener,
        protocol: Protocol,
        factory: F,
    ) -> std::io::Result<Self>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<Error> + 'static,
        S::InitError: Debug,
        S::Response: Into<Response<B>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        let address = listener.local_addr()?;
        let Self { builder, limits, connections } = self;
        let stopping = builder.graceful_shutdown_signal();
        let (own_limits, slots) = (limits.clone(), Arc::clone(&connections));
        let make = move || {
            let stopping = stopping.clone();
            let (connections, limits) = (Arc::clone(&slots), own_limits.clone());
            // Half of a worker's share of the refused connections may linger. The others are closed at once, so that new connections do not
            // wait for them to be accepted.
            let leaving =
                Semaphore::new(REFUSED_AT_ONCE.div_ceil(limits.workers.saturating_mul(2)));
            let leaving = Arc::new(leaving);
            let (protocol, date) = (protocol.clone(), Rc::new(DateField::default()));
            let ending = stopping.clone();
            let application = factory().into_factory().map_err(|e| e.into().error_response());
            let application = fn_factory(move || {
                let made = application.new_service(AppConfig::default());
                async move {
                    let application = Rc::new(made.await?);
                    let serve =
                        move |request: Request| in_turn::<_, B>(request, Rc::clone(&application));
                    Ok::<_, S::InitError>(fn_service::<_, _, _, _, _, ()>(serve))
                }
            });
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(limits.keep_alive)
                .client_request_timeout(limits.request_timeout)
                .client_disconnect_timeout(DISCONNECT)
                .local_addr(address)
                .on_connect_ext(|stream: &Stream, data: &mut Extensions| {
                    data.insert(stream.turn());
                    if let Transport::Tls(tls) = stream.transport() {
                        data.insert(tls::facts(tls.get_ref().1));
                    }
                })
                .h1(application);
            fn_service(move |socket: TcpStream| {
                let (connections, limits) = (Arc::clone(&connections), limits.clone());
                let (leaving, protocol) = (Arc::clone(&leaving), protocol.clone());
                let (date, ending) = (Rc::clone(&date), ending.clone());
                async move {
                    let opened = async {
                        // A client of TLS would take a plain answer for garbage.
                        let (refusal, tls) = match &protocol {
                            Protocol::Plain(_) => (NO_SLOT, None),
                            Protocol::Tls(tls) => (&[][..], Some(Arc::clone(tls))),
                        };
                        let patience = limits.request_timeout;
                        let slot =
                            take_slot(&socket, &connections, &leaving, patience, refusal).await?;
                        let (stream, client) = open(socket, slot, tls, &limits).await?;
                        let left = match &protocol {
                            Protocol::Plain(direct) => {
                                direct::serve(stream, direct, &date, &ending).await?
                            }
                            Protocol::Tls(_) => Some(stream),
                        };
                        match left {
                            Some(stream) => Ok::<_, std::io::Error>((stream, client)),
                            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
                        }
                    };
                    opened.await.map_err(DispatchError::Io)
                }
            })
            .and_then(http)
        };
        let builder = builder.listen(name, listener, make)?;
        Ok(Self { builder, limits, connections })
    }

    /// The server, which runs when it is polled.
    pub fn run(self) -> Server {
        self.builder.run()
    }
}

/// Takes a slot for a connection. If all slots are taken, it waits for one, for at most `patience`. Without a slot by then, or if the
/// client's address has its share already, the client is refused by `answer`. `leaving` bounds the refused connections that may linger.
async fn take_slot(
    socket: &TcpStream,
    connections: &Arc<ConnectionSlots>,
    leaving: &Semaphore,
    patience: Duration,
    answer: &[u8],
) -> std::io::Result<ConnectionSlot> {
    let client = socket.peer_addr()?.ip().to_canonical();
    let until = Instant::now().checked_add(patience);
    loop {
        let whose = match connections.take(client) {
            Ok(slot) => return Ok(slot),
            Err(Full::All) if until.is_some_and(|until| Instant::now() < until) => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(Full::All) => "all addresses together",
            Err(Full::Address) => "this address",
        };
        tracing::warn!(target: REFUSED, %client, "too many connections of {whose}");
        if let Ok(Ok(())) = tokio::time::timeout(DISCONNECT, refuse(socket, answer)).await {
            let leaves = leaving.try_acquire();
            // Even without a wait, octets that have arrived already are read.
            let wait = if leaves.is_ok() { LINGER } else { Duration::ZERO };
            let _ = tokio::time::timeout(wait, drain(socket)).await;
        }
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
}

/// Sends this response to a refused client, and shuts down the sending half of the connection.
async fn refuse(socket: &TcpStream, answer: &[u8]) -> std::io::Result<()> {
    // tokio does not know yet that a fresh socket is writable.
    socket.writable().await?;
    if !answer.is_empty() {
        socket.try_write(answer)?;
    }
    Ok(rustix::net::shutdown(socket, Shutdown::Write)?)
}

/// Reads and discards what a refused client sends, until the client ends the connection. If the socket were closed with unread octets, the
/// kernel would reset the connection, and the client could lose the response.
async fn drain(socket: &TcpStream) -> std::io::Result<()> {
    let mut octets = [0; 4 << 10];
    for _ in 0..READS {
        socket.readable().await?;
        match socket.try_read(&mut octets) {
            Ok(0) => break,
            // The readiness was spurious.
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            read => drop(read?),
        }
    }
    Ok(())
}

/// Makes the stream of a connection; with `tls`, after its handshake. The kernel ends the connection when the client acknowledges nothing
/// for the time of a write (TCP_USER_TIMEOUT, RFC 5482).
async fn open(
    socket: TcpStream,
    slot: ConnectionSlot,
    tls: Option<Arc<Tls>>,
    limits: &Limits,
) -> std::io::Result<(Stream, Option<SocketAddr>)> {
    let client = socket.peer_addr()?;
    let timeout = u32::try_from(limits.write_timeout.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&socket, timeout)?;
    let transport = match tls {
        None => Transport::Plain(socket),
        Some(tls) => {
            let stream = tls::accept(&tls, socket, &slot, limits.request_timeout).await?;
            Transport::Tls(Box::new(stream))
        }
    };
    Ok((Stream::new(transport, slot), Some(client)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The client sends its request after the response came, as a client does that connects first and writes later.
    #[actix_web::test]
    async fn who_is_turned_away_ends_the_connection_and_reads_why() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let told = actix_web::rt::spawn(async move {
            refuse(&socket, NO_SLOT).await.unwrap();
            drain(&socket).await
        });
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, NO_SLOT);
        for part in [&b"GET / HTTP/1.1\r\n"[..], b"Host: x\r\n\r\n"] {
            client.write_all(part).await.unwrap();
        }
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it was reset");
        client.shutdown().await.unwrap();
        told.await.unwrap().unwrap();
    }
}
