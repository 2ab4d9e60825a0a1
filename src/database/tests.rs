//! What every engine must do, tested on each of them; and what only SQLite does.

use sea_query::{ColumnDef, ColumnType, Expr, ExprTrait, Order, Query, Table, TableCreateStatement};

use super::*;

mod cancelling;
mod changing;
mod counting;
mod expressions;
mod keys;
mod locking;
mod patterns;
mod pipelining;
mod planning;
mod removing;
mod sharing;

struct Place {
    folder: tempfile::TempDir,
}

/// Runs a test on every engine, one after the other, with the location of a new database.
pub(crate) async fn everywhere(test: impl AsyncFn(Location)) {
    let place = Place::new();
    test(place.at("a.sqlite")).await;
    let url = crate::test_servers::postgres(&crate::test_servers::fresh_name());
    test(Location::Postgres(ServerDatabase::parse(Engine::Postgres, &url).unwrap())).await;
    let url = crate::test_servers::mariadb(&crate::test_servers::fresh_name());
    test(Location::Mysql(ServerDatabase::parse(Engine::Mysql, &url).unwrap())).await;
}

/// Runs a test with a schema that does not exist, in a database that does.
pub(crate) async fn in_schema(test: impl AsyncFn(Location)) {
    let database = Location::Postgres(server_database(&crate::test_servers::fresh_name()));
    let around = Database::create(&database).await.unwrap();
    test(database.with_schema("a \"schema\" of its own").unwrap()).await;
    around.close().await;
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> Location {
        Location::Sqlite(self.folder.path().join(name))
    }
}

fn table() -> TableCreateStatement {
    Table::create()
        .table("posts")
        .col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key())
        .col(ColumnDef::new("title").string_len(255).not_null().unique_key())
        .to_owned()
}

fn insert(title: &str) -> InsertStatement {
    Query::insert().into_table("posts").columns(["title"]).values_panic([title.into()]).to_owned()
}

fn titles() -> SelectStatement {
    Query::select().columns(["id", "title"]).from("posts").order_by("id", Order::Asc).to_owned()
}

async fn read(database: &Database) -> Vec<String> {
    let rows = database.query(&titles()).await.unwrap();
    rows.iter()
        .map(|row| match row.get("title") {
            Some(Value::Text(text)) => text.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn with_table(place: &Place) -> Database {
    table_at(&place.at("a.sqlite")).await
}

async fn table_at(at: &Location) -> Database {
    let database = Database::create(at).await.unwrap();
    database.execute(&table()).await.unwrap();
    database
}

#[tokio::test]
async fn create_is_exclusive_and_open_creates_nothing() {
    everywhere(async |at| {
        let name = at.to_string();
        let missing = Database::open(&at).await.unwrap_err();
        assert!(matches!(&missing, DatabaseError::Missing(said) if said.contains(&name)), "{missing:?}");
        let database = Database::create(&at).await.unwrap();
        let exists = Database::create(&at).await.unwrap_err();
        assert!(matches!(&exists, DatabaseError::Exists(said) if said.contains(&name)), "{exists:?}");
        database.execute(&table()).await.unwrap();
        database.close().await;
        let database = Database::open_or_create(&at).await.unwrap();
        assert!(database.has_table("posts").await.unwrap());
        assert!(!database.has_table("nosuch").await.unwrap());
        assert!(database.size().await.unwrap() > 0);
        database.close().await;
        assert_eq!(Database::remove(&at).await.unwrap().len(), 1);
        assert_eq!(Database::remove(&at).await, Ok(vec![]));
        assert!(matches!(Database::open(&at).await, Err(DatabaseError::Missing(_))));
    })
    .await;
    assert!(matches!(
        Database::create(&Place::new().at("no/a.sqlite")).await,
        Err(DatabaseError::Unopened(said)) if said.contains("directory does not exist")
    ));
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_reads_a_database() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    with_table(&place).await;
    for file in std::fs::read_dir(place.folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused() {
    let place = Place::new();
    std::fs::write(place.folder.path().join("text"), "this is no database, ".repeat(200)).unwrap();
    let error = Database::open(&place.at("text")).await.unwrap_err();
    assert!(
        matches!(&error, DatabaseError::Corrupt(said) if said.contains("text is not a SQLite")),
        "{error:?}"
    );
    let error = Database::open(&Location::Sqlite(place.folder.path().into())).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Unopened(_)), "{error:?}");
}

#[tokio::test]
async fn keys_are_generated_and_constraint_violations_name_their_columns() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        assert_eq!(database.insert(&insert("one"), Some("id")).await, Ok(Some(1)));
        assert_eq!(database.insert(&insert("two"), None).await, Ok(None));
        assert_eq!(
            database.insert(&insert("one"), Some("id")).await,
            Err(DatabaseError::Unique { columns: vec!["title".into()] })
        );
        let empty = Query::insert()
            .into_table("posts")
            .columns(["title"])
            .values_panic([Expr::val(Option::<String>::None)])
            .to_owned();
        assert_eq!(
            database.insert(&empty, None).await,
            Err(DatabaseError::NotNull { column: "title".into() })
        );
        let rename =
            Query::update().table("posts").value("title", "2").and_where(Expr::col("id").gt(1)).to_owned();
        assert_eq!(database.execute(&rename).await, Ok(1));
        assert_eq!(read(&database).await, ["one", "2"]);
    })
    .await;
}

