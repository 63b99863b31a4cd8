//! `countersign peer …`

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_ca::record::{Label, Permission};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Context;
use crate::admin::{EquipmentAsked, PeerDraft, Request, Secret};
use crate::config::duration;
use crate::exit::Failure;
use crate::output::{self, Format};
use crate::passphrase::write_private;
use crate::wiped::Wiped;

/// The most accounts of one import.
const MAX_IMPORT: usize = 20_000;

/// The largest file to import, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// `countersign peer …`
#[derive(Debug, Subcommand)]
pub enum Peer {
    /// Add an account, and print its reference and secret once
    Add(Add),
    /// List the accounts
    List,
    /// Show one account
    Show {
        /// Its name
        name: Label,
    },
    /// Say which equipment an account is for, and allow it to enrol by its vendor's certificate (again)
    #[command(after_help = "Example:\n  countersign peer set-equipment gw7 maker:SN12345")]
    SetEquipment {
        /// Its name
        name: Label,
        /// The equipment: the name of a vendor in `trust list`, a colon, and what names it in the vendor's certificate
        #[arg(value_name = "VENDOR:VALUE", required_unless_present = "none")]
        equipment: Option<String>,
        /// For how many certificates the vendor's certificate is good
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// The account is for no equipment any more
        #[arg(long, conflicts_with_all = ["equipment", "uses"])]
        none: bool,
    },
    /// Remove an account; its certificates stay valid until they expire or are revoked
    Remove {
        /// Its name
        name: Label,
    },
    /// Give an account another reference and secret; the old ones end, with any lock on them
    ResetSecret {
        /// Its name
        name: Label,
        #[command(flatten)]
        policy: Policy,
    },
    /// Grant an account permissions, or take them away
    Allow {
        /// Its name
        name: Label,
        /// What it may do: key-generation, cross-certification (repeatable, or with commas)
        #[arg(
            long = "permission",
            value_name = "PERMISSION",
            required = true,
            value_delimiter = ','
        )]
        permissions: Vec<Permission>,
        /// Take them away
        #[arg(long)]
        revoke: bool,
    },
    /// Add many accounts at once, all or none
    Import(Import),
}

/// `countersign peer add`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign peer add gw1 --id fqdn:gw1.example.net --id ip:192.0.2.1 --profile gateway"
)]
pub struct Add {
    /// Its name
    name: Label,
    /// An identity that its certificates may carry: fqdn:, ip:, email: or dn: (repeatable)
    #[arg(long = "id", value_name = "IDENTITY", required = true)]
    ids: Vec<String>,
    /// The profile that shapes its certificates
    #[arg(long, default_value = "gateway")]
    profile: Label,
    /// Its issuing CA, if not the default
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
    /// The equipment that may enrol by its vendor's certificate instead of a secret, such as maker:SN12345
    #[arg(long, value_name = "VENDOR:VALUE", conflicts_with_all = ["uses", "expires"])]
    equipment: Option<String>,
    /// For how many certificates the vendor's certificate is good
    #[arg(long, value_name = "N", default_value_t = 1, requires = "equipment", value_parser = clap::value_parser!(u32).range(1..))]
    equipment_uses: u32,
    /// What it may do beyond asking for certificates for its own keys: key-generation (the authority makes its keys),
    /// cross-certification
    #[arg(long, value_name = "PERMISSION", value_delimiter = ',')]
    allow: Vec<Permission>,
    #[command(flatten)]
    policy: Policy,
    /// Make no secret: the account is for certificates that it has already
    #[arg(long, conflicts_with_all = ["uses", "expires"])]
    no_secret: bool,
}

/// How long and how often a secret is good.
#[derive(Debug, Clone, Args)]
pub struct Policy {
    /// For how many certificates the secret is good
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// How long the secret is good
    #[arg(long, value_name = "TIME", default_value = "7d")]
    expires: String,
}

