//! Chooses the applications that have labels of their own in the metrics: a bounded number of those with the most
//! requests.
//!
//! An application keeps its label until another one has more than twice as many requests, so that time series do not
//! come and go. The counters of the others together never decrease, whichever applications are among them:
//! Prometheus would take a decrease for a restart, and count everything once more.

use std::collections::{HashMap, HashSet};

use crate::protocol::AppId;
use crate::supervisor::traffic::Totals;

/// The label of all applications without a label of their own. No ID begins with `_`.
pub(super) const OTHER: &str = "_other";

/// The applications that have labels of their own.
#[derive(Debug, Default)]
pub(super) struct Labels {
    labelled: HashSet<AppId>,
    /// Those that had a label until the last choice, and have none now.
    demoted: Vec<AppId>,
    /// What is added to the counters of the others, so that they continue where they were; modulo 2^64.
    offset: Totals,
    /// The counters of the others as they were told last.
    told: Totals,
}

impl Labels {
    /// Chooses at most `max` applications, by their numbers of requests.
    pub(super) fn choose(&mut self, requests: HashMap<&AppId, u64>, max: usize) {
        let before = std::mem::take(&mut self.labelled);
        let (mut kept, mut rest): (Vec<_>, Vec<_>) =
            requests.iter().map(|(id, count)| (*count, *id)).partition(|(_, id)| before.contains(*id));
        rest.sort_unstable_by_key(|(count, id)| (std::cmp::Reverse(*count), *id));
        let free = max.saturating_sub(kept.len()).min(rest.len());
        let added: Vec<_> = rest.drain(..free).collect();
        kept.sort_unstable();
        for (place, challenger) in kept.iter_mut().zip(rest) {
            if challenger.0 <= place.0.saturating_mul(2) {
                break;
            }
            *place = challenger;
        }
        self.labelled = kept.into_iter().chain(added).take(max).map(|(_, id)| id.clone()).collect();
        let is_demoted = |id: &AppId| requests.contains_key(id) && !self.labelled.contains(id);
        self.demoted = before.into_iter().filter(is_demoted).collect();
    }

    /// Whether an application has a label of its own.
    pub(super) fn has(&self, id: &AppId) -> bool {
        self.labelled.contains(id)
    }

    /// The applications that lost their labels with the last choice.
    pub(super) fn demoted(&self) -> &[AppId] {
        &self.demoted
    }

    /// Takes the counters of an application, which was told apart until now, out of those of the others.
    pub(super) fn leave_out(&mut self, totals: &Totals) {
        self.offset.combine(totals, u64::wrapping_sub);
    }

    /// The counters of the others, from the sum of what they have counted.
    pub(super) fn other(&mut self, sum: Totals) -> Totals {
        let mut now = sum.clone();
        now.combine(&self.offset, u64::wrapping_add);
        // An application that was deleted, or got a label, has taken its part with it, which may leave less than none.
        now.combine(&self.told, |now, told| now.cast_signed().max(told.cast_signed()).cast_unsigned());
        self.offset = now.clone();
        self.offset.combine(&sum, u64::wrapping_sub);
        self.told = now.clone();
        now
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::supervisor::traffic::Traffic;

    fn choose(labels: &mut Labels, requests: &[(&str, u64)], max: usize) -> Vec<String> {
        let ids: Vec<_> = requests.iter().map(|(id, count)| (AppId::parse(id).unwrap(), *count)).collect();
        labels.choose(ids.iter().map(|(id, count)| (id, *count)).collect(), max);
        let mut labelled: Vec<_> = labels.labelled.iter().map(ToString::to_string).collect();
        labelled.sort();
        labelled
    }

    #[test]
    fn those_with_the_most_requests_have_labels() {
        let mut labels = Labels::default();
        assert_eq!(choose(&mut labels, &[("a", 0), ("b", 5), ("c", 7)], 5), ["a", "b", "c"]);
        let mut labels = Labels::default();
        assert_eq!(choose(&mut labels, &[("a", 0), ("b", 5), ("c", 7), ("d", 5)], 2), ["b", "c"]);
        // Another one needs more than twice as many requests.
        assert_eq!(choose(&mut labels, &[("a", 0), ("b", 5), ("c", 7), ("d", 10)], 2), ["b", "c"]);
        assert!(labels.demoted().is_empty());
        assert_eq!(choose(&mut labels, &[("a", 99), ("b", 5), ("c", 7), ("d", 11)], 2), ["a", "c"]);
        assert_eq!(labels.demoted(), [AppId::parse("b").unwrap()]);
        // One that was deleted makes room.
        assert_eq!(choose(&mut labels, &[("b", 5), ("c", 7), ("d", 11)], 2), ["c", "d"]);
        assert!(labels.demoted().is_empty());
        assert!(choose(&mut labels, &[("c", 7)], 0).is_empty());
    }

    fn totals(requests: u64) -> Totals {
        let traffic = Traffic::default();
        traffic.count_cold_start(Duration::ZERO);
        (0..requests).for_each(|_| traffic.count(200, Duration::ZERO));
        traffic.totals().unwrap()
    }

    #[test]
    fn the_counters_of_the_others_continue_whoever_is_among_them() {
        let mut labels = Labels::default();
        assert_eq!(labels.other(totals(10)).requests(), 10);
        assert_eq!(labels.other(totals(12)).requests(), 12);
        // One of nine requests is deleted, or gets a label.
        assert_eq!(labels.other(totals(3)).requests(), 12);
        assert_eq!(labels.other(totals(5)).requests(), 14);
        // One of a hundred requests loses its label.
        labels.leave_out(&totals(100));
        assert_eq!(labels.other(totals(105)).requests(), 14);
        assert_eq!(labels.other(totals(106)).requests(), 15);
        // It is deleted.
        assert_eq!(labels.other(totals(6)).requests(), 15);
        assert_eq!(labels.other(totals(8)).requests(), 17);
    }
}
