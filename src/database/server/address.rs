//! The addresses of databases on servers: parsing and formatting their URLs, comparing them, deriving new ones.

use std::fmt;

use percent_encoding::NON_ALPHANUMERIC;
use url::Url;

use crate::database::Engine;

/// Whether connections to a server are encrypted; PostgreSQL's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tls {
    /// Never.
    Disable,
    /// If the server supports it; the certificate is not verified.
    #[default]
    Prefer,
    /// Always; the certificate is not verified.
    Require,
    /// Always; the certificate must be valid and name the host.
    VerifyFull,
}

impl Tls {
    /// Parses a mode by PostgreSQL's or MySQL's name for it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match &*text.to_ascii_lowercase() {
            "disable" | "disabled" => Self::Disable,
            "prefer" | "preferred" => Self::Prefer,
            "require" | "required" => Self::Require,
            "verify-full" | "verify_identity" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// PostgreSQL's name for the mode.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// A database server, and the user to connect as.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// The server's name or address; if it begins with a slash, the directory of its Unix socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The user's password; `None` if the server asks for none.
    pub password: Option<String>,
    /// Whether connections are encrypted.
    pub tls: Tls,
}

/// A database on a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerDatabase {
    /// The server.
    pub server: Server,
    /// The database's name.
    pub name: String,
    /// The schema of all tables; `None` for the first of the user's search path.
    pub schema: Option<String>,
}

/// Why a text is not the URL of a database. The message never quotes the text, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(pub(in crate::database) String);

impl ServerDatabase {
    /// Parses `postgres://user:password@host:port/name?sslmode=require`, or the same with the scheme of
    /// another engine. `host=/directory` in the query names a Unix socket.
    ///
    /// # Errors
    /// When a part is missing or malformed.
    pub fn parse(engine: Engine, text: &str) -> Result<Self, InvalidUrl> {
        let invalid = |problem: &str| InvalidUrl(problem.to_owned());
        let url = Url::parse(text).map_err(|error| InvalidUrl(format!("it is not a URL: {error}")))?;
        let decode = |part: &str| {
            let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
            decoded.map(|text| text.into_owned()).map_err(|_| invalid("it is not UTF-8"))
        };
        let mut server = Server {
            host: decode(url.host_str().unwrap_or_default().trim_matches(['[', ']']))?,
            port: url.port().unwrap_or(engine.default_port()),
            user: decode(url.username())?,
            password: url.password().map(decode).transpose()?,
            tls: Tls::default(),
        };
        for (key, value) in url.query_pairs() {
            match &*key {
                "host" => server.host = value.into_owned(),
                "sslmode" | "ssl-mode" => {
                    server.tls = Tls::parse(&value).ok_or_else(|| {
                        invalid("sslmode is one of disable, prefer, require and verify-full")
                    })?;
                }
                other => return Err(InvalidUrl(format!("it has the unknown parameter \"{other}\""))),
            }
        }
        let name = decode(url.path().trim_start_matches('/'))?;
        for (part, what) in [(&server.host, "host"), (&server.user, "user"), (&name, "database's name")] {
            if part.is_empty() {
                return Err(InvalidUrl(format!("it has no {what}")));
            }
        }
        Ok(Self { server, name, schema: None })
    }

    /// The URL that [`ServerDatabase::parse`] reads, without the password and the schema.
    pub(in crate::database) fn url(&self, engine: Engine) -> String {
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let server = &self.server;
        let (host, socket) = if server.host.starts_with('/') {
            (String::new(), format!("&host={}", encode(&server.host)))
        } else {
            // An IPv6 address is in brackets, which are not part of it.
            let six = server.host.contains(':');
            (if six { format!("[{}]", server.host) } else { server.host.clone() }, String::new())
        };
        format!(
            "{engine}://{user}@{host}:{port}/{name}?sslmode={tls}{socket}",
            engine = engine.as_str(),
            user = encode(&server.user),
            host = if host.is_empty() { "localhost" } else { &host },
            port = server.port,
            name = encode(&self.name),
            tls = server.tls.as_str(),
        )
    }

