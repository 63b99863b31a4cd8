//! ID tokens (OpenID Connect Core 1.0 §2): their signature, by a key of the issuer, and their claims (§3.1.3.7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

/// By how much the issuer's clock may be ahead or behind.
const LEEWAY: u64 = 60;

/// How old a token may be. It was made for the login that just ends.
const OLDEST: Duration = Duration::from_secs(600);

/// What a token must say.
pub struct Expected<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// This client, the only one for which the token may be.
    pub client_id: &'a str,
    /// The nonce of the login.
    pub nonce: &'a str,
}

/// The claims of an ID token.
#[derive(Deserialize)]
pub struct Claims {
    /// The user at the issuer.
    pub sub: String,
    aud: Value,
    azp: Option<String>,
    iat: f64,
    nonce: Option<String>,
    /// All other claims.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// The header of a token, whose signature is not yet verified. Only RS256 and ES256 are taken: with `none` nobody signs, and with HS256
/// whoever knows the client's secret.
///
/// # Errors
/// A message for people: the token is none, or signed in another way.
pub fn header(token: &str) -> Result<Header, String> {
    let header = jsonwebtoken::decode_header(token)
        .map_err(|e| format!("the ID token cannot be read: {e}"))?;
    match header.alg {
        Algorithm::RS256 | Algorithm::ES256 => Ok(header),
        other => Err(format!(
            "expected an ID token signed with RS256 or ES256, found one with {other:?}"
        )),
    }
}

/// The key among `keys` that a token's header names; `None` if there is none. A header without a name takes the only key of its algorithm.
pub fn key<'a>(keys: &'a [Jwk], header: &Header) -> Option<&'a Jwk> {
    let algorithm = match header.alg {
        Algorithm::RS256 => KeyAlgorithm::RS256,
        _ => KeyAlgorithm::ES256,
    };
    let mut suitable = keys.iter().filter(|key| {
        let common = &key.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        let is_of_algorithm = common.key_algorithm.is_none_or(|of| of == algorithm);
        is_for_signatures
            && is_of_algorithm
            && DecodingKey::from_jwk(key).is_ok_and(|made| made.family() == header.alg.family())
    });
    match &header.kid {
        Some(kid) => suitable.find(|key| key.common.key_id.as_ref() == Some(kid)),
        None => suitable.next().filter(|_| suitable.next().is_none()),
    }
}

/// The claims of a token, after its signature by `key` and everything that it must say were checked.
///
/// # Errors
/// A message for people: what was expected, and what was found.
pub fn verify(
    token: &str,
    header: &Header,
    key: &Jwk,
    expected: &Expected<'_>,
) -> Result<Claims, String> {
    let wrong = |e: jsonwebtoken::errors::Error| format!("the ID token is not valid: {e}");
    let key = DecodingKey::from_jwk(key).map_err(wrong)?;
    let mut rules = Validation::new(header.alg);
    rules.leeway = LEEWAY;
    rules.validate_nbf = true;
    rules.set_issuer(&[expected.issuer]);
    rules.set_audience(&[expected.client_id]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(wrong)?.claims;
    let is_alone = match &claims.aud {
        Value::String(one) => one == expected.client_id,
        Value::Array(all) => all.iter().all(|one| one.as_str() == Some(expected.client_id)),
        _ => false,
    };
    if !is_alone {
        return Err("the ID token is for other clients, too".to_owned());
    }
    if claims.azp.as_deref().is_some_and(|azp| azp != expected.client_id) {
        return Err("the ID token was made for another client (`azp`)".to_owned());
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err("the ID token belongs to another login: its nonce is another one".to_owned());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let leeway = Duration::from_secs(LEEWAY).as_secs_f64();
    if claims.iat > now + leeway || claims.iat + OLDEST.as_secs_f64() < now {
        return Err(
            "the ID token was made at another time (`iat`); compare the clocks of issuer and server".to_owned()
        );
    }
    Ok(claims)
}

impl Claims {
    /// The groups of the user: a claim that is a list of texts, or one text. Anything else is no group.
    pub fn groups(&self, claim: &str) -> Vec<&str> {
        match self.others.get(claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(group)) => vec![group],
            _ => Vec::new(),
        }
    }
}
