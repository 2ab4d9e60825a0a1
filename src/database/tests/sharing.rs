//! Applications share the connections of a server.

use std::time::Duration;

use sea_query::{Expr, Query, SelectStatement};

use super::*;
use crate::test_servers::OwnServer;

fn at(url: &str) -> Location {
    Location::parse(url).unwrap()
}

/// A statement that outlasts what is done beside it; it is cancelled when it is dropped.
fn slow(engine: Engine) -> SelectStatement {
    let sleep = if engine == Engine::Postgres { "pg_sleep(20)::text" } else { "SLEEP(20)" };
    Query::select().expr_as(Expr::cust(sleep), "slept").to_owned()
}

fn one() -> SelectStatement {
    Query::select().expr(Expr::val(1)).to_owned()
}

/// Sends many statements to each of them; returns once all of these wait or run.
async fn keep_busy(busy: &[Database]) -> tokio::task::JoinSet<Result<usize, DatabaseError>> {
    let mut work = tokio::task::JoinSet::new();
    for database in busy {
        for _ in 0..20 {
            let (database, slow) = (database.clone(), slow(database.engine()));
            work.spawn(async move { database.query(&slow).await.map(|rows| rows.len()) });
        }
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        while busy.iter().any(|database| database.connections() == Some(0)) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    work
}

#[tokio::test]
async fn busy_applications_leave_connections_of_a_small_server() {
    for (server, url) in [(OwnServer::postgres(12), "postgres"), (OwnServer::mariadb(12), "mysql")] {
        let around = at(&server.url("around"));
        Database::create(&around).await.unwrap().close().await;
        let place = |name: &str| match url {
            "postgres" => around.with_schema(name).unwrap(),
            _ => around.sibling(name).unwrap(),
        };
        let mut all = Vec::new();
        for name in ["busy", "busier", "calm"] {
            all.push(Database::create(&place(name)).await.unwrap());
        }
        let calm = all.pop().unwrap();
        let work = keep_busy(&all).await;
        let asked = tokio::time::timeout(Duration::from_secs(10), calm.query(&one())).await;
        assert_eq!(
            asked.expect("the calm application waits for its neighbours").unwrap().len(),
            1,
            "{around}"
        );
        drop(work);
        for database in all.iter().chain([&calm]) {
            database.close().await;
        }
    }
}

#[tokio::test]
async fn busy_schemas_leave_connections_to_a_calm_one() {
    let around = Location::Postgres(server_database(&crate::test_servers::fresh_name()));
    Database::create(&around).await.unwrap().close().await;
    let mut busy = Vec::new();
    for number in 0..7 {
        busy.push(Database::create(&around.with_schema(&format!("busy {number}")).unwrap()).await.unwrap());
    }
    let calm = Database::create(&around.with_schema("calm").unwrap()).await.unwrap();
    let work = keep_busy(&busy).await;
    let asked = tokio::time::timeout(Duration::from_secs(10), calm.query(&one())).await;
    assert_eq!(asked.expect("the calm application waits for its neighbours").unwrap().len(), 1);
    drop(work);
    calm.close().await;
}
