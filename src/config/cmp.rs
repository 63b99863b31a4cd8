//! The section `[cmp]`: bounds and policy for CMP messages.

use std::time::Duration;

use countersign_ca::authority::LockSettings;
use countersign_enroll::cmp::{
    Bounds, CmpConfig as ServiceConfig, Protections, Rules, default_workers,
};
use serde::{Deserialize, Serialize};

use super::values::{DurationText, within};
use crate::exit::Failure;

/// The section `[cmp]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CmpFile {
    /// The rules for message headers: `rfc9810`, or `rfc9483` to the letter.
    pub profile: CmpRules,
    /// The largest message, in octets.
    pub max_bytes: usize,
    /// The deepest nesting of constructed DER elements in a message.
    pub max_depth: usize,
    /// The most DER elements of a message.
    pub max_elements: usize,
    /// The fewest iterations of a MAC's key derivation that the server accepts.
    pub min_iterations: u32,
    /// The most iterations that the server accepts, summed over all blocks of a long key.
    pub max_iterations: u32,
    /// The most MAC iterations that the server computes for a reference that does not exist.
    pub max_unknown_iterations: u32,
    /// Whether a MAC may use SHA-1.
    pub sha1_macs: bool,
    /// The algorithms that may protect a message; without it, all that are known.
    pub protection_algorithms: Option<Vec<String>>,
    /// Whether a message is refused if its recipient is not a CA of this instance.
    pub check_recipient: bool,
    /// How many wrong secrets in a row from one address (one /64 of IPv6) lock a reference for that address; 0 for never.
    pub lock_after: u32,
    /// How long the first lock lasts. Each further lock lasts twice as long, up to a day.
    pub lock_time: DurationText,
    /// The most that messageTime may differ from the server's clock, in either direction.
    pub time_window: DurationText,
    /// Whether messageTime must be present.
    pub require_message_time: bool,
    /// How long the server waits for the confirmation of a certificate, and for the response to a challenge (proof of possession).
    pub confirm_wait: DurationText,
    /// Whether implicit confirmation is granted to a peer that requests it.
    pub implicit_confirm: bool,
    /// Whether a request under a shared secret may revoke certificates, too.
    pub mac_revocation: bool,
    /// Whether an unprotected genm is answered, for public data only.
    pub unprotected_genm: bool,
    /// The most messages in one nested message, which a registration authority sends.
    pub max_batch: usize,
    /// How long a request may wait, from its arrival until it is approved and its peer has the certificate.
    pub approval_wait: DurationText,
    /// The checkAfter of a pollRep: when a peer is to poll again.
    pub poll_after: DurationText,
    /// The largest content of a genp, the answer to a genm, in octets.
    pub max_information: usize,
    /// The most messages that are worked on at once, not counting those under a MAC.
    pub max_concurrent: usize,
    /// The most messages under a MAC that are worked on, or wait for the derivation of their key, at once.
    pub max_concurrent_macs: usize,
    /// How many threads derive keys from secrets; 0 for half as many as there are processors, rounded up.
    pub mac_workers: usize,
    /// How many keys the server generates for peers at once; 0 for half as many as there are processors, rounded up.
    pub key_workers: usize,
    /// The most messages of one account that are worked on at once.
    pub max_per_account: usize,
    /// The most octets of all messages that arrive or are worked on, beyond the first 16 KiB of each.
    pub max_large_bodies: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: DurationText,
}

impl Default for CmpFile {
    fn default() -> Self {
        let service = ServiceConfig::default();
        let locks = LockSettings::default();
        Self {
            profile: service.rules.into(),
            max_bytes: service.bounds.bytes,
            max_depth: service.bounds.depth,
            max_elements: service.bounds.elements,
            min_iterations: *service.iterations.start(),
            max_iterations: *service.iterations.end(),
            max_unknown_iterations: service.decoy_iterations,
            sha1_macs: service.sha1_macs,
            protection_algorithms: None,
            check_recipient: service.check_recipient,
            lock_after: locks.after,
            lock_time: locks.first.into(),
            time_window: service.time_window.into(),
            require_message_time: service.require_message_time,
            confirm_wait: service.confirm_wait.into(),
            implicit_confirm: service.implicit_confirm,
            mac_revocation: service.mac_revocation,
            unprotected_genm: service.unprotected_genm,
            max_batch: service.max_batch,
            approval_wait: service.approval_wait.into(),
            poll_after: service.poll_after.into(),
            max_information: service.max_information,
            max_concurrent: 256,
            max_concurrent_macs: 256,
            mac_workers: 0,
            key_workers: 0,
            max_per_account: service.max_per_account,
            max_large_bodies: 32 << 20,
            body_timeout: Duration::from_secs(10).into(),
        }
    }
}

/// The rules for message headers, as the file spells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CmpRules {
    /// RFC 9810.
    Rfc9810,
    /// The lightweight profile, RFC 9483.
    Rfc9483,
}

