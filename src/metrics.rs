//! What Prometheus scrapes at `/metrics`.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use countersign_ca::Store;
use countersign_enroll::cmp::Outcome;
use countersign_ldap_bridge::ocsp::Answer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use countersign_ike_plugin::authorizer::Counts;
use countersign_ike_plugin::server::STEPS;

use crate::health::{self, Findings};
use crate::serve::Shared;

/// The metrics of a running server.
pub struct Metrics {
    registry: Mutex<Registry>,
    cmp: Family<CmpLabels, Counter>,
    entries: Gauge<u64, AtomicU64>,
    journal_bytes: Gauge<u64, AtomicU64>,
    certificates: Gauge<u64, AtomicU64>,
    requests: Family<RequestLabels, Gauge>,
    crl_number: Family<CrlLabels, Gauge>,
    crl_next_update: Family<CrlLabels, Gauge>,
    crl_entries: Family<CrlLabels, Gauge>,
    crl_is_stale: Family<CrlLabels, Gauge>,
    ocsp: Family<OcspLabels, Counter>,
    responder_not_after: Family<CaLabels, Gauge>,
    decisions: Family<DecisionLabels, Gauge>,
    refused_again: Gauge<u64, AtomicU64>,
    ldap: Ldap,
    health: Health,
}

/// What is wrong, or will be.
#[derive(Default)]
struct Health {
    reasons: Gauge,
    warnings: Gauge,
    disk_free: Gauge<u64, AtomicU64>,
    panics: Family<ThreadLabels, Gauge>,
    ca_not_after: Family<CaLabels, Gauge>,
    ca_cuts: Family<CaLabels, Gauge>,
    connections: Gauge,
    given_up: Gauge<u64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ThreadLabels {
    thread: &'static str,
}

impl Health {
    fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            ("unready_reasons", "why /readyz says no; 0 when it is ready", &self.reasons),
            ("warnings", "what /readyz warns of", &self.warnings),
            ("http_connections", "connections by HTTP", &self.connections),
        ] {
            registry.register(name, help, gauge.clone());
        }
        let free = "octets that are left on the disk of the data folder";
        registry.register("disk_free_bytes", free, self.disk_free.clone());
        let given_up = "idle connections that gave their place to others since the start";
        registry.register("http_connections_given_up", given_up, self.given_up.clone());
        let panics = "how often a thread panicked and went on since the start";
        registry.register("thread_panics", panics, self.panics.clone());
        let end = "end of a CA's certificate";
        registry.register("ca_not_after_timestamp_seconds", end, self.ca_not_after.clone());
        let cuts = "1 when certificates of some profile are cut to the end of their CA";
        registry.register("ca_cuts_certificates", cuts, self.ca_cuts.clone());
    }

    fn set(&self, shared: &Shared) {
        let count = |of: usize| i64::try_from(of).unwrap_or(i64::MAX);
        let Findings { reasons, warnings } = health::look(shared);
        self.reasons.set(count(reasons.len()));
        self.warnings.set(count(warnings.len()));
        self.connections.set(count(shared.places.taken()));
        self.given_up.set(shared.places.given_up());
        if let Some(free) = health::free(shared.instance.place.folder.path()) {
            self.disk_free.set(free);
        }
        for (thread, panics) in shared.threads.panics() {
            let panics = i64::try_from(panics).unwrap_or(i64::MAX);
            self.panics.get_or_create(&ThreadLabels { thread }).set(panics);
        }
        let now = shared.authority.now();
        for ca in shared.authority.cas() {
            let labels = CaLabels { ca: ca.name.to_string() };
            self.ca_not_after.get_or_create(&labels).set(ca.not_after.seconds());
            let cuts = health::cuts(&shared.authority, ca, now).is_some();
            self.ca_cuts.get_or_create(&labels).set(i64::from(cuts));
        }
    }
}

