//! What stands between a client and the HTTP service: a place for each connection, and one request after the other. A client that
//! sends and does not read, or asks for nothing, costs a bounded and small amount, and only for a time.

mod answer;
mod framing;
mod stream;
mod turn;

use std::fmt::Debug;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, Request};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response};
use countersign_ldap_bridge::places::{Full, Place, Places};
use rustix::net::Shutdown;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

pub use answer::in_turn;
use stream::Stream;

use crate::logging::REFUSED;

/// Connections that were accepted and are about to be turned away, beside those that have a place.
pub const PASSING: usize = 64;

/// How many connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// How long the end of a connection may take.
const DISCONNECT: Duration = Duration::from_secs(1);

/// How often a connection without a place looks for one.
const LOOK: Duration = Duration::from_millis(20);

/// How long a client that is turned away may go on before the connection is closed.
const LINGER: Duration = Duration::from_millis(200);

/// How often octets are read of a client that is turned away.
const READS: usize = 16;

/// What is said to who has no place.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 2\r\nconnection: close\r\n\r\n";

/// The time-outs and bounds of HTTP.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Event loops.
    pub workers: usize,
    /// The most threads of each event loop for what waits or takes long.
    pub blocking_threads: usize,
    /// The most connections at once.
    pub max_connections: usize,
    /// How long a client may take to send a request's head.
    pub request_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long a connection may stay idle.
    pub keep_alive: Duration,
    /// How long requests may take to finish when the server stops.
    pub shutdown_timeout: Duration,
}

/// Listens on an address.
///
/// # Errors
/// Those of the operating system.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // Once more, with room for a burst.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// A server of an application that `factory` makes for each event loop. Who has no place is told so and goes.
///
/// # Errors
/// Those of the operating system.
pub fn server<F, I, S, B>(
    listener: TcpListener,
    limits: &Limits,
    places: &Arc<Places>,
    factory: F,
) -> std::io::Result<Server>
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
    // Counted in each worker.
    let accepted = limits.max_connections.saturating_add(PASSING).div_ceil(limits.workers);
    let builder = Server::build()
        .workers(limits.workers)
        .max_concurrent_connections(accepted)
        .worker_max_blocking_threads(limits.blocking_threads)
        .shutdown_timeout(limits.shutdown_timeout.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let (limits, places) = (limits.clone(), Arc::clone(places));
    let make = move || {
        let stopping = stopping.clone();
        let (places, limits) = (Arc::clone(&places), limits.clone());
        // Half of the room that a worker has for those who pass: the others go at once, and nobody who comes waits for them.
        let leaving = Semaphore::new(PASSING.div_ceil(limits.workers.saturating_mul(2)));
        let leaving = Arc::new(leaving);
        let write_timeout = limits.write_timeout;
        let application = factory().into_factory().map_err(|e| e.into().error_response());
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
            })
            .h1(map_config(application, |()| AppConfig::default()));
        fn_service(move |socket: TcpStream| {
            let (places, patience) = (Arc::clone(&places), limits.request_timeout);
            let leaving = Arc::clone(&leaving);
            async move {
                let place = place(&socket, &places, &leaving, patience).await;
                place
                    .and_then(|place| open(socket, place, write_timeout))
                    .map_err(DispatchError::Io)
            }
        })
        .and_then(http)
    };
    Ok(builder.listen("http", listener, make)?.run())
}

/// The place of a connection. Where others have them all, one is waited for; who has his share is told so.
async fn place(
    socket: &TcpStream,
    places: &Arc<Places>,
    leaving: &Semaphore,
    patience: Duration,
) -> std::io::Result<Place> {
    let client = socket.peer_addr()?.ip().to_canonical();
    let until = Instant::now().checked_add(patience);
    loop {
        let whose = match places.take(client) {
            Ok(place) => return Ok(place),
            Err(Full::All) if until.is_some_and(|until| Instant::now() < until) => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(Full::All) => "all addresses together",
            Err(Full::Address) => "this address",
        };
        tracing::warn!(target: REFUSED, %client, "too many connections of {whose}");
        if let Ok(Ok(())) = tokio::time::timeout(DISCONNECT, turn_away(socket)).await {
            let leaves = leaving.try_acquire();
            // Without a wait what is there already is taken all the same.
            let wait = if leaves.is_ok() { LINGER } else { Duration::ZERO };
            let _ = tokio::time::timeout(wait, hear_out(socket)).await;
        }
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
}

/// Tells a client that there is no place for it, and that nothing else will come.
async fn turn_away(socket: &TcpStream) -> std::io::Result<()> {
    // A fresh socket is not known to be writable yet.
    socket.writable().await?;
    socket.try_write(NO_PLACE)?;
    Ok(rustix::net::shutdown(socket, Shutdown::Write)?)
}

/// Takes what a client sends that is turned away, until it ends. Octets that nobody has read, or that come when the socket is closed,
/// would have the kernel reset the connection, and the client lose what it was told.
async fn hear_out(socket: &TcpStream) -> std::io::Result<()> {
    let mut octets = [0; 4 << 10];
    for _ in 0..READS {
        socket.readable().await?;
        match socket.try_read(&mut octets) {
            Ok(0) => break,
            // Nothing was there after all.
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            read => drop(read?),
        }
    }
    Ok(())
}

/// Has the kernel end a connection whose client takes nothing of an answer for so long (TCP_USER_TIMEOUT).
fn open(
    socket: TcpStream,
    place: Place,
    write_timeout: Duration,
) -> std::io::Result<(Stream, Option<SocketAddr>)> {
    let client = socket.peer_addr()?;
    let timeout = u32::try_from(write_timeout.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&socket, timeout)?;
    Ok((Stream::new(socket, place), Some(client)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The client sends its request when the answer is there already, as one does that connects first and writes then.
    #[actix_web::test]
    async fn who_is_turned_away_ends_the_connection_and_reads_why() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let told = actix_web::rt::spawn(async move {
            turn_away(&socket).await.unwrap();
            hear_out(&socket).await
        });
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, NO_PLACE);
        for part in [&b"GET / HTTP/1.1\r\n"[..], b"Host: x\r\n\r\n"] {
            client.write_all(part).await.unwrap();
        }
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it was reset");
        client.shutdown().await.unwrap();
        told.await.unwrap().unwrap();
    }
}
