//! `host.*` and `rpc.*`: the daemon itself.

use super::super::call::{Handled, MethodCall, MethodHandler, Reply};
use super::RequestHandler;
use crate::protocol::methods::{HostDoctor, HostHello, HostInfoMethod, HostShutdown, RpcDiscover, discover};
use crate::protocol::{
    ErrorKind, Examine, Hello, HostInfo, Nothing, PROTOCOL_VERSION, RpcError, ShuttingDown, Welcome,
};

const SERVER: &str = concat!("nbappsd ", env!("CARGO_PKG_VERSION"));

impl MethodHandler<HostHello> for RequestHandler {
    async fn handle(&self, hello: Hello, _: &MethodCall) -> Handled<HostHello> {
        let Hello { client, protocol } = hello;
        if protocol != PROTOCOL_VERSION {
            let sentence = format!(
                "{client} speaks protocol {protocol}, this daemon ({SERVER}) speaks protocol {PROTOCOL_VERSION}"
            );
            return Err(RpcError::new(ErrorKind::ProtocolMismatch, sentence)
                .hint("use nbapps and nbappsd of the same version"));
        }
        let main_url = self.facts.main_url.clone();
        Ok(Welcome { server: SERVER.to_owned(), protocol: PROTOCOL_VERSION, main_url }.into())
    }
}

impl MethodHandler<HostInfoMethod> for RequestHandler {
    async fn handle(&self, _: Nothing, _: &MethodCall) -> Handled<HostInfoMethod> {
        let (applications, running) = self.supervisor.counts();
        let facts = self.facts.clone();
        let info = HostInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL_VERSION,
            pid: std::process::id(),
            started_at: facts.started_at,
            data_directory: facts.data_directory.display().to_string(),
            socket: facts.socket.display().to_string(),
            config_file: facts.config_file.map(|file| file.display().to_string()),
            listen: facts.listen,
            metrics_listen: facts.metrics_listen,
            main_url: facts.main_url,
            engine: self.supervisor.engine().as_str().to_owned(),
            applications,
            running,
        };
        Ok(info.into())
    }
}

impl MethodHandler<HostShutdown> for RequestHandler {
    async fn handle(&self, _: Nothing, _: &MethodCall) -> Handled<HostShutdown> {
        let shutdown = self.shutdown.clone();
        // The response goes first: the socket closes with the daemon.
        Ok(Reply::then(ShuttingDown { pid: std::process::id() }, async move { shutdown.cancel() }))
    }
}

impl MethodHandler<HostDoctor> for RequestHandler {
    async fn handle(&self, examine: Examine, call: &MethodCall) -> Handled<HostDoctor> {
        tokio::select! {
            examined = self.doctor.examine(examine) => Ok(examined?.into()),
            () = call.client.disconnected.cancelled() => {
                Err(RpcError::new(ErrorKind::ShuttingDown, "the client has gone: the checks were given up"))
            }
        }
    }
}

impl MethodHandler<RpcDiscover> for RequestHandler {
    async fn handle(&self, _: Nothing, _: &MethodCall) -> Handled<RpcDiscover> {
        Ok(discover().into())
    }
}
