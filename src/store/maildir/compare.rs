//! Holds what directories list against what the index says, and finds out what became of each message.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;

use crate::database;
use crate::mail::{FlagSet, Uid};

use super::flags::flags_of;
use super::folders::Folders;
use super::index::{Arrival, Filed, Index, Mailbox, Print};
use super::keywords::Keywords;
use super::measure::print_of;
use super::pass::{Listed, Pass};
use super::stamp::FileStamp;

/// What has become of a mailbox's messages.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Files that no row speaks of, in the order in which they get their UIDs: those that are known by their names, as
    /// nearly all are.
    pub(super) fresh: Vec<Fresh>,
    /// Those that more has to be said of, in that order.
    pub(super) arrived: Vec<Arrival>,
    /// Messages with other flags, or under other names, as they are now.
    pub(super) renamed: Vec<Filed>,
    /// Those of them that are known by another name now.
    pub(super) renamed_apart: Vec<Uid>,
    /// Messages that are other files now, with the same contents.
    pub(super) replaced: Vec<(Uid, FileStamp)>,
    /// Messages whose files were given other contents: to everybody who knew them, they are gone.
    pub(super) rewritten: Vec<Uid>,
    /// Messages that are not listed.
    pub(super) missing: Vec<Uid>,
    /// What only the index knows of messages that are not listed: they may have gone to another mailbox.
    pub(super) parted: Vec<(FileStamp, Parted)>,
}

/// A file that no row speaks of, in little room: there may be a million at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    /// Which one it is in the reading.
    pub(super) at: u32,
    pub(super) stamp: FileStamp,
}

/// Who a message is that is not listed, and its keywords in the index.
pub(super) type Parted = (Print, FlagSet);

impl Findings {
    /// Whether the index is right as it is.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rows will have to be written.
    pub(super) fn len(&self) -> usize {
        let Findings { fresh, arrived, renamed, replaced, rewritten, missing, .. } = self;
        fresh.len() + arrived.len() + renamed.len() + replaced.len() + rewritten.len() + missing.len()
    }
}

impl Fresh {
    /// All that is known of it; `pass` has shown it.
    pub(super) fn arrival(&self, pass: &Pass) -> Arrival {
        let listed = pass.listed(self.at);
        arrival(listed.unique.to_vec(), &listed, self.stamp)
    }
}

impl Findings {
    /// The files that no row speaks of, in the order in which they get their UIDs.
    pub(super) fn arrivals<'a>(&'a self, pass: &'a Pass) -> impl Iterator<Item = Cow<'a, Arrival>> + 'a {
        let (mut fresh, mut arrived) = (self.fresh.iter().peekable(), self.arrived.iter().peekable());
        std::iter::from_fn(move || {
            let is_next = |fresh: &&Fresh| match arrived.peek() {
                Some(other) => (fresh.stamp.mtime, pass.listed(fresh.at).unique) < order(other),
                None => true,
            };
            match fresh.next_if(is_next) {
                Some(fresh) => Some(Cow::Owned(fresh.arrival(pass))),
                None => arrived.next().map(Cow::Borrowed),
            }
        })
    }

    /// Puts what has arrived in the order in which it gets its UIDs.
    pub(super) fn put_in_order(&mut self, pass: &Pass) {
        let place = |fresh: &Fresh| (fresh.stamp.mtime, pass.listed(fresh.at).unique);
        self.fresh.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
        self.arrived.sort_by(|a, b| order(a).cmp(&order(b)));
    }
}

fn order(arrival: &Arrival) -> (i64, &[u8]) {
    (arrival.stamp.mtime, &arrival.unique_name)
}

/// A file, and what its message is known by in the index: its own name if that is borrowed.
type Keyed<'a> = (Cow<'a, [u8]>, Listed<'a>);

/// What ends a comparison.
#[derive(Debug)]
pub(super) enum Stop {
    /// The directories cannot be read.
    System(Errno),
    /// The index cannot be read.
    Index(database::Error),
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Stop {
        Stop::System(error)
    }
}

impl From<database::Error> for Stop {
    fn from(error: database::Error) -> Stop {
        Stop::Index(error)
    }
}

