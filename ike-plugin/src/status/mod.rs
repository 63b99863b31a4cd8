//! Whether a certificate is revoked.

pub mod crl;
