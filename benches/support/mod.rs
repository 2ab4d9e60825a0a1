//! What benchmarks share: a host to measure, a load to put on it, figures and where they go.

#![allow(dead_code, reason = "not every benchmark needs all of it")]
#![allow(unreachable_pub, reason = "each benchmark is a program of its own")]

pub mod figures;
pub mod fleet;
pub mod host;
pub mod load;

use std::sync::OnceLock;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Enough to see that everything works, within a minute.
    Quick,
    /// Enough to be told.
    Full,
}

impl Mode {
    /// `--quick` or `NBAPPS_BENCH=quick`; without them, full.
    pub fn asked() -> Self {
        static MODE: OnceLock<Mode> = OnceLock::new();
        *MODE.get_or_init(|| {
            let argument = std::env::args().any(|argument| argument == "--quick");
            let variable = std::env::var("NBAPPS_BENCH").is_ok_and(|mode| mode == "quick");
            if argument || variable { Self::Quick } else { Self::Full }
        })
    }

    /// One value for each mode.
    pub fn choose<T>(self, quick: T, full: T) -> T {
        if self == Self::Quick { quick } else { full }
    }

    /// As it is written into results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// What chooses a part of the work.
const CHOOSE: [&str; 4] = ["NBAPPS_BEFORE", "NBAPPS_ENGINES", "NBAPPS_FLOODS", "NBAPPS_WORK"];

/// Whether all of the work is done, and nothing beside it.
pub fn is_whole() -> bool {
    CHOOSE.iter().all(|variable| std::env::var_os(variable).is_none())
}

/// Whether something is among what a variable chooses by name; without it, everything is.
pub fn is_chosen(variable: &str, name: &str) -> bool {
    std::env::var(variable).map_or(true, |all| all.split(',').any(|one| one.trim() == name))
}

/// Runs the benchmark again with `DURABLE=1`, before it has a second thread, so that the private
/// servers it starts keep what they acknowledge, as in use.
pub fn with_durable_servers() {
    if std::env::var_os("DURABLE").is_some() {
        return;
    }
    let again = std::env::current_exe().expect("this program is somewhere");
    let mut command = std::process::Command::new(again);
    let status = command.args(std::env::args_os().skip(1)).env("DURABLE", "1").status();
    std::process::exit(status.expect("the benchmark can be run").code().unwrap_or(1));
}

/// Has asynchronous work done on all cores.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}
