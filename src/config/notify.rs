//! The section `[notify]`: who is told of what `countersign status` finds, and by which way.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use countersign_ca::record::Label;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::values::DurationText;
use crate::exit::Failure;
use crate::finding::{CODES, Severity};

/// The most receivers.
const MAX_RECEIVERS: usize = 16;
/// The most addresses of one mail.
const MAX_ADDRESSES: usize = 20;
/// The shortest and the longest time after which something is told again, in seconds.
const REMIND: (u64, u64) = (3600, 365 * 86_400);

/// The section `[notify]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyFile {
    /// How often the server looks at what `countersign status` shows.
    pub interval: DurationText,
    /// The receivers.
    pub receivers: Vec<ReceiverFile>,
}

impl Default for NotifyFile {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60).into(), receivers: Vec::new() }
    }
}

/// A receiver, as the operator writes it: a webhook, or addresses for mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverFile {
    /// Its name.
    pub name: Label,
    /// The URL to which messages are posted.
    pub webhook: Option<String>,
    /// The file with the key of the signature on messages to the webhook.
    pub secret_file: Option<PathBuf>,
    /// The addresses that get mail.
    #[serde(default)]
    pub to: Vec<String>,
    /// The address that sends it.
    pub from: Option<String>,
    /// The mail server, as `HOST` or `HOST:PORT`.
    pub smtp: Option<String>,
    /// How the connection to the mail server is encrypted; `tls` for `None`.
    pub tls: Option<MailTls>,
    /// The user at the mail server.
    pub user: Option<String>,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
    /// The roots that may certify the server, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The mildest severity that is told; `notice` for `None`.
    pub severity: Option<Severity>,
    /// The codes of the findings that are told; all for none.
    #[serde(default)]
    pub codes: Vec<String>,
    /// After how long what still holds is told again; 7 days for `None`.
    pub remind: Option<DurationText>,
    /// The shortest time between two messages about the same finding; 15 minutes for `None`.
    pub gather: Option<DurationText>,
}

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// By STARTTLS (RFC 3207), which the server must offer.
    StartTls,
    /// From the first octet (RFC 8314).
    Tls,
    /// Not at all: for a mail server on this machine.
    None,
}

impl MailTls {
    /// The port that is registered for it.
    const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// The section `[notify]`, checked.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// How often the server looks.
    pub interval: Duration,
    /// The receivers.
    pub receivers: Vec<ReceiverConfig>,
    /// The name of this instance in messages.
    pub instance: String,
}

/// A receiver, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// Its name.
    pub name: Label,
    /// The way to it.
    pub channel: Channel,
    /// The roots that may certify the server, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// What it is told, and how often.
    pub wants: Wants,
}

/// What a receiver is told, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wants {
    /// The mildest severity.
    pub severity: Severity,
    /// The codes; all if there is none.
    pub codes: BTreeSet<String>,
    /// After how long what still holds is told again.
    pub remind: Duration,
    /// The shortest time between two messages about the same finding.
    pub gather: Duration,
}

impl Wants {
    /// Whether a finding of this code and severity is told.
    pub fn includes(&self, code: &str, severity: Severity) -> bool {
        severity >= self.severity && (self.codes.is_empty() || self.codes.contains(code))
    }
}

/// The way to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// An HTTP server.
    Webhook(Webhook),
    /// A mail server.
    Mail(Box<Mail>),
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where messages are posted.
    pub url: Url,
    /// The file with the key of the signature.
    pub secret_file: Option<PathBuf>,
}

/// Mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The addresses that get it.
    pub to: Vec<Mailbox>,
    /// The address that sends it.
    pub from: Mailbox,
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// The user and the file with the password.
    pub login: Option<(String, PathBuf)>,
}

