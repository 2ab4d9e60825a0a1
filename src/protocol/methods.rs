//! Every method of the control socket, as a type with its name, parameters and result.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::*;

/// A method: its name, its parameters and its result.
pub trait Method {
    /// The name on the wire.
    const NAME: &'static str;
    /// One sentence for documentation.
    const SUMMARY: &'static str;
    /// Whether it is a command or a query.
    const KIND: MethodKind;
    /// Its parameters.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// Its result.
    type Result: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
}

/// Whether the daemon logs who called a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodKind {
    /// Changes the host or an application; the daemon logs who called it.
    Command,
    /// Reads or waits.
    Query,
}

/// Calls the macro of this name with the table of all methods: for each its kind, type, name,
/// parameters, result and summary.
///
/// This is the only list of methods: their types, the documentation and the daemon's dispatch are
/// generated from it.
macro_rules! for_each_method {
    ($callback:ident) => {
        $callback! {
            query HostHello "host.hello" (Hello) -> Welcome:
                "Greets the daemon and checks that both sides speak the same protocol version.";
            query HostInfoMethod "host.info" (Nothing) -> HostInfo:
                "Tells what the daemon is, where it keeps things and how many applications it has.";
            query HostLogs "host.logs" (ReadHostLogs) -> Logs:
                "Reads the daemon's own log and follows it if asked.";
            query HostStatsMethod "host.stats" (Nothing) -> HostStats:
                "Tells what the process of the daemon uses: memory, processor time, files, connections.";
            query HostMetrics "host.metrics" (Nothing) -> Metrics:
                "Gives all statistics as text for Prometheus.";
            command HostShutdown "host.shutdown" (Nothing) -> ShuttingDown:
                "Drains requests, stops the applications and ends the daemon.";
            query HostDoctor "host.doctor" (Examine) -> Examination:
                "Checks what breaks in practice, on the host or on one application, and changes nothing.";
            query RpcDiscover "rpc.discover" (Nothing) -> Value:
                "Lists every method with JSON Schemas of its parameters and result.";
            command AppCreate "app.create" (CreateApplication) -> Created:
                "Creates an application, with its database and its first user.";
            query AppList "app.list" (ListApplications) -> ApplicationList:
                "Lists the applications, or the deleted ones.";
            query AppSummaries "app.summaries" (ListSummaries) -> ApplicationSummaries:
                "Lists the applications with no more than a table of them shows.";
            query AppGet "app.get" (OneApplication) -> Application:
                "Describes one application.";
            command AppStart "app.start" (ChangeState) -> StateChanged:
                "Starts an application.";
            command AppStop "app.stop" (ChangeState) -> StateChanged:
                "Stops an application and holds it against visits.";
            command AppRestart "app.restart" (ChangeState) -> StateChanged:
                "Stops an application, if it is running, and starts it.";
            command AppUpdate "app.update" (UpdateApplication) -> Application:
                "Changes an application's settings.";
            command AppDelete "app.delete" (DeleteApplication) -> Deleted:
                "Deletes an application; its data stays for undelete unless it is purged.";
            command AppUndelete "app.undelete" (OneApplication) -> Application:
                "Brings a deleted application back, as it was.";
            query AppWait "app.wait" (WaitForState) -> Waited:
                "Waits until an application is in a state, or cannot come into it by itself.";
            query AppVisit "app.visit" (VisitApplication) -> Visit:
                "Gives the address of an application's pages, with a sign-in that works once if asked.";
            query AppStats "app.stats" (ReadStats) -> Stats:
                "Takes a sample of the statistics of applications: counters of requests, and what they use now.";
            query AppLogs "app.logs" (ReadLogs) -> Logs:
                "Reads the logs of applications, or their access logs, and follows them if asked.";
            command AppRotateSecret "app.rotate_secret" (OneApplication) -> Application:
                "Replaces an application's JWT secret; all of its tokens end.";
            command AppApi "app.api" (CallApi) -> ApiResponse:
                "Calls an application's HTTP API as one of its users, without a token.";
            command AppDatabase "app.database" (OneApplication) -> DatabaseAccess:
                "Tells how an application's database is reached, with the password; only to the daemon's user and root.";
            query UserListMethod "user.list" (ListUsers) -> UserList:
                "Lists the users of an application.";
            query UserGet "user.get" (OneUser) -> User:
                "Describes one user of an application.";
            command UserAdd "user.add" (AddUser) -> UserChanged:
                "Creates a user of an application.";
            command UserPasswd "user.passwd" (SetPassword) -> UserChanged:
                "Sets a user's password; the user's sessions end.";
            command UserRole "user.role" (ChangeRoles) -> UserChanged:
                "Gives roles to a user and takes roles from it.";
            command UserDisable "user.disable" (OneUser) -> UserChanged:
                "Disables a user: its sessions end, and its API keys are refused.";
            command UserEnable "user.enable" (OneUser) -> UserChanged:
                "Enables a disabled user, with the password and the API keys it had.";
            command UserDelete "user.delete" (OneUser) -> UserChanged:
                "Deletes a user with its sessions and API keys.";
            query KeyListMethod "key.list" (ListKeys) -> KeyList:
                "Lists the API keys of an application.";
            command KeyCreate "key.create" (CreateKey) -> KeyCreated:
                "Creates an API key of a user.";
            command KeyRevoke "key.revoke" (RevokeKey) -> ApiKey:
                "Revokes an API key; it is refused from then on.";
            query EventsSubscribe "events.subscribe" (SubscribeEvents) -> Subscribed:
                "Sends every event from now on, until the connection closes.";
            query OperationListMethod "operation.list" (Nothing) -> OperationList:
                "Lists the operations under way and the last that ended.";
            query OperationGet "operation.get" (OneOperation) -> Operation:
                "Describes one operation.";
            query OperationWait "operation.wait" (OneOperation) -> Operation:
                "Waits for the end of an operation.";
        }
    };
}
pub(crate) use for_each_method;

