//! `countersign init`, and the parts of it that `ca add`, `ca roll` and `serve --init` share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use countersign_ca::KeyAlgorithm;
use countersign_ca::founding::Foundation;
use countersign_ca::founding::{CaOptions, Constraint, root_label};
use countersign_ca::name::same_name;
use countersign_ca::name::{Name, distinguished_name};
use countersign_ca::profile::{Policy, PolicyConfig};
use countersign_ca::record::{CaRecord, Label};
use countersign_ca::x509::{Facts, read_all};
use countersign_ike_plugin::gateway::warnings_of_ca;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::files::{read, write};
use crate::admin::record_here;
use crate::config::{Config, TEMPLATE, duration};
use crate::exit::Failure;
use crate::folder::Private;
use crate::output;
use crate::passphrase::{self, NewPassphrase};

/// The longest validity of a CA, in seconds: 50 years of 366 days.
pub const LONGEST: u64 = 50 * 366 * 86_400;

/// A stand-in for the instance's [`tag`], to check options before the instance has its keys. It is as long as a real tag.
const ANY_TAG: &str = "000000";

/// The options of an issuing CA.
#[derive(Debug, Clone, Args)]
pub struct Issuing {
    /// The subject of the issuing CA, which no other CA has; without it `CN=Countersign NAME CA TAG`, where TAG is six hexadecimal digits
    /// of this instance's own
    #[arg(long, value_name = "DN")]
    pub subject: Option<String>,
    /// The key of the issuing CA: p256, p384, ed25519, rsa3072 or rsa4096
    #[arg(long, value_name = "KIND", default_value_t)]
    pub algorithm: KeyAlgorithm,
    /// How long the issuing CA is valid
    #[arg(long, value_name = "TIME", default_value = "5y")]
    pub validity: String,
    /// How many CA certificates may follow the issuing CA's in a path (pathLenConstraint)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub path_length: u8,
    /// A name below which certificates are permitted (name constraint): dns:example.net, email:example.net, ip:192.0.2.0/24 (repeatable)
    #[arg(long, value_name = "NAME")]
    pub permit: Vec<Constraint>,
    /// A name below which certificates are excluded (repeatable)
    #[arg(long, value_name = "NAME")]
    pub exclude: Vec<Constraint>,
    /// A certificate policy, as OID or OID=CPS-URI (repeatable)
    #[arg(long, value_name = "OID[=URI]")]
    pub policy: Vec<String>,
    /// Make the issuing CA's key, and write a certificate request for a root that is kept elsewhere to this file
    #[arg(long, value_name = "FILE", conflicts_with = "root_cert")]
    pub root_csr: Option<PathBuf>,
    /// Install the issuing CA's certificate from that root: a file with it and the CA certificates above it, root last
    #[arg(long, value_name = "FILE")]
    pub root_cert: Option<PathBuf>,
}

/// `countersign init`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:\n  \
countersign init\n  \
countersign init --algorithm p384 --root-algorithm p384 --permit dns:example.net\n  \
countersign init --name branch --root-csr branch.csr      then, with the root's answer and the same name:\n  \
countersign init --name branch --root-cert chain.pem\n  \
countersign init --root-only --root-validity 20y           on the machine of an offline root")]
pub struct Init {
    /// The name of the issuing CA in commands and URLs
    #[arg(long, value_name = "NAME", default_value = "issuing")]
    name: Label,
    #[command(flatten)]
    issuing: Issuing,
    /// The subject of the root; without it `CN=Countersign root CA TAG`
    #[arg(long, value_name = "DN")]
    root_subject: Option<String>,
    /// The key of the root; p256 without it
    #[arg(long, value_name = "KIND")]
    root_algorithm: Option<KeyAlgorithm>,
    /// How long the root is valid; 10y without it
    #[arg(long, value_name = "TIME")]
    root_validity: Option<String>,
    /// Make a root and no issuing CA: on the machine of an offline root, which certifies issuing CAs of other instances by `ca sign`
    #[arg(long, conflicts_with_all = ["root_csr", "root_cert", "subject", "permit", "exclude", "policy", "name", "algorithm", "validity", "path_length"])]
    root_only: bool,
}

