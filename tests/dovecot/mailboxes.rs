//! What becomes of mailboxes that come, go and change their names. The numbers are those of the scenario list.

use interimap::mail::Both;
use interimap::mail::Side::{self, Local, Remote};

use crate::support::bed::{Bed, Run};
use crate::support::dovecot::Options;
use crate::support::proxy::{Direction, Fault};

/// Both sides in line, each of these mailboxes with a message of its name in it.
fn in_line(mailboxes: &[&str]) -> Bed {
    in_line_with(Bed::new(), mailboxes)
}

fn in_line_with(bed: Bed, mailboxes: &[&str]) -> Bed {
    for mailbox in mailboxes {
        bed.about(Local, "CREATE {}", &[mailbox]);
        bed.put(Local, mailbox, &token(mailbox));
    }
    bed.put(Local, "INBOX", "inbox");
    bed.sync_well();
    bed
}

fn token(mailbox: &str) -> String {
    format!("of-{}", mailbox.replace(['/', ' '], "-"))
}

fn names(bed: &Bed, side: Side) -> Vec<String> {
    bed.snapshot(side).names().into_iter().map(str::to_owned).collect()
}

fn tokens(bed: &Bed, side: Side, mailbox: &str) -> Vec<String> {
    bed.snapshot(side).mailbox(mailbox).tokens().into_iter().map(str::to_owned).collect()
}

fn no_message_travels(bed: &Bed, run: &Run) {
    for side in Side::BOTH {
        for word in ["APPEND", "COPY", "MOVE", "EXPUNGE"] {
            bed.check(bed.proxies[side].count(word) == 0, &format!("{word} was sent to {side}"), run);
        }
    }
}

#[test]
fn s079_mailboxes_of_one_name_are_merged() {
    let bed = Bed::new();
    for side in Side::BOTH {
        bed.about(side, "CREATE {}", &["both"]);
        bed.put(side, "both", "same");
        bed.about(side, "CREATE {}", &[side.as_str()]);
        bed.put(side, "both", &format!("only-{side}"));
    }
    let run = bed.settle();
    assert_eq!(names(&bed, Remote), ["INBOX", "both", "local", "remote"]);
    assert_eq!(tokens(&bed, Remote, "both"), ["only-local", "only-remote", "same"]);
    assert_eq!(run.numbers("copied"), [1, 1]);
    assert_eq!(run.numbers("created"), [1, 1]);
}

#[test]
fn s080_a_deleted_mailbox_is_deleted_on_the_other_side() {
    let bed = in_line(&["going", "staying"]);
    bed.about(Local, "DELETE {}", &["going"]);
    let run = bed.settle();
    assert_eq!(names(&bed, Remote), ["INBOX", "staying"]);
    assert_eq!(run.numbers("deleted"), [0, 1]);
}

#[test]
fn s081_a_deleted_mailbox_with_new_mail_comes_back() {
    let bed = in_line(&["going"]);
    bed.about(Local, "DELETE {}", &["going"]);
    bed.put(Remote, "going", "new");
    let run = bed.sync();
    bed.check(run.status == 1, "a deletion was left undone", &run);
    bed.check(run.report["errors"][0]["mailbox"] == "going", "the mailbox must be named", &run);
    bed.check_equal(&run);
    bed.check_quiet();
    assert!(tokens(&bed, Local, "going").contains(&"new".to_owned()));
}

#[test]
fn s082_flags_do_not_save_a_deleted_mailbox() {
    let bed = in_line(&["going"]);
    bed.about(Local, "DELETE {}", &["going"]);
    bed.store(Remote, "going", "of-going", "+FLAGS (\\Flagged)");
    bed.settle();
    assert_eq!(names(&bed, Remote), ["INBOX"]);
}

#[test]
fn s083_a_mailbox_deleted_on_both_sides_costs_no_command() {
    let bed = in_line(&["going"]);
    for side in Side::BOTH {
        bed.about(side, "DELETE {}", &["going"]);
    }
    bed.check_quiet();
    // And may be made again.
    bed.about(Remote, "CREATE {}", &["going"]);
    bed.put(Remote, "going", "again");
    bed.settle();
    assert_eq!(tokens(&bed, Local, "going"), ["again"]);
}

