//! Carries out a call: account after account, each from the lock to the report.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use crate::config::{Account, Config, ConfigError, Endpoint, Environment, Finding, Severity, nearest};
use crate::database;
use crate::engine::event::{Extent, Outcome, Report, Trouble, TroubleCause};
use crate::engine::mailbox::Wish;
use crate::engine::{self, AccountPlan, Order, Scrutiny, Step};
use crate::mail::{Both, MailboxKind, Observation, Side};
use crate::plan::{Choice, Policy};
use crate::report::{
    self, CheckedSide, Comparison, Invocation, Kind, MailboxRow, Mailboxes, Notice, Rehearsal, Status, Weight,
    shell_quoted,
};
use crate::state::{self, LastRun, State};
use crate::store::imap::Crew;
use crate::store::{self, Error, Store, Traffic, maildir};

use super::arguments::{self, Asking, Call, Command, Guard, Mode, Options, Output, Verbosity, Wanted};
use super::console::Console;
use super::exit::ExitStatus;
use super::trace::TraceFile;
use super::watcher::{WORTH_A_BAR, Watcher};

/// Does what the arguments ask for.
pub(super) async fn run(call: Call, console: &Console) -> ExitStatus {
    let Call { options, command } = call;
    let environment = Environment::new(|name| std::env::var_os(name));
    let (config, accounts, invocation) = match open_config(&command, &options, &environment) {
        Ok(opened) => opened,
        Err(notices) => {
            notices.iter().for_each(|notice| console.tell(notice));
            return ExitStatus::Usage;
        }
    };
    config.warnings.iter().for_each(|finding| console.tell(&of_finding(finding)));
    let trace = match &options.trace_wire {
        None => None,
        Some(path) => match TraceFile::create(path) {
            Ok(trace) => Some(trace),
            Err(error) => {
                let path = path.display();
                console
                    .tell(&error_notice(format!("the file of --trace-wire, {path}, cannot be written: {error}"), None));
                return ExitStatus::Usage;
            }
        },
    };
    let mut status = ExitStatus::InLine;
    for mut account in accounts {
        for side in Side::BOTH {
            // Nothing is said to a Maildir.
            if let Endpoint::Imap(endpoint) = &mut account.endpoints[side] {
                endpoint.trace = trace.as_ref().map(|trace| trace.of(&account.name, side));
            }
        }
        let whose = match &invocation {
            Program::OfAddresses(invocation) => invocation.clone(),
            Program::OfConfig(program) => {
                Invocation { program: program.clone(), whose: report::Whose::Account(account.name.clone()) }
            }
        };
        let errand = Errand { account, again: whose, output: options.output, verbosity: options.verbosity, console };
        status = status.max(errand.run(&command).await);
    }
    status
}

/// How hints begin.
enum Program {
    /// With this; the account follows the command.
    OfConfig(String),
    /// Always alike.
    OfAddresses(Invocation),
}

/// The configuration, and the accounts that the call is about.
fn open_config(
    command: &Command,
    options: &Options,
    environment: &Environment,
) -> Result<(Config, Vec<Account>, Program), Vec<Notice>> {
    let names: &[String] = match command {
        Command::Sync { whose, .. } | Command::Repair { whose, .. } | Command::Check { whose } => match whose {
            arguments::Whose::Accounts(names) => names,
            arguments::Whose::Addresses { addresses, password_command } => {
                let config = Config::of_addresses(addresses.clone(), password_command.clone(), environment);
                let config = config.map_err(|error| of_config_error(&error))?;
                let mut whose: String = Side::BOTH
                    .into_iter()
                    .rev()
                    .map(|side| format!("--{side} {}", shell_quoted(&addresses[side].to_string())))
                    .collect::<Vec<_>>()
                    .join(" ");
                if let Some(command) = password_command {
                    whose.push_str(&format!(" --password-command {}", shell_quoted(command)));
                }
                let program = env!("CARGO_PKG_NAME").to_owned();
                let invocation = Invocation { program, whose: report::Whose::Addresses(whose) };
                let accounts = config.accounts.values().cloned().collect();
                return Ok((config, accounts, Program::OfAddresses(invocation)));
            }
        },
        Command::Status { accounts, .. } | Command::Mailboxes { accounts } => accounts,
        Command::Mailbox { account, .. } => std::slice::from_ref(account),
        Command::Completions(_) | Command::Manual | Command::Later(_) => &[],
    };
    let path = match &options.config {
        Some(path) => path.clone(),
        None => environment.config_file().map_err(|why| of_config_error(&ConfigError::Homeless(why)))?,
    };
    let config = Config::load(&path, environment).map_err(|error| of_config_error(&error))?;
    let mut program = env!("CARGO_PKG_NAME").to_owned();
    if let Some(path) = &options.config {
        program.push_str(&format!(" --config {}", shell_quoted(&path.display().to_string())));
    }
    let accounts = chosen(&config, names, &path)?;
    Ok((config, accounts, Program::OfConfig(program)))
}

