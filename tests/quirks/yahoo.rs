//! Yahoo and AOL: a HIGHESTMODSEQ that nothing follows from, a line end that is insisted on, and rates.

use interimap::mail::{FlagChange, FlagSet, UidSet};
use interimap::store::{Appended, Cause, Method, Reach, Store};

use crate::props::*;

const CAPABILITIES: &str = "ID MOVE NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ CHILDREN UNSELECT X-MSG-EXT OBJECTID \
     APPENDLIMIT=41697280";

fn opening() -> String {
    login("IMAP4rev1 imapgate-0.7", CAPABILITIES) + &survey("/", "(\"name\" \"Y!IMAP\" \"support-url\" \"x\")")
}

fn selected(messages: u32, script: &str) -> String {
    opening()
        + "C: s1 SELECT \"INBOX\"\n"
        + &mailbox(messages, 7, 420_000)
        + "S: * OK [HIGHESTMODSEQ 777]\nS: s1 OK [READ-WRITE] SELECT completed\n"
        + script
}

/// `quirks`: highestmodseq-without-condstore. The gap below UIDNEXT is no reason to worry.
#[tokio::test]
async fn s066_a_highestmodseq_alone_is_not_relied_on() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\"\nC: a2 UID FETCH 1:* (FLAGS)\n"
        + &mailbox(2, 7, 420_000)
        + "S: * OK [HIGHESTMODSEQ 777]\nS: a1 OK [READ-WRITE] SELECT completed\n\
           S: * 1 FETCH (UID 5 FLAGS ())\nS: * 2 FETCH (UID 9 FLAGS (\\Seen))\nS: a2 OK UID FETCH completed\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(store.profile().method, Method::Full);
    let seen = store.observe(&[since("INBOX", 7, 400, 777)]).await.unwrap().remove(0).unwrap();
    assert_eq!((shown(&seen).as_str(), seen.status.highest_modseq), ("5: 9:\\Seen else gone", None));
    finish(store, player).await;
}

/// `quirks`: final-line-end.
#[tokio::test]
async fn a_message_gets_the_line_end_that_the_server_insists_on() {
    let append = |octets: &str, size: usize, uid: u32| {
        format!(
            "C: a1 APPEND \"INBOX\" () \"{DATE}\" {{{size}+}}\nC> {octets}\nC+ \nS: a1 OK [APPENDUID 7 {uid}] done\n"
        )
    };
    let script =
        selected(0, &(append("a\\r\\nb\\r\\n", 6, 1) + &append("c\\r\\n", 3, 2) + &append("d\\n\\r\\n", 4, 3)));
    let (mut store, player) = opened(&script).await;
    let messages = vec![message(b"a\r\nb"), message(b"c\r\n"), message(b"d\n")];
    let appended = store.append(&scope("INBOX", 7), messages).await.unwrap();
    assert!(appended.iter().all(|appended| matches!(appended, Appended::At { .. })), "{appended:?}");
    finish(store, player).await;
}

/// `quirks`: short-lines.
#[tokio::test]
async fn no_command_is_longer_than_a_thousand_octets() {
    let every_other: UidSet = (1..=1000).map(|n| uid(2 * n)).collect();
    let mut script = String::new();
    for set in every_other.split(800 - "\\Seen".len()) {
        script += &format!("C: b1 UID STORE {set} -FLAGS (\\Seen)\n");
        for uid in set.iter() {
            script += &format!("S: * 1 FETCH (UID {uid} FLAGS ())\n");
        }
        script += "S: b1 OK UID STORE completed\n";
    }
    let sets = every_other.split(800);
    for set in &sets {
        const HEADER: &str = "BODY.PEEK[HEADER.FIELDS (DATE FROM MESSAGE-ID SUBJECT TO)]";
        script += &format!("C: d1 UID FETCH {set} (INTERNALDATE RFC822.SIZE {HEADER})\nS: d1 OK UID FETCH completed\n");
    }
    for set in &sets {
        script += &format!("C: e1 UID SEARCH UID {set}\nS: * SEARCH\nS: e1 OK UID SEARCH completed\n");
    }
    // The tags of the client are longer than those of the script.
    assert!(script.lines().filter(|line| line.starts_with("C: ")).all(|line| line.len() < 990));
    let (mut store, player) = opened(&selected(2000, &script)).await;
    let change = FlagChange { add: FlagSet::new(), remove: FlagSet::parse("\\Seen") };
    let stored = store.store_flags(&scope("INBOX", 7), &[(every_other.clone(), change)], None).await.unwrap();
    assert_eq!(stored.len(), 1000);
    assert!(store.fingerprints(&scope("INBOX", 7), &every_other).await.unwrap().is_empty());
    finish(store, player).await;
}

