//! Prints a tree as text that parses to the same tree. Comments and white space are lost; the module `layout` formats a text and keeps its
//! comments.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::syntax::binding::{AND, NOT, OR, POWER, PREFIX, PRODUCT, SUM};
use crate::syntax::tree::{
    Clause, Constant, Licensees, Number, Operator, Principals, Test, TestKind, Text, TextKind,
    Then, Tree,
};

/// Prints an assertion, without a newline at the end.
impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "KeyNote-Version: 2\nAuthorizer: {}", self.authorizer)?;
        match &self.licensees {
            None => {}
            Some(Licensees::Empty) => f.write_str("\nLicensees:")?,
            Some(Licensees::Principals(principals)) => write!(f, "\nLicensees: {principals}")?,
        }
        if !self.constants.is_empty() {
            f.write_str("\nLocal-Constants:")?;
            for Constant { name, value, .. } in &self.constants {
                write!(f, "\n    {} = {}", Ascii(name), Quoted(value))?;
            }
        }
        if let Some(program) = &self.conditions {
            f.write_str("\nConditions:")?;
            for clause in program {
                write!(f, "\n    {clause};")?;
            }
        }
        match &self.signature {
            Some(signature) => write!(f, "\nSignature: {signature}"),
            None => Ok(()),
        }
    }
}

impl Display for Principals {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        principals(f, self, OR)
    }
}

impl Display for Clause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.test.fmt(f)?;
        match &self.then {
            Then::MaxTrust => Ok(()),
            Then::Value(value) => write!(f, " -> {value}"),
            Then::Program(program) => {
                f.write_str(" -> {")?;
                for clause in program {
                    write!(f, " {clause};")?;
                }
                f.write_str(" }")
            }
        }
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        test(f, self, OR)
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        text(f, self, SUM)
    }
}

/// Prints a string literal (RFC 2704 §4.3.1) with its quotes.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'b>(pub &'b [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for byte in self.0 {
            match byte {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                b'\x0c' => f.write_str("\\f")?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                other => write!(f, "\\{other:03o}")?,
            }
        }
        f.write_char('"')
    }
}

/// Prints bytes that are known to be ASCII.
struct Ascii<'b>(&'b [u8]);

impl Display for Ascii<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| f.write_char(char::from(*byte)))
    }
}

/// Writes `inner`, in parentheses if its precedence `binds` is lower than `place`, the lowest that needs none in this position.
fn bracketed(
    f: &mut Formatter<'_>,
    binds: u8,
    place: u8,
    inner: impl FnOnce(&mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    if binds >= place {
        return inner(f);
    }
    f.write_char('(')?;
    inner(f)?;
    f.write_char(')')
}

fn separated<T>(
    f: &mut Formatter<'_>,
    separator: &str,
    items: &[T],
    mut each: impl FnMut(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            f.write_str(separator)?;
        }
        each(f, item)?;
    }
    Ok(())
}

fn principals(f: &mut Formatter<'_>, of: &Principals, place: u8) -> fmt::Result {
    match of {
        Principals::One(principal) => text(f, principal, SUM),
        Principals::All(parts) => bracketed(f, AND, place, |f| {
            separated(f, " && ", parts, |f, part| principals(f, part, NOT))
        }),
        Principals::Any(parts) => bracketed(f, OR, place, |f| {
            separated(f, " || ", parts, |f, part| principals(f, part, AND))
        }),
        Principals::Threshold { k, of, .. } => {
            write!(f, "{k}-of(")?;
            separated(f, ", ", of, |f, principal| text(f, principal, SUM))?;
            f.write_char(')')
        }
    }
}

fn test(f: &mut Formatter<'_>, of: &Test, place: u8) -> fmt::Result {
    match &of.kind {
        TestKind::Constant(value) => write!(f, "{value}"),
        TestKind::All(parts) => {
            bracketed(f, AND, place, |f| separated(f, " && ", parts, |f, part| test(f, part, NOT)))
        }
        TestKind::Any(parts) => {
            bracketed(f, OR, place, |f| separated(f, " || ", parts, |f, part| test(f, part, AND)))
        }
        TestKind::Not(of) => {
            f.write_str("! ")?;
            test(f, of, NOT)
        }
        TestKind::Integers(relation, left, right) => {
            number(f, left, SUM, '@')?;
            write!(f, " {} ", relation.symbol())?;
            number(f, right, SUM, '@')
        }
        TestKind::Floats(relation, left, right) => {
            number(f, left, SUM, '&')?;
            write!(f, " {} ", relation.symbol())?;
            number(f, right, SUM, '&')
        }
        TestKind::Texts(relation, left, right) => write!(f, "{left} {} {right}", relation.symbol()),
        TestKind::Matches(text, pattern) => write!(f, "{text} ~= {}", pattern.text),
    }
}

fn text(f: &mut Formatter<'_>, of: &Text, place: u8) -> fmt::Result {
    match &of.kind {
        TextKind::Literal(value) => Quoted(value).fmt(f),
        TextKind::Attribute(name) => Ascii(&name.text).fmt(f),
        TextKind::Dereference(of) => {
            f.write_char('$')?;
            text(f, of, PREFIX)
        }
        TextKind::Concatenation(parts) => bracketed(f, SUM, place, |f| {
            separated(f, " . ", parts, |f, part| text(f, part, PRODUCT))
        }),
    }
}

/// Prints a number as the lexer reads it.
trait Literal {
    fn literal(&self, f: &mut Formatter<'_>) -> fmt::Result;
}

impl Literal for i32 {
    fn literal(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Literal for f64 {
    fn literal(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.fract() == 0.0 { write!(f, "{self}.0") } else { write!(f, "{self}") }
    }
}

fn number<T: Literal>(
    f: &mut Formatter<'_>,
    of: &Number<T>,
    place: u8,
    convert: char,
) -> fmt::Result {
    match of {
        Number::Literal(value) => value.literal(f),
        Number::Negative(of) => {
            f.write_char('-')?;
            number(f, of, PREFIX, convert)
        }
        Number::Convert(of) => {
            f.write_char(convert)?;
            text(f, of, PREFIX)
        }
        Number::Chain(first, rest) => {
            let binds = rest.first().map_or(SUM, |(operator, _)| precedence(*operator));
            bracketed(f, binds, place, |f| {
                number(f, first, binds + 1, convert)?;
                rest.iter().try_for_each(|(operator, operand)| {
                    write!(f, " {} ", operator.symbol())?;
                    number(f, operand, binds + 1, convert)
                })
            })
        }
    }
}

const fn precedence(operator: Operator) -> u8 {
    match operator {
        Operator::Add | Operator::Subtract => SUM,
        Operator::Multiply | Operator::Divide | Operator::Remainder => PRODUCT,
        Operator::Power => POWER,
    }
}
