//! A client's connection to the built-in directory. Requests are answered one after the other, within limits of size and time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ldap3_proto::proto::{LdapBindCred, LdapCompareRequest, LdapOp, LdapResultCode as Code};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::ber::{Broken, Frame, element, unsigned};
use super::filter;
use super::schema::attribute_type;
use super::search::{Begun, Outcome, Search, Step, paged_control};
use super::shared::Shared;
use crate::dn::Dn;
use crate::protocol::{oid, tag};
use crate::slots::{Activity, ConnectionSlot};

/// Chunks smaller than this, in octets, are collected before they are written.
const GATHER: usize = 16 << 10;
/// After this many steps of a search, the server checks whether the client has abandoned it.
const ABANDON: u32 = 16;
/// The lowest speed at which a client may read, in octets a second.
const SLOWEST: u64 = 4096;

/// Requests that would change the directory.
const WRITES: [u8; 4] =
    [tag::MODIFY_REQUEST, tag::ADD_REQUEST, tag::DEL_REQUEST, tag::MODIFY_DN_REQUEST];

/// The transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP alone.
    Plain,
    /// TLS, from the start or after StartTLS.
    Tls,
}

/// The way in which the serving of a connection ends without an error.
pub enum Ending<S> {
    /// The connection is closed.
    Closed,
    /// The client has asked for TLS, and the server has agreed. The TLS handshake follows on this stream.
    StartTls(S),
}

/// A client's connection.
pub struct Connection<S> {
    stream: S,
    shared: Arc<Shared>,
    /// The connection's slot; `None` for one that gets only a notice of disconnection.
    slot: Option<Arc<ConnectionSlot>>,
    transport: Transport,
    /// Octets that have arrived and are not read yet.
    input: BytesMut,
    /// Responses that are not written yet.
    output: BytesMut,
}

