//! Prepares an assertion when it is loaded: puts in local constants, joins constant strings, and finds out which regular expressions
//! must record what their groups matched.

use std::collections::HashMap;

use crate::attributes::is_name;
use crate::principal::Principal;
use crate::syntax::tree::{
    Clause, Licensees, Name, Number, Owner, Principals, Test, TestKind, Text, TextKind, Then, Tree,
};

/// The values of local constants, by name.
pub(crate) type Constants = HashMap<Box<[u8]>, Box<[u8]>>;

/// Replaces the names of local constants (RFC 2704 §4.6.2) in a tree by their values. Also returns the constants that a computed name
/// (`$name`) may still refer to: all of them if the tree has a computed name, otherwise none.
pub(crate) fn bind(tree: Tree) -> (Tree, Constants) {
    bind_with(tree, Compile::OnDemand)
}

/// Like [`bind`], and compiles all regular expressions.
pub(crate) fn bind_and_compile(tree: Tree) -> (Tree, Constants) {
    bind_with(tree, Compile::Now)
}

/// The time at which regular expressions that are literals are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compile {
    /// The expressions are compiled while the assertion is loaded.
    Now,
    /// The expressions are compiled when a question first needs them.
    OnDemand,
}

fn bind_with(mut tree: Tree, compile: Compile) -> (Tree, Constants) {
    let constants: Constants =
        tree.constants.drain(..).map(|constant| (constant.name, constant.value)).collect();
    let binder = Binder { constants, compile };
    binder.text(&mut tree.authorizer);
    if let Some(Licensees::Principals(principals)) = &mut tree.licensees {
        binder.principals(principals);
    }
    if let Some(signature) = &mut tree.signature {
        binder.text(signature);
    }
    for clause in tree.conditions.iter_mut().flatten() {
        binder.clause(clause);
    }
    let computed = tree.texts().iter().any(|text| matches!(text.kind, TextKind::Dereference(_)));
    (tree, if computed { binder.constants } else { Constants::new() })
}

impl Tree {
    /// The authorizer. `None` if it is computed from the attributes of the question, or is a malformed key.
    pub fn known_authorizer(&self) -> Option<Principal> {
        let (bound, _) = bind(self.clone());
        Principal::parse(bound.authorizer.literal()?).ok()
    }
}

struct Binder {
    constants: Constants,
    compile: Compile,
}

impl Binder {
    fn text(&self, text: &mut Text) {
        match &mut text.kind {
            TextKind::Literal(_) => {}
            TextKind::Attribute(name) => {
                if let Some(value) = self.constants.get(&name.text) {
                    text.kind = TextKind::Literal(value.clone());
                }
            }
            TextKind::Dereference(of) => {
                self.text(of);
                // `$"name"` is `name`.
                if let Some(name) = of.literal().filter(|name| is_name(name)).map(Name::new) {
                    text.kind = TextKind::Attribute(name);
                    self.text(text);
                }
            }
            TextKind::Concatenation(parts) => {
                parts.iter_mut().for_each(|part| self.text(part));
                let known: Option<Vec<&[u8]>> = parts.iter().map(Text::literal).collect();
                if let Some(known) = known {
                    text.kind = TextKind::Literal(known.concat().into());
                }
            }
        }
    }

    fn principals(&self, principals: &mut Principals) {
        match principals {
            Principals::One(text) => self.text(text),
            Principals::All(parts) | Principals::Any(parts) => {
                parts.iter_mut().for_each(|part| self.principals(part));
            }
            Principals::Threshold { of, .. } => of.iter_mut().for_each(|text| self.text(text)),
        }
    }

    /// Replaces the local constants in a clause; returns whether it may use the text that a group of a regular expression matched.
    fn clause(&self, clause: &mut Clause) -> bool {
        let later = match &mut clause.then {
            Then::MaxTrust => false,
            Then::Value(text) => {
                self.text(text);
                asks_groups(text)
            }
            Then::Program(program) => every(program.iter_mut().map(|clause| self.clause(clause))),
        };
        let asks = self.test(&mut clause.test) || later;
        if asks {
            capture(&mut clause.test);
        }
        asks
    }

