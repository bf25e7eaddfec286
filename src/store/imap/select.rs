//! Selecting a mailbox: what SELECT answers, and the mailbox that a UID is about.

use super::connection::{Completion, Incoming};
use super::response::{Code, Response};
use super::store::{ImapStore, Selection};
use crate::mail::{Access, Flag, FlagSet, MailboxName, MailboxStatus, ModSeq, PermanentFlags, Uid, UidValidity};
use crate::store::{Cause, Error, Reach, UidScope};

/// What the responses to a SELECT say about the mailbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Selected {
    pub(super) uid_validity: Option<UidValidity>,
    pub(super) uid_next: Option<Uid>,
    /// `Some(None)` where the server says that it keeps none.
    pub(super) highest_modseq: Option<Option<ModSeq>>,
    pub(super) messages: Option<u32>,
    permanent_flags: Option<PermanentFlags>,
    access: Option<Access>,
    uids_not_sticky: bool,
}

impl Selected {
    /// Takes notice of what is said between a SELECT and its answer.
    pub(super) fn hear(&mut self, response: &Response) {
        match response {
            // What was said before this is about the mailbox that was selected before.
            Response::Untagged { code: Some(Code::Closed), .. } => *self = Selected::default(),
            Response::Untagged { code: Some(code), .. } => self.notice(code),
            _ => {}
        }
    }

    /// Takes notice of a response code, tagged or not.
    pub(super) fn notice(&mut self, code: &Code) {
        match code {
            Code::UidValidity(uid_validity) => self.uid_validity = Some(*uid_validity),
            Code::UidNext(uid_next) => self.uid_next = Some(*uid_next),
            Code::HighestModSeq(modseq) => self.highest_modseq = Some(*modseq),
            Code::NoModSeq => self.highest_modseq = Some(None),
            Code::PermanentFlags(flags) => self.permanent_flags = Some(flags.clone()),
            Code::ReadOnly => self.access = Some(Access::ReadOnly),
            Code::ReadWrite => self.access = Some(Access::ReadWrite),
            Code::UidNotSticky => self.uids_not_sticky = true,
            _ => {}
        }
    }

    /// The status, if the server has said all that belongs to it.
    pub(super) fn status(&self) -> Result<MailboxStatus, &'static str> {
        Ok(MailboxStatus {
            uid_validity: self.uid_validity.ok_or("UIDVALIDITY")?,
            uid_next: self.uid_next.ok_or("UIDNEXT")?,
            highest_modseq: self.highest_modseq.flatten(),
            messages: self.messages.ok_or("EXISTS")?,
        })
    }

    /// Whether UIDs mean something beyond this session: where they do not (RFC 4315 §2), nothing can be remembered of the
    /// mailbox and nothing be named in it, so it is left alone.
    pub(super) fn check_uids(&self, mailbox: &MailboxName) -> Result<(), Error> {
        match self.uids_not_sticky {
            true => {
                let text = format!("the server does not keep the UIDs of {mailbox} (UIDNOTSTICKY)");
                Err(Error::mailbox(Cause::CannotHold, text).for_good())
            }
            false => Ok(()),
        }
    }

    /// Whether the mailbox can be changed.
    pub(super) fn access(&self) -> Access {
        self.access.unwrap_or(Access::ReadWrite)
    }

    /// The flags that are listed by name as permanent: these it keeps for certain.
    pub(super) fn kept_flags(&self) -> FlagSet {
        self.permanent_flags.as_ref().map(|flags| flags.listed.clone()).unwrap_or_default()
    }

    /// Which flags it keeps. Where the server is silent, all of them (RFC 9051 §7.1), or none if nothing can be changed.
    pub(super) fn permanent_flags(&self) -> PermanentFlags {
        match (&self.permanent_flags, self.access()) {
            (Some(flags), _) => flags.clone(),
            (None, Access::ReadWrite) => PermanentFlags::all(),
            (None, Access::ReadOnly) => PermanentFlags::none(),
        }
    }
}

