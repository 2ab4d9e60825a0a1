//! Creates many applications on one host quickly. One is created normally, with collections and records; then its
//! directory is copied, and the rows of a creation are inserted into the registry. The copies have the users and the
//! JWT secret of the first one, so that its tokens are valid for all of them.

use std::path::{Path, PathBuf};

use nbapps::internals::SecretKey;
use nbapps::protocol::DatabaseRequest;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::host::{Host, id};

/// The purpose with which the registry encrypts JWT secrets.
const JWT_SECRET: &str = "JWT secret";
/// The application that is copied.
pub const FIRST: &str = "first";
/// Its collections.
const COLLECTIONS: usize = 3;
const ROWS: usize = 50;

/// The data directory of a host with the applications.
pub struct Fleet {
    directory: PathBuf,
    /// A token that is valid for every application.
    pub token: String,
}

/// The ID of a copy.
pub fn name(number: usize) -> String {
    format!("app-{number:05}")
}

impl Fleet {
    /// Creates the first application and its copies.
    pub async fn make(directory: &Path, copies: usize) -> Self {
        let host = Host::start(directory).await;
        host.create(FIRST, DatabaseRequest::default()).await;
        let api = host.api(FIRST).await;
        for number in 0..COLLECTIONS {
            let name = format!("posts{number}");
            api.make_posts(&name).await;
            api.fill_posts(&name, ROWS).await;
        }
        host.stop().await;
        let fleet = Self { directory: directory.to_owned(), token: api.token };
        fleet.copy(copies);
        fleet
    }

    /// Starts its host.
    pub async fn host(&self) -> Host {
        Host::start(&self.directory).await
    }

    fn copy(&self, copies: usize) {
        let data = self.directory.join("data");
        let main =
            Connection::open(data.join("main/database.sqlite")).expect("the main application's database");
        let key = SecretKey::load(&data).expect("the host's key can be read").expect("the host has a key");
        let read = "SELECT provision, jwtSecret FROM applicationProvisions WHERE name = ?";
        let (provision, sealed): (String, String) = main
            .query_row(read, [FIRST], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("the first application is registered");
        let provision: Value = serde_json::from_str(&provision).expect("a provision is JSON");
        let secret = key.open(&id(FIRST), JWT_SECRET, &sealed).expect("the secret can be opened");
        let template = data.join("apps").join(provision["directory"].as_str().expect("it has a directory"));
        main.execute_batch("PRAGMA synchronous = OFF; BEGIN").expect("a transaction");
        for number in 0..copies {
            let app = name(number);
            let directory = data.join("apps").join(&app);
            copy_directory(&template, &directory);
            let mark = format!("{number:032x}");
            std::fs::write(directory.join(".nbapps"), &mark).expect("a mark");
            let mut provision = provision.clone();
            provision["key"] = json!(mark);
            provision["directory"] = json!(app);
            register(&main, &app, number, &provision, &key.seal(&id(&app), JWT_SECRET, &secret));
        }
        main.execute_batch("COMMIT").expect("the registry is written");
    }
}

fn register(main: &Connection, app: &str, number: usize, provision: &Value, secret: &str) {
    let number = i64::try_from(number).expect("not that many") + 2;
    let copy = "INSERT INTO applications \
                (createdAt, updatedAt, name, displayName, cname, pinned, icon, status, options, sort) \
                SELECT createdAt, updatedAt, ?1, ?1, NULL, pinned, icon, 'initialized', options, ?2 \
                FROM applications WHERE name = ?3";
    let copied = main.prepare_cached(copy).and_then(|mut copy| copy.execute(params![app, number, FIRST]));
    assert_eq!(copied.expect("a row of the registry"), 1);
    let insert = "INSERT INTO applicationProvisions (name, provision, jwtSecret) VALUES (?, ?, ?)";
    let inserted = main.prepare_cached(insert);
    let inserted = inserted.and_then(|mut row| row.execute(params![app, provision.to_string(), secret]));
    inserted.expect("a row of the registry");
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("the first application's directory") {
        let entry = entry.expect("an entry of a directory");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
