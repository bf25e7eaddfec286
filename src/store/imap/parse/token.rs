//! The words of a response: blanks, atoms, quoted strings, literals, lists. What they mean is known elsewhere.

use bytes::Bytes;
use memchr::memchr2;

use super::super::frame::Passed;
use super::super::response::LiteralKind;

/// How deep lists may be nested. The deepest we read has four levels (the extended data of LIST).
pub(super) const NESTING_LIMIT: usize = 32;

/// What was expected and where; becomes a [`ParseError`](super::ParseError) together with the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) expected: &'static str,
    pub(super) at: usize,
}

/// A string, or the place of one whose octets went past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Octets(Bytes),
    Passed { size: u64, literal: LiteralKind },
}

/// A place in a response, from which on it is read.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    whole: &'a Bytes,
    at: usize,
    end: usize,
    passed: Option<Passed>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(whole: &'a Bytes, passed: Option<Passed>) -> Tokens<'a> {
        Tokens { whole, at: 0, end: whole.len(), passed }
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..self.end).unwrap_or_default()
    }

    /// The same, to be kept.
    pub(super) fn rest_to_keep(&self) -> Bytes {
        self.whole.slice_ref(self.rest())
    }

    /// The next `octets` octets as a text of their own; they are passed over here.
    pub(super) fn take(&mut self, octets: usize) -> Tokens<'a> {
        let end = self.at.saturating_add(octets).min(self.end);
        let part = Tokens { whole: self.whole, at: self.at, end, passed: self.passed };
        self.at = end;
        part
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    pub(super) fn fault(&self, expected: &'static str) -> Fault {
        Fault { expected, at: self.at }
    }

    /// Passes over `octet` if it is next.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let there = self.peek() == Some(octet);
        if there {
            self.at += 1;
        }
        there
    }

    pub(super) fn expect(&mut self, octet: u8, expected: &'static str) -> Result<(), Fault> {
        if self.eat(octet) { Ok(()) } else { Err(self.fault(expected)) }
    }

    /// Passes over any number of blanks.
    pub(super) fn blanks(&mut self) {
        self.at += self.rest().iter().take_while(|octet| **octet == b' ').count();
    }

    /// Passes over one blank. Some servers send several.
    pub(super) fn blank(&mut self) -> Result<(), Fault> {
        self.expect(b' ', "a blank")?;
        self.blanks();
        Ok(())
    }

    /// Nothing must follow but blanks, which some servers leave at the end.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.blanks();
        if self.rest().is_empty() { Ok(()) } else { Err(self.fault("the end of the response")) }
    }

    /// An atom, a number, a flag, a set: what stands before the next blank, parenthesis, quote or control character.
    /// Whether the octets are those that this kind of word may have is for the caller to say.
    pub(super) fn word(&mut self, expected: &'static str) -> Result<&'a [u8], Fault> {
        self.word_until(expected, |octet| octet <= b' ' || octet == 0x7f || b"()\"".contains(&octet))
    }

    /// What stands before the next octet that `ends` a word; something must.
    pub(super) fn word_until(&mut self, expected: &'static str, ends: impl Fn(u8) -> bool) -> Result<&'a [u8], Fault> {
        let rest = self.rest();
        let length = rest.iter().position(|octet| ends(*octet)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.fault(expected));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// Passes over NIL if it is next, in any case.
    pub(super) fn nil(&mut self) -> bool {
        let rest = self.rest();
        let word = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"NIL"));
        let there = word && matches!(rest.get(3), None | Some(b' ' | b')'));
        if there {
            self.at += 3;
        }
        there
    }

    /// Whether a quoted string or a literal is next.
    pub(super) fn at_string(&self) -> bool {
        matches!(self.rest(), [b'"' | b'{', ..] | [b'~', b'{', ..])
    }

    /// `string = quoted / literal / literal8` (RFC 9051 §4.3, RFC 3516 §4.1)
    pub(super) fn text(&mut self, expected: &'static str) -> Result<Text, Fault> {
        match self.rest() {
            [b'"', ..] => self.quoted().map(Text::Octets),
            [b'{', ..] => self.literal(LiteralKind::Text),
            [b'~', b'{', ..] => {
                self.at += 1;
                self.literal(LiteralKind::Binary)
            }
            _ => Err(self.fault(expected)),
        }
    }

    /// A string whose octets are there.
    pub(super) fn string(&mut self, expected: &'static str) -> Result<Bytes, Fault> {
        let fault = self.fault(expected);
        match self.text(expected)? {
            Text::Octets(octets) => Ok(octets),
            Text::Passed { .. } => Err(fault),
        }
    }

    /// `nstring = string / nil`
    pub(super) fn nstring(&mut self, expected: &'static str) -> Result<Option<Bytes>, Fault> {
        if self.nil() { Ok(None) } else { self.string(expected).map(Some) }
    }

    /// `astring = 1*ASTRING-CHAR / string`, with a word that may hold whatever does not end it.
    pub(super) fn astring(&mut self, expected: &'static str) -> Result<Bytes, Fault> {
        match self.at_string() {
            true => self.string(expected),
            false => self.word(expected).map(|word| self.whole.slice_ref(word)),
        }
    }

    /// `mailbox = "INBOX" / astring`. Some servers leave names unquoted that hold `(`, `%`, `{`, a tabulator or 8-bit octets;
    /// a blank cannot be meant, nor can what no quoted string may hold.
    pub(super) fn mailbox(&mut self) -> Result<Bytes, Fault> {
        const EXPECTED: &str = "the name of a mailbox";
        match self.at_string() {
            true => self.string(EXPECTED),
            false => {
                let word = self.word_until(EXPECTED, |octet| b" \0\r\n".contains(&octet))?;
                Ok(self.whole.slice_ref(word))
            }
        }
    }

    /// Passes over one value of any form.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        if self.eat(b'(') {
            self.skip_rest_of_list()
        } else if self.at_string() {
            self.text("a string").map(drop)
        } else {
            self.word("a value").map(drop)
        }
    }

    /// Passes over what is left of a list that is open. Takes no stack, whatever the nesting.
    pub(super) fn skip_rest_of_list(&mut self) -> Result<(), Fault> {
        let mut depth = 1;
        while depth > 0 {
            self.blanks();
            if self.eat(b')') {
                depth -= 1;
            } else if self.eat(b'(') {
                depth += 1;
                if depth > NESTING_LIMIT {
                    return Err(self.fault("fewer lists within lists"));
                }
            } else {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`; only `"` and `\` are ever escaped. 8-bit octets are let through.
    fn quoted(&mut self) -> Result<Bytes, Fault> {
        const EXPECTED: &str = "a quoted string";
        self.expect(b'"', EXPECTED)?;
        let start = self.at;
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let rest = self.rest();
            let length = memchr2(b'"', b'\\', rest).ok_or_else(|| self.fault("the end of a quoted string"))?;
            let run = &rest[..length];
            if run.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n')) {
                return Err(self.fault("no NUL, CR or LF in a quoted string"));
            }
            self.at += length;
            if let Some(text) = &mut unescaped {
                text.extend_from_slice(run);
            }
            if self.eat(b'"') {
                return Ok(match unescaped {
                    Some(text) => Bytes::from(text),
                    None => self.whole.slice(start..self.at - 1),
                });
            }
            let text = unescaped.get_or_insert_with(|| run.to_vec());
            match rest.get(length + 1) {
                Some(sign @ (b'"' | b'\\')) => text.push(*sign),
                _ => return Err(self.fault("an escaped quote or backslash")),
            }
            self.at += 2;
        }
    }

    /// `"{" number ["+"] "}" CRLF *OCTET`; the framer has made sure that the octets are there, or has them passed.
    fn literal(&mut self, literal: LiteralKind) -> Result<Text, Fault> {
        const EXPECTED: &str = "a literal";
        self.expect(b'{', EXPECTED)?;
        let fault = self.fault(EXPECTED);
        let digits = self.word_until(EXPECTED, |octet| !octet.is_ascii_digit())?;
        let size: u64 = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(fault)?;
        self.eat(b'+');
        self.expect(b'}', EXPECTED)?;
        self.eat(b'\r');
        self.expect(b'\n', EXPECTED)?;
        if let Some(passed) = self.passed.filter(|passed| passed.at == self.at) {
            return if passed.size == size { Ok(Text::Passed { size, literal }) } else { Err(fault) };
        }
        let length = usize::try_from(size).ok().filter(|length| *length <= self.rest().len()).ok_or(fault)?;
        let octets = self.whole.slice(self.at..self.at + length);
        self.at += length;
        Ok(Text::Octets(octets))
    }
}
