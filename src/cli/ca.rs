//! `countersign ca …` and `countersign crl …`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use countersign_ca::certificate::read_all;
use countersign_ca::foundation::Foundation;
use countersign_ca::founding::root_label;
use countersign_ca::record::Label;
use countersign_ca::{KeyAlgorithm, RollOptions};
use serde_json::json;

use super::Context;
use super::init::{Issuing, LONGEST, read, requested, write};
use crate::admin::Request;
use crate::config::duration;
use crate::exit::Failure;
use crate::folder::Private;
use crate::output;
use crate::passphrase;

/// `countersign ca …`
#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Show the CAs of the instance
    Show,
    /// Add an issuing CA; the server must be stopped, because it opens the keys when it starts
    Add {
        /// Its name in commands and URLs
        name: Label,
        #[command(flatten)]
        issuing: Box<Issuing>,
    },
    /// Give a CA its next key, and a root the certificates that connect both; the server must be stopped
    #[command(after_help = "\
Example, a new root and then a new issuing CA below it:\n  \
countersign ca roll root\n  \
countersign ca roll issuing\n\n\
The next key is a CA of its own name, such as `root.2`. New certificates are signed with it; CRLs of the one before go on \
until it ends.")]
    Roll {
        /// The name of the CA
        name: Label,
        /// The next key: p256, p384, ed25519, rsa3072 or rsa4096; as the one before unless given
        #[arg(long, value_name = "KIND")]
        algorithm: Option<KeyAlgorithm>,
        /// How long the next certificate is valid; as long as the one before unless given
        #[arg(long, value_name = "TIME")]
        validity: Option<String>,
        /// Make the next key of an issuing CA and write a request for a root that is kept elsewhere
        #[arg(long, value_name = "FILE", conflicts_with_all = ["root_cert", "validity"])]
        root_csr: Option<PathBuf>,
        /// Take the certificate of the next key from that root, with the chain above it, root last
        #[arg(long, value_name = "FILE", conflicts_with_all = ["algorithm", "validity"])]
        root_cert: Option<PathBuf>,
    },
}

impl Ca {
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let _private = Private::begin();
        match self {
            Self::Show => context.show(Request::CaShow),
            Self::Add { name, issuing } => {
                let ground = ground(context, "add the CA")?;
                let options = issuing.options(&context.place.config()?, &root_name(&ground)?)?;
                output::print(context.format, &issuing.make(&ground, name, &options)?);
                Ok(())
            }
            Self::Roll { name, algorithm, validity, root_csr, root_cert } => {
                let validity = validity.as_ref();
                let options = RollOptions {
                    algorithm: *algorithm,
                    validity: validity
                        .map(|text| duration("--validity", text, 86_400, LONGEST))
                        .transpose()?,
                    urls: context.place.config()?.ca_urls,
                };
                let ground = ground(context, "roll the CA")?;
                if let Some(file) = root_csr {
                    write(file, &ground.roll_request(name, *algorithm)?)?;
                    output::print(context.format, &requested(file));
                    return Ok(());
                }
                let record = match root_cert {
                    Some(file) => ground.roll_installed(name, &read_all(&read(file)?)?)?,
                    None => ground.roll(name, &options)?,
                };
                let file = |of: String| ground.keys.file(&of).display().to_string();
                let mut said = json!({
                    "ca": record.name,
                    "succeeds": name,
                    "certificate": file(format!("{}.crt", record.name)),
                });
                if let Some(fields) = said.as_object_mut().filter(|_| record.is_root) {
                    let link = |which: &str| json!(file(format!("{}.{which}.crt", record.name)));
                    fields.insert("new_with_old".into(), link("new-with-old"));
                    fields.insert("old_with_new".into(), link("old-with-new"));
                }
                output::print(context.format, &said);
                Ok(())
            }
        }
    }
}

/// The instance itself, which no server may be using.
fn ground(context: &Context, what: &str) -> Result<Foundation, Failure> {
    let place = &context.place;
    if place.server()?.is_some() {
        return Err(Failure::unavailable(format!(
            "a server runs on this data folder; stop it, {what}, and start it again"
        )));
    }
    let passphrase = passphrase::existing(&place.folder, place.passphrase_file.as_deref())?;
    Ok(place.foundation(Arc::new(place.open_store()?), passphrase))
}

/// The name in URLs of the root that signs, be it kept elsewhere.
fn root_name(ground: &Foundation) -> Result<Label, Failure> {
    match ground.signing_root() {
        Ok(root) => Ok(root.name),
        Err(_) => Ok(root_label()?),
    }
}

/// `countersign crl …`
#[derive(Debug, Subcommand)]
pub enum Crl {
    /// Show the last CRL of each CA
    Show,
    /// Sign a new CRL now
    Publish {
        /// Only that of this CA
        #[arg(long, value_name = "NAME")]
        ca: Option<Label>,
    },
}

impl Crl {
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Show => context.show(Request::CrlShow),
            Self::Publish { ca } => context.show(Request::CrlPublish { ca: ca.clone() }),
        }
    }
}
