//! A conversation: commands go out, responses come in. Knows tags, literals, time-outs and limits, but of no command what
//! it means.
//!
//! Reading never waits for writing: both directions are served by one poll, so that two peers with full buffers cannot
//! wait for each other for ever (RFC 7888 §4 lets a server answer in the middle of a literal). What is to be written
//! waits in the outbox until somebody waits for an answer, so that a command, or a flight of them, is one write.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::ReadBuf;
use tokio::time::{Instant, sleep, timeout};

use super::capability::Literals;
use super::endpoint::{Speaker, WireTrace};
use super::frame::{Event, Frame, Framer};
use super::parse::{parse, printable};
use super::refusal::words;
use super::response::{BodyItem, Code, Fetch, LiteralKind, Response, Status, UntaggedStatus};
use super::transport::{Privacy, Transport};
use super::wire::Broken;
use crate::store::{Cause, Error, Traffic};

/// While more than this waits to be written, nothing is added.
const OUTBOX_LIMIT: usize = 64 * 1024;

/// Most octets of responses that are kept because they came while a command was still being written.
const EARLY_LIMIT: usize = 4 * 1024 * 1024;

/// How long a server is left alone in one session, all its pauses together: beyond that, what it refuses stays refused
/// until the next run.
const REST_LIMIT: Duration = Duration::from_secs(60 * 60);

/// How many octets of commands may be unanswered before the next one waits. A server that reads no further while it
/// answers keeps them in the buffers of the system, which hold more than this.
const WINDOW: usize = 64 * 1024;

/// What to do about a server that makes no sense once it deflates.
const WITHOUT_COMPRESSION: &str = "; compression is on, and compress = false does without it";

/// A connection to a server.
pub(super) struct Connection {
    transport: Transport,
    framer: Framer,
    outbox: BytesMut,
    /// How many octets were put into the outbox, and how many of them were written.
    queued: u64,
    written: u64,
    unflushed: bool,
    write_failed: bool,
    tags: Tags,
    pending: VecDeque<Pending>,
    early: VecDeque<(usize, Incoming)>,
    early_octets: usize,
    /// Whether we announced a literal and wait to be told to go on.
    awaits_go: bool,
    leaving: bool,
    /// Until when the server asked to be left alone (`quirks`: throttled).
    pause: Option<Instant>,
    /// How long it was left alone so far.
    rested: Duration,
    /// Whether an ALERT is the server's, and not anybody's who sits between us (RFC 9051 §11.3).
    heeds_alerts: bool,
    patience: Duration,
    /// What had gone over the wire before this conversation.
    before: Traffic,
    /// How often they spoke after we had spoken.
    turns: u64,
    /// Whether we were the last to speak.
    spoke: bool,
    inflated: Inflated,
    trace: Option<Arc<dyn WireTrace>>,
    /// The line that is being written, as the trace will show it.
    line: String,
    failure: Option<Error>,
}

/// What came out of a stream that is deflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inflated {
    /// Nothing that is IMAP, so far.
    NoSense,
    /// IMAP; or it is not deflated.
    Sense,
}

/// A command that was begun and not answered.
struct Pending {
    ticket: Ticket,
    tag: String,
    /// Where in the stream of octets it begins and, once it is complete, ends.
    begin: u64,
    end: Option<u64>,
}

/// A command, to know its answer by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// How a command ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Completion {
    pub(super) status: Status,
    pub(super) code: Option<Code>,
    pub(super) text: String,
}

/// What the server said.
#[derive(Debug)]
pub(super) enum Incoming {
    /// An untagged response.
    Untagged(Response),
    /// An untagged response that cannot be understood; the connection is still in step.
    Unreadable(String),
    /// Go on. What a SASL challenge says does not matter to the mechanisms that we know.
    Continue,
    /// A command has ended.
    Done(Ticket, Completion),
    /// A large body begins; what was said before it.
    BodyStart { head: Bytes, size: u64, literal: LiteralKind },
    /// Some of it.
    BodyChunk(Bytes),
    /// It has ended; the response that held it follows.
    BodyEnd,
}

/// What came back for one of several commands.
#[derive(Debug)]
pub(super) enum Reply {
    /// An untagged response, while this command was the oldest one unanswered.
    Untagged(Response),
    /// The same, but it cannot be understood.
    Unreadable(String),
    /// The end of the command.
    Done(Completion),
}

