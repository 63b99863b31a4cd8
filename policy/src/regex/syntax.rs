//! A regular expression as a tree.

/// A tree with its groups numbered from 1, in the order of their opening parentheses.
#[derive(Debug)]
pub(super) struct Expression {
    /// The tree.
    pub root: Node,
    /// The number of groups.
    pub groups: usize,
}

#[derive(Debug)]
pub(super) enum Node {
    /// The empty string.
    Empty,
    /// Any one byte of a set.
    Set(ByteSet),
    /// `^`
    Start,
    /// `$`
    End,
    /// A group, with its number.
    Group(usize, Box<Node>),
    Concatenation(Vec<Node>),
    Alternation(Vec<Node>),
    Repetition {
        of: Box<Node>,
        /// The least number of repetitions.
        min: u32,
        /// The most repetitions; `None` for no bound.
        max: Option<u32>,
        /// The numbers of the groups inside `of`.
        groups: std::ops::Range<usize>,
    },
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    /// Every byte.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// The set of one byte.
    pub fn of(byte: u8) -> Self {
        let mut set = Self::default();
        set.insert(byte);
        set
    }

    /// Adds a byte.
    pub fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    /// Whether the byte is in the set.
    pub fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word & (1 << (byte & 63)) != 0)
    }

    /// Replaces the set by all other bytes.
    pub fn negate(&mut self) {
        self.0.iter_mut().for_each(|word| *word = !*word);
    }
}

impl Node {
    /// The number of nodes of this tree, with bounded repetitions written out.
    pub fn size(&self) -> usize {
        match self {
            Self::Empty | Self::Set(_) | Self::Start | Self::End => 1,
            Self::Group(_, of) => of.size().saturating_add(1),
            Self::Concatenation(parts) | Self::Alternation(parts) => {
                parts.iter().fold(1, |sum: usize, part| sum.saturating_add(part.size()))
            }
            Self::Repetition { of, min, max, .. } => {
                let times = max.unwrap_or(min.saturating_add(1)).max(1) as usize;
                of.size().saturating_mul(times).saturating_add(1)
            }
        }
    }

    /// Whether the node contains a group.
    pub fn has_groups(&self) -> bool {
        match self {
            Self::Empty | Self::Set(_) | Self::Start | Self::End => false,
            Self::Group(..) => true,
            Self::Concatenation(parts) | Self::Alternation(parts) => {
                parts.iter().any(Self::has_groups)
            }
            Self::Repetition { groups, .. } => !groups.is_empty(),
        }
    }
}
