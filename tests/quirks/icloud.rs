//! iCloud: a proxy that talks between, QRESYNC that is offered and not turned on, SELECT that takes no parameter.

use interimap::store::{Method, Store};

use crate::props::*;

const CAPABILITIES: &str = "XAPPLEPUSHSERVICE IMAP4 ACL QUOTA LITERAL+ NAMESPACE UIDPLUS CHILDREN BINARY UNSELECT SORT ESEARCH ESORT \
     THREAD=REFERENCES CONDSTORE ENABLE CONTEXT=SEARCH CONTEXT=SORT WITHIN SASL-IR SEARCHRES XSENDER X-NETSCAPE \
     XSERVERINFO ID ENABLE QRESYNC IDLE LIST-STATUS";

/// `quirks`: capability-injected, ok-without-enabled.
fn opening() -> String {
    format!(
        "S: * OK [CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN] (2404B45) \
             pv50p00im-hyfv10011601.me.com\n\
         C: c1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\n\
         S: c1 OK [CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 LITERAL+] user alice logged in\n\
         C: c2 CAPABILITY\nS: * CAPABILITY IMAP4rev1 {CAPABILITIES}\nS: c2 OK CAPABILITY completed\n\
         C: e1 ENABLE QRESYNC\nC: e2 NAMESPACE\nC: e3 {ID}\nS: e1 OK ENABLE completed\n\
         S: * NAMESPACE ((\"\" \"/\")) NIL NIL\nS: e2 OK done\nS: * ID (\"vendor\" \"Apple\")\nS: e3 OK done\n"
    )
}

#[tokio::test]
async fn capabilities_are_asked_for_until_they_are_the_servers_own() {
    let (store, player) = opened(&opening()).await;
    let profile = store.profile();
    assert!(profile.capabilities.contains("UIDPLUS"), "{profile:?}");
    assert_eq!(profile.method, Method::Condstore);
    assert_eq!(profile.reason, "the server does not turn QRESYNC on, though it offers it");
    finish(store, player).await;
}

/// Nothing is said of VANISHED, and what is said of it is not believed: a list of what is left tells what is gone.
#[tokio::test]
async fn what_is_gone_is_told_by_what_is_left() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)\n\
           C: a3 UID SEARCH RETURN (ALL) ALL\n"
        + &mailbox(2, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK done\nS: * VANISHED (EARLIER) 1:19\n\
           S: * 1 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (95))\nS: a2 OK done\n\
           S: * ESEARCH (TAG \"a3\") UID ALL 3,9\nS: a3 OK done\n";
    let (mut store, player) = opened(&script).await;
    let seen = look(&mut store, since("INBOX", 7, 20, 90)).await.unwrap();
    assert_eq!(seen, "3:\\Seen vanished 1:2,4:8,10:19");
    finish(store, player).await;
}

/// `quirks`: no-select-parameter. One refusal is enough: nothing is said with a parameter from there on.
#[tokio::test]
async fn s075_a_select_without_parameter_will_do() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)\n\
           C: a3 UID SEARCH RETURN (ALL) ALL\nS: a1 BAD Parse Error (at position 15)\nS: a2 BAD Invalid state\n\
           S: a3 BAD Invalid state\nC: b1 SELECT \"INBOX\"\nC: b2 UID FETCH 1:* (FLAGS)\n"
        + &mailbox(1, 7, 20)
        + "S: b1 OK done\nS: * 1 FETCH (UID 3 FLAGS ())\nS: b2 OK done\n\
           C: d0 UNSELECT\nC: d1 SELECT \"INBOX\"\nC: d2 UID FETCH 1:* (FLAGS)\nS: d0 OK done\n"
        + &mailbox(0, 7, 20)
        + "S: d1 OK done\nS: d2 OK done\n";
    let (mut store, player) = opened(&script).await;
    assert_eq!(look(&mut store, since("INBOX", 7, 20, 90)).await.unwrap(), "3: else gone");
    assert_eq!(store.profile().method, Method::Full);
    assert_eq!(look(&mut store, since("INBOX", 7, 20, 90)).await.unwrap(), " else gone");
    finish(store, player).await;
}

/// `quirks`: no-select-parameter. Mailboxes that were asked about together are asked again together.
#[tokio::test]
async fn all_that_were_asked_with_a_parameter_are_asked_without() {
    let asked = |tag: &str, mailbox: &str, parameter: &str| {
        format!("C: {tag}1 SELECT \"{mailbox}\"{parameter}\nC: {tag}2 UID FETCH 1:* (FLAGS)\n")
    };
    let refused = |tag: &str| format!("S: {tag}1 BAD Parse Error (at position 15)\nS: {tag}2 BAD Invalid state\n");
    let seen = |tag: &str, uid_validity: u32| {
        mailbox(1, uid_validity, 20) + &format!("S: {tag}1 OK done\nS: * 1 FETCH (UID 3 FLAGS ())\nS: {tag}2 OK done\n")
    };
    let script = opening()
        + &asked("a", "x", " (CONDSTORE)")
        + "C: b0 UNSELECT\n"
        + &asked("b", "y", " (CONDSTORE)")
        + &refused("a")
        + "S: b0 OK done\n"
        + &refused("b")
        + &asked("d", "x", "")
        + "C: e0 UNSELECT\n"
        + &asked("e", "y", "")
        + &seen("d", 7)
        + "S: e0 OK done\n"
        + &seen("e", 8);
    let (mut store, player) = opened(&script).await;
    for looked in store.observe(&[anew("x"), anew("y")]).await.unwrap() {
        assert_eq!(looked.map(|seen| shown(&seen)), Ok("3: else gone".to_owned()));
    }
    finish(store, player).await;
}

/// `quirks`: esearch-in-part. Messages that were found and not named are not gone.
#[tokio::test]
async fn a_search_that_names_nothing_proves_nothing() {
    let looked = "C: a1 SELECT \"INBOX\" (CONDSTORE)\nC: a2 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)\n\
         C: a3 UID SEARCH RETURN (ALL) ALL\n"
        .to_owned()
        + &mailbox(2, 7, 20)
        + "S: * OK [HIGHESTMODSEQ 95] ok\nS: a1 OK done\nS: a2 OK done\n";
    let script = opening() + &looked + "S: * ESEARCH (TAG \"a3\") UID COUNT 2\nS: a3 OK done\n";
    let (mut store, player) = opened(&script).await;
    let error = look(&mut store, since("INBOX", 7, 20, 90)).await.unwrap_err();
    assert!(error.text.contains("as many UIDs as were found"), "{error}");
    finish(store, player).await;
}

/// `quirks`: rfc822-gives-nothing. Only BODY.PEEK[] gives octets there.
#[tokio::test]
async fn messages_are_asked_for_in_the_one_way_that_works() {
    let script = opening()
        + "C: a1 SELECT \"INBOX\"\n"
        + &mailbox(1, 7, 20)
        + &format!("S: a1 OK done\nC: a2 UID FETCH 3 {ITEMS}\n{}S: a2 OK done\n", delivered(3, "Subject: x"));
    let (mut store, player) = opened(&script).await;
    assert_eq!(fetch(&mut store, &scope("INBOX", 7), &uids(&[3])).await.unwrap(), ["3 \\Seen Subject: x"]);
    finish(store, player).await;
}
