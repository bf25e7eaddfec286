//! What the user wants: which mailboxes, which changes in which direction, and how much may go at once.

use std::collections::BTreeSet;

use crate::mail::{Both, Listed, MailboxName, Pattern, Side};

use super::NameMap;

/// What the user wants of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Which mailboxes take part.
    pub selection: Selection,
    /// How names differ between the sides.
    pub names: NameMap,
    /// Which changes leave each side: `flow.remote` is `pull`, `flow.local` is `push`.
    pub flow: Both<BTreeSet<Flow>>,
    /// Whether each side may be changed at all (`read-only`).
    pub writing: Both<Writing>,
    /// Whether a mailbox that is missing on a side may be created there.
    pub creation: Both<Creation>,
    /// What becomes of a mailbox that was deleted on the other side.
    pub delete_mailboxes: DeleteMailboxes,
    /// How much of a mailbox may be expunged in one run; `None` once the user has said `--allow-deletes`.
    pub max_delete: Option<MaxDelete>,
    /// Whether subscriptions are kept in line.
    pub subscriptions: Choice,
}

impl Policy {
    /// Everything in both directions, as a configuration without any option says it.
    pub fn two_way() -> Policy {
        let everything = || BTreeSet::from([Flow::New, Flow::Flags, Flow::Gone]);
        Policy {
            selection: Selection::everything(),
            names: NameMap::default(),
            flow: Both::from_fn(|_| everything()),
            writing: Both { local: Writing::Allowed, remote: Writing::Allowed },
            creation: Both { local: Creation::Allowed, remote: Creation::Allowed },
            delete_mailboxes: DeleteMailboxes::Guarded,
            max_delete: Some(MaxDelete::default()),
            subscriptions: Choice::Yes,
        }
    }

    /// Whether a change of that kind, made on side `from`, is carried to the other side.
    pub fn carries(&self, from: Side, flow: Flow) -> bool {
        self.writing[from.other()] == Writing::Allowed && self.flow[from].contains(&flow)
    }

    /// Whether a mailbox may be created on `side`.
    pub fn may_create(&self, side: Side) -> bool {
        self.writing[side] == Writing::Allowed && self.creation[side] == Creation::Allowed
    }
}

/// A kind of change that can flow from one side to the other: the words of `pull` and `push`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    /// Messages and mailboxes that appeared.
    New,
    /// Flags and keywords that changed.
    Flags,
    /// Messages and mailboxes that are gone.
    Gone,
}

/// Whether a side may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// It may.
    Allowed,
    /// `read-only = true`
    Refused,
}

/// Whether mailboxes may be created on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// They may.
    Allowed,
    /// `create` does not name the side.
    Refused,
}

/// Whether a thing is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// `delete-mailboxes`: what becomes of a mailbox that was deleted on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteMailboxes {
    /// It is deleted if it holds nothing that the other side has not seen.
    Guarded,
    /// It is deleted.
    Always,
    /// It is created again on the other side.
    Never,
}

/// `max-delete`: how much of a mailbox may be expunged in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxDelete {
    /// That many hundredths of it, 0 … 100.
    Percent(u8),
    /// That many messages.
    Messages(u64),
}

impl MaxDelete {
    /// So many may always go: a small mailbox would otherwise stop at every clean-up.
    pub const ALWAYS_ALLOWED: u64 = 20;

    /// Whether expunging `going` of `held` messages is more than the user said.
    pub fn is_exceeded(self, going: u64, held: u64) -> bool {
        going > MaxDelete::ALWAYS_ALLOWED
            && match self {
                MaxDelete::Percent(percent) => going * 100 > held * u64::from(percent),
                MaxDelete::Messages(limit) => going > limit,
            }
    }
}

impl Default for MaxDelete {
    fn default() -> MaxDelete {
        MaxDelete::Percent(50)
    }
}

