//! Writes the files of libreswan: `ipsec.conf`, `ipsec.secrets`, and the credentials with the script that imports them.

use std::fmt::Write;

use countersign_ca::Identity;
use countersign_ca::key::KeyKind;
use zeroize::Zeroizing;

use super::abilities::ABILITIES;
use super::nss::script;
use super::peers::{peers_ca, warnings};
use super::proposal;
use crate::gateway::authentication::Certified;
use crate::gateway::daemon::Mode;
use crate::gateway::description::{Gateway, Revocation, Start};
use crate::gateway::error::GatewayError;
use crate::gateway::export::{CredentialPaths, Export, NetworkPair, Writer};
use crate::gateway::facts::Facts;
use crate::gateway::files::Files;
use crate::gateway::network::Network;
use crate::gateway::pkcs12::pkcs12;
use crate::gateway::text::{heading, mailbox, plain_dn};

/// How libreswan's files are written.
pub const WRITER: Writer = Writer {
    title: TITLE,
    folders: &[],
    configuration: files,
    credentials,
    readme,
    paths: |name| CredentialPaths {
        certificate: format!("{name}.pem"),
        key: format!("{name}.p12"),
    },
    warnings,
};

const TITLE: &str = "libreswan";

fn files(export: &Export<'_>, files: &mut Files) -> Result<(), GatewayError> {
    files.add("ipsec.conf", configuration(export)?);
    files.add_secret("ipsec.secrets", secrets(export)?.as_bytes());
    if export.own.authorizer {
        files.add("pam.d/pluto", pam(export.program)?);
    }
    Ok(())
}

/// Writes certificate, CAs, CRLs and key, and the script that imports them.
fn credentials(
    files: &mut Files,
    name: &str,
    Certified { material, key }: &Certified<'_>,
) -> Result<(), GatewayError> {
    for ca in material.cas() {
        files.add(format!("ca/{}.pem", ca.name), ca.pem()?);
    }
    for crl in &material.crls {
        files.add(format!("crls/{}.crl", crl.ca), crl.der.as_slice());
    }
    files.add(format!("{name}.pem"), material.pem()?);
    if let Some(key) = key {
        let password = password()?;
        let bundle = pkcs12(name, key, material, &password)?;
        files.add_secret(format!("{name}.p12"), &bundle);
        files.add_secret(format!("{name}.p12.password"), password.as_bytes());
    }
    files.add_script("import.sh", script(name, material));
    Ok(())
}

/// The file `/etc/pam.d/pluto`, by which pluto asks the authorizer. White space separates the arguments of a module, and brackets join them, so
/// that the path of the program must have neither.
fn pam(program: &str) -> Result<String, GatewayError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    if !program.starts_with('/') || !program.chars().all(plain) {
        return Err(GatewayError::new(format!(
            "PAM cannot run the program `{}`: expected an absolute path of letters, digits and `/._+-`; install it elsewhere",
            program.escape_debug()
        )));
    }
    let lines = ["auth   ", "account"];
    Ok(lines.map(|kind| format!("{kind} required pam_exec.so {program} authorizer pam\n")).concat())
}

/// A password for the PKCS#12 file. The import needs one. It protects nothing, because it is in a file beside it.
fn password() -> Result<Zeroizing<String>, GatewayError> {
    let mut octets = Zeroizing::new([0_u8; 16]);
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), octets.as_mut_slice())
        .map_err(|_| GatewayError::new("the system has no random numbers"))?;
    Ok(Zeroizing::new(data_encoding::HEXLOWER.encode(octets.as_slice())))
}