/// Whether a literal may follow.
#[derive(Debug)]
pub(super) enum Go {
    /// It may.
    Ahead,
    /// The command is over already.
    Over(Completion),
}

impl Connection {
    /// Begins a conversation; nothing has been said yet.
    pub(super) fn new(transport: Transport, patience: Duration, trace: Option<Arc<dyn WireTrace>>) -> Connection {
        Connection {
            transport,
            framer: Framer::new(),
            outbox: BytesMut::new(),
            queued: 0,
            written: 0,
            unflushed: false,
            write_failed: false,
            tags: Tags::new(),
            pending: VecDeque::new(),
            early: VecDeque::new(),
            early_octets: 0,
            awaits_go: false,
            leaving: false,
            pause: None,
            rested: Duration::ZERO,
            heeds_alerts: false,
            patience,
            before: Traffic::default(),
            turns: 0,
            spoke: false,
            inflated: Inflated::Sense,
            trace,
            line: String::new(),
            failure: None,
        }
    }

    /// What has gone over the wire so far, less what TLS adds; deflated, where it is.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            bytes_sent: self.before.bytes_sent + self.transport.wire.sent(),
            bytes_received: self.before.bytes_received + self.transport.wire.received(),
            turns: self.before.turns + self.turns,
        }
    }

    /// Whether the octets can be read on their way.
    pub(super) fn privacy(&self) -> Privacy {
        self.transport.privacy
    }

    /// Gives the stream back to be encrypted. Fatal where the server has said more than it was asked: it would be taken
    /// for said under protection (RFC 9051 §6.2.1).
    pub(super) fn into_transport(mut self) -> Result<(Transport, Traffic), Error> {
        if !self.framer.is_idle() || !self.early.is_empty() || !self.pending.is_empty() || !self.outbox.is_empty() {
            let text = "the server sent more behind its answer to STARTTLS; this is how an attacker would speak for it";
            return Err(self.fail(Error::side(Cause::Tls, text).for_good()));
        }
        let traffic = self.traffic();
        Ok((self.transport, traffic))
    }

    /// Goes on counting from there.
    pub(super) fn continue_from(&mut self, traffic: Traffic) {
        self.before = traffic;
    }

    /// From here on, right behind the OK to COMPRESS, everything is deflated. Nobody logs in any more, so that no secret
    /// ever shares a window with mail.
    pub(super) fn compress(&mut self) -> Result<(), Error> {
        self.ensure_idle()?;
        let received = self.framer.take_rest();
        self.transport.wire.deflate(received);
        self.inflated = Inflated::NoSense;
        Ok(())
    }

    /// From here on, what the server wants to be shown to people is shown: the connection is as private as it must be.
    pub(super) fn heed_alerts(&mut self) {
        self.heeds_alerts = true;
    }

    /// To be called before a verb begins: fails where an earlier one was broken off, as its answers are still to come.
    pub(super) fn ensure_idle(&mut self) -> Result<(), Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if !self.pending.is_empty() || self.awaits_go {
            return Err(self.fail(Error::side(Cause::ConnectionLost, "the operation before this one was broken off")));
        }
        self.early.clear();
        self.early_octets = 0;
        Ok(())
    }

    /// Whether the server has asked for a pause, by refusing something meanwhile.
    pub(super) fn is_asked_to_wait(&self) -> bool {
        self.pause.is_some()
    }

    /// Waits as long as the server has asked for, if it has, and as long as there is patience left.
    pub(super) async fn rest(&mut self) {
        let Some(until) = self.pause.take() else { return };
        let left = REST_LIMIT.saturating_sub(self.rested);
        let pause = until.saturating_duration_since(Instant::now()).min(left);
        if pause.is_zero() {
            return;
        }
        tracing::warn!("the server asks for a pause; it gets {} s", pause.as_secs_f32().ceil());
        self.rested += pause;
        sleep(pause).await;
    }

    /// Queues a command of one line.
    pub(super) fn queue(&mut self, line: &str) -> Ticket {
        let ticket = self.begin();
        self.text(line);
        self.end(ticket);
        ticket
    }

    /// Sends a command of one line and hands every untagged response to `take` until it has ended.
    pub(super) async fn run(&mut self, line: &str, mut take: impl FnMut(Response) + Send) -> Result<Completion, Error> {
        let ticket = self.queue(line);
        self.answer(ticket, |incoming| {
            if let Incoming::Untagged(response) = incoming {
                take(response);
            }
        })
        .await
    }

    /// Waits until a command has ended and hands all else to `take`.
    pub(super) async fn answer(
        &mut self,
        ticket: Ticket,
        mut take: impl FnMut(Incoming) + Send,
    ) -> Result<Completion, Error> {
        loop {
            match self.receive().await? {
                Incoming::Done(other, completion) if other == ticket => return Ok(completion),
                incoming => take(incoming),
            }
        }
    }

    /// Sends commands of one line each, a window ahead, and hands what comes back to `take` with the index of the
    /// command that it came for.
    pub(super) async fn flight(
        &mut self,
        commands: Vec<String>,
        mut take: impl FnMut(usize, Reply) + Send,
    ) -> Result<(), Error> {
        let mut flight = Flight::new(commands);
        while let Some((index, incoming)) = flight.next(self).await? {
            match incoming {
                Incoming::Done(_, completion) => take(index, Reply::Done(completion)),
                Incoming::Untagged(response) => take(index, Reply::Untagged(response)),
                Incoming::Unreadable(reason) => take(index, Reply::Unreadable(reason)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What the server says next.
    pub(super) async fn receive(&mut self) -> Result<Incoming, Error> {
        match self.early.pop_front() {
            Some((octets, incoming)) => {
                self.early_octets -= octets;
                Ok(incoming)
            }
            None => self.receive_fresh().await,
        }
    }

    /// Begins a command: the tag and a blank.
    pub(super) fn begin(&mut self) -> Ticket {
        let (ticket, tag) = self.tags.next();
        self.pending.push_back(Pending { ticket, tag: tag.clone(), begin: self.queued, end: None });
        self.text(&tag);
        self.text(" ");
        ticket
    }

    /// Part of a command.
    pub(super) fn text(&mut self, text: &str) {
        self.put(text.as_bytes());
        self.show(text);
    }

    /// Part of a command that no trace shows.
    pub(super) fn secret(&mut self, text: &str) {
        self.put(text.as_bytes());
        self.show("***");
    }

    /// Ends a command.
    pub(super) fn end(&mut self, ticket: Ticket) {
        self.put(b"\r\n");
        self.show_line();
        let end = self.queued;
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.ticket == ticket) {
            pending.end = Some(end);
        }
    }

    /// A line that is no command: the answer to a SASL challenge.
    pub(super) fn secret_line(&mut self, text: &str) {
        self.secret(text);
        self.put(b"\r\n");
        self.show_line();
    }

    /// Announces a literal and, unless it may follow at once, waits until the server wants it.
    pub(super) async fn announce(
        &mut self,
        ticket: Ticket,
        kind: LiteralKind,
        size: u64,
        literals: Literals,
    ) -> Result<Go, Error> {
        let tilde = match kind {
            LiteralKind::Text => "",
            LiteralKind::Binary => "~",
        };
        let runs_on = literals.may_run_on(size);
        self.text(&format!("{tilde}{{{size}{}}}", if runs_on { "+" } else { "" }));
        self.put(b"\r\n");
        self.show_line();
        if runs_on { Ok(Go::Ahead) } else { self.await_go(ticket).await }
    }

    /// Waits for `+`. Other commands' answers that come meanwhile are kept.
    pub(super) async fn await_go(&mut self, ticket: Ticket) -> Result<Go, Error> {
        self.awaits_go = true;
        loop {
            let over = |(_, incoming): &(usize, Incoming)| matches!(incoming, Incoming::Done(t, _) if *t == ticket);
            if let Some(at) = self.early.iter().position(over)
                && let Some((_, Incoming::Done(_, completion))) = self.early.remove(at)
            {
                self.awaits_go = false;
                return Ok(Go::Over(completion));
            }
            match self.receive_fresh().await? {
                Incoming::Continue => return Ok(Go::Ahead),
                incoming => self.keep(0, incoming)?,
            }
        }
    }

    /// Octets of a literal. Waits while there is too much to be written; what the server says meanwhile is kept.
    pub(super) async fn octets(&mut self, octets: &[u8]) -> Result<(), Error> {
        for part in octets.chunks(OUTBOX_LIMIT) {
            self.put(part);
            while self.outbox.len() >= OUTBOX_LIMIT {
                self.exchange().await?;
                self.keep_events()?;
            }
        }
        Ok(())
    }

    /// Says goodbye and waits, for a while, until the server has hung up.
    pub(super) async fn leave(&mut self, patience: Duration) {
        self.leaving = true;
        if self.ensure_idle().is_ok() {
            let _ = timeout(patience, self.run("LOGOUT", |_| {})).await;
            if let Some(tunnel) = self.transport.tunnel.as_mut() {
                tunnel.ended_within(patience).await;
            }
        }
        self.failure.get_or_insert_with(|| Error::side(Cause::ConnectionLost, "the session was closed"));
    }

    /// Closes the connection in the middle of something that cannot be taken back otherwise.
    pub(super) fn fail(&mut self, error: Error) -> Error {
        let failure = match self.inflated {
            Inflated::NoSense => Error { text: format!("{}{WITHOUT_COMPRESSION}", error.text), ..error },
            Inflated::Sense => error,
        };
        self.failure.get_or_insert(failure).clone()
    }

    async fn receive_fresh(&mut self) -> Result<Incoming, Error> {
        loop {
            if let Some((_, incoming)) = self.next_event()? {
                return Ok(incoming);
            }
            self.exchange().await?;
        }
    }

    fn keep_events(&mut self) -> Result<(), Error> {
        while let Some((octets, incoming)) = self.next_event()? {
            self.keep(octets, incoming)?;
        }
        Ok(())
    }

    fn keep(&mut self, octets: usize, incoming: Incoming) -> Result<(), Error> {
        self.early_octets += octets;
        self.early.push_back((octets, incoming));
        match self.early_octets > EARLY_LIMIT {
            true => Err(self.fail(Error::side(Cause::Limit, "the server said too much while we were still speaking"))),
            false => Ok(()),
        }
    }

    fn next_event(&mut self) -> Result<Option<(usize, Incoming)>, Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let event = self.framer.next().map_err(|error| self.fail(Error::side(Cause::Limit, error.to_string())))?;
        Ok(match event {
            None => None,
            Some(Event::Frame(frame)) => Some((frame.octets.len(), self.understand(&frame)?)),
            Some(Event::BodyStart { head, size, literal }) => Some((0, Incoming::BodyStart { head, size, literal })),
            Some(Event::BodyChunk(octets)) => Some((octets.len(), Incoming::BodyChunk(octets))),
            Some(Event::BodyEnd) => Some((0, Incoming::BodyEnd)),
        })
    }

    fn understand(&mut self, frame: &Frame) -> Result<Incoming, Error> {
        let response = parse(frame);
        if response.is_ok() {
            self.inflated = Inflated::Sense;
        }
        self.show_received(frame, response.as_ref().ok());
        if let Ok(Response::Tagged { code: Some(code), text, .. } | Response::Untagged { code: Some(code), text, .. }) =
            &response
            && self.heeds_alerts
            && code.is("ALERT")
        {
            tracing::warn!(target: "interimap::alert", "the server says: {}", words(text));
        }
        match response {
            Ok(Response::Tagged { tag, status, code, text }) => self.settle(&tag, Completion { status, code, text }),
            Ok(Response::Continue(_)) => {
                if !self.awaits_go || !self.outbox.is_empty() {
                    let text = "the server asked for more of a command where there is no more";
                    return Err(self.fail(Error::side(Cause::Protocol, text)));
                }
                self.awaits_go = false;
                Ok(Incoming::Continue)
            }
            Ok(Response::Untagged { status: UntaggedStatus::Bye, text, .. }) if !self.leaving => {
                let after = if self.is_asked_to_wait() { " after it had asked for a pause" } else { "" };
                let text = format!("the server closed the connection{after}: {}", words(&text));
                Err(self.fail(Error::side(Cause::ConnectionLost, text)))
            }
            Ok(response) => Ok(Incoming::Untagged(response)),
            Err(error) if frame.octets.starts_with(b"* ") => Ok(Incoming::Unreadable(error.to_string())),
            Err(_) => {
                let mut text = "the server sent something that is no response of IMAP".to_owned();
                // A shell's words in a tunnel, mostly. Later it could be our own words sent back, a password among them.
                if self.written == 0 {
                    text.push_str(&format!(": {}", words(&String::from_utf8_lossy(&frame.octets))));
                }
                Err(self.fail(Error::side(Cause::Protocol, text)))
            }
        }
    }

    /// A tagged response counts only for a command that the server can know: all of it for OK, its beginning for a
    /// refusal (RFC 7888 §4).
    fn settle(&mut self, tag: &str, completion: Completion) -> Result<Incoming, Error> {
        let known = self.pending.iter().position(|pending| {
            let needed = if completion.status == Status::Ok { pending.end } else { Some(pending.begin + 1) };
            pending.tag == tag && needed.is_some_and(|needed| needed <= self.written)
        });
        match known.and_then(|at| self.pending.remove(at)) {
            Some(pending) => {
                let pause = completion.backoff().map(|pause| Instant::now() + pause);
                self.pause = self.pause.max(pause);
                Ok(Incoming::Done(pending.ticket, completion))
            }
            None => {
                let text = "the server answered a command that it has not been sent";
                Err(self.fail(Error::side(Cause::Protocol, text)))
            }
        }
    }

    /// Moves octets, in either direction or both; at least one, within the time-out.
    async fn exchange(&mut self) -> Result<(), Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let moved = timeout(self.patience, poll_fn(|context| self.poll_exchange(context))).await;
        let error = match moved {
            Ok(Ok(Moved::Octets)) => return Ok(()),
            Ok(Err(Broken::Garbled)) => {
                self.inflated = Inflated::NoSense;
                Error::side(Cause::Protocol, "what the server sends cannot be inflated")
            }
            Ok(Ok(Moved::End)) | Ok(Err(Broken::Stream)) => match self.transport.tunnel.as_mut() {
                Some(tunnel) => tunnel.obituary().await,
                None => Error::side(Cause::ConnectionLost, "the connection was lost"),
            },
            Err(_) => {
                let text = format!("the server said nothing for {} s", self.patience.as_secs_f32());
                Error::side(Cause::TimedOut, text)
            }
        };
        Err(self.fail(error))
    }

    fn poll_exchange(&mut self, context: &mut Context<'_>) -> Poll<Result<Moved, Broken>> {
        let wrote = self.poll_outbox(context);
        let mut room = ReadBuf::new(self.framer.space());
        match self.transport.wire.poll_read(context, &mut room) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if wrote => return Poll::Ready(Ok(Moved::Octets)),
            Poll::Pending => return Poll::Pending,
        }
        let octets = room.filled().len();
        self.framer.filled(octets);
        if octets == 0 {
            return Poll::Ready(Ok(Moved::End));
        }
        if std::mem::take(&mut self.spoke) {
            self.turns += 1;
        }
        Poll::Ready(Ok(Moved::Octets))
    }

    /// Writes what can be written. A peer that does not listen any more may have said why: that is for the reader.
    fn poll_outbox(&mut self, context: &mut Context<'_>) -> bool {
        let before = self.written;
        while !self.outbox.is_empty() {
            match self.transport.wire.poll_write(context, &self.outbox) {
                Poll::Ready(Ok(octets)) if octets > 0 && !self.write_failed => {
                    self.outbox.advance(octets);
                    self.written += octets as u64;
                    self.unflushed = true;
                }
                Poll::Ready(_) => {
                    self.write_failed = true;
                    self.outbox.clear();
                }
                Poll::Pending => break,
            }
        }
        if self.unflushed && self.outbox.is_empty() && self.transport.wire.poll_flush(context).is_ready() {
            self.unflushed = false;
        }
        self.spoke |= self.written > before;
        self.written > before
    }

    fn put(&mut self, octets: &[u8]) {
        self.outbox.extend_from_slice(octets);
        self.queued += octets.len() as u64;
    }

    fn show(&mut self, text: &str) {
        if self.trace.is_some() {
            self.line.push_str(text);
        }
    }

    fn show_line(&mut self) {
        if let Some(trace) = &self.trace {
            trace.line(Speaker::Client, &printable(self.line.as_bytes()));
            self.line.clear();
        }
    }

    /// What a trace shows of a response is decided by its type, so that no message text gets there in a form that
    /// nobody thought of.
    fn show_received(&self, frame: &Frame, response: Option<&Response>) {
        let Some(trace) = &self.trace else { return };
        let text = match response {
            Some(Response::Fetch(fetch)) => shown_fetch(fetch),
            Some(Response::Continue(_)) => "+ …".to_owned(),
            Some(Response::Other(keyword)) => format!("* {keyword} …"),
            Some(_) => {
                let mut lines = frame.octets.splitn(2, |octet| *octet == b'\n');
                let line = printable(lines.next().unwrap_or_default().trim_ascii_end());
                if lines.next().is_some() { format!("{line} …") } else { line }
            }
            None => format!("({} octets that cannot be read)", frame.octets.len()),
        };
        trace.line(Speaker::Server, &text);
    }
}

