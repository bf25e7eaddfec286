//! Reading in several mailboxes in one flight: each is selected behind what is asked of the one before it.
//!
//! ```text
//! C: a SELECT "x"
//! C: b UID FETCH 7 (…)
//! C: c SELECT "y"
//! C: d UID FETCH 3:5 (…)
//! ```
//!
//! Only what reads may go unseen behind a SELECT: should the mailbox be of another generation, what comes is thrown away,
//! while what was written or expunged in it could not be taken back.

use std::collections::{BTreeSet, VecDeque};

use super::connection::{Completion, Flight, Incoming};
use super::select::Selected;
use super::store::{ImapStore, Selection};
use crate::store::{Error, UidScope};

/// Commands to be said in one mailbox.
pub(super) struct Stop {
    /// What the mailbox is known by.
    pub(super) place: usize,
    pub(super) scope: UidScope,
    pub(super) commands: Vec<String>,
}

/// What a tour brings home.
pub(super) enum News {
    /// Something was said about the mailbox of this place.
    Said(usize, Incoming),
    /// A command in it has ended.
    Done(usize, Completion),
    /// The mailbox could not be opened, or is another one: nothing more comes from this place.
    Barred(usize, Error),
}

/// A journey through mailboxes.
pub(super) struct Tour {
    flight: Flight,
    /// What the commands are for that are not answered yet, the oldest first.
    steps: VecDeque<Step>,
    /// What will be selected once all of them are answered.
    ahead: Option<UidScope>,
    /// What is being selected.
    selected: Selected,
    barred: BTreeSet<usize>,
}

enum Step {
    /// Nothing that is said meanwhile matters.
    Noop,
    Select(usize, UidScope),
    Ask(usize),
}

impl Tour {
    /// Begins in the mailbox that is selected.
    pub(super) fn new(store: &ImapStore) -> Tour {
        let ahead = match &store.selection {
            Selection::Mailbox(scope) => Some(scope.clone()),
            Selection::Nothing | Selection::Something => None,
        };
        Tour {
            flight: Flight::default(),
            steps: VecDeque::new(),
            ahead,
            selected: Selected::default(),
            barred: BTreeSet::new(),
        }
    }

    /// Whether another stop would be asked for at once.
    pub(super) fn has_room(&self) -> bool {
        self.flight.has_room()
    }

    /// Adds a stop behind the others.
    pub(super) fn add(&mut self, store: &mut ImapStore, stop: Stop) -> Result<(), Error> {
        let Stop { place, scope, commands } = stop;
        if self.barred.contains(&place) {
            return Ok(());
        }
        let wire = store.wire(&scope.name)?;
        if self.ahead.as_ref() != Some(&scope) {
            self.push(format!("SELECT {wire}"), Step::Select(place, scope.clone()));
            self.ahead = Some(scope);
            store.appended = false;
        } else if std::mem::take(&mut store.appended) || (store.quirks.frozen_view && self.steps.is_empty()) {
            // Plain sessions need not see what we have appended, nor what others do, before they are told to look.
            self.push("NOOP".to_owned(), Step::Noop);
        }
        for command in commands {
            self.push(command, Step::Ask(place));
        }
        Ok(())
    }

    fn push(&mut self, command: String, step: Step) {
        self.flight.push(command);
        self.steps.push_back(step);
    }

    /// What comes next; `None` once every command is answered.
    pub(super) async fn next(&mut self, store: &mut ImapStore) -> Result<Option<News>, Error> {
        while let Some((_, incoming)) = self.flight.next(&mut store.connection).await? {
            match (self.steps.front(), incoming) {
                (Some(Step::Ask(place)), Incoming::Done(_, completion)) => {
                    let place = *place;
                    self.steps.pop_front();
                    if !self.barred.contains(&place) {
                        return Ok(Some(News::Done(place, completion)));
                    }
                }
                (Some(Step::Ask(place)), incoming) if !self.barred.contains(place) => {
                    return Ok(Some(News::Said(*place, incoming)));
                }
                (Some(Step::Select(place, scope)), Incoming::Done(_, completion)) => {
                    let arrived = store.arrive(scope, &std::mem::take(&mut self.selected), &completion);
                    let place = *place;
                    self.steps.pop_front();
                    if let Err(error) = arrived {
                        self.barred.insert(place);
                        return Ok(Some(News::Barred(place, error)));
                    }
                }
                (Some(Step::Select(..)), Incoming::Untagged(response)) => self.selected.hear(&response),
                (Some(Step::Noop), Incoming::Done(..)) => drop(self.steps.pop_front()),
                // What is said of a mailbox that nobody wants to hear of.
                (_, _) => {}
            }
        }
        Ok(None)
    }
}
