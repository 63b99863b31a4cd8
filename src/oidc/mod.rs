//! The relying party of OpenID Connect: discovery (Discovery 1.0 §4), the authorization code flow with PKCE (Core 1.0 §3.1, RFC 7636), the
//! issuer in the answer (RFC 9207), and ID tokens. What a user may do is not known here.
//!
//! Everything that asks the issuer blocks.

mod fetch;
mod heard;
mod refusal;
mod sealed;
mod token;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use countersign_ca::Network;
use countersign_ca::key::read_private;
use countersign_ca::record::OidcUser;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use fetch::Fetcher;
use heard::{Issuer, Metadata};
use sealed::Sealer;

pub use refusal::Refusal;
pub use sealed::PATIENCE;

use crate::config::OidcConfig;
use crate::exit::Failure;

/// The path below the origin to which the issuer sends browsers back.
pub const CALLBACK: &str = "/login/callback";

/// The most logins that are remembered because their code was exchanged, and the most of one network. Whoever has more must wait.
const MAX_FINISHED: usize = 16 << 10;
const MAX_OF_ONE: usize = 64;

/// The largest file of a client's secret, in octets.
const MAX_SECRET: u64 = 4096;

/// All but the unreserved characters of a URL (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A login that has begun.
pub struct Beginning {
    /// The URL at the issuer that the browser goes to.
    pub url: String,
    /// The value of the cookie that belongs to the login.
    pub cookie: String,
}

/// The query of the issuer's answer.
#[derive(Debug, Deserialize)]
pub struct Callback {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// A user who logged in.
pub struct LoggedIn {
    /// The user.
    pub user: OidcUser,
    /// The groups of the user.
    pub groups: Vec<String>,
    /// The path that the browser goes to.
    pub to: String,
}

/// An issuer, with which this server is a client.
pub struct Provider {
    config: OidcConfig,
    redirect: String,
    issuer: Issuer,
    sealer: Sealer,
    /// The SHA-256 of the state of each login whose code was exchanged, whatever came of it, and when and from where.
    finished: Mutex<HashMap<Vec<u8>, (Instant, Network)>>,
}

impl Provider {
    /// The issuer of the configuration, for a server on this port. The issuer is not asked yet: the server starts without it.
    ///
    /// # Errors
    /// The file of roots cannot be read; there is no randomness.
    pub fn new(config: &OidcConfig, port: u16) -> Result<Self, Failure> {
        Ok(Self {
            redirect: format!("{}{CALLBACK}", config.origin(port)),
            issuer: Issuer::new(&config.issuer, Fetcher::new(config.ca_file.as_deref())?),
            sealer: Sealer::new()?,
            finished: Mutex::default(),
            config: config.clone(),
        })
    }

    /// 256 random bits as a text for a cookie.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn random(&self) -> Result<Zeroizing<String>, Failure> {
        self.sealer.random()
    }

