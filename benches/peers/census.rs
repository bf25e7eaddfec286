//! What a side holds, told by who is no program under test: so many messages in each mailbox, so many of them flagged.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use interimap::mail::Side;

use crate::programs::Local;
use crate::stand::Stand;
use crate::support::imap::Value;

/// What a mailbox holds.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    messages: u64,
    /// Those of INBOX that are flagged; elsewhere nobody flags any.
    flagged: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} messages ({} flagged)", self.messages, self.flagged)
    }
}

/// What each mailbox of a side holds.
pub(crate) fn census(stand: &Stand<'_>, side: Side) -> BTreeMap<String, Count> {
    match (side, stand.installed.program.local()) {
        (Side::Local, Local::Maildir) => of_tree(&stand.place.tree()),
        _ => of_server(stand, side),
    }
}

fn of_server(stand: &Stand<'_>, side: Side) -> BTreeMap<String, Count> {
    let mut client = stand.servers.both[side].witness_of(&stand.place.user);
    let mut counts = BTreeMap::new();
    for response in client.run("LIST \"\" * RETURN (STATUS (MESSAGES))") {
        if let [Value::Atom(word), name, Value::List(items)] = &response[..]
            && word == "STATUS"
            && let [_, messages] = &items[..]
        {
            let name = String::from_utf8(name.text()).unwrap();
            counts.insert(name, Count { messages: messages.word().parse().unwrap(), flagged: 0 });
        }
    }
    client.examine("INBOX");
    let flagged = client.search("FLAGGED").len() as u64;
    if let Some(count) = counts.get_mut("INBOX") {
        count.flagged = flagged;
    }
    counts
}

fn of_tree(tree: &Path) -> BTreeMap<String, Count> {
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(tree).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !entry.path().join("cur").is_dir() {
            continue;
        }
        let mut count = Count::default();
        for directory in ["new", "cur"] {
            for file in fs::read_dir(entry.path().join(directory)).unwrap() {
                let file = file.unwrap().file_name();
                let file = file.to_string_lossy();
                count.messages += u64::from(!file.starts_with('.'));
                let flags = file.rsplit_once(":2,").map_or("", |(_, flags)| flags);
                count.flagged += u64::from(name == "INBOX" && flags.contains('F'));
            }
        }
        counts.insert(name, count);
    }
    counts
}
