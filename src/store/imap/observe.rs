//! Looking at mailboxes, all of them in one flight, by the best method that the server has.
//!
//! ```text
//! C: a SELECT "x" (QRESYNC (7 90))                 qresync (RFC 7162 §3.2.5): everything up to [CLOSED] is of the mailbox
//! C: b SELECT "y" (CONDSTORE)                      before, everything from there to the tagged response is of this one
//! C: c UID FETCH 1:4294967295 (FLAGS)
//!
//! C: a SELECT "x" (CONDSTORE)                      condstore (RFC 7162 §3.1): what has changed, and what is left; there is
//! C: b UID FETCH 1:* (FLAGS) (CHANGEDSINCE 90)     no [CLOSED], so the mailbox is closed before the next one
//! C: c UID SEARCH RETURN (ALL) ALL
//! C: d UNSELECT
//!
//! C: a SELECT "x"                                  full: every message
//! C: b UID FETCH 1:* (FLAGS)
//! ```
//!
//! Where silence means "unchanged", a response that was lost is mail that was lost: whatever does not fit ends the
//! observation of that mailbox, or has it asked again, or has every message listed.

use super::connection::{Completion, Reply};
use super::name::WireName;
use super::response::{Code, Fetch, Response, Status, Vanished};
use super::select::{Selected, unsaid};
use super::store::{ImapStore, Selection};
use crate::mail::{Checkpoint, FlagMap, MailboxName, ModSeq, Observation, Silence, Uid, UidSet, UidValidity};
use crate::store::{Cause, Error, Method, Reach, UidScope, Wanted};

/// Most messages of one mailbox.
const MESSAGES_LIMIT: usize = 10_000_000;

/// How often a mailbox is asked about before its numbers are given up on: others may be at work in it.
const ATTEMPTS: usize = 4;

/// How often every message of a mailbox is listed, of these.
const LISTINGS: usize = 2;

/// How a mailbox is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// What has changed since.
    Changes { since: Checkpoint, modseq: ModSeq },
    /// Every message.
    Everything,
}

/// A mailbox that is still to be looked at.
struct Open {
    /// Its place in the question and in the answer.
    place: usize,
    question: Question,
    attempts: usize,
    listings: usize,
}

/// The commands of a look, each of which is answered by a tagged response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Unselect,
    Status,
    Select,
    Fetch,
    Search,
}

