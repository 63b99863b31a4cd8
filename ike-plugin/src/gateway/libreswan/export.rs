//! libreswan: `ipsec.conf`, `ipsec.secrets`, and a script that fills the NSS database with the PKCS#12 file, the CAs and the CRLs.

use std::fmt::Write;

use countersign_ca::Identity;
use countersign_ca::public_key::KeyKind;
use zeroize::Zeroizing;

use crate::gateway::pkcs12::pkcs12;
use crate::gateway::text::{heading, mailbox, plain_dn};
use crate::gateway::{
    Certified, Export, Facts, Files, Gateway, GatewayError, IssuedCrl, Material, Mode, NamedCa,
    Network, Revocation, Start,
};
use crate::status::crl::Crl;

pub fn files(export: &Export<'_>) -> Result<Files, GatewayError> {
    let name = &export.own.name;
    let mut files = Files::default();
    files.add("ipsec.conf", configuration(export)?);
    files.add_secret("ipsec.secrets", secrets(export)?.as_bytes());
    if let Some(certified) = export.certified() {
        credentials(&mut files, name, &certified)?;
    }
    if export.own.authorizer {
        files.add("pam.d/pluto", pam(export.program)?);
    }
    files.add("README", readme(export));
    Ok(files)
}

/// What proves who a gateway is, and whom it trusts.
pub fn credentials(
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

/// `/etc/pam.d/pluto`, where the authorizer is asked. A module's arguments end at white space, and brackets join them.
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

/// What opens the PKCS#12 file: it lies beside it, so it only has to exist.
fn password() -> Result<Zeroizing<String>, GatewayError> {
    let mut octets = Zeroizing::new([0_u8; 16]);
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), octets.as_mut_slice())
        .map_err(|_| GatewayError::new("the system has no random numbers"))?;
    Ok(Zeroizing::new(data_encoding::HEXLOWER.encode(octets.as_slice())))
}

fn readme(export: &Export<'_>) -> String {
    let name = &export.own.name;
    let mut text = heading("#", name, "libreswan");
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
    text
}

/// pluto may have fetched a newer CRL than the one that was exported, or the same: NSS refuses an older one, and that is well.
const IMPORT_CRL: &str = "\
missing=0
crl() {
    said=$(crlutil -I -d \"sql:$database\" -t 1 -i \"$1\" 2>&1) || case $said in
        *SEC_ERROR_OLD_CRL*|*SEC_ERROR_CRL_ALREADY_EXISTS*) echo \"$1: the database has a newer one\" ;;
        *) printf '%s: it was not taken: %s\\n' \"$1\" \"$said\" >&2; missing=1 ;;
    esac
}
";

/// NSS keeps one CRL for each name, and says nothing when that of one key takes the place of another's: only a look at the
/// database tells, whose they are.
const HELD_CRL: &str = "\
held() {
    if ! crlutil -L -d \"sql:$database\" | sed -n 's/ *CRL *$//p' | while IFS= read -r name; do
        crlutil -L -d \"sql:$database\" -n \"$name\" 2>/dev/null
    done | tr -d ' \\n' | grep -q \"KeyID:$2\"; then
        echo \"$1: it was not taken: NSS keeps one CRL for each name of a CA, and has that of another key under this name. Whom it \\
revokes would come in. Give each CA a name of its own (countersign ca roll), or each its own database\" >&2
        missing=1
    fi
}
";

