//! Where a mailbox lies: names become directories and directories names, one for one.
//!
//! Names come from a server that may be hostile. What a file system or the layout cannot hold is written as `%` and two
//! hexadecimal digits; a directory stands for a mailbox only if it is written as that mailbox's name would be.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use super::endpoint::{Layout, NameEncoding};
use crate::mail::MailboxName;
use crate::store::mutf7;

/// The longest name that a directory can have, in octets (NAME_MAX).
const MAX_LEVEL: usize = 255;

/// The longest path below a root, in octets: PATH_MAX without the NUL at its end.
const MAX_PATH: usize = 4095;

/// Names of directories, outermost first. None of them leads out of where it is, or into a Maildir: none is empty, `.`,
/// `..`, `cur`, `new` or `tmp`, and none holds `/` or NUL.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Levels(Vec<OsString>);

impl Levels {
    /// One level more; `None` if that is no name of a directory that could stand for a mailbox.
    pub(super) fn child(&self, level: &OsStr) -> Option<Levels> {
        let octets = level.as_bytes();
        let leads_astray = is_own_directory(octets) || matches!(octets, b"" | b"." | b"..");
        if leads_astray || octets.iter().any(|octet| matches!(octet, b'/' | 0)) {
            return None;
        }
        let mut levels = self.0.clone();
        levels.push(level.to_owned());
        Some(Levels(levels))
    }

    /// The names, outermost first; none for the root itself.
    pub(super) fn iter(&self) -> impl Iterator<Item = &OsStr> {
        self.0.iter().map(OsString::as_os_str)
    }

    /// Reads a relative path; `None` if it has other components than names, or such as cannot stand for a mailbox.
    fn of_path(path: &Path) -> Option<Levels> {
        path.components().try_fold(Levels::default(), |levels, component| match component {
            Component::Normal(level) => levels.child(level),
            _ => None,
        })
    }

    /// What is below `upper`; `None` where this is not.
    fn below<'a>(&'a self, upper: &Levels) -> Option<&'a [OsString]> {
        self.0.strip_prefix(upper.0.as_slice())
    }

    /// How long the path is, in octets.
    fn octets(&self) -> usize {
        self.0.iter().map(|level| level.len() + 1).sum::<usize>().saturating_sub(1)
    }
}

/// Whether Maildirs themselves have a directory of that name.
fn is_own_directory(octets: &[u8]) -> bool {
    matches!(octets, b"cur" | b"new" | b"tmp")
}

/// The root that a place is given from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Root {
    /// The directory that holds the mailboxes.
    Tree,
    /// INBOX's own directory, where it lies outside of the tree.
    Inbox,
}

/// A directory that is a mailbox, or could be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Where the levels begin.
    pub(super) root: Root,
    /// The way from there.
    pub(super) levels: Levels,
}

impl Place {
    /// A root itself.
    pub(super) fn root(root: Root) -> Place {
        Place { root, levels: Levels::default() }
    }

    /// A directory in this one; `None` if it could not stand for a mailbox, as `cur` cannot.
    pub(super) fn child(&self, level: &OsStr) -> Option<Place> {
        Some(Place { root: self.root, levels: self.levels.child(level)? })
    }
}

/// The levels with `/` between them, as far as they are text; `.` for a root itself.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.levels.0.is_empty() {
            true => f.write_str("."),
            false => f.write_str(&self.levels.0.join(OsStr::new("/")).to_string_lossy()),
        }
    }
}

/// Where INBOX is, seen from the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InboxPlace {
    /// It is the tree's root.
    Root,
    /// It lies somewhere in the tree.
    Inside(Levels),
    /// It lies elsewhere, and has a root of its own. The tree may lie below it: then these levels lead there.
    Outside(Option<Levels>),
}

