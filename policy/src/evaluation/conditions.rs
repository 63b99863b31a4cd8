//! Evaluates conditions for a question (RFC 2704 §5.3.4): the result is the highest value of the clauses whose test is true.

use std::borrow::Cow;
use std::rc::Rc;

use super::bind::Constants;
use super::fault::{Fault, MAX_TEXT};
use super::number::Arithmetic;
use crate::attributes::{AttributeSet, hash, is_name};
use crate::regex::Regex;
use crate::requesters::Requesters;
use crate::syntax::tree::{
    Clause, Name, Number, Owner, Pattern, SLOTS, Test, TestKind, Text, TextKind, Then,
};
use crate::values::ComplianceValues;

/// The work that the compilation of a pattern counts as, in about nanoseconds: the longest that a compilation takes.
const COMPILE: usize = 2_500_000;

/// An observer of the steps of an evaluation. `()` ignores all steps, at no cost.
pub(crate) trait Observer {
    /// The evaluation of a clause begins. It may begin inside another clause.
    fn begin(&mut self, _clause: &Clause) {}
    /// An attribute was looked up; the value is `None` if it is undefined.
    fn attribute(&mut self, _name: &[u8], _value: Option<&[u8]>) {}
    /// A comparison, which includes `~=`, was evaluated.
    fn comparison(&mut self, _test: &Test, _outcome: Result<bool, Fault>) {}
    /// The evaluation of a clause ends. The outcome is that of its test; the value is a position in the compliance values, 0 if the test is
    /// not true.
    fn end(&mut self, _clause: &Clause, _outcome: Result<bool, Fault>, _value: usize) {}
}

impl Observer for () {}

/// The state of evaluating one question.
pub(crate) struct Evaluation<'q, O> {
    /// The attributes of the question.
    pub attributes: &'q AttributeSet,
    /// The compliance values of the question.
    pub values: &'q ComplianceValues,
    /// The requesters, of which `_ACTION_AUTHORIZERS` is made; `None` if nobody asks.
    pub requesters: Option<&'q Requesters>,
    /// The local constants, of the assertion that is being evaluated, that computed names may refer to. All other names of constants were
    /// replaced when it was loaded. `None` counts as no constants.
    pub constants: Option<&'q Constants>,
    /// The work that the question may still cost, in about nanoseconds.
    pub work: usize,
    /// The observer of each step.
    pub observer: O,
    /// The values of `_0`, `_1` and so on: the number of groups, and the text of each, of the last match in the clause. `None` before a
    /// match.
    groups: Option<Rc<[Vec<u8>]>>,
    /// Cached values of action attributes, by slot; `None` for an undefined attribute.
    slots: [Option<&'q [u8]>; SLOTS as usize],
    /// A bit for each slot whose attribute was looked up.
    known: u64,
}

impl<'q, O: Observer> Evaluation<'q, O> {
    /// The state before any assertion was evaluated.
    pub const fn new(
        attributes: &'q AttributeSet,
        values: &'q ComplianceValues,
        requesters: Option<&'q Requesters>,
        work: usize,
        observer: O,
    ) -> Self {
        Self {
            attributes,
            values,
            requesters,
            constants: None,
            work,
            observer,
            groups: None,
            slots: [None; SLOTS as usize],
            known: 0,
        }
    }

    /// The position of the highest value of the clauses whose test is true; 0 if there is none.
    pub fn program(&mut self, clauses: &[Clause]) -> usize {
        let outer = self.groups.take();
        let max = self.values.max();
        let mut highest = 0;
        for clause in clauses {
            self.groups.clone_from(&outer);
            highest = highest.max(self.clause(clause));
            if highest == max {
                break;
            }
        }
        self.groups = outer;
        highest
    }

