//! `countersign ca …` and `countersign crl …`: the CAs, their next keys, and their CRLs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use countersign_ca::founding::Foundation;
use countersign_ca::founding::root_label;
use countersign_ca::name::{Name, distinguished_name};
use countersign_ca::record::{CaRecord, Duty, Label};
use countersign_ca::x509::{Facts, read_all};
use countersign_ca::{KeyAlgorithm, RollOptions};
use countersign_ike_plugin::gateway::Daemon;
use serde_json::{Value, json};

use super::ceremony::{Sign, SignCrl};
use super::context::Context;
use super::files::{read, write};
use super::foundation::open_foundation;
use super::gateway::crl_der;
use super::init::{Issuing, LONGEST, requested, tag};
use super::plan::Plan;
use super::takeover::Import;
use crate::admin::answer::CaLine;
use crate::admin::{Request, record_here};
use crate::config::{Config, duration};
use crate::exit::Failure;
use crate::folder::Private;
use crate::output;

/// `countersign ca …`
#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Show the CAs of the instance
    Show,
    /// Add an issuing CA; the server must be stopped, because it opens the keys when it starts
    Add {
        /// The name of the CA in commands and URLs
        name: Label,
        #[command(flatten)]
        issuing: Box<Issuing>,
    },
    /// Take over a CA of another program: its certificate and key, and what it issued and revoked; the server must be stopped
    Import(Box<Import>),
    /// Make the next key of a CA, and for a root also the certificates that connect its old and new key; the server must be stopped
    #[command(after_help = "\
Example, a new root and then a new issuing CA below it:\n  \
countersign ca roll root\n  \
countersign ca roll issuing\n\n\
The next key is a CA of its own name, such as `root.2`, and its subject says so: `CN=Example CA G2`. New certificates are signed \
with it; CRLs of the one before go on until it ends.\n\n\
With --staged the present key goes on issuing. Start the server, which signs the first CRL of the next key, bring certificate and \
CRL to every gateway, and then:\n  \
countersign ca activate issuing.2")]
    Roll {
        /// The name of the CA
        name: Label,
        /// The next key: p256, p384, ed25519, rsa3072 or rsa4096; as the one before unless given
        #[arg(long, value_name = "KIND")]
        algorithm: Option<KeyAlgorithm>,
        /// The subject of the next key; without it that of the one before with a number, such as `G2`
        #[arg(long, value_name = "DN", conflicts_with = "root_cert")]
        subject: Option<String>,
        /// Go on issuing with the present key until `ca activate`, so that the next key's CRL can reach every gateway before its first
        /// certificate
        #[arg(long, visible_alias = "stage", conflicts_with_all = ["root_csr", "at_once"])]
        staged: bool,
        /// Issue with the next key from the next start of the server, although gateways that read CRLs from files lack its CRL until it is
        /// brought there
        #[arg(long, conflicts_with = "root_csr")]
        at_once: bool,
        /// How long the next certificate is valid; as long as the one before unless given
        #[arg(long, value_name = "TIME")]
        validity: Option<String>,
        /// Make the next key of an issuing CA, and write a certificate request for a root that is kept elsewhere to this file
        #[arg(long, value_name = "FILE", conflicts_with_all = ["root_cert", "validity"])]
        root_csr: Option<PathBuf>,
        /// Install the certificate of the next key from that root: a file with it and the CA certificates above it, root last
        #[arg(long, value_name = "FILE", conflicts_with_all = ["algorithm", "validity"])]
        root_cert: Option<PathBuf>,
    },
    /// Begin to issue with a CA's next key, which `ca roll --staged` made
    Activate {
        /// The name of the CA with the next key, such as `issuing.2`
        name: Label,
    },
    /// Sign the certificate of a subordinate CA by its request, with the key of a CA here: the step of an offline root; no server may run
    Sign(Box<Sign>),
    /// Show which peers have shown that they have the certificate of a CA's next key, and when it is safe to go on; exit code 1 if it is not yet
    Plan(Plan),
    /// Choose the issuing CA of accounts that name none; without a choice, it is the one that was founded first
    SetDefault {
        /// The name of the CA
        name: Label,
    },
    /// Let a CA issue no more; it signs its CRLs and OCSP answers until it ends
    Retire {
        /// Its name
        name: Label,
        /// The CA that issues from now on for accounts that name none, if this one did
        #[arg(long, value_name = "NAME", conflicts_with = "undo")]
        default: Option<Label>,
        /// Let the CA issue again
        #[arg(long)]
        undo: bool,
    },
}

/// The options of `ca roll`, parsed.
struct Roll<'a> {
    name: &'a Label,
    algorithm: Option<KeyAlgorithm>,
    subject: Option<Name>,
    staged: bool,
    at_once: bool,
    validity: Option<Duration>,
    root_csr: Option<&'a Path>,
    root_cert: Option<&'a Path>,
}

