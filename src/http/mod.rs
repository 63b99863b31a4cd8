//! Everything that the server answers over HTTP but CMP.

pub mod front;
pub mod health;
pub mod metrics;
pub mod ocsp;
pub mod repository;
pub mod search;
