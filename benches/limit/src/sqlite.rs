//! The limit on SQLite: four connections that read, one that writes, on blocking threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use rusqlite::{Connection, Row, params};

use crate::{List, Post, Scope, User, Which, Written, json, variable};

const COLUMNS: &str =
    "id, createdAt, updatedAt, createdById, updatedById, title, body, views, published, price";
const TABLE: &str = "(id integer primary key autoincrement, createdAt text, updatedAt text, \
     createdById integer, updatedById integer, title text, body text, views integer, published integer, \
     price real)";

struct Connections {
    readers: Vec<Mutex<Connection>>,
    writer: Mutex<Connection>,
    next: AtomicUsize,
}

type Shared = State<Arc<Connections>>;

/// The endpoints, on a file that is made anew.
pub fn router(file: &str, rows: i64) -> Router {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{file}{end}"));
    }
    let synchronous = variable("SYNCHRONOUS").unwrap_or_else(|| "normal".to_owned());
    let open = || {
        let connection = Connection::open(file).unwrap();
        let settings = format!("pragma journal_mode=wal; pragma synchronous={synchronous};");
        connection.execute_batch(&settings).unwrap();
        connection
    };
    let writer = open();
    fill(&writer, rows);
    let readers = (0..4).map(|_| Mutex::new(open())).collect();
    let connections = Connections { readers, writer: Mutex::new(writer), next: AtomicUsize::default() };
    Router::new()
        .route("/list", get(list))
        .route("/get", get(one))
        .route("/filtered", get(filtered))
        .route("/create", post(create))
        .route("/update", post(update))
        .with_state(Arc::new(connections))
}

fn fill(writer: &Connection, rows: i64) {
    let tables = format!(
        "create table posts {TABLE}; create index posts_views on posts (views); create table created {TABLE}; \
         create index created_views on created (views); \
         create table users (id integer primary key, nickname text, username text, email text, createdAt text, updatedAt text); \
         insert into users values (1, 'Root', 'root', 'root@example.com', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'); begin"
    );
    writer.execute_batch(&tables).unwrap();
    let insert = "insert into posts (createdAt, updatedAt, createdById, updatedById, title, body, views, published, price) \
                  values ('2026-01-01T00:00:00.000Z','2026-01-01T00:00:00.000Z',1,1,?,'world',?,1,1.5)";
    for number in 0..rows {
        writer
            .prepare_cached(insert)
            .unwrap()
            .execute(params![format!("hello {number}"), number % 100])
            .unwrap();
    }
    writer.execute_batch("commit").unwrap();
}

fn row(row: &Row<'_>) -> rusqlite::Result<Post> {
    Ok(Post {
        id: row.get(0)?,
        created_at: row.get(1)?,
        updated_at: row.get(2)?,
        created_by_id: row.get(3)?,
        updated_by_id: row.get(4)?,
        title: row.get(5)?,
        body: row.get(6)?,
        views: row.get(7)?,
        published: row.get(8)?,
        price: row.get(9)?,
    })
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(0)?,
        nickname: row.get(1)?,
        username: row.get(2)?,
        email: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

async fn read<T: Send + 'static>(
    connections: Arc<Connections>,
    work: impl FnOnce(&Connection) -> T + Send + 'static,
) -> T {
    let job = move || {
        let next = connections.next.fetch_add(1, Ordering::Relaxed) % connections.readers.len();
        work(&connections.readers[next].lock().unwrap())
    };
    tokio::task::spawn_blocking(job).await.unwrap()
}

async fn write<T: Send + 'static>(
    connections: Arc<Connections>,
    work: impl FnOnce(&Connection) -> T + Send + 'static,
) -> T {
    tokio::task::spawn_blocking(move || work(&connections.writer.lock().unwrap())).await.unwrap()
}

fn posts(on: &Connection, condition: &str) -> (Vec<Post>, i64) {
    let sql = format!("select {COLUMNS} from posts{condition} order by id limit 20");
    let mut statement = on.prepare_cached(&sql).unwrap();
    let posts = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
    let mut count = on.prepare_cached(&format!("select count(*) from posts{condition}")).unwrap();
    (posts, count.query_row([], |row| row.get(0)).unwrap())
}

async fn list(State(on): Shared, Query(scope): Query<Scope>) -> impl IntoResponse {
    let condition = scope.choose("", " where createdById = 1");
    let (data, count) = read(on, |on| posts(on, condition)).await;
    json(&List::first_page(data, count))
}

async fn filtered(State(on): Shared, Query(scope): Query<Scope>) -> impl IntoResponse {
    let condition = scope.choose(" where views = 7", " where views = 7 and createdById = 1");
    let list = read(on, move |on| {
        let (data, count) = posts(on, condition);
        let mut users = on.prepare_cached("select * from users where id in (1)").unwrap();
        let users: Vec<User> = users.query_map([], user).unwrap().map(Result::unwrap).collect();
        List::authored(data, &users, count)
    });
    json(&list.await)
}

async fn one(State(on): Shared, Query(which): Query<Which>) -> impl IntoResponse {
    let post = read(on, move |on| {
        let sql = format!("select {COLUMNS} from posts where id = ?");
        on.prepare_cached(&sql).unwrap().query_row([which.id], row).unwrap()
    });
    json(&post.await)
}

async fn create(State(on): Shared, axum::Json(given): axum::Json<Written>) -> impl IntoResponse {
    let post = write(on, move |on| {
        let sql = format!(
            "insert into created (createdAt, updatedAt, createdById, updatedById, title, body, views, published, price) \
             values ('2026-01-01T00:00:00.000Z','2026-01-01T00:00:00.000Z',1,1,?,?,?,?,?) returning {COLUMNS}"
        );
        let values = params![given.title, given.body, given.views, given.published, given.price];
        on.prepare_cached(&sql).unwrap().query_row(values, row).unwrap()
    });
    json(&post.await)
}

/// At another time each time: SQLite does not write a row that is as it was.
async fn update(
    State(on): Shared,
    Query(which): Query<Which>,
    axum::Json(given): axum::Json<Written>,
) -> impl IntoResponse {
    let post = write(on, move |on| {
        let sql = format!(
            "update posts set title = ?, price = ?, updatedAt = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updatedById = 1 \
             where id = ? returning {COLUMNS}"
        );
        on.prepare_cached(&sql).unwrap().query_row(params![given.title, given.price, which.id], row).unwrap()
    });
    json(&post.await)
}
