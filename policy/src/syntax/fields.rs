//! Divides a text into assertions, and an assertion into its fields (RFC 2704 §4.1).

use crate::source::{Finding, Span};
use crate::syntax::tree::Field;

/// The number of errors at which the reading of a text ends. The reading of an assertion also ends at this number of fields.
pub(super) const MAX_FINDINGS: usize = 100;

/// A field of an assertion, as a part of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawField {
    /// The kind of field.
    pub field: Field,
    /// The label of the field, with the colon.
    pub label: Span,
    /// The content of the field: from after the colon to the next field, or to the end of the assertion.
    pub content: Span,
}

/// The parts of a text between empty lines, without the parts that hold only comments. A line of white space is not empty.
pub fn split(text: &[u8]) -> Vec<Span> {
    let mut parts = Vec::new();
    let mut start = None;
    for (line, content) in lines(text, Span::new(0, text.len())) {
        match (content.is_empty(), start) {
            (true, Some(begin)) => {
                parts.push(Span::new(begin, line.start()));
                start = None;
            }
            (false, None) => start = Some(line.start()),
            _ => {}
        }
    }
    if let Some(begin) = start {
        parts.push(Span::new(begin, text.len()));
    }
    parts.retain(|part| !lines(text, *part).all(|(_, content)| is_comment(content)));
    parts
}

/// The fields of one assertion, in the order of the text; empty lines may precede and follow them.
///
/// # Errors
/// All errors of the layout: unknown labels, white space before the first label, wrong order, repetition, a missing authorizer, empty
/// lines, CR, NUL.
pub fn fields(text: &[u8], part: Span) -> Result<Vec<RawField>, Vec<Finding>> {
    let mut found: Vec<RawField> = Vec::new();
    let mut findings = Vec::new();
    let mut blank: Option<Span> = None;
    for (line, content) in lines(text, part) {
        if findings.len().max(found.len()) >= MAX_FINDINGS {
            break;
        }
        if content.is_empty() {
            blank = blank.or((!found.is_empty()).then_some(line));
            continue;
        }
        if signed(&found) {
            break;
        }
        if let Some(blank) = blank.take() {
            findings.push(
                Finding::error(
                    blank,
                    "expected a field or its continuation, found a blank line inside an assertion",
                )
                .hint("remove the blank line; in a file, blank lines separate assertions"),
            );
        }
        match content.first() {
            Some(b'#') => {}
            Some(b' ' | b'\t') if found.is_empty() && !is_comment(content) => {
                findings.push(
                    Finding::error(
                        line,
                        "expected a field label at the beginning of the line, found white space",
                    )
                    .hint("a line that begins with a space or a tab continues the field above it"),
                );
            }
            Some(b' ' | b'\t') => {}
            _ => match label(content) {
                Ok((field, length)) => {
                    close(&mut found, line.start());
                    let label = Span::new(line.start(), line.start() + length);
                    found.push(RawField {
                        field,
                        label,
                        content: Span::new(label.end(), part.end()),
                    });
                }
                Err((message, hint)) => findings.push(Finding::error(line, message).hint(hint)),
            },
        }
    }
    findings.extend(forbidden_bytes(text, part, &found));
    findings.extend(order(&found, part));
    if findings.is_empty() { Ok(found) } else { Err(findings) }
}

/// The lines of a part of a text, each with its span, both without the newline.
fn lines(text: &[u8], part: Span) -> impl Iterator<Item = (Span, &[u8])> {
    let mut at = part.start();
    let within = text.get(part.range()).unwrap_or_default();
    let count = within.split(|byte| *byte == b'\n').count();
    within
        .split(|byte| *byte == b'\n')
        .enumerate()
        // The empty rest behind the last newline is not a line.
        .filter(move |(index, content)| index + 1 < count || !content.is_empty())
        .map(move |(_, content)| {
            let line = Span::new(at, at + content.len());
            at += content.len() + 1;
            (line, content)
        })
}

/// Whether a line holds at most white space and a comment.
fn is_comment(line: &[u8]) -> bool {
    let mut rest = line.iter().skip_while(|byte| matches!(byte, b' ' | b'\t'));
    matches!(rest.next(), None | Some(b'#'))
}

fn signed(found: &[RawField]) -> bool {
    found.last().is_some_and(|field| field.field == Field::Signature)
}

/// Ends the last field where the next begins.
fn close(found: &mut [RawField], end: usize) {
    if let Some(last) = found.last_mut() {
        last.content = Span::new(last.content.start(), end);
    }
}

