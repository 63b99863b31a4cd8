//! `countersign peer …`: the accounts of peers, one by one or imported from a file.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_ca::record::{Label, Permission};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::context::Context;
use crate::admin::{Request, RequestedDevice, RequestedPeer, RequestedSecret};
use crate::config::duration;
use crate::exit::Failure;
use crate::output::{self, Format};
use crate::passphrase::create_private;
use crate::wiped::Wiped;

/// The most accounts of one import.
const MAX_IMPORT: usize = 20_000;

/// The most problems of one file that a message lists.
const MAX_PROBLEMS: usize = 100;

/// The columns that an imported file may have.
const COLUMNS: [&str; 6] = ["name", "ids", "profile", "ca", "equipment", "allow"];

/// The kinds of identities. The text of an identity begins with its kind and a colon.
const IDENTITY_KINDS: [&str; 6] = ["fqdn", "dns", "ip", "email", "user-fqdn", "dn"];

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
    /// Bind an account to equipment, and allow it to enrol by its vendor's certificate (again)
    #[command(after_help = "Example:\n  countersign peer set-equipment gw7 maker:SN12345")]
    SetEquipment {
        /// Its name
        name: Label,
        /// The equipment: the name of a vendor in `trust list`, a colon, and the equipment's name in the vendor's certificate
        #[arg(value_name = "VENDOR:VALUE", required_unless_present = "none")]
        equipment: Option<String>,
        /// For how many certificates the vendor's certificate is good
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// Unbind the account from its equipment
        #[arg(long, conflicts_with_all = ["equipment", "uses"])]
        none: bool,
    },
    /// Remove an account; its certificates stay valid until they expire or are revoked
    #[command(after_help = "Example:\n  countersign peer remove gw1 --revoke")]
    Remove {
        /// Its name
        name: Label,
        /// Revoke its certificates that are still valid, too
        #[arg(long)]
        revoke: bool,
        /// The reason for the revocation: cessationOfOperation, keyCompromise, affiliationChanged, privilegeWithdrawn, …
        #[arg(
            long,
            value_name = "REASON",
            default_value = "cessationOfOperation",
            requires = "revoke"
        )]
        reason: String,
    },
    /// Give an account another reference and secret; the old ones end, with any lock on them
    ResetSecret {
        /// Its name
        name: Label,
        #[command(flatten)]
        policy: Policy,
    },
    /// Grant an account permissions, or withdraw them
    Allow {
        /// Its name
        name: Label,
        /// The permissions: key-generation, cross-certification (repeatable, or with commas)
        #[arg(
            long = "permission",
            value_name = "PERMISSION",
            required = true,
            value_delimiter = ','
        )]
        permissions: Vec<Permission>,
        /// Withdraw the permissions instead
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
    /// Permissions beyond certificates for its own keys: key-generation (the authority makes its keys),
    /// cross-certification
    #[arg(long, value_name = "PERMISSION", value_delimiter = ',')]
    allow: Vec<Permission>,
    #[command(flatten)]
    policy: Policy,
    /// Make no secret: the account is for certificates that it has already
    #[arg(long, conflicts_with_all = ["uses", "expires"])]
    no_secret: bool,
}

