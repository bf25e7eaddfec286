//! What a client may say to a server, given what the server announces. Servers often obey what they do not announce, so
//! that only this tells whether the program asks.

use std::collections::BTreeSet;

/// Which commands need something.
enum Form {
    /// Those that begin so.
    Begins(&'static str),
    /// Those in which this stands outside of quotes.
    Holds(&'static str),
    /// Those that begin with the first and hold the second.
    Both(&'static str, &'static str),
}

use Form::{Begins, Both, Holds};

/// What may only be said where one of these is announced.
const NEEDS: &[(&[&str], &[Form])] = &[
    (&["ENABLE"], &[Begins("ENABLE ")]),
    (&["QRESYNC"], &[Holds("QRESYNC"), Holds("VANISHED")]),
    // Who announces QRESYNC has CONDSTORE too (RFC 7162 §3.2).
    (&["CONDSTORE", "QRESYNC"], &[Holds("CONDSTORE"), Holds("CHANGEDSINCE"), Holds("UNCHANGEDSINCE"), Holds("MODSEQ")]),
    (&["UIDPLUS"], &[Begins("UID EXPUNGE")]),
    (&["LITERAL+", "LITERAL-"], &[Holds("+}")]),
    (&["LIST-EXTENDED"], &[Begins("LIST ("), Both("LIST", "RETURN (")]),
    (&["LIST-STATUS"], &[Both("LIST", "STATUS (")]),
    (&["SPECIAL-USE"], &[Both("LIST", "SPECIAL-USE")]),
    (&["CREATE-SPECIAL-USE"], &[Both("CREATE", "(USE")]),
    (&["ESEARCH"], &[Begins("UID SEARCH RETURN"), Begins("SEARCH RETURN")]),
    (&["MOVE"], &[Begins("UID MOVE"), Begins("MOVE ")]),
    (&["UNSELECT"], &[Begins("UNSELECT")]),
    (&["ID"], &[Begins("ID ")]),
    (&["NAMESPACE"], &[Begins("NAMESPACE")]),
    (&["IDLE"], &[Begins("IDLE")]),
    (&["NOTIFY"], &[Begins("NOTIFY")]),
    (&["COMPRESS=DEFLATE"], &[Begins("COMPRESS")]),
    (&["BINARY"], &[Holds("~{"), Holds("BINARY")]),
    (&["OBJECTID"], &[Holds("MAILBOXID"), Holds("EMAILID"), Holds("THREADID")]),
    (&["STATUS=SIZE"], &[Both("STATUS", "SIZE"), Both("LIST", "SIZE")]),
    // A third word is the response that only comes at once with it (RFC 4959).
    (&["SASL-IR"], &[Both("AUTHENTICATE PLAIN", " PLAIN ")]),
];

/// Why this command, without tag and literals, must not be said to a server that announces these.
pub(crate) fn offence(command: &str, announced: &BTreeSet<String>) -> Option<String> {
    let has = |capabilities: &[&str]| capabilities.iter().any(|capability| announced.contains(*capability));
    let plain = without_quotes(command);
    let is_of = |form: &Form| match form {
        Begins(start) => plain.starts_with(start),
        Holds(text) => plain.contains(text),
        Both(start, text) => plain.starts_with(start) && plain.contains(text),
    };
    for (capabilities, forms) in NEEDS {
        if !has(capabilities) && forms.iter().any(is_of) {
            return Some(format!("needs {}", capabilities.join(" or ")));
        }
    }
    // The name of the mailbox may be a literal too.
    let messages = plain.matches('{').count() - usize::from(plain.starts_with("APPEND {"));
    if plain.starts_with("APPEND ") && messages > 1 && !has(&["MULTIAPPEND"]) {
        return Some("needs MULTIAPPEND".to_owned());
    }
    // Both would destroy what another user has marked as deleted; without UIDPLUS there is nothing else than the first.
    let is_greedy = (plain == "EXPUNGE" && has(&["UIDPLUS"])) || plain == "CLOSE";
    // Servers may refuse longer lines (RFC 7162 §4).
    let is_long = command.len() > 8_192;
    let says_recent = plain.contains("\\RECENT");
    (is_greedy || is_long || says_recent).then(|| "is never to be said".to_owned())
}

/// A command in capitals, with nothing left in its quoted strings.
fn without_quotes(command: &str) -> String {
    let mut plain = String::new();
    let mut is_quoted = false;
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => drop(characters.next()),
            _ if !is_quoted => plain.push(c.to_ascii_uppercase()),
            _ => {}
        }
    }
    plain
}

#[test]
fn what_needs_a_capability_is_told_from_what_does_not() {
    let bare = BTreeSet::from(["IMAP4REV1".to_owned()]);
    for command in [
        "ENABLE QRESYNC",
        "SELECT box (QRESYNC (1 2))",
        "SELECT box (condstore)",
        "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 7)",
        "UID STORE 1 (UNCHANGEDSINCE 7) +FLAGS (x)",
        "STATUS box (MESSAGES HIGHESTMODSEQ)",
        "STATUS box (MESSAGES MAILBOXID)",
        "UID EXPUNGE 3",
        "APPEND box () {3+}",
        "APPEND box () {3} () {4}",
        "APPEND {3} () {3} () {4}",
        "APPEND box () ~{3}",
        "LIST \"\" * RETURN (SUBSCRIBED)",
        "LIST (SUBSCRIBED) \"\" *",
        "UID SEARCH RETURN (ALL) ALL",
        "UID MOVE 3 box",
        "UNSELECT",
        "ID NIL",
        "NAMESPACE",
        "AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==",
        "CLOSE",
    ] {
        assert!(offence(command, &bare).is_some(), "{command}");
    }
    for command in [
        "EXPUNGE",
        "AUTHENTICATE PLAIN",
        "SELECT \"about (QRESYNC and \\\" ENABLE\"",
        "APPEND {3} (\\Seen) {3}",
        "APPEND \"NAMESPACE {\" {3}",
        "LIST \"\" *",
        "LSUB \"\" *",
        "UID SEARCH UID 1:*",
        "UID STORE 1 +FLAGS (\\Deleted)",
        "STATUS box (MESSAGES UIDNEXT UIDVALIDITY)",
    ] {
        assert_eq!(offence(command, &bare), None, "{command}");
    }
    let all = ["IMAP4REV1", "UIDPLUS", "QRESYNC", "ENABLE"].map(str::to_owned).into();
    assert_eq!(offence("UID FETCH 1 (FLAGS) (CHANGEDSINCE 7 VANISHED)", &all), None);
    assert!(offence("EXPUNGE", &all).is_some());
}
