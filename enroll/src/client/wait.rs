//! How long a client waits before it asks a server again.

use std::time::{Duration, Instant, SystemTime};

use countersign_ca::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};

/// The first pause before a busy server is asked again. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause, without the random time that is added, unless the server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest time that a Retry-After can name.
const LONGEST_RETRY: Duration = Duration::from_secs(366 * 86_400);

/// The pauses between tries at a busy server.
pub struct Pauses {
    next: Duration,
    until: Instant,
}

impl Pauses {
    /// Pauses that end at `until`, at the latest.
    pub const fn until(until: Instant) -> Self {
        Self { next: FIRST_PAUSE, until }
    }

    /// Waits before the next try: for the time `after` that the server asks for, but at least for this pause. A random time of up to half
    /// of that is added, so that many gateways that found the server busy at the same time do not return at the same time.
    ///
    /// # Errors
    /// The time to wait, if that would end too late. It was not waited.
    pub fn pause(&mut self, after: Option<Duration>) -> Result<(), Duration> {
        let asked = after.unwrap_or(self.next).max(self.next);
        let wait = asked.saturating_add(jitter(asked));
        if !sleep(wait, self.until) {
            return Err(after.unwrap_or(asked));
        }
        self.next = self.next.saturating_mul(2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Sleeps for this time, and returns true; or returns false at once, if that would end after `until`.
pub fn sleep(wait: Duration, until: Instant) -> bool {
    if Instant::now().checked_add(wait).is_none_or(|then| then > until) {
        return false;
    }
    std::thread::sleep(wait);
    true
}

/// The time in a Retry-After (RFC 9110 §10.2.3), which is a number of seconds or a date; `None` if it is neither.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            let seconds = date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
            Timestamp::from_seconds(i64::try_from(seconds).ok()?).since(now)
        }
    };
    Some(wait.min(LONGEST_RETRY))
}

/// A random time of up to half of a pause.
fn jitter(pause: Duration) -> Duration {
    let mut octet = [0; 1];
    let _ = SystemRandom::new().fill(&mut octet);
    pause.saturating_mul(u32::from(u8::from_be_bytes(octet))) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_come_again_is_in_seconds_or_a_date() {
        // 1994-11-06 08:49:37, the example of RFC 9110 §5.6.7, in each of its forms.
        let date = 784_111_777;
        let now = Timestamp::from_seconds(date - 90);
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
            ("Sun Nov  6 08:49:37 1994", Some(90)),
            ("18446744073709551615", Some(366 * 86_400)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
        // A date in the past asks to come at once.
        let late = Timestamp::from_seconds(date + 90);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", late), Some(Duration::ZERO));
    }
}
