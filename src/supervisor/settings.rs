//! Changes an application's settings and secret, repairs its damaged rows, and issues sign-in links.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::data::DataError;
use crate::protocol::{
    AppId, Application, Changes, ErrorKind, Happening, RpcError, StartMode, State, UpdateApplication,
    UpgradePolicy, Visit, VisitApplication,
};

use super::Supervisor;
use super::creation::checked_inventory;
use super::entry::Entry;
use super::error_context::{ErrorContext, user_failure};
use super::host_name;
use super::lifecycle::Unavailable;
use super::registry::{Damage, Registration};
use super::secrets::{JWT_SECRET, new_jwt_secret};
use super::texts;

impl Supervisor {
    /// Changes settings. They take effect at once.
    pub async fn update(self: &Arc<Self>, update: UpdateApplication) -> Result<Application, RpcError> {
        let changes = update.changes;
        // On the heap: changes are long, and the request's future holds them several times.
        Box::pin(self.update_with(&update.id, move |registration| apply(registration, &changes))).await
    }

    /// Changes a registration with `change`. If that fails, nothing is changed. Repairs damaged rows.
    pub(crate) async fn update_with(
        self: &Arc<Self>,
        id: &AppId,
        change: impl FnOnce(&mut Registration) -> Result<(), RpcError>,
    ) -> Result<Application, RpcError> {
        Self::refuse_main(id, "changed here")
            .map_err(|error| error.hint("its settings are in the daemon's configuration"))?;
        let entry = self.entry(id)?;
        let _command = entry.command.lock().await;
        let _reservations = self.reservations.lock().await;
        check_registered(&entry)?;
        let before = entry.registration.load_full();
        let mut registration = (*before).clone();
        if !before.damage.is_none() {
            registration.make_sound();
            self.remove_domains_of_others(&mut registration);
        }
        change(&mut registration)?;
        let domains = registration.domains();
        self.check_domains(id, &domains)?;
        registration.assign_domains();
        if registration == *before && before.damage.is_none() {
            return Ok(self.describe(&entry));
        }
        registration.updated_at = crate::protocol::now();
        let doing = || format!("changing the settings of \"{id}\"");
        if before.damage.is_none() {
            let written = self.registry.update(&before, &registration).await;
            written.map_err(|error| error.while_doing(doing()))?;
        } else {
            self.repair(&before, &mut registration).await.map_err(|error| error.while_doing(doing()))?;
        }
        entry.set_limits(self.limits(&registration, &entry.location));
        entry.set_access_log(self.access_log(&registration));
        let registration = Arc::new(registration);
        entry.registration.store(Arc::clone(&registration));
        if !before.damage.is_none() {
            self.apply_repair(&entry, &registration.damage);
        }
        self.route_domains(id, &before.sound_domains(), &domains);
        self.events.publish(id, Happening::Updated);
        Ok(self.describe(&entry))
    }

    /// Writes sound rows in place of damaged ones.
    async fn repair(&self, before: &Registration, registration: &mut Registration) -> Result<(), DataError> {
        self.repair_registration(registration);
        self.registry.repair(before, registration).await?;
        tracing::warn!(app = %registration.id, lost = ?before.damage, "a damaged entry of the registry was repaired");
        Ok(())
    }

    /// Replaces damaged values by sound ones, except for the provision.
    pub(super) fn repair_registration(&self, registration: &mut Registration) {
        registration.make_sound();
        if registration.created_at == DateTime::<Utc>::default() {
            registration.created_at = crate::protocol::now();
        }
        if registration.updated_at == DateTime::<Utc>::default() {
            registration.updated_at = crate::protocol::now();
        }
        if !registration.damage.secret.is_empty() || registration.damage.name.is_some() {
            // Tokens signed with the lost secret become invalid.
            registration.jwt_secret = self.key.seal(&registration.id, JWT_SECRET, &new_jwt_secret());
        }
        registration.damage = registration.damage.after_repair();
    }

    /// Leaves the state `error` if no damage remains, else updates its reason.
    fn apply_repair(&self, entry: &Entry, left: &Damage) {
        match left.reason(&entry.id) {
            Some(reason) => entry.set_reason(reason),
            None if entry.state() == State::Error => entry.transition(&self.events, State::Initialized, None),
            None => {}
        }
    }