impl ImapStore {
    /// Selects the mailbox unless it is selected, and makes sure that it is of the generation that the caller means.
    pub(super) async fn select(&mut self, scope: &UidScope) -> Result<(), Error> {
        if matches!(&self.selection, Selection::Mailbox(selected) if selected == scope) {
            // Plain sessions need not see what we have appended, nor what others do, before they are told to look.
            if std::mem::take(&mut self.appended) || self.quirks.frozen_view {
                self.connection.run("NOOP", |_| {}).await?;
            }
            return Ok(());
        }
        self.appended = false;
        let wire = self.wire(&scope.name)?;
        self.selection = Selection::Something;
        let mut selected = Selected::default();
        let ticket = self.connection.queue(&format!("SELECT {wire}"));
        let completion = self
            .connection
            .answer(ticket, |incoming| {
                if let Incoming::Untagged(response) = incoming {
                    selected.hear(&response);
                }
            })
            .await?;
        self.arrive(scope, &selected, &completion)
    }

    /// A SELECT has been answered: is it the generation that the caller means?
    pub(super) fn arrive(
        &mut self,
        scope: &UidScope,
        selected: &Selected,
        completion: &Completion,
    ) -> Result<(), Error> {
        if !completion.is_ok() {
            self.selection = Selection::Nothing;
            return Err(completion.refusal(Reach::Mailbox, &format!("to open {}", scope.name)));
        }
        self.selection = Selection::Something;
        selected.check_uids(&scope.name)?;
        match selected.uid_validity {
            Some(uid_validity) if uid_validity == scope.uid_validity => {
                self.selection = Selection::Mailbox(scope.clone());
                self.note_kept_keywords(&scope.name, selected.kept_flags());
                Ok(())
            }
            Some(uid_validity) => {
                let text = format!(
                    "the UIDs of {} are of another generation now: UIDVALIDITY {uid_validity}, not {}",
                    scope.name, scope.uid_validity
                );
                Err(Error::mailbox(Cause::UidValidityChanged, text))
            }
            None => Err(unsaid(&scope.name, "UIDVALIDITY")),
        }
    }

    /// What a mailbox has been seen to keep for certain.
    pub(super) fn note_kept_keywords(&mut self, name: &MailboxName, kept: FlagSet) {
        let kept = kept.filtered(|flag| matches!(flag, Flag::Keyword(_)));
        match kept.is_empty() {
            true => drop(self.kept_keywords.remove(name)),
            false => drop(self.kept_keywords.insert(name.clone(), kept)),
        }
    }

    /// Makes sure that no mailbox is selected, as far as the server lets us: what is selected while it is deleted or
    /// renamed may look afterwards as if everything in it had been expunged (`quirks`: gone-is-vanished).
    pub(super) async fn unselect(&mut self) -> Result<(), Error> {
        self.connection.flight(self.unselect_commands(), |_, _| {}).await?;
        self.selection = Selection::Nothing;
        Ok(())
    }

    /// What is to be said so that no mailbox is selected; nothing where none is.
    pub(super) fn unselect_commands(&self) -> Vec<String> {
        match self.selection {
            Selection::Nothing => vec![],
            _ => vec![self.unselect_command().to_owned()],
        }
    }

    /// The command after which no mailbox is selected. A SELECT that fails leaves none (RFC 9051 §6.3.2); CLOSE would
    /// expunge what is marked.
    pub(super) fn unselect_command(&self) -> &'static str {
        if self.capabilities.has("UNSELECT") { "UNSELECT" } else { "SELECT \"\"" }
    }

    /// Turns a failed command of a verb on the selected mailbox into an error.
    pub(super) fn check(&self, completion: &Completion, what: &str) -> Result<(), Error> {
        match completion.is_ok() {
            true => Ok(()),
            false => Err(completion.refusal(Reach::Mailbox, &format!("{what} in {}", self.selected_name()))),
        }
    }

    /// The selected mailbox, for messages.
    pub(super) fn selected_name(&self) -> &str {
        match &self.selection {
            Selection::Mailbox(scope) => scope.name.as_str(),
            _ => "the mailbox",
        }
    }
}

/// The server has not said what it must.
pub(super) fn unsaid(mailbox: impl std::fmt::Display, what: &str) -> Error {
    Error::mailbox(Cause::Protocol, format!("the server does not tell the {what} of {mailbox}"))
}
