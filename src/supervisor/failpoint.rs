//! Places where a test can kill the daemon: between each two steps of a saga.

/// Ends the process as `kill -9` would when `NBAPPS_CRASH_AT` names this point. Exists in debug
/// builds alone, which is what the tests run; a release build has no trace of it.
pub(crate) fn crash_point(name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("NBAPPS_CRASH_AT").is_ok_and(|at| at == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