    /// Replaces the JWT secret, which invalidates all tokens of the application.
    pub async fn rotate_secret(self: &Arc<Self>, id: &AppId) -> Result<Application, RpcError> {
        let entry = self.entry(id)?;
        let _command = entry.command.lock().await;
        check_registered(&entry)?;
        let secret = new_jwt_secret();
        let sealed = self.key.seal(id, JWT_SECRET, &secret);
        let written = self.registry.set_secret(id, &sealed).await;
        written.map_err(|error| error.while_doing(format!("replacing the JWT secret of \"{id}\"")))?;
        let mut registration = (*entry.registration.load_full()).clone();
        registration.jwt_secret = sealed;
        let was_lost = !std::mem::take(&mut registration.damage.secret).is_empty();
        let registration = Arc::new(registration);
        entry.registration.store(Arc::clone(&registration));
        if was_lost {
            self.apply_repair(&entry, &registration.damage);
        }
        if let Some(running) = entry.running() {
            running.app.auth().replace_secret(&secret);
        }
        self.events.publish(id, Happening::SecretRotated);
        Ok(self.describe(&entry))
    }

    /// Returns the URL of an application, with a sign-in link if requested. A sign-in link starts the application,
    /// as a visit does.
    pub async fn visit_address(self: &Arc<Self>, visit: VisitApplication) -> Result<Visit, RpcError> {
        let entry = self.entry(&visit.id)?;
        let url = self.url(&entry.id);
        if !visit.sign_in {
            return Ok(Visit { url, sign_in_until: None });
        }
        let app = self.visit(visit.id.as_str()).await.map_err(not_running)?;
        let ticket = app.auth().issue_ticket(visit.user.as_deref()).await;
        let doing = || format!("making a sign-in link for \"{}\"", visit.id);
        let (ticket, until) = ticket.map_err(|error| user_failure(error, &doing(), &visit.id))?;
        Ok(Visit { url: format!("{url}sign-in/ticket/{ticket}"), sign_in_until: Some(until) })
    }
}

fn apply(registration: &mut Registration, changes: &Changes) -> Result<(), RpcError> {
    if let Some(name) = &changes.name {
        if name.trim().is_empty() {
            return Err(RpcError::new(ErrorKind::InvalidSetting, "an application's name cannot be empty"));
        }
        texts::check("the application's name", name)?;
        registration.name.clone_from(name);
    }
    if let Some(mode) = changes.start_mode {
        registration.options.insert("autoStart".into(), json!(mode == StartMode::WithMain));
    }
    if let Some(domains) = &changes.domains {
        registration.set_domains(&host_name::normalize(domains)?);
    }
    registration.change_domains(&changes.remove_domains, &changes.add_domains)?;
    if let Some(upgrade) = changes.upgrade {
        registration.options.insert("autoUpgrade".into(), json!(upgrade == UpgradePolicy::Auto));
    }
    if let Some(seconds) = changes.idle_stop_seconds {
        registration.options.insert("idleStopSeconds".into(), json!(seconds));
    }
    registration.change_limits(&changes.limits)?;
    if let Some(setting) = changes.access_log {
        match setting.own() {
            Some(access_log) => registration.options.insert("accessLog".into(), json!(access_log)),
            None => registration.options.remove("accessLog"),
        };
    }
    registration.change_labels(&changes.labels)?;
    match changes.inventory.as_deref() {
        None => {}
        Some("") => {
            registration.options.remove("inventory");
        }
        Some(name) => {
            registration.options.insert("inventory".into(), json!(checked_inventory(name)?));
        }
    }
    if let Some(protected) = changes.protected {
        registration.options.insert("protected".into(), json!(protected));
    }
    if let Some(pinned) = changes.pinned {
        registration.pinned = Some(pinned);
    }
    if let Some(icon) = &changes.icon {
        texts::check("the application's icon", icon)?;
        registration.icon = Some(icon.clone()).filter(|icon| !icon.is_empty());
    }
    Ok(())
}

/// Fails if the application was deleted while this command waited for the lock.
fn check_registered(entry: &Entry) -> Result<(), RpcError> {
    match entry.state() {
        State::NotFound => Err(RpcError::app_not_found(entry.id.as_str())),
        _ => Ok(()),
    }
}

pub(super) fn not_running(unavailable: Unavailable) -> RpcError {
    let start = format!("start it with: nbapps start {}", unavailable.id);
    RpcError::new(ErrorKind::NotRunning, unavailable.message).hint(start)
}
