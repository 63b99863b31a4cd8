//! Whose peers pluto takes, as `rightca` says it.

use countersign_ca::Identity;

use crate::gateway::authentication::Certified;
use crate::gateway::description::Gateway;
use crate::gateway::error::GatewayError;
use crate::gateway::export::Export;
use crate::gateway::material::{Material, NamedCa};
use crate::gateway::text::plain_dn;

/// Whose peers pluto takes. Whoever is not named must be below its own root: the database may hold other roots besides those of today.
pub fn peers_ca(export: &Export<'_>, peer: Option<&Gateway>) -> Result<String, GatewayError> {
    let Some(Certified { material, .. }) = export.certified() else { return Ok(SAME.to_owned()) };
    match (peer, material.own_root()) {
        (None, Some(root)) => by_name(root),
        _ => common_ca(material),
    }
}

/// What somebody should know of the folder that was written.
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

/// Peers of the very CA that issued its own certificate, by its name.
const SAME: &str = "%same";

/// Whether pluto takes peers of the CA alone that certified its gateway.
pub fn is_bound_to_issuer(material: &Material) -> Result<bool, GatewayError> {
    Ok(common_ca(material)? == SAME)
}

/// What stands above all peers that pluto takes: the root, whichever CA or key of a CA certified them, as it goes up from a peer's
/// issuer by names. Several roots have no common name: which count, says the database.
fn common_ca(material: &Material) -> Result<String, GatewayError> {
    let [root] = material.roots.as_slice() else { return Ok("%any".to_owned()) };
    by_name(root)
}

/// A root, as `rightca` names it.
fn by_name(root: &NamedCa) -> Result<String, GatewayError> {
    let subject = countersign_ca::certificate::Facts::of(&root.der)
        .map_err(|e| GatewayError::new(format!("a root cannot be read: {e}")))?
        .subject;
    // What its configuration cannot hold, it finds by the own certificate.
    Ok(plain_dn("libreswan", &Identity::Dn(subject))
        .map_or_else(|_| SAME.to_owned(), |parts| format!("\"{}\"", parts.join(", "))))
}
