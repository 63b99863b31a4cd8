//! The EST server: authenticates the sender of a request, has its certificate issued, and answers.

pub mod attributes;
pub mod binding;
pub mod config;
pub mod exchange;
pub mod http;
mod key_generation;
pub mod outcome;
pub mod refusal;
pub mod request;
pub mod sender;
pub mod service;
pub mod transaction;
