//! A hostile LDAP directory. Its frames are harmless in themselves, and only just exceed the bounds of the client that reads them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The answer to a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// A frame whose length says 2 GiB.
    TooLong,
    /// Values nested a thousand times.
    TooDeep,
    /// Small entries, without end.
    Endless,
    /// None.
    Silent,
    /// The answer of the directory on this port.
    Like(u16),
}

/// A hostile directory, which ends with the test.
pub struct Hostile {
    /// Where it listens.
    pub port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    manner: Mutex<Manner>,
    is_over: AtomicBool,
}

impl Hostile {
    /// Listens on a free port.
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State { manner: Mutex::new(manner), is_over: AtomicBool::new(false) });
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let manner = *shared.manner.lock().expect("a manner");
                // It ends when whoever asks does, or the server that is asked.
                std::thread::spawn(move || answer(stream, manner));
            }
        });
        Self { port, state, thread: Some(thread) }
    }

    /// Changes the answer, from the next connection on.
    pub fn become_like(&self, port: u16) {
        *self.state.manner.lock().expect("a manner") = Manner::Like(port);
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, manner: Manner) {
    if let Manner::Like(port) = manner {
        return relay(&stream, port);
    }
    let _ = stream.set_write_timeout(Some(Duration::from_secs(60)));
    // A frame at a time: none that is asked here is longer than 64 KiB.
    while let Some((id, operation)) = frame(&mut stream) {
        let message = |operation: &[u8]| element(0x30, &[&id, operation].concat());
        let said = match (operation, manner) {
            (_, Manner::Silent) => Ok(()),
            // A BindRequest succeeds.
            (0x60, _) => stream.write_all(&message(&[0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0])),
            (0x63, Manner::TooLong) => {
                let first = [&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff][..], &id].concat();
                stream.write_all(&[first, vec![0; 1 << 20]].concat())
            }
            (0x63, Manner::TooDeep) => {
                let nested = (0..1000).fold(Vec::new(), |inner, _| element(0x31, &inner));
                stream.write_all(&message(&entry(0, &nested)))
            }
            (0x63, _) => (0u64..)
                .try_for_each(|n| stream.write_all(&message(&entry(n, &element(0x04, b"top"))))),
            _ => Ok(()),
        };
        if said.is_err() {
            return;
        }
    }
}

/// The messageID of the next request, as an element, and its tag.
fn frame(stream: &mut TcpStream) -> Option<(Vec<u8>, u8)> {
    let mut octet = || {
        let mut octet = [0];
        stream.read_exact(&mut octet).ok()?;
        Some(octet[0])
    };
    (octet()? == 0x30).then_some(())?;
    let length = match octet()? {
        long @ 0x81..=0x84 => {
            (0..long & 0x7f).try_fold(0, |n, _| Some(n << 8 | usize::from(octet()?)))?
        }
        short => usize::from(short),
    };
    let mut content = vec![0; length];
    stream.read_exact(&mut content).ok()?;
    let after = 2 + usize::from(*content.get(1)?);
    Some((content.get(..after)?.to_vec(), *content.get(after)?))
}

/// A SearchResultEntry with one attribute of these values.
fn entry(number: u64, values: &[u8]) -> Vec<u8> {
    let attribute = [element(0x04, b"objectClass"), element(0x31, values)].concat();
    let attributes = element(0x30, &element(0x30, &attribute));
    element(0x64, &[element(0x04, format!("cn={number}").as_bytes()), attributes].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a length").to_be_bytes();
    [&[tag, 0x84][..], &length, content].concat()
}

/// Copies octets in both directions until one side ends.
fn relay(client: &TcpStream, port: u16) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let carry = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| carry(client, &server));
        carry(&server, client);
    });
}
