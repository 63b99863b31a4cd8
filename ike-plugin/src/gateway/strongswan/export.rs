//! Writes the files of strongSwan: those below `/etc/swanctl`, and the settings of the plugin.

use std::fmt::Write;

use countersign_ca::Identity;

use super::abilities::ABILITIES;
use super::proposal;
use crate::gateway::authentication::Certified;
use crate::gateway::daemon::Mode;
use crate::gateway::description::{Gateway, Revocation, Start};
use crate::gateway::error::GatewayError;
use crate::gateway::export::{CredentialPaths, Export, Writer};
use crate::gateway::files::Files;
use crate::gateway::network::Network;
use crate::gateway::text::heading;

/// The settings of charon's plugin: a copy of the file that comes with the plugin.
const PLUGIN: &str = include_str!("../../../charon/countersign.conf");

/// The commands by which charon uses a new CRL. It prefers OCSP and caches an answer until its nextUpdate, so that the answers must be flushed,
/// too.
const NEW_CRL: [&str; 3] = [
    "swanctl --flush-certs --type x509_crl",
    "swanctl --flush-certs --type ocsp_response",
    "swanctl --load-creds",
];

/// The folders that `swanctl` reads. It prints a warning for each that is missing.
const FOLDERS: &[&str] = &[
    "x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa",
    "ecdsa", "bliss", "pkcs8", "pkcs12",
];

/// How strongSwan's files are written.
pub const WRITER: Writer = Writer {
    title: TITLE,
    folders: FOLDERS,
    configuration,
    credentials,
    readme,
    paths,
    warnings: |_| Vec::new(),
};

const TITLE: &str = "strongSwan";

fn configuration(export: &Export<'_>, files: &mut Files) -> Result<(), GatewayError> {
    files.add_secret("swanctl.conf", swanctl(export)?.as_bytes());
    if export.own.authorizer {
        files.add("countersign.conf", PLUGIN);
    }
    Ok(())
}

fn paths(name: &str) -> CredentialPaths {
    CredentialPaths { certificate: format!("x509/{name}.pem"), key: format!("private/{name}.pem") }
}

/// Writes certificate, CAs, CRLs and key.
fn credentials(
    files: &mut Files,
    name: &str,
    Certified { material, key }: &Certified<'_>,
) -> Result<(), GatewayError> {
    files.add(format!("x509/{name}.pem"), material.pem()?);
    for ca in material.cas() {
        files.add(format!("x509ca/{}.pem", ca.name), ca.pem()?);
    }
    for crl in &material.crls {
        files.add(format!("x509crl/{}.pem", crl.ca), crl.pem()?);
    }
    if let Some(key) = key {
        files.add_secret(format!("private/{name}.pem"), key.pem().as_bytes());
    }
    Ok(())
}

fn readme(export: &Export<'_>, text: &mut String) {
    let name = &export.own.name;
    text.push_str("\nCopy the folders to /etc/swanctl, and swanctl.conf to /etc/swanctl/conf.d, under a name of its own; run `swanctl --load-all`.\n");
    if export.lacks_key() {
        let _ = writeln!(
            text,
            "The private key is not here: put it into private/{name}.pem, readable by root only."
        );
    }
    if export.own.authorizer {
        text.push_str(
            "countersign.conf belongs into /etc/strongswan.d/charon/, and the plugin must be installed: docs/authorizer.md.\n",
        );
    }
    text.push_str(
        "\nThe CRLs here are those of the moment. charon fetches newer ones and OCSP answers from where the certificates say, and keeps \
         each until it ends. If the certificates say nothing, export again before the CRLs end. Where a revocation has to count at once, \
         export again, copy the CRLs, and run all three:\n\n",
    );
    for command in NEW_CRL {
        let _ = writeln!(text, "    {command}");
    }
    text.push_str(
        "\nThe types are as they stand here: with another `--type`, swanctl says nothing and flushes nothing. SAs that are up stay up: \
         `swanctl --terminate --ike NAME` ends one.\n",
    );
}

