//! A private Courier, unpacked but not installed, in namespaces of its own, for its paths are compiled in. Root gets the
//! whole server; other users one that has logged the user in before it greets, for only root can become other users.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::dovecot::{PASSWORD, USER};
use super::host::{MailAccount, free_port, short_directory, unpacked};
use super::imap::Client;
use super::keeper::Keeper;

/// What it announces besides what it always does; the name of the server goes with it.
const CAPABILITIES: &str =
    "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE";

/// The password, as `userdbpw` would write it.
const CRYPTED: &str = "$1$interima$kgcXtBSKjGAlj0.wH2qSH1";

/// What becomes of a message that is expunged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expunged {
    /// It is gone.
    Gone,
    /// It goes to `INBOX.Trash`, unless it was there.
    InTrash,
}

/// Lays the tree over the system's, in namespaces that nobody else sees, and starts the server.
const SCRIPT: &str = r#"
    set -e
    tree=$1
    bed=$2
    port=$3
    mount -t overlay -o "lowerdir=$tree/usr:/usr" overlay /usr
    mount -t overlay -o "lowerdir=$tree/etc:/etc" overlay /etc
    mount --bind "$bed/courier" /etc/courier
    mount -t tmpfs tmpfs /run
    # Its watcher of directories closes all files that it might have open, one by one.
    ulimit -n 256
    listen="couriertcpd -address=127.0.0.1 -maxprocs=500 -maxperip=500 -nodnslookup -noidentlookup $port"
    cd "$bed/home"
    [ -d Maildir ] || maildirmake.courier Maildir
    if [ "$4" = "whole" ]; then
        chown -R "$5" "$bed/home"
        mkdir -p /run/courier/authdaemon
        makeuserdb
        (set -a; . /etc/courier/authdaemonrc; exec /usr/lib/courier/courier-authlib/authdaemond) &
        until [ -S /run/courier/authdaemon/socket ]; do sleep 0.01; done
        exec $listen /usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir
    fi
    exec $listen /usr/bin/imapd Maildir
"#;

/// A running server.
pub(crate) struct Courier {
    /// None while the server is stopped. It goes before the directory does.
    keeper: Option<Keeper>,
    directory: TempDir,
    expunged: Expunged,
    port: u16,
}

impl Courier {
    /// Starts a server and waits until it greets.
    pub(crate) fn start(expunged: Expunged) -> Courier {
        let directory = short_directory();
        let mut courier = Courier { keeper: None, directory, expunged, port: 0 };
        for name in ["courier", "home", "log"] {
            fs::create_dir(courier.path(name)).unwrap();
        }
        courier.write_configuration();
        courier.start_again();
        courier
    }

    /// Starts a stopped server over the same mail. The port may be another one.
    pub(crate) fn start_again(&mut self) {
        assert!(self.keeper.is_none(), "the server runs already");
        for _ in 0..10 {
            self.port = free_port();
            let keeper = Keeper::start(&self.daemon(), &self.path("log/stderr"));
            if self.answers(&keeper) {
                self.keeper = Some(keeper);
                return;
            }
        }
        panic!("courier did not start:\n{}", self.log());
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
        assert_eq!(user, USER, "this server knows nobody else");
        let mut client = Client::connect(self.port, "INBOX.");
        client.login(user, PASSWORD);
        client.heed_capabilities();
        client
    }

    /// What the server complained about.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log/stderr")).unwrap_or_default();
        log.lines().filter(|line| !line.starts_with("INFO: ")).map(|line| format!("{line}\n")).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Whether it is this very server that answers on the port: it announces its name among its capabilities.
    fn answers(&self, keeper: &Keeper) -> bool {
        let Some(mut stream) = keeper.connection(self.port) else { return false };
        let _ = stream.write_all(b"a CAPABILITY\r\nb LOGOUT\r\n");
        BufReader::new(stream).lines().map_while(Result::ok).any(|line| line.contains(&self.name()))
    }

    /// Names this server among all that may run on the machine.
    fn name(&self) -> String {
        let name = self.directory.path().file_name().expect("a directory in another").to_string_lossy().into_owned();
        format!("X-COURIER-{}", name.to_uppercase())
    }

    fn daemon(&self) -> Command {
        let mut command = Command::new("unshare");
        // Whoever is first in a namespace of processes takes all others along when it ends.
        command.args(["--mount", "--pid", "--fork", "--kill-child"]);
        let account = MailAccount::ours();
        let form = if account.is_other {
            "whole"
        } else {
            command.arg("--map-root-user").env("AUTHENTICATED", USER);
            "preauthenticated"
        };
        command
            .args(["sh", "-c", SCRIPT, "courier"])
            .arg(unpacked("courier"))
            .arg(self.directory.path())
            .args([&self.port.to_string(), form, &format!("{}:{}", account.uid, account.gid)])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("IMAP_CAPABILITY", format!("{CAPABILITIES} {}", self.name()))
            // Each server watches its own directories.
            .env("GAM_CLIENT_ID", self.name());
        for (name, value) in [
            ("AUTHMODULES", "authdaemon"),
            ("IMAP_KEYWORDS", "1"),
            ("IMAP_ACL", "0"),
            ("IMAP_USELOCKS", "1"),
            ("IMAP_CHECK_ALL_FOLDERS", "1"),
            ("IMAP_ENHANCEDIDLE", "0"),
            ("IMAP_IDLE_TIMEOUT", "1"),
            ("IMAP_EMPTYTRASH", ""),
            ("IMAP_TRASHFOLDERNAME", "Trash"),
            ("IMAP_MOVE_EXPUNGE_TO_TRASH", if self.expunged == Expunged::InTrash { "1" } else { "0" }),
        ] {
            command.env(name, value);
        }
        command
    }

    fn write_configuration(&self) {
        let account = MailAccount::ours();
        let home = self.path("home").display().to_string();
        let user = format!(
            "{USER}\tuid={}|gid={}|home={home}|mail={home}/Maildir|imappw={CRYPTED}\n",
            account.uid, account.gid
        );
        let daemon = "authmodulelist=\"authuserdb\"\nauthmodulelistorig=\"authuserdb\"\ndaemons=1\n\
                      authdaemonvar=/run/courier/authdaemon\nDEBUG_LOGIN=0\nDEFAULTOPTIONS=\"\"\nLOGGEROPTS=\"\"\n";
        fs::write(self.path("courier/userdb"), user).unwrap();
        fs::write(self.path("courier/authdaemonrc"), daemon).unwrap();
        fs::set_permissions(self.path("courier/userdb"), Permissions::from_mode(0o600)).unwrap();
    }
}
