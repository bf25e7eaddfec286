//! What each kind of response means, as tables: the good, the odd that servers send, the hostile that they may.

mod quirks;

use proptest::prelude::*;

use super::*;
use crate::mail::{FlagSet, InternalDate, MailboxId, ModSeq, NewKeywords, PermanentFlags, Uid, UidSet, UidValidity};
use crate::store::imap::frame::{Event, Framer, Passed};
use crate::store::imap::response::{Code, List, LiteralKind, MailboxStatusItems, Namespace, Namespaces, Vanished};

fn read(octets: impl AsRef<[u8]>) -> Result<Response, ParseError> {
    parse(&Frame { octets: Bytes::copy_from_slice(octets.as_ref()), passed: None })
}

fn holds(rows: impl IntoIterator<Item = (impl AsRef<[u8]>, Response)>) {
    for (line, expected) in rows {
        assert_eq!(read(&line), Ok(expected), "{}", line.as_ref().escape_ascii());
    }
}

fn fails(rows: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    for line in rows {
        let found = read(&line);
        assert!(found.is_err(), "{}: {found:?}", line.as_ref().escape_ascii());
    }
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn uids(numbers: &[u32]) -> Vec<Uid> {
    numbers.iter().copied().map(uid).collect()
}

fn set(ranges: &[(u32, u32)]) -> UidSet {
    let mut set = UidSet::new();
    ranges.iter().for_each(|(from, to)| set.insert_range(uid(*from)..=uid(*to)));
    set
}

fn uid_validity(number: u32) -> UidValidity {
    UidValidity::new(number).unwrap()
}

fn flags(text: &str) -> FlagSet {
    FlagSet::parse(text)
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(str::to_owned).collect()
}

fn ok(code: Option<Code>, text: &str) -> Response {
    Response::Untagged { status: UntaggedStatus::Ok, code, text: text.to_owned() }
}

fn tagged(tag: &str, status: Status, code: Option<Code>, text: &str) -> Response {
    Response::Tagged { tag: tag.to_owned(), status, code, text: text.to_owned() }
}

fn other(name: &str, rest: &str) -> Option<Code> {
    Some(Code::Other(name.to_owned(), rest.to_owned()))
}

fn fetch(number: u32, with: impl FnOnce(&mut Fetch)) -> Response {
    let mut fetch = Fetch { number, ..Fetch::default() };
    with(&mut fetch);
    Response::Fetch(fetch)
}

fn list(attributes: &[&str], delimiter: Option<char>, name: &[u8], old_name: Option<&[u8]>) -> Response {
    Response::List(List {
        attributes: strings(attributes),
        delimiter,
        name: Bytes::copy_from_slice(name),
        old_name: old_name.map(Bytes::copy_from_slice),
    })
}

/// A session with Dovecot 2.3.19, from PREAUTH to BYE, with QRESYNC and every command that we use. Mailboxes and messages
/// bear names and lines that look like responses.
pub(super) const DOVECOT: &[u8] = include_bytes!("sessions/dovecot-2.3.19");

pub(super) fn frames(session: &[u8]) -> Vec<Frame> {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for part in session.chunks(1000) {
        framer.space()[..part.len()].copy_from_slice(part);
        framer.filled(part.len());
        while let Some(event) = framer.next().unwrap() {
            match event {
                Event::Frame(frame) => frames.push(frame),
                event => panic!("nothing passes by here: {event:?}"),
            }
        }
    }
    assert!(framer.is_idle());
    frames
}

#[test]
fn a_session_with_dovecot_is_understood() {
    let responses: Vec<Response> = frames(DOVECOT).iter().map(|frame| parse(frame).unwrap()).collect();
    let mut tags = 0;
    for response in &responses {
        match response {
            Response::Tagged { tag, .. } => {
                tags += 1;
                assert_eq!(*tag, format!("a{tags}"));
            }
            Response::Other(keyword) => panic!("{keyword}"),
            _ => {}
        }
    }
    assert_eq!((tags, responses.len()), (39, 126));
    let vanished = |when, range| Response::Vanished { when, uids: set(&[range]) };
    let name = |name: &'static str| Bytes::from_static(name.as_bytes());
    for expected in [
        vanished(Vanished::Now, (3, 3)),
        Response::Vanished { when: Vanished::Earlier, uids: set(&[(1, 1), (3, 3)]) },
        Response::Enabled(strings(&["QRESYNC"])),
        Response::Namespace(Namespaces {
            personal: Some(Namespace { prefix: Bytes::new(), delimiter: Some('/') }),
            ..Namespaces::default()
        }),
        Response::ESearch { tag: Some("a25".to_owned()), all: set(&[(1, 5)]) },
        list(&["hasnochildren"], Some('/'), b"a \"q\" b", None),
        list(&["hasnochildren"], Some('/'), b"a{5}", None),
        ok(Some(Code::Closed), "Previous mailbox closed."),
    ] {
        assert!(responses.contains(&expected), "{expected:?}");
    }
    assert!(responses.iter().any(|response| matches!(response, Response::Status(items) if items.name == name("a{5}"))));
}

#[test]
fn conditions() {
    let untagged = |status, text: &str| Response::Untagged { status, code: None, text: text.to_owned() };
    holds([
        (&b"* OK Dovecot ready."[..], ok(None, "Dovecot ready.")),
        (b"* PREAUTH hi", untagged(UntaggedStatus::PreAuth, "hi")),
        (b"* BYE", untagged(UntaggedStatus::Bye, "")),
        (b"* no  two  blanks", untagged(UntaggedStatus::No, "two  blanks")),
        (b"*  BAD x", untagged(UntaggedStatus::Bad, "x")),
        (b"A1 OK", tagged("A1", Status::Ok, None, "")),
        (b"a.7 no gone: a{5}", tagged("a.7", Status::No, None, "gone: a{5}")),
        (b"A1 BAD [ALERT] x", tagged("A1", Status::Bad, other("ALERT", ""), "x")),
        (b"* OK [ALERT]\xc3\xbc", ok(other("ALERT", ""), "ü")),
        (b"* OK [ALERT]", ok(other("ALERT", ""), "")),
        (b"* OK [ not a code", ok(None, "[ not a code")),
        (b"* OK [] x", ok(None, "[] x")),
        (b"* OK [[a] x", ok(None, "[[a] x")),
        (b"* OK [UIDNEXT 5", ok(None, "[UIDNEXT 5")),
        (b"* OK \x1b]8;;x\x07\r\x9b\xe2\x80\xae", ok(None, "\\x1b]8;;x\\x07\\x0d\u{fffd}\\u{202e}")),
    ]);
    fails([
        &b""[..],
        b" ",
        b"*",
        b"* ",
        b"*OK",
        b"A1",
        b"A1 ",
        b"A1 OKAY",
        b"A1 PREAUTH x",
        b"A1 BYE x",
        b"A1 FETCH (FLAGS ())",
        b"A\xff OK",
        b"A{1} OK",
        b"\0 OK",
        b"** OK",
        b"\"A1\" OK",
    ]);
}

#[test]
fn continuations() {
    let go_on = |text: &'static [u8]| Response::Continue(Bytes::from_static(text));
    holds([
        (&b"+ idling"[..], go_on(b"idling")),
        (b"+", go_on(b"")),
        (b"+ ", go_on(b"")),
        (b"+  x ", go_on(b" x ")),
        (b"+idling", go_on(b"idling")),
        (b"+ \0\xff", go_on(b"\0\xff")),
    ]);
}

#[test]
fn codes() {
    let highest = |number| Some(Code::HighestModSeq(ModSeq::new(number)));
    let permanent =
        |text, new_keywords| Some(Code::PermanentFlags(PermanentFlags { listed: flags(text), new_keywords }));
    let copied = |from: &[u32], to: &[u32]| Some(Code::CopyUid(uid_validity(7), uids(from), uids(to)));
    for (code, expected) in [
        (&b"UIDVALIDITY 4294967295"[..], Some(Code::UidValidity(uid_validity(u32::MAX)))),
        (b"uidvalidity  3 ", Some(Code::UidValidity(uid_validity(3)))),
        (b"UIDNEXT 1", Some(Code::UidNext(uid(1)))),
        (b"HIGHESTMODSEQ 0", highest(0)),
        (b"HIGHESTMODSEQ 9223372036854775807", highest(ModSeq::MAX)),
        (b"NOMODSEQ", Some(Code::NoModSeq)),
        (b"CLOSED", Some(Code::Closed)),
        (b"READ-ONLY", Some(Code::ReadOnly)),
        (b"READ-WRITE and more", Some(Code::ReadWrite)),
        (b"UIDNOTSTICKY", Some(Code::UidNotSticky)),
        (b"MODIFIED 7,9:8", Some(Code::Modified(set(&[(7, 9)])))),
        (b"CAPABILITY imap4rev2 auth=plain \xff ", Some(Code::Capability(strings(&["IMAP4REV2", "AUTH=PLAIN"])))),
        (b"CAPABILITY", Some(Code::Capability(vec![]))),
        (b"PERMANENTFLAGS (\\Seen \\* $x)", permanent("\\Seen $x", NewKeywords::Taken)),
        (b"PERMANENTFLAGS ()", permanent("", NewKeywords::Refused)),
        (b"PERMANENTFLAGS (\\Draft h\xe9 \"q\" (n) \\Recent)", permanent("\\Draft", NewKeywords::Refused)),
        (b"APPENDUID 7 5", Some(Code::AppendUid(uid_validity(7), uids(&[5])))),
        (b"APPENDUID 7 12:10,3", Some(Code::AppendUid(uid_validity(7), uids(&[10, 11, 12, 3])))),
        (b"COPYUID 7 304,319:320 3956:3958", copied(&[304, 319, 320], &[3956, 3957, 3958])),
        (b"COPYUID 7 1:2 9,4", copied(&[1, 2], &[9, 4])),
        (b"MAILBOXID (F2212ea87-6097)", Some(Code::MailboxId(MailboxId::new("F2212ea87-6097")))),
        (b"MAILBOXID (a\xffb c)", Some(Code::MailboxId(None))),
        (b"MAILBOXID", Some(Code::MailboxId(None))),
        (b"unseen 0", other("UNSEEN", "0")),
        (b"TRYCREATE", other("TRYCREATE", "")),
        (b"BADCHARSET (\"x\")", other("BADCHARSET", "(\"x\")")),
        (b"X\xff\x1b a\x07", other("X\u{fffd}\\x1b", "a\\x07")),
    ] {
        let line = [b"A1 OK [", code, b"] done"].concat();
        let name = code.escape_ascii();
        match read(&line) {
            Ok(Response::Tagged { code, text, .. }) => assert_eq!((code, text.as_str()), (expected, "done"), "{name}"),
            found => panic!("{name}: {found:?}"),
        }
    }
    for code in [
        "UIDVALIDITY",
        "UIDVALIDITY 4294967296",
        "UIDVALIDITY -1",
        "UIDVALIDITY 1 2",
        "UIDVALIDITY 99999999999999999999",
        "UIDNEXT x",
        "HIGHESTMODSEQ ()",
        "HIGHESTMODSEQ",
        "MODIFIED",
        "MODIFIED *",
    ] {
        fails([format!("A1 OK [{code}] done"), format!("* OK [{code}]")]);
    }
}

#[test]
fn sets_of_uids() {
    for (text, ranges) in [
        ("1", &[(1, 1)][..]),
        ("5:3", &[(3, 5)]),
        ("1:4294967295", &[(1, u32::MAX)]),
        ("7,7,3:9,4:5", &[(3, 9)]),
        ("4294967295,1", &[(1, 1), (u32::MAX, u32::MAX)]),
        ("0001:02", &[(1, 2)]),
    ] {
        let vanished = Response::Vanished { when: Vanished::Now, uids: set(ranges) };
        holds([(format!("* VANISHED {text}"), vanished)]);
    }
    for text in [
        "",
        "0",
        "*",
        "1:*",
        "*:1",
        "1,",
        ",1",
        "1,,2",
        "1::2",
        "1:",
        ":1",
        "1:2:3",
        "5:0",
        "0:0",
        "0:5:7",
        "0:3:3",
        "-1",
        "+1",
        "1-2",
        "4294967296",
        "1:4294967296",
        "99999999999999999999",
        "18446744073709551617",
        "1 2",
        "(1)",
        "\"1\"",
        "1,a",
        "1.",
        "NIL",
        "{1}",
    ] {
        fails([
            format!("* VANISHED {text}"),
            format!("* VANISHED (EARLIER) {text}"),
            format!("* ESEARCH UID ALL {text}"),
            format!("A1 OK [MODIFIED {text}]"),
        ]);
        for name in ["APPENDUID", "COPYUID"] {
            let Ok(Response::Tagged { code, .. }) = read(format!("A1 OK [{name} 1 {text} {text}]")) else {
                panic!("{name} {text}")
            };
            assert!(matches!(code, Some(Code::Other(..)) | None), "{text}: {code:?}");
        }
    }
}

#[test]
fn vanished() {
    holds([
        (
            "* VANISHED (EARLIER) 41,43:116",
            Response::Vanished { when: Vanished::Earlier, uids: set(&[(41, 41), (43, 116)]) },
        ),
        ("* vanished (earlier) 300:290 ", Response::Vanished { when: Vanished::Earlier, uids: set(&[(290, 300)]) }),
    ]);
    fails(["* VANISHED", "* VANISHED (LATER) 1", "* VANISHED (EARLIER)", "* VANISHED (EARLIER 1", "* VANISHED () 1"]);
}

#[test]
fn a_flood_of_ranges_is_read_in_one_pass() {
    let text = (1..1_000_000u32).rev().map(|n| (n * 3).to_string()).collect::<Vec<_>>().join(",");
    let Ok(Response::Vanished { uids, .. }) = read(format!("* VANISHED {text}")) else { panic!("not read") };
    assert_eq!((uids.len(), uids.first(), uids.last()), (999_999, Uid::new(3), Uid::new(2_999_997)));
}

#[test]
fn searches() {
    let found =
        |tag: Option<&str>, ranges: &[(u32, u32)]| Response::ESearch { tag: tag.map(str::to_owned), all: set(ranges) };
    holds([
        ("* SEARCH", Response::Search(set(&[]))),
        ("* SEARCH ", Response::Search(set(&[]))),
        ("* SEARCH 2 84 882 ", Response::Search(set(&[(2, 2), (84, 84), (882, 882)]))),
        ("* SEARCH 2 1 (MODSEQ 917162500)", Response::Search(set(&[(1, 2)]))),
        ("* search (modseq 0)", Response::Search(set(&[]))),
        ("* ESEARCH", found(None, &[])),
        ("* ESEARCH (TAG \"A282\") UID ALL 1:3,7", found(Some("A282"), &[(1, 3), (7, 7)])),
        ("* ESEARCH (TAG A282) UID", found(Some("A282"), &[])),
        ("* ESEARCH (TAG {2}\r\nA1) UID MIN 2 COUNT 1 ALL 2 MODSEQ 9", found(Some("A1"), &[(2, 2)])),
        (
            "* ESEARCH (TAG \"a\" MAILBOX \"x)\" UIDVALIDITY 1) UID PARTIAL (-1:-9 1:5) ALL 5",
            found(Some("a"), &[(5, 5)]),
        ),
        ("* esearch uid all 9:4", found(None, &[(4, 9)])),
    ]);
    fails([
        "* SEARCH 0",
        "* SEARCH 1 0",
        "* SEARCH 4294967296",
        "* SEARCH 1,2",
        "* SEARCH NIL",
        "* SEARCH (MODSEQ)",
        "* SEARCH (MODSEQ x)",
        "* SEARCH (X 5)",
        "* SEARCH (MODSEQ 5) 7",
        "* SEARCH (MODSEQ 5",
        "* ESEARCH (TAG \"a\") ALL 1:3",
        "* ESEARCH UID ALL",
        "* ESEARCH UID ALL 1 ALL 2",
        "* ESEARCH (TAG",
        "* ESEARCH (TAG)",
        "* ESEARCH UID MIN",
    ]);
    fails([b"* ESEARCH (TAG \"\xff\") UID"]);
}

#[test]
fn counts() {
    holds([
        ("* 0 EXISTS", Response::Exists(0)),
        ("* 4294967295 exists ", Response::Exists(u32::MAX)),
        ("* 23 RECENT", Response::Recent(23)),
        ("* 44 EXPUNGE", Response::Expunge(44)),
        ("* 5 FOO bar", Response::Other("FOO".to_owned())),
    ]);
    fails([
        "* 0 EXPUNGE",
        "* 4294967296 EXISTS",
        "* 99999999999999999999 EXISTS",
        "* 5 EXISTS 6",
        "* 5",
        "* 5EXISTS",
        "* 5 ",
    ]);
}

#[test]
fn flags_of_messages() {
    for (text, expected) in [
        ("()", ""),
        ("(\\Seen)", "\\Seen"),
        ("( \\seen  $Forwarded )", "\\Seen $Forwarded"),
        ("(\\Recent \\SEEN \\rECENT)", "\\Seen"),
        ("(\\Important NonJunk NIL a.b[c)", "\\Important NonJunk NIL a.b[c"),
    ] {
        holds([(format!("* 1 FETCH (FLAGS {text})"), fetch(1, |fetch| fetch.flags = Some(flags(expected))))]);
    }
    for text in [
        "NIL",
        "",
        "(",
        "(\\Seen",
        "\\Seen",
        "(\\)",
        "(a\"b)",
        "(\"a\")",
        "({1}\r\na)",
        "(a{1})",
        "((a))",
        "(a%b)",
        "(a\tb)",
        "(\\Seen \\)",
    ] {
        fails([format!("* 1 FETCH (FLAGS {text})")]);
    }
    fails([b"* 1 FETCH (UID 1 FLAGS (\\Seen M\xfcll))", b"* 1 FETCH (UID 1 FLAGS (\\Seen M\0ll))"]);
    let many =
        |count: usize| format!("* 1 FETCH (FLAGS ({}))", (0..count).map(|n| format!("k{n} ")).collect::<String>());
    assert!(read(many(4096)).is_ok());
    fails([many(4097)]);
    holds([
        ("* FLAGS (\\Answered \\Seen \\Recent $x)", Response::Flags(flags("\\Answered \\Seen $x"))),
        ("* FLAGS ()", Response::Flags(flags(""))),
    ]);
}

#[test]
fn fetches() {
    let bytes = |octets: &'static [u8]| Some(Bytes::from_static(octets));
    let body = |octets: &'static [u8]| fetch(1, |f| f.body = Some(BodyItem::Octets(Bytes::from_static(octets))));
    let date = InternalDate::parse("17-Jul-1996 02:44:25 -0700");
    holds([
        (&b"* 1 FETCH ()"[..], fetch(1, |_| {})),
        (
            b"* 12 FETCH (UID 4294967295 MODSEQ (624140003) FLAGS (\\Seen) RFC822.SIZE 44827 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")",
            fetch(12, |f| {
                f.uid = Some(Uid::MAX);
                f.modseq = ModSeq::new(624_140_003);
                f.flags = Some(flags("\\Seen"));
                f.size = Some(44827);
                f.internal_date = date;
            }),
        ),
        (b"* 1 fetch ( uid 3  flags ( ) modseq ( 5 ) ) ", fetch(1, |f| {
            f.uid = Some(uid(3));
            f.flags = Some(flags(""));
            f.modseq = ModSeq::new(5);
        })),
        (b"* 1 FETCH (RFC822.SIZE 9223372036854775807)", fetch(1, |f| f.size = Some(i64::MAX as u64))),
        (b"* 1 FETCH (INTERNALDATE {26}\r\n17-Jul-1996 02:44:25 -0700)", fetch(1, |f| f.internal_date = date)),
        (b"* 1 FETCH (UID 3 UID 3 FLAGS (a) FLAGS (A))", fetch(1, |f| {
            f.uid = Some(uid(3));
            f.flags = Some(flags("a"));
        })),
        (b"* 1 FETCH (BODY[] NIL)", fetch(1, |f| f.body = Some(BodyItem::Nil))),
        (b"* 1 FETCH (BODY[] \"\")", body(b"")),
        (b"* 1 FETCH (BODY[] {0}\r\n)", body(b"")),
        (b"* 1 FETCH (body[] {5}\r\n)\r\n\"\\)", body(b")\r\n\"\\")),
        (b"* 1 FETCH (BODY[] ~{3+}\na\0b)", body(b"a\0b")),
        (b"* 1 FETCH (BODY[] \"a \\\"\\\\ b\xff\")", body(b"a \"\\ b\xff")),
        (b"* 1 FETCH (BODY[HEADER] \"x\")", fetch(1, |f| f.header = bytes(b"x"))),
        (b"* 1 FETCH (BODY[HEADER.FIELDS (Date \"To]\" {2}\r\n]))] {2}\r\n\r\n UID 1)", fetch(1, |f| {
            f.header = bytes(b"\r\n");
            f.uid = Some(uid(1));
        })),
        (b"* 1 FETCH (body[header.fields (date)] {2}\r\nab BODY[] {1}\r\nc)", fetch(1, |f| {
            f.header = bytes(b"ab");
            f.body = Some(BodyItem::Octets(Bytes::from_static(b"c")));
        })),
    ]);
    // Items that we do not know are passed over by structure, and never read for what they look like.
    for item in [
        "EMAILID (M6d99ac3275bb4e)",
        "THREADID NIL",
        "X-GM-LABELS (\\Inbox \"a)b\" {25}\r\n) UID 99 FLAGS (\\Deleted)  )",
        "X-GM-MSGID 1278455344230334865",
        "SNIPPET (FUZZY \"UID 99)\")",
        "PREVIEW {7}\r\nUID 99)",
        "SAVEDATE \"17-Jul-1996 02:44:25 -0700\"",
        "ANNOTATION (/comment (value.priv \"My )comment\"))",
        "BODYSTRUCTURE ((\"text\" \"plain\" (\"a\" \"b\")(\"c\") NIL)()\"mixed\")",
        "BODY (\"text\" \"plain\" NIL)",
        "BODY[1.2.HEADER.FIELDS (\"]\")]<0> \"UID 99\"",
        "BODY[HEADER.FIELDS.NOT (Date)] \"x\"",
        "BODY[TEXT] NIL",
        "BINARY[] ~{6}\r\nUID 99",
        "BINARY.SIZE[1] 5",
        "RFC822 \"UID 99\"",
        "UIDX 99",
        "ENVELOPE (((((((((((((((((((((((((((((((())))))))))))))))))))))))))))))))",
    ] {
        let expected = fetch(1, |f| {
            f.uid = Some(uid(4));
            f.size = Some(7);
        });
        holds([(format!("* 1 FETCH (UID 4 {item} RFC822.SIZE 7)"), expected)]);
    }
}

