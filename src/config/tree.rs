//! `type = "maildir"`: where a tree is, how it is written, and what two of them must not share.

use std::fs;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::mail::{Access, Both};
use crate::plan::Writing;
use crate::store::maildir::{Durability, Endpoint, KeywordStorage, Layout, NameEncoding};

use super::reader::Reader;
use super::side::{Surroundings, read_path, refuse};

/// The keys that go with a Maildir and with nothing else.
pub(super) const KEYS: [&str; 6] = ["path", "layout", "inbox", "names", "keywords", "fsync"];

/// The keys that go with a session and not with a Maildir, and the type that each of them would go with.
const KEYS_OF_SESSIONS: &[(&str, &str)] = &[
    ("host", "imaps"),
    ("port", "imaps"),
    ("username", "imaps"),
    ("password-command", "imaps"),
    ("password-file", "imaps"),
    ("password", "imaps"),
    ("auth", "imaps"),
    ("starttls", "imap"),
    ("tls", "imaps"),
    ("command", "tunnel"),
    ("null-stderr", "tunnel"),
    ("timeout", "imaps"),
    ("prefix", "imaps"),
    ("compress", "imaps"),
    ("disable-extensions", "imaps"),
];

/// What a table says of a Maildir, read but not yet brought together.
pub(super) struct Written {
    path: Option<PathBuf>,
    layout: Option<Layout>,
    inbox: Option<PathBuf>,
    names: Option<NameEncoding>,
    keywords: Option<KeywordStorage>,
    durability: Durability,
}

/// Reads the keys of a Maildir.
pub(super) fn read_keys(reader: &mut Reader<'_, '_>, around: &Surroundings<'_>) -> Written {
    const LAYOUTS: &[(&str, Layout)] = &[("fs", Layout::Fs), ("maildir++", Layout::MaildirPlusPlus)];
    const NAMES: &[(&str, NameEncoding)] = &[("utf-8", NameEncoding::Utf8), ("utf-7", NameEncoding::Utf7)];
    const KEYWORDS: &[(&str, KeywordStorage)] =
        &[("index", KeywordStorage::Index), ("dovecot", KeywordStorage::Dovecot)];
    Written {
        path: read_tree(reader, "path", "~/Mail", around),
        layout: reader.word("layout", LAYOUTS).map(Spanned::into_inner),
        inbox: read_tree(reader, "inbox", "~/Mail/INBOX", around),
        names: reader.word("names", NAMES).map(Spanned::into_inner),
        keywords: reader.word("keywords", KEYWORDS).map(Spanned::into_inner),
        durability: match reader.choice("fsync").map(Spanned::into_inner) {
            Some(false) => Durability::Unsynced,
            _ => Durability::Synced,
        },
    }
}

fn read_tree(reader: &mut Reader<'_, '_>, key: &str, example: &str, around: &Surroundings<'_>) -> Option<PathBuf> {
    let path = read_path(reader, key, example, around)?;
    absolute(&path)
        .map_err(|why| {
            let at = reader.key_span(key).unwrap_or_else(|| reader.header());
            reader.findings.error(at, format!("\"{key}\" means no path: {why}"), "write the whole path");
        })
        .ok()
}

/// Brings the keys together. `None` if something is wrong or missing, which has been noted.
pub(super) fn endpoint(reader: &mut Reader<'_, '_>, written: Written, writing: Writing) -> Option<Endpoint> {
    for (key, kind) in KEYS_OF_SESSIONS {
        refuse(reader, key, "type = \"maildir\"", &format!("leave it out, or write type = \"{kind}\""));
    }
    if !reader.holds("path") {
        reader.missing("path", "write path = \"~/Mail\"");
    }
    let path = written.path?;
    let layout = written.layout.unwrap_or(Layout::Fs);
    let inbox = match layout {
        Layout::Fs => written.inbox,
        Layout::MaildirPlusPlus => {
            if written.inbox.is_some_and(|inbox| inbox != path) {
                let help = "leave it out, or write layout = \"fs\"";
                refuse(reader, "inbox", "layout = \"maildir++\", where INBOX is \"path\" itself", help);
            }
            None
        }
    };
    let names = written.names.unwrap_or(default_names(layout));
    let keywords = written.keywords.unwrap_or(KeywordStorage::Index);
    let access = match writing {
        Writing::Allowed => Access::ReadWrite,
        Writing::Refused => Access::ReadOnly,
    };
    Some(Endpoint { path, layout, inbox, names, keywords, durability: written.durability, access })
}

