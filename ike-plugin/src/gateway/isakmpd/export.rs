//! Writes the files of OpenBSD's isakmpd: `isakmpd.conf`, the KeyNote policy `isakmpd.policy`, and the folders below `/etc/isakmpd`.
//!
//! The configuration defines every transform that it uses. isakmpd has built-in definitions, but which ones depends on its version.

use std::fmt::Write;

use countersign_ca::Identity;
use zeroize::Zeroizing;

use super::abilities::ABILITIES;
use super::policy::{no_dn, policy};
use crate::gateway::authentication::Certified;
use crate::gateway::daemon::Mode;
use crate::gateway::description::{Gateway, Start};
use crate::gateway::error::GatewayError;
use crate::gateway::export::{Export, NetworkPair, Writer};
use crate::gateway::files::Files;
use crate::gateway::network::Network;
use crate::gateway::openbsd;
use crate::gateway::proposal::{Classic, Proposal};
use crate::gateway::text::{heading, mailbox};

/// How isakmpd's files are written.
pub const WRITER: Writer = Writer {
    title: TITLE,
    folders: &["ca", "certs", "crls", "private", "keynote", "pubkeys"],
    configuration: |export, files| {
        files.add_secret("isakmpd.conf", configuration(export)?.as_bytes());
        files.add_secret("isakmpd.policy", policy(export)?.as_bytes());
        Ok(())
    },
    credentials,
    readme,
    paths: openbsd::paths,
    warnings: |_| Vec::new(),
};

const TITLE: &str = "isakmpd";

/// Writes certificate, CAs, CRLs and key.
fn credentials(
    files: &mut Files,
    name: &str,
    certified: &Certified<'_>,
) -> Result<(), GatewayError> {
    for ca in certified.material.cas() {
        files.add(format!("ca/{}.crt", ca.name), ca.pem()?);
    }
    openbsd::credentials(files, name, certified)
}

fn readme(export: &Export<'_>, text: &mut String) {
    text.push_str("\nCopy the folder's content to /etc/isakmpd. Then `rcctl restart isakmpd`, without the flag -K, with which it would not ask isakmpd.policy.\n");
    if export.lacks_key() {
        text.push_str("The private key is not here: put it into /etc/isakmpd/private/local.key, readable by root only.\n");
    }
    text.push_str("isakmpd fetches no CRLs: export again before these end and after each revocation, and send it SIGHUP.\n");
}

fn configuration(export: &Export<'_>) -> Result<Zeroizing<String>, GatewayError> {
    let own = export.own;
    let transforms = export.phase_1(&ABILITIES)?;
    let mut text = Zeroizing::new(heading("#", &own.name, TITLE));
    let _ = writeln!(text, "\n[General]\nPolicy-file=\t/etc/isakmpd/isakmpd.policy");
    text.push_str("DPD-check-interval=\t30\n");
    // isakmpd ignores a new phase 1 with a peer for this long after the last one. The default is 120 seconds.
    text.push_str("Exchange-max-time=\t30\n");
    if let Some(address) = own.bound_to() {
        let _ = writeln!(text, "Listen-on=\t{address}");
    }
    text.push_str("\n[X509-certificates]\nCA-directory=\t/etc/isakmpd/ca/\nCert-directory=\t/etc/isakmpd/certs/\nCRL-directory=\t/etc/isakmpd/crls/\nPrivate-key=\t/etc/isakmpd/private/local.key\n");
    text.push_str("\n[KeyNote]\nCredential-directory=\t/etc/isakmpd/keynote/\n");
    text.push_str("\n[Phase 1]\n");
    for peer in export.peers {
        match peer.address {
            Some(address) => {
                let _ = writeln!(text, "{address}=\tpeer-{}", peer.name);
            }
            None => {
                let _ = writeln!(text, "Default=\tpeer-{}", peer.name);
            }
        }
    }
    let connections = connections(export)?;
    let active = |connection: &&Connection<'_>| {
        own.start != Start::Wait && connection.peer.address.is_some()
    };
    text.push_str("\n[Phase 2]\n");
    for (key, wanted) in [("Connections", true), ("Passive-connections", false)] {
        let names: Vec<&str> = connections
            .iter()
            .filter(|connection| active(connection) == wanted)
            .map(|connection| connection.name.as_str())
            .collect();
        if !names.is_empty() {
            let _ = writeln!(text, "{key}=\t{}", names.join(","));
        }
    }
    for peer in export.peers {
        section_of_peer(&mut text, export, peer)?;
    }
    for connection in &connections {
        let name = &connection.name;
        let _ = writeln!(
            text,
            "\n[{name}]\nPhase=\t2\nISAKMP-peer=\tpeer-{}\nConfiguration=\tquick-mode\nLocal-ID=\t{name}-here\nRemote-ID=\t{name}-there",
            connection.peer.name
        );
        section_of_network(&mut text, &format!("{name}-here"), connection.networks.here);
        section_of_network(&mut text, &format!("{name}-there"), connection.networks.there);
    }
    let _ = writeln!(text, "\n[own-id]\n{}", id(&own.id)?);
    sections_of_transforms(&mut text, export, &transforms);
    Ok(text)
}

