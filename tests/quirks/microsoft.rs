//! Microsoft 365 and Exchange: neither CONDSTORE nor ESEARCH nor LIST-EXTENDED, short lines, pauses, calendar items.

use interimap::mail::{Flag, FlagChange, FlagSet, UidSet};
use interimap::store::{Cause, Method, Passage, Reach, Retry, Store, Stored};
use tokio::time::Instant;

use crate::props::*;

const GREETING: &str = "The Microsoft Exchange IMAP4 service is ready. [RgBSADMAUAAyADgAMQ==]";
const CAPABILITIES: &str = "AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES \
     CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+";
const ITSELF: &str = "(\"name\" \"Microsoft.Exchange.Imap4.Imap4Server\" \"version\" \"15.20\")";

fn opening() -> String {
    login(GREETING, CAPABILITIES) + &survey("/", ITSELF)
}

const FLAGS: &str = "S: * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)\n\
     S: * OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)] Permanent flags\n";

/// `quirks`: blank-behind-status, name-with-tabulator, no-lsub, status-in-part.
#[tokio::test]
async fn mailboxes_are_listed_one_by_one_and_subscriptions_left_alone() {
    let script = opening()
        + "C: l1 LIST \"\" \"*\"\nC: l2 LSUB \"\" \"*\"\n\
           S: * LIST (\\Marked \\HasChildren) \"/\" INBOX\nS: * LIST (\\HasNoChildren) \"/\" \"Sent Items\"\n\
           S: * LIST (\\HasNoChildren) \"/\" INBOX/Da\tOggetto\tRicevuto\nS: l1 OK LIST completed.\n\
           S: l2 BAD Command Argument Error. 12\n\
           C: s1 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)\nC: s2 STATUS \"Sent Items\" (MESSAGES UIDNEXT UIDVALIDITY)\n\
           S: * STATUS INBOX (MESSAGES 2 UIDNEXT 7 UIDVALIDITY 14 ) \nS: s1 OK STATUS completed.\n\
           S: * STATUS \"Sent Items\" (MESSAGES 2 UIDNEXT 0 UIDVALIDITY 15) \nS: s2 OK STATUS completed.\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!((store.profile().method, store.profile().delimiter), (Method::Full, Some('/')));
    let listing = store.mailboxes().await.unwrap();
    let told: Vec<_> =
        listing.mailboxes.iter().map(|(name, listed)| (name.as_str(), listed.subscription, listed.status)).collect();
    let [("INBOX", None, Some(status)), ("Sent Items", None, None)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((status.messages, status.uid_next.get(), status.highest_modseq), (2, 7, None));
    assert_eq!(listing.unnamable.len(), 1);
    assert_eq!(listing.unnamable[0].name, "INBOX/Da\\x09Oggetto\\x09Ricevuto");
    finish(store, player).await;
}

/// `quirks`: short-lines. Beyond 4096 octets the server answers "Command Argument Error. 12".
#[tokio::test]
async fn no_command_is_longer_than_the_server_reads() {
    let every_other: UidSet = (1..=3000).map(|n| uid(2 * n)).collect();
    let mut script =
        opening() + "C: a1 SELECT \"INBOX\"\n" + FLAGS + &mailbox(6000, 14, 6001) + "S: a1 OK [READ-WRITE] done\n";
    let pieces = every_other.split(3800 - "\\Seen".len());
    assert!(pieces.len() > 3);
    for set in &pieces {
        script += &format!("C: b1 UID STORE {set} +FLAGS (\\Seen)\n");
        assert!(set.to_string().len() + 40 < 4096);
        for uid in set.iter() {
            script += &format!("S: * 1 FETCH (UID {uid} FLAGS (\\Seen $MDNSent))\n");
        }
        script += "S: b1 OK STORE completed.\n";
    }
    let (mut store, player) = opened(&script).await;
    let change = FlagChange { add: FlagSet::parse("\\Seen"), remove: FlagSet::new() };
    let stored = store.store_flags(&scope("INBOX", 14), &[(every_other, change)], None).await.unwrap();
    assert_eq!(stored.len(), 3000);
    // `quirks`: odd-keywords
    assert_eq!(stored[&uid(2)], Stored::Flags(FlagSet::parse("\\Seen $MDNSent")));
    finish(store, player).await;
}

/// `quirks`: authenticated-but-not-connected. As soon as anything is asked, the login turns out to be none.
#[tokio::test]
async fn a_login_that_leads_nowhere_is_refused_in_plain_words() {
    for status in ["BAD", "NO"] {
        let error = refused(
            &(login(GREETING, CAPABILITIES)
                + &format!(
                    "C: n1 NAMESPACE\nC: n2 {ID}\nS: n1 {status} User is authenticated but not connected.\n\
                     S: * ID {ITSELF}\nS: n2 OK ID completed\n"
                )),
        )
        .await;
        assert_eq!((error.cause, error.retry, error.reach), (Cause::Login, Retry::Never, Reach::Side), "{error}");
        assert!(error.text.contains("IMAP is switched off for the account"), "{error}");
    }
}

/// `quirks`: throttled. As long as was suggested, and not a moment longer.
#[tokio::test(start_paused = true)]
async fn a_suggested_pause_is_kept() {
    const THROTTLED: &str = "Request is throttled. Suggested Backoff Time: 89117 milliseconds";
    let select = "C: a1 SELECT \"INBOX\"\nC: a2 UID FETCH 1:* (FLAGS)\n";
    let script = opening()
        + select
        + &format!("S: a1 BAD {THROTTLED}\nS: a2 BAD Command received in Invalid state.\n")
        + select
        + FLAGS
        + &mailbox(1, 14, 7)
        + "S: a1 OK [READ-WRITE] done\nS: * 1 FETCH (FLAGS () UID 6)\nS: a2 OK FETCH completed.\n"
        + &format!(
            "C: b1 APPEND \"INBOX\" () \"{DATE}\" {{2+}}\nC> x\\n\nC+ \nS: b1 NO {THROTTLED}\n\
             C: b2 APPEND \"INBOX\" () \"{DATE}\" {{2+}}\nC> x\\n\nC+ \nS: b2 OK [APPENDUID 14 7] done\n"
        );
    let (mut store, player) = opened(&script).await;
    let before = Instant::now();
    assert_eq!(look(&mut store, anew("INBOX")).await.unwrap(), "6: else gone");
    assert_eq!(before.elapsed().as_millis(), 89_117);
    let before = Instant::now();
    let appended = store.append(&scope("INBOX", 14), vec![message(b"x\n")]).await.unwrap();
    assert!(matches!(appended.as_slice(), [interimap::store::Appended::At { .. }]), "{appended:?}");
    assert_eq!(before.elapsed().as_millis(), 89_117);
    finish(store, player).await;
}

/// A NAMESPACE that is put off is waited for; without it, all mailboxes would seem to have other names.
#[tokio::test(start_paused = true)]
async fn a_session_begins_only_where_names_are_known() {
    let throttled = format!(
        "C: n1 NAMESPACE\nC: n2 {ID}\nS: n1 BAD Request is throttled. Suggested Backoff Time: 3000 milliseconds\n\
         S: * ID {ITSELF}\nS: n2 OK ID completed\n"
    );
    let before = Instant::now();
    let (store, player) = opened(&(login(GREETING, CAPABILITIES) + &throttled + &survey("/", ITSELF))).await;
    assert_eq!((store.profile().delimiter, before.elapsed().as_secs()), (Some('/'), 3));
    finish(store, player).await;

    let error = refused(&(login(GREETING, CAPABILITIES) + &throttled.repeat(3))).await;
    assert_eq!((error.retry, error.reach), (Retry::Later, Reach::Side), "{error}");
    let no = format!("C: n1 NAMESPACE\nC: n2 {ID}\nS: n1 NO Internal error\nS: * ID {ITSELF}\nS: n2 OK ID completed\n");
    let error = refused(&(login(GREETING, CAPABILITIES) + &no)).await;
    assert_eq!((error.retry, error.reach), (Retry::Later, Reach::Side), "{error}");
    assert!(error.text.contains("how its mailboxes are named"), "{error}");

    let unknown = no.replace("NO Internal error", "BAD Unknown command")
        + "C: l1 LIST \"\" \"\"\nS: * LIST (\\Noselect) \".\" \"\"\nS: l1 OK done\n";
    let (store, player) = opened(&(login(GREETING, CAPABILITIES) + &unknown)).await;
    assert_eq!(store.profile().delimiter, Some('.'));
    finish(store, player).await;
}

/// Whoever never gets enough is left to a later run, and so is one that hangs up meanwhile.
#[tokio::test(start_paused = true)]
async fn patience_has_an_end() {
    let throttled = "C: a1 SELECT \"INBOX\"\nC: a2 UID FETCH 1:* (FLAGS)\n\
         S: a1 NO Request is throttled. Suggested Backoff Time: 3600000 milliseconds\nS: a2 BAD Command received in Invalid state.\n";
    let (mut store, player) = opened(&(opening() + &throttled.repeat(4))).await;
    let before = Instant::now();
    let error = look(&mut store, anew("INBOX")).await.unwrap_err();
    assert_eq!((error.retry, error.reach), (Retry::Later, Reach::Mailbox), "{error}");
    assert!(error.text.contains("throttled"), "{error}");
    assert_eq!(before.elapsed().as_secs(), 3 * 300);
    finish(store, player).await;

    // All its pauses together take no more than an hour.
    let (mut store, player) = opened(&(opening() + &throttled.repeat(6 * 4))).await;
    let before = Instant::now();
    for _ in 0..6 {
        look(&mut store, anew("INBOX")).await.unwrap_err();
    }
    assert_eq!(before.elapsed().as_secs(), 3600);
    finish(store, player).await;

    let script = opening()
        + "C: a1 SELECT \"INBOX\"\nC: a2 UID FETCH 1:* (FLAGS)\n\
           S: a1 BAD Request is throttled. Suggested Backoff Time: 5000 milliseconds\nS: * BYE Connection closed. 14\nhang up\n";
    let (mut store, player) = opened(&script).await;
    let error = look(&mut store, anew("INBOX")).await.unwrap_err();
    assert_eq!((error.cause, error.retry), (Cause::ConnectionLost, Retry::Later), "{error}");
    assert!(error.text.contains("after it had asked for a pause"), "{error}");
    finish(store, player).await;
}

/// `quirks`: listed-but-not-given, body-nil.
#[tokio::test]
async fn what_is_no_mail_is_named_and_does_not_keep_the_others() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\"\n"
        + FLAGS
        + &mailbox(3, 14, 7)
        + "S: a1 OK [READ-WRITE] done\n"
        + &format!("C: a2 UID FETCH 4:6 {ITEMS}\n")
        + &delivered(4, "Subject: x")
        + &format!("S: * 2 FETCH (UID 5 FLAGS () INTERNALDATE \"{DATE}\" RFC822.SIZE 1234 BODY[] NIL)\n")
        + "S: a2 OK FETCH completed.\nC: a3 UID SEARCH UID 6\nS: * SEARCH 6\nS: a3 OK SEARCH completed.\n"
        + &format!("C: a4 UID FETCH 6 {ITEMS}\nS: a4 OK FETCH completed.\n")
        + "C: a5 UID SEARCH UID 6\nS: * SEARCH 6\nS: a5 OK SEARCH completed.\n";
    let (mut store, player) = opened(&script).await;
    let found = fetch(&mut store, &scope("INBOX", 14), &uids(&[4, 5, 6])).await.unwrap();
    assert_eq!(
        found,
        [
            "4 \\Seen Subject: x",
            "5 unreadable: the server gives NIL for its octets",
            "6 unreadable: it is listed, but nothing is given when it is asked for",
        ]
    );
    finish(store, player).await;
}

