//! `nbapps db shell`: opens the client program of an application's database.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::{Args, Subcommand};
use rustix::fs::{MemfdFlags, Mode};

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::somebody_is_there;
use crate::cli::values;
use crate::client::Address;
use crate::protocol::methods::AppDatabase;
use crate::protocol::{AppId, DatabaseAccess, OneApplication, ServerAccess};

/// Work on an application's database
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps db shell crm
  echo 'SELECT count(*) FROM users;' | nbapps db shell crm")]
pub(crate) struct Db {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    Shell(Shell),
}

/// Open sqlite3, psql or mariadb on an application's database
///
/// The application may run meanwhile; what it keeps in memory does not see changes made here. The password is on no
/// command line and in no environment. Only the daemon's own user and root may do this. The exit code is the
/// program's. With --host, the program runs on the other machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps db shell crm
  nbapps db shell crm -- --csv")]
struct Shell {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// Further arguments of the program
    #[arg(value_name = "ARGUMENT", last = true)]
    arguments: Vec<OsString>,
}

impl Db {
    /// Runs the command on the database.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            DbCommand::Shell(shell) => shell.run(context).await,
        }
    }
}

impl Shell {
    /// Replaces this process by the client program, or by `ssh`, which runs this command there.
    async fn run(self, context: &Context) -> Result<(), CliError> {
        if let Address::Ssh(host) = context.address()? {
            let words = ["nbapps", "db", "shell", self.id.as_str()].map(OsString::from);
            let further = (!self.arguments.is_empty()).then(|| OsString::from("--"));
            let words = words.into_iter().chain(further).chain(self.arguments);
            let error = host.login(words, somebody_is_there()).exec();
            return Err(CliError::Io { what: "cannot run ssh".to_owned(), error });
        }
        let client = context.connect().await?;
        let access = context.ask::<AppDatabase>(&client, OneApplication { id: self.id }).await?;
        let programs = programs(&access);
        for program in programs {
            let prepared = command(program, &access);
            let (mut command, _secret) = prepared.map_err(|error| CliError::Io {
                what: format!("the password cannot be handed to {program}"),
                error,
            })?;
            let error = command.args(&self.arguments).exec();
            if error.kind() != io::ErrorKind::NotFound {
                return Err(CliError::Io { what: format!("cannot run {program}"), error });
            }
        }
        Err(CliError::refused(
            format!("there is no program {} in PATH", programs.join(" or ")),
            match &*access.engine {
                "sqlite" => "install it: apt install sqlite3, or dnf install sqlite",
                "postgres" => "install it: apt install postgresql-client, or dnf install postgresql",
                _ => "install it: apt install mariadb-client, or dnf install mariadb",
            },
        ))
    }
}

/// The client programs of an engine, the best one first.
fn programs(access: &DatabaseAccess) -> &'static [&'static str] {
    match &*access.engine {
        "sqlite" => &["sqlite3"],
        "postgres" => &["psql"],
        _ => &["mariadb", "mysql"],
    }
}

/// The command line of a client program, and the file with the password, which must stay open until the program
/// runs. Settings of the user's own for other databases do not count.
fn command(program: &str, access: &DatabaseAccess) -> io::Result<(Command, Option<SecretFile>)> {
    let mut command = Command::new(program);
    if let Some(file) = &access.file {
        // The application writes meanwhile.
        command.args(["-cmd", ".timeout 5000"]).arg(file);
    }
    let secret = match &access.server {
        Some(server) if access.engine == "postgres" => postgres(&mut command, server)?,
        Some(server) => mysql(&mut command, program, server)?,
        None => None,
    };
    Ok((command, secret))
}

/// A file in memory that has no name and is this user's alone. The environment of a process is seen by `ps`; a file
/// is not.
#[derive(Debug)]
struct SecretFile(File);

impl SecretFile {
    /// A file that a program which replaces this process keeps open.
    fn containing(text: &str) -> io::Result<Self> {
        let mut file = File::from(rustix::fs::memfd_create("nbapps", MemfdFlags::empty())?);
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        file.write_all(text.as_bytes())?;
        Ok(Self(file))
    }

