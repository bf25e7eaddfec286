//! The mailboxes as such: lists them, knows again what was renamed, creates, deletes and renames.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

use crate::mail::{Listed, Listing, MailboxKind, MailboxName, Subscription, Unnamable};
use crate::store::{Cause, Error, Reach};

use super::absence::Absence;
use super::endpoint::Layout;
use super::fault;
use super::folders::Folders;
use super::index::{Key, Mailbox, fresh_identity, fresh_uid_validity};
use super::pass::Pass;
use super::path::{Place, Root};
use super::refresh::Depth;
use super::tree::{Tree, UNMOUNTED};
use super::walk::Found;

/// How long is waited before the tree is gone through once more: a directory that is renamed while its parent is read may
/// be missed under both names.
const PAUSE: Duration = Duration::from_millis(40);
/// How often that is done until nothing changes from one time to the next.
const WALKS: usize = 16;

impl Tree {
    /// Every mailbox, with its status of now.
    pub(super) fn mailboxes(&mut self) -> Result<Listing, Error> {
        let known = self.index.mailboxes()?;
        let found = self.found(&known)?;
        let doubtful = self.adopt(&known, &found)?;
        if let Some(inode) = self.root_inode()
            && self.index.root()? != Some(inode)
        {
            self.index.change(|change| change.set_root(inode))?;
        }
        let names: Vec<MailboxName> = found.mailboxes.keys().cloned().collect();
        let failed = self.refresh(&names, Depth::IfChanged)?;
        let subscriptions = self.index.subscriptions()?;
        let mut listing = Listing { unnamable: found.unnamable.clone(), ..Listing::default() };
        for mailbox in self.index.mailboxes()? {
            let is_whole = found.mailboxes.contains_key(&mailbox.name) && !failed.contains_key(&mailbox.name);
            let listed = Listed {
                kind: MailboxKind::Mailbox,
                subscription: subscriptions.get(&mailbox.name).copied(),
                special_use: BTreeSet::new(),
                id: Some(mailbox.id),
                // What cannot be read is there, and says why when it is opened.
                status: is_whole.then_some(mailbox.status),
            };
            listing.mailboxes.insert(mailbox.name, listed);
        }
        let kind = match self.names.layout {
            Layout::Fs => MailboxKind::Container,
            Layout::MaildirPlusPlus => MailboxKind::Missing,
        };
        for name in found.containers {
            let (subscription, special_use) = (subscriptions.get(&name).copied(), BTreeSet::new());
            let listed = Listed { kind, subscription, special_use, id: None, status: None };
            listing.mailboxes.entry(name).or_insert(listed);
        }
        for unnamable in doubtful {
            if listing.unnamable.iter().all(|said| said.name != unnamable.name) {
                listing.unnamable.push(unnamable);
            }
        }
        Ok(listing)
    }

    /// What is in the tree. That a mailbox is no longer there is believed when it is missing twice; that none is there any
    /// more is not believed at all.
    fn found(&self, known: &[Mailbox]) -> Result<Found, Error> {
        let told = |errno| fault::of_system(errno, Reach::Side, format_args!("{} cannot be read", self.path.display()));
        let mut found = self.walk().map_err(told)?;
        let is_missing = |found: &Found, mailbox: &Mailbox| !found.mailboxes.contains_key(&mailbox.name);
        for _ in 0..WALKS {
            if !known.iter().any(|mailbox| is_missing(&found, mailbox)) {
                return Ok(found);
            }
            sleep(PAUSE);
            let again = self.walk().map_err(told)?;
            if again == found {
                if self.is_bereft(known, &found)? {
                    let text = format!("{} does not hold the mail that was in it: {UNMOUNTED}", self.path.display());
                    return Err(Error::side(Cause::Storage, text).for_good());
                }
                return Ok(found);
            }
            found = again;
        }
        let text = format!("the directories in {} kept changing while they were read", self.path.display());
        Err(Error::side(Cause::Storage, text))
    }