#[tokio::test]
async fn foreign_keys_hold_and_violations_name_their_columns() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut comments = Table::create();
        comments
            .table("comments")
            .col(ColumnDef::new("post_id").big_integer().not_null())
            .foreign_key(sea_query::ForeignKey::create().from("comments", "post_id").to("posts", "id"));
        database.execute(&comments).await.unwrap();
        let named = if at.engine() == Engine::Sqlite { vec![] } else { vec!["post_id".to_owned()] };
        let violated = Err(DatabaseError::ForeignKey { columns: named.clone() });
        let mut comment = Query::insert();
        comment.into_table("comments").columns(["post_id"]).values_panic([1.into()]);
        assert_eq!(database.insert(&comment, None).await, violated);
        database.insert(&insert("one"), None).await.unwrap();
        database.insert(&comment, None).await.unwrap();
        let removed = database.execute(&Query::delete().from_table("posts").to_owned()).await;
        let Err(DatabaseError::ForeignKey { columns }) = removed else { panic!("{removed:?}") };
        // PostgreSQL names the referenced key.
        let named = if at.engine() == Engine::Postgres { vec!["id".to_owned()] } else { named };
        assert_eq!(columns, named);
    })
    .await;
}

#[tokio::test]
async fn values_are_the_same_on_every_engine() {
    everywhere(async |at| {
        let database = Database::create(&at).await.unwrap();
        let mut table = Table::create();
        let moment = at.engine().column_type(ColumnType::TimestampWithTimeZone);
        table.table("kinds").col(ColumnDef::new("number").big_integer()).col(ColumnDef::new("text").string());
        table.col(ColumnDef::new_with_type("at", moment)).col(ColumnDef::new_with_type(
            "price",
            at.engine().column_type(ColumnType::Decimal(Some((38, 9)))),
        ));
        table.col(ColumnDef::new("bytes").blob()).col(ColumnDef::new("real").double());
        database.execute(&table).await.unwrap();
        let at_last = chrono::DateTime::parse_from_rfc3339("9999-12-31T23:59:59.999Z").unwrap().to_utc();
        let at_first = chrono::DateTime::parse_from_rfc3339("1066-10-14T09:00:00.001Z").unwrap().to_utc();
        let decimal = "12345678901234567890.123456789";
        for (number, text, moment) in [(i64::MAX, "😀 é\\'\"", at_last), (i64::MIN, "", at_first)] {
            let mut row = Query::insert();
            row.into_table("kinds").columns(["number", "text", "at", "price", "bytes", "real"]).values_panic(
                [
                    number.into(),
                    text.into(),
                    Expr::val(moment),
                    Expr::val(decimal.parse::<bigdecimal::BigDecimal>().unwrap()),
                    vec![0_u8, 255, 128].into(),
                    0.1.into(),
                ],
            );
            database.insert(&row, None).await.unwrap();
        }
        let columns = ["number", "text", "at", "bytes", "real", "price"];
        let all = Query::select().columns(columns).from("kinds").order_by("number", Order::Desc).to_owned();
        let rows = database.query(&all).await.unwrap();
        for (row, (number, text, moment)) in
            rows.iter().zip([(i64::MAX, "😀 é\\'\"", at_last), (i64::MIN, "", at_first)])
        {
            assert_eq!(row.get("number"), Some(&Value::Integer(number)));
            assert_eq!(row.get("text"), Some(&Value::Text(text.into())));
            assert_eq!(row.get("bytes"), Some(&Value::Bytes(vec![0, 255, 128])));
            assert_eq!(row.get("real"), Some(&Value::Real(0.1)));
            match row.get("at") {
                Some(Value::DateTime(at)) => assert_eq!(*at, moment),
                Some(Value::Text(text)) => assert_eq!(text.parse(), Ok(moment)),
                other => panic!("{other:?}"),
            }
            let price = decimal.parse().unwrap();
            match row.get("price") {
                Some(Value::Text(text)) => assert_eq!(text, decimal),
                other => assert_eq!(other, Some(&Value::Decimal(price))),
            }
        }
        assert_eq!(rows.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn transactions_are_atomic() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut given_up = database.begin().await.unwrap();
        given_up.insert(&insert("lost"), None).await.unwrap();
        assert_eq!(given_up.query(&titles()).await.unwrap().len(), 1);
        assert!(read(&database).await.is_empty(), "others see nothing before the commit");
        drop(given_up);

        let mut kept = database.begin().await.unwrap();
        kept.insert(&insert("one"), None).await.unwrap();
        kept.insert(&insert("two"), None).await.unwrap();
        kept.commit().await.unwrap();
        assert_eq!(read(&database).await, ["one", "two"]);

        let mut failed = database.begin().await.unwrap();
        failed.insert(&insert("three"), None).await.unwrap();
        assert!(failed.insert(&insert("one"), None).await.is_err());
        let late = failed.insert(&insert("four"), None).await.unwrap_err();
        assert!(late.to_string().contains("rolled back"), "{late}");
        assert!(failed.commit().await.is_err(), "a rolled back transaction does not commit");
        assert_eq!(read(&database).await, ["one", "two"]);
    })
    .await;
}

#[tokio::test]
async fn a_failure_rolls_back_to_the_savepoint_only() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut transaction = database.begin().await.unwrap();
        assert!(transaction.release_savepoint().await.is_err(), "no savepoint is set");
        drop(transaction);
        let mut transaction = database.begin().await.unwrap();
        transaction.insert(&insert("one"), None).await.unwrap();
        transaction.savepoint().await.unwrap();
        transaction.insert(&insert("two"), None).await.unwrap();
        transaction.savepoint().await.unwrap();
        transaction.insert(&insert("three"), None).await.unwrap();
        let twice = transaction.insert(&insert("one"), None).await;
        assert!(matches!(twice, Err(DatabaseError::Unique { .. })), "{twice:?}");
        assert!(transaction.insert(&insert("late"), None).await.is_err());
        transaction.roll_back_to_savepoint().await.unwrap();
        transaction.insert(&insert("four"), None).await.unwrap();
        transaction.release_savepoint().await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(read(&database).await, ["one", "two", "four"]);
        // A commit does not keep what a failed statement left without a rollback to the savepoint.
        let mut transaction = database.begin().await.unwrap();
        transaction.savepoint().await.unwrap();
        transaction.insert(&insert("five"), None).await.unwrap();
        assert!(transaction.insert(&insert("one"), None).await.is_err());
        assert!(transaction.commit().await.is_err());
        assert_eq!(read(&database).await, ["one", "two", "four"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_streamed_and_can_be_dropped_at_any_time() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut many = Query::insert();
        many.into_table("posts").columns(["title"]);
        for number in 0..2000 {
            many.values_panic([format!("{number:04}").into()]);
        }
        database.execute(&many).await.unwrap();
        let mut rows = database.stream(&titles());
        let mut count = 0;
        while let Some(row) = rows.next().await {
            assert_eq!(row.unwrap().get("title"), Some(&Value::Text(format!("{count:04}"))));
            count += 1;
        }
        assert_eq!(count, 2000);
        // More than there are connections: dropping the rows frees the connection.
        for _ in 0..40 {
            let mut rows = database.stream(&titles());
            assert!(rows.next().await.unwrap().is_ok());
        }
        let mut wrong = database.stream(&Query::select().column("id").from("nosuch").to_owned());
        assert!(wrong.next().await.unwrap().is_err());
        assert!(wrong.next().await.is_none());
        database.close().await;
        assert!(matches!(database.stream(&titles()).next().await, Some(Err(DatabaseError::Closed(_)))));
    })
    .await;
}

