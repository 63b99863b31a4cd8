//! Formats assertions in the canonical layout. Only white space changes; all tokens and comments stay, so that the meaning
//! stays the same. Signed assertions are not changed, because the signature covers their white space.
//!
//! Each field begins a line; clauses, local constants and long licensees lists get lines of their own; one blank line
//! separates assertions.

use crate::source::{Finding, Source, Span};
use crate::syntax::assertion::Assertion;
use crate::syntax::fields::RawField;
use crate::syntax::lexer::{Lexeme, Lexer, Token};
use crate::syntax::{Field, split};

/// The width above which a line is broken, where that is possible, in bytes.
const WIDTH: usize = 80;
/// The spaces by which a line is indented more than the line it belongs to.
const INDENT: usize = 4;

/// Formats a whole file of assertions.
///
/// # Errors
/// The syntax errors of the file; a file with errors is not formatted.
pub fn format(source: &Source) -> Result<Vec<u8>, Vec<Finding>> {
    let text = source.text();
    let mut findings = Vec::new();
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut end = 0;
    for part in split(text) {
        blocks.extend(comments(text.get(end..part.start()).unwrap_or_default()));
        end = part.end();
        match Assertion::parse(source, part) {
            Ok(assertion) => blocks.push(block(&assertion, part)),
            Err(found) => findings.extend(found),
        }
    }
    blocks.extend(comments(text.get(end..).unwrap_or_default()));
    if !findings.is_empty() {
        return Err(findings);
    }
    let mut out = blocks.join(&b"\n\n"[..]);
    if !out.is_empty() {
        out.push(b'\n');
    }
    Ok(out)
}

/// The comments in a text between assertions, one block for each paragraph.
fn comments(text: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    lines
        .split(|line| line.is_empty())
        .filter(|paragraph| !paragraph.is_empty())
        .map(|paragraph| paragraph.join(&b'\n'))
        .collect()
}

fn block(assertion: &Assertion, part: Span) -> Vec<u8> {
    let text = assertion.source().text();
    if assertion.field(Field::Signature).is_some() {
        return text.get(part.range()).unwrap_or_default().trim_ascii_end().to_vec();
    }
    let first = assertion.span().start();
    let mut lines: Vec<Vec<u8>> = comments(text.get(part.start()..first).unwrap_or_default());
    for field in assertion.fields() {
        lines.push(lay_out(text, field));
    }
    lines.join(&b'\n')
}

fn lay_out(text: &[u8], field: &RawField) -> Vec<u8> {
    let mut out = format!("{}:", field.field).into_bytes();
    if field.field == Field::Comment {
        let content = text.get(field.content.range()).unwrap_or_default();
        out.extend_from_slice(verbatim(content).as_slice());
        return out;
    }
    let items = items(text, field.content);
    match field.field {
        Field::Conditions => Layout::new(out).conditions(&items),
        Field::LocalConstants => Layout::new(out).constants(&items),
        Field::Licensees => Layout::new(out).licensees(&items),
        _ => Layout::new(out).line(&items),
    }
}

/// The text of a comment field without white space at the ends of lines; continuation lines stay indented.
fn verbatim(content: &[u8]) -> Vec<u8> {
    let mut lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let first = lines.next().unwrap_or_default().trim_ascii_start();
    let mut out = Vec::new();
    if !first.is_empty() {
        out.push(b' ');
        out.extend_from_slice(first);
    }
    for line in lines.filter(|line| !line.is_empty()) {
        out.push(b'\n');
        out.extend_from_slice(line);
    }
    out
}

/// A token or comment, as it was written.
struct Item<'t> {
    lexeme: Lexeme,
    text: &'t [u8],
    /// Whether another token, or the label of the field, precedes it on its line.
    trails: bool,
}

