//! `operation.*`: commands under way, and the last that ended.

use super::super::call::{Handled, MethodCall, MethodHandler};
use super::RequestHandler;
use crate::protocol::methods::{OperationGet, OperationListMethod, OperationWait};
use crate::protocol::{Nothing, OneOperation, Operation, OperationList};

impl MethodHandler<OperationListMethod> for RequestHandler {
    async fn handle(&self, _: Nothing, _: &MethodCall) -> Handled<OperationListMethod> {
        Ok(OperationList { operations: self.supervisor.operations().list() }.into())
    }
}

impl MethodHandler<OperationGet> for RequestHandler {
    async fn handle(&self, operation: OneOperation, call: &MethodCall) -> Handled<OperationGet> {
        let operation = self.supervisor.operations().get(&operation.id)?;
        Ok(self.with_password(operation, call).await.into())
    }
}

impl MethodHandler<OperationWait> for RequestHandler {
    async fn handle(&self, operation: OneOperation, call: &MethodCall) -> Handled<OperationWait> {
        let operation = self.supervisor.operations().wait(&operation.id, operation.wait).await?;
        Ok(self.with_password(operation, call).await.into())
    }
}

impl RequestHandler {
    /// Shows the generated password of the first user that the operation created, once, to the user who began
    /// the operation.
    async fn with_password(&self, operation: Operation, call: &MethodCall) -> Operation {
        let Some(password) = self.supervisor.unseen_password(&operation, call.client.peer.user).await else {
            return operation;
        };
        let admin = Some(password.admin().clone());
        call.shows(password);
        Operation { admin, ..operation }
    }
}
