//! `countersign ca …` and `countersign crl …`

use std::sync::Arc;

use clap::Subcommand;
use countersign_ca::record::Label;

use super::Context;
use super::init::Issuing;
use crate::admin::Request;
use crate::exit::Failure;
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
}

impl Ca {
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Show => context.show(Request::CaShow),
            Self::Add { name, issuing } => {
                let place = &context.place;
                if place.server()?.is_some() {
                    return Err(Failure::unavailable(
                        "a server runs on this data folder; stop it, add the CA, and start it again",
                    ));
                }
                let options = issuing.options(&place.config()?)?;
                let passphrase =
                    passphrase::existing(&place.folder, place.passphrase_file.as_deref())?;
                let ground = place.foundation(Arc::new(place.open_store()?), passphrase);
                output::print(context.format, &issuing.make(&ground, name, &options)?);
                Ok(())
            }
        }
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
