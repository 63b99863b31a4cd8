//! The section `[admin]`: the administration API, which has a TLS listener of its own, and the roles that the operator makes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_ca::record::Label;
use serde::{Deserialize, Serialize};

use super::oidc::{self, OidcConfig, OidcFile};
use super::tls::{self, TlsListener};
use super::values::within;
use crate::exit::Failure;
use crate::roles::Roles;

/// The section `[admin]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminFile {
    /// The address and port of the TLS listener; without it there is no administration API.
    pub listen: Option<SocketAddr>,
    /// The names in the certificate that the instance issues to the server: DNS names and addresses.
    pub names: Vec<String>,
    /// The operator's own certificate chain, PEM, in place of the instance's.
    pub certificate: Option<PathBuf>,
    /// The private key of the operator's own certificate, PEM.
    pub key: Option<PathBuf>,
    /// The most connections at once.
    pub max_connections: usize,
    /// The largest body of a request, in octets.
    pub max_bytes: usize,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
    /// Roles of the operator: the names of verbs, by the name of the role.
    pub roles: BTreeMap<Label, Vec<String>>,
    /// The section `[admin.oidc]`.
    pub oidc: Option<OidcFile>,
}

impl Default for AdminFile {
    fn default() -> Self {
        Self {
            listen: None,
            names: Vec::new(),
            certificate: None,
            key: None,
            max_connections: 256,
            max_bytes: 16 << 20,
            max_concurrent: 16,
            roles: BTreeMap::new(),
            oidc: None,
        }
    }
}

/// The section `[admin]`, checked.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// The address and port of the TLS listener, and the certificate that it presents; `None` if there is no API.
    pub listener: Option<TlsListener>,
    /// The most connections at once.
    pub max_connections: usize,
    /// The largest body of a request, in octets.
    pub max_bytes: usize,
    /// The most requests that are worked on at once.
    pub max_concurrent: usize,
    /// The built-in roles and those of the section.
    pub roles: Roles,
    /// The OpenID provider; `None` if nobody logs in by one.
    pub oidc: Option<OidcConfig>,
}

/// Checks every value. `public_url` is `http.public_url`, whose host names the server if the section names none.
///
/// # Errors
/// A value is out of bounds, a name or a role is invalid, or certificate and key are not both set.
pub fn check(file: &AdminFile, public_url: Option<&str>) -> Result<AdminConfig, Failure> {
    within("admin.max_connections", file.max_connections, 1, 100_000)?;
    within("admin.max_bytes", file.max_bytes, 4 << 10, 64 << 20)?;
    within("admin.max_concurrent", file.max_concurrent, 1, 1000)?;
    let listener = tls::check(&tls::TlsFile {
        section: "admin",
        listen: file.listen,
        names: &file.names,
        certificate: file.certificate.as_ref(),
        key: file.key.as_ref(),
        public_url,
    })?;
    let roles = Roles::new(&file.roles)?;
    let oidc = file.oidc.as_ref();
    let oidc = oidc.map(|oidc| oidc::check(oidc, listener.as_ref(), &file.names, &roles));
    Ok(AdminConfig {
        oidc: oidc.transpose()?,
        listener,
        max_connections: file.max_connections,
        max_bytes: file.max_bytes,
        max_concurrent: file.max_concurrent,
        roles,
    })
}
