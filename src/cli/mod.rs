//! The command line: arguments in, exit status out; what lies between is said on stdout and stderr.

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

mod arguments;
mod console;
mod exit;
mod manual;
mod run;
mod trace;
mod watcher;

pub use exit::ExitStatus;
pub use manual::manual;

use arguments::{Call, Command};
use console::Console;

/// Runs interimap with these arguments, the first of which is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitStatus {
    // A core dump would hold passwords. Where the limit cannot be set, nothing is lost but this.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    panic::set_hook(Box::new(|panicked| {
        let place =
            panicked.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
        let what = panicked.payload_as_str().unwrap_or("without a word");
        drop(writeln!(
            io::stderr(),
            "error: interimap has made a mistake of its own{place}; nothing is half done, please report it: {what}"
        ));
    }));
    match arguments::parse(arguments) {
        Err(told) => {
            // Help that was asked for is no mistake; whoever stopped reading it knows enough.
            drop(told.print());
            if told.exit_code() == 0 { ExitStatus::InLine } else { ExitStatus::Usage }
        }
        Ok(call) => survived(|| carry_out(call)),
    }
}

/// The end of the work, be it a panic.
fn survived(work: impl FnOnce() -> ExitStatus) -> ExitStatus {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(ExitStatus::Fault)
}

fn carry_out(call: Call) -> ExitStatus {
    let console = Console::open(&call.options);
    let status = answer(call, &console);
    if console.is_complete() { status } else { status.max(ExitStatus::Incomplete) }
}

fn answer(call: Call, console: &Console) -> ExitStatus {
    match &call.command {
        Command::Manual => {
            console.print(&manual());
            return ExitStatus::InLine;
        }
        Command::Completions(shell) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut arguments::description(), env!("CARGO_PKG_NAME"), &mut script);
            console.print(&String::from_utf8_lossy(&script));
            return ExitStatus::InLine;
        }
        Command::Later(name) => {
            let help = match *name {
                "watch" => "let a timer run: interimap sync",
                "import" => {
                    "write the configuration by hand; interimap.toml(5) and interimap.toml.example have every key"
                }
                _ => "an account with push = [] is carried one way by: interimap sync",
            };
            tracing::error!(help, "\"interimap {name}\" is not there yet");
            return ExitStatus::Usage;
        }
        _ => {}
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the system lets no program wait for the network: {error}");
            return ExitStatus::Incomplete;
        }
    };
    let status = runtime.block_on(until_stopped(call, console));
    // A thread that asks for a password cannot be told to stop; it ends with the process.
    runtime.shutdown_background();
    status
}

/// Runs until the end, or until a signal says stop. Whatever is dropped then is in order: every change of the state is a
/// transaction, and what may have happened on a side without being noted is written down before it is begun.
async fn until_stopped(call: Call, console: &Console) -> ExitStatus {
    let signals = signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!("signals cannot be heard, so that stopping early is not told: {error}");
            return run::run(call, console).await;
        }
    };
    let stopped = tokio::select! {
        status = run::run(call, console) => return status,
        _ = interrupt.recv() => ExitStatus::Interrupted,
        _ = terminate.recv() => ExitStatus::Terminated,
    };
    console.restore();
    tracing::error!("stopped by a signal; what was done is kept, and the next run does the rest");
    stopped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_fault_of_ours() {
        assert_eq!(survived(|| panic!("this panic is part of a test")), ExitStatus::Fault);
        assert_eq!(survived(|| ExitStatus::Guarded), ExitStatus::Guarded);
    }
}
