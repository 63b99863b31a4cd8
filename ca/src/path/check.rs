//! Validates a whole path by RFC 5280 §6.1, from the anchor down. `build.rs` checks the signatures and the chaining of
//! names when it builds the path; a path from elsewhere is not checked for them.

use std::sync::Arc;

use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::ext::pkix::PolicyMapping;

use super::budget::Budget;
use super::certificate::Certificate;
use super::constraints::Constraints;
use super::error::PathError;
use super::policies::{PolicyGraph, Processing};
use crate::clock::Timestamp;
use crate::oid;

/// The settings of path validation.
#[derive(Debug, Clone)]
pub struct PathSettings {
    /// The most certificates between the peer's and the anchor. Self-issued ones do not count. The search for a path
    /// applies this bound; [`check`] does not.
    pub max_intermediates: usize,
    /// The accepted key purposes. Every certificate of the path that has an extKeyUsage must have one of them or
    /// anyExtendedKeyUsage; if the list is empty, the extension is ignored.
    pub key_purposes: Vec<ObjectIdentifier>,
    /// Whether the peer's key must be for signatures (digitalSignature or nonRepudiation), if its certificate has a
    /// keyUsage.
    pub signs: bool,
    /// The inputs about policies.
    pub initial: Initial,
}

impl Default for PathSettings {
    fn default() -> Self {
        Self {
            max_intermediates: 8,
            key_purposes: Vec::new(),
            signs: false,
            initial: Initial::default(),
        }
    }
}

/// The inputs about certificate policies (§6.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Initial {
    /// user-initial-policy-set; empty means any policy.
    pub policies: Vec<ObjectIdentifier>,
    /// initial-explicit-policy.
    pub explicit_policy: bool,
    /// initial-policy-mapping-inhibit.
    pub inhibit_mapping: bool,
    /// initial-any-policy-inhibit.
    pub inhibit_any: bool,
}

/// Validates a path at the time `at`. The peer's certificate comes first, the one below the anchor last. The caller has
/// verified the signatures and compared the names of subjects and issuers.
///
/// # Errors
/// The reason why the path is not valid, or could not be checked within the budget for one path.
pub fn check(
    path: &[Arc<Certificate>],
    anchor: &Certificate,
    settings: &PathSettings,
    at: Timestamp,
) -> Result<(), PathError> {
    check_within(path, anchor, settings, at, &Budget::for_paths(1))
}

/// Like [`check`], within the rest of a budget.
pub(super) fn check_within(
    path: &[Arc<Certificate>],
    anchor: &Certificate,
    settings: &PathSettings,
    at: Timestamp,
    budget: &Budget,
) -> Result<(), PathError> {
    let mut state = State::new(path.len(), &settings.initial, budget);
    let refused = |of: &Certificate, why| PathError::Refused { certificate: of.shown(), why };
    state.constraints.add(anchor).map_err(|why| refused(anchor, why))?;
    if let Some(most) = anchor.basic.as_ref().and_then(|basic| basic.path_len_constraint) {
        state.max_path = state.max_path.min(most.into());
    }
    let count = path.len();
    for (number, certificate) in (1..=count).zip(path.iter().rev()) {
        let position = if number == count { Position::Last } else { Position::Above };
        let checked = state.certificate(certificate, position, at).and_then(|()| match position {
            Position::Last => state.peer(certificate, settings),
            Position::Above => state.ca(certificate, settings),
        });
        checked.map_err(|why| refused(certificate, why))?;
    }
    Ok(())
}

/// The position of a certificate in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Above another certificate, so it must be a CA's.
    Above,
    /// The last certificate: the peer's.
    Last,
}

/// The state variables of §6.1.2.
struct State<'a> {
    constraints: Constraints<'a>,
    policies: PolicyGraph,
    explicit_policy: usize,
    inhibit_any: usize,
    policy_mapping: usize,
    max_path: usize,
}

type Checked = Result<(), String>;

impl<'a> State<'a> {
    fn new(count: usize, initial: &Initial, budget: &'a Budget) -> Self {
        let from = |now: bool| if now { 0 } else { count + 1 };
        Self {
            constraints: Constraints::new(budget),
            policies: PolicyGraph::new(),
            explicit_policy: from(initial.explicit_policy),
            inhibit_any: from(initial.inhibit_any),
            policy_mapping: from(initial.inhibit_mapping),
            max_path: count,
        }
    }

    /// Basic certificate processing, §6.1.3.
    fn certificate(&mut self, of: &Certificate, position: Position, at: Timestamp) -> Checked {
        if let Some(defect) = of.defects.first() {
            return Err(defect.clone());
        }
        if at < of.not_before {
            return Err(format!(
                "it is valid from {} on, and now is {at} (§4.1.2.5)",
                of.not_before
            ));
        }
        // notAfter names the last second of the validity, so fractions of that second are still valid.
        if at.whole_seconds() > of.not_after {
            return Err(format!("it was valid until {}, and now is {at} (§4.1.2.5)", of.not_after));
        }
        let is_last = position == Position::Last;
        if is_last || !of.is_self_issued() {
            self.constraints.check(of)?;
        }
        let any_policy = match !is_last && of.is_self_issued() {
            true => Processing::Allowed,
            false => Processing::by_counter(self.inhibit_any),
        };
        self.policies.add(of, any_policy);
        self.policies_left()
    }

