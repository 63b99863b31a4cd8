//! One of two gateways, with what it shows its peer.

use crate::gateway::description::Gateway;
use crate::gateway::material::Material;

/// A gateway with its certificate, and the CAs and CRLs by which it verifies.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The gateway as its operator describes it.
    pub gateway: &'a Gateway,
    /// Its certificate and what belongs to it.
    pub material: &'a Material,
}
