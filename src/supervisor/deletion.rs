//! Deletes an application, undeletes it, and purges its data.
//!
//! A deletion moves its rows to the deleted ones, in one transaction, and leaves the data in place. A purge marks
//! the deleted row first, then removes the data, and removes the row last. If a crash interrupts it, the next start
//! finishes it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::failpoint::crash_point;
use crate::protocol::{AppId, Application, DeleteApplication, Deleted, ErrorKind, RpcError, State};

use super::description::{time_delta, unfinished_purge};
use super::entry::Entry;
use super::error_context::ErrorContext;
use super::operations::OperationOutcome;
use super::registry::{DeletedRegistration, Registration};
use super::storage::StorageRemoval;
use super::{Stage, Stages, Supervisor};

impl Supervisor {
    /// Deletes an application, and purges it if requested.
    pub async fn delete(
        self: &Arc<Self>,
        delete: DeleteApplication,
        stages: Stages,
    ) -> Result<Deleted, RpcError> {
        Self::refuse_main(&delete.id, "deleted")?;
        if delete.deleted && !delete.purge {
            let sentence = "deleted goes with purge: a deleted application cannot be deleted again";
            return Err(RpcError::new(ErrorKind::InvalidSetting, sentence)
                .hint("add --purge, or leave --deleted out"));
        }
        let entry = if delete.deleted { None } else { self.find(delete.id.as_str()) };
        if let Some(entry) = &entry {
            check_protection(entry)?;
        }
        if delete.keep_data && !delete.purge {
            let sentence = "keep_data requires purge: without it, a deletion keeps the data anyway";
            return Err(RpcError::new(ErrorKind::InvalidSetting, sentence)
                .hint("add --purge, or leave --keep-data out"));
        }
        let (id, supervisor) = (delete.id.clone(), self.clone());
        let (purge, keep_data) = (delete.purge, delete.keep_data);
        let work =
            async move { Box::pin(supervisor.delete_saga(&id, entry, (purge, keep_data), &stages)).await };
        let (operation, outcome) = self.operations.run("app.delete", &delete.id, delete.wait, work).await?;
        match outcome {
            OperationOutcome::Done(deleted) => Ok(Deleted { operation, ..deleted }),
            OperationOutcome::Detached => {
                Ok(Deleted { id: delete.id, until: None, removed: Vec::new(), kept: Vec::new(), operation })
            }
        }
    }

    async fn delete_saga(
        &self,
        id: &AppId,
        entry: Option<Arc<Entry>>,
        (purge, keep_data): (bool, bool),
        stages: &Stages,
    ) -> Result<Deleted, RpcError> {
        let tell = |name, done, message: &str| {
            // Sending fails only without a listener.
            let _ = stages.send(Stage {
                name,
                done,
                total: if purge { 3 } else { 2 },
                message: message.to_owned(),
                operation: None,
            });
        };
        let mut answer = Deleted {
            id: id.clone(),
            until: None,
            removed: Vec::new(),
            kept: Vec::new(),
            operation: String::new(),
        };
        let mut taken = None;
        if let Some(entry) = entry {
            tell("stop", 0, "stopping");
            let deleted = self.unregister(&entry, purge && !keep_data).await?;
            tell("unregister", 1, "unregistered");
            if !purge {
                answer.until = Some(self.deletion(&deleted).until);
                answer.kept.push(entry.location.to_string());
                return Ok(answer);
            }
            taken = Some(deleted.key);
        }
        if !purge {
            return Err(RpcError::app_not_found(id.as_str()));
        }
        tell("remove", 2, if keep_data { "removing its entry" } else { "removing its data" });
        let (meant, earlier): (Vec<_>, Vec<_>) =
            self.deleted_of(id).await?.into_iter().partition(|deleted| match &taken {
                Some(key) => deleted.key == *key,
                None => true,
            });
        if meant.is_empty() && taken.is_none() {
            return Err(RpcError::app_not_found(id.as_str()));
        }
        if !earlier.is_empty() {
            answer.kept.push(format!(
                "what was deleted earlier by this ID; nbapps delete {id} --purge --deleted removes it"
            ));
        }
        for deleted in meant {
            let purged = match keep_data {
                true => self.forget_entry(&deleted).await?,
                false => self.purge_entry(&deleted).await.map_err(|error| explain_remaining(error, id))?,
            };
            answer.removed.extend(purged.removed);
            answer.kept.extend(purged.kept);
        }
        Ok(answer)
    }

