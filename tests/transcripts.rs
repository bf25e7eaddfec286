//! Dialogues with servers that are slow, wrong, hostile or merely different, and what the session makes of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/script.rs"]
mod script;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use interimap::mail::{
    Access, Checkpoint, FlagChange, FlagSet, InternalDate, MailboxName, ModSeq, Observation, Silence, Subscription,
    Uid, UidSet, UidValidity,
};
use interimap::store::imap::{
    Compression, Endpoint, ImapStore, Link, Login, Mechanism, PasswordSource, Protection, Speaker, TlsOptions,
    TunnelStderr, WireTrace, connect_over,
};
use interimap::store::{
    Appended, Body, Cause, Error, Expunged, Fetched, Form, MailboxKind, Message, Method, Passage, Reach, Retry, Store,
    Stored, UidScope, Wanted,
};
use script::{Player, play_on};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

const NEEDED: &str = "IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS LIST-EXTENDED LIST-STATUS";
const USUAL: &str = "NAMESPACE UNSELECT ESEARCH LITERAL+ MULTIAPPEND BINARY";

// ---------------------------------------------------------------------------------------------- opening a session

/// What the client must not do: go on after any of these.
#[tokio::test]
async fn without_starttls_nothing_is_said() {
    for (what, script, cause) in [
        ("stripped from the greeting", "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready", Cause::Tls),
        (
            "stripped from the capabilities",
            "S: * OK ready\nC: a1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=PLAIN\nS: a1 OK done",
            Cause::Tls,
        ),
        ("no capabilities", "S: * OK ready\nC: a1 CAPABILITY\nS: a1 OK done", Cause::Tls),
        ("capabilities refused", "S: * OK ready\nC: a1 CAPABILITY\nS: a1 BAD what", Cause::Protocol),
        ("NO", "S: * OK [CAPABILITY STARTTLS] ready\nC: a1 STARTTLS\nS: a1 NO not today", Cause::Tls),
        ("BAD", "S: * OK [CAPABILITY STARTTLS] ready\nC: a1 STARTTLS\nS: a1 BAD what", Cause::Tls),
        ("+", "S: * OK [CAPABILITY STARTTLS] ready\nC: a1 STARTTLS\nS: + go on", Cause::Protocol),
        ("BYE", "S: * OK [CAPABILITY STARTTLS] ready\nC: a1 STARTTLS\nS: * BYE no", Cause::ConnectionLost),
        ("PREAUTH", "S: * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome", Cause::Tls),
        (
            "PREAUTH with forged mail",
            "S> * PREAUTH x\\r\\n* 1 EXISTS\\r\\n* 1 FETCH (UID 1 FLAGS ())\\r\\n",
            Cause::Tls,
        ),
        (
            "an answer ahead of the question",
            "S: * OK [CAPABILITY STARTTLS] ready\nS: a1 OK begin\nC: a1 STARTTLS",
            Cause::Protocol,
        ),
        (
            "a referral",
            "S: * OK [CAPABILITY STARTTLS] ready\nC: a1 STARTTLS\nS: a1 NO [REFERRAL imap://evil.example/] go there",
            Cause::Tls,
        ),
        (
            "injected in the same segment",
            "S: * OK [CAPABILITY STARTTLS] ready\nC: a1 STARTTLS\n\
             S> a1 OK begin\\r\\n* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\\r\\n",
            Cause::Tls,
        ),
        (
            "half a line injected",
            "S: * OK [CAPABILITY STARTTLS] ready\nC: a1 STARTTLS\nS> a1 OK begin\\r\\n*",
            Cause::Tls,
        ),
    ] {
        // An answer ahead of its question is taken for one as soon as it is seen, before the question is written.
        let script =
            if what.starts_with("an answer") { script.replace("\nC: a1 STARTTLS", "") } else { script.to_owned() };
        let (error, asked) = refused(&script, &tcp(Protection::StartTls(TlsOptions::default()))).await;
        assert_eq!(error.cause, cause, "{what}: {error}");
        assert_eq!(error.reach, Reach::Side, "{what}");
        assert!(!asked, "{what}: the password was asked for");
    }
}

#[tokio::test]
async fn what_does_not_greet_is_left_alone() {
    for (script, cause) in [
        ("S: * BYE too many connections", Cause::Unreachable),
        ("S: * NO go away", Cause::Protocol),
        ("S: * BAD go away", Cause::Protocol),
        ("S: a1 OK hello", Cause::Protocol),
        ("S: + hello", Cause::Protocol),
        ("S: * 1 EXISTS", Cause::Protocol),
        ("S: * CAPABILITY IMAP4rev1", Cause::Protocol),
        ("S: 220 mail.example.org ESMTP", Cause::Protocol),
        ("S: +OK POP3 ready", Cause::Protocol),
        ("S: ", Cause::Protocol),
        ("S> \\0\\0\\0\\r\\n", Cause::Protocol),
        ("hang up", Cause::Unreachable),
    ] {
        let (error, asked) = refused(script, &tcp(Protection::Plain)).await;
        assert_eq!(error.cause, cause, "{script}: {error}");
        assert!(!asked);
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_quoted() {
    let (error, _) = refused("S: * BYE [UNAVAILABLE] back at \x1b[31mnoon", &tcp(Protection::Plain)).await;
    assert_eq!(error.text, "the server closed the connection: back at \\x1b[31mnoon");
    assert_eq!(error.retry, Retry::Later);
}

#[tokio::test]
async fn the_login_is_done_as_the_server_lets_us() {
    for (what, opening) in [
        (
            "PLAIN at once",
            "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\n\
             C: a1 AUTHENTICATE PLAIN AGFsaWNlAHPDtiAic2VjcmV0\n",
        ),
        (
            "PLAIN when asked",
            "S: * OK ready\nC: a0 CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=PLAIN\nS: a0 OK done\n\
             C: a1 AUTHENTICATE PLAIN\nS: + \nC+ AGFsaWNlAHPDtiAic2VjcmV0\n",
        ),
        (
            "LOGIN with a literal",
            "S: * OK [CAPABILITY IMAP4rev1] ready\nC: a1 LOGIN \"alice\" {11}\nS: + go on\nC> s\\xc3\\xb6 \"secret\nC+ \n",
        ),
        (
            "LOGIN with a literal that runs on",
            "S: * OK [CAPABILITY IMAP4rev1 LITERAL- AUTH=X] ready\nC: a1 LOGIN \"alice\" {11+}\nC> s\\xc3\\xb6 \"secret\nC+ \n",
        ),
    ] {
        let script = format!("{opening}S: a1 OK [CAPABILITY {NEEDED} {USUAL}] welcome\n{}", survey(USUAL));
        let (stream, player) = play(&script);
        let store = connect_over(stream, &tcp(Protection::Plain)).await;
        let store = store.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(store.profile().login, if what.starts_with("PLAIN") { "PLAIN" } else { "LOGIN" });
        drop(store);
        player.finish().await;
    }
}

#[tokio::test]
async fn capabilities_are_asked_for_again_after_the_login() {
    let script = format!(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR QRESYNC EVIL] ready\n\
         C: a1 AUTHENTICATE PLAIN AGFsaWNlAHPDtiAic2VjcmV0\nS: a1 OK [REFERRAL imap://evil.example/] welcome\n\
         C: a2 CAPABILITY\nS: * CAPABILITY {NEEDED}\nS: a2 OK done\n\
         C: a3 ENABLE QRESYNC\nC: a4 LIST \"\" \"\"\nS: * ENABLED QRESYNC\nS: a3 OK done\n\
         S: * LIST (\\Noselect) \".\" \"\"\nS: a4 OK done\n"
    );
    let (stream, player) = play(&script);
    let store = connect_over(stream, &tcp(Protection::Plain)).await.unwrap();
    assert!(!store.profile().capabilities.contains("EVIL"));
    assert_eq!(store.profile().delimiter, Some('.'));
    assert_eq!(store.profile().address, "imap://mail.example.org");
    drop(store);
    player.finish().await;
}

#[tokio::test]
async fn a_login_that_is_not_allowed_is_not_tried() {
    for (script, asked_for) in [
        ("S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready", false),
        ("S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=CRAM-MD5 AUTH=X-ODD] ready", false),
        (
            "S: * OK [CAPABILITY IMAP4rev1] ready\nC: a1 LOGIN \"alice\" {11}\n\
             S: a1 NO [AUTHENTICATIONFAILED] wrong",
            true,
        ),
        (
            "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\nC: a1 AUTHENTICATE PLAIN\n\
             S: a1 NO [REFERRAL imap://evil.example/] elsewhere",
            true,
        ),
    ] {
        let (error, asked) = refused(script, &tcp(Protection::Plain)).await;
        assert_eq!((error.cause, error.retry), (Cause::Login, Retry::Never), "{script}: {error}");
        assert_eq!(asked, asked_for, "{script}");
    }
    let busy = "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\n\
                C: a1 AUTHENTICATE PLAIN AGFsaWNlAHPDtiAic2VjcmV0\nS: a1 NO [UNAVAILABLE] later";
    let (error, _) = refused(busy, &tcp(Protection::Plain)).await;
    assert_eq!((error.cause, error.retry), (Cause::Login, Retry::Later), "{error}");
}

#[tokio::test]
async fn a_challenge_too_many_is_not_answered() {
    let script = "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\n\
                  C: a1 AUTHENTICATE PLAIN AGFsaWNlAHPDtiAic2VjcmV0\nS: + and once more";
    let (error, _) = refused(script, &tcp(Protection::Plain)).await;
    assert_eq!(error.cause, Cause::Protocol, "{error}");
}

#[tokio::test]
async fn a_session_that_is_open_already_needs_no_login() {
    let script = format!(
        "S: * PREAUTH welcome\nC: a1 CAPABILITY\nS: * CAPABILITY {NEEDED} NAMESPACE ID\nS: a1 OK done\n\
         C: a2 ENABLE QRESYNC\nC: a3 NAMESPACE\nC: a4 ID (\"name\" \"interimap\" \"version\" \"{}\")\n\
         S: * ENABLED CONDSTORE QRESYNC\nS: a2 OK done\nS: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\nS: a3 OK done\n\
         S: * ID (\"name\" \"Example\" \"version\" \"1.0\")\nS: a4 OK done\n",
        env!("CARGO_PKG_VERSION")
    );
    let (stream, player) = play(&script);
    let mut endpoint = tunnel();
    endpoint.login = Some(login(Arc::default()));
    let store = connect_over(stream, &endpoint).await.unwrap();
    let profile = store.profile();
    assert_eq!((profile.login.as_str(), profile.server.as_str()), ("preauthenticated", "Example 1.0"));
    assert_eq!((profile.prefix.as_str(), profile.delimiter), ("INBOX.", Some('.')));
    drop(store);
    player.finish().await;
}

#[tokio::test]
async fn a_tunnel_that_wants_a_login_says_so() {
    let (stream, player) = play("S: * OK [CAPABILITY IMAP4rev1] ready");
    let Err(error) = connect_over(stream, &tunnel()).await else { panic!("it was opened") };
    assert_eq!((error.cause, error.retry), (Cause::Login, Retry::Never), "{error}");
    player.finish().await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_imap4rev1_is_named_as_such() {
    let (stream, player) = play("S: * PREAUTH [CAPABILITY IMAP4rev2 QRESYNC] hi");
    let Err(error) = connect_over(stream, &tunnel()).await else { panic!("it was opened") };
    assert_eq!((error.cause, error.retry), (Cause::MissingCapability, Retry::Never), "{error}");
    assert!(error.text.contains("IMAP4rev1"), "{error}");
    player.finish().await;
}

#[tokio::test]
async fn s067_missing_extensions_are_done_without() {
    let bare = "S: * PREAUTH [CAPABILITY IMAP4rev1] hi\nC: a1 LIST \"\" \"\"\nS: a1 OK done";
    let not_on = |enabled: &str| {
        format!(
            "S: * PREAUTH [CAPABILITY {NEEDED}] hi\nC: a1 ENABLE QRESYNC\nC: a2 LIST \"\" \"\"\n{enabled}S: a1 OK done\nS: a2 OK done"
        )
    };
    for (script, disabled, method, reason) in [
        (bare.to_owned(), "", Method::Full, "does not offer QRESYNC"),
        (not_on(""), "", Method::Condstore, "does not turn QRESYNC on"),
        (not_on("S: * ENABLED CONDSTORE\n"), "", Method::Condstore, "does not turn QRESYNC on"),
        (
            format!("S: * PREAUTH [CAPABILITY {NEEDED}] hi\nC: a1 LIST \"\" \"\"\nS: a1 OK done"),
            "qresync",
            Method::Condstore,
            "disabled by the configuration",
        ),
    ] {
        let (stream, player) = play(&script);
        let disabled: Vec<String> = disabled.split_whitespace().map(str::to_owned).collect();
        let store = connect_over(stream, &Endpoint { disable_extensions: disabled, ..tunnel() }).await.unwrap();
        assert_eq!(store.profile().method, method, "{script}");
        assert!(store.profile().reason.contains(reason), "{}", store.profile().reason);
        drop(store);
        player.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn s121_a_server_that_falls_silent_is_given_up() {
    let (stream, player) = play("S: * OK ready\nC: a1 CAPABILITY");
    let Err(error) = connect_over(stream, &tcp(Protection::Plain)).await else { panic!("it was opened") };
    assert_eq!((error.cause, error.reach, error.retry), (Cause::TimedOut, Reach::Side, Retry::Later), "{error}");
    player.finish().await;

    let (mut store, player) = opened("C: a1 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))\nS: * LIST () \"/\" x").await;
    assert_eq!(store.mailboxes().await.unwrap_err().cause, Cause::TimedOut);
    assert_eq!(store.mailboxes().await.unwrap_err().cause, Cause::TimedOut, "a connection that was given up stays so");
    finish(store, player).await;
}

#[tokio::test(start_paused = true)]
async fn s121_a_server_that_does_not_listen_is_given_up() {
    let script = format!("{}{}", opening("LITERAL+"), select("7", "wait"));
    let (ours, theirs) = tokio::io::duplex(4096);
    let player = play_on(theirs, &script);
    let mut store = connect_over(ours, &tunnel()).await.unwrap();
    let error = store.append(&scope("x", 7), vec![message(&[b'x'; 100_000])]).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::TimedOut, Reach::Side), "{error}");
    drop((store, player));
}

#[tokio::test]
async fn a_verb_that_was_broken_off_ends_the_session() {
    let (mut store, player) = opened(LIST).await;
    let mailboxes = tokio::time::timeout(Duration::from_millis(50), store.mailboxes());
    assert!(mailboxes.await.is_err());
    let error = store.create(&name("x")).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::ConnectionLost, Reach::Side), "{error}");
    finish(store, player).await;
}

// ---------------------------------------------------------------------------------------------------------- listing

const LIST: &str = "C: l1 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))\n";

#[tokio::test]
async fn what_could_not_be_closed_is_closed_before_the_next_listing() {
    let listed = |tag: &str, answer: &str| {
        format!(
            "C: {tag}1 UNSELECT\nC: {tag}2 LIST \"\" \"*\"\nC: {tag}3 LSUB \"\" \"*\"\nS: {tag}1 {answer}\nS: {tag}2 OK done\n\
             S: {tag}3 OK done\n"
        )
    };
    let script = "C: s1 SELECT \"x\"\nC: s2 UID FETCH 1:* (FLAGS)\nS: * 0 EXISTS\nS: * OK [UIDVALIDITY 7] ok\n\
         S: * OK [UIDNEXT 9] ok\nS: s1 OK done\nS: s2 OK done\n"
        .to_owned()
        + &listed("a", "BAD not now")
        + &listed("b", "OK done")
        + "C: d2 LIST \"\" \"*\"\nC: d3 LSUB \"\" \"*\"\nS: d2 OK done\nS: d3 OK done\n";
    let (mut store, player) = opened_plainly("UNSELECT", &script).await;
    store.observe(&[anew("x")]).await.unwrap().remove(0).unwrap();
    for _ in 0..3 {
        store.mailboxes().await.unwrap();
    }
    finish(store, player).await;
}

#[tokio::test]
async fn a_listing_says_what_there_is() {
    let script = format!(
        "{LIST}S: * LIST (\\HasNoChildren \\Subscribed) \"/\" inbox\n\
         S: * STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 HIGHESTMODSEQ 44)\n\
         S: * LIST (\\Noselect) \"/\" \"a\"\nS: * LIST (\\NonExistent \\Subscribed) \"/\" \"a/gone\"\n\
         S: * LIST (\\Sent) \"/\" \"Entw&APw-rfe\"\nS: * LIST () \"/\" \"Entw&APw-rfe\"\n\
         S: * STATUS \"Entw&APw-rfe\" (UIDVALIDITY 7 HIGHESTMODSEQ 0 MESSAGES 0 UIDNEXT 1)\n\
         S: * STATUS unasked (MESSAGES 1)\nS: * LIST () NIL \"a/b\"\nS: * LIST () \"/\" {{5}}\nS> w&!-x\\r\\n\n\
         S: * LIST () \"/\" \"kept back\"\nS: * 5 EXISTS\nS: l1 OK done\n"
    );
    let (mut store, player) = opened(&script).await;
    let listing = store.mailboxes().await.unwrap();
    let shown: Vec<_> =
        listing.mailboxes.iter().map(|(name, listed)| (name.as_str(), listed.kind, listed.subscription)).collect();
    assert_eq!(
        shown,
        [
            ("Entwürfe", MailboxKind::Mailbox, Some(Subscription::Unsubscribed)),
            ("INBOX", MailboxKind::Mailbox, Some(Subscription::Subscribed)),
            ("a", MailboxKind::Container, Some(Subscription::Unsubscribed)),
            ("a/gone", MailboxKind::Missing, Some(Subscription::Subscribed)),
            ("kept back", MailboxKind::Mailbox, Some(Subscription::Unsubscribed)),
        ]
    );
    let inbox = listing.mailboxes[&MailboxName::inbox()].status.unwrap();
    assert_eq!((inbox.messages, inbox.uid_next.get(), inbox.highest_modseq), (3, 9, ModSeq::new(44)));
    let drafts = &listing.mailboxes[&name("Entwürfe")];
    assert_eq!(drafts.status.unwrap().highest_modseq, None);
    assert!(drafts.special_use.contains("sent"));
    assert_eq!(listing.mailboxes[&name("kept back")].status, None);
    let unnamable: Vec<&str> = listing.unnamable.iter().map(|unnamable| unnamable.name.as_str()).collect();
    assert_eq!(unnamable, ["a/b", "w&!-x"]);
    finish(store, player).await;
}

#[tokio::test]
async fn s098_s100_odd_names_are_names_or_are_told_in_harmless_words() {
    let script = format!(
        "{LIST}S: * LIST () \"/\" \"..\"\nS: * LIST () \"/\" \"a/../b\"\nS: * LIST () \"/\" \"../../etc/x\"\n\
         S: * LIST () \"/\" \"crlf&AA0ACg-x\"\nS: * LIST () \"/\" \"esc&ABs-[31m\"\nS: * LIST () \"/\" \"nul&AAA-\"\n\
         S: * LIST () \"/\" {{7}}\nS> a\\x1b[1m\\x9b~\\r\\n\nS: l1 OK done\n\
         C: c1 SUBSCRIBE \"../../etc/x\"\nS: c1 OK done\n"
    );
    let (mut store, player) = opened(&script).await;
    let listing = store.mailboxes().await.unwrap();
    let names: Vec<&str> = listing.mailboxes.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["..", "../../etc/x", "a/../b"], "a name is no path");
    let unnamable: Vec<&str> = listing.unnamable.iter().map(|unnamable| unnamable.name.as_str()).collect();
    assert_eq!(unnamable.len(), 4);
    assert!(!unnamable.iter().any(|name| name.contains(char::is_control)), "{unnamable:?}");
    store.set_subscription(&name("../../etc/x"), Subscription::Subscribed).await.unwrap();
    finish(store, player).await;
}