    /// Begins a login, after which the browser goes to a path.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if the issuer cannot be asked, or is none that can be used.
    pub fn begin(&self, to: &str) -> Result<Beginning, Refusal> {
        let metadata = self.issuer.metadata()?;
        let begun = self.sealer.begin(to)?;
        let challenge = BASE64URL_NOPAD.encode(&sha256(&begun.verifier));
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", &self.redirect),
            ("scope", &self.config.scope),
            ("state", &begun.state),
            ("nonce", &begun.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let query: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, RESERVED)))
            .collect();
        let endpoint = &metadata.authorization_endpoint;
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        let url = format!("{endpoint}{joint}{}", query.join("&"));
        Ok(Beginning { url, cookie: self.sealer.seal(&begun)? })
    }

    /// Ends a login: the code in the issuer's answer is exchanged for an ID token. `cookie` is that of the browser which brings the answer,
    /// and `network` where it is. A login has one such exchange, and a network so many in ten minutes.
    ///
    /// # Errors
    /// [`Refusal::Refused`] if the answer is not one to the login of this browser, or the ID token is not as it must be;
    /// [`Refusal::Unavailable`] if the issuer cannot be asked; [`Refusal::TooMany`] if it was for too many others.
    pub fn finish(
        &self,
        answer: &Callback,
        cookie: Option<&str>,
        network: Network,
    ) -> Result<LoggedIn, Refusal> {
        let refused = |why: &str| Refusal::Refused(why.to_owned());
        let other = "this browser did not begin this login, or did more than ten minutes ago";
        let begun =
            cookie.and_then(|cookie| self.sealer.open(cookie)).ok_or_else(|| refused(other))?;
        // The digests are compared, so that the time says nothing of the state.
        let state = sha256(answer.state.as_deref().unwrap_or_default());
        if state != sha256(&begun.state) {
            return Err(refused(other));
        }
        if self.finished().contains_key(&state) {
            return Err(refused("this login has ended already"));
        }
        let metadata = self.issuer.metadata()?;
        match &answer.iss {
            Some(iss) if *iss != metadata.issuer => {
                return Err(refused("the answer is that of another issuer (`iss`, RFC 9207)"));
            }
            None if metadata.authorization_response_iss_parameter_supported => {
                return Err(refused(
                    "the answer does not say which issuer made it (`iss`, RFC 9207)",
                ));
            }
            _ => {}
        }
        if let Some(error) = &answer.error {
            let described = answer.error_description.as_deref().unwrap_or_default();
            let text: String = format!("{error} {described}").chars().take(200).collect();
            return Err(refused(&format!("the issuer answers `{}`", text.trim().escape_debug())));
        }
        let code = answer.code.as_deref().ok_or_else(|| refused("the answer has no code"))?;
        self.use_up(state, network)?;
        let token = self.exchange(&metadata, code, &begun.verifier)?;
        let claims = self.verify(&metadata, &token, &begun.nonce)?;
        let user = OidcUser::new(&metadata.issuer, &claims.sub)
            .map_err(|e| Refusal::Refused(e.to_string()))?;
        let groups = claims.groups(&self.config.groups_claim);
        let groups = groups.into_iter().map(str::to_owned).collect();
        Ok(LoggedIn { user, groups, to: begun.to.clone() })
    }

    /// Uses up the one exchange of the login with this state. It is remembered as long as the login's cookie may be opened.
    fn use_up(&self, state: Vec<u8>, network: Network) -> Result<(), Refusal> {
        let mut finished = self.finished();
        finished.retain(|_, (at, _)| at.elapsed() < PATIENCE);
        if finished.contains_key(&state) {
            return Err(Refusal::Refused("this login has ended already".to_owned()));
        }
        if finished.len() >= MAX_FINISHED {
            return Err(Refusal::Unavailable("too many people log in".to_owned()));
        }
        if finished.values().filter(|(_, of)| *of == network).count() >= MAX_OF_ONE {
            let why =
                format!("{MAX_OF_ONE} logins from `{network}` ended within ten minutes; wait");
            return Err(Refusal::TooMany(why, PATIENCE));
        }
        finished.insert(state, (Instant::now(), network));
        Ok(())
    }

    /// The ID token for a code.
    fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
    ) -> Result<Zeroizing<String>, Refusal> {
        let secret = self.secret()?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect),
            ("code_verifier", verifier),
        ];
        let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
        // Without a list, it is this one (Discovery 1.0 §3).
        let takes_basic =
            methods.is_none_or(|methods| methods.iter().any(|m| m == "client_secret_basic"));
        let mut authorization = None;
        match &secret {
            None => form.push(("client_id", &self.config.client_id)),
            Some(secret) if takes_basic => {
                // Both are encoded first (RFC 6749 §2.3.1).
                let encoded = |text| utf8_percent_encode(text, RESERVED);
                let pair = Zeroizing::new(format!(
                    "{}:{}",
                    encoded(&self.config.client_id),
                    encoded(secret)
                ));
                authorization =
                    Some(Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes()))));
            }
            Some(secret) => {
                form.push(("client_id", &self.config.client_id));
                form.push(("client_secret", secret));
            }
        }
        let authorization = authorization.as_ref().map(|text| text.as_str());
        let answer = self
            .issuer
            .post(&metadata.token_endpoint, &form, authorization)
            .map_err(Refusal::Unavailable)?;
        let text = |key: &str| answer.body.get(key).and_then(Value::as_str);
        if !answer.is_ok {
            let error = text("error").unwrap_or("an error");
            let error: String = error.chars().take(100).collect();
            return Err(Refusal::Refused(format!(
                "the issuer does not take the code: `{}`",
                error.escape_debug()
            )));
        }
        let token = text("id_token").map(|token| Zeroizing::new(token.to_owned()));
        token.ok_or_else(|| Refusal::Refused("the issuer gives no ID token".to_owned()))
    }

    /// The secret of this client; `None` for a public one. The file is read each time, so that a new secret needs no restart.
    fn secret(&self) -> Result<Option<Zeroizing<String>>, Refusal> {
        let Some(file) = &self.config.client_secret_file else { return Ok(None) };
        let text =
            read_private(file, MAX_SECRET).map_err(|e| Refusal::Unavailable(e.to_string()))?;
        Ok(Some(Zeroizing::new(text.trim().to_owned())))
    }

    /// The claims of an ID token.
    fn verify(
        &self,
        metadata: &Metadata,
        text: &str,
        nonce: &str,
    ) -> Result<token::Claims, Refusal> {
        let header = token::header(text).map_err(Refusal::Refused)?;
        let keys = self.issuer.keys(metadata, &header)?;
        let key = token::key(&keys, &header).ok_or_else(|| {
            Refusal::Refused(
                "the ID token is signed by a key that the issuer does not publish".to_owned(),
            )
        })?;
        let client_id = &self.config.client_id;
        let expected = token::Expected { issuer: &metadata.issuer, client_id, nonce };
        token::verify(text, &header, key, &expected).map_err(Refusal::Refused)
    }

    fn finished(&self) -> MutexGuard<'_, HashMap<Vec<u8>, (Instant, Network)>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}
