//! The facts about a TLS connection by which its requests are judged.

use std::sync::Arc;

/// A client's TLS connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The certificate that the client presented; `None` if it presented none.
    pub certificate: Option<ClientCertificate>,
    /// The values of the channel binding `tls-exporter` (RFC 9266), for each way to compute it.
    pub bindings: Vec<[u8; 32]>,
}

/// The certificate that a client presented in the handshake. Nothing was verified beyond what the variant says.
#[derive(Debug, Clone)]
pub enum ClientCertificate {
    /// The client has the private key. The client's certificate is the first, DER; the others may complete its path.
    Proven(Arc<Vec<Vec<u8>>>),
    /// The certificate cannot be read, or its key is of no supported kind, for this reason. Nothing was proven.
    Unreadable(String),
}
