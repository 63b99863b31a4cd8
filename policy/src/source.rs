//! A text with its name, and findings in it: each finding is shown with file, line, column, the source line with carets below the place,
//! and its hint if there is one.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// A file, or a text that came with a question, and the name to show for it. The bytes are kept exactly as received, because
/// signatures cover them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<[u8]>,
}

/// The longest part of a source line that a finding shows, in bytes.
const SHOWN: usize = 120;
/// How far before the part to be shown the search for secrets begins, in bytes. A secret that begins earlier is not found.
const BEFORE: usize = 64 << 10;
/// The beginning, in any case, of principals that are pre-shared keys or their hashes: `passphrase:`, `passphrase-md5-hex:`,
/// `passphrase-sha1-hex:`.
const SECRET: &[u8] = b"passphrase";

impl Source {
    /// Makes a source from a text and the name to show for it.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The name to show, such as the file's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The bytes of a span of this text; empty if the span ends after the end of the text.
    pub fn slice(&self, span: Span) -> &[u8] {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Line and column of a byte offset. An offset after the end counts as the end.
    pub fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Position { line, column: columns(before.get(start..).unwrap_or_default()) + 1 }
    }

    /// A finding as text for a person, ending with a newline. Pre-shared keys and their hashes in the line are replaced by `…`:
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
        let line_shown = self.shown_line(finding.span.start());
        let offset =
            columns(self.without_secrets(line_shown.start..finding.span.start()).as_bytes());
        let shown = self.without_secrets(line_shown.clone());
        let pointed = self.slice(finding.span).split(|byte| *byte == b'\n').next();
        let end = finding.span.start().saturating_add(pointed.unwrap_or_default().len());
        let width = columns(self.without_secrets(finding.span.start()..end).as_bytes())
            .clamp(1, columns(shown.as_bytes()).saturating_sub(offset).max(1));
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
            shown,
            " ",
            " ".repeat(offset),
            "^".repeat(width),
        );
        if let Some(hint) = &finding.hint {
            let _ = writeln!(out, "{:gutter$} = hint: {hint}", " ");
        }
        out
    }

    /// The range of the bytes to show of the line that has this offset: at most [`SHOWN`], and at most half as many before the offset.
    fn shown_line(&self, offset: usize) -> Range<usize> {
        let offset = offset.min(self.text.len());
        let (before, after) = self.text.split_at_checked(offset).unwrap_or((&self.text, &[]));
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let length = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
        let start = start.max(offset.saturating_sub(SHOWN / 2));
        start..(offset + length).min(start + SHOWN)
    }

    /// A part of the text, printable, with `…` in place of each secret.
    fn without_secrets(&self, part: Range<usize>) -> String {
        let from = part.start.saturating_sub(BEFORE);
        let part = part.start..part.end.min(self.text.len());
        let mut out = Vec::new();
        let mut at = part.start;
        for secret in secrets(self.text.get(from..part.end).unwrap_or_default()) {
            let secret = (secret.start + from)..(secret.end + from);
            if secret.end <= at || secret.is_empty() {
                continue;
            }
            out.extend_from_slice(self.text.get(at..secret.start.max(at)).unwrap_or_default());
            out.extend_from_slice("…".as_bytes());
            at = secret.end;
        }
        out.extend_from_slice(self.text.get(at..part.end).unwrap_or_default());
        printable(&out)
    }
}

/// The ranges of pre-shared keys and their hashes in a text: from after the colon of a prefix ([`SECRET`]) to the closing quote or the
/// end of the line. A quote or newline after a backslash does not end them.
fn secrets(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    let next = |at: usize| {
        let rest = text.get(at..)?;
        let here = rest.windows(SECRET.len()).position(|of| of.eq_ignore_ascii_case(SECRET))?;
        Some(at + here + SECRET.len())
    };
    while let Some(behind) = next(at) {
        let rest = text.get(behind..).unwrap_or_default();
        let kind = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-');
        let kind = kind.count();
        at = behind + kind;
        if rest.get(kind) != Some(&b':') {
            continue;
        }
        let start = at + 1;
        let mut escaped = false;
        let ends = |byte: &u8| {
            let ends = !escaped && matches!(byte, b'"' | b'\n');
            escaped = !escaped && *byte == b'\\';
            ends
        };
        let rest = text.get(start..).unwrap_or_default();
        at = start + rest.iter().position(ends).unwrap_or(rest.len());
        found.push(start..at);
    }
    found
}

