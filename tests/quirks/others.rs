//! Domino, Proton Bridge, DavMail, hMailServer, and what is seen everywhere.

use interimap::mail::FlagSet;
use interimap::store::{Appended, Cause, Expunged, Message, Method, Reach, Retry, Store};

use crate::props::*;

/// `quirks`: backslash-delimiter, unasked-items.
#[tokio::test]
async fn domino_has_backslashes_between_levels() {
    let script = login(
        "Domino IMAP4 Server Release 10.0.1FP3 ready Wed, 30 Oct 2019 09:28:06 +0100",
        "LITERAL+ NAMESPACE QUOTA UIDPLUS",
    ) + "C: n1 NAMESPACE\nS: * NAMESPACE ((\"\" \"\\\\\\\\\")) ((\"Other\\\\\\\\\" \"\\\\\\\\\")) NIL\nS: n1 OK done\n\
           C: l1 LIST \"\" \"*\"\nC: l2 LSUB \"\" \"*\"\n\
           S: * LIST (\\HasNoChildren) \"\\\\\\\\\" \"a\\\\\\\\b\"\nS: * LIST () \"\\\\\" c\nS: l1 OK done\nS: l2 OK done\n\
           C: s1 STATUS \"a\\\\b\" (MESSAGES UIDNEXT UIDVALIDITY)\nC: s2 STATUS \"c\" (MESSAGES UIDNEXT UIDVALIDITY)\n\
           S: * STATUS \"a\\\\\\\\b\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7)\nS: s1 OK done\nS: s2 NO no\n\
           C: a1 SELECT \"a\\\\b\"\nC: a2 UID FETCH 1:* (FLAGS)\n"
        + &mailbox(1, 7, 20)
        + "S: a1 OK done\n\
           S: * 1 FETCH (UID 8 FLAGS () ENVELOPE ((\"x\" NIL NIL NIL NIL NIL NIL NIL NIL \"<1>\")))\nS: a2 OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(store.profile().delimiter, Some('\\'));
    assert_eq!(list(&mut store).await.unwrap(), ["-a/b", "-c"]);
    assert_eq!(look(&mut store, anew("a/b")).await.unwrap(), "8: else gone");
    finish(store, player).await;
}

const PROTON: &str = "Proton Mail Bridge 03.04.02 - gluon session ID 1";

/// `quirks`: no-list-return (Proton Bridge 2018 to 2023: BAD to LIST with an option), uid-validity-raised.
#[tokio::test]
async fn proton_bridge_changes_generations() {
    let script = login(PROTON, "NAMESPACE ID IDLE MOVE UIDPLUS UNSELECT LIST-EXTENDED SPECIAL-USE")
        + &survey("/", "(\"name\" \"gluon\")")
        + "C: l1 LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)\nS: l1 BAD expected a string\n\
           C: l2 LIST \"\" \"*\"\nC: l3 LSUB \"\" \"*\"\nS: * LIST (\\Noselect) \"/\" Labels\nS: * LIST (\\Unmarked) \"/\" INBOX\n\
           S: l2 OK LIST\nS: * LSUB (\\Unmarked) \"/\" INBOX\nS: l3 OK LSUB\n\
           C: s1 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)\n\
           S: * STATUS \"INBOX\" (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 2)\nS: s1 OK STATUS\n\
           C: a1 SELECT \"INBOX\"\nC: a2 UID FETCH 1:* (FLAGS)\n"
        + &mailbox(2, 2, 3)
        + "S: a1 OK done\nS: * 1 FETCH (UID 1 FLAGS ())\nS: * 2 FETCH (UID 2 FLAGS ())\nS: a2 OK done\n\
           C: b1 SELECT \"INBOX\"\n"
        + &mailbox(2, 2, 3)
        + "S: b1 OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(list(&mut store).await.unwrap(), ["+INBOX", "-Labels"]);
    let seen = store.observe(&[since("INBOX", 1, 99, 0)]).await.unwrap().remove(0).unwrap();
    assert_eq!((shown(&seen).as_str(), seen.status.uid_validity.get()), ("1: 2: else gone", 2));
    // What was meant for the generation before is not done in this one.
    let error = store.expunge(&scope("INBOX", 1), &uids(&[1]), None).await.unwrap_err();
    assert_eq!(error.cause, Cause::UidValidityChanged, "{error}");
    finish(store, player).await;
}

