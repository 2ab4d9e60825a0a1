//! Carries a plan out: applications concurrently, the steps of each in order.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::live::{Interior, Parts};
use super::plan::{Action, Inside, Plan, Work, compare_inside};
use super::sources::Wanted;
use super::steps::{NewPassword, Session, Step};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::many;
use crate::client::Client;
use crate::protocol::methods::{AppCreate, AppDelete, AppStart, AppStop, AppUpdate};
use crate::protocol::{
    AppId, ChangeState, Changes, CreatedRootUser, DeleteApplication, UpdateApplication, Wait,
};

/// What was done to an application.
#[derive(Debug, Serialize)]
pub(crate) struct Applied {
    pub(crate) action: Action,
    /// The first user of a new application, with a generated password: it is never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<CreatedRootUser>,
    /// The generated passwords of other new users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) passwords: Vec<NewPassword>,
}

impl Applied {
    fn of(action: Action) -> Self {
        Self { action, admin: None, passwords: Vec::new() }
    }
}

/// What became of each application of a plan, in its order.
pub(crate) type Outcome = Vec<(AppId, Result<Applied, CliError>)>;

/// The exit code of an outcome: that of its most severe failure.
pub(crate) fn exit(outcome: &Outcome) -> Exit {
    Exit::worst(outcome.iter().filter_map(|(_, result)| result.as_ref().err()).map(CliError::exit))
}

/// The work on an application, taken by the task that does it.
type Task = Mutex<Option<(Action, Work)>>;

/// The order of the work.
#[derive(Default)]
struct Order {
    /// Applications that give up domains to others, with those.
    releasing: Vec<(AppId, Vec<String>)>,
    /// What is done one after the other: deletions that leave domains to others, creations and changes, and last all
    /// other deletions, so that what fails before leaves those applications in place.
    phases: [Vec<AppId>; 3],
}

impl Order {
    fn of(plan: &Plan) -> Self {
        let mut order = Self::default();
        let [leaving, changing, deleting] = &mut order.phases;
        for app in &plan.apps {
            let (id, released) = (app.id.clone(), &app.work.released);
            match app.action {
                Action::None => {}
                Action::Delete if released.is_empty() => deleting.push(id),
                Action::Delete => leaving.push(id),
                Action::Create | Action::Change => {
                    if !released.is_empty() {
                        order.releasing.push((id.clone(), released.clone()));
                    }
                    changing.push(id);
                }
            }
        }
        order
    }
}

/// Carries the plan out.
pub(crate) async fn execute(plan: Plan, context: &Context, client: &Arc<Client>, wait: Wait) -> Outcome {
    let set_passwords = plan.set_passwords;
    let Order { releasing, phases } = Order::of(&plan);
    let session = |id| Session { context: context.clone(), client: Arc::clone(client), id, wait };
    let mut done: HashMap<AppId, Result<Applied, CliError>> = HashMap::new();
    for (id, domains) in releasing {
        if let Err(error) = release(&session(id.clone()), domains).await {
            done.insert(id, Err(error));
        }
    }
    let all: Vec<AppId> = plan.apps.iter().map(|app| app.id.clone()).collect();
    let tasks: HashMap<AppId, Task> =
        plan.apps.into_iter().map(|app| (app.id, Mutex::new(Some((app.action, app.work))))).collect();
    for mut ids in phases {
        ids.retain(|id| !done.contains_key(id));
        let results = many::each(&ids, |id| {
            let task = tasks.get(&id).and_then(|task| task.lock().take());
            let session = session(id);
            async move {
                match task {
                    None => Ok(Applied::of(Action::None)),
                    Some((action, work)) => Box::pin(carry_out(&session, action, work, set_passwords)).await,
                }
            }
        })
        .await;
        done.extend(results.into_all());
    }
    let result = |id: AppId| {
        let result = done.remove(&id).unwrap_or_else(|| Ok(Applied::of(Action::None)));
        (id, result)
    };
    all.into_iter().map(result).collect()
}

/// Takes domains from an application that another one gets.
async fn release(session: &Session, domains: Vec<String>) -> Result<(), CliError> {
    update(session, Changes { remove_domains: domains, ..Changes::default() }).await
}

async fn update(session: &Session, changes: Changes) -> Result<(), CliError> {
    if changes == Changes::default() {
        return Ok(());
    }
    let request = UpdateApplication { id: session.id.clone(), changes };
    session.call::<AppUpdate>(request).await.map(drop)
}

async fn carry_out(
    session: &Session,
    action: Action,
    mut work: Work,
    set_passwords: bool,
) -> Result<Applied, CliError> {
    let mut applied = Applied::of(action);
    if action == Action::Delete {
        return delete(session).await.map(|()| applied);
    }
    if let Some(create) = work.create.take() {
        applied.admin = session.call::<AppCreate>(*create).await?.admin;
    }
    let result = change(session, work, set_passwords, &mut applied).await;
    match result {
        // A generated password is shown, whatever fails behind the creation.
        Err(error) if applied.admin.is_some() || !applied.passwords.is_empty() => {
            Err(with_passwords(error, &applied))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(applied),
    }
}

async fn change(
    session: &Session,
    work: Work,
    set_passwords: bool,
    applied: &mut Applied,
) -> Result<(), CliError> {
    update(session, work.settings).await?;
    let change = || ChangeState { id: session.id.clone(), wait: session.wait };
    if work.start {
        session.call::<AppStart>(change()).await?;
    }
    let steps = match work.inside {
        Inside::Nothing => Vec::new(),
        Inside::Steps(steps) => steps,
        Inside::Later(wanted) => compared_now(session, &wanted, set_passwords).await?,
    };
    for step in steps {
        applied.passwords.extend(session.carry_out(step.call).await?);
    }
    if work.stop {
        session.call::<AppStop>(change()).await?;
    }
    Ok(())
}

/// The steps inside of an application that could not be read when the plan was made.
async fn compared_now(
    session: &Session,
    wanted: &Wanted,
    set_passwords: bool,
) -> Result<Vec<Step>, CliError> {
    let live = Interior::read(session, Parts::of(&wanted.app)).await?;
    let compared = compare_inside(wanted, &live, set_passwords);
    compared.map(|compared| compared.steps).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        CliError::Refused { message: format!("{}: {}", session.id, all.join("; ")), hint: None }
    })
}

async fn delete(session: &Session) -> Result<(), CliError> {
    let request = DeleteApplication {
        id: session.id.clone(),
        purge: false,
        deleted: false,
        keep_data: false,
        wait: session.wait,
    };
    session.call::<AppDelete>(request).await.map(drop)
}

/// The error with the passwords that were generated before it.
fn with_passwords(error: CliError, applied: &Applied) -> CliError {
    let admin = applied.admin.iter().filter_map(|admin| Some((&admin.email, admin.password.as_ref()?)));
    let others = applied.passwords.iter().map(|new| (&new.email, &new.password));
    let shown: Vec<String> =
        admin.chain(others).map(|(email, password)| format!("{email}: {password}")).collect();
    if shown.is_empty() {
        return error;
    }
    let exit = error.exit();
    let message = format!(
        "{error}; passwords that were generated before, and are shown only this once: {}",
        shown.join(", ")
    );
    match exit {
        Exit::TimedOut => CliError::TimedOut { message, hint: error.hint() },
        Exit::Refused => CliError::Refused { message, hint: error.hint() },
        _ => CliError::Failed { message, hint: error.hint() },
    }
}
