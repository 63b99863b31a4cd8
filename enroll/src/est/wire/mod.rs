//! EST on the wire: paths, base64, HTTP Basic, and CSR attributes. Nothing here knows the authority or the server.

pub mod base64;
pub mod basic;
pub mod csr_attributes;
pub mod operation;