#[test]
fn a_known_item_of_unexpected_form_is_an_error() {
    for items in [
        "UID 0",
        "UID -1",
        "UID 4294967296",
        "UID 99999999999999999999",
        "UID NIL",
        "UID \"5\"",
        "UID (5)",
        "UID",
        "UID ",
        "UID 3 UID 4",
        "UID 5FLAGS ()",
        "UID\t5",
        "FLAGS (a) FLAGS (b)",
        "FLAGS () FLAGS (a)",
        "MODSEQ 5",
        "MODSEQ ()",
        "MODSEQ NIL",
        "MODSEQ (5 6)",
        "MODSEQ (5",
        "MODSEQ (5) MODSEQ (6)",
        "INTERNALDATE NIL",
        "INTERNALDATE 5",
        "INTERNALDATE \"\"",
        "INTERNALDATE \"17-Jul-1996\"",
        "INTERNALDATE \"99-Jul-1996 02:44:25 -0700\"",
        "INTERNALDATE (\"17-Jul-1996 02:44:25 -0700\")",
        "RFC822.SIZE \"5\"",
        "RFC822.SIZE 1 RFC822.SIZE 2",
        "BODY[] 5",
        "BODY[] (\"x\")",
        "BODY[]\"x\"",
        "BODY[] \"x",
        "BODY[] \"\\x\"",
        "BODY[] \"a\0b\"",
        "BODY[] \"a\rb\"",
        "BODY[] \"a\" BODY[] \"b\"",
        "BODY[] NIL BODY[] \"b\"",
        "BODY[]<0> \"x\"",
        "BODY[]<0.5> NIL",
        "BODY[] {5}\r\nabc",
        "BODY[] {5}abcde",
        "BODY[] {5}\rabcde",
        "BODY[] {18446744073709551615}\r\nab",
        "BODY[] {18446744073709551616}\r\nab",
        "BODY[] {-1}\r\n",
        "BODY[] {}\r\n",
        "BODY[] ~\"x\"",
        "BODY[",
        "BODY[HEADER",
        "BODY[HEADER NIL",
        "BODY[HEADER] NIL",
        "BODY[HEADER] 5",
        "BODY[HEADER]<0> \"x\"",
        "BODY[HEADER] \"a\" BODY[HEADER] \"b\"",
        "BODY[HEADER.FIELDS (a] \"x\"",
        "X (",
        "X )",
        "X \"",
        "X {2}\r\na",
        "X",
        "(UID 5)",
        "\"UID\" 5",
        "{3}\r\nUID 5",
    ] {
        fails([format!("* 1 FETCH ({items})"), format!("* 1 FETCH (FLAGS (\\Seen) {items})")]);
    }
    fails([
        "* 1 FETCH",
        "* 1 FETCH ",
        "* 1 FETCH UID 5",
        "* 1 FETCH NIL",
        "* 1 FETCH (UID 5",
        "* 1 FETCH (UID 5))",
        "* 1 FETCH (UID 5) x",
    ]);
}

