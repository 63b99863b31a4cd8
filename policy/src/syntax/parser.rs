//! Parses tokens into a tree (RFC 2704 §4.6), by precedence climbing for licensees and conditions alike. Every expression gets
//! its type while it is parsed.

use crate::source::{Finding, Span};
use crate::syntax::binding::{AND, NOT, OR, POWER, PRODUCT, RELATION, SUM};
use crate::syntax::lexer::{Lexeme, Lexer, Token};
use crate::syntax::tree::{Clause, Name, Number, Principals, Program, Text, TextKind, Then};
use crate::syntax::typing::{
    Chain, Mode, Node, Parsed, Value, as_test, as_text, combine, principals, unary,
};

/// The deepest nesting of parentheses, braces and prefix operators.
pub const MAX_DEPTH: usize = 64;

/// Parses `<AuthID>`, RFC 2704 §4.6.3: one string expression.
pub fn text(bytes: &[u8], content: Span) -> Parsed<Text> {
    let mut parser = Parser::new(bytes, content, Mode::Text);
    let text = parser.text()?;
    parser.end("a single string expression")?;
    Ok(text)
}

/// Parses `<Signature>`, RFC 2704 §4.6.7. Also returns the span of the text after it, if there is any.
pub fn signature(bytes: &[u8], content: Span) -> Parsed<(Text, Option<Span>)> {
    let mut parser = Parser::new(bytes, content, Mode::Signature);
    let text = parser.text()?;
    let rest = match parser.peek() {
        Ok(Lexeme { token: Token::End, .. }) => None,
        Ok(lexeme) => Some(lexeme.span.to(content)),
        Err(finding) => Some(finding.span.to(content)),
    };
    Ok((text, rest))
}

/// Parses `<LicenseesExpr>`, RFC 2704 §4.6.4; `None` if the field is empty.
pub fn licensees(bytes: &[u8], content: Span) -> Parsed<Option<Principals>> {
    let mut parser = Parser::new(bytes, content, Mode::Licensees);
    if parser.peek()?.token == Token::End {
        return Ok(None);
    }
    let node = parser.expression(OR)?;
    parser.end("`&&`, `||` or the end of the field")?;
    Ok(Some(principals(node)?))
}

/// Parses `<ConditionsProgram>`, RFC 2704 §4.6.5.
pub fn conditions(bytes: &[u8], content: Span) -> Parsed<Program> {
    let mut parser = Parser::new(bytes, content, Mode::Conditions);
    let program = parser.program()?;
    parser.end("a clause")?;
    Ok(program)
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    next: Option<Lexeme>,
    depth: usize,
    mode: Mode,
}

impl<'t> Parser<'t> {
    fn new(bytes: &'t [u8], content: Span, mode: Mode) -> Self {
        Self { lexer: Lexer::new(bytes, content), next: None, depth: 0, mode }
    }

    fn peek(&mut self) -> Parsed<&Lexeme> {
        let next = match self.next.take() {
            Some(lexeme) => lexeme,
            None => self.lexer.read()?,
        };
        Ok(self.next.insert(next))
    }

    fn take(&mut self) -> Parsed<Lexeme> {
        self.peek()?;
        self.next.take().map_or_else(|| self.lexer.read(), Ok)
    }

    fn take_if(&mut self, symbol: &str) -> Parsed<Option<Lexeme>> {
        if self.peek()?.is(symbol) { self.take().map(Some) } else { Ok(None) }
    }

    fn require(&mut self, symbol: &str, hint: &str) -> Parsed<Lexeme> {
        let lexeme = self.take()?;
        if lexeme.is(symbol) {
            return Ok(lexeme);
        }
        let message = format!("expected `{symbol}`, found {}", lexeme.describe());
        Err(Finding::error(lexeme.span, message).hint(near_miss(&lexeme).unwrap_or(hint)))
    }

    fn end(&mut self, expected: &str) -> Parsed<()> {
        let lexeme = self.take()?;
        if lexeme.token == Token::End {
            return Ok(());
        }
        let finding = Finding::error(
            lexeme.span,
            format!("expected {expected}, found {}", lexeme.describe()),
        );
        Err(match near_miss(&lexeme) {
            Some(hint) => finding.hint(hint),
            None => finding,
        })
    }

