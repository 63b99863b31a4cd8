//! EST on the wire: paths, base64, HTTP Basic, CSR attributes, and the body with a generated key. Nothing here knows the authority or the server.

pub mod base64;
pub mod basic;
pub mod csr_attributes;
pub mod multipart;
pub mod operation;
