//! Formats an explanation as text for a person.

use std::fmt;

use super::trace::{AssertionTrace, ClauseTrace, LicenseesTrace, Trace};

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, asked by {}", self.value, self.requesters.join(", "))?;
        if self.assertions.is_empty() {
            writeln!(f, "\nno assertion is made by POLICY, so nobody is trusted")?;
        }
        for assertion in &self.assertions {
            write!(f, "\n{assertion}")?;
        }
        if self.omitted > 0 {
            writeln!(f, "\n{} more assertions of these principals are not shown", self.omitted)?;
        }
        for dropped in &self.dropped {
            writeln!(f, "\n{} does not count: {}", dropped.place, dropped.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for AssertionTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.trusted { "policy" } else { "credential" };
        writeln!(f, "{}: {} ({kind} of {})", self.place, self.value, self.authorizer)?;
        self.licensees.write(f, 1)?;
        match &self.clauses {
            None => writeln!(f, "  conditions: {} (the field is missing)", self.conditions_value),
            Some(clauses) if clauses.is_empty() => {
                writeln!(f, "  conditions: {} (no clause)", self.conditions_value)
            }
            Some(clauses) => {
                writeln!(f, "  conditions: {}", self.conditions_value)?;
                clauses.iter().try_for_each(|clause| clause.write(f, 2))
            }
        }
    }
}

impl LicenseesTrace {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let label = if depth == 1 { "licensees: " } else { "" };
        let name = self.principal.as_ref().unwrap_or(&self.kind);
        writeln!(
            f,
            "{:indent$}{label}{name}: {} ({})",
            "",
            self.value,
            self.reason,
            indent = depth * 2
        )?;
        self.parts.iter().try_for_each(|part| part.write(f, depth + 1))
    }
}

impl ClauseTrace {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = depth * 2;
        writeln!(f, "{:indent$}line {}: {} -> {}", "", self.line, self.outcome, self.value)?;
        writeln!(f, "{:indent$}  {}", "", self.text)?;
        for comparison in &self.comparisons {
            write!(f, "{:indent$}  {}: {}", "", comparison.outcome, comparison.text)?;
            for (name, value) in &comparison.attributes {
                match value {
                    Some(value) => write!(f, "; {name} is `{value}`")?,
                    None => write!(f, "; {name} is undefined")?,
                }
            }
            writeln!(f)?;
        }
        self.clauses.iter().try_for_each(|clause| clause.write(f, depth + 1))
    }
}
