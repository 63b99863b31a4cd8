//! What was heard of the issuer: what it says of itself, and its keys. One login asks for what is not known, and others wait for that answer;
//! nobody who needs only what is known waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::Header;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;

use super::fetch::{Answer, Fetcher};
use super::refusal::Refusal;
use super::token;
use crate::config::is_secure;

/// How long what the issuer says of itself, and its keys, are kept.
const KEPT: Duration = Duration::from_secs(3600);

/// How long after a failure the issuer is not asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// How long after the keys were fetched for an unknown one they are not fetched for another.
const KEY_PAUSE: Duration = Duration::from_secs(30);

/// The most keys of an issuer.
const MAX_KEYS: usize = 100;

/// What an issuer says of itself (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The issuer.
    pub issuer: String,
    /// Where browsers log in.
    pub authorization_endpoint: String,
    /// Where a code is exchanged.
    pub token_endpoint: String,
    jwks_uri: String,
    /// Whether the answer says who made it (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
    /// How a client may prove who it is.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What was last heard of the issuer.
#[derive(Default)]
struct Heard {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<(Instant, Arc<Vec<Jwk>>)>,
    /// When the keys were last fetched because a token named an unknown one.
    sought: Option<Instant>,
    /// When the issuer did not say of itself what it must, or its keys, and why.
    failed: Option<(Instant, String)>,
    failed_keys: Option<(Instant, String)>,
}

/// An issuer.
pub struct Issuer {
    url: String,
    fetcher: Fetcher,
    heard: Mutex<Heard>,
    /// Whoever asks for what is not known.
    asking: Mutex<()>,
}

impl Issuer {
    /// The issuer at this URL. It is not asked yet.
    pub fn new(url: &str, fetcher: Fetcher) -> Self {
        Self { url: url.to_owned(), fetcher, heard: Mutex::default(), asking: Mutex::default() }
    }

    /// Posts a form.
    ///
    /// # Errors
    /// A message for the log.
    pub fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<Answer, String> {
        self.fetcher.post(url, form, authorization)
    }

    /// What the issuer says of itself.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if it cannot be asked, or is none that can be used.
    pub fn metadata(&self) -> Result<Arc<Metadata>, Refusal> {
        if let Some(known) = self.heard().metadata() {
            return known;
        }
        let _asking = self.asking();
        if let Some(known) = self.heard().metadata() {
            return known;
        }
        let discovered = self.discover();
        let mut heard = self.heard();
        match discovered {
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
        let issuer = &self.url;
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
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if it cannot be asked.
    pub fn keys(&self, metadata: &Metadata, header: &Header) -> Result<Arc<Vec<Jwk>>, Refusal> {
        if let Some(known) = self.heard().keys(header) {
            return known;
        }
        let _asking = self.asking();
        if let Some(known) = self.heard().keys(header) {
            return known;
        }
        self.heard().seek();
        let fetched = self.fetch_keys(&metadata.jwks_uri);
        let mut heard = self.heard();
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                heard.keys = Some((Instant::now(), Arc::clone(&keys)));
                heard.failed_keys = None;
                Ok(keys)
            }
            Err(why) => {
                heard.failed_keys = Some((Instant::now(), why.clone()));
                Err(Refusal::Unavailable(why))
            }
        }
    }

    fn fetch_keys(&self, url: &str) -> Result<Vec<Jwk>, String> {
        let fetched = self.fetcher.get(url)?;
        let listed = fetched.get("keys").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| format!("`{url}`: expected a list `keys`"))?;
        // A key of a kind that nobody here knows is no fault.
        let keys = listed.iter().take(MAX_KEYS);
        Ok(keys.filter_map(|key| serde_json::from_value(key.clone()).ok()).collect())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self) -> MutexGuard<'_, ()> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// What is known of the issuer, or why it is not asked now; `None` if it is to be asked.
    fn metadata(&self) -> Option<Result<Arc<Metadata>, Refusal>> {
        match &self.metadata {
            Some((at, metadata)) if at.elapsed() < KEPT => Some(Ok(Arc::clone(metadata))),
            _ => refusal(self.failed.as_ref()).map(Err),
        }
    }

    /// The known keys, or why the issuer is not asked for them now; `None` if it is to be asked.
    fn keys(&self, header: &Header) -> Option<Result<Arc<Vec<Jwk>>, Refusal>> {
        let is_pause = self.sought.is_some_and(|at| at.elapsed() < KEY_PAUSE);
        match &self.keys {
            Some((at, keys))
                if at.elapsed() < KEPT && (is_pause || token::key(keys, header).is_some()) =>
            {
                Some(Ok(Arc::clone(keys)))
            }
            _ => refusal(self.failed_keys.as_ref()).map(Err),
        }
    }

    /// Notes that the keys are fetched for one that is not among the known ones.
    fn seek(&mut self) {
        if self.keys.as_ref().is_some_and(|(at, _)| at.elapsed() < KEPT) {
            self.sought = Some(Instant::now());
        }
    }
}

/// The last failure, if it was a moment ago.
fn refusal(failed: Option<&(Instant, String)>) -> Option<Refusal> {
    let (_, why) = failed.filter(|(at, _)| at.elapsed() < PAUSE)?;
    Some(Refusal::Unavailable(why.clone()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use jsonwebtoken::Algorithm;

    use super::*;

    /// An issuer whose keys are at this address.
    fn issuer(listener: &TcpListener) -> (Issuer, Metadata) {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let text = serde_json::json!({
            "issuer": url, "authorization_endpoint": url, "token_endpoint": url, "jwks_uri": url,
        });
        let issuer = Issuer::new(&url, Fetcher::new(None).unwrap());
        (issuer, serde_json::from_value(text).unwrap())
    }

    #[test]
    fn keys_that_cannot_be_fetched_are_not_sought_by_each_login() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (issuer, metadata) = issuer(&listener);
        // The port refuses connections from now on, and takes them again before the second attempt.
        drop(listener);
        let header = Header::new(Algorithm::ES256);
        let first = issuer.keys(&metadata, &header).unwrap_err();
        let port = metadata.jwks_uri.rsplit(':').next().unwrap();
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let second = issuer.keys(&metadata, &header).unwrap_err();
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        assert!(listener.accept().is_err(), "it was asked again");
    }

    #[test]
    fn nobody_waits_for_keys_who_needs_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (issuer, metadata) = issuer(&listener);
        let known = Arc::new(serde_json::from_value(serde_json::json!({
            "issuer": "x", "authorization_endpoint": "x", "token_endpoint": "x", "jwks_uri": "x",
        })).unwrap());
        issuer.heard().metadata = Some((Instant::now(), known));
        let issuer = Arc::new(issuer);
        let asking = {
            let issuer = Arc::clone(&issuer);
            std::thread::spawn(move || {
                issuer.keys(&metadata, &Header::new(Algorithm::ES256)).is_err()
            })
        };
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        // It was asked, and does not answer.
        assert_eq!(issuer.metadata().unwrap().issuer, "x");
        assert!(!asking.is_finished(), "the issuer was waited for");
        drop((stream, listener));
        assert!(asking.join().unwrap());
    }
}