#[test]
fn depth_costs_no_stack() {
    for depth in [33, 400, 100_000] {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        fails([
            format!("* 1 FETCH (BODYSTRUCTURE {open}{close})"),
            format!("* 1 FETCH (BODYSTRUCTURE {open}"),
            format!("* LIST () NIL a (X {open}{close})"),
            format!("* STATUS a (X {open}{close})"),
            format!("* NAMESPACE NIL NIL {open}{close}"),
            format!("* ESEARCH UID X {open}{close}"),
        ]);
    }
}

#[test]
fn a_body_that_passed_by_is_known_by_its_place() {
    let head = b"* 7 FETCH (UID 3 FLAGS (\\Seen) BODY[HEADER] {2}\r\n\r\n BODY[] ";
    let expected = Fetch {
        number: 7,
        uid: Some(uid(3)),
        flags: Some(flags("\\Seen")),
        header: Some(Bytes::from_static(b"\r\n")),
        ..Fetch::default()
    };
    assert_eq!(parse_head(head), Ok(expected.clone()));
    let skeleton = [&head[..], b"~{300000}\r\n MODSEQ (5))"].concat();
    let passed = Passed { at: head.len() + 11, size: 300_000, literal: LiteralKind::Binary };
    let whole = Fetch {
        modseq: ModSeq::new(5),
        body: Some(BodyItem::PassedBy { size: 300_000, literal: LiteralKind::Binary }),
        ..expected
    };
    let parsed = |at, size| {
        parse(&Frame { octets: Bytes::copy_from_slice(&skeleton), passed: Some(Passed { at, size, ..passed }) })
    };
    assert_eq!(parsed(passed.at, 300_000), Ok(Response::Fetch(whole)));
    assert!(parsed(passed.at, 300_001).is_err());
    assert!(parsed(passed.at + 1, 300_000).is_err());
    for skeleton in
        ["* 7 FETCH (X (BODY[] {9}\r\n))", "* 7 FETCH (X {9}\r\n)", "* 7 FETCH (UID 3)\r\n\r\n", "* OK 78901234567890"]
    {
        let at = skeleton.find('\n').map_or(15, |at| at + 1);
        let passed = Some(Passed { at, size: 9, ..passed });
        assert!(parse(&Frame { octets: Bytes::from(skeleton), passed }).is_err(), "{skeleton}");
    }
    for head in
        ["", "* 1 FETCH (UID 5 ", "* 1 FETCH (BODY[HEADER] ", "* 1 FETCH (X ", "* 1 FETCH (BODY[] \"", "* LIST () NIL "]
    {
        assert!(parse_head(head.as_bytes()).is_err(), "{head}");
    }
}

