//! OpenBSD's isakmpd: `isakmpd.conf`, the KeyNote policy `isakmpd.policy`, and the folders below `/etc/isakmpd`.
//!
//! All transforms are written out. isakmpd has sections of its own for many of them, but which ones depends on its version.

use std::fmt::Write;

use countersign_ca::Identity;
use countersign_ca::public_key::KeyKind;
use countersign_policy::ipsec::DistinguishedName;
use zeroize::Zeroizing;

use crate::gateway::text::{heading, mailbox};
use crate::gateway::{
    Authentication, Certified, Export, Facts, Files, Gateway, GatewayError, Group, Mode, NamedCa,
    Network, Start,
};

pub fn files(export: &Export<'_>) -> Result<Files, GatewayError> {
    let own = export.own;
    classic_only(export, "isakmpd")?;
    let mut files = Files::default();
    for folder in ["ca", "certs", "crls", "private", "keynote", "pubkeys"] {
        files.add_folder(folder);
    }
    files.add_secret("isakmpd.conf", configuration(export)?.as_bytes());
    files.add_secret("isakmpd.policy", policy(export)?.as_bytes());
    if let Some(certified) = export.certified() {
        credentials(&mut files, &own.name, &certified)?;
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
        files.add(format!("ca/{}.crt", ca.name), ca.pem()?);
    }
    files.add(format!("certs/{name}.crt"), material.pem()?);
    for crl in &material.crls {
        files.add(format!("crls/{}.crl", crl.ca), crl.pem()?);
    }
    if let Some(key) = key {
        files.add_secret("private/local.key", key.pem().as_bytes());
    }
    Ok(())
}

/// What isakmpd and racoon cannot do: IKEv2, keys other than RSA, and asking anybody.
pub fn classic_only(export: &Export<'_>, daemon: &str) -> Result<(), GatewayError> {
    let own = export.own;
    if own.mode == Mode::Ikev2 {
        return Err(GatewayError::new(format!(
            "`{}` runs {daemon}, which speaks IKEv1 only, found mode `ikev2`; set `mode = \"main\"`",
            own.name
        )));
    }
    if own.authorizer {
        return Err(GatewayError::new(format!(
            "`{}` runs {daemon}, which has no hook to ask the authorizer; set `authorizer = false`",
            own.name
        )));
    }
    if let Some(certified) = export.certified() {
        let key = Facts::of(&certified.material.certificate)?.key;
        if !matches!(key, KeyKind::Rsa(_)) {
            return Err(GatewayError::new(format!(
                "`{}` runs {daemon}, which signs with RSA only, found a certificate for {key}; enrol with an RSA key",
                own.name
            )));
        }
    }
    if export.peers.iter().filter(|peer| peer.address.is_none()).count() > 1 {
        return Err(GatewayError::new(format!(
            "expected at most one peer without an `address`: {daemon} on `{}` cannot tell several apart",
            own.name
        )));
    }
    if export.peers.is_empty() {
        return Err(GatewayError::new(format!(
            "expected `--peer`: {daemon} on `{}` must be told whom it talks to",
            own.name
        )));
    }
    Ok(())
}

fn readme(export: &Export<'_>) -> String {
    let mut text = heading("#", &export.own.name, "isakmpd");
    text.push_str("\nCopy the folder's content to /etc/isakmpd. Then `rcctl restart isakmpd`, without the flag -K, with which it would not ask isakmpd.policy.\n");
    if export.lacks_key() {
        text.push_str("The private key is not here: put it into /etc/isakmpd/private/local.key, readable by root only.\n");
    }
    text.push_str("isakmpd fetches no CRLs: export again before these end and after each revocation, and send it SIGHUP.\n");
    text
}

fn configuration(export: &Export<'_>) -> Result<Zeroizing<String>, GatewayError> {
    let own = export.own;
    let transforms = export.proposals(|proposal| {
        proposal.classic().map(|(key, hash, group)| format!("aes{key}-sha{hash}-modp{group}"))
    })?;
    let mut text = Zeroizing::new(heading("#", &own.name, "isakmpd"));
    let _ = writeln!(text, "\n[General]\nPolicy-file=\t/etc/isakmpd/isakmpd.policy");
    text.push_str("DPD-check-interval=\t30\n");
    // So long after its last phase 1 with a peer, it ignores that peer's next one: 120 seconds without this line.
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
        section_of_network(&mut text, &format!("{name}-here"), connection.here);
        section_of_network(&mut text, &format!("{name}-there"), connection.there);
    }
    let _ = writeln!(text, "\n[own-id]\n{}", id(&own.id)?);
    sections_of_transforms(&mut text, export, &transforms);
    Ok(text)
}

/// A pair of networks behind a gateway and one of its peers.
struct Connection<'c> {
    name: String,
    peer: &'c Gateway,
    here: Network,
    there: Network,
}

fn connections<'c>(export: &'c Export<'_>) -> Result<Vec<Connection<'c>>, GatewayError> {
    let mut all = Vec::new();
    for &peer in export.peers {
        for (number, (here, there)) in (1_usize..).zip(export.pairs(peer)?) {
            all.push(Connection { name: format!("net-{}-{number}", peer.name), peer, here, there });
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
    for (name, (key, hash, group)) in
        transforms.iter().zip(own.proposals.iter().filter_map(crate::gateway::Proposal::classic))
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

/// A CA as KeyNote names it; `None` without an RSA key, as isakmpd believes no other.
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

/// The value of the licensees is a string of KeyNote: quotes and backslashes in it are escaped.
fn policy(export: &Export<'_>) -> Result<Zeroizing<String>, GatewayError> {
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
    // isakmpd lets the policy decide which networks a peer may have, whatever its own configuration says.
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
        any_of(export, |(_, _, group)| format!("phase1_group_desc == \"{}\"", group.number())),
        any_of(export, |(key, hash, group)| format!(
            "(esp_enc_alg == \"aes\" && esp_key_length == \"{key}\" && esp_auth_alg == \"hmac-sha2-{hash}\" && esp_group_desc == \"{}\")",
            group.number()
        )),
        peers.join(" ||\n             ")
    );
    Ok(text)
}

/// What must hold of one of the proposals. As responder, isakmpd takes any transform for the traffic that its policy allows, whatever its
/// own configuration says.
fn any_of(export: &Export<'_>, condition: impl Fn((u16, u16, Group)) -> String) -> String {
    let each = export.own.proposals.iter().filter_map(|proposal| {
        proposal.classic().map(|(key, hash, _)| condition((key, hash, proposal.group)))
    });
    let mut all: Vec<String> = Vec::new();
    for one in each {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all.join(" ||\n             ")
}

/// The networks of a tunnel, as isakmpd tells the policy: a range, or where the peer's ID is an address and no subnet, that address alone.
fn filters((here, there): (Network, Network)) -> String {
    let is = |name: &str, network: Network| {
        let [first, last] =
            [network.address(), network.last()].map(countersign_policy::ipsec::address::Padded);
        let range = format!("{name} == \"{first}-{last}\"");
        if network.is_host() { format!("({name} == \"{first}\" || {range})") } else { range }
    };
    format!("({} && {})", is("local_filter", here), is("remote_filter", there))
}

/// The peer's phase-1 identity, as isakmpd tells the policy.
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

fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
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

fn no_dn(id: &Identity) -> GatewayError {
    GatewayError::new(format!(
        "the configuration of isakmpd cannot hold the identity `{id}`: a name in the DNS, a mailbox or an address is expected"
    ))
}
