//! A client's connection as the HTTP service reads and writes it. What the client sends is handed on head by head, and nothing
//! while it is not the client's turn.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::web::{Bytes, BytesMut};
use countersign_ldap_bridge::places::Place;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::turn::Turn;

/// How much is read at once, in octets.
const CHUNK: usize = 8 << 10;

/// A connection.
pub struct Stream {
    socket: TcpStream,
    turn: Rc<Turn>,
    /// What was read and is not handed on yet.
    input: Bytes,
    /// Whether what was handed on must be looked at before there is more.
    is_cut: bool,
}

impl Stream {
    pub fn new(socket: TcpStream, place: Place) -> Self {
        Self { socket, turn: Turn::new(place), input: Bytes::new(), is_cut: false }
    }

    pub fn turn(&self) -> Rc<Turn> {
        Rc::clone(&self.turn)
    }

    /// Looks for the client's end only. What stands behind a request stays where it is.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut octet = [0; 1];
        match self.socket.poll_peek(context, &mut ReadBuf::new(&mut octet)) {
            Poll::Ready(Ok(0)) if self.input.is_empty() => Poll::Ready(Ok(())),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(_)) => {
                self.turn.await_open(context);
                Poll::Pending
            }
            Poll::Pending => {
                if !self.input.is_empty() {
                    self.turn.await_open(context);
                }
                Poll::Pending
            }
        }
    }
}

/// How much of what came is handed on at once: to the end of the first head, if one ends in it. A request's body may be cut by
/// that, which does not harm it.
fn piece(input: &[u8]) -> usize {
    let mut rest = input.iter().enumerate().filter(|(_, octet)| **octet == b'\n');
    let ends = rest.find_map(|(at, _)| match input.get(at.saturating_add(1)..) {
        Some([b'\n', ..]) => Some(at.saturating_add(2)),
        Some([b'\r', b'\n', ..]) => Some(at.saturating_add(3)),
        _ => None,
    });
    ends.unwrap_or(input.len())
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
        if std::mem::take(&mut self.is_cut) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.turn.is_closed() {
            return self.poll_end(context);
        }
        if self.input.is_empty() {
            let mut octets = [0; CHUNK];
            let mut read = ReadBuf::new(&mut octets);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut read))?;
            let read = read.filled();
            let most = piece(read).min(buffer.remaining());
            let (now, later) = read.split_at_checked(most).unwrap_or((read, &[]));
            buffer.put_slice(now);
            if !later.is_empty() {
                self.input = BytesMut::from(later).freeze();
            }
        } else {
            let most = piece(&self.input).min(buffer.remaining());
            let now = self.input.split_to(most);
            buffer.put_slice(&now);
        }
        self.is_cut = !self.input.is_empty();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.turn.is_ended(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = ready!(Pin::new(&mut self.socket).poll_write(context, octets))?;
        self.turn.answers();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever flushes has handed everything on before, and a socket keeps nothing back.
        self.turn.has_left();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
