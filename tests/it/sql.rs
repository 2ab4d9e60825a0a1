//! Runs SQL in a database without the host's knowledge.

use mysql_async::prelude::Queryable;
use nbapps::internals::{Engine, Location};

/// Runs SQL in the database of this URL.
pub async fn run(url: &str, sql: &str) {
    match Location::parse(url).unwrap() {
        Location::Sqlite(file) => rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap(),
        at if at.engine() == Engine::Postgres => {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
            let driving = tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            drop(client);
            driving.await.unwrap().unwrap();
        }
        _ => {
            let mut connection = mysql_async::Conn::from_url(url).await.unwrap();
            // Double quotes around identifiers, as on the other engines.
            connection.query_drop("SET sql_mode = 'ANSI_QUOTES'").await.unwrap();
            connection.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            connection.disconnect().await.unwrap();
        }
    }
}

/// The integers that a query returns, on a server.
pub async fn numbers(url: &str, sql: &str) -> Vec<i64> {
    if Location::parse(url).unwrap().engine() == Engine::Postgres {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let driving = tokio::spawn(connection);
        let rows = client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        drop(client);
        driving.await.unwrap().unwrap();
        return rows.into_iter().map(|row| row.get(0)).collect();
    }
    let mut connection = mysql_async::Conn::from_url(url).await.unwrap();
    let numbers = connection.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    connection.disconnect().await.unwrap();
    numbers
}