/// Compares what `pass` lists with what the index knows of `mailbox`, in which letters mean what `letters` says by now.
pub(super) fn compare(
    index: &Index,
    mailbox: &Mailbox,
    letters: &Keywords,
    folders: &Folders,
    pass: &Pass,
) -> Result<Findings, Stop> {
    let mut files = files_of(index, mailbox, folders, pass)?.peekable();
    let mut findings = Findings::default();
    let mut suspects: Vec<(Filed, Listed<'_>)> = Vec::new();
    let mut new = New::default();
    let mut missing: Vec<Filed> = Vec::new();
    let relettered = (mailbox.letters != *letters).then_some((&mailbox.letters, letters));
    index.each_by_name(mailbox.key, |row| {
        while let Some(file) = files.next_if(|(key, _)| **key < *row.unique_name) {
            new.push(file);
        }
        let Some((_, listed)) = files.next_if(|(key, _)| **key == *row.unique_name) else {
            missing.push(row.filed()?);
            return Ok(());
        };
        if listed.inode != row.inode {
            suspects.push((row.filed()?, listed));
        } else if relettered.is_some() || (row.folder, row.info) != (listed.folder, listed.info()) {
            findings.renamed.extend(renamed(row.filed()?, &listed, relettered));
        }
        Ok(())
    })?;
    files.for_each(|file| new.push(file));
    for (filed, listed) in suspects {
        judge(folders, mailbox, filed, &listed, relettered, &mut findings)?;
    }
    let mut missing: HashMap<FileStamp, Vec<Filed>> = by_stamp(missing);
    let New { plain, others } = new;
    let plain_ones = plain.iter().map(|at| pass.listed(*at)).map(|listed| (Cow::Borrowed(listed.unique), listed));
    findings.fresh.reserve_exact(plain.len());
    for (key, listed) in plain_ones.chain(others) {
        let Some(stamp) = stamp_of(folders, &listed)? else { continue };
        match (renamed_apart(folders, &listed, missing.get_mut(&stamp))?, key) {
            (Some(filed), key) => {
                let (unique_name, info) = (key.into_owned(), listed.info().to_vec());
                findings.renamed_apart.push(filed.uid);
                findings.renamed.push(Filed { unique_name, info, folder: listed.folder, ..filed });
            }
            (None, Cow::Borrowed(_)) => findings.fresh.push(Fresh { at: listed.at, stamp }),
            (None, Cow::Owned(key)) => findings.arrived.push(arrival(key, &listed, stamp)),
        }
    }
    for filed in missing.into_values().flatten() {
        findings.missing.push(filed.uid);
        if let Some(print) = filed.print.filter(|_| !filed.keywords.is_empty()) {
            findings.parted.push((filed.stamp, (print, filed.keywords)));
        }
    }
    findings.put_in_order(pass);
    Ok(findings)
}

/// Files that are not in the index under the names that they have.
#[derive(Default)]
struct New<'a> {
    /// Those that are known by their own names, by their places in the reading.
    plain: Vec<u32>,
    others: Vec<Keyed<'a>>,
}

impl<'a> New<'a> {
    fn push(&mut self, file: Keyed<'a>) {
        match file {
            (Cow::Borrowed(_), listed) => self.plain.push(listed.at),
            other => self.others.push(other),
        }
    }
}

/// Which of the messages that are missing a file is under another unique name: some programs put down in it what UID or
/// what size they know. That it has the stamp of one proves nothing alone: whoever removes a file and writes another
/// one at once gets the same inode, and one synchronizer gives both the date of their messages.
fn renamed_apart(
    folders: &Folders,
    listed: &Listed<'_>,
    alike: Option<&mut Vec<Filed>>,
) -> Result<Option<Filed>, Errno> {
    let Some(alike) = alike.filter(|alike| alike.iter().any(|filed| filed.print.is_some())) else { return Ok(None) };
    let Some(print) = print_of(folders, listed.folder, listed.name)? else { return Ok(None) };
    let at = alike.iter().position(|filed| filed.print == Some(print));
    Ok(at.map(|at| alike.swap_remove(at)))
}

fn by_stamp(messages: Vec<Filed>) -> HashMap<FileStamp, Vec<Filed>> {
    let mut by_stamp: HashMap<FileStamp, Vec<Filed>> = HashMap::new();
    for filed in messages {
        by_stamp.entry(filed.stamp).or_default().push(filed);
    }
    by_stamp
}

