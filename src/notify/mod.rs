//! Notifications: each receiver is told what `countersign status` finds, by a webhook or by mail.
//!
//! A receiver has a thread and a ledger. A message is the difference between the findings of now and the ledger, so that nothing queues
//! up while a receiver does not answer, and a restart repeats nothing. Findings come from above: this room looks at no record.

mod files;
mod ledger;
mod mail;
mod message;
mod notifier;
mod receiver;
mod webhook;

pub use notifier::{Notifier, send_test};
pub use receiver::{Outcome, Verdict};