    /// Whether the tree looks as it does where its disk is not mounted: nothing of all the mail is there any more, or some is
    /// missing and the directory that it lay below is another one.
    fn is_bereft(&self, known: &[Mailbox], found: &Found) -> Result<bool, Error> {
        let mut filled = known.iter().filter(|mailbox| mailbox.status.messages > 0).peekable();
        if filled.peek().is_none() || found.mailboxes.is_empty() {
            return Ok(filled.peek().is_some());
        }
        let root = self.index.root()?;
        let is_another = root.is_some() && root != self.root_inode();
        Ok(is_another && filled.any(|mailbox| !found.mailboxes.contains_key(&mailbox.name)))
    }

    /// The inode of the directory that everything lies below, if it is there.
    fn root_inode(&self) -> Option<u64> {
        let root = self.root(Root::Tree).ok()?;
        rustix::fs::fstat(&root).ok().map(|stat| stat.st_ino)
    }

    /// Gives mailboxes that are new a row, those that were renamed their new names, and lets go of those that are gone.
    /// Answers those that are not found and may be there.
    fn adopt(&mut self, known: &[Mailbox], found: &Found) -> Result<Vec<Unnamable>, Error> {
        let names: BTreeSet<&MailboxName> = known.iter().map(|mailbox| &mailbox.name).collect();
        let mut missing: Vec<&Mailbox> = Vec::new();
        let mut doubtful = Vec::new();
        for mailbox in known.iter().filter(|mailbox| !found.mailboxes.contains_key(&mailbox.name)) {
            // A name that the tree takes no more, since it is written in another way now, stands for no directory.
            let place = self.names.place_of(&mailbox.name).ok();
            match place.as_ref().map_or(Absence::Certain, |place| self.absence_of(place)) {
                // Nobody deletes INBOX: where it is missing, its disk may be.
                Absence::Certain if mailbox.name.is_inbox() => {}
                Absence::Certain => missing.push(mailbox),
                Absence::Doubtful(_)
                    if place.iter().any(|it| found.hidden.iter().any(|hidden| it.is_within(hidden))) => {}
                Absence::Doubtful(reason) => {
                    let name = place.map_or_else(|| mailbox.name.to_string(), |place| place.to_string());
                    doubtful.push(Unnamable { name, reason });
                }
            }
        }
        let new: BTreeMap<&MailboxName, &Place> =
            found.mailboxes.iter().filter(|(name, _)| !names.contains(name)).collect();
        if missing.is_empty() && new.is_empty() {
            return Ok(doubtful);
        }
        let renamed = self.renamed(&missing, &new)?;
        let mut fresh = Vec::new();
        for name in new.keys().filter(|name| !renamed.values().any(|taken| taken == **name)) {
            fresh.push(((*name).clone(), fresh_identity()?, fresh_uid_validity()?));
        }
        let gone: Vec<Key> =
            missing.iter().map(|mailbox| mailbox.key).filter(|key| !renamed.contains_key(key)).collect();
        let renamed: Vec<(Key, MailboxName)> = renamed.into_iter().collect();
        self.index.change(|change| {
            gone.iter().try_for_each(|key| change.forget_mailbox(*key))?;
            change.rename_mailboxes(&renamed)?;
            fresh.iter().try_for_each(|(name, id, uid_validity)| change.add_mailbox(name, id, *uid_validity).map(drop))
        })?;
        Ok(doubtful)
    }

    /// Which of the mailboxes that are missing are found under another name: those of whose messages more than half are
    /// there. Of two that could be the same one, the one that has more of them is.
    fn renamed(
        &self,
        missing: &[&Mailbox],
        new: &BTreeMap<&MailboxName, &Place>,
    ) -> Result<BTreeMap<Key, MailboxName>, Error> {
        if missing.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys: Vec<Key> = missing.iter().map(|mailbox| mailbox.key).collect();
        let homes = self.index.homes(&keys)?;
        let mut likely: Vec<(u64, Key, &MailboxName)> = Vec::new();
        for (name, place) in new {
            let read = || Pass::read(&Folders::open(self.home(place)?)?, 0);
            // What cannot be read now is read, or complained of, as a mailbox of its own.
            let Ok(pass) = read() else { continue };
            let mut hits: BTreeMap<Key, u64> = BTreeMap::new();
            for key in pass.unique_names().filter_map(|name| homes.get(name)) {
                *hits.entry(*key).or_default() += 1;
            }
            likely.extend(hits.into_iter().map(|(key, hits)| (hits, key, *name)));
        }
        likely.sort_by_key(|(hits, ..)| std::cmp::Reverse(*hits));
        let mut renamed: BTreeMap<Key, MailboxName> = BTreeMap::new();
        for (hits, key, name) in likely {
            let held = missing.iter().find(|mailbox| mailbox.key == key).map_or(0, |it| u64::from(it.status.messages));
            if hits * 2 > held && !renamed.contains_key(&key) && !renamed.values().any(|taken| taken == name) {
                renamed.insert(key, name.clone());
            }
        }
        Ok(renamed)
    }

