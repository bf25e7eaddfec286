//! Two servers, a proxy before each, a configuration for them, and runs of the real binary over it all. A tree of
//! Maildirs may stand for a server; nothing passes the proxy before it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use interimap::mail::{Both, Side};
use rustix::process::geteuid;
use tempfile::TempDir;

use super::dovecot::{Dovecot, Options, PASSWORD, USER};
use super::host::MailAccount;
use super::imap::Client;
use super::kind::{Kind, Server};
use super::mail::Made;
use super::maildir::Tree;
use super::manners::offence;
use super::proxy::Proxy;
use super::snapshot::Snapshot;
use super::user::User;

/// No run of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the program reaches a server.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    /// Through the proxy, in the clear.
    Proxy,
    /// Through an IMAP session on the standard input and output of a command, past daemon and proxy.
    Tunnel,
    /// As these lines of the configuration say.
    Lines(String),
}

/// Two servers and what is needed to keep them in line.
pub(crate) struct Bed {
    /// The servers.
    pub(crate) servers: Both<Server>,
    /// The proxy before each.
    pub(crate) proxies: Both<Proxy>,
    /// How each server is reached.
    pub(crate) links: Both<Link>,
    /// Lines of the account's own table in the configuration.
    pub(crate) settings: String,
    /// The user on both servers.
    pub(crate) user: &'static str,
    /// The command line that starts the program.
    pub(crate) program: Vec<OsString>,
    /// The directory that the program keeps its state in.
    pub(crate) state: PathBuf,
    /// What each server announces, once that was asked.
    announced: Both<OnceLock<BTreeSet<String>>>,
    directory: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit status, or minus the number of the signal that ended it.
    pub(crate) status: i32,
    /// The report of the account; null where there is none.
    pub(crate) report: serde_json::Value,
    /// All of standard output.
    pub(crate) stdout: String,
    /// All of standard error.
    pub(crate) stderr: String,
}

/// A run that has not ended.
pub(crate) struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

/// A bed whose sides hold these messages in INBOX and are in line.
pub(crate) fn in_line(tokens: &[&str]) -> Bed {
    let bed = Bed::new();
    for token in tokens {
        bed.put(Side::Local, "INBOX", token);
    }
    bed.sync_well();
    bed
}

impl Bed {
    /// Two servers with nothing special about them, each reached through its proxy.
    pub(crate) fn new() -> Bed {
        Bed::with(Both::from_fn(|_| Options::default()))
    }

    /// Two servers with those options, each reached through its proxy.
    pub(crate) fn with(options: Both<Options>) -> Bed {
        Bed::before(options.map(|options| Server::Dovecot(Box::new(Dovecot::start(options)))))
    }

    /// Two servers of those kinds, each reached through its proxy.
    pub(crate) fn between(kinds: Both<Kind>) -> Bed {
        Bed::before(kinds.map(Kind::start))
    }

    fn before(servers: Both<Server>) -> Bed {
        let proxies = servers.as_ref().map(|server| Proxy::start(server.port()));
        let directory = tempfile::tempdir().unwrap();
        let links = servers.as_ref().map(|server| match server.tree() {
            Some(tree) => Link::Lines(tree.lines()),
            None => Link::Proxy,
        });
        let announced = Both::from_fn(|_| OnceLock::new());
        let (settings, program) = (String::new(), vec![env!("CARGO_BIN_EXE_interimap").into()]);
        let state = directory.path().to_owned();
        let bed = Bed { servers, proxies, links, settings, user: USER, program, state, announced, directory };
        // The user's home is made when somebody first asks for it, and the program may be the first.
        for side in Side::BOTH {
            drop(bed.editor(side));
        }
        bed
    }

    /// Somebody who edits on a side.
    pub(crate) fn editor(&self, side: Side) -> User {
        self.servers[side].editor_of(self.user)
    }

    /// The tree of a side that is one.
    pub(crate) fn tree(&self, side: Side) -> &Tree {
        self.servers[side].tree().unwrap_or_else(|| panic!("{side} is no tree of Maildirs"))
    }

    /// A snapshot of the side that tells most.
    pub(crate) fn fullest_snapshot(&self) -> Snapshot {
        let tells_all = |side: &Side| self.servers[*side].tree().is_none();
        self.snapshot(Side::BOTH.into_iter().find(tells_all).unwrap_or(Side::Local))
    }

