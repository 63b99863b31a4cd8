//! The command line: a noun and a verb, or a verb alone. Each file has one of them, or a few that belong together.

mod admin;
mod audit;
mod authorizer;
mod backup;
mod ca;
mod cert;
mod context;
mod decision;
mod demo;
mod enroll;
mod export;
mod files;
mod gateway;
mod init;
mod passphrase;
mod peer;
mod policy;
mod publish;
mod remote;
mod report;
mod request;
mod serve;
mod show;
mod status;
mod trust;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use context::Context;
use remote::Reachable;

use crate::config::LogFormat;
use crate::exit::Failure;
use crate::folder::DataFolder;
use crate::instance::Location;
use crate::output::Format;

/// Certificates, revocation and trust policy for IPsec peers.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    about,
    max_term_width = 100,
    after_help = "\
Exit codes:\n  \
0  done\n  \
1  an internal fault, or a check found something\n  \
2  the command line or an input cannot be read\n  \
3  there is no such thing, or there is one already\n  \
4  refused: not allowed, or a wrong passphrase\n  \
5  not now: no server, locked by another process, disk full, a file is missing\n  \
6  enroll --renew: not due\n  \
7  enroll: the CA has not decided; the same command asks again\n\n\
Begin with:  countersign serve --init"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The heading in the help of a command, behind the command's own options.
const EVERY: &str = "Options of every command";

/// Options of every command.
#[derive(Debug, Args)]
struct Global {
    /// The data folder of the instance
    #[arg(
        long,
        global = true,
        env = "COUNTERSIGN_DATA",
        default_value = "./countersign-data",
        value_name = "DIR",
        help_heading = EVERY
    )]
    data: PathBuf,
    /// The configuration, if not DIR/countersign.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERY)]
    config: Option<PathBuf>,
    /// The format of results
    #[arg(long, global = true, value_enum, default_value_t, help_heading = EVERY)]
    format: Format,
    /// The same as --format json
    #[arg(long, global = true, conflicts_with = "format", help_heading = EVERY)]
    json: bool,
    /// The file that holds the passphrase of the keys, in one line; without it the systemd credential
    /// `countersign-passphrase`, or else DIR/passphrase
    #[arg(long, global = true, env = "COUNTERSIGN_PASSPHRASE_FILE", value_name = "FILE", help_heading = EVERY)]
    passphrase_file: Option<PathBuf>,
    /// The log filter, such as `info` or `warn,countersign_enroll=debug`
    #[arg(long, global = true, value_name = "FILTER", help_heading = EVERY)]
    log: Option<String>,
    /// The format of log lines
    #[arg(long, global = true, value_enum, help_heading = EVERY)]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Found an instance: its keys, a root and an issuing CA
    Init(init::Init),
    /// Run the server
    Serve(serve::Serve),
    /// The accounts of peers, and the identities that each may get
    Peer(Reachable<peer::Peer>),
    /// Vendors whose equipment enrols with its factory certificate (not the roots of a gateway)
    Trust(Reachable<trust::Trust>),
    /// Certificates
    Cert(Reachable<cert::Cert>),
    /// Requests that wait for approval
    Request(Reachable<request::Request>),
    /// The CAs of the instance
    Ca(Reachable<ca::Ca>),
    /// The passphrase of the private keys
    #[command(subcommand)]
    Passphrase(passphrase::Passphrase),
    /// Certificate revocation lists
    Crl(Reachable<ca::Crl>),
    /// Directories: publish to them, compare them
    Publish(Reachable<publish::Publish>),
    /// The administrators who work from other machines, and the tokens of their programs
    Admin(Reachable<admin::Admin>),
    /// KeyNote policy: check, lint, format, ask, test, sign
    #[command(subcommand)]
    Policy(policy::Policy),
    /// The authorizer: it answers IKE daemons whether a peer may connect
    #[command(subcommand)]
    Authorizer(authorizer::Authorizer),
    /// The authorizer's decisions about peers, and their reasons
    #[command(subcommand)]
    Decision(decision::Decision),
    /// Write the files for the daemon of a gateway: configuration, certificates, CRLs, key
    Export(export::Export),
    /// Check whether two gateways, as they are configured, can connect
    Check(export::Check),
    /// Enrol this gateway with a CMP, EST or SCEP server of any make, and renew its certificate
    Enroll(Box<enroll::Enroll>),
    /// Show a demo on this machine: two gateways enrol and connect, and one is revoked
    Demo(demo::Demo),
    /// Show the state of the instance on one screen, with what needs an administrator
    Status(status::Status),
    /// Prove that the journal is whole
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The journal and its index
    Store(Reachable<audit::StoreCommand>),
    /// Write a backup of the instance to a new folder, also while the server runs
    Backup(backup::Backup),
    /// Restore an instance from a backup into an empty data folder
    Restore(backup::Restore),
    /// Check certificates and CRLs against RFC 5280 and RFC 4945
    Lint(show::Lint),
    /// The configuration
    #[command(subcommand)]
    Config(show::Config),
    /// Print a completion script for a shell
    Completion(show::Completion),
    /// Write the manual pages
    Man(show::Man),
}

