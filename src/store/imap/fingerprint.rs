//! Who messages are: the date, the size and the header lines by which they are known again.

use std::collections::BTreeMap;

use super::connection::Reply;
use super::response::{Fetch, Response};
use super::store::ImapStore;
use crate::mail::{Fingerprint, HeaderDigest, InternalDate, Uid, UidSet};
use crate::store::{Cause, Error};

/// What was said of one message; a server may use several responses.
#[derive(Default)]
struct Features {
    size: Option<u64>,
    internal_date: Option<InternalDate>,
    header: Option<HeaderDigest>,
}

impl Features {
    fn notice(&mut self, fetch: &Fetch) {
        self.size = fetch.size.or(self.size);
        self.internal_date = fetch.internal_date.or(self.internal_date);
        self.header = fetch.header.as_deref().map(HeaderDigest::of).or(self.header);
    }

    fn complete(&self) -> Option<Fingerprint> {
        Some(Fingerprint { size: self.size?, internal_date: self.internal_date?, header: self.header? })
    }
}

impl ImapStore {
    pub(super) async fn take_fingerprints(&mut self, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        let mut prints = self.ask_fingerprints(uids).await?;
        // One that is missing from an OK may be gone, or kept back, and what follows from the one is wrong for the other.
        let missing = uids.difference(&prints.keys().copied().collect());
        let kept_back = self.still_there(&missing).await?;
        if !kept_back.is_empty() {
            prints.extend(self.ask_fingerprints(&kept_back).await?);
            if let Some(uid) = kept_back.iter().find(|uid| !prints.contains_key(uid)) {
                let text =
                    format!("the server lists UID {uid} of {}, but does not show its header", self.selected_name());
                return Err(Error::mailbox(Cause::Protocol, text));
            }
        }
        Ok(prints)
    }

    async fn ask_fingerprints(&mut self, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        let fields = HeaderDigest::FIELDS.join(" ").to_ascii_uppercase();
        let commands = uids
            .split(self.quirks.line_limit)
            .iter()
            .map(|set| format!("UID FETCH {set} (INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS ({fields})])"))
            .collect();
        let mut found: BTreeMap<Uid, Features> = BTreeMap::new();
        let mut unreadable = None;
        let mut refusal = None;
        self.connection
            .flight(commands, |_, reply| match reply {
                Reply::Untagged(Response::Fetch(fetch)) => {
                    let reported = fetch.size.is_some() || fetch.internal_date.is_some() || fetch.header.is_some();
                    if let Some(uid) = fetch.uid.filter(|uid| reported && uids.contains(*uid)) {
                        found.entry(uid).or_default().notice(&fetch);
                    }
                }
                Reply::Unreadable(reason) => unreadable = Some(reason),
                // Some of them are gone: that is no error (RFC 5530).
                Reply::Done(completion) if !completion.is_ok() && !completion.has_code("EXPUNGEISSUED") => {
                    refusal = Some(completion);
                }
                _ => {}
            })
            .await?;
        if let Some(refusal) = refusal {
            self.check(&refusal, "to show the headers")?;
        }
        if let Some(reason) = unreadable {
            return Err(Error::mailbox(Cause::Protocol, reason));
        }
        let mut fingerprints = BTreeMap::new();
        for (uid, features) in found {
            let fingerprint = features.complete().ok_or_else(|| {
                let text = format!("the server shows only a part of the header of UID {uid}");
                Error::mailbox(Cause::Protocol, text)
            })?;
            fingerprints.insert(uid, fingerprint);
        }
        Ok(fingerprints)
    }
}
