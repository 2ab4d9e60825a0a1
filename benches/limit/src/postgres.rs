//! The limit on PostgreSQL: prepared statements on a pool of 16 connections.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use deadpool_postgres::{Manager, Pool};
use tokio_postgres::{NoTls, Row};

use crate::{List, Post, Scope, User, Which, Written, json};

const COLUMNS: &str = "id, \"createdAt\"::text, \"updatedAt\"::text, \"createdById\", \"updatedById\", title, \
                       body, views, published, price";
const TABLE: &str = "(id bigserial primary key, \"createdAt\" timestamptz, \"updatedAt\" timestamptz, \
     \"createdById\" bigint, \"updatedById\" bigint, title varchar(255), body text, views bigint, \
     published boolean, price double precision)";

type Shared = State<Pool>;

/// The endpoints, on tables that are made anew.
pub async fn router(url: &str, rows: i64) -> Router {
    let manager = Manager::new(url.parse().unwrap(), NoTls);
    let pool = Pool::builder(manager).max_size(16).build().unwrap();
    let sql = format!(
        "drop table if exists posts, created, users; create table posts {TABLE}; create table created {TABLE}; \
         create index on posts (views); create index on created (views); \
         create table users (id bigint primary key, nickname text, username text, email text, \"createdAt\" timestamptz, \"updatedAt\" timestamptz); \
         insert into users values (1, 'Root', 'root', 'root@example.com', now(), now()); \
         insert into posts (\"createdAt\", \"updatedAt\", \"createdById\", \"updatedById\", title, body, views, published, price) \
         select now(), now(), 1, 1, 'hello ' || i, 'world', i % 100, true, 1.5 from generate_series(0, {rows} - 1) i; \
         analyze posts"
    );
    pool.get().await.unwrap().batch_execute(&sql).await.unwrap();
    Router::new()
        .route("/list", get(list))
        .route("/get", get(one))
        .route("/filtered", get(filtered))
        .route("/create", post(create))
        .route("/update", post(update))
        .with_state(pool)
}

fn row(row: &Row) -> Post {
    Post {
        id: row.get(0),
        created_at: row.get(1),
        updated_at: row.get(2),
        created_by_id: row.get(3),
        updated_by_id: row.get(4),
        title: row.get(5),
        body: row.get(6),
        views: row.get(7),
        published: row.get(8),
        price: row.get(9),
    }
}

fn user(row: &Row) -> User {
    User {
        id: row.get(0),
        nickname: row.get(1),
        username: row.get(2),
        email: row.get(3),
        created_at: row.get(4),
        updated_at: row.get(5),
    }
}

async fn posts(on: &deadpool_postgres::Object, condition: &str) -> (Vec<Post>, i64) {
    let page = format!("select {COLUMNS} from posts{condition} order by id limit 20");
    let page = on.prepare_cached(&page).await.unwrap();
    let count = on.prepare_cached(&format!("select count(*) from posts{condition}")).await.unwrap();
    let (rows, count) = tokio::join!(on.query(&page, &[]), on.query_one(&count, &[]));
    (rows.unwrap().iter().map(row).collect(), count.unwrap().get(0))
}

async fn list(State(pool): Shared, Query(scope): Query<Scope>) -> impl IntoResponse {
    let condition = scope.choose("", " where \"createdById\" = 1");
    let (data, count) = posts(&pool.get().await.unwrap(), condition).await;
    json(&List::first_page(data, count))
}

async fn filtered(State(pool): Shared, Query(scope): Query<Scope>) -> impl IntoResponse {
    let condition = scope.choose(" where views = 7", " where views = 7 and \"createdById\" = 1");
    let on = pool.get().await.unwrap();
    let (data, count) = posts(&on, condition).await;
    let sql = "select id, nickname, username, email, \"createdAt\"::text, \"updatedAt\"::text from users where id in (1)";
    let statement = on.prepare_cached(sql).await.unwrap();
    let users: Vec<User> = on.query(&statement, &[]).await.unwrap().iter().map(user).collect();
    json(&List::authored(data, &users, count))
}

async fn one(State(pool): Shared, Query(which): Query<Which>) -> impl IntoResponse {
    let on = pool.get().await.unwrap();
    let statement = on.prepare_cached(&format!("select {COLUMNS} from posts where id = $1")).await.unwrap();
    json(&row(&on.query_one(&statement, &[&which.id]).await.unwrap()))
}

async fn create(State(pool): Shared, axum::Json(given): axum::Json<Written>) -> impl IntoResponse {
    let on = pool.get().await.unwrap();
    let sql = format!(
        "insert into created (\"createdAt\", \"updatedAt\", \"createdById\", \"updatedById\", title, body, views, published, price) \
         values (now(), now(), 1, 1, $1, $2, $3, $4, $5) returning {COLUMNS}"
    );
    let statement = on.prepare_cached(&sql).await.unwrap();
    let made = on
        .query_one(&statement, &[&given.title, &given.body, &given.views, &given.published, &given.price])
        .await;
    json(&row(&made.unwrap()))
}

async fn update(
    State(pool): Shared,
    Query(which): Query<Which>,
    axum::Json(given): axum::Json<Written>,
) -> impl IntoResponse {
    let on = pool.get().await.unwrap();
    let sql = format!(
        "update posts set title = $1, price = $2, \"updatedAt\" = now(), \"updatedById\" = 1 where id = $3 \
         returning {COLUMNS}"
    );
    let statement = on.prepare_cached(&sql).await.unwrap();
    json(&row(&on.query_one(&statement, &[&given.title, &given.price, &which.id]).await.unwrap()))
}
