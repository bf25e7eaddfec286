//! What a refusal means: from a tagged NO or BAD to an [`Error`], by its code, or by words that a server was seen to say
//! in place of one.

use std::time::Duration;

use super::connection::Completion;
use super::response::{Code, Status};
use crate::store::{Cause, Error, Reach, Retry};

/// How much of a server's text goes into a message of ours, in characters.
const WORDS_LIMIT: usize = 300;

/// How long to wait where the server asks for patience, but not for how much.
const USUAL_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause that a server is granted.
const PAUSE_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The beginning of a server's text, which is printable already, without a full stop.
pub(super) fn words(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_suffix('.').unwrap_or(text);
    let end = text.char_indices().nth(WORDS_LIMIT).map_or(text.len(), |(at, _)| at);
    if text.is_empty() { "no reason given" } else { &text[..end] }
}

/// What a refusal means, how far such a thing reaches at least, and whether waiting helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meaning {
    cause: Cause,
    retry: Retry,
    reach: Reach,
    pause: Option<Duration>,
}

const fn meaning(cause: Cause, retry: Retry, reach: Reach) -> Meaning {
    Meaning { cause, retry, reach, pause: None }
}

/// It is a matter of time.
const PATIENCE: Meaning =
    Meaning { cause: Cause::Refused, retry: Retry::Later, reach: Reach::Message, pause: Some(USUAL_PAUSE) };

/// What servers say in place of a code, in any case and at the beginning unless `…` stands before it, what it means, and what a reader needs to know who does not know
/// that server (`quirks`: throttled, authenticated-but-not-connected, full-without-code, numbered-errors,
/// keywords-used-up, identical-messages).
const SAYINGS: [(&str, Meaning, Option<&str>); 15] = [
    ("request is throttled", PATIENCE, None),
    ("… rate limit", PATIENCE, None),
    ("too many simultaneous connections", PATIENCE, None),
    (
        "server unavailable. 15",
        PATIENCE,
        Some("a mailbox of Exchange says so when it is busy or cannot be reached, and when it is full"),
    ),
    (
        "user is authenticated but not connected",
        meaning(Cause::Login, Retry::Never, Reach::Side),
        Some(
            "the login was taken, but no mailbox belongs to it: the password is not right, IMAP is switched off for the \
             account, or this login may not open it",
        ),
    ),
    ("over quota", FULL, None),
    ("quota exceeded", FULL, None),
    ("you exceeded your mail quota", FULL, None),
    ("… storage limit has been exceeded", FULL, None),
    ("too many user flags in mailbox", NOT_TAKEN, Some("the mailbox takes no more keywords")),
    (
        "too many identical emails",
        NOT_TAKEN,
        Some("the mailbox holds as many copies of this very message as the server allows"),
    ),
    (
        "command argument error. 10",
        NOT_TAKEN,
        Some("Exchange says so of a command that names too many messages, and of a message with lines too long for it"),
    ),
    (
        "command argument error. 11",
        NOT_TAKEN,
        Some("Exchange says so of a message that is too large, or that has lines or parts that it does not take"),
    ),
    ("command argument error. 12", NOT_TAKEN, Some("Exchange says so of a command of more than 4096 octets")),
    ("command error. 10", NOT_TAKEN, Some("Exchange says so of a message with lines too long for it")),
];

const FULL: Meaning = meaning(Cause::OverQuota, Retry::Later, Reach::Mailbox);
/// The same will be refused the same next time.
const NOT_TAKEN: Meaning = meaning(Cause::CannotHold, Retry::Never, Reach::Message);

/// What was not done this time may be next time, when less is left to be done.
const PARTIAL: Meaning = meaning(Cause::Refused, Retry::Later, Reach::Message);

impl Completion {
    /// Whether it was done, and to all that it was said of.
    pub(super) fn is_ok(&self) -> bool {
        self.status == Status::Ok && !self.is_partial()
    }

