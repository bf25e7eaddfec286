//! Cyrus and Fastmail: VANISHED far and wide, garbage beside HIGHESTMODSEQ, limits on keywords and copies.

use interimap::mail::{FlagSet, Subscription};
use interimap::store::{Appended, Cause, Message, Method, Retry, Store};

use crate::props::*;

const CAPABILITIES: &str = "LITERAL+ ID ENABLE NAMESPACE UIDPLUS UNSELECT ESEARCH CONDSTORE QRESYNC LIST-EXTENDED LIST-STATUS \
     OBJECTID MULTIAPPEND";

fn opening() -> String {
    login("mail.example.org Cyrus IMAP 3.6.1-Debian server ready", CAPABILITIES)
        + &survey("/", "(\"name\" \"Cyrus IMAPD\" \"version\" \"3.6.1\")")
            .replacen("C: n1", "C: n0 ENABLE QRESYNC\nC: n1", 1)
            .replacen("S: *", "S: * ENABLED QRESYNC\nS: n0 OK done\nS: *", 1)
}

/// `quirks`: vanished-above-star. What is reported may lie far above what there ever was (nextcloud/mail#11908), and
/// what was expunged above the highest message is not left out.
#[tokio::test]
async fn vanished_is_taken_as_it_is_meant() {
    for (vanished, seen) in [
        ("1:26183,26185", "26184:\\Seen vanished 1:26183,26185"),
        ("1:26183,26185:4294967295", "26184:\\Seen vanished 1:26183,26185:4294967295"),
    ] {
        let script = opening()
            + "C: a1 SELECT \"INBOX\" (QRESYNC (7 90))\n"
            + &mailbox(1, 7, 26186)
            + &format!(
                "S: * OK [HIGHESTMODSEQ 111160] ok\nS: * OK [URLMECH INTERNAL] Ok\nS: * VANISHED (EARLIER) {vanished}\n\
                 S: * 1 FETCH (FLAGS (\\Seen) UID 26184 MODSEQ (111160))\nS: a1 OK [READ-WRITE] Completed\n"
            );
        let (mut store, player) = opened(&script).await;
        assert_eq!(store.profile().method, Method::Qresync);
        assert_eq!(look(&mut store, since("INBOX", 7, 26000, 90)).await.unwrap(), seen);
        finish(store, player).await;
    }
}

