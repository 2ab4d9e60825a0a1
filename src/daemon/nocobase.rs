//! NocoBase's variables of the environment, so that an existing `.env` serves. Those of this program override them;
//! the ones that mean the same as a key are in the table of keys.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::{ConfigurationError, Source};
use super::keys;
use super::settings::{DEFAULT_LISTEN, Settings};
use super::sources::Environment;
use super::values::Input;
use crate::database::Engine;

impl Settings {
    /// Reads NocoBase's variables.
    pub(super) fn read_nocobase(&mut self, environment: &Environment) -> Vec<ConfigurationError> {
        let results = [
            only_local(
                environment,
                "APP_DISCOVERY_ADAPTER",
                "applications are found in this host's own registry",
            ),
            only_local(environment, "APP_PROCESS_ADAPTER", "applications run in this host's own process"),
            self.read_address(environment),
            self.read_database(environment),
        ];
        results.into_iter().filter_map(Result::err).collect()
    }

    /// `APP_HOST` and `APP_PORT`, either of which may be absent.
    fn read_address(&mut self, environment: &Environment) -> Result<(), ConfigurationError> {
        let host = environment.get("APP_HOST")?;
        let port = environment.get("APP_PORT")?;
        let mut listen = self.listen.unwrap_or(DEFAULT_LISTEN);
        if let Some(host) = host {
            let host = Input::Word(host).parsed("an IP address, such as 0.0.0.0");
            listen.set_ip(host.map_err(|problem| ConfigurationError::variable("APP_HOST", problem))?);
        }
        if let Some(port) = port {
            let port = Input::Word(port).parsed("a port from 0 to 65535");
            listen.set_port(port.map_err(|problem| ConfigurationError::variable("APP_PORT", problem))?);
        }
        if let Some(name) = port.map(|_| "APP_PORT").or(host.map(|_| "APP_HOST")) {
            self.listen = Some(listen);
            self.sources.insert("listen", Source::Variable(name.to_owned()));
        }
        Ok(())
    }

    /// The database: `DB_DIALECT` with `DB_STORAGE` for SQLite, or with `DB_HOST`, `DB_PORT`, `DB_DATABASE`,
    /// `DB_USER` and `DB_PASSWORD` for a server. The latter are ignored beside `DB_DIALECT=sqlite`, where they are
    /// often set.
    fn read_database(&mut self, environment: &Environment) -> Result<(), ConfigurationError> {
        if environment.get("NBAPPS_DATABASE_URL")?.is_none()
            && let Some((name, url)) = database_url(environment, environment.get("DB_DIALECT")?)?
        {
            self.set_known("database.url", &url, name)?;
        }
        Ok(())
    }

    /// Reads `DB_SCHEMA`, once the environment's database is known. It is ignored for engines without schemas, as
    /// `DB_HOST` is for SQLite.
    pub(super) fn read_schema(&mut self, environment: &Environment) -> Result<(), ConfigurationError> {
        match environment.get("DB_SCHEMA")? {
            Some(schema) if environment.get("DB_DIALECT")? == Some("postgres") => {
                self.set_known("database.schema", schema, "DB_SCHEMA")
            }
            _ => Ok(()),
        }
    }

    fn set_known(&mut self, key: &str, value: &str, variable: &str) -> Result<(), ConfigurationError> {
        match keys::named(key) {
            Some(key) => self.set(key, &Input::Word(value), Source::Variable(variable.to_owned())),
            None => Ok(()),
        }
    }
}

fn only_local(environment: &Environment, name: &str, because: &str) -> Result<(), ConfigurationError> {
    match environment.get(name)? {
        None | Some("local") => Ok(()),
        Some(other) => Err(ConfigurationError::variable(
            name,
            format!("\"{other}\" is not supported, only \"local\": {because}"),
        )),
    }
}

/// The URL of the database, and the variable that asks for it.
fn database_url(
    environment: &Environment,
    dialect: Option<&str>,
) -> Result<Option<(&'static str, String)>, ConfigurationError> {
    let dialect = match dialect {
        None | Some("sqlite") => {
            let storage = environment.get("DB_STORAGE")?;
            return Ok(storage.map(|file| ("DB_STORAGE", format!("sqlite:{file}"))));
        }
        Some(dialect) => dialect,
    };
    let Some(engine) = Engine::parse(dialect) else {
        let problem = format!("\"{dialect}\" is none of sqlite, postgres, mysql and mariadb");
        return Err(ConfigurationError::variable("DB_DIALECT", problem));
    };
    let encoded = |name: &str| -> Result<Option<String>, ConfigurationError> {
        let value = environment.get(name)?;
        Ok(value.map(|value| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()))
    };
    let required = |name: &str| {
        let missing = || ConfigurationError::variable(name, format!("DB_DIALECT={dialect} needs it"));
        encoded(name)?.ok_or_else(missing)
    };
    let (user, database) = (required("DB_USER")?, required("DB_DATABASE")?);
    let password = encoded("DB_PASSWORD")?.map(|password| format!(":{password}")).unwrap_or_default();
    let host = environment.get("DB_HOST")?.unwrap_or("localhost");
    let port = match environment.get("DB_PORT")? {
        None => engine.default_port(),
        Some(port) => Input::Word(port)
            .parsed("a port from 0 to 65535")
            .map_err(|problem| ConfigurationError::variable("DB_PORT", problem))?,
    };
    Ok(Some(("DB_DIALECT", format!("{}://{user}{password}@{host}:{port}/{database}", engine.as_str()))))
}
