//! Whom the authorizer trusts: its anchors, path settings and CRLs, from the configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{Authority, SystemClock};
use countersign_ike_plugin::lookup::CertificateStore;
use countersign_ike_plugin::path::{Anchors, Certificate, PathSettings, object_identifier};
use countersign_ike_plugin::status::cache::{CacheSettings, CrlCache};
use countersign_ike_plugin::status::fetch::Fetcher;
use countersign_ike_plugin::status::location::Locations;
use countersign_ike_plugin::status::responders::OcspCache;
use countersign_ike_plugin::status::{CrlChecker, Mode, Prefer};
use countersign_ike_plugin::trust::{Standing, Trust};
use der::asn1::ObjectIdentifier;

use super::running::{AuthorizerFile, certificates};
use crate::config::duration;
use crate::exit::Failure;
use crate::folder::DataFolder;

/// The largest CRL that is fetched, in octets.
const MAX_CRL: u64 = 64 << 20;

/// Extended key usages by name (RFC 5280 §4.2.1.12, RFC 4945 §5.1.3.12).
const PURPOSES: [(&str, &str); 5] = [
    ("ipsecIKE", "1.3.6.1.5.5.7.3.17"),
    ("iKEIntermediate", "1.3.6.1.5.5.8.2.2"),
    ("serverAuth", "1.3.6.1.5.5.7.3.1"),
    ("clientAuth", "1.3.6.1.5.5.7.3.2"),
    ("any", "2.5.29.37.0"),
];

/// `[authorizer]` as far as it says whom to trust, checked.
#[derive(Debug, Clone)]
pub struct TrustSettings {
    anchors: Vec<PathBuf>,
    intermediates: Vec<PathBuf>,
    key_purposes: Vec<ObjectIdentifier>,
    mode: Mode,
    locations: Locations,
    crls: Vec<String>,
    certificates: Option<String>,
    prefer: Prefer,
    responders: Vec<String>,
    cache: CacheSettings,
}

impl TrustSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// A value is not what it must be.
    pub fn check(file: &AuthorizerFile, folder: &DataFolder) -> Result<Self, Failure> {
        let mode = match file.status.as_str() {
            "strict" => Mode::Strict,
            "if-present" => Mode::IfPresent,
            "off" => Mode::Off,
            other => {
                return Err(Failure::input(format!(
                    "expected authorizer.status to be `strict`, `if-present` or `off`, found `{}`",
                    other.escape_debug()
                )));
            }
        };
        let prefer = match file.prefer.as_str() {
            "crl" => Prefer::Crl,
            "ocsp" => Prefer::Ocsp,
            other => {
                return Err(Failure::input(format!(
                    "expected authorizer.prefer to be `crl` or `ocsp`, found `{}`",
                    other.escape_debug()
                )));
            }
        };
        let named = file.ocsp.iter().map(|url| ("ocsp", url));
        let named = named.chain(file.certificates.iter().map(|url| ("certificates", url)));
        if let Some((key, other)) = named.into_iter().find(|(_, url)| !url.starts_with("http://")) {
            return Err(Failure::input(format!(
                "expected authorizer.{key} to have `http:` URLs, found `{}`",
                other.escape_debug()
            )));
        }
        Ok(Self {
            anchors: file.anchors.clone(),
            intermediates: file.intermediates.clone(),
            key_purposes: file
                .key_purposes
                .iter()
                .map(|of| purpose(of))
                .collect::<Result<_, _>>()?,
            mode,
            locations: Locations::new(&file.locations)
                .map_err(|why| Failure::input(format!("authorizer.locations: {why}")))?,
            crls: file.crls.clone(),
            certificates: file.certificates.clone(),
            prefer,
            responders: file.ocsp.clone(),
            cache: CacheSettings {
                folder: Some(
                    file.crl_cache.clone().unwrap_or_else(|| folder.path().join("status")),
                ),
                refresh: duration("authorizer.crl_refresh", &file.crl_refresh, 2, 7 * 86_400)?,
            },
        })
    }
}

