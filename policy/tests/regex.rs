//! Regular expressions against an exhaustive matcher, which finds all ways to match, and chooses the one that the POSIX rule
//! prefers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fmt::Write as _;
use std::ops::Range;

use countersign_policy::regex::Regex;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Node {
    Byte(u8),
    Any,
    Start,
    End,
    Group(Box<Node>),
    Then(Vec<Node>),
    Or(Vec<Node>),
    Repeat(Box<Node>, usize, Option<usize>),
}

/// A way to match: its end, and the ranges of the groups, in the order of their numbers.
type Way = (usize, Vec<Option<Range<usize>>>);

impl Node {
    fn groups(&self) -> usize {
        match self {
            Self::Byte(_) | Self::Any | Self::Start | Self::End => 0,
            Self::Group(of) => 1 + of.groups(),
            Self::Then(parts) | Self::Or(parts) => parts.iter().map(Self::groups).sum(),
            Self::Repeat(of, ..) => of.groups(),
        }
    }

    fn print(&self, out: &mut String) {
        match self {
            Self::Byte(byte) => out.push(char::from(*byte)),
            Self::Any => out.push('.'),
            Self::Start => out.push('^'),
            Self::End => out.push('$'),
            Self::Group(of) => {
                out.push('(');
                of.print(out);
                out.push(')');
            }
            Self::Then(parts) => parts.iter().for_each(|part| part.print(out)),
            Self::Or(parts) => parts.iter().enumerate().for_each(|(position, part)| {
                if position > 0 {
                    out.push('|');
                }
                part.print(out);
            }),
            Self::Repeat(of, min, max) => {
                of.print(out);
                match (min, max) {
                    (0, None) => out.push('*'),
                    (1, None) => out.push('+'),
                    (0, Some(1)) => out.push('?'),
                    (min, None) => write!(out, "{{{min},}}").unwrap(),
                    (min, Some(max)) => write!(out, "{{{min},{max}}}").unwrap(),
                }
            }
        }
    }

    /// All ways to match from `start`, the preferred first among those with the same end.
    fn ways(&self, text: &[u8], start: usize) -> Vec<Way> {
        match self {
            Self::Byte(byte) if text.get(start) == Some(byte) => vec![(start + 1, vec![])],
            Self::Any if start < text.len() => vec![(start + 1, vec![])],
            Self::Start if start == 0 => vec![(start, vec![])],
            Self::End if start == text.len() => vec![(start, vec![])],
            Self::Byte(_) | Self::Any | Self::Start | Self::End => vec![],
            Self::Group(of) => {
                let inner = of.ways(text, start).into_iter();
                inner
                    .map(|(end, groups)| (end, [vec![Some(start..end)], groups].concat()))
                    .collect()
            }
            Self::Or(parts) => {
                let before =
                    |position: usize| parts[..position].iter().map(Self::groups).sum::<usize>();
                let all = self.groups();
                let mut ways = Vec::new();
                for (position, part) in parts.iter().enumerate() {
                    for (end, groups) in part.ways(text, start) {
                        let mut whole = vec![None; before(position)];
                        whole.extend(groups);
                        whole.resize(all, None);
                        ways.push((end, whole));
                    }
                }
                unique(ways)
            }
            Self::Then(parts) => {
                let mut ways: Vec<Way> = vec![(start, vec![])];
                for part in parts {
                    let mut next = Vec::new();
                    for (at, groups) in ways {
                        // The longest first: an earlier part has priority over a later one.
                        let mut more = part.ways(text, at);
                        more.sort_by_key(|(end, _)| std::cmp::Reverse(*end));
                        next.extend(
                            more.into_iter()
                                .map(|(end, after)| (end, [groups.clone(), after].concat())),
                        );
                    }
                    ways = unique(next);
                }
                ways
            }
            Self::Repeat(of, min, max) => {
                let mut ways = Vec::new();
                repeat(of, text, start, *min, *max, 0, vec![None; of.groups()], &mut ways);
                unique(ways)
            }
        }
    }
}