impl InboxPlace {
    /// Compares two paths as they are written; the error says why INBOX cannot be there.
    pub(super) fn of(tree: &Path, inbox: &Path) -> Result<InboxPlace, String> {
        let astray = |path: &Path| format!("{} leads through \"..\", cur, new or tmp", path.display());
        if let Ok(way) = inbox.strip_prefix(tree) {
            let levels = Levels::of_path(way).ok_or_else(|| astray(inbox))?;
            return Ok(if levels == Levels::default() { InboxPlace::Root } else { InboxPlace::Inside(levels) });
        }
        let tree_below = match tree.strip_prefix(inbox) {
            Ok(way) => Some(Levels::of_path(way).ok_or_else(|| astray(tree))?),
            Err(_) => None,
        };
        Ok(InboxPlace::Outside(tree_below))
    }
}

/// How the names of a tree are written.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// How levels become directories.
    pub(super) layout: Layout,
    /// How text becomes octets.
    pub(super) encoding: NameEncoding,
    /// Where INBOX is.
    pub(super) inbox: InboxPlace,
}

impl Names {
    /// Why there can be no mailbox of that name, if there cannot.
    pub(super) fn refuses(&self, name: &MailboxName) -> Option<String> {
        self.place_of(name).err()
    }

    /// Where a mailbox lies. The error says why there cannot be such a mailbox.
    pub(super) fn place_of(&self, name: &MailboxName) -> Result<Place, String> {
        if name.is_inbox() {
            return Ok(self.inbox());
        }
        let place = match self.layout {
            Layout::Fs => self.nested(name),
            Layout::MaildirPlusPlus => self.beside_each_other(name),
        };
        if let Some(level) = place.levels.iter().find(|level| level.len() > MAX_LEVEL) {
            let length = level.len();
            return Err(format!("a directory would be called by {length} octets, and a file system takes {MAX_LEVEL}"));
        }
        let length = place.levels.octets();
        if length > MAX_PATH {
            return Err(format!("its path would be of {length} octets, and a file system takes {MAX_PATH}"));
        }
        match self.is_of_another(&place, name) {
            Some(whose) => Err(format!("{whose} lies in {place}")),
            None => Ok(place),
        }
    }

    /// Which mailbox a directory stands for. The error says why it stands for none; there may be such below it that do.
    pub(super) fn name_of(&self, place: &Place) -> Result<MailboxName, String> {
        if *place == self.inbox() {
            return Ok(MailboxName::inbox());
        }
        let levels = match self.layout {
            Layout::Fs => self.levels_of_nested(place)?,
            Layout::MaildirPlusPlus => self.levels_of_one(place)?,
        };
        let name = MailboxName::from_levels(levels.iter().map(String::as_str)).map_err(|error| error.to_string())?;
        if name.is_inbox() {
            return Err("it would be taken for INBOX, which lies elsewhere".to_owned());
        }
        match self.place_of(&name)? {
            canonical if canonical == *place => Ok(name),
            canonical => Err(format!("it would be called {name}, which lies in {canonical}")),
        }
    }

    fn inbox(&self) -> Place {
        match &self.inbox {
            InboxPlace::Root => Place::root(Root::Tree),
            InboxPlace::Inside(levels) => Place { root: Root::Tree, levels: levels.clone() },
            InboxPlace::Outside(_) => Place::root(Root::Inbox),
        }
    }

    /// A directory in a directory; what is below INBOX lies in INBOX's, unless that is the root of everything.
    fn nested(&self, name: &MailboxName) -> Place {
        let is_below_inbox = name.is_below(&MailboxName::inbox()) && self.inbox != InboxPlace::Root;
        let top = if is_below_inbox { self.inbox() } else { Place::root(Root::Tree) };
        let mut levels = top.levels;
        levels.0.extend(name.levels().skip(usize::from(is_below_inbox)).map(|level| OsString::from_vec(self.fs(level))));
        Place { root: top.root, levels }
    }

    fn levels_of_nested(&self, place: &Place) -> Result<Vec<String>, String> {
        let below_inbox = match (&self.inbox, place.root) {
            (InboxPlace::Inside(inbox), Root::Tree) => place.levels.below(inbox),
            (_, Root::Inbox) => Some(place.levels.0.as_slice()),
            (_, Root::Tree) => None,
        };
        let read = |level: &OsString| self.read(level.as_bytes());
        match below_inbox {
            Some(levels) => std::iter::once(Ok("INBOX".to_owned())).chain(levels.iter().map(read)).collect(),
            None => place.levels.0.iter().map(read).collect(),
        }
    }

