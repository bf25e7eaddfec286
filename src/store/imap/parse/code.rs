//! Response codes: what stands in brackets before the text of a status line.

use super::numbers::{modseq_if_any, number32, uid_set, uid_validity, uids_in_order};
use super::printable::printable;
use super::token::{Fault, Tokens};
use super::{flags, mailboxes, words};
use crate::mail::{Uid, UidValidity};
use crate::store::imap::response::Code;

/// `resp-text = ["[" resp-text-code "]" SP] [text]` (RFC 9051 §9): the code, and the text made printable.
///
/// A code on whose data we rely is an error where it is malformed: a MODIFIED that is overlooked is worse than a
/// connection that is lost. Where silence is safe, what cannot be meant is kept by name, like a code that we do not know
/// (`quirks`: codes-that-say-nothing): a UIDVALIDITY or UIDNEXT of 0, an APPENDUID or COPYUID without UIDs, PERMANENTFLAGS
/// without a list. MAILBOXID may hold garbage. Where the brackets are not those of a code, they are text.
pub(super) fn code_and_text(tokens: &mut Tokens<'_>) -> Result<(Option<Code>, String), Fault> {
    tokens.blanks();
    let code = match bracketed(tokens.rest()) {
        Some(length) => {
            tokens.take(1);
            let code = code(&mut tokens.take(length))?;
            tokens.take(1);
            Some(code)
        }
        None => None,
    };
    tokens.blanks();
    Ok((code, printable(tokens.rest())))
}

/// How long the code between `[` and `]` is, if there is one. Flags may hold a `]` (`quirks`: flags-that-are-none), so the
/// end of their list is looked for first.
fn bracketed(text: &[u8]) -> Option<usize> {
    const FLAGS: &[u8] = b"PERMANENTFLAGS (";
    let inner = text.strip_prefix(b"[")?;
    let end_of_flags = match inner.get(..FLAGS.len()) {
        Some(name) if name.eq_ignore_ascii_case(FLAGS) => memchr::memmem::find(inner, b")]").map(|at| at + 1),
        _ => None,
    };
    let length = end_of_flags.or_else(|| memchr::memchr(b']', inner))?;
    inner.first().is_some_and(u8::is_ascii_alphanumeric).then_some(length)
}

fn code(tokens: &mut Tokens<'_>) -> Result<Code, Fault> {
    let name = tokens.word_until("a response code", |octet| octet == b' ')?;
    let upper = name.to_ascii_uppercase();
    let mut behind = tokens.clone();
    match known(&upper, tokens)? {
        Some(code) => Ok(code),
        None => {
            behind.blanks();
            Ok(Code::Other(printable(&upper), printable(behind.rest())))
        }
    }
}

/// A code that we know, if it says something.
fn known(upper: &[u8], tokens: &mut Tokens<'_>) -> Result<Option<Code>, Fault> {
    let code = match upper {
        b"CAPABILITY" => Code::Capability(words::capabilities(tokens)?),
        b"UIDVALIDITY" => {
            let number = argument(tokens, |tokens| number32(tokens, "a UIDVALIDITY"))?;
            let Some(uid_validity) = UidValidity::new(number) else { return Ok(None) };
            Code::UidValidity(uid_validity)
        }
        b"UIDNEXT" => {
            let number = argument(tokens, |tokens| number32(tokens, "a UID"))?;
            let Some(uid) = Uid::new(number) else { return Ok(None) };
            Code::UidNext(uid)
        }
        b"HIGHESTMODSEQ" => Code::HighestModSeq(argument(tokens, modseq_if_any)?),
        b"NOMODSEQ" => Code::NoModSeq,
        b"MODIFIED" => Code::Modified(argument(tokens, uid_set)?),
        b"CLOSED" => Code::Closed,
        b"PERMANENTFLAGS" => return Ok(flags::of_mailbox(tokens).map(Code::PermanentFlags)),
        b"READ-ONLY" => Code::ReadOnly,
        b"READ-WRITE" => Code::ReadWrite,
        b"UIDNOTSTICKY" => Code::UidNotSticky,
        b"APPENDUID" => return Ok(append_uid(tokens).ok()),
        b"COPYUID" => return Ok(copy_uid(tokens).ok()),
        b"MAILBOXID" => {
            tokens.blanks();
            Code::MailboxId(mailboxes::mailbox_id(tokens))
        }
        _ => return Ok(None),
    };
    match code {
        // Codes without data may bear some in an extension to come; garbage may hold anything.
        Code::NoModSeq | Code::Closed | Code::ReadOnly | Code::ReadWrite | Code::UidNotSticky | Code::MailboxId(_) => {}
        _ => tokens.end()?,
    }
    Ok(Some(code))
}

fn append_uid(tokens: &mut Tokens<'_>) -> Result<Code, Fault> {
    let uid_validity = argument(tokens, uid_validity)?;
    let uids = argument(tokens, uids_in_order)?;
    tokens.end()?;
    Ok(Code::AppendUid(uid_validity, uids))
}

fn copy_uid(tokens: &mut Tokens<'_>) -> Result<Code, Fault> {
    let uid_validity = argument(tokens, uid_validity)?;
    let source = argument(tokens, uids_in_order)?;
    let fault = tokens.fault("as many UIDs of copies as of originals");
    let target = argument(tokens, uids_in_order)?;
    tokens.end()?;
    if source.len() == target.len() { Ok(Code::CopyUid(uid_validity, source, target)) } else { Err(fault) }
}

fn argument<'a, T>(
    tokens: &mut Tokens<'a>,
    read: impl FnOnce(&mut Tokens<'a>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    tokens.blank()?;
    read(tokens)
}