    /// A path by which the program opens it, from the beginning.
    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

/// A text with a backslash before each of these characters.
fn escaped(text: &str, special: &[char]) -> String {
    text.chars().flat_map(|c| special.contains(&c).then_some('\\').into_iter().chain([c])).collect()
}

fn postgres(command: &mut Command, server: &ServerAccess) -> io::Result<Option<SecretFile>> {
    for name in ["PGHOSTADDR", "PGSERVICE", "PGPASSFILE", "PGOPTIONS", "PGPASSWORD"] {
        command.env_remove(name);
    }
    command.env("PGHOST", &server.host).env("PGPORT", server.port.to_string());
    command.env("PGUSER", &server.user).env("PGDATABASE", &server.database).env("PGSSLMODE", &server.sslmode);
    if server.sslmode == "verify-full" && std::env::var_os("PGSSLROOTCERT").is_none() {
        // The authorities that the daemon trusts, too.
        command.env("PGSSLROOTCERT", "system");
    }
    if let Some(schema) = &server.schema {
        let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
        command.env("PGOPTIONS", format!("-csearch_path={}", escaped(&quoted, &['\\', ' '])));
    }
    let Some(password) = &server.password else { return Ok(None) };
    let file = SecretFile::containing(&format!("*:*:*:*:{}\n", escaped(password, &['\\', ':'])))?;
    command.env("PGPASSFILE", file.path());
    Ok(Some(file))
}

fn mysql(command: &mut Command, program: &str, server: &ServerAccess) -> io::Result<Option<SecretFile>> {
    command.env_remove("MYSQL_PWD");
    // The first argument, in place of the user's own files, in which a password would count more.
    let secret = match &server.password {
        None => {
            command.arg("--no-defaults");
            None
        }
        Some(password) => {
            let password = escaped(password, &['\\', '"']);
            let file = SecretFile::containing(&format!("[client]\npassword=\"{password}\"\n"))?;
            command.arg(format!("--defaults-file={}", file.path()));
            Some(file)
        }
    };
    match server.host.starts_with('/') {
        true => command.arg(format!("--socket={}", server.host)),
        false => command.args([
            "--protocol=tcp".to_owned(),
            format!("--host={}", server.host),
            format!("--port={}", server.port),
        ]),
    };
    command.arg(format!("--user={}", server.user));
    command.args(match program {
        "mariadb" => encryption(&server.sslmode),
        // MySQL's own program has other options; of a MariaDB from before its programs had their names, the usual
        // ones count.
        _ => match &*server.sslmode {
            "disable" => &["--loose-ssl-mode=DISABLED"],
            "prefer" => &["--loose-ssl-mode=PREFERRED"],
            "require" => &["--loose-ssl-mode=REQUIRED"],
            _ => &["--ssl-mode=VERIFY_IDENTITY"],
        },
    });
    command.arg(format!("--database={}", server.database));
    Ok(secret)
}

/// The options of MariaDB's program for a mode of encryption.
fn encryption(sslmode: &str) -> &'static [&'static str] {
    match sslmode {
        "disable" => &["--skip-ssl"],
        "prefer" => &["--skip-ssl-verify-server-cert"],
        "require" => &["--ssl", "--skip-ssl-verify-server-cert"],
        _ => &["--ssl", "--ssl-verify-server-cert"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "s3c:r\\e\"t #1";

    fn access(engine: &str, schema: Option<&str>) -> DatabaseAccess {
        let server = ServerAccess {
            host: "db.example.com".into(),
            port: 5433,
            user: "crm".into(),
            password: Some(PASSWORD.into()),
            database: "crm".into(),
            schema: schema.map(str::to_owned),
            sslmode: "require".into(),
        };
        DatabaseAccess { engine: engine.into(), file: None, server: Some(server) }
    }

    #[test]
    fn the_password_is_in_a_file_alone() {
        for (access, content) in [
            (access("postgres", Some("a b")), "*:*:*:*:s3c\\:r\\\\e\"t #1\n"),
            (access("mysql", None), "[client]\npassword=\"s3c:r\\\\e\\\"t #1\"\n"),
        ] {
            let (command, secret) = command(programs(&access)[0], &access).unwrap();
            let shown = format!("{command:?} {access:?}");
            assert!(!shown.contains("s3c"), "{shown}");
            let secret = secret.unwrap();
            assert!(shown.contains(&secret.path()), "{shown}");
            for _ in ["first", "again"] {
                assert_eq!(std::fs::read_to_string(secret.path()).unwrap(), content);
            }
        }
        let (command, _secret) = command("psql", &access("postgres", Some("a b"))).unwrap();
        let options = command.get_envs().find(|(name, _)| *name == "PGOPTIONS").unwrap().1.unwrap();
        assert_eq!(options, "-csearch_path=\"a\\ b\"");
    }
}
