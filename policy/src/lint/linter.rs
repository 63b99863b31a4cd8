//! What an author should hear about an assertion that is well formed: it may say more, or less, than was meant.
//!
//! | code | what is found |
//! | --- | --- |
//! | `allow-all` | no licensees field: everybody; no conditions field: everything |
//! | `undefined-attribute` | a name that is neither in the vocabulary nor a local constant |
//! | `impossible-value` | a literal that the attribute's format never equals |
//! | `numeric-strings` | numbers ordered as strings, where `10` comes before `9` |
//! | `never-true` | a clause that cannot fire |
//! | `always-true` | a test that cannot fail, or a clause that makes a later one pointless |
//! | `invalid-regex` | a pattern that is no regular expression: its test is false |
//! | `unknown-value` | a compliance value that is not in the order: it counts as the lowest |
//! | `nobody` | a licensee that can neither ask nor make assertions here, or that nobody asks as in this spelling |
//! | `unpadded-address` | an address ordered as a string that is not written as the attribute writes it |
//! | `unknown-key-algorithm` | a principal that looks like a key and is compared as plain text |
//! | `weak-signature` | a signature by MD5, SHA-1 or DSA |
//! | `weak-key` | an RSA key below 2048 bits, or a DSA key |
//! | `unused-constant` | a local constant that nothing refers to |
//! | `keyword` | an attribute named `true` or `false` |
//! | `reserved-name` | a name that begins with `_` and is not the evaluator's |
//! | `blank-line` | a line of white space, which does not end an assertion |
//! | `text-after-signature` | text that is not part of the assertion |

use std::collections::HashSet;

use crate::attributes::AttributeSet;
use crate::bind::{bind, literal};
use crate::evaluate::Evaluation;
use crate::ipsec::asks::{self, Nobody};
use crate::ipsec::{self, Format};
use crate::key::PublicKey;
use crate::principal::Principal;
use crate::signature::Signature;
use crate::source::{Finding, Severity, Span, discreet, printable};
use crate::syntax::Assertion;
use crate::syntax::tree::{
    Clause, Licensees, Name, Owner, Program, Relation, Test, TestKind, Text, TextKind, Then, Tree,
};
use crate::values::ComplianceValues;

/// What is taken for granted.
#[derive(Debug, Clone, Copy)]
pub struct Options<'o> {
    /// The order that questions will use.
    pub values: &'o ComplianceValues,
    /// Whether attributes are those of IPsec (`isakmpd.policy(5)`), or unknown.
    pub ipsec: bool,
}

/// The findings that are errors: what counts for less than it seems to, so that the assertions should not be used as they stand.
pub fn errors(assertions: &[Assertion], values: &ComplianceValues) -> Vec<Finding> {
    let findings = lint(assertions, Options { values, ipsec: false }).into_iter();
    findings.map(|(_, finding)| finding).filter(|of| of.severity == Severity::Error).collect()
}

/// How much of a name is shown, in bytes.
const SHOWN: usize = 120;

/// Everything worth saying about assertions that will be used together, each with the position of its assertion.
pub fn lint(assertions: &[Assertion], options: Options<'_>) -> Vec<(usize, Finding)> {
    let authorizers: HashSet<Principal> =
        assertions.iter().filter_map(|assertion| assertion.tree().known_authorizer()).collect();
    let each = assertions.iter().enumerate();
    each.flat_map(|(position, assertion)| {
        let mut linter = Linter {
            options,
            assertion,
            bound: bind(assertion.tree().clone()).0,
            authorizers: &authorizers,
            findings: assertion.warnings().to_vec(),
        };
        linter.run();
        linter.findings.sort_by_key(|finding| finding.span);
        linter.findings.into_iter().map(move |finding| (position, finding))
    })
    .collect()
}

