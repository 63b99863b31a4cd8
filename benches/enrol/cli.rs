//! The command line of this bench: a load by hand, and a soak.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};
use der::pem;

use crate::client::Target;
use crate::floor::Transport;
use crate::load::{Load, Manner, Peer};
use crate::wire::{Ask, Key, Protector};
use crate::{siege, soak};

/// The cost of an enrolment, and a load generator for CMP servers.
#[derive(Parser)]
#[command(name = "cargo bench --bench enrol --")]
pub struct Arguments {
    #[command(subcommand)]
    pub mode: Option<Mode>,
    /// Given by cargo
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
pub enum Mode {
    /// Enrol at full speed at a CMP server, and check every answer
    Load(LoadArguments),
    /// Minutes at full speed against a server of its own, with hostile clients among the others
    Soak(SoakArguments),
    /// A server of the library alone, for this bench
    #[command(hide = true)]
    ServePlain {
        folder: PathBuf,
        #[arg(long)]
        durable: bool,
    },
    /// A server that does the least that any durable one can, for this bench
    #[command(hide = true)]
    ServeFloor { folder: PathBuf, transport: Transport, pairs: u32 },
    /// The process in which callgrind counts, for this bench
    #[command(hide = true)]
    Count { folder: PathBuf },
}

#[derive(Args)]
pub struct LoadArguments {
    /// The server: http://HOST:PORT/PATH
    #[arg(long, value_name = "URL")]
    server: String,
    /// The reference of the secret
    #[arg(long, requires = "secret_file", required_unless_present = "certificate")]
    reference: Option<String>,
    /// The file that holds the secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Iterations of the MAC
    #[arg(long, default_value_t = 500)]
    iterations: u32,
    /// Sign with this certificate instead, PEM
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "reference")]
    certificate: Option<PathBuf>,
    /// Its key: P-256, PKCS #8, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The kind of request
    #[arg(long, value_enum, default_value_t = Kind::Ir)]
    kind: Kind,
    /// Send a certConf instead of asking for implicit confirmation
    #[arg(long)]
    confirm: bool,
    /// The common name to ask for; none leaves the names to the server
    #[arg(long, value_name = "CN")]
    subject: Option<String>,
    /// A CA certificate that answers do not carry, PEM (repeatable)
    #[arg(long = "ca", value_name = "FILE")]
    cas: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
    /// The duration
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The share of hostile requests, such as `1%`
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    hostile: u32,
}

#[derive(Args)]
pub struct SoakArguments {
    #[command(flatten)]
    common: Common,
    /// The duration
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// The share of hostile requests, such as `1%`
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share)]
    hostile: u32,
    /// Only the siege before it: floods from many addresses, a hostile directory, a hostile server of CRLs
    #[arg(long)]
    siege_only: bool,
}

#[derive(Args)]
struct Common {
    /// Connections at once
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Ir,
    Cr,
    P10cr,
    Kur,
}

/// Reads a share in percent as parts of a million.
fn share(text: &str) -> Result<u32, String> {
    let percent: Option<f64> = text.strip_suffix('%').and_then(|number| number.parse().ok());
    match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
        Some(percent) => Ok((percent * 10_000.0) as u32),
        None => Err(format!("expected a share such as `1%`, found `{text}`")),
    }
}

impl SoakArguments {
    pub fn run(&self) {
        siege::run();
        if self.siege_only {
            return;
        }
        let time = Duration::from_secs_f64(self.minutes * 60.0);
        soak::run(time, self.common.connections, self.hostile);
    }
}

impl LoadArguments {
    /// Exits with 1 if an honest request failed or a hostile one was granted.
    pub fn run(&self) {
        let load = || -> Result<bool, String> {
            let target = Target::of_url(&self.server)?;
            let cas = self.cas.iter().map(|file| read_pem(file)).collect::<Result<Vec<_>, _>>()?;
            let ask = match self.kind {
                Kind::Ir => Ask::Ir,
                Kind::Cr => Ask::Cr,
                Kind::P10cr => Ask::P10cr,
                Kind::Kur => Ask::Kur,
            };
            let time = Duration::from_secs(self.seconds);
            let load = Load {
                target: &target,
                peers: &[Peer { protector: self.protector()?, key: Key::generate() }],
                manner: Manner { ask, implicit: !self.confirm },
                subject: self.subject.as_deref(),
                connections: self.common.connections,
                time,
                hostile: self.hostile,
                cas: &cas,
            };
            let began = Instant::now();
            let mut found = load.run();
            found.print(began.elapsed());
            Ok(found.errors.is_empty() && found.taken_in.is_empty() && found.granted > 0)
        };
        match load() {
            Ok(true) => {}
            Ok(false) => std::process::exit(1),
            Err(why) => {
                eprintln!("error: {why}");
                std::process::exit(2);
            }
        }
    }

    fn protector(&self) -> Result<Protector, String> {
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            return Protector::signature(Key::from_pkcs8(&read_pem(key)?)?, read_pem(certificate)?);
        }
        let (Some(reference), Some(file)) = (&self.reference, &self.secret_file) else {
            return Err("expected --reference and --secret-file, or --certificate and --key".into());
        };
        let secret = fs::read_to_string(file).map_err(|e| format!("`{}`: {e}", file.display()))?;
        Ok(Protector::mac(reference, secret.trim().as_bytes(), self.iterations))
    }
}

/// The first object of a PEM file, DER.
pub fn read_pem(file: &Path) -> Result<Vec<u8>, String> {
    let wrong = |why: String| format!("`{}`: {why}", file.display());
    let text = fs::read(file).map_err(|e| wrong(e.to_string()))?;
    let (_, der) = pem::decode_vec(&text).map_err(|e| wrong(format!("expected PEM: {e}")))?;
    Ok(der)
}
