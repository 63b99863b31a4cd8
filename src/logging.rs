//! Structured logs on standard error.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::LogFormat;
use crate::exit::Failure;

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
