//! Tables of mailbox trees: what is remembered, what each side lists, what is to be done.

use std::collections::BTreeMap;

use super::*;
use crate::mail::{Checkpoint, Listed, Listing, MailboxKind, ModSeq, Uid, UidValidity};
use crate::plan::{NameMap, Rename};

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

fn status(validity: u32) -> MailboxStatus {
    MailboxStatus {
        uid_validity: UidValidity::new(validity).unwrap(),
        uid_next: Uid::new(10).unwrap(),
        highest_modseq: ModSeq::new(5),
        messages: 3,
    }
}

/// `a:7` is a mailbox with UIDVALIDITY 7; `+a:7` one that is subscribed to; `(a)` a level without messages.
fn listing(text: &str) -> Listing {
    let mut listing = Listing::default();
    for word in text.split_whitespace() {
        let container = word.starts_with('(');
        let subscribed = word.starts_with('+');
        let word = word.trim_matches(['(', ')', '+']);
        let (text, validity) = word.split_once(':').unwrap_or((word, "1"));
        let listed = Listed {
            kind: if container { MailboxKind::Container } else { MailboxKind::Mailbox },
            subscription: Some(if subscribed { Subscription::Subscribed } else { Subscription::Unsubscribed }),
            special_use: Default::default(),
            id: None,
            status: (!container).then(|| status(validity.parse().unwrap())),
        };
        listing.mailboxes.insert(name(text), listed);
    }
    listing
}

/// `a:7,17` is remembered with UIDVALIDITY 7 here and 17 there; `a:7,-` was never in line there.
fn remembered(text: &str) -> Vec<Remembered> {
    let row = |(at, word): (usize, &str)| {
        let (text, validities) = word.split_once(':').unwrap();
        let (local, remote) = validities.split_once(',').unwrap();
        let checkpoint = |text: &str| text.parse().ok().map(|validity| Checkpoint::from(status(validity)));
        Remembered {
            key: MailboxKey(at as i64 + 1),
            name: name(text),
            subscription: Some(Subscription::Unsubscribed),
            checkpoints: Both { local: checkpoint(local), remote: checkpoint(remote) },
            ids: Both::default(),
            pairs: 3,
            skipped: Both::default(),
            intents: 0,
            lifted: 0,
            last_success: None,
        }
    };
    text.split_whitespace().enumerate().map(row).collect()
}

/// The plan in words, renames by UIDVALIDITY believed as they are suspected.
fn planned(policy: &Policy, rows: &str, local: &str, remote: &str) -> String {
    let rows = remembered(rows);
    let rosters = Both {
        local: Roster::new(Side::Local, &listing(local), &policy.names),
        remote: Roster::new(Side::Remote, &listing(remote), &policy.names),
    };
    let mut renamed: Both<BTreeMap<MailboxKey, MailboxName>> = Both::default();
    for suspicion in suspect_renames(&rows, &rosters) {
        renamed[suspicion.side].insert(suspicion.key, suspicion.to);
    }
    let refuses = |side: Side, name: &MailboxName| {
        (side == Side::Remote && name.as_str().contains("no")).then(|| "it cannot be held".to_owned())
    };
    let view = TreeView { remembered: &rows, rosters: &rosters, renamed: &renamed, refuses: &refuses };
    let plan = plan_tree(&view, policy);
    let mut words: Vec<String> = Vec::new();
    words.extend(plan.renames.iter().map(|step| format!("{} {}>{}", step.side, step.from, step.to)));
    words.extend(plan.rekeys.iter().map(|(key, name)| format!("#{}={name}", key.0)));
    words.extend(plan.forgets.iter().map(|(key, _)| format!("forget #{}", key.0)));
    words.extend(plan.deletions.iter().map(|deletion| format!("delete {} {}", deletion.side, deletion.at)));
    for place in &plan.places {
        let created = Side::BOTH.into_iter().find(|side| place.at[*side] == Presence::ToCreate);
        let key = place.remembered.as_ref().map_or("new".to_owned(), |row| format!("#{}", row.key.0));
        words.push(match created {
            Some(side) => format!("create {side} {} {key}", place.name),
            None => format!("{} {key}", place.name),
        });
    }
    words.extend(plan.troubles.iter().map(|trouble| format!("! {} {}", trouble.side, trouble.mailbox)));
    for side in Side::BOTH {
        words.extend(plan.guarded[side].map(|(going, held)| format!("guard {side} {going}/{held}")));
    }
    words.join("; ")
}

