//! One assertion: its text, its fields and its tree (RFC 2704 §4).

use crate::attributes::is_name;
use crate::source::{Finding, Source, Span};
use crate::syntax::fields::{self, RawField};
use crate::syntax::lexer::{Lexeme, Lexer, Token};
use crate::syntax::parser;
use crate::syntax::tree::{Constant, Field, Licensees, Tree};

/// The longest assertion, in bytes.
pub const MAX_ASSERTION: usize = 64 << 20;

/// A well-formed assertion. Its signature is not verified here, but when a set is built.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    source: Source,
    fields: Vec<RawField>,
    tree: Tree,
    warnings: Vec<Finding>,
}

impl Assertion {
    /// Parses the part of a source that holds one assertion.
    ///
    /// # Errors
    /// It is longer than [`MAX_ASSERTION`]; or else all errors of its layout; or else the first error of each field.
    pub fn parse(source: &Source, part: Span) -> Result<Self, Vec<Finding>> {
        let length = part.end() - part.start();
        if length > MAX_ASSERTION {
            let message =
                format!("expected an assertion of at most {MAX_ASSERTION} bytes, found {length}");
            return Err(vec![Finding::error(part, message)]);
        }
        let fields = fields::fields(source.text(), part)?;
        let mut reader = Reader { text: source.text(), findings: Vec::new(), warnings: Vec::new() };
        let tree = reader.tree(&fields);
        match tree {
            Some(tree) if reader.findings.is_empty() => {
                Ok(Self { source: source.clone(), fields, tree, warnings: reader.warnings })
            }
            _ => Err(reader.findings),
        }
    }

    /// Parses a text that is one assertion.
    ///
    /// # Errors
    /// The same as for [`parse`](Self::parse).
    pub fn from_source(source: &Source) -> Result<Self, Vec<Finding>> {
        Self::parse(source, Span::new(0, source.text().len()))
    }

    /// An assertion made from a tree. Its printed form becomes its text, so that a trace can show it; `name` is the name of that text.
    pub fn of_tree(name: &str, tree: Tree) -> Self {
        let source = Source::new(name, format!("{tree}\n").into_bytes());
        let whole = Span::new(0, source.text().len());
        // INVARIANT: the printer writes a valid layout.
        let fields = fields::fields(source.text(), whole).unwrap_or_default();
        Self { source, fields, tree, warnings: Vec::new() }
    }

    /// The source that contains the assertion, and perhaps others. For an assertion made by [`of_tree`](Self::of_tree), the printed tree.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// The fields of the assertion, in the order of the text.
    pub fn fields(&self) -> &[RawField] {
        &self.fields
    }

    /// A field, if the assertion has it.
    pub fn field(&self, field: Field) -> Option<&RawField> {
        self.fields.iter().find(|raw| raw.field == field)
    }

    /// The assertion as a tree.
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The assertion as a tree, by value.
    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// Findings about syntax that is valid but probably a mistake.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// The span from the first label to the end of the last field.
    pub fn span(&self) -> Span {
        let first = self.fields.first().map_or_else(Span::default, |field| field.label);
        self.fields.last().map_or(first, |last| first.to(last.content))
    }

    /// The bytes that a signature covers, apart from the name of its algorithm: from the first label up to the label of the
    /// signature (RFC 2704 §4.6.7); the whole assertion if it has no signature.
    pub fn body(&self) -> &[u8] {
        let start = self.span().start();
        let end = self
            .field(Field::Signature)
            .map_or_else(|| self.span().end(), |field| field.label.start());
        self.source.slice(Span::new(start, end))
    }
}

