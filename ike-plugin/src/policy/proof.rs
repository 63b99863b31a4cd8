//! The proof that a peer gave during authentication, and the principal that is its requester if it has no certificate.
//!
//! A proof gives only its own principal. A peer that knows a pre-shared key, or a user's password, does not ask in the name of a certificate
//! with the same identity, because it need not have that certificate's private key.

use countersign_policy::Principal;
use countersign_policy::ipsec::passphrase;
use countersign_policy::key::PublicKey;
use zeroize::Zeroizing;

use crate::wire::{Auth, MAX_CHAIN, Octets, Question, Secret};

/// The longest SubjectPublicKeyInfo of a public key, in octets.
const MAX_KEY: usize = 8 << 10;

/// The proof that a peer gave during authentication.
#[derive(Clone, Copy)]
pub enum Proof<'q> {
    /// The peer holds the private key of the first of these certificates.
    Chain(&'q [Octets]),
    /// The peer holds the private key of a certificate which the daemon did not send.
    UntoldCertificate,
    /// The peer knows a pre-shared key.
    Secret(&'q Secret),
    /// The peer holds the private key of this SubjectPublicKeyInfo.
    Key(&'q [u8]),
    /// The peer is the user whose name is its identity, by EAP or XAuth.
    User(Auth),
}

/// The principal in whose name a peer without a certificate asks.
pub struct Requester {
    /// The spellings by which the policy may name the principal.
    pub spellings: Vec<Zeroizing<Vec<u8>>>,
    /// The spelling that logs may show.
    pub shown: String,
}

impl<'q> Proof<'q> {
    /// Reads the proof from a question. `secret` is the value of its member `psk`, which the caller has taken out.
    ///
    /// # Errors
    /// The question says nothing about a proof, says two things that exclude each other, or has a proof that is empty or too long.
    pub fn of(question: &'q Question, secret: Option<&'q Secret>) -> Result<Self, String> {
        let (chain, key) = (question.chain.as_slice(), question.key.as_ref());
        if chain.len() > MAX_CHAIN {
            return Err(format!(
                "expected a chain of at most {MAX_CHAIN} certificates, found {}",
                chain.len()
            ));
        }
        let auth = match (question.auth, secret) {
            (Some(auth), _) => auth,
            (None, Some(_)) => Auth::Psk,
            (None, None) if !chain.is_empty() => Auth::Cert,
            (None, None) => {
                return Err(
                    "expected `auth`, `chain` or `psk`, found none: it is not known what the peer has proved"
                        .into(),
                );
            }
        };
        let others = [
            ("chain", !chain.is_empty() && auth != Auth::Cert),
            ("psk", secret.is_some() && auth != Auth::Psk),
            ("key", key.is_some() && auth != Auth::Raw),
        ];
        if let Some((other, _)) = others.iter().find(|(_, is_there)| *is_there) {
            return Err(format!(
                "expected no `{other}` with `auth` {}, found both: a peer proves one",
                name(auth)
            ));
        }
        match auth {
            Auth::Cert if chain.is_empty() => Ok(Self::UntoldCertificate),
            Auth::Cert => Ok(Self::Chain(chain)),
            Auth::Psk => match secret {
                Some(secret) if !secret.0.is_empty() => Ok(Self::Secret(secret)),
                _ => Err("expected the pre-shared key in `psk`, found none".into()),
            },
            Auth::Raw => match key {
                Some(key) if (1..=MAX_KEY).contains(&key.0.len()) => Ok(Self::Key(&key.0)),
                _ => Err(format!("expected a public key of 1 to {MAX_KEY} octets in `key`")),
            },
            Auth::Eap | Auth::Xauth => Ok(Self::User(auth)),
        }
    }

    /// A sequence of octet strings that identifies the proof: two different proofs never give the same sequence.
    pub fn parts(&self) -> impl Iterator<Item = &'q [u8]> {
        let (kind, octets, chain): (&'static [u8], &'q [u8], &'q [Octets]) = match *self {
            Self::Chain(chain) => (b"chain", &[], chain),
            Self::UntoldCertificate => (b"untold", &[], &[]),
            Self::Secret(secret) => (b"secret", secret.0.as_slice(), &[]),
            Self::Key(key) => (b"key", key, &[]),
            Self::User(auth) => (name(auth).as_bytes(), &[], &[]),
        };
        [kind, octets].into_iter().chain(chain.iter().map(|of| of.0.as_slice()))
    }

    /// The requester for a peer with this identity; `None` for a certificate, whose path gives the requester.
    ///
    /// # Errors
    /// The policy has no name for the peer's pre-shared key or public key; the text says why.
    pub fn requester(&self, id: &str) -> Result<Option<Requester>, String> {
        let one = |spelling: Vec<u8>| vec![Zeroizing::new(spelling)];
        Ok(Some(match self {
            Self::Chain(_) | Self::UntoldCertificate => return Ok(None),
            Self::Secret(secret) => Requester {
                spellings: passphrase(&secret.0).map_err(|e| e.to_string())?,
                shown: "passphrase:…".into(),
            },
            Self::Key(key) => {
                let key = Principal::of_key(PublicKey::from_spki(key)?).text().into_owned();
                let shown = String::from_utf8_lossy(&key).into_owned();
                Requester { spellings: one(key), shown }
            }
            Self::User(auth) => {
                let user = format!("{}:{id}", name(*auth).to_ascii_uppercase());
                Requester { spellings: one(user.clone().into_bytes()), shown: user }
            }
        }))
    }
}

/// The name of the method in a question.
fn name(auth: Auth) -> &'static str {
    match auth {
        Auth::Cert => "cert",
        Auth::Psk => "psk",
        Auth::Raw => "raw",
        Auth::Eap => "eap",
        Auth::Xauth => "xauth",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn question(members: Value) -> Question {
        let end = json!({"address": "192.0.2.1", "id": {"type": 2, "data": "Z3cx"}});
        let mut question = json!({
            "v": 1, "daemon": "charon", "ike": 2, "mode": "ike_sa", "role": "responder", "local": end, "remote": end,
        });
        for (name, value) in members.as_object().unwrap() {
            question[name] = value.clone();
        }
        serde_json::from_value(question).unwrap()
    }

    fn requester(members: Value) -> Result<Option<String>, String> {
        let mut question = question(members);
        let secret = question.psk.take();
        let proof = Proof::of(&question, secret.as_ref())?;
        Ok(proof.requester("gw1")?.map(|requester| requester.shown))
    }

    #[test]
    fn what_was_proved_is_what_the_peer_asks_with() {
        let key = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        let shown = |members| requester(members).unwrap();
        assert_eq!(shown(json!({"chain": ["MAA="]})), None);
        assert_eq!(shown(json!({"auth": "cert"})), None);
        assert_eq!(shown(json!({"psk": "c2VzYW1l"})).unwrap(), "passphrase:…");
        assert_eq!(shown(json!({"auth": "eap"})).unwrap(), "EAP:gw1");
        assert_eq!(shown(json!({"auth": "xauth"})).unwrap(), "XAUTH:gw1");
        let raw = shown(json!({"auth": "raw", "key": key})).unwrap();
        assert!(raw.starts_with("ed25519-hex:19bf4409"), "{raw}");
    }

    #[test]
    fn nothing_and_two_things_are_refused() {
        for (members, words) in [
            (json!({}), "expected `auth`, `chain` or `psk`, found none"),
            (json!({"chain": ["MAA="], "psk": "c2VzYW1l"}), "no `chain` with `auth` psk"),
            (json!({"auth": "eap", "chain": ["MAA="]}), "no `chain` with `auth` eap"),
            (json!({"auth": "cert", "psk": "c2VzYW1l"}), "no `psk` with `auth` cert"),
            (json!({"auth": "xauth", "key": "MAA="}), "no `key` with `auth` xauth"),
            (json!({"auth": "psk"}), "in `psk`, found none"),
            (json!({"auth": "psk", "psk": ""}), "in `psk`, found none"),
            (json!({"auth": "raw"}), "in `key`"),
            (json!({"auth": "raw", "key": "MAA="}), "SubjectPublicKeyInfo"),
            (json!({"chain": vec!["MAA="; 17]}), "at most 16"),
        ] {
            let why = requester(members.clone()).unwrap_err();
            assert!(why.contains(words), "{members}: {why}");
        }
        let end = json!({"address": "192.0.2.1", "id": {"type": 2, "data": "Z3cx"}});
        let unknown = json!({
            "v": 1, "daemon": "charon", "ike": 2, "mode": "ike_sa", "role": "responder", "local": end, "remote": end, "auth": "null",
        });
        assert!(serde_json::from_value::<Question>(unknown).is_err());
    }

    #[test]
    fn no_two_proofs_are_kept_as_one() {
        let all = [
            json!({"auth": "cert"}),
            json!({"chain": ["MAA="]}),
            json!({"psk": "MAA="}),
            json!({"auth": "raw", "key": "MAA="}),
            json!({"auth": "eap"}),
            json!({"auth": "xauth"}),
        ];
        let parts: std::collections::BTreeSet<Vec<Vec<u8>>> = all
            .iter()
            .map(|members| {
                let mut question = question(members.clone());
                let secret = question.psk.take();
                let proof = Proof::of(&question, secret.as_ref()).unwrap();
                proof.parts().map(<[u8]>::to_vec).collect()
            })
            .collect();
        assert_eq!(parts.len(), all.len());
    }
}
