//! What imap-proto makes of the same responses. Where both read a response, they must have read the same; where they
//! differ, the table below says how, and so why nothing here reads a server's octets with it: it loses codes and
//! attributes, refuses what servers send, and can be made to panic (INTERNALDATE NIL, METADATA in Latin-1, a multibyte
//! character directly behind a code) or to overflow the stack (BODYSTRUCTURE). Those four are not in the table.

use imap_proto::{AttributeValue, Capability, MailboxDatum, MessageSection, NameAttribute, ResponseCode, SectionPath};
use imap_proto::{StatusAttribute, rfc4315::UidSetMember};
use proptest::prelude::*;

use super::*;
use crate::mail::{Flag, FlagSet, InternalDate, Uid, UidSet};
use crate::store::imap::response::{Code, List, Vanished};

/// What a response says, in a form that both readings can be brought to.
type Facts = Vec<String>;

fn ours(line: &[u8]) -> Option<Facts> {
    let response = parse(&Frame { octets: Bytes::copy_from_slice(line), passed: None }).ok()?;
    let mut facts = Facts::new();
    match response {
        Response::Continue(text) => facts.push(format!("+ {}", printable(&text))),
        Response::Tagged { tag, status, code, text } => {
            facts.push(format!("{tag} {status:?} {text}"));
            facts.extend(code.map(our_code));
        }
        Response::Untagged { status, code, text } => {
            facts.push(format!("* {status:?} {text}"));
            facts.extend(code.map(our_code));
        }
        Response::Capability(words) => facts.push(format!("CAPABILITY {words:?}")),
        Response::Enabled(words) => facts.push(format!("ENABLED {words:?}")),
        Response::Flags(flags) => facts.push(format!("FLAGS {flags}")),
        Response::Exists(number) => facts.push(format!("{number} EXISTS")),
        Response::Expunge(number) => facts.push(format!("{number} EXPUNGE")),
        Response::Recent(number) => facts.push(format!("{number} RECENT")),
        Response::Vanished { when, uids } => facts.push(format!("VANISHED {} {uids}", when == Vanished::Earlier)),
        Response::Fetch(fetch) => {
            facts.push(format!("{} FETCH", fetch.number));
            facts.extend(fetch.uid.map(|uid| format!("UID {uid}")));
            facts.extend(fetch.flags.map(|flags| format!("FLAGS {flags}")));
            facts.extend(fetch.modseq.map(|modseq| format!("MODSEQ {modseq}")));
            facts.extend(fetch.internal_date.map(|date| format!("INTERNALDATE {}", date.unix())));
            facts.extend(fetch.size.map(|size| format!("SIZE {size}")));
            facts.extend(fetch.header.map(|header| format!("HEADER {header:?}")));
            facts.extend(fetch.body.map(|body| match body {
                BodyItem::Octets(octets) => format!("BODY {octets:?}"),
                BodyItem::Nil => "BODY NIL".to_owned(),
                BodyItem::PassedBy { .. } => panic!("nothing passed by"),
            }));
        }
        Response::List(list) => facts.push(our_list("LIST", list)),
        Response::Lsub(list) => facts.push(our_list("LSUB", list)),
        Response::Status(items) => {
            facts.push(format!("STATUS {:?}", items.name));
            facts.extend(items.messages.map(|number| format!("MESSAGES {number}")));
            facts.extend(items.uid_next.map(|uid| format!("UIDNEXT {uid}")));
            facts.extend(items.uid_validity.map(|number| format!("UIDVALIDITY {number}")));
            let modseq = items.highest_modseq.map(|modseq| modseq.map_or(0, |modseq| modseq.get()));
            facts.extend(modseq.map(|modseq| format!("HIGHESTMODSEQ {modseq}")));
        }
        Response::Search(uids) => facts.push(format!("SEARCH {uids}")),
        Response::ESearch { tag, all } => facts.push(format!("ESEARCH {tag:?} {all}")),
        Response::Namespace(namespaces) => facts.push(format!("NAMESPACE {namespaces:?}")),
        Response::Id(mut fields) => {
            fields.retain(|(_, value)| value.is_some());
            fields.sort();
            facts.push(format!("ID {fields:?}"));
        }
        Response::Other(_) => facts.push("other".to_owned()),
    }
    facts.sort();
    Some(facts)
}

