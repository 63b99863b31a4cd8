//! Builds a policy set. Policy files are trusted, and accepted as a whole or not at all. Credentials come from untrusted
//! sources: each is accepted alone, and only if its signature is valid (RFC 2704 §5.4).

use std::collections::HashMap;
use std::num::NonZero;

use super::dropped::{DropReason, Dropped, MAX_CREDENTIAL};
use super::graph::{Connector, Unreached};
use super::loaded::{Conditions, Loaded, Naming};
use super::policy_set::PolicySet;
use crate::evaluation::{bind, bind_and_compile, number_names};
use crate::principal::Principal;
use crate::signature::{LegacySignatures, Signature};
use crate::source::{Finding, Source, Span, discreet};
use crate::syntax::tree::{NO_SLOT, SLOTS, Text, Tree};
use crate::syntax::{Assertion, parse_file, split};

/// With fewer credentials, one thread verifies all of them.
const FEW: usize = 16;

/// Collects assertions for a [`PolicySet`].
#[derive(Debug, Default)]
pub struct PolicySetBuilder {
    trusted: Vec<Trusted>,
    credentials: Vec<(Source, Span)>,
    legacy: LegacySignatures,
    dropped: Vec<Dropped>,
    extensible: bool,
}

/// A trusted assertion.
#[derive(Debug)]
enum Trusted {
    /// An assertion that was built, or that was added by itself.
    Parsed(Box<Assertion>),
    /// An assertion in a file. It is parsed again when the set is built, because all of a large policy in parsed form would take several
    /// times the memory of the set.
    Part(Source, Span),
}

impl PolicySet {
    /// A builder without assertions.
    pub fn builder() -> PolicySetBuilder {
        PolicySetBuilder::default()
    }
}

impl PolicySetBuilder {
    /// Builds a set for [`PolicySet::ask_with`]: it keeps assertions that no chain of delegation from `POLICY` reaches, because
    /// they may be reached through the other set.
    pub fn extensible(&mut self) -> &mut Self {
        self.extensible = true;
        self
    }

    /// Whether signatures with SHA-1, MD5 and DSA count. By default they do not.
    pub fn legacy_signatures(&mut self, legacy: LegacySignatures) -> &mut Self {
        self.legacy = legacy;
        self
    }

    /// Adds a policy file. Its assertions are trusted, whether they are signed or not; signatures are not verified.
    ///
    /// # Errors
    /// Its syntax errors, or else the malformed keys that its assertions name. None of its assertions is added then, because half a policy
    /// may allow more than the whole.
    pub fn policy(&mut self, source: &Source) -> Result<&mut Self, Vec<Finding>> {
        self.parsed_policy(parse_file(source)?)
    }

    /// Adds a policy file that [`parse_file`] has parsed, as [`Self::policy`] does.
    ///
    /// # Errors
    /// The malformed keys that its assertions name. None of them is added then.
    pub fn parsed_policy(&mut self, assertions: Vec<Assertion>) -> Result<&mut Self, Vec<Finding>> {
        let findings: Vec<Finding> = assertions.iter().flat_map(malformed_keys).collect();
        if !findings.is_empty() {
            return Err(findings);
        }
        let part = |of: Assertion| Trusted::Part(of.source().clone(), of.span());
        self.trusted.extend(assertions.into_iter().map(part));
        Ok(self)
    }

    /// Adds one trusted assertion. If it is malformed, only this one is dropped ([`PolicySet::dropped`]).
    pub fn assertion(&mut self, source: &Source) -> &mut Self {
        match Assertion::from_source(source) {
            Ok(assertion) => self.trusted.push(Trusted::Parsed(Box::new(assertion))),
            Err(findings) => self.dropped.push(Dropped {
                source: source.clone(),
                span: Span::new(0, source.text().len()),
                reason: DropReason::Malformed(findings),
            }),
        }
        self
    }

    /// Adds a trusted assertion that is already parsed.
    pub fn trusted(&mut self, assertion: Assertion) -> &mut Self {
        self.trusted.push(Trusted::Parsed(Box::new(assertion)));
        self
    }