impl Policy {
    fn secret(&self) -> Result<Secret, Failure> {
        let lifetime = duration("--expires", &self.expires, 60, 366 * 86_400)?;
        Ok(Secret { seconds: lifetime.as_secs(), uses: self.uses })
    }
}

/// `countersign peer import`
#[derive(Debug, Args)]
#[command(after_help = "\
The file has a head line and the columns name, ids, and if need be profile, ca, allow and equipment (VENDOR:VALUE):\n\n  \
name,ids,profile\n  \
gw1,fqdn:gw1.example.net ip:192.0.2.1,gateway\n\n\
Each account's reference and secret are printed once, as CSV or JSON.")]
pub struct Import {
    /// The file; `-` for standard input
    file: PathBuf,
    #[command(flatten)]
    policy: Policy,
    /// Write the references and secrets to this new file, readable by its owner only, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    ids: String,
    #[serde(default)]
    profile: Option<String>,
    #[serde(default)]
    ca: Option<String>,
    #[serde(default)]
    equipment: Option<String>,
    #[serde(default)]
    allow: Option<String>,
}

impl Peer {
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                let equipment = add.equipment.as_deref();
                let equipment =
                    equipment.map(|text| equipment_of(text, add.equipment_uses)).transpose()?;
                let no_secret = add.no_secret || equipment.is_some();
                let secret = if no_secret { None } else { Some(add.policy.secret()?) };
                let draft = PeerDraft {
                    name: add.name.clone(),
                    ids: add.ids.clone(),
                    profile: add.profile.clone(),
                    ca: add.ca.clone(),
                    equipment,
                    secret,
                    permissions: add.allow.iter().copied().collect(),
                };
                let added = Wiped::from(context.ask(Request::PeerAdd { peers: vec![draft] })?);
                show_new(context, added.get(0).unwrap_or(&Value::Null));
                Ok(())
            }
            Self::List => context.show(Request::PeerList),
            Self::Show { name } => context.show(Request::PeerShow { name: name.clone() }),
            Self::SetEquipment { name, equipment, uses, none: _ } => {
                let equipment = equipment.as_deref();
                context.show(Request::PeerSetEquipment {
                    name: name.clone(),
                    equipment: equipment.map(|text| equipment_of(text, *uses)).transpose()?,
                })
            }
            Self::Remove { name } => context.show(Request::PeerRemove { name: name.clone() }),
            Self::ResetSecret { name, policy } => {
                let new = Wiped::from(context.ask(Request::PeerResetSecret {
                    name: name.clone(),
                    secret: policy.secret()?,
                })?);
                show_new(context, &new);
                Ok(())
            }
            Self::Allow { name, permissions, revoke } => context.show(Request::PeerPermit {
                name: name.clone(),
                permissions: permissions.iter().copied().collect(),
                granted: !revoke,
            }),
            Self::Import(import) => import.run(context),
        }
    }
}

/// `VENDOR:VALUE`.
fn equipment_of(text: &str, uses: u32) -> Result<EquipmentAsked, Failure> {
    let parts =
        text.split_once(':').and_then(|(vendor, value)| Some((vendor.parse().ok()?, value)));
    let (vendor, value) = parts.ok_or_else(|| {
        Failure::input(format!(
            "expected equipment as VENDOR:VALUE, such as `maker:SN12345`, found `{}`",
            text.escape_debug()
        ))
    })?;
    Ok(EquipmentAsked { vendor, value: value.to_owned(), uses })
}

/// An account with its secret and, for people, the lines that enrol it.
fn show_new(context: &Context, new: &Value) {
    output::print(context.format, new);
    let text = |key: &str| new.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, reference, secret) =
        (text("name"), text("reference"), Zeroizing::new(text("secret")));
    if context.format == Format::Json || secret.is_empty() {
        return;
    }
    let listen = std::fs::read_to_string(context.place.folder.listen()).ok();
    let address = listen.as_deref().map(|url| url.trim().trim_start_matches("http://").to_owned());
    let address = address
        .or_else(|| context.place.config().ok().map(|config| config.file.http.listen.to_string()))
        .unwrap_or_else(|| "127.0.0.1:8829".into());
    let secret = secret.as_str();
    output::line(&Zeroizing::new(format!(
        "\nThe secret is shown this once. On the gateway:\n\n\
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key\n\
(umask 077; echo {secret} > {name}.secret)\n\
openssl cmp -cmd ir -server {address} -path .well-known/cmp -ref {reference} -secret file:{name}.secret -newkey {name}.key -certout {name}.crt -cacertsout root.crt"
    )));
}

