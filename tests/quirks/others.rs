//! others.