/// A text that may be the name of a principal, as a message may show it: at most its first `most` bytes, and without a pre-shared key.
pub(crate) fn discreet(text: &[u8], most: usize) -> String {
    let secret = secrets(text).first().map(|secret| secret.start);
    let shown = text.get(..secret.unwrap_or(text.len()).min(most)).unwrap_or(text);
    let rest = if secret.is_some_and(|start| start <= most) { "…" } else { "" };
    format!("{}{rest}", printable(shown))
}

/// A part of a [`Source`], as byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes from `start` up to but not including `end`; none if `end` is below `start`.
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end.max(start)) }
    }

    /// The offset of the first byte.
    pub const fn start(self) -> usize {
        self.start as usize
    }

    /// The offset after the last byte.
    pub const fn end(self) -> usize {
        self.end as usize
    }

    /// The span as a range of bytes.
    pub const fn range(self) -> Range<usize> {
        self.start()..self.end()
    }

    /// The span from the beginning of this one to the end of `other`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end.max(self.start) }
    }
}

/// A position in a text, as editors count: line and column from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, in characters, counted from 1.
    pub column: usize,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The text can be used, but may not mean what its author wanted.
    Warning,
    /// The text cannot be used, or has less effect than it seems to have.
    Error,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// An error in a text, or a warning about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The severity of the finding.
    pub severity: Severity,
    /// The rule, such as `undefined-attribute`; empty for an error that no rule of the linter found, such as a syntax error.
    pub code: &'static str,
    /// The part of the text that the finding is about.
    pub span: Span,
    /// The message: for a syntax error, what was expected and what was found.
    pub message: String,
    /// A hint for the author, if there is one.
    pub hint: Option<String>,
}

impl Finding {
    /// An error without a rule, such as a syntax error.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code: "", span, message: message.into(), hint: None }
    }

    /// A warning under a rule.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, span, message: message.into(), hint: None }
    }

    /// The same finding with a hint for the author.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Bytes, read as UTF-8, as they may be shown on a terminal. A tab becomes a space. Octets that are not UTF-8, control characters, and
/// invisible or direction-changing characters become U+FFFD.
pub fn printable(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(bytes);
    shown
        .chars()
        .map(|c| match c {
            '\t' => ' ',
            c if is_misleading(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Control characters, line and paragraph separators, the frames of interlinear annotations, and all characters that Unicode calls
/// Default_Ignorable_Code_Point, which have no glyph.
fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
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
    fn a_pre_shared_key_is_not_shown() {
        let shown = |text: &str, at: usize| {
            let source = Source::new("a", text.as_bytes());
            source.render(&Finding::error(Span::new(at, at + 3), "m"))
        };
        let line = "Licensees: \"passphrase:open sesame\" &&& \"b\"\n";
        let found = shown(line, line.find("&&&").unwrap());
        assert!(found.contains(" | Licensees: \"passphrase:…\" &&& \"b\"\n"), "{found}");
        assert!(found.contains(&format!("\n   | {}^^^\n", " ".repeat(26))), "{found}");
        let hash = shown("Licensees: \"passphrase-md5-hex:3858f6\" &&&\n", 0);
        assert!(!hash.contains("3858f6"), "{hash}");
        for text in [
            // Secrets that are longer than the shown part, hold quotes, span several lines, have no end, or surround the finding.
            format!("Licensees: \"passphrase:{}sesame\" &&&\n", "x".repeat(500)),
            "Licensees: \"passphrase:open\\\"sesame\" &&&\n".into(),
            "Licensees: \"passphrase:open\\\nsesame\" &&&\n".into(),
            "Licensees: \"passphrase:open sesame\n".into(),
            "S = \"PassPhrase:open sesame\"\n".into(),
        ] {
            for at in 0..text.len() {
                assert!(!shown(&text, at).contains("same"), "{at}: {}", shown(&text, at));
            }
        }
        assert_eq!(discreet(b"passphrase:a\"b", 40), "passphrase:…");
        assert_eq!(discreet(b"DN:/CN=passphrases", 6), "DN:/CN");
    }

    #[test]
    fn a_place_behind_the_end_is_the_end() {
        let source = Source::new("a", *b"ab\n");
        assert_eq!(source.position(99), Position { line: 2, column: 1 });
        assert!(source.render(&Finding::error(Span::new(99, 120), "m")).contains("a:2:1"));
    }
}