/// The accounts of these names in the order given, each once; all in alphabetical order if none is named.
fn chosen(config: &Config, names: &[String], path: &Path) -> Result<Vec<Account>, Vec<Notice>> {
    if names.is_empty() {
        return Ok(config.accounts.values().cloned().collect());
    }
    let mut accounts: Vec<Account> = Vec::with_capacity(names.len());
    let mut unknown = Vec::new();
    for name in names {
        match config.accounts.get(name) {
            Some(account) if accounts.iter().any(|known| known.name == account.name) => {}
            Some(account) => accounts.push(account.clone()),
            None => {
                let known: Vec<&str> = config.accounts.keys().map(String::as_str).collect();
                let help = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("the nearest account is \"{near}\""),
                    None => format!("the accounts are: {}", known.join(", ")),
                };
                unknown.push(error_notice(format!("there is no account \"{name}\" in {}", path.display()), Some(help)));
            }
        }
    }
    if unknown.is_empty() { Ok(accounts) } else { Err(unknown) }
}

/// Whether this run holds the lock of its account, and so may write beside its database.
#[derive(Clone, Copy)]
enum Lock {
    Held,
    /// Another run may be at work.
    Free,
}

/// One command for one account.
struct Errand<'a> {
    account: Account,
    again: Invocation,
    output: Output,
    verbosity: Verbosity,
    console: &'a Console,
}