    /// Runs `inner` one level of nesting deeper. An error if that is beyond [`MAX_DEPTH`].
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let at = self.lexer.offset();
            return Err(Finding::error(
                Span::new(at.saturating_sub(1), at),
                format!("expected at most {MAX_DEPTH} levels of nesting, found more"),
            )
            .hint("remove parentheses that change nothing, or split the assertion"));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn text(&mut self) -> Parsed<Text> {
        let node = self.expression(SUM)?;
        as_text(node)
    }

    fn program(&mut self) -> Parsed<Program> {
        let mut clauses = Vec::new();
        while !matches!(self.peek()?.token, Token::End | Token::Symbol("}")) {
            clauses.push(self.clause()?);
        }
        Ok(clauses)
    }

    fn clause(&mut self) -> Parsed<Clause> {
        let node = self.expression(OR)?;
        let start = node.span;
        let mut end = node.span;
        let test = as_test(node)?;
        let then = if self.take_if("->")?.is_none() {
            Then::MaxTrust
        } else if self.take_if("{")?.is_some() {
            let program = self.nested(Self::program)?;
            end = self.require("}", "a group of clauses begun with `{` ends with `}`")?.span;
            Then::Program(program)
        } else {
            let value = self.expression(SUM)?;
            end = value.span;
            Then::Value(as_text(value)?)
        };
        self.require(";", "every clause ends with `;`, the last one and `}` too")?;
        Ok(Clause { test, then, span: start.to(end) })
    }

    /// Parses an expression of operators that bind at least as tightly as the precedence `weakest`, from left to right.
    fn expression(&mut self, weakest: u8) -> Parsed<Node> {
        let mut left = self.prefix()?;
        // The precedence of the operator that made `left` in this loop: an operator of the same precedence continues its chain. 0 for the
        // first operand.
        let mut open = 0;
        while let Some((symbol, precedence)) = self.operator(weakest)? {
            let operator = self.take()?;
            if precedence == RELATION && open == RELATION {
                return Err(Finding::error(
                    operator.span,
                    format!("expected `&&`, `||` or the end of the test, found a second comparison `{symbol}`"),
                )
                .hint("compare two things at a time: `a < b && b < c`"));
            }
            let right = self.expression(precedence + 1)?;
            let chain = if open == precedence { Chain::GoesOn } else { Chain::Begins };
            left = combine(self.mode, left, symbol, operator.span, right, chain)?;
            open = precedence;
        }
        Ok(left)
    }

    /// The next operator and its precedence, if it binds at least as tightly as `weakest` and is valid in this field.
    fn operator(&mut self, weakest: u8) -> Parsed<Option<(&'static str, u8)>> {
        let mode = self.mode;
        let symbol = match self.peek() {
            Ok(Lexeme { token: Token::Symbol(symbol), .. }) => *symbol,
            Ok(_) => return Ok(None),
            Err(_) if mode == Mode::Signature => return Ok(None),
            Err(finding) => return Err(finding),
        };
        let precedence = match symbol {
            "||" => OR,
            "&&" => AND,
            "==" | "!=" | "<" | ">" | "<=" | ">=" | "~=" => RELATION,
            "+" | "-" | "." => SUM,
            "*" | "/" | "%" => PRODUCT,
            "^" => POWER,
            _ => return Ok(None),
        };
        let belongs = match mode {
            Mode::Conditions => true,
            Mode::Licensees => precedence <= AND || symbol == ".",
            Mode::Text | Mode::Signature => symbol == ".",
        };
        Ok((belongs && precedence >= weakest).then_some((symbol, precedence)))
    }