/// A connection of phase 2: a pair of networks behind a gateway and one of its peers.
struct Connection<'c> {
    name: String,
    peer: &'c Gateway,
    networks: NetworkPair,
}

fn connections<'c>(export: &'c Export<'_>) -> Result<Vec<Connection<'c>>, GatewayError> {
    let mut all = Vec::new();
    for &peer in export.peers {
        for (number, networks) in (1_usize..).zip(export.pairs(peer)?) {
            all.push(Connection { name: format!("net-{}-{number}", peer.name), peer, networks });
        }
    }
    Ok(all)
}

fn section_of_peer(
    text: &mut String,
    export: &Export<'_>,
    peer: &Gateway,
) -> Result<(), GatewayError> {
    let name = &peer.name;
    let _ = writeln!(
        text,
        "\n[peer-{name}]\nPhase=\t1\nConfiguration=\tphase-1\nID=\town-id\nRemote-ID=\tid-{name}"
    );
    if let Some(address) = peer.address {
        let _ = writeln!(text, "Address=\t{address}");
    }
    if let Some(address) = export.own.bound_to() {
        let _ = writeln!(text, "Local-address=\t{address}");
    }
    if let Some(secret) = export.authentication.secret() {
        let _ = writeln!(text, "Authentication=\t{secret}");
    }
    let _ = writeln!(text, "\n[id-{name}]\n{}", id(&peer.id)?);
    Ok(())
}

fn section_of_network(text: &mut String, name: &str, network: Network) {
    let family = if network.address().is_ipv4() { "IPV4" } else { "IPV6" };
    if network.is_host() {
        let _ =
            writeln!(text, "\n[{name}]\nID-type=\t{family}_ADDR\nAddress=\t{}", network.address());
        return;
    }
    let _ = writeln!(
        text,
        "\n[{name}]\nID-type=\t{family}_ADDR_SUBNET\nNetwork=\t{}\nNetmask=\t{}",
        network.address(),
        network.mask()
    );
}

fn sections_of_transforms(text: &mut String, export: &Export<'_>, transforms: &[String]) {
    let own = export.own;
    let method = if export.authentication.secret().is_some() { "PRE_SHARED" } else { "RSA_SIG" };
    let exchange = if own.mode == Mode::Aggressive { "AGGRESSIVE" } else { "ID_PROT" };
    let named = |prefix: &str| {
        transforms.iter().map(|name| format!("{prefix}-{name}")).collect::<Vec<_>>().join(",")
    };
    let _ = writeln!(
        text,
        "\n[phase-1]\nDOI=\tIPSEC\nEXCHANGE_TYPE=\t{exchange}\nTransforms=\t{}",
        named("phase-1")
    );
    let _ = writeln!(
        text,
        "\n[quick-mode]\nDOI=\tIPSEC\nEXCHANGE_TYPE=\tQUICK_MODE\nSuites=\t{}",
        named("suite")
    );
    for (name, Classic { key, hash, group }) in
        transforms.iter().zip(own.proposals.iter().filter_map(Proposal::classic))
    {
        let _ = writeln!(
            text,
            "\n[phase-1-{name}]\nENCRYPTION_ALGORITHM=\tAES_CBC\nKEY_LENGTH=\t{key},{key}:{key}\nHASH_ALGORITHM=\tSHA2_{hash}\n\
             AUTHENTICATION_METHOD=\t{method}\nGROUP_DESCRIPTION=\tMODP_{group}\nLife=\tlifetime-1"
        );
        let _ = writeln!(text, "\n[suite-{name}]\nProtocols=\tesp-{name}");
        let _ = writeln!(
            text,
            "\n[esp-{name}]\nPROTOCOL_ID=\tIPSEC_ESP\nTransforms=\ttransform-{name}"
        );
        let _ = writeln!(
            text,
            "\n[transform-{name}]\nTRANSFORM_ID=\tAES\nKEY_LENGTH=\t{key},{key}:{key}\nENCAPSULATION_MODE=\tTUNNEL\n\
             AUTHENTICATION_ALGORITHM=\tHMAC_SHA2_{hash}\nGROUP_DESCRIPTION=\tMODP_{group}\nLife=\tlifetime-2"
        );
    }
    text.push_str("\n[lifetime-1]\nLIFE_TYPE=\tSECONDS\nLIFE_DURATION=\t28800,60:86400\n");
    text.push_str("\n[lifetime-2]\nLIFE_TYPE=\tSECONDS\nLIFE_DURATION=\t3600,60:86400\n");
}

fn id(id: &Identity) -> Result<String, GatewayError> {
    Ok(match id {
        Identity::Fqdn(name) => format!("ID-type=\tFQDN\nName=\t{name}"),
        Identity::Email(held) => {
            mailbox("isakmpd", held)?;
            format!("ID-type=\tUSER_FQDN\nName=\t{held}")
        }
        Identity::Ip(address) => {
            let family = if address.is_ipv4() { "IPV4" } else { "IPV6" };
            format!("ID-type=\t{family}_ADDR\nAddress=\t{address}")
        }
        Identity::Dn(_) => return Err(no_dn(id)),
    })
}
