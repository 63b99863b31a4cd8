//! `countersign export` and `countersign check`: the files of a gateway's daemon, and the obstacles between two gateways.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign_ca::key::read_private;
use countersign_ca::{Clock, SystemClock};
use countersign_ike_plugin::gateway::{
    Authentication, Certified, Daemon, Export as Exported, Facts, Files, Gateway, GatewayError,
    Obstacle, PrivateKey, Severity, Side, alone, between, system_addresses, together,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::context::Context;
use super::gateway::{Described, ForDaemon, describe};
use crate::exit::Failure;
use crate::output::{self, Format};

/// The largest file of a key or secret, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// `countersign export`
#[derive(Debug, Args)]
#[command(
    after_help = "Describe the gateways in sections [gateways.NAME] of the configuration; docs/gateways.md. The README in the folder says where its \
                  files go."
)]
pub struct Export {
    /// The gateway: a section [gateways.NAME] of the configuration, or an account
    gateway: String,
    /// Its daemon: strongswan, libreswan, iked, isakmpd or racoon; without it, the one in its section
    #[arg(long = "for", value_name = "DAEMON")]
    daemon: Option<Daemon>,
    /// A peer; may be repeated. Without one, every gateway that its CAs certify is a peer
    #[arg(long, value_name = "GATEWAY")]
    peer: Vec<String>,
    /// The gateway's private key, PEM, PKCS#8; without it, the README says where the key goes
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The file with a pre-shared key, in one line, to use instead of certificates
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    psk: Option<PathBuf>,
    /// The folder to make, or an archive if the name ends in .tar; without it GATEWAY-DAEMON
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the folder or archive, if an export wrote it
    #[arg(long)]
    replace: bool,
    /// Write it although `countersign check` would find errors
    #[arg(long)]
    force: bool,
}

/// `countersign check`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 says that they would not come up; warnings are only printed.")]
pub struct Check {
    /// The name of a gateway
    one: String,
    /// The name of its peer
    other: String,
}

impl Export {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let own = describe(
            context,
            &self.gateway,
            self.daemon.map_or(ForDaemon::ItsOwn, ForDaemon::This),
        )?;
        let daemon = own.gateway.daemon;
        let described: Vec<Described> = self
            .peer
            .iter()
            .map(|name| describe(context, name, ForDaemon::ItsOwnOr(daemon)))
            .collect::<Result<_, _>>()?;
        let (mut psk, mut material) = (None, None);
        if let Some(path) = &self.psk {
            psk = Some(Authentication::pre_shared_key(secret(path)?).map_err(refused)?);
        } else {
            let material = material.insert(own.material?);
            for peer in &described {
                // The peer may send its certificate without the CAs above it, and the daemon may read CRLs from files only.
                if let Ok(theirs) = &peer.material {
                    material.add_cas_of(theirs);
                }
            }
        }
        let peers: Vec<_> = described.into_iter().map(|described| described.gateway).collect();
        let mut found =
            alone(&own.gateway, material.as_ref(), SystemClock.now()).map_err(refused)?;
        if material.is_some() {
            found.extend(peers.iter().flat_map(|peer| between(&own.gateway, peer)));
        }
        self.refuse_obstacles(&own.gateway, &peers, &found)?;
        let key = match (&self.key, &material) {
            (Some(path), Some(material)) => Some(private_key(path, &material.certificate)?),
            _ => None,
        };
        let certified = material
            .as_ref()
            .map(|material| Authentication::Certificate(Certified { material, key: key.as_ref() }));
        let Some(authentication) = psk.or(certified) else {
            return Err(Failure::input("expected a certificate or a pre-shared key"));
        };
        let export = Exported {
            own: &own.gateway,
            peers: &peers.iter().collect::<Vec<_>>(),
            authentication: &authentication,
            program: &program()?,
        };
        let files = export.files().map_err(refused)?;
        let warnings: Vec<String> =
            found.iter().map(ToString::to_string).chain(export.warnings()).collect();
        let out = self.write(&own.gateway, &files)?;
        let list: Vec<&String> = files.entries().keys().collect();
        output::print(
            context.format,
            &json!({
                "gateway": own.gateway.name,
                "daemon": own.gateway.daemon,
                "out": out.display().to_string(),
                "files": list,
                "key": if key.is_some() || self.psk.is_some() { "included" } else { "not included: README says where it goes" },
                "warnings": warnings,
            }),
        );
        Ok(())
    }

    /// Refuses to write files if an obstacle was found that is an error, unless `--force` is given; and, even with `--force`, if a peer's
    /// `mode` is not the gateway's.
    fn refuse_obstacles(
        &self,
        own: &Gateway,
        peers: &[Gateway],
        found: &[Obstacle],
    ) -> Result<(), Failure> {
        let error = found.iter().find(|obstacle| obstacle.severity == Severity::Error);
        if let (false, Some(error)) = (self.force, error) {
            return Err(Failure {
                code: 4,
                message: format!("{error} (`--force` writes it nevertheless)"),
            });
        }
        match peers.iter().find(|peer| peer.mode != own.mode) {
            None => Ok(()),
            Some(peer) => Err(Failure::input(format!(
                "`{}` negotiates by `{}`, its peer `{}` by `{}`; set the same `mode` for both",
                own.name,
                own.mode.name(),
                peer.name,
                peer.mode.name()
            ))),
        }
    }

    /// Writes the files to a folder, or to an archive if the name ends in `.tar`. Returns the path.
    fn write(&self, own: &Gateway, files: &Files) -> Result<PathBuf, Failure> {
        let out = self.out.clone().unwrap_or_else(|| format!("{}-{}", own.name, own.daemon).into());
        let failed = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::missing(format!("`{}`: {e}", out.display()))
            }
            _ => Failure::unavailable(format!("`{}`: {e}", out.display())),
        };
        if out.extension().is_some_and(|extension| extension == "tar") {
            let mut archive = Zeroizing::new(Vec::new());
            files.tar(&mut *archive).map_err(failed)?;
            if self.replace && out.exists() && !is_export(&out) {
                return Err(Failure::missing(format!(
                    "`{}`: it exists already, and no export wrote it: it is not replaced; name another archive",
                    out.display()
                )));
            }
            write_private(&out, &archive, self.replace).map_err(failed)?;
        } else {
            files.write(&out, self.replace).map_err(failed)?;
        }
        Ok(out)
    }
}

