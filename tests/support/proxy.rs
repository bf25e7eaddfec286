//! A TCP proxy on a port of its own that sees all: it counts, records, delays, and breaks connections when told to.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use flate2::{Decompress, FlushDecompress, Status};

/// Which way octets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What happens to a connection once enough has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both ends see an orderly end.
    Fin,
    /// Both ends see a reset.
    Reset,
    /// Nothing passes any more in that direction until the fault is healed.
    Stall,
}

/// What passed since the proxy began or was told to forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// How many connections were made.
    pub(crate) connections: u64,
    /// Octets from the client to the server.
    pub(crate) to_server: u64,
    /// Octets from the server to the client.
    pub(crate) to_client: u64,
    /// How often the client began to speak after the server had spoken.
    pub(crate) turns: u64,
}

/// The proxy.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: AtomicU16,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    delay: Duration,
    pace: Duration,
    fault: Option<Armed>,
    struck: bool,
    /// Whether what a stall held back is lost when it ends.
    loses: bool,
    ended: bool,
    open: usize,
    connections: Vec<Record>,
}

struct Armed {
    direction: Direction,
    /// The only connection that it strikes, in the order in which they were made.
    only: Option<usize>,
    trigger: Trigger,
    fault: Fault,
}

/// What a fault waits for.
enum Trigger {
    /// So many octets may still pass.
    Octets(u64),
    /// This text, which does not pass any more. Servers and clients send a line at once, so it is looked for in what
    /// comes together.
    Text(&'static str),
    /// Nothing more: it has struck, and holds whatever comes.
    Struck,
}

#[derive(Default)]
struct Record {
    turns: u64,
    said: Vec<(Direction, Vec<u8>)>,
}

impl Proxy {
    /// Starts a proxy before that port of this host.
    pub(crate) fn start(upstream: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(Shared { upstream: AtomicU16::new(upstream), state: Mutex::default(), changed: Condvar::new() });
        let listening = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if listening.lock().ended {
                    return;
                }
                let server = TcpStream::connect(("127.0.0.1", listening.upstream.load(Ordering::SeqCst)));
                // A server that is down looks like one behind the proxy: the connection ends at once.
                if let (Ok(client), Ok(server)) = (client, server) {
                    listening.connect(client, server);
                }
            }
        });
        Proxy { port, shared }
    }

    /// Where the client has to connect.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sends connections to another port from now on.
    pub(crate) fn point_at(&self, upstream: u16) {
        self.shared.upstream.store(upstream, Ordering::SeqCst);
    }

    /// Delays every octet so long, in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Takes so long over what comes together on the way to the server, 64 KiB at most, on each connection by itself.
    pub(crate) fn pace(&self, pace: Duration) {
        self.shared.lock().pace = pace;
    }

    /// Lets so many more octets pass in that direction, over all connections, and then strikes.
    pub(crate) fn arm(&self, direction: Direction, after: u64, fault: Fault) {
        self.set(Armed { direction, only: None, trigger: Trigger::Octets(after), fault });
    }

    /// The same for a single connection: the first one that is made after the proxy was told to forget is 0.
    pub(crate) fn arm_connection(&self, number: usize, direction: Direction, after: u64, fault: Fault) {
        self.set(Armed { direction, only: Some(number), trigger: Trigger::Octets(after), fault });
    }

    /// Strikes before that text passes in that direction.
    pub(crate) fn arm_at(&self, direction: Direction, text: &'static str, fault: Fault) {
        self.set(Armed { direction, only: None, trigger: Trigger::Text(text), fault });
    }

    fn set(&self, armed: Armed) {
        let mut state = self.shared.lock();
        state.fault = Some(armed);
        state.struck = false;
        state.loses = false;
    }

    /// Waits until the fault has struck; false if it has not within that time.
    pub(crate) fn wait_for_fault(&self, patience: Duration) -> bool {
        let state = self.shared.lock();
        self.shared.changed.wait_timeout_while(state, patience, |state| !state.struck).unwrap().0.struck
    }

    /// Takes the fault away: what was held back passes.
    pub(crate) fn heal(&self) {
        self.shared.lock().fault = None;
        self.shared.changed.notify_all();
    }

    /// Takes the fault away, and with it what was held back.
    pub(crate) fn lose(&self) {
        self.shared.lock().loses = true;
        self.heal();
    }

    /// Waits until no connection is open any more, so that the server has seen all that was said to it.
    pub(crate) fn settle(&self) {
        let state = self.shared.lock();
        let waited =
            self.shared.changed.wait_timeout_while(state, Duration::from_secs(30), |state| state.open > 0).unwrap();
        assert!(!waited.1.timed_out(), "a connection through the proxy stays open:\n{}", transcript(&waited.0));
    }

    /// Begins to count and record anew. No connection may be open.
    pub(crate) fn forget(&self) {
        self.settle();
        self.shared.lock().connections.clear();
    }

    /// What passed.
    pub(crate) fn passed(&self) -> Passed {
        let state = self.shared.lock();
        let octets = |direction: Direction| -> u64 {
            let all = state.connections.iter().flat_map(|record| &record.said);
            all.filter(|(way, _)| *way == direction).map(|(_, octets)| octets.len() as u64).sum()
        };
        Passed {
            connections: state.connections.len() as u64,
            to_server: octets(Direction::ToServer),
            to_client: octets(Direction::ToClient),
            turns: state.connections.iter().map(|record| record.turns).sum(),
        }
    }

    /// How many octets the client said on the first connection up to the end of that text.
    pub(crate) fn said_up_to(&self, text: &str) -> u64 {
        let said = self.shared.lock().connections[0].all(Direction::ToServer);
        let start = said.windows(text.len()).position(|window| window == text.as_bytes()).expect("it was said");
        (start + text.len()) as u64
    }

    /// The commands that the client sent in the clear, deflated or not, without tags and literals.
    pub(crate) fn commands(&self) -> Vec<String> {
        let state = self.shared.lock();
        state.connections.iter().flat_map(|record| commands(&inflated(record.all(Direction::ToServer)))).collect()
    }

    /// Those of the commands that change something on the server.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut writes = self.commands();
        writes.retain(|command| {
            let command = command.strip_prefix("UID ").unwrap_or(command);
            let word = command.split(' ').next().unwrap_or_default();
            WRITES.contains(&word.to_ascii_uppercase().as_str())
        });
        writes
    }

    /// How often the word begins a command, `UID` left aside.
    pub(crate) fn count(&self, word: &str) -> usize {
        let is_it = |command: &String| {
            let command = command.strip_prefix("UID ").unwrap_or(command);
            command.split(' ').next().is_some_and(|first| first.eq_ignore_ascii_case(word))
        };
        self.commands().iter().filter(|command| is_it(command)).count()
    }

    /// What was said, shortened, for the message of a failed test.
    pub(crate) fn transcript(&self) -> String {
        transcript(&self.shared.lock())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.heal();
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// The commands that change something.
const WRITES: &[&str] = &[
    "APPEND",
    "CLOSE",
    "COPY",
    "CREATE",
    "DELETE",
    "EXPUNGE",
    "MOVE",
    "RENAME",
    "SETACL",
    "SETMETADATA",
    "STORE",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
];

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn connect(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (client, server) = (Arc::new(client), Arc::new(server));
        let number = {
            let mut state = self.lock();
            state.open += 2;
            state.connections.push(Record::default());
            state.connections.len() - 1
        };
        for (direction, from, to) in [(Direction::ToServer, &client, &server), (Direction::ToClient, &server, &client)]
        {
            let (sender, receiver) = channel();
            let (reading, writing) = (Arc::clone(self), Arc::clone(self));
            let (source, from, to) = (Arc::clone(from), Arc::clone(from), Arc::clone(to));
            thread::spawn(move || reading.read(&source, direction, number, &sender));
            thread::spawn(move || {
                writing.write(&from, &to, direction, number, &receiver);
                drop((from, to));
                writing.lock().open -= 1;
                writing.changed.notify_all();
            });
        }
    }

    /// Takes octets in and says when they are due at the other end.
    fn read(&self, mut from: &TcpStream, direction: Direction, number: usize, sender: &Sender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let octets = buffer[..count].to_vec();
            // Turns are counted at the client's end: what it says the moment it says it, what it hears when it hears it.
            let delay = {
                let mut state = self.lock();
                if direction == Direction::ToServer {
                    state.record(number, direction, &octets);
                }
                state.delay
            };
            if sender.send((Instant::now() + delay, octets)).is_err() {
                return;
            }
        }
    }

    /// Hands octets on when they are due, as far as the fault lets them.
    fn write(
        &self,
        from: &TcpStream,
        mut to: &TcpStream,
        direction: Direction,
        number: usize,
        receiver: &Receiver<(Instant, Vec<u8>)>,
    ) {
        for (due, octets) in receiver {
            sleep(due.saturating_duration_since(Instant::now()));
            if direction == Direction::ToServer {
                sleep(self.lock().pace);
            }
            let (now, later, fault) = self.split(direction, number, &octets);
            if direction == Direction::ToClient {
                self.lock().record(number, direction, now);
            }
            let sent = to.write_all(now);
            match fault {
                None => {}
                Some(Fault::Stall) => {
                    self.strike();
                    let state = self.changed.wait_while(self.lock(), |state| state.fault.is_some()).unwrap();
                    if state.loses {
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                        return;
                    }
                    drop(state);
                    if direction == Direction::ToClient {
                        self.lock().record(number, direction, later);
                    }
                    let _ = to.write_all(later);
                }
                Some(Fault::Fin) => {
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                    self.strike();
                    return;
                }
                Some(Fault::Reset) => {
                    for end in [from, to] {
                        // Closed with nothing to linger for, a socket sends RST; ending our reading frees the readers.
                        let _ = rustix::net::sockopt::set_socket_linger(end, Some(Duration::ZERO));
                        let _ = end.shutdown(Shutdown::Read);
                    }
                    self.strike();
                    return;
                }
            }
            if sent.is_err() {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    /// What of these octets passes now, what later if ever, and what happens between.
    fn split<'a>(&self, direction: Direction, number: usize, octets: &'a [u8]) -> (&'a [u8], &'a [u8], Option<Fault>) {
        let mut state = self.lock();
        let Some(armed) = state
            .fault
            .as_mut()
            .filter(|armed| armed.direction == direction && armed.only.is_none_or(|only| only == number))
        else {
            return (octets, &[], None);
        };
        let passing = match &mut armed.trigger {
            Trigger::Octets(left) if *left > octets.len() as u64 => {
                *left -= octets.len() as u64;
                None
            }
            Trigger::Octets(left) => Some(usize::try_from(*left).expect("it is at most the length of a chunk")),
            Trigger::Text(text) => octets.windows(text.len()).position(|window| window == text.as_bytes()),
            Trigger::Struck => Some(0),
        };
        let Some(passing) = passing else { return (octets, &[], None) };
        let fault = armed.fault;
        armed.trigger = Trigger::Struck;
        // What breaks a connection does so once; a stall holds whatever comes until it is healed.
        if fault != Fault::Stall {
            state.fault = None;
        }
        let (now, later) = octets.split_at(passing);
        (now, later, Some(fault))
    }

    fn strike(&self) {
        self.lock().struck = true;
        self.changed.notify_all();
    }
}

impl State {
    fn record(&mut self, number: usize, direction: Direction, octets: &[u8]) {
        // A connection that outlives `forget` is no longer of interest.
        let Some(record) = self.connections.get_mut(number).filter(|_| !octets.is_empty()) else { return };
        match record.said.last_mut() {
            Some((last, said)) if *last == direction => said.extend_from_slice(octets),
            _ => {
                record.turns += u64::from(direction == Direction::ToServer);
                record.said.push((direction, octets.to_vec()));
            }
        }
    }
}

impl Record {
    fn all(&self, direction: Direction) -> Vec<u8> {
        self.said.iter().filter(|(way, _)| *way == direction).flat_map(|(_, octets)| octets.clone()).collect()
    }
}

fn transcript(state: &State) -> String {
    let mut text = String::new();
    for (number, record) in state.connections.iter().enumerate() {
        let _ = writeln!(text, "connection {number}");
        for (direction, octets) in &record.said {
            let arrow = if *direction == Direction::ToServer { "C" } else { "S" };
            for line in lines(octets).iter().take(60) {
                let line: String = line.chars().take(300).collect();
                let _ = writeln!(text, "{arrow}: {}", line.escape_debug());
            }
        }
    }
    text
}

/// What a client said, with what is behind COMPRESS inflated, if it is deflated.
fn inflated(mut said: Vec<u8>) -> Vec<u8> {
    const AGREED: &[u8] = b" COMPRESS DEFLATE\r\n";
    let Some(at) = said.windows(AGREED.len()).position(|window| window == AGREED) else { return said };
    let deflated = said.split_off(at + AGREED.len());
    let (mut inflater, mut plain) = (Decompress::new(false), Vec::new());
    loop {
        plain.reserve(1 << 16);
        let taken = inflater.total_in() as usize;
        match inflater.decompress_vec(&deflated[taken..], &mut plain, FlushDecompress::Sync) {
            Ok(Status::Ok) if plain.len() == plain.capacity() => {}
            Ok(_) => return [said, plain].concat(),
            // The server did not want it.
            Err(_) => return [said, deflated].concat(),
        }
    }
}

/// The commands in what a client said, without their tags.
fn commands(octets: &[u8]) -> Vec<String> {
    let untagged = |line: &String| line.split_once(' ').map_or(&**line, |(_, untagged)| untagged).to_owned();
    lines(octets).iter().map(untagged).collect()
}

/// Splits what was said into lines; a literal stands for itself as its announcement only. What has no end is left out.
fn lines(octets: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut rest = octets;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let part = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 2..];
        line.push_str(&part);
        let literal = part.strip_suffix('}').and_then(|part| part.rsplit_once('{')).map(|(_, size)| size);
        match literal.and_then(|size| size.trim_end_matches(['+', '-']).parse::<usize>().ok()) {
            Some(size) => rest = &rest[size.min(rest.len())..],
            None => lines.push(std::mem::take(&mut line)),
        }
    }
    lines
}

#[test]
fn commands_are_told_from_literals() {
    let said =
        b"a1 LOGIN x {3+}\r\nA\r\n\r\na2 APPEND box (\\Seen) {4}\r\nb c\n {2+}\r\nhi\r\na3 UID STORE 1 FLAGS ()\r\na";
    assert_eq!(commands(said), ["LOGIN x {3+}", "APPEND box (\\Seen) {4} {2+}", "UID STORE 1 FLAGS ()"]);
}
