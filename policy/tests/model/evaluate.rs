//! RFC 2704 §5.3, sentence by sentence and without regard to speed.

use std::collections::BTreeMap;

use crate::terms::{Assertion, Clause, Field, Num, Pattern, Princ, Query, Str, Test, Then};

/// A run-time error of any kind.
struct Fault;

type Groups = Vec<Vec<u8>>;

/// The Policy Compliance Value (§5.3): the Principal Compliance Value of `POLICY`, by iterating until nothing changes.
pub fn answer(assertions: &[Assertion], query: &Query) -> usize {
    let max = query.values.len() - 1;
    // Direct Authorization Value, §5.3.2.
    let mut trust: BTreeMap<Vec<u8>, usize> =
        query.requesters.iter().map(|name| (name.as_bytes().to_vec(), max)).collect();
    loop {
        let mut changed = false;
        for assertion in assertions.iter().filter(|assertion| is_valid(assertion)) {
            let scope = Scope { constants: &assertion.constants, query };
            let Ok(authorizer) = scope.string(&assertion.authorizer, &vec![]) else { continue };
            // Assertion Compliance Value, §5.3.3.
            let value = scope.conditions(assertion).min(scope.licensees(assertion, &trust));
            let known = trust.entry(authorizer).or_insert(0);
            if value > *known {
                *known = value;
                changed = true;
            }
        }
        if !changed {
            return trust.get(b"POLICY".as_slice()).copied().unwrap_or(0);
        }
    }
}

/// §4.6.2: a constant is initialized once; §4.6.4: a threshold has as many principals as it asks for.
fn is_valid(assertion: &Assertion) -> bool {
    let mut names: Vec<_> = assertion.constants.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let thresholds = match &assertion.licensees {
        Field::Is(licensees) => thresholds_hold(licensees),
        _ => true,
    };
    names.len() == assertion.constants.len() && thresholds
}

fn thresholds_hold(licensees: &Princ) -> bool {
    match licensees {
        Princ::One(_) => true,
        Princ::And(left, right) | Princ::Or(left, right) => {
            thresholds_hold(left) && thresholds_hold(right)
        }
        Princ::Of(k, list) => *k >= 1 && *k as usize <= list.len(),
    }
}

struct Scope<'a> {
    constants: &'a [(&'static str, Vec<u8>)],
    query: &'a Query,
}