#[tokio::test]
async fn s110_a_listing_without_end_is_given_up() {
    for (lines, is_too_long) in [(100_000, false), (100_001, true)] {
        let list: String = (0..lines).map(|number| format!("S: * LIST () \"/\" m{number}\n")).collect();
        let (mut store, player) = opened(&format!("{LIST}{list}S: l1 OK done\n")).await;
        match store.mailboxes().await {
            Ok(listing) => assert!(!is_too_long && listing.mailboxes.len() == lines),
            Err(error) => assert!(is_too_long && error.cause == Cause::Limit, "{error}"),
        }
        finish(store, player).await;
    }
}

#[tokio::test]
async fn a_listing_with_a_line_that_is_lost_is_no_listing() {
    let (mut store, player) =
        opened(&format!("{LIST}S: * LIST () \"/\" a\nS: * LIST (\\Sent \"/\" b\nS: l1 OK done\n")).await;
    let error = store.mailboxes().await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::Protocol, Reach::Side), "{error}");
    finish(store, player).await;
}

#[tokio::test]
async fn a_mailbox_id_that_garbles_its_line_is_asked_for_by_itself() {
    let list = "LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ";
    let status = "S: * STATUS x (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7";
    let good = format!("S: * LIST () \"/\" x\n{status} HIGHESTMODSEQ 1)\n");
    let script = format!(
        "C: a1 {list} MAILBOXID))\nS: * LIST () \"/\" x\n{status} MAILBOXID (R\\x01\\xff) HIGHESTMODSEQ 1)\nS: a1 OK done\n\
         {0}S: * STATUS x (MAILBOXID (abc))\nS: b2 OK done\n{0}S: * STATUS x (MAILBOXID (R\\x01\\xff)\nS: b2 OK done\n\
         C: c1 {list}))\n{good}S: c1 OK done\n",
        format!(
            "C: b1 {list}))\nC: b2 LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))\n{good}S: b1 OK done\nS: * LIST () \"/\" x\n"
        )
    );
    let (mut store, player) = opened_with("OBJECTID", &script).await;
    for id in [Some("abc"), None] {
        let listing = store.mailboxes().await.unwrap();
        let listed = &listing.mailboxes[&name("x")];
        assert!(listed.status.is_some());
        assert_eq!(listed.id.as_ref().map(|id| id.as_str()), id);
    }
    finish(store, player).await;
}

#[tokio::test]
async fn two_names_that_fold_to_one_are_one() {
    let script = format!(
        "{LIST}S: * LIST () \"/\" Inbox/a\nS: * LIST () \"/\" INBOX/a\nS: l1 OK done\nC: c1 SUBSCRIBE \"Inbox/a\"\nS: c1 OK done\n"
    );
    let (mut store, player) = opened(&script).await;
    let listing = store.mailboxes().await.unwrap();
    assert_eq!(listing.mailboxes.len(), 1);
    assert_eq!(listing.unnamable[0].name, "INBOX/a");
    store.set_subscription(&name("INBOX/a"), Subscription::Subscribed).await.unwrap();
    finish(store, player).await;
}

// -------------------------------------------------------------------------------------------------------- observing

#[tokio::test]
async fn s071_s072_changes_are_credited_to_their_mailbox() {
    let script = "\
        C: a1 SELECT \"x\" (QRESYNC (7 90))\nC: a2 SELECT \"y\" (QRESYNC (8 10))\nC: a3 SELECT \"z\" (CONDSTORE)\n\
        C: a4 UID FETCH 1:4294967295 (FLAGS)\n\
        S: * 3 EXISTS\nS: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 30] ok\nS: * OK [HIGHESTMODSEQ 95] ok\n\
        S: * OK [PERMANENTFLAGS (\\Seen \\*)] ok\nS: * VANISHED (EARLIER) 1:3\nS: * VANISHED (EARLIER) 5,7\n\
        S: * 1 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (193))\nS: * VANISHED (EARLIER) 4000:4294967295\nS: a1 OK [READ-WRITE] done\n\
        S: * 1 FETCH (FLAGS (\\Deleted))\nS: * VANISHED 9\nS: * 99 EXISTS\nS: * 1 FETCH (UID 9 FLAGS (\\Deleted) MODSEQ (99))\n\
        S: * OK [CLOSED] closed\n\
        S: * 1 EXISTS\nS: * OK [UIDVALIDITY 8] ok\nS: * OK [UIDNEXT 2] ok\nS: * OK [HIGHESTMODSEQ 10] ok\n\
        S: a2 OK [READ-ONLY] done\nS: * OK [CLOSED] closed\n\
        S: * 2 EXISTS\nS: * OK [UIDVALIDITY 9] ok\nS: * OK [UIDNEXT 6] ok\nS: * OK [NOMODSEQ] none\nS: a3 OK done\n\
        S: * 1 FETCH (UID 4 FLAGS ())\nS: * 2 FETCH (FLAGS (\\Seen) UID 5)\nS: * 3 EXISTS\nS: a4 OK done\n";
    let (mut store, player) = opened(script).await;
    let wanted = [since("x", 7, 20, 90), since("y", 8, 2, 10), anew("z")];
    let seen: Vec<Observation> = store.observe(&wanted).await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(messages(&seen[0]), "9:\\Seen");
    assert_eq!((seen[0].status.messages, seen[0].status.highest_modseq), (3, ModSeq::new(95)));
    let Silence::Unchanged { vanished } = &seen[0].silence else { panic!("{:?}", seen[0]) };
    assert_eq!(vanished.to_string(), "1:3,5,7,4000:4294967295");
    assert_eq!(messages(&seen[1]), "");
    assert_eq!(seen[1].access, Access::ReadOnly);
    assert_eq!(seen[1].silence, Silence::Unchanged { vanished: UidSet::new() });
    assert_eq!(messages(&seen[2]), "4: 5:\\Seen");
    assert_eq!((seen[2].status.messages, &seen[2].silence), (2, &Silence::Gone));
    finish(store, player).await;
}

