//! The plan of a whole account, and how it is shown: the very list that is executed.

use std::fmt;

use serde::Serialize;

use crate::mail::{Both, MailboxName, Side, Subscription, UidSet};
use crate::plan::{Presence, Reflag, TreePlan};
use crate::store::Passage;

use super::moves::Transfer;
use super::task::{SideView, Task};

/// Everything that is to be done in an account.
#[derive(Clone, Debug, Default)]
pub struct AccountPlan {
    /// What becomes of the mailboxes as such.
    pub(crate) tree: TreePlan,
    /// What becomes of their messages.
    pub(crate) mailboxes: Vec<Task>,
    /// What of them a side copies or moves by itself.
    pub(crate) moves: Vec<Transfer>,
}

/// One line of a plan. Many messages that share a fate share a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is done: `create`, `rename`, `delete`, `subscribe`, `unsubscribe`, `move`, `copy`, `flag`, `expunge`; to what
    /// is remembered: `pair`, `unpair`, `forget`, `remember`.
    pub op: &'static str,
    /// The side that is changed; `state` for what is remembered.
    pub side: &'static str,
    /// The mailbox, by its name on that side; where a side copies or moves messages by itself, the one that has them.
    pub mailbox: String,
    /// How many messages it concerns; 0 where it concerns the mailbox as such.
    pub messages: u64,
    /// Which messages, by UID: those of the other side where they come from there, else those of the changed side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uids: Option<String>,
    /// The new name, the mailbox to move to or, where the side has the messages already, to copy to, or the flags that
    /// change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl AccountPlan {
    /// Whether neither side is to be changed.
    pub fn is_empty(&self) -> bool {
        self.steps().is_empty()
    }

    /// What `repair` finds beside the changes to either side: memories that both sides contradict alike.
    pub(super) fn memories(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for task in &self.mailboxes {
            let remembered = |reflag: &&Reflag| Side::BOTH.into_iter().all(|side| reflag.changes[side].is_empty());
            steps.extend(Step::of_state("forget", &task.name, task.plan.forget.len()));
            steps.extend(Step::of_state("remember", &task.name, task.plan.reflags.iter().filter(remembered).count()));
        }
        steps
    }

    /// Every change to either side, in the order in which it is made.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for rename in &self.tree.renames {
            steps.push(Step { to: Some(rename.to.to_string()), ..of_mailbox("rename", rename.side, &rename.from) });
        }
        for place in &self.tree.places {
            for side in Side::BOTH {
                match (&place.at[side], place.subscription) {
                    (Presence::Here(name, _), Some(wanted)) if place.subscribed[side] != wanted => {
                        let op = match wanted {
                            Subscription::Subscribed => "subscribe",
                            Subscription::Unsubscribed => "unsubscribe",
                        };
                        steps.push(of_mailbox(op, side, name));
                    }
                    _ => {}
                }
            }
        }
        for task in &self.mailboxes {
            for side in Side::BOTH {
                let SideView::ToCreate(name) = &task.sides[side] else { continue };
                steps.push(of_mailbox("create", side, name));
                if task.place.subscription == Some(Subscription::Subscribed) {
                    steps.push(of_mailbox("subscribe", side, name));
                }
            }
        }
        self.moves.iter().for_each(|transfer| steps.extend(self.transfer(transfer)));
        self.mailboxes.iter().for_each(|task| steps.extend(copies_and_flags(task)));
        self.mailboxes.iter().for_each(|task| steps.extend(expunges(task)));
        for deletion in &self.tree.deletions {
            steps.push(of_mailbox("delete", deletion.side, &deletion.at));
        }
        steps
    }

    fn transfer(&self, transfer: &Transfer) -> Option<Step> {
        let (side, uids) = (transfer.from.other(), transfer.uids());
        let into = self.mailboxes.iter().find(|task| task.key == transfer.into)?;
        let op = match transfer.passage {
            Passage::Copy => "copy",
            Passage::Move => "move",
        };
        Some(Step {
            messages: uids.len(),
            uids: Some(uids.to_string()),
            to: Some(name_on(side, into).to_string()),
            ..of_mailbox(op, side, &transfer.source.name)
        })
    }
}

impl Step {
    /// A change to what is remembered of so many messages; `None` for none.
    pub(super) fn of_state(op: &'static str, name: &MailboxName, messages: usize) -> Option<Step> {
        let mailbox = name.to_string();
        (messages > 0).then_some(Step { op, side: "state", mailbox, messages: messages as u64, uids: None, to: None })
    }
}

fn of_mailbox(op: &'static str, side: Side, name: &MailboxName) -> Step {
    Step { op, side: side.as_str(), mailbox: name.to_string(), messages: 0, uids: None, to: None }
}

fn of_messages(op: &'static str, side: Side, task: &Task, uids: &UidSet) -> Step {
    Step { messages: uids.len(), uids: Some(uids.to_string()), ..of_mailbox(op, side, name_on(side, task)) }
}

fn name_on(side: Side, task: &Task) -> &MailboxName {
    match &task.sides[side] {
        SideView::Seen(sight) => &sight.scope.name,
        SideView::ToCreate(name) => name,
    }
}

fn copies_and_flags(task: &Task) -> Vec<Step> {
    let mut steps = Vec::new();
    for from in Side::BOTH {
        let uids = &task.plan.copies[from];
        if !uids.is_empty() {
            steps.push(of_messages("copy", from.other(), task, uids));
        }
    }
    for side in Side::BOTH {
        let lifted = &task.lifted[side];
        if !lifted.is_empty() {
            steps.push(Step { to: Some("+\\Deleted".to_owned()), ..of_messages("flag", side, task, lifted) });
        }
        for (uids, change) in task.plan.flag_groups(side) {
            steps.push(Step { to: Some(change.to_string()), ..of_messages("flag", side, task, &uids) });
        }
    }
    steps
}

fn expunges(task: &Task) -> Vec<Step> {
    let of = Both::from_fn(|side| task.plan.expunges[side].values().copied().collect::<UidSet>());
    let sides = Side::BOTH.into_iter().filter(|side| !of[*side].is_empty());
    sides.map(|side| of_messages("expunge", side, task, &of[side])).collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6} {:<11} {}", self.side, self.op, self.mailbox)?;
        if self.messages > 0 {
            write!(f, ": {} {}", self.messages, if self.messages == 1 { "message" } else { "messages" })?;
        }
        if let Some(uids) = &self.uids {
            write!(f, ", UID {}", shortened(uids))?;
        }
        match &self.to {
            Some(to) if matches!(self.op, "rename" | "move" | "copy") => write!(f, " -> {to}"),
            Some(to) => write!(f, " {to}"),
            None => Ok(()),
        }
    }
}

/// A line is for reading; the whole set stands in the JSON.
fn shortened(uids: &str) -> String {
    const LONG: usize = 60;
    match uids.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", &uids[..at]),
        None => uids.to_owned(),
    }
}

/// One step a line; nothing for a plan that changes nothing.
impl fmt::Display for AccountPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps().iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
