//! SCEP (RFC 8894), the server. This module never decides whether a request is granted: `countersign-ca` does.

#[cfg(test)]
mod captured;
mod certificate;
mod config;
mod decision;
mod enrolment;
mod envelope;
pub mod exercise;
mod http;
mod key_transport;
mod lookup;
mod message;
mod oid;
mod query;
mod refusal;
mod reply;
mod service;
mod story;

pub use config::{Answer, Legacy, ScepConfig};
pub use http::{Endpoint, Observer};
pub use service::{Answered, Outcome, Reply, Route, ScepService};
