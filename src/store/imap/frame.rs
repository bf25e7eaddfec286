//! Cuts the octets of a connection into responses. It does no input or output, and knows of IMAP no more than lines,
//! quotes and literals: what a response means is `parse`'s business.
//!
//! ```text
//!  space, filled            next
//!  ───────────────▶ buffer ───────▶ skeleton and kept literals ───────▶ Event::Frame
//!                          └──────▶ the octets of a large BODY[] ─────▶ BodyStart, BodyChunk …, BodyEnd
//! ```
//!
//! Every octet is looked at once, whatever the pieces in which it arrives. Memory grows with the octets received, never
//! with those announced, and is given back after a large response. All state is in the [`Framer`], so that a read may
//! be given up at any point without losing half a line.

use bytes::Bytes;
use memchr::{memchr, memrchr};

use super::response::LiteralKind;
use crate::store::Body;

/// Most octets of one response without its literals. The longest that we ask for is a FETCH with all its flags, or a
/// COPYUID of many holes.
pub const LINE_LIMIT: usize = 1024 * 1024;

/// The same for SEARCH, ESEARCH, SORT and VANISHED, which list UIDs: a server without ESEARCH answers with three
/// million UIDs of ten digits in so much, and a hostile one cannot make us hold more.
pub const NUMBERS_LIMIT: usize = 32 * 1024 * 1024;

/// Most octets of one literal outside of FETCH: names of mailboxes, values of ID.
pub const LITERAL_LIMIT: u64 = 64 * 1024;

/// Most octets of one literal of a FETCH that is not BODY[]: a header. Ten thousand recipients fit.
pub const HEADER_LIMIT: u64 = 4 * 1024 * 1024;

/// Most octets of all kept literals of one response together.
pub const KEPT_LIMIT: u64 = 8 * 1024 * 1024;

/// Most literals of one response.
pub const LITERALS_LIMIT: usize = 1024;

/// Most octets of a message that passes by. IMAP4rev1 cannot announce more than 4 GiB; IMAP4rev2 can.
pub const MESSAGE_LIMIT: u64 = 16 * 1024 * 1024 * 1024;

/// Most octets of one [`Event::BodyChunk`].
pub const CHUNK_LIMIT: usize = 64 * 1024;

/// The room for reading on a connection that says little.
const ROOM: usize = 16 * 1024;

/// The room for reading on a connection that fills [`ROOM`].
const WIDE_ROOM: usize = 64 * 1024;

/// Most NULs before one response (`quirks`: nul-padding).
const PADDING_LIMIT: usize = 64 * 1024;

/// How much of a response is looked at to tell its kind. Servers that want to keep a connection alive put blanks behind
/// the `*` (`quirks`: blanks-to-keep-alive).
const KIND_WINDOW: usize = 256;

/// What the framer found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One complete response.
    Frame(Frame),
    /// The octets of a BODY[] of more than [`Body::WHOLE_LIMIT`] are about to pass by.
    BodyStart {
        /// The response so far, up to and without the announcement (`{n}`, `~{n}`).
        head: Bytes,
        /// How many octets were announced.
        size: u64,
        /// How they were announced.
        literal: LiteralKind,
    },
    /// Some of them: 1 to [`CHUNK_LIMIT`].
    BodyChunk(Bytes),
    /// They were all of them. The rest of the response follows as [`Event::Frame`].
    BodyEnd,
}

/// One complete response, without the CRLF at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The lines, and the literals between them, as received.
    pub octets: Bytes,
    /// The literal whose octets went past and are missing in `octets`.
    pub passed: Option<Passed>,
}

/// Where a literal's octets are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The offset at which they would stand: directly behind `{n}` and its line end.
    pub at: usize,
    /// How many there were.
    pub size: u64,
    /// How they were announced.
    pub literal: LiteralKind,
}

/// Why the framer gave up. The connection is out of step then and must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// See [`LINE_LIMIT`] and [`NUMBERS_LIMIT`].
    #[error("the server sent a response line of more than {limit} octets")]
    LineTooLong {
        /// The limit of that kind of response.
        limit: usize,
    },
    /// See [`PADDING_LIMIT`].
    #[error("the server sent more than {PADDING_LIMIT} NULs before a response")]
    TooMuchPadding,
    /// See [`LITERAL_LIMIT`] and [`HEADER_LIMIT`].
    #[error("the server announced a literal of {size} octets where at most {limit} are read")]
    LiteralTooLarge {
        /// What was announced.
        size: u64,
        /// The limit at that place.
        limit: u64,
    },
    /// See [`KEPT_LIMIT`].
    #[error("the server sent literals of more than {KEPT_LIMIT} octets in one response")]
    TooMuchKept,
    /// See [`LITERALS_LIMIT`].
    #[error("the server sent more than {LITERALS_LIMIT} literals in one response")]
    TooManyLiterals,
    /// See [`MESSAGE_LIMIT`].
    #[error("the server announced a message of {size} octets; at most {MESSAGE_LIMIT} are read")]
    MessageTooLarge {
        /// What was announced.
        size: u64,
    },
    /// Two bodies too large to be kept in one response.
    #[error("the server sent two large message bodies in one response")]
    SecondBody,
    /// What looks like the announcement of a literal is none that can be relied on: `{-1}`, `{ 5}`, `a{5}`.
    #[error("the server announced a literal in a form that cannot be relied on")]
    Announcement,
}

