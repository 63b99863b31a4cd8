//! What a receiver was told, and what it is therefore to be told now. The ledger is a file, which is replaced after each message.
//!
//! The file may get lost: the receiver is then told everything again. It never keeps anything from a receiver for ever: what still holds
//! is told again after a while, and a time in the future counts as long ago.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use countersign_ca::{Timestamp, write_atomically};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Wants;
use crate::finding::{Finding, Severity};

/// The version of the file.
const VERSION: u32 = 1;
/// The largest file, in bytes: each of some findings has at most 10,000 members, of 11 characters each.
const MAX_FILE: u64 = 8 << 20;
/// The most objects that one change names.
pub const MAX_NAMED: usize = 20;
/// The most changes in one message.
pub const MAX_CHANGES: usize = 50;

/// What a receiver was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    told: BTreeMap<Key, Told>,
    /// When the receiver last took a message.
    pub last_success: Option<Timestamp>,
}

/// What identifies a finding: its code and its subject.
type Key = (String, Option<String>);

/// A finding that the receiver was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    severity: Severity,
    message: String,
    /// When it was told last.
    at: Timestamp,
    /// Whether it holds no more. It is remembered for a while, so that what comes and goes is not told each time.
    is_over: bool,
    /// The objects that it was about, each as the beginning of a hash.
    members: BTreeSet<u64>,
}

/// Why a finding is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It was not told before.
    New,
    /// It is more severe, or about more objects.
    Worse,
    /// It still holds, a long time after it was told.
    Reminder,
    /// It holds no more.
    Over,
}

/// A finding that a receiver is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Why.
    pub kind: Kind,
    /// How bad it is, or was.
    pub severity: Severity,
    /// The finding's code.
    pub code: String,
    /// The finding's subject.
    pub subject: Option<String>,
    /// The finding, as a sentence.
    pub message: String,
    /// The names of its objects, those that are new first; at most [`MAX_NAMED`].
    pub members: Vec<String>,
    /// How many objects it has besides.
    pub members_left_out: usize,
}

/// What a receiver is to be told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The changes, the worst first; at most [`MAX_CHANGES`].
    pub changes: Vec<Change>,
    /// How many changes there are besides.
    pub left_out: usize,
    /// The ledger once the receiver has taken the message; at once, if there is no change.
    pub next: Ledger,
}

impl Ledger {
    /// What a receiver that wants this is to be told of these findings.
    pub fn plan(&self, findings: &[Finding], wants: &Wants, now: Timestamp) -> Plan {
        let mut next = self.clone();
        // What the receiver no longer wants ends without a word.
        next.told.retain(|(code, _), told| wants.includes(code, told.severity));
        let wanted: Vec<&Finding> =
            findings.iter().filter(|f| wants.includes(&f.code, f.severity)).collect();
        let mut changes = Vec::new();
        for finding in &wanted {
            let key = (finding.code.clone(), finding.subject.clone());
            let members: BTreeSet<u64> = finding.members.iter().map(|m| hash(&m.id)).collect();
            let old = next.told.get(&key);
            let fresh = |id: &str| old.is_none_or(|told| !told.members.contains(&hash(id)));
            let age = old.map(|told| age(told.at, now));
            let kind = match (old, age) {
                (Some(told), Some(age)) if told.is_over => {
                    (age >= wants.gather).then_some(Kind::New)
                }
                (Some(told), Some(age)) => {
                    if finding.severity > told.severity
                        || age >= wants.gather && members.iter().any(|m| !told.members.contains(m))
                    {
                        Some(Kind::Worse)
                    } else {
                        (age >= wants.remind).then_some(Kind::Reminder)
                    }
                }
                _ => Some(Kind::New),
            };
            match kind {
                Some(kind) => {
                    changes.push(change(kind, finding, fresh));
                    let (severity, message) = (finding.severity, finding.message.clone());
                    let told = Told { severity, message, at: now, is_over: false, members };
                    next.told.insert(key, told);
                }
                // A member that has gone may come again, and is then told.
                None => {
                    if let Some(told) = next.told.get_mut(&key) {
                        told.members.retain(|member| members.contains(member));
                    }
                }
            }
        }
        next.end(&wanted, wants, now, &mut changes);
        changes.sort_by(|a, b| {
            (a.kind == Kind::Over, b.severity, &a.code, &a.subject).cmp(&(
                b.kind == Kind::Over,
                a.severity,
                &b.code,
                &b.subject,
            ))
        });
        let left_out = changes.len().saturating_sub(MAX_CHANGES);
        changes.truncate(MAX_CHANGES);
        Plan { changes, left_out, next }
    }