impl fmt::Display for Channel {
    /// The host of a webhook, because the rest of its URL may be a secret; the addresses of mail.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(webhook) => {
                let (scheme, host) = (webhook.url.scheme(), webhook.url.host_str().unwrap_or(""));
                match webhook.url.port() {
                    Some(port) => write!(f, "{scheme}://{host}:{port}"),
                    None => write!(f, "{scheme}://{host}"),
                }
            }
            Self::Mail(mail) => {
                let addresses: Vec<String> =
                    mail.to.iter().map(|mailbox| mailbox.email.to_string()).collect();
                f.write_str(&addresses.join(", "))
            }
        }
    }
}

/// Checks every value. `public_url` is `http.public_url`, which names the instance in messages.
///
/// # Errors
/// A value is out of bounds, two receivers have one name, or a receiver is neither a webhook nor mail.
pub fn check(file: &NotifyFile, public_url: Option<&str>) -> Result<NotifyConfig, Failure> {
    let interval = file.interval.within("notify.interval", 1, 3600)?;
    if file.receivers.len() > MAX_RECEIVERS {
        return Err(Failure::input(format!(
            "expected at most {MAX_RECEIVERS} notify.receivers, found {}",
            file.receivers.len()
        )));
    }
    let mut receivers: Vec<ReceiverConfig> = Vec::with_capacity(file.receivers.len());
    for receiver in &file.receivers {
        let checked = check_receiver(receiver).map_err(|failure| Failure {
            message: format!("notify.receivers `{}`: {}", receiver.name, failure.message),
            ..failure
        })?;
        if receivers.iter().any(|other| other.name == checked.name) {
            return Err(Failure::input(format!(
                "notify.receivers: two have the name `{}`; give each its own",
                checked.name
            )));
        }
        receivers.push(checked);
    }
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let url = public_url.and_then(|url| Url::parse(url).ok());
    let named = url.and_then(|url| url.host_str().map(str::to_owned));
    Ok(NotifyConfig { interval, receivers, instance: named.unwrap_or_else(host) })
}

fn check_receiver(file: &ReceiverFile) -> Result<ReceiverConfig, Failure> {
    let of_mail = [
        ("to", !file.to.is_empty()),
        ("from", file.from.is_some()),
        ("smtp", file.smtp.is_some()),
        ("tls", file.tls.is_some()),
        ("user", file.user.is_some()),
        ("password_file", file.password_file.is_some()),
    ];
    let channel = match (&file.webhook, &file.smtp) {
        (Some(webhook), None) => {
            if let Some((key, _)) = of_mail.iter().find(|(_, is_set)| *is_set) {
                return Err(Failure::input(format!("a webhook has no `{key}`, which is for mail")));
            }
            Channel::Webhook(check_webhook(webhook, file.secret_file.clone())?)
        }
        (None, Some(smtp)) => {
            if file.secret_file.is_some() {
                return Err(Failure::input("mail has no `secret_file`, which is for a webhook"));
            }
            Channel::Mail(Box::new(check_mail(file, smtp)?))
        }
        _ => {
            return Err(Failure::input("expected `webhook`, or `smtp` with `to` and `from`"));
        }
    };
    for code in &file.codes {
        if !CODES.contains(&code.as_str()) {
            return Err(Failure::input(format!(
                "expected codes of findings, some of {}, found `{}`",
                CODES.join(", "),
                code.escape_debug()
            )));
        }
    }
    let duration = |key: &str, text: &Option<DurationText>, default: u64, (least, most)| {
        let default = Duration::from_secs(default);
        text.as_ref().map_or(Ok(default), |text| text.within(key, least, most))
    };
    Ok(ReceiverConfig {
        name: file.name.clone(),
        channel,
        ca_file: file.ca_file.clone(),
        wants: Wants {
            severity: file.severity.unwrap_or(Severity::Notice),
            codes: file.codes.iter().cloned().collect(),
            remind: duration("remind", &file.remind, 7 * 86_400, REMIND)?,
            gather: duration("gather", &file.gather, 900, (0, 86_400))?,
        },
    })
}