    /// A witness on a side.
    pub(crate) fn on(&self, side: Side) -> Client {
        self.servers[side].witness_of(self.user)
    }

    /// All that a side holds.
    pub(crate) fn snapshot(&self, side: Side) -> Snapshot {
        self.servers[side].snapshot_of(self.user)
    }

    /// Appends a short message with that token.
    pub(crate) fn put(&self, side: Side, mailbox: &str, token: &str) {
        self.put_flagged(side, mailbox, token, "");
    }

    /// The same with flags.
    pub(crate) fn put_flagged(&self, side: Side, mailbox: &str, token: &str, flags: &str) {
        self.editor(side).append(mailbox, &[Made::simple(token)], &flags.split_whitespace().collect());
    }

    /// Runs a command on the only message with that token, its UID put for `{}`.
    pub(crate) fn with_message(&self, side: Side, mailbox: &str, token: &str, command: &str) {
        let mut client = self.on(side);
        client.select(mailbox);
        let uid = client.find(token);
        client.run(&command.replace("{}", &uid.to_string()));
    }

    /// Changes the flags of a message: `+FLAGS (\\Seen)`.
    pub(crate) fn store(&self, side: Side, mailbox: &str, token: &str, change: &str) {
        self.with_message(side, mailbox, token, &format!("UID STORE {{}} {change}"));
    }

    /// Expunges a message.
    pub(crate) fn expunge(&self, side: Side, mailbox: &str, token: &str) {
        self.editor(side).expunge(mailbox, token);
    }

    /// Moves a message to another mailbox.
    pub(crate) fn relocate(&self, side: Side, from: &str, token: &str, to: &str) {
        self.editor(side).relocate(from, token, to);
    }

    /// Runs a command about mailboxes, such as `CREATE {}`.
    pub(crate) fn about(&self, side: Side, command: &str, mailboxes: &[&str]) {
        self.on(side).about(command, mailboxes);
    }

    /// Gives a server other options; its mail stays.
    pub(crate) fn restart(&mut self, side: Side, options: Options) {
        self.servers[side].restart(options);
        self.announced[side] = OnceLock::new();
        self.proxies[side].point_at(self.servers[side].port());
    }

    /// The database of the account.
    pub(crate) fn database(&self) -> PathBuf {
        self.state.join("state.db")
    }

