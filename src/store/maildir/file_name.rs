//! A message's file name: the unique part, by which the message is known, and the info, which says its flags.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::keywords::{KeywordLetter, Keywords};
use crate::mail::{Flag, FlagSet};

/// The name of a message's file in `new` or `cur`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileName<'a> {
    /// What stays the same whatever flags the message gets. Never empty.
    pub(super) unique: &'a [u8],
    /// The last colon and what stands behind it: `:2,` and letters where the message has flags. Empty in `new`.
    pub(super) info: &'a [u8],
}

impl<'a> FileName<'a> {
    /// Reads a name; `None` for what is no message: names that begin with a dot, or have nothing before the info.
    ///
    /// The info begins at the last colon. Where there are several (a host's name with a port, an info that was added to
    /// another one), Dovecot and mutt both take the flags from behind the last one, and replace what stands behind it:
    /// so what stands before it is what stays.
    pub(super) fn parse(name: &'a [u8]) -> Option<FileName<'a>> {
        let (unique, info) = name.split_at(memchr::memrchr(b':', name).unwrap_or(name.len()));
        (!unique.is_empty() && !name.starts_with(b".")).then_some(FileName { unique, info })
    }
}

/// Letters behind `:2,` and what stands behind a second comma, which belongs to somebody else. In the order of ASCII and
/// each once, as the convention of Maildir wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Letters(Vec<u8>);

impl Letters {
    /// Reads what follows the unique part of a name: none where that says no flags, as `:1,` does, which stands before what
    /// was an experiment for ever.
    pub(super) fn of_info(info: &[u8]) -> Letters {
        info.strip_prefix(b":2,").map(Letters::parse).unwrap_or_default()
    }

    /// Reads letters in any order.
    pub(super) fn parse(text: &[u8]) -> Letters {
        let (letters, behind) = text.split_at(memchr::memchr(b',', text).unwrap_or(text.len()));
        Letters::new(letters.to_vec(), behind)
    }

    fn new(mut letters: Vec<u8>, behind: &[u8]) -> Letters {
        letters.sort_unstable();
        letters.dedup();
        letters.extend_from_slice(behind);
        Letters(letters)
    }

    /// The file's name in `cur`.
    pub(super) fn name_of(&self, unique: &[u8]) -> Vec<u8> {
        [unique, b":2,", &self.0].concat()
    }

    /// The flags, those that keyword letters mean among them.
    pub(super) fn flags(&self, keywords: &Keywords) -> FlagSet {
        self.octets().iter().filter_map(|octet| meaning(*octet, keywords)).collect()
    }

    /// The letters from `a` to `z`.
    pub(super) fn keyword_letters(&self) -> impl Iterator<Item = KeywordLetter> {
        self.octets().iter().filter_map(|octet| KeywordLetter::new(*octet))
    }

    /// The letters that say `wanted`, as far as letters can: what [`Letters::flags`] of them lacks must be kept elsewhere.
    /// Letters of which nobody knows the meaning stay, and so do those that say what is wanted already.
    pub(super) fn saying(&self, wanted: &FlagSet, keywords: &Keywords) -> Letters {
        let stays = |octet: &u8| meaning(*octet, keywords).is_none_or(|flag| wanted.contains(&flag));
        let mut letters: Vec<u8> = self.octets().iter().copied().filter(stays).collect();
        let new = wanted.difference(&self.flags(keywords));
        letters.extend(new.iter().filter_map(|flag| letter(&flag, keywords)));
        Letters::new(letters, &self.0[self.octets().len()..])
    }

    /// Without what stands behind a comma.
    fn octets(&self) -> &[u8] {
        &self.0[..memchr::memchr(b',', &self.0).unwrap_or(self.0.len())]
    }
}

fn meaning(letter: u8, keywords: &Keywords) -> Option<Flag> {
    match letter {
        b'D' => Some(Flag::Draft),
        b'F' => Some(Flag::Flagged),
        b'P' => Some(forwarded()),
        b'R' => Some(Flag::Answered),
        b'S' => Some(Flag::Seen),
        b'T' => Some(Flag::Deleted),
        other => keywords.keyword(KeywordLetter::new(other)?).cloned().map(Flag::Keyword),
    }
}

/// The letter that says a flag, if one can. Dovecot knows no `P`: where it gave `$Forwarded` a keyword letter, that one is
/// taken, so that Dovecot sees it, and we see when Dovecot takes it away.
fn letter(flag: &Flag, keywords: &Keywords) -> Option<u8> {
    match flag {
        Flag::Draft => Some(b'D'),
        Flag::Flagged => Some(b'F'),
        Flag::Answered => Some(b'R'),
        Flag::Seen => Some(b'S'),
        Flag::Deleted => Some(b'T'),
        Flag::Keyword(keyword) => {
            let given = keywords.letter(keyword).map(KeywordLetter::octet);
            given.or_else(|| (*flag == forwarded()).then_some(b'P'))
        }
    }
}

/// The keyword that has a letter of its own.
fn forwarded() -> Flag {
    Flag::parse("$Forwarded").expect("an atom is a flag")
}

/// How many names this process has made, whatever the tree.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Makes unique names: `<seconds>.M<microseconds>P<process>Q<number>.<host>`.
#[derive(Clone, Debug)]
pub(super) struct FreshNames {
    process: u32,
    /// Without `/` and `:`.
    host: Vec<u8>,
}

impl FreshNames {
    /// The longest part of a host's name that is used, in octets. Linux has none longer.
    const MAX_HOST: usize = 64;