fn our_list(keyword: &str, mut list: List) -> String {
    list.attributes.sort();
    format!("{keyword} {:?} {:?} {:?}", list.attributes, list.delimiter.map(String::from), list.name)
}

fn our_code(code: Code) -> String {
    let expanded = |uids: Vec<Uid>| uids.into_iter().map(Uid::get).collect::<Vec<_>>();
    match code {
        Code::Capability(words) => format!("[CAPABILITY {words:?}]"),
        Code::UidValidity(number) => format!("[UIDVALIDITY {number}]"),
        Code::UidNext(uid) => format!("[UIDNEXT {uid}]"),
        Code::HighestModSeq(modseq) => format!("[HIGHESTMODSEQ {}]", modseq.map_or(0, |modseq| modseq.get())),
        Code::PermanentFlags(flags) => format!("[PERMANENTFLAGS {} {:?}]", flags.listed, flags.new_keywords),
        Code::ReadOnly => "[READ-ONLY]".to_owned(),
        Code::ReadWrite => "[READ-WRITE]".to_owned(),
        Code::UidNotSticky => "[UIDNOTSTICKY]".to_owned(),
        Code::AppendUid(number, uids) => format!("[APPENDUID {number} {:?}]", expanded(uids)),
        Code::CopyUid(number, from, to) => format!("[COPYUID {number} {:?} {:?}]", expanded(from), expanded(to)),
        Code::Other(name, rest) if name == "UNSEEN" => format!("[UNSEEN {rest}]"),
        Code::Other(name, _) => format!("[{name}]"),
        code => format!("[{code:?}]"),
    }
}

fn theirs(line: &[u8]) -> Option<Facts> {
    let line = [line, b"\r\n"].concat();
    let (rest, response) = imap_proto::Response::parse(&line).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let mut facts = Facts::new();
    match response {
        imap_proto::Response::Continue(outcome) => {
            facts.push(format!("+ {}", outcome.information.as_deref().unwrap_or_default()));
        }
        imap_proto::Response::Done { tag, status, outcome } => {
            facts.push(format!("{} {status:?} {}", tag.0, outcome.information.as_deref().unwrap_or_default()));
            facts.extend(outcome.code.map(their_code));
        }
        imap_proto::Response::Data { status, outcome } => {
            facts.push(format!("* {status:?} {}", outcome.information.as_deref().unwrap_or_default()));
            facts.extend(outcome.code.map(their_code));
        }
        imap_proto::Response::Capabilities(words) => facts.push(format!("CAPABILITY {:?}", capabilities(&words))),
        imap_proto::Response::Expunge(number) => facts.push(format!("{number} EXPUNGE")),
        imap_proto::Response::Vanished { earlier, uids } => {
            let mut set = UidSet::new();
            for range in uids.iter().filter(|range| !range.is_empty()) {
                set.insert_range(Uid::new(*range.start())?..=Uid::new(*range.end())?);
            }
            facts.push(format!("VANISHED {earlier} {set}"));
        }
        imap_proto::Response::Fetch(number, items) => {
            facts.push(format!("{number} FETCH"));
            items.iter().for_each(|item| facts.extend(their_item(item)));
        }
        imap_proto::Response::MailboxData(MailboxDatum::Exists(number)) => facts.push(format!("{number} EXISTS")),
        imap_proto::Response::MailboxData(MailboxDatum::Recent(number)) => facts.push(format!("{number} RECENT")),
        imap_proto::Response::MailboxData(MailboxDatum::Flags(words)) => facts.push(format!("FLAGS {}", flags(&words))),
        imap_proto::Response::MailboxData(MailboxDatum::Search(numbers)) => {
            facts.push(format!("SEARCH {}", numbers.into_iter().filter_map(Uid::new).collect::<UidSet>()));
        }
        imap_proto::Response::MailboxData(MailboxDatum::List(list)) => {
            let mut attributes: Vec<String> = list.name_attributes.iter().map(attribute).collect();
            attributes.sort();
            let name = Bytes::copy_from_slice(list.name.as_bytes());
            facts.push(format!("LIST {attributes:?} {:?} {name:?}", list.delimiter.map(|sign| sign.into_owned())));
        }
        imap_proto::Response::MailboxData(MailboxDatum::Status { mailbox, status }) => {
            facts.push(format!("STATUS {:?}", Bytes::copy_from_slice(mailbox.as_bytes())));
            for item in status {
                match item {
                    StatusAttribute::HighestModSeq(number) => facts.push(format!("HIGHESTMODSEQ {number}")),
                    StatusAttribute::Messages(number) => facts.push(format!("MESSAGES {number}")),
                    StatusAttribute::UidNext(number) => facts.push(format!("UIDNEXT {number}")),
                    StatusAttribute::UidValidity(number) => facts.push(format!("UIDVALIDITY {number}")),
                    _ => {}
                }
            }
        }
        imap_proto::Response::Id(fields) => {
            let fields = fields.unwrap_or_default();
            let mut fields: Vec<(String, Option<String>)> =
                fields.iter().map(|(field, value)| (field.to_lowercase(), Some(value.to_string()))).collect();
            fields.sort();
            facts.push(format!("ID {fields:?}"));
        }
        _ => facts.push("other".to_owned()),
    }
    facts.sort();
    facts.dedup();
    Some(facts)
}