/// Reads the certificates, and begins to fetch CRLs.
///
/// # Errors
/// There is no anchor, or a file cannot be read.
pub fn start(
    settings: &TrustSettings,
    authority: Option<&Arc<Authority>>,
) -> Result<Arc<dyn Trust>, Failure> {
    let mut anchors = certificates(&settings.anchors)?;
    let mut others = certificates(&settings.intermediates)?;
    if let Some(authority) = authority {
        for why in unknown_statuses(settings, authority)? {
            tracing::warn!("{why}");
        }
        let [roots, below] = Standing::of_authority(authority)?;
        anchors.extend(roots);
        others.extend(below);
    }
    if anchors.is_empty() {
        return Err(Failure::input(
            "expected authorizer.anchors to name a file with the certificate of a root CA, found none; an instance has its own in \
             `keys/root.crt` of its data folder",
        ));
    }
    let unusable = |e: countersign_ike_plugin::path::PathError| {
        Failure::input(format!("authorizer.anchors: {e}"))
    };
    let others: Result<Vec<_>, _> =
        others.into_iter().map(|der| Certificate::from_der(der).map(Arc::new)).collect();
    let others = others.map_err(unusable)?;
    let anchors = Anchors::new(anchors).map_err(unusable)?;
    let failed = |e: std::io::Error| Failure::unavailable(format!("the folder of CRLs: {e}"));
    let cache = CrlCache::start(
        settings.cache.clone(),
        Box::new(Fetcher::new(MAX_CRL)),
        Arc::new(SystemClock),
    );
    let cache = cache.map_err(failed)?;
    // What is configured is there when somebody asks, and whose it is.
    let signers: Vec<_> = others.iter().chain(anchors.iter()).cloned().collect();
    let soon = std::time::Instant::now() + Duration::from_millis(500);
    let _ = cache.at(&settings.crls, &signers, soon);
    let responses = OcspCache::start(
        settings.cache.refresh,
        Box::new(Fetcher::new(MAX_CRL)),
        Arc::new(SystemClock),
    );
    let path = PathSettings {
        key_purposes: settings.key_purposes.clone(),
        signs: true,
        ..PathSettings::default()
    };
    let checker = CrlChecker {
        mode: settings.mode,
        locations: settings.locations.clone(),
        configured: settings.crls.clone(),
        cache,
        prefer: settings.prefer,
        responders: settings.responders.clone(),
        ocsp: responses?,
        others,
        anchors,
    };
    let certificates = settings.certificates.as_deref().map(CertificateStore::new);
    let standing = Standing::new(path, checker, authority.cloned())?;
    Ok(Arc::new(standing.with_certificates(certificates)))
}

/// The issuing CAs whose own status nobody can know here, because their root is kept elsewhere and no source of its CRLs is named.
fn unknown_statuses(
    settings: &TrustSettings,
    authority: &Authority,
) -> Result<Vec<String>, Failure> {
    let has_sources = !settings.crls.is_empty() || !settings.responders.is_empty();
    if settings.mode != Mode::Strict || has_sources {
        return Ok(Vec::new());
    }
    let unusable =
        |e: countersign_ike_plugin::path::PathError| Failure::input(format!("a CA: {e}"));
    let mut found = Vec::new();
    for root in authority.cas().filter(|ca| ca.is_root && !ca.can_sign) {
        let above = Certificate::from_der(root.certificate.clone()).map_err(unusable)?;
        for ca in authority.cas().filter(|ca| !ca.is_root) {
            let below = Certificate::from_der(ca.certificate.clone()).map_err(unusable)?;
            let urls = below.crl_urls();
            if !below.is_signed_by(&above) || urls.iter().any(|url| settings.locations.allow(url)) {
                continue;
            }
            let named = match urls.first() {
                Some(url) => format!("its certificate names `{}`", url.escape_debug()),
                None => "its certificate names none".into(),
            };
            found.push(format!(
                "the root `{}` is kept elsewhere, and whether it has revoked the CA `{}` is not known: everybody is refused (`status = \
                 \"strict\"`) until authorizer.crls names the root's CRL; {named}",
                root.name, ca.name
            ));
        }
    }
    Ok(found)
}

fn purpose(text: &str) -> Result<ObjectIdentifier, Failure> {
    let known = PURPOSES.iter().find(|(name, _)| *name == text).map_or(text, |(_, oid)| *oid);
    object_identifier(known).ok_or_else(|| {
        Failure::input(format!(
            "expected authorizer.key_purposes to have object identifiers such as `1.3.6.1.5.5.7.3.17` or names such as `ipsecIKE`, \
             found `{}`",
            text.escape_debug()
        ))
    })
}
