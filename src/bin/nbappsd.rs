//! `nbappsd`: the host daemon.

/// SQLite and the runtime make and drop small pieces on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    nbapps::daemon_main()
}