fn their_item(item: &AttributeValue<'_>) -> Option<String> {
    Some(match item {
        AttributeValue::Uid(number) => format!("UID {number}"),
        AttributeValue::Flags(words) => format!("FLAGS {}", flags(words)),
        AttributeValue::ModSeq(number) => format!("MODSEQ {number}"),
        AttributeValue::InternalDate(date) => format!("INTERNALDATE {}", InternalDate::parse(date)?.unix()),
        AttributeValue::Rfc822Size(number) => format!("SIZE {number}"),
        AttributeValue::BodySection { section: None, index: None, data } => match data {
            Some(octets) => format!("BODY {:?}", Bytes::copy_from_slice(octets)),
            None => "BODY NIL".to_owned(),
        },
        AttributeValue::BodySection {
            section: Some(SectionPath::Full(MessageSection::Header)),
            index: None,
            data: Some(octets),
        } => format!("HEADER {:?}", Bytes::copy_from_slice(octets)),
        _ => return None,
    })
}

fn their_code(code: ResponseCode<'_>) -> String {
    let expanded = |members: Vec<UidSetMember>| {
        members.into_iter().fold(Vec::new(), |mut uids, member| {
            match member {
                UidSetMember::UidRange(range) => uids.extend(range),
                UidSetMember::Uid(uid) => uids.push(uid),
            }
            uids
        })
    };
    match code {
        ResponseCode::Alert => "[ALERT]".to_owned(),
        ResponseCode::BadCharset(_) => "[BADCHARSET]".to_owned(),
        ResponseCode::Capabilities(words) => format!("[CAPABILITY {:?}]", capabilities(&words)),
        ResponseCode::HighestModSeq(number) => format!("[HIGHESTMODSEQ {number}]"),
        ResponseCode::Parse => "[PARSE]".to_owned(),
        ResponseCode::PermanentFlags(words) => {
            let new_keywords = match words.iter().any(|word| word == "\\*") {
                true => crate::mail::NewKeywords::Taken,
                false => crate::mail::NewKeywords::Refused,
            };
            format!("[PERMANENTFLAGS {} {new_keywords:?}]", flags(&words))
        }
        ResponseCode::ReadOnly => "[READ-ONLY]".to_owned(),
        ResponseCode::ReadWrite => "[READ-WRITE]".to_owned(),
        ResponseCode::TryCreate => "[TRYCREATE]".to_owned(),
        ResponseCode::UidNext(number) => format!("[UIDNEXT {number}]"),
        ResponseCode::UidValidity(number) => format!("[UIDVALIDITY {number}]"),
        ResponseCode::Unseen(number) => format!("[UNSEEN {number}]"),
        ResponseCode::AppendUid(number, uids) => format!("[APPENDUID {number} {:?}]", expanded(uids)),
        ResponseCode::CopyUid(number, from, to) => {
            format!("[COPYUID {number} {:?} {:?}]", expanded(from), expanded(to))
        }
        ResponseCode::UidNotSticky => "[UIDNOTSTICKY]".to_owned(),
        ResponseCode::MetadataMaxSize(_) => "[METADATA]".to_owned(),
        code => format!("[{code:?}]"),
    }
}

