//! The enrolment of a gateway: `countersign enroll`. The protocol is in `countersign-enroll`. Here are the gateway's files, and the order
//! in which they change, so that no key is lost and key and certificate always belong together.

#[cfg(test)]
mod faults;
mod folder;
mod generation;
mod material;
mod peer;
mod pending;
#[cfg(test)]
mod power;
mod questions;
mod settings;
mod story;

pub use material::{certificates, key_from_pem};
pub use peer::Trust;
pub use questions::{Source, query, revoke};
pub use settings::{First, Overrides, Protocol, Settings, default_name, unfit};
pub use story::{Start, enrol, renew};

use countersign_enroll::client::ClientError;

use crate::exit::Failure;

/// Gives each error of a client its exit code.
impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Refused(_) => 4,
            ClientError::Untrusted(_)
            | ClientError::BadCertificate(_)
            | ClientError::Internal(_) => 1,
            ClientError::Waiting { .. } => Self::WAITS,
            ClientError::Unavailable(_) => 5,
            ClientError::Input(_) => 2,
        };
        Self { code, message: error.to_string() }
    }
}
