//! A private Dovecot: its own directory, its own port on 127.0.0.1, started and ended by the test that needs it.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::certificate::Certificate;
use super::host::{MailAccount, find, free_port, short_directory};
use super::imap::Client;
use super::keeper::Keeper;

/// The password of every user.
pub(crate) const PASSWORD: &str = "secret";

/// The user that a test works with when it does not say which.
pub(crate) const USER: &str = "alice";

/// How a server is set up.
#[derive(Clone)]
pub(crate) struct Options {
    /// The hierarchy separator.
    pub(crate) separator: char,
    /// What stands before every name but INBOX, such as `INBOX.`.
    pub(crate) prefix: &'static str,
    /// How mail is stored.
    pub(crate) format: Format,
    /// With one, the server offers STARTTLS on its port and TLS on a second one.
    pub(crate) certificate: Option<Certificate>,
    /// Capabilities that are not announced. Dovecot still understands what belongs to them.
    pub(crate) unannounced: &'static [&'static str],
    /// Plugins for mail access, and more for IMAP: `("quota", "quota imap_quota")`.
    pub(crate) plugins: Option<(&'static str, &'static str)>,
    /// Settings at the end of the configuration.
    pub(crate) extra: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            separator: '/',
            prefix: "",
            format: Format::Mdbox,
            certificate: None,
            unannounced: &[],
            plugins: None,
            extra: String::new(),
        }
    }
}

impl Options {
    /// Of a server that announces nothing but IMAP4rev1.
    pub(crate) fn bare() -> Options {
        Options { extra: "imap_capability = IMAP4rev1\n".to_owned(), ..Options::default() }
    }
}

/// How mail is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Many messages a file: fast.
    Mdbox,
    /// Maildir++, one file a message.
    Maildir,
}

impl Format {
    fn location(self) -> &'static str {
        match self {
            Format::Mdbox => "mdbox:~/mdbox",
            Format::Maildir => "maildir:~/Maildir",
        }
    }
}

/// Everything that a Dovecot 2.3 announces after the login.
const CAPABILITIES: &str = "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY \
    THREAD=REFERENCES THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE \
    UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS \
    BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE";

/// A running server.
pub(crate) struct Dovecot {
    /// None while the server is stopped. It goes before the directory does.
    keeper: Option<Keeper>,
    directory: TempDir,
    options: Options,
    port: u16,
    tls_port: u16,
}

