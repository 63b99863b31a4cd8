//! Publishes entries in directories of others. A publisher reconciles: it reads the directory, computes the operations that are needed, and
//! applies them. After a restart, a loss of the directory or a manual change, the next reconciliation repairs the difference. Each
//! directory has a thread of its own, so that a dead one does not delay the others.

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
