//! The arguments, and what they ask for. Parsing them has no effect.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::{Address, Environment};
use crate::engine::mailbox::Wish;
use crate::mail::{Both, MailboxName, Pattern, Subscription};

/// What the arguments ask for.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) options: Options,
    pub(super) command: Command,
}

/// What holds for every command.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) config: Option<PathBuf>,
    pub(super) verbosity: Verbosity,
    pub(super) output: Output,
    pub(super) log_format: LogFormat,
    pub(super) progress: When,
    pub(super) color: When,
    pub(super) trace_wire: Option<PathBuf>,
}

/// How much is told on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Errors and warnings.
    Usual,
    /// Everything that is done, too.
    Verbose,
    /// Everything that helps to find a fault.
    Debugging,
}

/// What stands on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Sentences and tables.
    Text,
    /// One object a line.
    Json,
}

/// What a line on stderr looks like: a sentence, or a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// When something is wanted; `auto` means on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

/// One of our commands with what it needs.
#[derive(Debug)]
pub(super) enum Command {
    Sync {
        whose: Whose,
        wanted: Wanted,
    },
    Repair {
        whose: Whose,
        wanted: Wanted,
    },
    Status {
        accounts: Vec<String>,
        asking: Asking,
    },
    Check {
        whose: Whose,
    },
    Mailboxes {
        accounts: Vec<String>,
    },
    Mailbox {
        account: String,
        wishes: Vec<Wish>,
    },
    Completions(Shell),
    Manual,
    /// A command that exists in name only.
    Later(&'static str),
}

/// Whose mail it is about.
#[derive(Debug)]
pub(super) enum Whose {
    /// That of accounts of the configuration; all of them when none is named.
    Accounts(Vec<String>),
    /// That of two addresses, without a configuration.
    Addresses { addresses: Both<Address>, password_command: Option<String> },
}

/// What of it, and how.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Only mailboxes of these names; none means all.
    pub(super) only: Vec<Pattern>,
    pub(super) mode: Mode,
    pub(super) guard: Guard,
}

/// Whether a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Execute,
    /// `--dry-run`
    Rehearse,
}

/// Whether the mass-deletion guard watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    Watching,
    /// `--allow-deletes`
    Lifted,
}

/// Who is asked for a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// The state alone.
    State,
    /// Both sides, too.
    Sides,
}

/// Reads the arguments. An `Err` is either a mistake in them, or the help or the version that was asked for.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Call, clap::Error> {
    Arguments::try_parse_from(arguments)?.into_call()
}

/// The description of all arguments, for help, manual page and completions.
pub(super) fn description() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Keeps mail in line, both ways, between IMAP servers and Maildirs
///
/// interimap brings two sides in line: what arrived, was flagged, moved, expunged or renamed on one side is carried to
/// the other. What both sides held when they last agreed is remembered, so that no message is lost or doubled.
#[derive(Debug, Parser)]
#[command(name = "interimap", version, arg_required_else_help = true, subcommand_required = true)]
#[command(disable_help_subcommand = true, subcommand_help_heading = "Commands", max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The configuration, instead of $XDG_CONFIG_HOME/interimap/interimap.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Tell everything that is done; twice, what helps to find a fault
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Tell errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print one JSON object per account on stdout
    #[arg(long, global = true)]
    json: bool,
    /// What a line on stderr looks like: a sentence, or a JSON object
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// When to show on stderr how far a longer run is; auto means on a terminal
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    progress: When,
    /// When to colour what stands on stderr; auto means on a terminal
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    color: When,
    /// Write the conversation with the servers to FILE, without passwords and message texts
    #[arg(long, global = true, value_name = "FILE")]
    trace_wire: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring both sides in line once
    ///
    /// A first run may meet mail on both sides: equal messages are recognized, not copied.
    Sync {
        #[command(flatten)]
        whose: WhoseArguments,
        #[command(flatten)]
        wanted: WantedArguments,
    },
    /// The same, and again whenever either side changes (not there yet)
    #[command(disable_help_flag = true)]
    Watch(Unread),
    /// Show what is remembered of each mailbox, what is pending, and when it was last in line
    ///
    /// Exit status 1 means that something is pending or was left out, or that the last run did not bring both sides in line.
    Status {
        #[command(flatten)]
        accounts: AccountArguments,
        /// Ask both sides, too, whether something has changed since
        #[arg(long)]
        remote: bool,
    },
    /// Read the configuration, log in, and say what each side can do
    Check {
        #[command(flatten)]
        whose: WhoseArguments,
    },
    /// Compare everything with everything, report every difference, and mend it
    ///
    /// All messages of both sides are listed and compared with what is remembered of them. Each difference is a line that
    /// says what was done about it; with --dry-run, what would be done. Then both sides are brought in line as by sync:
    /// what was expunged on one side goes on the other.
    Repair {
        #[command(flatten)]
        whose: WhoseArguments,
        #[command(flatten)]
        wanted: WantedArguments,
    },
    /// Change a mailbox on both sides and in the state
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Mailbox {
        #[command(subcommand)]
        command: MailboxVerb,
    },
    /// Turn the configuration of interimap (Perl), mbsync or offlineimap into ours (not there yet)
    #[command(disable_help_flag = true)]
    Import(Unread),
    /// Copy one account to another, one way (not there yet)
    #[command(disable_help_flag = true)]
    Migrate(Unread),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page interimap(1)
    Man,
}

