//! Proposals in iked's notation.

use crate::gateway::proposal::{Encryption, Proposal};

/// The `ikesa` part of a policy in iked.conf; `None` for AES-GCM with 192 bits, which iked does not have in phase 1.
pub fn ikesa(proposal: &Proposal) -> Option<String> {
    let (hash, group) = (proposal.hash.bits(), proposal.group.name());
    match proposal.encryption {
        Encryption::Cbc(key) => Some(format!(
            "ikesa enc aes-{key} prf hmac-sha2-{hash} auth hmac-sha2-{hash} group {group}"
        )),
        Encryption::Gcm(192) => None,
        Encryption::Gcm(key) => {
            Some(format!("ikesa enc aes-{key}-gcm prf hmac-sha2-{hash} group {group}"))
        }
    }
}

/// The `childsa` part of a policy in iked.conf, with the group of phase 1 for perfect forward secrecy.
pub fn childsa(proposal: &Proposal) -> String {
    let group = proposal.group.name();
    match proposal.encryption {
        Encryption::Cbc(key) => {
            format!("childsa enc aes-{key} auth hmac-sha2-{} group {group}", proposal.hash.bits())
        }
        Encryption::Gcm(key) => format!("childsa enc aes-{key}-gcm group {group}"),
    }
}
