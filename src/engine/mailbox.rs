//! The commands that concern one mailbox: on both sides and in what is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::mail::{Both, Listed, Listing, MailboxKind, MailboxName, Side, Subscription};
use crate::plan::{MailboxKey, Policy, Remembered, Roster};
use crate::state::State;
use crate::store::{Cause, Error, Store};

use super::event::{Event, Extent, Listener, MailboxEvent, Report, Trouble, TroubleCause};
use super::{Halt, Order, Run, Scrutiny, incarnation, tree};

/// A mailbox as `mailbox list` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its local name.
    pub name: MailboxName,
    /// What each side says of it, where it has it.
    pub listed: Both<Option<Listed>>,
    /// What is remembered of it, if anything.
    pub remembered: Option<Remembered>,
    /// Whether the configuration lets it take part.
    pub selected: crate::plan::Choice,
}

/// What is to be done with one mailbox. Names are local ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Have it on both sides.
    Create(MailboxName),
    /// Have it on neither side, and forget it.
    Delete(MailboxName),
    /// Call it by another name; its children follow.
    Rename(MailboxName, MailboxName),
    /// Be subscribed to it, or not, on both sides.
    SetSubscription(MailboxName, Subscription),
}

/// Every mailbox that a side has or that is remembered.
pub async fn list(
    stores: &mut Both<Box<dyn Store>>,
    state: &State,
    policy: &Policy,
) -> Result<Vec<Row>, (Side, Error)> {
    let Both { local, remote } = stores;
    let (local, remote) = tokio::join!(local.mailboxes(), remote.mailboxes());
    let listings = Both { local: local.map_err(|e| (Side::Local, e))?, remote: remote.map_err(|e| (Side::Remote, e))? };
    let rosters = Both::from_fn(|side| Roster::new(side, &listings[side], &policy.names));
    let remembered: BTreeMap<MailboxName, Remembered> = state
        .remembered()
        .map_err(|error| (Side::Local, Error::side(Cause::Refused, error.to_string())))?
        .into_iter()
        .map(|row| (row.name.clone(), row))
        .collect();
    let names: BTreeSet<&MailboxName> =
        Side::BOTH.into_iter().flat_map(|side| rosters[side].mailboxes.keys()).chain(remembered.keys()).collect();
    let row = |name: &MailboxName| {
        let listed = Both::from_fn(|side| rosters[side].mailboxes.get(name).map(|standing| &standing.listed));
        Row {
            name: name.clone(),
            listed: listed.map(|listed| listed.cloned()),
            remembered: remembered.get(name).cloned(),
            selected: match policy.selection.takes(name, listed) {
                true => crate::plan::Choice::Yes,
                false => crate::plan::Choice::No,
            },
        }
    };
    Ok(names.into_iter().map(row).collect())
}

/// Fulfils a wish on both sides and in what is remembered. A side that refuses does not keep the other from doing it;
/// what was left undone stands in the report.
pub async fn fulfil(
    stores: &mut Both<Box<dyn Store>>,
    state: &mut State,
    policy: &Policy,
    wish: &Wish,
    listener: &mut dyn Listener,
) -> Report {
    let started = Instant::now();
    let order = Order { scrutiny: Scrutiny::Changes, now: 0 };
    let mut run = Run::new(stores, state, policy, order, listener);
    let end = run.fulfil(wish).await;
    run.close(end, started)
}

