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

/// The most administrators whose refusals are counted at once. The provider of OpenID may have any number of users.
const MAX_PEOPLE: usize = 1024;

/// How many refusals of each administrator are in the journal.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<Person, Counted>>);

#[derive(Debug, Clone, Copy)]
struct Counted {
    since: Timestamp,
    count: u32,
}

impl Refusals {
    /// Whether one more refusal of this administrator is to be recorded at `now`; counts it.
    fn has_room(&self, person: &Person, now: Timestamp) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins anew, too.
        all.retain(|_, counted| counted.since <= now && now < counted.since.plus(PERIOD));
        if all.len() >= MAX_PEOPLE && !all.contains_key(person) {
            return false;
        }
        let own = all.entry(person.clone()).or_insert(Counted { since: now, count: 0 });
        own.count = own.count.saturating_add(1);
        own.count <= MOST
    }

    /// Records a refusal, if it is one and there is room. It blocks while the entry becomes durable. The refusal stands whether or not the
    /// journal can be written.
    pub fn note(&self, instance: &Instance, principal: &Principal, failure: &Failure) {
        if failure.code != REFUSED || !self.has_room(&principal.name, instance.now()) {
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
        let (refusals, alice, bob) = (Refusals::default(), person("alice"), person("bob"));
        let at = |seconds: i64| Timestamp::from_seconds(1_800_000_000 + seconds);
        let noted = |person: &Person, seconds: i64| {
            (0..50).filter(|_| refusals.has_room(person, at(seconds))).count()
        };
        assert_eq!([noted(&alice, 0), noted(&alice, 3599), noted(&bob, 3599)], [10, 0, 10]);
        assert_eq!([noted(&alice, 3600), noted(&bob, 3600), noted(&alice, -5)], [10, 0, 10]);
        let many = (0..2 * MAX_PEOPLE).map(|n| person(&format!("a{n}")));
        let recorded: usize = many.map(|one| noted(&one, 9000)).sum();
        assert_eq!(recorded, 10 * MAX_PEOPLE, "people beyond the bound are not counted");
    }
}
