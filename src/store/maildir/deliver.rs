//! Delivers messages: written and synced in `tmp`, then given their names, and only then told to the index.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, fstat, fsync, futimens, openat, unlinkat};
use rustix::io::Errno;

use crate::mail::{FlagSet, HeaderDigest, InternalDate};
use crate::store::{Appended, Body, Cause, Error, Message, Reach, UidScope};

use super::endpoint::{Durability, KeywordStorage};
use super::fault;
use super::flags::{Written, flags_of, written};
use super::folders::{Folder, Folders};
use super::index::{Arrival, Mailbox, Print};
use super::line_ends::ToDisk;
use super::measure::{errno_of, mark_of};
use super::stamp::FileStamp;
use super::tree::Tree;

/// What files in `tmp` are called that are ours.
const PREFIX: &str = "interimap-";
/// Files in `tmp` that are as old were left by a run that was killed.
const LEFT_OVER: i64 = 36 * 3600;
/// So many files are synced at once: what the disk has to wait for, it waits for once.
const SYNCED_AT_ONCE: usize = 16;

/// A message that lies in `tmp`.
pub(super) struct Draft {
    file: File,
    temporary: String,
    flags: FlagSet,
    arrival: Arrival,
}

/// How a file that is about to be written will stand in its mailbox.
pub(super) struct Place {
    pub(super) folder: Folder,
    pub(super) info: Vec<u8>,
    pub(super) keywords: FlagSet,
    pub(super) internal_date: InternalDate,
    pub(super) print: Option<Print>,
}

/// What became of one message so far.
pub(super) enum Fate {
    Drafted(Box<Draft>),
    Refused(Error),
}

impl Tree {
    /// Appends messages to a mailbox.
    pub(super) fn append(&mut self, scope: &UidScope, messages: Vec<Message>) -> Result<Vec<Appended>, Error> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let (mut mailbox, mut folders) = self.scoped(scope)?;
        let told = |errno| fault::of_mailbox(errno, &scope.name, "written to");
        let all: FlagSet = messages.iter().flat_map(|message| message.flags.iter()).collect();
        self.give_letters(&mut mailbox, &folders, &all)?;
        let tmp = self.drafts_of(&mailbox, &folders).map_err(told)?;
        let mut fates: Vec<Fate> = Vec::with_capacity(messages.len());
        for message in messages {
            fates.push(match self.draft(&mailbox, &tmp, message) {
                Ok(draft) => Fate::Drafted(Box::new(draft)),
                Err(error) => Fate::Refused(error),
            });
        }
        self.deliver(&mailbox, &mut folders, &tmp, fates)
    }

    /// Where messages are drafted, without what killed runs have left there.
    pub(super) fn drafts_of(&mut self, mailbox: &Mailbox, folders: &Folders) -> Result<OwnedFd, Errno> {
        let tmp = folders.tmp()?;
        if self.swept.insert(mailbox.key) {
            sweep(&tmp);
        }
        Ok(tmp)
    }

    /// Puts drafts where they belong, and files them.
    pub(super) fn deliver(
        &mut self,
        mailbox: &Mailbox,
        folders: &mut Folders,
        tmp: &OwnedFd,
        mut fates: Vec<Fate>,
    ) -> Result<Vec<Appended>, Error> {
        let told = |errno| fault::of_mailbox(errno, &mailbox.name, "written to");
        if self.durability == Durability::Synced {
            sync_all(&mut fates, tmp);
        }
        let mut filled = BTreeSet::new();
        for fate in &mut fates {
            let Fate::Drafted(draft) = fate else { continue };
            match give_name(folders, tmp, draft) {
                Ok(()) => drop(filled.insert(draft.arrival.folder)),
                Err(errno) => {
                    unlinkat(tmp, draft.temporary.as_str(), AtFlags::empty()).ok();
                    *fate = Fate::Refused(fault::of_system(errno, Reach::Message, "a message cannot be delivered"));
                }
            }
        }
        folders.sync(filled, self.durability).map_err(told)?;
        let key = mailbox.key;
        let appended = self.index.change(|change| {
            let modseq = change.next_modseq(key)?;
            let mut appended = Vec::with_capacity(fates.len());
            for fate in fates {
                appended.push(match fate {
                    Fate::Drafted(draft) => {
                        Appended::At { uid: change.file(key, modseq, &draft.arrival)?, flags: draft.flags }
                    }
                    Fate::Refused(error) => Appended::Refused(error),
                });
            }
            Ok(appended)
        })?;
        Ok(appended)
    }

    /// Writes a message into `tmp`. What fails leaves nothing there.
    fn draft(&self, mailbox: &Mailbox, tmp: &OwnedFd, message: Message) -> Result<Draft, Error> {
        if message.size == 0 {
            return Err(Error::message(Cause::CannotHold, "a message without an octet is none").for_good());
        }
        let Message { flags, internal_date, size, form, body, .. } = message;
        let (header, mark) = (HeaderDigest::of(body.head()), mark_of(body.head()));
        let Written { info, keywords } = written(&flags, b"", &mailbox.letters);
        let flags = flags_of(&info, &mailbox.letters, &keywords);
        // What says no flag has not been seen by anybody.
        let folder = if info.is_empty() { Folder::New } else { Folder::Cur };
        let print = Some(Print { size, mark, form, header });
        let place = Place { folder, info, keywords, internal_date, print };
        self.draft_with(tmp, flags, place, |file| write_body(file, body, size))
    }

    /// Writes a file into `tmp` that is to have that place. What fails leaves nothing there.
    pub(super) fn draft_with(
        &self,
        tmp: &OwnedFd,
        flags: FlagSet,
        place: Place,
        write: impl FnOnce(&mut File) -> Result<(), Error>,
    ) -> Result<Draft, Error> {
        let unique_name = self.fresh_names.next(SystemTime::now());
        let temporary = format!("{PREFIX}{}", String::from_utf8_lossy(&unique_name));
        let told = |errno| fault::of_system(errno, Reach::Message, "a message cannot be written");
        let opening = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(tmp, temporary.as_str(), opening, Mode::RUSR | Mode::WUSR).map_err(told)?;
        let mut file = File::from(file);
        let Place { folder, info, keywords, internal_date, print } = place;
        let written_down = (|| {
            write(&mut file)?;
            let seconds = Timespec { tv_sec: internal_date.unix(), tv_nsec: 0 };
            futimens(&file, &Timestamps { last_access: seconds, last_modification: seconds }).map_err(told)?;
            Ok(FileStamp::of(&fstat(&file).map_err(told)?))
        })();
        let stamp = match written_down {
            Ok(stamp) => stamp,
            Err(error) => {
                unlinkat(tmp, temporary.as_str(), AtFlags::empty()).ok();
                return Err(error);
            }
        };
        let arrival = Arrival { unique_name, folder, info, keywords, stamp, internal_date, print };
        Ok(Draft { file, temporary, flags, arrival })
    }

    /// Gives letters to keywords where the mailbox keeps them so.
    pub(super) fn give_letters(
        &mut self,
        mailbox: &mut Mailbox,
        folders: &Folders,
        flags: &FlagSet,
    ) -> Result<(), Error> {
        let has_file = mailbox.look.is_some_and(|look| look.stamps.keywords.is_some());
        if self.keywords == KeywordStorage::Index && !has_file {
            return Ok(());
        }
        let missing = super::flags::without_letter(flags, &mailbox.letters);
        if missing.is_empty() {
            return Ok(());
        }
        let borne = self.index.letters_borne(mailbox.key)?;
        let added = super::keyword_file::add(folders, &missing, &borne, self.durability);
        let letters = added.map_err(|errno| match errno {
            Errno::BUSY => {
                let text = format!("another program keeps the keywords of \"{}\" locked", mailbox.name);
                Error::mailbox(Cause::Storage, text)
            }
            errno => fault::of_mailbox(errno, &mailbox.name, "given keywords"),
        })?;
        self.index.change(|change| change.set_letters(mailbox.key, &letters))?;
        mailbox.letters = letters;
        Ok(())
    }
}

