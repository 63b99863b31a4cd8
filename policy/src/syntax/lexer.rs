//! Divides bytes into tokens (RFC 2704 §4.2, §4.3.1). White space is SPACE, TAB and newline; `#` begins a comment that ends with
//! the line.

use crate::source::{Finding, Span};

/// A token of a field's content.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// `<AttributeID>`, `true`, `false`.
    Name(Box<[u8]>),
    /// `<StringLiteral>`, unescaped.
    String(Box<[u8]>),
    /// `<IntegerLiteral>`; `None` if it is above 2^31 - 1.
    Integer(Option<i32>),
    /// `<FloatLiteral>`.
    Float(f64),
    /// An operator or a bracket, as written.
    Symbol(&'static str),
    /// A comment with its `#`; only from a lexer made with [`Lexer::with_comments`].
    Comment,
    /// The end of the content.
    End,
}

/// A token and its span.
#[derive(Debug, Clone, PartialEq)]
pub struct Lexeme {
    /// The token.
    pub token: Token,
    /// The span of the token in the text.
    pub span: Span,
}

impl Lexeme {
    /// Whether the token is this symbol.
    pub fn is(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(found) if found == symbol)
    }

    /// The token as error messages name it.
    pub fn describe(&self) -> String {
        match &self.token {
            Token::Name(name) => format!("`{}`", crate::source::printable(shorten(name))),
            Token::String(text) => format!("`\"{}\"`", crate::source::discreet(text, SHOWN)),
            Token::Integer(Some(value)) => format!("`{value}`"),
            Token::Integer(None) => "a number".into(),
            Token::Float(value) => format!("`{value:?}`"),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::Comment => "a comment".into(),
            Token::End => "the end of the field".into(),
        }
    }
}

/// The most bytes of a token that a message shows.
const SHOWN: usize = 40;

fn shorten(bytes: &[u8]) -> &[u8] {
    bytes.get(..SHOWN).unwrap_or(bytes)
}

/// The operators and brackets. Those of two characters come first, because the first one that fits is read.
const SYMBOLS: [&str; 27] = [
    "->", "==", "!=", "<=", ">=", "~=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "^",
    "@", "&", "$", ".", "(", ")", "{", "}", ";", ",",
];

/// Reads tokens from a part of a text, one at a time and only when asked, because the text after a signature need not consist of tokens.
#[derive(Debug, Clone)]
pub struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    end: usize,
    comments: bool,
}

impl<'t> Lexer<'t> {
    /// A lexer of `text[span]`, which skips comments.
    pub fn new(text: &'t [u8], span: Span) -> Self {
        let end = span.end().min(text.len());
        Self { text, at: span.start().min(end), end, comments: false }
    }

    /// Like [`new`](Self::new), with comments as tokens.
    pub fn with_comments(text: &'t [u8], span: Span) -> Self {
        Self { comments: true, ..Self::new(text, span) }
    }

