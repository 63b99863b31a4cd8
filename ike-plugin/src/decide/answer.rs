//! The answer to a daemon, and the sentence in it that gives the reason.

use crate::status::Lack;
use crate::wire::{Answer, Question, Step, VERSION, Verdict};

/// Why a peer is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    /// The step that denies.
    pub step: Step,
    /// The reason, as a sentence.
    pub reason: String,
}

impl Denial {
    /// Makes a denial by this step out of a reason, for `map_err`.
    pub fn by(step: Step) -> impl FnOnce(String) -> Self {
        move |reason| Self { step, reason }
    }
}

/// Whether the steps before the policy judged a certificate.
#[derive(Debug, Clone, Copy)]
pub(super) enum Judged {
    /// A certificate was judged. The value says why its status is not known, if the settings accept that; `None` if the status is known.
    Certificate(Option<Lack>),
    /// No certificate was judged: the peer was authenticated by something else.
    Nothing,
}

/// The last step of a decision that lets the peer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastStep {
    /// The policy agreed.
    Policy,
    /// The identity alone: this is phase 1, and the policy is asked in phase 2 only.
    Identity,
}

/// Makes the answer to a question from the result of its steps.
pub(super) fn answer(
    question: &Question,
    result: Result<LastStep, Denial>,
    judged: Judged,
    trace: String,
) -> Answer {
    let (decision, step, reason) = match result {
        Err(Denial { step, reason }) => (Verdict::Deny, step, reason),
        Ok(LastStep::Policy) => (Verdict::Allow, Step::Policy, agreement(judged, LastStep::Policy)),
        Ok(LastStep::Identity) => {
            let agreed = agreement(judged, LastStep::Identity);
            let reason = format!("{agreed}; the policy is asked in phase 2 only");
            (Verdict::Allow, Step::Identity, reason)
        }
    };
    Answer { v: VERSION, id: repeated_id(question), decision, step, reason, trace }
}

/// The `id` of an answer: the first 64 characters of the question's `id`.
pub(super) fn repeated_id(question: &Question) -> String {
    question.id.chars().take(64).collect()
}

/// Which steps agreed, as a sentence.
fn agreement(judged: Judged, last: LastStep) -> String {
    const NOTHING: &str = "there is no certificate to judge";
    let lack = match (judged, last) {
        (Judged::Certificate(lack), _) => lack,
        (Judged::Nothing, LastStep::Policy) => return format!("the policy agrees; {NOTHING}"),
        (Judged::Nothing, LastStep::Identity) => return NOTHING.to_owned(),
    };
    let steps = match (lack, last) {
        (None, LastStep::Policy) => "path, status, identity and policy agree",
        (None, LastStep::Identity) => "path, status and identity agree",
        (Some(_), LastStep::Policy) => "path, identity and policy agree",
        (Some(_), LastStep::Identity) => "path and identity agree",
    };
    let status = match lack {
        None => "",
        Some(Lack::NotKnown) => "; the status is not known, which `if-present` lets pass",
        Some(Lack::NotAsked) => "; the status is not asked (`status = \"off\"`)",
    };
    format!("{steps}{status}")
}
