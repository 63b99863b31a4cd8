//! Writes `isakmpd.policy`, isakmpd's policy in KeyNote: which peers may have which tunnels.

use std::fmt::Write;

use countersign_ca::Identity;
use countersign_ca::key::KeyKind;
use countersign_policy::ipsec::DistinguishedName;
use zeroize::Zeroizing;

use crate::gateway::authentication::Authentication;
use crate::gateway::error::GatewayError;
use crate::gateway::export::{Export, NetworkPair};
use crate::gateway::facts::Facts;
use crate::gateway::material::NamedCa;
use crate::gateway::network::Network;
use crate::gateway::proposal::{Classic, Proposal};

/// A CA as a licensee in KeyNote; `None` if its key is not RSA, because isakmpd accepts no other.
fn licensee(ca: &NamedCa) -> Result<Option<String>, GatewayError> {
    let facts = Facts::of(&ca.der)?;
    if !matches!(facts.key, KeyKind::Rsa(_)) {
        return Ok(None);
    }
    let name = DistinguishedName::from_der(&facts.subject_der).map_err(|e| {
        GatewayError::new(format!("the name of the CA `{}` cannot be written: {e}", ca.name))
    })?;
    Ok(Some(format!("DN:{}", name.one_line())))
}

/// The text of the policy. Its licensees are the issuer of the gateway's certificate and the CAs beside it that have RSA keys, or the SHA-1
/// over the pre-shared key.
pub fn policy(export: &Export<'_>) -> Result<Zeroizing<String>, GatewayError> {
    let mut text = Zeroizing::new(String::from(
        "KeyNote-Version: 2\nComment: written by `countersign export`; changes belong into countersign.toml\nAuthorizer: \"POLICY\"\n",
    ));
    let licensees = match export.authentication {
        Authentication::PreSharedKey(secret) => {
            let digest = <sha1::Sha1 as sha1::Digest>::digest(secret.as_bytes());
            vec![format!("passphrase-sha1-hex:{}", data_encoding::HEXLOWER.encode(&digest))]
        }
        Authentication::Certificate(certified) => {
            let issuer = certified
                .material
                .issuer()
                .ok_or_else(|| GatewayError::new("the certificate has no issuer here"))?;
            let facts = Facts::of(&issuer.der)?;
            if !matches!(facts.key, KeyKind::Rsa(_)) {
                return Err(GatewayError::new(format!(
                    "expected an RSA key of the CA `{}`: isakmpd believes the certificates of no other CA, found {}; found an issuing CA with `countersign init --algorithm rsa3072`",
                    issuer.name, facts.key
                )));
            }
            let licensees = certified.material.issuers().into_iter().map(licensee);
            licensees.filter_map(Result::transpose).collect::<Result<_, _>>()?
        }
    };
    let licensees: Vec<String> =
        licensees.iter().map(|licensee| format!("\"{}\"", quoted(licensee))).collect();
    let _ = writeln!(text, "Licensees: {}", licensees.join(" || "));
    // The policy must name the networks: as responder, isakmpd does not compare a proposal with the networks in its own configuration.
    let peers = export.peers.iter().map(|peer| {
        let networks: Vec<String> = export.pairs(peer)?.into_iter().map(filters).collect();
        Ok(format!(
            "({} &&\n              ({}))",
            remote(&peer.id)?,
            networks.join(" ||\n               ")
        ))
    });
    let peers = peers.collect::<Result<Vec<_>, GatewayError>>()?;
    let _ = writeln!(
        text,
        "Conditions: app_domain == \"IPsec policy\" && esp_present == \"yes\" && pfs == \"yes\" &&\n            \
         esp_encapsulation ~= \"tunnel$\" && phase_1 == \"{}\" &&\n            ({}) &&\n            ({}) &&\n            ({}) -> \"true\";",
        export.own.mode.name(),
        any_of(export, |proposal, _| {
            format!("phase1_group_desc == \"{}\"", proposal.group.number())
        }),
        any_of(export, |proposal, Classic { key, hash, .. }| format!(
            "(esp_enc_alg == \"aes\" && esp_key_length == \"{key}\" && esp_auth_alg == \"hmac-sha2-{hash}\" && esp_group_desc == \"{}\")",
            proposal.group.number()
        )),
        peers.join(" ||\n             ")
    );
    Ok(text)
}

/// The condition for each of the proposals, joined by "or". As responder, isakmpd accepts every transform for the traffic that its policy
/// allows, even if its configuration does not have it.
fn any_of(export: &Export<'_>, condition: impl Fn(&Proposal, Classic) -> String) -> String {
    let each = export.own.proposals.iter();
    let each = each.filter_map(|proposal| Some(condition(proposal, proposal.classic()?)));
    let mut all: Vec<String> = Vec::new();
    for one in each {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all.join(" ||\n             ")
}

/// The condition for the networks of a tunnel. isakmpd gives a network to the policy as a range, or as a single address if the ID payload is an
/// address.
fn filters(NetworkPair { here, there }: NetworkPair) -> String {
    let is = |name: &str, network: Network| {
        let [first, last] =
            [network.address(), network.last()].map(countersign_policy::ipsec::address::Padded);
        let range = format!("{name} == \"{first}-{last}\"");
        if network.is_host() { format!("({name} == \"{first}\" || {range})") } else { range }
    };
    format!("({} && {})", is("local_filter", here), is("remote_filter", there))
}

/// The condition for the peer's identity in phase 1.
fn remote(id: &Identity) -> Result<String, GatewayError> {
    let (kind, value) = match id {
        Identity::Fqdn(name) => ("FQDN", name.clone()),
        Identity::Email(held) => ("User FQDN", held.clone()),
        Identity::Ip(address) => {
            let kind = if address.is_ipv4() { "IPv4 address" } else { "IPv6 address" };
            (kind, countersign_policy::ipsec::address::Padded(*address).to_string())
        }
        Identity::Dn(_) => return Err(no_dn(id)),
    };
    Ok(format!("remote_id_type == \"{kind}\" && remote_id == \"{}\"", quoted(&value)))
}

/// Escapes a value for a string of KeyNote.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The error for an identity that neither the configuration nor the policy of isakmpd can express.
pub fn no_dn(id: &Identity) -> GatewayError {
    GatewayError::new(format!(
        "the configuration of isakmpd cannot hold the identity `{id}`: a name in the DNS, a mailbox or an address is expected"
    ))
}
