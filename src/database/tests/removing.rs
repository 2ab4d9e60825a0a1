//! Dropping a database while others still have it open.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_removal_does_not_wait_for_transactions_of_others() {
    let test = async |at: Location| {
        if at.engine() == Engine::Sqlite {
            return;
        }
        let database = Database::create_owned(&at, "removing").await.unwrap();
        // Statements name their schema.
        let (mut posts, mut titles) = (table(), titles());
        if let Some(schema) = database.namespace().schema {
            let place = (sea_query::Alias::new(schema), sea_query::Alias::new("posts"));
            posts.table(place.clone());
            titles = Query::select().column("id").from(place).to_owned();
        }
        database.execute(&posts).await.unwrap();
        let open = Database::open(&at).await.unwrap();
        let mut reading = open.begin().await.unwrap();
        reading.query(&titles).await.unwrap();
        database.close().await;
        let removal = tokio::time::timeout(Duration::from_secs(5), Database::remove_owned(&at, "removing"));
        let removed = removal.await.expect("the removal timed out");
        assert_eq!(removed.unwrap().len(), 1, "{at}");
        assert!(reading.query(&titles).await.is_err(), "{at}");
        drop(reading);
        let missing = Database::open(&at).await.unwrap_err();
        assert!(matches!(missing, DatabaseError::Missing(_)), "{at}: {missing:?}");
    };
    everywhere(test).await;
    in_schema(test).await;
}

#[tokio::test]
async fn ddl_on_a_locked_table_times_out() {
    everywhere(async |at| {
        if at.engine() == Engine::Sqlite {
            return;
        }
        let database = table_at(&at).await;
        let mut reading = database.begin().await.unwrap();
        reading.query(&titles()).await.unwrap();
        let other = Database::open(&at).await.unwrap();
        let mut drop_table = sea_query::Table::drop();
        drop_table.table("posts");
        let change = tokio::time::timeout(Duration::from_secs(50), other.execute(&drop_table));
        let refused = change.await.expect("the change timed out").unwrap_err();
        assert!(matches!(refused, DatabaseError::Busy(_)), "{at}: {refused:?}");
        reading.commit().await.unwrap();
        other.execute(&drop_table).await.unwrap();
    })
    .await;
}
