//! How an IKE daemon asks whether a peer may come in: path, status, identity and policy decide, and the answer says why.

pub mod decide;
pub mod decision_log;
pub mod explain;
pub mod gateway;
pub mod identity;
pub mod policy;
pub mod server;
pub mod status;
pub mod trust;
pub mod wire;

pub use countersign_ca::path;
pub use decide as authorizer;
pub use decision_log as decision;
pub use policy::{attributes as asked, moment, proof};
pub use trust::certificate_store as lookup;
