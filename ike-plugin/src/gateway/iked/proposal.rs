//! Proposals in iked's notation.

use crate::gateway::proposal::{Encryption, Proposal};

/// `ikesa`; iked has no AES-GCM with 192 bits in phase 1.
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

/// `childsa`.
pub fn childsa(proposal: &Proposal) -> String {
    let group = proposal.group.name();
    match proposal.encryption {
        Encryption::Cbc(key) => {
            format!("childsa enc aes-{key} auth hmac-sha2-{} group {group}", proposal.hash.bits())
        }
        Encryption::Gcm(key) => format!("childsa enc aes-{key}-gcm group {group}"),
    }
}