    fn prefix(&mut self) -> Parsed<Node> {
        let lexeme = self.take()?;
        match &lexeme.token {
            Token::Symbol("(") => self.nested(|parser| {
                let inner = parser.expression(OR)?;
                let close =
                    parser.require(")", "a parenthesis that was opened is closed with `)`")?;
                Ok(Node { value: inner.value, span: lexeme.span.to(close.span) })
            }),
            Token::Symbol("$") => {
                let of = self.nested(Self::prefix)?;
                let span = lexeme.span.to(of.span);
                let kind = TextKind::Dereference(Box::new(as_text(of)?));
                Ok(Node { value: Value::Text(Text { kind, span }), span })
            }
            Token::Symbol(symbol @ ("!" | "-" | "@" | "&")) if self.mode == Mode::Conditions => {
                let weakest = if *symbol == "!" { NOT } else { u8::MAX };
                let of = self.nested(|parser| {
                    if weakest == NOT { parser.expression(NOT) } else { parser.prefix() }
                })?;
                unary(symbol, lexeme.span, of)
            }
            Token::Name(name) => {
                let kind = TextKind::Attribute(Name::new(name));
                Ok(Node { value: Value::Text(Text { kind, span: lexeme.span }), span: lexeme.span })
            }
            Token::String(value) => {
                let kind = TextKind::Literal(value.clone());
                Ok(Node { value: Value::Text(Text { kind, span: lexeme.span }), span: lexeme.span })
            }
            Token::Integer(_) if self.mode == Mode::Licensees => self.threshold(&lexeme),
            Token::Integer(Some(value)) if self.mode == Mode::Conditions => {
                Ok(Node { value: Value::Integer(Number::Literal(*value)), span: lexeme.span })
            }
            Token::Integer(None) if self.mode == Mode::Conditions => Err(Finding::error(
                lexeme.span,
                format!("expected an integer of at most {}, found a larger one", i32::MAX),
            )
            .hint("integers have 32 bits (RFC 2704 section 4.4); compare as floats or as strings")),
            Token::Float(value) if self.mode == Mode::Conditions && value.is_infinite() => {
                Err(Finding::error(
                    lexeme.span,
                    "expected a float of double precision, found a larger one",
                ))
            }
            Token::Float(value) if self.mode == Mode::Conditions => {
                Ok(Node { value: Value::Float(Number::Literal(*value)), span: lexeme.span })
            }
            _ => Err(self.unexpected(&lexeme)),
        }
    }

    fn unexpected(&self, lexeme: &Lexeme) -> Finding {
        let expected = match self.mode {
            Mode::Conditions => "a string, a number, an attribute or `(`",
            Mode::Licensees => "a principal, `K-of(…)` or `(`",
            Mode::Text | Mode::Signature => "a string or an attribute",
        };
        let finding = Finding::error(
            lexeme.span,
            format!("expected {expected}, found {}", lexeme.describe()),
        );
        match near_miss(lexeme) {
            Some(hint) => finding.hint(hint),
            None if lexeme.is(";") => {
                finding.hint("a clause is a test, perhaps `->` and a value, then one `;`")
            }
            None => finding,
        }
    }

    /// Parses a threshold, `<K>"-of(" <PrincList> ")"`, of which the number K was already read.
    fn threshold(&mut self, k: &Lexeme) -> Parsed<Node> {
        let start = k.span.start();
        if !self.lexer.eat(b"-of") {
            return Err(Finding::error(
                k.span,
                "expected `-of(…)` behind a number among licensees",
            )
            .hint("a threshold is written `2-of(\"a\", \"b\", \"c\")`"));
        }
        self.require("(", "a threshold is written `2-of(\"a\", \"b\", \"c\")`")?;
        let mut of = Vec::new();
        let close = loop {
            of.push(self.text()?);
            let lexeme = self.take()?;
            match lexeme.token {
                Token::Symbol(",") => {}
                Token::Symbol(")") => break lexeme,
                _ => {
                    let message = format!("expected `,` or `)`, found {}", lexeme.describe());
                    return Err(Finding::error(lexeme.span, message)
                        .hint("a threshold is of principals, with commas between them"));
                }
            }
        };
        let span = Span::new(start, close.span.end());
        let Token::Integer(k) = k.token else {
            return Err(Finding::error(span, "expected a number"));
        };
        // `<K>` has no leading zero.
        let zero = self.lexer.slice(Span::new(start, start + 1)) == b"0";
        match k.and_then(|k| u32::try_from(k).ok()) {
            Some(k) if !zero && k as usize <= of.len() => {
                Ok(Node { value: Value::Principals(Principals::Threshold { k, of, span }), span })
            }
            _ => Err(Finding::error(
                span,
                format!(
                    "expected a threshold from 1 to {}, the number of principals in the list",
                    of.len()
                ),
            )
            .hint("the whole assertion counts for nothing otherwise (RFC 2704 section 4.6.4)")),
        }
    }
}

fn near_miss(lexeme: &Lexeme) -> Option<&'static str> {
    match lexeme.token {
        Token::Symbol("=") => Some("`==` compares; `=` stands only in Local-Constants"),
        _ => None,
    }
}
