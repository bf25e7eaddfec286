//! What the file system and the index refuse, in the words of the port.

use std::fmt;

use rustix::io::Errno;

use crate::database;
use crate::mail::MailboxName;
use crate::store::{Cause, Error, Reach};

/// What a refusal of the file system means. It reaches as far as `reach` says, unless it is about more than that.
pub(super) fn of_system(errno: Errno, reach: Reach, what: impl fmt::Display) -> Error {
    let (cause, reach, why) = match errno {
        Errno::NOSPC => (Cause::OverQuota, reach.max(Reach::Mailbox), "no space is left on the disk".to_owned()),
        Errno::DQUOT => (Cause::OverQuota, reach.max(Reach::Mailbox), "the disk quota is used up".to_owned()),
        Errno::ACCESS | Errno::PERM => {
            (Cause::NoPermission, reach.max(Reach::Mailbox), "the permissions of its files forbid it".to_owned())
        }
        Errno::ROFS => (Cause::NoPermission, reach.max(Reach::Mailbox), "its disk can only be read".to_owned()),
        Errno::LOOP | Errno::NOTDIR => {
            (Cause::CannotHold, reach, "a symbolic link or a file stands in its way".to_owned())
        }
        Errno::ILSEQ => {
            let why =
                "its disk does not tell that name from the one of a directory that is there, or writes it otherwise";
            (Cause::CannotHold, reach, why.to_owned())
        }
        Errno::NAMETOOLONG => (Cause::CannotHold, reach, "its name is too long for the disk".to_owned()),
        Errno::MFILE | Errno::NFILE => (Cause::Limit, Reach::Side, "too many files are open".to_owned()),
        Errno::BUSY => (Cause::Storage, reach, "another program holds dovecot-keywords.lock".to_owned()),
        errno => (Cause::Storage, reach, std::io::Error::from(errno).to_string()),
    };
    Error { reach, retry: crate::store::Retry::Later, cause, text: format!("{what}: {why}") }
}

/// The same of a mailbox; what is not there any more has been deleted.
pub(super) fn of_mailbox(errno: Errno, name: &MailboxName, what: &str) -> Error {
    match errno {
        Errno::NOENT => gone(name),
        errno => of_system(errno, Reach::Mailbox, format_args!("the mailbox \"{name}\" cannot be {what}")),
    }
}

/// That there is no such mailbox.
pub(super) fn gone(name: &MailboxName) -> Error {
    if name.is_inbox() {
        // Nobody can have deleted it.
        return Error::mailbox(Cause::Storage, "INBOX is not where it was: its disk may not be mounted");
    }
    Error::mailbox(Cause::NoSuchMailbox, format!("there is no mailbox \"{name}\""))
}

/// What a refusal of the index means: without it no message can be named.
impl From<database::Error> for Error {
    fn from(error: database::Error) -> Error {
        Error::side(Cause::Storage, error.to_string())
    }
}
