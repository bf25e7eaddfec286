//! The numbers of a response, each within the range that its grammar gives it.

use super::token::{Fault, Tokens};
use crate::mail::{ModSeq, Uid, UidSet, UidValidity};

/// Most UIDs of one side of an APPENDUID or COPYUID, which are told one by one. More than a million messages are
/// appended or copied by no command of ours.
pub(super) const EXPANDED_UIDS_LIMIT: usize = 1024 * 1024;

/// `number64 = 1*DIGIT`, up to `most`.
pub(super) fn number(tokens: &mut Tokens<'_>, most: u64, expected: &'static str) -> Result<u64, Fault> {
    let fault = tokens.fault(expected);
    digits(tokens.word(expected)?).filter(|number| *number <= most).ok_or(fault)
}

/// `number = 1*DIGIT`, up to 2^32-1.
pub(super) fn number32(tokens: &mut Tokens<'_>, expected: &'static str) -> Result<u32, Fault> {
    let fault = tokens.fault(expected);
    number(tokens, u64::from(u32::MAX), expected).and_then(|number| u32::try_from(number).map_err(|_| fault))
}

/// A number that may be missing: one that `meant` does not take is absence, as are NIL, `-1` and `9.3736e+06` (`quirks`:
/// numbers-that-are-none). Anything else is an error, as nobody knows then what the words behind it are.
pub(super) fn number_if_any<T>(
    tokens: &mut Tokens<'_>,
    expected: &'static str,
    meant: impl FnOnce(u64) -> Option<T>,
) -> Result<Option<T>, Fault> {
    let fault = tokens.fault(expected);
    if tokens.nil() {
        return Ok(None);
    }
    let word = tokens.word(expected)?;
    let looks_like_one = word.iter().all(|octet| octet.is_ascii_digit() || b"+-.eE".contains(octet));
    if looks_like_one { Ok(digits(word).and_then(meant)) } else { Err(fault) }
}

/// `uniqueid = nz-number`
pub(super) fn uid(tokens: &mut Tokens<'_>) -> Result<Uid, Fault> {
    let fault = tokens.fault("a UID");
    number32(tokens, fault.expected).and_then(|number| Uid::new(number).ok_or(fault))
}

/// UIDVALIDITY: `nz-number`
pub(super) fn uid_validity(tokens: &mut Tokens<'_>) -> Result<UidValidity, Fault> {
    let fault = tokens.fault("a UIDVALIDITY");
    number32(tokens, fault.expected).and_then(|number| UidValidity::new(number).ok_or(fault))
}

/// `mod-sequence-valzer`, up to 2^63-1 (RFC 7162 §7): `None` for 0 and for what is none, such as the larger ones that RFC
/// 4551 allowed. A mailbox without a mod-sequence is looked at in full.
pub(super) fn modseq_if_any(tokens: &mut Tokens<'_>) -> Result<Option<ModSeq>, Fault> {
    number_if_any(tokens, "a mod-sequence", ModSeq::new)
}

/// `uid-set = (uniqueid / uid-range) *("," uid-set)`; `5:3` is `3:5`. A `*` has no place in an answer.
pub(super) fn uid_set(tokens: &mut Tokens<'_>) -> Result<UidSet, Fault> {
    set_of(tokens, uid_range)
}

/// The same, where a range may begin at 0, which is no UID (`quirks`: vanished-from-zero).
pub(super) fn uid_set_from_zero(tokens: &mut Tokens<'_>) -> Result<UidSet, Fault> {
    set_of(tokens, |range| match range.strip_prefix(b"0:") {
        Some(to) => single(to).map(|to| (Uid::MIN, to)),
        None => uid_range(range),
    })
}

fn set_of(tokens: &mut Tokens<'_>, read: impl Fn(&[u8]) -> Option<(Uid, Uid)>) -> Result<UidSet, Fault> {
    let fault = tokens.fault("a set of UIDs");
    let mut set = UidSet::new();
    for range in tokens.word(fault.expected)?.split(|octet| *octet == b',') {
        match read(range).ok_or(fault)? {
            (from, to) if from == to => {
                set.insert(from);
            }
            (from, to) => set.insert_range(from..=to),
        }
    }
    Ok(set)
}

/// A `uid-set` whose order says what corresponds to what (RFC 4315 §3): the UIDs in order of transmission, every range
/// from its lower end. At most [`EXPANDED_UIDS_LIMIT`].
pub(super) fn uids_in_order(tokens: &mut Tokens<'_>) -> Result<Vec<Uid>, Fault> {
    let fault = tokens.fault("a set of UIDs");
    let too_many = tokens.fault("fewer UIDs");
    let mut uids = Vec::new();
    for range in tokens.word(fault.expected)?.split(|octet| *octet == b',') {
        let (from, to) = uid_range(range).ok_or(fault)?;
        let (from, to) = (from.get().min(to.get()), from.get().max(to.get()));
        if (to - from) as usize >= EXPANDED_UIDS_LIMIT - uids.len() {
            return Err(too_many);
        }
        uids.extend((from..=to).filter_map(Uid::new));
    }
    Ok(uids)
}

/// `uid-range = (uniqueid ":" uniqueid)`, or one UID as both ends.
fn uid_range(text: &[u8]) -> Option<(Uid, Uid)> {
    match text.iter().position(|octet| *octet == b':') {
        Some(colon) => Some((single(&text[..colon])?, single(&text[colon + 1..])?)),
        None => single(text).map(|uid| (uid, uid)),
    }
}

fn single(text: &[u8]) -> Option<Uid> {
    digits(text).and_then(|number| u32::try_from(number).ok()).and_then(Uid::new)
}

/// `None` for what is not a number, or none that fits.
fn digits(text: &[u8]) -> Option<u64> {
    let digit = |octet: &u8| octet.is_ascii_digit().then(|| u64::from(octet - b'0'));
    let (first, others) = text.split_first()?;
    others.iter().try_fold(digit(first)?, |number, octet| number.checked_mul(10)?.checked_add(digit(octet)?))
}
