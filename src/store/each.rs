//! What a side does for several mailboxes that can only do it for one after the other.

use tokio::sync::mpsc;

use super::{Batch, BatchAnswer, Delivered, Error, Request, Requests, Store, within_mailbox};

/// How many messages may wait on their way from the one channel to the other.
const FORWARDED: usize = 1;

/// Sends what is asked for, one request after the other.
pub(super) async fn fetch_one_by_one<S: Store + ?Sized>(
    store: &mut S,
    requests: &mut Requests<'_>,
    deliver: mpsc::Sender<Delivered>,
) -> Result<(), Error> {
    let mut closed = None;
    for Request { place, scope, uids } in requests {
        if closed == Some(place) || deliver.is_closed() {
            continue;
        }
        let (sender, mut messages) = mpsc::channel(FORWARDED);
        let forwarding = async {
            while let Some(fetched) = messages.recv().await {
                // Nobody there any more: dropping the channel tells the store so.
                if deliver.send(Delivered { place, fetched: Ok(fetched) }).await.is_err() {
                    break;
                }
            }
            drop(messages);
        };
        let (fetched, ()) = tokio::join!(store.fetch(&scope, &uids, sender), forwarding);
        if let Err(error) = within_mailbox(fetched)? {
            closed = Some(place);
            let _ = deliver.send(Delivered { place, fetched: Err(error) }).await;
        }
    }
    Ok(())
}

/// Appends what comes, one mailbox after the other.
pub(super) async fn append_one_by_one<S: Store + ?Sized>(
    store: &mut S,
    mut batches: mpsc::Receiver<Batch>,
    answers: mpsc::Sender<BatchAnswer>,
) -> Result<(), Error> {
    while let Some(Batch { number, parts }) = batches.recv().await {
        let mut answered = Vec::with_capacity(parts.len());
        for (scope, messages) in parts {
            answered.push(within_mailbox(store.append(&scope, messages).await)?);
        }
        // Whoever does not want to know any more finds the rest by the intents.
        if answers.send(BatchAnswer { number, parts: answered }).await.is_err() {
            break;
        }
    }
    Ok(())
}
