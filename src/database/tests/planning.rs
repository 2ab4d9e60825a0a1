//! PostgreSQL reuses the plans of pages, without a difference in the results.

use sea_query::{ColumnDef, Expr, ExprTrait, Order, Query, SelectStatement, Table};

use super::{Database, DatabaseError, Location, Value, everywhere, insert, table};
use crate::test_servers::{fresh_name, postgres};

fn page(from: i64, rows: usize) -> SelectStatement {
    Query::select()
        .columns(["id", "title"])
        .from("posts")
        .and_where(Expr::col("id").gte(from))
        .order_by("id", Order::Asc)
        .limit(rows as u64)
        .to_owned()
}

async fn ids(database: &Database, page: &SelectStatement) -> Vec<i64> {
    let rows = database.query(page).await.unwrap();
    rows.iter()
        .map(|row| match row.get("id") {
            Some(Value::Integer(id)) => *id,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn a_recurring_page_always_matches_its_values() {
    everywhere(async |place| {
        let database = Database::create(&place).await.unwrap();
        database.execute(&table()).await.unwrap();
        for last in 1..=12 {
            database.insert(&insert(&format!("title {last}")), None).await.unwrap();
            for (from, rows) in [(1, 3), (1, 2), (last - 1, 3), (9_000_000_000, 3)] {
                let expected: Vec<i64> = (1..=last).filter(|id| *id >= from).take(rows).collect();
                assert_eq!(
                    ids(&database, &page(from, rows)).await,
                    expected,
                    "from {from}, {rows} of {last}"
                );
            }
        }
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn postgres_plans_a_recurring_page_once() {
    let database = on_postgres().await;
    let written = Query::select()
        .column("name")
        .from("pg_prepared_statements")
        .and_where(Expr::col("statement").like("% >= '1' ORDER BY % LIMIT '2'%"))
        .to_owned();
    // All on one connection.
    let mut transaction = database.begin().await.unwrap();
    for (times, plans) in [(5, 0), (1, 1), (5, 1)] {
        for _ in 0..times {
            assert_eq!(transaction.query(&page(1, 2)).await.unwrap().len(), 1);
        }
        assert_eq!(transaction.query(&written).await.unwrap().len(), plans);
    }
    let next = page(1, 2).offset(1).to_owned();
    let locked = page(1, 2).lock_exclusive().to_owned();
    for (other, rows) in [(next, 0), (locked, 1)] {
        for _ in 0..8 {
            assert_eq!(transaction.query(&other).await.unwrap().len(), rows);
        }
    }
    assert_eq!(transaction.query(&written).await.unwrap().len(), 3);
    for column in ["exact", "inexact", "small"] {
        let chosen = page(1, 2).and_where(Expr::col(column).lte(7)).to_owned();
        for _ in 0..8 {
            assert_eq!(transaction.query(&chosen).await.unwrap().len(), 1, "{column}");
        }
    }
    transaction.commit().await.unwrap();
    database.close().await;
}

#[tokio::test]
async fn postgres_plans_again_after_a_table_change() {
    let database = on_postgres().await;
    let planned = async || {
        let mut transaction = database.begin().await.unwrap();
        for _ in 0..8 {
            assert_eq!(transaction.query(&page(1, 2)).await.unwrap().len(), 1);
        }
        transaction.commit().await.unwrap();
    };
    let change = async |to: &mut ColumnDef| {
        let change = Table::alter().table("posts").modify_column(to.not_null().to_owned()).to_owned();
        database.execute(&change).await.unwrap();
    };
    planned().await;
    change(ColumnDef::new("title").text()).await;
    assert_eq!(ids(&database, &page(1, 2)).await, [1]);

    // After a change made here, statements are prepared again, also in a transaction.
    planned().await;
    change(ColumnDef::new("title").string_len(200)).await;
    let mut transaction = database.begin().await.unwrap();
    assert_eq!(transaction.query(&page(1, 2)).await.unwrap().len(), 1);
    drop(transaction);

    // A change made by others fails the transaction, but not the next one.
    planned().await;
    let at = database.location().server_database().unwrap().clone();
    let (other, connection) =
        tokio_postgres::connect(&postgres(&at.name), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    other.batch_execute("ALTER TABLE posts ALTER COLUMN title TYPE text").await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    let outdated = transaction.query(&page(1, 2)).await.unwrap_err();
    assert!(matches!(outdated, DatabaseError::Conflict(_)), "{outdated:?}");
    drop(transaction);
    planned().await;
    assert_eq!(ids(&database, &page(1, 2)).await, [1]);
    database.close().await;
}

async fn on_postgres() -> Database {
    let at = Location::parse(&postgres(&fresh_name())).unwrap();
    let database = Database::create(&at).await.unwrap();
    let mut table = table();
    table.col(ColumnDef::new("exact").decimal().default(7));
    table.col(ColumnDef::new("inexact").double().default(7));
    table.col(ColumnDef::new("small").small_integer().default(7));
    database.execute(&table).await.unwrap();
    database.insert(&insert("one"), None).await.unwrap();
    database
}
