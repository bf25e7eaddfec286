//! What to do about a failure: one sentence a cause, and every command and key in it exists.

use crate::engine::event::{Extent, Trouble, TroubleCause};
use crate::mail::{MailboxName, Side};
use crate::store::Cause;

use super::{Invocation, Whose, shell_quoted};

/// What the reader can do about it.
pub(super) fn hint(trouble: &Trouble, again: &Invocation) -> Option<String> {
    let sync = again.command("sync");
    let here = match &trouble.mailbox {
        Some(mailbox) => format!("{sync} -m {}", shell_quoted(mailbox.as_str())),
        None => sync.clone(),
    };
    Some(match trouble.cause {
        TroubleCause::Store(cause) => of_store(cause, trouble, again, &here),
        // The sentences of the state say themselves what to do.
        TroubleCause::State => return None,
        TroubleCause::Name => match &trouble.mailbox {
            Some(mailbox) => format!("give it another name with \"rename\", or exclude it: {}", excluding(mailbox)),
            None => "see \"rename\" and \"mailboxes\" in interimap.toml(5)".to_owned(),
        },
        TroubleCause::Mailbox => of_mailbox(trouble, again, &sync),
        TroubleCause::Marked => {
            format!("expunge them there with your mail program, or take the mark off them, then run it again: {here}")
        }
        TroubleCause::Unkept => format!(
            "some servers keep so many keywords a mailbox and no more; once keywords that nobody needs are taken off all \
             messages there, run it again: {here}"
        ),
        TroubleCause::Unsettled => {
            format!("run it again: {here}; if it stays so: {}", here.replacen("sync", "repair", 1))
        }
    })
}

/// A deletion that was not carried over, or a command of `mailbox` that could not be followed.
fn of_mailbox(trouble: &Trouble, again: &Invocation, sync: &str) -> String {
    let delete = again.command_of_account("mailbox delete");
    match (trouble.reach, delete, again.command_of_account("mailbox list")) {
        (Extent::Message, Some(delete), _) => match &trouble.mailbox {
            Some(mailbox) => format!("to have it on neither side: {delete} {}", shell_quoted(mailbox.as_str())),
            None => format!("to have it on neither side: {delete} MAILBOX"),
        },
        (Extent::Message, None, _) => "to have it on neither side, delete it again on both".to_owned(),
        (_, _, Some(list)) => format!("the mailboxes of both sides are shown by: {list}"),
        (_, _, None) => format!("settle it by hand on one of the sides, then run it again: {sync}"),
    }
}

fn of_store(cause: Cause, trouble: &Trouble, again: &Invocation, here: &str) -> String {
    let (sync, check) = (again.command("sync"), again.command("check"));
    let side = trouble.side.unwrap_or(Side::Remote);
    match cause {
        Cause::Unreachable => format!(
            "see whether the network is up, and whether {} is right, then try: {check}",
            match again.whose {
                Whose::Account(_) => "what the configuration says of this side",
                Whose::Addresses(_) => "the address of this side",
            }
        ),
        Cause::TimedOut => format!("raise this side's \"timeout\" if it is only slow, then run it again: {sync}"),
        Cause::ConnectionLost => format!("what was done is kept; run it again: {sync}"),
        Cause::Tls => match again.whose {
            Whose::Account(_) => {
                "see whether \"type\", \"host\", \"port\" and the keys of \"tls\" (ca-file, hostname, \
                                      fingerprint) of this side are right; the password was not sent"
            }
            Whose::Addresses(_) => {
                "see whether the address of this side is right; a certificate that the system does not trust needs \
                                        a configuration, see \"tls\" in interimap.toml(5); the password was not sent"
            }
        }
        .to_owned(),
        Cause::Login => format!("see whether this side's \"username\" and password are right, then try: {check}"),
        Cause::Password => format!(
            "give this side a working \"password-command\" or \"password-file\", or set {}",
            match side {
                Side::Local => "INTERIMAP_LOCAL_PASSWORD",
                Side::Remote => "INTERIMAP_REMOTE_PASSWORD",
            }
        ),
        Cause::MissingCapability => {
            "this server cannot be used yet, unless \"disable-extensions\" of this side takes away what it offers"
                .to_owned()
        }
        Cause::Protocol => {
            format!("it does not speak IMAP as it should; all that was said is written by: {here} --trace-wire FILE")
        }
        Cause::Limit => {
            format!("if the server is to be trusted, report this, with what is written by: {here} --trace-wire FILE")
        }
        Cause::NoSuchMailbox => format!("it was deleted or renamed in the meantime; run it again: {sync}"),
        Cause::UidValidityChanged => format!("the next run recognizes its messages anew: {here}"),
        Cause::OverQuota => format!("make room on this side, then run it again: {sync}"),
        Cause::TooBig => match &trouble.mailbox {
            Some(_) => "the message stays where it is; this side's server would have to allow larger ones".to_owned(),
            None => "this side's server would have to allow larger ones".to_owned(),
        },
        Cause::NoPermission => match &trouble.mailbox {
            Some(mailbox) => {
                format!("get the right to change it, set read-only = true for this side, or: {}", excluding(mailbox))
            }
            None => "get the right to change this side, or set read-only = true for it".to_owned(),
        },
        Cause::CannotHold => match &trouble.mailbox {
            Some(mailbox) => format!("it stays where it is; to hear no more of it: {}", excluding(mailbox)),
            None => "it stays where it is".to_owned(),
        },
        Cause::Storage => format!("see whether its disk is mounted, sound and not full, then run it again: {sync}"),
        Cause::Refused => match &trouble.mailbox {
            Some(mailbox) => format!("run it again: {here}; or leave the mailbox out: {}", excluding(mailbox)),
            None => format!("run it again: {sync}"),
        },
    }
}

/// The line of a configuration that leaves a mailbox out.
fn excluding(mailbox: &MailboxName) -> String {
    format!("mailboxes = [\"*\", {:?}]", format!("!{mailbox}"))
}