/// Cuts octets into responses.
#[derive(Debug, Default)]
pub struct Framer {
    /// Octets received and not yet looked at are `buffer[taken..received]`; what is behind is room for more.
    buffer: Vec<u8>,
    taken: usize,
    received: usize,
    /// Whether the last read filled all the room it was given.
    hungry: bool,
    /// The response so far.
    response: Vec<u8>,
    /// How many NULs stood before the response.
    padding: usize,
    /// Where in `response` the line begins that is being read: 0, or behind a literal.
    line: usize,
    /// How many octets of `response` are those of literals.
    kept: usize,
    /// How many literals the response holds so far.
    literals: usize,
    passed: Option<Passed>,
    place: Place,
    failure: Option<FrameError>,
    /// How many octets were looked at or moved, for the tests that hold the work linear.
    #[cfg(test)]
    work: usize,
}

/// What the next octet belongs to.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// A line.
    #[default]
    Line,
    /// A literal that is kept, of which so many octets are missing.
    Kept { missing: usize },
    /// A literal that passes by, of which so many octets are missing.
    Passing { missing: u64 },
}

impl Framer {
    /// A framer that has seen nothing.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Room to read into: initialised and never empty. Call [`Framer::next`] until it asks for input before asking for
    /// room again; otherwise the room grows with what is received.
    pub fn space(&mut self) -> &mut [u8] {
        if self.taken == self.received {
            (self.taken, self.received) = (0, 0);
            let room = match (self.hungry, self.is_idle()) {
                (true, _) => WIDE_ROOM,
                (false, true) => ROOM,
                (false, false) => self.buffer.len().clamp(ROOM, WIDE_ROOM),
            };
            if self.buffer.len() != room {
                self.buffer = vec![0; room];
            }
        } else if self.received == self.buffer.len() {
            self.buffer.copy_within(self.taken.., 0);
            (self.taken, self.received) = (0, self.received - self.taken);
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        &mut self.buffer[self.received..]
    }

    /// Says that so many octets were read into [`Framer::space`].
    pub fn filled(&mut self, octets: usize) {
        debug_assert!(octets <= self.buffer.len() - self.received, "more was read than there was room");
        self.received = self.received.saturating_add(octets).min(self.buffer.len());
        self.hungry = self.received == self.buffer.len();
    }

    /// The next event, or `None` where more input is needed. After an error, the same error for ever.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end where this asks for input")]
    pub fn next(&mut self) -> Result<Option<Event>, FrameError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let event = self.advance();
        if let Err(failure) = event {
            *self = Framer { failure: Some(failure), ..Framer::default() };
        }
        event
    }

    /// Whether nothing is buffered and no response has begun: after STARTTLS' OK, anything else is an injection.
    pub fn is_idle(&self) -> bool {
        let nothing_buffered = self.taken == self.received && self.padding == 0;
        nothing_buffered && self.response.is_empty() && matches!(self.place, Place::Line)
    }

