//! The time of a question, in the form that the policy's vocabulary needs.

use countersign_ca::Timestamp;
use countersign_policy::ipsec::{CivilTime, Moment};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The moment in UTC and in this host's time zone; `None` outside the years 0 to 9999.
pub fn moment(at: Timestamp, zone: &TimeZone) -> Option<Moment> {
    let at = jiff::Timestamp::from_second(at.seconds()).ok()?;
    Some(Moment { utc: civil(TimeZone::UTC.to_datetime(at))?, local: civil(zone.to_datetime(at))? })
}

fn civil(time: DateTime) -> Option<CivilTime> {
    let small = |number: i8| u8::try_from(number).ok();
    let date = (u16::try_from(time.year()).ok()?, small(time.month())?, small(time.day())?);
    let time = (small(time.hour())?, small(time.minute())?, small(time.second())?);
    CivilTime::new(date, time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_show_the_same_moment() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let summer = moment(Timestamp::from_seconds(1_782_864_000), &zone).unwrap();
        assert_eq!(summer.utc.to_string(), "20260701000000");
        assert_eq!(summer.local.to_string(), "20260630200000");
        assert!(moment(Timestamp::from_seconds(-62_200_000_000), &zone).is_none());
    }
}
