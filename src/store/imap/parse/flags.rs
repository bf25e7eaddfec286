//! Lists of flags: what a message bears, where a word that cannot be read is an error, and what a mailbox offers.

use super::token::{Fault, Tokens};
use crate::mail::{Flag, FlagSet, NewKeywords, PermanentFlags};

/// Most flags of one list. Servers end at a few hundred keywords a mailbox; some at none.
pub(super) const FLAGS_LIMIT: usize = 4096;

/// FLAGS of a FETCH: `"(" [flag-fetch *(SP flag-fetch)] ")"`. `\Recent` is dropped, as it belongs to the session. A flag
/// that cannot be read is an error: left out, it would look as if somebody had removed it.
pub(super) fn of_message(tokens: &mut Tokens<'_>) -> Result<FlagSet, Fault> {
    const EXPECTED: &str = "a list of flags";
    let mut flags = FlagSet::new();
    let mut count = 0;
    tokens.expect(b'(', EXPECTED)?;
    loop {
        tokens.blanks();
        if tokens.eat(b')') {
            return Ok(flags);
        }
        let fault = tokens.fault("a flag");
        let word = tokens.word(fault.expected)?;
        count += 1;
        if count > FLAGS_LIMIT {
            return Err(Fault { expected: "fewer flags", ..fault });
        }
        if !word.eq_ignore_ascii_case(b"\\Recent") {
            flags.insert(read(word).ok_or(fault)?);
        }
    }
}

/// FLAGS and PERMANENTFLAGS of a mailbox: `"(" [flag-perm *(SP flag-perm)] ")"`. A flag that cannot be read is left out:
/// it is one that we shall not set, and a message that bears it is an error of its own.
pub(super) fn of_mailbox(tokens: &mut Tokens<'_>) -> Result<PermanentFlags, Fault> {
    const EXPECTED: &str = "a list of flags";
    let mut permanent = PermanentFlags::none();
    let mut count = 0;
    tokens.expect(b'(', EXPECTED)?;
    loop {
        tokens.blanks();
        if tokens.eat(b')') {
            return Ok(permanent);
        }
        count += 1;
        if count > FLAGS_LIMIT {
            return Err(tokens.fault("fewer flags"));
        }
        if tokens.at_string() || tokens.peek() == Some(b'(') {
            tokens.skip()?;
            continue;
        }
        match tokens.word(EXPECTED)? {
            b"\\*" => permanent.new_keywords = NewKeywords::Taken,
            word => {
                read(word).map(|flag| permanent.listed.insert(flag));
            }
        }
    }
}

fn read(word: &[u8]) -> Option<Flag> {
    std::str::from_utf8(word).ok().and_then(Flag::parse)
}
