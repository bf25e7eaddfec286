//! Changes flags, expunges and moves messages: each at the name its file is known by, which fails where somebody else was
//! faster, so that nothing is done to what has changed meanwhile.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, statat, unlinkat};
use rustix::io::Errno;

use crate::mail::{FlagChange, FlagSet, ModSeq, Uid, UidSet};
use crate::store::{Error, Expunged, Relocated, Stored, UidScope};

use super::compare::{Likeness, likeness};
use super::fault;
use super::flags::{Written, flags_of, written};
use super::folders::{Folder, Folders};
use super::index::{Arrival, Filed, Mailbox};
use super::measure::print_of;
use super::refresh::Depth;
use super::stamp::FileStamp;
use super::tree::Tree;

/// How often somebody else may be faster before a message is left alone.
const ATTEMPTS: usize = 5;

/// What came of one attempt.
enum Attempt<T> {
    Done(T),
    /// Nothing has the name any more.
    Overtaken,
}

/// The way of messages from one mailbox to another one.
struct Way {
    source: Mailbox,
    source_folders: Folders,
    target: Mailbox,
    target_folders: Folders,
    /// What has still to go.
    open: UidSet,
    /// What has gone, by what its UID was.
    moved: Vec<(Uid, Arrival)>,
}

impl Tree {
    /// Changes flags.
    pub(super) fn store_flags(
        &mut self,
        scope: &UidScope,
        changes: &[(UidSet, FlagChange)],
        unchanged_since: Option<ModSeq>,
    ) -> Result<BTreeMap<Uid, Stored>, Error> {
        let (mut mailbox, mut folders) = self.scoped(scope)?;
        let told = |errno| fault::of_mailbox(errno, &scope.name, "changed");
        let added: FlagSet = changes.iter().flat_map(|(_, change)| change.add.iter()).collect();
        self.give_letters(&mut mailbox, &folders, &added)?;
        let mut stored = BTreeMap::new();
        let mut altered: BTreeMap<Uid, Filed> = BTreeMap::new();
        for (uids, change) in changes {
            let mut open = uids.clone();
            for attempt in 0..ATTEMPTS {
                if attempt > 0 {
                    self.refreshed(&scope.name, Depth::Afresh)?;
                }
                let mut overtaken = UidSet::new();
                let mut known = self.index.messages(mailbox.key, &mailbox.given_out(&open))?;
                for uid in open.iter() {
                    let Some(filed) = altered.get(&uid).cloned().or_else(|| known.remove(&uid)) else {
                        stored.insert(uid, Stored::Gone);
                        continue;
                    };
                    let touched =
                        !altered.contains_key(&uid) && unchanged_since.is_some_and(|since| filed.modseq > since);
                    if touched {
                        stored.insert(uid, Stored::Modified);
                        continue;
                    }
                    let before = flags_of(&filed.info, &mailbox.letters, &filed.keywords);
                    let wanted = change.applied_to(&before);
                    match self.reflag(&mailbox, &mut folders, filed.clone(), &wanted).map_err(told)? {
                        Attempt::Done(now) => {
                            let flags = flags_of(&now.info, &mailbox.letters, &now.keywords);
                            stored.insert(uid, Stored::Flags(flags));
                            if now != filed {
                                altered.insert(uid, now);
                            }
                        }
                        Attempt::Overtaken => drop(overtaken.insert(uid)),
                    }
                }
                open = overtaken;
                if open.is_empty() {
                    break;
                }
                // What is known by now is not to be taken for what the next reading finds.
                self.file_altered(&mailbox, &mut altered)?;
            }
            stored.extend(open.iter().map(|uid| (uid, Stored::Modified)));
        }
        folders.sync([Folder::New, Folder::Cur], self.durability).map_err(told)?;
        self.file_altered(&mailbox, &mut altered)?;
        Ok(stored)
    }

