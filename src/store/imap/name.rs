//! Mailbox names between the wire and [`MailboxName`]: encoding, delimiter, prefix, and the spellings that a server uses.

use std::collections::BTreeMap;
use std::fmt;

use crate::mail::MailboxName;
use crate::store::mutf7;

/// A mailbox's name as it stands on the wire: modified UTF-7 (RFC 3501 §5.1.3), hence printable ASCII, hence a quoted
/// string can always carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WireName(String);

impl WireName {
    /// Takes a name as a server spelled it; `None` where there is more than printable ASCII in it, or nothing.
    pub(super) fn new(octets: &[u8]) -> Option<WireName> {
        let printable = !octets.is_empty() && octets.iter().all(|b| (b' '..=b'~').contains(b));
        printable.then(|| WireName(String::from_utf8_lossy(octets).into_owned()))
    }

    /// The mailbox that every user has.
    pub(super) fn inbox() -> WireName {
        WireName("INBOX".to_owned())
    }

    /// Whether a server means this name. INBOX has many spellings (RFC 9051 §5.1).
    pub(super) fn is_meant_by(&self, octets: &[u8]) -> bool {
        self.0.as_bytes() == octets
            || (self.0.eq_ignore_ascii_case("INBOX") && octets.eq_ignore_ascii_case(self.0.as_bytes()))
    }
}

/// The name as a quoted string.
impl fmt::Display for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.0).expect("printable ASCII can be quoted"))
    }
}

/// The text as a quoted string (RFC 9051 §4.3); `None` where only a literal can carry it.
pub(super) fn quoted(text: &str) -> Option<String> {
    let fits = text.bytes().all(|b| (1..0x80).contains(&b) && b != b'\r' && b != b'\n');
    fits.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// How a server builds names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// What stands between levels; `None` where there are no levels.
    pub(super) delimiter: Option<char>,
    /// What stands before every name but INBOX, in the server's spelling.
    pub(super) prefix: String,
    /// What stands before the names of mailboxes that are not the user's own (RFC 2342 §5).
    pub(super) of_others: Vec<String>,
}

impl Hierarchy {
    /// Whether it is another user's mailbox, or a shared one, or a level above such. They come and go with rights that
    /// others give, so they take no part, unless the prefix leads to them.
    pub(super) fn is_of_others(&self, wire: &[u8]) -> bool {
        let is_in = |prefix: &str| {
            let above = self.delimiter.and_then(|delimiter| prefix.strip_suffix(delimiter));
            wire.starts_with(prefix.as_bytes()) || above.is_some_and(|above| wire == above.as_bytes())
        };
        let theirs = self.of_others.iter().filter(|prefix| !self.prefix.starts_with(prefix.as_str()));
        theirs.into_iter().any(|prefix| is_in(prefix)) && !wire.eq_ignore_ascii_case(b"INBOX")
    }

    /// Reads a name that the server said stands in a hierarchy of that delimiter. The error says why it is none of ours.
    pub(super) fn read(&self, wire: &[u8], delimiter: Option<char>) -> Result<MailboxName, String> {
        if wire.eq_ignore_ascii_case(b"INBOX") {
            return Ok(MailboxName::inbox());
        }
        let rest = self
            .without_prefix(wire)
            .ok_or_else(|| format!("it does not begin with {:?}, the prefix of this side", self.prefix))?;
        let rest = mutf7::decode(rest).map_err(|_| "it is not in modified UTF-7".to_owned())?;
        if !self.prefix.is_empty() && rest.eq_ignore_ascii_case("INBOX") {
            return Err("without the prefix it would be taken for INBOX".to_owned());
        }
        let name = match delimiter {
            Some(delimiter) => MailboxName::from_levels(rest.split(delimiter)),
            None => MailboxName::from_levels([rest.as_str()]),
        };
        name.map_err(|error| error.to_string())
    }

    /// Writes a name that the server has not spelled yet. The error says why the server cannot have such a mailbox.
    pub(super) fn write(&self, name: &MailboxName) -> Result<WireName, String> {
        if name.is_inbox() {
            return Ok(WireName::inbox());
        }
        let mut wire = self.prefix.clone();
        for (depth, level) in name.levels().enumerate() {
            if depth > 0 {
                wire.push(self.delimiter.ok_or("its mailboxes have no levels")?);
            }
            let encoded = mutf7::encode(level);
            let encoded = String::from_utf8_lossy(&encoded);
            match self.delimiter {
                Some(delimiter) if level.contains(delimiter) || encoded.contains(delimiter) => {
                    return Err(format!("a level of the name holds {delimiter:?}, which stands between levels there"));
                }
                _ => wire.push_str(&encoded),
            }
        }
        if self.is_of_others(wire.as_bytes()) {
            return Err("names that begin so are those of other users' mailboxes there, or of shared ones".to_owned());
        }
        WireName::new(wire.as_bytes()).ok_or_else(|| "the name cannot be written in modified UTF-7".to_owned())
    }

