//! What programs call mailboxes and messages in a tree of Maildirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::super::imap::{utf7_decode, utf7_encode};
use super::{Layout, entries, in_wire_form};

/// The flags that file names tell, in the order of their letters.
const LETTERS: [(char, &str); 6] = [
    ('D', "\\Draft"),
    ('F', "\\Flagged"),
    ('P', "$Forwarded"),
    ('R', "\\Answered"),
    ('S', "\\Seen"),
    ('T', "\\Deleted"),
];

/// The programs whose way of naming a message is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Time, process, host.
    Procmail,
    /// The same with a number that counts.
    OldMutt,
    /// Time and a random number.
    Mutt,
    /// Time, a random number in hexadecimal.
    Mu4e,
    /// With the sizes of the message.
    Dovecot,
    /// With the UID that it had on a server.
    Mbsync,
    /// With UID and a digest of the folder's name.
    Offlineimap,
}

impl Style {
    /// All of them.
    pub(crate) const ALL: [Style; 7] =
        [Style::Procmail, Style::OldMutt, Style::Mutt, Style::Mu4e, Style::Dovecot, Style::Mbsync, Style::Offlineimap];

    /// A name that no other message has, without flags.
    pub(crate) fn unique_name(self, mailbox: &str, text: &[u8]) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let (time, process) = (1_700_000_000 + count / 4, std::process::id());
        match self {
            Style::Procmail => format!("{time}.{process}_{count}.host"),
            Style::OldMutt => format!("{time}.{process}_{}.host.example.org", count % 7 + 10 * count),
            Style::Mutt => format!("{time}.R{:020}.host", count.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            Style::Mu4e => format!("{time}.{:016x}.host", count.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            Style::Dovecot => {
                format!("{time}.M{count:06}P{process}.host,S={},W={}", text.len(), in_wire_form(text).len())
            }
            Style::Mbsync => format!("{time}.{process}_{count}.host,U={count}"),
            Style::Offlineimap => {
                // The digest is another one in truth; nobody is to look at it.
                let folder: String =
                    Sha256::digest(mailbox).iter().take(16).map(|octet| format!("{octet:02x}")).collect();
                format!("{time}_{count}.{process}.host,U={count},FMD5={folder}")
            }
        }
    }
}

/// The letters of those flags that have one, sorted.
pub(crate) fn letters(flags: &BTreeSet<&str>) -> String {
    LETTERS.iter().filter(|(_, flag)| flags.contains(flag)).map(|(letter, _)| letter).collect()
}

/// The letter of a flag that users of files can set.
pub(super) fn letter(flag: &str) -> char {
    let found = LETTERS.iter().find(|(_, other)| *other == flag);
    found.unwrap_or_else(|| panic!("{flag} has no letter")).0
}

/// The unique name and the letters behind it; no letters where there is no info at all.
pub(super) fn parts(name: &str) -> (&str, &str) {
    name.rsplit_once(":2,").unwrap_or((name, ""))
}

/// The flags that a file name tells, in lower case.
pub(super) fn flags(name: &str, keywords: &[(char, String)]) -> BTreeSet<String> {
    let system = LETTERS.iter().map(|(letter, flag)| (*letter, *flag));
    let all = system.chain(keywords.iter().map(|(letter, keyword)| (*letter, keyword.as_str())));
    let told = parts(name).1;
    all.filter(|(letter, _)| told.contains(*letter)).map(|(_, flag)| flag.to_ascii_lowercase()).collect()
}

/// The letters of keywords as Dovecot notes them beside a mailbox; `None` where it does not.
pub(super) fn keywords(mailbox: &Path) -> Option<Vec<(char, String)>> {
    let text = match fs::read_to_string(mailbox.join("dovecot-keywords")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        text => text.unwrap(),
    };
    let of = |line: &str| {
        let (number, keyword) = line.split_once(' ').expect("a number and a keyword");
        (char::from(b'a' + number.parse::<u8>().expect("a number up to 25")), keyword.to_owned())
    };
    Some(text.lines().map(of).collect())
}

/// The directory of a mailbox.
pub(super) fn path(root: &Path, layout: Layout, mailbox: &str) -> PathBuf {
    match layout {
        Layout::Fs => root.join(mailbox),
        Layout::PlusPlus if mailbox == "INBOX" => root.to_owned(),
        Layout::PlusPlus => root.join(format!(".{}", utf7_encode(&mailbox.replace('/', ".")))),
    }
}

/// Every mailbox of a tree, by name.
pub(super) fn mailboxes(root: &Path, layout: Layout) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    match layout {
        Layout::Fs => collect(root, "", &mut found),
        Layout::PlusPlus => {
            found.insert("INBOX".to_owned(), root.to_owned());
            for entry in fs::read_dir(root).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if let Some(name) = name.strip_prefix('.').filter(|_| path.join("cur").is_dir()) {
                    found.insert(utf7_decode(name).replace('.', "/"), path.clone());
                }
            }
        }
    }
    found
}

fn collect(directory: &Path, above: &str, found: &mut BTreeMap<String, PathBuf>) {
    for name in entries(directory).filter(|name| !["cur", "new", "tmp"].contains(&name.as_str())) {
        let path = directory.join(&name);
        if path.is_dir() {
            let mailbox = format!("{above}{name}");
            collect(&path, &format!("{mailbox}/"), found);
            if path.join("cur").is_dir() {
                found.insert(mailbox, path);
            }
        }
    }
}

#[test]
fn file_names_tell_flags() {
    let keywords = [('a', "$Junk".to_owned()), ('c', "todo".to_owned())];
    for (name, told) in [
        ("1.2.host", ""),
        ("1.2.host:2,", ""),
        ("1.2.host,S=3,W=4:2,FS", "\\flagged \\seen"),
        ("1.2.host,U=7:2,DPRTZ", "$forwarded \\answered \\deleted \\draft"),
        ("1.2.host:2,Sac", "$junk \\seen todo"),
        ("1.2.host:2,b", ""),
        ("S:2,x:2,T", "\\deleted"),
    ] {
        assert_eq!(flags(name, &keywords).into_iter().collect::<Vec<_>>().join(" "), told, "{name}");
    }
    assert_eq!(letters(&BTreeSet::from(["\\Seen", "todo", "\\Draft", "$Forwarded"])), "DPS");
}

#[test]
fn no_two_messages_have_one_name() {
    let names: Vec<String> =
        (0..50).flat_map(|_| Style::ALL).map(|style| style.unique_name("INBOX", b"a\nb\n")).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.iter().all(|name| !name.contains([':', '/']) && !name.starts_with('.')), "{names:?}");
}

#[test]
fn mailboxes_are_where_they_are_looked_for() {
    for layout in [Layout::Fs, Layout::PlusPlus] {
        let root = tempfile::tempdir().unwrap();
        let names = ["INBOX", "Lists/rust", "Größe", "Größe/日本 語", "R&D", "a b"];
        for name in names {
            fs::create_dir_all(path(root.path(), layout, name).join("cur")).unwrap();
        }
        fs::create_dir_all(root.path().join(".notmuch/xapian")).unwrap();
        let found = mailboxes(root.path(), layout);
        assert_eq!(found.keys().collect::<BTreeSet<_>>(), names.map(str::to_owned).iter().collect(), "{layout:?}");
        for (name, found) in found {
            assert_eq!(found, path(root.path(), layout, &name));
        }
    }
}
