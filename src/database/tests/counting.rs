//! How many rows there are, as one who asks must be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sea_query::{Expr, Func, Query};

use super::{Database, everywhere, insert, table};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_counts_less_than_was_acknowledged() {
    everywhere(async |place| {
        let database = Database::create(&place).await.unwrap();
        database.execute(&table()).await.unwrap();
        let all = Query::select().expr(Func::count(Expr::col(sea_query::Asterisk))).from("posts").to_owned();
        let [begun, done] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let last = 300;
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (database, all) = (database.clone(), all.clone());
            let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
            readers.spawn(async move {
                let mut least = 0;
                while least < last {
                    least = done.load(Ordering::SeqCst);
                    let count = database.count(&all).await.unwrap();
                    let most = begun.load(Ordering::SeqCst);
                    assert!((least..=most).contains(&count), "{count} of {least} to {most}");
                }
            });
        }
        for number in 1..=last {
            begun.store(number, Ordering::SeqCst);
            database.insert(&insert(&format!("title {number}")), None).await.unwrap();
            done.store(number, Ordering::SeqCst);
        }
        readers.join_all().await;
        database.close().await;
    })
    .await;
}
