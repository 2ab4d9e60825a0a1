//! StorageIdentity where a test can kill the daemon: between each two steps of a saga.

/// Kills the process, as `kill -9` does, if `NBAPPS_CRASH_AT` names this failpoint. Does nothing in a release
/// build.
pub(crate) fn crash_point(name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("NBAPPS_CRASH_AT").is_ok_and(|at| at == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
