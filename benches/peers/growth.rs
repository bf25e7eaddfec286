//! What happens to the cost as mail grows: messages in a mailbox, mailboxes in an account, and the way to the server.

use serde::Serialize;

use crate::account::Account;
use crate::arguments::Growth;
use crate::letters::Letters;
use crate::measure::Figures;
use crate::programs::Installed;
use crate::servers::Servers;
use crate::stand::Stand;
use crate::table::median;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Axis {
    /// The messages of the only mailbox.
    Messages,
    /// The mailboxes, of ten messages each.
    Mailboxes,
}

/// What a run has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// Copy all to an empty local side.
    FirstCopy,
    /// Find out that there is nothing to do.
    NothingChanged,
    /// Copy one new message of the remote server.
    OneNewMessage,
}

/// What a program costs at a size: of each figure the median.
#[derive(Serialize)]
pub(crate) struct Point {
    /// The program.
    pub(crate) program: String,
    /// What grows.
    pub(crate) axis: Axis,
    /// How much of it there is.
    pub(crate) size: u32,
    /// The round trip.
    pub(crate) milliseconds: u64,
    /// What had to be done.
    pub(crate) work: Work,
    /// From the start of the run to its end.
    pub(crate) seconds: f64,
    /// Turns to the remote server.
    pub(crate) turns: f64,
    /// Octets to the remote server.
    pub(crate) up: f64,
    /// Octets from the remote server.
    pub(crate) down: f64,
    /// The most memory that the process had.
    pub(crate) peak_mib: f64,
}

/// Measures all programs at all sizes, and prints a line for each.
pub(crate) fn measure(servers: &Servers, programs: &[Installed], growth: &Growth) -> Vec<Point> {
    let mut points = Vec::new();
    for messages in &growth.messages {
        let account = Account::of_one(format!("messages{messages}"), *messages, Letters::Short);
        account.fill(servers);
        for installed in programs {
            let mut copies = Vec::new();
            let stand = (0..growth.rounds)
                .map(|_| {
                    let stand = Stand::before(servers, installed, &account);
                    let outcome = stand.run(0);
                    copies.extend(outcome.well.is_ok().then_some(outcome.figures));
                    stand
                })
                .reduce(|before, stand| {
                    before.clear();
                    stand
                });
            let mut told = |milliseconds, work, figures: &[Figures]| {
                points.extend(Point::of(installed, (Axis::Messages, *messages), milliseconds, work, figures));
            };
            told(0, Work::FirstCopy, &copies);
            let Some(stand) = stand else { continue };
            for milliseconds in &growth.distances {
                told(*milliseconds, Work::NothingChanged, &runs(&stand, growth, *milliseconds, |_| ()));
                let arrive = |stand: &Stand<'_>| stand.arrive_remotely(&["INBOX"], &account.letters);
                told(*milliseconds, Work::OneNewMessage, &runs(&stand, growth, *milliseconds, arrive));
            }
            stand.clear();
        }
        account.clear(servers);
    }
    for mailboxes in &growth.mailboxes {
        let account = Account::of_many(format!("mailboxes{mailboxes}"), *mailboxes, 10, Letters::Short);
        account.fill(servers);
        for installed in programs {
            let stand = Stand::before(servers, installed, &account);
            stand.run(0);
            for milliseconds in &growth.distances {
                let figures = runs(&stand, growth, *milliseconds, |_| ());
                let at = (Axis::Mailboxes, *mailboxes);
                points.extend(Point::of(installed, at, *milliseconds, Work::NothingChanged, &figures));
            }
            stand.clear();
        }
        account.clear(servers);
    }
    points
}

fn runs(stand: &Stand<'_>, growth: &Growth, milliseconds: u64, change: impl Fn(&Stand<'_>)) -> Vec<Figures> {
    let mut figures = Vec::new();
    for _ in 0..growth.rounds {
        stand.settle();
        change(stand);
        let outcome = stand.run(milliseconds);
        figures.extend(outcome.well.is_ok().then_some(outcome.figures));
    }
    figures
}

impl Point {
    /// None where no run went well.
    fn of(
        installed: &Installed,
        (axis, size): (Axis, u32),
        milliseconds: u64,
        work: Work,
        figures: &[Figures],
    ) -> Option<Point> {
        let point = Point {
            program: installed.title.clone(),
            axis,
            size,
            milliseconds,
            work,
            seconds: median(figures, |figures| figures.seconds)?,
            turns: median(figures, |figures| figures.passage.turns as f64)?,
            up: median(figures, |figures| figures.passage.up as f64)?,
            down: median(figures, |figures| figures.passage.down as f64)?,
            peak_mib: median(figures, |figures| figures.peak_kib.unwrap_or(0) as f64 / 1024.0)?,
        };
        println!(
            "{:<24} {size:>8} {:<10} {:>4} ms  {:<16} {:>9.3} s {:>6} turns {:>10} up {:>10} down {:>8.1} MiB",
            point.program,
            format!("{axis:?}").to_lowercase(),
            milliseconds,
            format!("{work:?}"),
            point.seconds,
            point.turns,
            point.up,
            point.down,
            point.peak_mib
        );
        Some(point)
    }
}
