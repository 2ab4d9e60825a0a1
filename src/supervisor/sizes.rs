//! How much data applications have, asked of their databases.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::database::Database;
use crate::protocol::{AppId, Application, RpcError};

use super::Supervisor;
use super::entry::Entry;

/// How long one database may take to say it: a description must not hang on a server that does.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many are asked at a time.
const AT_A_TIME: usize = 8;

impl Supervisor {
    /// Describes one application, with the size of its data.
    pub async fn get_with_size(&self, id: &AppId) -> Result<Application, RpcError> {
        let entry = self.entry(id)?;
        let mut application = self.describe(&entry);
        application.database.size = size(&entry).await;
        Ok(application)
    }

    /// Fills in the sizes of a list; those that cannot be reached stay without.
    pub(super) async fn measure(&self, applications: &mut [Application]) {
        let measured = futures_util::stream::iter(applications.iter_mut()).for_each_concurrent(
            AT_A_TIME,
            |application| async move {
                if let Some(entry) = self.find(application.id.as_str()) {
                    application.database.size = size(&entry).await;
                }
            },
        );
        measured.await;
    }
}

async fn size(entry: &Arc<Entry>) -> Option<u64> {
    let asked = async {
        if let Some(running) = entry.running() {
            return running.app.source().database().size().await.ok();
        }
        let database = Database::open(&entry.location).await.ok()?;
        let size = database.size().await.ok();
        database.close().await;
        size
    };
    tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
}
