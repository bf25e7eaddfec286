//! What this program and its peers cost, side by side: the same mail, the same servers, the same distance, in turn in one
//! run. Started by `contrib/bench`; nothing in it is held to a duration.

#![expect(clippy::unwrap_used, reason = "where the ground is not firm, a panic is the report")]

#[path = "../../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest of the bed")]
mod support;

mod account;
mod arguments;
mod cases;
mod census;
mod changes;
mod distance;
mod growth;
mod json;
mod letters;
mod measure;
mod plot;
mod programs;
mod servers;
mod stand;
mod table;
mod wire;

use clap::Parser as _;

use arguments::Arguments;
use servers::Servers;

fn main() {
    let arguments = Arguments::parse();
    let programs = programs::installed(&arguments.programs);
    let servers = Servers::start();
    if arguments.grow {
        let points = growth::measure(&servers, &programs, &arguments.growth());
        json::write("grow", &programs, &points);
        plot::write("grow", &points);
        return;
    }
    println!("{}", table::title(&programs, &arguments));
    let mut tables = Vec::new();
    cases::measure(&servers, &programs, &arguments, &mut |table| {
        println!("{}", table::text(&table));
        tables.push(table);
    });
    json::write("cases", &programs, &tables);
}
