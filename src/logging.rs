//! Structured logs on standard error.

use std::sync::OnceLock;

use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;
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
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match format {
            LogFormat::Text => lines.with_ansi(false).boxed(),
            LogFormat::Json => lines.json().boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init()
            .map_err(|e| Failure { code: 1, message: e.to_string() })?;
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
