//! Looking at mailboxes: `SELECT name (QRESYNC (uidvalidity modseq))` for all of them in one flight (RFC 7162 §3.2.5).
//!
//! ```text
//! C: a SELECT "x" (QRESYNC (7 90))          everything up to [CLOSED] is of the mailbox selected before,
//! C: b SELECT "y" (CONDSTORE)               everything from there to the tagged response is of this one
//! C: c UID FETCH 1:4294967295 (FLAGS)
//! ```
//!
//! Where silence means "unchanged", a response that was lost is mail that was lost: whatever does not fit ends the
//! observation of that mailbox, or has every message listed.

use super::connection::{Completion, Reply};
use super::response::{Code, Fetch, Response, Vanished};
use super::select::{Selected, unsaid};
use super::store::{ImapStore, Selection};
use crate::mail::{Checkpoint, FlagMap, MailboxName, ModSeq, Observation, Silence, Uid, UidSet, UidValidity};
use crate::store::{Cause, Error, Reach, UidScope, Wanted};

/// Most messages of one mailbox.
const MESSAGES_LIMIT: usize = 10_000_000;

/// How often every message of a mailbox is listed before its numbers are given up on.
const LISTINGS_LIMIT: usize = 2;

/// How a mailbox is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// What has changed since.
    Changes { since: Checkpoint, modseq: ModSeq },
    /// Every message.
    Everything,
}

impl Question {
    fn about(wanted: &Wanted) -> Question {
        match wanted.since.and_then(|since| Some((since, since.highest_modseq?))) {
            Some((since, modseq)) => Question::Changes { since, modseq },
            None => Question::Everything,
        }
    }
}

/// A mailbox that is still to be looked at.
struct Open {
    /// Its place in the question and in the answer.
    place: usize,
    question: Question,
    listings: usize,
}

/// The commands of a look, each of which is answered by a tagged response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Unselect,
    Select,
    Fetch,
}

impl ImapStore {
    pub(super) async fn look(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error> {
        let mut answers: Vec<Option<Result<Observation, Error>>> = wanted.iter().map(|_| None).collect();
        let mut open: Vec<Open> = wanted
            .iter()
            .enumerate()
            .map(|(place, wanted)| Open { place, question: Question::about(wanted), listings: 0 })
            .collect();
        while !open.is_empty() {
            let looks = self.look_once(wanted, &open).await?;
            let mut again = Vec::new();
            for (mut open, look) in open.into_iter().zip(looks) {
                open.listings += usize::from(open.question == Question::Everything);
                match look.and_then(|look| look.verdict(&wanted[open.place].name)) {
                    Ok(Verdict::Seen(observation)) => answers[open.place] = Some(Ok(observation)),
                    Ok(Verdict::Borderless) => {
                        open.listings = open.listings.saturating_sub(1);
                        again.push(open);
                    }
                    Ok(Verdict::Contradiction(reason)) if open.listings >= LISTINGS_LIMIT => {
                        answers[open.place] = Some(Err(Error::mailbox(Cause::Protocol, reason)));
                    }
                    Ok(Verdict::Contradiction(_) | Verdict::Unresumable) => {
                        again.push(Open { question: Question::Everything, ..open });
                    }
                    Err(error) => answers[open.place] = Some(Err(error)),
                }
            }
            open = again;
        }
        let unanswered = || Err(Error::side(Cause::Protocol, "a mailbox was not looked at"));
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect())
    }

