//! All statistics as text for Prometheus.
//!
//! A host may have thousands of applications, and each label value is a time series of its own in Prometheus. So only
//! some applications are told apart (`metrics/labels.rs`); the others are summed up. `metrics/exposition.rs` writes
//! the text.

mod exposition;
mod labels;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::protocol::{AppId, Metrics, State};

use super::Supervisor;
use super::statistics::Usage;
use super::traffic::Totals;
use exposition::{Exposition, Figures};
use labels::Labels;

/// How long the measured sizes of databases are used again: on a server, each is a query.
const SIZES_VALID: Duration = Duration::from_secs(60);
/// How long sizes may be waited for: Prometheus gives up a scrape after ten seconds by default.
const SIZES_TIMEOUT: Duration = Duration::from_secs(4);

/// What is kept between two readings of the metrics.
#[derive(Debug, Default)]
pub(super) struct MetricsState {
    labels: Mutex<Labels>,
    sizes: Mutex<MeasuredSizes>,
}

/// The sizes of databases, in bytes.
#[derive(Debug, Default)]
struct MeasuredSizes {
    at: Option<Instant>,
    sizes: HashMap<AppId, u64>,
}

impl Supervisor {
    /// Gives all statistics as OpenMetrics text.
    pub async fn metrics(&self) -> Metrics {
        let (states, mut applications) = self.figures();
        self.add_sizes(&mut applications).await;
        Exposition { host: self.host_stats(), states, applications }.metrics()
    }

    /// The number of applications in each state, and the figures of applications by label.
    fn figures(&self) -> (BTreeMap<&'static str, u64>, BTreeMap<String, Figures>) {
        let mut states: BTreeMap<_, _> = State::ALL
            .iter()
            .filter(|state| **state != State::NotFound)
            .map(|state| (state.as_str(), 0))
            .collect();
        let mut all = HashMap::new();
        for entry in self.all_entries() {
            if let Some(count) = states.get_mut(entry.state().as_str()) {
                *count += 1;
            }
            let totals = entry.admission.traffic().totals().unwrap_or_default();
            all.insert(entry.id.clone(), (totals, Usage::of(&entry)));
        }
        let mut labels = self.metrics.labels.lock();
        let requests = all.iter().map(|(id, (totals, _))| (id, totals.requests()));
        labels.choose(requests.collect(), self.options.metrics_applications);
        for id in labels.demoted().to_vec() {
            if let Some((totals, _)) = all.get(&id) {
                labels.leave_out(totals);
            }
        }
        let (mut told, mut other, mut other_totals) = (BTreeMap::new(), None, Totals::default());
        for (id, (totals, usage)) in all {
            if labels.has(&id) {
                told.insert(id.to_string(), Figures { totals, usage, database_size: None });
            } else {
                other_totals.combine(&totals, u64::wrapping_add);
                other.get_or_insert_with(Usage::default).add(&usage);
            }
        }
        let totals = labels.other(other_totals);
        if let Some(usage) = other {
            told.insert(labels::OTHER.to_owned(), Figures { totals, usage, database_size: None });
        }
        (states, told)
    }

    /// Adds the sizes of the databases of running applications that have labels of their own.
    async fn add_sizes(&self, applications: &mut BTreeMap<String, Figures>) {
        let fresh = |sizes: &MeasuredSizes| sizes.at.is_some_and(|at| at.elapsed() < SIZES_VALID);
        let known = {
            let measured = self.metrics.sizes.lock();
            fresh(&measured).then(|| measured.sizes.clone())
        };
        let sizes = match known {
            Some(known) => known,
            None => {
                let ids = applications.keys().filter_map(|label| AppId::parse(label).ok());
                let mut sizes: Vec<(AppId, Option<u64>)> =
                    ids.filter(|id| self.is_running(id)).map(|id| (id, None)).collect();
                let measured = self.measure_each(sizes.iter_mut().map(|(id, size)| (&*id, size)));
                // What is not measured in time has no value until the next time.
                let _ = tokio::time::timeout(SIZES_TIMEOUT, measured).await;
                let sizes: HashMap<_, _> =
                    sizes.into_iter().filter_map(|(id, size)| Some((id, size?))).collect();
                *self.metrics.sizes.lock() = MeasuredSizes { at: Some(Instant::now()), sizes: sizes.clone() };
                sizes
            }
        };
        for (id, size) in sizes {
            if let Some(figures) = applications.get_mut(id.as_str()) {
                figures.database_size = Some(size);
            }
        }
    }
}
