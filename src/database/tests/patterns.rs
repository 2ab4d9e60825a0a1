//! Patterns match alike on every engine, or fail if they take too much backtracking.

use super::*;

/// The ids of the rows that match a pattern, or of those that do not.
async fn fitting(database: &Database, pattern: &Pattern, wanted: bool) -> Result<Vec<i64>, DatabaseError> {
    let fits = database.engine().matches(Expr::col("text"), pattern);
    let question = Query::select()
        .column("id")
        .from("texts")
        .and_where(if wanted { fits } else { fits.not() })
        .order_by("id", Order::Asc)
        .to_owned();
    let rows = database.query(&question).await?;
    Ok(ids(&rows))
}

fn ids(rows: &[Row]) -> Vec<i64> {
    rows.iter()
        .filter_map(|row| if let Some(Value::Integer(id)) = row.value(0) { Some(*id) } else { None })
        .collect()
}

async fn texts(at: &Location, texts: &[Option<String>]) -> Database {
    let database = Database::create(at).await.unwrap();
    let kind = database.engine().column_type(ColumnType::Text);
    let mut table = Table::create();
    table.table("texts").col(ColumnDef::new("id").big_integer()).col(ColumnDef::new_with_type("text", kind));
    database.execute(&table).await.unwrap();
    let numbered: Vec<_> = (0_i64..).zip(texts).collect();
    for some in numbered.chunks(500) {
        let mut rows = Query::insert().into_table("texts").columns(["id", "text"]).to_owned();
        for (id, text) in some {
            rows.values_panic([(*id).into(), Expr::val((*text).clone())]);
        }
        database.insert_many(&rows, None).await.unwrap();
    }
    database
}

