//! The sides that are measured, and their requests.

use std::net::SocketAddr;

use serde_json::json;

use crate::engine::Engine;
use crate::limit::{Running, rows};
use crate::servers;
use crate::support::host::{Api, Host, PASSWORD};
use crate::support::load::{Connection, request};

/// The number of requests of a load: enough that no two connections request the same row at the same time.
const REQUESTS: usize = 64;
/// The user with a role that has a record scope.
const WRITER: &str = "writer@example.com";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    List,
    Get,
    Filtered,
    Update,
    Create,
}

impl Work {
    pub(crate) const ALL: [Self; 5] = [Self::List, Self::Get, Self::Filtered, Self::Update, Self::Create];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::Filtered => "filtered",
            Self::Update => "update",
            Self::Create => "create",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Limit,
    /// The limit, with durable commits.
    DurableLimit,
    /// The limit, with the same filter as the role's scope.
    ScopedLimit,
    Root,
    Role,
    /// Another build of the host.
    Before,
}

impl Who {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::DurableLimit => "limit, synchronous=FULL",
            Self::ScopedLimit => "limit, with the scope",
            Self::Root => "host, as root",
            Self::Role => "host, as a role with a scope",
            Self::Before => "another host, as root",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) who: Who,
    pub(crate) address: SocketAddr,
    engine: Engine,
    /// Of the host.
    api: Option<Api>,
    /// Work that another limit may not support.
    lacks: Vec<&'static str>,
}

impl Side {
    /// Whether it is measured for this work.
    pub(crate) fn does(&self, work: Work) -> bool {
        let writes = matches!(work, Work::Update | Work::Create);
        let able = match self.who {
            Who::DurableLimit => self.engine == Engine::Sqlite && writes,
            Who::ScopedLimit => matches!(work, Work::List | Work::Filtered),
            Who::Limit | Who::Root | Who::Role | Who::Before => true,
        };
        able && !self.lacks.contains(&work.name())
    }

    pub(crate) fn requests(&self, work: Work) -> Vec<Vec<u8>> {
        (0..REQUESTS).map(|number| self.request(work, number)).collect()
    }

    fn request(&self, work: Work, number: usize) -> Vec<u8> {
        let row = 1 + number * rows() / REQUESTS;
        let new =
            json!({"title": "bench", "body": "lorem ipsum", "views": 3, "published": false, "price": 2.25});
        let change = json!({"title": "bench", "body": "world", "views": 3, "published": true, "price": 2.25});
        let Some(api) = &self.api else {
            let at = |action: &str| format!("/{}/{action}", self.engine.name());
            let scope = if self.who == Who::ScopedLimit { "?scope=1" } else { "" };
            return match work {
                Work::List => request("GET", &at(&format!("list{scope}")), None, None),
                Work::Get => request("GET", &at(&format!("get?id={row}")), None, None),
                Work::Filtered => request("GET", &at(&format!("filtered{scope}")), None, None),
                Work::Update => request("POST", &at(&format!("update?id={row}")), None, Some(&change)),
                Work::Create => request("POST", &at("create"), None, Some(&new)),
            };
        };
        let change = json!({"title": "bench", "price": 2.25});
        match work {
            Work::List => api.request("GET", "posts:list", None),
            Work::Get => api.request("GET", &format!("posts:get?filterByTk={row}"), None),
            Work::Filtered => {
                let filter = "posts:list?filter=%7B%22views%22%3A7%7D&appends%5B%5D=createdBy";
                api.request("GET", filter, None)
            }
            Work::Update => api.request("POST", &format!("posts:update?filterByTk={row}"), Some(&change)),
            Work::Create => api.request("POST", "created:create", Some(&new)),
        }
    }

    /// Sends each request once. A request that fails is not measured.
    async fn check(mut self) -> Self {
        for work in Work::ALL {
            let mut connection = Connection::open(self.address).await;
            let answer = connection.send(&self.request(work, 1)).await;
            match answer.status {
                200 => {}
                404 if self.api.is_none() => self.lacks.push(work.name()),
                other => panic!("{} {}: {other} {}", self.who.name(), work.name(), answer.text()),
            }
        }
        self
    }
}

/// Creates an application with the limit's table and rows. Returns all sides that are measured on this engine.
pub(crate) async fn prepare(host: &Host, engine: Engine, limit: &Running, durable: &Running) -> Vec<Side> {
    let (root, writer) = application(host, engine, "endpoints").await;
    let side = |who, address, api| Side { who, address, engine, api, lacks: Vec::new() };
    let mut sides = vec![
        side(Who::Limit, limit.address, None).check().await,
        side(Who::ScopedLimit, limit.address, None),
        side(Who::Root, root.address, Some(root)).check().await,
        side(Who::Role, writer.address, Some(writer)).check().await,
    ];
    if engine == Engine::Sqlite {
        sides.insert(1, side(Who::DurableLimit, durable.address, None).check().await);
    }
    sides
}

/// Starts another build of the host, with the same application.
pub(crate) async fn before(host: &Host, engine: Engine) -> Side {
    let (root, _) = application(host, engine, "before").await;
    let side = Side { who: Who::Before, address: root.address, engine, api: Some(root), lacks: Vec::new() };
    side.check().await
}

/// Creates an application with the limit's table and rows. Returns its API as the root user and as the role's user.
async fn application(host: &Host, engine: Engine, database: &str) -> (Api, Api) {
    let app = format!("bench-{}", engine.name());
    host.create(&app, engine.database(database)).await;
    let root = host.api(&app).await;
    root.make_posts("posts").await;
    root.make_posts("created").await;
    make_writer(&root).await;
    let writer = Api::sign_in(root.address, &app, WRITER).await;
    // Created by the role's user, so that they are in the scope.
    writer.fill_posts("posts", rows()).await;
    if engine == Engine::Postgres {
        analyze(&servers::postgres(database)).await;
    }
    (root, writer)
}

/// Runs ANALYZE on PostgreSQL, as the limit does. Autovacuum would do so within a minute, in the middle of the
/// measurement, and plans without statistics until then.
async fn analyze(url: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("ANALYZE").await.unwrap();
}

/// Creates a user with a role whose scope is the records that the user created. If the host supports permissions for
/// single collections, the role also limits the fields.
async fn make_writer(root: &Api) {
    let role = json!({"name": "writer", "title": "Writer", "strategy": {"actions": ["view", "create"]}});
    root.call("POST", "roles:create", Some(role)).await;
    let own = json!({"name": "mine", "resourceName": "posts", "scope": {"createdById": "{{ctx.state.currentUser.id}}"}});
    let (_, scope) = root.send("POST", "rolesResourcesScopes:create", Some(own)).await;
    let scope = &scope["data"]["id"];
    let seen = ["title", "body", "views", "published", "price", "createdBy", "updatedBy"];
    let written = ["title", "body", "views", "published", "price"];
    let resource = json!({"name": "posts", "usingActionsConfig": true, "actions": [
        {"name": "view", "fields": seen, "scopeId": scope},
        {"name": "create", "fields": written},
        {"name": "update", "fields": written, "scopeId": scope},
    ]});
    let (status, _) = root.send("POST", "roles/writer/resources:create", Some(resource)).await;
    if status != 200 {
        let own = json!({"strategy": {"actions": ["view:own", "create", "update:own"]}});
        root.call("POST", "roles:update?filterByTk=writer", Some(own)).await;
    }
    let user = json!({"username": "writer", "email": WRITER, "password": PASSWORD, "roles": ["writer"]});
    root.call("POST", "users:create", Some(user)).await;
}