#[test]
fn lists() {
    holds([
        (&b"* LIST (\\HasNoChildren) \"/\" INBOX"[..], list(&["hasnochildren"], Some('/'), b"INBOX", None)),
        (b"* list () nil nil", list(&[], None, b"nil", None)),
        (
            b"* LIST (\\AllMail \\SentMail) \".\" \"quote\\\"in\\\\side\"",
            list(&["allmail", "sentmail"], Some('.'), b"quote\"in\\side", None),
        ),
        (b"* LIST () \"\\\\\" a", list(&[], Some('\\'), b"a", None)),
        (b"* LIST () \"\" a", list(&[], None, b"a", None)),
        (b"* LIST () \"/\" {4}\r\na)\r\n", list(&[], Some('/'), b"a)\r\n", None)),
        (b"* LIST () \"/\" ~{1}\r\n\0", list(&[], Some('/'), b"\0", None)),
        (b"* LIST () \"/\" \"caf\xe9\"", list(&[], Some('/'), b"caf\xe9", None)),
        (b"* LIST () \"/\" caf\xe9/50%{(x)", list(&[], Some('/'), b"caf\xe9/50%{(x)", None)),
        (b"*  LIST  ( \\Noselect  \\x\x80 )  \"/\"  a ", list(&["noselect", "x\u{fffd}"], Some('/'), b"a", None)),
        (b"* LIST () \"/\" \"\"", list(&[], Some('/'), b"", None)),
        (b"* LIST (\\Marked) \"/\" a (CHILDINFO (\"SUBSCRIBED\"))", list(&["marked"], Some('/'), b"a", None)),
        (b"* LIST () \"/\" a (\"oldname\" (\"b c\") X (1 (2)) Y z)", list(&[], Some('/'), b"a", Some(b"b c"))),
        (b"* LIST () \"/\" a ()", list(&[], Some('/'), b"a", None)),
    ]);
    let Response::List(subscribed) = list(&["noselect"], Some('/'), b"a b", None) else { panic!() };
    holds([("* LSUB (\\Noselect) \"/\" \"a b\"", Response::Lsub(subscribed))]);
    fails([
        "* LIST",
        "* LIST ()",
        "* LIST () \"/\"",
        "* LIST () \"/\" ",
        "* LIST NIL \"/\" a",
        "* LIST () / a",
        "* LIST () \"//\" a",
        "* LIST () \"\u{e9}\" a",
        "* LIST () \"\x01\" a",
        "* LIST () \"/\" a b",
        "* LIST () \"/\" \"a\" \"b\"",
        "* LIST () \"/\" \"a",
        "* LIST () \"/\" \"a\0b\"",
        "* LIST () \"/\" \"a\\bc\"",
        "* LIST () \"/\" {5}\r\nab",
        "* LIST () \"/\" a (OLDNAME b)",
        "* LIST () \"/\" a (OLDNAME (b c))",
        "* LIST () \"/\" a (X",
        "* LIST () \"/\" a (X)",
        "* LIST ((a)) \"/\" a",
        "* LIST (\"a\") \"/\" a",
    ]);
    fails([format!("* LIST ({}) \"/\" a", "\\x ".repeat(257))]);
}