#[test]
fn s084_a_list_cut_short_deletes_nothing() {
    let mailboxes: Vec<String> = (0..20).map(|number| format!("box {number:02}")).collect();
    let bed = in_line(&mailboxes.iter().map(String::as_str).collect::<Vec<_>>());
    let run = bed.sync_well();
    let whole = bed.proxies.remote.passed().to_client;
    assert_eq!(run.status, 0);
    for part in 1..20 {
        bed.proxies.remote.forget();
        let fault = if part % 2 == 0 { Fault::Fin } else { Fault::Reset };
        bed.proxies.remote.arm(Direction::ToClient, whole * part / 20, fault);
        let run = bed.sync();
        bed.proxies.remote.heal();
        bed.check([0, 3].contains(&run.status), "a server lost means status 3, unless all was done", &run);
        for side in Side::BOTH {
            let writes = bed.proxies[side].writes();
            bed.check(writes.is_empty(), &format!("{side} is written to: {writes:?}"), &run);
        }
    }
    bed.check_quiet();
    assert_eq!(names(&bed, Local).len(), 21);
}

#[test]
fn s085_a_renamed_mailbox_is_renamed_on_the_other_side() {
    for side in Side::BOTH {
        let bed = in_line(&["old", "old/child", "other"]);
        bed.about(side, "RENAME {} {}", &["old", "new"]);
        let run = bed.sync_well();
        no_message_travels(&bed, &run);
        assert_eq!(bed.proxies[side.other()].count("RENAME"), 1, "{}", bed.explain(&run));
        assert_eq!(bed.proxies[side.other()].writes().len(), 1, "{}", bed.explain(&run));
        assert_eq!(names(&bed, side.other()), ["INBOX", "new", "new/child", "other"]);
        bed.check_quiet();
    }
}

#[test]
fn s085_what_happens_in_a_mailbox_while_it_is_renamed_follows_it() {
    let bed = in_line(&["old"]);
    bed.put(Local, "old", "going");
    bed.sync_well();
    bed.about(Local, "RENAME {} {}", &["old", "new"]);
    bed.put(Local, "new", "new, local");
    bed.put(Remote, "old", "new, remote");
    bed.store(Remote, "old", "of-old", "+FLAGS (\\Flagged)");
    bed.expunge(Remote, "old", "going");
    bed.settle();
    assert_eq!(names(&bed, Remote), ["INBOX", "new"]);
    assert_eq!(tokens(&bed, Local, "new"), ["new, local", "new, remote", "of-old"]);
    assert_eq!(bed.snapshot(Local).mailbox("new").flags("of-old"), "\\flagged");
}

#[test]
fn s086_a_mailbox_renamed_differently_on_both_sides_comes_to_rest() {
    let bed = in_line(&["old"]);
    bed.about(Local, "RENAME {} {}", &["old", "here"]);
    bed.about(Remote, "RENAME {} {}", &["old", "there"]);
    bed.settle();
    let snapshot = bed.snapshot(Local);
    let copies = snapshot.mailboxes.values().flat_map(|mailbox| mailbox.tokens()).filter(|token| *token == "of-old");
    assert!(copies.count() >= 1, "{:?}", snapshot.names());
    assert!(!snapshot.names().contains(&"old"));
}

#[test]
fn s087_a_new_mailbox_under_the_old_name_is_a_new_mailbox() {
    let bed = in_line(&["name"]);
    bed.about(Local, "RENAME {} {}", &["name", "kept"]);
    bed.about(Local, "CREATE {}", &["name"]);
    bed.put(Local, "name", "fresh");
    let run = bed.sync_well();
    assert_eq!(bed.proxies.remote.count("RENAME"), 1, "{}", bed.explain(&run));
    assert_eq!(run.number(Remote, "copied"), 1);
    assert_eq!(tokens(&bed, Remote, "kept"), ["of-name"]);
    assert_eq!(tokens(&bed, Remote, "name"), ["fresh"]);
    bed.check_quiet();
}