impl Item<'_> {
    fn is(&self, symbol: &str) -> bool {
        self.lexeme.is(symbol)
    }

    fn is_comment(&self) -> bool {
        self.lexeme.token == Token::Comment
    }

    /// Whether the layout may begin a new line after this item.
    fn may_break(&self) -> bool {
        self.is("&&") || self.is("||") || self.is(",")
    }

    /// Whether the item ends an operand, so that a `-` after it subtracts and is not a sign.
    fn ends_operand(&self) -> bool {
        matches!(
            self.lexeme.token,
            Token::Name(_) | Token::String(_) | Token::Integer(_) | Token::Float(_)
        ) || self.is(")")
    }
}

fn items(text: &[u8], content: Span) -> Vec<Item<'_>> {
    let mut lexer = Lexer::with_comments(text, content);
    let mut items = Vec::new();
    let mut end = content.start();
    // INVARIANT: the assertion was parsed, so that the lexer finds no error.
    while let Ok(lexeme) = lexer.read() {
        if lexeme.token == Token::End {
            break;
        }
        let span = lexeme.span;
        let between = text.get(end..span.start()).unwrap_or_default();
        let trails = !between.contains(&b'\n');
        end = span.end();
        items.push(Item {
            lexeme,
            text: text.get(span.range()).unwrap_or_default().trim_ascii_end(),
            trails,
        });
    }
    items
}

struct Layout {
    out: Vec<u8>,
    /// Whether the next token begins a line.
    fresh: bool,
    /// The spaces at the beginning of a new line.
    indent: usize,
}

impl Layout {
    const fn new(out: Vec<u8>) -> Self {
        Self { out, fresh: false, indent: INDENT }
    }