    /// The files of the index of a tree of Maildirs. There must be some: a run makes them.
    pub(crate) fn index(&self, side: Side) -> Vec<PathBuf> {
        let name = format!("state.db.{side}-index");
        let mut files: Vec<_> = fs::read_dir(&self.state).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(&name));
        assert!(!files.is_empty(), "there is no {name}");
        files
    }

    /// Removes the index of a tree of Maildirs.
    pub(crate) fn lose_index(&self, side: Side) {
        self.index(side).into_iter().for_each(|file| fs::remove_file(file).unwrap());
    }

    /// Keeps a copy of the index of a tree of Maildirs in a directory that is empty.
    pub(crate) fn keep_index(&self, side: Side, directory: &Path) {
        for file in self.index(side) {
            fs::copy(&file, directory.join(file.file_name().unwrap())).unwrap();
        }
    }

    /// Puts the index of a tree of Maildirs back as it was when it was kept.
    pub(crate) fn put_index_back(&self, side: Side, directory: &Path) {
        self.lose_index(side);
        for entry in fs::read_dir(directory).unwrap() {
            let kept = entry.unwrap();
            fs::copy(kept.path(), self.state.join(kept.file_name())).unwrap();
        }
    }

    /// Forgets all that the program remembers.
    pub(crate) fn lose_state(&self) {
        for entry in fs::read_dir(&self.state).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("state.db") {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Runs `sync` and waits for its end, whatever it is. The proxies count this run alone.
    pub(crate) fn sync(&self) -> Run {
        self.run(&["sync"])
    }

    /// Runs `sync`, which must say that both sides are in line, and checks that they are.
    pub(crate) fn sync_well(&self) -> Run {
        let run = self.sync();
        self.check(run.status == 0 && run.report["result"] == "in-sync", "the run must end well", &run);
        self.check_equal(&run);
        run
    }

    /// Runs `sync` well, and once more to see that it then has nothing to do and does nothing.
    pub(crate) fn settle(&self) -> Run {
        let run = self.sync_well();
        self.check_quiet();
        run
    }

    /// Runs `sync`, which must find nothing to do and do nothing, over sides that hold the same.
    pub(crate) fn check_quiet(&self) {
        let run = self.check_idle();
        self.check_equal(&run);
    }

    /// Runs `sync`, which must find nothing to do and do nothing.
    pub(crate) fn check_idle(&self) -> Run {
        let stamps = self.servers.as_ref().map(|server| server.tree().map(Tree::stamps));
        let run = self.sync();
        self.check(run.status == 0 && run.report["result"] == "in-sync", "a second run must end well", &run);
        self.check(run.report["mailboxes_changed"] == 0, "a second run must change no mailbox", &run);
        for side in Side::BOTH {
            let writes = self.proxies[side].writes();
            self.check(writes.is_empty(), &format!("a second run writes to {side}: {writes:?}"), &run);
            if let Some(before) = &stamps[side] {
                let difference = before.difference(&self.tree(side).stamps());
                self.check(
                    difference.is_empty(),
                    &format!("a second run touches files on {side}:\n{difference}"),
                    &run,
                );
            }
        }
        run
    }

    /// Checks that both sides hold the same, and that what is nobody's mail is as it was.
    pub(crate) fn check_equal(&self, run: &Run) {
        for tree in Side::BOTH.into_iter().filter_map(|side| self.servers[side].tree()) {
            let harm = tree.harm();
            self.check(harm.is_empty(), &format!("foreign files were harmed:\n{harm}"), run);
        }
        let snapshots = Both::from_fn(|side| self.snapshot(side));
        let difference = snapshots.local.difference(&snapshots.remote, ["local", "remote"]);
        self.check(difference.is_empty(), &format!("the sides differ:\n{difference}"), run);
    }

    /// Fails the test, with all that is known of the run, unless that holds.
    pub(crate) fn check(&self, holds: bool, what: &str, run: &Run) {
        if !holds {
            panic!("{what}\n{}", self.explain(run));
        }
    }

    /// All that is known of a run.
    pub(crate) fn explain(&self, run: &Run) -> String {
        let Run { status, stdout, stderr, .. } = run;
        let mut text = format!("--- status {status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n");
        for side in Side::BOTH {
            let _ = writeln!(text, "--- {side}, on the wire\n{}", self.proxies[side].transcript());
            let _ = writeln!(text, "--- {side}, the server's log\n{}", self.servers[side].log());
        }
        text
    }

    /// Runs the program with `--json` and those arguments, and waits for its end. The proxies count this run alone.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        for side in Side::BOTH {
            self.proxies[side].forget();
        }
        let run = self.start(arguments).finish();
        for side in Side::BOTH {
            self.proxies[side].settle();
            self.check_manners(side, &run);
        }
        run
    }

    /// The most memory that a run of `sync` had at any time, in KiB. The run must end well.
    pub(crate) fn peak_of_a_run(&self) -> u64 {
        for side in Side::BOTH {
            self.proxies[side].forget();
        }
        let mut running = self.start(&["sync"]);
        let status = format!("/proc/{}/status", running.child.id());
        let mut peak = 0;
        while running.runs() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let now = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
            peak = peak.max(now.unwrap_or(0));
            sleep(Duration::from_millis(1));
        }
        let run = running.finish();
        self.check(run.status == 0, "the run must end well", &run);
        for side in Side::BOTH {
            self.proxies[side].settle();
        }
        peak
    }

    /// Takes from the program the right of root to do what the permissions of files forbid. Others have no such right.
    pub(crate) fn bind_by_permissions(&mut self) {
        if geteuid().is_root() {
            let without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"].map(OsString::from);
            self.program.splice(0..0, without);
        }
    }

    /// Lets the program run as the account that mail belongs to, and gives that what the program needs.
    pub(crate) fn run_as_the_mail_account(&mut self) {
        let account = MailAccount::ours();
        if !account.is_other {
            return;
        }
        // Where the program was built, that account may not go.
        let program = self.directory.path().join("interimap");
        fs::copy(&self.program[0], &program).unwrap();
        fs::write(self.directory.path().join("interimap.toml"), "").unwrap();
        for path in [self.directory.path().to_owned(), self.directory.path().join("interimap.toml"), program.clone()] {
            account.give(&path);
        }
        let (uid, gid) = (format!("--reuid={}", account.uid), format!("--regid={}", account.gid));
        self.program = ["setpriv", &uid, &gid, "--clear-groups", "--"].map(OsString::from).into();
        self.program.push(program.into());
    }

    /// Replaces all mail of a side by what `directory` holds, or puts a copy of it there if there is no such directory.
    /// The server is down meanwhile.
    pub(crate) fn back_up(&mut self, side: Side, directory: &Path) {
        let (stored, kept) = (self.servers[side].home(self.user), directory);
        self.servers[side].stop();
        let copy = |from: &Path, to: &Path| {
            let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
            assert!(copied.success(), "{} was not copied", from.display());
        };
        match kept.exists() {
            false => copy(&stored, kept),
            true => {
                fs::remove_dir_all(&stored).unwrap();
                copy(kept, &stored);
            }
        }
        self.servers[side].start_again();
        self.proxies[side].point_at(self.servers[side].port());
    }

    /// Checks what no run may ever do, whatever else the test is about.
    fn check_manners(&self, side: Side, run: &Run) {
        let commands = self.proxies[side].commands();
        if commands.is_empty() {
            return;
        }
        let announced = self.announced[side].get_or_init(|| self.servers[side].announced(self.user));
        for command in commands {
            if let Some(offence) = offence(&command, announced) {
                self.check(false, &format!("to {side}, {command} {offence}"), run);
            }
        }
    }

    /// Starts the program with `--json` and those arguments.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let configuration = self.directory.path().join("interimap.toml");
        fs::write(&configuration, self.configuration()).unwrap();
        // It holds a password, so it must be nobody else's business.
        fs::set_permissions(&configuration, Permissions::from_mode(0o600)).unwrap();
        let mut child = Command::new(&self.program[0])
            .args(&self.program[1..])
            .args(arguments)
            .arg("--config")
            .arg(&configuration)
            .arg("--json")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory.path())
            .env("RUST_BACKTRACE", "1")
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Running { child, stdout: collect(stdout), stderr: collect(stderr) }
    }

    /// The configuration.
    pub(crate) fn configuration(&self) -> String {
        let mut text = format!("[account.test]\ndatabase = \"{}\"\n{}\n", self.database().display(), self.settings);
        for side in Side::BOTH {
            let _ = write!(text, "\n[account.test.{side}]\n{}\n", self.lines(side));
        }
        text
    }

    /// The lines of the configuration about a side.
    pub(crate) fn lines(&self, side: Side) -> String {
        let user = self.user;
        match &self.links[side] {
            Link::Proxy => format!(
                "type = \"imap\"\nhost = \"127.0.0.1\"\nport = {}\nusername = \"{user}\"\npassword = \"{PASSWORD}\"\n\
                 starttls = false",
                self.proxies[side].port()
            ),
            Link::Tunnel => format!("type = \"tunnel\"\ncommand = \"{}\"", self.servers[side].tunnel(user)),
            Link::Lines(lines) => lines.clone(),
        }
    }
}

