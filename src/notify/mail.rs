//! Messages by mail, over lettre, which encodes headers and addresses.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use countersign_ca::Timestamp;
use countersign_ca::key::read_private;
use lettre::message::Mailboxes;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::runtime;

use super::files::read;
use super::message::Message;
use crate::config::{Mail, MailTls};

/// How long the mail server may take for a message, from the search of its address to its last answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hands a message to the mail server.
///
/// # Errors
/// Why it was not taken.
pub fn deliver(
    mail: &Mail,
    ca_file: Option<&Path>,
    message: &Message,
    now: Timestamp,
) -> Result<(), String> {
    let letter = letter(mail, message, now)?;
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
        .port(mail.port)
        .timeout(Some(PATIENCE))
        .tls(match mail.tls {
            MailTls::StartTls => Tls::Required(parameters(mail, ca_file)?),
            MailTls::Tls => Tls::Wrapper(parameters(mail, ca_file)?),
            MailTls::None => Tls::None,
        });
    if let Some((user, file)) = &mail.login {
        let password = read_private(file, 4096).map_err(|e| e.to_string())?;
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    let transport = builder.build();
    // A bound for each step alone would let a server that writes now and then go on for ever. What is dropped ends the connection.
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    let sent =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, transport.send(letter)).await });
    // A search for an address of the server may still be under way.
    runtime.shutdown_background();
    match sent {
        Ok(Ok(_)) => Ok(()),
        Err(_) => Err(format!(
            "`{}`: it did not take the message within {} seconds",
            mail.host,
            PATIENCE.as_secs()
        )),
        // The mail server's words may be part of it.
        Ok(Err(e)) => Err(format!("`{}`: {}", mail.host, chain(&e))),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn letter(mail: &Mail, message: &Message, now: Timestamp) -> Result<lettre::Message, String> {
    let since = Duration::from_secs(u64::try_from(now.seconds()).unwrap_or(0));
    let domain = mail.from.email.domain();
    let to: Mailboxes = mail.to.iter().cloned().collect();
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    lettre::Message::builder()
        .from(mail.from.clone())
        .mailbox(lettre::message::header::To::from(to))
        .subject(message.subject())
        .date(UNIX_EPOCH + since)
        // The same when the message is sent again, so that mail programs can tell that it is one.
        .message_id(Some(format!("<{}@{domain}>", message.id)))
        // RFC 3834 §5: no holiday notice answers it.
        .raw_header(HeaderValue::new(automatic, "auto-generated".into()))
        .header(ContentType::TEXT_PLAIN)
        .body(message.text())
        .map_err(|e| e.to_string())
}

fn parameters(mail: &Mail, ca_file: Option<&Path>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(mail.host.clone());
    if let Some(file) = ca_file {
        let roots = Certificate::from_pem(&read(file)?)
            .map_err(|e| format!("`{}`: expected certificates in PEM: {e}", file.display()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(roots);
    }
    builder.build_rustls().map_err(|e| chain(&e))
}
