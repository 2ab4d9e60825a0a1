//! `nbapps`: the shell command for operators and scripts.

use std::process::ExitCode;

fn main() -> ExitCode {
    nbapps::cli_main()
}