    /// Stops an application and moves it to the deleted ones.
    async fn unregister(&self, entry: &Entry, purge: bool) -> Result<DeletedRegistration, RpcError> {
        let _command = entry.command.lock().await;
        check_protection(entry)?;
        match entry.state() {
            State::NotFound => return Err(RpcError::app_not_found(entry.id.as_str())),
            State::Running => self.stop_locked(entry, State::Initialized).await,
            _ => {}
        }
        let mut registration = (*entry.registration.load_full()).clone();
        registration.make_writable();
        let deleted = DeletedRegistration {
            key: uuid::Uuid::new_v4().simple().to_string(),
            is_keyed: true,
            deleted_at: crate::protocol::now(),
            purging: purge,
            registration,
        };
        crash_point("delete.stopped");
        let moved = self.registry.delete(&deleted).await;
        moved.map_err(|error| error.while_doing(format!("deleting \"{}\"", entry.id)))?;
        crash_point("delete.unregistered");
        self.entries.pin().remove(&entry.id);
        self.route_domains(&entry.id, &deleted.registration.sound_domains(), &[]);
        entry.transition(&self.events, State::NotFound, None);
        Ok(deleted)
    }

    /// Removes the log of an application that does not exist any more. Returns the removed files: none if an
    /// application with the same ID was created meanwhile.
    pub(super) async fn remove_log(&self, id: &AppId) -> Vec<PathBuf> {
        if self.find(id.as_str()).is_some() {
            return Vec::new();
        }
        self.logs().remove(id).await
    }

    pub(super) async fn deleted_of(&self, id: &AppId) -> Result<Vec<DeletedRegistration>, RpcError> {
        let mut deleted = self.all_deleted().await?;
        deleted.retain(|deleted| deleted.registration.id == *id);
        Ok(deleted)
    }

    pub(super) async fn all_deleted(&self) -> Result<Vec<DeletedRegistration>, RpcError> {
        self.registry.deleted().await.map_err(|error| error.while_doing("reading the deleted applications"))
    }

    /// Removes the data of a deleted application, as far as the host created it, and its row.
    pub(crate) async fn purge_entry(
        &self,
        deleted: &DeletedRegistration,
    ) -> Result<StorageRemoval, RpcError> {
        let doing = format!("removing the data of \"{}\"", deleted.registration.id);
        if !deleted.purging {
            let marked = self.registry.begin_purge(deleted).await;
            marked.map_err(|error| error.while_doing(&doing))?;
        }
        crash_point("purge.marked");
        let mut removal = StorageRemoval::default();
        if let Some(provision) = &deleted.registration.provision {
            let location = self.location(&deleted.registration);
            let shared = self.shared_storage(&deleted.registration, (None, Some(&deleted.key))).await?;
            let done = self.storage.remove(provision, &location, &shared).await;
            removal = done.map_err(|error| error.while_doing(&doing))?;
        } else {
            let unknown = "what the host created for it: the registry does not say what and where";
            removal.kept.push(unknown.to_owned());
        }
        crash_point("purge.removed");
        self.registry.forget(deleted).await.map_err(|error| error.while_doing(&doing))?;
        let id = &deleted.registration.id;
        // A failure here does not fail the purge; the next purge of this ID removes the log.
        if self.deleted_of(id).await.is_ok_and(|others| others.is_empty()) {
            removal
                .removed
                .extend(self.remove_log(id).await.into_iter().map(|path| path.display().to_string()));
        }
        Ok(removal)
    }

    /// Removes the row of a deleted application and keeps its data.
    async fn forget_entry(&self, deleted: &DeletedRegistration) -> Result<StorageRemoval, RpcError> {
        let doing = format!("removing the entry of \"{}\"", deleted.registration.id);
        self.registry.forget(deleted).await.map_err(|error| error.while_doing(&doing))?;
        let mut removal = StorageRemoval::default();
        if let Some(provision) = &deleted.registration.provision {
            let location = self.location(&deleted.registration);
            removal.kept.push(format!("{location}: if it exists; this host does not know it any more"));
            let directory = self.storage.directory(provision);
            if location.directory() != Some(&directory) {
                removal.kept.push(format!("{}: if it exists", directory.display()));
            }
        }
        Ok(removal)
    }

    /// Purges the applications whose retention period after the deletion is over.
    pub(crate) async fn purge_expired(&self) {
        let Ok(mut deleted) = self.all_deleted().await else { return };
        let limit = crate::protocol::now() - time_delta(self.options.keep_deleted);
        // The time in a damaged row cannot be trusted.
        deleted.retain(|deleted| deleted.deleted_at < limit && deleted.registration.damage.is_none());
        for deleted in deleted {
            let id = deleted.registration.id.clone();
            match self.purge_entry(&deleted).await {
                Ok(removed) => {
                    tracing::info!(app = %id, ?removed, "purged: its retention period is over")
                }
                Err(error) => {
                    tracing::error!(app = %id, %error, "the application cannot be purged although its retention period is over")
                }
            }
        }
    }

