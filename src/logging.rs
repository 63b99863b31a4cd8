//! Structured logs on standard error. What strangers can cause is bounded by kind and by address, and what is left out is counted.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use countersign_ca::REFUSED;
use countersign_ldap_bridge::places::Network;
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

/// How the lines of the running log look, once there is one.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Tells whoever started the program where it is, on standard error. A log of JSON lines has it as an event already, and nothing but
/// JSON.
pub fn announce(text: &str) {
    if FORMAT.get() != Some(&LogFormat::Json) {
        eprintln!("{text}");
    }
}

/// The last words of a program that failed, on standard error: a line of the log where that is JSON.
pub fn last_words(text: &str) {
    match FORMAT.get() {
        Some(LogFormat::Json) if tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!("{text}")
        }
        // The filter leaves errors out, but not the reason why there is no program any more.
        Some(LogFormat::Json) => {
            let line =
                json!({"level": "ERROR", "fields": {"message": text}, "target": "countersign"});
            eprintln!("{line}");
        }
        _ => eprintln!("countersign: {}", output::safe(text)),
    }
}

/// Panics become lines of a log that is JSON; elsewhere they are printed as always.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("no words");
        tracing::error!(thread, at, "a thread panicked: {words}");
    }));
}

/// How many lines of one kind an address may cause at once.
const BURST: u32 = 20;

/// After how long it may cause one more.
const PAUSE: Duration = Duration::from_secs(10);

/// How often it is told what was left out.
const TOLD: Duration = Duration::from_secs(10);

/// The most kinds and addresses that are told apart; beyond that, addresses are not.
const MAX_APART: usize = 4096;

/// The longest text by which a kind is called.
const MAX_KIND: usize = 60;

/// Changes the filter of a running log.
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Begins to log.
    pub fn start(filter: &str, format: LogFormat) -> Result<Self, Failure> {
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::input(format!("expected a log filter such as `info`, found `{filter}`: {e}"))
        };
        let (filter, handle) =
            reload::Layer::new(EnvFilter::try_new(filter).map_err(|e| wrong(&e))?);
        let limiter = Limiter::default();
        let told = limiter.clone();
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
                std::thread::sleep(TOLD);
                told.tell(Instant::now());
            }
        })?;
        if *FORMAT.get_or_init(|| format) == LogFormat::Json {
            log_panics();
        }
        Ok(Self(handle))
    }

    /// Puts another filter in force; a wrong one leaves the old.
    pub fn set_filter(&self, filter: &str) {
        let changed = EnvFilter::try_new(filter).map_err(|e| e.to_string());
        if let Err(e) = changed.and_then(|filter| self.0.reload(filter).map_err(|e| e.to_string()))
        {
            tracing::error!("the log filter `{filter}` is not taken: {e}");
        }
    }
}

/// Lets so many lines through of what strangers can cause: those under [`REFUSED`], and those of the HTTP library, which knows no
/// address.
#[derive(Clone, Default)]
struct Limiter(Arc<Mutex<HashMap<Key, Bucket>>>);

/// A kind of line, and who causes it.
type Key = (callsite::Identifier, Option<Network>);

struct Bucket {
    left: u32,
    filled: Instant,
    left_out: u64,
    kind: String,
}

impl Bucket {
    /// Takes one line out, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        let more = u32::try_from(passed.as_secs() / PAUSE.as_secs()).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.filled = now;
        }
        let is_taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_taken
    }

    fn is_full(&self, now: Instant) -> bool {
        self.left_out == 0 && now.saturating_duration_since(self.filled) >= PAUSE * BURST
    }
}

impl Limiter {
    /// Whether a line is let through. `kind` says what its text begins with.
    fn lets(&self, key: Key, now: Instant, kind: impl FnOnce() -> String) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = key;
        if buckets.len() >= MAX_APART && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= MAX_APART {
                key.1 = None;
            }
        }
        let fresh = || Bucket { left: BURST, filled: now, left_out: 0, kind: String::new() };
        let bucket = buckets.entry(key).or_insert_with(fresh);
        let is_taken = bucket.take(now);
        if !is_taken {
            if bucket.left_out == 0 {
                bucket.kind = kind();
            }
            bucket.left_out = bucket.left_out.saturating_add(1);
        }
        is_taken
    }

    /// Tells what was left out since it was told the last time.
    fn tell(&self, now: Instant) {
        let mut told = Vec::new();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_, network), bucket) in buckets.iter_mut().filter(|(_, bucket)| bucket.left_out > 0) {
            let lines = std::mem::take(&mut bucket.left_out);
            told.push((*network, lines, std::mem::take(&mut bucket.kind)));
        }
        buckets.retain(|_, bucket| !bucket.is_full(now));
        drop(buckets);
        for (network, lines, kind) in told {
            let client = network.map_or_else(|| "others".to_owned(), |network| network.to_string());
            tracing::warn!(%client, lines, "left out of this log: `{kind}`");
        }
    }
}

/// The client of a span.
struct Client(Network);

/// Reads what a line or a span says of its client, and how its text begins.
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

    fn key(address: [u8; 4]) -> Key {
        struct Callsite;
        impl tracing::Callsite for Callsite {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                panic!("nobody asks")
            }
        }
        static CALLSITE: Callsite = Callsite;
        (callsite::Identifier(&CALLSITE), Some(Network::from(IpAddr::from(address))))
    }

    #[test]
    fn an_address_causes_a_few_lines_and_the_rest_are_counted() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let lets = |last, now| limiter.lets(key([192, 0, 2, last]), now, || "refused".into());
        let through = (0..1000).filter(|_| lets(1, now)).count();
        assert_eq!(through, BURST as usize);
        assert!(lets(2, now), "others are heard");
        let left_out = |address| limiter.0.lock().unwrap()[&key(address)].left_out;
        assert_eq!(left_out([192, 0, 2, 1]), 1000 - u64::from(BURST));
        assert!(lets(1, now + PAUSE) && !lets(1, now + PAUSE), "one more after a pause");
        limiter.tell(now + PAUSE);
        assert_eq!(left_out([192, 0, 2, 1]), 0);
    }

    #[test]
    fn many_addresses_take_bounded_room() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for n in 0..20_000u32 {
            limiter.lets(key(n.to_be_bytes()), now, String::new);
        }
        assert!(limiter.0.lock().unwrap().len() <= MAX_APART + 1);
        // Who said nothing for long is forgotten.
        limiter.tell(now + PAUSE * (BURST + 1));
        assert!(limiter.0.lock().unwrap().is_empty() || limiter.0.lock().unwrap().len() <= 1);
    }
}
