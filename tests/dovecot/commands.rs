//! The commands beside `sync`, with real servers behind them: what they say and what they do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use interimap::mail::Both;
use interimap::mail::Side::{Local, Remote};

use crate::support::bed::{Bed, Run};
use crate::support::dovecot::{Options, PASSWORD};
use crate::support::mail::Made;

/// The object of a mailbox in the report.
fn row<'a>(run: &'a Run, mailbox: &str) -> &'a serde_json::Value {
    let rows = run.report["mailboxes"].as_array().unwrap();
    let found = rows.iter().find(|row| row["mailbox"] == mailbox);
    found.unwrap_or_else(|| panic!("{mailbox} is missing in {}", run.stdout))
}

fn succeeded(bed: &Bed, run: Run) -> Run {
    bed.check(run.status == 0, "the command must end well", &run);
    run
}

#[test]
fn a_check_says_what_both_sides_are_and_changes_nothing() {
    let bed = Bed::new();
    bed.about(Remote, "CREATE {}", &["Lists"]);
    let run = succeeded(&bed, bed.run(&["check"]));
    assert_eq!(run.report["result"], "ready");
    for side in [Local, Remote] {
        let told = &run.report[side.as_str()];
        assert_eq!(told["method"], "qresync", "{}", run.stdout);
        assert!(told["capabilities"].as_array().unwrap().iter().any(|name| name == "QRESYNC"), "{}", run.stdout);
        assert!(bed.proxies[side].writes().is_empty());
    }
    assert_eq!(run.report["local"]["mailboxes"], 1);
    assert_eq!(run.report["remote"]["mailboxes"], 2);
    assert_eq!(run.report["remote"]["mailboxes_taking_part"], 2);
}

/// A namespace beside the usual one whose mailboxes have no index that lasts, so that they say NOMODSEQ.
const FORGETFUL: &str = "namespace forgetful {
  prefix = \"old/\"
  separator = \"/\"
  location = maildir:~/Old:INDEX=MEMORY
  subscriptions = yes
}
";

#[test]
fn a_mailbox_without_mod_sequences_is_told_by_check_and_by_sync() {
    let forgetful = Options { extra: FORGETFUL.to_owned(), ..Options::default() };
    let bed = Bed::with(Both { local: Options::default(), remote: forgetful });
    bed.about(Remote, "CREATE {}", &["old/mail"]);
    bed.about(Remote, "CREATE {}", &["Lists"]);
    bed.put(Remote, "old/mail", "one");
    bed.put(Remote, "Lists", "two");
    for arguments in [["check"], ["sync"], ["sync"], ["check"]] {
        let run = succeeded(&bed, bed.run(&arguments));
        assert_eq!(run.report["remote"]["method"], "qresync", "{}", run.stdout);
        let told = [Local, Remote].map(|side| run.report[side.as_str()]["listed_in_full"].clone());
        assert_eq!(told, [serde_json::json!([]), serde_json::json!(["old/mail"])], "{arguments:?}: {}", run.stdout);
    }
    // It is looked at because nothing can prove it unchanged; what the method fits is not.
    bed.check_quiet();
    let looked_at = |name: &str| {
        bed.proxies.remote.commands().iter().filter(|said| said.starts_with("SELECT") && said.contains(name)).count()
    };
    assert_eq!((looked_at("old/mail"), looked_at("Lists")), (1, 0), "{:?}", bed.proxies.remote.commands());
}

#[test]
fn a_status_knows_what_was_in_line_and_asks_only_when_told_to() {
    let bed = Bed::new();
    bed.put(Local, "INBOX", "one");
    bed.put(Local, "INBOX", "two");
    bed.sync_well();
    let run = succeeded(&bed, bed.run(&["status"]));
    assert_eq!(run.report["last_result"], "in-sync");
    assert_eq!(row(&run, "INBOX")["pairs"], 2);
    assert_eq!(row(&run, "INBOX")["pending"], 0);
    assert!(row(&run, "INBOX")["last_success"].is_i64(), "{}", run.stdout);
    for side in [Local, Remote] {
        assert_eq!(bed.proxies[side].passed().connections, 0, "{side} was asked");
    }
    bed.sync_well();
    bed.put(Remote, "INBOX", "three");
    bed.about(Local, "CREATE {}", &["new"]);
    let run = succeeded(&bed, bed.run(&["status", "--remote"]));
    assert_eq!(row(&run, "INBOX")["local"], "unchanged", "{}", run.stdout);
    assert_eq!(row(&run, "INBOX")["remote"], "changed");
    assert_eq!(row(&run, "new")["local"], "changed");
    assert_eq!(row(&run, "new")["remote"], "missing");
}

#[test]
fn mailboxes_are_changed_on_both_sides_and_in_the_state() {
    let bed = Bed::new();
    bed.sync_well();
    let run = succeeded(&bed, bed.run(&["mailbox", "create", "test", "Lists", "Lists/rust", "gone"]));
    assert_eq!(run.numbers("created"), [3, 3]);
    succeeded(&bed, bed.run(&["mailbox", "rename", "test", "Lists", "Groups"]));
    succeeded(&bed, bed.run(&["mailbox", "subscribe", "test", "Groups/rust"]));
    bed.put(Local, "Groups/rust", "inside");
    bed.settle();
    succeeded(&bed, bed.run(&["mailbox", "delete", "test", "gone"]));
    let run = succeeded(&bed, bed.run(&["mailbox", "list"]));
    let names: Vec<&str> =
        run.report["mailboxes"].as_array().unwrap().iter().map(|row| row["mailbox"].as_str().unwrap()).collect();
    assert_eq!(names, ["Groups", "Groups/rust", "INBOX"]);
    for side in ["local", "remote"] {
        assert_eq!(row(&run, "Groups/rust")[side]["messages"], 1, "{}", run.stdout);
        assert_eq!(row(&run, "Groups/rust")[side]["subscribed"], true, "{}", run.stdout);
    }
    bed.check_quiet();
}

