//! HTTP Basic (RFC 7617), by which a client sends the reference and the secret of its account (RFC 7030 §3.2.3).

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// The longest credentials that are read, in octets of base64.
const MAX: usize = 4096;

/// The reference and the secret of an account. It has no `Debug`, because it contains a secret.
pub struct Credentials {
    octets: Zeroizing<Vec<u8>>,
    colon: usize,
}

impl Credentials {
    /// The reference.
    pub fn reference(&self) -> &[u8] {
        self.octets.get(..self.colon).unwrap_or_default()
    }

    /// The secret.
    pub fn secret(&self) -> &[u8] {
        self.octets.get(self.colon.saturating_add(1)..).unwrap_or_default()
    }
}

/// The credentials in the value of an `Authorization`; `None` if it is of another scheme or cannot be read.
pub fn credentials(value: &str) -> Option<Credentials> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if !scheme.eq_ignore_ascii_case("basic") || rest.len() > MAX {
        return None;
    }
    let octets = Zeroizing::new(BASE64.decode(rest.as_bytes()).ok()?);
    let colon = octets.iter().position(|octet| *octet == b':')?;
    Some(Credentials { octets, colon })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_read_and_other_things_are_not() {
        // RFC 7617 §2.
        let read = credentials("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
        assert_eq!((read.reference(), read.secret()), (&b"Aladdin"[..], &b"open sesame"[..]));
        let read = credentials("bAsIc  YTpiOmM=").unwrap();
        assert_eq!((read.reference(), read.secret()), (&b"a"[..], &b"b:c"[..]));
        let long = format!("Basic {}", "YTpi".repeat(2000));
        for other in ["", "Basic", "Basic *", "Digest username=x", "Basic YWJj", &long] {
            assert!(credentials(other).is_none(), "{other}");
        }
    }
}
