//! Creates the mailboxes that a side lacks, all in the same few round trips, and brings subscriptions in line.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{Both, Checkpoint, MailboxName, Side, Subscription};
use crate::plan::{Place, Presence, Writing};
use crate::store::Wanted;

use super::event::{Event, MailboxEvent};
use super::execute::Settled;
use super::task::{SideView, Sight, Task};
use super::{Halt, Run};

/// The tasks of which both sides have the mailbox now.
pub(super) struct Created {
    pub(super) tasks: Vec<Task>,
    /// Mailboxes that already held messages when they were to be created: nothing of that is in the plan.
    pub(super) filled: Vec<MailboxName>,
}

/// Creates what is missing and looks at it, so that UIDs mean something there.
pub(super) async fn create_missing(run: &mut Run<'_>, mut tasks: Vec<Task>) -> Result<Created, Halt> {
    let mut filled: Vec<MailboxName> = Vec::new();
    let mut given_up: BTreeSet<MailboxName> = BTreeSet::new();
    let mut wanted: Both<Vec<Wanted>> = Both::default();
    for side in Side::BOTH {
        wanted[side] = create(run, side, &tasks, &mut given_up).await?;
    }
    let Both { local, remote } = run.observe_both(&wanted).await?;
    let mut sights: Both<BTreeMap<MailboxName, Sight>> = Both::default();
    let mut held: Both<BTreeSet<MailboxName>> = Both::default();
    for (side, seen) in [(Side::Local, local), (Side::Remote, remote)] {
        for (wanted, seen) in wanted[side].iter().zip(seen) {
            match seen {
                Ok(seen) if seen.status.messages > 0 => drop(held[side].insert(wanted.name.clone())),
                Ok(seen) => {
                    sights[side].insert(wanted.name.clone(), Sight::of(wanted.name.clone(), &seen));
                }
                Err(error) => run.store_trouble(side, Some(&wanted.name), error)?,
            }
        }
    }
    let mut starts = Vec::new();
    let mut subscriptions: Both<Vec<(usize, MailboxName, Subscription)>> = Both::default();
    for (at, task) in tasks.iter_mut().enumerate() {
        for side in Side::BOTH {
            let SideView::ToCreate(name) = &task.sides[side] else { continue };
            // Somebody else was faster, or the listing had left it out.
            if held[side].contains(name) && !filled.contains(&task.name) {
                filled.push(task.name.clone());
            }
            let Some(sight) = sights[side].remove(name) else {
                given_up.insert(task.name.clone());
                continue;
            };
            let start = Checkpoint::start_of(sight.scope.uid_validity);
            starts.push((task.key, side, start));
            task.checkpoints[side] = Some(start);
            task.sides[side] = SideView::Seen(sight);
            let name = run.name_on(side, &task.name);
            subscriptions[side].extend(task.place.subscription.map(|wanted| (at, name, wanted)));
        }
    }
    if !starts.is_empty() {
        run.state.commit(|change| {
            starts.iter().try_for_each(|(key, side, start)| change.set_checkpoint(*key, *side, Some(*start)))
        })?;
    }
    for side in Side::BOTH {
        for at in subscribe_anew(run, side, &subscriptions[side]).await? {
            tasks[at].place.subscription = None;
        }
    }
    tasks.retain(|task| !given_up.contains(&task.name));
    Ok(Created { tasks, filled })
}

