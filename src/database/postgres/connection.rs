//! Statements on one connection.

use std::sync::Arc;

use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use tokio_postgres::Error;

use super::value::{Parameter, Received};
use crate::database::{Rendered, Row};

/// Runs a statement that gives rows.
pub(super) async fn query(connection: &Object, statement: &Rendered) -> Result<Vec<Row>, Error> {
    let prepared = connection.prepare_cached(&statement.sql).await?;
    let columns: Arc<[Box<str>]> = prepared.columns().iter().map(|column| column.name().into()).collect();
    let stream = connection.query_raw(&prepared, statement.values.iter().map(Parameter)).await?;
    let mut stream = std::pin::pin!(stream);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        let values = (0..row.len()).map(|at| row.try_get::<_, Received>(at).map(|received| received.0));
        rows.push(Row::new(Arc::clone(&columns), values.collect::<Result<_, _>>()?));
    }
    Ok(rows)
}

/// Runs a statement that changes something; gives the number of rows.
pub(super) async fn execute(connection: &Object, statement: &Rendered) -> Result<u64, Error> {
    if !statement.repeated {
        return connection.batch_execute(&statement.sql).await.map(|()| 0);
    }
    let prepared = connection.prepare_cached(&statement.sql).await?;
    connection.execute_raw(&prepared, statement.values.iter().map(Parameter)).await
}