impl Errand<'_> {
    async fn run(&self, command: &Command) -> ExitStatus {
        match command {
            Command::Sync { wanted, .. } => self.sync(wanted, Scrutiny::Changes).await,
            Command::Repair { wanted, .. } => self.sync(wanted, Scrutiny::Everything).await,
            Command::Status { asking, .. } => self.status(*asking).await,
            Command::Check { .. } => self.check().await,
            Command::Mailboxes { .. } => self.list_mailboxes().await,
            Command::Mailbox { wishes, .. } => self.fulfil(wishes).await,
            // These are done before there is an account.
            Command::Completions(_) | Command::Manual | Command::Later(_) => ExitStatus::InLine,
        }
    }

    async fn sync(&self, wanted: &Wanted, scrutiny: Scrutiny) -> ExitStatus {
        let policy = policy(&self.account.policy, wanted);
        let (opened, lock) = match wanted.mode {
            Mode::Execute => (State::open(&self.account.database, &self.account.addresses), Lock::Held),
            Mode::Rehearse => (State::rehearsal(&self.account.database), Lock::Free),
        };
        let mut state = match opened {
            Ok(state) => state,
            Err(error) => return self.state_failed(&error),
        };
        let order = Order { scrutiny, now: now() };
        let mut watcher = Watcher::new(&self.account.name, self.console);
        let bar = watcher.bar();
        let work = async {
            let mut stores = match self.connect(lock).await {
                Ok(stores) => stores,
                Err(troubles) => return (Report { troubles, ..Report::default() }, None),
            };
            let (mut report, plan) = match wanted.mode {
                Mode::Execute => (engine::sync(&mut stores, &mut state, &policy, &order, &mut watcher).await, None),
                Mode::Rehearse => {
                    let rehearsed = engine::rehearse(&mut stores, &mut state, &policy, &order, &mut watcher).await;
                    (rehearsed.0, Some(rehearsed.1))
                }
            };
            // Taking leave goes over the wire, too.
            let traffic = close(stores).await;
            Side::BOTH.into_iter().for_each(|side| report.sides[side].traffic = traffic[side]);
            (report, plan)
        };
        let started = Instant::now();
        let (mut report, plan) = with_bar(work, || bar.show(self.console)).await;
        // Whoever waits, waits for the connections too.
        report.duration = started.elapsed();
        drop(watcher);
        if wanted.mode == Mode::Execute {
            self.remember_run(&mut state, &order, &report);
        }
        drop(state);
        let steps = plan.map(|plan: AccountPlan| plan.steps());
        match (self.output, &steps) {
            (Output::Json, None) => self.print_json(&report, &Rehearsal::None),
            (Output::Json, Some(steps)) => {
                let written = steps.iter().map(|step| {
                    serde_json::to_value(step).expect("a step holds texts and numbers, which are all JSON")
                });
                self.print_json(&foretold(&report, steps), &Rehearsal::Plan(written.collect()));
            }
            (Output::Text, None) => {
                for step in &report.differences {
                    self.console.print_line(&report::printable(&step.to_string()));
                }
                self.print_summary(&report, Kind::Run);
            }
            (Output::Text, Some(steps)) => {
                for step in report.differences.iter().chain(steps) {
                    self.console.print_line(&report::printable(&step.to_string()));
                }
                self.print_summary(&report, Kind::Rehearsal(steps.len()));
            }
        }
        self.tell_notices(&report);
        if report.mailboxes == 0 && !wanted.only.is_empty() && report.troubles.is_empty() {
            let text = format!("{}: no mailbox that takes part has the name behind --mailbox", self.account.name);
            let help =
                self.again.command_of_account("mailbox list").map(|list| format!("the names are shown by: {list}"));
            self.console.tell(&Notice { weight: Weight::Warning, text, help });
        }
        ExitStatus::of_report(&report)
    }

    async fn status(&self, asking: Asking) -> ExitStatus {
        let state = match State::inspect(&self.account.database) {
            Ok(state) => state,
            Err(error) => return self.state_failed(&error),
        };
        let mut end = ExitStatus::InLine;
        let rows = match asking {
            Asking::State => None,
            Asking::Sides => match self.connect(Lock::Free).await {
                Ok(stores) => match self.rows(stores, state.as_ref()).await {
                    Ok(rows) => Some(rows),
                    Err(status) => return status,
                },
                Err(troubles) => {
                    // What is remembered can be shown all the same.
                    end = self.tell_troubles(&troubles);
                    None
                }
            },
        };
        let status = match known(state.as_ref(), rows, &self.account.policy) {
            Ok(status) => status,
            Err(error) => return self.state_failed(&error),
        };
        match self.output {
            Output::Json => self.console.print_line(&report::status_json(&self.account.name, &status)),
            Output::Text => self.console.print(&report::status_text(&self.account.name, &status, &self.again)),
        }
        end.max(if status.is_incomplete() { ExitStatus::Incomplete } else { ExitStatus::InLine })
    }

    async fn check(&self) -> ExitStatus {
        let connected = self.connect_each(Lock::Free).await;
        let mut troubles = Vec::new();
        let mut stores = Both { local: None, remote: None };
        let mut listings = Both { local: None, remote: None };
        let Both { local, remote } = connected;
        for (side, connected) in [(Side::Local, local), (Side::Remote, remote)] {
            match connected {
                Ok(mut store) => {
                    match store.mailboxes().await {
                        Ok(listing) => listings[side] = Some(listing),
                        Err(error) => troubles.push(Trouble::of_store(side, None, &error)),
                    }
                    stores[side] = Some(store);
                }
                Err(error) => troubles.push(Trouble::of_store(side, None, &error)),
            }
        }
        let mut held = Both::from_fn(|side| {
            let other = stores[side.other()].as_deref();
            let listing = listings[side].as_ref()?;
            Some(taking_part(side, listing, &self.account.policy, other))
        });
        for side in Side::BOTH {
            let (Some(store), Some((mailboxes, wanted))) = (&mut stores[side], &mut held[side]) else { continue };
            match without_mod_sequences(store.as_mut(), wanted).await {
                Ok(names) => mailboxes.listed_in_full = names,
                Err(error) => troubles.push(Trouble::of_store(side, None, &error)),
            }
        }
        let checked = Both::from_fn(|side| {
            let store = stores[side].as_deref()?;
            let mailboxes = held[side].take().map(|(mailboxes, _)| mailboxes);
            Some(CheckedSide { profile: store.profile().clone(), mailboxes })
        });
        let Both { local, remote } = stores;
        for mut store in [local, remote].into_iter().flatten() {
            store.close().await;
        }
        match self.output {
            Output::Json => {
                let line = report::check_json(&self.account.name, &checked, &troubles, &self.again);
                self.console.print_line(&line);
            }
            Output::Text if self.verbosity != Verbosity::Quiet => {
                self.console.print(&report::check_text(&self.account.name, &checked));
            }
            Output::Text => {}
        }
        self.tell_troubles(&troubles)
    }

    async fn list_mailboxes(&self) -> ExitStatus {
        let state = match State::inspect(&self.account.database) {
            Ok(state) => state,
            Err(error) => return self.state_failed(&error),
        };
        let stores = match self.connect(Lock::Free).await {
            Ok(stores) => stores,
            Err(troubles) => return self.tell_troubles(&troubles),
        };
        let rows = match self.rows(stores, state.as_ref()).await {
            Ok(rows) => rows,
            Err(status) => return status,
        };
        match self.output {
            Output::Json => self.console.print_line(&report::mailboxes_json(&self.account.name, &rows)),
            Output::Text => self.console.print(&report::mailboxes_text(&self.account.name, &rows)),
        }
        ExitStatus::InLine
    }

    async fn fulfil(&self, wishes: &[Wish]) -> ExitStatus {
        let mut state = match State::open(&self.account.database, &self.account.addresses) {
            Ok(state) => state,
            Err(error) => return self.state_failed(&error),
        };
        let mut watcher = Watcher::new(&self.account.name, self.console);
        let mut all = Report::default();
        match self.connect(Lock::Held).await {
            Err(troubles) => all.troubles = troubles,
            Ok(mut stores) => {
                for wish in wishes {
                    let policy = &self.account.policy;
                    let report = engine::mailbox::fulfil(&mut stores, &mut state, policy, wish, &mut watcher).await;
                    let lost = report.outcome() == Outcome::Failed;
                    add(&mut all, report);
                    if lost {
                        break;
                    }
                }
                let traffic = close(stores).await;
                Side::BOTH.into_iter().for_each(|side| all.sides[side].traffic = traffic[side]);
            }
        }
        drop(watcher);
        match self.output {
            Output::Json => self.print_json(&all, &Rehearsal::None),
            Output::Text => self.print_summary(&all, Kind::Deeds),
        }
        self.tell_notices(&all);
        ExitStatus::of_report(&all)
    }

    /// The mailboxes of both sides, and what is remembered of them.
    async fn rows(
        &self,
        mut stores: Both<Box<dyn Store>>,
        state: Option<&State>,
    ) -> Result<Vec<engine::mailbox::Row>, ExitStatus> {
        let nothing;
        let state = match state {
            Some(state) => state,
            None => {
                nothing = State::in_memory().map_err(|error| self.state_failed(&error))?;
                &nothing
            }
        };
        let rows = engine::mailbox::list(&mut stores, state, &self.account.policy).await;
        close(stores).await;
        rows.map_err(|(side, error)| self.tell_troubles(&[Trouble::of_store(side, None, &error)]))
    }

    /// Both sides, opened at the same time; or what keeps one of them, or both, from it.
    async fn connect(&self, lock: Lock) -> Result<Both<Box<dyn Store>>, Vec<Trouble>> {
        match self.connect_each(lock).await {
            Both { local: Ok(local), remote: Ok(remote) } => Ok(Both { local, remote }),
            Both { local, remote } => {
                let mut troubles = Vec::new();
                for (side, connected) in [(Side::Local, local), (Side::Remote, remote)] {
                    match connected {
                        Ok(mut store) => store.close().await,
                        Err(error) => troubles.push(Trouble::of_store(side, None, &error)),
                    }
                }
                Err(troubles)
            }
        }
    }

    async fn connect_each(&self, lock: Lock) -> Both<Result<Box<dyn Store>, Error>> {
        let (local, remote) = tokio::join!(self.open(Side::Local, lock), self.open(Side::Remote, lock));
        Both { local, remote }
    }

    async fn open(&self, side: Side, lock: Lock) -> Result<Box<dyn Store>, Error> {
        match &self.account.endpoints[side] {
            Endpoint::Imap(endpoint) => Ok(Box::new(Crew::connect(endpoint, self.account.connections).await?)),
            Endpoint::Maildir(endpoint) => {
                let path = index_path(&self.account.database, side);
                let index = match lock {
                    Lock::Held => maildir::IndexFile::Kept(path),
                    Lock::Free => maildir::IndexFile::LookedAt(path),
                };
                Ok(Box::new(maildir::open(endpoint, index).await?))
            }
        }
    }

    fn remember_run(&self, state: &mut State, order: &Order, report: &Report) {
        let result = match report.outcome() {
            Outcome::InSync => "in-sync",
            Outcome::Incomplete => "incomplete",
            Outcome::Failed => "failed",
        };
        let run = LastRun { started: order.now, finished: now(), result: result.to_owned() };
        if let Err(error) = state.commit(|change| change.set_last_run(&run)) {
            let text = format!("{}: it could not be noted how this run ended: {error}", self.account.name);
            self.console.tell(&Notice { weight: Weight::Warning, text, help: None });
        }
    }

    /// Says that the state cannot be used, in the form of a report.
    fn state_failed(&self, error: &state::Error) -> ExitStatus {
        let trouble = Trouble {
            reach: Extent::Run,
            side: None,
            mailbox: None,
            cause: TroubleCause::State,
            text: error.to_string(),
        };
        let report = Report { troubles: vec![trouble], ..Report::default() };
        if self.output == Output::Json {
            self.print_json(&report, &Rehearsal::None);
        }
        self.tell_notices(&report);
        match error {
            state::Error::OtherAccount { .. } => ExitStatus::Usage,
            state::Error::Stopped(_) => ExitStatus::Incomplete,
            state::Error::Database(error) => match error {
                database::Error::Locked { .. } => ExitStatus::Locked,
                database::Error::NotAFile { .. } => ExitStatus::Usage,
                database::Error::ReadOnly { .. } | database::Error::Contradiction { .. } => ExitStatus::Fault,
                _ => ExitStatus::Incomplete,
            },
        }
    }

    fn tell_troubles(&self, troubles: &[Trouble]) -> ExitStatus {
        for notice in report::failures(&self.account.name, troubles, &self.again) {
            self.console.tell(&notice);
        }
        ExitStatus::of_report(&Report { troubles: troubles.to_vec(), ..Report::default() })
    }

    fn tell_notices(&self, report: &Report) {
        for notice in report::notices(&self.account.name, report, &self.again) {
            self.console.tell(&notice);
        }
    }

    fn print_json(&self, report: &Report, rehearsal: &Rehearsal) {
        self.console.print_line(&report::run_json(&self.account.name, report, rehearsal, &self.again));
    }

    fn print_summary(&self, report: &Report, kind: Kind) {
        if self.verbosity != Verbosity::Quiet {
            self.console.print_line(&report::summary(&self.account.name, report, kind));
        }
    }
}

