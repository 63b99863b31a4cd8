//! The authorizer as a process runs it: its trust anchors and CRLs, and its socket. Its settings are in `config/authorizer.rs`.

mod running;
mod trust;

pub use running::Running;
pub use trust::certificates;
