//! What is remembered of an account's mailboxes, as a table and as JSON.

use serde::Serialize;

use crate::mail::{Both, MailboxName};

use super::json::line;
use super::quantity::utc;
use super::{Invocation, printable};

/// What is known of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// When the last run ended, in seconds since 1970, and how; `None` before the first one.
    pub last_run: Option<(i64, String)>,
    /// Its mailboxes, by name.
    pub mailboxes: Vec<MailboxRow>,
}

/// What is known of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRow {
    /// Its local name.
    pub name: MailboxName,
    /// How many messages both sides hold.
    pub pairs: u64,
    /// How many appends may or may not have happened.
    pub pending: u64,
    /// How many messages of each side were left out.
    pub skipped: Both<u64>,
    /// When it was last in line, in seconds since 1970.
    pub last_success: Option<i64>,
    /// What the sides say, if they were asked.
    pub now: Option<Both<Comparison>>,
}

/// How a mailbox of a side compares with what is remembered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing has changed.
    Unchanged,
    /// Something has changed.
    Changed,
    /// It is not there.
    Missing,
    /// The side does not say enough: it keeps no mod-sequences.
    Unknown,
}

impl Comparison {
    fn as_str(self) -> &'static str {
        match self {
            Comparison::Unchanged => "unchanged",
            Comparison::Changed => "changed",
            Comparison::Missing => "missing",
            Comparison::Unknown => "unknown",
        }
    }
}

impl Status {
    /// Whether something waits for the next run or was left out, or the last run did not bring both sides in line.
    pub fn is_incomplete(&self) -> bool {
        let in_line = self.last_run.as_ref().is_none_or(|(_, result)| result == "in-sync");
        let open = |row: &MailboxRow| row.pending > 0 || row.skipped.local > 0 || row.skipped.remote > 0;
        !in_line || self.mailboxes.iter().any(open)
    }
}

/// The status as a table, with a line end behind every line.
pub fn status_text(account: &str, status: &Status, again: &Invocation) -> String {
    let account = printable(account);
    let mut text = match &status.last_run {
        Some((finished, result)) => format!("{account}: last run {}: {}\n", utc(*finished), printable(result)),
        None if status.mailboxes.is_empty() => {
            return format!("{account}: nothing is known yet; the first run is: {}\n", again.command("sync"));
        }
        None => format!("{account}: no run has come to its end yet\n"),
    };
    if status.mailboxes.is_empty() {
        return text + "no mailbox is remembered\n";
    }
    let asked = status.mailboxes.iter().any(|row| row.now.is_some());
    let mut rows = vec![["MAILBOX", "PAIRS", "PENDING", "SKIPPED", "LAST IN LINE"].map(str::to_owned).to_vec()];
    if asked {
        rows[0].extend(["LOCAL", "REMOTE"].map(str::to_owned));
    }
    for row in &status.mailboxes {
        let mut cells = vec![
            printable(row.name.as_str()).into_owned(),
            row.pairs.to_string(),
            row.pending.to_string(),
            (row.skipped.local + row.skipped.remote).to_string(),
            row.last_success.map_or_else(|| "never".to_owned(), utc),
        ];
        if let Some(now) = row.now {
            cells.extend([now.local, now.remote].map(|comparison| comparison.as_str().to_owned()));
        }
        rows.push(cells);
    }
    use Alignment::{Left, Right};
    text.push_str(&table(&rows, &[Left, Right, Right, Right, Left, Left, Left]));
    text
}

/// Where a column's cells stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alignment {
    /// As words do.
    Left,
    /// As numbers do.
    Right,
}