struct Linter<'l> {
    options: Options<'l>,
    assertion: &'l Assertion,
    /// The tree with local constants in their places.
    bound: Tree,
    authorizers: &'l HashSet<Principal>,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn run(&mut self) {
        let tree = self.assertion.tree().clone();
        let bound = self.bound.clone();
        self.missing_fields(&tree);
        self.blank_lines();
        self.names(&tree);
        self.principals(&bound);
        self.signature(&bound);
        if let Some(program) = &bound.conditions {
            self.program(program);
        }
    }

    fn warn(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding::warning(code, span, message).hint(hint));
    }

    fn missing_fields(&mut self, tree: &Tree) {
        let at = self.assertion.fields().first().map_or_else(Span::default, |field| field.label);
        if tree.licensees.is_none() {
            let message = "there is no `Licensees` field: everybody is meant, whoever asks";
            self.warn("allow-all", at, message, "name whom you trust; an empty field means nobody");
        }
        if tree.conditions.is_none() {
            let message = "there is no `Conditions` field: every action is allowed";
            self.warn(
                "allow-all",
                at,
                message,
                "write `Conditions: true;` if that is meant; an empty field allows nothing",
            );
        }
    }

    fn blank_lines(&mut self) {
        let span = self.assertion.body().len();
        let start = self.assertion.span().start();
        let mut at = start;
        let body = self.assertion.body().to_vec();
        for line in body.split(|byte| *byte == b'\n') {
            if !line.is_empty() && line.trim_ascii().is_empty() && at < start + span {
                let message = "this line holds only white space: it continues the field, and does not end the assertion";
                self.warn(
                    "blank-line",
                    Span::new(at, at + line.len()),
                    message,
                    "remove it, or empty it to end the assertion",
                );
            }
            at += line.len() + 1;
        }
    }

    /// Attribute names as the author wrote them, and what local constants are for.
    fn names(&mut self, tree: &Tree) {
        let constants: HashSet<&[u8]> =
            tree.constants.iter().map(|constant| &*constant.name).collect();
        let mut used: HashSet<&[u8]> = HashSet::new();
        let mut computed = false;
        for text in tree.texts() {
            match &text.kind {
                TextKind::Attribute(name) if constants.contains(&*name.text) => {
                    used.insert(&name.text);
                }
                TextKind::Attribute(name) => self.name(name, text.span),
                TextKind::Dereference(of) => match literal(of) {
                    Some(name) if constants.contains(name) => {
                        used.insert(name);
                    }
                    _ => computed = true,
                },
                _ => {}
            }
        }
        for constant in
            tree.constants.iter().filter(|constant| !computed && !used.contains(&*constant.name))
        {
            let message = format!("local constant `{}` is never used", printable(&constant.name));
            self.warn("unused-constant", constant.span, message, "remove it, or use it");
        }
    }

    fn name(&mut self, name: &Name, span: Span) {
        let shown = printable(&name.text);
        if name.owner == Owner::Nobody {
            let message = format!("attribute `{shown}` is always empty");
            return self.warn(
                "reserved-name",
                span,
                message,
                "names that begin with `_` are the evaluator's own",
            );
        }
        if name.owner != Owner::Action {
            return;
        }
        if name.text.eq_ignore_ascii_case(b"true") || name.text.eq_ignore_ascii_case(b"false") {
            let message = format!("`{shown}` is an attribute's name here, not a constant");
            self.warn(
                "keyword",
                span,
                message,
                "the constants `true` and `false` stand alone as tests",
            );
        } else if self.options.ipsec && ipsec::attribute(&shown).is_none() {
            let near = ipsec::names()
                .map(|known| (strsim::damerau_levenshtein(&shown, known), known))
                .filter(|(distance, _)| *distance <= 1 + shown.len() / 4)
                .min();
            let hint = near.map_or_else(
                || "it counts as the empty string; `policy vocabulary` lists the names that are set".to_owned(),
                |(_, known)| format!("did you mean `{known}`? an undefined attribute counts as the empty string"),
            );
            self.warn(
                "undefined-attribute",
                span,
                format!("attribute `{shown}` is never set"),
                hint,
            );
        }
    }

    fn principals(&mut self, bound: &Tree) {
        let mut texts = vec![&bound.authorizer];
        if let Some(Licensees::Principals(principals)) = &bound.licensees {
            texts.extend(principals.texts());
        }
        for (position, text) in texts.into_iter().enumerate() {
            let Some(name) = literal(text) else { continue };
            match Principal::parse(name) {
                Err(error) => self.findings.push(Finding {
                    severity: Severity::Error,
                    code: "malformed-key",
                    span: text.span,
                    message: error.to_string(),
                    hint: Some(
                        "the whole assertion counts for nothing as long as it stands here".into(),
                    ),
                }),
                Ok(principal) => self.principal(&principal, name, text.span, position == 0),
            }
        }
    }

    fn principal(&mut self, principal: &Principal, name: &[u8], span: Span, authorizer: bool) {
        match principal.key() {
            Some(PublicKey::Dsa(_)) => {
                self.warn(
                    "weak-key",
                    span,
                    "this is a DSA key",
                    "its signatures use SHA-1; take ECDSA or Ed25519",
                );
            }
            Some(PublicKey::Rsa(key)) if key.bits() < 2048 => {
                let message = format!("this RSA key has {} bits", key.bits());
                self.warn(
                    "weak-key",
                    span,
                    message,
                    "take 2048 bits at least, or ECDSA or Ed25519",
                );
            }
            Some(_) => {}
            None if authorizer || self.authorizers.contains(principal) => {}
            None if asks::is_peers(name) => {
                if let (true, Err(Nobody { why, hint })) = (self.options.ipsec, asks::check(name)) {
                    let message = format!("nobody can ask as `{}`: {why}", discreet(name, SHOWN));
                    self.warn("nobody", span, message, hint);
                }
            }
            None => self.stranger(name, span),
        }
    }

    /// A licensee that is neither a key, nor a peer's name, nor one that an assertion here makes.
    fn stranger(&mut self, name: &[u8], span: Span) {
        let meant = asks::beginning(name);
        if looks_like_a_key(name) && meant.is_none() {
            let message = format!(
                "`{}` is no key algorithm of KeyNote: it is compared as plain text",
                algorithm(name)
            );
            let hint = "the names are `rsa-hex:`, `rsa-base64:`, `x509-base64:`, `ecdsa-p256-hex:`, `ed25519-hex:` and \
                        their like";
            return self.warn("unknown-key-algorithm", span, message, hint);
        }
        let message = format!("nobody can speak for `{}`", discreet(name, SHOWN));
        let hint = match meant {
            Some(meant) => format!("did you mean `{meant}`? names are compared in their case"),
            None => "peers ask as a key, as `DN:…`, as `passphrase:…` or its hash, as `EAP:…` or `XAUTH:…`; any other name needs an \
                     assertion that it makes"
                .into(),
        };
        self.warn("nobody", span, message, hint);
    }

    fn signature(&mut self, bound: &Tree) {
        let Some(text) = &bound.signature else { return };
        let Some(signature) = literal(text).and_then(|text| Signature::parse(text).ok()) else {
            return;
        };
        if signature.algorithm().is_legacy() {
            let message =
                format!("signature algorithm `{}` is broken or weak", signature.algorithm().name());
            let hint = "it does not count unless legacy signatures are accepted; sign again with ECDSA, Ed25519 or RSA \
                        with SHA-256";
            self.warn("weak-signature", text.span, message, hint);
        }
    }

    fn program(&mut self, program: &Program) {
        let mut done: Option<Span> = None;
        for clause in program {
            if done.is_some() {
                let message =
                    "an earlier clause always gives the highest value: this one changes nothing";
                self.warn("always-true", clause.span, message, "remove one of them");
            }
            self.clause(clause);
            let highest = match &clause.then {
                Then::MaxTrust => true,
                Then::Value(value) => self.is_highest(value),
                Then::Program(_) => false,
            };
            if known(&clause.test) == Some(true) && highest {
                done = done.or(Some(clause.span));
            }
        }
    }

    fn is_highest(&self, value: &Text) -> bool {
        let values = self.options.values;
        match &value.kind {
            TextKind::Literal(name) => values.position(name) == Some(values.max()),
            TextKind::Attribute(name) => name.owner == Owner::MaxTrust,
            _ => false,
        }
    }

    fn clause(&mut self, clause: &Clause) {
        self.test(&clause.test);
        match &clause.then {
            Then::MaxTrust => {}
            Then::Value(value) => self.value(value),
            Then::Program(program) if program.is_empty() => {
                self.warn(
                    "never-true",
                    clause.span,
                    "there is no clause in the braces: this gives nothing",
                    "write one",
                );
            }
            Then::Program(program) => self.program(program),
        }
        // `false` and `true` as whole tests are meant.
        if matches!(clause.test.kind, TestKind::Constant(_)) {
            return;
        }
        match known(&clause.test) {
            Some(true) => {
                let hint = "write `true` if that is meant";
                self.warn(
                    "always-true",
                    clause.test.span,
                    "this test is true whatever is asked",
                    hint,
                );
            }
            Some(false) => {
                let hint = "the clause gives nothing; write `false` if that is meant";
                self.warn(
                    "never-true",
                    clause.test.span,
                    "this test is false whatever is asked",
                    hint,
                );
            }
            None => {}
        }
    }

    fn value(&mut self, value: &Text) {
        let Some(name) = literal(value) else { return };
        if self.options.values.position(name).is_none() {
            let known: Vec<String> = self.options.values.iter().map(printable).collect();
            let message = format!(
                "compliance value `{}` is not in the order: it counts as the lowest",
                printable(name)
            );
            let hint = format!("the values are `{}`", known.join("`, `"));
            self.findings.push(Finding {
                severity: Severity::Error,
                code: "unknown-value",
                span: value.span,
                message,
                hint: Some(hint),
            });
        }
    }

    fn test(&mut self, test: &Test) {
        match &test.kind {
            TestKind::All(parts) | TestKind::Any(parts) => {
                parts.iter().for_each(|part| self.test(part))
            }
            TestKind::Not(of) => self.test(of),
            TestKind::Texts(relation, left, right) => {
                self.texts(*relation, left, right);
                self.texts(*relation, right, left);
            }
            TestKind::Matches(_, pattern) => {
                if let Some(Err(error)) = pattern.regex() {
                    self.findings.push(Finding {
                        severity: Severity::Error,
                        code: "invalid-regex",
                        span: pattern.text.span,
                        message: format!(
                            "this is no regular expression, so the test is false: {error}"
                        ),
                        hint: error.hint.clone(),
                    });
                }
            }
            TestKind::Constant(_) | TestKind::Integers(..) | TestKind::Floats(..) => {}
        }
    }

    /// `attribute relation "literal"`.
    fn texts(&mut self, relation: Relation, attribute: &Text, value: &Text) {
        let (TextKind::Attribute(name), Some(value_text)) = (&attribute.kind, literal(value))
        else {
            return;
        };
        let known = ipsec::attribute(&printable(&name.text)).filter(|_| self.options.ipsec);
        let equality = matches!(relation, Relation::Equal | Relation::NotEqual);
        let number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        match known {
            Some(attribute) if equality => {
                if let Err(reason) = attribute.check(value_text) {
                    let message =
                        format!("`{}` is never `{}`", attribute.name, printable(value_text));
                    self.warn("impossible-value", value.span, message, reason);
                }
            }
            Some(attribute) if !equality && matches!(attribute.format, Format::Number(_)) => {
                self.numeric(relation, &printable(&name.text), value);
            }
            Some(attribute) if !equality => {
                if let Err(reason) = attribute.format.check_order(value_text) {
                    let message =
                        format!("`{}` is ordered as a string, and never begins so", attribute.name);
                    self.warn("unpadded-address", value.span, message, reason);
                }
            }
            // 14 digits are a time, which orders as a string.
            None if !equality && number(value_text) && value_text.len() != 14 => {
                self.numeric(relation, &printable(&name.text), value);
            }
            _ => {}
        }
    }

    fn numeric(&mut self, relation: Relation, name: &str, value: &Text) {
        let message = "numbers are ordered as strings here: `10` comes before `9`".to_owned();
        let hint = format!("read the attribute as a number: `@{name} {} …`", relation.symbol());
        self.warn("numeric-strings", value.span, message, hint);
    }
}

