//! The CMP server: who sends a message, what it asks for, and what is answered.

pub mod exchange;
pub mod http;
pub mod reply;
pub mod sender;
pub mod service;
