//! `countersign ca import`: takes over a CA of another program, with its key and what it issued and revoked.
//!
//! The CA itself is recorded last: a server that starts after an interruption signs nothing for it, and the same command goes on.

mod holders;
mod index;
mod objects;
mod plan;
mod problems;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use countersign_ca::authority::accounts::Accounts;
use countersign_ca::founding::{Examined, FormerCa, FormerRecords, Foundation};
use countersign_ca::key::{
    Bundle, FileKey, is_encrypted, read_bundle, read_key, read_private, read_private_octets,
};
use countersign_ca::record::{CaRecord, Label, is_administrators_profile};
use countersign_ca::x509::{Facts, read_all};
use countersign_ca::{Clock, Store, SystemClock};
use countersign_ike_plugin::gateway::warnings_of_ca;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::context::Context;
use super::files::read;
use super::init;
use crate::admin::record_here;
use crate::exit::Failure;
use crate::folder::Private;
use crate::output;
use crate::passphrase;
use holders::{Holders, Missing, label_text};
use plan::{Plan, Summary};

/// The largest file with a key, in bytes.
const MAX_KEY: u64 = 1 << 20;

/// The largest file with a password, in bytes.
const MAX_PASSWORD: u64 = 4096;

/// `countersign ca import`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign ca import --certificate ca.crt --key ca.key --issued index.txt --issued newcerts --crl crl.pem --accounts create --dry-run
  countersign ca import --p12 ca.p12 --password-file password --name branches
  countersign ca import --name branches --issued more-certificates

Until a CA is imported whole, nothing is signed for it. After an interruption, run the same command again.
What the program before must not do any more: issue, revoke, or sign CRLs. docs/operation.md, \"Taking over a CA\", has every step.")]
pub struct Import {
    /// The CA's certificate, PEM or DER; those above it may follow in the same file
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "p12")]
    certificate: Option<PathBuf>,
    /// The CA's private key: PKCS#8, `EC PRIVATE KEY` or `RSA PRIVATE KEY`, in PEM or DER
    #[arg(long, value_name = "FILE", requires = "certificate", conflicts_with = "p12")]
    key: Option<PathBuf>,
    /// Certificate and key as one PKCS#12 file
    #[arg(long, value_name = "FILE")]
    p12: Option<PathBuf>,
    /// The file with the password of the key or the PKCS#12 file, in one line; without it, a terminal is asked
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The certificates above the CA's, root last, PEM or DER (repeatable)
    #[arg(long, value_name = "FILE")]
    chain: Vec<PathBuf>,
    /// The CA's name in commands and URLs; without it, its common name
    #[arg(long, value_name = "NAME", required_unless_present_any = ["certificate", "p12"])]
    name: Option<Label>,
    /// What the CA issued: OpenSSL's `index.txt`, a folder with certificates, or a file with certificates (repeatable)
    #[arg(long, value_name = "FILE|DIR")]
    issued: Vec<PathBuf>,
    /// A CRL of the CA, PEM or DER (repeatable); the last one is needed, because the next one must have a larger number
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// What becomes of valid certificates whose names no account holds; without this, they are refused
    #[arg(long, value_enum)]
    accounts: Option<Missing>,
    /// The profile of accounts that are made
    #[arg(long, value_name = "NAME", default_value = "gateway")]
    profile: Label,
    /// Read and check everything, record nothing, and print what would be recorded
    #[arg(long)]
    dry_run: bool,
}

/// A CA to import.
struct Source {
    name: Label,
    /// The CA's certificate and those above it, DER, root last.
    chain: Vec<Vec<u8>>,
    /// The key; `None` to import more of a CA that is recorded.
    key: Option<FileKey>,
    /// Whether the CA is recorded already.
    is_known: bool,
    /// Faults of the certificates.
    faults: Vec<String>,
}

