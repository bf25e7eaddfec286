//! Counting a mailbox afresh: STATUS, SELECT and UID SEARCH, so that a mass disappearance is not believed on one word.

use super::connection::Reply;
use super::list::{STATUS_ITEMS, complete};
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
        let search = if self.capabilities.has("ESEARCH") { "UID SEARCH RETURN (ALL) ALL" } else { "UID SEARCH ALL" };
        // What is selected is closed first, so that what is said belongs to what is opened afresh.
        let commands = vec![
            self.unselect_command().to_owned(),
            format!("STATUS {wire} ({STATUS_ITEMS})"),
            format!("SELECT {wire}"),
            search.to_owned(),
        ];
        let mut status = None;
        let mut selected = Selected::default();
        let mut uids = UidSet::new();
        let mut vanished = UidSet::new();
        let mut unreadable = None;
        let mut completions = Vec::new();
        self.selection = Selection::Something;
        self.connection
            .flight(commands, |index, reply| match reply {
                Reply::Done(completion) => completions.push(completion),
                Reply::Unreadable(reason) if index > 0 => unreadable = Some(reason),
                Reply::Untagged(Response::Status(items)) if wire.is_meant_by(&items.name) => status = complete(&items),
                Reply::Untagged(Response::Untagged { code: Some(code), .. }) if index == 2 && code != Code::Closed => {
                    selected.notice(&code);
                }
                Reply::Untagged(Response::Exists(messages)) if index == 2 => {
                    selected.messages.get_or_insert(messages);
                }
                Reply::Untagged(Response::Vanished { when: Vanished::Now, uids }) if index >= 2 => {
                    vanished = vanished.union(&uids);
                }
                Reply::Untagged(Response::Search(found) | Response::ESearch { all: found, .. }) if index == 3 => {
                    uids = uids.union(&found);
                }
                _ => {}
            })
            .await?;
        let [_, _, select, search] = completions.as_slice() else {
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
        if !search.is_ok() {
            return Err(search.refusal(Reach::Mailbox, &format!("to list the messages of {name}")));
        }
        if let Some(reason) = unreadable {
            return Err(Error::mailbox(Cause::Protocol, format!("{name}: {reason}")));
        }
        let opened = selected.status().map_err(|what| unsaid(name, what))?;
        self.selection = Selection::Mailbox(UidScope { name: name.clone(), uid_validity: opened.uid_validity });
        let status: MailboxStatus = status.ok_or_else(|| unsaid(name, "status"))?;
        let uids = uids.difference(&vanished);
        let known: UidSet = uids.intersection(&below(opened.uid_next));
        let expected = u64::from(opened.messages).saturating_sub(vanished.intersection(&below(opened.uid_next)).len());
        let agreed = status.uid_validity == opened.uid_validity
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

/// Every UID lower than this one.
fn below(uid: Uid) -> UidSet {
    let mut set = UidSet::new();
    set.insert_range(Uid::MIN..=uid);
    set.remove(uid);
    set
}
