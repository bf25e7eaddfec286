//! What every [`Store`] promises, whatever is behind it. `store` and `other` are two sessions of the same side, which is
//! empty but for INBOX at the beginning.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bytes::Bytes;
use interimap::mail::{
    Checkpoint, Flag, FlagChange, FlagMap, FlagSet, HeaderDigest, InternalDate, MailboxName, Measure, Observation,
    Silence, Subscription, Uid, UidSet, UidValidity,
};
use interimap::store::{
    Appended, Body, Cause, Expunged, Fetched, Form, MailboxKind, Message, Passage, Reach, Relocated, Store, Stored,
    UidScope, Wanted,
};
use tokio::sync::mpsc;

/// Everything that follows, in mailboxes of its own each.
pub(crate) async fn holds(store: &mut dyn Store, other: &mut dyn Store) {
    inbox_is_there(store).await;
    a_mailbox_comes_and_goes(store).await;
    names_survive(store).await;
    subscriptions_are_kept(store).await;
    what_is_appended_is_fetched_octet_by_octet(store).await;
    what_is_gone_is_not_sent(store).await;
    a_receiver_that_leaves_is_no_error(store).await;
    a_first_look_lists_everything(store, other).await;
    a_later_look_shows_what_changed(store, other).await;
    many_mailboxes_are_looked_at_together(store).await;
    a_checkpoint_that_cannot_be_resumed_lists_everything(store).await;
    flags_change_and_are_reported(store).await;
    what_has_changed_since_is_left_alone(store, other).await;
    exactly_what_was_meant_is_expunged(store, other).await;
    what_is_put_into_another_mailbox_is_there_as_it_was(store).await;
    what_is_copied_beside_itself_is_there_twice(store).await;
    what_cannot_be_put_anywhere_stays_where_it_is(store).await;
    a_mailbox_moves_with_its_children(store).await;
    a_census_counts_afresh(store, other).await;
    another_generation_is_not_touched(store).await;
    fingerprints_say_who_messages_are(store).await;
    messages_measure_what_their_fingerprints_say(store).await;
    one_message_refused_leaves_the_others_unharmed(store).await;
    a_missing_mailbox_is_named_as_such(store).await;
    a_message_that_breaks_off_is_not_stored(store, other).await;
}

