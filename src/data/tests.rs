//! Tests of the data model on each engine.

#![allow(clippy::large_futures, reason = "a test goes through many steps")]

use std::sync::Arc;
use std::task::Poll;

use serde_json::json;

use super::*;
use crate::database::Database;

/// Runs a test on each engine, with the collection's table.
async fn everywhere(collection: &Collection, test: impl AsyncFn(DataSource)) {
    let test = async |at| {
        let source = DataSource::new(Database::create(&at).await.unwrap());
        assert!(!source.has_table(collection).await.unwrap());
        source.create_table(collection).await.unwrap();
        source.create_table(collection).await.unwrap();
        assert!(source.has_table(collection).await.unwrap());
        assert!(source.database().size().await.unwrap() > 0);
        test(source).await;
    };
    crate::database::tests::everywhere(test).await;
    crate::database::tests::in_schema(test).await;
}

fn kinds() -> Collection {
    Collection::new("kinds")
        .field(Field::big_int("id").primary_key().auto_increment())
        .field(Field::string("title").unique())
        .field(Field::text("body"))
        .field(Field::integer("views").default_value(7))
        .field(Field::new("price", FieldType::Double))
        .field(Field::boolean("live").not_null().default_value(false))
        .field(Field::json("extra").default_value(json!({})))
        .field(Field::date_time("at"))
        .field(Field::uuid("code"))
        .field(Field::string("password").hidden())
        .timestamps()
}

fn object(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn texts_are_searched_ignoring_case_and_compared_exactly() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        for title in ["Größe", "größe", "grosse", "100%_!", "Émile 😀", "a", "a ", "A", "\\b"] {
            source.system().insert(&kinds, object(json!({"title": title}))).await.unwrap();
        }
        source.system().insert(&kinds, object(json!({}))).await.unwrap();
        let find = async |filter: Filter| -> Vec<i64> {
            let rows = source.find(&kinds, Query::filter(filter).sort(Sort::ascending("id"))).await;
            rows.unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
        };
        let includes = |part: &str| Filter::on("title", Operator::Includes, part);
        for (part, ids) in [
            ("GRÖSS", vec![]),
            ("rö", vec![1, 2]),
            ("GRÖ", vec![1, 2]),
            ("éMILE", vec![5]),
            ("😀", vec![5]),
            ("%", vec![4]),
            ("_!", vec![4]),
            ("\\", vec![9]),
            ("a", vec![6, 7, 8]),
        ] {
            assert_eq!(find(includes(part)).await, ids, "{part}");
            // The tenth has no title, so neither the condition nor its negation is true.
            let others: Vec<i64> = (1..=9).filter(|id| !ids.contains(id)).collect();
            assert_eq!(find(Filter::Not(Box::new(includes(part)))).await, others, "not {part}");
        }
        assert_eq!(find(Filter::eq("title", "a")).await, [6]);
        assert_eq!(find(Filter::eq("title", "größe")).await, [2]);
        // Numbers are searched in decimal notation; documents cannot be searched.
        assert_eq!(find(Filter::on("id", Operator::Includes, "1")).await, [1, 10]);
        assert!(
            source.find(&kinds, Query::filter(Filter::on("extra", Operator::Includes, "1"))).await.is_err()
        );
    })
    .await;
}

#[tokio::test]
async fn a_record_is_read_as_it_was_written() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        let given = json!({
            "title": "it's \"quoted\" \\ \n é 😀", "body": "x".repeat(5000), "views": 3, "price": 0.1, "live": true,
            "extra": {"a": [1, {"b": null}], "c": "é"}, "at": "2024-02-29T23:59:59.123Z",
            "code": "6f1c7e5e-9d0c-4b27-8f0a-0f8f6c0f9a11",
        });
        let stored = source.system().insert(&kinds, object(given.clone())).await.unwrap();
        assert_eq!(stored["id"], 1);
        for (name, value) in object(given) {
            assert_eq!(stored[&name], value, "{name}");
        }
        let read = source.find_one(&kinds, Query::default()).await.unwrap().unwrap();
        assert_eq!(read, stored, "what an insert gives is what a read gives");
        assert!(stored["createdAt"].as_str().unwrap().ends_with('Z'));
        assert_eq!(stored["createdAt"].as_str().unwrap().len(), "2024-02-29T23:59:59.123Z".len());

        let plain = source.system().insert(&kinds, Record::new()).await.unwrap();
        assert_eq!(
            [&plain["id"], &plain["views"], &plain["live"], &plain["extra"], &plain["title"]],
            [&json!(2), &json!(7), &json!(false), &json!({}), &json!(null)]
        );
    })
    .await;
}