#[tokio::test]
async fn s070_a_thousand_lines_of_vanished_behind_what_changed_are_one() {
    let lines: String = (1..=1000).map(|number| format!("S: * vanished (earlier) {}\n", 3 * number)).collect();
    let script = format!(
        "C: a1 SELECT \"x\" (QRESYNC (7 90))\nS: * 3 EXISTS\nS: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 9000] ok\n\
         S: * OK [HIGHESTMODSEQ 95] ok\nS: * 1 FETCH (UID 8000 FLAGS (\\Seen) MODSEQ (93))\n{lines}S: a1 OK done\n"
    );
    let (mut store, player) = opened(&script).await;
    let seen = store.observe(&[since("x", 7, 20, 90)]).await.unwrap().remove(0).unwrap();
    assert_eq!(messages(&seen), "8000:\\Seen");
    let Silence::Unchanged { vanished } = &seen.silence else { panic!("{seen:?}") };
    assert_eq!((vanished.len(), vanished.first(), vanished.last()), (1000, Uid::new(3), Uid::new(3000)));
    finish(store, player).await;
}

#[tokio::test]
async fn s027_s057_a_mailbox_whose_uids_are_used_up_or_not_kept_is_left_alone() {
    for (line, cause) in [
        ("S: * OK [UIDNEXT 4294967296] no more\n", Cause::Protocol),
        ("S: * OK [UIDNEXT 9] ok\nS: * NO [UIDNOTSTICKY] not kept\n", Cause::CannotHold),
    ] {
        let script = format!(
            "C: a1 SELECT \"x\" (CONDSTORE)\nC: a2 UID FETCH 1:4294967295 (FLAGS)\nC: a3 SELECT \"y\" (QRESYNC (8 10))\n\
             S: * 1 EXISTS\nS: * OK [UIDVALIDITY 7] ok\n{line}S: * OK [HIGHESTMODSEQ 5] ok\nS: a1 OK done\n\
             S: * 1 FETCH (UID 4294967295 FLAGS ())\nS: a2 OK done\nS: * OK [CLOSED] closed\n\
             S: * 1 EXISTS\nS: * OK [UIDVALIDITY 8] ok\nS: * OK [UIDNEXT 2] ok\nS: * OK [HIGHESTMODSEQ 10] ok\nS: a3 OK done\n"
        );
        let (mut store, player) = opened(&script).await;
        let seen = store.observe(&[anew("x"), since("y", 8, 2, 10)]).await.unwrap();
        let error = seen[0].as_ref().unwrap_err();
        assert_eq!((error.cause, error.reach), (cause, Reach::Mailbox), "{error}");
        assert!(seen[1].is_ok());
        finish(store, player).await;
    }
    let script = "C: a1 SELECT \"x\"\nS: * OK [UIDVALIDITY 7] ok\nS: * NO [UIDNOTSTICKY] not kept\nS: a1 OK done\n";
    let (mut store, player) = opened(script).await;
    let error = store.expunge(&scope("x", 7), &uids(&[1]), None).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::CannotHold, Reach::Mailbox), "{error}");
    finish(store, player).await;
}

#[tokio::test]
async fn an_error_reaches_no_further_than_its_mailbox() {
    let opened_mailbox = |n: u32| {
        format!("S: * 0 EXISTS\nS: * OK [UIDVALIDITY {n}] ok\nS: * OK [UIDNEXT 1] ok\nS: * OK [HIGHESTMODSEQ 5] ok\n")
    };
    let script = [
        "C: a1 SELECT \"gone\" (QRESYNC (1 5))\nC: a2 SELECT \"garbled\" (QRESYNC (2 5))\n\
         C: a3 SELECT \"bare\" (QRESYNC (3 5))\nC: a4 SELECT \"silent\" (QRESYNC (4 5))\nC: a5 SELECT \"good\" (QRESYNC (5 5))\n\
         S: a1 NO [NONEXISTENT] there is none\n",
        &opened_mailbox(2),
        "S: * 1 FETCH (UID 0 FLAGS ())\nS: a2 OK done\nS: * OK [CLOSED] closed\n",
        &opened_mailbox(3),
        "S: * 1 FETCH (FLAGS (\\Seen))\nS: a3 OK done\nS: * OK [CLOSED] closed\nS: a4 OK done\nS: * OK [CLOSED] closed\n",
        &opened_mailbox(5),
        "S: a5 OK done\n",
    ]
    .concat();
    let (mut store, player) = opened(&script).await;
    let wanted = [
        since("gone", 1, 1, 5),
        since("garbled", 2, 1, 5),
        since("bare", 3, 1, 5),
        since("silent", 4, 1, 5),
        since("good", 5, 1, 5),
    ];
    let seen = store.observe(&wanted).await.unwrap();
    let causes: Vec<Option<Cause>> = seen.iter().map(|seen| seen.as_ref().err().map(|error| error.cause)).collect();
    let protocol = Some(Cause::Protocol);
    assert_eq!(causes, [Some(Cause::NoSuchMailbox), protocol, protocol, protocol, None]);
    assert!(seen.iter().flat_map(|seen| seen.as_ref().err()).all(|error| error.reach == Reach::Mailbox));
    finish(store, player).await;
}

#[tokio::test]
async fn s061_s063_s064_s145_what_cannot_be_resumed_is_listed_in_full() {
    for (what, first) in [
        ("another generation", "S: * OK [UIDVALIDITY 8] ok\nS: * OK [UIDNEXT 20] ok\nS: * OK [HIGHESTMODSEQ 95] ok\n"),
        ("UIDNEXT went back", "S: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 19] ok\nS: * OK [HIGHESTMODSEQ 95] ok\n"),
        (
            "the mod-sequence went back",
            "S: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 20] ok\nS: * OK [HIGHESTMODSEQ 89] ok\n",
        ),
        ("no mod-sequences", "S: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 20] ok\nS: * OK [NOMODSEQ] ok\n"),
        ("mod-sequence 0", "S: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 20] ok\nS: * OK [HIGHESTMODSEQ 0] ok\n"),
        (
            "both there and gone",
            "S: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 20] ok\nS: * OK [HIGHESTMODSEQ 95] ok\n\
            S: * VANISHED (EARLIER) 1:9\nS: * 1 FETCH (UID 9 FLAGS ())\n",
        ),
        (
            "fewer without a word",
            "S: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 20] ok\nS: * OK [HIGHESTMODSEQ 95] ok\n\
            S: * 0 EXISTS\n",
        ),
        (
            "expunged by number",
            "S: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 20] ok\nS: * OK [HIGHESTMODSEQ 95] ok\n\
            S: * 1 EXPUNGE\n",
        ),
    ] {
        let script = format!(
            "C: a1 SELECT \"x\" (QRESYNC (7 90))\nS: * 1 EXISTS\n{first}S: a1 OK done\n\
             C: a2 SELECT \"x\" (CONDSTORE)\nC: a3 UID FETCH 1:4294967295 (FLAGS)\nS: * OK [CLOSED] closed\n\
             S: * 1 EXISTS\nS: * OK [UIDVALIDITY 8] ok\nS: * OK [UIDNEXT 10] ok\nS: * OK [HIGHESTMODSEQ 3] ok\nS: a2 OK done\n\
             S: * 1 FETCH (UID 9 FLAGS ())\nS: a3 OK done\n"
        );
        let (mut store, player) = opened(&script).await;
        let seen = store.observe(&[since("x", 7, 20, 90)]).await.unwrap().remove(0).unwrap();
        assert_eq!((messages(&seen).as_str(), &seen.silence), ("9:", &Silence::Gone), "{what}");
        assert_eq!(seen.status.uid_next.get(), 10, "{what}");
        finish(store, player).await;
    }
}

#[tokio::test]
async fn s145_a_listing_that_does_not_add_up_is_asked_for_once_more() {
    let listing = |tag: &str, border: &str, lines: &str| {
        format!(
            "C: s{tag} SELECT \"x\" (CONDSTORE)\nC: f{tag} UID FETCH 1:4294967295 (FLAGS)\n{border}\
             S: * 2 EXISTS\nS: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 9] ok\nS: * OK [HIGHESTMODSEQ 3] ok\nS: s{tag} OK done\n\
             {lines}S: f{tag} OK done\n"
        )
    };
    let one = "S: * 1 FETCH (UID 4 FLAGS ())\n";
    let closed = "S: * OK [CLOSED] closed\n";
    let two = format!("{one}S: * 2 FETCH (UID 5 FLAGS ())\n");

    let (mut store, player) = opened(&(listing("1", "", one) + &listing("2", closed, &two))).await;
    assert_eq!(messages(&store.observe(&[anew("x")]).await.unwrap().remove(0).unwrap()), "4: 5:");
    finish(store, player).await;

    let (mut store, player) = opened(&(listing("1", "", one) + &listing("2", closed, one))).await;
    let error = store.observe(&[anew("x")]).await.unwrap().remove(0).unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::Protocol, Reach::Mailbox), "{error}");
    finish(store, player).await;

    // What happens meanwhile is no contradiction.
    let lively = format!("{two}S: * VANISHED 4\nS: * 2 EXISTS\nS: * 2 FETCH (UID 9 FLAGS (\\Recent))\n");
    let (mut store, player) = opened(&listing("1", "", &lively)).await;
    let seen = store.observe(&[anew("x")]).await.unwrap().remove(0).unwrap();
    assert_eq!((messages(&seen).as_str(), seen.status.messages), ("5: 9:", 2));
    finish(store, player).await;
}

/// `quirks`: no-closed.
#[tokio::test]
async fn a_server_that_does_not_close_mailboxes_is_made_to() {
    let mailbox = |n: u32, lines: &str| {
        format!(
            "S: * 1 EXISTS\nS: * OK [UIDVALIDITY {n}] ok\nS: * OK [UIDNEXT 9] ok\nS: * OK [HIGHESTMODSEQ 95] ok\n{lines}"
        )
    };
    let script = [
        "C: a1 SELECT \"x\" (QRESYNC (1 90))\nC: a2 SELECT \"y\" (QRESYNC (2 90))\n".to_owned(),
        mailbox(1, "S: a1 OK done\nS: * 1 FETCH (UID 3 FLAGS (\\Deleted))\n"),
        mailbox(2, "S: * 1 FETCH (UID 5 FLAGS (\\Seen))\nS: a2 OK done\n"),
        "C: b1 UNSELECT\nC: b2 SELECT \"y\" (QRESYNC (2 90))\nS: * 1 FETCH (UID 5 FLAGS (\\Deleted))\nS: b1 OK done\n"
            .to_owned(),
        mailbox(2, "S: * 1 FETCH (UID 5 FLAGS (\\Seen))\nS: b2 OK done\n"),
    ]
    .concat();
    let (mut store, player) = opened(&script).await;
    let seen = store.observe(&[since("x", 1, 1, 90), since("y", 2, 1, 90)]).await.unwrap();
    let seen: Vec<String> = seen.into_iter().map(|seen| messages(&seen.unwrap())).collect();
    assert_eq!(seen, ["", "5:\\Seen"]);
    finish(store, player).await;
}

/// What is told while messages are listed is of a moment that no message was listed at.
#[tokio::test]
async fn numbers_that_move_on_while_messages_are_listed_are_not_remembered() {
    let script = "C: a1 SELECT \"x\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)\nC: a3 UID SEARCH ALL\n\
         S: * 1 EXISTS\nS: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 9] ok\nS: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK done\n\
         S: a2 OK done\nS: * SEARCH 4\nS: * 2 EXISTS\nS: * OK [UIDNEXT 10] ok\nS: * OK [HIGHESTMODSEQ 96] ok\nS: a3 OK done\n";
    let (mut store, player) = opened_plainly("CONDSTORE UNSELECT", script).await;
    let status = store.observe(&[since("x", 7, 9, 90)]).await.unwrap().remove(0).unwrap().status;
    assert_eq!((status.uid_next, status.highest_modseq, status.messages), (uid(9), ModSeq::new(95), 1));
    finish(store, player).await;
}

/// Any response may come at any time (RFC 9051 §5.3).
#[tokio::test]
async fn uid_next_is_that_of_the_mailbox_that_was_asked_for() {
    let script = "C: a1 SELECT \"x\"\nC: a2 UID FETCH 1:* (FLAGS)\nS: * 0 EXISTS\nS: * OK [UIDVALIDITY 7] ok\nS: a1 OK done\n\
         S: a2 OK done\nC: b0 UNSELECT\nC: b1 STATUS \"x\" (UIDNEXT UIDVALIDITY)\nC: b2 SELECT \"x\"\n\
         C: b3 UID FETCH 1:* (FLAGS)\nS: b0 OK done\nS: * STATUS x (UIDNEXT 9)\nS: * STATUS y (UIDNEXT 99)\nS: b1 OK done\n\
         S: * 0 EXISTS\nS: * OK [UIDVALIDITY 7] ok\nS: b2 OK done\nS: b3 OK done\n";
    let (mut store, player) = opened_plainly("UNSELECT", script).await;
    let seen = store.observe(&[anew("x")]).await.unwrap().remove(0).unwrap();
    assert_eq!(seen.status.uid_next, uid(9));
    finish(store, player).await;
}