    /// The byte offset in the text at which the next token is read; white space may precede the token.
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// A part of the text.
    pub fn slice(&self, span: Span) -> &'t [u8] {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Consumes `word` if it is next; returns whether it was.
    pub fn eat(&mut self, word: &[u8]) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Reads the next token.
    ///
    /// # Errors
    /// A byte that cannot begin a token, a string that does not end, or a newline, CR or NUL in a string.
    pub fn read(&mut self) -> Result<Lexeme, Finding> {
        self.skip_space();
        let start = self.at;
        let Some(first) = self.peek() else {
            return Ok(Lexeme { token: Token::End, span: Span::new(self.end, self.end) });
        };
        let token = match first {
            b'#' => {
                self.skip_comment();
                Token::Comment
            }
            b'"' => self.string()?,
            b'0'..=b'9' => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.name(),
            _ => self.symbol()?,
        };
        Ok(Lexeme { token, span: Span::new(start, self.at) })
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' => self.at += 1,
                b'#' if !self.comments => self.skip_comment(),
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        let rest = self.rest();
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'t [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn name(&mut self) -> Token {
        Token::Name(self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_').into())
    }

    fn number(&mut self) -> Token {
        let start = self.at;
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let fraction = matches!(self.rest(), [b'.', next, ..] if next.is_ascii_digit());
        if !fraction {
            return Token::Integer(integer(digits));
        }
        self.at += 1;
        self.take_while(|byte| byte.is_ascii_digit());
        let literal = self.text.get(start..self.at).unwrap_or_default();
        // INVARIANT: Rust parses digits, a point and digits as a float too; a too large one becomes infinite, which the parser refuses.
        Token::Float(
            std::str::from_utf8(literal)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(f64::INFINITY),
        )
    }

    fn symbol(&mut self) -> Result<Token, Finding> {
        let rest = self.rest();
        // A single `=` is valid only in Local-Constants.
        let known = SYMBOLS.iter().find(|symbol| rest.starts_with(symbol.as_bytes())).copied();
        let known = known.or_else(|| rest.starts_with(b"=").then_some("="));
        match known {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None => Err(unexpected(self.at, rest)),
        }
    }

    /// Reads a string literal (RFC 2704 §4.3.1), without its quotes and escapes.
    fn string(&mut self) -> Result<Token, Finding> {
        let start = self.at;
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let plain = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | 0));
            value.extend_from_slice(plain);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Token::String(value.into()));
                }
                Some(b'\\') => {
                    self.at += 1;
                    if !self.escape(&mut value) {
                        return Err(unterminated(start, self.at));
                    }
                }
                Some(b'\n') => {
                    return Err(Finding::error(
                        Span::new(start, self.at),
                        "expected `\"` before the end of the line, found a newline inside a string",
                    )
                    .hint(
                        "end the string with `\"`, or continue it with `\\` at the end of the line",
                    ));
                }
                Some(byte) => {
                    return Err(Finding::error(
                        Span::new(self.at, self.at + 1),
                        format!("expected text, found the byte 0x{byte:02x} inside a string"),
                    )
                    .hint(
                        "a carriage return is written `\\r`; a NUL byte has no place in KeyNote",
                    ));
                }
                None => return Err(unterminated(start, self.at)),
            }
        }
    }

    /// Reads the part of an escape after its backslash, and appends the byte that the escape means. A line break, with the white space
    /// after it, means no byte. Returns false if the content ends there, or a CR or NUL follows.
    fn escape(&mut self, value: &mut Vec<u8>) -> bool {
        let Some(first) = self.peek().filter(|first| !matches!(first, b'\r' | 0)) else {
            return false;
        };
        if first == b'\n' {
            self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
            return true;
        }
        let octal = self.octal();
        match octal {
            Some((length, byte)) => {
                self.at += length;
                value.push(byte);
            }
            None => {
                self.at += 1;
                value.push(match first {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'f' => b'\x0c',
                    other => other,
                });
            }
        }
        true
    }

    /// The length and the value of an octal escape, `\0o`, `\0oo` or `\ooo`. `None` for anything else and for the value NUL: `\0` alone is
    /// the digit 0.
    fn octal(&self) -> Option<(usize, u8)> {
        let digits: Vec<u32> =
            self.rest().iter().take(3).map_while(|byte| (*byte as char).to_digit(8)).collect();
        let read = |digits: &[u32]| digits.iter().fold(0, |value, digit| value * 8 + digit);
        let (length, value) = match digits.as_slice() {
            three @ [_, _, _] if read(three) <= 255 => (3, read(three)),
            [0, rest @ ..] if !rest.is_empty() => (2, read(digits.get(..2)?)),
            _ => return None,
        };
        let byte = u8::try_from(value).ok()?;
        (byte != 0).then_some((length, byte))
    }
}

fn integer(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0_i32, |value, digit| {
        value.checked_mul(10)?.checked_add(i32::from(digit.wrapping_sub(b'0')))
    })
}

