//! `countersign authorizer …`: the authorizer as a process of its own, and commands that ask it from a shell or from PAM.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use countersign_ca::Identity;
use countersign_ca::name::distinguished_name;
use countersign_ike_plugin::server::{Control, ask, control};
use countersign_ike_plugin::wire::{
    Answer, Auth, End, IkeId, IkeProposal, Mode, Octets, Question, Role, Secret, VERSION, Verdict,
};
use der::Encode;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::context::Context;
use crate::authorizer::Running;
use crate::exit::Failure;
use crate::logging::{self, LogControl};
use crate::output;

/// `countersign authorizer …`
#[derive(Debug, Subcommand)]
pub enum Authorizer {
    /// Answer IKE daemons until SIGTERM or SIGINT; SIGHUP loads the policy and the log filter again. No CA is needed
    Run(Run),
    /// Load the policy again; one with mistakes is refused, and the old one stays
    Reload(Socket),
    /// Show the digest of the policy in force, and how many questions were allowed and denied since the start
    Status(Socket),
    /// Ask whether a peer may connect, as an IKE daemon would
    Ask(Box<Ask>),
    /// Ask for PAM: libreswan's `pam-authorize=yes` with pam_exec(8), which names the peer in PAM_USER and PAM_RHOST
    Pam(Socket),
}

/// `authorizer run`
#[derive(Debug, Args)]
pub struct Run {
    /// The socket on which daemons ask, if not that of the configuration
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// The authorizer's socket.
#[derive(Debug, Args)]
pub struct Socket {
    /// The authorizer's socket, if not that of the configuration
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// `authorizer ask`
#[derive(Debug, Args)]
pub struct Ask {
    #[command(flatten)]
    socket: Socket,
    /// The identity that the peer claims: `fqdn:…`, `ip:…`, `email:…`, `dn:…`, `key-id:…`
    #[arg(long, value_name = "ID")]
    peer: String,
    /// The peer's certificate and the CA certificates above it, PEM or DER; without it, a certificate on record
    #[arg(long, value_name = "FILE", conflicts_with = "psk_file")]
    certificate: Vec<PathBuf>,
    /// The file that holds the pre-shared key that the peer proved
    #[arg(long, value_name = "FILE")]
    psk_file: Option<PathBuf>,
    /// The peer's address; without it, that of `--peer ip:…`, or none
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// This end's address
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    local_address: IpAddr,
    /// The IKE version, and for IKEv1 the exchange of phase 1
    #[arg(long, value_enum, default_value_t)]
    exchange: Exchange,
    /// This end is the initiator
    #[arg(long)]
    initiator: bool,
}

/// The IKE version, and for IKEv1 the exchange of phase 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Exchange {
    /// IKEv2
    #[default]
    Ikev2,
    /// IKEv1 main mode
    Main,
    /// IKEv1 aggressive mode
    Aggressive,
}

impl Authorizer {
    /// Carries out the command.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Run(run) => run.run(context),
            Self::Reload(socket) => socket.control(context, Control::Reload),
            Self::Status(socket) => socket.control(context, Control::Status),
            Self::Ask(ask) => ask.run(context),
            Self::Pam(socket) => socket.pam(context),
        }
    }
}

impl Run {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut config = context.location.config()?;
        let filter = context.log.as_ref().unwrap_or(&config.file.log.filter);
        let log = LogControl::start(filter, context.log_format.unwrap_or(config.file.log.format))?;
        if let Some(socket) = &self.socket {
            config.authorizer.socket.path.clone_from(socket);
        }
        let running = Running::start(&config.authorizer, None)?;
        logging::announce(&format!(
            "daemons may ask at {}",
            config.authorizer.socket.path.display()
        ));
        let location = context.location.clone();
        actix_web::rt::System::new().block_on(async move {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut hangup = signal(SignalKind::hangup())?;
            loop {
                tokio::select! {
                    _ = terminate.recv() => return Ok(()),
                    _ = interrupt.recv() => return Ok(()),
                    _ = hangup.recv() => {
                        match location.config() {
                            Ok(config) => log.set_filter(&config.file.log.filter),
                            Err(failure) => tracing::error!(
                                "the configuration is not taken, and the old one stays: {failure}"
                            ),
                        }
                        running.reload();
                    }
                }
            }
        })
    }
}