#[tokio::test]
async fn a_pattern_matches_correctly_or_fails() {
    everywhere(async |at| {
        let rows: Vec<_> = (0..8).map(|count| Some("a".repeat(40) + &"b".repeat(count))).collect();
        let database = texts(&at, &[rows, vec![None, Some(String::new())]].concat()).await;
        // The last of each: whether a backtracking engine may fail.
        for (pattern, expected, is_hard) in [
            ("^(a|aa)+$", vec![0], true),
            ("^(a|aa|ab)*c$", vec![], true),
            ("(a*a*)*c", vec![], true),
            ("^(a+b?)+b{3}$", vec![3, 4], true),
            ("^(a|aa)*$", vec![0, 9], true),
            ("^(a|b)+$", (0..8).collect(), false),
            ("^(a{20}){2}b?$", vec![0, 1], false),
            ("a+b+", (1..8).collect(), false),
            ("^(a+)+$", vec![0], false),
        ] {
            let pattern = Pattern::regular(pattern, true).unwrap();
            let others: Vec<i64> = (0..10).filter(|id| *id != 8 && !expected.contains(id)).collect();
            for (wanted, expected) in [(true, expected.clone()), (false, others)] {
                match fitting(&database, &pattern, wanted).await {
                    Err(DatabaseError::Pattern(_)) if is_hard && at.engine() == Engine::Mysql => {}
                    answer => assert_eq!(answer, Ok(expected), "{pattern:?}"),
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_text_is_searched_to_its_end() {
    everywhere(async |at| {
        let long = "lorem ipsum ".repeat(20_000) + "Dolor";
        let database = texts(&at, &[Some(long), Some("dolor".to_owned())]).await;
        for pattern in [
            Pattern::part("DOLOR", Position::End).unwrap(),
            Pattern::part("dolor", Position::Anywhere).unwrap(),
            Pattern::like("%dolor").unwrap(),
            Pattern::regular("d[a-z]*r$", false).unwrap(),
            Pattern::regular("(ab|d)o(lor|x)", false).unwrap(),
        ] {
            assert_eq!(fitting(&database, &pattern, true).await, Ok(vec![0, 1]), "{pattern:?}");
        }
        let pattern = Pattern::like("%lorem%ipsum%lorem%dolor%").unwrap();
        assert_eq!(fitting(&database, &pattern, true).await, Ok(vec![0]));
        let pattern = Pattern::like("%lorem%ipsum%lorem%dolor%x%").unwrap();
        assert_eq!(fitting(&database, &pattern, true).await, Ok(vec![]));
    })
    .await;
}

#[tokio::test]
async fn long_texts_are_searched_in_bounded_time() {
    everywhere(async |at| {
        let database = texts(&at, &vec![Some("a".repeat(8000)); 30]).await;
        // The last of each: whether a backtracking engine fails.
        for (pattern, fits, is_hard) in [
            (r"\w*\w*\d", false, false),
            (r"\w*\d", false, false),
            (r"\w+\d+", false, false),
            (r"(\w|\d)*-", false, false),
            (r"^\w*\d", false, false),
            (r"\w*$", true, false),
            (r"a\w*\d", false, true),
            (r"a\w*!", false, true),
            (r"a{200}\w*!", false, true),
            (r"(\w\w)+!x*", false, false),
            (r"b?(\w\w)+!", false, false),
            (r"a(\w\w)+!", false, true),
        ] {
            for exact in [true, false] {
                let pattern = Pattern::regular(pattern, exact).unwrap();
                for wanted in [true, false] {
                    let expected = if fits == wanted { (0..30).collect() } else { Vec::new() };
                    match fitting(&database, &pattern, wanted).await {
                        Err(DatabaseError::Pattern(_)) if is_hard && at.engine() == Engine::Mysql => {}
                        answer => {
                            assert_eq!(answer, Ok(expected), "{pattern:?}");
                            assert!(!is_hard || at.engine() != Engine::Mysql, "{pattern:?}");
                        }
                    }
                }
            }
        }
        let pattern = Pattern::regular(r"a\w*!", true).unwrap();
        let fits = database.engine().matches(Expr::col("text"), &pattern);
        let change =
            Query::update().table("texts").value("text", "b").and_where(fits.clone().not()).to_owned();
        let removal = Query::delete().from_table("texts").and_where(fits.not()).to_owned();
        for done in [database.execute(&change).await, database.execute(&removal).await] {
            match done {
                Err(DatabaseError::Pattern(_)) if at.engine() == Engine::Mysql => {}
                done => assert_eq!(done, Ok(30), "{at}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn many_texts_are_searched_in_bounded_time() {
    everywhere(async |at| {
        // A minute's work for a backtracking engine, although no single text is.
        let database = texts(&at, &vec![Some("a".repeat(650)); 6000]).await;
        let pattern = Pattern::regular("a[a-c]*!", true).unwrap();
        match fitting(&database, &pattern, true).await {
            Err(DatabaseError::Pattern(_)) if at.engine() == Engine::Mysql => {}
            answer => assert_eq!((answer, at.engine() == Engine::Mysql), (Ok(Vec::new()), false)),
        }
        // The same holds for a stream, an aggregation and a count.
        let fits = database.engine().matches(Expr::col("text"), &pattern);
        let some = Query::select().column("id").from("texts").and_where(fits.clone()).to_owned();
        let mut rows = database.stream(&some);
        match rows.next().await {
            Some(Err(DatabaseError::Pattern(_))) if at.engine() == Engine::Mysql => {}
            read => assert!(read.is_none() && at.engine() != Engine::Mysql, "{read:?}"),
        }
        let number = Query::select().expr(Expr::col("id").count()).from("texts").and_where(fits).to_owned();
        match database.count(&number).await {
            Err(DatabaseError::Pattern(_)) if at.engine() == Engine::Mysql => {}
            count => assert_eq!((count, at.engine() == Engine::Mysql), (Ok(0), false)),
        }
        // Fewer texts are searched to the end, on the same connection, which then has no time limit.
        let mut transaction = database.begin().await.unwrap();
        let fits = database.engine().matches(Expr::col("text"), &pattern);
        let few = Query::select()
            .column("id")
            .from("texts")
            .and_where(Expr::col("id").lt(3))
            .and_where(fits.not())
            .order_by("id", Order::Asc)
            .to_owned();
        let allowed = Query::select().expr(Expr::cust("@@session.max_statement_time")).to_owned();
        let mut seen = Vec::new();
        for _ in 0..2 {
            if at.engine() == Engine::Mysql {
                seen.push(format!("{:?}", transaction.query(&allowed).await.unwrap()));
            }
            assert_eq!(ids(&transaction.query(&few).await.unwrap()), [0, 1, 2]);
        }
        assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    })
    .await;
}
