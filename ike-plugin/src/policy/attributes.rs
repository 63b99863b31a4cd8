//! Translates a daemon's question into action attribute sets for the policy (`isakmpd.policy(5)`). Phase 1 gives one set; phase 2 gives one
//! for each pair of a local and a remote traffic selector.

use std::net::IpAddr;

use countersign_policy::AttributeSet;
use countersign_policy::ipsec::{
    AddressRange, Aead, Ah, Cipher, Comp, Encapsulation, Esp, EspAlgorithms, Exchange, Identity,
    Integrity, Moment, Phase1, Phase2, Proposal, Selector, Subnet, Terms,
};

use crate::identity::{PeerId, prefix_length};
use crate::wire::{
    Child, ChildMode, ChildProposal, MAX_SELECTORS, Mode, Protocol, Question, Role, TrafficSelector,
};

/// The attribute sets to ask the policy about. The policy must allow every one of them.
///
/// # Errors
/// `ike` and `mode` contradict each other, a side has no traffic selector or too many, or the question has something that the policy's
/// vocabulary cannot express. The text says what.
pub fn attributes(
    question: &Question,
    peer: &PeerId,
    moment: Moment,
) -> Result<Vec<AttributeSet>, String> {
    let phase1 = phase1(question, peer, moment)?;
    let Some(child) = &question.child else {
        return Ok(vec![phase1.attributes().map_err(|e| e.to_string())?]);
    };
    let proposal = proposal(child)?;
    let (local, remote) = (selectors("local", &child.local)?, selectors("remote", &child.remote)?);
    let mut all = Vec::with_capacity(local.len().saturating_mul(remote.len()));
    for local in &local {
        for remote in &remote {
            let asked = Phase2 {
                phase1: phase1.clone(),
                initiator: child.role == Role::Initiator,
                pfs: child.group.is_some(),
                proposal,
                remote: Some(remote.clone()),
                local: Some(local.clone()),
            };
            all.push(asked.attributes().map_err(|e| e.to_string())?);
        }
    }
    Ok(all)
}

fn phase1(question: &Question, peer: &PeerId, moment: Moment) -> Result<Phase1, String> {
    let exchange = match (question.ike, question.mode) {
        (1, Mode::Main) => Exchange::Main,
        (1, Mode::Aggressive) => Exchange::Aggressive,
        (2, Mode::IkeSa) => Exchange::Ikev2,
        (version, mode) => {
            return Err(format!(
                "expected `ike` 1 with `mode` main or aggressive, or 2 with ike_sa, found {version} with {mode:?}"
            ));
        }
    };
    Ok(Phase1 {
        exchange,
        group: question.proposal.group,
        initiator: question.role == Role::Initiator,
        identity: Selector { identity: peer.for_policy(), port: 0, protocol: 0 },
        remote_address: question.remote.address,
        local_address: question.local.address,
        moment,
    })
}

fn selectors(side: &str, of: &[TrafficSelector]) -> Result<Vec<Selector>, String> {
    if of.is_empty() || of.len() > MAX_SELECTORS {
        return Err(format!(
            "expected 1 to {MAX_SELECTORS} {side} traffic selectors, found {}",
            of.len()
        ));
    }
    of.iter().map(selector).collect()
}

fn selector(of: &TrafficSelector) -> Result<Selector, String> {
    let port = match (of.from_port, of.to_port) {
        (0, u16::MAX) => 0,
        // RFC 7296 §3.13.1: 65535 to 0 means OPAQUE, which the vocabulary cannot express.
        (u16::MAX, 0) => return Err("expected ports, found `opaque`".into()),
        (from, to) if from == to => from,
        (from, to) => {
            return Err(format!(
                "expected one port or all, found {from} to {to}: the policy's vocabulary has no range of ports; narrow the \
                 selector"
            ));
        }
    };
    let range = AddressRange::new(of.from, of.to).map_err(|e| e.to_string())?;
    let identity = match prefix_length(of.from, of.to) {
        Some(length) if of.from == of.to || length == full(of.from) => Identity::Address(of.from),
        Some(length) => Identity::Subnet(Subnet::new(of.from, length).map_err(|e| e.to_string())?),
        None => Identity::Range(range),
    };
    Ok(Selector { identity, port, protocol: of.protocol })
}

fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn proposal(child: &Child) -> Result<Proposal, String> {
    let of = &child.proposal;
    let terms = Terms {
        life_seconds: of.life_seconds,
        life_kbytes: of.life_kbytes,
        encapsulation: Some(match child.mode {
            ChildMode::Tunnel => Encapsulation::Tunnel,
            ChildMode::Transport => Encapsulation::Transport,
        }),
        ecn: false,
        group: child.group,
    };
    let ipcomp = of.ipcomp.then_some(Comp {
        algorithm: None,
        dictionary: None,
        private_algorithm: None,
        terms,
    });
    let (esp, ah) = match of.protocol {
        Protocol::Esp => {
            let esp = Esp {
                algorithms: algorithms(of)?,
                key_length: of.key_length,
                key_rounds: None,
                terms,
            };
            (Some(esp), None)
        }
        Protocol::Ah => {
            let integrity = integrity(of.integrity)?
                .ok_or("expected an integrity algorithm for AH, found none")?;
            let ah = Ah {
                hash: integrity.ah_hash(),
                integrity: Some(integrity),
                key_length: of.key_length,
                key_rounds: None,
                terms,
            };
            (None, Some(ah))
        }
    };
    Ok(Proposal { esp, ah, ipcomp })
}

/// The algorithms of ESP, from transforms of type 1 (encryption) and type 3 (integrity), by their numbers in the IANA registry "Internet Key
/// Exchange Version 2 (IKEv2) Parameters".
fn algorithms(of: &ChildProposal) -> Result<EspAlgorithms, String> {
    let cipher = match of.encryption {
        Some(1) => Cipher::DesIv64,
        Some(2) => Cipher::Des,
        Some(3) => Cipher::TripleDes,
        Some(4) => Cipher::Rc5,
        Some(5) => Cipher::Idea,
        Some(6) => Cipher::Cast,
        Some(7) => Cipher::Blowfish,
        Some(8) => Cipher::TripleIdea,
        Some(9) => Cipher::DesIv32,
        Some(11) => Cipher::Null,
        Some(12) => Cipher::Aes,
        Some(13) => Cipher::AesCtr,
        Some(23) => Cipher::Camellia,
        other => {
            let combined = match other {
                Some(14) => Aead::AesCcm8,
                Some(15) => Aead::AesCcm12,
                Some(16) => Aead::AesCcm16,
                Some(18) => Aead::AesGcm8,
                Some(19) => Aead::AesGcm12,
                Some(20) => Aead::AesGcm16,
                Some(21) => Aead::AesGmac,
                Some(28) => Aead::ChaCha20Poly1305,
                Some(other) => {
                    return Err(format!(
                        "encryption algorithm {other} has no name in the policy's vocabulary"
                    ));
                }
                None => return Err("expected an encryption algorithm for ESP, found none".into()),
            };
            return Ok(EspAlgorithms::Combined(combined));
        }
    };
    Ok(EspAlgorithms::Separate(cipher, integrity(of.integrity)?))
}