/// The field that a line begins, and the length of its label with the colon, in bytes; or else the message and the hint of an error.
fn label(line: &[u8]) -> Result<(Field, usize), (String, String)> {
    let known = Field::ALL.into_iter().find(|field| {
        let name = field.label().as_bytes();
        line.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
            && line.get(name.len()) == Some(&b':')
    });
    if let Some(field) = known {
        return Ok((field, field.label().len() + 1));
    }
    let word: Vec<u8> = line
        .iter()
        .take(32)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
        .copied()
        .collect();
    let shown = String::from_utf8_lossy(&word).into_owned();
    let nearest = Field::ALL
        .into_iter()
        .map(|field| {
            (
                strsim::damerau_levenshtein(&field.label().to_lowercase(), &shown.to_lowercase()),
                field,
            )
        })
        .filter(|(distance, field)| *distance <= 3 || is_prefix(&shown, *field))
        .min_by_key(|(distance, _)| *distance);
    let message = if shown.is_empty() {
        "expected a field label, found something else at the beginning of the line".to_owned()
    } else {
        format!("expected a field label, found `{shown}`")
    };
    let hint = nearest.map_or_else(
        || {
            let names: Vec<String> = Field::ALL.iter().map(|field| format!("`{field}:`")).collect();
            format!(
                "the fields are {}; a continued line begins with a space or a tab",
                names.join(", ")
            )
        },
        |(_, field)| {
            format!(
                "did you mean `{field}:`? labels are written in full, with the colon right behind"
            )
        },
    );
    Err((message, hint))
}

fn is_prefix(word: &str, field: Field) -> bool {
    !word.is_empty() && field.label().to_lowercase().starts_with(&word.to_lowercase())
}

/// Reports the first NUL or CR before the content of the signature field. The lexer reports those inside the signature; after it they are
/// allowed.
fn forbidden_bytes(text: &[u8], part: Span, found: &[RawField]) -> Option<Finding> {
    let end = found
        .iter()
        .find(|field| field.field == Field::Signature)
        .map_or(part.end(), |field| field.label.end());
    let offset = text.get(part.start()..end)?.iter().position(|byte| matches!(byte, 0 | b'\r'))?;
    let at = part.start() + offset;
    let span = Span::new(at, at + 1);
    Some(if text.get(at) == Some(&0) {
        Finding::error(span, "expected text, found a NUL byte")
    } else {
        Finding::error(span, "expected a newline, found CR (0x0d)").hint(
            "write the file with Unix line ends; a signed credential that has lost them is lost",
        )
    })
}

/// Checks which fields there are, how often each appears, and their order.
fn order(found: &[RawField], part: Span) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (position, field) in found.iter().enumerate() {
        let earlier = found.iter().take(position);
        if earlier.clone().any(|other| other.field == field.field) {
            findings.push(Finding::error(
                field.label,
                format!("field `{}` stands here a second time", field.field),
            ));
        } else if field.field == Field::Version && position > 0 {
            findings.push(
                Finding::error(field.label, "expected `KeyNote-Version` before every other field")
                    .hint("move it to the first line"),
            );
        }
    }
    if !found.iter().any(|field| field.field == Field::Authorizer) {
        let at = Span::new(part.start(), part.start() + 1);
        findings.push(
            Finding::error(at, "expected an `Authorizer` field, found none in this assertion")
                .hint("every assertion names who makes it; a blank line ends an assertion"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Result<Vec<(Field, &str)>, Vec<String>> {
        fields(text.as_bytes(), Span::new(0, text.len()))
            .map(|found| {
                found
                    .iter()
                    .map(|field| (field.field, text.get(field.content.range()).unwrap()))
                    .collect()
            })
            .map_err(|findings| findings.into_iter().map(|finding| finding.message).collect())
    }

    #[test]
    fn a_field_goes_on_until_the_next_label() {
        assert_eq!(
            layout(
                "\n# c\nKEYNOTE-version:2\n# d\nauthorizer:\n \"POLICY\"\nComment:a\n b\n# hash\n c\n\n"
            ),
            Ok(vec![
                (Field::Version, "2\n# d\n"),
                (Field::Authorizer, "\n \"POLICY\"\n"),
                (Field::Comment, "a\n b\n# hash\n c\n\n"),
            ])
        );
        assert_eq!(
            layout("Authorizer: x\nSignature: \"y\"\n\nanything\r\n").map(|found| found.len()),
            Ok(2),
            "what follows a signature is not part of the assertion"
        );
    }

    #[test]
    fn layouts_that_the_reference_takes_and_the_rfc_does_not() {
        for (text, message) in [
            ("Authorizer: x\n\nLicensees: y\n", "a blank line inside"),
            ("Authorizer: x\r\nLicensees: y\r\n", "found CR"),
            ("Authorizer: x\0\n", "NUL"),
            ("A: x\n", "found `A`"),
            ("Authorizer : x\n", "found `Authorizer`"),
            ("Authorizer: x\nLicensees: a\nLicensees: a\n", "a second time"),
            ("Authorizer: x\nKeyNote-Version: 2\n", "before every other"),
            ("Licensees: x\n", "expected an `Authorizer`"),
            ("  Authorizer: x\n", "found white space"),
            ("", "expected an `Authorizer`"),
        ] {
            let messages = layout(text).unwrap_err();
            assert!(messages.iter().any(|found| found.contains(message)), "{text:?}: {messages:?}");
        }
    }

    #[test]
    fn a_file_is_split_at_empty_lines_only() {
        let text = "# head\n\n\nAuthorizer: a\n \nLicensees: b\n\n# between\n\nAuthorizer: c";
        let parts: Vec<&str> =
            split(text.as_bytes()).iter().map(|part| text.get(part.range()).unwrap()).collect();
        assert_eq!(parts, ["Authorizer: a\n \nLicensees: b\n", "Authorizer: c"]);
    }
}
