//! Assertions as text, in every spelling that RFC 2704 §4 allows: the seed picks one. Seed 0 is plain, so that a case that
//! is shrunk can be read.

use crate::terms::{Assertion, Clause, Field, Num, Pattern, Princ, Str, Test, Then};

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const RELATION: u8 = 4;
const SUM: u8 = 5;
const PRODUCT: u8 = 6;
const POWER: u8 = 7;
const UNARY: u8 = 8;

pub fn print(assertion: &Assertion, seed: u64) -> Vec<u8> {
    let mut printer = Printer { random: seed, out: Vec::new() };
    printer.assertion(assertion);
    printer.out
}

struct Printer {
    random: u64,
    out: Vec<u8>,
}

impl Printer {
    /// One of `count`, and always the first for seed 0.
    fn pick(&mut self, count: u64) -> u64 {
        if self.random == 0 {
            return 0;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % count
    }

    fn once_in(&mut self, count: u64) -> bool {
        self.pick(count) == count - 1 && count > 1
    }

    fn assertion(&mut self, assertion: &Assertion) {
        if self.once_in(4) {
            self.out.extend_from_slice(b"# before: everything\n#\n");
        }
        if self.once_in(2) {
            self.label("KeyNote-Version");
            let version: &[u8] = if self.once_in(2) { b"\"2\"" } else { b"2" };
            self.token(version);
            self.end();
        }
        let mut order = [0, 1, 2, 3, 4];
        for position in (1..order.len()).rev() {
            let other = position - self.pick(position as u64 + 1) as usize;
            order.swap(position, other);
        }
        order.iter().for_each(|field| self.field(assertion, *field));
        if self.once_in(8) {
            self.out.pop();
        }
    }

    fn field(&mut self, assertion: &Assertion, field: usize) {
        match field {
            0 => {
                self.label("Authorizer");
                self.string(&assertion.authorizer, SUM);
                self.end();
            }
            1 if !assertion.constants.is_empty() || self.once_in(8) => {
                self.label("Local-Constants");
                for (name, value) in &assertion.constants {
                    self.token(name.as_bytes());
                    self.token(b"=");
                    self.literal(value);
                }
                self.end();
            }
            2 if !matches!(assertion.licensees, Field::Missing) => {
                self.label("Licensees");
                if let Field::Is(licensees) = &assertion.licensees {
                    self.princ(licensees, OR);
                }
                self.end();
            }
            3 if !matches!(assertion.conditions, Field::Missing) => {
                self.label("Conditions");
                if let Field::Is(program) = &assertion.conditions {
                    self.program(program);
                }
                self.end();
            }
            4 if self.once_in(3) => {
                self.label("Comment");
                self.out.extend_from_slice(b" say \"hi; -> { ( \\ 'x' # y\n\tAuthorizer: nobody\n");
            }
            _ => {}
        }
    }

    fn label(&mut self, label: &str) {
        let label = match self.pick(3) {
            0 => label.to_owned(),
            1 => label.to_lowercase(),
            _ => label
                .chars()
                .map(|c| if self.once_in(2) { c.to_ascii_uppercase() } else { c })
                .collect(),
        };
        self.out.extend_from_slice(label.as_bytes());
        self.out.push(b':');
    }

    fn end(&mut self) {
        let tail: &[u8] = match self.pick(6) {
            0..=3 => b"\n",
            4 => b" \t\n",
            _ => b" # the end: \"\n#Licensees: \"nobody\"\n",
        };
        self.out.extend_from_slice(tail);
    }

    /// A token, with white space or a comment before it where it is needed, and perhaps where it is not.
    fn token(&mut self, token: &[u8]) {
        let word = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        let gap: &[u8] = match self.pick(12) {
            0..=4 => b" ",
            5..=8 => b"",
            9 => b"\n \t",
            10 => b" # a \"comment; }\n  ",
            _ => b"\n# -> at the margin\n\t",
        };
        let needed = gap.is_empty() && word(self.out.last()) && word(token.first());
        self.out.extend_from_slice(if needed { b" " } else { gap });
        self.out.extend_from_slice(token);
    }

    /// Runs `inner` in parentheses if it must be, or if it pleases.
    fn grouped(&mut self, own: u8, around: u8, inner: impl FnOnce(&mut Self)) {
        let extra = if self.once_in(8) { 1 + self.pick(2) } else { 0 };
        let pairs = extra.max(u64::from(own < around));
        (0..pairs).for_each(|_| self.token(b"("));
        inner(self);
        (0..pairs).for_each(|_| self.token(b")"));
    }

    fn program(&mut self, program: &[Clause]) {
        for Clause { test, then } in program {
            self.test(test, OR);
            match then {
                Then::Nothing => {}
                Then::Value(value) => {
                    self.token(b"->");
                    self.string(value, SUM);
                }
                Then::Program(program) => {
                    self.token(b"->");
                    self.token(b"{");
                    self.program(program);
                    self.token(b"}");
                }
            }
            self.token(b";");
        }
    }

    fn test(&mut self, test: &Test, around: u8) {
        let own = match test {
            Test::Or(..) => OR,
            Test::And(..) => AND,
            Test::Not(_) => NOT,
            Test::Constant(_) => UNARY,
            _ => RELATION,
        };
        self.grouped(own, around, |p| match test {
            Test::Constant(value) => {
                let words: [&[u8]; 3] = if *value {
                    [b"true", b"TRUE", b"True"]
                } else {
                    [b"false", b"FALSE", b"fALSE"]
                };
                let word = words[p.pick(3) as usize];
                p.token(word);
            }
            Test::Or(left, right) => {
                p.infix(OR, "||", |p| p.test(left, OR), |p| p.test(right, AND))
            }
            Test::And(left, right) => {
                p.infix(AND, "&&", |p| p.test(left, AND), |p| p.test(right, NOT))
            }
            Test::Not(of) => {
                p.token(b"!");
                p.test(of, NOT);
            }
            Test::Integers(left, relation, right) | Test::Floats(left, relation, right) => {
                let convert = if matches!(test, Test::Integers(..)) { b"@" } else { b"&" };
                p.infix(
                    RELATION,
                    relation,
                    |p| p.number(left, convert, SUM),
                    |p| p.number(right, convert, SUM),
                );
            }
            Test::Strings(left, relation, right) => {
                p.infix(RELATION, relation, |p| p.string(left, SUM), |p| p.string(right, SUM));
            }
            Test::Matches(text, pattern) => {
                p.string(text, SUM);
                p.token(b"~=");
                p.literal(match pattern {
                    Pattern::Whole => b"^abc$",
                    Pattern::Contains => b"b",
                    Pattern::Groups => b"(a)(b)?",
                    Pattern::Invalid => b"(",
                });
            }
        });
    }

    fn infix(
        &mut self,
        _: u8,
        symbol: &str,
        left: impl FnOnce(&mut Self),
        right: impl FnOnce(&mut Self),
    ) {
        left(self);
        self.token(symbol.as_bytes());
        right(self);
    }

    fn number(&mut self, number: &Num, convert: &[u8], around: u8) {
        let own = match number {
            Num::Compute(_, '+' | '-', _) => SUM,
            Num::Compute(_, '^', _) => POWER,
            Num::Compute(..) => PRODUCT,
            _ => UNARY,
        };
        self.grouped(own, around, |p| match number {
            Num::Literal(text) => p.token(text.as_bytes()),
            Num::Negative(of) => {
                p.token(b"-");
                p.number(of, convert, UNARY);
            }
            Num::Compute(left, operator, right) => {
                p.number(left, convert, own);
                p.token(operator.to_string().as_bytes());
                p.number(right, convert, own + 1);
            }
            Num::Convert(text) => {
                p.token(convert);
                p.string(text, UNARY);
            }
        });
    }

    fn string(&mut self, text: &Str, around: u8) {
        let own = if matches!(text, Str::Join(..)) { SUM } else { UNARY };
        self.grouped(own, around, |p| match text {
            Str::Literal(text) => p.literal(text),
            Str::Attribute(name) => p.token(name.as_bytes()),
            Str::Dereference(of) => {
                p.token(b"$");
                p.string(of, UNARY);
            }
            Str::Join(left, right) => {
                p.string(left, SUM);
                p.token(b".");
                p.string(right, PRODUCT);
            }
        });
    }

    fn princ(&mut self, licensees: &Princ, around: u8) {
        let own = match licensees {
            Princ::Or(..) => OR,
            Princ::And(..) => AND,
            // A string groups itself.
            Princ::One(text) => return self.string(text, around.max(SUM)),
            Princ::Of(..) => UNARY,
        };
        self.grouped(own, around, |p| match licensees {
            Princ::One(_) => {}
            Princ::Or(left, right) => {
                p.infix(OR, "||", |p| p.princ(left, OR), |p| p.princ(right, AND))
            }
            Princ::And(left, right) => {
                p.infix(AND, "&&", |p| p.princ(left, AND), |p| p.princ(right, NOT))
            }
            Princ::Of(k, list) => {
                p.token(format!("{k}-of").as_bytes());
                p.out.push(b'(');
                for (position, name) in list.iter().enumerate() {
                    if position > 0 {
                        p.token(b",");
                    }
                    p.string(name, SUM);
                }
                p.token(b")");
            }
        });
    }

    /// §4.3.1: the same bytes, plain or escaped.
    fn literal(&mut self, text: &[u8]) {
        self.token(b"\"");
        let mut swallows = false;
        for (position, &byte) in text.iter().enumerate() {
            if self.once_in(16) {
                let continued: &[u8] = if self.once_in(2) { b"\\\n \t " } else { b"\\\n " };
                self.out.extend_from_slice(continued);
                swallows = true;
            }
            let last = position + 1 == text.len();
            let special = matches!(byte, b'"' | b'\\' | b'\n' | b'\r');
            let swallowed = swallows && matches!(byte, b' ' | b'\t');
            let plain = !(special || swallowed);
            swallows = false;
            match self.pick(8) {
                6 if last && byte < 8 => {
                    self.out.extend_from_slice(format!("\\0{byte:o}").as_bytes())
                }
                6 | 7 => self.out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
                5 if byte.is_ascii_graphic()
                    && !matches!(byte, b'0'..=b'7' | b'n' | b'r' | b't' | b'f') =>
                {
                    self.out.extend_from_slice(&[b'\\', byte]);
                }
                _ if plain => self.out.push(byte),
                _ => match byte {
                    b'\n' => self.out.extend_from_slice(b"\\n"),
                    b'\r' => self.out.extend_from_slice(b"\\r"),
                    b'\t' => self.out.extend_from_slice(b"\\t"),
                    b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                    _ => self.out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
                },
            }
        }
        self.out.push(b'"');
    }
}
