//! `nbapps metrics`: prints the metrics for Prometheus.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::protocol::Nothing;
use crate::protocol::methods::HostMetrics;

/// Print all statistics as metrics for Prometheus, in the OpenMetrics format
///
/// Prometheus reads the same from the daemon over HTTP, at /metrics, where the key metrics.listen of the
/// configuration names an address: see nbappsd(8). The port of the applications never serves it.
///
/// The applications with the most requests have labels of their own (metrics.applications, by default 100); the
/// others are summed up under app="_other".
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps metrics
  nbapps metrics | grep nbapps_requests_total
  nbapps --host ssh://ops@server metrics > metrics.txt")]
pub(crate) struct MetricsArgs {}

impl MetricsArgs {
    /// Prints the text.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let metrics = context.ask::<HostMetrics>(&client, Nothing {}).await?;
        context.console.show(&metrics, &metrics.content_type, || metrics.text.clone())
    }
}