#[tokio::test]
async fn a_transaction_dropped_during_a_statement_is_rolled_back() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut transaction = database.begin().await.unwrap();
        {
            let statement = insert("lost");
            let mut doing = std::pin::pin!(transaction.insert(&statement, None));
            // Polled once, so that the work is handed over; then dropped.
            let _ = futures_poll_once(doing.as_mut()).await;
        }
        let late = transaction.insert(&insert("late"), None).await;
        drop(transaction);
        database.insert(&insert("next"), None).await.unwrap();
        match late {
            // The thread was faster than the single poll: nothing was cancelled.
            Ok(_) => assert_eq!(read(&database).await, ["next"]),
            Err(error) => {
                assert!(error.to_string().contains("rolled back"), "{error}");
                assert_eq!(read(&database).await, ["next"]);
            }
        }
    })
    .await;
}

async fn futures_poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_concurrent_writers_and_readers_succeed() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..60 {
            let database = database.clone();
            tasks.spawn(async move {
                if number % 3 == 0 {
                    let mut transaction = database.begin().await.unwrap();
                    transaction.insert(&insert(&format!("t{number}")), None).await.unwrap();
                    transaction.commit().await.unwrap();
                } else {
                    database.insert(&insert(&format!("{number}")), None).await.unwrap();
                }
                read(&database).await.len()
            });
        }
        while let Some(seen) = tasks.join_next().await {
            assert!(seen.unwrap() >= 1);
        }
        assert_eq!(read(&database).await.len(), 60);
    })
    .await;
}