#[test]
fn s088_two_mailboxes_may_exchange_their_names() {
    let bed = in_line(&["one", "two"]);
    for (from, to) in [("one", "between"), ("two", "one"), ("between", "two")] {
        bed.about(Local, "RENAME {} {}", &[from, to]);
    }
    let run = bed.sync_well();
    no_message_travels(&bed, &run);
    assert_eq!(tokens(&bed, Remote, "one"), ["of-two"]);
    assert_eq!(tokens(&bed, Remote, "two"), ["of-one"]);
    bed.check_quiet();
}

#[test]
fn s089_a_mailbox_may_become_its_own_child_and_a_child_its_parent() {
    let bed = in_line(&["a", "b/x"]);
    for (mailbox, child) in [("a", "a/x"), ("b", "b/x")] {
        let [from, to] = if mailbox == "a" { [mailbox, child] } else { [child, mailbox] };
        bed.about(Local, "RENAME {} {}", &[from, "aside"]);
        bed.about(Local, "RENAME {} {}", &["aside", to]);
    }
    let run = bed.settle();
    no_message_travels(&bed, &run);
    assert_eq!(names(&bed, Remote), ["INBOX", "a/x", "b"]);
    assert_eq!(tokens(&bed, Remote, "a/x"), ["of-a"]);
    assert_eq!(tokens(&bed, Remote, "b"), ["of-b-x"]);
}

#[test]
fn s090_children_follow_their_parent_and_one_that_went_its_own_way_keeps_its_mail() {
    let children: Vec<String> = (0..10).map(|number| format!("parent/child {number}")).collect();
    let mut mailboxes = vec!["parent"];
    mailboxes.extend(children.iter().map(String::as_str));
    let bed = in_line(&mailboxes);
    bed.about(Local, "RENAME {} {}", &["parent", "elder"]);
    bed.about(Remote, "RENAME {} {}", &["parent/child 3", "own way"]);
    bed.settle();
    let snapshot = bed.snapshot(Remote);
    for (number, child) in children.iter().enumerate() {
        let token = token(child);
        let homes: Vec<&str> =
            snapshot.mailboxes.iter().filter(|(_, m)| m.tokens().contains(&&*token)).map(|(n, _)| n.as_str()).collect();
        if number == 3 {
            assert!(!homes.is_empty(), "{:?}", snapshot.names());
        } else {
            assert_eq!(homes, [format!("elder/child {number}")]);
        }
    }
    assert!(!snapshot.names().contains(&"parent"));
}

#[test]
fn s091_a_rename_onto_a_name_new_on_the_other_side_merges_the_two() {
    let bed = in_line(&["old"]);
    bed.about(Local, "RENAME {} {}", &["old", "wanted"]);
    bed.about(Remote, "CREATE {}", &["wanted"]);
    bed.put(Remote, "wanted", "stranger");
    bed.settle();
    assert_eq!(names(&bed, Local), ["INBOX", "wanted"]);
    assert_eq!(tokens(&bed, Remote, "wanted"), ["of-old", "stranger"]);
}

#[test]
fn s093_the_mail_of_a_renamed_inbox_is_kept() {
    let bed = in_line(&["other"]);
    bed.about(Local, "RENAME {} {}", &["INBOX", "Archive"]);
    bed.put(Local, "INBOX", "newer");
    bed.settle();
    assert_eq!(tokens(&bed, Remote, "Archive"), ["inbox"]);
    assert_eq!(tokens(&bed, Remote, "INBOX"), ["newer"]);
}

#[test]
fn s094_there_is_one_inbox_whatever_it_is_written_like() {
    let remote = Options { separator: '.', prefix: "INBOX.", ..Options::default() };
    let bed = Bed::with(Both { local: Options::default(), remote });
    bed.put(Local, "INBOX", "here");
    bed.put(Remote, "INBOX", "there");
    bed.about(Local, "CREATE {}", &["inbox/child"]);
    bed.put(Local, "INBOX/child", "little");
    bed.about(Remote, "CREATE {}", &["Sent"]);
    bed.settle();
    assert_eq!(names(&bed, Local), ["INBOX", "INBOX/child", "Sent"]);
    assert_eq!(tokens(&bed, Remote, "INBOX/child"), ["little"]);
}

