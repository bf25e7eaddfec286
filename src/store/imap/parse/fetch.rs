//! FETCH: the items that we ask for; others are passed over by their structure. An item that we know is read or is an
//! error, for where silence means "unchanged" an item that was lost is a change that was lost. Only of a size and a
//! mod-sequence, which are hints, is a value that cannot be meant as good as none.

use bytes::Bytes;

use super::flags;
use super::numbers::{modseq_if_any, number_if_any, uid};
use super::once;
use super::token::{Fault, Text, Tokens};
use crate::mail::InternalDate;
use crate::store::imap::response::{BodyItem, Fetch};

/// The largest size a message can be said to have (RFC 9051 §4.2: number64 ends at 2^63-1).
const SIZE_LIMIT: u64 = i64::MAX as u64;

/// `"(" [msg-att *(SP msg-att)] ")"`, behind `* n FETCH`.
pub(super) fn items(number_of_message: u32, tokens: &mut Tokens<'_>) -> Result<Fetch, Fault> {
    let mut fetch = Fetch { number: number_of_message, ..Fetch::default() };
    tokens.expect(b'(', "the items of a FETCH")?;
    tokens.blanks();
    while !tokens.eat(b')') {
        item(&mut fetch, tokens)?;
        if tokens.peek() != Some(b')') {
            tokens.blank()?;
        }
    }
    tokens.end()?;
    Ok(fetch)
}

fn item(fetch: &mut Fetch, tokens: &mut Tokens<'_>) -> Result<(), Fault> {
    let fault = tokens.fault("an item that does not contradict itself");
    let name = name(tokens)?;
    if matches!(name, Name::Body) && matches!(tokens.rest(), [b')', ..] | [b' ', b')', ..]) {
        // Nothing at all where the octets should stand (`quirks`: body-without-value).
        return once(&mut fetch.body, BodyItem::Nil, fault);
    }
    tokens.blank()?;
    match name {
        Name::Uid => once(&mut fetch.uid, uid(tokens)?, fault),
        Name::Flags => once(&mut fetch.flags, flags::of_message(tokens)?, fault),
        Name::ModSeq => {
            const EXPECTED: &str = "a mod-sequence in parentheses";
            tokens.expect(b'(', EXPECTED)?;
            tokens.blanks();
            let modseq = modseq_if_any(tokens)?;
            tokens.blanks();
            tokens.expect(b')', EXPECTED)?;
            modseq.map_or(Ok(()), |modseq| once(&mut fetch.modseq, modseq, fault))
        }
        Name::InternalDate => {
            let malformed = tokens.fault("a date and time");
            let text = tokens.string(malformed.expected)?;
            let date = std::str::from_utf8(&text).ok().and_then(InternalDate::parse).ok_or(malformed)?;
            once(&mut fetch.internal_date, date, fault)
        }
        Name::Size => {
            let meant = |number| Some(number).filter(|size| *size <= SIZE_LIMIT);
            let size = number_if_any(tokens, "the size of a message", meant)?;
            size.map_or(Ok(()), |size| once(&mut fetch.size, size, fault))
        }
        // NIL is no header. Read as an empty one, it would make all messages alike that the server cannot read.
        Name::Header => once(&mut fetch.header, tokens.string("a header")?, fault),
        Name::Body => once(&mut fetch.body, body(tokens)?, fault),
        Name::Other => tokens.skip(),
    }
}

fn body(tokens: &mut Tokens<'_>) -> Result<BodyItem, Fault> {
    if tokens.nil() {
        return Ok(BodyItem::Nil);
    }
    Ok(match tokens.text("the octets of a message, or NIL")? {
        Text::Octets(octets) => BodyItem::Octets(octets),
        Text::Passed { size, literal } => BodyItem::PassedBy { size, literal },
    })
}

/// The items that we know.
#[derive(Clone, Copy)]
enum Name {
    Uid,
    Flags,
    ModSeq,
    InternalDate,
    Size,
    Header,
    Body,
    Other,
}

/// `UID`, `BODY[HEADER.FIELDS (Date From)]<0>` …: a word, and for some a section and a range behind it.
fn name(tokens: &mut Tokens<'_>) -> Result<Name, Fault> {
    const EXPECTED: &str = "the name of an item";
    let start = tokens.fault(EXPECTED);
    let word = tokens.word_until(EXPECTED, |octet| octet <= b' ' || octet >= 0x7f || b"()[\"{".contains(&octet))?;
    if tokens.eat(b'[') {
        let section = section(tokens)?;
        let partial = tokens.peek() == Some(b'<');
        if partial {
            tokens.word(EXPECTED)?;
        }
        return match section {
            _ if !word.eq_ignore_ascii_case(b"BODY") => Ok(Name::Other),
            Section::Other => Ok(Name::Other),
            // We never ask for a part of a message; taken for the whole it would be a message cut short.
            _ if partial => Err(Fault { expected: "an item that was asked for", ..start }),
            Section::Whole => Ok(Name::Body),
            Section::Header => Ok(Name::Header),
        };
    }
    const NAMES: [(&[u8], Name); 5] = [
        (b"UID", Name::Uid),
        (b"FLAGS", Name::Flags),
        (b"MODSEQ", Name::ModSeq),
        (b"INTERNALDATE", Name::InternalDate),
        (b"RFC822.SIZE", Name::Size),
    ];
    Ok(NAMES.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map_or(Name::Other, |(_, name)| *name))
}

/// What stands between `[` and `]`.
enum Section {
    Whole,
    Header,
    Other,
}

/// `section = "[" [section-spec] "]"`, behind the `[`. Which fields a header was cut to is not looked at: it was asked.
fn section(tokens: &mut Tokens<'_>) -> Result<Section, Fault> {
    const EXPECTED: &str = "the end of a section";
    tokens.blanks();
    if tokens.eat(b']') {
        return Ok(Section::Whole);
    }
    let word = tokens.word_until(EXPECTED, |octet| octet <= b' ' || b"()[]\"{".contains(&octet))?;
    let section = match word.eq_ignore_ascii_case(b"HEADER") || word.eq_ignore_ascii_case(b"HEADER.FIELDS") {
        true => Section::Header,
        false => Section::Other,
    };
    tokens.blanks();
    if tokens.peek() == Some(b'(') {
        tokens.skip()?;
        tokens.blanks();
    }
    tokens.expect(b']', EXPECTED)?;
    Ok(section)
}

/// The FETCH whose body is about to pass by, from the part of it that stands before. Its `body` is still `None`.
pub(super) fn completed_head(head: &[u8]) -> Bytes {
    [head, b"NIL)"].concat().into()
}