/// The lifetime and the uses of a secret.
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
    fn secret(&self) -> Result<RequestedSecret, Failure> {
        let lifetime = duration("--expires", &self.expires, 60, 366 * 86_400)?;
        Ok(RequestedSecret { seconds: lifetime.as_secs(), uses: self.uses })
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

/// A row of an imported file. Each field is the text of the column of its name.
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
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                for id in &add.ids {
                    check_end(id).map_err(Failure::input)?;
                }
                let device = add.equipment.as_deref();
                let device =
                    device.map(|text| requested_device(text, add.equipment_uses)).transpose()?;
                let no_secret = add.no_secret || device.is_some();
                let secret = if no_secret { None } else { Some(add.policy.secret()?) };
                let draft = RequestedPeer {
                    name: add.name.clone(),
                    ids: add.ids.clone(),
                    profile: add.profile.clone(),
                    ca: add.ca.clone(),
                    device,
                    secret,
                    permissions: add.allow.iter().copied().collect(),
                    line: None,
                };
                let mut added = Wiped::from(context.ask(Request::PeerAdd { peers: vec![draft] })?);
                added.as_array_mut().into_iter().flatten().for_each(|new| warn(context, new));
                show_new(context, added.get(0).unwrap_or(&Value::Null))
            }
            Self::List => context.show(Request::PeerList),
            Self::Show { name } => context.show(Request::PeerShow { name: name.clone() }),
            Self::SetEquipment { name, equipment, uses, none: _ } => {
                let device = equipment.as_deref();
                context.show(Request::PeerSetEquipment {
                    name: name.clone(),
                    device: device.map(|text| requested_device(text, *uses)).transpose()?,
                })
            }
            Self::Remove { name, revoke, reason } => context.show(Request::PeerRemove {
                name: name.clone(),
                revoke: revoke.then(|| reason.clone()),
            }),
            Self::ResetSecret { name, policy } => {
                let mut new = Wiped::from(context.ask(Request::PeerResetSecret {
                    name: name.clone(),
                    secret: policy.secret()?,
                })?);
                warn(context, &mut new);
                show_new(context, &new)
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

/// Parses `VENDOR:VALUE`.
fn requested_device(text: &str, uses: u32) -> Result<RequestedDevice, Failure> {
    let parts =
        text.split_once(':').and_then(|(vendor, value)| Some((vendor.parse().ok()?, value)));
    let (vendor, value) = parts.ok_or_else(|| {
        Failure::input(format!(
            "expected equipment as VENDOR:VALUE, such as `maker:SN12345`, found `{}`",
            text.escape_debug()
        ))
    })?;
    Ok(RequestedDevice { vendor, value: value.to_owned(), uses })
}

/// Prints the warnings about an account with a new secret on standard error, for people. A script finds them in the JSON answer.
fn warn(context: &Context, new: &mut Value) {
    if context.format == Format::Json {
        return;
    }
    let warnings = new.as_object_mut().and_then(|fields| fields.remove("warnings"));
    let name = new.get("name").and_then(Value::as_str).unwrap_or_default();
    for warning in warnings.iter().flat_map(|all| all.as_array()).flatten() {
        let text = warning.as_str().unwrap_or_default();
        output::warning(&format!("account `{name}`: {text}"));
    }
}

/// The failure to hand a secret out, which nobody can read any more. `to` is the place that did not take it.
fn lost(to: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::unavailable(format!(
        "{to}: {why}. What was asked for is done, and the new secrets are lost: `countersign peer reset-secret NAME` makes another"
    ))
}

/// Prints an account with its secret and, for people, the commands that enrol its gateway.
///
/// # Errors
/// Standard output does not take the secret.
fn show_new(context: &Context, new: &Value) -> Result<(), Failure> {
    output::hand_out(context.format, new).map_err(|e| lost("standard output", &e))?;
    let text = |key: &str| new.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, reference, secret) =
        (text("name"), text("reference"), Zeroizing::new(text("secret")));
    // What the recipe names is on the machine of the instance.
    if context.format == Format::Json || secret.is_empty() || context.remote.is_some() {
        return Ok(());
    }
    let ServerAddress { url, authority, path } = server_address(context);
    let secret = secret.as_str();
    output::line(&Zeroizing::new(format!(
        "\nThe secret is shown this once. On the gateway, which needs the root certificate `{root}` as root.crt:\n\n\
(umask 077; echo '{secret}' > {name}.secret)\n\
countersign enroll --server {url} --reference {reference} --secret-file {name}.secret --trust root.crt --out {name}\n\n\
or with OpenSSL:\n\n\
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key\n\
openssl cmp -cmd ir -server {authority} -path {path} -ref {reference} -secret file:{name}.secret -newkey {name}.key -certout {name}.crt -cacertsout root.crt",
        root = context.location.folder.keys().file("root.crt").display(),
    )));
    Ok(())
}

/// The server's address, as gateways reach it.
struct ServerAddress {
    /// The URL, without a slash at its end.
    url: String,
    /// The host, and the port if the URL has one, as OpenSSL's `-server` takes them.
    authority: String,
    /// The path of CMP, as OpenSSL's `-path` takes it.
    path: String,
}

/// The server's address: that of `http.public_url`, of the running server, or of the configuration, in this order. If the configuration
/// cannot be read and no server runs, it is `http://127.0.0.1:8829`.
fn server_address(context: &Context) -> ServerAddress {
    let config = context.location.config().ok();
    let public = config.as_ref().and_then(|config| config.file.http.public_url.clone());
    let listen = || std::fs::read_to_string(context.location.folder.listen()).ok();
    let configured = || config.map(|config| format!("http://{}", config.file.http.listen));
    let url = public.or_else(listen).or_else(configured);
    let url = url.unwrap_or_else(|| "http://127.0.0.1:8829".into());
    let url = url.trim().trim_end_matches('/').to_owned();
    let rest = url.trim_start_matches("http://");
    let (authority, below) = rest.split_once('/').unwrap_or((rest, ""));
    let path = match below {
        "" => ".well-known/cmp".to_owned(),
        below => format!("{below}/.well-known/cmp"),
    };
    ServerAddress { authority: authority.to_owned(), path, url }
}

