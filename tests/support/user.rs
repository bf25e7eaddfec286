//! Somebody who edits on a side: through an IMAP client, or with the programs that work on a tree of Maildirs.

use std::collections::BTreeSet;

use super::imap::Client;
use super::mail::Made;
use super::maildir::Program;

pub(crate) use super::maildir::Change;

/// A user, and what they edit with.
pub(crate) enum User {
    /// A client of a server.
    Client(Client),
    /// A program that works on files.
    Program(Program),
}

impl From<Client> for User {
    fn from(client: Client) -> User {
        User::Client(client)
    }
}

impl From<Program> for User {
    fn from(program: Program) -> User {
        User::Program(program)
    }
}

impl User {
    /// Puts messages into a mailbox.
    pub(crate) fn append(&mut self, mailbox: &str, letters: &[Made], flags: &BTreeSet<&str>) {
        match self {
            User::Client(client) => {
                let words = flags.iter().copied().collect::<Vec<_>>().join(" ");
                let messages: Vec<_> = letters.iter().map(|letter| letter.flagged(&words)).collect();
                client.append_many(mailbox, &messages.iter().collect::<Vec<_>>());
            }
            User::Program(program) => {
                for letter in letters {
                    program.deliver(mailbox, letter, flags);
                }
            }
        }
    }

    /// Makes those changes of a flag of a message, one after the other.
    pub(crate) fn flag(&mut self, mailbox: &str, token: &str, changes: &[Change], flag: &str) {
        match self {
            User::Client(client) => {
                client.select(mailbox);
                let uid = client.find(token);
                for change in changes {
                    let word = if *change == Change::Set { "+FLAGS" } else { "-FLAGS" };
                    client.run(&format!("UID STORE {uid} {word} ({flag})"));
                }
                client.unselect();
            }
            User::Program(program) => {
                for change in changes {
                    program.flag(mailbox, token, *change, flag);
                }
            }
        }
    }

    /// Removes a message for good.
    pub(crate) fn expunge(&mut self, mailbox: &str, token: &str) {
        match self {
            User::Client(client) => {
                client.select(mailbox);
                let uid = client.find(token);
                client.expunge(uid);
                client.unselect();
            }
            User::Program(program) => program.unlink(mailbox, token),
        }
    }

    /// Copies a message to another mailbox.
    pub(crate) fn copy(&mut self, from: &str, token: &str, to: &str) {
        match self {
            User::Client(client) => {
                client.select(from);
                let uid = client.find(token);
                client.about(&format!("UID COPY {uid} {{}}"), &[to]);
                client.unselect();
            }
            User::Program(program) => program.copy(from, token, to),
        }
    }

    /// Moves a message to another mailbox.
    pub(crate) fn relocate(&mut self, from: &str, token: &str, to: &str) {
        match self {
            User::Client(client) => {
                client.select(from);
                let uid = client.find(token);
                client.relocate(uid, to);
                client.unselect();
            }
            User::Program(program) => program.relocate(from, token, to),
        }
    }

    /// Creates a mailbox, if nobody was faster.
    pub(crate) fn create(&mut self, mailbox: &str) {
        match self {
            User::Client(client) => client.create(mailbox),
            User::Program(program) => program.create(mailbox),
        }
    }

    /// Renames a mailbox and those below it.
    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        match self {
            User::Client(client) => client.about("RENAME {} {}", &[old, new]),
            User::Program(program) => program.rename(old, new),
        }
    }

    /// Deletes a mailbox.
    pub(crate) fn delete(&mut self, mailbox: &str) {
        match self {
            User::Client(client) => client.about("DELETE {}", &[mailbox]),
            User::Program(program) => program.delete(mailbox),
        }
    }

    /// Subscribes to a mailbox, or takes that back. Files know of no subscriptions.
    pub(crate) fn subscribe(&mut self, mailbox: &str, change: Change) {
        let word = if change == Change::Set { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
        match self {
            User::Client(client) => client.about(&format!("{word} {{}}"), &[mailbox]),
            User::Program(_) => panic!("nobody can {word} with files"),
        }
    }
}
