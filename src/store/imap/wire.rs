//! The octets as they cross the wire: as they are or, once COMPRESS is agreed upon, deflated (RFC 4978). Counts those that
//! cross. What deflates is raw (RFC 1951): no header, no checksum; the stream has no end but that of the connection.
//!
//! Nothing is held back: whatever [`Wire::poll_write`] takes is deflated to its last bit and sent in one piece. Nothing is
//! made before it is asked for: what comes in is inflated straight into the reader's room and no further, so that a
//! megabyte that stands for a gigabyte costs no memory, and the limits of `frame` hold for what it stands for.
//!
//! In memory: 16 KiB that came in, at most [`Wire::MOST`] and a little that goes out, and what zlib needs: some 420 KiB,
//! most of it for deflating.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::Octets;

/// A stream of octets, and how many of them have crossed.
pub(super) struct Wire {
    stream: Box<dyn Octets>,
    deflated: Option<Box<Deflated>>,
    received: u64,
    sent: u64,
}

/// What is between the stream and us.
struct Deflated {
    inflater: Decompress,
    /// Octets received and not inflated yet are `incoming[taken..came]`.
    incoming: Vec<u8>,
    taken: usize,
    came: usize,
    deflater: Compress,
    /// Octets deflated, of which so many were sent.
    outgoing: Vec<u8>,
    gone: usize,
}

/// Why nothing more can be read.
#[derive(Debug)]
pub(super) enum Broken {
    /// The stream itself has failed.
    Stream,
    /// What comes is not what deflating makes.
    Garbled,
}

impl Wire {
    /// Most octets that are deflated into one piece.
    const MOST: usize = 64 * 1024;
    /// How much is received at once while it is deflated.
    const ROOM: usize = 16 * 1024;
    /// Of 100 octets of mail, level 1 leaves 38, 2 leaves 30 at 150 MB/s, 6 leaves 28 at half that speed.
    const LEVEL: u32 = 2;

    /// Octets as they are.
    pub(super) fn new(stream: Box<dyn Octets>) -> Wire {
        Wire { stream, deflated: None, received: 0, sent: 0 }
    }

    /// The stream, to put something else around it. Nobody asks for it once it is deflated: what was received and not
    /// inflated is lost.
    pub(super) fn into_stream(self) -> Box<dyn Octets> {
        self.stream
    }

    /// Deflates from here on, both ways. `received` are octets behind the agreement that were read together with it.
    pub(super) fn deflate(&mut self, received: Vec<u8>) {
        let came = received.len();
        let mut incoming = received;
        incoming.resize(came.max(Wire::ROOM), 0);
        self.deflated = Some(Box::new(Deflated {
            inflater: Decompress::new(false),
            incoming,
            taken: 0,
            came,
            deflater: Compress::new(Compression::new(Wire::LEVEL), false),
            outgoing: Vec::new(),
            gone: 0,
        }));
    }

    /// How many octets came over the wire.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// How many octets went over the wire.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Reads at least one octet into the room, which must not be empty, or none at the end. To give up waiting loses
    /// nothing. A peer that sends for ever what stands for nothing is waited for, as if it were silent.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<Result<(), Broken>> {
        let Some(deflated) = &mut self.deflated else {
            let before = room.filled().len();
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, room));
            self.received += (room.filled().len() - before) as u64;
            return Poll::Ready(read.map_err(|_| Broken::Stream));
        };
        loop {
            match deflated.inflate(room)? {
                Inflated::Something | Inflated::End => return Poll::Ready(Ok(())),
                Inflated::Nothing => {}
            }
            let mut incoming = ReadBuf::new(&mut deflated.incoming);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut incoming)).map_err(|_| Broken::Stream)?;
            (deflated.taken, deflated.came) = (0, incoming.filled().len());
            self.received += deflated.came as u64;
            if deflated.came == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Sends octets, and says how many of them are on their way: the peer can know all of these from now on, as it may
    /// read the beginning of a piece while its end still waits for [`Wire::poll_flush`] or the next call.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if self.deflated.is_none() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, octets))?;
            self.sent += sent as u64;
            return Poll::Ready(Ok(sent));
        }
        ready!(self.poll_send(context))?;
        let octets = octets.get(..Wire::MOST).unwrap_or(octets);
        if let Some(deflated) = &mut self.deflated {
            deflated.deflate(octets)?;
        }
        match self.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(octets.len())),
        }
    }

    /// Has what was taken leave, from whatever layers there are below too.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Sends what is deflated already.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(deflated) = &mut self.deflated else { return Poll::Ready(Ok(())) };
        while let Some(rest) = deflated.outgoing.get(deflated.gone..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            deflated.gone += sent;
            self.sent += sent as u64;
        }
        Poll::Ready(Ok(()))
    }
}