enum Moved {
    Octets,
    End,
}

/// Commands of one line each that are under way together.
#[derive(Default)]
pub(super) struct Flight {
    waiting: VecDeque<String>,
    unanswered: VecDeque<(Ticket, usize)>,
    octets: usize,
    index: usize,
    /// Whether what is unanswered reached the limit: then nothing is sent until half of it is answered, for whoever speaks
    /// a little after every answer makes as many turns as there are commands.
    full: bool,
}

impl Flight {
    /// Nothing is sent yet.
    pub(super) fn new(commands: Vec<String>) -> Flight {
        Flight { waiting: commands.into(), ..Flight::default() }
    }

    /// Adds a command behind the others.
    pub(super) fn push(&mut self, command: String) {
        self.waiting.push_back(command);
    }

    /// Whether another command would be sent at once.
    pub(super) fn has_room(&self) -> bool {
        !self.full && self.octets + self.waiting.iter().map(String::len).sum::<usize>() < WINDOW
    }

    /// What comes back next, with the index of the command that it came for: the oldest one that was unanswered.
    /// `None` when all are answered.
    pub(super) async fn next(&mut self, connection: &mut Connection) -> Result<Option<(usize, Incoming)>, Error> {
        self.send(connection);
        let Some((oldest, length)) = self.unanswered.front().copied() else { return Ok(None) };
        let incoming = connection.receive().await?;
        let index = self.index;
        match incoming {
            Incoming::Done(ticket, _) if ticket == oldest => {
                self.unanswered.pop_front();
                self.octets -= length;
                self.index += 1;
            }
            Incoming::Done(..) => {
                let text = "the server answered commands in another order than they were sent";
                return Err(connection.fail(Error::side(Cause::Protocol, text)));
            }
            _ => {}
        }
        Ok(Some((index, incoming)))
    }