/// `quirks`: vanished-but-there. All live mail is said to have vanished (James 2021): what is in the same breath said to be
/// there is not believed to be gone.
#[tokio::test]
async fn who_says_both_is_asked_for_all() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\" (QRESYNC (7 90))\n"
        + &mailbox(1, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: * VANISHED (EARLIER) 1:19\nS: * 1 FETCH (FLAGS () UID 8 MODSEQ (95))\nS: a1 OK done\n\
           C: b1 SELECT \"INBOX\" (CONDSTORE)\nC: b2 UID FETCH 1:4294967295 (FLAGS)\nS: * OK [CLOSED] x\n"
        + &mailbox(1, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: b1 OK done\nS: * 1 FETCH (UID 8 FLAGS ())\nS: b2 OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(look(&mut store, since("INBOX", 7, 20, 90)).await.unwrap(), "8: else gone");
    finish(store, player).await;
}

/// `quirks`: modseq-ahead-of-vanished. An expunge below 208 is still to be told.
#[tokio::test]
async fn the_checkpoint_is_what_select_says() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\" (QRESYNC (7 90))\n"
        + &mailbox(2, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: * 1 FETCH (FLAGS () UID 8 MODSEQ (207))\nS: * 2 FETCH (FLAGS () UID 9 MODSEQ (208))\n\
           S: a1 OK done\n";
    let (mut store, player) = opened(&script).await;
    let seen = store.observe(&[since("INBOX", 7, 20, 90)]).await.unwrap().remove(0).unwrap();
    assert_eq!(seen.status.highest_modseq.map(|modseq| modseq.get()), Some(95));
    finish(store, player).await;
}

/// `quirks`: gone-is-vanished. No mailbox is open while one is renamed or deleted.
#[tokio::test]
async fn nothing_is_open_while_mailboxes_move() {
    let selected = "C: a1 SELECT \"x\" (CONDSTORE)\nC: a2 UID FETCH 1:4294967295 (FLAGS)\n".to_owned()
        + &mailbox(0, 7, 1)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK done\nS: a2 OK done\n";
    let script = opening()
        + &selected
        + "C: b1 UNSELECT\nS: b1 OK done\nC: b2 RENAME \"x\" \"y\"\nS: b2 OK done\n"
        + &selected.replace("\"x\"", "\"y\"")
        + "C: d1 UNSELECT\nS: d1 OK done\nC: d2 DELETE \"y\"\nS: d2 OK done\n";
    let (mut store, player) = opened(&script).await;
    look(&mut store, anew("x")).await.unwrap();
    store.rename(&name("x"), &name("y")).await.unwrap();
    look(&mut store, anew("y")).await.unwrap();
    store.delete(&name("y")).await.unwrap();
    finish(store, player).await;
}

/// `quirks`: garbled-mailbox-ids. MAILBOXID is not asked for where it would be whatever lies in memory, but by itself: all
/// mailboxes of one second have the same UIDVALIDITY, so nothing else tells which of them was renamed.
#[tokio::test]
async fn mailbox_ids_are_asked_for_by_themselves() {
    let script = opening()
        + "C: l1 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))\n\
           C: l2 LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))\n\
           S: * LIST (\\Subscribed) \"/\" INBOX\nS: * LIST (\\Subscribed) \"/\" INBOX\n\
           S: * STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7 HIGHESTMODSEQ 4)\nS: l1 OK Completed\n\
           S: * LIST () \"/\" INBOX\nS: * STATUS INBOX (MAILBOXID (qrxa3tww52qkgtf4r6jimrxj))\nS: l2 OK Completed\n";
    let (mut store, player) = opened(&script).await;
    // `quirks`: listed-twice
    let listing = store.mailboxes().await.unwrap();
    let inbox = &listing.mailboxes[&name("INBOX")];
    assert_eq!(inbox.subscription, Some(Subscription::Subscribed));
    assert_eq!(inbox.status.map(|status| status.messages), Some(0));
    assert_eq!(inbox.id.as_ref().map(|id| id.as_str()), Some("qrxa3tww52qkgtf4r6jimrxj"));
    finish(store, player).await;
}

/// `quirks`: keywords-used-up, identical-messages, full-without-code.
#[tokio::test]
async fn limits_are_told_apart() {
    let append = |tag: &str, flags: &str, answer: &str| {
        format!("C: {tag} APPEND \"INBOX\" ({flags}) \"{DATE}\" {{1+}}\nC> x\nC+ \nS: {tag} {answer}\n")
    };
    let select = "C: s1 SELECT \"INBOX\"\n".to_owned() + &mailbox(0, 7, 1) + "S: s1 OK [READ-WRITE] Completed\n";
    let one = || Message { flags: FlagSet::parse("\\Seen $new"), ..message(b"x") };

    let script = opening()
        + &select
        + &append("a1", "\\Seen $new", "NO Too many user flags in mailbox")
        + &append("a2", "\\Seen", "OK [APPENDUID 7 1] done");
    let (mut store, player) = opened(&script).await;
    let appended = store.append(&scope("INBOX", 7), vec![one()]).await.unwrap();
    let [Appended::At { uid, flags }] = appended.as_slice() else { panic!("{appended:?}") };
    assert_eq!((uid.get(), flags.to_string().as_str()), (1, "\\Seen"));
    finish(store, player).await;

    for (answer, cause, retry) in [
        ("NO [LIMIT] Too many identical emails", Cause::CannotHold, Retry::Never),
        ("NO Over quota", Cause::OverQuota, Retry::Later),
        ("NO [LIMIT] Message size exceeds fixed limit", Cause::TooBig, Retry::Never),
    ] {
        let (mut store, player) = opened(&(opening() + &select + &append("a1", "", answer))).await;
        let appended = store.append(&scope("INBOX", 7), vec![message(b"x")]).await.unwrap();
        let [Appended::Refused(error)] = appended.as_slice() else { panic!("{appended:?}") };
        assert_eq!((error.cause, error.retry), (cause, retry), "{error}");
        finish(store, player).await;
    }
}