impl Ca {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let _private = Private::begin();
        match self {
            Self::Show => context.show(Request::CaShow),
            Self::Add { name, issuing } => {
                context.require_here("ca add")?;
                let foundation = open_foundation(context, "add the CA")?;
                let options = issuing.options(
                    &context.location.config()?,
                    &root_name(&foundation)?,
                    name,
                    &tag(&foundation)?,
                )?;
                let answer = issuing.make(&foundation, name, &options)?;
                record_here(foundation.store.as_ref(), "ca add", &issuing.detail(name))?;
                output::print(context.format, &answer);
                Ok(())
            }
            Self::Import(import) => import.run(context),
            Self::Roll {
                name,
                algorithm,
                subject,
                staged,
                at_once,
                validity,
                root_csr,
                root_cert,
            } => {
                let long = |text: &String| duration("--validity", text, 86_400, LONGEST);
                let subject = subject.as_deref().map(distinguished_name).transpose()?;
                Roll {
                    name,
                    algorithm: *algorithm,
                    subject,
                    staged: *staged,
                    at_once: *at_once,
                    validity: validity.as_ref().map(long).transpose()?,
                    root_csr: root_csr.as_deref(),
                    root_cert: root_cert.as_deref(),
                }
                .run(context)
            }
            Self::Activate { name } => {
                context.show(Request::CaAssign { name: name.clone(), duty: Duty::Issue.into() })
            }
            Self::Sign(sign) => sign.run(context),
            Self::Plan(plan) => plan.run(context),
            Self::Retire { name, default, undo } => {
                if let Some(name) = default {
                    set_default(context, name)?;
                }
                let duty = if *undo { Duty::Return } else { Duty::Retire };
                let answer =
                    context.ask(Request::CaAssign { name: name.clone(), duty: duty.into() })?;
                output::print(context.format, &answer);
                let lines: Vec<CaLine> = parsed(answer)?;
                let retired = lines.iter().find(|ca| ca.name == *name);
                if let Some(count @ 1..) = retired.and_then(|ca| ca.accounts_still_naming_it) {
                    output::warning(&format!(
                        "accounts that still name `{name}` get no certificates any more ({count}): `countersign peer list --ca {name}` lists \
                         them, `countersign peer edit NAME --ca CA` gives them another CA"
                    ));
                }
                Ok(())
            }
            Self::SetDefault { name } => {
                output::print(context.format, &set_default(context, name)?);
                Ok(())
            }
        }
    }
}

/// Makes a CA the default one, and warns if clients of the instance's TLS servers need another root from now on.
fn set_default(context: &Context, name: &Label) -> Result<Value, Failure> {
    // A role may permit this change, and not the list.
    let before: Vec<CaLine> = context.ask_for(Request::CaShow).unwrap_or_default();
    let duty = Duty::Default.into();
    let answer = context.ask(Request::CaAssign { name: name.clone(), duty })?;
    let after: Vec<CaLine> = parsed(answer.clone())?;
    let est = |ca: &CaLine| ca.est_trust_anchor.clone();
    let admin = |ca: &CaLine| ca.admin_trust_anchor.clone();
    for (clients, old, new) in [
        ("EST clients", before.iter().find_map(est), after.iter().find_map(est)),
        ("remote administrators", before.iter().find_map(admin), after.iter().find_map(admin)),
    ] {
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            output::warning(&format!(
                "{clients} need `{new}` as a root from the next start of the server on, or from the renewal of its certificate before: it is \
                 issued by the default CA. Until now they need `{old}`"
            ));
        }
    }
    Ok(answer)
}

fn parsed(answer: Value) -> Result<Vec<CaLine>, Failure> {
    serde_json::from_value(answer).map_err(|e| Failure::unavailable(e.to_string()))
}

