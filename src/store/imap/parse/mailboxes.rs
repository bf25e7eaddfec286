//! LIST, LSUB, NAMESPACE, STATUS: which mailboxes there are, and what each holds.

use bytes::Bytes;

use super::numbers::{modseq_if_any, number_if_any};
use super::once;
use super::printable::printable;
use super::token::{Fault, Tokens};
use crate::mail::{MailboxId, Uid, UidValidity};
use crate::store::imap::response::{List, MailboxStatusItems, Namespace, Namespaces};

/// Most attributes of one mailbox.
const ATTRIBUTES_LIMIT: usize = 256;

/// `mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox [SP mbox-list-extended]`
pub(super) fn list(tokens: &mut Tokens<'_>) -> Result<List, Fault> {
    let attributes = attributes(tokens)?;
    tokens.blank()?;
    let delimiter = delimiter(tokens)?;
    tokens.blank()?;
    let name = tokens.mailbox()?;
    tokens.blanks();
    let old_name = if tokens.peek() == Some(b'(') { extended(tokens)? } else { None };
    tokens.end()?;
    Ok(List { attributes, delimiter, name, old_name })
}

fn attributes(tokens: &mut Tokens<'_>) -> Result<Vec<String>, Fault> {
    const EXPECTED: &str = "the attributes of a mailbox";
    let mut attributes = Vec::new();
    tokens.expect(b'(', EXPECTED)?;
    loop {
        tokens.blanks();
        if tokens.eat(b')') {
            return Ok(attributes);
        }
        let word = tokens.word(EXPECTED)?;
        if attributes.len() == ATTRIBUTES_LIMIT {
            return Err(tokens.fault("fewer attributes of a mailbox"));
        }
        attributes.push(printable(word.strip_prefix(b"\\").unwrap_or(word)).to_ascii_lowercase());
    }
}

/// The sign between levels. An empty string is what some servers say instead of NIL, and a backslash may stand there as it
/// is (`quirks`: backslash-delimiter).
fn delimiter(tokens: &mut Tokens<'_>) -> Result<Option<char>, Fault> {
    let fault = tokens.fault("a hierarchy delimiter");
    if tokens.rest().starts_with(b"\"\\\" ") {
        tokens.take(3);
        return Ok(Some('\\'));
    }
    match tokens.nstring(fault.expected)?.as_deref() {
        None | Some([]) => Ok(None),
        Some([sign]) if sign.is_ascii_graphic() || *sign == b' ' => Ok(Some(char::from(*sign))),
        Some(_) => Err(fault),
    }
}

/// `mbox-list-extended = "(" [item *(SP item)] ")"`, an item being a name and a value: OLDNAME is kept (RFC 9051
/// §6.3.9.7), `"OLDNAME" SP "(" mailbox ")"`.
fn extended(tokens: &mut Tokens<'_>) -> Result<Option<Bytes>, Fault> {
    const EXPECTED: &str = "extended data of a mailbox";
    let mut old_name = None;
    tokens.expect(b'(', EXPECTED)?;
    loop {
        tokens.blanks();
        if tokens.eat(b')') {
            return Ok(old_name);
        }
        let name = tokens.astring(EXPECTED)?;
        tokens.blank()?;
        if !name.eq_ignore_ascii_case(b"OLDNAME") {
            tokens.skip()?;
            continue;
        }
        tokens.expect(b'(', EXPECTED)?;
        tokens.blanks();
        old_name = Some(tokens.astring(EXPECTED)?);
        tokens.blanks();
        tokens.expect(b')', EXPECTED)?;
    }
}

/// `namespace SP namespace SP namespace`: the user's own, other users', shared ones; `namespace = nil / "(" 1*descr ")"`,
/// `descr = "(" string SP (DQUOTE QUOTED-CHAR DQUOTE / nil) [extensions] ")"` (RFC 9051 §7.3.5).
pub(super) fn namespaces(tokens: &mut Tokens<'_>) -> Result<Namespaces, Fault> {
    let mut namespaces = Namespaces { personal: personal(tokens)?, of_others: Vec::new() };
    for _others_and_shared in 0..2 {
        tokens.blank()?;
        prefixes(tokens, &mut namespaces.of_others)?;
    }
    tokens.end()?;
    Ok(namespaces)
}

