//! Structured logs on standard error. Lines that a stranger can cause are bounded: for each kind of line by address, and for all addresses
//! together. Lines beyond that are left out and counted, and the log gives the counts.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use countersign_ca::Network;
pub use countersign_ca::REFUSED;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber, callsite};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::LogFormat;
use crate::exit::Failure;
use crate::output;

/// The format of the running log, once it is running.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Prints a line about the server's address on standard error, for the person who started it. A JSON log has the address as an event
/// already, and must contain nothing but JSON.
pub fn announce(text: &str) {
    if FORMAT.get() != Some(&LogFormat::Json) {
        eprintln!("{text}");
    }
}

/// Prints why the program fails, on standard error; as a line of the log if the log is JSON.
pub fn failed(text: &str) {
    match FORMAT.get() {
        Some(LogFormat::Json) if tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!("{text}")
        }
        // The filter leaves out errors. The reason why the program ends is printed all the same.
        Some(LogFormat::Json) => {
            let line =
                json!({"level": "ERROR", "fields": {"message": text}, "target": "countersign"});
            eprintln!("{line}");
        }
        _ => eprintln!("countersign: {}", output::safe(text)),
    }
}

/// Has panics logged as JSON lines. It is not called for a text log, and Rust's own message is printed.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no words");
        tracing::error!(thread, at, "a thread panicked: {message}");
    }));
}

/// The bound on lines of one kind: a token bucket.
struct Rate {
    /// How many lines may be written at once.
    burst: u32,
    /// The time after which one more line may be written.
    pause: Duration,
}

/// The bound for one address.
const OWN: Rate = Rate { burst: 20, pause: Duration::from_secs(10) };

/// The bound for all addresses together, so that an attacker with many addresses cannot fill the log either.
const SHARED: Rate = Rate { burst: 200, pause: Duration::from_secs(1) };

/// The pause between two reports of the lines that were left out of the log.
const REPORT: Duration = Duration::from_secs(10);

/// The most pairs of kind and address that have a bucket of their own. Beyond that, all addresses share one bucket for each kind.
const MAX_APART: usize = 4096;

/// How many addresses a report names for each kind: those with the most lines. The others are summed.
const REPORTED_ADDRESSES: usize = 5;

/// The longest name of a kind in a report, in characters.
const MAX_KIND: usize = 60;

/// A handle that changes the filter of the running log.
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Starts the log of this process, and the thread that reports the lines that were left out.
    pub fn start(filter: &str, format: LogFormat) -> Result<Self, Failure> {
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::input(format!("expected a log filter such as `info`, found `{filter}`: {e}"))
        };
        let (filter, handle) =
            reload::Layer::new(EnvFilter::try_new(filter).map_err(|e| wrong(&e))?);
        let limiter = Limiter::default();
        let reporter = limiter.clone();
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match format {
            LogFormat::Text => lines.with_ansi(false).with_filter(limiter).boxed(),
            LogFormat::Json => lines.json().with_filter(limiter).boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init()
            .map_err(|e| Failure { code: 1, message: e.to_string() })?;
        std::thread::Builder::new().name("log".into()).spawn(move || {
            loop {
                std::thread::sleep(REPORT);
                for LeftOut { client, lines, kind } in reporter.left_out(Instant::now()) {
                    let client = client.map_or_else(|| "others".to_owned(), |of| of.to_string());
                    tracing::warn!(%client, lines, "left out of this log: `{kind}`");
                }
            }
        })?;
        if *FORMAT.get_or_init(|| format) == LogFormat::Json {
            log_panics();
        }
        Ok(Self(handle))
    }

    /// Changes the filter. A filter that cannot be parsed leaves the old one in force.
    pub fn set_filter(&self, filter: &str) {
        let changed = EnvFilter::try_new(filter).map_err(|e| e.to_string());
        if let Err(e) = changed.and_then(|filter| self.0.reload(filter).map_err(|e| e.to_string()))
        {
            tracing::error!("the log filter `{filter}` is not taken: {e}");
        }
    }
}

/// Bounds the lines that strangers can cause: those with the target [`REFUSED`], and those of the HTTP library. The HTTP library's lines
/// have no address.
#[derive(Clone, Default)]
struct Limiter(Arc<Mutex<Buckets>>);