    /// Gives a message's file the name that says these flags.
    fn reflag(
        &self,
        mailbox: &Mailbox,
        folders: &mut Folders,
        filed: Filed,
        flags: &FlagSet,
    ) -> Result<Attempt<Filed>, Errno> {
        let Written { info, keywords } = written(flags, &filed.info, &mailbox.letters);
        // What says a flag has been seen by somebody, and belongs into `cur`.
        let folder = if info == filed.info { filed.folder } else { Folder::Cur };
        let old = filed.file_name();
        let mut now = Filed { folder, info, keywords, ..filed.clone() };
        if (folder, now.file_name()) == (filed.folder, old.clone()) {
            // Nothing of it shows in the name, so the file only has to be there still.
            return Ok(match folders.get(folder).map(|directory| statat(directory, &old, AtFlags::SYMLINK_NOFOLLOW)) {
                Some(Ok(_)) => Attempt::Done(now),
                Some(Err(Errno::NOENT)) | None => Attempt::Overtaken,
                Some(Err(error)) => return Err(error),
            });
        }
        folders.made(folder)?;
        let (Some(source), Some(target)) = (folders.get(filed.folder), folders.get(folder)) else {
            return Ok(Attempt::Overtaken);
        };
        loop {
            match super::rename::without_replacing(source, &old, target, &now.file_name()) {
                Ok(()) => return Ok(Attempt::Done(now)),
                Err(Errno::NOENT) => return Ok(Attempt::Overtaken),
                // Another file with the same unique part has that name.
                Err(Errno::EXIST) => now.unique_name = self.fresh_names.next(SystemTime::now()),
                Err(error) => return Err(error),
            }
        }
    }

    fn file_altered(&mut self, mailbox: &Mailbox, altered: &mut BTreeMap<Uid, Filed>) -> Result<(), Error> {
        let altered = std::mem::take(altered);
        if altered.is_empty() {
            return Ok(());
        }
        self.index.change(|change| {
            let modseq = change.next_modseq(mailbox.key)?;
            altered.values().try_for_each(|filed| change.refile(mailbox.key, modseq, filed))
        })?;
        Ok(())
    }

