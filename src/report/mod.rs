//! Says to people and programs what happened; decides nothing.

mod check;
mod hint;
mod json;
mod mailboxes;
mod printable;
mod quantity;
mod run;
mod status;

pub use check::{CheckedSide, Mailboxes, check_json, check_text};
pub use json::{Rehearsal, run_json};
pub use mailboxes::{mailboxes_json, mailboxes_text};
pub use printable::{printable, shell_quoted};
pub use quantity::octets;
pub use run::{Kind, Notice, Weight, failures, notices, summary};
pub use status::{Comparison, MailboxRow, Status, status_json, status_text};

/// How the reader called us, so that every hint can be typed as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What stands before the command: `interimap`, `interimap --config FILE`.
    pub program: String,
    /// What stands behind it.
    pub whose: Whose,
}

/// What names an account behind a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Its name.
    Account(String),
    /// Two addresses: `--remote URL --local URL`. Only `sync`, `check` and `repair` take them.
    Addresses(String),
}

impl Invocation {
    /// The command line of `sync`, `check` or `repair` for this account.
    pub fn command(&self, command: &str) -> String {
        let (Whose::Account(whose) | Whose::Addresses(whose)) = &self.whose;
        format!("{} {command} {whose}", self.program)
    }

    /// The command line of another command, where there is one for this account.
    pub fn command_of_account(&self, command: &str) -> Option<String> {
        match &self.whose {
            Whose::Account(name) => Some(format!("{} {command} {name}", self.program)),
            Whose::Addresses(_) => None,
        }
    }
}
