//! The way to an instance on another machine: its administration API, with the client certificate of an enrolment or a token.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use countersign_ca::key::read_private;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey};
use zeroize::Zeroizing;

use crate::admin::Request;
use crate::exit::Failure;
use crate::https;
use crate::wiped::Wiped;

/// The longest answer, in octets.
const MAX_ANSWER: u64 = 64 << 20;

/// The largest file of a certificate, a key or a token, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How long an answer may take. A CRL of a million entries takes a while to sign.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that another machine's instance may carry out, too.
#[derive(Debug, Args)]
pub struct Reachable<T: Subcommand> {
    #[command(flatten)]
    pub server: Server,
    #[command(subcommand)]
    pub command: T,
}

/// The instance on another machine.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The instance on another machine")]
pub struct Server {
    /// The URL of its administration API (admin.listen), such as https://pki.example.net:8843
    #[arg(long, global = true, env = "COUNTERSIGN_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The folder of the enrolment whose certificate proves who you are (`countersign enroll --out DIR`)
    #[arg(long, global = true, requires = "server", value_name = "DIR")]
    login: Option<PathBuf>,
    /// A file with a token, in one line, that proves who you are in place of a certificate
    #[arg(long, global = true, requires = "server", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The roots that may certify the server, if not those of the enrolment
    #[arg(long, global = true, requires = "server", value_name = "FILE")]
    server_ca: Option<PathBuf>,
}

impl Server {
    /// The instance on another machine; `None` if the command is for this one.
    ///
    /// # Errors
    /// A file cannot be read, or there is none by which to prove who you are.
    pub fn open(&self) -> Result<Option<Remote>, Failure> {
        let Some(url) = &self.server else { return Ok(None) };
        if !url.starts_with("https://") {
            return Err(Failure::input(format!(
                "expected `--server` to be an `https://` URL, found `{}`",
                url.escape_debug()
            )));
        }
        if self.login.is_none() && self.token_file.is_none() {
            return Err(Failure::input(
                "expected `--login DIR`, the folder of your enrolment, or `--token-file FILE`",
            ));
        }
        let anchors = match (&self.server_ca, &self.login) {
            (Some(file), _) => file.clone(),
            (None, Some(folder)) => folder.join("enrolment/anchors.pem"),
            (None, None) => {
                return Err(Failure::input(
                    "expected `--server-ca FILE`, the root that certifies the server: `countersign ca show --format json` names it at the \
                     server as `admin_trust_anchor`",
                ));
            }
        };
        if let Some(folder) =
            self.login.as_ref().filter(|folder| !folder.join("enrolment").exists())
        {
            return Err(Failure::missing(format!(
                "there is no enrolment in `{0}`; `countersign enroll --out {0}` makes one",
                folder.display()
            )));
        }
        let roots = certificates(&anchors)?;
        let client = match &self.login {
            Some(folder) if self.token_file.is_none() => Some(identity(folder)?),
            _ => None,
        };
        let token = self.token_file.as_deref().map(token).transpose()?;
        let agent = https::guarded(roots, client, PATIENCE).build();
        let url = format!("{}/api/v1/command", url.trim_end_matches('/'));
        Ok(Some(Remote { url, token, agent: agent.into() }))
    }
}

/// A connection to another machine's instance.
pub struct Remote {
    url: String,
    token: Option<Zeroizing<String>>,
    agent: Agent,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.url)
    }
}

impl Remote {
    /// Has a request carried out.
    ///
    /// # Errors
    /// The failure that the instance answers with; exit code 5 if it cannot be reached.
    pub fn ask(&self, request: &Request) -> Result<Value, Failure> {
        let away = |e: &dyn fmt::Display| Failure::unavailable(format!("`{}`: {e}", self.url));
        let body = serde_json::to_string(request).map_err(|e| Failure::input(e.to_string()))?;
        let body = Zeroizing::new(body);
        let mut call = self.agent.post(&self.url).header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            call = call.header("Authorization", format!("Bearer {}", token.as_str()));
        }
        let mut response = call.send(body.as_bytes()).map_err(|e| away(&e))?;
        let status = response.status().as_u16();
        let octets = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let octets = Zeroizing::new(octets.map_err(|e| away(&e))?);
        let answer: Result<Wiped, _> = serde_json::from_slice::<Value>(&octets).map(Wiped::from);
        match answer {
            Ok(mut answer) if status < 300 => Ok(std::mem::take(&mut *answer)),
            Ok(problem) => {
                let code = problem.get("exit_code").and_then(Value::as_u64);
                let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(5);
                let detail = problem.get("detail").and_then(Value::as_str);
                let message = detail.map_or_else(|| format!("HTTP {status}"), str::to_owned);
                Err(Failure { code, message })
            }
            Err(e) => Err(away(&format!("HTTP {status}, and no JSON: {e}"))),
        }
    }
}

/// The certificates in a PEM file.
fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let text = read(file)?;
    let ders = countersign_ca::x509::read_all(&text)
        .map_err(|e| Failure::input(format!("`{}`: {e}", file.display())))?;
    Ok(ders.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

/// The certificate, its chain and the key of an enrolment.
fn identity(folder: &Path) -> Result<ClientCert, Failure> {
    let current = folder.join("enrolment/current");
    if !current.exists() {
        return Err(Failure::unavailable(format!(
            "`{}` has no finished enrolment; `countersign enroll --out {}` makes one",
            folder.display(),
            folder.display()
        )));
    }
    let chain = certificates(&current.join("certificate.pem"))?;
    let file = current.join("key.pem");
    let text = read_private(&file, MAX_FILE)?;
    let wrong = |e: &dyn fmt::Display| Failure::input(format!("`{}`: {e}", file.display()));
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|e| wrong(&e))?;
    let key = PrivateKey::from_pem(text.as_bytes()).map_err(|e| wrong(&e))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

/// The token in a file.
fn token(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = read_private(file, MAX_FILE)?;
    let token = Zeroizing::new(text.trim().to_owned());
    match token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        true => Err(Failure::input(format!(
            "expected a token in `{}`, in one line, as `countersign admin token add` printed it",
            file.display()
        ))),
        false => Ok(token),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", file.display()));
    let length = std::fs::metadata(file).map_err(wrong)?.len();
    if length > MAX_FILE {
        return Err(Failure::input(format!(
            "`{}` is larger than {MAX_FILE} bytes",
            file.display()
        )));
    }
    std::fs::read(file).map_err(wrong)
}