    /// Sends as much as the window holds, and one command in any case.
    fn send(&mut self, connection: &mut Connection) {
        self.full &= self.octets > WINDOW / 2;
        while !self.full
            && let Some(command) = self.waiting.front()
        {
            if self.octets > 0 && self.octets + command.len() > WINDOW {
                self.full = true;
                break;
            }
            self.octets += command.len();
            self.unanswered.push_back((connection.queue(command), command.len()));
            self.waiting.pop_front();
        }
    }
}

fn shown_fetch(fetch: &Fetch) -> String {
    let body = fetch.body.as_ref().map(|body| match body {
        BodyItem::Octets(octets) => format!("BODY[] {{{}}}", octets.len()),
        BodyItem::PassedBy { size, .. } => format!("BODY[] {{{size}}}"),
        BodyItem::Nil => "BODY[] NIL".to_owned(),
    });
    let items = [
        fetch.uid.map(|uid| format!("UID {uid}")),
        fetch.flags.as_ref().map(|flags| format!("FLAGS ({flags})")),
        fetch.modseq.map(|modseq| format!("MODSEQ ({modseq})")),
        fetch.internal_date.map(|date| format!("INTERNALDATE \"{date}\"")),
        fetch.size.map(|size| format!("RFC822.SIZE {size}")),
        fetch.header.as_ref().map(|header| format!("BODY[HEADER] {{{}}}", header.len())),
        body,
    ];
    let items: Vec<String> = items.into_iter().flatten().collect();
    format!("* {} FETCH ({})", fetch.number, items.join(" "))
}

/// Where tags come from: nobody who cannot read what we write knows how they begin.
struct Tags {
    prefix: String,
    last: u64,
}

impl Tags {
    fn new() -> Tags {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let random = RandomState::new().build_hasher().finish();
        let letter = |at: u32| char::from(LETTERS[(random >> (5 * at)) as usize % LETTERS.len()]);
        Tags { prefix: (0..5).map(letter).collect(), last: 0 }
    }

    fn next(&mut self) -> (Ticket, String) {
        self.last += 1;
        (Ticket(self.last), format!("{}{}", self.prefix, self.last))
    }
}