impl Running {
    /// Ends the program as a power cut would.
    pub(crate) fn kill(mut self) -> Run {
        // It may have ended by itself meanwhile.
        let _ = self.child.kill();
        self.finish()
    }

    /// Asks the program to end.
    pub(crate) fn interrupt(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    }

    /// Whether the program still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end of the program.
    pub(crate) fn finish(mut self) -> Run {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + PATIENCE;
        let mut in_time = true;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline && in_time => {
                    in_time = false;
                    let _ = self.child.kill();
                }
                None => sleep(Duration::from_millis(2)),
            }
        };
        let (stdout, stderr) = (self.stdout.join().unwrap(), self.stderr.join().unwrap());
        assert!(in_time, "the run took more than {PATIENCE:?}\n{stdout}\n{stderr}");
        let report = stdout.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let status = status.code().unwrap_or_else(|| -status.signal().expect("it ended by a signal"));
        Run { status, report, stdout, stderr }
    }
}

impl Run {
    /// A number of the report about a side, such as `copied`.
    pub(crate) fn number(&self, side: Side, what: &str) -> u64 {
        let number = &self.report[side.as_str()][what];
        number.as_u64().unwrap_or_else(|| panic!("the report has no {side}.{what}:\n{}\n{}", self.stdout, self.stderr))
    }

    /// A number of the report about both sides.
    pub(crate) fn numbers(&self, what: &str) -> [u64; 2] {
        Side::BOTH.map(|side| self.number(side, what))
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = stream.read_to_end(&mut octets);
        String::from_utf8_lossy(&octets).into_owned()
    })
}