#[test]
fn s095_s096_s097_odd_names_are_quoted_and_kept_apart() {
    let names = [
        "100%",
        "st*r",
        "a\"b",
        "a\\b",
        " lead",
        "trail ",
        "#x",
        "-x",
        "(p)",
        "{5}",
        "]",
        "[x",
        "NIL",
        "a&b",
        "%",
        "*",
        "case",
        "CASE",
        "\u{e9} composed",
        "e\u{301} decomposed",
        "𝒳",
        "שלום",
        "OK",
        "INBOXES",
        "\u{1f469}\u{200d}\u{1f4bb}",
    ];
    let bed = Bed::new();
    for (at, name) in names.iter().enumerate() {
        let side = Side::BOTH[at % 2];
        bed.about(side, "CREATE {}", &[name]);
        bed.about(side, "SUBSCRIBE {}", &[name]);
        bed.put(side, name, "inside");
    }
    let long = "n".repeat(200);
    bed.about(Local, "CREATE {}", &[&long]);
    bed.settle();
    assert_eq!(bed.snapshot(Remote).mailboxes.len(), names.len() + 2);
    // And once more with all of them known.
    for name in names {
        bed.put(Remote, name, "more");
    }
    bed.settle();
}

#[test]
fn s101_separators_may_differ_and_change() {
    let mut bed = in_line_with(
        Bed::with(Both {
            local: Options { separator: '.', ..Options::default() },
            remote: Options { separator: '\\', ..Options::default() },
        }),
        &["a/b/c", "a b/c d"],
    );
    assert_eq!(names(&bed, Remote), ["INBOX", "a b/c d", "a/b/c"]);
    bed.restart(Local, Options { separator: '^', ..Options::default() });
    bed.check_quiet();
    bed.put(Remote, "a/b/c", "new");
    bed.settle();
    assert_eq!(tokens(&bed, Local, "a/b/c"), ["new", "of-a-b-c"]);
}

#[test]
fn s101_a_name_that_the_other_side_cannot_hold_is_told_and_hinders_nothing_else() {
    let bed = Bed::with(Both { local: Options::default(), remote: Options { separator: '.', ..Options::default() } });
    bed.about(Local, "CREATE {}", &["a.b"]);
    bed.put(Local, "a.b", "stuck");
    bed.about(Local, "CREATE {}", &["fine"]);
    bed.put(Local, "fine", "free");
    for _ in 0..2 {
        let run = bed.sync();
        bed.check(run.status == 1, "something was left undone", &run);
        bed.check(format!("{}{}", run.stdout, run.stderr).contains("a.b"), "the mailbox must be named", &run);
        assert_eq!(tokens(&bed, Remote, "fine"), ["free"]);
        assert_eq!(names(&bed, Remote), ["INBOX", "fine"]);
        assert_eq!(tokens(&bed, Local, "a.b"), ["stuck"]);
    }
}

#[test]
fn s102_a_level_without_a_mailbox_is_no_mailbox() {
    let bed = Bed::new();
    bed.about(Local, "CREATE {}", &["above/below"]);
    bed.about(Remote, "CREATE {}", &["over/under/deep"]);
    bed.settle();
    assert_eq!(names(&bed, Remote), ["INBOX", "above/below", "over/under/deep"]);
    // It may become one later.
    bed.about(Remote, "CREATE {}", &["above"]);
    bed.settle();
    assert_eq!(names(&bed, Local), ["INBOX", "above", "above/below", "over/under/deep"]);
}

#[test]
fn s103_children_outlive_their_parent() {
    let bed = in_line(&["parent", "parent/child"]);
    bed.about(Remote, "DELETE {}", &["parent"]);
    bed.settle();
    assert_eq!(names(&bed, Local), ["INBOX", "parent/child"]);
    assert_eq!(tokens(&bed, Local, "parent/child"), ["of-parent-child"]);
}

