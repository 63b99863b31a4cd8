//! The kinds of values that several sections share, and the checks of their bounds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// A duration as the operator writes it, such as `7d` or `1h 30m`.
///
/// The operator's spelling stays, so that `countersign config show` prints what the file has. [`Self::within`] reads it, and names
/// the setting in its message when the text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(String);

impl DurationText {
    /// The duration, if it lies between `least` and `most` seconds. `key` names the setting in the message.
    ///
    /// # Errors
    /// The text is not a duration, or the duration is out of bounds.
    pub fn within(&self, key: &str, least: u64, most: u64) -> Result<Duration, Failure> {
        duration(key, &self.0, least, most)
    }
}

impl From<Duration> for DurationText {
    /// Whole seconds, in the largest unit that divides them: `7d`, `5m`, `90s`.
    fn from(duration: Duration) -> Self {
        let seconds = duration.as_secs();
        let units = [(86_400, "d"), (3600, "h"), (60, "m")].into_iter();
        let fits = |(unit, _): &(u64, &str)| seconds >= *unit && seconds.is_multiple_of(*unit);
        let (unit, name) = units.clone().find(fits).unwrap_or((1, "s"));
        Self(format!("{}{name}", seconds / unit))
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Refuses a number that is not between `least` and `most`. `key` names the setting in the message.
///
/// # Errors
/// The number is out of bounds.
pub fn within(key: &str, value: usize, least: usize, most: usize) -> Result<(), Failure> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => {
            Err(Failure::input(format!("expected {key} from {least} to {most}, found {value}")))
        }
    }
}

/// Reads a duration such as `7d`, which must lie between `least` and `most` seconds. `key` names the setting or option in the
/// message.
///
/// # Errors
/// The text is not a duration, or the duration is out of bounds.
pub fn duration(key: &str, text: &str, least: u64, most: u64) -> Result<Duration, Failure> {
    let expected = |why: String| {
        Failure::input(format!(
            "expected {key} from {} to {}, found `{}`{why}",
            DurationText::from(Duration::from_secs(least)),
            DurationText::from(Duration::from_secs(most)),
            text.escape_debug()
        ))
    };
    let parsed = humantime::parse_duration(text).map_err(|e| expected(format!(": {e}")))?;
    match (least..=most).contains(&parsed.as_secs()) {
        true => Ok(parsed),
        false => Err(expected(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_in_its_largest_unit() {
        for (seconds, text) in
            [(0, "0s"), (90, "90s"), (300, "5m"), (3600, "1h"), (7 * 86_400, "7d")]
        {
            let written = DurationText::from(Duration::from_secs(seconds));
            assert_eq!(written.to_string(), text);
            assert_eq!(written.within("x", 0, u64::MAX / 2).unwrap().as_secs(), seconds);
        }
    }
}
