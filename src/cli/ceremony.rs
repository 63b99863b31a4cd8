//! `countersign ca sign` and `countersign crl sign`: what an offline root signs. No server runs there; each command opens the data folder,
//! signs, and records who signed what.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use countersign_ca::founding::{Constraint, Foundation, Subordinate, SubordinateOptions};
use countersign_ca::record::{AdminAction, CrlScope, Label};
use countersign_ca::x509::to_pem;
use countersign_enroll::request::extensions::AltNames;
use countersign_enroll::request::pkcs10::certification_request_in;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::json;

use super::cert::request_in;
use super::context::Context;
use super::files::write;
use super::foundation::open_foundation;
use super::init::{LONGEST, policy};
use crate::admin::actor;
use crate::config::duration;
use crate::exit::Failure;
use crate::instance::Instance;
use crate::output;

/// `countersign ca sign`
#[derive(Debug, Args)]
#[command(after_help = "\
Example, on the machine of an offline root that `countersign init --root-only` made:\n  \
countersign ca sign --csr issuing.csr --out issuing.pem --crl-url http://pki.example.net/crl/root.crl\n\n\
The file has the certificate and those above it, root last, as `init --root-cert`, `ca add --root-cert` and `ca roll --root-cert` take it. \
Compare key_sha256 with what `openssl req -in issuing.csr -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum` shows where the \
request was made. `countersign cert revoke SERIAL --reason cACompromise` revokes the certificate, and `crl sign` then tells others.")]
pub struct Sign {
    /// The certificate request (PKCS #10, PEM or DER) of the subordinate CA
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// The file for the certificate and those above it, root last, PEM
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The CA that signs; without it the root whose key is here
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
    /// How long the certificate is valid, at most as long as that of the CA that signs
    #[arg(long, value_name = "TIME", default_value = "5y")]
    validity: String,
    /// How many CA certificates may follow this one in a path (pathLenConstraint)
    #[arg(long, value_name = "N", default_value_t = 0)]
    path_length: u8,
    /// A URL of the CRL of the CA that signs, for the CRL distribution point (repeatable)
    #[arg(long, value_name = "URL")]
    crl_url: Vec<String>,
    /// A URL of the certificate of the CA that signs, for authorityInfoAccess (repeatable)
    #[arg(long, value_name = "URL")]
    ca_url: Vec<String>,
    /// A name below which certificates are permitted (name constraint): dns:example.net, email:example.net, ip:192.0.2.0/24 (repeatable)
    #[arg(long, value_name = "NAME")]
    permit: Vec<Constraint>,
    /// A name below which certificates are excluded (repeatable)
    #[arg(long, value_name = "NAME")]
    exclude: Vec<Constraint>,
    /// A certificate policy, as OID or OID=CPS-URI (repeatable)
    #[arg(long, value_name = "OID[=URI]")]
    policy: Vec<String>,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

impl Sign {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        context.require_here("ca sign")?;
        // 1. Read the request, which proves that its sender has the key.
        let der = BASE64.decode(request_in(&self.csr)?.as_bytes());
        let der = der.map_err(|e| Failure::input(format!("`{}`: {e}", self.csr.display())))?;
        let request = certification_request_in(&der, AltNames::AsSent)?.template;
        let subject = request.subject.ok_or_else(|| {
            Failure::input(format!(
                "expected a subject in `{}`, found none: a CA has a name",
                self.csr.display()
            ))
        })?;
        let options = SubordinateOptions {
            validity: duration("--validity", &self.validity, 86_400, LONGEST)?,
            path_length: self.path_length,
            permitted: self.permit.clone(),
            excluded: self.exclude.clone(),
            policies: self.policy.iter().map(|text| policy(text)).collect::<Result<_, _>>()?,
            crl_urls: self.crl_url.iter().map(|text| url(text)).collect::<Result<_, _>>()?,
            ca_issuers_urls: self.ca_url.iter().map(|text| url(text)).collect::<Result<_, _>>()?,
        };
        // 2. Show what would be signed, and ask.
        let foundation = open_foundation(context, "sign")?;
        let prepared = foundation.subordinate(self.ca.as_ref(), subject, request.key, options)?;
        if !self.yes {
            self.confirm(&prepared)?;
        }
        // 3. Sign and record, and write the file.
        let ca = prepared.issuer().name.clone();
        let subject = prepared.content().subject.to_string();
        let (key, not_after) = (HEXLOWER.encode(&prepared.key_sha256), prepared.not_after);
        let (serial, chain) = prepared.sign()?;
        note(&foundation, "ca sign", format!("{serial} of {ca} for {subject}"))?;
        let pem = chain.iter().map(|der| to_pem("CERTIFICATE", der));
        write(&self.out, &pem.collect::<Result<String, _>>()?)?;
        output::print(
            context.format,
            &json!({
                "ca": ca,
                "serial": serial.to_string(),
                "subject": subject,
                "key_sha256": key,
                "not_after": not_after.to_string(),
                "certificate": self.out.display().to_string(),
            }),
        );
        Ok(())
    }