#[test]
fn s104_subscriptions_follow_the_side_that_changed_them() {
    let bed = in_line(&["one", "two", "three"]);
    let subscribed = |bed: &Bed, side: Side| -> Vec<String> {
        let snapshot = bed.snapshot(side);
        snapshot.mailboxes.iter().filter(|(_, mailbox)| mailbox.subscribed).map(|(name, _)| name.clone()).collect()
    };
    bed.about(Local, "SUBSCRIBE {}", &["one"]);
    bed.about(Remote, "SUBSCRIBE {}", &["two"]);
    for side in Side::BOTH {
        bed.about(side, "SUBSCRIBE {}", &["three"]);
    }
    bed.settle();
    assert_eq!(subscribed(&bed, Remote), ["one", "three", "two"]);
    bed.about(Remote, "UNSUBSCRIBE {}", &["one"]);
    bed.about(Local, "UNSUBSCRIBE {}", &["two"]);
    bed.settle();
    assert_eq!(subscribed(&bed, Local), ["three"]);
    // A subscription may outlive its mailbox.
    bed.about(Local, "DELETE {}", &["three"]);
    bed.settle();
    assert_eq!(names(&bed, Remote), ["INBOX", "one", "two"]);
}

#[test]
fn s104_a_subscription_does_not_come_back_with_a_name_that_is_used_again() {
    let bed = in_line(&["name"]);
    bed.about(Local, "SUBSCRIBE {}", &["name"]);
    bed.settle();
    bed.about(Local, "UNSUBSCRIBE {}", &["name"]);
    bed.about(Local, "DELETE {}", &["name"]);
    bed.settle();
    assert_eq!(names(&bed, Remote), ["INBOX"]);
    bed.about(Local, "CREATE {}", &["name"]);
    bed.settle();
    assert!(!bed.snapshot(Remote).mailbox("name").subscribed);
}

/// Gives the user of the remote server only those rights in `box`.
fn rights_in_box(rights: &str, directory: &std::path::Path) -> Options {
    std::fs::write(directory.join("box"), format!("user=alice {rights}\n")).unwrap();
    let extra = format!("plugin {{\n  acl = vfile:{}\n}}\n", directory.display());
    Options { plugins: Some(("acl", "acl imap_acl")), extra, ..Options::default() }
}

#[test]
fn s107_a_mailbox_that_cannot_be_written_flows_one_way_and_loses_nothing() {
    let mut bed = in_line(&["box", "free"]);
    let directory = crate::support::host::short_directory();
    bed.restart(Remote, rights_in_box("lr", directory.path()));
    bed.expunge(Local, "box", "of-box");
    bed.put(Local, "box", "new");
    bed.put(Local, "free", "free too");
    for _ in 0..2 {
        let run = bed.sync();
        bed.check(run.status == 1, "something was left undone", &run);
        assert_eq!(tokens(&bed, Remote, "box"), ["of-box"]);
        assert!(tokens(&bed, Local, "box").contains(&"new".to_owned()));
        assert_eq!(tokens(&bed, Remote, "free"), ["free too", "of-free"]);
    }
}

#[test]
fn s108_a_mailbox_that_cannot_be_opened_any_more_is_not_taken_for_a_deleted_one() {
    let mut bed = in_line(&["box", "free"]);
    let directory = crate::support::host::short_directory();
    bed.restart(Remote, rights_in_box("l", directory.path()));
    bed.put(Local, "box", "new");
    bed.put(Local, "free", "free too");
    for _ in 0..2 {
        let run = bed.sync();
        bed.check(run.status == 1, "something was left undone", &run);
        assert_eq!(tokens(&bed, Local, "box"), ["new", "of-box"]);
        let mut client = bed.on(Remote);
        client.examine("free");
        assert_eq!(client.fetch_all().len(), 2, "the others go on");
    }
    bed.restart(Remote, Options::default());
    bed.settle();
    assert_eq!(tokens(&bed, Remote, "box"), ["new", "of-box"]);
}

#[test]
fn s015_a_flag_that_the_other_side_cannot_keep_is_not_taken_back() {
    let mut bed = in_line(&["box"]);
    let directory = crate::support::host::short_directory();
    bed.restart(Remote, rights_in_box("lrsi", directory.path()));
    bed.store(Local, "box", "of-box", "+FLAGS (\\Seen todo)");
    for _ in 0..3 {
        bed.sync();
        assert_eq!(bed.snapshot(Local).mailbox("box").flags("of-box"), "\\seen todo");
    }
    assert_eq!(bed.snapshot(Remote).mailbox("box").flags("of-box"), "\\seen");
    let writes = bed.proxies.remote.writes();
    assert!(writes.is_empty(), "it is tried again and again: {writes:?}");
}