/// Columns as wide as their widest cell, with a line end behind every row.
pub(super) fn table(rows: &[Vec<String>], alignments: &[Alignment]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..alignments.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).zip(alignments).map(|((cell, width), alignment)| match alignment {
            Alignment::Left => format!("{cell:<width$}"),
            Alignment::Right => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The status as one line of JSON, without its line end.
pub fn status_json(account: &str, status: &Status) -> String {
    #[derive(Serialize)]
    struct Account<'a> {
        account: &'a str,
        last_run: Option<i64>,
        last_result: Option<&'a str>,
        mailboxes: Vec<Mailbox<'a>>,
    }
    #[derive(Serialize)]
    struct Mailbox<'a> {
        mailbox: &'a str,
        pairs: u64,
        pending: u64,
        skipped_local: u64,
        skipped_remote: u64,
        last_success: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        local: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        remote: Option<&'static str>,
    }
    let mailboxes = status.mailboxes.iter().map(|row| Mailbox {
        mailbox: row.name.as_str(),
        pairs: row.pairs,
        pending: row.pending,
        skipped_local: row.skipped.local,
        skipped_remote: row.skipped.remote,
        last_success: row.last_success,
        local: row.now.map(|now| now.local.as_str()),
        remote: row.now.map(|now| now.remote.as_str()),
    });
    line(&Account {
        account,
        last_run: status.last_run.as_ref().map(|(finished, _)| *finished),
        last_result: status.last_run.as_ref().map(|(_, result)| result.as_str()),
        mailboxes: mailboxes.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Whose;

    fn again() -> Invocation {
        Invocation { program: "interimap".to_owned(), whose: Whose::Account("work".to_owned()) }
    }

    fn row(name: &str, pairs: u64, last_success: Option<i64>) -> MailboxRow {
        let name = MailboxName::new(name).unwrap();
        MailboxRow { name, pairs, pending: 0, skipped: Both::default(), last_success, now: None }
    }

    #[test]
    fn the_table_is_as_wide_as_it_has_to_be() {
        let mut odd = row("Füße", 7, None);
        (odd.pending, odd.skipped) = (1, Both { local: 2, remote: 3 });
        let mut status = Status {
            last_run: Some((1_795_164_545, "in-sync".to_owned())),
            mailboxes: vec![row("INBOX", 120_400, Some(1_795_164_545)), odd],
        };
        assert_eq!(
            status_text("work", &status, &again()),
            "work: last run 2026-11-20 08:49 UTC: in-sync
MAILBOX   PAIRS  PENDING  SKIPPED  LAST IN LINE
INBOX    120400        0        0  2026-11-20 08:49 UTC
Füße          7        1        5  never
"
        );
        assert!(status.is_incomplete());
        status.mailboxes.truncate(1);
        assert!(!status.is_incomplete());
        let broken_off = Status { last_run: Some((1_795_164_545, "failed".to_owned())), ..status.clone() };
        assert!(broken_off.is_incomplete());
        status.mailboxes[0].now = Some(Both { local: Comparison::Unchanged, remote: Comparison::Changed });
        assert_eq!(
            status_text("work", &status, &again()),
            "work: last run 2026-11-20 08:49 UTC: in-sync
MAILBOX   PAIRS  PENDING  SKIPPED  LAST IN LINE          LOCAL      REMOTE
INBOX    120400        0        0  2026-11-20 08:49 UTC  unchanged  changed
"
        );
        assert_eq!(
            status_json("work", &status),
            r#"{"account":"work","last_run":1795164545,"last_result":"in-sync","mailboxes":[{"mailbox":"INBOX","pairs":120400,"pending":0,"skipped_local":0,"skipped_remote":0,"last_success":1795164545,"local":"unchanged","remote":"changed"}]}"#
        );
    }

    #[test]
    fn without_mailboxes_there_is_no_table() {
        let status = Status { last_run: Some((1_795_164_545, "failed".to_owned())), mailboxes: vec![] };
        assert_eq!(
            status_text("work", &status, &again()),
            "work: last run 2026-11-20 08:49 UTC: failed\nno mailbox is remembered\n"
        );
    }

    #[test]
    fn before_the_first_run_there_is_nothing_to_tell() {
        let status = Status { last_run: None, mailboxes: vec![] };
        assert_eq!(
            status_text("work", &status, &again()),
            "work: nothing is known yet; the first run is: interimap sync work\n"
        );
        assert_eq!(
            status_json("work", &status),
            r#"{"account":"work","last_run":null,"last_result":null,"mailboxes":[]}"#
        );
    }
}
