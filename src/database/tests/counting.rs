//! Counts include everything that was acknowledged before the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sea_query::{Expr, Func, Query};

use super::{Database, Location, everywhere, insert, table};
use crate::test_servers::OwnServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_count_includes_everything_acknowledged_before() {
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

#[tokio::test]
async fn postgres_reuses_a_count_until_a_commit() {
    // A server of its own: any commit on a server invalidates the count.
    let server = OwnServer::postgres(12);
    let database = Database::create(&Location::parse(&server.url("counted")).unwrap()).await.unwrap();
    database.execute(&table()).await.unwrap();
    // Another number each time it runs.
    let number = Query::select().expr(Expr::cust("floor(random() * 1e15)::bigint")).to_owned();
    let known = async || {
        // The server itself commits now and then.
        for _ in 0..100 {
            let first = database.count(&number).await.unwrap();
            if database.count(&number).await == Ok(first) {
                return first;
            }
        }
        panic!("the count was never reused");
    };
    let [mut one, mut other] = [database.begin().await.unwrap(), database.begin().await.unwrap()];
    one.insert(&insert("one"), None).await.unwrap();
    other.insert(&insert("other"), None).await.unwrap();
    let first = known().await;
    other.commit().await.unwrap();
    // Counts are cached for each connection: this keeps busy the one that has not counted.
    let of_other = database.begin().await.unwrap();
    let second = known().await;
    assert_ne!(first, second);
    one.commit().await.unwrap();
    let of_one = database.begin().await.unwrap();
    let third = known().await;
    assert_ne!(second, third, "a transaction that began earlier and ended later is seen, too");
    database.insert(&insert("by itself"), None).await.unwrap();
    assert_ne!(known().await, third);
    drop((of_one, of_other));
    database.close().await;
}
