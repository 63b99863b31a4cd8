//! Repeated denials. They are counted here, and every ten seconds a line with the trace of the first denial and the count is logged.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_ca::Timestamp;
use serde_json::{Value, json};

use crate::wire::{Answer, Step, Verdict};

/// The most denials that are counted at a time. If there is one more, the counts so far are logged at once.
const MAX_REPEATS: usize = 1024;

/// How often a denial was repeated since that was last logged.
pub(super) struct Repeat {
    count: u64,
    last: Timestamp,
    step: Step,
    reason: String,
}

/// The repeats of denials, by the trace of the denial.
pub(super) type ByTrace = HashMap<String, Repeat>;

/// The repeats that are not in the log yet.
#[derive(Default)]
pub(super) struct Repeats(Mutex<ByTrace>);

impl Repeats {
    /// Counts a denial. If there are too many different ones, returns the counts of all others, which the caller logs; otherwise returns
    /// nothing.
    pub fn count(&self, at: Timestamp, answer: &Answer) -> ByTrace {
        let mut repeats = self.lock();
        let is_full = repeats.len() >= MAX_REPEATS && !repeats.contains_key(&answer.trace);
        let told = if is_full { std::mem::take(&mut *repeats) } else { ByTrace::new() };
        match repeats.get_mut(&answer.trace) {
            Some(repeat) => {
                repeat.count = repeat.count.saturating_add(1);
                repeat.last = at;
            }
            None => {
                let reason = answer.reason.clone();
                let repeat = Repeat { count: 1, last: at, step: answer.step, reason };
                repeats.insert(answer.trace.clone(), repeat);
            }
        }
        told
    }

    /// Takes out all counts; the caller logs them.
    pub fn take(&self) -> ByTrace {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, ByTrace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The JSON object of a repeat. Its member `again` distinguishes it from a decision.
pub(super) fn repeat_json(trace: &str, repeat: &Repeat) -> Value {
    json!({
        "time": repeat.last.to_string(),
        "again": trace,
        "decision": Verdict::Deny,
        "step": repeat.step,
        "reason": repeat.reason,
        "times": repeat.count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision_log::{DecisionLog, decisions};
    use crate::wire::VERSION;

    fn refusal(trace: String) -> Answer {
        let (id, reason) = (String::new(), "no".to_owned());
        Answer { v: VERSION, id, decision: Verdict::Deny, step: Step::Policy, reason, trace }
    }

    #[test]
    fn what_is_counted_is_bounded_and_none_of_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let log = DecisionLog::open(folder.path()).unwrap();
        let at = Timestamp::from_seconds(1_800_000_000);
        for number in 0..5000 {
            log.record_again(at, &refusal(format!("{:x}", number % 2500)));
            assert!(log.repeats().lock().len() <= MAX_REPEATS);
        }
        log.record_refusal(at, refusal("7".into()));
        log.flush();
        let text = std::fs::read_to_string(folder.path().join("decisions.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert_eq!(lines.filter_map(|line| line["times"].as_u64()).sum::<u64>(), 5000);
        assert_eq!(log.lost(), 0);
        let found = decisions(folder.path(), 10, |_| true).unwrap();
        assert_eq!(found.len(), 1, "a count is no decision");
        assert_eq!(found[0]["repeated"], 2);
    }
}
