//! Tokens to a tree (RFC 2704 §4.6): one precedence climber for licensees and conditions, which gives every
//! expression its type at once.

use crate::source::{Finding, Span};
use crate::syntax::binding::{AND, NOT, OR, POWER, PRODUCT, RELATION, SUM};
use crate::syntax::lexer::{Lexeme, Lexer, Token};
use crate::syntax::tree::{
    Clause, Float, Integer, Name, Number, Operator, Pattern, Principals, Program, Relation, Test,
    TestKind, Text, TextKind, Then,
};

/// How deep parentheses, braces and prefix operators may nest.
pub const MAX_DEPTH: usize = 64;

type Parsed<T> = Result<T, Finding>;

/// What the content of a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Text,
    Licensees,
    Conditions,
    /// What follows is not part of the assertion, and may be no tokens at all.
    Signature,
}

/// An expression with its type.
enum Value {
    Test(Test),
    Text(Text),
    Integer(Integer),
    Float(Float),
    Principals(Principals),
}

struct Node {
    value: Value,
    span: Span,
}

impl Value {
    const fn describe(&self) -> &'static str {
        match self {
            Self::Test(_) => "a test",
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Principals(_) => "principals",
        }
    }
}

/// `<AuthID>`, RFC 2704 §4.6.3: a string expression and nothing else.
pub fn text(bytes: &[u8], content: Span) -> Parsed<Text> {
    let mut parser = Parser::new(bytes, content, Mode::Text);
    let text = parser.text()?;
    parser.end("a single string expression")?;
    Ok(text)
}

/// `<Signature>`, RFC 2704 §4.6.7, and where the text behind it begins, if there is any.
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

/// `<LicenseesExpr>`, RFC 2704 §4.6.4; nothing if the field is empty.
pub fn licensees(bytes: &[u8], content: Span) -> Parsed<Option<Principals>> {
    let mut parser = Parser::new(bytes, content, Mode::Licensees);
    if parser.peek()?.token == Token::End {
        return Ok(None);
    }
    let node = parser.expression(OR)?;
    parser.end("`&&`, `||` or the end of the field")?;
    Ok(Some(principals(node)?))
}