impl ImapStore {
    pub(super) async fn look(&mut self, wanted: &[Wanted]) -> Result<Vec<Result<Observation, Error>>, Error> {
        let mut answers: Vec<Option<Result<Observation, Error>>> = wanted.iter().map(|_| None).collect();
        let mut open: Vec<Open> = wanted
            .iter()
            .enumerate()
            .map(|(place, wanted)| Open { place, question: self.question_about(wanted), attempts: 0, listings: 0 })
            .collect();
        while !open.is_empty() {
            self.connection.rest().await;
            let looks = self.look_once(wanted, &open).await?;
            let mut again = Vec::new();
            // What one of them teaches is not how the others were asked.
            let method = self.profile.method;
            for (mut open, look) in open.into_iter().zip(looks) {
                open.attempts += 1;
                open.listings += usize::from(open.question == Question::Everything);
                let verdict = match look {
                    Ok(look) => look.verdict(&wanted[open.place].name, method),
                    Err(error) => Err(error),
                };
                match verdict {
                    Ok(Verdict::Seen(observation)) => answers[open.place] = Some(Ok(observation)),
                    // What stood in the way is known from now on: that was no attempt.
                    Ok(Verdict::Borderless | Verdict::WithoutUidNext) if open.attempts <= ATTEMPTS => {
                        open.listings = open.listings.saturating_sub(1);
                        again.push(open);
                    }
                    Ok(Verdict::Disturbed(_) | Verdict::Refused(_)) if open.attempts < ATTEMPTS => {
                        open.listings = open.listings.saturating_sub(1);
                        again.push(open);
                    }
                    Ok(Verdict::Unresumable) => again.push(Open { question: Question::Everything, ..open }),
                    // What never adds up with a search may without (`quirks`: esearch-that-finds-nothing).
                    Ok(Verdict::Disturbed(_)) if open.question != Question::Everything => {
                        again.push(Open { question: Question::Everything, ..open });
                    }
                    Ok(Verdict::Contradiction(_)) if open.listings < LISTINGS => {
                        again.push(Open { question: Question::Everything, ..open });
                    }
                    Ok(Verdict::Contradiction(reason) | Verdict::Disturbed(reason)) => {
                        answers[open.place] = Some(Err(Error::mailbox(Cause::Protocol, reason)));
                    }
                    Ok(Verdict::Refused(error)) => answers[open.place] = Some(Err(error)),
                    Ok(Verdict::Borderless) => {
                        let text = "responses about two mailboxes cannot be told apart";
                        answers[open.place] = Some(Err(Error::mailbox(Cause::Protocol, text)));
                    }
                    Ok(Verdict::WithoutUidNext) => {
                        answers[open.place] = Some(Err(unsaid(&wanted[open.place].name, "UIDNEXT")));
                    }
                    Ok(Verdict::ParameterRefused) => {
                        self.do_without_mod_sequences();
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

    fn question_about(&self, wanted: &Wanted) -> Question {
        match wanted.since.and_then(|since| Some((since, since.highest_modseq?))) {
            Some((since, modseq)) if self.profile.method != Method::Full => Question::Changes { since, modseq },
            _ => Question::Everything,
        }
    }

    /// From here on, this session lists every message (`quirks`: no-select-parameter).
    fn do_without_mod_sequences(&mut self) {
        self.profile.method = Method::Full;
        self.profile.reason = "the server offers CONDSTORE, but refuses to select with it".to_owned();
    }

    /// What is said to look at a mailbox. The set of all UIDs is written as every server knows it, `1:*`; beside VANISHED
    /// that would leave out what is above the highest message (`quirks`: vanished-above-star).
    fn commands(&self, wire: &WireName, question: Question) -> Vec<(Step, String)> {
        let select = |parameter: &str| (Step::Select, format!("SELECT {wire}{parameter}"));
        let search = || (Step::Search, self.capabilities.search("ALL"));
        let mut commands = Vec::new();
        if self.quirks.no_uid_next {
            commands.push((Step::Status, format!("STATUS {wire} (UIDNEXT UIDVALIDITY)")));
        }
        commands.extend(match (self.profile.method, question) {
            (Method::Qresync, Question::Changes { since, modseq }) => {
                vec![select(&format!(" (QRESYNC ({} {modseq}))", since.uid_validity))]
            }
            (Method::Qresync, Question::Everything) => {
                vec![select(" (CONDSTORE)"), (Step::Fetch, "UID FETCH 1:4294967295 (FLAGS)".to_owned())]
            }
            (Method::Condstore, Question::Changes { modseq, .. }) => {
                let fetch = format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})");
                vec![select(" (CONDSTORE)"), (Step::Fetch, fetch), search()]
            }
            (Method::Condstore, Question::Everything) => {
                vec![select(" (CONDSTORE)"), (Step::Fetch, "UID FETCH 1:* (FLAGS)".to_owned())]
            }
            (Method::Full | Method::Embedded, _) => {
                vec![select(""), (Step::Fetch, "UID FETCH 1:* (FLAGS)".to_owned())]
            }
        });
        commands
    }

    /// One flight. An error in place of a look: the mailbox could not even be asked for.
    async fn look_once(&mut self, wanted: &[Wanted], open: &[Open]) -> Result<Vec<Result<Look, Error>>, Error> {
        let mut looks = Vec::new();
        let mut commands = Vec::new();
        let mut steps = Vec::new();
        let closed_is_said = self.profile.method == Method::Qresync && !self.quirks.no_closed;
        let mut selected = self.selection != Selection::Nothing;
        for (at, Open { place, question, .. }) in open.iter().enumerate() {
            let wire = match self.wire(&wanted[*place].name) {
                Ok(wire) => wire,
                Err(error) => {
                    looks.push(Err(error));
                    continue;
                }
            };
            looks.push(Ok(Look::new(*question)));
            if selected && !closed_is_said {
                steps.push((at, Step::Unselect));
                commands.push(self.unselect_command().to_owned());
            }
            selected = true;
            for (step, command) in self.commands(&wire, *question) {
                steps.push((at, step));
                commands.push(command);
            }
        }
        let mut engaged = self.selection != Selection::Nothing;
        let mut last = None;
        self.selection = Selection::Something;
        let unselects = self.capabilities.has("UNSELECT");
        let names = &self.names;
        let is_about = |at: usize, said: &[u8]| {
            let meant = open.get(at).map(|open| names.wire(&wanted[open.place].name));
            meant.is_some_and(|wire| wire.is_ok_and(|wire| wire.is_meant_by(said)))
        };
        let flight = self.connection.flight(commands, |index, reply| {
            let Some((at, step)) = steps.get(index).copied() else { return };
            let Some(Ok(look)) = looks.get_mut(at) else { return };
            match (step, reply) {
                // A SELECT that fails leaves no mailbox; an UNSELECT that fails leaves the one there was.
                (Step::Unselect, Reply::Done(completion)) => engaged &= unselects && !completion.is_ok(),
                (Step::Unselect, _) => {}
                (Step::Status, Reply::Untagged(Response::Status(status))) if is_about(at, &status.name) => {
                    look.uid_next = status.uid_next;
                }
                (Step::Status, _) => {}
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
                // What is remembered is what SELECT said, before anything was listed: numbers that move on while the
                // messages are on their way may count what none of them shows.
                (
                    Step::Fetch | Step::Search,
                    Reply::Untagged(Response::Untagged {
                        code: Some(Code::UidNext(_) | Code::HighestModSeq(_)), ..
                    }),
                ) => {}
                (Step::Fetch | Step::Search, Reply::Untagged(response)) => look.take(response),
                (Step::Fetch, Reply::Done(completion)) => look.fetched(completion),
                (Step::Search, Reply::Done(completion)) => look.searched(completion),
                (_, Reply::Unreadable(reason)) => look.unreadable = Some(reason),
            }
        });
        flight.await?;
        if self.profile.method == Method::Qresync {
            self.quirks.no_closed |= looks.iter().flatten().any(|look| look.border == Border::Awaited);
        }
        if looks.iter().flatten().any(Look::lacks_uid_next) {
            // Courier is known by this where a tunnel hides its greeting.
            self.quirks.no_uid_next = true;
            self.quirks.frozen_view = true;
        }
        self.appended = false;
        for (Open { place, .. }, look) in open.iter().zip(&looks) {
            if let Ok(look) = look {
                self.note_kept_keywords(&wanted[*place].name, look.selected.kept_flags());
            }
        }
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
    /// UIDNEXT as STATUS told it right before.
    uid_next: Option<Uid>,
    /// EXISTS as it stands now; `selected.messages` is what it was at first.
    exists: Option<u32>,
    messages: FlagMap,
    /// The UIDs that a search for all of them found.
    found: Option<UidSet>,
    vanished_earlier: UidSet,
    vanished_now: UidSet,
    contradiction: Option<&'static str>,
    disturbance: Option<Disturbance>,
    unreadable: Option<String>,
    too_many: bool,
    refusal: Option<(Step, Completion)>,
}

/// What no session with QRESYNC may be told (RFC 7162 §3.2.10, §3.2.4), and what a plain one is told when others are at
/// work in the mailbox. Only another look can tell it from what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    /// A message was expunged that is named by its number, which says which only to who has counted from the beginning.
    Expunged,
    /// A message was reported without its UID or its flags.
    Incomplete,
}

/// What a look comes to.
enum Verdict {
    /// An observation.
    Seen(Observation),
    /// It cannot be resumed from the checkpoint: every message must be listed.
    Unresumable,
    /// The answer contradicts itself: every message must be listed, or listed again.
    Contradiction(String),
    /// Somebody else was at work in the mailbox: the same again.
    Disturbed(String),
    /// The server asks for a pause (`quirks`: throttled): the same again, after it.
    Refused(Error),
    /// Responses of two mailboxes may be mixed up: the same again, with a border.
    Borderless,
    /// UIDNEXT was not said: the same again, with STATUS.
    WithoutUidNext,
    /// The server does not select with CONDSTORE: every message must be listed, here and everywhere.
    ParameterRefused,
}

impl Look {
    fn new(question: Question) -> Look {
        Look {
            question,
            border: Border::Passed,
            selected: Selected::default(),
            uid_next: None,
            exists: None,
            messages: FlagMap::new(),
            found: None,
            vanished_earlier: UidSet::new(),
            vanished_now: UidSet::new(),
            contradiction: None,
            disturbance: None,
            unreadable: None,
            too_many: false,
            refusal: None,
        }
    }

    /// The mailbox before is closed: nothing of what was said is about this one.
    fn begin(&mut self) {
        let (unreadable, uid_next) = (self.unreadable.take(), self.uid_next);
        *self = Look { unreadable, uid_next, ..Look::new(self.question) };
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
            Response::Expunge(_) => {
                self.exists = self.exists.map(|exists| exists.saturating_sub(1));
                self.disturbance = Some(Disturbance::Expunged);
            }
            Response::Fetch(Fetch { uid: Some(uid), flags: Some(flags), .. }) => {
                self.too_many |= self.messages.len() >= MESSAGES_LIMIT;
                if !self.too_many {
                    self.messages.insert(uid, flags);
                }
            }
            Response::Fetch(_) => self.disturbance = Some(Disturbance::Incomplete),
            Response::Search(uids) | Response::ESearch { all: uids, .. } => {
                self.found = Some(self.found.take().unwrap_or_default().union(&uids));
            }
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
                self.refusal = Some((Step::Select, completion));
                None
            }
        }
    }

    /// The listing has ended. That there is nothing to be listed may be an error to some servers.
    fn fetched(&mut self, completion: Completion) {
        if !completion.is_ok() && self.refusal.is_none() && self.exists != Some(0) {
            self.refusal = Some((Step::Fetch, completion));
        }
    }

    /// The search has ended; nothing found may be nothing said.
    fn searched(&mut self, completion: Completion) {
        match completion.is_ok() || self.exists == Some(0) {
            true if self.exists == Some(0) => drop(self.found.get_or_insert_default()),
            true => {}
            false => drop(self.refusal.get_or_insert((Step::Search, completion))),
        }
    }

    fn lacks_uid_next(&self) -> bool {
        let told_otherwise = self.selected.uid_validity.is_some() && self.border == Border::Passed;
        told_otherwise && self.selected.uid_next.is_none() && self.uid_next.is_none()
    }

    fn verdict(mut self, name: &MailboxName, method: Method) -> Result<Verdict, Error> {
        match (self.refusal.take(), self.question) {
            (None, _) => {}
            (Some((_, refusal)), _) if refusal.backoff().is_some() => {
                return Ok(Verdict::Refused(refusal.refusal(Reach::Mailbox, &format!("to open {name}"))));
            }
            (Some((Step::Select, refusal)), _) if method == Method::Condstore && refusal.status == Status::Bad => {
                return Ok(Verdict::ParameterRefused);
            }
            (Some((Step::Select, refusal)), _) => {
                return Err(refusal.refusal(Reach::Mailbox, &format!("to open {name}")));
            }
            // The mailbox may have lost its mod-sequences; nothing else than SELECT tells (RFC 7162 §3.1.2.2).
            (Some(_), Question::Changes { .. }) => return Ok(Verdict::Unresumable),
            // Nothing was refused: some of them have gone meanwhile (RFC 5530, RFC 2180 §4.1.2).
            (Some((_, refusal)), Question::Everything) if refusal.has_code("EXPUNGEISSUED") => {
                return Ok(Verdict::Disturbed(format!("messages of {name} are expunged whenever they are listed")));
            }
            (Some((_, refusal)), Question::Everything) => {
                return Err(refusal.refusal(Reach::Mailbox, &format!("to list the messages of {name}")));
            }
        }
        if self.border == Border::Awaited {
            return Ok(Verdict::Borderless);
        }
        if let Some(reason) = self.unreadable {
            return Err(Error::mailbox(Cause::Protocol, format!("{name}: {reason}")));
        }
        if self.too_many {
            let text = format!("the server reports more than {MESSAGES_LIMIT} messages in {name}");
            return Err(Error::mailbox(Cause::Limit, text));
        }
        self.selected.check_uids(name)?;
        if self.lacks_uid_next() {
            return Ok(Verdict::WithoutUidNext);
        }
        let contradicts = |what: &str| format!("the server contradicts itself about {name}: {what}");
        match self.disturbance {
            None => {}
            Some(Disturbance::Expunged) if method == Method::Qresync => {
                self.contradiction = Some("a message was expunged that cannot be named");
            }
            Some(Disturbance::Expunged) => {
                let text = format!("messages of {name} are expunged whenever they are listed");
                return Ok(Verdict::Disturbed(text));
            }
            Some(Disturbance::Incomplete) => {
                let text = format!("the server reports a message of {name} without its UID or its flags");
                return match method {
                    Method::Qresync => Err(Error::mailbox(Cause::Protocol, text)),
                    _ => Ok(Verdict::Disturbed(text)),
                };
            }
        }
        if self.selected.uid_next.is_none() && !self.vanished_now.is_empty() {
            // Whether SELECT counted them cannot be told from a UIDNEXT that is older.
            return Ok(Verdict::Disturbed(format!("messages of {name} are expunged whenever they are listed")));
        }
        self.tell_uid_next_from_status();
        let mut status = self.selected.status().map_err(|what| unsaid(name, what))?;
        if method == Method::Full {
            // Some tell it without keeping it (`quirks`: highestmodseq-without-condstore).
            status.highest_modseq = None;
        }
        if let Question::Changes { since, modseq } = self.question {
            let resumable = status.uid_validity == since.uid_validity
                && status.uid_next >= since.uid_next
                && status.highest_modseq.is_some_and(|now| now >= modseq);
            if !resumable {
                return Ok(Verdict::Unresumable);
            }
        }
        if let Some(what) = self.contradiction {
            return Ok(Verdict::Contradiction(contradicts(what)));
        }
        // What arrived behind UIDNEXT is counted where it is listed, and left to the next observation where it is not.
        let arrived = self.messages.range(status.uid_next..).count() as u64;
        let before = below(status.uid_next);
        let expunged = self.vanished_now.intersection(&before).len();
        let remaining = u64::from(status.messages).saturating_sub(expunged);
        status.messages = u32::try_from(remaining + arrived).unwrap_or(u32::MAX);
        let silence = match (self.question, &self.found) {
            (Question::Changes { .. }, None) if method == Method::Qresync => {
                if self.messages.keys().any(|uid| self.vanished_earlier.contains(uid)) {
                    return Ok(Verdict::Contradiction(contradicts("a message is both there and gone")));
                }
                Silence::Unchanged { vanished: self.vanished_earlier.union(&self.vanished_now) }
            }
            (Question::Changes { .. }, None) => {
                return Ok(Verdict::Contradiction(contradicts("messages are there, but none is found")));
            }
            (Question::Changes { since, .. }, Some(found)) => {
                let found = found.intersection(&before);
                let reported: UidSet = self.messages.keys().filter(|uid| *uid < status.uid_next).collect();
                let new = found.difference(&below(since.uid_next));
                if found.len() != remaining {
                    let what =
                        format!("{name} does not hold still: of {remaining} messages, {} are found", found.len());
                    return Ok(Verdict::Disturbed(what));
                }
                if !reported.difference(&found).is_empty() || !new.difference(&reported).is_empty() {
                    return Ok(Verdict::Contradiction(contradicts("what has changed is not what is there")));
                }
                Silence::Unchanged { vanished: before.difference(&found) }
            }
            (Question::Everything, _) if self.messages.len() as u64 != remaining + arrived => {
                let what =
                    format!("there are {} messages, but {} are listed", remaining + arrived, self.messages.len());
                return Ok(Verdict::Contradiction(contradicts(&what)));
            }
            (Question::Everything, _) => Silence::Gone,
        };
        Ok(Verdict::Seen(Observation {
            status,
            permanent_flags: self.selected.permanent_flags(),
            access: self.selected.access(),
            messages: self.messages,
            silence,
        }))
    }

    /// UIDNEXT as STATUS told it is older than the messages that SELECT counted: what is reported moves it on. Where
    /// every message is listed, those that arrived meanwhile are among them, and EXISTS may have been said before or
    /// after they did.
    fn tell_uid_next_from_status(&mut self) {
        let (None, Some(told)) = (self.selected.uid_next, self.uid_next) else { return };
        let behind = self.messages.last().and_then(|last| Uid::new(last.get().checked_add(1)?));
        self.selected.uid_next = behind.max(Some(told));
        let listed = u32::try_from(self.messages.len()).ok().filter(|_| self.question == Question::Everything);
        if let (Some(listed), Some(first), Some(last)) = (listed, self.selected.messages, self.exists)
            && (first..=last).contains(&listed)
        {
            self.selected.messages = Some(listed);
        }
    }
}

/// Every UID lower than this one.
pub(super) fn below(uid: Uid) -> UidSet {
    let mut set = UidSet::new();
    set.insert_range(Uid::MIN..=uid);
    set.remove(uid);
    set
}