    /// Of this process on this host. `/` and `:` become `\057` and `\072`, as the convention of Maildir wants it.
    pub(super) fn new(process: u32, host: &[u8]) -> FreshNames {
        let mut written = Vec::new();
        for octet in host.iter().take(FreshNames::MAX_HOST) {
            match octet {
                b'/' => written.extend_from_slice(b"\\057"),
                b':' => written.extend_from_slice(b"\\072"),
                octet if octet.is_ascii_graphic() => written.push(*octet),
                // Nothing that would have to be quoted anywhere.
                _ => written.push(b'_'),
            }
        }
        let host = if written.is_empty() { b"localhost".to_vec() } else { written };
        FreshNames { process, host }
    }

    /// A name that this process has not made before, even where the clock stands still or goes backwards.
    pub(super) fn next(&self, now: SystemTime) -> Vec<u8> {
        self.numbered(now, MADE.fetch_add(1, Ordering::Relaxed))
    }

    fn numbered(&self, now: SystemTime, number: u64) -> Vec<u8> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut name = format!("{}.M{}P{}Q{number}.", now.as_secs(), now.subsec_micros(), self.process).into_bytes();
        name.extend_from_slice(&self.host);
        name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn letters(text: &str) -> Letters {
        Letters::parse(text.as_bytes())
    }

