//! The metrics of what `countersign status` shows, and of notifications. They are set from the last look of the watch: a scrape costs no
//! look at the records.

use std::sync::atomic::AtomicU64;

use countersign_ca::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::finding::{CODES, Severity};
use crate::instance::Instance;
use crate::watch::Look;

/// The metrics of the state of the instance.
#[derive(Default)]
pub struct StatusMetrics {
    expiring: Family<WindowLabels, Gauge>,
    overdue: Gauge,
    missed: Gauge,
    accounts: Gauge,
    disabled: Gauge,
    never_enrolled: Gauge,
    oldest_request: Gauge,
    last_backup: Gauge,
    is_clock_wrong: Gauge,
    findings: Family<FindingLabels, Gauge>,
    looked: Gauge,
    took: Gauge<f64, AtomicU64>,
}

impl StatusMetrics {
    /// Registers the metrics.
    pub fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "certificates_expiring",
            "certificates that end within this time and that no renewal has replaced; 10000 are counted at most",
            new.expiring.clone(),
        );
        for (name, help, gauge) in [
            (
                "renewals_overdue",
                "certificates of which a sixth of the validity is left, and that no renewal has replaced",
                &new.overdue,
            ),
            (
                "renewals_missed",
                "accounts whose last certificate ended within the last 30 days",
                &new.missed,
            ),
            ("accounts", "accounts", &new.accounts),
            ("accounts_disabled", "accounts that are disabled", &new.disabled),
            (
                "accounts_never_enrolled",
                "accounts that never had a certificate",
                &new.never_enrolled,
            ),
            (
                "request_oldest_age_seconds",
                "how long the oldest request has waited for an administrator; 0 if none waits",
                &new.oldest_request,
            ),
            (
                "backup_last_timestamp_seconds",
                "when the last backup was made; 0 if none ever was",
                &new.last_backup,
            ),
            ("clock_is_wrong", "1 when the clock contradicts the journal", &new.is_clock_wrong),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "findings",
            "findings of `countersign status` by severity and code",
            new.findings.clone(),
        );
        registry.register(
            "status_timestamp_seconds",
            "when the state behind these metrics was last looked at",
            new.looked.clone(),
        );
        registry.register(
            "status_duration_seconds",
            "how long the last look at the state took",
            new.took.clone(),
        );
        new
    }

    /// Sets the metrics from a look.
    pub fn set(&self, look: &Look, now: Timestamp) {
        let answer = &look.answer;
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let certificates = &answer.certificates;
        for (within, count) in
            [("14d", certificates.expiring_14_days), ("30d", certificates.expiring_30_days)]
        {
            self.expiring.get_or_create(&WindowLabels { within }).set(signed(count));
        }
        self.overdue.set(signed(certificates.overdue));
        self.missed.set(signed(certificates.missed));
        self.accounts.set(signed(answer.accounts.all));
        self.disabled.set(signed(answer.accounts.disabled));
        self.never_enrolled.set(signed(answer.accounts.never_enrolled));
        let age = answer.requests.oldest_at.map_or(0, |at| now.since(at).as_secs());
        self.oldest_request.set(i64::try_from(age).unwrap_or(i64::MAX));
        self.last_backup.set(answer.last_backup_at.map_or(0, Timestamp::seconds));
        self.is_clock_wrong.set(i64::from(answer.clock != "right"));
        for code in CODES {
            for severity in Severity::ALL {
                let found = answer.findings.iter();
                let count = found.filter(|f| f.severity == severity && f.code == *code).count();
                let labels = FindingLabels { severity: severity.name(), code };
                // A code has one severity or two: the others are never there.
                if count > 0 || self.findings.get(&labels).is_some() {
                    self.findings.get_or_create(&labels).set(signed(count));
                }
            }
        }
        self.looked.set(look.at.seconds());
        self.took.set(look.took.as_secs_f64());
    }
}

/// The metrics of notifications.
#[derive(Default)]
pub struct NotificationMetrics {
    attempts: Family<OutcomeLabels, Counter>,
    failures: Family<ReceiverLabels, Gauge>,
    last_success: Family<ReceiverLabels, Gauge>,
}

impl NotificationMetrics {
    /// Registers the metrics.
    pub fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "notifications",
            "notifications that a receiver took, and attempts that failed",
            new.attempts.clone(),
        );
        registry.register(
            "notification_failures",
            "how often in a row a receiver did not take what it is to be told",
            new.failures.clone(),
        );
        registry.register(
            "notification_last_success_timestamp_seconds",
            "when a receiver last took a notification; 0 if it never did",
            new.last_success.clone(),
        );
        new
    }

    /// Sets the metrics of the receivers that there are.
    pub fn set(&self, instance: &Instance) {
        let Some(notifier) = instance.notifier() else { return };
        self.failures.clear();
        self.last_success.clear();
        for (receiver, outcome) in notifier.outcomes() {
            let receiver = receiver.name.to_string();
            for (name, count) in [("delivered", outcome.delivered), ("failed", outcome.failed)] {
                let labels = OutcomeLabels { receiver: receiver.clone(), outcome: name };
                let counter = self.attempts.get_or_create(&labels);
                counter.inc_by(count.saturating_sub(counter.get()));
            }
            let labels = ReceiverLabels { receiver };
            self.failures.get_or_create(&labels).set(i64::from(outcome.failures));
            let last = outcome.last_success.map_or(0, Timestamp::seconds);
            self.last_success.get_or_create(&labels).set(last);
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WindowLabels {
    within: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FindingLabels {
    severity: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    receiver: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReceiverLabels {
    receiver: String,
}