    /// Takes away what is buffered and not looked at yet: behind the OK to COMPRESS, it is no text any more.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.get(self.taken..self.received).unwrap_or_default().to_vec();
        self.taken = self.received;
        rest
    }

    fn advance(&mut self) -> Result<Option<Event>, FrameError> {
        loop {
            if let Place::Passing { missing: 0 } = self.place {
                self.place = Place::Line;
                return Ok(Some(Event::BodyEnd));
            }
            let fresh = self.buffer.get(self.taken..self.received).unwrap_or_default();
            if fresh.is_empty() {
                return Ok(None);
            }
            match self.place {
                Place::Line if self.response.is_empty() && fresh.starts_with(b"\0") => {
                    let padding = fresh.iter().take_while(|octet| **octet == 0).count();
                    self.taken += padding;
                    self.padding += padding;
                    if self.padding > PADDING_LIMIT {
                        return Err(FrameError::TooMuchPadding);
                    }
                }
                Place::Line => {
                    let end = memchr(b'\n', fresh).map(|at| at + 1);
                    let part = end.map_or(fresh, |end| &fresh[..end]);
                    let length = part.len();
                    self.response.extend_from_slice(part);
                    self.taken += length;
                    #[cfg(test)]
                    {
                        self.work += length;
                    }
                    self.check_length()?;
                    if end.is_some()
                        && let Some(event) = self.end_line()?
                    {
                        return Ok(Some(event));
                    }
                }
                Place::Kept { missing } => {
                    let part = &fresh[..missing.min(fresh.len())];
                    let length = part.len();
                    self.response.extend_from_slice(part);
                    self.taken += length;
                    self.kept += length;
                    #[cfg(test)]
                    {
                        self.work += length;
                    }
                    self.place = match missing - length {
                        0 => Place::Line,
                        missing => Place::Kept { missing },
                    };
                    self.line = self.response.len();
                }
                Place::Passing { missing } => {
                    let most = usize::try_from(missing).unwrap_or(CHUNK_LIMIT).min(CHUNK_LIMIT);
                    let part = &fresh[..most.min(fresh.len())];
                    self.place = Place::Passing { missing: missing - part.len() as u64 };
                    self.taken += part.len();
                    return Ok(Some(Event::BodyChunk(Bytes::copy_from_slice(part))));
                }
            }
        }
    }

    fn check_length(&self) -> Result<(), FrameError> {
        let skeleton = self.response.len() - self.kept;
        if skeleton <= LINE_LIMIT {
            return Ok(());
        }
        match Kind::of(&self.response) {
            Kind::Numbers if skeleton <= NUMBERS_LIMIT => Ok(()),
            Kind::Numbers => Err(FrameError::LineTooLong { limit: NUMBERS_LIMIT }),
            _ => Err(FrameError::LineTooLong { limit: LINE_LIMIT }),
        }
    }

    /// A line is complete: it ends the response, or a literal follows.
    fn end_line(&mut self) -> Result<Option<Event>, FrameError> {
        let line = self.response.get(self.line..).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        #[cfg(test)]
        {
            self.work += line.len() + KIND_WINDOW;
        }
        let kind = Kind::of(&self.response);
        let Some(announced) = kind.announcement(line)? else {
            let end = self.line + line.len();
            return Ok(Some(self.end_response(end)));
        };
        let (before, size) = (line.get(..announced.at).unwrap_or_default(), announced.size);
        self.literals += 1;
        if self.literals > LITERALS_LIMIT {
            return Err(FrameError::TooManyLiterals);
        }
        if kind == Kind::Fetch && ends_in_body(before) && size > Body::WHOLE_LIMIT {
            if size > MESSAGE_LIMIT {
                return Err(FrameError::MessageTooLarge { size });
            }
            if self.passed.is_some() {
                return Err(FrameError::SecondBody);
            }
            let head = Bytes::copy_from_slice(&self.response[..self.line + announced.at]);
            self.line = self.response.len();
            self.passed = Some(Passed { at: self.line, size, literal: announced.literal });
            self.place = Place::Passing { missing: size };
            return Ok(Some(Event::BodyStart { head, size, literal: announced.literal }));
        }
        let limit = if kind == Kind::Fetch { HEADER_LIMIT } else { LITERAL_LIMIT };
        if size > limit {
            return Err(FrameError::LiteralTooLarge { size, limit });
        }
        if self.kept as u64 + size > KEPT_LIMIT {
            return Err(FrameError::TooMuchKept);
        }
        self.line = self.response.len();
        if size > 0 {
            self.place = Place::Kept { missing: usize::try_from(size).map_err(|_| FrameError::TooMuchKept)? };
        }
        Ok(None)
    }

    /// Hands the response over. A small one is copied, so that the next one finds the memory; a large one takes its
    /// memory along.
    fn end_response(&mut self, end: usize) -> Event {
        self.response.truncate(end);
        let octets = match self.response.capacity() <= ROOM {
            true => {
                let octets = Bytes::copy_from_slice(&self.response);
                self.response.clear();
                octets
            }
            false => {
                self.response.shrink_to_fit();
                Bytes::from(std::mem::take(&mut self.response))
            }
        };
        (self.padding, self.line, self.kept, self.literals) = (0, 0, 0, 0);
        Event::Frame(Frame { octets, passed: self.passed.take() })
    }
}

/// What the first words of a response say about the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A continuation, a tagged or an untagged status line: text for people, in which `{5}` means nothing. A server
    /// that repeats a mailbox's name there must not make us swallow what follows.
    Text,
    /// `* n FETCH`
    Fetch,
    /// A response that lists numbers.
    Numbers,
    /// Any other.
    Data,
}