impl Run<'_> {
    async fn fulfil(&mut self, wish: &Wish) -> Result<(), Halt> {
        incarnation::make_sure(self).await?;
        match wish {
            Wish::Create(name) => self.create_on_both(name).await?,
            Wish::Delete(name) => self.delete_on_both(name).await?,
            Wish::Rename(from, to) => self.rename_on_both(from, to).await?,
            Wish::SetSubscription(name, wanted) => self.subscribe_on_both(name, *wanted).await?,
        }
        incarnation::remember(self)
    }

    async fn create_on_both(&mut self, name: &MailboxName) -> Result<(), Halt> {
        for (side, there) in self.places_of(name).await? {
            let own = self.name_on(side, name);
            if there.is_some() {
                continue;
            }
            if let Some(why) = self.stores[side].refuses_name(&own) {
                self.undone(Some(side), &own, why);
                continue;
            }
            match self.stores[side].create(&own).await {
                Ok(()) => {
                    self.report.sides[side].created += 1;
                    self.listener.hear(Event::Mailbox(side, &own, MailboxEvent::Created));
                }
                Err(error) => self.store_trouble(side, Some(&own), error)?,
            }
        }
        Ok(())
    }

    async fn delete_on_both(&mut self, name: &MailboxName) -> Result<(), Halt> {
        if name.is_inbox() {
            self.undone(None, name, "INBOX cannot be deleted: every user has one".to_owned());
            return Ok(());
        }
        let row = self.row_named(name)?;
        let places = self.places_of(name).await?;
        if row.is_none() && places.iter().all(|(_, there)| there.is_none()) {
            self.undone(None, name, "there is no such mailbox on either side".to_owned());
            return Ok(());
        }
        let mut gone = true;
        for (side, there) in places {
            let own = self.name_on(side, name);
            if there.is_none() {
                continue;
            }
            match self.stores[side].delete(&own).await {
                Ok(()) => {
                    self.report.sides[side].deleted += 1;
                    self.listener.hear(Event::Mailbox(side, &own, MailboxEvent::Deleted));
                }
                Err(error) => {
                    gone = false;
                    self.store_trouble(side, Some(&own), error)?;
                }
            }
        }
        if let Some(row) = row.filter(|_| gone) {
            self.state.commit(|change| change.forget_mailbox(row.key))?;
        }
        Ok(())
    }

    async fn rename_on_both(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Halt> {
        let taken = self.places_of(to).await?.into_iter().find(|(_, there)| there.is_some());
        if let Some((side, _)) = taken {
            self.undone(Some(side), to, format!("the {side} side has a mailbox of that name already"));
            return Ok(());
        }
        let rows = self.state.remembered()?;
        if let Some(row) = rows.iter().find(|row| row.name == *to) {
            self.undone(None, &row.name, "a mailbox of that name is still remembered; run sync first".to_owned());
            return Ok(());
        }
        let places = self.places_of(from).await?;
        if places.iter().all(|(_, there)| there.is_none()) {
            self.undone(None, from, "there is no such mailbox on either side".to_owned());
            return Ok(());
        }
        let mut done = true;
        for (side, there) in places {
            let (own, new) = (self.name_on(side, from), self.name_on(side, to));
            if there.is_none() {
                continue;
            }
            let mut subscribed = tree::subscribed_names(&self.list(side).await?);
            match tree::rename(self, side, &own, &new, &mut subscribed).await {
                Ok(()) => {
                    self.report.sides[side].renamed += 1;
                    self.listener.hear(Event::Mailbox(side, &own, MailboxEvent::Renamed(&new)));
                }
                Err(error) => {
                    done = false;
                    self.store_trouble(side, Some(&own), error)?;
                }
            }
        }
        if done {
            let names: BTreeMap<MailboxKey, MailboxName> =
                rows.iter().filter_map(|row| Some((row.key, row.name.renamed(from, to)?))).collect();
            self.state.commit(|change| change.rename_mailboxes(&names))?;
        }
        Ok(())
    }

    async fn subscribe_on_both(&mut self, name: &MailboxName, wanted: Subscription) -> Result<(), Halt> {
        let mut done = true;
        for side in Side::BOTH {
            let own = self.name_on(side, name);
            match self.stores[side].set_subscription(&own, wanted).await {
                Ok(()) => {
                    self.report.sides[side].subscriptions += 1;
                    let event = match wanted {
                        Subscription::Subscribed => MailboxEvent::Subscribed,
                        Subscription::Unsubscribed => MailboxEvent::Unsubscribed,
                    };
                    self.listener.hear(Event::Mailbox(side, &own, event));
                }
                Err(error) => {
                    done = false;
                    self.store_trouble(side, Some(&own), error)?;
                }
            }
        }
        if let Some(row) = self.row_named(name)?.filter(|_| done) {
            self.state.commit(|change| change.set_subscription(row.key, Some(wanted)))?;
        }
        Ok(())
    }

    /// Whether each side has a mailbox of that local name.
    async fn places_of(&mut self, name: &MailboxName) -> Result<Vec<(Side, Option<MailboxKind>)>, Halt> {
        let mut places = Vec::new();
        for side in Side::BOTH {
            let listing = self.list(side).await?;
            let own = self.name_on(side, name);
            let kind = listing.mailboxes.get(&own).map(|listed| listed.kind);
            places.push((side, kind.filter(|kind| *kind == MailboxKind::Mailbox)));
        }
        Ok(places)
    }

    async fn list(&mut self, side: Side) -> Result<Listing, Halt> {
        self.stores[side].mailboxes().await.map_err(|error| Halt::Side(side, error))
    }

    fn row_named(&self, name: &MailboxName) -> Result<Option<Remembered>, Halt> {
        Ok(self.state.remembered()?.into_iter().find(|row| row.name == *name))
    }

    fn undone(&mut self, side: Option<Side>, name: &MailboxName, text: String) {
        self.trouble(Trouble {
            reach: Extent::Mailbox,
            side,
            mailbox: Some(name.clone()),
            cause: TroubleCause::Mailbox,
            text,
        });
    }
}