#[derive(Default)]
struct Buckets {
    own: HashMap<Key, Bucket>,
    /// The buckets for all addresses together, by kind. Their number is bounded by the log statements in the program.
    shared: HashMap<callsite::Identifier, Bucket>,
}

/// A kind of line, which is a log statement of the program, and the network of the client that causes it; `None` if the client is not
/// known.
type Key = (callsite::Identifier, Option<Network>);

struct Bucket {
    left: u32,
    filled: Instant,
    left_out: u64,
    kind: String,
}

/// How many lines of a kind were left out, of one client or of all clients that the report does not name.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    client: Option<Network>,
    lines: u64,
    kind: String,
}

impl Bucket {
    const fn new(rate: &Rate, now: Instant) -> Self {
        Self { left: rate.burst, filled: now, left_out: 0, kind: String::new() }
    }

    /// Takes a token for one line, and returns whether there was one. Without a token, counts the line as left out. `kind` gives the
    /// beginning of its text.
    fn take(&mut self, rate: &Rate, now: Instant, kind: impl FnOnce() -> String) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        let more = u32::try_from(passed.as_secs() / rate.pause.as_secs()).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(rate.burst);
            self.filled = now;
        }
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return true;
        }
        if self.left_out == 0 {
            self.kind = kind();
        }
        self.left_out = self.left_out.saturating_add(1);
        false
    }

    fn is_full(&self, rate: &Rate, now: Instant) -> bool {
        self.left_out == 0 && now.saturating_duration_since(self.filled) >= rate.pause * rate.burst
    }

    /// The number of lines that were left out since the last call; `None` for none.
    fn forget(&mut self, client: Option<Network>) -> Option<LeftOut> {
        let lines = std::mem::take(&mut self.left_out);
        let kind = std::mem::take(&mut self.kind);
        (lines > 0).then_some(LeftOut { client, lines, kind })
    }
}

impl Limiter {
    /// Whether a line may be written. `kind` gives the beginning of its text.
    fn lets(&self, key: Key, now: Instant, kind: impl Fn() -> String) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { own, shared } = &mut *buckets;
        let mut key = key;
        if own.len() >= MAX_APART && !own.contains_key(&key) {
            own.retain(|_, bucket| !bucket.is_full(&OWN, now));
            if own.len() >= MAX_APART {
                key.1 = None;
            }
        }
        let of_all = shared.entry(key.0.clone()).or_insert_with(|| Bucket::new(&SHARED, now));
        let of_one = own.entry(key).or_insert_with(|| Bucket::new(&OWN, now));
        of_one.take(&OWN, now, &kind) && of_all.take(&SHARED, now, &kind)
    }

    /// The lines that were left out since the last call: a few reports for each kind, however many addresses there were.
    fn left_out(&self, now: Instant) -> Vec<LeftOut> {
        let mut by_kind: HashMap<callsite::Identifier, Vec<LeftOut>> = HashMap::new();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((of, client), bucket) in &mut buckets.own {
            if let Some(left_out) = bucket.forget(*client) {
                by_kind.entry(of.clone()).or_default().push(left_out);
            }
        }
        for (of, bucket) in &mut buckets.shared {
            if let Some(left_out) = bucket.forget(None) {
                by_kind.entry(of.clone()).or_default().push(left_out);
            }
        }
        buckets.own.retain(|_, bucket| !bucket.is_full(&OWN, now));
        drop(buckets);
        by_kind.into_values().flat_map(summed).collect()
    }
}

/// The reports of the addresses with the most lines, and one with the sum of the others.
fn summed(mut of_a_kind: Vec<LeftOut>) -> Vec<LeftOut> {
    of_a_kind.sort_by_key(|left_out| (left_out.client.is_none(), Reverse(left_out.lines)));
    let apart = of_a_kind.iter().take(REPORTED_ADDRESSES).filter(|of| of.client.is_some()).count();
    let others = of_a_kind.split_off(apart);
    let lines = others.iter().map(|of| of.lines).fold(0, u64::saturating_add);
    let sum = others.into_iter().next().map(|of| LeftOut { client: None, lines, ..of });
    of_a_kind.extend(sum);
    of_a_kind
}

/// The network of the client that a span is about.
struct Client(Network);

