//! The relying party of OpenID Connect: discovery (Discovery 1.0 §4), the authorization code flow with PKCE (Core 1.0 §3.1, RFC 7636), the
//! issuer in the answer (RFC 9207), and ID tokens. What a user may do is not known here.
//!
//! Everything that asks the issuer blocks.

mod fetch;
mod sealed;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_ca::key::read_private;
use countersign_ca::record::OidcUser;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::Header;
use jsonwebtoken::jwk::Jwk;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use fetch::Fetcher;
use sealed::Sealer;

pub use sealed::PATIENCE;

use crate::config::{OidcConfig, is_secure};
use crate::exit::Failure;

/// The path below the origin to which the issuer sends browsers back.
pub const CALLBACK: &str = "/login/callback";

/// How long what the issuer says of itself, and its keys, are kept.
const KEPT: Duration = Duration::from_secs(3600);

/// How long after a failure the issuer is not asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// How long after the keys were fetched for an unknown one they are not fetched for another.
const KEY_PAUSE: Duration = Duration::from_secs(30);

/// The most keys of an issuer, and the most finished logins that are remembered.
const MAX_KEYS: usize = 100;
const MAX_FINISHED: usize = 4096;

/// The largest file of a client's secret, in octets.
const MAX_SECRET: u64 = 4096;

/// All but the unreserved characters of a URL (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why nobody logs in.
#[derive(Debug)]
pub enum Refusal {
    /// The request, or what the issuer says, is not as it must be: a message for the user.
    Refused(String),
    /// The issuer, or this server, cannot do it now: a message for the log.
    Unavailable(String),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.message)
    }
}

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

/// What an issuer says of itself (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What was last heard of the issuer.
#[derive(Default)]
struct Heard {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<(Instant, Arc<Vec<Jwk>>)>,
    /// When the keys were last fetched because a token named an unknown one.
    sought: Option<Instant>,
    failed: Option<(Instant, String)>,
}

/// An issuer, with which this server is a client.
pub struct Provider {
    config: OidcConfig,
    redirect: String,
    fetcher: Fetcher,
    sealer: Sealer,
    heard: Mutex<Heard>,
    /// The SHA-256 of the state of each login that ended well, and when.
    finished: Mutex<HashMap<Vec<u8>, Instant>>,
}