    /// §6.1.3 (f): refuses the path if a policy is required and none is left.
    fn policies_left(&self) -> Checked {
        if self.explicit_policy == 0 && self.policies.is_null() {
            return Err(
                "a certificate policy is required, and none is left on the path (§6.1.3)".into()
            );
        }
        Ok(())
    }

    /// Preparation for the next certificate, §6.1.4: refuses `of` unless it is a CA's.
    fn ca(&mut self, of: &Certificate, settings: &PathSettings) -> Checked {
        let maps_any = |mapping: &PolicyMapping| {
            mapping.issuer_domain_policy == oid::ANY_POLICY
                || mapping.subject_domain_policy == oid::ANY_POLICY
        };
        if of.mappings.iter().any(maps_any) {
            return Err("it maps anyPolicy (§4.2.1.5)".into());
        }
        self.policies.map(&of.mappings, Processing::by_counter(self.policy_mapping));
        self.constraints.add(of)?;
        let self_issued = of.is_self_issued();
        if !self_issued {
            for count in
                [&mut self.explicit_policy, &mut self.policy_mapping, &mut self.inhibit_any]
            {
                *count = count.saturating_sub(1);
            }
        }
        self.policy_constraints(of);
        if let Some(most) = of.inhibit_any_policy {
            self.inhibit_any = self.inhibit_any.min(most as usize);
        }
        let Some(basic) = of.basic.as_ref().filter(|basic| basic.ca) else {
            return Err("it issued a certificate, and its basicConstraints do not say that it is a CA (§4.2.1.9)".into());
        };
        if !self_issued {
            if self.max_path == 0 {
                return Err("there are more certificates below a CA than its pathLenConstraint allows (§4.2.1.9)".into());
            }
            self.max_path -= 1;
        }
        if let Some(most) = basic.path_len_constraint {
            self.max_path = self.max_path.min(most.into());
        }
        if of.key_usage.as_ref().is_some_and(|usage| !usage.0.contains(KeyUsages::KeyCertSign)) {
            return Err(
                "it issued a certificate, and its keyUsage lacks keyCertSign (§4.2.1.3)".into()
            );
        }
        purposes(of, settings)
    }

    /// Wrap-up, §6.1.5: `of` is the peer's certificate.
    fn peer(&mut self, of: &Certificate, settings: &PathSettings) -> Checked {
        if !of.is_ca() {
            if of.constraints.is_some() {
                return Err("it has name constraints, and is no CA (§4.2.1.10)".into());
            }
            if of.key_usage.as_ref().is_some_and(|usage| usage.0.contains(KeyUsages::KeyCertSign)) {
                return Err("its keyUsage has keyCertSign, and it is no CA (§4.2.1.3)".into());
            }
        }
        // RFC 4945 §5.1.3.2: a peer's key signs. Without a keyUsage, the key may be used for anything.
        let for_signatures = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
        if settings.signs
            && of.key_usage.as_ref().is_some_and(|usage| usage.0.is_disjoint(for_signatures))
        {
            return Err("its keyUsage has neither digitalSignature nor nonRepudiation: its key is not for signatures (RFC 4945 §5.1.3.2)".into());
        }
        self.explicit_policy = self.explicit_policy.saturating_sub(1);
        if of.policy_constraints.as_ref().is_some_and(|of| of.require_explicit_policy == Some(0)) {
            self.explicit_policy = 0;
        }
        if self.explicit_policy == 0 && !self.policies.is_acceptable(&settings.initial.policies) {
            return Err(
                "a certificate policy is required, and the path has none of those wanted (§6.1.5)"
                    .into(),
            );
        }
        purposes(of, settings)
    }

    /// Applies the policyConstraints of a CA, §6.1.4 (i).
    fn policy_constraints(&mut self, of: &Certificate) {
        let Some(constraints) = &of.policy_constraints else { return };
        if let Some(most) = constraints.require_explicit_policy {
            self.explicit_policy = self.explicit_policy.min(most as usize);
        }
        if let Some(most) = constraints.inhibit_policy_mapping {
            self.policy_mapping = self.policy_mapping.min(most as usize);
        }
    }
}

/// Checks that the certificate has an accepted key purpose.
fn purposes(of: &Certificate, settings: &PathSettings) -> Checked {
    let (Some(has), false) = (&of.key_purposes, settings.key_purposes.is_empty()) else {
        return Ok(());
    };
    let fits = |purpose: &ObjectIdentifier| {
        *purpose == oid::ANY_EXTENDED_KEY_USAGE || settings.key_purposes.contains(purpose)
    };
    if has.iter().any(fits) {
        return Ok(());
    }
    let list = |of: &[ObjectIdentifier]| {
        of.iter().take(16).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    Err(format!(
        "expected one of the key purposes {}, found {} (§4.2.1.12)",
        list(&settings.key_purposes),
        list(has)
    ))
}
