//! Courier-IMAP: no UIDNEXT, no UNSELECT, NO in place of BAD, alerts before the greeting, zeros.

use interimap::mail::{FlagChange, FlagSet};
use interimap::store::imap::connect_over;
use interimap::store::{Appended, Cause, Method, Reach, Store, Stored};

use crate::props::*;

const CAPABILITIES: &str = "UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE";
const GREETING: &str =
    "Courier-IMAP ready. Copyright 1998-2021 Double Precision, Inc.  See COPYING for distribution information.";

fn opening() -> String {
    login(GREETING, CAPABILITIES) + "C: n1 NAMESPACE\nS: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\nS: n1 OK done\n"
}

/// What is selected so far.
enum Before {
    Nothing,
    Mailbox,
}

/// SELECT, with the STATUS that goes before it, and what closes the mailbox before.
fn look_at(before: Before, wire: &str, messages: u32, uid_next: u32, listed: &str) -> String {
    let (closing, closed) = match before {
        Before::Mailbox => ("C: z SELECT \"\"\n", "S: z NO Unable to open this mailbox.\n"),
        Before::Nothing => ("", ""),
    };
    format!(
        "{closing}C: a STATUS \"{wire}\" (UIDNEXT UIDVALIDITY)\nC: b SELECT \"{wire}\"\nC: c UID FETCH 1:* (FLAGS)\n\
         {closed}S: * STATUS \"{wire}\" (UIDNEXT {uid_next} UIDVALIDITY 7)\nS: a OK done\n\
         S: * FLAGS (\\Draft \\Answered \\Flagged \\Deleted \\Seen \\Recent)\n\
         S: * OK [PERMANENTFLAGS (\\* \\Draft \\Answered \\Flagged \\Deleted \\Seen)] Limited\n\
         S: * {messages} EXISTS\nS: * 0 RECENT\nS: * OK [UIDVALIDITY 7] Ok\nS: * OK [MYRIGHTS \"acdilrsw\"] ACL\n\
         S: b OK [READ-WRITE] Ok\n{listed}S: c OK FETCH completed.\n"
    )
}

/// `quirks`: no-uid-next. There is no UNSELECT: a SELECT that fails does as well.
#[tokio::test]
async fn uid_next_is_asked_for_and_mailboxes_are_closed_by_a_select_that_fails() {
    let script = opening()
        + &look_at(Before::Nothing, "INBOX", 1, 9, "S: * 1 FETCH (UID 8 FLAGS (\\Seen))\n")
        + &look_at(Before::Mailbox, "INBOX.x", 1, 5, "S: * 1 FETCH (UID 12 FLAGS ())\n")
        + &look_at(Before::Mailbox, "INBOX.x", 0, 13, "");
    let (mut store, player) = opened(&script).await;
    assert_eq!((store.profile().method, store.profile().prefix.as_str()), (Method::Full, "INBOX."));
    let seen = store.observe(&[anew("INBOX")]).await.unwrap().remove(0).unwrap();
    assert_eq!((shown(&seen).as_str(), seen.status.uid_next.get()), ("8:\\Seen else gone", 9));
    let seen = store.observe(&[anew("x")]).await.unwrap().remove(0).unwrap();
    assert_eq!((shown(&seen).as_str(), seen.status.uid_next.get()), ("12: else gone", 13));
    let seen = store.observe(&[anew("x")]).await.unwrap().remove(0).unwrap();
    assert_eq!((shown(&seen).as_str(), seen.status.uid_next.get()), (" else gone", 13));
    finish(store, player).await;
}

/// `quirks`: frozen-view. Behind a tunnel it greets with "Ready." alone, and is known by what it does not say.
#[tokio::test]
async fn a_courier_without_its_name_gives_no_invented_message_for_mail() {
    const INVENTED: &str = "From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\n\
         This message is no longer available on the server.\r\n";
    let invented = format!(
        "S: * 1 FETCH (UID 8 FLAGS () INTERNALDATE \"{DATE}\" RFC822.SIZE 9 BODY[] {{{}}}\nS> {}\nS: )\nS: f OK done\n",
        INVENTED.len(),
        INVENTED.escape_default()
    );
    let script = login("Ready.", CAPABILITIES)
        + "C: n1 NAMESPACE\nS: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\nS: n1 OK done\n\
           C: b SELECT \"INBOX\"\nC: c UID FETCH 1:* (FLAGS)\nS: * 1 EXISTS\nS: * OK [UIDVALIDITY 7] Ok\nS: b OK done\n\
           S: * 1 FETCH (UID 8 FLAGS ())\nS: c OK done\n"
        + &look_at(Before::Mailbox, "INBOX", 1, 9, "S: * 1 FETCH (UID 8 FLAGS ())\n")
        + &format!("C: d NOOP\nC: f UID FETCH 8 {ITEMS}\nS: d OK done\n{invented}")
        + "C: g NOOP\nC: h UID SEARCH UID 8\nS: * 1 EXPUNGE\nS: g OK done\nS: * SEARCH\nS: h OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(look(&mut store, anew("INBOX")).await.unwrap(), "8: else gone");
    assert!(fetch(&mut store, &scope("INBOX", 7), &uids(&[8])).await.unwrap().is_empty());
    finish(store, player).await;
}