    /// One flight. An error in place of a look: the mailbox could not even be asked for.
    async fn look_once(&mut self, wanted: &[Wanted], open: &[Open]) -> Result<Vec<Result<Look, Error>>, Error> {
        let mut looks = Vec::new();
        let mut commands = Vec::new();
        let mut steps = Vec::new();
        for (at, Open { place, question, .. }) in open.iter().enumerate() {
            let wire = match self.wire(&wanted[*place].name) {
                Ok(wire) => wire,
                Err(error) => {
                    looks.push(Err(error));
                    continue;
                }
            };
            looks.push(Ok(Look::new(*question)));
            if self.quirks.no_closed {
                steps.push((at, Step::Unselect));
                commands.push(self.unselect_command().to_owned());
            }
            steps.push((at, Step::Select));
            commands.push(match question {
                Question::Changes { since, modseq } => {
                    format!("SELECT {wire} (QRESYNC ({} {modseq}))", since.uid_validity)
                }
                Question::Everything => format!("SELECT {wire} (CONDSTORE)"),
            });
            if *question == Question::Everything {
                steps.push((at, Step::Fetch));
                commands.push("UID FETCH 1:4294967295 (FLAGS)".to_owned());
            }
        }
        let mut engaged = self.selection != Selection::Nothing;
        let mut last = None;
        self.selection = Selection::Something;
        let flight = self.connection.flight(commands, |index, reply| {
            let Some((at, step)) = steps.get(index).copied() else { return };
            let Some(Ok(look)) = looks.get_mut(at) else { return };
            match (step, reply) {
                (Step::Unselect, Reply::Done(_)) => engaged = false,
                (Step::Unselect, _) => {}
                (Step::Select, Reply::Done(completion)) => {
                    engaged = completion.is_ok();
                    last = look.selected(completion).map(|uid_validity| (at, uid_validity));
                }
                (Step::Select, Reply::Untagged(Response::Untagged { code: Some(Code::Closed), .. })) => {
                    engaged = false;
                    look.begin();
                }
                (Step::Select, Reply::Untagged(response)) if !engaged => look.take(response),
                (Step::Select, Reply::Untagged(_)) => look.border = Border::Awaited,
                (Step::Fetch, Reply::Untagged(response)) => look.take(response),
                (Step::Fetch, Reply::Done(completion)) => look.listed(completion),
                (_, Reply::Unreadable(reason)) => look.unreadable = Some(reason),
            }
        });
        flight.await?;
        self.quirks.no_closed |= looks.iter().flatten().any(|look| look.border == Border::Awaited);
        self.selection = match last {
            Some((at, uid_validity)) => {
                Selection::Mailbox(UidScope { name: wanted[open[at].place].name.clone(), uid_validity })
            }
            None if engaged => Selection::Something,
            None => Selection::Nothing,
        };
        Ok(looks)
    }
}

/// Whether what was said can be told from what was said of the mailbox before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Border {
    /// No mailbox was selected, or the server has said that it is closed.
    Passed,
    /// Something was said while the one before may still have been open, and nothing has told them apart so far.
    Awaited,
}

/// What one mailbox's responses say.
struct Look {
    question: Question,
    border: Border,
    selected: Selected,
    /// EXISTS as it stands now; `selected.messages` is what it was at first.
    exists: Option<u32>,
    messages: FlagMap,
    vanished_earlier: UidSet,
    vanished_now: UidSet,
    contradiction: Option<&'static str>,
    unreadable: Option<String>,
    incomplete_fetch: bool,
    too_many: bool,
    refusal: Option<Completion>,
}

/// What a look comes to.
enum Verdict {
    /// An observation.
    Seen(Observation),
    /// It cannot be resumed from the checkpoint: every message must be listed.
    Unresumable,
    /// The answer contradicts itself: every message must be listed, or listed again.
    Contradiction(String),
    /// Responses of two mailboxes may be mixed up: the same again, with a border.
    Borderless,
}

impl Look {
    fn new(question: Question) -> Look {
        Look {
            question,
            border: Border::Passed,
            selected: Selected::default(),
            exists: None,
            messages: FlagMap::new(),
            vanished_earlier: UidSet::new(),
            vanished_now: UidSet::new(),
            contradiction: None,
            unreadable: None,
            incomplete_fetch: false,
            too_many: false,
            refusal: None,
        }
    }

    /// The mailbox before is closed: nothing of what was said is about this one.
    fn begin(&mut self) {
        let unreadable = self.unreadable.take();
        *self = Look { unreadable, ..Look::new(self.question) };
    }