/// `quirks`: throttled, unavailable-for-ever. After a pause, one by one, as some messages are never given.
#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_waited_out() {
    let script = selected(
        2,
        &format!(
            "C: a1 UID FETCH 5:6 {ITEMS}\nS: a1 NO [LIMIT] UID FETCH Rate limit hit.\n\
             C: a2 UID FETCH 5 {ITEMS}\nC: a3 UID FETCH 6 {ITEMS}\n{}S: a2 OK UID FETCH completed\n\
             S: a3 NO [UNAVAILABLE] UID FETCH Server error - Please try again later\n",
            delivered(5, "Subject: y")
        ),
    );
    let (mut store, player) = opened(&script).await;
    let before = tokio::time::Instant::now();
    let found = fetch(&mut store, &scope("INBOX", 7), &uids(&[5, 6])).await.unwrap();
    assert_eq!(found, ["5 \\Seen Subject: y", "6 unreadable: UID FETCH Server error - Please try again later"]);
    assert_eq!(before.elapsed().as_secs(), 10);
    finish(store, player).await;

    let script = selected(
        0,
        &format!(
            "C: a1 APPEND \"INBOX\" () \"{DATE}\" {{3+}}\nC> x\\r\\n\nC+ \nS: a1 NO [LIMIT] APPEND Rate limit hit.\n"
        )
        .repeat(3),
    );
    let (mut store, player) = opened(&script).await;
    let appended = store.append(&scope("INBOX", 7), vec![message(b"x\r\n")]).await.unwrap();
    let [Appended::Refused(error)] = appended.as_slice() else { panic!("{appended:?}") };
    assert_eq!(error.cause, Cause::Refused, "{error}");
    finish(store, player).await;
}

/// Where no message comes, it is a matter of the server, and none of them is given up.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_unavailable_is_asked_later() {
    let script = selected(
        2,
        &format!(
            "C: a1 UID FETCH 5:6 {ITEMS}\nS: a1 NO [UNAVAILABLE] UID FETCH Server error - Please try again later\n\
             C: a2 UID FETCH 5 {ITEMS}\nC: a3 UID FETCH 6 {ITEMS}\nS: a2 NO [UNAVAILABLE] Server error\n\
             S: a3 NO [UNAVAILABLE] Server error\n"
        ),
    );
    let (mut store, player) = opened(&script).await;
    let error = fetch(&mut store, &scope("INBOX", 7), &uids(&[5, 6])).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::Refused, Reach::Mailbox), "{error}");
    finish(store, player).await;
}

/// One message that is never given does not hold up its mailbox.
#[tokio::test(start_paused = true)]
async fn a_message_that_is_unavailable_for_ever_is_named() {
    let script = selected(
        2,
        &format!(
            "C: a1 UID FETCH 5:6 {ITEMS}\n{}S: a1 NO [UNAVAILABLE] UID FETCH Server error\n\
             C: a2 UID FETCH 6 {ITEMS}\nS: a2 NO [UNAVAILABLE] UID FETCH Server error\n",
            delivered(5, "Subject: y")
        ),
    );
    let (mut store, player) = opened(&script).await;
    let found = fetch(&mut store, &scope("INBOX", 7), &uids(&[5, 6])).await.unwrap();
    assert_eq!(found, ["5 \\Seen Subject: y", "6 unreadable: UID FETCH Server error"]);
    finish(store, player).await;
}
