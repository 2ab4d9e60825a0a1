//! Logging: everything to standard error and to the daemon's own file, and the lines of an application to its
//! file, too.

use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use super::arguments::LogFormat;
use super::error::StartupError;
use crate::gateway::OnDemand;
use crate::protocol::{AppId, DAEMON_LOG_FILE, LOG_DIRECTORY, LogLevel, LogLine};
use crate::supervisor::logs::LogFiles;

/// Starts logging.
///
/// # Errors
/// What is wrong with the filter.
pub(super) fn begin(level: &str, format: LogFormat, files: Arc<LogFiles>) -> Result<(), String> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("\"{level}\" is not a log level or filter: {error}"))?;
    let terminal = std::io::stderr().is_terminal();
    let text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if text {
        lines.with_target(false).with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    };
    let registry = tracing_subscriber::registry().with(filter).with(lines).with(FileLogs { files });
    // A directive such as `[request{app=crm}]=debug` needs spans before events.
    let registry = OnDemand::new(registry, level.contains('['));
    registry.try_init().map_err(|error| error.to_string())?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("something that is not a text");
        tracing::error!(place, "a task panicked: {message}");
    }));
    Ok(())
}

/// Writes events to the daemon's file, and those with a field `app`, their own or a span's, to that
/// application's file.
struct FileLogs {
    files: Arc<LogFiles>,
}

/// The fields of a span that belong to an application.
struct OfApplication {
    app: AppId,
    fields: Vec<(&'static str, Value)>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for FileLogs {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = EventFields::default();
        attributes.record(&mut fields);
        if let Some(app) = fields.take_app()
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(OfApplication { app, fields: fields.0 });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let mut app = fields.take_app();
        let scope = context.event_scope(event);
        for span in scope.into_iter().flatten() {
            if let Some(of) = span.extensions().get::<OfApplication>()
                && app.as_ref().is_none_or(|app| *app == of.app)
            {
                app = Some(of.app.clone());
                // The event's own fields come first.
                fields.0.extend(of.fields.iter().cloned());
                break;
            }
        }
        let mut fields = fields.by_name();
        let message = match fields.remove("message") {
            Some(Value::String(message)) => message,
            _ => event.metadata().name().to_owned(),
        };
        let level = level(*event.metadata().level());
        let mut line = LogLine { at: crate::protocol::now(), level, app: None, message, fields };
        if let Some(app) = &app {
            self.files.append(app, line.clone());
        }
        line.app = app.map(|app| app.to_string()).or_else(|| named_app(&mut line.fields));
        self.files.append_daemon(line);
    }
}

/// The text in the field `app`, which no application can have as its ID; nothing for an empty one.
fn named_app(fields: &mut Map<String, Value>) -> Option<String> {
    match fields.remove("app") {
        Some(Value::String(app)) => Some(app).filter(|app| !app.is_empty()),
        _ => None,
    }
}

/// Appends the failure that keeps the daemon from running to its own log, where there is a data directory. By
/// then the writer of the logs has ended, or has not begun.
pub(super) fn record_failure(data_directory: &Path, error: &StartupError) {
    let fields = error.hint.iter().map(|hint| ("hint".to_owned(), Value::from(hint.as_str()))).collect();
    let message = format!("nbappsd ends: {error}");
    let line = LogLine { at: crate::protocol::now(), level: LogLevel::Error, app: None, message, fields };
    let written = serde_json::to_vec(&line).map_err(io::Error::other).and_then(|mut text| {
        text.push(b'\n');
        let directory = data_directory.join(LOG_DIRECTORY);
        let file = directory.join(DAEMON_LOG_FILE);
        OpenOptions::new().append(true).create(true).mode(0o600).open(file)?.write_all(&text)
    });
    // Standard error has it in any case.
    drop(written);
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::TRACE => LogLevel::Trace,
        Level::DEBUG => LogLevel::Debug,
        Level::INFO => LogLevel::Info,
        Level::WARN => LogLevel::Warn,
        Level::ERROR => LogLevel::Error,
    }
}

/// Fields in their order, as JSON. Most requests log nothing, so storing their fields must be cheap.
#[derive(Default)]
struct EventFields(Vec<(&'static str, Value)>);

impl EventFields {
    /// The application that the field `app` names. An invalid ID stays among the fields.
    fn take_app(&mut self) -> Option<AppId> {
        let at = self.0.iter().position(|(name, _)| *name == "app")?;
        let app = AppId::parse(self.0.get(at)?.1.as_str()?).ok()?;
        self.0.remove(at);
        Some(app)
    }

    /// The fields by name; of several with one name, the first.
    fn by_name(self) -> Map<String, Value> {
        let mut map = Map::new();
        for (name, value) in self.0 {
            map.entry(name).or_insert(value);
        }
        map
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // Fields must not repeat the names of a log line's own keys.
        let name = match field.name() {
            "at" => "at_",
            "level" => "level_",
            name => name,
        };
        self.0.push((name, value.into()));
    }
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}