impl Socket {
    fn path(&self, context: &Context) -> Result<PathBuf, Failure> {
        match &self.socket {
            Some(path) => Ok(path.clone()),
            None => Ok(context.location.config()?.authorizer.socket.path),
        }
    }

    fn control(&self, context: &Context, what: Control) -> Result<(), Failure> {
        let path = self.path(context)?;
        let state = control(&path, what).map_err(|e| match e.kind() {
            std::io::ErrorKind::Other => Failure::input(e.to_string()),
            _ => Failure::unavailable(format!("`{}`: {e}", path.display())),
        })?;
        output::print(context.format, &state);
        Ok(())
    }

    /// Asks for PAM. `PAM_USER` is the peer's identity as pluto, libreswan's IKE daemon, writes it. `PAM_RHOST` is its address; without one
    /// that can be read, the question has the unspecified address. `PAM_SERVICE` is the connection. The exit code is the answer.
    fn pam(&self, context: &Context) -> Result<(), Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let user = variable("PAM_USER").ok_or_else(|| {
            Failure::input("expected the peer's identity in `PAM_USER`, found none")
        })?;
        let address = variable("PAM_RHOST").and_then(|text| text.parse().ok());
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let question = Question {
            connection: variable("PAM_SERVICE").unwrap_or_default(),
            ..question("pluto", pluto_id(&user)?, address, local_for(address))
        };
        let answer = send(&self.path(context)?, &question)?;
        output::line(&verdict_line(&user, &answer));
        exit_by(&answer)
    }
}

impl Ask {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let id = match self.peer.strip_prefix("key-id:") {
            Some(key_id) => IkeId { kind: 11, data: Octets(key_id.as_bytes().to_vec()) },
            None => {
                let identity = self.peer.parse()?;
                if let Identity::Ip(of_peer) = identity {
                    address = of_peer;
                }
                ike_id(&identity)?
            }
        };
        let address = self.address.unwrap_or(address);
        let (ike, mode) = match self.exchange {
            Exchange::Ikev2 => (2, Mode::IkeSa),
            Exchange::Main => (1, Mode::Main),
            Exchange::Aggressive => (1, Mode::Aggressive),
        };
        let psk = self.psk_file.as_deref().map(secret).transpose()?;
        let question = Question {
            ike,
            mode,
            role: if self.initiator { Role::Initiator } else { Role::Responder },
            chain: crate::authorizer::certificates(&self.certificate)?
                .into_iter()
                .map(Octets)
                .collect(),
            auth: Some(if psk.is_some() { Auth::Psk } else { Auth::Cert }),
            psk,
            ..question("ask", id, address, self.local_address)
        };
        let answer = send(&self.socket.path(context)?, &question)?;
        output::print(
            context.format,
            &json!({
                "decision": answer.decision,
                "step": answer.step,
                "reason": answer.reason,
                "trace": answer.trace,
            }),
        );
        exit_by(&answer)
    }
}

/// A question of the responder of an IKEv2 SA about a peer with a certificate. It has no chain, and a key ID is used as the own identity.
fn question(daemon: &str, id: IkeId, address: IpAddr, local: IpAddr) -> Question {
    Question {
        v: VERSION,
        id: String::new(),
        timeout_ms: 5_000,
        daemon: daemon.into(),
        connection: String::new(),
        ike: 2,
        mode: Mode::IkeSa,
        role: Role::Responder,
        local: End {
            address: local,
            port: 0,
            id: IkeId { kind: 11, data: Octets(b"local".to_vec()) },
        },
        remote: End { address, port: 0, id },
        auth: Some(Auth::Cert),
        chain: Vec::new(),
        psk: None,
        key: None,
        proposal: IkeProposal::default(),
        child: None,
    }
}

/// Sends a question. If the authorizer does not answer, the peer counts as refused.
fn send(socket: &Path, question: &Question) -> Result<Answer, Failure> {
    ask(socket, question).map_err(|e| {
        Failure::unavailable(format!(
            "refused, for the authorizer at `{}` did not answer: {e}",
            socket.display()
        ))
    })
}

/// The answer in one line for standard output, which pam_exec(8) can log.
fn verdict_line(peer: &str, answer: &Answer) -> String {
    let verdict = match answer.decision {
        Verdict::Allow => "allowed",
        Verdict::Deny => "refused",
    };
    format!("`{}` {verdict}: {} [trace {}]", output::safe(peer), answer.reason, answer.trace)
}

