//! Which method does what: each is checked into its type and handed to the supervisor.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::link::Link;
use super::parameters::{Answer, give, read, written};
use super::streams;
use crate::protocol::methods::*;
use crate::protocol::{
    ErrorKind, HostInfo, OperationList, PROTOCOL_VERSION, Progress, Request, RequestId, RpcError,
    ShuttingDown, Welcome,
};
use crate::supervisor::{Stage, Stages, Supervisor};

/// What the daemon knows of itself.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Where it keeps its data.
    pub data_directory: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// The configuration file it read, if any.
    pub config_file: Option<PathBuf>,
    /// The address it listens on for HTTP.
    pub listen: String,
    /// Where the main application's pages are.
    pub main_url: String,
}

/// What answers requests: the daemon's facts, its applications, and its end.
#[derive(Debug)]
pub struct Host {
    facts: HostFacts,
    supervisor: Arc<Supervisor>,
    shutdown: CancellationToken,
}

impl Host {
    /// Answers for these applications; `shutdown` is what `host.shutdown` cancels.
    #[must_use]
    pub fn new(facts: HostFacts, supervisor: Arc<Supervisor>, shutdown: CancellationToken) -> Self {
        Self { facts, supervisor, shutdown }
    }

    /// Does one request and answers it.
    pub(super) async fn answer(&self, request: Request, link: Link) {
        let Request { id, method, params } = request;
        tracing::debug!(peer = %link.peer, method, "asked");
        let params = if params.is_null() { json!({}) } else { params };
        let family = method.split_once('.').map(|(family, _)| family);
        let result = match family {
            Some("host" | "rpc") => self.host(&method, params, &link),
            Some("operation") => self.operation(&method, params).await,
            Some("events") if method == EventsSubscribe::NAME => {
                return streams::events(self.supervisor.events(), id, params, link).await;
            }
            Some("app") if method == AppLogs::NAME => {
                return streams::logs(&self.supervisor, id, params, link).await;
            }
            Some("app") => self.app(&method, params, id.clone(), &link).boxed().await,
            _ => Err(unknown(&method)),
        };
        link.answer(id, result).await;
        if method == HostShutdown::NAME {
            self.shutdown.cancel();
        }
    }

    fn host(&self, method: &str, params: Value, link: &Link) -> Answer {
        match method {
            HostHello::NAME => {
                let hello = read::<HostHello>(params)?;
                if hello.protocol != PROTOCOL_VERSION {
                    return Err(RpcError::new(
                        ErrorKind::ProtocolMismatch,
                        format!(
                            "{} speaks protocol {}, this daemon ({}) speaks protocol {PROTOCOL_VERSION}",
                            hello.client,
                            hello.protocol,
                            server()
                        ),
                    )
                    .hint("use nbapps and nbappsd of the same version"));
                }
                let main_url = self.facts.main_url.clone();
                give::<HostHello>(Welcome { server: server(), protocol: PROTOCOL_VERSION, main_url })
            }
            HostInfoMethod::NAME => {
                read::<HostInfoMethod>(params)?;
                give::<HostInfoMethod>(self.info())
            }
            HostShutdown::NAME => {
                read::<HostShutdown>(params)?;
                tracing::info!(peer = %link.peer, "told to end over the control socket");
                give::<HostShutdown>(ShuttingDown { pid: std::process::id() })
            }
            RpcDiscover::NAME => {
                read::<RpcDiscover>(params)?;
                written(method, &discover())
            }
            _ => Err(unknown(method)),
        }
    }

