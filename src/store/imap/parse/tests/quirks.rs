//! What servers were seen to send, each under the name that `quirks` has for it, and what it is read as.

use super::*;

/// A line under the name of its quirk, and who sent it when.
type Row<T> = (&'static str, &'static str, &'static [u8], T);

fn read_as(rows: Vec<Row<Response>>) {
    for (name, who, line, expected) in rows {
        assert_eq!(read(line), Ok(expected), "{name}, {who}: {}", line.escape_ascii());
    }
}

/// Lines whose meaning would have to be guessed.
fn unreadable(rows: Vec<Row<()>>) {
    for (name, who, line, ()) in rows {
        let found = read(line);
        assert!(found.is_err(), "{name}, {who}: {}: {found:?}", line.escape_ascii());
    }
}

fn unknown(name: &str) -> Response {
    Response::Other(name.to_owned())
}

fn vanished(when: Vanished, ranges: &[(u32, u32)]) -> Response {
    Response::Vanished { when, uids: set(ranges) }
}

fn status(name: &'static str, with: impl FnOnce(&mut MailboxStatusItems)) -> Response {
    let mut items = MailboxStatusItems { name: Bytes::from_static(name.as_bytes()), ..MailboxStatusItems::default() };
    with(&mut items);
    Response::Status(items)
}

#[test]
fn hints() {
    const NAME: &str = "numbers-that-are-none";
    let seen = || fetch(7, |f| (f.uid, f.flags) = (Uid::new(3), Some(flags("\\Seen"))));
    let no_modseq = |name: &'static str| status(name, |s| s.highest_modseq = Some(None));
    let highest = |number| ok(Some(Code::HighestModSeq(ModSeq::new(number))), "x");
    read_as(vec![
        (NAME, "Zoho 2023", b"* 7 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (-1))", seen()),
        (NAME, "MailKit#495, 2017", b"* 7 FETCH (MODSEQ (-1) UID 3 FLAGS (\\Seen))", seen()),
        (NAME, "", b"* 7 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (0))", seen()),
        (NAME, "RFC 4551", b"* 7 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (9223372036854775808))", seen()),
        (NAME, "RFC 4551", b"* 7 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (18446744073709551615))", seen()),
        (NAME, "", b"* 7 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (18446744073709551616))", seen()),
        (NAME, "", b"* 7 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (NIL))", seen()),
        (NAME, "mail.ru 2024", b"* 7 FETCH (UID 3 FLAGS (\\Seen) RFC822.SIZE 9.3736e+06)", seen()),
        (NAME, "SmarterMail 2016", b"* 7 FETCH (UID 3 FLAGS (\\Seen) RFC822.SIZE -2)", seen()),
        (NAME, "", b"* 7 FETCH (UID 3 FLAGS (\\Seen) RFC822.SIZE NIL)", seen()),
        (NAME, "", b"* 7 FETCH (UID 3 FLAGS (\\Seen) RFC822.SIZE 9223372036854775808)", seen()),
        (NAME, "Zoho 2023", b"* OK [HIGHESTMODSEQ -1] x", highest(0)),
        (NAME, "RFC 4551", b"* OK [HIGHESTMODSEQ 9223372036854775808] x", highest(0)),
        (NAME, "RFC 4551", b"* OK [HIGHESTMODSEQ 18446744073709551615] x", highest(0)),
        (NAME, "", b"* OK [HIGHESTMODSEQ 18446744073709551616] x", highest(0)),
        (NAME, "hoodiecrow 2.1, 2026", b"* STATUS x (HIGHESTMODSEQ NIL)", no_modseq("x")),
        (NAME, "RFC 4551", b"* STATUS x (HIGHESTMODSEQ 18446744073709551615)", no_modseq("x")),
        // What is a number is one, beyond that of a float (emailengine#113) and up to the last that SQL can hold.
        ("", "", b"* OK [HIGHESTMODSEQ 9007199254740993] x", highest((1 << 53) + 1)),
        ("", "", b"* OK [HIGHESTMODSEQ 9223372036854775807] x", highest(ModSeq::MAX)),
        ("", "", b"* 1 FETCH (MODSEQ (9007199254740993))", fetch(1, |f| f.modseq = ModSeq::new((1 << 53) + 1))),
        ("", "", b"* 1 FETCH (MODSEQ (9223372036854775807))", fetch(1, |f| f.modseq = ModSeq::new(ModSeq::MAX))),
        ("", "", b"* SEARCH 5 (MODSEQ -1)", Response::Search(set(&[(5, 5)]))),
    ]);
    // Nothing else may be missing: a UID that is none is a message that is lost.
    unreadable(vec![
        (NAME, "", b"* 7 FETCH (UID -1 FLAGS ())", ()),
        (NAME, "", b"* 7 FETCH (UID 1e3 FLAGS ())", ()),
        (NAME, "", b"* 7 FETCH (UID 3 FLAGS NIL)", ()),
        (NAME, "", b"* 7 FETCH (UID 3 RFC822.SIZE x)", ()),
        (NAME, "", b"* 7 FETCH (UID 3 RFC822.SIZE )", ()),
        (NAME, "", b"* 7 FETCH (UID 3 MODSEQ (5, 6))", ()),
        (NAME, "", b"* -1 EXISTS", ()),
        (NAME, "", b"* 1e3 EXISTS", ()),
    ]);
}

#[test]
fn statuses() {
    const BLANKS: &str = "blank-behind-status";
    const PARTS: &str = "status-in-part";
    let two = || status("x", |s| (s.messages, s.uid_next) = (Some(2), Uid::new(9)));
    read_as(vec![
        (BLANKS, "Exchange 2010", b"* STATUS x (MESSAGES 2 UIDNEXT 9) ", two()),
        (BLANKS, "Exchange 2010", b"* STATUS x (MESSAGES 2 UIDNEXT 9 )", two()),
        (BLANKS, "", b"* STATUS  x  ( MESSAGES  2  UIDNEXT  9  )  ", two()),
        (PARTS, "", b"* STATUS x ()", status("x", |_| {})),
        (PARTS, "", b"* STATUS x ( )", status("x", |_| {})),
        (PARTS, "", b"* STATUS x (X-NEW (a (b)) MESSAGES 2 X-GUID abc X-OTHER \")\" UIDNEXT 9)", two()),
        (PARTS, "", b"* STATUS x (MESSAGES 2 UIDVALIDITY 0 UIDNEXT 9)", two()),
        (PARTS, "", b"* STATUS x (MESSAGES 2 UIDNEXT 9 UIDVALIDITY 4294967296)", two()),
        (PARTS, "", b"* STATUS x (UIDNEXT 0 MESSAGES 2)", status("x", |s| s.messages = Some(2))),
        (PARTS, "", b"* STATUS x (UIDNEXT 4294967296 MESSAGES 2)", status("x", |s| s.messages = Some(2))),
        (PARTS, "", b"* STATUS x (MESSAGES -1 UIDNEXT NIL)", status("x", |_| {})),
    ]);
    unreadable(vec![
        (PARTS, "", b"* STATUS x (MESSAGES UIDNEXT 9)", ()),
        (PARTS, "", b"* STATUS x (MESSAGES 2 MESSAGES 3)", ()),
        (PARTS, "", b"* STATUS x (MESSAGES 2", ()),
    ]);
}

#[test]
fn response_codes() {
    const EMPTY: &str = "codes-that-say-nothing";
    const ALONE: &str = "code-without-ok";
    let copied = |uid_validity_: u32, from: &[u32], to: &[u32]| {
        Some(Code::CopyUid(uid_validity(uid_validity_), uids(from), uids(to)))
    };
    read_as(vec![
        (EMPTY, "MailKit#1010, 2020", b"* OK [UIDVALIDITY 0] UIDs valid", ok(other("UIDVALIDITY", "0"), "UIDs valid")),
        (EMPTY, "MailKit#1010, 2020", b"* OK [UIDNEXT 0] Predicted", ok(other("UIDNEXT", "0"), "Predicted")),
        (EMPTY, "MailKit#1010, 2020", b"* OK [UNSEEN 0] First", ok(other("UNSEEN", "0"), "First")),
        (EMPTY, "Outlook.com 2017", b"* OK [COPYUID 14  ]", ok(other("COPYUID", "14  "), "")),
        (
            EMPTY,
            "Outlook.com 2015",
            b"a1 OK [COPYUID 0 35 41] UID COPY completed",
            tagged("a1", Status::Ok, other("COPYUID", "0 35 41"), "UID COPY completed"),
        ),
        (EMPTY, "", b"a1 OK [COPYUID 7 1:2 9]", tagged("a1", Status::Ok, other("COPYUID", "7 1:2 9"), "")),
        (EMPTY, "", b"a1 OK [APPENDUID 7 ] x", tagged("a1", Status::Ok, other("APPENDUID", "7 "), "x")),
        (EMPTY, "", b"a1 OK [APPENDUID] x", tagged("a1", Status::Ok, other("APPENDUID", ""), "x")),
        (EMPTY, "", b"a1 OK [APPENDUID 0 0] x", tagged("a1", Status::Ok, other("APPENDUID", "0 0"), "x")),
        (EMPTY, "", b"a1 OK [APPENDUID 7 1:*] x", tagged("a1", Status::Ok, other("APPENDUID", "7 1:*"), "x")),
        (
            EMPTY,
            "",
            b"a1 OK [APPENDUID 7 1:4294967295] x",
            tagged("a1", Status::Ok, other("APPENDUID", "7 1:4294967295"), "x"),
        ),
        (
            "code-without-text",
            "Gmail 2023",
            b"* OK [HIGHESTMODSEQ 9]",
            ok(Some(Code::HighestModSeq(ModSeq::new(9))), ""),
        ),
        (ALONE, "home.pl 2019", b"* [COPYUID 7 1 9]", ok(copied(7, &[1], &[9]), "")),
        (ALONE, "Exchange 2014", b"* [UIDNEXT 9] Predicted", ok(Some(Code::UidNext(uid(9))), "Predicted")),
        (ALONE, "", b"* [x] {5}", ok(other("X", ""), "{5}")),
    ]);
    unreadable(vec![
        (EMPTY, "", b"* OK [UIDVALIDITY -1] x", ()),
        // What is UIDs' end is not the same as not to say where they go on.
        (EMPTY, "", b"* OK [UIDNEXT 4294967296] x", ()),
        // What was not done must not look as if it had been.
        (EMPTY, "", b"a1 OK [MODIFIED 0:5] x", ()),
        (EMPTY, "", b"a1 OK [MODIFIED ] x", ()),
    ]);
}

#[test]
fn sets() {
    const ZERO: &str = "vanished-from-zero";
    const SEARCH: &str = "search-for-esearch";
    const PARTS: &str = "esearch-in-part";
    let found = |ranges: &[(u32, u32)]| Response::ESearch { tag: Some("a".to_owned()), all: set(ranges) };
    read_as(vec![
        (ZERO, "Dovecot 2.3.14, 2021", b"* VANISHED 0:1", vanished(Vanished::Now, &[(1, 1)])),
        (ZERO, "", b"* VANISHED (EARLIER) 7,0:3", vanished(Vanished::Earlier, &[(1, 3), (7, 7)])),
        (SEARCH, "MailKit", b"* SEARCH 9 3 3 5", Response::Search(set(&[(3, 3), (5, 5), (9, 9)]))),
        (SEARCH, "", b"* SEARCH 1 ", Response::Search(set(&[(1, 1)]))),
        (SEARCH, "", b"* SEARCH  ", Response::Search(set(&[]))),
        (PARTS, "", b"* ESEARCH (TAG \"a\") UID COUNT 0", found(&[])),
        (
            PARTS,
            "",
            b"* ESEARCH (TAG \"a\") UID MIN 2 MAX 9 COUNT 2 ALL 2,9 X-NEW (1 2) MODSEQ 5",
            found(&[(2, 2), (9, 9)]),
        ),
        (PARTS, "", b"* ESEARCH (TAG \"a\") UID X-NEW 5 ALL 9", found(&[(9, 9)])),
    ]);
    unreadable(vec![
        (ZERO, "", b"* VANISHED 0", ()),
        (ZERO, "", b"* VANISHED 0:0", ()),
        (ZERO, "", b"* VANISHED 0:*", ()),
        (ZERO, "", b"* ESEARCH (TAG \"a\") UID ALL 0:5", ()),
        (SEARCH, "", b"* SEARCH 0", ()),
        // Messages were found and are not named: they must not look as if they were gone.
        (PARTS, "iCloud 2024", b"* ESEARCH (TAG \"a\") UID COUNT 2", ()),
        (PARTS, "Stalwart 2026", b"* ESEARCH (TAG \"a\") UID COUNT 4 MIN 2 MAX 5 ALL 2,5", ()),
    ]);
}

#[test]
fn unasked_for_items() {
    const ITEMS: &str = "unasked-items";
    let four = || fetch(1, |f| (f.uid, f.flags) = (Uid::new(4), Some(flags("\\Seen"))));
    let nil = || {
        fetch(1, |f| {
            f.uid = Uid::new(4);
            f.body = Some(BodyItem::Nil);
        })
    };
    read_as(vec![
        (
            ITEMS,
            "Gmail",
            b"* 1 FETCH (X-GM-THRID 1278455344230334865 X-GM-MSGID 1278455344230334865 X-GM-LABELS (\"\\\\Inbox\" \\Sent (x) \
              \"M\xc3\xbcll\") UID 4 FLAGS (\\Seen))",
            four(),
        ),
        (
            ITEMS,
            "Domino 10, 2019",
            b"* 1 FETCH (FLAGS (\\Seen) ENVELOPE ((\"x\" NIL NIL NIL NIL NIL NIL NIL NIL NIL)) UID 4)",
            four(),
        ),
        (
            ITEMS,
            "Exchange 2013",
            b"* 1 FETCH (BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" -2 -1 NIL NIL NIL) UID 4 FLAGS (\\Seen))",
            four(),
        ),
        (
            ITEMS,
            "mail.ru 2024",
            b"* 1 FETCH (UID 4 BODYSTRUCTURE (\"a\" \"b\" () NIL NIL \"base64\" 9.3736e+06) FLAGS (\\Seen))",
            four(),
        ),
        (ITEMS, "", b"* 1 FETCH (FLAGS (\\Seen) X-NEW {3}\r\n)\r\n X-OTHER () UID 4)", four()),
        ("body-nil", "Exchange 2019", b"* 1 FETCH (UID 4 BODY[] NIL)", nil()),
        ("body-without-value", "Yandex 2024", b"* 1 FETCH (UID 4 BODY[] )", nil()),
        ("body-without-value", "", b"* 1 FETCH (UID 4 BODY[])", nil()),
        ("fetch-of-zero", "Courier 2004", b"* 0 FETCH (UID 16334 FLAGS ())", fetch(0, |f| {
            (f.uid, f.flags) = (Uid::new(16334), Some(flags("")));
        })),
        ("fetch-without-uid", "nextcloud/mail#13507, 2026", b"* 1 FETCH (FLAGS (\\Seen))", fetch(1, |f| {
            f.flags = Some(flags("\\Seen"));
        })),
    ]);
    unreadable(vec![
        (ITEMS, "iCloud 2021", b"* 1 FETCH (ENVELOPE (NIL \"an \"unescaped\" quote\" NIL) UID 4 \")", ()),
        ("body-without-value", "", b"* 1 FETCH (BODY[] UID 4)", ()),
        ("body-without-value", "", b"* 1 FETCH (UID 4 BODY[HEADER] )", ()),
        ("fetch-of-zero", "", b"* 0 EXPUNGE", ()),
    ]);
}

