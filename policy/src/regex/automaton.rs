//! Finds whether and where an expression matches, with a dense DFA if it is small enough, otherwise by simulating an NFA. Both find out in
//! time linear in the length of the text whether it matches.

use std::ops::Range;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures, pikevm::PikeVM};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, Look, Repetition};

use super::error::OutOfSteps;
use super::syntax::{ByteSet, Expression, Node};

/// The largest NFA, in bytes.
const NFA_BYTES: usize = 512 << 10;
/// The largest DFA, in bytes.
const DFA_BYTES: usize = 64 << 10;
/// The largest workspace for building a DFA, in bytes.
const DETERMINIZE_BYTES: usize = 128 << 10;

/// The intended use of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The expression is matched against many texts: compiling may be slow, matching is fast.
    Often,
    /// The expression is matched against one text: compiling is fast, matching is slower.
    Once,
}

#[derive(Debug)]
pub(super) enum Automaton {
    Dense(Box<dense::DFA<Vec<u32>>>),
    Simulated(Box<PikeVM>),
}

impl Automaton {
    /// Compiles an expression; `None` if it takes too much memory.
    pub fn new(expression: &Expression, how_often: Use) -> Option<Self> {
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::Implicit)
            .nfa_size_limit(Some(NFA_BYTES));
        let nfa = thompson::Compiler::new()
            .configure(config)
            .build_from_hir(&hir(&expression.root))
            .ok()?;
        match (how_often == Use::Often).then(|| dense_dfa(&nfa)).flatten() {
            Some(dfa) => Some(Self::Dense(Box::new(dfa))),
            None => {
                let config = PikeVM::config().match_kind(MatchKind::All);
                Some(Self::Simulated(Box::new(
                    PikeVM::builder().configure(config).build_from_nfa(nfa).ok()?,
                )))
            }
        }
    }

    /// The work of a search in a text of this length (in bytes), in steps of about a nanosecond.
    pub fn cost(&self, length: usize) -> usize {
        match self {
            Self::Dense(_) => length,
            Self::Simulated(vm) => (length + 1).saturating_mul(vm.get_nfa().states().len()),
        }
    }

    /// Whether the expression matches anywhere in the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        let input = Input::new(text).earliest(true);
        match self {
            // INVARIANT: a search without quit bytes and with an unanchored start does not fail.
            Self::Dense(dfa) => matches!(dfa.try_search_fwd(&input), Ok(Some(_))),
            Self::Simulated(vm) => vm.is_match(&mut vm.create_cache(), input),
        }
    }

    /// The longest of the leftmost matches, as a range of the text; `None` if there is no match. Subtracts its cost from `work`, and fails
    /// if that is used up.
    pub fn find(&self, text: &[u8], work: &mut usize) -> Result<Option<Range<usize>>, OutOfSteps> {
        for start in 0..=text.len() {
            let rest = text.len() - start;
            *work = work.checked_sub(self.cost(rest) + 10).ok_or(OutOfSteps)?;
            let input = Input::new(text).span(start..text.len()).anchored(Anchored::Yes);
            let end = match self {
                Self::Dense(dfa) => {
                    dfa.try_search_fwd(&input).ok().flatten().map(|found| found.offset())
                }
                Self::Simulated(vm) => {
                    // The search reports all matches, of which the last is the longest.
                    let mut slots = [None; 2];
                    let mut cache = vm.create_cache();
                    vm.search_slots(&mut cache, &input, &mut slots);
                    let [_, end] = slots;
                    end.map(|end| end.get())
                }
            };
            if let Some(end) = end {
                return Ok(Some(start..end));
            }
        }
        Ok(None)
    }
}

fn dense_dfa(nfa: &NFA) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Both)
        .dfa_size_limit(Some(DFA_BYTES))
        .determinize_size_limit(Some(DETERMINIZE_BYTES));
    dense::Builder::new().configure(config).build_from_nfa(nfa).ok()
}

fn hir(node: &Node) -> Hir {
    match node {
        Node::Empty => Hir::empty(),
        Node::Set(set) => Hir::class(Class::Bytes(class(set))),
        Node::Start => Hir::look(Look::Start),
        Node::End => Hir::look(Look::End),
        Node::Group(_, of) => hir(of),
        Node::Concatenation(parts) => Hir::concat(parts.iter().map(hir).collect()),
        Node::Alternation(parts) => Hir::alternation(parts.iter().map(hir).collect()),
        Node::Repetition { of, min, max, .. } => Hir::repetition(Repetition {
            min: *min,
            max: *max,
            greedy: true,
            sub: Box::new(hir(of)),
        }),
    }
}

fn class(set: &ByteSet) -> ClassBytes {
    ClassBytes::new(
        (0..=255).filter(|byte| set.contains(*byte)).map(|byte| ClassBytesRange::new(byte, byte)),
    )
}