#[tokio::test]
async fn values_are_converted_or_refused_by_their_type() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        for (field, given, expected) in [
            ("title", json!(42), json!("42")),
            ("views", json!("42"), json!(42)),
            ("views", json!(42.0), json!(42)),
            ("price", json!("1.5"), json!(1.5)),
            ("price", json!(7.0), json!(7)),
            ("live", json!(1), json!(true)),
            ("live", json!("false"), json!(false)),
            ("at", json!("2024-01-01T01:30:00+02:00"), json!("2023-12-31T23:30:00.000Z")),
            ("at", json!("2024-01-01"), json!("2024-01-01T00:00:00.000Z")),
            ("at", json!(1_700_000_000_123_i64), json!("2023-11-14T22:13:20.123Z")),
            ("at", json!("2024-01-01T00:00:00.123987Z"), json!("2024-01-01T00:00:00.123Z")),
            (
                "code",
                json!("6F1C7E5E9D0C4B278F0A0F8F6C0F9A11"),
                json!("6f1c7e5e-9d0c-4b27-8f0a-0f8f6c0f9a11"),
            ),
            ("extra", json!([1, 2, 3]), json!([1, 2, 3])),
            ("extra", json!("text"), json!("text")),
        ] {
            let stored = source.system().insert(&kinds, object(json!({field: given}))).await.unwrap();
            let id = Filter::eq("id", stored["id"].clone());
            assert_eq!(stored[field], expected, "{field} {given}");
            let read = source.find_one(&kinds, Query::filter(id)).await.unwrap().unwrap();
            assert_eq!(read[field], expected, "{field} {given}, read");
        }
        for (field, given) in [
            ("title", json!("x".repeat(256))),
            ("title", json!("a\u{0}b")),
            ("title", json!(["a"])),
            ("views", json!(2_147_483_648_i64)),
            ("views", json!(1.5)),
            ("views", json!("many")),
            ("price", json!("NaN")),
            ("live", json!("yes")),
            ("live", json!(null)),
            ("at", json!("2024-02-31")),
            ("at", json!("yesterday")),
            ("code", json!("not-a-uuid")),
        ] {
            let refused = source.system().insert(&kinds, object(json!({field: given}))).await.unwrap_err();
            assert!(
                matches!(&refused, DataError::Invalid { field: said, .. } if said == field),
                "{refused:?}"
            );
        }
        let unknown = source.system().insert(&kinds, object(json!({"nosuch": 1}))).await.unwrap_err();
        assert!(matches!(unknown, DataError::UnknownField { .. }));
    })
    .await;
}

#[tokio::test]
async fn a_hidden_field_is_shown_only_when_named_and_never_in_an_error() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        let stored = source.system().insert(&kinds, object(json!({"password": "hush"}))).await.unwrap();
        assert!(!stored.contains_key("password"));
        let read = source.find_one(&kinds, Query::default()).await.unwrap().unwrap();
        assert!(!read.contains_key("password"));
        let named = source.find_one(&kinds, Query::default().fields(&["password"])).await.unwrap().unwrap();
        assert_eq!(Value::Object(named), json!({"password": "hush"}));
        let refused =
            source.system().insert(&kinds, object(json!({"password": ["hush"]}))).await.unwrap_err();
        assert!(!refused.to_string().contains("hush"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_violated_unique_index_is_named() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        source.system().insert(&kinds, object(json!({"title": "a"}))).await.unwrap();
        let taken = source.system().insert(&kinds, object(json!({"title": "a"}))).await.unwrap_err();
        assert_eq!(taken.unique(), Some(&["title".to_owned()][..]));
        // Any number of records have no value; creating the table again changes nothing.
        source.create_table(&kinds).await.unwrap();
        for _ in 0..2 {
            source.system().insert(&kinds, Record::new()).await.unwrap();
        }
        assert_eq!(source.count(&kinds, &Filter::All).await, Ok(3));
    })
    .await;
}

