//! SEARCH, ESEARCH and VANISHED: sets of UIDs.

use super::numbers::{modseq_if_any, number, uid, uid_set, uid_set_from_zero};
use super::token::{Fault, Tokens};
use crate::mail::UidSet;
use crate::store::imap::response::{Response, Vanished};

/// `*(SP nz-number) [SP "(" "MODSEQ" SP mod-sequence-value ")"]` (RFC 7162 §3.1.5), behind `* SEARCH`.
pub(super) fn search(tokens: &mut Tokens<'_>) -> Result<UidSet, Fault> {
    let mut uids = UidSet::new();
    loop {
        tokens.blanks();
        match tokens.peek() {
            Some(b'(') => {
                const EXPECTED: &str = "a mod-sequence in parentheses";
                tokens.expect(b'(', EXPECTED)?;
                let fault = tokens.fault(EXPECTED);
                if !tokens.word(EXPECTED)?.eq_ignore_ascii_case(b"MODSEQ") {
                    return Err(fault);
                }
                tokens.blank()?;
                modseq_if_any(tokens)?;
                tokens.blanks();
                tokens.expect(b')', EXPECTED)?;
                tokens.end()?;
                return Ok(uids);
            }
            Some(_) => uids.insert(uid(tokens)?),
            None => return Ok(uids),
        };
    }
}

/// `[SP "(" "TAG" SP string ")"] [SP "UID"] *(SP search-return-data)` (RFC 9051 §7.3.4), behind `* ESEARCH`. Where the
/// server counts what it found, ALL must hold as many: without ALL nothing was found.
pub(super) fn esearch(tokens: &mut Tokens<'_>) -> Result<Response, Fault> {
    tokens.blanks();
    let tag = if tokens.peek() == Some(b'(') { correlator(tokens)? } else { None };
    let (mut all, mut numbers_are_uids) = (None::<UidSet>, false);
    let mut count = None;
    loop {
        tokens.blanks();
        if tokens.peek().is_none() {
            let (all, end) = (all.unwrap_or_default(), tokens.fault("as many UIDs as were found"));
            return match count.is_none_or(|count| count == all.len()) {
                true => Ok(Response::ESearch { tag, all }),
                false => Err(end),
            };
        }
        let fault = tokens.fault("one set of UIDs");
        let name = tokens.word("the name of a search result")?.to_ascii_uppercase();
        match name.as_slice() {
            b"UID" => numbers_are_uids = true,
            // Without UID they would be message numbers, which we never ask for.
            b"ALL" if !numbers_are_uids || all.is_some() => return Err(fault),
            b"ALL" => {
                tokens.blank()?;
                all = Some(uid_set(tokens)?);
            }
            b"COUNT" => {
                tokens.blank()?;
                count = Some(number(tokens, u64::from(u32::MAX), "a number of messages")?);
            }
            _ => {
                tokens.blank()?;
                tokens.skip()?;
            }
        }
    }
}

/// `"(" "TAG" SP tag-string [SP "MAILBOX" SP astring SP "UIDVALIDITY" SP nz-number] ")"` (RFC 7377 §4)
fn correlator(tokens: &mut Tokens<'_>) -> Result<Option<String>, Fault> {
    const EXPECTED: &str = "the tag of a search";
    let mut tag = None;
    tokens.expect(b'(', EXPECTED)?;
    loop {
        tokens.blanks();
        if tokens.eat(b')') {
            return Ok(tag);
        }
        let is_tag = tokens.word(EXPECTED)?.eq_ignore_ascii_case(b"TAG");
        tokens.blank()?;
        if is_tag {
            let fault = tokens.fault(EXPECTED);
            let text = tokens.astring(EXPECTED)?;
            tag = Some(String::from_utf8(text.to_vec()).map_err(|_| fault)?);
        } else {
            tokens.skip()?;
        }
    }
}

/// `[SP "(EARLIER)"] SP known-uids` (RFC 7162 §3.2.10), behind `* VANISHED`.
pub(super) fn vanished(tokens: &mut Tokens<'_>) -> Result<Response, Fault> {
    const EXPECTED: &str = "(EARLIER)";
    tokens.blank()?;
    let mut when = Vanished::Now;
    if tokens.eat(b'(') {
        let fault = tokens.fault(EXPECTED);
        if !tokens.word(EXPECTED)?.eq_ignore_ascii_case(b"EARLIER") {
            return Err(fault);
        }
        tokens.expect(b')', EXPECTED)?;
        tokens.blank()?;
        when = Vanished::Earlier;
    }
    let uids = uid_set_from_zero(tokens)?;
    tokens.end()?;
    Ok(Response::Vanished { when, uids })
}
