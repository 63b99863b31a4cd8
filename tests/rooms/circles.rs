//! Circles among files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::arrows::Arrow;

/// The circles among these arrows as text, a shortest one first of each knot; empty if there is none.
pub fn described(arrows: &[Arrow]) -> String {
    let mut text = String::new();
    for knot in knots(arrows) {
        let ring = shortest(&knot, arrows);
        text += &format!("a circle: {} → {}\n", ring.join(" → "), ring[0]);
        if knot.len() > ring.len() {
            text += &format!("  and {} files in all go in circles with these:\n", knot.len());
        }
        for arrow in
            arrows.iter().filter(|arrow| knot.contains(&*arrow.from) && knot.contains(&*arrow.to))
        {
            text += &format!("  {arrow}\n");
        }
    }
    text
}

/// Each set of two or more files in which every one reaches every other.
pub fn knots(arrows: &[Arrow]) -> Vec<BTreeSet<&str>> {
    let next = neighbours(arrows);
    let mut knots: Vec<BTreeSet<&str>> = Vec::new();
    for file in next.keys() {
        if knots.iter().any(|knot| knot.contains(file)) {
            continue;
        }
        let back = |other: &&str| reach(&next, other).contains(file);
        let knot: BTreeSet<&str> = reach(&next, file).into_iter().filter(back).collect();
        if knot.contains(file) {
            knots.push(knot);
        }
    }
    knots
}

fn neighbours(arrows: &[Arrow]) -> BTreeMap<&str, Vec<&str>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for arrow in arrows {
        next.entry(&arrow.from).or_default().push(&arrow.to);
    }
    next
}

/// What can be reached from a file by at least one arrow.
fn reach<'a>(next: &BTreeMap<&'a str, Vec<&'a str>>, file: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = next.get(file).cloned().unwrap_or_default();
    while let Some(at) = open.pop() {
        if reached.insert(at) {
            open.extend(next.get(at).into_iter().flatten());
        }
    }
    reached
}

/// A shortest circle through the first file of a knot that is on one of the shortest.
fn shortest<'a>(knot: &BTreeSet<&'a str>, arrows: &'a [Arrow]) -> Vec<&'a str> {
    let next = neighbours(arrows);
    knot.iter().filter_map(|file| circle(&next, file)).min_by_key(Vec::len).unwrap_or_default()
}

fn circle<'a>(next: &BTreeMap<&'a str, Vec<&'a str>>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for file in next.get(way.last()?).into_iter().flatten() {
            if *file == start {
                return Some(way);
            }
            if seen.insert(*file) {
                ways.push_back(way.iter().copied().chain([*file]).collect());
            }
        }
    }
    None
}
