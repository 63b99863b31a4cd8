//! Where text came from, and how a finding in it is shown: file, line, column, the line with a caret, a hint.

use std::fmt::Write as _;
use std::sync::Arc;

/// A file, or a text that came in a question, with the name to show for it. The bytes are as they were received: a
/// signature covers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<[u8]>,
}

/// The longest part of a source line that a finding shows, in bytes.
const SHOWN: usize = 120;

impl Source {
    /// A named text.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The name to show, such as the file's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of the text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The bytes of a span; nothing for a span of another source.
    pub fn slice(&self, span: Span) -> &[u8] {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Position { line, column: columns(before.get(start..).unwrap_or_default()) + 1 }
    }

    /// A finding as a person reads it, ending with a newline:
    ///
    /// ```text
    /// error: expected `;`, found `}`
    ///   --> gateway.policy:4:17
    ///    |
    ///  4 | Conditions: true -> { };
    ///    |                 ^
    ///    = hint: every clause ends with `;`
    /// ```
    pub fn render(&self, finding: &Finding) -> String {
        let Position { line, column } = self.position(finding.span.start());
        let (shown, offset) = self.shown_line(finding.span.start());
        let width = columns(
            self.slice(finding.span).split(|byte| *byte == b'\n').next().unwrap_or_default(),
        )
        .clamp(1, columns(shown).saturating_sub(offset).max(1));
        let gutter = line.to_string().len().max(2);
        let mut out = format!("{}: {}", finding.severity.name(), finding.message);
        if !finding.code.is_empty() {
            let _ = write!(out, " [{}]", finding.code);
        }
        let _ = write!(
            out,
            "\n{:gutter$}--> {}:{line}:{column}\n{:gutter$} |\n{line:gutter$} | {}\n{:gutter$} | {}{}\n",
            " ",
            self.name,
            " ",
            printable(shown),
            " ",
            " ".repeat(offset),
            "^".repeat(width),
        );
        if let Some(hint) = &finding.hint {
            let _ = writeln!(out, "{:gutter$} = hint: {hint}", " ");
        }
        out
    }

    /// At most [`SHOWN`] bytes of the line around an offset, and the column of the offset in them.
    fn shown_line(&self, offset: usize) -> (&[u8], usize) {
        let offset = offset.min(self.text.len());
        let (before, after) = self.text.split_at_checked(offset).unwrap_or((&self.text, &[]));
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let length = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
        let start = start.max(offset.saturating_sub(SHOWN / 2));
        let end = (offset + length).min(start + SHOWN);
        let shown = self.text.get(start..end).unwrap_or_default();
        (shown, columns(self.text.get(start..offset).unwrap_or_default()))
    }
}

/// A part of a [`Source`], in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// From `start` up to, and without, `end`.
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end.max(start)) }
    }

    /// Where it begins.
    pub const fn start(self) -> usize {
        self.start as usize
    }

    /// Where it ends.
    pub const fn end(self) -> usize {
        self.end as usize
    }

    /// As a range of bytes.
    pub const fn range(self) -> std::ops::Range<usize> {
        self.start()..self.end()
    }

    /// From the beginning of this to the end of `other`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end.max(self.start) }
    }
}

/// A place in a text, as editors count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Warning,
    /// The text cannot be used as it stands.
    Error,
}

impl Severity {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the text can be used.
    pub severity: Severity,
    /// The rule, such as `undefined-attribute`; empty for syntax.
    pub code: &'static str,
    /// Where.
    pub span: Span,
    /// What was expected and what was found.
    pub message: String,
    /// What the author can do.
    pub hint: Option<String>,
}

impl Finding {
    /// An error of syntax.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code: "", span, message: message.into(), hint: None }
    }

    /// A warning under a rule.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, span, message: message.into(), hint: None }
    }

    /// With what the author can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Bytes as a terminal may show them, one character a byte outside ASCII.
pub fn printable(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(bytes);
    shown
        .chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}') => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

fn columns(bytes: &[u8]) -> usize {
    String::from_utf8_lossy(bytes).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_points_at_its_place() {
        let source = Source::new("a.policy", *b"Authorizer: \"POLICY\"\nConditions: 1 < 2.0;\n");
        let finding = Finding::error(Span::new(33, 40), "an integer and a float").hint("use one");
        assert_eq!(
            source.render(&finding),
            "error: an integer and a float\n  --> a.policy:2:13\n   |\n 2 | Conditions: 1 < 2.0;\n   |             \
             ^^^^^^^\n   = hint: use one\n"
        );
    }

    #[test]
    fn a_long_or_hostile_line_is_cut_and_cleaned() {
        let mut text = vec![b'x'; 10_000_000];
        text.extend_from_slice(b"\x1b[2J\xff\n");
        let source = Source::new("a", text);
        let shown = source.render(&Finding::error(Span::new(9_999_999, 10_000_005), "m"));
        assert!(shown.len() < 400 && !shown.contains('\x1b'), "{shown:?}");
        assert!(shown.contains("a:1:10000000"), "{shown}");
    }

    #[test]
    fn a_place_behind_the_end_is_the_end() {
        let source = Source::new("a", *b"ab\n");
        assert_eq!(source.position(99), Position { line: 2, column: 1 });
        assert!(source.render(&Finding::error(Span::new(99, 120), "m")).contains("a:2:1"));
    }
}