impl Command {
    /// Whether the result is a list of objects with the same fields, which can be written as CSV.
    const fn lists(&self) -> bool {
        match self {
            Self::Peer(peer) => {
                matches!(peer.command, peer::Peer::List(_) | peer::Peer::Import(_))
            }
            Self::Trust(trust) => matches!(trust.command, trust::Trust::List),
            Self::Cert(cert) => matches!(cert.command, cert::Cert::List(_)),
            Self::Request(request) => matches!(request.command, request::Request::List),
            Self::Ca(ca) => matches!(ca.command, ca::Ca::Show),
            Self::Crl(crl) => matches!(crl.command, ca::Crl::Show),
            Self::Publish(publish) => matches!(publish.command, publish::Publish::Status),
            Self::Admin(admin) => matches!(admin.command, admin::Admin::List),
            Self::Audit(audit) => matches!(audit, audit::Audit::Report(_)),
            _ => false,
        }
    }
}

/// Parses the command line and runs the command.
pub fn run() -> Result<(), Failure> {
    let cli = Cli::parse();
    let context = Context {
        location: Location {
            folder: DataFolder::new(&cli.global.data),
            config: cli.global.config,
            passphrase_file: cli.global.passphrase_file,
        },
        format: if cli.global.json { Format::Json } else { cli.global.format },
        log: cli.global.log,
        log_format: cli.global.log_format,
        remote: None,
    };
    if context.format == Format::Csv && !cli.command.lists() {
        return Err(Failure::input(
            "`--format csv` is for commands that list something, such as `cert list` and `peer list`; use `--format json`",
        ));
    }
    match cli.command {
        Command::Init(init) => init.run(&context),
        Command::Serve(serve) => serve.run(&context),
        Command::Peer(peer) => peer.command.run(&context.at(&peer.server)?),
        Command::Trust(trust) => trust.command.run(&context.at(&trust.server)?),
        Command::Cert(cert) => cert.command.run(&context.at(&cert.server)?),
        Command::Request(request) => request.command.run(&context.at(&request.server)?),
        Command::Ca(ca) => ca.command.run(&context.at(&ca.server)?),
        Command::Passphrase(passphrase) => passphrase.run(&context),
        Command::Crl(crl) => crl.command.run(&context.at(&crl.server)?),
        Command::Publish(publish) => publish.command.run(&context.at(&publish.server)?),
        Command::Admin(admin) => admin.command.run(&context.at(&admin.server)?),
        Command::Policy(policy) => policy.run(&context),
        Command::Authorizer(authorizer) => authorizer.run(&context),
        Command::Decision(decision) => decision.run(&context),
        Command::Export(export) => export.run(&context),
        Command::Check(check) => check.run(&context),
        Command::Enroll(enroll) => enroll.run(&context),
        Command::Demo(demo) => demo.run(),
        Command::Status(status) => status.run(context),
        Command::Audit(audit) => audit.run(&context),
        Command::Store(store) => store.command.run(&context.at(&store.server)?),
        Command::Backup(backup) => backup.run(&context),
        Command::Restore(restore) => restore.run(&context),
        Command::Lint(lint) => lint.run(&context),
        Command::Config(config) => config.run(&context),
        Command::Completion(completion) => completion.run(&mut Cli::command()),
        Command::Man(man) => man.run(Cli::command()),
    }
}
