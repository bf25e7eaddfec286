//! Runs with servers that can do less, show less, or say otherwise what mailboxes are for. The numbers are those of the
//! scenario list.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/session.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod session;

use std::sync::{Arc, Mutex};

use interimap::engine::event::{Outcome, Report, Silent, Trouble};
use interimap::engine::{Order, Scrutiny, sync};
use interimap::mail::{Both, MailboxName, Pattern, Side};
use interimap::plan::{Choice, Policy};
use interimap::state::State;
use interimap::store::{Method, Store};
use session::open;
use session::server::Manner;
use session::server::account::{Account, Mailbox};

/// What a server with all that matters here can do.
const EVERYTHING: &str = "IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE NAMESPACE \
     UNSELECT LITERAL+ MULTIAPPEND";

/// The same without these.
fn without(lacking: &[&str]) -> Manner {
    let offered: Vec<&str> = EVERYTHING.split_whitespace().filter(|word| !lacking.contains(word)).collect();
    Manner { capabilities: offered.join(" "), ..Manner::default() }
}

/// Two accounts, their servers, and what is remembered of them.
struct Bed {
    accounts: Both<Arc<Mutex<Account>>>,
    manners: Both<Manner>,
    state: State,
    policy: Policy,
}

impl Bed {
    /// Local is a server that can do everything.
    fn before(remote: Manner) -> Bed {
        Bed {
            accounts: Both::from_fn(|_| Arc::new(Mutex::new(Account::default()))),
            manners: Both { local: without(&[]), remote },
            state: State::in_memory().unwrap(),
            policy: Policy::two_way(),
        }
    }

    /// The same with so many messages in INBOX, on both sides.
    async fn in_line(remote: Manner, messages: u32) -> Bed {
        let mut bed = Bed::before(remote);
        (0..messages).for_each(|number| bed.put(Side::Local, "INBOX", number));
        bed.settle().await;
        bed
    }

    fn put(&self, side: Side, name: &str, number: u32) {
        self.edit(side, name, |mailbox| {
            mailbox.deliver("", "05-May-2021 12:34:56 +0200", format!("Subject: {number}\r\n\r\ntext\r\n"));
        });
    }

    fn edit<T>(&self, side: Side, name: &str, edit: impl FnOnce(&mut Mailbox) -> T) -> T {
        edit(self.accounts[side].lock().unwrap().create(name))
    }

    fn is_for(&self, side: Side, name: &str, special_use: Option<&str>) {
        let mut account = self.accounts[side].lock().unwrap();
        account.create(name);
        account.special_uses.remove(name);
        account.special_uses.extend(special_use.map(|special_use| (name.to_owned(), special_use.to_owned())));
    }

    fn names(&self, side: Side) -> Vec<String> {
        self.accounts[side].lock().unwrap().mailboxes.keys().cloned().collect()
    }

    /// The numbers of the messages in a mailbox, each with its flags.
    fn holds(&self, side: Side, name: &str) -> Vec<(u32, String)> {
        let number = |octets: &[u8]| {
            let text = std::str::from_utf8(octets).unwrap();
            text.strip_prefix("Subject: ").and_then(|rest| rest.split('\r').next()).unwrap().parse().unwrap()
        };
        self.edit(side, name, |mailbox| {
            let held = mailbox.messages.values().map(|held| (number(&held.octets), held.flags.join(" ")));
            let mut held: Vec<(u32, String)> = held.collect();
            held.sort();
            held
        })
    }

    fn count(&self, side: Side) -> usize {
        self.holds(side, "INBOX").len()
    }

    /// How often the program has said that since [`Bed::run`] was called last.
    fn heard(&self, side: Side, command: &str) -> usize {
        self.accounts[side].lock().unwrap().heard.iter().filter(|heard| *heard == command).count()
    }