    /// Marks what holds no more, and forgets it after a while.
    fn end(
        &mut self,
        wanted: &[&Finding],
        wants: &Wants,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        self.told.retain(|(code, subject), told| {
            if wanted.iter().any(|f| f.code == *code && f.subject == *subject) {
                return true;
            }
            if told.is_over {
                return age(told.at, now) < wants.gather;
            }
            told.is_over = true;
            told.members.clear();
            // A notice ends without a word, and what became another finding about the same, such as a CRL that was late and is over now.
            let follows = |f: &&Finding| family(&f.code) == family(code) && f.subject == *subject;
            if told.severity > Severity::Notice && !wanted.iter().any(follows) {
                told.at = now;
                changes.push(Change {
                    kind: Kind::Over,
                    severity: told.severity,
                    code: code.clone(),
                    subject: subject.clone(),
                    message: told.message.clone(),
                    members: Vec::new(),
                    members_left_out: 0,
                });
            }
            true
        });
    }

    /// Reads the file. One that is missing is an empty ledger; one that cannot be read, too, and the log says so.
    pub fn read(path: &PathBuf) -> Self {
        let text = match fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Self::default(),
            Ok(metadata) if metadata.len() > MAX_FILE => Err("it is too large".to_owned()),
            _ => fs::read_to_string(path).map_err(|e| e.to_string()),
        };
        let read = text.and_then(|text| {
            let file: LedgerFile = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            file.try_into()
        });
        read.unwrap_or_else(|why| {
            tracing::warn!("`{}`: {why}; the receiver is told everything again", path.display());
            Self::default()
        })
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &PathBuf) -> Result<(), String> {
        let text = serde_json::to_string(&LedgerFile::from(self)).map_err(|e| e.to_string())?;
        write_atomically(path, text.as_bytes()).map_err(|e| e.to_string())
    }
}

/// The time since a moment. A moment in the future is long ago: the clock was wrong then, or is now.
fn age(at: Timestamp, now: Timestamp) -> Duration {
    if at > now { Duration::MAX } else { now.since(at) }
}

/// The part of a code that findings about the same share, such as `crl` of `crl-stale`.
fn family(code: &str) -> &str {
    code.split('-').next().unwrap_or(code)
}

/// The first octets of a hash. Two objects of one finding do not share them by chance.
fn hash(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
}

fn change(kind: Kind, finding: &Finding, is_fresh: impl Fn(&str) -> bool) -> Change {
    let (fresh, known): (Vec<_>, Vec<_>) =
        finding.members.iter().partition(|member| is_fresh(&member.id));
    let names = fresh.into_iter().chain(known).take(MAX_NAMED).map(|member| member.name.clone());
    Change {
        kind,
        severity: finding.severity,
        code: finding.code.clone(),
        subject: finding.subject.clone(),
        message: finding.message.clone(),
        members: names.collect(),
        members_left_out: finding.members.len().saturating_sub(MAX_NAMED),
    }
}

/// The file. Moments are milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct LedgerFile {
    version: u32,
    last_success: Option<i64>,
    told: Vec<ToldLine>,
}

#[derive(Serialize, Deserialize)]
struct ToldLine {
    code: String,
    subject: Option<String>,
    severity: Severity,
    message: String,
    at: i64,
    over: bool,
    /// The members, 8 octets each, in base64.
    members: String,
}

impl From<&Ledger> for LedgerFile {
    fn from(ledger: &Ledger) -> Self {
        let told = ledger.told.iter().map(|((code, subject), told)| {
            let members: Vec<u8> = told.members.iter().flat_map(|m| m.to_be_bytes()).collect();
            ToldLine {
                code: code.clone(),
                subject: subject.clone(),
                severity: told.severity,
                message: told.message.clone(),
                at: told.at.millis(),
                over: told.is_over,
                members: BASE64.encode(&members),
            }
        });
        Self {
            version: VERSION,
            last_success: ledger.last_success.map(Timestamp::millis),
            told: told.collect(),
        }
    }
}

