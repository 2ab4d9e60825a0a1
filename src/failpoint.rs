//! Failpoints: where tests make a handler panic, and where they kill the daemon between two steps of a saga.

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

/// Panics when `NBAPPS_PANIC_AT` names this action (`crash:now`). Exists in debug builds and with
/// the feature `crash-points` alone; a release build has no trace of it.
pub(crate) fn panic_point(target: &str) {
    #[cfg(any(debug_assertions, feature = "crash-points"))]
    {
        static AT: std::sync::LazyLock<Option<String>> =
            std::sync::LazyLock::new(|| std::env::var("NBAPPS_PANIC_AT").ok());
        assert!(AT.as_deref() != Some(target), "on purpose, at {target}");
    }
    #[cfg(not(any(debug_assertions, feature = "crash-points")))]
    let _ = target;
}