    fn without_prefix<'a>(&self, wire: &'a [u8]) -> Option<&'a [u8]> {
        let prefix = self.prefix.as_bytes();
        let (head, rest) = wire.split_at_checked(prefix.len())?;
        let (head_inbox, prefix_inbox) = (head.get(..5), prefix.get(..5));
        // The first level of `INBOX.` is INBOX, in any case (RFC 9051 §5.1).
        let same_inbox = prefix_inbox.is_some_and(|inbox| inbox.eq_ignore_ascii_case(b"INBOX"))
            && head_inbox.zip(prefix_inbox).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
            && head.get(5..) == prefix.get(5..);
        (head == prefix || same_inbox).then_some(rest)
    }
}

/// The names of a side: how they are built, and how those that were listed are spelled.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) hierarchy: Hierarchy,
    spelled: BTreeMap<MailboxName, WireName>,
}

impl Names {
    /// No name is known yet.
    pub(super) fn new(hierarchy: Hierarchy) -> Names {
        Names { hierarchy, spelled: BTreeMap::new() }
    }

    /// The server's own spelling, or ours for what it has not listed. The error says why the server cannot have it.
    pub(super) fn wire(&self, name: &MailboxName) -> Result<WireName, String> {
        match self.spelled.get(name) {
            Some(wire) => Ok(wire.clone()),
            None => self.hierarchy.write(name),
        }
    }

    /// Whether the server has listed that name.
    pub(super) fn is_spelled(&self, name: &MailboxName) -> bool {
        self.spelled.contains_key(name)
    }

    /// Forgets every spelling: a listing begins.
    pub(super) fn forget_all(&mut self) {
        self.spelled.clear();
    }

    /// Learns how the server spells a name. The spelling that was there before, if it is another one, stays and is
    /// handed back.
    pub(super) fn learn(&mut self, name: &MailboxName, wire: WireName) -> Result<(), WireName> {
        match self.spelled.get(name) {
            Some(known) if *known != wire => Err(known.clone()),
            Some(_) => Ok(()),
            None => {
                self.spelled.insert(name.clone(), wire);
                Ok(())
            }
        }
    }

    /// Forgets a name: the mailbox is gone.
    pub(super) fn forget(&mut self, name: &MailboxName) {
        self.spelled.remove(name);
    }

