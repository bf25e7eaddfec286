//! Reads complete responses: octets in, [`Response`] out. The grammar is RFC 9051's and RFC 3501's with the extensions
//! that we use; it is read liberally where only the form is wrong (blanks, unquoted names), and not at all where a
//! value would have to be guessed.

mod code;
mod fetch;
mod flags;
mod mailboxes;
mod numbers;
mod printable;
mod search;
mod token;
mod words;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::numbers::number32;
pub use self::printable::{PRINTABLE_LIMIT, printable};
use self::token::{Fault, Tokens};
use super::frame::Frame;
use super::response::{BodyItem, Fetch, Response, Status, UntaggedStatus};

/// Why a response cannot be understood. What it was about to say is unknown then, so that whatever relies on its absence
/// must not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's response is malformed, {expected} was expected at octet {at}: {response}")]
pub struct ParseError {
    /// What should have stood there.
    pub expected: &'static str,
    /// Where, counted from 0.
    pub at: usize,
    /// The first line of the response, or the beginning of it, made printable.
    pub response: String,
}

impl ParseError {
    /// Most octets of a response that are shown.
    const EXCERPT: usize = 160;

    fn new(fault: Fault, response: &[u8]) -> ParseError {
        let line = response.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
        let excerpt = line.get(..ParseError::EXCERPT).unwrap_or(line);
        ParseError { expected: fault.expected, at: fault.at, response: printable(excerpt) }
    }
}

/// Reads one response.
pub fn parse(frame: &Frame) -> Result<Response, ParseError> {
    let response = response(Tokens::new(&frame.octets, frame.passed)).and_then(|response| match frame.passed {
        Some(passed) if !has_passed_body(&response) => Err(Fault { expected: "a FETCH with a message", at: passed.at }),
        _ => Ok(response),
    });
    response.map_err(|fault| ParseError::new(fault, &frame.octets))
}

/// Octets that went past as a message's must turn out to be one.
fn has_passed_body(response: &Response) -> bool {
    matches!(response, Response::Fetch(Fetch { body: Some(BodyItem::PassedBy { .. }), .. }))
}

/// Reads the items of a FETCH that stand before a body about to pass by: `head` is that of
/// [`Event::BodyStart`](super::frame::Event::BodyStart). Items may follow behind the body, the UID among them.
pub fn parse_head(head: &[u8]) -> Result<Fetch, ParseError> {
    let octets: Bytes = fetch::completed_head(head);
    let fault = Fault { expected: "a FETCH with a message's octets", at: head.len() };
    let fetch = match response(Tokens::new(&octets, None)) {
        Ok(Response::Fetch(fetch)) if fetch.body == Some(BodyItem::Nil) => Ok(Fetch { body: None, ..fetch }),
        Ok(_) => Err(fault),
        Err(fault) => Err(fault),
    };
    fetch.map_err(|fault| ParseError::new(fault, head))
}

/// `response = continue-req / response-data / response-tagged`
fn response(mut tokens: Tokens<'_>) -> Result<Response, Fault> {
    if tokens.eat(b'+') {
        tokens.eat(b' ');
        return Ok(Response::Continue(tokens.rest_to_keep()));
    }
    if tokens.eat(b'*') {
        tokens.blank()?;
        return untagged(&mut tokens);
    }
    tagged(&mut tokens)
}

/// `response-tagged = tag SP ("OK" / "NO" / "BAD") SP resp-text CRLF`
fn tagged(tokens: &mut Tokens<'_>) -> Result<Response, Fault> {
    let fault = tokens.fault("a tag");
    let word = tokens.word(fault.expected)?;
    let valid = word.iter().all(|octet| octet.is_ascii_graphic() && !b"+*%{\\".contains(octet));
    let tag = if valid { String::from_utf8_lossy(word).into_owned() } else { return Err(fault) };
    tokens.blank()?;
    let fault = tokens.fault("OK, NO or BAD");
    let status = match tokens.word(fault.expected)?.to_ascii_uppercase().as_slice() {
        b"OK" => Status::Ok,
        b"NO" => Status::No,
        b"BAD" => Status::Bad,
        _ => return Err(fault),
    };
    let (code, text) = code::code_and_text(tokens)?;
    Ok(Response::Tagged { tag, status, code, text })
}

