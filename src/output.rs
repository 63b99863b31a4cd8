//! The output of commands: results as text or JSON on standard output, progress and warnings on standard error.

use std::io::{IsTerminal, Write};

use countersign_ca::name::escape_misleading;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The format of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text for people: a list as a table, an object line by line.
    #[default]
    Text,
    /// JSON for programs, indented.
    Json,
    /// CSV (RFC 4180) with a head line, for the commands that list something.
    Csv,
}

/// Prints a result: a list as a table, an object line by line.
pub fn print(format: Format, value: &Value) {
    // The result may contain a secret, and is wiped.
    line(&Zeroizing::new(rendered(format, value)));
}

/// Prints text and a newline, without blanks at its end. It is no error if the reader of the output has gone.
pub fn line(text: &str) {
    let _ = deliver(text);
}

/// As [`print`], for a result that must not get lost.
///
/// # Errors
/// Standard output does not take all of it.
pub fn hand_out(format: Format, value: &Value) -> std::io::Result<()> {
    deliver(&Zeroizing::new(rendered(format, value)))
}

/// As [`line`], for text that must not get lost.
///
/// # Errors
/// Standard output does not take all of it.
pub fn deliver(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush())
}

fn rendered(format: Format, value: &Value) -> String {
    match format {
        Format::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
        Format::Text => text(value),
        Format::Csv => csv_text(value).unwrap_or_else(|| text(value)),
    }
}

/// Prints a warning about a probable mistake on standard error. The result on standard output stays as it is.
pub fn warning(text: &str) {
    eprintln!("countersign: warning: {}", safe(text));
}

/// A string as a terminal may show it: control, bidirectional and invisible characters are escaped, except newlines.
pub fn safe(text: &str) -> String {
    text.split('\n').map(escape_misleading).collect::<Vec<_>>().join("\n")
}

fn text(value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.is_empty() => "none".into(),
        Value::Array(rows) if rows.iter().all(Value::is_object) => table(rows),
        Value::Array(rows) => rows.iter().map(|row| format!("{}\n", cell(row))).collect(),
        Value::Object(fields) => lines(fields, ""),
        other => cell(other),
    }
}

/// An object line by line, each behind `indent`. An object in it has lines of its own, further in: a secret in one of many words on a line
/// would not be found.
fn lines(fields: &Map<String, Value>, indent: &str) -> String {
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let line = |(key, value): (&String, &Value)| match value {
        Value::Object(inner) if !inner.is_empty() => {
            format!("{indent}{key}\n{}", lines(inner, &format!("{indent}  ")))
        }
        value => format!("{indent}{key:width$}  {}\n", cell(value)),
    };
    fields.iter().map(line).collect()
}

/// A list as CSV; `None` for what is no list of objects.
fn csv_text(value: &Value) -> Option<String> {
    let rows = value.as_array()?;
    let Some(first) = rows.first() else { return Some(String::new()) };
    let heads: Vec<&String> = first.as_object()?.keys().collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&heads).ok()?;
    for row in rows {
        let field = |head: &&String| match row.get(*head) {
            None => String::new(),
            Some(value) if is_nothing(value) => String::new(),
            Some(value) => cell(value),
        };
        writer.write_record(heads.iter().map(field)).ok()?;
    }
    String::from_utf8(writer.into_inner().ok()?).ok()
}

/// Whether a value says that there is nothing.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn cell(value: &Value) -> String {
    match value {
        value if is_nothing(value) => "-".into(),
        Value::String(text) => safe(text),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !is_nothing(value))
            .map(|(key, value)| format!("{key}={}", cell(value)))
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

fn table(rows: &[Value]) -> String {
    let Some(heads) =
        rows.first().and_then(Value::as_object).map(|row| row.keys().cloned().collect::<Vec<_>>())
    else {
        return String::new();
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            heads.iter().map(|head| row.get(head).map_or_else(|| "-".into(), cell)).collect()
        })
        .collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let widest = cells
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max();
            widest.unwrap_or(0).max(head.len())
        })
        .collect();
    let render = |row: &[String]| {
        let padded: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}", width = *width))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let upper: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
    std::iter::once(render(&upper)).chain(cells.iter().map(|row| render(row))).collect()
}

/// A progress bar on standard error, only on a terminal.
pub struct Bar {
    title: &'static str,
    bar: Option<ProgressBar>,
}

impl Bar {
    /// A bar, which appears with the first progress.
    pub const fn new(title: &'static str) -> Self {
        Self { title, bar: None }
    }

    /// Shows the number of steps that are done, and of all steps.
    pub fn show(&mut self, done: u64, total: u64) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
                bar.set_style(style);
            }
            bar.set_message(self.title);
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
    }

    /// Removes the bar.
    pub fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_csv_that_a_csv_reader_reads() {
        let list = serde_json::json!([
            {"subject": "CN=a,O=\"b\"\u{1b}", "ids": ["ip:192.0.2.1", "fqdn:a"], "ca": null},
            {"subject": "CN=c", "ids": [], "ca": "x"}
        ]);
        let written = csv_text(&list).unwrap();
        let mut reader = csv::Reader::from_reader(written.as_bytes());
        // Fields of JSON objects are in alphabetical order here, unless `serde_json` preserves theirs.
        let column = |name: &str, reader: &mut csv::Reader<&[u8]>| {
            reader.headers().unwrap().iter().position(|head| head == name).unwrap()
        };
        let (subject, ids, ca) =
            (column("subject", &mut reader), column("ids", &mut reader), column("ca", &mut reader));
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(&rows[0][subject], "CN=a,O=\"b\"\\u{1b}");
        assert_eq!((&rows[0][ids], &rows[0][ca]), ("ip:192.0.2.1 fqdn:a", ""));
        assert_eq!((&rows[1][ids], &rows[1][ca]), ("", "x"));
        assert_eq!(csv_text(&serde_json::json!({"a": 1})), None);
    }

    #[test]
    fn each_field_of_an_object_in_an_object_has_its_line_and_nothing_is_a_dash() {
        let answer = serde_json::json!({"account": {"secret": "abc", "uses": 1}, "changes": []});
        assert_eq!(text(&answer), "account\n  secret  abc\n  uses    1\nchanges  -\n");
        let list =
            serde_json::json!([{"grants": [{"role": "revoker", "cas": [], "accounts": ["b-*"]}]}]);
        let shown = text(&list);
        assert!(shown.contains("role=revoker") && shown.contains("accounts=b-*"), "{shown}");
        assert!(!shown.contains("cas="), "{shown}");
    }

    #[test]
    fn hostile_text_cannot_steer_a_terminal() {
        let shown = text(&serde_json::json!([{"subject": "CN=\u{1b}[2J\u{202e}x", "n": 1}]));
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
        assert!(shown.starts_with("SUBJECT"), "{shown:?}");
    }
}