/// Where the UIDs of a side are kept that gives none itself: beside the state, which refers to them.
fn index_path(database: &Path, side: Side) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(format!(".{side}-index"));
    path.into()
}

/// Does the work, and shows the bar once it has taken long enough.
async fn with_bar<T>(work: impl Future<Output = T>, show: impl FnOnce()) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = sleep(WORTH_A_BAR) => show(),
    }
    work.await
}

/// The report of a rehearsal with what a run would do on each side, as far as a plan tells.
fn foretold(report: &Report, steps: &[Step]) -> Report {
    let mut report = report.clone();
    for step in steps {
        let Some(side) = Side::BOTH.into_iter().find(|side| side.as_str() == step.side) else { continue };
        let sum = &mut report.sides[side];
        match step.op {
            "copy" => sum.copied += step.messages,
            "flag" => sum.flagged += step.messages,
            "expunge" => sum.expunged += step.messages,
            "move" => sum.moved += step.messages,
            "create" => sum.created += 1,
            "delete" => sum.deleted += 1,
            "rename" => sum.renamed += 1,
            "subscribe" | "unsubscribe" => sum.subscriptions += 1,
            _ => {}
        }
    }
    report
}

/// Takes leave of both sides; what has gone over the wire then is all.
async fn close(stores: Both<Box<dyn Store>>) -> Both<Traffic> {
    let Both { mut local, mut remote } = stores;
    tokio::join!(local.close(), remote.close());
    Both { local: local.traffic(), remote: remote.traffic() }
}