    async fn run(&mut self) -> Report {
        let Both { local, remote } = &self.accounts;
        [local, remote].iter().for_each(|account| account.lock().unwrap().heard.clear());
        let mut stores: Both<Box<dyn Store>> = Both {
            local: Box::new(open(local, &self.manners.local).await),
            remote: Box::new(open(remote, &self.manners.remote).await),
        };
        let order = Order { scrutiny: Scrutiny::Changes, now: 1_000_000 };
        let report = sync(&mut stores, &mut self.state, &self.policy, &order, &mut Silent).await;
        for side in Side::BOTH {
            assert_eq!(self.accounts[side].lock().unwrap().offences, [""; 0], "{side}");
        }
        report
    }

    /// Runs until both sides are in line; the last run has nothing to do.
    async fn settle(&mut self) {
        for _ in 0..4 {
            let report = self.run().await;
            assert_eq!(report.outcome(), Outcome::InSync, "{report:?}");
            if report.mailboxes_changed == 0 {
                return;
            }
        }
        panic!("no end to it");
    }
}

/// How the remote side is looked at.
fn method(report: &Report) -> Option<Method> {
    report.sides.remote.method
}

fn is_about_inbox(trouble: &Trouble) -> bool {
    trouble.side == Some(Side::Remote) && trouble.mailbox == Some(MailboxName::inbox())
}

#[tokio::test]
async fn s065_with_condstore_alone_changes_are_asked_for_and_what_is_left_is_searched() {
    let mut bed = Bed::in_line(without(&["QRESYNC"]), 30).await;
    bed.edit(Side::Remote, "INBOX", |mailbox| {
        mailbox.reflag(3, "\\Seen $Work", "");
        mailbox.expunge(5);
    });
    let report = bed.run().await;
    assert_eq!((method(&report), report.sides.local.expunged), (Some(Method::Condstore), 1), "{report:?}");
    assert_eq!(bed.holds(Side::Local, "INBOX"), bed.holds(Side::Remote, "INBOX"));
    bed.settle().await;
    // That the mod-sequence has risen for an expunge is no reason to ask for more.
    bed.edit(Side::Remote, "INBOX", |mailbox| mailbox.expunge(9));
    let report = bed.run().await;
    assert_eq!((bed.heard(Side::Remote, "UID FETCH"), bed.heard(Side::Remote, "UID SEARCH")), (1, 1));
    assert_eq!((report.sides.local.expunged, bed.count(Side::Local)), (1, 28), "{report:?}");
    bed.settle().await;
}

/// What one costs who has a hundred thousand messages is held in `tests/memory.rs`.
#[tokio::test]
async fn s066_without_condstore_every_flag_is_asked_for() {
    let mut bed = Bed::in_line(without(&["QRESYNC", "CONDSTORE"]), 30).await;
    bed.edit(Side::Remote, "INBOX", |mailbox| {
        mailbox.reflag(3, "\\Seen $Work", "");
        mailbox.expunge(5);
    });
    bed.put(Side::Remote, "INBOX", 100);
    let report = bed.run().await;
    assert_eq!((method(&report), report.sides.local.expunged), (Some(Method::Full), 1), "{report:?}");
    assert_eq!(bed.holds(Side::Local, "INBOX"), bed.holds(Side::Remote, "INBOX"));
    bed.settle().await;
    assert_eq!((bed.heard(Side::Remote, "UID FETCH"), bed.heard(Side::Remote, "UID SEARCH")), (1, 0));
}

