//! Starts and stops the daemon.
//!
//! The steps that can be refused at no cost come first: the directory's lock, the port, the socket. Then the
//! applications are opened, and then requests are answered. Shutdown goes in the reverse order.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::configuration::Configuration;
use super::descriptors::Shares;
use super::directory::DataDirectory;
use super::error::StartupError;
use super::{checkup, logging, readiness};
use crate::control::{ControlSocket, HostFacts, MetricsListener, RequestHandler, group_id};
use crate::database::Location;
use crate::doctor::Doctor;
use crate::gateway::Gateway;
use crate::protocol::{CreatedRootUser, LOG_DIRECTORY};
use crate::supervisor::logs::{LogFiles, LogOptions};
use crate::supervisor::{Supervisor, SupervisorOptions};

/// Runs the daemon until it is shut down.
pub(super) async fn run(configuration: Configuration) -> Result<(), StartupError> {
    let started_at = crate::protocol::now();
    let shares = Shares::raise(configuration.gateway.max_connections);
    shares.check()?;
    let configuration = within(configuration, &shares);
    let directory = DataDirectory::take(&configuration.data_directory, &configuration.socket)?;
    let logs = open_logs(&configuration, shares.logs)?;
    for warning in &configuration.warnings {
        tracing::warn!("{warning}");
    }
    tracing::debug!(?shares, "file descriptors are divided");
    let ended = Box::pin(serve(configuration, started_at, &shares, &logs)).await;
    // What led to a failure is in the log before the failure.
    logs.flush().await;
    drop(directory);
    ended
}

/// Takes the port and the socket, opens the applications and answers requests until shutdown.
async fn serve(
    configuration: Configuration,
    started_at: DateTime<Utc>,
    shares: &Shares,
    logs: &Arc<LogFiles>,
) -> Result<(), StartupError> {
    let shutdown = CancellationToken::new();
    watch_signals(shutdown.clone())?;
    let gateway = Gateway::bind(configuration.gateway.clone()).await;
    let gateway = gateway.map_err(|error| StartupError::new(&error, error.hint()))?;
    let metrics = bind_metrics(&configuration).await?;
    let socket = bind_control(&configuration, shares)?;

    let listen = gateway.local_addr();
    let main_url =
        configuration.public_url.clone().unwrap_or_else(|| format!("http://{}", reachable(listen)));
    let supervisor = open_applications(&configuration, &main_url, logs.clone()).await?;
    let facts = HostFacts {
        started_at,
        data_directory: configuration.data_directory.clone(),
        socket: socket.path().to_owned(),
        config_file: configuration.file.clone(),
        listen: listen.to_string(),
        metrics_listen: metrics.as_ref().map(|metrics| metrics.address().to_string()),
        main_url: format!("{main_url}/admin/"),
    };
    let starting = tokio::spawn({
        let supervisor = supervisor.clone();
        async move { supervisor.start_with_main().await }
    });
    let doctor = Doctor::new(
        checkup::setup(&configuration, shares, listen),
        supervisor.clone(),
        gateway.watch(),
        started_at,
        checkup::read_again,
    );
    let handler = Arc::new(RequestHandler::new(facts, supervisor.clone(), doctor, shutdown.clone()));
    let control = tokio::spawn(socket.serve(handler, shutdown.clone()));
    if let Some(metrics) = metrics {
        tokio::spawn(metrics.serve(supervisor.clone(), shutdown.clone()));
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), url = main_url, "nbappsd answers requests");
    readiness::notify("READY=1");
    gateway.run(supervisor.clone(), shutdown).await;

    readiness::notify("STOPPING=1");
    let _ = starting.await;
    supervisor.shutdown().await;
    let _ = control.await;
    tracing::info!("nbappsd has ended");
    Ok(())
}

/// Binds the control socket.
fn bind_control(configuration: &Configuration, shares: &Shares) -> Result<ControlSocket, StartupError> {
    let group = configuration.socket_group.as_deref().map(group_id).transpose();
    let group =
        group.map_err(|error| StartupError::new(error, "create the group, or leave --socket-group out"))?;
    let socket = ControlSocket::bind(&configuration.socket, group, shares.control);
    socket.map_err(|error| StartupError::new(&error, error.hint()))
}

/// Listens for requests of metrics, if that is configured.
async fn bind_metrics(configuration: &Configuration) -> Result<Option<MetricsListener>, StartupError> {
    let Some(address) = configuration.metrics_listen else { return Ok(None) };
    let listener = MetricsListener::bind(address).await;
    listener.map(Some).map_err(|error| StartupError::new(&error, error.hint()))
}