/// The first of the ways with the same end.
fn unique(ways: Vec<Way>) -> Vec<Way> {
    let mut kept: Vec<Way> = Vec::new();
    for way in ways {
        if kept.iter().all(|(end, _)| *end != way.0) {
            kept.push(way);
        }
    }
    kept
}

#[allow(clippy::too_many_arguments, reason = "a search with all its state in sight")]
fn repeat(
    of: &Node,
    text: &[u8],
    at: usize,
    min: usize,
    max: Option<usize>,
    times: usize,
    groups: Vec<Option<Range<usize>>>,
    ways: &mut Vec<Way>,
) {
    if max.is_none_or(|max| times < max) {
        let mut more = of.ways(text, at);
        more.sort_by_key(|(end, _)| std::cmp::Reverse(*end));
        for (end, inner) in more {
            // An empty repetition counts if it is needed, or if it is the only one.
            if end > at || times < min {
                repeat(of, text, end, min, max, times + 1, inner, ways);
            } else if times == 0 {
                ways.push((end, inner));
            }
        }
    }
    if times >= min {
        ways.push((at, groups));
    }
}

/// Leftmost, then longest.
fn model(node: &Node, text: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
    (0..=text.len()).find_map(|start| {
        let (end, groups) = node.ways(text, start).into_iter().max_by_key(|(end, _)| *end)?;
        Some([vec![Some(start..end)], groups].concat())
    })
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        6 => prop_oneof![Just(b'a'), Just(b'b')].prop_map(Node::Byte),
        1 => Just(Node::Any),
    ];
    let inner = leaf.prop_recursive(3, 14, 3, |inner| {
        let group = prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Node::Then),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::Or),
            inner,
        ]
        .prop_map(|of| Node::Group(Box::new(of)));
        let bounds = prop_oneof![
            Just((0, None)),
            Just((1, None)),
            Just((0, Some(1))),
            Just((2, Some(3))),
            Just((1, Some(2))),
            Just((2, None))
        ];
        prop_oneof![
            2 => group.clone(),
            3 => (group, bounds).prop_map(|(of, (min, max))| Node::Repeat(Box::new(of), min, max)),
        ]
    });
    let anchored = prop_oneof![8 => inner, 1 => Just(Node::Start), 1 => Just(Node::End)];
    prop::collection::vec(anchored, 1..4).prop_map(Node::Then)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_those_of_the_posix_rule(node in node(), text in "[ab]{0,6}") {
        let mut pattern = String::new();
        node.print(&mut pattern);
        let regex = Regex::new(pattern.as_bytes()).unwrap();
        let wanted = model(&node, text.as_bytes());
        prop_assert_eq!(regex.is_match(text.as_bytes()), wanted.is_some(), "{} on {}", pattern, text);
        prop_assert_eq!(regex.groups(), node.groups());
        prop_assert_eq!(regex.captures(text.as_bytes()).unwrap(), wanted, "{} on {}", pattern, text);
    }

    #[test]
    fn no_pattern_does_harm(pattern in prop::collection::vec(any::<u8>(), 0..60), text in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(regex) = Regex::new(&pattern) {
            let found = regex.is_match(&text);
            if let Ok(groups) = regex.captures(&text) {
                prop_assert_eq!(groups.is_some(), found);
            }
        }
    }

    #[test]
    fn no_soup_of_symbols_does_harm(pattern in "[ab.*+?|()^$\\[\\]{}0-9,\\\\-]{0,30}", text in "[ab]{0,20}") {
        if let Ok(regex) = Regex::new(pattern.as_bytes()) {
            prop_assert!(regex.captures(text.as_bytes()).is_ok_and(|groups| groups.is_some() == regex.is_match(text.as_bytes())));
        }
    }
}
