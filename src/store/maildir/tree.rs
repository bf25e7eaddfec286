//! The tree itself: its roots, its index, and the way from a mailbox's name to its open directories.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::mail::{Access, MailboxName};
use crate::store::{Cause, Error, Reach, UidScope};

use super::compare::Parted;
use super::endpoint::{Durability, Endpoint, IndexFile, KeywordStorage, Layout};
use super::fault;
use super::file_name::FreshNames;
use super::folders::{Folders, open_directory};
use super::index::{Index, Key, Mailbox};
use super::measure::errno_of;
use super::path::{InboxPlace, Levels, Names, Place, Root};
use super::stamp::FileStamp;

/// A tree of Maildirs, open.
pub(super) struct Tree {
    pub(super) index: Index,
    pub(super) names: Names,
    pub(super) keywords: KeywordStorage,
    pub(super) durability: Durability,
    /// What new files are called.
    pub(super) fresh_names: FreshNames,
    /// The mailboxes whose directories this session has read.
    pub(super) read: HashSet<Key>,
    /// The keywords, in the index alone, of files that have left their mailboxes in this session.
    pub(super) parted: HashMap<FileStamp, Parted>,
    /// The mailboxes in whose `tmp` this session has looked for what killed runs have left.
    pub(super) swept: HashSet<Key>,
    /// Where it is, for messages.
    pub(super) path: PathBuf,
    /// `None` where there is none yet, and it is only looked at.
    root: Option<OwnedFd>,
    inbox: Option<OwnedFd>,
}

impl Tree {
    /// Opens a tree, and makes it where there is none and the index knows of none.
    pub(super) fn open(endpoint: &Endpoint, file: &IndexFile) -> Result<Tree, Error> {
        let index = Index::open(file)?;
        let known = index.mailboxes()?;
        let missing = match (endpoint.access, file) {
            (Access::ReadWrite, IndexFile::Kept(_)) => Missing::Made,
            (Access::ReadWrite, IndexFile::LookedAt(_)) => Missing::Foreseen,
            (Access::ReadOnly, _) => Missing::Refused,
        };
        let root = open_root(&endpoint.path, &known, missing)?;
        let place = inbox_place(endpoint, root.as_ref())?;
        let inbox = match (&place, &endpoint.inbox) {
            (InboxPlace::Outside(_), Some(path)) => open_root(path, &known, missing)?,
            _ => None,
        };
        let mut tree = Tree {
            index,
            names: Names { layout: endpoint.layout, encoding: endpoint.names, inbox: place },
            keywords: endpoint.keywords,
            durability: endpoint.durability,
            fresh_names: FreshNames::new(std::process::id(), rustix::system::uname().nodename().to_bytes()),
            read: HashSet::new(),
            parted: HashMap::new(),
            swept: HashSet::new(),
            path: endpoint.path.clone(),
            root,
            inbox,
        };
        if known.is_empty() && missing == Missing::Made {
            // Every side has one. Where mail was known before and INBOX is missing, something is wrong with the disk.
            tree.create(&MailboxName::inbox())?;
        }
        Ok(tree)
    }

    /// A root; `NOENT` where there is none yet.
    pub(super) fn root(&self, root: Root) -> Result<OwnedFd, Errno> {
        let root = match root {
            Root::Tree => &self.root,
            Root::Inbox => &self.inbox,
        };
        root.as_ref().ok_or(Errno::NOENT)?.try_clone().map_err(errno_of)
    }

    /// The directory of a place, opened level by level: no symbolic link leads out of the tree.
    pub(super) fn home(&self, place: &Place) -> Result<OwnedFd, Errno> {
        place.levels.iter().try_fold(self.root(place.root)?, |directory, level| open_directory(&directory, level))
    }

    /// Where a mailbox lies, or has to.
    pub(super) fn place_of(&self, name: &MailboxName) -> Result<Place, Error> {
        let refused = |why| Error::mailbox(Cause::CannotHold, format!("there can be no mailbox \"{name}\": {why}"));
        self.names.place_of(name).map_err(refused)
    }

    /// The directories of a mailbox. `does` is what is about to be done with them.
    pub(super) fn folders(&self, name: &MailboxName, done: &str) -> Result<Folders, Error> {
        let place = self.place_of(name)?;
        self.home(&place).and_then(Folders::open).map_err(|errno| fault::of_mailbox(errno, name, done))
    }

    /// A mailbox and its directories, if it is of the generation that is meant.
    pub(super) fn scoped(&self, scope: &UidScope) -> Result<(Mailbox, Folders), Error> {
        let mailbox = self.index.mailbox(&scope.name)?.ok_or_else(|| fault::gone(&scope.name))?;
        if mailbox.status.uid_validity != scope.uid_validity {
            let text = format!("the UIDVALIDITY of \"{}\" is {} by now", scope.name, mailbox.status.uid_validity);
            return Err(Error::mailbox(Cause::UidValidityChanged, text));
        }
        let folders = self.folders(&scope.name, "opened")?;
        Ok((mailbox, folders))
    }
}