fn readme(export: &Export<'_>, text: &mut String) {
    let name = &export.own.name;
    text.push_str(
        "\nCopy ipsec.conf to /etc/ipsec.conf and ipsec.secrets to /etc/ipsec.secrets (or each below /etc/ipsec.d).\n",
    );
    if export.certified().is_some() {
        text.push_str(
            "`sh import.sh` imports certificates, key and CRLs into /var/lib/ipsec/nss; another database is its argument. Then `ipsec restart`.\n",
        );
        if export.lacks_key() {
            let _ = writeln!(
                text,
                "The private key is not here: `openssl pkcs12 -export -name {name} -in {name}.pem -inkey KEY -out {name}.p12` makes what import.sh \
                 takes; the password belongs into {name}.p12.password."
            );
        }
    }
    if export.certified().is_some() {
        text.push_str(
            "\npluto fetches CRLs every five minutes, from where the certificates in the database say. If they say nothing, export again \
             before the CRLs end, and run `sh import.sh` again. In a running pluto a CRL that was imported counts after 45 to 65 seconds, \
             and no command shortens that; `ipsec restart` does, and ends the SAs. SAs that are up stay up otherwise: `ipsec whack \
             --deleteid --name ID` ends those of a peer.\n",
        );
    }
    if export.own.mode != Mode::Ikev2 || export.own.start != Start::OnTraffic {
        text.push_str(
            "libreswan 5 remarks that it ignores `dpdaction`, and that `ikev2=no` is `keyexchange=ikev1` there: these are for libreswan 4, \
             which does not know the new word.\n",
        );
    }
    if export.own.authorizer {
        text.push_str("pam.d/pluto belongs into /etc/pam.d. IKEv1 connections are not asked about: libreswan has no hook there.\n");
    }
}

fn configuration(export: &Export<'_>) -> Result<String, GatewayError> {
    let own = export.own;
    let mut text = heading("#", &own.name, TITLE);
    text.push_str("\nconfig setup\n");
    if own.mode != Mode::Ikev2 {
        text.push_str("    ikev1-policy=accept\n");
    }
    let strict = own.revocation == Revocation::Strict && export.authentication.secret().is_none();
    let _ = writeln!(
        text,
        "    crl-strict={}\n    crlcheckinterval=5m",
        if strict { "yes" } else { "no" }
    );
    if export.peers.is_empty() {
        connection(&mut text, export, "peers", None, &[])?;
    }
    for &peer in export.peers {
        if export.own.networks.is_empty() && peer.networks.is_empty() {
            connection(&mut text, export, &peer.name, Some(peer), &[])?;
            continue;
        }
        // All networks of a connection are IPv4, or all are IPv6.
        let (v4, v6): (Vec<_>, Vec<_>) =
            export.pairs(peer)?.into_iter().partition(|pair| pair.here.address().is_ipv4());
        let both = !v4.is_empty() && !v6.is_empty();
        for (suffix, pairs) in [("", v4), (if both { "-v6" } else { "" }, v6)] {
            if !pairs.is_empty() {
                connection(
                    &mut text,
                    export,
                    &format!("{}{suffix}", peer.name),
                    Some(peer),
                    &pairs,
                )?;
            }
        }
    }
    Ok(text)
}

