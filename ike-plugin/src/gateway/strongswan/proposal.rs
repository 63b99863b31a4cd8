//! Proposals in strongSwan's notation, which is that of our own configuration.

use crate::gateway::daemon::Mode;
use crate::gateway::proposal::{Encryption, Proposal};

/// The proposal for the setting `proposals` of swanctl.conf; `None` for AES-GCM in IKEv1, because that came with IKEv2.
pub fn ike(proposal: &Proposal, mode: Mode) -> Option<String> {
    (mode == Mode::Ikev2 || proposal.is_for_v1()).then(|| proposal.to_string())
}

/// The proposal for the setting `esp_proposals`, with the group of phase 1 for perfect forward secrecy.
pub fn esp(proposal: &Proposal) -> String {
    let group = proposal.group.name();
    match proposal.encryption {
        Encryption::Cbc(key) => format!("aes{key}-sha{}-{group}", proposal.hash.bits()),
        Encryption::Gcm(key) => format!("aes{key}gcm16-{group}"),
    }
}
