//! The CAs whose peers pluto accepts: the value of `rightca` in ipsec.conf.

use countersign_ca::Identity;

use crate::gateway::authentication::Certified;
use crate::gateway::description::Gateway;
use crate::gateway::error::GatewayError;
use crate::gateway::export::Export;
use crate::gateway::material::{Material, NamedCa};
use crate::gateway::text::plain_dn;

/// The value of `rightca` for a peer, or for all peers if none is named. Unnamed peers must be below the gateway's own root, because the database
/// may still contain roots of earlier exports.
pub fn peers_ca(export: &Export<'_>, peer: Option<&Gateway>) -> Result<String, GatewayError> {
    let Some(Certified { material, .. }) = export.certified() else { return Ok(SAME.to_owned()) };
    match (peer, material.own_root()) {
        (None, Some(root)) => by_name(root),
        _ => common_ca(material),
    }
}

/// A warning for the operator if the gateway trusts several roots and names no peers.
pub fn warnings(export: &Export<'_>) -> Vec<String> {
    let Some(Certified { material, .. }) = export.certified() else { return Vec::new() };
    if !export.peers.is_empty() || material.roots.len() < 2 {
        return Vec::new();
    }
    let takes = match material.own_root() {
        Some(root) => format!("of its own root `{}` only", root.name),
        None => "of each of them, and of whatever other root its database holds".to_owned(),
    };
    let roots: Vec<String> = material.roots.iter().map(|root| format!("`{}`", root.name)).collect();
    vec![format!(
        "libreswan on `{}` trusts several roots ({}), and without `--peer` takes peers {takes}: name each other one by `--peer`",
        export.own.name,
        roots.join(", ")
    )]
}

/// The value of `rightca` for peers whose certificates have the same issuer name as the gateway's own.
const SAME: &str = "%same";

/// Whether the exported `rightca` is `%same` because there is one root whose name cannot be written in ipsec.conf: pluto then accepts only
/// peers whose certificates have the same issuer name as the gateway's own.
pub fn is_bound_to_issuer(material: &Material) -> Result<bool, GatewayError> {
    Ok(common_ca(material)? == SAME)
}

/// The value of `rightca` that fits all peers: the root above them, because pluto follows a peer's chain upwards by names. If there are
/// several roots, no name fits all peers, and the trust marks in the database decide.
fn common_ca(material: &Material) -> Result<String, GatewayError> {
    let [root] = material.roots.as_slice() else { return Ok("%any".to_owned()) };
    by_name(root)
}

/// A root in the notation of `rightca`.
fn by_name(root: &NamedCa) -> Result<String, GatewayError> {
    let subject = countersign_ca::x509::Facts::of(&root.der)
        .map_err(|e| GatewayError::new(format!("a root cannot be read: {e}")))?
        .subject;
    // A name that the configuration cannot express is replaced by a reference to the gateway's own certificate.
    Ok(plain_dn("libreswan", &Identity::Dn(subject))
        .map_or_else(|_| SAME.to_owned(), |parts| format!("\"{}\"", parts.join(", "))))
}