/// What is not told is neither gone nor new, and a change that was carried out in part is not taken for done.
#[tokio::test]
async fn s077_nothing_is_concluded_from_an_answer_about_some_of_the_messages() {
    for lacking in [&[][..], &["QRESYNC"], &["QRESYNC", "CONDSTORE"], &["QRESYNC", "CONDSTORE", "ESEARCH"]] {
        let mut bed = Bed::in_line(without(lacking), 30).await;
        let in_line = bed.holds(Side::Local, "INBOX");
        bed.manners.remote.message_limit = Some(20);
        // What has to be looked at in full, and what is told by changes.
        for anew in [false, true] {
            if anew {
                bed.state = State::in_memory().unwrap();
            }
            bed.put(Side::Remote, "INBOX", if anew { 101 } else { 100 });
            for _ in 0..2 {
                let report = bed.run().await;
                let done = Both::from_fn(|side| (report.sides[side].expunged, report.sides[side].flagged));
                assert_eq!(done, Both { local: (0, 0), remote: (0, 0) }, "{lacking:?}: {report:?}");
                let is_told = report.troubles.iter().any(is_about_inbox);
                let resumes = lacking.is_empty() && !anew;
                assert_eq!(is_told, !resumes, "{lacking:?}: {report:?}");
                assert!(bed.holds(Side::Local, "INBOX").starts_with(&in_line), "{lacking:?}");
                assert!(bed.holds(Side::Remote, "INBOX").starts_with(&in_line), "{lacking:?}");
            }
        }
        bed.manners.remote.message_limit = None;
        bed.settle().await;
        assert_eq!(bed.holds(Side::Local, "INBOX"), bed.holds(Side::Remote, "INBOX"), "{lacking:?}");
        assert_eq!(bed.count(Side::Local), 32, "{lacking:?}");
    }
}

/// Where changes are told, each run does a part of what is to be done; elsewhere all waits, and it is said why.
#[tokio::test]
async fn s077_what_was_done_to_some_of_the_messages_is_done_to_all_in_the_end() {
    for lacking in [&[][..], &["QRESYNC"], &["QRESYNC", "CONDSTORE"]] {
        let mut bed = Bed::in_line(without(lacking), 30).await;
        bed.policy.max_delete = None;
        bed.edit(Side::Local, "INBOX", |mailbox| {
            (1..=12).for_each(|uid| mailbox.reflag(uid, "\\Flagged", ""));
            (13..=24).for_each(|uid| mailbox.expunge(uid));
        });
        let wanted = bed.holds(Side::Local, "INBOX");
        bed.manners.remote.message_limit = Some(5);
        for _ in 0..8 {
            let report = bed.run().await;
            assert_eq!(bed.holds(Side::Local, "INBOX"), wanted, "{lacking:?}");
            let is_done = bed.holds(Side::Remote, "INBOX") == wanted;
            let is_told = report.troubles.iter().any(|it| is_about_inbox(it) && it.text.contains("MESSAGELIMIT"));
            assert!(is_done || is_told, "{lacking:?}: {report:?}");
        }
        assert_eq!(bed.holds(Side::Remote, "INBOX") == wanted, lacking.is_empty(), "{lacking:?}");
        bed.manners.remote.message_limit = None;
        bed.settle().await;
        assert_eq!(bed.holds(Side::Remote, "INBOX"), wanted, "{lacking:?}");
    }
}

/// A server that shows the newest messages of a mailbox and says nowhere that there are others.
#[tokio::test]
async fn s078_a_mailbox_of_which_most_is_out_of_sight_loses_nothing() {
    for lacking in [&[][..], &["QRESYNC"], &["QRESYNC", "CONDSTORE"]] {
        let mut bed = Bed::in_line(without(lacking), 50).await;
        let hidden = bed.edit(Side::Remote, "INBOX", |mailbox| {
            let shown = mailbox.messages.split_off(&41);
            std::mem::replace(&mut mailbox.messages, shown)
        });
        bed.put(Side::Remote, "INBOX", 100);
        bed.put(Side::Local, "INBOX", 101);
        for _ in 0..3 {
            let report = bed.run().await;
            assert_eq!(report.sides.as_ref().map(|side| side.expunged), Both { local: 0, remote: 0 }, "{lacking:?}");
            assert_eq!(bed.count(Side::Local), 52, "{lacking:?}: what is new still comes");
            assert_eq!(bed.count(Side::Remote), 12, "{lacking:?}: what is out of sight is not copied there again");
            // The user is told how much would have gone, of how much, and on which side.
            let [guarded] = report.guarded.as_slice() else { panic!("{lacking:?}: {report:?}") };
            assert_eq!((guarded.side, guarded.going), (Side::Local, 40), "{lacking:?}");
            assert!((50..=52).contains(&guarded.held), "{lacking:?}: {guarded:?}");
            assert_eq!(guarded.mailbox, Some(MailboxName::inbox()), "{lacking:?}");
        }
        bed.edit(Side::Remote, "INBOX", |mailbox| mailbox.messages.extend(hidden));
        bed.settle().await;
        assert_eq!(bed.holds(Side::Local, "INBOX"), bed.holds(Side::Remote, "INBOX"), "{lacking:?}");
        assert_eq!(bed.count(Side::Local), 52, "{lacking:?}");
    }
}