/// What is done about a root that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// It is made.
    Made,
    /// Nothing: it would be made.
    Foreseen,
    /// It is an error.
    Refused,
}

/// Opens the directory that everything lies below. Where the user says that it is, a symbolic link may lead to it.
fn open_root(path: &Path, known: &[Mailbox], missing: Missing) -> Result<Option<OwnedFd>, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || openat(CWD, path, flags, Mode::empty());
    let told = |errno| fault::of_system(errno, Reach::Side, format_args!("{} cannot be opened", path.display()));
    let refused = |text: String| Err(Error::side(Cause::Storage, text).for_good());
    match open() {
        Err(Errno::NOENT) if !known.is_empty() => {
            refused(format!("{} is not there, although mail was in it: {UNMOUNTED}", path.display()))
        }
        Err(Errno::NOENT) => match missing {
            Missing::Made => {
                use std::os::unix::fs::DirBuilderExt;
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
                made.map_err(|error| told(errno_of(error)))?;
                open().map(Some).map_err(told)
            }
            Missing::Foreseen => Ok(None),
            Missing::Refused => {
                refused(format!("{} is not there, and this side is read-only, so it is not made", path.display()))
            }
        },
        opened => opened.map(Some).map_err(told),
    }
}

/// What to think of a tree that was emptied.
pub(super) const UNMOUNTED: &str = "its disk may not be mounted; if it was emptied on purpose, move the account's database \
     and what lies beside it away, to begin anew";

/// Where INBOX is.
fn inbox_place(endpoint: &Endpoint, root: Option<&OwnedFd>) -> Result<InboxPlace, Error> {
    if let Some(path) = &endpoint.inbox {
        let refused = |why| Error::side(Cause::CannotHold, format!("INBOX cannot be there: {why}")).for_good();
        return InboxPlace::of(&endpoint.path, path).map_err(refused);
    }
    if endpoint.layout == Layout::MaildirPlusPlus || root.is_some_and(|root| is_directory(root, "cur")) {
        return Ok(InboxPlace::Root);
    }
    let told = |errno| fault::of_system(errno, Reach::Side, format_args!("{} cannot be read", endpoint.path.display()));
    let mut candidates = Vec::new();
    if let Some(root) = root {
        for entry in rustix::fs::Dir::read_from(root).map_err(told)? {
            let entry = entry.map_err(told)?;
            let name = entry.file_name().to_bytes();
            let holds_mail = || open_directory(root, os(name)).is_ok_and(|level| is_directory(&level, "cur"));
            if name.eq_ignore_ascii_case(b"INBOX") && holds_mail() {
                candidates.push(os(name).to_owned());
            }
        }
    }
    // INBOX itself before inbox and Inbox.
    candidates.sort();
    let level = candidates.into_iter().next().unwrap_or_else(|| "INBOX".into());
    Ok(InboxPlace::Inside(Levels::default().child(&level).unwrap_or_default()))
}

/// Octets as the system's text.
pub(super) fn os(octets: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(octets)
}

/// Whether a name in a directory is a directory, and no link to one.
pub(super) fn is_directory(parent: impl AsFd, name: &str) -> bool {
    kind_of(parent, name).is_ok_and(|kind| kind == Some(FileType::Directory))
}

