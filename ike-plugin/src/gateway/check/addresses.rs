//! Rules about identities, addresses, and the networks behind gateways.

use super::findings::Findings;
use crate::gateway::description::{Gateway, Start};

impl Findings<'_> {
    /// The gateways must have different identities.
    pub(super) fn identities(&mut self, other: &Gateway) {
        let own = self.gateway;
        if own.id == other.id {
            self.error(
                "same-id",
                format!("it has the identity `{}`, as `{}` has", own.id, other.name),
            );
        }
    }

    /// At least one gateway must be able to initiate, and both must be reached by the same version of IP, at different addresses.
    pub(super) fn addresses(&mut self, other: &Gateway) {
        let own = self.gateway;
        match (own.address, other.address) {
            (None, None) => self.error(
                "no-address",
                format!("neither it nor `{}` has an `address`: none of them can begin", other.name),
            ),
            (None, Some(_)) if own.start == Start::Wait => self.nobody_begins(own, other),
            (Some(_), None) if other.start == Start::Wait => self.nobody_begins(other, own),
            (Some(here), Some(there)) if here == there => {
                self.error(
                    "same-address",
                    format!("it has the address {here}, as `{}` has", other.name),
                );
            }
            (Some(here), Some(there)) if here.is_ipv4() != there.is_ipv4() => {
                self.error(
                    "address-family",
                    format!(
                        "it is reached at {here}, `{}` at {there}: one is IPv4, the other IPv6",
                        other.name
                    ),
                );
            }
            _ => {}
        }
    }

    /// The networks behind the two gateways must differ.
    pub(super) fn networks(&mut self, other: &Gateway) {
        let own = self.gateway;
        for here in &own.networks {
            if other.networks.contains(here) {
                self.error(
                    "networks",
                    format!(
                        "its network {here} is behind `{}`, too: packets would not find the tunnel",
                        other.name
                    ),
                );
            } else if let Some(there) = other.networks.iter().find(|there| here.overlaps(**there)) {
                self.warning(
                    "networks",
                    format!("its network {here} overlaps with {there} behind `{}`: what is in both goes through the tunnel", other.name),
                );
            }
        }
    }

    /// Warns that the only gateway that can initiate, the one without an address, is configured to wait.
    fn nobody_begins(&mut self, one: &Gateway, other: &Gateway) {
        self.warning(
            "nobody-begins",
            format!(
                "`{0}` has no `address`, so that `{1}` cannot begin, and `{0}` waits: set another `start` for it, or initiate there by hand",
                one.name, other.name
            ),
        );
    }
}
