//! Templates of the URLs of CRLs, OCSP responders and certificates.

use der::asn1::Ia5String;

use crate::error::{Error, Result};
use crate::record::Label;

/// The placeholder for the number of a CRL partition.
pub(super) const PARTITION: &str = "{partition}";

/// The URL that a template gives for this CA and CRL partition; `None` if the template has `{partition}` and `partition` is `None`.
pub fn filled_url(template: &str, ca: &Label, partition: Option<u16>) -> Option<String> {
    let url = template.replace("{ca}", ca.as_str());
    match partition {
        Some(number) => Some(url.replace(PARTITION, &number.to_string())),
        None => (!url.contains(PARTITION)).then_some(url),
    }
}

/// Checks a URL, or a template of one: at most 1024 characters of printable ASCII, one of `schemes` (with the colon), and for LDAP a `?`,
/// after which the attribute is named.
pub(super) fn check_url(url: &str, schemes: &[&str]) -> Result<()> {
    let no_attribute = url.starts_with("ldap:") && !url.contains('?');
    if Ia5String::new(url).is_err()
        || !url.bytes().all(|b| b.is_ascii_graphic())
        || url.len() > 1024
    {
        return Err(Error::malformed(format!(
            "expected a URL in printable ASCII, found `{}`",
            url.escape_debug()
        )));
    }
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::malformed(format!(
            "expected a URL with {}, found `{url}`",
            schemes.join(" or ")
        )));
    }
    if no_attribute {
        return Err(Error::malformed(format!(
            "an ldap URL must name the attribute, as in `ldap://host/cn=ca?certificateRevocationList?base`: \
             IKE daemons fetch nothing otherwise; found `{url}`"
        )));
    }
    Ok(())
}