/// What is said of the mailbox that is still open is not taken for said of the next one.
#[tokio::test]
async fn an_unselect_that_is_refused_is_no_border() {
    let listed = |n: u32, tag: &str, lines: &str| {
        format!(
            "{lines}S: * 1 EXISTS\nS: * OK [UIDVALIDITY {n}] ok\nS: * OK [UIDNEXT 9] ok\nS: * OK [HIGHESTMODSEQ 95] ok\n\
             S: {tag}1 OK done\nS: {tag}2 OK done\nS: * SEARCH 5\nS: {tag}3 OK done\n"
        )
    };
    let asked = |tag: &str, name: &str| {
        format!(
            "C: {tag}1 SELECT \"{name}\" (CONDSTORE)\nC: {tag}2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)\n\
             C: {tag}3 UID SEARCH ALL\n"
        )
    };
    let flagged = "S: * 1 FETCH (UID 5 FLAGS (\\Deleted))\n";
    let script = asked("a", "x")
        + "C: b0 UNSELECT\n"
        + &asked("b", "y")
        + &listed(1, "a", "")
        + "S: b0 BAD not now\n"
        + &listed(2, "b", flagged)
        + "C: d0 UNSELECT\n"
        + &asked("d", "y")
        + flagged
        + "S: d0 OK done\n"
        + &listed(2, "d", "");
    let (mut store, player) = opened_plainly("CONDSTORE UNSELECT", &script).await;
    let seen = store.observe(&[since("x", 1, 9, 90), since("y", 2, 9, 90)]).await.unwrap();
    let seen: Vec<_> = seen.into_iter().map(|seen| seen.map(|seen| messages(&seen))).collect();
    assert_eq!(seen, [Ok(String::new()), Ok(String::new())]);
    finish(store, player).await;
}

#[tokio::test]
async fn s145_answers_come_in_the_order_of_the_questions() {
    let script = "C: a1 SELECT \"x\" (QRESYNC (7 90))\nC: a2 SELECT \"y\" (QRESYNC (7 90))\nS: a2 OK done";
    let (mut store, player) = opened(script).await;
    let error = store.observe(&[since("x", 7, 20, 90), since("y", 7, 20, 90)]).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::Protocol, Reach::Side), "{error}");
    finish(store, player).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_unanswered_is_bounded() {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let wanted: Vec<Wanted> = (0..1000).map(|n| since(&format!("{n:0>50}"), 7, 1, 5)).collect();
    let server = tokio::spawn(async move {
        let mut stream = tokio::io::BufStream::new(theirs);
        let greeting = format!("* PREAUTH [CAPABILITY {NEEDED}] hi\r\n");
        stream.write_all(greeting.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let (mut most, mut selected) = (0, false);
        loop {
            // All that comes without an answer.
            let mut lines = Vec::new();
            let mut line = String::new();
            while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_secs(1), stream.read_line(&mut line)).await {
                lines.push(std::mem::take(&mut line));
            }
            if lines.is_empty() {
                return most;
            }
            most = most.max(lines.iter().map(String::len).sum());
            for line in lines {
                let tag = line.split(' ').next().unwrap();
                let answer = match line.contains("SELECT") {
                    true if std::mem::replace(&mut selected, true) => "* OK [CLOSED] x\r\n",
                    true => "",
                    false => "* ENABLED QRESYNC\r\n",
                };
                let numbers =
                    "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n* OK [HIGHESTMODSEQ 5] x\r\n";
                stream.write_all(format!("{answer}{numbers}{tag} OK done\r\n").as_bytes()).await.unwrap();
            }
            stream.flush().await.unwrap();
        }
    });
    let mut store = connect_over(ours, &tunnel()).await.unwrap();
    let seen = store.observe(&wanted).await.unwrap();
    assert!(seen.len() == 1000 && seen.iter().all(Result::is_ok), "{:?}", seen.iter().find(|seen| seen.is_err()));
    drop(store);
    let most = server.await.unwrap();
    assert!((32_000..80_000).contains(&most), "{most} octets were unanswered");
}

#[tokio::test]
async fn s145_the_end_of_the_connection_is_the_end_of_everything() {
    let select = "C: a1 SELECT \"x\" (QRESYNC (7 90))\n";
    for (script, words) in [
        (format!("{select}S: * BYE shutting down\n"), "shutting down"),
        (format!("{select}S: * 1 EXISTS\nS: * BYE \nhang up"), "no reason given"),
        (format!("{select}S: * 1 FETCH (UID 9 FL\nhang up"), "malformed"),
        (format!("{select}S> * LIST () \"/\" {{50}}\\r\\nabc\nhang up"), "was lost"),
        (format!("{select}hang up"), "was lost"),
        (format!("{select}S: zzz OK done\n"), "has not been sent"),
        (format!("{select}S: a1 OKAY done\n"), "no response of IMAP"),
        (format!("{select}S: + go on\n"), "no more"),
        (format!("{select}S: * LIST () \"/\" {{99999999}}\n"), "literal"),
    ] {
        let (mut store, player) = opened(&script).await;
        match store.observe(&[since("x", 7, 20, 90)]).await {
            Err(error) => {
                assert_eq!(error.reach, Reach::Side, "{script}: {error}");
                assert!(error.text.contains(words) || words == "malformed", "{script}: {error}");
            }
            Ok(seen) => panic!("{script}: {seen:?}"),
        }
        assert!(store.mailboxes().await.is_err(), "{script}: the connection is closed for good");
        finish(store, player).await;
    }
}

// --------------------------------------------------------------------------------------------- on a selected mailbox

#[tokio::test]
async fn another_generation_is_noticed_when_the_mailbox_is_opened_again() {
    let script = format!(
        "{}{}",
        select("7", ""),
        "C: a1 SELECT \"x\"\nS: * OK [CLOSED] closed\nS: * 1 EXISTS\nS: * OK [UIDVALIDITY 8] ok\nS: a1 OK done\n"
    );
    let (mut store, player) = opened(&script).await;
    assert!(store.fingerprints(&scope("x", 7), &UidSet::new()).await.unwrap().is_empty());
    let error = store.expunge(&scope("x", 9), &uids(&[1]), None).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::UidValidityChanged, Reach::Mailbox), "{error}");
    finish(store, player).await;
}

#[tokio::test]
async fn the_generation_is_that_of_the_mailbox_that_is_opened() {
    let script = format!(
        "{}C: a1 SELECT \"y\"\nS: * OK [UIDVALIDITY 8] of x, renewed\nS: * OK [CLOSED] closed\n\
         S: * 1 EXISTS\nS: * OK [UIDVALIDITY 7] ok\nS: a1 OK done\n",
        select("7", "")
    );
    let (mut store, player) = opened(&script).await;
    store.fingerprints(&scope("x", 7), &UidSet::new()).await.unwrap();
    let error = store.fingerprints(&scope("y", 8), &uids(&[1])).await.unwrap_err();
    assert_eq!(error.cause, Cause::UidValidityChanged, "{error}");
    finish(store, player).await;
}

