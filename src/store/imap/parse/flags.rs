//! Lists of flags: what a message bears, where a word that cannot be read is an error, and what a mailbox offers.

use super::token::{Fault, Tokens};
use crate::mail::{Flag, FlagSet, NewKeywords, PermanentFlags};

/// Most flags of one list. Servers end at a few hundred keywords a mailbox; some at none.
pub(super) const FLAGS_LIMIT: usize = 4096;

/// FLAGS of a FETCH: `"(" [flag-fetch *(SP flag-fetch)] ")"`. `\Recent` is dropped, as it belongs to the session. A flag
/// that cannot be read is an error: left out, it would look as if somebody had removed it. What no message can have been
/// given by us is left out every time, and never looks so (`quirks`: flags-that-are-none).
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
        if !word.eq_ignore_ascii_case(b"\\Recent") && !belongs_to_its_server(word) {
            flags.insert(read(word).ok_or(fault)?);
        }
    }
}

/// A keyword with `]` is no atom, so that nobody else takes it, but Gmail keeps it (`OIB-Seen-[Gmail]/Trash`); `\*` is an
/// offer of a mailbox, and no flag.
fn belongs_to_its_server(word: &[u8]) -> bool {
    let otherwise_fine = || read(&word.iter().copied().filter(|octet| *octet != b']').collect::<Vec<_>>()).is_some();
    word == b"\\*" || (word.contains(&b']') && otherwise_fine())
}

/// FLAGS and PERMANENTFLAGS of a mailbox: `"(" [flag-perm *(SP flag-perm)] ")"`, without the last parenthesis; `None` where
/// there is no list. A flag that cannot be read is left out, as is what follows where the list gets out of step: it is
/// one that we shall not set, and a message that bears it is an error of its own.
pub(super) fn of_mailbox(tokens: &mut Tokens<'_>) -> Option<PermanentFlags> {
    let mut permanent = PermanentFlags::none();
    tokens.blanks();
    if !tokens.eat(b'(') {
        return None;
    }
    for _ in 0..FLAGS_LIMIT {
        tokens.blanks();
        if tokens.at_string() || tokens.peek() == Some(b'(') {
            if tokens.skip().is_err() {
                break;
            }
            continue;
        }
        match tokens.word("a flag") {
            Ok(b"\\*") => permanent.new_keywords = NewKeywords::Taken,
            Ok(word) => {
                read(word).map(|flag| permanent.listed.insert(flag));
            }
            Err(_) => break,
        }
    }
    Some(permanent)
}

fn read(word: &[u8]) -> Option<Flag> {
    std::str::from_utf8(word).ok().and_then(Flag::parse)
}