/// The integrity algorithm by its number as a transform of type 3; `None` for NONE and for a missing one.
fn integrity(number: Option<u16>) -> Result<Option<Integrity>, String> {
    Ok(Some(match number {
        None | Some(0) => return Ok(None),
        Some(1 | 6) => Integrity::HmacMd5,
        Some(2 | 7) => Integrity::HmacSha,
        Some(3) => Integrity::DesMac,
        Some(4) => Integrity::Kpdk,
        Some(5) => Integrity::AesXcbc,
        Some(8) => Integrity::AesCmac,
        Some(9..=11) => Integrity::AesGmac,
        Some(12) => Integrity::HmacSha256,
        Some(13) => Integrity::HmacSha384,
        Some(14) => Integrity::HmacSha512,
        Some(other) => {
            return Err(format!(
                "integrity algorithm {other} has no name in the policy's vocabulary"
            ));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_policy::ipsec::CivilTime;
    use serde_json::{Value, json};

    fn question(child: Value) -> Question {
        serde_json::from_value(json!({
            "v": 1, "daemon": "charon", "ike": 2, "mode": "ike_sa", "role": "responder",
            "local": {"address": "192.0.2.1", "id": {"type": 2, "data": "Z3cx"}},
            "remote": {"address": "192.0.2.2", "port": 4500, "id": {"type": 2, "data": "Z3cyLmV4YW1wbGU="}},
            "proposal": {"group": 19}, "child": child,
        }))
        .unwrap()
    }

    fn ask(question: &Question) -> Result<Vec<AttributeSet>, String> {
        let peer = PeerId::read(&question.remote.id).unwrap();
        let time = CivilTime::new((2026, 7, 1), (12, 0, 0)).unwrap();
        attributes(question, &peer, Moment { utc: time, local: time })
    }

    fn is(set: &AttributeSet, name: &str, value: &str) {
        assert_eq!(set.value(name), Some(value.as_bytes()), "{name}");
    }

    #[test]
    fn phase_1_is_one_question() {
        let all = ask(&question(Value::Null)).unwrap();
        assert_eq!(all.len(), 1);
        let wanted = [
            ("phase_1", "ikev2"),
            ("phase1_group_desc", "19"),
            ("remote_id", "gw2.example"),
            ("remote_id_type", "FQDN"),
            ("remote_ike_address", "192.000.002.002"),
            ("esp_present", "no"),
            ("initiator", "no"),
            ("GMTTimeOfDay", "20260701120000"),
        ];
        wanted.into_iter().for_each(|(name, value)| is(&all[0], name, value));
    }

    fn child(proposal: Value, remote: Value) -> Value {
        let any = json!([{"from": "10.1.0.0", "to": "10.1.255.255"}, {"from": "10.3.0.1", "to": "10.3.0.1"}]);
        json!({"role": "initiator", "local": any, "remote": remote, "mode": "tunnel", "group": 20, "proposal": proposal})
    }

    #[test]
    fn each_pair_of_selectors_is_one_question() {
        let esp = json!({"protocol": "esp", "encryption": 12, "key_length": 256, "integrity": 12, "life_seconds": 3600});
        let remote = json!([
            {"from": "10.2.0.0", "to": "10.2.0.9", "protocol": 6, "from_port": 443, "to_port": 443},
            {"from": "2001:db8::", "to": "2001:db8::ffff"},
        ]);
        let all = ask(&question(child(esp, remote))).unwrap();
        assert_eq!(all.len(), 4);
        let wanted = [
            ("esp_present", "yes"),
            ("ah_present", "no"),
            ("esp_enc_alg", "aes"),
            ("esp_auth_alg", "hmac-sha2-256"),
            ("esp_key_length", "256"),
            ("esp_life_seconds", "3600"),
            ("esp_group_desc", "20"),
            ("esp_encapsulation", "tunnel"),
            ("pfs", "yes"),
            ("initiator", "yes"),
            ("local_filter_type", "IPv4 subnet"),
            ("remote_filter_type", "IPv4 range"),
            ("remote_filter_addr_upper", "010.002.000.009"),
            ("remote_filter_port", "443"),
            ("remote_filter_proto", "tcp"),
        ];
        wanted.into_iter().for_each(|(name, value)| is(&all[0], name, value));
        is(&all[3], "local_filter_type", "IPv4 address");
        is(&all[3], "remote_filter_type", "IPv6 subnet");
    }

    #[test]
    fn what_the_vocabulary_cannot_say_is_refused() {
        let net = || json!([{"from": "10.2.0.0", "to": "10.2.0.9"}]);
        let esp = || json!({"protocol": "esp", "encryption": 20, "key_length": 256});
        let refused = |child: Value| ask(&question(child)).unwrap_err();
        let mut ports = child(esp(), net());
        ports["remote"][0]["from_port"] = json!(1000);
        assert!(refused(ports).contains("1000 to 65535"));
        assert!(
            refused(child(json!({"protocol": "esp", "encryption": 1027}), net())).contains("1027")
        );
        assert!(refused(child(json!({"protocol": "ah"}), net())).contains("for AH"));
        assert!(refused(child(esp(), json!([]))).contains("found 0"));
        let many: Vec<Value> = vec![net()[0].clone(); 17];
        assert!(refused(child(esp(), json!(many))).contains("found 17"));
        let mut mixed = question(Value::Null);
        mixed.ike = 1;
        assert!(ask(&mixed).unwrap_err().contains("expected `ike` 1"));
    }
}