/// `quirks`: literal8-in-body.
#[tokio::test]
async fn s038_s039_s145_s148_messages_come_whatever_the_server_says_between() {
    let script = select(
        "7",
        "C: a1 UID FETCH 1:9 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
         S: * 1 FETCH (UID 1 FLAGS (\\Seen \\Recent) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 99 BODY[] {5}\n\
         S> hello)\\r\\n\n\
         S: * 8 FETCH (FLAGS (\\Deleted))\nS: * 77 EXISTS\nS: * 1 FETCH (UID 1 FLAGS (\\Answered))\n\
         S: * 2 FETCH (BODY[] ~{3}\nS> a\\0b FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" UID 2)\\r\\n\n\
         S: * 3 FETCH (UID 3 FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 10 BODY[] NIL)\n\
         S: * 4 FETCH (UID 4 FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 10 BODY[] \"\")\n\
         S: * 5 FETCH (UID 5 FLAGS () RFC822.SIZE 2 BODY[] \"no\")\n\
         S: * 1 FETCH (UID 1 FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" BODY[] \"twice\")\n\
         S: * 9 FETCH (UID 99 FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" BODY[] \"unasked\")\n\
         S: * VANISHED 6\nS: a1 OK [EXPUNGEISSUED] done\n\
         C: b1 UID SEARCH RETURN (ALL) UID 7:9\nS: * ESEARCH (TAG \"b1\") UID\nS: b1 OK done\n",
    );
    let (mut store, player) = opened(&script).await;
    let mut wanted = UidSet::new();
    wanted.insert_range(uid(1)..=uid(9));
    let fetched = fetch(&mut store, &scope("x", 7), &wanted).await.unwrap();
    assert_eq!(fetched, ["1 \\Seen Text hello", "2  Binary a\0b", "3 unreadable", "4 unreadable", "5 unreadable"]);
    finish(store, player).await;
}

#[tokio::test]
async fn s038_one_message_that_cannot_be_read_does_not_keep_the_others() {
    let item = "FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 2 BODY[] \"ok\"";
    let script = select(
        "7",
        &format!(
            "C: a1 UID FETCH 1:4 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
             S: * 1 FETCH (UID 1 {item})\nS: a1 NO [SERVERBUG] the disk\n\
             C: b1 UID FETCH 2 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
             C: b2 UID FETCH 3 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
             C: b3 UID FETCH 4 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
             S: b1 NO [SERVERBUG] the disk\nS: * 3 FETCH (UID 3 {item})\nS: b2 OK done\nS: b3 OK done\n\
             C: c1 UID SEARCH RETURN (ALL) UID 4\nS: * ESEARCH (TAG \"c1\") UID\nS: c1 OK done\n"
        ),
    );
    let (mut store, player) = opened(&script).await;
    let mut wanted = UidSet::new();
    wanted.insert_range(uid(1)..=uid(4));
    let fetched = fetch(&mut store, &scope("x", 7), &wanted).await.unwrap();
    assert_eq!(fetched, ["1  Text ok", "2 unreadable", "3  Text ok"]);
    finish(store, player).await;
}

#[tokio::test]
async fn a_message_that_is_missing_from_an_ok_is_asked_for_again_before_anything_is_concluded() {
    let item = "FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 2 BODY[] \"ok\"";
    let script = select(
        "7",
        &format!(
            "C: a1 UID FETCH 1:4 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
             S: * 1 FETCH (UID 1 {item})\nS: a1 OK done\n\
             C: b1 UID SEARCH RETURN (ALL) UID 2:4\nS: * ESEARCH (TAG \"b1\") UID ALL 2:3\nS: b1 OK done\n\
             C: c1 UID FETCH 2 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
             C: c2 UID FETCH 3 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
             S: * 2 FETCH (UID 2 {item})\nS: c1 OK done\nS: c2 OK done\n\
             C: d1 UID SEARCH RETURN (ALL) UID 3\nS: * ESEARCH (TAG \"d1\") UID ALL 3\nS: d1 OK done\n"
        ),
    );
    let (mut store, player) = opened(&script).await;
    let mut wanted = UidSet::new();
    wanted.insert_range(uid(1)..=uid(4));
    let fetched = fetch(&mut store, &scope("x", 7), &wanted).await.unwrap();
    assert_eq!(fetched, ["1  Text ok", "2  Text ok", "3 unreadable"]);
    finish(store, player).await;
}

#[tokio::test]
async fn a_large_message_flows_even_if_it_is_named_behind_its_octets() {
    let size = 300_000;
    let octets = "0123456789".repeat(size / 10);
    let date = "INTERNALDATE \"17-Jul-1996 02:44:25 -0700\"";
    let script = select(
        "7",
        &format!(
            "C: a1 UID FETCH 1:2 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
             S: * 1 FETCH (UID 1 FLAGS (\\Seen) {date} BODY[] {{{size}}}\nS> {octets})\\r\\n\n\
             S: * 2 FETCH (BODY[] {{{size}}}\nS> {octets} UID 2 {date} FLAGS (\\Draft))\\r\\n\nS: a1 OK done\n"
        ),
    );
    let (mut store, player) = opened(&script).await;
    let fetched = fetch(&mut store, &scope("x", 7), &uids(&[1, 2])).await.unwrap();
    assert_eq!(fetched, [format!("1 \\Seen Text {octets}"), format!("2 \\Draft Text {octets}")]);
    finish(store, player).await;
}

#[tokio::test]
async fn s148_a_message_cut_short_by_the_end_of_the_connection_is_not_whole() {
    let script = select(
        "7",
        "C: a1 UID FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
         S: * 1 FETCH (UID 1 FLAGS () INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" BODY[] {400000}\nS> abc\nhang up\n",
    );
    let (mut store, player) = opened(&script).await;
    let error = fetch(&mut store, &scope("x", 7), &uids(&[1])).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::ConnectionLost, Reach::Side), "{error}");
    finish(store, player).await;
}

#[tokio::test]
async fn fingerprints_need_all_their_parts() {
    let command =
        "C: a1 UID FETCH 1 (INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM MESSAGE-ID SUBJECT TO)])\n";
    const GONE: &str = "C: b1 UID SEARCH RETURN (ALL) UID 1\nS: * ESEARCH (TAG \"b1\") UID\nS: b1 OK done\n";
    const KEPT_BACK: &str = "C: b1 UID SEARCH RETURN (ALL) UID 1\nS: * ESEARCH (TAG \"b1\") UID ALL 1\nS: b1 OK done\n\
         C: c1 UID FETCH 1 (INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM MESSAGE-ID SUBJECT TO)])\n\
         S: * 1 FETCH (UID 1 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 7 BODY[HEADER.FIELDS (Date)] \"\")\n\
         S: c1 OK done\n";
    const KEPT_BACK_AGAIN: &str = "C: b1 UID SEARCH RETURN (ALL) UID 1\nS: * ESEARCH (TAG \"b1\") UID ALL 1\nS: b1 OK done\n\
         C: c1 UID FETCH 1 (INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM MESSAGE-ID SUBJECT TO)])\n\
         S: c1 OK done\n";
    let date = "INTERNALDATE \"17-Jul-1996 02:44:25 -0700\"";
    for (lines, afterwards, found) in [
        (
            format!(
                "S: * 1 FETCH (UID 1 RFC822.SIZE 7)\nS: * 1 FETCH (UID 1 {date} BODY[HEADER.FIELDS (Date From Message-ID Subject To)] \"\")\n"
            ),
            "",
            Some(1),
        ),
        ("S: * 1 FETCH (UID 1 FLAGS (\\Seen))\n".to_owned(), GONE, Some(0)),
        (String::new(), GONE, Some(0)),
        (String::new(), KEPT_BACK, Some(1)),
        (String::new(), KEPT_BACK_AGAIN, None),
        (format!("S: * 1 FETCH (UID 1 {date} RFC822.SIZE 7)\n"), "", None),
    ] {
        let script = format!("{command}{lines}S: a1 OK done\n{afterwards}");
        let (mut store, player) = opened(&select("7", &script)).await;
        let fingerprints = store.fingerprints(&scope("x", 7), &uids(&[1])).await;
        assert_eq!(fingerprints.as_ref().ok().map(|found| found.len()), found, "{lines}: {fingerprints:?}");
        finish(store, player).await;
    }
}

// --------------------------------------------------------------------------------------------------------- appending

const DATE: &str = "05-May-2021 12:34:56 +0200";

#[tokio::test]
async fn s051_a_refused_batch_is_sent_one_by_one() {
    for bad in 0..3 {
        let texts = ["one", "two", "three"];
        let mut script = "C: a1 APPEND \"x\"".to_owned();
        for text in texts {
            let space = if script.ends_with('"') { "" } else { "C+ " };
            script.push_str(&format!("{space} () \"{DATE}\" {{{}+}}\nC> {text}\n", text.len()));
        }
        script.push_str("C+ \nS: a1 NO [CANNOT] one of them is bad\n");
        let mut answers = String::new();
        for (at, text) in texts.iter().enumerate() {
            script.push_str(&format!("C: b{at} APPEND \"x\" () \"{DATE}\" {{{}+}}\nC> {text}\nC+ \n", text.len()));
            answers.push_str(&match at == bad {
                true => format!("S: b{at} NO [TOOBIG] this one\n"),
                false => format!("S: b{at} OK [APPENDUID 7 {}] done\n", at + 10),
            });
        }
        let (mut store, player) = opened(&select("7", &(script + &answers))).await;
        let messages = texts.iter().map(|text| message(text.as_bytes())).collect();
        let appended = store.append(&scope("x", 7), messages).await.unwrap();
        for (at, appended) in appended.iter().enumerate() {
            match appended {
                Appended::Refused(error) if at == bad => {
                    assert_eq!((error.cause, error.retry, error.reach), (Cause::TooBig, Retry::Never, Reach::Message));
                    assert!(error.text.contains("this one"), "{error}");
                }
                Appended::At { uid, .. } => assert_eq!(uid.get() as usize, at + 10),
                other => panic!("{bad} {at}: {other:?}"),
            }
        }
        finish(store, player).await;
    }
}

#[tokio::test]
async fn s056_s060_only_a_uid_that_can_be_meant_is_believed() {
    for (code, uids) in [
        ("[APPENDUID 7 10:11] ", Some([10, 11])),
        ("[APPENDUID 7 4,9] ", Some([4, 9])),
        ("", None),
        ("[APPENDUID 8 10:11] ", None),
        ("[APPENDUID 7 10] ", None),
        ("[APPENDUID 7 10:12] ", None),
        ("[APPENDUID 7 11,10] ", None),
        ("[UIDNOTSTICKY] ", None),
    ] {
        let script = format!(
            "C: a1 APPEND \"x\" () \"{DATE}\" {{1+}}\nC> 1\nC+  () \"{DATE}\" {{1+}}\nC> 2\nC+ \nS: * 2 EXISTS\nS: a1 OK {code}done\n"
        );
        let (mut store, player) = opened(&select("7", &script)).await;
        let appended = store.append(&scope("x", 7), vec![message(b"1"), message(b"2")]).await.unwrap();
        let found: Vec<Option<u32>> = appended
            .iter()
            .map(|appended| match appended {
                Appended::At { uid, .. } => Some(uid.get()),
                Appended::Somewhere => None,
                Appended::Refused(error) => panic!("{code}: {error}"),
            })
            .collect();
        assert_eq!(found, uids.map_or([None, None], |uids| uids.map(Some)), "{code}");
        finish(store, player).await;
    }
}

#[tokio::test]
async fn refusals_say_what_they_mean() {
    for (code, cause, reach) in [
        ("[OVERQUOTA] ", Cause::OverQuota, Reach::Mailbox),
        ("[LIMIT] ", Cause::TooBig, Reach::Message),
        ("[NOPERM] ", Cause::NoPermission, Reach::Mailbox),
        ("[CANNOT] ", Cause::CannotHold, Reach::Message),
        ("", Cause::Refused, Reach::Message),
    ] {
        let script = format!("C: a1 APPEND \"x\" (\\Seen) \"{DATE}\" {{1+}}\nC> 1\nC+ \nS: a1 NO {code}Why not\n");
        let (mut store, player) = opened(&select("7", &script)).await;
        let one = Message { flags: FlagSet::parse("\\Seen"), ..message(b"1") };
        let appended = store.append(&scope("x", 7), vec![one]).await.unwrap();
        let [Appended::Refused(error)] = appended.as_slice() else { panic!("{appended:?}") };
        assert_eq!((error.cause, error.reach), (cause, reach), "{error}");
        assert!(error.text.contains("Why not"), "{error}");
        finish(store, player).await;
    }
    let script = format!("C: a1 APPEND \"x\" () \"{DATE}\" {{1+}}\nC> 1\nC+ \nS: a1 NO [TRYCREATE] gone\n");
    let (mut store, player) = opened(&select("7", &script)).await;
    let error = store.append(&scope("x", 7), vec![message(b"1")]).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::NoSuchMailbox, Reach::Mailbox), "{error}");
    finish(store, player).await;
}

#[tokio::test]
async fn s043_s044_s047_what_need_not_be_sent_is_not_sent() {
    let (mut store, player) = opened_with("LITERAL+ APPENDLIMIT=5", &select("7", "")).await;
    let nul = Message { form: Form::Binary, ..message(b"\0") };
    let appended = store.append(&scope("x", 7), vec![message(b""), nul, message(b"123456")]).await.unwrap();
    let causes: Vec<Cause> = appended
        .into_iter()
        .map(|appended| match appended {
            Appended::Refused(error) => error.cause,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(causes, [Cause::CannotHold, Cause::CannotHold, Cause::TooBig]);
    finish(store, player).await;
}

#[tokio::test]
async fn s043_s047_literals_wait_where_they_must() {
    let small = "x".repeat(4096);
    let large = "y".repeat(4097);
    // LITERAL-: up to 4096 octets run on; no MULTIAPPEND: one message a command; the first answer comes while the
    // second literal waits for its turn.
    let script = format!(
        "C: a1 APPEND \"x\" () \"{DATE}\" {{4096+}}\nC> {small}\nC+ \nC: a2 APPEND \"x\" () \"{DATE}\" ~{{4097}}\n\
         S: a1 OK [APPENDUID 7 10] done\nS: + go on\nC> {large}\nC+ \nC: a3 APPEND \"x\" () \"{DATE}\" {{5000}}\n\
         S: a2 OK [APPENDUID 7 11] done\nS: a3 NO [TOOBIG] not that one\n\
         C: a4 APPEND \"x\" () \"{DATE}\" {{1+}}\nC> z\nC+ \nS: a4 OK [APPENDUID 7 12] done\n"
    );
    let (mut store, player) = opened_with("LITERAL- BINARY", &select("7", &script)).await;
    let binary = Message { form: Form::Binary, ..message(large.as_bytes()) };
    let messages = vec![message(small.as_bytes()), binary, message("z".repeat(5000).as_bytes()), message(b"z")];
    let appended = store.append(&scope("x", 7), messages).await.unwrap();
    assert!(matches!(appended[2], Appended::Refused(_)), "{appended:?}");
    assert_eq!([0, 1, 3].map(|at| uid_of(&appended[at]).get()), [10, 11, 12]);
    finish(store, player).await;
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_literal_leaves_the_connection_in_step() {
    let text = "x".repeat(200_000);
    let script = format!(
        "C: a1 APPEND \"x\" () \"{DATE}\" {{200000+}}\nC> {}\nS: a1 NO [OVERQUOTA] full\nC> {}\nC+ \n\
         C: a2 LOGOUT\nS: * BYE see you\nS: a2 OK done\n",
        &text[..1000],
        &text[1000..]
    );
    let (mut store, player) = opened_with("LITERAL+", &select("7", &script)).await;
    let appended = store.append(&scope("x", 7), vec![message(text.as_bytes())]).await.unwrap();
    assert!(matches!(&appended[0], Appended::Refused(error) if error.cause == Cause::OverQuota), "{appended:?}");
    store.close().await;
    finish(store, player).await;
}

#[tokio::test]
async fn consent_to_half_a_command_is_none() {
    let text = "x".repeat(300_000);
    // The server's end of the pipe holds a fifth of it: the rest is not written when the answer comes.
    let script = format!("C: a1 APPEND \"x\" () \"{DATE}\" {{250000+}}\nS: a1 OK [APPENDUID 7 10] done\n");
    let script = format!("{}{}", opening("LITERAL+"), select("7", &script));
    let (ours, theirs) = tokio::io::duplex(50_000);
    let player = play_on(theirs, &script);
    let mut store = connect_over(ours, &tunnel()).await.unwrap();
    let error = store.append(&scope("x", 7), vec![message(&text.as_bytes()[..250_000])]).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::Protocol, Reach::Side), "{error}");
    drop(store);
    drop(player);
}

#[tokio::test]
async fn a_streamed_message_that_is_refused_leaves_the_connection_in_step() {
    let script = format!(
        "C: a1 APPEND \"x\" () \"{DATE}\" {{1000000}}\nS: a1 NO [TOOBIG] not that\n\
         C: a2 APPEND \"x\" () \"{DATE}\" {{1000000}}\nS: + go on\nC> {0}\nC> {0}\nC+ \nS: a2 OK [APPENDUID 7 11] done\n\
         C: a3 APPEND \"x\" () \"{DATE}\" {{1+}}\nC> x\nC+ \nS: a3 OK [APPENDUID 7 12] done\n",
        "y".repeat(500_000)
    );
    let (mut store, player) = opened_with("LITERAL+", &select("7", &script)).await;
    let streamed = || {
        let (sender, rest) = mpsc::channel(10);
        for _ in 0..9 {
            sender.try_send(Bytes::from(vec![b'y'; 100_000])).unwrap();
        }
        Message { size: 1_000_000, body: Body::Streamed { head: vec![b'y'; 100_000].into(), rest }, ..message(b"") }
    };
    let appended = store.append(&scope("x", 7), vec![streamed(), streamed(), message(b"x")]).await.unwrap();
    assert!(matches!(&appended[0], Appended::Refused(error) if error.cause == Cause::TooBig), "{appended:?}");
    assert_eq!((uid_of(&appended[1]).get(), uid_of(&appended[2]).get()), (11, 12));
    finish(store, player).await;
}

/// `quirks`: stored-without-line-end.
#[tokio::test]
async fn a_message_of_another_size_than_announced_ends_the_session() {
    for pieces in [2, 4] {
        let script = format!("C: a1 APPEND \"x\" () \"{DATE}\" {{12}}\nS: + go on\n");
        let (mut store, player) = opened(&select("7", &script)).await;
        let (sender, rest) = mpsc::channel(10);
        for _ in 1..pieces {
            sender.try_send(Bytes::from_static(b"four")).unwrap();
        }
        drop(sender);
        let body = Body::Streamed { head: Bytes::from_static(b"four"), rest };
        let error = store.append(&scope("x", 7), vec![Message { size: 12, body, ..message(b"") }]).await.unwrap_err();
        assert_eq!((error.cause, error.reach), (Cause::ConnectionLost, Reach::Side), "{error}");
        assert!(store.mailboxes().await.is_err());
        finish(store, player).await;
    }
}

#[tokio::test]
async fn what_a_server_says_while_it_should_listen_is_bounded() {
    let noise = "S: * OK still there, and as talkative as ever\n".repeat(150_000);
    let script = format!("C: a1 APPEND \"x\" () \"{DATE}\" {{200000+}}\n{noise}");
    let script = format!("{}{}", opening("LITERAL+"), select("7", &script));
    let (ours, theirs) = tokio::io::duplex(4096);
    let player = play_on(theirs, &script);
    let mut store = connect_over(ours, &tunnel()).await.unwrap();
    let error = store.append(&scope("x", 7), vec![message(&[b'x'; 200_000])]).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::Limit, Reach::Side), "{error}");
    drop((store, player));
}

