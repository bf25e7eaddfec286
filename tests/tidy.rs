//! House rules that no compiler checks: who may name whom, and what every file says of itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may name besides itself, in the order of the layers.
const ROOMS: &[(&str, &[&str])] = &[
    ("mail", &[]),
    ("plan", &["mail"]),
    ("state", &["mail", "plan"]),
    ("store", &["mail"]),
    ("engine", &["mail", "plan", "state", "store"]),
    // What it complains of is shown as any other trouble is.
    ("config", &["mail", "plan", "store", "report"]),
    ("report", &["mail", "plan", "state", "store", "engine"]),
    ("cli", &["mail", "plan", "state", "store", "engine", "config", "report"]),
];

/// Words that a room must not hold, for what they would bring in.
const ABSENT: &[(&str, &[&str])] = &[
    ("mail", &["std::fs", "std::net", "tokio", "async fn", "rusqlite", "SystemTime", "println!"]),
    (
        "plan",
        &[
            "std::fs",
            "std::net",
            "tokio",
            "async fn",
            "rusqlite",
            "SystemTime",
            "Instant",
            "tracing",
            "rand",
            "println!",
        ],
    ),
    ("state", &["tokio", "async fn", "std::net", "println!"]),
    ("store", &["rusqlite", "println!"]),
    ("engine", &["rusqlite", "println!", "SELECT ", "std::net", "SystemTime"]),
];

#[test]
fn rooms_name_only_the_rooms_below_them() {
    for (room, allowed) in ROOMS {
        for (path, text) in sources(room) {
            for (number, line) in code_of(&text) {
                for named in line.split("crate::").skip(1) {
                    let named: String = named.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let known = ROOMS.iter().any(|(name, _)| *name == named);
                    let fine = !known || named == *room || allowed.contains(&named.as_str());
                    assert!(fine, "{}:{number}: {room} must not name {named}", path.display());
                }
            }
        }
    }
}

#[test]
fn the_stores_do_not_know_each_other() {
    for (path, text) in sources("store") {
        let own = path.components().any(|part| part.as_os_str() == "imap");
        assert!(!own || !text.contains("store::maildir"), "{}: a store names another one", path.display());
    }
}

#[test]
fn what_is_absent_from_a_room_stays_absent() {
    for (room, words) in ABSENT {
        for (path, text) in sources(room).into_iter().filter(|(path, _)| !is_test(path)) {
            for (number, line) in code_of(&text) {
                for word in *words {
                    assert!(!line.contains(word), "{}:{number}: {room} does without {word}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "tests", "fuzz/fuzz_targets"] {
        for path in rust_files(Path::new(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{} does not open with //!", path.display());
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // The words are put together here, so that this file does not hold them.
    let words = [["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["XX", "X"], ["#[ig", "nore"], ["dbg", "!("]];
    for path in rust_files(Path::new("src")).into_iter().chain(rust_files(Path::new("tests"))) {
        let text = fs::read_to_string(&path).unwrap();
        for word in words.map(|parts| parts.concat()) {
            assert!(!text.contains(&word), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn names_say_what_a_thing_is() {
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code_of(&text) {
            let declared = ["fn ", "struct ", "enum ", "mod ", "trait "].iter().find_map(|word| line.split_once(word));
            let Some((_, name)) = declared else { continue };
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let folded = name.to_lowercase();
            for word in ["manager", "handler", "helper", "util", "process_", "do_it"] {
                assert!(!folded.contains(word), "{}:{number}: {name} says nothing", path.display());
            }
        }
    }
}

/// The lines up to the tests of a file, without comments.
fn code_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]") || line.contains("extern"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test(path: &Path) -> bool {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.iter().any(|part| part == "model" || part == "tests" || part == "tests.rs")
}

fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut paths = rust_files(&Path::new("src").join(room));
    let single = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(format!("{room}.rs"));
    paths.extend(single.exists().then_some(single));
    assert!(!paths.is_empty(), "there is no room {room}");
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
