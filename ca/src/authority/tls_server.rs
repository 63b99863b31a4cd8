//! The certificates of TLS servers: each is a delegate of the default CA (for EST: RFC 7030 §3.3.1).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::delegate::{Appointment, Delegate, Role};
use super::responder::CertificateStatus;
use super::state::Authority;
use crate::error::{Error, Result};
use crate::name::Identity;
use crate::record::Serial;

/// The validity of the server's certificate. It is renewed when half of it has passed.
const VALIDITY: Duration = Duration::from_secs(90 * 86_400);

/// A TLS server of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsServer {
    /// The EST server.
    Est,
    /// The server of the administration API.
    Administration,
}

impl Authority {
    /// The delegate that signs as the TLS server `server`, with a certificate for `names`. The newest active key of the default CA issues
    /// the certificate. It is made at the first call, and renewed when half of its life has passed. If an administrator revoked the
    /// certificate, the delegate gets another key.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no name, or one that stands in no subjectAltName; [`Error::Unavailable`] if there is no issuing
    /// CA, it has ended, or a new certificate cannot be recorded and the old one has ended; `Denied` with
    /// [`Denial::Template`](crate::Denial::Template) if the CA may not certify such a name.
    pub fn tls_server(&self, server: TlsServer, names: &[Identity]) -> Result<Arc<Delegate>> {
        let names: Vec<_> = names
            .iter()
            .filter_map(|name| name.general_name().transpose())
            .collect::<Result<_>>()?;
        if names.is_empty() {
            return Err(Error::malformed("a TLS server has a DNS name or an address"));
        }
        let ca = self.issuing_ca(None)?;
        let (role, state) = match server {
            TlsServer::Est => (Role::EST, &ca.est_server),
            TlsServer::Administration => (Role::ADMINISTRATION, &ca.admin_server),
        };
        let role = Role { names: &names, ..role };
        let now = self.now();
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        self.renew(ca, &mut state, &role, VALIDITY, now);
        let current = state.at(now, &ca.info().name)?;
        let serial = Serial::from_integer(current.serial());
        let Some(serial) = serial else { return Ok(current) };
        let status = self.certificate_status(&ca.info().name, &serial)?;
        if !matches!(status, CertificateStatus::Revoked(_)) {
            return Ok(current);
        }
        tracing::warn!(ca = %ca.info().name, %serial, ?server, "the TLS server's certificate was revoked; it gets another key");
        ca.retire_delegate_key(&self.foundation, &role, &serial)?;
        *state = Appointment::default();
        self.renew(ca, &mut state, &role, VALIDITY, now);
        state.at(now, &ca.info().name)
    }
}