    #[test]
    fn a_name_is_known_by_what_stands_before_the_last_colon() {
        for (name, unique, info) in [
            ("1.2.host", "1.2.host", ""),
            ("1.2.host:2,", "1.2.host", ":2,"),
            ("1.2.host:2,FS", "1.2.host", ":2,FS"),
            ("1.2.host,U=5:2,S", "1.2.host,U=5", ":2,S"),
            ("1.2.host,S=10,W=12:2,Sa", "1.2.host,S=10,W=12", ":2,Sa"),
            ("1.2.host:1,S", "1.2.host", ":1,S"),
            ("1.2.host:", "1.2.host", ":"),
            ("1.2.host:2", "1.2.host", ":2"),
            ("1.2.host:8080:2,S", "1.2.host:8080", ":2,S"),
            ("1.2.host:2,S:2,FS", "1.2.host:2,S", ":2,FS"),
            ("1.2.host:2,S:1,x", "1.2.host:2,S", ":1,x"),
            ("a", "a", ""),
            ("\u{e9}:2,S", "\u{e9}", ":2,S"),
        ] {
            let expected = FileName { unique: unique.as_bytes(), info: info.as_bytes() };
            assert_eq!(FileName::parse(name.as_bytes()), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_is_no_message_has_no_name() {
        for name in ["", ".", "..", ".nfs000", ".x:2,S", ":2,S", ":", ".gitignore"] {
            assert_eq!(FileName::parse(name.as_bytes()), None, "{name}");
        }
        assert!(FileName::parse(b"\xff\xfe:2,S").is_some(), "octets, not text");
    }

    #[test]
    fn letters_are_in_the_order_of_ascii_and_each_once() {
        for (text, written) in [
            ("", ""),
            ("SF", "FS"),
            ("TSRPFD", "DFPRST"),
            ("baSSab", "Sab"),
            ("S!Zz", "!SZz"),
            ("SF,other", "FS,other"),
            ("S,FF,x", "S,FF,x"),
            (",x", ",x"),
        ] {
            assert_eq!(letters(text).name_of(b"u"), format!("u:2,{written}").as_bytes(), "{text}");
        }
    }

    #[test]
    fn letters_mean_flags() {
        let keywords = Keywords::parse(b"0 Junk\n1 $Forwarded\n2 two words\n");
        for (text, flags) in [
            ("", ""),
            ("D", "\\Draft"),
            ("F", "\\Flagged"),
            ("P", "$Forwarded"),
            ("R", "\\Answered"),
            ("S", "\\Seen"),
            ("T", "\\Deleted"),
            ("Sa", "\\Seen Junk"),
            ("b", "$Forwarded"),
            ("Pb", "$Forwarded"),
            ("cdZ!", ""),
            ("S,TF", "\\Seen"),
        ] {
            assert_eq!(letters(text).flags(&keywords).to_string(), FlagSet::parse(flags).to_string(), "{text}");
        }
        let borne: Vec<u8> = letters("Sax,z").keyword_letters().map(KeywordLetter::octet).collect();
        assert_eq!(borne, b"ax");
    }

    #[test]
    fn flags_replace_the_letters_that_are_known_and_no_others() {
        let dovecot = Keywords::parse(b"0 Junk\n1 $Forwarded\n2 two words\n3 JUNK\n");
        let none = Keywords::default();
        for (before, wanted, keywords, after) in [
            ("", "\\Seen \\Draft \\Flagged \\Answered \\Deleted $forwarded", &none, "DFPRST"),
            ("DFPRST", "", &none, ""),
            ("FS", "\\Seen", &none, "S"),
            ("Sabz!Q", "\\Answered", &none, "!QRabz"),
            ("Sabcz!Q", "\\Answered", &dovecot, "!QRcz"),
            ("Sd", "\\Answered junk", &dovecot, "Rd"),
            ("ad", "", &dovecot, ""),
            ("S", "junk", &dovecot, "a"),
            ("", "$Forwarded", &dovecot, "b"),
            ("P", "$Forwarded \\Seen", &dovecot, "PS"),
            ("Pb", "", &dovecot, ""),
            ("", "Work", &dovecot, ""),
            ("S,TF", "\\Flagged", &none, "F,TF"),
        ] {
            let written = letters(before).saying(&FlagSet::parse(wanted), keywords);
            assert_eq!(written, letters(after), "{before} {wanted}");
        }
    }

    #[test]
    fn another_info_gives_way_to_flags() {
        for name in ["u", "u:1,S", "u:2,"] {
            let name = FileName::parse(name.as_bytes()).unwrap();
            let unique = name.unique;
            let written = Letters::of_info(name.info).saying(&FlagSet::parse("\\Seen"), &Keywords::default());
            assert_eq!(written.name_of(unique), b"u:2,S");
        }
    }

    #[test]
    fn fresh_names_are_as_the_convention_wants_them() {
        let now = UNIX_EPOCH + Duration::new(1_795_164_545, 12_345_678);
        for (host, written) in [
            ("mail.example.org", "mail.example.org"),
            ("a/b:c", "a\\057b\\072c"),
            ("", "localhost"),
            ("a b\0\n", "a_b__"),
            (&"x".repeat(300), &"x".repeat(64)),
        ] {
            let name = FreshNames::new(42, host.as_bytes()).numbered(now, 7);
            assert_eq!(name, format!("1795164545.M12345P42Q7.{written}").as_bytes());
        }
        let early = FreshNames::new(1, b"h").numbered(UNIX_EPOCH - Duration::from_secs(1), 0);
        assert_eq!(early, b"0.M0P1Q0.h", "a clock before 1970 is no reason to fail");
    }

    #[test]
    fn fresh_names_differ_while_the_clock_stands_still() {
        let (one, other) = (FreshNames::new(1, b"h"), FreshNames::new(1, b"h"));
        let names: Vec<Vec<u8>> = (0..1000).flat_map(|_| [one.next(UNIX_EPOCH), other.next(UNIX_EPOCH)]).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    fn any_name() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![prop::collection::vec(1u8.., 0..40), "[a:2,1SFPa-c.!]{0,12}".prop_map(String::into_bytes)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_name_that_was_written_is_read_alike(name in any_name(), text in any_name()) {
            prop_assume!(!text.contains(&b':'));
            if let Some(FileName { unique, .. }) = FileName::parse(&name) {
                let letters = Letters::parse(&text);
                let written = letters.name_of(unique);
                let info = &letters.name_of(b"")[..];
                prop_assert_eq!(FileName::parse(&written), Some(FileName { unique, info }));
            }
        }

        #[test]
        fn flags_that_letters_can_say_come_back(
            text in any_name(),
            wanted in prop::sample::subsequence(
                vec!["\\Seen", "\\Draft", "\\Flagged", "\\Answered", "\\Deleted", "$Forwarded", "Junk", "b"], 0..=8),
        ) {
            let keywords = Keywords::parse(b"0 Junk\n5 B\n");
            let wanted = FlagSet::parse(&wanted.join(" "));
            let before = Letters::parse(&text);
            let after = before.saying(&wanted, &keywords);
            prop_assert_eq!(after.flags(&keywords), wanted);
            prop_assert_eq!(after.saying(&before.flags(&keywords), &keywords).flags(&keywords), before.flags(&keywords));
        }

        #[test]
        fn saying_what_is_said_changes_no_letter(text in any_name()) {
            let letters = Letters::parse(&text);
            for keywords in [Keywords::default(), Keywords::parse(b"0 Junk\n1 junk\n2 $Forwarded\n5 two words\n")] {
                prop_assert_eq!(&letters.saying(&letters.flags(&keywords), &keywords), &letters);
            }
        }

        #[test]
        fn fresh_names_are_unique_names(host in prop::collection::vec(any::<u8>(), 0..300)) {
            let name = FreshNames::new(u32::MAX, &host).numbered(SystemTime::now(), u64::MAX);
            prop_assert!(name.len() < 255 - 40 && !name.contains(&b'/'));
            prop_assert_eq!(FileName::parse(&name), Some(FileName { unique: &name, info: b"" }));
        }
    }
}
