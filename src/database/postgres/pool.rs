//! The pool of connections to one database of a server: one for all that are in it, however many
//! schemas they are in.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Weak};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use parking_lot::Mutex;
use tokio_postgres::config::SslMode;

use super::{PATIENCE, tls};
use crate::database::DatabaseError;
use crate::database::server::{CONNECT_TIMEOUT, Server, ServerDatabase, Tls};

/// Connections of one database at the most.
pub(super) const CONNECTIONS: u32 = 16;

type Pools = HashMap<(Server, String), Weak<SharedPool>>;

/// The pools that somebody has, by server and database.
static POOLS: LazyLock<Mutex<Pools>> = LazyLock::new(Mutex::default);

/// A pool that closes its connections when nobody has it any more.
pub(super) struct SharedPool(Pool);

impl Deref for SharedPool {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        &self.0
    }
}

impl Drop for SharedPool {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The pool for a database; nothing is connected yet.
pub(super) fn of(at: &ServerDatabase) -> Result<Arc<SharedPool>, DatabaseError> {
    let key = (at.server.clone(), at.name.clone());
    let mut pools = POOLS.lock();
    if let Some(pool) = pools.get(&key).and_then(Weak::upgrade) {
        return Ok(pool);
    }
    let pool = Arc::new(SharedPool(make(at)?));
    pools.retain(|_, pool| pool.strong_count() > 0);
    pools.insert(key, Arc::downgrade(&pool));
    Ok(pool)
}

fn make(at: &ServerDatabase) -> Result<Pool, DatabaseError> {
    let server = &at.server;
    let unreachable =
        |reason: String| DatabaseError::Unreachable(format!("cannot reach PostgreSQL for {at}: {reason}"));
    let mut config = tokio_postgres::Config::new();
    config.user(&server.user).dbname(&at.name).port(server.port).application_name("nbapps");
    config.connect_timeout(CONNECT_TIMEOUT).options("-c timezone=UTC");
    if server.host.starts_with('/') {
        config.host_path(&server.host);
    } else {
        config.host(&server.host);
    }
    if let Some(password) = &server.password {
        config.password(password);
    }
    config.ssl_mode(match server.tls {
        Tls::Disable => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::VerifyFull => SslMode::Require,
    });
    let connector = tls::connector(server.tls).map_err(unreachable)?;
    let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Pool::builder(Manager::from_config(config, connector, fast))
        .max_size(CONNECTIONS as usize)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .build()
        .map_err(|error| unreachable(error.to_string()))
}
