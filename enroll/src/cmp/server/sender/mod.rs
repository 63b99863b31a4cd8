//! Who sends a message, and whether it may be read any further.

pub mod authenticate;
pub mod header;
pub mod nested;
pub mod tolerance;
