//! The section `[crl]`: the validity and the schedule of CRLs, partitions and deltas.

use std::time::Duration;

use countersign_ca::authority::CrlSettings;
use countersign_ca::profile::{Profile, Profiles};
use serde::{Deserialize, Serialize};

use super::urls::PublicUrls;
use super::values::{DurationText, within};
use crate::exit::Failure;
use crate::folder::DataFolder;

/// The section `[crl]`, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrlFile {
    /// How long an issuing CA's CRL is valid. The server signs the next one after a quarter of that.
    pub validity: DurationText,
    /// How long a root's CRL is valid. `interval` does not apply to it.
    pub root_validity: DurationText,
    /// How often an issuing CA's CRL is signed anew, if not after a quarter of its validity; at most half of it.
    pub interval: Option<DurationText>,
    /// Into how many partitions new certificates are divided; 0 for none.
    pub partitions: u16,
    /// Whether delta CRLs are signed.
    pub delta: bool,
}

impl Default for CrlFile {
    fn default() -> Self {
        Self {
            validity: Duration::from_secs(7 * 86_400).into(),
            root_validity: Duration::from_secs(180 * 86_400).into(),
            interval: None,
            partitions: 0,
            delta: false,
        }
    }
}

/// Checks every value, and joins it with the URLs and profiles that CRLs depend on.
///
/// # Errors
/// A value is out of bounds; partitions or deltas are wanted and no URL for them is configured; or a profile names a partition and there
/// are none.
pub fn check(
    file: &CrlFile,
    urls: &PublicUrls,
    profiles: &Profiles,
    folder: &DataFolder,
) -> Result<CrlSettings, Failure> {
    let validity = file.validity.within("crl.validity", 600, 366 * 86_400)?;
    let interval = file.interval.as_ref();
    let interval =
        interval.map(|text| text.within("crl.interval", 60, validity.as_secs() / 2)).transpose()?;
    within("crl.partitions", file.partitions.into(), 0, 4096)?;
    let mut partition_urls = urls.partitions();
    for url in profiles.iter().flat_map(Profile::partition_urls) {
        if !partition_urls.contains(url) {
            partition_urls.push(url.clone());
        }
    }
    let delta_urls = urls.deltas();
    if (file.partitions > 0 && partition_urls.is_empty()) || (file.delta && delta_urls.is_empty()) {
        return Err(Failure::input(
            "crl.partitions and crl.delta need http.public_url: certificates and CRLs name where these CRLs are",
        ));
    }
    if file.partitions == 0 && profiles.iter().any(Profile::names_partition) {
        return Err(Failure::input(
            "a profile's crl_urls name a `{partition}`, and crl.partitions is 0; set it to the number of partitions",
        ));
    }
    Ok(CrlSettings {
        validity,
        root_validity: file.root_validity.within("crl.root_validity", 3600, 3660 * 86_400)?,
        interval,
        partitions: file.partitions,
        partition_urls,
        delta: file.delta,
        delta_urls,
        full_urls: urls.full_crls(),
        folder: folder.crls(),
    })
}
