//! The mailboxes of a side as a listing shows them.

use std::collections::{BTreeMap, BTreeSet};

use super::{MailboxId, MailboxName, MailboxStatus, Subscription};

/// Every mailbox of a side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// By name.
    pub mailboxes: BTreeMap<MailboxName, Listed>,
    /// What the side has but no [`MailboxName`] can say.
    pub unnamable: Vec<Unnamable>,
}

/// A mailbox as a listing shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Whether it holds messages.
    pub kind: MailboxKind,
    /// Whether the user is subscribed to it; `None` where the side does not tell.
    pub subscription: Option<Subscription>,
    /// `\Sent`, `\Junk` … in lower case without the backslash (RFC 6154).
    pub special_use: BTreeSet<String>,
    /// An identity that survives renaming, where the side has one (RFC 8474).
    pub id: Option<MailboxId>,
    /// Its status; always there for [`MailboxKind::Mailbox`] unless the side kept it back (RFC 5819 §2).
    pub status: Option<MailboxStatus>,
}

impl Listed {
    /// Whether it only shows messages that other mailboxes hold (RFC 6154 §2, RFC 8457): Gmail's All Mail, Starred and
    /// Important. Whoever copies it has every message twice, and whoever expunges there may do so everywhere.
    pub fn is_view(&self) -> bool {
        ["all", "flagged", "important"].iter().any(|attribute| self.special_use.contains(*attribute))
    }
}

/// What stands behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxKind {
    /// A mailbox that holds messages.
    Mailbox,
    /// A level that only holds other mailboxes (`\Noselect`).
    Container,
    /// Nothing, but the name is subscribed to or has children (`\NonExistent`).
    Missing,
}

/// A mailbox whose name cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamable {
    /// The name as the side writes it, made printable.
    pub name: String,
    /// Why it cannot be said.
    pub reason: String,
}
