//! What happens to one request, from its octets to the answer.

use std::net::IpAddr;

use countersign_ca::authority::{Authorized, IssuedCertificate, TransactionDraft};
use countersign_ca::record::approval::{Verdict as Decided, WaitingRequest};
use countersign_ca::record::{CertificateRecord, Label, ProvenBy, Reason};
use countersign_ca::{Error, Recording, Requester};
use tracing::Span;
use zeroize::Zeroizing;

use super::binding;
use super::outcome::Verdict;
use super::refusal::{Failure, Refusal, Stop};
use super::request::{self, Content};
use super::sender::{Authenticated, Proofs};
use super::service::EstService;
use super::transaction::{draft, identifier, key_identifier};
use crate::est::connection::Connection;
use crate::est::wire::base64;
use crate::est::wire::basic::Credentials;
use crate::est::wire::operation::Operation;
use crate::request::pkcs10::CertificationRequest;
use crate::transport::account_slots::AccountSlot;
use crate::transport::body::Body;
use crate::transport::pool::{Attempt, NeedsBlockingThread, Pool};

/// The path of a request, and the address from which it came.
#[derive(Debug, Clone)]
pub struct Route {
    /// The operation.
    pub operation: Operation,
    /// The profile that the label names.
    pub profile: Option<Label>,
    /// The CA that the label names.
    pub ca: Option<Label>,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// A request for a certificate that has arrived whole.
pub struct Received {
    /// The path of the request.
    pub route: Route,
    /// The body of the request.
    pub body: Body,
    /// The credentials in the header of the request; `None` without any that can be read.
    pub credentials: Option<Credentials>,
    /// The facts about the connection of the request.
    pub connection: Connection,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The certificate, DER.
    Certificate(Vec<u8>),
    /// A private key that was generated here, and its certificate.
    Pair(Pair),
    /// The request waits for approval; the client shall ask again.
    Waiting(String),
    /// The request is refused.
    Refused(Refusal),
    /// Too many requests are worked on; the client shall ask again.
    Busy,
}

/// A private key that was generated here, and its certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The private key: a PrivateKeyInfo, DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(…)")
    }
}

impl Reply {
    /// What became of the request; `None` if nothing did.
    pub const fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Certificate(_) | Self::Pair(_) => Some(Verdict::Granted),
            Self::Waiting(_) => Some(Verdict::Waiting),
            Self::Refused(_) => Some(Verdict::Refused),
            Self::Busy => None,
        }
    }
}

/// An answer: ready to send, or held back until its record in the journal is durable.
pub enum Begun {
    /// The answer may be sent.
    Ready(Reply),
    /// The answer may be sent when its record is durable.
    Recording(Box<Unrecorded>),
}

/// An answer that must not be sent before its record is durable.
pub struct Unrecorded {
    recording: Recording<IssuedCertificate>,
    transaction: Vec<u8>,
    account: Label,
    /// The private key, if it was generated here.
    key: Option<Zeroizing<Vec<u8>>>,
    span: Span,
    _slot: AccountSlot,
}

impl Begun {
    /// Waits, without blocking the thread, until the answer may be sent.
    pub async fn settled(self, service: &EstService) -> Reply {
        match self {
            Self::Ready(reply) => reply,
            Self::Recording(unrecorded) => {
                let Unrecorded { recording, transaction, account, key, span, _slot } = *unrecorded;
                let recorded = recording.settled().await;
                let _entered = span.enter();
                match recorded {
                    Ok(issued) => {
                        log_changes(&account, &issued.changes);
                        tracing::info!(%account, "answered");
                        match key {
                            Some(key) => Reply::Pair(Pair { key, certificate: issued.certificate }),
                            None => Reply::Certificate(issued.certificate),
                        }
                    }
                    // The same request came twice at once, and the other one was recorded first.
                    Err(error) => {
                        match service.issued_before(&transaction, &account, key.is_some()) {
                            Ok(Some(reply)) => reply,
                            _ => refused(error.into()),
                        }
                    }
                }
            }
        }
    }
}

/// A request, with its sender and its transaction.
pub struct Exchange<'a> {
    /// The server.
    pub service: &'a EstService,
    /// The request as it arrived.
    pub received: &'a Received,
    /// The sender of the request.
    pub sender: Authenticated,
    /// The identifier of the request's transaction.
    pub transaction: Vec<u8>,
    /// The kind of thread that works on the request.
    pub pool: Pool,
}

impl EstService {
    /// Makes the answer to a request for a certificate on a thread of the kind `pool`. The caller waits for the disk, by
    /// [`Begun::settled`].
    ///
    /// If the request needs a blocking thread and `pool` is another, the result is [`NeedsBlockingThread`]. Nothing was recorded then, and
    /// the caller calls this once more on a blocking thread.
    pub(super) fn begin(&self, pool: Pool, received: &Received) -> Attempt<Begun> {
        let Route { operation, client, .. } = &received.route;
        let span =
            tracing::info_span!("est", client = client.map(display), operation = operation.name());
        let entered = span.clone().entered();
        let begun = match self.decide(pool, received, &span) {
            Ok(begun) => Ok(begun),
            Err(Stop::NeedsBlockingThread) => Err(NeedsBlockingThread),
            Err(Stop::Busy(why)) => {
                tracing::warn!(target: countersign_ca::REFUSED, "{why}");
                Ok(Begun::Ready(Reply::Busy))
            }
            Err(Stop::Refused(refusal)) => Ok(Begun::Ready(refused(refusal))),
        };
        drop(entered);
        begun
    }

