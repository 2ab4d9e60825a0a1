//! Statistics of measurements, the machine on which they were made, and the files of results.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::Mode;

/// The median of some figures, with the least and the greatest.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of these figures; `None` without any.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            0 => f64::midpoint(figures[middle - 1], figures[middle]),
            _ => figures[middle],
        };
        Some(Self { median, least, most })
    }
}

/// The measured times of one thing.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<f64>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(milliseconds(time));
    }

    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// A percentile, in milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        at(&sorted, percent)
    }

    pub fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    /// The median and the 99th percentile in milliseconds, and the number of times.
    pub fn json(&self) -> Value {
        json!({
            "median_ms": rounded(self.median()), "p95_ms": rounded(self.percentile(95.0)),
            "p99_ms": rounded(self.percentile(99.0)), "times": self.0.len(),
        })
    }
}

/// A percentile of sorted figures.
pub fn at(sorted: &[f64], percent: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let place = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Formats a figure with its significant digits.
pub fn rounded(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return figure;
    }
    let scale = 10_f64.powi(2 - figure.abs().log10().floor() as i32);
    (figure * scale).round() / scale
}

/// Measures a program from its start to its end. It must succeed.
pub fn time(command: &mut Command) -> Duration {
    use std::process::Stdio;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().expect("the program can be run");
    let took = begun.elapsed();
    assert!(status.success(), "{command:?} ended with {status}");
    took
}

/// Describes the machine.
fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let kilobytes = memory.and_then(|memory| memory.split(' ').next()?.parse::<u64>().ok());
    json!({
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "processor": after(&read("/proc/cpuinfo"), "model name"),
        "memory_mb": kilobytes.map(|kilobytes| kilobytes / 1024),
        "system": read("/proc/sys/kernel/osrelease").trim(),
        "load_before": read("/proc/loadavg").split(' ').next().and_then(|load| load.parse::<f64>().ok()),
    })
}

/// The results of a benchmark, with the time and the machine.
pub struct Results {
    name: &'static str,
    all: serde_json::Map<String, Value>,
}

impl Results {
    /// Creates empty results. Call it before anything is measured.
    pub fn new(name: &'static str) -> Self {
        let mut all = serde_json::Map::new();
        all.insert("benchmark".to_owned(), name.into());
        all.insert("date".to_owned(), chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string().into());
        all.insert("mode".to_owned(), Mode::asked().as_str().into());
        all.insert("machine".to_owned(), machine());
        Self { name, all }
    }

    pub fn set(&mut self, key: &str, value: impl Serialize) {
        self.all.insert(key.to_owned(), serde_json::to_value(value).expect("figures are JSON"));
    }

    /// Writes them to `benches/results`. Results of the quick mode or of a part of the work get another name, since
    /// they do not replace complete ones.
    pub fn write(self) {
        let end = if super::is_whole() { Mode::asked().choose(".quick", "") } else { ".part" };
        let path = directory().join(format!("{}{end}.json", self.name));
        let text = serde_json::to_string_pretty(&self.all).expect("figures are JSON");
        std::fs::write(&path, text + "\n").expect("results can be written");
        println!("\nwritten to benches/results/{}{end}.json", self.name);
    }
}

/// The directory of the results.
pub fn directory() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    std::fs::create_dir_all(&directory).expect("a directory for results");
    directory
}