#[test]
fn lists_of_flags() {
    const NONE: &str = "flags-that-are-none";
    const ODD: &str = "odd-keywords";
    const BROKEN: &str = "broken-permanent-flags";
    let bears = |text: &str| fetch(1, |f| f.flags = Some(flags(text)));
    let keeps = |text: &str, new_keywords, rest: &str| {
        ok(Some(Code::PermanentFlags(PermanentFlags { listed: flags(text), new_keywords })), rest)
    };
    use NewKeywords::{Refused, Taken};
    read_as(vec![
        (NONE, "GreenMail 2023", b"* 1 FETCH (FLAGS (\\* \\Seen))", bears("\\Seen")),
        (NONE, "GreenMail 2023", b"* FLAGS (\\* \\Seen)", Response::Flags(flags("\\Seen"))),
        (NONE, "Gmail 2015", b"* 1 FETCH (FLAGS (OIB-Seen-[Gmail]/Trash $x))", bears("$x")),
        (
            NONE,
            "Gmail 2015",
            b"* OK [PERMANENTFLAGS (\\Seen OIB-Seen-[Gmail]/Trash $x \\*)] Flags permitted.",
            keeps("\\Seen $x", Taken, "Flags permitted."),
        ),
        (NONE, "InterMail 2018", b"* FLAGS (\"\\\\Deleted\" \\Seen)", Response::Flags(flags("\\Seen"))),
        (ODD, "Microsoft 365", b"* 1 FETCH (FLAGS ($MDNSent \\Seen))", bears("\\Seen $MDNSent")),
        (ODD, "Zimbra 8", b"* 1 FETCH (FLAGS (Name:FLAG123))", bears("Name:FLAG123")),
        (ODD, "Fastmail", b"* 1 FETCH (FLAGS (de:hacking [css3-page))", bears("de:hacking [css3-page")),
        (ODD, "", b"* 1 FETCH (FLAGS ())", bears("")),
        (BROKEN, "bea 2023", b"* OK [PERMANENTFLAGS Flags] x", ok(other("PERMANENTFLAGS", "Flags"), "x")),
        (BROKEN, "", b"* OK [PERMANENTFLAGS] x", ok(other("PERMANENTFLAGS", ""), "x")),
        (BROKEN, "", b"* OK [PERMANENTFLAGS NIL] x", ok(other("PERMANENTFLAGS", "NIL"), "x")),
        (BROKEN, "Fastmail 2021", b"* OK [PERMANENTFLAGS (\\Seen $x] y", keeps("\\Seen $x", Refused, "y")),
        (BROKEN, "", b"* OK [PERMANENTFLAGS (\\Seen (a) \"b\" \\* $x)] y", keeps("\\Seen $x", Taken, "y")),
        (BROKEN, "", b"* OK [PERMANENTFLAGS (\\Seen \"b $x)] y", keeps("\\Seen", Refused, "y")),
        (BROKEN, "", b"* OK [PERMANENTFLAGS (\\Seen (] y", keeps("\\Seen", Refused, "y")),
        (BROKEN, "", b"* FLAGS (\\Seen", unknown("FLAGS")),
        (BROKEN, "", b"* FLAGS NIL", unknown("FLAGS")),
        (BROKEN, "", b"* FLAGS (a) b", unknown("FLAGS")),
    ]);
    unreadable(vec![
        (NONE, "", b"* 1 FETCH (FLAGS (\\Seen ]))", ()),
        (NONE, "", b"* 1 FETCH (FLAGS (a%b))", ()),
        (NONE, "", b"* 1 FETCH (FLAGS (\\Seen \"\\\\Deleted\"))", ()),
    ]);
    let deep = format!("* OK [PERMANENTFLAGS (\\Seen {})]", "(".repeat(100_000));
    assert_eq!(read(deep), Ok(keeps("\\Seen", Refused, "")));
}