/// The root alone is trusted: a CA below it is one by its chain.
fn script(name: &str, material: &Material) -> String {
    let mut text = String::from("#!/bin/sh\n");
    let _ = writeln!(
        text,
        "# `{name}` for libreswan: imports what lies beside it into NSS's database."
    );
    text.push_str(
        "set -eu\ncd \"$(dirname \"$0\")\"\ndatabase=\"${1:-/var/lib/ipsec/nss}\"\nmkdir -p \"$database\"\n\
         [ -e \"$database/cert9.db\" ] || certutil -N -d \"sql:$database\" --empty-password\n",
    );
    for (cas, trust) in [(&material.roots, "CT,,"), (&material.chain, ",,")] {
        for ca in cas {
            let _ = writeln!(
                text,
                "certutil -A -d \"sql:$database\" -n 'ca-{0}-{1}' -t '{trust}' -i 'ca/{0}.pem'",
                ca.name,
                own_digits(&ca.der)
            );
        }
    }
    // Of two certificates of one name, pluto might take the old one. NSS keeps the nickname under which it met a certificate first, and PKCS#12 files name theirs in many ways.
    let _ = writeln!(
        text,
        "while certutil -D -d \"sql:$database\" -n '{name}' 2>/dev/null; do :; done\n\
         certutil -A -d \"sql:$database\" -n '{name}' -t ',,' -i '{name}.pem'\n\
         [ ! -e '{name}.p12' ] || pk12util -d \"sql:$database\" -w '{name}.p12.password' -i '{name}.p12'"
    );
    if !material.crls.is_empty() {
        text.push_str(IMPORT_CRL);
    }
    for crl in &material.crls {
        let _ = writeln!(text, "crl 'crls/{}.crl'", crl.ca);
    }
    let keys: Vec<(&str, String)> = material
        .crls
        .iter()
        .filter_map(|crl| Some((crl.ca.as_str(), key_identifier(crl)?)))
        .collect();
    if !keys.is_empty() {
        text.push_str(HELD_CRL);
    }
    for (ca, key) in keys {
        let _ = writeln!(text, "held 'crls/{ca}.crl' '{key}'");
    }
    if !material.crls.is_empty() {
        text.push_str("exit $missing\n");
    }
    text
}

/// What tells a CA from one of the same name here in another instance: NSS takes no two names of CAs under one nickname.
fn own_digits(certificate: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, certificate);
    data_encoding::HEXLOWER.encode(hash.as_ref()).chars().take(8).collect()
}

/// Whose CRL it is, as `crlutil` writes it; `None` if it does not say so.
fn key_identifier(crl: &IssuedCrl) -> Option<String> {
    let crl = Crl::from_der(&crl.der).ok()?;
    let octets = crl.authority_key()?.iter().map(|octet| format!("{octet:02x}"));
    Some(octets.collect::<Vec<_>>().join(":"))
}

/// Whose peers pluto takes. Whoever is not named must be below its own root: the database may hold other roots besides those of today.
fn peers_ca(export: &Export<'_>, peer: Option<&Gateway>) -> Result<String, GatewayError> {
    let Some(Certified { material, .. }) = export.certified() else { return Ok(SAME.to_owned()) };
    match (peer, material.own_root()) {
        (None, Some(root)) => by_name(root),
        _ => common_ca(material),
    }
}

/// What somebody should know of the folder that was written.
pub fn warnings(export: &Export<'_>) -> Vec<String> {
    let Some(Certified { material, .. }) = export.certified() else { return Vec::new() };
    if !export.peers.is_empty() || material.roots.len() < 2 {
        return Vec::new();
    }
    let takes = match material.own_root() {
        Some(root) => format!("of its own root `{}` only", root.name),
        None => "of each of them, and of whatever other root its database holds".to_owned(),
    };
    let roots: Vec<String> = material.roots.iter().map(|root| format!("`{}`", root.name)).collect();
    vec![format!(
        "libreswan on `{}` trusts several roots ({}), and without `--peer` takes peers {takes}: name each other one by `--peer`",
        export.own.name,
        roots.join(", ")
    )]
}

/// Peers of the very CA that issued its own certificate, by its name.
const SAME: &str = "%same";

/// Whether pluto takes peers of the CA alone that certified its gateway.
pub fn is_bound_to_issuer(material: &Material) -> Result<bool, GatewayError> {
    Ok(common_ca(material)? == SAME)
}

/// What stands above all peers that pluto takes: the root, whichever CA or key of a CA certified them, as it goes up from a peer's
/// issuer by names. Several roots have no common name: which count, says the database.
fn common_ca(material: &Material) -> Result<String, GatewayError> {
    let [root] = material.roots.as_slice() else { return Ok("%any".to_owned()) };
    by_name(root)
}