    /// One directory, with a dot before each level.
    fn beside_each_other(&self, name: &MailboxName) -> Place {
        let mut written = Vec::new();
        for level in name.levels() {
            written.push(b'.');
            written.extend_from_slice(&self.maildir_plus_plus(level));
        }
        Place { root: Root::Tree, levels: Levels(vec![OsString::from_vec(written)]) }
    }

    fn levels_of_one(&self, place: &Place) -> Result<Vec<String>, String> {
        match (place.root, place.levels.0.as_slice()) {
            (Root::Tree, [level]) => match level.as_bytes().strip_prefix(b".") {
                Some(levels) => levels.split(|octet| *octet == b'.').map(|level| self.read(level)).collect(),
                None => Err("it does not begin with a dot".to_owned()),
            },
            (Root::Tree, []) => Err("it is the root, and INBOX lies elsewhere".to_owned()),
            _ => Err("in Maildir++, mailboxes lie beside each other".to_owned()),
        }
    }

    /// Whose place this is, if it is not the mailbox's own: INBOX and the tree may have been put anywhere.
    fn is_of_another(&self, place: &Place, name: &MailboxName) -> Option<&'static str> {
        let is_below_inbox = name.is_below(&MailboxName::inbox()) && self.layout == Layout::Fs;
        match &self.inbox {
            InboxPlace::Inside(inbox) if !is_below_inbox && place.levels.below(inbox).is_some() => Some("INBOX"),
            InboxPlace::Outside(Some(tree)) if place.root == Root::Inbox && place.levels.below(tree).is_some() => {
                Some("the tree of the other mailboxes")
            }
            _ => None,
        }
    }

    /// A level as a directory of its own. What begins with a dot is hidden there, and belongs to others.
    fn fs(&self, level: &str) -> Vec<u8> {
        let written = self.encode(level);
        let first_astray = written.starts_with(b".") || is_own_directory(&written);
        escape(&written, |at| first_astray && at == 0)
    }

    /// A level as a part of a directory's name, where a dot stands between levels.
    fn maildir_plus_plus(&self, level: &str) -> Vec<u8> {
        let written = self.encode(level);
        escape(&written, |at| written[at] == b'.')
    }

    fn encode(&self, level: &str) -> Vec<u8> {
        match self.encoding {
            NameEncoding::Utf8 => level.as_bytes().to_vec(),
            NameEncoding::Utf7 => mutf7::encode(level),
        }
    }

    fn read(&self, written: &[u8]) -> Result<String, String> {
        let octets = unescape(written);
        match self.encoding {
            NameEncoding::Utf8 => String::from_utf8(octets).map_err(|_| "it is not in UTF-8".to_owned()),
            NameEncoding::Utf7 => mutf7::decode(&octets).map_err(|_| "it is not in modified UTF-7".to_owned()),
        }
    }
}

/// Writes those octets as `%` and two digits for which `must` holds, and a `%` that could be taken for such.
fn escape(octets: &[u8], must: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut written = Vec::with_capacity(octets.len());
    for (at, octet) in octets.iter().enumerate() {
        if must(at) || escaped(&octets[at..]).is_some() {
            written.extend_from_slice(format!("%{octet:02X}").as_bytes());
        } else {
            written.push(*octet);
        }
    }
    written
}

/// Undoes [`escape`], and reads digits in any case.
fn unescape(written: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(written.len());
    let mut rest = written;
    while let Some((first, behind)) = rest.split_first() {
        rest = match escaped(rest) {
            Some(octet) => {
                octets.push(octet);
                &rest[3..]
            }
            None => {
                octets.push(*first);
                behind
            }
        };
    }
    octets
}

/// The octet that `%` and two digits at the beginning stand for.
fn escaped(octets: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = octets else { return None };
    let digit = |octet: &u8| char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}
