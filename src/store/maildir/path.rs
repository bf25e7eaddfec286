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

    /// The directory that this one is in, and its name there; `None` for a root.
    pub(super) fn parent(&self) -> Option<(Place, OsString)> {
        let (name, levels) = self.levels.0.split_last()?;
        Some((Place { root: self.root, levels: Levels(levels.to_vec()) }, name.clone()))
    }

    /// Whether this is that directory, or one below it.
    pub(super) fn is_within(&self, upper: &Place) -> bool {
        self.root == upper.root && self.levels.below(&upper.levels).is_some()
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
        if place.levels == Levels::default() {
            return Err("it is the root, and INBOX lies elsewhere".to_owned());
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
        levels
            .0
            .extend(name.levels().skip(usize::from(is_below_inbox)).map(|level| OsString::from_vec(self.fs(level))));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const ENCODINGS: [NameEncoding; 2] = [NameEncoding::Utf8, NameEncoding::Utf7];
    const LAYOUTS: [Layout; 2] = [Layout::Fs, Layout::MaildirPlusPlus];

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    /// INBOX in `inbox`, where the tree is `/m`.
    fn names(layout: Layout, encoding: NameEncoding, inbox: &str) -> Names {
        Names { layout, encoding, inbox: InboxPlace::of(Path::new("/m"), Path::new(inbox)).unwrap() }
    }

    fn fs() -> Names {
        names(Layout::Fs, NameEncoding::Utf8, "/m/INBOX")
    }

    fn maildir_plus_plus() -> Names {
        names(Layout::MaildirPlusPlus, NameEncoding::Utf7, "/m")
    }

    /// A place in the tree, or in INBOX's root where it begins with `inbox:`.
    fn place(text: &str) -> Place {
        let (root, levels) = match text.strip_prefix("inbox:") {
            Some(levels) => (Root::Inbox, levels),
            None => (Root::Tree, text),
        };
        let levels = levels.split('/').filter(|level| !level.is_empty());
        levels.fold(Place::root(root), |place, level| place.child(OsStr::new(level)).unwrap())
    }

    fn assert_lies(names: &Names, mailbox: &str, directory: &str) {
        assert_eq!(names.place_of(&name(mailbox)), Ok(place(directory)), "{mailbox}");
        assert_eq!(names.name_of(&place(directory)), Ok(name(mailbox)), "{directory}");
        assert_eq!(names.refuses(&name(mailbox)), None);
    }

    #[test]
    fn levels_are_directories_in_fs() {
        let utf7 = names(Layout::Fs, NameEncoding::Utf7, "/m");
        for (names, mailbox, directory) in [
            (fs(), "a", "a"),
            (fs(), "a/b.c/d", "a/b.c/d"),
            (fs(), "Entwürfe/日本", "Entwürfe/日本"),
            (fs(), " a b \\ ", " a b \\ "),
            (fs(), "100%", "100%"),
            (fs(), "100%ig", "100%ig"),
            (fs(), "50%off", "50%off"),
            (fs(), "5%ab", "5%25ab"),
            (fs(), "5%AB", "5%25AB"),
            (fs(), "%2E", "%252E"),
            (fs(), "%%41%", "%%2541%"),
            (fs(), "&-", "&-"),
            (utf7.clone(), "Entwürfe", "Entw&APw-rfe"),
            (utf7.clone(), "a & b", "a &- b"),
            (utf7, "&APw-", "&-APw-"),
        ] {
            assert_lies(&names, mailbox, directory);
        }
    }

    #[test]
    fn levels_stand_beside_each_other_in_maildir_plus_plus() {
        let utf8 = names(Layout::MaildirPlusPlus, NameEncoding::Utf8, "/m");
        for (names, mailbox, directory) in [
            (maildir_plus_plus(), "INBOX", ""),
            (maildir_plus_plus(), "a", ".a"),
            (maildir_plus_plus(), "a/b/c", ".a.b.c"),
            (maildir_plus_plus(), "INBOX/x", ".INBOX.x"),
            (maildir_plus_plus(), "INBOX/INBOX", ".INBOX.INBOX"),
            (maildir_plus_plus(), "Entwürfe", ".Entw&APw-rfe"),
            (utf8, "Entwürfe/100%", ".Entwürfe.100%"),
            (maildir_plus_plus(), "%./%2.", ".%%2E.%2%2E"),
        ] {
            assert_lies(&names, mailbox, directory);
        }
    }

    #[test]
    fn s098_names_that_lead_out_of_the_tree_stay_in_it() {
        for (mailbox, in_fs, in_maildir_plus_plus) in [
            (".", "%2E", ".%2E"),
            ("..", "%2E.", ".%2E%2E"),
            ("...", "%2E..", ".%2E%2E%2E"),
            ("a/../b", "a/%2E./b", ".a.%2E%2E.b"),
            ("../../etc/x", "%2E./%2E./etc/x", ".%2E%2E.%2E%2E.etc.x"),
            ("%2E%2E", "%252E%252E", ".%252E%252E"),
            ("INBOX/..", "INBOX/%2E.", ".INBOX.%2E%2E"),
        ] {
            assert_lies(&fs(), mailbox, in_fs);
            assert_lies(&maildir_plus_plus(), mailbox, in_maildir_plus_plus);
        }
    }

    #[test]
    fn s099_names_of_a_maildirs_own_directories_are_escaped_bijectively() {
        for (mailbox, in_fs, in_maildir_plus_plus) in [
            ("cur", "%63ur", ".cur"),
            ("new", "%6Eew", ".new"),
            ("tmp", "%74mp", ".tmp"),
            ("%63ur", "%2563ur", ".%2563ur"),
            ("Cur", "Cur", ".Cur"),
            ("current", "current", ".current"),
            ("a/new", "a/%6Eew", ".a.new"),
            ("INBOX/cur", "INBOX/%63ur", ".INBOX.cur"),
            (".x", "%2Ex", ".%2Ex"),
            ("x.y", "x.y", ".x%2Ey"),
            ("x/y", "x/y", ".x.y"),
            ("x.", "x.", ".x%2E"),
            ("x%2Ey", "x%252Ey", ".x%252Ey"),
        ] {
            assert_lies(&fs(), mailbox, in_fs);
            assert_lies(&maildir_plus_plus(), mailbox, in_maildir_plus_plus);
        }
    }

    #[test]
    fn inbox_is_where_it_was_put_and_what_is_below_it_follows() {
        for (layout, inbox, mailbox, directory) in [
            (Layout::Fs, "/m", "INBOX", ""),
            (Layout::Fs, "/m", "INBOX/x", "INBOX/x"),
            (Layout::Fs, "/m", "x", "x"),
            (Layout::Fs, "/m/Inbox", "INBOX", "Inbox"),
            (Layout::Fs, "/m/Inbox", "INBOX/x/inbox", "Inbox/x/inbox"),
            (Layout::Fs, "/m/.in", "INBOX/x", ".in/x"),
            (Layout::Fs, "/m/a/b", "INBOX/b", "a/b/b"),
            (Layout::Fs, "/m/a/b", "a", "a"),
            (Layout::Fs, "/m/a/b", "a/c", "a/c"),
            (Layout::Fs, "/i", "INBOX", "inbox:"),
            (Layout::Fs, "/i", "INBOX/x/y", "inbox:x/y"),
            (Layout::Fs, "/i", "x/y", "x/y"),
            (Layout::MaildirPlusPlus, "/i", "INBOX", "inbox:"),
            (Layout::MaildirPlusPlus, "/i", "INBOX/x", ".INBOX.x"),
            (Layout::MaildirPlusPlus, "/m/.INBOX", "INBOX", ".INBOX"),
            (Layout::MaildirPlusPlus, "/m/.INBOX", "INBOX/x", ".INBOX.x"),
            (Layout::MaildirPlusPlus, "/m/in/mail", "INBOX", "in/mail"),
        ] {
            assert_lies(&names(layout, NameEncoding::Utf8, inbox), mailbox, directory);
        }
    }

    #[test]
    fn what_inbox_could_be_taken_for_is_no_mailbox() {
        for (layout, inbox, directory, reason) in [
            (Layout::Fs, "/m", "INBOX", "it would be taken for INBOX, which lies elsewhere"),
            (Layout::Fs, "/m", "inbox", "it would be taken for INBOX, which lies elsewhere"),
            (Layout::Fs, "/m", "inbox/x", "it would be called INBOX/x, which lies in INBOX/x"),
            (Layout::Fs, "/m/Inbox", "INBOX", "it would be taken for INBOX, which lies elsewhere"),
            (Layout::Fs, "/m/Inbox", "INBOX/x", "it would be called INBOX/x, which lies in Inbox/x"),
            (Layout::Fs, "/m/Inbox", "", "it is the root, and INBOX lies elsewhere"),
            (Layout::Fs, "/i", "INBOX", "it would be taken for INBOX, which lies elsewhere"),
            (Layout::Fs, "/i", "INBOX/x", "it would be called INBOX/x, which lies in x"),
            (Layout::Fs, "/m", "inbox:x", "it would be called INBOX/x, which lies in INBOX/x"),
            (Layout::MaildirPlusPlus, "/m", ".INBOX", "it would be taken for INBOX, which lies elsewhere"),
            (Layout::MaildirPlusPlus, "/m", ".inbox", "it would be taken for INBOX, which lies elsewhere"),
            (Layout::MaildirPlusPlus, "/m", ".inbox.x", "it would be called INBOX/x, which lies in .INBOX.x"),
            (Layout::MaildirPlusPlus, "/m/.Inbox", ".INBOX", "it would be taken for INBOX, which lies elsewhere"),
            (Layout::MaildirPlusPlus, "/i", "", "it is the root, and INBOX lies elsewhere"),
        ] {
            let names = names(layout, NameEncoding::Utf8, inbox);
            assert_eq!(names.name_of(&place(directory)), Err(reason.to_owned()), "{inbox} {directory}");
        }
    }

    #[test]
    fn a_place_that_is_taken_is_refused() {
        for (layout, tree, inbox, mailbox, reason) in [
            (Layout::Fs, "/m", "/m/a/b", "a/b", "INBOX lies in a/b"),
            (Layout::Fs, "/m", "/m/a/b", "a/b/c", "INBOX lies in a/b/c"),
            (Layout::Fs, "/m/t/u", "/m", "INBOX/t/u", "the tree of the other mailboxes lies in t/u"),
            (Layout::Fs, "/m/t/u", "/m", "INBOX/t/u/v", "the tree of the other mailboxes lies in t/u/v"),
            (Layout::MaildirPlusPlus, "/m", "/m/.a.b", "a/b", "INBOX lies in .a.b"),
            (Layout::MaildirPlusPlus, "/m", "/m/.INBOX.x", "INBOX/x", "INBOX lies in .INBOX.x"),
        ] {
            let inbox = InboxPlace::of(Path::new(tree), Path::new(inbox)).unwrap();
            let names = Names { layout, encoding: NameEncoding::Utf8, inbox };
            assert_eq!(names.refuses(&name(mailbox)).as_deref(), Some(reason));
        }
        let inbox = InboxPlace::of(Path::new("/m/t/u"), Path::new("/m")).unwrap();
        let around = Names { layout: Layout::Fs, encoding: NameEncoding::Utf8, inbox };
        assert_lies(&around, "INBOX/t", "inbox:t");
        assert!(around.name_of(&place("inbox:t/u/v")).is_err(), "that is v of the tree");
        assert_lies(&around, "v", "v");
    }

    #[test]
    fn a_directory_that_is_not_written_as_a_name_would_be_is_no_mailbox() {
        let utf8 = names(Layout::MaildirPlusPlus, NameEncoding::Utf8, "/m");
        for (names, directory, reason) in [
            (fs(), ".notmuch", "it would be called .notmuch, which lies in %2Enotmuch"),
            (fs(), "%41", "it would be called A, which lies in A"),
            (fs(), "%2e", "it would be called ., which lies in %2E"),
            (fs(), "a%2Eb", "it would be called a.b, which lies in a.b"),
            (fs(), "a%2Fb", "a level of it holds '/', which stands between levels"),
            (fs(), "%00", "it holds a control character"),
            (fs(), "a\nb", "it holds a control character"),
            (fs(), "%FF", "it is not in UTF-8"),
            (maildir_plus_plus(), "a", "it does not begin with a dot"),
            (maildir_plus_plus(), ".a/.b", "in Maildir++, mailboxes lie beside each other"),
            (maildir_plus_plus(), "..a", "it has an empty level"),
            (maildir_plus_plus(), ".a.", "it has an empty level"),
            (maildir_plus_plus(), ".a..b", "it has an empty level"),
            (maildir_plus_plus(), ".Entwürfe", "it is not in modified UTF-7"),
            (maildir_plus_plus(), ".&AGE-", "it is not in modified UTF-7"),
            (maildir_plus_plus(), ".%41", "it would be called A, which lies in .A"),
            (utf8, ".&AGE-%2f", "a level of it holds '/', which stands between levels"),
        ] {
            assert_eq!(names.name_of(&place(directory)), Err(reason.to_owned()), "{directory}");
        }
        let raw = Place::root(Root::Tree).child(OsStr::from_bytes(b"caf\xe9")).unwrap();
        assert_eq!(fs().name_of(&raw), Err("it is not in UTF-8".to_owned()));
    }

    #[test]
    fn names_that_are_too_long_are_refused() {
        let utf7 = names(Layout::Fs, NameEncoding::Utf7, "/m");
        let level = Some("a directory would be called by 256 octets, and a file system takes 255");
        let path = Some("its path would be of 5479 octets, and a file system takes 4095");
        for (names, mailbox, reason) in [
            (fs(), "a".repeat(255), None),
            (fs(), "a".repeat(256), level),
            (fs(), format!("x/{}", "é".repeat(128)), level),
            (fs(), format!(".{}", "a".repeat(253)), level),
            (fs(), ["a".repeat(255), "b".repeat(255)].join("/"), None),
            (maildir_plus_plus(), "a".repeat(254), None),
            (maildir_plus_plus(), "a".repeat(255), level),
            (maildir_plus_plus(), ["a".repeat(127), "b".repeat(127)].join("/"), level),
            (utf7.clone(), vec!["é".repeat(50); 29].join("/"), None),
            (utf7, vec!["é".repeat(50); 40].join("/"), path),
        ] {
            assert_eq!(names.refuses(&name(&mailbox)).as_deref(), reason, "{mailbox}");
        }
    }

    #[test]
    fn inbox_is_put_nowhere_that_leads_astray() {
        for (tree, inbox, expected) in [
            ("/m", "/m", Ok(InboxPlace::Root)),
            ("/m/", "/m/.", Ok(InboxPlace::Root)),
            ("/m", "/m/./Inbox/", Ok(InboxPlace::Inside(place("Inbox").levels))),
            ("/m", "/mm", Ok(InboxPlace::Outside(None))),
            ("/m/t", "/m", Ok(InboxPlace::Outside(Some(place("t").levels)))),
            ("/m", "/m/../x", Err("/m/../x leads through \"..\", cur, new or tmp".to_owned())),
            ("/m", "/m/cur", Err("/m/cur leads through \"..\", cur, new or tmp".to_owned())),
            ("/m/new/t", "/m", Err("/m/new/t leads through \"..\", cur, new or tmp".to_owned())),
        ] {
            assert_eq!(InboxPlace::of(Path::new(tree), Path::new(inbox)), expected, "{tree} {inbox}");
        }
    }

    #[test]
    fn no_place_leads_astray() {
        for level in ["", ".", "..", "cur", "new", "tmp", "a/b", "/", "a\0"] {
            assert_eq!(Place::root(Root::Tree).child(OsStr::new(level)), None, "{level:?}");
        }
    }

    /// What is written between `/` here is made of what could go wrong.
    fn any_level() -> impl Strategy<Value = String> {
        let tricky = prop::sample::select(vec![
            "", ".", "..", "%", "2", "2E", "%2E", "%2e", "%63", "cur", "new", "tmp", "INBOX", "inbox", "Inbox", "a",
            "A", "x", "&", "-", "&-", "&AOk-", "é", "日", "😀", "~", "\\", " ", ":", "t", "/",
        ]);
        prop_oneof![
            8 => prop::collection::vec(tricky, 0..4).prop_map(|pieces| pieces.concat()),
            1 => any::<String>(),
            1 => "[a%.]{240,260}",
        ]
    }

    fn any_mailbox() -> impl Strategy<Value = MailboxName> {
        prop::collection::vec(any_level(), 1..4)
            .prop_filter_map("no name", |levels| MailboxName::new(&levels.join("/")).ok())
    }

    fn any_names() -> impl Strategy<Value = Names> {
        let inboxes = ["/m", "/m/INBOX", "/m/inbox", "/m/a/x", "/m/.a", "/m/.a.x", "/m/.INBOX.x", "/i", "/m/%2E", "/"];
        let inbox = prop::sample::select(inboxes.to_vec());
        (prop::sample::select(LAYOUTS.to_vec()), prop::sample::select(ENCODINGS.to_vec()), inbox)
            .prop_map(|(layout, encoding, inbox)| names(layout, encoding, inbox))
    }

    fn any_place() -> impl Strategy<Value = Place> {
        let level = prop_oneof![
            4 => any_level().prop_map(String::into_bytes),
            1 => prop::collection::vec(1u8.., 1..8),
        ];
        (prop::sample::select(vec![Root::Tree, Root::Inbox]), prop::collection::vec(level, 0..4)).prop_filter_map(
            "no place",
            |(root, levels)| {
                levels.iter().try_fold(Place::root(root), |place, level| place.child(OsStr::from_bytes(level)))
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn every_name_that_is_not_refused_comes_back(names in any_names(), mailbox in any_mailbox()) {
            if let Ok(place) = names.place_of(&mailbox) {
                prop_assert_eq!(names.name_of(&place), Ok(mailbox), "{}", place);
            }
        }

        #[test]
        fn s098_no_name_leads_out_of_its_root_or_into_a_maildir(names in any_names(), mailbox in any_mailbox()) {
            if let Ok(place) = names.place_of(&mailbox) {
                for level in place.levels.iter().map(OsStr::as_bytes) {
                    prop_assert!(!matches!(level, b"" | b"." | b".." | b"cur" | b"new" | b"tmp"), "{}", place);
                    prop_assert!(!level.iter().any(|octet| matches!(octet, b'/' | 0)) && level.len() <= 255);
                }
                let levels: usize = place.levels.iter().count();
                prop_assert!(levels > 0 || mailbox.is_inbox());
            }
        }

        #[test]
        fn two_names_never_share_a_place(
            names in any_names(),
            mailboxes in prop::collection::vec(any_mailbox(), 2..60),
        ) {
            let mut taken: BTreeMap<Place, MailboxName> = BTreeMap::new();
            for mailbox in mailboxes.into_iter().chain([MailboxName::inbox()]) {
                if let Ok(place) = names.place_of(&mailbox) {
                    let other = taken.insert(place.clone(), mailbox.clone());
                    prop_assert!(other.is_none_or(|other| other == mailbox), "{} in {}", mailbox, place);
                }
            }
        }

        #[test]
        fn a_directory_that_is_a_mailbox_is_the_mailboxs_only_one(names in any_names(), place in any_place()) {
            if let Ok(mailbox) = names.name_of(&place) {
                prop_assert_eq!(names.place_of(&mailbox), Ok(place));
            }
        }

        #[test]
        fn what_is_escaped_comes_back(octets in "[%a0-9A-F.]{0,12}", must in prop::collection::vec(any::<bool>(), 12)) {
            let written = escape(octets.as_bytes(), |at| must[at]);
            prop_assert_eq!(unescape(&written), octets.as_bytes());
        }
    }
}