#[tokio::test]
async fn two_full_buffers_do_not_wait_for_each_other() {
    let text = "x".repeat(200_000);
    let noise = "S: * OK still there, and as talkative as ever\n".repeat(3000);
    let script = format!(
        "C: a1 APPEND \"x\" () \"{DATE}\" {{200000+}}\n{noise}C> {text}\nC+ \nS: a1 OK [APPENDUID 7 10] done\n"
    );
    let script = format!("{}{}", opening("LITERAL+"), select("7", &script));
    let (ours, theirs) = tokio::io::duplex(4096);
    let player = play_on(theirs, &script);
    let mut store = connect_over(ours, &tunnel()).await.unwrap();
    let appended = store.append(&scope("x", 7), vec![message(text.as_bytes())]).await.unwrap();
    assert_eq!(uid_of(&appended[0]).get(), 10);
    finish(store, player).await;
}

// ------------------------------------------------------------------------------------------- flags, and expunging

/// `quirks`: modified-in-no.
#[tokio::test]
async fn s008_s074_what_was_modified_is_told_apart() {
    for (status, retry) in [("OK", ""), ("NO", "")] {
        let script = select(
            "7",
            &format!(
                "C: a1 UID STORE 1:3 (UNCHANGEDSINCE 50) +FLAGS (\\Seen)\nC: a2 UID STORE 8 (UNCHANGEDSINCE 50) -FLAGS (\\Draft)\n\
                 S: * 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (60))\nS: * 2 FETCH (UID 2 FLAGS (\\Flagged))\n\
                 S: a1 {status} [MODIFIED 2,9] conditional\nS: a2 OK done\n\
                 C: b1 UID STORE 1,3 -FLAGS (\\Draft)\nS: * 1 FETCH (UID 1 FLAGS (\\Seen Kept))\nS: b1 OK done\n\
                 C: c1 UID FETCH 3,8 (FLAGS)\nS: * 8 FETCH (FLAGS (\\Answered) UID 8)\nS: c1 OK done\n{retry}\
                 C: d1 UID SEARCH RETURN (ALL) UID 3\nS: * ESEARCH (TAG \"d1\") UID\nS: d1 OK done\n"
            ),
        );
        let (mut store, player) = opened(&script).await;
        let changes = [(uids(&[1, 2, 3]), change("\\Seen", "\\Draft")), (uids(&[8]), change("", "\\Draft"))];
        let stored = store.store_flags(&scope("x", 7), &changes, ModSeq::new(50)).await.unwrap();
        assert_eq!(stored[&uid(1)], Stored::Flags(FlagSet::parse("\\Seen Kept")), "{status}");
        assert_eq!(stored[&uid(2)], Stored::Modified, "{status}");
        assert_eq!(stored[&uid(3)], Stored::Gone, "{status}");
        assert_eq!(stored[&uid(8)], Stored::Flags(FlagSet::parse("\\Answered")), "{status}");
        assert_eq!(stored.len(), 4);
        finish(store, player).await;
    }
}

/// `quirks`: missing-from-ok. Whoever is believed to be gone has no flags to be agreed on any more.
#[tokio::test]
async fn a_message_of_which_no_flags_are_told_is_not_gone_for_that() {
    let script = select(
        "7",
        "C: a1 UID STORE 3 +FLAGS (\\Seen)\nS: a1 OK done\nC: a2 UID FETCH 3 (FLAGS)\nS: a2 OK done\n\
         C: a3 UID SEARCH RETURN (ALL) UID 3\nS: * ESEARCH (TAG \"a3\") UID ALL 3\nS: a3 OK done\n",
    );
    let (mut store, player) = opened(&script).await;
    let error = store.store_flags(&scope("x", 7), &[(uids(&[3]), change("\\Seen", ""))], None).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::Protocol, Reach::Mailbox), "{error}");
    finish(store, player).await;
}

#[tokio::test]
async fn s016_a_refused_keyword_does_not_take_the_others_along() {
    let script = select(
        "7",
        "C: a1 UID STORE 1 +FLAGS (\\Seen Many Too)\nC: a2 UID STORE 1 -FLAGS (\\Draft)\nS: a1 NO Too many user flags\n\
         S: * 1 FETCH (UID 1 FLAGS ())\nS: a2 OK done\n\
         C: b1 UID STORE 1 +FLAGS (\\Seen)\nS: * 1 FETCH (UID 1 FLAGS (\\Seen))\nS: b1 OK done\n\
         C: c1 UID STORE 1 +FLAGS (Just)\nS: c1 NO Too many user flags\n\
         C: d1 UID FETCH 1 (FLAGS)\nS: * 1 FETCH (UID 1 FLAGS (\\Seen))\nS: d1 OK done\n\
         C: e1 UID STORE 1 +FLAGS (\\Seen)\nS: e1 NO [NOPERM] read only\n",
    );
    let (mut store, player) = opened(&script).await;
    let seen = Stored::Flags(FlagSet::parse("\\Seen"));
    for change in [change("\\Seen Many Too", "\\Draft"), change("Just", "")] {
        let stored = store.store_flags(&scope("x", 7), &[(uids(&[1]), change)], None).await.unwrap();
        assert_eq!(stored[&uid(1)], seen);
    }
    let error = store.store_flags(&scope("x", 7), &[(uids(&[1]), change("\\Seen", ""))], None).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::NoPermission, Reach::Mailbox), "{error}");
    finish(store, player).await;
}

#[tokio::test]
async fn s073_what_is_not_known_to_be_gone_is_asked_for() {
    // UID 1 has changed, 2 vanishes, 3 was gone before, 4 stays although the server says OK.
    let script = select(
        "7",
        "C: a1 UID STORE 1:4 (UNCHANGEDSINCE 50) +FLAGS.SILENT (\\Deleted)\nS: a1 OK [MODIFIED 1] conditional\n\
         C: a2 UID EXPUNGE 2:4\nS: * VANISHED 2\nS: a2 OK [HIGHESTMODSEQ 70] done\n\
         C: a3 UID SEARCH RETURN (ALL) UID 3:4\nS: * ESEARCH (TAG \"a3\") UID ALL 4\nS: a3 OK done\n",
    );
    let (mut store, player) = opened(&script).await;
    let kept = store.expunge(&scope("x", 7), &uids(&[1, 2, 3, 4]), ModSeq::new(50)).await.unwrap();
    assert_eq!(kept, Expunged::AllBut(uids(&[1, 4])));
    finish(store, player).await;
}

#[tokio::test]
async fn nothing_is_expunged_where_nothing_could_be_marked() {
    let script = select("7", "C: a1 UID STORE 1 +FLAGS.SILENT (\\Deleted)\nS: a1 NO [NOPERM] read only\n");
    let (mut store, player) = opened(&script).await;
    let error = store.expunge(&scope("x", 7), &uids(&[1]), None).await.unwrap_err();
    assert_eq!(error.cause, Cause::NoPermission, "{error}");
    finish(store, player).await;
}

/// EXPUNGE takes whatever is marked: it is not said where the server does not show who that is.
#[tokio::test]
async fn without_uidplus_nothing_is_expunged_that_a_search_does_not_find() {
    let looked = |tag: &str, found: &str| {
        format!(
            "C: {tag}1 NOOP\nS: {tag}1 OK done\nC: {tag}2 UID SEARCH DELETED\nS: * SEARCH{found}\nS: {tag}2 OK done\n"
        )
    };
    let marked = "C: b UID STORE 4:5 +FLAGS.SILENT (\\Deleted)\nS: b OK done\n";
    let asked = |lines: &str| format!("C: d UID FETCH 4:5 (FLAGS)\n{lines}S: d OK done\n");
    let bears = |flags: &str| format!("S: * 1 FETCH (UID 4 FLAGS ({flags}))\nS: * 2 FETCH (UID 5 FLAGS ({flags}))\n");
    for (what, script, expected) in [
        (
            "it finds nothing",
            asked(&bears("\\Deleted")) + "C: e UID STORE 4:5 -FLAGS (\\Deleted)\n" + &bears("") + "S: e OK done\n",
            Err(Cause::Protocol),
        ),
        (
            "there is nothing to find",
            asked(&bears("")) + "C: e UID SEARCH UID 4:5\nS: * SEARCH 4 5\nS: e OK done\n",
            Ok(Expunged::AllBut(uids(&[4, 5]))),
        ),
        (
            "all were gone",
            asked("") + "C: e UID SEARCH UID 4:5\nS: * SEARCH\nS: e OK done\n",
            Ok(Expunged::AllBut(uids(&[]))),
        ),
    ] {
        let script = select("7", &(looked("a", "") + marked + &looked("c", "") + &script));
        let (mut store, player) = opened_plainly("UNSELECT", &script).await;
        let expunged = store.expunge(&scope("x", 7), &uids(&[4, 5]), None).await;
        assert_eq!(expunged.map_err(|error| error.cause), expected, "{what}");
        finish(store, player).await;
    }
}

#[tokio::test]
async fn without_uidplus_marks_are_looked_for_in_what_the_server_has_told() {
    let script = select("7", "C: a1 NOOP\nS: a1 NO [SERVERBUG] not now\n");
    let (mut store, player) = opened_plainly("UNSELECT", &script).await;
    let error = store.expunge(&scope("x", 7), &uids(&[1]), None).await.unwrap_err();
    assert_eq!((error.cause, error.reach), (Cause::Refused, Reach::Mailbox), "{error}");
    finish(store, player).await;
}

// --------------------------------------------------------------------------------------------------- within the side