    /// Expunges exactly these messages, as they are known.
    pub(super) fn expunge(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Expunged, Error> {
        let (mailbox, folders) = self.scoped(scope)?;
        let told = |errno| fault::of_mailbox(errno, &scope.name, "changed");
        let mut open = mailbox.given_out(uids);
        let mut kept = UidSet::new();
        let mut gone = Vec::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.refreshed(&scope.name, Depth::Afresh)?;
            }
            let mut overtaken = UidSet::new();
            for (uid, filed) in self.index.messages(mailbox.key, &open)? {
                if unchanged_since.is_some_and(|since| filed.modseq > since) {
                    kept.insert(uid);
                    continue;
                }
                match remove(&folders, &filed).map_err(told)? {
                    Attempt::Done(Removed::Yes) => gone.push(uid),
                    Attempt::Done(Removed::Rewritten(stamp)) => {
                        // Nobody meant what is in it now.
                        self.renumber(&mailbox, filed, &stamp)?;
                        kept.insert(uid);
                    }
                    Attempt::Overtaken => drop(overtaken.insert(uid)),
                }
            }
            open = overtaken;
            if open.is_empty() {
                break;
            }
        }
        folders.sync([Folder::New, Folder::Cur], self.durability).map_err(told)?;
        if !gone.is_empty() {
            self.index.change(|change| {
                let modseq = change.next_modseq(mailbox.key)?;
                gone.iter().try_for_each(|uid| change.expunge(mailbox.key, modseq, *uid))
            })?;
        }
        Ok(Expunged::AllBut(kept.union(&open)))
    }

    /// Moves messages into another mailbox of the tree. Where that fails in the middle, what has moved is told: nobody would
    /// find it where it is now before he copies it there once more.
    pub(super) fn relocate(&mut self, from: &UidScope, uids: &UidSet, to: &UidScope) -> Result<Relocated, Error> {
        let (source, source_folders) = self.scoped(from)?;
        let (target, target_folders) = self.scoped(to)?;
        let open = source.given_out(uids);
        let mut way = Way { source, source_folders, target, target_folders, open, moved: Vec::new() };
        let carried = self.carry_all(&mut way);
        let told = |errno| fault::of_mailbox(errno, &to.name, "written to");
        let synced = [&way.target_folders, &way.source_folders]
            .into_iter()
            .try_for_each(|folders| folders.sync([Folder::New, Folder::Cur], self.durability).map_err(told));
        if let Err(error) = carried.and(synced) {
            if way.moved.is_empty() {
                return Err(error);
            }
            tracing::warn!("not everything was moved from \"{}\" to \"{}\": {error}", from.name, to.name);
        }
        let mut relocated = Relocated { refused: way.open, ..Relocated::default() };
        if !way.moved.is_empty() {
            let (from, to, moved) = (way.source.key, way.target.key, way.moved);
            relocated.at = self.index.change(|change| {
                let (gone, here) = (change.next_modseq(from)?, change.next_modseq(to)?);
                moved
                    .iter()
                    .map(|(uid, arrival)| {
                        change.expunge(from, gone, *uid)?;
                        Ok((*uid, change.file(to, here, arrival)?))
                    })
                    .collect::<Result<_, crate::database::Error>>()
            })?;
        }
        relocated.gone = relocated.at.keys().copied().collect();
        Ok(relocated)
    }

    fn carry_all(&mut self, way: &mut Way) -> Result<(), Error> {
        let Way { source, source_folders, target, target_folders, open, moved } = way;
        let (from, to) = (source.name.clone(), target.name.clone());
        let told = |errno| fault::of_mailbox(errno, &to, "written to");
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.refreshed(&from, Depth::Afresh)?;
            }
            let known = self.index.messages(source.key, open)?;
            *open = known.keys().copied().collect();
            for (uid, filed) in known {
                let flags = flags_of(&filed.info, &source.letters, &filed.keywords);
                self.give_letters(target, target_folders, &flags)?;
                let written = written(&flags, &without_keyword_letters(&filed.info, source), &target.letters);
                match self.carry(source_folders, target_folders, &filed, written).map_err(told)? {
                    Attempt::Done(arrival) => {
                        open.remove(uid);
                        moved.push((uid, arrival));
                    }
                    Attempt::Overtaken => {}
                }
            }
            if open.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Puts one file into another mailbox.
    fn carry(
        &self,
        from: &Folders,
        to: &mut Folders,
        filed: &Filed,
        written: Written,
    ) -> Result<Attempt<Arrival>, Errno> {
        let Some(source) = from.get(filed.folder) else { return Ok(Attempt::Overtaken) };
        let folder = if written.info.is_empty() { filed.folder } else { Folder::Cur };
        let mut unique_name = filed.unique_part().to_vec();
        loop {
            let name = [unique_name.as_slice(), &written.info].concat();
            match super::rename::without_replacing(source, &filed.file_name(), to.made(folder)?, &name) {
                Ok(()) => break,
                Err(Errno::NOENT) => return Ok(Attempt::Overtaken),
                Err(Errno::EXIST) => unique_name = self.fresh_names.next(SystemTime::now()),
                Err(error) => return Err(error),
            }
        }
        let Written { info, keywords } = written;
        let Filed { stamp, internal_date, print, .. } = filed.clone();
        Ok(Attempt::Done(Arrival { unique_name, folder, info, keywords, stamp, internal_date, print }))
    }
}

/// What follows the unique part of a name, without the letters that mean something in this mailbox only.
pub(super) fn without_keyword_letters(info: &[u8], mailbox: &Mailbox) -> Vec<u8> {
    let own = flags_of(info, &mailbox.letters, &FlagSet::new());
    let plain = own.filtered(|flag| !matches!(flag, crate::mail::Flag::Keyword(_)));
    written(&plain, info, &mailbox.letters).info
}

/// What became of a file that was to be removed.
enum Removed {
    Yes,
    /// It holds something else by now.
    Rewritten(FileStamp),
}

/// Removes a message's file, if it is the one that is known.
fn remove(folders: &Folders, filed: &Filed) -> Result<Attempt<Removed>, Errno> {
    let Some(directory) = folders.get(filed.folder) else { return Ok(Attempt::Overtaken) };
    let name = filed.file_name();
    let stamp = match statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => FileStamp::of(&stat),
        Ok(_) | Err(Errno::NOENT) => return Ok(Attempt::Overtaken),
        Err(error) => return Err(error),
    };
    if likeness(filed, &stamp, || print_of(folders, filed.folder, &name))? == Likeness::Rewritten {
        return Ok(Attempt::Done(Removed::Rewritten(stamp)));
    }
    match unlinkat(directory, &name, AtFlags::empty()) {
        Ok(()) => Ok(Attempt::Done(Removed::Yes)),
        Err(Errno::NOENT) => Ok(Attempt::Overtaken),
        Err(error) => Err(error),
    }
}
