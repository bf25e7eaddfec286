//! Who messages are: the date, the size and the header lines by which they are known again.

use std::collections::BTreeMap;

use super::connection::{Completion, Incoming, Reply};
use super::response::{Fetch, Response};
use super::store::ImapStore;
use super::tour::{News, Stop, Tour};
use crate::mail::{Fingerprint, HeaderDigest, InternalDate, Measure, Uid, UidSet};
use crate::store::{Cause, Error, UidScope};

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

    fn measure(&self) -> Option<Measure> {
        Some(Measure { size: self.size?, internal_date: self.internal_date? })
    }

    fn complete(&self) -> Option<Fingerprint> {
        Some(Fingerprint { size: self.size?, internal_date: self.internal_date?, header: self.header? })
    }
}

const ITEMS_OF_A_MEASURE: &str = "INTERNALDATE RFC822.SIZE";

fn items_of_a_fingerprint() -> String {
    let fields = HeaderDigest::FIELDS.join(" ").to_ascii_uppercase();
    format!("{ITEMS_OF_A_MEASURE} BODY.PEEK[HEADER.FIELDS ({fields})]")
}

/// What was answered in one mailbox.
#[derive(Default)]
struct Answers {
    found: BTreeMap<Uid, Features>,
    unreadable: Option<String>,
    refusal: Option<Completion>,
}

impl Answers {
    fn notice(&mut self, uids: &UidSet, reply: Reply) {
        match reply {
            Reply::Untagged(Response::Fetch(fetch)) => {
                let reported = fetch.size.is_some() || fetch.internal_date.is_some() || fetch.header.is_some();
                if let Some(uid) = fetch.uid.filter(|uid| reported && uids.contains(*uid)) {
                    self.found.entry(uid).or_default().notice(&fetch);
                }
            }
            Reply::Unreadable(reason) => self.unreadable = Some(reason),
            // Some of them are gone: that is no error (RFC 5530).
            Reply::Done(completion) if !completion.is_ok() && !completion.has_code("EXPUNGEISSUED") => {
                self.refusal = Some(completion);
            }
            Reply::Untagged(_) | Reply::Done(_) => {}
        }
    }

    /// The fingerprints, if each of the messages has been shown as a whole.
    fn of_all(self, uids: &UidSet) -> Option<BTreeMap<Uid, Fingerprint>> {
        if self.unreadable.is_some() || self.refusal.is_some() || self.found.len() as u64 != uids.len() {
            return None;
        }
        self.found.into_iter().map(|(uid, features)| Some((uid, features.complete()?))).collect()
    }

    /// What was told of the messages, whatever is wrong with the rest.
    fn measures(self) -> BTreeMap<Uid, Measure> {
        self.found.into_iter().filter_map(|(uid, features)| Some((uid, features.measure()?))).collect()
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

    /// Asks in all mailboxes in one flight. `None` in place of an answer that is not whole: that mailbox is to be asked by
    /// itself.
    pub(super) async fn tour_for_fingerprints(
        &mut self,
        wanted: &[(UidScope, UidSet)],
    ) -> Result<Vec<Option<BTreeMap<Uid, Fingerprint>>>, Error> {
        let answers = self.tour_with(wanted, &items_of_a_fingerprint()).await?;
        Ok(answers.into_iter().zip(wanted).map(|(answers, (_, uids))| answers?.of_all(uids)).collect())
    }

    pub(super) async fn tour_for_measures(
        &mut self,
        wanted: &[(UidScope, UidSet)],
    ) -> Result<Vec<BTreeMap<Uid, Measure>>, Error> {
        let answers = self.tour_with(wanted, ITEMS_OF_A_MEASURE).await?;
        Ok(answers.into_iter().map(|answers| answers.map(Answers::measures).unwrap_or_default()).collect())
    }

    /// What was answered mailbox by mailbox; `None` where that could not be asked.
    async fn tour_with(&mut self, wanted: &[(UidScope, UidSet)], items: &str) -> Result<Vec<Option<Answers>>, Error> {
        let mut answers: Vec<Option<Answers>> = wanted.iter().map(|_| Some(Answers::default())).collect();
        let mut tour = Tour::new(self);
        for (place, (scope, uids)) in wanted.iter().enumerate().filter(|(_, (_, uids))| !uids.is_empty()) {
            let stop = Stop { place, scope: scope.clone(), commands: self.questions(uids, items) };
            if tour.add(self, stop).is_err() {
                answers[place] = None;
            }
        }
        while let Some(news) = tour.next(self).await? {
            let (place, reply) = match news {
                News::Barred(place, _) => {
                    answers[place] = None;
                    continue;
                }
                News::Done(place, completion) => (place, Reply::Done(completion)),
                News::Said(place, Incoming::Untagged(response)) => (place, Reply::Untagged(response)),
                News::Said(place, Incoming::Unreadable(reason)) => (place, Reply::Unreadable(reason)),
                News::Said(..) => continue,
            };
            if let Some(answers) = &mut answers[place] {
                answers.notice(&wanted[place].1, reply);
            }
        }
        Ok(answers)
    }

    fn questions(&self, uids: &UidSet, items: &str) -> Vec<String> {
        uids.split(self.quirks.line_limit).iter().map(|set| format!("UID FETCH {set} ({items})")).collect()
    }

    async fn ask_fingerprints(&mut self, uids: &UidSet) -> Result<BTreeMap<Uid, Fingerprint>, Error> {
        let mut answers = Answers::default();
        let questions = self.questions(uids, &items_of_a_fingerprint());
        self.connection.flight(questions, |_, reply| answers.notice(uids, reply)).await?;
        if let Some(refusal) = answers.refusal {
            self.check(&refusal, "to show the headers")?;
        }
        if let Some(reason) = answers.unreadable {
            return Err(Error::mailbox(Cause::Protocol, reason));
        }
        let mut fingerprints = BTreeMap::new();
        for (uid, features) in answers.found {
            let fingerprint = features.complete().ok_or_else(|| {
                let text = format!("the server shows only a part of the header of UID {uid}");
                Error::mailbox(Cause::Protocol, text)
            })?;
            fingerprints.insert(uid, fingerprint);
        }
        Ok(fingerprints)
    }
}