#[tokio::test]
async fn filters_match_the_same_records_on_each_engine() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        for (views, live) in [(json!(1), true), (json!(2), false), (json!(3), true), (json!(null), false)] {
            source.system().insert(&kinds, object(json!({"views": views, "live": live}))).await.unwrap();
        }
        let views = |value: Value| Filter::eq("views", value);
        let cases: Vec<(Filter, Vec<u64>)> = vec![
            (Filter::All, vec![1, 2, 3, 4]),
            (views(json!(2)), vec![2]),
            (views(json!("2")), vec![2]),
            (views(json!(null)), vec![4]),
            (Filter::ne("views", json!(2)), vec![1, 3, 4]),
            (Filter::ne("views", json!(null)), vec![1, 2, 3]),
            (Filter::one_of("views", vec![json!(1), json!(3)]), vec![1, 3]),
            (Filter::one_of("views", vec![json!(1), json!(null)]), vec![1, 4]),
            (Filter::one_of("views", vec![json!(null)]), vec![4]),
            (Filter::one_of("views", vec![json!(null), json!(null)]), vec![4]),
            (Filter::parse(&json!({"views": [null, null]})).unwrap(), vec![4]),
            (Filter::parse(&json!({"views.$ne": [null, null]})).unwrap(), vec![1, 2, 3]),
            (Filter::one_of("views", vec![]), vec![]),
            (Filter::less("views", json!(2)), vec![1]),
            (Filter::on("views", Operator::Lte, json!(2)), vec![1, 2]),
            (Filter::greater("views", json!(2)), vec![3]),
            (Filter::on("views", Operator::Gte, json!(2)), vec![2, 3]),
            (Filter::eq("live", true).and(Filter::greater("views", json!(1))), vec![3]),
            (Filter::Or(vec![views(json!(1)), views(json!(null))]), vec![1, 4]),
            (Filter::Or(vec![views(json!(1)), Filter::All]), vec![1, 2, 3, 4]),
            (Filter::And(vec![]), vec![1, 2, 3, 4]),
            (Filter::Or(vec![]), vec![]),
            (Filter::greater("createdAt", json!("2000-01-01")), vec![1, 2, 3, 4]),
        ];
        let ids = async |filter: Filter| -> Vec<u64> {
            let query = Query::filter(filter).sort(Sort::ascending("id")).fields(&["id"]);
            let found = source.find(&kinds, query).await.unwrap();
            found.iter().map(|record| record["id"].as_u64().unwrap()).collect()
        };
        for (filter, expected) in cases {
            assert_eq!(ids(filter.clone()).await, expected, "{filter:?}");
            assert_eq!(source.count(&kinds, &filter).await, Ok(expected.len() as u64), "{filter:?}");
        }
        // A comparison with null is neither true nor false, as in SQL.
        for (filter, expected) in [
            (views(json!(2)), vec![1, 3]),
            (Filter::ne("views", json!(2)), vec![2]),
            (Filter::greater("views", json!(2)), vec![1, 2]),
            (views(json!(null)), vec![1, 2, 3]),
            (Filter::All, vec![]),
            (Filter::Or(vec![]), vec![1, 2, 3, 4]),
        ] {
            assert_eq!(ids(Filter::Not(Box::new(filter.clone()))).await, expected, "not {filter:?}");
        }
        for refused in [
            Filter::eq("nosuch", 1),
            Filter::eq("extra", json!({})),
            Filter::eq("views", "many"),
            Filter::less("views", json!(null)),
        ] {
            assert!(source.count(&kinds, &refused).await.is_err(), "{refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn nulls_are_sorted_last_and_pages_follow_the_order() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        for views in [json!(2), json!(null), json!(1), json!(2)] {
            source.system().insert(&kinds, object(json!({"views": views}))).await.unwrap();
        }
        let order = async |query: Query| -> Vec<u64> {
            let found = source.find(&kinds, query).await.unwrap();
            found.iter().map(|record| record["id"].as_u64().unwrap()).collect()
        };
        let up = Query::default().sort(Sort::ascending("views")).sort(Sort::descending("id"));
        assert_eq!(order(up.clone()).await, [3, 4, 1, 2]);
        let down = Query::default().sort(Sort::descending("views")).sort(Sort::ascending("id"));
        assert_eq!(order(down).await, [1, 4, 3, 2]);
        assert_eq!(order(Query { offset: 1, ..up.clone().limit(2) }).await, [4, 1]);
        assert_eq!(order(Query { offset: 3, ..up }).await, [2]);
    })
    .await;
}

#[tokio::test]
async fn updates_change_matching_records_and_their_time() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        for _ in 0..2 {
            let past = json!({"updatedAt": "2020-01-01T00:00:00.000Z", "extra": {"a": 1}});
            source.system().insert(&kinds, object(past)).await.unwrap();
        }
        let second = Filter::eq("id", 2);
        let changes = object(json!({"title": "new", "extra": null}));
        assert_eq!(source.system().update(&kinds, &second, changes).await, Ok(1));
        let found = source.find(&kinds, Query::default().sort(Sort::ascending("id"))).await.unwrap();
        assert_eq!(found[0]["title"], json!(null));
        assert_eq!(found[0]["updatedAt"], "2020-01-01T00:00:00.000Z");
        assert_eq!(found[1]["title"], "new");
        assert_eq!(found[1]["extra"], json!(null));
        assert_ne!(found[1]["updatedAt"], "2020-01-01T00:00:00.000Z");
        assert_eq!(source.system().destroy(&kinds, &second).await, Ok(1));
        assert_eq!(source.system().destroy(&kinds, &second).await, Ok(0));
        assert_eq!(source.count(&kinds, &Filter::All).await, Ok(1));
    })
    .await;
}