fn check_webhook(text: &str, secret_file: Option<PathBuf>) -> Result<Webhook, Failure> {
    // The URL itself may be a secret, so that it is in no message.
    let expected = |why: &str| {
        Failure::input(format!(
            "expected `webhook` to be a URL such as `https://hooks.example.net/pki`, found one {why}"
        ))
    };
    let url = Url::parse(text).map_err(|e| expected(&format!("that cannot be read: {e}")))?;
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => {}
        ("http", Some(host)) if is_loopback(&host) => {}
        ("http", _) => return Err(expected("with `http:`, which is for this machine alone")),
        _ => return Err(expected("with another scheme")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(expected("with a user or password; `secret_file` signs messages"));
    }
    if url.fragment().is_some() {
        return Err(expected("with a fragment"));
    }
    Ok(Webhook { url, secret_file })
}

fn check_mail(file: &ReceiverFile, smtp: &str) -> Result<Mail, Failure> {
    let address = |key: &str, text: &str| {
        text.parse::<Mailbox>().map_err(|e| {
            Failure::input(format!(
                "expected `{key}` to be an address such as `noc@example.net`, found `{}`: {e}",
                text.escape_debug()
            ))
        })
    };
    if file.to.is_empty() || file.to.len() > MAX_ADDRESSES {
        return Err(Failure::input(format!(
            "expected 1 to {MAX_ADDRESSES} addresses in `to`, found {}",
            file.to.len()
        )));
    }
    let to = file.to.iter().map(|text| address("to", text)).collect::<Result<Vec<_>, _>>()?;
    let from = file.from.as_deref().ok_or_else(|| Failure::input("mail needs `from`"))?;
    let tls = file.tls.unwrap_or(MailTls::Tls);
    let (host, port) = host_and_port(smtp, tls.port())?;
    if file.tls.is_none() && [MailTls::StartTls.port(), MailTls::None.port()].contains(&port) {
        return Err(Failure::input(format!(
            "port {port} begins without TLS: set `tls = \"starttls\"`, or use port {}",
            MailTls::Tls.port()
        )));
    }
    if tls == MailTls::None {
        let is_here = Host::parse(&host).is_ok_and(|host| is_loopback(&host))
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_here {
            return Err(Failure::input(
                "`tls = \"none\"` is for a mail server on this machine, such as `127.0.0.1:25`",
            ));
        }
        if file.user.is_some() {
            return Err(Failure::input(
                "a password is sent over TLS alone: set `tls`, or no `user`",
            ));
        }
    }
    let login = match (&file.user, &file.password_file) {
        (Some(user), Some(file)) => Some((user.clone(), file.clone())),
        (None, None) => None,
        _ => return Err(Failure::input("`user` and `password_file` belong together; set both")),
    };
    Ok(Mail { to, from: address("from", from)?, host, port, tls, login })
}

