//! What the benchmarks share: a host to measure, a load, statistics and files of results.

#![allow(dead_code, reason = "not every benchmark needs all of it")]
#![allow(unreachable_pub, reason = "each benchmark is a program of its own")]

pub mod figures;
pub mod fleet;
pub mod host;
pub mod load;

use std::sync::OnceLock;

/// The amount of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Enough to check that everything works, within a minute or two.
    Quick,
    /// Enough to publish.
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

    /// Its name in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// The environment variables that select a part of the work.
const CHOOSE: [&str; 4] = ["NBAPPS_BEFORE", "NBAPPS_ENGINES", "NBAPPS_FLOODS", "NBAPPS_WORK"];

/// Whether all of the work is selected, and nothing else.
pub fn is_whole() -> bool {
    CHOOSE.iter().all(|variable| std::env::var_os(variable).is_none())
}

/// Whether a variable selects something by name. Without the variable, everything is selected.
pub fn is_chosen(variable: &str, name: &str) -> bool {
    std::env::var(variable).map_or(true, |all| all.split(',').any(|one| one.trim() == name))
}

/// Runs the benchmark again with `DURABLE=1`, before it has a second thread, so that the private
/// servers that it starts have durable commits, as in production.
pub fn with_durable_servers() {
    if std::env::var_os("DURABLE").is_some() {
        return;
    }
    let again = std::env::current_exe().expect("this program is somewhere");
    let mut command = std::process::Command::new(again);
    let status = command.args(std::env::args_os().skip(1)).env("DURABLE", "1").status();
    std::process::exit(status.expect("the benchmark can be run").code().unwrap_or(1));
}

/// Runs asynchronous work on all cores.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}
