//! The messages of an attacker. The server must grant none of them, and they must not disturb honest clients.

use crate::client::{Connection, Target};
use crate::load::Peer;
use crate::wire::{Answer, Ask, Key, Protector, random, request, seq, tlv};

const GRANTS: [u8; 3] = [0xa1, 0xa3, 0xa8];

/// An attacker, who goes through his tricks in turn.
pub struct Hostile<'a> {
    target: &'a Target,
    /// A peer whose messages the attacker has.
    peer: &'a Peer,
    own: Key,
    turn: usize,
}

type Trick = fn(&Hostile<'_>) -> Vec<u8>;

/// The tricks. Each makes the octets of an HTTP request.
const TRICKS: [(&str, Trick); 10] = [
    ("garbage", |h| h.target.post(&random::<700>())),
    ("a wrong MAC", |h| h.by_mac(1000)),
    ("an absurd iteration count", |h| h.target.post(&h.counting(0x7fff_ffff))),
    ("a proof of possession by another key", |h| {
        let content = h.peer.key.request_proven_by(Ask::Ir, None, &h.own);
        h.target.post(&request(Ask::Ir, &content, &h.peer.protector, true).message)
    }),
    ("a truncated message", |h| {
        let message = h.genuine();
        let length = usize::from(u16::from_be_bytes(random())) % message.len();
        h.target.post(&message[..length])
    }),
    ("a flipped bit", |h| {
        let mut message = h.genuine();
        let at = usize::from(u16::from_be_bytes(random())) % (message.len() / 2);
        message[at] ^= 1;
        h.target.post(&message)
    }),
    ("huge HTTP headers", |h| {
        let plain = h.target.post(&h.genuine());
        let (line, rest) =
            plain.split_at(plain.iter().position(|octet| *octet == b'\n').unwrap() + 1);
        [line, b"X-Long: ", &[b'x'; 300_000], b"\r\n", rest].concat()
    }),
    ("a huge CMP header", |h| {
        let text = seq(&[&tlv(0x0c, &[b'x'; 2_000_000])]);
        h.target.post(&seq(&[&seq(&[&[2, 1, 2], &tlv(0xa7, &text)])]))
    }),
    ("deep nesting", |h| h.target.post(&(0..400).fold(Vec::new(), |inner, _| tlv(0x30, &inner)))),
    ("another method and path", |_| {
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "%2e%2e/".repeat(500)).into_bytes()
    }),
];

impl<'a> Hostile<'a> {
    pub fn new(target: &'a Target, peer: &'a Peer) -> Self {
        Self { target, peer, own: Key::generate(), turn: usize::from(random::<1>()[0]) }
    }

    /// Tries the next trick on a new connection. Gives its name if the server granted a certificate.
    pub fn strike(&mut self) -> Option<String> {
        let (name, trick) = TRICKS[self.turn % TRICKS.len()];
        self.turn += 1;
        // Whether the server answers or hangs up is its own affair.
        let (status, body) = Connection::new(self.target).send(&trick(self)).ok()?;
        let granted = status == 200
            && Answer::read(&body)
                .is_ok_and(|answer| GRANTS.contains(&answer.kind) && answer.rejection().is_none());
        granted.then(|| name.to_owned())
    }

    fn genuine(&self) -> Vec<u8> {
        let content = self.peer.key.request(Ask::Ir, None);
        request(Ask::Ir, &content, &self.peer.protector, true).message
    }

    /// A request under a wrong secret, for a reference that does not exist. With the reference of a peer, it would lock that peer.
    fn by_mac(&self, iterations: u32) -> Vec<u8> {
        let by = Protector::mac("nobody-here", &random::<16>(), iterations);
        let content = self.own.request(Ask::Ir, None);
        self.target.post(&request(Ask::Ir, &content, &by, true).message)
    }

    /// The same, with an absurd number of iterations.
    fn counting(&self, iterations: u32) -> Vec<u8> {
        let by = Protector::announcing("nobody-here", iterations);
        request(Ask::Ir, &self.own.request(Ask::Ir, None), &by, true).message
    }
}
