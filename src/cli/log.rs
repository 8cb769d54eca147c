//! What is going on, for whoever asks: `-v`, `-vv` and `DLSTORE_LOG`.
//!
//! The floors below say what they do by the crate `tracing`, where they do it; here it becomes lines on stderr. `-v` is a
//! line for each package and layer, `-vv` adds steps and the time since the command began. `DLSTORE_LOG` takes the
//! directives of `tracing-subscriber` (`dlstore_ingest=debug`). Without any of them nothing listens, and nothing else
//! that is printed changes.
//!
//! Names of others stand in these lines, so they are made harmless like all that is printed.

use std::fmt::{self, Write as _};
use std::io;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::output::{harmless, size};
use crate::command::error::Error;

/// The variable that says what is logged.
pub(super) const VARIABLE: &str = "DLSTORE_LOG";

/// Begins to print what is going on: as `directives` say, else as often as `-v` was given.
///
/// # Errors
/// When the directives cannot be read.
pub(super) fn begin(verbose: u8, directives: Option<&str>, color: bool) -> Result<(), Error> {
    let said = match (directives, verbose) {
        (Some(said), _) => said,
        (None, 0) => return Ok(()),
        (None, 1) => "dlstore=info",
        (None, 2) => "dlstore=debug",
        (None, _) => "dlstore=trace",
    };
    let filter = EnvFilter::builder().parse(said);
    let filter = filter.map_err(|error| Error::Usage(format!("{VARIABLE}={said:?} cannot be read: {error}")))?;
    let lines = Lines { begun: (verbose >= 2).then(Instant::now), color };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).event_format(lines);
    // There is one already only where the program is called twice in one process.
    let _ = subscriber.try_init();
    Ok(())
}

/// How an event becomes a line: `added musl 1.2.5-3 amd64 (407 kB)`, and with the time
/// `  0.012 s info dlstore_ingest::add: added ...`.
struct Lines {
    /// When the command began, when times are wanted.
    begun: Option<Instant>,
    color: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let meta = event.metadata();
        let level = meta.level().as_str().to_ascii_lowercase();
        let before = match self.begun {
            Some(begun) => format!("{:7.3} s {level} {}: ", begun.elapsed().as_secs_f64(), meta.target()),
            None if *meta.level() == Level::INFO => String::new(),
            None => format!("{level}: "),
        };
        let line = harmless(&format!("{}{}", said.message, said.fields)).replace('\n', "\\u{a}");
        if self.color { writeln!(writer, "\x1b[2m{before}{line}\x1b[0m") } else { writeln!(writer, "{before}{line}") }
    }
}

/// The words of an event: its message, and what stands behind it.
#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "size" {
            // Writing into a string cannot fail.
            let _ = write!(self.fields, " ({})", size(value));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Nor can this.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
