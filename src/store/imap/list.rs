//! LIST: every mailbox with its status, in one command where the server can (RFC 5258, RFC 5819, RFC 6154), else by LIST,
//! LSUB and STATUS.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::connection::{Completion, Incoming, Reply};
use super::name::{WireName, quoted};
use super::parse::printable;
use super::quirks::MailboxIds;
use super::response::{List, MailboxStatusItems, Response, Status};
use super::store::{ImapStore, Selection};
use crate::mail::{MailboxName, MailboxStatus, Subscription};
use crate::store::{Cause, Error, Listed, Listing, MailboxKind, Method, Reach, Unnamable};

/// Most mailboxes of one side.
const MAILBOXES_LIMIT: usize = 100_000;

/// The attributes of RFC 6154 §2 and RFC 8457: what a mailbox is for.
const SPECIAL_USES: [&str; 8] = ["all", "archive", "drafts", "flagged", "junk", "sent", "trash", "important"];

/// What a listing has brought so far.
#[derive(Default)]
struct Gathered {
    lists: Vec<List>,
    /// The names that LSUB told of.
    subscribed: BTreeSet<Bytes>,
    statuses: BTreeMap<Bytes, MailboxStatusItems>,
    unreadable: Option<String>,
    too_many: bool,
}

impl Gathered {
    fn take(&mut self, response: Response) {
        let most = self.lists.len().max(self.statuses.len()).max(self.subscribed.len());
        match response {
            Response::List(_) | Response::Lsub(_) | Response::Status(_) if most >= MAILBOXES_LIMIT => {
                self.too_many = true;
            }
            Response::List(list) => self.lists.push(list),
            // With `\Noselect`, only something below it is subscribed to (RFC 3501 §6.3.9).
            Response::Lsub(list) if list.attributes.iter().any(|attribute| attribute == "noselect") => {}
            Response::Lsub(list) => drop(self.subscribed.insert(folded(&list.name))),
            Response::Status(mut status) => {
                let told = self.statuses.entry(folded(&status.name));
                // An identity that was asked for by itself comes in a second line.
                told.and_modify(|told| match status.messages {
                    None => told.mailbox_id = status.mailbox_id.take(),
                    Some(_) => *told = status.clone(),
                })
                .or_insert(status);
            }
            _ => {}
        }
    }

    /// A mailbox whose line is lost would look as if it had been deleted.
    fn check(&self) -> Result<(), Error> {
        match &self.unreadable {
            _ if self.too_many => {
                let text = format!("the server lists more than {MAILBOXES_LIMIT} mailboxes");
                Err(Error::side(Cause::Limit, text))
            }
            Some(reason) => Err(Error::side(Cause::Protocol, reason.clone())),
            None => Ok(()),
        }
    }
}

impl ImapStore {
    pub(super) async fn list(&mut self) -> Result<Listing, Error> {
        loop {
            let ids = self.mailbox_ids();
            match self.gather().await {
                // Garbage may be anything, also the end of a line.
                Err(error) if error.cause == Cause::Protocol && ids != MailboxIds::Unasked => {
                    self.connection.ensure_idle()?;
                    self.quirks.mailbox_ids = match ids {
                        MailboxIds::Beside => MailboxIds::Apart,
                        MailboxIds::Apart | MailboxIds::Unasked => MailboxIds::Unasked,
                    };
                }
                gathered => return gathered.map(|gathered| self.read_listing(gathered)),
            }
        }
    }

    /// As much in one command as the server takes: LIST with RETURN (RFC 5258, RFC 5819), else LIST and LSUB in one
    /// flight, and where the status does not come with them, STATUS for all in another.
    async fn gather(&mut self) -> Result<Gathered, Error> {
        let extended = match self.lists_with_return() {
            true => self.gather_extended().await?,
            false => None,
        };
        let mut gathered = match extended {
            Some(gathered) => gathered,
            None => {
                self.quirks.no_list_return = true;
                self.gather_plain().await?
            }
        };
        gathered.check()?;
        if !self.lists_with_status() {
            self.gather_statuses(&mut gathered).await?;
            gathered.check()?;
        }
        Ok(gathered)
    }

