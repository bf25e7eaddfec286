//! What was measured in a case, as a table: a row for each program, and beside ours what it is meant to reach.

use std::fmt::Write as _;

use serde::Serialize;

use crate::arguments::Arguments;
use crate::letters::Letters;
use crate::measure::Figures;
use crate::programs::{Installed, Local};
use crate::stand::Outcome;

/// A case.
#[derive(Serialize)]
pub(crate) struct Table {
    /// Its number.
    pub(crate) case: u32,
    /// What happens in it.
    pub(crate) title: String,
    /// What ours is meant to reach.
    pub(crate) goal: Goal,
    /// The programs.
    pub(crate) rows: Vec<Row>,
}

/// A program in a case.
#[derive(Serialize)]
pub(crate) struct Row {
    /// What it is called.
    pub(crate) program: String,
    /// Whether it is this program.
    pub(crate) is_ours: bool,
    /// What it has on its local side; none of a bare conversation.
    #[serde(skip)]
    pub(crate) local: Option<Local>,
    /// The rounds that went well.
    pub(crate) figures: Vec<Figures>,
    /// What went wrong in the others.
    pub(crate) faults: Vec<String>,
}

/// What is not to be exceeded.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Goal {
    /// Turns.
    pub(crate) turns: Option<u64>,
    /// Seconds.
    pub(crate) seconds: Option<f64>,
    /// Octets from the remote server.
    pub(crate) down: Option<u64>,
    /// Peak memory in MiB.
    pub(crate) memory_mib: Option<f64>,
    /// Seconds, as a share of those of interimap in Perl.
    pub(crate) share_of_perl: Option<f64>,
}

impl Row {
    /// Nothing of a program yet.
    pub(crate) fn of(installed: &Installed) -> Row {
        Row {
            program: installed.title.clone(),
            is_ours: installed.program.name().starts_with("ours"),
            local: Some(installed.program.local()),
            figures: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Takes in a round.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        match outcome.well {
            Ok(()) => self.figures.push(outcome.figures),
            Err(fault) => self.faults.push(fault),
        }
    }

    fn median(&self, of: impl Fn(&Figures) -> f64) -> Option<f64> {
        median(&self.figures, of)
    }
}

/// The middle of what was measured; the lower of two.
pub(crate) fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// What stands above all tables.
pub(crate) fn title(programs: &[Installed], arguments: &Arguments) -> String {
    let titles: Vec<_> = programs.iter().map(|installed| installed.title.as_str()).collect();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "Between Dovecots on loopback, plain TCP, no compression; {}; {} round(s), median (range)\n{}\nload average {}\n\
         A turn: the client begins to speak after the server has spoken. Octets and turns: to the remote server, login \
         included.\nMemory: of the client's process. Servers, Maildirs and mbsync's state do not wait for the disk; the\n\
         databases of both interimaps do.\n\
         Times are those of ours with the same kind of local side.",
        Letters::kind(),
        arguments.rounds(),
        titles.join(", "),
        load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
    )
}

/// The table as text.
pub(crate) fn text(table: &Table) -> String {
    let mut text = format!("\n{}. {}\n", table.case, table.title);
    let mut line = |cells: [&str; 8]| {
        let [program, seconds, turns, up, down, memory, times, goal] = cells;
        let line =
            format!("  {program:<24} {seconds:>24} {turns:>7} {up:>11} {down:>11} {memory:>7} {times:>7}  {goal}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line(["", "seconds", "turns", "octets up", "octets down", "MiB", "times", ""]);
    for row in &table.rows {
        let whole = |of: fn(&Figures) -> u64| {
            row.median(|figures| of(figures) as f64).map_or_else(String::new, |n| n.to_string())
        };
        let seconds = match row.median(|figures| figures.seconds) {
            Some(median) => {
                let all = || row.figures.iter().map(|figures| figures.seconds);
                let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
                format!("{median:.3} ({least:.3} to {most:.3})")
            }
            None => "failed".to_owned(),
        };
        let memory = row.median(|figures| figures.peak_kib.map_or(f64::NAN, mib)).filter(|mib| !mib.is_nan());
        line([
            &row.program,
            &seconds,
            &whole(|figures| figures.passage.turns),
            &whole(|figures| figures.passage.up),
            &whole(|figures| figures.passage.down),
            &memory.map_or_else(String::new, |mib| format!("{mib:.1}")),
            &times(table, row).map_or_else(String::new, |times| format!("{times:.2}")),
            &if row.is_ours { table.goal.text(table, row) } else { String::new() },
        ]);
    }
    for row in table.rows.iter().filter(|row| !row.faults.is_empty()) {
        let _ = writeln!(text, "  {}: {} round(s) failed: {}", row.program, row.faults.len(), row.faults[0]);
    }
    text.pop();
    text
}

/// How many times as long as ours with the same kind of local side.
fn times(table: &Table, row: &Row) -> Option<f64> {
    let is_like = |other: &&Row| other.is_ours && (row.local.is_none() || other.local == row.local);
    let ours = table.rows.iter().find(is_like).filter(|_| !row.is_ours)?;
    Some(row.median(|figures| figures.seconds)? / ours.median(|figures| figures.seconds)?)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

impl Goal {
    fn text(&self, table: &Table, row: &Row) -> String {
        let is_perl = |other: &&Row| other.program.contains("Perl") && other.local == row.local;
        let perl = table.rows.iter().find(is_perl).and_then(|perl| perl.median(|figures| figures.seconds));
        let seconds = |figures: &Figures| figures.seconds;
        let clauses = [
            (
                self.turns.map(|turns| (format!("{turns} turns"), turns as f64)),
                row.median(|figures| figures.passage.turns as f64),
            ),
            (self.seconds.map(|limit| (format!("{limit} s"), limit)), row.median(seconds)),
            (
                self.down.map(|down| (format!("{down} octets down"), down as f64)),
                row.median(|figures| figures.passage.down as f64),
            ),
            (
                self.memory_mib.map(|limit| (format!("{limit} MiB"), limit)),
                row.median(|figures| figures.peak_kib.map_or(0.0, mib)),
            ),
            (
                self.share_of_perl.zip(perl).map(|(share, perl)| (format!("{share} of Perl"), share * perl)),
                row.median(seconds),
            ),
        ];
        let told = clauses.into_iter().filter_map(|(limit, found)| {
            let (limit, most) = limit?;
            Some(format!("{} {limit}", if found? <= most { "≤" } else { "MISSES ≤" }))
        });
        told.collect::<Vec<_>>().join(", ")
    }
}
