//! Zoho, mail.ru, Yandex, GMX, Strato, 163 and QQ.

use interimap::store::{Cause, Method, Store};

use crate::props::*;

/// `quirks`: numbers-that-are-none. Zoho (2023) has mod-sequences of -1 for some messages.
#[tokio::test]
async fn zoho_changes_without_a_mod_sequence_are_changes() {
    let script = login(
        "imap.zoho.com IMAP4 Server (Zoho Mail IMAP4rev1 Server version 1.0)",
        "NAMESPACE ID CONDSTORE UIDPLUS ESEARCH UNSELECT",
    ) + &survey("/", "(\"name\" \"Zoho Mail\")")
        + "C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)\nC: a3 UID SEARCH RETURN (ALL) ALL\n"
        + &mailbox(2, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK [READ-WRITE] done\n\
           S: * 1 FETCH (UID 8 MODSEQ (-1) FLAGS (\\Seen))\nS: * 2 FETCH (UID 9 FLAGS () MODSEQ (95))\nS: a2 OK done\n\
           S: * ESEARCH (TAG \"a3\") UID ALL 8:9\nS: a3 OK done\n\
           C: b0 UNSELECT\nC: b1 SELECT \"x\" (CONDSTORE)\nC: b2 UID FETCH 1:* (FLAGS)\nS: b0 OK done\n"
        + &mailbox(1, 8, 20)
        + "S: * OK [HIGHESTMODSEQ -1] ok\nS: b1 OK [READ-WRITE] done\nS: * 1 FETCH (UID 8 MODSEQ (-1) FLAGS ())\nS: b2 OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(look(&mut store, since("INBOX", 7, 20, 90)).await.unwrap(), "8:\\Seen 9: vanished 1:7,10:19");
    let seen = store.observe(&[anew("x")]).await.unwrap().remove(0).unwrap();
    // Nothing is resumed from there: the next look is at every message.
    assert_eq!((shown(&seen).as_str(), seen.status.highest_modseq), ("8: else gone", None));
    finish(store, player).await;
}

/// `quirks`: numbers-that-are-none. mail.ru (2024) prints large numbers as floats; a size is only a hint.
#[tokio::test]
async fn mail_ru_messages_come_whatever_their_size_is_said_to_be() {
    let script = login("Welcome", "NAMESPACE ID UIDPLUS UNSELECT")
        + &survey("/", "NIL")
        + "C: a1 SELECT \"INBOX\"\n"
        + &mailbox(2, 7, 20)
        + &format!(
            "S: a1 OK done\nC: a2 UID FETCH 8:9 {ITEMS}\n\
             S: * 1 FETCH (UID 8 FLAGS () INTERNALDATE \"{DATE}\" RFC822.SIZE 9.3736e+06 BODY[] {{10}}\nS> Subject: x\nS: )\n\
             S: * 2 FETCH (RFC822.SIZE 1.86931e+06 UID 9 FLAGS () INTERNALDATE \"{DATE}\" BODY[] \"\")\nS: a2 OK done\n"
        );
    let (mut store, player) = opened(&script).await;
    assert_eq!(
        fetch(&mut store, &scope("INBOX", 7), &uids(&[8, 9])).await.unwrap(),
        ["8  Subject: x", "9 unreadable: the server gives no octets, though the message has a size"]
    );
    finish(store, player).await;
}

/// `quirks`: body-without-value (2024), bye-repeated (2019).
#[tokio::test(start_paused = true)]
async fn yandex_gives_nothing_for_some_messages_and_never_stops_saying_goodbye() {
    let script =
        login("Yandex IMAP4rev1 at iva4-3.mail.yandex.net:993 ready to talk", "NAMESPACE ID UIDPLUS UNSELECT LITERAL+")
            + &survey("|", "(\"name\" \"Yandex\")")
            + "C: a1 SELECT \"INBOX\"\n"
            + &mailbox(2, 7, 20)
            + &format!(
                "S: a1 OK done\nC: a2 UID FETCH 8:9 {ITEMS}\n\
             S: * 1 FETCH (UID 8 FLAGS () INTERNALDATE \"{DATE}\" RFC822.SIZE 5 BODY[] )\n{}S: a2 OK done\n",
                delivered(9, "Subject: y")
            )
            + "C: z LOGOUT\n"
            + &"S: * BYE IMAP4rev1 Server logging out\n".repeat(100)
            + "wait\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(
        fetch(&mut store, &scope("INBOX", 7), &uids(&[8, 9])).await.unwrap(),
        ["8 unreadable: the server gives NIL for its octets", "9 \\Seen Subject: y"]
    );
    let before = tokio::time::Instant::now();
    store.close().await;
    assert!(before.elapsed().as_secs() < 5);
    finish(store, player).await;
}

/// In the middle of a session, the first BYE is the end.
#[tokio::test]
async fn yandex_hangs_up_once() {
    let script = login("Yandex IMAP4rev1 ready to talk", "NAMESPACE ID UNSELECT")
        + &survey("|", "NIL")
        + "C: a1 LIST \"\" \"*\"\nC: a2 LSUB \"\" \"*\"\n"
        + &"S: * BYE Autologout; idle for too long\n".repeat(3)
        + "hang up\n";
    let (mut store, player) = opened(&script).await;
    for _ in 0..2 {
        let error = list(&mut store).await.unwrap_err();
        assert_eq!(error.cause, Cause::ConnectionLost, "{error}");
        assert!(error.text.contains("idle for too long"), "{error}");
    }
    finish(store, player).await;
}

/// `quirks`: id-needs-a-pair, id-before-select, id-nil-or-empty. GMX takes neither `ID NIL` nor `ID ()`, and to 163 and QQ it
/// is "unsafe" to select before. `survey` insists on our name, before anything else.
#[tokio::test]
async fn gmx_and_163_are_told_who_we_are_before_a_mailbox_is_selected() {
    for answer in
        ["NIL", "()", "(\"name\" NIL)", "(\"name\" \"Coremail Imap\" \"vendor\" \"Mailtech\" \"TransID\" \"x\")"]
    {
        let script = login(
            "Coremail System IMap Server Ready(163com[10774b260cc7a37d26d71b52404dcf5c])",
            "NAMESPACE ID UNSELECT",
        ) + &survey("/", answer)
            + "C: a1 SELECT \"INBOX\"\nC: a2 UID FETCH 1:* (FLAGS)\n"
            + &mailbox(0, 1, 1)
            + "S: a1 OK [READ-WRITE] SELECT completed\nS: a2 OK Fetch completed\n";
        let (mut store, player) = opened(&script).await;
        assert_eq!(look(&mut store, anew("INBOX")).await.unwrap(), " else gone");
        finish(store, player).await;
    }
}

/// `quirks`: sets-in-order. Sets that go down are "BAD UID parameters!" to QQ and 163 (2025).
#[tokio::test]
async fn sets_go_up() {
    let script = login("QQMail XMIMAP4Server ready", "NAMESPACE ID UIDPLUS")
        + &survey("/", "NIL")
        + "C: a1 SELECT \"INBOX\"\n"
        + &mailbox(4, 7, 20)
        + &format!("S: a1 OK done\nC: a2 UID FETCH 3,7:8,19 {ITEMS}\n")
        + &[19, 8, 3, 7].map(|uid| delivered(uid, "Subject: x")).concat()
        + "S: a2 OK done\n";
    let (mut store, player) = opened(&script).await;
    let found = fetch(&mut store, &scope("INBOX", 7), &uids(&[19, 8, 7, 3])).await.unwrap();
    assert_eq!(found.len(), 4);
    finish(store, player).await;
}

/// `quirks`: no-list-return (Strato 2025: LIST with RETURN is OK and names nothing), inbox-not-listed. Once is enough.
#[tokio::test]
async fn strato_is_listed_in_the_old_way() {
    let statuses = |names: &[&str]| {
        let commands = names.iter().map(|name| format!("C: s STATUS \"{name}\" (MESSAGES UIDNEXT UIDVALIDITY)\n"));
        format!("{}S: s NO no\n", commands.collect::<String>())
    };
    let plain = "C: b1 LIST \"\" \"*\"\nC: b2 LSUB \"\" \"*\"\n\
         S: * LIST (\\HasNoChildren) \"/\" Sent\nS: b1 OK done\nS: * LSUB () \"/\" Sent\nS: b2 OK done\n"
        .to_owned()
        + &statuses(&["Sent"]);
    let script = login("IMAP server ready", "NAMESPACE ID LIST-EXTENDED SPECIAL-USE UNSELECT")
        + &survey("/", "NIL")
        + "C: a1 LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)\nS: a1 OK LIST completed\n"
        + &plain
        + &plain;
    let (mut store, player) = opened(&script).await;
    assert_eq!(store.profile().method, Method::Full);
    for _ in 0..2 {
        assert_eq!(list(&mut store).await.unwrap(), ["+Sent"]);
    }
    finish(store, player).await;
}

/// `quirks`: esearch-that-finds-nothing (Strato 2026). Nobody takes that for an empty mailbox.
#[tokio::test]
async fn strato_finds_nothing_and_loses_nothing() {
    let look_once = |close: &str| {
        format!(
            "{close}C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)\nC: a3 UID SEARCH RETURN (ALL) ALL\n"
        ) + if close.is_empty() { "" } else { "S: a0 OK done\n" }
            + &mailbox(2, 7, 20)
            + "S: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK done\nS: * 1 FETCH (UID 8 MODSEQ (95) FLAGS (\\Seen))\nS: a2 OK done\n\
               S: * ESEARCH (TAG \"a3\") UID\nS: a3 OK SEARCH completed (0.000 s)\n"
    };
    let script = login("IMAP server ready", "NAMESPACE ID CONDSTORE ESEARCH UNSELECT")
        + &survey("/", "NIL")
        + &look_once("")
        + &look_once("C: a0 UNSELECT\n").repeat(3)
        + "C: b0 UNSELECT\nC: b1 SELECT \"INBOX\" (CONDSTORE)\nC: b2 UID FETCH 1:* (FLAGS)\nS: b0 OK done\n"
        + &mailbox(2, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: b1 OK done\nS: * 1 FETCH (UID 8 FLAGS (\\Seen))\nS: * 2 FETCH (UID 9 FLAGS ())\n\
           S: b2 OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(look(&mut store, since("INBOX", 7, 20, 90)).await.unwrap(), "8:\\Seen 9: else gone");
    finish(store, player).await;
}
