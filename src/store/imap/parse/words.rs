//! CAPABILITY, ENABLED and ID: what a server can do, and what it calls itself.

use super::printable::printable;
use super::token::{Fault, Tokens};

/// Most capabilities of one list, and most fields of one ID. Real servers end below a hundred.
const WORDS_LIMIT: usize = 1024;

/// `*(SP capability)`, in upper case. What is no printable ASCII is no capability that we could know, and left out.
pub(super) fn capabilities(tokens: &mut Tokens<'_>) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    loop {
        tokens.blanks();
        if tokens.peek().is_none() {
            return Ok(words);
        }
        let word = tokens.word_until("a capability", |octet| octet == b' ')?;
        if words.len() == WORDS_LIMIT {
            return Err(tokens.fault("fewer capabilities"));
        }
        if word.iter().all(u8::is_ascii_graphic) {
            words.push(String::from_utf8_lossy(word).to_ascii_uppercase());
        }
    }
}

/// `id-params-list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil` (RFC 2971 §3.3), printable.
pub(super) fn id(tokens: &mut Tokens<'_>) -> Result<Vec<(String, Option<String>)>, Fault> {
    const EXPECTED: &str = "a list of fields and values";
    let mut fields = Vec::new();
    if tokens.nil() {
        tokens.end()?;
        return Ok(fields);
    }
    tokens.expect(b'(', EXPECTED)?;
    loop {
        tokens.blanks();
        if tokens.eat(b')') {
            tokens.end()?;
            return Ok(fields);
        }
        if fields.len() == WORDS_LIMIT {
            return Err(tokens.fault("fewer fields"));
        }
        let field = tokens.astring(EXPECTED)?;
        tokens.blank()?;
        let value = if tokens.nil() { None } else { Some(printable(&tokens.astring(EXPECTED)?)) };
        fields.push((printable(&field).to_lowercase(), value));
    }
}
