//! The engine against an evaluator that is written from RFC 2704 §5 alone, over its own types and with its own printer,
//! on random assertion sets; and the properties that the RFC promises for every answer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

#[path = "model/evaluate.rs"]
mod evaluate;
#[path = "model/generate.rs"]
mod generate;
#[path = "model/print.rs"]
mod print;
#[path = "model/terms.rs"]
mod terms;

use std::cell::RefCell;
use std::collections::BTreeMap;

use countersign_policy::{
    AttributeSet, ComplianceValues, DropReason, PolicySet, Question, Requesters, Source,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use generate::Authorizers::{Seen, Unseen};
use terms::{Assertion, Field, Princ, Query};

/// Whether conditions hold regular expressions.
const REGULAR_EXPRESSIONS: bool = true;

const CASES: u32 = 2048;

/// For the properties that the agreement with the model implies, if the model is right.
const FEWER: u32 = 384;

#[test]
fn the_engine_agrees_with_the_model() {
    let answers = RefCell::new(BTreeMap::new());
    check(
        CASES,
        &(generate::assertions(Seen), generate::query(), any::<u64>()),
        |(assertions, query, seed)| {
            let wanted = evaluate::answer(&assertions, &query);
            let texts = texts(&assertions, seed);
            prop_assert_eq!(ask(&texts, &query)?, wanted, "{}", shown(&texts));
            *answers.borrow_mut().entry((wanted, query.values.len())).or_insert(0_u32) += 1;
            Ok(())
        },
    );
    assert_is_a_fair_sample(&answers.into_inner());
}

/// A generator whose answers are all the same proves nothing.
fn assert_is_a_fair_sample(answers: &BTreeMap<(usize, usize), u32>) {
    let share = |belongs: fn(usize, usize) -> bool| {
        let those = answers.iter().filter(|((value, count), _)| belongs(*value, *count));
        those.map(|(_, times)| times).sum::<u32>() * 100 / CASES
    };
    let (none, between, all) = (
        share(|value, _| value == 0),
        share(|value, count| value > 0 && value + 1 < count),
        share(|value, count| value + 1 == count),
    );
    assert!(
        none >= 10 && between >= 10 && all >= 10,
        "none {none} %, between {between} %, all {all} %"
    );
}

/// The answer does not depend on how assertions are divided between a set and its extension.
#[test]
fn a_divided_set_answers_as_the_whole() {
    check(
        CASES,
        &(generate::assertions(Seen), generate::query(), any::<u64>()),
        |(assertions, query, division)| {
            let texts = texts(&assertions, 0);
            let wanted = ask(&texts, &query)?;
            let mut builders = [PolicySet::builder(), PolicySet::builder()];
            for (position, text) in texts.iter().enumerate() {
                let side = usize::from(division >> (position % 64) & 1 == 1);
                let source = Source::new(format!("assertion {position}"), text.as_slice());
                builders[side].extensible().assertion(&source);
            }
            let [base, extension] = builders.map(|mut builder| {
                builder.extensible();
                builder.build()
            });
            let answer = put(&query, |question| base.ask_with(&extension, question).position);
            prop_assert_eq!(answer, wanted, "{:b}: {}", division, shown(&texts));
            Ok(())
        },
    );
}

/// RFC 2704 §2: removing an assertion never results in increasing the compliance value.
#[test]
fn removing_an_assertion_never_raises_the_answer() {
    check(FEWER, &(generate::assertions(Seen), generate::query()), |(assertions, query)| {
        let texts = texts(&assertions, 0);
        let whole = ask(&texts, &query)?;
        for left_out in 0..texts.len() {
            let mut fewer = texts.clone();
            fewer.remove(left_out);
            prop_assert!(ask(&fewer, &query)? <= whole, "without {left_out}:\n{}", shown(&texts));
        }
        Ok(())
    });
}

#[test]
fn another_requester_never_lowers_the_answer() {
    let case = (generate::assertions(Unseen), generate::query(), generate::requester());
    check(FEWER, &case, |(assertions, query, another)| {
        let texts = texts(&assertions, 0);
        let mut more = query.clone();
        more.requesters.push(another);
        prop_assert!(ask(&texts, &more)? >= ask(&texts, &query)?, "{}", shown(&texts));
        Ok(())
    });
}

#[test]
fn the_order_of_assertions_and_of_requesters_does_not_matter() {
    let shuffled = generate::assertions(Unseen)
        .prop_flat_map(|assertions| (Just(assertions.clone()), Just(assertions).prop_shuffle()));
    check(FEWER, &(shuffled, generate::query()), |((assertions, other), query)| {
        let mut reversed = query.clone();
        reversed.requesters.reverse();
        let texts = texts(&assertions, 0);
        let other = self::texts(&other, 0);
        prop_assert_eq!(ask(&texts, &query)?, ask(&other, &reversed)?, "{}", shown(&texts));
        Ok(())
    });
}

#[test]
fn the_order_of_licensees_does_not_matter() {
    check(FEWER, &(generate::assertions(Seen), generate::query()), |(assertions, query)| {
        let mirrored: Vec<Assertion> = assertions.iter().cloned().map(mirrored_licensees).collect();
        let texts = texts(&assertions, 0);
        prop_assert_eq!(
            ask(&texts, &query)?,
            ask(&self::texts(&mirrored, 0), &query)?,
            "{}",
            shown(&texts)
        );
        Ok(())
    });
}

/// All spellings of a set give the same answer.
#[test]
fn spelling_does_not_matter() {
    check(
        FEWER,
        &(generate::assertions(Seen), generate::query(), any::<u64>()),
        |(assertions, query, seed)| {
            let (plain, fancy) = (texts(&assertions, 0), texts(&assertions, seed));
            prop_assert_eq!(ask(&plain, &query)?, ask(&fancy, &query)?, "{}", shown(&fancy));
            Ok(())
        },
    );
}

fn mirrored_licensees(mut assertion: Assertion) -> Assertion {
    if let Field::Is(licensees) = assertion.licensees {
        assertion.licensees = Field::Is(mirrored(licensees));
    }
    assertion
}

fn mirrored(licensees: Princ) -> Princ {
    let swap = |left: Box<Princ>, right: Box<Princ>| {
        (Box::new(mirrored(*right)), Box::new(mirrored(*left)))
    };
    match licensees {
        Princ::One(name) => Princ::One(name),
        Princ::And(left, right) => {
            let (left, right) = swap(left, right);
            Princ::And(left, right)
        }
        Princ::Or(left, right) => {
            let (left, right) = swap(left, right);
            Princ::Or(left, right)
        }
        Princ::Of(k, mut list) => {
            list.reverse();
            Princ::Of(k, list)
        }
    }
}

fn check<S: Strategy>(
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    if let Err(error) = TestRunner::new(config).run(strategy, property) {
        panic!("{error}");
    }
}

fn texts(assertions: &[Assertion], seed: u64) -> Vec<Vec<u8>> {
    // Seed 0 stays 0; another gives every assertion its own spelling.
    (1..)
        .zip(assertions)
        .map(|(n, assertion)| print::print(assertion, seed.wrapping_mul(2 * n + 1)))
        .collect()
}

fn shown(texts: &[Vec<u8>]) -> String {
    texts
        .iter()
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The answer of the engine, as a position in the order.
fn ask(texts: &[Vec<u8>], query: &Query) -> Result<usize, TestCaseError> {
    let mut builder = PolicySet::builder();
    for text in texts {
        builder.assertion(&Source::new("model", text.as_slice()));
    }
    let set = builder.build();
    for dropped in set.dropped() {
        // In the printed assertions, only thresholds and constants can be invalid.
        let DropReason::Malformed(findings) = &dropped.reason else {
            return Err(TestCaseError::fail(dropped.reason.to_string()));
        };
        let known = ["expected a threshold from 1", "is given a value a second time"];
        for finding in findings {
            prop_assert!(
                known.iter().any(|message| finding.message.contains(message)),
                "{}",
                dropped.source.render(finding)
            );
        }
    }
    let (position, value) = put(query, |question| {
        let answer = set.ask(question);
        (answer.position, answer.value.to_vec())
    });
    prop_assert_eq!(value, query.values[position].as_bytes());
    Ok(position)
}

fn put<T>(query: &Query, ask: impl FnOnce(Question<'_>) -> T) -> T {
    let mut attributes = AttributeSet::new();
    for (name, value) in &query.attributes {
        attributes.set(name, value).unwrap();
    }
    let requesters = Requesters::new(&query.requesters).unwrap();
    let values = ComplianceValues::new(&query.values).unwrap();
    ask(Question { attributes: &attributes, requesters: &requesters, values: &values })
}
