//! Refused requests of administrators in the journal: at most so many of each administrator in an hour, as somebody may ask without end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use countersign_ca::Timestamp;

use super::principal::{Person, Principal};
use super::recorded::record;
use crate::exit::Failure;
use crate::instance::Instance;

/// The most refusals of one administrator that the journal has of one hour.
const MOST: u32 = 10;
/// The time for which they are counted.
const PERIOD: Duration = Duration::from_secs(3600);
/// The most octets of a refusal's words.
const MAX_WORDS: usize = 300;
/// The exit code of what is not allowed.
const REFUSED: u8 = 4;

/// The most people who are counted at once. The provider of OpenID may have any number of users.
const MAX_PEOPLE: usize = 1024;

/// Counts what each person did within an hour, for what the journal has so often at most.
#[derive(Debug)]
pub struct Hourly {
    most: u32,
    people: Mutex<BTreeMap<Person, Counted>>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    since: Timestamp,
    count: u32,
}

impl Hourly {
    /// So often for each person.
    pub const fn new(most: u32) -> Self {
        Self { most, people: Mutex::new(BTreeMap::new()) }
    }

    /// Counts one more at `now`.
    ///
    /// # Errors
    /// There were too many; how long it takes until there may be another one.
    pub fn take(&self, person: &Person, now: Timestamp) -> Result<(), Duration> {
        let mut all = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins anew, too.
        all.retain(|_, counted| counted.since <= now && now < counted.since.plus(PERIOD));
        if all.len() >= MAX_PEOPLE && !all.contains_key(person) {
            return Err(PERIOD);
        }
        let own = all.entry(person.clone()).or_insert(Counted { since: now, count: 0 });
        own.count = own.count.saturating_add(1);
        let gone = now.seconds().saturating_sub(own.since.seconds());
        match own.count <= self.most {
            true => Ok(()),
            false => Err(PERIOD.saturating_sub(Duration::from_secs(gone.unsigned_abs()))),
        }
    }
}

/// How many refusals of each administrator are in the journal.
#[derive(Debug)]
pub struct Refusals(Hourly);

impl Default for Refusals {
    fn default() -> Self {
        Self(Hourly::new(MOST))
    }
}

impl Refusals {
    /// Records a refusal, if it is one and there is room. It blocks while the entry becomes durable. The refusal stands whether or not the
    /// journal can be written.
    pub fn note(&self, instance: &Instance, principal: &Principal, failure: &Failure) {
        if failure.code != REFUSED || self.0.take(&principal.name, instance.now()).is_err() {
            return;
        }
        let words = failure.message.replace('\n', " ");
        let words = words.get(..words.floor_char_boundary(MAX_WORDS)).unwrap_or_default();
        if let Err(failure) = record(instance, &principal.to_string(), "request refused", &words) {
            tracing::error!("{failure}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_in_an_hour() {
        let person = |name: &str| Person::Administrator(name.parse().unwrap());
        let (refusals, alice, bob) = (Hourly::new(10), person("alice"), person("bob"));
        let at = |seconds: i64| Timestamp::from_seconds(1_800_000_000 + seconds);
        let noted = |person: &Person, seconds: i64| {
            (0..50).filter(|_| refusals.take(person, at(seconds)).is_ok()).count()
        };
        assert_eq!([noted(&alice, 0), noted(&alice, 3599), noted(&bob, 3599)], [10, 0, 10]);
        assert_eq!(refusals.take(&alice, at(3599)), Err(Duration::from_secs(1)));
        assert_eq!([noted(&alice, 3600), noted(&bob, 3600), noted(&alice, -5)], [10, 0, 10]);
        let many = (0..2 * MAX_PEOPLE).map(|n| person(&format!("a{n}")));
        let recorded: usize = many.map(|one| noted(&one, 9000)).sum();
        assert_eq!(recorded, 10 * MAX_PEOPLE, "people beyond the bound are not counted");
    }
}
