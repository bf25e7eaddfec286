//! Appending messages: many in one command where the server takes that (MULTIAPPEND, RFC 3502), one after the other
//! where it does not, and large ones as they flow by.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::capability::Literals;
use super::connection::{Completion, Go, Incoming, Ticket};
use super::name::WireName;
use super::response::{Code, LiteralKind, Response};
use super::store::ImapStore;
use super::supply::{Share, Supply};
use crate::mail::{Flag, FlagSet, InternalDate, Uid, UidSet};
use crate::store::{
    Appended, Batch, BatchAnswer, Body, Cause, Error, Form, Message, Method, Reach, Retry, UidScope, within_mailbox,
};

/// Most messages of one command.
const BATCH_MESSAGES: usize = 128;

/// Most octets of one command, unless a single message has more.
const BATCH_OCTETS: u64 = 1024 * 1024;

/// While so many octets of messages are sent and not answered, no more are sent.
const WINDOW: u64 = 4 * BATCH_OCTETS;

/// How often one message is sent to a server that asks for a pause each time.
const ATTEMPTS: usize = 3;

/// Whether more batches may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Flowing,
    Dry,
}

/// A message that is there as a whole.
struct Letter {
    /// Its place in the question and in the answer.
    place: usize,
    header: Header,
    octets: Bytes,
    /// How often the server wanted a pause before it.
    pauses: usize,
}

/// What stands before a message's octets.
struct Header {
    flags: FlagSet,
    internal_date: InternalDate,
    literal: LiteralKind,
}

impl Header {
    /// The same without what some servers refuse a message for: keywords (Cyrus takes 128 in a mailbox and refuses all else
    /// with the message, 2026), and dates before 1970 (Cyrus, Courier). `None` where there is nothing of that.
    fn plainer(&self) -> Option<Header> {
        let flags = self.flags.filtered(|flag| !matches!(flag, Flag::Keyword(_)));
        let internal_date = self.internal_date.max(InternalDate::EPOCH);
        let plainer = flags != self.flags || internal_date != self.internal_date;
        plainer.then_some(Header { flags, internal_date, literal: self.literal })
    }

    fn of(message: &Message) -> Header {
        let literal = match message.form {
            Form::Text => LiteralKind::Text,
            Form::Binary => LiteralKind::Binary,
        };
        Header { flags: message.flags.clone(), internal_date: message.internal_date, literal }
    }

    /// `append-opts = [SP flag-list] [SP date-time]` and a blank, behind a blank.
    fn text(&self) -> String {
        format!("({}) \"{}\" ", self.flags, self.internal_date)
    }
}

/// What is sent as one command.
enum Job {
    Batch(Vec<Letter>),
    Stream(usize, Message),
}

/// What has become of the messages so far.
struct Outcome {
    appended: Vec<Option<Appended>>,
    /// What is worth another attempt, one by one: batches that were refused as a whole, although perhaps only for one of
    /// their messages; messages for which the server wants a pause; and messages that were refused by themselves, but
    /// perhaps only for their keywords or their date, without these.
    again: Vec<Letter>,
    no_such_mailbox: Option<Error>,
    uids: Uids,
}

/// Whether the server says where it puts messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uids {
    /// It offers UIDPLUS.
    Told,
    /// It does not, and what it says all the same was not promised.
    Untold,
}

/// Everything that was sent and is not answered yet.
#[derive(Default)]
pub(super) struct Road<'a> {
    /// The batches, as they came.
    batches: VecDeque<Open<'a>>,
    /// Their commands, as they were sent.
    sent: VecDeque<Sent>,
    /// How many parts each batch has that was taken and is not answered, whatever is known of it already.
    unanswered: BTreeMap<u64, usize>,
}

/// A batch that is not answered yet.
struct Open<'a> {
    number: u64,
    parts: Vec<Part>,
    /// How many commands of it are not answered.
    unanswered: usize,
    /// What it takes of the room that all connections have together.
    share: Share<'a>,
}