impl From<Rules> for CmpRules {
    fn from(rules: Rules) -> Self {
        match rules {
            Rules::Rfc9810 => Self::Rfc9810,
            Rules::Rfc9483 => Self::Rfc9483,
        }
    }
}

impl From<CmpRules> for Rules {
    fn from(rules: CmpRules) -> Self {
        match rules {
            CmpRules::Rfc9810 => Self::Rfc9810,
            CmpRules::Rfc9483 => Self::Rfc9483,
        }
    }
}

/// The section `[cmp]`, checked.
#[derive(Debug, Clone)]
pub struct CmpConfig {
    /// The settings of the CMP service itself.
    pub service: ServiceConfig,
    /// When wrong secrets lock a reference.
    pub locks: LockSettings,
    /// The most messages that are worked on at once, not counting those under a MAC.
    pub max_concurrent: usize,
    /// The most messages under a MAC that are worked on, or wait for the derivation of their key, at once.
    pub max_concurrent_macs: usize,
    /// The most octets of all messages that arrive or are worked on, beyond the first 16 KiB of each.
    pub max_large_bodies: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
}

/// Checks every value.
///
/// # Errors
/// A value is out of bounds, or an algorithm is unknown.
pub fn check(file: &CmpFile) -> Result<CmpConfig, Failure> {
    let service = service(file)?;
    within("cmp.max_concurrent", file.max_concurrent, 1, 10_000)?;
    within("cmp.max_concurrent_macs", file.max_concurrent_macs, 1, 10_000)?;
    // At least one message of the largest size must fit in.
    within("cmp.max_large_bodies", file.max_large_bodies, file.max_bytes, 4 << 30)?;
    Ok(CmpConfig {
        service,
        locks: LockSettings {
            after: file.lock_after,
            first: file.lock_time.within("cmp.lock_time", 1, 86_400)?,
        },
        max_concurrent: file.max_concurrent,
        max_concurrent_macs: file.max_concurrent_macs,
        max_large_bodies: file.max_large_bodies,
        body_timeout: file.body_timeout.within("cmp.body_timeout", 1, 600)?,
    })
}

fn service(file: &CmpFile) -> Result<ServiceConfig, Failure> {
    within("cmp.max_bytes", file.max_bytes, 4096, 64 << 20)?;
    within("cmp.max_depth", file.max_depth, 16, 64)?;
    within("cmp.max_elements", file.max_elements, 100, 1_000_000)?;
    within("cmp.max_information", file.max_information, 4096, 64 << 20)?;
    within("cmp.max_batch", file.max_batch, 1, 256)?;
    within("cmp.mac_workers", file.mac_workers, 0, 1024)?;
    within("cmp.key_workers", file.key_workers, 0, 1024)?;
    within("cmp.max_per_account", file.max_per_account, 1, 10_000)?;
    check_iterations(file)?;
    Ok(ServiceConfig {
        rules: file.profile.into(),
        bounds: Bounds {
            bytes: file.max_bytes,
            depth: file.max_depth,
            elements: file.max_elements,
        },
        iterations: file.min_iterations..=file.max_iterations,
        decoy_iterations: file.max_unknown_iterations.min(file.max_iterations),
        sha1_macs: file.sha1_macs,
        protections: match &file.protection_algorithms {
            Some(names) => Protections::of(names.iter().map(String::as_str))
                .map_err(|e| Failure::input(format!("cmp.protection_algorithms: {e}")))?,
            None => Protections::default(),
        },
        check_recipient: file.check_recipient,
        time_window: file.time_window.within("cmp.time_window", 10, 86_400)?,
        require_message_time: file.require_message_time,
        confirm_wait: file.confirm_wait.within("cmp.confirm_wait", 10, 7 * 86_400)?,
        implicit_confirm: file.implicit_confirm,
        mac_revocation: file.mac_revocation,
        unprotected_genm: file.unprotected_genm,
        max_batch: file.max_batch,
        approval_wait: file.approval_wait.within("cmp.approval_wait", 60, 90 * 86_400)?,
        poll_after: file.poll_after.within("cmp.poll_after", 1, 86_400)?,
        max_information: file.max_information,
        mac_workers: workers(file.mac_workers),
        key_workers: workers(file.key_workers),
        max_per_account: file.max_per_account,
    })
}

fn check_iterations(file: &CmpFile) -> Result<(), Failure> {
    if !(1..=10_000_000).contains(&file.max_unknown_iterations) {
        return Err(Failure::input(format!(
            "expected 1 ≤ cmp.max_unknown_iterations ≤ 10000000, found {}",
            file.max_unknown_iterations
        )));
    }
    if !(1..=file.max_iterations).contains(&file.min_iterations) || file.max_iterations > 10_000_000
    {
        return Err(Failure::input(format!(
            "expected 1 ≤ cmp.min_iterations ≤ cmp.max_iterations ≤ 10000000, found {} and {}",
            file.min_iterations, file.max_iterations
        )));
    }
    Ok(())
}

/// The number of threads that the file asks for, where 0 stands for the default.
fn workers(written: usize) -> usize {
    if written == 0 { default_workers() } else { written }
}
