//! Draws the results as the pictures in the README: `benches/results/*.svg`.
//!
//! `cargo bench --bench picture` reads the results of the other benchmarks: those of the full mode, else those of the
//! quick mode. The pictures have their own background, so that they are readable on any page, and follow the reader's
//! light or dark theme if they are shown alone.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

#[path = "support/mod.rs"]
mod support;

use std::fmt::Write as _;

use serde_json::Value;
use support::figures::directory;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 120.0;
const BAR: f64 = 14.0;
const ROW: f64 = 22.0;
const TOP: f64 = 64.0;

const STYLE: &str = "<style>\
    .ground{fill:#ffffff}.text{fill:#1f2328}.quiet{fill:#59636e}.line{stroke:#d1d9e0}\
    .a{fill:#0969da}.b{fill:#8250df}.c{fill:#1a7f37}.whisker{stroke:#1f2328}.goal{stroke:#cf222e}\
    @media (prefers-color-scheme: dark){.ground{fill:#0d1117}.text{fill:#f0f6fc}.quiet{fill:#9198a1}\
    .line{stroke:#3d444d}.a{fill:#4493f8}.b{fill:#ab7df8}.c{fill:#3fb950}.whisker{stroke:#f0f6fc}\
    .goal{stroke:#f85149}}\
    text{font:12px ui-sans-serif,system-ui,sans-serif}.title{font-size:15px;font-weight:600}</style>";

/// One bar.
struct Bar {
    name: String,
    /// The label at its end.
    said: String,
    length: f64,
    /// The least and the greatest value of all turns.
    spread: Option<(f64, f64)>,
    class: &'static str,
}

/// Bars under a heading.
struct Group {
    heading: String,
    bars: Vec<Bar>,
    /// The goal, if there is one.
    goal: Option<f64>,
}

