//! What a run did, in one line, and what it left undone, thing by thing, with what to do next.

use crate::engine::event::{
    Conflict, Extent, Guarded, Outcome, Report, SideReport, SkippedMessage, Trouble, TroubleCause,
};
use crate::mail::Side;

use super::hint::hint;
use super::quantity::{count, octets, seconds};
use super::{Invocation, printable, shell_quoted};

/// So many skipped messages, and conflicts, are told one by one; `--json` has all of them.
const TOLD_ONE_BY_ONE: usize = 20;

/// Something to be told beside the summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub weight: Weight,
    /// What happened, where, and what was left undone.
    pub text: String,
    /// What to do next.
    pub help: Option<String>,
}

/// How much a [`Notice`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It was decided, and may surprise.
    Warning,
    /// Something was left undone.
    Error,
}

/// What a report is the report of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run.
    Run,
    /// A rehearsal, whose plan has so many steps.
    Rehearsal(usize),
    /// Something done with single mailboxes.
    Deeds,
}

/// A report in one line.
pub fn summary(account: &str, report: &Report, kind: Kind) -> String {
    let undone = report.troubles.len() + report.skipped.len() + report.guarded.len();
    let outcome = match (report.outcome(), kind) {
        (Outcome::InSync, Kind::Run | Kind::Rehearsal(0)) => "both sides are in line".to_owned(),
        (Outcome::InSync, Kind::Deeds) => "done".to_owned(),
        (Outcome::InSync, Kind::Rehearsal(steps)) => {
            format!("nothing was changed; a run would take {}", count(steps as u64, "step", "steps"))
        }
        (Outcome::Incomplete, Kind::Rehearsal(steps)) => format!(
            "nothing was changed; a run would take {} and leave {} undone",
            count(steps as u64, "step", "steps"),
            count(undone as u64, "thing", "things")
        ),
        (Outcome::Incomplete, _) if undone == 1 => "one thing was left undone".to_owned(),
        (Outcome::Incomplete, _) => format!("{undone} things were left undone"),
        (Outcome::Failed, Kind::Deeds) => "it was broken off".to_owned(),
        (Outcome::Failed, _) => "the run broke off".to_owned(),
    };
    let mut parts = Vec::new();
    if kind != Kind::Deeds {
        parts.push(count(report.mailboxes, "mailbox", "mailboxes"));
    }
    let done: Vec<String> = Side::BOTH
        .into_iter()
        .map(|side| (side, deeds(&report.sides[side])))
        .filter(|(_, deeds)| !deeds.is_empty())
        .map(|(side, deeds)| format!("{side}: {}", deeds.join(", ")))
        .collect();
    match (done.is_empty(), report.outcome(), kind) {
        (true, Outcome::InSync, Kind::Run | Kind::Deeds | Kind::Rehearsal(0)) => parts.push("nothing to do".to_owned()),
        _ => parts.extend(done),
    }
    parts.push(seconds(report.duration));
    format!("{}: {outcome}: {}", printable(account), parts.join("; "))
}

/// What was done on a side, without what was not.
fn deeds(side: &SideReport) -> Vec<String> {
    let messages = |number| count(number, "message", "messages");
    let mailboxes = |number| count(number, "mailbox", "mailboxes");
    let all = [
        (side.copied, format!("{} arrived ({})", messages(side.copied), octets(side.copied_bytes))),
        (side.paired, format!("{} recognized", messages(side.paired))),
        (side.flagged, format!("flags of {} changed", messages(side.flagged))),
        (side.moved, format!("{} moved", messages(side.moved))),
        (side.expunged, format!("{} expunged", messages(side.expunged))),
        (side.created, format!("{} created", mailboxes(side.created))),
        (side.renamed, format!("{} renamed", mailboxes(side.renamed))),
        (side.deleted, format!("{} deleted", mailboxes(side.deleted))),
        (side.subscriptions, format!("{} changed", count(side.subscriptions, "subscription", "subscriptions"))),
    ];
    all.into_iter().filter(|(number, _)| *number > 0).map(|(_, deed)| deed).collect()
}