    /// Adds signed credentials that are separated by empty lines.
    pub fn credentials(&mut self, source: &Source) -> &mut Self {
        self.credentials
            .extend(split(source.text()).into_iter().map(|part| (source.clone(), part)));
        self
    }

    /// Adds one signed credential. Any text after its signature, including blank lines, is not part of it.
    pub fn credential(&mut self, source: &Source) -> &mut Self {
        self.credentials.push((source.clone(), Span::new(0, source.text().len())));
        self
    }

    /// Verifies the credentials, on all cores if there are 16 or more, and builds the set from the assertions that count. The set lists the
    /// others ([`PolicySet::dropped`]).
    pub fn build(self) -> PolicySet {
        let Self { trusted, credentials, legacy, mut dropped, extensible } = self;
        let mut assertions = Vec::with_capacity(trusted.len() + credentials.len());
        let (mut programs, mut connector) = (Programs::default(), Connector::new());
        let trusted = trusted.into_iter().map(|trusted| {
            let (source, span, parsed) = match trusted {
                Trusted::Parsed(of) => (of.source().clone(), of.span(), Ok(*of)),
                // INVARIANT: it was parsed before, from the same text.
                Trusted::Part(source, span) => {
                    let parsed = Assertion::parse(&source, span);
                    (source, span, parsed.map_err(DropReason::Malformed))
                }
            };
            let loaded = parsed.and_then(|assertion| load(assertion, Origin::Policy));
            loaded.map_err(|reason| Dropped { source, span, reason })
        });
        for result in trusted.chain(verify_all(&credentials, legacy)) {
            match result {
                Ok(Candidate { mut loaded, naming, conditions }) => {
                    connector.assertion(narrow(assertions.len()), &naming);
                    loaded.computed = naming.is_computed().then(|| Box::new(naming));
                    loaded.conditions = conditions.map(|conditions| programs.take(conditions));
                    assertions.push(loaded);
                }
                Err(drop) => dropped.push(drop),
            }
        }
        let unreached = if extensible { Unreached::Keep } else { Unreached::Omit };
        let (graph, principals, ids) = connector.finish(unreached);
        assertions.shrink_to_fit();
        programs.all.shrink_to_fit();
        PolicySet { assertions, principals, ids, programs: programs.all, graph, dropped }
    }
}

/// An accepted assertion, before equal conditions are shared.
struct Candidate {
    loaded: Loaded,
    naming: Naming,
    /// `None` without a conditions field.
    conditions: Option<Printed>,
}

/// Conditions, and their printed text with the constants, by which equal conditions are found.
struct Printed {
    text: String,
    conditions: Conditions,
}

/// The distinct conditions, and the slots of their attributes.
#[derive(Default)]
struct Programs {
    all: Vec<Conditions>,
    by_text: HashMap<String, u32>,
    slots: HashMap<Box<[u8]>, u8>,
}

impl Programs {
    /// The index of these conditions, or of equal ones.
    fn take(&mut self, Printed { text, mut conditions }: Printed) -> u32 {
        if let Some(id) = self.by_text.get(&text).copied() {
            if let Some(program) = self.all.get_mut(id as usize) {
                program.shared = true;
            }
            return id;
        }
        number_names(&mut conditions.program, &mut |name| slot(&mut self.slots, name));
        let id = narrow(self.all.len());
        self.all.push(conditions);
        self.by_text.insert(text, id);
        id
    }
}

/// Narrows a count of assertions. INVARIANT: 2^32 of them do not fit into memory.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The slot of a name: each of the first [`SLOTS`] names gets its own, all others [`NO_SLOT`]. The number is limited, because credentials
/// may bring any number of names.
fn slot(slots: &mut HashMap<Box<[u8]>, u8>, name: &[u8]) -> u8 {
    if let Some(slot) = slots.get(name) {
        return *slot;
    }
    let next = u8::try_from(slots.len()).ok().filter(|next| *next < SLOTS).unwrap_or(NO_SLOT);
    if next != NO_SLOT {
        slots.insert(name.into(), next);
    }
    next
}

/// The origin of an assertion, which decides whether it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The assertion is in a policy file, which the operator trusts.
    Policy,
    /// A credential with a valid signature.
    Credential,
}

type Verified = Result<Candidate, Dropped>;

