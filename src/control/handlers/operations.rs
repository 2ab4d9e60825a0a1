//! `operation.*`: commands under way, and the last that ended.

use super::super::call::{Call, Handle, Handled};
use super::RequestHandler;
use crate::protocol::methods::{OperationGet, OperationListMethod, OperationWait};
use crate::protocol::{Nothing, OneOperation, OperationList};

impl Handle<OperationListMethod> for RequestHandler {
    async fn handle(&self, _: Nothing, _: &Call) -> Handled<OperationListMethod> {
        Ok(OperationList { operations: self.supervisor.operations().list() }.into())
    }
}

impl Handle<OperationGet> for RequestHandler {
    async fn handle(&self, operation: OneOperation, _: &Call) -> Handled<OperationGet> {
        Ok(self.supervisor.operations().get(&operation.id)?.into())
    }
}

impl Handle<OperationWait> for RequestHandler {
    async fn handle(&self, operation: OneOperation, _: &Call) -> Handled<OperationWait> {
        Ok(self.supervisor.operations().wait(&operation.id, operation.wait).await?.into())
    }
}
