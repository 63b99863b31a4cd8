//! The gateways of `export` and `check`: their sections in the configuration, joined with the records of the instance.

use std::fs;
use std::path::Path;

use countersign_ca::path::Certificate;
use countersign_ca::record::Label;
use countersign_ca::x509::read_all;
use countersign_ca::{Clock, Identity, SystemClock};
use countersign_ike_plugin::gateway::{
    Daemon, Gateway, IssuedCrl, Material, Mode, NamedCa, issued_crl,
};

use super::context::Context;
use crate::admin::answer::{
    AccountLine, CaLine, CertificateInFull, CertificateLine, CertificatePage, CertificateStatus,
};
use crate::admin::{CertificateFilter, Request};
use crate::config::GatewayFile;
use crate::exit::Failure;

/// The largest CRL that is read, in bytes. A CRL of a million entries has 49 MB.
const MAX_CRL: u64 = 256 << 20;
/// The number of an account's certificates that are asked for at once.
const PAGE: usize = 100;

/// The largest file of certificates, in bytes.
const MAX_CERTIFICATE: u64 = 1 << 20;

/// A gateway with its certificate.
pub struct Described {
    /// The gateway, as `export` and `check` use it.
    pub gateway: Gateway,
    /// The gateway's certificate, the CAs above it, and the roots that it trusts; or the reason why it has no certificate.
    pub material: Result<Material, Failure>,
    /// Its account; `None` if another PKI certifies it.
    pub account: Option<Label>,
}

/// The daemon for which a gateway is described.
#[derive(Debug, Clone, Copy)]
pub enum ForDaemon {
    /// The daemon named here, whatever the gateway's section says.
    This(Daemon),
    /// The daemon in the gateway's section.
    ItsOwn,
    /// The daemon in the gateway's section; the one given here if the section names none.
    ItsOwnOr(Daemon),
}

/// Describes a gateway by its section of the configuration and by the records.
///
/// # Errors
/// There is neither an account of this name nor a section with an `id`, no daemon is known, or a value or record cannot be read. A gateway
/// without a certificate is not an error here: see [`Described::material`].
pub fn describe(context: &Context, name: &str, daemon: ForDaemon) -> Result<Described, Failure> {
    let gateways = context.location.config()?.file.gateways;
    let known = gateways.get(name);
    let file = known.cloned().unwrap_or_default();
    let daemon = match daemon {
        ForDaemon::This(daemon) => Some(daemon),
        ForDaemon::ItsOwn => file.daemon,
        ForDaemon::ItsOwnOr(other) => file.daemon.or(Some(other)),
    };
    let daemon = daemon.ok_or_else(|| {
        Failure::input(format!(
            "expected `daemon` in the section [gateways.{name}] of the configuration, or `--for`: strongswan, libreswan, iked, isakmpd or racoon"
        ))
    })?;
    let account = account(context, name, &file)?;
    let id = match (&file.id, &account) {
        (Some(id), _) => id.parse().map_err(|e| Failure::input(format!("gateways.{name}: {e}")))?,
        (None, Some(account)) => first_identity(account)?,
        (None, None) => {
            return Err(Failure::missing(format!(
                "there is neither an account `{name}` nor a section [gateways.{name}] with an `id`; `countersign peer list` shows the accounts"
            )));
        }
    };
    let mode =
        file.mode.unwrap_or(if daemon.speaks(Mode::Ikev2) { Mode::Ikev2 } else { Mode::Main });
    let material = match (&file.certificate, &account) {
        (Some(path), _) => from_file(context, name, path, &file),
        (None, Some(_)) => {
            from_records(context, file.account.as_ref().map_or(name, Label::as_str), &file)
        }
        (None, None) => Err(Failure::missing(format!(
            "the gateway `{name}` has no account and no `certificate`"
        ))),
    };
    let networks = file.networks.iter().map(|network| {
        network.parse().map_err(|e| Failure::input(format!("gateways.{name}: {e}")))
    });
    let gateway = Gateway {
        name: name.to_owned(),
        daemon,
        id,
        address: file.address,
        local_address: file.local_address,
        networks: networks.collect::<Result<_, _>>()?,
        mode,
        proposals: match file.proposals.as_slice() {
            [] => daemon.proposals(mode).to_vec(),
            named => named.to_vec(),
        },
        start: file.start,
        revocation: file.revocation,
        authorizer: file.authorizer,
    };
    let account = account.map(|account| account.name);
    Ok(Described { gateway, material, account })
}

