//! LIST: every mailbox with its status, in one command (RFC 5258, RFC 5819, RFC 6154).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::connection::{Incoming, Reply};
use super::name::{WireName, quoted};
use super::parse::printable;
use super::response::{List, MailboxStatusItems, Response};
use super::store::{ImapStore, Selection};
use crate::mail::{MailboxName, MailboxStatus, Subscription};
use crate::store::{Cause, Error, Listed, Listing, MailboxKind, Reach, Unnamable};

/// Most mailboxes of one side.
const MAILBOXES_LIMIT: usize = 100_000;

/// What we want to know of a mailbox without opening it.
pub(super) const STATUS_ITEMS: &str = "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ";

/// The attributes of RFC 6154 §2 and RFC 8457: what a mailbox is for.
const SPECIAL_USES: [&str; 8] = ["all", "archive", "drafts", "flagged", "junk", "sent", "trash", "important"];

impl ImapStore {
    pub(super) async fn list(&mut self) -> Result<Listing, Error> {
        let with_ids = self.capabilities.has("OBJECTID") && !self.quirks.garbled_mailbox_ids;
        match self.list_with(if with_ids { " MAILBOXID" } else { "" }).await {
            Err(error) if with_ids && error.cause == Cause::Protocol => {
                self.connection.ensure_idle()?;
                self.quirks.garbled_mailbox_ids = true;
                self.list_with("").await
            }
            listing => listing,
        }
    }

    async fn list_with(&mut self, id: &str) -> Result<Listing, Error> {
        let command = self.list_command(id)?;
        // STATUS is not for the mailbox that is selected (RFC 9051 §6.3.11): it may be as this session last saw it.
        let commands = match self.selection {
            Selection::Nothing => vec![command],
            _ => vec![self.unselect_command().to_owned(), command],
        };
        let mut lists: Vec<List> = Vec::new();
        let mut statuses: BTreeMap<Bytes, MailboxStatusItems> = BTreeMap::new();
        let mut unreadable = None;
        let mut too_many = false;
        let mut completion = None;
        self.connection
            .flight(commands, |_, reply| match reply {
                Reply::Untagged(Response::List(_) | Response::Status(_))
                    if lists.len() >= MAILBOXES_LIMIT || statuses.len() >= MAILBOXES_LIMIT =>
                {
                    too_many = true;
                }
                Reply::Untagged(Response::List(list)) => lists.push(list),
                Reply::Untagged(Response::Status(status)) => {
                    statuses.insert(folded(&status.name), status);
                }
                Reply::Unreadable(reason) => unreadable = Some(reason),
                Reply::Done(end) => completion = Some(end),
                Reply::Untagged(_) => {}
            })
            .await?;
        self.selection = Selection::Nothing;
        if let Some(refusal) = completion.filter(|completion| !completion.is_ok()) {
            return Err(refusal.refusal(Reach::Side, "to list the mailboxes"));
        }
        if too_many {
            return Err(Error::side(Cause::Limit, format!("the server lists more than {MAILBOXES_LIMIT} mailboxes")));
        }
        // A mailbox whose line is lost would look as if it had been deleted.
        if let Some(reason) = unreadable {
            return Err(Error::side(Cause::Protocol, reason));
        }
        Ok(self.read_listing(lists, &statuses))
    }

    fn list_command(&self, id: &str) -> Result<String, Error> {
        let mut options = vec!["SUBSCRIBED".to_owned()];
        if self.capabilities.has("SPECIAL-USE") {
            options.push("SPECIAL-USE".to_owned());
        }
        options.push(format!("STATUS ({STATUS_ITEMS}{id})"));
        let prefix = &self.names.hierarchy.prefix;
        let below = quoted(&format!("{prefix}*"))
            .ok_or_else(|| Error::side(Cause::Protocol, "the prefix of this side is no name of a mailbox"))?;
        let patterns = if prefix.is_empty() { below } else { format!("(\"INBOX\" {below})") };
        Ok(format!("LIST \"\" {patterns} RETURN ({})", options.join(" ")))
    }