impl Provider {
    /// The issuer of the configuration, for a server on this port. The issuer is not asked yet: the server starts without it.
    ///
    /// # Errors
    /// The file of roots cannot be read; there is no randomness.
    pub fn new(config: &OidcConfig, port: u16) -> Result<Self, Failure> {
        Ok(Self {
            redirect: format!("{}{CALLBACK}", config.origin(port)),
            fetcher: Fetcher::new(config.ca_file.as_deref())?,
            sealer: Sealer::new()?,
            heard: Mutex::default(),
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
        let metadata = self.metadata()?;
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

    /// Ends a login: the code in the issuer's answer is exchanged for an ID token. `cookie` is that of the browser which brings the answer.
    ///
    /// # Errors
    /// [`Refusal::Refused`] if the answer is not one to the login of this browser, or the ID token is not as it must be;
    /// [`Refusal::Unavailable`] if the issuer cannot be asked.
    pub fn finish(&self, answer: &Callback, cookie: Option<&str>) -> Result<LoggedIn, Refusal> {
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
        let metadata = self.metadata()?;
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
        let token = self.exchange(&metadata, code, &begun.verifier)?;
        let claims = self.verify(&metadata, &token, &begun.nonce)?;
        let user = OidcUser::new(&metadata.issuer, &claims.sub)
            .map_err(|e| Refusal::Refused(e.to_string()))?;
        let groups = claims.groups(&self.config.groups_claim);
        let groups = groups.into_iter().map(str::to_owned).collect();
        let mut finished = self.finished();
        finished.retain(|_, at| at.elapsed() < PATIENCE);
        if finished.len() >= MAX_FINISHED {
            return Err(Refusal::Unavailable("too many people log in".to_owned()));
        }
        // The same answer once more, at the same time, finds the state here.
        match finished.insert(state, Instant::now()) {
            None => Ok(LoggedIn { user, groups, to: begun.to.clone() }),
            Some(_) => Err(refused("this login has ended already")),
        }
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
            .fetcher
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
        let keys = self.keys(metadata, &header)?;
        let key = token::key(&keys, &header).ok_or_else(|| {
            Refusal::Refused(
                "the ID token is signed by a key that the issuer does not publish".to_owned(),
            )
        })?;
        let client_id = &self.config.client_id;
        let expected = token::Expected { issuer: &metadata.issuer, client_id, nonce };
        token::verify(text, &header, key, &expected).map_err(Refusal::Refused)
    }

    /// What the issuer says of itself.
    fn metadata(&self) -> Result<Arc<Metadata>, Refusal> {
        let mut heard = self.heard();
        if let Some((at, metadata)) = &heard.metadata
            && at.elapsed() < KEPT
        {
            return Ok(Arc::clone(metadata));
        }
        if let Some((at, why)) = &heard.failed
            && at.elapsed() < PAUSE
        {
            return Err(Refusal::Unavailable(why.clone()));
        }
        match self.discover() {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                heard.metadata = Some((Instant::now(), Arc::clone(&metadata)));
                heard.failed = None;
                Ok(metadata)
            }
            Err(why) => {
                heard.failed = Some((Instant::now(), why.clone()));
                Err(Refusal::Unavailable(why))
            }
        }
    }

    /// Fetches and checks what the issuer says of itself.
    fn discover(&self) -> Result<Metadata, String> {
        let issuer = &self.config.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata = serde_json::from_value::<Metadata>(self.fetcher.get(&url)?);
        let metadata = metadata.map_err(|e| format!("`{url}`: {e}"))?;
        if metadata.issuer != *issuer {
            return Err(format!(
                "`{url}`: expected the issuer `{issuer}` of admin.oidc.issuer, found `{}`",
                metadata.issuer.escape_debug()
            ));
        }
        for endpoint in
            [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri]
        {
            if !is_secure(endpoint) {
                return Err(format!(
                    "`{url}`: expected endpoints with `https:`, found `{}`",
                    endpoint.escape_debug()
                ));
            }
        }
        // An issuer that lists no methods may know PKCE all the same.
        let methods = metadata.code_challenge_methods_supported.as_deref();
        if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err(format!("`{url}`: the issuer does not know PKCE with S256"));
        }
        Ok(metadata)
    }

    /// The keys of the issuer. They are fetched if none is known that a header names, but not more often than twice a minute.
    fn keys(&self, metadata: &Metadata, header: &Header) -> Result<Arc<Vec<Jwk>>, Refusal> {
        let mut heard = self.heard();
        if let Some((at, keys)) = &heard.keys
            && at.elapsed() < KEPT
        {
            let keys = Arc::clone(keys);
            let is_pause = heard.sought.is_some_and(|at| at.elapsed() < KEY_PAUSE);
            if token::key(&keys, header).is_some() || is_pause {
                return Ok(keys);
            }
            heard.sought = Some(Instant::now());
        }
        let fetched = self.fetcher.get(&metadata.jwks_uri).map_err(Refusal::Unavailable)?;
        let listed = fetched.get("keys").and_then(Value::as_array).ok_or_else(|| {
            Refusal::Unavailable(format!("`{}`: expected a list `keys`", metadata.jwks_uri))
        })?;
        // A key of a kind that nobody here knows is no fault.
        let keys = listed.iter().take(MAX_KEYS);
        let keys: Vec<Jwk> =
            keys.filter_map(|key| serde_json::from_value(key.clone()).ok()).collect();
        let keys = Arc::new(keys);
        heard.keys = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finished(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Instant>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}
