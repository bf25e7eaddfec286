//! Says to people and programs what happened; decides nothing.

mod printable;

pub use printable::{printable, shell_quoted};
