//! Answers what has changed since a checkpoint, out of the index.

use rustix::fs::{Access as Right, AtFlags, accessat};

use crate::mail::{Access, FlagMap, MailboxName, MailboxStatus, Observation, PermanentFlags, Silence, UidSet};
use crate::store::{Cause, Error, Wanted};

use super::absence::Absence;
use super::fault;
use super::flags::flags_of;
use super::refresh::Depth;
use super::tree::Tree;

impl Tree {
    /// Looks at mailboxes.
    pub(super) fn observe(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error> {
        let names: Vec<MailboxName> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
        let mut failed = self.refresh(&names, Depth::IfChanged)?;
        wanted
            .iter()
            .map(|wanted| match failed.remove(&wanted.name) {
                Some(error) => Ok(Err(error)),
                None => self.observed(wanted),
            })
            .collect()
    }

    fn observed(&self, wanted: &Wanted) -> Result<Result<Observation, Error>, Error> {
        let Some(mailbox) = self.index.mailbox(&wanted.name)? else { return Ok(Err(fault::gone(&wanted.name))) };
        let since = wanted.since.and_then(|since| mailbox.resumed(&since));
        let mut messages = FlagMap::new();
        self.index.each_changed(mailbox.key, since, |uid, info, keywords| {
            messages.insert(uid, flags_of(info, &mailbox.letters, &keywords));
        })?;
        let silence = match since {
            Some(since) => Silence::Unchanged { vanished: self.index.expunged(mailbox.key, since)? },
            None => Silence::Gone,
        };
        Ok(Ok(Observation {
            status: mailbox.status,
            permanent_flags: PermanentFlags::all(),
            access: self.access(&wanted.name),
            messages,
            silence,
        }))
    }

    /// Whether the directories of a mailbox may be written to.
    fn access(&self, name: &MailboxName) -> Access {
        let Ok(home) = self.folders(name, "opened").map(|folders| folders.home) else { return Access::ReadOnly };
        let may = |name: &str| match accessat(&home, name, Right::WRITE_OK | Right::EXEC_OK, AtFlags::EACCESS) {
            // What is missing is made where it is needed.
            Ok(()) | Err(rustix::io::Errno::NOENT) => true,
            Err(_) => false,
        };
        if ["cur", "new", "tmp"].into_iter().all(may) { Access::ReadWrite } else { Access::ReadOnly }
    }

    /// Every UID of a mailbox, of now.
    pub(super) fn census(&mut self, name: &MailboxName) -> Result<Option<(MailboxStatus, UidSet)>, Error> {
        if self.index.mailbox(name)?.is_none()
            && let Ok(place) = self.names.place_of(name)
            && let Absence::Doubtful(why) = self.absence_of(&place)
        {
            // Of an index that was lost nothing else can be told.
            return Err(Error::mailbox(Cause::Storage, format!("whether \"{name}\" is gone is not known: {why}")));
        }
        match self.refreshed(name, Depth::Afresh) {
            Ok(mailbox) => Ok(Some((mailbox.status, self.index.all_uids(mailbox.key)?))),
            Err(error) if error.cause == Cause::NoSuchMailbox => Ok(None),
            Err(error) => Err(error),
        }
    }
}