/// What holds of a side that cannot expunge single messages and does not say where it put one.
pub(crate) async fn holds_without_uidplus(store: &mut dyn Store, other: &mut dyn Store) {
    let scope = fresh(store, "no uidplus").await;
    let texts: [&[u8]; 4] =
        [b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n", b"Subject: 3\r\n\r\n", b"Subject: 4\r\n\r\n"];
    let appended = store.append(&scope, texts.iter().map(|octets| message(octets)).collect()).await.unwrap();
    assert!(appended.iter().all(|appended| matches!(appended, Appended::Somewhere)), "{appended:?}");
    let uids: Vec<Uid> = look(store, &scope.name, None).await.messages.keys().collect();
    assert_eq!(uids.len(), 4);
    let set = |at: &[usize]| at.iter().map(|at| uids[*at]).collect::<UidSet>();

    // What others have marked is kept, and so is everything else, as it was.
    other.store_flags(&scope, &[(set(&[0]), change("\\Deleted", ""))], None).await.unwrap();
    let since = look(store, &scope.name, None).await.status.highest_modseq;
    let mut meant = set(&[1, 2]);
    meant.insert(nobody());
    assert_eq!(store.expunge(&scope, &meant, since).await.unwrap(), Expunged::Blocked(set(&[0])));
    let held = look(store, &scope.name, None).await.messages;
    let flags = ["\\Deleted", "", "", ""].map(FlagSet::parse);
    assert_eq!(held, uids.iter().copied().zip(flags).collect());

    // Without that mark it is expunged, but for what has changed since. Which is somebody's if it is marked.
    other.store_flags(&scope, &[(set(&[0]), change("", "\\Deleted"))], None).await.unwrap();
    let since = look(store, &scope.name, None).await.status.highest_modseq;
    other.store_flags(&scope, &[(set(&[2]), change("\\Deleted", ""))], None).await.unwrap();
    let left = match since {
        Some(_) => {
            assert_eq!(store.expunge(&scope, &meant, since).await.unwrap(), Expunged::Blocked(set(&[2])));
            other.store_flags(&scope, &[(set(&[2]), change("\\Flagged", "\\Deleted"))], None).await.unwrap();
            assert_eq!(store.expunge(&scope, &meant, since).await.unwrap(), Expunged::AllBut(set(&[2])));
            set(&[0, 2, 3])
        }
        None => {
            assert_eq!(store.expunge(&scope, &meant, since).await.unwrap(), Expunged::AllBut(UidSet::new()));
            set(&[0, 3])
        }
    };
    let (_, uids) = other.census(&scope.name).await.unwrap().unwrap();
    assert_eq!(uids, left);
}

async fn inbox_is_there(store: &mut dyn Store) {
    let listing = store.mailboxes().await.unwrap();
    let inbox = &listing.mailboxes[&MailboxName::inbox()];
    assert_eq!(inbox.kind, MailboxKind::Mailbox);
    assert!(inbox.status.is_some());
}

async fn a_mailbox_comes_and_goes(store: &mut dyn Store) {
    let name = name("come/and/go");
    store.create(&name).await.unwrap();
    store.create(&name).await.expect("a mailbox that exists already is no error");
    let listing = store.mailboxes().await.unwrap();
    let listed = &listing.mailboxes[&name];
    assert_eq!(listed.kind, MailboxKind::Mailbox);
    assert_eq!(listed.status.unwrap().messages, 0);
    store.delete(&name).await.unwrap();
    store.delete(&name).await.expect("a mailbox that does not exist is no error");
    let listing = store.mailboxes().await.unwrap();
    assert!(listing.mailboxes.get(&name).is_none_or(|listed| listed.kind != MailboxKind::Mailbox));
}

async fn names_survive(store: &mut dyn Store) {
    let all = [
        "names/plain",
        "names/with space",
        "names/Entwürfe",
        "names/日本語/träger",
        "names/a&b",
        "names/100%",
        "names/st*r",
        "names/say \"hi\"",
        "names/back\\slash",
        "names/dot.ted",
        "INBOX/below",
    ];
    let mut created = 0;
    for text in all {
        let name = name(text);
        if store.refuses_name(&name).is_some() {
            continue;
        }
        match store.create(&name).await {
            Ok(()) => {
                let scope = open(store, &name).await;
                append(store, &scope, &[b"Subject: here\r\n\r\n"]).await;
                let listing = store.mailboxes().await.unwrap();
                assert_eq!(listing.mailboxes[&name].status.map(|status| status.messages), Some(1), "{name}");
                created += 1;
            }
            // What is beneath a store may have rules of its own.
            Err(error) => assert_eq!(error.reach, Reach::Mailbox, "{error}"),
        }
    }
    assert!(created >= 6, "only {created} of these names could be created");
}

async fn subscriptions_are_kept(store: &mut dyn Store) {
    let name = name("subscribed");
    store.create(&name).await.unwrap();
    for subscription in [Subscription::Subscribed, Subscription::Unsubscribed] {
        store.set_subscription(&name, subscription).await.unwrap();
        assert_eq!(store.mailboxes().await.unwrap().mailboxes[&name].subscription, Some(subscription));
    }
}

async fn what_is_appended_is_fetched_octet_by_octet(store: &mut dyn Store) {
    let scope = fresh(store, "octets").await;
    let header = "From: a@example.org\r\nSubject: s\r\n\r\n";
    let large: Vec<u8> = (0..5_000_000u32).map(|n| if n % 78 == 77 { b'\n' } else { b'a' + (n % 26) as u8 }).collect();
    let large = String::from_utf8(large).unwrap().replace('\n', "\r\n");
    let bodies: Vec<Vec<u8>> = vec![
        format!("{header}hello\r\n").into(),
        format!("{header}no final line end").into(),
        [header.as_bytes(), b"eight bits: \xff\xfe\x80 \xc3\xa4\r\n"].concat(),
        format!("{header}{}\r\n", "x".repeat(70_000)).into(),
        format!("{header}a1 OK this is no answer\r\n* 5 EXISTS\r\n{{5}}\r\n.\r\nFrom x\r\n\"(\\\r\n").into(),
        "Subject: a header and nothing else\r\n\r\n".into(),
        format!("{header}{}", "0123456789abcde\r\n".repeat(15_400)).into(),
        format!("{header}{large}").into(),
        format!("{header}behind a large one\r\n").into(),
    ];
    let dates = ["17-Jul-1996 02:44:25 -0700", "01-Jan-2000 00:00:00 +0000", "29-Feb-2024 23:59:59 +0545"];
    let flags = ["", "\\Seen", "\\Seen \\Flagged $Forwarded", "\\Draft NonJunk"];
    let messages = bodies.iter().enumerate().map(|(at, body)| Message {
        flags: FlagSet::parse(flags[at % flags.len()]),
        internal_date: InternalDate::parse(dates[at % dates.len()]).unwrap(),
        ..message(body)
    });
    let messages: Vec<Message> = messages.collect();
    let appended = store.append(&scope, messages).await.unwrap();
    let uids = uids_of(store, &scope, appended.iter(), &UidSet::new()).await;
    assert!(uids.is_sorted());
    let fetched = fetch(store, &scope, &uids.iter().copied().collect()).await;
    assert_eq!(fetched.len(), bodies.len());
    for (at, (message, body)) in fetched.iter().zip(&bodies).enumerate() {
        assert_eq!(message.uid, uids[at]);
        let body = with_what_is_added(store, body);
        assert!(message.octets == body, "message {at} came back changed: {} octets", message.octets.len());
        assert_eq!(message.size, body.len() as u64);
        assert_eq!(message.flags, FlagSet::parse(flags[at % flags.len()]), "message {at}");
        assert_eq!(message.internal_date, InternalDate::parse(dates[at % dates.len()]).unwrap(), "message {at}");
    }
}

/// A message as the server keeps it: Courier ends a last line that has no end.
fn with_what_is_added(store: &dyn Store, body: &[u8]) -> Vec<u8> {
    let end: &[u8] = if is_courier(store) && !body.ends_with(b"\r\n") { b"\r\n" } else { b"" };
    [body, end].concat()
}

/// Whether the server is the test bed's Courier, which says so even where it does not greet by its name.
fn is_courier(store: &dyn Store) -> bool {
    store.profile().capabilities.iter().any(|capability| capability.starts_with("X-COURIER"))
}

async fn what_is_gone_is_not_sent(store: &mut dyn Store) {
    let scope = fresh(store, "gone").await;
    let uids = append(store, &scope, &[b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n", b"Subject: 3\r\n\r\n"]).await;
    store.expunge(&scope, &UidSet::from_iter([uids[1]]), None).await.unwrap();
    let mut asked: UidSet = uids.iter().copied().collect();
    asked.insert(nobody());
    let fetched: Vec<Uid> = fetch(store, &scope, &asked).await.into_iter().map(|message| message.uid).collect();
    assert_eq!(fetched, [uids[0], uids[2]]);
    assert!(fetch(store, &scope, &UidSet::new()).await.is_empty());
}

async fn a_receiver_that_leaves_is_no_error(store: &mut dyn Store) {
    let scope = fresh(store, "left").await;
    let large = [b"Subject: 1\r\n\r\n".as_slice(), &b"0123456789abcde\r\n".repeat(60_000)].concat();
    let uids = append(store, &scope, &[&large, &large, b"Subject: 2\r\n\r\n"]).await;
    let wanted: UidSet = uids.iter().copied().collect();
    let (deliver, receiver) = mpsc::channel(1);
    drop(receiver);
    store.fetch(&scope, &wanted, deliver).await.unwrap();
    // The reader of a body leaves, the receiver of messages stays.
    let (deliver, mut receiver) = mpsc::channel(1);
    let arrived = async {
        let mut arrived = Vec::new();
        while let Some(fetched) = receiver.recv().await {
            let Fetched::Message(message) = fetched else { panic!("{fetched:?}") };
            arrived.push(message.uid);
        }
        arrived
    };
    let (result, arrived) = tokio::join!(store.fetch(&scope, &wanted, deliver), arrived);
    result.unwrap();
    assert_eq!(arrived, uids);
    assert_eq!(fetch(store, &scope, &wanted).await.len(), 3);
}

async fn a_first_look_lists_everything(store: &mut dyn Store, other: &mut dyn Store) {
    let scope = fresh(store, "first").await;
    let uids = append(other, &scope, &[b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n"]).await;
    let seen = [(UidSet::from_iter([uids[1]]), change("\\Seen $Work", ""))];
    other.store_flags(&scope, &seen, None).await.unwrap();
    let observation = look(store, &scope.name, None).await;
    assert_eq!(observation.silence, Silence::Gone);
    assert_eq!(observation.status.uid_validity, scope.uid_validity);
    assert_eq!(observation.status.messages, 2);
    assert!(observation.status.uid_next > uids[1]);
    let flags = FlagMap::from_iter([(uids[0], FlagSet::new()), (uids[1], FlagSet::parse("\\Seen $Work"))]);
    assert_eq!(observation.messages, flags);
    let empty = fresh(store, "empty").await;
    let observation = look(store, &empty.name, None).await;
    assert!(observation.messages.is_empty() && observation.status.messages == 0);
}

async fn a_later_look_shows_what_changed(store: &mut dyn Store, other: &mut dyn Store) {
    let scope = fresh(store, "later").await;
    let texts: Vec<Vec<u8>> = (0..20).map(|n| format!("Subject: {n}\r\n\r\n").into_bytes()).collect();
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let uids = append(store, &scope, &texts).await;
    let since = Checkpoint::from(look(store, &scope.name, None).await.status);
    let status = store.mailboxes().await.unwrap().mailboxes[&scope.name].status.unwrap();
    if since.highest_modseq.is_some() {
        assert!(since.proves_unchanged(&status, 20), "{since:?} {status:?}");
    }
    let observation = look(store, &scope.name, Some(since)).await;
    if let Silence::Unchanged { vanished } = &observation.silence {
        assert!(observation.messages.is_empty(), "{observation:?}");
        assert!(uids.iter().all(|uid| !vanished.contains(*uid)));
    }

    let flagged = [(UidSet::from_iter([uids[3]]), change("\\Flagged", ""))];
    other.store_flags(&scope, &flagged, None).await.unwrap();
    let gone: UidSet = [uids[0], uids[7], uids[8]].into_iter().collect();
    assert_eq!(other.expunge(&scope, &gone, None).await.unwrap(), Expunged::AllBut(UidSet::new()));
    let new = append(other, &scope, &[b"Subject: new\r\n\r\n"]).await[0];

    let status = store.mailboxes().await.unwrap().mailboxes[&scope.name].status.unwrap();
    assert!(!since.proves_unchanged(&status, status.messages.into()));
    let observation = look(store, &scope.name, Some(since)).await;
    assert_eq!(observation.messages.get(uids[3]), Some(&FlagSet::parse("\\Flagged")));
    assert!(observation.messages.contains(new));
    assert_eq!(observation.status.messages, 18);
    match &observation.silence {
        Silence::Gone => assert_eq!(observation.messages.len(), 18),
        Silence::Unchanged { vanished } => {
            let known: UidSet = uids.iter().copied().collect();
            assert_eq!(vanished.intersection(&known), gone);
            assert_eq!(observation.messages.len(), 2);
        }
    }
}

async fn many_mailboxes_are_looked_at_together(store: &mut dyn Store) {
    let mut scopes = Vec::new();
    for n in 0..30 {
        let scope = fresh(store, &format!("many/{n}")).await;
        let texts: Vec<&[u8]> = vec![b"Subject: x\r\n\r\n"; n];
        append(store, &scope, &texts).await;
        scopes.push(scope);
    }
    let mut wanted: Vec<Wanted> = scopes.iter().map(|scope| Wanted { name: scope.name.clone(), since: None }).collect();
    wanted.insert(7, Wanted { name: name("many/nowhere"), since: None });
    let mut observations = store.observe(&wanted).await.unwrap();
    assert_eq!(observations.len(), 31);
    let error = observations.remove(7).unwrap_err();
    assert_eq!(error.reach, Reach::Mailbox, "{error}");
    for (n, observation) in observations.into_iter().enumerate() {
        assert_eq!(observation.unwrap().messages.len(), n);
    }
}

async fn a_checkpoint_that_cannot_be_resumed_lists_everything(store: &mut dyn Store) {
    let scope = fresh(store, "unresumable").await;
    append(store, &scope, &[b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n"]).await;
    let now = Checkpoint::from(look(store, &scope.name, None).await.status);
    for since in [
        Checkpoint { uid_validity: UidValidity::new(now.uid_validity.get() ^ 1).unwrap(), ..now },
        Checkpoint { uid_next: Uid::MAX, ..now },
        Checkpoint { highest_modseq: interimap::mail::ModSeq::new(i64::MAX as u64), ..now },
        Checkpoint { highest_modseq: None, ..now },
    ] {
        let observation = look(store, &scope.name, Some(since)).await;
        assert_eq!(observation.silence, Silence::Gone, "{since:?}");
        assert_eq!(observation.messages.len(), 2, "{since:?}");
        assert_eq!(Checkpoint::from(observation.status), now);
    }
}

async fn flags_change_and_are_reported(store: &mut dyn Store) {
    let scope = fresh(store, "flags").await;
    let uids = append(store, &scope, &[b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n", b"Subject: 3\r\n\r\n"]).await;
    let missing = nobody();
    let changes = [
        (UidSet::from_iter([uids[0], missing]), change("\\Seen $Work", "\\Flagged")),
        (UidSet::from_iter([uids[1], uids[2]]), change("\\Answered", "")),
    ];
    let stored = store.store_flags(&scope, &changes, None).await.unwrap();
    let flags = |text: &str| Stored::Flags(FlagSet::parse(text));
    assert_eq!(stored[&uids[0]], flags("\\Seen $Work"));
    assert_eq!(stored[&uids[1]], flags("\\Answered"));
    assert_eq!(stored[&missing], Stored::Gone);
    // Once more, and the other way: what does not change is told all the same.
    let changes = [
        (UidSet::from_iter([uids[0]]), change("\\Seen", "$work")),
        (UidSet::from_iter([uids[1]]), change("", "\\Answered \\Draft")),
        (UidSet::from_iter([uids[2]]), change("\\Answered", "")),
    ];
    let stored = store.store_flags(&scope, &changes, None).await.unwrap();
    assert_eq!(stored[&uids[0]], flags("\\Seen"));
    assert_eq!(stored[&uids[1]], flags(""));
    assert_eq!(stored[&uids[2]], flags("\\Answered"));
    let observation = look(store, &scope.name, None).await;
    assert_eq!(observation.messages.get(uids[0]), Some(&FlagSet::parse("\\Seen")));
}

async fn what_has_changed_since_is_left_alone(store: &mut dyn Store, other: &mut dyn Store) {
    let scope = fresh(store, "condition").await;
    let uids = append(store, &scope, &[b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n"]).await;
    let Some(since) = look(store, &scope.name, None).await.status.highest_modseq else { return };
    let touched = [(UidSet::from_iter([uids[0]]), change("\\Flagged", ""))];
    other.store_flags(&scope, &touched, None).await.unwrap();
    let changes = [(uids.iter().copied().collect(), change("\\Seen", "\\Draft"))];
    let stored = store.store_flags(&scope, &changes, Some(since)).await.unwrap();
    assert_eq!(stored[&uids[0]], Stored::Modified);
    assert_eq!(stored[&uids[1]], Stored::Flags(FlagSet::parse("\\Seen")));
    let observation = look(store, &scope.name, None).await;
    assert_eq!(observation.messages.get(uids[0]), Some(&FlagSet::parse("\\Flagged")));
}

async fn exactly_what_was_meant_is_expunged(store: &mut dyn Store, other: &mut dyn Store) {
    let scope = fresh(store, "expunge").await;
    let texts: [&[u8]; 4] =
        [b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n", b"Subject: 3\r\n\r\n", b"Subject: 4\r\n\r\n"];
    let uids = append(store, &scope, &texts).await;
    let foreign = [(UidSet::from_iter([uids[0]]), change("\\Deleted", ""))];
    other.store_flags(&scope, &foreign, None).await.unwrap();
    let since = look(store, &scope.name, None).await.status.highest_modseq;
    let touched = [(UidSet::from_iter([uids[2]]), change("\\Flagged", ""))];
    other.store_flags(&scope, &touched, None).await.unwrap();
    // What arrives while the mailbox is open here, and is marked before this session has heard of it.
    store.fingerprints(&scope, &UidSet::from_iter([uids[3]])).await.unwrap();
    let late = append(other, &scope, &[b"Subject: 5\r\n\r\n"]).await[0];
    other.store_flags(&scope, &[(UidSet::from_iter([late]), change("\\Deleted", ""))], None).await.unwrap();
    let mut meant: UidSet = [uids[1], uids[2]].into_iter().collect();
    meant.insert(nobody());
    let kept = match store.expunge(&scope, &meant, since).await.unwrap() {
        Expunged::AllBut(kept) => kept,
        Expunged::Blocked(others) => {
            assert_eq!(others, UidSet::from_iter([uids[0], late]));
            let observation = look(store, &scope.name, None).await;
            let marked = observation.messages.iter().filter(|(_, flags)| flags.contains(&Flag::Deleted));
            assert_eq!(marked.map(|(uid, _)| uid).collect::<Vec<_>>(), [uids[0], late]);
            assert_eq!(observation.messages.len(), 5);
            other.store_flags(&scope, &[(others, change("", "\\Deleted"))], None).await.unwrap();
            match store.expunge(&scope, &meant, since).await.unwrap() {
                Expunged::AllBut(kept) => kept,
                Expunged::Blocked(others) => panic!("nothing but {others} is marked by anybody else"),
            }
        }
    };
    let changed = if since.is_some() { vec![uids[2]] } else { vec![] };
    assert_eq!(kept, changed.iter().copied().collect());
    let remaining: Vec<Uid> = look(store, &scope.name, None).await.messages.keys().collect();
    let there = uids.iter().chain([&late]).copied();
    assert_eq!(remaining, there.filter(|uid| !meant.contains(*uid) || kept.contains(*uid)).collect::<Vec<_>>());
    assert_eq!(store.expunge(&scope, &UidSet::new(), None).await.unwrap(), Expunged::AllBut(UidSet::new()));
}

async fn what_is_put_into_another_mailbox_is_there_as_it_was(store: &mut dyn Store) {
    for passage in [Passage::Move, Passage::Copy] {
        is_there_as_it_was(store, passage).await;
    }
}

async fn is_there_as_it_was(store: &mut dyn Store, passage: Passage) {
    let [from, to] = ["from", "to"].map(|end| format!("relocate/{passage:?}/{end}"));
    let (from, to) = (fresh(store, &from).await, fresh(store, &to).await);
    append(store, &to, &[b"Subject: was here before\r\n\r\n"]).await;
    let texts: [&[u8]; 3] =
        [b"Subject: 1\r\n\r\none\r\n", b"Subject: 2\r\n\r\ntwo\r\n", b"Subject: 3\r\n\r\nthree\r\n"];
    let uids = append(store, &from, &texts).await;
    let flags = [(UidSet::from_iter([uids[2]]), change("\\Flagged $Work", ""))];
    store.store_flags(&from, &flags, None).await.unwrap();
    let before = fetch(store, &from, &uids.iter().copied().collect()).await;
    let mut asked = UidSet::from_iter([uids[0], uids[2]]);
    let wanted = asked.clone();
    asked.insert(nobody());
    let relocated = store.relocate(&from, &asked, &to, passage).await.unwrap();
    assert!(relocated.refused.is_empty(), "{relocated:?}");
    let arrived: UidSet = look(store, &to.name, None).await.messages.keys().skip(1).collect();
    assert_eq!(arrived.len(), 2);
    let after = fetch(store, &to, &arrived).await;
    for (old, uid) in [(0, uids[0]), (2, uids[2])] {
        let same = |arrived: &&Arrived| arrived.octets == before[old].octets;
        let at = after.iter().find(same).unwrap_or_else(|| panic!("{uid} did not arrive"));
        assert_eq!((&at.flags, at.internal_date), (&before[old].flags, before[old].internal_date));
        assert!(relocated.at.get(&uid).is_none_or(|told| *told == at.uid), "{relocated:?}");
    }
    assert!(relocated.at.keys().all(|uid| wanted.contains(*uid)), "{relocated:?}");
    let left: UidSet = look(store, &from.name, None).await.messages.keys().collect();
    assert!(left.contains(uids[1]), "nobody meant it");
    for uid in [uids[0], uids[2]] {
        assert_eq!(left.contains(uid), !relocated.gone.contains(uid), "{relocated:?}");
        assert!(passage == Passage::Move || left.contains(uid), "a copy takes nothing away");
    }
    assert_eq!(store.relocate(&from, &UidSet::new(), &to, passage).await.unwrap(), Relocated::default());
}

async fn what_is_copied_beside_itself_is_there_twice(store: &mut dyn Store) {
    let scope = fresh(store, "relocate/beside").await;
    let uids = append(store, &scope, &[b"Subject: 1\r\n\r\none\r\n", b"Subject: 2\r\n\r\ntwo\r\n"]).await;
    let flags = [(UidSet::from_iter([uids[0]]), change("\\Flagged", ""))];
    store.store_flags(&scope, &flags, None).await.unwrap();
    let relocated = store.relocate(&scope, &UidSet::from_iter([uids[0]]), &scope, Passage::Copy).await.unwrap();
    assert_eq!((relocated.gone, relocated.refused), (UidSet::new(), UidSet::new()));
    let all: UidSet = look(store, &scope.name, None).await.messages.keys().collect();
    let held = fetch(store, &scope, &all).await;
    assert_eq!(held.len(), 3);
    let (old, new) = (&held[0], &held[2]);
    assert_eq!((&old.octets, &old.flags, old.internal_date), (&new.octets, &new.flags, new.internal_date));
    assert!(relocated.at.get(&uids[0]).is_none_or(|told| *told == new.uid), "{:?}", relocated.at);
    // What is done to one of them is done to that one.
    store.store_flags(&scope, &[(UidSet::from_iter([new.uid]), change("\\Seen", "\\Flagged"))], None).await.unwrap();
    let held = fetch(store, &scope, &all).await;
    assert_eq!((held[0].flags.to_string(), held[2].flags.to_string()), ("\\Flagged".into(), "\\Seen".into()));
    store.expunge(&scope, &UidSet::from_iter([uids[0]]), None).await.unwrap();
    let left: UidSet = look(store, &scope.name, None).await.messages.keys().collect();
    assert_eq!(left, UidSet::from_iter([uids[1], new.uid]));
}

async fn messages_measure_what_their_fingerprints_say(store: &mut dyn Store) {
    let (first, second) = (fresh(store, "measures/a").await, fresh(store, "measures/b").await);
    let texts: [&[u8]; 2] = [b"Subject: 1\r\n\r\none\r\n", b"Subject: 2\r\n\r\ntwo and more\r\n"];
    let (ours, theirs) = (append(store, &first, &texts).await, append(store, &second, &texts[1..]).await);
    let nowhere = UidScope { name: name("measures/nowhere"), uid_validity: first.uid_validity };
    let wanted = [
        (first.clone(), UidSet::from_iter([ours[1], nobody()])),
        (nowhere, UidSet::from_iter([ours[0]])),
        (second.clone(), theirs.iter().copied().collect()),
        (first.clone(), UidSet::new()),
    ];
    let measures = store.measures_each(&wanted).await.unwrap();
    let mut expected: Vec<BTreeMap<Uid, Measure>> = Vec::new();
    for (scope, uids) in &wanted {
        let prints = store.fingerprints(scope, uids).await.unwrap_or_default();
        expected.push(prints.into_iter().map(|(uid, print)| (uid, print.measure())).collect());
    }
    assert_eq!(measures, expected);
    assert_eq!(measures.iter().map(BTreeMap::len).collect::<Vec<_>>(), [1, 0, 1, 0]);
    assert_eq!(measures[0][&ours[1]].size, texts[1].len() as u64);
}

async fn what_cannot_be_put_anywhere_stays_where_it_is(store: &mut dyn Store) {
    for passage in [Passage::Move, Passage::Copy] {
        stays_where_it_is(store, passage).await;
    }
}

async fn stays_where_it_is(store: &mut dyn Store, passage: Passage) {
    let from = fresh(store, &format!("relocate/{passage:?}/stays")).await;
    let uids: UidSet = append(store, &from, &[b"Subject: 1\r\n\r\n"]).await.into_iter().collect();
    let nowhere = UidScope { name: name("relocate/nowhere"), uid_validity: from.uid_validity };
    let error = store.relocate(&from, &uids, &nowhere, passage).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::NoSuchMailbox, Reach::Mailbox), "{error}");
    let stale = UidScope { uid_validity: UidValidity::new(from.uid_validity.get() ^ 1).unwrap(), ..from.clone() };
    let error = store.relocate(&stale, &uids, &from, passage).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::UidValidityChanged, Reach::Mailbox), "{error}");
    let held: UidSet = look(store, &from.name, None).await.messages.keys().collect();
    assert_eq!(held, uids);
}

async fn a_mailbox_moves_with_its_children(store: &mut dyn Store) {
    let scope = fresh(store, "from").await;
    append(store, &scope, &[b"Subject: parent\r\n\r\n"]).await;
    let below = fresh(store, "from/below").await;
    append(store, &below, &[b"Subject: child\r\n\r\n", b"Subject: child\r\n\r\n"]).await;
    store.rename(&name("from"), &name("moved/to")).await.unwrap();
    let listing = store.mailboxes().await.unwrap();
    for (text, messages) in [("moved/to", 1), ("moved/to/below", 2)] {
        assert_eq!(listing.mailboxes[&name(text)].status.map(|status| status.messages), Some(messages), "{text}");
    }
    let is_mailbox =
        |text| listing.mailboxes.get(&name(text)).is_some_and(|listed| listed.kind == MailboxKind::Mailbox);
    assert!(!is_mailbox("from") && !is_mailbox("from/below"));
    match store.rename(&name("nowhere"), &name("elsewhere")).await {
        Err(error) => assert_eq!(error.reach, Reach::Mailbox, "{error}"),
        // It says that it has renamed what it never had.
        Ok(()) => assert!(is_courier(store)),
    }
}

async fn a_census_counts_afresh(store: &mut dyn Store, other: &mut dyn Store) {
    let scope = fresh(store, "census").await;
    let uids = append(store, &scope, &[b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n", b"Subject: 3\r\n\r\n"]).await;
    look(store, &scope.name, None).await;
    other.expunge(&scope, &UidSet::from_iter([uids[0]]), None).await.unwrap();
    let (status, counted) = store.census(&scope.name).await.unwrap().unwrap();
    assert_eq!(counted, UidSet::from_iter([uids[1], uids[2]]));
    assert_eq!((status.messages, status.uid_validity), (2, scope.uid_validity));
    assert_eq!(store.census(&name("nowhere")).await.unwrap(), None);
    let empty = fresh(store, "census/empty").await;
    assert!(store.census(&empty.name).await.unwrap().unwrap().1.is_empty());
}

async fn another_generation_is_not_touched(store: &mut dyn Store) {
    let scope = fresh(store, "generation").await;
    let uids = append(store, &scope, &[b"Subject: 1\r\n\r\n"]).await;
    let set = UidSet::from_iter([uids[0]]);
    let stale = UidScope { uid_validity: UidValidity::new(scope.uid_validity.get() ^ 1).unwrap(), ..scope.clone() };
    let (deliver, _receiver) = mpsc::channel(1);
    let errors = [
        store.fetch(&stale, &set, deliver).await.unwrap_err(),
        store.fingerprints(&stale, &set).await.unwrap_err(),
        store.store_flags(&stale, &[(set.clone(), change("\\Seen", ""))], None).await.unwrap_err(),
        store.expunge(&stale, &set, None).await.unwrap_err(),
        store.append(&stale, vec![message(b"Subject: 2\r\n\r\n")]).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.cause, error.reach), (Cause::UidValidityChanged, Reach::Mailbox), "{error}");
    }
    let observation = look(store, &scope.name, None).await;
    assert_eq!(observation.messages, FlagMap::from_iter([(uids[0], FlagSet::new())]));
}

async fn fingerprints_say_who_messages_are(store: &mut dyn Store) {
    let scope = fresh(store, "fingerprints").await;
    let texts: [&[u8]; 3] = [
        b"From: a@x\r\nTo: b@y\r\nSubject: one\r\n two\r\nDate: today\r\nMessage-ID: <1@x>\r\nX: y\r\n\r\nSubject: no\r\n",
        b"Received: x\r\nSubject: short\r\n\r\nbody\r\n",
        b"X-Nothing: known\r\n\r\nbody\r\n",
    ];
    let uids = append(store, &scope, &texts).await;
    let mut asked: UidSet = uids.iter().copied().collect();
    asked.insert(nobody());
    let fingerprints = store.fingerprints(&scope, &asked).await.unwrap();
    assert_eq!(fingerprints.keys().copied().collect::<Vec<_>>(), uids);
    for (text, fingerprint) in texts.iter().zip(fingerprints.values()) {
        assert_eq!(fingerprint.size, text.len() as u64);
        assert_eq!(fingerprint.internal_date, date());
        assert_eq!(fingerprint.header, HeaderDigest::of(text));
    }
}

async fn one_message_refused_leaves_the_others_unharmed(store: &mut dyn Store) {
    let scope = fresh(store, "refused").await;
    let messages = vec![message(b"Subject: 1\r\n\r\n"), message(b""), message(b"Subject: 2\r\n\r\n")];
    let appended = store.append(&scope, messages).await.unwrap();
    let Appended::Refused(error) = &appended[1] else { panic!("{appended:?}") };
    assert_eq!((error.cause, error.reach), (Cause::CannotHold, Reach::Message), "{error}");
    let uids = uids_of(store, &scope, [&appended[0], &appended[2]].into_iter(), &UidSet::new()).await;
    let uids = uids.into_iter().collect();
    let subjects: Vec<Vec<u8>> = fetch(store, &scope, &uids).await.into_iter().map(|message| message.octets).collect();
    assert_eq!(subjects, [b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n"]);
    assert!(store.append(&scope, Vec::new()).await.unwrap().is_empty());
}

async fn a_missing_mailbox_is_named_as_such(store: &mut dyn Store) {
    let scope = UidScope { name: name("nowhere"), uid_validity: UidValidity::new(1).unwrap() };
    let error = store.append(&scope, vec![message(b"Subject: 1\r\n\r\n")]).await.unwrap_err();
    assert_eq!(error.reach, Reach::Mailbox, "{error}");
}

/// The last one: the session need not survive it.
async fn a_message_that_breaks_off_is_not_stored(store: &mut dyn Store, other: &mut dyn Store) {
    let scope = fresh(store, "broken off").await;
    let (sender, rest) = mpsc::channel(1);
    sender.send(Bytes::from(vec![b'x'; 50_000])).await.unwrap();
    drop(sender);
    let head = Bytes::from_static(b"Subject: cut short\r\n\r\n");
    let broken = Message { size: 1_000_000, body: Body::Streamed { head, rest }, ..message(b"") };
    let result = store.append(&scope, vec![broken]).await;
    assert!(!matches!(result.as_deref(), Ok([Appended::At { .. } | Appended::Somewhere])), "{result:?}");
    let (status, uids) = other.census(&scope.name).await.unwrap().unwrap();
    assert!(status.messages == 0 && uids.is_empty(), "{uids}");
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

/// A UID that no message of these tests has.
fn nobody() -> Uid {
    Uid::new(1_000_000).unwrap()
}

fn date() -> InternalDate {
    InternalDate::parse("05-May-2021 12:34:56 +0200").unwrap()
}

fn change(add: &str, remove: &str) -> FlagChange {
    FlagChange { add: FlagSet::parse(add), remove: FlagSet::parse(remove) }
}

/// Where messages are that were appended to a mailbox in which these were. A side without UIDPLUS does not tell.
async fn uids_of(
    store: &mut dyn Store,
    scope: &UidScope,
    appended: impl Iterator<Item = &Appended>,
    before: &UidSet,
) -> Vec<Uid> {
    let uid = |appended: &Appended| match appended {
        Appended::At { uid, .. } => Some(*uid),
        Appended::Somewhere => None,
        Appended::Refused(error) => panic!("{error}"),
    };
    let told: Vec<Option<Uid>> = appended.map(uid).collect();
    if told.iter().all(Option::is_some) {
        return told.into_iter().flatten().collect();
    }
    let found = store.census(&scope.name).await.unwrap().unwrap().1.difference(before);
    assert_eq!(found.len(), told.len() as u64);
    found.iter().collect()
}

/// A message to be appended: streamed where it is too large to be handed over whole.
fn message(octets: &[u8]) -> Message {
    let body = match octets.len() as u64 <= Body::WHOLE_LIMIT {
        true => Body::Whole(Bytes::copy_from_slice(octets)),
        false => {
            let pieces: Vec<Bytes> = octets[Body::HEAD_LIMIT..].chunks(60_000).map(Bytes::copy_from_slice).collect();
            let (sender, rest) = mpsc::channel(pieces.len());
            for piece in pieces {
                sender.try_send(piece).unwrap();
            }
            Body::Streamed { head: Bytes::copy_from_slice(&octets[..Body::HEAD_LIMIT]), rest }
        }
    };
    Message {
        uid: Uid::MIN,
        flags: FlagSet::new(),
        internal_date: date(),
        size: octets.len() as u64,
        form: Form::Text,
        body,
    }
}

async fn open(store: &mut dyn Store, name: &MailboxName) -> UidScope {
    let status = store.mailboxes().await.unwrap().mailboxes[name].status.unwrap();
    UidScope { name: name.clone(), uid_validity: status.uid_validity }
}

async fn fresh(store: &mut dyn Store, text: &str) -> UidScope {
    store.create(&name(text)).await.unwrap();
    open(store, &name(text)).await
}

async fn append(store: &mut dyn Store, scope: &UidScope, texts: &[&[u8]]) -> Vec<Uid> {
    let messages = texts.iter().map(|text| message(text)).collect();
    let before = store.census(&scope.name).await.unwrap().unwrap().1;
    let appended = store.append(scope, messages).await.unwrap();
    uids_of(store, scope, appended.iter(), &before).await
}

async fn look(store: &mut dyn Store, name: &MailboxName, since: Option<Checkpoint>) -> Observation {
    let wanted = [Wanted { name: name.clone(), since }];
    let mut observations = store.observe(&wanted).await.unwrap();
    assert_eq!(observations.len(), 1);
    observations.remove(0).unwrap()
}

/// A message that has arrived in full.
struct Arrived {
    uid: Uid,
    flags: FlagSet,
    internal_date: InternalDate,
    size: u64,
    octets: Vec<u8>,
}

async fn fetch(store: &mut dyn Store, scope: &UidScope, uids: &UidSet) -> Vec<Arrived> {
    let (deliver, mut receiver) = mpsc::channel(2);
    let arrived = async {
        let mut arrived = Vec::new();
        while let Some(fetched) = receiver.recv().await {
            let Fetched::Message(message) = fetched else { panic!("{fetched:?}") };
            let octets = match message.body {
                Body::Whole(octets) => {
                    assert!(octets.len() as u64 <= Body::WHOLE_LIMIT);
                    octets.to_vec()
                }
                Body::Streamed { head, mut rest } => {
                    assert!(head.len() == Body::HEAD_LIMIT || head.len() as u64 == message.size);
                    let mut octets = head.to_vec();
                    while let Some(piece) = rest.recv().await {
                        octets.extend_from_slice(&piece);
                    }
                    octets
                }
            };
            let Message { uid, flags, internal_date, size, .. } = message;
            arrived.push(Arrived { uid, flags, internal_date, size, octets });
        }
        arrived
    };
    let (result, arrived) = tokio::join!(store.fetch(scope, uids, deliver), arrived);
    result.unwrap();
    arrived
}
