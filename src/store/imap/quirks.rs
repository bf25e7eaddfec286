//! What servers do wrong, each with a name, and what we do about it. Nothing else in this room knows a server by name.
//!
//! Most of it needs no switch, as what is safe with the server that errs is right with all others:
//!
//! | name | who, when seen | what we do |
//! | --- | --- | --- |
//! | ok-without-enabled | iCloud 2023: OK to ENABLE QRESYNC, and nothing is on | only the untagged ENABLED counts (`session`) |
//! | gone-is-vanished | Cyrus 3.6, 2026: who has a mailbox open while it is renamed is told that all vanished | no mailbox is selected while we rename or delete (`select`); a census opens the mailbox afresh (`census`) |
//! | vanished-but-there | Cyrus, James, iCloud: live mail is said to have vanished | what is said both to be there and to be gone is asked in full (`observe`); the caller counts |
//! | ok-and-nothing-done | Dovecot 2.3, 2026: STORE and EXPUNGE without the right are OK and do nothing | flags are those reported, and what did not vanish is searched for (`store_flags`, `expunge`) |
//! | trycreate-for-delete | Stalwart 2026: DELETE of a mailbox that is missing is NO with TRYCREATE | as good as NONEXISTENT (`refusal`) |
//! | bare-refusal | Courier 5.0, Cyrus 3.6, 2026: NO without a code for what exists, and for what does not | LIST tells (`mailbox`, `census`) |
//! | modified-in-no | Courier 5.0, 2026: MODIFIED with NO instead of OK | the code counts, not the status (`store_flags`, `expunge`) |
//! | listed-twice | Cyrus 3.10, 2026: a name twice in one LIST after CREATE | lines of one name are merged (`list`) |
//! | stored-without-line-end | Courier 5.0, 2026: APPEND is carried out before the command ends | a message that is not what it was said to be never gets its last octets (`append`) |
//! | literal8-in-body | Cyrus 3.6, 2026: BODY[] as literal8 | such a message is binary (`fetch`) |

use super::capability::Capabilities;
use crate::mail::MailboxName;

/// The deviations that change what we say, and that this session has shown so far or is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quirks {
    /// No `[CLOSED]` between the responses of one mailbox and those of the next: RFC 7162 §3.2.11 demands it once QRESYNC
    /// is on, but proxies lose it (Dovecot's imapc, 2013, carries a workaround). We say UNSELECT before each SELECT then:
    /// its tagged response is the border.
    pub(super) no_closed: bool,
    /// MAILBOXID beside HIGHESTMODSEQ in STATUS is whatever lies in the server's memory, which may be the end of a line
    /// (Cyrus 3.6 and 3.10, 2026). It is not asked for with the listing then.
    pub(super) garbled_mailbox_ids: bool,
    /// SELECT does not tell UIDNEXT (Courier 5.0, 2026; seznam.cz). STATUS is asked for it right before.
    pub(super) no_uid_next: bool,
    /// SELECT with a parameter is BAD although CONDSTORE is offered (iCloud, 2019). Every message is listed then.
    pub(super) no_select_parameter: bool,
    /// LIST with RETURN is refused (Proton Bridge 2023) or answered with nothing at all (Strato 2025).
    pub(super) no_list_return: bool,
    /// LSUB is refused (Microsoft 365 in its IMAP4rev2 mode, 2025). Subscriptions are left alone then.
    pub(super) no_lsub: bool,
    /// The selected mailbox is a picture that only NOOP or another SELECT brings up to date, even after an APPEND of our
    /// own; a message that is gone meanwhile is given as an invented one (Courier 5.0, 2026).
    pub(super) frozen_view: bool,
    /// A message whose last line has no end is refused with "BAD [CLIENTBUG] Additional arguments" (Yahoo, 2019). It gets
    /// one, as Courier does by itself.
    pub(super) wants_final_line_end: bool,
    /// How long a set of UIDs or flags in a command may be, in octets.
    pub(super) line_limit: usize,
    /// No mailbox can be created that has blanks at either end of its name or two in a row, or `^`, `"` or a backslash in
    /// it (Gmail, 2026).
    narrow_names: bool,
}

impl Quirks {
    /// RFC 7162 §4 asks for lines of 8192 octets at most.
    const LINE_LIMIT: usize = 8000;
    /// Exchange and Microsoft 365 (2016 to 2026) answer lines above 4096 octets with "Command Argument Error. 12".
    const LINE_LIMIT_OF_MICROSOFT: usize = 3800;
    /// Yahoo (2024) asks for lines of at most 1000 octets.
    const LINE_LIMIT_OF_YAHOO: usize = 900;

    /// What is known of a server by the name it gives itself and by what only it offers, before it has shown anything.
    pub(super) fn of(server: &str, capabilities: &Capabilities) -> Quirks {
        let is_yahoo = capabilities.has("XYMHIGHESTMODSEQ");
        let line_limit = match () {
            // The greeting says the one, ID the other.
            _ if server.contains("Microsoft Exchange") || server.contains("Microsoft.Exchange") => {
                Quirks::LINE_LIMIT_OF_MICROSOFT
            }
            _ if is_yahoo => Quirks::LINE_LIMIT_OF_YAHOO,
            _ => Quirks::LINE_LIMIT,
        };
        let is_courier = server.contains("Courier-IMAP");
        Quirks {
            no_closed: false,
            garbled_mailbox_ids: server.starts_with("Cyrus"),
            no_uid_next: is_courier,
            no_select_parameter: false,
            no_list_return: false,
            no_lsub: false,
            frozen_view: is_courier,
            wants_final_line_end: is_yahoo,
            line_limit,
            narrow_names: capabilities.has("X-GM-EXT-1"),
        }
    }

    /// Why the server would not create a mailbox of that name.
    pub(super) fn refuses_name(&self, name: &MailboxName) -> Option<String> {
        let blanks = |level: &str| level.starts_with(' ') || level.ends_with(' ') || level.contains("  ");
        if !self.narrow_names {
            return None;
        }
        match name.as_str().chars().find(|sign| "^\"\\".contains(*sign)) {
            Some(sign) => Some(format!("Gmail takes no {sign} in names")),
            None if name.levels().any(blanks) => {
                Some("Gmail takes no blanks at either end of a name, nor two in a row".to_owned())
            }
            None => None,
        }
    }
}

/// Whether these are the octets that Courier (5.0, 2026) gives for a message that is gone: not mail.
pub(super) fn is_invented(octets: &[u8]) -> bool {
    octets.starts_with(b"From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\n")
        && octets.ends_with(b"This message is no longer available on the server.\r\n")
}