#[tokio::test]
async fn s036_where_messages_have_been_moved_is_believed_as_far_as_it_can_be_meant() {
    type Row = (&'static str, &'static str, &'static [(u32, u32)], &'static [u32], &'static [u32]);
    let rows: [Row; 12] = [
        (
            "untagged, before the expunges",
            "S: * OK [COPYUID 9 1:3 7:9] Moved\nS: * VANISHED 1:3\nS: m1 OK done",
            &[(1, 7), (2, 8), (3, 9)],
            &[1, 2, 3],
            &[],
        ),
        ("tagged", "S: * VANISHED 1:3\nS: m1 OK [COPYUID 9 1:3 7:9] done", &[(1, 7), (2, 8), (3, 9)], &[1, 2, 3], &[]),
        (
            "in the order of the server",
            "S: * OK [COPYUID 9 3,1:2 7:9] Moved\nS: m1 OK done",
            &[(1, 8), (2, 9), (3, 7)],
            &[1, 2, 3],
            &[],
        ),
        ("downwards", "S: * OK [COPYUID 9 1:3 9:7] Moved\nS: m1 OK done", &[(1, 7), (2, 8), (3, 9)], &[1, 2, 3], &[]),
        (
            "in two parts",
            "S: * OK [COPYUID 9 1 7] Moved\nS: * VANISHED 1\nS: * OK [COPYUID 9 2 8] Moved\nS: m1 OK done",
            &[(1, 7), (2, 8)],
            &[1, 2],
            &[],
        ),
        ("not told", "S: * VANISHED 1:3\nS: m1 OK done", &[], &[1, 2, 3], &[]),
        ("another generation", "S: * OK [COPYUID 8 1:3 7:9] Moved\nS: m1 OK done", &[], &[], &[]),
        ("one too few", "S: * OK [COPYUID 9 1:3 7:8] Moved\nS: m1 OK done", &[], &[], &[]),
        ("somebody else's", "S: * OK [COPYUID 9 1:4 7:10] Moved\nS: m1 OK done", &[], &[], &[]),
        (
            "NO in the middle",
            "S: * OK [COPYUID 9 1 7] Moved\nS: * VANISHED 1\nS: m1 NO [OVERQUOTA] full",
            &[(1, 7)],
            &[1],
            &[1, 2, 3],
        ),
        (
            "NO with what was copied still there",
            "S: * OK [COPYUID 9 1 7] Moved\nS: m1 NO no",
            &[(1, 7)],
            &[],
            &[1, 2, 3],
        ),
        ("BAD", "S: m1 BAD what", &[], &[], &[1, 2, 3]),
    ];
    for (what, answer, at, gone, refused) in rows {
        let script = select("7", &format!("C: m1 UID MOVE 1:3 \"y\"\n{answer}\n"));
        let (mut store, player) = opened_with(&format!("{USUAL} MOVE"), &script).await;
        let relocated = store.relocate(&scope("x", 7), &uids(&[1, 2, 3]), &scope("y", 9), Passage::Move).await.unwrap();
        let told: Vec<(u32, u32)> = relocated.at.iter().map(|(old, new)| (old.get(), new.get())).collect();
        assert_eq!((told.as_slice(), relocated.gone, relocated.refused), (at, uids(gone), uids(refused)), "{what}");
        finish(store, player).await;
    }
}

#[tokio::test]
async fn without_move_messages_are_copied_and_stay() {
    let script = select("7", "C: m1 UID COPY 1,3 \"y\"\nS: * VANISHED 9\nS: m1 OK [COPYUID 9 1,3 7:8] done\n");
    let (mut store, player) = opened(&script).await;
    let relocated = store.relocate(&scope("x", 7), &uids(&[1, 3]), &scope("y", 9), Passage::Move).await.unwrap();
    assert_eq!(relocated.at, [(uid(1), uid(7)), (uid(3), uid(8))].into_iter().collect());
    assert_eq!((relocated.gone, relocated.refused), (UidSet::new(), UidSet::new()));
    finish(store, player).await;
}

#[tokio::test]
async fn what_is_to_be_copied_is_not_moved() {
    let script = select("7", "C: m1 UID COPY 1,3 \"y\"\nS: * VANISHED 3\nS: m1 OK [COPYUID 9 1,3 7:8] done\n");
    let (mut store, player) = opened_with(&format!("{USUAL} MOVE"), &script).await;
    let relocated = store.relocate(&scope("x", 7), &uids(&[1, 3]), &scope("y", 9), Passage::Copy).await.unwrap();
    assert_eq!(relocated.at, [(uid(1), uid(7)), (uid(3), uid(8))].into_iter().collect());
    assert_eq!((relocated.gone, relocated.refused), (UidSet::new(), UidSet::new()));
    finish(store, player).await;
}

#[tokio::test]
async fn a_mailbox_to_move_to_that_is_not_there_is_named() {
    for code in ["TRYCREATE", "NONEXISTENT"] {
        let script = select("7", &format!("C: m1 UID MOVE 1 \"y\"\nS: m1 NO [{code}] there is none\n"));
        let (mut store, player) = opened_with(&format!("{USUAL} MOVE"), &script).await;
        let error = store.relocate(&scope("x", 7), &uids(&[1]), &scope("y", 9), Passage::Move).await.unwrap_err();
        assert_eq!((error.cause, error.reach), (Cause::NoSuchMailbox, Reach::Mailbox), "{error}");
        finish(store, player).await;
    }
}

// ----------------------------------------------------------------------------------------------------- whole mailboxes

/// `quirks`: bare-refusal, trycreate-for-delete.
#[tokio::test]
async fn a_bare_refusal_is_looked_into() {
    let script = "\
        C: a1 CREATE \"x\"\nS: a1 NO Cannot create this folder.\nC: a2 LIST \"\" \"x\"\nS: * LIST () \"/\" x\nS: a2 OK done\n\
        C: b1 CREATE \"y\"\nS: b1 NO Cannot create this folder.\nC: b2 LIST \"\" \"y\"\nS: * LIST (\\Noselect) \"/\" y\nS: b2 OK done\n\
        C: c1 DELETE \"x\"\nS: c1 NO no\nC: c2 LIST \"\" \"x\"\nS: c2 OK done\n\
        C: d1 DELETE \"z\"\nS: d1 NO [HASCHILDREN] no\n\
        C: e1 CREATE \"x\"\nS: e1 NO [ALREADYEXISTS] it does\n\
        C: f1 DELETE \"x\"\nS: f1 NO [TRYCREATE] there is none\n";
    let (mut store, player) = opened(script).await;
    store.create(&name("x")).await.unwrap();
    assert_eq!(store.create(&name("y")).await.unwrap_err().reach, Reach::Mailbox);
    store.delete(&name("x")).await.unwrap();
    assert_eq!(store.delete(&name("z")).await.unwrap_err().cause, Cause::Refused);
    store.create(&name("x")).await.unwrap();
    store.delete(&name("x")).await.unwrap();
    finish(store, player).await;
}

#[tokio::test(start_paused = true)]
async fn a_census_believes_only_what_agrees() {
    let count = |tag: &str, exists: u32, found: &str| {
        format!(
            "C: s{tag} STATUS \"x\" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)\nC: o{tag} SELECT \"x\"\n\
             C: f{tag} UID SEARCH RETURN (ALL) ALL\n\
             S: * STATUS x (MESSAGES 2 UIDNEXT 9 UIDVALIDITY 7 HIGHESTMODSEQ 5)\nS: s{tag} OK done\n\
             S: * {exists} EXISTS\nS: * OK [UIDVALIDITY 7] ok\nS: * OK [UIDNEXT 9] ok\nS: * OK [HIGHESTMODSEQ 5] ok\nS: o{tag} OK done\n\
             S: * ESEARCH (TAG \"f{tag}\") UID{found}\nS: f{tag} OK done\n"
        )
    };
    let unselect = |tag: &str, count: &str| {
        let said = count.replacen("S: ", &format!("S: u{tag} OK done\nS: "), 1);
        format!("C: u{tag} UNSELECT\n{said}")
    };
    let (mut store, player) = opened(
        &[count("1", 0, ""), unselect("2", &count("2", 2, " ALL 3")), unselect("3", &count("3", 2, " ALL 3,8"))]
            .concat(),
    )
    .await;
    let (status, found) = store.census(&name("x")).await.unwrap().unwrap();
    assert_eq!((status.messages, found), (2, uids(&[3, 8])));
    finish(store, player).await;

    let gone = |answer: &str, more: &str| {
        format!(
            "C: a2 STATUS \"x\" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)\nC: a3 SELECT \"x\"\n\
             C: a4 UID SEARCH RETURN (ALL) ALL\nS: a2 NO no\nS: a3 NO {answer}\nS: a4 BAD no\n{more}"
        )
    };
    for (script, gone) in [
        (gone("[NONEXISTENT] no", ""), true),
        (gone("no", "C: b1 LIST \"\" \"x\"\nS: b1 OK done\n"), true),
        (gone("no", "C: b1 LIST \"\" \"x\"\nS: * LIST () \"/\" x\nS: b1 OK done\n"), false),
        // Each time after a pause.
        (gone("[UNAVAILABLE] no", "").repeat(3), false),
    ] {
        let (mut store, player) = opened(&script).await;
        let census = store.census(&name("x")).await;
        assert_eq!(matches!(census, Ok(None)), gone, "{script}: {census:?}");
        assert_eq!(census.is_err(), !gone, "{script}: {census:?}");
        finish(store, player).await;
    }
}

// ------------------------------------------------------------------------------------------------------------ the trace

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl WireTrace for Lines {
    fn line(&self, speaker: Speaker, text: &str) {
        let speaker = if speaker == Speaker::Client { "C" } else { "S" };
        self.0.lock().unwrap().push(format!("{speaker}: {text}"));
    }
}

#[tokio::test]
async fn a_trace_holds_neither_secrets_nor_messages() {
    let script = format!(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\nC: a1 AUTHENTICATE PLAIN\nS: + c2VjcmV0\nC+ AGFsaWNlAHPDtiAic2VjcmV0\n\
         S: a1 OK [CAPABILITY {NEEDED} {USUAL}] welcome\n{}{}",
        survey(USUAL),
        select(
            "7",
            &format!(
                "C: b1 APPEND \"x\" (\\Seen) \"{DATE}\" {{14+}}\nC> secret message\nC+ \nS: b1 OK done\n\
                 C: b2 UID FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\n\
                 S: * 1 FETCH (UID 1 FLAGS ($Work) INTERNALDATE \"{DATE}\" BODY[] \"secret message\")\n\
                 S: * 2 FETCH (UID 2 BODY[TEXT] \"secret message\" ENVELOPE (\"secret\"))\n\
                 S: * 3 FETCH (UID 3 BODY[] \"secret\nS: * 4 XFETCH (\"secret\")\nS: * XSECRETLESS secret\nS: b2 OK done\n\
                 C: b3 UID FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\nS: b3 OK done\n"
            )
        )
    )
    .replace("C: b3 UID FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\nS: b3 OK done\n", "");
    let (stream, player) = play(&script);
    let trace = Arc::new(Lines::default());
    let endpoint = Endpoint { trace: Some(trace.clone()), ..tcp(Protection::Plain) };
    let mut store = connect_over(stream, &endpoint).await.unwrap();
    let one = Message { flags: FlagSet::parse("\\Seen"), ..message(b"secret message") };
    store.append(&scope("x", 7), vec![one]).await.unwrap();
    fetch(&mut store, &scope("x", 7), &uids(&[1])).await.unwrap();
    finish(store, player).await;
    let lines = trace.0.lock().unwrap().join("\n");
    assert!(!lines.contains("secret") && !lines.contains("AGFsaWNl"), "{lines}");
    for shown in ["APPEND \"x\" (\\Seen)", "{14+}", "FLAGS ($Work)", "BODY[] {14}", "AUTHENTICATE PLAIN", "C: ***"] {
        assert!(lines.contains(shown), "{shown} is missing in:\n{lines}");
    }
}

#[tokio::test]
async fn turns_and_octets_are_counted() {
    let (stream, player) = play(&opening(USUAL));
    let store = connect_over(stream, &tunnel()).await.unwrap();
    let traffic = store.traffic();
    assert_eq!(traffic.turns, 1);
    assert!(traffic.bytes_sent > 20 && traffic.bytes_received > 100, "{traffic:?}");
    finish(store, player).await;
}

// -------------------------------------------------------------------------------------------------------- compression

/// A session in which COMPRESS was answered so, with what follows.
fn compressed(answer: &str) -> String {
    format!(
        "S: * PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] ready\nC: e1 LIST \"\" \"\"\nC: e2 COMPRESS DEFLATE\n\
         S: * LIST (\\Noselect) \"/\" \"\"\nS: e1 OK done\n{answer}"
    )
}

const LISTED: &str = "C: l1 LIST \"\" \"*\"\nC: l2 LSUB \"\" \"*\"\nS: * LIST () \"/\" x\nS: l1 OK done\nS: l2 OK done\n\
                      C: l3 STATUS \"x\" (MESSAGES UIDNEXT UIDVALIDITY)\n\
                      S: * STATUS x (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7)\nS: l3 OK done\n";

/// What a server sends once it deflates, as a script writes octets.
fn deflated(text: &str) -> String {
    let mut deflated = Vec::with_capacity(text.len() + 64);
    let mut deflater = flate2::Compress::new(flate2::Compression::fast(), false);
    deflater.compress_vec(text.as_bytes(), &mut deflated, flate2::FlushCompress::Sync).unwrap();
    deflated.iter().map(|octet| format!("\\x{octet:02x}")).collect()
}

#[tokio::test]
async fn compression_begins_behind_the_login_and_a_trace_shows_what_was_meant() {
    let script = format!(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN COMPRESS=DEFLATE] ready\nC: a1 AUTHENTICATE PLAIN\nS: + \n\
         C+ AGFsaWNlAHPDtiAic2VjcmV0\nS: a1 OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] welcome\n\
         C: e1 LIST \"\" \"\"\nC: e2 COMPRESS DEFLATE\nS: * LIST (\\Noselect) \"/\" \"\"\nS: e1 OK done\nS: e2 OK now\n\
         compress\n{LISTED}{LISTED}{LISTED}"
    );
    let (stream, player) = play(&script);
    let trace = Arc::new(Lines::default());
    let endpoint = Endpoint { trace: Some(trace.clone()), ..tcp(Protection::Plain) };
    let mut store = connect_over(stream, &endpoint).await.unwrap();
    assert_eq!(store.profile().compression, "DEFLATE");
    let mut before = store.traffic();
    for _ in 0..3 {
        assert_eq!(store.mailboxes().await.unwrap().mailboxes.len(), 1);
        let traffic = store.traffic();
        let crossed = (traffic.bytes_sent - before.bytes_sent, traffic.bytes_received - before.bytes_received);
        assert!(crossed.0 < 100 && crossed.1 < 100, "what crosses is counted, not what it stands for: {crossed:?}");
        assert_eq!(traffic.turns - before.turns, 2);
        before = traffic;
    }
    finish(store, player).await;
    let lines = trace.0.lock().unwrap().join("\n");
    assert_eq!(lines.matches("S: * STATUS x (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7)").count(), 3, "{lines}");
    assert_eq!(lines.matches(" STATUS \"x\" (MESSAGES UIDNEXT UIDVALIDITY)").count(), 3, "{lines}");
}

