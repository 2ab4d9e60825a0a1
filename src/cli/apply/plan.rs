//! The plan: what documents ask for, beside what there is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::document::WantedState;
use super::live::{Interior, Parts};
use super::people::{UserComparison, compare_keys};
use super::settings;
use super::sources::{Sources, Wanted};
use super::steps::{Change, Comparison, Session, Step};
use super::{collections, roles};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::many;
use crate::client::Client;
use crate::protocol::methods::AppCreate;
use crate::protocol::{
    AppId, Application, Changes, CreateApplication, Labels, ListApplications, State, Wait, check_labels,
};

/// How often applications are looked at that others are creating.
const TRANSITION_CHECK: Duration = Duration::from_millis(100);

/// What happens to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// It is created.
    Create,
    /// It is changed.
    Change,
    /// It is deleted; its data stays for undelete.
    Delete,
    /// It stays as it is.
    None,
}

/// What is planned for an application.
#[derive(Debug, Serialize)]
pub(crate) struct AppPlan {
    pub(crate) id: AppId,
    pub(crate) action: Action,
    pub(crate) changes: Vec<Change>,
    /// What the operator should know, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    #[serde(skip)]
    pub(super) work: Work,
}

/// The work on an application, in the order of the fields.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Domains that it gives up before others are changed: one of them gets them.
    pub(super) released: Vec<String>,
    pub(super) create: Option<Box<CreateApplication>>,
    pub(super) settings: Changes,
    pub(super) start: bool,
    pub(super) inside: Inside,
    pub(super) stop: bool,
}

/// The work inside of an application.
#[derive(Debug, Default)]
pub(super) enum Inside {
    /// There is none.
    #[default]
    Nothing,
    /// What a comparison found.
    Steps(Vec<Step>),
    /// It is compared when the application runs.
    Later(Arc<Wanted>),
}

/// The plan for all applications, by ID; those to delete come last.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) apps: Vec<AppPlan>,
    pub(super) set_passwords: bool,
}

impl Plan {
    /// The plan as it is shown, without the work.
    pub(crate) fn shown(&self) -> Self {
        let shown = |app: &AppPlan| AppPlan {
            id: app.id.clone(),
            action: app.action,
            changes: app.changes.clone(),
            notes: app.notes.clone(),
            work: Work::default(),
        };
        Self { apps: self.apps.iter().map(shown).collect(), set_passwords: self.set_passwords }
    }

    /// How many applications an action happens to.
    pub(crate) fn count(&self, action: Action) -> usize {
        self.apps.iter().filter(|app| app.action == action).count()
    }

    /// Whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.count(Action::None) == self.apps.len()
    }

    /// The applications that are to be deleted.
    pub(crate) fn deleted(&self) -> Vec<&AppId> {
        self.apps.iter().filter(|app| app.action == Action::Delete).map(|app| &app.id).collect()
    }
}

/// What a plan is made from.
#[derive(Debug)]
pub(crate) struct Planning {
    /// The inventory of new applications.
    pub(crate) inventory: String,
    /// Whether to delete the applications of the inventory that no document describes.
    pub(crate) prune: bool,
    /// Whether to take over applications that exist.
    pub(crate) adopt: bool,
    /// Whether to set the passwords of users who exist.
    pub(crate) set_passwords: bool,
    /// Whether nothing will be carried out: then the daemon checks what would be created.
    pub(crate) dry_run: bool,
    /// How long each step may take.
    pub(crate) wait: Wait,
}

/// The errors of a plan; nothing is done.
type Refusals = Vec<CliError>;

