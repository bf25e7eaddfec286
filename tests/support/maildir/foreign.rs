//! Files in a tree of Maildirs that are nobody's mail, and whether they are as they were.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What other programs leave beside the mailboxes, in the root of the tree.
const IN_ROOT: &[&str] = &[".notmuch/xapian/docdata.glass", ".notmuch/hooks/pre-new", ".mailboxes~", "#draft#"];

/// What they leave in INBOX, which nobody renames or deletes.
const IN_INBOX: &[&str] = &[
    ".mbsyncstate",
    ".uidvalidity",
    ".#lock",
    "dovecot-uidlist",
    "dovecot.index.log",
    "cur/.#1700000000.1_1.host:2,S",
    "new/.nfs000000000001",
    "cur/.swp/1700000000.2_2.host:2,S",
];

fn all(root: &Path, inbox: &Path) -> Vec<PathBuf> {
    IN_ROOT.iter().map(|name| root.join(name)).chain(IN_INBOX.iter().map(|name| inbox.join(name))).collect()
}

fn content(path: &Path) -> String {
    format!("From: nobody\nX-Token: foreign\n\n{} is no mail.\n", path.file_name().unwrap().display())
}

/// Makes them.
pub(super) fn sprinkle(root: &Path, inbox: &Path) {
    for path in all(root, inbox) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content(&path)).unwrap();
    }
}

/// A line for each that is not as it was made.
pub(super) fn harm(root: &Path, inbox: &Path) -> String {
    let mut text = String::new();
    for path in all(root, inbox) {
        match fs::read_to_string(&path) {
            Ok(found) if found == content(&path) => {}
            found => {
                let _ = writeln!(text, "{} is not as it was: {found:?}", path.display());
            }
        }
    }
    text
}