impl TryFrom<LedgerFile> for Ledger {
    type Error = String;

    fn try_from(file: LedgerFile) -> Result<Self, String> {
        if file.version != VERSION {
            return Err(format!("expected version {VERSION}, found {}", file.version));
        }
        let mut told = BTreeMap::new();
        for line in file.told {
            let octets = BASE64.decode(line.members.as_bytes()).map_err(|e| e.to_string())?;
            let (members, rest) = octets.as_chunks::<8>();
            if !rest.is_empty() {
                return Err("expected 8 octets for each object".into());
            }
            let entry = Told {
                severity: line.severity,
                message: line.message,
                at: Timestamp::from_millis(line.at),
                is_over: line.over,
                members: members.iter().map(|octets| u64::from_be_bytes(*octets)).collect(),
            };
            told.insert((line.code, line.subject), entry);
        }
        Ok(Self { told, last_success: file.last_success.map(Timestamp::from_millis) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Member;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(86_400);

    fn wants() -> Wants {
        Wants { severity: Severity::Notice, codes: BTreeSet::new(), remind: 7 * DAY, gather: HOUR }
    }

    fn finding(severity: Severity, code: &str, subject: &str, members: usize) -> Finding {
        let mut finding = Finding::new(severity, code, format!("{code} of {subject}"));
        let member = |n: usize| Member { id: format!("{code} {n}"), name: format!("gw{n}") };
        finding.about(subject).with_members((0..members).map(member).collect());
        finding
    }

    /// A receiver that takes every message.
    struct Told(Ledger, Wants);

    impl Told {
        /// The kinds and codes of what it is told, after the ledger has been through its file.
        #[track_caller]
        fn at(&mut self, at: Duration, findings: &[Finding]) -> Vec<(Kind, String)> {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sub/ops.json");
            let plan = self.0.plan(findings, &self.1, Timestamp::default().plus(at));
            plan.next.write(&path).unwrap();
            self.0 = Ledger::read(&path);
            assert_eq!(self.0, plan.next);
            plan.changes.into_iter().map(|change| (change.kind, change.code)).collect()
        }
    }

    #[test]
    fn the_new_the_worse_and_the_end_are_told_and_nothing_twice() {
        use Kind::{New, Over, Reminder, Worse};
        use Severity::{Error, Notice, Warning};
        let mut ops = Told(Ledger::default(), wants());
        let told = |kind, code: &str| vec![(kind, code.to_owned())];
        let nothing: Vec<(Kind, String)> = Vec::new();
        let late = [finding(Warning, "renewal-overdue", "", 2)];
        assert_eq!(ops.at(DAY, &late), told(New, "renewal-overdue"));
        assert_eq!(ops.at(2 * DAY, &late), nothing);
        // One more, which is told with the others that come within an hour.
        let more = [finding(Warning, "renewal-overdue", "", 3)];
        assert_eq!(ops.at(2 * DAY, &more), told(Worse, "renewal-overdue"));
        assert_eq!(
            ops.at(2 * DAY + HOUR / 2, &[finding(Warning, "renewal-overdue", "", 4)]),
            nothing
        );
        let five = [finding(Warning, "renewal-overdue", "", 5)];
        assert_eq!(ops.at(2 * DAY + HOUR, &five), told(Worse, "renewal-overdue"));
        // Fewer are no news; one that comes back is.
        assert_eq!(ops.at(3 * DAY, &late), nothing);
        assert_eq!(ops.at(3 * DAY, &more), told(Worse, "renewal-overdue"));
        // The same is told again after a week.
        assert_eq!(ops.at(10 * DAY - HOUR, &more), nothing);
        assert_eq!(ops.at(10 * DAY, &more), told(Reminder, "renewal-overdue"));
        assert_eq!(ops.at(11 * DAY, &[]), told(Over, "renewal-overdue"));
        assert_eq!(ops.at(12 * DAY, &[]), nothing);
        assert!(ops.0.told.is_empty());
        // A higher severity waits for nothing.
        let mild = [finding(Warning, "directory", "main", 0)];
        let bad = [finding(Error, "directory", "main", 0)];
        assert_eq!(ops.at(20 * DAY, &mild), told(New, "directory"));
        assert_eq!(ops.at(20 * DAY, &bad), told(Worse, "directory"));
        // The same of another subject is another finding.
        let two = [bad[0].clone(), finding(Error, "directory", "other", 0)];
        assert_eq!(ops.at(20 * DAY, &two), told(New, "directory"));
        assert_eq!(ops.at(20 * DAY, &[]).len(), 2);
        // A notice ends without a word.
        assert_eq!(
            ops.at(30 * DAY, &[finding(Notice, "request-new", "", 1)]),
            told(New, "request-new")
        );
        assert_eq!(ops.at(30 * DAY, &[]), nothing);
    }

    #[test]
    fn what_comes_and_goes_is_told_twice_an_hour_at_most() {
        let mut ops = Told(Ledger::default(), wants());
        let fault = [finding(Severity::Error, "directory", "main", 0)];
        let minute = Duration::from_secs(60);
        let mut count = 0;
        for round in 0..600_u32 {
            let now: &[Finding] = if round % 2 == 0 { &fault } else { &[] };
            count += ops.at(DAY + minute * round, now).len();
        }
        assert!((10..=21).contains(&count), "{count}");
    }

    #[test]
    fn a_finding_that_became_another_does_not_end() {
        let mut ops = Told(Ledger::default(), wants());
        ops.at(DAY, &[finding(Severity::Warning, "crl-ends", "root/full", 0)]);
        let after = ops.at(2 * DAY, &[finding(Severity::Error, "crl-over", "root/full", 0)]);
        assert_eq!(after, [(Kind::New, "crl-over".to_owned())]);
    }

    #[test]
    fn a_clock_that_was_wrong_silences_nothing() {
        let mut ops = Told(Ledger::default(), wants());
        let fault = [finding(Severity::Error, "clock", "", 0)];
        assert_eq!(ops.at(9000 * DAY, &fault).len(), 1);
        assert_eq!(ops.at(DAY, &fault).len(), 1);
        assert_eq!(ops.at(DAY, &fault).len(), 0);
    }

    #[test]
    fn many_are_one_change_and_many_changes_one_message() {
        let many = [finding(Severity::Warning, "renewal-overdue", "", 500)];
        let plan = Ledger::default().plan(&many, &wants(), Timestamp::default());
        let [change] = &plan.changes[..] else { panic!("{plan:?}") };
        assert_eq!((change.members.len(), change.members_left_out), (MAX_NAMED, 480));
        let partitions: Vec<Finding> = (0..1000)
            .map(|n| finding(Severity::Error, "crl-stale", &format!("issuing/{n}"), 0))
            .collect();
        let plan = Ledger::default().plan(&partitions, &wants(), Timestamp::default());
        assert_eq!((plan.changes.len(), plan.left_out), (MAX_CHANGES, 950));
        assert!(plan.next.plan(&partitions, &wants(), Timestamp::default()).changes.is_empty());
    }

    #[test]
    fn a_receiver_is_told_what_it_wants() {
        let mut wants = wants();
        wants.severity = Severity::Warning;
        wants.codes = ["directory".to_owned(), "request-new".to_owned()].into();
        let mut ops = Told(Ledger::default(), wants);
        let all = [
            finding(Severity::Error, "directory", "main", 0),
            finding(Severity::Error, "clock", "", 0),
            finding(Severity::Notice, "request-new", "", 1),
        ];
        assert_eq!(ops.at(DAY, &all), [(Kind::New, "directory".to_owned())]);
        // What it does not want any more has not ended.
        ops.1.codes = ["clock".to_owned()].into();
        assert_eq!(ops.at(DAY, &all), [(Kind::New, "clock".to_owned())]);
    }

    #[test]
    fn a_damaged_file_repeats_and_never_silences() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ops.json");
        for text in ["", "{", "{\"version\":2,\"told\":[]}", "{\"version\":1,\"told\":[{}]}"] {
            fs::write(&path, text).unwrap();
            assert_eq!(Ledger::read(&path), Ledger::default(), "{text}");
        }
        fs::write(&path, vec![b' '; usize::try_from(MAX_FILE).unwrap() + 1]).unwrap();
        assert_eq!(Ledger::read(&path), Ledger::default());
    }
}
