//! The path and address of a message's HTTP request, the messages that the message is nested in, and the result of the message.

use std::net::IpAddr;

use countersign_ca::record::Label;
use countersign_ca::{Network, Registrar};

use crate::cmp::wire::kind;
use crate::transport::pool::Pool;
use crate::transport::share::Sender;

/// The path of a message's HTTP request (RFC 9811 §3.4), and the address from which it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// The profile that the path names.
    pub profile: Option<Label>,
    /// The CA that the path names.
    pub ca: Option<Label>,
    /// The kind of body that the path's operation label allows (RFC 9483 §6.1), such as [`kind::IR`].
    pub operation: Option<u8>,
    /// The client's address, for the log and for fair shares.
    pub client: Option<IpAddr>,
}

impl Route {
    /// The sender whose share of slots and permits the message takes.
    pub fn sender(&self) -> Sender {
        self.client.map(Network::from)
    }
}

/// The nested messages that a message is inside, and the kind of thread that works on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wrapping<'a> {
    /// How many nested messages the message is inside; 0 for a message that came by itself.
    pub depth: u8,
    /// The registration authority that added its protection to this very message.
    pub forwarder: Option<&'a Registrar>,
    /// The kind of thread that works on the message.
    pub pool: Pool,
}

/// The result of a message, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The name of the message's body, such as `ir`; `unreadable` if it was no PKIMessage.
    pub kind: &'static str,
    /// Whether the message was not refused. A poll is refused if its answer is that the request was rejected. A batch is not, even if
    /// messages in it are.
    pub granted: bool,
    /// Whether too many requests were worked on: there is no answer then, and the peer may send the message again.
    pub busy: bool,
}

/// An answer that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The PKIMessage that answers, DER; empty if the outcome is "busy".
    pub octets: Vec<u8>,
    /// The result of the message.
    pub outcome: Outcome,
}

impl Answered {
    /// The answer to a granted message with a body of this kind.
    pub fn granted(kind: u8, octets: Vec<u8>) -> Self {
        Self { octets, outcome: Outcome { kind: kind::name(kind), granted: true, busy: false } }
    }

    /// The answer to a refused message with a body of this kind.
    pub fn refused(kind: u8, octets: Vec<u8>) -> Self {
        Self { octets, outcome: Outcome { kind: kind::name(kind), granted: false, busy: false } }
    }

    /// No answer: the message is to be sent again.
    pub fn busy(kind: u8) -> Self {
        let outcome = Outcome { kind: kind::name(kind), granted: false, busy: true };
        Self { octets: Vec::new(), outcome }
    }
}