    fn decide(&self, pool: Pool, received: &Received, span: &Span) -> Result<Begun, Stop> {
        // 1. The body is base64.
        let octets = base64::decode(&received.body.octets)?;
        // 2. The sender is authenticated.
        let proofs = Proofs {
            credentials: received.credentials.as_ref(),
            certificate: received.connection.certificate.as_ref(),
            client: received.route.client,
            request: &octets,
        };
        let sender = self.authenticate(received.route.operation, &proofs, pool)?;
        tracing::debug!(account = %sender.requester.account().name, "authenticated");
        // 3. It has the key, and it means this connection.
        let content = match received.route.operation {
            Operation::ServerKeyGen => Content::Key(request::read_for_key(&octets, self.config())?),
            _ => Content::Certificate(request::read(&octets, self.config())?),
        };
        let (bindings, rule) = (&received.connection.bindings, self.config().channel_binding);
        binding::check(content.challenge_password(), bindings, rule)?;
        let transaction = match &content {
            Content::Certificate(_) => {
                identifier(&sender.requester, sender.renews.as_ref(), &octets)
            }
            Content::Key(request) => key_identifier(&sender.requester, &request.digest),
        };
        let exchange = Exchange { service: self, received, sender, transaction, pool };
        // 4. A request that came before goes on where it was; any other one is decided.
        match (exchange.again(&content)?, content) {
            (Some(reply), _) => Ok(Begun::Ready(reply)),
            (None, Content::Certificate(request)) => exchange.ask(request, span),
            (None, Content::Key(request)) => exchange.ask_for_key(request, span),
        }
    }

    /// Repeats the answer to a request that was granted before; `None` if it was not, or the time for repetitions is over. With `key`,
    /// the request was for a generated key, which is kept nowhere: the answer cannot be repeated.
    fn issued_before(
        &self,
        transaction: &[u8],
        account: &Label,
        key: bool,
    ) -> Result<Option<Reply>, Error> {
        let authority = self.authority();
        let Some(record) = authority.issued_in(transaction)? else { return Ok(None) };
        let CertificateRecord { certificate, serial, revocation, .. } = record;
        if record.account != *account {
            return Ok(None);
        }
        if key {
            return Ok(Some(refused(Refusal::new(
                Failure::Conflict,
                format!(
                    "this request was answered with the certificate {serial}, and its private key is kept nowhere; if the answer was lost, \
                     have that certificate revoked, and make a new request with another key"
                ),
            ))));
        }
        match revocation.filter(|found| found.reason != Reason::CertificateHold) {
            Some(found) => Ok(Some(refused(Refusal::new(
                Failure::Forbidden,
                format!(
                    "the certificate {serial} of this request was revoked on {} ({}); make a new request with a new key",
                    found.at, found.reason
                ),
            )))),
            None => {
                tracing::info!(%account, %serial, "answered again");
                Ok(Some(Reply::Certificate(certificate)))
            }
        }
    }
}

