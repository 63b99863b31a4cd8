//! The sender of a message: the checks of the message's header, and of the secret or certificate that protects it.

pub mod authenticate;
pub mod device;
pub mod header;
pub mod nested;
pub mod original;
pub mod tolerance;