/// Mailboxes are matched by their names; what they are said to be for moves none of them.
#[tokio::test]
async fn s105_a_mailbox_is_neither_doubled_nor_deleted_when_another_one_is_said_to_be_for_the_same() {
    let mut bed = Bed::before(without(&[]));
    bed.is_for(Side::Local, "Sent", Some("\\Sent"));
    bed.is_for(Side::Remote, "Sent Items", Some("\\Sent"));
    bed.put(Side::Local, "Sent", 1);
    bed.put(Side::Remote, "Sent Items", 2);
    bed.settle().await;
    let check = |bed: &Bed, when: &str| {
        for side in Side::BOTH {
            assert_eq!(bed.names(side), ["INBOX", "Sent", "Sent Items"], "{side}, {when}");
            assert_eq!(bed.holds(side, "Sent").len(), 1, "{side}, {when}");
            assert_eq!(bed.holds(side, "Sent Items").len(), 1, "{side}, {when}");
        }
    };
    check(&bed, "for the first time");
    for (when, uses) in [
        ("moved on one side", [("Sent", None), ("Sent Items", Some("\\Sent"))]),
        ("both", [("Sent", Some("\\Sent")), ("Sent Items", Some("\\Sent"))]),
        ("neither", [("Sent", None), ("Sent Items", None)]),
        ("moved back", [("Sent", Some("\\Sent")), ("Sent Items", None)]),
    ] {
        uses.into_iter().for_each(|(name, special_use)| bed.is_for(Side::Local, name, special_use));
        bed.settle().await;
        check(&bed, when);
    }
}

/// On Gmail a message is in each of its labels, in All Mail, and perhaps in Starred.
#[tokio::test]
async fn s106_what_only_shows_the_messages_of_others_is_copied_if_it_is_named() {
    const ALL: &str = "[Gmail]/All Mail";
    let mut bed = Bed::before(without(&["QRESYNC"]));
    bed.is_for(Side::Remote, ALL, Some("\\All"));
    bed.is_for(Side::Remote, "[Gmail]/Starred", Some("\\Flagged"));
    for name in ["INBOX", "work", "home", ALL, "[Gmail]/Starred"] {
        bed.put(Side::Remote, name, 1);
    }
    bed.put(Side::Remote, ALL, 2);
    bed.settle().await;
    assert_eq!(bed.names(Side::Local), ["INBOX", "home", "work"]);
    for name in ["INBOX", "home", "work"] {
        assert_eq!(bed.holds(Side::Local, name).len(), 1, "{name}");
    }
    // A label taken off is taken off, and the message stays under the others.
    bed.edit(Side::Local, "work", |mailbox| mailbox.expunge(1));
    bed.settle().await;
    for (name, count) in [("INBOX", 1), ("home", 1), ("work", 0), (ALL, 2), ("[Gmail]/Starred", 1)] {
        assert_eq!(bed.holds(Side::Remote, name).len(), count, "{name}");
    }
    bed.policy.selection.patterns.push((Pattern::new(ALL), Choice::Yes));
    bed.settle().await;
    assert_eq!(bed.names(Side::Local), ["INBOX", ALL, "home", "work"]);
    assert_eq!(bed.holds(Side::Local, ALL).len(), 2);
    // Named no longer, it is left as it is on both sides.
    bed.policy.selection.patterns.pop();
    bed.settle().await;
    assert_eq!((bed.holds(Side::Local, ALL).len(), bed.holds(Side::Remote, ALL).len()), (2, 2));
}
