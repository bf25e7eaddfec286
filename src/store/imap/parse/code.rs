//! Response codes: what stands in brackets before the text of a status line.

use super::numbers::{modseq_or_zero, uid, uid_set, uid_validity, uids_in_order};
use super::printable::printable;
use super::token::{Fault, Tokens};
use super::{flags, mailboxes, words};
use crate::store::imap::response::Code;

/// `resp-text = ["[" resp-text-code "]" SP] [text]` (RFC 9051 §9): the code, and the text made printable.
///
/// A code on whose data we rely is an error where it is malformed: a UIDVALIDITY or APPENDUID that is overlooked is
/// worse than a connection that is lost. MAILBOXID is not, since Cyrus sends garbage there. Where the brackets are not
/// those of a code, they are text. Codes that we do not know are kept by name.
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

/// How long the code between `[` and `]` is, if there is one.
fn bracketed(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"[")?;
    let length = memchr::memchr(b']', inner)?;
    inner.first().is_some_and(u8::is_ascii_alphanumeric).then_some(length)
}

fn code(tokens: &mut Tokens<'_>) -> Result<Code, Fault> {
    let name = tokens.word_until("a response code", |octet| octet == b' ')?;
    let upper = name.to_ascii_uppercase();
    let code = match upper.as_slice() {
        b"CAPABILITY" => Code::Capability(words::capabilities(tokens)?),
        b"UIDVALIDITY" => Code::UidValidity(argument(tokens, uid_validity)?),
        b"UIDNEXT" => Code::UidNext(argument(tokens, uid)?),
        b"HIGHESTMODSEQ" => Code::HighestModSeq(argument(tokens, modseq_or_zero)?),
        b"NOMODSEQ" => Code::NoModSeq,
        b"MODIFIED" => Code::Modified(argument(tokens, uid_set)?),
        b"CLOSED" => Code::Closed,
        b"PERMANENTFLAGS" => Code::PermanentFlags(argument(tokens, flags::of_mailbox)?),
        b"READ-ONLY" => Code::ReadOnly,
        b"READ-WRITE" => Code::ReadWrite,
        b"UIDNOTSTICKY" => Code::UidNotSticky,
        b"APPENDUID" => {
            let uid_validity = argument(tokens, uid_validity)?;
            Code::AppendUid(uid_validity, argument(tokens, uids_in_order)?)
        }
        b"COPYUID" => {
            let uid_validity = argument(tokens, uid_validity)?;
            let source = argument(tokens, uids_in_order)?;
            let fault = tokens.fault("as many UIDs of copies as of originals");
            let target = argument(tokens, uids_in_order)?;
            if source.len() != target.len() {
                return Err(fault);
            }
            Code::CopyUid(uid_validity, source, target)
        }
        b"MAILBOXID" => {
            tokens.blanks();
            Code::MailboxId(mailboxes::mailbox_id(tokens))
        }
        _ => {
            tokens.blanks();
            return Ok(Code::Other(printable(&upper), printable(tokens.rest())));
        }
    };
    match code {
        // Codes without data may bear some in an extension to come; garbage may hold anything.
        Code::NoModSeq | Code::Closed | Code::ReadOnly | Code::ReadWrite | Code::UidNotSticky | Code::MailboxId(_) => {}
        _ => tokens.end()?,
    }
    Ok(code)
}

fn argument<'a, T>(
    tokens: &mut Tokens<'a>,
    read: impl FnOnce(&mut Tokens<'a>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    tokens.blank()?;
    read(tokens)
}