#[test]
fn trees_meet() {
    let two_way = Policy::two_way();
    for (case, rows, local, remote, plan) in [
        ("first run", "", "INBOX:1 a:2", "INBOX:11 b:12", "INBOX new; create remote a new; create local b new"),
        ("s079 new on both", "INBOX:1,11", "INBOX:1 a:2", "INBOX:11 a:12", "INBOX #1; a new"),
        ("s080 deleted here", "INBOX:1,11 a:2,12", "INBOX:1", "INBOX:11 a:12", "delete remote a; INBOX #1"),
        ("deleted there", "INBOX:1,11 a:2,12", "INBOX:1 a:2", "INBOX:11", "delete local a; INBOX #1"),
        ("s083 deleted on both", "INBOX:1,11 a:2,12", "INBOX:1", "INBOX:11", "forget #2; INBOX #1"),
        (
            "s137 another tree, without a",
            "INBOX:1,11 a:2,12",
            "INBOX:7",
            "INBOX:11 a:12",
            "forget #2; INBOX #1; create local a new; ! local a",
        ),
        ("s084 an empty listing", "INBOX:1,11 a:2,12", "", "INBOX:11 a:12", "INBOX #1; ! local a"),
        ("a creation that was cut off", "INBOX:1,11 a:2,-", "INBOX:1 a:2", "INBOX:11", "INBOX #1; create remote a #2"),
        (
            "s103 a parent that became a level",
            "p:2,12 INBOX:1,11",
            "INBOX:1 (p)",
            "INBOX:11 p:12",
            "delete remote p; INBOX #2",
        ),
        ("s102 a level is no mailbox", "", "INBOX:1 (p) p/a:2", "INBOX:11 (p)", "INBOX new; create remote p/a new"),
        ("a name that cannot be held", "", "INBOX:1 nono:2", "INBOX:11", "INBOX new; ! remote nono"),
        ("s052 another UIDVALIDITY", "INBOX:1,11", "INBOX:1", "INBOX:99", "INBOX #1"),
    ] {
        assert_eq!(planned(&two_way, rows, local, remote), plan, "{case}");
    }
}

