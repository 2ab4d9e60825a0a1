//! Deleting an application, bringing it back, and removing its data for good.
//!
//! Deleting moves its rows to the deleted ones in one transaction; its data stays where it is. A
//! purge marks the deleted entry first, removes the data, and forgets the entry last: a crash in
//! between is taken up again at the next start.

use std::path::PathBuf;
use std::sync::Arc;

use crate::protocol::{AppId, Application, DeleteApplication, Deleted, ErrorKind, RpcError, State};

use super::description::{time_delta, unfinished};
use super::entry::Entry;
use super::failpoint::crash_point;
use super::failure::Failure;
use super::operations::Outcome;
use super::registry::{DeletedRegistration, Registration};
use super::storage::Removed;
use super::{Stage, Stages, Supervisor};

impl Supervisor {
    /// Deletes one.
    pub async fn delete(
        self: &Arc<Self>,
        delete: DeleteApplication,
        stages: Stages,
    ) -> Result<Deleted, RpcError> {
        Self::refuse_main(&delete.id, "deleted")?;
        let entry = self.find(delete.id.as_str());
        if let Some(entry) = &entry {
            check_protection(entry)?;
        }
        if delete.keep_data && !delete.purge {
            let sentence = "keep_data goes with purge: without it a deletion keeps the data anyway";
            return Err(RpcError::new(ErrorKind::InvalidSetting, sentence)
                .hint("add --purge, or leave --keep-data out"));
        }
        let (id, supervisor) = (delete.id.clone(), self.clone());
        let (purge, keep_data) = (delete.purge, delete.keep_data);
        let work =
            async move { Box::pin(supervisor.delete_saga(&id, entry, (purge, keep_data), &stages)).await };
        let (operation, outcome) = self.operations.run("app.delete", &delete.id, delete.wait, work).await?;
        match outcome {
            Outcome::Done(deleted) => Ok(Deleted { operation, ..deleted }),
            Outcome::Detached => {
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
            // Nobody listening is no error.
            let _ = stages.send(Stage {
                name,
                done,
                total: if purge { 3 } else { 2 },
                message: message.to_owned(),
            });
        };
        let mut answer = Deleted {
            id: id.clone(),
            until: None,
            removed: Vec::new(),
            kept: Vec::new(),
            operation: String::new(),
        };
        let found = entry.is_some();
        if let Some(entry) = entry {
            tell("stop", 0, "stopping");
            let deleted = self.take_out(&entry, purge && !keep_data).await?;
            tell("unregister", 1, "taken out of the list");
            if !purge {
                answer.until = Some(self.deletion(&deleted).until);
                answer.kept.push(entry.location.to_string());
                return Ok(answer);
            }
        }
        if !purge {
            return Err(RpcError::app_not_found(id.as_str()));
        }
        tell("remove", 2, if keep_data { "forgetting it" } else { "removing its data" });
        let before = self.deleted_of(id).await?;
        if before.is_empty() && !found {
            return Err(RpcError::app_not_found(id.as_str()));
        }
        for deleted in before {
            let purged = match keep_data {
                true => self.forget_entry(&deleted).await?,
                false => self.purge_entry(&deleted).await.map_err(|error| explain_left(error, id))?,
            };
            answer.removed.extend(purged.gone);
            answer.kept.extend(purged.kept);
        }
        Ok(answer)
    }

    /// Stops it and moves it to the deleted ones.
    async fn take_out(&self, entry: &Entry, purge: bool) -> Result<DeletedRegistration, RpcError> {
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
        entry.go(&self.events, State::NotFound, None);
        Ok(deleted)
    }

    /// Removes the log of an application that is no more; gives the files. One of the same ID that
    /// was made meanwhile keeps it.
    pub(super) async fn end_log(&self, id: &AppId) -> Vec<PathBuf> {
        if self.find(id.as_str()).is_some() {
            return Vec::new();
        }
        self.logs().remove(id).await
    }

    async fn deleted_of(&self, id: &AppId) -> Result<Vec<DeletedRegistration>, RpcError> {
        let mut deleted = self.all_deleted().await?;
        deleted.retain(|deleted| deleted.registration.id == *id);
        Ok(deleted)
    }

    pub(super) async fn all_deleted(&self) -> Result<Vec<DeletedRegistration>, RpcError> {
        self.registry.deleted().await.map_err(|error| error.while_doing("reading the deleted applications"))
    }

    /// Removes the data of a deleted application that the host made; gives what was removed and what
    /// stays.
    pub(crate) async fn purge_entry(&self, deleted: &DeletedRegistration) -> Result<Removed, RpcError> {
        let doing = format!("removing the data of \"{}\"", deleted.registration.id);
        if !deleted.purging {
            let marked = self.registry.begin_purge(deleted).await;
            marked.map_err(|error| error.while_doing(&doing))?;
        }
        crash_point("purge.marked");
        let mut removed = Removed::default();
        if let Some(provision) = &deleted.registration.provision {
            let location = self.location(&deleted.registration);
            let shared = self.shared(&deleted.registration, (None, Some(&deleted.key))).await?;
            let done = self.premises.remove(provision, &location, &shared).await;
            removed = done.map_err(|error| error.while_doing(&doing))?;
        } else {
            let unknown = "what the host made for it: the registry does not say what and where";
            removed.kept.push(unknown.to_owned());
        }
        crash_point("purge.removed");
        self.registry.forget(deleted).await.map_err(|error| error.while_doing(&doing))?;
        let id = &deleted.registration.id;
        // The purge is done whatever comes of this; a log that stays is purged with the next one.
        if self.deleted_of(id).await.is_ok_and(|others| others.is_empty()) {
            removed.gone.extend(self.end_log(id).await.into_iter().map(|path| path.display().to_string()));
        }
        Ok(removed)
    }

    /// Forgets a deleted application, and removes nothing of it; gives what stays.
    async fn forget_entry(&self, deleted: &DeletedRegistration) -> Result<Removed, RpcError> {
        let doing = format!("forgetting \"{}\"", deleted.registration.id);
        self.registry.forget(deleted).await.map_err(|error| error.while_doing(&doing))?;
        let mut removed = Removed::default();
        if let Some(provision) = &deleted.registration.provision {
            let location = self.location(&deleted.registration);
            removed.kept.push(format!("{location}: as far as it is there; this host knows it no more"));
            let directory = self.premises.directory(provision);
            if location.directory() != Some(&directory) {
                removed.kept.push(format!("{}: as far as it is there", directory.display()));
            }
        }
        Ok(removed)
    }

    /// Removes for good what was deleted longer ago than it is kept.
    pub(crate) async fn purge_expired(&self) {
        let Ok(mut deleted) = self.all_deleted().await else { return };
        let limit = crate::protocol::now() - time_delta(self.options.keep_deleted);
        // Of a damaged one nobody knows whether its time is over.
        deleted.retain(|deleted| deleted.deleted_at < limit && deleted.registration.damage.is_none());
        for deleted in deleted {
            let id = deleted.registration.id.clone();
            match self.purge_entry(&deleted).await {
                Ok(removed) => {
                    tracing::info!(%id, ?removed, "removed for good: its time to be undeleted is over")
                }
                Err(error) => tracing::error!(%id, %error, "what was deleted long ago cannot be removed"),
            }
        }
    }

    /// Brings the one that was deleted last back, as it was.
    pub async fn undelete(self: &Arc<Self>, id: &AppId) -> Result<Application, RpcError> {
        let supervisor = self.clone();
        let wanted = id.clone();
        let work = async move { supervisor.undelete_now(&wanted).await };
        let (_, outcome) =
            self.operations.run("app.undelete", id, crate::protocol::Wait::default(), work).await?;
        match outcome {
            Outcome::Done(application) => Ok(application),
            Outcome::Detached => self.get(id),
        }
    }

    async fn undelete_now(&self, id: &AppId) -> Result<Application, RpcError> {
        let _reservations = self.reservations.lock().await;
        let exists = self.find(id.as_str()).is_some();
        let all = self.deleted_of(id).await?;
        let is_going = all.iter().any(|deleted| deleted.purging);
        let Some(deleted) = all.into_iter().find(|deleted| !deleted.purging) else {
            if is_going && !exists {
                let sentence = format!("\"{id}\" cannot be undeleted: {}", unfinished(id));
                return Err(RpcError::new(ErrorKind::Conflict, sentence).hint(format!(
                    "finish it with: nbapps delete {id} --purge; or forget it, and keep what is left: nbapps delete {id} \
                     --purge --keep-data"
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
                format!("\"{id}\" cannot be undeleted: there is another application of this ID now"),
            )
            .hint(format!("delete that one first: nbapps delete {id}")));
        }
        let shared = self.shared(&deleted.registration, (None, Some(&deleted.key))).await?;
        if let Some(sentence) = shared.sentence() {
            let sentence = format!("\"{id}\" cannot be undeleted: the registry names for it the {sentence}");
            return Err(RpcError::new(ErrorKind::Conflict, sentence).hint(format!(
                "bring its row in deletedApplications back from a backup; or forget it, and keep what is left: \
                 nbapps delete {id} --purge --keep-data"
            )));
        }
        let (registration, rest) = self.made_sound(&deleted)?;
        let domains = registration.domains();
        let undeleted = self.registry.undelete(&deleted, &registration).await;
        undeleted.map_err(|error| error.while_doing(format!("undeleting \"{id}\"")))?;
        let location = self.location(&registration);
        let is_sound = registration.damage.is_none();
        let entry = self.new_entry(registration, location, State::NotFound);
        if is_sound {
            entry.go(&self.events, rest, None);
        }
        self.entries.pin().insert(id.clone(), entry.clone());
        self.route_domains(id, &[], &domains);
        Ok(self.describe(&entry))
    }

    /// The registration that a deleted application comes back with, and the state that it comes back to: what
    /// was damaged is made anew, but for what the host made.
    fn made_sound(&self, deleted: &DeletedRegistration) -> Result<(Registration, State), RpcError> {
        let mut registration = deleted.registration.clone();
        let stopped = registration.status == State::Stopped;
        let rest = if stopped { State::Stopped } else { State::Initialized };
        registration.status = rest;
        self.check_domains(&registration.id, &registration.domains())?;
        self.examine(&mut registration);
        if !registration.damage.is_none() {
            self.mend_registration(&mut registration);
        }
        registration.give_domains();
        Ok((registration, rest))
    }
}

/// What can be done about data that cannot be removed.
fn explain_left(error: RpcError, id: &AppId) -> RpcError {
    let before = error.data.hint.clone().map(|hint| format!("{hint}; ")).unwrap_or_default();
    error.hint(format!(
        "{before}then go on with: nbapps delete {id} --purge; or forget it, and keep what is left: nbapps delete {id} \
         --purge --keep-data"
    ))
}

fn check_protection(entry: &Entry) -> Result<(), RpcError> {
    if !entry.registration.load().protected() {
        return Ok(());
    }
    Err(RpcError::new(ErrorKind::Refused, format!("\"{}\" is protected against deletion", entry.id))
        .hint(format!("take the protection back first: nbapps update {} --no-protect", entry.id)))
}
