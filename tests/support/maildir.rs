//! A tree of Maildirs, seen as the programs around it see it: they know files and nothing else.

mod foreign;
pub(crate) mod names;
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::inotify;
use tempfile::TempDir;

use super::mail;
use super::snapshot::{Content, Mailbox, Message, Snapshot, Teller, digest};

pub(crate) use program::{Change, Program};

/// How names become directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `a/b`, in UTF-8.
    Fs,
    /// `.a.b`, in modified UTF-7, INBOX being the tree itself.
    PlusPlus,
}

/// A tree of its own for a test.
pub(crate) struct Tree {
    directory: TempDir,
    layout: Layout,
    /// How many programs have worked on it, so that no two do alike.
    programs: AtomicU64,
}

/// What the system knows of everything in a tree: what nobody touched stays as it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamps(BTreeMap<PathBuf, (u64, u64, i64, i64, i64, i64)>);

/// Sees what happens in the mailboxes that were there when it began.
pub(crate) struct Watch {
    inotify: OwnedFd,
    seen: u64,
}

impl Tree {
    /// A tree that holds an empty INBOX and files that are nobody's mail.
    pub(crate) fn plant(layout: Layout) -> Tree {
        Tree::plant_in(&std::env::temp_dir(), layout)
    }

    /// The same in a directory.
    pub(crate) fn plant_in(place: &Path, layout: Layout) -> Tree {
        let tree = Tree { directory: tempfile::tempdir_in(place).unwrap(), layout, programs: AtomicU64::new(0) };
        fs::create_dir(tree.root()).unwrap();
        tree.program().create("INBOX");
        foreign::sprinkle(&tree.root(), &tree.path("INBOX"));
        tree
    }

    /// Its directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("Mail")
    }

    /// How its names become directories.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The directory of a mailbox.
    pub(crate) fn path(&self, mailbox: &str) -> PathBuf {
        names::path(&self.root(), self.layout, mailbox)
    }

    /// A program that works on it.
    pub(crate) fn program(&self) -> Program {
        Program::new(self.root(), self.layout, self.programs.fetch_add(1, Ordering::SeqCst))
    }

    /// The lines of the configuration about it.
    pub(crate) fn lines(&self) -> String {
        let layout = match self.layout {
            Layout::Fs => "fs",
            Layout::PlusPlus => "maildir++",
        };
        format!("type = \"maildir\"\npath = \"{}\"\nlayout = \"{layout}\"", self.root().display())
    }

    /// The mailboxes, by name.
    pub(crate) fn mailboxes(&self) -> BTreeMap<String, PathBuf> {
        names::mailboxes(&self.root(), self.layout)
    }

    /// All that it holds, as far as files tell. Nobody may work on it meanwhile.
    pub(crate) fn snapshot(&self) -> Snapshot {
        snapshot_of(&self.root(), self.layout)
    }

    /// What has become of the files that are nobody's mail: a line for each that is not as it was.
    pub(crate) fn harm(&self) -> String {
        foreign::harm(&self.root(), &self.path("INBOX"))
    }

    /// The files that were being delivered and never were, a line for each mailbox that has any.
    pub(crate) fn leftovers(&self) -> String {
        let mut text = String::new();
        for (name, path) in self.mailboxes() {
            let left: Vec<_> = entries(&path.join("tmp")).collect();
            if !left.is_empty() {
                let _ = writeln!(text, "{name}: tmp holds {left:?}");
            }
        }
        text
    }

    /// What the system knows of everything in it.
    pub(crate) fn stamps(&self) -> Stamps {
        let mut stamps = BTreeMap::new();
        visit(&self.root(), &mut |path, about| {
            let stamp =
                (about.ino(), about.size(), about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec());
            stamps.insert(path.to_owned(), stamp);
        });
        Stamps(stamps)
    }

    /// The paths of all that is in it, a line each.
    pub(crate) fn listing(&self) -> String {
        let mut text = String::new();
        visit(&self.root(), &mut |path, about| {
            if about.is_file() {
                let _ = writeln!(text, "{} ({} octets)", path.display(), about.size());
            }
        });
        text
    }

    /// Begins to watch its mailboxes.
    pub(crate) fn watch(&self) -> Watch {
        let inotify = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVE | inotify::WatchFlags::DELETE;
        for path in self.mailboxes().values() {
            for part in ["tmp", "new", "cur"] {
                inotify::add_watch(&inotify, path.join(part), events).unwrap();
            }
        }
        Watch { inotify, seen: 0 }
    }
}

