//! Reports the results, for people and for programs.

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::sides::{Side, Who, Work};
use crate::support::figures::{Spread, rounded};
use crate::support::load::Measured;

/// The durability of an acknowledged write on each side.
pub(crate) const DURABILITY: &str = "SQLite: the limit writes with synchronous=NORMAL, which a power failure may undo, and once more with \
     FULL; the host always with FULL. PostgreSQL and MariaDB: fsync on, the same server for both sides.";

pub(crate) fn print_head() {
    println!("{DURABILITY}\n");
    println!(
        "{:<10} {:<9} {:<30} {:>9} {:>8} {:>8}  of the limit (turns)",
        "", "", "", "req/s", "p50 ms", "p99 ms"
    );
}

/// The results of all sides for one kind of work.
pub(crate) struct Compared {
    engine: Engine,
    work: Work,
    sides: Vec<(Side, Vec<Measured>)>,
}

impl Compared {
    pub(crate) fn of(engine: Engine, work: Work, sides: Vec<(Side, Vec<Measured>)>) -> Self {
        Self { engine, work, sides }
    }

    fn measured(&self, who: Who) -> Option<&[Measured]> {
        self.sides.iter().find(|(side, _)| side.who == who).map(|(_, measured)| &**measured)
    }

    /// The ratios of two sides, turn by turn.
    fn ratio(&self, who: Who, to: Who, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        let turns = self.measured(who)?.iter().zip(self.measured(to)?);
        Spread::of(turns.map(|(one, other)| figure(one) / figure(other)))
    }

    /// Formats the ratio of two sides' throughput.
    fn said(&self, who: Who, to: Who) -> String {
        self.ratio(who, to, |turn| turn.throughput).map_or_else(String::new, |ratio| {
            format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.least, ratio.most)
        })
    }

    /// The side to compare a side with.
    fn yardstick(&self, who: Who) -> Who {
        match who {
            Who::Role if self.measured(Who::ScopedLimit).is_some() => Who::ScopedLimit,
            _ => Who::Limit,
        }
    }

    pub(crate) fn print(&self) {
        for (side, measured) in &self.sides {
            let median = |figure: fn(&Measured) -> f64| {
                Spread::of(measured.iter().map(figure)).unwrap_or_default().median
            };
            let ratio = match side.who {
                Who::Limit => String::new(),
                who @ Who::Role => {
                    format!("{}; of root {}", self.said(who, self.yardstick(who)), self.said(who, Who::Root))
                }
                who => self.said(who, Who::Limit),
            };
            println!(
                "{:<10} {:<9} {:<30} {:>9.0} {:>8.2} {:>8.2}  {ratio}",
                self.engine.title(),
                self.work.name(),
                side.who.name(),
                median(|turn| turn.throughput),
                median(|turn| turn.p50),
                median(|turn| turn.p99),
            );
        }
    }

    pub(crate) fn json(&self) -> Value {
        let spread = |spread: Option<Spread>| {
            spread.map(|spread| {
                json!({"median": rounded(spread.median), "least": rounded(spread.least), "most": rounded(spread.most)})
            })
        };
        let sides = self.sides.iter().map(|(side, measured)| {
            let figure = |figure: fn(&Measured) -> f64| spread(Spread::of(measured.iter().map(figure)));
            json!({
                "who": side.who.name(), "throughput": figure(|turn| turn.throughput),
                "p50_ms": figure(|turn| turn.p50), "p99_ms": figure(|turn| turn.p99),
                "requests": measured.iter().map(|turn| turn.requests).sum::<usize>(),
            })
        });
        let throughput = |who, to| spread(self.ratio(who, to, |turn| turn.throughput));
        json!({
            "engine": self.engine.title(), "work": self.work.name(), "sides": sides.collect::<Vec<_>>(),
            "root_of_limit": throughput(Who::Root, Who::Limit),
            "root_of_durable_limit": throughput(Who::Root, Who::DurableLimit),
            "root_of_another_host": throughput(Who::Root, Who::Before),
            "role_of_root": throughput(Who::Role, Who::Root),
            "scoped_limit_of_limit": throughput(Who::ScopedLimit, Who::Limit),
            "role_of_scoped_limit": throughput(Who::Role, self.yardstick(Who::Role)),
            "root_p99_of_limit": spread(self.ratio(Who::Root, Who::Limit, |turn| turn.p99)),
        })
    }
}