/// What goes to one mailbox.
struct Part {
    scope: UidScope,
    outcome: Result<Outcome, Error>,
}

/// A command that is not answered yet.
struct Sent {
    ticket: Ticket,
    /// The batch and the part of it.
    of: (u64, usize),
    letters: Vec<Letter>,
}

impl Road<'_> {
    /// Answers for what was on its way over a connection that is lost: all of it may have arrived.
    pub(super) fn left_open(self, error: &Error) -> impl Iterator<Item = BatchAnswer> {
        let answer = move |(number, parts)| {
            let open = || Err(Error { reach: Reach::Mailbox, ..error.clone() });
            BatchAnswer { number, parts: std::iter::repeat_with(open).take(parts).collect() }
        };
        self.unanswered.into_iter().map(answer)
    }

    /// How many octets of messages are not answered.
    fn octets(&self) -> u64 {
        self.sent.iter().flat_map(|sent| &sent.letters).map(|letter| letter.octets.len() as u64).sum()
    }

    fn part(&mut self, (number, part): (u64, usize)) -> Option<(&mut usize, &UidScope, &mut Outcome)> {
        let Open { parts, unanswered, .. } = self.batches.iter_mut().find(|batch| batch.number == number)?;
        let Part { scope, outcome } = parts.get_mut(part)?;
        Some((unanswered, scope, outcome.as_mut().ok()?))
    }

    fn notice(&mut self, incoming: Incoming) {
        let Incoming::Done(ticket, completion) = incoming else { return };
        let Some(at) = self.sent.iter().position(|sent| sent.ticket == ticket) else { return };
        let Some(Sent { of, letters, .. }) = self.sent.remove(at) else { return };
        if let Some((unanswered, scope, outcome)) = self.part(of) {
            *unanswered -= 1;
            outcome.settle(scope, letters, &completion);
        }
    }
}

