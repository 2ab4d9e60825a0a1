//! The limit on MariaDB: prepared statements on a pool of 16 connections.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Pool, PoolConstraints, PoolOpts, Row};

use crate::{List, Post, Scope, User, Which, Written, json};

const COLUMNS: &str = "id, cast(createdAt as char), cast(updatedAt as char), createdById, updatedById, title, \
                       body, views, published, price";
const TABLE: &str = "(id bigint primary key auto_increment, createdAt datetime(3), updatedAt datetime(3), \
     createdById bigint, updatedById bigint, title varchar(255), body text, views bigint, published bool, \
     price double, key (views))";

type Shared = State<Pool>;

/// The endpoints, on tables that are made anew.
pub async fn router(url: &str, rows: i64) -> Router {
    let pool =
        PoolOpts::new().with_constraints(PoolConstraints::new(1, 16).unwrap()).with_reset_connection(false);
    let options = mysql_async::Opts::from_url(url).unwrap();
    let options = OptsBuilder::from_opts(options).pool_opts(pool).tcp_nodelay(true).prefer_socket(false);
    let pool = Pool::new(options);
    let mut on = pool.get_conn().await.unwrap();
    for sql in [
        "drop table if exists posts, created, users".to_owned(),
        format!("create table posts {TABLE}"),
        format!("create table created {TABLE}"),
        "create table users (id bigint primary key, nickname varchar(255), username varchar(255), email varchar(255), createdAt datetime(3), updatedAt datetime(3))".to_owned(),
        "insert into users values (1, 'Root', 'root', 'root@example.com', now(3), now(3))".to_owned(),
        format!(
            "insert into posts (createdAt, updatedAt, createdById, updatedById, title, body, views, published, price) \
             select now(3), now(3), 1, 1, concat('hello ', seq), 'world', seq % 100, true, 1.5 from seq_0_to_{}",
            rows - 1
        ),
    ] {
        on.query_drop(sql).await.unwrap();
    }
    Router::new()
        .route("/list", get(list))
        .route("/get", get(one))
        .route("/filtered", get(filtered))
        .route("/create", post(create))
        .route("/update", post(update))
        .with_state(pool)
}

fn row(mut row: Row) -> Post {
    Post {
        id: row.take(0).unwrap(),
        created_at: row.take(1).unwrap(),
        updated_at: row.take(2).unwrap(),
        created_by_id: row.take(3).unwrap(),
        updated_by_id: row.take(4).unwrap(),
        title: row.take(5).unwrap(),
        body: row.take(6).unwrap(),
        views: row.take(7).unwrap(),
        published: row.take(8).unwrap(),
        price: row.take(9).unwrap(),
    }
}

fn user(mut row: Row) -> User {
    User {
        id: row.take(0).unwrap(),
        nickname: row.take(1).unwrap(),
        username: row.take(2).unwrap(),
        email: row.take(3).unwrap(),
        created_at: row.take(4).unwrap(),
        updated_at: row.take(5).unwrap(),
    }
}

async fn posts(on: &mut Conn, condition: &str) -> (Vec<Post>, i64) {
    let page = format!("select {COLUMNS} from posts{condition} order by id limit 20");
    let rows: Vec<Row> = on.exec(page, ()).await.unwrap();
    let count = on.exec_first(format!("select count(*) from posts{condition}"), ()).await.unwrap().unwrap();
    (rows.into_iter().map(row).collect(), count)
}

async fn list(State(pool): Shared, Query(scope): Query<Scope>) -> impl IntoResponse {
    let condition = scope.choose("", " where createdById = 1");
    let (data, count) = posts(&mut pool.get_conn().await.unwrap(), condition).await;
    json(&List::first_page(data, count))
}

async fn filtered(State(pool): Shared, Query(scope): Query<Scope>) -> impl IntoResponse {
    let condition = scope.choose(" where views = 7", " where views = 7 and createdById = 1");
    let mut on = pool.get_conn().await.unwrap();
    let (data, count) = posts(&mut on, condition).await;
    let sql = "select id, nickname, username, email, cast(createdAt as char), cast(updatedAt as char) from users where id in (1)";
    let users: Vec<Row> = on.exec(sql, ()).await.unwrap();
    let users: Vec<User> = users.into_iter().map(user).collect();
    json(&List::authored(data, &users, count))
}

async fn one(State(pool): Shared, Query(which): Query<Which>) -> impl IntoResponse {
    let mut on = pool.get_conn().await.unwrap();
    json(&by_key(&mut on, which.id).await)
}

async fn by_key(on: &mut Conn, id: i64) -> Post {
    let found = on.exec_first(format!("select {COLUMNS} from posts where id = ?"), (id,)).await;
    row(found.unwrap().unwrap())
}

async fn create(State(pool): Shared, axum::Json(given): axum::Json<Written>) -> impl IntoResponse {
    let mut on = pool.get_conn().await.unwrap();
    let sql = format!(
        "insert into created (createdAt, updatedAt, createdById, updatedById, title, body, views, published, price) \
         values (now(3), now(3), 1, 1, ?, ?, ?, ?, ?) returning {COLUMNS}"
    );
    let values = (given.title, given.body, given.views, given.published, given.price);
    let made: Option<Row> = on.exec_first(sql, values).await.unwrap();
    json(&row(made.unwrap()))
}

async fn update(
    State(pool): Shared,
    Query(which): Query<Which>,
    axum::Json(given): axum::Json<Written>,
) -> impl IntoResponse {
    let mut on = pool.get_conn().await.unwrap();
    let sql = "update posts set title = ?, price = ?, updatedAt = now(3), updatedById = 1 where id = ?";
    on.exec_drop(sql, (given.title, given.price, which.id)).await.unwrap();
    // This server gives no rows that it updates.
    json(&by_key(&mut on, which.id).await)
}
