//! What the keyword letters of a mailbox mean: the contents of Dovecot's file `dovecot-keywords`.

use std::collections::BTreeSet;

use crate::mail::{Flag, Keyword};

/// A letter from `a` to `z` in the name of a file. What it means differs from mailbox to mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeywordLetter(u8);

impl KeywordLetter {
    /// All of them, `a` first.
    pub(super) fn all() -> impl Iterator<Item = KeywordLetter> {
        (b'a'..=b'z').map(KeywordLetter)
    }

    /// Takes an octet of a file's name; `None` for what is no letter from `a` to `z`.
    pub(super) fn new(octet: u8) -> Option<KeywordLetter> {
        octet.is_ascii_lowercase().then_some(KeywordLetter(octet))
    }

    /// The octet as it stands in the name of a file.
    pub(super) fn octet(self) -> u8 {
        self.0
    }

    /// The number as it stands in the file: 0 for `a`, 25 for `z`.
    fn number(self) -> usize {
        usize::from(self.0 - b'a')
    }
}

/// What is said of a letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Meaning {
    /// Nothing.
    #[default]
    Free,
    /// A keyword.
    Keyword(Keyword),
    /// Something that no IMAP client could say. It is written back as it was, or else the letters that messages bear
    /// would get another meaning.
    Foreign(Vec<u8>),
}

/// Which letter stands for which keyword in a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keywords([Meaning; 26]);

impl Keywords {
    /// Reads lines such as `3 Junk`. Lines that say nothing are left out; where a number comes twice, the last one
    /// counts, as it does for Dovecot.
    pub(super) fn parse(text: &[u8]) -> Keywords {
        let mut keywords = Keywords::default();
        for line in text.split(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some((letter, name)) = read_line(line) {
                keywords.0[letter.number()] = match std::str::from_utf8(name).ok().and_then(Flag::parse) {
                    Some(Flag::Keyword(keyword)) => Meaning::Keyword(keyword),
                    _ => Meaning::Foreign(name.to_vec()),
                };
            }
        }
        keywords
    }

    /// The file's contents, lowest number first.
    pub(super) fn format(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (number, meaning) in self.0.iter().enumerate() {
            let name = match meaning {
                Meaning::Free => continue,
                Meaning::Keyword(keyword) => keyword.as_str().as_bytes(),
                Meaning::Foreign(name) => name,
            };
            text.extend_from_slice(format!("{number} ").as_bytes());
            text.extend_from_slice(name);
            text.push(b'\n');
        }
        text
    }

    /// What a letter means; `None` where nobody has said, or not in a way that IMAP could.
    pub(super) fn keyword(&self, letter: KeywordLetter) -> Option<&Keyword> {
        match &self.0[letter.number()] {
            Meaning::Keyword(keyword) => Some(keyword),
            Meaning::Free | Meaning::Foreign(_) => None,
        }
    }

    /// The letter of a keyword, in whatever case it is spelled; the first one, should there be several.
    pub(super) fn letter(&self, keyword: &Keyword) -> Option<KeywordLetter> {
        KeywordLetter::all().find(|letter| self.keyword(*letter) == Some(keyword))
    }

    /// The letter of a keyword, which gets the first free one where it has none. Letters that messages bear although
    /// nobody has said what they mean are not free: those messages would get the keyword. `None` where all are taken.
    pub(super) fn add(&mut self, keyword: &Keyword, borne: &BTreeSet<KeywordLetter>) -> Option<KeywordLetter> {
        if let Some(letter) = self.letter(keyword) {
            return Some(letter);
        }
        let is_free = |letter: &KeywordLetter| self.0[letter.number()] == Meaning::Free && !borne.contains(letter);
        let letter = KeywordLetter::all().find(is_free)?;
        self.0[letter.number()] = Meaning::Keyword(keyword.clone());
        Some(letter)
    }
}