/// Everything beside the summary: what was left undone first, then what may surprise.
pub fn notices(account: &str, report: &Report, again: &Invocation) -> Vec<Notice> {
    let undone = |trouble: &Trouble| match trouble.reach {
        Extent::Message if trouble.cause == TroubleCause::Mailbox => "the deletion was not carried over",
        Extent::Mailbox if trouble.cause == TroubleCause::Mailbox => "this was not done",
        Extent::Message => "this was left out, the rest was done",
        Extent::Mailbox => "the rest of this mailbox was left undone",
        // Nothing is begun before both sides are open.
        Extent::Side | Extent::Run if Side::BOTH.into_iter().all(|side| report.sides[side].method.is_none()) => {
            "nothing was done"
        }
        Extent::Side | Extent::Run => "the rest of the run was left undone",
    };
    let troubles = report.troubles.iter().map(|trouble| trouble_notice(account, trouble, Some(undone(trouble)), again));
    let guarded = report.guarded.iter().map(|guarded| guarded_notice(account, guarded, again));
    let mut notices: Vec<Notice> = troubles.chain(guarded).collect();
    let one_by_one = report.skipped.iter().take(TOLD_ONE_BY_ONE);
    notices.extend(one_by_one.map(|skipped| skipped_notice(account, skipped, again)));
    if let Some(more @ 1..) = report.skipped.len().checked_sub(TOLD_ONE_BY_ONE) {
        notices.push(Notice {
            weight: Weight::Error,
            text: format!("{}: {more} more messages were not copied", printable(account)),
            help: again
                .command_of_account("status")
                .map(|status| format!("how many of each mailbox is shown by: {status}")),
        });
    }
    notices.extend(report.conflicts.iter().take(TOLD_ONE_BY_ONE).map(|conflict| conflict_notice(account, conflict)));
    if let Some(more @ 1..) = report.conflicts.len().checked_sub(TOLD_ONE_BY_ONE) {
        let text =
            format!("{}: {more} more messages were changed on one side and expunged on the other", printable(account));
        notices.push(Notice { weight: Weight::Warning, text, help: None });
    }
    notices
}

/// What went wrong where something was only looked at, so that nothing was left undone.
pub fn failures(account: &str, troubles: &[Trouble], again: &Invocation) -> Vec<Notice> {
    troubles.iter().map(|trouble| trouble_notice(account, trouble, None, again)).collect()
}

/// What went wrong, where, what it left undone, what to do.
fn trouble_notice(account: &str, trouble: &Trouble, undone: Option<&str>, again: &Invocation) -> Notice {
    let place = place(account, trouble.side, trouble.mailbox.as_ref().map(|mailbox| mailbox.as_str()));
    let undone = undone.map(|undone| format!(" ({undone})")).unwrap_or_default();
    let text = format!("{place}: {}{undone}", printable(&trouble.text));
    Notice { weight: Weight::Error, text, help: hint(trouble, again) }
}

fn guarded_notice(account: &str, guarded: &Guarded, again: &Invocation) -> Notice {
    let Guarded { mailbox, side, going, held } = guarded;
    let name = mailbox.as_ref().map(|mailbox| mailbox.as_str());
    let (what, narrowed) = match name {
        Some(name) => ("messages would be expunged", format!(" -m {}", shell_quoted(name))),
        None => ("mailboxes would be deleted", String::new()),
    };
    let place = place(account, Some(*side), name);
    let text = format!("{place}: {going} of {held} {what}, which is more than \"max-delete\" allows; none of them was");
    let mut help = format!("if this is what you want: {}{narrowed} --allow-deletes", again.command("sync"));
    if name.is_some() {
        help.push_str(
            "; if you want them back: put the account's database (FILES in interimap(1)) aside and run it again",
        );
    }
    Notice { weight: Weight::Error, text, help: Some(help) }
}

fn skipped_notice(account: &str, skipped: &SkippedMessage, again: &Invocation) -> Notice {
    let SkippedMessage { mailbox, side, uid, reason } = skipped;
    let place = place(account, Some(*side), Some(mailbox.as_str()));
    let text = format!("{place}: UID {uid} was not copied to the {} side: {}", side.other(), printable(reason));
    let help = format!(
        "it stays where it is; once the reason is gone: {} -m {}",
        again.command("sync"),
        shell_quoted(mailbox.as_str())
    );
    Notice { weight: Weight::Error, text, help: Some(help) }
}

fn conflict_notice(account: &str, conflict: &Conflict) -> Notice {
    let Conflict { mailbox, expunged_on, uid } = conflict;
    let place = place(account, Some(expunged_on.other()), Some(mailbox.as_str()));
    let text =
        format!("{place}: UID {uid} was changed here and expunged on the {expunged_on} side; the expunge counts");
    Notice { weight: Weight::Warning, text, help: None }
}

