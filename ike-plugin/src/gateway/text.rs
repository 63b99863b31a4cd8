//! Values in the configuration files of daemons. A value that a daemon would read differently is refused, never altered.

use countersign_ca::Identity;

use super::error::GatewayError;

/// The longest name of a gateway, in characters. The name of a connection in libreswan has at most 63 characters, and may be made of two
/// gateways' names.
const MAX_NAME: usize = 31;

/// Checks the name of a gateway: it must be one word in every daemon's configuration, and a valid file name.
pub fn plain_name(name: &str) -> Result<(), GatewayError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if first && name.len() <= MAX_NAME && name.bytes().all(plain) {
        return Ok(());
    }
    Err(GatewayError::new(format!(
        "expected a gateway's name of at most {MAX_NAME} letters, digits, `-` and `_`, beginning with a letter, found `{}`",
        name.escape_debug()
    )))
}

/// Checks that a mail address has no characters that are special in a daemon's configuration.
pub fn mailbox(daemon: &str, mailbox: &str) -> Result<(), GatewayError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@.+-_".contains(&byte);
    if mailbox.bytes().all(plain) {
        return Ok(());
    }
    Err(GatewayError::new(format!(
        "the configuration of {daemon} cannot hold the identity `{}`: only letters, digits and `.+-_` are safe before the `@`",
        mailbox.escape_debug()
    )))
}

/// The parts of a distinguished name, each `TYPE=value`, in the order of the certificate. A name with a value that has special characters is an
/// error.
pub fn plain_dn(daemon: &str, id: &Identity) -> Result<Vec<String>, GatewayError> {
    let text = id.to_string();
    let text = text.strip_prefix("dn:").unwrap_or(&text);
    let plain = |c: char| c.is_ascii_alphanumeric() || " .-_=@,:".contains(c);
    let mut parts: Vec<String> = text.split(',').map(str::to_owned).collect();
    let one_equals = |part: &String| part.matches('=').count() == 1;
    if !text.chars().all(plain) || !parts.iter().all(one_equals) {
        return Err(GatewayError::new(format!(
            "the configuration of {daemon} cannot hold the distinguished name `{text}`: only letters, digits, spaces and `.-_@:` are \
             safe in its values; use another identity of the gateway"
        )));
    }
    // RFC 4514 writes the last part first.
    parts.reverse();
    Ok(parts)
}

/// The words by which the README of an export is recognized.
pub const WRITTEN_BY: &str = "Written by `countersign export`";

/// The first line of a file: a comment that says what wrote it.
pub fn heading(mark: &str, own: &str, daemon: &str) -> String {
    format!(
        "{mark} `{own}` for {daemon}. {WRITTEN_BY}, which writes it again: changes belong into countersign.toml.\n"
    )
}
