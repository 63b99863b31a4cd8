//! The trust of an authorizer, made from the configuration: trust anchors, path settings, and the cache of CRLs and OCSP responses.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::path::{Anchors, Certificate, PathSettings};
use countersign_ca::record::CrlScope;
use countersign_ca::x509::read_all;
use countersign_ca::{Authority, SystemClock};
use countersign_ike_plugin::status::crl_cache::CrlCache;
use countersign_ike_plugin::status::fetch::Fetcher;
use countersign_ike_plugin::status::ocsp_cache::OcspCache;
use countersign_ike_plugin::status::{Mode, StatusChecker};
use countersign_ike_plugin::trust::certificate_store::CertificateStore;
use countersign_ike_plugin::trust::{ConfiguredTrust, Trust};

use crate::config::TrustSettings;
use crate::exit::Failure;

/// The largest CRL or OCSP response that is fetched, in octets.
const MAX_CRL: u64 = 64 << 20;

/// Reads the certificates of the configuration, and starts the caches of CRLs and OCSP responses, which begin to fetch. With an authority,
/// its roots become trust anchors, and its other CAs complete paths.
///
/// # Errors
/// There is no trust anchor, a file cannot be read, or a cache cannot be started.
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
        let [roots, below] = ConfiguredTrust::of_authority(authority)?;
        anchors.extend(roots);
        others.extend(below);
    }
    if anchors.is_empty() {
        return Err(Failure::input(
            "expected authorizer.anchors to name a file with the certificate of a root CA, found none; an instance has its own in \
             `keys/root.crt` of its data folder",
        ));
    }
    let unusable =
        |e: countersign_ca::path::PathError| Failure::input(format!("authorizer.anchors: {e}"));
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
    // Wait a moment for the configured CRLs, so that the first question finds them verified.
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
    let checker = StatusChecker {
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
    let standing = ConfiguredTrust::new(path, checker, authority.cloned())?;
    Ok(Arc::new(standing.with_certificates(certificates)))
}

/// With `status = "strict"`, a warning for each issuing CA whose own revocation status cannot be known: its root is kept elsewhere, and no
/// source of that root's CRLs is configured.
fn unknown_statuses(
    settings: &TrustSettings,
    authority: &Authority,
) -> Result<Vec<String>, Failure> {
    let has_sources = !settings.crls.is_empty() || !settings.responders.is_empty();
    if settings.mode != Mode::Strict || has_sources {
        return Ok(Vec::new());
    }
    let unusable = |e: countersign_ca::path::PathError| Failure::input(format!("a CA: {e}"));
    let mut found = Vec::new();
    for root in authority.cas().filter(|ca| ca.is_root && !ca.can_sign) {
        // Its CRL was brought (`countersign crl import`).
        if authority.crl(&root.name, CrlScope::Full)?.is_some() {
            continue;
        }
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
                 \"strict\"`) until authorizer.crls names the root's CRL, or `countersign crl import` brings it; {named}",
                root.name, ca.name
            ));
        }
    }
    Ok(found)
}

/// The certificates of files, PEM or DER.
///
/// # Errors
/// A file cannot be read, or holds none.
pub fn certificates(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut all = Vec::new();
    for path in files {
        let octets = std::fs::read(path)
            .map_err(|e| Failure::unavailable(format!("`{}`: {e}", path.display())))?;
        let read =
            read_all(&octets).map_err(|e| Failure::input(format!("`{}`: {e}", path.display())))?;
        all.extend(read);
    }
    Ok(all)
}
