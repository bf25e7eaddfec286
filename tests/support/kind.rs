//! The kinds of servers that the tests know, trees of Maildirs among them, and one of any kind at work.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::courier::{Courier, Expunged};
use super::cyrus::{Cyrus, Naming, Rigour};
use super::dovecot::{Dovecot, Options};
use super::imap::Client;
use super::maildir::{Layout, Tree};
use super::snapshot::Snapshot;
use super::user::User;

/// What a server is, and what it announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Dovecot with all it has.
    Dovecot,
    /// Dovecot that does not announce QRESYNC.
    DovecotWithoutQresync,
    /// Dovecot that announces neither QRESYNC nor CONDSTORE.
    DovecotWithoutCondstore,
    /// Dovecot that does not announce UIDPLUS.
    DovecotWithoutUidplus,
    /// Dovecot that announces IMAP4rev1 and nothing else.
    DovecotBare,
    /// Cyrus with `/` between levels.
    Cyrus,
    /// Cyrus with `INBOX.` before names and `.` between levels.
    CyrusDots,
    /// Courier, which has UIDPLUS and little more.
    Courier,
    /// Cyrus that puts `X` for what is not ASCII in headers, and keeps ten copies of a message.
    CyrusRigorous,
    /// Courier that puts into `Trash` what is expunged elsewhere.
    CourierTrash,
    /// A tree of Maildirs, a directory in a directory.
    MaildirFs,
    /// A tree of Maildirs, all beside each other.
    MaildirPlusPlus,
}

/// A running server.
pub(crate) enum Server {
    /// It is a Dovecot.
    Dovecot(Box<Dovecot>),
    /// It is a Cyrus.
    Cyrus(Cyrus),
    /// It is a Courier.
    Courier(Courier),
    /// It is none: there are only files.
    Maildir(Tree),
}

impl Kind {
    /// Starts a server of that kind.
    pub(crate) fn start(self) -> Server {
        let dovecot =
            |unannounced| Server::Dovecot(Box::new(Dovecot::start(Options { unannounced, ..Options::default() })));
        match self {
            Kind::Dovecot => dovecot(&[]),
            Kind::DovecotWithoutQresync => dovecot(&["QRESYNC"]),
            Kind::DovecotWithoutCondstore => dovecot(&["QRESYNC", "CONDSTORE"]),
            Kind::DovecotWithoutUidplus => dovecot(&["UIDPLUS"]),
            Kind::DovecotBare => Server::Dovecot(Box::new(Dovecot::start(Options::bare()))),
            Kind::Cyrus => Server::Cyrus(Cyrus::start(Naming::Slashes, Rigour::None)),
            Kind::CyrusDots => Server::Cyrus(Cyrus::start(Naming::Dots, Rigour::None)),
            Kind::CyrusRigorous => Server::Cyrus(Cyrus::start(Naming::Slashes, Rigour::Usual)),
            Kind::Courier => Server::Courier(Courier::start(Expunged::Gone)),
            Kind::CourierTrash => Server::Courier(Courier::start(Expunged::InTrash)),
            Kind::MaildirFs => Server::Maildir(Tree::plant(Layout::Fs)),
            Kind::MaildirPlusPlus => Server::Maildir(Tree::plant(Layout::PlusPlus)),
        }
    }
}

/// What servers do that users have to know of who edit on them and want to foresee the outcome.
impl Kind {
    /// Whether a renamed mailbox gets another UIDVALIDITY, other UIDs, and no MAILBOXID by which to know it.
    pub(crate) fn renames_by_making_anew(self) -> bool {
        matches!(self, Kind::Courier | Kind::CourierTrash)
    }

    /// Whether all that a mailbox holds is listed each time, so that only messages tell whether it is one that was there.
    pub(crate) fn lists_everything(self) -> bool {
        matches!(self, Kind::DovecotWithoutCondstore | Kind::DovecotBare | Kind::Courier)
    }

    /// Whether mail is in files that programs work on, which know neither keywords nor subscriptions.
    pub(crate) fn is_maildir(self) -> bool {
        matches!(self, Kind::MaildirFs | Kind::MaildirPlusPlus)
    }

