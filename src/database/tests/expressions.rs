//! Exact numbers, dates and expressions on them give the same results on every engine.

use bigdecimal::BigDecimal;
use chrono::{NaiveDate, NaiveTime};
use sea_query::SimpleExpr;
use serde_json::json;

use super::StoredMoment::{Date, Moment, NoTz, Time, UnixMilliseconds, UnixSeconds};
use super::*;

/// Reads a value of an exact number, which is a text on SQLite.
fn as_decimal(value: &Value) -> BigDecimal {
    match value {
        Value::Text(text) => text.parse().unwrap(),
        Value::Decimal(value) => value.clone(),
        other => panic!("{other:?}"),
    }
}

fn decimal(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

async fn values(database: &Database, statement: &SelectStatement) -> Vec<Vec<Value>> {
    database.query(statement).await.unwrap().into_iter().map(Row::into_values).collect()
}

async fn one(database: &Database, expression: SimpleExpr, table: &'static str) -> Value {
    let rows = values(database, &Query::select().expr(expression).from(table).to_owned()).await;
    assert_eq!(rows.len(), 1);
    rows[0][0].clone()
}

/// Creates a table `numbers` with a column of each kind, and inserts these rows.
async fn numbers(at: &Location, rows: &[(i64, f64, &str)]) -> Database {
    let database = Database::create(at).await.unwrap();
    let exact = database.engine().column_type(ColumnType::Decimal(Some((20, 2))));
    let table = Table::create()
        .table("numbers")
        .col(ColumnDef::new("whole").big_integer())
        .col(ColumnDef::new("small").integer())
        .col(ColumnDef::new("double").double())
        .col(ColumnDef::new_with_type("exact", exact))
        .to_owned();
    database.execute(&table).await.unwrap();
    for (whole, double, exact) in rows {
        let exact = Value::Decimal(decimal(exact));
        let row = Query::insert()
            .into_table("numbers")
            .columns(["whole", "small", "double", "exact"])
            .values_panic([
                (*whole).into(),
                i32::try_from(*whole % 1000).unwrap().into(),
                (*double).into(),
                Expr::val(exact),
            ])
            .to_owned();
        database.insert(&row, None).await.unwrap();
    }
    database
}

#[tokio::test]
async fn exact_numbers_are_compared_as_numbers() {
    everywhere(async |at| {
        let stored = ["9.00", "-10.50", "100.00", "0.10", "1000000000000000.01", "1000000000000000.02"];
        let database = numbers(&at, &stored.map(|exact| (1, 0.0, exact))).await;
        let index = sea_query::Index::create().name("by_exact").table("numbers").col("exact").to_owned();
        database.execute(&index).await.unwrap();
        let sorted = Query::select().column("exact").from("numbers").order_by("exact", Order::Asc).to_owned();
        let sorted: Vec<_> = values(&database, &sorted).await.iter().map(|row| as_decimal(&row[0])).collect();
        let expected =
            ["-10.50", "0.10", "9.00", "100.00", "1000000000000000.01", "1000000000000000.02"].map(decimal);
        assert_eq!(sorted, expected);
        assert_eq!(sorted[2].to_string(), "9.00", "with the scale of the column");
        for (condition, count) in [
            (Expr::col("exact").gt(Value::Decimal(decimal("9"))), 3),
            (Expr::col("exact").eq(Value::Decimal(decimal("9.000"))), 1),
            (Expr::col("exact").eq(Value::Decimal(decimal("1000000000000000.01"))), 1),
            (Expr::col("exact").lte(Value::Integer(9)), 3),
            (Expr::col("exact").between(Value::Decimal(decimal("0")), Value::Decimal(decimal("1e2"))), 3),
            (Expr::col("exact").is_in([Value::Decimal(decimal("0.1")), Value::Decimal(decimal("100"))]), 2),
            (Expr::col("whole").lt(Value::Decimal(decimal("1.5"))), 6),
            (Expr::col("small").lt(Value::Integer(i64::MAX)), 6),
            (Expr::col("small").gt(Value::Real(0.5)), 6),
            (Expr::col("exact").eq(Value::Real(-10.5)), 1),
            (Expr::col("double").lt(Value::Decimal(decimal("-0.5"))), 0),
        ] {
            let shown = format!("{condition:?}");
            let question = Query::select().column("whole").from("numbers").and_where(condition).to_owned();
            assert_eq!(values(&database, &question).await.len(), count, "{shown}");
        }
        let most = one(&database, Expr::col("exact").max(), "numbers").await;
        assert_eq!(as_decimal(&most), decimal("1000000000000000.02"));
    })
    .await;
}

#[tokio::test]
async fn an_unstorable_value_does_not_break_the_connection() {
    everywhere(async |at| {
        let database = numbers(&at, &[(1, 0.0, "0.00")]).await;
        let mut wrong = Query::select();
        wrong.column("whole").from("numbers").and_where(Expr::col("whole").eq("no number"));
        match (at.engine(), database.query(&wrong).await) {
            (Engine::Postgres, answer) => {
                assert!(matches!(&answer, Err(DatabaseError::Refused(_))), "{answer:?}");
            }
            // The other engines find nothing.
            (_, answer) => assert_eq!(answer, Ok(vec![])),
        }
        // A number that no engine can hold is refused instead of being expanded.
        let endless = Value::Decimal(decimal("1e999999999"));
        let row = Query::insert()
            .into_table("numbers")
            .columns(["exact"])
            .values_panic([Expr::val(endless)])
            .to_owned();
        let answer = database.insert(&row, None).await;
        assert!(matches!(&answer, Err(DatabaseError::Refused(_))), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn sums_and_averages_have_their_columns_type() {
    everywhere(async |at| {
        let rows =
            [(1, 0.5, "0.10"), (i64::from(i32::MAX), 2.5, "0.20"), (5_000_000_000, -6.0, "99999999.99")];
        let database = numbers(&at, &rows).await;
        let engine = at.engine();
        let of = async |expression: SimpleExpr| one(&database, expression, "numbers").await;
        assert_eq!(of(engine.sum(Expr::col("whole"), false)).await, Value::Integer(7_147_483_648));
        assert_eq!(of(engine.sum(Expr::col("small"), false)).await, Value::Integer(648));
        assert_eq!(of(engine.sum(Expr::col("double"), false)).await, Value::Real(-3.0));
        assert_eq!(of(engine.average(Expr::col("double"), false)).await, Value::Real(-1.0));
        assert_eq!(of(engine.average(Expr::col("small"), false)).await, Value::Real(216.0));
        let sum = of(engine.sum(Expr::col("exact"), true)).await;
        assert_eq!(as_decimal(&sum).to_string(), "100000000.29");
        assert_eq!(matches!(sum, Value::Decimal(_)), engine != Engine::Sqlite, "{sum:?}");
        let average = of(engine.average(Expr::col("exact"), true)).await;
        assert_eq!(as_decimal(&average).to_string(), "33333333.4300000000000000");
        let none = Query::select()
            .exprs([
                engine.sum(Expr::col("whole"), false),
                engine.sum(Expr::col("exact"), true),
                engine.average(Expr::col("double"), false),
                engine.average(Expr::col("exact"), true),
            ])
            .from("numbers")
            .and_where(Expr::col("whole").eq(0))
            .to_owned();
        assert_eq!(values(&database, &none).await, [vec![Value::Null; 4]]);
    })
    .await;
}

#[tokio::test]
async fn averages_round_alike_and_sums_sort_as_numbers() {
    everywhere(async |at| {
        let database = numbers(
            &at,
            &[(1, 1.0, "1.00"), (1, 2.0, "2.00"), (1, 2.0, "2.00"), (2, 0.0, "-20.00"), (2, 0.0, "0.01")],
        )
        .await;
        let engine = at.engine();
        let average = engine.average(Expr::col("exact"), true);
        let sum = engine.sum(Expr::col("exact"), true);
        let groups = Query::select()
            .column("whole")
            .expr_as(average, "average")
            .expr_as(sum.clone(), "sum")
            .from("numbers")
            .group_by_col("whole")
            .and_having(sum.lt(Value::Decimal(decimal("5.5"))))
            .order_by("sum", Order::Asc)
            .to_owned();
        let rows = values(&database, &groups).await;
        let shown: Vec<_> = rows
            .iter()
            .map(|row| format!("{:?} {} {}", row[0], as_decimal(&row[1]), as_decimal(&row[2])))
            .collect();
        assert_eq!(
            shown,
            ["Integer(2) -9.9950000000000000 -19.99", "Integer(1) 1.6666666666666667 5.00"],
            "{engine:?}"
        );
        let single_count = Query::select()
            .column("whole")
            .expr_as(engine.sum(Expr::col("small"), false), "sum")
            .from("numbers")
            .group_by_col("whole")
            .order_by("sum", Order::Desc)
            .to_owned();
        let expected = [[Value::Integer(2), Value::Integer(4)], [Value::Integer(1), Value::Integer(3)]];
        assert_eq!(values(&database, &single_count).await, expected);
        let outer = Query::select().column("sum").from_subquery(single_count, "counted").limit(1).to_owned();
        assert!(matches!(values(&database, &outer).await[0][..], [Value::Integer(3 | 4)]));
        let real = one(&database, engine.average(Expr::col("whole"), false), "numbers").await;
        assert_eq!(real, Value::Real(1.4));
    })
    .await;
}

#[tokio::test]
async fn numbers_have_the_same_text_on_every_engine() {
    everywhere(async |at| {
        let rows =
            [(-7, 3.0, "12.50"), (i64::MAX, 0.1, "-0.10"), (0, -123_456.789, "0.00"), (1, 0.0005, "1")];
        let database = numbers(&at, &rows).await;
        let engine = at.engine();
        let all = Query::select()
            .exprs(["whole", "double", "exact"].map(|column| engine.as_text(Expr::col(column))))
            .from("numbers")
            .and_where(Expr::col("whole").ne(1))
            .order_by("whole", Order::Asc)
            .to_owned();
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(
            values(&database, &all).await,
            [
                [text("-7"), text("3"), text("12.50")],
                [text("0"), text("-123456.789"), text("0.00")],
                [text("9223372036854775807"), text("0.1"), text("-0.10")],
            ]
        );
        let found = Query::select()
            .column("whole")
            .from("numbers")
            .and_where(engine.as_text(Expr::col("double")).like("%000%"))
            .to_owned();
        assert_eq!(values(&database, &found).await, [[Value::Integer(1)]]);
    })
    .await;
}

/// Creates a table `lists` with a JSON column.
async fn lists(at: &Location) -> Database {
    let database = Database::create(at).await.unwrap();
    let kind = database.engine().column_type(ColumnType::Json);
    let table = Table::create()
        .table("lists")
        .col(ColumnDef::new("id").big_integer())
        .col(ColumnDef::new_with_type("list", kind))
        .to_owned();
    database.execute(&table).await.unwrap();
    let lists = [
        Some(json!(["a", "b"])),
        Some(json!(["A", "é\"\\'", "😀"])),
        Some(json!([1, "2", true, null])),
        Some(json!([])),
        Some(json!("a")),
        Some(json!({"a": 1})),
        Some(json!(["b", "a", "a"])),
        None,
    ];
    for (id, list) in (0_i64..).zip(lists) {
        let list = list.map_or(Value::Null, Value::Json);
        let mut row = Query::insert();
        row.into_table("lists").columns(["id", "list"]).values_panic([id.into(), Expr::val(list)]);
        database.insert(&row, None).await.unwrap();
    }
    database
}

async fn ids(database: &Database, table: &'static str, condition: SimpleExpr) -> Vec<i64> {
    let mut question = Query::select();
    question.column("id").from(table).and_where(condition).order_by("id", Order::Asc);
    let rows = values(database, &question).await;
    rows.iter().map(|row| if let Value::Integer(id) = row[0] { id } else { panic!("{row:?}") }).collect()
}

#[tokio::test]
async fn arrays_are_searched_for_elements() {
    everywhere(async |at| {
        let database = lists(&at).await;
        let engine = at.engine();
        for (wanted, found) in [
            (json!(["a"]), vec![0, 6]),
            (json!(["A", "x"]), vec![1]),
            (json!(["é\"\\'"]), vec![1]),
            (json!(["😀"]), vec![1]),
            (json!(["1"]), vec![]),
            (json!([1]), vec![2]),
            (json!([1.0]), vec![2]),
            (json!([2]), vec![]),
            (json!(["2"]), vec![2]),
            (json!([true]), vec![2]),
            (json!([null]), vec![2]),
            (json!(["true", "null", 0, ""]), vec![]),
            (json!([]), vec![]),
        ] {
            let has_any = engine.array_has_any(Expr::col(("lists", "list")), wanted.as_array().unwrap());
            assert_eq!(ids(&database, "lists", has_any.clone()).await, found, "{wanted}");
            let not: Vec<_> = (0..8).filter(|id| !found.contains(id)).collect();
            assert_eq!(ids(&database, "lists", has_any.not()).await, not, "not {wanted}");
        }
    })
    .await;
}

#[tokio::test]
async fn arrays_are_compared_as_sets_and_measured() {
    everywhere(async |at| {
        let database = lists(&at).await;
        let engine = at.engine();
        for (wanted, found) in [
            (json!(["b", "a"]), vec![0, 6]),
            (json!(["a", "b", "b"]), vec![0, 6]),
            (json!(["a"]), vec![]),
            (json!(["a", "b", "c"]), vec![]),
            (json!([]), vec![3]),
            (json!([null, true, "2", 1]), vec![2]),
            (json!([null, true, 2, 1]), vec![]),
            (json!(["a", "é\"\\'", "😀"]), vec![]),
        ] {
            let equals = engine.array_equals(Expr::col("list"), wanted.as_array().unwrap());
            assert_eq!(ids(&database, "lists", equals.clone()).await, found, "{wanted}");
            let not: Vec<_> = (0..8).filter(|id| !found.contains(id)).collect();
            assert_eq!(ids(&database, "lists", equals.not()).await, not, "not {wanted}");
        }
        for (length, found) in [(0, vec![3, 4, 5, 7]), (2, vec![0]), (3, vec![1, 6]), (4, vec![2])] {
            let single_count = engine.array_length(Expr::col("list")).eq(length);
            assert_eq!(ids(&database, "lists", single_count).await, found, "{length}");
        }
    })
    .await;
}

/// Creates a table `days` with a column for each way of storing dates.
async fn days(at: &Location, moments: &[Option<&str>]) -> Database {
    let database = Database::create(at).await.unwrap();
    let engine = database.engine();
    let mut table = Table::create();
    table.table("days");
    for (name, kind) in [
        ("id", ColumnType::BigInteger),
        ("moment", ColumnType::TimestampWithTimeZone),
        ("no_tz", ColumnType::DateTime),
        ("date", ColumnType::Date),
        ("time", ColumnType::Time),
        ("seconds", ColumnType::BigInteger),
        ("milliseconds", ColumnType::BigInteger),
    ] {
        table.col(ColumnDef::new_with_type(name, engine.column_type(kind)));
    }
    database.execute(&table).await.unwrap();
    for (id, moment) in (0_i64..).zip(moments) {
        let at = moment.map(|text| chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc());
        let stored = match at {
            Some(at) => [
                Value::DateTime(at),
                Value::DateTimeNoTz(at.naive_utc()),
                Value::Date(at.date_naive()),
                Value::Time(at.time()),
                Value::Integer(at.timestamp()),
                Value::Integer(at.timestamp_millis()),
            ],
            None => [const { Value::Null }; 6],
        };
        let row = Query::insert()
            .into_table("days")
            .columns(["id", "moment", "no_tz", "date", "time", "seconds", "milliseconds"])
            .values_panic([id.into()].into_iter().chain(stored.into_iter().map(Expr::val)))
            .to_owned();
        database.insert(&row, None).await.unwrap();
    }
    database
}

#[tokio::test]
async fn dates_and_times_round_trip_in_order() {
    everywhere(async |at| {
        let database = days(
            &at,
            &[
                Some("2024-05-06T07:08:09.010Z"),
                Some("1969-12-31T00:00:00Z"),
                Some("9999-12-31T23:59:59.999Z"),
                None,
            ],
        )
        .await;
        let engine = at.engine();
        let ordered = Query::select()
            .columns(["no_tz", "date", "time"])
            .from("days")
            .and_where(Expr::col("date").is_not_null())
            .order_by("no_tz", Order::Asc)
            .to_owned();
        let rows = values(&database, &ordered).await;
        let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
        let time =
            |hour, minute, second, milli| NaiveTime::from_hms_milli_opt(hour, minute, second, milli).unwrap();
        for (row, (date, time)) in rows.into_iter().zip([
            (day(1969, 12, 31), time(0, 0, 0, 0)),
            (day(2024, 5, 6), time(7, 8, 9, 10)),
            (day(9999, 12, 31), time(23, 59, 59, 999)),
        ]) {
            let moment = date.and_time(time);
            let expected = match engine {
                Engine::Sqlite => [
                    Value::Text(moment.format("%Y-%m-%d %H:%M:%S%.3f").to_string()),
                    Value::Text(date.to_string()),
                    Value::Text(time.format("%H:%M:%S%.3f").to_string()),
                ],
                Engine::Postgres => [Value::DateTimeNoTz(moment), Value::Date(date), Value::Time(time)],
                Engine::Mysql => [Value::DateTime(moment.and_utc()), Value::Date(date), Value::Time(time)],
            };
            assert_eq!(row, expected);
        }
        for (condition, found) in [
            (Expr::col("date").gt(Value::Date(day(2024, 5, 5))), vec![0, 2]),
            (Expr::col("date").eq(Value::Date(day(2024, 5, 6))), vec![0]),
            (Expr::col("time").lt(Value::Time(time(7, 8, 9, 11))), vec![0, 1]),
            (Expr::col("time").eq(Value::Time(time(7, 8, 9, 10))), vec![0]),
            (
                Expr::col("no_tz").lte(Value::DateTimeNoTz(day(2024, 5, 6).and_time(time(7, 8, 9, 10)))),
                vec![0, 1],
            ),
        ] {
            let question = Query::select()
                .column("id")
                .from("days")
                .and_where(condition)
                .order_by("id", Order::Asc)
                .to_owned();
            let found: Vec<_> = found.into_iter().map(|id| vec![Value::Integer(id)]).collect();
            assert_eq!(values(&database, &question).await, found);
        }
    })
    .await;
}

/// A column of `days`, how it is stored, a format, an offset, and the texts of its rows.
const FORMATS: [(&str, StoredMoment, &str, i32, [&str; 3]); 11] = [
    (
        "moment",
        Moment,
        "YYYY-MM-DD HH:mm:ss",
        0,
        ["2021-01-03 23:30:00", "1969-12-31 23:59:59", "0900-07-01 00:00:00"],
    ),
    ("moment", Moment, "YYYY-MM-DD HH:mm", 480, ["2021-01-04 07:30", "1970-01-01 07:59", "0900-07-01 08:00"]),
    ("moment", Moment, "YYYY-MM-DD", -90, ["2021-01-03", "1969-12-31", "0900-06-30"]),
    ("moment", Moment, "GGGG-[W]WW", 0, ["2020-W53", "1970-W01", "0900-W26"]),
    ("moment", Moment, "YYYY-[Q]Q", 60, ["2021-Q1", "1970-Q1", "0900-Q3"]),
    ("no_tz", NoTz, "Q/YYYY", 480, ["1/2021", "4/1969", "3/0900"]),
    (
        "no_tz",
        NoTz,
        "[YYYY 100% \"é\" \\ 'x' ?$1] HH",
        0,
        ["YYYY 100% \"é\" \\ 'x' ?$1 23", "YYYY 100% \"é\" \\ 'x' ?$1 23", "YYYY 100% \"é\" \\ 'x' ?$1 00"],
    ),
    ("date", Date, "YYYY/MM/DD HH", 480, ["2021/01/03 00", "1969/12/31 00", "0900/07/01 00"]),
    ("time", Time, "HH:mm:ss", 480, ["23:30:00", "23:59:59", "00:00:00"]),
    (
        "seconds",
        UnixSeconds,
        "YYYY-MM-DD HH:mm:ss",
        1,
        ["2021-01-03 23:31:00", "1970-01-01 00:00:59", "0900-07-01 00:01:00"],
    ),
    (
        "milliseconds",
        UnixMilliseconds,
        "MM-DD HH:mm:ss",
        0,
        ["01-03 23:30:00", "12-31 23:59:59", "07-01 00:00:00"],
    ),
];

#[tokio::test]
async fn dates_are_grouped_by_formats() {
    everywhere(async |at| {
        let database = days(
            &at,
            &[
                Some("2021-01-03T23:30:00.999Z"),
                None,
                Some("1969-12-31T23:59:59.500Z"),
                Some("0900-07-01T00:00:00Z"),
            ],
        )
        .await;
        let engine = at.engine();
        for (column, stored, format, offset, texts) in FORMATS {
            let text = engine.format_moment(Expr::col(column), stored, format, offset).unwrap();
            // Selected and grouped by the expression, as charts do.
            let question = Query::select()
                .expr(text.clone())
                .expr(Expr::col("id").max())
                .from("days")
                .add_group_by([text])
                .to_owned();
            let mut rows = values(&database, &question).await;
            rows.sort_by_key(|row| if let Value::Integer(id) = row[1] { id } else { -1 });
            let mut expected: Vec<_> = texts.map(|text| Value::Text(text.into())).into();
            expected.insert(1, Value::Null);
            if texts[0] == texts[1] {
                // One group, represented by its maximum.
                expected.remove(0);
            }
            let shown: Vec<_> = rows.into_iter().map(|row| row[0].clone()).collect();
            assert_eq!(shown, expected, "{engine:?}: {format} of {column}");
        }
        assert!(engine.format_moment(Expr::col("time"), Time, "YYYY", 0).is_err());
        let refused = engine.format_moment(Expr::col("date"), Date, "dddd", 0).unwrap_err();
        assert!(refused.to_string().contains("dddd"), "{refused}");
    })
    .await;
}
