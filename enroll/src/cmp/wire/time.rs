//! Converts between the times of ASN.1 and those of the authority.

use std::time::Duration;

use countersign_ca::Timestamp;
use der::asn1::GeneralizedTime;

/// The time of a UTCTime or GeneralizedTime, given as the duration since 1970; the latest [`Timestamp`] if it is beyond that.
pub fn timestamp(since_epoch: Duration) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

/// A time as a GeneralizedTime in whole seconds; the beginning of 1970 for an earlier one.
///
/// # Errors
/// The year is beyond 9999.
pub fn generalized_time(at: Timestamp) -> der::Result<GeneralizedTime> {
    let seconds = u64::try_from(at.seconds()).unwrap_or_default();
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))
}