#[test]
fn names_of_mailboxes() {
    const TAB: &str = "name-with-tabulator";
    const BACKSLASH: &str = "backslash-delimiter";
    read_as(vec![
        (
            TAB,
            "Exchange 2013, 2019",
            b"* LIST (\\HasNoChildren) \"/\" INBOX/Da\tOggetto\tRicevuto\t",
            list(&["hasnochildren"], Some('/'), b"INBOX/Da\tOggetto\tRicevuto\t", None),
        ),
        (TAB, "", b"* STATUS a\x01\x7fb (MESSAGES 1)", status("a\x01\x7fb", |s| s.messages = Some(1))),
        (BACKSLASH, "Domino", b"* LIST () \"\\\\\" Sent", list(&[], Some('\\'), b"Sent", None)),
        (BACKSLASH, "hMailServer 5", b"* LIST () \"\\\" \"Sent\"", list(&[], Some('\\'), b"Sent", None)),
        ("no-delimiter", "", b"* LIST (\\Noselect) NIL \"\"", list(&["noselect"], None, b"", None)),
        ("no-delimiter", "", b"* LIST () \"\" INBOX", list(&[], None, b"INBOX", None)),
        (
            "unasked-items",
            "Cyrus 3.10, 2026",
            b"* LIST (\\Subscribed) \"/\" \"a b\" (CHILDINFO (\"SUBSCRIBED\") OLDNAME (c) X-NEW ((1) 2))",
            list(&["subscribed"], Some('/'), b"a b", Some(b"c")),
        ),
    ]);
    unreadable(vec![(TAB, "", b"* LIST () \"/\" a\0b", ()), (BACKSLASH, "", b"* LIST () \"\\\"", ())]);
}

