//! Whether a request is bound to its TLS connection (RFC 7030 §3.5): its challengePassword is then the channel binding `tls-exporter` (RFC
//! 9266) in base64. RFC 7030 itself has `tls-unique`, which TLS 1.3 lacks and our TLS library does not give.

use data_encoding::BASE64;
use subtle::ConstantTimeEq;

use super::config::ChannelBinding;
use super::refusal::{Failure, Refusal};

/// The length of `tls-unique` in base64: that of 12 octets (RFC 5929 §3, RFC 5246 §7.4.9).
const TLS_UNIQUE: usize = 16;

/// Checks the challengePassword of a request. `bindings` are the values of the connection's `tls-exporter`.
///
/// # Errors
/// 403 if it binds the request to another connection, or binds it to none although that is required.
pub fn check(
    challenge_password: Option<&str>,
    bindings: &[[u8; 32]],
    rule: ChannelBinding,
) -> Result<(), Refusal> {
    let required = |found: &str| match rule {
        ChannelBinding::Optional => Ok(()),
        ChannelBinding::Required => Err(Refusal::new(
            Failure::Forbidden,
            format!(
                "expected the channel binding `tls-exporter` (RFC 9266) of this connection in base64 as challengePassword, found {found}"
            ),
        )),
    };
    let Some(text) = challenge_password else { return required("none") };
    let decoded = BASE64.decode(text.as_bytes()).ok();
    match decoded.and_then(|octets| <[u8; 32]>::try_from(octets).ok()) {
        Some(found) if bindings.iter().any(|own| bool::from(own.ct_eq(&found))) => {
            tracing::debug!("the request is bound to its TLS connection");
            Ok(())
        }
        Some(_) => Err(Refusal::new(
            Failure::Forbidden,
            "the challengePassword is the channel binding of another TLS connection; make the request anew for each connection",
        )),
        None => {
            let what = match text.len() {
                TLS_UNIQUE => "perhaps `tls-unique`, which is not checked here",
                _ => "something else",
            };
            required(what)?;
            tracing::info!("the challengePassword was not checked: it is {what}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_binding_of_this_connection_binds() {
        let own = [[1; 32], [2; 32]];
        let text = |octet| BASE64.encode(&[octet; 32]);
        for rule in [ChannelBinding::Optional, ChannelBinding::Required] {
            let check = |password: Option<&str>| check(password, &own, rule);
            assert_eq!(check(Some(&text(1))), Ok(()));
            assert_eq!(check(Some(&text(2))), Ok(()));
            assert_eq!(check(Some(&text(3))).unwrap_err().failure, Failure::Forbidden);
            for other in [None, Some("AAAAAAAAAAAAAAAA"), Some("a password"), Some("")] {
                let is_free = rule == ChannelBinding::Optional;
                assert_eq!(check(other).is_ok(), is_free, "{other:?}");
            }
        }
    }
}
