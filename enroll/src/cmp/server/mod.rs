//! The CMP server: authenticates the sender of a message, acts on its body, and answers.
//!
//! Each part uses only the parts before it in this list: `service` has the server's configuration, limits and memory; `reply` makes and
//! protects answers; `sender` authenticates senders; `exchange` acts on bodies; `story` has the steps of one message through all of these;
//! `http` receives messages.

pub mod exchange;
pub mod http;
pub mod reply;
pub mod sender;
pub mod service;
pub mod story;