impl Import {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        context.require_here("ca import")?;
        let private = Private::begin();
        let location = &context.location;
        if location.server()?.is_some() {
            return Err(Failure::unavailable(
                "a server runs on this data folder; stop it, import the CA, and start it again",
            ));
        }
        let config = location.config()?;
        if config.profiles.named(&self.profile).is_none() {
            return Err(Failure::input(format!("there is no profile `{}`", self.profile)));
        }
        if is_administrators_profile(&self.profile) {
            return Err(Failure::input(
                "no certificate of before proves an administrator: `countersign admin add` makes administrators",
            ));
        }
        // 1. Read the CA, before an empty folder becomes an instance.
        let given = self.given()?;
        let is_founded = location.folder.is_founded();
        let store = match is_founded {
            true => Some(Arc::new(location.open_store()?)),
            false => None,
        };
        let cas = store.as_ref().map(|store| store.cas()).transpose()?.unwrap_or_default();
        let source = self.source(given, &cas)?;
        let (own, above) =
            source.chain.split_first().ok_or_else(|| Failure::input("expected a certificate"))?;
        // 2. Read all that it issued, and find every problem.
        let former = FormerCa::new(source.name.clone(), own)?;
        let holders = Holders::new(
            store.as_deref(),
            &config.profiles,
            &self.profile,
            &source.name,
            self.accounts,
        );
        let mut plan = Plan::new(
            &former,
            above,
            store.as_deref(),
            source.is_known,
            holders,
            SystemClock.now(),
        );
        plan.read(&self.issued, &self.crl)?;
        if self.dry_run {
            let summary = plan.summary()?;
            output::print(context.format, &self.answer(&source, &summary, None)?);
            return Ok(());
        }
        // 3. Record it, and the CA last.
        let (foundation, generated) = match &store {
            Some(store) => {
                let passphrase =
                    passphrase::existing(&location.folder, location.passphrase_file.as_deref())?;
                let foundation = location.foundation(Arc::clone(store), passphrase);
                // A wrong passphrase is noticed before a key is encrypted under it.
                foundation.create_own_keys()?;
                (foundation, serde_json::Map::new())
            }
            None => init::found_empty(context, &private)?,
        };
        if let Some(key) = &source.key {
            foundation.keep_key(&source.name, key)?;
        }
        let summary = self.record(&foundation, plan, &source, &config.profiles)?;
        let mut answer = self.answer(&source, &summary, Some(&foundation))?;
        if let Some(fields) = answer.as_object_mut() {
            fields.extend(generated);
        }
        output::print(context.format, &answer);
        Ok(())
    }

    /// Records what was planned, then the CA, then who did it.
    fn record(
        &self,
        foundation: &Foundation,
        plan: Plan<'_>,
        source: &Source,
        profiles: &countersign_ca::profile::Profiles,
    ) -> Result<Summary, Failure> {
        let records = FormerRecords {
            store: foundation.store.as_ref(),
            clock: foundation.clock.as_ref(),
            ca: &source.name,
        };
        let accounts = Accounts::new(
            Arc::clone(&foundation.store),
            Foundation::sealer(&foundation.keys)?,
            Arc::clone(&foundation.clock),
            Arc::clone(&foundation.entropy),
        );
        let summary = plan.record(&records, &accounts, profiles)?;
        if source.key.is_some() {
            foundation.record_taken_over(&source.name, &source.chain)?;
        }
        let done = format!(
            "{}: {} certificates, {} accounts, {} revoked, {} listed",
            source.name,
            summary.certificates,
            summary.accounts,
            summary.revoked.known,
            summary.revoked.listed
        );
        record_here(foundation.store.as_ref(), "ca import", &done)?;
        Ok(summary)
    }

    /// The key and the certificates that the command line names; `None` if it names none.
    fn given(&self) -> Result<Option<Bundle>, Failure> {
        let mut bundle = match (&self.p12, &self.certificate, &self.key) {
            (Some(file), ..) => {
                let octets = read_private_octets(file, MAX_KEY)?;
                let password = self.password(file)?;
                let bundle = read_bundle(&octets, &password).map_err(|e| of(file, e))?;
                Some(bundle)
            }
            (None, Some(certificate), Some(file)) => {
                let octets = read_private_octets(file, MAX_KEY)?;
                let password = match is_encrypted(&octets) {
                    true => Some(self.password(file)?),
                    false => None,
                };
                let key = read_key(&octets, password.as_ref().map(|text| text.as_str()));
                let key = key.map_err(|e| of(file, e))?;
                let certificates = read_all(&read(certificate)?).map_err(|e| of(certificate, e))?;
                Some(Bundle { key, certificates })
            }
            _ => None,
        };
        if let Some(bundle) = &mut bundle {
            for file in &self.chain {
                for der in read_all(&read(file)?).map_err(|e| of(file, e))? {
                    if !bundle.certificates.contains(&der) {
                        bundle.certificates.push(der);
                    }
                }
            }
        }
        Ok(bundle)
    }

    /// The CA to import: the one that was given, or one that is recorded.
    fn source(&self, given: Option<Bundle>, cas: &[CaRecord]) -> Result<Source, Failure> {
        match (given, &self.name) {
            (Some(Bundle { key, certificates: chain }), name) => {
                let first =
                    chain.first().ok_or_else(|| Failure::input("expected a certificate"))?;
                let name = match name {
                    Some(name) => name.clone(),
                    None => own_name(first)?,
                };
                let now = SystemClock.now();
                let Examined { faults, is_known } = Examined::of(&name, &chain, &key, cas, now)?;
                Ok(Source { name, chain, key: Some(key), is_known, faults })
            }
            (None, Some(name)) => {
                let ca = cas.iter().find(|ca| ca.name == *name && !ca.is_root).ok_or_else(|| {
                    Failure::missing(format!(
                        "there is no issuing CA `{name}`: give its certificate and key with `--certificate` and `--key`, or `--p12`"
                    ))
                })?;
                let chain = std::iter::once(&ca.certificate).chain(&ca.chain).cloned().collect();
                let (name, faults) = (name.clone(), Vec::new());
                Ok(Source { name, chain, key: None, is_known: true, faults })
            }
            (None, None) => Err(Failure::input(
                "expected a CA: `--certificate FILE --key FILE`, `--p12 FILE`, or the `--name` of one that is here",
            )),
        }
    }

    /// The password of the file, from the option's file or a terminal.
    fn password(&self, of: &Path) -> Result<Zeroizing<String>, Failure> {
        if let Some(file) = &self.password_file {
            let text = read_private(file, MAX_PASSWORD)?;
            return Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::input(format!(
                "`{}` is encrypted, and its password is missing: name its file with `--password-file`",
                of.display()
            )));
        }
        Ok(Zeroizing::new(rpassword::prompt_password(format!("password of {}: ", of.display()))?))
    }

    /// The answer to print.
    fn answer(
        &self,
        source: &Source,
        summary: &Summary,
        foundation: Option<&Foundation>,
    ) -> Result<Value, Failure> {
        let own = source.chain.first().ok_or_else(|| Failure::input("expected a certificate"))?;
        let facts = Facts::of(own)?;
        let mut warnings = source.faults.clone();
        for ca in &source.chain {
            warnings.extend(warnings_of_ca(ca).map_err(|e| Failure::input(e.to_string()))?);
        }
        warnings.extend(summary.warnings.iter().cloned());
        if source.key.is_some() && self.crl.is_empty() {
            warnings.push(
                "no CRL was given: the next one has the present time in milliseconds as its number. If the program before used larger numbers, \
                 peers ignore it; give its last CRL with `--crl`"
                    .to_owned(),
            );
        }
        let mut answer = json!({
            "ca": source.name,
            "subject": facts.subject.to_string(),
            "key": facts.key.kind().to_string(),
            "not_after": facts.not_after.to_string(),
            "accounts_made": summary.accounts,
            "certificates": summary.certificates,
            "certificates_known_before": summary.known,
            "certificates_without_account": summary.without_account,
            "revoked": summary.revoked.known,
            "listed_without_certificate": summary.revoked.listed,
            "serial_numbers_kept": summary.reserved,
            "last_crl_number": summary.crl_number,
        });
        if let Some(fields) = answer.as_object_mut() {
            if !warnings.is_empty() {
                fields.insert("warnings".into(), json!(warnings));
            }
            match foundation {
                None => fields.insert("next".into(), json!("nothing was recorded (--dry-run)")),
                Some(foundation) => {
                    let file = foundation.keys.file(&format!("{}.crt", source.name));
                    fields.insert("certificate".into(), json!(file.display().to_string()));
                    let next = "stop the program before for good, and start the server, which signs the first CRL; let the URLs in the \
                                certificates lead to it (docs/operation.md, \"Taking over a CA\"); destroy the other copies of the key";
                    fields.insert("next".into(), json!(next))
                }
            };
        }
        Ok(answer)
    }
}

/// The name of a CA by its common name, or else its whole subject.
fn own_name(certificate: &[u8]) -> Result<Label, Failure> {
    let subject = Facts::of(certificate)?.subject.to_string();
    let common = subject.split([',', '+']).find_map(|part| part.strip_prefix("CN="));
    Ok(label_text(&common.unwrap_or(&subject).to_lowercase()).parse()?)
}

/// An error of a file, with its name.
fn of(file: &Path, error: countersign_ca::Error) -> Failure {
    let Failure { code, message } = Failure::from(error);
    Failure { code, message: format!("`{}`: {message}", file.display()) }
}
