//! `countersign peer …`: the accounts of peers, one by one or imported from a file.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_ca::record::line::issuing_now;
use countersign_ca::record::{AccountLabel, Label, Permission};
use countersign_ca::x509::{Facts, read_all};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::cert::{IssuedTo, request_in};
use super::context::Context;
use super::files::read;
use crate::admin::answer::{AccountLine, AccountPage, CaLine, EditedAccount, to_value};
use crate::admin::{
    AccountFilter, AccountState, Existing, Request, RequestedDevice, RequestedEdit, RequestedPeer,
    RequestedSecret,
};
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
const COLUMNS: [&str; 9] =
    ["name", "ids", "profile", "ca", "equipment", "allow", "labels", "owner", "note"];

/// The kinds of identities. The text of an identity begins with its kind and a colon.
const IDENTITY_KINDS: [&str; 6] = ["fqdn", "dns", "ip", "email", "user-fqdn", "dn"];

/// The largest file to import, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// `countersign peer …`
#[derive(Debug, Subcommand)]
pub enum Peer {
    /// Add an account, and print its reference and secret once
    Add(Box<Add>),
    /// List the accounts
    #[command(after_help = "\
Examples:
  countersign peer list --label site=berlin
  countersign peer list --state never-enrolled
  countersign peer list --expires-within 14d --sort expires --format csv")]
    List(Box<List>),
    /// Change an account: its identities, profile, CA, labels, owner and note
    ///
    /// The change counts for the next certificate. Those that the account has stay as they are.
    #[command(after_help = "\
Examples:
  countersign peer edit gw1 --add-id ip:192.0.2.7 --remove-id ip:192.0.2.1
  countersign peer edit gw1 --label site=berlin --owner 'network team'")]
    Edit(Box<Edit>),
    /// Disable an account: nothing that it asks for is granted. Its certificates stay valid for IKE peers until they expire or are revoked
    Disable {
        /// The name of the account
        name: Label,
    },
    /// Enable an account that was disabled
    Enable {
        /// The name of the account
        name: Label,
    },
    /// Give an account another name: it keeps its certificates, its secret and its requests, and the old name is free
    #[command(after_help = "Example:\n  countersign peer rename gw7 berlin-gw7")]
    Rename {
        /// Its name
        name: Label,
        /// The name that it gets
        new: Label,
    },
    /// Show one account
    Show {
        /// The name of the account
        name: Label,
    },
    /// Bind an account to equipment, and allow it to enrol by its vendor's certificate (again)
    #[command(after_help = "Example:\n  countersign peer set-equipment gw7 maker:SN12345")]
    SetEquipment {
        /// The name of the account
        name: Label,
        /// The equipment: the name of a vendor in `trust list`, a colon, and the equipment's name in the vendor's certificate
        #[arg(value_name = "VENDOR:VALUE", required_unless_present = "none")]
        equipment: Option<String>,
        /// How many certificates the device may get by the vendor's certificate
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// Unbind the account from its equipment
        #[arg(long, conflicts_with_all = ["equipment", "uses"])]
        none: bool,
    },
    /// Remove an account; its certificates stay valid until they expire or are revoked
    #[command(after_help = "Example:\n  countersign peer remove gw1 --revoke")]
    Remove {
        /// The name of the account
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
        /// The name of the account
        name: Label,
        #[command(flatten)]
        policy: Policy,
    },
    /// Grant an account permissions, or withdraw them
    Allow {
        /// The name of the account
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
    /// The name of the account
    name: Label,
    /// An identity that its certificates may carry: fqdn:, ip:, email: or dn: (repeatable)
    #[arg(long = "id", value_name = "IDENTITY", required_unless_present = "csr")]
    ids: Vec<String>,
    /// The profile that shapes its certificates
    #[arg(long, default_value = "gateway")]
    profile: Label,
    /// The issuing CA of the account, if not the default
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
    /// The equipment that may enrol by its vendor's certificate instead of a secret, such as maker:SN12345
    #[arg(long, value_name = "VENDOR:VALUE", conflicts_with_all = ["uses", "expires"])]
    equipment: Option<String>,
    /// How many certificates the device may get by the vendor's certificate
    #[arg(long, value_name = "N", default_value_t = 1, requires = "equipment", value_parser = clap::value_parser!(u32).range(1..))]
    equipment_uses: u32,
    /// Permissions beyond certificates for its own keys: key-generation (the authority makes its keys),
    /// cross-certification
    #[arg(long, value_name = "PERMISSION", value_delimiter = ',')]
    allow: Vec<Permission>,
    /// A label, such as site=berlin (repeatable)
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// The person or group that answers for the peer
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// A free-text note about the account
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    policy: Policy,
    /// Issue the certificate at once by this request (PKCS #10, PEM or DER), and make no secret. Without `--id`, the account gets the names
    /// in the request
    #[arg(long, value_name = "FILE", conflicts_with_all = ["uses", "expires", "equipment", "no_secret"])]
    csr: Option<PathBuf>,
    #[command(flatten)]
    issued: IssuedTo,
    /// Make no secret: the account is for certificates that it has already
    #[arg(long, conflicts_with_all = ["uses", "expires"])]
    no_secret: bool,
}

/// The lifetime and the uses of a secret.
#[derive(Debug, Clone, Args)]
pub struct Policy {
    /// How many certificates the secret may be used for
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// How long the secret is valid
    #[arg(long, value_name = "TIME", default_value = "7d")]
    expires: String,
}

impl Policy {
    fn secret(&self) -> Result<RequestedSecret, Failure> {
        let lifetime = duration("--expires", &self.expires, 60, 366 * 86_400)?;
        Ok(RequestedSecret { seconds: lifetime.as_secs(), uses: self.uses })
    }
}

/// `countersign peer list`: every condition that is given must hold.
#[derive(Debug, Args)]
pub struct List {
    /// List only accounts whose name begins with this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// List only accounts with this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<Label>,
    /// List only accounts that name this CA
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
    /// List only accounts with this label
    #[arg(long, value_name = "KEY=VALUE")]
    label: Option<String>,
    /// List only accounts that hold this identity
    #[arg(long = "id", value_name = "IDENTITY")]
    identity: Option<String>,
    /// List only disabled accounts
    #[arg(long)]
    disabled: bool,
    /// List only accounts that are enrolled, that have no valid certificate any more, or that never enrolled
    #[arg(long, value_enum)]
    state: Option<AccountState>,
    /// List only accounts whose valid certificate ends within this time, such as 30d
    #[arg(long, value_name = "TIME")]
    expires_within: Option<String>,
    /// The order; accounts without the value that it sorts by come last
    #[arg(long, value_enum, default_value_t)]
    sort: AccountSort,
    /// Reverse the order
    #[arg(long)]
    reverse: bool,
    /// Print one page of at most this many, by name, and the name after which the next page begins (as JSON: `items` and `next`). A page
    /// may have fewer accounts although more follow
    #[arg(long, value_name = "N", conflicts_with_all = ["sort", "reverse"], value_parser = clap::value_parser!(u16).range(1..=1000))]
    page: Option<u16>,
    /// Begin after this name
    #[arg(long, value_name = "NAME", requires = "page")]
    after: Option<Label>,
}

/// The order of a list of accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum AccountSort {
    /// By name
    #[default]
    Name,
    /// The account whose valid certificate ends first comes first
    Expires,
    /// The account whose last certificate is the oldest comes first
    LastSeen,
    /// The oldest account first
    Created,
}