impl Dovecot {
    /// Starts a server and waits until it greets.
    pub(crate) fn start(options: Options) -> Dovecot {
        let directory = short_directory();
        for name in ["run", "state", "etc", "log", "home"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let mut dovecot = Dovecot { directory, options, keeper: None, port: 0, tls_port: 0 };
        dovecot.start_again();
        dovecot
    }

    /// Starts a stopped server over the same mail. The port may be another one.
    pub(crate) fn start_again(&mut self) {
        assert!(self.keeper.is_none(), "the server runs already");
        let daemon = find("dovecot", &["/usr/sbin", "/usr/local/sbin"]);
        for _ in 0..10 {
            self.port = free_port();
            self.tls_port = free_port();
            self.write_configuration();
            // A socket left over from an earlier run makes the authentication service complain.
            let _ = fs::remove_dir_all(self.path("run"));
            fs::create_dir(self.path("run")).unwrap();
            let keeper = Keeper::start(
                Command::new(&daemon).arg("-F").arg("-c").arg(self.configuration()),
                &self.path("log/stderr"),
            );
            if self.greets(&keeper) {
                self.keeper = Some(keeper);
                return;
            }
        }
        panic!("dovecot did not start:\n{}", self.log());
    }

    /// Starts the server over the same mail with other options.
    pub(crate) fn restart(&mut self, options: Options) {
        self.stop();
        self.options = options;
        self.start_again();
    }

    /// Ends the server; the mail stays.
    pub(crate) fn stop(&mut self) {
        self.keeper = None;
    }

    /// The port for plain IMAP, and STARTTLS where there is a certificate.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port for TLS from the first octet.
    pub(crate) fn tls_port(&self) -> u16 {
        assert!(self.options.certificate.is_some(), "the server has no certificate");
        self.tls_port
    }

    /// The options it was started with.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// A witness that has logged in as `user`.
    pub(crate) fn witness_of(&self, user: &str) -> Client {
        self.make_home(user);
        let mut client = Client::connect(self.port, self.options.prefix);
        client.login(user, PASSWORD);
        client
    }

    /// A witness that has logged in as the usual user.
    pub(crate) fn witness(&self) -> Client {
        self.witness_of(USER)
    }

    /// The shell command that speaks IMAP for `user` on its standard input and output, without the daemon.
    pub(crate) fn tunnel(&self, user: &str) -> String {
        let home = self.make_home(user);
        let imap = find("imap", &["/usr/lib/dovecot", "/usr/libexec/dovecot"]);
        format!(
            "exec env USER={user} HOME={} {} -c {} 2>>{}",
            home.display(),
            imap.display(),
            self.path("etc/tunnel.conf").display(),
            self.path("log/tunnel").display(),
        )
    }

    /// Runs `doveadm` on the running server and gives what it prints.
    pub(crate) fn doveadm(&self, arguments: &[&str]) -> String {
        let output = Command::new(find("doveadm", &["/usr/bin", "/usr/local/bin"]))
            .arg("-c")
            .arg(self.configuration())
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "doveadm {arguments:?}: {errors}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Where a user's mail lies.
    pub(crate) fn home(&self, user: &str) -> PathBuf {
        self.path("home").join(user)
    }

    /// What the server complained about in its logs.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        for name in ["log/stderr", "log/dovecot", "log/tunnel"] {
            let log = fs::read_to_string(self.path(name)).unwrap_or_default();
            for line in log.lines().filter(|line| !line.contains(": Info: ")) {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The configuration of the daemon.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.path("etc/dovecot.conf")
    }

    fn make_home(&self, user: &str) -> PathBuf {
        let home = self.home(user);
        if !home.exists() {
            fs::create_dir(&home).unwrap();
            MailAccount::ours().give(&home);
        }
        home
    }

    /// Whether it is this very server that answers on the port, and not one that took the port meanwhile.
    fn greets(&self, keeper: &Keeper) -> bool {
        let Some(stream) = keeper.connection(self.port) else { return false };
        let mut greeting = String::new();
        let _ = BufReader::new(stream).read_line(&mut greeting);
        greeting.contains(&self.name())
    }

    /// Names this server among all that may run on the machine; its greeting says it.
    fn name(&self) -> String {
        format!("bed-{}-{}", std::process::id(), self.port)
    }

    fn write_configuration(&self) {
        let account = MailAccount::ours();
        let mut tunnel = self.mail_settings();
        let _ = write!(tunnel, "log_path = {}\n{}\n", self.path("log/tunnel").display(), self.options.extra);
        let _ = write!(tunnel, "base_dir = {}\nssl = no\n", self.path("run").display());
        if account.is_other {
            let _ = write!(tunnel, "mail_uid = {}\nmail_gid = {}\n", account.uid, account.gid);
        }
        fs::write(self.path("etc/tunnel.conf"), tunnel).unwrap();
        fs::write(self.configuration(), self.daemon_settings(&account)).unwrap();
        // The mail user writes there when the server runs as root.
        for name in ["log", "state"] {
            fs::set_permissions(self.path(name), Permissions::from_mode(0o777)).unwrap();
        }
    }

    fn mail_settings(&self) -> String {
        let Options { separator, prefix, format, plugins, unannounced, .. } = &self.options;
        let separator = if *separator == '\\' { "\\\\".to_owned() } else { separator.to_string() };
        let (for_mail, for_imap) = plugins.unwrap_or_default();
        let announced = match unannounced {
            [] => String::new(),
            some => {
                let all = CAPABILITIES.split_whitespace().filter(|capability| !some.contains(capability));
                format!(
                    "imap_capability = {}
",
                    all.collect::<Vec<_>>().join(" ")
                )
            }
        };
        format!(
            "protocols = imap
first_valid_uid = 1
first_valid_gid = 1
mail_fsync = never
mail_location = {location}
# With its index the server may list, for a second, a mailbox that is gone.
mailbox_list_index = no
mail_plugins = {for_mail}
{announced}namespace inbox {{
  inbox = yes
  separator = \"{separator}\"
  prefix = \"{prefix}\"
}}
protocol imap {{
  mail_plugins = {for_imap}
  mail_max_userip_connections = 1000
}}
",
            location = format.location(),
        )
    }

    fn daemon_settings(&self, account: &MailAccount) -> String {
        let root = self.directory.path().display();
        let port = self.port;
        let tls = match &self.options.certificate {
            None => "ssl = no\n".to_owned(),
            Some(certificate) => {
                let (chain, key) = certificate.files();
                format!("ssl = yes\nssl_cert = <{}\nssl_key = <{}\n", chain.display(), key.display())
            }
        };
        let tls_port = if self.options.certificate.is_some() { self.tls_port } else { 0 };
        format!(
            "base_dir = {root}/run
state_dir = {root}/state
instance_name = bed{port}
listen = 127.0.0.1
login_greeting = {name}
log_path = {root}/log/dovecot
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
{tls}{mail}passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/home/%u
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  client_limit = 1000
  process_min_avail = 1
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 512
}}
{extra}
",
            name = self.name(),
            user = account.name,
            group = account.group,
            mail = self.mail_settings(),
            uid = account.uid,
            gid = account.gid,
            extra = self.options.extra,
        )
    }
}