#[tokio::test]
async fn closing_waits_for_a_transaction_and_refuses_later_calls() {
    let place = Place::new();
    let database = with_table(&place).await;
    let mut transaction = database.begin().await.unwrap();
    let closing = tokio::spawn({
        let database = database.clone();
        async move { database.close().await }
    });
    tokio::task::yield_now().await;
    assert!(!closing.is_finished());
    transaction.insert(&insert("in time"), None).await.unwrap();
    transaction.commit().await.unwrap();
    closing.await.unwrap();
    assert!(matches!(database.query(&titles()).await, Err(DatabaseError::Closed(_))));
    assert!(matches!(database.begin().await, Err(DatabaseError::Closed(_))));
    // The log was checkpointed: no other file is left.
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 1);
    let again = Database::open(&place.at("a.sqlite")).await.unwrap();
    assert_eq!(read(&again).await, ["in time"]);
}

#[tokio::test]
async fn remove_deletes_every_file_of_the_database_and_no_other() {
    let place = Place::new();
    let database = with_table(&place).await;
    database.insert(&insert("x"), None).await.unwrap();
    std::fs::write(place.folder.path().join("a.sqlite.txt"), "mine").unwrap();
    database.close().await;
    let removed = Database::remove(&place.at("a.sqlite")).await.unwrap();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert_eq!(Database::remove(&place.at("a.sqlite")).await, Ok(vec![]));
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn an_empty_file_left_by_a_crash_becomes_a_database() {
    let place = Place::new();
    std::fs::write(place.folder.path().join("a.sqlite"), "").unwrap();
    let database = Database::open(&place.at("a.sqlite")).await.unwrap();
    assert!(!database.has_table("posts").await.unwrap());
    database.execute(&table()).await.unwrap();
    database.insert(&insert("one"), None).await.unwrap();
    assert_eq!(read(&database).await, ["one"]);
}

#[tokio::test]
async fn remove_owned_spares_databases_of_others() {
    let test = async |at: Location| {
        if at.engine() == Engine::Sqlite {
            return;
        }
        Database::create_owned(&at, "ours").await.unwrap().close().await;
        assert!(matches!(Database::create_owned(&at, "theirs").await, Err(DatabaseError::Exists(_))));
        assert_eq!(Database::remove_owned(&at, "theirs").await, Ok(vec![]));
        // A connection that somebody left open does not prevent it.
        let open = Database::open(&at).await.unwrap();
        assert_eq!(Database::remove_owned(&at, "ours").await.unwrap().len(), 1);
        assert_eq!(Database::remove_owned(&at, "ours").await, Ok(vec![]));
        assert!(open.query(&titles()).await.is_err());
        let unmarked = Database::create(&at).await.unwrap();
        assert_eq!(Database::remove_owned(&at, "ours").await, Ok(vec![]));
        unmarked.close().await;
    };
    everywhere(test).await;
    in_schema(test).await;
}

#[tokio::test]
async fn a_busy_application_does_not_starve_its_neighbours() {
    let around = Location::Postgres(server_database(&crate::test_servers::fresh_name()));
    Database::create(&around).await.unwrap().close().await;
    let busy = Database::create(&around.with_schema("busy").unwrap()).await.unwrap();
    let calm = Database::create(&around.with_schema("calm").unwrap()).await.unwrap();
    let one = Query::select().expr(Expr::val(1)).to_owned();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(busy.begin().await.unwrap());
    }
    assert_eq!(busy.connections(), Some(4));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (busy, statement) = (busy.clone(), one.clone());
        waiting.spawn(async move { busy.query(&statement).await.map(|rows| rows.len()) });
    }
    tokio::task::yield_now().await;
    for _ in 0..20 {
        assert_eq!(calm.query(&one).await.unwrap().len(), 1);
    }
    assert!(waiting.try_join_next().is_none());
    drop(held);
    while let Some(served) = waiting.join_next().await {
        assert_eq!(served.unwrap(), Ok(1));
    }
    busy.close().await;
    calm.close().await;
}

