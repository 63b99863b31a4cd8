//! Writes the files of racoon: `racoon.conf`, the kernel's policies for `setkey`, and certificates under the file names that OpenSSL expects.

use std::fmt::Write;
use std::net::IpAddr;

use countersign_ca::Identity;

use super::abilities::ABILITIES;
use crate::gateway::authentication::Certified;
use crate::gateway::daemon::Mode;
use crate::gateway::description::{Gateway, Start};
use crate::gateway::error::GatewayError;
use crate::gateway::export::{CredentialPaths, Export, NetworkPair, Writer};
use crate::gateway::facts::Facts;
use crate::gateway::files::Files;
use crate::gateway::hash::{subject_hash, subject_hash_old};
use crate::gateway::material::Material;
use crate::gateway::network::Network;
use crate::gateway::proposal::{Classic, Proposal};
use crate::gateway::text::{heading, mailbox, plain_dn};

/// How racoon's files are written.
pub const WRITER: Writer = Writer {
    title: TITLE,
    folders: &[],
    configuration: files,
    credentials,
    readme,
    paths: |name| CredentialPaths {
        certificate: format!("certs/{name}.crt"),
        key: format!("certs/{name}.key"),
    },
    warnings: |_| Vec::new(),
};

const TITLE: &str = "racoon";

fn files(export: &Export<'_>, files: &mut Files) -> Result<(), GatewayError> {
    files.add("racoon.conf", configuration(export)?);
    files.add("setkey.conf", policies(export)?);
    if let Some(secret) = export.authentication.secret() {
        let mut lines = zeroize::Zeroizing::new(String::new());
        for peer in export.peers {
            let _ = writeln!(lines, "{}\t{secret}", psk_id(export.own, peer)?);
        }
        files.add_secret("psk.txt", lines.as_bytes());
    }
    Ok(())
}

/// Writes certificate, CAs, CRLs and key.
fn credentials(
    files: &mut Files,
    name: &str,
    Certified { material, key }: &Certified<'_>,
) -> Result<(), GatewayError> {
    files.add(format!("certs/{name}.crt"), material.pem()?);
    if let Some(key) = key {
        files.add_secret(format!("certs/{name}.key"), key.pem().as_bytes());
    }
    certificates(files, material)
}

/// Writes the CAs and CRLs, and the links by which OpenSSL finds them: by the present hash of a name, and by that of OpenSSL before 1.0.
fn certificates(files: &mut Files, material: &Material) -> Result<(), GatewayError> {
    let mut numbers = std::collections::BTreeMap::<String, u32>::new();
    for ca in material.cas() {
        let name = Facts::of(&ca.der)?.subject_der;
        let crl = material.crls.iter().find(|crl| crl.ca == ca.name);
        let file = format!("ca-{}.crt", ca.name);
        files.add(format!("certs/{file}"), ca.pem()?);
        if let Some(crl) = crl {
            files.add(format!("certs/ca-{}.crl", ca.name), crl.pem()?);
        }
        for hash in [subject_hash(&name)?, subject_hash_old(&name)] {
            // CAs of the same name get consecutive numbers.
            let number = numbers.entry(hash.clone()).or_insert(0);
            files.add_link(format!("certs/{hash}.{number}"), &file);
            if crl.is_some() {
                files.add_link(format!("certs/{hash}.r{number}"), format!("ca-{}.crl", ca.name));
            }
            *number = number.saturating_add(1);
        }
    }
    Ok(())
}

fn readme(export: &Export<'_>, text: &mut String) {
    let own = &export.own.name;
    text.push_str("\nCopy the folder's content to /etc/racoon; `setkey -f /etc/racoon/setkey.conf`, then start racoon.\n");
    if export.lacks_key() {
        let _ = writeln!(
            text,
            "The private key is not here: put it into /etc/racoon/certs/{own}.key, readable by root only."
        );
    }
    text.push_str("racoon lets in a certificate whose CA has no CRL here: it cannot be strict. It fetches no CRLs: export again before these end and after each revocation, and run `racoonctl reload-config`.\n");
}