#[test]
fn namespaces() {
    let octets = |text: &'static str| Bytes::from_static(text.as_bytes());
    let with_others = |prefix: &'static str, delimiter, others: &[&'static str]| {
        let personal = Some(Namespace { prefix: octets(prefix), delimiter });
        Response::Namespace(Namespaces { personal, of_others: others.iter().map(|prefix| octets(prefix)).collect() })
    };
    let personal = |prefix, delimiter| with_others(prefix, delimiter, &[]);
    holds([
        ("* NAMESPACE ((\"\" \"/\")) NIL NIL", personal("", Some('/'))),
        ("* NAMESPACE NIL NIL NIL", Response::Namespace(Namespaces::default())),
        (
            "* namespace ((\"INBOX.\" \".\")(\"x\" nil)) ((\"~\" \"/\")) ((\"#a\" NIL) (\"\" \"/\" \"X\" (\"a\"))) ",
            with_others("INBOX.", Some('.'), &["~", "#a", ""]),
        ),
        ("* NAMESPACE ((\"\" NIL \"X-PARAM\" (\"FLAG1\" \"FLAG2\"))) NIL NIL", personal("", None)),
        ("* NAMESPACE (({2}\r\na) \"/\")) NIL NIL", personal("a)", Some('/'))),
    ]);
    fails([
        "* NAMESPACE",
        "* NAMESPACE NIL",
        "* NAMESPACE NIL NIL",
        "* NAMESPACE NIL NIL NIL NIL",
        "* NAMESPACE () NIL NIL",
        "* NAMESPACE (()) NIL NIL",
        "* NAMESPACE NIL (()) NIL",
        "* NAMESPACE NIL NIL (\"\" \"/\")",
        "* NAMESPACE ((NIL \"/\")) NIL NIL",
        "* NAMESPACE ((\"\" /)) NIL NIL",
        "* NAMESPACE ((\"\" \"ab\")) NIL NIL",
        "* NAMESPACE ((\"\")) NIL NIL",
        "* NAMESPACE ((\"\" \"/\") NIL NIL",
    ]);
}