fn prefixes(tokens: &mut Tokens<'_>, prefixes: &mut Vec<Bytes>) -> Result<(), Fault> {
    const EXPECTED: &str = "a namespace";
    if tokens.nil() {
        return Ok(());
    }
    tokens.expect(b'(', EXPECTED)?;
    loop {
        tokens.blanks();
        if tokens.eat(b')') {
            return Ok(());
        }
        tokens.expect(b'(', EXPECTED)?;
        tokens.blanks();
        prefixes.push(tokens.string(EXPECTED)?);
        tokens.skip_rest_of_list()?;
    }
}

fn personal(tokens: &mut Tokens<'_>) -> Result<Option<Namespace>, Fault> {
    const EXPECTED: &str = "a namespace";
    if tokens.nil() {
        return Ok(None);
    }
    tokens.expect(b'(', EXPECTED)?;
    tokens.blanks();
    tokens.expect(b'(', EXPECTED)?;
    tokens.blanks();
    let prefix = tokens.string(EXPECTED)?;
    tokens.blank()?;
    let delimiter = delimiter(tokens)?;
    tokens.skip_rest_of_list()?;
    tokens.skip_rest_of_list()?;
    Ok(Some(Namespace { prefix, delimiter }))
}

/// `mailbox SP "(" [status-att-list] ")"`; items that we do not know are passed over. A number that cannot be meant is one
/// that was not said: a mailbox whose status is not complete is opened, and one such line does not spoil a listing.
pub(super) fn status(tokens: &mut Tokens<'_>) -> Result<MailboxStatusItems, Fault> {
    let mut items = MailboxStatusItems { name: tokens.mailbox()?, ..MailboxStatusItems::default() };
    tokens.blank()?;
    tokens.expect(b'(', "the items of a STATUS")?;
    tokens.blanks();
    while !tokens.eat(b')') {
        let fault = tokens.fault("an item that does not contradict itself");
        let name = tokens.word("the name of an item")?.to_ascii_uppercase();
        tokens.blank()?;
        match name.as_slice() {
            b"MESSAGES" => status_item(&mut items.messages, tokens, fault, Some)?,
            b"UIDNEXT" => status_item(&mut items.uid_next, tokens, fault, Uid::new)?,
            b"UIDVALIDITY" => status_item(&mut items.uid_validity, tokens, fault, UidValidity::new)?,
            b"HIGHESTMODSEQ" => once(&mut items.highest_modseq, modseq_if_any(tokens)?, fault)?,
            // NIL: there is no limit (RFC 7889 §3.2).
            b"APPENDLIMIT" => {
                let limit = number_if_any(tokens, "a number", Some)?;
                limit.map_or(Ok(()), |limit| once(&mut items.append_limit, limit, fault))?;
            }
            b"MAILBOXID" => {
                let mut value = tokens.clone();
                tokens.skip()?;
                items.mailbox_id = mailbox_id(&mut value);
            }
            _ => tokens.skip()?,
        }
        if tokens.peek() != Some(b')') {
            tokens.blank()?;
        }
    }
    tokens.end()?;
    Ok(items)
}

fn status_item<T: PartialEq>(
    item: &mut Option<T>,
    tokens: &mut Tokens<'_>,
    fault: Fault,
    meant: impl FnOnce(u32) -> Option<T>,
) -> Result<(), Fault> {
    match number_if_any(tokens, "a number", |number| u32::try_from(number).ok().and_then(meant))? {
        Some(value) => once(item, value, fault),
        None => Ok(()),
    }
}

/// `"(" objectid ")"` (RFC 8474 §7). `None` for what is no identity.
pub(super) fn mailbox_id(tokens: &mut Tokens<'_>) -> Option<MailboxId> {
    tokens.eat(b'(').then_some(())?;
    tokens.blanks();
    let word = tokens.word("a mailbox id").ok()?;
    tokens.blanks();
    tokens.eat(b')').then_some(())?;
    MailboxId::new(std::str::from_utf8(word).ok()?)
}
