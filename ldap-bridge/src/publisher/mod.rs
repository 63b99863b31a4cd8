//! Keeps directories of others in step. It reconciles: reads what is there, computes the least operations, applies them, so that
//! a restart, a lost directory or somebody's edit heals by itself. Each directory has a thread of its own, and a dead one
//! delays nobody.

mod connection;
mod ldif;
mod plan;
mod reconcile;
mod settings;
mod worker;

pub use ldif::ldif;
pub use plan::{Change, Operation};
pub use reconcile::{Report, Scope, reconcile};
pub use settings::{Bind, PublisherConfig, PublisherSettings};
pub use worker::{Publisher, Status};
