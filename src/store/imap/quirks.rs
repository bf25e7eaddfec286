//! What servers do wrong, each with a name, and what we do about it. Nothing else in this room knows a server by name.
//!
//! Every name has a test that carries it; `tests/quirks` plays whole dialogues (`tests/tidy.rs` holds it so). Most of it
//! needs no switch, as what is safe with the server that errs is right with all others.
//!
//! What the octets look like:
//!
//! | name | who, when seen | what we do |
//! | --- | --- | --- |
//! | line-feed-only | pymap 2026, others: lines end in LF | both ends of lines are read (`frame`) |
//! | nul-padding | seen by imapflow: NULs before a response | they are passed over, up to a limit (`frame`) |
//! | blanks-to-keep-alive | DavMail 2019: many blanks behind the `*` | blanks are one blank (`frame`, `parse`) |
//! | empty-continuation | iCloud, Exchange, public-inbox: `+` and nothing behind it | the sign is enough (`parse`) |
//! | code-without-ok | home.pl 2019, Exchange 2014: `* [UIDNEXT 9]` | as if OK stood before it (`frame`, `parse::code`) |
//! | code-without-text | Gmail 2023: nothing behind `[HIGHESTMODSEQ 9]` | the text may be empty (`parse::code`) |
//! | codes-that-say-nothing | Outlook.com 2015 to 2017, others 2020: `[UIDVALIDITY 0]`, `[UIDNEXT 0]`, `[UNSEEN 0]`, `[COPYUID 14  ]`, APPENDUID without UIDs | as good as not said; where a UID was taken for granted, the message is looked for (`parse::code`) |
//! | numbers-that-are-none | Zoho 2023: `MODSEQ (-1)`; mail.ru 2024: sizes as `9.3736e+06`; hoodiecrow 2026: `HIGHESTMODSEQ NIL`; servers of RFC 4551: mod-sequences up to 2^64-1 | sizes and mod-sequences are hints, and may be missing; a mailbox without HIGHESTMODSEQ is listed in full (`parse::numbers`) |
//! | status-in-part | Exchange, Dovecot and others: STATUS with items missing, unknown, or out of range | a mailbox without a status is opened (`parse::mailboxes`) |
//! | blank-behind-status | Exchange 2010 to 2026 | blanks at the end are passed over (`parse::token`) |
//! | vanished-from-zero | Dovecot 2.3.14, 2021: `VANISHED 0:1` | 0 is no UID (`parse::numbers`) |
//! | search-for-esearch | Microsoft 365, o2.pl and others: `* SEARCH` for SEARCH RETURN, unsorted, twice, in several lines | a set is a set, whatever it comes in (`parse::search`) |
//! | esearch-in-part | iCloud 2024, Stalwart 2026: COUNT and MIN that do not fit ALL, or no ALL | not understood, as messages that are not named would look as if they were gone (`parse::search`) |
//! | esearch-that-finds-nothing | Strato 2026: ESEARCH without ALL for thousands of messages | what EXISTS counts must be found, or every message is listed (`observe`, `census`); what we have marked must be, or nothing is expunged (`expunge`) |
//! | unasked-items | Gmail, Domino, Exchange: X-GM-LABELS, ENVELOPE in extra parentheses, lines that number -1 | passed over by structure; ENVELOPE and BODYSTRUCTURE are never asked for (`parse::fetch`) |
//! | fetch-without-uid | seen by nextcloud/mail 2026 | another look (`observe`); no answer to anything that was asked (`fetch`, `store_flags`) |
//! | fetch-of-zero | Courier 2004: `* 0 FETCH (UID 5 …)` | the UID counts (`parse`) |
//! | body-nil | Exchange 2019: `BODY[] NIL` | named, and the others go on (`fetch`) |
//! | body-without-value | Yandex 2024: `BODY[] )` | the same (`parse::fetch`) |
//! | literal8-in-body | Cyrus 3.6, 2026: BODY[] as literal8 | such a message is binary (`fetch`) |
//! | rfc822-gives-nothing | iCloud 2021 to 2026: RFC822 gives no octets | BODY.PEEK[] is asked for (`fetch`) |
//! | flags-that-are-none | Gmail 2015: keywords with `]`; GreenMail 2023: `\*`; InterMail 2018: quoted | no message gets or loses such a flag by us: left out every time (`parse::flags`) |
//! | odd-keywords | Microsoft 365: `$MDNSent` on everything; Zimbra: `Name:FLAG123` | keywords like any other |
//! | broken-permanent-flags | Fastmail 2021, bea 2023: a list that does not end, or none | what can be read of it (`parse::flags`) |
//! | name-with-tabulator | Exchange 2019: control characters in names without quotes | the mailbox is left out by name, the others are listed (`parse::token`) |
//! | backslash-delimiter | Domino, hMailServer 5: `"\\"`, or `"\"` | both are a backslash (`parse::mailboxes`) |
//! | no-delimiter | UW imapd and others: NIL or an empty string | names have no levels (`parse::mailboxes`) |
//! | unknown-response | all: extensions to come | passed over, unless it may be about a message (`parse`) |
//! | bye-repeated | Yandex 2019: BYE until the connection is closed | the first is the end; a farewell has a time limit (`connection`) |
//! | id-nil-or-empty | many: `* ID NIL`, `* ID ()` | the greeting names the server then (`session`) |
//!
//! What is done and not done:
//!
//! | name | who, when seen | what we do |
//! | --- | --- | --- |
//! | alert-before-greeting | Courier 5.0, 2026: `* OK [ALERT]` before `* PREAUTH` | CAPABILITY is asked for, and PREAUTH heeded till then (`session`) |
//! | capability-injected | iCloud 2023: a proxy writes XAPPLEPUSHSERVICE into capabilities, and into messages until it has seen the answer to CAPABILITY | CAPABILITY is asked for after the login (`session`) |
//! | ok-without-enabled | iCloud 2023: OK to ENABLE QRESYNC, and nothing is on | only the untagged ENABLED counts (`session`) |
//! | authenticated-but-not-connected | Microsoft 365, 2016 to 2026: any login is OK, and every command BAD after it | a login that was refused, in plain words (`refusal`, `session`) |
//! | compress-that-breaks | WildDuck 2019: OK to COMPRESS, and then it cannot inflate what it gets and hangs up | told, with what to write so that it is not asked for (`connection`) |
//! | id-needs-a-pair | GMX, web.de, Exchange: `ID NIL` or `ID ()` is BAD | we say who we are (`session`) |
//! | id-before-select | 163, QQ: "unsafe login" where SELECT comes before ID | ID is said with the first flight (`session`) |
//! | throttled | Microsoft 365, Gmail, Yahoo, Amazon: refused for a while, as NO or BAD, with a code or in words | we wait as long as suggested, up to a limit, and ask again (`refusal`, `connection`) |
//! | numbered-errors | Exchange, Microsoft 365: "Command Argument Error. 11" | explained (`refusal`) |
//! | full-without-code | Cyrus 3.6, Courier 5.0, GroupWise: quota in words | as good as OVERQUOTA (`refusal`) |
//! | trycreate-for-delete | Stalwart 2026: DELETE of a mailbox that is missing is NO with TRYCREATE | as good as NONEXISTENT (`refusal`) |
//! | bare-refusal | Courier 5.0, Cyrus 3.6, 2026: NO without a code for what exists, and for what does not | LIST tells (`mailbox`, `census`) |
//! | modified-in-no | Courier 5.0, 2026: MODIFIED with NO instead of OK | the code counts, not the status (`store_flags`, `expunge`) |
//! | ok-and-nothing-done | Dovecot 2.3, 2026: STORE and EXPUNGE without the right are OK and do nothing | flags are those reported, and what did not vanish is searched for (`store_flags`, `expunge`) |
//! | expunged-late | Proton Bridge 2021: UID EXPUNGE is OK, and the message goes later | the same |
//! | listed-twice | Cyrus 3.10, 2026: a name twice in one LIST after CREATE | lines of one name are merged (`list`) |
//! | inbox-not-listed | Strato 2025 | it is opened all the same; a listing without it deletes nothing (`engine`) |
//! | virtual-mailboxes | Gmail: All Mail, Starred and Important show the messages of the others | their use is told with their names, whatever the language (`list`) |
//! | uid-validity-raised | Proton Bridge 2024, Courier after RENAME | every verb names the generation it means (`select`, `observe`) |
//! | gone-is-vanished | Cyrus 3.6, 2026: who has a mailbox open while it is renamed is told that all vanished | no mailbox is selected while we rename or delete (`select`); a census opens the mailbox afresh (`census`) |
//! | vanished-but-there | Cyrus, James, iCloud: live mail is said to have vanished | what is said both to be there and to be gone is asked in full (`observe`); the caller counts |
//! | modseq-ahead-of-vanished | Cyrus 3.6 and 3.10, 2026: FETCH tells of mod-sequences above an expunge that is still held back | only HIGHESTMODSEQ of SELECT is ever remembered (`observe`) |
//! | bye-when-renamed | Dovecot 2.3 and 2.4: BYE to who has a mailbox open that is renamed or deleted | the side is lost, nothing is concluded (`connection`) |
//! | sizes-that-are-wrong | Exchange 2003 to 2026: RFC822.SIZE is estimated; Proton Bridge: it is 0 | the literal has the truth (`fetch`) |
//! | vanished-above-star | Cyrus 3.6 to 3.10, 2026: `1:*` with VANISHED leaves out what was above the highest message, and names far more than there was | sets end in 4294967295, and are cut to what is known by the caller (`observe`) |
//! | highestmodseq-without-condstore | Yahoo 2020: HIGHESTMODSEQ, but no CHANGEDSINCE | only the capability counts (`observe`) |
//! | lower-than-asked | all, by RFC 3501 §6.4.8; Cyrus 3.10: `n:*` is answered with a lower UID | what was not asked for is not taken (`fetch`), what is known is not new (`observe`) |
//! | sets-in-order | QQ, 163, 2025: sets that go down are BAD | ours go up |
//! | missing-from-ok | Exchange, Gmail, 2026: a message is missing from an OK and is there | it is searched for and asked for again before it is gone (`fetch`, `fingerprint`, `store_flags`) |
//! | listed-but-not-given | Exchange, Microsoft 365: nothing is given for an item of the calendar | named, and the others go on (`fetch`) |
//! | unavailable-for-ever | Yahoo 2016: some messages are UNAVAILABLE each time they are asked for | named, where others come (`fetch`) |
//! | stored-without-line-end | Courier 5.0, 2026: APPEND is carried out before the command ends | a message that is not what it was said to be never gets its last octets (`append`) |
//! | keywords-dropped | UW imapd 2010: keywords of APPEND are dropped, and OK is said | keywords that nobody has seen kept are looked for (`append`) |
//! | keywords-used-up | Cyrus 3.6, 2026: 128 keywords in a mailbox; the whole command is refused | tried again without keywords (`append`, `store_flags`) |
//! | identical-messages | Cyrus 3.6, 2026: the eleventh copy of a message is refused with LIMIT | not for its size (`refusal`) |
//!
//! What changes what we say; see [`Quirks`]:
//!
//! | name | who, when seen | what we do |
//! | --- | --- | --- |
//! | no-closed | proxies 2013: no `[CLOSED]` | UNSELECT before SELECT |
//! | garbled-mailbox-ids | Cyrus 3.6 and 3.10, 2026 | MAILBOXID is asked for by a command of its own, or not at all |
//! | no-uid-next | Courier 5.0, 2026; seznam.cz | STATUS before SELECT |
//! | no-select-parameter | iCloud 2019 | every message is listed |
//! | no-list-return | Proton Bridge 2018 to 2023: BAD; Strato 2025: OK and nothing | LIST, LSUB and STATUS |
//! | no-lsub | Microsoft 365 in its IMAP4rev2 mode, 2025 | subscriptions are left alone |
//! | frozen-view | Courier 5.0, 2026 | NOOP before a verb |
//! | final-line-end | Yahoo 2019 | CRLF is added |
//! | short-lines | Exchange, Microsoft 365: 4096 octets; Yahoo: 1000 | sets are cut |
//! | narrow-names | Gmail 2009 to 2026 | names it would not take are refused before they are tried |