fn unterminated(start: usize, end: usize) -> Finding {
    Finding::error(
        Span::new(start, end),
        "expected `\"`, found the end of the field inside a string",
    )
    .hint("end the string with `\"`; a line that goes on with a field begins with a space or a tab")
}

fn unexpected(at: usize, rest: &[u8]) -> Finding {
    let first = rest.first().copied().unwrap_or(0);
    let span = Span::new(at, at + 1);
    match first {
        b'\'' | b'`' => {
            Finding::error(span, format!("expected a token, found `{}`", first as char))
                .hint("strings are written with double quotes")
        }
        b'|' => Finding::error(span, "expected a token, found `|`").hint("`or` is written `||`"),
        b'~' => Finding::error(span, "expected a token, found `~`")
            .hint("a regular expression is matched with `~=`"),
        0x21..=0x7e => Finding::error(span, format!("expected a token, found `{}`", first as char)),
        _ => Finding::error(span, format!("expected a token, found the byte 0x{first:02x}"))
            .hint("outside strings and comments a KeyNote assertion is ASCII"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<Token>, Finding> {
        let mut lexer = Lexer::new(text.as_bytes(), Span::new(0, text.len()));
        let mut all = Vec::new();
        loop {
            match lexer.read()?.token {
                Token::End => return Ok(all),
                token => all.push(token),
            }
        }
    }

    fn string(text: &str) -> String {
        match tokens(text).as_deref() {
            Ok([Token::String(value)]) => String::from_utf8_lossy(value).into_owned(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn escapes_are_those_of_the_rfc() {
        let same = "this string contains a newline\n followed by one space.";
        for text in [
            r#""this string contains a newline\n followed by one space.""#,
            "\"this string contains a newline\\n \\\n        followed by one space.\"",
            "\"this str\\\n           ing contains a \\\n             newline\\n followed by one space.\"",
            r#""this string contains a newline\012\040followed by one space.""#,
        ] {
            assert_eq!(string(text), same, "{text}");
        }
        for (text, value) in [
            (r#""like \"this\".""#, "like \"this\"."),
            (r#""\012\101\07""#, "\nA\x07"),
            (r#""\0\00\000""#, "000000"),
            (r#""\12\7\x41\08\400""#, "127x4108400"),
            (r#""\a\\\t\r\f""#, "a\\\t\r\x0c"),
        ] {
            assert_eq!(string(text), value, "{text}");
        }
        assert_eq!(tokens(r#""\377""#), Ok(vec![Token::String([0xff].into())]));
    }

    #[test]
    fn numbers_names_and_symbols() {
        assert_eq!(
            tokens("1.5 2.\"a\" .5 010 2147483647 2147483648 a_1<=-@b->{} # ; x\n,~="),
            Ok(vec![
                Token::Float(1.5),
                Token::Integer(Some(2)),
                Token::Symbol("."),
                Token::String((*b"a").into()),
                Token::Symbol("."),
                Token::Integer(Some(5)),
                Token::Integer(Some(10)),
                Token::Integer(Some(i32::MAX)),
                Token::Integer(None),
                Token::Name((*b"a_1").into()),
                Token::Symbol("<="),
                Token::Symbol("-"),
                Token::Symbol("@"),
                Token::Name((*b"b").into()),
                Token::Symbol("->"),
                Token::Symbol("{"),
                Token::Symbol("}"),
                Token::Symbol(","),
                Token::Symbol("~="),
            ])
        );
    }

    #[test]
    fn what_begins_no_token_and_strings_without_end_are_errors() {
        for (text, at) in [
            ("a \\ b", 2),
            ("\"a\nb\"", 0),
            ("x \"abc", 2),
            ("\"a\\", 0),
            ("a | b", 2),
            ("\u{e9}", 0),
        ] {
            assert_eq!(tokens(text).map_err(|finding| finding.span.start()), Err(at), "{text:?}");
        }
    }
}
