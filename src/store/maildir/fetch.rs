//! Reads messages out of their files, with the line ends of the wire.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::mail::{Fingerprint, MailboxName, Uid, UidSet};
use crate::store::{Body, Cause, Error, Fetched, Message, Reach, UidScope};

use super::compare::{Likeness, likeness, warn_of_rewriting};
use super::fault;
use super::flags::flags_of;
use super::folders::Folders;
use super::index::{Arrival, Filed, Key, Mailbox, Print};
use super::line_ends::{Measure, ToWire};
use super::measure::{CHUNK, Opened, errno_of, measured, open_file, print};
use super::refresh::Depth;
use super::stamp::FileStamp;
use super::tree::Tree;

/// How many pieces of a large message wait to be taken.
const PIECES_AHEAD: usize = 4;
/// So many messages are looked up at once.
pub(super) const LOOKED_UP_AT_ONCE: u32 = 1024;

impl Tree {
    /// Sends messages, lowest UID first.
    pub(super) fn fetch(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
        deliver: &mpsc::Sender<Fetched>,
    ) -> Result<(), Error> {
        let (mailbox, folders) = self.scoped(scope)?;
        for uids in mailbox.given_out(uids).parts(LOOKED_UP_AT_ONCE) {
            let filed = self.index.messages(mailbox.key, &uids)?;
            let mut prints = Vec::new();
            for (uid, filed) in filed {
                if deliver.is_closed() {
                    break;
                }
                let (filed, opened) = match self.open_message(&mailbox, &folders, filed) {
                    Ok(Some(found)) => found,
                    Ok(None) => continue,
                    // A file that others have made theirs keeps nobody from reading the rest.
                    Err(error) if error.cause == Cause::NoPermission => {
                        deliver.blocking_send(Fetched::Unreadable { uid, reason: error.text }).ok();
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let print = send(&mailbox, &filed, opened, deliver)
                    .map_err(|error| cannot_be_read(errno_of(error), &mailbox.name, &filed))?;
                prints.extend(print.filter(|_| filed.print.is_none()).map(|print| (uid, print)));
            }
            self.remember_prints(mailbox.key, &prints)?;
        }
        Ok(())
    }

    /// Who these messages are.
    pub(super) fn fingerprints(
        &mut self,
        scope: &UidScope,
        uids: &UidSet,
    ) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        let mut found = BTreeMap::new();
        let (mailbox, folders) = self.scoped(scope)?;
        for uids in mailbox.given_out(uids).parts(LOOKED_UP_AT_ONCE) {
            let filed = self.index.messages(mailbox.key, &uids)?;
            let mut prints = Vec::new();
            for (uid, filed) in filed {
                let Some((filed, opened)) = self.open_message(&mailbox, &folders, filed)? else { continue };
                let print = match filed.print {
                    Some(print) => print,
                    None => {
                        let print =
                            measured(opened.file).map_err(|errno| cannot_be_read(errno, &scope.name, &filed))?;
                        prints.push((uid, print));
                        print
                    }
                };
                let Print { size, mark, header, .. } = print;
                let size = size.saturating_sub(mark);
                found.insert(uid, Fingerprint { size, internal_date: filed.internal_date, header });
            }
            self.remember_prints(mailbox.key, &prints)?;
        }
        Ok(found)
    }

    fn remember_prints(&mut self, key: Key, prints: &[(Uid, Print)]) -> Result<(), Error> {
        if prints.is_empty() {
            return Ok(());
        }
        self.index.change(|change| prints.iter().try_for_each(|(uid, print)| change.set_print(key, *uid, print)))?;
        Ok(())
    }

    /// Opens the file of a message, wherever it is by now; `None` where it is gone.
    pub(super) fn open_message(
        &mut self,
        mailbox: &Mailbox,
        folders: &Folders,
        mut filed: Filed,
    ) -> Result<Option<(Filed, Opened)>, Error> {
        /// How often somebody else may be faster.
        const ATTEMPTS: usize = 5;
        let (key, name, uid) = (mailbox.key, &mailbox.name, filed.uid);
        for _ in 0..ATTEMPTS {
            let opened = open_file(folders, filed.folder, &filed.file_name());
            if let Some(opened) = opened.map_err(|errno| cannot_be_read(errno, name, &filed))? {
                let print = || measured(opened.file.try_clone().map_err(errno_of)?).map(Some);
                let likeness = likeness(&filed, &opened.stamp, print);
                match likeness.map_err(|errno| cannot_be_read(errno, name, &filed))? {
                    Likeness::Same => return Ok(Some((filed, opened))),
                    Likeness::Restamped => {
                        (&opened.file).rewind().map_err(|error| cannot_be_read(errno_of(error), name, &filed))?;
                        self.index.change(|change| change.set_stamp(key, uid, &opened.stamp))?;
                        return Ok(Some((filed, opened)));
                    }
                    Likeness::Rewritten => {
                        self.renumber(mailbox, filed, &opened.stamp)?;
                        return Ok(None);
                    }
                }
            }
            // It was renamed, moved or deleted since the directory was read.
            self.refreshed(name, Depth::Afresh)?;
            match self.index.messages(key, &UidSet::from_iter([uid]))?.remove(&uid) {
                Some(now) => filed = now,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Takes a message whose file was given other contents for a new one: to everybody who knew it, it is gone.
    pub(super) fn renumber(&mut self, mailbox: &Mailbox, filed: Filed, stamp: &FileStamp) -> Result<(), Error> {
        warn_of_rewriting(mailbox, &filed.file_name());
        let Filed { uid, unique_name, folder, info, keywords, .. } = filed;
        let internal_date = stamp.internal_date();
        let arrival = Arrival { unique_name, folder, info, keywords, stamp: *stamp, internal_date, print: None };
        self.index.change(|change| {
            let modseq = change.next_modseq(mailbox.key)?;
            change.expunge(mailbox.key, modseq, uid)?;
            change.file(mailbox.key, modseq, &arrival).map(drop)
        })?;
        Ok(())
    }
}

/// Sends one message; answers who it is, where it was read whole. An error ends the whole fetch: a disk that fails to
/// give one file should not be asked for thousands.
fn send(
    mailbox: &Mailbox,
    filed: &Filed,
    mut opened: Opened,
    deliver: &mpsc::Sender<Fetched>,
) -> std::io::Result<Option<Print>> {
    let uid = filed.uid;
    if opened.stamp.size == 0 {
        let reason = "its file is empty".to_owned();
        deliver.blocking_send(Fetched::Unreadable { uid, reason }).ok();
        return Ok(None);
    }
    let flags = flags_of(&filed.info, &mailbox.letters, &filed.keywords);
    let message = |size, form, body| {
        Fetched::Message(Message { uid, flags, internal_date: filed.internal_date, size, form, body })
    };
    if opened.stamp.size <= Body::WHOLE_LIMIT {
        let mut octets = Vec::with_capacity(usize::try_from(opened.stamp.size).unwrap_or(0) + 1);
        (&mut opened.file).take(Body::WHOLE_LIMIT + 1).read_to_end(&mut octets)?;
        let mut wire = Vec::with_capacity(octets.len() + octets.len() / 16);
        ToWire::default().push(&octets, &mut wire);
        if wire.len() as u64 <= Body::WHOLE_LIMIT {
            let mut measure = Measure::default();
            measure.push(&octets);
            let print = print(&measure, &octets);
            deliver.blocking_send(message(print.size, print.form, Body::Whole(Bytes::from(wire)))).ok();
            return Ok(Some(print));
        }
        opened.file.rewind()?;
    }
    let print = match filed.print {
        Some(print) => print,
        None => {
            let print = measured(opened.file.try_clone()?)?;
            opened.file.rewind()?;
            print
        }
    };
    let mut source = Wire { file: opened.file, to_wire: ToWire::default(), left: print.size };
    let mut head = Vec::new();
    while head.len() < Body::HEAD_LIMIT {
        match source.next()? {
            Some(octets) => head.extend_from_slice(&octets),
            None => break,
        }
    }
    let behind = head.split_off(head.len().min(Body::HEAD_LIMIT));
    let (sender, rest) = mpsc::channel(PIECES_AHEAD);
    let body = Body::Streamed { head: Bytes::from(head), rest };
    if deliver.blocking_send(message(print.size, print.form, body)).is_err() {
        return Ok(Some(print));
    }
    let mut piece = Some(Bytes::from(behind)).filter(|behind| !behind.is_empty());
    loop {
        if let Some(octets) = piece
            && sender.blocking_send(octets).is_err()
        {
            break;
        }
        piece = match source.next()? {
            Some(octets) => Some(octets),
            None => break,
        };
    }
    Ok(Some(print))
}

/// A file as it goes over the wire, as many octets as were counted: one that grows while it is read is cut there.
struct Wire {
    file: File,
    to_wire: ToWire,
    left: u64,
}

impl Wire {
    fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let mut chunk = vec![0; CHUNK / 4];
        let read = self.file.read(&mut chunk)?;
        let mut octets = Vec::with_capacity(read + read / 16);
        self.to_wire.push(&chunk[..read], &mut octets);
        octets.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= octets.len() as u64;
        Ok((!octets.is_empty()).then(|| Bytes::from(octets)))
    }
}

fn cannot_be_read(errno: rustix::io::Errno, name: &MailboxName, filed: &Filed) -> Error {
    let (folder, file) = (filed.folder.as_str(), filed.file_name());
    let file = String::from_utf8_lossy(&file);
    fault::of_system(
        errno,
        Reach::Mailbox,
        format_args!("the file {folder}/{} of \"{name}\" cannot be read", file.escape_debug()),
    )
}
