//! The handshake of a connection, within the time of a request's head. A client that speaks plain HTTP is told so.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use countersign_enroll::est::{ClientCertificate, Connection};
use countersign_ldap_bridge::slots::ConnectionSlot;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Tls;
use super::client::readable_key;
use crate::logging::REFUSED;

/// The first octet of a TLS record with a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// The label of the channel binding `tls-exporter` (RFC 9266 §2).
const CHANNEL_BINDING: &[u8] = b"EXPORTER-Channel-Binding";

/// How long a client that speaks plain HTTP may go on sending before the connection is closed.
const LINGER: Duration = Duration::from_millis(200);

/// How many times octets of such a client are read, at most.
const READS: usize = 16;

/// The answer to a client that speaks plain HTTP.
fn plain(service: &str) -> String {
    let text = format!("{service} is served over TLS: use an `https://` URL\n");
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

/// Makes the handshake of a connection that has this slot. It ends after `patience`, or when another client needs the slot.
///
/// # Errors
/// The client speaks no TLS or none that the server accepts, or it takes too long. It is logged.
pub async fn accept(
    tls: &Tls,
    socket: TcpStream,
    slot: &ConnectionSlot,
    patience: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    let client = socket.peer_addr()?.ip().to_canonical();
    let mut handshake = pin!(tokio::time::timeout(patience, handshake(tls, socket)));
    let ended = poll_fn(|context| {
        if slot.is_ended(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        handshake.as_mut().poll(context).map(|done| {
            done.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client took too long"))
            })
        })
    });
    ended.await.inspect_err(|why| {
        tracing::info!(target: REFUSED, %client, "no TLS handshake for {}: {why}", tls.service());
    })
}

async fn handshake(tls: &Tls, mut socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    let found = socket.peek(&mut first).await?;
    if found == 1 && first != [HANDSHAKE] {
        if first.iter().all(u8::is_ascii_uppercase) {
            socket.write_all(plain(tls.service()).as_bytes()).await?;
            socket.shutdown().await?;
            // If the socket were closed with unread octets, the kernel would reset the connection, and the client could lose the answer.
            let _ = tokio::time::timeout(LINGER, drain(&mut socket)).await;
        }
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the client speaks no TLS; give it an `https://` URL",
        ));
    }
    TlsAcceptor::from(tls.config()).accept(socket).await
}

/// Reads and discards what a client sends, until it ends the connection.
async fn drain(socket: &mut TcpStream) -> io::Result<()> {
    let mut octets = [0; 4 << 10];
    for _ in 0..READS {
        if socket.read(&mut octets).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// The facts about a connection by which its requests are judged.
pub fn facts(tls: &ServerConnection) -> Connection {
    let certificates: Vec<Vec<u8>> = tls
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|der: &CertificateDer<'_>| der.to_vec())
        .collect();
    let certificate = certificates.first().cloned().map(|first| match readable_key(&first) {
        Ok(_) => ClientCertificate::Proven(Arc::new(certificates)),
        Err(why) => ClientCertificate::Unreadable(why.to_string()),
    });
    // RFC 5705 §4: in TLS 1.2 an absent context and an empty one differ, and clients use either.
    let exported = |context| tls.export_keying_material([0_u8; 32], CHANNEL_BINDING, context).ok();
    let bindings = [None, Some(&[][..])].into_iter().filter_map(exported).collect();
    Connection { certificate, bindings }
}
