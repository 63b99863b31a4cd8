//! How a peer asks for a certificate: CMP over HTTP. Wire formats never decide.

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

pub mod cmp;
pub mod transport;

pub use transport::share::Sender;