    fn test(&self, test: &mut Test) -> bool {
        match &mut test.kind {
            TestKind::Constant(_) => false,
            TestKind::All(parts) | TestKind::Any(parts) => {
                every(parts.iter_mut().map(|part| self.test(part)))
            }
            TestKind::Not(of) => self.test(of),
            TestKind::Integers(_, left, right) => self.number(left) | self.number(right),
            TestKind::Floats(_, left, right) => self.number(left) | self.number(right),
            TestKind::Texts(_, left, right) => {
                self.text(left);
                self.text(right);
                asks_groups(left) || asks_groups(right)
            }
            TestKind::Matches(text, pattern) => {
                self.text(text);
                self.text(&mut pattern.text);
                if self.compile == Compile::Now {
                    pattern.regex();
                }
                asks_groups(text) || asks_groups(&pattern.text)
            }
        }
    }

    fn number<T>(&self, number: &mut Number<T>) -> bool {
        match number {
            Number::Literal(_) => false,
            Number::Negative(of) => self.number(of),
            Number::Chain(first, rest) => {
                self.number(first) | every(rest.iter_mut().map(|(_, operand)| self.number(operand)))
            }
            Number::Convert(text) => {
                self.text(text);
                asks_groups(text)
            }
        }
    }
}

/// Whether any item is true. Unlike `Iterator::any`, it does not stop at the first true one, because each item replaces constants as a
/// side effect.
fn every(asks: impl Iterator<Item = bool>) -> bool {
    asks.fold(false, |any, asks| any | asks)
}

/// Whether a string may contain the text that a group matched. A computed name may refer to any attribute, also `_1`.
fn asks_groups(text: &Text) -> bool {
    match &text.kind {
        TextKind::Literal(_) => false,
        TextKind::Attribute(name) => matches!(name.owner, Owner::Group(_)),
        TextKind::Dereference(_) => true,
        TextKind::Concatenation(parts) => parts.iter().any(asks_groups),
    }
}

/// Makes every regular expression of a test record the texts that its groups match.
fn capture(test: &mut Test) {
    match &mut test.kind {
        TestKind::All(parts) | TestKind::Any(parts) => parts.iter_mut().for_each(capture),
        TestKind::Not(of) => capture(of),
        TestKind::Matches(_, pattern) => pattern.captures = true,
        TestKind::Constant(_)
        | TestKind::Integers(..)
        | TestKind::Floats(..)
        | TestKind::Texts(..) => {}
    }
}

/// Sets the slot of each action attribute in conditions to the one that `slot` returns for its name.
pub(crate) fn number_names(program: &mut [Clause], slot: &mut impl FnMut(&[u8]) -> u8) {
    for clause in program {
        number_in_test(&mut clause.test, slot);
        match &mut clause.then {
            Then::MaxTrust => {}
            Then::Value(value) => number_in_text(value, slot),
            Then::Program(program) => number_names(program, slot),
        }
    }
}

fn number_in_test(test: &mut Test, slot: &mut impl FnMut(&[u8]) -> u8) {
    match &mut test.kind {
        TestKind::Constant(_) => {}
        TestKind::All(parts) | TestKind::Any(parts) => {
            parts.iter_mut().for_each(|part| number_in_test(part, slot));
        }
        TestKind::Not(of) => number_in_test(of, slot),
        TestKind::Integers(_, left, right) => {
            [left, right].into_iter().for_each(|of| number_in_number(of, slot));
        }
        TestKind::Floats(_, left, right) => {
            [left, right].into_iter().for_each(|of| number_in_number(of, slot));
        }
        TestKind::Texts(_, left, right) => {
            [left, right].into_iter().for_each(|of| number_in_text(of, slot));
        }
        TestKind::Matches(text, pattern) => {
            [text, &mut pattern.text].into_iter().for_each(|of| number_in_text(of, slot));
        }
    }
}

fn number_in_number<T>(number: &mut Number<T>, slot: &mut impl FnMut(&[u8]) -> u8) {
    match number {
        Number::Literal(_) => {}
        Number::Negative(of) => number_in_number(of, slot),
        Number::Chain(first, rest) => {
            number_in_number(first, slot);
            rest.iter_mut().for_each(|(_, operand)| number_in_number(operand, slot));
        }
        Number::Convert(text) => number_in_text(text, slot),
    }
}

fn number_in_text(text: &mut Text, slot: &mut impl FnMut(&[u8]) -> u8) {
    match &mut text.kind {
        TextKind::Literal(_) => {}
        TextKind::Attribute(name) => {
            if name.owner == Owner::Action {
                name.slot = slot(&name.text);
            }
        }
        TextKind::Dereference(of) => number_in_text(of, slot),
        TextKind::Concatenation(parts) => {
            parts.iter_mut().for_each(|part| number_in_text(part, slot))
        }
    }
}
