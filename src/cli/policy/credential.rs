//! `policy sign`, `verify`, `keygen` and `principal`.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign_ca::{FileKey, KeyAlgorithm, KeyFolder, Passphrase, SystemEntropy};
use countersign_policy::signature::{Encoding, SigningKey};
use countersign_policy::syntax::{Assertion, Field, split};
use countersign_policy::{PolicySet, Principal, Source, ipsec};
use ring::rand::SystemRandom;
use serde_json::json;

use super::shared::{dropped_json, legacy, plural, read, refused, show};
use crate::cli::context::Context;
use crate::exit::Failure;
use crate::output::{self, Format};
use crate::passphrase;

/// `policy sign`
#[derive(Debug, Args)]
pub struct Sign {
    /// The unsigned assertion, whose `Authorizer` is the principal of the key; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key, as `policy keygen` wrote it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The encoding of the signature
    #[arg(long, value_enum, default_value_t = Spelling::Base64)]
    encoding: Spelling,
    /// The file for the credential, if not standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The encoding of a signature as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Spelling {
    Base64,
    Hex,
}

impl Sign {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let source = read(&self.file)?;
        let assertion = unsigned(&source)?;
        let key = open(context, &self.key)?;
        let authorizer = assertion.tree().known_authorizer();
        if authorizer.as_ref() != Some(&key.principal()) {
            return Err(Failure::input(format!(
                "expected the key's own principal as the authorizer, which is `{}`; write it into the `Authorizer` field",
                key.principal()
            )));
        }
        let encoding = match self.encoding {
            Spelling::Base64 => Encoding::Base64,
            Spelling::Hex => Encoding::Hex,
        };
        let signature = key
            .sign(assertion.body(), encoding, &SystemRandom::new())
            .map_err(|e| Failure::unavailable(e.to_string()))?;
        let text = String::from_utf8_lossy(assertion.source().text()).into_owned();
        let credential = format!("{text}Signature: \"{signature}\"\n");
        match &self.out {
            Some(path) => countersign_ca::write_atomically(path, credential.as_bytes())?,
            None => show(context, || credential.clone(), || json!({ "credential": credential })),
        }
        Ok(())
    }
}

/// The only assertion of a file, which must be unsigned. It ends with a newline, so that a signature can follow.
fn unsigned(source: &Source) -> Result<Assertion, Failure> {
    let parts = split(source.text());
    let [part] = parts.as_slice() else {
        return Err(Failure::input(format!(
            "expected one assertion in `{}`, found {}; sign each on its own",
            source.name(),
            parts.len()
        )));
    };
    let mut text = source.text().get(part.range()).unwrap_or_default().trim_ascii_end().to_vec();
    text.push(b'\n');
    let whole = Source::new(source.name(), text);
    let assertion =
        Assertion::from_source(&whole).map_err(|findings| refused(&whole, &findings))?;
    if assertion.field(Field::Signature).is_some() {
        return Err(Failure::input(format!("`{}` is signed already", source.name())));
    }
    Ok(assertion)
}

/// `policy verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// Files of credentials; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Let signatures with MD5, SHA-1 and DSA count
    #[arg(long)]
    legacy_signatures: bool,
}

impl Verify {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let (mut right, mut wrong, mut rows) = (0, 0, Vec::new());
        for path in &self.files {
            let source = read(path)?;
            let mut builder = PolicySet::builder();
            builder.legacy_signatures(legacy(self.legacy_signatures)).credentials(&source);
            let set = builder.build();
            right += set.len();
            wrong += set.dropped().len();
            for dropped in set.dropped() {
                let line = dropped.source.position(dropped.span.start()).line;
                rows.push((
                    format!("{}:{line} does not count: {}", source.name(), dropped.reason),
                    dropped_json(dropped),
                ));
            }
        }
        let summary = format!("{right} of {} count", plural(right + wrong, "credential"));
        match context.format {
            Format::Text | Format::Csv => {
                rows.iter().for_each(|(text, _)| output::line(&output::safe(text)));
                if wrong == 0 {
                    output::line(&summary);
                }
            }
            Format::Json => {
                let rows: Vec<_> = rows.into_iter().map(|(_, json)| json).collect();
                output::print(
                    Format::Json,
                    &json!({ "valid": right, "invalid": wrong, "credentials": rows }),
                );
            }
        }
        match (right, wrong) {
            (0, 0) => Err(Failure::input("expected a credential, found none")),
            (_, 0) => Ok(()),
            _ => Err(Failure::found(summary)),
        }
    }
}