impl Import {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let peers = read_rows(&self.file, self.policy.secret()?)?;
        if let Some(out) = self.out.as_ref().filter(|out| out.exists()) {
            return Err(Failure::missing(format!("`{}` exists already", out.display())));
        }
        let added = Wiped::from(context.ask(Request::PeerAdd { peers })?);
        let text = Zeroizing::new(match context.format {
            Format::Json => serde_json::to_string_pretty(&*added).unwrap_or_default(),
            Format::Text => as_csv(&added)?,
        });
        match &self.out {
            Some(out) => {
                write_private(out, Zeroizing::new(format!("{}\n", text.trim_end())).as_bytes())
            }
            None => {
                output::line(&text);
                Ok(())
            }
        }
    }
}

fn read_rows(file: &Path, secret: Secret) -> Result<Vec<PeerDraft>, Failure> {
    let name = file.display();
    let source: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(
            std::fs::File::open(file)
                .map_err(|e| Failure::unavailable(format!("`{name}`: {e}")))?,
        ),
    };
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source.take(MAX_FILE));
    let mut peers = Vec::new();
    for (row, line) in reader.deserialize::<Row>().zip(2_u64..) {
        let wrong = |why: String| Failure::input(format!("`{name}`, line {line}: {why}"));
        let row = row.map_err(|e| wrong(e.to_string()))?;
        if peers.len() == MAX_IMPORT {
            return Err(wrong(format!("expected at most {MAX_IMPORT} accounts at once")));
        }
        let label = |text: &str| text.parse::<Label>().map_err(|e| wrong(e.to_string()));
        let optional = |text: Option<String>| text.filter(|text| !text.is_empty());
        let ids: Vec<String> =
            row.ids.split([' ', ';']).filter(|id| !id.is_empty()).map(str::to_owned).collect();
        for id in &ids {
            id.parse::<countersign_ca::Identity>().map_err(|e| wrong(e.to_string()))?;
        }
        let equipment = optional(row.equipment);
        let equipment = equipment
            .map(|text| equipment_of(&text, 1).map_err(|e| wrong(e.message)))
            .transpose()?;
        let allow = row.allow.unwrap_or_default();
        let allow = allow.split([' ', ';']).filter(|permission| !permission.is_empty());
        peers.push(PeerDraft {
            name: label(&row.name)?,
            ids,
            profile: label(&optional(row.profile).unwrap_or_else(|| "gateway".into()))?,
            ca: optional(row.ca).map(|ca| label(&ca)).transpose()?,
            secret: Some(secret).filter(|_| equipment.is_none()),
            equipment,
            permissions: allow
                .map(|permission| {
                    permission.parse().map_err(|e: countersign_ca::Error| wrong(e.to_string()))
                })
                .collect::<Result<_, _>>()?,
        });
    }
    match peers.is_empty() {
        true => Err(Failure::input(format!(
            "`{name}` holds no accounts; expected a head line `name,ids,profile` and more"
        ))),
        false => Ok(peers),
    }
}

fn as_csv(added: &Value) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |e: &dyn std::fmt::Display| Failure { code: 1, message: e.to_string() };
    writer.write_record(["name", "reference", "secret"]).map_err(|e| failed(&e))?;
    for new in added.as_array().into_iter().flatten() {
        let text = |key: &str| new.get(key).and_then(Value::as_str).unwrap_or_default();
        writer
            .write_record([text("name"), text("reference"), text("secret")])
            .map_err(|e| failed(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}
