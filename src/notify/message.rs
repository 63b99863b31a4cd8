//! One message to a receiver: its changes as JSON for programs, and as text for people. Every text goes through [`legible`], because a
//! stranger's words can be part of a finding.

use countersign_ca::{Entropy, SystemEntropy, Timestamp};
use countersign_enroll::legible;
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::ledger::{Change, Kind, MAX_CHANGES};
use crate::finding::Severity;

/// The most characters of a subject line.
const MAX_SUBJECT: usize = 150;

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    /// The identifier, which stays the same when the message is sent again.
    pub id: String,
    body: Body,
}

/// The JSON of a message, after the form of Standard Webhooks.
#[derive(Debug, Clone, Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data,
}

#[derive(Debug, Clone, Serialize)]
struct Data {
    instance: String,
    changes: Vec<ChangeLine>,
    changes_left_out: usize,
    open: usize,
}

#[derive(Debug, Clone, Serialize)]
struct ChangeLine {
    change: Kind,
    severity: Severity,
    code: String,
    subject: Option<String>,
    message: String,
    members: Vec<String>,
    members_left_out: usize,
}

/// What a message says.
pub struct Content<'a> {
    /// The name of the instance.
    pub instance: &'a str,
    /// The changes, the worst first.
    pub changes: &'a [Change],
    /// How many changes there are besides.
    pub left_out: usize,
    /// How many findings there are now that the receiver is told of.
    pub open: usize,
}

impl Message {
    /// A message about changes.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn new(content: &Content<'_>, now: Timestamp) -> Result<Self, String> {
        Self::of_kind("countersign.findings", content, now)
    }

    /// A message that says only that the receiver is reached.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn test(instance: &str, now: Timestamp) -> Result<Self, String> {
        let content = Content { instance, changes: &[], left_out: 0, open: 0 };
        Self::of_kind("countersign.test", &content, now)
    }

    fn of_kind(kind: &'static str, content: &Content<'_>, now: Timestamp) -> Result<Self, String> {
        let mut random = [0; 16];
        SystemEntropy::default().fill(&mut random).map_err(|e| e.to_string())?;
        let lines = content.changes.iter().take(MAX_CHANGES).map(|change| ChangeLine {
            change: change.kind,
            severity: change.severity,
            code: change.code.clone(),
            subject: change.subject.as_deref().map(legible),
            message: legible(&change.message),
            members: change.members.iter().map(|name| legible(name)).collect(),
            members_left_out: change.members_left_out,
        });
        let data = Data {
            instance: legible(content.instance),
            changes: lines.collect(),
            changes_left_out: content.left_out,
            open: content.open,
        };
        let timestamp = now.whole_seconds().to_string();
        Ok(Self {
            id: format!("msg_{}", HEXLOWER.encode(&random)),
            body: Body { kind, timestamp, data },
        })
    }

    /// The body for programs.
    ///
    /// # Errors
    /// It cannot be represented in JSON, which is a fault of this program.
    pub fn json(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(&self.body).map_err(|e| e.to_string())
    }

    /// The subject line of a mail: the first change, and how many there are besides.
    pub fn subject(&self) -> String {
        let data = &self.body.data;
        let Some(first) = data.changes.first() else {
            return format!("[countersign {}] test", data.instance);
        };
        let others = data.changes.len().saturating_sub(1).saturating_add(data.changes_left_out);
        let besides = if others > 0 { format!(" (and {others} more)") } else { String::new() };
        let text = format!("[countersign {}] {}", data.instance, headline(first));
        match text.char_indices().nth(MAX_SUBJECT) {
            Some((end, _)) => format!("{}…{besides}", text.get(..end).unwrap_or_default()),
            None => format!("{text}{besides}"),
        }
    }

    /// The body for people.
    pub fn text(&self) -> String {
        let data = &self.body.data;
        if data.changes.is_empty() {
            return format!(
                "This is a test of notifications from the Countersign instance {}.\n",
                data.instance
            );
        }
        let mut text = String::new();
        for line in &data.changes {
            text += &format!("{}\n", headline(line));
            for member in &line.members {
                text += &format!("  - {member}\n");
            }
            if line.members_left_out > 0 {
                text += &format!("  and {} more\n", line.members_left_out);
            }
            text.push('\n');
        }
        if data.changes_left_out > 0 {
            text += &format!("{} more changes are not listed.\n", data.changes_left_out);
        }
        text += &format!(
            "{} findings in all: `countersign status` shows them.\nInstance {}, {}\n",
            data.open, data.instance, self.body.timestamp
        );
        text
    }
}

/// A change in one line, such as `error: the CA …`.
fn headline(line: &ChangeLine) -> String {
    let severity = line.severity.name();
    match line.change {
        Kind::New => format!("{severity}: {}", line.message),
        Kind::Worse => format!("{severity} (worse): {}", line.message),
        Kind::Reminder => format!("{severity} (still): {}", line.message),
        Kind::Over => format!("over: {}", line.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_words_stay_on_one_line() {
        let change = Change {
            kind: Kind::New,
            severity: Severity::Error,
            code: "directory".into(),
            subject: Some("a\r\nBcc: x@example.net".into()),
            message: format!("it says: x\r\nBcc: y@example.net\u{202e}\0{}", "z".repeat(2000)),
            members: vec!["m\nSubject: w".into()],
            members_left_out: 3,
        };
        let content = Content { instance: "pki", changes: &[change], left_out: 7, open: 9 };
        let message = Message::new(&content, Timestamp::default()).unwrap();
        let subject = message.subject();
        assert!(!subject.contains(['\r', '\n', '\0', '\u{202e}']), "{subject:?}");
        assert!(subject.chars().count() < 200 && subject.ends_with("(and 7 more)"), "{subject}");
        let text = message.text();
        assert!(
            !text.contains("\nBcc") && !text.contains("\nSubject") && !text.contains('\r'),
            "{text}"
        );
        for words in ["and 3 more", "7 more changes", "9 findings in all", "Instance pki, 1970-"] {
            assert!(text.contains(words), "{text}");
        }
        let json: serde_json::Value = serde_json::from_slice(&message.json().unwrap()).unwrap();
        assert_eq!(json["type"], "countersign.findings");
        assert_eq!(json["data"]["changes"][0]["change"], "new");
        assert!(message.json().unwrap().len() < 4096);
    }
}