/// The account of a gateway: the `account` of its section, or else the one with the gateway's name. `None` if the section has a
/// `certificate` (of another PKI), if the gateway's name cannot be an account's, or if there is no such account and the section has an
/// `id`.
fn account(
    context: &Context,
    name: &str,
    file: &GatewayFile,
) -> Result<Option<AccountLine>, Failure> {
    if file.certificate.is_some() {
        return Ok(None);
    }
    let label = match &file.account {
        Some(account) => account.clone(),
        None => match name.parse::<Label>() {
            Ok(label) => label,
            Err(_) => return Ok(None),
        },
    };
    match context.ask_for(Request::PeerShow { name: label }) {
        Ok(account) => Ok(Some(account)),
        Err(failure) if failure.code == 3 && file.account.is_none() && file.id.is_some() => {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

fn first_identity(account: &AccountLine) -> Result<Identity, Failure> {
    Ok(account.ids.first().map(String::as_str).unwrap_or_default().parse()?)
}

/// The newest valid certificate of an account, or the newest of all if none is valid, with the CAs, roots and CRLs of [`complete`].
fn from_records(context: &Context, account: &str, file: &GatewayFile) -> Result<Material, Failure> {
    let label: Label = account.parse()?;
    let is_valid = |line: &CertificateLine| line.status == CertificateStatus::Valid;
    let mut best: Option<CertificateLine> = None;
    let filter =
        CertificateFilter { account: Some(label), reverse: true, ..CertificateFilter::default() };
    let mut after = None;
    'pages: loop {
        let page: CertificatePage =
            context.ask_for(Request::CertList { filter: filter.clone(), after, limit: PAGE })?;
        for line in page.items {
            if is_valid(&line) {
                best = Some(line);
                break 'pages;
            }
            best = best.or(Some(line));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let best = best.ok_or_else(|| {
        Failure::missing(format!("`{account}` has no certificate yet; it must enrol first"))
    })?;
    let CertificateInFull { pem, .. } =
        context.ask_for(Request::CertShow { serial: best.serial, ca: Some(best.ca) })?;
    let certificate = certificates(pem.as_bytes())?.into_iter().next().unwrap_or_default();
    let is_revoked = matches!(best.status, CertificateStatus::Revoked | CertificateStatus::Held);
    complete(context, certificate, &[], file, is_revoked)
}

/// The certificate of another PKI, from a file with the CA certificates above it, and the CAs, roots and CRLs of [`complete`]. The first
/// certificate in the file is the gateway's own.
fn from_file(
    context: &Context,
    name: &str,
    path: &Path,
    file: &GatewayFile,
) -> Result<Material, Failure> {
    let mut chain = certificates(&read(path, MAX_CERTIFICATE)?)?.into_iter();
    let certificate = chain
        .next()
        .ok_or_else(|| Failure::input(format!("`{}` has no certificate", path.display())))?;
    let above: Vec<NamedCa> = chain
        .enumerate()
        .map(|(number, der)| NamedCa {
            name: format!("{name}-ca-{}", number.saturating_add(1)),
            der,
        })
        .collect();
    complete(context, certificate, &above, file, false)
}

/// Adds to a certificate the CAs above it, found by their signatures; the roots that its gateway trusts, which are those of `trust`, or
/// else the self-issued CA at the end of the chain; and the CRLs of all of them that this instance or `crls` has. `others` are CAs outside
/// this instance.
fn complete(
    context: &Context,
    certificate: Vec<u8>,
    others: &[NamedCa],
    file: &GatewayFile,
    is_revoked: bool,
) -> Result<Material, Failure> {
    let mut known = others.to_vec();
    let own = cas(context)?;
    known.extend(own.iter().map(|own| own.ca.clone()));
    let mut at = parse(&certificate)?;
    let (mut chain, mut roots) = (Vec::new(), Vec::new());
    for _ in 0..known.len() {
        let mut above = None;
        for ca in &known {
            let parsed = parse(&ca.der)?;
            if at.is_signed_by(&parsed) {
                above = Some((ca.clone(), parsed));
                break;
            }
        }
        let Some((ca, parsed)) = above else { break };
        if parsed.is_self_issued() {
            roots.push(ca);
            break;
        }
        chain.push(ca);
        at = parsed;
    }
    if !file.trust.is_empty() {
        let mut named = Vec::new();
        for name in &file.trust {
            named.extend(trusted(name, &known)?);
        }
        roots = named;
    }
    add_other_keys(&mut chain, &roots, &own)?;
    let mut crls = Vec::new();
    for ca in chain.iter().chain(&roots) {
        let path = context.location.folder.crls().join(format!("{}.crl", ca.name));
        if path.exists() {
            crls.push(IssuedCrl { ca: ca.name.clone(), der: read(&path, MAX_CRL)? });
        }
    }
    let cas: Vec<&NamedCa> = chain.iter().chain(&roots).collect();
    for path in &file.crls {
        let at = |e: &dyn std::fmt::Display| Failure::input(format!("`{}`: {e}", path.display()));
        let der = crl_der(read(path, MAX_CRL)?).map_err(|e| at(&e))?;
        let found = issued_crl(der, &cas).map_err(|e| at(&e))?;
        let found = found.ok_or_else(|| {
            at(&"expected a CRL of a CA above the gateway's certificate or of one in `trust`, found one of none of them")
        })?;
        crls.retain(|known| known.ca != found.ca);
        crls.push(found);
    }
    Ok(Material { certificate, chain, roots, crls, is_revoked })
}

/// Adds to `chain` the CAs with the previous and the next key of each CA in it, if they have not expired and a CA in `chain` or `roots`
/// signed them: they have certified peers, or will.
fn add_other_keys(
    chain: &mut Vec<NamedCa>,
    roots: &[NamedCa],
    own: &[OwnCa],
) -> Result<(), Failure> {
    let now = SystemClock.now();
    let mut at = 0;
    while let Some(ca) = chain.get(at) {
        let before = own.iter().find(|own| own.ca == *ca).and_then(|own| own.succeeds.as_ref());
        let is_other_key =
            |own: &&OwnCa| before == Some(&own.ca.name) || own.succeeds.as_ref() == Some(&ca.name);
        let others: Vec<_> = own.iter().filter(is_other_key).map(|own| own.ca.clone()).collect();
        for other in others {
            let parsed = parse(&other.der)?;
            let mut is_below = false;
            for above in chain.iter().chain(roots) {
                is_below |= parsed.is_signed_by(&parse(&above.der)?);
            }
            if is_below && parsed.not_after >= now && !chain.contains(&other) {
                chain.push(other);
            }
        }
        at = at.saturating_add(1);
    }
    Ok(())
}

/// The roots of an entry of `trust`, which is the name of a CA, or of a file if it contains a `/`.
fn trusted(entry: &str, known: &[NamedCa]) -> Result<Vec<NamedCa>, Failure> {
    let named = match entry.contains('/') {
        false => {
            let ca = known.iter().find(|ca| ca.name == entry).cloned();
            vec![ca.ok_or_else(|| {
                Failure::missing(format!(
                    "`trust` names the CA `{entry}`; `countersign ca show` lists those that there are, and a file has a `/` in its name"
                ))
            })?]
        }
        true => {
            // The name contains the hash, so that it is the same in all gateways that trust this root, and no other root has it.
            let named = |der: Vec<u8>| {
                let hash = ring::digest::digest(&ring::digest::SHA256, &der);
                let hash = data_encoding::HEXLOWER.encode(hash.as_ref());
                NamedCa { name: format!("trust-{}", hash.get(..16).unwrap_or_default()), der }
            };
            certificates(&read(Path::new(entry), MAX_CERTIFICATE)?)?
                .into_iter()
                .map(named)
                .collect()
        }
    };
    if named.is_empty() {
        return Err(Failure::input(format!("`{entry}` in `trust` has no certificate")));
    }
    for root in &named {
        let parsed = parse(&root.der)?;
        if !parsed.is_signed_by(&parsed) {
            return Err(Failure::input(format!(
                "`trust` names roots, and `{}` in `{entry}` is none: another CA signed it, and daemons ask for its root",
                parsed.shown()
            )));
        }
    }
    Ok(named)
}

/// The DER of a CRL in PEM or DER.
pub fn crl_der(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(b"-----BEGIN") {
        return Ok(bytes);
    }
    let (label, der) = der::pem::decode_vec(&bytes).map_err(|e| e.to_string())?;
    match label {
        "X509 CRL" => Ok(der),
        other => Err(format!("expected `X509 CRL`, found `{other}`")),
    }
}

/// A CA of the instance.
struct OwnCa {
    ca: NamedCa,
    /// The name of the CA with the key before this CA's; `None` for a first key.
    succeeds: Option<String>,
}

/// The CAs of the instance, with their certificates from the key folder.
fn cas(context: &Context) -> Result<Vec<OwnCa>, Failure> {
    let lines: Vec<CaLine> = context.ask_for(Request::CaShow)?;
    let mut cas = Vec::new();
    for CaLine { name, succeeds, .. } in lines {
        let file = context.location.folder.keys().file(&format!("{name}.crt"));
        let pem = read(&file, MAX_CERTIFICATE)?;
        let der = certificates(&pem)?.into_iter().next().unwrap_or_default();
        let ca = NamedCa { name: name.to_string(), der };
        cas.push(OwnCa { ca, succeeds: succeeds.map(|before| before.to_string()) });
    }
    Ok(cas)
}

fn parse(der: &[u8]) -> Result<Certificate, Failure> {
    Certificate::from_der(der.to_vec())
        .map_err(|e| Failure::input(format!("a certificate cannot be read: {e}")))
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    Ok(read_all(pem)?)
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", path.display()));
    if fs::metadata(path).map_err(failed)?.len() > most {
        return Err(Failure::input(format!("`{}` is larger than {most} bytes", path.display())));
    }
    fs::read(path).map_err(failed)
}
