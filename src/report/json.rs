//! What a run did, for programs: the shape is part of the interface, and documented in interimap(1).

use serde::Serialize;

use crate::engine::Step;
use crate::engine::event::{Extent, Outcome, Report, SideReport, TroubleCause};
use crate::mail::{MailboxName, Side};
use crate::store::Cause;

use super::Invocation;
use super::hint::hint;

/// What `--dry-run` adds: every step that a run would take.
#[derive(Clone, Debug, PartialEq)]
pub enum Rehearsal {
    /// It was no rehearsal.
    None,
    /// It was, and these are the steps.
    Plan(Vec<serde_json::Value>),
}

#[derive(Serialize)]
struct Account<'a> {
    account: &'a str,
    result: &'static str,
    mailboxes: u64,
    mailboxes_changed: u64,
    seconds: f64,
    local: OneSide<'a>,
    remote: OneSide<'a>,
    skipped: Vec<Skipped<'a>>,
    conflicts: Vec<Conflict<'a>>,
    guarded: Vec<Guarded<'a>>,
    errors: Vec<Trouble<'a>>,
    dry_run: bool,
    #[serde(skip_serializing_if = "<[Step]>::is_empty")]
    differences: &'a [Step],
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a [serde_json::Value]>,
}

#[derive(Serialize)]
struct OneSide<'a> {
    copied: u64,
    copied_bytes: u64,
    paired: u64,
    flagged: u64,
    expunged: u64,
    moved: u64,
    created: u64,
    deleted: u64,
    renamed: u64,
    subscriptions: u64,
    bytes_sent: u64,
    bytes_received: u64,
    method: Option<&'static str>,
    listed_in_full: Vec<&'a str>,
}

#[derive(Serialize)]
struct Skipped<'a> {
    mailbox: &'a str,
    side: &'static str,
    uid: u32,
    reason: &'a str,
}

#[derive(Serialize)]
struct Conflict<'a> {
    mailbox: &'a str,
    expunged_on: &'static str,
    uid: u32,
}

#[derive(Serialize)]
struct Guarded<'a> {
    mailbox: Option<&'a str>,
    side: &'static str,
    going: u64,
    held: u64,
}

#[derive(Serialize)]
struct Trouble<'a> {
    mailbox: Option<&'a str>,
    side: Option<&'static str>,
    reach: &'static str,
    cause: &'static str,
    text: &'a str,
    help: Option<String>,
}

/// The run as one line of JSON, without its line end.
pub fn run_json(account: &str, report: &Report, rehearsal: &Rehearsal, again: &Invocation) -> String {
    let plan = match rehearsal {
        Rehearsal::None => None,
        Rehearsal::Plan(plan) => Some(plan.as_slice()),
    };
    let skipped = report.skipped.iter().map(|skipped| Skipped {
        mailbox: skipped.mailbox.as_str(),
        side: skipped.side.as_str(),
        uid: skipped.uid.get(),
        reason: &skipped.reason,
    });
    let conflicts = report.conflicts.iter().map(|conflict| Conflict {
        mailbox: conflict.mailbox.as_str(),
        expunged_on: conflict.expunged_on.as_str(),
        uid: conflict.uid.get(),
    });
    let guarded = report.guarded.iter().map(|guarded| Guarded {
        mailbox: guarded.mailbox.as_ref().map(|mailbox| mailbox.as_str()),
        side: guarded.side.as_str(),
        going: guarded.going,
        held: guarded.held,
    });
    let errors = report.troubles.iter().map(|trouble| Trouble {
        mailbox: trouble.mailbox.as_ref().map(|mailbox| mailbox.as_str()),
        side: trouble.side.map(Side::as_str),
        reach: reach_word(trouble.reach),
        cause: cause_word(trouble.cause),
        text: &trouble.text,
        help: hint(trouble, again),
    });
    line(&Account {
        account,
        result: match report.outcome() {
            // What a rehearsal would have to do is not in line yet.
            Outcome::InSync if plan.is_some_and(|plan| !plan.is_empty()) => "incomplete",
            Outcome::InSync => "in-sync",
            Outcome::Incomplete => "incomplete",
            Outcome::Failed => "failed",
        },
        mailboxes: report.mailboxes,
        mailboxes_changed: report.mailboxes_changed,
        // Thousandths are as exact as anybody needs, and as anybody wants to read.
        seconds: (report.duration.as_secs_f64() * 1000.0).round() / 1000.0,
        local: one_side(&report.sides.local),
        remote: one_side(&report.sides.remote),
        skipped: skipped.collect(),
        conflicts: conflicts.collect(),
        guarded: guarded.collect(),
        errors: errors.collect(),
        dry_run: plan.is_some(),
        differences: &report.differences,
        plan,
    })
}

/// A value as one line of JSON.
pub(super) fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and lists of them can always be written as JSON")
}

fn one_side(side: &SideReport) -> OneSide<'_> {
    OneSide {
        copied: side.copied,
        copied_bytes: side.copied_bytes,
        paired: side.paired,
        flagged: side.flagged,
        expunged: side.expunged,
        moved: side.moved,
        created: side.created,
        deleted: side.deleted,
        renamed: side.renamed,
        subscriptions: side.subscriptions,
        bytes_sent: side.traffic.bytes_sent,
        bytes_received: side.traffic.bytes_received,
        method: side.method.map(|method| method.as_str()),
        listed_in_full: side.listed_in_full.iter().map(MailboxName::as_str).collect(),
    }
}

fn reach_word(reach: Extent) -> &'static str {
    match reach {
        Extent::Message => "message",
        Extent::Mailbox => "mailbox",
        Extent::Side => "side",
        Extent::Run => "run",
    }
}

/// The word for a cause.
pub(super) fn cause_word(cause: TroubleCause) -> &'static str {
    match cause {
        TroubleCause::State => "state",
        TroubleCause::Name => "name",
        TroubleCause::Mailbox => "mailbox",
        TroubleCause::Marked => "marked",
        TroubleCause::Unkept => "unkept",
        TroubleCause::Unsettled => "unsettled",
        TroubleCause::Store(cause) => match cause {
            Cause::Unreachable => "unreachable",
            Cause::TimedOut => "timed-out",
            Cause::ConnectionLost => "connection-lost",
            Cause::Tls => "tls",
            Cause::Login => "login",
            Cause::Password => "password",
            Cause::MissingCapability => "missing-capability",
            Cause::Protocol => "protocol",
            Cause::Limit => "limit",
            Cause::NoSuchMailbox => "no-such-mailbox",
            Cause::UidValidityChanged => "uid-validity-changed",
            Cause::OverQuota => "over-quota",
            Cause::TooBig => "too-big",
            Cause::NoPermission => "no-permission",
            Cause::CannotHold => "cannot-hold",
            Cause::Storage => "storage",
            Cause::Refused => "refused",
        },
    }
}