/// What follows `* `.
fn untagged(tokens: &mut Tokens<'_>) -> Result<Response, Fault> {
    if tokens.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        return numbered(tokens);
    }
    if tokens.peek() == Some(b'[') {
        // The code of a status without its OK (`quirks`: code-without-ok).
        return status(UntaggedStatus::Ok, tokens);
    }
    let fault = tokens.fault("the name of a response");
    let keyword = tokens.word(fault.expected)?.to_ascii_uppercase();
    match keyword.as_slice() {
        b"OK" => status(UntaggedStatus::Ok, tokens),
        b"NO" => status(UntaggedStatus::No, tokens),
        b"BAD" => status(UntaggedStatus::Bad, tokens),
        b"BYE" => status(UntaggedStatus::Bye, tokens),
        b"PREAUTH" => status(UntaggedStatus::PreAuth, tokens),
        b"CAPABILITY" => words::capabilities(tokens).map(Response::Capability),
        b"ENABLED" => words::capabilities(tokens).map(Response::Enabled),
        b"FLAGS" => {
            // What a mailbox keeps, PERMANENTFLAGS say: nothing is lost with these.
            let flags = flags::of_mailbox(tokens).filter(|_| tokens.eat(b')') && tokens.end().is_ok());
            Ok(flags.map_or(Response::Other("FLAGS".to_owned()), |flags| Response::Flags(flags.listed)))
        }
        b"VANISHED" => search::vanished(tokens),
        b"SEARCH" => search::search(tokens).map(Response::Search),
        b"ESEARCH" => search::esearch(tokens),
        b"LIST" => behind_blank(tokens, mailboxes::list).map(Response::List),
        b"LSUB" => behind_blank(tokens, mailboxes::list).map(Response::Lsub),
        b"STATUS" => behind_blank(tokens, mailboxes::status).map(Response::Status),
        b"NAMESPACE" => behind_blank(tokens, mailboxes::namespaces).map(Response::Namespace),
        b"ID" => behind_blank(tokens, words::id).map(Response::Id),
        // `-1 FETCH` may be about a message.
        [sign, ..] if !sign.is_ascii_alphabetic() => Err(fault),
        other => Ok(Response::Other(printable(other))),
    }
}

fn status(status: UntaggedStatus, tokens: &mut Tokens<'_>) -> Result<Response, Fault> {
    let (code, text) = code::code_and_text(tokens)?;
    Ok(Response::Untagged { status, code, text })
}

/// `message-data = nz-number SP ("EXPUNGE" / ("FETCH" SP msg-att))`, and EXISTS and RECENT, which count from 0.
fn numbered(tokens: &mut Tokens<'_>) -> Result<Response, Fault> {
    let fault = tokens.fault("the number of a message");
    let number = number32(tokens, fault.expected)?;
    tokens.blank()?;
    let keyword = tokens.word("the name of a response")?.to_ascii_uppercase();
    let response = match keyword.as_slice() {
        b"EXISTS" => Response::Exists(number),
        b"RECENT" => Response::Recent(number),
        b"EXPUNGE" if number == 0 => return Err(fault),
        b"EXPUNGE" => Response::Expunge(number),
        // Who a message is, its UID says; the number may be 0 (`quirks`: fetch-of-zero).
        b"FETCH" => {
            tokens.blank()?;
            return fetch::items(number, tokens).map(Response::Fetch);
        }
        other => return Ok(Response::Other(printable(other))),
    };
    tokens.end()?;
    Ok(response)
}

fn behind_blank<'a, T>(
    tokens: &mut Tokens<'a>,
    read: impl FnOnce(&mut Tokens<'a>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    tokens.blank()?;
    read(tokens)
}

/// Servers may say a thing twice, but not two things.
fn once<T: PartialEq>(item: &mut Option<T>, value: T, fault: Fault) -> Result<(), Fault> {
    match item {
        Some(said) if *said != value => Err(fault),
        _ => {
            *item = Some(value);
            Ok(())
        }
    }
}