    fn take(&mut self, response: Response) {
        match response {
            Response::Untagged { code: Some(code), .. } => self.selected.notice(&code),
            Response::Exists(messages) => self.exist(messages),
            Response::Vanished { when: Vanished::Earlier, uids } => {
                self.vanished_earlier = self.vanished_earlier.union(&uids);
            }
            Response::Vanished { when: Vanished::Now, uids } => {
                let expunged = u32::try_from(uids.len()).unwrap_or(u32::MAX);
                self.exists = self.exists.map(|exists| exists.saturating_sub(expunged));
                self.messages.retain(|uid, _| !uids.contains(uid));
                self.vanished_now = self.vanished_now.union(&uids);
            }
            // Once QRESYNC is on there is only VANISHED (RFC 7162 §3.2.10).
            Response::Expunge(_) => self.contradiction = Some("a message was expunged that cannot be named"),
            Response::Fetch(Fetch { uid: Some(uid), flags: Some(flags), .. }) => {
                self.too_many |= self.messages.len() >= MESSAGES_LIMIT;
                if !self.too_many {
                    self.messages.insert(uid, flags);
                }
            }
            Response::Fetch(_) => self.incomplete_fetch = true,
            _ => {}
        }
    }

    fn exist(&mut self, messages: u32) {
        if self.exists.is_some_and(|exists| messages < exists) {
            self.contradiction = Some("messages are missing of which none was said to vanish");
        }
        self.exists = Some(messages);
        self.selected.messages.get_or_insert(messages);
    }

    /// SELECT has ended. The generation of the mailbox, if it is selected now.
    fn selected(&mut self, completion: Completion) -> Option<UidValidity> {
        if let Some(code) = &completion.code {
            self.selected.notice(code);
        }
        match completion.is_ok() {
            true => self.selected.uid_validity,
            false => {
                self.refusal = Some(completion);
                None
            }
        }
    }

    /// The listing has ended.
    fn listed(&mut self, completion: Completion) {
        if !completion.is_ok() && self.refusal.is_none() {
            self.refusal = Some(completion);
        }
    }

    fn verdict(self, name: &MailboxName) -> Result<Verdict, Error> {
        if let Some(refusal) = self.refusal {
            return Err(refusal.refusal(Reach::Mailbox, &format!("to open {name}")));
        }
        if self.border == Border::Awaited {
            return Ok(Verdict::Borderless);
        }
        if let Some(reason) = self.unreadable {
            return Err(Error::mailbox(Cause::Protocol, format!("{name}: {reason}")));
        }
        if self.incomplete_fetch {
            let text = format!("the server reports a message of {name} without its UID or its flags");
            return Err(Error::mailbox(Cause::Protocol, text));
        }
        if self.too_many {
            let text = format!("the server reports more than {MESSAGES_LIMIT} messages in {name}");
            return Err(Error::mailbox(Cause::Limit, text));
        }
        self.selected.check_uids(name)?;
        let mut status = self.selected.status().map_err(|what| unsaid(name, what))?;
        if let Question::Changes { since, modseq } = self.question {
            let resumable = status.uid_validity == since.uid_validity
                && status.uid_next >= since.uid_next
                && status.highest_modseq.is_some_and(|now| now >= modseq);
            if !resumable {
                return Ok(Verdict::Unresumable);
            }
        }
        if let Some(reason) = self.contradiction {
            return Ok(Verdict::Contradiction(format!("the server contradicts itself about {name}: {reason}")));
        }
        // What arrived behind UIDNEXT is counted where it is listed, and left to the next observation where it is not.
        let arrived = self.messages.range(status.uid_next..).count() as u64;
        let mut before = UidSet::new();
        before.insert_range(Uid::MIN..=status.uid_next);
        before.remove(status.uid_next);
        let expunged = self.vanished_now.intersection(&before).len();
        let remaining = u64::from(status.messages).saturating_sub(expunged);
        status.messages = u32::try_from(remaining + arrived).unwrap_or(u32::MAX);
        let silence = match self.question {
            Question::Changes { .. } => {
                if self.messages.keys().any(|uid| self.vanished_earlier.contains(uid)) {
                    let text =
                        format!("the server says of a message in {name} both that it is there and that it is gone");
                    return Ok(Verdict::Contradiction(text));
                }
                Silence::Unchanged { vanished: self.vanished_earlier.union(&self.vanished_now) }
            }
            Question::Everything if self.messages.len() as u64 != remaining + arrived => {
                let text = format!(
                    "the server says that there are {} messages in {name}, but lists {}",
                    remaining + arrived,
                    self.messages.len()
                );
                return Ok(Verdict::Contradiction(text));
            }
            Question::Everything => Silence::Gone,
        };
        Ok(Verdict::Seen(Observation {
            status,
            permanent_flags: self.selected.permanent_flags(),
            access: self.selected.access(),
            messages: self.messages,
            silence,
        }))
    }
}
