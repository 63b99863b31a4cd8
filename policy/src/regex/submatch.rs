//! Finds the texts of groups by the POSIX rule (IEEE Std 1003.1, 9.1): from left to right, each part of the expression matches the
//! longest text that still allows the whole match; an empty string counts as longer than no match; for a repeated group, the
//! last repetition counts.
//!
//! The whole match is already known. For each part and each offset at which it may begin, the set of offsets at which it may end is
//! computed once; then the parts are placed from left to right.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::error::OutOfSteps;
use super::syntax::{Expression, Node};

/// The range of each group in the text, by number; the whole match is number 0. `None` for a group that took no part in the match.
pub type Groups = Vec<Option<Range<usize>>>;

/// The cost of a step, which handles about one word of a set of offsets, in nanoseconds.
const STEP: usize = 32;

pub(super) fn groups(
    expression: &Expression,
    text: &[u8],
    span: Range<usize>,
    work: &mut usize,
) -> Result<Groups, OutOfSteps> {
    let groups = vec![None; expression.groups + 1];
    let mut matcher =
        Matcher { text, end: span.end, known: HashMap::new(), groups, steps: *work / STEP };
    if let Some(whole) = matcher.groups.first_mut() {
        *whole = Some(span.clone());
    }
    let placed = matcher.place(&expression.root, span.start, span.end);
    *work = matcher.steps * STEP;
    placed.map(|()| matcher.groups)
}

struct Matcher<'t> {
    text: &'t [u8],
    /// The end of the whole match. No part of it may end later.
    end: usize,
    /// The offsets at which a node may end, by its address, which stays the same because the expression is borrowed, and the offset where
    /// it begins.
    known: HashMap<(*const Node, usize), Rc<Offsets>>,
    groups: Groups,
    /// The steps that may still be taken.
    steps: usize,
}

/// A set of offsets into the text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offsets(Vec<u64>);

impl Offsets {
    fn none(end: usize) -> Self {
        Self(vec![0; end / 64 + 1])
    }

    fn only(offset: usize, end: usize) -> Self {
        let mut offsets = Self::none(end);
        offsets.insert(offset);
        offsets
    }

    fn insert(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    /// Adds all offsets of another set; returns whether any was new.
    fn join(&mut self, other: &Self) -> bool {
        let mut grew = false;
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            grew |= *more & !*word != 0;
            *word |= more;
        }
        grew
    }

    fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(word, less)| word & !less).collect())
    }

    fn last_in(&self, other: &Self) -> Option<usize> {
        let words = self.0.iter().zip(&other.0).enumerate().rev();
        words
            .map(|(index, (word, also))| (index, word & also))
            .find(|(_, both)| *both != 0)
            .map(|(index, both)| index * 64 + 63 - both.leading_zeros() as usize)
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| index * 64 + bit)
        })
    }
}

