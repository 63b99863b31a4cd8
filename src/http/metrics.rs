//! `/metrics`, for Prometheus. A counter is raised when a message is answered; the gauges are set from the server's state each time that
//! Prometheus reads them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use countersign_ca::{Store, Timestamp};
use countersign_enroll::cmp::Outcome;
use countersign_enroll::{est, scep};
use countersign_ike_plugin::decide::Counts;
use countersign_ike_plugin::server::STEPS;
use countersign_ldap_bridge::ocsp::Answer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::health::{self, Findings};
use super::response::plain;
use super::state::ServerState;
use crate::bridge::Bridge;

/// A gauge of a number that is never negative.
type Unsigned = Gauge<u64, AtomicU64>;

/// Answers `GET /metrics`: in OpenMetrics for clients that name it in `Accept`, as Prometheus does, and otherwise in the older format, which
/// every tool reads.
pub async fn metrics(
    request: HttpRequest,
    metrics: web::Data<Metrics>,
    state: web::Data<ServerState>,
) -> HttpResponse {
    let mut accepted = request.headers().get_all(header::ACCEPT);
    let takes_open = accepted.any(|value| {
        value.to_str().is_ok_and(|value| value.contains("application/openmetrics-text"))
    });
    match web::block(move || metrics.text(&state)).await {
        Ok(Ok(text)) if takes_open => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Ok(Ok(text)) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(older_format(&text)),
        Ok(Err(e)) => {
            tracing::error!("metrics: {e}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be read\n")
        }
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "busy\n"),
    }
}

/// OpenMetrics in Prometheus' text format 0.0.4. There the name of a counter ends with `_total` in the lines of its type and its help, too, and
/// there is no mark of the end.
fn older_format(text: &str) -> String {
    let is_counter = |name: &str| text.contains(&format!("# TYPE {name} counter\n"));
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => String::new(),
            (Some("#"), Some(what), Some(name), Some(rest)) if is_counter(name) => {
                format!("# {what} {name}_total {rest}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

/// The metrics of a running server.
pub struct Metrics {
    registry: Mutex<Registry>,
    cmp: Family<CmpLabels, Counter>,
    scep: Family<CmpLabels, Counter>,
    est: Family<EstLabels, Counter>,
    store: StoreMetrics,
    crl: CrlMetrics,
    ocsp: OcspMetrics,
    ldap: LdapMetrics,
    decisions: DecisionMetrics,
    health: HealthMetrics,
}

impl Metrics {
    /// Metrics with nothing counted. The text lists them in the order in which they are registered here.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let cmp = Family::default();
        registry.register("cmp_messages", "CMP messages by body and outcome", cmp.clone());
        let scep = Family::default();
        registry.register("scep_messages", "SCEP messages by type and outcome", scep.clone());
        let est = Family::default();
        registry.register("est_requests", "EST requests by operation and outcome", est.clone());
        let store = StoreMetrics::registered(&mut registry);
        let crl = CrlMetrics::registered(&mut registry);
        let ocsp = OcspMetrics::registered(&mut registry);
        let ldap = LdapMetrics::registered(&mut registry);
        let decisions = DecisionMetrics::registered(&mut registry);
        let health = HealthMetrics::registered(&mut registry);
        let build: Family<BuildLabels, Gauge> = Family::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION").into() }).set(1);
        registry.register("build_info", "the running version", build);
        Self {
            registry: Mutex::new(registry),
            cmp,
            scep,
            est,
            store,
            crl,
            ocsp,
            ldap,
            decisions,
            health,
        }
    }

    /// Counts an answered CMP message.
    pub fn count_cmp(&self, outcome: Outcome) {
        let labels = CmpLabels {
            kind: outcome.kind.into(),
            outcome: if outcome.granted { "granted" } else { "refused" }.into(),
        };
        self.cmp.get_or_create(&labels).inc();
    }

    /// Counts an answered SCEP message.
    pub fn count_scep(&self, outcome: scep::Outcome) {
        let labels = CmpLabels {
            kind: outcome.kind.into(),
            outcome: if outcome.granted { "granted" } else { "refused" }.into(),
        };
        self.scep.get_or_create(&labels).inc();
    }

    /// Counts an answered EST request.
    pub fn count_est(&self, outcome: est::Outcome) {
        let labels =
            EstLabels { operation: outcome.operation.name(), outcome: outcome.verdict.name() };
        self.est.get_or_create(&labels).inc();
    }

    /// Counts an OCSP response.
    pub fn count_ocsp(&self, answer: &Answer) {
        let cached = if answer.cached { "true" } else { "false" };
        let labels = OcspLabels { status: answer.kind.name(), cached };
        self.ocsp.answers.get_or_create(&labels).inc();
    }

    /// Sets the gauges, and returns the text that Prometheus reads (OpenMetrics).
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn text(&self, state: &ServerState) -> Result<String, countersign_ca::Error> {
        self.health.set(state);
        // Before the store is read: to open a responder may issue a certificate, which the store counts.
        self.ocsp.set(state);
        self.store.set(state)?;
        self.crl.set(state)?;
        self.ldap.set(&state.bridge);
        if let Some(running) = &state.authorizer {
            self.decisions.set(running.authorizer().counts());
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).map_err(countersign_ca::Error::internal)?;
        Ok(text)
    }
}

/// A count as the signed number of a gauge; the largest such number if the count is larger.
fn signed<N: TryInto<i64>>(count: N) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// The metrics of the journal and the records.
#[derive(Default)]
struct StoreMetrics {
    entries: Unsigned,
    journal_bytes: Unsigned,
    certificates: Unsigned,
    requests: Family<RequestLabels, Gauge>,
}

impl StoreMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        for (name, help, gauge) in [
            ("journal_entries", "entries in the journal", &new.entries),
            ("journal_bytes", "octets of the journal", &new.journal_bytes),
            ("certificates_issued", "certificates issued since the beginning", &new.certificates),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "requests_pending",
            "requests for certificates that wait for an administrator, or approved for their peer",
            new.requests.clone(),
        );
        new
    }

    fn set(&self, state: &ServerState) -> countersign_ca::Result<()> {
        let store = &state.instance.store;
        let status = store.status();
        self.entries.set(status.entries);
        self.journal_bytes.set(status.journal_bytes);
        self.certificates.set(status.certificates);
        let counts = store.count_waiting(state.instance.now())?;
        for (state, count) in [("waiting", counts.undecided), ("approved", counts.approved)] {
            self.requests.get_or_create(&RequestLabels { state }).set(signed(count));
        }
        Ok(())
    }
}

