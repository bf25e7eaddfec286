//! What the state is as a database: its migrations and its counters.

use crate::database::{Counter, Schema};

pub(super) const SCHEMA: Schema = Schema {
    noun: "state",
    // `iimp`
    application_id: 0x6969_6d70,
    migrations: &[
        include_str!("../../migrations/state/0001_initial.sql"),
        include_str!("../../migrations/state/0002_servers_without_uidplus.sql"),
        include_str!("../../migrations/state/0003_indices_that_are_put_back.sql"),
        include_str!("../../migrations/state/0004_messages_are_found_by_their_measure.sql"),
    ],
    counters: &[
        counter("pairs", "SELECT count(*) FROM pair WHERE mailbox = mailbox.id"),
        counter("intents", "SELECT count(*) FROM intent WHERE mailbox = mailbox.id"),
        counter("lifted", "SELECT count(*) FROM lifted WHERE mailbox = mailbox.id"),
        counter("skipped_local", "SELECT count(*) FROM skipped WHERE mailbox = mailbox.id AND side = 'local'"),
        counter("skipped_remote", "SELECT count(*) FROM skipped WHERE mailbox = mailbox.id AND side = 'remote'"),
    ],
    without: "the next sync pairs the messages anew by fingerprint and copies nothing twice",
};

const fn counter(column: &'static str, counted: &'static str) -> Counter {
    Counter { table: "mailbox", column, counted }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_list_is_what_lies_in_the_source() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/state");
        let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        assert_eq!(texts, SCHEMA.migrations);
    }
}
