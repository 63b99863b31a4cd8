//! Assertions as RFC 2704 §4.6 describes them, one type per production; made at random, printed, and evaluated, but never
//! parsed. Nothing of the engine is in them.

/// `<StrEx>`
#[derive(Debug, Clone)]
pub enum Str {
    Literal(Vec<u8>),
    Attribute(&'static str),
    Dereference(Box<Str>),
    Join(Box<Str>, Box<Str>),
}

/// `<IntEx>` and `<FloatEx>`
#[derive(Debug, Clone)]
pub enum Num {
    /// A literal, as written.
    Literal(&'static str),
    Negative(Box<Num>),
    Compute(Box<Num>, char, Box<Num>),
    Convert(Str),
}

/// The regular expressions that the model itself can match.
#[derive(Debug, Clone, Copy)]
pub enum Pattern {
    /// `^abc$`
    Whole,
    /// `b`
    Contains,
    /// `(a)(b)?`
    Groups,
    /// `(`, which is invalid
    Invalid,
}

/// `<RelExpr>`
#[derive(Debug, Clone)]
pub enum Test {
    Constant(bool),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
    Integers(Num, &'static str, Num),
    Floats(Num, &'static str, Num),
    Strings(Str, &'static str, Str),
    Matches(Str, Pattern),
}

/// The part behind `->`
#[derive(Debug, Clone)]
pub enum Then {
    Nothing,
    Value(Str),
    Program(Vec<Clause>),
}

/// `<Clause>`
#[derive(Debug, Clone)]
pub struct Clause {
    pub test: Test,
    pub then: Then,
}

/// `<PrincExpr>`
#[derive(Debug, Clone)]
pub enum Princ {
    One(Str),
    And(Box<Princ>, Box<Princ>),
    Or(Box<Princ>, Box<Princ>),
    Of(u32, Vec<Str>),
}

/// A field that may be missing, or present and empty.
#[derive(Debug, Clone)]
pub enum Field<T> {
    Missing,
    Empty,
    Is(T),
}

/// `<Assertion>`
#[derive(Debug, Clone)]
pub struct Assertion {
    pub authorizer: Str,
    pub licensees: Field<Princ>,
    pub constants: Vec<(&'static str, Vec<u8>)>,
    pub conditions: Field<Vec<Clause>>,
}

/// The query of RFC 2704 §5.1.
#[derive(Debug, Clone)]
pub struct Query {
    pub attributes: Vec<(&'static str, Vec<u8>)>,
    pub requesters: Vec<&'static str>,
    pub values: Vec<&'static str>,
}