fn configuration(export: &Export<'_>) -> Result<String, GatewayError> {
    let own = export.own;
    let mut text = heading("#", &own.name, TITLE);
    if export.authentication.secret().is_some() {
        text.push_str("\npath pre_shared_key \"/etc/racoon/psk.txt\";\n");
    } else {
        text.push_str("\npath certificate \"/etc/racoon/certs\";\n");
    }
    if let Some(address) = own.bound_to() {
        let _ = writeln!(
            text,
            "\nlisten {{\n\tisakmp {address} [500];\n\tisakmp_natt {address} [4500];\n\tstrict_address;\n}}"
        );
    }
    for peer in export.peers {
        remote(&mut text, export, peer)?;
    }
    for &peer in export.peers {
        for pair in export.pairs(peer)? {
            sainfo(&mut text, export, pair)?;
        }
    }
    Ok(text)
}

fn remote(text: &mut String, export: &Export<'_>, peer: &Gateway) -> Result<(), GatewayError> {
    let own = export.own;
    let address =
        peer.address.map_or_else(|| "anonymous".to_owned(), |address| address.to_string());
    let mode = if own.mode == Mode::Aggressive { "aggressive" } else { "main" };
    let _ = writeln!(text, "\nremote {address} {{\n\texchange_mode {mode};");
    let method = if export.authentication.secret().is_some() {
        "pre_shared_key"
    } else {
        let _ = writeln!(
            text,
            "\tcertificate_type x509 \"{0}.crt\" \"{0}.key\";\n\tverify_cert on;",
            own.name
        );
        "rsasig"
    };
    let _ = writeln!(text, "\tmy_identifier {};", id(&own.id, Whose::Own)?);
    let _ = writeln!(
        text,
        "\tpeers_identifier {};\n\tverify_identifier on;",
        id(&peer.id, Whose::Peer)?
    );
    if own.start == Start::Wait || peer.address.is_none() {
        text.push_str("\tpassive on;\n");
        if peer.address.is_none() {
            text.push_str("\tgenerate_policy on;\n");
        }
    }
    if export.keeps_silent_when_asked(peer) {
        text.push_str("\tsend_cr off;\n");
    }
    // Not `obey`: it accepts any proposal of a peer, even without perfect forward secrecy and with shorter keys.
    text.push_str("\tproposal_check claim;\n\tnat_traversal on;\n\tdpd_delay 30;\n");
    for Classic { key, hash, group } in classic(export)? {
        let _ = writeln!(
            text,
            "\tproposal {{\n\t\tencryption_algorithm aes {key};\n\t\thash_algorithm sha{hash};\n\t\tauthentication_method {method};\n\
             \t\tdh_group modp{group};\n\t\tlifetime time 8 hour;\n\t}}"
        );
    }
    text.push_str("}\n");
    Ok(())
}

fn sainfo(
    text: &mut String,
    export: &Export<'_>,
    NetworkPair { here, there }: NetworkPair,
) -> Result<(), GatewayError> {
    let proposals = classic(export)?;
    let Some(Classic { group, .. }) = proposals.first().copied() else { return Ok(()) };
    // racoon has one setting for the group of perfect forward secrecy, and both ends must have the same group.
    if proposals.iter().any(|other| other.group != group) {
        return Err(GatewayError::new(format!(
            "racoon on `{}` has one group for perfect forward secrecy: expected one group in all `proposals`, found several",
            export.own.name
        )));
    }
    let mut encryption: Vec<String> =
        proposals.iter().map(|proposal| format!("aes {}", proposal.key)).collect();
    encryption.dedup();
    let mut hashes: Vec<String> =
        proposals.iter().map(|proposal| format!("hmac_sha{}", proposal.hash)).collect();
    hashes.dedup();
    let _ = writeln!(
        text,
        "\nsainfo address {here} any address {there} any {{\n\tpfs_group modp{group};\n\tencryption_algorithm {};\n\
         \tauthentication_algorithm {};\n\tcompression_algorithm deflate;\n\tlifetime time 1 hour;\n}}",
        encryption.join(", "),
        hashes.join(", ")
    );
    Ok(())
}