/// `quirks`: numbered-errors. The reader is told what the number means.
#[tokio::test]
async fn numbers_in_place_of_reasons_are_explained() {
    for (answer, cause, retry, explained) in [
        ("BAD Command Argument Error. 11", Cause::CannotHold, Retry::Never, "too large"),
        ("BAD Command Error. 10", Cause::CannotHold, Retry::Never, "lines too long"),
    ] {
        let script = opening()
            + "C: a1 SELECT \"INBOX\"\n"
            + FLAGS
            + &mailbox(3, 14, 7)
            + &format!("S: a1 OK done\nC: b1 APPEND \"INBOX\" () \"{DATE}\" {{2+}}\nC> x\\n\nC+ \nS: b1 {answer}\n");
        let (mut store, player) = opened(&script).await;
        let appended = store.append(&scope("INBOX", 14), vec![message(b"x\n")]).await.unwrap();
        let [interimap::store::Appended::Refused(error)] = appended.as_slice() else { panic!("{appended:?}") };
        assert_eq!((error.cause, error.retry), (cause, retry), "{error}");
        assert!(error.text.contains(explained), "{error}");
        finish(store, player).await;
    }
}

/// `quirks`: odd-keywords. There is no `\*`: other keywords are no matter between the sides.
#[tokio::test]
async fn keywords_that_are_not_kept_are_known() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\"\nC: a2 UID FETCH 1:* (FLAGS)\n"
        + FLAGS
        + &mailbox(1, 14, 7)
        + "S: a1 OK [READ-WRITE] done\nS: * 1 FETCH (FLAGS (\\Seen $MDNSent) UID 6)\nS: a2 OK FETCH completed.\n";
    let (mut store, player) = opened(&script).await;
    let seen = store.observe(&[since("INBOX", 14, 7, 0)]).await.unwrap().remove(0).unwrap();
    assert_eq!(shown(&seen), "6:\\Seen $MDNSent else gone");
    assert!(!seen.permanent_flags.holds(&Flag::parse("$Forwarded").unwrap()));
    finish(store, player).await;
}