    fn lists_with_return(&self) -> bool {
        self.capabilities.has("LIST-EXTENDED") && !self.quirks.no_list_return
    }

    fn lists_with_status(&self) -> bool {
        self.lists_with_return() && self.capabilities.has("LIST-STATUS")
    }

    fn mailbox_ids(&self) -> MailboxIds {
        match self.quirks.mailbox_ids {
            _ if !self.capabilities.has("OBJECTID") => MailboxIds::Unasked,
            // Only a listing can tell those of all mailboxes at once.
            MailboxIds::Apart if !self.lists_with_status() => MailboxIds::Unasked,
            ids => ids,
        }
    }

    /// What we want to know of a mailbox without opening it.
    pub(super) fn status_items(&self) -> &'static str {
        match (self.profile.method, self.mailbox_ids()) {
            (Method::Full, MailboxIds::Beside) => "MESSAGES UIDNEXT UIDVALIDITY MAILBOXID",
            (Method::Full, _) => "MESSAGES UIDNEXT UIDVALIDITY",
            (_, MailboxIds::Beside) => "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID",
            (_, _) => "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ",
        }
    }

    /// `None` where the server refuses such a LIST, or names nothing, not even INBOX (`quirks`: no-list-return).
    async fn gather_extended(&mut self) -> Result<Option<Gathered>, Error> {
        let mut options = vec!["SUBSCRIBED".to_owned()];
        if self.capabilities.has("SPECIAL-USE") {
            options.push("SPECIAL-USE".to_owned());
        }
        if self.lists_with_status() {
            options.push(format!("STATUS ({})", self.status_items()));
        }
        let patterns = match self.patterns()?.as_slice() {
            [pattern] => pattern.clone(),
            patterns => format!("({})", patterns.join(" ")),
        };
        let mut commands = vec![format!("LIST \"\" {patterns} RETURN ({})", options.join(" "))];
        if self.mailbox_ids() == MailboxIds::Apart {
            commands.push(format!("LIST \"\" {patterns} RETURN (STATUS (MAILBOXID))"));
        }
        let (gathered, mut refusals) = self.ask_list(commands).await?;
        refusals.retain(|(index, _)| *index == 0);
        let is_unknown = |refusal: &Completion| refusal.status == Status::Bad && refusal.backoff().is_none();
        let refused = refusals.first().is_some_and(|(_, refusal)| is_unknown(refusal));
        match refusals.first() {
            Some((_, refusal)) if !refused => Err(refusal.refusal(Reach::Side, "to list the mailboxes")),
            _ => Ok((!refused && !gathered.lists.is_empty()).then_some(gathered)),
        }
    }

    async fn gather_plain(&mut self) -> Result<Gathered, Error> {
        let verbs: &[&str] = if self.quirks.no_lsub { &["LIST"] } else { &["LIST", "LSUB"] };
        let patterns = self.patterns()?;
        let command = |verb: &&str| {
            let verb = *verb;
            patterns.iter().map(move |pattern| format!("{verb} \"\" {pattern}")).collect::<Vec<_>>()
        };
        let commands: Vec<String> = verbs.iter().flat_map(command).collect();
        let (gathered, refusals) = self.ask_list(commands).await?;
        for (index, refusal) in refusals {
            match index < patterns.len() || refusal.backoff().is_some() {
                true => return Err(refusal.refusal(Reach::Side, "to list the mailboxes")),
                // Who is subscribed to what cannot be told then (`quirks`: no-lsub).
                false => self.quirks.no_lsub = true,
            }
        }
        Ok(gathered)
    }

    /// STATUS for every mailbox, one after the other in one flight. What is refused of one is no matter of the others.
    async fn gather_statuses(&mut self, gathered: &mut Gathered) -> Result<(), Error> {
        let items = self.status_items();
        let hierarchy = &self.names.hierarchy;
        let takes_part = |list: &&List| kind(list) == MailboxKind::Mailbox && !hierarchy.is_of_others(&list.name);
        let mailboxes = gathered.lists.iter().filter(takes_part);
        let names: BTreeSet<WireName> = mailboxes.filter_map(|list| WireName::new(&list.name)).collect();
        let commands = names.iter().map(|name| format!("STATUS {name} ({items})")).collect();
        let (statuses, _) = self.ask(commands).await?;
        // An unreadable status is one that was kept back; the mailbox itself was listed.
        gathered.statuses = statuses.statuses;
        gathered.too_many |= statuses.too_many;
        Ok(())
    }

    /// The commands of a listing, where no mailbox is selected: STATUS is not for the one that is (RFC 9051 §6.3.11), it
    /// may be as this session last saw it.
    async fn ask_list(&mut self, commands: Vec<String>) -> Result<(Gathered, Vec<(usize, Completion)>), Error> {
        let mut all = self.unselect_commands();
        let before = all.len();
        all.extend(commands);
        let (gathered, refusals) = self.ask(all).await?;
        // A SELECT that fails leaves no mailbox; an UNSELECT that fails leaves the one there was.
        let still_open = self.capabilities.has("UNSELECT") && refusals.iter().any(|(index, _)| *index < before);
        self.selection = if still_open { Selection::Something } else { Selection::Nothing };
        let of_ours = |(index, refusal): (usize, Completion)| Some((index.checked_sub(before)?, refusal));
        Ok((gathered, refusals.into_iter().filter_map(of_ours).collect()))
    }

    /// Sends commands in one flight; answers what came back, and which of them were refused.
    async fn ask(&mut self, commands: Vec<String>) -> Result<(Gathered, Vec<(usize, Completion)>), Error> {
        let mut gathered = Gathered::default();
        let mut refusals = Vec::new();
        self.connection
            .flight(commands, |index, reply| match reply {
                Reply::Untagged(response) => gathered.take(response),
                Reply::Unreadable(reason) => gathered.unreadable = Some(reason),
                Reply::Done(completion) if !completion.is_ok() => refusals.push((index, completion)),
                Reply::Done(_) => {}
            })
            .await?;
        Ok((gathered, refusals))
    }

    /// INBOX, and everything below the prefix of this side.
    fn patterns(&self) -> Result<Vec<String>, Error> {
        let prefix = &self.names.hierarchy.prefix;
        let below = quoted(&format!("{prefix}*"))
            .ok_or_else(|| Error::side(Cause::Protocol, "the prefix of this side is no name of a mailbox"))?;
        Ok(if prefix.is_empty() { vec![below] } else { vec!["\"INBOX\"".to_owned(), below] })
    }

    fn read_listing(&mut self, gathered: Gathered) -> Listing {
        let mut listing = Listing::default();
        self.names.forget_all();
        for list in gathered.lists {
            if self.names.hierarchy.is_of_others(&list.name) {
                continue;
            }
            if self.names.hierarchy.delimiter.is_none() {
                self.names.hierarchy.delimiter = list.delimiter;
                self.profile.delimiter = list.delimiter;
            }
            match self.read_name(&list) {
                Ok(name) => {
                    let subscription = self.subscription(&list, &gathered.subscribed);
                    let status = gathered.statuses.get(&folded(&list.name));
                    merge(listing.mailboxes.entry(name), listed(&list, subscription, status));
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

    /// RETURN (SUBSCRIBED) says it, or LSUB, or nobody.
    fn subscription(&self, list: &List, lsub: &BTreeSet<Bytes>) -> Option<Subscription> {
        let subscribed = match self.lists_with_return() {
            true => list.attributes.iter().any(|attribute| attribute == "subscribed"),
            false if self.quirks.no_lsub => return None,
            false => lsub.contains(&folded(&list.name)),
        };
        Some(if subscribed { Subscription::Subscribed } else { Subscription::Unsubscribed })
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

fn listed(list: &List, subscription: Option<Subscription>, status: Option<&MailboxStatusItems>) -> Listed {
    let has = |attribute: &str| list.attributes.iter().any(|other| other == attribute);
    let special_use: BTreeSet<String> = SPECIAL_USES.into_iter().filter(|name| has(name)).map(str::to_owned).collect();
    let kind = kind(list);
    Listed {
        kind,
        subscription,
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
