//! Bounds on the work for certificates from a stranger. All work that depends on the input draws on one budget and
//! stops when that is spent, so no bundle of certificates can keep a thread busy.

use std::cell::Cell;

use super::error::PathError;

/// The most signatures that are verified in the search for one path.
const MAX_SIGNATURES: usize = 64;
/// The most certificates that are tried as issuers in the search for one path.
const MAX_STEPS: usize = 4096;
/// The most octets of names that are compared in the search for one path. Preparing a name by RFC 4518 takes some tens
/// of nanoseconds an octet.
pub(super) const MAX_OCTETS: usize = 4 << 20;

/// The remaining budget.
#[derive(Debug)]
pub(super) struct Budget {
    signatures: Cell<usize>,
    steps: Cell<usize>,
    octets: Cell<usize>,
    /// Whether some work was refused.
    overdrawn: Cell<bool>,
}

impl Budget {
    /// A budget for the search for this many paths together.
    pub const fn for_paths(count: usize) -> Self {
        Self {
            signatures: Cell::new(MAX_SIGNATURES.saturating_mul(count)),
            steps: Cell::new(MAX_STEPS.saturating_mul(count)),
            octets: Cell::new(MAX_OCTETS.saturating_mul(count)),
            overdrawn: Cell::new(false),
        }
    }

    /// Spends the verification of one signature.
    pub fn signature(&self) -> Result<(), PathError> {
        self.take(&self.signatures, 1).ok_or(PathError::TooMuch(MAX_SIGNATURES))
    }

    /// Spends one try of a certificate.
    pub fn step(&self) -> Result<(), PathError> {
        self.take(&self.steps, 1).ok_or(PathError::TooMuch(MAX_STEPS))
    }

    /// Spends the comparison of names with this many octets together.
    pub fn compare(&self, octets: usize) -> Result<(), PathError> {
        self.take(&self.octets, octets).ok_or(PathError::TooLong(MAX_OCTETS))
    }

    /// Whether some work was refused because the budget was spent.
    pub fn is_overdrawn(&self) -> bool {
        self.overdrawn.get()
    }

    /// Takes `count` from a part of the budget. If too little is left, that part becomes empty, so that no smaller
    /// piece of work continues after a larger one was refused.
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
        // Whoever reads it learns what to do.
        for error in [PathError::TooMuch(MAX_SIGNATURES), PathError::TooLong(MAX_OCTETS)] {
            assert!(
                error.to_string().contains("send only the certificates of one path"),
                "{error}"
            );
        }
        let several = Budget::for_paths(2);
        several.compare(MAX_OCTETS + 1).unwrap();
    }
}
