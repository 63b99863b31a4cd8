//! Checks that a received certificate is the requested one. The checks are the same for all protocols.

use countersign_ca::x509::Facts;
use countersign_ca::{Identity, Timestamp};
use x509_cert::ext::pkix::name::GeneralName;

use super::error::ClientError;
use super::issued::Issued;
use super::request::EnrolmentRequest;
use super::trust::Paths;
use crate::legible::legible;
use crate::request::names;

/// A certificate that came.
pub struct Arrived<'a> {
    /// The certificate, DER.
    pub certificate: &'a [u8],
    /// Further certificates that may be on the certificate's path, DER, in any order.
    pub others: Vec<Vec<u8>>,
    /// The CA's text about its changes; `None` if it says nothing.
    pub changed: Option<&'a str>,
}

/// How the trust anchors for a certificate are found.
pub enum Roots {
    /// The anchors are these certificates, DER.
    Known(Vec<Vec<u8>>),
    /// The anchors are the self-issued ones among these certificates, DER. The CA names them in an answer that is proven to be its own.
    AmongThese(Vec<Vec<u8>>),
}

/// The result of examining a granted certificate: the CAs above it, the anchors to trust, and the differences from the request.
pub struct Examined {
    path: Vec<Vec<u8>>,
    anchors: Vec<Vec<u8>>,
    changes: Vec<String>,
}

impl Examined {
    /// The issued certificate, which needs no confirmation.
    pub fn into_confirmed(self, certificate: Vec<u8>) -> Issued {
        let Self { path, anchors, changes } = self;
        Issued { certificate, path, anchors, changes, confirmation: None }
    }
}

impl Arrived<'_> {
    /// Checks the certificate against the request, and finds its path to a trust anchor. `at` is now.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] for a certificate that must not be accepted, or if no trust anchor is known.
    pub fn examine(
        self,
        request: &EnrolmentRequest<'_>,
        roots: Roots,
        paths: &dyn Paths,
        at: Timestamp,
    ) -> Result<Examined, ClientError> {
        // 1. It certifies the peer's key.
        let facts = Facts::of(self.certificate)
            .map_err(|e| ClientError::untrusted(format!("the certificate that came: {e}")))?;
        if facts.key.der() != request.key.public().der() {
            return Err(ClientError::untrusted(format!(
                "the certificate that came, of `{}`, certifies another key than ours",
                facts.subject
            )));
        }
        // 2. It has the requested names. Everything else that the CA changed is only reported.
        let mut changes = check_names(request, &facts)?;
        if let Some(text) = self.changed {
            changes.push(match text.is_empty() {
                true => "the CA granted it with modifications, and does not say which".to_owned(),
                false => format!("the CA granted it with modifications: {text}"),
            });
        }
        // 3. A path leads to a trust anchor.
        let anchors = match roots {
            Roots::Known(anchors) => anchors,
            Roots::AmongThese(certificates) => self_issued(&certificates)?,
        };
        let mut chain = vec![self.certificate.to_vec()];
        chain.extend(self.others);
        let path = paths.path(&anchors, &chain, at);
        let path = path.map_err(|why| {
            ClientError::untrusted(format!(
                "the certificate that came, of `{}`: {why}",
                facts.subject
            ))
        })?;
        Ok(Examined { path: path.into_iter().skip(1).collect(), anchors, changes })
    }
}

/// Checks that the certificate has every requested subjectAltName. Returns texts for people about further names in it and about another
/// subject.
///
/// # Errors
/// [`ClientError::Untrusted`] if a requested name is missing, or the subject is another one and the request needs it.
fn check_names(request: &EnrolmentRequest<'_>, facts: &Facts) -> Result<Vec<String>, ClientError> {
    let shown = |names: &[GeneralName]| {
        let list = names.iter().map(show).collect::<Vec<_>>().join(", ");
        if list.is_empty() { "none".to_owned() } else { list }
    };
    for wanted in &request.alt_names {
        if !facts.alt_names.iter().any(|found| is_same(wanted, found)) {
            return Err(ClientError::untrusted(format!(
                "the certificate that came lacks the name {} that was asked for; it has {}",
                show(wanted),
                shown(&facts.alt_names)
            )));
        }
    }
    let mut changes = Vec::new();
    if !request.subject.is_empty() && !names::same(&request.subject, &facts.subject) {
        let text = format!(
            "the subject is `{}`, and `{}` was asked for",
            legible(&facts.subject.to_string()),
            request.subject
        );
        if request.needs_subject {
            return Err(ClientError::untrusted(text));
        }
        changes.push(text);
    }
    if !request.alt_names.is_empty() {
        let added: Vec<GeneralName> = facts
            .alt_names
            .iter()
            .filter(|found| !request.alt_names.iter().any(|wanted| is_same(wanted, found)))
            .cloned()
            .collect();
        if !added.is_empty() {
            changes.push(format!("the certificate has the further names {}", shown(&added)));
        }
    }
    Ok(changes)
}

/// Whether two names are the same: have the same encoding, or are the same [`Identity`].
fn is_same(a: &GeneralName, b: &GeneralName) -> bool {
    let identity = |name| Identity::from_general_name(name).ok();
    a == b || matches!((identity(a), identity(b)), (Some(a), Some(b)) if a == b)
}

/// A name, for people.
fn show(name: &GeneralName) -> String {
    match Identity::from_general_name(name) {
        Ok(identity) => format!("`{}`", legible(&identity.to_string())),
        Err(_) => "of another kind".to_owned(),
    }
}

/// The self-issued certificates in caPubs, which become the anchors.
///
/// # Errors
/// [`ClientError::Untrusted`] if there is none.
fn self_issued(ca_pubs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, ClientError> {
    let is_root = |der: &&Vec<u8>| Facts::of(der).is_ok_and(|facts| facts.subject == facts.issuer);
    let roots: Vec<Vec<u8>> = ca_pubs.iter().filter(is_root).cloned().collect();
    match roots.is_empty() {
        true => Err(ClientError::untrusted(
            "the answer names no root in caPubs; name the root's certificate with `--trust`",
        )),
        false => Ok(roots),
    }
}