impl Roll<'_> {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        context.require_here("ca roll")?;
        let config = context.location.config()?;
        let foundation = open_foundation(context, "roll the CA")?;
        let cas = foundation.store.cas()?;
        let old = cas.iter().find(|ca| ca.name == *self.name);
        if let Some(file) = self.root_csr {
            let request =
                foundation.roll_request(self.name, self.algorithm, self.subject.as_ref())?;
            write(file, &request)?;
            let done = format!("{}: request to its root", self.name);
            record_here(foundation.store.as_ref(), "ca roll", &done)?;
            output::print(context.format, &requested(file));
            return Ok(());
        }
        self.refuse_surprise(&config, old)?;
        let options = RollOptions {
            algorithm: self.algorithm,
            subject: self.subject.clone(),
            waits: self.staged,
            validity: self.validity,
            urls: config.ca_urls,
        };
        let record = match self.root_cert {
            Some(file) => {
                foundation.roll_installed(self.name, &read_all(&read(file)?)?, self.staged)?
            }
            None => foundation.roll(self.name, &options)?,
        };
        let done = format!("{}: {}", self.name, record.name);
        record_here(foundation.store.as_ref(), "ca roll", &done)?;
        let file = |of: String| foundation.keys.file(&of).display().to_string();
        let mut answer = json!({
            "ca": record.name,
            "succeeds": self.name,
            "subject": Facts::of(&record.certificate)?.subject.to_string(),
            "certificate": file(format!("{}.crt", record.name)),
        });
        if let Some(fields) = answer.as_object_mut() {
            if record.is_root {
                let link = |which: &str| json!(file(format!("{}.{which}.crt", record.name)));
                fields.insert("new_with_old".into(), link("new-with-old"));
                fields.insert("old_with_new".into(), link("old-with-new"));
            }
            fields.insert("next".into(), json!(next_steps(&record)));
        }
        output::print(context.format, &answer);
        Ok(())
    }

    /// Refuses to roll an issuing CA without `--staged` and `--at-once` if the configuration has a gateway with another daemon than
    /// strongSwan. Such a daemon reads CRLs from files or a database; it refuses a peer whose CA it does not know, or whose CA's CRL it
    /// lacks. A root issues nothing to peers. `old` is the record of the CA; `None` if there is no such CA, which is reported later.
    fn refuse_surprise(&self, config: &Config, old: Option<&CaRecord>) -> Result<(), Failure> {
        if old.is_none_or(|old| old.is_root) {
            return Ok(());
        }
        let by_file = |daemon: &Daemon| *daemon != Daemon::Strongswan;
        let gateways = config.file.gateways.iter();
        let affected: Vec<String> = gateways
            .filter_map(|(name, gateway)| gateway.daemon.filter(by_file).map(|of| (name, of)))
            .map(|(name, daemon)| format!("`{name}` ({daemon})"))
            .collect();
        if self.staged || self.at_once || affected.is_empty() {
            return Ok(());
        }
        Err(Failure::input(format!(
            "from the next start on, certificates would be signed by the next key of `{}`, a CA with a name of its own, and {} would refuse \
             the peers that have them until its certificate and its CRL were brought there. `--staged` makes the next key and its CRL, and \
             `{}` goes on issuing until `ca activate`; `--at-once` does not wait",
            self.name,
            affected.join(", "),
            self.name
        )))
    }
}

/// The next steps for the operator after a roll. Unless an issuing CA was rolled without `--staged`, they are in an order in which no peer
/// is refused.
fn next_steps(ca: &CaRecord) -> String {
    let waits = ca.succeeds.as_ref().is_some_and(|succession| succession.waits);
    let policies =
        "policies and connections that name the CA before by its subject need this one, too";
    match (ca.is_root, waits) {
        (true, true) => format!(
            "start the server, which signs the first CRL; bring the certificate to whoever trusts the root before (`enroll --info rootCaUpdate` \
             fetches it); when `countersign ca plan {0}` says that all have it, `countersign ca activate {0}`, then roll the issuing CAs \
             below it",
            ca.name
        ),
        (true, false) => "bring both certificates to whoever trusts the root before, then roll the issuing CAs below it".to_owned(),
        (false, true) => format!(
            "start the server, which signs the first CRL; bring certificate and CRL to every gateway (`countersign export` again); \
             {policies}; then `countersign ca activate {}`",
            ca.name
        ),
        (false, false) => format!(
            "start the server, which signs the first CRL and issues by this CA; bring certificate and CRL to every gateway at once \
             (`countersign export` again); {policies}"
        ),
    }
}

/// The name, in URLs, of the root whose key signs now. If this instance has no root key, it is the name under which every root is recorded.
fn root_name(foundation: &Foundation) -> Result<Label, Failure> {
    match foundation.signing_root() {
        Ok(root) => Ok(root.name),
        Err(_) => Ok(root_label()?),
    }
}

/// `countersign crl …`
#[derive(Debug, Subcommand)]
pub enum Crl {
    /// Show the last CRL of each CA
    Show,
    /// Sign a new CRL of every CA now
    Publish {
        /// Sign only the CRL of this CA
        #[arg(long, value_name = "NAME")]
        ca: Option<Label>,
    },
    /// Sign a CRL to a file, with the key of a CA here: the step of an offline root; no server may run
    Sign(SignCrl),
    /// Take the CRL of a CA whose key is elsewhere, such as an offline root, and publish it from now on
    Import {
        /// The CRL, DER or PEM
        file: PathBuf,
        /// The CA that it must be of
        #[arg(long, value_name = "NAME")]
        ca: Option<Label>,
    },
}

impl Crl {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Show => context.show(Request::CrlShow),
            Self::Publish { ca } => context.show(Request::CrlPublish { ca: ca.clone() }),
            Self::Sign(sign) => {
                let _private = Private::begin();
                sign.run(context)
            }
            Self::Import { file, ca } => {
                let at = |e: String| Failure::input(format!("`{}`: {e}", file.display()));
                let der = crl_der(read(file)?).map_err(at)?;
                let crl = data_encoding::BASE64.encode(&der);
                context.show(Request::CrlImport { crl, ca: ca.clone() })
            }
        }
    }
}
