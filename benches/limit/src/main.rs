//! The practical limit: what a hand-written endpoint does on the same work, with no
//! authentication, permissions or query building. Prints nothing; serves on 127.0.0.1:$PORT.
//!
//! | path | work |
//! |---|---|
//! | `/static` | a constant JSON of one list answer |
//! | `/<engine>/list` | 20 rows of 10 columns and their count |
//! | `/<engine>/get?id=` | one row |
//! | `/<engine>/create` | one insert, which is a transaction of its own |
//! | `/<engine>/update?id=` | one update by its key; the row as it is then |
//! | `/<engine>/filtered` | 20 rows by an indexed column, their count, and who made them |
//!
//! `/list?scope=1` and `/filtered?scope=1` count and list only rows that user 1 made, as a role with
//! such a scope does.
//!
//! The engines: `sqlite` (file `$SQLITE`, on blocking threads, WAL, `synchronous=$SYNCHRONOUS`, by
//! default `NORMAL`), `pg` (`$PG`) and `mariadb` (`$MARIADB`), each with a pool of 16. `$ROWS` rows
//! are made at the start (40); what is created goes into a table beside them, so that lists stay as
//! they are.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::{Deserialize, Serialize};

mod mariadb;
mod postgres;
mod sqlite;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STATIC: &str = include_str!("list.json");

/// A row.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    id: i64,
    created_at: Option<String>,
    updated_at: Option<String>,
    created_by_id: Option<i64>,
    updated_by_id: Option<i64>,
    title: Option<String>,
    body: Option<String>,
    views: Option<i64>,
    published: Option<bool>,
    price: Option<f64>,
}

/// Who made a row.
#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct User {
    id: i64,
    nickname: Option<String>,
    username: Option<String>,
    email: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct Authored {
    #[serde(flatten)]
    post: Post,
    #[serde(rename = "createdBy")]
    created_by: Option<User>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    count: i64,
    page: i64,
    page_size: i64,
    total_page: i64,
}

#[derive(Serialize)]
struct List<T> {
    data: Vec<T>,
    meta: Meta,
}

impl<T> List<T> {
    fn first_page(data: Vec<T>, count: i64) -> Self {
        Self { data, meta: Meta { count, page: 1, page_size: 20, total_page: (count + 19) / 20 } }
    }
}

impl List<Authored> {
    fn authored(posts: Vec<Post>, users: &[User], count: i64) -> Self {
        let by = |post: &Post| users.iter().find(|user| Some(user.id) == post.created_by_id).cloned();
        let data = posts.into_iter().map(|post| Authored { created_by: by(&post), post }).collect();
        Self::first_page(data, count)
    }
}

/// Which row.
#[derive(Deserialize)]
struct Which {
    #[serde(default = "first")]
    id: i64,
}

fn first() -> i64 {
    1
}

/// Which rows.
#[derive(Deserialize)]
struct Scope {
    scope: Option<String>,
}

impl Scope {
    /// One condition without a scope, and another with it.
    fn choose(&self, without: &'static str, with: &'static str) -> &'static str {
        if self.scope.is_some() { with } else { without }
    }
}

/// What a client writes.
#[derive(Deserialize)]
struct Written {
    title: String,
    body: String,
    views: i64,
    published: bool,
    price: f64,
}

fn json<T: Serialize>(value: &T) -> impl IntoResponse + use<T> {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (kind, serde_json::to_vec(value).unwrap())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[tokio::main]
async fn main() {
    let rows = variable("ROWS").map_or(40, |rows| rows.parse().unwrap());
    let constant = || async { ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], STATIC) };
    let mut router = Router::new().route("/static", get(constant));
    let file = variable("SQLITE").unwrap_or_else(|| "/tmp/limit.sqlite".to_owned());
    router = router.nest("/sqlite", sqlite::router(&file, rows));
    if let Some(url) = variable("PG") {
        router = router.nest("/pg", postgres::router(&url, rows).await);
    }
    if let Some(url) = variable("MARIADB") {
        router = router.nest("/mariadb", mariadb::router(&url, rows).await);
    }
    let port = variable("PORT").unwrap_or_else(|| "18080".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    axum::serve(listener, router).await.unwrap();
}