/// The gateway's proposals as numbers of bits. It is an error if racoon does not support one of them.
fn classic(export: &Export<'_>) -> Result<Vec<Classic>, GatewayError> {
    export.phase_1(&ABILITIES)?;
    Ok(export.own.proposals.iter().filter_map(Proposal::classic).collect())
}

/// The policies of the kernel: for traffic that matches one, the kernel makes racoon negotiate.
fn policies(export: &Export<'_>) -> Result<String, GatewayError> {
    let own = export.own;
    let mut text = String::from("#!/usr/sbin/setkey -f\n");
    text.push_str(&heading("#", &own.name, TITLE));
    text.push('\n');
    let address = own.bound_to().map_or_else(|| export.address_of(own), Ok)?;
    for &peer in export.peers {
        let Some(remote) = peer.address else { continue };
        for NetworkPair { here, there } in export.pairs(peer)? {
            let out =
                Direction { word: "out", from: here, to: there, source: address, target: remote };
            let back =
                Direction { word: "in", from: there, to: here, source: remote, target: address };
            policy(&mut text, out);
            policy(&mut text, back);
        }
    }
    Ok(text)
}

/// One direction of a tunnel: its networks, and the addresses of its ends.
struct Direction {
    /// The direction in the notation of `setkey`.
    word: &'static str,
    from: Network,
    to: Network,
    source: IpAddr,
    target: IpAddr,
}

fn policy(text: &mut String, Direction { word, from, to, source, target }: Direction) {
    let _ = writeln!(text, "spddelete {from} {to} any -P {word};");
    let _ = writeln!(
        text,
        "spdadd {from} {to} any -P {word} ipsec esp/tunnel/{source}-{target}/require;"
    );
}

/// The gateway to which an identity belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Peer,
}

/// Writes an identity. racoon takes its own distinguished name from its certificate, so that the configuration does not repeat it.
fn id(id: &Identity, whose: Whose) -> Result<String, GatewayError> {
    Ok(match id {
        Identity::Fqdn(name) => format!("fqdn \"{name}\""),
        Identity::Email(held) => {
            mailbox("racoon", held)?;
            format!("user_fqdn \"{held}\"")
        }
        Identity::Ip(address) => format!("address \"{address}\""),
        Identity::Dn(_) if whose == Whose::Own => "asn1dn".to_owned(),
        Identity::Dn(_) => format!("asn1dn \"{}\"", plain_dn("racoon", id)?.join(", ")),
    })
}

/// The value by which racoon finds a pre-shared key. In main mode it is the peer's address, because the peer's ID arrives encrypted under a key that
/// derives from the pre-shared key.
fn psk_id(own: &Gateway, peer: &Gateway) -> Result<String, GatewayError> {
    if own.mode == Mode::Main {
        let address = peer.address.ok_or_else(|| {
            GatewayError::new(format!(
                "expected `gateways.{}.address`: racoon finds a pre-shared key in main mode by the peer's address; or set `mode = \"aggressive\"`",
                peer.name
            ))
        })?;
        return Ok(address.to_string());
    }
    match &peer.id {
        Identity::Fqdn(name) => Ok(name.clone()),
        Identity::Email(held) => mailbox("racoon", held).map(|()| held.clone()),
        Identity::Ip(address) => Ok(address.to_string()),
        Identity::Dn(_) => Err(GatewayError::new(format!(
            "racoon finds a pre-shared key by address, name in the DNS or mailbox, found `{}`",
            peer.id
        ))),
    }
}