#[test]
fn words_of_their_own() {
    let go_on = |text: &'static str| Response::Continue(Bytes::from_static(text.as_bytes()));
    let capability = |words: &[&str]| Response::Capability(strings(words));
    let bye = |text: &str| Response::Untagged { status: UntaggedStatus::Bye, code: None, text: text.to_owned() };
    read_as(vec![
        ("empty-continuation", "Exchange 2019", b"+", go_on("")),
        ("empty-continuation", "iCloud", b"+ ", go_on("")),
        ("unknown-response", "", b"* X-NEW {3}\r\na)b (", unknown("X-NEW")),
        ("unknown-response", "", b"* 5 X-NEW {3}", unknown("X-NEW")),
        ("bye-repeated", "Yandex 2019", b"* BYE Autologout; idle for too long", bye("Autologout; idle for too long")),
        (
            "capability-injected",
            "iCloud 2023",
            b"* CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN",
            capability(&["XAPPLEPUSHSERVICE", "IMAP4", "IMAP4REV1", "SASL-IR", "AUTH=ATOKEN", "AUTH=PLAIN"]),
        ),
        ("capability-injected", "", b"* CAPABILITY LITERAL + IMAP4rev1", capability(&["LITERAL", "+", "IMAP4REV1"])),
        (
            "alert-before-greeting",
            "Courier 5.0, 2026",
            b"* OK [ALERT] Filesystem notification initialization error -- contact your mail administrator",
            ok(other("ALERT", ""), "Filesystem notification initialization error -- contact your mail administrator"),
        ),
        ("id-nil-or-empty", "GMX", b"* ID NIL", Response::Id(vec![])),
        ("id-nil-or-empty", "", b"* ID ()", Response::Id(vec![])),
        ("blanks-to-keep-alive", "DavMail 2019", b"*      953 EXISTS", Response::Exists(953)),
    ]);
}