    /// The value of a string expression. An error if the string becomes too long or the work is used up.
    pub fn text<'a>(&mut self, text: &'a Text) -> Result<Cow<'a, [u8]>, Fault>
    where
        'q: 'a,
    {
        self.spend(1)?;
        match &text.kind {
            TextKind::Literal(literal) => Ok(Cow::Borrowed(literal)),
            TextKind::Attribute(name) => Ok(self.attribute(name)),
            TextKind::Dereference(of) => {
                let name = self.text(of)?;
                self.spend(name.len() / 8)?;
                Ok(self.computed(&name))
            }
            TextKind::Concatenation(parts) => {
                let mut joined = Vec::new();
                for part in parts {
                    let part = self.text(part)?;
                    self.spend(part.len() / 8)?;
                    if joined.len() + part.len() > MAX_TEXT {
                        return Err(Fault::TooLong);
                    }
                    joined.extend_from_slice(&part);
                }
                Ok(Cow::Owned(joined))
            }
        }
    }

    /// The value of a literal or an action attribute, without a copy: the fast path for most string expressions.
    fn plain<'a>(&mut self, text: &'a Text) -> Option<&'a [u8]>
    where
        'q: 'a,
    {
        match &text.kind {
            TextKind::Literal(literal) => Some(literal),
            TextKind::Attribute(name) if name.owner == Owner::Action => {
                let value = self.action(name);
                self.observer.attribute(&name.text, value);
                Some(value.unwrap_or_default())
            }
            _ => None,
        }
    }

    fn clause(&mut self, clause: &Clause) -> usize {
        self.observer.begin(clause);
        let outcome = self.test(&clause.test);
        let value = match (outcome, &clause.then) {
            (Ok(true), Then::MaxTrust) => self.values.max(),
            (Ok(true), Then::Value(text)) => self.value(text),
            (Ok(true), Then::Program(program)) => self.program(program),
            _ => 0,
        };
        self.observer.end(clause, outcome, value);
        value
    }

    /// The position of a clause's value. It is 0, that of `_MIN_TRUST`, for a string that is not a compliance value (RFC 2704 §5.3.4) or
    /// cannot be computed.
    fn value(&mut self, text: &Text) -> usize {
        let values = self.values;
        self.text(text).ok().and_then(|name| values.position(&name)).unwrap_or(0)
    }

    /// Whether a test is true. A run-time error makes the whole test false; it is returned as an error.
    pub fn test(&mut self, test: &Test) -> Result<bool, Fault> {
        let outcome = match &test.kind {
            TestKind::Constant(value) => return Ok(*value),
            TestKind::All(parts) => {
                for part in parts {
                    if !self.test(part)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            TestKind::Any(parts) => {
                for part in parts {
                    if self.test(part)? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            TestKind::Not(of) => return Ok(!self.test(of)?),
            comparison => self.comparison(comparison),
        };
        self.observer.comparison(test, outcome);
        outcome
    }

    fn comparison(&mut self, test: &TestKind) -> Result<bool, Fault> {
        match test {
            TestKind::Texts(relation, left, right) => {
                if let (Some(left), Some(right)) = (self.plain(left), self.plain(right)) {
                    self.spend(2 + left.len().min(right.len()) / 8)?;
                    return Ok(relation.holds(left, right));
                }
                let (left, right) = (self.text(left)?, self.text(right)?);
                self.spend(left.len().min(right.len()) / 8)?;
                Ok(relation.holds(&*left, &*right))
            }
            TestKind::Integers(relation, left, right) => {
                Ok(relation.holds(&self.number(left)?, &self.number(right)?))
            }
            TestKind::Floats(relation, left, right) => {
                Ok(relation.holds(&self.number(left)?, &self.number(right)?))
            }
            TestKind::Matches(text, pattern) => self.matches(text, pattern),
            // INVARIANT: `test` handles the other forms.
            TestKind::Constant(_) | TestKind::All(_) | TestKind::Any(_) | TestKind::Not(_) => {
                Ok(false)
            }
        }
    }

    fn number<T: Arithmetic>(&mut self, number: &Number<T>) -> Result<T, Fault> {
        self.spend(1)?;
        match number {
            Number::Literal(value) => Ok(*value),
            Number::Negative(of) => self.number(of)?.negate(),
            Number::Chain(first, rest) => {
                let mut value = self.number(first)?;
                for (operator, operand) in rest {
                    let operand = self.number(operand)?;
                    value = value.compute(*operator, operand)?;
                }
                Ok(value)
            }
            Number::Convert(text) => {
                if let Some(text) = self.plain(text) {
                    self.spend(text.len() / 8)?;
                    return Ok(T::read(text));
                }
                let text = self.text(text)?;
                self.spend(text.len() / 8)?;
                Ok(T::read(&text))
            }
        }
    }

    fn matches(&mut self, text: &Text, pattern: &Pattern) -> Result<bool, Fault> {
        let text = self.text(text)?;
        if pattern.text.literal().is_some() && !pattern.is_compiled() {
            self.spend(COMPILE)?;
        }
        match pattern.regex() {
            Some(Ok(regex)) => self.matched(regex, &text, pattern.captures),
            Some(Err(_)) => Err(Fault::Pattern),
            None => {
                let source = self.text(&pattern.text)?;
                self.spend(COMPILE)?;
                let regex = Regex::once(&source).map_err(|_| Fault::Pattern)?;
                self.matched(&regex, &text, pattern.captures)
            }
        }
    }

    fn matched(&mut self, regex: &Regex, text: &[u8], captures: bool) -> Result<bool, Fault> {
        self.spend(10 + regex.cost(text.len()))?;
        if !captures {
            return Ok(regex.is_match(text));
        }
        let found = regex.captures_within(text, &mut self.work).map_err(|_| Fault::Work)?;
        let Some(spans) = found else { return Ok(false) };
        let mut groups = vec![regex.groups().to_string().into_bytes()];
        groups.extend(
            spans
                .into_iter()
                .skip(1)
                .map(|span| span.and_then(|span| text.get(span)).unwrap_or_default().to_vec()),
        );
        self.groups = Some(groups.into());
        Ok(true)
    }

    fn attribute(&mut self, name: &Name) -> Cow<'q, [u8]> {
        let value = match name.owner {
            Owner::Action => self.action(name),
            Owner::MinTrust => Some(self.values.name(0)),
            Owner::MaxTrust => Some(self.values.name(self.values.max())),
            Owner::Values => Some(self.values.joined()),
            Owner::Undefined => None,
            Owner::ActionAuthorizers => {
                let joined = self.requesters.map(Requesters::joined).unwrap_or_default();
                self.observer.attribute(&name.text, Some(&joined));
                return joined;
            }
            Owner::Group(number) => {
                let group =
                    self.groups.as_ref().and_then(|groups| groups.get(number as usize)).cloned();
                self.observer.attribute(&name.text, group.as_deref());
                return Cow::Owned(group.unwrap_or_default());
            }
        };
        self.observer.attribute(&name.text, value);
        Cow::Borrowed(value.unwrap_or_default())
    }

    /// The value of an action attribute; `None` if it is undefined. An attribute with a slot is looked up once for each question.
    fn action(&mut self, name: &Name) -> Option<&'q [u8]> {
        let bit = 1_u64 << (name.slot & 63);
        match self.slots.get(usize::from(name.slot)) {
            Some(value) if self.known & bit != 0 => *value,
            _ => {
                let value = self.attributes.value_hashed(name.hash, &name.text);
                if let Some(slot) = self.slots.get_mut(usize::from(name.slot)) {
                    *slot = value;
                    self.known |= bit;
                }
                value
            }
        }
    }

    /// The value of `$name`; empty if the string is not an attribute name.
    fn computed(&mut self, name: &[u8]) -> Cow<'q, [u8]> {
        if !is_name(name) {
            return Cow::Borrowed(&[]);
        }
        if let Some(constant) = self.constants.and_then(|constants| constants.get(name)) {
            return Cow::Borrowed(constant);
        }
        match Owner::of(name) {
            Owner::Action => {
                let value = self.attributes.value_hashed(hash(name), name);
                self.observer.attribute(name, value);
                Cow::Borrowed(value.unwrap_or_default())
            }
            _ => self.attribute(&Name::new(name)),
        }
    }

    fn spend(&mut self, work: usize) -> Result<(), Fault> {
        self.work = self.work.checked_sub(work).ok_or(Fault::Work)?;
        Ok(())
    }
}