impl Scope<'_> {
    fn max(&self) -> usize {
        self.query.values.len() - 1
    }

    /// Licensee Compliance Value, §5.3.5.
    fn licensees(&self, assertion: &Assertion, trust: &BTreeMap<Vec<u8>, usize>) -> usize {
        match &assertion.licensees {
            Field::Missing => self.max(),
            Field::Empty => 0,
            Field::Is(licensees) => self.princ(licensees, trust),
        }
    }

    fn princ(&self, licensees: &Princ, trust: &BTreeMap<Vec<u8>, usize>) -> usize {
        let one = |name: &Str| {
            let name = self.string(name, &vec![]).ok();
            name.and_then(|name| trust.get(&name).copied()).unwrap_or(0)
        };
        match licensees {
            Princ::One(name) => one(name),
            Princ::And(left, right) => self.princ(left, trust).min(self.princ(right, trust)),
            Princ::Or(left, right) => self.princ(left, trust).max(self.princ(right, trust)),
            Princ::Of(k, list) => {
                let mut values: Vec<usize> = list.iter().map(one).collect();
                values.sort_unstable_by(|a, b| b.cmp(a));
                values[*k as usize - 1]
            }
        }
    }

    /// Conditions Compliance Value, §5.3.4.
    fn conditions(&self, assertion: &Assertion) -> usize {
        match &assertion.conditions {
            Field::Missing => self.max(),
            Field::Empty => 0,
            Field::Is(program) => self.program(program, &vec![]),
        }
    }

    fn program(&self, program: &[Clause], outer: &Groups) -> usize {
        program.iter().map(|clause| self.clause(clause, outer.clone())).max().unwrap_or(0)
    }

    /// The texts of groups are known until the clause ends, also in nested clauses.
    fn clause(&self, clause: &Clause, mut groups: Groups) -> usize {
        if !self.test(&clause.test, &mut groups).unwrap_or(false) {
            return 0;
        }
        match &clause.then {
            Then::Nothing => self.max(),
            Then::Value(value) => {
                let Ok(name) = self.string(value, &groups) else { return 0 };
                self.query.values.iter().position(|value| value.as_bytes() == name).unwrap_or(0)
            }
            Then::Program(program) => self.program(program, &groups),
        }
    }

    fn test(&self, test: &Test, groups: &mut Groups) -> Result<bool, Fault> {
        Ok(match test {
            Test::Constant(value) => *value,
            Test::And(left, right) => self.test(left, groups)? && self.test(right, groups)?,
            Test::Or(left, right) => self.test(left, groups)? || self.test(right, groups)?,
            Test::Not(of) => !self.test(of, groups)?,
            Test::Integers(left, relation, right) => {
                let (left, right) = (self.integer(left, groups)?, self.integer(right, groups)?);
                holds(left.cmp(&right), relation)
            }
            Test::Floats(left, relation, right) => {
                let (left, right) = (self.float(left, groups)?, self.float(right, groups)?);
                holds(left.partial_cmp(&right).ok_or(Fault)?, relation)
            }
            Test::Strings(left, relation, right) => {
                let (left, right) = (self.string(left, groups)?, self.string(right, groups)?);
                holds(left.cmp(&right), relation)
            }
            Test::Matches(text, pattern) => {
                let text = self.string(text, groups)?;
                let found = matched(&text, *pattern)?;
                let matches = found.is_some();
                if let Some(found) = found {
                    *groups = found;
                }
                matches
            }
        })
    }

    /// `long`, which is 32 bits wide (§4.4).
    fn integer(&self, number: &Num, groups: &Groups) -> Result<i64, Fault> {
        let value = match number {
            Num::Literal(text) => text.parse().map_err(|_| Fault)?,
            Num::Negative(of) => -self.integer(of, groups)?,
            Num::Compute(left, operator, right) => {
                let (left, right) = (self.integer(left, groups)?, self.integer(right, groups)?);
                match operator {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    '/' | '%' if right == 0 => return Err(Fault),
                    '/' => left / right,
                    // INT_MIN % -1 is an error because INT_MIN / -1 is.
                    '%' if left == i64::from(i32::MIN) && right == -1 => return Err(Fault),
                    '%' => left % right,
                    _ if right < 0 => 0,
                    _ => power(left, right)?,
                }
            }
            Num::Convert(text) => rounded_down(&self.string(text, groups)?),
        };
        if i32::try_from(value).is_ok() { Ok(value) } else { Err(Fault) }
    }

    fn float(&self, number: &Num, groups: &Groups) -> Result<f64, Fault> {
        let value = match number {
            Num::Literal(text) => text.parse().map_err(|_| Fault)?,
            Num::Negative(of) => -self.float(of, groups)?,
            Num::Compute(left, operator, right) => {
                let (left, right) = (self.float(left, groups)?, self.float(right, groups)?);
                match operator {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    '/' => left / right,
                    _ => left.powf(right),
                }
            }
            Num::Convert(text) => {
                let text = self.string(text, groups)?;
                if is_number(&text) {
                    String::from_utf8_lossy(&text).parse().map_err(|_| Fault)?
                } else {
                    0.0
                }
            }
        };
        if value.is_finite() { Ok(value) } else { Err(Fault) }
    }

    fn string(&self, text: &Str, groups: &Groups) -> Result<Vec<u8>, Fault> {
        Ok(match text {
            Str::Literal(text) => text.clone(),
            Str::Attribute(name) => self.attribute(name.as_bytes(), groups),
            Str::Dereference(of) => {
                let name = self.string(of, groups)?;
                self.attribute(&name, groups)
            }
            Str::Join(left, right) => {
                [self.string(left, groups)?, self.string(right, groups)?].concat()
            }
        })
    }

    /// §3, §4.6.2: constants override attributes; a name without a value is empty.
    fn attribute(&self, name: &[u8], groups: &Groups) -> Vec<u8> {
        let own = |list: &[(&str, Vec<u8>)]| {
            let found = list.iter().rev().find(|(known, _)| known.as_bytes() == name);
            found.map(|(_, value)| value.clone())
        };
        if let Some(value) = own(self.constants).or_else(|| own(&self.query.attributes)) {
            return value;
        }
        let values = &self.query.values;
        match name {
            b"_MIN_TRUST" => values[0].into(),
            b"_MAX_TRUST" => values[self.max()].into(),
            b"_VALUES" => values.join(",").into(),
            b"_ACTION_AUTHORIZERS" => self.query.requesters.join(",").into(),
            [b'_', digit @ b'0'..=b'9'] => {
                groups.get(usize::from(digit - b'0')).cloned().unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}

fn holds(order: std::cmp::Ordering, relation: &str) -> bool {
    match relation {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        ">" => order.is_gt(),
        "<=" => order.is_le(),
        _ => order.is_ge(),
    }
}

fn power(base: i64, exponent: i64) -> Result<i64, Fault> {
    if base.abs() <= 1 {
        // 0^0 is 1.
        let odd = exponent % 2 != 0;
        return Ok(if exponent == 0 {
            1
        } else if odd {
            base
        } else {
            base.abs()
        });
    }
    let mut product: i64 = 1;
    for _ in 0..exponent {
        product *= base;
        if product.abs() > 1 << 32 {
            return Err(Fault);
        }
    }
    Ok(product)
}

/// Whether a text is digits with an optional sign before and an optional point among them.
fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let points = digits.iter().filter(|byte| **byte == b'.').count();
    digits.len() > points
        && points <= 1
        && digits.iter().all(|byte| *byte == b'.' || byte.is_ascii_digit())
}

/// `@`: the fraction is rounded down; a text that is not a number, or does not fit, gives 0.
fn rounded_down(text: &[u8]) -> i64 {
    if !is_number(text) || text.len() > 15 {
        return 0;
    }
    let value: f64 = String::from_utf8_lossy(text).parse().unwrap();
    let value = value.floor() as i64;
    if i32::try_from(value).is_ok() { value } else { 0 }
}

/// The number of groups, then the text of each; `None` if the text does not match.
fn matched(text: &[u8], pattern: Pattern) -> Result<Option<Groups>, Fault> {
    match pattern {
        Pattern::Whole => Ok((text == b"abc").then(|| vec![b"0".to_vec()])),
        Pattern::Contains => Ok(text.contains(&b'b').then(|| vec![b"0".to_vec()])),
        Pattern::Groups => {
            let Some(at) = text.iter().position(|byte| *byte == b'a') else { return Ok(None) };
            let second = if text.get(at + 1) == Some(&b'b') { b"b".to_vec() } else { vec![] };
            Ok(Some(vec![b"2".to_vec(), b"a".to_vec(), second]))
        }
        Pattern::Invalid => Err(Fault),
    }
}