    fn read_listing(&mut self, lists: Vec<List>, statuses: &BTreeMap<Bytes, MailboxStatusItems>) -> Listing {
        let mut listing = Listing::default();
        self.names.forget_all();
        for list in lists {
            if self.names.hierarchy.delimiter.is_none() {
                self.names.hierarchy.delimiter = list.delimiter;
                self.profile.delimiter = list.delimiter;
            }
            match self.read_name(&list) {
                Ok(name) => {
                    let listed = listed(&list, statuses.get(&folded(&list.name)));
                    merge(listing.mailboxes.entry(name), listed);
                }
                // What holds no messages has nothing to be left out: a level that a server put above `INBOX.INBOX.x`.
                Err(_) if kind(&list) != MailboxKind::Mailbox => {}
                Err(reason) => {
                    listing.unnamable.push(Unnamable { name: printable(&list.name), reason });
                }
            }
        }
        listing
    }

    fn read_name(&mut self, list: &List) -> Result<MailboxName, String> {
        let name = self.names.hierarchy.read(&list.name, list.delimiter)?;
        let wire = WireName::new(&list.name).ok_or("it is not in modified UTF-7")?;
        match self.names.learn(&name, wire) {
            Ok(()) => Ok(name),
            Err(first) => Err(format!("it would have the same name as {first}")),
        }
    }

    /// Whether there is a mailbox of that name that can be selected, asked for afresh.
    pub(super) async fn is_listed(&mut self, name: &WireName) -> Result<bool, Error> {
        let mut found = false;
        let mut unreadable = None;
        let ticket = self.connection.queue(&format!("LIST \"\" {name}"));
        let completion = self
            .connection
            .answer(ticket, |incoming| match incoming {
                Incoming::Untagged(Response::List(list)) if name.is_meant_by(&list.name) => {
                    found |= kind(&list) == MailboxKind::Mailbox;
                }
                Incoming::Unreadable(reason) => unreadable = Some(reason),
                _ => {}
            })
            .await?;
        match unreadable {
            _ if !completion.is_ok() => Err(completion.refusal(Reach::Mailbox, &format!("to list {name}"))),
            // The line that is lost may have been the one.
            Some(reason) => Err(Error::mailbox(Cause::Protocol, reason)),
            None => Ok(found),
        }
    }
}

/// A repeated line says nothing new, but may say more (`quirks`: listed-twice).
fn merge(entry: std::collections::btree_map::Entry<'_, MailboxName, Listed>, listed: Listed) {
    entry
        .and_modify(|known| {
            known.special_use.extend(listed.special_use.iter().cloned());
            known.status = known.status.or(listed.status);
        })
        .or_insert(listed);
}

fn listed(list: &List, status: Option<&MailboxStatusItems>) -> Listed {
    let has = |attribute: &str| list.attributes.iter().any(|other| other == attribute);
    let special_use: BTreeSet<String> = SPECIAL_USES.into_iter().filter(|name| has(name)).map(str::to_owned).collect();
    let kind = kind(list);
    Listed {
        kind,
        subscription: if has("subscribed") { Subscription::Subscribed } else { Subscription::Unsubscribed },
        special_use,
        id: status.and_then(|status| status.mailbox_id.clone()),
        status: status.filter(|_| kind == MailboxKind::Mailbox).and_then(complete),
    }
}

/// `\NonExistent` implies `\Noselect` (RFC 5258 §3).
fn kind(list: &List) -> MailboxKind {
    let has = |attribute: &str| list.attributes.iter().any(|other| other == attribute);
    match (has("nonexistent"), has("noselect")) {
        (true, _) => MailboxKind::Missing,
        (false, true) => MailboxKind::Container,
        (false, false) => MailboxKind::Mailbox,
    }
}

/// The status, if all of it was said. A HIGHESTMODSEQ that is missing is one that is not kept.
pub(super) fn complete(items: &MailboxStatusItems) -> Option<MailboxStatus> {
    Some(MailboxStatus {
        uid_validity: items.uid_validity?,
        uid_next: items.uid_next?,
        highest_modseq: items.highest_modseq.flatten(),
        messages: items.messages?,
    })
}

/// A name to look a status up by: INBOX has many spellings.
fn folded(name: &Bytes) -> Bytes {
    match name.eq_ignore_ascii_case(b"INBOX") {
        true => Bytes::from_static(b"INBOX"),
        false => name.clone(),
    }
}
