//! Pages that PostgreSQL plans once, as one who reads them must not notice.

use sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};

use super::{Database, Location, Value, everywhere, insert, table};
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
async fn a_page_that_comes_again_and_again_is_the_page_of_its_values() {
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
async fn postgres_keeps_the_plans_of_pages_until_their_table_is_another() {
    let at = Location::parse(&postgres(&fresh_name())).unwrap();
    let database = Database::create(&at).await.unwrap();
    database.execute(&table()).await.unwrap();
    database.insert(&insert("one"), None).await.unwrap();
    let written = Query::select()
        .column("name")
        .from("pg_prepared_statements")
        .and_where(Expr::col("statement").like("% >= '1' ORDER BY % LIMIT '2'"))
        .to_owned();
    let plans = async || database.query(&written).await.unwrap().len();
    for _ in 0..5 {
        assert_eq!(ids(&database, &page(1, 2)).await, [1]);
    }
    assert_eq!(plans().await, 0);
    for _ in 0..5 {
        assert_eq!(ids(&database, &page(1, 2)).await, [1]);
        assert_eq!(plans().await, 1);
    }
    let longer = sea_query::ColumnDef::new("title").text().not_null().to_owned();
    let change = sea_query::Table::alter().table("posts").modify_column(longer).to_owned();
    database.execute(&change).await.unwrap();
    assert_eq!(ids(&database, &page(1, 2)).await, [1], "the same columns are of another kind");
    assert_eq!(plans().await, 0, "outdated ones are closed");
    let mut transaction = database.begin().await.unwrap();
    for _ in 0..10 {
        assert_eq!(transaction.query(&page(1, 2)).await.unwrap().len(), 1);
    }
    transaction.commit().await.unwrap();
    database.close().await;
}