/// What the configuration wants, less what the arguments leave out of it.
fn policy(configured: &Policy, wanted: &Wanted) -> Policy {
    let mut policy = configured.clone();
    policy.selection.only = wanted.only.clone();
    if wanted.guard == Guard::Lifted {
        policy.max_delete = None;
    }
    policy
}

/// What is remembered, beside what the sides say if they were asked.
fn known(
    state: Option<&State>,
    rows: Option<Vec<engine::mailbox::Row>>,
    policy: &Policy,
) -> Result<Status, state::Error> {
    let Some(state) = state else {
        let new = rows.into_iter().flatten().filter(|row| row.selected == Choice::Yes);
        let mailboxes = new.map(|row| of_row(row.name.clone(), Both::default(), None, Some(&row))).collect();
        return Ok(Status { last_run: None, mailboxes });
    };
    let mut mailboxes = Vec::new();
    let remembered = state.remembered()?;
    for remembered in &remembered {
        // What the configuration leaves out is not worth a word; what a side did not take is.
        let mut skipped = Both::default();
        if remembered.skipped != Both::default() {
            for left_out in state.skipped(remembered.key)? {
                skipped[left_out.side] += u64::from(left_out.why.words().is_some());
            }
        }
        let row = rows.iter().flatten().find(|row| row.name == remembered.name);
        mailboxes.push(of_row(remembered.name.clone(), skipped, Some(remembered), row));
    }
    let is_new = |row: &&engine::mailbox::Row| {
        let listed = row.listed.as_ref().map(|listed| listed.as_ref());
        row.remembered.is_none() && policy.selection.takes(&row.name, listed)
    };
    let new = rows.iter().flatten().filter(is_new);
    mailboxes.extend(new.map(|row| of_row(row.name.clone(), Both::default(), None, Some(row))));
    mailboxes.sort_by(|one, other| one.name.cmp(&other.name));
    let last_run = state.last_run()?.map(|run| (run.finished, run.result));
    Ok(Status { last_run, mailboxes })
}

