//! CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE: what is done to mailboxes as a whole.

use super::store::{ImapStore, Selection};
use crate::mail::{MailboxName, Subscription};
use crate::store::{Error, Reach};

impl ImapStore {
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
        let (command, what) = match subscription {
            Subscription::Subscribed => ("SUBSCRIBE", "to subscribe to"),
            Subscription::Unsubscribed => ("UNSUBSCRIBE", "to unsubscribe from"),
        };
        let completion = self.connection.run(&format!("{command} {wire}"), |_| {}).await?;
        match completion.is_ok() {
            true => Ok(()),
            false => Err(completion.refusal(Reach::Mailbox, &format!("{what} {name}"))),
        }
    }
}
