//! One client: requests in their order, each answered before the next is looked at, within limits of size and time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ldap3_proto::proto::{LdapBindCred, LdapCompareRequest, LdapOp, LdapResultCode as Code};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::ber::{Broken, Frame, element, unsigned};
use super::filter;
use super::schema::{MANAGE_DSA_IT, PAGED_RESULTS, START_TLS, WHO_AM_I, attribute_type};
use super::search::{Outcome, Search, Step, paged_control};
use crate::dn::Dn;
use crate::places::{Doing, Place};

/// Chunks that are smaller are put together before they are written.
const GATHER: usize = 16 << 10;
/// After so many entries it is looked whether the client abandoned the search.
const ABANDON: u32 = 16;
/// The slowest that a client may read, in octets a second.
const SLOWEST: u64 = 4096;

/// How a connection goes on.
pub enum Ending<S> {
    /// It is over.
    Closed,
    /// The client asked for TLS, and was told to begin.
    StartTls(S),
}

/// A connection with its client.
pub struct Connection<S> {
    stream: S,
    shared: Arc<Shared>,
    place: Option<Arc<Place>>,
    has_tls: bool,
    input: BytesMut,
    output: BytesMut,
}

enum Next {
    Frame(Frame),
    Broken(Broken),
    Closed,
    /// Others need the place of this connection.
    Displaced,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// A connection on which nothing was said.
    pub fn new(stream: S, shared: Arc<Shared>, place: Option<Arc<Place>>, has_tls: bool) -> Self {
        Self { stream, shared, place, has_tls, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// Serves the client until it goes, fails or asks for TLS.
    ///
    /// # Errors
    /// That of the stream.
    pub async fn serve(mut self) -> io::Result<Ending<S>> {
        loop {
            self.note(Doing::Idle);
            let next = self.next().await?;
            self.note(Doing::Working);
            let frame = match next {
                Next::Frame(frame) => frame,
                Next::Closed => return Ok(Ending::Closed),
                Next::Displaced => {
                    self.shared.counts.refused();
                    self.notice(Code::Busy, "others need the place").await?;
                    return Ok(Ending::Closed);
                }
                Next::Broken(broken) => {
                    self.shared.counts.refused();
                    self.notice(Code::ProtocolError, broken.message()).await?;
                    return Ok(Ending::Closed);
                }
            };
            match frame.tag {
                // Unbind.
                0x42 => return Ok(Ending::Closed),
                // Abandon: what it names is over, or it would not be read yet.
                0x50 => {}
                0x77 if self.wants_tls(&frame) => {
                    if self.start_tls(&frame).await? {
                        return Ok(Ending::StartTls(self.stream));
                    }
                }
                _ => self.answer(&frame).await?,
            }
        }
    }

    /// Tells the client that the connection ends (RFC 4511 §4.4.1).
    ///
    /// # Errors
    /// That of the stream.
    pub async fn notice(&mut self, code: Code, message: &str) -> io::Result<()> {
        let name = element(0x8a, b"1.3.6.1.4.1.1466.20036");
        let outcome = Outcome::new(code, message);
        self.respond(&unsigned(0x02, 0), 0x78, &outcome, &name).await?;
        self.flush().await
    }

    /// The next message, within the time that a client has for it.
    async fn next(&mut self) -> io::Result<Next> {
        let limits = &self.shared.limits;
        let (idle, whole) = (limits.idle, limits.request_time);
        // What is waiting comes first; a client that is silent may be, for a while.
        let mut deadline = Instant::now() + if self.input.is_empty() { idle } else { whole };
        loop {
            let (bytes, depth) = (limits_of(&self.shared).0, limits_of(&self.shared).1);
            match Frame::take(&mut self.input, bytes, depth) {
                Ok(Some(frame)) => return Ok(Next::Frame(frame)),
                Ok(None) => {}
                Err(broken) => return Ok(Next::Broken(broken)),
            }
            self.flush().await?;
            let was_empty = self.input.is_empty();
            let place = self.place.clone();
            let read = tokio::select! {
                read = timeout_at(deadline, self.stream.read_buf(&mut self.input)) => read,
                () = ended(place.as_deref()) => return Ok(Next::Displaced),
            };
            match read {
                Ok(Ok(0)) => return Ok(Next::Closed),
                Ok(Ok(_)) if was_empty => deadline = Instant::now() + whole,
                Ok(Ok(_)) => {}
                Ok(Err(e)) => return Err(e),
                Err(_) => {
                    self.notice(Code::Unavailable, "nothing came for too long").await?;
                    return Ok(Next::Closed);
                }
            }
        }
    }

    async fn answer(&mut self, frame: &Frame) -> io::Result<()> {
        let Some(tag) = response_tag(frame.tag) else {
            return self
                .respond_plain(
                    frame,
                    0x78,
                    Outcome::new(Code::ProtocolError, "an unknown operation"),
                )
                .await;
        };
        let known = |oid: &str| oid == MANAGE_DSA_IT || (oid == PAGED_RESULTS && frame.tag == 0x63);
        if let Some(unknown) = frame.controls.iter().find(|c| c.is_critical && !known(&c.oid)) {
            let why = format!("the control `{}` is not known here", unknown.oid.escape_debug());
            let outcome = Outcome::new(Code::UnavailableCriticalExtension, why);
            return self.respond_plain(frame, tag, outcome).await;
        }
        let outcome = match frame.operation() {
            Some(LdapOp::SearchRequest(request)) => return self.search(frame, request).await,
            Some(LdapOp::BindRequest(bind)) => bound(bind.version, &bind.dn, &bind.cred),
            Some(LdapOp::CompareRequest(compare)) => self.compare(&compare),
            Some(LdapOp::ExtendedRequest(extended)) => {
                return self.extended(frame, &extended.name).await;
            }
            Some(_) => Outcome::new(Code::UnwillingToPerform, "this directory is read-only"),
            None if matches!(tag, 0x67 | 0x69 | 0x6b | 0x6d) => {
                Outcome::new(Code::UnwillingToPerform, "this directory is read-only")
            }
            None => Outcome::new(
                Code::ProtocolError,
                "the request cannot be read: its text must be UTF-8",
            ),
        };
        self.respond_plain(frame, tag, outcome).await
    }

    async fn search(
        &mut self,
        frame: &Frame,
        request: ldap3_proto::proto::LdapSearchRequest,
    ) -> io::Result<()> {
        self.shared.counts.searched();
        tracing::debug!(base = %request.base.escape_debug(), scope = ?request.scope, "search");
        let snapshot = self.shared.snapshot();
        let begun =
            Search::begin(frame, request, &snapshot, &self.shared.apart, &self.shared.limits);
        let outcome = match begun {
            Err(outcome) => outcome,
            Ok((mut search, first)) => {
                if let Some(entry) = first {
                    self.put(entry).await?;
                }
                let mut round = 0u32;
                loop {
                    match search.step(&snapshot) {
                        Step::Entry(chunks) => self.put(chunks).await?,
                        Step::Pause => tokio::task::yield_now().await,
                        Step::Done(outcome) => break outcome,
                    }
                    round = round.wrapping_add(1);
                    if round.is_multiple_of(ABANDON) && self.is_abandoned(frame.id).await? {
                        return Ok(());
                    }
                }
            }
        };
        let controls = outcome.cookie.as_deref().map(paged_control).unwrap_or_default();
        let id = unsigned(0x02, frame.id.unsigned_abs());
        self.respond_with(&id, 0x65, &outcome, &[], &controls).await
    }

    /// Whether the client abandoned this operation, as far as that came in already. Bounded: no more is read than one
    /// message.
    async fn is_abandoned(&mut self, id: i32) -> io::Result<bool> {
        let (bytes, depth) = limits_of(&self.shared);
        if self.input.len() < bytes {
            // A client that sends no more may read still: its end is noticed when the answer is out.
            if let Ok(Err(e)) = timeout(Duration::ZERO, self.stream.read_buf(&mut self.input)).await
            {
                return Err(e);
            }
        }
        let mut waiting = self.input.clone();
        while let Ok(Some(frame)) = Frame::take(&mut waiting, bytes, depth) {
            if frame.abandons() == Some(id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn compare(&self, compare: &LdapCompareRequest) -> Outcome {
        let snapshot = self.shared.snapshot();
        let Ok(dn) = compare.dn.parse::<Dn>() else {
            return Outcome::new(Code::InvalidDNSyntax, "");
        };
        let Some(node) = snapshot.place(&dn).and_then(|place| snapshot.node(place)) else {
            let matched =
                snapshot.matched(&dn).map_or_else(String::new, |node| node.dn().to_owned());
            return Outcome { matched, ..Outcome::new(Code::NoSuchObject, "") };
        };
        let Some(kind) = attribute_type(&compare.atype) else {
            return Outcome::new(Code::UndefinedAttributeType, "");
        };
        let Some(attribute) = node.attribute(kind) else {
            return Outcome::new(Code::NoSuchAttribute, "");
        };
        match std::str::from_utf8(&compare.val)
            .ok()
            .and_then(|value| filter::equals(attribute, value))
        {
            Some(true) => Outcome::new(Code::CompareTrue, ""),
            Some(false) => Outcome::new(Code::CompareFalse, ""),
            None => {
                Outcome::new(Code::InappropriateMatching, "the attribute has no equality rule here")
            }
        }
    }

    async fn extended(&mut self, frame: &Frame, name: &str) -> io::Result<()> {
        let id = unsigned(0x02, frame.id.unsigned_abs());
        if name == WHO_AM_I {
            // Nobody: an empty authzId (RFC 4532 §2.2).
            let outcome = Outcome::new(Code::Success, "");
            return self.respond(&id, 0x78, &outcome, &element(0x8b, b"")).await;
        }
        let why = format!("the extended operation `{}` is not known here", name.escape_debug());
        self.respond(&id, 0x78, &Outcome::new(Code::ProtocolError, why), &[]).await
    }

    fn wants_tls(&self, frame: &Frame) -> bool {
        matches!(frame.operation(), Some(LdapOp::ExtendedRequest(request)) if request.name == START_TLS)
    }

    /// Whether TLS begins now.
    async fn start_tls(&mut self, frame: &Frame) -> io::Result<bool> {
        let outcome = if self.shared.tls.is_none() {
            Outcome::new(Code::Unavailable, "this directory has no TLS certificate")
        } else if self.has_tls {
            Outcome::new(Code::OperationsError, "TLS is on already")
        } else if !self.input.is_empty() {
            // RFC 4511 §4.14.1: nothing is sent behind the request before its answer. It would be read as if encrypted.
            Outcome::new(Code::OperationsError, "other requests stand behind this one")
        } else {
            Outcome::new(Code::Success, "")
        };
        let begins = outcome.code == Code::Success;
        let id = unsigned(0x02, frame.id.unsigned_abs());
        self.respond(&id, 0x78, &outcome, &element(0x8a, START_TLS.as_bytes())).await?;
        self.flush().await?;
        Ok(begins)
    }

    async fn respond_plain(&mut self, frame: &Frame, tag: u8, outcome: Outcome) -> io::Result<()> {
        let id = unsigned(0x02, frame.id.unsigned_abs());
        self.respond(&id, tag, &outcome, &[]).await
    }

    async fn respond(
        &mut self,
        id: &[u8],
        tag: u8,
        outcome: &Outcome,
        more: &[u8],
    ) -> io::Result<()> {
        self.respond_with(id, tag, outcome, more, &[]).await
    }

    /// ```text
    /// LDAPResult ::= SEQUENCE {
    ///      resultCode         ENUMERATED { … },
    ///      matchedDN          LDAPDN,
    ///      diagnosticMessage  LDAPString,
    ///      referral           [3] Referral OPTIONAL }
    /// ```
    /// RFC 4511 §4.1.9.
    async fn respond_with(
        &mut self,
        id: &[u8],
        tag: u8,
        outcome: &Outcome,
        more: &[u8],
        controls: &[u8],
    ) -> io::Result<()> {
        let result = [
            unsigned(0x0a, outcome.code.clone() as u32),
            element(0x04, outcome.matched.as_bytes()),
            element(0x04, outcome.message.as_bytes()),
            more.to_vec(),
        ]
        .concat();
        let message = element(0x30, &[id, &element(tag, &result), controls].concat());
        self.put(vec![message.into()]).await
    }

    fn note(&self, doing: Doing) {
        if let Some(place) = &self.place {
            place.note(doing);
        }
    }

    /// Writes to the client, for whom is waited then.
    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.note(Doing::Waiting);
        write(&mut self.stream, octets, self.shared.limits.write).await?;
        self.note(Doing::Working);
        Ok(())
    }

    /// Queues what is small, and writes what is large as it is.
    async fn put(&mut self, chunks: Vec<Bytes>) -> io::Result<()> {
        for chunk in chunks {
            if chunk.len() < GATHER {
                self.output.extend_from_slice(&chunk);
                if self.output.len() >= GATHER {
                    self.flush().await?;
                }
            } else {
                self.flush().await?;
                self.write(&chunk).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            let output = self.output.split();
            self.write(&output).await?;
        }
        timeout(self.shared.limits.write, self.stream.flush()).await.map_err(io::Error::from)?
    }
}

/// Waits until others need a place; without one, for ever.
async fn ended(place: Option<&Place>) {
    match place {
        Some(place) => place.ended().await,
        None => std::future::pending().await,
    }
}

/// The largest message, and the deepest.
fn limits_of(shared: &Shared) -> (usize, usize) {
    (shared.limits.max_request, shared.limits.max_filter_depth)
}

/// Writes to a client that reads at all: each part within a time, and the whole at a least speed.
async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    octets: &[u8],
    patience: Duration,
) -> io::Result<()> {
    let speed = Duration::from_secs((octets.len() as u64) / SLOWEST);
    let whole = Instant::now() + patience + speed;
    let mut rest = octets;
    while !rest.is_empty() {
        let until = whole.min(Instant::now() + patience);
        let written = timeout_at(until, stream.write(rest)).await.map_err(io::Error::from)??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Who asks: nobody but the anonymous (RFC 4513 §5.1).
fn bound(version: i64, dn: &str, credentials: &LdapBindCred) -> Outcome {
    match credentials {
        _ if version != 3 => Outcome::new(Code::ProtocolError, "expected LDAP version 3"),
        LdapBindCred::Simple(password) if password.is_empty() && dn.is_empty() => {
            Outcome::new(Code::Success, "")
        }
        // RFC 4513 §5.1.2: a name without a password would look like an authentication.
        LdapBindCred::Simple(password) if password.is_empty() => {
            Outcome::new(Code::UnwillingToPerform, "a name needs a password; bind without both")
        }
        LdapBindCred::Simple(_) => {
            Outcome::new(Code::InvalidCredentials, "this directory has no users; bind anonymously")
        }
        LdapBindCred::SASL(_) | LdapBindCred::Unsupported => Outcome::new(
            Code::AuthMethodNotSupported,
            "this directory has no users; bind anonymously",
        ),
    }
}

/// The tag of the answer to a request.
const fn response_tag(request: u8) -> Option<u8> {
    match request {
        0x60 => Some(0x61),
        0x63 => Some(0x65),
        0x66 => Some(0x67),
        0x68 => Some(0x69),
        0x4a => Some(0x6b),
        0x6c => Some(0x6d),
        0x6e => Some(0x6f),
        0x77 => Some(0x78),
        _ => None,
    }
}