impl Matcher<'_> {
    fn spend(&mut self, steps: usize) -> Result<(), OutOfSteps> {
        self.steps = self.steps.checked_sub(steps).ok_or(OutOfSteps)?;
        Ok(())
    }

    fn words(&self) -> usize {
        self.end / 64 + 2
    }

    /// The offsets at which a node that begins at `start` may end.
    fn ends(&mut self, node: &Node, start: usize) -> Result<Rc<Offsets>, OutOfSteps> {
        let key = (std::ptr::from_ref(node), start);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        self.spend(self.words())?;
        let here = |yes: bool, end: usize| {
            if yes { Offsets::only(start, end) } else { Offsets::none(end) }
        };
        let places = match node {
            Node::Empty => here(true, self.end),
            Node::Start => here(start == 0, self.end),
            Node::End => here(start == self.text.len(), self.end),
            Node::Set(set) => {
                let byte = self.text.get(start).filter(|_| start < self.end);
                let mut places = Offsets::none(self.end);
                if byte.is_some_and(|byte| set.contains(*byte)) {
                    places.insert(start + 1);
                }
                places
            }
            Node::Group(_, of) => (*self.ends(of, start)?).clone(),
            Node::Concatenation(parts) => {
                let mut places = Offsets::only(start, self.end);
                for part in parts {
                    places = self.step(part, &places)?;
                }
                places
            }
            Node::Alternation(parts) => {
                let mut places = Offsets::none(self.end);
                for part in parts {
                    places.join(&*self.ends(part, start)?);
                }
                places
            }
            Node::Repetition { of, min, max, .. } => self.repeat(of, *min, *max, start)?,
        };
        let places = Rc::new(places);
        self.known.insert(key, places.clone());
        Ok(places)
    }

    /// The offsets at which a node may end that begins at any of the given offsets.
    fn step(&mut self, node: &Node, from: &Offsets) -> Result<Offsets, OutOfSteps> {
        let mut to = Offsets::none(self.end);
        for start in from.iter() {
            self.spend(self.words())?;
            to.join(&*self.ends(node, start)?);
        }
        Ok(to)
    }

    fn repeat(
        &mut self,
        of: &Node,
        min: u32,
        max: Option<u32>,
        start: usize,
    ) -> Result<Offsets, OutOfSteps> {
        let mut fresh = Offsets::only(start, self.end);
        for _ in 0..min {
            fresh = self.step(of, &fresh)?;
        }
        let mut all = fresh.clone();
        let mut times = min;
        while max.is_none_or(|max| times < max) && !fresh.is_empty() {
            fresh = self.step(of, &fresh)?.without(&all);
            all.join(&fresh);
            times = times.saturating_add(1);
        }
        Ok(all)
    }

    /// Records the ranges of the groups in a node that begins at `start` and ends at `end`. The caller knows that it can match there.
    fn place(&mut self, node: &Node, start: usize, end: usize) -> Result<(), OutOfSteps> {
        if !node.has_groups() {
            return Ok(());
        }
        match node {
            Node::Group(number, of) => {
                if let Some(group) = self.groups.get_mut(*number) {
                    *group = Some(start..end);
                }
                self.place(of, start, end)
            }
            Node::Concatenation(parts) => self.place_parts(parts, start, end),
            Node::Alternation(parts) => {
                for part in parts {
                    if self.ends(part, start)?.contains(end) {
                        return self.place(part, start, end);
                    }
                }
                Ok(())
            }
            Node::Repetition { of, min, max, groups } => {
                self.place_times(of, (*min, *max), groups.clone(), start, end)
            }
            Node::Empty | Node::Set(_) | Node::Start | Node::End => Ok(()),
        }
    }

    fn place_parts(&mut self, parts: &[Node], start: usize, end: usize) -> Result<(), OutOfSteps> {
        // The possible beginnings of each part, from the left; the last set holds the possible ends of the whole.
        let mut begins = vec![Offsets::only(start, self.end)];
        for part in parts {
            let next = match begins.last() {
                Some(from) => self.step(part, &from.clone())?,
                None => return Ok(()),
            };
            begins.push(next);
        }
        // Of these, only those from which the rest can end at `end`.
        let mut good = vec![Offsets::only(end, self.end)];
        for (part, from) in parts.iter().zip(&begins).rev() {
            let next = match good.last() {
                Some(to) => self.leading(part, from, &to.clone())?,
                None => return Ok(()),
            };
            good.push(next);
        }
        good.reverse();
        let mut at = start;
        for (part, to) in parts.iter().zip(good.iter().skip(1)) {
            let Some(next) = self.ends(part, at)?.last_in(to) else { return Ok(()) };
            self.place(part, at, next)?;
            at = next;
        }
        Ok(())
    }

    /// The offsets of `from` at which the node may begin and then end at an offset of `to`.
    fn leading(
        &mut self,
        node: &Node,
        from: &Offsets,
        to: &Offsets,
    ) -> Result<Offsets, OutOfSteps> {
        let mut leading = Offsets::none(self.end);
        for start in from.iter() {
            self.spend(self.words())?;
            if self.ends(node, start)?.last_in(to).is_some() {
                leading.insert(start);
            }
        }
        Ok(leading)
    }

    fn place_times(
        &mut self,
        of: &Node,
        (min, max): (u32, Option<u32>),
        groups: Range<usize>,
        start: usize,
        end: usize,
    ) -> Result<(), OutOfSteps> {
        // The possible beginnings of each repetition. Empty repetitions are used only to reach the least number.
        let mut begins = vec![Offsets::only(start, self.end)];
        let useful = end - start + min.max(1) as usize;
        let most = max.map_or(useful, |max| useful.min(max as usize));
        for _ in 0..most {
            let next = match begins.last() {
                Some(from) if !from.is_empty() => self.step(of, &from.clone())?,
                _ => break,
            };
            begins.push(next);
        }
        // Of these, only those from which the rest can end at `end`, by the number of finished repetitions.
        let mut good: Vec<Offsets> = Vec::with_capacity(begins.len());
        let mut after = Offsets::none(self.end);
        for (times, from) in begins.iter().enumerate().rev() {
            let mut here = self.leading(of, from, &after)?;
            if times >= min as usize && from.contains(end) {
                here.insert(end);
            }
            good.push(here.clone());
            after = here;
        }
        good.reverse();
        let mut at = start;
        for (times, to) in good.iter().skip(1).enumerate() {
            let enough = times >= min as usize;
            let nothing_yet = times == 0 && max != Some(0);
            if at == end && enough && !nothing_yet {
                return Ok(());
            }
            let Some(next) = self.ends(of, at)?.last_in(to) else { return Ok(()) };
            if next == at && enough && !nothing_yet {
                return Ok(());
            }
            groups.clone().for_each(|number| {
                if let Some(group) = self.groups.get_mut(number) {
                    *group = None;
                }
            });
            self.place(of, at, next)?;
            at = next;
        }
        Ok(())
    }
}