#[tokio::test]
async fn compression_is_done_without_where_it_is_not_to_be_had() {
    let plain = "S: * PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] ready\nC: e1 LIST \"\" \"\"\nS: e1 OK done\n";
    let lacking = &plain.replace(" COMPRESS=DEFLATE", "");
    let active = &compressed("S: e2 NO [COMPRESSIONACTIVE] TLS does\n");
    let unknown = &compressed("S: e2 BAD what\n");
    for (script, compression, disabled, told) in [
        (plain, Compression::Unwanted, "", "none"),
        (plain, Compression::Wanted, "COMPRESS=DEFLATE", "disabled"),
        (plain, Compression::Wanted, "COMPRESS", "disabled"),
        (lacking, Compression::Wanted, "", "does not offer"),
        (active, Compression::Wanted, "", "refuses"),
        (unknown, Compression::Wanted, "", "refuses"),
    ] {
        let (stream, player) = play(&(script.to_owned() + LISTED));
        let disable_extensions = disabled.split_whitespace().map(str::to_owned).collect();
        let endpoint = Endpoint { compression, disable_extensions, ..tunnel() };
        let mut store = connect_over(stream, &endpoint).await.unwrap();
        assert!(store.profile().compression.contains(told), "{}", store.profile().compression);
        store.mailboxes().await.unwrap();
        finish(store, player).await;
    }
}

/// A first flight that is sent again, as the server asked for a pause: what it has agreed to is not asked for twice.
#[tokio::test(start_paused = true)]
async fn compression_that_is_agreed_upon_stays_when_the_rest_is_asked_for_again() {
    let throttled = "Request is throttled. Suggested Backoff Time: 3000 milliseconds";
    let begin = "S: * PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] ready\n";
    let asked = "C: e1 LIST \"\" \"\"\nC: e2 COMPRESS DEFLATE\n";
    let list = "S: * LIST (\\Noselect) \"/\" \"\"\nS: e1 OK done\n";
    for script in [
        format!("{asked}S: e1 NO {throttled}\nS: e2 OK now\ncompress\nC: e1 LIST \"\" \"\"\n{list}"),
        format!("{asked}S: e1 NO {throttled}\nS: e2 NO {throttled}\n{asked}{list}S: e2 OK now\ncompress\n"),
    ] {
        let (stream, player) = play(&(begin.to_owned() + &script + LISTED));
        let mut store = connect_over(stream, &tunnel()).await.unwrap();
        assert_eq!(store.profile().compression, "DEFLATE");
        store.mailboxes().await.unwrap();
        finish(store, player).await;
    }
}

/// Octets that come with the OK are deflated already, whatever the pieces; those before it are not.
#[tokio::test]
async fn what_comes_with_the_consent_is_deflated() {
    let bye = deflated("* BYE enough\r\n");
    for (answer, told) in [
        (format!("S> e2 OK now\\r\\n{bye}\n"), "the server closed the connection: enough"),
        (format!("S: * OK before\nS> e2 OK now\\r\\n{}\nS> {}\n", &bye[..8], &bye[8..]), "connection: enough"),
    ] {
        let (stream, player) = play(&(compressed(&answer) + "hang up"));
        let mut store = connect_over(stream, &tunnel()).await.unwrap();
        let error = store.mailboxes().await.unwrap_err();
        assert!(error.text.ends_with(told), "{error}");
        finish(store, player).await;
    }
}

/// `quirks`: compress-that-breaks
#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_when_it_compresses_is_told_with_what_to_do() {
    let stored = |text: &str| deflated(text);
    let nonsense = stored("\u{7}nonsense\r\n");
    let endless = stored(&("* OK ".to_owned() + &"x".repeat(2 << 20)));
    for (what, behind, cause) in [
        ("it goes on as before", "S: * 1 EXISTS\nS: * 2 EXISTS\nhang up".to_owned(), Cause::Protocol),
        ("the answer comes as before", "S: l1 OK done\nhang up".to_owned(), Cause::Protocol),
        ("garbage", "S> \\xff\\xff\\xff\\xff\nhang up".to_owned(), Cause::Protocol),
        ("a header of zlib", "S> \\x78\\x9c\\x00\\x00\\x00\\xff\\xff\nhang up".to_owned(), Cause::Protocol),
        ("it inflates to no IMAP", format!("S> {nonsense}\nhang up"), Cause::Protocol),
        ("it inflates to a line without an end", format!("S> {endless}\nhang up"), Cause::Limit),
        ("it hangs up", "hang up".to_owned(), Cause::ConnectionLost),
        ("it ends what it deflates", "S> \\x03\\x00\nwait".to_owned(), Cause::ConnectionLost),
        ("it says nothing any more", "wait".to_owned(), Cause::TimedOut),
    ] {
        let (stream, player) = play(&(compressed("S: e2 OK now\n") + &behind));
        let mut store = connect_over(stream, &tunnel()).await.unwrap();
        let error = store.mailboxes().await.unwrap_err();
        assert_eq!((error.cause, error.reach), (cause, Reach::Side), "{what}: {error}");
        assert!(error.text.contains("compress = false"), "{what}: {error}");
        drop((store, player));
    }
    // Once it has made sense, it is not compression that is to blame for an end, but for garbage it is.
    for (behind, blamed) in [("hang up", false), ("S> \\xff\\xff\\xff\\xff\nhang up", true)] {
        let answer = format!("S> e2 OK now\\r\\n{}\n{behind}", deflated("* 1 EXISTS\r\n"));
        let (stream, player) = play(&compressed(&answer));
        let mut store = connect_over(stream, &tunnel()).await.unwrap();
        let error = store.mailboxes().await.unwrap_err();
        assert_eq!(error.text.contains("compress = false"), blamed, "{error}");
        drop((store, player));
    }
}

// --------------------------------------------------------------------------------------------------------------- props

/// Begins to play; the client's end of the stream comes back.
fn play(script: &str) -> (DuplexStream, Player) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    (ours, play_on(theirs, script))
}

/// The flight that follows a login.
fn survey(capabilities: &str) -> String {
    match capabilities.contains("NAMESPACE") {
        true => "C: e1 ENABLE QRESYNC\nC: e2 NAMESPACE\nS: * ENABLED QRESYNC\nS: e1 OK done\n\
                 S: * NAMESPACE ((\"\" \"/\")) NIL NIL\nS: e2 OK done\n"
            .to_owned(),
        false => "C: e1 ENABLE QRESYNC\nC: e2 LIST \"\" \"\"\nS: * ENABLED QRESYNC\nS: e1 OK done\n\
                  S: * LIST (\\Noselect) \"/\" \"\"\nS: e2 OK done\n"
            .to_owned(),
    }
}

fn opening(capabilities: &str) -> String {
    format!("S: * PREAUTH [CAPABILITY {NEEDED} {capabilities}] ready\n{}", survey(capabilities))
}

/// A session in which `script` follows.
async fn opened(script: &str) -> (ImapStore, Player) {
    opened_with(USUAL, script).await
}

async fn opened_with(capabilities: &str, script: &str) -> (ImapStore, Player) {
    let (stream, player) = play(&(opening(capabilities) + script));
    (connect_over(stream, &tunnel()).await.unwrap(), player)
}

/// The same without QRESYNC, and with no more than these capabilities.
async fn opened_plainly(capabilities: &str, script: &str) -> (ImapStore, Player) {
    let opening = format!(
        "S: * PREAUTH [CAPABILITY IMAP4rev1 {capabilities}] ready\nC: e1 LIST \"\" \"\"\n\
         S: * LIST (\\Noselect) \"/\" \"\"\nS: e1 OK done\n"
    );
    let (stream, player) = play(&(opening + script));
    (connect_over(stream, &tunnel()).await.unwrap(), player)
}

/// The mailbox x is selected, then `script` follows.
fn select(uid_validity: &str, script: &str) -> String {
    format!(
        "C: s1 SELECT \"x\"\nS: * 1 EXISTS\nS: * OK [UIDVALIDITY {uid_validity}] ok\nS: s1 OK [READ-WRITE] done\n{script}"
    )
}

async fn finish(store: ImapStore, player: Player) {
    drop(store);
    player.finish().await;
}

fn tunnel() -> Endpoint {
    Endpoint {
        link: Link::Tunnel { command: "not run".to_owned(), stderr: TunnelStderr::Discarded },
        login: None,
        timeout: Duration::from_secs(20),
        compression: Compression::Wanted,
        disable_extensions: Vec::new(),
        prefix: None,
        trace: None,
    }
}

fn tcp(protection: Protection) -> Endpoint {
    Endpoint {
        link: Link::Tcp { host: "mail.example.org".to_owned(), port: 143, protection },
        login: Some(login(Arc::default())),
        ..tunnel()
    }
}

struct Password(Arc<AtomicBool>);

impl PasswordSource for Password {
    fn password(&self) -> Result<Zeroizing<String>, String> {
        self.0.store(true, Ordering::SeqCst);
        Ok(Zeroizing::new("sö \"secret".to_owned()))
    }
}

fn login(asked: Arc<AtomicBool>) -> Login {
    let mechanisms = vec![Mechanism::Plain, Mechanism::Login];
    Login { username: "alice".to_owned(), password: Arc::new(Password(asked)), mechanisms }
}

/// The error with which a session is refused, and whether the password was asked for.
async fn refused(script: &str, endpoint: &Endpoint) -> (Error, bool) {
    let asked = Arc::new(AtomicBool::new(false));
    let endpoint = Endpoint { login: Some(login(asked.clone())), ..endpoint.clone() };
    let (stream, player) = play(script);
    let Err(error) = connect_over(stream, &endpoint).await else { panic!("{script}: it was opened") };
    player.finish().await;
    (error, asked.load(Ordering::SeqCst))
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().copied().map(uid).collect()
}

fn scope(text: &str, uid_validity: u32) -> UidScope {
    UidScope { name: name(text), uid_validity: UidValidity::new(uid_validity).unwrap() }
}

fn anew(text: &str) -> Wanted {
    Wanted { name: name(text), since: None }
}

fn since(text: &str, uid_validity: u32, uid_next: u32, modseq: u64) -> Wanted {
    let since = Checkpoint {
        uid_validity: UidValidity::new(uid_validity).unwrap(),
        uid_next: uid(uid_next),
        highest_modseq: ModSeq::new(modseq),
    };
    Wanted { name: name(text), since: Some(since) }
}

fn messages(observation: &Observation) -> String {
    let messages: Vec<String> = observation.messages.iter().map(|(uid, flags)| format!("{uid}:{flags}")).collect();
    messages.join(" ")
}

fn change(add: &str, remove: &str) -> FlagChange {
    FlagChange { add: FlagSet::parse(add), remove: FlagSet::parse(remove) }
}

fn message(octets: &[u8]) -> Message {
    Message {
        uid: Uid::MIN,
        flags: FlagSet::new(),
        internal_date: InternalDate::parse(DATE).unwrap(),
        size: octets.len() as u64,
        form: Form::Text,
        body: Body::Whole(Bytes::copy_from_slice(octets)),
    }
}

fn uid_of(appended: &Appended) -> Uid {
    match appended {
        Appended::At { uid, .. } => *uid,
        other => panic!("{other:?}"),
    }
}

/// What was delivered, one line a message.
async fn fetch(store: &mut ImapStore, scope: &UidScope, uids: &UidSet) -> Result<Vec<String>, Error> {
    let (deliver, mut receiver) = mpsc::channel(1);
    let delivered = async {
        let mut delivered = Vec::new();
        while let Some(fetched) = receiver.recv().await {
            delivered.push(match fetched {
                Fetched::Unreadable { uid, .. } => format!("{uid} unreadable"),
                Fetched::Message(Message { uid, flags, form, body, .. }) => {
                    let mut octets = body.head().to_vec();
                    if let Body::Streamed { mut rest, .. } = body {
                        while let Some(piece) = rest.recv().await {
                            octets.extend_from_slice(&piece);
                        }
                    }
                    format!("{uid} {flags} {form:?} {}", String::from_utf8_lossy(&octets))
                }
            });
        }
        delivered
    };
    let (result, delivered) = tokio::join!(store.fetch(scope, uids, deliver), delivered);
    result.map(|()| delivered)
}
