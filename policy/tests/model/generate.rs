//! Random assertion sets over few names, so that delegations meet: cycles, diamonds, thresholds that name one principal
//! twice, values that are not in the order, and attributes that are principals, names or numbers.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::REGULAR_EXPRESSIONS;
use crate::terms::{Assertion, Clause, Field, Num, Pattern, Princ, Query, Str, Test, Then};

const PRINCIPALS: [&str; 6] = ["POLICY", "alice", "bob", "carol", "dave", "eve"];
const VALUES: [&str; 6] = ["deny", "log", "ask", "allow", "full", "root"];
const NAMES: [&str; 9] = ["a", "b", "n", "f", "who", "level", "undefined", "Who", "true"];
const SPECIAL: [&str; 9] =
    ["_MIN_TRUST", "_MAX_TRUST", "_VALUES", "_ACTION_AUTHORIZERS", "_0", "_1", "_2", "_3", "_x"];
const WORDS: [&str; 32] = [
    "",
    "a",
    "b",
    "n",
    "who",
    "abc",
    "ab",
    "cab",
    "5",
    "-5",
    "007",
    "1.5",
    "-1.5",
    "-0.5",
    "1e3",
    " 5",
    "5 ",
    "+5",
    "0x1",
    "1.2.3",
    "-",
    ".",
    "2147483647",
    "2147483648",
    "-2147483648",
    "2147483647.5",
    "99999999999999999999",
    "true",
    "2",
    "0",
    "_1",
    "a b",
];

/// Whether conditions may use the requesters: if so, another requester may lower an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorizers {
    Seen,
    Unseen,
}

pub fn assertions(seen: Authorizers) -> impl Strategy<Value = Vec<Assertion>> {
    vec(assertion(seen), 2..=12)
}

pub fn query() -> impl Strategy<Value = Query> {
    let count = prop_oneof![1 => Just(2), 2 => Just(4), 3 => Just(6)];
    let values = count.prop_flat_map(|count| subsequence(VALUES.to_vec(), count)).prop_shuffle();
    let requesters = vec(select(&PRINCIPALS[1..]), 1..=4);
    let attributes = btree_map(select(&NAMES[..6]), word(), 0..=6);
    (values, requesters, attributes).prop_map(|(values, requesters, attributes)| Query {
        attributes: attributes.into_iter().collect(),
        requesters,
        values,
    })
}

pub fn requester() -> impl Strategy<Value = &'static str> {
    select(&PRINCIPALS[1..])
}

fn word() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        6 => select(&WORDS[..]).prop_map(Into::into),
        3 => select(&PRINCIPALS[..]).prop_map(Into::into),
        2 => select(&VALUES[..]).prop_map(Into::into),
        2 => select(&NAMES[..]).prop_map(Into::into),
        1 => vec(1_u8.., 0..6),
    ]
    .boxed()
}

fn assertion(seen: Authorizers) -> impl Strategy<Value = Assertion> {
    let authorizer = prop_oneof![
        8 => Just(Str::Literal(b"POLICY".to_vec())),
        9 => principal(),
        1 => string(seen),
    ];
    let licensees = field(1, 2, 40, princ(seen));
    let constants = prop_oneof![
        3 => Just(Vec::new()),
        3 => btree_map(select(&NAMES[..]), word(), 1..4).prop_map(|map| map.into_iter().collect()),
        // A name may come twice.
        1 => vec((select(&NAMES[..]), word()), 1..3),
    ];
    let conditions = field(2, 1, 16, program(seen));
    (authorizer, licensees, constants, conditions).prop_map(
        |(authorizer, licensees, constants, conditions)| Assertion {
            authorizer,
            licensees,
            constants,
            conditions,
        },
    )
}

fn field<T: Clone + std::fmt::Debug + 'static>(
    missing: u32,
    empty: u32,
    is: u32,
    of: BoxedStrategy<T>,
) -> BoxedStrategy<Field<T>> {
    prop_oneof![missing => Just(Field::Missing), empty => Just(Field::Empty), is => of.prop_map(Field::Is)].boxed()
}

fn principal() -> BoxedStrategy<Str> {
    select(&PRINCIPALS[..]).prop_map(|name| Str::Literal(name.into())).boxed()
}

fn licensee(seen: Authorizers) -> BoxedStrategy<Str> {
    prop_oneof![12 => principal(), 1 => string(seen)].boxed()
}