    fn info(&self) -> HostInfo {
        let (applications, running) = self.supervisor.counts();
        let facts = self.facts.clone();
        HostInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL_VERSION,
            pid: std::process::id(),
            started_at: facts.started_at,
            data_directory: facts.data_directory.display().to_string(),
            socket: facts.socket.display().to_string(),
            config_file: facts.config_file.map(|file| file.display().to_string()),
            listen: facts.listen,
            main_url: facts.main_url,
            engine: self.supervisor.engine().as_str().to_owned(),
            applications,
            running,
        }
    }

    async fn operation(&self, method: &str, params: Value) -> Answer {
        let operations = self.supervisor.operations();
        match method {
            OperationListMethod::NAME => {
                read::<OperationListMethod>(params)?;
                give::<OperationListMethod>(OperationList { operations: operations.list() })
            }
            OperationGet::NAME => give::<OperationGet>(operations.get(&read::<OperationGet>(params)?.id)?),
            OperationWait::NAME => {
                let wanted = read::<OperationWait>(params)?;
                give::<OperationWait>(operations.wait(&wanted.id, wanted.wait).await?)
            }
            _ => Err(unknown(method)),
        }
    }

    async fn app(&self, method: &str, params: Value, id: Option<RequestId>, link: &Link) -> Answer {
        match method {
            AppCreate::NAME
            | AppStart::NAME
            | AppStop::NAME
            | AppRestart::NAME
            | AppDelete::NAME
            | AppUndelete::NAME
            | AppUpdate::NAME
            | AppRotateSecret::NAME => {
                // Parameters hold passwords: the log gets the ID alone.
                let app = params.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                tracing::info!(peer = %link.peer, method, app, "command");
                let result = self.command(method, params, id, link).boxed().await;
                if let Err(error) = &result {
                    tracing::info!(peer = %link.peer, method, app, %error, "command failed");
                }
                result
            }
            AppList::NAME => give::<AppList>(self.supervisor.list_some(read::<AppList>(params)?).await?),
            AppSummaries::NAME => {
                give::<AppSummaries>(self.supervisor.summaries(&read::<AppSummaries>(params)?))
            }
            AppGet::NAME => give::<AppGet>(self.supervisor.get_with_size(&read::<AppGet>(params)?.id).await?),
            AppWait::NAME => {
                let wait = read::<AppWait>(params)?;
                tokio::select! {
                    reached = self.supervisor.wait(wait) => give::<AppWait>(reached?),
                    () = link.gone.cancelled() => Err(RpcError::new(ErrorKind::ShuttingDown, "nobody waits any more")),
                }
            }
            AppVisit::NAME => {
                give::<AppVisit>(self.supervisor.visit_address(read::<AppVisit>(params)?).await?)
            }
            _ => Err(unknown(method)),
        }
    }

    async fn command(&self, method: &str, params: Value, id: Option<RequestId>, link: &Link) -> Answer {
        let supervisor = &self.supervisor;
        match method {
            AppCreate::NAME => {
                let create = read::<AppCreate>(params)?;
                let (stages, told) = progress(id, link);
                let created = supervisor.create(create, stages).await;
                let _ = told.await;
                give::<AppCreate>(created?)
            }
            AppDelete::NAME => {
                let delete = read::<AppDelete>(params)?;
                let (stages, told) = progress(id, link);
                let deleted = supervisor.delete(delete, stages).await;
                let _ = told.await;
                give::<AppDelete>(deleted?)
            }
            AppStart::NAME => give::<AppStart>(supervisor.start(read::<AppStart>(params)?).await?),
            AppStop::NAME => give::<AppStop>(supervisor.stop(read::<AppStop>(params)?).await?),
            AppRestart::NAME => give::<AppRestart>(supervisor.restart(read::<AppRestart>(params)?).await?),
            AppUpdate::NAME => give::<AppUpdate>(supervisor.update(read::<AppUpdate>(params)?).await?),
            AppUndelete::NAME => {
                give::<AppUndelete>(supervisor.undelete(&read::<AppUndelete>(params)?.id).await?)
            }
            _ => {
                give::<AppRotateSecret>(supervisor.rotate_secret(&read::<AppRotateSecret>(params)?.id).await?)
            }
        }
    }
}

fn server() -> String {
    concat!("nbappsd ", env!("CARGO_PKG_VERSION")).to_owned()
}

fn unknown(method: &str) -> RpcError {
    RpcError::new(ErrorKind::MethodNotFound, format!("there is no method \"{method}\""))
        .hint("rpc.discover lists all methods")
}

/// Where a command tells its stages, each sent on as `progress`; the task ends with the command,
/// or once nobody listens.
fn progress(request: Option<RequestId>, link: &Link) -> (Stages, tokio::task::JoinHandle<()>) {
    let (stages, mut told) = mpsc::unbounded_channel::<Stage>();
    let link = link.clone();
    let task = tokio::spawn(async move {
        let Some(request) = request else { return };
        while let Some(stage) = told.recv().await {
            let Stage { name, done, total, message } = stage;
            let request = request.clone();
            let progress = Progress { request, stage: name.to_owned(), done, total, message };
            if !link.notify("progress", progress).await {
                return;
            }
        }
    });
    (stages, task)
}