impl Import {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let peers = read_rows(&self.file, self.policy.secret()?)?;
        if let Some(out) = self.out.as_ref().filter(|out| out.exists()) {
            return Err(Failure::missing(format!("`{}` exists already", out.display())));
        }
        // The file is made before the accounts: a folder that cannot be written to must not cost their secrets.
        let mut file = self.out.as_deref().map(create_private).transpose()?;
        let mut added = Wiped::from(context.ask(Request::PeerAdd { peers }).inspect_err(|_| {
            if let Some(out) = &self.out {
                let _ = std::fs::remove_file(out);
            }
        })?);
        added.as_array_mut().into_iter().flatten().for_each(|new| warn(context, new));
        let text = Zeroizing::new(match context.format {
            Format::Json => serde_json::to_string_pretty(&*added).unwrap_or_default(),
            Format::Text => as_csv(&added)?,
        });
        match (&mut file, &self.out) {
            (Some(file), Some(out)) => {
                let text = Zeroizing::new(format!("{}\n", text.trim_end()));
                let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
                written.map_err(|e| lost(&format!("`{}`", out.display()), &e))
            }
            _ => output::deliver(&text).map_err(|e| lost("standard output", &e)),
        }
    }
}

fn read_rows(file: &Path, secret: RequestedSecret) -> Result<Vec<RequestedPeer>, Failure> {
    let name = file.display();
    let mut source: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(
            std::fs::File::open(file)
                .map_err(|e| Failure::unavailable(format!("`{name}`: {e}")))?,
        ),
    };
    let mut octets = Vec::new();
    source
        .by_ref()
        .take(MAX_FILE + 1)
        .read_to_end(&mut octets)
        .map_err(|e| Failure::unavailable(format!("`{name}`: {e}")))?;
    if octets.len() as u64 > MAX_FILE {
        return Err(Failure::input(format!(
            "`{name}`: expected at most {} MiB, found more; import it in parts",
            MAX_FILE >> 20
        )));
    }
    let mut lines = Lines { octets: &octets, at: 0, line: 1 };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(octets.as_slice());
    let (mut peers, mut problems) = (Vec::new(), Vec::new());
    let heads = reader
        .headers()
        .map_err(|e| Failure::input(format!("`{name}`: {}", unreadable(&e, &mut lines))))?;
    let heads = heads.clone();
    check_heads(&heads).map_err(|why| Failure::input(format!("`{name}`, line 1: {why}")))?;
    for record in reader.records() {
        let drafted = match record.and_then(|record| {
            let line = record.position().map_or(0, |at| lines.line_at(at.byte()));
            record.deserialize::<Row>(Some(&heads)).map(|row| (line, row))
        }) {
            Ok((line, row)) => draft_of(row, line, secret).map_err(|problems| {
                let message = |problem: ColumnProblem| {
                    format!("line {line}, column `{}`: {}", problem.column, problem.why)
                };
                problems.into_iter().map(message).collect()
            }),
            Err(error) => Err(vec![unreadable(&error, &mut lines)]),
        };
        match drafted {
            Ok(_) if peers.len() == MAX_IMPORT => {
                return Err(Failure::input(format!(
                    "`{name}`: expected at most {MAX_IMPORT} accounts at once"
                )));
            }
            Ok(draft) => peers.push(draft),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        return Err(Failure::input(format!("`{name}`:\n{}", problems.join("\n"))));
    }
    match peers.is_empty() {
        true => Err(Failure::input(format!(
            "`{name}` holds no accounts; expected a head line `name,ids,profile` and more"
        ))),
        false => Ok(peers),
    }
}

/// A problem of one column in a row.
struct ColumnProblem {
    column: &'static str,
    why: String,
}

/// A row as an account, or all its problems.
fn draft_of(
    row: Row,
    line: u64,
    secret: RequestedSecret,
) -> Result<RequestedPeer, Vec<ColumnProblem>> {
    let mut wrong = Vec::new();
    let mut label = |column: &'static str, text: &str| match text.parse::<Label>() {
        Ok(label) => Some(label),
        Err(e) => {
            wrong.push(ColumnProblem { column, why: e.to_string() });
            None
        }
    };
    let optional = |text: Option<String>| text.filter(|text| !text.is_empty());
    let name = label("name", &row.name);
    let profile = label("profile", &optional(row.profile).unwrap_or_else(|| "gateway".into()));
    let ca = optional(row.ca).map(|ca| label("ca", &ca));
    let ids: Vec<String> = split_ids(&row.ids).into_iter().filter(|id| !id.is_empty()).collect();
    for id in &ids {
        let read = || id.parse::<countersign_ca::Identity>().map_err(|e| e.to_string());
        if let Err(why) = check_end(id).and_then(|()| read().map(drop)) {
            wrong.push(ColumnProblem { column: "ids", why });
        }
    }
    let device = optional(row.equipment).and_then(|text| match requested_device(&text, 1) {
        Ok(device) => Some(device),
        Err(e) => {
            wrong.push(ColumnProblem { column: "equipment", why: e.message });
            None
        }
    });
    let allow = row.allow.unwrap_or_default();
    let mut permissions = BTreeSet::new();
    for text in allow.split([' ', ';']).filter(|permission| !permission.is_empty()) {
        match text.parse::<Permission>() {
            Ok(permission) => drop(permissions.insert(permission)),
            Err(e) => wrong.push(ColumnProblem { column: "allow", why: e.to_string() }),
        }
    }
    match (name, profile, wrong.is_empty()) {
        (Some(name), Some(profile), true) => Ok(RequestedPeer {
            name,
            ids,
            profile,
            ca: ca.flatten(),
            secret: Some(secret).filter(|_| device.is_none()),
            device,
            permissions,
            line: Some(line),
        }),
        _ => Err(wrong),
    }
}

