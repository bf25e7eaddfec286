//! The test bed: real servers, an independent witness, a wire proxy, mail, and an editor that behaves like two users.

pub(crate) mod bed;
pub(crate) mod certificate;
pub(crate) mod courier;
pub(crate) mod cyrus;
pub(crate) mod disk;
pub(crate) mod dovecot;
pub(crate) mod editor;
pub(crate) mod host;
pub(crate) mod imap;
pub(crate) mod keeper;
pub(crate) mod kind;
pub(crate) mod mail;
pub(crate) mod maildir;
pub(crate) mod manners;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod rounds;
pub(crate) mod snapshot;
pub(crate) mod user;

/// How much longer than usual the tests may take: `INTERIMAP_TEST_SCALE`, 1 where it is not set.
pub(crate) fn scale() -> u64 {
    std::env::var("INTERIMAP_TEST_SCALE").map_or(1, |scale| scale.parse().expect("INTERIMAP_TEST_SCALE is a number"))
}