    /// Writes the tokens on one line, with a line break only after comments, and before comments that begin a line.
    fn line(mut self, items: &[Item<'_>]) -> Vec<u8> {
        self.tokens(items, None);
        self.out
    }

    /// `K-of` lists and chains of `&&` and `||` are broken if they do not fit on one line.
    fn licensees(mut self, items: &[Item<'_>]) -> Vec<u8> {
        let label = self.out.len() + 1;
        self.indent = INDENT * 2;
        let breaks = (label + width(items) > WIDTH).then(|| depth_to_break(items, self.indent));
        self.tokens(items, breaks);
        self.out
    }

    fn constants(mut self, items: &[Item<'_>]) -> Vec<u8> {
        let mut rest = items;
        while !rest.is_empty() {
            self.newline();
            let length = rest
                .iter()
                .enumerate()
                .skip(1)
                .find(|(_, item)| {
                    matches!(item.lexeme.token, Token::Name(_))
                        || (item.is_comment() && !item.trails)
                })
                .map_or(rest.len(), |(position, _)| position);
            let (constant, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            self.tokens(constant, None);
            rest = others;
        }
        self.out
    }

    fn conditions(mut self, items: &[Item<'_>]) -> Vec<u8> {
        let one = items.iter().filter(|item| item.is(";")).count() == 1;
        let plain = !items.iter().any(|item| item.is_comment() || item.is("{"));
        if one && plain && self.out.len() + 1 + width(items) <= WIDTH {
            self.tokens(items, None);
            return self.out;
        }
        let mut rest = items;
        while let Some(first) = rest.first() {
            if first.is("}") {
                self.indent = self.indent.saturating_sub(INDENT).max(INDENT);
            }
            if !(first.is_comment() && first.trails) {
                self.newline();
            }
            let length = statement(rest);
            let (statement, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            let too_wide = self.indent + width(statement) > WIDTH;
            self.tokens(statement, too_wide.then(|| depth_to_break(statement, self.indent)));
            if statement.last().is_some_and(|last| last.is("{")) {
                self.indent += INDENT;
            }
            rest = others;
        }
        self.out
    }

    /// The tokens with the spaces between them. With `breaks`, there is a line break after each `&&`, `||` and `,` that is at most that
    /// deep in parentheses.
    fn tokens(&mut self, items: &[Item<'_>], breaks: Option<usize>) {
        let base = self.indent;
        let mut depth = 0_usize;
        let mut previous: Option<&Item<'_>> = None;
        let mut before: Option<&Item<'_>> = None;
        for item in items {
            if item.is_comment() && !item.trails && previous.is_some() {
                self.newline();
            } else if self.fresh && previous.is_some() {
                self.fresh = false;
                self.indent = base + INDENT * (1 + depth);
                self.newline();
                self.indent = base;
            }
            if !self.fresh
                && previous.is_none_or(|previous| spaced(before, previous, item))
                && !self.at_line_start()
            {
                self.out.push(b' ');
            }
            self.fresh = false;
            self.out.extend_from_slice(item.text);
            if item.is("(") {
                depth += 1;
            }
            if item.is(")") {
                depth = depth.saturating_sub(1);
            }
            self.fresh = item.is_comment()
                || (item.may_break() && breaks.is_some_and(|breaks| depth <= breaks));
            before = previous;
            previous = Some(item);
        }
        self.fresh = false;
    }

    fn at_line_start(&self) -> bool {
        self.out.ends_with(b"\n")
            || self.out.iter().rev().take_while(|byte| **byte == b' ').count() >= INDENT
    }

    fn newline(&mut self) {
        self.out.push(b'\n');
        self.out.extend(std::iter::repeat_n(b' ', self.indent));
    }
}

/// The least depth of parentheses down to which lines must be broken so that all of them fit, up to 3; 4 if that does not suffice.
fn depth_to_break(items: &[Item<'_>], indent: usize) -> usize {
    let deepest = 4;
    (0..deepest).find(|breaks| widest(items, indent, *breaks) <= WIDTH).unwrap_or(deepest)
}

/// The width of the widest line if lines are broken where parentheses are at most `breaks` deep.
fn widest(items: &[Item<'_>], indent: usize, breaks: usize) -> usize {
    let (mut depth, mut line, mut widest) = (0_usize, indent, 0);
    for item in items.iter().filter(|item| !item.is_comment()) {
        line += item.text.len() + 1;
        depth =
            if item.is("(") { depth + 1 } else { depth.saturating_sub(usize::from(item.is(")"))) };
        widest = widest.max(line);
        if item.may_break() && depth <= breaks {
            line = indent + INDENT * (1 + depth);
        }
    }
    widest
}

/// The number of items up to the end of a statement: a clause, `test -> {`, `};`, or a comment that is the first item.
fn statement(items: &[Item<'_>]) -> usize {
    if items.first().is_some_and(Item::is_comment) {
        return 1;
    }
    let end = items
        .iter()
        .position(|item| item.is(";") || item.is("{"))
        .map_or(items.len(), |position| position + 1);
    // A comment that follows on the same line belongs to the statement.
    let trailing = items.get(end).is_some_and(|item| item.is_comment() && item.trails);
    end + usize::from(trailing)
}

/// The width of the tokens if they are on one line, in bytes, with a space for each. The text of comments does not count.
fn width(items: &[Item<'_>]) -> usize {
    let comment = |item: &&Item<'_>| !item.is_comment();
    items.iter().filter(comment).map(|item| item.text.len()).sum::<usize>() + items.len()
}

/// Whether a space separates two tokens.
fn spaced(before: Option<&Item<'_>>, left: &Item<'_>, right: &Item<'_>) -> bool {
    if right.is(")") || right.is(",") || right.is(";") || left.is("(") {
        return false;
    }
    // A threshold, `2-of(`.
    let of = |item: &Item<'_>| matches!(&item.lexeme.token, Token::Name(name) if **name == *b"of");
    if left.is("-") && of(right)
        || (right.is("-") && matches!(left.lexeme.token, Token::Integer(_)) && touches(left, right))
    {
        return false;
    }
    if of(left) && right.is("(") && before.is_some_and(|before| before.is("-")) {
        return false;
    }
    let prefix = left.is("@") || left.is("&") || left.is("$") || left.is("!");
    let sign = left.is("-") && !before.is_some_and(Item::ends_operand);
    !(prefix || sign)
}

fn touches(left: &Item<'_>, right: &Item<'_>) -> bool {
    left.lexeme.span.end() == right.lexeme.span.start()
}