/// Fails with exit code 4 (refused) if the authorizer denied.
fn exit_by(answer: &Answer) -> Result<(), Failure> {
    match answer.decision {
        Verdict::Allow => Ok(()),
        Verdict::Deny => Err(Failure {
            code: 4,
            message: format!("refused: {} [trace {}]", answer.reason, answer.trace),
        }),
    }
}

/// Reads a pre-shared key from a file. One newline at its end is not part of the key.
fn secret(path: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read(path).map(Zeroizing::new);
    let text = text.map_err(|e| Failure::unavailable(format!("`{}`: {e}", path.display())))?;
    let secret = text.strip_suffix(b"\n").unwrap_or(&text);
    Ok(Secret(Zeroizing::new(secret.to_vec())))
}

/// An identity as the ID type and data of an IKE identification payload (RFC 7296 §3.5).
fn ike_id(identity: &Identity) -> Result<IkeId, Failure> {
    let (kind, data) = match identity {
        Identity::Ip(IpAddr::V4(address)) => (1, address.octets().to_vec()),
        Identity::Ip(IpAddr::V6(address)) => (5, address.octets().to_vec()),
        Identity::Fqdn(name) => (2, name.clone().into_bytes()),
        Identity::Email(mailbox) => (3, mailbox.clone().into_bytes()),
        Identity::Dn(name) => (9, name.to_der().map_err(|e| Failure::input(e.to_string()))?),
    };
    Ok(IkeId { kind, data: Octets(data) })
}

/// Parses an identity as pluto, libreswan's IKE daemon, writes it: `@name`, an address, `user@host`, or a distinguished name with its most
/// general part first.
fn pluto_id(text: &str) -> Result<IkeId, Failure> {
    let identity = if let Ok(address) = text.parse() {
        Identity::Ip(address)
    } else if let Some(name) = text.strip_prefix('@') {
        format!("fqdn:{name}").parse()?
    } else if text.contains('=') {
        Identity::Dn(distinguished_name(&most_specific_first(text))?)
    } else {
        format!("email:{text}").parse()?
    };
    ike_id(&identity)
}

/// A distinguished name with its most specific part first, as RFC 4514 writes it. pluto puts a backslash before a comma that is not a
/// separator.
fn most_specific_first(text: &str) -> String {
    let mut parts = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_separator = c == ',' && rest.next_if_eq(&' ').is_some();
        if is_separator {
            parts.push(String::new());
            continue;
        }
        let Some(part) = parts.last_mut() else { break };
        part.push(c);
        if c == '\\' {
            part.extend(rest.next());
            // The blank after an escaped comma is escaped, too, so that it is not taken for a separator's.
            if rest.next_if_eq(&' ').is_some() {
                part.push_str("\\20");
            }
        }
    }
    parts.reverse();
    parts.join(",")
}

/// The unspecified address of the remote address's family.
fn local_for(remote: IpAddr) -> IpAddr {
    match remote {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read_as_pluto_writes_them() {
        let id = |text: &str| pluto_id(text).unwrap();
        assert_eq!(
            (id("@gw1.example").kind, id("@gw1.example").data.0),
            (2, b"gw1.example".to_vec())
        );
        assert_eq!((id("192.0.2.1").kind, id("192.0.2.1").data.0), (1, vec![192, 0, 2, 1]));
        assert_eq!(id("2001:db8::1").kind, 5);
        assert_eq!(
            (id("op@gw.example").kind, id("op@gw.example").data.0),
            (3, b"op@gw.example".to_vec())
        );
        let name = distinguished_name("CN=gw1,O=Example,C=SE").unwrap().to_der().unwrap();
        assert_eq!(
            (id("C=SE, O=Example, CN=gw1").kind, id("C=SE, O=Example, CN=gw1").data.0),
            (9, name)
        );
        let name = distinguished_name("CN=gw1,O=Example\\,\\20Inc.").unwrap();
        assert!(name.to_string().contains("Example\\, Inc."), "{name}");
        let name = name.to_der().unwrap();
        assert_eq!(id("O=Example\\, Inc., CN=gw1").data.0, name);
        assert!(pluto_id("nobody").is_err() && pluto_id("@").is_err());
    }
}
