//! Counting a mailbox afresh: STATUS, SELECT and UID SEARCH, so that a mass disappearance is not believed on one word.

use super::connection::Reply;
use super::list::complete;
use super::observe::below;
use super::response::{Code, Response, Vanished};
use super::select::{Selected, unsaid};
use super::store::{ImapStore, Selection};
use crate::mail::{MailboxName, MailboxStatus, Uid, UidSet};
use crate::store::{Cause, Error, Reach, UidScope};

/// How often a mailbox is counted before its numbers are given up on: mail may arrive and go meanwhile.
const ATTEMPTS: usize = 3;

impl ImapStore {
    pub(super) async fn count(&mut self, name: &MailboxName) -> Result<Option<(MailboxStatus, UidSet)>, Error> {
        for _ in 0..ATTEMPTS {
            match self.count_once(name).await? {
                Count::Agreed(status, uids) => return Ok(Some((status, uids))),
                Count::NoSuchMailbox => return Ok(None),
                Count::Disagreed => {}
            }
        }
        let text = format!("what the server says about the number of messages in {name} does not agree");
        Err(Error::mailbox(Cause::Protocol, text))
    }

    async fn count_once(&mut self, name: &MailboxName) -> Result<Count, Error> {
        let wire = self.wire(name)?;
        // What is selected is closed first, so that what is said belongs to what is opened afresh.
        let mut commands = self.unselect_commands();
        let first = commands.len();
        commands.push(format!("STATUS {wire} ({})", self.status_items()));
        commands.push(format!("SELECT {wire}"));
        commands.push(self.capabilities.search("ALL"));
        let mut status: Option<MailboxStatus> = None;
        let mut selected = Selected::default();
        let mut uids = UidSet::new();
        let mut vanished = UidSet::new();
        let mut disturbed = false;
        let mut unreadable = None;
        let mut completions = Vec::new();
        self.selection = Selection::Something;
        self.connection
            .flight(commands, |index, reply| match (index.checked_sub(first), reply) {
                (None, _) => {}
                (Some(_), Reply::Done(completion)) => completions.push(completion),
                (Some(_), Reply::Unreadable(reason)) => unreadable = Some(reason),
                (_, Reply::Untagged(Response::Status(items))) if wire.is_meant_by(&items.name) => {
                    status = complete(&items);
                }
                (Some(1), Reply::Untagged(Response::Untagged { code: Some(code), .. })) if code != Code::Closed => {
                    selected.notice(&code);
                }
                (Some(1), Reply::Untagged(Response::Exists(messages))) => {
                    selected.messages.get_or_insert(messages);
                }
                (Some(1 | 2), Reply::Untagged(Response::Vanished { when: Vanished::Now, uids })) => {
                    vanished = vanished.union(&uids);
                }
                (Some(1 | 2), Reply::Untagged(Response::Expunge(_))) => disturbed = true,
                (Some(2), Reply::Untagged(Response::Search(found) | Response::ESearch { all: found, .. })) => {
                    uids = uids.union(&found);
                }
                _ => {}
            })
            .await?;
        let [_, select, search] = completions.as_slice() else {
            return Err(Error::side(Cause::Protocol, "a command was not answered"));
        };
        if !select.is_ok() {
            self.selection = Selection::Nothing;
            let gone = select.says_there_is_none() || (!select.has_reason() && !self.is_listed(&wire).await?);
            return match gone {
                true => Ok(Count::NoSuchMailbox),
                false => Err(select.refusal(Reach::Mailbox, &format!("to open {name}"))),
            };
        }
        if !search.is_ok() && selected.messages != Some(0) {
            return Err(search.refusal(Reach::Mailbox, &format!("to list the messages of {name}")));
        }
        if let Some(reason) = unreadable {
            return Err(Error::mailbox(Cause::Protocol, format!("{name}: {reason}")));
        }
        let status = status.ok_or_else(|| unsaid(name, "status"))?;
        if selected.uid_next.is_none() {
            selected.uid_next =
                uids.last().and_then(|last| Uid::new(last.get().checked_add(1)?)).max(Some(status.uid_next));
        }
        let opened = selected.status().map_err(|what| unsaid(name, what))?;
        self.selection = Selection::Mailbox(UidScope { name: name.clone(), uid_validity: opened.uid_validity });
        self.appended = false;
        self.note_kept_keywords(name, selected.kept_flags());
        let uids = uids.difference(&vanished);
        let known: UidSet = uids.intersection(&below(opened.uid_next));
        let expected = u64::from(opened.messages).saturating_sub(vanished.intersection(&below(opened.uid_next)).len());
        let agreed = !disturbed
            && status.uid_validity == opened.uid_validity
            && status.uid_next <= opened.uid_next
            && known.len() == expected
            && (status.messages == opened.messages || status.uid_next != opened.uid_next);
        Ok(match (agreed, u32::try_from(uids.len())) {
            (true, Ok(messages)) => Count::Agreed(MailboxStatus { messages, ..opened }, uids),
            _ => Count::Disagreed,
        })
    }
}

enum Count {
    Agreed(MailboxStatus, UidSet),
    Disagreed,
    NoSuchMailbox,
}