#[test]
fn statuses() {
    let status = |name: &[u8], with: fn(&mut MailboxStatusItems)| {
        let mut items = MailboxStatusItems { name: Bytes::copy_from_slice(name), ..MailboxStatusItems::default() };
        with(&mut items);
        Response::Status(items)
    };
    holds([
        (
            &b"* STATUS INBOX (MESSAGES 3 UIDNEXT 5 UIDVALIDITY 7 HIGHESTMODSEQ 9 UNSEEN 0 RECENT 1)"[..],
            status(b"INBOX", |s| {
                s.messages = Some(3);
                s.uid_next = Uid::new(5);
                s.uid_validity = UidValidity::new(7);
                s.highest_modseq = Some(ModSeq::new(9));
            }),
        ),
        (
            b"* status \"a)b\" ( messages 0  highestmodseq 0 ) ",
            status(b"a)b", |s| {
                s.messages = Some(0);
                s.highest_modseq = Some(None);
            }),
        ),
        (b"* STATUS x ()", status(b"x", |_| {})),
        (
            b"* STATUS {2}\r\n\r\n (MAILBOXID (a-b_9) SIZE 99999999999 X (y \")\") DELETED 1)",
            status(b"\r\n", |s| {
                s.mailbox_id = MailboxId::new("a-b_9");
            }),
        ),
        (b"* STATUS x (MAILBOXID (\xff\xfe) MESSAGES 1)", status(b"x", |s| s.messages = Some(1))),
        (b"* STATUS x (MAILBOXID NIL APPENDLIMIT NIL MESSAGES 1)", status(b"x", |s| s.messages = Some(1))),
    ]);
    fails([
        "* STATUS",
        "* STATUS x",
        "* STATUS ()",
        "* STATUS x NIL",
        "* STATUS x MESSAGES 1",
        "* STATUS x (MESSAGES)",
        "* STATUS x (MESSAGES 1",
        "* STATUS x (MESSAGES 1 MESSAGES 2)",
        "* STATUS x (HIGHESTMODSEQ 1 HIGHESTMODSEQ 0)",
        "* STATUS x (MESSAGES 1) y",
        "* STATUS x (MESSAGES {1}\r\n5)",
        "* STATUS x (X)",
    ]);
}

