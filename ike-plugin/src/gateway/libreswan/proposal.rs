//! Proposals in libreswan's notation.

use crate::gateway::daemon::Mode;
use crate::gateway::proposal::{Encryption, Group, Proposal};

/// The proposal for the setting `ike` of ipsec.conf; `None` for AES-GCM in IKEv1, because that came with IKEv2.
pub fn ike(proposal: &Proposal, mode: Mode) -> Option<String> {
    if mode != Mode::Ikev2 && !proposal.is_for_v1() {
        return None;
    }
    let (hash, group) = (proposal.hash.bits(), group(proposal.group));
    Some(match proposal.encryption {
        Encryption::Cbc(key) => format!("aes{key}-sha2_{hash};{group}"),
        Encryption::Gcm(key) => format!("aes_gcm{key}-sha2_{hash};{group}"),
    })
}

/// The proposal for the setting `esp`. It names no group, because pluto takes that from phase 1.
pub fn esp(proposal: &Proposal) -> String {
    match proposal.encryption {
        Encryption::Cbc(key) => format!("aes{key}-sha2_{}", proposal.hash.bits()),
        Encryption::Gcm(key) => format!("aes_gcm{key}-null"),
    }
}

fn group(group: Group) -> String {
    match group.modp() {
        Some(bits) => format!("modp{bits}"),
        None => format!("dh{}", group.number()),
    }
}