/// The client of a line or a span, and the text of a line.
#[derive(Default)]
struct Reading {
    client: Option<Network>,
    text: String,
}

impl Visit for Reading {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "client" => {
                let address = format!("{value:?}").parse::<IpAddr>();
                self.client = address.ok().map(Network::from);
            }
            "message" => {
                let _ = write!(self.text, "{value:?}");
            }
            _ => {}
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for Limiter {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.target() != REFUSED && !metadata.target().starts_with("actix") {
            return true;
        }
        let mut reading = Reading::default();
        event.record(&mut reading);
        let of_span = || {
            let scope = context.event_scope(event)?;
            scope.into_iter().find_map(|span| span.extensions().get::<Client>().map(|c| c.0))
        };
        let client = reading.client.or_else(of_span);
        let text = reading.text;
        self.lets((metadata.callsite(), client), Instant::now(), || {
            let kind = text.split(':').next().unwrap_or_default();
            kind.chars().take(MAX_KIND).collect()
        })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut reading = Reading::default();
        attributes.record(&mut reading);
        if let (Some(client), Some(span)) = (reading.client, context.span(id)) {
            span.extensions_mut().replace(Client(client));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Callsite(#[expect(dead_code, reason = "what has no size may share its address")] u8);

    impl tracing::Callsite for Callsite {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            panic!("nobody asks")
        }
    }

    static REFUSALS: Callsite = Callsite(1);
    static OTHERS: Callsite = Callsite(2);

    fn of(kind: &'static Callsite, address: u32) -> Key {
        (callsite::Identifier(kind), Some(Network::from(IpAddr::from(address.to_be_bytes()))))
    }

    #[test]
    fn an_address_causes_a_few_lines_and_the_rest_are_counted() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let lets = |address, now| limiter.lets(of(&REFUSALS, address), now, || "refused".into());
        let through = (0..1000).filter(|_| lets(1, now)).count();
        assert_eq!(through, OWN.burst as usize);
        assert!(lets(2, now), "others are heard");
        let later = now + OWN.pause;
        assert!(lets(1, later) && !lets(1, later), "one more after a pause");
        let reports = limiter.left_out(later);
        let (client, lines) = (of(&REFUSALS, 1).1, 1000 - u64::from(OWN.burst) + 1);
        assert_eq!(reports, [LeftOut { client, lines, kind: "refused".into() }]);
        assert_eq!(limiter.left_out(later), []);
    }

    #[test]
    fn many_addresses_together_cause_a_few_lines_of_a_kind_and_the_rest_are_summed() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let lets = |kind, address, now| limiter.lets(of(kind, address), now, || "refused".into());
        let through = (0..3000).filter(|n| lets(&REFUSALS, *n, now)).count();
        assert_eq!(through, SHARED.burst as usize);
        assert!(lets(&OTHERS, 70_000, now), "another kind has its own");
        let later = now + SHARED.pause;
        assert!(lets(&REFUSALS, 70_000, later) && !lets(&REFUSALS, 70_001, later));
        // Each of many addresses beyond its own share: still a few lines, and nothing is lost in the sum.
        let loud = (0..100).flat_map(|n| std::iter::repeat_n(n, 30 + n as usize));
        let loud = loud.filter(|n| !lets(&REFUSALS, *n, later)).count();
        let reports = limiter.left_out(later);
        let apart: Vec<_> = reports.iter().filter_map(|of| of.client).collect();
        let most: Vec<_> = (95..100).rev().filter_map(|n| of(&REFUSALS, n).1).collect();
        assert_eq!((apart, reports.len()), (most, REPORTED_ADDRESSES + 1));
        let sum: u64 = reports.iter().map(|of| of.lines).sum();
        assert_eq!(sum, 3000 - u64::from(SHARED.burst) + 1 + loud as u64);
    }

    #[test]
    fn many_addresses_take_bounded_room() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for n in 0..20_000u32 {
            limiter.lets(of(&REFUSALS, n), now, String::new);
        }
        let room = || limiter.0.lock().unwrap().own.len();
        assert!(room() <= MAX_APART + 1);
        // An address that caused no lines for long is forgotten.
        limiter.left_out(now + OWN.pause * (OWN.burst + 1));
        assert!(room() <= 1);
    }
}