/// `work, remote side, mailbox INBOX`
fn place(account: &str, side: Option<Side>, mailbox: Option<&str>) -> String {
    let mut place = printable(account).into_owned();
    if let Some(side) = side {
        place.push_str(&format!(", {side} side"));
    }
    if let Some(mailbox) = mailbox {
        place.push_str(&format!(", mailbox {}", printable(mailbox)));
    }
    place
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mail::{Both, MailboxName, Uid};
    use crate::report::Whose;
    use crate::report::{Rehearsal, run_json};
    use crate::store::{Cause, Method, Traffic};

    fn again() -> Invocation {
        Invocation { program: "interimap".to_owned(), whose: Whose::Account("work".to_owned()) }
    }

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    /// The run of the documentation.
    fn example() -> Report {
        let local = SideReport {
            copied: 3,
            copied_bytes: 18_233,
            flagged: 1,
            method: Some(Method::Embedded),
            ..SideReport::default()
        };
        let traffic = Traffic { bytes_sent: 412, bytes_received: 20_990, turns: 5 };
        let remote =
            SideReport { flagged: 2, expunged: 1, traffic, method: Some(Method::Qresync), ..SideReport::default() };
        Report {
            mailboxes: 12,
            mailboxes_changed: 2,
            duration: Duration::from_micros(410_499),
            sides: Both { local, remote },
            ..Report::default()
        }
    }

    fn skipped() -> SkippedMessage {
        SkippedMessage {
            mailbox: name("Lists"),
            side: Side::Remote,
            uid: Uid::new(17).unwrap(),
            reason: "too large for the other side: 61 MB > 50 MB".to_owned(),
        }
    }

    fn trouble(cause: TroubleCause, reach: Extent, mailbox: Option<&str>) -> Trouble {
        Trouble { reach, side: Some(Side::Remote), mailbox: mailbox.map(name), cause, text: "it failed".to_owned() }
    }

    fn told(notices: &[Notice]) -> String {
        let line = |notice: &Notice| match &notice.help {
            Some(help) => format!("{:?}: {}\n  {help}\n", notice.weight, notice.text),
            None => format!("{:?}: {}\n", notice.weight, notice.text),
        };
        notices.iter().map(line).collect()
    }

    #[test]
    fn a_run_is_told_in_one_line() {
        let quiet = Report { mailboxes: 12, duration: Duration::from_millis(90), ..Report::default() };
        let mut full = example();
        full.sides.local = SideReport {
            paired: 4,
            moved: 1,
            created: 1,
            deleted: 2,
            renamed: 1,
            subscriptions: 1,
            ..full.sides.local
        };
        for (report, line) in [
            (quiet.clone(), "work: both sides are in line: 12 mailboxes; nothing to do; 0.09 s"),
            (
                example(),
                "work: both sides are in line: 12 mailboxes; local: 3 messages arrived (18 kB), flags of 1 message changed; \
                 remote: flags of 2 messages changed, 1 message expunged; 0.41 s",
            ),
            (
                full,
                "work: both sides are in line: 12 mailboxes; local: 3 messages arrived (18 kB), 4 messages recognized, \
                 flags of 1 message changed, 1 message moved, 1 mailbox created, 1 mailbox renamed, 2 mailboxes deleted, \
                 1 subscription changed; remote: flags of 2 messages changed, 1 message expunged; 0.41 s",
            ),
            (
                Report { skipped: vec![skipped()], ..quiet.clone() },
                "work: one thing was left undone: 12 mailboxes; 0.09 s",
            ),
            (
                Report { skipped: vec![skipped(), skipped()], ..quiet.clone() },
                "work: 2 things were left undone: 12 mailboxes; 0.09 s",
            ),
            (
                Report {
                    troubles: vec![trouble(TroubleCause::Store(Cause::Login), Extent::Side, None)],
                    ..Report::default()
                },
                "work: the run broke off: 0 mailboxes; 0.00 s",
            ),
        ] {
            assert_eq!(summary("work", &report, Kind::Run), line);
        }
    }

    #[test]
    fn a_rehearsal_and_a_deed_claim_nothing_more() {
        let quiet = Report { mailboxes: 2, ..Report::default() };
        let undone = Report { skipped: vec![skipped()], ..quiet.clone() };
        let created = Both { local: SideReport { created: 1, ..SideReport::default() }, remote: SideReport::default() };
        for (report, kind, line) in [
            (&quiet, Kind::Rehearsal(0), "work: both sides are in line: 2 mailboxes; nothing to do; 0.00 s"),
            (&quiet, Kind::Rehearsal(1), "work: nothing was changed; a run would take 1 step: 2 mailboxes; 0.00 s"),
            (
                &undone,
                Kind::Rehearsal(3),
                "work: nothing was changed; a run would take 3 steps and leave 1 thing undone: 2 mailboxes; 0.00 s",
            ),
            (&quiet, Kind::Deeds, "work: done: nothing to do; 0.00 s"),
            (&Report { sides: created, ..quiet.clone() }, Kind::Deeds, "work: done: local: 1 mailbox created; 0.00 s"),
        ] {
            assert_eq!(summary("work", report, kind), line);
        }
    }

    #[test]
    fn everything_left_undone_is_told_with_what_to_do() {
        let report = Report {
            skipped: vec![skipped()],
            guarded: vec![
                Guarded { mailbox: Some(name("Sent Mail")), side: Side::Local, going: 230, held: 400 },
                Guarded { mailbox: None, side: Side::Remote, going: 5, held: 6 },
            ],
            conflicts: vec![Conflict { mailbox: name("INBOX"), expunged_on: Side::Local, uid: Uid::new(3).unwrap() }],
            troubles: vec![trouble(TroubleCause::Store(Cause::OverQuota), Extent::Message, Some("a\u{202e}b"))],
            ..Report::default()
        };
        assert_eq!(
            told(&notices("work", &report, &again())),
            "Error: work, remote side, mailbox a\\u{202e}b: it failed (this was left out, the rest was done)
  make room on this side, then run it again: interimap sync work
Error: work, local side, mailbox Sent Mail: 230 of 400 messages would be expunged, which is more than \"max-delete\" allows; none of them was
  if this is what you want: interimap sync work -m 'Sent Mail' --allow-deletes; if you want them back: put the account's database (FILES in interimap(1)) aside and run it again
Error: work, remote side: 5 of 6 mailboxes would be deleted, which is more than \"max-delete\" allows; none of them was
  if this is what you want: interimap sync work --allow-deletes
Error: work, remote side, mailbox Lists: UID 17 was not copied to the local side: too large for the other side: 61 MB > 50 MB
  it stays where it is; once the reason is gone: interimap sync work -m Lists
Warning: work, remote side, mailbox INBOX: UID 3 was changed here and expunged on the local side; the expunge counts
"
        );
    }

    #[test]
    fn what_was_left_undone_is_told_as_it_is() {
        let lost = |reach, cause| trouble(cause, reach, None);
        let login = TroubleCause::Store(Cause::Login);
        let method = Some(Method::Qresync);
        for (reach, cause, method, undone) in [
            (Extent::Side, login, None, " (nothing was done)"),
            (Extent::Side, login, method, " (the rest of the run was left undone)"),
            (Extent::Run, TroubleCause::State, None, " (nothing was done)"),
            (Extent::Mailbox, login, method, " (the rest of this mailbox was left undone)"),
            (Extent::Mailbox, TroubleCause::Mailbox, method, " (this was not done)"),
            (Extent::Message, TroubleCause::Mailbox, method, " (the deletion was not carried over)"),
            (Extent::Message, TroubleCause::Name, method, " (this was left out, the rest was done)"),
        ] {
            let mut report = Report { troubles: vec![lost(reach, cause)], ..Report::default() };
            report.sides.local.method = method;
            let notices = notices("work", &report, &again());
            assert_eq!(notices[0].text, format!("work, remote side: it failed{undone}"), "{reach:?} {cause:?}");
        }
        let failures = failures("work", &[lost(Extent::Side, login)], &again());
        assert_eq!(failures[0].text, "work, remote side: it failed");
    }

    #[test]
    fn a_thousand_skipped_messages_do_not_fill_the_screen() {
        let report = Report { skipped: vec![skipped(); 1000], ..Report::default() };
        let notices = notices("work", &report, &again());
        assert_eq!(notices.len(), 21);
        assert_eq!(notices[20].text, "work: 980 more messages were not copied");
        assert_eq!(notices[20].help.as_deref(), Some("how many of each mailbox is shown by: interimap status work"));
    }

    #[test]
    fn every_failure_has_a_hint_of_its_own() {
        let causes = [
            Cause::Unreachable,
            Cause::TimedOut,
            Cause::ConnectionLost,
            Cause::Tls,
            Cause::Login,
            Cause::Password,
            Cause::MissingCapability,
            Cause::Protocol,
            Cause::Limit,
            Cause::NoSuchMailbox,
            Cause::UidValidityChanged,
            Cause::OverQuota,
            Cause::TooBig,
            Cause::NoPermission,
            Cause::CannotHold,
            Cause::Refused,
        ];
        let mut seen = std::collections::BTreeSet::new();
        let causes = causes.map(TroubleCause::Store).into_iter();
        for cause in causes.chain([
            TroubleCause::Name,
            TroubleCause::Mailbox,
            TroubleCause::Marked,
            TroubleCause::Unkept,
            TroubleCause::Unsettled,
        ]) {
            for mailbox in [Some("Lists"), None] {
                let notice = trouble_notice("work", &trouble(cause, Extent::Mailbox, mailbox), None, &again());
                let help = notice.help.unwrap_or_else(|| panic!("{cause:?} has no hint"));
                assert!(mailbox.is_none() || seen.insert(help.clone()), "{cause:?}: {help}");
            }
        }
        assert_eq!(trouble_notice("work", &trouble(TroubleCause::State, Extent::Run, None), None, &again()).help, None);
    }

    #[test]
    fn the_json_is_what_the_interface_says() {
        let mut report = example();
        report.skipped = vec![skipped()];
        report.sides.remote.listed_in_full.insert(name("Archive"));
        let json = run_json("work", &report, &Rehearsal::None, &again());
        let expected = r#"{"account":"work","result":"incomplete","mailboxes":12,"mailboxes_changed":2,"seconds":0.41,
            "local":{"copied":3,"copied_bytes":18233,"paired":0,"flagged":1,"expunged":0,"moved":0,"created":0,"deleted":0,"renamed":0,
            "subscriptions":0,"bytes_sent":0,"bytes_received":0,"method":"embedded","listed_in_full":[]},
            "remote":{"copied":0,"copied_bytes":0,"paired":0,"flagged":2,"expunged":1,"moved":0,"created":0,"deleted":0,"renamed":0,
            "subscriptions":0,"bytes_sent":412,"bytes_received":20990,"method":"qresync","listed_in_full":["Archive"]},
            "skipped":[{"mailbox":"Lists","side":"remote","uid":17,"reason":"too large for the other side: 61 MB > 50 MB"}],
            "conflicts":[],"guarded":[],"errors":[],"dry_run":false}"#;
        assert_eq!(json, expected.replace("\n            ", ""));
    }

    #[test]
    fn the_json_names_what_went_wrong() {
        let report = Report {
            guarded: vec![Guarded { mailbox: Some(name("a")), side: Side::Local, going: 30, held: 40 }],
            conflicts: vec![Conflict { mailbox: name("b"), expunged_on: Side::Local, uid: Uid::new(3).unwrap() }],
            troubles: vec![trouble(TroubleCause::Store(Cause::ConnectionLost), Extent::Side, None)],
            ..Report::default()
        };
        let plan = vec![serde_json::json!({ "op": "expunge", "side": "local" })];
        let json = run_json("work", &report, &Rehearsal::Plan(plan.clone()), &again());
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["result"], "failed");
        assert_eq!(value["guarded"], serde_json::json!([{ "mailbox": "a", "side": "local", "going": 30, "held": 40 }]));
        assert_eq!(value["conflicts"], serde_json::json!([{ "mailbox": "b", "expunged_on": "local", "uid": 3 }]));
        assert_eq!(
            value["errors"],
            serde_json::json!([{
                "mailbox": null, "side": "remote", "reach": "side", "cause": "connection-lost", "text": "it failed",
                "help": "what was done is kept; run it again: interimap sync work",
            }])
        );
        assert_eq!((&value["dry_run"], &value["plan"]), (&serde_json::json!(true), &serde_json::json!(plan)));
        assert_eq!(value["local"]["method"], serde_json::Value::Null);
        let json = run_json("work", &Report::default(), &Rehearsal::Plan(plan), &again());
        assert!(json.contains(r#""result":"incomplete""#), "what has to be done is not in line: {json}");
        let json = run_json("work", &Report::default(), &Rehearsal::Plan(vec![]), &again());
        assert!(json.contains(r#""result":"in-sync""#), "{json}");
    }
}
