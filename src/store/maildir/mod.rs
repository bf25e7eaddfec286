//! A tree of Maildirs, to which an index gives UIDs and mod-sequences, so that it looks like a QRESYNC server.

mod endpoint;
#[cfg_attr(not(test), expect(dead_code, reason = "the store that uses it comes next"))]
mod file_name;
#[cfg_attr(not(test), expect(dead_code, reason = "the store that uses it comes next"))]
mod keywords;
#[cfg_attr(not(test), expect(dead_code, reason = "the store that uses it comes next"))]
mod line_ends;
#[cfg_attr(not(test), expect(dead_code, reason = "the store that uses it comes next"))]
mod path;

pub use endpoint::{Durability, Endpoint, IndexFile, KeywordStorage, Layout, NameEncoding};

use super::{Cause, Error, Store};

/// Opens a tree, and makes it where there is none and the index knows of none.
pub async fn open(endpoint: &Endpoint, _index: IndexFile) -> Result<Box<dyn Store>, Error> {
    Err(Error::side(Cause::CannotHold, format!("{} cannot be opened", endpoint.path.display())))
}