fn swanctl(export: &Export<'_>) -> Result<String, GatewayError> {
    let own = export.own;
    if own.mode == Mode::Aggressive && export.authentication.secret().is_some() {
        return Err(GatewayError::new(format!(
            "strongSwan on `{}` refuses a pre-shared key in aggressive mode, which shows whoever listens enough to guess the key; set \
             `mode = \"main\"`, or use certificates",
            own.name
        )));
    }
    let mut text = heading("#", &own.name, TITLE);
    text.push_str("\nconnections {\n");
    if export.peers.is_empty() {
        connection(&mut text, export, "peers", None)?;
    }
    for peer in export.peers {
        connection(&mut text, export, &peer.name, Some(peer))?;
    }
    text.push_str("}\n");
    if let Some(secret) = export.authentication.secret() {
        text.push_str("\nsecrets {\n");
        for (number, peer) in export.peers.iter().enumerate() {
            let _ = writeln!(
                text,
                "    ike-{} {{\n        id-own = {}\n        id-{number} = {}\n        secret = \"{secret}\"\n    }}",
                peer.name,
                id(&own.id)?,
                id(&peer.id)?
            );
        }
        text.push_str("}\n");
    }
    Ok(text)
}

fn connection(
    text: &mut String,
    export: &Export<'_>,
    name: &str,
    peer: Option<&Gateway>,
) -> Result<(), GatewayError> {
    let own = export.own;
    let any = || "%any".to_owned();
    let _ = writeln!(text, "    {name} {{");
    let _ = writeln!(text, "        version = {}", if own.mode == Mode::Ikev2 { 2 } else { 1 });
    if own.mode == Mode::Aggressive {
        text.push_str("        aggressive = yes\n");
    }
    if let Some(address) = own.bound_to() {
        let _ = writeln!(text, "        local_addrs = {address}");
    }
    let remote = peer.and_then(|peer| peer.address).map_or_else(any, |address| address.to_string());
    let _ = writeln!(text, "        remote_addrs = {remote}");
    let proposals = export.phase_1(&ABILITIES)?;
    let _ = writeln!(text, "        proposals = {}", proposals.join(","));
    text.push_str("        dpd_delay = 30s\n        send_cert = always\n");
    if peer.is_some_and(|peer| export.keeps_silent_when_asked(peer)) {
        text.push_str("        send_certreq = no\n");
    }
    if own.start == Start::AtOnce {
        // A tunnel that must always be up is retried without end.
        text.push_str("        keyingtries = 0\n");
    }
    let (auth, remote_id) = match peer {
        _ if export.authentication.secret().is_none() => {
            ("pubkey", peer.map_or_else(|| Ok(any()), |peer| id(&peer.id))?)
        }
        Some(peer) => ("psk", id(&peer.id)?),
        None => {
            return Err(GatewayError::new(
                "expected `--peer` with a pre-shared key: it is a secret of two gateways",
            ));
        }
    };
    let _ = writeln!(text, "        local {{\n            auth = {auth}");
    if export.authentication.secret().is_none() {
        let _ = writeln!(text, "            certs = {}.pem", own.name);
    }
    let _ = writeln!(text, "            id = {}\n        }}", id(&own.id)?);
    let _ = writeln!(
        text,
        "        remote {{\n            auth = {auth}\n            id = {remote_id}"
    );
    if export.authentication.secret().is_none() {
        let revocation = match own.revocation {
            Revocation::Strict => "strict",
            Revocation::IfPresent => "relaxed",
        };
        let _ = writeln!(text, "            revocation = {revocation}");
    }
    text.push_str("        }\n        children {\n");
    for child in children(export, peer)? {
        traffic(text, export, peer, &child);
    }
    text.push_str("        }\n    }\n");
    Ok(())
}

