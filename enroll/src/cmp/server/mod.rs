//! The CMP server: who sends a message, what it asks for, and what is answered.
//!
//! Rooms from the ground up, of which each names only those below it: `service` is what a server holds, limits and remembers; `reply` makes
//! and protects answers; `sender` authenticates; `exchange` acts on what is asked for; `story` is the way of one message through them, and
//! `http` is how messages come in.

pub mod exchange;
pub mod http;
pub mod reply;
pub mod sender;
pub mod service;
pub mod story;
