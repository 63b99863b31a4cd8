//! Parses a pattern into a tree, by the grammar of POSIX extended regular expressions (IEEE Std 1003.1, 9.4 and 9.5).

use super::error::{MAX_PATTERN, RegexError};
use super::syntax::{ByteSet, Expression, Node};

/// The highest bound in braces (`RE_DUP_MAX`): the least value that POSIX allows for it.
const MAX_REPEAT: u32 = 255;
/// The deepest nesting of groups.
const MAX_DEPTH: usize = 100;
/// The most nodes of an expression, with bounded repetitions written out.
const MAX_SIZE: usize = 20_000;

pub(super) fn parse(pattern: &[u8]) -> Result<Expression, RegexError> {
    if pattern.len() > MAX_PATTERN {
        let message =
            format!("expected a pattern of at most {MAX_PATTERN} bytes, found {}", pattern.len());
        return Err(RegexError::new(MAX_PATTERN, message));
    }
    let mut parser = Parser { pattern, at: 0, groups: 0, depth: 0 };
    let root = parser.alternation()?;
    if parser.peek().is_some() {
        return Err(RegexError::new(parser.at, "expected `(` before it, found `)`")
            .hint("a literal `)` is written `\\)`"));
    }
    if root.size() > MAX_SIZE {
        let message = format!(
            "expected at most {MAX_SIZE} parts with repetitions written out, found {}",
            root.size()
        );
        return Err(RegexError::new(0, message).hint("lower the bounds in braces"));
    }
    Ok(Expression { root, groups: parser.groups })
}

