//! The state of an EST server: its authority, its configuration and its limits. The server keeps nothing else in memory between requests:
//! it reads that from the journal.

use std::sync::Arc;

use countersign_ca::Authority;

use super::config::EstConfig;
use crate::transport::account_slots::AccountSlots;
use crate::transport::share::FairSemaphore;

/// The EST server of one authority.
#[derive(Debug)]
pub struct EstService {
    authority: Arc<Authority>,
    config: EstConfig,
    account_slots: AccountSlots,
    key_permits: FairSemaphore,
}

impl EstService {
    /// Makes a server for this authority.
    pub fn new(authority: Arc<Authority>, config: EstConfig) -> Self {
        let account_slots = AccountSlots::new(config.max_per_account);
        let key_permits = FairSemaphore::new(config.key_workers);
        Self { authority, config, account_slots, key_permits }
    }

    /// The authority that issues the certificates.
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The configuration of the server.
    pub const fn config(&self) -> &EstConfig {
        &self.config
    }

    /// Slots for the requests of each account.
    pub(super) const fn account_slots(&self) -> &AccountSlots {
        &self.account_slots
    }

    /// The permits for generating keys for clients.
    pub(super) const fn key_permits(&self) -> &FairSemaphore {
        &self.key_permits
    }
}
