//! What a server offers, less what the configuration disables, and what follows from it.

use std::collections::BTreeSet;

/// The capabilities of a session, in upper case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities(BTreeSet<String>);

/// How literals may be announced (RFC 7888).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literals {
    /// `{n+}` at any size (LITERAL+).
    NonSynchronizing,
    /// `{n+}` up to [`Literals::MINUS_LIMIT`] octets (LITERAL-).
    NonSynchronizingIfSmall,
    /// `{n}` only: the server says when to go on.
    Synchronizing,
}

impl Literals {
    /// What LITERAL- allows, in octets (RFC 7888 §5).
    const MINUS_LIMIT: u64 = 4096;

    /// Whether a literal of that size may be sent without waiting.
    pub(super) fn may_run_on(self, size: u64) -> bool {
        match self {
            Literals::NonSynchronizing => true,
            Literals::NonSynchronizingIfSmall => size <= Literals::MINUS_LIMIT,
            Literals::Synchronizing => false,
        }
    }
}

impl Capabilities {
    /// What the server offers, less what is disabled: by its whole name, or by what stands before the `=`.
    pub(super) fn new(offered: Vec<String>, disabled: &[String]) -> Capabilities {
        let is_disabled = |name: &str| {
            let family = name.split('=').next().unwrap_or(name);
            disabled.iter().any(|other| other.eq_ignore_ascii_case(name) || other.eq_ignore_ascii_case(family))
        };
        Capabilities(offered.into_iter().filter(|name| !is_disabled(name)).collect())
    }

    /// Whether the capability of that upper-case name is offered.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// How a UID search is to be answered: in ranges (RFC 4731), or number by number.
    pub(super) fn search(&self, criteria: &str) -> String {
        let options = if self.has("ESEARCH") { "RETURN (ALL) " } else { "" };
        format!("UID SEARCH {options}{criteria}")
    }

    /// How literals may be announced.
    pub(super) fn literals(&self) -> Literals {
        match (self.has("LITERAL+"), self.has("LITERAL-")) {
            (true, _) => Literals::NonSynchronizing,
            (false, true) => Literals::NonSynchronizingIfSmall,
            (false, false) => Literals::Synchronizing,
        }
    }

    /// The largest message that the server takes, in octets (APPENDLIMIT=n, RFC 7889).
    pub(super) fn append_limit(&self) -> Option<u64> {
        self.values("APPENDLIMIT").find_map(|value| value.parse().ok())
    }

    /// What stands behind `name=`, for each capability of that name.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |capability| capability.strip_prefix(name)?.strip_prefix('='))
    }

    /// All of them.
    pub(super) fn into_set(self) -> BTreeSet<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(offered: &str, disabled: &str) -> Capabilities {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Capabilities::new(words(offered), &words(disabled))
    }

    #[test]
    fn what_is_disabled_is_not_there() {
        let capabilities = capabilities("IMAP4REV1 QRESYNC LITERAL+ AUTH=PLAIN APPENDLIMIT=5", "qresync APPENDLIMIT");
        assert!(!capabilities.has("QRESYNC") && capabilities.has("AUTH=PLAIN"));
        assert_eq!(capabilities.append_limit(), None);
    }

    #[test]
    fn a_search_is_answered_in_ranges_where_the_server_can() {
        assert_eq!(capabilities("ESEARCH", "").search("ALL"), "UID SEARCH RETURN (ALL) ALL");
        assert_eq!(capabilities("ESEARCH", "esearch").search("DELETED"), "UID SEARCH DELETED");
    }

    #[test]
    fn literals_run_on_as_far_as_the_server_lets_them() {
        for (offered, size, may) in [
            ("LITERAL+", u64::MAX, true),
            ("LITERAL+ LITERAL-", 4097, true),
            ("LITERAL-", 4096, true),
            ("LITERAL-", 4097, false),
            ("", 1, false),
        ] {
            assert_eq!(capabilities(offered, "").literals().may_run_on(size), may, "{offered} {size}");
        }
    }

    #[test]
    fn the_limit_of_append_is_a_number() {
        for (offered, limit) in
            [("APPENDLIMIT=52428800", Some(52_428_800)), ("APPENDLIMIT", None), ("APPENDLIMIT=x", None)]
        {
            assert_eq!(capabilities(offered, "").append_limit(), limit, "{offered}");
        }
    }
}