fn of_row(
    name: crate::mail::MailboxName,
    skipped: Both<u64>,
    remembered: Option<&crate::plan::Remembered>,
    row: Option<&engine::mailbox::Row>,
) -> MailboxRow {
    let compare = |side: Side, row: &engine::mailbox::Row| {
        let listed = row.listed[side].as_ref().filter(|listed| listed.kind == MailboxKind::Mailbox);
        let remembered = remembered.filter(|remembered| remembered.checkpoints[side].is_some());
        match (listed.map(|listed| listed.status), remembered) {
            (None, _) => Comparison::Missing,
            (Some(None), Some(_)) => Comparison::Unknown,
            (Some(_), None) => Comparison::Changed,
            (Some(Some(status)), Some(remembered)) if remembered.is_unchanged(side, &status) => Comparison::Unchanged,
            (Some(Some(status)), Some(_)) if status.highest_modseq.is_none() => Comparison::Unknown,
            (Some(Some(_)), Some(_)) => Comparison::Changed,
        }
    };
    MailboxRow {
        name,
        pairs: remembered.map_or(0, |remembered| remembered.pairs),
        pending: remembered.map_or(0, |remembered| remembered.intents + remembered.lifted),
        skipped,
        last_success: remembered.and_then(|remembered| remembered.last_success),
        now: row.map(|row| Both::from_fn(|side| compare(side, row))),
    }
}

/// Which mailboxes of a side take part, each with the state that it is listed in, and which would be left out though they
/// are chosen.
fn taking_part(
    side: Side,
    listing: &crate::mail::Listing,
    policy: &Policy,
    other: Option<&dyn Store>,
) -> (Mailboxes, Vec<store::Wanted>) {
    let mut wanted = Vec::new();
    let mut found = Mailboxes::default();
    for unnamable in &listing.unnamable {
        found.skipped.push((unnamable.name.clone(), unnamable.reason.clone()));
    }
    for (name, listed) in &listing.mailboxes {
        if listed.kind != MailboxKind::Mailbox {
            continue;
        }
        found.all += 1;
        let (local, across) = match (policy.names.local(side, name), policy.names.across(side, name)) {
            (Ok(local), Ok(across)) => (local, across),
            (Err(why), _) | (_, Err(why)) => {
                found.skipped.push((name.to_string(), why.to_string()));
                continue;
            }
        };
        if !policy.selection.names(&local) {
            continue;
        }
        if !policy.selection.takes(&local, Both { local: Some(listed), remote: None }) {
            let why = "it only shows messages of other mailboxes; to copy them twice, name it in \"mailboxes\"";
            found.skipped.push((name.to_string(), why.to_owned()));
            continue;
        }
        match other.and_then(|other| other.refuses_name(&across)) {
            Some(why) => found.skipped.push((name.to_string(), format!("the {} side refuses it: {why}", side.other()))),
            None => {
                found.taking_part += 1;
                if let Some(status) = listed.status {
                    wanted.push(store::Wanted { name: name.clone(), since: Some(status.into()) });
                }
            }
        }
    }
    (found, wanted)
}

