//! `countersign trust …`: the vendors whose devices may enrol by their factory certificates.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_ca::record::Label;
use countersign_ca::record::Mapping;
use countersign_ca::x509::read_all;

use super::context::Context;
use super::files::read;
use crate::admin::{Request, RequestedVendor};
use crate::exit::Failure;

/// `countersign trust …`
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Trust a vendor's certificates for the first enrolment of its equipment, and for nothing else
    Add(Add),
    /// List the vendors
    List,
    /// Show one vendor and its certificates
    Show {
        /// The name of the vendor
        name: Label,
    },
    /// Trust a vendor no longer; certificates that its equipment has stay valid
    Remove {
        /// The name of the vendor
        name: Label,
    },
}

/// `countersign trust add`
#[derive(Debug, Args)]
#[command(after_help = "\
Example, a vendor whose equipment is named by the serialNumber in its certificates, and an account for one of them:\n  \
countersign trust add maker.pem --map serialNumber\n  \
countersign peer add gw7 --id fqdn:gw7.example.net --equipment maker:SN12345\n\n\
The vendor's certificate signs a first enrolment only. It is good for one certificate, unless the account says otherwise.")]
pub struct Add {
    /// The vendor's root, PEM or DER, and CAs below it that equipment does not send
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The field of a certificate that names the equipment: serialNumber, commonName, subject, fqdn or email
    #[arg(long)]
    map: Mapping,
    /// The vendor's name here, if not that of the first file without its extension
    #[arg(long)]
    name: Option<Label>,
    /// Enrol its equipment for accounts of this profile only
    #[arg(long, value_name = "NAME")]
    profile: Option<Label>,
    /// A file with the vendor's CRLs on the server's machine, read at each enrolment: then every certificate needs a current one
    #[arg(long = "crl", value_name = "FILE")]
    crls: Vec<PathBuf>,
}

impl Trust {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => context.show(Request::TrustAdd { vendor: add.draft()? }),
            Self::List => context.show(Request::TrustList),
            Self::Show { name } => context.show(Request::TrustShow { name: name.clone() }),
            Self::Remove { name } => context.show(Request::TrustRemove { name: name.clone() }),
        }
    }
}

impl Add {
    fn draft(&self) -> Result<RequestedVendor, Failure> {
        let mut certificates = Vec::new();
        for file in &self.files {
            let all = read_all(&read(file)?)
                .map_err(|e| Failure::input(format!("`{}`: {e}", file.display())))?;
            certificates.extend(all.iter().map(|der| data_encoding::BASE64.encode(der)));
        }
        // The server may have another working directory.
        let absolute = |file: &PathBuf| {
            std::path::absolute(file)
                .map_err(|e| Failure::input(format!("`{}`: {e}", file.display())))
        };
        Ok(RequestedVendor {
            name: self.named()?,
            map: self.map,
            certificates,
            profile: self.profile.clone(),
            crls: self.crls.iter().map(absolute).collect::<Result<_, _>>()?,
        })
    }

    fn named(&self) -> Result<Label, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let stem = self.files.first().and_then(|file| Path::file_stem(file)).unwrap_or_default();
        stem.to_string_lossy().parse().map_err(|_| {
            Failure::input(format!(
                "`{}` cannot be a vendor's name; give one with `--name`",
                stem.to_string_lossy()
            ))
        })
    }
}