/// The files by what they are known by, in order. Of several with one unique name that are the same file, one counts; of
/// several files, each is known by what it was known by, whatever its flags are, and one of the others by the name alone.
fn files_of<'a>(
    index: &Index,
    mailbox: &Mailbox,
    folders: &Folders,
    pass: &'a Pass,
) -> Result<impl Iterator<Item = Keyed<'a>>, Stop> {
    let mut crowded: Vec<Keyed<'a>> = Vec::new();
    let mut shared = index.shared_names(mailbox.key)?;
    // Of files that shared a name, one may be left.
    let left: HashSet<&[u8]> =
        pass.singles().map(|listed| listed.unique).filter(|unique| shared.contains_key(*unique)).collect();
    let alone = pass.singles().filter(|listed| left.contains(listed.unique)).map(|listed| vec![listed]);
    for crowd in pass.crowds().chain(alone) {
        let mut by_inode: BTreeMap<u64, Listed<'a>> = BTreeMap::new();
        for listed in crowd {
            // Not every file system lists the inode that it tells of the file itself: some list the same for all.
            let Some(FileStamp { inode, .. }) = stamp_of(folders, &listed)? else { continue };
            // A move from `new` to `cur` by link(2) and unlink(2) shows both for a moment; what is in `cur` comes last.
            by_inode.insert(inode, Listed { inode, ..listed });
        }
        let mut distinct: Vec<Listed<'a>> = by_inode.into_values().collect();
        distinct.sort_by_key(|listed| (std::cmp::Reverse(listed.folder), listed.name));
        let Some(unique) = distinct.first().map(|listed| listed.unique) else { continue };
        let mut known = shared.remove(unique).unwrap_or_default();
        known.extend(index.message_named(mailbox.key, unique)?.map(|filed| (filed.stamp.inode, filed.unique_name)));
        let mut taken: BTreeSet<Vec<u8>> = BTreeSet::new();
        let (seen, unseen): (Vec<_>, Vec<_>) = distinct.into_iter().partition(|it| known.contains_key(&it.inode));
        for listed in seen.into_iter().chain(unseen) {
            let told_apart = [unique, b"\0", listed.folder.as_str().as_bytes(), listed.info()].concat();
            let by_number = [told_apart.as_slice(), b"\0", listed.inode.to_string().as_bytes()].concat();
            let mut keys = known.remove(&listed.inode).into_iter().chain([unique.to_vec(), told_apart, by_number]);
            let Some(key) = keys.find(|key| !taken.contains(key)) else { continue };
            taken.insert(key.clone());
            crowded.push((Cow::Owned(key), listed));
        }
    }
    crowded.sort_by(|(one, _), (other, _)| one.cmp(other));
    let singles = pass.singles().filter(move |listed| !left.contains(listed.unique));
    let mut singles = singles.map(|listed| (Cow::Borrowed(listed.unique), listed)).peekable();
    let mut crowded = crowded.into_iter().peekable();
    Ok(std::iter::from_fn(move || match (singles.peek(), crowded.peek()) {
        (Some((single, _)), Some((other, _))) if other < single => crowded.next(),
        (None, _) => crowded.next(),
        _ => singles.next(),
    }))
}

/// A message as it stands now, if that is not how it stood.
fn renamed(filed: Filed, listed: &Listed<'_>, letters: Option<(&Keywords, &Keywords)>) -> Option<Filed> {
    let moved = filed.folder != listed.folder || filed.info != listed.info();
    let means_else = letters.is_some_and(|(then, now)| {
        flags_of(&filed.info, then, &filed.keywords) != flags_of(listed.info(), now, &filed.keywords)
    });
    let now = Filed { folder: listed.folder, info: listed.info().to_vec(), ..filed };
    (moved || means_else).then_some(now)
}

/// What became of a message whose name another inode has: a tree that was restored or copied has new inodes for old mail.
fn judge(
    folders: &Folders,
    mailbox: &Mailbox,
    filed: Filed,
    listed: &Listed<'_>,
    letters: Option<(&Keywords, &Keywords)>,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let Some(stamp) = stamp_of(folders, listed)? else {
        findings.missing.push(filed.uid);
        return Ok(());
    };
    match likeness(&filed, &stamp, || print_of(folders, listed.folder, listed.name))? {
        Likeness::Rewritten => {
            warn_of_rewriting(mailbox, listed.name);
            findings.rewritten.push(filed.uid);
            findings.arrived.push(Arrival { keywords: filed.keywords, ..arrival(filed.unique_name, listed, stamp) });
        }
        likeness => {
            findings.replaced.extend((likeness == Likeness::Restamped).then_some((filed.uid, stamp)));
            findings.renamed.extend(renamed(filed, listed, letters));
        }
    }
    Ok(())
}