/// The number of accounts that are asked for at once.
const PAGE: usize = 1000;

/// The largest `--expires-within`, in seconds.
const MAX_WINDOW: u64 = 100 * 366 * 86_400;

impl List {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let within = self.expires_within.as_deref();
        let within = within.map(|text| duration("--expires-within", text, 1, MAX_WINDOW));
        let filter = AccountFilter {
            prefix: self.prefix.clone(),
            profile: self.profile.clone(),
            ca: self.ca.clone(),
            label: self.label.clone(),
            identity: self.identity.clone(),
            disabled: self.disabled.then_some(true),
            state: self.state,
            expires_within: within.transpose()?.map(|within| within.as_secs()),
        };
        if let Some(limit) = self.page {
            let limit = limit.into();
            let request = Request::PeerList { filter, after: self.after.clone(), limit };
            return context.show_page(request, limit);
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let request = Request::PeerList { filter: filter.clone(), after, limit: PAGE };
            let page: AccountPage = context.ask_for(request)?;
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.sort(&mut found);
        output::print(context.format, &to_value(found)?);
        Ok(())
    }

    /// Sorts accounts, which are sorted by name. Moments are in RFC 3339 and UTC, so that their texts are in the order of time.
    fn sort(&self, found: &mut [AccountLine]) {
        let key = |line: &AccountLine| match self.sort {
            AccountSort::Name => Some(line.name.to_string()),
            AccountSort::Expires => line.not_after.clone(),
            AccountSort::LastSeen => line.last_seen.clone(),
            AccountSort::Created => Some(line.created.clone()),
        };
        found.sort_by(|a, b| match (key(a), key(b)) {
            (Some(a), Some(b)) if self.reverse => b.cmp(&a),
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
}

/// `countersign peer edit`
#[derive(Debug, Args)]
pub struct Edit {
    /// The name of the account
    name: Label,
    /// An identity to add: fqdn:, ip:, email: or dn: (repeatable)
    #[arg(long = "add-id", value_name = "IDENTITY")]
    add_ids: Vec<String>,
    /// An identity to remove (repeatable)
    #[arg(long = "remove-id", value_name = "IDENTITY")]
    remove_ids: Vec<String>,
    /// The profile that shapes its certificates
    #[arg(long)]
    profile: Option<Label>,
    /// The issuing CA of the account
    #[arg(long, value_name = "NAME")]
    ca: Option<Label>,
    /// Have the default CA issue
    #[arg(long, conflicts_with = "ca")]
    default_ca: bool,
    /// A label to set, such as site=berlin (repeatable)
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// The key of a label to remove (repeatable)
    #[arg(long = "remove-label", value_name = "KEY")]
    remove_labels: Vec<String>,
    /// The person or group that answers for the peer; empty for none
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// A free-text note about the account; empty for none
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl Edit {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        for id in &self.add_ids {
            check_end(id).map_err(Failure::input)?;
        }
        let ca = self.ca.as_ref().map(ToString::to_string);
        let edit = RequestedEdit {
            add_ids: self.add_ids.clone(),
            remove_ids: self.remove_ids.clone(),
            profile: self.profile.clone(),
            ca: if self.default_ca { Some(String::new()) } else { ca },
            labels: self.labels.clone(),
            remove_labels: self.remove_labels.clone(),
            owner: self.owner.clone(),
            note: self.note.clone(),
        };
        let request = Request::PeerEdit { name: self.name.clone(), edit: Box::new(edit) };
        show_edited(context, &self.name, context.ask_for(request)?)
    }
}

/// Prints an account after a change, and for people the warnings on standard error. A script finds them in the JSON answer.
fn show_edited(context: &Context, name: &Label, edited: EditedAccount) -> Result<(), Failure> {
    if context.format == Format::Json {
        output::print(context.format, &to_value(edited)?);
        return Ok(());
    }
    for text in &edited.warnings {
        output::warning(&format!("account `{name}`: {text}"));
    }
    output::print(context.format, &to_value(edited.account)?);
    Ok(())
}

/// `countersign peer import`
#[derive(Debug, Args)]
#[command(after_help = "\
The file has a head line and the columns name, ids, and if need be profile, ca, allow, equipment (VENDOR:VALUE), labels
(KEY=VALUE;KEY=VALUE), owner and note:\n\n  \
name,ids,profile\n  \
gw1,fqdn:gw1.example.net ip:192.0.2.1,gateway\n\n\
If the head line has `;` and no comma, columns are separated by `;`. Lines that begin with `#` are comments.\n\n\
Every row is checked before anything is recorded. New accounts are added all or none. With --update, accounts that exist are then
changed one after the other: after a power cut, run the same command again.\n\n\
Each account's reference and secret are printed once, as CSV or JSON.")]
pub struct Import {
    /// The file; `-` for standard input
    file: PathBuf,
    #[command(flatten)]
    policy: Policy,
    /// Change accounts that exist as the file says; columns that it does not have stay as they are. Permissions, labels, owner and note
    /// that the file leaves empty are taken away
    #[arg(long, conflicts_with = "skip_existing")]
    update: bool,
    /// Pass over accounts that exist
    #[arg(long)]
    skip_existing: bool,
    /// Check the file, and print what would be done
    #[arg(long, conflicts_with = "out")]
    dry_run: bool,
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
    #[serde(default)]
    labels: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    note: Option<String>,
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
                let no_secret = add.no_secret || device.is_some() || add.csr.is_some();
                let secret = if no_secret { None } else { Some(add.policy.secret()?) };
                let draft = RequestedPeer {
                    name: add.name.clone(),
                    ids: add.ids.clone(),
                    profile: add.profile.clone(),
                    ca: add.ca.clone(),
                    device,
                    secret,
                    permissions: add.allow.iter().copied().collect(),
                    labels: add.labels.clone(),
                    owner: add.owner.clone(),
                    note: add.note.clone(),
                    line: None,
                };
                if let Some(csr) = &add.csr {
                    let csr = request_in(csr)?;
                    add.issued.check()?;
                    let request = Request::PeerAddByCsr { peer: Box::new(draft), csr };
                    return add.issued.deliver(context, context.ask_for(request)?);
                }
                let mut added = Wiped::from(context.ask(Request::PeerAdd { peers: vec![draft] })?);
                added.as_array_mut().into_iter().flatten().for_each(|new| warn(context, new));
                show_new(context, added.get(0).unwrap_or(&Value::Null))
            }
            Self::List(list) => list.run(context),
            Self::Edit(edit) => edit.run(context),
            Self::Disable { name } => {
                context.show(Request::PeerDisable { name: name.clone(), disabled: true })
            }
            Self::Enable { name } => {
                context.show(Request::PeerDisable { name: name.clone(), disabled: false })
            }
            Self::Rename { name, new } => {
                let request = Request::PeerRename { name: name.clone(), to: new.clone() };
                show_edited(context, new, context.ask_for(request)?)
            }
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

/// The failure to hand out a secret, which nobody can read any more. `to` is the place to which it could not be written.
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
    let root = trust_anchor(context, new.get("ca").and_then(Value::as_str));
    let root = root.unwrap_or_else(|| context.location.folder.keys().file("root.crt"));
    let ServerAddress { url, authority, path } = server_address(context);
    let secret = secret.as_str();
    output::line(&Zeroizing::new(format!(
        "\nThe secret is shown this once. On the gateway, which needs the root certificate `{root}` as root.crt:\n\n\
(umask 077; echo '{secret}' > {name}.secret)\n\
countersign enroll --server {url} --reference {reference} --secret-file {name}.secret --trust root.crt --out {name}\n\n\
or with OpenSSL:\n\n\
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key\n\
openssl cmp -cmd ir -server {authority} -path {path} -ref {reference} -secret file:{name}.secret -newkey {name}.key -certout {name}.crt -cacertsout root.crt",
        root = root.display(),
    )));
    Ok(())
}

/// The file of the certificate above all others of the CA that issues for `ca`, or by default; `None` if it is not found. A CA that was taken
/// over may be its own root, and a root may have a next key.
fn trust_anchor(context: &Context, ca: Option<&str>) -> Option<PathBuf> {
    let cas: Vec<CaLine> = context.ask_for(Request::CaShow).ok()?;
    let named = match ca {
        Some(name) => name.parse().ok()?,
        None => cas.iter().find(|ca| ca.default)?.name.clone(),
    };
    let mut at = issuing_now(cas.iter(), &named)?;
    // Each step is towards the root, so there are no more steps than CAs. No two CAs have one subject.
    for _ in &cas {
        let file = PathBuf::from(&at.certificate);
        let facts = Facts::of(read_all(&read(&file).ok()?).ok()?.first()?).ok()?;
        if facts.issuer == facts.subject {
            return Some(file);
        }
        let issuer = facts.issuer.to_string();
        at = cas.iter().find(|ca| ca.subject == issuer)?;
    }
    None
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
        let Rows { peers, columns, problems } = read_rows(&self.file, self.policy.secret()?)?;
        let existing = match (self.update, self.skip_existing) {
            (true, _) => Existing::Update,
            (_, true) => Existing::Skip,
            _ => Existing::Refuse,
        };
        if !problems.is_empty() {
            return Err(self.refused(context, peers, columns, existing, problems));
        }
        if let Some(out) = self.out.as_ref().filter(|out| out.exists()) {
            return Err(Failure::missing(format!("`{}` exists already", out.display())));
        }
        let request = Request::PeerImport { peers, columns, existing, dry_run: self.dry_run };
        if self.dry_run {
            return context.show(request);
        }
        // The file is made before the accounts: a folder that cannot be written to must not cost their secrets.
        let mut file = self.out.as_deref().map(create_private).transpose()?;
        let mut imported = Wiped::from(context.ask(request).inspect_err(|_| {
            if let Some(out) = &self.out {
                let _ = std::fs::remove_file(out);
            }
        })?);
        let mut added = Wiped::from(imported.get_mut("added").map(Value::take).unwrap_or_default());
        added.as_array_mut().into_iter().flatten().for_each(|new| warn(context, new));
        if existing != Existing::Refuse {
            let count = |key: &str| imported.get(key).and_then(Value::as_array).map_or(0, Vec::len);
            let new = added.as_array().map_or(0, Vec::len);
            eprintln!(
                "{new} added, {} changed, {} left as they are",
                count("changed"),
                count("unchanged")
            );
        }
        let text = Zeroizing::new(match context.format {
            Format::Json => serde_json::to_string_pretty(&*added).unwrap_or_default(),
            Format::Text | Format::Csv => as_csv(&added)?,
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

impl Import {
    /// The refusal of a file with these problems, together with those that the instance finds in the other rows: an administrator need not
    /// mend the file twice.
    fn refused(
        &self,
        context: &Context,
        peers: Vec<RequestedPeer>,
        columns: BTreeSet<String>,
        existing: Existing,
        mut problems: Vec<String>,
    ) -> Failure {
        let request = Request::PeerImport { peers, columns, existing, dry_run: true };
        // Without an answer, what the file itself shows must do.
        if let Err(failure) = context.ask(request)
            && matches!(failure.code, 2 | 3)
        {
            let of_a_line = failure.message.lines().filter(|line| line.starts_with("line "));
            problems.extend(of_a_line.map(str::to_owned));
        }
        problems.sort_by_key(|problem| {
            let digits = problem.strip_prefix("line ").unwrap_or_default();
            let end = digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len());
            digits.get(..end).and_then(|digits| digits.parse::<u64>().ok())
        });
        let more = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Failure::input(format!("`{}`:\n{}", self.file.display(), problems.join("\n")))
    }
}

/// The accounts of a file, its columns, and the problems of the rows that are no accounts, one a line.
struct Rows {
    peers: Vec<RequestedPeer>,
    columns: BTreeSet<String>,
    problems: Vec<String>,
}

fn read_rows(file: &Path, secret: RequestedSecret) -> Result<Rows, Failure> {
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
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(COMMENT))
        .delimiter(delimiter(&octets))
        .from_reader(octets.as_slice());
    let (mut peers, mut problems) = (Vec::new(), Vec::new());
    let heads = reader
        .headers()
        .map_err(|e| Failure::input(format!("`{name}`: {}", unreadable(&e, &mut lines))))?;
    let heads = heads.clone();
    let head_line = lines.line_at(0);
    check_heads(&heads)
        .map_err(|why| Failure::input(format!("`{name}`, line {head_line}: {why}")))?;
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
    match peers.is_empty() && problems.is_empty() {
        true => Err(Failure::input(format!(
            "`{name}` holds no accounts; expected a head line `name,ids,profile` and more"
        ))),
        false => Ok(Rows { peers, columns: heads.iter().map(str::to_owned).collect(), problems }),
    }
}

/// The first octet of a comment.
const COMMENT: u8 = b'#';

/// The octet between columns: `;` if the head line has it and no comma, as some spreadsheets write it.
fn delimiter(octets: &[u8]) -> u8 {
    let mut lines = octets.split(|octet| matches!(octet, b'\r' | b'\n'));
    let head = lines.find(|line| !line.is_empty() && line.first() != Some(&COMMENT));
    let has = |octet: u8| head.is_some_and(|head| head.contains(&octet));
    if has(b';') && !has(b',') { b';' } else { b',' }
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
    let labels = row.labels.unwrap_or_default();
    let labels = labels.split(';').map(str::trim).filter(|label| !label.is_empty());
    let labels: Vec<String> = labels.map(str::to_owned).collect();
    for label in &labels {
        if let Err(e) = label.parse::<AccountLabel>() {
            wrong.push(ColumnProblem { column: "labels", why: e.to_string() });
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
            labels,
            owner: optional(row.owner),
            note: optional(row.note),
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
/// row, and before comments; these are counted, too.
struct Lines<'a> {
    octets: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the row that begins at this octet. The octets of successive calls must not decrease.
    fn line_at(&mut self, byte: u64) -> u64 {
        let wanted = usize::try_from(byte).unwrap_or(usize::MAX);
        let mut in_comment = false;
        while let Some(octet) = self.octets.get(self.at) {
            if self.at >= wanted {
                let is_end = matches!(octet, b'\r' | b'\n');
                in_comment = !is_end && (in_comment || *octet == COMMENT);
                if !is_end && !in_comment {
                    break;
                }
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
