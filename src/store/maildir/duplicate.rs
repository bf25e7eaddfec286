//! Copies messages into another mailbox of the tree, or beside themselves: each copy is a file of its own, for programs
//! change files where they lie, and is delivered like a message that came from elsewhere.

use std::io::copy;
use std::os::fd::OwnedFd;

use crate::mail::{FlagSet, Uid, UidSet};
use crate::store::{Appended, Cause, Error, Reach, Relocated, UidScope};

use super::alter::without_keyword_letters;
use super::deliver::{Draft, Fate, Place};
use super::fault;
use super::fetch::LOOKED_UP_AT_ONCE;
use super::flags::{Written, flags_of, written};
use super::folders::Folder;
use super::index::{Filed, Mailbox};
use super::measure::{Opened, errno_of};
use super::tree::Tree;

/// So many files are open at once.
const DELIVERED_AT_ONCE: usize = 256;

impl Tree {
    /// Copies messages. Those that are gone are passed over.
    pub(super) fn duplicate(&mut self, from: &UidScope, uids: &UidSet, to: &UidScope) -> Result<Relocated, Error> {
        let (source, source_folders) = self.scoped(from)?;
        let (mut target, mut target_folders) = self.scoped(to)?;
        let told = |errno| fault::of_mailbox(errno, &to.name, "written to");
        let tmp = self.drafts_of(&target, &target_folders).map_err(told)?;
        let mut relocated = Relocated::default();
        for uids in source.given_out(uids).parts(LOOKED_UP_AT_ONCE) {
            let mut open = self.index.messages(source.key, &uids)?.into_values();
            loop {
                let mut copied: Vec<Uid> = Vec::new();
                let mut fates: Vec<Fate> = Vec::new();
                for filed in open.by_ref().take(DELIVERED_AT_ONCE) {
                    let Some((filed, opened)) = self.open_message(&source, &source_folders, filed)? else { continue };
                    let flags = flags_of(&filed.info, &source.letters, &filed.keywords);
                    self.give_letters(&mut target, &target_folders, &flags)?;
                    copied.push(filed.uid);
                    fates.push(match self.draft_copy(&source, &target, &tmp, (filed, opened), flags) {
                        Ok(draft) => Fate::Drafted(Box::new(draft)),
                        Err(error) => Fate::Refused(error),
                    });
                }
                if copied.is_empty() && open.len() == 0 {
                    break;
                }
                let delivered = self.deliver(&target, &mut target_folders, &tmp, fates)?;
                for (uid, appended) in copied.into_iter().zip(delivered) {
                    match appended {
                        Appended::At { uid: at, .. } => drop(relocated.at.insert(uid, at)),
                        Appended::Somewhere => {}
                        Appended::Refused(error) => {
                            tracing::warn!("a message of \"{}\" was not copied to \"{}\": {error}", from.name, to.name);
                            relocated.refused.insert(uid);
                        }
                    }
                }
            }
        }
        Ok(relocated)
    }

    fn draft_copy(
        &self,
        source: &Mailbox,
        target: &Mailbox,
        tmp: &OwnedFd,
        (filed, mut opened): (Filed, Opened),
        flags: FlagSet,
    ) -> Result<Draft, Error> {
        let Written { info, keywords } =
            written(&flags, &without_keyword_letters(&filed.info, source), &target.letters);
        let folder = if info.is_empty() { filed.folder } else { Folder::Cur };
        let Filed { internal_date, print, .. } = filed;
        let size = opened.stamp.size;
        self.draft_with(tmp, flags, Place { folder, info, keywords, internal_date, print }, |file| {
            let told = |error| fault::of_system(errno_of(error), Reach::Message, "a message cannot be written");
            match copy(&mut opened.file, file).map_err(told)? == size && size > 0 {
                true => Ok(()),
                false => Err(Error::message(Cause::CannotHold, "its file is empty, or changed while it was copied")),
            }
        })
    }
}
