//! What servers do wrong, each with a name, and what we do about it. Nothing else in this room knows a server by name.

/// The deviations that this session has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quirks {
    /// No `[CLOSED]` between the responses of one mailbox and those of the next (RFC 7162 §3.2.11 demands it). Seen behind
    /// proxies (Dovecot's imapc, 2013, carries a workaround). We say UNSELECT before each SELECT then: its tagged
    /// response is the border.
    pub(super) no_closed: bool,
}