macro_rules! declare {
    ($($kind:ident $type:ident $name:literal ($params:ty) -> $result:ty : $summary:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $summary)]
            #[derive(Debug, Clone, Copy)]
            pub struct $type;

            impl Method for $type {
                const NAME: &'static str = $name;
                const SUMMARY: &'static str = $summary;
                const KIND: MethodKind = declare!(@kind $kind);
                type Params = $params;
                type Result = $result;
            }
        )*

        /// Every method, in the order of the documentation.
        #[must_use]
        pub fn all(schemas: &mut SchemaGenerator) -> Vec<MethodDescription> {
            vec![$(describe::<$type>(schemas)),*]
        }
    };
    (@kind command) => { MethodKind::Command };
    (@kind query) => { MethodKind::Query };
}

for_each_method!(declare);

/// A method as documentation shows it.
#[derive(Debug, Clone, Serialize)]
pub struct MethodDescription {
    /// The name on the wire.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The JSON Schema of its parameters.
    pub params: Value,
    /// The JSON Schema of its result.
    pub result: Value,
}

fn describe<M: Method>(schemas: &mut SchemaGenerator) -> MethodDescription {
    MethodDescription {
        name: M::NAME,
        summary: M::SUMMARY,
        params: schemas.subschema_for::<M::Params>().to_value(),
        result: schemas.subschema_for::<M::Result>().to_value(),
    }
}

/// The answer of `rpc.discover`: every method, the notifications, the error kinds, and the
/// schemas they refer to under `$defs`.
#[must_use]
pub fn discover() -> Value {
    let mut schemas = SchemaSettings::draft2020_12().into_generator();
    let methods = all(&mut schemas);
    let notifications = json!([
        {"name": "progress", "summary": "How far a request has come.", "params": schemas.subschema_for::<Progress>()},
        {"name": "event", "summary": "Something happened to an application.", "params": schemas.subschema_for::<Event>()},
        {"name": "log", "summary": "A new line in a log that is followed.", "params": schemas.subschema_for::<LogLine>()},
    ]);
    let error = schemas.subschema_for::<RpcError>();
    let kinds: Vec<_> =
        ErrorKind::ALL.iter().map(|kind| json!({"kind": kind, "code": kind.code()})).collect();
    json!({
        "protocol": PROTOCOL_VERSION,
        "methods": methods,
        "notifications": notifications,
        "error": error,
        "error_kinds": kinds,
        "$defs": schemas.take_definitions(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_names_every_method_and_resolves_every_reference() {
        let all = discover();
        let text = all.to_string();
        for name in ["app.create", "host.shutdown", "operation.wait"] {
            assert!(text.contains(&format!("\"{name}\"")), "{name}");
        }
        for reference in text.split("\"$ref\":\"#/$defs/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(all["$defs"].get(name).is_some(), "{name} is referred to and not defined");
        }
    }
}
