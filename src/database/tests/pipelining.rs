//! Short reads share a connection, also with reads that turn out to be long.

use std::time::Duration;

use sea_query::{Expr, Query, SelectStatement};

use super::*;
use crate::test_servers::OwnServer;

/// Expressions with a parameter, which are short if it is 1.
const ITSELF: &str = "$1::bigint";
const QUOTIENT: &str = "1 / $1::bigint";
const SLEEP: &str = "length(pg_sleep($1::bigint - 1)::text)::bigint";
const COUNT: &str = "(SELECT count(*) FROM generate_series(1, $1::bigint))";

/// How many reads share one connection.
const SHARING: i64 = 4;

async fn fresh() -> Database {
    let database = Database::create(&Location::Postgres(server_database(&crate::test_servers::fresh_name())))
        .await
        .unwrap();
    // They are known to be short from now on.
    for statement in [ITSELF, QUOTIENT, SLEEP, COUNT] {
        for _ in 0..20 {
            number(&database, statement, 1).await.unwrap();
        }
    }
    database
}

fn select(expression: &'static str, number: i64) -> SelectStatement {
    Query::select().expr_as(Expr::cust_with_values(expression, [number]), "n").to_owned()
}

async fn number(database: &Database, expression: &'static str, with: i64) -> Result<i64, DatabaseError> {
    let rows = database.query(&select(expression, with)).await?;
    match rows[0].value(0) {
        Some(Value::Integer(number)) => Ok(*number),
        other => panic!("{other:?}"),
    }
}

/// Starts this many reads at once.
fn begin(database: &Database, count: i64) -> tokio::task::JoinSet<Result<i64, DatabaseError>> {
    let mut reads = tokio::task::JoinSet::new();
    for at in 0..count {
        let database = database.clone();
        reads.spawn(async move { number(&database, ITSELF, at).await });
    }
    reads
}

async fn assert_all(reads: tokio::task::JoinSet<Result<i64, DatabaseError>>) {
    let count = i64::try_from(reads.len()).unwrap();
    let mut all: Vec<i64> = reads.join_all().await.into_iter().map(Result::unwrap).collect();
    all.sort_unstable();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn short_reads_share_a_connection_and_get_their_own_results() {
    let database = fresh().await;
    // The machine may have been busy when they were tried.
    let shared = async {
        loop {
            let reads = begin(&database, SHARING);
            tokio::task::yield_now().await;
            let connections = database.connections();
            assert_all(reads).await;
            if connections == Some(1) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), shared)
        .await
        .expect("the reads did not share a connection");
    assert_eq!(database.connections(), Some(0));
    assert_all(begin(&database, 500)).await;
    database.close().await;
}

#[tokio::test]
async fn a_failing_read_does_not_fail_the_others() {
    let database = fresh().await;
    let reads = begin(&database, 3);
    let failed = number(&database, QUOTIENT, 0).await;
    assert!(failed.unwrap_err().to_string().contains("division by zero"));
    assert_all(reads).await;
    assert_all(begin(&database, 20)).await;
    database.close().await;
}

#[tokio::test]
async fn a_long_read_does_not_delay_the_others() {
    let database = fresh().await;
    for _ in 0..2 {
        let mut slow = tokio::spawn({
            let database = database.clone();
            async move { number(&database, SLEEP, 8).await }
        });
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            slept = &mut slow => panic!("{slept:?}"),
            () = assert_all(begin(&database, 20)) => {}
        }
        assert_eq!(slow.await.unwrap(), Ok(0));
    }
    assert_eq!(database.connections(), Some(0));
    database.close().await;
}

#[tokio::test]
async fn a_dropped_read_is_cancelled_on_the_server() {
    let database = fresh().await;
    let reads = begin(&database, 3);
    let endless = number(&database, COUNT, 1_000_000_000_000);
    assert!(tokio::time::timeout(Duration::from_millis(20), endless).await.is_err());
    assert_all(reads).await;
    let working = "(SELECT $1 + count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND state = 'active' AND pid <> pg_backend_pid())";
    let ended = async { while number(&database, working, 0).await.unwrap() > 0 {} };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("the server did not cancel the statement");
    database.close().await;
}

#[tokio::test]
async fn reads_succeed_after_a_server_restart() {
    let mut server = OwnServer::postgres(20);
    let at = Location::parse(&server.url("restarted")).unwrap();
    let database = Database::create(&at).await.unwrap();
    for _ in 0..20 {
        number(&database, ITSELF, 1).await.unwrap();
    }
    assert_all(begin(&database, 8)).await;
    server.tell("stop");
    assert!(matches!(number(&database, ITSELF, 1).await, Err(DatabaseError::Unreachable(_))));
    server.tell("start");
    assert_all(begin(&database, 8)).await;
    database.close().await;
}

#[tokio::test]
async fn a_write_runs_once_however_long_it_takes() {
    let database = fresh().await;
    database.execute(&table()).await.unwrap();
    database.insert(&insert("a"), None).await.unwrap();
    let change = Query::update()
        .table("posts")
        .value("title", Expr::cust("title || 'b'"))
        .and_where(Expr::cust("pg_sleep(0.2) IS NOT NULL"))
        .returning_col("title")
        .to_owned();
    let (changed, ()) = tokio::join!(database.update_returning(&change), assert_all(begin(&database, 20)));
    assert_eq!(changed.unwrap().len(), 1);
    assert_eq!(super::read(&database).await, ["ab"]);
    database.close().await;
}