#[test]
fn renames_are_renames() {
    let two_way = Policy::two_way();
    for (case, rows, local, remote, plan) in [
        ("s085 renamed here", "a:2,12", "b:2", "a:12", "remote a>b; #1=b; b #1"),
        ("renamed there", "a:2,12", "a:2", "x/b:12", "local a>x/b; #1=x/b; x/b #1"),
        ("renamed alike on both", "a:2,12", "b:2", "b:12", "#1=b; b #1"),
        ("s086 renamed differently", "a:2,12", "b:2", "c:12", "remote c>b; #1=b; b #1"),
        (
            "s087 renamed, and a new one in its place",
            "a:2,12",
            "b:2 a:3",
            "a:12",
            "remote a>b; #1=b; create remote a new; b #1",
        ),
        (
            "s090 children follow",
            "p:2,12 p/a:3,13 p/b:4,14",
            "q:2 q/a:3 q/b:4",
            "p:12 p/a:13 p/b:14",
            "remote p>q; #1=q; #2=q/a; #3=q/b; q #1; q/a #2; q/b #3",
        ),
        (
            "a child that did not follow",
            "p:2,12 p/a:3,13",
            "q:2 p/a:3",
            "p:12 p/a:13",
            "remote p>q; remote q/a>p/a; #1=q; p/a #2; q #1",
        ),
        (
            "s089 its own child",
            "a:2,12",
            "(a) a/x:2",
            "a:12",
            "remote a>interimap-renaming-1; remote interimap-renaming-1>a/x; #1=a/x; a/x #1",
        ),
        (
            "s089 its own parent",
            "a/x:2,12",
            "a:2",
            "(a) a/x:12",
            "remote a/x>interimap-renaming-1; remote interimap-renaming-1>a; #1=a; a #1",
        ),
        (
            "s088 exchanged",
            "a:2,12 b:3,13",
            "a:3 b:2",
            "a:12 b:13",
            "remote a>interimap-renaming-1; remote b>a; remote interimap-renaming-1>b; #1=b; #2=a; a #2; b #1",
        ),
        (
            "an exchange that was cut off",
            "a:2,12 b:3,13",
            "a:3 b:2",
            "interimap-renaming-1:12 b:13",
            "remote b>a; remote interimap-renaming-1>b; #1=b; #2=a; a #2; b #1",
        ),
        (
            "s091 the new name is taken there",
            "INBOX:1,11 a:2,12",
            "INBOX:1 b:2",
            "INBOX:11 a:12 b:20",
            "delete remote a; INBOX #1; b new",
        ),
        (
            "renamed here, deleted there",
            "INBOX:1,11 a:2,12",
            "INBOX:1 b:2",
            "INBOX:11",
            "#2=b; delete local b; INBOX #1",
        ),
        (
            "s093 INBOX renamed",
            "INBOX:1,11",
            "INBOX:5 Old:1",
            "INBOX:11",
            "remote INBOX>Old; #1=Old; create remote INBOX new; Old #1",
        ),
    ] {
        assert_eq!(planned(&two_way, rows, local, remote), plan, "{case}");
    }
}

#[test]
fn the_configuration_decides_what_flows() {
    let never = Policy { delete_mailboxes: DeleteMailboxes::Never, ..Policy::two_way() };
    assert_eq!(
        planned(&never, "INBOX:1,11 a:2,12", "INBOX:1", "INBOX:11 a:12"),
        "forget #2; INBOX #1; create local a new"
    );
    let mut one_way = Policy::two_way();
    one_way.flow.local.clear();
    assert_eq!(planned(&one_way, "a:2,12", "INBOX:1 n:3", "INBOX:11 a:12"), "INBOX new");
    let mut inbox_only = Policy::two_way();
    inbox_only.selection.only = vec![crate::mail::Pattern::new("inbox")];
    assert_eq!(planned(&inbox_only, "INBOX:1,11 a:2,12", "INBOX:1", "INBOX:11 a:12"), "INBOX #1");
    let renamed =
        Policy { names: NameMap::new(vec![Rename::new("Lists/*", "l/*").unwrap()]).unwrap(), ..Policy::two_way() };
    assert_eq!(planned(&renamed, "l/a:2,12", "l/b:2", "Lists/a:12"), "remote Lists/a>Lists/b; #1=l/b; l/b #1");
    assert_eq!(planned(&renamed, "", "Lists/x:2", "l/y:12"), "! local Lists/x; ! remote l/y");
}

#[test]
fn a_rename_out_of_the_selection_deletes_nothing() {
    let mut policy = Policy::two_way();
    policy.selection.patterns.push((crate::mail::Pattern::new("Trash/*"), Choice::No));
    assert_eq!(planned(&policy, "INBOX:1,11 a:2,12", "INBOX:1 Trash/a:2", "INBOX:11 a:12"), "INBOX #1; ! local a");
}