/// Creates the mailboxes that a side lacks, and answers what is to be looked at then. What could not be created is given up.
async fn create(
    run: &mut Run<'_>,
    side: Side,
    tasks: &[Task],
    given_up: &mut BTreeSet<MailboxName>,
) -> Result<Vec<Wanted>, Halt> {
    let missing = |task: &&Task| matches!(task.sides[side], SideView::ToCreate(_)) && !given_up.contains(&task.name);
    let missing: Vec<&Task> = tasks.iter().filter(missing).collect();
    let names: Vec<MailboxName> = missing.iter().map(|task| run.name_on(side, &task.name)).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let created = run.stores[side].create_each(&names).await.map_err(|error| Halt::Side(side, error))?;
    let mut wanted = Vec::new();
    for ((task, name), created) in missing.into_iter().zip(names).zip(created) {
        match created {
            Ok(()) => {
                run.report.sides[side].created += 1;
                run.listener.hear(Event::Mailbox(side, &name, MailboxEvent::Created));
                wanted.push(Wanted { name, since: None });
            }
            Err(error) => {
                run.store_trouble(side, Some(&name), error)?;
                given_up.insert(task.name.clone());
            }
        }
    }
    Ok(wanted)
}

/// Subscribes to mailboxes that have just been created, or ends subscriptions that have outlived a mailbox of that name
/// (RFC 9051 §6.3.5), unlisted, with which the new one would begin; not to have been subscribed is no failure. Answers
/// for which tasks it did not work.
async fn subscribe_anew(
    run: &mut Run<'_>,
    side: Side,
    wanted: &[(usize, MailboxName, Subscription)],
) -> Result<Vec<usize>, Halt> {
    let mut open = Vec::new();
    if wanted.is_empty() {
        return Ok(open);
    }
    let asked: Vec<(MailboxName, Subscription)> =
        wanted.iter().map(|(_, name, wanted)| (name.clone(), *wanted)).collect();
    let done = run.stores[side].set_subscriptions(&asked).await.map_err(|error| Halt::Side(side, error))?;
    for ((at, name, wanted), done) in wanted.iter().zip(done) {
        match (done, wanted) {
            (Ok(()), Subscription::Subscribed) => tell_subscription(run, side, name, *wanted),
            (_, Subscription::Unsubscribed) => {}
            (Err(error), Subscription::Subscribed) => {
                run.store_trouble(side, Some(name), error)?;
                open.push(*at);
            }
        }
    }
    Ok(open)
}

fn tell_subscription(run: &mut Run<'_>, side: Side, name: &MailboxName, wanted: Subscription) {
    run.report.sides[side].subscriptions += 1;
    let event = match wanted {
        Subscription::Subscribed => MailboxEvent::Subscribed,
        Subscription::Unsubscribed => MailboxEvent::Unsubscribed,
    };
    run.listener.hear(Event::Mailbox(side, name, event));
}

/// Brings the subscription of a mailbox that both sides have in line.
pub(super) async fn subscribe(run: &mut Run<'_>, place: &Place) -> Result<Settled, Halt> {
    let Some(wanted) = place.subscription else { return Ok(Settled::Yes) };
    let mut settled = Settled::Yes;
    for side in Side::BOTH {
        if let Presence::Here(name, _) = &place.at[side]
            && place.subscribed[side] != wanted
            && run.policy.writing[side] == Writing::Allowed
        {
            settled = settled.and(set_subscription(run, side, name, wanted).await?);
        }
    }
    if settled != Settled::Yes {
        return Ok(settled);
    }
    let remembered = place.remembered.as_ref();
    if let Some(row) = remembered.filter(|row| row.subscription != Some(wanted)) {
        run.state.commit(|change| change.set_subscription(row.key, Some(wanted)))?;
    }
    Ok(settled)
}

pub(super) async fn set_subscription(
    run: &mut Run<'_>,
    side: Side,
    name: &MailboxName,
    wanted: Subscription,
) -> Result<Settled, Halt> {
    match run.stores[side].set_subscription(name, wanted).await {
        Ok(()) => {
            tell_subscription(run, side, name, wanted);
            Ok(Settled::Yes)
        }
        Err(error) => run.store_trouble(side, Some(name), error).map(|()| Settled::No),
    }
}

/// What was refused is agreed on by nobody: remembered, it would look like somebody's wish at the next run.
pub(super) fn leave_subscription_open(tasks: &mut [Task], name: &MailboxName) {
    for task in tasks.iter_mut().filter(|task| task.name == *name) {
        task.place.subscription = None;
    }
}