fn verify_all(credentials: &[(Source, Span)], legacy: LegacySignatures) -> Vec<Verified> {
    let each = |(source, span): &(Source, Span)| {
        verify(source, *span, legacy).map_err(|reason| Dropped {
            source: source.clone(),
            span: *span,
            reason,
        })
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    if credentials.len() < FEW || threads == 1 {
        return credentials.iter().map(each).collect();
    }
    // Each thread takes small batches in turn, because some credentials cost more than others.
    let share = credentials.len().div_ceil(threads * 8);
    let shares: Vec<&[(Source, Span)]> = credentials.chunks(share).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut done: Vec<(usize, Vec<Verified>)> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            loop {
                let position = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(share) = shares.get(position) else { return mine };
                mine.push((position, share.iter().map(each).collect()));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    done.sort_by_key(|(position, _)| *position);
    done.into_iter().flat_map(|(_, verdicts)| verdicts).collect()
}

/// Checks the length of a credential, verifies that its authorizer is a key and that it signed the text (RFC 2704 §4.6.7), and loads it.
fn verify(source: &Source, span: Span, legacy: LegacySignatures) -> Result<Candidate, DropReason> {
    let length = span.end() - span.start();
    if length > MAX_CREDENTIAL {
        return Err(DropReason::TooLong(length));
    }
    let assertion = Assertion::parse(source, span).map_err(DropReason::Malformed)?;
    let body = assertion.body().to_vec();
    let (mut tree, _) = bind(assertion.tree().clone());
    let signature = tree.signature.take();
    let authorizer = match tree.authorizer.literal() {
        Some(text) => known(text)?,
        None => return Err(not_a_key(source.slice(tree.authorizer.span))),
    };
    let Some(key) = authorizer.key() else {
        return Err(not_a_key(&authorizer.text()));
    };
    let signature = signature.ok_or(DropReason::NotSigned)?;
    let signature = Signature::parse(signature.literal().ok_or(DropReason::NotSigned)?)?;
    signature.verify(key, &body, legacy)?;
    load(assertion, Origin::Credential)
}

fn not_a_key(text: &[u8]) -> DropReason {
    DropReason::NotAKey(discreet(text, 64))
}

fn known(text: &[u8]) -> Result<Principal, DropReason> {
    Principal::parse(text).map_err(|error| DropReason::Principal(error.to_string()))
}

/// Checks the keys that an assertion names, and prepares it for questions. A malformed key of a known algorithm makes the whole assertion
/// invalid: to ignore only that licensee could allow more than the author wanted.
fn load(assertion: Assertion, origin: Origin) -> Result<Candidate, DropReason> {
    let (source, span) = (assertion.source().clone(), assertion.span());
    // The regular expressions of credentials are compiled only when a question needs them.
    let trusted = origin == Origin::Policy;
    let bind = if trusted { bind_and_compile } else { bind };
    let (tree, constants) = bind(assertion.into_tree());
    let Tree { authorizer, licensees, conditions, .. } = tree;
    let conditions = conditions.map(|program| {
        let mut text: String = program.iter().map(|clause| format!("{clause};")).collect();
        let mut computed: Vec<_> = constants.iter().collect();
        computed.sort_unstable();
        computed.iter().for_each(|constant| text.push_str(&format!("{constant:?}")));
        let constants = (!constants.is_empty()).then(|| Box::new(constants.clone()));
        Printed { text, conditions: Conditions { program, constants, shared: false } }
    });
    let naming = Naming { authorizer, licensees, constants };
    for text in naming.texts().into_iter().filter_map(Text::literal) {
        known(text)?;
    }
    let loaded = Loaded { source, span, trusted, conditions: None, computed: None };
    Ok(Candidate { loaded, naming, conditions })
}

fn malformed_keys(assertion: &Assertion) -> Vec<Finding> {
    let (Tree { authorizer, licensees, .. }, constants) = bind(assertion.tree().clone());
    let naming = Naming { authorizer, licensees, constants };
    let faulty = |text: &Text| Some((text.span, Principal::parse(text.literal()?).err()?));
    naming
        .texts()
        .into_iter()
        .filter_map(faulty)
        .map(|(span, error)| Finding::error(span, error.to_string()))
        .collect()
}
