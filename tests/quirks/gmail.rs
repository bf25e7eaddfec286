//! Gmail: labels as mailboxes, CONDSTORE without QRESYNC, names that may not be, and flags that are none.

use interimap::mail::Flag;
use interimap::store::{Cause, Method, Store};

use crate::props::*;

const CAPABILITIES: &str = "UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH \
     UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584";

fn opening() -> String {
    login("Gimap ready for requests from 192.0.2.1 x1mb2", CAPABILITIES)
        + &survey("/", "(\"name\" \"GImap\" \"vendor\" \"Google, Inc.\" \"version\" \"gmail_imap_260101\")")
}

const LIST: &str =
    "C: l1 LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))\n";

/// `quirks`: virtual-mailboxes. What they are is said by their attributes, whatever they are called.
#[tokio::test]
async fn s106_mailboxes_that_show_the_messages_of_others_are_told_by_their_use() {
    let script = opening()
        + LIST
        + "S: * LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"\n\
           S: * STATUS \"INBOX\" (MESSAGES 1 UIDNEXT 9 UIDVALIDITY 1 HIGHESTMODSEQ 5)\n\
           S: * LIST (\\HasChildren \\NonExistent) \"/\" \"[Gmail]\"\n\
           S: * LIST (\\All \\HasNoChildren \\Subscribed) \"/\" \"[Gmail]/Alle Nachrichten\"\n\
           S: * STATUS \"[Gmail]/Alle Nachrichten\" (MESSAGES 1 UIDNEXT 9 UIDVALIDITY 11 HIGHESTMODSEQ 5)\n\
           S: * LIST (\\Flagged \\HasNoChildren) \"/\" \"[Gmail]/Markiert\"\n\
           S: * LIST (\\HasNoChildren \\Important) \"/\" \"[Gmail]/Wichtig\"\n\
           S: * LIST (\\Drafts \\HasNoChildren) \"/\" \"[Gmail]/Entw&APw-rfe\"\nS: l1 OK Success\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(
        list(&mut store).await.unwrap(),
        [
            "+INBOX",
            "-[Gmail]",
            "+[Gmail]/Alle Nachrichten all",
            "-[Gmail]/Entwürfe drafts",
            "-[Gmail]/Markiert flagged",
            "-[Gmail]/Wichtig important",
        ]
    );
    finish(store, player).await;
}

/// `quirks`: narrow-names. What Gmail would answer to CREATE is known before; what it has listed it can have.
#[tokio::test]
async fn names_that_gmail_refuses_are_refused_before_anything_is_tried() {
    let script = opening()
        + LIST
        + "S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"\nS: * LIST (\\HasNoChildren) \"/\" \"old  one\"\nS: l1 OK Success\n\
           C: a1 CREATE \"a b/c.d (e)\"\nS: a1 OK Success\n\
           C: a2 CREATE \"x\"\nS: a2 NO [CANNOT] Folder contains excess whitespace (Failure)\n";
    let (mut store, player) = opened(&script).await;
    list(&mut store).await.unwrap();
    for refused in [" a", "a ", "a  b", "a/ b", "a /b", "a^b", "a\"b", "a\\b"] {
        let reason = store.refuses_name(&name(refused));
        assert!(reason.as_ref().is_some_and(|reason| reason.contains("Gmail")), "{refused}: {reason:?}");
    }
    for taken in ["a b/c.d (e)", "old  one", "INBOX", "[Gmail]/x", "ä%*"] {
        assert_eq!(store.refuses_name(&name(taken)), None, "{taken}");
    }
    store.create(&name("a b/c.d (e)")).await.unwrap();
    let error = store.create(&name("x")).await.unwrap_err();
    assert_eq!(error.cause, Cause::CannotHold, "{error}");
    finish(store, player).await;
}

/// `quirks`: code-without-text, flags-that-are-none, unasked-items. There is no [CLOSED] without QRESYNC.
#[tokio::test]
async fn s065_changes_come_by_condstore() {
    let selected = |messages: u32| {
        format!(
            "S: * FLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $Forwarded OIB-Seen-[Gmail]/Trash)\n\
             S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $Forwarded OIB-Seen-[Gmail]/Trash \\*)] ok\n\
             {}S: * OK [HIGHESTMODSEQ 9195383]\n",
            mailbox(messages, 7, 29237)
        )
    };
    let script = opening()
        + "C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 9195000)\n\
           C: a3 UID SEARCH RETURN (ALL) ALL\n"
        + &selected(3)
        + "S: a1 OK [READ-WRITE] INBOX selected. (Success)\n\
           S: * 2 FETCH (X-GM-LABELS (\"\\\\\\\\Important\" x) UID 20 MODSEQ (9195100) FLAGS (\\Seen OIB-Seen-[Gmail]/Trash))\n\
           S: a2 OK Success\nS: * ESEARCH (TAG \"a3\") UID ALL 10,20,29230\nS: a3 OK SEARCH completed (Success)\n\
           C: b1 UNSELECT\nC: b2 SELECT \"INBOX\" (CONDSTORE)\nC: b3 UID FETCH 1:* (FLAGS)\nS: b1 OK Success\n"
        + &selected(1)
        + "S: b2 OK [READ-WRITE] INBOX selected. (Success)\nS: * 1 FETCH (UID 29230 FLAGS () MODSEQ (1))\nS: b3 OK Success\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(store.profile().method, Method::Condstore);
    let seen = store.observe(&[since("INBOX", 7, 29231, 9_195_000)]).await.unwrap().remove(0).unwrap();
    assert_eq!(shown(&seen), "20:\\Seen vanished 1:9,11:19,21:29229,29231:29236");
    assert!(seen.permanent_flags.holds(&Flag::parse("$new").unwrap()));
    assert_eq!(look(&mut store, anew("INBOX")).await.unwrap(), "29230: else gone");
    finish(store, player).await;
}

/// `quirks`: throttled. A refused listing is asked for again after a while.
#[tokio::test(start_paused = true)]
async fn a_throttled_listing_is_asked_for_again() {
    let script = opening()
        + LIST
        + "S: l1 NO [THROTTLED] Account exceeded command or bandwidth limits. (Failure)\n"
        + LIST
        + "S: * LIST () \"/\" INBOX\nS: l1 OK Success\n";
    let (mut store, player) = opened(&script).await;
    let before = tokio::time::Instant::now();
    assert_eq!(list(&mut store).await.unwrap(), ["-INBOX"]);
    assert_eq!(before.elapsed().as_secs(), 10);
    finish(store, player).await;
}
