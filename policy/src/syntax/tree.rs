//! An assertion as a tree. The types follow the grammar of RFC 2704 §4.

use std::fmt;
use std::sync::OnceLock;

use crate::attributes;
use crate::regex::{Regex, RegexError};
use crate::source::Span;

/// The fields of RFC 2704 §4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `KeyNote-Version`
    Version,
    /// `Authorizer`
    Authorizer,
    /// `Licensees`
    Licensees,
    /// `Local-Constants`
    LocalConstants,
    /// `Conditions`
    Conditions,
    /// `Comment`
    Comment,
    /// `Signature`
    Signature,
}

impl Field {
    /// All fields, in the order of the grammar.
    pub const ALL: [Self; 7] = [
        Self::Version,
        Self::Authorizer,
        Self::Licensees,
        Self::LocalConstants,
        Self::Conditions,
        Self::Comment,
        Self::Signature,
    ];

    /// The label, without its colon.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Version => "KeyNote-Version",
            Self::Authorizer => "Authorizer",
            Self::Licensees => "Licensees",
            Self::LocalConstants => "Local-Constants",
            Self::Conditions => "Conditions",
            Self::Comment => "Comment",
            Self::Signature => "Signature",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// An assertion (`<Assertion>`, RFC 2704 §4.1), without its version and comment.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// `<AuthField>`: the principal that makes the assertion.
    pub authorizer: Text,
    /// `<LicenseesField>`; `None` if it is missing, which means all principals.
    pub licensees: Option<Licensees>,
    /// `<LocalConstantsField>`; empty if it is missing.
    pub constants: Vec<Constant>,
    /// `<ConditionsField>`; `None` if it is missing, which means `_MAX_TRUST`.
    pub conditions: Option<Program>,
    /// `<SignatureField>`; `None` if the assertion is not signed.
    pub signature: Option<Text>,
}

/// A local constant, one of `<Assignments>`: a name and a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// The name.
    pub name: Box<[u8]>,
    /// The value, without quotes and escapes.
    pub value: Box<[u8]>,
    /// The span from the name to the end of the value.
    pub span: Span,
}

/// The content of the licensees field, `<LicenseesExpr>`.
#[derive(Debug, Clone, PartialEq)]
pub enum Licensees {
    /// The field is present and empty.
    Empty,
    /// `<PrincExpr>`
    Principals(Principals),
}

/// An expression of principals (`<PrincExpr>`, RFC 2704 §4.6.4).
#[derive(Debug, Clone, PartialEq)]
pub enum Principals {
    /// `<PrincipalIdentifier>` or `<DerefAttribute>`
    One(Text),
    /// `a && b && c`
    All(Vec<Principals>),
    /// `a || b || c`
    Any(Vec<Principals>),
    /// `<K>-of(<PrincList>)`
    Threshold {
        /// The number of principals required.
        k: u32,
        /// The list of principals.
        of: Vec<Text>,
        /// The span from K to the closing parenthesis.
        span: Span,
    },
}

impl Principals {
    /// Every principal in the expression, from left to right.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            Self::One(text) => vec![text],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::texts).collect(),
            Self::Threshold { of, .. } => of.iter().collect(),
        }
    }
}

/// A string expression (`<StrEx>`, RFC 2704 §4.3.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// The form of the expression.
    pub kind: TextKind,
    /// The span of the expression in the source.
    pub span: Span,
}

impl Text {
    /// The value of a literal; `None` for a string that depends on attributes and so on the question.
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match &self.kind {
            TextKind::Literal(literal) => Some(literal),
            _ => None,
        }
    }
}

/// The forms of `<StrEx>`.
#[derive(Debug, Clone, PartialEq)]
pub enum TextKind {
    /// `<StringLiteral>`
    Literal(Box<[u8]>),
    /// `<DerefAttribute>`
    Attribute(Name),
    /// `"$" <StrEx>`
    Dereference(Box<Text>),
    /// `a . b . c`
    Concatenation(Vec<Text>),
}

/// An attribute's name, and the source of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name as written.
    pub text: Box<[u8]>,
    /// The source of the value.
    pub owner: Owner,
    /// The hash of the name, for the lookup in an action attribute set.
    pub(crate) hash: u64,
    /// The slot in which a question caches the value; [`NO_SLOT`] if it is not cached, because no slot was assigned, or other names have
    /// all slots.
    pub(crate) slot: u8,
}

