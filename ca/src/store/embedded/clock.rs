//! Compares the clock with the time of the last entry: nothing is recorded with a clock that went back, or that is far
//! ahead.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// How far a clock may go back and still be believed: it is being slewed.
const SLEW: Duration = Duration::from_secs(2);

/// The time of the next entry: `now`, but never before `last`, the time of the last entry. The caller read `now` from
/// its clock a duration of `waited` ago, while entries of other callers were recorded; so `now` may be that much before
/// `last` without a clock that went backwards.
///
/// # Errors
/// [`Error::Unavailable`] when the clock went backwards by more than two seconds, or is more than `longest_silence`
/// after the last entry.
pub fn moment(
    now: Timestamp,
    waited: Duration,
    last: Option<Timestamp>,
    longest_silence: Option<Duration>,
) -> Result<Timestamp> {
    let Some(last) = last else { return Ok(now) };
    if let Some(why) = longest_silence.and_then(|longest| clock_ahead(now, last, longest)) {
        Err(Error::unavailable(why))
    } else if now >= last {
        Ok(now)
    } else if last.since(now) <= SLEW.saturating_add(waited) {
        Ok(last)
    } else {
        Err(Error::unavailable(format!(
            "the clock went backwards, from {last} (the journal's last entry) to {now}: nothing is signed until it \
             has passed that moment again; set the clock right, or, if it is right, stop the server and run \
             `countersign store accept-clock`"
        )))
    }
}

/// The reason why nothing is recorded at `now`, if `now` is more than `longest` after `last`, the time of the last
/// entry; otherwise `None`.
pub fn clock_ahead(now: Timestamp, last: Timestamp, longest: Duration) -> Option<String> {
    const DAY: u64 = 86_400;
    let silence = now.since(last);
    (silence > longest).then(|| {
        format!(
            "the clock says {now}, {} days after the last entry, of {last}, and more than {} are not believed: what is signed \
             with a clock that is ahead stops all signing until that time. Set the clock right, or, if it is right, stop the \
             server and run `countersign store accept-clock`",
            silence.as_secs() / DAY,
            longest.as_secs() / DAY
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn who_waited_for_his_turn_is_not_taken_for_a_clock_that_went_backwards() {
        let moment = |now, waited| moment(at(now), waited, Some(at(100)), None);
        assert_eq!(moment(101, NONE).unwrap(), at(101));
        assert_eq!(moment(98, NONE).unwrap(), at(100), "a clock may be slewed");
        assert!(moment(97, NONE).is_err());
        assert_eq!(moment(60, Duration::from_secs(40)).unwrap(), at(100));
        assert!(moment(57, Duration::from_secs(40)).is_err());
    }

    #[test]
    fn a_clock_that_is_far_ahead_is_not_believed() {
        let day = Duration::from_secs(86_400);
        let moment = |now, last| moment(at(now), NONE, last, Some(day));
        assert_eq!(moment(86_500, Some(at(100))).unwrap(), at(86_500));
        let refused = moment(86_501, Some(at(100))).unwrap_err().to_string();
        assert!(refused.contains("accept-clock"), "{refused}");
        assert_eq!(moment(86_501, None).unwrap(), at(86_501), "the first entry has none before it");
    }
}