/// The metrics of the last CRL of each CA and scope (full, delta, or a partition).
#[derive(Default)]
struct CrlMetrics {
    number: Family<CrlLabels, Gauge>,
    next_update: Family<CrlLabels, Gauge>,
    entries: Family<CrlLabels, Gauge>,
    is_stale: Family<CrlLabels, Gauge>,
}

impl CrlMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        for (name, help, metric) in [
            ("crl_number", "number of the last CRL", &new.number),
            ("crl_next_update_timestamp_seconds", "nextUpdate of the last CRL", &new.next_update),
            ("crl_entries", "entries of the last CRL", &new.entries),
            ("crl_is_stale", "1 when the last CRL is older than half its validity", &new.is_stale),
        ] {
            registry.register(name, help, metric.clone());
        }
        new
    }

    fn set(&self, state: &ServerState) -> countersign_ca::Result<()> {
        let instance = &state.instance;
        for ca in instance.store.cas()? {
            for last in instance.store.crls(&ca.name)? {
                let labels = CrlLabels { ca: ca.name.to_string(), scope: last.scope.to_string() };
                let is_stale = last.is_past_half(instance.now());
                self.number.get_or_create(&labels).set(signed(last.number));
                self.next_update.get_or_create(&labels).set(last.next_update.seconds());
                self.entries.get_or_create(&labels).set(signed(last.entries));
                self.is_stale.get_or_create(&labels).set(i64::from(is_stale));
            }
        }
        Ok(())
    }
}

/// The metrics of OCSP responses, and of the certificates of the responders.
#[derive(Default)]
struct OcspMetrics {
    answers: Family<OcspLabels, Counter>,
    responder_not_after: Family<CaLabels, Gauge>,
}

impl OcspMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "ocsp_answers",
            "OCSP answers by status, and whether they were signed before",
            new.answers.clone(),
        );
        registry.register(
            "ocsp_responder_not_after_timestamp_seconds",
            "end of the certificate that signs OCSP answers",
            new.responder_not_after.clone(),
        );
        new
    }

    fn set(&self, state: &ServerState) {
        for ca in state.authority.cas().filter(|ca| ca.can_sign) {
            let Ok(responder) = state.authority.responder(&ca.name) else { continue };
            let labels = CaLabels { ca: ca.name.to_string() };
            self.responder_not_after.get_or_create(&labels).set(responder.not_after().seconds());
        }
    }
}

/// The metrics of the built-in directory, and of the other LDAP servers that are published to.
#[derive(Default)]
struct LdapMetrics {
    connections: Unsigned,
    searches: Unsigned,
    turned_away: Unsigned,
    entries: Unsigned,
    left_out: Unsigned,
    in_step: Family<DirectoryLabels, Gauge>,
    failures: Family<DirectoryLabels, Gauge>,
    last_success: Family<DirectoryLabels, Gauge>,
}

