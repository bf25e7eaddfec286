//! A distance before a server: every octet arrives half a round trip later, however many are on their way, and all that
//! passes is counted, not kept.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::support::proxy::{Direction, Passed};

/// How many readings of up to 64 KiB may be on their way: more than any line would hold, so that it never holds back.
const ON_THE_WAY: usize = 4096;

/// A server answers this to a SELECT; what it has to say of messages that are gone may stand before it.
const IN_A_SELECT: &[u8] = b"* OK [HIGHESTMODSEQ ";

/// The distance to a server.
pub(crate) struct Distance {
    port: u16,
    line: Arc<Line>,
}

struct Line {
    upstream: u16,
    /// Half a round trip, in microseconds.
    one_way: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    passed: Passed,
    open: usize,
    /// What the server seems to say in the next SELECT.
    interjection: Option<String>,
}

/// A connection, and who spoke last on it.
struct Connection {
    client: TcpStream,
    server: TcpStream,
    last: Mutex<Option<Direction>>,
}

impl Distance {
    /// Begins to stand before that port of this host, no distance away.
    pub(crate) fn to(upstream: u16) -> Distance {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Line { upstream, one_way: AtomicU64::new(0), state: Mutex::default(), changed: Condvar::new() };
        let line = Arc::new(line);
        let listening = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", listening.upstream));
                if let Ok(server) = server {
                    listening.carry(client, server);
                }
            }
        });
        Distance { port, line }
    }

    /// Where clients connect.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sets the round trip, and begins to count anew. Connecting takes none: the figures are of what is said.
    pub(crate) fn set(&self, round_trip: Duration) {
        self.line.one_way.store(round_trip.as_micros() as u64 / 2, Ordering::SeqCst);
        self.line.lock().passed = Passed::default();
    }

    /// Lets the server say this line, too, when it answers the next SELECT.
    pub(crate) fn interject(&self, line: String) {
        self.line.lock().interjection = Some(line);
    }

    /// What passed, once all connections have ended.
    pub(crate) fn passed(&self) -> Passed {
        let state = self.line.lock();
        let patience = Duration::from_secs(30);
        let (mut state, _) = self.line.changed.wait_timeout_while(state, patience, |state| state.open > 0).unwrap();
        state.interjection = None;
        state.passed
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn carry(self: &Arc<Line>, client: TcpStream, server: TcpStream) {
        for end in [&client, &server] {
            end.set_nodelay(true).unwrap();
        }
        let mut state = self.lock();
        state.passed.connections += 1;
        state.open += 2;
        drop(state);
        let connection = Arc::new(Connection { client, server, last: Mutex::new(None) });
        for direction in [Direction::ToServer, Direction::ToClient] {
            let (sender, receiver) = sync_channel(ON_THE_WAY);
            let (line, reading) = (Arc::clone(self), Arc::clone(&connection));
            thread::spawn(move || line.take_in(&reading, direction, &sender));
            let (line, writing) = (Arc::clone(self), Arc::clone(&connection));
            thread::spawn(move || {
                line.hand_on(&writing, direction, &receiver);
                drop(writing);
                line.lock().open -= 1;
                line.changed.notify_all();
            });
        }
    }

    fn take_in(&self, connection: &Connection, direction: Direction, sender: &SyncSender<(Instant, Vec<u8>)>) {
        let (mut from, _) = connection.ends(direction);
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            // All is counted where the client is: what it says as it says it, what it hears as it hears it.
            if direction == Direction::ToServer {
                self.count(connection, direction, count);
            }
            let one_way = Duration::from_micros(self.one_way.load(Ordering::SeqCst));
            if sender.send((Instant::now() + one_way, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    }

    fn hand_on(&self, connection: &Connection, direction: Direction, receiver: &Receiver<(Instant, Vec<u8>)>) {
        let (from, mut to) = connection.ends(direction);
        for (due, mut octets) in receiver {
            let early = due.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                sleep(early);
            }
            if direction == Direction::ToClient {
                self.interrupt(&mut octets);
                self.count(connection, direction, octets.len());
            }
            if to.write_all(&octets).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    fn count(&self, connection: &Connection, direction: Direction, octets: usize) {
        let before = connection.last.lock().unwrap().replace(direction);
        let passed = &mut self.lock().passed;
        match direction {
            Direction::ToServer => {
                passed.to_server += octets as u64;
                passed.turns += u64::from(before != Some(direction));
            }
            Direction::ToClient => passed.to_client += octets as u64,
        }
    }

    fn interrupt(&self, octets: &mut Vec<u8>) {
        let mut state = self.lock();
        if state.interjection.is_some()
            && let Some(at) = octets.windows(IN_A_SELECT.len()).position(|window| window == IN_A_SELECT)
        {
            let said = state.interjection.take().unwrap_or_default();
            octets.splice(at..at, format!("{said}\r\n").into_bytes());
        }
    }
}

impl Connection {
    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::ToServer => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        }
    }
}