use super::capability::Capabilities;
use crate::mail::MailboxName;

/// The deviations that change what we say, and that this session has shown so far or is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quirks {
    /// No `[CLOSED]` between the responses of one mailbox and those of the next: RFC 7162 §3.2.11 demands it once QRESYNC
    /// is on, but proxies lose it (Dovecot's imapc, 2013, carries a workaround). We say UNSELECT before each SELECT then:
    /// its tagged response is the border.
    pub(super) no_closed: bool,
    /// How MAILBOXID is asked for: beside other items of STATUS it is whatever lies in the server's memory, which may be
    /// the end of a line, but alone it is right (Cyrus 3.6 and 3.10, 2026).
    pub(super) mailbox_ids: MailboxIds,
    /// SELECT does not tell UIDNEXT (Courier 5.0, 2026; seznam.cz). STATUS is asked for it right before.
    pub(super) no_uid_next: bool,
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

/// How the identities of mailboxes are asked for (RFC 8474 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MailboxIds {
    /// With everything else that STATUS tells.
    Beside,
    /// By a command of their own in the same flight.
    Apart,
    /// Not at all.
    Unasked,
}

impl Quirks {
    /// RFC 7162 §4 asks for lines of 8192 octets at most.
    const LINE_LIMIT: usize = 8000;
    /// Exchange and Microsoft 365 (2016 to 2026) answer lines above 4096 octets with "Command Argument Error. 12".
    const LINE_LIMIT_OF_MICROSOFT: usize = 3800;
    /// Yahoo (2024) asks for lines of at most 1000 octets; what asks for headers takes more than 100 of them beside the set.
    const LINE_LIMIT_OF_YAHOO: usize = 800;

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
            mailbox_ids: if server.starts_with("Cyrus") { MailboxIds::Apart } else { MailboxIds::Beside },
            no_uid_next: is_courier,
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