#[derive(Debug, Subcommand)]
enum MailboxVerb {
    /// List the mailboxes of both sides
    List {
        #[command(flatten)]
        accounts: AccountArguments,
    },
    /// Create mailboxes on both sides
    Create(Mailboxes),
    /// Delete mailboxes, with all they hold, on both sides, and forget them
    Delete(Mailboxes),
    /// Rename a mailbox on both sides; its children follow
    Rename {
        /// The account
        account: String,
        /// The mailbox by its local name, "/" between its levels
        from: String,
        /// Its new name
        to: String,
    },
    /// Subscribe to mailboxes on both sides
    Subscribe(Mailboxes),
    /// Unsubscribe from mailboxes on both sides
    Unsubscribe(Mailboxes),
}

#[derive(Args, Debug)]
struct Mailboxes {
    /// The account
    account: String,
    /// The mailboxes by their local names, "/" between levels
    #[arg(required = true, value_name = "MAILBOX")]
    mailboxes: Vec<String>,
}

#[derive(Args, Debug)]
struct AccountArguments {
    /// The accounts; all of the configuration when none is named
    #[arg(value_name = "ACCOUNT")]
    accounts: Vec<String>,
}

#[derive(Args, Debug)]
struct WhoseArguments {
    /// The accounts; all of the configuration when none is named
    #[arg(value_name = "ACCOUNT", conflicts_with_all = ["remote", "local"])]
    accounts: Vec<String>,
    /// Do without a configuration: the remote side, as imaps://USER@HOST[:PORT], imap://USER@HOST[:PORT],
    /// tunnel:COMMAND or maildir:PATH
    #[arg(long, value_name = "URL", requires = "local", conflicts_with = "config")]
    remote: Option<String>,
    /// The local side, written in the same way
    #[arg(long, value_name = "URL", requires = "remote")]
    local: Option<String>,
    /// With --remote and --local: a command that prints the password (of the remote side, or of the local one where the
    /// remote side is a tunnel or a Maildir)
    #[arg(long, value_name = "COMMAND", requires = "remote")]
    password_command: Option<String>,
}

#[derive(Args, Debug)]
struct WantedArguments {
    /// Only mailboxes of that local name; * stands for anything, % for anything but "/"
    #[arg(short = 'm', long = "mailbox", value_name = "PATTERN", action = ArgAction::Append)]
    mailboxes: Vec<String>,
    /// Print what would be done, and change nothing on either side or in the state
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Lift the guard against mass deletions for this run
    #[arg(long)]
    allow_deletes: bool,
}

/// The arguments of a command that is not there yet.
#[derive(Args, Debug)]
struct Unread {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    unread: Vec<OsString>,
}

