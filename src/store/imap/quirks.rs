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

/// The deviations that change what we say, and that this session has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quirks {
    /// No `[CLOSED]` between the responses of one mailbox and those of the next (RFC 7162 §3.2.11 demands it). Seen behind
    /// proxies (Dovecot's imapc, 2013, carries a workaround). We say UNSELECT before each SELECT then: its tagged
    /// response is the border.
    pub(super) no_closed: bool,
    /// MAILBOXID beside HIGHESTMODSEQ in STATUS is whatever lies in the server's memory, which may be the end of a line
    /// (Cyrus 3.6 and 3.10, 2026). It is not asked for with the listing then.
    pub(super) garbled_mailbox_ids: bool,
}

impl Quirks {
    /// What is known of a server by the name it gives itself, before it has shown anything.
    pub(super) fn of(server: &str) -> Quirks {
        Quirks { garbled_mailbox_ids: server.starts_with("Cyrus"), ..Quirks::default() }
    }
}