#[test]
fn words() {
    let id = |fields: &[(&str, Option<&str>)]| {
        Response::Id(fields.iter().map(|(field, value)| (field.to_string(), value.map(str::to_owned))).collect())
    };
    holds([
        (
            &b"* CAPABILITY IMAP4rev1  qresync AUTH=PLAIN \xff "[..],
            Response::Capability(strings(&["IMAP4REV1", "QRESYNC", "AUTH=PLAIN"])),
        ),
        (b"* CAPABILITY", Response::Capability(vec![])),
        (b"* CAPABILITY XAPPLE(\"x", Response::Capability(strings(&["XAPPLE(\"X"]))),
        (b"* ENABLED CONDSTORE qresync", Response::Enabled(strings(&["CONDSTORE", "QRESYNC"]))),
        (b"* ENABLED", Response::Enabled(vec![])),
        (b"* ENABLEDX", Response::Other("ENABLEDX".to_owned())),
        (b"* ID NIL", id(&[])),
        (b"* ID ()", id(&[])),
        (b"* id ( \"Name\" \"Cy\\\"rus\"  \"x\" NIL ) ", id(&[("name", Some("Cy\"rus")), ("x", None)])),
        (b"* ID (name {3}\r\na\x1bb \"NIL\" \"NIL\")", id(&[("name", Some("a\\x1bb")), ("nil", Some("NIL"))])),
        (b"* METADATA \"IN\xe9X\" (/x NIL)", Response::Other("METADATA".to_owned())),
        (b"* x\x80\x9b-foo", Response::Other("X\u{fffd}\u{fffd}-FOO".to_owned())),
    ]);
    fails(["* ID", "* ID (\"name\")", "* ID (\"name\" \"x\"", "* ID \"name\" \"x\"", "* ID ((a) b)", "* ID (NIL) x"]);
    fails([format!("* CAPABILITY {}", "X ".repeat(1025)), format!("* ID ({})", "X Y ".repeat(1025))]);
}