/// The number of attribute values that a question caches.
pub(crate) const SLOTS: u8 = 48;
/// The slot of an attribute that is not cached but looked up each time.
pub(crate) const NO_SLOT: u8 = u8::MAX;

/// The source of an attribute's value (RFC 2704 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The action attribute set.
    Action,
    /// `_MIN_TRUST`
    MinTrust,
    /// `_MAX_TRUST`
    MaxTrust,
    /// `_VALUES`
    Values,
    /// `_ACTION_AUTHORIZERS`
    ActionAuthorizers,
    /// `_0`: the number of groups of the last regular expression that matched; `_1`, `_2`, …: the text that the group of this number
    /// matched.
    Group(u32),
    /// Any other name that begins with `_`: always empty.
    Undefined,
}

impl Name {
    /// A name without a slot. The source of its value follows from the name.
    pub fn new(text: &[u8]) -> Self {
        Self {
            text: text.into(),
            owner: Owner::of(text),
            hash: attributes::hash(text),
            slot: NO_SLOT,
        }
    }
}

impl Owner {
    /// The source of a name's value.
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"_MIN_TRUST" => Self::MinTrust,
            b"_MAX_TRUST" => Self::MaxTrust,
            b"_VALUES" => Self::Values,
            b"_ACTION_AUTHORIZERS" => Self::ActionAuthorizers,
            [b'_', digits @ ..] => group(digits).map_or(Self::Undefined, Self::Group),
            _ => Self::Action,
        }
    }
}

fn group(digits: &[u8]) -> Option<u32> {
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.len() < 6;
    (canonical && digits.iter().all(u8::is_ascii_digit))
        .then(|| digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

/// The clauses of a conditions field or of braces in it (`<ConditionsProgram>`, RFC 2704 §4.6.5).
pub type Program = Vec<Clause>;

/// A clause (`<Clause>`): a test, and the value if the test is true.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// `<Test>`
    pub test: Test,
    /// The part after `->`, if there is one.
    pub then: Then,
    /// The span of the clause, without the semicolon.
    pub span: Span,
}

/// The value of a clause whose test is true.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// No value is written: `_MAX_TRUST`.
    MaxTrust,
    /// `-> <Value>`
    Value(Text),
    /// `-> { <ConditionsProgram> }`
    Program(Program),
}

/// A test (`<RelExpr>`). Its parts are in the order in which they are evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// The form of the test.
    pub kind: TestKind,
    /// The span of the test in the source.
    pub span: Span,
}

/// The forms of `<RelExpr>`.
#[derive(Debug, Clone, PartialEq)]
pub enum TestKind {
    /// `true` or `false`
    Constant(bool),
    /// `a && b && c`
    All(Vec<Test>),
    /// `a || b || c`
    Any(Vec<Test>),
    /// `! a`
    Not(Box<Test>),
    /// `<IntRelExpr>`
    Integers(Relation, Integer, Integer),
    /// `<FloatRelExpr>`
    Floats(Relation, Float, Float),
    /// `<StringRelExpr>`, except for `~=`
    Texts(Relation, Text, Text),
    /// `<StrEx> "~=" <RegExpr>`
    Matches(Text, Box<Pattern>),
}

/// A regular expression (`<RegExpr>`). A literal is compiled once: in policy when it is loaded, in credentials when a question first needs
/// it.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// The string expression of the pattern.
    pub text: Text,
    compiled: OnceLock<Result<Regex, RegexError>>,
    /// Whether a part of the clause may use the text that a group matched, so that these texts must be recorded.
    pub(crate) captures: bool,
}

impl Pattern {
    /// A pattern that is not compiled yet.
    pub const fn new(text: Text) -> Self {
        Self { text, compiled: OnceLock::new(), captures: false }
    }

    /// The regular expression of a literal, or its error; `None` for a pattern that is computed.
    pub fn regex(&self) -> Option<&Result<Regex, RegexError>> {
        let pattern = self.text.literal()?;
        Some(self.compiled.get_or_init(|| Regex::new(pattern)))
    }

