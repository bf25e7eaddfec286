//! Where a tree of Maildirs is, and how it is written.

use std::path::PathBuf;

use crate::mail::Access;

/// A tree of Maildirs, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The directory that holds the mailboxes.
    pub path: PathBuf,
    /// How names become directories.
    pub layout: Layout,
    /// Where INBOX is; `None`: where such trees have it.
    pub inbox: Option<PathBuf>,
    /// How what is not ASCII is written in the names of directories.
    pub names: NameEncoding,
    /// Where keywords are kept.
    pub keywords: KeywordStorage,
    /// Whether a message is on the disk before it counts as delivered.
    pub durability: Durability,
    /// Whether what is missing of the tree is made, INBOX above all. What else is done is up to the caller.
    pub access: Access,
}

/// How names become directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `a/b`: a directory in a directory.
    Fs,
    /// `.a.b`: all beside each other.
    MaildirPlusPlus,
}

/// How what is not ASCII is written in the names of directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameEncoding {
    /// As it is.
    Utf8,
    /// In the modified UTF-7 of IMAP (RFC 3501 §5.1.3), as Dovecot and Courier do.
    Utf7,
}

/// Where keywords are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeywordStorage {
    /// In the index, unless the mailbox has a file `dovecot-keywords`.
    Index,
    /// As letters in the names of files, and what they mean in `dovecot-keywords`, which is made where it is missing.
    Dovecot,
}

/// Whether a message is on the disk before it counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is, and its name is.
    Synced,
    /// The system writes it when it likes. A power cut may leave files without contents.
    Unsynced,
}

/// Where the index is, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexFile {
    /// It is brought up to date.
    Kept(PathBuf),
    /// It is copied into memory, and the copy thrown away: nothing changes by looking.
    LookedAt(PathBuf),
}
