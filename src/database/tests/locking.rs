//! Locks on rows and keys that others hold.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn retried_transactions_have_a_short_lock_timeout() {
    everywhere(async |at| {
        // The other engines find deadlocks at once.
        if at.engine() != Engine::Postgres {
            return;
        }
        let database = table_at(&at).await;
        let mut holder = database.begin().await.unwrap();
        holder.insert(&insert("held"), None).await.unwrap();
        // This is no deadlock: a server that looked for one would find none.
        let mut brief = database.begin_with_lock_timeout(Some(Duration::from_millis(50))).await.unwrap();
        let failed = brief.insert(&insert("held"), None).await;
        assert!(matches!(failed, Err(DatabaseError::Conflict(_))), "{failed:?}");
        holder.commit().await.unwrap();
        // The timeout does not stay on the connection.
        let mut patient = database.begin().await.unwrap();
        let wait = Query::select().expr(sea_query::Expr::cust("current_setting('lock_timeout')")).to_owned();
        let rows = patient.query(&wait).await.unwrap();
        assert_eq!(rows[0].value(0), Some(&Value::Text("0".to_owned())));
        drop(patient);
        database.close().await;
    })
    .await;
}