/// The truth of a test that does not depend on the question, where it can be seen.
fn known(test: &Test) -> Option<bool> {
    if !mentions_attributes(test) {
        let (attributes, values) = (AttributeSet::new(), ComplianceValues::boolean());
        let mut evaluation = Evaluation::new(&attributes, &values, &[], 1 << 24, ());
        return Some(evaluation.test(test).unwrap_or(false));
    }
    match &test.kind {
        TestKind::Not(of) => known(of).map(|value| !value),
        TestKind::All(parts) => {
            let contradiction = || excluded(parts, Relation::Equal).then_some(false);
            join(parts, false).or_else(contradiction)
        }
        TestKind::Any(parts) => {
            let tautology = || excluded(parts, Relation::NotEqual).then_some(true);
            join(parts, true).or_else(tautology)
        }
        _ => None,
    }
}

/// `&&` is false as soon as a part is; `||` is true as soon as a part is.
fn join(parts: &[Test], decisive: bool) -> Option<bool> {
    let known: Vec<Option<bool>> = parts.iter().map(known).collect();
    if known.contains(&Some(decisive)) {
        return Some(decisive);
    }
    known.iter().all(|part| *part == Some(!decisive)).then_some(!decisive)
}

/// Whether an attribute is compared with two different literals: `a == "x" && a == "y"`, `a != "x" || a != "y"`.
fn excluded(parts: &[Test], relation: Relation) -> bool {
    let mut seen: Vec<(&[u8], &[u8])> = Vec::new();
    for part in parts {
        let TestKind::Texts(found, left, right) = &part.kind else { continue };
        let (name, value) = match (&left.kind, &right.kind) {
            (TextKind::Attribute(name), TextKind::Literal(value))
            | (TextKind::Literal(value), TextKind::Attribute(name)) => (&*name.text, &**value),
            _ => continue,
        };
        if *found != relation {
            continue;
        }
        if seen.iter().any(|(other, literal)| *other == name && *literal != value) {
            return true;
        }
        seen.push((name, value));
    }
    false
}

fn mentions_attributes(test: &Test) -> bool {
    test.texts()
        .iter()
        .any(|text| matches!(text.kind, TextKind::Attribute(_) | TextKind::Dereference(_)))
}

/// `<ALGORITHM>":"<hexadecimal or base64>` of some length.
fn looks_like_a_key(name: &[u8]) -> bool {
    let Some(colon) = name.iter().position(|byte| *byte == b':') else { return false };
    let bits = name.get(colon + 1..).unwrap_or_default();
    let known = name.starts_with(b"binary-");
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    !known && colon > 0 && bits.len() >= 6 && bits.iter().all(alphabet)
}

fn algorithm(name: &[u8]) -> String {
    let colon = name.iter().position(|byte| *byte == b':').unwrap_or(name.len());
    printable(name.get(..colon).unwrap_or(name))
}