    /// Whether both are the same database, as far as their names tell; the user does not matter.
    pub(in crate::database) fn is_same_database(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// The machine, port, database and schema.
    pub(in crate::database) fn identity(&self) -> (String, u16, &str, &str) {
        // The default schema is PostgreSQL's `public`; MySQL has none.
        let schema = self.schema.as_deref().unwrap_or("public");
        (self.server.machine(), self.server.port, &self.name, schema)
    }

    /// Returns another database on the same server.
    pub(in crate::database) fn sibling(&self, name: &str) -> Self {
        Self { server: self.server.clone(), name: name.to_owned(), schema: None }
    }

    /// Returns a schema in the same database.
    pub(in crate::database) fn with_schema(&self, schema: &str) -> Self {
        Self { schema: Some(schema.to_owned()), ..self.clone() }
    }
}

impl Server {
    /// The machine's name; `localhost` for every name and socket of this machine.
    pub(in crate::database) fn machine(&self) -> String {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<std::net::IpAddr> = name.parse().ok();
        let here = address.map_or_else(
            || name == "localhost" || name.starts_with('/'),
            |address| address.to_canonical().is_loopback(),
        );
        if here { "localhost".to_owned() } else { name }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{} ({:?})", self.user, self.host, self.port, self.tls)
    }
}

impl fmt::Display for ServerDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "schema {schema} of ")?;
        }
        write!(f, "{} on {}", self.name, self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerDatabase, InvalidUrl> {
        ServerDatabase::parse(Engine::Postgres, text)
    }

    #[test]
    fn urls_are_parsed_with_all_their_parts() {
        let database =
            parse("postgres://ada:p%40ss%2Fw@db.example.com:6543/c%20rm?sslmode=verify-full").unwrap();
        assert_eq!(database.name, "c rm");
        assert_eq!(database.server.password.as_deref(), Some("p@ss/w"));
        assert_eq!((database.server.port, database.server.tls), (6543, Tls::VerifyFull));
        let socket = parse("postgres://ada@localhost/crm?host=/run/postgresql").unwrap();
        assert_eq!((&*socket.server.host, socket.server.port), ("/run/postgresql", 5432));
        for database in [database, socket, parse("postgres://a@[::1]:1/b").unwrap()] {
            let mut again = parse(&database.url(Engine::Postgres)).unwrap();
            assert_eq!(again.server.password, None);
            again.server.password = database.server.password.clone();
            assert_eq!(again, database);
            assert!(again.is_same_database(&database) && !again.is_same_database(&database.sibling("x")));
        }
    }

    #[test]
    fn names_of_one_server_are_equal() {
        let one = parse("postgres://ada@localhost/crm").unwrap();
        for other in ["127.0.0.1", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]", "x/crm?host=/run/postgresql#"]
        {
            let other = parse(&format!("postgres://eve:secret@{other}/crm").replace("#/crm", "")).unwrap();
            assert!(one.is_same_database(&other), "{other:?}");
        }
        for other in
            ["postgres://ada@db/crm", "postgres://ada@localhost:5433/crm", "postgres://ada@localhost/hr"]
        {
            assert!(!one.is_same_database(&parse(other).unwrap()), "{other}");
        }
    }

    #[test]
    fn no_text_shows_a_password() {
        let database = parse("postgres://ada:secret@h/crm").unwrap();
        assert_eq!(database.to_string(), "crm on h:5432");
        assert!(!format!("{database:?}").contains("secret"));
        for (text, says) in [
            ("postgres://ada:secret@h/", "no database's name"),
            ("postgres://h/crm", "no user"),
            ("postgres://ada:secret@h/crm?sslmode=maybe", "sslmode"),
            ("postgres://ada:secret@h/crm?opt=secret", "\"opt\""),
            ("ada:secret", "no host"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(says) && !said.contains("secret"), "{text}: {said}");
        }
    }
}
