//! Reads the capabilities that a server announces (GetCACaps, RFC 8894 §3.5.2), and derives from them how the client talks to the server.
//! The announcement is not signed, so it never leads to anything weaker than AES and SHA-256.

use crate::client::ClientError;
use crate::scep::signed::Digest;

/// How the client talks to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The strongest digest that both sides have.
    pub digest: Digest,
    /// Whether messages go by POST; otherwise by GET.
    pub posts: bool,
    /// Whether a renewal is a RenewalReq (17); otherwise it is a PKCSReq (19) signed with the present certificate.
    pub renews: bool,
}

impl Capabilities {
    /// Reads the answer to GetCACaps: one capability a line, of which unknown ones are ignored.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] if the server has no AES or no SHA-2.
    pub fn read(answer: &[u8]) -> Result<Self, ClientError> {
        let text = String::from_utf8_lossy(answer);
        let has = |name: &str| text.lines().any(|line| line.trim().eq_ignore_ascii_case(name));
        // RFC 8894 §3.5.2: SCEPStandard stands for AES, SHA-256 and POSTPKIOperation.
        let is_standard = has("SCEPStandard");
        let digest = match (has("SHA-512"), has("SHA-256") || is_standard) {
            (true, _) => Some(Digest::Sha512),
            (false, true) => Some(Digest::Sha256),
            (false, false) => None,
        };
        match digest.filter(|_| has("AES") || is_standard) {
            Some(digest) => Ok(Self {
                digest,
                posts: has("POSTPKIOperation") || is_standard,
                renews: has("Renewal"),
            }),
            None => {
                let found: Vec<&str> =
                    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
                Err(ClientError::untrusted(format!(
                    "expected a server with AES and SHA-256 (GetCACaps), found {}; DES, MD5 and SHA-1 protect no secret, so \
                     nothing was sent",
                    if found.is_empty() {
                        "nothing announced".into()
                    } else {
                        format!("`{}`", found.join(" "))
                    }
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_both_is_chosen_and_nothing_old() {
        let read = |text: &str| Capabilities::read(text.as_bytes());
        let of = |digest, posts, renews| Capabilities { digest, posts, renews };
        for (text, expected) in [
            ("AES\nSHA-256\nSHA-512\nPOSTPKIOperation\nRenewal\n", of(Digest::Sha512, true, true)),
            ("aes\r\nsha-256\r\n", of(Digest::Sha256, false, false)),
            ("SCEPStandard", of(Digest::Sha256, true, false)),
            ("DES3\nSHA-1\nAES\nSHA-256\nRenewal", of(Digest::Sha256, false, true)),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "DES3\nSHA-1\nPOSTPKIOperation",
            "AES\nSHA-1",
            "SHA-256\nDES3",
            "<html>AES SHA-256</html>",
        ] {
            let why = read(text).unwrap_err();
            assert!(
                matches!(why, ClientError::Untrusted(_))
                    && why.to_string().contains("nothing was sent"),
                "{why}"
            );
        }
    }
}