/// A CHILD_SA and the networks of its traffic. If a side has no networks, strongSwan uses the address of that end.
struct Child {
    name: String,
    here: Vec<Network>,
    there: Vec<Network>,
}

/// The CHILD_SAs of a connection. In IKEv1, quick mode negotiates one pair of networks, so that each pair becomes a CHILD_SA.
fn children(export: &Export<'_>, peer: Option<&Gateway>) -> Result<Vec<Child>, GatewayError> {
    let own = export.own;
    let there = peer.map(|peer| peer.networks.as_slice()).unwrap_or_default();
    if own.mode == Mode::Ikev2 || own.networks.len() < 2 && there.len() < 2 {
        let (here, there) = (own.networks.clone(), there.to_vec());
        return Ok(vec![Child { name: "net".to_owned(), here, there }]);
    }
    let pairs: Vec<(Vec<Network>, Vec<Network>)> = match peer {
        Some(peer) if !own.networks.is_empty() && !there.is_empty() => {
            export.pairs(peer)?.iter().map(|pair| (vec![pair.here], vec![pair.there])).collect()
        }
        _ if there.len() > 1 => {
            there.iter().map(|one| (own.networks.clone(), vec![*one])).collect()
        }
        _ => own.networks.iter().map(|one| (vec![*one], there.to_vec())).collect(),
    };
    let numbered = (1_usize..).zip(pairs);
    Ok(numbered
        .map(|(number, (here, there))| Child { name: format!("net-{number}"), here, there })
        .collect())
}

fn traffic(text: &mut String, export: &Export<'_>, peer: Option<&Gateway>, child: &Child) {
    let own = export.own;
    let _ = writeln!(text, "            {} {{", child.name);
    for (key, networks) in [("local_ts", &child.here), ("remote_ts", &child.there)] {
        if !networks.is_empty() {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "                {key} = {}", networks.join(","));
        }
    }
    let esp: Vec<String> = own.proposals.iter().map(proposal::esp).collect();
    let start = match own.start {
        Start::OnTraffic if peer.is_some_and(|peer| peer.address.is_some()) => "trap",
        Start::AtOnce if peer.is_some_and(|peer| peer.address.is_some()) => "start",
        _ => "none",
    };
    let again = match own.start {
        Start::AtOnce => {
            "\n                dpd_action = restart\n                close_action = start"
        }
        Start::OnTraffic => "\n                dpd_action = trap",
        Start::Wait => "",
    };
    let _ = writeln!(
        text,
        "                esp_proposals = {}\n                start_action = {start}{again}\n            }}",
        esp.join(",")
    );
}

/// An identity with a prefix for its kind, so that charon does not guess the kind.
fn id(id: &Identity) -> Result<String, GatewayError> {
    Ok(match id {
        Identity::Fqdn(name) => format!("\"fqdn:{name}\""),
        // charon reads `*` as a wildcard, so that it would match other peers.
        Identity::Email(mailbox) if mailbox.contains('*') => {
            return Err(GatewayError::new(format!(
                "the configuration of strongSwan cannot hold the identity `{}`: it takes `*` for any characters; use another identity \
                 of the gateway",
                mailbox.escape_debug()
            )));
        }
        Identity::Email(mailbox) => format!("\"email:{mailbox}\""),
        Identity::Dn(_) if id.to_string().split([',', '+']).any(|part| part.ends_with("=*")) => {
            return Err(GatewayError::new(format!(
                "the configuration of strongSwan cannot hold the identity `{id}`: it takes a value `*` for any; use another identity \
                 of the gateway"
            )));
        }
        Identity::Ip(address) => address.to_string(),
        Identity::Dn(name) => {
            let der = der::Encode::to_der(name)
                .map_err(|e| GatewayError::new(format!("`{id}` cannot be encoded: {e}")))?;
            format!("\"asn1dn:#{}\"", data_encoding::HEXLOWER.encode(&der))
        }
    })
}
