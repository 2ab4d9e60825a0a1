//! A call of a method, and what its handler gives for it.

use std::future::Future;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::client_handle::ClientHandle;
use crate::protocol::methods::Method;
use crate::protocol::{RequestId, RpcError};
use crate::supervisor::ShownPassword;

/// Handles one method of the socket.
pub(super) trait MethodHandler<M: Method> {
    /// Does what the method says, and gives its result.
    fn handle(&self, params: M::Params, call: &MethodCall) -> impl Future<Output = Handled<M>> + Send;
}

/// What a handler gives: the reply to its method, or why there is none.
pub(super) type Handled<M> = Result<Reply<<M as Method>::Result>, RpcError>;

/// One call of a method, as its handler sees it.
#[derive(Debug)]
pub(super) struct MethodCall {
    /// The ID that the client gave the request. The response to a call without one is not sent.
    pub(super) id: Option<RequestId>,
    /// The client that called.
    pub(super) client: ClientHandle,
    /// The password that the response shows.
    shown: Mutex<Option<ShownPassword>>,
}

impl MethodCall {
    pub(super) fn new(id: Option<RequestId>, client: ClientHandle) -> Self {
        Self { id, client, shown: Mutex::default() }
    }

    /// Notes that the response shows a password, which stays available unless the response is delivered.
    pub(super) fn shows(&self, password: ShownPassword) {
        *self.shown.lock() = Some(password);
    }

    /// Sends the response.
    pub(super) async fn respond(self, result: Result<Box<RawValue>, RpcError>) {
        let Self { id, client, shown } = self;
        match shown.into_inner() {
            None => client.respond(id, result).await,
            Some(password) => {
                if client.deliver(id, result).await {
                    password.delivered();
                }
            }
        }
    }
}

/// A method's result, and what goes on once it is sent.
pub(super) struct Reply<R> {
    pub(super) result: R,
    pub(super) afterwards: Option<BoxFuture<'static, ()>>,
}

impl<R> Reply<R> {
    /// Sends the result, then runs `afterwards` to its end.
    pub(super) fn then(result: R, afterwards: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { result, afterwards: Some(afterwards.boxed()) }
    }
}

impl<R> From<R> for Reply<R> {
    fn from(result: R) -> Self {
        Self { result, afterwards: None }
    }
}