impl ImapStore {
    /// Sends batches as they come, a window ahead of the answers, and answers each as soon as it and all before it are done.
    pub(super) async fn append_batches<'a>(
        &mut self,
        supply: &'a Supply,
        answers: &mpsc::Sender<BatchAnswer>,
        road: &mut Road<'a>,
    ) -> Result<(), Error> {
        let mut source = Source::Flowing;
        loop {
            while road.batches.front().is_some_and(|batch| batch.unanswered == 0)
                && let Some(answer) = self.conclude(road).await?
            {
                road.unanswered.remove(&answer.number);
                // Whoever does not want to know any more finds what arrives by the intents.
                let _ = answers.send(answer).await;
            }
            if source == Source::Dry && road.batches.is_empty() {
                return Ok(());
            }
            tokio::select! {
                // Answers first: they must not pile up behind many small commands.
                biased;
                incoming = self.connection.receive(), if !road.sent.is_empty() => road.notice(incoming?),
                batch = supply.next(), if source == Source::Flowing && road.octets() < WINDOW => match batch {
                    Some((batch, share)) => self.depart(batch, share, road).await?,
                    None => source = Source::Dry,
                },
            }
        }
    }

    /// Sends a batch.
    async fn depart<'a>(
        &mut self,
        Batch { number, parts }: Batch,
        share: Share<'a>,
        road: &mut Road<'a>,
    ) -> Result<(), Error> {
        self.appended |= self.profile.method != Method::Qresync;
        road.unanswered.insert(number, parts.len());
        if self.connection.is_asked_to_wait() {
            self.settle_all(road).await?;
            self.connection.rest().await;
        }
        road.batches.push_back(Open { number, parts: Vec::new(), unanswered: 0, share });
        for (part, (scope, messages)) in parts.into_iter().enumerate() {
            let (wire, limit) = match self.wire(&scope.name) {
                Ok(wire) => {
                    let limit = self.append_limit(&scope, &wire, road).await?;
                    (wire, limit)
                }
                Err(error) => {
                    self.add_part(road, Part { scope, outcome: Err(error) });
                    continue;
                }
            };
            let uids = if self.capabilities.has("UIDPLUS") { Uids::Told } else { Uids::Untold };
            let appended = messages.iter().map(|_| None).collect();
            let mut outcome = Outcome { appended, again: Vec::new(), no_such_mailbox: None, uids };
            let mut jobs = Vec::new();
            for (place, message) in messages.into_iter().enumerate() {
                match self.refuses(&message, limit) {
                    Some(error) => outcome.appended[place] = Some(Appended::Refused(error)),
                    None => self.plan(&mut jobs, place, message),
                }
            }
            self.add_part(road, Part { scope, outcome: Ok(outcome) });
            self.send(jobs, &wire, (number, part), road).await?;
        }
        Ok(())
    }

    fn add_part(&self, road: &mut Road<'_>, part: Part) {
        if let Some(batch) = road.batches.back_mut() {
            batch.parts.push(part);
        }
    }

    /// Answers the oldest batch, of which all commands are answered: what was refused together is sent again one by one.
    async fn conclude(&mut self, road: &mut Road<'_>) -> Result<Option<BatchAnswer>, Error> {
        let Some(Open { number, parts, .. }) = road.batches.front() else { return Ok(None) };
        let (number, parts) = (*number, parts.len());
        for at in 0..parts {
            while let Some((_, scope, outcome)) = road.part((number, at))
                && !outcome.again.is_empty()
            {
                let wire = self.wire(&scope.name)?;
                let jobs = outcome.again.drain(..).map(|letter| Job::Batch(vec![letter])).collect();
                self.settle_all(road).await?;
                self.connection.rest().await;
                self.send(jobs, &wire, (number, at), road).await?;
                self.settle_all(road).await?;
            }
        }
        let Some(Open { parts: done, share, .. }) = road.batches.pop_front() else { return Ok(None) };
        drop(share);
        let mut answers = Vec::with_capacity(parts);
        for Part { scope, outcome } in done {
            let outcome = match outcome {
                Ok(Outcome { no_such_mailbox: Some(error), .. }) | Err(error) => {
                    answers.push(within_mailbox(Err(error))?);
                    continue;
                }
                Ok(outcome) => outcome,
            };
            let appended = outcome.appended.into_iter().map(|appended| appended.unwrap_or(Appended::Somewhere));
            let mut appended: Vec<Appended> = appended.collect();
            self.verify_keywords(&scope, &mut appended, road).await?;
            answers.push(Ok(appended));
        }
        Ok(Some(BatchAnswer { number, parts: answers }))
    }

    /// Makes sure of keywords that the mailbox has not been seen to keep: some servers drop them from APPEND without a
    /// word, against what PERMANENTFLAGS says (UW imapd 2010; `quirks`: keywords-dropped).
    async fn verify_keywords(
        &mut self,
        scope: &UidScope,
        appended: &mut [Appended],
        road: &mut Road<'_>,
    ) -> Result<(), Error> {
        let mut known = self.kept_keywords.get(&scope.name).cloned().unwrap_or_default();
        let unproven = |flags: &FlagSet, kept: &FlagSet| {
            flags.filtered(|flag| matches!(flag, Flag::Keyword(_)) && !kept.contains(flag))
        };
        let doubtful: UidSet = appended
            .iter()
            .filter_map(|appended| match appended {
                Appended::At { uid, flags } if !unproven(flags, &known).is_empty() => Some(*uid),
                _ => None,
            })
            .collect();
        if doubtful.is_empty() {
            return Ok(());
        }
        self.settle_all(road).await?;
        let reported = match self.look_back(scope, &doubtful).await {
            // Where the messages are is known all the same; of their keywords, none was seen kept.
            Err(error) if error.reach < Reach::Side => BTreeMap::new(),
            reported => reported?,
        };
        for appended in appended {
            let Appended::At { uid, flags } = appended else { continue };
            let unproven = unproven(flags, &known);
            if unproven.is_empty() {
                continue;
            }
            let kept = reported.get(uid).map(|reported| unproven.intersection(reported)).unwrap_or_default();
            *flags = flags.filtered(|flag| !unproven.contains(flag) || kept.contains(flag));
            known = known.union(&kept);
        }
        self.note_kept_keywords(&scope.name, known);
        Ok(())
    }

    /// The flags of messages that have just been appended.
    async fn look_back(&mut self, scope: &UidScope, uids: &UidSet) -> Result<BTreeMap<Uid, FlagSet>, Error> {
        self.select(scope).await?;
        self.flags_of(uids).await
    }

    /// The largest message that the mailbox takes, in octets: the same for all, or told for each by STATUS (RFC 7889 §2).
    async fn append_limit(
        &mut self,
        scope: &UidScope,
        wire: &WireName,
        road: &mut Road<'_>,
    ) -> Result<Option<u64>, Error> {
        if let Some(limit) = self.capabilities.append_limit().or(self.append_limits.get(&scope.name).copied().flatten())
        {
            return Ok(Some(limit));
        }
        if !self.capabilities.has("APPENDLIMIT") || self.append_limits.contains_key(&scope.name) {
            return Ok(None);
        }
        self.settle_all(road).await?;
        let mut limit = None;
        let take = |response| match response {
            Response::Status(items) if wire.is_meant_by(&items.name) => limit = items.append_limit,
            _ => {}
        };
        self.connection.run(&format!("STATUS {wire} (APPENDLIMIT)"), take).await?;
        self.append_limits.insert(scope.name.clone(), limit);
        Ok(limit)
    }

    /// Why a message need not even be sent.
    fn refuses(&self, message: &Message, limit: Option<u64>) -> Option<Error> {
        let size = match &message.body {
            Body::Whole(octets) => octets.len() as u64,
            Body::Streamed { .. } => message.size,
        };
        let cannot_hold = |text: &str| Some(Error::message(Cause::CannotHold, text).for_good());
        match limit {
            // A literal without octets would cancel the whole command (RFC 3502 §6.3.11).
            _ if size == 0 => cannot_hold("a message without any octet cannot be appended by IMAP"),
            _ if message.form == Form::Binary && !self.capabilities.has("BINARY") => {
                cannot_hold("the message holds NUL octets, which the server does not take (no BINARY)")
            }
            Some(limit) if size > limit => {
                let text = format!("the message has {size} octets; the server takes {limit} at most");
                Some(Error::message(Cause::TooBig, text).for_good())
            }
            _ => None,
        }
    }

    /// Puts a message into the last command if it fits there, or into one of its own.
    fn plan(&self, jobs: &mut Vec<Job>, place: usize, message: Message) {
        let header = Header::of(&message);
        let octets = match message.body {
            Body::Whole(octets) if self.quirks.wants_final_line_end && !octets.ends_with(b"\r\n") => {
                [octets.as_ref(), b"\r\n"].concat().into()
            }
            Body::Whole(octets) => octets,
            Body::Streamed { .. } => return jobs.push(Job::Stream(place, message)),
        };
        let letter = Letter { place, header, octets, pauses: 0 };
        let fits = |batch: &[Letter]| {
            let total: u64 = batch.iter().map(|letter| letter.octets.len() as u64).sum();
            batch.len() < BATCH_MESSAGES && total + letter.octets.len() as u64 <= BATCH_OCTETS
        };
        match jobs.last_mut() {
            Some(Job::Batch(batch)) if self.capabilities.has("MULTIAPPEND") && fits(batch) => batch.push(letter),
            _ => jobs.push(Job::Batch(vec![letter])),
        }
    }

    /// Sends commands one behind the other, without waiting for the answers but where one cannot run on.
    async fn send(
        &mut self,
        jobs: Vec<Job>,
        wire: &WireName,
        of: (u64, usize),
        road: &mut Road<'_>,
    ) -> Result<(), Error> {
        for job in jobs {
            match job {
                Job::Batch(letters) => match self.send_batch(wire, &letters).await? {
                    Ok(ticket) => {
                        road.sent.push_back(Sent { ticket, of, letters });
                        if let Some((unanswered, ..)) = road.part(of) {
                            *unanswered += 1;
                        }
                    }
                    Err(completion) => {
                        if let Some((_, scope, outcome)) = road.part(of) {
                            outcome.settle(scope, letters, &completion);
                        }
                    }
                },
                Job::Stream(place, message) => {
                    self.settle_all(road).await?;
                    let size = message.size;
                    let (completion, flags) = self.stream(wire, message).await?;
                    if let Some((_, scope, outcome)) = road.part(of) {
                        outcome.settle_stream(scope, place, size, &flags, &completion);
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for the answers to all that was sent.
    async fn settle_all(&mut self, road: &mut Road<'_>) -> Result<(), Error> {
        while !road.sent.is_empty() {
            let incoming = self.connection.receive().await?;
            road.notice(incoming);
        }
        Ok(())
    }

    /// Sends one command. Where the server ends it before all is sent, its answer comes back instead of the ticket.
    async fn send_batch(&mut self, wire: &WireName, letters: &[Letter]) -> Result<Result<Ticket, Completion>, Error> {
        let literals = self.capabilities.literals();
        let ticket = self.connection.begin();
        self.connection.text(&format!("APPEND {wire}"));
        for Letter { header, octets, .. } in letters {
            self.connection.text(&format!(" {}", header.text()));
            let size = octets.len() as u64;
            match self.connection.announce(ticket, header.literal, size, literals).await? {
                Go::Ahead => self.connection.octets(octets).await?,
                Go::Over(completion) => return Ok(Err(completion)),
            }
        }
        self.connection.end(ticket);
        Ok(Ok(ticket))
    }

    /// Sends one large message as it arrives. The server is asked before, whatever it offers: what it refuses then need
    /// not be sent, and an unknown limit cannot make it hang up (RFC 7889 §4).
    async fn stream(&mut self, wire: &WireName, message: Message) -> Result<(Completion, FlagSet), Error> {
        let mut header = Header::of(&message);
        let Body::Streamed { head, mut rest } = message.body else {
            return Err(Error::message(Cause::Protocol, "a message that is there as a whole is not streamed"));
        };
        let ticket = loop {
            let ticket = self.connection.begin();
            self.connection.text(&format!("APPEND {wire} {}", header.text()));
            match self.connection.announce(ticket, header.literal, message.size, Literals::Synchronizing).await? {
                Go::Ahead => break ticket,
                Go::Over(completion) => match header.plainer() {
                    Some(plainer) if may_be_for_flags_or_date(&completion) => header = plainer,
                    _ => return Ok((completion, header.flags)),
                },
            }
        };
        let mut missing = Some(message.size);
        let mut next = Some(head);
        while let Some(octets) = next {
            missing = missing.and_then(|missing| missing.checked_sub(octets.len() as u64));
            // One piece is held back until it is known whether more follows: to have all its octets is enough for some
            // servers to store a message (`quirks`: stored-without-line-end).
            next = rest.recv().await;
            if missing.is_none() || (missing == Some(0) && next.is_some()) {
                missing = None;
                break;
            }
            self.connection.octets(&octets).await?;
        }
        if missing != Some(0) {
            // The server waits for the rest of the literal; nothing but the end of the connection takes it back.
            let text = "a message has not the octets that it was said to have where it comes from; \
                        the connection was closed, so that no part of it stays";
            return Err(self.connection.fail(Error::side(Cause::ConnectionLost, text)));
        }
        self.connection.end(ticket);
        Ok((self.connection.answer(ticket, |_| {}).await?, header.flags))
    }
}

impl Outcome {
    fn settle(&mut self, scope: &UidScope, mut letters: Vec<Letter>, completion: &Completion) {
        if completion.is_ok() {
            let uids = self.uids_of(scope, completion, letters.len());
            for (at, letter) in letters.iter().enumerate() {
                let uid = uids.as_ref().and_then(|uids| uids.get(at).copied());
                self.appended[letter.place] = Some(there(uid, &letter.header.flags));
            }
            return;
        }
        if completion.says_there_is_none() {
            self.no_such_mailbox = Some(refusal(completion, 0));
            return;
        }
        // MULTIAPPEND stores all or nothing (RFC 3502 §3).
        if letters.len() > 1 {
            return self.again.extend(letters);
        }
        for letter in letters.drain(..) {
            self.appended[letter.place] = Some(Appended::Refused(refusal(completion, letter.octets.len() as u64)));
            if completion.backoff().is_some() {
                let letter = Letter { pauses: letter.pauses + 1, ..letter };
                self.again.extend(Some(letter).filter(|letter| letter.pauses < ATTEMPTS));
            } else if let Some(header) = letter.header.plainer().filter(|_| may_be_for_flags_or_date(completion)) {
                self.again.push(Letter { header, ..letter });
            }
        }
    }

    fn settle_stream(&mut self, scope: &UidScope, place: usize, size: u64, flags: &FlagSet, completion: &Completion) {
        self.appended[place] = Some(match self.uids_of(scope, completion, 1).as_deref() {
            Some([uid]) => there(Some(*uid), flags),
            _ if completion.is_ok() => there(None, flags),
            _ if completion.says_there_is_none() => {
                self.no_such_mailbox = Some(refusal(completion, size));
                return;
            }
            _ => Appended::Refused(refusal(completion, size)),
        });
    }

    /// Where the messages are, if the server says so in a way that can be meant (RFC 4315 §3).
    fn uids_of(&self, scope: &UidScope, completion: &Completion, messages: usize) -> Option<Vec<Uid>> {
        match &completion.code {
            Some(Code::AppendUid(uid_validity, uids))
                if completion.is_ok()
                    && self.uids == Uids::Told
                    && *uid_validity == scope.uid_validity
                    && uids.len() == messages
                    && uids.is_sorted_by(|one, next| one < next) =>
            {
                Some(uids.clone())
            }
            _ => None,
        }
    }
}

/// Whether a refusal may be about what stands before the message, and not about the message or the mailbox. A server that
/// has lost its way may have stored the message all the same (RFC 5530, SERVERBUG, CORRUPTION), and nothing is gained by sending it again.
fn may_be_for_flags_or_date(completion: &Completion) -> bool {
    !completion.is_ok()
        && completion.backoff().is_none()
        && !["SERVERBUG", "CORRUPTION"].iter().any(|code| completion.has_code(code))
        && matches!(refusal(completion, 0).cause, Cause::Refused | Cause::CannotHold)
}

/// A message that was taken with these flags.
fn there(uid: Option<Uid>, flags: &FlagSet) -> Appended {
    match uid {
        Some(uid) => Appended::At { uid, flags: flags.clone() },
        None => Appended::Somewhere,
    }
}

/// LIMIT is what RFC 5530 has for a message that is too large; TOOBIG came later (RFC 7889 §5).
fn refusal(completion: &Completion, size: u64) -> Error {
    // A matter of time is no matter of the message: the whole mailbox waits for the next run.
    let reach = if completion.backoff().is_some() { Reach::Mailbox } else { Reach::Message };
    let error = completion.refusal(reach, &format!("a message of {size} octets"));
    match completion.has_code("LIMIT") && error.cause == Cause::Refused && completion.backoff().is_none() {
        true => Error { cause: Cause::TooBig, retry: Retry::Never, ..error },
        false => error,
    }
}