/// What a name in a directory is; `None` where nothing has it.
pub(super) fn kind_of(parent: impl AsFd, name: &str) -> Result<Option<FileType>, Errno> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::endpoint::NameEncoding;
    use super::*;

    struct Ground {
        directory: tempfile::TempDir,
    }

    impl Ground {
        fn new() -> Ground {
            Ground { directory: tempfile::tempdir().unwrap() }
        }

        fn path(&self, below: &str) -> PathBuf {
            self.directory.path().join(below)
        }

        fn endpoint(&self) -> Endpoint {
            Endpoint {
                path: self.path("Mail"),
                layout: Layout::Fs,
                inbox: None,
                names: NameEncoding::Utf8,
                keywords: KeywordStorage::Index,
                durability: Durability::Unsynced,
                access: Access::ReadWrite,
            }
        }

        fn kept(&self, endpoint: &Endpoint) -> Result<Tree, Error> {
            Tree::open(endpoint, &IndexFile::Kept(self.path("index")))
        }

        fn plant(&self, mailbox: &str) {
            fs::create_dir_all(self.path(mailbox).join("cur")).unwrap();
        }
    }

    fn listed(tree: &mut Tree) -> Vec<String> {
        tree.mailboxes().unwrap().mailboxes.keys().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn a_tree_is_made_where_it_may_be_and_nowhere_else() {
        let ground = Ground::new();
        let endpoint = ground.endpoint();
        let read_only = Endpoint { access: Access::ReadOnly, ..endpoint.clone() };
        let mut foreseen = Tree::open(&endpoint, &IndexFile::LookedAt(ground.path("index"))).unwrap();
        assert!(listed(&mut foreseen).is_empty());
        assert!(!ground.path("Mail").exists() && !ground.path("index").exists(), "looking makes nothing");
        let error = ground.kept(&read_only).err().expect("what is not there cannot be read");
        assert_eq!((error.cause, error.reach), (Cause::Storage, Reach::Side), "{error}");

        assert_eq!(listed(&mut ground.kept(&endpoint).unwrap()), ["INBOX"]);
        for below in ["Mail", "Mail/INBOX", "Mail/INBOX/cur", "Mail/INBOX/new", "Mail/INBOX/tmp"] {
            let mode = fs::metadata(ground.path(below)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{below}");
        }
    }

    #[test]
    fn a_tree_that_is_only_read_gets_no_inbox() {
        let ground = Ground::new();
        ground.plant("Mail/Work");
        let read_only = Endpoint { access: Access::ReadOnly, ..ground.endpoint() };
        assert_eq!(listed(&mut ground.kept(&read_only).unwrap()), ["Work"]);
        assert!(!ground.path("Mail/INBOX").exists());
    }

    #[test]
    fn inbox_is_where_such_trees_have_it() {
        for (planted, layout, expected) in [
            (&[][..], Layout::Fs, "Mail/INBOX"),
            (&["Mail/Inbox"], Layout::Fs, "Mail/Inbox"),
            (&["Mail/inbox", "Mail/INBOX"], Layout::Fs, "Mail/INBOX"),
            (&["Mail"], Layout::Fs, "Mail"),
            (&["Mail", "Mail/Inbox"], Layout::Fs, "Mail"),
            (&[], Layout::MaildirPlusPlus, "Mail"),
            (&["Mail/Inbox"], Layout::MaildirPlusPlus, "Mail"),
        ] {
            let ground = Ground::new();
            planted.iter().for_each(|mailbox| ground.plant(mailbox));
            let tree = ground.kept(&Endpoint { layout, ..ground.endpoint() }).unwrap();
            let place = tree.place_of(&MailboxName::inbox()).unwrap();
            let home = tree.home(&place).unwrap();
            let is_there = |path: &str| {
                use std::os::unix::fs::MetadataExt;
                fs::metadata(ground.path(path)).unwrap().ino() == rustix::fs::fstat(&home).unwrap().st_ino
            };
            assert!(is_there(expected), "{planted:?} {layout:?}: {place}");
        }
    }

    #[test]
    fn s137_a_tree_that_is_gone_is_not_taken_for_an_empty_one() {
        let ground = Ground::new();
        let endpoint = ground.endpoint();
        let mut tree = ground.kept(&endpoint).unwrap();
        ground.plant("Mail/Work");
        for mailbox in ["INBOX", "Work"] {
            fs::write(ground.path("Mail").join(mailbox).join("cur/1.host:2,S"), "Subject: 1\n\n").unwrap();
        }
        assert_eq!(listed(&mut tree), ["INBOX", "Work"]);
        drop(tree);
        fs::rename(ground.path("Mail"), ground.path("elsewhere")).unwrap();
        let refused = |error: Error| assert_eq!((error.cause, error.reach), (Cause::Storage, Reach::Side), "{error}");
        refused(ground.kept(&endpoint).err().expect("it is not there"));
        fs::create_dir(ground.path("Mail")).unwrap();
        refused(ground.kept(&endpoint).unwrap().mailboxes().expect_err("nothing is mounted there"));
        assert_eq!(fs::read_dir(ground.path("Mail")).unwrap().count(), 0, "nothing is made where nothing is mounted");
        // Somebody delivers mail there all the same.
        ground.plant("Mail/INBOX");
        refused(ground.kept(&endpoint).unwrap().mailboxes().expect_err("it is another tree"));
        fs::remove_dir_all(ground.path("Mail")).unwrap();
        fs::rename(ground.path("elsewhere"), ground.path("Mail")).unwrap();
        let listing = ground.kept(&endpoint).unwrap().mailboxes().unwrap();
        assert_eq!(listing.mailboxes[&MailboxName::inbox()].status.unwrap().messages, 1);
    }

    #[test]
    fn an_index_that_is_damaged_is_put_aside_and_made_anew() {
        let ground = Ground::new();
        let endpoint = ground.endpoint();
        let uid_validity =
            |tree: &mut Tree| tree.mailboxes().unwrap().mailboxes[&MailboxName::inbox()].status.unwrap().uid_validity;
        let before = uid_validity(&mut ground.kept(&endpoint).unwrap());
        assert_eq!(uid_validity(&mut ground.kept(&endpoint).unwrap()), before);
        let garbage = "this is no database at all, however long one looks at it".repeat(100);
        fs::write(ground.path("index"), &garbage).unwrap();
        assert_ne!(uid_validity(&mut ground.kept(&endpoint).unwrap()), before, "its UIDs mean nothing any more");
        assert_eq!(fs::read_to_string(ground.path("index.damaged")).unwrap(), garbage);
    }
}
