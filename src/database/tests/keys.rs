//! Generated keys, for one row and for several; and the columns of a table.

use super::*;

fn several(titles: &[&str]) -> InsertStatement {
    let mut many = Query::insert();
    many.into_table("posts").columns(["title"]);
    for title in titles {
        many.values_panic([(*title).into()]);
    }
    many
}

async fn next_key(database: &Database, title: &str) -> i64 {
    database.insert(&insert(title), Some("id")).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_key_of_a_refused_row_is_used_up() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        assert_eq!(next_key(&database, "one").await, 1);
        for _ in 0..2 {
            let refused = database.insert(&insert("one"), Some("id")).await;
            assert!(matches!(refused, Err(DatabaseError::Unique { .. })), "{refused:?}");
        }
        assert!(database.insert(&insert("one"), None).await.is_err());
        assert_eq!(next_key(&database, "five").await, 5);
        // A row with an explicit key uses up none.
        let mut own = Query::insert();
        own.into_table("posts").columns(["id", "title"]).values_panic([5.into(), "own".into()]);
        assert!(database.insert(&own, None).await.is_err());
        assert_eq!(next_key(&database, "six").await, 6);
        // Nor does an invalid statement.
        let mut wrong = Query::insert();
        wrong.into_table("posts").columns(["nosuch"]).values_panic([5.into()]);
        assert!(database.insert(&wrong, None).await.is_err());
        assert_eq!(next_key(&database, "seven").await, 7);
        // A row that is skipped as a duplicate has tried one.
        let skipped = sea_query::OnConflict::column("title").do_nothing_on(["title"]).to_owned();
        database.execute(insert("one").on_conflict(skipped)).await.unwrap();
        assert_eq!(next_key(&database, "nine").await, 9);
    })
    .await;
}

#[tokio::test]
async fn the_key_of_a_row_without_a_required_value_is_used_up() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut empty = Query::insert();
        empty.into_table("posts").columns(["title"]).values_panic([Expr::val(Option::<String>::None)]);
        let refused = database.insert(&empty, Some("id")).await;
        assert!(matches!(refused, Err(DatabaseError::NotNull { .. })), "{refused:?}");
        // MySQL and MariaDB check the values before they generate a key.
        let next = if at.engine() == Engine::Mysql { 1 } else { 2 };
        assert_eq!(next_key(&database, "next").await, next);
    })
    .await;
}

#[tokio::test]
async fn the_first_key_of_a_table_can_be_used_up() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut comments = Table::create();
        comments
            .table("comments")
            .col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key())
            .col(ColumnDef::new("post_id").big_integer())
            .foreign_key(sea_query::ForeignKey::create().from("comments", "post_id").to("posts", "id"));
        database.execute(&comments).await.unwrap();
        let comment = |post: Option<i64>| {
            let mut row = Query::insert();
            row.into_table("comments").columns(["post_id"]).values_panic([post.into()]);
            row
        };
        let refused = database.insert(&comment(Some(1)), Some("id")).await;
        assert!(matches!(refused, Err(DatabaseError::ForeignKey { .. })), "{refused:?}");
        assert_eq!(database.insert(&comment(None), Some("id")).await, Ok(Some(2)));
        assert_eq!(next_key(&database, "posts count for themselves").await, 1);
    })
    .await;
}

#[tokio::test]
async fn keys_of_rolled_back_rows_are_used_up() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut given_up = database.begin().await.unwrap();
        assert_eq!(given_up.insert(&insert("a"), Some("id")).await, Ok(Some(1)));
        assert_eq!(given_up.insert(&insert("b"), Some("id")).await, Ok(Some(2)));
        drop(given_up);
        // Concurrently with the rollback, the next key waits only as long as it must.
        let mut failed = database.begin().await.unwrap();
        assert_eq!(failed.insert(&insert("c"), Some("id")).await, Ok(Some(3)));
        assert!(failed.insert(&insert("c"), Some("id")).await.is_err());
        assert!(failed.commit().await.is_err());
        assert_eq!(next_key(&database, "d").await, 5);

        let mut transaction = database.begin().await.unwrap();
        transaction.savepoint().await.unwrap();
        assert_eq!(transaction.insert(&insert("e"), Some("id")).await, Ok(Some(6)));
        transaction.roll_back_to_savepoint().await.unwrap();
        transaction.savepoint().await.unwrap();
        assert!(transaction.insert(&insert("d"), Some("id")).await.is_err());
        transaction.roll_back_to_savepoint().await.unwrap();
        assert_eq!(transaction.insert(&insert("f"), Some("id")).await, Ok(Some(8)));
        transaction.commit().await.unwrap();
        assert_eq!(next_key(&database, "g").await, 9);
        assert_eq!(read(&database).await, ["d", "f", "g"]);
    })
    .await;
}