/// `quirks`: throttled. Keywords that are put off are not refused.
#[tokio::test(start_paused = true)]
async fn a_keyword_is_stored_after_the_pause() {
    let store = |answer: &str| format!("C: b1 UID STORE 6 +FLAGS ($MDNSent)\n{answer}");
    let script = opening()
        + "C: a1 SELECT \"INBOX\"\n"
        + &mailbox(1, 14, 7)
        + "S: a1 OK done\n"
        + &store("S: b1 NO Request is throttled. Suggested Backoff Time: 5000 milliseconds\n")
        + &store("S: * 1 FETCH (FLAGS ($MDNSent) UID 6)\nS: b1 OK done\n");
    let (mut store, player) = opened(&script).await;
    let change = FlagChange { add: FlagSet::parse("$MDNSent"), remove: FlagSet::new() };
    let stored = store.store_flags(&scope("INBOX", 14), &[(uids(&[6]), change)], None).await.unwrap();
    assert_eq!(stored[&uid(6)], Stored::Flags(FlagSet::parse("$MDNSent")));
    finish(store, player).await;
}

/// `quirks`: throttled. A move is not tried twice, but what goes before it is.
#[tokio::test(start_paused = true)]
async fn a_move_is_said_after_the_pause() {
    let throttled = "NO Request is throttled. Suggested Backoff Time: 5000 milliseconds";
    let script = opening()
        + &format!("C: a1 SELECT \"INBOX\"\nS: a1 {throttled}\nC: a1 SELECT \"INBOX\"\n")
        + &mailbox(1, 14, 7)
        + &format!("S: a1 OK done\nC: b1 UID MOVE 6 \"x\"\nS: b1 {throttled}\n")
        + "C: b2 LIST \"\" \"x\"\nS: * LIST () \"/\" x\nS: b2 OK done\n"
        + "C: b1 UID MOVE 6 \"x\"\nS: * OK [COPYUID 15 6 1] Moved\nS: * 1 EXPUNGE\nS: b1 OK done\n";
    let (mut store, player) = opened(&script).await;
    let (from, to) = (scope("INBOX", 14), scope("x", 15));
    let before = Instant::now();
    let relocated = store.relocate(&from, &uids(&[6]), &to, Passage::Move).await.unwrap();
    assert_eq!((relocated.refused, before.elapsed().as_secs()), (uids(&[6]), 5));
    let relocated = store.relocate(&from, &uids(&[6]), &to, Passage::Move).await.unwrap();
    assert_eq!((relocated.gone, before.elapsed().as_secs()), (uids(&[6]), 10));
    finish(store, player).await;
}
