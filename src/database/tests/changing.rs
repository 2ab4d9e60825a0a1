//! Tables change while statements on them are prepared.

use super::*;

#[tokio::test]
async fn prepared_statements_survive_table_changes() {
    everywhere(async |at| {
        // SQLite cannot change a column's type.
        if at.engine() == Engine::Sqlite {
            return;
        }
        let database = table_at(&at).await;
        database.insert(&insert("7"), None).await.unwrap();
        let ask =
            async |transaction: &mut Transaction| transaction.query(&titles()).await.map(|rows| rows.len());
        // Prepared on several connections.
        let mut transactions = Vec::new();
        for _ in 0..3 {
            let mut transaction = database.begin().await.unwrap();
            assert_eq!(ask(&mut transaction).await, Ok(1));
            transactions.push(transaction);
        }
        for transaction in transactions {
            transaction.commit().await.unwrap();
        }
        let mut column = ColumnDef::new("title");
        // MySQL needs a length for a text in a key.
        if at.engine() == Engine::Mysql {
            column.string_len(300)
        } else {
            column.text()
        };
        let mut change = sea_query::Table::alter();
        change.table("posts").modify_column(column.not_null());
        database.execute(&change).await.unwrap();
        for round in 0..6 {
            assert_eq!(database.query(&titles()).await.map(|rows| rows.len()), Ok(1), "{at} {round}");
        }
        let mut transaction = database.begin().await.unwrap();
        assert_eq!(ask(&mut transaction).await, Ok(1));
        drop(transaction);
        database.close().await;
    })
    .await;
}