#[test]
fn what_is_shown_is_one_harmless_line() {
    for (octets, shown) in [
        (&b"plain \xc3\xbc"[..], "plain ü"),
        (b"\x00\t\r\n\x1b[31m\x7f", "\\x00\\x09\\x0d\\x0a\\x1b[31m\\x7f"),
        (b"\xc2\x9b\xff\xe2\x80\xa8\xe2\x81\xa6\xef\xbb\xbf", "\\x9b\u{fffd}\\u{2028}\\u{2066}\\u{feff}"),
        (b"", ""),
    ] {
        assert_eq!(printable(octets), shown);
    }
    for (octets, length) in [(b"x".repeat(1024), 1024), (b"x".repeat(1025), 1024), (b"\x1b".repeat(1 << 20), 1024)] {
        assert_eq!((printable(&octets).len(), printable(&octets).ends_with('…')), (length, octets.len() > 1024));
    }
    assert!(printable("ü".repeat(600).as_bytes()).len() <= PRINTABLE_LIMIT);
}

#[test]
fn an_error_shows_the_line_but_no_mail() {
    let error = read(b"* 1 FETCH (BODY[] {6}\r\nsecret UID 0)").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server's response is malformed, a UID was expected at octet 34: * 1 FETCH (BODY[] {6}"
    );
    assert!(read([b"* 1 FETCH (UID 0 ", &b"\x1b".repeat(5000)[..]].concat()).unwrap_err().response.len() < 1024);
}

#[test]
fn a_response_cut_short_is_never_taken_for_data() {
    for (keyword, data) in [
        (
            "* 7 FETCH",
            " (UID 3 FLAGS (\\Seen $x) BODY[HEADER] {2}\r\n\r\n X (\"a\" (b)) BODY[] \"ab\" MODSEQ (55) RFC822.SIZE 1234)",
        ),
        ("* LIST", " (\\x) \"/\" \"abc\""),
        ("* STATUS", " \"abc\" (MESSAGES 12 UIDNEXT 34)"),
        ("* NAMESPACE", " ((\"\" \"/\")) NIL NIL"),
        ("* ID", " (\"name\" \"x\")"),
    ] {
        assert!(read(format!("{keyword}{data}")).is_ok(), "{keyword}{data}");
        for cut in 0..data.len() {
            let data = &data[..cut];
            assert!(read(format!("{keyword}{data}")).is_err(), "{keyword}{data}");
        }
    }
}

proptest! {
    #[test]
    fn any_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
        let _ = read(&octets);
        let _ = parse_head(&octets);
        let passed = Some(Passed { at, size: 300_000, literal: LiteralKind::Text });
        let _ = parse(&Frame { octets: octets.into(), passed });
    }

    #[test]
    fn any_words_never_panic(words in prop::collection::vec(prop::sample::select(vec![
        "* ", "1 ", "FETCH ", "(", ")", " ", "\"", "\\", "{1}\r\n", "~{2}\r\n", "UID ", "FLAGS ", "BODY[", "]", "HEADER",
        "<0>", "NIL", "LIST ", "STATUS ", "MODSEQ ", "A1 OK ", "[", "APPENDUID ", "COPYUID ", "1:2", ",", "*", "ESEARCH ",
        "VANISHED ", "(EARLIER) ", "ALL ", "NAMESPACE ", "ID ", "0", "4294967296", "\u{e9}", "\0", "PERMANENTFLAGS ",
    ]), 0..30)) {
        let line = words.concat();
        let _ = read(&line);
        let _ = parse_head(line.as_bytes());
    }

    #[test]
    fn sets_are_read_as_they_are_written(ranges in prop::collection::vec((1u32.., 0u32..1000), 1..50)) {
        let ranges: Vec<_> = ranges.into_iter().map(|(from, more)| (from, from.saturating_add(more))).collect();
        let expected = set(&ranges);
        let line = format!("* VANISHED {expected}");
        prop_assert_eq!(read(line), Ok(Response::Vanished { when: Vanished::Now, uids: expected }));
    }
}