/// Which of these mailboxes keep no mod-sequences although the method builds on them. They are opened to find out: only
/// SELECT says NOMODSEQ (RFC 7162 §3.1.2.2), while STATUS may tell a number all the same (Dovecot 2.3, 2026). As nothing
/// has changed since a moment ago, the others have next to nothing to say.
async fn without_mod_sequences(store: &mut dyn Store, wanted: &[store::Wanted]) -> Result<Vec<String>, Error> {
    if wanted.is_empty() || !store.profile().method.needs_mod_sequences() {
        return Ok(Vec::new());
    }
    let seen = store.observe(wanted).await?;
    // The server may have shown only now that the method does not work with it.
    if !store.profile().method.needs_mod_sequences() {
        return Ok(Vec::new());
    }
    // What cannot be opened is named by the run that has to.
    let keeps_none = |seen: &Result<Observation, Error>| {
        seen.as_ref().is_ok_and(|observation| observation.status.highest_modseq.is_none())
    };
    let names = wanted.iter().zip(&seen).filter(|(_, seen)| keeps_none(seen));
    Ok(names.map(|(wanted, _)| wanted.name.to_string()).collect())
}

/// Adds what was done for one wish to what was done for those before it.
fn add(all: &mut Report, report: Report) {
    all.duration += report.duration;
    all.mailboxes += report.mailboxes;
    all.mailboxes_changed += report.mailboxes_changed;
    for side in Side::BOTH {
        let (sum, more) = (&mut all.sides[side], &report.sides[side]);
        sum.created += more.created;
        sum.deleted += more.deleted;
        sum.renamed += more.renamed;
        sum.subscriptions += more.subscriptions;
        sum.method = more.method;
    }
    all.guarded.extend(report.guarded);
    all.troubles.extend(report.troubles);
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn of_finding(finding: &Finding) -> Notice {
    let weight = match finding.severity {
        Severity::Error => Weight::Error,
        Severity::Warning => Weight::Warning,
    };
    // The help belongs to the line that is shown, and stands with it.
    Notice { weight, text: finding.to_string(), help: None }
}

fn of_config_error(error: &ConfigError) -> Vec<Notice> {
    const EXAMPLE: &str = "interimap.toml(5) describes it; without one: \
                           interimap sync --remote imaps://USER@HOST --local maildir:PATH";
    let display = |path: &PathBuf| path.display().to_string();
    match error {
        ConfigError::Missing(path) => {
            vec![error_notice(format!("there is no configuration: {}", display(path)), Some(EXAMPLE.to_owned()))]
        }
        ConfigError::Unreadable(path, why) => {
            vec![error_notice(format!("the configuration {} cannot be read: {why}", display(path)), None)]
        }
        ConfigError::Homeless(why) => vec![error_notice(why.clone(), Some("set $HOME, or name --config".to_owned()))],
        ConfigError::Wrong(findings) => findings.iter().map(of_finding).collect(),
    }
}

fn error_notice(text: String, help: Option<String>) -> Notice {
    Notice { weight: Weight::Error, text, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_lies_beside_the_database_under_a_name_that_stays() {
        for (database, side, index) in [
            ("/x/home.db", Side::Local, "/x/home.db.local-index"),
            ("/x/home.db", Side::Remote, "/x/home.db.remote-index"),
            ("/x/a.b/mail", Side::Local, "/x/a.b/mail.local-index"),
        ] {
            assert_eq!(index_path(Path::new(database), side), Path::new(index), "{database} {side}");
        }
    }
}
