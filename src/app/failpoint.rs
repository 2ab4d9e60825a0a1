//! A failpoint: tests make a handler panic at it.

/// Panics when `NBAPPS_PANIC_AT` names this action (`crash:now`). Exists in debug builds and with
/// the feature `crash-points` alone; a release build has no trace of it.
pub(super) fn panic_point(target: &str) {
    #[cfg(any(debug_assertions, feature = "crash-points"))]
    {
        static AT: std::sync::LazyLock<Option<String>> =
            std::sync::LazyLock::new(|| std::env::var("NBAPPS_PANIC_AT").ok());
        assert!(AT.as_deref() != Some(target), "on purpose, at {target}");
    }
    #[cfg(not(any(debug_assertions, feature = "crash-points")))]
    let _ = target;
}
