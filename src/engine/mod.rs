//! Conducts runs: the only room that sees both sides. A run is a straight line: observe both sides, diff each against
//! what is remembered, plan, execute the plan through the stores, commit what is remembered now.

mod copy;
mod create;
mod execute;
mod fault;
mod incarnation;
mod lift;
mod look;
mod moves;
mod outlook;
mod recognize;
mod sample;
mod settle;
mod survey;
mod task;
mod tree;

pub mod event;
pub mod mailbox;

use std::time::Instant;

use crate::mail::{Both, Side};
use crate::plan::Policy;
use crate::state::{self, State};
use crate::store::{self, Store};

use event::{Event, Extent, Listener, Report, SkippedMessage, Trouble, TroubleCause};
pub use outlook::{AccountPlan, Step};

/// How a run is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// How closely both sides are looked at.
    pub scrutiny: Scrutiny,
    /// The time, in seconds since 1970.
    pub now: i64,
}

/// How closely both sides are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrutiny {
    /// Only what may have changed since the last run.
    Changes,
    /// Every message of every mailbox, and who it is: `repair`.
    Everything,
}

/// How often mailboxes that changed under our hands are taken up again within one run.
const ROUNDS: usize = 3;

/// Brings both sides in line once.
pub async fn sync(
    stores: &mut Both<Box<dyn Store>>,
    state: &mut State,
    policy: &Policy,
    order: &Order,
    listener: &mut dyn Listener,
) -> Report {
    let started = Instant::now();
    let mut run = Run::new(stores, state, policy, *order, listener);
    let end = run.conduct().await;
    run.close(end, started)
}

/// Says what [`sync`] would do, and does none of it. `state` is to be a copy that is thrown away afterwards: crashes of
/// earlier runs are settled in it and equal messages are recognized, so that the plan is the one that would be executed.
pub async fn rehearse(
    stores: &mut Both<Box<dyn Store>>,
    state: &mut State,
    policy: &Policy,
    order: &Order,
    listener: &mut dyn Listener,
) -> (Report, AccountPlan) {
    let started = Instant::now();
    let mut run = Run::new(stores, state, policy, *order, listener);
    let planned = match incarnation::make_sure(&mut run).await {
        Ok(()) => survey::survey(&mut run, survey::Mode::Rehearse).await,
        Err(halt) => Err(halt),
    };
    let (plan, end) = match planned {
        Ok(plan) => {
            run.note_what_is_held_back(&plan);
            if order.scrutiny == Scrutiny::Everything {
                run.report.differences.extend(plan.memories());
            }
            (plan, Ok(()))
        }
        Err(halt) => (AccountPlan::default(), Err(halt)),
    };
    (run.close(end, started), plan)
}

/// What ends a run before its time.
#[derive(Debug)]
pub(crate) enum Halt {
    /// A side is lost.
    Side(Side, store::Error),
    /// The state cannot be read or written.
    State(state::Error),
}

impl From<state::Error> for Halt {
    fn from(error: state::Error) -> Halt {
        Halt::State(error)
    }
}

/// Everything that a run needs at hand.
pub(crate) struct Run<'a> {
    stores: &'a mut Both<Box<dyn Store>>,
    state: &'a mut State,
    policy: &'a Policy,
    order: Order,
    listener: &'a mut dyn Listener,
    report: Report,
}

impl<'a> Run<'a> {
    fn new(
        stores: &'a mut Both<Box<dyn Store>>,
        state: &'a mut State,
        policy: &'a Policy,
        order: Order,
        listener: &'a mut dyn Listener,
    ) -> Run<'a> {
        for side in Side::BOTH {
            listener.hear(Event::Open(side, stores[side].profile()));
        }
        Run { stores, state, policy, order, listener, report: Report::default() }
    }

    async fn conduct(&mut self) -> Result<(), Halt> {
        incarnation::make_sure(self).await?;
        self.bring_in_line().await?;
        incarnation::remember(self)
    }

    async fn bring_in_line(&mut self) -> Result<(), Halt> {
        let plan = survey::survey(self, survey::Mode::Execute).await?;
        self.note_what_is_held_back(&plan);
        if self.order.scrutiny == Scrutiny::Everything {
            self.report.differences.extend(plan.memories());
            self.report.differences.extend(plan.steps());
            // What was moved while everything was compared is no difference: from here on, changes will do.
            self.order.scrutiny = Scrutiny::Changes;
        }
        let mut again = execute::execute(self, plan).await?;
        for _ in 1..ROUNDS {
            if again.is_empty() {
                break;
            }
            // What changed under our hands is seen afresh; nothing of it has been remembered yet.
            let plan = survey::survey_again(self, &again).await?;
            self.note_what_is_held_back(&plan);
            again = execute::execute(self, plan).await?;
        }
        for name in again {
            self.trouble(Trouble {
                reach: Extent::Mailbox,
                side: None,
                mailbox: Some(name),
                cause: TroubleCause::Unsettled,
                text: format!(
                    "messages kept changing, or a side did not give or keep what it was asked to, {ROUNDS} times in a row"
                ),
            });
        }
        Ok(())
    }

    /// Writes down what went wrong, and says so.
    pub(crate) fn trouble(&mut self, trouble: Trouble) {
        if self.report.troubles.contains(&trouble) {
            return;
        }
        self.listener.hear(Event::Trouble(&trouble));
        self.report.troubles.push(trouble);
    }

    /// A store's failure: it either ends the run, or is written down.
    pub(crate) fn store_trouble(
        &mut self,
        side: Side,
        mailbox: Option<&crate::mail::MailboxName>,
        error: store::Error,
    ) -> Result<(), Halt> {
        if error.reach == store::Reach::Side {
            return Err(Halt::Side(side, error));
        }
        self.trouble(Trouble::of_store(side, mailbox, &error));
        Ok(())
    }

    fn close(mut self, end: Result<(), Halt>, started: Instant) -> Report {
        let halt = end.err().or_else(|| self.collect_skipped().err());
        match halt {
            None => {}
            Some(Halt::Side(side, error)) => self.trouble(Trouble::of_store(side, None, &error)),
            Some(Halt::State(error)) => self.trouble(Trouble {
                reach: Extent::Run,
                side: None,
                mailbox: None,
                cause: TroubleCause::State,
                text: error.to_string(),
            }),
        }
        for side in Side::BOTH {
            let (store, report) = (&self.stores[side], &mut self.report.sides[side]);
            report.traffic = store.traffic();
            let method = store.profile().method;
            report.method = Some(method);
            // Where every mailbox is, the method says it.
            if !method.needs_mod_sequences() {
                report.listed_in_full.clear();
            }
        }
        self.report.duration = started.elapsed();
        self.report
    }

    /// Every message that was left out for a reason to be told is named in every run, until it is not left out any more.
    fn collect_skipped(&mut self) -> Result<(), Halt> {
        for row in self.state.remembered()? {
            if row.skipped == Both::default() || !self.policy.selection.names(&row.name) {
                continue;
            }
            for skipped in self.state.skipped(row.key)? {
                if let Some(reason) = skipped.why.words() {
                    let (side, uid, reason) = (skipped.side, skipped.uid, reason.to_owned());
                    self.report.skipped.push(SkippedMessage { mailbox: row.name.clone(), side, uid, reason });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod model;