impl LdapMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        for (name, help, metric) in [
            (
                "ldap_connections",
                "connections to the LDAP directory since the start",
                &new.connections,
            ),
            ("ldap_searches", "searches in the LDAP directory since the start", &new.searches),
            ("ldap_turned_away", "clients that the LDAP directory turned away", &new.turned_away),
            ("ldap_entries", "entries of the LDAP directory", &new.entries),
            ("ldap_left_out", "certificates beyond ldap.max_peers", &new.left_out),
        ] {
            registry.register(name, help, metric.clone());
        }
        for (name, help, metric) in [
            (
                "publish_in_step",
                "1 when a directory has everything that is published",
                &new.in_step,
            ),
            (
                "publish_failures",
                "how often in a row a directory was not brought in step",
                &new.failures,
            ),
            (
                "publish_last_success_timestamp_seconds",
                "when a directory was last in step",
                &new.last_success,
            ),
        ] {
            registry.register(name, help, metric.clone());
        }
        new
    }

    fn set(&self, bridge: &Bridge) {
        if let Some(directory) = bridge.directory() {
            let counts = directory.counts();
            self.connections.set(counts.connections());
            self.searches.set(counts.searches());
            self.turned_away.set(counts.turned_away());
            self.entries.set(u64::try_from(directory.entries()).unwrap_or(u64::MAX));
        }
        self.left_out.set(u64::try_from(bridge.left_out()).unwrap_or(u64::MAX));
        for status in bridge.publishers() {
            let labels = DirectoryLabels { directory: status.name };
            let in_step = status.error.is_none() && !status.is_behind;
            self.in_step.get_or_create(&labels).set(i64::from(in_step));
            self.failures.get_or_create(&labels).set(i64::from(status.failures));
            let last = status.last_success.map_or(0, Timestamp::seconds);
            self.last_success.get_or_create(&labels).set(last);
        }
    }
}

/// The metrics of the authorizer's answers to IKE daemons.
#[derive(Default)]
struct DecisionMetrics {
    decisions: Family<DecisionLabels, Gauge>,
    repeated: Unsigned,
}

impl DecisionMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "decisions",
            "answers to IKE daemons since the start, by what decided",
            new.decisions.clone(),
        );
        registry.register(
            "decisions_repeated",
            "refusals of these that were given again to the same question",
            new.repeated.clone(),
        );
        new
    }

    fn set(&self, counts: &Counts) {
        let set = |decision, step, count: &AtomicU64| {
            let labels = DecisionLabels { decision, step };
            self.decisions.get_or_create(&labels).set(signed(count.load(Ordering::Relaxed)));
        };
        set("allow", "policy", &counts.allowed);
        for (step, count) in STEPS.iter().zip(&counts.denied) {
            set("deny", step, count);
        }
        self.repeated.set(counts.again.load(Ordering::Relaxed));
    }
}

/// The metrics of the findings of `/readyz`, and the figures behind them.
#[derive(Default)]
struct HealthMetrics {
    reasons: Gauge,
    warnings: Gauge,
    connections: Gauge,
    disk_free: Unsigned,
    given_up: Unsigned,
    panics: Family<ThreadLabels, Gauge>,
    ca_not_after: Family<CaLabels, Gauge>,
    ca_cuts: Family<CaLabels, Gauge>,
}

impl HealthMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        for (name, help, gauge) in [
            ("unready_reasons", "why /readyz says no; 0 when it is ready", &new.reasons),
            ("warnings", "what /readyz warns of", &new.warnings),
            ("http_connections", "connections by HTTP", &new.connections),
        ] {
            registry.register(name, help, gauge.clone());
        }
        let free = "octets that are left on the disk of the data folder";
        registry.register("disk_free_bytes", free, new.disk_free.clone());
        let given_up = "idle connections that gave their place to others since the start";
        registry.register("http_connections_given_up", given_up, new.given_up.clone());
        let panics = "how often a thread panicked and went on since the start";
        registry.register("thread_panics", panics, new.panics.clone());
        let end = "end of a CA's certificate";
        registry.register("ca_not_after_timestamp_seconds", end, new.ca_not_after.clone());
        let cuts = "1 when certificates of some profile are cut to the end of their CA";
        registry.register("ca_cuts_certificates", cuts, new.ca_cuts.clone());
        new
    }

    fn set(&self, state: &ServerState) {
        let Findings { reasons, warnings } = health::look(state);
        self.reasons.set(signed(reasons.len()));
        self.warnings.set(signed(warnings.len()));
        self.connections.set(signed(state.connections.taken()));
        self.given_up.set(state.connections.given_up());
        if let Some(free) = state.instance.location.folder.free_space() {
            self.disk_free.set(free);
        }
        for (thread, panics) in state.threads.panics() {
            self.panics.get_or_create(&ThreadLabels { thread }).set(signed(panics));
        }
        let now = state.authority.now();
        for ca in state.authority.cas() {
            let labels = CaLabels { ca: ca.name.to_string() };
            self.ca_not_after.get_or_create(&labels).set(ca.not_after.seconds());
            let cuts = health::cut_profile(&state.authority, ca, now).is_some();
            self.ca_cuts.get_or_create(&labels).set(i64::from(cuts));
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CmpLabels {
    kind: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EstLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CrlLabels {
    ca: String,
    scope: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OcspLabels {
    status: &'static str,
    cached: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CaLabels {
    ca: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DirectoryLabels {
    directory: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
    step: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ThreadLabels {
    thread: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: String,
}