#[tokio::test]
async fn names_are_quoted_or_refused() {
    for name in ["A b", "select", "semi;colon", "quo\"te", "it's", "é".repeat(31).as_str()] {
        let at = Location::Postgres(server_database(name));
        let database = Database::create_owned(&at, "owner").await.unwrap();
        database.close().await;
        assert_eq!(Database::remove_owned(&at, "owner").await.unwrap().len(), 1, "{name}");
    }
    for name in ["é".repeat(32).as_str(), "nul\0"] {
        let refused = Database::create(&Location::Postgres(server_database(name))).await.unwrap_err();
        assert!(refused.to_string().contains("63 bytes"), "{refused}");
    }
}

fn server_database(name: &str) -> ServerDatabase {
    let url = crate::test_servers::postgres("postgres");
    ServerDatabase::parse(Engine::Postgres, &url).unwrap().sibling(name)
}

#[tokio::test]
async fn an_unusable_server_is_reported_with_the_reason() {
    let good = server_database("postgres");
    let with = |change: fn(&mut Server)| {
        let mut at = good.clone();
        change(&mut at.server);
        Location::Postgres(at)
    };
    for (at, says) in [
        (with(|server| server.port = 1), "cannot reach PostgreSQL"),
        (with(|server| server.host = "no-such-host.invalid".into()), "cannot reach PostgreSQL"),
        (with(|server| server.password = Some("wrong".into())), "password authentication failed"),
        (with(|server| server.user = "nobody".into()), "nobody"),
        (with(|server| server.tls = Tls::Require), "TLS"),
    ] {
        let said = Database::open(&at).await.unwrap_err();
        assert!(matches!(&said, DatabaseError::Unreachable(text) if text.contains(says)), "{says}: {said:?}");
        assert!(!said.to_string().contains("secret") && !said.to_string().contains("wrong"), "{said}");
    }
}
