//! Rules about authorizers, licensees and signatures.

use super::linter::Linter;
use crate::ipsec::peer_name::{self, UnusableName};
use crate::key::PublicKey;
use crate::principal::Principal;
use crate::signature::Signature;
use crate::source::{Finding, Severity, Span, discreet, printable};
use crate::syntax::tree::{Licensees, Tree};

/// The most bytes of a name that a finding shows.
const SHOWN: usize = 120;

/// The role in which an assertion names a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The authorizer of the assertion.
    Authorizer,
    /// A licensee of the assertion.
    Licensee,
}

impl Linter<'_> {
    pub(super) fn principals(&mut self, bound: &Tree) {
        let mut texts = vec![&bound.authorizer];
        if let Some(Licensees::Principals(principals)) = &bound.licensees {
            texts.extend(principals.texts());
        }
        for (position, text) in texts.into_iter().enumerate() {
            let Some(name) = text.literal() else { continue };
            match Principal::parse(name) {
                Err(error) => self.findings.push(Finding {
                    severity: Severity::Error,
                    code: "malformed-key",
                    span: text.span,
                    message: error.to_string(),
                    hint: Some(
                        "the whole assertion counts for nothing as long as it stands here".into(),
                    ),
                }),
                Ok(principal) => {
                    let role = if position == 0 { Role::Authorizer } else { Role::Licensee };
                    self.principal(&principal, name, text.span, role);
                }
            }
        }
    }

    fn principal(&mut self, principal: &Principal, name: &[u8], span: Span, role: Role) {
        match principal.key() {
            Some(PublicKey::Dsa(_)) => {
                self.warn(
                    "weak-key",
                    span,
                    "this is a DSA key",
                    "its signatures use SHA-1; take ECDSA or Ed25519",
                );
            }
            Some(PublicKey::Rsa(key)) if key.bits() < 2048 => {
                let message = format!("this RSA key has {} bits", key.bits());
                self.warn(
                    "weak-key",
                    span,
                    message,
                    "take 2048 bits at least, or ECDSA or Ed25519",
                );
            }
            Some(_) => {}
            None if role == Role::Authorizer || self.authorizers.contains(principal) => {}
            None if peer_name::is_peers(name) => {
                if let (true, Err(UnusableName { why, hint })) =
                    (self.options.ipsec, peer_name::check(name))
                {
                    let message = format!("nobody can ask as `{}`: {why}", discreet(name, SHOWN));
                    self.warn("nobody", span, message, hint);
                }
            }
            None => self.stranger(name, span),
        }
    }

    /// Reports a licensee that is neither a key, nor a peer's name, nor the authorizer of another assertion.
    fn stranger(&mut self, name: &[u8], span: Span) {
        let meant = peer_name::canonical_prefix(name);
        if looks_like_a_key(name) && meant.is_none() {
            let message = format!(
                "`{}` is no key algorithm of KeyNote: it is compared as plain text",
                algorithm(name)
            );
            let hint = "the names are `rsa-hex:`, `rsa-base64:`, `x509-base64:`, `ecdsa-p256-hex:`, `ed25519-hex:` and \
                        their like";
            return self.warn("unknown-key-algorithm", span, message, hint);
        }
        let message = format!("nobody can speak for `{}`", discreet(name, SHOWN));
        let hint = match meant {
            Some(meant) => format!("did you mean `{meant}`? names are compared in their case"),
            None => "peers ask as a key, as `DN:…`, as `passphrase:…` or its hash, as `EAP:…` or `XAUTH:…`; any other name needs an \
                     assertion that it makes"
                .into(),
        };
        self.warn("nobody", span, message, hint);
    }

    pub(super) fn signature(&mut self, bound: &Tree) {
        let Some(text) = &bound.signature else { return };
        let Some(signature) = text.literal().and_then(|text| Signature::parse(text).ok()) else {
            return;
        };
        if signature.algorithm().is_legacy() {
            let message =
                format!("signature algorithm `{}` is broken or weak", signature.algorithm().name());
            let hint = "it does not count unless legacy signatures are accepted; sign again with ECDSA, Ed25519 or RSA \
                        with SHA-256";
            self.warn("weak-signature", text.span, message, hint);
        }
    }
}

/// Whether a name looks like `<ALGORITHM>":"<hexadecimal or base64>`, with at least 6 digits, and does not begin with `binary-`.
fn looks_like_a_key(name: &[u8]) -> bool {
    let Some(colon) = name.iter().position(|byte| *byte == b':') else { return false };
    let bits = name.get(colon + 1..).unwrap_or_default();
    let known = name.starts_with(b"binary-");
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    !known && colon > 0 && bits.len() >= 6 && bits.iter().all(alphabet)
}

/// The part of a name before its first colon, or all of it.
fn algorithm(name: &[u8]) -> String {
    let colon = name.iter().position(|byte| *byte == b':').unwrap_or(name.len());
    printable(name.get(..colon).unwrap_or(name))
}
