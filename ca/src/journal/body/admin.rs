//! Bodies about what administrators do to the instance as a whole.

use minicbor::{Decode, Encode};

use super::super::entry::Entry;
use crate::error::{Error, Result};
use crate::record::{AdminAction, Restoration};

/// An action that changes no other record.
#[derive(Encode, Decode)]
pub struct AdminActionBody<'a> {
    /// A user of the operating system, such as `uid 0`.
    #[b(0)]
    actor: &'a str,
    /// A noun and a verb.
    #[b(1)]
    action: &'a str,
    #[b(2)]
    detail: &'a str,
}

impl<'a> AdminActionBody<'a> {
    /// The body for an administrator's action.
    pub fn new(done: &'a AdminAction) -> Self {
        Self { actor: &done.actor, action: &done.action, detail: &done.detail }
    }

    /// The entry in the body.
    pub fn entry(self) -> Entry {
        Entry::AdminAction(AdminAction {
            actor: self.actor.to_owned(),
            action: self.action.to_owned(),
            detail: self.detail.to_owned(),
        })
    }
}

/// A restore from a backup.
#[derive(Encode, Decode)]
pub struct RestoredBody<'a> {
    /// A user of the operating system, such as `uid 0`.
    #[b(0)]
    actor: &'a str,
    /// SHA-256 over the backup without its last 32 octets, which are this value.
    #[cbor(b(1), with = "minicbor::bytes")]
    backup: &'a [u8],
    #[n(2)]
    keeps_uses: bool,
}

impl<'a> RestoredBody<'a> {
    /// The body for a restore.
    pub fn new(restoration: &'a Restoration) -> Self {
        Self {
            actor: &restoration.actor,
            backup: &restoration.backup,
            keeps_uses: restoration.keeps_uses,
        }
    }

    /// The entry in the body.
    pub fn entry(self) -> Result<Entry> {
        Ok(Entry::Restored(Restoration {
            actor: self.actor.to_owned(),
            backup: self.backup.try_into().map_err(Error::internal)?,
            keeps_uses: self.keeps_uses,
        }))
    }
}

/// An administrator's word that the clock is right.
#[derive(Encode, Decode)]
pub struct ClockAcceptedBody<'a> {
    /// A user of the operating system, such as `uid 0`.
    #[b(0)]
    pub actor: &'a str,
}

impl ClockAcceptedBody<'_> {
    /// The entry in the body.
    pub fn entry(self) -> Entry {
        Entry::ClockAccepted { actor: self.actor.to_owned() }
    }
}