/// Which mailboxes take part: `mailboxes`, `subscribed-only` and `-m`.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The patterns of the configuration over local names; the last one that matches decides.
    pub patterns: Vec<(Pattern, Choice)>,
    /// Whether only mailboxes count that a side is subscribed to.
    pub subscribed_only: Choice,
    /// The patterns of the command line; none means all.
    pub only: Vec<Pattern>,
}

impl Selection {
    /// Every mailbox.
    pub fn everything() -> Selection {
        Selection { patterns: vec![(Pattern::new("*"), Choice::Yes)], subscribed_only: Choice::No, only: vec![] }
    }

    /// Whether the mailbox of that local name takes part, subscriptions left aside.
    pub fn names(&self, name: &MailboxName) -> bool {
        let configured = self.patterns.iter().rev().find(|(pattern, _)| pattern.matches(name));
        configured.is_some_and(|(_, choice)| *choice == Choice::Yes)
            && (self.only.is_empty() || self.only.iter().any(|pattern| pattern.matches(name)))
    }

    /// The same for a mailbox that the sides list so. One that only shows messages of others takes part if the
    /// configuration names it as it is, without a wildcard.
    pub fn takes(&self, name: &MailboxName, listed: Both<Option<&Listed>>) -> bool {
        let is_view = Side::BOTH.into_iter().any(|side| listed[side].is_some_and(Listed::is_view));
        let decides = self.patterns.iter().rev().find(|(pattern, _)| pattern.matches(name));
        self.names(name) && (!is_view || decides.is_some_and(|(pattern, _)| pattern.is_exactly(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::MailboxKind;

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let selection = Selection {
            patterns: [("*", Choice::Yes), ("Junk*", Choice::No), ("Junk/keep", Choice::Yes)]
                .map(|(pattern, choice)| (Pattern::new(pattern), choice))
                .to_vec(),
            ..Selection::everything()
        };
        for (name, takes_part) in [("INBOX", true), ("Junk", false), ("Junk/old", false), ("Junk/keep", true)] {
            assert_eq!(selection.names(&MailboxName::new(name).unwrap()), takes_part, "{name}");
        }
    }

    #[test]
    fn s106_a_view_of_other_mailboxes_takes_part_only_if_it_is_named_as_it_is() {
        let listed = |special_use: &str| Listed {
            kind: MailboxKind::Mailbox,
            subscription: None,
            special_use: BTreeSet::from([special_use.to_owned()]),
            id: None,
            status: None,
        };
        let named = vec![(Pattern::new("*"), Choice::Yes), (Pattern::new("[Gmail]/All Mail"), Choice::Yes)];
        let named = Selection { patterns: named, ..Selection::everything() };
        let name = MailboxName::new("[Gmail]/All Mail").unwrap();
        for (special_use, by_wildcard) in [("all", false), ("flagged", false), ("important", false), ("archive", true)]
        {
            let listed = listed(special_use);
            for side in Side::BOTH {
                let listed = Both::from_fn(|other| (other == side).then_some(&listed));
                assert_eq!(Selection::everything().takes(&name, listed), by_wildcard, "{special_use}");
                assert!(named.takes(&name, listed), "{special_use}");
            }
        }
    }

    #[test]
    fn the_guard_counts_as_the_documentation_says() {
        let half = MaxDelete::default();
        for (going, held, exceeded) in [(20, 20, false), (21, 21, true), (21, 42, false), (22, 43, true), (0, 0, false)]
        {
            assert_eq!(half.is_exceeded(going, held), exceeded, "{going} of {held}");
        }
        assert!(MaxDelete::Messages(30).is_exceeded(31, 1000));
        assert!(!MaxDelete::Messages(30).is_exceeded(30, 1000));
        assert!(MaxDelete::Percent(0).is_exceeded(21, 1000));
    }

    #[test]
    fn a_read_only_side_is_never_written_to() {
        let mut policy = Policy::two_way();
        policy.writing.remote = Writing::Refused;
        assert!(!policy.carries(Side::Local, Flow::Gone));
        assert!(policy.carries(Side::Remote, Flow::Gone));
        assert!(!policy.may_create(Side::Remote));
    }
}