    /// Undeletes the last deleted application with this ID.
    pub async fn undelete(self: &Arc<Self>, id: &AppId) -> Result<Application, RpcError> {
        let supervisor = self.clone();
        let wanted = id.clone();
        let work = async move { supervisor.undelete_now(&wanted).await };
        let (_, outcome) =
            self.operations.run("app.undelete", id, crate::protocol::Wait::default(), work).await?;
        match outcome {
            OperationOutcome::Done(application) => Ok(application),
            OperationOutcome::Detached => self.get(id),
        }
    }

    async fn undelete_now(&self, id: &AppId) -> Result<Application, RpcError> {
        let _reservations = self.reservations.lock().await;
        let exists = self.find(id.as_str()).is_some();
        let all = self.deleted_of(id).await?;
        let is_purging = all.iter().any(|deleted| deleted.purging);
        let Some(deleted) = all.into_iter().find(|deleted| !deleted.purging) else {
            if is_purging && !exists {
                let sentence = format!("\"{id}\" cannot be undeleted: {}", unfinished_purge(id));
                return Err(RpcError::new(ErrorKind::Conflict, sentence).hint(format!(
                    "finish it with: nbapps delete {id} --purge; or remove its entry and keep the remaining data: nbapps \
                     delete {id} --purge --keep-data"
                )));
            }
            if exists {
                return Err(RpcError::new(ErrorKind::Conflict, format!("\"{id}\" is not deleted"))
                    .hint(format!("see what it is: nbapps show {id}")));
            }
            return Err(RpcError::new(
                ErrorKind::AppNotFound,
                format!("there is no deleted application \"{id}\""),
            )
            .hint("list those that can be undeleted with: nbapps list --deleted"));
        };
        if exists {
            return Err(RpcError::new(
                ErrorKind::AppExists,
                format!("\"{id}\" cannot be undeleted: another application has this ID now"),
            )
            .hint(format!("delete that one first: nbapps delete {id}")));
        }
        let shared = self.shared_storage(&deleted.registration, (None, Some(&deleted.key))).await?;
        if let Some(sentence) = shared.sentence() {
            let sentence =
                format!("\"{id}\" cannot be undeleted: its row in the registry names the {sentence}");
            return Err(RpcError::new(ErrorKind::Conflict, sentence).hint(format!(
                "restore its row in deletedApplications from a backup; or remove its entry and keep the data: \
                 nbapps delete {id} --purge --keep-data"
            )));
        }
        let (registration, rest) = self.repaired(&deleted)?;
        let domains = registration.domains();
        let undeleted = self.registry.undelete(&deleted, &registration).await;
        undeleted.map_err(|error| error.while_doing(format!("undeleting \"{id}\"")))?;
        let location = self.location(&registration);
        let is_sound = registration.damage.is_none();
        let entry = self.new_entry(registration, location, State::NotFound);
        if is_sound {
            entry.transition(&self.events, rest, None);
        }
        self.entries.pin().insert(id.clone(), entry.clone());
        self.route_domains(id, &[], &domains);
        Ok(self.describe(&entry))
    }

    /// Returns the registration and the state with which a deleted application is undeleted. Damaged values are
    /// replaced, except for the provision.
    fn repaired(&self, deleted: &DeletedRegistration) -> Result<(Registration, State), RpcError> {
        let mut registration = deleted.registration.clone();
        let stopped = registration.status == State::Stopped;
        let rest = if stopped { State::Stopped } else { State::Initialized };
        registration.status = rest;
        self.check_domains(&registration.id, &registration.domains())?;
        self.check_secrets(&mut registration);
        if !registration.damage.is_none() {
            self.repair_registration(&mut registration);
        }
        registration.assign_domains();
        Ok((registration, rest))
    }
}

/// Adds to an error of a purge how to continue.
fn explain_remaining(error: RpcError, id: &AppId) -> RpcError {
    let before = error.data.hint.clone().map(|hint| format!("{hint}; ")).unwrap_or_default();
    error.hint(format!(
        "{before}then continue with: nbapps delete {id} --purge; or remove its entry and keep the remaining data: \
         nbapps delete {id} --purge --keep-data"
    ))
}

fn check_protection(entry: &Entry) -> Result<(), RpcError> {
    if !entry.registration.load().protected() {
        return Ok(());
    }
    Err(RpcError::new(ErrorKind::Refused, format!("\"{}\" is protected against deletion", entry.id))
        .hint(format!("remove the protection first: nbapps update {} --no-protect", entry.id)))
}
