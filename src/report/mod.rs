//! Says to people and programs what happened; decides nothing.

mod check;
mod hint;
mod json;
mod printable;
mod quantity;
mod run;
mod status;

pub use check::{CheckedSide, Mailboxes, check_json, check_text};
pub use json::{Rehearsal, run_json};
pub use printable::{printable, shell_quoted};
pub use quantity::{count, octets, seconds, utc};
pub use run::{Notice, Weight, notices, summary, trouble_notice};
pub use status::{Comparison, MailboxRow, Status, status_json, status_text};

/// How the reader called us, so that every hint can be typed as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What stands before the command: `interimap`, `interimap --config FILE`.
    pub program: String,
    /// What names the account behind the command: `work`, `--remote URL --local URL`.
    pub account: String,
}

impl Invocation {
    /// The command line of one of our commands for this account.
    pub fn command(&self, command: &str) -> String {
        format!("{} {command} {}", self.program, self.account)
    }
}