/// Refuses a DN in which a word looks like the start of another identity, with a kind that may be misspelt. The word would silently become
/// part of the DN.
fn check_end(id: &str) -> Result<(), String> {
    let Some(name) = id.strip_prefix("dn:") else { return Ok(()) };
    let words = name.split(|c: char| c == ';' || c.is_whitespace()).skip(1);
    for (word, kind) in words.filter_map(|word| Some((word, word.split_once(':')?.0))) {
        let meant = IDENTITY_KINDS.iter().find(|known| {
            let spelt = kind.to_ascii_lowercase();
            // A misspelling of a kind with two letters would match too many words.
            spelt == **known || (spelt.len() > 2 && strsim::osa_distance(&spelt, known) == 1)
        });
        if let Some(meant) = meant {
            return Err(format!(
                "`{}` in `{}` looks like an identity of its own, of the kind `{meant}:`. Each begins with its kind, which is one of \
                 {}; `peer add` takes each with an `--id` of its own. If it belongs to the name, write its colon as `\\3A`",
                word.escape_debug(),
                id.escape_debug(),
                IDENTITY_KINDS.map(|kind| format!("`{kind}:`")).join(", ")
            ));
        }
    }
    Ok(())
}

/// Splits identities at blanks and semicolons. A DN may contain both; it ends where a word begins with the kind of another identity.
fn split_ids(text: &str) -> Vec<String> {
    let begins =
        |part: &str| part.split_once(':').is_some_and(|(kind, _)| IDENTITY_KINDS.contains(&kind));
    let mut ids: Vec<String> = Vec::new();
    for part in text.split_inclusive(|c: char| c == ';' || c.is_whitespace()) {
        match ids.last_mut() {
            Some(last) if last.starts_with("dn:") && !begins(part) => last.push_str(part),
            _ => ids.push(part.to_owned()),
        }
    }
    let trimmed = |id: String| match id.ends_with("\\ ") {
        true => id,
        false => id.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned(),
    };
    ids.into_iter().map(trimmed).collect()
}

/// Checks the head line: known columns, each once, with all mandatory ones.
fn check_heads(heads: &csv::StringRecord) -> Result<(), String> {
    let known = COLUMNS.map(|column| format!("`{column}`")).join(", ");
    for (number, head) in heads.iter().enumerate() {
        if !COLUMNS.contains(&head) {
            return Err(format!(
                "expected a head line with columns among {known}, found `{}`",
                head.escape_debug()
            ));
        }
        if heads.iter().take(number).any(|other| other == head) {
            return Err(format!("the column `{head}` is there twice"));
        }
    }
    match ["name", "ids"].iter().find(|must| !heads.iter().any(|head| head == **must)) {
        Some(missing) => Err(format!("the head line has no column `{missing}`; there are {known}")),
        None => Ok(()),
    }
}

/// Counts the lines of a file up to an octet. The CSV reader's position of a row may be before line ends and empty lines that precede the
/// row; these are counted, too.
struct Lines<'a> {
    octets: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the row that begins at this octet. The octets of successive calls must not decrease.
    fn line_at(&mut self, byte: u64) -> u64 {
        let wanted = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some(octet) = self.octets.get(self.at) {
            if self.at >= wanted && !matches!(octet, b'\r' | b'\n') {
                break;
            }
            self.line = self.line.saturating_add(u64::from(*octet == b'\n'));
            self.at = self.at.saturating_add(1);
        }
        self.line
    }
}

/// Why a row cannot be read, with its line if the CSV reader knows it.
fn unreadable(error: &csv::Error, lines: &mut Lines<'_>) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos: Some(at), expected_len, len } => {
            let line = lines.line_at(at.byte());
            format!("line {line}: expected {expected_len} columns, found {len}")
        }
        csv::ErrorKind::Utf8 { pos: Some(at), err } => {
            let (line, column) = (lines.line_at(at.byte()), err.field().saturating_add(1));
            format!("line {line}, column {column}: it is not UTF-8")
        }
        other => format!("{other:?}"),
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