    /// Whether it was done to some of the messages only (RFC 9738 §3.1). What is not told of the others proves nothing.
    pub(super) fn is_partial(&self) -> bool {
        self.has_code("MESSAGELIMIT")
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

    /// How long to wait before the same is tried again, where waiting helps: what the server suggests, up to
    /// [`PAUSE_LIMIT`], or [`USUAL_PAUSE`].
    pub(super) fn backoff(&self) -> Option<Duration> {
        if self.is_ok() {
            return None;
        }
        let pause = self.meaning().0.pause?;
        Some(suggested_pause(&self.text).unwrap_or(pause).min(PAUSE_LIMIT))
    }

    /// The refusal as an error of that reach: `what` was refused.
    pub(super) fn refusal(&self, reach: Reach, what: &str) -> Error {
        let (meaning, explanation) = self.meaning();
        let explained = explanation.map(|explanation| format!("; {explanation}")).unwrap_or_default();
        let text = match meaning.cause {
            Cause::NoSuchMailbox => format!("{what}: there is no such mailbox"),
            _ => format!("the server refuses {what}: {}{explained}", words(&self.text)),
        };
        Error { reach: reach.max(meaning.reach), retry: meaning.retry, cause: meaning.cause, text }
    }

    /// What the code says (RFC 5530, RFC 7889 §5, RFC 9208 §4.3.1), or else the text.
    fn meaning(&self) -> (Meaning, Option<&'static str>) {
        let name = match &self.code {
            Some(Code::Other(name, _)) => name.as_str(),
            Some(Code::ReadOnly) => "NOPERM",
            _ => "",
        };
        let by_code = match name {
            "TOOBIG" => meaning(Cause::TooBig, Retry::Never, Reach::Message),
            "OVERQUOTA" => FULL,
            "NOPERM" => meaning(Cause::NoPermission, Retry::Never, Reach::Mailbox),
            "CANNOT" | "UNKNOWN-CTE" | "BADCHARSET" | "USEATTR" => {
                meaning(Cause::CannotHold, Retry::Never, Reach::Message)
            }
            "NONEXISTENT" | "TRYCREATE" => meaning(Cause::NoSuchMailbox, Retry::Later, Reach::Mailbox),
            "UNAVAILABLE" | "INUSE" | "THROTTLED" => PATIENCE,
            "MESSAGELIMIT" => {
                return (PARTIAL, Some("it answers for some of the messages only (MESSAGELIMIT, RFC 9738)"));
            }
            "SERVERBUG" | "EXPUNGEISSUED" | "CORRUPTION" => meaning(Cause::Refused, Retry::Later, Reach::Message),
            _ => {
                let text = self.text.to_ascii_lowercase();
                let said = |saying: &str| match saying.strip_prefix("… ") {
                    Some(part) => text.contains(part),
                    None => text.starts_with(saying),
                };
                let saying = SAYINGS.iter().find(|(saying, ..)| said(saying));
                // BAD is the answer to what was said, not to the state of things: it will be the same next time.
                let retry = if self.status == Status::Bad { Retry::Never } else { Retry::Later };
                let unknown = (meaning(Cause::Refused, retry, Reach::Message), None);
                return saying.map_or(unknown, |(_, meaning, explanation)| (*meaning, *explanation));
            }
        };
        (by_code, None)
    }
}

/// `Suggested Backoff Time: 299961 milliseconds`; a number that no u64 holds is more than any limit.
fn suggested_pause(text: &str) -> Option<Duration> {
    const SUGGESTION: &str = "suggested backoff time:";
    let text = text.to_ascii_lowercase();
    let (_, rest) = text.split_once(SUGGESTION)?;
    let (number, unit) = rest.trim_start().split_once(' ')?;
    let digits = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
    (digits && unit.starts_with("milliseconds")).then(|| Duration::from_millis(number.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(status: Status, code: &str, text: &str) -> Completion {
        let code = (!code.is_empty()).then(|| Code::Other(code.to_owned(), String::new()));
        Completion { status, code, text: text.to_owned() }
    }

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
            ("MESSAGELIMIT", Status::Ok, Cause::Refused, Retry::Later, Reach::Message),
            ("", Status::No, Cause::Refused, Retry::Later, Reach::Message),
            ("", Status::Bad, Cause::Refused, Retry::Never, Reach::Message),
        ] {
            let error = completion(status, code, "why").refusal(Reach::Message, "it");
            assert_eq!((error.cause, error.retry, error.reach), (cause, retry, reach), "{error}");
        }
    }

    /// The names are those of `quirks`.
    #[test]
    fn sayings_stand_for_codes() {
        use Cause::{CannotHold, Login, OverQuota, Refused};
        use Retry::{Later, Never};
        const THROTTLED: &str = "Request is throttled. Suggested Backoff Time: 89117 milliseconds";
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let suggested = Some(Duration::from_millis(89_117));
        for (name, who, status, code, text, meant, pause) in [
            ("throttled", "M365 2023", Status::Bad, "", THROTTLED, (Refused, Later, Reach::Message), suggested),
            ("throttled", "M365 2019", Status::No, "", THROTTLED, (Refused, Later, Reach::Message), suggested),
            ("throttled", "Gmail", Status::No, "THROTTLED", "x", (Refused, Later, Reach::Message), seconds(10)),
            (
                "throttled",
                "Yahoo",
                Status::No,
                "LIMIT",
                "UID FETCH Rate limit hit.",
                (Refused, Later, Reach::Message),
                seconds(10),
            ),
            ("throttled", "", Status::No, "UNAVAILABLE", "", (Refused, Later, Reach::Message), seconds(10)),
            ("throttled", "", Status::No, "INUSE", "", (Refused, Later, Reach::Message), seconds(10)),
            (
                "numbered-errors",
                "Exchange 2013",
                Status::No,
                "",
                "Server Unavailable. 15",
                (Refused, Later, Reach::Message),
                seconds(10),
            ),
            (
                "authenticated-but-not-connected",
                "M365 2016 to 2026",
                Status::Bad,
                "",
                "User is authenticated but not connected.",
                (Login, Never, Reach::Side),
                None,
            ),
            (
                "authenticated-but-not-connected",
                "",
                Status::No,
                "",
                "User is authenticated but not connected.",
                (Login, Never, Reach::Side),
                None,
            ),
            ("full-without-code", "Cyrus 3.6", Status::No, "", "Over quota", (OverQuota, Later, Reach::Mailbox), None),
            (
                "full-without-code",
                "Courier 5.0",
                Status::No,
                "ALERT",
                "You exceeded your mail quota.",
                (OverQuota, Later, Reach::Mailbox),
                None,
            ),
            (
                "full-without-code",
                "GroupWise",
                Status::No,
                "",
                "APPEND The 1500 MB storage limit has been exceeded.",
                (OverQuota, Later, Reach::Mailbox),
                None,
            ),
            (
                "keywords-used-up",
                "Cyrus 3.6",
                Status::No,
                "",
                "Too many user flags in mailbox",
                (CannotHold, Never, Reach::Message),
                None,
            ),
            (
                "identical-messages",
                "Cyrus 3.6",
                Status::No,
                "LIMIT",
                "Too many identical emails",
                (CannotHold, Never, Reach::Message),
                None,
            ),
            (
                "numbered-errors",
                "Exchange 2016",
                Status::Bad,
                "",
                "Command Argument Error. 11",
                (CannotHold, Never, Reach::Message),
                None,
            ),
            (
                "numbered-errors",
                "Exchange 2016",
                Status::Bad,
                "",
                "Command Argument Error. 12",
                (CannotHold, Never, Reach::Message),
                None,
            ),
            (
                "numbered-errors",
                "Exchange 2016",
                Status::Bad,
                "",
                "Command Argument Error. 10",
                (CannotHold, Never, Reach::Message),
                None,
            ),
            ("", "", Status::No, "", "No mailbox \"Over quota\"", (Refused, Later, Reach::Message), None),
            ("", "", Status::Bad, "", "Command Argument Error. 7", (Refused, Never, Reach::Message), None),
            ("", "", Status::No, "SERVERBUG", "rate limit", (Refused, Later, Reach::Message), None),
            ("", "", Status::No, "OVERQUOTA", "rate limit", (OverQuota, Later, Reach::Mailbox), None),
            ("", "", Status::No, "LIMIT", "message too large", (Refused, Later, Reach::Message), None),
        ] {
            let completion = completion(status, code, text);
            let error = completion.refusal(Reach::Message, "it");
            assert_eq!((error.cause, error.retry, error.reach), meant, "{name}, {who}: {error}");
            assert_eq!(completion.backoff(), pause, "{name}, {who}: {error}");
        }
    }

    #[test]
    fn a_pause_is_as_long_as_the_server_suggests_but_bounded() {
        for (suggestion, pause) in [
            ("Suggested Backoff Time: 1500 milliseconds", Duration::from_millis(1500)),
            ("suggested backoff time:  0 MILLISECONDS", Duration::ZERO),
            ("Suggested Backoff Time: 299961 milliseconds.", Duration::from_millis(299_961)),
            ("Suggested Backoff Time: 300001 milliseconds", PAUSE_LIMIT),
            ("Suggested Backoff Time: 99999999999999999999 milliseconds", PAUSE_LIMIT),
            ("Suggested Backoff Time: -1 milliseconds", USUAL_PAUSE),
            ("Suggested Backoff Time: 5 hours", USUAL_PAUSE),
            ("Suggested Backoff Time:", USUAL_PAUSE),
            ("", USUAL_PAUSE),
        ] {
            let text = format!("Request is throttled. {suggestion}");
            assert_eq!(completion(Status::No, "", &text).backoff(), Some(pause), "{suggestion}");
            assert_eq!(completion(Status::Ok, "", &text).backoff(), None, "{suggestion}");
        }
    }

    #[test]
    fn a_login_that_leads_nowhere_is_explained() {
        let refused = completion(Status::Bad, "", "User is authenticated but not connected.");
        assert_eq!(
            refused.refusal(Reach::Side, "to begin").text,
            "the server refuses to begin: User is authenticated but not connected; the login was taken, but no mailbox \
             belongs to it: the password is not right, IMAP is switched off for the account, or this login may not open it"
        );
    }

    #[test]
    fn a_servers_words_are_cut() {
        assert_eq!(words(&"ä".repeat(1000)).chars().count(), WORDS_LIMIT);
        assert_eq!(words(" "), "no reason given");
        assert_eq!(words("Authentication failed. "), "Authentication failed");
    }
}
