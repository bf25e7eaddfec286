//! Rounds of edits on both sides and runs between them, some of which are killed: in the end both sides hold what the
//! edits imply, and a further run has nothing to do.

use std::thread::sleep;
use std::time::Duration;

use interimap::mail::{Both, Side};

use super::bed::{Bed, Run};
use super::editor::Editor;
use super::maildir::Tree;
use super::proxy::{Direction, Fault};
use super::random::Random;

/// The edits of a round are more than the guard lets pass, so it is told that all may go.
pub(crate) const NO_GUARD: &str = "max-delete = \"100%\"";

/// How the system says that a program was killed and had not ended by itself before.
pub(crate) const KILLED: i32 = -9;

/// So many edits and a run over them, as often as `rounds` says.
pub(crate) fn edit_in_rounds(bed: &mut Bed, editor: &mut Editor, rounds: u64, edits: u64) {
    bed.settings = NO_GUARD.to_owned();
    for round in 0..rounds {
        editor.edit(&mut Both::from_fn(|side| bed.editor(side)), edits);
        let run = bed.sync();
        let status = i32::from(editor.keeps_a_deleted_mailbox());
        bed.check(
            run.status == status,
            &format!("round {round}: status {status} was expected\n{}", editor.log()),
            &run,
        );
        for tree in Side::BOTH.into_iter().filter_map(|side| bed.servers[side].tree()) {
            let leftovers = tree.leftovers();
            bed.check(leftovers.is_empty(), &format!("round {round} leaves something undelivered:\n{leftovers}"), &run);
        }
        check_outcome(bed, editor, &run, &format!("round {round}"));
    }
}

/// Rounds of runs, during which the users edit on, and of a run that may do what is left in peace. Gives how many edits
/// were drawn while a run was going on.
pub(crate) fn edit_during_runs(bed: &mut Bed, editor: &mut Editor, rounds: u64) -> u64 {
    bed.settings = NO_GUARD.to_owned();
    let mut drawn = 0;
    for round in 0..rounds {
        let mut editors = Both::from_fn(|side| bed.editor(side));
        editor.edit(&mut editors, 20);
        for _ in 0..3 {
            for side in Side::BOTH {
                bed.proxies[side].forget();
            }
            let mut running = bed.start(&["sync"]);
            while running.runs() {
                editor.edit_meanwhile(&mut editors);
                drawn += 1;
                // Users are not that fast, and a run that always finds something new would never end.
                sleep(Duration::from_millis(5));
            }
            let run = running.finish();
            // What somebody took away while it was at work it may have left undone.
            bed.check([0, 1].contains(&run.status), &format!("round {round}: it goes on\n{}", editor.log()), &run);
        }
        drop(editors);
        let run = bed.sync();
        let is_fine = run.status == 0 || (run.status == 1 && editor.keeps_a_deleted_mailbox());
        bed.check(is_fine, &format!("round {round}: the last run must end well\n{}", editor.log()), &run);
        check_outcome(bed, editor, &run, &format!("round {round}"));
    }
    drawn
}

/// So many rounds of edits, of runs killed at random moments with more edits between them, and of a run that may live.
/// Gives how many runs were killed before their end.
pub(crate) fn live_and_die(bed: &mut Bed, editor: &mut Editor, seed: u64, rounds: u64) -> u64 {
    bed.settings = NO_GUARD.to_owned();
    let mut random = Random::new(seed ^ 0xdead);
    // How much a run had to say in each direction, to choose moments from.
    let mut usual: Both<[u64; 2]> = Both::from_fn(|_| [3_000, 3_000]);
    let mut kills = 0;
    for round in 0..rounds {
        let mut deaths = Vec::new();
        for _ in 0..=random.below(3) {
            editor.edit(&mut Both::from_fn(|side| bed.editor(side)), 15);
            let (run, moment) = die(bed, &mut random, &usual);
            kills += u64::from(run.status == KILLED);
            deaths.push(moment);
        }
        editor.edit(&mut Both::from_fn(|side| bed.editor(side)), 5);
        let story = format!("round {round}, killed {deaths:?}");
        let run = bed.sync();
        for side in Side::BOTH {
            let passed = bed.proxies[side].passed();
            usual[side] = [passed.to_server, passed.to_client];
        }
        // What a killed run has done already it cannot tell any more, so the last one may have nothing left to tell.
        let is_fine = run.status == 0 || (run.status == 1 && editor.keeps_a_deleted_mailbox());
        bed.check(is_fine, &format!("{story}: the last run must end well\n{}", editor.log()), &run);
        check_outcome(bed, editor, &run, &story);
    }
    kills
}

/// Checks that both sides hold what the edits imply and that a further run is quiet; what they hold is the new ground.
fn check_outcome(bed: &Bed, editor: &mut Editor, run: &Run, story: &str) {
    bed.check_equal(run);
    let snapshot = bed.fullest_snapshot();
    let surprises = editor.surprises(&snapshot);
    let text = || format!("{story}: this is not what the edits imply:\n{surprises}\n{}", editor.log());
    bed.check(surprises.is_empty(), &text(), run);
    bed.check_quiet();
    editor.adopt(&snapshot);
}

/// Starts a run, kills it at a moment drawn by lot, and says which. The run may have ended by then.
fn die(bed: &Bed, random: &mut Random, usual: &Both<[u64; 2]>) -> (Run, String) {
    for side in Side::BOTH {
        bed.proxies[side].forget();
    }
    let (run, moment) = if random.percent(25) {
        let running = bed.start(&["sync"]);
        let wait = random.below(120_000);
        sleep(Duration::from_micros(wait));
        (running.kill(), format!("after {wait} us"))
    } else {
        let side = Side::BOTH[random.below(2) as usize];
        if let Some(tree) = bed.servers[side].tree() {
            return die_over(bed, tree, random.below(40));
        }
        let proxy = &bed.proxies[side];
        let direction = [Direction::ToServer, Direction::ToClient][random.below(2) as usize];
        let octets = random.below(usual[side][usize::from(direction == Direction::ToClient)] + 200);
        proxy.arm(direction, octets, Fault::Stall);
        let mut running = bed.start(&["sync"]);
        while running.runs() && !proxy.wait_for_fault(Duration::from_millis(5)) {}
        let run = running.kill();
        // The network may still deliver what the dead program said, or lose it.
        if random.percent(50) {
            proxy.heal()
        } else {
            proxy.lose()
        }
        (run, format!("after {octets} octets {direction:?} {side}"))
    };
    for side in Side::BOTH {
        bed.proxies[side].settle();
    }
    (run, moment)
}

/// Starts a run and kills it when so many names have come and gone in a tree of Maildirs.
pub(crate) fn die_over(bed: &Bed, tree: &Tree, events: u64) -> (Run, String) {
    let mut watch = tree.watch();
    let mut running = bed.start(&["sync"]);
    while running.runs() && watch.seen() < events {
        sleep(Duration::from_micros(100));
    }
    let run = running.kill();
    for side in Side::BOTH {
        bed.proxies[side].settle();
    }
    (run, format!("after {events} changes of the tree"))
}