impl Arguments {
    fn into_call(self) -> Result<Call, clap::Error> {
        let Global { config, verbose, quiet, json, log_format, progress, color, trace_wire } = self.global;
        let verbosity = match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Usual,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Debugging,
        };
        let output = if json { Output::Json } else { Output::Text };
        let options = Options { config, verbosity, output, log_format, progress, color, trace_wire };
        Ok(Call { options, command: self.command.into_command()? })
    }
}

impl Verb {
    fn into_command(self) -> Result<Command, clap::Error> {
        Ok(match self {
            Verb::Sync { whose, wanted } => Command::Sync { whose: whose.read()?, wanted: wanted.read()? },
            Verb::Repair { whose, wanted } => Command::Repair { whose: whose.read()?, wanted: wanted.read()? },
            Verb::Check { whose } => Command::Check { whose: whose.read()? },
            Verb::Status { accounts, remote } => {
                let asking = if remote { Asking::Sides } else { Asking::State };
                Command::Status { accounts: accounts.accounts, asking }
            }
            Verb::Mailbox { command } => command.into_command()?,
            Verb::Completions { shell } => Command::Completions(shell),
            Verb::Man => Command::Manual,
            Verb::Watch(_) => Command::Later("watch"),
            Verb::Import(_) => Command::Later("import"),
            Verb::Migrate(_) => Command::Later("migrate"),
        })
    }
}

impl MailboxVerb {
    fn into_command(self) -> Result<Command, clap::Error> {
        let each = |Mailboxes { account, mailboxes }: Mailboxes, wish: &dyn Fn(MailboxName) -> Wish| {
            let wishes = mailboxes.iter().map(|name| Ok(wish(mailbox_name(name)?)));
            Ok(Command::Mailbox { account, wishes: wishes.collect::<Result<_, clap::Error>>()? })
        };
        match self {
            MailboxVerb::List { accounts } => Ok(Command::Mailboxes { accounts: accounts.accounts }),
            MailboxVerb::Create(mailboxes) => each(mailboxes, &Wish::Create),
            MailboxVerb::Delete(mailboxes) => each(mailboxes, &Wish::Delete),
            MailboxVerb::Rename { account, from, to } => {
                let wishes = vec![Wish::Rename(mailbox_name(&from)?, mailbox_name(&to)?)];
                Ok(Command::Mailbox { account, wishes })
            }
            MailboxVerb::Subscribe(mailboxes) => {
                each(mailboxes, &|name| Wish::SetSubscription(name, Subscription::Subscribed))
            }
            MailboxVerb::Unsubscribe(mailboxes) => {
                each(mailboxes, &|name| Wish::SetSubscription(name, Subscription::Unsubscribed))
            }
        }
    }
}

impl WhoseArguments {
    fn read(self) -> Result<Whose, clap::Error> {
        match (self.remote, self.local) {
            (Some(remote), Some(local)) => {
                let addresses = Both { remote: address("--remote", &remote)?, local: address("--local", &local)? };
                Ok(Whose::Addresses { addresses, password_command: self.password_command })
            }
            _ => Ok(Whose::Accounts(self.accounts)),
        }
    }
}

impl WantedArguments {
    fn read(self) -> Result<Wanted, clap::Error> {
        for pattern in &self.mailboxes {
            if pattern.is_empty() || pattern.chars().any(char::is_control) {
                return Err(mistake(format!("--mailbox {pattern:?} is no pattern of mailbox names")));
            }
        }
        Ok(Wanted {
            only: self.mailboxes.iter().map(|pattern| Pattern::new(pattern)).collect(),
            mode: if self.dry_run { Mode::Rehearse } else { Mode::Execute },
            guard: if self.allow_deletes { Guard::Lifted } else { Guard::Watching },
        })
    }
}

/// The address; the message does not repeat it, for it may hold a password.
fn address(option: &str, text: &str) -> Result<Address, clap::Error> {
    let environment = Environment::new(|name| std::env::var_os(name));
    Address::parse(text, &environment)
        .map_err(|why| mistake(format!("the address behind {option} cannot be used: {why}")))
}

fn mailbox_name(text: &str) -> Result<MailboxName, clap::Error> {
    MailboxName::new(text).map_err(|why| mistake(format!("{text:?} is no mailbox name: {why}")))
}

