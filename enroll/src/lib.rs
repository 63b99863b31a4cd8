//! How a peer asks for a certificate.
