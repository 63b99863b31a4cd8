//! How a peer gets a certificate: CMP, EST and SCEP, the servers and the clients. Nothing here decides whether a request is granted:
//! `countersign-ca` does.

#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that panics is a test that fails"
    )
)]

pub mod ber;
pub mod certs_only;
pub mod client;
pub mod cmp;
pub mod est;
pub(crate) mod legible;
pub mod request;
pub mod scep;
pub mod transport;

pub use legible::legible;
pub use transport::share::Sender;
