//! The manual page interimap(1): what clap knows of the arguments, and what it cannot know.

use clap::Command;
use clap_mangen::Man;

use super::arguments::description;

/// What clap cannot know, in roff.
const SECTIONS: &str = include_str!("manual.roff");

/// The page in roff.
pub fn manual() -> String {
    let mut description = description();
    description.build();
    let man = Man::new(description.clone())
        .title("INTERIMAP")
        .section("1")
        .date("")
        .source(format!("interimap {}", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut page = PREAMBLE.to_owned();
    page.push_str(&rendered(|out| man.render_title(out)));
    page.push_str(&rendered(|out| man.render_name_section(out)));
    page.push_str(".SH SYNOPSIS\n.B interimap\n[\\fIGLOBAL OPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n");
    page.push_str(&rendered(|out| man.render_description_section(out)));
    page.push_str(".SH COMMANDS\n");
    for command in description.get_subcommands() {
        describe(command, "", &mut page);
    }
    page.push_str(&rendered(|out| man.render_options_section(out)));
    page.push_str(SECTIONS);
    page
}

/// A command, its arguments, and the commands below it.
fn describe(command: &Command, above: &str, page: &mut String) {
    let name = format!("{above}{}", command.get_name());
    let positionals = command.get_positionals().filter(|argument| !argument.is_hide_set());
    let arguments: String = positionals.map(|argument| format!(" {argument}")).collect();
    page.push_str(&format!(".SS \"{}\"\n", escaped(&format!("{name}{arguments}"))));
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    for paragraph in about.split("\n\n") {
        page.push_str(&format!(".PP\n{}.\n", escaped(paragraph.trim_end_matches('.'))));
    }
    // What every command takes is described once.
    let own = command.clone().mut_args(|argument| {
        let everywhere = argument.is_global_set() || matches!(argument.get_id().as_str(), "help" | "version");
        if everywhere { argument.hide(true) } else { argument }
    });
    let options = rendered(|out| Man::new(own.clone()).render_options_section(out));
    page.push_str(options.trim_start_matches(".SH OPTIONS\n"));
    for below in command.get_subcommands() {
        describe(below, &format!("{name} "), page);
    }
}

/// What is written in front of every piece, and belongs in front of the page only.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

fn rendered(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    render(&mut out).expect("a vector takes whatever is written to it");
    let piece = String::from_utf8(out).expect("the description is text, and roff leaves it one");
    piece.trim_start_matches(PREAMBLE).to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('-', "\\-").replace('"', "\\(dq")
}
