//! The SCEP service: its parts, a message that was opened, and the result of one.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_ca::authority::ScepDelegates;
use countersign_ca::key::KeyTransport;
use countersign_ca::record::Label;
use countersign_ca::{Authority, Network};
use tracing::Span;
use zeroize::Zeroizing;

use super::certificate::Signer;
use super::config::ScepConfig;
use super::envelope::Cipher;
use super::message::{MessageType, Transaction};
use crate::transport::account_slots::AccountSlots;
use crate::transport::share::Sender;

/// The path of a message's HTTP request, and the address from which it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// The profile that the path names.
    pub profile: Option<Label>,
    /// The CA that the path names.
    pub ca: Option<Label>,
    /// The client's address, for the log, for locks and for fair shares.
    pub client: Option<IpAddr>,
}

impl Route {
    /// The sender whose share of slots the message takes.
    pub fn sender(&self) -> Sender {
        self.client.map(Network::from)
    }
}

/// The result of a message, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The name of the message's type, such as `PKCSReq`; `unreadable` if it was no pkiMessage.
    pub kind: &'static str,
    /// Whether the message was not refused.
    pub granted: bool,
}

/// The answer to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A CertRep, DER.
    CertRep(Vec<u8>),
    /// No CertRep is possible: the message is not a pkiMessage (HTTP 400). The text says why.
    Unreadable(String),
    /// The message may be sent again (HTTP 503).
    Unavailable,
    /// The service failed, and the log says why (HTTP 500).
    Failed,
}

/// The answer to a message, with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub reply: Reply,
    /// The result, for the log and the metrics.
    pub outcome: Outcome,
}

/// The SCEP service of an authority.
pub struct ScepService {
    authority: Arc<Authority>,
    config: ScepConfig,
    account_slots: AccountSlots,
}

/// A message whose signature was verified, and whose content was decrypted as well as possible.
pub struct Opened {
    /// The kind of message.
    pub kind: MessageType,
    /// The certificate that signed the message.
    pub signer: Signer,
    /// The content; `None` if its padding was wrong. The content of a poll is not decrypted.
    pub content: Option<Zeroizing<Vec<u8>>>,
    /// The path and address of the message.
    pub route: Route,
    /// The parts by which the answer is recognized.
    pub transaction: Transaction,
    /// The cipher of the content, which the answer uses, too.
    pub cipher: Cipher,
    /// The key transport of the content encryption key. The answer uses the same.
    pub transport: KeyTransport,
    /// The delegates for which the message was encrypted.
    pub delegates: ScepDelegates,
    /// The message in the log.
    pub span: Span,
}

impl ScepService {
    /// The service of this authority.
    pub fn new(authority: Arc<Authority>, config: ScepConfig) -> Self {
        let account_slots = AccountSlots::new(config.max_per_account);
        Self { authority, config, account_slots }
    }

    /// The authority.
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The slots of accounts.
    pub(super) const fn account_slots(&self) -> &AccountSlots {
        &self.account_slots
    }

    /// The settings.
    pub const fn config(&self) -> &ScepConfig {
        &self.config
    }
}