fn flags(words: &[std::borrow::Cow<'_, str>]) -> FlagSet {
    words.iter().filter_map(|word| Flag::parse(word)).collect()
}

fn capabilities(words: &[Capability<'_>]) -> Vec<String> {
    let spelled = words.iter().map(|word| match word {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(mechanism) => format!("AUTH={mechanism}").to_ascii_uppercase(),
        Capability::Atom(word) => word.to_ascii_uppercase(),
    });
    spelled.collect()
}

fn attribute(attribute: &NameAttribute<'_>) -> String {
    match attribute {
        NameAttribute::Extension(name) => name.trim_start_matches('\\').to_ascii_lowercase(),
        known => format!("{known:?}").to_ascii_lowercase(),
    }
}

/// How the two readings of a line relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Same,
    BothRefuse,
    /// imap-proto refuses the line.
    OnlyOurs,
    /// We refuse it, since a value would have to be guessed.
    OnlyTheirs,
    /// The difference that is named in the table.
    Differs,
}

fn relation(line: &[u8]) -> Relation {
    match (ours(line), theirs(line)) {
        (Some(ours), Some(theirs)) if ours == theirs => Relation::Same,
        (Some(_), Some(_)) => Relation::Differs,
        (Some(_), None) => Relation::OnlyOurs,
        (None, Some(_)) => Relation::OnlyTheirs,
        (None, None) => Relation::BothRefuse,
    }
}

#[test]
fn the_readings_relate_as_the_table_says() {
    use Relation::{BothRefuse, Differs, OnlyOurs, OnlyTheirs, Same};
    let mut wrong = Vec::new();
    for (line, expected, why) in [
        (&b"* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN] Dovecot ready."[..], Same, ""),
        (b"* PREAUTH x", Same, ""),
        (b"* BYE Logging out", Same, ""),
        (b"A1 OK", Same, ""),
        (b"A1 NO [TRYCREATE] Mailbox doesn't exist: x", Same, ""),
        (b"A1 BAD Error in IMAP command", Same, ""),
        (b"+ idling", Same, ""),
        (b"* OK [UIDVALIDITY 1699999999] UIDs valid", Same, ""),
        (b"* OK [UIDNEXT 4] Predicted next UID", Same, ""),
        (b"* OK [HIGHESTMODSEQ 7] Highest", Same, ""),
        (b"* OK [UNSEEN 1] First unseen.", Same, ""),
        (b"* OK [PERMANENTFLAGS (\\Answered \\Seen $x \\*)] Flags permitted.", Same, ""),
        (b"* OK [PERMANENTFLAGS ()] Read-only mailbox.", Same, ""),
        (b"A1 OK [READ-WRITE] Select completed (0.001 + 0.000 secs).", Same, ""),
        (b"A1 OK [READ-ONLY] Examine completed.", Same, ""),
        (b"A1 OK [APPENDUID 1699999999 7] Append completed.", Same, ""),
        (b"A1 OK [APPENDUID 1699999999 7:9,12] Append completed.", Same, ""),
        (b"* OK [COPYUID 1 1:2,5 7:9] Moved UIDs.", Same, ""),
        (b"A1 OK [COPYUID 1 9:8 3:4]", Same, ""),
        (b"* NO [UIDNOTSTICKY] x", Same, ""),
        (b"* OK [ALERT] x", Same, ""),
        (b"* NO [PARSE] x", Same, ""),
        (b"A1 NO [BADCHARSET (US-ASCII)] x", Same, ""),
        (b"* CAPABILITY IMAP4rev1 IDLE QRESYNC", Same, ""),
        (b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded)", Same, ""),
        (b"* 3 EXISTS", Same, ""),
        (b"* 0 RECENT", Same, ""),
        (b"* 2 EXPUNGE", Same, ""),
        (b"* VANISHED (EARLIER) 1:3,5", Same, ""),
        (b"* VANISHED 7", Same, ""),
        (b"* LIST (\\HasNoChildren \\Sent) \".\" INBOX.Sent", Same, ""),
        (b"* LIST (\\Noselect) NIL \"a b\"", Same, ""),
        (b"* LIST () \"/\" {3}\r\na b", Same, ""),
        (b"* STATUS INBOX (MESSAGES 3 RECENT 0 UIDNEXT 4 UIDVALIDITY 1 UNSEEN 0 HIGHESTMODSEQ 9)", Same, ""),
        (b"* STATUS x ()", Same, ""),
        (b"* SEARCH", Same, ""),
        (b"* SEARCH 2 84 882", Same, ""),
        (b"* ID (\"name\" \"Dovecot\" \"x\" NIL)", Same, ""),
        (b"* ID NIL", Same, ""),
        (b"* 1 FETCH (UID 3 MODSEQ (9) FLAGS (\\Seen \\Recent $x))", Same, ""),
        (b"* 1 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 44827)", Same, ""),
        (b"* 1 FETCH (UID 1 BODY[] {5}\r\n)\r\n())", Same, ""),
        (b"* 1 FETCH (BODY[HEADER.FIELDS (Date To)] {4}\r\na\r\n\n)", Same, ""),
        (b"* 1 FETCH (BODY[] NIL)", Same, ""),
        (b"* 1 FETCH (EMAILID (M1) THREADID NIL X-GM-MSGID 5 UID 4)", Same, ""),
        (b"* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) UID 4)", Same, ""),
        (b"* QUOTAROOT INBOX \"\"", Same, ""),
        (b"A1", BothRefuse, ""),
        (b"* 1 FETCH (UID", BothRefuse, ""),
        (b"* LIST () \"/\" \"a", BothRefuse, ""),
        (b"* VANISHED 1,,2", BothRefuse, ""),
        // imap-proto loses what it does not know.
        (b"* OK [NOMODSEQ] x", Differs, "the code is left in the text"),
        (b"A1 OK [MODIFIED 7,9] x", Differs, "the code is left in the text"),
        (b"* OK [CLOSED] Previous mailbox closed.", Differs, "the code is left in the text"),
        (b"A1 NO [OVERQUOTA] x", Differs, "the code is left in the text"),
        (b"* OK [MAILBOXID (abc)] x", Differs, "the code is left in the text"),
        (b"* OK [CAPABILITY IMAP4rev2] x", Differs, "the code is left in the text without IMAP4rev1"),
        (b"* OK [PERMANENTFLAGS (\\Seen h\xe9)] x", Differs, "one flag loses them all"),
        (b"* ENABLED QRESYNC", Differs, "ENABLED is CAPABILITY"),
        (b"* LSUB () \"/\" a", Differs, "LSUB is LIST"),
        (b"* LIST () \"/\" \"quote\\\"inside\"", Differs, "escapes stay"),
        (b"* LIST () \"\\\\\" a", Differs, "escapes stay"),
        (b"* LIST () \"/\" \"caf\xe9\"", Differs, "octets become U+FFFD"),
        (b"* LIST () \"/\" inbox", Differs, "names are folded"),
        (b"* VANISHED 300:290", Differs, "reversed ranges become empty"),
        (b"* 1 FETCH (RFC822.SIZE 4294967296)", Differs, "the item becomes unknown"),
        (
            b"* 1 FETCH (X-GM-LABELS ({39}\r\nx) UID 99 FLAGS (\\Deleted) X-A (yyyyyyy) UID 4)",
            Differs,
            "a literal is read as items",
        ),
        (b"+ ", Same, ""),
        // imap-proto refuses what servers send.
        (b"* CAPABILITY IMAP4rev2", OnlyOurs, "IMAP4rev1 is missing"),
        (b"* NAMESPACE ((\"\" \"/\")) NIL NIL", OnlyOurs, ""),
        (b"* ESEARCH (TAG \"a\") UID ALL 1", OnlyOurs, ""),
        (b"* SEARCH 1 (MODSEQ 5)", OnlyOurs, ""),
        (b"* STATUS x (SIZE 5)", OnlyOurs, ""),
        (b"* STATUS x (MAILBOXID (abc))", OnlyOurs, ""),
        (b"* LIST (\\AllMail) \"/\" a", OnlyOurs, "\\All is read first"),
        (b"* LIST () \"/\" a (CHILDINFO (\"SUBSCRIBED\"))", OnlyOurs, ""),
        (b"* LIST () \"/\" 50%", OnlyOurs, ""),
        (b"* 1 FETCH ()", OnlyOurs, ""),
        (b"* 1 FETCH (BODY[] ~{1}\r\na)", OnlyOurs, "literal8"),
        (b"* 1 FETCH (BODY[] {1}\r\n\0)", Same, ""),
        (b"* 1 FETCH (BINARY.SIZE[1] 5)", OnlyOurs, ""),
        (b"* ID ()", OnlyOurs, ""),
        (b"* XLIST () \"/\" a", OnlyOurs, "a response of an extension"),
        (b"* THREAD (1)", OnlyOurs, "a response of an extension"),
        (b"* OK a\0b", OnlyOurs, "NUL in a text is shown"),
        // We refuse what would have to be guessed.
        (b"* OK [UIDVALIDITY 0] x", Differs, "no UIDVALIDITY"),
        (b"* OK [UIDNEXT 0] x", Differs, "no UID"),
        (b"* OK [HIGHESTMODSEQ 9223372036854775808] x", Differs, "beyond RFC 7162"),
        (b"* OK [APPENDUID 7 x] x", Differs, "the code is left in the text"),
        (b"* OK [COPYUID 1 1:2 9] x", Differs, "unequal lengths"),
        (b"* 0 EXPUNGE", OnlyTheirs, "no message number"),
        (b"* 1 FETCH (UID 0)", OnlyTheirs, "no UID"),
        (b"* 1 FETCH (UID 4294967296)", OnlyTheirs, "the item becomes unknown"),
        (b"* 1 FETCH (FLAGS (\\Seen h\xe9))", OnlyTheirs, "the item becomes unknown"),
        (b"* 1 FETCH (FLAGS NIL)", OnlyTheirs, "the item becomes unknown"),
        (b"* 1 FETCH (UID 3 UID 4)", OnlyTheirs, "a contradiction"),
        (b"* 1 FETCH (MODSEQ (0))", Differs, "no mod-sequence"),
        (b"* SEARCH 0", OnlyTheirs, "no UID"),
    ] {
        let found = relation(line);
        if found != expected {
            let (ours, theirs) = (ours(line), theirs(line));
            wrong.push(format!("{}: {found:?}, not {expected:?} {why}\n{ours:?}\n{theirs:?}\n", line.escape_ascii()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn a_session_with_dovecot_is_read_alike_but_for_what_is_lost() {
    let mut counts = [0; 3];
    for frame in super::tests::frames(super::tests::DOVECOT) {
        match relation(&frame.octets) {
            Relation::Same => counts[0] += 1,
            Relation::OnlyOurs => counts[1] += 1,
            Relation::Differs => counts[2] += 1,
            relation => panic!("{relation:?}: {}", frame.octets.escape_ascii()),
        }
    }
    // Refused: NAMESPACE, STATUS with SIZE, SEARCH with MODSEQ, ESEARCH, BINARY. Lost: MODIFIED, CLOSED, escapes in LIST,
    // LSUB, ENABLED.
    assert_eq!(counts, [113, 7, 6]);
}

/// Items of a FETCH as servers write them.
fn item() -> impl Strategy<Value = String> {
    let flag =
        prop::sample::select(vec!["\\Seen", "\\Answered", "\\Recent", "$Forwarded", "NonJunk", "\\Important", "a.b"]);
    prop_oneof![
        (1u32..).prop_map(|uid| format!("UID {uid}")),
        (1u64..1 << 63).prop_map(|modseq| format!("MODSEQ ({modseq})")),
        prop::collection::vec(flag, 0..5).prop_map(|flags| format!("FLAGS ({})", flags.join(" "))),
        any::<u32>().prop_map(|size| format!("RFC822.SIZE {size}")),
        (1u8..29, 1000u16..10000, 0u8..24, 0u8..60).prop_map(|(day, year, hour, minute)| {
            format!("INTERNALDATE \"{day:02}-Feb-{year} {hour:02}:{minute:02}:00 +0130\"")
        }),
        "[a-z(){}\"\r\n]{0,20}".prop_map(|text| format!("BODY[] {{{}}}\r\n{text}", text.len())),
        "[a-z: \r\n)]{0,20}".prop_map(|text| format!("BODY[HEADER] {{{}}}\r\n{text}", text.len())),
        Just("BODY[] NIL".to_owned()),
        Just("X-GM-THRID 5".to_owned()),
        Just("SAVEDATE \"x\"".to_owned()),
    ]
}

fn name_of(item: &str) -> &str {
    item.split(' ').next().unwrap_or_default()
}

proptest! {
    #[test]
    fn fetches_are_read_alike(number in 1u32.., items in prop::collection::vec(item(), 1..6)) {
        let mut items = items;
        items.sort_by(|a, b| name_of(a).cmp(name_of(b)));
        items.dedup_by(|a, b| name_of(a) == name_of(b));
        let line = format!("* {number} FETCH ({})", items.join(" "));
        prop_assert_eq!(relation(line.as_bytes()), Relation::Same, "{}", line);
    }

    #[test]
    fn lists_and_statuses_are_read_alike(
        name in "[a-zA-Z0-9./&,+-]{1,12}",
        spaces in "[a-z ()\\[\\]{}%*~]{1,12}",
        (messages, next, validity, modseq) in (any::<u32>(), 1u32.., 1u32.., 0u64..1 << 63),
    ) {
        prop_assume!(!name.eq_ignore_ascii_case("inbox") && !name.eq_ignore_ascii_case("nil"));
        for line in [
            format!("* LIST (\\HasChildren) \"/\" {name}"),
            format!("* LIST (\\Marked \\Trash) \".\" \"{spaces}\""),
            format!("* LIST () NIL {{{}}}\r\n{spaces}", spaces.len()),
            format!("* STATUS {name} (MESSAGES {messages} UIDNEXT {next} UIDVALIDITY {validity} HIGHESTMODSEQ {modseq})"),
            format!("* STATUS \"{spaces}\" (HIGHESTMODSEQ {modseq} MESSAGES {messages})"),
            format!("* OK [UIDNEXT {next}] x{spaces}"),
            format!("a{messages} OK [UIDVALIDITY {validity}] x{spaces}"),
            format!("* SEARCH {next} {validity}"),
            format!("* {messages} EXISTS"),
        ] {
            prop_assert_eq!(relation(line.as_bytes()), Relation::Same, "{}", line);
        }
    }

    #[test]
    fn sets_are_read_alike(ranges in prop::collection::vec((1u32..1 << 31, 0u32..50), 1..20)) {
        let text: Vec<String> = ranges
            .iter()
            .map(|(from, more)| if *more == 0 { from.to_string() } else { format!("{from}:{}", from + more) })
            .collect();
        let text = text.join(",");
        for line in [
            format!("* VANISHED (EARLIER) {text}"),
            format!("A1 OK [APPENDUID 5 {text}] x"),
            format!("A1 OK [COPYUID 5 {text} {text}] x"),
        ] {
            prop_assert_eq!(relation(line.as_bytes()), Relation::Same, "{}", line);
        }
    }
}