    /// Creates a mailbox.
    pub(super) fn create(&mut self, name: &MailboxName) -> Result<(), Error> {
        let place = self.place_of(name)?;
        self.make(&place).map_err(|errno| {
            fault::of_system(errno, Reach::Mailbox, format_args!("the mailbox \"{name}\" cannot be created"))
        })?;
        if self.index.mailbox(name)?.is_some() {
            return Ok(());
        }
        let (id, uid_validity) = (fresh_identity()?, fresh_uid_validity()?);
        self.index.change(|change| change.add_mailbox(name, &id, uid_validity).map(drop))?;
        Ok(())
    }

    /// Deletes a mailbox with the messages that are known to be in it. Where others have arrived, it stays with them.
    pub(super) fn delete(&mut self, name: &MailboxName) -> Result<(), Error> {
        if name.is_inbox() {
            return Err(Error::mailbox(Cause::CannotHold, "INBOX cannot be deleted").for_good());
        }
        let place = self.place_of(name)?;
        let Some(mailbox) = self.index.mailbox(name)? else { return Ok(()) };
        let mut files = Vec::new();
        self.index.each_by_name(mailbox.key, |row| {
            files.push((row.folder, row.file_name()));
            Ok(())
        })?;
        self.unmake(&place, &files).map_err(|errno| match errno {
            rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST => {
                let text = format!("\"{name}\" cannot be deleted: something has arrived in it meanwhile");
                Error::mailbox(Cause::Refused, text)
            }
            errno => fault::of_system(errno, Reach::Mailbox, format_args!("the mailbox \"{name}\" cannot be deleted")),
        })?;
        self.index.change(|change| change.forget_mailbox(mailbox.key))?;
        self.tidy(&place);
        Ok(())
    }

    /// Renames a mailbox and what is below it.
    pub(super) fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Error> {
        if from.is_inbox() || to.is_inbox() {
            return Err(Error::mailbox(Cause::CannotHold, "INBOX keeps its name").for_good());
        }
        let known = self.index.mailboxes()?;
        let moving: Vec<(Key, MailboxName, MailboxName)> = known
            .iter()
            .filter_map(|mailbox| Some((mailbox.key, mailbox.name.clone(), mailbox.name.renamed(from, to)?)))
            .collect();
        if !moving.iter().any(|(_, old, _)| old == from) {
            return Err(fault::gone(from));
        }
        if let Some(taken) = moving.iter().map(|(_, _, new)| new).find(|new| known.iter().any(|it| it.name == **new)) {
            let text = format!("\"{from}\" cannot be renamed: there is a mailbox \"{taken}\" already");
            return Err(Error::mailbox(Cause::Refused, text));
        }
        let told =
            |errno| fault::of_system(errno, Reach::Mailbox, format_args!("\"{from}\" cannot be renamed to \"{to}\""));
        match self.names.layout {
            // What is below it lies in its directory.
            Layout::Fs => {
                let (old, new) = (self.place_of(from)?, self.place_of(to)?);
                self.transfer(&old, &new).map_err(told)?;
            }
            Layout::MaildirPlusPlus => {
                for (_, old, new) in &moving {
                    let (old, new) = (self.place_of(old)?, self.place_of(new)?);
                    self.transfer(&old, &new).map_err(told)?;
                }
            }
        }
        let names: Vec<(Key, MailboxName)> = moving.into_iter().map(|(key, _, new)| (key, new)).collect();
        self.index.change(|change| change.rename_mailboxes(&names))?;
        Ok(())
    }

    /// Remembers whether the user is subscribed to a mailbox.
    pub(super) fn set_subscription(&mut self, name: &MailboxName, subscription: Subscription) -> Result<(), Error> {
        self.index.change(|change| change.set_subscription(name, subscription))?;
        Ok(())
    }
}