impl Planning {
    /// Makes the plan.
    ///
    /// # Errors
    /// Everything that cannot be done.
    pub(crate) async fn plan(
        &self,
        sources: Sources,
        context: &Context,
        client: &Arc<Client>,
    ) -> Result<Plan, Refusals> {
        let wanted: Vec<Arc<Wanted>> = sources.wanted.into_iter().map(Arc::new).collect();
        let live = self.settled(&wanted, context, client).await.map_err(|error| vec![error])?;
        let mut refusals = check_domains(&wanted, &live, &self.pruned(&wanted, &live));
        let inside = self.read_inside(&wanted, &live, context, client).await;
        let mut plan = Plan { apps: Vec::new(), set_passwords: self.set_passwords };
        for (wanted, inside) in wanted.iter().zip(inside) {
            let planned = inside
                .map_err(|error| vec![error])
                .and_then(|inside| self.plan_one(wanted, live.get(&wanted.app.id), inside.as_ref()));
            match planned {
                Ok(app) => plan.apps.push(app),
                Err(errors) => refusals.extend(errors),
            }
        }
        plan.apps.sort_by(|one, other| one.id.cmp(&other.id));
        self.add_pruned(&mut plan, &wanted, &live);
        if refusals.is_empty() && self.dry_run {
            refusals = check_creations(&plan, &live, context, client).await;
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        release_domains(&mut plan, &live);
        Ok(plan)
    }

    /// The applications that exist, when none that a document describes is being created.
    async fn settled(
        &self,
        wanted: &[Arc<Wanted>],
        context: &Context,
        client: &Client,
    ) -> Result<BTreeMap<AppId, Application>, CliError> {
        let deadline = Instant::now() + Duration::from_millis(self.wait.timeout_ms);
        loop {
            let live = context.list(client, ListApplications::default()).await?;
            let live: BTreeMap<_, _> = live.into_iter().map(|app| (app.id.clone(), app)).collect();
            let is_settled = |wanted: &Arc<Wanted>| {
                let state = live.get(&wanted.app.id).map(|app| app.state);
                !matches!(state, Some(State::Preparing | State::Initializing | State::Commanding))
            };
            if wanted.iter().all(is_settled) || Instant::now() >= deadline {
                return Ok(live);
            }
            tokio::time::sleep(TRANSITION_CHECK).await;
        }
    }

    /// What is inside of each application, as far as its document speaks of it and it can be read now.
    async fn read_inside(
        &self,
        wanted: &[Arc<Wanted>],
        live: &BTreeMap<AppId, Application>,
        context: &Context,
        client: &Arc<Client>,
    ) -> Vec<Result<Option<Interior>, CliError>> {
        let readable = wanted.iter().filter(|wanted| {
            let state = live.get(&wanted.app.id).map(|app| app.state);
            Parts::of(&wanted.app).any() && matches!(state, Some(State::Running | State::Initialized))
        });
        let parts: HashMap<AppId, Parts> =
            readable.map(|wanted| (wanted.app.id.clone(), Parts::of(&wanted.app))).collect();
        let ids: Vec<AppId> = parts.keys().cloned().collect();
        let read = many::each(&ids, |id| {
            let parts = parts.get(&id).copied().unwrap_or_default();
            let session =
                Session { context: context.clone(), client: Arc::clone(client), id, wait: self.wait };
            async move { Interior::read(&session, parts).await }
        })
        .await;
        let mut read: HashMap<AppId, _> = read.into_all().into_iter().collect();
        wanted.iter().map(|wanted| read.remove(&wanted.app.id).transpose()).collect()
    }

    fn plan_one(
        &self,
        wanted: &Arc<Wanted>,
        live: Option<&Application>,
        inside: Option<&Interior>,
    ) -> Result<AppPlan, Refusals> {
        let of_main = if wanted.app.id.is_main() { settings::of_main(&wanted.app) } else { Vec::new() };
        if !of_main.is_empty() {
            let hint = "its settings are in the daemon's configuration; describe its users, keys, roles and collections";
            let message = format!("{}: main cannot have {} in a document", wanted.place, of_main.join(", "));
            return Err(vec![CliError::usage(message, hint)]);
        }
        if let Err(error) = check_labels(wanted.app.labels.as_ref().unwrap_or(&Labels::new())) {
            let hint = "see what labels may be with: nbapps create --help";
            return Err(vec![placed(wanted, CliError::usage(error.to_string(), hint))]);
        }
        let planned = match live {
            None => self.plan_new(wanted),
            Some(live) => self.plan_existing(wanted, live, inside),
        };
        planned.map_err(|errors| errors.into_iter().map(|error| placed(wanted, error)).collect())
    }

    fn plan_new(&self, wanted: &Arc<Wanted>) -> Result<AppPlan, Refusals> {
        let made = settings::creation(wanted, &self.inventory, self.wait);
        let (request, after, mut changes) = made.map_err(|error| vec![error])?;
        let mut work = Work {
            create: Some(Box::new(request)),
            settings: after,
            stop: wanted.app.state == Some(WantedState::Stopped),
            ..Work::default()
        };
        let mut notes = Vec::new();
        if Parts::of(&wanted.app).any() {
            // What it will be found to need is what it needs now, beside the roles that it begins with.
            let compared = compare_inside(wanted, &Interior::of_new(), self.set_passwords)?;
            changes.extend(compared.steps.into_iter().flat_map(|step| step.changes));
            notes = compared.notes;
            work.inside = Inside::Later(Arc::clone(wanted));
        }
        Ok(AppPlan { id: wanted.app.id.clone(), action: Action::Create, changes, notes, work })
    }

    fn plan_existing(
        &self,
        wanted: &Arc<Wanted>,
        live: &Application,
        inside: Option<&Interior>,
    ) -> Result<AppPlan, Refusals> {
        let app = &wanted.app;
        let mut compared = settings::compare(app, live);
        let mut refusals: Refusals = compared.refusals.drain(..).map(refused).collect();
        let is_other = live.inventory.as_deref() != Some(&*self.inventory);
        if self.adopt && is_other && !app.id.is_main() {
            compared.request.inventory = Some(self.inventory.clone());
            let from = serde_json::json!(live.inventory);
            compared.changes.push(Change::set("inventory", from, self.inventory.as_str()));
        }
        let mut work = Work { settings: compared.request, ..Work::default() };
        let mut changes = compared.changes;
        let mut notes = Vec::new();
        if let Some(state) = app.state.filter(|state| state.as_str() != live.state.as_str()) {
            changes.push(Change::set("state", live.state.as_str(), state.as_str()));
            (work.start, work.stop) = (state == WantedState::Running, state == WantedState::Stopped);
        }
        match inside {
            Some(inside) => {
                let found = compare_inside(wanted, inside, self.set_passwords);
                match found {
                    Ok(found) => {
                        changes.extend(found.steps.iter().flat_map(|step| step.changes.clone()));
                        notes.extend(found.notes);
                        work.inside = Inside::Steps(found.steps);
                    }
                    Err(errors) => refusals.extend(errors),
                }
            }
            None if !Parts::of(app).any() => {}
            None if work.start => {
                notes.push("its users, keys, roles and collections are compared when it runs".to_owned());
                work.inside = Inside::Later(Arc::clone(wanted));
            }
            None => {
                let state = live.state;
                notes.push(format!("it is {state}: its users, keys, roles and collections are not compared"));
            }
        }
        if let Some(other) =
            live.inventory.as_ref().filter(|_| is_other && !self.adopt && !changes.is_empty())
        {
            let message = format!("it belongs to the inventory {other}, and would be changed");
            let hint = format!("apply its documents with --inventory {other}, or take it over with --adopt");
            refusals.push(CliError::Refused { message, hint: Some(hint) });
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let action = if changes.is_empty() { Action::None } else { Action::Change };
        Ok(AppPlan { id: app.id.clone(), action, changes, notes, work })
    }

    /// The applications that are to be deleted, but for their protection.
    fn pruned<'a>(
        &self,
        wanted: &[Arc<Wanted>],
        live: &'a BTreeMap<AppId, Application>,
    ) -> Vec<&'a Application> {
        if !self.prune {
            return Vec::new();
        }
        let described: BTreeSet<&AppId> = wanted.iter().map(|wanted| &wanted.app.id).collect();
        let own = live.values().filter(|app| app.inventory.as_deref() == Some(&*self.inventory));
        own.filter(|app| !app.id.is_main() && !described.contains(&app.id)).collect()
    }

