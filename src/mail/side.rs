//! The two ends of a synchronization, and values that exist once for each.

use std::fmt;
use std::ops::{Index, IndexMut};

/// One of the two ends of a synchronization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The side the configuration calls `local`.
    Local,
    /// The side the configuration calls `remote`.
    Remote,
}

impl Side {
    /// Both sides, in the order in which they are always visited.
    pub const BOTH: [Side; 2] = [Side::Local, Side::Remote];

    /// The opposite end.
    pub fn other(self) -> Side {
        match self {
            Side::Local => Side::Remote,
            Side::Remote => Side::Local,
        }
    }

    /// The word for this side in the configuration, the schema and every message.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Local => "local",
            Side::Remote => "remote",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value for each side, indexed by [`Side`], so that no code is written twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Both<T> {
    /// The value of the local side.
    pub local: T,
    /// The value of the remote side.
    pub remote: T,
}

impl<T> Both<T> {
    /// Asks `value` once for each side, local first.
    pub fn from_fn(mut value: impl FnMut(Side) -> T) -> Self {
        Both { local: value(Side::Local), remote: value(Side::Remote) }
    }

    /// The same, where asking can fail.
    pub fn try_from_fn<E>(mut value: impl FnMut(Side) -> Result<T, E>) -> Result<Self, E> {
        Ok(Both { local: value(Side::Local)?, remote: value(Side::Remote)? })
    }

    /// Turns each side's value into another.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Both<U> {
        Both { local: f(self.local), remote: f(self.remote) }
    }

    /// Borrows both values.
    pub fn as_ref(&self) -> Both<&T> {
        Both { local: &self.local, remote: &self.remote }
    }

    /// Borrows both values for change, as `source` and `target` of something that flows from `from`.
    pub fn source_and_target(&mut self, from: Side) -> (&mut T, &mut T) {
        match from {
            Side::Local => (&mut self.local, &mut self.remote),
            Side::Remote => (&mut self.remote, &mut self.local),
        }
    }
}

impl<T> Index<Side> for Both<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }
}

impl<T> IndexMut<Side> for Both<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Local => &mut self.local,
            Side::Remote => &mut self.remote,
        }
    }
}
