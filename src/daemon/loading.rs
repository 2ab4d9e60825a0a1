//! Loads the daemon's configuration from the file, the environment and the command line. The environment overrides
//! the file, and the command line overrides both. `sources.rs` reads the three by the table of keys in `keys.rs`.

use std::path::PathBuf;

use super::arguments::Arguments;
use super::configuration::Configuration;
use super::error::ConfigurationError;
use super::settings::Settings;
use super::sources::Environment;
use crate::client::paths;

/// The settings as they were given, and the configuration that they make.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) settings: Settings,
    pub(super) configuration: Configuration,
}

impl Configuration {
    /// Reads the configuration file and the environment, and applies `arguments`.
    pub(super) fn load(
        arguments: &Arguments,
        environment: &Environment,
    ) -> Result<Loaded, Vec<ConfigurationError>> {
        let named = match &arguments.config {
            Some(file) => Some(file.clone()),
            None => environment.get("NBAPPS_CONFIG").map_err(|error| vec![error])?.map(PathBuf::from),
        };
        let file = named.or_else(|| Some(paths::default_configuration_file()).filter(|file| file.exists()));
        let mut settings = Settings::default();
        let mut errors = Vec::new();
        if let Some(file) = &file {
            errors.extend(settings.read(file).err().into_iter().flatten());
        }
        errors.extend(settings.read_nocobase(environment));
        errors.extend(settings.read_environment(environment));
        errors.extend(settings.read_schema(environment).err());
        errors.extend(settings.read_arguments(arguments));
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut configuration = settings.clone().complete(file).map_err(|error| vec![error])?;
        configuration.warnings = environment.unknown();
        Ok(Loaded { settings, configuration })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use clap::Parser as _;

    use super::*;
    use crate::database::Location;
    use crate::protocol::{Limit, LimitValues};

    fn load_all(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[&str],
    ) -> Result<Loaded, Vec<ConfigurationError>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nbappsd.toml");
        std::fs::write(&path, file).unwrap();
        let arguments = Arguments::parse_from(
            ["nbappsd", "--config", path.to_str().unwrap()].into_iter().chain(flags.iter().copied()),
        );
        let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        Configuration::load(&arguments, &variables.collect())
    }

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[&str],
    ) -> Result<Configuration, Vec<ConfigurationError>> {
        load_all(file, environment, flags).map(|loaded| loaded.configuration)
    }

    #[test]
    fn flags_beat_the_environment_and_that_the_file() {
        let file = "listen = '127.0.0.1:1'\nsocket = '/f'\nkeep_deleted = '2h'\n[log]\nlevel = 'debug'\n";
        let environment = [("NBAPPS_SOCKET", "/e"), ("NBAPPS_LISTEN", "127.0.0.1:2"), ("APP_PORT", "9")];
        let all = load(file, &environment, &["--listen", "127.0.0.1:3"]).unwrap();
        assert_eq!(all.gateway.listen.port(), 3);
        assert_eq!(all.socket, Path::new("/e"));
        assert_eq!(all.keep_deleted, Duration::from_secs(7200));
        assert_eq!(all.log_level, "debug");
        let nocobase =
            load("listen = '127.0.0.1:1'", &[("APP_PORT", "9"), ("APP_HOST", "0.0.0.0")], &[]).unwrap();
        assert_eq!(nocobase.gateway.listen.to_string(), "0.0.0.0:9");
        let root = load("", &[("INIT_ROOT_EMAIL", "a@b.c"), ("INIT_ROOT_PASSWORD", "p")], &[]).unwrap().root;
        assert_eq!((root.email.as_deref(), root.password.as_deref()), (Some("a@b.c"), Some("p")));
    }

    #[test]
    fn passwords_in_the_file_are_noticed() {
        for (file, environment, expected) in [
            ("[root_user]\npassword = 'p'", &[][..], true),
            ("[database]\nurl = 'postgres://a:p@h/n'", &[], true),
            ("[database]\nurl = 'postgres://a@h/n'", &[], false),
            ("", &[("NBAPPS_DATABASE_URL", "postgres://a:p@h/n"), ("INIT_ROOT_PASSWORD", "p")], false),
        ] {
            assert_eq!(load(file, environment, &[]).unwrap().has_password_in_file, expected, "{file}");
        }
    }

    /// Files with one fault each, and what is said of it.
    const INVALID: &[(&str, &str)] = &[
        ("listn = 1", "nbappsd.toml:1:1: listn: there is no such key; the nearest is listen"),
        ("\n[log]\nlevel = 7", "nbappsd.toml:3:9: log.level: a number is not a text"),
        ("listen = [", "nbappsd.toml:1:"),
        ("log = 5", "nbappsd.toml:1:1: log: it is a table: write [log]"),
        ("[listen]\nx = 1", "nbappsd.toml:1:1: listen: a table is not"),
        ("[lug]\nlevel = 'info'", "nbappsd.toml:1:2: lug: there is no such key"),
        ("[log.level]\nx = 1", "log.level: a table is not"),
        ("[log]\nlevel = 'loud'", "nbappsd.toml:2:9: log.level: \"loud\" is none of error, warn"),
        ("[log]\nformat = 'xml'", "nbappsd.toml:2:10: log.format: \"xml\" is not one of text"),
        (
            "[log]\naccess = 'some'",
            "nbappsd.toml:2:10: log.access: \"some\" is not one of off, errors and all",
        ),
        ("[log]\naccess_format = 'xml'", "log.access_format: \"xml\" is not one of json and combined"),
        ("[log]\nfile_bytes = 0", "nbappsd.toml:2:14: log.file_bytes: 0 is not a number from 4096"),
        ("[log]\nfiles = -1", "nbappsd.toml:2:9: log.files: "),
        ("data_dir = ''", "nbappsd.toml:1:12: data_dir: "),
        ("socket_group = 'no such group'", "nbappsd.toml:1:16: socket_group: there is no group"),
        ("listen = 'here'", "nbappsd.toml:1:10: listen: \"here\" is not an address with a port"),
        (
            "public_url = 'apps.example.com'",
            "nbappsd.toml:1:14: public_url: \"apps.example.com\" is not a URL",
        ),
        ("api_base_path = '/admin/'", "nbappsd.toml:1:17: api_base_path: "),
        ("trusted_proxies = ['x']", "nbappsd.toml:1:19: trusted_proxies: \"x\""),
        ("trusted_proxies = '127.0.0.1'", "trusted_proxies: a text is not an array"),
        ("keep_deleted = 'soon'", "nbappsd.toml:1:16: keep_deleted: \"soon\" is not a duration"),
        (
            "[database]\nurl = 'oracle://u:secret@h/d'",
            "nbappsd.toml:2:7: database.url: it is no database URL",
        ),
        ("[database]\nurl = 'postgres://u:secret@h/'", "no database's name"),
        ("[database]\nurl = 'mysql://u:secret@h/d'\nschema = 's'", "nbappsd.toml:3:10: database.schema: "),
        ("[database]\ntable_prefix = 'a;b'", "nbappsd.toml:2:16: database.table_prefix: "),
        ("[database]\nconnections = 0", "nbappsd.toml:2:15: database.connections: 0 is not a number from 1"),
        ("[database]\nconnections = '5'", "database.connections: a text is not a number"),
        ("[database]\nstatement_timeout = 30", "database.statement_timeout: a number is not a duration"),
        ("[database]\nstatement_timeout = '0s'", "database.statement_timeout: \"0s\" is not a duration"),
        ("[database]\nidle_timeout = '0s'", "database.idle_timeout: \"0s\""),
        ("[gateway]\nconnections = 0", "nbappsd.toml:2:15: gateway.connections: 0 is not a number from 1"),
        ("[gateway]\nheader_timeout = '0s'", "gateway.header_timeout: \"0s\""),
        ("[gateway]\nvisit_timeout = '2 moons'", "gateway.visit_timeout: "),
        ("[gateway]\ndrain_timeout = true", "gateway.drain_timeout: a boolean is not a duration"),
        ("[root_user]\nemail = 'nobody'", "root_user.email: \"nobody\" is not an e-mail address"),
        ("[root_user]\nusername = ' '", "root_user.username: "),
        ("[root_user]\npassword = 5", "root_user.password: it is not a text"),
        ("[limits]\nspeed = 1", "nbappsd.toml:2:1: limits.speed: there is no such key"),
        ("[metrics]\nlisten = 'here'", "nbappsd.toml:2:10: metrics.listen: \"here\" is not an address"),
        ("[metrics]\nlisten = 9464", "metrics.listen: a number is not a text"),
        (
            "[metrics]\nlisten = '127.0.0.1:13000'",
            "nbappsd.toml:2:10: metrics.listen: 127.0.0.1:13000 is where",
        ),
        ("[metrics]\nlisten = '0.0.0.0:13000'", "nbappsd.toml:2:10: metrics.listen: 0.0.0.0:13000 is where"),
        (
            "listen = '[::]:80'\n[metrics]\nlisten = '[::1]:80'",
            "nbappsd.toml:3:10: metrics.listen: [::1]:80 is where the applications are served ([::]:80)",
        ),
        ("[metrics]\napplications = -1", "nbappsd.toml:2:16: metrics.applications: "),
        ("[metrics]\napplications = 10001", "metrics.applications: 10001 is not a number from 0 to 10000"),
        (
            "[limits]\nin_flight = 0",
            "nbappsd.toml:2:13: limits.in_flight: the limit in-flight cannot be \"0\"",
        ),
        ("[limits]\nrequest_time = 30", "such as 30s"),
    ];

    #[test]
    fn every_value_is_checked_and_named_with_file_line_and_key() {
        let long = format!("[root_user]\nnickname = '{}'", "s".repeat(256));
        let too_long = (long.as_str(), "root_user.nickname: it has 256 characters");
        for (file, says) in INVALID.iter().copied().chain([too_long]) {
            let errors = load(file, &[], &[]).unwrap_err();
            let said = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(said.contains(says), "{file}: {said}");
            assert!(!said.contains("secret"), "{said}");
            assert_eq!(errors.len(), 1, "{said}");
        }
    }

    #[test]
    fn the_environment_and_options_are_checked_as_the_file_is() {
        for (environment, flags, says) in [
            (
                &[("NBAPPS_DATABASE_CONNECTIONS", "many")][..],
                &[][..],
                "NBAPPS_DATABASE_CONNECTIONS: many is not",
            ),
            (&[("NBAPPS_LIMIT_BODY", "big")], &[], "NBAPPS_LIMIT_BODY: "),
            (&[("NBAPPS_PUBLIC_URL", "apps.example.com")], &[], "NBAPPS_PUBLIC_URL: "),
            (&[("NBAPPS_LOG_LEVEL", "loud")], &[], "NBAPPS_LOG_LEVEL: \"loud\""),
            (&[("NBAPPS_LOG_FORMAT", "xml")], &[], "NBAPPS_LOG_FORMAT: "),
            (
                &[("NBAPPS_LISTEN", "nowhere")],
                &[],
                "NBAPPS_LISTEN: \"nowhere\" is not an address with a port",
            ),
            (&[("APP_PORT", "x")], &[], "APP_PORT: \"x\" is not a port"),
            (&[("APP_HOST", "x")], &[], "APP_HOST: "),
            (&[("API_BASE_PATH", "/")], &[], "API_BASE_PATH: "),
            (&[("DB_DIALECT", "mysql")], &[], "DB_USER: "),
            (&[("DB_DIALECT", "oracle")], &[], "DB_DIALECT: "),
            (
                &[("DB_DIALECT", "mysql"), ("DB_USER", "u"), ("DB_DATABASE", "d"), ("DB_PORT", "x")],
                &[],
                "DB_PORT: ",
            ),
            (&[("INIT_ROOT_EMAIL", "nobody")], &[], "INIT_ROOT_EMAIL: "),
            (&[("APP_PROCESS_ADAPTER", "pm2")], &[], "APP_PROCESS_ADAPTER: "),
            (&[("APP_DISCOVERY_ADAPTER", "redis")], &[], "only \"local\""),
            (&[], &["--log-level", "loud"], "--log-level: \"loud\""),
            (&[], &["--socket-group", "no such group"], "--socket-group: there is no group"),
        ] {
            let errors = load("", environment, flags).unwrap_err();
            assert!(errors[0].to_string().contains(says), "{environment:?} {flags:?}: {}", errors[0]);
        }
        let errors = load("listn = 1\nkeep_deleted = 'x'", &[("NBAPPS_LIMIT_BODY", "big")], &[]).unwrap_err();
        assert_eq!(errors.len(), 3, "all are told at once: {errors:?}");
    }

    #[test]
    fn metrics_are_served_only_where_that_is_configured() {
        let usual = load("", &[], &[]).unwrap();
        assert_eq!((usual.metrics_listen, usual.metrics_applications), (None, 100));
        let file = "[metrics]\nlisten = '127.0.0.1:9464'\napplications = 0";
        let set = load(file, &[("NBAPPS_METRICS_APPLICATIONS", "7")], &[]).unwrap();
        assert_eq!((set.metrics_listen.map(|at| at.port()), set.metrics_applications), (Some(9464), 7));
        let errors = load("", &[("NBAPPS_METRICS_LISTEN", "127.0.0.1:13000")], &[]).unwrap_err();
        assert!(errors[0].to_string().starts_with("NBAPPS_METRICS_LISTEN: 127.0.0.1:13000 is"), "{errors:?}");
        // Port 0 is another one each time.
        load("listen = '127.0.0.1:0'\n[metrics]\nlisten = '127.0.0.1:0'", &[], &[]).unwrap();
    }

    #[test]
    fn unknown_variables_are_told_with_the_nearest_name() {
        let environment = [
            ("NBAPPS_LIMIT_FOO", "1"),
            ("NBAPPS_LISTEM", "x"),
            ("NBAPPS_AUTOSTART", "0"),
            ("NBAPPS_CRASH_AT", "x"),
            ("OTHER", "x"),
        ];
        let warnings = load("", &environment, &[]).unwrap().warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("NBAPPS_LIMIT_FOO is unknown"), "{warnings:?}");
        assert!(warnings[1].contains("the nearest is NBAPPS_LISTEN"), "{warnings:?}");
    }

    #[test]
    fn limits_of_all_applications_are_numbers_times_and_sizes() {
        let file = "[limits]\nin_flight = 8\nrequest_time = '2s'\nbody = '1MiB'\nrate = 'none'\n\
                    [gateway]\nconnections = 5\n[database]\nstatement_timeout = '7s'";
        let all =
            load(file, &[("NBAPPS_LIMIT_IN_FLIGHT", "9"), ("NBAPPS_LIMIT_QUEUE_TIME", "1s")], &[]).unwrap();
        let expected = [
            (Limit::InFlight, 9),
            (Limit::QueueTimeMs, 1_000),
            (Limit::RequestTimeMs, 2_000),
            (Limit::StatementTimeMs, 7_000),
            (Limit::BodyBytes, 1 << 20),
            (Limit::RequestsPerSecond, 0),
        ];
        assert_eq!(all.limits, LimitValues::from(expected));
        assert_eq!(all.gateway.max_connections, 5);
    }

    #[test]
    fn an_existing_nocobase_environment_serves() {
        let environment = [
            ("APP_PORT", "13000"),
            ("DB_DIALECT", "sqlite"),
            ("DB_STORAGE", "/srv/db.sqlite"),
            ("DB_HOST", "localhost"),
            ("APP_DISCOVERY_ADAPTER", "local"),
            ("APP_PROCESS_ADAPTER", "local"),
            ("API_BASE_PATH", "/v1/"),
        ];
        let all = load("", &environment, &[]).unwrap();
        assert_eq!(all.main_location, Location::Sqlite("/srv/db.sqlite".into()));
        assert_eq!(all.gateway.api_base_path, "/v1/");
        let environment = [
            ("DB_DIALECT", "postgres"),
            ("DB_USER", "ada"),
            ("DB_PASSWORD", "p@ss/w"),
            ("DB_DATABASE", "nocobase"),
            ("DB_SCHEMA", "main"),
            ("DB_TABLE_PREFIX", "nb_"),
        ];
        let all = load("", &environment, &[]).unwrap();
        assert_eq!(all.main_location.to_string(), "schema main of nocobase on localhost:5432");
        assert_eq!(all.table_prefix, "nb_");
        let mysql = [("DB_DIALECT", "mariadb"), ("DB_USER", "ada"), ("DB_DATABASE", "n"), ("DB_HOST", "h")];
        assert_eq!(load("", &mysql, &[]).unwrap().main_location.to_string(), "n on h:3306");
    }
}