fn princ(seen: Authorizers) -> BoxedStrategy<Princ> {
    let list = vec(licensee(seen), 1..=5);
    let threshold = (list, any::<u8>()).prop_map(|(list, k)| {
        // One threshold in sixteen requires too many.
        let k = if k < 16 { list.len() + 1 } else { usize::from(k) % list.len() + 1 };
        Princ::Of(u32::try_from(k).unwrap(), list)
    });
    let leaf = prop_oneof![3 => licensee(seen).prop_map(Princ::One), 1 => threshold];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let pair =
            (inner.clone(), inner).prop_map(|(left, right)| (Box::new(left), Box::new(right)));
        (any::<bool>(), pair).prop_map(|(and, (left, right))| {
            if and { Princ::And(left, right) } else { Princ::Or(left, right) }
        })
    })
    .boxed()
}

fn program(seen: Authorizers) -> BoxedStrategy<Vec<Clause>> {
    let value = prop_oneof![
        8 => select(&VALUES[..]).prop_map(|value| Str::Literal(value.into())),
        1 => Just(Str::Attribute("level")),
        2 => string(seen),
    ];
    let then = prop_oneof![1 => Just(Then::Nothing), 9 => value.prop_map(Then::Value)];
    // Half of the clauses are true, so that there are positive answers to compare.
    let test = prop_oneof![1 => Just(Test::Constant(true)), 1 => test(seen)].boxed();
    let clause = (test.clone(), then).prop_map(|(test, then)| Clause { test, then });
    let nested = clause.prop_recursive(2, 6, 3, move |inner| {
        let program = vec(inner, 0..3).prop_map(Then::Program);
        (test.clone(), program).prop_map(|(test, then)| Clause { test, then })
    });
    vec(nested, 1..4).boxed()
}

fn test(seen: Authorizers) -> BoxedStrategy<Test> {
    let relation = || select(vec!["==", "!=", "<", ">", "<=", ">="]);
    let matches = if REGULAR_EXPRESSIONS { 3 } else { 0 };
    let patterns =
        vec![Pattern::Whole, Pattern::Contains, Pattern::Groups, Pattern::Groups, Pattern::Invalid];
    let leaf = prop_oneof![
        7 => proptest::bool::weighted(0.75).prop_map(Test::Constant),
        4 => (string(seen), relation(), string(seen)).prop_map(|(l, r, s)| Test::Strings(l, r, s)),
        3 => (integer(seen), relation(), integer(seen)).prop_map(|(l, r, s)| Test::Integers(l, r, s)),
        2 => (float(seen), select(vec!["<", ">", "<=", ">="]), float(seen)).prop_map(|(l, r, s)| Test::Floats(l, r, s)),
        matches => (string(seen), select(patterns)).prop_map(|(text, pattern)| Test::Matches(text, pattern)),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let pair = || {
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| (Box::new(left), Box::new(right)))
        };
        prop_oneof![
            pair().prop_map(|(left, right)| Test::And(left, right)),
            pair().prop_map(|(left, right)| Test::Or(left, right)),
            inner.clone().prop_map(|of| Test::Not(Box::new(of))),
        ]
    })
    .boxed()
}

fn integer(seen: Authorizers) -> BoxedStrategy<Num> {
    number(
        seen,
        vec!["0", "1", "2", "3", "5", "7", "010", "31", "65536", "2147483647"],
        vec!['+', '-', '*', '/', '%', '^'],
    )
}

fn float(seen: Authorizers) -> BoxedStrategy<Num> {
    let literals =
        vec!["0.0", "1.0", "0.5", "1.5", "2.25", "5.0", "007.50", "1000.0", "99999999999.0"];
    number(seen, literals, vec!['+', '-', '*', '/', '^'])
}

fn number(
    seen: Authorizers,
    literals: Vec<&'static str>,
    operators: Vec<char>,
) -> BoxedStrategy<Num> {
    let leaf = prop_oneof![3 => select(literals).prop_map(Num::Literal), 2 => string(seen).prop_map(Num::Convert)];
    leaf.prop_recursive(3, 6, 2, move |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|of| Num::Negative(Box::new(of))),
            4 => (inner.clone(), select(operators.clone()), inner)
                .prop_map(|(left, operator, right)| Num::Compute(Box::new(left), operator, Box::new(right))),
        ]
    })
    .boxed()
}

fn string(seen: Authorizers) -> BoxedStrategy<Str> {
    let special = SPECIAL
        .into_iter()
        .filter(|name| seen == Authorizers::Seen || *name != "_ACTION_AUTHORIZERS");
    let special: Vec<&str> = special.collect();
    let leaf = prop_oneof![
        3 => word().prop_map(Str::Literal),
        4 => select(&NAMES[..]).prop_map(Str::Attribute),
        2 => select(special.clone()).prop_map(Str::Attribute),
        1 => select(special).prop_map(|name| Str::Dereference(Box::new(Str::Literal(name.into())))),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|of| Str::Dereference(Box::new(of))),
            (inner.clone(), inner)
                .prop_map(|(left, right)| Str::Join(Box::new(left), Box::new(right))),
        ]
    })
    .boxed()
}
