//! The contract between an application and the plugins that come with the host.
//!
//! The host hands every application the same plugins. Which of them are enabled is each
//! application's own: a row in `applicationPlugins`, made when a plugin is enabled for the first
//! time.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Value, json};

use super::error::AppError;
use super::state::AppState;
use super::system::{APPLICATION_PLUGINS, SYSTEM_VERSION};
use crate::data::{DataError, Filter, Query, Record};

/// The result of a plugin's work, later. The error is a sentence for whoever enables it.
pub type PluginFuture<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// A plugin.
pub trait Plugin: Send + Sync {
    /// Its name: `workflow`.
    fn name(&self) -> &'static str;

    /// The package it takes the place of: `@nocobase/plugin-workflow`.
    fn package_name(&self) -> String {
        format!("@nocobase/plugin-{}", self.name())
    }

    /// What people call it.
    fn title(&self) -> &'static str;

    /// What it is for, in a sentence.
    fn description(&self) -> &'static str;

    /// Its version.
    fn version(&self) -> &'static str {
        SYSTEM_VERSION
    }

    /// Starts its work in an application: when it is enabled, and each time an application opens
    /// that has it enabled. Must be idempotent.
    fn enable<'a>(&'a self, state: &'a Arc<AppState>) -> PluginFuture<'a>;

    /// Stops its work in an application. Its data stays.
    fn disable<'a>(&'a self, state: &'a Arc<AppState>) -> PluginFuture<'a>;
}

/// Why a plugin could not be enabled or disabled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PluginError {
    /// The host has no such plugin.
    #[error("there is no plugin {0}")]
    Unknown(String),
    /// It refused or failed.
    #[error("{name}: {reason}")]
    Refused {
        /// The plugin.
        name: &'static str,
        /// What it said.
        reason: String,
    },
    /// The database failed.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// A plugin as an application has it.
pub(super) struct Installed<'a> {
    pub(super) plugin: &'a Arc<dyn Plugin>,
    /// Its row, where it has been enabled before.
    row: Option<Record>,
}

impl Installed<'_> {
    pub(super) fn is_enabled(&self) -> bool {
        self.row.as_ref().and_then(|row| row.get("enabled")?.as_bool()) == Some(true)
    }

    /// Describes it as its row does; where there is none, by defaults.
    pub(super) fn describe(&self) -> Value {
        let plugin = self.plugin;
        json!({
            "name": plugin.name(), "packageName": plugin.package_name(), "displayName": plugin.title(),
            "description": plugin.description(), "version": plugin.version(), "enabled": self.is_enabled(),
            "installed": self.row.is_some(), "builtIn": true, "isCompatible": true, "removable": false,
            "updatable": false, "options": self.row.as_ref().and_then(|row| row.get("options")),
        })
    }
}

/// Every plugin of the host, as this application has it.
pub(super) async fn list<'a>(
    state: &AppState,
    plugins: &'a [Arc<dyn Plugin>],
) -> Result<Vec<Installed<'a>>, DataError> {
    if plugins.is_empty() {
        return Ok(Vec::new());
    }
    let rows = state.source().find(&APPLICATION_PLUGINS, Query::default()).await?;
    let mut rows: HashMap<String, Record> =
        rows.into_iter().filter_map(|row| Some((row.get("name")?.as_str()?.to_owned(), row))).collect();
    Ok(plugins.iter().map(|plugin| Installed { plugin, row: rows.remove(plugin.name()) }).collect())
}

/// Starts the enabled plugins. One that fails is logged and skipped: the application runs without
/// it.
pub(super) async fn begin(state: &Arc<AppState>, plugins: &[Arc<dyn Plugin>]) -> Result<(), AppError> {
    for installed in list(state, plugins).await? {
        if !installed.is_enabled() {
            continue;
        }
        if let Err(reason) = installed.plugin.enable(state).await {
            tracing::error!(
                app = state.name(),
                plugin = installed.plugin.name(),
                reason,
                "a plugin failed to begin"
            );
        }
    }
    Ok(())
}

/// Enables or disables a plugin by its name or its package's.
pub(super) async fn switch(
    state: &Arc<AppState>,
    plugins: &[Arc<dyn Plugin>],
    name: &str,
    on: bool,
) -> Result<(), PluginError> {
    let all = list(state, plugins).await?;
    let found = all.iter().find(|one| one.plugin.name() == name || one.plugin.package_name() == name);
    let Some(installed) = found else { return Err(PluginError::Unknown(name.to_owned())) };
    if installed.is_enabled() == on {
        return Ok(());
    }
    let plugin = installed.plugin;
    let done = if on { plugin.enable(state).await } else { plugin.disable(state).await };
    done.map_err(|reason| PluginError::Refused { name: plugin.name(), reason })?;
    let row = json!({"enabled": on, "installed": true, "version": plugin.version()});
    let Value::Object(mut row) = row else { return Ok(()) };
    if installed.row.is_some() {
        state.source().system().update(&APPLICATION_PLUGINS, &Filter::eq("name", plugin.name()), row).await?;
    } else {
        row.insert("name".into(), plugin.name().into());
        row.insert("packageName".into(), plugin.package_name().into());
        row.insert("builtIn".into(), true.into());
        state.source().system().insert(&APPLICATION_PLUGINS, row).await?;
    }
    Ok(())
}