#[tokio::test]
async fn a_rolled_back_table_leaves_no_sequence() {
    everywhere(async |at| {
        if at.engine() == Engine::Mysql {
            // DDL is not rolled back there.
            return;
        }
        let database = Database::create(&at).await.unwrap();
        let mut transaction = database.begin().await.unwrap();
        transaction.execute(&table()).await.unwrap();
        transaction.insert(&insert("a"), Some("id")).await.unwrap();
        drop(transaction);
        database.execute(&table()).await.unwrap();
        assert_eq!(next_key(&database, "b").await, 1);
    })
    .await;
}

#[tokio::test]
async fn several_rows_get_their_keys_in_order() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        assert_eq!(database.insert_many(&several(&["c", "a"]), Some("id")).await, Ok(vec![1, 2]));
        assert_eq!(database.insert_many(&several(&["b"]), None).await, Ok(vec![]));
        let refused = database.insert_many(&several(&["x", "a"]), Some("id")).await;
        assert_eq!(refused, Err(DatabaseError::Unique { columns: vec!["title".into()] }));
        let mut transaction = database.begin().await.unwrap();
        let made = transaction.insert_many(&several(&["f", "e", "d"]), Some("id")).await.unwrap();
        transaction.commit().await.unwrap();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]) && made[0] > 5, "{made:?}");
        assert_eq!(read(&database).await, ["c", "a", "b", "f", "e", "d"]);
        let many: Vec<_> = (0..300).map(|number| format!("m{number}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let made = database.insert_many(&several(&many), Some("id")).await.unwrap();
        for (key, title) in made.iter().zip(&many) {
            let of = titles().and_where(Expr::col("id").eq(*key)).to_owned();
            let rows = database.query(&of).await.unwrap();
            assert_eq!(rows[0].get("title"), Some(&Value::Text((*title).into())));
        }
        assert_eq!(made.len(), 300);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_several_rows_are_right_with_concurrent_writers() {
    everywhere(async |at| {
        let database = table_at(&at).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let database = database.clone();
            tasks.spawn(async move {
                let rows: Vec<_> = (0..10).map(|row| format!("{number}-{row}")).collect();
                let rows: Vec<_> = rows.iter().map(String::as_str).collect();
                let made = database.insert_many(&several(&rows), Some("id")).await.unwrap();
                for (key, title) in made.iter().zip(rows) {
                    let of = titles().and_where(Expr::col("id").eq(*key)).to_owned();
                    let found = database.query(&of).await.unwrap();
                    assert_eq!(found[0].get("title"), Some(&Value::Text(title.into())));
                }
                made.len()
            });
        }
        while let Some(made) = tasks.join_next().await {
            assert_eq!(made.unwrap(), 10);
        }
    })
    .await;
}

#[tokio::test]
async fn columns_are_listed_and_tables_renamed() {
    let test = async |at: Location| {
        let database = Database::create(&at).await.unwrap();
        let schema = database.namespace().schema.map(str::to_owned);
        let named = |name: &'static str| match &schema {
            Some(schema) => sea_query::TableRef::from((schema.clone(), name)),
            None => sea_query::TableRef::from(name),
        };
        database.execute(table().table(named("posts"))).await.unwrap();
        assert_eq!(database.columns_of("posts").await.unwrap(), ["id", "title"]);
        assert!(database.columns_of("nosuch").await.unwrap().is_empty());
        let rename = Table::rename().table(named("posts"), "articles").to_owned();
        database.execute(&rename).await.unwrap();
        let mut transaction = database.begin().await.unwrap();
        assert_eq!(transaction.columns_of("articles").await.unwrap(), ["id", "title"]);
        assert!(transaction.columns_of("posts").await.unwrap().is_empty());
        transaction.commit().await.unwrap();
        database.close().await;
    };
    everywhere(test).await;
    in_schema(test).await;
}
