//! Who sends a message: the checks of its header, and the secret or certificate that protects it.

pub mod authenticate;
pub mod device;
pub mod header;
pub mod nested;
pub mod original;
pub mod tolerance;