#[test]
fn many_mailboxes_do_not_vanish_at_once() {
    let rows: Vec<String> = (1..=9).map(|n| format!("m{n}:{},{}", 10 + n, 30 + n)).collect();
    let remote: Vec<String> = (1..=9).map(|n| format!("m{n}:{}", 30 + n)).collect();
    let (rows, remote) = (rows.join(" "), format!("INBOX:1 {}", remote.join(" ")));
    let guarded = planned(&Policy::two_way(), &rows, "INBOX:1", &remote);
    assert_eq!(guarded, "INBOX new; guard remote 9/9");
    let allowed = planned(&Policy { max_delete: None, ..Policy::two_way() }, &rows, "INBOX:1", &remote);
    assert_eq!(allowed.matches("delete remote").count(), 9);
}

#[test]
fn subscriptions_merge_as_flags_do() {
    use Subscription::{Subscribed as Yes, Unsubscribed as No};
    for (base, local, remote, merged) in [
        (Some(No), Yes, No, Some(Yes)),
        (Some(Yes), Yes, No, Some(No)),
        (Some(Yes), No, Yes, Some(No)),
        (None, No, Yes, Some(Yes)),
        (None, No, No, Some(No)),
    ] {
        let now = Both { local, remote };
        assert_eq!(merged_subscription(&Policy::two_way(), base, now), merged, "{base:?} {now:?}");
    }
    let mut pull = Policy::two_way();
    pull.flow.local.clear();
    assert_eq!(merged_subscription(&pull, Some(No), Both { local: Yes, remote: No }), None);
}

#[test]
fn a_selection_never_turns_a_rename_into_a_deletion() {
    let mut only_a = Policy::two_way();
    only_a.selection.only = vec![crate::mail::Pattern::new("a")];
    for (case, local, plan) in [
        ("exchanged", "INBOX:1 a:3 b:2", "! local a; ! local b"),
        ("one took the place of another, which went elsewhere", "INBOX:1 a:3 c:2", "! local a; ! local b"),
        ("one took the place of another, which is gone", "INBOX:1 a:3", "a #2; ! local b"),
    ] {
        assert_eq!(planned(&only_a, "INBOX:1,11 a:2,12 b:3,13", local, "INBOX:11 a:12 b:13"), plan, "{case}");
    }
}

#[test]
fn a_name_is_taken_until_its_deletion_is_done() {
    for (case, local, plan) in [
        ("one took the place of another", "INBOX:1 old:3", "delete remote new; INBOX #1; old #2"),
        ("and a new one came behind it", "INBOX:1 old:3 new:9", "delete remote new; INBOX #1; old #2"),
    ] {
        let rows = "INBOX:1,11 old:2,12 new:3,13";
        assert_eq!(planned(&Policy::two_way(), rows, local, "INBOX:11 old:12 new:13"), plan, "{case}");
    }
}

#[test]
fn a_rename_that_cannot_be_followed_does_not_keep_others_from_it() {
    let (rows, remote) = ("INBOX:1,11 a:2,12 c:3,13 p/x:4,14", "INBOX:11 a:12 c:13 (p) p/x:14");
    assert_eq!(
        planned(&Policy::two_way(), rows, "INBOX:1 p:2 d:3 p/x:4", remote),
        "remote c>d; #3=d; INBOX #1; d #3; p/x #4; ! remote p"
    );
    let mut pull = Policy::two_way();
    pull.flow.local.clear();
    assert_eq!(planned(&pull, "INBOX:1,11 a:2,12", "INBOX:1 b:2", "INBOX:11 a:12"), "INBOX #1; ! remote b");
}

#[test]
fn a_rename_to_a_name_that_is_not_allowed_deletes_nothing() {
    let names = NameMap::new(vec![Rename::new("Lists/*", "l/*").unwrap()]).unwrap();
    let policy = Policy { names, ..Policy::two_way() };
    assert_eq!(
        planned(&policy, "INBOX:1,11 a:2,12", "INBOX:1 Lists/a:2", "INBOX:11 a:12"),
        "INBOX #1; ! local Lists/a; ! remote a"
    );
    assert_eq!(
        planned(&policy, "INBOX:1,11 a:2,12", "INBOX:1 Lists/a:9", "INBOX:11 a:12"),
        "delete remote a; INBOX #1; ! local Lists/a"
    );
}
