//! How much is done for what a stranger sent. All that depends on it takes from one budget, and ends when that is spent: nobody waits for
//! a thread that a bundle of certificates keeps busy, and none has to be given up.

use std::cell::Cell;

use super::error::PathError;

/// The most signatures that are verified for one path.
const MAX_SIGNATURES: usize = 64;
/// The most certificates that are looked at.
const MAX_STEPS: usize = 4096;
/// The most octets of names that are compared. To prepare a name by RFC 4518 takes some tens of nanoseconds an octet.
const MAX_OCTETS: usize = 4 << 20;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    signatures: Cell<usize>,
    steps: Cell<usize>,
    octets: Cell<usize>,
    /// Whether something was not enough.
    overdrawn: Cell<bool>,
}

impl Budget {
    /// For so many paths together.
    pub const fn for_paths(count: usize) -> Self {
        Self {
            signatures: Cell::new(MAX_SIGNATURES.saturating_mul(count)),
            steps: Cell::new(MAX_STEPS.saturating_mul(count)),
            octets: Cell::new(MAX_OCTETS.saturating_mul(count)),
            overdrawn: Cell::new(false),
        }
    }

    /// Takes one signature.
    pub fn signature(&self) -> Result<(), PathError> {
        self.take(&self.signatures, 1).ok_or(PathError::TooMuch(MAX_SIGNATURES))
    }

    /// Takes a look at a certificate.
    pub fn step(&self) -> Result<(), PathError> {
        self.take(&self.steps, 1).ok_or(PathError::TooMuch(MAX_STEPS))
    }

    /// Takes the comparison of names with so many octets together.
    pub fn compare(&self, octets: usize) -> Result<(), PathError> {
        self.take(&self.octets, octets).ok_or(PathError::TooLong(MAX_OCTETS))
    }

    /// Whether something was not done, as it would have cost more than was left.
    pub fn is_overdrawn(&self) -> bool {
        self.overdrawn.get()
    }

    /// What is not enough is spent as well: nothing smaller goes on where something did not.
    fn take(&self, of: &Cell<usize>, count: usize) -> Option<()> {
        let left = of.get().checked_sub(count);
        of.set(left.unwrap_or_default());
        self.overdrawn.set(self.overdrawn.get() || left.is_none());
        left.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_spent_and_nothing_goes_on() {
        let budget = Budget::for_paths(1);
        (0..MAX_SIGNATURES).for_each(|_| budget.signature().unwrap());
        assert!(!budget.is_overdrawn());
        assert_eq!(budget.signature(), Err(PathError::TooMuch(MAX_SIGNATURES)));
        assert!(budget.is_overdrawn());
        budget.compare(MAX_OCTETS - 5).unwrap();
        assert_eq!(budget.compare(6), Err(PathError::TooLong(MAX_OCTETS)));
        assert!(budget.compare(1).is_err() && budget.step().is_ok());
        let several = Budget::for_paths(2);
        several.compare(MAX_OCTETS + 1).unwrap();
    }
}
