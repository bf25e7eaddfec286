//! A private Cyrus, unpacked but not installed: its own directory, its own port, started and ended by its test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::dovecot::{PASSWORD, USER};
use super::host::{MailAccount, free_port, short_directory, unpacked};
use super::imap::Client;
use super::keeper::Keeper;

/// How mailboxes are named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `/` between levels and nothing before names.
    Slashes,
    /// `.` between levels and `INBOX.` before names.
    Dots,
}

/// What is made of a new message that is not as it should be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rigour {
    /// It is kept as it is.
    None,
    /// Octets above 127 in its header become `X`, and the eleventh one of identical messages is refused.
    Usual,
}

/// Binds the tree to a place that the mail user can see, wherever the checkout lies, and becomes the command.
const BOUND: &str = r#"mount --bind "$1" "$2" && shift 2 && exec "$@""#;

/// A running server.
pub(crate) struct Cyrus {
    /// None while the server is stopped. It goes before the directory does.
    keeper: Option<Keeper>,
    directory: TempDir,
    naming: Naming,
    rigour: Rigour,
    port: u16,
}

impl Cyrus {
    /// Starts a server and waits until it greets.
    pub(crate) fn start(naming: Naming, rigour: Rigour) -> Cyrus {
        let directory = short_directory();
        let mut cyrus = Cyrus { keeper: None, directory, naming, rigour, port: 0 };
        let account = MailAccount::ours();
        account.give(cyrus.directory.path());
        for name in ["conf", "conf/socket", "conf/db", "conf/proc", "conf/lock", "conf/log", "spool", "log", "root"] {
            fs::create_dir(cyrus.path(name)).unwrap();
            account.give(&cyrus.path(name));
        }
        cyrus.make_user(USER);
        account.give(&cyrus.path("sasldb2"));
        cyrus.start_again();
        // Here INBOX is subscribed from the first login on; elsewhere it is not.
        cyrus.witness_of(USER).about("UNSUBSCRIBE {}", &["INBOX"]);
        cyrus
    }

    /// Starts a stopped server over the same mail. The port may be another one.
    pub(crate) fn start_again(&mut self) {
        assert!(self.keeper.is_none(), "the server runs already");
        for _ in 0..10 {
            self.port = free_port();
            self.write_configuration();
            let keeper = Keeper::start(&self.daemon(), &self.path("log/stderr"));
            if self.greets(&keeper) {
                self.keeper = Some(keeper);
                return;
            }
        }
        panic!("cyrus did not start:\n{}", self.log());
    }

    /// Ends the server; the mail stays.
    pub(crate) fn stop(&mut self) {
        self.keeper = None;
    }

    /// The port for plain IMAP.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A witness that has logged in as `user`.
    pub(crate) fn witness_of(&self, user: &str) -> Client {
        if user != USER {
            self.make_user(user);
        }
        let prefix = if self.naming == Naming::Dots { "INBOX." } else { "" };
        let mut client = Client::connect(self.port, prefix);
        client.login(user, PASSWORD);
        client.heed_capabilities();
        client
    }

    /// What the server complained about.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log/stderr")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Whether it is this very server that answers on the port: its greeting says its name.
    fn greets(&self, keeper: &Keeper) -> bool {
        let Some(stream) = keeper.connection(self.port) else { return false };
        let mut greeting = String::new();
        let _ = BufReader::new(stream).read_line(&mut greeting);
        greeting.contains(&self.name())
    }

    /// Names this server among all that may run on the machine. Accounts belong to it, in small letters.
    fn name(&self) -> String {
        self.directory.path().file_name().expect("a directory in another").to_string_lossy().to_lowercase()
    }

    fn make_user(&self, user: &str) {
        let tree = unpacked("cyrus");
        let mut child = Command::new(tree.join("usr/sbin/saslpasswd2"))
            .args(["-p", "-c", "-u", &self.name(), user, "-f"])
            .arg(self.path("sasldb2"))
            .envs(environment(&tree))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "saslpasswd2 did not make {user}");
    }

    /// Where the daemon finds its programs and libraries.
    fn tree(&self) -> PathBuf {
        if MailAccount::ours().is_other { self.path("root") } else { unpacked("cyrus") }
    }

    fn daemon(&self) -> Command {
        let tree = self.tree();
        let mut command;
        if MailAccount::ours().is_other {
            command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", BOUND, "bound"]).arg(unpacked("cyrus")).arg(&tree).arg("env");
        } else {
            command = Command::new("env");
        }
        for (name, value) in environment(&tree) {
            command.arg(format!("{name}={value}"));
        }
        command.arg(tree.join("usr/lib/cyrus/bin/master")).arg("-D");
        for (option, file) in [("-C", "imapd.conf"), ("-M", "cyrus.conf"), ("-p", "conf/master.pid")] {
            command.arg(option).arg(self.path(file));
        }
        command
    }

    fn write_configuration(&self) {
        let account = MailAccount::ours();
        let root = self.directory.path().display();
        let programs = self.tree().join("usr/lib/cyrus/bin").display().to_string();
        let [slashes, alternative] = if self.naming == Naming::Dots { ["no", "no"] } else { ["yes", "yes"] };
        let is_rigorous = if self.rigour == Rigour::Usual { "yes" } else { "no" };
        let settings = format!(
            "configdirectory: {root}/conf
defaultpartition: default
partition-default: {root}/spool
cyrus_user: {user}
cyrus_group: {group}
servername: {name}
allowplaintext: yes
sasl_mech_list: PLAIN LOGIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {root}/sasldb2
sasl_auto_transition: no
virtdomains: off
unixhierarchysep: {slashes}
altnamespace: {alternative}
autocreate_quota: 0
autocreate_users: anyone
autocreate_post: no
delete_mode: immediate
expunge_mode: immediate
munge8bit: {is_rigorous}
conversations: {is_rigorous}
",
            user = account.name,
            group = account.group,
            name = self.name(),
        );
        let services = format!(
            "START {{
  recover cmd=\"{programs}/ctl_cyrusdb -C {root}/imapd.conf -r\"
}}
SERVICES {{
  imap cmd=\"{programs}/imapd -C {root}/imapd.conf\" listen=\"127.0.0.1:{port}\" proto=\"tcp4\" prefork=1
}}
EVENTS {{
}}
",
            port = self.port,
        );
        fs::write(self.path("imapd.conf"), settings).unwrap();
        fs::write(self.path("cyrus.conf"), services).unwrap();
    }
}

/// What a program from the tree needs to find the rest of it.
fn environment(tree: &Path) -> [(&'static str, String); 3] {
    // The directory of the machine's architecture, whatever that is.
    let libraries = fs::read_dir(unpacked("cyrus").join("usr/lib")).unwrap();
    let mut names = libraries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let name = names.find(|name| name.contains("-linux-")).expect("the tree has libraries");
    let libraries = tree.join("usr/lib").join(name).display().to_string();
    [
        ("SASL_PATH", format!("{libraries}/sasl2")),
        // What a test stores need not survive the machine, so nobody waits for the disk.
        ("LD_PRELOAD", format!("{libraries}/libeatmydata.so")),
        ("LD_LIBRARY_PATH", libraries),
    ]
}
