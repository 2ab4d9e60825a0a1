//! `user.*`, `key.*`, `app.api` and `app.database`: what an operator does within an application.

use super::super::call::{Handled, MethodCall, MethodHandler};
use super::RequestHandler;
use crate::protocol::methods::{
    AppApi, AppDatabase, KeyCreate, KeyListMethod, KeyRevoke, UserAdd, UserDelete, UserDisable, UserEnable,
    UserGet, UserListMethod, UserPasswd, UserRole,
};
use crate::protocol::{
    AddUser, CallApi, ChangeRoles, CreateKey, ErrorKind, ListKeys, ListUsers, OneApplication, OneUser,
    RevokeKey, RpcError, SetPassword,
};

impl MethodHandler<AppApi> for RequestHandler {
    async fn handle(&self, api: CallApi, call: &MethodCall) -> Handled<AppApi> {
        tokio::select! {
            response = self.supervisor.call_api(api) => Ok(response?.into()),
            // As over HTTP, nobody waits for the response any more: its statement is cancelled.
            () = call.client.disconnected.cancelled() => {
                Err(RpcError::new(ErrorKind::ShuttingDown, "the connection ended: the call was given up"))
            }
        }
    }
}

impl MethodHandler<AppDatabase> for RequestHandler {
    async fn handle(&self, application: OneApplication, call: &MethodCall) -> Handled<AppDatabase> {
        // A member of the socket's group may manage applications, and not read the passwords of database servers.
        let own = rustix::process::geteuid().as_raw();
        if !call.client.peer.user.is_some_and(|user| user == own || user == 0) {
            let sentence = format!(
                "only the daemon's user and root are told how the database of \"{}\" is reached",
                application.id
            );
            return Err(RpcError::new(ErrorKind::PermissionDenied, sentence)
                .hint(format!("run the command as the daemon's user, whose ID is {own}, or as root")));
        }
        Ok(self.supervisor.database_access(&application.id)?.into())
    }
}

impl MethodHandler<UserListMethod> for RequestHandler {
    async fn handle(&self, list: ListUsers, _: &MethodCall) -> Handled<UserListMethod> {
        Ok(self.supervisor.list_users(list).await?.into())
    }
}

impl MethodHandler<UserGet> for RequestHandler {
    async fn handle(&self, user: OneUser, _: &MethodCall) -> Handled<UserGet> {
        Ok(self.supervisor.get_user(user).await?.into())
    }
}

impl MethodHandler<UserAdd> for RequestHandler {
    async fn handle(&self, add: AddUser, _: &MethodCall) -> Handled<UserAdd> {
        Ok(self.supervisor.add_user(add).await?.into())
    }
}

impl MethodHandler<UserPasswd> for RequestHandler {
    async fn handle(&self, set: SetPassword, _: &MethodCall) -> Handled<UserPasswd> {
        Ok(self.supervisor.set_password(set).await?.into())
    }
}

impl MethodHandler<UserRole> for RequestHandler {
    async fn handle(&self, change: ChangeRoles, _: &MethodCall) -> Handled<UserRole> {
        Ok(self.supervisor.change_roles(change).await?.into())
    }
}

impl MethodHandler<UserDisable> for RequestHandler {
    async fn handle(&self, user: OneUser, _: &MethodCall) -> Handled<UserDisable> {
        Ok(self.supervisor.set_user_disabled(user, true).await?.into())
    }
}

impl MethodHandler<UserEnable> for RequestHandler {
    async fn handle(&self, user: OneUser, _: &MethodCall) -> Handled<UserEnable> {
        Ok(self.supervisor.set_user_disabled(user, false).await?.into())
    }
}

impl MethodHandler<UserDelete> for RequestHandler {
    async fn handle(&self, user: OneUser, _: &MethodCall) -> Handled<UserDelete> {
        Ok(self.supervisor.delete_user(user).await?.into())
    }
}

impl MethodHandler<KeyListMethod> for RequestHandler {
    async fn handle(&self, list: ListKeys, _: &MethodCall) -> Handled<KeyListMethod> {
        Ok(self.supervisor.list_keys(&list).await?.into())
    }
}

impl MethodHandler<KeyCreate> for RequestHandler {
    async fn handle(&self, create: CreateKey, _: &MethodCall) -> Handled<KeyCreate> {
        Ok(self.supervisor.create_key(create).await?.into())
    }
}

impl MethodHandler<KeyRevoke> for RequestHandler {
    async fn handle(&self, revoke: RevokeKey, _: &MethodCall) -> Handled<KeyRevoke> {
        Ok(self.supervisor.revoke_key(revoke).await?.into())
    }
}