/// `<ConditionsProgram>`, RFC 2704 §4.6.5.
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

    fn expect(&mut self, symbol: &str, hint: &str) -> Parsed<Lexeme> {
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

    /// Runs `inner` one level deeper.
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
            end = self.expect("}", "a group of clauses begun with `{` ends with `}`")?.span;
            Then::Program(program)
        } else {
            let value = self.expression(SUM)?;
            end = value.span;
            Then::Value(as_text(value)?)
        };
        self.expect(";", "every clause ends with `;`, the last one and `}` too")?;
        Ok(Clause { test, then, span: start.to(end) })
    }

    /// Operators that bind at least as `weakest`, from left to right.
    fn expression(&mut self, weakest: u8) -> Parsed<Node> {
        let mut left = self.prefix()?;
        // The precedence of the operator that made `left` here: a chain goes on, what was in parentheses does not.
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
            left = combine(self.mode, left, symbol, operator.span, right, open == precedence)?;
            open = precedence;
        }
        Ok(left)
    }

    /// The operator that stands next, if it binds strongly enough and belongs in this field.
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
                    parser.expect(")", "a parenthesis that was opened is closed with `)`")?;
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

    /// `<K>"-of(" <PrincList> ")"`, after K.
    fn threshold(&mut self, k: &Lexeme) -> Parsed<Node> {
        let start = k.span.start();
        if !self.lexer.eat(b"-of") {
            return Err(Finding::error(
                k.span,
                "expected `-of(…)` behind a number among licensees",
            )
            .hint("a threshold is written `2-of(\"a\", \"b\", \"c\")`"));
        }
        self.expect("(", "a threshold is written `2-of(\"a\", \"b\", \"c\")`")?;
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

fn combine(
    mode: Mode,
    left: Node,
    symbol: &'static str,
    at: Span,
    right: Node,
    chain: bool,
) -> Parsed<Node> {
    let span = left.span.to(right.span);
    let value = match symbol {
        "||" | "&&" if mode == Mode::Licensees => Value::Principals(join_principals(
            symbol == "&&",
            principals(left)?,
            principals(right)?,
            chain,
        )),
        "||" | "&&" => {
            Value::Test(join_tests(symbol == "&&", as_test(left)?, as_test(right)?, chain, span))
        }
        "." => Value::Text(concatenation(as_text(left)?, as_text(right)?, chain, span)),
        "+" | "-" | "*" | "/" | "%" | "^" => arithmetic(left, symbol, at, right, chain)?,
        _ => Value::Test(Test { kind: relation(left, symbol, at, right)?, span }),
    };
    Ok(Node { value, span })
}

fn join_principals(all: bool, left: Principals, right: Principals, chain: bool) -> Principals {
    match (all, chain, left) {
        (true, true, Principals::All(mut parts)) => {
            parts.push(right);
            Principals::All(parts)
        }
        (false, true, Principals::Any(mut parts)) => {
            parts.push(right);
            Principals::Any(parts)
        }
        (true, _, left) => Principals::All(vec![left, right]),
        (false, _, left) => Principals::Any(vec![left, right]),
    }
}

fn join_tests(all: bool, left: Test, right: Test, chain: bool, span: Span) -> Test {
    let kind = match (all, chain, left.kind) {
        (true, true, TestKind::All(mut parts)) => {
            parts.push(right);
            TestKind::All(parts)
        }
        (false, true, TestKind::Any(mut parts)) => {
            parts.push(right);
            TestKind::Any(parts)
        }
        (true, _, kind) => TestKind::All(vec![Test { kind, span: left.span }, right]),
        (false, _, kind) => TestKind::Any(vec![Test { kind, span: left.span }, right]),
    };
    Test { kind, span }
}

fn concatenation(left: Text, right: Text, chain: bool, span: Span) -> Text {
    let kind = match (chain, left.kind) {
        (true, TextKind::Concatenation(mut parts)) => {
            parts.push(right);
            TextKind::Concatenation(parts)
        }
        (_, kind) => TextKind::Concatenation(vec![Text { kind, span: left.span }, right]),
    };
    Text { kind, span }
}

fn arithmetic(
    left: Node,
    symbol: &'static str,
    at: Span,
    right: Node,
    chain: bool,
) -> Parsed<Value> {
    let operator = match symbol {
        "+" => Operator::Add,
        "-" => Operator::Subtract,
        "*" => Operator::Multiply,
        "/" => Operator::Divide,
        "%" => Operator::Remainder,
        _ => Operator::Power,
    };
    match (left.value, right.value) {
        (Value::Integer(left), Value::Integer(right)) => {
            Ok(Value::Integer(extend(left, operator, right, chain)))
        }
        (Value::Float(_), Value::Float(_)) if operator == Operator::Remainder => {
            Err(Finding::error(at, "expected integers on both sides of `%`, found floats"))
        }
        (Value::Float(left), Value::Float(right)) => {
            Ok(Value::Float(extend(left, operator, right, chain)))
        }
        (left, right) => Err(mismatch(at, symbol, &left, &right)),
    }
}

fn extend<T>(left: Number<T>, operator: Operator, right: Number<T>, chain: bool) -> Number<T> {
    match left {
        Number::Chain(first, mut rest) if chain => {
            rest.push((operator, right));
            Number::Chain(first, rest)
        }
        left => Number::Chain(Box::new(left), vec![(operator, right)]),
    }
}

fn relation(left: Node, symbol: &'static str, at: Span, right: Node) -> Parsed<TestKind> {
    let Some(relation) = Relation::from_symbol(symbol) else {
        let text = as_text(right)?;
        return Ok(TestKind::Matches(as_text(left)?, Box::new(Pattern::new(text))));
    };
    match (left.value, right.value) {
        (Value::Integer(left), Value::Integer(right)) => Ok(TestKind::Integers(relation, left, right)),
        (Value::Float(_), Value::Float(_)) if matches!(relation, Relation::Equal | Relation::NotEqual) => {
            Err(Finding::error(at, format!("expected `<`, `>`, `<=` or `>=` between floats, found `{symbol}`"))
                .hint("floats have no exact equality (RFC 2704 section 4.6.5); test a range, or compare strings"))
        }
        (Value::Float(left), Value::Float(right)) => Ok(TestKind::Floats(relation, left, right)),
        (Value::Text(left), Value::Text(right)) => Ok(TestKind::Texts(relation, left, right)),
        (left, right) => Err(mismatch(at, symbol, &left, &right)),
    }
}

fn mismatch(at: Span, symbol: &str, left: &Value, right: &Value) -> Finding {
    let finding = Finding::error(
        at,
        format!(
            "expected two values of one type around `{symbol}`, found {} and {}",
            left.describe(),
            right.describe()
        ),
    );
    match (left, right) {
        (Value::Text(_), _) | (_, Value::Text(_)) => finding.hint(
            "`@name` reads a string as an integer, `&name` as a float, and `.` joins strings",
        ),
        (Value::Float(_), Value::Integer(_)) | (Value::Integer(_), Value::Float(_)) => finding
            .hint("write the integer as a float, `2.0`, or read attributes as floats with `&`"),
        _ => finding,
    }
}

fn unary(symbol: &str, at: Span, of: Node) -> Parsed<Node> {
    let span = at.to(of.span);
    let value = match (symbol, of.value) {
        ("!", value) => {
            let test = as_test(Node { value, span: of.span })?;
            Value::Test(Test { kind: TestKind::Not(Box::new(test)), span })
        }
        ("@", Value::Text(text)) => Value::Integer(Number::Convert(text)),
        ("&", Value::Text(text)) => Value::Float(Number::Convert(text)),
        ("-", Value::Integer(number)) => Value::Integer(Number::Negative(Box::new(number))),
        ("-", Value::Float(number)) => Value::Float(Number::Negative(Box::new(number))),
        ("-", value) => {
            return Err(Finding::error(
                at,
                format!("expected a number behind `-`, found {}", value.describe()),
            )
            .hint("`@name` reads a string as an integer, `&name` as a float"));
        }
        (symbol, value) => {
            return Err(Finding::error(
                at,
                format!("expected a string behind `{symbol}`, found {}", value.describe()),
            ));
        }
    };
    Ok(Node { value, span })
}

fn as_text(node: Node) -> Parsed<Text> {
    match node.value {
        Value::Text(text) => Ok(text),
        other => {
            Err(Finding::error(node.span, format!("expected a string, found {}", other.describe())))
        }
    }
}

/// A test; the bare words `true` and `false` are constants here, and attribute names everywhere else.
fn as_test(node: Node) -> Parsed<Test> {
    let span = node.span;
    match node.value {
        Value::Test(test) => Ok(test),
        Value::Text(Text { kind: TextKind::Attribute(name), .. }) if constant(&name.text).is_some() => {
            Ok(Test { kind: TestKind::Constant(constant(&name.text).unwrap_or(false)), span })
        }
        other => Err(Finding::error(span, format!("expected a test, found {}", other.describe()))
            .hint("compare it with something: `==`, `!=`, `<`, `>`, `<=`, `>=`, or `~=` for a regular expression")),
    }
}

fn constant(name: &[u8]) -> Option<bool> {
    [(b"true".as_slice(), true), (b"false", false)]
        .into_iter()
        .find(|(word, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, value)| value)
}

fn principals(node: Node) -> Parsed<Principals> {
    match node.value {
        Value::Principals(principals) => Ok(principals),
        Value::Text(text) => Ok(Principals::One(text)),
        other => Err(Finding::error(
            node.span,
            format!("expected a principal, found {}", other.describe()),
        )),
    }
}
