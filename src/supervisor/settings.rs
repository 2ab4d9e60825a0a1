//! Changing what is registered of an application, its secret, and the address to visit it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::data::DataError;

use crate::protocol::{
    AppId, Application, Changes, ErrorKind, Happening, RpcError, StartMode, State, UpdateApplication,
    UpgradePolicy, Visit, VisitApplication,
};

use super::Supervisor;
use super::boot::{JWT_SECRET, new_jwt_secret};
use super::damage::Damage;
use super::domains;
use super::entry::Entry;
use super::failure::Failure;
use super::lifecycle::Unavailable;
use super::registry::Registration;

impl Supervisor {
    /// Changes settings; they hold at once.
    pub async fn update(self: &Arc<Self>, update: UpdateApplication) -> Result<Application, RpcError> {
        let changes = update.changes;
        self.update_with(&update.id, move |registration| apply(registration, &changes)).await
    }

    /// Changes a registration by `change`, whole or not at all.
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
            self.leave_domains_of_others(&mut registration);
        }
        change(&mut registration)?;
        let domains = registration.domains();
        self.check_domains(id, &domains)?;
        registration.give_domains();
        if registration == *before && before.damage.is_none() {
            return Ok(self.describe(&entry));
        }
        registration.updated_at = crate::protocol::now();
        let doing = || format!("changing the settings of \"{id}\"");
        if before.damage.is_none() {
            let written = self.registry.update(&before, &registration).await;
            written.map_err(|error| error.while_doing(doing()))?;
        } else {
            self.mend(&before, &mut registration).await.map_err(|error| error.while_doing(doing()))?;
        }
        entry.set_limits(self.limits(&registration, &entry.location));
        let registration = Arc::new(registration);
        entry.registration.store(Arc::clone(&registration));
        if !before.damage.is_none() {
            self.stand_mended(&entry, &registration.damage);
        }
        self.route_domains(id, &before.sound_domains(), &domains);
        self.events.publish(id, Happening::Updated);
        Ok(self.describe(&entry))
    }

    /// Writes damaged rows anew.
    async fn mend(&self, before: &Registration, registration: &mut Registration) -> Result<(), DataError> {
        self.mend_registration(registration);
        self.registry.mend(before, registration).await?;
        tracing::warn!(app = %registration.id, lost = ?before.damage, "a damaged entry of the registry was written anew");
        Ok(())
    }

    /// Puts something sound in the place of what is damaged, but for what the host made.
    pub(super) fn mend_registration(&self, registration: &mut Registration) {
        registration.make_sound();
        if registration.created_at == DateTime::<Utc>::default() {
            registration.created_at = crate::protocol::now();
        }
        if registration.updated_at == DateTime::<Utc>::default() {
            registration.updated_at = crate::protocol::now();
        }
        if !registration.damage.secret.is_empty() || registration.damage.name.is_some() {
            // Nobody can check the tokens that were issued by the one that is lost.
            registration.jwt_secret = self.key.seal(&registration.id, JWT_SECRET, &new_jwt_secret());
        }
        registration.damage = registration.damage.once_mended();
    }

    /// Leaves `error` when nothing is damaged any more.
    fn stand_mended(&self, entry: &Entry, left: &Damage) {
        match left.reason(&entry.id) {
            Some(reason) => entry.explain(reason),
            None if entry.state() == State::Error => entry.go(&self.events, State::Initialized, None),
            None => {}
        }
    }

    /// Replaces the JWT secret; all tokens of the application end.
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
            self.stand_mended(&entry, &registration.damage);
        }
        if let Some(running) = entry.running() {
            running.app.auth().replace_secret(&secret);
        }
        self.events.publish(id, Happening::SecretRotated);
        Ok(self.describe(&entry))
    }

    /// Where to visit one, with a sign-in if asked (which starts it as a visit does).
    pub async fn visit_address(self: &Arc<Self>, visit: VisitApplication) -> Result<Visit, RpcError> {
        let entry = self.entry(&visit.id)?;
        let url = self.url(&entry.id);
        if !visit.sign_in {
            return Ok(Visit { url, sign_in_until: None });
        }
        let app = self.visit(visit.id.as_str()).await.map_err(not_running)?;
        let ticket = app.auth().issue_ticket(visit.user.as_deref()).await;
        let (ticket, until) = ticket
            .map_err(|error| error.while_doing(format!("making a sign-in link for \"{}\"", visit.id)))?;
        Ok(Visit { url: format!("{url}sign-in/ticket/{ticket}"), sign_in_until: Some(until) })
    }
}

fn apply(registration: &mut Registration, changes: &Changes) -> Result<(), RpcError> {
    if let Some(name) = &changes.name {
        if name.trim().is_empty() {
            return Err(RpcError::new(ErrorKind::InvalidSetting, "an application's name cannot be empty"));
        }
        registration.name.clone_from(name);
    }
    if let Some(mode) = changes.start_mode {
        registration.options.insert("autoStart".into(), json!(mode == StartMode::WithMain));
    }
    if let Some(domains) = &changes.domains {
        registration.set_domains(&domains::normalize(domains)?);
    }
    if let Some(upgrade) = changes.upgrade {
        registration.options.insert("autoUpgrade".into(), json!(upgrade == UpgradePolicy::Auto));
    }
    if let Some(seconds) = changes.idle_stop_seconds {
        registration.options.insert("idleStopSeconds".into(), json!(seconds));
    }
    registration.change_limits(&changes.limits)?;
    if let Some(protected) = changes.protected {
        registration.options.insert("protected".into(), json!(protected));
    }
    if let Some(pinned) = changes.pinned {
        registration.pinned = Some(pinned);
    }
    if let Some(icon) = &changes.icon {
        registration.icon = Some(icon.clone()).filter(|icon| !icon.is_empty());
    }
    Ok(())
}

/// Somebody may have deleted it while this command waited for its turn.
fn check_registered(entry: &Entry) -> Result<(), RpcError> {
    match entry.state() {
        crate::protocol::State::NotFound => Err(RpcError::app_not_found(entry.id.as_str())),
        _ => Ok(()),
    }
}

fn not_running(unavailable: Unavailable) -> RpcError {
    let start = format!("start it with: nbapps start {}", unavailable.id);
    RpcError::new(ErrorKind::NotRunning, unavailable.message).hint(start)
}