    /// Shows what would be signed, and asks the person at the terminal.
    fn confirm(&self, prepared: &Subordinate<'_>) -> Result<(), Failure> {
        let content = prepared.content();
        let list = |items: &[String]| match items {
            [] => "none".to_owned(),
            items => items.join(" "),
        };
        let shown = json!({
            "issuer": format!("{} ({})", prepared.issuer_subject, prepared.issuer().name),
            "subject": content.subject.to_string(),
            "key": prepared.kind.to_string(),
            "key_sha256": HEXLOWER.encode(&prepared.key_sha256),
            "not_after": prepared.not_after.to_string(),
            "path_length": self.path_length,
            "crl_urls": list(&content.crl_urls),
            "permitted": list(&self.permit.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>()),
            "excluded": list(&self.exclude.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>()),
            "policies": list(&self.policy),
        });
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::input(
                "expected a person at the terminal to confirm what is signed, found none; `--yes` signs without asking",
            ));
        }
        eprint!("{}sign it? [y/N] ", output::rendered(output::Format::Text, &shown));
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        stdin.read_line(&mut answer)?;
        match matches!(answer.trim(), "y" | "Y" | "yes") {
            true => Ok(()),
            false => Err(Failure { code: 4, message: "nothing was signed".into() }),
        }
    }
}

/// `countersign crl sign`
#[derive(Debug, Args)]
#[command(after_help = "\
Example, on the machine of an offline root:\n  \
countersign crl sign --out root.crl --next-update 180d\n\n\
The file is DER. On the server: `countersign crl import root.crl`.")]
pub struct SignCrl {
    /// The CA; without it the root whose key is here
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
    /// The file for the CRL, DER
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long the CRL is good, at most until the CA ends
    #[arg(long, value_name = "TIME", default_value = "180d")]
    next_update: String,
}

impl SignCrl {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        context.require_here("crl sign")?;
        if context.location.server()?.is_some() {
            return Err(Failure::unavailable(
                "a server runs on this data folder, and signs its CRLs: `countersign crl publish`",
            ));
        }
        let validity = duration("--next-update", &self.next_update, 3600, LONGEST)?;
        let instance = Instance::open(&context.location)?;
        let authority = instance.authority()?;
        let ca = match &self.ca {
            Some(ca) => ca.clone(),
            None => {
                let mut here = authority.cas().filter(|ca| ca.is_root && ca.can_sign);
                let newest = here.find(|ca| !authority.is_succeeded(&ca.name));
                let newest = newest.ok_or_else(|| {
                    Failure::missing(
                        "expected the key of a root here, found none; name the CA with `--ca`",
                    )
                })?;
                newest.name.clone()
            }
        };
        let record = authority.publish_crl_for(&ca, Some(validity))?;
        let done = AdminAction {
            actor: actor::own(),
            action: "crl sign".into(),
            detail: format!("{ca}, number {}", record.number),
        };
        authority.store().record_admin_action(instance.now(), &done)?;
        let crl = authority.crl(&ca, CrlScope::Full)?;
        let crl = crl.ok_or_else(|| Failure::unavailable("the file of the CRL cannot be read"))?;
        write_octets(&self.out, &crl.der)?;
        output::print(
            context.format,
            &json!({
                "ca": ca,
                "number": record.number,
                "entries": record.entries,
                "this_update": record.this_update.to_string(),
                "next_update": record.next_update.to_string(),
                "crl": self.out.display().to_string(),
            }),
        );
        Ok(())
    }
}

/// Records who did it.
fn note(foundation: &Foundation, action: &str, detail: String) -> Result<(), Failure> {
    let done = AdminAction { actor: actor::own(), action: action.into(), detail };
    Ok(foundation.store.record_admin_action(foundation.clock.now(), &done)?)
}

fn write_octets(file: &Path, octets: &[u8]) -> Result<(), Failure> {
    std::fs::write(file, octets)
        .map_err(|e| Failure::unavailable(format!("`{}`: {e}", file.display())))
}

/// A URL of a CRL or a certificate: `http:` or `ldap:`, as they are in certificates.
fn url(text: &str) -> Result<String, Failure> {
    let known = ["http://", "https://", "ldap://", "ldaps://"];
    match known.iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
        && text.bytes().all(|octet| octet.is_ascii_graphic())
    {
        true => Ok(text.to_owned()),
        false => Err(Failure::input(format!(
            "expected a URL such as `http://pki.example.net/crl/root.crl`, found `{}`",
            text.escape_debug()
        ))),
    }
}
