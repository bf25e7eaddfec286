//! Names of mailboxes as people write them, and the patterns that choose among them.

use std::fmt;

/// A mailbox's name in UTF-8 with `/` between its levels, whatever the server's delimiter and encoding are.
/// INBOX has one spelling; a name holds no control characters and no empty level.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(String);

/// Why a text is no [`MailboxName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text, or one of its levels, is empty.
    #[error("it has an empty level")]
    EmptyLevel,
    /// A level holds the sign that stands between levels.
    #[error("a level of it holds '/', which stands between levels")]
    SeparatorInLevel,
    /// There is a control character in it.
    #[error("it holds a control character")]
    ControlCharacter,
    /// It is longer than [`MailboxName::MAX_OCTETS`].
    #[error("it is longer than {} octets", MailboxName::MAX_OCTETS)]
    TooLong,
    /// It has more levels than [`MailboxName::MAX_LEVELS`].
    #[error("it has more than {} levels", MailboxName::MAX_LEVELS)]
    TooDeep,
}

impl MailboxName {
    /// The longest name there can be, in octets of UTF-8.
    pub const MAX_OCTETS: usize = 4096;
    /// The deepest name there can be, in levels.
    pub const MAX_LEVELS: usize = 128;

    /// The mailbox that every user has (RFC 9051 §5.1).
    pub fn inbox() -> MailboxName {
        MailboxName("INBOX".to_owned())
    }

    /// Reads a name with `/` between its levels.
    pub fn new(text: &str) -> Result<MailboxName, InvalidName> {
        MailboxName::from_levels(text.split('/'))
    }

    /// Builds a name from its levels. A first level that says INBOX in any case is INBOX (RFC 9051 §5.1).
    pub fn from_levels<'a>(levels: impl IntoIterator<Item = &'a str>) -> Result<MailboxName, InvalidName> {
        let mut name = String::new();
        for (depth, level) in levels.into_iter().enumerate() {
            if level.is_empty() {
                return Err(InvalidName::EmptyLevel);
            }
            if level.contains('/') {
                return Err(InvalidName::SeparatorInLevel);
            }
            if level.chars().any(char::is_control) {
                return Err(InvalidName::ControlCharacter);
            }
            if depth >= MailboxName::MAX_LEVELS {
                return Err(InvalidName::TooDeep);
            }
            if depth > 0 {
                name.push('/');
            }
            name.push_str(if depth == 0 && level.eq_ignore_ascii_case("INBOX") { "INBOX" } else { level });
            if name.len() > MailboxName::MAX_OCTETS {
                return Err(InvalidName::TooLong);
            }
        }
        if name.is_empty() { Err(InvalidName::EmptyLevel) } else { Ok(MailboxName(name)) }
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels, outermost first; never none.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// Whether this mailbox lies below `parent`, at any depth.
    pub fn is_below(&self, parent: &MailboxName) -> bool {
        self.0.strip_prefix(&parent.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The name that this one gets when `from` is renamed to `to`: children follow (RFC 9051 §6.3.6), except those of
    /// INBOX, which stay (the same section). `None` where the rename does not touch it.
    pub fn renamed(&self, from: &MailboxName, to: &MailboxName) -> Option<MailboxName> {
        if self == from {
            return Some(to.clone());
        }
        let below = self.is_below(from) && !from.is_inbox();
        below.then(|| MailboxName(format!("{}{}", to.0, &self.0[from.0.len()..])))
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pattern of names in IMAP's sense: `*` stands for anything, `%` for anything within a level (RFC 9051 §6.3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Takes a pattern as it was written. INBOX as first level means INBOX in any case.
    pub fn new(text: &str) -> Pattern {
        let first = text.split('/').next().unwrap_or_default();
        match first.eq_ignore_ascii_case("INBOX") {
            true => Pattern(format!("INBOX{}", &text[first.len()..])),
            false => Pattern(text.to_owned()),
        }
    }

    /// Whether the pattern means `name` without a wildcard.
    pub fn is_exactly(&self, name: &MailboxName) -> bool {
        self.0 == name.as_str()
    }

    /// Whether `name` is one of those that the pattern means. Takes time in proportion to both lengths multiplied.
    pub fn matches(&self, name: &MailboxName) -> bool {
        let name: Vec<char> = name.as_str().chars().collect();
        // reachable[i]: the pattern so far can stand for the first i characters.
        let mut reachable = vec![false; name.len() + 1];
        reachable[0] = true;
        for sign in self.0.chars() {
            let before = reachable.clone();
            for at in 0..=name.len() {
                let previous = at.checked_sub(1);
                reachable[at] = match sign {
                    '*' => before[at] || previous.is_some_and(|p| reachable[p]),
                    '%' => before[at] || previous.is_some_and(|p| reachable[p] && name[p] != '/'),
                    sign => previous.is_some_and(|p| before[p] && name[p] == sign),
                };
            }
        }
        reachable[name.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    #[test]
    fn inbox_has_one_spelling() {
        for (text, folded) in [
            ("inbox", "INBOX"),
            ("InBox/Foo", "INBOX/Foo"),
            ("INBOX/inbox", "INBOX/inbox"),
            ("Inboxes", "Inboxes"),
            ("a/inbox", "a/inbox"),
        ] {
            assert_eq!(name(text).as_str(), folded);
        }
        assert!(name("iNbOx").is_inbox());
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for (text, why) in [
            ("", InvalidName::EmptyLevel),
            ("/a", InvalidName::EmptyLevel),
            ("a//b", InvalidName::EmptyLevel),
            ("a/", InvalidName::EmptyLevel),
            ("a\r\nb", InvalidName::ControlCharacter),
            ("a\u{1b}[0m", InvalidName::ControlCharacter),
        ] {
            assert_eq!(MailboxName::new(text), Err(why), "{text:?}");
        }
        assert_eq!(MailboxName::from_levels(["a/b"]), Err(InvalidName::SeparatorInLevel));
        assert_eq!(MailboxName::new(&"a".repeat(5000)), Err(InvalidName::TooLong));
        assert_eq!(MailboxName::new(&vec!["a"; 129].join("/")), Err(InvalidName::TooDeep));
        assert!(MailboxName::new("..").is_ok(), "a name is no path; stores that make paths of names escape them");
    }

    #[test]
    fn children_follow_a_rename_except_those_of_inbox() {
        let renamed = |of: &str, from: &str, to: &str| name(of).renamed(&name(from), &name(to)).map(|n| n.0);
        assert_eq!(renamed("a/b/c", "a", "x/y").as_deref(), Some("x/y/b/c"));
        assert_eq!(renamed("a", "a", "b").as_deref(), Some("b"));
        assert_eq!(renamed("ab", "a", "b"), None);
        assert_eq!(renamed("INBOX/x", "INBOX", "Old"), None);
    }

    #[test]
    fn patterns_mean_what_imap_means() {
        for (pattern, text, matches) in [
            ("*", "a/b/c", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a/*c", "a/b/c", true),
            ("l*s/*", "lists/rust/x", true),
            ("inbox", "INBOX", true),
            ("Inbox/*", "INBOX/x", true),
            ("INB*", "INBOX", true),
            ("junk", "Junk", false),
            ("", "a", false),
            ("**a**", "bab", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(&name(text)), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = Pattern::new(&"*a".repeat(200));
        assert!(!pattern.matches(&name(&"a".repeat(199))));
    }
}