/// Draws a picture of bars, scaled so that `most` fills the width.
struct Picture {
    title: String,
    under: String,
    most: f64,
    groups: Vec<Group>,
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Picture {
    fn svg(&self) -> String {
        let rows: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        let height = TOP + ROW * rows as f64 + 34.0 * self.groups.len() as f64 + 12.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{0}\">{STYLE}\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\
             <text class=\"text title\" x=\"16\" y=\"26\">{0}</text>\
             <text class=\"quiet\" x=\"16\" y=\"46\">{1}</text>",
            escaped(&self.title),
            escaped(&self.under)
        );
        let mut y = TOP;
        for group in &self.groups {
            y += 24.0;
            let _ = write!(svg, "<text class=\"text\" x=\"16\" y=\"{y}\">{}</text>", escaped(&group.heading));
            y += 10.0;
            let begin = y;
            for bar in &group.bars {
                self.draw(&mut svg, bar, y);
                y += ROW;
            }
            if let Some(goal) = group.goal {
                let x = self.x(goal);
                let _ = write!(
                    svg,
                    "<line class=\"goal\" stroke-dasharray=\"3 3\" x1=\"{x}\" x2=\"{x}\" y1=\"{begin}\" y2=\"{}\"/>",
                    y - 4.0
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn x(&self, figure: f64) -> f64 {
        let room = WIDTH - LEFT - RIGHT;
        ((LEFT + room * (figure / self.most).clamp(0.0, 1.0)) * 10.0).round() / 10.0
    }

    fn draw(&self, svg: &mut String, bar: &Bar, y: f64) {
        let (end, middle) = (self.x(bar.length), y + BAR / 2.0);
        let _ = write!(
            svg,
            "<text class=\"quiet\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{}\" x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            LEFT - 8.0,
            y + BAR - 3.0,
            escaped(&bar.name),
            bar.class,
            (end - LEFT).max(1.0)
        );
        let mut after = end;
        if let Some((least, most)) = bar.spread {
            let (from, to) = (self.x(least), self.x(most));
            after = after.max(to);
            let _ = write!(
                svg,
                "<line class=\"whisker\" x1=\"{from}\" x2=\"{to}\" y1=\"{middle}\" y2=\"{middle}\"/>"
            );
        }
        let _ = write!(
            svg,
            "<text class=\"text\" x=\"{}\" y=\"{}\">{}</text>",
            after + 6.0,
            y + BAR - 3.0,
            escaped(&bar.said)
        );
    }
}

/// Reads the results of a benchmark.
fn read(name: &str) -> Option<Value> {
    let file = |end: &str| std::fs::read_to_string(directory().join(format!("{name}{end}.json"))).ok();
    let text = file("").or_else(|| file(".quick"))?;
    serde_json::from_str(&text).ok()
}

/// Describes when and on which machine results were measured.
fn origin(results: &Value) -> String {
    let machine = &results["machine"];
    let memory = machine["memory_mb"].as_f64().unwrap_or_default() / 1024.0;
    format!(
        "{} cores ({}), {memory:.0} GiB; {}, {} mode",
        machine["cores"],
        machine["processor"].as_str().unwrap_or("unknown"),
        results["date"].as_str().unwrap_or_default(),
        results["mode"].as_str().unwrap_or_default()
    )
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Draws the host's throughput relative to the limit's.
fn endpoints(results: &Value) -> Picture {
    let mut groups: Vec<Group> = Vec::new();
    for compared in items(&results["compared"]) {
        let engine = text(&compared["engine"]);
        if groups.last().is_none_or(|group| !group.heading.starts_with(&engine)) {
            let goal = if engine == "SQLite" { 0.6 } else { 0.7 };
            let heading = format!("{engine} (dashed: the goal, {goal} of the limit)");
            groups.push(Group { heading, bars: Vec::new(), goal: Some(goal) });
        }
        let Some(group) = groups.last_mut() else { continue };
        let throughput = |who: &str| {
            let side = items(&compared["sides"]).find(|side| side["who"] == who)?;
            side["throughput"]["median"].as_f64()
        };
        let mut add = |name: &str, ratio: &Value, who: &str, class| {
            if let (Some(length), Some(throughput)) = (ratio["median"].as_f64(), throughput(who)) {
                let spread = ratio["least"].as_f64().zip(ratio["most"].as_f64());
                let said = format!("{length:.2}  ({throughput:.0}/s)");
                group.bars.push(Bar { name: name.to_owned(), said, length, spread, class });
            }
        };
        let work = text(&compared["work"]);
        add(&work, &compared["root_of_limit"], "host, as root", "a");
        let durable = format!("{work}, both durable");
        add(&durable, &compared["root_of_durable_limit"], "host, as root", "c");
        let role = format!("{work}, role with a scope");
        add(&role, &compared["role_of_scoped_limit"], "host, as a role with a scope", "b");
    }
    Picture {
        title: "Requests a second, as a part of what hand-written endpoints do".to_owned(),
        under: origin(results),
        most: 1.25,
        groups,
    }
}

/// Draws the times of commands.
fn client(results: &Value) -> Picture {
    let bars: Vec<Bar> = items(&results["commands"])
        .map(|command| {
            let times = &command["times"];
            let length = times["median_ms"].as_f64().unwrap_or_default();
            let late = times["p95_ms"].as_f64().unwrap_or(length);
            let name = text(&command["what"]).replace(" applications", "");
            let class = if name.starts_with("nbapps") { "a" } else { "c" };
            Bar { name, said: format!("{length:.2} ms"), length, spread: Some((length, late)), class }
        })
        .collect();
    let most = bars.iter().filter_map(|bar| bar.spread).map(|(_, late)| late).fold(10.0, f64::max) * 1.1;
    let heading = "From the start of the process to its end, line to the 95th percentile (dashed: the goal)";
    Picture {
        title: "What a command costs".to_owned(),
        under: origin(results),
        most,
        groups: vec![Group { heading: heading.to_owned(), bars, goal: results["goal_ms"].as_f64() }],
    }
}

fn plain(heading: &str, unit: &str, rows: Vec<(String, f64)>) -> Group {
    let most = rows.iter().map(|(_, figure)| *figure).fold(f64::MIN_POSITIVE, f64::max);
    let bars = rows.into_iter().map(|(name, figure)| {
        let said = format!("{figure:.*} {unit}", usize::from(figure < 100.0));
        Bar { name, said, length: figure / most, spread: None, class: "a" }
    });
    Group { heading: heading.to_owned(), bars: bars.collect(), goal: None }
}

/// Draws the cost of applications, by their number, their collections and their rows.
fn growth(results: &Value) -> Picture {
    let of = |list: &str, name: &str, figure: fn(&Value) -> &Value| -> Vec<(String, f64)> {
        let rows = items(&results[list]);
        rows.map(|row| (format!("{} {name}", row[list]), figure(row).as_f64().unwrap_or_default())).collect()
    };
    let rows = |engine: &str, figure: &str| -> Vec<(String, f64)> {
        let all = items(&results["rows"]).filter(|row| row["engine"] == engine);
        all.map(|row| (format!("{} rows", row["rows"]), row[figure]["p50_ms"].as_f64().unwrap_or_default()))
            .collect()
    };
    let mut groups = vec![
        plain("Until the host answers", "ms", of("applications", "applications", |row| &row["boot_ms"])),
        plain(
            "First visit of an application",
            "ms",
            of("applications", "applications", |row| &row["first_visit"]["median_ms"]),
        ),
        plain(
            "A list, by collections of the application",
            "per s",
            of("collections", "collections", |row| &row["lists_per_second"]),
        ),
    ];
    for engine in ["SQLite", "PostgreSQL"] {
        groups.push(plain(
            &format!("{engine}: a page by the primary key, with its count, while nobody writes"),
            "ms",
            rows(engine, "list"),
        ));
        groups.push(plain(
            &format!("{engine}: the same behind a change"),
            "ms",
            rows(engine, "list_after_change"),
        ));
        groups.push(plain(&format!("{engine}: one record"), "ms", rows(engine, "get")));
    }
    Picture { title: "What grows with what".to_owned(), under: origin(results), most: 1.0, groups }
}

/// A figure and its upper limit.
fn bounded(heading: &str, unit: &str, goal: f64, rows: Vec<(&str, f64)>) -> Group {
    let most = rows.iter().map(|(_, figure)| *figure).fold(goal, f64::max) * 1.05;
    let bars = rows.into_iter().map(|(name, figure)| {
        let said = format!("{figure:.*} {unit}", usize::from(figure < 100.0));
        Bar { name: name.to_owned(), said, length: figure / most, spread: None, class: "a" }
    });
    let heading = format!("{heading} (dashed: the goal, {goal} {unit})");
    Group { heading, bars: bars.collect(), goal: Some(goal / most) }
}

/// Draws the cost of many applications.
fn density(results: &Value) -> Picture {
    let (sqlite, schemas) = (&results["sqlite"], &results["postgres_schemas"]);
    let figure = |value: &Value| value.as_f64().unwrap_or_default();
    let each = "kib_per_idle_application";
    let (registered, running) = (&sqlite["registered"], &sqlite["running"]);
    let groups = vec![
        bounded(
            &format!("Memory of an idle running application, one of {running}, on SQLite"),
            "KiB",
            100.0,
            vec![("SQLite", figure(&sqlite[each]))],
        ),
        bounded(
            &format!("The same in a schema, one of {}", schemas["running"]),
            "KiB",
            50.0,
            vec![("PostgreSQL", figure(&schemas[each]))],
        ),
        bounded(
            &format!("Until a host with {registered} applications answers"),
            "ms",
            1000.0,
            vec![("boot", figure(&sqlite["boot_ms"]))],
        ),
        bounded(
            &format!("nbapps list of {registered}, the whole process"),
            "ms",
            100.0,
            vec![
                ("list", figure(&sqlite["nbapps_list"]["list"]["median_ms"])),
                ("list -o name", figure(&sqlite["nbapps_list"]["list -o name"]["median_ms"])),
            ],
        ),
        bounded(
            "First visit of an application, while others are under load",
            "ms",
            15.0,
            vec![
                ("median", figure(&sqlite["first_visit"]["times"]["median_ms"])),
                ("99th percentile", figure(&sqlite["first_visit"]["times"]["p99_ms"])),
            ],
        ),
    ];
    Picture {
        title: "Many applications in one process".to_owned(),
        under: origin(results),
        most: 1.0,
        groups,
    }
}

/// Draws the effect of a flooded application on another one.
fn neighbours(results: &Value) -> Picture {
    let groups = items(&results["floods"]).map(|row| {
        let late = |when: &str| row[when]["all"]["p99_ms"].as_f64().unwrap_or_default();
        let quiet = late("quiet");
        let rows = vec![("quiet", quiet), ("flooded", late("flooded"))];
        let mut group = bounded("", "ms", quiet * 2.0, rows);
        group.heading = format!("{} (dashed: the goal, twice as long)", text(&row["flood"]));
        group
    });
    Picture {
        title: "99th percentile of one application while another one is flooded".to_owned(),
        under: origin(results),
        most: 1.0,
        groups: groups.collect(),
    }
}

/// Makes a picture of results.
type Draw = fn(&Value) -> Picture;

fn main() {
    let pictures: [(&str, Draw); 5] = [
        ("endpoints", endpoints),
        ("density", density),
        ("neighbours", neighbours),
        ("client", client),
        ("growth", growth),
    ];
    for (name, draw) in pictures {
        if let Some(results) = read(name) {
            let path = directory().join(format!("{name}.svg"));
            std::fs::write(&path, draw(&results).svg()).expect("a picture can be written");
            println!("drawn: benches/results/{name}.svg");
        }
    }
}