#[tokio::test]
async fn a_transaction_has_the_same_operations_and_can_be_rolled_back() {
    let links = Collection::new("links")
        .field(Field::string("role").primary_key())
        .field(Field::big_int("user").primary_key())
        .timestamps();
    everywhere(&links, async |source| {
        let link = |role: &str| object(json!({"role": role, "user": 1}));
        let mut transaction = source.begin().await.unwrap();
        assert!(transaction.has_table(&links).await.unwrap());
        transaction.system().insert(&links, link("a")).await.unwrap();
        assert_eq!(transaction.count(&links, &Filter::All).await, Ok(1));
        drop(transaction);
        let mut transaction = source.begin().await.unwrap();
        transaction.system().insert(&links, link("b")).await.unwrap();
        transaction.commit().await.unwrap();
        let mut transaction = source.begin().await.unwrap();
        let twice = transaction.system().insert(&links, link("b")).await.unwrap_err();
        assert_eq!(twice.unique(), Some(&["role".to_owned(), "user".to_owned()][..]));
        assert!(transaction.commit().await.is_err());
        let found = source.find(&links, Query::default().fields(&["role"])).await.unwrap();
        assert_eq!(found, [object(json!({"role": "b"}))]);
    })
    .await;
}

#[tokio::test]
async fn json_rows_equal_the_records_that_are_read() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        let written = source.find_json(&kinds, &Query::default()).await.unwrap();
        assert_eq!((written.count(), written.json(), written.one()), (0, &b"[]"[..], &b"null"[..]));
        for values in [
            json!({"title": "a \"quote\", a \\ and\na line 😀", "body": "\u{1}", "views": -1, "price": 0.5}),
            json!({"title": null, "price": 7, "live": true, "extra": {"a": [1, null]}, "at": "2024-05-06T07:08:09.100Z"}),
            json!({"code": "6f0c1a9e-7a3e-4c55-9d43-1e1f6f3a1b2c", "password": "secret", "views": null}),
        ] {
            source.system().insert(&kinds, object(values)).await.unwrap();
        }
        for query in [
            Query::default(),
            Query { fields: vec!["title".into(), "views".into()], ..Query::default() },
            Query { except: vec!["createdAt".into(), "id".into()], ..Query::default() },
            Query::filter(Filter::eq("id", 2)),
            Query::filter(Filter::eq("id", 9)),
        ] {
            let query = query.sort(Sort::ascending("id"));
            let written = source.find_json(&kinds, &query).await.unwrap();
            let read = source.find(&kinds, query).await.unwrap();
            assert_eq!(written.count(), read.len());
            let one: Value = serde_json::from_slice(written.one()).unwrap_or_default();
            assert!(read.len() != 1 || one == Value::Object(read[0].clone()), "{one}");
            let all: Vec<Record> = serde_json::from_slice(written.json()).unwrap();
            assert_eq!(all, read);
        }
    })
    .await;
}

/// A guard that opens what it is told to.
#[derive(Debug)]
struct Opening {
    view: Option<RecordAccess>,
    update: Filter,
}

impl Guard for Opening {
    fn access(&self, _: &str, action: RecordAction) -> Option<RecordAccess> {
        match action {
            RecordAction::View => self.view.clone(),
            _ => Some(RecordAccess { fields: None, scope: Arc::new(self.update.clone()) }),
        }
    }

    fn may_nest(&self, _: &str, _: &str, _: &str) -> bool {
        true
    }
}