/// The tree at a path of which nothing else is said.
pub(super) fn tree_at(path: PathBuf) -> Endpoint {
    let layout = Layout::Fs;
    let (names, keywords) = (default_names(layout), KeywordStorage::Index);
    let (durability, access) = (Durability::Synced, Access::ReadWrite);
    Endpoint { path, layout, inbox: None, names, keywords, durability, access }
}

/// How the programs that write such trees write names: mail readers as they are, Dovecot and Courier in UTF-7.
fn default_names(layout: Layout) -> NameEncoding {
    match layout {
        Layout::Fs => NameEncoding::Utf8,
        Layout::MaildirPlusPlus => NameEncoding::Utf7,
    }
}

/// The path from the root on, in its one spelling: without `.`, and without a slash where none is needed. `..` stays, for
/// what it leads to hangs on links.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    Ok(path.components().collect())
}

/// What two trees have in common, if anything: what is done on one side would then be found on the other as if somebody
/// else had done it there.
pub(super) fn overlap(trees: Both<&Endpoint>) -> Option<&'static str> {
    // An address keeps its links; here they count, for it is the files that must not be the same.
    let paths = trees.map(|tree| resolved(&tree.path));
    let inboxes = trees.map(|tree| tree.inbox.as_deref().map(resolved));
    let within = |one: &Option<PathBuf>, tree: &PathBuf| one.as_ref().is_some_and(|inbox| inbox.starts_with(tree));
    if paths.local == paths.remote {
        return Some("both sides are the same Maildir");
    }
    if paths.local.starts_with(&paths.remote) {
        return Some("the local side's Maildir lies in the remote one's");
    }
    if paths.remote.starts_with(&paths.local) {
        return Some("the remote side's Maildir lies in the local one's");
    }
    let shared = within(&inboxes.local, &paths.remote)
        || within(&inboxes.remote, &paths.local)
        || inboxes.local.is_some() && inboxes.local == inboxes.remote;
    shared.then_some("the INBOX of one side lies in the Maildir of the other, or is its INBOX")
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    match found {
        Some((above, resolved)) => resolved.join(path.strip_prefix(above).unwrap_or(Path::new(""))),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        let here = std::env::current_dir().unwrap();
        for (written, path) in [
            ("/home/u/Mail", PathBuf::from("/home/u/Mail")),
            ("/home/u/Mail/", PathBuf::from("/home/u/Mail")),
            ("//home/u/./Mail//", PathBuf::from("/home/u/Mail")),
            ("/home/u/../v", PathBuf::from("/home/u/../v")),
            ("/", PathBuf::from("/")),
            ("Mail", here.join("Mail")),
        ] {
            // Paths that differ in such slashes are equal, but their texts are not.
            assert_eq!(absolute(Path::new(written)).unwrap().as_os_str(), path.as_os_str(), "{written}");
        }
        assert!(absolute(Path::new("")).is_err());
    }

    #[test]
    fn two_trees_that_share_files_are_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("Mail/sub")).unwrap();
        symlink(root.join("Mail"), root.join("link")).unwrap();
        let same = Some("both sides are the same Maildir");
        let inner = Some("the local side's Maildir lies in the remote one's");
        let outer = Some("the remote side's Maildir lies in the local one's");
        let inbox = Some("the INBOX of one side lies in the Maildir of the other, or is its INBOX");
        for (local, remote, expected) in [
            (("Mail", None), ("Mail", None), same),
            (("Mail", None), ("link", None), same),
            (("Mail/new", None), ("link/new", None), same),
            (("Mail/sub", None), ("Mail", None), inner),
            (("link/sub/deep", None), ("Mail", None), inner),
            (("Mail", None), ("Mail/sub", None), outer),
            (("a", Some("Mail/INBOX")), ("Mail", None), inbox),
            (("Mail", None), ("a", Some("link")), inbox),
            (("a", Some("in")), ("b", Some("in")), inbox),
            (("Mail", None), ("Mail2", None), None),
            (("Mail", None), ("a", Some("Mail2")), None),
            // An INBOX is one mailbox: a tree below it is not in it.
            (("Mail/a", Some("Mail")), ("Mail/b", None), None),
            (("a", Some("in")), ("b", Some("out")), None),
        ] {
            let tree = |(path, inbox): (&str, Option<&str>)| Endpoint {
                inbox: inbox.map(|inbox| root.join(inbox)),
                ..tree_at(root.join(path))
            };
            let trees = Both { local: tree(local), remote: tree(remote) };
            assert_eq!(overlap(trees.as_ref()), expected, "{local:?} {remote:?}");
        }
    }
}