fn read_line(line: &[u8]) -> Option<(KeywordLetter, &[u8])> {
    let blank = memchr::memchr(b' ', line)?;
    let (number, name) = (&line[..blank], &line[blank + 1..]);
    if name.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: usize = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((KeywordLetter::all().nth(number)?, name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keyword(name: &str) -> Keyword {
        match Flag::parse(name) {
            Some(Flag::Keyword(keyword)) => keyword,
            other => panic!("{name} is no keyword: {other:?}"),
        }
    }

    fn letter(octet: u8) -> KeywordLetter {
        KeywordLetter::new(octet).unwrap()
    }

    #[test]
    fn what_dovecot_writes_comes_back_as_it_was() {
        let text = b"0 $Forwarded\n1 Junk\n3 NonJunk\n25 unknown-25?\n";
        let keywords = Keywords::parse(text);
        assert_eq!(keywords.format(), text);
        for (octet, meaning) in [
            (b'a', Some("$Forwarded")),
            (b'b', Some("Junk")),
            (b'c', None),
            (b'd', Some("NonJunk")),
            (b'z', Some("unknown-25?")),
        ] {
            assert_eq!(keywords.keyword(letter(octet)).map(Keyword::as_str), meaning, "{}", char::from(octet));
        }
        assert_eq!(keywords.letter(&keyword("JUNK")), Some(letter(b'b')), "case makes no difference");
        assert_eq!(keywords.letter(&keyword("Work")), None);
    }

    #[test]
    fn lines_that_say_nothing_are_left_out() {
        for (text, written) in [
            (&b""[..], &b""[..]),
            (b"\n\n", b""),
            (b"Junk\n", b""),
            (b"0\n", b""),
            (b"0 \n", b""),
            (b" Junk\n", b""),
            (b"-1 Junk\n", b""),
            (b"+1 Junk\n", b""),
            (b"26 Junk\n", b""),
            (b"99999999999999999999999 Junk\n", b""),
            (b"1\tJunk\n", b""),
            (b"1 Junk", b"1 Junk\n"),
            (b"01 Junk\r\n", b"1 Junk\n"),
            (b"2 b\n1 a\n", b"1 a\n2 b\n"),
            (b"1 Junk\n1 Work\n", b"1 Work\n"),
        ] {
            let shown = text.escape_ascii();
            assert_eq!(Keywords::parse(text).format(), written, "{shown}");
        }
    }

    #[test]
    fn what_imap_cannot_say_keeps_its_letter() {
        let text = b"0 two words\n1 \\Seen\n2 caf\xe9\n3 \n4 a\0b\n";
        let mut keywords = Keywords::parse(text);
        assert!(KeywordLetter::all().all(|letter| keywords.keyword(letter).is_none()));
        assert_eq!(keywords.add(&keyword("Work"), &BTreeSet::new()), Some(letter(b'd')), "the first that is free");
        assert_eq!(keywords.format(), b"0 two words\n1 \\Seen\n2 caf\xe9\n3 Work\n4 a\0b\n");
    }

    #[test]
    fn a_letter_that_messages_bear_is_not_given_away() {
        let mut keywords = Keywords::parse(b"0 Junk\n");
        let borne = BTreeSet::from([letter(b'a'), letter(b'b')]);
        assert_eq!(keywords.add(&keyword("Work"), &borne), Some(letter(b'c')));
        assert_eq!(keywords.add(&keyword("junk"), &borne), Some(letter(b'a')));
        assert_eq!(keywords.add(&keyword("work"), &BTreeSet::new()), Some(letter(b'c')));
        assert_eq!(keywords.format(), b"0 Junk\n2 Work\n", "the first spelling is kept");
    }

    #[test]
    fn the_27th_keyword_gets_no_letter() {
        let mut keywords = Keywords::default();
        for number in 0..26 {
            let given = keywords.add(&keyword(&format!("k{number}")), &BTreeSet::new());
            assert_eq!(given.map(KeywordLetter::octet), Some(b'a' + number));
        }
        assert_eq!(keywords.add(&keyword("k26"), &BTreeSet::new()), None);
        assert_eq!(keywords.add(&keyword("K25"), &BTreeSet::new()), Some(letter(b'z')));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_read_once_stays_the_same(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "([0-9]{1,2} [a-zA-Z\\$ ]{0,6}\r?\n){0,40}".prop_map(String::into_bytes),
            ],
        ) {
            let keywords = Keywords::parse(&text);
            let written = keywords.format();
            prop_assert_eq!(&Keywords::parse(&written), &keywords);
            prop_assert_eq!(Keywords::parse(&written).format(), written);
        }
    }
}
