//! CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE: what is done to mailboxes as a whole.

use super::connection::Reply;
use super::store::{ImapStore, Selection};
use crate::mail::{MailboxName, Subscription};
use crate::store::{Error, Reach};

/// Whether a command that was one of many has done what it was for. Where not, it is said again by itself: what stood in
/// its way is told there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Yes,
    No,
}

impl ImapStore {
    /// Creates mailboxes in one flight.
    pub(super) async fn create_mailboxes(&mut self, names: &[MailboxName]) -> Result<Vec<Done>, Error> {
        let commands = names.iter().map(|name| Ok(format!("CREATE {}", self.wire(name)?))).collect();
        let done = self.each_in_one_flight(commands).await?;
        for (name, _) in names.iter().zip(&done).filter(|(_, done)| **done == Done::Yes) {
            if let Ok(wire) = self.wire(name) {
                let _ = self.names.learn(name, wire);
            }
        }
        Ok(done)
    }

    /// Subscribes and unsubscribes in one flight.
    pub(super) async fn subscribe_to_each(
        &mut self,
        wanted: &[(MailboxName, Subscription)],
    ) -> Result<Vec<Done>, Error> {
        let commands = wanted.iter().map(|(name, subscription)| {
            let wire = self.wire(name)?;
            Ok(format!("{} {wire}", verb(*subscription)))
        });
        let commands = commands.collect();
        self.each_in_one_flight(commands).await
    }

    async fn each_in_one_flight(&mut self, commands: Vec<Result<String, Error>>) -> Result<Vec<Done>, Error> {
        let mut done = vec![Done::No; commands.len()];
        let sent: Vec<(usize, String)> =
            commands.into_iter().enumerate().filter_map(|(at, command)| Some((at, command.ok()?))).collect();
        let places: Vec<usize> = sent.iter().map(|(at, _)| *at).collect();
        let commands = sent.into_iter().map(|(_, command)| command).collect();
        let take = |index: usize, reply: Reply| {
            if let (Reply::Done(completion), Some(at)) = (reply, places.get(index))
                && completion.is_ok()
            {
                done[*at] = Done::Yes;
            }
        };
        self.connection.flight(commands, take).await?;
        Ok(done)
    }

    pub(super) async fn create_mailbox(&mut self, name: &MailboxName) -> Result<(), Error> {
        let wire = self.wire(name)?;
        let completion = self.connection.run(&format!("CREATE {wire}"), |_| {}).await?;
        let there = completion.is_ok()
            || completion.has_code("ALREADYEXISTS")
            || (!completion.has_reason() && self.is_listed(&wire).await?);
        if !there {
            return Err(completion.refusal(Reach::Mailbox, &format!("to create {name}")));
        }
        // It cannot have another spelling than the one that has just worked, unless it was listed before.
        let _ = self.names.learn(name, wire);
        Ok(())
    }

    pub(super) async fn delete_mailbox(&mut self, name: &MailboxName) -> Result<(), Error> {
        let wire = self.wire(name)?;
        if !matches!(&self.selection, Selection::Mailbox(scope) if scope.name != *name) {
            self.unselect().await?;
        }
        let completion = self.connection.run(&format!("DELETE {wire}"), |_| {}).await?;
        let gone = completion.is_ok()
            || completion.says_there_is_none()
            || (!completion.has_reason() && !self.is_listed(&wire).await?);
        if !gone {
            return Err(completion.refusal(Reach::Mailbox, &format!("to delete {name}")));
        }
        self.names.forget(name);
        Ok(())
    }

    pub(super) async fn rename_mailbox(&mut self, from: &MailboxName, to: &MailboxName) -> Result<(), Error> {
        let (source, target) = (self.wire(from)?, self.wire(to)?);
        self.unselect().await?;
        let completion = self.connection.run(&format!("RENAME {source} {target}"), |_| {}).await?;
        if !completion.is_ok() {
            return Err(completion.refusal(Reach::Mailbox, &format!("to rename {from} to {to}")));
        }
        self.names.forget_tree(from);
        self.names.forget_tree(to);
        let _ = self.names.learn(to, target);
        Ok(())
    }

    pub(super) async fn subscribe(&mut self, name: &MailboxName, subscription: Subscription) -> Result<(), Error> {
        let wire = self.wire(name)?;
        let what = match subscription {
            Subscription::Subscribed => "to subscribe to",
            Subscription::Unsubscribed => "to unsubscribe from",
        };
        let completion = self.connection.run(&format!("{} {wire}", verb(subscription)), |_| {}).await?;
        match completion.is_ok() {
            true => Ok(()),
            false => Err(completion.refusal(Reach::Mailbox, &format!("{what} {name}"))),
        }
    }
}

fn verb(subscription: Subscription) -> &'static str {
    match subscription {
        Subscription::Subscribed => "SUBSCRIBE",
        Subscription::Unsubscribed => "UNSUBSCRIBE",
    }
}