impl Exchange<'_> {
    /// The sender.
    pub const fn requester(&self) -> &Requester {
        &self.sender.requester
    }

    /// Continues a request that came before: one that awaits or awaited approval, or one whose answer was lost. `None` if there is no
    /// such request.
    fn again(&self, content: &Content) -> Result<Option<Reply>, Stop> {
        let authority = self.service.authority();
        let known = authority.transaction(&self.transaction)?;
        let account = &self.requester().account().name;
        if known.is_none_or(|known| known.account != *account) {
            return Ok(None);
        }
        if let Some(waiting) = authority.waiting(&self.transaction)? {
            return self.decided(&waiting, content).map(Some);
        }
        let key = matches!(content, Content::Key(_));
        match self.service.issued_before(&self.transaction, account, key)? {
            Some(reply) => Ok(Some(reply)),
            // It waited together with another one, which was asked for first once it was approved.
            None => Err(Refusal::new(
                Failure::Conflict,
                "another request for the same was answered in the place of this one; make a new request, with another key",
            )
            .into()),
        }
    }

    /// The answer to a request that an administrator decides.
    fn decided(&self, waiting: &WaitingRequest, content: &Content) -> Result<Reply, Stop> {
        if !self.is_approved(waiting)? {
            return Ok(self.waits(waiting.id.to_string()));
        }
        // INVARIANT: nothing was recorded yet.
        self.pool.require_blocking()?;
        match content {
            Content::Certificate(_) => self.issue_approved(waiting),
            Content::Key(request) => self.approved_key(waiting, request),
        }
    }

    /// Whether a request was approved, or still waits.
    ///
    /// # Errors
    /// 403 with the administrator's reason if it was rejected.
    pub fn is_approved(&self, waiting: &WaitingRequest) -> Result<bool, Refusal> {
        match &waiting.decision {
            None => Ok(false),
            Some((_, decision)) if decision.verdict == Decided::Approved => Ok(true),
            Some((_, decision)) => {
                let reason = decision.comment.as_deref().unwrap_or("no reason is given");
                let text = format!("an administrator rejected the request: {reason}");
                Err(Refusal::new(Failure::Forbidden, text))
            }
        }
    }

    /// Has the certificate of an approved request issued.
    fn issue_approved(&self, waiting: &WaitingRequest) -> Result<Reply, Stop> {
        let authority = self.service.authority();
        let issued = authority.issue_approved(self.requester(), waiting, self.answer_draft())?;
        log_changes(&self.requester().account().name, &issued.changes);
        Ok(Reply::Certificate(issued.certificate))
    }

    /// The draft of the transaction of a request that is answered now.
    pub fn answer_draft(&self) -> TransactionDraft {
        let until = self.service.authority().now().plus(self.service.config().repeat);
        draft(self.transaction.clone(), until, self.received.route.client, self.proof())
    }

    fn proof(&self) -> ProvenBy {
        self.requester().credential().proof()
    }

    /// The draft of the transaction of a request that waits.
    pub fn wait_draft(&self) -> TransactionDraft {
        let until = self.service.authority().now().plus(self.service.config().approval_wait);
        draft(self.transaction.clone(), until, self.received.route.client, self.proof())
    }

    /// Has the authority decide on a request, and issue its certificate or keep it for approval.
    fn ask(self, content: CertificationRequest, span: &Span) -> Result<Begun, Stop> {
        let authority = self.service.authority();
        let Route { profile, ca, .. } = &self.received.route;
        let request =
            content.template.into_request(profile.clone(), ca.clone(), self.sender.renews);
        let authorized = authority.authorize(self.requester(), request)?;
        if authorized.needs_approval() {
            // The record of a request that needs approval is waited for at once.
            // INVARIANT: nothing was recorded yet.
            self.pool.require_blocking()?;
            return self.hold(authorized).map(Begun::Ready);
        }
        self.issue(authorized, None, span)
    }

    /// Has a certificate issued. `key` is its private key, if that was generated here.
    pub fn issue(
        self,
        mut authorized: Authorized,
        key: Option<Zeroizing<Vec<u8>>>,
        span: &Span,
    ) -> Result<Begun, Stop> {
        let authority = self.service.authority();
        // A serial number that is recorded as reserved before anything is signed with it. If none is left, more are recorded.
        if !authority.take_serial(&mut authorized)? {
            // INVARIANT: nothing was recorded yet.
            self.pool.require_blocking()?;
        }
        let recording = authority.begin_issue(authorized, Some(self.answer_draft()))?;
        let account = self.requester().account().name.clone();
        let Self { transaction, sender: Authenticated { _slot, .. }, .. } = self;
        let span = span.clone();
        let unrecorded = Unrecorded { recording, transaction, account, key, span, _slot };
        Ok(Begun::Recording(Box::new(unrecorded)))
    }

    /// Records a request that needs approval. If a request for the same certificate waits already, as after a restart of the client, the
    /// new request joins it. If that one was approved meanwhile, its certificate is issued at once.
    fn hold(&self, authorized: Authorized) -> Result<Reply, Stop> {
        let authority = self.service.authority();
        match authority.waiting_alike(&authorized, None)? {
            Some(waiting) => {
                self.join(&waiting)?;
                match self.is_approved(&waiting)? {
                    true => self.issue_approved(&waiting),
                    false => Ok(self.waits(waiting.id.to_string())),
                }
            }
            None => {
                let request = authority.submit(authorized, self.wait_draft())?;
                Ok(self.waits(request.to_string()))
            }
        }
    }

    /// Joins the request `waiting`, which asks for the same certificate and waits for approval.
    pub fn join(&self, waiting: &WaitingRequest) -> Result<(), Error> {
        let expires = waiting.pending.transaction.expires;
        self.service.authority().join(waiting, TransactionDraft { expires, ..self.wait_draft() })
    }

    /// The answer that a request waits for approval.
    pub fn waits(&self, request: String) -> Reply {
        let account = &self.requester().account().name;
        tracing::info!(%account, %request, "answered: waits for approval");
        Reply::Waiting(format!(
            "the request waits for the approval of an administrator, as request {request}; ask again with the same request"
        ))
    }
}

/// Logs how the certificate differs from the request: EST's answer has no place for it.
pub fn log_changes(account: &Label, changes: &[String]) {
    for change in changes {
        tracing::info!(%account, "not as asked: {change}");
    }
}

/// The answer that refuses a request. It is logged with what the client must change.
fn refused(refusal: Refusal) -> Reply {
    if refusal.failure == Failure::Challenge {
        tracing::debug!("asked who it is");
        return Reply::Refused(refusal);
    }
    tracing::info!(target: countersign_ca::REFUSED, failure = ?refusal.failure, "refused: {}", refusal.text);
    Reply::Refused(refusal)
}
