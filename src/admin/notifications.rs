//! The receivers of notifications, as administrators see and test them.

use super::answer::{DeliveredTest, ReceiverLine};
use super::recorded::record;
use crate::config::{Channel, ReceiverConfig};
use crate::exit::Failure;
use crate::instance::Instance;
use crate::notify::{Outcome, Verdict, send_test};

/// The receivers in the order of the configuration, and how messages to them went.
pub fn list(instance: &Instance) -> Vec<ReceiverLine> {
    match instance.notifier() {
        Some(notifier) => {
            notifier.outcomes().iter().map(|(receiver, outcome)| line(receiver, outcome)).collect()
        }
        None => {
            let configured = instance.config.notify.receivers.iter();
            let stopped = configured.map(|receiver| ReceiverLine {
                outcome: "the server does not run".into(),
                ..line(receiver, &Outcome::default())
            });
            stopped.collect()
        }
    }
}

fn line(receiver: &ReceiverConfig, outcome: &Outcome) -> ReceiverLine {
    let moment = |at: countersign_ca::Timestamp| at.whole_seconds().to_string();
    let (verdict, error) = match &outcome.last {
        None => ("never", None),
        Some(Verdict::Delivered) => ("delivered", None),
        Some(Verdict::Failed(why)) => ("failed", Some(why.clone())),
    };
    ReceiverLine {
        receiver: receiver.name.to_string(),
        kind: match receiver.channel {
            Channel::Webhook(_) => "webhook",
            Channel::Mail(_) => "mail",
        },
        to: receiver.channel.to_string(),
        severity: receiver.wants.severity,
        outcome: verdict.into(),
        delivered: outcome.delivered,
        failed: outcome.failed,
        last_success: outcome.last_success.map(moment),
        next_try: outcome.next_try.map(moment),
        error,
    }
}

/// Sends a test to a receiver, and waits for what becomes of it.
pub fn test(instance: &Instance, actor: &str, name: &str) -> Result<DeliveredTest, Failure> {
    let config = &instance.config.notify;
    let message = match instance.notifier() {
        Some(notifier) => notifier.test(name, &config.instance)?,
        None => send_test(config, name)?,
    };
    let noted = record(instance, actor, "notify test", &name);
    let warnings = noted.err().map(|failure| failure.message).into_iter().collect();
    Ok(DeliveredTest { receiver: name.to_owned(), message, warnings })
}