    /// Whether [`regex`](Self::regex) was called before.
    pub(crate) fn is_compiled(&self) -> bool {
        self.compiled.get().is_some()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The operator of a comparison, except for `~=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `<=`
    LessOrEqual,
    /// `>=`
    GreaterOrEqual,
}

impl Relation {
    /// The operator as written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::LessOrEqual => "<=",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The relation that holds between `b` and `a` exactly if this one holds between `a` and `b`.
    pub const fn mirrored(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::Greater => Self::Less,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// The relation with this symbol; `None` if there is none.
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        [
            Self::Equal,
            Self::NotEqual,
            Self::Less,
            Self::Greater,
            Self::LessOrEqual,
            Self::GreaterOrEqual,
        ]
        .into_iter()
        .find(|relation| relation.symbol() == symbol)
    }

    /// Whether the relation holds between two values.
    pub fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::Greater => left > right,
            Self::LessOrEqual => left <= right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// An operator of arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`, integers only
    Remainder,
    /// `^`
    Power,
}

impl Operator {
    /// The operator as written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Power => "^",
        }
    }
}

/// An integer expression, `<IntEx>`.
pub type Integer = Number<i32>;
/// A float expression, `<FloatEx>`.
pub type Float = Number<f64>;

/// An expression of numbers, `<IntEx>` or `<FloatEx>`.
#[derive(Debug, Clone, PartialEq)]
pub enum Number<T> {
    /// A literal.
    Literal(T),
    /// `"-" a`
    Negative(Box<Number<T>>),
    /// `a + b - c`: operators of the same precedence, from left to right.
    Chain(Box<Number<T>>, Vec<(Operator, Number<T>)>),
    /// `"@" <StrEx>` for an integer, `"&" <StrEx>` for a float.
    Convert(Text),
}

impl Tree {
    /// Every string expression of the authorizer, the licensees and the conditions, including expressions inside others.
    pub fn texts(&self) -> Vec<&Text> {
        let mut texts = Vec::new();
        inner_texts(&self.authorizer, &mut texts);
        if let Some(Licensees::Principals(principals)) = &self.licensees {
            principals.texts().into_iter().for_each(|text| inner_texts(text, &mut texts));
        }
        self.conditions.iter().for_each(|program| program_texts(program, &mut texts));
        texts
    }
}

impl Test {
    /// Every string expression in the number, including expressions inside others.
    pub fn texts(&self) -> Vec<&Text> {
        let mut texts = Vec::new();
        test_texts(self, &mut texts);
        texts
    }
}
fn program_texts<'t>(program: &'t Program, into: &mut Vec<&'t Text>) {
    for clause in program {
        test_texts(&clause.test, into);
        match &clause.then {
            Then::MaxTrust => {}
            Then::Value(value) => inner_texts(value, into),
            Then::Program(program) => program_texts(program, into),
        }
    }
}

fn test_texts<'t>(test: &'t Test, into: &mut Vec<&'t Text>) {
    match &test.kind {
        TestKind::Constant(_) => {}
        TestKind::All(parts) | TestKind::Any(parts) => {
            parts.iter().for_each(|part| test_texts(part, into))
        }
        TestKind::Not(of) => test_texts(of, into),
        TestKind::Integers(_, left, right) => {
            [left, right].into_iter().for_each(|of| number_texts(of, into))
        }
        TestKind::Floats(_, left, right) => {
            [left, right].into_iter().for_each(|of| number_texts(of, into))
        }
        TestKind::Texts(_, left, right) => {
            [left, right].into_iter().for_each(|of| inner_texts(of, into))
        }
        TestKind::Matches(text, pattern) => {
            [text, &pattern.text].into_iter().for_each(|of| inner_texts(of, into))
        }
    }
}

fn number_texts<'t, T>(number: &'t Number<T>, into: &mut Vec<&'t Text>) {
    match number {
        Number::Literal(_) => {}
        Number::Negative(of) => number_texts(of, into),
        Number::Chain(first, rest) => {
            number_texts(first, into);
            rest.iter().for_each(|(_, operand)| number_texts(operand, into));
        }
        Number::Convert(text) => inner_texts(text, into),
    }
}

fn inner_texts<'t>(text: &'t Text, into: &mut Vec<&'t Text>) {
    into.push(text);
    match &text.kind {
        TextKind::Literal(_) | TextKind::Attribute(_) => {}
        TextKind::Dereference(of) => inner_texts(of, into),
        TextKind::Concatenation(parts) => parts.iter().for_each(|part| inner_texts(part, into)),
    }
}