impl Init {
    /// The command without options, for `serve --init`.
    pub fn standard() -> Result<Self, Failure> {
        use clap::{CommandFactory, FromArgMatches, Parser};
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            init: Init,
        }
        let matches = Only::command()
            .try_get_matches_from(["init"])
            .map_err(|e| Failure::input(e.to_string()))?;
        Ok(Only::from_arg_matches(&matches).map_err(|e| Failure::input(e.to_string()))?.init)
    }

    /// Founds the instance, and prints its files.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        output::print(context.format, &self.found(context)?);
        Ok(())
    }

    /// Founds the instance, and returns the answer to print. After an interruption, the same command goes on.
    pub fn found(&self, context: &Context) -> Result<Value, Failure> {
        let location = &context.location;
        if location.server()?.is_some() {
            return Err(Failure::missing("a server runs on this data folder already"));
        }
        // Refuse a wrong configuration or option before anything is made. The tag is not known yet, and does not matter for that.
        let in_force = location.config()?;
        self.issuing.options(&in_force, &root_label()?, &self.name, ANY_TAG)?;
        self.root_options(ANY_TAG)?;
        let private = Private::begin();
        let (foundation, places) = found_empty(context, &private)?;
        let elsewhere = self.issuing.root_csr.is_some() || self.issuing.root_cert.is_some();
        let tag = tag(&foundation)?;
        let options = self.issuing.options(&in_force, &root_label()?, &self.name, &tag)?;
        let cas = foundation.store.cas()?;
        if let Some(root) = cas.iter().find(|ca| ca.is_root) {
            self.refuse_other_root(root)?;
        } else if !elsewhere {
            if foundation.keys.contains(self.name.as_str()) {
                return Err(Failure::missing(format!(
                    "the CA `{}` waits for a root elsewhere; give its certificate with `--root-cert FILE`",
                    self.name
                )));
            }
            let algorithm = self.root_algorithm.unwrap_or_default();
            foundation.create_root(&self.root_options(&tag)?, algorithm)?;
        }
        let mut answer = match self.root_only {
            true => root_answer(&foundation)?,
            false => self.issuing.make(&foundation, &self.name, &options)?,
        };
        let made = if self.root_only { &root_label()? } else { &self.name };
        record_here(foundation.store.as_ref(), "init", &self.issuing.detail(made))?;
        if let Some(fields) = answer.as_object_mut() {
            fields.extend(places);
        }
        Ok(answer)
    }

    /// Refuses options that ask for a different root than the one that an earlier, interrupted run made.
    fn refuse_other_root(&self, root: &CaRecord) -> Result<(), Failure> {
        let facts = Facts::of(&root.certificate)?;
        let found = |what: &str, there: &dyn std::fmt::Display, option: &dyn std::fmt::Display| {
            Err(Failure::missing(format!(
                "the root `{}` was made before, and {what} is `{there}`, not `{option}`; leave the option out, or found the instance in \
                 another folder",
                root.name
            )))
        };
        if let Some(option) = &self.root_subject
            && !same_name(&distinguished_name(option)?, &facts.subject)
        {
            return found("its subject", &facts.subject, option);
        }
        let algorithm = KeyAlgorithm::of(facts.key.kind());
        if let Some(option) = self.root_algorithm.filter(|option| *option != algorithm) {
            return found("its key", &algorithm, &option);
        }
        if let Some(option) = &self.root_validity {
            let requested = duration("--root-validity", option, 86_400, LONGEST)?;
            let lasts = facts.not_after.since(facts.not_before);
            // notBefore is a minute before the certificate was made, so that the validity is a little longer than the option.
            if lasts.abs_diff(requested) > Duration::from_secs(120) {
                return found("its end", &facts.not_after, option);
            }
        }
        Ok(())
    }

    fn root_options(&self, tag: &str) -> Result<CaOptions, Failure> {
        let validity = self.root_validity.as_deref().unwrap_or("10y");
        Ok(CaOptions {
            subject: subject(self.root_subject.as_deref(), "root", tag)?,
            validity: duration("--root-validity", validity, 86_400, LONGEST)?,
            path_length: None,
            permitted: Vec::new(),
            excluded: Vec::new(),
            policies: Vec::new(),
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            ca_issuers_urls: Vec::new(),
        })
    }
}

impl Issuing {
    /// The options of the issuing CA's certificate, checked. `root` is the name, in URLs, of the root that signs it, and `name` that of the
    /// issuing CA; the default subject contains `name` and `tag`.
    pub fn options(
        &self,
        config: &Config,
        root: &Label,
        name: &Label,
        tag: &str,
    ) -> Result<CaOptions, Failure> {
        // The root signs the certificate, so that its CRL and AIA locations are the root's.
        let urls = |templates: &[String]| -> Vec<String> {
            templates.iter().map(|url| url.replace("{ca}", root.as_str())).collect()
        };
        Ok(CaOptions {
            subject: subject(self.subject.as_deref(), name.as_str(), tag)?,
            validity: duration("--validity", &self.validity, 86_400, LONGEST)?,
            path_length: Some(self.path_length),
            permitted: self.permit.clone(),
            excluded: self.exclude.clone(),
            policies: self.policy.iter().map(|text| policy(text)).collect::<Result<_, _>>()?,
            crl_urls: urls(&config.ca_urls.crl),
            ocsp_urls: urls(&config.ca_urls.ocsp),
            ca_issuers_urls: urls(&config.ca_urls.ca_issuers),
        })
    }

    /// What the journal says of the command: the CA, and whether a root elsewhere signs it.
    pub fn detail(&self, name: &Label) -> String {
        match (&self.root_csr, &self.root_cert) {
            (Some(_), _) => format!("{name}: a request for a root elsewhere"),
            (None, Some(_)) => format!("{name}, by a root elsewhere"),
            (None, None) => name.to_string(),
        }
    }