/// A host, without the brackets of an IPv6 address, and its port.
fn host_and_port(text: &str, default: u16) -> Result<(String, u16), Failure> {
    let expected = || {
        Failure::input(format!(
            "expected `smtp` to be a host such as `smtp.example.net:587`, found `{}`",
            text.escape_debug()
        ))
    };
    let is_bare_ipv6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !is_bare_ipv6 && !port.ends_with(']') => {
            (host, port.parse().map_err(|_| expected())?)
        }
        _ => (text, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_name = host.parse::<IpAddr>().is_ok()
        || (!host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')));
    if is_name && port != 0 { Ok((host.to_owned(), port)) } else { Err(expected()) }
}

fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<NotifyConfig, Failure> {
        let file: NotifyFile = toml::from_str(text).unwrap();
        check(&file, Some("http://pki.example.net:8829"))
    }

    #[test]
    fn receivers_are_webhooks_or_mail() {
        let config = checked(
            "[[receivers]]\nname = \"ops\"\nwebhook = \"https://hooks.example.net/a?b=c\"\nremind = \"1d\"\n\
             [[receivers]]\nname = \"noc\"\nto = [\"NOC <noc@example.net>\"]\nfrom = \"pki@example.net\"\nsmtp = \"[::1]:2525\"\n\
             tls = \"none\"\nseverity = \"warning\"\ncodes = [\"directory\"]",
        )
        .unwrap();
        assert_eq!(config.instance, "pki.example.net");
        let [ops, noc] = &config.receivers[..] else { panic!("{config:?}") };
        assert_eq!(ops.channel.to_string(), "https://hooks.example.net");
        assert_eq!(ops.wants.remind.as_secs(), 86_400);
        assert!(ops.wants.includes("anything", Severity::Notice));
        let Channel::Mail(mail) = &noc.channel else { panic!("{noc:?}") };
        assert_eq!((mail.host.as_str(), mail.port), ("::1", 2525));
        assert!(noc.wants.includes("directory", Severity::Error));
        assert!(!noc.wants.includes("directory", Severity::Notice));
        assert!(!noc.wants.includes("clock", Severity::Error));
        assert_eq!(host_and_port("smtp.example.net", 465).unwrap().1, 465);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mail = "to = [\"a@example.net\"]\nfrom = \"b@example.net\"\n";
        for (receiver, word) in [
            (String::new(), "expected `webhook`, or `smtp`"),
            ("webhook = \"http://hooks.example.net/\"".into(), "this machine alone"),
            ("webhook = \"https://u:hidden@hooks.example.net/\"".into(), "user or password"),
            ("webhook = \"ftp://hooks.example.net/\"".into(), "another scheme"),
            ("webhook = \"nowhere\"".into(), "cannot be read"),
            ("webhook = \"https://a\"\nuser = \"x\"".into(), "no `user`"),
            ("webhook = \"https://a\"\nsmtp = \"b\"".into(), "expected `webhook`, or"),
            ("webhook = \"https://a\"\nremind = \"1s\"".into(), "remind"),
            ("webhook = \"https://a\"\ncodes = [\"odd\"]".into(), "found `odd`"),
            (format!("{mail}smtp = \"smtp.example.net:x\""), "expected `smtp`"),
            (format!("{mail}smtp = \"smtp example\""), "expected `smtp`"),
            (format!("{mail}smtp = \"smtp.example.net:587\""), "begins without TLS"),
            (format!("{mail}smtp = \"a.example\"\ntls = \"none\""), "on this machine"),
            (format!("{mail}smtp = \"a.example\"\nuser = \"x\""), "belong together"),
            (
                format!(
                    "{mail}smtp = \"localhost\"\ntls = \"none\"\nuser = \"x\"\npassword_file = \"y\""
                ),
                "over TLS alone",
            ),
            (format!("{mail}smtp = \"a\"\nsecret_file = \"x\""), "no `secret_file`"),
            ("to = []\nfrom = \"b@example.net\"\nsmtp = \"a\"".into(), "addresses in `to`"),
            ("to = [\"a\"]\nfrom = \"b@example.net\"\nsmtp = \"a\"".into(), "expected `to`"),
            ("to = [\"a@example.net\\r\\nBcc: b@example.net\"]\nfrom = \"b@example.net\"\nsmtp = \"a\"".into(), "expected `to`"),
        ] {
            let text = format!("[[receivers]]\nname = \"ops\"\n{receiver}");
            let failure = checked(&text).unwrap_err();
            assert!(failure.code == 2 && failure.message.contains(word), "{text}: {failure}");
            assert!(!failure.message.contains("hidden"), "{failure}");
        }
        let two = "[[receivers]]\nname = \"ops\"\nwebhook = \"https://a\"\n".repeat(2);
        assert!(checked(&two).unwrap_err().message.contains("two have the name"));
        assert!(checked("interval = \"0s\"").unwrap_err().message.contains("notify.interval"));
    }
}