struct Parser<'p> {
    pattern: &'p [u8],
    at: usize,
    groups: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn alternation(&mut self) -> Result<Node, RegexError> {
        let mut branches = vec![self.branch()?];
        while self.eat(b'|') {
            branches.push(self.branch()?);
        }
        Ok(one_or(branches, Node::Alternation))
    }

    fn branch(&mut self) -> Result<Node, RegexError> {
        let mut parts = Vec::new();
        while !matches!(self.peek(), None | Some(b'|' | b')')) {
            let before = self.groups;
            let atom = self.atom()?;
            parts.push(self.repeated(atom, before)?);
        }
        Ok(if parts.is_empty() { Node::Empty } else { one_or(parts, Node::Concatenation) })
    }

    fn atom(&mut self) -> Result<Node, RegexError> {
        let at = self.at;
        match self.take() {
            Some(b'.') => Ok(Node::Set(ByteSet::ALL)),
            Some(b'^') => Ok(Node::Start),
            Some(b'$') => Ok(Node::End),
            Some(b'[') => self.bracket(at),
            Some(b'(') => self.group(at),
            Some(b'\\') => self.escape(at),
            Some(symbol @ (b'*' | b'+' | b'?' | b'{')) => Err(nothing_to_repeat(at, symbol)),
            Some(byte) => Ok(Node::Set(ByteSet::of(byte))),
            // INVARIANT: `branch` has checked that there is another byte.
            None => Ok(Node::Empty),
        }
    }

    fn group(&mut self, at: usize) -> Result<Node, RegexError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(RegexError::new(
                at,
                format!("expected at most {MAX_DEPTH} nested groups, found more"),
            ));
        }
        self.groups += 1;
        let number = self.groups;
        let of = self.alternation()?;
        if !self.eat(b')') {
            return Err(RegexError::new(
                at,
                "expected `)` for this `(`, found the end of the pattern",
            )
            .hint("a literal `(` is written `\\(`; in a KeyNote string the backslash is doubled"));
        }
        self.depth -= 1;
        Ok(Node::Group(number, Box::new(of)))
    }

    fn escape(&mut self, at: usize) -> Result<Node, RegexError> {
        match self.take() {
            None => Err(RegexError::new(
                at,
                "expected a character behind `\\`, found the end of the pattern",
            )
            .hint("a literal backslash is written `\\\\`; in a KeyNote string each is doubled")),
            Some(digit @ b'1'..=b'9') => {
                let message = format!(
                    "expected a POSIX extended regular expression, found the back-reference `\\{}`",
                    digit as char
                );
                Err(RegexError::new(at, message).hint("extended regular expressions have none"))
            }
            Some(byte)
                if byte.is_ascii_alphanumeric() || matches!(byte, b'<' | b'>' | b'`' | b'\'') =>
            {
                let message = format!(
                    "expected a POSIX extended regular expression, found `\\{}`",
                    byte as char
                );
                Err(RegexError::new(at, message)
                    .hint("write a bracket expression such as `[[:alnum:]_]` or `[[:space:]]`"))
            }
            Some(byte) => Ok(Node::Set(ByteSet::of(byte))),
        }
    }

    fn repeated(&mut self, atom: Node, before: usize) -> Result<Node, RegexError> {
        let at = self.at;
        let (min, max) = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => self.bounds(at)?,
            _ => return Ok(atom),
        };
        let symbol = self.pattern.get(at).copied().unwrap_or(b'*');
        if symbol != b'{' {
            self.at += 1;
        }
        if matches!(atom, Node::Start | Node::End) {
            return Err(nothing_to_repeat(at, symbol));
        }
        if let Some(again @ (b'*' | b'+' | b'?' | b'{')) = self.peek() {
            let message =
                format!("expected one repetition, found a second one, `{}`", again as char);
            return Err(RegexError::new(self.at, message)
                .hint("put the first into parentheses if that is meant"));
        }
        let groups = before + 1..self.groups + 1;
        Ok(Node::Repetition { of: Box::new(atom), min, max, groups })
    }

    /// Parses `{m}`, `{m,}` or `{m,n}`.
    fn bounds(&mut self, at: usize) -> Result<(u32, Option<u32>), RegexError> {
        let malformed = || {
            RegexError::new(
                at,
                "expected `{m}`, `{m,}` or `{m,n}`, found something else behind `{`",
            )
            .hint("a literal `{` is written `\\{`")
        };
        self.at += 1;
        let min = self.number().ok_or_else(malformed)?;
        let max = if self.eat(b',') { self.number() } else { Some(min) };
        if !self.eat(b'}') {
            return Err(malformed());
        }
        let highest = max.unwrap_or(min);
        if min > highest || highest > MAX_REPEAT {
            let message = format!(
                "expected bounds from low to high and up to {MAX_REPEAT}, found {min} and {highest}"
            );
            return Err(RegexError::new(at, message));
        }
        Ok((min, max))
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.rest().iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        let value = self
            .rest()
            .iter()
            .take(digits)
            .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        self.at += digits;
        (digits > 0).then_some(value)
    }

    /// Parses a bracket expression (9.3.5), in which a backslash has no special meaning.
    fn bracket(&mut self, at: usize) -> Result<Node, RegexError> {
        let mut set = ByteSet::default();
        let negated = self.eat(b'^');
        let first = self.at;
        loop {
            match self.peek() {
                None => {
                    return Err(RegexError::new(
                        at,
                        "expected `]` for this `[`, found the end of the pattern",
                    )
                    .hint("a literal `[` is written `\\[`; a literal `]` stands first, `[]a]`"));
                }
                Some(b']') if self.at > first => break,
                Some(b'-') if self.at > first && self.pattern.get(self.at + 1) != Some(&b']') => {
                    return Err(RegexError::new(
                        self.at,
                        "expected a range or `]`, found a `-` that begins neither",
                    )
                    .hint("a literal `-` stands first or last in the brackets"));
                }
                Some(_) => self.item(&mut set)?,
            }
        }
        self.at += 1;
        if negated {
            set.negate();
        }
        Ok(Node::Set(set))
    }

    /// Parses one item of a bracket expression, a byte, a range or a class, and adds its bytes to `set`.
    fn item(&mut self, set: &mut ByteSet) -> Result<(), RegexError> {
        let at = self.at;
        if self.rest().starts_with(b"[:") {
            return self.class(set);
        }
        let low = self.element()?;
        let range = self.peek() == Some(b'-')
            && !matches!(self.pattern.get(self.at + 1), None | Some(b']'));
        if !range {
            set.insert(low);
            return Ok(());
        }
        self.at += 1;
        let high = self.element()?;
        if low > high {
            return Err(RegexError::new(
                at,
                "expected a range from low to high, found one from high to low",
            ));
        }
        (low..=high).for_each(|byte| set.insert(byte));
        Ok(())
    }

    /// Parses a byte, or `[.x.]` or `[=x=]`, which in the C locale mean `x`.
    fn element(&mut self) -> Result<u8, RegexError> {
        let at = self.at;
        match self.rest() {
            [b'[', open @ (b'.' | b'='), byte, close, b']', ..] if open == close => {
                let byte = *byte;
                self.at += 5;
                Ok(byte)
            }
            [b'[', open @ (b'.' | b'='), ..] => Err(RegexError::new(
                at,
                format!(
                    "expected one character between `[{0}` and `{0}]`, found something else",
                    *open as char
                ),
            )),
            [byte, ..] => {
                let byte = *byte;
                self.at += 1;
                Ok(byte)
            }
            [] => Err(RegexError::new(
                at,
                "expected the end of a range, found the end of the pattern",
            )),
        }
    }

    /// Parses a class such as `[:alpha:]`.
    fn class(&mut self, set: &mut ByteSet) -> Result<(), RegexError> {
        let at = self.at;
        let name: Vec<u8> = self
            .rest()
            .iter()
            .skip(2)
            .take_while(|byte| byte.is_ascii_lowercase())
            .copied()
            .collect();
        let end = at + 2 + name.len();
        let closed = self.pattern.get(end..end + 2) == Some(b":]");
        let member: Option<fn(&u8) -> bool> = match name.as_slice() {
            b"alpha" => Some(u8::is_ascii_alphabetic),
            b"digit" => Some(u8::is_ascii_digit),
            b"alnum" => Some(u8::is_ascii_alphanumeric),
            b"upper" => Some(u8::is_ascii_uppercase),
            b"lower" => Some(u8::is_ascii_lowercase),
            b"space" => Some(|byte| matches!(byte, b' ' | 9..=13)),
            b"blank" => Some(|byte| matches!(byte, b' ' | b'\t')),
            b"punct" => Some(u8::is_ascii_punctuation),
            b"print" => Some(|byte| matches!(byte, b' '..=b'~')),
            b"graph" => Some(u8::is_ascii_graphic),
            b"cntrl" => Some(u8::is_ascii_control),
            b"xdigit" => Some(u8::is_ascii_hexdigit),
            _ => None,
        };
        let Some(member) = member.filter(|_| closed) else {
            let hint = "the classes are alpha, digit, alnum, upper, lower, space, blank, punct, print, graph, cntrl and xdigit";
            return Err(RegexError::new(
                at,
                "expected a character class such as `[:alpha:]`, found something else",
            )
            .hint(hint));
        };
        (0..=255).filter(member).for_each(|byte| set.insert(byte));
        self.at = end + 2;
        Ok(())
    }
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match (nodes.pop(), nodes.is_empty()) {
        (Some(node), true) => node,
        (Some(node), false) => {
            nodes.push(node);
            many(nodes)
        }
        (None, _) => Node::Empty,
    }
}

fn nothing_to_repeat(at: usize, symbol: u8) -> RegexError {
    let symbol = symbol as char;
    RegexError::new(at, format!("expected something to repeat before `{symbol}`, found nothing"))
        .hint(format!("a literal `{symbol}` is written `\\{symbol}`"))
}