/// `policy keygen`
#[derive(Debug, Args)]
pub struct Keygen {
    /// The file of the new key, which ends with `.key` and must not exist; it is encrypted under the passphrase
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The kind of key: p256, p384, ed25519, rsa3072 or rsa4096
    #[arg(long, default_value_t, value_name = "KIND")]
    algorithm: KeyAlgorithm,
}

impl Keygen {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let KeyFile { folder, name } = key_file(&self.file)?;
        let passphrase = secret(context)?;
        let key = FileKey::generate(self.algorithm)?;
        folder.save(&name, &key, &passphrase, &SystemEntropy::default())?;
        let principal = open_with(&folder, &name, &passphrase)?.principal().to_string();
        let file = self.file.display().to_string();
        show(context, || principal.clone(), || json!({ "file": file, "principal": principal }));
        Ok(())
    }
}

/// `policy principal`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ShowPrincipal {
    /// A principal in any spelling: a key, a distinguished name or another name
    #[arg(value_name = "PRINCIPAL")]
    text: Option<String>,
    /// A certificate, DER or PEM: the principals of its key and of its name
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// A key, as `policy keygen` wrote it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl ShowPrincipal {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let principals = match (&self.text, &self.certificate, &self.key) {
            (Some(text), ..) => vec![parse(text.as_bytes())?],
            (_, Some(path), _) => of_certificate(path)?,
            (_, _, Some(path)) => vec![open(context, path)?.principal()],
            _ => return Err(Failure::input("expected a principal, --certificate or --key")),
        };
        let texts: Vec<String> = principals.iter().map(ToString::to_string).collect();
        show(context, || texts.join("\n"), || json!({ "principals": texts }));
        Ok(())
    }
}

/// The principals of the holder of a certificate in a file (PEM or DER): its key, and its distinguished name unless the name cannot be a
/// principal.
fn of_certificate(path: &Path) -> Result<Vec<Principal>, Failure> {
    let source = read(path)?;
    let pem = x509_parser::pem::parse_x509_pem(source.text()).ok();
    let der = pem.as_ref().map_or_else(|| source.text(), |(_, pem)| &pem.contents);
    let key = parse(format!("x509-base64:{}", data_encoding::BASE64.encode(der)).as_bytes())?;
    let mut principals = vec![key];
    if let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der)
        && let Ok(name) = ipsec::distinguished_name(certificate.subject().as_raw())
    {
        principals.push(parse(&name)?);
    }
    Ok(principals)
}

fn parse(text: &[u8]) -> Result<Principal, Failure> {
    Principal::parse(text).map_err(|e| Failure::input(e.to_string()))
}

fn open(context: &Context, path: &Path) -> Result<SigningKey, Failure> {
    let KeyFile { folder, name } = key_file(path)?;
    open_with(&folder, &name, &secret(context)?)
}

fn open_with(
    folder: &KeyFolder,
    name: &str,
    passphrase: &Passphrase,
) -> Result<SigningKey, Failure> {
    let document = folder.load_pkcs8(name, passphrase)?;
    SigningKey::from_pkcs8(document.as_bytes(), &SystemRandom::new())
        .map_err(|e| Failure::input(e.to_string()))
}

fn secret(context: &Context) -> Result<Passphrase, Failure> {
    passphrase::existing(&context.location.folder, context.location.passphrase_file.as_deref())
}

/// A file of an encrypted key, as its folder and the name of the key in it.
struct KeyFile {
    folder: KeyFolder,
    name: String,
}

fn key_file(path: &Path) -> Result<KeyFile, Failure> {
    let name =
        path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".key"));
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(Failure::input(format!(
            "expected a file name that ends with `.key`, found `{}`",
            path.display()
        )));
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    Ok(KeyFile { folder: KeyFolder::new(folder), name: name.to_owned() })
}