    fn add_pruned(&self, plan: &mut Plan, wanted: &[Arc<Wanted>], live: &BTreeMap<AppId, Application>) {
        for app in self.pruned(wanted, live) {
            let (action, notes) = match app.protected {
                true => (Action::None, vec!["it is protected, and not deleted".to_owned()]),
                false => (Action::Delete, Vec::new()),
            };
            let (id, changes, work) = (app.id.clone(), Vec::new(), Work::default());
            plan.apps.push(AppPlan { id, action, changes, notes, work });
        }
    }
}

/// Compares what is inside of an application with what its document wants.
pub(super) fn compare_inside(
    wanted: &Wanted,
    live: &Interior,
    set_passwords: bool,
) -> Result<Comparison, Refusals> {
    let mut found = Comparison::default();
    collections::compare(&wanted.app.collections, &live.collections, &mut found);
    roles::compare(&wanted.app.roles, live, &mut found);
    let users = UserComparison { wanted, live, set_passwords };
    users.compare(&mut found).map_err(|error| vec![error])?;
    compare_keys(wanted, &live.keys, &mut found);
    if found.refusals.is_empty() {
        return Ok(found);
    }
    Err(found.refusals.into_iter().map(refused).collect())
}

fn refused(message: String) -> CliError {
    CliError::Refused { message, hint: Some("change the document; nothing was done".to_owned()) }
}