/// Whether a file still is the message that the index knows under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It is the file that was seen.
    Same,
    /// It is another file, or was touched, and holds the same message.
    Restamped,
    /// It holds something else.
    Rewritten,
}

/// Compares a file with what the index knows of the message. `read` is asked for who the message is only where nothing
/// else tells.
pub(super) fn likeness(
    filed: &Filed,
    stamp: &FileStamp,
    read: impl FnOnce() -> Result<Option<Print>, Errno>,
) -> Result<Likeness, Errno> {
    // A power cut or a full disk leaves files without contents; nobody writes such a message. It is damaged, and not gone
    // in favour of another one: the other side may hold the last good copy.
    if *stamp == filed.stamp || stamp.size == 0 {
        return Ok(Likeness::Same);
    }
    if stamp.size != filed.stamp.size {
        return Ok(Likeness::Rewritten);
    }
    match filed.print.filter(|_| stamp.mtime != filed.stamp.mtime) {
        // Nobody has read it yet: of as many octets, it is taken for what it was.
        None => Ok(Likeness::Restamped),
        Some(known) if read()?.is_none_or(|print| print == known) => Ok(Likeness::Restamped),
        Some(_) => Ok(Likeness::Rewritten),
    }
}

/// Says that somebody has changed a message, which nobody may (RFC 9051 §2.3.1.1).
pub(super) fn warn_of_rewriting(mailbox: &Mailbox, name: &[u8]) {
    tracing::warn!(
        "the file {} of \"{}\" was given other contents; it counts as a new message",
        String::from_utf8_lossy(name).escape_debug(),
        mailbox.name
    );
}

/// A file that no row speaks of. It was received when it was last written.
fn arrival(unique_name: Vec<u8>, listed: &Listed<'_>, stamp: FileStamp) -> Arrival {
    Arrival {
        unique_name,
        folder: listed.folder,
        info: listed.info().to_vec(),
        keywords: Default::default(),
        stamp,
        internal_date: stamp.internal_date(),
        print: None,
    }
}

/// The stamp of a file; `None` for what is gone or no file.
fn stamp_of(folders: &Folders, listed: &Listed<'_>) -> Result<Option<FileStamp>, Errno> {
    let Some(directory) = folders.get(listed.folder) else { return Ok(None) };
    match statat(directory, listed.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(Some(FileStamp::of(&stat))),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::endpoint::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, NameEncoding};
    use super::super::refresh::Depth;
    use super::super::tree::Tree;
    use crate::mail::{Access, MailboxName};

    /// Two kinds of lists hold what is new, and one order goes through both.
    #[test]
    fn what_arrives_gets_its_uids_by_date_whether_or_not_it_shares_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("Mail/INBOX");
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(home.join(part)).unwrap();
        }
        let by_date = ["new/b", "cur/c:2,S", "cur/d:2,", "new/a", "cur/b:2,S", "new/e"];
        for (at, name) in by_date.iter().enumerate().rev() {
            fs::write(home.join(name), name).unwrap();
            // Two of one date are in the order of their names.
            let seconds = [10, 20, 20, 30, 40, 50][at];
            let file = File::options().write(true).open(home.join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
        let endpoint = Endpoint {
            path: directory.path().join("Mail"),
            layout: Layout::Fs,
            inbox: None,
            names: NameEncoding::Utf8,
            keywords: KeywordStorage::Index,
            durability: Durability::Unsynced,
            access: Access::ReadWrite,
        };
        let mut tree = Tree::open(&endpoint, &IndexFile::Kept(directory.path().join("index"))).unwrap();
        tree.mailboxes().unwrap();
        let mailbox = tree.refreshed(&MailboxName::inbox(), Depth::Afresh).unwrap();
        let filed = tree.index.messages(mailbox.key, &tree.index.all_uids(mailbox.key).unwrap()).unwrap();
        let filed = filed
            .values()
            .map(|filed| format!("{}/{}", filed.folder.as_str(), String::from_utf8_lossy(&filed.file_name())));
        assert_eq!(filed.collect::<Vec<_>>(), by_date);
    }
}