impl Kind {
    fn of(response: &[u8]) -> Kind {
        let window = response.get(..KIND_WINDOW).unwrap_or(response);
        let Some(data) = window.strip_prefix(b"* ") else { return Kind::Text };
        let mut words = data.split(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let word = words.next().unwrap_or_default();
        let is_one_of = |names: &[&[u8]]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
        if is_one_of(&[b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"]) || word.starts_with(b"[") {
            Kind::Text
        } else if is_one_of(&[b"SEARCH", b"ESEARCH", b"SORT", b"VANISHED"]) {
            Kind::Numbers
        } else if word.iter().all(u8::is_ascii_digit)
            && words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"FETCH"))
        {
            Kind::Fetch
        } else {
            Kind::Data
        }
    }

    /// The announcement of a literal at the end of a line (RFC 9051 §4.3, RFC 3516 §4.1), outside of quotes:
    /// `literal = "{" number ["+"] "}" CRLF`, `literal8 = "~{" number ["+"] "}" CRLF`.
    fn announcement(self, line: &[u8]) -> Result<Option<Announcement>, FrameError> {
        if self == Kind::Text {
            return Ok(None);
        }
        let Some(inner) = line.strip_suffix(b"}") else { return Ok(None) };
        let Some(brace) = memrchr(b'{', inner) else { return Ok(None) };
        let (before, number) = (&inner[..brace], &inner[brace + 1..]);
        let looks_like_one = number.iter().all(|octet| octet.is_ascii_digit() || b"+- ".contains(octet));
        if !looks_like_one || ends_in_quotes(before) {
            return Ok(None);
        }
        let (before, literal) = match before.strip_suffix(b"~") {
            Some(before) => (before, LiteralKind::Binary),
            None => (before, LiteralKind::Text),
        };
        let size = octets(number.strip_suffix(b"+").unwrap_or(number)).ok_or(FrameError::Announcement)?;
        match before.last() {
            None | Some(b' ' | b'(') => Ok(Some(Announcement { at: before.len(), size, literal })),
            Some(_) => Err(FrameError::Announcement),
        }
    }
}

/// A literal to come.
struct Announcement {
    /// Where in its line it is announced.
    at: usize,
    size: u64,
    literal: LiteralKind,
}

/// A number of octets; those that no u64 holds are more than any limit.
fn octets(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| {
        digits.iter().fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// Whether a quoted string is still open at the end. A quoted string never spans lines (RFC 9051 §9).
fn ends_in_quotes(line: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for octet in line {
        match (quoted, escaped, octet) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

/// Whether a literal announced here is a whole message.
fn ends_in_body(line: &[u8]) -> bool {
    const ITEM: &[u8] = b"BODY[]";
    let line = line.trim_ascii_end();
    let Some(at) = line.len().checked_sub(ITEM.len()) else { return false };
    let (before, item) = line.split_at(at);
    item.eq_ignore_ascii_case(ITEM) && matches!(before.last(), None | Some(b' ' | b'('))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes of `input` if it arrives in pieces of these sizes, over and over; chunks of one body are joined.
    fn cut(input: &[u8], pieces: &[usize]) -> (Vec<Event>, Option<FrameError>, Framer) {
        let mut framer = Framer::new();
        let mut events = Vec::new();
        let mut rest = input;
        let mut sizes = pieces.iter().copied().cycle();
        loop {
            match framer.next() {
                Ok(Some(event)) => push(&mut events, event),
                Ok(None) if rest.is_empty() => return (events, None, framer),
                Ok(None) => {
                    let space = framer.space();
                    assert!(!space.is_empty());
                    let size = sizes.next().unwrap_or(1).clamp(1, space.len().min(rest.len()));
                    space[..size].copy_from_slice(&rest[..size]);
                    rest = &rest[size..];
                    framer.filled(size);
                }
                Err(error) => return (events, Some(error), framer),
            }
        }
    }

    fn push(events: &mut Vec<Event>, event: Event) {
        if let Event::BodyChunk(octets) = &event {
            assert!((1..=CHUNK_LIMIT).contains(&octets.len()));
            if let Some(Event::BodyChunk(before)) = events.last_mut() {
                *before = [&before[..], &octets[..]].concat().into();
                return;
            }
        }
        events.push(event);
    }

    fn whole(input: &[u8]) -> (Vec<Event>, Option<FrameError>) {
        let (events, error, _) = cut(input, &[usize::MAX]);
        (events, error)
    }

    fn frame(octets: impl AsRef<[u8]>) -> Event {
        Event::Frame(Frame { octets: Bytes::copy_from_slice(octets.as_ref()), passed: None })
    }

    #[test]
    fn responses_end_where_their_lines_end() {
        for (input, frames) in [
            (&b"* OK hi\r\nA1 OK done\r\n"[..], &[&b"* OK hi"[..], b"A1 OK done"][..]),
            (b"* OK bare\n\r\n\n+ \r\n+\n", &[b"* OK bare", b"", b"", b"+ ", b"+"]),
            (b"* 1 FETCH (BODY[] {5}\r\nab\r\nc)\r\n", &[b"* 1 FETCH (BODY[] {5}\r\nab\r\nc)"]),
            (b"* 1 FETCH (BODY[] {5}\nab\r\nc)\n", &[b"* 1 FETCH (BODY[] {5}\nab\r\nc)"]),
            (b"* 1 fetch (BODY[] ~{3+}\r\n\r\n\0)\r\n", &[b"* 1 fetch (BODY[] ~{3+}\r\n\r\n\0)"]),
            (b"* 1 FETCH (BODY[] {0}\r\n)\r\n", &[b"* 1 FETCH (BODY[] {0}\r\n)"]),
            (b"* LIST () \"/\" {3}\r\na\r\n\r\n", &[b"* LIST () \"/\" {3}\r\na\r\n"]),
            (b"* LIST () \"/\" {00003}\r\na{5\r\n", &[b"* LIST () \"/\" {00003}\r\na{5"]),
            (b"* STATUS {1+}\r\na (MESSAGES 3)\r\n", &[b"* STATUS {1+}\r\na (MESSAGES 3)"]),
            (b"* ID ({4}\r\nname {1}\r\nx)\r\n", &[b"* ID ({4}\r\nname {1}\r\nx)"]),
            (b"* LIST () \"\\\\\" {1}\r\n\n\r\n", &[b"* LIST () \"\\\\\" {1}\r\n\n"]),
            (b"* 1 FETCH (X {1}\r\n\" BODY[] {1}\r\n\n)\r\n", &[b"* 1 FETCH (X {1}\r\n\" BODY[] {1}\r\n\n)"]),
            (b"* X {0}\r\n{0}\r\n{1}\r\n\n\r\n", &[b"* X {0}\r\n{0}\r\n{1}\r\n\n"]),
        ] {
            let expected: Vec<Event> = frames.iter().map(frame).collect();
            assert_eq!(whole(input), (expected, None), "{}", input.escape_ascii());
        }
    }

    /// The names are those of `quirks`.
    #[test]
    fn odd_lines_of_real_servers_are_lines() {
        for (name, input, expected) in [
            (
                "line-feed-only",
                &b"* OK ready\n+\n* 1 FETCH (BODY[] {3}\na\nb)\nA1 OK\n"[..],
                &[&b"* OK ready"[..], b"+", b"* 1 FETCH (BODY[] {3}\na\nb)", b"A1 OK"][..],
            ),
            (
                "nul-padding",
                b"\0\0* OK a\0b\r\n\0\0\0\0* 1 FETCH (BODY[] {3}\r\n\0\0c)\r\n\0+ \r\n\0\0",
                &[b"* OK a\0b", b"* 1 FETCH (BODY[] {3}\r\n\0\0c)", b"+ "],
            ),
            ("code-without-ok", b"* [COPYUID 7 1 {5}\r\n* 1 EXISTS\r\n", &[b"* [COPYUID 7 1 {5}", b"* 1 EXISTS"]),
            ("empty-continuation", b"+\r\n+ \r\n", &[b"+", b"+ "]),
        ] {
            for piece in [1, 2, 3, usize::MAX] {
                let (events, error, _) = cut(input, &[piece]);
                let found: Vec<&[u8]> = events
                    .iter()
                    .map(|event| match event {
                        Event::Frame(frame) => frame.octets.as_ref(),
                        event => panic!("{name}: {event:?}"),
                    })
                    .collect();
                assert_eq!((found.as_slice(), error), (expected, None), "{name}");
            }
        }
        let blanks = " ".repeat(100);
        let (events, error, _) = cut(format!("*{blanks}3 FETCH (BODY[] {{300000}}\r\n").as_bytes(), &[7]);
        assert!(
            matches!(events.as_slice(), [Event::BodyStart { size: 300_000, .. }]),
            "blanks-to-keep-alive: {error:?}"
        );
    }

    #[test]
    fn padding_is_bounded_and_makes_no_framer_idle() {
        let padded = |padding: usize| cut(&[&vec![0; padding][..], b"* OK\r\n"].concat(), &[4096]);
        assert!(matches!(padded(PADDING_LIMIT), (events, None, framer) if events.len() == 1 && framer.is_idle()));
        assert_eq!(padded(PADDING_LIMIT + 1).1, Some(FrameError::TooMuchPadding));
        assert!(!cut(b"A1 OK\r\n\0", &[usize::MAX]).2.is_idle());
    }

    #[test]
    fn text_is_never_taken_for_a_literal() {
        for line in [
            "* NO Mailbox does not exist: a{5}",
            "* NO Mailbox does not exist: {5}",
            "* no [NONEXISTENT] {5}",
            "*  OK {5}",
            "* OK {5}",
            "* BAD (~{5}",
            "* BYE {5+}",
            "* PREAUTH {5}",
            "A1 NO {5}",
            "A1 FETCH (BODY[] {5}",
            "+ {5}",
            "+{5}",
            "",
            "* LIST () \"/\" \"a {5}",
            "* LIST () \"/\" \"a\\\" {5}",
            "* LIST () \"/\" {x}",
            "* LIST () \"/\" {5} ",
            "* LIST () \"/\" {5}}",
            "* LIST () \"/\" 5}",
            "* 1 EXISTS {",
        ] {
            let input = format!("{line}\r\nA2 OK\r\n");
            assert_eq!(whole(input.as_bytes()), (vec![frame(line), frame("A2 OK")], None), "{line}");
        }
    }

    #[test]
    fn a_body_that_looks_like_responses_is_none() {
        let body = b"A1 OK done\r\n)\r\n{5}\r\n* BYE\r\n* 2 FETCH (BODY[] {9}\r\n\"";
        let response = [format!("* 1 FETCH (BODY[] {{{}}}\r\n", body.len()).as_bytes(), body, b")"].concat();
        let input = [&response[..], b"\r\nA1 OK\r\n"].concat();
        assert_eq!(whole(&input), (vec![frame(response), frame("A1 OK")], None));
    }

    #[test]
    fn large_bodies_pass_by() {
        let size = Body::WHOLE_LIMIT as usize + 1;
        let body = b")\r\nA1 OK {5}\r\n".repeat(size / 14 + 1);
        for (announced, literal) in [("{262145}", LiteralKind::Text), ("~{262145+}", LiteralKind::Binary)] {
            let before = "* 7 FETCH (X {1}\r\n\n BODY[HEADER] {2}\r\n\r\n body[] ";
            let input = [format!("{before}{announced}\r\n").as_bytes(), &body[..size], b" UID 5)\r\n+\r\n"].concat();
            let skeleton = format!("{before}{announced}\r\n UID 5)");
            let at = before.len() + announced.len() + 2;
            let passed = Some(Passed { at, size: size as u64, literal });
            let expected = vec![
                Event::BodyStart { head: Bytes::from(before), size: size as u64, literal },
                Event::BodyChunk(Bytes::copy_from_slice(&body[..size])),
                Event::BodyEnd,
                Event::Frame(Frame { octets: skeleton.into(), passed }),
                frame("+"),
            ];
            assert_eq!(whole(&input), (expected, None), "{announced}");
        }
        let kept = [&b"* 7 FETCH (BODY[] {262144}\r\n"[..], &body[..size - 1], b")"].concat();
        assert_eq!(whole(&[&kept[..], b"\r\n"].concat()), (vec![frame(kept)], None));
    }

    #[test]
    fn s046_what_exceeds_a_limit_ends_the_connection() {
        let large = |size, limit| FrameError::LiteralTooLarge { size, limit };
        let long = |limit| FrameError::LineTooLong { limit };
        let numbers = |line: &str, octets| [line.as_bytes(), &b"1,".repeat(octets / 2)].concat();
        let huge = Body::WHOLE_LIMIT + 1;
        let body = "x".repeat(huge as usize);
        let header = format!("BODY[HEADER] {{{}}}\r\n{} ", HEADER_LIMIT, "y".repeat(HEADER_LIMIT as usize));
        for (input, error) in [
            (b"x".repeat(LINE_LIMIT + 1), long(LINE_LIMIT)),
            (numbers("* LIST () \"/\" ", LINE_LIMIT), long(LINE_LIMIT)),
            (numbers("* SEARCH ", NUMBERS_LIMIT), long(NUMBERS_LIMIT)),
            (numbers("* vanished (EARLIER) ", NUMBERS_LIMIT), long(NUMBERS_LIMIT)),
            (b"* LIST () \"/\" {65537}\r\n".to_vec(), large(65537, LITERAL_LIMIT)),
            (b"* LIST () \"/\" {9000000000}\r\n".to_vec(), large(9_000_000_000, LITERAL_LIMIT)),
            (b"* 1 FETCH (BODY[HEADER] {4194305}\r\n".to_vec(), large(4_194_305, HEADER_LIMIT)),
            (b"* 1 FETCH (XBODY[] {4194305}\r\n".to_vec(), large(4_194_305, HEADER_LIMIT)),
            (b"* 1 FETCH (X {18446744073709551615}\r\n".to_vec(), large(u64::MAX, HEADER_LIMIT)),
            (b"* 1 FETCH (BODY[] {17179869185}\r\n".to_vec(), FrameError::MessageTooLarge { size: MESSAGE_LIMIT + 1 }),
            (
                b"* 1 FETCH (BODY[] {99999999999999999999999999999}\r\n".to_vec(),
                FrameError::MessageTooLarge { size: u64::MAX },
            ),
            (
                format!("* 1 FETCH (BODY[] {{{huge}}}\r\n{body} BODY[] {{{huge}}}\r\n").into_bytes(),
                FrameError::SecondBody,
            ),
            (format!("* 1 FETCH ({header}{header}X {{1}}\r\n").into_bytes(), FrameError::TooMuchKept),
            ([&b"* 1 FETCH ("[..], &b"{0}\r\n".repeat(1025)].concat(), FrameError::TooManyLiterals),
            ([&b"* X "[..], &b"{0}\r\n".repeat(200_000)].concat(), FrameError::TooManyLiterals),
            (b"* 1 FETCH (BODY[] {-1}\r\n".to_vec(), FrameError::Announcement),
            (b"* 1 FETCH (BODY[] {+5}\r\n".to_vec(), FrameError::Announcement),
            (b"* 1 FETCH (BODY[] {5++}\r\n".to_vec(), FrameError::Announcement),
            (b"* 1 FETCH (BODY[] { 5}\r\n".to_vec(), FrameError::Announcement),
            (b"* 1 FETCH (BODY[] {}\r\n".to_vec(), FrameError::Announcement),
            (b"* 1 FETCH (BODY[]{5}\r\n".to_vec(), FrameError::Announcement),
            (b"* LIST () \"/\" a{5}\r\n".to_vec(), FrameError::Announcement),
        ] {
            let name = input[..input.len().min(80)].escape_ascii().to_string();
            let (events, found, mut framer) = cut(&input, &[usize::MAX]);
            assert_eq!(found, Some(error), "{name}");
            assert!(events.iter().all(|event| !matches!(event, Event::Frame(_))), "{name}");
            assert_eq!(framer.next(), Err(error), "an error stays: {name}");
            assert_eq!(cut(&input, &[7, 4093]).1, Some(error), "in pieces: {name}");
        }
    }

    #[test]
    fn what_stays_within_a_limit_is_read() {
        let line = |start: &str, limit: usize| [start.as_bytes(), &b"1".repeat(limit - start.len() - 2)].concat();
        for response in [
            line("A1 OK ", LINE_LIMIT),
            line("* LIST ", LINE_LIMIT),
            line("* SEARCH ", NUMBERS_LIMIT),
            line("* ESEARCH UID ALL ", NUMBERS_LIMIT),
            line("* VANISHED ", NUMBERS_LIMIT),
            [&b"* X "[..], &b"{0}\r\n".repeat(LITERALS_LIMIT)].concat(),
            [&b"* LIST () NIL {65536}\r\n"[..], &b"\n".repeat(65536)].concat(),
        ] {
            let input = [&response[..], b"\r\n"].concat();
            let name = input[..20].escape_ascii().to_string();
            assert_eq!(cut(&input, &[65536]).0, [frame(&response)], "{name}");
        }
        let crowded = [&b"* X "[..], &b"{0}\r\n".repeat(LITERALS_LIMIT), b"\r\n"].concat();
        assert_eq!(cut(&crowded.repeat(3), &[65536]).1, None, "limits are those of one response");
        for size in ["2147483647", "2147483648", "4294967295", "4294967296", "17179869184"] {
            let (events, error, _) = cut(format!("* 1 FETCH (BODY[] {{{size}}}\r\n").as_bytes(), &[1]);
            assert_eq!(error, None, "{size}");
            assert!(
                matches!(&events[..], [Event::BodyStart { size: found, .. }] if found.to_string() == size),
                "{size}"
            );
        }
    }

    #[test]
    fn s046_memory_follows_what_arrived_and_is_given_back() {
        for announcement in ["* 1 FETCH (BODY[] {9000000000}\r\nabc", "* 1 FETCH (BODY[HEADER] {4194304}\r\nabc"] {
            let (_, error, framer) = cut(announcement.as_bytes(), &[usize::MAX]);
            assert_eq!(error, None);
            assert!(framer.response.capacity() < 1024 && framer.buffer.len() <= WIDE_ROOM, "{announcement}");
        }
        let (events, _, mut framer) = cut(&[&b"* SEARCH"[..], &b" 12345".repeat(1 << 20), b"\r\n"].concat(), &[65536]);
        assert!(matches!(&events[..], [Event::Frame(frame)] if frame.octets.len() == 8 + 6 * (1 << 20)));
        framer.space()[..3].copy_from_slice(b"+\r\n");
        framer.filled(3);
        assert_eq!(framer.next(), Ok(Some(frame("+"))));
        assert_eq!((framer.space().len(), framer.response.capacity() <= ROOM), (ROOM, true));
        let (_, error, framer) = cut(&b"x".repeat(LINE_LIMIT + 1), &[65536]);
        assert!(error.is_some() && framer.response.capacity() == 0 && framer.buffer.is_empty());
    }

    #[test]
    fn work_is_linear_in_what_arrives() {
        type Shape = fn(usize) -> Vec<u8>;
        let shapes: [(&str, Shape); 5] = [
            ("one long line", |n| [&b"* SEARCH "[..], &b"1 ".repeat(n)].concat()),
            ("braces and quotes", |n| [&b"* X "[..], &b"\"{5} \"{5}".repeat(n / 16)].concat()),
            ("empty literals", |n| [&b"* X "[..], &b"{0}\r\n".repeat(1000), b"\r\n"].concat().repeat(n / 1000)),
            ("short lines", |n| b"* 1 EXISTS\r\n".repeat(n)),
            ("literals behind a long line", |n| {
                [&b"* X "[..], &b"x".repeat(n), &b" {0}\r\n".repeat(1000), b"\r\n"].concat()
            }),
        ];
        for (name, shape) in shapes {
            for piece in [1, 1000, usize::MAX] {
                let work = |n| cut(&shape(n), &[piece]).2.work;
                let (once, twice) = (work(20_000), work(40_000));
                assert!(twice <= 2 * once + 1000, "{name} in pieces of {piece}: {once}, {twice}");
            }
        }
    }

    #[test]
    fn only_an_untouched_framer_is_idle() {
        for (input, idle) in [
            ("", true),
            ("A1 OK go\r\n", true),
            ("A1 OK go\r\n*", false),
            ("* 1 FETCH (BODY[] {5}\r\n", false),
            ("* 1 FETCH (BODY[] {262145}\r\n", false),
        ] {
            assert_eq!(cut(input.as_bytes(), &[usize::MAX]).2.is_idle(), idle, "{input}");
        }
        let mut framer = Framer::new();
        framer.space()[..16].copy_from_slice(b"A1 OK\r\n* injecte");
        framer.filled(16);
        assert_eq!(framer.next(), Ok(Some(frame("A1 OK"))));
        assert!(!framer.is_idle());
    }

    #[test]
    fn a_caller_that_does_not_drain_loses_nothing() {
        let mut framer = Framer::new();
        let mut given = 0;
        while given < 200_000 {
            let space = framer.space();
            let length = space.len();
            space.copy_from_slice(&b"+ 567\r\n".repeat(length / 7 + 2)[given % 7..][..length]);
            framer.filled(length);
            given += length;
            assert_eq!(framer.next(), Ok(Some(frame("+ 567"))));
        }
        let mut found = 0;
        while let Ok(Some(event)) = framer.next() {
            assert_eq!(event, frame("+ 567"));
            found += 1;
        }
        assert!(found > 20_000, "{found}");
    }

    /// A session with everything that matters to the framer.
    fn session() -> Vec<u8> {
        let large = b"){5}\r\n".repeat(Body::WHOLE_LIMIT as usize / 6 + 2);
        [
            &b"* OK [CAPABILITY IMAP4rev1] {3}\r\n* LIST (\\a) \"/\" \"x {5}\"\r\n* LIST () NIL {3}\r\n\n\r\n\r\n"[..],
            b"* 1 FETCH (UID 3 BODY[HEADER] ~{2}\n\r\n BODY[] {13+}\r\nA OK {5}\r\n*)\r FLAGS ())\n",
            b"+ go\r\n* NO a{5}\r\nA1 OK [COPYUID 1 1:3 4:6] {1}\r\n",
            format!("* 2 FETCH (BODY[] ~{{{}}}\r\n", large.len()).as_bytes(),
            &large,
            b" UID 4)\r\n\r\n* SEARCH 1 2 3\r\n",
        ]
        .concat()
    }

    #[test]
    fn a_cut_at_any_octet_changes_nothing() {
        let session = session();
        let expected = whole(&session);
        assert_eq!((expected.0.len(), expected.1), (13, None));
        let interesting = (0..600).chain(session.len() - 60..session.len());
        for at in interesting {
            let (events, error, _) = cut(&session, &[at, usize::MAX]);
            assert!((&events, error) == (&expected.0, expected.1), "cut at {at}");
        }
        assert!(cut(&session, &[1]).0 == expected.0, "octet by octet");
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_the_pieces(pieces in prop::collection::vec(1usize..3000, 1..20)) {
            let session = session();
            let (events, error, _) = cut(&session, &pieces);
            prop_assert!((events, error) == whole(&session));
        }

        #[test]
        fn hostile_octets_in_any_pieces_give_the_same_events(
            words in prop::collection::vec(prop::sample::select(vec![
                "* ", "1 FETCH (", "BODY[] ", "{", "}", "{5}", "~{", "{0}", "\r\n", "\n", "\r", "\"", "\\", "OK ", "A1 ",
                "LIST ", "+", "(", ")", " ", "x", "{70000}", "{4294967296}", "\0", "\u{e9}", "VANISHED ",
            ]), 0..60),
            pieces in prop::collection::vec(1usize..9, 1..20),
        ) {
            let input = words.concat().into_bytes();
            let (events, error, _) = cut(&input, &pieces);
            prop_assert_eq!((events, error), whole(&input));
        }

        #[test]
        fn any_octets_never_panic(input in prop::collection::vec(any::<u8>(), 0..2000), piece in 1usize..100) {
            let _ = cut(&input, &[piece]);
        }
    }
}
