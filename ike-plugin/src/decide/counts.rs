//! What an authorizer counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::{Answer, Verdict};

/// How many questions were answered since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Peers that were let in.
    pub allowed: AtomicU64,
    /// Peers that were refused, by step, in the order of [`Step`](crate::wire::Step).
    pub denied: [AtomicU64; 6],
    /// Answers that needed nothing but what was cached.
    pub kept: AtomicU64,
    /// Refusals that were given again, for which the policy was not asked either.
    pub again: AtomicU64,
    /// How often the policy was asked.
    pub asked: AtomicU64,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Something was verified for it.
    Verified,
    /// What was cached sufficed.
    Cached,
}

impl Counts {
    /// Counts an answer.
    pub(super) fn count(&self, answer: &Answer, origin: Origin) {
        if origin == Origin::Cached {
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
        match answer.decision {
            Verdict::Allow => {
                self.allowed.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Deny => {
                if let Some(count) = self.denied.get(answer.step as usize) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Counts a refusal that was given again.
    pub(super) fn count_again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a question to the policy.
    pub(super) fn count_asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}
