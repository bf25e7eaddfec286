//! Every key that a configuration can hold: the one list behind the parser, the manual page and the example.

/// A kind of table in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `[account.NAME]`
    Account,
    /// `[account.NAME.local]` or `[account.NAME.remote]`
    Side,
    /// The table `tls` of a side.
    Tls,
    /// An element of `rename`.
    Rename,
}

/// Whether a key does something already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Works,
    /// It is refused: what it asks for is not there yet.
    Later,
}

/// A key that a configuration can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The kind of table it stands in.
    pub place: Place,
    /// Its name.
    pub name: &'static str,
    /// Whether it does something already.
    pub standing: Standing,
}

/// Every key, in the order of the manual page.
pub const KEYS: &[Key] = &[
    works(Place::Account, "mailboxes"),
    works(Place::Account, "subscribed-only"),
    works(Place::Account, "rename"),
    works(Place::Account, "pull"),
    works(Place::Account, "push"),
    works(Place::Account, "create"),
    works(Place::Account, "delete-mailboxes"),
    works(Place::Account, "max-delete"),
    works(Place::Account, "subscriptions"),
    works(Place::Account, "connections"),
    works(Place::Account, "database"),
    works(Place::Account, "local"),
    works(Place::Account, "remote"),
    works(Place::Side, "type"),
    works(Place::Side, "host"),
    works(Place::Side, "port"),
    works(Place::Side, "username"),
    works(Place::Side, "password-command"),
    works(Place::Side, "password-file"),
    works(Place::Side, "password"),
    works(Place::Side, "auth"),
    works(Place::Side, "starttls"),
    works(Place::Side, "tls"),
    works(Place::Side, "compress"),
    later(Place::Side, "proxy"),
    works(Place::Side, "timeout"),
    works(Place::Side, "disable-extensions"),
    works(Place::Side, "prefix"),
    works(Place::Side, "read-only"),
    works(Place::Side, "command"),
    works(Place::Side, "null-stderr"),
    works(Place::Side, "path"),
    works(Place::Side, "layout"),
    works(Place::Side, "inbox"),
    works(Place::Side, "names"),
    works(Place::Side, "keywords"),
    works(Place::Side, "fsync"),
    works(Place::Tls, "ca-file"),
    works(Place::Tls, "fingerprint"),
    works(Place::Tls, "min-version"),
    works(Place::Tls, "hostname"),
    works(Place::Tls, "verify"),
    later(Place::Tls, "client-cert"),
    later(Place::Tls, "client-key"),
    works(Place::Rename, "remote"),
    works(Place::Rename, "local"),
];

const fn works(place: Place, name: &'static str) -> Key {
    Key { place, name, standing: Standing::Works }
}

const fn later(place: Place, name: &'static str) -> Key {
    Key { place, name, standing: Standing::Later }
}

/// The key of that name in that kind of table.
pub(super) fn find(place: Place, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.place == place && key.name == name)
}

/// What the writer of `wrong` most likely meant, if anything is near enough.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this, two words have nothing to do with each other.
    const NEAR_ENOUGH: f64 = 0.75;
    let rated = candidates.into_iter().map(|candidate| {
        // `compression` for `compress`, `tls-verify` for `verify`: a part of a word is near to it.
        let inside = wrong.len() > 3 && candidate.len() > 3 && (wrong.contains(candidate) || candidate.contains(wrong));
        let likeness = strsim::jaro_winkler(&wrong.to_lowercase(), &candidate.to_lowercase());
        (if inside { likeness.max(NEAR_ENOUGH) } else { likeness }, candidate)
    });
    // Of two that are equally near, the first one is the more usual one.
    let best = rated.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    (best.0 >= NEAR_ENOUGH).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        let side = || KEYS.iter().filter(|key| key.place == Place::Side).map(|key| key.name);
        for (wrong, meant) in [
            ("hots", Some("host")),
            ("user", Some("username")),
            ("passwordcommand", Some("password-command")),
            ("Password_File", Some("password-file")),
            ("compression", Some("compress")),
            ("starttsl", Some("starttls")),
            ("zebra", None),
        ] {
            assert_eq!(nearest(wrong, side()), meant, "{wrong}");
        }
    }

    #[test]
    fn every_key_stands_once() {
        for key in KEYS {
            assert_eq!(KEYS.iter().filter(|other| (other.place, other.name) == (key.place, key.name)).count(), 1);
        }
    }
}