fn mistake(text: String) -> clap::Error {
    clap::Error::raw(clap::error::ErrorKind::ValueValidation, text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &str) -> Result<Call, clap::Error> {
        let words = arguments.split(' ').filter(|word| !word.is_empty());
        parse(std::iter::once("interimap").chain(words).map(OsString::from))
    }

    #[test]
    fn the_description_is_sound() {
        description().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_behind_the_command() {
        for arguments in ["--json -vv --config f sync work", "sync work -v -v --json --config f"] {
            let call = call(arguments).unwrap();
            assert_eq!(call.options.verbosity, Verbosity::Debugging, "{arguments}");
            assert_eq!(call.options.output, Output::Json, "{arguments}");
            assert_eq!(call.options.config, Some(PathBuf::from("f")), "{arguments}");
            let Command::Sync { whose: Whose::Accounts(accounts), .. } = call.command else { panic!("{arguments}") };
            assert_eq!(accounts, ["work"], "{arguments}");
        }
    }

    #[test]
    fn what_is_wanted_is_read() {
        let Command::Repair { wanted, .. } = call("repair -m INBOX -m Lists/% -n --allow-deletes").unwrap().command
        else {
            panic!("no repair");
        };
        assert_eq!(wanted.only, [Pattern::new("INBOX"), Pattern::new("Lists/%")]);
        assert_eq!((wanted.mode, wanted.guard), (Mode::Rehearse, Guard::Lifted));
    }

    #[test]
    fn mailboxes_are_named_behind_their_account() {
        let name = |text: &str| MailboxName::new(text).unwrap();
        for (arguments, expected) in [
            ("mailbox create work a b/c", vec![Wish::Create(name("a")), Wish::Create(name("b/c"))]),
            ("mailbox delete work a", vec![Wish::Delete(name("a"))]),
            ("mailbox rename work a b", vec![Wish::Rename(name("a"), name("b"))]),
            ("mailbox subscribe work a", vec![Wish::SetSubscription(name("a"), Subscription::Subscribed)]),
            ("mailbox unsubscribe work a", vec![Wish::SetSubscription(name("a"), Subscription::Unsubscribed)]),
        ] {
            let Command::Mailbox { account, wishes } = call(arguments).unwrap().command else { panic!("{arguments}") };
            assert_eq!((account.as_str(), wishes), ("work", expected), "{arguments}");
        }
    }

    #[test]
    fn mistakes_are_told_without_secrets() {
        for (arguments, part) in [
            ("", "Usage: interimap"),
            ("sing", "unrecognized subcommand 'sing'"),
            ("sync -q -v", "cannot be used with"),
            ("sync --remote imaps://a@b", "--local <URL>"),
            ("sync work --remote imaps://a@b --local tunnel:x", "cannot be used with"),
            ("sync --config f --remote imaps://a@b --local tunnel:x", "cannot be used with"),
            (
                "sync --remote imaps://a:geheim@b --local tunnel:x",
                "the address behind --remote cannot be used: it holds a password",
            ),
            (
                "sync --remote imaps://a@b --local maildir:",
                "the address behind --local cannot be used: it has no path; write maildir:PATH",
            ),
            (
                "sync --remote imaps://a@b --local maildir:~bob/Mail",
                "the address behind --local cannot be used: it means no path: only ~/… is known, not ~bob/…",
            ),
            ("sync --password-command x", "--remote <URL>"),
            ("mailbox create work", "<MAILBOX>"),
            ("mailbox create work a//b", "\"a//b\" is no mailbox name: it has an empty level"),
            ("mailbox", "Usage: interimap mailbox"),
        ] {
            let error = call(arguments).expect_err(arguments);
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2, "{arguments}");
            assert!(text.contains(part), "{arguments}: {text}");
            assert!(!text.contains("geheim"), "{arguments}: {text}");
        }
    }

    #[test]
    fn what_is_not_there_yet_takes_any_arguments() {
        for arguments in ["watch", "watch work --every 60s", "import mbsync ~/.mbsyncrc", "migrate --help"] {
            let command = call(arguments).unwrap().command;
            assert!(matches!(command, Command::Later(name) if arguments.starts_with(name)), "{arguments}: {command:?}");
        }
    }
}
