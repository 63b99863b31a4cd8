//! The credentials of OpenBSD's daemons, iked and isakmpd, which read the same folders below `/etc/iked` and `/etc/isakmpd`.

use super::authentication::Certified;
use super::error::GatewayError;
use super::export::CredentialPaths;
use super::files::Files;

/// The private key of the gateway.
const KEY: &str = "private/local.key";

/// The paths of the certificate and the key of a gateway of this name.
pub fn paths(name: &str) -> CredentialPaths {
    CredentialPaths { certificate: format!("certs/{name}.crt"), key: KEY.to_owned() }
}

/// Writes certificate, CRLs and key. The CAs are for the caller, because the daemons read them differently.
pub fn credentials(
    files: &mut Files,
    name: &str,
    Certified { material, key }: &Certified<'_>,
) -> Result<(), GatewayError> {
    files.add(paths(name).certificate, material.pem()?);
    for crl in &material.crls {
        files.add(format!("crls/{}.crl", crl.ca), crl.pem()?);
    }
    if let Some(key) = key {
        files.add_secret(KEY, key.pem().as_bytes());
    }
    Ok(())
}