#[test]
fn a_repair_of_what_is_in_line_finds_nothing() {
    let bed = Bed::new();
    bed.put(Local, "INBOX", "one");
    bed.sync_well();
    let run = succeeded(&bed, bed.run(&["repair"]));
    assert_eq!(run.report["result"], "in-sync");
    assert_eq!((run.numbers("copied"), run.numbers("expunged")), ([0, 0], [0, 0]), "{}", run.stdout);
    for side in [Local, Remote] {
        assert!(bed.proxies[side].writes().is_empty(), "{:?}", bed.proxies[side].writes());
    }
    bed.check_quiet();
}

#[test]
fn a_repair_knows_equal_messages_of_different_dates_again() {
    let bed = Bed::new();
    for (side, day) in [(Local, " 2"), (Remote, " 3")] {
        let date = format!("{day}-Nov-2026 10:00:05 +0100");
        bed.on(side).append("INBOX", &Made { date, ..Made::simple("one") }.plain());
    }
    assert_eq!(succeeded(&bed, bed.run(&["sync"])).numbers("paired"), [1, 1]);
    for _ in 0..2 {
        let run = succeeded(&bed, bed.run(&["repair"]));
        assert!(run.report.get("differences").is_none(), "{}", run.stdout);
        assert_eq!((run.numbers("copied"), run.numbers("paired")), ([0, 0], [0, 0]), "{}", run.stdout);
    }
}

#[test]
fn a_repair_carries_an_expunge_on_as_a_run_does() {
    let bed = Bed::new();
    for token in ["one", "two"] {
        bed.put(Local, "INBOX", token);
    }
    bed.sync_well();
    bed.expunge(Remote, "INBOX", "two");
    let run = succeeded(&bed, bed.run(&["repair"]));
    assert_eq!((run.numbers("copied"), run.numbers("expunged")), ([0, 0], [1, 0]), "{}", run.stdout);
    bed.check_quiet();
}

#[test]
fn a_mailbox_that_is_nowhere_is_told_without_a_side() {
    let bed = Bed::new();
    let run = bed.run(&["mailbox", "delete", "test", "nowhere"]);
    bed.check(run.status == 1, "nothing was deleted", &run);
    assert_eq!(run.report["errors"][0]["side"], serde_json::Value::Null, "{}", run.stdout);
    let help = run.report["errors"][0]["help"].as_str().unwrap_or_default().to_owned();
    assert!(help.contains(" mailbox list test"), "{help}");
}

#[test]
fn s062_a_repair_mends_a_memory_that_is_wrong_and_copies_nothing() {
    let bed = Bed::new();
    for token in ["one", "two", "three"] {
        bed.put(Local, "INBOX", token);
    }
    bed.sync_well();
    let state = rusqlite::Connection::open(bed.database()).unwrap();
    // One pair is lost, the other two are crossed, and a flag is remembered that nobody has.
    state.execute_batch("DELETE FROM pair WHERE local_uid = 1").unwrap();
    state.execute_batch("UPDATE pair SET remote_uid = 100 + (remote_uid = 2), flags = '\\Flagged'").unwrap();
    state.execute_batch("UPDATE pair SET remote_uid = 2 + (remote_uid = 101)").unwrap();
    drop(state);
    let run = succeeded(&bed, bed.run(&["repair"]));
    assert_eq!((run.numbers("copied"), run.numbers("expunged")), ([0, 0], [0, 0]), "{}", run.stdout);
    let found = |op: &str| {
        let differences = run.report["differences"].as_array().into_iter().flatten();
        differences.filter(|step| step["op"] == op).map(|step| step["messages"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((found("pair"), found("remember"), found("copy")), (3, 2, 0), "{}", run.stdout);
    let again = succeeded(&bed, bed.run(&["repair"]));
    assert!(again.report.get("differences").is_none(), "{}", again.stdout);
    bed.check_quiet();
}

#[test]
fn the_most_talkative_run_tells_no_secret_and_no_mail() {
    let bed = Bed::new();
    bed.put(Local, "INBOX", "confidential");
    let trace = bed.database().with_file_name("trace");
    let run = succeeded(&bed, bed.run(&["sync", "-vv", "--trace-wire", trace.to_str().unwrap()]));
    let written = fs::read_to_string(&trace).unwrap();
    assert_eq!(fs::metadata(&trace).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(written.contains(" test local C: ") && written.contains(" test remote S: "), "{written}");
    assert!(run.stderr.contains("test: remote: INBOX: a message arrived"), "{}", run.stderr);
    let encoded = base64_of(&format!("\0{}\0{PASSWORD}", bed.user));
    for told in [&written, &run.stdout, &run.stderr] {
        for secret in [PASSWORD, &encoded, "Subject: confidential"] {
            assert!(!told.contains(secret), "{secret} in\n{told}");
        }
    }
}

/// The base64 of a text, without its padding.
fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(text)
}
