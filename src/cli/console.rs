//! The terminal: stdout for data, stderr for everything else, and bars that no line tears.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::report::{Notice, Weight, printable};

use super::arguments::{LogFormat, Options, Verbosity, When};

/// Where a run speaks.
#[derive(Clone, Debug)]
pub(super) struct Console {
    /// The bars, hidden until a run takes long enough.
    pub(super) bars: MultiProgress,
    progress: When,
    /// Whether some of the data could not be written.
    incomplete: Arc<AtomicBool>,
    /// How the terminal was set before we asked anything on it.
    settings: Option<Termios>,
}

impl Console {
    /// Opens the terminal. Everything that is told through `tracing` in this process ends up here.
    pub(super) fn open(options: &Options) -> Console {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let settings = tcgetattr(io::stderr()).ok();
        let incomplete = Arc::default();
        let console = Console { bars: bars.clone(), progress: options.progress, incomplete, settings };
        let level = match options.verbosity {
            Verbosity::Quiet => LevelFilter::ERROR,
            Verbosity::Usual => LevelFilter::WARN,
            Verbosity::Verbose => LevelFilter::INFO,
            Verbosity::Debugging => LevelFilter::DEBUG,
        };
        let targets = Targets::new().with_target(env!("CARGO_PKG_NAME"), level);
        let registry = tracing_subscriber::registry().with(targets);
        let layer = tracing_subscriber::fmt::layer().with_writer(BesideBars(bars));
        let told = match options.log_format {
            LogFormat::Json => tracing::subscriber::set_global_default(registry.with(layer.json().flatten_event(true))),
            LogFormat::Text => {
                let color = if in_color(options.color) { Color::On } else { Color::Off };
                tracing::subscriber::set_global_default(registry.with(layer.event_format(Sentences { color })))
            }
        };
        // A second console in one process speaks through the first one.
        drop(told);
        console
    }

    /// Shows the bars from now on, if they are wanted.
    pub(super) fn show_bars(&self) {
        let target = match (self.progress, io::stderr().is_terminal()) {
            (When::Auto | When::Always, true) => ProgressDrawTarget::stderr(),
            (When::Always, false) => ProgressDrawTarget::term_like(Box::new(AnyStderr)),
            _ => return,
        };
        self.bars.set_draw_target(target);
    }

    /// Writes data to stdout. Nobody listening any more is no failure of the run, and no reason to stop it.
    pub(super) fn print(&self, text: &str) {
        let written = self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        });
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.incomplete.store(true, Ordering::Relaxed);
            tracing::error!("stdout cannot be written, so it is incomplete: {error}");
        }
    }

    /// Whether everything that was printed has been written, as far as anybody wanted it.
    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete.load(Ordering::Relaxed)
    }

    /// Takes the bars away, and sets the terminal as it was: a question for a password may have turned its echo off.
    pub(super) fn restore(&self) {
        drop(self.bars.clear());
        if let Some(settings) = &self.settings {
            let _ = tcsetattr(io::stderr(), OptionalActions::Now, settings);
        }
    }

    /// Writes data to stdout, with a line end behind it.
    pub(super) fn print_line(&self, line: &str) {
        self.print(&format!("{line}\n"));
    }

    /// Tells a notice on stderr.
    pub(super) fn tell(&self, notice: &Notice) {
        let Notice { weight, text, help } = notice;
        match (weight, help) {
            (Weight::Error, Some(help)) => tracing::error!(help, "{text}"),
            (Weight::Error, None) => tracing::error!("{text}"),
            (Weight::Warning, Some(help)) => tracing::warn!(help, "{text}"),
            (Weight::Warning, None) => tracing::warn!("{text}"),
        }
    }
}

/// Whether stderr is coloured (<https://no-color.org>).
fn in_color(wanted: When) -> bool {
    match wanted {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            io::stderr().is_terminal() && !refused && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Writes to stderr with the bars out of the way.
#[derive(Clone, Debug)]
struct BesideBars(MultiProgress);

impl<'a> MakeWriter<'a> for BesideBars {
    type Writer = BesideBars;

    fn make_writer(&'a self) -> BesideBars {
        self.clone()
    }
}

impl Write for BesideBars {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(octets))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Color {
    On,
    Off,
}

/// Tells events as sentences: `error: …`, `warning: …`, with their help below.
#[derive(Debug)]
struct Sentences {
    color: Color,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Sentences {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut told = Told::default();
        event.record(&mut told);
        writer.write_str(&sentence(event.metadata(), &told, self.color))
    }
}

fn sentence(metadata: &Metadata<'_>, told: &Told, color: Color) -> String {
    let (word, code) = match *metadata.level() {
        Level::ERROR => ("error", "1;31"),
        Level::WARN => ("warning", "1;33"),
        Level::INFO => ("", ""),
        Level::DEBUG | Level::TRACE => ("debug", "2"),
    };
    let start = match (word, color) {
        ("", _) => String::new(),
        (word, Color::On) => format!("\u{1b}[{code}m{word}:\u{1b}[0m "),
        (word, Color::Off) => format!("{word}: "),
    };
    // Line ends are ours; whatever else a terminal would obey is not.
    let lines: Vec<_> = told.message.split('\n').map(printable).collect();
    let mut text = format!("{start}{}{}\n", lines.join("\n"), printable(&told.fields));
    if let Some(help) = &told.help {
        text.push_str(&format!("help: {}\n", printable(help)));
    }
    text
}

#[derive(Debug, Default)]
struct Told {
    message: String,
    help: Option<String>,
    fields: String,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            "help" => self.help = Some(value.to_owned()),
            name => self.fields.push_str(&format!(" {name}={value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// A stderr that is no terminal, for `--progress always`.
#[derive(Debug)]
struct AnyStderr;

impl TermLike for AnyStderr {
    fn width(&self) -> u16 {
        80
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.write_move(lines, 'A')
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.write_move(lines, 'B')
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.write_move(columns, 'C')
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.write_move(columns, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl AnyStderr {
    fn write_move(&self, distance: usize, direction: char) -> io::Result<()> {
        match distance {
            0 => Ok(()),
            distance => self.write_str(&format!("\u{1b}[{distance}{direction}")),
        }
    }
}
