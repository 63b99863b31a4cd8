//! The counters of an authorizer.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::{Answer, Verdict};

/// The authorizer's counters since its start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Questions that were answered with `allow`.
    pub allowed: AtomicU64,
    /// Questions that were answered with `deny`, by step, in the order of [`Step`](crate::wire::Step).
    pub denied: [AtomicU64; 6],
    /// Answers for which path, status and identity were cached, including repeated denials.
    pub kept: AtomicU64,
    /// Denials that were repeated without asking the policy.
    pub again: AtomicU64,
    /// Decisions for which the policy was asked. A decision with several action attribute sets counts once.
    pub asked: AtomicU64,
}

/// Whether the facts about the peer came from a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The facts were not cached: path, status or identity were judged for this answer, or the question could not be read.
    Verified,
    /// The facts were cached.
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

    /// Counts a repeated denial.
    pub(super) fn count_again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a decision for which the policy is asked.
    pub(super) fn count_asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}