/// Parses all assertions of a file.
///
/// # Errors
/// The errors of all assertions; once there are 100, no further assertion is parsed. A file is accepted as a whole or not at all, because
/// half a policy means something else.
pub fn parse_file(source: &Source) -> Result<Vec<Assertion>, Vec<Finding>> {
    let mut assertions = Vec::new();
    let mut findings = Vec::new();
    for part in fields::split(source.text()) {
        if findings.len() >= fields::MAX_FINDINGS {
            break;
        }
        match Assertion::parse(source, part) {
            Ok(assertion) => assertions.push(assertion),
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(assertions) } else { Err(findings) }
}

struct Reader<'t> {
    text: &'t [u8],
    findings: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Reader<'_> {
    /// Reads every field even after an error, so that the author sees the errors of all fields at once.
    fn tree(&mut self, fields: &[RawField]) -> Option<Tree> {
        let content = |field| fields.iter().find(|raw| raw.field == field).map(|raw| raw.content);
        if let Some(span) = content(Field::Version) {
            let version = version(self.text, span);
            self.keep(version);
        }
        let authorizer = content(Field::Authorizer).and_then(|span| {
            let authorizer = parser::text(self.text, span);
            self.keep(authorizer)
        });
        let licensees = content(Field::Licensees).map(|span| {
            let licensees = parser::licensees(self.text, span);
            self.keep(licensees).flatten().map_or(Licensees::Empty, Licensees::Principals)
        });
        let constants = content(Field::LocalConstants).map(|span| {
            let constants = constants(self.text, span);
            self.keep(constants).unwrap_or_default()
        });
        let conditions = content(Field::Conditions).map(|span| {
            let conditions = parser::conditions(self.text, span);
            self.keep(conditions).unwrap_or_default()
        });
        let signature = content(Field::Signature).and_then(|span| self.signature(span));
        Some(Tree {
            authorizer: authorizer?,
            licensees,
            constants: constants.unwrap_or_default(),
            conditions,
            signature,
        })
    }

    fn signature(&mut self, span: Span) -> Option<crate::syntax::tree::Text> {
        let signature = parser::signature(self.text, span);
        let (text, rest) = self.keep(signature)?;
        if let Some(rest) = rest {
            self.warnings.push(
                Finding::warning(
                    "text-after-signature",
                    rest,
                    "text behind the signature is not part of the assertion",
                )
                .hint("remove it: whatever it says, it is not evaluated"),
            );
        }
        Some(text)
    }

    fn keep<T>(&mut self, result: Result<T, Finding>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(finding) => {
                self.findings.push(finding);
                None
            }
        }
    }
}

/// Checks that `<VersionString>` is `2` or `"2"` (RFC 2704 §4.6.1).
fn version(text: &[u8], content: Span) -> Result<(), Finding> {
    let mut lexer = Lexer::new(text, content);
    let version = lexer.read()?;
    let end = lexer.read()?;
    let known = match &version.token {
        Token::Integer(Some(2)) => text.get(version.span.range()) == Some(b"2"),
        Token::String(value) => **value == *b"2",
        _ => false,
    };
    if known && end.token == Token::End {
        return Ok(());
    }
    let wrong = if known { end } else { version };
    Err(Finding::error(
        wrong.span,
        format!("expected KeyNote version `2` and nothing else, found {}", wrong.describe()),
    ))
}

/// Parses `<Assignments>`, the local constants (RFC 2704 §4.6.2).
fn constants(text: &[u8], content: Span) -> Result<Vec<Constant>, Finding> {
    let mut lexer = Lexer::new(text, content);
    let mut constants: Vec<Constant> = Vec::new();
    let mut names = std::collections::HashSet::new();
    loop {
        let name = lexer.read()?;
        let text = match name.token {
            Token::End => return Ok(constants),
            Token::Name(ref text) => text.clone(),
            _ => return Err(expected(&name, "an attribute name")),
        };
        if !is_name(&text) || text.starts_with(b"_") {
            return Err(Finding::error(
                name.span,
                format!("expected a name that begins with a letter, found {}", name.describe()),
            )
            .hint("names that begin with `_` are the evaluator's own (RFC 2704 section 3)"));
        }
        let equals = lexer.read()?;
        if !equals.is("=") {
            return Err(expected(&equals, "`=`"));
        }
        let literal = lexer.read()?;
        let Token::String(ref value) = literal.token else {
            return Err(expected(&literal, "a string in double quotes"));
        };
        if !names.insert(text.clone()) {
            return Err(Finding::error(name.span, format!("{} is given a value a second time", name.describe()))
                .hint("a local constant is set once; the assertion counts for nothing otherwise (RFC 2704 section 4.6.2)"));
        }
        constants.push(Constant {
            name: text,
            value: value.clone(),
            span: name.span.to(literal.span),
        });
    }
}

fn expected(found: &Lexeme, what: &str) -> Finding {
    Finding::error(found.span, format!("expected {what}, found {}", found.describe()))
        .hint("local constants are written `NAME = \"value\"`, one behind the other")
}
