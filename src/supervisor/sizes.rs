//! Measures the size of applications' data.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::database::Database;
use crate::protocol::{AppId, Application};

use super::Supervisor;
use super::entry::Entry;

/// How long one database may take to answer, so that a server that hangs does not hold up a description.
const SIZE_TIMEOUT: Duration = Duration::from_secs(3);
/// How many databases are queried at a time.
const MAX_CONCURRENT: usize = 8;

impl Supervisor {
    /// Adds the size of its data to the description of an application.
    pub async fn with_size(&self, mut application: Application) -> Application {
        self.measure(std::slice::from_mut(&mut application)).await;
        application
    }

    /// Fills in the sizes in a list. A database that cannot be reached has none.
    pub(super) async fn measure(&self, applications: &mut [Application]) {
        let places = applications.iter_mut();
        self.measure_each(places.map(|application| (&application.id, &mut application.database.size))).await;
    }

    /// Fills in the size of each application's data.
    pub(super) async fn measure_each<'a>(
        &self,
        places: impl Iterator<Item = (&'a AppId, &'a mut Option<u64>)>,
    ) {
        let measured = futures_util::stream::iter(places).for_each_concurrent(
            MAX_CONCURRENT,
            |(id, place)| async move {
                if let Some(entry) = self.find(id.as_str()) {
                    *place = size(&entry).await;
                }
            },
        );
        measured.await;
    }
}

async fn size(entry: &Arc<Entry>) -> Option<u64> {
    let measured = async {
        if let Some(running) = entry.running() {
            return running.app.source().database().size().await.ok();
        }
        let database = Database::open(&entry.location).await.ok()?;
        let size = database.size().await.ok();
        database.close().await;
        size
    };
    tokio::time::timeout(SIZE_TIMEOUT, measured).await.ok().flatten()
}
