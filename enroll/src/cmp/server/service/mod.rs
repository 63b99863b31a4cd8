//! The state of a CMP server: its authority, its configuration, its limits, and what it remembers between messages.

pub mod challenges;
pub mod config;
pub mod context;
pub mod poll_nonces;
pub mod protections;
pub mod route;
pub mod stop;

use std::sync::Arc;

use countersign_ca::{Authority, Error};

use crate::transport::account_slots::AccountSlots;
use crate::transport::share::FairSemaphore;
use challenges::Challenges;
use config::CmpConfig;
use poll_nonces::PollNonces;

/// The CMP server of one authority. [`CmpService::answer`] answers a message.
#[derive(Debug)]
pub struct CmpService {
    authority: Arc<Authority>,
    config: CmpConfig,
    mac_permits: FairSemaphore,
    key_permits: FairSemaphore,
    account_slots: AccountSlots,
    poll_nonces: PollNonces,
    challenges: Challenges,
}

impl CmpService {
    /// Makes a server for this authority.
    pub fn new(authority: Arc<Authority>, config: CmpConfig) -> Self {
        Self {
            authority,
            mac_permits: FairSemaphore::new(config.mac_workers),
            key_permits: FairSemaphore::new(config.key_workers),
            account_slots: AccountSlots::new(config.max_per_account),
            poll_nonces: PollNonces::default(),
            challenges: Challenges::default(),
            config,
        }
    }

    /// The authority that issues the certificates.
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The configuration of the server.
    pub const fn config(&self) -> &CmpConfig {
        &self.config
    }

    /// The permits for deriving keys from secrets.
    pub(crate) const fn mac_permits(&self) -> &FairSemaphore {
        &self.mac_permits
    }

    /// The permits for generating keys for peers.
    pub(crate) const fn key_permits(&self) -> &FairSemaphore {
        &self.key_permits
    }

    /// Slots for the messages of each account.
    pub(crate) const fn account_slots(&self) -> &AccountSlots {
        &self.account_slots
    }

    /// The nonces of polls and of their answers.
    pub(crate) const fn poll_nonces(&self) -> &PollNonces {
        &self.poll_nonces
    }

    /// The challenges that await their response.
    pub(crate) const fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// Whether messages are accepted that RFC 9483 forbids and RFC 9810 does not.
    pub(crate) fn is_tolerant(&self) -> bool {
        self.config.rules.are_tolerant()
    }

    /// A fresh senderNonce, of 128 bits.
    pub(crate) fn nonce(&self) -> Result<[u8; 16], Error> {
        let mut nonce = [0; 16];
        self.authority.random(&mut nonce)?;
        Ok(nonce)
    }
}