/// The built-in directory.
#[derive(Default)]
struct Ldap {
    connections: Gauge<u64, AtomicU64>,
    searches: Gauge<u64, AtomicU64>,
    turned_away: Gauge<u64, AtomicU64>,
    entries: Gauge<u64, AtomicU64>,
    left_out: Gauge<u64, AtomicU64>,
    in_step: Family<DirectoryLabels, Gauge>,
    failures: Family<DirectoryLabels, Gauge>,
    last_success: Family<DirectoryLabels, Gauge>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DirectoryLabels {
    directory: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CmpLabels {
    kind: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OcspLabels {
    status: &'static str,
    cached: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
    step: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CaLabels {
    ca: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CrlLabels {
    ca: String,
    scope: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: String,
}

impl Metrics {
    /// Metrics with nothing counted.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let (cmp, entries, journal_bytes, certificates) =
            (Family::default(), Gauge::default(), Gauge::default(), Gauge::default());
        let (crl_number, crl_next_update, crl_entries, crl_is_stale) =
            (Family::default(), Family::default(), Family::default(), Family::default());
        registry.register("cmp_messages", "CMP messages by body and outcome", cmp.clone());
        registry.register("journal_entries", "entries in the journal", entries.clone());
        registry.register("journal_bytes", "octets of the journal", journal_bytes.clone());
        registry.register(
            "certificates_issued",
            "certificates issued since the beginning",
            certificates.clone(),
        );
        let requests: Family<RequestLabels, Gauge> = Family::default();
        registry.register(
            "requests_pending",
            "requests for certificates that wait for an administrator, or approved for their peer",
            requests.clone(),
        );
        registry.register("crl_number", "number of the last CRL", crl_number.clone());
        registry.register(
            "crl_next_update_timestamp_seconds",
            "nextUpdate of the last CRL",
            crl_next_update.clone(),
        );
        registry.register("crl_entries", "entries of the last CRL", crl_entries.clone());
        registry.register(
            "crl_is_stale",
            "1 when the last CRL is older than half its validity",
            crl_is_stale.clone(),
        );
        let (ocsp, responder_not_after) = (Family::default(), Family::default());
        registry.register(
            "ocsp_answers",
            "OCSP answers by status, and whether they were signed before",
            ocsp.clone(),
        );
        registry.register(
            "ocsp_responder_not_after_timestamp_seconds",
            "end of the certificate that signs OCSP answers",
            responder_not_after.clone(),
        );
        let ldap = Ldap::default();
        for (name, help, metric) in [
            (
                "ldap_connections",
                "connections to the LDAP directory since the start",
                &ldap.connections,
            ),
            ("ldap_searches", "searches in the LDAP directory since the start", &ldap.searches),
            ("ldap_turned_away", "clients that the LDAP directory turned away", &ldap.turned_away),
            ("ldap_entries", "entries of the LDAP directory", &ldap.entries),
            ("ldap_left_out", "certificates beyond ldap.max_peers", &ldap.left_out),
        ] {
            registry.register(name, help, metric.clone());
        }
        for (name, help, metric) in [
            (
                "publish_in_step",
                "1 when a directory has everything that is published",
                &ldap.in_step,
            ),
            (
                "publish_failures",
                "how often in a row a directory was not brought in step",
                &ldap.failures,
            ),
            (
                "publish_last_success_timestamp_seconds",
                "when a directory was last in step",
                &ldap.last_success,
            ),
        ] {
            registry.register(name, help, metric.clone());
        }
        let decisions: Family<DecisionLabels, Gauge> = Family::default();
        registry.register(
            "decisions",
            "answers to IKE daemons since the start, by what decided",
            decisions.clone(),
        );
        let refused_again = Gauge::default();
        registry.register(
            "decisions_repeated",
            "refusals of these that were given again to the same question",
            refused_again.clone(),
        );
        let health = Health::default();
        health.register(&mut registry);
        let build: Family<BuildLabels, Gauge> = Family::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION").into() }).set(1);
        registry.register("build_info", "the running version", build);
        Self {
            registry: Mutex::new(registry),
            cmp,
            entries,
            journal_bytes,
            certificates,
            requests,
            crl_number,
            crl_next_update,
            crl_entries,
            crl_is_stale,
            ocsp,
            responder_not_after,
            decisions,
            refused_again,
            ldap,
            health,
        }
    }

    /// Counts an answered message.
    pub fn count(&self, outcome: Outcome) {
        let labels = CmpLabels {
            kind: outcome.kind.into(),
            outcome: if outcome.granted { "granted" } else { "refused" }.into(),
        };
        self.cmp.get_or_create(&labels).inc();
    }

    /// Counts an answer about the status of certificates.
    pub fn count_ocsp(&self, answer: &Answer) {
        let cached = if answer.cached { "true" } else { "false" };
        let labels = OcspLabels { status: answer.kind.name(), cached };
        self.ocsp.get_or_create(&labels).inc();
    }

    fn decisions(&self, counts: &Counts) {
        let set = |decision, step, count: &AtomicU64| {
            let labels = DecisionLabels { decision, step };
            let count = i64::try_from(count.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            self.decisions.get_or_create(&labels).set(count);
        };
        set("allow", "policy", &counts.allowed);
        for (step, count) in STEPS.iter().zip(&counts.denied) {
            set("deny", step, count);
        }
        self.refused_again.set(counts.again.load(Ordering::Relaxed));
    }

    /// The text that Prometheus reads.
    pub fn text(&self, shared: &Shared) -> Result<String, countersign_ca::Error> {
        let Shared { instance, authority, bridge, .. } = shared;
        self.health.set(shared);
        // First, because it may issue a certificate, which counts below.
        for ca in authority.cas().filter(|ca| ca.can_sign) {
            let Ok(responder) = authority.responder(&ca.name) else { continue };
            let labels = CaLabels { ca: ca.name.to_string() };
            self.responder_not_after.get_or_create(&labels).set(responder.not_after().seconds());
        }
        if let Some(running) = &shared.authorizer {
            self.decisions(running.authorizer().counts());
        }
        let status = instance.store.status();
        self.entries.set(status.entries);
        self.journal_bytes.set(status.journal_bytes);
        self.certificates.set(status.certificates);
        let counts = instance.store.count_waiting(instance.now())?;
        for (state, count) in [("waiting", counts.undecided), ("approved", counts.approved)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.requests.get_or_create(&RequestLabels { state }).set(count);
        }
        if let Some(directory) = bridge.directory() {
            let counts = directory.counts();
            self.ldap.connections.set(counts.connections());
            self.ldap.searches.set(counts.searches());
            self.ldap.turned_away.set(counts.turned_away());
            self.ldap.entries.set(u64::try_from(directory.entries()).unwrap_or(u64::MAX));
        }
        self.ldap.left_out.set(bridge.certificates().1);
        for status in bridge.publishers() {
            let labels = DirectoryLabels { directory: status.name };
            let in_step = status.error.is_none() && !status.is_behind;
            self.ldap.in_step.get_or_create(&labels).set(i64::from(in_step));
            self.ldap.failures.get_or_create(&labels).set(i64::from(status.failures));
            let last = status.last_success.map_or(0, countersign_ca::Timestamp::seconds);
            self.ldap.last_success.get_or_create(&labels).set(last);
        }
        for ca in instance.store.cas()? {
            for last in instance.store.crls(&ca.name)? {
                let labels = CrlLabels { ca: ca.name.to_string(), scope: last.scope.to_string() };
                let number = i64::try_from(last.number).unwrap_or(i64::MAX);
                let entries = i64::try_from(last.entries).unwrap_or(i64::MAX);
                let is_stale = last.is_past_half(instance.now());
                self.crl_number.get_or_create(&labels).set(number);
                self.crl_next_update.get_or_create(&labels).set(last.next_update.seconds());
                self.crl_entries.get_or_create(&labels).set(entries);
                self.crl_is_stale.get_or_create(&labels).set(i64::from(is_stale));
            }
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).map_err(countersign_ca::Error::internal)?;
        Ok(text)
    }
}