impl Check {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let now = SystemClock.now();
        let mut found = Vec::new();
        let [one, other] = [&self.one, &self.other].map(|name| {
            let Described { gateway, material } = describe(context, name, ForDaemon::ItsOwn)?;
            Ok::<_, Failure>((gateway, material?))
        });
        let (mut one, mut other) = (one?, other?);
        // As `export` does: each gateway gets the CAs that it needs to verify the other.
        let theirs = one.1.clone();
        one.1.add_cas_of(&other.1);
        other.1.add_cas_of(&theirs);
        for (gateway, material) in [&one, &other] {
            found.append(&mut alone(gateway, Some(material), now).map_err(refused)?);
        }
        let program = program()?;
        let [here, there] = [&one, &other].map(|(gateway, material)| Side { gateway, material });
        found.extend(together(here, there, now, &system_addresses).map_err(refused)?);
        // A gateway that `export` refuses cannot be configured.
        for (own, peer) in [(&one, &other), (&other, &one)] {
            let export = Exported {
                own: &own.0,
                peers: &[&peer.0],
                authentication: &Authentication::Certificate(Certified {
                    material: &own.1,
                    key: None,
                }),
                program: &program,
            };
            let has_error = found.iter().any(|obstacle| {
                obstacle.severity == Severity::Error && obstacle.gateway == own.0.name
            });
            if let (false, Err(why)) = (has_error, export.files()) {
                found.push(Obstacle {
                    severity: Severity::Error,
                    code: "export",
                    gateway: own.0.name.clone(),
                    daemon: own.0.daemon,
                    message: why.to_string(),
                });
            }
        }
        found.sort_by_key(|obstacle| std::cmp::Reverse(obstacle.severity));
        let errors = found.iter().filter(|obstacle| obstacle.severity == Severity::Error).count();
        let rows: Vec<Value> = found.iter().map(row).collect::<Result<_, _>>()?;
        match (rows.is_empty(), context.format) {
            (true, Format::Text) => output::line(&format!(
                "no obstacle between `{}` and `{}`",
                one.0.name, other.0.name
            )),
            _ => output::print(context.format, &Value::Array(rows)),
        }
        match errors {
            0 => Ok(()),
            1 => Err(Failure::found("1 obstacle: they would not come up")),
            errors => Err(Failure::found(format!("{errors} obstacles: they would not come up"))),
        }
    }
}

/// The path of this program, for the configuration of a daemon that runs it.
fn program() -> Result<String, Failure> {
    let path = std::env::current_exe()
        .map_err(|e| Failure::unavailable(format!("the path of this program is not known: {e}")))?;
    Ok(path.to_string_lossy().into_owned())
}

/// Whether an export wrote this archive.
fn is_export(archive: &Path) -> bool {
    std::fs::File::open(archive).is_ok_and(Files::is_export)
}

fn row(obstacle: &Obstacle) -> Result<Value, Failure> {
    serde_json::to_value(obstacle).map_err(|e| Failure { code: 1, message: e.to_string() })
}

fn private_key(path: &Path, certificate: &[u8]) -> Result<PrivateKey, Failure> {
    let at = |e: GatewayError| Failure::input(format!("`{}`: {e}", path.display()));
    let text = read_private(path, MAX_KEY)?;
    let key = PrivateKey::from_pem(&text).map_err(at)?;
    key.check(&Facts::of(certificate).map_err(at)?).map_err(at)?;
    Ok(key)
}

fn secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = read_private(path, MAX_KEY)?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Writes an archive that only its owner can read, from the first octet on: it contains keys.
fn write_private(path: &Path, bytes: &[u8], replace: bool) -> std::io::Result<()> {
    use std::io::Write;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match replace {
        true => file.persist(path).map_err(|e| e.error)?,
        false => file.persist_noclobber(path).map_err(|e| match e.error.kind() {
            std::io::ErrorKind::AlreadyExists => std::io::Error::new(
                std::io::ErrorKind::AlreadyExists,
                "it exists already; `--replace` replaces it",
            ),
            _ => e.error,
        })?,
    };
    Ok(())
}

fn refused(error: GatewayError) -> Failure {
    Failure::input(error.to_string())
}
