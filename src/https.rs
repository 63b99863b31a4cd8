//! Requests to servers of others: over our rustls and ring, bounded in time, without redirections and proxies.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, ClientCert, RootCerts, TlsConfig, TlsProvider};
use ureq::typestate::AgentScope;

/// The configuration of an agent that trusts these roots alone, and waits so long for a whole answer. A redirection or an error is an answer
/// like others. Redirections would carry secrets to another place.
pub fn guarded(
    roots: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
    patience: Duration,
) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::from(roots))
        .client_cert(client)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(patience))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
}

/// The roots of the operating system.
pub fn system_roots() -> Vec<Certificate<'static>> {
    let all = rustls_native_certs::load_native_certs().certs;
    all.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
}
