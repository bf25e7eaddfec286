//! What one side has, under the names by which both sides are remembered.

use std::collections::BTreeMap;

use crate::mail::{Listed, Listing, MailboxKind, MailboxName, Side};
use crate::plan::NameMap;

/// What one side has, by local name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    /// The mailboxes that hold messages.
    pub mailboxes: BTreeMap<MailboxName, Standing>,
    /// Whether INBOX is among them.
    pub has_inbox: bool,
    /// Every name the side lists, whatever stands behind it; in its own words.
    pub names: Vec<MailboxName>,
    /// Names that the rules do not allow.
    pub troubles: Vec<NameTrouble>,
}

/// A mailbox in a roster.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its name in the side's own words.
    pub name: MailboxName,
    /// What the side says of it.
    pub listed: Listed,
}

/// A name that takes no part, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct NameTrouble {
    /// The name in the side's own words.
    pub name: MailboxName,
    /// What the side says of it.
    pub listed: Listed,
    /// Why, as a sentence without a full stop.
    pub text: String,
}

impl Roster {
    /// Brings a side's listing under local names.
    pub fn new(side: Side, listing: &Listing, names: &NameMap) -> Roster {
        let mut roster = Roster { names: listing.mailboxes.keys().cloned().collect(), ..Roster::default() };
        let real = listing.mailboxes.iter().filter(|(_, listed)| listed.kind == MailboxKind::Mailbox);
        for (name, listed) in real {
            roster.has_inbox |= name.is_inbox();
            match names.local(side, name) {
                Ok(local) => {
                    roster.mailboxes.insert(local, Standing { name: name.clone(), listed: listed.clone() });
                }
                Err(why) => {
                    let text = format!("it is left out: {why}");
                    roster.troubles.push(NameTrouble { name: name.clone(), listed: listed.clone(), text });
                }
            }
        }
        roster
    }
}