    /// Forgets a name and what lies below it: they are called otherwise now.
    pub(super) fn forget_tree(&mut self, name: &MailboxName) {
        self.spelled.retain(|other, _| other != name && !other.is_below(name));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hierarchy(delimiter: &str, prefix: &str) -> Hierarchy {
        Hierarchy { delimiter: delimiter.chars().next(), prefix: prefix.to_owned(), of_others: Vec::new() }
    }

    #[test]
    fn names_are_read_and_written_alike() {
        for (delimiter, prefix, wire, name) in [
            ("/", "", "a/b", "a/b"),
            (".", "", "a.b", "a/b"),
            ("\\", "", "a\\b", "a/b"),
            ("^", "", "a^b.c", "a/b.c"),
            ("", "", "a.b", "a.b"),
            (".", "INBOX.", "INBOX.a.b", "a/b"),
            (".", "INBOX.", "INBOX", "INBOX"),
            (".", "INBOX.", "INBOX.INBOX.x", "INBOX/x"),
            ("/", "Mail/", "Mail/x", "x"),
            ("/", "", "INBOX/x", "INBOX/x"),
            ("/", "", "a&-b", "a&b"),
            ("/", "", "Entw&APw-rfe", "Entwürfe"),
            ("/", "", "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("/", "", "*x%", "*x%"),
            ("/", "", " a b ", " a b "),
            ("/", "", "say \"hi\"", "say \"hi\""),
            (".", "", "~x", "~x"),
        ] {
            let hierarchy = hierarchy(delimiter, prefix);
            let read = hierarchy.read(wire.as_bytes(), hierarchy.delimiter);
            assert_eq!(read.as_ref().map(MailboxName::as_str), Ok(name), "{wire}");
            assert_eq!(hierarchy.write(&read.unwrap()).map(|wire| wire.0).as_deref(), Ok(wire), "{wire}");
        }
    }

    #[test]
    fn inbox_is_read_in_any_case() {
        for (prefix, wire, name) in
            [("", "inbox", "INBOX"), ("", "InBox.a", "INBOX/a"), ("INBOX.", "Inbox.a", "a"), ("Inbox.", "INBOX.a", "a")]
        {
            let read = hierarchy(".", prefix).read(wire.as_bytes(), Some('.'));
            assert_eq!(read.as_ref().map(MailboxName::as_str), Ok(name), "{wire}");
        }
    }

    #[test]
    fn what_cannot_be_said_has_a_reason() {
        for (delimiter, prefix, wire, reason) in [
            (".", "", "a/b", "holds '/'"),
            ("", "", "a/b", "holds '/'"),
            ("/", "", "a//b", "empty level"),
            ("/", "", "a/", "empty level"),
            (".", "INBOX.", "INBOX.", "empty level"),
            (".", "INBOX.", "Public.a", "does not begin"),
            ("/", "Mail/", "Mail/Inbox", "taken for INBOX"),
            ("/", "", "Entwürfe", "modified UTF-7"),
            ("/", "", "a&b", "modified UTF-7"),
        ] {
            let hierarchy = hierarchy(delimiter, prefix);
            let error = hierarchy.read(wire.as_bytes(), hierarchy.delimiter).unwrap_err();
            assert!(error.contains(reason), "{wire}: {error}");
        }
    }

    #[test]
    fn what_a_server_cannot_have_has_a_reason() {
        for (delimiter, name, reason) in [
            (".", "a.b", "stands between levels"),
            ("", "a/b", "no levels"),
            (",", "日本語/&,", "stands between levels"),
        ] {
            let error = hierarchy(delimiter, "").write(&MailboxName::new(name).unwrap()).unwrap_err();
            assert!(error.contains(reason), "{name}: {error}");
        }
    }

    #[test]
    fn s109_what_is_not_the_users_own_is_told_by_its_namespace() {
        for (delimiter, prefix, of_others, wire, is_theirs) in [
            ("/", "", &["Other Users/", "Shared/"][..], "Other Users/bob/x", true),
            ("/", "", &["Other Users/", "Shared/"], "Shared", true),
            ("/", "", &["Other Users/", "Shared/"], "Shared things", false),
            ("/", "", &["Other Users/"], "Other Users", true),
            ("/", "", &["~"], "~bob", true),
            ("/", "", &["Other Users/"], "a/Other Users/x", false),
            // Nothing is told apart by nothing.
            ("/", "", &[""], "x", false),
            (".", "INBOX.", &["user.", ""], "INBOX.user.x", false),
            (".", "INBOX.", &["INBOX."], "INBOX.x", false),
            (".", "", &["INBOX."], "INBOX", false),
            // Who names them means them.
            ("/", "Other Users/bob/", &["Other Users/"], "Other Users/bob/x", false),
            ("", "", &["#news."], "#news.x", true),
        ] {
            let of_others = of_others.iter().map(|prefix| (*prefix).to_owned()).collect();
            let hierarchy = Hierarchy { of_others, ..hierarchy(delimiter, prefix) };
            assert_eq!(hierarchy.is_of_others(wire.as_bytes()), is_theirs, "{wire} {prefix:?}");
            if prefix.is_empty() && !delimiter.is_empty() && wire != "INBOX" {
                let written = hierarchy.write(&MailboxName::new(wire).unwrap());
                assert_eq!(written.is_err(), is_theirs, "{wire} {prefix:?}: {written:?}");
            }
        }
    }

    #[test]
    fn the_servers_spelling_is_used_and_the_first_one_stays() {
        let mut names = Names::new(hierarchy("/", ""));
        let name = MailboxName::new("INBOX/a").unwrap();
        let spelling = |text: &str| WireName::new(text.as_bytes()).unwrap();
        assert_eq!(names.learn(&name, spelling("Inbox/a")), Ok(()));
        assert_eq!(names.learn(&name, spelling("Inbox/a")), Ok(()));
        assert_eq!(names.learn(&name, spelling("INBOX/a")), Err(spelling("Inbox/a")));
        assert_eq!(names.wire(&name), Ok(spelling("Inbox/a")));
        names.forget_tree(&MailboxName::inbox());
        assert_eq!(names.wire(&name), Ok(spelling("INBOX/a")));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            text in "[a-zA-Z &~.%*\\\\\"ä-ü日-本😀/]{1,40}",
            delimiter in prop::option::of(prop::sample::select(vec!['/', '.', '\\', '^'])),
            prefix in prop::sample::select(vec!["", "INBOX.", "Mail/", "#user^"]),
        ) {
            let hierarchy = Hierarchy { delimiter, prefix: prefix.to_owned(), of_others: Vec::new() };
            if let Ok(name) = MailboxName::new(&text)
                && let Ok(wire) = hierarchy.write(&name)
            {
                prop_assert_eq!(hierarchy.read(wire.0.as_bytes(), delimiter), Ok(name));
            }
        }
    }

    #[test]
    fn strings_are_quoted_where_they_can_be() {
        for (text, wire) in [
            ("", Some("\"\"")),
            ("a\"b\\c", Some("\"a\\\"b\\\\c\"")),
            ("a b%*", Some("\"a b%*\"")),
            ("ü", None),
            ("a\r\n", None),
            ("a\0", None),
        ] {
            assert_eq!(quoted(text).as_deref(), wire, "{text:?}");
        }
    }
}
