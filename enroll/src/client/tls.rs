//! TLS under the HTTP client. This crate does the handshake in place of the HTTP library, because EST needs the channel binding of a
//! connection (RFC 9266) before the request that goes over it can be signed.

use std::fmt;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_ca::FileKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::error::ClientError;

/// The label of the channel binding `tls-exporter` (RFC 9266 §4.2).
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// What the TLS client trusts, and who it is.
pub struct TlsTrust<'a> {
    /// The anchors for the server's certificate, DER.
    pub anchors: &'a [Vec<u8>],
    /// The client's certificate with the CA certificates above it, DER, and its key; `None` for a client without one.
    pub client: Option<(Vec<Vec<u8>>, &'a FileKey)>,
}

impl TlsTrust<'_> {
    /// The settings of TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// [`ClientError::Input`] if there is no anchor, an anchor cannot be read, or certificate and key cannot be used.
    pub(super) fn config(&self) -> Result<ClientConfig, ClientError> {
        let wrong = |what: &str, e: &dyn fmt::Display| ClientError::Input(format!("{what}: {e}"));
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(
            self.anchors.iter().map(|der| CertificateDer::from(der.as_slice())),
        );
        if added == 0 {
            return Err(ClientError::Input(format!(
                "expected the root of the server's TLS certificate, found {ignored} certificates that are no roots; name it with \
                 `--tls-trust`"
            )));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| ClientError::Internal(e.to_string()))?
            .with_root_certificates(roots);
        let Some((chain, key)) = &self.client else { return Ok(builder.with_no_client_auth()) };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.exported()?.to_vec()));
        let chain = chain.iter().cloned().map(CertificateDer::from).collect();
        let config = builder.with_client_auth_cert(chain, key);
        config.map_err(|e| wrong("the certificate cannot be used for TLS", &e))
    }
}

/// The error that leaves a connection unused: the connection is held until the request that is bound to it is made.
#[derive(Debug)]
pub struct Held;

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is held for a later request")
    }
}

impl std::error::Error for Held {}

/// The TLS connections of one client.
pub struct Gate {
    config: Arc<ClientConfig>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the next connection is held.
    holds: bool,
    /// The connection that is held.
    held: Option<Tls>,
    /// The channel binding of the connection that was held last.
    binding: Option<[u8; 32]>,
}

impl Gate {
    /// Connections with these settings.
    pub fn new(config: ClientConfig) -> Self {
        Self { config: Arc::new(config), state: Mutex::default() }
    }

    /// The next connection is held: the request for which it was made fails with [`Held`], and the request after that goes over it.
    pub fn hold(&self) {
        let mut state = self.state();
        state.held = None;
        state.binding = None;
        state.holds = true;
    }

    /// The channel binding of the connection that is held, once.
    pub fn binding(&self) -> Option<[u8; 32]> {
        self.state().binding.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate(…)")
    }
}

/// The first connector of a chain: takes the connection that is held.
#[derive(Debug)]
pub struct Taking(pub Arc<Gate>);

impl<In: Transport> Connector<In> for Taking {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        _: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let held = self.0.state().held.take();
        Ok(held.map(|tls| Box::new(tls) as Box<dyn Transport>))
    }
}

/// The last connector of a chain: does the handshake.
#[derive(Debug)]
pub struct Securing(pub Arc<Gate>);

impl<In: Transport> Connector<In> for Securing {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if transport.is_tls() || !details.needs_tls() {
            return Ok(Some(Box::new(transport)));
        }
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host);
        let name = name.map_err(|_| ureq::Error::Tls("the host is no name that TLS can verify"))?;
        let failed = |e: rustls::Error| ureq::Error::Io(std::io::Error::other(e));
        let mut connection =
            ClientConnection::new(Arc::clone(&self.0.config), name).map_err(failed)?;
        let boxed: Box<dyn Transport> = Box::new(transport);
        let mut socket = TransportAdapter::new(boxed, Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        // In TLS 1.3 a context of no octets is the same as none; in TLS 1.2 it is not, and OpenSSL gives the value without one.
        let binding = connection.export_keying_material([0; 32], LABEL, None).map_err(failed)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        let tls = Tls { buffers, stream: StreamOwned::new(connection, socket) };
        let mut state = self.0.state();
        if std::mem::take(&mut state.holds) {
            state.held = Some(tls);
            state.binding = Some(binding);
            return Err(ureq::Error::Other(Box::new(Held)));
        }
        Ok(Some(Box::new(tls)))
    }
}

/// A TLS connection.
struct Tls {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

impl Transport for Tls {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
