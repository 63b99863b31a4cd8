//! The parts of a running server, as its HTTP handlers, health and metrics see them.

use std::sync::Arc;

use countersign_ca::Authority;
use countersign_ldap_bridge::slots::ConnectionSlots;

use crate::authorizer::Running;
use crate::bridge::Bridge;
use crate::instance::Instance;
use crate::tasks::JournalCheck;
use crate::threads::Threads;
use crate::watch::Watch;

/// The parts of a running server.
pub struct ServerState {
    /// The instance that the server serves.
    pub instance: Arc<Instance>,
    /// The authority of the instance, with open keys.
    pub authority: Arc<Authority>,
    /// The built-in LDAP directory, and the publishers to others.
    pub bridge: Arc<Bridge>,
    /// The authorizer, if it runs within this server.
    pub authorizer: Option<Arc<Running>>,
    /// The panics of the threads that sign.
    pub threads: Threads,
    /// The watch, which looks at what `countersign status` shows.
    pub watch: Arc<Watch>,
    /// The slots of the HTTP connections.
    pub connections: Arc<ConnectionSlots>,
    /// The verification of the journal, which runs once after the start.
    pub journal: JournalCheck,
}
