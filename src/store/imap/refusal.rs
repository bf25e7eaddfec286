//! What a refusal means: from a tagged NO or BAD to an [`Error`].

use super::connection::Completion;
use super::response::{Code, Status};
use crate::store::{Cause, Error, Reach, Retry};

/// How much of a server's text goes into a message of ours, in characters.
const WORDS_LIMIT: usize = 300;

/// The beginning of a server's text, which is printable already, without a full stop.
pub(super) fn words(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_suffix('.').unwrap_or(text);
    let end = text.char_indices().nth(WORDS_LIMIT).map_or(text.len(), |(at, _)| at);
    if text.is_empty() { "no reason given" } else { &text[..end] }
}

impl Completion {
    /// Whether it was done.
    pub(super) fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }

    /// Whether it bears the plain code of that upper-case name.
    pub(super) fn has_code(&self, name: &str) -> bool {
        self.code.as_ref().is_some_and(|code| code.is(name))
    }

    /// Whether the server says that there is no such mailbox.
    pub(super) fn says_there_is_none(&self) -> bool {
        self.has_code("NONEXISTENT") || self.has_code("TRYCREATE")
    }

    /// Whether the server gives a reason that programs can read.
    pub(super) fn has_reason(&self) -> bool {
        matches!(&self.code, Some(Code::Other(..)))
    }

    /// The refusal as an error of that reach: `what` was refused.
    pub(super) fn refusal(&self, reach: Reach, what: &str) -> Error {
        let (cause, retry, widest) = self.meaning();
        let text = match cause {
            Cause::NoSuchMailbox => format!("{what}: there is no such mailbox"),
            _ => format!("the server refuses {what}: {}", words(&self.text)),
        };
        Error { reach: reach.max(widest), retry, cause, text }
    }

    /// What the code says (RFC 5530, RFC 7889 §5, RFC 9208 §4.3.1), and how far such a thing reaches at least.
    fn meaning(&self) -> (Cause, Retry, Reach) {
        let name = match &self.code {
            Some(Code::Other(name, _)) => name.as_str(),
            Some(Code::ReadOnly) => "NOPERM",
            _ => "",
        };
        match name {
            "TOOBIG" => (Cause::TooBig, Retry::Never, Reach::Message),
            "OVERQUOTA" => (Cause::OverQuota, Retry::Later, Reach::Mailbox),
            "NOPERM" => (Cause::NoPermission, Retry::Never, Reach::Mailbox),
            "CANNOT" | "UNKNOWN-CTE" | "BADCHARSET" | "USEATTR" => (Cause::CannotHold, Retry::Never, Reach::Message),
            "NONEXISTENT" | "TRYCREATE" => (Cause::NoSuchMailbox, Retry::Later, Reach::Mailbox),
            "UNAVAILABLE" | "INUSE" | "SERVERBUG" | "EXPUNGEISSUED" | "CORRUPTION" => {
                (Cause::Refused, Retry::Later, Reach::Message)
            }
            // BAD is the answer to what was said, not to the state of things: it will be the same next time.
            _ if self.status == Status::Bad => (Cause::Refused, Retry::Never, Reach::Message),
            _ => (Cause::Refused, Retry::Later, Reach::Message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_how_far_a_refusal_reaches() {
        for (code, status, cause, retry, reach) in [
            ("TOOBIG", Status::No, Cause::TooBig, Retry::Never, Reach::Message),
            ("LIMIT", Status::No, Cause::Refused, Retry::Later, Reach::Message),
            ("OVERQUOTA", Status::No, Cause::OverQuota, Retry::Later, Reach::Mailbox),
            ("NOPERM", Status::No, Cause::NoPermission, Retry::Never, Reach::Mailbox),
            ("CANNOT", Status::No, Cause::CannotHold, Retry::Never, Reach::Message),
            ("TRYCREATE", Status::No, Cause::NoSuchMailbox, Retry::Later, Reach::Mailbox),
            ("SERVERBUG", Status::No, Cause::Refused, Retry::Later, Reach::Message),
            ("", Status::No, Cause::Refused, Retry::Later, Reach::Message),
            ("", Status::Bad, Cause::Refused, Retry::Never, Reach::Message),
        ] {
            let code = Some(Code::Other(code.to_owned(), String::new()));
            let error = Completion { status, code, text: "why".to_owned() }.refusal(Reach::Message, "it");
            assert_eq!((error.cause, error.retry, error.reach), (cause, retry, reach), "{error}");
        }
    }

    #[test]
    fn a_servers_words_are_cut() {
        assert_eq!(words(&"ä".repeat(1000)).chars().count(), WORDS_LIMIT);
        assert_eq!(words(" "), "no reason given");
        assert_eq!(words("Authentication failed. "), "Authentication failed");
    }
}
