//! Appending messages: many in one command where the server takes that (MULTIAPPEND, RFC 3502), one after the other
//! where it does not, and large ones as they flow by.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::capability::Literals;
use super::connection::{Completion, Go, Ticket};
use super::name::WireName;
use super::response::{Code, LiteralKind, Response};
use super::store::ImapStore;
use crate::mail::{Flag, FlagSet, InternalDate, Uid, UidSet};
use crate::store::{Appended, Body, Cause, Error, Form, Message, Method, Reach, Retry, UidScope};

/// Most messages of one command.
const BATCH_MESSAGES: usize = 128;

/// Most octets of one command, unless a single message has more.
const BATCH_OCTETS: u64 = 1024 * 1024;

/// How often one message is sent to a server that asks for a pause each time.
const ATTEMPTS: usize = 3;

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

impl ImapStore {
    pub(super) async fn append_messages(
        &mut self,
        scope: &UidScope,
        messages: Vec<Message>,
    ) -> Result<Vec<Appended>, Error> {
        let wire = self.wire(&scope.name)?;
        let uids = if self.capabilities.has("UIDPLUS") { Uids::Told } else { Uids::Untold };
        let appended = messages.iter().map(|_| None).collect();
        let mut outcome = Outcome { appended, again: Vec::new(), no_such_mailbox: None, uids };
        self.appended |= self.profile.method != Method::Qresync;
        let mut jobs = Vec::new();
        let limit = self.append_limit(scope, &wire).await?;
        for (place, message) in messages.into_iter().enumerate() {
            match self.refuses(&message, limit) {
                Some(error) => outcome.appended[place] = Some(Appended::Refused(error)),
                None => self.plan(&mut jobs, place, message),
            }
        }
        while !jobs.is_empty() {
            self.connection.rest().await;
            self.send(jobs, scope, &wire, &mut outcome).await?;
            jobs = outcome.again.drain(..).map(|letter| Job::Batch(vec![letter])).collect();
        }
        if let Some(error) = outcome.no_such_mailbox {
            return Err(error);
        }
        let mut appended: Vec<Appended> =
            outcome.appended.into_iter().map(|appended| appended.unwrap_or(Appended::Somewhere)).collect();
        self.verify_keywords(scope, &mut appended).await?;
        Ok(appended)
    }

    /// Makes sure of keywords that the mailbox has not been seen to keep: some servers drop them from APPEND without a
    /// word, against what PERMANENTFLAGS says (UW imapd 2010; `quirks`: keywords-dropped).
    async fn verify_keywords(&mut self, scope: &UidScope, appended: &mut [Appended]) -> Result<(), Error> {
        let unproven = |flags: &FlagSet, kept: &FlagSet| {
            flags.filtered(|flag| matches!(flag, Flag::Keyword(_)) && !kept.contains(flag))
        };
        let doubtful: UidSet = appended
            .iter()
            .filter_map(|appended| match appended {
                Appended::At { uid, flags } if !unproven(flags, &self.kept_keywords).is_empty() => Some(*uid),
                _ => None,
            })
            .collect();
        if doubtful.is_empty() {
            return Ok(());
        }
        let reported = match self.look_back(scope, &doubtful).await {
            // Where the messages are is known all the same; of their keywords, none was seen kept.
            Err(error) if error.reach < Reach::Side => BTreeMap::new(),
            reported => reported?,
        };
        for appended in appended {
            let Appended::At { uid, flags } = appended else { continue };
            let unproven = unproven(flags, &self.kept_keywords);
            if unproven.is_empty() {
                continue;
            }
            let kept = reported.get(uid).map(|reported| unproven.intersection(reported)).unwrap_or_default();
            *flags = flags.filtered(|flag| !unproven.contains(flag) || kept.contains(flag));
            self.kept_keywords = self.kept_keywords.union(&kept);
        }
        Ok(())
    }

    /// The flags of messages that have just been appended.
    async fn look_back(&mut self, scope: &UidScope, uids: &UidSet) -> Result<BTreeMap<Uid, FlagSet>, Error> {
        self.select(scope).await?;
        self.flags_of(uids).await
    }

    /// The largest message that the mailbox takes, in octets: the same for all, or told for each by STATUS (RFC 7889 §2).
    async fn append_limit(&mut self, scope: &UidScope, wire: &WireName) -> Result<Option<u64>, Error> {
        if let Some(limit) = self.capabilities.append_limit().or(self.append_limits.get(&scope.name).copied().flatten())
        {
            return Ok(Some(limit));
        }
        if !self.capabilities.has("APPENDLIMIT") || self.append_limits.contains_key(&scope.name) {
            return Ok(None);
        }
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

    /// Sends commands one behind the other and takes the answers when all are sent, or when one cannot run on.
    async fn send(
        &mut self,
        jobs: Vec<Job>,
        scope: &UidScope,
        wire: &WireName,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mut sent: VecDeque<(Ticket, Vec<Letter>)> = VecDeque::new();
        for job in jobs {
            match job {
                Job::Batch(letters) => match self.send_batch(wire, &letters).await? {
                    Ok(ticket) => sent.push_back((ticket, letters)),
                    Err(completion) => outcome.settle(scope, letters, &completion),
                },
                Job::Stream(place, message) => {
                    self.settle_all(scope, &mut sent, outcome).await?;
                    let size = message.size;
                    let (completion, flags) = self.stream(wire, message).await?;
                    outcome.settle_stream(scope, place, size, &flags, &completion);
                }
            }
        }
        self.settle_all(scope, &mut sent, outcome).await
    }

    async fn settle_all(
        &mut self,
        scope: &UidScope,
        sent: &mut VecDeque<(Ticket, Vec<Letter>)>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        while let Some((ticket, letters)) = sent.pop_front() {
            // Answers come in the order of the commands: they write to one mailbox.
            let completion = self.connection.answer(ticket, |_| {}).await?;
            outcome.settle(scope, letters, &completion);
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