impl Stamps {
    /// How a later look differs from this one, a line for each path.
    pub(crate) fn difference(&self, later: &Stamps) -> String {
        let mut text = String::new();
        for path in self.0.keys().chain(later.0.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (self.0.get(path), later.0.get(path));
            if before != after {
                let _ = writeln!(text, "{}: {before:?}, then {after:?}", path.display());
            }
        }
        text
    }
}

impl Watch {
    /// How many names have come and gone since it began.
    pub(crate) fn seen(&mut self) -> u64 {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        while reader.next().is_ok() {
            self.seen += 1;
        }
        self.seen
    }
}

/// The names in a directory that do not begin with a dot; none where it is gone.
fn entries(directory: &Path) -> impl Iterator<Item = String> {
    let read = match fs::read_dir(directory) {
        Ok(read) => Some(read),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", directory.display()),
    };
    let names = read.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.'))
}

fn visit(directory: &Path, seen: &mut impl FnMut(&Path, &Metadata)) {
    seen(directory, &fs::symlink_metadata(directory).unwrap());
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            visit(&path, seen);
        } else {
            seen(&path, &about);
        }
    }
}

/// All that a tree holds that lies there, as far as files tell. Nobody may work on it meanwhile.
pub(crate) fn snapshot_of(root: &Path, layout: Layout) -> Snapshot {
    let mailboxes = names::mailboxes(root, layout).into_iter().map(|(name, path)| (name, mailbox(&path)));
    Snapshot { mailboxes: mailboxes.collect() }
}

/// All that a mailbox holds.
fn mailbox(path: &Path) -> Mailbox {
    let keywords = names::keywords(path);
    let mut contents = Vec::new();
    for part in ["new", "cur"] {
        for name in entries(&path.join(part)) {
            let file = path.join(part).join(&name);
            let about = fs::symlink_metadata(&file).unwrap();
            if about.is_file() {
                let body = in_wire_form(&fs::read(&file).unwrap());
                contents.push(Content {
                    token: mail::token(&body).unwrap_or_default(),
                    flags: names::flags(&name, keywords.as_deref().unwrap_or_default()),
                    date: about.mtime(),
                    size: body.len(),
                    digest: digest(&body),
                });
            }
        }
    }
    contents.sort();
    let messages = contents.into_iter().zip(1..).map(|(content, uid)| Message { uid, content }).collect();
    let teller = match &keywords {
        // Where all letters are taken, the next keyword has none.
        Some(keywords) if keywords.len() < 26 => Teller::FilesWithKeywords,
        _ => Teller::Files,
    };
    Mailbox { subscribed: false, uid_validity: 0, messages, teller }
}

/// Ends every line by CRLF.
pub(crate) fn in_wire_form(text: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(text.len() + text.len() / 30);
    for (at, octet) in text.iter().enumerate() {
        if *octet == b'\n' && (at == 0 || text[at - 1] != b'\r') {
            wire.push(b'\r');
        }
        wire.push(*octet);
    }
    wire
}

/// Ends lines by LF, as files do. Two CRs before a LF stay: nobody could tell later that there was more than one.
pub(crate) fn in_file_form(wire: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(wire.len());
    for (at, octet) in wire.iter().enumerate() {
        let ends_line = *octet == b'\r' && wire.get(at + 1) == Some(&b'\n');
        let follows_another = at > 0 && wire[at - 1] == b'\r';
        if !ends_line || follows_another {
            text.push(*octet);
        }
    }
    text
}

#[test]
fn lines_go_there_and_back() {
    for (wire, file) in [
        (&b"a\r\nb\r\n"[..], &b"a\nb\n"[..]),
        (b"a\r\r\nb", b"a\r\r\nb"),
        (b"a\rb\r\n\r\n", b"a\rb\n\n"),
        (b"\r", b"\r"),
        (b"", b""),
    ] {
        assert_eq!(in_file_form(wire), file, "{wire:?}");
        assert_eq!(in_wire_form(file), wire, "{file:?}");
    }
}