fn connection(
    text: &mut String,
    export: &Export<'_>,
    name: &str,
    peer: Option<&Gateway>,
    networks: &[NetworkPair],
) -> Result<(), GatewayError> {
    let own = export.own;
    let by_secret = export.authentication.secret().is_some();
    let _ = writeln!(text, "\nconn {name}");
    // IKEv2 is the default of libreswan 4 and 5. `ikev2=no` is the only setting for IKEv1 in libreswan 4, and libreswan 5 still accepts it.
    text.push_str(match own.mode {
        Mode::Ikev2 => "",
        Mode::Main => "    ikev2=no\n",
        Mode::Aggressive => "    ikev2=no\n    aggressive=yes\n",
    });
    // If `authby` has both methods, pluto 4.10 announces RSA even if its key is ECDSA.
    let authby = match export.certified() {
        None => "secret",
        Some(certified) => match Facts::of(&certified.material.certificate)?.key {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => "ecdsa",
            KeyKind::Rsa(_) | KeyKind::Ed25519 => "rsasig",
        },
    };
    let _ = writeln!(text, "    authby={authby}");
    let ike = export.phase_1(&ABILITIES)?;
    let mut esp: Vec<String> = own.proposals.iter().map(proposal::esp).collect();
    esp.dedup();
    let _ = writeln!(text, "    ike={}\n    esp={}", ike.join(","), esp.join(","));
    let left =
        own.bound_to().map_or_else(|| "%defaultroute".to_owned(), |address| address.to_string());
    let _ = writeln!(text, "    left={left}");
    if by_secret {
        let _ = writeln!(text, "    leftid={}", id(&own.id)?);
    } else {
        let _ = writeln!(text, "    leftcert={}", own.name);
        // `leftcert` is a nickname in the database. Without `leftid`, pluto would take its ID from that certificate.
        let _ = writeln!(text, "    leftid={}\n    leftsendcert=always", id(&own.id)?);
    }
    let behind = if peer.is_some() {
        networks.iter().map(|pair| pair.here).collect()
    } else {
        own.networks.clone()
    };
    subnets(text, "left", behind);
    match peer {
        None if by_secret => {
            return Err(GatewayError::new(
                "expected `--peer` with a pre-shared key: it is a secret of two gateways",
            ));
        }
        None => {
            let ca = peers_ca(export, None)?;
            let _ = writeln!(text, "    right=%any\n    rightid=%fromcert\n    rightca={ca}");
        }
        Some(peer) => {
            let right =
                peer.address.map_or_else(|| "%any".to_owned(), |address| address.to_string());
            let _ = writeln!(text, "    right={right}\n    rightid={}", id(&peer.id)?);
            if !by_secret {
                let _ = writeln!(text, "    rightca={}", peers_ca(export, Some(peer))?);
            }
            subnets(text, "right", networks.iter().map(|pair| pair.there).collect());
        }
    }
    if own.authorizer {
        text.push_str("    pam-authorize=yes\n");
    }
    // libreswan 4 detects a dead peer only if both times are set, and holds the lost traffic unless `dpdaction` says otherwise. libreswan 5 derives
    // the action from `auto`.
    text.push_str("    dpddelay=30\n    dpdtimeout=120\n");
    text.push_str(match own.start {
        Start::AtOnce => "    dpdaction=restart\n",
        Start::OnTraffic => "",
        Start::Wait => "    dpdaction=clear\n",
    });
    let auto = match own.start {
        Start::OnTraffic if peer.is_some_and(|peer| peer.address.is_some()) => "ondemand",
        Start::AtOnce if peer.is_some_and(|peer| peer.address.is_some()) => "start",
        _ => "add",
    };
    let _ = writeln!(text, "    auto={auto}");
    Ok(())
}

/// Writes the networks of one side. `subnets` makes pluto negotiate a tunnel for each pair.
fn subnets(text: &mut String, side: &str, networks: Vec<Network>) {
    let mut list: Vec<String> = Vec::new();
    for network in networks.iter().map(ToString::to_string) {
        if !list.contains(&network) {
            list.push(network);
        }
    }
    let _ = match list.as_slice() {
        [] => Ok(()),
        [one] => writeln!(text, "    {side}subnet={one}"),
        many => writeln!(text, "    {side}subnets={{{}}}", many.join(" ")),
    };
}

fn secrets(export: &Export<'_>) -> Result<Zeroizing<String>, GatewayError> {
    let mut text = Zeroizing::new(heading("#", &export.own.name, TITLE));
    if let Some(secret) = export.authentication.secret() {
        for peer in export.peers {
            text.push_str(&format!(
                "{} {} : PSK \"{secret}\"\n",
                id(&export.own.id)?,
                id(&peer.id)?
            ));
        }
    }
    Ok(text)
}

fn id(id: &Identity) -> Result<String, GatewayError> {
    Ok(match id {
        Identity::Fqdn(name) => format!("@{name}"),
        Identity::Email(held) => {
            mailbox("libreswan", held)?;
            // pluto reads an identity with an `@` behind its first character as a mail address.
            held.clone()
        }
        Identity::Ip(address) => address.to_string(),
        Identity::Dn(_) => format!("\"{}\"", plain_dn("libreswan", id)?.join(", ")),
    })
}
