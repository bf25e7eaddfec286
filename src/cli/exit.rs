//! How a run ends, for the shell.

use std::process::ExitCode;

use crate::engine::event::{Extent, Outcome, Report, Trouble, TroubleCause};
use crate::store::Cause;

/// How a run ends. The order is that of severity: of several accounts, the greatest one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// Both sides are in line.
    InLine,
    /// Something was left undone, each thing named.
    Incomplete,
    /// The mass-deletion guard stopped a mailbox.
    Guarded,
    /// Another run holds an account.
    Locked,
    /// A side could not be reached or refused the login.
    Unreachable,
    /// The arguments or the configuration are wrong.
    Usage,
    /// SIGINT
    Interrupted,
    /// SIGTERM
    Terminated,
    /// A fault of ours.
    Fault,
}

impl ExitStatus {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            ExitStatus::InLine => 0,
            ExitStatus::Incomplete => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Unreachable => 3,
            ExitStatus::Guarded => 4,
            ExitStatus::Locked => 5,
            ExitStatus::Fault => 70,
            ExitStatus::Interrupted => 130,
            ExitStatus::Terminated => 143,
        }
    }

    /// How a run ends that made this report.
    pub(super) fn of_report(report: &Report) -> ExitStatus {
        match () {
            () if report.troubles.iter().any(|trouble| lost(report, trouble)) => ExitStatus::Unreachable,
            () if !report.guarded.is_empty() => ExitStatus::Guarded,
            () if report.outcome() != Outcome::InSync => ExitStatus::Incomplete,
            () => ExitStatus::InLine,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> ExitCode {
        ExitCode::from(status.code())
    }
}

/// Whether a side could not be reached, or no longer, or did not let us in. What never became a session was not reached,
/// whatever it said.
fn lost(report: &Report, trouble: &Trouble) -> bool {
    use Cause::{ConnectionLost, Login, Password, TimedOut, Tls, Unreachable};
    let lost = [Unreachable, TimedOut, ConnectionLost, Tls, Login, Password].map(TroubleCause::Store);
    let never_open = trouble.side.is_some_and(|side| report.sides[side].method.is_none());
    trouble.reach == Extent::Side && (never_open || lost.contains(&trouble.cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::Guarded;
    use crate::mail::Side;
    use crate::store::Method;

    fn trouble(reach: Extent, cause: Cause) -> Report {
        let cause = TroubleCause::Store(cause);
        let trouble = Trouble { reach, side: Some(Side::Remote), mailbox: None, cause, text: String::new() };
        let mut report = Report { troubles: vec![trouble], ..Report::default() };
        report.sides.remote.method = Some(Method::Qresync);
        report
    }

    #[test]
    fn a_report_decides_the_exit_status() {
        let mut never_open = trouble(Extent::Side, Cause::Protocol);
        never_open.sides.remote.method = None;
        let guarded = vec![Guarded { mailbox: None, side: Side::Local, going: 2, held: 2 }];
        for (report, status) in [
            (Report::default(), ExitStatus::InLine),
            (trouble(Extent::Mailbox, Cause::Refused), ExitStatus::Incomplete),
            (trouble(Extent::Side, Cause::Protocol), ExitStatus::Incomplete),
            (never_open, ExitStatus::Unreachable),
            (trouble(Extent::Side, Cause::Login), ExitStatus::Unreachable),
            (trouble(Extent::Side, Cause::ConnectionLost), ExitStatus::Unreachable),
            (trouble(Extent::Mailbox, Cause::TimedOut), ExitStatus::Incomplete),
            (Report { guarded: guarded.clone(), ..trouble(Extent::Message, Cause::TooBig) }, ExitStatus::Guarded),
            (Report { guarded, ..trouble(Extent::Side, Cause::Unreachable) }, ExitStatus::Unreachable),
        ] {
            assert_eq!(ExitStatus::of_report(&report), status, "{report:?}");
        }
    }

    #[test]
    fn the_most_severe_status_counts() {
        use ExitStatus::*;
        let ascending = [InLine, Incomplete, Guarded, Locked, Unreachable, Usage, Interrupted, Terminated, Fault];
        assert!(ascending.is_sorted());
        assert_eq!(ascending.map(ExitStatus::code), [0, 1, 4, 5, 3, 2, 130, 143, 70]);
    }
}
