//! An exhaustive check in a small world: the real planner, engine and state against servers in memory, every combination
//! of a few user actions, a crash at every effect and on both sides of every commit, a user acting in between. It has to
//! converge; nothing may be lost, revived or doubled; a further run has to plan nothing.

mod cases;
mod copies;
mod histories;
#[path = "../../../tests/support/memory.rs"]
#[expect(unreachable_pub, reason = "the integration tests use it from outside")]
mod memory;
mod moves;
mod oddities;
mod scenarios;
mod uidplus;
mod wander;
mod world;
