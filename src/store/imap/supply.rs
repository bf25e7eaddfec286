//! The batches that the connections of a side take from, each when it has room for another one.

use tokio::sync::{Mutex, Semaphore, SemaphorePermit, mpsc, watch};

use crate::store::{Batch, Body};

/// So much of messages, in KiB, may be taken and not answered over all connections together.
const ROOM: u32 = 16 * 1024;

/// What a message costs besides its octets: as much as so many octets.
const PER_MESSAGE: u64 = 2048;

/// Another connection is not worth its login before so many octets have been taken.
const SECOND: u64 = 8 << 20;

/// And each one after that not before so many more.
const FURTHER: u64 = 4 << 20;

/// What is to be appended, for any number of connections to take from.
pub(super) struct Supply {
    inbox: Mutex<Inbox>,
    room: Semaphore,
    progress: watch::Sender<Progress>,
}

/// What a batch takes of the room until it is answered.
pub(super) type Share<'a> = SemaphorePermit<'a>;

struct Inbox {
    batches: mpsc::Receiver<Batch>,
    /// The next one, where it was looked for and not taken.
    next: Option<Batch>,
}

impl Inbox {
    /// Whether there is another batch, once that is known. May be dropped at any time.
    async fn is_filled(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.batches.recv().await;
        }
        self.next.is_some()
    }
}

/// What decides whether another connection would help.
#[derive(Default)]
struct Progress {
    /// How much was taken: octets, and [`PER_MESSAGE`] for each message.
    taken: u64,
    /// How many connections wait for a batch, or for room for one.
    waiting: usize,
    /// How many there are besides the first.
    further: u64,
    /// Whether one more is being opened.
    opening: bool,
    /// Whether no more are wanted: everything is taken, or one was refused or lost.
    enough: bool,
}

impl Progress {
    fn is_worth_another(&self) -> bool {
        self.waiting == 0 && !self.opening && self.taken >= SECOND + FURTHER * self.further
    }
}

/// A connection that waits, as long as this lives.
struct Waiting<'a>(&'a watch::Sender<Progress>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|progress| progress.waiting -= 1);
    }
}

impl Supply {
    pub(super) fn new(batches: mpsc::Receiver<Batch>) -> Supply {
        Supply {
            inbox: Mutex::new(Inbox { batches, next: None }),
            room: Semaphore::new(ROOM as usize),
            progress: watch::Sender::default(),
        }
    }

    /// The next batch, once there is room for it; `None` where no more come. May be dropped at any time: nothing is taken
    /// then.
    pub(super) async fn next(&self) -> Option<(Batch, Share<'_>)> {
        self.progress.send_modify(|progress| progress.waiting += 1);
        let _waiting = Waiting(&self.progress);
        let mut inbox = self.inbox.lock().await;
        if !inbox.is_filled().await {
            self.close();
        }
        let held = kibibytes(inbox.next.as_ref()?);
        let share = self.room.acquire_many(held).await.ok()?;
        let batch = inbox.next.take()?;
        self.progress.send_modify(|progress| progress.taken += weight(&batch));
        Some((batch, share))
    }

    /// Waits until there is a batch that no connection has time for, and enough has been taken to think that it will go on
    /// like that; false if that does not happen any more. Whoever is told so opens a connection, and nobody else until it
    /// is there.
    pub(super) async fn wants_another(&self) -> bool {
        let mut progress = self.progress.subscribe();
        loop {
            match progress.wait_for(|progress| progress.enough || progress.is_worth_another()).await {
                Ok(progress) if !progress.enough => {}
                _ => return false,
            }
            let is_filled = async { self.inbox.lock().await.is_filled().await };
            tokio::select! {
                biased;
                _ = progress.wait_for(|progress| progress.enough || !progress.is_worth_another()) => continue,
                is_filled = is_filled => if !is_filled {
                    self.close();
                    return false;
                },
            }
            let claimed = self.progress.send_if_modified(|progress| {
                let claims = progress.is_worth_another();
                progress.opening |= claims;
                claims
            });
            if claimed {
                return true;
            }
        }
    }

    /// There is another connection.
    pub(super) fn join(&self) {
        self.progress.send_modify(|progress| {
            progress.further += 1;
            progress.opening = false;
        });
    }

    /// No other connection is wanted any more.
    pub(super) fn close(&self) {
        self.progress.send_modify(|progress| progress.enough = true);
    }

    /// Waits until no other connection is wanted any more.
    pub(super) async fn closed(&self) {
        let _ = self.progress.subscribe().wait_for(|progress| progress.enough).await;
    }
}

/// How much of the batch is in memory.
fn kibibytes(batch: &Batch) -> u32 {
    let messages = batch.parts.iter().flat_map(|(_, messages)| messages);
    let octets: u64 = messages
        .map(|message| match &message.body {
            Body::Whole(octets) => octets.len() as u64,
            Body::Streamed { .. } => Body::WHOLE_LIMIT,
        })
        .sum();
    u32::try_from(octets / 1024).unwrap_or(ROOM).min(ROOM)
}

fn weight(batch: &Batch) -> u64 {
    batch.parts.iter().flat_map(|(_, messages)| messages).map(|message| message.size + PER_MESSAGE).sum()
}