/// Limits HTTP and databases to their shares of file descriptors.
fn within(mut configuration: Configuration, shares: &Shares) -> Configuration {
    configuration.gateway.max_connections = shares.http;
    let main = match &configuration.main_location {
        Location::Sqlite(path) => std::path::absolute(path).ok(),
        Location::Postgres(_) | Location::Mysql(_) => None,
    };
    crate::database::set_descriptor_budget(shares.databases, main.as_deref());
    configuration
}

fn open_logs(configuration: &Configuration, max_open: usize) -> Result<Arc<LogFiles>, StartupError> {
    let directory = configuration.data_directory.join(LOG_DIRECTORY);
    let options = LogOptions {
        max_bytes: configuration.log_file_size,
        keep: configuration.log_files,
        max_open,
        access_format: configuration.access_log_format,
    };
    let logs = LogFiles::open(&directory, options);
    let logs =
        logs.map_err(|error| StartupError::new(error, "check the permissions of the data directory"))?;
    let logs = Arc::new(logs);
    logging::begin(&configuration.log_level, configuration.log_format, logs.clone()).map_err(|error| {
        StartupError::new(error, "give --log-level info, or a filter such as nbapps=debug,info")
    })?;
    Ok(logs)
}

/// Opens the applications, and shows the main one's first user if this start created it.
async fn open_applications(
    configuration: &Configuration,
    main_url: &str,
    logs: Arc<LogFiles>,
) -> Result<Arc<Supervisor>, StartupError> {
    let opened = Box::pin(Supervisor::open(supervisor_options(configuration, main_url, logs))).await;
    let (supervisor, root) =
        opened.map_err(|error| StartupError { sentence: error.sentence, hint: error.hint })?;
    if let Some(root) = root {
        show_root(&configuration.data_directory, &root);
    }
    Ok(supervisor)
}

fn supervisor_options(
    configuration: &Configuration,
    main_url: &str,
    logs: Arc<LogFiles>,
) -> SupervisorOptions {
    crate::database::set_limits(configuration.server_limits);
    SupervisorOptions {
        data_directory: configuration.data_directory.clone(),
        main_location: configuration.main_location.clone(),
        table_prefix: configuration.table_prefix.clone(),
        main_url: main_url.to_owned(),
        root: configuration.root.clone(),
        keep_deleted: configuration.keep_deleted,
        limits: configuration.limits.clone(),
        access_log: configuration.access_log,
        visit_timeout: configuration.visit_timeout,
        drain_timeout: configuration.gateway.drain_timeout,
        logs,
        metrics_applications: configuration.metrics_applications,
    }
}

/// The address for a browser on this machine: loopback when the gateway listens on all addresses.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr = if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        address.set_ip(loopback);
    }
    address
}

/// Shuts the daemon down on the first SIGTERM or SIGINT, and exits on the second.
fn watch_signals(shutdown: CancellationToken) -> Result<(), StartupError> {
    let failed = |error| StartupError { sentence: format!("cannot receive signals: {error}"), hint: None };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // SIGXFSZ would kill the daemon when one file exceeds the limit of file sizes. With a handler installed, once
    // and for all, the write fails instead.
    let past_limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    drop(signal(past_limit).map_err(failed)?);
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if shutdown.is_cancelled() {
                std::process::exit(130);
            }
            tracing::info!(signal = name, "shutting down: requests are drained and applications stopped");
            shutdown.cancel();
        }
    });
    Ok(())
}

/// Prints the main application's first user, once. Without a terminal the password goes into a file of its own,
/// never into a log.
fn show_root(data_directory: &Path, root: &CreatedRootUser) {
    let Some(password) = &root.password else { return };
    let CreatedRootUser { email, username, .. } = root;
    let text = format!(
        "the main application's root user is {username} <{email}>, password {password}\n\
         it is shown this once; change it after the first sign-in\n"
    );
    if std::io::stderr().is_terminal() {
        let _ = std::io::stderr().write_all(text.as_bytes());
        return;
    }
    let file = data_directory.join("main-root-password");
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => {
            tracing::info!(file = %file.display(), "the main application's root password was generated: read it in the file, then remove the file")
        }
        Err(error) => {
            tracing::warn!(%error, "cannot write the main application's root password: sign in with nbapps visit main --sign-in")
        }
    }
}
