//! The types of expressions, checked while they are parsed: the operands that each operator takes, and the type of its result.

use crate::source::{Finding, Span};
use crate::syntax::tree::{
    Float, Integer, Number, Operator, Pattern, Principals, Relation, Test, TestKind, Text, TextKind,
};

/// The result of parsing a part of a field, or the error.
pub(super) type Parsed<T> = Result<T, Finding>;

/// The kind of expression that a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Text,
    Licensees,
    Conditions,
    /// A signature. The text after it is not part of the assertion, and need not consist of tokens.
    Signature,
}

/// An expression with its type.
pub(super) enum Value {
    Test(Test),
    Text(Text),
    Integer(Integer),
    Float(Float),
    Principals(Principals),
}

/// An expression with its type and its span.
pub(super) struct Node {
    /// The expression.
    pub value: Value,
    /// The span of the expression in the source.
    pub span: Span,
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

/// The operator that joins tests or principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Junction {
    /// `&&`
    And,
    /// `||`
    Or,
}

impl Junction {
    fn of(symbol: &str) -> Self {
        if symbol == "&&" { Self::And } else { Self::Or }
    }
}

/// Whether an operator continues the chain on its left, as in `a && b && c`, or begins a new one. A chain in parentheses cannot be
/// continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    /// The operator continues the chain on its left.
    GoesOn,
    /// The operator begins a new chain.
    Begins,
}

/// Makes the expression `left symbol right`; `at` is the span of the symbol. An error if the types of the operands do not fit.
pub(super) fn combine(
    mode: Mode,
    left: Node,
    symbol: &'static str,
    at: Span,
    right: Node,
    chain: Chain,
) -> Parsed<Node> {
    let span = left.span.to(right.span);
    let value = match symbol {
        "||" | "&&" if mode == Mode::Licensees => Value::Principals(join_principals(
            Junction::of(symbol),
            principals(left)?,
            principals(right)?,
            chain,
        )),
        "||" | "&&" => {
            let junction = Junction::of(symbol);
            Value::Test(join_tests(junction, as_test(left)?, as_test(right)?, chain, span))
        }
        "." => Value::Text(concatenation(as_text(left)?, as_text(right)?, chain, span)),
        "+" | "-" | "*" | "/" | "%" | "^" => arithmetic(left, symbol, at, right, chain)?,
        _ => Value::Test(Test { kind: relation(left, symbol, at, right)?, span }),
    };
    Ok(Node { value, span })
}

fn join_principals(
    junction: Junction,
    left: Principals,
    right: Principals,
    chain: Chain,
) -> Principals {
    match (junction, chain, left) {
        (Junction::And, Chain::GoesOn, Principals::All(mut parts)) => {
            parts.push(right);
            Principals::All(parts)
        }
        (Junction::Or, Chain::GoesOn, Principals::Any(mut parts)) => {
            parts.push(right);
            Principals::Any(parts)
        }
        (Junction::And, _, left) => Principals::All(vec![left, right]),
        (Junction::Or, _, left) => Principals::Any(vec![left, right]),
    }
}

fn join_tests(junction: Junction, left: Test, right: Test, chain: Chain, span: Span) -> Test {
    let kind = match (junction, chain, left.kind) {
        (Junction::And, Chain::GoesOn, TestKind::All(mut parts)) => {
            parts.push(right);
            TestKind::All(parts)
        }
        (Junction::Or, Chain::GoesOn, TestKind::Any(mut parts)) => {
            parts.push(right);
            TestKind::Any(parts)
        }
        (Junction::And, _, kind) => TestKind::All(vec![Test { kind, span: left.span }, right]),
        (Junction::Or, _, kind) => TestKind::Any(vec![Test { kind, span: left.span }, right]),
    };
    Test { kind, span }
}

fn concatenation(left: Text, right: Text, chain: Chain, span: Span) -> Text {
    let kind = match (chain, left.kind) {
        (Chain::GoesOn, TextKind::Concatenation(mut parts)) => {
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
    chain: Chain,
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

fn extend<T>(left: Number<T>, operator: Operator, right: Number<T>, chain: Chain) -> Number<T> {
    match left {
        Number::Chain(first, mut rest) if chain == Chain::GoesOn => {
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

pub(super) fn unary(symbol: &str, at: Span, of: Node) -> Parsed<Node> {
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

pub(super) fn as_text(node: Node) -> Parsed<Text> {
    match node.value {
        Value::Text(text) => Ok(text),
        other => {
            Err(Finding::error(node.span, format!("expected a string, found {}", other.describe())))
        }
    }
}

/// Makes a test. The bare words `true` and `false` are constants as tests, and attribute names everywhere else.
pub(super) fn as_test(node: Node) -> Parsed<Test> {
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

pub(super) fn principals(node: Node) -> Parsed<Principals> {
    match node.value {
        Value::Principals(principals) => Ok(principals),
        Value::Text(text) => Ok(Principals::One(text)),
        other => Err(Finding::error(
            node.span,
            format!("expected a principal, found {}", other.describe()),
        )),
    }
}
