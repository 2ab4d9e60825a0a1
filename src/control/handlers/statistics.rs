//! `host.stats`, `host.metrics` and `app.stats`.

use super::super::call::{Handled, MethodCall, MethodHandler};
use super::RequestHandler;
use crate::protocol::methods::{AppStats, HostMetrics, HostStatsMethod};
use crate::protocol::{Nothing, ReadStats};

impl MethodHandler<HostStatsMethod> for RequestHandler {
    async fn handle(&self, _: Nothing, _: &MethodCall) -> Handled<HostStatsMethod> {
        Ok(self.supervisor.host_stats().into())
    }
}

impl MethodHandler<HostMetrics> for RequestHandler {
    async fn handle(&self, _: Nothing, _: &MethodCall) -> Handled<HostMetrics> {
        Ok(self.supervisor.metrics().await.into())
    }
}

impl MethodHandler<AppStats> for RequestHandler {
    async fn handle(&self, read: ReadStats, _: &MethodCall) -> Handled<AppStats> {
        Ok(self.supervisor.stats(&read).await.into())
    }
}
