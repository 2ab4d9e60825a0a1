//! Compares the host's endpoints with hand-written ones, called the limit, on the same work.
//!
//! Builds the limit (`benches/limit`, or the directory in `NBAPPS_LIMIT`), runs it and a host with the same rows, and
//! puts the same load on both alternately, so that other load on the machine affects both. The host's requests are
//! signed in and their permissions are checked: as root, and in a role whose scope is the records that its user
//! created. PostgreSQL and MariaDB run as private servers with durable commits, the same one for both sides.
//!
//! `cargo bench --bench endpoints` prints the medians of the turns and the ratios with their spread,
//! and writes them to `benches/results`; `-- --quick` takes some minutes. `NBAPPS_ROWS` rows (10,000).
//! `NBAPPS_ENGINES=sqlite,pg,mariadb` and `NBAPPS_WORK=list,get` choose. `NBAPPS_BEFORE` names another
//! build of `nbappsd`, which is measured as root in the same run, to see the effect of a change.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

mod engine;
mod limit;
mod report;
#[allow(dead_code, reason = "what the tests need beside it")]
#[path = "../../tests/servers/mod.rs"]
mod servers;
mod sides;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use engine::Engine;
use limit::Limit;
use report::Compared;
use sides::{Side, Work};
use support::figures::Results;
use support::host::Host;
use support::load::{Load, Measured};
use support::{Mode, is_chosen, run, with_durable_servers};

/// Measures every side in each turn. Every other turn is in reverse order, so that the order has no effect.
async fn turns(sides: &[Side], work: Work) -> Vec<(Side, Vec<Measured>)> {
    let mode = Mode::asked();
    let (turns, time) = (mode.choose(2, 16), Duration::from_secs(1));
    let able: Vec<&Side> = sides.iter().filter(|side| side.does(work)).collect();
    let mut all: Vec<(Side, Vec<Measured>)> =
        able.into_iter().map(|side| (side.clone(), Vec::new())).collect();
    for _ in 0..turns {
        for (side, measured) in &mut all {
            measured.push(Load::new(side.address, side.requests(work)).measure(time).await);
        }
        all.reverse();
    }
    all
}

async fn measure(results: &mut Results) {
    let directory = tempfile::tempdir().unwrap();
    let engines: Vec<Engine> =
        Engine::ALL.into_iter().filter(|engine| is_chosen("NBAPPS_ENGINES", engine.name())).collect();
    let limit = Limit::build();
    let normal = limit.run(directory.path(), "normal", &engines).await;
    let durable = limit.run(directory.path(), "full", &[]).await;
    let host = Host::start(&directory.path().join("host")).await;
    let before = match std::env::var("NBAPPS_BEFORE") {
        Ok(program) => Some(Host::run(&program, &directory.path().join("before"), &[]).await),
        Err(_) => None,
    };
    let mut compared = Vec::new();
    for engine in engines {
        let mut sides = sides::prepare(&host, engine, &normal, &durable).await;
        if let Some(before) = &before {
            sides.push(sides::before(before, engine).await);
        }
        for work in Work::ALL.into_iter().filter(|work| is_chosen("NBAPPS_WORK", work.name())) {
            let comparison = Compared::of(engine, work, turns(&sides, work).await);
            comparison.print();
            compared.push(comparison.json());
        }
    }
    results.set("compared", compared);
    host.stop().await;
    if let Some(before) = before {
        before.stop().await;
    }
}

fn main() {
    with_durable_servers();
    let mut results = Results::new("endpoints");
    results.set("rows", limit::rows());
    results.set("connections", support::load::CONNECTIONS);
    results.set("durability", report::DURABILITY);
    report::print_head();
    run(measure(&mut results));
    results.write();
}
