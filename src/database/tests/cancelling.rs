//! Statements whose caller is gone are cancelled.

use std::time::Duration;

use sea_query::{Expr, Query, SelectStatement};

use super::{Place, insert, read, titles, with_table};
use crate::database::Database;

/// A query that never ends.
fn endless() -> SelectStatement {
    let counting = "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c)";
    Query::select().expr_as(Expr::cust(counting), "n").to_owned()
}

/// Starts some work, and drops it in the middle.
async fn give_up<T>(work: impl Future<Output = T>) {
    assert!(tokio::time::timeout(Duration::from_millis(50), work).await.is_err());
}

/// Checks that both the readers and the writer are free again.
async fn assert_usable(database: &Database) {
    let usable = async {
        let before = read(database).await.len();
        database.insert(&insert(&format!("title {before}")), None).await.unwrap();
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let database = database.clone();
            reads.spawn(async move { read(&database).await.len() });
        }
        assert_eq!(reads.join_all().await, [before + 1; 8]);
    };
    tokio::time::timeout(Duration::from_secs(20), usable).await.expect("dropped statements still run");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_statements_are_cancelled_on_sqlite() {
    let place = Place::new();
    let database = with_table(&place).await;
    let endless = endless();
    // More than there are threads.
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (database, endless) = (database.clone(), endless.clone());
        all.spawn(async move { give_up(database.query(&endless)).await });
    }
    all.join_all().await;
    assert_usable(&database).await;

    let mut rows = database.stream(&endless);
    give_up(rows.next()).await;
    drop(rows);
    assert_usable(&database).await;

    let mut transaction = database.begin().await.unwrap();
    transaction.insert(&insert("lost"), None).await.unwrap();
    give_up(transaction.query(&endless)).await;
    assert!(transaction.query(&titles()).await.is_err(), "the transaction has an unknown state");
    drop(transaction);
    let remove = Query::delete()
        .from_table("posts")
        .and_where(Expr::cust(
            "id < (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c)",
        ))
        .to_owned();
    give_up(database.execute(&remove)).await;
    assert_usable(&database).await;
    assert!(!read(&database).await.contains(&"lost".to_owned()));
    database.close().await;
}
