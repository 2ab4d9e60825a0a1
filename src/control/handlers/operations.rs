//! `operation.*`: commands under way, and the last that ended.

use super::super::call::{Handled, MethodCall, MethodHandler};
use super::RequestHandler;
use crate::protocol::methods::{OperationGet, OperationListMethod, OperationWait};
use crate::protocol::{Nothing, OneOperation, OperationList};

impl MethodHandler<OperationListMethod> for RequestHandler {
    async fn handle(&self, _: Nothing, _: &MethodCall) -> Handled<OperationListMethod> {
        Ok(OperationList { operations: self.supervisor.operations().list() }.into())
    }
}

impl MethodHandler<OperationGet> for RequestHandler {
    async fn handle(&self, operation: OneOperation, _: &MethodCall) -> Handled<OperationGet> {
        Ok(self.supervisor.operations().get(&operation.id)?.into())
    }
}

impl MethodHandler<OperationWait> for RequestHandler {
    async fn handle(&self, operation: OneOperation, _: &MethodCall) -> Handled<OperationWait> {
        Ok(self.supervisor.operations().wait(&operation.id, operation.wait).await?.into())
    }
}