/// The next event on a connection.
enum Next {
    Frame(Frame),
    Broken(Broken),
    Closed,
    /// The connection must end to make room for others.
    Displaced,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// A new connection.
    pub fn new(
        stream: S,
        shared: Arc<Shared>,
        slot: Option<Arc<ConnectionSlot>>,
        transport: Transport,
    ) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { stream, shared, slot, transport, input, output }
    }

    /// Serves the client until the connection ends or TLS begins.
    ///
    /// # Errors
    /// The stream fails.
    pub async fn serve(mut self) -> io::Result<Ending<S>> {
        loop {
            self.note(Activity::Idle);
            let next = self.next().await?;
            self.note(Activity::Working);
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
                tag::UNBIND_REQUEST => return Ok(Ending::Closed),
                // The operation that it names is over, or not read yet: during a search, `is_abandoned` looks for abandon requests.
                tag::ABANDON_REQUEST => {}
                tag::EXTENDED_REQUEST if self.wants_tls(&frame) => {
                    if self.start_tls(&frame).await? {
                        return Ok(Ending::StartTls(self.stream));
                    }
                }
                _ => self.answer(&frame).await?,
            }
        }
    }

    /// Sends a notice of disconnection (RFC 4511 §4.4.1), with the reason.
    ///
    /// # Errors
    /// The stream fails.
    pub async fn notice(&mut self, code: Code, message: &str) -> io::Result<()> {
        let name = element(tag::RESPONSE_NAME, oid::NOTICE_OF_DISCONNECTION.as_bytes());
        let outcome = Outcome::new(code, message);
        self.respond(&unsigned(tag::INTEGER, 0), tag::EXTENDED_RESPONSE, &outcome, &name).await?;
        self.flush().await
    }

    /// Waits for the next request or the end of the connection. At the end of a time limit it sends a notice, and the connection counts as
    /// closed.
    async fn next(&mut self) -> io::Result<Next> {
        let limits = &self.shared.limits;
        let (idle, whole) = (limits.idle, limits.request_time);
        // A request that has begun to arrive must be complete soon; before that, the client may be idle.
        let mut deadline = Instant::now() + if self.input.is_empty() { idle } else { whole };
        loop {
            match Frame::take(&mut self.input, self.shared.limits.frames()) {
                Ok(Some(frame)) => return Ok(Next::Frame(frame)),
                Ok(None) => {}
                Err(broken) => return Ok(Next::Broken(broken)),
            }
            self.flush().await?;
            let was_empty = self.input.is_empty();
            let slot = self.slot.clone();
            let read = tokio::select! {
                read = timeout_at(deadline, self.stream.read_buf(&mut self.input)) => read,
                () = ended(slot.as_deref()) => return Ok(Next::Displaced),
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
        let Some(response) = tag::response_to(frame.tag) else {
            let outcome = Outcome::new(Code::ProtocolError, "an unknown operation");
            return self.respond_plain(frame, tag::EXTENDED_RESPONSE, outcome).await;
        };
        let is_search = frame.tag == tag::SEARCH_REQUEST;
        let known = |control: &str| {
            control == oid::MANAGE_DSA_IT || (control == oid::PAGED_RESULTS && is_search)
        };
        if let Some(unknown) = frame.controls.iter().find(|c| c.is_critical && !known(&c.oid)) {
            let why = format!("the control `{}` is not known here", unknown.oid.escape_debug());
            let outcome = Outcome::new(Code::UnavailableCriticalExtension, why);
            return self.respond_plain(frame, response, outcome).await;
        }
        let outcome = match frame.operation() {
            Some(LdapOp::SearchRequest(request)) => return self.search(frame, request).await,
            Some(LdapOp::BindRequest(bind)) => bound(bind.version, &bind.dn, &bind.cred),
            Some(LdapOp::CompareRequest(compare)) => self.compare(&compare),
            Some(LdapOp::ExtendedRequest(extended)) => {
                return self.extended(frame, &extended.name).await;
            }
            Some(_) => Outcome::new(Code::UnwillingToPerform, "this directory is read-only"),
            None if WRITES.contains(&frame.tag) => {
                Outcome::new(Code::UnwillingToPerform, "this directory is read-only")
            }
            None => Outcome::new(
                Code::ProtocolError,
                "the request cannot be read: its text must be UTF-8",
            ),
        };
        self.respond_plain(frame, response, outcome).await
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
            Ok(Begun { mut search, entry }) => {
                if let Some(entry) = entry {
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
        let id = unsigned(tag::INTEGER, frame.id.unsigned_abs());
        self.respond_with(&id, tag::SEARCH_RESULT_DONE, &outcome, &[], &controls).await
    }

    /// Whether an abandon request for the operation with this messageID has already arrived. At most about one message is read ahead.
    async fn is_abandoned(&mut self, id: i32) -> io::Result<bool> {
        let bounds = self.shared.limits.frames();
        if self.input.len() < bounds.octets {
            // A client that has closed its sending side may still read the answer, so that the end of the stream is ignored here.
            if let Ok(Err(e)) = timeout(Duration::ZERO, self.stream.read_buf(&mut self.input)).await
            {
                return Err(e);
            }
        }
        let mut waiting = self.input.clone();
        while let Ok(Some(frame)) = Frame::take(&mut waiting, bounds) {
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
        let id = unsigned(tag::INTEGER, frame.id.unsigned_abs());
        if name == oid::WHO_AM_I {
            // The client is anonymous, which is an empty authzId (RFC 4532 §2.2).
            let outcome = Outcome::new(Code::Success, "");
            let nobody = element(tag::RESPONSE_VALUE, b"");
            return self.respond(&id, tag::EXTENDED_RESPONSE, &outcome, &nobody).await;
        }
        let why = format!("the extended operation `{}` is not known here", name.escape_debug());
        let outcome = Outcome::new(Code::ProtocolError, why);
        self.respond(&id, tag::EXTENDED_RESPONSE, &outcome, &[]).await
    }

    fn wants_tls(&self, frame: &Frame) -> bool {
        matches!(frame.operation(), Some(LdapOp::ExtendedRequest(request)) if request.name == oid::START_TLS)
    }

    /// Answers a StartTLS request. True if TLS begins now.
    async fn start_tls(&mut self, frame: &Frame) -> io::Result<bool> {
        let outcome = if self.shared.tls.is_none() {
            Outcome::new(Code::Unavailable, "this directory has no TLS certificate")
        } else if self.transport == Transport::Tls {
            Outcome::new(Code::OperationsError, "TLS is on already")
        } else if !self.input.is_empty() {
            // RFC 4511 §4.14.1: a client sends nothing between the request and its answer. Such octets would be read as if they had been
            // encrypted.
            Outcome::new(Code::OperationsError, "other requests stand behind this one")
        } else {
            Outcome::new(Code::Success, "")
        };
        let begins = outcome.code == Code::Success;
        let id = unsigned(tag::INTEGER, frame.id.unsigned_abs());
        let name = element(tag::RESPONSE_NAME, oid::START_TLS.as_bytes());
        self.respond(&id, tag::EXTENDED_RESPONSE, &outcome, &name).await?;
        self.flush().await?;
        Ok(begins)
    }

    async fn respond_plain(
        &mut self,
        frame: &Frame,
        response: u8,
        outcome: Outcome,
    ) -> io::Result<()> {
        let id = unsigned(tag::INTEGER, frame.id.unsigned_abs());
        self.respond(&id, response, &outcome, &[]).await
    }

    async fn respond(
        &mut self,
        id: &[u8],
        response: u8,
        outcome: &Outcome,
        more: &[u8],
    ) -> io::Result<()> {
        self.respond_with(id, response, outcome, more, &[]).await
    }

    /// Sends a response: a message with this messageID (an encoded INTEGER), whose operation has the tag `response` and holds the result,
    /// followed by the elements `more`; `controls` is the encoded list, or empty.
    ///
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
        response: u8,
        outcome: &Outcome,
        more: &[u8],
        controls: &[u8],
    ) -> io::Result<()> {
        let result = [
            unsigned(tag::ENUMERATED, outcome.code.clone() as u32),
            element(tag::OCTET_STRING, outcome.matched.as_bytes()),
            element(tag::OCTET_STRING, outcome.message.as_bytes()),
            more.to_vec(),
        ]
        .concat();
        let operation = element(response, &result);
        let message = element(tag::SEQUENCE, &[id, &operation, controls].concat());
        self.put(vec![message.into()]).await
    }

    fn note(&self, activity: Activity) {
        if let Some(slot) = &self.slot {
            slot.note(activity);
        }
    }

    /// Writes to the client. Meanwhile the connection counts as waiting for the client.
    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.note(Activity::Waiting);
        write(&mut self.stream, octets, self.shared.limits.write).await?;
        self.note(Activity::Working);
        Ok(())
    }

    /// Collects small chunks, and writes large ones without copying them.
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

/// Waits until the connection must end to make room for others. Without a slot this never completes.
async fn ended(slot: Option<&ConnectionSlot>) {
    match slot {
        Some(slot) => slot.ended().await,
        None => std::future::pending().await,
    }
}

/// Writes to a client. Each part must be accepted within `patience`, and the whole at a lowest speed, so that a client that reads nothing,
/// or one octet at a time, does not block the connection for ever.
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

/// The outcome of a bind. Only an anonymous one succeeds (RFC 4513 §5.1).
fn bound(version: i64, dn: &str, credentials: &LdapBindCred) -> Outcome {
    match credentials {
        _ if version != 3 => Outcome::new(Code::ProtocolError, "expected LDAP version 3"),
        LdapBindCred::Simple(password) if password.is_empty() && dn.is_empty() => {
            Outcome::new(Code::Success, "")
        }
        // RFC 4513 §5.1.2: a client that sends a name without a password might believe that it was authenticated.
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