    /// Whether every mailbox that has one below it is a mailbox itself, and stays while it has.
    pub(crate) fn makes_parents(self) -> bool {
        matches!(self, Kind::Cyrus | Kind::CyrusDots | Kind::CyrusRigorous)
    }

    /// Whether a message cannot be expunged without all that are marked.
    pub(crate) fn expunges_together(self) -> bool {
        matches!(self, Kind::DovecotWithoutUidplus | Kind::DovecotBare)
    }

    /// Whether a message gets an end of its last line that had none.
    pub(crate) fn ends_lines(self) -> bool {
        matches!(self, Kind::Courier | Kind::CourierTrash)
    }
}

impl Server {
    /// Somebody who edits the mail of `user`.
    pub(crate) fn editor_of(&self, user: &str) -> User {
        match self {
            Server::Maildir(tree) => tree.program().into(),
            server => server.witness_of(user).into(),
        }
    }

    /// All that `user` has there.
    pub(crate) fn snapshot_of(&self, user: &str) -> Snapshot {
        match self {
            Server::Maildir(tree) => tree.snapshot(),
            server => Snapshot::take(&mut server.witness_of(user)),
        }
    }

    /// The tree, where there are only files.
    pub(crate) fn tree(&self) -> Option<&Tree> {
        match self {
            Server::Maildir(tree) => Some(tree),
            _ => None,
        }
    }

    /// Starts a stopped server over the same mail. The port may be another one.
    pub(crate) fn start_again(&mut self) {
        match self {
            Server::Dovecot(server) => server.start_again(),
            Server::Cyrus(server) => server.start_again(),
            Server::Courier(server) => server.start_again(),
            Server::Maildir(_) => {}
        }
    }

    /// Ends the server; the mail stays.
    pub(crate) fn stop(&mut self) {
        match self {
            Server::Dovecot(server) => server.stop(),
            Server::Cyrus(server) => server.stop(),
            Server::Courier(server) => server.stop(),
            Server::Maildir(_) => {}
        }
    }

    /// The port for plain IMAP; 0, which leads nowhere, where there are only files.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Server::Dovecot(server) => server.port(),
            Server::Cyrus(server) => server.port(),
            Server::Courier(server) => server.port(),
            Server::Maildir(_) => 0,
        }
    }

    /// A witness that has logged in as `user`.
    pub(crate) fn witness_of(&self, user: &str) -> Client {
        match self {
            Server::Dovecot(server) => server.witness_of(user),
            Server::Cyrus(server) => server.witness_of(user),
            Server::Courier(server) => server.witness_of(user),
            Server::Maildir(_) => panic!("no server, no witness"),
        }
    }

    /// What the server announces to `user` before and after the login.
    pub(crate) fn announced(&self, user: &str) -> BTreeSet<String> {
        let mut announced = Client::connect(self.port(), "").capabilities();
        announced.extend(self.witness_of(user).capabilities());
        announced
    }

    /// What the server complained about in its logs.
    pub(crate) fn log(&self) -> String {
        match self {
            Server::Dovecot(server) => server.log(),
            Server::Cyrus(server) => server.log(),
            Server::Courier(server) => server.log(),
            Server::Maildir(tree) => tree.listing(),
        }
    }

    /// Starts a Dovecot over the same mail with other options.
    pub(crate) fn restart(&mut self, options: Options) {
        match self {
            Server::Dovecot(server) => server.restart(options),
            _ => panic!("only Dovecot has options"),
        }
    }

    /// The port of a Dovecot for TLS from the first octet.
    pub(crate) fn tls_port(&self) -> u16 {
        self.dovecot().tls_port()
    }

    /// The shell command that speaks IMAP for `user` on its standard input and output, without the daemon of a Dovecot.
    pub(crate) fn tunnel(&self, user: &str) -> String {
        self.dovecot().tunnel(user)
    }

    /// Runs `doveadm` on a running Dovecot and gives what it prints.
    pub(crate) fn doveadm(&self, arguments: &[&str]) -> String {
        self.dovecot().doveadm(arguments)
    }

    /// Where the mail of a user of a Dovecot lies.
    pub(crate) fn home(&self, user: &str) -> PathBuf {
        self.dovecot().home(user)
    }

    fn dovecot(&self) -> &Dovecot {
        match self {
            Server::Dovecot(server) => server,
            _ => panic!("only Dovecot has that"),
        }
    }
}