/// A root, as `rightca` names it.
fn by_name(root: &NamedCa) -> Result<String, GatewayError> {
    let subject = countersign_ca::certificate::Facts::of(&root.der)
        .map_err(|e| GatewayError::new(format!("a root cannot be read: {e}")))?
        .subject;
    // What its configuration cannot hold, it finds by the own certificate.
    Ok(plain_dn("libreswan", &Identity::Dn(subject))
        .map_or_else(|_| SAME.to_owned(), |parts| format!("\"{}\"", parts.join(", "))))
}

fn configuration(export: &Export<'_>) -> Result<String, GatewayError> {
    let own = export.own;
    let mut text = heading("#", &own.name, "libreswan");
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
        // A connection has networks of one family.
        let (v4, v6): (Vec<_>, Vec<_>) =
            export.pairs(peer)?.into_iter().partition(|(here, _)| here.address().is_ipv4());
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
    networks: &[(Network, Network)],
) -> Result<(), GatewayError> {
    let own = export.own;
    let by_secret = export.authentication.secret().is_some();
    let _ = writeln!(text, "\nconn {name}");
    // IKEv2 is what libreswan 4 and 5 do without a word. For IKEv1, 4 knows no other word, and 5 still takes it.
    text.push_str(match own.mode {
        Mode::Ikev2 => "",
        Mode::Main => "    ikev2=no\n",
        Mode::Aggressive => "    ikev2=no\n    aggressive=yes\n",
    });
    // With both, pluto 4.10 announces RSA for whatever key it has.
    let authby = match export.certified() {
        None => "secret",
        Some(certified) => match Facts::of(&certified.material.certificate)?.key {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => "ecdsa",
            KeyKind::Rsa(_) | KeyKind::Ed25519 => "rsasig",
        },
    };
    let _ = writeln!(text, "    authby={authby}");
    let ike = export.proposals(|proposal| {
        (own.mode == Mode::Ikev2 || proposal.is_for_v1()).then(|| proposal.libreswan())
    })?;
    let mut esp: Vec<String> = own.proposals.iter().map(crate::gateway::Proposal::libreswan_esp).collect();
    esp.dedup();
    let _ = writeln!(text, "    ike={}\n    esp={}", ike.join(","), esp.join(","));
    let left =
        own.bound_to().map_or_else(|| "%defaultroute".to_owned(), |address| address.to_string());
    let _ = writeln!(text, "    left={left}");
    if by_secret {
        let _ = writeln!(text, "    leftid={}", id(&own.id)?);
    } else {
        let _ = writeln!(text, "    leftcert={}", own.name);
        // The name in the database is the certificate's; pluto must not take another ID from it.
        let _ = writeln!(text, "    leftid={}\n    leftsendcert=always", id(&own.id)?);
    }
    let behind = if peer.is_some() {
        networks.iter().map(|(here, _)| *here).collect()
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
            subnets(text, "right", networks.iter().map(|(_, there)| *there).collect());
        }
    }
    if own.authorizer {
        if own.mode != Mode::Ikev2 {
            return Err(GatewayError::new(format!(
                "libreswan on `{}` asks the authorizer about IKEv2 peers only, found mode `{}`; set `authorizer = false` or `mode = \"ikev2\"`",
                own.name,
                own.mode.name()
            )));
        }
        text.push_str("    pam-authorize=yes\n");
    }
    // libreswan 4 looks after a peer only if both are there, and then holds what was lost unless it is told otherwise. 5 goes by `auto`.
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

/// `leftsubnets` makes one tunnel for each pair.
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
    let mut text = Zeroizing::new(heading("#", &export.own.name, "libreswan"));
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
            // pluto takes what has an `@` that is not the first character for a mailbox.
            held.clone()
        }
        Identity::Ip(address) => address.to_string(),
        Identity::Dn(_) => format!("\"{}\"", plain_dn("libreswan", id)?.join(", ")),
    })
}