/// The error with the place of the application in its document.
fn placed(wanted: &Wanted, error: CliError) -> CliError {
    let prefix = format!("{}: {}: ", wanted.place, wanted.app.id);
    match error {
        CliError::Usage { message, hint } => CliError::Usage { message: prefix + &message, hint },
        CliError::Refused { message, hint } => CliError::Refused { message: prefix + &message, hint },
        CliError::Failed { message, hint } => CliError::Failed { message: prefix + &message, hint },
        other => other,
    }
}

/// Checks that no domain is wanted for two applications, nor belongs to one that keeps it.
fn check_domains(
    wanted: &[Arc<Wanted>],
    live: &BTreeMap<AppId, Application>,
    pruned: &[&Application],
) -> Refusals {
    let mut owners: HashMap<String, &AppId> = HashMap::new();
    let describes: BTreeSet<&AppId> =
        wanted.iter().filter(|wanted| wanted.app.domains.is_some()).map(|wanted| &wanted.app.id).collect();
    for app in live.values().filter(|app| !describes.contains(&app.id)) {
        if app.protected || !pruned.iter().any(|gone| gone.id == app.id) {
            owners.extend(app.domains.iter().map(|domain| (domain.clone(), &app.id)));
        }
    }
    let mut refusals = Vec::new();
    for wanted in wanted {
        for domain in settings::comparable(wanted.app.domains.as_deref().unwrap_or_default()) {
            if let Some(owner) = owners.get(&domain) {
                let message = format!("the domain {domain} is {owner}'s, and stays so");
                refusals.push(placed(wanted, CliError::Refused { message, hint: None }));
                continue;
            }
            owners.insert(domain, &wanted.app.id);
        }
    }
    refusals
}

/// Has the daemon check what would be created, without the domains that other applications are to give up.
async fn check_creations(
    plan: &Plan,
    live: &BTreeMap<AppId, Application>,
    context: &Context,
    client: &Arc<Client>,
) -> Refusals {
    let owned: BTreeSet<&String> = live.values().flat_map(|app| &app.domains).collect();
    let requests: HashMap<AppId, CreateApplication> = plan
        .apps
        .iter()
        .filter_map(|app| {
            let request = app.work.create.as_ref()?;
            let mut request = CreateApplication { dry_run: true, ..(**request).clone() };
            request.domains.retain(|domain| !owned.contains(domain));
            Some((app.id.clone(), request))
        })
        .collect();
    let ids: Vec<AppId> =
        plan.apps.iter().map(|app| &app.id).filter(|id| requests.contains_key(*id)).cloned().collect();
    let checked = many::each(&ids, |id| {
        let (context, client) = (context.clone(), Arc::clone(client));
        let request = requests.get(&id).cloned().unwrap_or_default();
        async move { context.ask::<AppCreate>(&client, request).await.map(drop) }
    })
    .await;
    checked.into_all().into_iter().filter_map(|(_, result)| result.err()).collect()
}

/// Plans that domains are given up before another application gets them.
fn release_domains(plan: &mut Plan, live: &BTreeMap<AppId, Application>) {
    let mut gained: HashMap<&str, &AppId> = HashMap::new();
    for app in &plan.apps {
        let created = app.work.create.iter().flat_map(|create| &create.domains);
        let changed = app.work.settings.domains.iter().flatten();
        gained.extend(created.chain(changed).map(|domain| (domain.as_str(), &app.id)));
    }
    let mut released: HashMap<AppId, Vec<String>> = HashMap::new();
    for app in &plan.apps {
        let known = live.get(&app.id).into_iter().flat_map(|live| &live.domains);
        let lost = known.filter(|domain| gained.get(domain.as_str()).is_some_and(|id| **id != app.id));
        let lost: Vec<String> = lost.cloned().collect();
        if !lost.is_empty() {
            released.insert(app.id.clone(), lost);
        }
    }
    for app in &mut plan.apps {
        app.work.released = released.remove(&app.id).unwrap_or_default();
    }
}