/// `quirks`: fetch-of-zero (2004), frozen-view, full-without-code.
#[tokio::test]
async fn the_view_is_refreshed_and_numbers_of_messages_do_not_matter() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\"\nS: * 1 EXISTS\nS: * OK [UIDVALIDITY 7] Ok\nS: a1 OK [READ-WRITE] Ok\n\
           C: a2 UID STORE 16334 -FLAGS (\\Flagged)\nS: * 0 FETCH (UID 16334 FLAGS ())\nS: a2 OK STORE completed.\n\
           C: a3 NOOP\nS: * 2 EXISTS\nS: a3 OK NOOP completed\n"
        + &format!("C: a4 APPEND \"INBOX\" () \"{DATE}\" {{1}}\nS: a4 NO [ALERT] You exceeded your mail quota.\n");
    let (mut store, player) = opened(&script).await;
    let change = FlagChange { add: FlagSet::new(), remove: FlagSet::parse("\\Flagged") };
    let stored = store.store_flags(&scope("INBOX", 7), &[(uids(&[16334]), change)], None).await.unwrap();
    assert_eq!(stored[&uid(16334)], Stored::Flags(FlagSet::new()));
    let appended = store.append(&scope("INBOX", 7), vec![message(b"x")]).await.unwrap();
    let [Appended::Refused(error)] = appended.as_slice() else { panic!("{appended:?}") };
    assert_eq!((error.cause, error.reach), (Cause::OverQuota, Reach::Mailbox), "{error}");
    finish(store, player).await;
}

/// `quirks`: alert-before-greeting. At the end of a tunnel, what greets may be a complaint about the machine.
#[tokio::test]
async fn an_alert_is_not_the_greeting() {
    const ALERT: &str =
        "S: * OK [ALERT] Filesystem notification initialization error -- contact your mail administrator\n";
    let survey = "C: n1 NAMESPACE\nS: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\nS: n1 OK done\n";
    let capability = format!("S: * CAPABILITY IMAP4rev1 {CAPABILITIES}\nS: c1 OK done\n");
    for (what, greeting) in [
        ("ahead of us", format!("{ALERT}S: * PREAUTH Ready.\nC: c1 CAPABILITY\n{capability}")),
        ("behind us", format!("{ALERT}C: c1 CAPABILITY\nS: * PREAUTH Ready.\n{capability}")),
    ] {
        let (stream, player) = play(&(greeting + survey));
        let store = connect_over(stream, &tunnel()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(store.profile().login, "preauthenticated", "{what}");
        assert_eq!(store.profile().server, "Ready.", "{what}");
        finish(store, player).await;
    }
    // Who greets with nothing but an alert wants a login all the same.
    let (stream, player) = play(&format!("{ALERT}C: c1 CAPABILITY\n{capability}"));
    let Err(error) = connect_over(stream, &tunnel()).await else { panic!("it was opened") };
    assert_eq!(error.cause, Cause::Login, "{error}");
    player.finish().await;
}

/// `quirks`: bare-refusal. NO without a code may say that there is none.
#[tokio::test]
async fn what_no_means_is_looked_up() {
    let script = opening()
        + "C: a1 CREATE \"INBOX.x\"\nS: a1 NO Cannot create this folder.\n\
           C: a2 LIST \"\" \"INBOX.x\"\nS: * LIST (\\HasNoChildren) \".\" \"INBOX.x\"\nS: a2 OK LIST completed\n\
           C: b1 DELETE \"INBOX.y\"\nS: b1 NO Mailbox does not exist, or must be subscribed to.\n\
           C: b2 LIST \"\" \"INBOX.y\"\nS: b2 OK LIST completed\n";
    let (mut store, player) = opened(&script).await;
    store.create(&name("x")).await.unwrap();
    store.delete(&name("y")).await.unwrap();
    finish(store, player).await;
}
