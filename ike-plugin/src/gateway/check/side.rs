//! One of the two gateways that are checked with each other.

use crate::gateway::description::Gateway;
use crate::gateway::material::Material;

/// A gateway, with its certificate and the CAs and CRLs by which it verifies its peer.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The operator's description.
    pub gateway: &'a Gateway,
    /// The certificate, CAs and CRLs.
    pub material: &'a Material,
}
