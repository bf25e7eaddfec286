//! The binary: hands the arguments to the library and its answer to the shell.

use std::process::ExitCode;

fn main() -> ExitCode {
    interimap::cli::main(std::env::args_os()).into()
}
