//! The times of ASN.1 and those of the authority.

use std::time::Duration;

use countersign_ca::Timestamp;
use der::asn1::GeneralizedTime;

/// A time that a UTCTime or GeneralizedTime gave as the time since 1970; beyond the range of [`Timestamp`], the latest one.
pub fn timestamp(since_epoch: Duration) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

/// A GeneralizedTime in whole seconds; 1970 for what is earlier.
///
/// # Errors
/// The year is beyond 9999.
pub fn generalized_time(at: Timestamp) -> der::Result<GeneralizedTime> {
    let seconds = u64::try_from(at.seconds()).unwrap_or_default();
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))
}
