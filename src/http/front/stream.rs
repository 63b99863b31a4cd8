//! A client's connection, as the HTTP service reads and writes it. The service gets the client's octets head by head and body by body, and
//! none of the next request while the server answers.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::web::Bytes;
use countersign_ldap_bridge::slots::{Activity, ConnectionSlot};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::turn::Turn;

/// The transport of a connection.
pub enum Transport {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over TCP, after the handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// The TCP connection.
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(context, buffer),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, octets),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(context, octets),
        }
    }
}

/// A client's connection, as a stream of octets for the HTTP service.
pub struct Stream {
    transport: Transport,
    turn: Rc<Turn>,
    /// Octets that were read and that the service does not have yet.
    input: Bytes,
}

impl Stream {
    /// The stream of an accepted connection, which has this slot.
    pub fn new(transport: Transport, slot: ConnectionSlot) -> Self {
        Self { transport, turn: Turn::new(slot), input: Bytes::new() }
    }

    /// The connection's transport.
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The state of the connection: whether the client may send or the server is answering. The connection's requests share it.
    pub fn turn(&self) -> Rc<Turn> {
        Rc::clone(&self.turn)
    }

    /// Reads from the socket, whether or not it is the client's turn. An error if others need the connection's slot.
    pub fn poll_read_raw(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn.is_ended(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.transport.poll_read(context, buffer)
    }

    /// Writes to the socket, whether or not it is the server's turn. An error if others need the connection's slot.
    pub fn poll_write_raw(
        &mut self,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.turn.is_ended(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.transport.poll_write(context, octets)
    }

    /// Has the service read these octets first, which were read from the socket already.
    pub fn put_back(&mut self, octets: &[u8]) {
        self.input = Bytes::copy_from_slice(octets);
    }

    /// Notes the present activity of the connection.
    pub fn note(&self, activity: Activity) {
        self.turn.note(activity);
    }

    /// Polls for the end of the connection, and reads nothing: octets after a request stay in the socket. Under TLS, those octets may be the
    /// client's farewell, which is noticed when it is read.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut octet = [0; 1];
        match self.transport.socket().poll_peek(context, &mut ReadBuf::new(&mut octet)) {
            Poll::Ready(Ok(0)) if self.input.is_empty() => Poll::Ready(Ok(())),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(_)) => {
                self.turn.await_open(context);
                Poll::Pending
            }
            Poll::Pending => {
                // TLS may hold octets that were decrypted already, although the socket has none.
                if !self.input.is_empty() || matches!(self.transport, Transport::Tls(_)) {
                    self.turn.await_open(context);
                }
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn.is_ended(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.turn.is_closed() {
            return self.poll_end(context);
        }
        if self.input.is_empty() {
            let before = buffer.filled().len();
            ready!(self.transport.poll_read(context, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            let most = self.turn.hand_on(read);
            if let Some(later) = read.get(most..).filter(|later| !later.is_empty()) {
                self.input = Bytes::copy_from_slice(later);
            }
            buffer.set_filled(before.saturating_add(most));
        } else {
            let most = self.input.len().min(buffer.remaining());
            let most = self.turn.hand_on(self.input.get(..most).unwrap_or_default());
            let now = self.input.split_to(most);
            buffer.put_slice(&now);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.poll_write_raw(context, octets))?;
        self.turn.answers();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The service flushes only after it has written everything. A socket has no buffer of its own to flush; TLS has records.
        if let Transport::Tls(tls) = &mut self.transport {
            ready!(Pin::new(tls.as_mut()).poll_flush(context))?;
        }
        self.turn.has_left();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(context),
        }
    }
}