/// Writes a body with the line ends of the disk.
fn write_body(file: &mut File, body: Body, size: u64) -> Result<(), Error> {
    let told = |error| fault::of_system(errno_of(error), Reach::Message, "a message cannot be written");
    let mut to_disk = ToDisk::default();
    let mut out = Vec::new();
    let (head, mut rest) = match body {
        Body::Whole(octets) => (octets, None),
        Body::Streamed { head, rest } => (head, Some(rest)),
    };
    let mut came = head.len() as u64;
    to_disk.push(&head, &mut out);
    while let Some(octets) = rest.as_mut().and_then(|rest| rest.blocking_recv()) {
        file.write_all(&out).map_err(told)?;
        out.clear();
        came += octets.len() as u64;
        to_disk.push(&octets, &mut out);
    }
    to_disk.finish(&mut out);
    file.write_all(&out).map_err(told)?;
    match came == size {
        true => Ok(()),
        false => Err(Error::mailbox(
            Cause::ConnectionLost,
            format!("a message broke off after {came} of {size} octets and was not stored"),
        )),
    }
}

/// Syncs files side by side: the disk then waits once for many of them.
fn sync_all(fates: &mut [Fate], tmp: &OwnedFd) {
    let share = fates.len().div_ceil(SYNCED_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        for fates in fates.chunks_mut(share) {
            let sync = move || {
                for fate in fates {
                    let Fate::Drafted(draft) = fate else { continue };
                    if let Err(errno) = fsync(&draft.file) {
                        unlinkat(tmp, draft.temporary.as_str(), AtFlags::empty()).ok();
                        *fate = Fate::Refused(fault::of_system(errno, Reach::Message, "a message cannot be written"));
                    }
                }
            };
            scope.spawn(sync);
        }
    });
}

/// Gives a message its place, where no other file may have its name.
fn give_name(folders: &mut Folders, tmp: &OwnedFd, draft: &mut Draft) -> Result<(), Errno> {
    let name = [draft.arrival.unique_name.as_slice(), &draft.arrival.info].concat();
    super::rename::without_replacing(tmp, draft.temporary.as_bytes(), folders.made(draft.arrival.folder)?, &name)
}

/// Removes what killed runs have left in `tmp`. Only what is surely ours: others write there, too.
fn sweep(tmp: &OwnedFd) {
    let Ok(directory) = rustix::fs::Dir::read_from(tmp) else { return };
    let now = super::refresh::now() / 1_000_000_000;
    for entry in directory.flatten() {
        let name = entry.file_name();
        let is_old = || {
            rustix::fs::statat(tmp, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| now.saturating_sub(stat.st_ctime) > LEFT_OVER)
        };
        if name.to_bytes().starts_with(PREFIX.as_bytes()) && is_old() {
            unlinkat(tmp, name, AtFlags::empty()).ok();
        }
    }
}
