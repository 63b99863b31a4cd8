//! Writes the files of OpenIKED: `iked.conf` and the folders below `/etc/iked`.

use std::fmt::Write;

use countersign_ca::Identity;
use countersign_ca::x509::to_pem;

use super::abilities::ABILITIES;
use super::proposal;
use crate::gateway::authentication::Certified;
use crate::gateway::description::{Gateway, Revocation, Start};
use crate::gateway::error::GatewayError;
use crate::gateway::export::{Export, NetworkPair, Writer};
use crate::gateway::facts::Facts;
use crate::gateway::files::Files;
use crate::gateway::material::NamedCa;
use crate::gateway::openbsd;
use crate::gateway::text::{heading, mailbox, plain_dn};

/// How iked's files are written.
pub const WRITER: Writer = Writer {
    title: TITLE,
    folders: &[
        "ca",
        "certs",
        "crls",
        "private",
        "pubkeys/dn",
        "pubkeys/fqdn",
        "pubkeys/ipv4",
        "pubkeys/ipv6",
        "pubkeys/ufqdn",
    ],
    configuration: |export, files| {
        files.add_secret("iked.conf", configuration(export)?.as_bytes());
        Ok(())
    },
    credentials,
    readme,
    paths: openbsd::paths,
    warnings: |_| Vec::new(),
};

const TITLE: &str = "OpenIKED";

/// Writes certificate, CAs, CRLs and key.
fn credentials(
    files: &mut Files,
    name: &str,
    certified: &Certified<'_>,
) -> Result<(), GatewayError> {
    let material = certified.material;
    // All CAs go into one file: iked reads all certificates of the first file in ca/, and one of each further file.
    let cas = material.cas().map(NamedCa::pem).collect::<Result<Vec<_>, _>>()?;
    files.add("ca/ca.crt", cas.concat());
    let spki = Facts::of(&material.certificate)?.spki;
    files.add(
        "local.pub",
        to_pem("PUBLIC KEY", &spki).map_err(|e| GatewayError::new(e.to_string()))?,
    );
    openbsd::credentials(files, name, certified)
}

fn readme(export: &Export<'_>, text: &mut String) {
    text.push_str("\niked.conf belongs to /etc, all else to /etc/iked. Then `rcctl restart iked`, or `ikectl reload`.\n");
    if export.lacks_key() {
        text.push_str("The private key is not here: put it into /etc/iked/private/local.key, readable by root only.\n");
    }
    text.push_str(
        "iked fetches no CRLs: export again before these end and after each revocation, and run `ikectl reload`; SAs that are up stay up.\n",
    );
    if export.own.revocation == Revocation::Strict {
        text.push_str("A certificate whose CA has no CRL is let in as long as there is no CRL at all: iked cannot be strict.\n");
    }
}

fn configuration(export: &Export<'_>) -> Result<String, GatewayError> {
    let mut text = heading("#", &export.own.name, TITLE);
    if export.peers.is_empty() {
        policy(&mut text, export, None)?;
    }
    for peer in export.peers {
        policy(&mut text, export, Some(peer))?;
    }
    Ok(text)
}

fn policy(
    text: &mut String,
    export: &Export<'_>,
    peer: Option<&Gateway>,
) -> Result<(), GatewayError> {
    let own = export.own;
    let initiates = own.start != Start::Wait && peer.is_some_and(|peer| peer.address.is_some());
    let name = peer.map_or("peers", |peer| peer.name.as_str());
    let _ = write!(
        text,
        "\nikev2 \"{name}\" {} esp \\\n",
        if initiates { "active" } else { "passive" }
    );
    match peer {
        Some(peer) => {
            for NetworkPair { here, there } in export.pairs(peer)? {
                let _ = writeln!(text, "\tfrom {here} to {there} \\");
            }
        }
        None => {
            for here in export.networks_of(own)? {
                let _ = writeln!(text, "\tfrom {here} to dynamic \\");
            }
        }
    }
    let local = own.bound_to().map_or_else(|| "any".to_owned(), |address| address.to_string());
    let remote = peer
        .and_then(|peer| peer.address)
        .map_or_else(|| "any".to_owned(), |address| address.to_string());
    let _ = writeln!(text, "\tlocal {local} peer {remote} \\");
    for proposal in export.phase_1(&ABILITIES)? {
        let _ = writeln!(text, "\t{proposal} \\");
    }
    for proposal in &own.proposals {
        let _ = writeln!(text, "\t{} \\", proposal::childsa(proposal));
    }
    let _ = write!(text, "\tsrcid {}", id(&own.id)?);
    if let Some(peer) = peer {
        let _ = write!(text, " dstid {}", id(&peer.id)?);
    }
    match (export.authentication.secret(), peer) {
        (None, _) => {}
        (Some(secret), Some(_)) => {
            let _ = write!(text, " \\\n\tpsk \"{secret}\"");
        }
        (Some(_), None) => {
            return Err(GatewayError::new(
                "expected `--peer` with a pre-shared key: it is a secret of two gateways",
            ));
        }
    }
    text.push('\n');
    Ok(())
}

fn id(id: &Identity) -> Result<String, GatewayError> {
    Ok(match id {
        Identity::Fqdn(name) => format!("\"{name}\""),
        Identity::Email(held) => {
            mailbox("iked", held)?;
            format!("\"{held}\"")
        }
        Identity::Ip(address) => address.to_string(),
        Identity::Dn(_) => format!("\"/{}\"", plain_dn("iked", id)?.join("/")),
    })
}