    /// Makes the issuing CA below the root of this instance; or, with a root elsewhere, writes a request or installs its answer. Returns
    /// the answer to print.
    pub fn make(
        &self,
        foundation: &Foundation,
        name: &Label,
        options: &CaOptions,
    ) -> Result<Value, Failure> {
        if let Some(file) = &self.root_csr {
            let request = foundation.request_issuing(name, options, self.algorithm)?;
            write(file, &request)?;
            return Ok(requested(file));
        }
        let record = match &self.root_cert {
            Some(file) => foundation.install_issuing(name, &read_all(&read(file)?)?)?,
            None => foundation.create_issuing(name, options, self.algorithm)?,
        };
        let keys = &foundation.keys;
        let mut warnings = Vec::new();
        for ca in std::iter::once(&record.certificate).chain(&record.chain) {
            warnings.extend(warnings_of_ca(ca).map_err(|e| Failure::input(e.to_string()))?);
        }
        let mut answer = json!({
            "issuing_ca": record.name,
            "subject": Facts::of(&record.certificate)?.subject.to_string(),
            "certificate": keys.file(&format!("{name}.crt")).display().to_string(),
            "root": keys.file("root.crt").display().to_string(),
        });
        if let Some(fields) = answer.as_object_mut().filter(|_| !warnings.is_empty()) {
            fields.insert("warnings".into(), json!(warnings));
        }
        Ok(answer)
    }
}

/// The answer of `init --root-only`.
fn root_answer(foundation: &Foundation) -> Result<Value, Failure> {
    let root = foundation.signing_root()?;
    Ok(json!({
        "root": foundation.keys.file(&format!("{}.crt", root.name)).display().to_string(),
        "subject": Facts::of(&root.certificate)?.subject.to_string(),
        "next": "sign the request of each issuing CA with `countersign ca sign`, and CRLs with `countersign crl sign`",
    }))
}

/// Makes the data folder, the configuration, the passphrase and the instance's own keys, unless they are there. Returns the instance, and what
/// an answer says of their places. The caller's private umask must last until the CAs are made, too.
pub fn found_empty(
    context: &Context,
    _private: &Private,
) -> Result<(Foundation, Map<String, Value>), Failure> {
    let location = &context.location;
    location.folder.create()?;
    let config = location.folder.config();
    if location.config.is_none() && !config.exists() {
        countersign_ca::write_atomically(&config, TEMPLATE.as_bytes())?;
    }
    let file = location.passphrase_file.as_deref();
    let NewPassphrase { passphrase, generated } = match location.folder.is_founded() {
        true => NewPassphrase {
            passphrase: passphrase::existing(&location.folder, file)?,
            generated: None,
        },
        false => passphrase::new(&location.folder, file)?,
    };
    let foundation = location.foundation(Arc::new(location.open_store()?), passphrase);
    foundation.create_own_keys()?;
    let mut places = Map::new();
    places.insert("data".into(), json!(location.folder.path().display().to_string()));
    places.insert("config".into(), json!(config.display().to_string()));
    if let Some(file) = generated {
        let note = format!(
            "a random one was made in {}; keep a copy apart from this folder",
            file.display()
        );
        places.insert("passphrase".into(), json!(note));
    }
    Ok((foundation, places))
}

/// The subject of a CA: the option's, or one that no other instance has.
fn subject(option: Option<&str>, name: &str, tag: &str) -> Result<Name, Failure> {
    match option {
        Some(option) => Ok(distinguished_name(option)?),
        None => Ok(distinguished_name(&format!("CN=Countersign {name} CA {tag}"))?),
    }
}

/// The tag in the default subjects of this instance: the first six hexadecimal digits of the SHA-256 hash of its audit key. Subjects must
/// differ between instances, because NSS and other libraries keep one CRL for each issuer name.
pub fn tag(foundation: &Foundation) -> Result<String, Failure> {
    let key = Foundation::audit_public_key(&foundation.keys)?;
    let hash = ring::digest::digest(&ring::digest::SHA256, &key);
    Ok(data_encoding::HEXLOWER.encode(hash.as_ref()).chars().take(ANY_TAG.len()).collect())
}

/// The answer of a command that wrote a certificate request for a root elsewhere.
pub fn requested(file: &Path) -> Value {
    json!({
        "request": file.display().to_string(),
        "next": "let the root sign it as a CA, then run this command with `--root-cert FILE`: the new certificate and those \
                 above it, root last",
    })
}

/// A certificate policy, as `OID` or `OID=CPS-URI`.
pub fn policy(text: &str) -> Result<Policy, Failure> {
    let (oid, cps) = match text.split_once('=') {
        Some((oid, cps)) => (oid, Some(cps.to_owned())),
        None => (text, None),
    };
    Ok(Policy::try_from(&PolicyConfig { oid: oid.to_owned(), cps })?)
}