enum Inflated {
    Something,
    /// More must come first.
    Nothing,
    /// The peer has ended what it deflates; nothing can follow.
    End,
}

impl Deflated {
    fn inflate(&mut self, room: &mut ReadBuf<'_>) -> Result<Inflated, Broken> {
        loop {
            let octets = self.incoming.get(self.taken..self.came).unwrap_or_default();
            let (in_before, out_before) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self.inflater.decompress(octets, room.initialize_unfilled(), FlushDecompress::None);
            // Both are no larger than what was handed in.
            let taken = (self.inflater.total_in() - in_before) as usize;
            let made = (self.inflater.total_out() - out_before) as usize;
            let is_all_taken = taken == octets.len();
            self.taken += taken;
            room.advance(made);
            match status {
                // What made sense comes first, whatever is behind it.
                _ if made > 0 => return Ok(Inflated::Something),
                Err(_) => return Err(Broken::Garbled),
                Ok(Status::StreamEnd) => return Ok(Inflated::End),
                _ if is_all_taken => return Ok(Inflated::Nothing),
                // Neither took nor made: it would do so for ever.
                _ if taken == 0 => return Err(Broken::Garbled),
                _ => {}
            }
        }
    }

    /// A full flush: what is sent at one time is not deflated with the help of what was sent at another, so that its length
    /// tells nothing about that.
    fn deflate(&mut self, octets: &[u8]) -> io::Result<()> {
        self.outgoing.clear();
        self.gone = 0;
        let before = self.deflater.total_in();
        loop {
            let taken = (self.deflater.total_in() - before) as usize;
            // zlib has flushed all as soon as it leaves room unused.
            self.outgoing.reserve(octets.len() - taken + 64);
            self.deflater.compress_vec(&octets[taken..], &mut self.outgoing, FlushCompress::Full)?;
            if self.outgoing.len() < self.outgoing.capacity() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt, DuplexStream};

    use super::*;

    /// A wire that is deflated, with these octets received already; its other end takes so much at a time.
    fn deflated_wire(received: &[u8], capacity: usize) -> (Wire, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(capacity);
        let mut wire = Wire::new(Box::new(ours));
        wire.deflate(received.to_vec());
        (wire, theirs)
    }

    /// What a peer sends, with a flush behind each part.
    fn deflate(parts: &[&[u8]], flush: FlushCompress) -> Vec<u8> {
        let mut deflater = Compress::new(Compression::best(), false);
        let mut deflated = Vec::with_capacity(1 << 20);
        for part in parts {
            deflater.compress_vec(part, &mut deflated, flush).unwrap();
        }
        assert!(deflated.len() < deflated.capacity());
        deflated
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Stopped {
        Waiting,
        Ended,
        Garbled,
    }

    /// Reads through rooms of that size until nothing more comes.
    fn read(wire: &mut Wire, size: usize) -> (Vec<u8>, Stopped) {
        let mut context = Context::from_waker(Waker::noop());
        let (mut all, mut octets) = (Vec::new(), vec![0; size]);
        loop {
            let mut room = ReadBuf::new(&mut octets);
            match wire.poll_read(&mut context, &mut room) {
                Poll::Ready(Ok(())) if room.filled().is_empty() => return (all, Stopped::Ended),
                Poll::Ready(Ok(())) => all.extend_from_slice(room.filled()),
                Poll::Ready(Err(Broken::Garbled)) => return (all, Stopped::Garbled),
                Poll::Ready(Err(Broken::Stream)) => panic!("nothing happened to the stream"),
                Poll::Pending => return (all, Stopped::Waiting),
            }
        }
    }

    #[tokio::test]
    async fn what_is_received_may_be_cut_anywhere() {
        let plain: &[&[u8]] = &[b"* 1 EXISTS\r\n* 1 FETCH (UID 1)\r\n", b"", b"* 2 EXISTS\r\n"];
        let deflated = deflate(plain, FlushCompress::Sync);
        for cut in 0..=deflated.len() {
            for size in [1, 7, 4096] {
                // Or the runtime would let nobody read for want of a pause.
                tokio::task::yield_now().await;
                let (mut wire, mut peer) = deflated_wire(&deflated[..cut], 4096);
                let (mut all, stopped) = read(&mut wire, size);
                assert_eq!(stopped, Stopped::Waiting);
                peer.write_all(&deflated[cut..]).await.unwrap();
                all.extend(read(&mut wire, size).0);
                assert_eq!(all, plain.concat(), "cut at {cut}, read by {size}");
                assert_eq!(wire.received(), (deflated.len() - cut) as u64, "what was received before is counted there");
                drop(peer);
                assert_eq!(read(&mut wire, size), (Vec::new(), Stopped::Ended));
            }
        }
    }

    #[tokio::test]
    async fn what_is_cut_short_ends_with_what_there_was() {
        let deflated = deflate(&[b"* 1 EXISTS\r\n"], FlushCompress::Sync);
        for length in 0..deflated.len() {
            let (mut wire, peer) = deflated_wire(&deflated[..length], 64);
            drop(peer);
            let (all, stopped) = read(&mut wire, 64);
            assert!(b"* 1 EXISTS\r\n".starts_with(&all) && stopped == Stopped::Ended, "{length}: {all:?} {stopped:?}");
        }
    }

    #[test]
    fn what_is_not_deflated_is_told_from_an_end() {
        let sense = deflate(&[b"* 1 EXISTS\r\n"], FlushCompress::Sync);
        let end = deflate(&[b"* BYE\r\n"], FlushCompress::Finish);
        for (received, plain, stopped) in [
            (b"\xff\xff\xff\xff".to_vec(), b"".as_slice(), Stopped::Garbled),
            (b"a2 OK done\r\n".to_vec(), b"", Stopped::Garbled),
            // zlib's header (RFC 1950), which some put before it.
            (b"\x78\x9c\x03\x00\x00\x00".to_vec(), b"", Stopped::Garbled),
            ([&sense, b"\xff".as_slice()].concat(), b"* 1 EXISTS\r\n", Stopped::Garbled),
            (end.clone(), b"* BYE\r\n", Stopped::Ended),
            ([&end, b"* 1 EXISTS\r\n".as_slice()].concat(), b"* BYE\r\n", Stopped::Ended),
            // For ever nothing.
            ([0, 0, 0, 0xff, 0xff].repeat(10_000), b"", Stopped::Waiting),
        ] {
            let (mut wire, _peer) = deflated_wire(&received, 64);
            assert_eq!(read(&mut wire, 4096), (plain.to_vec(), stopped), "{received:?}");
        }
    }

    /// A gigabyte in a megabyte: whoever stops reading has paid for no more than was read.
    #[tokio::test]
    async fn a_bomb_is_inflated_no_further_than_it_is_read() {
        // Behind a full flush the stream is as at its beginning, so that the piece can be repeated.
        let piece = deflate(&[&vec![0; 1 << 20]], FlushCompress::Full);
        let (mut wire, mut peer) = deflated_wire(&[], 1 << 16);
        let sender = tokio::spawn(async move {
            for _ in 0..1024 {
                peer.write_all(&piece).await.unwrap();
            }
            piece.len() as u64 * 1024
        });
        let (mut room, mut inflated) = (vec![1; 1 << 16], 0_u64);
        loop {
            let read = std::future::poll_fn(|context| {
                let mut room = ReadBuf::new(&mut room);
                wire.poll_read(context, &mut room).map(|read| read.map(|()| room.filled().len()))
            });
            let octets = read.await.unwrap();
            inflated += octets as u64;
            assert!(room[..octets].iter().all(|octet| *octet == 0));
            // One piece is a megabyte; what is not read yet is still small.
            assert!(wire.received() <= inflated / 512 + 2 * Wire::ROOM as u64);
            let incoming = wire.deflated.as_ref().map(|deflated| deflated.incoming.capacity());
            assert_eq!(incoming, Some(Wire::ROOM));
            if octets == 0 {
                break;
            }
        }
        assert_eq!((inflated, wire.received()), (1 << 30, sender.await.unwrap()));
        assert!(wire.received() < 2_000_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is taken arrives without a word more, through a peer that takes little at a time.
        #[test]
        fn nothing_is_held_back(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..300), 1..700_usize), 1..6),
            capacity in 1..200_usize,
        ) {
            let (mut wire, mut peer) = deflated_wire(&[], capacity);
            let mut context = Context::from_waker(Waker::noop());
            let mut inflater = Decompress::new(false);
            let mut crossed = 0;
            for (part, times) in parts {
                let part = part.repeat(times);
                let (mut taken, mut arrived) = (0, Vec::with_capacity(part.len() + 64));
                let mut is_flushed = false;
                while !is_flushed {
                    if taken < part.len() {
                        if let Poll::Ready(octets) = wire.poll_write(&mut context, &part[taken..]) {
                            taken += octets.unwrap();
                        }
                    } else {
                        is_flushed = wire.poll_flush(&mut context).is_ready();
                    }
                    let mut some = vec![0; capacity];
                    let mut room = ReadBuf::new(&mut some);
                    if Pin::new(&mut peer).poll_read(&mut context, &mut room).is_ready() {
                        crossed += room.filled().len() as u64;
                        inflater.decompress_vec(room.filled(), &mut arrived, FlushDecompress::Sync).unwrap();
                    }
                }
                prop_assert_eq!(arrived, part);
            }
            prop_assert_eq!(wire.sent(), crossed);
        }
    }
}
