//! Spinners on standard error while the daemon works.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::printable;
use crate::protocol::Progress;

/// One line with the progress of an application, which disappears on drop.
#[derive(Debug)]
pub(crate) struct Spinner {
    /// Where to draw; `None` without a terminal.
    spinners: Option<MultiProgress>,
    subject: String,
    bar: Option<ProgressBar>,
}

impl Spinner {
    pub(super) fn new(spinners: Option<MultiProgress>, subject: &str) -> Self {
        Self { spinners, subject: printable(subject), bar: None }
    }

    /// Shows a stage.
    pub(crate) fn update(&mut self, progress: &Progress) {
        let Some(spinners) = &self.spinners else { return };
        let bar = self.bar.get_or_insert_with(|| {
            let bar = spinners.add(ProgressBar::new_spinner());
            bar.set_style(
                ProgressStyle::with_template("{spinner} {prefix}: {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.set_prefix(self.subject.clone());
            bar.set_message(line(progress));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_message(line(progress));
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The message of a stage, with its number if known.
fn line(progress: &Progress) -> String {
    let message = printable(&progress.message);
    match progress.total {
        0 => message,
        total => format!("{message} ({}/{total})", progress.done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RequestId;

    #[test]
    fn a_stage_is_numbered_when_the_number_is_known() {
        let mut progress = Progress {
            request: RequestId::Number(1),
            stage: "tables".into(),
            done: 2,
            total: 5,
            message: "making the system tables".into(),
            operation: None,
        };
        assert_eq!(line(&progress), "making the system tables (2/5)");
        progress.total = 0;
        assert_eq!(line(&progress), "making the system tables");
    }
}