#[tokio::test]
async fn a_single_statement_updates_as_a_transaction_does() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        let plain = WriteOptions::default();
        let few = std::collections::BTreeSet::from(["views".to_owned()]);
        let all = || Some(RecordAccess::default());
        let scope = |scope: Filter| Some(RecordAccess { fields: None, scope: Arc::new(scope) });
        let low = || Filter::less("views", 5);
        for (number, (view, update, changes)) in [
            (all(), Filter::All, json!({"body": "new", "createdAt": "2000-01-01T00:00:00.000Z"})),
            (all(), low(), json!({"views": 9})),
            (scope(low()), low(), json!({"views": 9, "body": "left the scope"})),
            (scope(low()), low(), json!({"body": "stays in it", "price": 2.5})),
            (scope(Filter::eq("live", true)), low(), json!({"body": "unseen"})),
            (
                Some(RecordAccess { fields: Some(few.into()), scope: Arc::default() }),
                low(),
                json!({"body": "hidden"}),
            ),
            (None, Filter::All, json!({"views": 3})),
            (all(), Filter::All, json!({})),
            (all(), Filter::All, json!({"live": null})),
        ]
        .into_iter()
        .enumerate()
        {
            source.system().destroy(&kinds, &Filter::All).await.unwrap();
            let mut ids = Vec::new();
            for views in [1, 2, 8, 1, 2, 8] {
                let made = source.records(&plain).create(&kinds, object(json!({"views": views})));
                ids.push(made.await.unwrap()["id"].clone());
            }
            let guard: Arc<dyn Guard> = Arc::new(Opening { view, update });
            let options = WriteOptions { guard: Some(guard), ..WriteOptions::default() };
            let (alone, together) =
                (Filter::one_of("id", ids[..3].to_vec()), Filter::one_of("id", ids[3..].to_vec()));
            let first = source.records(&options).update(&kinds, alone.clone(), object(changes.clone())).await;
            let mut transaction = source.begin().await.unwrap();
            let second =
                transaction.records(&options).update(&kinds, together.clone(), object(changes)).await;
            if second.is_ok() {
                transaction.commit().await.unwrap();
            }
            let bare = |records: Vec<Record>| -> Vec<Record> {
                let own =
                    |(name, _): &(String, Value)| !["id", "createdAt", "updatedAt"].contains(&name.as_str());
                let mut bare: Vec<Record> =
                    records.into_iter().map(|record| record.into_iter().filter(own).collect()).collect();
                bare.sort_by_key(|record| json!(record).to_string());
                bare
            };
            assert_eq!(first.map(bare), second.map(bare), "the answer of {number}");
            let [first, second] = [alone, together].map(|which| source.find(&kinds, Query::filter(which)));
            assert_eq!(
                bare(first.await.unwrap()),
                bare(second.await.unwrap()),
                "what is there after {number}"
            );
        }
    })
    .await;
}

/// Notifies when a change is committed.
#[derive(Default)]
struct CommitListener(tokio::sync::Notify);

impl Hook for CommitListener {
    fn concerns(&self, collection: &str) -> bool {
        collection == "kinds"
    }

    fn committed(&self, _: &[Arc<str>]) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_commit_completes_and_notifies_without_its_caller() {
    let kinds = kinds();
    everywhere(&kinds, async |source| {
        let listener = Arc::new(CommitListener::default());
        let source = source.with(Arc::default(), Hooks::new(vec![Arc::clone(&listener) as Arc<dyn Hook>]));
        let mut transaction = source.begin().await.unwrap();
        transaction.system().insert(&kinds, object(json!({"views": 1}))).await.unwrap();
        let published = Arc::new(Catalog::new([kinds.clone()]));
        let (publishing, new) = (source.clone(), Arc::clone(&published));
        let mut commit = Box::pin(transaction.commit_and(move || publishing.set_catalog(new)));
        // The caller goes away after the commit has begun.
        let begun = std::future::poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await;
        assert!(begun.is_pending());
        drop(commit);
        tokio::time::timeout(std::time::Duration::from_secs(60), listener.0.notified()).await.unwrap();
        assert!(Arc::ptr_eq(&source.catalog(), &published));
        assert_eq!(source.count(&kinds, &Filter::All).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn many_records_with_a_composite_key_are_updated_and_removed() {
    let seats = Collection::new("seats")
        .field(Field::big_int("row").primary_key())
        .field(Field::big_int("number").primary_key())
        .field(Field::string("who"))
        .field(Field::sort("sort"));
    everywhere(&seats, async |source| {
        let mut transaction = source.begin().await.unwrap();
        for number in 0..2500 {
            let seat = object(json!({"row": number % 7, "number": number, "sort": number}));
            transaction.system().insert(&seats, seat).await.unwrap();
        }
        transaction.commit().await.unwrap();
        let options = WriteOptions::default();
        let taken = object(json!({"who": "ann"}));
        let changed = source.records(&options).update(&seats, Filter::All, taken).await.unwrap();
        assert_eq!(changed.len(), 2500);
        let ann = Filter::eq("who", "ann");
        assert_eq!(source.count_of(&seats, &Query::filter(ann.clone())).await.unwrap(), 2500);
        assert_eq!(source.records(&options).destroy(&seats, ann).await.unwrap(), 2500);
    })
    .await;
}