/// `quirks`: expunged-late, ok-and-nothing-done. That UID EXPUNGE is OK proves nothing.
#[tokio::test]
async fn proton_bridge_expunges_when_it_likes() {
    let script = login(PROTON, "NAMESPACE ID IDLE MOVE UIDPLUS UNSELECT")
        + &survey("/", "(\"name\" \"gluon\")")
        + "C: a1 SELECT \"INBOX\"\n"
        + &mailbox(3, 2, 9)
        + "S: a1 OK done\nC: a2 UID STORE 3:5 +FLAGS.SILENT (\\Deleted)\nS: a2 OK done\n\
           C: a3 UID EXPUNGE 3:5\nS: * 1 EXPUNGE\nS: a3 OK done\nC: a4 UID SEARCH UID 3:5\nS: * SEARCH 5 4 \nS: a4 OK done\n";
    let (mut store, player) = opened(&script).await;
    let expunged = store.expunge(&scope("INBOX", 2), &uids(&[3, 4, 5]), None).await.unwrap();
    assert_eq!(expunged, Expunged::AllBut(uids(&[4, 5])));
    finish(store, player).await;
}

/// `quirks`: lower-than-asked. `n:*` means the last message at least, whatever its UID (RFC 3501 §6.4.8), and some servers
/// (Cyrus 3.10, 2026) extend that to changes; imapclient#441.
#[tokio::test]
async fn what_was_not_asked_for_is_not_taken_for_new() {
    let script = login("ready", "NAMESPACE ID CONDSTORE UNSELECT")
        + &survey("/", "NIL")
        + "C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 95)\nC: a3 UID SEARCH ALL\n"
        + &mailbox(1, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK done\nS: * 1 FETCH (UID 8 FLAGS () MODSEQ (90))\nS: a2 OK done\n\
           S: * SEARCH 8\nS: a3 OK done\n"
        + &format!("C: b1 UID FETCH 30 {ITEMS}\n{}S: b1 OK done\n", delivered(8, "Subject: old"))
        + "C: b2 UID SEARCH UID 30\nS: * SEARCH\nS: b2 OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(look(&mut store, since("INBOX", 7, 20, 95)).await.unwrap(), "8: vanished 1:7,9:19");
    assert!(fetch(&mut store, &scope("INBOX", 7), &uids(&[30])).await.unwrap().is_empty());
    finish(store, player).await;
}

/// `quirks`: missing-from-ok (msgvault#712: Exchange, Gmail, 2026), fetch-without-uid.
#[tokio::test]
async fn what_is_missing_from_an_ok_is_asked_for_again() {
    let script = login("ready", "NAMESPACE ID UNSELECT")
        + &survey("/", "NIL")
        + "C: a1 SELECT \"INBOX\"\n"
        + &mailbox(3, 7, 20)
        + &format!("S: a1 OK done\nC: a2 UID FETCH 3:5 {ITEMS}\n")
        + &delivered(3, "Subject: 3")
        + &format!("S: * 2 FETCH (FLAGS () INTERNALDATE \"{DATE}\" RFC822.SIZE 1 BODY[] \"x\")\nS: a2 OK done\n")
        + "C: a3 UID SEARCH UID 4:5\nS: * SEARCH 4\nS: a3 OK done\n"
        + &format!("C: a4 UID FETCH 4 {ITEMS}\n{}S: a4 OK done\n", delivered(4, "Subject: 4"));
    let (mut store, player) = opened(&script).await;
    assert_eq!(
        fetch(&mut store, &scope("INBOX", 7), &uids(&[3, 4, 5])).await.unwrap(),
        ["3 \\Seen Subject: 3", "4 \\Seen Subject: 4"]
    );
    finish(store, player).await;
}

/// `quirks`: search-for-esearch, unknown-response. Numbers in any order, twice, in several responses, in the old form.
#[tokio::test]
async fn a_search_may_be_answered_in_any_form() {
    for found in [
        "S: * SEARCH 9 8 8\n",
        "S: * SEARCH 9\nS: * X-NEW {3}\nS> a)b\nS: \nS: * SEARCH 8 \n",
        "S: * ESEARCH (TAG \"a3\") UID ALL 9,8\n",
        "S: * ESEARCH (TAG \"a3\") UID COUNT 2 MIN 8 ALL 8:9 X-NEW (1 (2))\n",
    ] {
        let script = login("ready", "NAMESPACE ID CONDSTORE ESEARCH UNSELECT")
            + &survey("/", "NIL")
            + "C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 95)\n\
               C: a3 UID SEARCH RETURN (ALL) ALL\n"
            + &mailbox(2, 7, 20)
            + "S: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK done\nS: a2 OK done\n"
            + found
            + "S: a3 OK done\n";
        let (mut store, player) = opened(&script).await;
        assert_eq!(look(&mut store, since("INBOX", 7, 20, 95)).await.unwrap(), " vanished 1:7,10:19", "{found}");
        finish(store, player).await;
    }
}

/// What was taken was taken, whatever is refused afterwards; and what a server lost its way with is not sent twice.
#[tokio::test]
async fn keywords_that_cannot_be_looked_for_cost_no_message() {
    let append = |answer: &str| {
        format!("C: b1 APPEND \"INBOX\" (\\Seen a) \"{DATE}\" {{1}}\nS: + go\nC> x\nC+ \nS: b1 {answer}\n")
    };
    let look = "C: b2 NOOP\nS: b2 OK done\nC: b3 UID FETCH 1 (FLAGS)\nS: b3 NO not now\n";
    for (script, expected) in [
        (append("OK [APPENDUID 7 1] done") + look, "At 1 \\Seen"),
        (append("NO [SERVERBUG] the index is broken"), "Refused"),
    ] {
        let script = login("ready", "NAMESPACE UIDPLUS UNSELECT")
            + "C: n1 NAMESPACE\nS: * NAMESPACE ((\"\" \"/\")) NIL NIL\nS: n1 OK done\nC: a1 SELECT \"INBOX\"\n"
            + &mailbox(0, 7, 1)
            + "S: a1 OK done\n"
            + &script;
        let (mut store, player) = opened(&script).await;
        let one = Message { flags: FlagSet::parse("\\Seen a"), ..message(b"x") };
        let became = match store.append(&scope("INBOX", 7), vec![one]).await.unwrap().remove(0) {
            Appended::At { uid, flags } => format!("At {uid} {flags}"),
            Appended::Somewhere => "Somewhere".to_owned(),
            Appended::Refused(_) => "Refused".to_owned(),
        };
        assert_eq!(became, expected);
        finish(store, player).await;
    }
}

/// `quirks`: keywords-dropped (UW imapd 2010). What nobody has seen kept is looked for; what was, is believed.
#[tokio::test]
async fn keywords_are_those_that_arrived() {
    let append = |tag: &str, flags: &str, uid: u32| {
        format!(
            "C: {tag} APPEND \"INBOX\" ({flags}) \"{DATE}\" {{1}}\nS: + go\nC> x\nC+ \nS: {tag} OK [APPENDUID 7 {uid}] Unknown flag: b\n"
        )
    };
    let script = login("IMAP4rev1 2007f.404", "NAMESPACE UIDPLUS UNSELECT")
        .replace(" IMAP4rev1 NAMESPACE", " IMAP4REV1 NAMESPACE")
        + "C: n1 NAMESPACE\nS: * NAMESPACE ((\"\" \"/\")) NIL NIL\nS: n1 OK done\nC: a1 SELECT \"INBOX\"\n"
        + &mailbox(0, 7, 1)
        + "S: * OK [PERMANENTFLAGS (\\* \\Seen)] Permanent flags\nS: a1 OK done\n"
        + &append("b1", "\\Seen a b", 1)
        + "C: b2 NOOP\nS: * 1 EXISTS\nS: b2 OK done\n\
           C: b3 UID FETCH 1 (FLAGS)\nS: * 1 FETCH (UID 1 FLAGS (\\Seen a))\nS: b3 OK done\n"
        + &append("d1", "a", 2);
    let (mut store, player) = opened(&script).await;
    for (flags, kept) in [("\\Seen a b", "\\Seen a"), ("a", "a")] {
        let one = Message { flags: FlagSet::parse(flags), ..message(b"x") };
        let appended = store.append(&scope("INBOX", 7), vec![one]).await.unwrap();
        let [Appended::At { flags, .. }] = appended.as_slice() else { panic!("{appended:?}") };
        assert_eq!(flags.to_string(), kept);
    }
    finish(store, player).await;
}

/// `quirks`: vanished-from-zero (Dovecot 2.3.14, 2021). QRESYNC is on.
#[tokio::test]
async fn the_first_message_vanishes_from_zero_on() {
    let script = login("Dovecot ready.", "NAMESPACE ID ENABLE CONDSTORE QRESYNC UIDPLUS UNSELECT")
        + &survey("/", "(\"name\" \"Dovecot\")").replacen("C: n1", "C: n0 ENABLE QRESYNC\nC: n1", 1).replacen(
            "S: *",
            "S: * ENABLED QRESYNC\nS: n0 OK done\nS: *",
            1,
        )
        + "C: a1 SELECT \"INBOX\"\n"
        + &mailbox(1, 7, 20)
        + "S: a1 OK done\nC: a2 UID STORE 1 +FLAGS.SILENT (\\Deleted)\nS: a2 OK done\n\
           C: a3 UID EXPUNGE 1\nS: * VANISHED 0:1\nS: a3 OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(store.profile().method, Method::Qresync);
    let expunged = store.expunge(&scope("INBOX", 7), &uids(&[1]), None).await.unwrap();
    assert_eq!(expunged, Expunged::AllBut(uids(&[])));
    finish(store, player).await;
}

/// `quirks`: line-feed-only, nul-padding, blanks-to-keep-alive (DavMail 2019), empty-continuation, code-without-ok,
/// codes-that-say-nothing, broken-permanent-flags. All in one session.
#[tokio::test]
async fn a_server_may_be_odd_in_everything_at_once() {
    let script = "S> * OK ready\\n\nC: c1 CAPABILITY\nS> \\0\\0* CAPABILITY IMAP4rev1 AUTH=PLAIN\\n\nS: c1 OK\n\
         C: c2 AUTHENTICATE PLAIN\nS: +\nC+ AGFsaWNlAHNlY3JldA==\nS: c2 OK\n\
         C: c3 CAPABILITY\nS: * CAPABILITY IMAP4rev1 LITERAL + UIDPLUS UNSELECT\nS: c3 OK\n\
         C: n1 LIST \"\" \"\"\nS: * LIST (\\Noselect) \"\" \"\"\nS: n1 OK\n\
         C: a1 SELECT \"INBOX\"\nC: a2 UID FETCH 1:* (FLAGS)\n\
         S> \\0\\0* FLAGS (\\Seen\\n\nS: * [UIDVALIDITY 7]\nS: *          2 EXISTS\nS: * OK [UIDVALIDITY 0]\n\
         S: * [PERMANENTFLAGS Flags permitted]\nS: * OK [UNSEEN 0]\nS: * [UIDNEXT 20]\nS: a1 OK\n\
         S: *          1 FETCH (UID 8 FLAGS (\\* \\Seen))\nS> * 0 FETCH (UID 9 FLAGS ())\\n\nS: a2 OK\n"
        .to_owned()
        + &format!("C: b1 APPEND \"INBOX\" () \"{DATE}\" {{1}}\nS: +\nC> x\nC+ \nS: b1 OK [APPENDUID 7 ] done\n");
    let (mut store, player) = opened(&script).await;
    let seen = store.observe(&[anew("INBOX")]).await.unwrap().remove(0).unwrap();
    assert_eq!(shown(&seen), "8:\\Seen 9: else gone");
    assert_eq!((seen.status.uid_validity.get(), seen.status.uid_next.get()), (7, 20));
    let appended = store.append(&scope("INBOX", 7), vec![message(b"x")]).await.unwrap();
    assert!(matches!(appended.as_slice(), [Appended::Somewhere]), "{appended:?}");
    finish(store, player).await;
}

/// `quirks`: bye-when-renamed. Who is thrown out knows nothing of what was there.
#[tokio::test]
async fn dovecot_throws_out_who_looks_at_what_is_renamed() {
    let script = login("Dovecot ready.", "NAMESPACE ID CONDSTORE UNSELECT")
        + &survey("/", "(\"name\" \"Dovecot\")")
        + "C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)\nC: a3 UID SEARCH ALL\n"
        + &mailbox(2, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK done\nS: a2 OK done\nS: * SEARCH\n\
           S: * BYE IMAP session state is inconsistent, please relogin.\nhang up\n";
    let (mut store, player) = opened(&script).await;
    let error = look(&mut store, since("INBOX", 7, 20, 90)).await.unwrap_err();
    assert_eq!((error.cause, error.reach, error.retry), (Cause::ConnectionLost, Reach::Side, Retry::Later), "{error}");
    finish(store, player).await;
}

/// `quirks`: sizes-that-are-wrong (Exchange, Proton Bridge).
#[tokio::test]
async fn a_message_is_as_long_as_it_is() {
    let script = login(PROTON, "NAMESPACE ID UNSELECT")
        + &survey("/", "(\"name\" \"gluon\")")
        + "C: a1 SELECT \"INBOX\"\n"
        + &mailbox(3, 2, 9)
        + &format!("S: a1 OK done\nC: a2 UID FETCH 1:3 {ITEMS}\n")
        + &delivered(1, "Subject: 1").replace("RFC822.SIZE 10", "RFC822.SIZE 0")
        + &delivered(2, "Subject: 2").replace("RFC822.SIZE 10", "RFC822.SIZE 99999999")
        + &format!("S: * 3 FETCH (UID 3 FLAGS () INTERNALDATE \"{DATE}\" RFC822.SIZE 0 BODY[] \"\")\nS: a2 OK done\n");
    let (mut store, player) = opened(&script).await;
    assert_eq!(
        fetch(&mut store, &scope("INBOX", 2), &uids(&[1, 2, 3])).await.unwrap(),
        ["1 \\Seen Subject: 1", "2 \\Seen Subject: 2", "3  "]
    );
    finish(store, player).await;
}
